"""The notebooks, the package, the README and the settings are in step, and keep the rules that the site and the reader depend on."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
MODULES = sorted(
    path for path in (ROOT / "python_tcp").glob("*.py") if not path.name.startswith("_")
)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)

# An import only goes down. What isn't listed is a face, on the top floor.
FLOORS = {
    "core": 0,
    "framing": 1, "protocol": 1, "trace": 1,
    "echo": 2, "broadcast": 2, "loop": 2, "rooms": 2, "history": 2,
    "server": 3, "client": 3,
    "chat_app": 4,
}  # fmt: skip
TOP = 5
SANS_IO = {"framing", "protocol", "rooms"}
IO = {"socket", "threading", "time", "selectors", "asyncio"}


def contents(folder: Path) -> dict[str, str]:
    files = (
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in files
    }


def out_of_step(tree: Path) -> list[str]:
    """The files that an export and a clean-up of `tree` change, add or take away."""
    before = contents(tree / "python_tcp"), contents(tree / "nbs")
    for module in (tree / "python_tcp").glob("[!_]*.py"):
        module.unlink()  # so that one without a notebook is noticed
    for command in ("nbdev_export", "nbdev_clean"):
        subprocess.run(
            [Path(sys.executable).with_name(command)], cwd=tree, check=True, timeout=120
        )
    after = contents(tree / "python_tcp"), contents(tree / "nbs")
    return sorted(
        {
            name
            for old, new in zip(before, after)
            for name in old.keys() | new.keys()
            if old.get(name) != new.get(name)
        }
    )


def test_the_package_is_what_the_notebooks_export(tree: Path) -> None:
    assert out_of_step(tree) == [], "run: make export"


def test_that_being_out_of_step_is_noticed(tree: Path) -> None:
    with (tree / "python_tcp" / "core.py").open("a") as module:
        module.write("\nedited_by_hand = True\n")
    (tree / "python_tcp" / "orphan.py").write_text("notebook = None\n")
    notebook = nbformat.read(tree / "nbs" / "00_core.ipynb", as_version=4)
    notebook.cells[-1].metadata["collapsed"] = True
    nbformat.write(notebook, tree / "nbs" / "00_core.ipynb")
    assert out_of_step(tree) == ["00_core.ipynb", "core.py", "orphan.py"]


def test_the_readme_is_the_index(tree: Path) -> None:
    command = [sys.executable, tree / "tools" / "readme.py", "--check"]
    assert subprocess.run(command).returncode == 0, "run: make readme"
    (tree / "README.md").write_text("# Something else\n")
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1


def test_what_is_made_from_the_chapters_is_up_to_date(tree: Path) -> None:
    """The map, the table for teachers and the links of the glossary; and a new chapter comes in by itself."""
    command = [sys.executable, tree / "tools" / "fill.py"]
    assert subprocess.run([*command, "--check"]).returncode == 0, "run: make export"
    cells = [
        nbformat.v4.new_markdown_cell(text)
        for text in ("# Something new\n\n> Learn it.", "A *ghost* and a *backlog*.")
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tree / "nbs" / "00_a.ipynb")
    assert (
        subprocess.run([*command, "--check"], stderr=subprocess.DEVNULL).returncode == 1
    )
    assert subprocess.run(command).returncode == 0
    index, glossary, teaching = (
        (tree / "nbs" / f"{name}.ipynb").read_text()
        for name in ("index", "95_glossary", "96_teaching")
    )
    assert "| 0 | [Something new](00_a.ipynb) | Learn it. |" in index
    assert "[0. Something new](00_a.ipynb) | 9 |" in teaching
    assert glossary.count(" → [Something new](00_a.ipynb)") == 2
    assert subprocess.run([*command, "--check"]).returncode == 0


def glossary() -> list[tuple[str, str, str | None]]:
    """Term, other forms, and the notebook that it links to."""
    text = "\n".join(
        cell.source
        for cell in nbformat.read(
            ROOT / "nbs" / "95_glossary.ipynb", as_version=4
        ).cells
    )
    entries = re.findall(
        r"^- \*\*(.+?)\*\*(?: \((.+?)\))?: \S.*?\.(?: → \[[^]]+\]\((\w+\.ipynb)\))?$",
        text,
        re.M,
    )
    assert (
        len(entries) == len(re.findall("^- ", text, re.M)) > 40
    )  # none has another form
    return entries


def test_the_glossary_links_to_chapters_that_have_the_term() -> None:
    for term, others, notebook in glossary():
        said = [
            re.sub("[ _-]", ".", form)
            for form in (term, *others.replace("`", "").split(", "))
            if form
        ]
        chapters = (
            [notebook]
            if notebook
            else [path.name for path in NOTEBOOKS if "00" <= path.name < "95"]
        )
        prose = " ".join(
            cell.source
            for name in chapters
            for cell in nbformat.read(ROOT / "nbs" / name, as_version=4).cells
            if cell.cell_type == "markdown"
        )
        assert bool(re.search(rf"\b({'|'.join(said)})(e?s)?\b", prose, re.I)) == bool(
            notebook
        ), f"{term}: {notebook}"


def test_the_glossary_is_in_order() -> None:
    terms = [re.sub(r"\W|_", "", term.lower()) for term, _, _ in glossary()]
    assert terms == sorted(terms)


def test_what_the_home_page_and_the_teachers_page_tell_to_type_is_there() -> None:
    text = "\n".join(
        cell.source
        for name in ("index", "96_teaching")
        for cell in nbformat.read(ROOT / "nbs" / f"{name}.ipynb", as_version=4).cells
    )
    typed = set(re.findall(r"\bmake (\w+)$|`make (\w+)`", text, re.M))
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    assert typed and {one or other for one, other in typed} <= set(targets)
    for command in ("chat_server", "chat_client"):
        lines = re.findall(rf"^\.venv/bin/{command}(.*)$", text, re.M)
        module = f"from python_tcp.chat_app import start_{command.partition('_')[2]} as start; start(['--help'])"
        usage = subprocess.run(
            [sys.executable, "-c", module], capture_output=True, text=True, timeout=30
        ).stdout
        assert (
            lines
            and all(
                option in usage
                for line in lines
                for option in re.findall(r"--\w+", line)
            )
            and "usage" in usage
        )


def test_links_of_the_readme_lead_to_files() -> None:
    links = re.findall(
        r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    missing = [
        link
        for link in links
        if not re.match(r"\w+:", link) and not (ROOT / link).exists()
    ]
    assert missing == []


def test_quarto_settings() -> None:
    stub = yaml.safe_load((ROOT / "nbs" / "_quarto.yml").read_text())
    assert stub == {"metadata-files": ["../_quarto.yml", "nbdev.yml", "sidebar.yml"]}
    live = yaml.safe_load((ROOT / "_quarto.yml").read_text())
    assert live["project"]["type"] == "website"
    assert list(live["format"]) == ["html"]
    assert {"light", "dark"} == live["format"]["html"]["theme"].keys()


@each_notebook
def test_form_of_a_notebook(path: Path) -> None:
    notebook = json.loads(
        path.read_text(encoding="utf-8")
    )  # as it is: nbformat would mend it
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    # nbdev takes this cell away and makes title and description of it: nothing else may stand there.
    assert re.fullmatch(r"# \S.*\n\n> \S.*", "".join(notebook["cells"][0]["source"]))


@each_notebook
def test_stored_outputs_have_no_ports_and_no_memory_addresses(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        text = str(cell.get("outputs", ""))
        assert not re.search(
            r"127\.0\.0\.1'?[:,] ?(?!80[08]0\b)\d{4,5}|0x[0-9a-f]{6,}", text
        ), cell.source


@each_module
def test_imports_go_down_only(path: Path) -> None:
    floor = FLOORS.get(path.stem, TOP)
    imported = imports(path)
    ours = {name.split(".")[1] for name in imported if name.startswith("python_tcp.")}
    assert {name for name in ours if FLOORS.get(name, TOP) >= floor} == set()
    if path.stem in SANS_IO:
        assert {name.split(".")[0] for name in imported} & IO == set()


def imports(path: Path) -> set[str]:
    """The full names of the modules that the module at `path` imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif (
            isinstance(node, ast.ImportFrom) and node.level
        ):  # from .core import x; from . import core
            names |= {f"python_tcp.{node.module or alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= (
                {f"python_tcp.{alias.name}" for alias in node.names}
                if node.module == "python_tcp"
                else {node.module}
            )
    return names
