"""Answers to the exercises of the chapter about delay and loss."""

from exercises import right, wrong

Writes = list[tuple[int, int]]
FULL = 1460


@wrong("check_packets", "Written [(0, 10), (1, 10)], acknowledged after 40 ms")
def without_nagle(writes: Writes, delay: int) -> Writes:
    return writes


@wrong("check_packets", "Written [(0, 2000)]")
def without_a_largest_size(writes: Writes, delay: int) -> Writes:
    sent = Writes()
    waiting, free = 0, 0
    for now, size in [*writes, (10**9, 0)]:
        if waiting and free <= now:
            sent.append((free, waiting))
            waiting, free = 0, free + delay
        waiting += size
        if waiting and free <= now:
            sent.append((now, waiting))
            waiting, free = 0, now + delay
    return sent


@wrong("check_packets", "[(0, 10), (1, 3000)]")
def full_ones_wait_too(writes: Writes, delay: int) -> Writes:
    sent = Writes()
    waiting = 0
    for now in range(400):
        waiting += sum(size for when, size in writes if when == now)
        if waiting and all(when + delay <= now for when, _ in sent):
            sent.append((now, min(waiting, FULL)))
            waiting -= sent[-1][1]
    return sent


@wrong("check_packets", "but got [(0, 10), (41, 10)]")
def an_acknowledgement_comes_second(writes: Writes, delay: int) -> Writes:
    sent = Writes()
    waiting = 0
    for now in range(200):
        for size in [*(size for when, size in writes if when == now), 0]:
            waiting += size
            while waiting >= FULL:
                sent.append((now, FULL))
                waiting -= FULL
            if waiting and all(when + delay < now for when, _ in sent):
                sent.append((now, waiting))
                waiting = 0
    return sent


@right("check_packets")
def millisecond_by_millisecond(writes: Writes, delay: int) -> Writes:
    sent = Writes()
    waiting = 0
    for now in range(200):
        todo = [size for when, size in writes if when == now]
        for size in [0, *todo]:
            waiting += size
            while waiting >= FULL:
                sent.append((now, FULL))
                waiting -= FULL
            if waiting and all(when + delay <= now for when, _ in sent):
                sent.append((now, waiting))
                waiting = 0
    return sent


@right("check_packets")
def as_events(writes: Writes, delay: int) -> Writes:
    sent = Writes()
    waiting = open_ = 0
    events = [(when, 1, size) for when, size in writes]
    while events:
        events.sort(key=lambda event: event[:2])
        now, is_write, size = events.pop(0)
        waiting += size * is_write
        open_ -= not is_write
        while waiting >= FULL or (waiting and not open_):
            part = min(waiting, FULL)
            sent.append((now, part))
            events.append((now + delay, 0, part))
            waiting, open_ = waiting - part, open_ + 1
    return sent


class _Patience:
    """Right, but for what its children say."""

    START = 1.0

    def __init__(self, shortest: float) -> None:
        self.shortest, self.seconds = shortest, self.START
        self.mean: float | None = None
        self.spread = 0.0

    def measured(self, seconds: float) -> None:
        if self.mean is None:
            self.mean, self.spread = seconds, seconds / 2
        else:
            self.learn(self.mean, seconds)
        self.seconds = self.bounded(self.mean + 4 * self.spread)

    def learn(self, mean: float, seconds: float) -> None:
        self.spread += (abs(mean - seconds) - self.spread) / 4
        self.mean = mean + (seconds - mean) / 8

    def bounded(self, seconds: float) -> float:
        return max(self.shortest, min(seconds, 60.0))

    def timed_out(self) -> None:
        self.seconds = min(60.0, self.seconds * 2)


@wrong("check_patience", "measured(0.01); seconds: expected 0.2, but got 0.03")
class WithoutALowerBound(_Patience):
    def bounded(self, seconds: float) -> float:
        return min(seconds, 60.0)


@wrong("check_patience", "measured(0.1); measured(0.3); seconds: expected 0.475")
class TheMeanFirst(_Patience):
    """The distance to the new mean, not to the old one."""

    def learn(self, mean: float, seconds: float) -> None:
        self.mean = mean + (seconds - mean) / 8
        self.spread += (abs(self.mean - seconds) - self.spread) / 4


@wrong("check_patience", "timed_out(); measured(0.1); seconds: expected 0.25")
class StaysDoubled(_Patience):
    factor = 1

    def measured(self, seconds: float) -> None:
        super().measured(seconds)
        self.seconds *= self.factor

    def timed_out(self) -> None:
        super().timed_out()
        self.factor *= 2


@wrong("check_patience", "measured(50); seconds: expected 60")
class WithoutAnUpperBound(_Patience):
    def bounded(self, seconds: float) -> float:
        return max(self.shortest, seconds)


@wrong("check_patience", "timed_out(); timed_out(); seconds: expected 1.2")
class DoublesOnce(_Patience):
    def timed_out(self) -> None:
        if self.mean is None:
            super().timed_out()
        else:
            self.seconds = 2 * self.bounded(self.mean + 4 * self.spread)


@right("check_patience")
class AsInTheRFC(_Patience):
    pass


@right("check_patience")
class ComputedWhenAsked:
    def __init__(self, shortest: float) -> None:
        self.shortest, self.times = shortest, list[float]()
        self.misses = 0

    def measured(self, seconds: float) -> None:
        self.times.append(seconds)
        self.misses = 0

    def timed_out(self) -> None:
        self.misses += 1

    @property
    def seconds(self) -> float:
        wanted = 1.0
        for number, each in enumerate(self.times):
            if not number:
                mean, spread = each, each / 2
            else:
                spread = 0.75 * spread + 0.25 * abs(mean - each)
                mean = 0.875 * mean + 0.125 * each
            wanted = max(self.shortest, min(60.0, mean + 4 * spread))
        return min(60.0, wanted * 2**self.misses)
