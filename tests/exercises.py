"""Answers to the book's exercises, and the checks they are given to.

A file `answers/<chapter>.py` has answers to the exercises of one chapter, each marked:

    @wrong("check_discard", "an end")  # the complaint must contain this
    def stops_too_early(sock): ...

    @right("check_discard")
    def with_a_list(sock): ...
"""

import ast
import linecache
import re
import symtable
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import nbformat

NBS = Path(__file__).resolve().parent.parent / "nbs"
Answer = Callable[..., Any]


class Try(NamedTuple):
    """An answer, and what the check must say of it: "Right." or a part of the complaint."""

    check: str
    answer: Answer
    said: str
    seconds: float  # about so long it takes


def right(check: str, seconds: float = 0.0) -> Callable[[Answer], Answer]:
    """The decorated answer must pass."""
    return wrong(check, "Right.", seconds)


def wrong(check: str, said: str, seconds: float = 0.0) -> Callable[[Answer], Answer]:
    """The decorated answer must not pass, and be told `said`."""

    def mark(answer: Answer) -> Answer:
        tries = vars(answer).get("tries", [])  # not those of a class above
        answer.tries = [*tries, Try(check, answer, said, seconds)]  # type: ignore[attr-defined]
        return answer

    return mark


def notebook_of(chapter: str) -> Path:
    """The notebook `NNN_chapter`, whatever its number is now."""
    [path] = [
        path
        for path in NBS.glob("[0-9]*.ipynb")
        if path.stem.partition("_")[2] == chapter
    ]
    return path


@cache
def cells_of(chapter: str) -> list[tuple[str, ast.Module]]:
    """The code cells of a chapter that are Python, and their trees."""
    cells = nbformat.read(notebook_of(chapter), as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    return [(each, ast.parse(each)) for each in sources if not each.startswith("%")]


def chapters() -> list[str]:
    """All of them, in order."""
    return [path.stem.partition("_")[2] for path in sorted(NBS.glob("[0-9]*.ipynb"))]


def right_ones_of(chapter: str) -> set[str]:
    """The names of the checks of which the notebook shows that they say "Right."."""
    found: set[str] = set()
    for cell in nbformat.read(notebook_of(chapter), as_version=4).cells:
        for output in cell.get("outputs", []):
            if output.get("data", {}).get("text/plain") == "Right.":
                found |= set(re.findall(r"\bcheck_\w+", cell.source))
    return found


def checks_of(chapter: str) -> list[str]:
    """The names of the checks of its exercises."""
    found = []
    for source, tree in cells_of(chapter):
        theirs = re.search(r'code-summary: "A.*(try|solution)"', source)
        if "#| code-fold: true\n" in source and not theirs:
            found += [
                each.name
                for each in tree.body
                if isinstance(each, ast.FunctionDef) and each.name.startswith("check_")
            ]
    return found


def _defined(source: str) -> set[str]:
    """The names that a cell gives a value."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {
        each.get_name() for each in symbols if each.is_assigned() or each.is_imported()
    }


def _used(source: str) -> set[str]:
    """The names that a cell takes from the notebook, in its functions too."""
    top = symtable.symtable(source, "cell", "exec")
    used, tables = set(), [top]
    for table in tables:  # the list grows
        tables += table.get_children()
        used |= {
            each.get_name()
            for each in table.get_symbols()
            if each.is_referenced() and (table is top or each.is_global())
        }
    return used - _defined(source)


@cache
def check_of(chapter: str, name: str) -> Callable[[Answer], str]:
    """A check of a chapter, made from its own cell and those that this one needs."""
    cells = cells_of(chapter)
    trees = [tree for _, tree in cells]
    [start] = [
        number
        for number, tree in enumerate(trees)
        if any(isinstance(x, ast.FunctionDef) and x.name == name for x in tree.body)
    ]
    needed, todo = {start}, [start]
    while todo:
        number = todo.pop()
        for used in _used(cells[number][0]):
            defining = [i for i in range(start) if used in _defined(cells[i][0])]
            earlier = [i for i in defining if i < number]
            for found in earlier[-1:] or defining[:1]:  # a function may use a later one
                if found not in needed:
                    needed.add(found)
                    todo.append(found)
    space: dict[str, Any] = {"__name__": f"notebook_{chapter}"}
    for number in sorted(needed):
        source, name_of_cell = cells[number][0], f"<cell {number} of {chapter}>"
        lines = source.splitlines(keepends=True)  # for complaints that show a line
        linecache.cache[name_of_cell] = (len(source), None, lines, name_of_cell)
        with suppress(
            AssertionError
        ):  # its own tests may need cells that were left out
            exec(compile(source, name_of_cell, "exec"), space)
    check: Callable[[Answer], str] = space[name]
    return check
