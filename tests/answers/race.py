"""Answers to the exercises of the chapter about a race between addresses."""

import heapq
from collections import Counter
from collections.abc import Sequence
from itertools import chain, zip_longest

from exercises import right, wrong

Pair = tuple[str, str]
Attempt = tuple[float | None, bool]
Won = tuple[int, float] | None


@wrong("check_take_turns", "take_turns([('6', '6-0'), ('4', '4-1')]): expected")
def by_name(addresses: list[Pair]) -> list[Pair]:
    return sorted(addresses)


@wrong("check_take_turns", "afterwards: expected [('6', '6-0')], but got []")
def takes_them_away(addresses: list[Pair]) -> list[Pair]:
    found: list[Pair] = []
    while addresses:
        last = found[-1][0] if found else ""
        other = (pair for pair in addresses if pair[0] != last)
        pair = next(other, addresses[0])
        addresses.remove(pair)
        found.append(pair)
    return found


@wrong("check_take_turns", "but got [('6', '6-0'), ('4', '4-2'), ('6', '6-1'), ('4'")
def only_the_neighbour(addresses: list[Pair]) -> list[Pair]:
    left, found = list(addresses), list[Pair]()
    while left:
        last = found[-1][0] if found else ""
        pair = next((pair for pair in left if pair[0] != last), left[0])
        left.remove(pair)
        found.append(pair)
    return found


@right("check_take_turns")
def in_columns(addresses: list[Pair]) -> list[Pair]:
    families = dict.fromkeys(family for family, _ in addresses)
    rows = [[pair for pair in addresses if pair[0] == family] for family in families]
    return [pair for pair in chain(*zip_longest(*rows)) if pair]


@right("check_take_turns")
def by_rank(addresses: list[Pair]) -> list[Pair]:
    families = list(dict.fromkeys(family for family, _ in addresses))
    seen: Counter[str] = Counter()

    def place(pair: Pair) -> tuple[int, int]:
        seen[pair[0]] += 1
        return seen[pair[0]], families.index(pair[0])

    return sorted(addresses, key=place)


@wrong(
    "check_winner", "winner([(0.25, False), (0.5, True)], 1, 10): expected (1, 0.75)"
)
def no_news(attempts: Sequence[Attempt], head_start: float, limit: float) -> Won:
    ends = [
        (n * head_start + seconds, n)
        for n, (seconds, connected) in enumerate(attempts)
        if connected and seconds is not None
    ]
    if not ends or min(ends)[0] >= limit:
        return None
    when, number = min(ends)
    return number, when


@wrong("check_winner", "winner([(None, False), (3, True)], 2, 5): expected None")
def limit_included(attempts: Sequence[Attempt], head_start: float, limit: float) -> Won:
    won = events(attempts, head_start)
    return won if won and won[1] <= limit else None


@wrong("check_winner", "(1.5, False), (None, False), (None, False), (0.25, True)")
def old_head_start(attempts: Sequence[Attempt], head_start: float, limit: float) -> Won:
    won = events(attempts, head_start, renewed=False)
    return won if won and won[1] < limit else None


@right("check_winner")
def with_a_heap(attempts: Sequence[Attempt], head_start: float, limit: float) -> Won:
    won = events(attempts, head_start)
    return won if won and won[1] < limit else None


@right("check_winner")
def in_small_steps(attempts: Sequence[Attempt], head_start: float, limit: float) -> Won:
    """All times of the check are quarters of a second."""
    ends: dict[int, float] = {}
    begun, next_start = 0, 0.0
    for step in range(int(limit * 4)):
        now = step / 4
        for number, end in sorted(ends.items()):
            if end == now and attempts[number][1]:
                return number, now
        if now in ends.values():
            next_start = now
        if begun < len(attempts) and next_start <= now:
            seconds = attempts[begun][0]
            ends[begun] = limit if seconds is None else now + seconds
            begun, next_start = begun + 1, now + head_start
    return None


def events(attempts: Sequence[Attempt], head_start: float, renewed: bool = True) -> Won:
    """Connections are 0, refusals 1, ends of a head start 2."""
    queue: list[tuple[float, int, int]] = [(0, 2, 0)]
    begun = round_ = 0
    while queue:
        now, kind, number = heapq.heappop(queue)
        if kind == 0:
            return number, now
        if begun == len(attempts) or (kind == 2 and number != round_):
            continue
        seconds, connected = attempts[begun]
        if seconds is not None:
            heapq.heappush(queue, (now + seconds, 0 if connected else 1, begun))
        if kind == 2 or renewed:
            round_ += 1
            heapq.heappush(queue, (now + head_start, 2, round_))
        begun += 1
    return None
