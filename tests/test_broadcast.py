"""`python_tcp.broadcast`: the nine bugs of the naive room, and the room that has none of them."""

import errno
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from chapters import from_chapter
from waiting import LIMIT, wait_until
from python_tcp.broadcast import (
    LINE_LIMIT,
    BroadcastRoom,
    BroadcastServer,
    Member,
    read_lines,
)
from python_tcp.demo import CONVERSATION, play
from python_tcp.framing import FrameTooLong
from sockets import dial, nothing_left_over, read_all, reset, tcp_pair  # noqa: F401
from test_demo import TRANSCRIPT

(NaiveRoom, NaiveRoom2, SmallRoom, NaivePerson, Person, running, people, enter, arrived, naive_broadcast, Names, QueueMember) = from_chapter(
    "003_broadcast", "NaiveRoom", "NaiveRoom2", "SmallRoom", "NaivePerson", "Person", "running", "people", "enter", "arrived", "broadcast", "Names", "QueueMember"
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings(
    "error::pytest.PytestUnhandledThreadExceptionWarning"
)
SHORT = 0.5  # seconds to wait for what should not come
SEEN = {
    "Alice": [
        "* Alice joined", "* Bob joined", "* Charlie joined", "Alice: Hello everyone!", "Bob: Hi Alice, hi Charlie.", "Charlie: Grüße! 👋", "* Charlie left",
        "Alice: He was in a hurry.", "Bob: He always is.", "* Bob left",
    ],
    "Bob": [
        "* Bob joined", "* Charlie joined", "Alice: Hello everyone!", "Bob: Hi Alice, hi Charlie.", "Charlie: Grüße! 👋", "* Charlie left",
        "Alice: He was in a hurry.", "Bob: He always is.",
    ],
    "Charlie": ["* Charlie joined", "Alice: Hello everyone!", "Bob: Hi Alice, hi Charlie.", "Charlie: Grüße! 👋"],
}  # fmt: skip


@pytest.fixture
def server(nothing_left_over: None):  # noqa: F811
    with BroadcastServer() as server:
        yield server


class Visitor:
    """A socket that reads and sends lines."""

    def __init__(self, server: BroadcastServer, name: str = "") -> None:
        self.sock = dial(server.port)
        self.file = self.sock.makefile("rb")
        if name:
            assert self.line() == "NICK"
            self.say(name)
            assert self.line() == f"* {name} joined"

    def say(self, *lines: str) -> None:
        self.sock.sendall("".join(f"{line}\n" for line in lines).encode())

    def line(self) -> str:
        return self.file.readline().decode().removesuffix("\n")

    def lines(self, count: int) -> list[str]:
        return [self.line() for _ in range(count)]

    def finish(self) -> list[str]:
        """Say no more, and return what comes until the end."""
        self.sock.shutdown(socket.SHUT_WR)
        return self.file.read().decode().splitlines()

    def reset(self) -> None:
        self.file.close()
        reset(self.sock)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.file.close()
        self.sock.close()


# The conversation


def play_naively(room: object, **options: object) -> dict[str, list[str]]:
    with running(room) as address, people(address, **options) as connect:
        return play(CONVERSATION, connect, timeout=SHORT)


def test_in_the_first_naive_room_nobody_ever_leaves() -> None:
    with pytest.raises(TimeoutError, match="Charlie leaves"):
        play_naively(NaiveRoom())


def test_slowly_the_second_naive_room_passes_and_through_a_small_buffer_it_fails() -> (
    None
):
    assert play_naively(NaiveRoom2()) == SEEN
    with pytest.raises(TimeoutError, match="joins"):
        play_naively(NaiveRoom2(), size=8)


@pytest.mark.parametrize("size", [1, 3, 8, 1024])
def test_the_conversation_is_the_same_however_the_stream_is_cut(
    server: BroadcastServer, size: int
) -> None:
    with people((server.host, server.port), Person, size=size) as connect:
        assert play(CONVERSATION, connect) == SEEN


def test_what_they_said_is_what_they_said_to_the_real_chat() -> None:
    said = lambda seen: {
        name: [line for line in lines if line[0] != "*"] for name, lines in seen.items()
    }  # noqa: E731
    assert said(SEEN) == said(TRANSCRIPT)


# Framing


def test_two_messages_are_one_in_the_naive_room() -> None:
    with (
        running(NaiveRoom2()) as address,
        enter(address, "ann") as ann,
        enter(address, "bob") as bob,
    ):
        ann.sendall(b"ann: 1")
        ann.sendall(b"ann: 2")
        wait_until(lambda: arrived(bob, "ann: 1ann: 2"))
        assert bob.recv(1024) == b"ann: 1ann: 2"


def test_many_lines_in_one_chunk_and_one_line_in_many_chunks(
    server: BroadcastServer,
) -> None:
    with Visitor(server, "ann") as ann, Visitor(server, "bob") as bob:
        assert ann.line() == "* bob joined"
        ann.say(*map(str, range(1000)))
        for byte in "Grüße! 👋\r\n".encode():
            ann.sock.sendall(bytes([byte]))
        assert (
            bob.lines(1001)
            == ann.lines(1001)
            == [*(f"ann: {n}" for n in range(1000)), "ann: Grüße! 👋"]
        )


def test_lines_as_they_are_read() -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        ours.sendall(
            "a\r\n\nü\x1b[2J\x9b\x7f\t\n".encode()
            + b"\xff\xfe\n"
            + b"x" * LINE_LIMIT
            + b"\n"
            + b"x" * (LINE_LIMIT + 1)
            + b"\nlast\nunfinished"
        )
        ours.shutdown(socket.SHUT_WR)
        assert list(read_lines(theirs)) == [
            "a",
            "",
            "ü�[2J���",
            "��",
            "x" * LINE_LIMIT,
            FrameTooLong(LINE_LIMIT),
            "last",
        ]


def test_a_line_that_is_too_long_costs_its_sender_one_answer_and_is_not_sent_on(
    server: BroadcastServer,
) -> None:
    with Visitor(server, "ann") as ann, Visitor(server, "bob") as bob:
        ann.line()
        ann.say("x" * 5000, "", "ok")
        assert ann.lines(2) == ["* A line has at most 4096 bytes.", "ann: ok"]
        assert bob.line() == "ann: ok"


# Names


def test_in_the_naive_room_anyone_speaks_as_anyone() -> None:
    with (
        running(NaiveRoom2()) as address,
        enter(address, "ann") as ann,
        enter(address, "bob") as bob,
    ):
        bob.sendall(b"ann: I owe Bob a hundred.")
        wait_until(lambda: arrived(ann, "* bob joinedann: I owe Bob a hundred."))
        assert ann.recv(1024).endswith(b"ann: I owe Bob a hundred.")


def test_the_server_says_who_spoke(server: BroadcastServer) -> None:
    with Visitor(server, "ann") as ann, Visitor(server, "bob") as bob:
        bob.say("ann: I owe Bob a hundred.", "* ann left")
        assert ann.lines(3) == [
            "* bob joined",
            "bob: ann: I owe Bob a hundred.",
            "bob: * ann left",
        ]


@pytest.mark.parametrize(
    "bad", ["", " ", "two words", "ann\x1b[2J", "x" * 33, "änn", "x" * 5000, "* bob"]
)
def test_what_is_no_name_is_refused_and_asked_again(
    server: BroadcastServer, bad: str
) -> None:
    with Visitor(server) as visitor:
        visitor.say(bad, "x" * 32)
        assert visitor.lines(4) == [
            "NICK",
            "* A name has 1 to 32 letters, digits and _ . -",
            "NICK",
            f"* {'x' * 32} joined",
        ]


def test_a_name_that_is_taken_is_refused_whatever_its_case_and_free_again_afterwards(
    server: BroadcastServer,
) -> None:
    with Visitor(server, "ann") as ann:
        with Visitor(server) as other:
            other.say("ANN", "Ann", "bob")
            assert other.lines(6) == [
                "NICK",
                "* ANN is taken.",
                "NICK",
                "* Ann is taken.",
                "NICK",
                "* bob joined",
            ]
            assert ann.finish() == ["* bob joined"]
            assert other.line() == "* ann left"
            with Visitor(server, "Ann"):
                assert other.line() == "* Ann joined"


def take_twice(names: object) -> list[bool]:
    with ThreadPoolExecutor(2) as pool:
        return sorted(pool.map(lambda _: names.take("ann"), range(2)))


def test_two_threads_get_the_same_name_where_looking_and_taking_are_two_steps() -> None:
    assert take_twice(Names(pause=threading.Barrier(2, timeout=LIMIT).wait)) == [
        True,
        True,
    ]


class Nobody:
    """A member that hears nothing."""

    def tell(self, data: bytes) -> None: ...


class SlowDict(dict):
    """Whoever looks waits a moment for another who looks."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)

    def __contains__(self, name: object) -> bool:
        there = super().__contains__(name)
        try:
            self.barrier.wait(0.2)
        except threading.BrokenBarrierError:
            pass
        return there


def test_two_threads_that_would_interleave_do_not_get_the_same_name() -> None:
    room = BroadcastRoom()
    room._members = SlowDict()
    room.take = lambda name: room.join(name, Nobody())
    assert take_twice(room) == [False, True]
    assert list(room._members) == ["ann"]


def test_of_fifty_who_want_one_name_at_once_one_gets_it(
    server: BroadcastServer,
) -> None:
    visitors = [Visitor(server) for _ in range(50)]
    start = threading.Barrier(50, timeout=LIMIT)

    def ask(visitor: Visitor) -> str:
        visitor.line()
        start.wait()
        visitor.say("ann")
        return visitor.line()

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(ask, visitors))
    assert answers == {"* ann joined": 1, "* ann is taken.": 49}
    for visitor in visitors:
        visitor.__exit__()


def test_two_lists_drift_apart_in_the_naive_room() -> None:
    room = NaiveRoom2()
    with running(room) as address, enter(address, "ann"), enter(address, "bob"):
        enter(address, "ann").close()
        wait_until(lambda: len(room.nicknames) == 2)
        assert room.nicknames == [
            "bob",
            "ann",
        ]  # the connections are those of ann and bob


def test_who_comes_and_goes_is_called_by_the_right_name(
    server: BroadcastServer,
) -> None:
    with Visitor(server, "ann") as ann, Visitor(server, "bob") as bob:
        for n in range(20):
            with Visitor(server, f"guest{n}"):
                pass
            wait_until(lambda: len(server.room._members) == 2)
        bob.reset()
        wait_until(lambda: len(server.room._members) == 1)
        guests = [
            f"* guest{n} {what}" for n in range(20) for what in ("joined", "left")
        ]
        assert ann.finish() == ["* bob joined", *guests, "* bob left"]


# Who is in the way of whom


def test_one_newcomer_who_says_nothing_keeps_the_naive_room_closed() -> None:
    with (
        running(NaiveRoom2()) as address,
        socket.create_connection(address),
        socket.create_connection(address, timeout=SHORT) as second,
    ):
        with pytest.raises(TimeoutError):
            second.recv(4)


def test_a_newcomer_who_says_nothing_is_in_nobodys_way(server: BroadcastServer) -> None:
    with dial(server.port), Visitor(server, "ann") as ann:
        ann.say("Hello")
        assert ann.line() == "ann: Hello"


def test_who_stands_behind_a_broken_connection_is_skipped_where_the_list_changes_while_it_is_walked() -> (
    None
):
    pairs = [socket.socketpair() for _ in range(3)]
    pairs[0][1].close()
    naive_broadcast([ours for ours, _ in pairs], b"Hello")
    pairs[1][1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pairs[1][1].recv(100)
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_everybody_behind_a_broken_connection_hears(server: BroadcastServer) -> None:
    visitors = [Visitor(server, f"p{n}") for n in range(10)]
    for n in (0, 4, 5):
        visitors[n].reset()
    rest = [visitor for n, visitor in enumerate(visitors) if n not in (0, 4, 5)]
    rest[0].say("Hello")
    for visitor in rest:
        while (line := visitor.line()) != "p1: Hello":
            assert line.startswith("* p")
        visitor.__exit__()


def test_people_come_and_go_while_all_are_told(server: BroadcastServer) -> None:
    """Three talk, and a crowd comes and goes: each of the three hears all they said, in the same order."""
    talkers = [Visitor(server, f"t{n}") for n in range(3)]

    def come_and_go(n: int) -> None:
        for k in range(5):
            visitor = Visitor(server)
            visitor.say(f"c{n}.{k}")
            visitor.reset() if k % 2 else visitor.__exit__()

    def talk(talker: Visitor) -> list[str]:
        for k in range(200):
            talker.say(f"line {k}")
        heard = []
        while len(heard) < 600:
            line = talker.line()
            assert line
            if not line.startswith("*"):
                heard.append(line)
        return heard

    with ThreadPoolExecutor(8) as pool:
        crowd = [pool.submit(come_and_go, n) for n in range(5)]
        heard = list(pool.map(talk, talkers))
        for future in crowd:
            future.result(LIMIT)
    assert heard[0] == heard[1] == heard[2]
    for n, talker in enumerate(talkers):
        assert [line for line in heard[0] if line.startswith(f"t{n}:")] == [
            f"t{n}: line {k}" for k in range(200)
        ]
        talker.__exit__()
    wait_until(lambda: not server.listener.connections)


def test_a_broken_connection_throws_out_the_speaker_in_the_naive_room() -> None:
    room = NaiveRoom2()
    (bob_there, bob), (ann_there, ann) = socket.socketpair(), socket.socketpair()
    room.clients, room.nicknames = [bob_there, ann_there], ["bob", "ann"]
    bob.close()
    ann.sendall(b"ann: Hello.")
    with pytest.raises(BrokenPipeError):
        room.handle(ann_there)
    assert room.nicknames == ["bob"]
    bob_there.close(), ann.close()


# The slow reader


@pytest.mark.slow(seconds=2)
def test_one_slow_reader_stops_the_naive_room() -> None:
    with (
        running(SmallRoom()) as address,
        enter(address, "cat"),
        people(address) as connect,
    ):
        ann = connect("ann")
        ann.join()
        wait_until(lambda: ann.lines)
        for _ in range(500):
            heard = sum(map(len, ann.lines))
            ann.send_message("x" * 4000)
            try:
                wait_until(lambda: sum(map(len, ann.lines)) >= heard + 4000, SHORT)
            except AssertionError:
                return
        pytest.fail("it went on")


@pytest.mark.parametrize("limit", [100_000, 1_048_576])
def test_a_slow_reader_is_dropped_at_the_limit_and_the_others_hear_all(
    server: BroadcastServer, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Member, "LIMIT", limit)
    line = "x" * 4000
    with (
        Visitor(server, "cat") as cat,
        Visitor(server, "ann") as ann,
        Visitor(server, "bob") as bob,
    ):
        assert ann.line() == "* bob joined"
        cat_there = server.room._members["cat"]
        heard_left = most = 0
        for _ in range(10_000):
            ann.say(line)
            for listener in (ann, bob):
                while (came := listener.line()) != f"ann: {line}":
                    assert came == "* cat left"
                    heard_left += 1
            most = max(most, len(cat_there.waiting))
            if heard_left == 2:
                break
        assert heard_left == 2
        assert limit / 2 < most <= limit
        ann.say("still here")
        assert bob.line() == "ann: still here"
        read_all(cat.sock)  # it ends


def test_a_queue_without_bound_grows() -> None:
    ours, theirs = socket.socketpair()
    member = QueueMember(ours)
    for _ in range(500):
        member.tell(b"x" * 10_000)
    assert sum(map(len, member.lines.queue)) > 4_000_000
    theirs.close()
    ours.close()


def test_people_who_read_are_not_dropped_however_fast_one_talks(
    server: BroadcastServer,
) -> None:
    """One chunk can hold thousands of lines for everybody; that is no reason to drop those who read."""
    with ThreadPoolExecutor(6) as pool:
        visitors = [Visitor(server, f"p{n}") for n in range(6)]
        lines = [f"line {n}" for n in range(10_000)]

        def listen(visitor: Visitor) -> int:
            return sum(1 for _ in iter(visitor.line, "p0: line 9999"))

        counts = [pool.submit(listen, visitor) for visitor in visitors[1:]]
        counts.append(pool.submit(listen, visitors[0]))
        visitors[0].say(*lines)
        assert [future.result(LIMIT) >= 9_999 for future in counts] == [True] * 6
    for visitor in visitors:
        visitor.__exit__()


def test_nothing_that_was_told_is_lost_when_a_visit_ends_in_good_order(
    server: BroadcastServer,
) -> None:
    with Visitor(server, "ann") as ann:
        ann.say(*map(str, range(5000)))
        assert ann.finish() == [f"ann: {n}" for n in range(5000)]


def test_finish_waits_for_one_who_does_not_read_no_longer_than_it_was_told() -> None:
    ours, theirs = tcp_pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    member = Member(ours)
    member.tell(b"x" * Member.LIMIT)
    start = time.monotonic()
    member.finish(timeout=0.2)
    assert 0.2 <= time.monotonic() - start < LIMIT / 2
    assert not member._writer.is_alive() and ours.fileno() == -1
    theirs.close()


# The server's manners


def test_stop_tells_nobody_less_than_was_said_and_ends_all(
    nothing_left_over: None,
) -> None:  # noqa: F811
    server = BroadcastServer()
    server.start()
    with (
        Visitor(server, "ann") as ann,
        Visitor(server) as undecided,
        Visitor(server, "deaf") as deaf,
    ):
        ann.say("Hello")
        assert deaf.line() == "ann: Hello"
        start = time.monotonic()
        server.stop(timeout=LIMIT)
        assert time.monotonic() - start < LIMIT / 2
        assert not server.listener.connections and not server.room._members
        assert ann.file.read().decode().splitlines()[:2] == [
            "* deaf joined",
            "ann: Hello",
        ]
        assert undecided.file.read() == b"NICK\n"
    with pytest.raises(ConnectionRefusedError):
        dial(server.port)


def test_stop_ends_one_who_does_not_read(nothing_left_over: None) -> None:  # noqa: F811
    server = BroadcastServer()
    server.start()
    with Visitor(server, "cat"), Visitor(server, "ann") as ann:
        for n in range(1500):  # more than fits into the kernel's buffers
            ann.say("x" * 4000)
            ann.line()
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < LIMIT / 2
        assert not server.listener.connections


def test_one_that_has_just_ended_does_not_keep_the_others_open(
    nothing_left_over: None,
) -> None:  # noqa: F811
    server = BroadcastServer()
    server.start()
    ended, (ours, theirs) = threading.Thread(target=int), socket.socketpair()
    ended.start()
    ours.close(), theirs.close()
    server.listener.connections._threads[theirs] = ended
    with Visitor(server, "ann") as ann:
        server.stop()
        assert ann.line() == "" and list(server.listener.connections._threads) == [
            theirs
        ]


def test_stop_breaks_off_a_visit_that_does_not_end_by_itself(
    nothing_left_over: None, monkeypatch: pytest.MonkeyPatch
) -> None:  # noqa: F811
    def talk_to_the_deaf(connection: socket.socket, room: BroadcastRoom) -> None:
        with pytest.raises(OSError):
            connection.sendall(bytes(64_000_000))

    monkeypatch.setattr("python_tcp.broadcast.visit", talk_to_the_deaf)
    server = BroadcastServer()
    server.start()
    with dial(server.port) as deaf:
        assert deaf.recv(1) == b"\0"
        start = time.monotonic()
        server.stop(timeout=0.3)
        assert 0.3 <= time.monotonic() - start < LIMIT / 2
        assert not server.listener.connections


class Hears:
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def tell(self, data: bytes) -> None:
        self.heard.append(data)


@pytest.mark.parametrize(
    "does",
    [
        lambda room: room.say("ann", "Hello"),
        lambda room: room.leave("ann"),
        lambda room: room.join("bob", Nobody()),
    ],
    ids=["say", "leave", "join"],
)
def test_who_speaks_joins_or_leaves_is_alone_in_the_room_meanwhile(
    does: Callable[[BroadcastRoom], object],
) -> None:
    room, listener = BroadcastRoom(), Hears()
    room.join("ann", Nobody())
    room.join("listener", listener)
    with ThreadPoolExecutor(1) as pool:
        with room._lock:
            done = pool.submit(does, room)
            with pytest.raises(TimeoutError):
                done.result(0.1)
            assert len(listener.heard) == 1 and len(room._members) == 2
        done.result(LIMIT)
        assert len(listener.heard) == 2


def test_it_starts_again_at_the_same_port(nothing_left_over: None) -> None:  # noqa: F811
    server = BroadcastServer()
    server.stop()
    port = server.start()
    for _ in range(2):
        assert server.start() == port == server.port
        with Visitor(server, "ann") as ann:
            server.stop()
            server.stop()
            assert ann.line() == ""
    server.start()
    server.stop()


def test_a_port_that_is_taken_is_told_at_once(server: BroadcastServer) -> None:
    with pytest.raises(OSError) as caught:
        BroadcastServer(port=server.port).start()
    assert caught.value.errno == errno.EADDRINUSE


def failing_once(call: Callable, error: Exception, after: int = 0) -> Callable:
    calls = []

    def replacement(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == after + 1:
            raise error
        return call(*arguments)

    return replacement


def test_out_of_descriptors_it_says_so_and_accepts_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        socket.socket,
        "accept",
        failing_once(
            socket.socket.accept, OSError(errno.EMFILE, "Too many open files")
        ),
    )
    with BroadcastServer() as server, Visitor(server, "ann"):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "not accepting connections for now: [Errno 24] Too many open files"
    ]


@pytest.mark.parametrize(
    "after, words",
    [
        (0, "not accepting connections for now: can't start new thread"),
        (1, "serving a connection failed"),
    ],
)
def test_out_of_threads_it_closes_the_new_client_and_keeps_the_others(
    server: BroadcastServer,
    after: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        Visitor(server, "ann") as ann,
        caplog.at_level(logging.WARNING, logger="python_tcp.echo"),
    ):
        monkeypatch.setattr(
            threading.Thread,
            "start",
            failing_once(
                threading.Thread.start, RuntimeError("can't start new thread"), after
            ),
        )
        with Visitor(server) as unlucky:
            assert unlucky.line() == ""
        monkeypatch.undo()
        with Visitor(server, "bob"):
            assert ann.line() == "* bob joined"
    assert [record.getMessage() for record in caplog.records] == [words]
