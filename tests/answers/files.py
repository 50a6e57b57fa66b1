"""Answers to the exercises of the chapter files."""

from collections import deque
from collections.abc import Iterator

from exercises import right, wrong


@wrong("check_interleave", "a message after the first piece")
def looks_once(messages: deque[bytes], file: bytes, chunk: int) -> Iterator[bytes]:
    yield from list(messages)
    messages.clear()
    for start in range(0, len(file), chunk):
        yield file[start : start + chunk]


@wrong("check_interleave", "two messages and b'abcd'")
def in_turn(messages: deque[bytes], file: bytes, chunk: int) -> Iterator[bytes]:
    """Fair, but that is not what was asked: a message goes first."""
    while messages or file:
        if messages:
            yield messages.popleft()
        if file:
            yield file[:chunk]
            file = file[chunk:]


@wrong("check_interleave", "and a message when that has gone")
def ends_with_the_file(
    messages: deque[bytes], file: bytes, chunk: int
) -> Iterator[bytes]:
    while file:
        while messages:
            yield messages.popleft()
        yield file[:chunk]
        file = file[chunk:]


@right("check_interleave")
def with_a_memoryview(
    messages: deque[bytes], file: bytes, chunk: int
) -> Iterator[bytes]:
    left = memoryview(file)
    while messages or left:
        if messages:
            yield messages.popleft()
        else:
            yield bytes(left[:chunk])
            left = left[chunk:]


@right("check_interleave")
def with_a_loop_in_a_loop(
    messages: deque[bytes], file: bytes, chunk: int
) -> Iterator[bytes]:
    for start in range(0, len(file), chunk):
        while messages:
            yield messages.popleft()
        yield file[start : start + chunk]
    while messages:
        yield messages.popleft()
