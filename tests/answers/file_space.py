"""Answers to the exercises of the chapter file_space."""

import heapq

from exercises import right, wrong

Files = dict[int, tuple[float, int]]


@wrong("check_to_delete", "to_delete({1: (3.0, 4), 2: (1.0, 4), 3: (2.0, 4)}, 8)")
def the_largest_first(files: Files, most: int) -> list[int]:
    numbers, left = [], sum(size for _, size in files.values())
    for number in sorted(files, key=lambda number: -files[number][1]):
        if left <= most:
            break
        numbers.append(number)
        left -= files[number][1]
    return numbers


@wrong("check_to_delete", "to_delete({1: (5.0, 10)}, 10): expected []")
def always_one(files: Files, most: int) -> list[int]:
    numbers, left = [], sum(size for _, size in files.values())
    for number in sorted(files, key=lambda number: (files[number][0], number)):
        numbers.append(number)
        left -= files[number][1]
        if left <= most:
            break
    return numbers


@wrong("check_to_delete", "to_delete({7: (1.0, 5), 3: (1.0, 5), 5: (1.0, 5)}, 10)")
def as_they_came(files: Files, most: int) -> list[int]:
    """Two files of one time stay in the order of the dict."""
    numbers, left = [], sum(size for _, size in files.values())
    for number in sorted(files, key=lambda number: files[number][0]):
        if left <= most:
            break
        numbers.append(number)
        left -= files[number][1]
    return numbers


@right("check_to_delete")
def with_a_heap(files: Files, most: int) -> list[int]:
    heap = [(when, number) for number, (when, _) in files.items()]
    heapq.heapify(heap)
    numbers, left = [], sum(size for _, size in files.values())
    while left > most:
        number = heapq.heappop(heap)[1]
        numbers.append(number)
        left -= files[number][1]
    return numbers


@right("check_to_delete")
def keeps_the_newest(files: Files, most: int) -> list[int]:
    """The other way round: how many of the newest fit?"""
    order, kept = sorted((when, number) for number, (when, _) in files.items()), 0
    while order and kept + files[order[-1][1]][1] <= most:
        kept += files[order.pop()[1]][1]
    return [number for _, number in order]
