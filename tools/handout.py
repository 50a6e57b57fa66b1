"""Writes the book for students: `python tools/handout.py [FOLDER]` makes FOLDER/python_tcp_handout.zip (default: _handout).

It has the notebooks with the checks and without the solutions, what was said about these, and their outputs; and the package, so that it runs
where it is unpacked. The same book gives the same bytes.
"""

import argparse
import ast
import configparser
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lean  # noqa: F401
import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"
NAME = "python_tcp_handout"
TIME = (1980, 1, 1, 0, 0, 0)  # of each file in the zip: the earliest that it can say

# Needed to install the package, or linked to by a chapter.
COPIED = [
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "nbs/images",
    "protocol",
    "pyproject.toml",
    "python_tcp",
    "settings.ini",
    "setup.py",
]
FOR_TEACHERS = {"teaching", "course"}  # pages that are not given out
IMPORTED = {
    "nbdev",
    "fastcore",
    "jupyter",
    "hypothesis",
    "pyte",
    "trustme",
}  # by notebooks only

START = """# A book that runs: for students

You need Python 3.11 or newer. In this folder:

    python3 -m venv .venv
    .venv/bin/python -m pip install -r requirements.txt
    .venv/bin/jupyter lab --notebook-dir=nbs

On Windows, write `.venv\\Scripts\\` for `.venv/bin/`. Begin with `index.ipynb`.

Write each answer into the cell that says "Your answer", and run the cell after it. It says `Right.`, or what is not yet right. Hand in the notebook.
"""


@dataclass
class Exercise:
    """Where an exercise stands in its notebook. Cells are given by their index."""

    title: str
    check: str = ""  # the name of the check
    answer: str = ""  # what the check is called with, as source
    first_tries: list[int] = field(default_factory=list)
    solutions: list[int] = field(default_factory=list)
    verdict: int = 0
    after: list[int] = field(default_factory=list)  # what follows the solution

    @property
    def names(self) -> list[str]:
        """What the answer has to define."""
        return names_in(self.answer)


def chapter_name(path: Path) -> str:
    """What a notebook is called, whatever its number is: `framing`."""
    return path.stem.lstrip("0123456789_")


def names_in(expression: str) -> list[str]:
    """The names that an expression uses, each once."""
    nodes = ast.walk(ast.parse(expression, mode="eval"))
    return list(dict.fromkeys(n.id for n in nodes if isinstance(n, ast.Name)))


def summary(source: str) -> str:
    """What a folded cell says of itself, such as "The check"."""
    said = re.search(r"^#\| *code-summary: *[\"']?([^\"'\n]*)", source, re.M)
    return said[1] if said else ""


def call_of_check(source: str) -> tuple[str, str] | None:
    """The name of the first check that a cell calls, and with what."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[answer]):
                if name.startswith("check_"):
                    return name, ast.unparse(answer)
    return None


def exercises_of(cells: list[NotebookNode]) -> list[Exercise]:
    """The exercises of a notebook that have a check and a solution, in order."""
    found: list[Exercise] = []
    for index, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            title = re.search(r"^#+ +(Exercise(?: \d+)?:.*)$", cell.source, re.M)
            if title:
                found.append(Exercise(title[1].strip()))
            elif found and found[-1].solutions:
                found[-1].after.append(index)
        elif found:
            _take(found[-1], index, cell.source)
    return [each for each in found if each.solutions]


def _take(exercise: Exercise, index: int, source: str) -> None:
    said = summary(source).lower()
    if "solution" in said:
        exercise.solutions.append(index)
    elif exercise.solutions and source.startswith("#| hide"):
        pass  # it cleans up
    elif exercise.solutions and not exercise.check:
        if call := call_of_check(source):
            (exercise.check, exercise.answer), exercise.verdict = call, index
        else:
            exercise.after.append(index)
    elif exercise.solutions:
        exercise.after.append(index)
    elif "try" in said:
        exercise.first_tries.append(index)


def without_solutions(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook as it is given out; each solution's cell waits for an answer."""
    cells = [NotebookNode(cell) for cell in notebook.cells]
    gone: set[int] = set()
    for each in exercises_of(cells):
        first, *others = each.solutions
        words = " and ".join(f"`{name}`" for name in each.names)
        cells[first] = _empty(cells[first], f"# Your answer: {words}")
        call = f"{each.check}({each.answer})"
        cells[each.verdict] = _empty(cells[each.verdict], call)
        gone |= {*others, *each.after}
    given = nbformat.v4.new_notebook(metadata=notebook.metadata)
    given.metadata["python_tcp"] = {"chapter": name}
    given.cells = [cell for index, cell in enumerate(cells) if index not in gone]
    return given


def _empty(cell: NotebookNode, source: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, id=cell.id)


def requirements() -> str:
    """What the notebooks need: the package with all its extras, and what only they import."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    keys = [key for key in settings["DEFAULT"] if key.endswith("_requirements")]
    extras = [key.removesuffix("_requirements") for key in keys]
    package = f"-e .[{','.join(each for each in extras if each != 'dev')}]"
    wanted = settings["DEFAULT"]["dev_requirements"].split()
    needed = [each for each in wanted if re.match(r"[\w-]+", each)[0] in IMPORTED]
    return "\n".join([package, *needed]) + "\n"


def contents() -> Iterator[tuple[str, bytes]]:
    """The files of the handout."""
    yield "START.md", START.encode()
    yield "requirements.txt", requirements().encode()
    for path in sorted(NBS.glob("*.ipynb")):
        if chapter_name(path) not in FOR_TEACHERS:
            notebook = nbformat.read(path, as_version=4)
            given = without_solutions(notebook, chapter_name(path))
            yield f"nbs/{path.name}", (nbformat.writes(given) + "\n").encode()
    for name in COPIED:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(ROOT).as_posix(), file.read_bytes()


def write(path: Path, files: Iterable[tuple[str, bytes]]) -> int:
    """Write a zip whose bytes depend on the files alone; how many there are."""
    count = 0
    with zipfile.ZipFile(path, "w") as archive:
        for count, (name, data) in enumerate(files, 1):
            entry = zipfile.ZipInfo(f"{NAME}/{name}", TIME)
            entry.external_attr, entry.create_system = 0o644 << 16, 3
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 6)
    return count


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Write the notebooks without solutions, as one zip."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "_handout")
    folder = parser.parse_args().folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{NAME}.zip"
        count = write(path, contents())
    except OSError as error:
        print(f"can't write {folder}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{path}: {count} files, without solutions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
