"""Answers to the exercises of the chapter check: checks, which must find what is wrong with the answers to them."""

import time
from collections.abc import Callable

from exercises import right, wrong

from python_tcp.check import NotYet, check, expect

Last = Callable[[bytes], bytes]
Pause = Callable[[float], object]


@wrong("check_the_check", "The check of first_line")
@check
def one_line(answer: Last) -> None:
    expect("one line", b"one", answer(b"one"))


@wrong("check_the_check", "The check of keeps_newline")
@check
def no_newline_at_the_end(answer: Last) -> None:
    expect("two lines", b"two", answer(b"one\ntwo"))


@wrong("check_the_check", "The check of good_last")
@check
def never_content(answer: Last) -> None:
    raise NotYet("this is not good")


@wrong("check_the_check", "expected 'Right.', but got 'None'")
def says_nothing(answer: Last) -> None:
    expect("two lines", b"two", answer(b"one\ntwo\n"))


@right("check_the_check")
@check
def both_at_once(answer: Last) -> None:
    expect("Two lines, the last with its newline", b"two", answer(b"one\ntwo\n"))


@right("check_the_check")
def without_the_decorator(answer: Last) -> str:
    for chunk, last in {b"a": b"a", b"a\nb\n": b"b", b"a\nb\n\n": b""}.items():
        if answer(chunk) != last:
            return f"Not yet. {chunk!r}: expected {last!r}, but got {answer(chunk)!r}."
    return "Right."


@wrong("check_the_pause", "The check of no pause")
@check(limit=1.5)
def that_it_ends(answer: Pause) -> None:
    answer(0.1)


@wrong("check_the_pause", "The check of time.sleep")
@check(limit=1.5)
def exactly(answer: Pause) -> None:
    start = time.monotonic()
    answer(0.1)
    expect("answer(0.1) waited for 0.1 s", 0.1, time.monotonic() - start)


@wrong("check_the_pause", "took less than 5 s", seconds=7)
@check(limit=5.5)
def for_too_long(answer: Pause) -> None:
    start = time.monotonic()
    answer(0.1)
    expect("answer(0.1) waited", True, time.monotonic() - start >= 0.1)


@right("check_the_pause", seconds=2)
@check(limit=1.2)
def shorter(answer: Pause) -> None:
    start = time.monotonic()
    answer(0.05)
    expect("answer(0.05) waited", True, time.monotonic() - start >= 0.05)


@right("check_the_pause", seconds=2)
@check(limit=1.5)
def by_another_clock(answer: Pause) -> None:
    start = time.perf_counter()
    answer(0.2)
    took = time.perf_counter() - start
    if not 0.2 <= took < 1.2:
        raise NotYet(f"answer(0.2) took {took:.1f} s")
