"""The notebooks for students: no solution is left in them, they run up to the answers, and the same book gives the same zip."""

import ast
import importlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from exercises import _defined, _used
from test_notebooks import run

pytestmark = pytest.mark.slow  # it starts programs

ROOT = Path(__file__).resolve().parent.parent
NBS = sorted((ROOT / "nbs").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NBS, ids=lambda path: path.stem)


@pytest.fixture
def handout(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    yield importlib.import_module("handout")


def functions(source: str) -> set[str]:
    """The functions and classes in a cell, each as its code without what it is called."""
    nodes = ast.parse(source).body if not source.startswith("%") else []
    kinds = ast.FunctionDef | ast.ClassDef
    return {ast.unparse(node) for node in nodes if isinstance(node, kinds)}


@each_notebook
def test_no_solution_is_left_and_every_check_is(
    handout: ModuleType, path: Path
) -> None:
    book = nbformat.read(path, as_version=4)
    found = handout.exercises_of(book.cells)
    given = handout.without_solutions(book, "chapter")
    text = "\n".join(c.source for c in given.cells if c.cell_type == "code")
    left = set().union(*(functions(c.source) for c in given.cells if c.cell_type == "code"))  # fmt: skip
    assert "A solution" not in text
    for each in found:
        assert each.check, f"{each.title}: after its solution no cell calls a check"
        assert f"\n{each.check}({each.answer})" in text
        assert f"def {each.check}(" in text
        for index in each.solutions:
            source = book.cells[index].source
            assert source not in text
            assert not functions(source) & left
    ids = {cell.id: cell for cell in given.cells}
    for each in found:
        for index in (each.solutions[0], each.verdict):
            assert ids[book.cells[index].id].outputs == []
    assert text.count("# Your answer") == len(found)


@each_notebook
def test_what_is_given_out_needs_nothing_of_a_solution(
    handout: ModuleType, path: Path
) -> None:
    book = nbformat.read(path, as_version=4)
    found = handout.exercises_of(book.cells)
    ids = {cell.id for cell in handout.without_solutions(book, "chapter").cells}
    empty = {book.cells[i].id for e in found for i in (e.solutions[0], e.verdict)}
    given, gone, needed = set(), set(), set()
    for cell in book.cells:
        if cell.cell_type == "code" and not cell.source.startswith("%"):
            kept = cell.id in ids - empty
            (given if kept else gone).update(_defined(cell.source))
            needed |= _used(cell.source) if kept else set()
    assert needed & (gone - given) == set()


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize("chapter", ["framing", "canvas", "text"])
def test_they_run_up_to_the_answers(handout: ModuleType, chapter: str) -> None:
    [path] = [path for path in NBS if path.stem.partition("_")[2] == chapter]
    book = nbformat.read(path, as_version=4)
    given = handout.without_solutions(book, "chapter")
    found = handout.exercises_of(book.cells)
    verdicts = {book.cells[each.verdict].id for each in found}
    given.cells = [cell for cell in given.cells if cell.id not in verdicts]
    [fresh], left = run(given, rounds=1)
    assert left == []
    assert [c.get("outputs") for c in fresh.cells] == [c.get("outputs") for c in given.cells]  # fmt: skip


def test_the_zip_is_the_same_each_time_and_can_be_installed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = subprocess.run(
            [sys.executable, ROOT / "tools/handout.py", tmp_path / name],
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0 and "files, without solutions" in done.stdout
    one, two = (tmp_path / name / "python_tcp_handout.zip" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "out")
    assert len(names) == len(set(names))
    assert not [
        name
        for name in names
        if "_teaching.ipynb" in name or "_course.ipynb" in name or "/tests/" in name
    ]
    folder = tmp_path / "out" / "python_tcp_handout"
    assert (folder / "requirements.txt").read_text().startswith("-e .[")
    code = "import python_tcp.chat_app as a; print(a.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert Path(done.stdout.strip()) == folder / "python_tcp" / "chat_app.py"
    done = subprocess.run(
        [sys.executable, "setup.py", "--name"], cwd=folder, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.stdout.strip().endswith("python_tcp")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, ROOT / "tools/handout.py", tmp_path / "file"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"can't write {tmp_path / 'file'}: File exists\n"
