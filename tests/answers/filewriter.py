"""Answers to the exercises of the chapter filewriter."""

import os
from collections.abc import Iterator
from pathlib import Path

from exercises import right, wrong


@wrong("check_recover", "expected ['one', 'two'], but got ['one', 'two', 'thr']")
def with_the_half_line(path: Path) -> list[str]:
    return path.read_bytes().decode(errors="replace").splitlines()


@wrong("check_recover", "What is in the file then: expected b'one\\ntwo\\n', but got")
def only_reads(path: Path) -> list[str]:
    return path.read_bytes().rpartition(b"\n")[0].decode().split("\n")


@wrong("check_recover", "exception ended it, in")
def as_text(path: Path) -> list[str]:
    """The last character may be half a one."""
    with path.open("r+", encoding="utf-8", newline="") as file:
        text = file.read()
        whole = text[: text.rfind("\n") + 1]
        file.truncate(len(whole.encode()))
    return whole.split("\n")[:-1]


@wrong("check_recover", "expected ['a\\r', '\\x0cb', '']")
def by_splitlines(path: Path) -> list[str]:
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    path.write_bytes(whole)
    return whole.decode().splitlines()


@wrong("check_recover", "The lines of a file with b'half': expected []")
def an_empty_one_too_many(path: Path) -> list[str]:
    data = path.read_bytes()
    whole, _, _ = data.rpartition(b"\n")
    path.write_bytes(whole + b"\n" * (b"\n" in data))
    return whole.decode().split("\n")


@right("check_recover")
def with_truncate(path: Path) -> list[str]:
    with path.open("r+b") as file:
        *lines, left = file.read().split(b"\n")
        file.seek(-len(left), os.SEEK_END)
        file.truncate()
    return [line.decode() for line in lines]


@right("check_recover")
def line_by_line(path: Path) -> Iterator[str]:
    end = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                end += len(line)
                yield line[:-1].decode("utf-8")
    os.truncate(path, end)


Commits = list[tuple[int, int]]


@wrong("check_commits", "expected [(0, 1), (20, 1), (40, 1)], but got [(0, 3)]")
def all_with_the_first(times: list[int], duration: int) -> Commits:
    return [(times[0], len(times))] if times else []


@wrong(
    "check_commits",
    "commits([0, 0, 0], 10): expected [(0, 3)], but got [(0, 1), (10, 2)]",
)
def the_first_one_alone(times: list[int], duration: int) -> Commits:
    done: Commits = []
    free = -1
    while times:
        start = max(free, times[0])
        count = (
            1 if start == times[0] and start != free else sum(t <= start for t in times)
        )
        done.append((start, count))
        times, free = times[count:], start + duration
    return done


@wrong("check_commits", "(20, 2), (30, 1), (60, 1)], but got")
def at_the_moment_too_late(times: list[int], duration: int) -> Commits:
    """What comes when a commit begins waits for the next one."""
    done: Commits = []
    free = 0
    while times:
        start = max(free, times[0])
        count = sum(t < start for t in times) or sum(t == start for t in times)
        done.append((start, count))
        times, free = times[count:], start + duration
    return done


@wrong("check_commits", "exception ended it, in")
def never_empty(times: list[int], duration: int) -> Commits:
    done = [(times[0], times.count(times[0]))]
    for time in times[done[0][1] :]:
        if time > done[-1][0]:
            done.append((max(time, done[-1][0] + duration), 1))
    return done


@wrong("check_commits", "commits([5], 10): expected [(5, 1)], but got [(10, 1)]")
def in_a_fixed_beat(times: list[int], duration: int) -> Commits:
    beats = [-(-time // duration) * duration for time in times]
    return [(beat, beats.count(beat)) for beat in dict.fromkeys(beats)]


@right("check_commits")
def one_after_the_other(times: list[int], duration: int) -> Commits:
    done: list[list[int]] = []
    for time in times:
        if done and time <= done[-1][0]:
            done[-1][1] += 1
        else:
            free = done[-1][0] + duration if done else time
            done.append([max(time, free), 1])
    return [(start, count) for start, count in done]


@right("check_commits")
def recursively(times: list[int], duration: int, free: int = 0) -> Commits:
    if not times:
        return []
    start = max(free, times[0])
    later = [time for time in times if time > start]
    first = (start, len(times) - len(later))
    return [first, *recursively(later, duration, start + duration)]
