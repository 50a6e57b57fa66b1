"""Counts what can be counted of each chapter, against the book's aims: `python tools/figures.py [NOTEBOOK ...]`.

A figure that misses its aim has a `!` after it. The aims are a compass: a chapter may have its reasons.
"""

import argparse
import ast
import math
import re
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import lean  # noqa: F401
import nbformat

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"

# How long a lecture on a chapter takes: a rule of thumb, and the teachers' page says so.
WORDS_PER_MINUTE, LINES_PER_MINUTE = 130, 10

HIDDEN = re.compile(r"^#\| *(hide|default_exp)\b|^#\| *include: *false", re.MULTILINE)
CHECK = re.compile(r"^\s*(assert\b|test_\w+\(|expect\()", re.MULTILINE)


@dataclass
class Exercise:
    title: str
    has_check: bool
    has_solution: bool

    @property
    def whole(self) -> bool:
        return self.has_check and self.has_solution


@dataclass
class Figures:
    """What is counted of one notebook."""

    name: str
    lines: list[int]  # of each code cell that the reader sees
    classes: list[int]  # of those that hold one exported class, whole
    texts: int  # text cells
    words: int
    checks: int
    exports: int
    exercises: list[Exercise]

    @property
    def median(self) -> float:
        return statistics.median(self.lines)

    @property
    def ninth(self) -> int:
        """Nine cells of ten have at most so many lines."""
        return sorted(self.lines)[math.ceil(0.9 * len(self.lines)) - 1]

    @property
    def longest_class(self) -> int:
        """A class stands whole in a cell of its own, so such a cell may be long."""
        return max(self.classes, default=0)

    @property
    def longest_other(self) -> int:
        others = self.lines.copy()
        for lines in self.classes:
            others.remove(lines)
        return max(others, default=0)

    @property
    def minutes(self) -> int:
        """How long it takes to tell and to run, in a lecture: to the next five minutes."""
        return 5 * math.ceil(
            (self.words / WORDS_PER_MINUTE + sum(self.lines) / LINES_PER_MINUTE) / 5
        )


def count(path: Path) -> Figures:
    cells = nbformat.read(path, as_version=4).cells
    shown = [
        cell
        for cell in cells
        if cell.cell_type == "code"
        and not HIDDEN.search(cell.source)
        and code_lines(cell.source)
    ]
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return Figures(
        name=path.stem,
        lines=[len(code_lines(cell.source)) for cell in shown],
        classes=[
            len(code_lines(cell.source)) for cell in shown if is_class(cell.source)
        ],
        texts=len(texts),
        words=sum(map(prose_words, texts)),
        checks=sum(
            len(CHECK.findall(cell.source))
            for cell in cells
            if cell.cell_type == "code"
        ),
        exports=sum(
            exported_names(cell.source) for cell in cells if cell.cell_type == "code"
        ),
        exercises=list(exercises(cells)),
    )


def code_lines(source: str) -> list[str]:
    """Without blank lines and directives."""
    return [
        line
        for line in source.splitlines()
        if line.strip() and not line.startswith("#|")
    ]


def prose_words(text: str) -> int:
    """Words outside fenced code; a link counts for what is read of it."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return len(re.findall(r"\w[\w'’.-]*", re.sub(r"\]\([^)]*\)", "]", text)))


def is_class(source: str) -> bool:
    """Does the cell export one class, and nothing else?"""
    if not re.match(r"#\| *exports?\b", source):
        return False
    body = ast.parse(source).body
    return len(body) == 1 and isinstance(body[0], ast.ClassDef)


def exported_names(source: str) -> int:
    """How many public functions and classes a cell exports."""
    if not re.match(r"#\| *exports?\b", source):
        return 0
    defined = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )
    return sum(not node.name.startswith("_") for node in defined)


def exercises(cells: list[nbformat.NotebookNode]) -> Iterable[Exercise]:
    """A heading `Exercise N: title` opens one; it goes to the next heading. Older ones are the entries of a numbered list."""
    found: list[Exercise] = []
    inside = False
    for cell in cells:
        if cell.cell_type == "markdown":
            if inside := inside or "## Exercises" in cell.source:
                titles = re.findall(
                    r"^#+ +(Exercise \d+.*)$", cell.source, re.MULTILINE
                )
                titles = titles or re.findall(
                    r"^\d+\. +(.*)$", cell.source, re.MULTILINE
                )
                found += [Exercise(title, False, False) for title in titles]
        elif inside and found:
            summary = re.search(
                r"^#\| *code-summary: *[\"']?([^\"'\n]*)", cell.source, re.MULTILINE
            )
            found[-1].has_check |= (
                re.search(r"^@check\b", cell.source, re.MULTILINE) is not None
            )
            found[-1].has_solution |= (
                summary is not None and "solution" in summary[1].lower()
            )
    return found


def table(chapters: list[Figures]) -> str:
    """The figures of the chapters, the aims below."""
    rows = [
        [
            "chapter",
            "code cells",
            "median lines",
            "90 % within",
            "class",
            "other cell",
            "texts/cell",
            "words/line",
            "checks/export",
            "exercises",
        ],
        *map(row, chapters),
    ]
    rows.append(
        [
            "aim",
            "",
            "3 to 5",
            "under 12",
            "at most 120",
            "at most 30",
            "0.8 to 1.3",
            "4 to 8",
            "at least 1",
            "2 to 5, whole",
        ]
    )
    widths = [max(len(each[column]) for each in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [
                each[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(each[1:], widths[1:])),
            ]
        )
        for each in rows
    )


def row(it: Figures) -> list[str]:
    texts, words = it.texts / len(it.lines), it.words / sum(it.lines)
    whole = sum(exercise.whole for exercise in it.exercises)
    return [
        it.name,
        str(len(it.lines)),
        judged(it.median, 3 <= it.median <= 5, "g"),
        judged(it.ninth, it.ninth < 12),
        judged(it.longest_class, it.longest_class <= 120),
        judged(it.longest_other, it.longest_other <= 30),
        judged(texts, 0.8 <= texts <= 1.3, ".1f"),
        judged(words, 4 <= words <= 8, ".1f"),
        judged(it.checks / it.exports, it.checks >= it.exports, ".1f")
        if it.exports
        else f"{it.checks}/0",
        f"{whole} of {len(it.exercises)}"
        + "!" * (not 2 <= len(it.exercises) == whole <= 5),
    ]


def judged(value: float, good: bool, form: str = "") -> str:
    return f"{value:{form}}" + "!" * (not good)


def chapter_paths() -> list[Path]:
    """Chapters and appendices; not the home page, the glossary and the page for teachers."""
    return [path for path in sorted(NBS.glob("[0-9]*.ipynb")) if path.name < "97"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Count what can be counted of each chapter."
    )
    parser.add_argument(
        "notebooks", nargs="*", type=Path, help="default: all chapters and appendices"
    )
    print(
        table(
            [count(path) for path in parser.parse_args().notebooks or chapter_paths()]
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
