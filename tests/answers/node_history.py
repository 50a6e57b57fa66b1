"""Answers to the exercises of the chapter node_history."""

from exercises import right, wrong


def numbers(position: str) -> tuple[int, ...]:
    return tuple(int(part) for part in position.split("-")) if position else (0, 0)


@wrong("check_standing", "up to '10-0', a snapshot up to '9-0'")
def by_text(file: str, snapshot: str, log: list[str]) -> str:
    if file > snapshot:
        return "ahead" if file in log else "lost"
    return "behind"


@wrong("check_standing", "up to '9-0', a snapshot up to '5-0'")
def the_log_has_something_later(file: str, snapshot: str, log: list[str]) -> str:
    if numbers(file) <= numbers(snapshot):
        return "behind"
    is_there = any(numbers(each) >= numbers(file) for each in log)
    return "ahead" if is_there else "lost"


@wrong("check_standing", "up to '9-10', a snapshot up to '9-9'")
def without_the_second_number(file: str, snapshot: str, log: list[str]) -> str:
    def first(position: str) -> int:
        return numbers(position)[0]

    if first(file) <= first(snapshot):
        return "behind"
    return "ahead" if file in log else "lost"


@right("check_standing")
def as_pairs(file: str, snapshot: str, log: list[str]) -> str:
    if numbers(file) > numbers(snapshot):
        return "ahead" if file in log else "lost"
    return "behind"


@right("check_standing")
def sorted_together(file: str, snapshot: str, log: list[str]) -> str:
    last = sorted([snapshot, file], key=numbers)[-1]
    if last == snapshot:
        return "behind"
    return ["lost", "ahead"][log.count(file)]
