"""Answers to the exercise of the chapter dialects."""

import re

from exercises import right, wrong


@wrong("check_first_word", "the word in b'NIC': expected None, but got b'NIC'")
def what_there_is(data: bytes) -> bytes | None:
    return (data.upper().split() or [None])[0]


@wrong("check_first_word", "the word in b'NICK ann': expected b'NICK', but got None")
def when_a_line_is_whole(data: bytes) -> bytes | None:
    line, end, _ = data.lstrip().partition(b"\n")
    return line.split()[0].upper() if end and line.split() else None


@wrong(
    "check_first_word", "the word in b'nick\\r\\n': expected b'NICK', but got b'nick'"
)
def as_it_is_typed(data: bytes) -> bytes | None:
    found = re.match(rb"\s*(\S+)\s", data)
    return found[1] if found else None


@wrong("check_first_word", "the word in b'\\r\\n\\r\\n': expected None, but got b''")
def blank_lines_are_words(data: bytes) -> bytes | None:
    found = re.match(rb"(\S*)\s", data)
    return found[1].upper() if found else None


@wrong("check_first_word", "exception ended it, in line")
def always_something(data: bytes) -> bytes | None:
    word = data.split()[0]
    return word.upper() if len(data.lstrip()) > len(word) else None


@right("check_first_word")
def with_a_pattern(data: bytes) -> bytes | None:
    found = re.match(rb"\s*(\S+)\s", data)
    return found[1].upper() if found else None


@right("check_first_word")
def byte_by_byte(data: bytes) -> bytes | None:
    word = b""
    for byte in data:
        if byte not in b" \r\n\t":
            word += bytes([byte])
        elif word:
            return word.upper()
    return None
