"""Several workers beside each other: who is alone is alone."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from workers import Turns, flock, only_one
from waiting import LIMIT, wait_until

TESTS = Path(__file__).parent
pytestmark = pytest.mark.skipif(flock is None, reason="no flock here")


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Turns]]:
    """Three that share a folder."""
    with ExitStack() as stack:
        three = [Turns(tmp_path) for _ in range(3)]
        for worker in three:
            stack.callback(worker.close)
        yield three


class At:
    """A worker that is at a test until it is told to `finish`."""

    def __init__(self, worker: Turns, alone: bool = False) -> None:
        self.busy, self._over = False, threading.Event()
        self._thread = threading.Thread(target=self._run, args=[worker, alone])
        self._thread.start()

    def _run(self, worker: Turns, alone: bool) -> None:
        with worker.turn(alone):
            self.busy = True
            assert self._over.wait(LIMIT)

    def finish(self) -> None:
        self._over.set()
        self._thread.join(LIMIT)


def test_ordinary_tests_run_beside_each_other(three: list[Turns]) -> None:
    them = [At(worker) for worker in three]
    wait_until(lambda: all(each.busy for each in them))
    for each in them:
        each.finish()


def test_one_that_is_alone_waits_for_the_others_and_they_wait_for_it(
    three: list[Turns],
) -> None:
    first = At(three[0])
    wait_until(lambda: first.busy)
    alone = At(three[1], alone=True)
    wait_until(lambda: is_locked(three[1]._door))
    late = At(three[2])
    assert not alone.busy and not late.busy
    first.finish()
    wait_until(lambda: alone.busy)
    assert not late.busy, "it came later, and does not pass"
    alone.finish()
    wait_until(lambda: late.busy)
    late.finish()


def is_locked(file: object) -> bool:
    """Does somebody hold it?"""
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    done = subprocess.run([sys.executable, "-c", code, file.name], capture_output=True)
    return done.returncode != 0


def test_a_test_that_fails_gives_its_turn_back(three: list[Turns]) -> None:
    for alone in (True, False):
        with pytest.raises(ZeroDivisionError), three[0].turn(alone):
            1 / 0
    with three[1].turn(alone=True):
        pass


def test_what_is_made_once_is_made_by_one(tmp_path: Path) -> None:
    made = []

    def make() -> None:
        with only_one(tmp_path):
            if not (tmp_path / "made").exists():
                made.append(threading.current_thread())
                (tmp_path / "made").touch()

    threads = [threading.Thread(target=make) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert len(made) == 1


SUITE = """
import os, pathlib, pytest, time

class Noted:
    def __init__(self, name):
        self.name = name
    def __enter__(self):
        self.note("begins")
    def __exit__(self, *exc_info):
        self.note("ends")
    def note(self, what):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{self.name} {what}\\n")

@pytest.mark.alone
@pytest.mark.parametrize("number", range(5))
def test_alone(number):
    with Noted(f"alone-{number}"):
        time.sleep(0.05)  # the time in which another one could come in

@pytest.mark.parametrize("number", range(40))
def test_other(number):
    with Noted(f"other-{number}"):
        time.sleep(0.01)

@pytest.mark.slow
def test_slow():
    with Noted("slow"):
        pass
"""


@pytest.mark.slow
def test_a_run_with_two_workers_keeps_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("conftest.py", "sockets.py", "waiting.py", "workers.py"):
        (tmp_path / name).write_bytes((TESTS / name).read_bytes())
    (tmp_path / "pytest.ini").write_bytes(b"[pytest]\nmarkers =\n    slow\n    alone\n")
    (tmp_path / "test_it.py").write_text(SUITE)
    monkeypatch.setenv("NOTES", str(notes := tmp_path / "notes"))
    for variable in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(variable, raising=False)
    command = [sys.executable, "-m", "pytest", "-n2", "--dist=worksteal", "-q"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "46 passed" in done.stdout, done.stdout + done.stderr
    lines = notes.read_text().splitlines()
    firsts = [f"alone-{number} begins" for number in range(5)]
    firsts += ["slow begins", "other-0 begins"]
    assert sorted(firsts, key=lines.index) == firsts
    for number in range(5):
        where = lines.index(f"alone-{number} begins")
        assert lines[where + 1] == f"alone-{number} ends"
    overlaps = [
        line
        for line, following in zip(lines, lines[1:])
        if line.endswith("begins") and following.endswith("begins")
    ]
    assert overlaps, "the others run beside each other"
