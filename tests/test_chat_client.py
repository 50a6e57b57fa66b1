"""`ChatClient` over real TCP: whatever the server, the network or a callback does, one can rely on it."""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from helpers import LIMIT, LineClient, Listener, wait_until
from sockets import nothing_left_over  # noqa: F401

from python_tcp.chat_client import ChatClient, ChatError, Conversation
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import ClientSession, Disconnected, Reconnected
from python_tcp.protocol import (
    Error,
    Event,
    Goodbye,
    Limits,
    Message,
    RoomList,
    Welcome,
)

FREE = Limits(flood_burst=0, connections_per_address=0)
pytestmark = pytest.mark.usefixtures("nothing_left_over")


@pytest.fixture
def server(nothing_left_over: None) -> Iterator[ChatServer]:  # noqa: F811
    with ChatServer(limits=FREE) as server:
        yield server


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


def test_nobody_there_is_false_with_a_reason(reserved_port: int) -> None:
    client = Person("ann")
    assert (
        client.connect("127.0.0.1", reserved_port) is False
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


@pytest.mark.slow(seconds=2)
def test_a_server_that_never_answers_is_false_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Person("ann", timeout=1.0)
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
    assert again.wait(LIMIT)
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


def test_of_two_threads_that_connect_at_once_neither_leaves_a_connection_open(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, meeting = ChatClient("ann"), threading.Barrier(2)
    make = ann._new_conversation

    def make_it_together(before: ClientSession) -> Conversation:
        conversation = make(before)
        with suppress(threading.BrokenBarrierError):  # the other one can't come in here
            meeting.wait(0.3)
        return conversation

    monkeypatch.setattr(ann, "_new_conversation", make_it_together)
    threads = [
        threading.Thread(target=ann.connect, args=(server.host, server.port))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert ann.connected and ann.join() and ann.users == ["ann"]
    wait_until(lambda: server.connections == 1)
    assert ann.leave()
    wait_until(lambda: server.connections == 0)


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


# --- waiting -----------------------------------------------------------------------------------------------------


def test_a_wait_is_bounded_and_ends_with_the_conversation(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann = meet("ann")
    assert ann.wait_until(lambda: ann.users) and not ann.wait_until(lambda: None, 0.01)
    waited = []
    thread = threading.Thread(
        target=lambda: waited.append(ann.wait_until(lambda: 0, 60))
    )
    thread.start()
    ann.leave()
    thread.join(LIMIT)
    assert waited == [False]


def test_in_a_callback_nobody_waits(meet: Callable[..., Person]) -> None:
    ann, answers = meet("ann", timeout=60.0), []

    def on_event(event: Event) -> None:
        answers.append(ann.wait_until(lambda: False))

    ann.set_event_callback(on_event)
    assert ann.send_message("x") and ann.wait_until(lambda: len(answers) == 2)


def test_a_status_is_told_and_comes_back_with_us(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann, bob = meet("ann"), meet("bob")
    assert ann.set_status("away")
    assert bob.wait_until(lambda: "* ann is away" in bob.lines)
    assert ann.set_status("\ud800") is False and ann.error.code == "bad_utf8"


def test_a_status_that_can_not_be_sent_is_not_kept(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    ann = meet("ann")
    assert ann.set_status("\ud800") is False
    server._server.close(server.connection_of("ann")[0], "idle")
    assert ann.wait_until(lambda: any(isinstance(e, Reconnected) for e in ann.events))
    assert ann.send_message("here")
    assert ann.wait_until(lambda: "ann: here" in ann.lines)
    assert len([e for e in ann.events if isinstance(e, Disconnected)]) == 1


# --- results that are not missed ---------------------------------------------------------------------------------


def test_with_leaves_at_its_end(server: ChatServer) -> None:
    with Person("ann") as ann:
        assert ann.connect(server.host, server.port) and ann.join()
        assert ann.send_message("hello")
    assert [goodbye.code for goodbye in ann.goodbyes()] == ["left"]
    assert "ann: hello" in ann.lines and not ann.connected


def test_a_message_may_name_its_room(meet: Callable[..., Person]) -> None:
    ann = meet("ann")
    assert ann.join("dev") and ann.send_message("there", room="Lobby")
    assert ann.send_message("here") and ann.wait_until(lambda: "ann: here" in ann.lines)
    said = [(e.room, e.content) for e in ann.events if isinstance(e, Message)]
    assert said == [("lobby", "there"), ("dev", "here")]
    assert ann.send_message("x", room="ops") is False
    assert ann.error == Error("not_joined", "you are not in ops")


def test_each_thread_has_the_error_of_its_own_call(meet: Callable[..., Person]) -> None:
    ann, found, both = meet("ann"), {}, threading.Barrier(2)

    def fail(call: Callable[[], bool], code: str) -> None:
        for _ in range(50):
            both.wait(LIMIT)
            assert call() is False
            both.wait(LIMIT)
            found.setdefault(code, set()).add(ann.error.code)

    calls = [
        (lambda: ann.send_message("x", room="ops"), "not_joined"),
        (lambda: ann.send_message("\ud800"), "bad_utf8"),
    ]
    threads = [threading.Thread(target=fail, args=each) for each in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert found == {"not_joined": {"not_joined"}, "bad_utf8": {"bad_utf8"}}
    assert ann.error is None, "this thread's calls have not failed"


def test_a_call_that_is_done_has_no_error(meet: Callable[..., Person]) -> None:
    ann = meet("ann")
    assert ann.send_message("x", room="ops") is False and ann.error is not None
    assert ann.send_message("x") and ann.error is None


def test_a_strict_client_raises_what_others_answer_with_false(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    meet("ann")
    with ChatClient("ann", strict=True) as other:
        assert other.connect(server.host, server.port)
        with pytest.raises(ChatError, match="join first"):
            other.ask_rooms()
        with pytest.raises(ChatError, match="taken") as caught:
            other.join()
        assert caught.value.error.code == "name_taken"
    assert other.leave() is False, "leaving twice is fine"


def test_leaving_takes_no_longer_than_said_behind_a_callback_that_sleeps(
    meet: Callable[..., Person],
) -> None:
    ann, asleep, awake = meet("ann", timeout=60.0), threading.Event(), threading.Event()

    def sleep(event: Event) -> None:
        asleep.set()
        awake.wait(LIMIT)
        ann.events.append(event)

    ann.set_event_callback(sleep)
    ann.send_message("x")
    assert asleep.wait(LIMIT)
    start = time.monotonic()
    ann.leave(timeout=0.5)
    assert time.monotonic() - start < LIMIT / 2 and not ann.goodbyes()
    awake.set()
    wait_until(ann.goodbyes)
    assert isinstance(ann.events[-1], Goodbye), "it comes, and last"


def test_closing_again_keeps_no_calls(meet: Callable[..., Person]) -> None:
    ann = meet("ann")
    ann.leave()
    loop = ann._talk.reconnector._link._client.loop
    before = len(loop._calls._calls)
    for _ in range(10):
        ann.leave()
        ann._talk.reconnector._link.abort("x")
    assert len(loop._calls._calls) == before


PROGRAM = """
import sys
from python_tcp.chat_client import ChatClient
client = ChatClient("ann", timeout=float(sys.argv[2]))
client.connect("127.0.0.1", int(sys.argv[1])) and client.join()
for number in range(20):
    client.send_message(str(number))
"""


def run_program(port: int, timeout: float) -> tuple[float, str]:
    """How long the program lasts, and what it writes to stderr."""
    start = time.monotonic()
    arguments = [sys.executable, "-c", PROGRAM, str(port), str(timeout)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    return time.monotonic() - start, done.stderr


@pytest.mark.slow
def test_a_program_that_ends_right_after_saying_something_loses_nothing(
    server: ChatServer, meet: Callable[..., Person]
) -> None:
    bob = meet("bob")
    _, errors = run_program(server.port, 5.0)
    assert bob.wait_until(lambda: "* ann left lobby" in bob.lines)
    said = [e.content for e in bob.events if isinstance(e, Message)]
    assert said == [str(number) for number in range(20)] and errors == ""


@pytest.mark.slow
def test_a_program_whose_server_is_silent_ends_in_time_and_says_what_is_lost() -> None:
    ends: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            sock.sendall(WELCOME)
            ends.append(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        seconds, errors = run_program(listener.getsockname()[1], 0.5)
        thread.join(LIMIT)
        ends[0].close()
    assert "20 messages of ann were not sent" in errors and seconds < LIMIT


def test_nothing_overtakes_a_message_that_was_refused(server: ChatServer) -> None:
    with LineClient(server.port).join("ann") as ann:
        ann.say("message", content="two", id=2, follows=1)  # 1 was refused
        error = ann.read_until("error")
        assert (error["code"], error["id"]) == ("out_of_order", 2)
        ann.say("message", content="one", id=1)
        ann.say("message", content="two", id=2, follows=1)
        assert [ann.read_until("message")["content"] for _ in range(2)] == [
            "one",
            "two",
        ]
