"""Answers to the exercise of the chapter on Windows and macOS."""

from exercises import right, wrong


def _shared(room: int, spare: int, clients: int) -> tuple[int, int, int]:
    inside = min(clients, room)
    told = min(clients - inside, spare)
    return inside, told, clients - inside - told


@wrong("check_turned_away", "expected (494, 1, 0), but got (495, 0, 0)")
def without_the_loop(
    places: int, listeners: int, spare: int, clients: int
) -> tuple[int, int, int]:
    return _shared(places - listeners - spare, spare, clients)


@wrong("check_turned_away", "expected (0, 3, 0), but got (-11, 14, 0)")
def below_nothing(
    places: int, listeners: int, spare: int, clients: int
) -> tuple[int, int, int]:
    return _shared(places - 1 - listeners - spare, spare, clients)


@wrong("check_turned_away", "expected (0, 5, 2), but got (0, 7, 0)")
def more_are_told_than_there_are_places(
    places: int, listeners: int, spare: int, clients: int
) -> tuple[int, int, int]:
    return _shared(max(0, places - 1 - listeners - spare), spare, clients)


@wrong("check_turned_away", "a ValueError")
def no_complaint(
    places: int, listeners: int, spare: int, clients: int
) -> tuple[int, int, int]:
    left = max(0, places - 1 - listeners)
    return _shared(max(0, left - spare), min(spare, left), clients)


@right("check_turned_away")
def one_after_the_other(
    places: int, listeners: int, spare: int, clients: int
) -> list[int]:
    left = places - 1 - listeners
    if left < 0:
        raise ValueError("too few places")
    counts = [0, 0, 0]
    for number in range(clients):
        kind = 0 if number < left - spare else 1 if number < left else 2
        counts[kind] += 1
    return counts


@right("check_turned_away")
def with_ranges(
    places: int, listeners: int, spare: int, clients: int
) -> tuple[int, int, int]:
    left = places - 1 - listeners
    if left < 0:
        raise ValueError(left)
    told = min(spare, left)
    everybody = range(clients)
    return (
        len(everybody[: left - told]),
        len(everybody[left - told : left]),
        len(everybody[left:]),
    )
