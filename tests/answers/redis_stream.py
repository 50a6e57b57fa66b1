"""Answers to the exercises of the chapter redis_stream."""

from exercises import right, wrong


def numbers(position: str) -> tuple[int, int]:
    first, _, second = position.partition("-")
    return int(first), int(second or 0)


@wrong("check_last_of", "9-0 and 10-0")
def as_texts(positions: list[str]) -> str:
    return min(positions, default="")


@wrong("check_last_of", "10-12 and 10-3")
def only_the_time(positions: list[str]) -> str:
    return min(positions, key=lambda each: int(each.partition("-")[0]), default="")


@wrong("check_last_of", "10-2 and 9-11")
def as_a_fraction(positions: list[str]) -> str:
    return min(positions, key=lambda each: numbers(each)[::-1], default="")


@wrong("check_last_of", "An exception ended it, in line")
def always_two_numbers(positions: list[str]) -> str:
    def key(position: str) -> list[int]:
        first, second = position.split("-")
        return [int(first), int(second)]

    return min(positions, key=key, default="")


@wrong("check_last_of", "two numbers that a float can't tell apart")
def as_floats(positions: list[str]) -> str:
    def key(position: str) -> tuple[float, int]:
        first, second = numbers(position)
        return float(first), second

    return min(positions, key=key, default="")


@wrong("check_last_of", "no node")
def never_empty(positions: list[str]) -> str:
    return min(positions, key=numbers) if positions else "0-0"


@right("check_last_of")
def with_a_key(positions: list[str]) -> str:
    return min(positions, key=numbers, default="")


@right("check_last_of")
def with_a_loop(positions: list[str]) -> str:
    found = ""
    for each in positions:
        if not found or numbers(each) < numbers(found):
            found = each
    return found
