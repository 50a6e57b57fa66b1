"""`python_tcp.secret`: what is overwritten is gone, and nothing beside it is touched."""

import sqlite3
from contextlib import closing

import msgspec
import pytest

from python_tcp.secret import Secret, forget, overwrite

KINDS = ["correct horse", "Zürich am See", "漢字 は 難しい", "😀 grins 😀"]


@pytest.mark.parametrize("text", KINDS)
def test_all_of_a_text_is_overwritten(text: str) -> None:
    mine = "".join(list(text))  # one that nobody else holds
    overwrite(mine)
    assert list(mine) == ["\0"] * len(text)


@pytest.mark.parametrize("text", KINDS)
@pytest.mark.parametrize("how", ["msgspec", "sqlite"])
def test_one_that_keeps_a_copy_in_utf8_too_and_not_a_byte_more(
    text: str, how: str
) -> None:
    mine = "".join(list(text))
    if how == "msgspec":
        msgspec.json.encode(mine)
    else:
        with closing(sqlite3.connect(":memory:")) as db:
            assert db.execute("SELECT ?", [mine]).fetchone() == (text,)
    neighbours = ["".join(list(text)) for _ in range(100)]
    overwrite(mine)
    assert list(mine) == ["\0"] * len(text)
    assert neighbours == [text] * 100


def test_a_line_without_a_password_stays() -> None:
    line = b"".join([b'{"type":"message",', b'"content":"hello"}'])
    forget(line)
    assert line == b'{"type":"message","content":"hello"}'
    secret = b"".join([b'{"type":"login",', b'"password":"correct horse"}'])
    forget(secret)
    assert set(secret) == {0}


def test_a_secret_is_not_shown_and_can_be_wiped() -> None:
    secret = Secret("".join(["correct ", "horse"]))
    assert "horse" not in f"{secret!r} {secret} {[secret]}"
    assert bytes(secret.data) == b"correct horse"
    secret.wipe()
    assert bytes(secret.data) == bytes(13)
