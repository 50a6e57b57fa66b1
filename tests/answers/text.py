"""Answers to the exercises of the chapter text."""

import re
import unicodedata

from exercises import right, wrong
from wcwidth import wcswidth, wcwidth

from python_tcp.protocol import UNSAFE


@wrong("check_columns", "the columns of 'e\\u0301': expected 1, but got 2")
def wide_ones_twice(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide


@wrong("check_columns", "the columns of 'a\\x07': expected 1, but got -1")
def the_whole_text(text: str) -> int:
    return wcswidth(text)


@wrong("check_columns", "the columns of 'a\\x07': expected 1, but got 0")
def minus_one_for_controls(text: str) -> int:
    return sum(wcwidth(char) for char in text)


@wrong("check_columns", "the columns of '\\u65e5\\u672c': expected 4, but got 6")
def bytes_of_it(text: str) -> int:
    return len(text.encode())


@wrong("check_columns", "the columns of 'hello': expected 5, but got None")
def nothing(text: str) -> None:
    wcswidth(text)


@right("check_columns")
def with_wcwidth(text: str) -> int:
    return sum(width for char in text if (width := wcwidth(char)) > 0)


@right("check_columns")
def without_controls(text: str) -> int:
    return wcswidth(
        "".join(char for char in text if char.isprintable() or wcwidth(char) > 0)
    )


@wrong("check_reveal", "which has a joiner and a tag: expected")
def only_unsafe(text: str) -> str:
    return UNSAFE.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


@wrong(
    "check_reveal", "which has an accent of its own: expected 'e<U+0301>', but got 'é'"
)
def composed(text: str) -> str:
    """With accents put onto their letters, and other marks as they are."""
    return "".join(c if unicodedata.combining(c) else shown(c) for c in text)


@wrong("check_reveal", "expected 'grüße, 日本\\n👋', but got 'grüße, 日本<U+000A>👋'")
def newlines_too(text: str) -> str:
    return "".join(f"<U+{ord(c):04X}>" if wcwidth(c) < 1 else c for c in text)


@wrong(
    "check_reveal", "an escape sequence: expected '<U+001B>[2J', but got '<U+1B>[2J'"
)
def as_many_digits_as_it_has(text: str) -> str:
    return re.sub("<U[+]0+", "<U+", with_a_function(text))


@wrong("check_reveal", "an escape sequence: expected '<U+001B>[2J', but got '[2J'")
def leaves_it_out(text: str) -> str:
    return re.sub("<U[+][0-9A-F]+>", "", with_a_function(text))


def shown(char: str) -> str:
    hidden = UNSAFE.fullmatch(char) or (wcwidth(char) == 0 and char != "\n")
    return f"<U+{ord(char):04X}>" if hidden else char


@right("check_reveal")
def with_a_function(text: str) -> str:
    return "".join(map(shown, text))


@right("check_reveal")
def with_a_table(text: str) -> str:
    hidden = {c for c in text if UNSAFE.match(c) or wcwidth(c) == 0} - {"\n"}
    return text.translate(
        {ord(c): "<U+" + f"{ord(c):x}".upper().zfill(4) + ">" for c in hidden}
    )


@wrong("check_title", "the screen after 'x\\x07\\x1b[2J'")
def without_escapes(room: str) -> str:
    """A BEL ends the title, and what follows is shown."""
    return f"\x1b]2;{room.replace(chr(27), '')}\x07"


@wrong(
    "check_title",
    "the first letter of the title after 'lobby': expected 'l', but got ''",
)
def no_title(room: str) -> str:
    return ""


@wrong("check_title", "newlines in the title after 'x\\ny': expected 0, but got 1")
def without_controls_but_newlines(room: str) -> str:
    return "\x1b]2;" + re.sub("[^ -~\n\u0100-\U0010ffff]", "", room) + "\x07"


@wrong("check_title", "the first letter of the title after '日本'")
def ascii_only(room: str) -> str:
    return f"\x1b]2;{re.sub('[^ -~]', '', room)}\x07"


@wrong("check_title", "the screen after 'lobby': expected '> How do you'")
def without_an_end(room: str) -> str:
    return f"lobby \x1b]2;{room}"


@right("check_title")
def printable_ones(room: str) -> str:
    return f"\x1b]2;{''.join(char for char in room if char.isprintable())}\x07"


@right("check_title")
def controls_are_replaced(room: str) -> str:
    return "\x1b]2;" + re.sub("[\x00-\x1f\x7f-\x9f]", "?", room) + "\x07"
