"""`tcp_lab class`: twelve submissions, good, bad and careless; a table, and nothing of one reaches another."""

import csv
import os
import sys
from pathlib import Path

import pytest
from test_lab import (
    CHATTERS,
    ECHO_PROGRAM,
    HIDDEN,
    HOLDER,
    STUBBORN,
    lab,
    with_word,
)

from python_tcp.lab_bugs import BUGS
from python_tcp.lab_bugs import ECHO_PROGRAM as GOOD
from python_tcp.lab_class import check_submission, class_csv, submissions
from python_tcp.lab_echo import ECHO

pytestmark = [
    pytest.mark.slow,  # it starts programs
    pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX"),
]
LITTER = """
import os, sys, tempfile
from pathlib import Path
places = [Path.home(), Path(tempfile.gettempdir()), Path.cwd()]
if any((place / "litter").exists() for place in places) :
    sys.exit("somebody was here before")
for place in places:
    (place / "litter").write_text("x")
"""
PLANTED = {bug.name: bug.program() for bug in BUGS if bug.good is GOOD}
HANDED_IN = {
    "a_good": GOOD,
    "b_threads": ECHO_PROGRAM,
    "c_cut": PLANTED["echo cut at 1024"],
    "d_reset": PLANTED["crash on RST"],
    "e_send": PLANTED["send taken for sendall"],
    "f_dies": "raise SystemExit('not finished')",
    "g_no_python": "Sorry, I was ill.",
    "h_chatters": CHATTERS + GOOD,
    "i_stubborn": STUBBORN + GOOD,
    "j_hidden_child": HIDDEN + GOOD,
    "k_holds_port": HOLDER,
    "l_good": GOOD,
}
FULL = {"a_good", "b_threads", "h_chatters", "i_stubborn", "j_hidden_child", "l_good"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name, code in HANDED_IN.items():
        (tmp_path / "in" / f"{name}.py").write_text(code)
    (tmp_path / "in" / ".hidden").write_text("")
    return tmp_path


@pytest.mark.slow
def test_twelve_submissions_make_a_table(folder: Path) -> None:
    (folder / "points.toml").write_text("echo = 20")
    options = ["--points", folder / "points.toml", "--csv", folder / "table.csv"]
    options += ["--reports", folder / "reports"]
    mark = f"class_{os.getpid()}"
    command = ["--", sys.executable, "{file}", "{port}", mark]
    done = lab("class", folder / "in", "echo", *options, *command, limit=300)
    assert done.returncode == 0, done.stderr
    with (folder / "table.csv").open() as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert [name.removesuffix(".py") for name in rows] == list(HANDED_IN)
    points = {
        name.removesuffix(".py"): float(row["points"]) for name, row in rows.items()
    }
    assert {name for name, got in points.items() if got == 20} == FULL
    assert points["f_dies"] == points["g_no_python"] == 0
    assert points["d_reset"] == 18 and 0 < points["c_cut"] < 20 > points["e_send"] > 0
    assert "has ended with status 1" in rows["f_dies.py"]["first complaint"]
    table = done.stdout.splitlines()
    assert len(table) == 13 and table[1].startswith("a_good.py")
    report = (folder / "reports" / "j_hidden_child.py.txt").read_text()
    assert "Note: It left children behind, which were killed: 1." in report
    assert with_word(mark) == []  # nothing is left running


def test_nothing_of_one_reaches_another(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(LITTER + GOOD)
    # Also from one test to the next each runs in the same copy: so one test is enough.
    stage = type(ECHO)("echo", "", "", ECHO.tests[:1])
    for path in submissions(str(tmp_path)):
        mark = check_submission(path, [sys.executable, "{file}"], [stage])
        assert mark.first_complaint == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.py", "two.py"]


def test_a_submission_may_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "main.py").write_text("import helper")
    (tmp_path / "ann" / "helper.py").write_text(ECHO_PROGRAM)
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "anything.py").write_text(ECHO_PROGRAM)
    stage = type(ECHO)("echo", "", "", ECHO.tests[:1])
    [ann, bob] = submissions(str(tmp_path))
    for path, command in ((ann, "main.py"), (bob, "{file}")):
        assert check_submission(path, [sys.executable, command], [stage]).points == 1


def test_a_cell_is_no_formula(tmp_path: Path) -> None:
    (tmp_path / "=1+1").write_text("")
    stage = type(ECHO)("echo", "", "", ECHO.tests[:1])
    [path] = submissions(str(tmp_path))
    mark = check_submission(path, ["/no/such/program"], [stage])
    assert class_csv([mark]).splitlines()[1].startswith("'=1+1,")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["class", "/no/such", "echo", "--", "x"], "can't read /no/such: No such file"),
        (["class", ".", "echo"], "give -- and a command that starts a program"),
        (["class", ".", "--", "x"], "required: STAGE"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list, why: str) -> None:
    done = lab(*arguments)
    assert done.returncode == 2
    assert why in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_empty_folder(tmp_path: Path) -> None:
    done = lab("class", tmp_path, "echo", "--", "x")
    assert done.stderr == f"tcp_lab: there is nothing in {tmp_path}\n"
