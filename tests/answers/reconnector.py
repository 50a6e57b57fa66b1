"""Answers to the exercises of the chapter reconnector."""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from exercises import right, wrong

from python_tcp.delivery import backoff_delays

Callback = Callable[[Any], object]


class _OwnThread:
    """Right, but for what its children change."""

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.events: queue.Queue[Any] = queue.Queue()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def notify(self, event: Any) -> None:
        self.events.put(event)

    def run(self) -> None:
        while (event := self.events.get()) is not self:
            self.tell(event)

    def tell(self, event: Any) -> None:
        with contextlib.suppress(Exception):
            self.callback(event)

    def close(self) -> None:
        self.events.put(self)
        self.thread.join()


@wrong("check_own_thread", "Were two calls under way at a time", seconds=1)
class AThreadEach:
    def __init__(self, callback: Callback) -> None:
        self.callback, self.threads = callback, list[threading.Thread]()

    def notify(self, event: Any) -> None:
        self.threads.append(threading.Thread(target=self.safely, args=[event]))
        self.threads[-1].start()

    def safely(self, event: Any) -> None:
        with contextlib.suppress(Exception):
            self.callback(event)

    def close(self) -> None:
        for thread in self.threads:
            thread.join()


@wrong("check_own_thread", "had ended before notify had returned", seconds=2)
class NoThread:
    def __init__(self, callback: Callback) -> None:
        self.callback = callback

    def notify(self, event: Any) -> None:
        with contextlib.suppress(Exception):
            self.callback(event)

    def close(self) -> None: ...


@wrong("check_own_thread", "what the callback has done when close() returns")
class DoesNotWait(_OwnThread):
    def close(self) -> None:
        self.events.put(self)


@wrong("check_own_thread", "what the callback has done when close() returns")
class LosesTheRest(_OwnThread):
    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self.events.get_nowait()
        super().close()


@wrong("check_own_thread", "what the callback has done when close() returns")
class EndsAtTheFirstError(_OwnThread):
    def run(self) -> None:
        with contextlib.suppress(Exception):
            while (event := self.events.get()) is not self:
                self.callback(event)


@wrong("check_own_thread", "How many threads have called the callback", seconds=1)
class OneAfterTheOther(AThreadEach):
    lock = threading.Lock()

    def __init__(self, callback: Callback) -> None:
        super().__init__(callback)
        self.waiting: deque[Any] = deque()

    def notify(self, event: Any) -> None:
        self.waiting.append(event)
        super().notify(event)

    def safely(self, event: Any) -> None:
        with self.lock, contextlib.suppress(Exception):
            self.callback(self.waiting.popleft())


@right("check_own_thread")
class WithAQueue(_OwnThread):
    pass


@right("check_own_thread")
class WithAnExecutor:
    def __init__(self, callback: Callback) -> None:
        self.callback, self.pool = callback, ThreadPoolExecutor(max_workers=1)

    def notify(self, event: Any) -> None:
        self.pool.submit(self.callback, event)

    def close(self) -> None:
        self.pool.shutdown()


class _Attempts:
    """Right, but for what its children change."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.reset()

    def reset(self) -> None:
        self.count, self.delays = 0, backoff_delays()

    def next_pause(self, now: float, at_least: float = 0.0) -> float | None:
        self.count += 1
        return max(next(self.delays), at_least) if self.count <= self.most else None


@wrong("check_attempts", "after reset(): are all pauses")
class TheSameDelays(_Attempts):
    def __init__(self, most: int) -> None:
        self.most, self.count, self.delays = most, 0, backoff_delays()

    def reset(self) -> None:
        self.count = 0


@wrong("check_attempts", "how many pauses come before None")
class OneTooMany(_Attempts):
    def next_pause(self, now: float, at_least: float = 0.0) -> float | None:
        self.count += 1
        pause = max(next(self.delays), at_least)
        return pause if self.count <= self.most + 1 else None


@wrong("check_attempts", "at_least=9.0")
class WithoutAtLeast(_Attempts):
    def next_pause(self, now: float, at_least: float = 0.0) -> float | None:
        return super().next_pause(now)


@wrong("check_attempts", "how many pauses come before None")
class NeverAnew(_Attempts):
    def __init__(self, most: int) -> None:
        self.most, self.count, self.delays = most, 0, backoff_delays()

    def reset(self) -> None:
        self.delays = backoff_delays()


@wrong("check_attempts", "An exception ended it, in line")
class EndsWithStopIteration(_Attempts):
    def reset(self) -> None:
        delays = backoff_delays()
        self.pauses = iter([next(delays) for _ in range(self.most)])

    def next_pause(self, now: float, at_least: float = 0.0) -> float:
        return max(next(self.pauses), at_least)


@right("check_attempts")
class Counting(_Attempts):
    pass


@right("check_attempts")
class WithAnIterator:
    def __init__(self, most: int) -> None:
        self.most = most
        self.reset()

    def reset(self) -> None:
        self.pauses = iter(
            [pause for _, pause in zip(range(self.most), backoff_delays())]
        )

    def next_pause(self, now: float, at_least: float = 0.0) -> float | None:
        pause = next(self.pauses, None)
        return None if pause is None else max(pause, at_least)
