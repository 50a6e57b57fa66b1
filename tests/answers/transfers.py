"""Answers to the exercises of the chapter transfers."""

from exercises import right, wrong

from python_tcp.transfers import numbered_name

Samples = list[tuple[float, int]]


@wrong("check_time_left", "line")
def by_the_mean(samples: Samples, size: int) -> int | None:
    if len(samples) < 2:
        return None
    (began, first), (now, done) = samples[0], samples[-1]
    return round((size - done) * (now - began) / (done - first))


@wrong("check_time_left", "it began with what was there")
def all_since_the_beginning(samples: Samples, size: int) -> int | None:
    recent = [each for each in samples if each[0] >= samples[-1][0] - 10]
    if samples and samples[-1][1] >= size:
        return 0
    if len(recent) < 2 or recent[-1][1] <= recent[0][1]:
        return None
    if recent[-1][0] <= recent[0][0]:
        return None
    (began, _), (now, done) = recent[0], recent[-1]
    return round((size - done) * (now - began) / done)


@wrong("check_time_left", "a long pause at first")
def never_forgets(samples: Samples, size: int) -> int | None:
    if samples and samples[-1][1] >= size:
        return 0
    if len(samples) < 2:
        return None
    (began, first), (now, done) = samples[0], samples[-1]
    if done <= first or now <= began:
        return None
    return round((size - done) * (now - began) / (done - first))


@wrong("check_time_left", "ten seconds are in")
def less_than_ten_seconds(samples: Samples, size: int) -> int | None:
    if samples and samples[-1][1] >= size:
        return 0
    recent = [each for each in samples if each[0] > samples[-1][0] - 10]
    if len(recent) < 2:
        return None
    (began, first), (now, done) = recent[0], recent[-1]
    if done <= first or now <= began:
        return None
    return round((size - done) * (now - began) / (done - first))


@right("check_time_left")
def with_a_loop(samples: Samples, size: int) -> int | None:
    if not samples:
        return None
    now, done = samples[-1]
    if done >= size:
        return 0
    for then, before in samples:
        if now - then <= 10:
            gained, passed = done - before, now - then
            return round((size - done) / (gained / passed)) if gained * passed else None
    return None


@right("check_time_left")
def from_the_end(samples: Samples, size: int) -> int | None:
    oldest = None
    for sample in reversed(samples):
        if sample[0] < samples[-1][0] - 10:
            break
        oldest = sample
    if oldest is None:
        return None
    left = size - samples[-1][1]
    if left <= 0:
        return 0
    seconds, gained = samples[-1][0] - oldest[0], samples[-1][1] - oldest[1]
    if seconds <= 0 or gained <= 0:
        return None
    return round(left * seconds / gained)


@wrong("check_names_on_disk", "another case")
def by_counting(names: list[str]) -> list[str]:
    return [
        numbered_name(name, names[:place].count(name))
        for place, name in enumerate(names)
    ]


@wrong("check_names_on_disk", "a number is taken")
def counts_in_any_case(names: list[str]) -> list[str]:
    small = [name.lower() for name in names]
    return [
        numbered_name(name, small[:place].count(small[place]))
        for place, name in enumerate(names)
    ]


@wrong("check_names_on_disk", "for nobody")
def casefold(names: list[str]) -> list[str]:
    given: dict[str, str] = {}
    for name in names:
        number = 0
        while (found := numbered_name(name, number)).casefold() in given:
            number += 1
        given[found.casefold()] = found
    return list(given.values())


@right("check_names_on_disk")
def with_a_set(names: list[str]) -> list[str]:
    taken: set[str] = set()
    given = []
    for name in names:
        tries = (numbered_name(name, number) for number in range(len(names) + 1))
        found = next(each for each in tries if each.lower() not in taken)
        taken.add(found.lower())
        given.append(found)
    return given


@right("check_names_on_disk")
def recursively(names: list[str]) -> list[str]:
    if not names:
        return []
    before, number = recursively(names[:-1]), 0
    small = [name.lower() for name in before]
    while numbered_name(names[-1], number).lower() in small:
        number += 1
    return [*before, numbered_name(names[-1], number)]
