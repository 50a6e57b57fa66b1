"""Two minutes of what `python -m bench.traffic` does for an hour. And what it looks at can fail."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.traffic import HOUR, MOST_GROWTH, Result, Sample, run, slope  # noqa: E402
from bench.visitors import HALL, Talker  # noqa: E402
from python_tcp.protocol import Error, Message, WhisperReceived  # noqa: E402
from python_tcp.chat_session import Disconnected  # noqa: E402
from python_tcp.room_views import HistoryGap  # noqa: E402

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

LEAKING = """
import os, sys, threading
from python_tcp.admission import AdmissionControl
from python_tcp.chat_app import start_server

kept, admit = [], AdmissionControl.admit

def leaking(self, *arguments):
    kept.append(b"x" * 200_000)
    if len(kept) % 10 == 0:
        kept.append(os.dup(0))
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return admit(self, *arguments)

AdmissionControl.admit = leaking
sys.exit(start_server())
"""


@pytest.mark.slow(seconds=120)
@linux
def test_after_two_minutes_of_traffic_the_server_is_as_it_was() -> None:
    """It mostly waits. Three times as fast, the file is full and places end all the time."""
    result = run(120, rate=3.0)
    print(*result.lines(), sep="\n")
    assert result.problems() == []
    _, error = result.slopes["memory"]  # MiB an hour, in the second minute
    assert 2 * error < HOUR / 60 * MOST_GROWTH, "a growth of 2 MiB would be seen"
    done = result.done
    assert done["joins"] > 400 and done["returns to a place"] > 40, "much has happened"
    assert done["talkers' messages"] > 600 and done["talkers' connections cut"] >= 8
    assert done["slow readers closed"] and done["bad lines"] and done["leaves"]
    assert done["messages deleted"] > 0, "the file was full"


@pytest.mark.slow(seconds=19)
@linux
def test_what_leaks_is_found() -> None:
    found = run(6, rate=4.0, code=LEAKING).problems()
    kinds = {problem.partition(" ")[0] for problem in found}
    assert kinds == {"memory", "descriptors:", "threads:"}, found


def talker() -> Talker:
    return Talker("ann", ["bob"])


def said(content: str, username: str = "bob") -> Message:
    return Message(HALL, 1, username, content, 0.0)


def whispered(content: str) -> WhisperReceived:
    return WhisperReceived("bob", "ann", content, 0.0)


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([said("1 x"), said("2 x"), whispered("1 x"), said("hi", "guest7")], ""),
        ([said("1 x"), said("2 x"), said("2 x")], "ann hears bob hall 2 twice"),
        ([said("1 x"), said("3 x")], "ann misses bob hall 2"),
        ([whispered("1 x"), whispered("1 x")], "ann hears bob ann 1 twice"),
        ([whispered("2 x")], "ann misses bob ann 1"),
        ([whispered("1 x"), Disconnected("gone", 1.0), whispered("3 x")], ""),
        (
            [Disconnected("gone", 1.0), whispered("1 x"), whispered("3 x")],
            "ann misses bob ann 2",
        ),
        ([said("1 x"), Disconnected("gone", 1.0), said("3 x")], "ann misses bob hall"),
        ([HistoryGap(HALL, 3)], "ann is told of a gap"),
        ([Error("no_such_user", "bob is not here")], "ann is refused"),
    ],
)
def test_a_talker_notes_what_is_doubled_lost_or_refused(
    events: list, wrong: str
) -> None:
    ann = talker()
    for event in events:
        ann._happened(event)
    assert ann.wrong == [] if not wrong else ann.wrong[0].startswith(wrong)


def test_what_has_not_come_is_counted() -> None:
    ann, bob = talker(), Talker("bob", ["ann"])
    bob.said[HALL], bob.said["ann"] = 3, 2
    ann._happened(said("1 x"))
    ann._happened(whispered("1 x"))
    assert ann.missing(bob) == 2 + 1


def test_the_slope_of_a_line_is_found_in_noise_and_the_noise_is_told() -> None:
    chance = random.Random(3)
    hour = [(float(second), 30 + second / 3600) for second in range(3600)]
    assert slope(hour) == pytest.approx((1.0, 0.0), abs=1e-9)
    noisy = [(when, value + chance.gauss(0, 0.5)) for when, value in hour]
    found, error = slope(noisy)
    assert abs(found - 1.0) < 4 * error and 0 < error < 0.2


def test_growth_is_that_of_the_second_half() -> None:
    before = Sample(0.0, 30.0, 12, 4)
    rises = [Sample(float(t), 30 + min(t, 300) / 10, 12, 4) for t in range(1000)]
    early = Result(1000.0, before, before, rises, {}, [], 0.0)
    assert abs(early.growth) < 0.01 and early.problems() == []
    steady = [Sample(float(t), 30 + t / 100, 12, 4) for t in range(1000)]
    late = Result(1000.0, before, before, steady, {}, [], 0.0)
    assert late.growth == pytest.approx(5.0, abs=0.1) and MOST_GROWTH < 5
    assert late.problems() == ["memory grew by 5.0 MiB in the second half"]
