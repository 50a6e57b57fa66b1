"""All languages on one server: the command line, and everybody in one room."""

import shutil
import signal
import socket
from pathlib import Path

import pytest
from helpers import LineClient, Program
from hypothesis import given, settings
from hypothesis import strategies as st
from screen import Terminal, chat
from test_tutorials import Connect, Nick, Tilde
from waiting import wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Speaker
from python_tcp.languages import DIALECTS, listeners_for, main_dialect
from python_tcp.protocol import Limits

pytestmark = pytest.mark.slow

# --- the command line ----------------------------------------------------------------------------------------------


def test_the_command_listens_for_each_dialect(tmp_path: Path) -> None:
    asked = [f"--listen={name}=0" for name in DIALECTS]
    server = Program("start_server", "--port", 0, *asked)
    try:
        wait_until(lambda: any(" connect on " in line for line in server.errors + server.lines))  # fmt: skip
        said = server.errors + server.lines
        ports = {
            name: int(next(line for line in said if f" {name} on " in line).rpartition(":")[2])
            for name in DIALECTS
        }  # fmt: skip
        with LineClient(ports["lines"]) as ann, LineClient(ports["json"]) as bob:
            assert ann.line() == b"This is chat. What is your name?\r\n"
            ann.send(b"ann\r\n")
            assert ann.line().startswith(b"* You are ann")
            bob.join("bob")
            bob.say("message", content="hi")
            while (line := ann.line()) != b"bob: hi\r\n":
                assert line
    finally:
        status, _ = server.end(signal.SIGTERM)
    assert status == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("latin=1", "listen: 'latin' is no dialect; there are json, lines, budget, irc, nick, tilde, connect"),
        ("irc=x", "listen: irc: a port is a number from 0 to 65535, not 'x'"),
        ("irc", "listen: irc: a port is a number from 0 to 65535, not ''"),
        (
            "irc=[::1]",
            "listen: irc: a port is a number from 0 to 65535, not '[::1]'",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(asked: str, said: str) -> None:
    status, errors = Program("start_server", "--listen", asked).end()
    assert (status, errors) == (2, [f"chat_server: {said}"])


def test_a_further_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Program("start_server", "--port", 0, "--listen", f"irc={port}")
        status, errors = server.end()
    assert status != 0 and len(errors) == 1
    assert errors[0].startswith(f"chat_server: can't listen on 127.0.0.1:{port}: ")


def test_the_configuration_file_has_it_too(tmp_path: Path) -> None:
    config = tmp_path / "chat.toml"
    config.write_text('port = 0\nlisten = ["lines=0"]\n')
    server = Program("start_server", "--config", config)
    try:
        wait_until(lambda: any(" lines on " in line for line in server.errors + server.lines))  # fmt: skip
    finally:
        server.end(signal.SIGTERM)


def test_the_main_port_of_the_command_recognises_irc() -> None:
    with ChatServer(dialect=main_dialect()) as server:
        with LineClient(server.port) as ann:
            ann.send(b"NICK ann\r\nUSER ann 0 * :Ann\r\n")
            assert ann.line().startswith(b":chat 001 ann ")
        with LineClient(server.port).join("bob") as bob:
            bob.say("ping")
            assert bob.read_until("pong") == {"type": "pong"}


# --- every dialect keeps the promises of the seam -------------------------------------------------------------------


@pytest.mark.parametrize("name", DIALECTS)
def test_all_of_a_kind_share_their_encoder(name: str) -> None:
    assert DIALECTS[name]().encode is DIALECTS[name]().encode


@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("name", DIALECTS)
@given(st.lists(st.binary(max_size=50), max_size=6))
def test_no_dialect_raises_whatever_comes(name: str, data: list[bytes]) -> None:
    dialect = DIALECTS[name]()
    for each in data:
        list(dialect.receive(each))
    if isinstance(dialect, Speaker):
        list(dialect.finish())


# --- one room ------------------------------------------------------------------------------------------------------


def port_of(server: ChatServer, name: str) -> int:
    return int(server.listening(name)[0].rpartition(":")[2])


PROGRAMS = ("weechat", "irssi", "telnet")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
@pytest.mark.slow(seconds=60)
def test_eight_kinds_of_clients_in_one_room(tmp_path: Path) -> None:
    """Our terminal and plain clients, weechat, irssi, telnet, and the clients of three tutorials. The browser has a test
    of its own."""
    names = [name for name in DIALECTS if name != "json"]
    listeners = listeners_for([f"{name}=0" for name in names], "127.0.0.1")
    limits = Limits(flood_burst=100, flood_rate=50.0)
    server = ChatServer(dialect=main_dialect(), listeners=listeners, limits=limits)
    homes = {name: tmp_path / name for name in PROGRAMS}
    for home in homes.values():
        home.mkdir()
    irc = port_of_after_start(server, "irc")
    add = f"/server add chat 127.0.0.1/{irc} -nicks=weechat -notls -nossl"
    commands = {
        "weechat": ["weechat", "-d", homes["weechat"], "-r", add, "-r", "/connect chat"],
        "irssi": ["irssi", "--home", homes["irssi"], "-c", "127.0.0.1", "-p", irc, "-n", "irssi"],
        "telnet": ["telnet", "127.0.0.1", port_of(server, "lines")],
    }  # fmt: skip
    with server:
        screens = {
            name: Terminal(*commands[name], columns=110, rows=40, HOME=str(homes[name]))
            for name in PROGRAMS
        }
        screens["terminal"] = chat(server.port, "terminal", columns=110, rows=40)
        plain = Program("start_client", "127.0.0.1", server.port, "--username", "plain")
        tutorial = {
            name: kind(port_of(server, name), name)
            for name, kind in (("nick", Nick), ("tilde", Tilde), ("connect", Connect))
        }
        everybody = {*screens, *tutorial, "plain"}
        try:
            screens["telnet"].until("What is your name?")
            screens["telnet"].type("telnet\r")
            all_in = lambda: read_all(screens) and everybody <= set(server.users)  # noqa: E731
            wait_until(all_in, 60)
            screens["irssi"].until("channels formed")
            screens["irssi"].type("\x1b2")
            screens["irssi"].until("#lobby")
            for name, screen in screens.items():
                screen.type(f"said by {name}\r")
            plain.type("said by plain")
            for name, client in tutorial.items():
                client.say(f"said by {name}")
            for name in everybody:
                for other, screen in screens.items():
                    screen.until(f"said by {name}")
                if name != "plain":
                    wait_until(lambda: any(f"said by {name}" in line for line in plain.lines))  # fmt: skip
                for other, client in tutorial.items():
                    if other != name:
                        client.shows(f"said by {name}")
        finally:
            for screen in screens.values():
                screen.__exit__()
            plain.end(signal.SIGKILL)
            for client in tutorial.values():
                client.__exit__()
        wait_until(lambda: not set(server.users) - {"plain", "terminal"})


def port_of_after_start(server: ChatServer, name: str) -> int:
    server.start()
    return port_of(server, name)


def read_all(screens: dict[str, Terminal]) -> bool:
    """Programs stop that nobody reads."""
    for screen in screens.values():
        screen.read()
    return True
