"""Answers to the exercises of the chapter simulation."""

import itertools
import random
from collections.abc import Callable

from exercises import right, wrong

Play = Callable[[random.Random], tuple[list, list]]


@wrong("check_find_seed", "one that fails with the seeds 3 and 4")
def from_the_end(play: Play, most: int) -> int | None:
    for seed in reversed(range(most)):
        one, two = play(random.Random(seed))
        if one != two:
            return seed
    return None


@wrong("check_find_seed", "one that fails with seed 7, of 7 seeds")
def one_too_many(play: Play, most: int) -> int | None:
    for seed in range(most + 1):
        one, two = play(random.Random(seed))
        if one != two:
            return seed
    return None


@wrong("check_find_seed", "a play without a mistake")
def always_something(play: Play, most: int) -> int:
    seed = 0
    while seed < most and len({*map(str, play(random.Random(seed)))}) == 1:
        seed += 1
    return seed


@right("check_find_seed")
def with_next(play: Play, most: int) -> int | None:
    def differs(seed: int) -> bool:
        one, two = play(random.Random(seed))
        return one != two

    return next(filter(differs, range(most)), None)


@right("check_find_seed")
def with_a_seed_that_is_set_anew(play: Play, most: int) -> int | None:
    chance = random.Random()
    for seed in itertools.count():
        if seed == most:
            return None
        chance.seed(seed)
        left, right = play(chance)
        if left != right:
            return seed
    return None
