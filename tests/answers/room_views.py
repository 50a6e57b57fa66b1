"""Answers to the exercises of the chapter room_views."""

from itertools import groupby
from typing import Any

from exercises import right, wrong

Events = list[Any]
Names = list[str]


def is_gap(event: Any) -> bool:
    """The notebook has a class of its own."""
    return type(event).__name__ == "HistoryGap"


def sentence(gap: Any) -> str:
    if gap.count is None:
        return f"{gap.room} has started anew"
    one = gap.count == 1
    return f"{gap.count} message{'' if one else 's'} of {gap.room} {'is' if one else 'are'} missing"


def pairwise(events: Events, **different: Any) -> Events:
    """As a right one, where a wrong one has not changed it."""
    done: Events = []
    for event in events:
        last = done[-1] if done else None
        if (
            is_gap(event)
            and is_gap(last)
            and (different.get("any_room") or event.room == last.room)
        ):
            counts = [last.count, event.count]
            known = [count for count in counts if count is not None]
            none = not known if different.get("none_is_nothing") else None in counts
            done[-1] = type(event)(event.room, None if none else sum(known))
        else:
            done.append(event)
    return done


class _Two(type):
    """So that a class can be taken apart into its two functions."""

    def __iter__(cls) -> Any:
        return iter((cls.words, cls.joined))  # type: ignore[attr-defined]


@wrong("check_gaps", "but got '1 messages of lobby are missing'")
class AlwaysSeveral(metaclass=_Two):
    words = staticmethod(lambda gap: f"{gap.count} messages of {gap.room} are missing")
    joined = staticmethod(pairwise)


@wrong("check_gaps", "expected 'lobby has started anew', but got 'None messages")
class NoneIsANumber(metaclass=_Two):
    words = staticmethod(
        lambda gap: (
            sentence(gap) if gap.count else f"None messages of {gap.room} are missing"
        )
    )
    joined = staticmethod(pairwise)


@wrong("check_gaps", "HistoryGap(room='attic', count=2)]): expected")
class OverRooms(metaclass=_Two):
    words = staticmethod(sentence)
    joined = staticmethod(lambda events: pairwise(events, any_room=True))


@wrong("check_gaps", "expected [HistoryGap(room='lobby', count=None)], but got")
class UnknownIsNothing(metaclass=_Two):
    words = staticmethod(sentence)
    joined = staticmethod(lambda events: pairwise(events, none_is_nothing=True))


def in_place(events: Events) -> Events:
    events[:] = pairwise(events)
    return events


@wrong("check_gaps", "The list that was given, afterwards")
class ChangesWhatItGot(metaclass=_Two):
    words = staticmethod(sentence)
    joined = staticmethod(in_place)


@right("check_gaps")
class OneAfterTheOther(metaclass=_Two):
    words = staticmethod(sentence)
    joined = staticmethod(pairwise)


def by_groups(events: Events) -> Events:
    def kind(pair: tuple[int, Any]) -> Any:
        number, event = pair
        return event.room if is_gap(event) else number

    done: Events = []
    for room, group in groupby(enumerate(events), key=kind):
        found = [event for _, event in group]
        if isinstance(room, str):
            counts = [gap.count for gap in found]
            found = [type(found[0])(room, None if None in counts else sum(counts))]
        done += found
    return done


def by_cases(gap: Any) -> str:
    match gap.count:
        case None:
            return gap.room + " has started anew"
        case 1:
            return "1 message of " + gap.room + " is missing"
        case count:
            return f"{count} messages of {gap.room} are missing"


@right("check_gaps")
class InGroups(metaclass=_Two):
    words = staticmethod(by_cases)
    joined = staticmethod(by_groups)


@wrong(
    "check_changes",
    "changes(['Ann', 'bob'], ['ann', 'Eve']): expected (['Eve'], ['bob'])",
)
def with_their_capitals(before: Names, after: Names) -> tuple[Names, Names]:
    return [n for n in after if n not in before], [n for n in before if n not in after]


@wrong("check_changes", "expected ([], ['dan', 'bob']), but got ([], ['bob', 'dan'])")
def sorted_by_name(before: Names, after: Names) -> tuple[Names, Names]:
    came, gone = with_sets(before, after)
    return sorted(came), sorted(gone)


@wrong("check_changes", "expected (['Eve'], ['bob']), but got (['eve'], ['bob'])")
def in_small_letters(before: Names, after: Names) -> tuple[Names, Names]:
    return with_their_capitals([n.lower() for n in before], [n.lower() for n in after])


@wrong("check_changes", "expected (['cleo'], []), but got ([], ['cleo'])")
def the_other_way_round(before: Names, after: Names) -> tuple[Names, Names]:
    came, gone = with_sets(before, after)
    return gone, came


@wrong("check_changes", "expected ([], []), but got None")
def nothing(before: Names, after: Names) -> None:
    with_sets(before, after)


@right("check_changes")
def with_sets(before: Names, after: Names) -> tuple[Names, Names]:
    were, are = ({name.lower() for name in names} for names in (before, after))
    return (
        [name for name in after if name.lower() in are - were],
        [name for name in before if name.lower() in were - are],
    )


@right("check_changes")
def with_dictionaries(before: Names, after: Names) -> list[Names]:
    gone = {name.casefold(): name for name in before}
    came = []
    for name in after:
        if gone.pop(name.casefold(), None) is None:
            came.append(name)
    return [came, list(gone.values())]
