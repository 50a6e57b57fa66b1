"""Waiting with a limit, for all tests."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

ENDINGS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
]
LIMIT = 60.0  # seconds: far more than anything here takes; a wait that reaches it has failed
FULL = bool(os.environ.get("FULL"))  # `FULL=1 make test` cuts nothing short


def busy_for(seconds: float, enough: Callable[[], bool]) -> Iterator[None]:
    """Goes round for so long; on a slow machine until it is enough, but `LIMIT` longer at most."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end or now < end + LIMIT and not enough():
        yield


def wait_until(
    condition: Callable[[], object], limit: float = LIMIT, pause: float = 0.002
) -> object:
    """Wait until `condition()` is true, and return what it gave. Fails after `limit` seconds.

    A condition that costs much, such as what a browser is asked for, needs a longer `pause`.
    """
    end = time.monotonic() + limit
    while not (result := condition()):
        assert time.monotonic() < end, f"not true within {limit:g} s"
        time.sleep(pause)
    return result


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Barrier:
    """From `slow_down` on, calls of one method wait on their threads, until `go_on`."""

    def __init__(self) -> None:
        self.entered, self._open = threading.Event(), threading.Event()
        self.threads: set[str] = set()  # that have called it
        self.calls = 0  # that went through
        self._open.set()

    def before(
        self, method: Callable[..., Any], thread: str = ""
    ) -> Callable[..., Any]:
        """The method behind the barrier: for calls on all threads, or on those of a name."""

        @wraps(method)
        def slow(*args: object) -> object:
            name = threading.current_thread().name
            if thread in ("", name):
                self.threads.add(name)
                self.entered.set()
                assert self._open.wait(LIMIT)
                self.calls += 1
            return method(*args)

        return slow

    def slow_down(self) -> None:
        self.entered.clear()
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()
