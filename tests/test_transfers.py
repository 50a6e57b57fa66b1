"""The decisions of a transfer: names, typed lines, states, sentences, and the answers of a server."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.transfers import (
    TRANSFER_TRANSITIONS,
    Direction,
    Reply,
    Transfer,
    TransferBoard,
    TransferState,
    first_byte,
    numbered_name,
    reply_to,
    transfer_text,
    typed_file,
)


@given(st.text(string.ascii_letters + ". ", min_size=1), st.integers(1, 99))
def test_numbers_make_different_names_of_the_same_kind(name: str, number: int) -> None:
    assert numbered_name(name, 0) == name
    assert len({numbered_name(name, each) for each in range(number + 1)}) == number + 1
    assert f"({number})" in numbered_name(name, number)


@pytest.mark.parametrize(
    "line, found",
    [
        ("cat.jpg", ("cat.jpg", "")),
        ("  cat.jpg   Minka.jpg ", ("cat.jpg", "Minka.jpg")),
        ("my cat.jpg", ("my cat.jpg", "")),
        ("my cat.jpg my own Minka.jpg", ("my cat.jpg", "my own Minka.jpg")),
        ('"my cat.jpg" Minka.jpg', ("my cat.jpg", "Minka.jpg")),
        ("'my cat.jpg'", ("my cat.jpg", "")),
        (r"my\ cat.jpg Minka", ("my cat.jpg", "Minka")),
        ("don't.txt", ("don't.txt", "")),
        ('"missing cat.jpg" x', ("missing cat.jpg", "x")),
        ('"no end', ('"no end', "")),
        ("~/cat.jpg", ("~/cat.jpg", "")),
    ],
)
def test_what_was_typed(line: str, found: tuple[str, str]) -> None:
    on_disk = {"cat.jpg", "my cat.jpg", "don't.txt", "~/cat.jpg"}
    assert typed_file(line, on_disk.__contains__) == found


def test_every_state_is_reached_and_every_end_is_said() -> None:
    """All walks through the table, with a sentence for all that a person must know."""
    reached, paths = set(), [[Transfer(1, Direction.UP, "cat.jpg", 10)]]
    while paths:
        *_, last = path = paths.pop()
        reached.add(last.state)
        for event, state in TRANSFER_TRANSITIONS[last.state].items():
            after = last.turn(event, note="because")
            assert (after.state, last.ended) == (state, False)
            if state not in {each.state for each in path}:
                paths.append([*path, after])
        told = transfer_text(last)
        silent = TransferState.WAITING, TransferState.RUNNING
        assert (told is None) == (last.state in silent)
    assert reached == set(TransferState)


@pytest.mark.parametrize("direction", Direction)
def test_sentences_have_one_row_whatever_a_name_or_a_server_says(
    direction: Direction,
) -> None:
    evil = "\x1b[31m\nroot: hello\u202e"
    for end in ("fail", "stop", "lost"):
        told = transfer_text(Transfer(1, direction, evil).turn(end, note=evil))
        assert told is not None and not re.search(r"[\x00-\x1f\u202e]", told[0])
    board = TransferBoard()
    board.note(Transfer(1, direction, evil))
    assert not re.search(r"[\x00-\x1f\u202e]", board.bar())


def test_a_board_shows_what_moves_and_forgets_what_has_ended() -> None:
    board, one = TransferBoard(), Transfer(1, Direction.UP, "one", 200).turn("start")
    two = Transfer(2, Direction.DOWN, "two", 200).turn("start")
    assert board.bar() == ""
    for transfer in (one, two, one.turn("move", 20)):
        board.note(transfer)
    assert board.bar() == "sending one 10 % (and 1 more)"
    board.note(one.turn("finish", 200))
    assert board.bar() == "fetching two 0 %"
    board.note(two.turn("stop"))
    assert board.bar() == ""


def test_statuses() -> None:
    assert [reply_to(status) for status in (200, 204, 206)] == [Reply.GOOD] * 3
    assert [reply_to(status) for status in (404, 409, 416)] == [Reply.LOOK] * 3
    assert [reply_to(status) for status in (429, 500, 503)] == [Reply.AGAIN] * 3
    final = (100, 301, 302, 304, 400, 403, 413, 422, 507)
    assert [reply_to(status) for status in final] == [Reply.FINAL] * len(final)


@pytest.mark.parametrize(
    "status, said, start",
    [
        (206, "bytes 5-9/10", 5),
        (200, "", 0),
        (200, "bytes 5-9/10", 0),
        (206, "bytes 0-9/10", None),
        (206, "bytes 5-8/10", None),
        (206, "bytes 5-9/11", None),
        (206, "bytes 5-9/*", None),
        (206, f"bytes 5-9/{'1' * 5000}", None),
        (206, "", None),
        (404, "bytes 5-9/10", None),
    ],
)
def test_where_an_answer_begins(status: int, said: str, start: int | None) -> None:
    assert first_byte(status, said, 5, 10) == start
