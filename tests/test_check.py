"""`python_tcp.check`: the verdict on an answer comes in plain words, in time, and whatever the answer does."""

import linecache
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from waiting import LIMIT, wait_until

from python_tcp.check import Background, NotYet, Source, check, expect, shorten, source


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
        == "Not yet. double(b'ab'): expected b'abab', but got b'ab'."
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

    assert check_double(answer) == (
        f"Not yet. An exception ended it, in line `raise error`: {words}"
    )


def test_what_raises_in_the_check_itself_is_told_with_the_line_of_the_check() -> None:
    @check
    def check_sum(answer):
        answer(1).stop()

    said = check_sum(lambda x: None)
    assert said.startswith(
        "Not yet. An exception ended it, in the check's line `answer(1).stop()`: Attr"
    )


def test_an_object_in_the_place_of_a_class_is_told() -> None:
    @check
    def check_name(answer):
        answer.name()

    said = "Not yet. The check got 2 and wanted a function or a class."
    assert check_name(2) == said


@pytest.mark.parametrize("value", [None, 2, b"ab"])
def test_a_result_in_the_place_of_the_function_is_told(value: object) -> None:
    verdict = f"Not yet. The check got {value!r} and wanted a function or a class."
    assert check_double(value) == verdict


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
        assert check_ends(lambda: released.wait()) == (
            "Not yet. It has not ended after 0.1 s: it was in line `assert "
            "check_ends(lambda: released.wait()) == (`. It still waits or runs there. "
            "To end it, restart the kernel."
        )
        assert 0.1 <= time.monotonic() - start < LIMIT / 2
        assert all(
            thread.daemon
            for thread in threading.enumerate()
            if thread.name == "check_ends"
        )
    finally:
        released.set()
    # A busy machine may need more than a tenth of a second for it.
    wait_until(lambda: check_ends(lambda: None) == "Right.")


def test_an_answer_that_spins_is_ended_and_its_line_is_told() -> None:
    rounds = []

    def spins():
        while True:
            try:
                rounds.append(1)
            except BaseException:
                rounds.append(2)

    def stubborn():
        try:
            spins()
        except SystemExit:
            spins()

    @check(limit=0.1)
    def check_ends(answer):
        answer()

    for answer in (spins, stubborn):
        said = check_ends(answer)
        assert said.startswith("Not yet. It has not ended after 0.1 s: it was in line")
        assert said.endswith(". It was ended.")
        assert "check_ends" not in [thread.name for thread in threading.enumerate()]
        rounds.clear()


def test_what_the_check_itself_waits_for_is_told() -> None:
    released = threading.Event()

    @check(limit=0.1)
    def check_event(answer):
        answer()
        released.wait()

    try:
        assert "the check was waiting in its line `released.wait()`" in (
            check_event(lambda: None)
        )
    finally:
        released.set()


def test_a_program_ends_though_an_answer_does_not() -> None:
    code = "import threading; from python_tcp.check import check; print(repr(check(lambda answer: answer(), limit=0.1)(threading.Event().wait)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "Not yet. It has not ended after 0.1 s. It still waits or runs there. "
        "To end it, restart the kernel.\n",
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
    assert shorten(value).endswith(f" (100000 {unit})") and len(shorten(value)) < 100
    assert shorten([value] * 1000).count("...") and len(shorten([value] * 1000)) < 1500
    assert shorten(value[:10]) == repr(value[:10])


def test_what_is_not_long_is_shown_whole() -> None:
    for value in (
        "ü" * 60,
        b"x" * 60,
        list(range(12)),
        tuple(range(12)),
        set(range(12)),
        {n: n for n in range(12)},
    ):
        assert shorten(value) == repr(value)
    assert shorten(list(range(13))) == f"[{', '.join(map(str, range(12)))}, ...]"


def test_where_long_values_begin_to_differ_is_told() -> None:
    with pytest.raises(NotYet, match="The first 400 are the same"):
        expect("the middle", b"a" * 1000, b"a" * 400 + b"b" + b"a" * 599)
    with pytest.raises(NotYet, match="The first 500 are the same"):
        expect("the end", "a" * 1000, "a" * 500)


def test_what_is_equal_passes() -> None:
    assert expect("nothing", [b"", None, {"a": 1}], [b"", None, {"a": 1}]) is None


class Cat:
    """A class with methods of each kind."""

    @property
    def name(self) -> str:
        return "Tom"

    @staticmethod
    def sound() -> str:
        """```meow```"""
        return "meow"


def test_the_source_of_a_function_a_method_a_property_and_a_class_is_shown() -> None:
    name = '@property\ndef name(self) -> str:\n    return "Tom"'
    assert str(source(Cat.name)) == repr(source(Cat.name)) == name
    assert source(Cat.name)._repr_markdown_() == f"```python\n{name}\n```"
    assert str(source(Cat)).startswith("class Cat:")
    assert str(source(check_double)).startswith("@check\ndef check_double(answer):")
    assert str(source(Source.__str__)).startswith("def __str__(self)")  # imported


def test_a_fence_in_a_source_does_not_end_the_block_that_shows_it() -> None:
    block = source(Cat.sound)._repr_markdown_()
    assert block.startswith("````python\n@staticmethod") and block.endswith("\n````")


def test_what_has_no_source_is_said() -> None:
    with pytest.raises((TypeError, OSError)):
        source(len)


def test_an_answer_beside_its_check_is_told_with_its_line() -> None:
    ours, theirs = socket.socketpair()

    def answer(sock):
        with sock:
            sock.recv(1, "one")

    @check
    def check_echo(answer):
        with Background(answer, theirs):
            ours.settimeout(2)
            ours.sendall(b"x")
            expect("Sent b'x'", b"x", ours.recv(1))

    with ours, theirs:
        said = check_echo(answer)
    assert said.startswith(
        'Not yet. An exception ended it, in line `sock.recv(1, "one")`: TypeError'
    )


def test_an_answer_beside_its_check_may_not_stay_behind() -> None:
    @check
    def check_ends(answer):
        with Background(answer) as call:
            call.result(0.1)

    def answer():
        while True:
            pass

    said = check_ends(answer)
    assert said.startswith("Not yet. It has not ended after 0.1 s: it was in line")
    assert said.endswith("It was ended.")
    assert check_ends(lambda: None) == "Right."
    with Background(lambda a, b: a + b, 1, 2) as call:
        assert call.result() == 3 and call.ended


@pytest.mark.parametrize(
    "fold",
    [
        '#| code-summary: "{}"\n#| code-fold: true\n',
        '#| code-fold: true\n#| code-summary: "{}"\n',
    ],
)
def test_a_folded_cell_beside_the_check_is_not_the_answers(
    tmp_path: Path, fold: str
) -> None:
    def cell(name: str, source: str) -> None:
        lines = source.splitlines(keepends=True)
        linecache.cache[name] = (len(source), None, lines, name)
        exec(compile(source, name, "exec"), space)

    space: dict[str, object] = {"check": check, "expect": expect}
    helper = "def helper():\n    raise ConnectionError('dead')\n"
    cell("<one>", fold.format("What the check hears") + helper)
    cell("<two>", fold.format("The check") + "@check\ndef check_it(answer): answer()\n")
    solution = "def tried():\n    return helper()\n"
    cell("<three>", fold.format("A first try") + solution)
    said = space["check_it"](space["tried"])
    assert "in line `return helper()`: ConnectionError: dead" in said
