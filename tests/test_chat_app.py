"""`ChatServer` and `ChatClient` over real TCP: whoever does whatever, the others go on chatting."""

import itertools
import json
import re
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import LIMIT, LineClient, Listener, Program, wait_until

from python_tcp.chat_app import ChatClient, ChatServer, Peer, run_chat_server, show
from python_tcp.history import SQLiteLog
from python_tcp.loop import Watchdog
from python_tcp.protocol import (
    Error,
    Event,
    Goodbye,
    Joined,
    Left,
    Limits,
    Message,
    Ok,
    Ping,
    RoomList,
    RoomSize,
    StatusChanged,
    UserList,
    Welcome,
    Whispered,
)
from python_tcp.rooms import Delivery, MemoryLog


FREE = Limits(
    flood_burst=0
)  # without flood control: for tests that are about something else


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=FREE) as server:
        yield server


class Pair:
    """Ann and Bob, who chat in the lobby, and hear nobody but themselves."""

    def __init__(self, port: int) -> None:
        self.ann, self.bob = LineClient(port).join("ann"), LineClient(port).join("bob")
        assert self.ann.read()["type"] == "join"
        self.texts = map(str, itertools.count())

    def go_on_chatting(self) -> None:
        """Each says something, and the next thing that both hear is that."""
        for speaker in (self.ann, self.bob):
            speaker.say("message", content=(text := next(self.texts)))
            assert [
                hearer.read().get("content") for hearer in (self.ann, self.bob)
            ] == [text, text]


@pytest.fixture
def pair(server: ChatServer) -> Iterator[Pair]:
    pair = Pair(server.port)
    with pair.ann, pair.bob:
        yield pair


def without_time(events: list[dict]) -> list[dict]:
    """The events without what differs from one time to the next: timestamps and tokens."""
    return [
        {
            key: value
            for key, value in event.items()
            if key not in ("timestamp", "token")
        }
        for event in events
    ]


# --- ChatClient --------------------------------------------------------------------------------------------------


class Person(Listener):
    """A chat client that keeps what it hears and shows."""

    def goodbyes(self) -> list[Goodbye]:
        return [event for event in self.events if isinstance(event, Goodbye)]


@pytest.fixture
def meet(server: ChatServer) -> Iterator[Callable[..., Person]]:
    """`meet(name)` gives a client that is connected and has joined; all leave at the end."""
    people: list[Person] = []

    def meet(name: str, join: bool = True, **options: float) -> Person:
        people.append(person := Person(name, **options))
        assert person.connect(server.host, server.port)
        assert not join or person.join()
        return person

    yield meet
    for person in people:
        person.set_event_callback(lambda event: None)
        person.set_message_callback(lambda line: None)
        person.leave()


def test_the_calls_of_the_tutorial(server: ChatServer) -> None:
    lines: list[str] = []
    client = ChatClient("ann")
    client.set_message_callback(lines.append)
    assert client.connect(server.host, server.port) is True and client.connected
    client.join()
    assert client.users == server.users == ["ann"]
    client.send_message("hello")
    wait_until(lambda: "ann: hello" in lines)
    client.leave()
    assert not client.connected and lines[-1] == "* Goodbye!"


def test_everybody_sees_who_is_there(meet: Callable[..., Person]) -> None:
    ann, bob = meet("Ann"), meet("Bob")
    cy = meet("Cy")
    for person in (ann, bob, cy):
        assert person.wait_until(lambda: sorted(person.users) == ["Ann", "Bob", "Cy"])
    bob.leave()
    for person in (ann, cy):
        assert person.wait_until(lambda: sorted(person.users) == ["Ann", "Cy"])
    assert bob.users == []


def test_users_are_those_of_the_room_where_we_talk(meet: Callable[..., Person]) -> None:
    ann, bob = meet("ann"), meet("bob")
    assert ann.join("Dev") and ann.users == ["ann"]
    assert ann.join("lobby") and sorted(ann.users) == ["ann", "bob"]
    assert ann.send_message("here") and bob.wait_until(lambda: "ann: here" in bob.lines)
    assert ann.leave("LOBBY") and ann.users == ["ann"]
    assert bob.wait_until(lambda: bob.users == ["bob"])


def test_a_whisper_is_shown_at_both_ends_only(meet: Callable[..., Person]) -> None:
    ann, bob, cy = meet("ann"), meet("bob"), meet("cy")
    assert ann.whisper("BOB", "psst") and ann.send_message("all")
    for person in (ann, bob, cy):
        assert person.wait_until(lambda: "ann: all" in person.lines)
    assert "(to bob) psst" in ann.lines and "(ann whispers) psst" in bob.lines
    assert not any("psst" in line for line in cy.lines)


def test_a_refusal_is_false_with_a_reason(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    meet("ann")
    other = meet("Ann", join=False)
    assert (
        other.join() is False and other.error.code == "name_taken" and other.connected
    )
    bad = meet("a b", join=False)
    assert bad.join() is False and bad.error.code == "bad_name"


def test_nobody_there_is_false_with_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = Person("ann")
    assert (
        client.connect("127.0.0.1", port) is False
        and client.error.code == "not_connected"
    )
    for call in (
        client.join,
        lambda: client.send_message("x"),
        lambda: client.whisper("bob", "x"),
        client.ask_users,
        client.ask_rooms,
        client.leave,
    ):
        assert call() is False
    assert client.users == [] and client.events == []


def test_a_server_that_never_answers_is_false_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Person("ann", timeout=0.2)
        assert client.connect(*listener.getsockname()) and client.join() is False
        client.leave()
        assert not client.connected


def test_a_server_that_is_full_is_the_reason_given() -> None:
    with (
        ChatServer(limits=Limits(connections=1)) as server,
        LineClient(server.port).join("bob"),
    ):
        for wait in (True, False):
            client = Person("ann")
            client.connect(server.host, server.port)
            if wait:
                wait_until(lambda: not client.connected)
            assert client.join() is False
            assert (
                client.goodbye.code == client.error.code == "server_full"
                and "full" in client.error.content
            )
            client.leave()


def test_a_room_is_entered_whatever_failed_before(meet: Callable[..., Person]) -> None:
    ann = meet("ann")
    for number in range(100):
        ann.whisper("nobody", "x")  # its error comes while we wait for the welcome
        assert ann.join(f"room{number}") is True
        assert ann.leave(f"room{number}")


@pytest.mark.parametrize("content", ["\ud800", "", "x" * 5000, "\x1b[2J"])
def test_what_can_not_be_sent_is_no_exception(
    meet: Callable[..., Person], content: str
) -> None:
    ann = meet("ann")
    assert ann.send_message(content) is False or ann.wait_until(lambda: ann.error)
    assert ann.send_message("fine") and ann.wait_until(lambda: "ann: fine" in ann.lines)


def test_a_name_or_room_that_can_not_be_sent_is_refused_at_once(
    meet: Callable[..., Person],
) -> None:
    ann = meet("ann", timeout=LIMIT)
    assert ann.join("\udcff") is False and ann.error.code == "bad_utf8"
    assert ann.join("x" * 20_000) is False and ann.error.code == "too_long"
    bob = meet("\ud800", join=False, timeout=LIMIT)
    assert bob.join() is False and bob.error.code == "bad_utf8"
    assert (
        ann.send_message("fine")
        and ann.wait_until(lambda: "ann: fine" in ann.lines)
        and list(ann.rooms) == ["lobby"]
    )


def test_a_callback_that_raises_stops_nothing(meet: Callable[..., Person]) -> None:
    ann, bob = meet("ann"), meet("bob")
    calls = []

    def fail(what: object) -> None:
        calls.append(what)
        raise RuntimeError("a fault of the callback")

    ann.set_event_callback(fail)
    bob.set_message_callback(fail)
    for count in (1, 2):
        assert ann.send_message("x")
        wait_until(
            lambda: (
                len(
                    [
                        call
                        for call in calls
                        if isinstance(call, Message) or call == "ann: x"
                    ]
                )
                == 2 * count
            )
        )
    assert ann.join("dev") and ann.connected and bob.connected


def test_a_callback_may_join_send_and_ask(meet: Callable[..., Person]) -> None:
    ann = meet("ann")

    def on_event(event: Event) -> None:
        ann.events.append(event)
        match event:
            case Message(content="go"):
                ann.join("dev")  # can't wait here for its own thread
                ann.ask_rooms()
            case Welcome(room="dev"):
                ann.send_message("from inside")

    ann.set_event_callback(on_event)
    ann.send_message("go")
    assert ann.wait_until(
        lambda: any(
            isinstance(event, Message)
            and (event.room, event.content) == ("dev", "from inside")
            for event in ann.events
        )
    )
    assert any(isinstance(event, RoomList) for event in ann.events)


def test_leaving_from_a_callback_is_leaving(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann = meet("ann")

    def on_event(event: Event) -> None:
        ann.events.append(event)
        if isinstance(event, Message):
            ann.leave()

    ann.set_event_callback(on_event)
    ann.send_message("x")
    wait_until(lambda: not ann.connected and server.users == [] and ann.goodbyes())
    assert [(goodbye.code, goodbye.reconnect) for goodbye in ann.goodbyes()] == [
        ("left", False)
    ]


def test_connecting_twice_is_one_connection_and_nothing_is_left_of_the_first(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann = meet("ann")
    assert ann.join("dev")
    assert ann.connect(server.host, server.port) and ann.rooms == {}
    wait_until(lambda: server.users == [])
    assert ann.join() and ann.users == ["ann"] and list(ann.rooms) == ["lobby"]
    assert not any(goodbye.reconnect for goodbye in ann.goodbyes()), (
        "it was our own wish"
    )


def test_connecting_again_from_a_callback_leaves_nothing_of_the_first(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann, again = meet("ann"), threading.Event()

    def on_event(event: Event) -> None:
        ann.events.append(event)
        if isinstance(event, Message) and not again.is_set():
            ann.connect(server.host, server.port)
            again.set()

    ann.set_event_callback(on_event)
    ann.send_message("x")
    assert again.wait(5)
    wait_until(lambda: server.users == [])
    assert ann.rooms == {} and ann.connected
    ann.events.clear()
    assert (
        ann.join()
        and ann.send_message("y")
        and ann.wait_until(lambda: "ann: y" in ann.lines)
    )
    assert (
        ann.rooms == {"lobby": ["ann"]} and ann.goodbye is None and ann.goodbyes() == []
    )


def test_leaving_twice_is_fine_and_afterwards_nothing_can_be_sent(
    meet: Callable[..., Person],
) -> None:
    ann = meet("ann")
    assert ann.leave() is True and ann.leave() is False
    assert not ann.connected and ann.users == []
    assert (
        ann.send_message("x") is False
        and ann.join() is False
        and ann.error.code == "not_connected"
    )
    assert [goodbye.code for goodbye in ann.goodbyes()] == ["left"]


def test_a_client_may_connect_again_after_leaving(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann = meet("ann")
    ann.leave()
    assert ann.connect(server.host, server.port) and ann.join() and ann.users == ["ann"]


def test_a_server_that_stops_gives_one_goodbye(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann = meet("ann", patience=0)
    server.stop()
    wait_until(ann.goodbyes)
    ann.leave()
    assert (
        [goodbye.code for goodbye in ann.goodbyes()] == ["server_closing"]
        and ann.users == []
        and not ann.connected
    )


WELCOME = b'{"type": "welcome", "username": "ann", "room": "lobby", "content": "Hi.", "seq": 0, "token": "ann\'s secret token"}\n{"type": "users", "room": "lobby", "users": ["ann"]}\n'


@contextmanager
def false_server() -> Iterator[tuple[Person, socket.socket]]:
    """A client that has joined, and the other end of its connection, which is ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ann = Person("ann", patience=0)
        assert ann.connect(*listener.getsockname())
        listener.settimeout(LIMIT)
        sock, _ = listener.accept()
        sock.settimeout(LIMIT)
        with sock:
            sock.sendall(WELCOME)
            assert ann.join()
            yield ann, sock
            sock.close()
            ann.leave()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_lost_connection_gives_one_goodbye(how: str) -> None:
    with false_server() as (ann, sock):
        if how == "reset":
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        sock.close()
        wait_until(ann.goodbyes)
        assert not ann.connected and ann.users == [] and ann.send_message("x") is False
    assert [(goodbye.code, goodbye.reconnect) for goodbye in ann.goodbyes()] == [
        ("connection_lost", True)
    ]


def test_whatever_a_server_sends_the_client_goes_on() -> None:
    with false_server() as (ann, sock):
        sock.sendall(
            b'nonsense\n\n[1]\n\xff\n{"type": "future"}\n{"type": "message"}\n'
            + b"[" * 100_000
            + b"\n"
            + b"x" * 1_000_000
            + b"\n"
        )
        sock.sendall(
            b'{"type": "leave", "room": "nowhere", "username": "x", "timestamp": 1}\n{"type": "leave", "room": "lobby", "username": "x", "timestamp": 1}\n'
        )
        sock.sendall(
            b'{"type": "ping", "id": 9}\n{"type": "message", "room": "lobby", "seq": 1, "username": "bob", "content": "hi", "timestamp": 1}\n'
        )
        assert ann.wait_until(lambda: "bob: hi" in ann.lines)
        with sock.makefile("rb") as reader:
            assert b'{"type":"pong","id":9}\n' in iter(reader.readline, b"")


# --- show --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("event", "line"), [
    (Message("lobby", 1, "bob", "hi", 0), "bob: hi"),
    (Whispered("bob", "ann", "hi", 0), "(bob whispers) hi"),
    (Whispered("Ann", "bob", "hi", 0), "(to bob) hi"),
    (Joined("lobby", "bob", 0), "* bob joined lobby"),
    (Left("lobby", "bob", 0), "* bob left lobby"),
    (StatusChanged("bob", "away", 0), "* bob is away"),
    (UserList("lobby", ["ann", "bob"]), "* in lobby: ann, bob"),
    (RoomList([RoomSize("dev", 1), RoomSize("lobby", 2)]), "* rooms: dev (1), lobby (2)"),
    (Welcome("ann", "lobby", "Hello.", 0), "* Hello."),
    (Goodbye("left", "Bye.", False), "* Bye."),
    (Error("bad_json", "no"), "! no"),
    (Ok(1), None),
    (Ping(), None),
])  # fmt: skip
def test_an_event_is_shown_as(event: Event, line: str | None) -> None:
    assert show(event, "ann") == line


def test_no_server_can_send_codes_to_the_terminal() -> None:
    for event in (
        Message("lobby", 1, "b\x1b]0;x\x07", "\x1b[2J\u202e\r", 0),
        UserList("\x9b", ["\x1b"]),
        Error("x", "\x1b"),
        StatusChanged("\x1b", "\x1b", 0),
    ):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", show(event))


@pytest.mark.parametrize("event", [
    Message("lobby", 1, "eve", "hi\nbob: I owe you 100\n* bob left lobby", 0), Whispered("eve", "ann", "x\nbob: I quit", 0), StatusChanged("eve", "away\nbob: I quit", 0),
])  # fmt: skip
def test_nobody_can_write_a_line_in_anothers_name(event: Event) -> None:
    first, *others = show(event, "ann").splitlines()
    assert "eve" in first and not any(line.startswith(("bob", "*")) for line in others)


# --- what a fresh pair of eyes found ----------------------------------------------------------------------------


def test_leaving_a_room_that_one_is_not_in_is_refused(server: ChatServer) -> None:
    client = Person("ann")
    assert client.connect(server.host, server.port) and client.join()
    assert client.leave("nowhere") is False and client.error.code == "not_joined"
    client.leave()


def test_whoever_is_turned_away_while_joining_hears_it_and_does_not_wait() -> None:
    client, done = Person("ann", timeout=30), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert client.connect(*listener.getsockname())
        threading.Thread(
            target=lambda: (client.join(), done.set()), daemon=True
        ).start()
        peer, _ = listener.accept()
        with peer:
            assert b"join" in peer.recv(
                1000
            )  # so it was sent, and is waiting for an answer
            peer.sendall(
                b'{"type":"goodbye","code":"server_full","content":"full","reconnect":true}\n'
            )
        assert done.wait(LIMIT)
        assert client.error.code == "server_full"
        client.leave()


def test_the_server_may_run_in_a_thread_and_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    statuses = []
    with ChatServer() as taken:
        thread = threading.Thread(
            target=lambda: statuses.append(run_chat_server(port=taken.port))
        )
        thread.start()
        thread.join(LIMIT)
        assert run_chat_server(port=taken.port) == 1
    assert statuses == [1] and signal.getsignal(signal.SIGINT) is before
