"""Answers to the exercises of the chapter acceptor."""

from collections import deque
from collections.abc import Callable
from typing import Any

from exercises import right, wrong

Clock = Callable[[], float]


@wrong("check_pace", "accepted after 0.5 s: expected 2, but got 3")
class OneAfterTheOther:
    """Half a second between two of them, once two have come."""

    def __init__(self, most: int, clock: Clock) -> None:
        self.most, self.clock = most, clock
        self.taken: list[Any] = []
        self.last = -1000.0

    def has_room(self) -> bool:
        free = self.clock() - self.last >= 1 / self.most
        return len(self.taken) < self.most or free

    def accepted(self, sock: object, address: object) -> None:
        self.taken.append(sock)
        self.last = self.clock()


@wrong("check_pace", "accepted after 0.5 s: expected 2, but got")
class Always(OneAfterTheOther):
    def has_room(self) -> bool:
        return self.clock() != 100 or len(self.taken) < 2


@wrong("check_pace", "is there room for another?: expected False, but got True")
class EachSecondAnew(OneAfterTheOther):
    """Counted from the first one that was accepted in a stretch of a second."""

    start, count = -1000.0, 0

    def has_room(self) -> bool:
        if self.clock() - self.start >= 1:
            self.start, self.count = self.clock(), 0
        return self.count < self.most

    def accepted(self, sock: object, address: object) -> None:
        self.has_room()
        super().accepted(sock, address)
        self.count += 1


@wrong("check_pace", "exception ended it")
class WithoutAList(OneAfterTheOther):
    def __init__(self, most: int, clock: Clock) -> None:
        self.times: deque[float] = deque(maxlen=most)
        self.most, self.clock = most, clock

    def has_room(self) -> bool:
        full = len(self.times) == self.most
        return not full or self.clock() - self.times[0] >= 1

    def accepted(self, sock: object, address: object) -> None:
        self.times.append(self.clock())


@right("check_pace")
class ADeque(WithoutAList):
    def __init__(self, most: int, clock: Clock) -> None:
        super().__init__(most, clock)
        self.taken = []

    def accepted(self, sock: object, address: object) -> None:
        super().accepted(sock, address)
        self.taken.append(sock)


@right("check_pace")
class Pairs:
    def __init__(self, most: int, clock: Clock) -> None:
        self.most, self.clock = most, clock
        self.pairs: list[tuple[float, Any]] = []

    @property
    def taken(self) -> list[Any]:
        return [sock for _, sock in self.pairs]

    def has_room(self) -> bool:
        now = self.clock()
        return sum(now - when < 1 for when, _ in self.pairs) < self.most

    def accepted(self, sock: object, address: object) -> None:
        self.pairs.append((self.clock(), sock))


Table = dict[Any, dict[str, Any]]
Events = list[str] | None


@wrong("check_way", "from up to cellar: expected ['down', 'fall']")
def the_deepest(
    table: Table, start: Any, goal: Any, seen: tuple[Any, ...] = ()
) -> Events:
    """A way, and not the shortest."""
    if start == goal:
        return []
    for event, after in table[start].items():
        if after not in seen:
            rest = the_deepest(table, after, goal, (*seen, start))
            if rest is not None:
                return [event, *rest]
    return None


@wrong("check_way", "from up to up: expected [], but got None")
def at_least_one(table: Table, start: Any, goal: Any) -> Events:
    ways: dict[Any, list[str]] = {}
    todo: deque[tuple[Any, list[str]]] = deque([(start, [])])
    while todo:
        state, way = todo.popleft()
        for event, after in table[state].items():
            if after == goal:
                return [*way, event]
            if after not in ways:
                ways[after] = [*way, event]
                todo.append((after, [*way, event]))
    return None


@wrong(
    "check_way", "from up to low: expected ['down', 'down'], but got ['half', 'low']"
)
def the_states(table: Table, start: Any, goal: Any) -> Events:
    if start == goal:
        return []
    todo: deque[list[Any]] = deque([[start]])
    seen = {start}
    while todo:
        way = todo.popleft()
        for after in table[way[-1]].values():
            if after == goal:
                return [*way[1:], after]
            if after not in seen:
                seen.add(after)
                todo.append([*way, after])
    return None


@wrong("check_way", "exception ended it, in")
def no_way_is_an_error(table: Table, start: Any, goal: Any) -> Events:
    found = by_depth(table, start, goal)
    if found is None:
        raise ValueError(f"no way from {start} to {goal}")
    return found


@right("check_way")
def by_depth(table: Table, start: Any, goal: Any) -> Events:
    """All ways of no step, then all of one, and so on."""
    ways: list[tuple[Any, list[str]]] = [(start, [])]
    for _ in range(len(table) + 1):
        for state, way in ways:
            if state == goal:
                return way
        ways = [(a, [*w, e]) for s, w in ways for e, a in table[s].items()]
    return None


@right("check_way")
def from_the_goal(table: Table, start: Any, goal: Any) -> Events:
    far = {goal: 0}
    for _ in table:
        for state, events in table.items():
            steps = [far[after] + 1 for after in events.values() if after in far]
            if steps:
                far[state] = min(far.get(state, 99), *steps)
    if start not in far:
        return None
    way: list[str] = []
    while start != goal:
        event = min(table[start], key=lambda e: far.get(table[start][e], 99))
        way.append(event)
        start = table[start][event]
    return way
