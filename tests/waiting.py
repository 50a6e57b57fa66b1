"""Waiting with a limit, for all tests."""

import time
from collections.abc import Callable

LIMIT = 10.0  # seconds: far more than anything here takes; a wait that reaches it has failed


def wait_until(condition: Callable[[], object], limit: float = LIMIT) -> object:
    """Wait until `condition()` is true, and return what it gave. Fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not (result := condition()):
        assert time.monotonic() < end, f"not true within {limit:g} s"
        time.sleep(0.002)
    return result


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
