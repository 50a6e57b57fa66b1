"""`python_tcp.check`: the verdict on an answer comes in plain words, in time, and whatever the answer does."""

import subprocess
import sys
import threading
import time

import pytest

from python_tcp.check import NotYet, check, expect, show


@check
def check_double(answer):
    """Whether answer(x) is 2x."""
    expect("double(1)", 2, answer(1))
    expect("double(b'ab')", b"abab", answer(b"ab"))


def test_a_right_answer_is_told_so() -> None:
    assert check_double(lambda x: x * 2) == "Right."


def test_a_wrong_one_is_told_what_was_done_what_was_expected_and_what_came() -> None:
    assert (
        check_double(lambda x: x + x if x == 1 else x)
        == "Not yet. double(b'ab'): expected b'abab', but b'ab' came."
    )


def test_the_first_difference_ends_the_check() -> None:
    asked = []
    check_double(asked.append)
    assert asked == [1]


@pytest.mark.parametrize("error, words", [
    (ValueError("no such\n  thing"), "ValueError: no such thing"), (KeyError("name"), "KeyError: 'name'"), (TimeoutError(), "TimeoutError"), (SystemExit(3), "SystemExit: 3"),
])  # fmt: skip
def test_an_exception_is_told_by_name_and_message(
    error: BaseException, words: str
) -> None:
    def answer(x):
        raise error

    assert check_double(answer) == f"Not yet. An exception ended it: {words}"


def test_a_long_message_is_shortened() -> None:
    def answer(x):
        raise ValueError("word " * 10_000)

    assert len(check_double(answer)) < 300


def test_an_answer_without_end_is_given_up_and_holds_nothing_back() -> None:
    released = threading.Event()

    @check(limit=0.1)
    def check_ends(answer):
        answer()

    start = time.monotonic()
    try:
        assert check_ends(released.wait) == "Not yet. It has not ended after 0.1 s."
        assert 0.1 <= time.monotonic() - start < 5
        assert all(
            thread.daemon
            for thread in threading.enumerate()
            if thread.name == "check_ends"
        )
    finally:
        released.set()
    assert check_ends(lambda: None) == "Right."


def test_a_program_ends_though_an_answer_does_not() -> None:
    code = "import threading; from python_tcp.check import check; print(repr(check(lambda answer: answer(), limit=0.1)(threading.Event().wait)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "Not yet. It has not ended after 0.1 s.\n",
        "",
    )


def test_the_verdict_is_a_string_that_is_shown_bare() -> None:
    verdict = check_double(lambda x: x)
    assert isinstance(verdict, str) and repr(verdict) == str(verdict) == verdict


def test_the_check_keeps_its_name_and_what_it_says_of_itself() -> None:
    assert (check_double.__name__, check_double.__doc__) == (
        "check_double",
        "Whether answer(x) is 2x.",
    )


@pytest.mark.parametrize(
    "value, unit", [(b"x" * 100_000, "bytes"), ("ü" * 100_000, "characters")]
)
def test_long_bytes_and_text_are_shortened_and_counted(
    value: bytes | str, unit: str
) -> None:
    assert show(value).endswith(f" (100000 {unit})") and len(show(value)) < 100
    assert show([value] * 1000).count("...") and len(show([value] * 1000)) < 1500
    assert show(value[:10]) == repr(value[:10])


def test_what_is_not_long_is_shown_whole() -> None:
    for value in (
        "ü" * 60,
        b"x" * 60,
        list(range(12)),
        tuple(range(12)),
        set(range(12)),
        {n: n for n in range(12)},
    ):
        assert show(value) == repr(value)
    assert show(list(range(13))) == f"[{', '.join(map(str, range(12)))}, ...]"


def test_where_long_values_begin_to_differ_is_told() -> None:
    with pytest.raises(NotYet, match="The first 400 are the same"):
        expect("the middle", b"a" * 1000, b"a" * 400 + b"b" + b"a" * 599)
    with pytest.raises(NotYet, match="The first 500 are the same"):
        expect("the end", "a" * 1000, "a" * 500)


def test_what_is_equal_passes() -> None:
    assert expect("nothing", [b"", None, {"a": 1}], [b"", None, {"a": 1}]) is None
