"""Answers to the exercise of the chapter sessions."""

from itertools import count
from typing import Any

from exercises import right, wrong


def name_of(wanted: str, number: int) -> str:
    end = f"-{number}" if number > 1 else ""
    return wanted[: 32 - len(end)] + end


@wrong("check_free_name", "ann, when Ann, ANN-2 and ann-4 are here: expected 'ann-3'")
def with_its_case(table: Any, wanted: str) -> str:
    names = {user.name for user in table.users.values()}
    return next(n for n in (name_of(wanted, i) for i in count(1)) if n not in names)


@wrong("check_free_name", "32 times x, when that is here: expected")
def too_long(table: Any, wanted: str) -> str:
    name, number = wanted, 1
    while name.lower() in table.by_name:
        number += 1
        name = f"{wanted}-{number}"
    return name


@wrong("check_free_name", "expected 'bob-12', but got 'bob-1'")
def one_digit(table: Any, wanted: str) -> str:
    """It cuts a longer number, and gives up when it goes round in a circle."""
    name, number = wanted, 1
    while name.lower() in table.by_name:
        number += 1
        name = f"{wanted[:30]}-{number}"[: min(32, len(wanted) + 2)]
        if number > 11:
            return name
    return name


@wrong(
    "check_free_name",
    "ann, when Ann, ANN-2 and ann-4 are here: expected 'ann-3', but got",
)
def the_number_after_the_highest(table: Any, wanted: str) -> str:
    low = wanted.lower()
    taken = [name for name in table.by_name if name.startswith(low)]
    return name_of(
        wanted, max([int(n.rpartition("-")[2]) for n in taken if "-" in n] + [0]) + 1
    )


@wrong("check_free_name", "BOB, when bob is here: expected 'BOB-2', but got 'bob-2'")
def in_lower_case(table: Any, wanted: str) -> str:
    return as_a_generator(table, wanted.lower())


@wrong("check_free_name", "ann, when nobody is here: expected 'ann', but got None")
def none_if_it_is_free(table: Any, wanted: str) -> str | None:
    name = as_a_generator(table, wanted)
    return None if name == wanted else name


@right("check_free_name")
def as_a_generator(table: Any, wanted: str) -> str:
    names = (name_of(wanted, number) for number in count(1))
    return next(name for name in names if name.lower() not in table.by_name)


@right("check_free_name")
def by_what_is_here(table: Any, wanted: str, number: int = 1) -> str:
    taken = [user.name.casefold() for user in table.users.values()]
    name = name_of(wanted, number)
    if name.casefold() not in taken:
        return name
    return by_what_is_here(table, wanted, number + 1)
