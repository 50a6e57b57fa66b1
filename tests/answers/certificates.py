"""Answers to the exercises of the chapter certificates."""

import datetime
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from exercises import right, wrong

Make = Callable[[], bytes]


def _end(pem: bytes, index: int = 0) -> datetime.datetime:
    return x509.load_pem_x509_certificates(pem)[index].not_valid_after_utc


@wrong("check_days_left", "the second is an authority's")
def of_the_last(pem: bytes, now: datetime.datetime) -> int:
    return (_end(pem, -1) - now).days


@wrong("check_days_left", "30 days, at 01 January 01:00")
def rounded_up(pem: bytes, now: datetime.datetime) -> int:
    return math.ceil((_end(pem) - now).total_seconds() / 86_400)


@wrong("check_days_left", "expected -1, but got 0")
def towards_zero(pem: bytes, now: datetime.datetime) -> int:
    return int((_end(pem) - now).total_seconds() / 86_400)


@wrong("check_days_left", "expected 29, but got 30")
def days_of_the_calendar(pem: bytes, now: datetime.datetime) -> int:
    return (_end(pem).date() - now.date()).days


@wrong("check_days_left", "An exception ended it, in line")
def without_a_time_zone(pem: bytes, now: datetime.datetime) -> int:
    return (_end(pem).replace(tzinfo=None) - now).days


@right("check_days_left")
def by_seconds(pem: bytes, now: datetime.datetime) -> int:
    return math.floor((_end(pem) - now).total_seconds() / 86_400)


@right("check_days_left")
def by_division(pem: bytes, now: datetime.datetime) -> int:
    first = x509.load_pem_x509_certificate(pem)
    return (first.not_valid_after_utc - now) // datetime.timedelta(days=1)


@wrong("check_keep", "was called once")
def no_lock(path: Path, make: Make) -> bytes:
    if not path.exists():
        path.write_bytes(make())
    return path.read_bytes()


@wrong("check_keep", "was called once")
def the_last_one_wins(path: Path, make: Make) -> bytes:
    beside = path.with_suffix(f".{threading.get_ident()}")
    beside.write_bytes(make())
    os.replace(beside, path)
    return path.read_bytes()


@wrong(
    "check_keep",
    "Sizes of what the threads got: expected [200000], but got [0, 200000]",
)
def takes_what_is_there(path: Path, make: Make) -> bytes:
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return path.read_bytes()
    with open(file, "wb") as writer:
        writer.write(make())
    return path.read_bytes()


@wrong("check_keep", "An exception ended it, in line")
def raises_if_it_is_there(path: Path, make: Make) -> bytes:
    with open(path, "xb") as writer:
        writer.write(make())
    return path.read_bytes()


@wrong("check_keep", "It has not ended after 3 s", seconds=4)
def waits_for_ever(path: Path, make: Make) -> bytes:
    beside = path.with_suffix(".lock")
    while True:
        try:
            os.close(os.open(beside, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            time.sleep(0.01)
    if not path.exists():
        path.write_bytes(make())
    return path.read_bytes()


LOCK = threading.Lock()


@right("check_keep")
def with_a_lock_file(path: Path, make: Make) -> bytes:
    beside = path.with_suffix(".lock")
    while True:
        try:
            os.close(os.open(beside, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            time.sleep(0.001)
            continue
        try:
            if not path.exists():
                path.write_bytes(make())
            return path.read_bytes()
        finally:
            beside.unlink()


@right("check_keep")
def with_flock(path: Path, make: Make) -> bytes:
    import fcntl

    with open(path, "ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.read()
        if not content:
            content = make()
            file.write(content)
            file.flush()
        return content
