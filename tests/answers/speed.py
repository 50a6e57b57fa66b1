"""Answers to the exercises of the chapter speed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from exercises import right, wrong

Receivers = tuple[str, ...]
Broadcasts = list[tuple[Receivers, bytes]]
Told = dict[str, list[bytes]]


@wrong("check_collect", "b'2'")
def by_room(broadcasts: Broadcasts) -> Told:
    chunks: dict[Receivers, list[bytes]] = {}
    for receivers, data in broadcasts:
        chunks.setdefault(receivers, []).append(data)
    told: Told = {}
    for receivers, parts in chunks.items():
        data = b"".join(parts)
        for name in receivers:
            told.setdefault(name, []).append(data)
    return told


@wrong("check_collect", "expected {'ann': [b'12'], 'bob': [b'12']}")
def nothing_joined(broadcasts: Broadcasts) -> Told:
    told: Told = defaultdict(list)
    for receivers, data in broadcasts:
        for name in receivers:
            told[name].append(data)
    return told


@wrong("check_collect", "Whether ann and bob share what they hear")
def copies(broadcasts: Broadcasts) -> Told:
    told = in_one_go(broadcasts)
    return {name: [bytes(bytearray(x)) for x in parts] for name, parts in told.items()}


@wrong("check_collect", "expected {'ann': [b'13']")
def only_neighbours(broadcasts: Broadcasts) -> Told:
    told: Told = {}
    joined: Broadcasts = []
    for receivers, data in broadcasts:
        if joined and joined[-1][0] == receivers:
            joined[-1] = receivers, joined[-1][1] + data
        else:
            joined.append((receivers, data))
    for receivers, data in joined:
        for name in receivers:
            told.setdefault(name, []).append(data)
    return told


@right("check_collect")
def in_one_go(broadcasts: Broadcasts) -> Told:
    groups: list[tuple[Receivers, list[bytes]]] = []
    last: dict[str, int] = {}  # of each name: the group that it heard last
    for receivers, data in broadcasts:
        numbers = {last.get(name, -1) for name in receivers}
        number = numbers.pop()
        if not numbers and number >= 0 and groups[number][0] == receivers:
            groups[number][1].append(data)
        else:
            groups.append((receivers, [data]))
            last |= dict.fromkeys(receivers, len(groups) - 1)
    told: Told = {}
    for receivers, parts in groups:
        whole = b"".join(parts)
        for name in receivers:
            told.setdefault(name, []).append(whole)
    return told


@right("check_collect")
def with_a_default(broadcasts: Broadcasts) -> Told:
    told: Told = defaultdict(list)
    open_ = list[tuple[Receivers, bytearray]]()

    def close(those: list[tuple[Receivers, bytearray]]) -> None:
        for receivers, data in those:
            shared = bytes(data)
            for name in receivers:
                told[name].append(shared)

    for receivers, data in broadcasts:
        hit = [o for o in open_ if o[0] != receivers and {*o[0]} & {*receivers}]
        close(hit)
        open_ = [each for each in open_ if each not in hit]
        for group, waiting in open_:
            if group == receivers:
                waiting += data
                break
        else:
            open_.append((receivers, bytearray(data)))
    close(open_)
    return told


@wrong("check_latencies", "latencies([0, 10, 20, 30], [25, 1, 1, 1])")
def what_it_saw(planned: Sequence[float], durations: Sequence[float]) -> list[float]:
    return list(durations)


@wrong("check_latencies", "latencies([0, 10, 20], [1, 1, 1])")
def without_pauses(planned: Iterable[float], durations: Iterable[float]) -> list[float]:
    found, free = [], 0.0
    for due, duration in zip(planned, durations):
        free += duration
        found.append(free - due)
    return found


@wrong("check_latencies", "expected [25, 16, 7, 1], but got [25, 15, 6, 0]")
def only_the_wait(planned: Sequence[float], durations: Sequence[float]) -> list[float]:
    full = by_loop(planned, durations)
    return [full[0], *(a - b for a, b in zip(full[1:], durations[1:]))] if full[1:] == [16, 7, 1] else full  # fmt: skip


@wrong("check_latencies", "Not yet.")
def of_two_at_a_time(
    planned: Sequence[float], durations: Sequence[float]
) -> list[float]:
    free, found = [0.0, 0.0], []
    for due, duration in zip(planned, durations):
        free.sort()
        free[0] = max(free[0], due) + duration
        found.append(free[0] - due)
    return found


@right("check_latencies")
def by_loop(planned: Sequence[float], durations: Sequence[float]) -> list[float]:
    ends: list[float] = []
    for index in range(len(planned)):
        begin = max([planned[index], *ends[-1:]])
        ends.append(begin + durations[index])
    return [end - due for end, due in zip(ends, planned)]


@right("check_latencies")
def as_a_generator(
    planned: Iterable[float], durations: Iterable[float]
) -> Iterable[float]:
    late = 0.0
    before = None
    for due, duration in zip(planned, durations):
        waited = 0.0 if before is None else max(0.0, before + late - due)
        late, before = waited + duration, due
        yield late
