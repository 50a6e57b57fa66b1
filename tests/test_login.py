"""`python_tcp.login`: calls that may wait, and what becomes of a try to be in the chat."""

import queue
import threading
from collections.abc import Callable

import pytest
from waiting import wait_until

from python_tcp.chat_view import Line
from python_tcp.login import CallQueue, Login
from python_tcp.protocol import Error, Goodbye, Message, Welcome

LIMIT = 10.0  # seconds


def test_calls_are_made_in_order_on_a_thread_of_their_own() -> None:
    done: queue.SimpleQueue = queue.SimpleQueue()
    calls = CallQueue(post=lambda then, result: then(result))
    for number in range(100):
        calls.do(lambda number=number: (number, threading.get_ident()), done.put)
    calls.stop()
    results = [done.get(timeout=LIMIT) for _ in range(100)]
    assert [number for number, _ in results] == list(range(100))
    (ident,) = {ident for _, ident in results}
    assert ident != threading.get_ident()


def test_a_call_that_waits_keeps_nobody_waiting_who_asks_for_it() -> None:
    go, done = threading.Event(), threading.Event()
    calls = CallQueue(post=lambda then, result: then(result))
    calls.do(lambda: go.wait(LIMIT), lambda _: done.set())
    assert not done.is_set()
    go.set()
    assert done.wait(LIMIT)
    calls.stop()


def test_a_call_that_raises_is_an_error_and_the_next_is_made() -> None:
    done: queue.SimpleQueue = queue.SimpleQueue()
    calls = CallQueue(post=lambda then, result: then(result))
    calls.do(lambda: 1 / 0, done.put)
    calls.do(lambda: "next", done.put)
    calls.stop()
    error = done.get(timeout=LIMIT)
    assert (
        isinstance(error, Error)
        and error.code == "bug"
        and "ZeroDivision" in error.content
    )
    assert done.get(timeout=LIMIT) == "next"


class FakeApp:
    """What a `Login` needs of a face: it runs no loop and draws nothing."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.ended: list[tuple[int, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.calls, self.trust = self, None
        self.made: list[Callable] = []

    def do(self, call: Callable, then: Callable) -> None:
        self.made.append(call)

    def show(self, lines: list[Line]) -> None:
        self.shown += [line.plain() for line in lines]

    def end(self, status: int = 0, last_words: str = "") -> None:
        self.ended.append((status, last_words))

    def ask(self, prompt: str, lines: list[str], then: Callable) -> None:
        self.asked.append((prompt, lines))

    def enter(self, name: str, room: str = "") -> None:
        raise AssertionError("nobody has answered")


@pytest.fixture
def app() -> FakeApp:
    return FakeApp()


@pytest.fixture
def login(app: FakeApp) -> Login:
    return Login(app, "ann")


WELCOME = Welcome("ann", "lobby", "Hello", 0)


def test_an_error_while_connecting_is_told_once(app: FakeApp, login: Login) -> None:
    error = Error("bad_room", "no such\nroom")
    login._arrived(error)
    assert app.shown == []
    login._connected(error)
    assert app.ended == [(1, "no such room")]


@pytest.mark.parametrize("code", ["name_taken", "bad_name"])
def test_a_name_that_can_not_be_had_is_asked_for_again(
    app: FakeApp, login: Login, code: str
) -> None:
    login._connected(Error(code, "no"))
    assert app.asked == [("Another name: ", ["no"])] and app.ended == []
    login._arrived(WELCOME)  # too late
    login._done(Error("x", "y"))
    login._connected(None)
    assert app.shown == []


def test_a_name_that_is_taken_while_the_connection_is_lost(
    app: FakeApp, login: Login
) -> None:
    login._arrived(WELCOME)
    login._arrived(Goodbye("name_taken", "ann is taken", False))
    assert app.asked == [("Another name: ", ["ann is taken"])] and app.ended == []


@pytest.mark.parametrize(
    ("code", "status"), [("left", 0), ("replaced", 1), ("idle", 1)]
)
def test_a_goodbye_ends_the_application(
    app: FakeApp, login: Login, code: str, status: int
) -> None:
    login._arrived(WELCOME)
    login._arrived(Goodbye(code, "that\x1b is all", False))
    assert app.ended == [(status, "that\ufffd is all")]


def test_what_arrives_is_shown(app: FakeApp, login: Login) -> None:
    login._arrived(WELCOME)
    login._connected(None)
    login._arrived(Message("lobby", 1, "bob", "Ann?", 9.0))
    assert app.shown[0] == "* Hello" and app.ended == []
    assert app.made == [], "nothing is asked that is not shown"


def test_leaving_says_goodbye_once_and_not_before_there_is_a_chat(
    app: FakeApp, login: Login
) -> None:
    assert login.leave() is False
    login._arrived(WELCOME)
    assert [login.leave(), login.leave()] == [True, False]
    assert len(app.made) == 1


def test_who_tells_more_than_the_screen_can_keep_up_with_has_to_wait(
    app: FakeApp, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile server's flood: so much is on its way, and then nothing more is read."""
    monkeypatch.setattr(Login, "STUCK", LIMIT)
    posted: list[tuple] = []
    app.post = lambda *call: posted.append(call)
    hello = Message("lobby", 1, "bob", "hello", 9.0)
    flood = threading.Thread(
        target=lambda: [login._heard(hello) for _ in range(Login.MOST_EVENTS + 1)]
    )
    flood.start()
    wait_until(lambda: len(posted) == Login.MOST_EVENTS)
    flood.join(timeout=0.05)
    assert flood.is_alive() and len(posted) == Login.MOST_EVENTS
    call, event = posted.pop(0)
    call(event)
    flood.join(timeout=LIMIT)
    assert not flood.is_alive() and len(posted) == Login.MOST_EVENTS
