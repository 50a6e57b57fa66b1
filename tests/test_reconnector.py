"""One connection after the other: the callbacks, the pauses, and the session that goes on."""

import itertools
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from links import HELLO, SAID, Server, server  # noqa: F401
from msgspec.structs import replace
from sockets import nothing_left_over  # noqa: F401
from waiting import LIMIT, wait_until

from python_tcp import delivery, reconnector
from python_tcp.chat_link import ChatLink
from python_tcp.chat_session import ClientSession, Disconnected, SessionState
from python_tcp.protocol import Error, Goodbye, Join, Ok, SetStatus, UserList
from python_tcp.reconnector import Backoff, CallbackDispatcher, Reconnector
from python_tcp.reconnector import until_free

pytestmark = pytest.mark.usefixtures("nothing_left_over")


# --- the callbacks -----------------------------------------------------------------------------------------------


def test_both_callbacks_hear_of_an_event_the_value_first() -> None:
    dispatcher, told = CallbackDispatcher(), []
    dispatcher.notify(SAID, "ann")  # nobody listens, which is fine
    dispatcher.set_message_callback(told.append)
    dispatcher.set_event_callback(told.append)
    for event in (SAID, Ok(1)):
        dispatcher.notify(event, "ann")
    assert told == [SAID, "bob: hello", Ok(1)]


def test_what_is_no_longer_wanted_is_not_told() -> None:
    dispatcher, told = CallbackDispatcher(), []
    dispatcher.set_event_callback(told.append)
    dispatcher.notify(SAID, "ann", lambda event: event is not SAID)
    assert told == []


def test_a_callback_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher, told = CallbackDispatcher(), []
    dispatcher.set_event_callback(lambda event: told.append(1 / 0))
    dispatcher.set_message_callback(told.append)
    dispatcher.notify(SAID, "ann")
    assert not dispatcher.runs_here() and told == []
    [record] = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info[0] is ZeroDivisionError


def test_two_threads_do_not_call_at_once() -> None:
    dispatcher, inside, most = CallbackDispatcher(), [], []

    def callback(event: object) -> None:
        inside.append(event)
        time.sleep(0.001)
        most.append(len(inside))
        inside.pop()

    dispatcher.set_event_callback(callback)
    threads = [
        threading.Thread(
            target=lambda: [dispatcher.notify(SAID, "ann") for _ in range(20)]
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert most == [1] * 60


def test_who_does_not_wait_for_a_callback_leaves_the_event_to_its_thread() -> None:
    dispatcher, told, go_on = CallbackDispatcher(), [], threading.Event()

    def callback(event: object) -> None:
        told.append((event, threading.current_thread()))
        if event == SAID:
            assert go_on.wait(LIMIT)

    dispatcher.set_event_callback(callback)
    busy = threading.Thread(target=dispatcher.notify, args=[SAID, "ann"])
    busy.start()
    wait_until(lambda: told)
    dispatcher.notify(Ok(1), "ann", timeout=0.01)
    assert told == [(SAID, busy)]
    go_on.set()
    busy.join(LIMIT)
    assert told == [(SAID, busy), (Ok(1), busy)]


def test_it_knows_on_which_thread_a_callback_runs() -> None:
    dispatcher, answers = CallbackDispatcher(), []

    def ask() -> None:
        answers.append(dispatcher.runs_here())

    def callback(event: object) -> None:
        ask()
        other = threading.Thread(target=ask)
        other.start()
        other.join(LIMIT)
        if event == SAID:
            dispatcher.notify(Ok(1), "ann")  # a callback that makes something happen
            ask()

    dispatcher.set_event_callback(callback)
    dispatcher.notify(SAID, "ann")
    assert answers == [True, False, True, False, True] and not dispatcher.runs_here()


# --- when to try again -------------------------------------------------------------------------------------------


@pytest.fixture
def even_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reconnector,
        "backoff_delays",
        lambda: delivery.backoff_delays(random=lambda: 1.0),
    )


@pytest.mark.usefixtures("even_delays")
def test_pauses_grow_until_patience_runs_out() -> None:
    backoff, now, pauses = Backoff(patience=4.0), 100.0, []
    while (pause := backoff.next_pause(now)) is not None:
        pauses.append(pause)
        now += pause
    assert pauses == [0.25, 0.5, 1.0, 2.0] and now <= 104.0


@pytest.mark.usefixtures("even_delays")
def test_a_new_loss_has_a_patience_of_its_own_and_after_30_s_pauses_of_its_own() -> (
    None
):
    backoff = Backoff(patience=4.0)
    assert backoff.next_pause(0.0) == 0.25
    for lost, pause in [(101.0, 0.5), (202.0, 1.0), (303.0, 2.0), (404.0, 4.0)]:
        backoff.connected(lost - 1)
        assert backoff.next_pause(lost) == pause
    backoff.connected(500.0)
    assert backoff.next_pause(530.0) == 0.25


@pytest.mark.usefixtures("even_delays")
def test_a_server_that_welcomes_and_closes_is_asked_less_and_less_often() -> None:
    backoff, now, attempts = Backoff(patience=math.inf), 0.0, 0
    while now < 300:
        now += backoff.next_pause(now) + 0.1
        backoff.connected(now)
        attempts += 1
    assert attempts < 20


@pytest.mark.usefixtures("even_delays")
@pytest.mark.parametrize("asked", [1e300, math.inf])
def test_a_server_can_not_send_us_away_for_ever(asked: float) -> None:
    assert Backoff(math.inf).next_pause(0.0, asked) == Backoff.LONGEST


@pytest.mark.usefixtures("even_delays")
def test_the_server_may_ask_for_a_longer_pause() -> None:
    backoff = Backoff(patience=8.0)
    assert [backoff.next_pause(0.0, 5.0), backoff.next_pause(5.0)] == [5.0, 0.5]
    assert backoff.next_pause(5.5, at_least=5.0) is None


def test_no_patience_is_no_attempt() -> None:
    assert Backoff(patience=0.0).next_pause(0.0) is None


# --- a session that goes on --------------------------------------------------------------------------------------


@contextmanager
def going_on(
    patience: float = 60.0, **times: float
) -> Iterator[tuple[Reconnector, ClientSession, list]]:
    session, dispatcher, told = ClientSession("ann"), CallbackDispatcher(), []
    dispatcher.set_event_callback(told.append)
    reconnector = Reconnector(
        session, threading.Condition(), dispatcher, partial(ChatLink, **times), patience
    )
    try:
        yield reconnector, session, told
    finally:
        reconnector.stop()


def join(server: Server, session: ClientSession, reconnector: Reconnector) -> None:
    session.join("lobby")
    reconnector.pump_soon()
    assert b'"join"' in server.lines.readline()
    server.say(HELLO, UserList("lobby", ["ann"]))
    wait_until(lambda: session.rooms)


def test_one_link_after_the_other(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnector, "backoff_delays", lambda: itertools.repeat(0.01))
    with going_on() as (keeper, session, told):
        assert keeper.open(*server.address) is None
        server.accept()
        join(server, session, keeper)
        for count in (1, 2, 3):
            server.hang_up()
            server.accept()
            assert b'"since":0' in server.lines.readline()
            server.say(HELLO, UserList("lobby", ["ann"]))
            server.sock.sendall(
                b'{"type":"history","room":"lobby","messages":[],"more":false}\n'
            )
            wait_until(
                lambda: [type(e).__name__ for e in told].count("Reconnected") == count
            )
            assert session.state is SessionState.JOINED and keeper.connected
    assert told[-1] == session.goodbye == Goodbye("left", "Goodbye!", False)
    wait_until(lambda: not keeper.connected)
    assert keeper.open(*server.address).content == "we have left"


def test_without_patience_the_first_loss_is_the_end(server: Server) -> None:
    with going_on(patience=0.0) as (keeper, session, told):
        keeper.open(*server.address)
        server.accept()
        join(server, session, keeper)
        server.hang_up()
        wait_until(lambda: session.state is SessionState.ENDED)
        wait_until(lambda: isinstance(told[-1], Goodbye))
    assert told[-1].code == "connection_lost" and told.count(told[-1]) == 1
    assert not any(isinstance(event, Disconnected) for event in told)


def test_without_a_thread_to_come_back_with_it_is_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with going_on() as (keeper, session, told):
        keeper.open(*server.address)
        server.accept()
        join(server, session, keeper)
        monkeypatch.setattr(threading.Thread, "start", start)
        server.hang_up()
        wait_until(lambda: told and isinstance(told[-1], Goodbye))
        monkeypatch.undo()
        assert session.state is SessionState.ENDED
    assert told[-1].code == "connection_lost" and not told[-1].reconnect
    assert "can't start new thread" in told[-1].content


def test_a_goodbye_that_lets_us_come_back_says_when(server: Server) -> None:
    with going_on() as (keeper, session, told):
        keeper.open(*server.address)
        server.accept()
        join(server, session, keeper)
        server.say(Goodbye("server_closing", "Closing.", True, 30.0))
        wait_until(lambda: any(isinstance(event, Disconnected) for event in told))
        assert told[-1] == Disconnected("Closing.", 30.0)
        assert session.state is SessionState.LOST and session.goodbye is None


def test_nobody_there_is_a_reason_and_no_exception(reserved_port: int) -> None:
    with going_on() as (keeper, session, told):
        assert "refused" in keeper.open("127.0.0.1", reserved_port).content
        assert not keeper.connected and not keeper.send(Join("ann"))
        session.end()
        keeper.stop()
    assert told == [], "what never began has no last event"


def test_a_refusal_on_the_way_back_is_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnector, "backoff_delays", lambda: itertools.repeat(0.01))
    with going_on() as (keeper, session, told):
        keeper.open(*server.address)
        server.accept()
        join(server, session, keeper)
        server.hang_up()
        server.accept()
        server.lines.readline()
        server.say(Error("name_taken", "ann is taken", 2))
        wait_until(lambda: isinstance(told[-1], Goodbye))
    assert [type(event) for event in told[-2:]] == [Error, Goodbye]
    assert told[-1] == Goodbye("name_taken", "ann is taken", False)


def test_a_bug_of_our_own_is_the_end_and_is_not_tried_again(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with going_on() as (keeper, session, told):
        keeper.open(*server.address)
        server.accept()
        join(server, session, keeper)
        session.say(SetStatus("\ud800"))  # past the check of `ChatClient`
        keeper.pump_soon()
        wait_until(lambda: session.state is SessionState.ENDED and told)
        wait_until(lambda: isinstance(told[-1], Goodbye))
    assert (told[-1].code, told[-1].reconnect) == ("bug", False)
    assert not any(isinstance(event, Disconnected) for event in told)
    assert "bug" in caplog.records[0].message


@pytest.mark.parametrize("pause", [1e300, -1.0, 5e-324])
def test_whatever_pause_a_server_asks_for_the_client_may_leave(
    server: Server, pause: float
) -> None:
    with going_on(patience=math.inf) as (keeper, session, told):
        keeper.open(*server.address)
        server.accept()
        join(server, session, keeper)
        server.say(Goodbye("server_closing", "Closing.", True, pause))
        wait_until(lambda: any(isinstance(event, Disconnected) for event in told))
        start = time.monotonic()
        keeper.stop()
    assert time.monotonic() - start < LIMIT / 2 and told[-1].code == "left"


def test_a_name_that_is_kept_is_asked_for_again_and_another_is_not() -> None:
    kept = Error("name_taken", "ann is kept for its owner, for 7 s at most", None, 7.0)
    told: list[str] = []
    waits: list[float] = []
    attempts = iter(
        [kept, replace(kept, retry_after=-1.0), replace(kept, retry_after=1e300), None]
    )
    assert until_free(lambda: next(attempts), told.append, waits.append) is None
    assert waits == [7.0, 1.0, Backoff.LONGEST]
    assert told[0] == f"{kept.content}. Trying again in 7 s."
    for final in (Error("name_taken", "taken"), Error("full", "full", None, 3.0)):
        assert until_free(lambda: final, told.append, waits.append) is final
    assert len(told) == len(waits) == 3
