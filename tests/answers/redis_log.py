"""Answers to the exercises of the chapter redis_log."""

from exercises import right, wrong

Look = list[str] | None


@wrong("check_gone", "b is missing once")
def at_the_first_look(looks: list[Look]) -> list[str]:
    return sorted({name for look in looks[2:] for name in look or []})


@wrong("check_gone", "only the first two looks")
def missing_twice(looks: list[Look]) -> list[str]:
    found: list[str] = []
    for last, now in zip(looks, looks[1:]):
        found += sorted((set(last or []) & set(now or [])) - set(found))
    return found


@wrong("check_gone", "b is missing twice, and lives in between")
def two_looks_in_all(looks: list[Look]) -> list[str]:
    found, seen = list[str](), set[str]()
    for number, look in enumerate(looks):
        found += sorted((seen & set(look or [])) - set(found)) if number > 1 else []
        seen |= set(look or [])
    return found


@wrong("check_gone", "Redis was away")
def without_a_pause_after_redis(looks: list[Look]) -> list[str]:
    found: list[str] = []
    for last, now in zip(looks[1:], looks[2:]):
        found += sorted((set(last or []) & set(now or [])) - set(found))
    return found


@wrong("check_gone", "two nodes in the same look")
def not_in_order(looks: list[Look]) -> list[str]:
    found: list[str] = []
    for before, last, now in zip(looks, looks[1:], looks[2:]):
        if before is not None and last is not None and now is not None:
            found += [each for each in now if each in last and each not in found]
    return found


@right("check_gone")
def three_looks_at_a_time(looks: list[Look]) -> list[str]:
    found: list[str] = []
    for before, last, now in zip(looks, looks[1:], looks[2:]):
        if before is not None and last is not None and now is not None:
            found += sorted((set(last) & set(now)) - set(found))
    return found


@right("check_gone")
def with_a_count(looks: list[Look]) -> list[str]:
    found, suspects, good = list[str](), set[str](), 0
    for look in looks:
        if look is None:
            suspects, good = set(), 0
            continue
        good += 1
        if good > 2:
            found += sorted(name for name in set(look) & suspects if name not in found)
        suspects = set(look)
    return found
