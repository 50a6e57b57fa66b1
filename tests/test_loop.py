"""The loop: outbox, timers, waking, the order of a tick, and streams in good and in bad weather."""

import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import LIMIT, wait_until
from python_tcp.loop import (
    EVENT_READ,
    EVENT_WRITE,
    EventLoop,
    Outbox,
    Reactor,
    Stream,
    Timers,
    Waker,
    Watchdog,
)
from sockets import nothing_left_over, read_all, read_exactly, reset, tcp_pair  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A reactor that a test ticks by hand, streams on it, and what they reported."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.reactor = Reactor(self.clock)
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
            self.reactor, ours, ("test", 0), connection_id, **(note | options)
        ), peer

    def until(self, condition) -> None:
        """Tick until `condition()` holds."""
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, (
                f"not so after {LIMIT:g} s; seen: {self.events}"
            )
            self.reactor.tick(0.01)

    def ticks(self, count: int = 5) -> None:
        for _ in range(count):
            self.reactor.tick(0)

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
    world.reactor.close()


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


# Outbox


class SmallOutbox(Outbox):
    __slots__ = ()
    MOST = 8  # so that short data meets the limit


OUTBOX_STEPS = st.lists(st.binary(max_size=20) | st.integers(0, 30))


@given(OUTBOX_STEPS)
def test_outbox_gives_what_was_added_in_order_however_much_is_taken_at_a_time(steps):
    outbox, waiting = SmallOutbox(), bytearray()
    for step in steps:
        if isinstance(step, bytes):
            outbox.add(step)
            waiting += step
        elif waiting:
            head = bytes(outbox.head())
            assert head and waiting.startswith(head)
            sent = min(step, len(head))
            outbox.drop(sent)
            del waiting[:sent]
        assert outbox.size == len(waiting)
    assert bool(outbox.head()) == bool(waiting)


@given(OUTBOX_STEPS)
def test_outbox_keep_head_keeps_a_beginning_that_can_still_be_sent(steps):
    outbox = SmallOutbox()
    for step in steps:
        outbox.add(step) if isinstance(step, bytes) else outbox.drop(
            min(step, len(outbox.head()))
        ) if outbox.size else None
    head = bytes(outbox.head())
    outbox.keep_head()
    assert (outbox.size, bytes(outbox.head())) == (len(head), head)
    outbox.add(b"farewell")
    assert outbox.size == len(head) + 8


def test_outbox_does_not_copy_a_chunk_that_waits_alone():
    outbox, data = Outbox(), b"x" * 1000
    outbox.add(data)
    assert outbox.head() is data


def test_outbox_does_not_copy_a_big_chunk_again_for_every_write():
    outbox, big = Outbox(), b"x" * 4 * Outbox.MOST
    outbox.add(big)
    outbox.add(b"more")
    for _ in range(3):
        assert memoryview(outbox.head()).obj is big
        outbox.drop(10)


@pytest.mark.parametrize("wrong", ["text", 5, ["list"]])
def test_outbox_refuses_what_is_not_bytes_at_the_door(wrong):
    outbox = Outbox()
    with pytest.raises(TypeError):
        outbox.add(wrong)
    outbox.add(b"good")
    assert (outbox.head(), outbox.size) == (b"good", 4)


def test_outbox_holds_what_a_bytearray_held_when_it_was_added():
    outbox, data = Outbox(), bytearray(b"before")
    outbox.add(data)
    data[:] = b"after"
    assert (bytes(outbox.head()), outbox.size) == (b"before", 6)


# Timers


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())), st.integers(0, 9))
def test_timers_run_those_due_by_time_then_by_age_and_never_the_cancelled(timers, now):
    clock = Timers()
    for number, (when, cancelled) in enumerate(timers):
        timer = clock.add(when, lambda number=number: number)
        if cancelled:
            timer.cancel()
    alive = sorted(
        (when, number)
        for number, (when, cancelled) in enumerate(timers)
        if not cancelled
    )
    assert [timer.callback() for timer in clock.due(now)] == [
        number for when, number in alive if when <= now
    ]
    assert clock.next_due() == min(
        (when for when, _ in alive if when > now), default=None
    )


def test_a_timer_cancelled_by_another_one_of_the_same_tick_does_not_run(world, caplog):
    ran = []
    world.reactor.call_later(1, lambda: second.cancel())
    second = world.reactor.call_later(1, lambda: ran.append("second"))
    world.reactor.call_later(1, lambda: ran.append("third"))
    world.clock.now += 1
    world.reactor.tick(0)
    assert ran == ["third"] and not caplog.records


def test_a_timer_may_be_cancelled_after_it_ran(world):
    ran = []
    timer = world.reactor.call_later(0, lambda: ran.append(1))
    world.ticks()
    timer.cancel()
    world.ticks()
    assert ran == [1]


def test_a_timer_that_asks_for_itself_at_once_leaves_room_for_the_rest_of_the_tick(
    world,
):
    ran = []

    def again() -> None:
        ran.append(1)
        if len(ran) < 1000:
            world.reactor.call_later(0, again)

    again()
    world.reactor.tick(0)
    assert len(ran) < 10


# Watchdog


def test_a_watchdog_barks_once_when_it_is_not_fed_in_time(world):
    barks = []
    dog = Watchdog(world.reactor, 10, lambda: barks.append(world.clock.now))
    dog.start()
    for now in (1008, 1016, 1025.5):  # fed at each: never 10 s without
        world.clock.now = now
        world.ticks()
        dog.feed()
    assert not barks
    world.clock.now = 1035.6
    world.ticks()
    world.clock.now = 1100
    world.ticks()
    assert barks == [1035.6]


def test_a_watchdog_that_is_stopped_keeps_quiet_until_it_is_started_again(world):
    barks = []
    dog = Watchdog(world.reactor, 10, lambda: barks.append(1))
    dog.start()
    dog.stop()
    world.clock.now += 11
    world.ticks()
    assert not barks
    dog.start()
    world.clock.now += 9
    world.ticks()
    assert not barks
    world.clock.now += 1
    world.ticks()
    assert barks == [1]


def test_a_watchdog_stopped_and_started_counts_from_the_second_start(world):
    barks = []
    dog = Watchdog(world.reactor, 10, lambda: barks.append(1))
    dog.start()
    world.clock.now += 9
    world.ticks()
    dog.stop()
    dog.start()
    world.clock.now += 9
    world.ticks()
    assert not barks
    world.clock.now += 1
    world.ticks()
    assert barks == [1]


def test_a_watchdog_that_is_closed_never_barks(world):
    barks = []
    dog = Watchdog(world.reactor, 10, lambda: barks.append(1))
    dog.close()
    dog.start()
    dog.close()
    world.clock.now += 100
    world.ticks()
    assert not barks


# Waker and EventLoop


def test_a_waker_is_readable_after_wake_and_quiet_after_drain():
    waker = Waker()
    for _ in range(3):
        waker.wake()
        waker.wake()
        assert waker.sock.recv(10, socket.MSG_PEEK)
        waker.drain()
        waker.drain()  # nothing there: no harm
        with pytest.raises(BlockingIOError):
            waker.sock.recv(1)
    waker.close()
    waker.wake()  # nobody is left to be woken


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    thread = loop.start_thread("test loop")
    yield loop
    loop.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_no_wake_up_is_lost_when_many_threads_call(loop):
    def ask_and_wait() -> None:
        for _ in range(400):
            answered = threading.Event()
            loop.call_threadsafe(answered.set)
            if not answered.wait(2):
                return lost.append(1)

    lost: list[int] = []
    threads = [threading.Thread(target=ask_and_wait) for _ in range(6)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads interleave as much as they can
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    assert not lost


def test_calls_of_one_thread_run_in_order_on_the_loops_thread(loop):
    ran: list = []
    for number in range(1000):
        loop.call_threadsafe(
            lambda number=number: ran.append((number, loop.runs_here()))
        )
    wait_until(lambda: len(ran) == 1000)
    assert ran == [(number, True) for number in range(1000)] and not loop.runs_here()


def test_a_call_that_calls_again_and_again_does_not_keep_the_loop_from_ending():
    loop = EventLoop()
    calls = []

    def again() -> None:
        calls.append(1)
        loop.call_threadsafe(again)

    thread = loop.start_thread("test loop")
    again()
    wait_until(lambda: len(calls) > 10)
    loop.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_a_loop_can_be_stopped_before_it_runs_and_more_than_once():
    loop = EventLoop()
    loop.stop()
    loop.stop()
    loop.run()  # on this thread: returns at once
    loop.stop()
    loop.call_threadsafe(print)  # nobody will run it, and nobody complains
    loop.close()


def test_a_call_that_raises_is_logged_and_the_loop_goes_on(loop, caplog):
    loop.call_threadsafe(lambda: 1 / 0)
    done = threading.Event()
    loop.call_threadsafe(done.set)
    assert done.wait(LIMIT)
    assert "ZeroDivisionError" in caplog.text


# Reactor


def ready_socket(world: World, data: bytes = b"x") -> socket.socket:
    ours, peer = socket.socketpair()
    world.sockets += [ours, peer]
    peer.send(data)
    return ours


def test_a_tick_runs_callbacks_then_hooks_then_flushes(world):
    order = []

    def hook() -> None:
        order.append("hook")
        world.reactor.at_end_of_tick(lambda: order.append("hook of the hook"))

    def callback(events: int) -> None:
        order.append("callback")
        world.reactor.flush_later(lambda: order.append("flush"))
        world.reactor.at_end_of_tick(hook)

    for _ in range(2):
        world.reactor.watch(ready_socket(world), EVENT_READ, callback)
    world.reactor.tick(0)
    assert (
        order
        == ["callback"] * 2 + ["hook"] * 2 + ["hook of the hook"] * 2 + ["flush"] * 2
    )


def test_hooks_and_flushes_run_once(world):
    ran = []
    world.reactor.at_end_of_tick(lambda: ran.append("hook"))
    world.reactor.flush_later(lambda: ran.append("flush"))
    world.ticks()
    assert ran == ["hook", "flush"]


@pytest.mark.parametrize("what", ["at_end_of_tick", "flush_later"])
def test_a_flush_that_asks_for_a_hook_or_a_flush_gets_it_without_waiting(world, what):
    ran = []
    world.reactor.flush_later(
        lambda: getattr(world.reactor, what)(lambda: ran.append(what))
    )
    world.reactor.tick(0)
    world.reactor.tick(LIMIT)  # no socket and no timer would end this wait
    assert ran == [what] and world.waited < LIMIT / 2


def test_a_due_timer_ends_the_wait_for_sockets(world):
    ran = []
    world.reactor.call_later(0, lambda: ran.append(1))
    world.reactor.tick(None)
    assert ran == [1]


def test_what_a_timer_sends_goes_out_without_another_event(world):
    stream, peer = world.add()
    world.reactor.call_later(1, lambda: stream.send(b"tick"))
    world.clock.now += 1
    world.ticks(2)
    assert read_exactly(peer, 4) == b"tick"


@pytest.mark.parametrize(
    "where", ["call_later", "at_end_of_tick", "flush_later", "watch"]
)
def test_what_raises_is_logged_and_what_comes_after_it_runs(world, caplog, where):
    ran = []
    for callback in (lambda *events: 1 / 0, lambda *events: ran.append(1)):
        match where:
            case "call_later":
                world.reactor.call_later(0, callback)
            case "watch":
                world.reactor.watch(ready_socket(world), EVENT_READ, callback)
            case _:
                getattr(world.reactor, where)(callback)
    world.reactor.tick(0)
    assert ran == [1]
    assert "ZeroDivisionError" in caplog.text


def test_watch_can_be_changed_and_ended(world):
    seen = []
    sock = ready_socket(world)
    world.reactor.watch(sock, EVENT_READ | EVENT_WRITE, seen.append)
    world.reactor.tick(0)
    world.reactor.watch(sock, EVENT_READ, seen.append)
    world.reactor.tick(0)
    world.reactor.watch(sock, 0, seen.append)
    world.reactor.watch(sock, 0, seen.append)  # twice: no harm
    world.reactor.tick(0)
    assert seen == [EVENT_READ | EVENT_WRITE, EVENT_READ]


# Streams: writing


def test_a_tick_writes_once_however_often_was_sent(world):
    stream, peer = world.add(
        pair=lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    )  # keeps writes apart
    for data in (b"one", b"", b"two", b"three"):
        assert stream.send(data)
    assert stream.queued == 11
    world.reactor.tick(0)
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
        world.reactor.tick(0)
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
        world.reactor.tick(0)
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
    assert stream.send(bytes(40_000)) and not stream.send(b"what it will never get")
    assert (
        stream.close_reason is None
    )  # not within `send`: its caller may be in the middle of something
    peer.recv(20_000)
    world.reactor.tick(0)
    assert stream.close_reason == "slow_consumer" and stream.queued <= 30_000
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
            world.reactor.tick(0)
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
