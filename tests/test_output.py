"""What waits to be written: the buffer, and one write a tick."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.loop import EventLoop
from python_tcp.output import IdleTimer, Output, PlainTransport, Transport
from python_tcp.output import WriteBuffer, as_bytes
from sockets import nothing_left_over  # noqa: F401
from waiting import Clock

pytestmark = pytest.mark.usefixtures("nothing_left_over")


# WriteBuffer


@pytest.mark.parametrize("wrong", ["text", 5, ["list"]])
def test_what_has_no_bytes_is_refused(wrong):
    with pytest.raises(TypeError):
        as_bytes(wrong)


def test_as_bytes_copies_only_what_could_change():
    data, changing = b"data", bytearray(b"before")
    kept = as_bytes(changing)
    changing[:] = b"after"
    assert as_bytes(data) is data and (kept, type(kept)) == (b"before", bytes)
    assert as_bytes(memoryview(data)[1:]) == b"ata"


class SmallBuffer(WriteBuffer):
    __slots__ = ()
    MOST = 8  # so that short data meets the limit


BUFFER_STEPS = st.lists(st.binary(max_size=20) | st.integers(0, 30))


@given(BUFFER_STEPS)
def test_buffer_gives_what_was_added_in_order_however_much_is_taken_at_a_time(steps):
    buffer, waiting = SmallBuffer(), bytearray()
    for step in steps:
        if isinstance(step, bytes):
            buffer.add(step)
            waiting += step
        elif waiting:
            first = bytes(buffer.peek())
            assert first and waiting.startswith(first)
            sent = min(step, len(first))
            buffer.advance(sent)
            del waiting[:sent]
        assert buffer.size == len(waiting)
    assert bool(buffer.peek()) == bool(waiting)


@given(BUFFER_STEPS)
def test_buffer_truncate_keeps_a_beginning_that_can_still_be_sent(steps):
    buffer = SmallBuffer()
    for step in steps:
        buffer.add(step) if isinstance(step, bytes) else buffer.advance(
            min(step, len(buffer.peek()))
        ) if buffer.size else None
    first = bytes(buffer.peek())
    buffer.truncate()
    assert (buffer.size, bytes(buffer.peek())) == (len(first), first)
    buffer.add(b"farewell")
    assert buffer.size == len(first) + 8


def test_buffer_does_not_copy_a_chunk_that_waits_alone():
    buffer, data = WriteBuffer(), b"x" * 1000
    buffer.add(data)
    assert buffer.peek() is data


def test_buffer_does_not_copy_a_big_chunk_again_for_every_write():
    buffer, big = WriteBuffer(), b"x" * 4 * WriteBuffer.MOST
    buffer.add(big)
    buffer.add(b"more")
    for _ in range(3):
        assert memoryview(buffer.peek()).obj is big
        buffer.advance(10)


@pytest.mark.parametrize("wrong", ["text", 5, ["list"]])
def test_buffer_refuses_what_is_not_bytes_at_the_door(wrong):
    buffer = WriteBuffer()
    with pytest.raises(TypeError):
        buffer.add(wrong)
    buffer.add(b"good")
    assert (buffer.peek(), buffer.size) == (b"good", 4)


def test_buffer_holds_what_a_bytearray_held_when_it_was_added():
    buffer, data = WriteBuffer(), bytearray(b"before")
    buffer.add(data)
    data[:] = b"after"
    assert (bytes(buffer.peek()), buffer.size) == (b"before", 6)


def test_buffer_does_not_copy_a_big_chunk_to_join_it_with_small_ones():
    big, pieces = b"x" * 4 * WriteBuffer.MOST, []
    buffer = WriteBuffer()
    for data in (b"a", b"b", big, b"c"):
        buffer.add(data)
    buffer.write_to(lambda data: pieces.append(data) or len(data))
    assert pieces == [b"ab", big, b"c"] and pieces[1] is big


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 9)))
def test_buffer_writes_until_a_send_is_short(chunks, takes):
    buffer, taken, sizes = SmallBuffer(), bytearray(), []
    for chunk in chunks:
        buffer.add(chunk)

    def send(data) -> int:
        count = min(len(data), takes.pop(0)) if takes else len(data)
        taken.extend(data[:count])
        sizes.append((len(data), count))
        return count

    while buffer.size:
        sizes.clear()
        buffer.write_to(send)
        assert all(size == count for size, count in sizes[:-1])
        assert not buffer.size or sizes[-1][1] < sizes[-1][0]
    assert taken == b"".join(chunks)


def test_buffer_keeps_what_a_send_that_fails_has_not_taken():
    buffer = SmallBuffer()
    buffer.add(b"12345678")
    buffer.add(b"rest")
    sends = iter([8, BlockingIOError()])

    def send(data) -> int:
        if isinstance(answer := next(sends), Exception):
            raise answer
        return answer

    with pytest.raises(BlockingIOError):
        buffer.write_to(send)
    assert (buffer.peek(), buffer.size) == (b"rest", 4)
    buffer.clear()
    assert (buffer.peek(), buffer.size) == (b"", 0)


# IdleTimer


class Hands:
    """A loop and its clock, both turned by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = EventLoop(self.clock)

    def ticks(self, count: int = 5) -> None:
        for _ in range(count):
            self.loop.tick(0)


@pytest.fixture
def hands() -> Iterator[Hands]:
    hands = Hands()
    yield hands
    hands.loop.close()


def runs_out_once_in_ten_seconds(hands: Hands, timeouts: list) -> None:
    hands.clock.now += 9
    hands.ticks()
    assert not timeouts
    hands.clock.now += 1
    hands.ticks()
    assert timeouts == [1]


def test_an_idle_timer_runs_out_once_when_it_is_not_reset_in_time(hands):
    timeouts = []
    timer = IdleTimer(hands.loop, 10, lambda: timeouts.append(hands.clock.now))
    timer.start()
    for now in (1008, 1016, 1025.5):  # reset at each: never 10 s without
        hands.clock.now = now
        hands.ticks()
        timer.reset()
    assert not timeouts
    hands.clock.now = 1035.6
    hands.ticks()
    hands.clock.now = 1100
    hands.ticks()
    assert timeouts == [1035.6]


def test_an_idle_timer_that_is_stopped_keeps_quiet_until_it_is_started_again(hands):
    timeouts = []
    timer = IdleTimer(hands.loop, 10, lambda: timeouts.append(1))
    timer.start()
    timer.stop()
    hands.clock.now += 11
    hands.ticks()
    assert not timeouts
    timer.start()
    runs_out_once_in_ten_seconds(hands, timeouts)


def test_an_idle_timer_stopped_and_started_counts_from_the_second_start(hands):
    timeouts = []
    timer = IdleTimer(hands.loop, 10, lambda: timeouts.append(1))
    timer.start()
    hands.clock.now += 9
    hands.ticks()
    timer.stop()
    timer.start()
    runs_out_once_in_ten_seconds(hands, timeouts)


def test_an_idle_timer_that_is_closed_never_runs_out(hands):
    timeouts = []
    timer = IdleTimer(hands.loop, 10, lambda: timeouts.append(1))
    timer.close()
    timer.start()
    timer.close()
    hands.clock.now += 100
    hands.ticks()
    assert not timeouts


# Output


class Script:
    """A transport that takes as much as a test says, and keeps it."""

    def __init__(self) -> None:
        self.room: float = 0  # bytes that it takes
        self.taken = bytearray()
        self.sends, self.error = 0, None
        self.shut = self.closed = False

    def recv(self, size: int, /) -> bytes:
        raise BlockingIOError

    def send(self, data: bytes | memoryview, /) -> int:
        self.sends += 1
        if self.error:
            raise self.error
        if not self.room:
            raise BlockingIOError
        count = int(min(self.room, len(data)))
        self.room -= count
        self.taken += data[:count]
        return count

    def interest(self, wanted: int) -> int:
        return wanted

    def shutdown(self) -> None:
        self.shut = True
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed = True


class Bench:
    """An output on a loop with a clock of its own, and what it reports."""

    def __init__(self, max_output: int = 1000) -> None:
        self.clock = Clock()
        self.loop, self.to = EventLoop(self.clock), Script()
        self.changes: list[tuple[bool, bool, bool]] = []
        self.failures: list[str] = []
        self.output = Output(
            self.loop, self.to, max_output, 10.0, self.note, self.failures.append
        )  # fmt: skip

    def note(self) -> None:
        it = self.output
        self.changes.append((it.blocked, it.overflowed, it.all_sent))

    def tick(self, after: float = 0) -> None:
        self.clock.now += after
        self.loop.tick(0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.loop.close()


def test_both_transports_are_transports(bench):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transports: list[Transport] = [bench.to, PlainTransport(ours)]  # for mypy
    assert len(transports) == 2


def test_output_writes_once_a_tick_and_says_nothing_when_all_goes_well(bench):
    bench.to.room = 1000
    for number in range(10):
        assert bench.output.put(b"%d" % number)
    assert not bench.to.taken
    bench.tick()
    bench.tick()
    assert (bytes(bench.to.taken), bench.to.sends) == (b"0123456789", 1)
    assert not bench.changes and not bench.failures


def test_what_is_written_goes_at_once_if_nothing_waits_before_it(bench):
    bench.to.room = 1000
    bench.output.write(b"now ")
    assert (bytes(bench.to.taken), bench.to.sends) == (b"now ", 1)
    bench.output.put(b"first ")
    bench.output.write(b"second")
    assert bytes(bench.to.taken) == b"now "
    bench.tick()
    bench.tick()
    assert (bytes(bench.to.taken), bench.to.sends) == (b"now first second", 2)
    assert not bench.changes and not bench.failures


def test_what_is_written_and_not_taken_waits_as_if_it_were_put(bench):
    for room, taken in [(3, b"012"), (0, b"012")]:
        bench.to.room = room
        bench.output.write(b"0123")
        assert bytes(bench.to.taken) == taken and not bench.changes
    bench.tick()
    assert bench.output.blocked and bench.output.buffer.size == 5
    bench.output.write(b"4")
    bench.to.room = 1000
    bench.output.write_on()
    assert bytes(bench.to.taken) == b"012301234"


def test_a_write_that_fails_is_told_by_the_tick_and_not_within_the_call(bench):
    bench.to.error = OSError(5, "broken")
    bench.output.write(b"data")
    assert not bench.failures
    bench.tick()
    assert bench.failures == ["connection lost: broken"]


def test_output_waits_for_room_and_does_not_try_meanwhile(bench):
    bench.to.room = 4
    bench.output.put(b"0123456789")
    bench.tick()
    assert bench.output.blocked and bench.changes == [(True, False, False)]
    sends = bench.to.sends
    bench.output.put(b"more")
    bench.tick()
    assert bench.to.sends == sends
    bench.to.room = 1000
    bench.output.write_on()
    assert bytes(bench.to.taken) == b"0123456789more"
    assert bench.changes == [(True, False, False), (False, False, False)]


def test_output_that_does_not_move_fails_in_time_and_one_that_moves_does_not(bench):
    bench.output.put(b"0123456789")
    bench.tick()
    for _ in range(3):
        bench.tick(9.9)
        bench.to.room = 1
        bench.output.write_on()
    bench.tick(9.9)
    assert not bench.failures
    bench.output.write_on()  # there was no room: that is no progress
    bench.tick(0.2)
    assert bench.failures == ["slow_consumer"]


def test_output_that_overflows_says_so_once_and_keeps_what_is_sent_in_part():
    bench = Bench(max_output=500_000)
    bench.to.room = 5
    assert bench.output.put(b"x" * 200_000) and bench.output.put(b"x" * 200_000)
    assert not bench.output.put(b"x" * 200_000)
    assert not bench.changes  # nothing happens within `put`
    bench.tick()
    bench.tick()
    assert bench.changes == [(True, True, False)]
    assert bench.output.buffer.size == 199_995
    bench.loop.close()


def test_output_beyond_its_bound_writes_within_the_tick(bench):
    bench.to.room = 10_000
    for _ in range(10):
        assert bench.output.put(b"x" * 600)
    bench.tick()
    assert len(bench.to.taken) == 6000 and not bench.output.overflowed


def test_one_chunk_larger_than_the_bound_is_no_reason_to_end(bench):
    """A reader that takes what comes is not slow because one message is long."""
    bench.to.room = 5
    assert bench.output.put(b"y" * 50_000)
    bench.tick()
    assert bench.output.put(b"z" * 1000) and not bench.output.overflowed
    bench.to.room = 60_000
    bench.output.write_on()
    assert bytes(bench.to.taken) == b"y" * 50_000 + b"z" * 1000
    assert not bench.output.overflowed and not bench.failures


@given(
    puts=st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 2000)), max_size=30)
)
def test_never_more_waits_than_the_bound_and_one_larger_chunk(puts):
    bench, largest = Bench(max_output=1000), 0
    for size, room in puts:
        bench.to.room += room
        taken = bench.output.put(bytes(size))
        largest = max(largest, size if size > 1000 and taken else 0)
        bench.tick()
        assert bench.output.buffer.size <= 1000 + largest
        if not taken:
            assert bench.output.overflowed
            break
    bench.loop.close()


def test_what_output_refuses_ends_it_even_if_there_is_room_before_the_flush(bench):
    bench.output.put(b"x" * 600)
    assert not bench.output.put(b"x" * 600)
    bench.to.room = 10_000
    assert not bench.output.put(b"refused too")
    bench.tick()
    assert bench.output.overflowed and bench.changes[-1] == (False, True, False)


def test_output_sends_its_last_words_and_shuts_down_once(bench):
    bench.to.room = 5
    bench.output.put(b"0123456789")
    bench.output.finish(b" bye")
    bench.tick()
    assert not bench.to.shut and not bench.output.all_sent
    bench.to.room = 100
    bench.output.write_on()
    assert (bytes(bench.to.taken), bench.to.shut) == (b"0123456789 bye", True)
    assert bench.changes[-1] == (False, False, True)
    before = len(bench.changes)
    bench.tick()
    assert len(bench.changes) == before


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset"), OSError(5, "io")]
)
def test_output_that_is_broken_fails_and_one_that_can_not_shut_down_does_not(error):
    bench = Bench()
    bench.to.error = error
    bench.output.put(b"x")
    bench.tick()
    assert bench.failures == [f"connection lost: {error.strerror}"]
    bench.loop.close()
    bench = Bench()
    bench.to.error = error
    bench.output.finish(b"")
    bench.tick()
    assert not bench.failures and bench.output.all_sent
    bench.loop.close()


def test_output_that_is_closed_drops_everything_and_is_quiet(bench):
    bench.output.put(b"0123456789")
    bench.tick()
    bench.output.put(b"more")
    bench.changes.clear()
    bench.output.close()
    bench.to.room = 100
    bench.tick(100)
    assert bench.to.closed and not bench.to.taken and bench.output.buffer.size == 0
    assert not bench.changes and not bench.failures
