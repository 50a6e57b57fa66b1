"""The loop: timers, waking, the order of a tick, what is watched, and who is still alive."""

import gc
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.loop import EventLoop, KeepAlive, Timer, TimerQueue, Waker
from sockets import nothing_left_over  # noqa: F401
from waiting import LIMIT, Clock, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class World:
    """A loop that a test ticks by hand, with a clock of its own, and sockets on it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = EventLoop(self.clock)
        self.start = time.monotonic()
        self.sockets: list[socket.socket] = []

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets: ours, and the peer's."""
        pair = socket.socketpair()
        self.sockets += pair
        return pair

    def ready_socket(self, data: bytes = b"x") -> socket.socket:
        ours, peer = self.pair()
        peer.send(data)
        return ours

    def ticks(self, count: int = 5) -> None:
        for _ in range(count):
            self.loop.tick(0)

    @property
    def waited(self) -> float:
        """Seconds of real time since the test began."""
        return time.monotonic() - self.start


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for sock in world.sockets:
        sock.close()
    world.loop.close()


# Bytes


# TimerQueue


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())), st.integers(0, 9))
def test_timers_run_those_due_by_time_then_by_age_and_never_the_cancelled(timers, now):
    clock = TimerQueue()
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


STEPS = st.lists(
    st.tuples(st.just("add"), st.integers(0, 50))
    | st.tuples(st.just("cancel"), st.integers(0, 200))
    | st.tuples(st.just("due"), st.integers(0, 50)),
    max_size=300,
)


@given(STEPS)
def test_a_queue_of_timers_knows_what_is_left_however_it_is_used(steps):
    queue, left, timers, now = TimerQueue(), {}, [], 0
    for step, number in steps:
        match step:
            case "add":
                timers.append(queue.add(now + number, len(timers)))
                left[len(timers) - 1] = now + number
            case "cancel" if timers:
                timers[number % len(timers)].cancel()
                left.pop(number % len(timers), None)
            case "due":
                now += number
                order = sorted((when, key) for key, when in left.items() if when <= now)
                assert [each.callback for each in queue.due(now)] == [
                    key for _, key in order
                ]
                for _, key in order:
                    del left[key]
        assert len(queue) == len(left)
        assert queue.next_due() == min(left.values(), default=None)


def test_timers_that_are_cancelled_again_and_again_take_no_memory():
    def timers() -> int:
        return sum(type(each) is Timer for each in gc.get_objects())

    queue, before = TimerQueue(), timers()
    kept = [queue.add(number, print) for number in range(100)]
    for number in range(10_000):
        queue.add(1000 + number, print).cancel()
    assert len(queue) == 100 and timers() - before < 500
    assert queue.due(1000) == kept


@pytest.mark.parametrize(
    "when, longest, expected",
    [
        (None, None, None),
        (None, 3.0, 3.0),
        (107.0, None, 7.0),
        (107.0, 3.0, 3.0),
        (99.0, 3.0, 0.0),
    ],
)
def test_a_queue_of_timers_says_how_long_to_wait(when, longest, expected):
    queue = TimerQueue()
    if when is not None:
        queue.add(when, print)
    assert queue.time_to_wait(100.0, longest) == expected


def test_a_timer_counts_from_now_and_not_from_the_beginning_of_the_tick(world):
    ran = []

    def long_callback() -> None:
        world.clock.now += 0.25
        world.loop.call_later(0.25, lambda: ran.append(world.clock.now))

    world.loop.call_later(0, long_callback)
    world.ticks()
    assert not ran
    world.clock.now += 0.25
    world.ticks()
    assert ran == [1000.5]


def test_a_timer_cancelled_by_another_one_of_the_same_tick_does_not_run(world, caplog):
    ran = []
    world.loop.call_later(1, lambda: second.cancel())
    second = world.loop.call_later(1, lambda: ran.append("second"))
    world.loop.call_later(1, lambda: ran.append("third"))
    world.clock.now += 1
    world.loop.tick(0)
    assert ran == ["third"] and not caplog.records


def test_a_timer_may_be_cancelled_after_it_ran(world):
    ran = []
    timer = world.loop.call_later(0, lambda: ran.append(1))
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
            world.loop.call_later(0, again)

    again()
    world.loop.tick(0)
    assert len(ran) < 10


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


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_a_signal_in_the_middle_of_wake_loses_no_byte():
    """What its handler raises ends `wake` anywhere. The next one must still wake the loop."""
    wakers = [Waker() for _ in range(100)]
    choose = random.Random(1)

    class Interruption(Exception):
        """No `OSError`, of which `wake` takes no notice."""

    def interrupt(*signal_and_frame: object) -> None:
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(300):
            with suppress(Interruption):
                signal.setitimer(signal.ITIMER_REAL, choose.uniform(1e-6, 1e-4))
                while True:
                    for waker in wakers:
                        waker.wake()
                    for waker in wakers:
                        waker._awake = False
            for waker in wakers:
                waker.wake()
                assert waker.sock.recv(10, socket.MSG_PEEK)
                waker.drain()
    finally:
        signal.signal(signal.SIGALRM, before)
        for waker in wakers:
            waker.close()


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
            if not answered.wait(LIMIT):
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


def test_a_call_after_the_end_is_refused_and_one_before_it_is_made():
    loop, made, refused = EventLoop(), [], []
    thread = loop.start_thread("test")

    def call() -> None:
        for number in range(100_000):
            if not loop.call_threadsafe(partial(made.append, number)):
                refused.append(number)
                return

    caller = threading.Thread(target=call)
    caller.start()
    loop.stop()
    thread.join(LIMIT)
    caller.join(LIMIT)
    assert made == list(range(refused[0] if refused else 100_000))
    assert not loop.call_threadsafe(lambda: made.append("late"))
    assert "late" not in made


def test_a_call_that_was_accepted_in_the_last_tick_is_made():
    loop, made = EventLoop(), []

    def last() -> None:
        made.append(loop.call_threadsafe(lambda: made.append("called")))

    def end() -> None:
        loop.stop()
        loop.call_threadsafe(lambda: loop.at_end_of_tick(last))

    loop.call_later(0, end)
    loop.run()
    assert made == [True, "called"]


def test_a_loop_that_never_ran_makes_no_calls_after_its_end():
    loop, made = EventLoop(), []
    assert loop.call_threadsafe(lambda: made.append(1))
    loop.close()
    assert not loop.call_threadsafe(lambda: made.append(2)) and made == []


def test_a_call_that_raises_is_logged_and_the_loop_goes_on(loop, caplog):
    loop.call_threadsafe(lambda: 1 / 0)
    done = threading.Event()
    loop.call_threadsafe(done.set)
    assert done.wait(LIMIT)
    assert "ZeroDivisionError" in caplog.text


# The tick


def test_a_tick_runs_callbacks_then_hooks_then_flushes(world):
    order = []

    def hook() -> None:
        order.append("hook")
        world.loop.at_end_of_tick(lambda: order.append("hook of the hook"))

    def callback(events: int) -> None:
        order.append("callback")
        world.loop.flush_later(lambda: order.append("flush"))
        world.loop.at_end_of_tick(hook)

    for _ in range(2):
        world.loop.watch(world.ready_socket(), EVENT_READ, callback)
    world.loop.tick(0)
    assert (
        order
        == ["callback"] * 2 + ["hook"] * 2 + ["hook of the hook"] * 2 + ["flush"] * 2
    )


def test_hooks_and_flushes_run_once(world):
    ran = []
    world.loop.at_end_of_tick(lambda: ran.append("hook"))
    world.loop.flush_later(lambda: ran.append("flush"))
    world.ticks()
    assert ran == ["hook", "flush"]


@pytest.mark.parametrize("what", ["at_end_of_tick", "flush_later"])
def test_a_flush_that_asks_for_a_hook_or_a_flush_gets_it_without_waiting(world, what):
    ran = []
    world.loop.flush_later(lambda: getattr(world.loop, what)(lambda: ran.append(what)))
    world.loop.tick(0)
    world.loop.tick(LIMIT)  # no socket and no timer would end this wait
    assert ran == [what] and world.waited < LIMIT / 2


def test_a_due_timer_ends_the_wait_for_sockets(world):
    ran = []
    world.loop.call_later(0, lambda: ran.append(1))
    world.loop.tick(None)
    assert ran == [1]


@pytest.mark.parametrize(
    "where", ["call_later", "at_end_of_tick", "flush_later", "watch"]
)
def test_what_raises_is_logged_and_what_comes_after_it_runs(world, caplog, where):
    ran = []
    for callback in (lambda *events: 1 / 0, lambda *events: ran.append(1)):
        match where:
            case "call_later":
                world.loop.call_later(0, callback)
            case "watch":
                world.loop.watch(world.ready_socket(), EVENT_READ, callback)
            case _:
                getattr(world.loop, where)(callback)
    world.loop.tick(0)
    assert ran == [1]
    assert "ZeroDivisionError" in caplog.text


def test_watch_can_be_changed_and_ended(world):
    seen = []
    sock = world.ready_socket()
    world.loop.watch(sock, EVENT_READ | EVENT_WRITE, seen.append)
    world.loop.tick(0)
    world.loop.watch(sock, EVENT_READ, seen.append)
    world.loop.tick(0)
    world.loop.watch(sock, 0, seen.append)
    world.loop.watch(sock, 0, seen.append)  # twice: no harm
    world.loop.tick(0)
    assert seen == [EVENT_READ | EVENT_WRITE, EVENT_READ]


def test_a_hook_that_asks_for_itself_does_not_keep_the_tick_from_ending(world):
    ran = []

    def hook() -> None:
        ran.append("hook")
        if len(ran) < 1000:
            world.loop.at_end_of_tick(hook)

    world.loop.at_end_of_tick(hook)
    world.loop.flush_later(lambda: ran.append("flush"))
    world.loop.tick(0)
    assert ran.count("hook") < 5 and ran[-1] == "flush"
    before = len(ran)
    world.loop.tick(LIMIT)  # no socket and no timer would end this wait
    assert len(ran) > before and world.waited < LIMIT / 2


# What is watched


def test_a_callback_may_end_the_watching_of_a_socket_that_is_ready_too(world):
    pairs = [world.pair() for _ in range(3)]
    heard = []

    def callback(mine):
        def ready(events: int) -> None:
            heard.append(mine)
            for other, _ in pairs:
                if other is not mine:
                    world.loop.watch(other, 0)

        return ready

    for ours, peer in pairs:
        world.loop.watch(ours, EVENT_READ, callback(ours))
        peer.send(b"x")
    world.ticks(1)
    assert len(heard) == 1


def test_a_callback_may_give_a_ready_socket_another_callback(world):
    first, second = world.ready_socket(), world.ready_socket()
    heard = []

    def swap(mine, other):
        def ready(events: int) -> None:
            mine.recv(10)
            world.loop.watch(other, EVENT_READ, lambda events: heard.append("new"))

        return ready

    world.loop.watch(first, EVENT_READ, swap(first, second))
    world.loop.watch(second, EVENT_READ, swap(second, first))
    world.ticks(1)
    assert not heard  # what was ready was ready for the old one
    world.ticks(1)
    assert heard == ["new"]


def test_a_descriptor_that_is_used_again_is_watched_for_its_new_socket(world):
    heard = []
    old, old_peer = world.pair()
    number = old.fileno()
    world.loop.watch(old, EVENT_READ, lambda events: heard.append("old"))
    old.close()
    new, peer = world.pair()
    while new.fileno() != number:  # it is the smallest that is free, sooner or later
        new, peer = world.pair()
    world.loop.watch(new, EVENT_READ, lambda events: heard.append("new"))
    peer.send(b"x")
    world.ticks(1)
    assert heard == ["new"]
    world.loop.watch(old, 0)  # must not touch the new one
    world.ticks(1)
    assert heard == ["new", "new"]


def test_a_socket_that_was_closed_can_be_given_up_in_every_order(world):
    ours, peer = world.pair()
    world.loop.watch(ours, EVENT_READ, print)
    ours.close()
    for _ in range(2):
        world.loop.watch(ours, 0)
    world.loop.watch(peer, 0)  # it never was watched
    peer.close()
    world.loop.watch(peer, 0)
    world.ticks()


# A crowd


class Crowd(World):
    """Sockets of which each notes when it is served."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.loop.close()
        self.loop = EventLoop()
        self.loop.PATIENCE = 5.0  # seconds: enough for any machine
        self.served: list[int] = []
        self.peers = [self.member(number) for number in range(size)]

    def member(self, number: int) -> socket.socket:
        ours, peer = self.pair()

        def serve(events: int) -> None:
            self.served.append(number)
            ours.recv(10)

        self.loop.watch(ours, EVENT_READ, serve)
        return peer

    def speak(self, members: slice, data: bytes = b"x") -> None:
        for peer in self.peers[members]:
            peer.send(data)

    def tick_in_two_parts(self) -> None:
        """Five speak before the tick, the others while it lasts, from another thread."""
        self.speak(slice(5))
        late = threading.Timer(0.05, self.speak, [slice(5, None)])
        late.start()
        self.loop.tick(LIMIT)
        late.join()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd(10)
    yield crowd
    for sock in crowd.sockets:
        sock.close()
    crowd.loop.close()


def test_the_rest_of_a_crowd_is_waited_for(crowd):
    crowd.speak(slice(None))
    crowd.loop.tick(LIMIT)
    crowd.tick_in_two_parts()
    assert sorted(crowd.served) == sorted([*range(10)] * 2)


def test_a_few_are_served_at_once(crowd):
    for _ in range(2):
        crowd.speak(slice(5))
        crowd.loop.tick(LIMIT)
    crowd.speak(slice(1))
    crowd.loop.tick(LIMIT)
    assert len(crowd.served) == 11 and crowd.waited < crowd.loop.PATIENCE


def test_a_socket_that_is_apart_says_nothing_about_a_crowd(crowd):
    ours, peer = crowd.pair()
    crowd.loop.watch(ours, EVENT_READ, lambda events: ours.recv(10))
    crowd.loop.apart.add(ours)
    crowd.speak(slice(None))
    crowd.loop.tick(LIMIT)
    peer.send(b"x")
    crowd.loop.tick(LIMIT)
    assert crowd.waited < crowd.loop.PATIENCE  # nobody of the crowd can come
    crowd.tick_in_two_parts()
    assert sorted(crowd.served) == sorted([*range(10)] * 2)


def test_who_knows_that_all_are_here_ends_the_wait(crowd):
    ours, peer = crowd.pair()
    crowd.loop.watch(
        ours, EVENT_READ, lambda events: (ours.recv(1), crowd.loop.hurry())
    )
    crowd.speak(slice(None))
    crowd.loop.tick(LIMIT)
    crowd.loop.PATIENCE = 10 * LIMIT
    crowd.speak(slice(5))
    peer.send(b"x")
    crowd.loop.tick(LIMIT)
    crowd.loop.tick(0)  # of the ten sockets, the system may tell about some later
    assert sorted(crowd.served) == sorted([*range(10), *range(5)])
    assert crowd.waited < LIMIT


def test_one_that_never_stops_is_served_once_a_tick_and_is_no_crowd(crowd):
    crowd.speak(slice(None))
    crowd.loop.tick(LIMIT)
    crowd.served.clear()
    crowd.speak(slice(1), bytes(10_000))
    crowd.loop.tick(LIMIT)
    assert crowd.served == [0] and crowd.waited < crowd.loop.PATIENCE


# KeepAlive


class Line:
    """A keepalive of which a test sees what it does."""

    def __init__(self, world: World, after: float = 30, timeout: float = 10) -> None:
        self.did: list[tuple[str, float]] = []
        self.world = world
        self.alive = KeepAlive(
            world.loop, after, timeout, lambda: self.note("ping"), lambda: self.note("dead")
        )  # fmt: skip
        self.alive.start()

    def note(self, what: str) -> None:
        self.did.append((what, self.world.clock.now - 1000))

    def at(self, *times: float) -> list[tuple[str, float]]:
        """Let it be that time, one after the other; returns what it has done by then."""
        for each in times:
            self.world.clock.now = 1000 + each
            self.world.ticks(2)
        return self.did


def test_a_silent_peer_is_asked_and_one_that_does_not_answer_is_dead(world):
    line = Line(world)
    assert line.at(29.9) == []
    assert line.at(30) == [("ping", 30)]
    assert line.at(39.9) == [("ping", 30)]
    assert line.at(40, 100, 1000) == [("ping", 30), ("dead", 40)]


def test_a_peer_that_speaks_is_not_asked(world):
    line = Line(world)
    for seconds in range(20, 200, 20):
        assert line.at(seconds) == []
        line.alive.heard()
    assert line.at(209.9) == []
    assert line.at(210) == [("ping", 210)]


@pytest.mark.parametrize("timeout", [10, 100])
def test_a_peer_that_answers_is_asked_again_after_as_long_a_silence(world, timeout):
    line = Line(world, timeout=timeout)
    line.at(30, 35)
    line.alive.heard()
    line.alive.heard()
    assert line.at(64.9) == [("ping", 30)]
    assert line.at(65) == [("ping", 30), ("ping", 65)]
    assert line.at(65 + timeout)[2:] == [("dead", 65 + timeout)]


@pytest.mark.parametrize("when", [5, 35], ids=["while it waits", "while it has asked"])
def test_a_keepalive_that_is_closed_does_nothing_more(world, when):
    line = Line(world)
    line.at(*{min(when, 30), when})
    before = list(line.did)
    line.alive.close()
    line.alive.close()
    assert line.at(100, 1000) == before


def test_a_loop_tells_how_long_a_tick_took_without_the_waiting_before_it():
    with_time = Clock()
    loop, took = EventLoop(clock=with_time), []
    loop.on_tick = took.append
    loop.call_later(0, partial(setattr, with_time, "now", 1000.25))
    loop.tick()
    loop.tick(longest=0.05)  # waits, and does nothing
    loop.close()
    assert took == [0.25, 0.0]


def test_who_wants_to_know_earlier_asks_once_and_hears_when_it_is_dead(world):
    line = Line(world)
    line.at(3)
    assert line.alive.ask(5) is None, "it was heard three seconds ago"
    line.at(7)
    assert line.alive.ask(5) == 1017 and line.alive.ask(5) == 1017
    assert line.at(16.9) == [("ping", 7)]
    assert line.at(17, 100) == [("ping", 7), ("dead", 17)]


def test_one_that_answers_when_it_is_asked_earlier_is_alive(world):
    line = Line(world)
    line.at(7)
    line.alive.ask(5)
    line.at(9)
    line.alive.heard()
    assert line.alive.ask(5) is None
    assert line.at(38.9) == [("ping", 7)]
    assert line.at(39) == [("ping", 7), ("ping", 39)]
    assert line.alive.ask(5) == 1049, "when the loop has asked"
