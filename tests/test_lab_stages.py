"""The stages of the lab: three independent good servers pass them, those that are not yet good fail at their own tests."""

import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from python_tcp.broadcast import BroadcastServer
from python_tcp.chat_server import ChatServer
from python_tcp.echo import EchoServer
from python_tcp.lab import RunningServer, Stage, run_stages
from python_tcp.lab_app import STAGES, chosen_stages
from python_tcp.lab_fire import fire_stage
from python_tcp.lab_peer import Kind
from python_tcp.lab_program import LabProgram, ProgramTarget
from python_tcp.lab_protocol import TRANSCRIPTS, protocol_stage
from python_tcp.protocol import Limits

pytestmark = pytest.mark.slow  # it starts programs

FOLDER = Path(__file__).resolve().parent / "lab"
FIRE = FOLDER.parent.parent / "nbs" / "137_lab_fire.ipynb"
NODE = shutil.which("node")
WITHOUT_NODE = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
GOOD = {
    "asyncio": [sys.executable, FOLDER / "good_asyncio.py"],
    "socketserver": [sys.executable, FOLDER / "good_socketserver.py"],
    "node": [NODE, FOLDER / "good_node.js"],
}
SERVERS = [
    pytest.param(name, marks=WITHOUT_NODE if name == "node" else []) for name in GOOD
]
LIMIT = 10.0  # seconds for an answer: a loaded machine is no bug of the server


def good(server: str, stage: str) -> ProgramTarget:
    return ProgramTarget([*map(str, GOOD[server]), stage, "{port}"])


def complaints(stage: str, target: ProgramTarget, limit: float = LIMIT) -> list[str]:
    results = run_stages([STAGES[stage]], target, limit=limit)
    assert results
    return [
        f"{result.test.name}: {result.complaint}"
        for result in results
        if result.outcome != "passed"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "stage", ["echo", "lines", "length", "room", "nick", "commands", "connect"]
)
def test_a_good_server_passes(
    server: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabProgram, "GRACE", LIMIT)  # on a busy machine it ends later
    target = good(server, stage)
    assert complaints(stage, target) == []
    assert target.notes == []


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_is_as_good(seed: int) -> None:
    stages = [STAGES["lines"], STAGES["connect"]]
    for stage in stages:
        results = run_stages([stage], good("asyncio", stage.name), seed, LIMIT)
        assert {result.complaint for result in results} == {""}


# Each server that speaks another stage's language fails at what is different there.


def test_an_echo_is_no_line_server() -> None:
    failed = complaints("lines", good("asyncio", "echo"), 0.3)
    assert len(failed) == len(STAGES["lines"].tests)


def test_a_line_server_is_no_echo() -> None:
    failed = complaints("echo", good("asyncio", "lines"), 0.3)
    assert {line.partition(":")[0] for line in failed} >= {"word", "split", "binary"}


# --- under fire ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "language", ["echo", "lines", "length", "room", "nick", "connect"]
)
def test_a_good_server_stands_the_fire(server: str, language: str) -> None:
    results = run_stages([fire_stage(language)], good(server, language), limit=LIMIT)
    assert {f"{it.test.name} {it.complaint}" for it in results} == {
        f"{it.test.name} " for it in results
    }


def test_the_threads_of_the_tutorial_do_not_stand_it() -> None:
    """The room with which chapter 03 began."""
    [cell] = [
        cell.source
        for cell in nbformat.read(FIRE, as_version=4).cells
        if cell.source.startswith("NAIVE = ")
    ]
    names: dict = {}
    exec(cell.partition("stage = ")[0], names)
    target = ProgramTarget([sys.executable, "-c", names["NAIVE"]])
    results = run_stages([fire_stage("nick")], target, limit=0.5)
    failed = {result.test.name for result in results if result.outcome == "failed"}
    assert {"silent", "garbage", "sleeper"} <= failed


def test_the_language_of_fire_is_that_of_the_stage_before() -> None:
    assert [stage.name for stage in chosen_stages(["echo", "fire"], None)] == [
        "echo",
        "fire",
    ]
    with pytest.raises(ValueError, match="fire needs --language: echo, lines"):
        chosen_stages(["fire", "echo"], None)


# --- version 1 of our protocol, by servers that were written from its README and schema alone -------------------------

SPEAKS_PROTOCOL = {
    "asyncio": [sys.executable, FOLDER / "protocol_asyncio.py"],
    "socketserver": [sys.executable, FOLDER / "protocol_socketserver.py"],
    "node": [NODE, FOLDER / "protocol_node.js"],
}
NEED_LIMITS = {
    "gone": ["resume_window=3"],
    "silence": ["ping_after=1.0", "ping_timeout=1.0"],
    "too-fast": ["flood_burst=2", "flood_rate=0.1", "flood_excess=3"],
    "history": ["history_messages=5"],
}


def first_need(path: Path) -> str:
    """What a transcript needs from its first line on, as the stage words it; else empty."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = itertools.takewhile(lambda line: line.startswith("#"), lines)
    for line in start:
        if found := re.fullmatch(r"# needs (\w+)( [\d.]+)?", line):
            return f"{found[1]}{found[2]}" if found[2] else f"the feature {found[1]}"
    return ""


WITH_NEEDS = {
    path.stem.replace("_", "-"): first_need(path)
    for path in TRANSCRIPTS.glob("*.txt")
    if first_need(path)
}


def speaking(server: str, *limits: str) -> ProgramTarget:
    return ProgramTarget([*map(str, SPEAKS_PROTOCOL[server]), "{port}", *limits])


def played(server: str, stage: Stage, *limits: str) -> dict[str, str]:
    results = run_stages([stage], speaking(server, *limits), limit=LIMIT)
    return {it.test.name: f"{it.outcome} {it.complaint}".strip() for it in results}


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("server", SERVERS)
def test_a_stranger_speaks_our_protocol(server: str) -> None:
    results = played(server, protocol_stage())
    skipped = {each for each in results if results[each].startswith("skipped")}
    assert skipped == {*WITH_NEEDS}
    for name in skipped:
        assert results[name] == f"skipped this needs a server with {WITH_NEEDS[name]}"
    passed = results.keys() - skipped
    assert len(passed) >= 7 and {results[name] for name in passed} == {"passed"}


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", NEED_LIMITS)
def test_a_stranger_with_the_limits_of_a_transcript(server: str, name: str) -> None:
    stage = protocol_stage()
    stage.tests = [test for test in stage.tests if test.name == name]
    assert played(server, stage, *NEED_LIMITS[name]) == {name: "passed"}


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("server", SERVERS)
def test_a_stranger_stands_the_fire(server: str) -> None:
    results = played(server, fire_stage("protocol"), "flood_burst=0")
    why = "flood control keeps everybody from saying so much"
    assert results.pop("sleeper") == f"skipped {why}"
    assert set(results.values()) == {"passed"}, results


def transcript(folder: Path, text: str) -> Stage:
    (folder / "small.txt").write_text(text, encoding="utf-8")
    return protocol_stage(folder)


WELCOME = """ann > {"type": "join", "username": "Ann"}
ann < {"type":"welcome","username":"Ann","room":"lobby","content":"Hi!","seq":0}
ann < {"type":"users","room":"lobby","users":["Ann"]}
"""


def test_what_a_server_may_choose_is_not_compared(tmp_path: Path) -> None:
    """Limits, features and fields with their defaults are in our welcome, and not in this one."""
    stage = transcript(tmp_path, "# Ann comes. Hello!\n" + WELCOME)
    [result] = run_stages([stage], lambda: ours(ChatServer), limit=LIMIT)
    assert (result.outcome, result.complaint) == ("passed", "")
    assert result.test.title == "Ann comes"


def test_a_complaint_names_the_field(tmp_path: Path) -> None:
    stage = transcript(tmp_path, WELCOME.replace('"seq":0', '"seq":7'))
    [result] = run_stages([stage], lambda: ours(ChatServer), limit=LIMIT)
    assert result.complaint.endswith("they differ in seq.")


def test_a_need_in_the_middle_leaves_out_the_rest(tmp_path: Path) -> None:
    rest = '# needs history_messages 5\nann < {"type":"pong"}\n'
    stage = transcript(tmp_path, WELCOME + rest)
    [result] = run_stages([stage], lambda: ours(ChatServer), limit=LIMIT)
    assert result.outcome == "passed"
    notes = [str(each) for each in result.conversation]
    assert "# the rest is left out: it needs a server with history_messages 5" in notes


def test_a_question_of_the_server_is_answered(tmp_path: Path) -> None:
    """It may ask at any time, whatever the transcript is about."""
    silence = "ann ~\nann < {}\n".format(
        '{"type":"leave","room":"lobby","username":"A","timestamp":1}'
    )
    stage = transcript(tmp_path, WELCOME + silence)
    limits = Limits(ping_after=0.2, ping_timeout=LIMIT)
    [result] = run_stages([stage], lambda: ours(ChatServer, limits=limits), limit=1.0)
    talk = [(each.kind, each.data) for each in result.conversation]
    assert (Kind.GOT, b'{"type":"ping"}\n') in talk
    assert (Kind.SENT, b'{"type":"pong"}\n') in talk
    assert result.outcome == "failed"  # and it does not wait for ever


def test_a_server_that_lets_through_too_little_is_skipped(tmp_path: Path) -> None:
    stage = transcript(tmp_path, WELCOME + 'ann > {"type": "pong"}\n')
    limits = Limits(flood_burst=2, flood_rate=0.1)
    [result] = run_stages([stage], lambda: ours(ChatServer, limits=limits))
    assert result.complaint == "one line in 10 s is too little for this"


# --- our own servers ----------------------------------------------------------------------------------------------


@contextmanager
def ours(kind: type, **options: object) -> Iterator[RunningServer]:
    with kind(**options) as server:
        yield RunningServer(server.host, server.port)


@pytest.mark.parametrize(
    ("kind", "stages"),
    [(EchoServer, ["echo", "fire"]), (BroadcastServer, ["room", "nick", "fire"])],
)
def test_our_servers_pass_at_their_rung(kind: type, stages: list[str]) -> None:
    results = run_stages(chosen_stages(stages, None), lambda: ours(kind), limit=LIMIT)
    assert {result.complaint for result in results} == {""}


def test_the_room_of_chapter_3_has_no_commands() -> None:
    """And it says "taken." with a full stop, which is another text."""
    results = run_stages([STAGES["commands"]], lambda: ours(BroadcastServer), limit=0.3)
    outcomes = {result.test.name: str(result.outcome) for result in results}
    assert outcomes.pop("closing") == "skipped"  # the lab has not started it
    assert set(outcomes.values()) == {"failed"}


def test_our_chat_speaks_the_protocol() -> None:
    target = lambda: ours(ChatServer, limits=Limits(flood_burst=0))
    results = run_stages([protocol_stage()], target, limit=LIMIT)
    outcomes = {result.test.name: str(result.outcome) for result in results}
    assert len(outcomes) == len(list(TRANSCRIPTS.glob("*.txt")))
    skipped = {name for name, outcome in outcomes.items() if outcome == "skipped"}
    assert skipped == WITH_NEEDS.keys() - {"accounts", "moderation"}  # it has these
    assert set(outcomes.values()) == {"passed", "skipped"}, results


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("gone", Limits(resume_window=3.0)),
        ("silence", Limits(ping_after=1.0, ping_timeout=1.0)),
        ("errors", Limits()),  # the player keeps below flood control
    ],
)
def test_with_the_limits_of_a_transcript_it_is_not_skipped(
    name: str, limits: Limits
) -> None:
    stage = protocol_stage()
    stage.tests = [test for test in stage.tests if test.name == name]
    target = lambda: ours(ChatServer, limits=limits)
    [result] = run_stages([stage], target, limit=LIMIT)
    assert (result.outcome, result.complaint) == ("passed", "")


def test_another_word_of_the_server_is_noticed(tmp_path: Path) -> None:
    text = (TRANSCRIPTS / "talking.txt").read_text(encoding="utf-8")
    lines = text.replace('"seq":2', '"seq":3', 1)
    (tmp_path / "talking.txt").write_text(lines, encoding="utf-8")
    [result] = run_stages([protocol_stage(tmp_path)], lambda: ours(ChatServer))
    assert result.outcome == "failed" and '"seq":3' in result.complaint


def test_our_chat_stands_the_fire() -> None:
    # The others share their address with the honest pair, and so its budget.
    limits = Limits(join_rate=1000.0, connect_rate=1000.0, flood_burst=300)
    serve = lambda: ours(ChatServer, limits=limits)  # noqa: E731
    results = run_stages([fire_stage("protocol")], serve, 0, LIMIT)
    outcomes = {result.test.name: result.complaint for result in results}
    why = outcomes.pop("sleeper")
    assert why == "flood control keeps everybody from saying so much"
    assert set(outcomes.values()) == {""}


@pytest.mark.alone
def test_the_whole_lab_takes_less_than_a_minute() -> None:
    began = time.monotonic()
    for stage in ("echo", "lines", "length", "room", "nick", "commands", "connect"):
        results = run_stages(
            chosen_stages([stage, "fire"], None), good("asyncio", stage), limit=LIMIT
        )
        assert {result.complaint for result in results} == {""}
    stages = chosen_stages(["protocol", "fire"], None)
    target = speaking("asyncio", "flood_burst=0")
    results = run_stages(stages, target, limit=LIMIT)
    assert "failed" not in {result.outcome for result in results}
    took = time.monotonic() - began
    if took >= 60 and os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1):
        pytest.skip(
            f"it took {took:.0f} s, beside other programs that keep the machine busy"
        )
    assert took < 60
