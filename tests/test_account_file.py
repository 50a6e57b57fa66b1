"""Accounts, bans and settings of rooms in the data file: whole or not at all, whoever kills the server."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from helpers import LIMIT, LineClient, wait_until

from python_tcp.account_file import SavedAccounts, SavedModeration, read_accounts
from python_tcp.account_file import read_audit, read_bans, read_rooms, save_account
from python_tcp.account_tool import start_accounts
from python_tcp.backup import back_up
from python_tcp.bans import SavedBan
from python_tcp.chat_server import ChatServer
from python_tcp.datafile import FILE_VERSION, end_well, open_file
from python_tcp.history import SQLiteStore
from python_tcp.members import Account
from python_tcp.passwords import HashParameters, PasswordHasher
from python_tcp.protocol import Limits
from python_tcp.room_settings import AuditRecord, SavedMute, SavedRoom
from python_tcp.secret import Secret

CHEAP = HashParameters(time_cost=1, memory_cost=32, parallelism=1)
PASSWORD = "blue-Kettle-9"
FREE = Limits(flood_burst=0, connections_per_address=0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def store(file: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(file)
    yield store
    with suppress(sqlite3.ProgrammingError):  # closed by the test
        store.close()


def commit(store: SQLiteStore) -> None:
    errors: list[object] = []
    store.commit(errors.append)
    assert errors == [None]


def facts(file: Path) -> list[tuple[object, ...]]:
    return [(a.name, a.hash, a.role, a.created, a.read) for a in read_accounts(file)]


MUTE = SavedMute("eve", "key", "ann", 5.0, None, "shouts")
ROOM = SavedRoom("lobby", "tea", ["Ann"], True, "a hash", ["bob"], [MUTE])
BAN = SavedBan("", "192.0.2.0/24", "192.0.2.0/24", "ann", 5.0, 6.5, "floods")
NOTE = AuditRecord(5.0, "ann", "ban", "", "192.0.2.0/24", "floods", 6.5)


def write_all(store: SQLiteStore) -> None:
    accounts, moderation = SavedAccounts(store), SavedModeration(store.change)
    accounts.save(Account("Ann", "a hash", "operator", 1.5))
    accounts.mark("Ann", "lobby", 7)
    moderation.save_room(ROOM)
    moderation.save_ban(BAN)
    moderation.note(NOTE)


def read_all(file: Path) -> tuple[object, ...]:
    return facts(file), read_rooms(file), read_bans(file), read_audit(file)


ALL = ([("Ann", "a hash", "operator", 1.5, {"lobby": 7})], [ROOM], [BAN], [NOTE])


def test_what_is_written_is_read_and_a_backup_has_it(
    file: Path, store: SQLiteStore, tmp_path: Path
) -> None:
    write_all(store)
    assert read_all(file) == ([], [], [], [])
    commit(store)
    assert read_all(file) == ALL
    store.close()
    back_up(file, tmp_path / "copy")
    assert read_all(tmp_path / "copy") == ALL


def test_what_is_struck_is_gone_and_what_is_saved_again_is_there_once(
    file: Path, store: SQLiteStore
) -> None:
    write_all(store)
    accounts, moderation = SavedAccounts(store), SavedModeration(store.change)
    accounts.save(Account("Ann", "another hash", "", 1.5))
    moderation.save_room(ROOM._replace(topic="coffee"))
    moderation.save_ban(BAN._replace(until=None))
    commit(store)
    assert [each[1:3] for each in facts(file)] == [("another hash", "")]
    assert [room.topic for room in read_rooms(file)] == ["coffee"]
    assert [ban.until for ban in read_bans(file)] == [None]
    accounts.strike("ANN")
    moderation.strike_room("Lobby")
    moderation.strike_ban("", "192.0.2.0/24")
    commit(store)
    assert read_all(file) == ([], [], [], [NOTE])
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT count(*) FROM read_marks").fetchone() == (0,)


def test_what_changes_after_the_call_is_not_written(
    file: Path, store: SQLiteStore
) -> None:
    account = Account("ann", "a hash")
    SavedAccounts(store).save(account)
    account.set_hash("another one")
    commit(store)
    assert read_accounts(file)[0].hash == "a hash"


def test_the_marks_and_the_notes_that_are_kept_are_bounded(
    file: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("python_tcp.account_file._OLD_NOTES", "DELETE FROM audit WHERE n <= (SELECT max(n) FROM audit) - 10")  # fmt: skip
    accounts, moderation = SavedAccounts(store), SavedModeration(store.change)
    accounts.save(Account("ann", "a hash"))
    for number in range(500):
        accounts.mark("ann", f"room{number}", number)
        moderation.note(NOTE._replace(timestamp=float(number)))
    commit(store)
    [ann], notes = read_accounts(file), read_audit(file)
    assert list(ann.read.values()) == list(range(500 - Account.ROOMS, 500))
    assert [note.timestamp for note in notes] == [float(n) for n in range(490, 500)]
    with closing(sqlite3.connect(file)) as db:
        count = db.execute("SELECT count(*) FROM read_marks").fetchone()
        assert count == (Account.ROOMS,)


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_a_file_of_an_older_version_gets_the_tables(file: Path, version: int) -> None:
    end_well(open_file(file))
    with closing(sqlite3.connect(file)) as db:
        db.execute("DROP TABLE node")
        if version < 4:
            for table in ("accounts", "read_marks", "room_settings", "bans", "audit"):
                db.execute(f"DROP TABLE {table}")
        if version < 5:
            db.execute("ALTER TABLE messages DROP COLUMN file")
        if version < 3:
            db.execute("DROP TABLE places")
        if version < 2:
            db.executescript(
                "DROP TABLE log; CREATE TABLE log (epoch);"
                " INSERT INTO log VALUES ('cafe'); DROP TABLE messages; CREATE TABLE"
                " messages (room, seq, username, content, timestamp);"
            )
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    with ChatServer(data=file, limits=FREE, costs=CHEAP) as server:
        with LineClient(server.port) as ann:
            ann.say("register", username="ann", password=PASSWORD)
            ann.read_until("account")
    assert [account.name for account in read_accounts(file)] == ["ann"]
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (FILE_VERSION,)


EDITS: dict[str, str] = {
    "a name that is none": "UPDATE accounts SET name = 'a b'",
    "bytes": "UPDATE accounts SET hash = x'ff00'",
    "a text for a time": "UPDATE accounts SET created = 'yesterday'",
    "no JSON": "UPDATE room_settings SET settings = '{'",
    "JSON of something else": "UPDATE room_settings SET settings = '[1, 2]'",
    "a mark that is none": "UPDATE read_marks SET seq = -1",
    "a ban without an end": "UPDATE bans SET until = 'later'",
    "a note": "UPDATE audit SET timestamp = x'00'",
}


@pytest.mark.parametrize("sql", EDITS.values(), ids=EDITS)
def test_what_somebody_has_edited_is_left_out_and_the_server_starts(
    file: Path, store: SQLiteStore, caplog: pytest.LogCaptureFixture, sql: str
) -> None:
    write_all(store)
    commit(store)
    store.close()
    with closing(sqlite3.connect(file)) as db:
        db.execute(sql)
        db.commit()
    before = read_all(file)
    assert before != ALL and "left out" in caplog.text
    with ChatServer(data=file, limits=FREE) as server, LineClient(server.port) as bob:
        bob.join("bob", "elsewhere")


def test_a_disk_that_is_full_makes_no_account(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person is told, the server knows nothing of it, and a little later it works."""
    from python_tcp import filewriter
    from python_tcp.messages import StoreError

    write = filewriter._write

    def full(db: sqlite3.Connection, batch: filewriter.Batch) -> None:
        if batch.changes and not relieved:
            raise StoreError("database or disk is full")
        write(db, batch)

    relieved: list[bool] = []
    monkeypatch.setattr(filewriter, "_write", full)
    with ChatServer(data=file, limits=FREE, costs=CHEAP) as server:
        with LineClient(server.port) as ann:
            ann.say("register", username="ann", password=PASSWORD, id=1)
            ann.say("ping", id=2)
            told = [ann.read()]
            while told[-1]["type"] != "pong":
                told.append(ann.read())
            assert read_accounts(file) == []
            relieved.append(True)
        with LineClient(server.port) as bob:
            bob.say("register", username="bob", password=PASSWORD, id=1)
            bob.read_until("account", id=1)
    assert "bob" in [account.name for account in read_accounts(file)]


# --- kill -9 -----------------------------------------------------------------------------------


class Worker:
    """Goes on until the server is gone, and writes down what it was told."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError, AssertionError, json.JSONDecodeError):
            self._work()

    def join(self) -> None:
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()


KILLS = 50
SERVER = """
import sys
from python_tcp.chat_server import ChatServer
from python_tcp.passwords import HashParameters
from python_tcp.protocol import Limits
limits = Limits(flood_burst=0, connections_per_address=0)
costs, trusted = HashParameters(1, 32, 1), ["127.0.0.0/8"]
with ChatServer(
    data=sys.argv[1], limits=limits, costs=costs, trusted_networks=trusted
) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow(seconds=40)
def test_kill_9_at_50_random_moments_while_accounts_and_bans_are_made(
    file: Path,
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # is shown if the test fails
    dice = random.Random(seed)
    with closing(open_file(file)) as db:
        hash = PasswordHasher(CHEAP).hash(Secret(PASSWORD))
        save_account(db, Account("boss", hash, "operator"))
        db.execute("COMMIT")
    made: set[str] = set()  # accounts of which somebody was told
    told: set[str] = set()  # and bans and rooms
    asked: dict[str, str] = {"boss": PASSWORD}

    def register(port: int, kill: int) -> None:
        for number in range(1000):
            name = f"p{kill}-{number}"
            asked[name] = f"{os.urandom(4).hex()}-Kettle"
            with LineClient(port) as person:
                person.say("register", username=name, password=asked[name])
                person.read_until("account")
                made.add(name)

    def ban(port: int, kill: int) -> None:
        with LineClient(port) as boss:
            boss.say("login", username="boss", password=PASSWORD)
            boss.read_until("account")
            boss.say("join", username="boss", room="office")
            for number in range(1000):
                target = f"bad{kill}-{number}"
                boss.say("ban", target=target, id=2 * number)
                boss.read_until("ok", id=2 * number)
                told.add(target)
                room = f"r{kill}-{number}"
                boss.say("join", username="boss", room=room)
                boss.say("register_room", room=room, id=2 * number + 1)
                boss.read_until("ok", id=2 * number + 1)
                told.add(room)
                boss.say("leave", room=room)

    for kill in range(KILLS):
        command = [sys.executable, "-c", SERVER, str(file)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server:
            port, those = int(server.stdout.readline()), (made, told)[kill % 2]
            before = len(those)
            workers = [
                Worker(lambda: register(port, kill)), Worker(lambda: ban(port, kill))
            ]  # fmt: skip
            wait_until(lambda: len(those) > before)
            time.sleep(dice.uniform(0, 0.1))
            server.kill()
            for worker in workers:
                worker.join()

    end_well(open_file(file))  # and what was in its log is in the file
    there = {account.name: account for account in read_accounts(file)}
    banned = {ban.target for ban in read_bans(file)}
    rooms = {room.name for room in read_rooms(file)}
    assert made <= there.keys() and told <= banned | rooms, "what was told is there"
    assert len(made) >= KILLS // 2 and told & banned and told & rooms
    hasher, noted = PasswordHasher(CHEAP), {note.target for note in read_audit(file)}
    for name, account in there.items():
        assert hasher.verify(account.hash, Secret(asked[name])), "no half-made account"
    assert banned <= noted, "each ban is in the audit log"
    assert there["boss"].role == "operator"


def test_nobody_writes_lines_into_the_audit_log_that_is_shown(
    file: Path, store: SQLiteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reason and a topic are somebody's words."""
    forged = "x)\n2026-01-01 00:00  root op eve\x1b[2K"
    SavedModeration(store.change).note(
        AuditRecord(0.0, "eve", "topic", "a", "", forged)
    )
    commit(store)
    store.close()
    assert start_accounts(["audit", "--data", str(file)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
