"""`python_tcp.history`: what was committed is there after any crash, a file of others stays as it is, and a client misses nothing and repeats nothing."""

import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_tcp.history import (
    APPLICATION_ID,
    VERSION,
    LogFileError,
    Reader,
    Sender,
    SQLiteLog,
    pauses,
)
from python_tcp.protocol import Bucket, Join, Limits, Message, MessageId, Say
from python_tcp.rooms import LogError, MemoryLog, MessageLog, Rooms

NOW = 1_700_000_000.5


def message(
    seq: int, room: str = "lobby", content: str = "hi", timestamp: float = NOW
) -> Message:
    return Message(room, seq, "ann", content, timestamp)


def add(
    log: MessageLog,
    *seqs: int,
    room: str = "lobby",
    commit: bool = True,
    timestamp: float = NOW,
) -> None:
    for seq in seqs:
        log.append(message(seq, room, timestamp=timestamp), "session", seq)
    if commit:
        log.commit()


def seqs(log: MessageLog, room: str = "lobby") -> list[int]:
    return [message.seq for message in log.read(room, 0, 2**63 - 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
def log(path: Path) -> Iterator[SQLiteLog]:
    log = SQLiteLog(path)
    yield log
    log.close()


# --- what is in the file -----------------------------------------------------------------------------------------


def test_a_message_comes_back_as_it_was(path: Path, log: SQLiteLog) -> None:
    said = [
        Message("lobby", 1, "Ann_.-", "hi", 1.5), Message("lobby", 2, "ann", "grüße 👋🏽 日本語 שלום e\u0301 👩\u200d💻 \U0010ffff\n\ttab", NOW),
        Message("lobby", 3, "a" * 32, "👋" * 4000, 2e9), Message("r" * 64, 1, "b", "'; DROP TABLE messages; --", 0.0), Message("lobby", 4, "ann", "123", 1.0),
    ]  # fmt: skip
    for each in said:
        log.append(each, "session", None)
    log.commit()
    log.close()
    again = SQLiteLog(path)
    assert [
        each for room in ("lobby", "r" * 64) for each in again.read(room, 0, 99)
    ] == [*said[:3], said[4], said[3]]
    assert again.read("lobby", 2, 3) == said[1:3] and again.read("nowhere", 0, 99) == []
    assert again.bounds("lobby") == (1, 4) and again.bounds("nowhere") == (1, 0)
    again.close()


def test_rooms_are_told_apart_by_every_letter(log: SQLiteLog) -> None:
    add(log, 1, room="a")
    add(log, 1, 2, room="A")
    add(log, 1, 2, 3, room="a_")
    assert [seqs(log, room) for room in ("a", "A", "a_", "%")] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [],
    ]


def test_the_file_says_whose_it_is(path: Path, log: SQLiteLog) -> None:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert (
            db.execute("PRAGMA application_id").fetchone()
            == (APPLICATION_ID,)
            == (int.from_bytes(b"ptcp"),)
        )
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    db.close()


def test_the_epoch_stays_with_the_file(path: Path, tmp_path: Path) -> None:
    epochs = []
    for each in (path, path, tmp_path / "other"):
        log = SQLiteLog(each)
        epochs.append(log.epoch)
        log.close()
    assert epochs[0] == epochs[1] != epochs[2] and all(epochs)


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "100%",
        "what?",
        "#1",
        "ü👋",
        "a'b",
        "-x",
        "file:x",
        "x?mode=memory",
        ":memory:",
        "a&b=c",
    ],
)
def test_a_file_may_have_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, Path(name), name):
        log = SQLiteLog(path)
        add(log, log.bounds("lobby")[1] + 1)
        log.close()
    log = SQLiteLog(tmp_path / name)
    assert seqs(log) == [1, 2, 3] and name in os.listdir(tmp_path)
    log.close()


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    log = SQLiteLog(path)
    add(log, 1)
    assert seqs(log) == [1]
    log.close()


def test_nothing_but_the_file_is_left_when_it_is_closed(
    tmp_path: Path, log: SQLiteLog
) -> None:
    add(log, 1, 2)
    log.close()
    log.close()
    assert os.listdir(tmp_path) == ["history"]


def test_making_a_file_touches_nothing_that_is_beside_it(tmp_path: Path) -> None:
    for name in (
        "history.new",
        "history.tmp",
        "history~",
        ".history.new",
        "history-journal.txt",
    ):
        (tmp_path / name).write_text("mine")
    before = look(tmp_path)
    log = SQLiteLog(tmp_path / "history")
    log.close()
    (tmp_path / "history").unlink()
    assert look(tmp_path) == before


# --- ids ---------------------------------------------------------------------------------------------------------


def test_ids_are_kept_by_session_and_kind(path: Path, log: SQLiteLog) -> None:
    ids = [7, "7", -(2**63), 2**63 - 1, 0, "", "👋" * 64, "007", "7.0", "x'y"]
    for seq, id in enumerate(ids, 1):
        log.append(message(seq), "mine", id)
    log.append(message(99), "other", 7)
    log.append(message(100), "mine", None)
    log.commit()
    log.close()
    again = SQLiteLog(path)
    found = again.ids("mine")
    assert list(found.items()) == [(id, seq) for seq, id in enumerate(ids, 1)]
    assert [type(id) for id in found] == [type(id) for id in ids]
    assert again.ids("other") == {7: 99} and again.ids("nobody") == {}
    again.close()


def test_the_last_256_ids_are_found(log: SQLiteLog) -> None:
    for seq in range(1, 301):
        log.append(message(seq), "mine", seq)
        log.append(message(seq, "other"), "other", seq)
    log.commit()
    assert list(log.ids("mine").items()) == [(seq, seq) for seq in range(45, 301)]


def test_rooms_find_the_ids_again_after_a_crash(path: Path) -> None:
    token = "a-token_of-16-to-64"
    for server in range(2):
        log = SQLiteLog(path, LogError)
        rooms = Rooms(Limits(), log)
        rooms.commit(rooms.handle(1, Join("ann", token=token), NOW))
        events = [
            delivery.event
            for delivery in rooms.commit(rooms.handle(1, Say("hi", id="7"), NOW))
        ]
        assert (len(events), events[-1].seq) == (2 - server, 1)
        log.close()
    assert token.encode() not in path.read_bytes(), "what is written down is no key"


# --- crashes -----------------------------------------------------------------------------------------------------


def test_what_is_not_committed_is_not_there(path: Path, log: SQLiteLog) -> None:
    add(log, 1, 2)
    add(log, 3, commit=False)
    assert seqs(log) == [1, 2, 3] and log.bounds("lobby") == (1, 3), (
        "but the log itself sees it"
    )
    log.close()
    again = SQLiteLog(path)
    assert seqs(again) == [1, 2] and again.ids("session") == {1: 1, 2: 2}
    add(again, 3)
    again.close()


def run(code: str, *arguments: object, **options: object) -> subprocess.Popen:
    preamble = "import sys; from python_tcp.history import *; from python_tcp.protocol import Message\n"
    return subprocess.Popen(
        [sys.executable, "-c", preamble + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


WRITER = """
log = SQLiteLog(sys.argv[1])
first = log.bounds("lobby")[1] + 1
for seq in range(first, 10**9):
    for room in ("lobby", "dev"):  # both or none
        log.append(Message(room, seq, "ann", "x" * (seq % 3000 + 1), 1.5), "session", seq)
    log.commit()
    print(seq, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9")
def test_after_kill_9_all_that_was_committed_is_there_and_nothing_by_half(
    path: Path,
) -> None:
    for after in (1, 3, 50, 200):
        with run(WRITER, path) as writer:
            seen = [int(next(writer.stdout)) for _ in range(after)]
            writer.send_signal(signal.SIGKILL)
            seen += [int(line) for line in writer.stdout if line.endswith("\n")]
        log = SQLiteLog(path)
        last = log.bounds("lobby")[1]
        assert last in (seen[-1], seen[-1] + 1) and log.bounds("dev") == (1, last)
        assert seqs(log) == seqs(log, "dev") == list(range(1, last + 1))
        assert all(
            len(each.content) == each.seq % 3000 + 1
            for each in log.read("lobby", 0, last)
        )
        assert list(log.ids("session").items())[-1] == (last, last)
        log.close()


def test_a_file_can_be_read_by_others_while_it_is_open_and_written(
    path: Path, log: SQLiteLog
) -> None:
    add(log, 1)
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)
    count = "SELECT count(*), max(seq) FROM messages"
    assert db.execute(count).fetchall() == [(1, 1)]
    db.execute("BEGIN")
    assert db.execute(count).fetchall() == [(1, 1)]
    add(log, 2)  # a reader is not in the way
    add(log, 3, commit=False)
    assert seqs(log) == [1, 2, 3]
    assert db.execute(count).fetchall() == [(1, 1)], "a reader sees one moment"
    db.execute("COMMIT")
    assert db.execute(count).fetchall() == [(2, 2)], "and nothing that is not committed"
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM messages")
    db.close()


def test_nobody_else_may_write(path: Path, log: SQLiteLog) -> None:
    db = sqlite3.connect(path, timeout=0)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            db.execute("DELETE FROM messages")
        add(log, log.bounds("lobby")[1] + 1)
    db.close()


def test_a_second_server_is_refused(path: Path, log: SQLiteLog) -> None:
    for _ in range(2):
        with pytest.raises(LogFileError, match="another server") as caught:
            SQLiteLog(path)
        assert str(path) in str(caught.value)
        add(log, log.bounds("lobby")[1] + 1)
    log.close()
    again = SQLiteLog(path)
    assert seqs(again) == [1, 2]
    again.close()


# --- files that are not ours -------------------------------------------------------------------------------------


def look(folder: Path) -> dict[str, bytes | None]:
    """All that is in the folder, to the byte."""
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else None
        for each in sorted(folder.rglob("*"))
    }


def ours(path: Path, count: int = 300) -> bytes:
    """A history of some size, closed."""
    log = SQLiteLog(path)
    for seq in range(1, count + 1):
        log.append(message(seq, f"room-{seq % 7}", "x" * 200), "session", seq)
    log.commit()
    log.close()
    return path.read_bytes()


def another_program(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE messages (room, seq, username, content, timestamp)")
    db.commit()
    db.close()


def set_number(path: Path, pragma: str, value: int) -> None:
    ours(path)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA {pragma} = {value}")
    db.close()


def flip(path: Path, start: float, size: int = 4096) -> None:
    """Bytes in the middle of the file, flipped."""
    data = bytearray(ours(path))
    place = int(len(data) * start) // 4096 * 4096
    data[place : place + size] = bytes(
        byte ^ 0xFF for byte in data[place : place + size]
    )
    path.write_bytes(data)


def replaced_by(part: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(part(ours(path)))


FOREIGN = {
    "a text": (lambda path: path.write_text("Dear diary,\n"), "no SQLite"),
    "one byte": (lambda path: path.write_bytes(b"S"), "no SQLite"),
    "a long text": (
        lambda path: path.write_text("all work and no play\n" * 10_000),
        "no SQLite",
    ),
    "zeros": (lambda path: path.write_bytes(bytes(8192)), "no SQLite"),
    "a database of version 2": (
        lambda path: path.write_bytes(
            b"** This file contains an SQLite 2.1 database **" + bytes(1000)
        ),
        "no SQLite",
    ),
    "only the first words": (
        lambda path: path.write_bytes(b"SQLite format 3\0"),
        "no SQLite",
    ),
    "another program's database": (another_program, "another program"),
    "an empty database": (
        lambda path: sqlite3.connect(path).execute("VACUUM").connection.close(),
        "another program|no SQLite",
    ),
    "another application id": (
        lambda path: set_number(path, "application_id", 0x46494C45),
        "another program",
    ),
    "a newer version": (
        lambda path: set_number(path, "user_version", VERSION + 1),
        f"version {VERSION + 1}",
    ),
    "an older version": (lambda path: set_number(path, "user_version", 0), "version 0"),
    "99 bytes": (replaced_by(lambda data: data[:99]), "no SQLite"),
    "nothing but the header": (replaced_by(lambda data: data[:100]), "damaged"),
    "nothing but the first page": (replaced_by(lambda data: data[:4096]), "damaged"),
    "cut in the middle": (replaced_by(lambda data: data[: len(data) // 2]), "damaged"),
    "cut inside a page": (
        replaced_by(lambda data: data[: len(data) // 2 + 1000]),
        "damaged",
    ),
    "without the last page": (replaced_by(lambda data: data[:-4096]), "damaged"),
    "a page of zeros": (
        replaced_by(lambda data: data[:8192] + bytes(4096) + data[12288:]),
        "damaged",
    ),
    "bytes flipped in the tables' names": (
        lambda path: (
            flip(path, 0.0, 0)
            or path.write_bytes(
                (data := path.read_bytes())[:100] + bytes(3996) + data[4096:]
            )
        ),
        "damaged",
    ),
    "a page flipped": (lambda path: flip(path, 0.5), "damaged"),
    "a few bytes flipped": (lambda path: flip(path, 0.5, 8), "damaged"),
    "the last page flipped": (lambda path: flip(path, 0.999), "damaged"),
    "a folder": (Path.mkdir, "directory"),
}


@pytest.mark.parametrize(("make", "why"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_not_ours_or_is_damaged_is_refused_and_stays_as_it_is(
    tmp_path: Path, path: Path, make: Callable, why: str
) -> None:
    make(path)
    before, times = look(tmp_path), path.stat().st_mtime_ns
    for _ in range(2):
        with pytest.raises(LogFileError, match=f"(?i){why}") as caught:
            SQLiteLog(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(
            caught.value
        )
        assert look(tmp_path) == before and path.stat().st_mtime_ns == times


@pytest.mark.parametrize("where", ["missing/history", "file/history"])
def test_a_place_where_no_file_can_be(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    before = look(tmp_path)
    with pytest.raises(
        LogFileError, match="(?i)no such|not a directory|unable to open"
    ):
        SQLiteLog(tmp_path / where)
    assert look(tmp_path) == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do everything"
)
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_that_may_not_be_read_or_written(
    tmp_path: Path, path: Path, mode: int
) -> None:
    before = ours(path)
    path.chmod(mode)
    with pytest.raises(LogFileError, match="(?i)permission|readonly|unable to open"):
        SQLiteLog(path)
    path.chmod(0o600)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["history"]


def test_after_a_crash_the_part_that_is_beside_the_file_is_looked_at_too(
    tmp_path: Path, path: Path, log: SQLiteLog
) -> None:
    add(log, 1, 2, 3)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for each in tmp_path.glob(
        "history*"
    ):  # as a crash leaves it: the last commits are only in the `-wal`
        shutil.copy(each, crashed)
    assert (crashed / "history-wal").stat().st_size > 0
    again = SQLiteLog(crashed / "history")
    assert seqs(again) == [1, 2, 3]
    again.close()


# --- a full disk -------------------------------------------------------------------------------------------------


def test_when_there_is_no_space_the_tick_is_not_kept_and_all_goes_on_when_there_is(
    path: Path, log: SQLiteLog
) -> None:
    add(log, 1, 2)
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(3):
        for seq in range(3, 50):
            log.append(message(seq, content="x" * 1000), "session", seq)
        with pytest.raises(OSError, match="full"):
            log.commit()
        assert (
            seqs(log) == [1, 2]
            and log.bounds("lobby") == (1, 2)
            and log.ids("session") == {1: 1, 2: 2}
        )
        log.commit()  # nothing to do, so nothing to fail
    log._db.execute("PRAGMA max_page_count = 1000000")
    add(log, *range(3, 50))
    log.close()
    again = SQLiteLog(path)
    assert seqs(again) == list(range(1, 50)) and len(again.ids("session")) == 49
    again.close()


def test_what_comes_after_the_failure_in_the_same_tick_is_not_kept_either(
    log: SQLiteLog,
) -> None:
    add(log, 1)
    log._db.execute(
        f"PRAGMA max_page_count = {log._db.execute('PRAGMA page_count').fetchone()[0]}"
    )
    for seq in range(2, 50):
        log.append(message(seq, content="x" * 1000), "session", seq)
    assert seqs(log) == [1], "looking something up has written, and that has failed"
    log._db.execute("PRAGMA max_page_count = 1000000")
    add(log, 50, commit=False)  # now it would fit, but with a gap before it
    with pytest.raises(OSError, match="full"):
        log.commit()
    assert seqs(log) == [1]
    add(log, 2)
    assert seqs(log) == [1, 2]


def test_a_tick_that_fails_is_not_half_seen_by_readers(
    path: Path, log: SQLiteLog
) -> None:
    add(log, 1)
    log._db.execute(
        f"PRAGMA max_page_count = {log._db.execute('PRAGMA page_count').fetchone()[0]}"
    )
    for seq in range(2, 50):
        log.append(message(seq, content="x" * 1000), "session", seq)
    with pytest.raises(OSError):
        log.commit()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchall() == [(1,)]
    db.close()
    with pytest.raises(LogFileError, match="another server"):
        SQLiteLog(path)  # the right to write is still ours


ON_A_FULL_DISK = """
import resource
log, seq, failed = SQLiteLog(sys.argv[1]), 0, 0
def tick(size):
    for each in range(seq + 1, seq + 6):
        log.append(Message("lobby", each, "ann", "x" * size, 1.5), "session", each)
    log.commit()
    assert log.bounds("lobby") == (1, seq + 5)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for round in range(20):
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000 * (round + 1), hard))
    while True:
        try:
            tick(1000)
        except OSError as error:
            failed += 1
            assert log.bounds("lobby") == ((1, seq) if seq else (1, 0)), (log.bounds("lobby"), seq)
            assert [each.seq for each in log.read("lobby", 0, 10**9)] == list(range(1, seq + 1))
            break
        seq += 5
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    tick(1000)
    seq += 5
print(failed, seq)
log.close()
"""


def test_on_a_disk_that_is_really_full_nothing_is_half_kept(path: Path) -> None:
    pytest.importorskip("resource")
    with run(ON_A_FULL_DISK, path) as program:
        output = program.communicate(timeout=60)[0]
    assert program.returncode == 0 and output, "see what it said on stderr"
    failed, last = map(int, output.split())
    assert failed == 20
    log = SQLiteLog(path)
    assert seqs(log) == list(range(1, last + 1)) and log.ids("session") == {
        seq: seq for seq in range(max(1, last - 255), last + 1)
    }
    log.close()


NO_SPACE_FOR_A_NEW_FILE = """
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in (0, 1000, 5000, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        SQLiteLog(sys.argv[1])
    except LogFileError as error:
        print(error)
"""


def test_a_file_that_can_not_be_made_leaves_nothing_behind(
    tmp_path: Path, path: Path
) -> None:
    pytest.importorskip("resource")
    with run(NO_SPACE_FOR_A_NEW_FILE, path) as program:
        said = program.communicate(timeout=60)[0].splitlines()
    assert (
        program.returncode == 0
        and len(said) == 4
        and all(line.startswith(f"{path}: ") for line in said)
    )
    assert os.listdir(tmp_path) == []


def test_a_tick_with_a_mistake_in_it_is_not_kept(log: SQLiteLog) -> None:
    add(log, 1)
    with pytest.raises(OSError, match="(?i)unique"):
        add(log, 2, 2)
    assert seqs(log) == [1]
    add(log, 2)
    assert seqs(log) == [1, 2] and log.ids("session") == {1: 1, 2: 2}


def test_when_somebody_else_takes_the_right_to_write_nothing_is_said_until_it_is_free_again(
    path: Path, log: SQLiteLog
) -> None:
    add(log, 1)
    log._db.execute(
        f"PRAGMA max_page_count = {log._db.execute('PRAGMA page_count').fetchone()[0]}"
    )
    for seq in range(2, 50):
        log.append(message(seq, content="x" * 1000), "session", seq)
    assert log.bounds("lobby") == (
        1,
        1,
    )  # that has failed, and given up the right to write
    log._db.execute("PRAGMA max_page_count = 1000000")
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OSError, match="full"):
        log.commit()
    for _ in range(2):
        with pytest.raises(OSError, match="locked"):
            add(log, 2)
        assert seqs(log) == [1]
    other.close()
    add(log, 2)
    assert seqs(log) == [1, 2]
    with pytest.raises(LogFileError, match="another server"):
        SQLiteLog(path)


def test_rooms_on_a_full_disk(path: Path) -> None:
    log = SQLiteLog(path, LogError)
    rooms = Rooms(Limits(flood_burst=0), log)
    rooms.commit(rooms.handle(1, Join("ann"), NOW))
    log._db.execute(
        f"PRAGMA max_page_count = {log._db.execute('PRAGMA page_count').fetchone()[0]}"
    )
    said = [
        delivery
        for id in range(100)
        for delivery in rooms.handle(1, Say("x" * 1000, id=id), NOW)
    ]
    told = rooms.commit(said)
    assert {(delivery.to, delivery.event.code) for delivery in told} == {
        ((1,), "not_saved")
    } and len(told) == 100
    log._db.execute("PRAGMA max_page_count = 1000000")
    said = [
        delivery
        for id in range(100)
        for delivery in rooms.handle(1, Say("x" * 1000, id=id), NOW)
    ]
    assert rooms.commit(said) is said and said[-1].event.seq == 100
    log.close()


def test_a_log_that_can_not_be_read_says_so(log: SQLiteLog) -> None:
    log._error = LogError
    log.close()
    for question in (
        lambda: log.bounds("lobby"),
        lambda: log.read("lobby", 0, 1),
        lambda: log.ids("session"),
    ):
        with pytest.raises(LogError, match="closed"):
            question()


# --- forgetting --------------------------------------------------------------------------------------------------


def test_what_is_too_old_is_deleted_and_its_numbers_are_kept(
    path: Path, log: SQLiteLog
) -> None:
    add(log, *range(1, 11), room="old", timestamp=NOW)
    for seq in range(1, 11):
        add(log, seq, timestamp=NOW + seq)
    assert log.forget(NOW + 4, NOW + 8) is False
    log.commit()
    assert (log.bounds("lobby"), seqs(log)) == ((4, 10), [4, 5, 6, 7, 8, 9, 10])
    assert (log.bounds("old"), seqs(log, "old")) == ((11, 10), [])
    log.close()
    again = SQLiteLog(path)
    assert again.bounds("old") == (11, 10) and again.bounds("lobby") == (4, 10)
    assert again.ids("session") == {8: 8, 9: 9, 10: 10}
    add(again, 11, room="old")
    assert again.bounds("old") == (11, 11)
    again.forget(NOW + 99, NOW + 99)
    again.commit()
    assert (
        again.bounds("old") == (12, 11)
        and again.bounds("lobby") == (11, 10)
        and again.ids("session") == {}
    )
    again.close()


def test_much_is_deleted_in_parts(log: SQLiteLog) -> None:
    for room in ("a", "b"):
        add(log, *range(1, 251), room=room)
    kept = []
    while log.forget(NOW + 1, NOW + 1, most=100):
        log.commit()
        kept.append(len(seqs(log, "a")) + len(seqs(log, "b")))
        assert len(kept) < 20
    log.commit()
    assert kept == sorted(kept, reverse=True) and len(set(kept)) > 2
    assert (
        seqs(log, "a") == seqs(log, "b") == []
        and log.bounds("a") == log.bounds("b") == (251, 250)
        and log.ids("session") == {}
    )


def test_forgetting_is_undone_by_a_crash(path: Path, log: SQLiteLog) -> None:
    add(log, 1, 2, 3)
    log.forget(NOW + 1, NOW + 1)
    assert seqs(log) == []
    log.close()
    again = SQLiteLog(path)
    assert (
        seqs(again) == [1, 2, 3]
        and again.bounds("lobby") == (1, 3)
        and again.ids("session") == {1: 1, 2: 2, 3: 3}
    )
    again.close()


def test_forgetting_and_saying_in_one_tick(log: SQLiteLog) -> None:
    add(log, 1, 2)
    add(log, 3, commit=False, timestamp=NOW + 10)
    log.forget(NOW + 1, NOW + 1)
    add(log, 4, commit=False, timestamp=NOW + 10)
    log.commit()
    assert seqs(log) == [3, 4] and log.bounds("lobby") == (3, 4)


def test_with_nothing_too_old_there_is_nothing_to_forget(log: SQLiteLog) -> None:
    assert log.forget(NOW, NOW) is False
    add(log, 1, 2)
    assert log.forget(NOW, NOW) is False
    log.commit()
    assert seqs(log) == [1, 2] and log.ids("session") == {1: 1, 2: 2}


def test_rooms_whose_past_is_forgotten_go_on_and_say_what_is_lost(path: Path) -> None:
    log = SQLiteLog(path, LogError)
    add(log, 1, 2, 3)
    log.forget(NOW + 1, NOW + 1)
    log.commit()
    rooms = Rooms(Limits(), log)
    welcome, _, missed = [
        delivery.event
        for delivery in rooms.commit(rooms.handle(1, Join("ann", since=1), NOW))
    ][:3]
    assert welcome.seq == 3 and (missed.messages, missed.more, missed.lost) == (
        [],
        False,
        2,
    )
    assert rooms.commit(rooms.handle(1, Say("x"), NOW))[0].event.seq == 4
    log.close()


# --- both logs are alike -----------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.just("say"), st.sampled_from("abc"), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9))
    | st.tuples(st.just("read"), st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 9))
    | st.tuples(st.sampled_from(["commit", "reopen"])),
    max_size=40,
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("logs")
    return (folder / str(number) for number in itertools.count())


@given(STEPS)
@settings(max_examples=60)
def test_the_file_and_the_memory_behave_the_same(
    files: Iterator[Path], steps: list[tuple]
) -> None:
    path = next(files)
    log, memory, last, kept = (
        SQLiteLog(path),
        MemoryLog(10**9, 10**12),
        dict.fromkeys("abcd", 0),
        [],
    )
    for number, step in enumerate(steps):
        match step:
            case "say", room, content:
                last[room] += 1
                for each in (log, memory):
                    each.append(
                        Message(room, last[room], "ann", content, NOW), "session", None
                    )
                kept.append(room)
            case "read", room, first, end:
                assert log.read(room, first, end) == memory.read(room, first, end)
                assert log.bounds(room) == memory.bounds(room) == (1, last[room])
            case ("commit",):
                log.commit()
                memory.commit()
            case ("reopen",):
                log.commit()
                log.close()
                log = SQLiteLog(path)
    for room in "abcd":
        assert (
            log.read(room, 0, 99) == memory.read(room, 0, 99)
            and len(log.read(room, 0, 99)) == last[room]
        )
    log.close()
    path.unlink()


# --- Reader ------------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 5),
    st.permutations(range(1, 13)),
    st.lists(st.integers(0, 13), max_size=20),
    st.randoms(use_true_random=False),
)
def test_in_whatever_order_messages_come_each_is_told_once_and_in_order(
    last: int, order: list[int], repeated: list[int], chance: random.Random
) -> None:
    reader, told = Reader(last), []
    arriving = [*order, *repeated]
    chance.shuffle(arriving)
    while arriving:
        size = chance.randint(1, 4)
        batch, arriving = arriving[:size], arriving[size:]
        told += [
            each.seq for each in reader.feed(message(seq) for seq in batch if seq < 13)
        ]
        assert told == list(
            range(last + 1, last + 1 + len(told))
        ) and reader.last == last + len(told)
        assert not reader.missing or reader.first_early > reader.last + 1
    assert told == list(range(last + 1, 13)) and not reader.missing


def test_a_reader_waits_for_what_is_missing() -> None:
    reader = Reader(3)
    assert (reader.feed([message(6)]), reader.missing, reader.first_early) == (
        [],
        True,
        6,
    )
    assert reader.feed([message(3), message(1)]) == [] and reader.feed([]) == []
    assert (reader.feed([message(8), message(9)]), reader.first_early) == ([], 6)
    assert [each.seq for each in reader.feed([message(5), message(4)])] == [4, 5, 6]
    assert (reader.missing, reader.last, reader.first_early) == (True, 6, 8)
    assert [each.seq for each in reader.feed([message(7)])] == [
        7,
        8,
        9,
    ] and not reader.missing


def test_a_reader_does_not_wait_for_what_will_never_come() -> None:
    reader = Reader(0)
    reader.feed([message(5), message(6), message(9)])
    assert [each.seq for each in reader.skip_to(4)] == [5, 6]
    assert (reader.last, reader.missing, reader.first_early) == (6, True, 9)
    assert reader.skip_to(2) == [] and reader.last == 6, "it never goes back"
    assert [each.seq for each in reader.skip_to(8)] == [9]
    assert reader.skip_to(20) == [] and reader.last == 20 and not reader.missing


@given(st.sets(st.integers(1, 20)), st.integers(0, 22))
def test_skipping_gives_what_is_there_behind_the_gap(
    early: set[int], last: int
) -> None:
    reader = Reader(0)
    told = [each.seq for each in reader.feed(message(seq) for seq in early)]
    told += [each.seq for each in reader.skip_to(last)]
    assert told == sorted(set(told)) and not any(
        seq <= max(last, len(told)) and seq > reader.last for seq in told
    )
    end = next(
        seq for seq in itertools.count(max(last, reader.last) + 1) if seq not in early
    )
    assert reader.last >= last and reader.last == end - 1
    assert [
        each.seq for each in reader.feed(message(seq) for seq in range(1, 24))
    ] == list(range(end, 24))


# --- Sender ------------------------------------------------------------------------------------------------------


def sender(*ids: MessageId, burst: float = 0, rate: float = 1.0) -> Sender:
    sender = Sender()
    sender.set_pace(burst, rate, 0.0)
    for id in ids:
        sender.add(Say(f"text {id}", id=id))
    return sender


def due(sender: Sender, now: float = 0.0) -> list[MessageId]:
    return [command.id for command in sender.due(now)]


def test_what_has_no_answer_is_sent_again_over_the_next_connection() -> None:
    sent = sender(1, 2, 3, "a")
    assert due(sent) == [1, 2, 3, "a"] and due(sent) == [] and len(sent) == 4
    assert sent.answered(2) and not sent.answered(2) and not sent.answered(99)
    sent.add(Say("new", id=4))
    sent.disconnected()
    assert len(sent) == 4 and due(sent) == [1, 3, "a", 4]


def test_what_comes_first_comes_first_and_dies_with_its_connection() -> None:
    sent = sender(1, 2)
    sent.add(Join("ann", id="j"), first=True)
    sent.add(Join("ann", "dev", id="k"), first=True)
    sent.open = False
    assert due(sent) == ["j", "k"] and sent.pause(0.0) is None
    sent.disconnected()
    sent.add(Join("ann", id="l"), first=True)
    assert due(sent) == ["l"] and sent.answered("l")
    sent.open = True
    assert due(sent) == [1, 2]


def test_only_so_many_are_on_their_way() -> None:
    sent = sender(*range(100))
    assert due(sent) == list(range(Sender.WINDOW)) and sent.pause(0.0) is None
    assert sent.answered(5) and sent.pause(0.0) == 0.0
    assert due(sent) == [Sender.WINDOW]
    assert due(sender(*range(100), burst=20)) == list(range(10)), "half of the burst"
    assert due(sender(*range(100), burst=1)) == [0]
    assert due(sender(*range(100), burst=1000)) == list(range(64))


def test_it_says_when_it_wants_to_be_asked_again() -> None:
    sent = sender(*range(10), burst=4, rate=2.0)
    assert due(sent) == [0, 1]
    sent.answered(0)
    assert due(sent, 0.1) == []
    assert sent.pause(0.1) == pytest.approx(0.4, abs=0.002)
    assert due(sent, 0.3) == [] and due(sent, 0.1 + sent.pause(0.1)) == [2]
    assert sender().pause(5.0) is None


def test_what_was_refused_is_sent_again_later_and_in_its_place() -> None:
    sent = sender(1, 2, 3)
    assert due(sent) == [1, 2, 3]
    assert (
        sent.again(2, 0.0, 0.5)
        and sent.again(3, 0.0, 0.5)
        and not sent.again(9, 0.0, 0.5)
    )
    sent.add(Say("new", id=4))
    assert due(sent, 0.4) == [] and sent.pause(0.4) == pytest.approx(0.1)
    assert due(sent, 0.5) == [2, 3, 4]


def test_a_command_without_an_id_needs_no_answer() -> None:
    sent = sender()
    sent.add(Say("x"))
    assert [command.content for command in sent.due(0.0)] == ["x"] and len(sent) == 0
    sent.disconnected()
    assert sent.due(0.0) == []


class Network:
    """A sender, a server that remembers ids, and what is under way between them, in order."""

    def __init__(self, count: int, burst: float = 0, rate: float = 5.0) -> None:
        self.sender, self.now, self.count = (
            sender(*range(count), burst=burst, rate=rate),
            0.0,
            count,
        )
        self.up: list[MessageId] = []
        self.down: list[tuple[bool, MessageId]] = []
        self.seen: list[MessageId] = []
        self.refused: set[MessageId] = set()

    def send(self) -> None:
        self.up += due(self.sender, self.now)

    def arrive(self, refuses: bool = False) -> None:
        if self.up:
            id = self.up.pop(0)
            if not refuses and id not in self.seen:
                self.seen.append(id)
            if refuses and id not in self.seen:
                self.refused.add(id)
            self.down.append((id in self.seen, id))

    def answer(self) -> None:
        if self.down:
            taken, id = self.down.pop(0)
            assert (
                self.sender.answered(id)
                if taken
                else self.sender.again(id, self.now, 0.2)
            )

    def break_off(self) -> None:
        """What is under way is lost, in both directions."""
        self.up, self.down = [], []
        self.sender.disconnected()
        self.sender.set_pace(0, 1.0, self.now)

    def settle(self) -> None:
        """From now on all goes well."""
        for _ in range(1000):
            self.now += 0.2
            self.send()
            while self.up or self.down:
                self.arrive()
                self.answer()
        assert len(self.sender) == 0


DEEDS = st.lists(
    st.sampled_from(
        [
            "send",
            "send",
            "arrive",
            "arrive",
            "arrive",
            "answer",
            "answer",
            "break",
            "refuse",
            "wait",
        ]
    ),
    max_size=150,
)


@given(st.integers(1, 40), DEEDS)
def test_each_message_is_heard_once_whatever_happens(
    count: int, deeds: list[str]
) -> None:
    network = Network(count)
    for deed in deeds:
        match deed:
            case "send":
                network.send()
            case "arrive":
                network.arrive()
            case "refuse":
                network.arrive(refuses=True)
            case "answer":
                network.answer()
            case "break":
                network.break_off()
            case "wait":
                network.now += 0.3
    network.settle()
    assert sorted(network.seen) == list(range(count))
    never_refused = [id for id in network.seen if id not in network.refused]
    assert never_refused == sorted(never_refused), (
        "and in order, but for those that the server put off"
    )


@given(st.integers(1, 40), DEEDS)
def test_each_message_is_heard_in_order_whatever_happens_to_the_connection(
    count: int, deeds: list[str]
) -> None:
    """A server that refuses goes on refusing until the sender has heard of it, as one does whose bucket is empty."""
    network, refusing = Network(count), False
    for deed in deeds:
        match deed:
            case "send":
                network.send()
            case "arrive" | "refuse":
                refusing = bool(network.up) and (refusing or deed == "refuse")
                network.arrive(refusing)
                refusing = refusing and bool(network.up)
            case "answer":
                network.answer()
            case "break":
                network.break_off()
                refusing = False
            case "wait":
                network.now += 0.3
    while refusing and network.up:
        network.arrive(refuses=True)
    network.settle()
    assert network.seen == list(range(count))


@given(
    st.integers(1, 40),
    st.sampled_from([0.5, 2.0, 5.0, 50.0]),
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 30), st.integers(0, 30)),
        max_size=80,
    ),
)
def test_if_the_network_only_delays_nothing_is_ever_refused(
    burst: int, rate: float, steps: list[tuple[int, int, int]]
) -> None:
    network, bucket = Network(100, burst, rate), Bucket(burst, 0.0)
    for hundredths, arriving, answered in steps:
        network.now += hundredths / 100
        network.send()
        for _ in range(arriving):
            if network.up:
                assert bucket.wait(burst, rate, network.now) == 0.0
                network.arrive()
        for _ in range(answered):
            network.answer()
    assert network.seen == list(range(len(network.seen)))


# --- pauses ------------------------------------------------------------------------------------------------------


def test_pauses_grow_up_to_a_limit() -> None:
    longest = pauses(0.25, 30.0, random=lambda: 1.0)
    assert [next(longest) for _ in range(9)] == [
        0.25,
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        16.0,
        30.0,
        30.0,
    ]
    shortest = pauses(0.25, 30.0, random=lambda: 0.0)
    assert [next(shortest) for _ in range(9)] == [
        0.125,
        0.25,
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        15.0,
        15.0,
    ]


def test_a_crowd_does_not_come_back_at_once() -> None:
    crowd = [list(itertools.islice(pauses(), 10)) for _ in range(50)]
    for number in range(10):
        waits = [each[number] for each in crowd]
        assert (
            len(set(waits)) > 40
            and max(waits) <= 30
            and min(waits) >= 0.125
            and max(waits) - min(waits) > 0.25 * max(waits)
        )
