"""Answers to the exercises of the chapter text."""

import re
import unicodedata

from exercises import right, wrong
from wcwidth import wcswidth, wcwidth

from python_tcp.text import UNSAFE, sanitize


@wrong("check_columns", "expected 4, but got 2")
def characters(text: str) -> int:
    return len(text)


@wrong("check_columns", "'e\\u0301'")
def wide_ones_twice(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@wrong("check_columns", "expected 5, but got 10")
def bytes_of_utf_16(text: str) -> int:
    return len(text.encode("utf-16-le"))


@wrong("check_columns", "'a\\x07'")
def with_less_for_a_bell(text: str) -> int:
    return sum(map(wcwidth, text))


@wrong("check_columns", "'a\\u200e'")
def composed(text: str) -> int:
    text = unicodedata.normalize("NFC", text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@right("check_columns")
def by_wcswidth(text: str) -> int:
    return max(wcswidth("".join(c for c in text if wcwidth(c) >= 0)), 0)


@right("check_columns")
def by_categories(text: str) -> int:
    wide = 0
    for c in text:
        if unicodedata.combining(c) or unicodedata.category(c) in ("Cf", "Cc", "Mn"):
            continue
        wide += 2 if unicodedata.east_asian_width(c) in "WF" else 1
    return wide


@wrong("check_reveal", "which has nothing special")
def escaped(text: str) -> str:
    return text.encode("unicode_escape").decode()


@wrong("check_reveal", "which has a joiner and a tag")
def only_unsafe(text: str) -> str:
    return UNSAFE.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


@wrong("check_reveal", "an escape sequence")
def without_zeros(text: str) -> str:
    return re.sub(r"<U\+0+", "<U+", character_by_character(text))


@wrong("check_reveal", "an override")
def left_out(text: str) -> str:
    shown = character_by_character(text)
    return re.sub(r"<U\+20..>", "", shown)


@wrong("check_reveal", "which has nothing special")
def newlines_too(text: str) -> str:
    return "".join(f"<U+{ord(c):04X}>" if wcwidth(c) < 1 else c for c in text)


@right("check_reveal")
def character_by_character(text: str) -> str:
    shown = ""
    for c in text:
        if c != "\n" and (UNSAFE.search(c) or wcwidth(c) == 0):
            shown += "<U+" + hex(ord(c))[2:].upper().rjust(4, "0") + ">"
        else:
            shown += c
    return shown


@right("check_reveal")
def by_translation(text: str) -> str:
    hidden = {c for c in text if wcwidth(c) == 0 or UNSAFE.fullmatch(c)} - {"\n"}
    return text.translate({ord(c): f"<U+{ord(c):04X}>" for c in hidden})


@wrong("check_title", "the screen after 'x\\x07")
def as_it_is(room: str) -> str:
    return f"\x1b]2;{room}\x07"


@wrong("check_title", "the screen after 'x\\x07")
def without_escapes_only(room: str) -> str:
    return f"\x1b]2;{room.replace(chr(27), '')}\x07"


@wrong("check_title", "the first letter of the title after 'lobby'")
def no_title(room: str) -> str:
    return ""


@wrong("check_title", "the screen after 'lobby'")
def without_an_end(room: str) -> str:
    return f"\x1b]2;{sanitize(room)}"


@wrong("check_title", "after '日本'")
def only_ascii(room: str) -> str:
    return f"\x1b]2;{re.sub(r'[^ -~]', '', room)}\x07"


@right("check_title")
def only_printable(room: str) -> str:
    return f"\x1b]2;{''.join(c for c in room if c.isprintable())}\x07"


@right("check_title")
def with_question_marks(room: str) -> str:
    safe = "".join("?" if unicodedata.category(c)[0] == "C" else c for c in room)
    return "\x1b]2;" + safe + "\x07"
