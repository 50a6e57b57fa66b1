"""Answers to the exercises of the chapter turns."""

from collections.abc import Iterable
from itertools import chain, zip_longest

from exercises import right, wrong

Waiting = list[tuple[str, int]]


def _lines(waiting: Waiting) -> dict[str, list[int]]:
    lines: dict[str, list[int]] = {}
    for network, client in waiting:
        lines.setdefault(network, []).append(client)
    return lines


@wrong("check_fair_order", "A school, ann and bob")
def as_they_came(waiting: Waiting) -> list[int]:
    return [client for _, client in waiting]


@wrong("check_fair_order", "A school, ann and bob")
def sorted_networks(waiting: Waiting) -> list[int]:
    return by_rounds(sorted(waiting))


@wrong("check_fair_order", "A school alone")
def one_of_each(waiting: Waiting) -> list[int]:
    return [clients[0] for clients in _lines(waiting).values()]


@wrong("check_fair_order", "A school alone")
def the_last_first(waiting: Waiting) -> list[int]:
    return by_rounds(waiting[::-1])


@wrong("check_fair_order", "An exception ended it, in line")
def of_equal_length(waiting: Waiting) -> list[int]:
    lines = list(_lines(waiting).values())
    return [line[n] for n in range(len(lines[0])) for line in lines]


@right("check_fair_order")
def by_rounds(waiting: Waiting) -> list[int]:
    seen: dict[str, int] = {}
    networks = list(dict.fromkeys(network for network, _ in waiting))
    keyed = []
    for network, client in waiting:
        seen[network] = seen.get(network, 0) + 1
        keyed.append((seen[network], networks.index(network), client))
    return [client for _, _, client in sorted(keyed)]


@right("check_fair_order")
def zipped(waiting: Waiting) -> Iterable[int]:
    rounds = zip_longest(*_lines(waiting).values())
    return (client for client in chain(*rounds) if client is not None)
