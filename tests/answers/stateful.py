"""Answers to the exercises of the chapter stateful."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from exercises import right, wrong


def names_are_right(chat: Any) -> bool:
    users = {user.name.lower(): user for user in chat.users.values()}
    return bool(chat.by_name == users)


def rooms_are_right(chat: Any) -> bool:
    return all(
        room.name == name and room.members and list(room.clients) == list(room.members)
        for name, room in chat.rooms.items()
    )


def users_are_right(chat: Any) -> bool:
    for user in chat.users.values():
        if {
            room for room in chat.rooms if user.client in chat.rooms[room].members
        } != set(user.rooms):
            return False
    return True


def talk_is_right(chat: Any) -> bool:
    for user in chat.users.values():
        rooms = list(user.rooms.values())
        if user.room is not (rooms[-1] if rooms else None):
            return False
    return True


@wrong("check_wrong", "when a name is forgotten: expected 'a sentence', but got None")
def all_is_well(chat: Any) -> None:
    return None


@wrong("check_wrong", "wrong(chat), all being well, after")
def nothing_is_well(chat: Any) -> str:
    return "something is wrong"


@wrong("check_wrong", "when an empty room is kept")
def without_the_rooms(chat: Any) -> str | None:
    good = names_are_right(chat) and users_are_right(chat) and talk_is_right(chat)
    return None if good else "wrong"


@wrong("check_wrong", "when a user talks in the first room")
def wherever_they_talk(chat: Any) -> str | None:
    good = names_are_right(chat) and users_are_right(chat) and rooms_are_right(chat)
    return None if good else "wrong"


@wrong("check_wrong", "when a name is forgotten: expected 'a sentence', but got True")
def whether(chat: Any) -> bool | None:
    return None if names_are_right(chat) else True


@wrong("check_wrong", "exception ended it, in")
def everybody_talks(chat: Any) -> str | None:
    for user in chat.users.values():
        if user.room.name not in user.rooms:
            return "talks elsewhere"
    return None


@right("check_wrong")
def one_by_one(chat: Any) -> str | None:
    parts = names_are_right, rooms_are_right, users_are_right, talk_is_right
    bad = [part.__name__ for part in parts if not part(chat)]
    return f"not true: {bad}" if bad else None


@right("check_wrong")
def with_a_generator(chat: Any) -> str | None:
    return next(mistakes(chat), None)


def mistakes(chat: Any) -> Iterator[str]:
    for name, user in chat.by_name.items():
        if name != user.name.lower() or chat.users.get(user.client) is not user:
            yield f"{name} leads to {user.name}"
    if len(chat.by_name) != len(chat.users):
        yield "a name is missing"
    for name, room in chat.rooms.items():
        if not room.clients or room.name != name or room.clients != tuple(room.members):
            yield f"room {name}"
        for client in room.members:
            if chat.users[client].rooms.get(name) is not room:
                yield f"{client} does not know {name}"
    for user in chat.users.values():
        for name, room in user.rooms.items():
            if chat.rooms.get(name) is not room or user.client not in room.members:
                yield f"{user.name} is not in {name}"
        if user.room is not (list(user.rooms.values()) or [None])[-1]:
            yield f"{user.name} talks elsewhere"


Fails = Callable[[list[int]], bool]


@wrong("check_halves", "Was that at most 120?: expected True")
def singly(script: list[int], fails: Fails) -> list[int]:
    place = 0
    while place < len(script):
        shorter = script[:place] + script[place + 1 :]
        if fails(shorter):
            script = shorter
        else:
            place += 1
    return script


@wrong("check_halves", "of which [3] are needed: expected [3]")
def as_it_is(script: list[int], fails: Fails) -> list[int]:
    return script


@wrong("check_halves", "did it ask more than 2000 times?")
def for_ever(script: list[int], fails: Fails) -> list[int]:
    for size in count(1):
        shorter = script[size % 7 :]
        if fails(shorter):
            script = shorter
    return script


@wrong("check_halves", "of which [0, 63] are needed: expected [0, 63]")
def quarters_only(script: list[int], fails: Fails) -> list[int]:
    for parts in (2, 4):
        script = pieces_out(script, fails, max(1, len(script) // parts))
    return script if len(script) > 10 else singly(script, fails)


@wrong("check_halves", "expected [3], but got [0, 1, 2, 3]")
def to_nothing(script: list[int], fails: Fails) -> list[int]:
    while fails(script):
        last = script.pop()
    return [*script, last]


def pieces_out(script: list[int], fails: Fails, size: int) -> list[int]:
    start = 0
    while start < len(script):
        shorter = script[:start] + script[start + size :]
        if fails(shorter):
            script = shorter
        else:
            start += size
    return script


@right("check_halves")
def with_powers(script: list[int], fails: Fails) -> list[int]:
    for power in reversed(range(len(script).bit_length())):
        script = pieces_out(script, fails, 2**power)
    return script


@right("check_halves")
def by_dividing(script: list[int], fails: Fails) -> list[int]:
    """What is needed of a part, given what is needed of the others."""

    def needed(part: list[int], before: list[int], after: list[int]) -> list[int]:
        if fails(before + after):
            return []
        if len(part) == 1:
            return part
        half = len(part) // 2
        right_half = needed(part[half:], before + part[:half], after)
        return needed(part[:half], before, right_half + after) + right_half

    return needed(script, [], []) if script else []
