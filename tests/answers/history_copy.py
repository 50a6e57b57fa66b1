"""Answers to the exercises of the chapter history_copy."""

from exercises import right, wrong

Gaps = list[tuple[int, int]]


@wrong("check_missing", "[3, 4], the last one 4")
def between_two_that_are_there(numbers: list[int], last: int) -> Gaps:
    gaps = []
    for one, two in zip(sorted(numbers), sorted(numbers)[1:]):
        if two - one > 1:
            gaps.append((one + 1, two - 1))
    return gaps


@wrong("check_missing", "[4, 1, 2], the last one 4")
def in_the_order_of_the_file(numbers: list[int], last: int) -> Gaps:
    gaps, before = [], 0
    for number in [*numbers, last + 1]:
        if number > before + 1:
            gaps.append((before + 1, number - 1))
        before = number
    return gaps


@wrong("check_missing", "[1, 2, 9], the last one 4")
def also_what_comes_after_the_last(numbers: list[int], last: int) -> Gaps:
    gaps, before = [], 0
    for number in sorted({*numbers, last + 1}):
        if number > before + 1:
            gaps.append((before + 1, number - 1))
        before = number
    return gaps


@right("check_missing")
def with_a_cursor(numbers: list[int], last: int) -> Gaps:
    gaps, wanted = [], 1
    for number in sorted(numbers):
        if number > last:
            break
        if number > wanted:
            gaps.append((wanted, number - 1))
        wanted = number + 1
    if wanted <= last:
        gaps.append((wanted, last))
    return gaps


@right("check_missing")
def number_by_number(numbers: list[int], last: int) -> Gaps:
    there = set(numbers)
    gaps: list[list[int]] = []
    for number in range(1, last + 1):
        if number in there:
            continue
        if gaps and gaps[-1][1] == number - 1:
            gaps[-1][1] = number
        else:
            gaps.append([number, number])
    return [(first, end) for first, end in gaps]
