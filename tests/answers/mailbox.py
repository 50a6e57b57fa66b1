"""Answers to the exercise of the chapter mailbox."""

from collections import Counter
from typing import Any

from exercises import right, wrong


class Kept:
    """As a right one, where a wrong one has not changed it."""

    def __init__(self, most: int) -> None:
        self.most, self.waiting = most, Counter[Any]()

    def take(self, to: Any, size: int) -> bool:
        fits = self.fits(self.waiting.get(to, 0), size)
        if fits:
            self.waiting[to] += size
        return fits

    def fits(self, waiting: int, size: int) -> bool:
        return waiting == 0 or waiting + size <= self.most

    def done(self, to: Any, size: int) -> None:
        self.waiting[to] -= size
        self.waiting += Counter()  # without those that are at 0


@wrong("check_bounded", "6 more: expected False, but got True")
class TakesAll(Kept):
    def fits(self, waiting: int, size: int) -> bool:
        return True


@wrong("check_bounded", "50, when nothing waits: expected True, but got False")
class NeverTooLarge(Kept):
    def fits(self, waiting: int, size: int) -> bool:
        return waiting + size <= self.most


@wrong("check_bounded", "6 for another one: expected True, but got False")
class OneForAll(Kept):
    def take(self, to: Any, size: int) -> bool:
        return super().take("all", size)

    def done(self, to: Any, size: int) -> None:
        super().done("all", size)


@wrong("check_bounded", "what is kept when nothing waits: expected 0, but got 2")
class KeepsThem(Kept):
    def done(self, to: Any, size: int) -> None:
        self.waiting[to] -= size


@wrong("check_bounded", "4 more for the first: expected True, but got False")
class UpToTheBound(Kept):
    def fits(self, waiting: int, size: int) -> bool:
        return waiting == 0 or waiting + size < self.most


@right("check_bounded")
class ACounter(Kept):
    pass


@right("check_bounded")
class ListsOfSizes:
    def __init__(self, most: int) -> None:
        self.most, self.sizes = most, dict[Any, list[int]]()

    def take(self, to: Any, size: int) -> bool:
        there = self.sizes.setdefault(to, [])
        if there and sum(there) + size > self.most:
            return False
        there.append(size)
        return True

    def done(self, to: Any, size: int) -> None:
        self.sizes[to].remove(size)
        if not self.sizes[to]:
            self.sizes.pop(to)
