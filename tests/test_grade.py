"""Marking notebooks that were handed in: by the book's checks, each on its own, whatever is in it."""

import csv
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from helpers import runs
from waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow(seconds=8)


@pytest.fixture
def grade(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    yield importlib.import_module("grade")


HANGS = "import time\nwhile True: time.sleep(1)"
RIGHT_LINE = (
    "def add_line(text):\n"
    "    line = text.encode()\n"
    "    if b'\\n' in line or line.endswith(b'\\r'):\n"
    "        raise ValueError(text)\n"
    "    return line + b'\\n'"
)
HEADS = """class HeadFramer:
    def __init__(self, limit):
        self.limit, self.rest, self.seen = limit, bytearray(), 0
    def feed(self, chunk):
        self.rest += chunk
        heads = []
        while (end := self.rest.find(b"\\r\\n\\r\\n", self.seen)) >= 0:
            if end > self.limit:
                raise ValueError("too long")
            heads.append(bytes(self.rest[:end]))
            del self.rest[: end + 4]
            self.seen = 0
        self.seen = max(0, len(self.rest) - 3)
        if self.seen > self.limit:
            raise ValueError("too long")
        return heads"""


Hand = Callable[..., Path]


@pytest.fixture
def hand_in(grade: ModuleType, tmp_path: Path) -> Hand:
    [chapter] = grade.NBS.glob("[0-9]*_framing.ipynb")
    book = nbformat.read(chapter, as_version=4)

    def write(name: str, before: str = "", check: str = "", **answers: str) -> Path:
        paper = grade.without_solutions(book, "framing")
        for cell in paper.cells:
            for what, source in answers.items():
                if cell.source == f"# Your answer: `{what}`":
                    cell.source = source
            if check and "def check_heads(" in cell.source:
                cell.source = check
        paper.cells.insert(5, nbformat.v4.new_code_cell(before))
        nbformat.write(paper, tmp_path / f"{name}.ipynb")
        return tmp_path / f"{name}.ipynb"

    return write


def marks(paper: object) -> list[str]:
    return [mark.outcome for mark in paper.marks]  # type: ignore[attr-defined]


def test_right_wrong_and_missing(grade: ModuleType, hand_in: Hand) -> None:
    path = hand_in(
        "ann", add_line=RIGHT_LINE, HeadFramer="HeadFramer = 7", is_right="is_right(",
        NetstringFramer="class NetstringFramer:\n    def __init__(self, limit): 1 / 0",
    )  # fmt: skip
    paper = grade.mark_paper(path, "ann", 60)
    assert paper.problem == "" and paper.chapter == "framing"
    assert marks(paper) == ["right", "wrong", "wrong", "missing"]
    said = [mark.complaint for mark in paper.marks]
    assert said[1] == "The check got 7 and wanted a function or a class."
    assert "1 / 0`: ZeroDivisionError" in said[2]
    assert said[3].startswith("The cell ended in line `is_right(` with SyntaxError")


def test_the_checks_are_the_books(grade: ModuleType, hand_in: Hand) -> None:
    cheat = "def expect(*a): pass\ndef frames_of(*a): return []\n"
    cheat += "import python_tcp.check\npython_tcp.check.expect = expect\n"
    cheat += "def check(f): return lambda *a: 'Right.'\n"
    cheat += (
        "@check\ndef check_heads(answer): pass\ndef check_add_line(a): return 'Right.'"
    )
    path = hand_in(
        "cy", before=cheat, check=cheat, add_line="def add_line(text): return text.encode()",
        HeadFramer="class HeadFramer:\n    feed = list",
        is_right="print('Right.')\n'Right.'\nis_right = lambda make: True",
    )  # fmt: skip
    paper = grade.mark_paper(path, "cy", 60)
    assert marks(paper) == ["wrong", "wrong", "missing", "wrong"]
    assert "add_line('hello')" in paper.marks[0].complaint


def test_what_is_written_elsewhere_counts_too(grade: ModuleType, hand_in: Hand) -> None:
    path = hand_in("dan", before=HEADS + "\n" + RIGHT_LINE)
    assert marks(grade.mark_paper(path, "dan", 60)) == ["right", "right", "missing", "missing"]  # fmt: skip


def test_the_whole_book_is_right_with_its_own_solutions(grade: ModuleType) -> None:
    [path] = grade.NBS.glob("[0-9]*_framing.ipynb")
    assert marks(grade.mark_paper(path, "book", 60)) == ["right"] * 4


@pytest.mark.slow(seconds=40)
def test_nothing_hangs_it_and_nothing_is_left(
    grade: ModuleType, hand_in: Hand, tmp_path: Path
) -> None:
    left = tmp_path / "pid"
    leaves = "import subprocess, sys, os, pathlib\n"
    leaves += "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=-1)\n"
    leaves += f"pathlib.Path({str(left)!r}).write_text(str(child.pid))\n"
    path = hand_in(
        "eve", before="open('mine', 'w').write('x')", add_line=leaves + HANGS,
        HeadFramer="import os; os._exit(0)", NetstringFramer="input()",
        is_right="import os; os.kill(os.getpid(), 9)",
    )  # fmt: skip
    paper = grade.mark_paper(path, "eve", 10)
    assert marks(paper) == ["wrong", "wrong", "missing", "wrong"]
    assert paper.marks[0].complaint == "It did not end within 10 s, and was ended."
    assert paper.marks[1].complaint == "It ended the program that marks it."
    assert not Path("mine").exists() and not (grade.NBS / "mine").exists()
    wait_until(lambda: not runs(int(left.read_text())))


def test_cells_before_the_exercises_that_hang_are_left_out(
    grade: ModuleType, hand_in: Hand
) -> None:
    path = hand_in("fay", before=HANGS, add_line=RIGHT_LINE)
    assert marks(grade.mark_paper(path, "fay", 10))[:2] == ["right", "missing"]


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools/grade.py", *words],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip


def test_a_table_of_a_folder(hand_in: Hand, tmp_path: Path) -> None:
    hand_in("ann", add_line=RIGHT_LINE)
    hand_in("=bob")
    (tmp_path / "cy.ipynb").write_text("no notebook")
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# My own")])
    nbformat.write(other, tmp_path / "dan.ipynb")
    done = command(tmp_path, "--csv", tmp_path / "marks.csv")
    assert done.returncode == 0 and done.stderr == ""
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[2][0] == "ann.ipynb"
    assert lines[2][2:] == "1 of 4 right missing missing missing".split()
    assert "cy.ipynb" in lines[3] and "is no notebook" in " ".join(lines[3])
    assert "its title is no chapter's: # My own" in " ".join(lines[4])
    with (tmp_path / "marks.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["notebook", "chapter", "exercise", "mark", "complaint"]
    assert [row[0] for row in rows[1:5]] == ["'=bob.ipynb"] * 4
    assert [row[3] for row in rows[5:9]] == ["right", "missing", "missing", "missing"]


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "there is no notebook to mark; say make grade FILES=FOLDER\n"),
        (["nowhere.ipynb"], "there is no nowhere.ipynb\n"),
    ],
)
def test_what_cannot_be_marked_is_one_line(words: list[str], said: str) -> None:
    done = command(*words)
    assert (done.returncode, done.stderr) == (2, said)
