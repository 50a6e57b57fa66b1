"""Answers to the exercises of the chapter presence."""

from collections import Counter
from collections.abc import Iterable

from exercises import right, wrong

Event = tuple[str, str]


@wrong("check_net", "expected [], but got [('left', 'cy')]")
def only_the_last(events: list[Event]) -> list[Event]:
    last: dict[str, Event] = {}
    for what, name in events:
        last.pop(name, None)
        last[name] = what, name
    return list(last.values())


@wrong("check_net", "net([('left', 'cy'), ('came', 'cy')])")
def only_came_and_left(events: list[Event]) -> list[Event]:
    kept: list[Event] = []
    for what, name in events:
        if what == "left" and ("came", name) in kept:
            kept.remove(("came", name))
        else:
            kept.append((what, name))
    return kept


@wrong("check_net", "expected [('left', 'ann')]")
def only_neighbours(events: list[Event]) -> list[Event]:
    kept: list[Event] = []
    for what, name in events:
        if kept and kept[-1][1] == name:
            kept.pop()
        else:
            kept.append((what, name))
    return kept


@wrong("check_net", "expected [('left', 'ann'), ('came', 'cy')]")
def the_first_of_each(events: list[Event]) -> list[Event]:
    odd = {name for name, n in Counter(name for _, name in events).items() if n % 2}
    first = {name: (what, name) for what, name in reversed(events) if name in odd}
    return [each for each in dict.fromkeys(events) if each in first.values()]


@wrong("check_net", "Not yet.")
def sorted_(events: list[Event]) -> list[Event]:
    return sorted(by_counting(events), key=lambda event: event[1], reverse=True)


@right("check_net")
def by_counting(events: list[Event]) -> Iterable[Event]:
    count = Counter(name for _, name in events)
    last = {name: index for index, (_, name) in enumerate(events)}
    for index, (what, name) in enumerate(events):
        if count[name] % 2 and last[name] == index:
            yield what, name


@right("check_net")
def by_removing(events: list[Event]) -> list[Event]:
    kept: list[Event] = []
    for event in events:
        before = [each for each in kept if each[1] == event[1]]
        if before:
            kept.remove(before[0])
        else:
            kept.append(event)
    return kept


@wrong("check_told_at", "[0, 100, 200, 300], 250, 100)")
def a_moment_each(times: list[int], moment: int, most: int) -> list[int]:
    return [time + moment for time in times]


@wrong("check_told_at", "[7]")
def on_a_clock(times: list[int], moment: int, most: int) -> list[int]:
    return [(time // moment + 1) * moment for time in times]


@wrong("check_told_at", ", 2)")
def without_most(times: list[int], moment: int, most: int) -> list[int]:
    return in_groups(times, moment, len(times) + 1)


@wrong("check_told_at", ", 2)")
def a_new_moment_after_most(times: list[int], moment: int, most: int) -> list[int]:
    told, waiting = list[int](), list[int]()
    for time in times:
        if waiting and time > waiting[0] + moment:
            told += [waiting[0] + moment] * len(waiting)
            waiting = []
        waiting.append(time)
        if len(waiting) == most:
            told += [time] * most
            waiting = []
    return told + [waiting[0] + moment] * len(waiting) if waiting else told


@wrong("check_told_at", "[0, 100, 200, 300], 250, 100)")
def the_moment_is_prolonged(times: list[int], moment: int, most: int) -> list[int]:
    told, waiting = list[int](), list[int]()
    for time in times:
        if waiting and time > waiting[-1] + moment:
            told += [waiting[-1] + moment] * len(waiting)
            waiting = []
        waiting.append(time)
    return told + [waiting[-1] + moment] * len(waiting) if waiting else told


@right("check_told_at")
def in_groups(times: list[int], moment: int, most: int) -> list[int]:
    told, index = [0] * len(times), 0
    while index < len(times):
        end = times[index] + moment
        inside = [i for i in range(index, len(times)) if times[i] <= end]
        for start in range(0, len(inside), most):
            part = inside[start : start + most]
            at = times[part[-1]] if len(part) == most else end
            for i in part:
                told[i] = at
        index = inside[-1] + 1
    return told


@right("check_told_at")
def as_events(times: list[int], moment: int, most: int) -> Iterable[int]:
    end, waiting = -1, 0
    for time in [*times, None]:
        if time is None or time > end:
            yield from [end] * waiting
            waiting = 0
            if time is None:
                return
            end = time + moment
        waiting += 1
        if waiting >= most:
            yield from [time] * waiting
            waiting = 0
