"""Answers to the exercises of the chapter places."""

from typing import Any

from exercises import right, wrong


@wrong(
    "check_out_of_hearing",
    "Everybody is here: expected [], but got ['ann', 'bob', 'cy']",
)
def everybody(room: Any) -> list[str]:
    return sorted(user.name for user in room.everybody)


@wrong("check_out_of_hearing", "expected ['ann', 'cy'], but got ['bob']")
def those_who_hear(room: Any) -> list[str]:
    return sorted(u.name for u in room.everybody if u.present) if room.away else []


@wrong("check_out_of_hearing", "expected ['ann', 'cy'], but got ['cy', 'ann']")
def as_they_went(room: Any) -> list[str]:
    return [user.name for user in room.away]


@wrong("check_out_of_hearing", "expected ['ann', 'cy'], but got [0, 2]")
def numbers(room: Any) -> list[int]:
    return sorted(user.client for user in room.away)


@wrong("check_out_of_hearing", "exception ended it, in")
def users(room: Any) -> list[Any]:
    return sorted(room.away)


@right("check_out_of_hearing")
def from_the_room(room: Any) -> list[str]:
    return sorted(user.name for user in room.away)


@right("check_out_of_hearing")
def by_difference(room: Any) -> list[str]:
    here = {user.name for user in room.members.values()}
    names = [user.name for user in room.everybody if user.name not in here]
    names.sort()
    return names


Events = list[tuple[str, str, float]]
Left = list[tuple[str, float]]


def breaks(events: Events) -> list[tuple[str, float, float]]:
    """Who was away, from when, and until when."""
    found, since = [], dict[str, float]()
    for what, name, time in events:
        if what == "lost":
            since[name] = time
        else:
            found.append((name, since.pop(name), time))
    return found + [(name, time, float("inf")) for name, time in since.items()]


@wrong(
    "check_leaves",
    "at 100 s: expected [('bob', 15), ('ann', 18)], but got [('ann', 18), ('bob', 15)]",
)
def by_name(events: Events, window: float, until: float) -> Left:
    return sorted(by_breaks(events, window, until))


@wrong("check_leaves", "with a window of 4 s: expected [], but got [('ann', 9)]")
def too_late_at_the_end(events: Events, window: float, until: float) -> Left:
    gone = [
        (n, since + window)
        for n, since, back in breaks(events)
        if back - since >= window
    ]
    return sorted([pair for pair in gone if pair[1] <= until], key=lambda pair: pair[1])


@wrong(
    "check_leaves",
    "at 16 s: expected [('bob', 15)], but got [('bob', 15), ('ann', 18)]",
)
def for_all_time(events: Events, window: float, until: float) -> Left:
    return by_breaks(events, window, float("inf"))


@wrong("check_leaves", "at 15 s: expected [('bob', 15)], but got []")
def before_the_end(events: Events, window: float, until: float) -> Left:
    return [pair for pair in by_breaks(events, window, until) if pair[1] < until]


@wrong(
    "check_leaves", "with a window of 3 s: expected [('ann', 8)], but got [('ann', 5)]"
)
def when_they_were_lost(events: Events, window: float, until: float) -> Left:
    return [(name, time - window) for name, time in by_breaks(events, window, until)]


@wrong("check_leaves", "with a window of 3 s: expected [('ann', 8)], but got []")
def who_is_still_away(events: Events, window: float, until: float) -> Left:
    since: dict[str, float] = {}
    for what, name, time in events:
        since.pop(name, None)
        if what == "lost":
            since[name] = time
    return [
        (name, time + window) for name, time in since.items() if time + window <= until
    ]


@right("check_leaves")
def by_breaks(events: Events, window: float, until: float) -> Left:
    gone = []
    for name, since, back in breaks(events):
        end = since + window
        if end < back and end <= until:
            gone.append((end, name))
    return [(name, end) for end, name in sorted(gone)]


@right("check_leaves")
def by_looking_ahead(events: Events, window: float, until: float) -> Left:
    left = []
    for number, (what, name, time) in enumerate(events):
        later = [t for w, n, t in events[number:] if (w, n) == ("back", name)]
        late = not later or later[0] > time + window
        if what == "lost" and late and time + window <= until:
            left.append((name, time + window))
    left.sort(key=lambda pair: pair[1])
    return left
