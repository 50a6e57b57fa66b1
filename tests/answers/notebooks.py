"""Answers to the exercise of the page about notebooks."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from exercises import right, wrong

Work = Callable[[], Any]
SAME_TIME = "the other one was not called at the same time"


@wrong("check_run_both", SAME_TIME, seconds=1.0)
def in_turn(one: Work, other: Work) -> list[Any]:
    first = one()
    return [first, other()]


@wrong("check_run_both", "expected ['a', 'b'], but got ['b', 'a']")
def as_they_end(one: Work, other: Work) -> list[Any]:
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda work=work: found.append(work()))
        for work in (one, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@wrong("check_run_both", "expected ['a', 'b'], but got [None, None]")
def results_are_lost(one: Work, other: Work) -> list[Any]:
    threads = [threading.Thread(target=work) for work in (one, other)]
    for thread in threads:
        thread.start()
    return [thread.join() for thread in threads]  # type: ignore[func-returns-value]


@right("check_run_both")
def by_place(one: Work, other: Work) -> list[Any]:
    found: list[Any] = [None, None]

    def call(place: int, work: Work) -> None:
        found[place] = work()

    thread = threading.Thread(target=call, args=(0, one))
    thread.start()
    call(1, other)
    thread.join()
    return found


@right("check_run_both")
def with_futures(one: Work, other: Work) -> list[Any]:
    with ThreadPoolExecutor() as pool:
        return [future.result() for future in [pool.submit(one), pool.submit(other)]]
