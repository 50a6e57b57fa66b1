"""One connection to a chat server: what goes out, what comes in, silence, and the end."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from links import HELLO, SAID, Server, server  # noqa: F401
from sockets import nothing_left_over  # noqa: F401
from waiting import LIMIT, wait_until

from python_tcp.chat_link import ChatLink
from python_tcp.protocol import Join, Ping, Pong, encode

pytestmark = pytest.mark.usefixtures("nothing_left_over")


@contextmanager
def linked(server: Server, *times: float, **callbacks: object) -> Iterator[ChatLink]:
    link = ChatLink(*times, **callbacks)
    assert link.connect(*server.address), link.error
    server.accept()
    yield link
    link.close()


def test_commands_go_out_and_events_come_in(server: Server) -> None:
    told = []
    callbacks = {
        "on_open": lambda link: (told.append("open"), link.send(Join("ann"))),
        "on_event": lambda link, event: told.append(event),
        "on_pause": lambda link: told.append("pause"),
        "on_closed": lambda link: told.append(link.close_reason),
    }
    with linked(server, **callbacks) as link:
        assert link.connected and server.lines.readline() == encode(Join("ann"))
        server.say(HELLO, SAID)
        wait_until(lambda: "pause" in told)
        server.hang_up()
        wait_until(lambda: not link.connected)
    assert [each for each in told if each != "pause"] == [
        "open", HELLO, SAID, "closed by peer",
    ]  # fmt: skip
    assert told.index("pause") > told.index(HELLO)


def test_what_is_no_event_is_left_out(server: Server) -> None:
    told = []
    with linked(server, on_event=lambda link, event: told.append(event)):
        server.sock.sendall(
            b'nonsense\n\n{"type":"future"}\n' + b"x" * 5_000_000 + b"\n"
        )
        server.say(SAID)
        wait_until(lambda: told)
    assert told == [SAID]


def test_a_ping_is_answered_and_not_told(server: Server) -> None:
    told = []
    with linked(server, on_event=lambda link, event: told.append(event)):
        server.say(Ping(7), SAID)
        assert server.lines.readline() == encode(Pong(7))
        wait_until(lambda: told)
    assert told == [SAID]


def test_nobody_there_has_a_reason(reserved_port: int) -> None:
    link = ChatLink()
    assert link.connect("127.0.0.1", reserved_port) is False
    assert isinstance(link.error, OSError)
    assert not link.connected and link.close_reason is None
    link.close()
    link.abort("x")
    link.call_soon(lambda: pytest.fail("there is no thread for it"))
    assert link.send(Join("ann")) is False


def test_a_server_that_does_not_answer_is_given_up(server: Server) -> None:
    closed = threading.Event()
    start = time.monotonic()
    callbacks = {"on_closed": lambda link: closed.set()}
    with linked(server, 5.0, 0.1, 0.2, **callbacks) as link:
        assert server.lines.readline() == encode(Ping())
        assert closed.wait(LIMIT) and time.monotonic() - start >= 0.3
    assert link.close_reason == "the server does not answer"


def test_a_server_that_answers_is_kept(server: Server) -> None:
    with linked(server, 5.0, 0.05, LIMIT) as link:
        for _ in range(5):
            assert server.lines.readline() == encode(Ping())
            server.say(Pong())
        assert link.connected


def test_what_is_to_be_sent_later_is_sent_once(server: Server) -> None:
    called = []

    def on_open(link: ChatLink) -> None:
        link.send_all([Join("ann")], 30.0, lambda: called.append("too soon"))
        link.send_all([], 0.01, lambda: called.append("now"))

    with linked(server, on_open=on_open):
        wait_until(lambda: called)
        time.sleep(0.05)
    assert called == ["now"]


def test_a_link_may_be_closed_from_its_own_callback(server: Server) -> None:
    with linked(server, on_event=lambda link, event: link.close()) as link:
        server.say(SAID)
        wait_until(lambda: not link.connected)
    assert link.close_reason == "closed by us"
