"""The home page, the README and what stands beside them: what they say is true, and can be pasted."""

import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import nbformat
import pytest
import yaml

import python_tcp

ROOT = Path(__file__).resolve().parent.parent
HOME = "\n\n".join(
    cell.source
    for cell in nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4).cells
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOWS = {
    name: yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yaml").read_text())
    for name in ("test", "site")
}


def shell_lines(text: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def test_the_first_screen_says_what_it_is() -> None:
    """A picture, one command and three doors stand before the map."""
    start = HOME.partition("## The map")[0]
    assert re.findall(r"!\[.+?\]\(images/(\w+)\.svg\)", start) == [
        "terminal",
        "sequence",
    ]
    assert shell_lines(start)[0] == "make run"
    doors = re.findall(r"^- \*\*(.+?):\*\*", start, re.M)
    assert doors == ["Learn", "Teach", "Run a chat"]
    assert "server.recv(1024)" in start  # the bug


def test_the_map_says_what_one_can_do() -> None:
    """Each row goes on where its heading stops: "you can" and a verb. A new chapter brings its lead, which does not."""
    rows = re.findall(r"^\| *\d* \| \[.+?\]\((\w+)\.ipynb\) \| (.*) \|$", HOME, re.M)
    assert len(rows) > 100
    assert [
        name for name, says in rows if not re.match(r"[a-z]+,? .*[^.]$", says)
    ] == []


def test_the_figures_are_those_of_the_picture() -> None:
    picture = (ROOT / "nbs" / "images" / "bench.svg").read_text(encoding="utf-8")
    room = picture.split('class="head"')[1]  # one room of 100, deliveries
    texts = re.findall(r"<text[^>]*>([^<]+)<", room)
    measured = dict(zip(texts[::2], texts[1::2]))
    for server, said in {
        "python_tcp ChatServer": r"delivers ([\d.]+) million messages a second",
        "Redis Pub/Sub": r"Redis Pub/Sub delivers ([\d.]+) million",
        "ngIRCd": r"ngIRCd \(an IRC server\) ([\d.]+) million",
        "NATS": r"NATS ([\d.]+) million",
    }.items():
        assert re.search(said, HOME)[1] == measured[server], server


def test_the_picture_for_telephones_says_the_same() -> None:
    """`python tools/narrow.py` makes it of the other one."""
    wide, narrow = (
        (ROOT / "nbs" / "images" / name).read_text(encoding="utf-8")
        for name in ("bench.svg", "bench_narrow.svg")
    )
    words = [re.findall(r">([^<>\n]+)</t", text) for text in (wide, narrow)]
    assert words[0] == words[1] and len(words[0]) > 50
    assert 'viewBox="0 0 395 ' in narrow


def test_the_drawing_is_what_a_recorder_sees(tmp_path: Path) -> None:
    tool, new = ROOT / "tools" / "sequence.py", tmp_path / "sequence.svg"
    subprocess.run([sys.executable, tool, new], check=True, timeout=60)
    old = ROOT / "nbs" / "images" / "sequence.svg"
    steps = [
        sorted(
            re.search(r"<desc[^>]*>(.*?)</desc>", path.read_text(), re.S)[1].split("\n")
        )
        for path in (old, new)
    ]
    assert steps[0] == steps[1]
    assert "server to bob: ann: Hello, Bob!" in map(unescape, steps[0])


@pytest.mark.parametrize("line", sorted(set(shell_lines(README))))
def test_each_command_can_be_pasted(line: str) -> None:
    """Its program is there, and so are the files that it names."""
    program, *arguments = line.split()
    if program.startswith(".venv/bin/"):
        name = program.removeprefix(".venv/bin/")
        scripts = {"python", "pip", "jupyter"} | set(
            re.findall(r"^    (\w+)=", (ROOT / "settings.ini").read_text(), re.M)
        )
        assert name in scripts
    else:
        assert program in ("make", "python3", "git") and shutil.which(program)
    if program == "make":
        recipe = rf"^{arguments[0]}:"
        assert re.search(recipe, (ROOT / "Makefile").read_text(), re.M)
    for argument in arguments:
        if argument.endswith(".py"):
            assert (ROOT / argument).exists()


def test_a_block_of_commands_does_not_stop_in_the_middle() -> None:
    """What goes on until Ctrl-C is the last line of its block."""
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S):
        for line in block.splitlines()[:-1]:
            assert not re.search(r"chat_server|run\.py|jupyter|make run", line), block


def test_links_of_the_pages_beside_the_book_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-TEXT.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text):
            assert (ROOT / link).exists(), f"{name}: {link}"


def test_the_changelog_knows_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {python_tcp.__version__}\n" in text
    assert text.index("## Unreleased") < text.index(f"## {python_tcp.__version__}")


def test_code_and_text_have_a_licence() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    text = (ROOT / "LICENSE-TEXT.md").read_text(encoding="utf-8")
    assert "creativecommons.org/licenses/by/4.0/" in text
    assert "CC BY 4.0](LICENSE-TEXT.md)" in README and "Apache License" in README


@pytest.mark.parametrize(
    "question",
    ["report a bug", "propose a change", "How long the tests take", "Nobody edits"],
)
def test_contributing_answers(question: str) -> None:
    assert question in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


# --- the workflows ------------------------------------------------------------------------------------------------


def steps(workflow: str) -> list[dict]:
    jobs = WORKFLOWS[workflow]["jobs"].values()
    return [step for job in jobs for step in job.get("steps", [])]


def test_the_site_waits_for_the_tests() -> None:
    jobs = WORKFLOWS["site"]["jobs"]
    assert jobs["publish"]["needs"] == "test"
    assert jobs["test"]["uses"] == "./.github/workflows/test.yaml"
    assert "workflow_call" in WORKFLOWS["test"][True]  # YAML 1.1 reads `on` as true


def test_the_tests_run_each_week_and_on_three_systems() -> None:
    assert WORKFLOWS["site"][True]["schedule"]
    systems = {
        each
        for job in WORKFLOWS["test"]["jobs"].values()
        for each in (job["runs-on"], *job["strategy"]["matrix"].get("system", []))
    }
    assert systems >= {"ubuntu-latest", "macos-latest", "windows-latest"}


def test_a_warning_of_quarto_is_an_error_and_its_version_is_pinned() -> None:
    [setup] = [step for step in steps("site") if "quarto" in step.get("uses", "")]
    assert re.fullmatch(r"\d+\.\d+\.\d+", setup["with"]["version"])
    commands = [step.get("run", "") for step in steps("site")]
    assert any("make site ARGS=--strict" in command for command in commands)
    assert any("SITE=_docs" in command for command in commands)


def test_one_version_of_each_action() -> None:
    uses = {
        step["uses"] for name in WORKFLOWS for step in steps(name) if "uses" in step
    }
    assert len(uses) == len({each.partition("@")[0] for each in uses})
    assert all(re.fullmatch(r"[\w/-]+@v\d+", each) for each in uses)
