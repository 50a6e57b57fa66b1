"""Answers to the exercises of the chapter metrics."""

from itertools import accumulate

from exercises import right, wrong

from python_tcp.metrics import Histogram

Readings = list[tuple[float, float]]


@wrong("check_quantile", "100 between 0.3 and 1 ms, q = 0.0")
def upper_bound(histogram: Histogram, q: float) -> float | None:
    wanted = q * sum(histogram.counts)
    for bound, count in zip(histogram.BOUNDS, histogram.counts):
        wanted -= count
        if wanted <= 0 and sum(histogram.counts):
            return float(bound)
    return None


@wrong("check_quantile", "100 between 0.3 and 1 ms, q = 0.5")
def lower_bound(histogram: Histogram, q: float) -> float | None:
    wanted, low = q * sum(histogram.counts), 0.0
    for bound, count in zip(histogram.BOUNDS, histogram.counts):
        wanted -= count
        if wanted <= 0 and count:
            return low
        low = float(bound)
    return low if sum(histogram.counts) else None


@wrong("check_quantile", "no observation")
def without_an_empty_one(histogram: Histogram, q: float) -> float:
    return by_sums(histogram, q) or 0.0


@wrong("check_quantile", "200 more above 10 s")
def infinite(histogram: Histogram, q: float) -> float | None:
    got = by_sums(histogram, q)
    return float("inf") if got == histogram.BOUNDS[-1] else got


@wrong("check_quantile", "100 more up to 0.1 ms, q = 0.25")
def begins_at_the_first_bound(histogram: Histogram, q: float) -> float | None:
    got = by_sums(histogram, q)
    return None if got is None else max(got, float(histogram.BOUNDS[0]))


@right("check_quantile")
def by_sums(histogram: Histogram, q: float) -> float | None:
    sums = [0, *accumulate(histogram.counts)]
    bounds = [0.0, *histogram.BOUNDS]
    if not sums[-1]:
        return None
    wanted = q * sums[-1]
    for index, bound in enumerate(bounds[1:]):
        before, after = sums[index], sums[index + 1]
        if after > before and wanted <= after:
            share = (wanted - before) / (after - before)
            return float(bounds[index] * (1 - share) + bound * share)
    return float(bounds[-1])


@right("check_quantile")
def by_pairs(histogram: Histogram, q: float) -> float | None:
    total = sum(histogram.counts)
    below, low = 0, 0.0
    for high, count in zip(histogram.BOUNDS, histogram.counts):
        if count and below + count >= q * total:
            return float(low + (q * total - below) / count * (high - low))
        below += count
        low = float(high)
    return low if total else None


@wrong("check_per_second", "a restart")
def plain(readings: Readings) -> float:
    if len(readings) < 2 or readings[-1][0] == readings[0][0]:
        return 0
    return (readings[-1][1] - readings[0][1]) / (readings[-1][0] - readings[0][0])


@wrong("check_per_second", "a restart")
def leaves_the_restart_out(readings: Readings) -> float:
    if len(readings) < 2 or readings[-1][0] == readings[0][0]:
        return 0
    pairs = zip(readings, readings[1:])
    grown = sum(max(0, b[1] - a[1]) for a, b in pairs)
    return grown / (readings[-1][0] - readings[0][0])


@wrong("check_per_second", "An exception ended it, in line")
def divides_by_nothing(readings: Readings) -> float:
    if len(readings) < 2:
        return 0
    pairs = list(zip(readings, readings[1:]))
    grown = sum(b[1] - a[1] if b[1] >= a[1] else b[1] for a, b in pairs)
    return grown / (readings[-1][0] - readings[0][0])


@wrong("check_per_second", "no reading")
def nothing_for_nothing(readings: Readings) -> float | None:
    return by_steps(readings) if len(readings) > 1 else None


@wrong("check_per_second", "100, and 10 s later 150")
def of_the_whole(readings: Readings) -> float:
    return readings[-1][1] / readings[-1][0] if len(readings) > 1 else 0


@right("check_per_second")
def by_steps(readings: Readings) -> float:
    grown, before = 0.0, None
    for _, value in readings:
        if before is not None:
            grown += value - before if value >= before else value
        before = value
    seconds = readings[-1][0] - readings[0][0] if readings else 0
    return grown / seconds if seconds else 0.0


@right("check_per_second")
def with_offsets(readings: Readings) -> float:
    values, offset = list[float](), 0.0
    for index, (_, value) in enumerate(readings):
        if index and value < readings[index - 1][1]:
            offset += readings[index - 1][1]
        values.append(value + offset)
    try:
        return (values[-1] - values[0]) / (readings[-1][0] - readings[0][0])
    except (IndexError, ZeroDivisionError):
        return 0
