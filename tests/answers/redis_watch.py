"""Answers to the exercises of the chapter redis_watch."""

import statistics

from exercises import right, wrong

Sample = tuple[float, float, float]


@wrong("check_ahead", "a slow one after a quick one")
def by_the_mean(samples: list[Sample]) -> float | None:
    found = [told - (asked + answered) / 2 for asked, told, answered in samples]
    return statistics.mean(found) if found else None


@wrong("check_ahead", "one sample")
def as_if_the_way_took_no_time(samples: list[Sample]) -> float | None:
    if not samples:
        return None
    _, told, answered = min(samples, key=lambda each: each[2] - each[0])
    return told - answered


@wrong("check_ahead", "a slow one after a quick one")
def the_last_one(samples: list[Sample]) -> float | None:
    found = [told - (asked + answered) / 2 for asked, told, answered in samples]
    return found[-1] if found else None


@wrong("check_ahead", "two that are equally quick")
def the_first_of_the_quickest(samples: list[Sample]) -> float | None:
    if not samples:
        return None
    asked, told, answered = min(samples, key=lambda each: each[2] - each[0])
    return told - (asked + answered) / 2


@wrong("check_ahead", "An exception ended it, in line")
def never_empty(samples: list[Sample]) -> float | None:
    asked, told, answered = min(reversed(samples), key=lambda each: each[2] - each[0])
    return told - (asked + answered) / 2


@right("check_ahead")
def the_last_of_the_quickest(samples: list[Sample]) -> float | None:
    if not samples:
        return None
    asked, told, answered = min(reversed(samples), key=lambda each: each[2] - each[0])
    return told - (asked + answered) / 2


@right("check_ahead")
def with_a_loop(samples: list[Sample]) -> float | None:
    shortest, found = float("inf"), None
    for asked, told, answered in samples:
        if answered - asked <= shortest:
            shortest, found = answered - asked, told - (asked + answered) / 2
    return found
