"""Fan-out: what is broadcast is joined, shared, and in order; and the table of a server's clients."""

import random
import socket
import time
from contextlib import closing
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.broadcaster import Broadcaster
from python_tcp.loop import EventLoop
from python_tcp.output import WriteBuffer
from python_tcp.server import EventDrivenTCPServer
from python_tcp.stream import Stream
from sockets import dial, nothing_left_over, read_all  # noqa: F401
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class Sheet:
    """Stands for a stream: it keeps what it is sent."""

    def __init__(self, number: int) -> None:
        self.connection_id, self.sent = number, []

    def send(self, data: bytes) -> bool:
        self.sent.append(data)
        return True

    write = send


class Desk:
    """A broadcaster for a few sheets, on a loop that a test ticks by hand."""

    def __init__(self, count: int = 3) -> None:
        self.loop = EventLoop()
        self.sheets = {number: Sheet(number) for number in range(1, count + 1)}
        self.broadcaster = Broadcaster(self.loop, self.sheets)

    def send(self, number: int, data: bytes) -> None:
        self.broadcaster.settle(number)
        self.sheets[number].send(data)

    def sent(self, *numbers: int) -> list[list[bytes]]:
        return [self.sheets[number].sent for number in numbers or self.sheets]

    def tick(self) -> None:
        self.loop.tick(0)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.loop.close()


def test_what_goes_to_the_same_receivers_in_a_tick_is_joined_once_and_shared(desk):
    both = (1, 2)
    desk.broadcaster.add(b"one ", both)
    desk.broadcaster.add(b"two ", both)
    assert desk.sent() == [[], [], []]
    desk.tick()
    assert desk.sent() == [[b"one two "], [b"one two "], []]
    assert desk.sheets[1].sent[0] is desk.sheets[2].sent[0]
    desk.tick()
    assert desk.sent(1) == [[b"one two "]]


def test_a_chunk_alone_is_not_copied(desk):
    data = b"x" * 100_000
    desk.broadcaster.add(data, (1, 2))
    desk.tick()
    assert desk.sheets[1].sent[0] is data


def test_a_private_word_keeps_its_place(desk):
    both = (1, 2)
    desk.broadcaster.add(b"before ", both)
    desk.send(1, b"private ")
    desk.broadcaster.add(b"after ", both)
    desk.tick()
    assert desk.sent(1, 2) == [
        [b"before ", b"private ", b"after "],
        [b"before after "],  # who hears no private word gets one piece
    ]


def test_rooms_with_a_common_member_keep_its_order_and_others_are_left_alone(desk):
    desk.broadcaster.add(b"a1 ", (1, 2))
    desk.broadcaster.add(b"c ", (3,))
    desk.broadcaster.add(b"b ", (2, 3))  # has members of both of the others
    desk.broadcaster.add(b"a2 ", (1, 2))
    desk.tick()
    assert [b"".join(sent) for sent in desk.sent()] == [b"a1 a2 ", b"a1 b a2 ", b"c b "]


def test_receivers_are_told_apart_by_identity_and_kept_alive(desk):
    for step in range(50):  # each of these tuples could get the id of the last one
        desk.broadcaster.add(b"%d " % step, tuple([1, 2, 3]))
    desk.tick()
    wanted = b"".join(b"%d " % step for step in range(50))
    assert [b"".join(sent) for sent in desk.sent()] == [wanted] * 3


def test_nobody_gets_it_twice_and_strangers_are_nobody(desk):
    desk.broadcaster.add(b"x", (1, 1, 99))
    desk.broadcaster.add(b"y", (99,))
    desk.broadcaster.add(b"z", ())
    desk.tick()
    assert desk.sent() == [[b"x"], [], []]


def test_a_lot_does_not_wait_for_the_end_of_the_tick(desk):
    room, part = (1, 2), bytes(WriteBuffer.MOST // 2 + 1)
    desk.broadcaster.add(part, room)
    assert desk.sent(1) == [[]]
    desk.broadcaster.add(part, room)
    assert [len(data) for data in desk.sheets[1].sent] == [2 * len(part)]
    desk.broadcaster.add(b"x", room)
    desk.tick()
    assert desk.sheets[2].sent[1:] == [b"x"]


def test_one_that_has_gone_within_the_tick_does_no_harm(desk):
    room = (1, 2)
    desk.broadcaster.add(b"x", room)
    gone = desk.sheets.pop(1)
    desk.broadcaster.add(b"y", room)
    desk.broadcaster.add(b"z", (2, 3))
    desk.tick()
    assert b"".join(desk.sheets[2].sent) == b"xyz" and b"".join(gone.sent) == b"xy"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "broadcast", "big", "tick"]), st.integers(0, 999)
    ),
    max_size=40,
)


@pytest.mark.slow
@given(STEPS)
def test_whatever_happens_each_gets_all_of_it_in_order(steps):
    desk = Desk(4)
    rooms = [(1, 2), (2, 3), (3, 4), frozenset((1, 4)), (1, 2, 3, 4), (4,), (), (2, 9)]
    wanted: dict[int, list[bytes]] = {number: [] for number in desk.sheets}
    for position, (what, choice) in enumerate(steps):
        data = b"%d;" % position
        if what == "send":
            number = choice % 4 + 1
            desk.send(number, data)
            wanted[number].append(data)
        elif what == "tick":
            desk.tick()
        else:
            data *= 100_000 if what == "big" else 1
            room = rooms[choice % len(rooms)]
            desk.broadcaster.add(data, room)
            for number in set(room) & set(wanted):
                wanted[number].append(data)
    desk.tick()
    desk.loop.close()
    assert [b"".join(sent) for sent in desk.sent()] == [
        b"".join(data) for data in wanted.values()
    ]


def test_the_work_for_a_message_does_not_grow_with_the_room():
    """Only queuing does, once a tick: a hundred messages cost not much more than one."""
    desk = Desk(1000)
    everybody = tuple(desk.sheets)

    def cost(messages: int) -> int:
        for _ in range(messages):
            desk.broadcaster.add(b"x", everybody)
        desk.tick()
        return sum(len(sheet.sent) for sheet in desk.sheets.values())

    assert (cost(1), cost(100)) == (1000, 2000)
    desk.loop.close()


# The table of clients


class Noting(EventDrivenTCPServer):
    """Notes why clients have gone."""

    def __init__(self, **limits: float) -> None:
        super().__init__(**limits)
        self.reasons: list[str] = []

    def on_disconnect(self, connection_id: int) -> None:
        self.reasons.append(self.connections[connection_id].close_reason)


def test_no_number_is_given_twice():
    with Noting() as server:
        for number in (1, 2, 3):
            with dial(server.port):
                wait_until(lambda: list(server.connections) == [number])
            wait_until(lambda: not server.connections)


def test_all_is_the_same_object_until_somebody_comes_or_goes():
    with Noting() as server, dial(server.port) as one:
        wait_until(lambda: 1 in server.connections)
        broadcaster = server._clients.broadcaster
        everybody = broadcaster.receivers(None, (), keep=True)
        assert everybody == (1,)
        assert broadcaster.receivers(None, (), keep=True) is everybody
        with dial(server.port):
            wait_until(lambda: 2 in server.connections)
            assert broadcaster.receivers(None, (), keep=True) == (1, 2)
        wait_until(lambda: 2 not in server.connections)
        assert broadcaster.receivers(None, (), keep=True) == (1,)
        one.close()
        wait_until(lambda: not server.connections)
        assert broadcaster.receivers(None, (), keep=False) == ()


@pytest.mark.parametrize("seed", range(5))
def test_receivers_are_those_named_without_the_excluded(desk, seed):
    chance = random.Random(seed)
    broadcaster = desk.broadcaster
    to = [chance.randrange(9) for _ in range(20)]
    for kind in (list, tuple, frozenset, iter):
        found = broadcaster.receivers(kind(to), (3, 4), keep=False)
        assert isinstance(found, tuple) and set(found) == set(to) - {3, 4}
    assert broadcaster.receivers(iter(to), (), keep=False) == tuple(to)


def test_a_place_is_free_only_when_the_socket_is_closed():
    """One whose last words are still on their way holds a descriptor."""
    server = Noting(max_connections=1, max_output=64_000_000)
    with server, dial(server.port) as slow:
        wait_until(lambda: 1 in server.connections)
        server.send(1, bytes(16_000_000))
        server.close(1)
        wait_until(lambda: not server.connections)
        with dial(server.port) as waiting:
            waiting.settimeout(0.1)
            with pytest.raises(TimeoutError):
                waiting.sendall(b"x") or waiting.recv(1)
            assert len(read_all(slow)) == 16_000_000
            slow.close()
            waiting.settimeout(LIMIT)
            assert waiting.recv(1) == b"x"
    assert server.reasons[0] == "closed by server"


def test_silence_is_counted_from_the_last_word():
    with Noting(idle_timeout=30.0) as server, dial(server.port) as client:
        ahead = 0.0
        server.loop._clock = lambda: time.monotonic() + ahead
        for _ in range(4):
            ahead += 20
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        ahead += 31
        server.loop.call_threadsafe(lambda: None)  # it looks at its clock
        assert read_all(client) == b""
    assert server.reasons == ["idle"] and not server._clients._idle_timers


def test_one_that_only_waits_for_its_peers_end_makes_room(monkeypatch):
    monkeypatch.setattr(Stream, "LINGER", 60.0)
    with Noting(max_connections=1) as server, dial(server.port) as old:
        wait_until(lambda: server.connections)
        server.close(1)
        assert read_all(old) == b""  # and it does not close
        with dial(server.port) as new:
            new.sendall(b"x")
            assert new.recv(1) == b"x"


def test_nothing_is_kept_of_one_that_has_gone():
    with Noting(idle_timeout=60.0) as server:
        for _ in range(20):
            client = dial(server.port)
            server.broadcast(b"x")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) in (b"", b"x")
            client.close()
        wait_until(lambda: not server._clients._streams)
        table = server._clients
        assert not server.connections and not table._idle_timers
        assert not table.broadcaster._pending and not table.broadcaster._writes


# --- left out of some pieces ---------------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.data())
def test_who_is_left_out_gets_the_rest_in_order(data: st.DataObject) -> None:
    """Whatever is broadcast to the same tuple, whoever is left out of what, and whoever is sent something alone."""
    with closing(EventLoop()) as loop:  # also when there are too few data for `draw`
        check_what_each_gets(data, loop)


def check_what_each_gets(data: st.DataObject, loop: EventLoop) -> None:
    streams = {number: Kept() for number in (1, 2, 3)}
    broadcaster, to = Broadcaster(loop, streams), (1, 2, 3)
    expected = {number: b"" for number in to}
    for step in range(data.draw(st.integers(1, 12))):
        piece = b"<%d>" % step
        if data.draw(st.booleans()):
            but = data.draw(st.sets(st.sampled_from([1, 2, 3, 9])))
            broadcaster.add(piece, to, but)
            for number in set(to) - but:
                expected[number] += piece
        else:
            number = data.draw(st.sampled_from(to))
            broadcaster.settle(number)
            streams[number].send(piece)
            expected[number] += piece
        if data.draw(st.integers(0, 5)) == 0:
            loop.tick(0)
    loop.tick(0)
    assert {number: stream.got for number, stream in streams.items()} == expected


class Kept:
    """What a broadcaster needs of a stream."""

    def __init__(self) -> None:
        self.got = b""

    def send(self, data: bytes) -> bool:
        assert data
        self.got += data
        return True

    write = send


def test_leaving_one_out_costs_no_further_tuple_and_is_counted() -> None:
    loop = EventLoop()
    streams = {number: Kept() for number in range(100)}
    broadcaster, to = Broadcaster(loop, streams), tuple(range(100))
    for speaker in range(50):
        broadcaster.add(b"0123456789", to, (speaker,))
    assert len(broadcaster._writes) == 1, "all of it is one write"
    loop.tick(0)
    loop.close()
    assert broadcaster.bytes_sent == sum(len(each.got) for each in streams.values())
    assert [len(streams[number].got) for number in (0, 49, 50, 99)] == [490, 490, 500, 500]  # fmt: skip
