"""Writes the parts of pages that are made from the other pages: `python tools/fill.py`, or with --check says whether they are up to date.

- the map on the home page: a line for each chapter. What the line says the reader can do stays as it is; a new chapter's is its lead.
- the table on the teachers' page: what there is to tell in each chapter.
- the links of the glossary: each to the chapter where the term is taught.
"""

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import lean  # noqa: F401
import nbformat
from figures import NBS, chapter_paths, count

# The parts of the book: the number of the first chapter of each.
PARTS = {
    0: "I Bytes",
    7: "II One thread for all",
    16: "III A chat: words and rules",
    27: "III A chat: kept and delivered",
    32: "III A chat: the server",
    37: "III A chat: the client",
    50: "III A chat: terminal and commands",
    59: "IV Out in the world: privacy",
    66: "IV Out in the world: accounts and order",
    77: "IV Out in the world: running it",
    83: "V Many ways in: languages",
    92: "V Many ways in: web, window, asyncio",
    100: "VI Files beside a chat",
    111: "VII More than one machine",
    127: "VIII The lab",
}

MAP = re.compile(r"^\| \| chapter \|.*(?:\n\|.*)*$", re.MULTILINE)
LECTURES = re.compile(r"^\| chapter \| words \|.*(?:\n\|.*)*$", re.MULTILINE)
PLAN = re.compile(r"^\| week \| lecture \|.*(?:\n\|.*)*$", re.MULTILINE)
TERM = re.compile(
    r"^- \*\*(?P<term>[^*]+)\*\*(?: \((?P<others>[^)]+)\))?: (?P<text>.*?)(?P<link> → \[.*\]\(.*\))?$",
    re.MULTILINE,
)


@cache
def head(path: Path) -> tuple[str, str]:
    """A notebook's title and lead."""
    title, _, lead = (
        nbformat.read(path, as_version=4).cells[0].source.partition("\n\n> ")
    )
    return title.removeprefix("# "), lead.strip()


def number_of(file: str) -> int:
    """The number with which the name of a notebook begins."""
    return int(file.partition("_")[0])


def number(path: Path) -> str:
    """A chapter's number. An appendix has none."""
    return str(number_of(path.name)) if path.name < "90" else ""


def part(file: str) -> str:
    """The part to which a chapter belongs. An appendix is in none."""
    if file >= "90":
        return ""
    return PARTS[max(first for first in PARTS if first <= number_of(file))]


def new_map(old: re.Match) -> str:
    said = {
        match[1]: match[2]
        for match in re.finditer(r"\((\w+\.ipynb)\) \| (.*) \|$", old[0], re.MULTILINE)
    }
    rows = ["| | chapter | what you can do afterwards |", "|---|---|---|"]
    last = ""
    for path in chapter_paths():
        title, lead = head(path)
        now = part(path.name) or "Appendices"
        if now != last:
            rows.append(f"| | **{now}** | |")
        last = now
        rows.append(
            f"| {number(path)} | [{title}]({path.name}) | {said.get(path.name, lead)} |"
        )
    return "\n".join(rows)


def new_lectures(old: re.Match) -> str:
    rows = [
        "| chapter | words | code cells | lines of code | exercises | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for path in chapter_paths():
        it = count(path)
        title = f"{number(path)}. {head(path)[0]}".removeprefix(". ")
        rows.append(
            f"| [{title}]({path.name}) | {it.words} | {len(it.lines)} | {sum(it.lines)} | {len(it.exercises)} | {it.minutes} |"
        )
    return "\n".join(rows)


def new_plan(old: re.Match) -> str:
    """The plan for a term: for each week the minutes of the chapters that its lecture links to."""
    return re.sub(
        r"^(\| \d+ \| )([^|]*\.ipynb[^|]*)\| \d+ ", counted, old[0], flags=re.M
    )


def counted(row: re.Match) -> str:
    names = re.findall(r"\((\w+\.ipynb)\)", row[2])
    return f"{row[1]}{row[2]}| {sum(count(NBS / name).minutes for name in names)} "


HOMES = {"IP": "000_core.ipynb", "thread": "971_notebooks.ipynb"}


def new_link(old: re.Match) -> str:
    entry = old[0].removesuffix(old["link"] or "")
    forms = [old["term"], *(old["others"] or "").split(", ")]
    path = NBS / HOMES[forms[0]] if forms[0] in HOMES else taught_in(forms)
    return f"{entry} → [{head(path)[0]}]({path.name})" if path else entry


def taught_in(forms: list[str]) -> Path | None:
    """The first chapter that emphasizes the term, as one does where it is explained; else one that has it in a heading; else the one that has it most."""
    pattern = said(forms)
    texts = {path: prose(path) for path in chapter_paths()}
    for place in (rf"(?<!\*)\*{pattern}\*(?!\*)", rf"^#+ .*{pattern}"):
        for path, text in texts.items():
            if re.search(place, text, re.IGNORECASE | re.MULTILINE):
                return path
    uses = {
        path: len(re.findall(pattern, text, re.IGNORECASE))
        for path, text in texts.items()
    }
    best = max(
        uses, key=lambda path: (min(uses[path], 1), path.name < "90", uses[path])
    )  # an appendix only where no chapter has it
    return best if uses[best] else None


def said(forms: list[str]) -> str:
    """A pattern for a term in running text: also in the plural, with a hyphen or an underscore for a blank."""
    words = (
        re.sub(
            r"[ _-]", "[ _-]", re.escape(form).replace("\\ ", " ").replace("\\-", "-")
        )
        for form in forms
        if form
    )
    return rf"(?<!\w)(?:{'|'.join(words)})(?:e?s)?(?!\w)"


@cache
def prose(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(
        re.sub(r"^```.*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)
        for cell in cells
        if cell.cell_type == "markdown"
    )


PLACES: list[tuple[str, re.Pattern, Callable[[re.Match], str]]] = [
    ("index.ipynb", MAP, new_map),
    ("980_teaching.ipynb", LECTURES, new_lectures),
    ("981_course.ipynb", PLAN, new_plan),
    ("970_glossary.ipynb", TERM, new_link),
]


def main() -> int:
    stale = []
    for name, pattern, new in PLACES:
        notebook = nbformat.read(NBS / name, as_version=4)
        before = [cell.source for cell in notebook.cells]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = pattern.sub(new, cell.source)
        if before != [cell.source for cell in notebook.cells]:
            stale.append(name)
            if "--check" not in sys.argv:
                nbformat.write(notebook, NBS / name)
    if stale and "--check" in sys.argv:
        print(
            f"{', '.join(stale)}: not in step with the chapters; run: make export",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
