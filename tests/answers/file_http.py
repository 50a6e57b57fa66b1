"""Answers to the exercises of the chapter file_http."""

import re

from exercises import right, wrong

Parts = tuple[int, int, int | None] | None


@wrong("check_read_content_range", "bytes 5-3/10")
def believes_it(text: str) -> Parts:
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", text)
    if found is None:
        return None
    first, last, size = found.groups()
    return int(first), int(last), None if size == "*" else int(size)


@wrong("check_read_content_range", "bytes 3-5/*")
def wants_a_size(text: str) -> Parts:
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", text)
    if found is None:
        return None
    first, last, size = map(int, found.groups())
    return (first, last, size) if first <= last < size else None


@wrong("check_read_content_range", "bytes ٣-5/10")
def digits_of_every_script(text: str) -> Parts:
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    return (
        (first, last, size) if first <= last and (size is None or last < size) else None
    )


@right("check_read_content_range")
def with_a_pattern(text: str) -> Parts:
    return digits_of_every_script(text) if text.isascii() else None


@right("check_read_content_range")
def without_a_pattern(text: str) -> Parts:
    unit, _, rest = text.partition(" ")
    span, slash, size = rest.partition("/")
    first, dash, last = span.partition("-")
    numbers = [first, last] if size == "*" else [first, last, size]
    if unit != "bytes" or not slash or not dash:
        return None
    if not all(
        each.isascii() and each.isdigit() and len(each) <= 18 for each in numbers
    ):
        return None
    whole = None if size == "*" else int(size)
    if int(first) > int(last) or whole is not None and int(last) >= whole:
        return None
    return int(first), int(last), whole
