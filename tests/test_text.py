"""`python_tcp.text`: what others say is text and nothing else, and rows have the right width."""

import subprocess
import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from python_tcp.text import (
    GREY, LONGEST_TEXT, MOST_MARKS, PALETTE, RED, Span, colour_of, cut, fitting, one_row, sanitize, wrap,
)  # fmt: skip

anything = st.text(st.characters(exclude_categories=()), max_size=300)
tricky = st.text(st.sampled_from("ab \n\te\u0301\u200d\u200c\u200e\u200f\u061c\u2066\u2067\u2068\u2069\u202e\u202c\x1b\u200b日👩\ud800"), max_size=60)  # fmt: skip
LRM, RLM, ALM, LRI, RLI, FSI, PDI = "\u200e\u200f\u061c\u2066\u2067\u2068\u2069"
ZWNJ, ZWJ = "\u200c\u200d"


def width(text: str) -> int:
    return sum(max(wcwidth(character), 0) for character in text)


def isolates_are_closed(row: str) -> bool:
    depth = 0
    for character in row:
        depth += (character in LRI + RLI + FSI) - (character == PDI)
        if depth < 0:
            return False
    return depth == 0


# --- text from others ------------------------------------------------------------------


@given(anything | tricky)
def test_sanitized_text_has_nothing_that_is_obeyed(text: str) -> None:
    clean = sanitize(text)
    for character in clean.replace("\n", ""):
        category = unicodedata.category(character)
        assert category not in ("Cc", "Cs", "Zl", "Zp") and wcwidth(character) >= 0
        bidi = unicodedata.bidirectional(character)
        assert bidi not in ("LRE", "RLE", "LRO", "RLO", "PDF")
    assert sanitize(clean) == clean
    for row in clean.split("\n"):
        assert isolates_are_closed(row)
        stands = [c for c in row if c not in LRM + RLM + ALM + LRI + RLI + FSI + PDI]
        marks = "".join("m" if wcwidth(c) == 0 else "." for c in stands)
        assert "m" * (MOST_MARKS + 1) not in marks and not marks.startswith("m")


@given(
    st.text(
        st.characters(
            categories=["L", "N", "P", "Zs"],
            exclude_characters="\u3164\u115f\u1160\uffa0",
        ),
        max_size=100,
    )
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    if all(wcwidth(character) > 0 for character in text):
        assert sanitize(text) == text


@pytest.mark.parametrize("text", [
    "grüße", "e\u0301", "日本", "👋🏽", "🇫🇷", "שלום", "ไทย", "two\nrows",
    f"👩{ZWJ}👩{ZWJ}👧 and 🏳{ZWJ}🌈",  # one emoji out of several
    f"می{ZWNJ}خواهم",  # Persian: without it, two letters would be joined
    f"क्{ZWJ}ष क्{ZWNJ}ष",  # Hindi: which form a letter takes
    f"C++{LRM} של", f"{RLM}(1)", f"{ALM}٣",
    f"{FSI}שלום{PDI} said hello", f"{LRI}a {RLI}b{PDI} c{PDI}",
])  # fmt: skip
def test_what_languages_and_emoji_need_stays(text: str) -> None:
    assert sanitize(text) == text


def test_a_variation_selector_is_dropped() -> None:
    assert (
        sanitize("❤\ufe0f") == "❤"
    )  # terminals disagree how wide it makes a character


@pytest.mark.parametrize(("text", "clean"), [
    ("\x1b[2J\x9b31m", "\ufffd[2J\ufffd31m"), ("a\u202eb\u200bc", "a\ufffdbc"), ("\ud800", "\ufffd"), ("a\tb", "a    b"), ("\u2028x", "\ufffdx"),
    ("\u0301e" + "\u0301" * 500, "e" + "\u0301" * MOST_MARKS), (" \u0301", " "), (ZWJ + "a" + ZWJ * 9, "a" + ZWJ * MOST_MARKS), (f"{RLI}\u0301a", f"{RLI}a{PDI}"),
])  # fmt: skip
def test_what_becomes_of_the_rest(text: str, clean: str) -> None:
    assert sanitize(text) == clean


@pytest.mark.parametrize(("text", "clean"), [
    (f"{RLI}abc", f"{RLI}abc{PDI}"), (f"{LRI}{RLI}{FSI}x", f"{LRI}{RLI}{FSI}x{PDI}{PDI}{PDI}"), (f"a{PDI}b", "ab"), (f"{RLI}a{PDI}{PDI}b", f"{RLI}a{PDI}b"),
    (f"{RLI}a\nb{PDI}", f"{RLI}a{PDI}\nb"),  # a newline ends the paragraph, and with it the isolate
])  # fmt: skip
def test_isolates_are_closed_so_that_what_follows_is_not_disturbed(
    text: str, clean: str
) -> None:
    assert sanitize(text) == clean


def test_a_text_for_one_row() -> None:
    assert one_row("a\nb\x1b\tc") == "a b\ufffd    c"


# --- rows ------------------------------------------------------------------------------


@given(anything, st.integers(2, 60))
def test_what_fits_fits_and_one_more_would_not(text: str, columns: int) -> None:
    text = one_row(text)
    size = fitting(text, columns)
    assert width(text[:size]) <= columns
    assert size == len(text) or width(text[: size + 1]) > columns


@given(anything, st.integers(10, 60), st.integers(0, 6))
def test_rows_hold_all_of_the_text_and_are_not_too_wide(
    text: str, columns: int, indent: int
) -> None:
    text = sanitize(text)
    rows = [text[start:end] for start, end in wrap(text, columns, indent)]
    assert all(
        width(row) <= columns - indent * (place > 0) for place, row in enumerate(rows)
    )
    held = {
        place
        for start, end in wrap(text, columns, indent)
        for place in range(start, end)
    }
    assert all(
        character in " \n" for place, character in enumerate(text) if place not in held
    )


@given(
    st.lists(st.text(max_size=20), max_size=5), st.integers(0, 100), st.integers(0, 100)
)
def test_cutting_spans_is_cutting_their_text(
    texts: list[str], start: int, end: int
) -> None:
    row = [Span(text, colour=28) for text in texts]
    joined = "".join(span.text for span in cut(row, start, end))
    assert joined == "".join(texts)[start : max(start, end)]


# --- colours ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_name_has_the_same_colour_in_every_process() -> None:
    code = "from python_tcp.text import colour_of; print(*map(colour_of, ['ann', 'Bob', 'ANN', '\\ud800']))"  # fmt: skip
    seen = set()
    for seed in ("0", "1"):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, capture_output=True, text=True, env=env, timeout=60
        )
        seen.add(done.stdout)
    (line,) = seen
    first, _, again, _ = map(int, line.split())
    assert first == again
    assert {colour_of(f"user{number}") for number in range(200)} == set(PALETTE)


def luminance(colour: int) -> float:
    """Relative luminance (WCAG 2.1) of a colour of the palette of 256."""
    levels = [0, 95, 135, 175, 215, 255]
    cube = [levels[(colour - 16) // step % 6] for step in (36, 6, 1)]
    channels = cube if colour < 232 else [8 + 10 * (colour - 232)] * 3
    linear = [
        c / 3294 if c < 11 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*PALETTE, GREY, RED])
def test_every_colour_can_be_read_on_black_and_on_white(colour: int) -> None:
    assert (luminance(colour) + 0.05) / 0.05 >= 4.5 <= 1.05 / (luminance(colour) + 0.05)


# --- what no server should send ----------------------------------------------------------


@pytest.mark.parametrize(
    "part", ["x", "x ", "日", "日 ", "\t", "\n", "\u200e", "e\u0301", "\u2066\n"]
)
def test_four_megabytes_are_cut_and_wrapped_in_no_time(part: str) -> None:
    text = part * (4_000_000 // len(part))
    start = time.thread_time()
    clean = sanitize(text)
    assert len(clean) <= 2 * LONGEST_TEXT and "characters)" in clean
    assert sanitize(clean) == clean and wrap(clean, 80, 2)
    assert time.thread_time() - start < 5  # 0.1 where nothing else runs


@pytest.mark.slow
@pytest.mark.parametrize("part", ["x", "x ", "日", "日 ", "x" * 70 + " ", "\u200e"])
def test_wrapping_takes_time_in_proportion_to_the_text(part: str) -> None:
    def seconds(size: int) -> float:
        text, start = part * (size // len(part)), time.thread_time()
        wrap(text, 80, 2)
        return time.thread_time() - start

    least = [min(seconds(size) for _ in range(3)) for size in (100_000, 800_000)]
    assert least[1] < 40 * max(least[0], 0.001), "quadratic would be 64"
