"""Answers to the exercises of the chapter conversation."""

import threading
import time
from collections.abc import Callable

from exercises import right, wrong

Conditions = list[Callable[[], object]]


@wrong("check_first_of", "b comes later")
def wait_once(changed: threading.Condition, conditions: Conditions, timeout: float) -> int | None:  # fmt: skip
    with changed:
        changed.wait(timeout)
        return next((n for n, holds in enumerate(conditions) if holds()), None)


@wrong("check_first_of", "both are there")
def the_last_one(changed: threading.Condition, conditions: Conditions, timeout: float) -> int | None:  # fmt: skip
    def which() -> list[int]:
        return [n for n, holds in enumerate(conditions) if holds()]

    with changed:
        changed.wait_for(which, timeout)
        return which()[-1] if which() else None


@wrong("check_first_of", "expected")
def whether(changed: threading.Condition, conditions: Conditions, timeout: float) -> object:  # fmt: skip
    with changed:
        done = changed.wait_for(lambda: any(holds() for holds in conditions), timeout)
        return done or None


@wrong("check_first_of", "nothing, looked at once")
def a_number_in_any_case(changed: threading.Condition, conditions: Conditions, timeout: float) -> int:  # fmt: skip
    with changed:
        changed.wait_for(lambda: any(holds() for holds in conditions), timeout)
        return next((n for n, holds in enumerate(conditions) if holds()), -1)


@right("check_first_of")
def with_wait_for(changed: threading.Condition, conditions: Conditions, timeout: float) -> int | None:  # fmt: skip
    found: list[int] = []

    def look() -> bool:
        found[:] = [n for n, holds in enumerate(conditions) if holds()]
        return bool(found)

    with changed:
        changed.wait_for(look, timeout)
    return found[0] if found else None


@right("check_first_of")
def by_hand(changed: threading.Condition, conditions: Conditions, timeout: float) -> int | None:  # fmt: skip
    end = time.monotonic() + timeout
    with changed:
        while True:
            for number, holds in enumerate(conditions):
                if holds():
                    return number
            if (left := end - time.monotonic()) <= 0:
                return None
            changed.wait(left)
