"""A data file that somebody has changed by hand: what no server writes is left out, and everybody gets an answer."""

import logging
import sqlite3
from pathlib import Path

import pytest
from helpers import LineClient

from python_tcp.chat_server import ChatServer
from python_tcp.datafile import StoreFileError
from python_tcp.history import SQLiteStore
from python_tcp.messages import Archive
from python_tcp.protocol import Limits, Message
from python_tcp.rooms import Rooms

HIGHEST = 2**63 - 1  # that SQLite can keep
SESSION = "session of ann"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Five messages in the lobby, and the ids under which they were said."""
    store = SQLiteStore(tmp_path / "chat.db")
    for seq in range(1, 6):
        store.append(Message("lobby", seq, "ann", f"{seq}", 1.0), SESSION, seq)
    store.commit(lambda error: None)
    store.close()
    return tmp_path / "chat.db"


def edit(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for sql in statements:
        db.execute(sql)
    db.close()


EDITS = {
    "content is no text": "UPDATE messages SET content = x'00ff' WHERE seq = 2",
    "content is too long": "UPDATE messages SET content = hex(zeroblob(90000)) WHERE seq = 2",
    "a name is no text": "UPDATE messages SET username = x'00' WHERE seq = 2",
    "a name is no name": "UPDATE messages SET username = 'a b' WHERE seq = 2",
    "a time is no number": "UPDATE messages SET timestamp = 'now' WHERE seq = 2",
    "a time has no end": "UPDATE messages SET timestamp = 9e999 WHERE seq = 2",
    "a number is no number": "UPDATE messages SET seq = 'two' WHERE seq = 2",
    "a number is bytes": "UPDATE messages SET seq = x'02' WHERE seq = 2",
    "a number is broken": "UPDATE messages SET seq = 2.5 WHERE seq = 2",
    "a row is gone": "DELETE FROM messages WHERE seq = 2",
    "the highest number": f"UPDATE messages SET seq = {HIGHEST} WHERE seq = 2",
    "the lowest number": "UPDATE messages SET seq = -1 WHERE seq = 2",
}  # fmt: skip


@pytest.mark.parametrize("sql", EDITS.values(), ids=EDITS)
def test_one_row_is_left_out_and_the_rest_is_as_before(path: Path, sql: str) -> None:
    edit(path, sql)
    with ChatServer(data=path) as server, LineClient(server.port) as bob:
        bob.say("join", username="bob", since=0, id="in")
        assert bob.read()["type"] == "welcome"
        page = bob.read_until("history")
        assert [each["seq"] for each in page["messages"]] == [1, 3, 4, 5]
        bob.say("history", limit=2, before=4, id="page")
        numbers = [each["seq"] for each in bob.read_until("history")["messages"]]
        assert numbers == ([3] if "DELETE" in sql or "seq = 2" in sql else numbers)
        bob.say("message", content="hello", id=1)
        assert bob.read_until("ok") == {"type": "ok", "id": 1, "seq": 6}


def test_text_that_is_no_utf8_is_shown_as_far_as_it_is(path: Path) -> None:
    edit(path, "UPDATE messages SET content = CAST(x'6869ff' AS TEXT) WHERE seq = 2")
    with ChatServer(data=path) as server, LineClient(server.port) as bob:
        bob.say("join", username="bob", since=0)
        page = bob.read_until("history")
        assert page["messages"][1]["content"] == "hi\ufffd"


def test_what_is_left_out_is_said_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(
        path,
        "UPDATE messages SET content = x'00' WHERE seq = 2",
        f"UPDATE messages SET seq = {HIGHEST} WHERE seq = 5",
    )
    with ChatServer(data=path) as server, LineClient(server.port) as bob:
        assert caplog.messages == ["history: messages left out for their numbers: 1"]
        bob.say("join", username="bob", since=0)
        bob.read_until("history")
        bob.say("history")
        bob.read_until("history")
    assert caplog.messages[1:] == ["history: message 2 of lobby is damaged: left out"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ids SET id = x'01' WHERE seq = 3",
        "UPDATE ids SET id = 1.5 WHERE seq = 3",
        "UPDATE ids SET seq = 'x' WHERE seq = 3",
    ],
)
def test_an_id_that_is_none_is_left_out(path: Path, sql: str) -> None:
    edit(path, sql)
    store = SQLiteStore(path)
    assert store.ids(SESSION) == {1: 1, 2: 2, 4: 4, 5: 5}
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        f"INSERT INTO forgotten (room, seq) VALUES ('attic', {HIGHEST})",
        "INSERT INTO forgotten (room, seq) VALUES ('attic', x'01')",
        f"UPDATE log SET floor = {HIGHEST}",
        "UPDATE log SET floor = 'high'",
        "UPDATE log SET epoch = x'6162'",
    ],
)
def test_a_room_with_no_message_goes_on_from_a_number_that_can_be(
    path: Path, sql: str
) -> None:
    edit(path, sql)
    with ChatServer(data=path) as server, LineClient(server.port) as bob:
        bob.say("join", username="bob", room="attic")
        welcome = bob.read_until("welcome")
        assert isinstance(welcome["epoch"], str) and 0 <= welcome["seq"] <= 2**52
        bob.say("message", content="hello", id=1)
        assert bob.read_until("ok")["seq"] == welcome["seq"] + 1


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE messages SET n = {HIGHEST} WHERE seq = 5",
        f"UPDATE sqlite_sequence SET seq = {HIGHEST} WHERE name = 'messages'",
    ],
)
def test_a_file_that_can_take_no_more_rows_is_refused_or_mended(
    path: Path, sql: str
) -> None:
    """Else nothing could be saved, for ever."""
    edit(path, sql)
    if "sqlite_sequence" not in sql:
        with pytest.raises(StoreFileError, match="damaged: its rows have no number"):
            SQLiteStore(path)
        return
    with ChatServer(data=path) as server, LineClient(server.port).join("bob") as bob:
        bob.say("message", content="hello", id=1)
        assert bob.read_until("ok")["seq"] == 6


def test_a_time_that_is_none_does_not_keep_a_server_from_starting(path: Path) -> None:
    edit(path, "UPDATE messages SET timestamp = 'now' WHERE seq = 5")
    with ChatServer(data=path, limits=Limits(history_days=1e6)) as server:
        assert server.running


# --- a rule that fails ----------------------------------------------------------------


@pytest.mark.parametrize("data", [True, False])
def test_a_rule_that_fails_is_answered_and_logged(
    path: Path, data: bool, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Whatever it fails with, and when: before or after something was read."""
    page = Archive.page
    fails = [ZeroDivisionError("after"), ZeroDivisionError("before")]

    def broken(*args: object, **kwargs: object) -> object:
        if len(fails) == 2:
            raise fails.pop()
        found = page(*args, **kwargs)
        if fails:
            raise fails.pop()
        return found

    monkeypatch.setattr(Archive, "page", broken)
    with (
        ChatServer(data=path if data else None) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        for id in (1, "two"):
            ann.say("history", id=id)
            error = ann.read_until("error")
            assert (error["code"], error["id"]) == ("server_error", id)
        ann.say("history", id=3)
        assert ann.read_until("history")["id"] == 3, "it goes on"
    told = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [str(each.exc_info[1]) for each in told] == ["before", "after"]


def test_a_join_whose_rule_fails_is_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise AttributeError("'bytes' object has no attribute 'encode'")

    with ChatServer(data=path) as server, LineClient(server.port) as ann:
        monkeypatch.setattr(Rooms, "handle", broken)
        ann.say("join", username="ann", since=0, id=7)
        error = ann.read_until("error")
        assert (error["code"], error["id"]) == ("server_error", 7)
        monkeypatch.undo()
        ann.join("ann")


def test_a_price_that_can_not_be_reckoned_is_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ChatServer(data=path) as server, LineClient(server.port).join("ann") as ann:
        monkeypatch.setattr("python_tcp.admission._surcharge", lambda page: 1 / 0)
        ann.say("history", id=1)
        assert ann.read_until("error")["code"] == "server_error"
        monkeypatch.undo()
        ann.say("history", id=2)
        assert ann.read_until("history")["id"] == 2
