"""Where a chapter uses a word of the glossary for the first time, it links to it."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDS = (
    "A record of [TLS](059_security.ipynb) and a kernel",
    "A `RST`. The peer sends a RST, and *linger*s; a RST more.",
    "# A FIN\n\n> A FIN\n\n| FIN |\n\n```\nFIN\n```\n\n    FIN = 1\n\nA FIN, *a handshake of TCP with ACK*.",
    "## What we learned\n\n- A SYN.\n\n## Exercises\n\nA packet, and the NAT-box.",
)


@pytest.fixture
def terms(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import terms

    return terms


def chapter(folder: Path, texts: tuple[str, ...]) -> Path:
    cells = [nbformat.v4.new_markdown_cell(text) for text in ("# A title", *texts)]
    path = folder / "000_a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_term_is_linked_at_its_first_use(tmp_path: Path, terms: ModuleType) -> None:
    path = chapter(tmp_path, RECORDS)
    terms.link(path)
    linked = [cell.source for cell in nbformat.read(path, as_version=4).cells[1:]]
    glossary = "970_glossary.ipynb"
    assert linked == [
        f"A record of [TLS](059_security.ipynb) and a [kernel]({glossary}#K)",
        f"A `RST`. The [peer]({glossary}#P) sends a [RST]({glossary}#R), and *linger*s; a RST more.",
        RECORDS[2].replace("A FIN, *", f"A [FIN]({glossary}#F), *"),
        RECORDS[3]
        .replace("packet", f"[packet]({glossary}#P)")
        .replace("NAT", f"[NAT]({glossary}#N)"),
    ]
    assert terms.missing(path) == []


@pytest.mark.slow(seconds=8)
def test_every_chapter_has_its_links() -> None:
    command = [sys.executable, ROOT / "tools" / "terms.py", "--check"]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, f"run: make export\n{said.stdout}{said.stderr}"


def test_the_links_lead_to_sections_of_the_glossary(terms: ModuleType) -> None:
    cells = nbformat.read(ROOT / "nbs" / terms.GLOSSARY, as_version=4).cells
    sections = {cell.source.split("\n")[0].removeprefix("## ") for cell in cells}
    assert {term.target.partition("#")[2] for term in terms.terms()} <= sections


def test_every_chapter_leads_to_the_page_about_notebooks() -> None:
    without = []
    for path in sorted((ROOT / "nbs").glob("[0-9]*.ipynb")):
        text = path.read_text(encoding="utf-8")
        if "**What you should know:**" in text and path.name < "97":
            if "_notebooks.ipynb)" not in text:
                without.append(path.name)
    assert without == []
