"""The stream: its states, and how it fares in good and in bad weather."""

import gc
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from selectors import EVENT_READ, EVENT_WRITE

import pytest
from python_tcp.loop import EventLoop
from python_tcp.output import PlainTransport
from python_tcp.stream import TRANSITIONS, Stream, StreamState
from sockets import nothing_left_over, read_all, read_exactly, reset, tcp_pair  # noqa: F401
from waiting import LIMIT, Clock, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class World:
    """A loop that a test ticks by hand, streams on it, and what they reported."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = EventLoop(self.clock)
        self.start = time.monotonic()
        self.sockets: list[socket.socket] = []
        self.events: list[tuple] = []  # (what, connection id, data or reason)

    def add(
        self, connection_id: int = 1, pair=tcp_pair, **options
    ) -> tuple[Stream, socket.socket]:
        """A stream that notes what happens to it, and the plain socket at its other end."""
        peer, ours = pair()
        peer.settimeout(LIMIT)
        self.sockets += [peer, ours]
        note = dict(
            on_data=lambda stream, data: self.events.append(
                ("data", stream.connection_id, data)
            ),
            on_end=lambda stream: self.events.append(
                ("end", stream.connection_id, stream.close_reason)
            ),
            on_closed=lambda stream: self.events.append(
                ("closed", stream.connection_id, stream.close_reason)
            ),
        )
        return Stream(
            self.loop, ours, ("test", 0), connection_id, **(note | options)
        ), peer

    def until(self, condition) -> None:
        """Tick until `condition()` holds."""
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, (
                f"not so after {LIMIT:g} s; seen: {self.events}"
            )
            self.loop.tick(0.01)

    def ticks(self, count: int = 5) -> None:
        for _ in range(count):
            self.loop.tick(0)

    @property
    def waited(self) -> float:
        """Seconds of real time since the test began."""
        return time.monotonic() - self.start

    def seen(self, what: str, connection_id: int = 1) -> list:
        return [
            detail
            for name, number, detail in self.events
            if (name, number) == (what, connection_id)
        ]

    def data(self, connection_id: int = 1) -> bytes:
        return b"".join(self.seen("data", connection_id))


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for sock in world.sockets:
        sock.close()
    world.loop.close()


def small_buffers(make=socket.socketpair) -> tuple[socket.socket, socket.socket]:
    """A pair that takes little before it blocks."""
    peer, ours = make()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return peer, ours


def small_tcp_buffers() -> tuple[socket.socket, socket.socket]:
    return small_buffers(tcp_pair)


def block(world: World, stream: Stream, size: int = 500_000) -> bytes:
    """Send more than the kernel takes. Returns what was sent."""
    data = bytes(range(256)) * (size // 256)
    stream.send(data)
    world.ticks()
    assert stream.queued
    return data


# States


def to_finishing(world: World) -> tuple[Stream, socket.socket]:
    """A stream that has finished, and has more to send than its peer takes."""
    stream, peer = world.add(pair=small_buffers)
    block(world, stream)
    stream.finish("test")
    return stream, peer


def to_lingering(world: World) -> tuple[Stream, socket.socket]:
    stream, peer = world.add()
    stream.finish("test")
    world.ticks()
    return stream, peer


def to_closed(world: World) -> tuple[Stream, socket.socket]:
    stream, peer = world.add()
    stream.abort("test")
    return stream, peer


TO = {
    StreamState.OPEN: World.add,
    StreamState.FINISHING: to_finishing,
    StreamState.LINGERING: to_lingering,
    StreamState.CLOSED: to_closed,
}


def make_happen(event: str, world: World, stream: Stream, peer: socket.socket) -> None:
    match event:
        case "finish":
            stream.finish("event")
        case "abort":
            stream.abort("event")
        case "all sent":
            peer.setblocking(False)
            while stream.queued:
                try:
                    peer.recv(1_000_000)
                except BlockingIOError:
                    pass
                world.ticks(1)
        case "peer finished":
            peer.shutdown(socket.SHUT_WR)
            world.ticks()
        case "timeout":
            world.clock.now += Stream.LINGER
            world.ticks()


# `finish` and `abort` may come at any time; the others can't where the table has none.
CASES = [
    (state, event)
    for state in TO
    for event in sorted({"finish", "abort", *TRANSITIONS[state]})
]


@pytest.mark.parametrize("state, event", CASES)
def test_a_stream_goes_where_the_table_of_its_states_says(world, state, event):
    stream, peer = TO[state](world)
    assert stream.stream_state is state
    after = TRANSITIONS[state].get(event)
    before = list(world.events)
    make_happen(event, world, stream, peer)
    assert stream.stream_state is (after or state)
    assert (stream.close_reason is None) == (stream.stream_state is StreamState.OPEN)
    assert (stream.sock.fileno() == -1) == (stream.stream_state is StreamState.CLOSED)
    ended = ["event"] if state is StreamState.OPEN else ["test"]
    assert world.seen("end") == ended and len(world.seen("closed")) == (
        stream.stream_state is StreamState.CLOSED
    )
    if after is None:
        assert world.events == before


def test_every_state_can_be_reached_and_only_closed_is_the_end():
    reached = {after for events in TRANSITIONS.values() for after in events.values()}
    assert set(TRANSITIONS) == set(StreamState) == reached | {StreamState.OPEN}
    assert [state for state, events in TRANSITIONS.items() if not events] == ["CLOSED"]


def test_the_end_of_a_peer_ends_an_open_stream_and_shortens_a_finishing_one(world):
    stream, peer = world.add()
    peer.shutdown(socket.SHUT_WR)
    world.ticks()
    assert stream.stream_state is StreamState.CLOSED  # no lingering for who has ended
    stream, peer = to_finishing(world)
    peer.shutdown(socket.SHUT_WR)
    world.ticks()
    assert stream.stream_state is StreamState.FINISHING
    make_happen("all sent", world, stream, peer)
    assert stream.stream_state is StreamState.CLOSED


# The transport


class Counting(PlainTransport):
    """Counts its calls, and can be told to take everything, or nothing."""

    def __init__(self, sock: socket.socket, takes: int | None = None) -> None:
        super().__init__(sock)
        self.real_send, self.takes = self.send, takes
        self.sends: list[int] = []
        self.send = self.count
        self.interests: list[int] = []

    def count(self, data) -> int:
        self.sends.append(len(data))
        return (
            self.real_send(data) if self.takes is None else min(self.takes, len(data))
        )

    def interest(self, wanted: int) -> int:
        self.interests.append(wanted)
        return wanted


def test_a_stream_talks_to_its_transport(world):
    peer, ours = socket.socketpair()
    world.sockets += [peer, ours]
    transport = Counting(ours)
    stream, _ = world.add(pair=lambda: (peer, ours), transport=transport)
    for number in range(100):
        stream.send(b"%d " % number)
    world.ticks(1)
    assert transport.sends == [len(peer.recv(1000))]  # one for all
    stream.pause_reading()
    block(world, stream)
    assert transport.interests == [EVENT_READ, 0, EVENT_WRITE]


def test_a_peer_that_takes_everything_is_not_slow_however_much_it_gets_in_a_tick(world):
    peer, ours = socket.socketpair()
    transport = Counting(ours, takes=100_000_000)
    stream, _ = world.add(
        pair=lambda: (peer, ours), transport=transport, max_output=1_000_000
    )
    for _ in range(11):
        assert stream.send(bytes(100_000))
    world.ticks(1)
    assert stream.send(bytes(8_000_000))
    world.ticks(1)
    assert stream.close_reason is None and stream.queued == 0
    assert sum(transport.sends) == 9_100_000


def test_a_transport_that_can_not_shut_down_is_closed_all_the_same(world):
    class Gone(PlainTransport):
        def shutdown(self) -> None:
            raise OSError("not connected")

    peer, ours = socket.socketpair()
    stream, _ = world.add(pair=lambda: (peer, ours), transport=Gone(ours))
    stream.finish("test")
    world.ticks()
    world.clock.now += Stream.LINGER
    world.ticks()
    assert world.seen("closed") == ["test"]


# Backpressure


def test_a_stream_that_is_paused_reads_nothing_until_it_is_resumed(world):
    stream, peer = world.add()
    stream.pause_reading()
    stream.pause_reading()
    peer.send(b"hello")
    world.ticks()
    assert not world.seen("data")
    stream.send(b"answer")  # writing goes on
    world.ticks()
    assert read_exactly(peer, 6) == b"answer"
    stream.resume_reading()
    world.ticks()
    assert world.data() == b"hello"


def test_a_paused_stream_makes_its_peer_wait(world):
    stream, peer = world.add(pair=small_buffers)
    stream.pause_reading()
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            peer.send(bytes(10_000))
            world.ticks(1)
    assert not world.seen("data")


def test_a_stream_tells_once_when_what_was_too_much_for_the_socket_is_sent(world):
    drained = []
    stream, peer = world.add(pair=small_buffers, on_drain=drained.append)
    stream.send(b"a little")
    world.ticks()
    assert not drained
    data = block(world, stream)
    assert not drained
    reader = threading.Thread(target=read_exactly, args=[peer, 8 + len(data)])
    reader.start()
    world.until(lambda: drained)
    reader.join()
    assert drained == [stream] and not stream.queued


def test_an_echo_that_pauses_while_its_peer_reads_nothing_keeps_the_connection(world):
    """The other way to treat a slow reader: it may not speak before it has listened."""

    def echo(stream: Stream, data: bytes) -> None:
        stream.send(data)
        if stream.queued > 50_000:
            stream.pause_reading()
            paused.append(stream.queued)

    stream, peer = world.add(
        pair=small_buffers,
        on_data=echo,
        on_drain=Stream.resume_reading,
        max_output=200_000,
    )
    data, heard, paused = bytes(range(256)) * 20_000, [], []

    def talk() -> None:
        sender = threading.Thread(target=peer.sendall, args=[data])
        sender.start()
        wait_until(lambda: paused)  # it reads nothing before the echo has had enough
        heard.append(read_exactly(peer, len(data)))
        sender.join()

    thread = threading.Thread(target=talk)
    thread.start()
    world.until(lambda: heard)
    thread.join()
    assert heard == [data] and stream.close_reason is None


@pytest.mark.parametrize("ending", ["finish", "abort"])
def test_a_stream_may_be_paused_and_resumed_in_every_state(world, ending):
    stream, peer = world.add()
    stream.pause_reading()
    peer.sendall(b"unread")
    getattr(stream, ending)("test")
    for _ in range(2):
        stream.pause_reading()
        stream.resume_reading()
        world.ticks()
    peer.close()
    world.until(lambda: world.seen("closed"))
    assert world.events == [("end", 1, "test"), ("closed", 1, "test")]


@pytest.mark.slow(seconds=2)
def test_a_peer_that_is_still_sending_when_it_is_ended_gets_to_read_why(world):
    """It answers nothing before it has sent all: so we must go on reading after the end."""
    stream, peer = world.add(
        pair=small_tcp_buffers,
        on_data=Stream.send,
        max_output=100_000,
        farewell=lambda reason: b"goodbye: " + reason.encode(),
    )
    heard: list[bytes] = []

    def talk() -> None:
        peer.sendall(bytes(30_000_000))  # more than all buffers of the kernel take
        heard.append(read_all(peer))

    thread = threading.Thread(target=talk)
    thread.start()
    world.until(lambda: heard)
    thread.join()
    assert heard[0].endswith(b"goodbye: slow_consumer")


# What stays


def test_a_closed_stream_keeps_nothing_and_nothing_keeps_it(world):
    def noted(name: str, connection_id: int):
        return lambda *args: world.events.append((name, connection_id, stream.queued))

    stream, peer = world.add(
        on_data=noted("data", 1), farewell=lambda reason: stream and b""
    )
    block(world, stream, 5_000_000)
    gc.collect()
    gc.disable()
    try:
        stream.abort("test")
        assert stream.queued == 0
        gone = weakref.ref(stream)
        stream = None
        world.ticks()
        assert gone() is None
    finally:
        gc.enable()


def test_what_a_timer_sends_goes_out_without_another_event(world):
    stream, peer = world.add()
    world.loop.call_later(1, lambda: stream.send(b"tick"))
    world.clock.now += 1
    world.ticks(2)
    assert read_exactly(peer, 4) == b"tick"


# Streams: writing


def test_a_tick_writes_once_however_often_was_sent(world):
    stream, peer = world.add(
        pair=lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    )  # keeps writes apart
    for data in (b"one", b"", b"two", b"three"):
        assert stream.send(data)
    assert stream.queued == 11
    world.loop.tick(0)
    assert (peer.recv(100), stream.queued) == (b"onetwothree", 0)
    stream.send(b"four")
    world.ticks()
    assert peer.recv(100) == b"four"
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(100)


def test_all_bytes_arrive_in_order_at_a_peer_that_reads_in_small_pieces(world):
    stream, peer = world.add(pair=small_buffers, max_output=10_000_000)
    chunks = [bytes([number % 256]) * (number * 97) for number in range(150)]
    received = bytearray()
    for chunk in chunks:
        stream.send(chunk)
        world.loop.tick(0)
    peer.setblocking(False)

    def read_a_little() -> bool:
        try:
            received.extend(peer.recv(10_007))
        except BlockingIOError:
            pass
        return len(received) == sum(map(len, chunks))

    world.until(read_a_little)
    assert received == b"".join(chunks)


class CountingLoop(EventLoop):
    ticks = 0

    def tick(self, longest: float | None = None) -> None:
        self.ticks += 1
        super().tick(longest)


@pytest.mark.parametrize(
    "blocked",
    [False, True],
    ids=["with nothing to send", "with a peer that does not read"],
)
def test_a_loop_with_nothing_to_do_does_not_turn(blocked):
    loop = CountingLoop()
    peer, ours = small_buffers()
    stream = Stream(loop, ours, (), on_data=print)
    if blocked:
        stream.send(bytes(500_000))
    thread = loop.start_thread("counting")
    settled, later = threading.Event(), threading.Event()
    loop.call_threadsafe(
        lambda: loop.call_later(0.2, settled.set)
    )  # the kernel has taken what it takes
    assert settled.wait(LIMIT)
    before = loop.ticks
    loop.call_threadsafe(lambda: loop.call_later(0.3, later.set))
    assert later.wait(LIMIT)
    assert bool(stream.queued) == blocked
    assert loop.ticks - before < 10  # one that spins makes thousands
    loop.call_threadsafe(lambda: stream.abort("test"))
    loop.stop()
    thread.join(LIMIT)
    peer.close()


def test_a_loop_does_not_turn_after_a_blocked_peer_has_read_everything():
    loop = CountingLoop()
    peer, ours = small_buffers()
    stream = Stream(loop, ours, (), on_data=print)
    stream.send(bytes(500_000))
    thread = loop.start_thread("counting")
    assert read_exactly(peer, 500_000) == bytes(500_000)
    wait_until(lambda: not stream.queued)
    before, later = loop.ticks, threading.Event()
    loop.call_threadsafe(lambda: loop.call_later(0.3, later.set))
    assert later.wait(LIMIT)
    assert loop.ticks - before < 10
    loop.call_threadsafe(lambda: stream.abort("test"))
    loop.stop()
    thread.join(LIMIT)
    peer.close()


# Streams: slow consumers


def test_a_peer_that_lets_too_many_bytes_wait_is_told_so_and_closed(world):
    stream, peer = world.add(
        pair=small_buffers,
        max_output=200_000,
        farewell=lambda reason: f"bye: {reason}".encode(),
    )
    line, sent = b"0123456789" * 1000, 0
    while stream.send(line):
        sent += len(line)
        world.loop.tick(0)
    world.loop.tick(0)
    assert stream.close_reason == "slow_consumer"
    assert stream.queued < 400_000 and sent < 2_000_000
    assert world.seen("end") == ["slow_consumer"]
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(read_all(peer)))
    reader.start()
    world.until(lambda: received)
    reader.join()
    whole, farewell, rest = received[0].partition(b"bye: slow_consumer")
    assert farewell and not rest
    assert (line * (sent // len(line))).startswith(whole)
    peer.close()
    world.until(lambda: world.seen("closed"))
    assert world.seen("end") == world.seen("closed") == ["slow_consumer"]


def test_a_peer_that_was_refused_something_is_closed_even_if_it_reads_before_the_flush(
    world,
):
    stream, peer = world.add(pair=small_buffers, max_output=30_000)
    assert stream.send(bytes(40_000)) and not stream.send(bytes(30_001))
    assert (
        stream.close_reason is None
    )  # not within `send`: its caller may be in the middle of something
    peer.recv(20_000)
    world.loop.tick(0)
    assert stream.close_reason == "slow_consumer" and stream.queued <= 40_000
    assert world.seen("end") == ["slow_consumer"]


def test_what_a_slow_peer_will_never_read_is_not_kept(world):
    stream, peer = world.add(pair=small_buffers, max_output=1_000_000)
    for _ in range(500):
        stream.send(bytes(10_000))
    world.ticks()
    assert stream.close_reason == "slow_consumer" and stream.queued < 1_000_000


def test_a_peer_that_takes_nothing_for_too_long_is_closed(world):
    stream, peer = world.add(pair=small_buffers, output_timeout=10)
    block(world, stream)
    world.clock.now += 9.9
    world.ticks()
    assert stream.close_reason is None
    world.clock.now += 0.2
    world.ticks()
    assert stream.close_reason == "slow_consumer"
    assert world.events == [("end", 1, "slow_consumer"), ("closed", 1, "slow_consumer")]


def test_a_peer_that_reads_slowly_but_steadily_stays(world):
    stream, peer = world.add(pair=small_buffers, output_timeout=10)
    data = block(world, stream, 50_000)
    received = bytearray()
    while stream.queued:
        before = stream.queued
        while stream.queued == before:  # a peer that reads makes room, sooner or later
            received += peer.recv(1000)
            assert stream.close_reason is None
            world.loop.tick(0)
        world.clock.now += 6
        world.ticks()
    stream.send(b"!")
    world.ticks()
    assert received + read_exactly(peer, len(data) + 1 - len(received)) == data + b"!"
    world.clock.now += 60  # nothing waits any more: no deadline
    world.ticks()
    assert stream.close_reason is None


# Streams: closing


def test_finish_sends_what_is_queued_then_farewell_then_closes(world):
    stream, peer = world.add(farewell=lambda reason: f"({reason})".encode())
    stream.send(b"queued ")
    stream.finish("because")
    assert not stream.send(b"too late")
    world.ticks()
    assert read_all(peer) == b"queued (because)"
    assert world.events == [("end", 1, "because")]
    peer.close()
    world.until(lambda: world.seen("closed"))
    assert world.events == [("end", 1, "because"), ("closed", 1, "because")]
    assert stream.state == "CLOSED" and stream.sock.fileno() == -1


def test_finish_waits_for_a_blocked_peer_and_then_tells_it_everything(world):
    stream, peer = world.add(pair=small_buffers, farewell=lambda reason: b"the end")
    data = block(world, stream)
    stream.finish("because")
    reader = threading.Thread(target=lambda: received.append(read_all(peer)))
    received: list[bytes] = []
    reader.start()
    world.until(lambda: received)
    reader.join()
    assert received == [data + b"the end"]


def test_a_peer_that_never_closes_is_waited_for_only_so_long(world):
    stream, peer = world.add()
    stream.finish("because")
    world.ticks()
    assert not world.seen("closed")
    world.clock.now += Stream.LINGER + 0.01
    world.ticks()
    assert world.seen("closed") == ["because"]


def test_the_last_words_arrive_although_we_have_not_read_all_that_the_peer_sent(world):
    stream, peer = world.add(buffer_size=1024, farewell=lambda reason: b"last words")
    peer.sendall(bytes(100_000))
    world.until(lambda: world.seen("data"))
    stream.finish("enough")
    got = len(world.data())
    world.until(lambda: stream.queued == 0)
    peer.sendall(bytes(50_000))
    world.ticks(300)
    assert read_all(peer) == b"last words"  # and no ConnectionResetError
    assert len(world.data()) == got  # what came after the end is nobody's business


@pytest.mark.slow
def test_a_slow_peer_gets_the_last_words_as_long_as_it_goes_on_reading(world):
    """With input unread we must read on: a close would be a RST, which loses them."""
    stream, peer = world.add(
        pair=small_tcp_buffers, farewell=lambda reason: b"last words"
    )
    data = block(world, stream)
    stream.finish("enough")
    received = bytearray()
    while len(received) < len(data):
        received += peer.recv(4000)
        peer.send(b"and still talking")
        world.ticks(3)
        world.clock.now += Stream.LINGER * 0.4
    assert received + read_all(peer) == data + b"last words"
    peer.close()
    world.until(lambda: world.seen("closed"))


def test_a_peer_that_takes_no_more_of_the_last_words_is_not_waited_for(world):
    stream, peer = world.add(pair=small_tcp_buffers, output_timeout=5)
    while not stream.queued:
        stream.send(bytes(4000))
        world.ticks(1)
    while stream.queued:  # until the kernel has all of it, and the peer has not
        peer.recv(1000)
        world.ticks(1)
    stream.finish("enough")
    world.until(lambda: stream.stream_state is StreamState.LINGERING)
    for _ in range(20):
        world.clock.now += 1
        world.ticks()
    assert world.seen("closed") == ["enough"]


def test_who_is_told_that_the_peer_has_finished_may_go_on_sending(world):
    finished = []
    stream, peer = world.add(on_eof=finished.append)
    peer.sendall(b"a question")
    peer.shutdown(socket.SHUT_WR)
    world.until(lambda: finished)
    assert finished == [stream] and world.data() == b"a question"
    world.ticks(50)
    assert stream.close_reason is None and len(finished) == 1
    stream.send(b"an answer, late")
    stream.finish("answered")
    world.ticks()
    assert read_all(peer) == b"an answer, late"
    assert world.seen("closed") == ["answered"] and len(finished) == 1


def test_an_end_of_the_peer_after_ours_is_not_told(world):
    finished = []
    stream, peer = world.add(on_eof=finished.append)
    stream.finish("ours")
    peer.close()
    world.until(lambda: world.seen("closed"))
    assert finished == [] and world.seen("closed") == ["ours"]


def test_abort_closes_at_once_and_drops_what_is_queued(world):
    stream, peer = world.add()
    stream.send(b"lost")
    stream.abort("now")
    assert world.events == [("end", 1, "now"), ("closed", 1, "now")]
    world.ticks()
    assert read_all(peer) == b""
    assert not stream.send(b"x")


@pytest.mark.parametrize("first", ["finish", "abort"])
def test_a_stream_ends_and_closes_once_however_often_it_is_ended(world, first):
    stream, peer = world.add(farewell=lambda reason: reason.encode())
    getattr(stream, first)("first")
    for _ in range(3):
        stream.finish("later")
        stream.finish("later")
        world.ticks(1)
    stream.abort("later")
    stream.abort("later")
    world.clock.now += 100
    world.ticks()
    assert world.events == [("end", 1, "first"), ("closed", 1, "first")]
    assert read_all(peer) == (b"first" if first == "finish" else b"")


def test_a_peer_that_half_closes_gets_its_answer(world):
    stream, peer = world.add(
        on_data=lambda stream, data: stream.send(b"answer to " + data)
    )
    peer.sendall(b"question")
    peer.shutdown(socket.SHUT_WR)
    world.until(lambda: world.seen("closed"))
    assert read_all(peer) == b"answer to question"
    assert world.seen("end") == world.seen("closed") == ["closed by peer"]


def test_a_peer_that_half_closes_gets_even_an_answer_that_blocks(world):
    answer = bytes(range(256)) * 2000
    stream, peer = world.add(
        pair=small_buffers, on_data=lambda stream, data: stream.send(answer)
    )
    peer.sendall(b"question")
    peer.shutdown(socket.SHUT_WR)
    world.until(lambda: world.seen("end"))
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(read_all(peer)))
    reader.start()
    world.until(lambda: world.seen("closed"))
    reader.join()
    assert received == [answer]


def test_a_half_closed_peer_that_does_not_read_is_not_waited_for_for_ever(world):
    stream, peer = world.add(pair=small_buffers, output_timeout=10)
    block(world, stream)
    peer.shutdown(socket.SHUT_WR)
    world.until(lambda: world.seen("end"))
    world.clock.now += 10.1
    world.ticks()
    assert world.seen("closed") == ["closed by peer"]


# Streams: RST


def reset_while_open(world, stream, peer):
    pass


def reset_while_output_waits_for_the_tick(world, stream, peer):
    stream.send(b"hello")


def reset_while_blocked(world, stream, peer):
    block(world, stream)


def reset_while_finishing_blocked(world, stream, peer):
    block(world, stream)
    stream.finish("test")
    world.ticks()


def reset_after_finish_was_asked_for(world, stream, peer):
    stream.send(b"hello")
    stream.finish("test")


def reset_while_lingering(world, stream, peer):
    stream.finish("test")
    world.ticks()
    assert not world.seen("closed")


def reset_while_half_closed_and_blocked(world, stream, peer):
    block(world, stream)
    peer.shutdown(socket.SHUT_WR)
    world.until(lambda: world.seen("end"))


def reset_with_input_that_was_not_read(world, stream, peer):
    peer.sendall(b"hello")


RESETS = [
    function for name, function in list(globals().items()) if name.startswith("reset_")
]


@pytest.mark.parametrize("situation", RESETS, ids=lambda function: function.__name__)
def test_a_reset_ends_and_closes_the_stream_once_in_every_state(
    world, caplog, situation
):
    stream, peer = world.add(pair=small_tcp_buffers)
    other, other_peer = world.add(2)
    situation(world, stream, peer)
    reset(peer)
    world.until(lambda: world.seen("closed"))
    world.clock.now += 100
    world.ticks()
    assert len(world.seen("end")) == len(world.seen("closed")) == 1
    assert stream.close_reason in (
        "test",
        "closed by peer",
    ) or stream.close_reason.startswith("connection lost: ")
    assert not stream.send(b"x") and not caplog.records
    other.send(b"still here")
    world.ticks()
    assert read_exactly(other_peer, 10) == b"still here" and not world.seen("end", 2)


# Streams: callbacks


def explode(*args: object) -> None:
    raise RuntimeError("oops")


@pytest.mark.parametrize("callback", ["on_data", "on_end", "on_closed", "farewell"])
def test_a_callback_that_raises_is_logged_and_costs_its_own_connection_only(
    world, caplog, callback
):
    other, other_peer = world.add(8)
    stream, peer = world.add(7, **{callback: explode})
    peer.sendall(b"x")
    other_peer.sendall(b"y")
    world.until(lambda: world.seen("data", 8))
    if callback != "on_data":
        stream.finish("test")
    world.ticks()
    world.clock.now += 100
    world.until(lambda: stream.state == "CLOSED")
    assert "connection 7" in caplog.text and "RuntimeError: oops" in caplog.text
    assert len(world.seen("end", 7)) == (callback != "on_end")
    assert len(world.seen("closed", 7)) == (callback != "on_closed")
    other.send(b"fine")
    world.ticks()
    assert read_exactly(other_peer, 4) == b"fine" and not world.seen("end", 8)


def test_a_farewell_may_be_none(world):
    stream, peer = world.add(farewell=lambda reason: None)
    stream.send(b"all")
    stream.finish("test")
    world.ticks()
    assert read_all(peer) == b"all" and world.events == [("end", 1, "test")]


@pytest.mark.parametrize("ending", ["finish", "abort"])
def test_a_stream_may_be_ended_in_its_own_callbacks(world, ending):
    def end(stream, *data) -> None:
        world.events.append(("called", 1, None))
        getattr(stream, ending)("in callback")

    stream, peer = world.add(buffer_size=1, on_data=end, on_end=end)
    peer.sendall(b"many bytes")
    world.until(lambda: world.seen("called"))
    world.clock.now += 100
    world.until(lambda: world.seen("closed"))
    assert world.seen("closed") == ["in callback"]
    assert (
        len(world.seen("called")) == 2
    )  # one for data, one for the end: nothing after it


def test_a_stream_closed_by_another_ones_callback_in_the_same_tick_gets_nothing_more(
    world, caplog
):
    streams: list[Stream] = []

    def close_the_others(stream, data) -> None:
        world.events.append(("data", stream.connection_id, data))
        for other in streams:
            if other is not stream:
                other.abort("by another")

    pairs = [world.add(number, on_data=close_the_others) for number in (1, 2, 3)]
    streams += [stream for stream, _ in pairs]
    for _, peer in pairs:
        peer.sendall(b"x")
    world.ticks()
    assert sorted(len(world.seen("data", number)) for number in (1, 2, 3)) == [0, 0, 1]
    assert sorted(len(world.seen("closed", number)) for number in (1, 2, 3)) == [
        0,
        1,
        1,
    ]
    assert not caplog.records


def test_a_stream_that_may_be_written_and_read_and_is_closed_between_is_not_read(
    world, caplog
):
    stream, peer = world.add(pair=small_tcp_buffers)
    block(world, stream)
    peer.sendall(b"unread")
    reset(peer)  # readable, writable and broken at the same time
    world.until(lambda: world.seen("closed"))
    assert len(world.seen("end")) == 1 and not caplog.records


def test_send_in_on_end_is_refused(world):
    answers = []
    stream, peer = world.add(on_end=lambda stream: answers.append(stream.send(b"x")))
    stream.finish("test")
    world.ticks()
    assert answers == [False] and read_all(peer) == b""


def test_what_a_wrong_send_raises_does_not_stay_in_the_way(world):
    stream, peer = world.add()
    with pytest.raises(TypeError):
        stream.send("text")
    stream.send(b"bytes")
    world.ticks()
    assert read_exactly(peer, 5) == b"bytes"


def test_the_state_of_a_stream_follows_the_kernel_when_the_peer_has_finished(world):
    states = []
    stream, peer = world.add(on_end=lambda stream: states.append(stream.state))
    assert stream.state == "ESTABLISHED"
    peer.shutdown(socket.SHUT_WR)
    world.ticks()
    assert states == ["CLOSE_WAIT"] and stream.state == "CLOSED"


def test_the_log_has_the_connection_and_the_address_of_a_failure(caplog) -> None:
    loop, (peer, ours) = EventLoop(), tcp_pair()
    stream = Stream(loop, ours, ours.getpeername(), 7, on_data=lambda *got: 1 / 0)
    peer.sendall(b"x")
    loop.tick(longest=LIMIT)
    [record] = caplog.records
    assert record.fields["connection"] == 7 and record.exc_info
    assert (record.fields["event"], record.fields["address"]) == ("failed", "127.0.0.1")
    assert stream.close_reason == "callback failed"
    peer.close()
    loop.close()
