"""Answers to the exercises of the chapter file_client."""

from exercises import right, wrong

Pairs = list[tuple[int, int]]


@wrong("check_missing", "one inside another")
def between(have: Pairs, size: int) -> Pairs:
    ends = [0, *(end for _, end in sorted(have))]
    starts = [*(start for start, _ in sorted(have)), size]
    return [(end, start) for end, start in zip(ends, starts) if end < start]


@wrong("check_missing", "another order")
def in_the_order_that_they_have(have: Pairs, size: int) -> Pairs:
    found, place = [], 0
    for start, end in have:
        if start > place:
            found.append((place, start))
        place = max(place, end)
    return found + ([(place, size)] if place < size else [])


@wrong("check_missing", "an empty piece")
def an_empty_piece_cuts(have: Pairs, size: int) -> Pairs:
    found, place = [], 0
    for start, end in sorted(have):
        if start > place:
            found.append((place, start))
        place = max(place, end)
    return found + ([(place, size)] if place < size else [])


@wrong("check_missing", "an empty file")
def always_an_end(have: Pairs, size: int) -> Pairs:
    found, place = [], 0
    for start, end in sorted(each for each in have if each[0] < each[1]):
        if start > place:
            found.append((place, start))
        place = max(place, end)
    return found if have and place == size else [*found, (place, size)]


@right("check_missing")
def byte_by_byte(have: Pairs, size: int) -> Pairs:
    there = {place for start, end in have for place in range(start, end)}
    found: Pairs = []
    for place in range(size):
        if place in there:
            continue
        if found and found[-1][1] == place:
            found[-1] = found[-1][0], place + 1
        else:
            found.append((place, place + 1))
    return found


@right("check_missing")
def take_each_away(have: Pairs, size: int) -> Pairs:
    left = [(0, size)]
    for start, end in have:
        if start >= end:
            continue
        pieces = []
        for first, last in left:
            pieces += [(first, min(last, start)), (max(first, end), last)]
        left = [(first, last) for first, last in pieces if first < last]
    return sorted(each for each in left if each[0] < each[1])
