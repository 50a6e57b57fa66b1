"""The figures of the chapters: counted right on a small notebook, and printed for every chapter of the book."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent

CELLS = [
    new_markdown_cell("# Small\n\n> Four words of lead."),  # 5 words
    new_code_cell("#| default_exp small"),
    new_code_cell("#| hide\nfrom fastcore.test import test_eq"),
    new_markdown_cell(
        "Look at [this link](https://example.org/far/away.html).\n\n```sh\nnot counted here\n```"
    ),  # 4 words
    new_code_cell(
        '#| exports\ndef double(n):\n    """Twice `n`."""\n\n    return 2 * n\n\ndef _private(): ...'
    ),  # 4 lines, 1 export
    new_code_cell("test_eq(double(2), 4)\nassert double(0) == 0"),  # 2 lines, 2 checks
    new_code_cell("double(3)"),  # 1 line
    new_markdown_cell("## Exercises"),  # 1 word
    new_markdown_cell("### Exercise 1: triple\n\nWrite it."),  # 5 words
    new_code_cell(
        '#| code-fold: true\n#| code-summary: "The check"\n@check\ndef check_triple(answer):\n    expect("3", 3, answer(1))'
    ),  # 3 lines, 1 check
    new_code_cell(
        '#| code-fold: true\n#| code-summary: "A solution"\ntriple = lambda n: 3 * n'
    ),  # 1 line
    new_markdown_cell("### Exercise 2: no check yet"),  # 5 words
]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    yield importlib.import_module("figures")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    nbformat.write(new_notebook(cells=CELLS), tmp_path / "00_small.ipynb")
    return tmp_path / "00_small.ipynb"


def test_counts(figures: ModuleType, small: Path) -> None:
    it = figures.count(small)
    assert (it.name, it.lines, it.median, it.ninth) == (
        "00_small",
        [4, 2, 1, 3, 1],
        2,
        4,
    )
    assert (it.texts, it.words, it.checks, it.exports, it.minutes) == (5, 20, 3, 1, 5)
    assert [
        (exercise.title, exercise.has_check, exercise.has_solution)
        for exercise in it.exercises
    ] == [
        ("Exercise 1: triple", True, True),
        ("Exercise 2: no check yet", False, False),
    ]


def test_what_misses_its_aim_is_marked(figures: ModuleType, small: Path) -> None:
    header, row, aims = (
        line.split("  ") for line in figures.table([figures.count(small)]).splitlines()
    )
    cells = [cell.strip() for cell in row if cell.strip()]
    assert " ".join(cells) == "00_small 5 2! 4 0 4 1.0 1.8! 3.0 1 of 2!"
    assert {"at most 30", "at most 120"} <= {cell.strip() for cell in aims}


@pytest.mark.parametrize(
    ("lines", "alone", "expected"),
    [(120, True, "120 1"), (121, True, "121! 1"), (30, False, "0 32!")],
)
def test_a_class_may_be_long_if_it_stands_alone(
    figures: ModuleType, tmp_path: Path, lines: int, alone: bool, expected: str
) -> None:
    source = "#| exports\nclass Long:\n" + "    x = 1\n" * (lines - 1)
    cells = [new_code_cell(source + "y = 1\nz = 2" * (not alone)), new_code_cell("1")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_long.ipynb")
    it = figures.count(tmp_path / "00_long.ipynb")
    assert " ".join(figures.row(it)[4:6]) == expected


def test_older_exercises_are_counted(figures: ModuleType) -> None:
    cells = [
        new_markdown_cell("1. not an exercise"),
        new_markdown_cell("## Exercises\n\n1. First.\n2. Second."),
    ]
    assert [exercise.title for exercise in figures.exercises(cells)] == [
        "First.",
        "Second.",
    ]


@pytest.mark.slow
def test_every_chapter_has_its_line() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "figures.py"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == [
        "chapter",
        *(
            path.stem
            for path in sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
            if path.name < "97"
        ),
        "aim",
    ]
