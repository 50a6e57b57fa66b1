"""Answers to the exercises of the chapter room_views."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from exercises import right, wrong

Events = list[Any]


class Pair(tuple[Callable[[Any], str], Callable[[Events], Events]]):
    """The two functions of an answer, with a name for the test."""

    def __new__(cls, name: str, line: Any, join: Any) -> "Pair":
        pair = super().__new__(cls, (line, join))
        pair.__name__ = name  # type: ignore[attr-defined]
        return pair


def _line(gap: Any) -> str:
    match gap.count:
        case None:
            return f"{gap.room} has started anew"
        case 1:
            return f"1 message of {gap.room} is missing"
    return f"{gap.count} messages of {gap.room} are missing"


def _line_by_parts(gap: Any) -> str:
    if not gap.count:
        return gap.room + " has started anew"
    plural, verb = ("s", "are") if gap.count > 1 else ("", "is")
    return f"{gap.count} message{plural} of {gap.room} {verb} missing"


def _is_gap(event: Any) -> bool:
    return type(event).__name__ == "HistoryGap"


def _sum(gaps: list[Any]) -> Any:
    counts = [gap.count for gap in gaps]
    return type(gaps[0])(gaps[0].room, None if None in counts else sum(counts))


def _by_groups(events: Events) -> Events:
    result: Events = []
    for gap, group in groupby(events, lambda e: _is_gap(e) and e.room):
        result += [_sum(list(group))] if gap else list(group)
    return result


def _step_by_step(events: Events) -> Events:
    if len(events) < 2:
        return events[:]
    first, second, *rest = events
    if _is_gap(first) and _is_gap(second) and first.room == second.room:
        return _step_by_step([_sum([first, second]), *rest])
    return [first, *_step_by_step([second, *rest])]


def _all_in_one(events: Events) -> Events:
    gaps = [event for event in events if _is_gap(event)]
    return ([_sum(gaps)] if gaps else []) + [e for e in events if not _is_gap(e)]


def _whatever_the_room(events: Events) -> Events:
    result: Events = []
    for gap, group in groupby(events, _is_gap):
        result += [_sum(list(group))] if gap else list(group)
    return result


def _unknown_is_nothing(events: Events) -> Events:
    result: Events = []
    for gap, group in groupby(events, lambda e: _is_gap(e) and e.room):
        members = list(group)
        if gap:
            total = sum(each.count or 0 for each in members)
            members = [type(members[0])(gap, total)]
        result += members
    return result


def _in_place(events: Events) -> Events:
    events[:] = _by_groups(events)
    return events


def _always_plural(gap: Any) -> str:
    return (
        _line(gap)
        .replace("1 message ", "1 messages ")
        .replace("is missing", "are missing")
    )


def _only_pairs(events: Events) -> Events:
    result: Events = []
    index = 0
    while index < len(events):
        pair = events[index : index + 2]
        if len(pair) == 2 and all(map(_is_gap, pair)) and pair[0].room == pair[1].room:
            result.append(_sum(pair))
            index += 2
        else:
            result.append(events[index])
            index += 1
    return result


ANSWERS: list[Any] = [
    wrong("check_gaps", "in_words(HistoryGap(room='lobby', count=1))")(
        Pair("always_plural", _always_plural, _by_groups)  # type: ignore[arg-type]
    ),
    wrong("check_gaps", "HistoryGap(room='lobby', count=1), Message")(
        Pair("all_in_one", _line, _all_in_one)  # type: ignore[arg-type]
    ),
    wrong("check_gaps", "room='attic'")(
        Pair("whatever_the_room", _line, _whatever_the_room)  # type: ignore[arg-type]
    ),
    wrong("check_gaps", "count=None)], but got")(
        Pair("unknown_is_nothing", _line, _unknown_is_nothing)  # type: ignore[arg-type]
    ),
    wrong("check_gaps", "The list that was given, afterwards")(
        Pair("in_place", _line, _in_place)  # type: ignore[arg-type]
    ),
    wrong("check_gaps", "count=3)], but got")(
        Pair("only_pairs", _line, _only_pairs)  # type: ignore[arg-type]
    ),
    right("check_gaps")(Pair("by_groups", _line, _by_groups)),  # type: ignore[arg-type]
    right("check_gaps")(Pair("step_by_step", _line_by_parts, _step_by_step)),  # type: ignore[arg-type]
]
for each in ANSWERS:
    globals()[each.__name__] = each


Names = list[str]


@wrong("check_changes", "changes(['dan', 'bob', 'ann'], ['ann'])")
def of_sets(before: Names, after: Names) -> tuple[Names, Names]:
    return sorted({*after} - {*before}), sorted({*before} - {*after})


@wrong("check_changes", "changes(['Ann', 'bob'], ['ann', 'Eve'])")
def with_capitals(before: Names, after: Names) -> tuple[Names, Names]:
    came = [name for name in after if name not in before]
    return came, [name for name in before if name not in after]


@wrong("check_changes", "'Eve'")
def in_small_letters(before: Names, after: Names) -> tuple[Names, Names]:
    were, are = ([name.lower() for name in names] for names in (before, after))
    return [n for n in are if n not in were], [n for n in were if n not in are]


@wrong("check_changes", "changes(['ann', 'bob'], ['bob', 'cleo', 'ann'])")
def the_wrong_way_round(before: Names, after: Names) -> tuple[Names, Names]:
    return by_loops(after, before)


@wrong("check_changes", "expected ([], []), but got None")
def nothing(before: Names, after: Names) -> None:
    by_loops(before, after)


@right("check_changes")
def by_loops(before: Names, after: Names) -> tuple[Names, Names]:
    came, gone = [], list(before)
    for name in after:
        same = [other for other in gone if other.lower() == name.lower()]
        if same:
            gone.remove(same[0])
        else:
            came.append(name)
    return came, gone


@right("check_changes")
def by_dictionaries(before: Names, after: Names) -> list[Names]:
    were, are = ({n.casefold(): n for n in names} for names in (before, after))
    came = [are[key] for key in are if key not in were]
    return [came, [were[key] for key in were if key not in are]]
