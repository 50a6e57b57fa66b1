"""protocol/: what clients in other languages go by is what the server really does."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from helpers import LineClient
from jsonschema import Draft202012Validator

from python_tcp.chat_server import ChatServer
from python_tcp.files import FileSharing
from python_tcp.passwords import HashParameters
from python_tcp.protocol import Command, Error, Event, decode, decode_event, schema

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import contract  # noqa: E402

TRANSCRIPTS = sorted((ROOT / "protocol" / "transcripts").glob("*.txt"))
each_transcript = pytest.mark.parametrize(
    "path", TRANSCRIPTS, ids=lambda path: path.stem
)
OPERATIONAL = {
    "not_saved",
    "no_history",
    "server_error",
    "server_full",
    "too_many_connections",
    "slow_consumer",
    "server_closing",
    "busy",
    "too_many",
    "too_many_guesses",
    "insecure",
    "no_accounts",
    "registration_closed",
    "login_needed",
    "too_many_sessions",
    "no_files",
    "disk_full",
    "wrong_protocol",  # to a proxy that is not believed
}  # what a server says in distress


def lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Connection, sign and text of each line."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, sign, *text = line.split(" ", 2)
            yield name, sign, "".join(text)


def sent(path: Path) -> Iterator[bytes]:
    return (
        bytes.fromhex(text) if sign == ">x" else text.encode()
        for _, sign, text in lines(path)
        if sign in (">", ">x")
    )


def received(path: Path) -> Iterator[str]:
    return (text for _, sign, text in lines(path) if sign == "<")


@cache
def check(part: str) -> Draft202012Validator:
    """What checks a `command` or an `event` by the file."""
    whole = json.loads((ROOT / "protocol" / "schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator({**whole, "anyOf": [{"$ref": f"#/$defs/{part}"}]})


# --- the files ---------------------------------------------------------------------------------------------------


def test_the_files_are_what_the_tool_writes() -> None:
    for path, text in contract.files().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name}: run: make export"
        )
    others = {ROOT / "protocol" / name for name in ("schema.json", "README.md")}
    assert set(TRANSCRIPTS) | others == contract.files().keys()
    assert json.loads((ROOT / "protocol" / "schema.json").read_text()) == schema()


@pytest.mark.slow
def test_that_being_out_of_step_is_noticed_and_mended(tmp_path: Path) -> None:
    for name in ("tools", "protocol"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    tool, folder = tmp_path / "tools" / "contract.py", tmp_path / "protocol"

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, tool, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        return done.returncode, done.stderr

    assert run("--check") == (0, "")
    (folder / "transcripts" / "rooms.txt").write_text("edited by hand\n")
    (folder / "transcripts" / "orphan.txt").write_text("")
    (folder / "schema.json").unlink()
    status, why = run("--check")
    assert (
        status == 1
        and "orphan.txt, rooms.txt, schema.json" in why
        and "make export" in why
    )
    assert run() == (0, "") and run("--check") == (0, "")
    assert (
        not (folder / "transcripts" / "orphan.txt").exists()
        and (folder / "README.md").exists()
    )


def test_export_writes_them() -> None:
    recipe = re.search(
        r"^export:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M
    )[1]
    assert "tools/contract.py" in recipe


def test_links_of_the_readme_lead_to_files() -> None:
    links = re.findall(
        r"\]\(([^)#\s]+)", (ROOT / "protocol" / "README.md").read_text(encoding="utf-8")
    )
    assert [
        link
        for link in links
        if not re.match(r"\w+:", link) and not (ROOT / "protocol" / link).exists()
    ] == []


# --- the lines ---------------------------------------------------------------------------------------------------


@each_transcript
def test_each_line_is_in_the_schema_and_is_understood(path: Path) -> None:
    command, event = check("command"), check("event")
    for line in sent(path):
        if not isinstance(decode(line), Error):
            command.validate(json.loads(line))
        elif b"\\u001b" not in line:  # what a schema can't say
            with pytest.raises((ValueError, AssertionError)):
                assert command.is_valid(json.loads(line))
    for line in received(path):
        event.validate(json.loads(line))
        assert type(decode_event(line.encode())) in get_args(Event)


@each_transcript
def test_a_transcript_explains_itself(path: Path) -> None:
    text = path.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("# ") for line in text)
    for line in text:
        assert re.fullmatch(
            r"# .+|[a-z]+\d? (>|<) .+|[a-z]+\d? >x( [0-9a-f]{2})+|[a-z]+\d? [x~]", line
        ), line


def test_every_command_event_and_code_is_in_some_transcript() -> None:
    commands = {type(decode(line)) for path in TRANSCRIPTS for line in sent(path)} - {
        Error
    }
    events = [
        decode_event(line.encode()) for path in TRANSCRIPTS for line in received(path)
    ]
    assert commands == set(get_args(Command))
    assert {type(event) for event in events} == set(get_args(Event))
    [table] = [
        "".join(cell["source"]) for cell in json.loads((ROOT / "nbs" / "019_protocol.ipynb").read_text(encoding="utf-8"))["cells"]
        if "| code | when |" in "".join(cell["source"])
    ]  # fmt: skip
    codes = {
        code
        for row in table.splitlines()
        for code in re.findall(
            "`([a-z0-9_]+)`", row.split("|")[1] if "|" in row else ""
        )
    }
    shown = {event.code for event in events if hasattr(event, "code")}
    assert shown == codes - OPERATIONAL and len(shown) >= 15
    assert OPERATIONAL <= set(
        re.findall("`([a-z_]+)`", (ROOT / "protocol" / "README.md").read_text())
    )


WRONG = [
    ("command", {}), ("command", {"type": "dance"}), ("command", {"type": "join"}), ("command", {"type": "join", "username": "a b"}), ("command", {"type": "join", "username": "ann\n"}),
    ("command", {"type": "join", "username": "a" * 33}), ("command", {"type": "join", "username": "ann", "since": -1}), ("command", {"type": "join", "username": "ann", "token": "short"}),
    ("command", {"type": "message"}), ("command", {"type": "message", "content": ""}), ("command", {"type": "message", "content": "x" * 4001}),
    ("command", {"type": "message", "content": "x", "id": 1.5}), ("command", {"type": "message", "content": "x", "id": 2**63}), ("command", {"type": "message", "content": "x", "id": "i" * 65}),
    ("command", {"type": "history", "limit": 0}), ("command", {"type": "history", "limit": 1001}), ("command", {"type": "status", "status": "s" * 81}),
    ("command", {"type": "leave", "room": "#dev"}), ("command", {"type": "welcome", "username": "ann", "room": "lobby", "content": "x", "seq": 0}), ("command", ["ping"]), ("command", None),
    ("event", {"type": "ok"}), ("event", {"type": "message", "content": "hi"}), ("event", {"type": "message", "room": "a", "seq": "1", "username": "a", "content": "x", "timestamp": 1.5}),
    ("event", {"type": "goodbye", "code": "left", "content": "x"}), ("event", {"type": "join", "username": "ann"}), ("event", {"type": "history", "room": "a", "messages": [{}], "more": False}),
]  # fmt: skip


@pytest.mark.parametrize(("part", "line"), WRONG, ids=range(len(WRONG)))
def test_the_schema_refuses_what_is_wrong(part: str, line: object) -> None:
    assert not check(part).is_valid(line)


# --- replayed over real sockets ----------------------------------------------------------------------------------


class Replay:
    """Sends what a transcript's clients send, and compares what comes."""

    def __init__(self, port: int) -> None:
        self.port, self.clients = port, {}
        self.tokens: dict[str, str] = {}  # the real one for each of the transcript
        self.epochs: set[str] = set()

    def send(self, name: str, data: bytes) -> None:
        if name not in self.clients:
            self.clients[name] = LineClient(self.port)
        for told, real in self.tokens.items():
            data = data.replace(json.dumps(told).encode(), json.dumps(real).encode())
        self.clients[name].send(data + b"\n")

    def expect(self, name: str, text: str) -> None:
        expected, came = json.loads(text), self.clients[name].read()
        if came["type"] == expected["type"] == "welcome":
            real = self.tokens.setdefault(expected["token"], came["token"])
            assert came["token"] == real, "who showed a token keeps it"
            self.epochs.add(came["epoch"])
        assert self.masked(came) == self.masked(expected)
        if came["type"] == "goodbye":
            with self.clients.pop(name) as client:
                assert client.read_all() == []

    def masked(self, event: dict) -> dict:
        masks = {"token": None, "epoch": None, "timestamp": None, "url": None}
        if (
            event.get("code") == "rate_limited" and event["type"] == "error"
        ):  # it depends on the time
            assert 5 < event["retry_after"] <= 10
            masks |= {"retry_after": None, "content": None}
        if event.get("code") in ("muted", "banned"):
            masks |= {"retry_after": None}
        masks |= {"until": None}
        if "bans" in event:
            masks["bans"] = [self.masked(ban) for ban in event["bans"]]
        if "messages" in event:
            masks["messages"] = [self.masked(message) for message in event["messages"]]
        return event | {key: value for key, value in masks.items() if key in event}

    def end(self) -> None:
        """Nobody was told more than the transcript says."""
        assert len(self.epochs) <= 1
        for client in self.clients.values():
            with client:
                client.finish()
                assert [
                    event for event in client.read_all() if event["type"] != "leave"
                ] == []


@each_transcript
def test_the_server_says_what_the_transcript_says(path: Path, tmp_path: Path) -> None:
    script = contract.SCRIPTS[path.stem.replace("_", " ")]
    cheap = HashParameters(1, 32, 1)  # to be fast
    server = ChatServer(limits=script.limits, costs=cheap)
    with ExitStack() as stack:
        if "# needs files" in script.lines:
            sharing = FileSharing(tmp_path)
            stack.callback(sharing.stop)
            sharing.attach(server)
        stack.enter_context(server)
        replay = Replay(server.port)
        for name, sign, text in lines(path):
            match sign:
                case ">":
                    replay.send(name, text.encode())
                case ">x":
                    replay.send(name, bytes.fromhex(text))
                case "<":
                    replay.expect(name, text)
                case "x":
                    replay.clients.pop(name).close()
        replay.end()


def test_a_replay_notices_what_is_different() -> None:
    with ChatServer() as server:
        replay = Replay(server.port)
        replay.send("ann", b'{"type": "ping", "id": 7}')
        with pytest.raises(AssertionError):
            replay.expect("ann", '{"type": "pong", "id": 8}')
        replay.send("ann", b'{"type": "ping"}')
        with pytest.raises(AssertionError):
            replay.end()
