"""`python_tcp.login`: calls that may wait, and what becomes of a try to be in the chat."""

import queue
import threading
from collections.abc import Callable

import pytest
from waiting import wait_until

from python_tcp.chat_view import Line
from python_tcp import commands
from python_tcp.chat_client import ChatClient
from python_tcp.login import CallQueue, LoginAttempt
from python_tcp.protocol import Error, Goodbye, Message, Welcome
from python_tcp.typed_lines import parse

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
    """What a `LoginAttempt` needs of a face: it runs no loop and draws nothing."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.ended: list[tuple[int, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.secret: list[bool] = []
        self.then: list[Callable] = []
        self.entered: list[tuple] = []
        self.calls, self.trust = self, None
        self.made: list[Callable] = []

    def do(self, call: Callable, then: Callable) -> None:
        self.made.append(call)

    def show(self, lines: list[Line]) -> None:
        self.shown += [line.plain() for line in lines]

    def end(self, status: int = 0, last_words: str = "") -> None:
        self.ended.append((status, last_words))

    def ask(
        self, prompt: str, lines: list[str], then: Callable,
        secret: bool = False, goes_on: bool = False,
    ) -> None:  # fmt: skip
        self.asked.append((prompt, lines))
        self.secret.append(secret)
        self.then.append(then)

    def enter(self, name: str, room: str = "", opening: object = None) -> None:
        self.entered.append((name, room, opening))


@pytest.fixture
def app() -> FakeApp:
    return FakeApp()


@pytest.fixture
def login(app: FakeApp) -> LoginAttempt:
    return LoginAttempt(app, "ann")


WELCOME = Welcome("ann", "lobby", "Hello", 0)


def test_an_error_while_connecting_is_told_once(
    app: FakeApp, login: LoginAttempt
) -> None:
    error = Error("bad_room", "no such\nroom")
    login._arrived(error)
    assert app.shown == []
    login._connected(error)
    assert app.ended == [(1, "no such room")]


@pytest.mark.parametrize("code", ["name_taken", "bad_name"])
def test_a_name_that_can_not_be_had_is_asked_for_again(
    app: FakeApp, login: LoginAttempt, code: str
) -> None:
    login._connected(Error(code, "no"))
    assert app.asked == [("Another name: ", ["no"])] and app.ended == []
    login._arrived(WELCOME)  # too late
    login._done(Error("x", "y"))
    login._connected(None)
    assert app.shown == []


def test_a_name_that_is_taken_while_the_connection_is_lost(
    app: FakeApp, login: LoginAttempt
) -> None:
    login._arrived(WELCOME)
    login._arrived(Goodbye("name_taken", "ann is taken", False))
    assert app.asked == [("Another name: ", ["ann is taken"])] and app.ended == []


@pytest.mark.parametrize(
    ("code", "status"), [("left", 0), ("replaced", 1), ("idle", 1)]
)
def test_a_goodbye_ends_the_application(
    app: FakeApp, login: LoginAttempt, code: str, status: int
) -> None:
    login._arrived(WELCOME)
    login._arrived(Goodbye(code, "that\x1b is all", False))
    assert app.ended == [(status, "that\ufffd is all")]


def test_what_arrives_is_shown(app: FakeApp, login: LoginAttempt) -> None:
    login._arrived(WELCOME)
    login._connected(None)
    login._arrived(Message("lobby", 1, "bob", "Ann?", 9.0))
    assert app.shown[0] == "* Hello" and app.ended == []
    assert app.made == [], "nothing is asked that is not shown"


def test_leaving_says_goodbye_once_and_not_before_there_is_a_chat(
    app: FakeApp, login: LoginAttempt
) -> None:
    assert login.leave() is False
    login._arrived(WELCOME)
    assert [login.leave(), login.leave()] == [True, False]
    assert len(app.made) == 1


def test_who_tells_more_than_the_screen_can_keep_up_with_has_to_wait(
    app: FakeApp, login: LoginAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile server's flood: so much is on its way, and then nothing more is read."""
    monkeypatch.setattr(LoginAttempt, "STUCK", LIMIT)
    posted: list[tuple] = []
    app.post = lambda *call: posted.append(call)
    hello = Message("lobby", 1, "bob", "hello", 9.0)
    flood = threading.Thread(
        target=lambda: [
            login._heard(hello) for _ in range(LoginAttempt.MOST_EVENTS + 1)
        ]
    )
    flood.start()
    wait_until(lambda: len(posted) == LoginAttempt.MOST_EVENTS)
    flood.join(timeout=0.05)
    assert flood.is_alive() and len(posted) == LoginAttempt.MOST_EVENTS
    call, event = posted.pop(0)
    call(event)
    flood.join(timeout=LIMIT)
    assert not flood.is_alive() and len(posted) == LoginAttempt.MOST_EVENTS


# --- passwords -----------------------------------------------------------------------------


@pytest.fixture
def safe(login: LoginAttempt, monkeypatch: pytest.MonkeyPatch) -> LoginAttempt:
    """A login whose connection is one to this computer."""
    monkeypatch.setattr(ChatClient, "may_send_passwords", True)
    return login


REFUSED = ["name_registered", "login_needed", "bad_login", "too_many_guesses", "busy"]


@pytest.mark.parametrize("code", REFUSED)
def test_the_owner_of_a_name_is_asked_for_the_password(
    app: FakeApp, safe: LoginAttempt, code: str
) -> None:
    safe._connected(Error(code, "ann is somebody's"))
    prompt = "The password of ann (Enter: another name): "
    assert app.asked == [(prompt, ["ann is somebody's"])] and app.secret == [True]
    app.then[0]("horse")
    assert app.asked[1] == (prompt, ["a password has 8 to 256 characters"])
    app.then[1]("correct horse")
    assert app.entered == [("ann", "", commands.Login("ann", "correct horse"))]
    safe._arrived(WELCOME)  # of the try that is over
    assert app.shown == [] and app.ended == []


def test_who_does_not_know_the_password_takes_another_name(
    app: FakeApp, safe: LoginAttempt
) -> None:
    safe._connected(Error("name_registered", "log in first"))
    app.then[0]("")
    assert app.asked[1] == ("Another name: ", []) and app.secret == [True, False]
    app.then[1]("bob")
    assert app.entered == [("bob", "", None)]


@pytest.mark.parametrize("code", REFUSED)
def test_nobody_is_asked_for_a_password_that_can_not_be_sent(
    app: FakeApp, login: LoginAttempt, code: str
) -> None:
    login._connected(Error(code, "no"))
    assert app.asked == [] and app.ended == [(1, "no")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/password", "you are not logged in"),
        ("/delete-account", "you are not logged in"),
        ("/lock", "you are in no room"),
    ],
)
def test_what_makes_no_sense_is_not_asked(
    app: FakeApp, safe: LoginAttempt, line: str, why: str
) -> None:
    safe.typed(parse(line))
    assert app.asked == [] and why in app.shown[0]


def test_without_a_safe_way_no_password_is_asked_for(
    app: FakeApp, login: LoginAttempt
) -> None:
    for line in ("/register", "/login", "/lock dev"):
        login.typed(parse(line))
    assert app.asked == [] and len(app.shown) == 3
    assert all("over TLS only" in line for line in app.shown)


def test_a_login_while_chatting_is_another_try(
    app: FakeApp, safe: LoginAttempt
) -> None:
    safe._arrived(WELCOME)
    safe.typed(parse("/login bob"))
    assert app.asked == [("The password of bob: ", [])]
    app.then[0]("correct horse")
    assert app.entered == [("bob", "", commands.Login("bob", "correct horse"))]
    safe._arrived(Goodbye("left", "Goodbye!", False))
    assert app.ended == []  # it was the old one that left


def test_a_login_that_ran_out_while_we_were_away_asks_again(
    app: FakeApp, safe: LoginAttempt
) -> None:
    safe._arrived(WELCOME)
    safe._arrived(Goodbye("name_registered", "log in first", False))
    assert app.secret == [True] and app.ended == []


def test_a_password_that_was_changed_elsewhere_is_asked_for(
    app: FakeApp, safe: LoginAttempt
) -> None:
    safe._arrived(WELCOME)
    safe._arrived(Goodbye("password_changed", "log in", False))
    assert app.secret == [True] and app.ended == []


@pytest.mark.parametrize(("code", "status"), [("logged_out", 0), ("account_deleted", 0), ("banned", 1)])  # fmt: skip
def test_how_an_account_leaves(
    app: FakeApp, login: LoginAttempt, code: str, status: int
) -> None:
    login._arrived(WELCOME)
    login._arrived(Goodbye(code, "So.", False))
    assert app.ended == [(status, "So.")]


def test_a_locked_room_asks_for_its_password(app: FakeApp, safe: LoginAttempt) -> None:
    safe._arrived(WELCOME)
    safe.typed(parse("/join dev"))
    safe._done(Error("locked", "dev is locked"))
    assert app.asked == [("The password of dev: ", [])] and app.secret == [True]
    calls = len(app.made)
    app.then[0]("correct horse")
    assert len(app.made) == calls + 1
    safe._done(Error("locked", "dev is locked"))  # that was wrong: once more
    assert len(app.asked) == 2
    app.then[1]("")
    safe._done(Error("locked", "of another room"))
    assert len(app.asked) == 2 and "nothing was sent" in app.shown[-2]
