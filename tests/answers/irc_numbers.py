"""Answers to the exercise of the chapter irc_numbers."""

import re

from exercises import right, wrong

Numeric = tuple[int, list[str]] | None


@wrong("check_numeric", "exception ended it, in line `return int(number), params")
def not_all_are_numbers(line: str) -> Numeric:
    start, colon, text = line.partition(" :")
    _, number, _, *params = start.split(" ")
    return int(number), params + ([text] if colon else [])


@wrong(
    "check_numeric", "for ':chat 303 ann :': expected (303, ['']), but got (303, [])"
)
def no_empty_text(line: str) -> Numeric:
    start, _, text = line.partition(" :")
    words = start.split(" ")
    if not line.startswith(":") or not words[1].isdigit():
        return None
    return int(words[1]), words[3:] + ([text] if text else [])


@wrong(
    "check_numeric", "expected (353, ['=', '#lobby', 'ann bob']), but got (353, ['ann',"
)
def with_the_reader(line: str) -> Numeric:
    start, colon, text = line.partition(" :")
    words = start.split(" ")
    if not line.startswith(":") or not words[1].isdigit():
        return None
    return int(words[1]), words[2:] + ([text] if colon else [])


@right("check_numeric")
def with_a_pattern(line: str) -> Numeric:
    found = re.fullmatch(r":\S+ (\d{3}) \S+((?: [^: ]\S*)*)(?: :(.*))?", line)
    if found is None:
        return None
    return int(found[1]), found[2].split() + ([] if found[3] is None else [found[3]])


@right("check_numeric")
def word_by_word(line: str) -> Numeric:
    if line[:1] != ":" or not line.split(" ")[1].isdigit():
        return None
    rest, params = line.split(" ", 3)[3], []
    while rest:
        if rest.startswith(":"):
            params.append(rest[1:])
            break
        word, _, rest = rest.partition(" ")
        params.append(word)
    return int(line.split(" ")[1]), params
