"""A lost connection does not end `chat_client`: it says so, comes back by itself, and sends what was typed meanwhile."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import LineClient, Program, wait_until

pytest.importorskip("termios", reason="needs a POSIX terminal")

from proxy import Proxy  # noqa: E402
from screen import Terminal, chat  # noqa: E402

from python_tcp.chat_client import ChatClient  # noqa: E402
from python_tcp.chat_server import ChatServer  # noqa: E402
from python_tcp.protocol import Limits  # noqa: E402

pytestmark = pytest.mark.slow


@contextmanager
def server(port: int, history: Path) -> Iterator[Program]:
    with Program("start_server", "--port", port, "--history", history) as program:
        wait_until(lambda: program.lines)
        yield program


@pytest.fixture
def port(reserved_port: int) -> int:
    return reserved_port


def said(terminal: Terminal) -> list[str]:
    return [
        match[1]
        for row in terminal.screen.everything()
        if (match := re.search(r"lobby (\w+: .*)", row)) and " -- " not in row[:10]
    ]


@pytest.mark.parametrize("end", [getattr(signal, "SIGKILL", 9), signal.SIGTERM])
def test_two_clients_come_back_and_a_third_sees_what_they_typed_meanwhile(
    port: int, tmp_path: Path, end: signal.Signals
) -> None:
    with (
        server(port, tmp_path / "h.db") as first,
        chat(port, "ann") as ann,
        chat(port, "bob") as bob,
    ):
        for terminal in (ann, bob):
            terminal.until("lobby: ")
            terminal.until("here")
        ann.until("2 people")
        bob.until("2 people")
        ann.type("before\r")
        for terminal in (ann, bob):
            terminal.until("ann: before")
        first.end(end)
        for terminal in (ann, bob):
            terminal.until("Trying again in")
            terminal.until("lost, trying again")
        ann.type("typed by ann\r")
        bob.type("typed by bob\rand this too\r")
        ann.type("half a li")
        ann.until("1 not sent yet")
        bob.until("2 not sent yet")
        with server(port, tmp_path / "h.db"), LineClient(port) as third:
            third.say("join", username="cy", since=0)
            seen: list[str] = []
            for terminal in (ann, bob):
                terminal.until("The connection is back.", limit=60)
                terminal.until("here")
            expected = [
                "ann: before",
                "ann: typed by ann",
                "bob: typed by bob",
                "bob: and this too",
                "ann: half a line",
            ]
            ann.until(lambda: sorted(said(ann)) == sorted(expected[:-1]))
            ann.type("ne\r")  # all that waited is said: this is the last line
            for terminal in (ann, bob):
                terminal.until(lambda: sorted(said(terminal)) == sorted(expected))
            assert [said(ann)[0], said(ann)[-1]] == ["ann: before", "ann: half a line"]
            while len(seen) < 5:
                event = third.read()
                seen += (
                    [event["content"]]
                    if event["type"] == "message"
                    else [m["content"] for m in event.get("messages", ())]
                )
            assert sorted(seen) == sorted(line.partition(": ")[2] for line in expected)
            assert not any(
                "not sent" in terminal.screen.row(23) for terminal in (ann, bob)
            )
            for terminal in (ann, bob):
                assert terminal.end("/quit\r") == 0


def test_the_seconds_are_counted_and_one_can_leave(port: int, tmp_path: Path) -> None:
    with server(port, tmp_path / "h.db") as first, chat(port, "ann") as ann:
        ann.until("in lobby: ann")
        first.end(signal.SIGKILL)
        seen = [0]

        def counted() -> bool:
            if (
                match := re.search(r"trying again in (\d+) s", ann.screen.row(23))
            ) and int(match[1]) != seen[-1]:
                seen.append(int(match[1]))
            return len(seen) > 3 and seen[-3] - 1 == seen[-2] == seen[-1] + 1

        ann.until(counted, limit=40)
        assert sum("Trying again in" in row for row in ann.screen.everything()) == 1
        ann.type("never sent\r")
        ann.until(lambda: ann.screen.row(21) == " .. never sent")
        ann.until("1 not sent yet")
        assert ann.end("\x03") == 0 and ann.as_found()
        rows = [row for row in ann.screen.rows() if row]
        assert "1 of your lines could not be sent." in rows[-2:]


def test_a_name_that_is_taken_meanwhile_is_asked_for_again_and_the_room_is_kept(
    tmp_path: Path,
) -> None:
    with (
        ChatServer() as first,
        ChatServer() as second,
        ChatClient("ann") as other,  # answers pings: who would give up a silent one?
        Proxy(("127.0.0.1", first.port)) as proxy,
        chat(proxy.port, "ann", "--room", "dev") as ann,
    ):
        assert other.connect("127.0.0.1", second.port) and other.join()
        ann.until("in dev: ann")
        proxy.refuse()
        ann.until("trying again in")
        proxy.target = "127.0.0.1", second.port
        proxy.heal()
        ann.until("Another name:", limit=60)
        ann.until("taken")
        ann.type("zoe\r")
        ann.until("in dev: zoe")
        assert ann.end("/quit\r") == 0


def test_a_name_that_a_lost_connection_holds_is_waited_for() -> None:
    stopped: float | None = time.monotonic()
    with ChatServer(limits=Limits(resume_window=2)) as server:
        loop = server.engine.loop
        # A client may take long to begin: until it is there, no time passes for the server.
        loop._clock = lambda: time.monotonic() if stopped is None else stopped
        with LineClient(server.port).join("ann"):
            pass
        wait_until(lambda: not server.connections)
        with chat(server.port, "ann") as ann:
            ann.until("kept for its owner")
            ann.until("Trying again in")
            ann.type("typed meanwhile\r")
            stopped = None
            loop.call_threadsafe(lambda: None)  # it looks at its clock
            ann.until("in lobby: ann")
            ann.until("lobby ann: typed meanwhile")
            assert ann.end("/quit\r") == 0


def test_who_waits_for_a_name_may_leave() -> None:
    with ChatServer() as server:
        with LineClient(server.port).join("ann"):
            pass
        wait_until(lambda: not server.connections)
        with chat(server.port, "ann") as ann:
            ann.until("Trying again in")
            assert ann.end("\x03") == 0 and ann.as_found()
