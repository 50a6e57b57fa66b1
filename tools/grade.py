"""Marks notebooks that were handed in: `python tools/grade.py [--csv FILE] [--limit SECONDS] NOTEBOOK_OR_FOLDER ...`.

The chapter and its checks come from this copy of the book. Of the notebook that was handed in, only those cells are run that the book does not have.
Each notebook has a process of its own, a home and folder of its own, and a time limit for each exercise. That keeps careless code apart; code that
is written to do harm needs a container or a machine of its own.
"""

import argparse
import contextlib
import csv
import json
import linecache
import os
import re
import secrets
import select
import subprocess
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lean  # noqa: F401
import nbformat
from handout import NBS, Exercise, chapter_name, exercises_of, without_solutions
from nbformat import NotebookNode

from python_tcp.lab_program import MARK, kill_all
from python_tcp.text import sanitize

START = 90.0  # seconds that a chapter may take until its exercises begin
RIGHT, WRONG, MISSING = "right", "wrong", "missing"
MOST_FILE, MOST_MEMORY = 100_000_000, 4_000_000_000  # bytes that one may use
HEADING = re.compile(r"^#+ +(Exercise(?: \d+)?:.*)$", re.M)


@dataclass
class Mark:
    """What a check says of one answer."""

    exercise: str
    outcome: str
    complaint: str = ""


@dataclass
class Paper:
    """One notebook that was handed in."""

    name: str
    chapter: str = ""
    marks: list[Mark] = field(default_factory=list)
    problem: str = ""  # why it could not be marked


def title_of(notebook: NotebookNode) -> str:
    first = notebook.cells[0].source if notebook.cells else ""
    return first.partition("\n")[0].strip()


def chapter_of(notebook: NotebookNode) -> Path:
    """The notebook of the book from which this one was made.

    Raises `ValueError` if it is none of them.
    """
    name = notebook.metadata.get("python_tcp", {}).get("chapter", "")
    for path in sorted(NBS.glob("[0-9]*.ipynb")):
        if chapter_name(path) == name:
            return path
    title = title_of(notebook)
    for path in sorted(NBS.glob("[0-9]*.ipynb")):
        if title and title == title_of(nbformat.read(path, as_version=4)):
            return path
    raise ValueError(f"its title is no chapter's: {title or 'there is none'}")


def own_cells(
    handed_in: NotebookNode, book: NotebookNode, name: str
) -> dict[str, list[str]]:
    """The code that the book does not have, by the title of its exercise; "" is before all."""
    given = [*book.cells, *without_solutions(book, name).cells]
    known = {cell.source.strip() for cell in given if cell.cell_type == "code"}
    for each in exercises_of(book.cells):  # a solution is an answer as any other
        known -= {book.cells[index].source.strip() for index in each.solutions}
    found: dict[str, list[str]] = {}
    title = ""
    for cell in handed_in.cells:
        source = cell.source.strip()
        if cell.cell_type == "markdown":
            heading = HEADING.search(source)
            title = heading[1].strip() if heading else title
        elif cell.cell_type == "code" and source and source not in known:
            found.setdefault(title, []).append(source)
    return found


def read_paper(path: Path) -> tuple[Path, dict[str, list[str]]]:
    """The chapter of a notebook, and what its student wrote.

    Raises `ValueError` with one line.
    """
    try:
        handed_in = nbformat.read(path, as_version=4)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None
    except Exception:  # nbformat raises many kinds, and so does JSON
        raise ValueError("is no notebook") from None
    chapter = chapter_of(handed_in)
    book = nbformat.read(chapter, as_version=4)
    return chapter, own_cells(handed_in, book, chapter_name(chapter))


# -- the process that runs one notebook -----------------------------------------


def new_space(name: str) -> tuple[Any, dict[str, Any]]:
    """A shell that runs cells, and the names in them."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    module = types.ModuleType(name)
    return InteractiveShell(
        config=config, user_module=module, user_ns=vars(module)
    ), vars(module)


def complaint_of(error: BaseException) -> str:
    """What a cell raised, and in which line of it."""
    line, why = "", str(error)
    if isinstance(error, SyntaxError):
        line, why = (error.text or "").strip(), error.msg
    else:
        for frame, number in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename.startswith("<ipython-input"):
                line = linecache.getline(frame.f_code.co_filename, number).strip()
    where = f" in line `{line}`" if line else ""
    return f"The cell ended{where} with {type(error).__name__}: {why}"


def run_own(shell: Any, sources: Iterable[str]) -> str:
    """Run cells of the student; the complaint of the first that raised."""
    said = ""
    for source in sources:
        done = shell.run_cell(source, store_history=False)
        error = done.error_before_exec or done.error_in_exec
        if error is not None:
            said = said or complaint_of(error)
    return said


def mark_one(
    each: Exercise, own: list[str], book: dict[str, Any], space: dict[str, Any], shell: Any
) -> Mark:  # fmt: skip
    """Run an answer, and the book's check on it."""
    said = run_own(shell, own)
    for name in each.names:
        if name not in space or (name in book and space[name] is book[name]):
            return Mark(each.title, MISSING, said or f"Nothing is called {name}.")
    try:
        verdict = str(book[each.check](eval(each.answer, space)))
    except Exception as error:
        return Mark(each.title, WRONG, complaint_of(error))
    if verdict == "Right.":
        return Mark(each.title, RIGHT)
    return Mark(each.title, WRONG, verdict.removeprefix("Not yet. "))


def run_book(shell: Any, cells: list[NotebookNode]) -> None:
    """Run the chapter and its checks: all but first tries, solutions and what belongs to these."""
    left_out: set[int] = set()
    for each in exercises_of(cells):
        left_out |= {*each.first_tries, *each.solutions, each.verdict, *each.after}
    for index, cell in enumerate(cells):
        skipped = re.search(r"^\s*#\|\s*eval:\s*false", cell.source, re.M)
        if cell.cell_type == "code" and index not in left_out and not skipped:
            if cell.source.startswith("#| hide\nfolder.cleanup()"):
                continue  # the checks still need it
            shell.run_cell(cell.source, store_history=False).raise_error()


def child(chapter: str, job: str, results: int) -> None:
    """Mark the exercises of one notebook; a line of JSON for each goes to `results`."""
    _limit_resources()
    task = json.loads(Path(job).read_text(encoding="utf-8"))
    cells = nbformat.read(chapter, as_version=4).cells
    here = os.getcwd()
    os.chdir(NBS)
    teacher, book = new_space("book")
    run_book(teacher, cells)
    os.chdir(here)
    student, space = new_space("__main__")
    space.update({name: value for name, value in book.items() if name[:2] != "__"})
    with open(results, "w", buffering=1, encoding="utf-8") as out:
        print(json.dumps({"begins": ""}), file=out)
        run_own(student, task["own"].get("", []))
        for each in exercises_of(cells):
            own = task["own"].get(each.title, [])
            if each.title not in task["done"]:
                print(json.dumps({"begins": each.title}), file=out)
                mark = mark_one(each, own, book, space, student)
                print(json.dumps({"mark": vars(mark)}), file=out)
        print(json.dumps({"ends": True}), file=out)
    os._exit(0)  # threads of wrong answers may still run


def _limit_resources() -> None:
    with contextlib.suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE, MOST_FILE))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


# -- the process that starts these, and writes the table ------------------------


@contextlib.contextmanager
def marking(
    chapter: Path, own: dict[str, list[str]], done: Iterable[str]
) -> Iterator[int]:
    """Start the process; gives the end of the pipe from which its results are read."""
    mark = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name, "work").mkdir()
        job = Path(name, "job.json")
        job.write_text(json.dumps({"own": own, "done": list(done)}), encoding="utf-8")
        more = {"HOME": name, "TMPDIR": name, "IPYTHONDIR": name, "IN_TEST": "1"}
        more |= {MARK: mark, "PYTHONPATH": str(NBS.parent)}
        read_end, write_end = os.pipe()
        words = [__file__, "--child", str(chapter), str(job), str(write_end)]
        process = subprocess.Popen(
            [sys.executable, *words], cwd=Path(name, "work"), env={**os.environ, **more},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=[write_end], start_new_session=True,
        )  # fmt: skip
        os.close(write_end)
        try:
            yield read_end
        finally:
            os.close(read_end)
            process.kill()
            process.wait()
            kill_all(mark)


def lines_until_late(read_end: int, limit: float) -> Iterator[dict[str, Any]]:
    """What the process says; ends with {"late": ...} if a line is late, or {} at its end."""
    rest, wait = b"", START
    while True:
        end = time.monotonic() + wait
        while b"\n" not in rest:
            ready, _, _ = select.select([read_end], [], [], end - time.monotonic())
            if not ready:
                yield {"late": wait}
                return
            if not (chunk := os.read(read_end, 65_536)):
                yield {}
                return
            rest += chunk
        line, _, rest = rest.partition(b"\n")
        wait = limit
        yield json.loads(line)


def mark_paper(path: Path, name: str, limit: float) -> Paper:
    """Mark one notebook. An exercise that ends or holds up the process is wrong, and the others are marked all the same."""
    paper = Paper(name)
    try:
        chapter, own = read_paper(path)
    except ValueError as error:
        paper.problem = str(error)
        return paper
    paper.chapter = chapter_name(chapter)
    exercises = exercises_of(nbformat.read(chapter, as_version=4).cells)
    if not exercises:
        paper.problem = "the chapter has no exercises with a check"
    while len(paper.marks) < len(exercises) and not paper.problem:
        _mark_rest(paper, chapter, own, limit)
    order = [each.title for each in exercises]
    paper.marks.sort(key=lambda mark: order.index(mark.exercise))
    return paper


def _mark_rest(
    paper: Paper, chapter: Path, own: dict[str, list[str]], limit: float
) -> None:
    """Mark what is not marked yet, up to the first answer that never comes back."""
    begun: str | None = None
    done = [mark.exercise for mark in paper.marks]
    with marking(chapter, own, done) as read_end:
        for said in lines_until_late(read_end, limit):
            if "begins" in said:
                begun = said["begins"]
            elif "mark" in said:
                paper.marks.append(Mark(**said["mark"]))
            elif "ends" in said:
                return
            elif begun is None:
                paper.problem = "the chapter itself does not run here"
            else:
                why = f"It did not end within {limit:g} s, and was ended."
                if "late" not in said:
                    why = "It ended the program that marks it."
                if begun:
                    paper.marks.append(Mark(begun, WRONG, why))
                else:  # in the cells before the exercises: do without them
                    own.pop("", None)


def papers_in(names: Iterable[str]) -> list[tuple[Path, str]]:
    """The notebooks, each with the name under which it stands in the table.

    Raises `ValueError` with one line where there is none.
    """
    found: list[tuple[Path, str]] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(path.rglob("*.ipynb"))
            shown = [each for each in inside if ".ipynb_checkpoints" not in each.parts]
            found += [(each, str(each.relative_to(path))) for each in shown]
        elif path.exists():
            found.append((path, path.name))
        else:
            raise ValueError(f"there is no {name}")
    if not found:
        raise ValueError("there is no notebook to mark; say make grade FILES=FOLDER")
    return found


def one_line(text: str) -> str:
    return " ".join(sanitize(text).split())


def table(papers: list[Paper]) -> str:
    """A line for each notebook, and below them each complaint."""
    rows = [["notebook", "chapter", "right", "each exercise"]]
    below: list[str] = []
    for paper in papers:
        right = sum(mark.outcome == RIGHT for mark in paper.marks)
        words = " ".join(mark.outcome for mark in paper.marks)
        count = f"{right} of {len(paper.marks)}" if paper.marks else ""
        shown = one_line(paper.problem or words)
        rows.append([one_line(paper.name), paper.chapter, count, shown])
        for mark in paper.marks:
            if mark.outcome != RIGHT:
                below.append(f"\n{one_line(paper.name)}, {mark.exercise}:")
                below.append(f"  {mark.outcome}. {one_line(mark.complaint)}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in [*lines, *below])


def write_csv(path: Path, papers: list[Paper]) -> None:
    """A row for each exercise. A cell that a spreadsheet would take for a formula gets an apostrophe."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["notebook", "chapter", "exercise", "mark", "complaint"])
        for paper in papers:
            marks = paper.marks or [Mark("", "not marked", paper.problem)]
            for mark in marks:
                row = [paper.name, paper.chapter, *vars(mark).values()]
                cells = [one_line(cell) for cell in row]
                rows.writerow([f"'{c}" if c[:1] in tuple("=+-@") else c for c in cells])


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    parser = argparse.ArgumentParser(description="Mark notebooks that were handed in.")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="a notebook, or a folder with some"
    )
    parser.add_argument("--csv", type=Path, help="write the marks into this file too")
    parser.add_argument(
        "--limit", type=float, default=40.0,
        help="seconds for the answer to one exercise (default: 40)",
    )  # fmt: skip
    options = parser.parse_args()
    if os.name != "posix":
        parser.error("marking needs Linux or macOS: each notebook has limits there")
    try:
        papers = [
            mark_paper(path, name, options.limit)
            for path, name in papers_in(options.files)
        ]
        print(table(papers))
        if options.csv:
            write_csv(options.csv, papers)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"can't write {options.csv}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
