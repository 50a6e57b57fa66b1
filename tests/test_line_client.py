"""The client for a pipe: what it prints, and when it ends."""

import sys
from collections.abc import Callable
from io import StringIO

import pytest
from helpers import LineClient
from waiting import wait_until

from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.line_client import run_chat_client
from python_tcp.protocol import Limits


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`typed(line, ...)`: what the standard input will have."""
    return lambda *lines: monkeypatch.setattr(
        sys, "stdin", StringIO("".join(line + "\n" for line in lines))
    )


def test_the_plain_client_shows_all_rooms_as_things_come(
    typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        bob = ChatClient("bob")
        bob.connect(server.host, server.port), bob.join("dev")
        typed("hello", "/join dev", "/me waves", "/w bob psst", "/users")
        assert run_chat_client(server.host, server.port, "ann") == 0
        bob.leave()
    output, errors = capsys.readouterr()
    lines = output.splitlines()
    assert errors == "" and lines[-1] == "* Goodbye!"
    for expected in ("ann: hello", "** ann waves", "(to bob) psst"):
        assert lines.count(expected) == 1, lines
    assert lines.count("* in dev: ann, bob") == 2  # on joining, and when asked


def test_the_plain_client_says_a_refusal_once_and_goes_on(
    typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer() as server:
        typed(
            "/join #x", "/whisper dan hi", "/leave nowhere", "/reply hi", "still here"
        )
        assert run_chat_client(server.host, server.port, "ann") == 0
    lines = capsys.readouterr().out.splitlines()
    mistakes = [line for line in lines if line.startswith("! ")]
    assert sorted(mistakes) == [
        "! Nobody has whispered to you yet.",
        "! You are not in nowhere.",
        "! `room`: expected 1 to 64 letters, digits or _ - .",
        "! dan is not here",
    ]
    assert "ann: still here" in lines


@pytest.mark.slow(seconds=2)
def test_the_plain_client_waits_for_a_name_that_a_lost_connection_holds(
    typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(limits=Limits(resume_window=2)) as server:
        with LineClient(server.port).join("ann"):
            pass
        wait_until(lambda: not server.connections)
        typed("hello")
        assert run_chat_client(server.host, server.port, "ann") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ann is kept for its owner, for 2 s at most" in lines[0]
    assert lines[0].endswith("Trying again in 2 s.")
    assert "ann: hello" in lines and lines[-1] == "* Goodbye!"


def test_a_name_that_somebody_present_has_is_refused_at_once(
    typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer() as server, LineClient(server.port).join("ann"):
        typed("hello")
        assert run_chat_client(server.host, server.port, "ann") == 1
    output, errors = capsys.readouterr()
    assert output == "" and errors == "chat_client: ann is taken\n"
