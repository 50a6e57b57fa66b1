"""Answers to the exercises of the chapter history."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from exercises import right, wrong


def opened(path: Path, mode: str = "ro") -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True))


Pairs = list[tuple[int, int]]


def counted(path: Path, count: int, mode: str = "ro", way: Any = None) -> Pairs:
    with opened(path, mode) as db:
        times = [time for (time,) in db.execute("SELECT timestamp FROM messages")]
    hours = Counter(int(time) // 3600 * 3600 for time in times)
    return sorted(hours.items(), key=way or (lambda pair: (-pair[1], pair[0])))[:count]


@wrong(
    "check_busiest", "a file that is not there: expected 'sqlite3.Error', but got []"
)
def nothing_of_no_file(path: Path, count: int) -> Pairs:
    return counted(path, count) if path.exists() else []


@wrong("check_busiest", "but got []")
def without_the_log(path: Path, count: int) -> Pairs:
    """It reads the file alone, where there is nothing yet."""
    return counted(path, count, "ro&immutable=1")


@wrong("check_busiest", "but got [(39600, 1), (32400, 2), (25200, 2)]")
def the_quietest_first(path: Path, count: int) -> Pairs:
    return counted(path, count, way=lambda pair: (pair[1], -pair[0]))


@wrong("check_busiest", "but got [(18000, 3), (32400, 2), (25200, 2)]")
def the_later_of_two(path: Path, count: int) -> Pairs:
    return counted(path, count, way=lambda pair: (-pair[1], -pair[0]))


@wrong("check_busiest", "but got [(5, 3), (7, 2), (9, 2)]")
def hours_by_number(path: Path, count: int) -> Pairs:
    return [(hour // 3600, n) for hour, n in counted(path, count)]


@wrong("check_busiest", "but got <generator object")
def lazily(path: Path, count: int) -> Iterator[tuple[int, int]]:
    yield from counted(path, count)


@wrong("check_busiest", "Whether they are as they were: expected True, but got False")
def cleans_up(path: Path, count: int) -> Pairs:
    """A connection that may write moves the log into the file when it is closed."""
    with opened(path, "rw") as db:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return counted(path, count)


@right("check_busiest")
def with_a_counter(path: Path, count: int) -> Pairs:
    return counted(path, count)


@right("check_busiest")
def in_sql(path: Path, count: int) -> Pairs:
    query = """WITH hours AS (SELECT timestamp - timestamp % 3600 AS hour FROM messages)
        SELECT CAST(hour AS INTEGER), count(*) AS n FROM hours
        GROUP BY 1 ORDER BY n DESC, 1 ASC LIMIT ?"""
    with opened(path) as db:
        return list(db.execute(query, (count,)))


def found(
    path: Path, room: str, text: str, most: int, fold: Any = str.casefold
) -> list[int]:
    with opened(path) as db:
        rows = db.execute("SELECT seq, content FROM messages WHERE room = ?", (room,))
        return sorted(seq for seq, content in rows if fold(text) in fold(content))[
            -most:
        ]


@wrong("check_search", "search for 'STRASSE', at most 9: expected [9], but got []")
def with_lower(path: Path, room: str, text: str, most: int) -> list[int]:
    return found(path, room, text, most, str.lower)


@wrong("check_search", "search for 'TIMES', at most 9: expected [2], but got []")
def as_it_is_typed(path: Path, room: str, text: str, most: int) -> list[int]:
    return found(path, room, text, most, str)


@wrong(
    "check_search", "search for '100%', at most 9: expected [1, 8], but got [1, 2, 8]"
)
def into_the_query(path: Path, room: str, text: str, most: int) -> list[int]:
    with opened(path) as db:
        where = f"room = '{room}' AND content LIKE '%{text}%'"
        query = f"SELECT seq FROM messages WHERE {where} ORDER BY seq DESC LIMIT {most}"
        return [seq for (seq,) in db.execute(query)][::-1]


@wrong("check_search", "search for '100', at most 2: expected [2, 8], but got [1, 2]")
def the_first_ones(path: Path, room: str, text: str, most: int) -> list[int]:
    return found(path, room, text, 99)[:most]


@wrong("check_search", "at most 9: expected [1, 2, 8], but got [8, 2, 1]")
def the_newest_first(path: Path, room: str, text: str, most: int) -> list[int]:
    return found(path, room, text, most)[::-1]


@wrong("check_search", "at most 9: expected [1, 2, 8], but got [1, 1, 2, 8]")
def in_all_rooms(path: Path, room: str, text: str, most: int) -> list[int]:
    with opened(path) as db:
        rooms = [name for (name,) in db.execute("SELECT DISTINCT room FROM messages")]
    return sorted(seq for name in rooms for seq in found(path, name, text, most))


@right("check_search")
def in_python(path: Path, room: str, text: str, most: int) -> list[int]:
    return found(path, room, text, most)


@right("check_search")
def from_the_end(path: Path, room: str, text: str, most: int) -> list[int]:
    numbers: list[int] = []
    query = "SELECT seq, content FROM messages WHERE room = ? ORDER BY seq DESC"
    with opened(path) as db:
        for seq, content in db.execute(query, (room,)):
            if content.casefold().find(text.casefold()) >= 0 and len(numbers) < most:
                numbers.insert(0, seq)
    return numbers
