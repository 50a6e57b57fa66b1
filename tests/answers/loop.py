"""Answers to the exercises of the chapter loop."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from exercises import right, wrong

from python_tcp.loop import EventLoop

Call = Callable[[], Any]


@wrong("check_repeat", "it was called at: expected [10.0, 20.0, 30.0], but got []")
def sleeps_on_a_thread(loop: EventLoop, seconds: float, callback: Call) -> Call:
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            callback()

    threading.Thread(target=run, daemon=True).start()
    return ended.set


@wrong("check_repeat", "the number of calls: expected 2000")
def many_timers(loop: EventLoop, seconds: float, callback: Call) -> Call:
    timers = [loop.call_later(seconds * n, callback) for n in range(1, 1000)]
    return lambda: [timer.cancel() for timer in timers]


@wrong("check_repeat", "a function that stops it: expected True, but got False")
def without_stop(loop: EventLoop, seconds: float, callback: Call) -> None:
    def run() -> None:
        callback()
        loop.call_later(seconds, run)

    loop.call_later(seconds, run)


@wrong("check_repeat", "which stops itself")
def stops_only_from_outside(loop: EventLoop, seconds: float, callback: Call) -> Call:
    """The callback's stop cancels the timer that runs, and the next one is made after it."""

    def run() -> None:
        callback()
        timers.append(loop.call_later(seconds, run))

    timers = [loop.call_later(seconds, run)]
    return lambda: timers[-1].cancel()


TIMERS: list[Any] = []


@wrong("check_repeat", "the first one is stopped")
def one_for_all(loop: EventLoop, seconds: float, callback: Call) -> Call:
    def run() -> None:
        TIMERS[:] = [loop.call_later(seconds, run)]
        callback()

    TIMERS[:] = [loop.call_later(seconds, run)]
    return lambda: TIMERS[0].cancel()


@right("check_repeat")
def with_a_flag(loop: EventLoop, seconds: float, callback: Call) -> Call:
    stopped = []

    def run() -> None:
        if not stopped:
            callback()
            loop.call_later(seconds, run)

    loop.call_later(seconds, run)
    return lambda: stopped.append(True)


@right("check_repeat")
class Repeated:
    def __init__(self, loop: EventLoop, seconds: float, callback: Call) -> None:
        self.loop, self.seconds, self.callback = loop, seconds, callback
        self.timer = loop.call_later(seconds, self.run)

    def run(self) -> None:
        self.timer = self.loop.call_later(self.seconds, self.run)
        self.callback()

    def __call__(self) -> None:
        self.timer.cancel()


Done = Callable[[Any], Any]


@wrong("check_in_thread", "work still runs; done was called with: expected []", 4)
def waits_for_it(loop: EventLoop, work: Call, done: Done) -> None:
    thread = threading.Thread(target=lambda: done(work()))
    thread.start()
    thread.join()


@wrong("check_in_thread", "was it the loop's thread")
def as_a_callback(loop: EventLoop, work: Call, done: Done) -> None:
    """It returns at once, and the loop waits a little later."""
    loop.call_later(0.06, lambda: done(work()))


@wrong("check_in_thread", "and was done)", 3)
def done_on_its_thread(loop: EventLoop, work: Call, done: Done) -> None:
    def run() -> None:
        try:
            result = work()
        except Exception as error:
            result = error
        done(result)

    threading.Thread(target=run, daemon=True).start()


@wrong("check_in_thread", "The loop was woken", 3)
def polls(loop: EventLoop, work: Call, done: Done) -> None:
    results = []

    def run() -> None:
        results.append(work())

    def look() -> None:
        if results:
            done(results[0])
        else:
            loop.call_later(2.7, look)

    threading.Thread(target=run, daemon=True).start()
    look()


@wrong("check_in_thread", "Then work divides by zero", 2)
def without_exceptions(loop: EventLoop, work: Call, done: Done) -> None:
    def run() -> None:
        try:
            result = work()
        except Exception:
            return
        loop.call_threadsafe(lambda: done(result))

    threading.Thread(target=run, daemon=True).start()


@right("check_in_thread")
def with_a_pool(loop: EventLoop, work: Call, done: Done) -> None:
    def ended(future: Future[Any]) -> None:
        result = future.exception() or future.result()
        loop.call_threadsafe(lambda: done(result))

    pool = ThreadPoolExecutor(1)
    pool.submit(work).add_done_callback(ended)
    pool.shutdown(wait=False)


@right("check_in_thread")
class Work(threading.Thread):
    def __init__(self, loop: EventLoop, work: Call, done: Done) -> None:
        super().__init__(daemon=True)
        self.loop, self.work, self.done = loop, work, done
        self.start()

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.result = error
        self.loop.call_threadsafe(self.tell)

    def tell(self) -> None:
        self.done(self.result)
