"""`chat_window` as a person uses it: real keys and a real mouse, on a screen that nobody sees."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tkinter", reason="this Python has no Tk")

from desktop import Desktop, needs_desktop, virtual_screen
from helpers import LineClient, wait_until

from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.protocol import Limits

pytestmark = [needs_desktop, pytest.mark.slow(seconds=5)]


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    with virtual_screen() as display:
        yield Desktop(display)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        yield server


def test_form_typing_tabs_resize_and_close(
    desktop: Desktop, server: ChatServer
) -> None:
    with desktop.start("127.0.0.1", server.port) as ann:
        ann.type("ann")  # the cursor is in the name, which is what is missing
        ann.press("Return")
        wait_until(lambda: server.users == ["ann"])
        wait_until(lambda: ann.title == "lobby")
        with LineClient(server.port).join("bob") as bob:
            ann.type("hello, bob")
            ann.press("Return")
            bob.read_until("message", content="hello, bob")
            ann.type("/join kit")
            ann.type("chen")
            ann.press("Return")
            wait_until(lambda: ann.title == "kitchen")
            bob.say("message", content="are you there?")
            wait_until(lambda: ann.title == "kitchen (1)")
            ann.click(25, 12)  # the first tab
            wait_until(lambda: ann.title == "lobby")
            ann.press("Up", "Up", "Return")  # again what was typed before the last
            bob.read_until("message", content="hello, bob")
            ann.resize(500, 300)
            wait_until(lambda: ann.size == (500, 300))
            ann.type("still here")
            ann.press("Return")
            bob.read_until("message", content="still here")
            ann.type("/quit")
            ann.press("Return")
            assert ann.end() == (0, "")
            bob.read_until("leave", username="ann")


def test_ctrl_c_says_goodbye_though_nothing_happens_in_the_window(
    desktop: Desktop, server: ChatServer
) -> None:
    with (
        LineClient(server.port).join("bob") as bob,
        desktop.start("127.0.0.1", server.port, "--username", "ann") as ann,
    ):
        bob.read_until("join", username="ann")
        ann.program.send_signal(signal.SIGINT)
        assert ann.end() == (0, "")
        bob.read_until("leave", username="ann")


def test_a_name_that_is_taken_is_asked_for_again(
    desktop: Desktop, server: ChatServer
) -> None:
    with (
        ChatClient("ann") as other,  # who answers the server's pings
        desktop.start("127.0.0.1", server.port) as ann,
    ):
        assert other.connect("127.0.0.1", server.port) and other.join()
        ann.type("ann")
        ann.press("Return")
        wait_until(lambda: ann.title == "Another name")
        ann.type("zoe")
        ann.press("Return")
        wait_until(lambda: server.users == ["ann", "zoe"])
        wait_until(lambda: ann.title == "lobby")


def test_nobody_there_is_said_in_the_form_and_can_be_corrected(
    desktop: Desktop, server: ChatServer, reserved_port: int
) -> None:
    with desktop.start("127.0.0.1", reserved_port, "--username", "ann") as ann:
        wait_until(lambda: ann.title.startswith("can't connect"))
        ann.press("shift+Tab", "ctrl+a", "BackSpace")  # the port is before the name
        ann.type(str(server.port))
        ann.press("Return")
        wait_until(lambda: server.users == ["ann"])


def test_what_was_said_while_the_server_is_gone_is_said_when_it_is_back(
    desktop: Desktop, tmp_path: Path, reserved_port: int
) -> None:
    data, port = tmp_path / "chat.db", reserved_port
    with ChatServer("127.0.0.1", port, data=data) as first:
        ann = desktop.start("127.0.0.1", port, "--username", "ann")
        wait_until(lambda: first.users == ["ann"] and ann.title == "lobby")
    with ann:
        ann.type("typed while it was gone")
        ann.press("Return")
        with ChatServer("127.0.0.1", port, data=data) as second:
            wait_until(lambda: second.users == ["ann"])
            with LineClient(port) as bob:
                bob.say("join", username="bob", since=0)
                wait_until(lambda: "bob" in second.users)
                bob.say("history")
                while True:
                    event = bob.read()
                    if event["type"] == "message" or event.get("messages"):
                        break
                messages = event.get("messages", [event])
                said = [each["content"] for each in messages]
                assert said == ["typed while it was gone"]
            ann.press("F2")
            ann.type("/quit")
            ann.press("Return")
            assert ann.end() == (0, "")
