"""Answers to the exercise of the chapter tutorials."""

import re

from exercises import right, wrong


@wrong(
    "check_tilde", "tilde_piece('ann', 'a~b'): expected 'ann~a-b', but got 'ann~a~b'"
)
def as_it_is(name: str, text: str) -> str:
    return f"{name}~{text or '-'}"


@wrong("check_tilde", "tilde_piece('ann', ''): expected 'ann~-', but got 'ann~'")
def maybe_empty(name: str, text: str) -> str:
    return f"{name}~{text.replace('~', '-')}".replace("\n", " ")


@wrong("check_tilde", "tilde_piece('ann', '\\n'): expected 'ann~-', but got 'ann~ '")
def a_blank_is_a_text(name: str, text: str) -> str:
    return f"{name}~{text.replace('~', '-').replace(chr(10), ' ') or '-'}"


@wrong(
    "check_tilde", "tilde_piece('ann', 'a\\nb'): expected 'ann~a b', but got 'ann~a'"
)
def the_first_line(name: str, text: str) -> str:
    lines = text.replace("~", "-").splitlines() or [""]
    return f"{name}~{lines[0] or '-'}"


@wrong("check_tilde", "expected 'ann~hi', but got ('ann', 'hi')")
def a_pair(name: str, text: str) -> tuple[str, str]:
    return name, text


@right("check_tilde")
def with_a_table(name: str, text: str) -> str:
    left = text.translate(str.maketrans("~\n", "- ")).strip()
    return name + "~" + (left if left else "-")


@right("check_tilde")
def with_words(name: str, text: str) -> str:
    words = re.split(r"\s+", text.replace("~", "-"))
    return f"{name}~{' '.join(filter(None, words)) or '-'}"
