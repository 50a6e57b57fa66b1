"""Twelve planted bugs: each is found by the test that is meant for it, which names the cause; the good programs pass the same tests."""

import sys

import pytest

from python_tcp.lab import Result, run_test
from python_tcp.lab_app import chosen_stages
from python_tcp.lab_bugs import BUGS, ECHO_PROGRAM, ROOM_PROGRAM, PlantedBug
from python_tcp.lab_program import ProgramTarget

pytestmark = pytest.mark.slow  # it starts programs

# A word of the cause that the report names.
CAUSES = {
    "recv taken for a message": "takes what one `recv` gives for one message",
    "send taken for sendall": "use `sendall`",
    "one client blocks the next": "asks for the name in the loop that accepts",
    "list changed while walked": "is changed while a loop goes through it",
    "no lock on names": "Hold one lock around both",
    "echo cut at 1024": "reads once, up to a fixed size, and drops the rest",
    "split UTF-8": "decode whole lines only",
    "answer to the wrong client": "goes to the one who asked",
    "leak of a left user": "A client that left is still in the server's list",
    "crash on RST": "ConnectionResetError",
    "crash on garbage": "Bytes that are no UTF-8",
    "a slow reader stops all": "Give each client a queue with a bound",
}
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)


def outcome(bug: PlantedBug, program: str, limit: float) -> Result:
    stage = chosen_stages(bug.stages, None)[-1]
    [test] = [test for test in stage.tests if test.name == bug.test]
    return run_test(test, ProgramTarget([sys.executable, "-c", program]), limit=limit)


def test_there_are_twelve() -> None:
    assert [bug.name for bug in BUGS] == list(CAUSES) and len(CAUSES) == 12


@each_bug
def test_a_planted_bug_is_found_and_named(bug: PlantedBug) -> None:
    result = outcome(bug, bug.program(), 1.0)
    assert result.outcome == "failed"
    assert CAUSES[bug.name] in result.test.cause
    assert not result.fatal and result.complaint and result.conversation


@each_bug
def test_without_the_bug_the_same_test_passes(bug: PlantedBug) -> None:
    assert outcome(bug, bug.good, 10.0).complaint == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "stages"), [(ECHO_PROGRAM, ["echo", "fire"]), (ROOM_PROGRAM, ["room"])]
)
def test_the_good_programs_pass_whole_stages(program: str, stages: list[str]) -> None:
    target = ProgramTarget([sys.executable, "-c", program])
    for stage in chosen_stages(stages, None):
        for test in stage.tests:
            result = run_test(test, target, limit=10.0)
            assert (test.name, result.complaint) == (test.name, "")


def test_a_bug_without_a_place_is_noticed() -> None:
    bug = PlantedBug("none", ECHO_PROGRAM, (("no such text", ""),), ("echo",), "word")
    with pytest.raises(ValueError, match="none: 0 times 'no such text'"):
        bug.program()
