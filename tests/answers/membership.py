"""Answers to the exercise of the chapter membership."""

from collections.abc import Callable, Collection
from typing import Any

from exercises import right, wrong

from python_tcp.members import CommandError

Check = Callable[[Any, float], None]
LOCKED = CommandError("locked", "this is a closed party")


@wrong("check_only_for", "BOB comes to the ATTIC: expected 'UserJoined'")
def with_its_case(room: str, names: Collection[str]) -> Check:
    def may_enter(entering: Any, now: float) -> None:
        if entering.room == room.lower() and entering.name not in names:
            raise LOCKED

    return may_enter


@wrong("check_only_for", "cy comes: expected 'locked'")
def room_as_it_was_written(room: str, names: Collection[str]) -> Check:
    low = {name.lower() for name in names}

    def may_enter(entering: Any, now: float) -> None:
        if entering.room == room and entering.name.lower() not in low:
            raise LOCKED

    return may_enter


@wrong("check_only_for", "cy goes to the lobby: expected 'UserJoined'")
def for_all_rooms(room: str, names: Collection[str]) -> Check:
    low = {name.lower() for name in names}

    def may_enter(entering: Any, now: float) -> None:
        if not entering.has_place and entering.name.lower() not in low:
            raise LOCKED

    return may_enter


@wrong("check_only_for", "eve, who was in the attic before, comes back")
def whoever_was_there(room: str, names: Collection[str]) -> Check:
    low = {name.lower() for name in names}

    def may_enter(entering: Any, now: float) -> None:
        if entering.room == room.lower() and entering.name.lower() not in low:
            raise LOCKED

    return may_enter


@wrong("check_only_for", "cy comes: expected 'locked'")
def returns_whether(room: str, names: Collection[str]) -> Callable[[Any, float], bool]:
    return lambda entering, now: entering.name in names


@right("check_only_for")
def with_a_lambda_inside(room: str, names: Collection[str]) -> Check:
    same = lambda one, other: one.casefold() == other.casefold()

    def may_enter(entering: Any, now: float) -> None:
        if entering.has_place or not same(entering.room, room):
            return
        if not any(same(entering.name, name) for name in names):
            raise CommandError("locked", f"{room} is closed")

    return may_enter


class Party:
    def __init__(self, room: str, names: Collection[str]) -> None:
        self.room, self.names = room.upper(), [name.upper() for name in names]

    def __call__(self, entering: Any, now: float) -> None:
        is_here = entering.room.upper() == self.room
        if is_here and not entering.has_place:
            if entering.name.upper() not in self.names:
                raise CommandError("locked", "no")


@right("check_only_for")
def as_an_object(room: str, names: Collection[str]) -> Check:
    return Party(room, names)
