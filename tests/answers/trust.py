"""Answers to the exercises of the chapter trust."""

import hashlib
import itertools
import os
from pathlib import Path

from exercises import right, wrong

from python_tcp.trust import _pins_in

Merged = tuple[dict[str, bytes], list[str]]


@wrong("check_lookalike", "the first 3 digits")
def after_a_thousand(pin: bytes, digits: int) -> bytes:
    for number in range(1000):
        if hashlib.sha256(b"%d" % number).hexdigest()[:digits] == pin.hex()[:digits]:
            return b"%d" % number
    return b""


@wrong("check_lookalike", "not the same bytes")
def the_same(pin: bytes, digits: int) -> bytes:
    return b"the certificate of the server"


@wrong("check_lookalike", "the first 1 digits")
def of_the_bytes(pin: bytes, digits: int) -> bytes:
    for number in itertools.count():
        if hashlib.sha256(b"%d" % number).digest()[: digits // 2] == pin[: digits // 2]:
            return b"%d" % number
    raise AssertionError


@wrong("check_lookalike", "An exception ended it")
def a_number(pin: bytes, digits: int) -> int:
    return 0


@right("check_lookalike")
def by_chance(pin: bytes, digits: int) -> bytes:
    while True:
        some = os.urandom(8)
        if hashlib.sha256(some).hexdigest().startswith(pin.hex()[:digits]):
            return some


@right("check_lookalike")
def with_a_serial_number(pin: bytes, digits: int) -> bytes:
    wanted, start = pin.hex()[:digits], hashlib.sha256(b"certificate ")
    for number in itertools.count():
        attempt = start.copy()
        attempt.update(str(number).encode())
        if attempt.hexdigest()[:digits] == wanted:
            return b"certificate %d" % number
    raise AssertionError


def _both(one: str, other: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    return _pins_in(one, Path("one")), _pins_in(other, Path("other"))


@wrong("check_merged", "two that differ")
def the_second_wins(one: str, other: str) -> Merged:
    first, second = _both(one, other)
    return first | second, []


@wrong("check_merged", "two that differ")
def unsorted(one: str, other: str) -> Merged:
    pins, differ = by_sets(one, other)
    return pins, differ[::-1]


@wrong("check_merged", "two of their own")
def what_both_have(one: str, other: str) -> Merged:
    first, second = _both(one, other)
    shared = first.keys() & second.keys()
    same = {name: first[name] for name in shared if first[name] == second[name]}
    return same, sorted(shared - same.keys())


@wrong("check_merged", "half a line")
def without_complaint(one: str, other: str) -> Merged:
    try:
        return by_sets(one, other)
    except ValueError:
        return _pins_in(one, Path("one")), []


@wrong("check_merged", "two that differ")
def differing_ones_too(one: str, other: str) -> Merged:
    first, second = _both(one, other)
    return second | first, by_sets(one, other)[1]


@right("check_merged")
def by_sets(one: str, other: str) -> Merged:
    first, second = _both(one, other)
    differ = {n for n in first.keys() & second.keys() if first[n] != second[n]}
    pins = {
        n: p for each in (first, second) for n, p in each.items() if n not in differ
    }
    return pins, sorted(differ)


@right("check_merged")
def one_by_one(one: str, other: str) -> Merged:
    pins, second = _both(one, other)
    differ = list[str]()
    for name, pin in second.items():
        if pins.setdefault(name, pin) != pin:
            differ.append(name)
    for name in differ:
        del pins[name]
    differ.sort()
    return pins, differ
