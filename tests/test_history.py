"""`python_tcp.history`: what was committed is there after any crash, and a file of others stays as it is."""

import itertools
import os
import queue
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

from python_tcp import filewriter
from python_tcp.datafile import APPLICATION_ID, FILE_VERSION, StoreFileError
from python_tcp.history import SQLiteStore
from python_tcp.protocol import Join, Limits, Message, SendMessage
from python_tcp.rooms import Delivery, MemoryStore, MessageStore, Rooms, StoreError

NOW = 1_700_000_000.5
TOKEN = "a-new-token_of-16-to-64"


def make_safe(store: MessageStore) -> None:
    """Commit, and raise what the store says. It says it at once, and once."""
    said: list[StoreError | None] = []
    store.commit(said.append)
    (error,) = said
    if error is not None:
        raise error


def settle(rooms: Rooms, deliveries: list[Delivery]) -> list[Delivery]:
    """What may go out once the store has been asked to commit."""
    mark, told = rooms.mark(), [deliveries]

    def done(error: StoreError | None) -> None:
        if error is None:
            rooms.committed(mark)
        else:
            told[0] = rooms.take_back(deliveries, error)

    rooms.store.commit(done)
    return told[0]


def fill_the_disk(store: SQLiteStore) -> None:
    """From now on the file can't grow, which gives the error of a full disk."""
    db = store._writer._db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")


def make_space(store: SQLiteStore) -> None:
    store._writer._db.execute("PRAGMA max_page_count = 1000000")


def forget(store: SQLiteStore, before: float, ids_before: float) -> list[int]:
    """Until nothing is left to do. Returns how many messages went with each commit."""
    store.forget(before, ids_before)
    counts = [store.forgotten]
    while store.forgetting:
        make_safe(store)
        counts.append(store.forgotten)
    return [
        count for start, end in itertools.pairwise(counts) if (count := end - start)
    ]


def message(
    seq: int, room: str = "lobby", content: str = "hi", timestamp: float = NOW
) -> Message:
    return Message(room, seq, "ann", content, timestamp)


def add(
    store: MessageStore,
    *seqs: int,
    room: str = "lobby",
    commit: bool = True,
    timestamp: float = NOW,
) -> None:
    for seq in seqs:
        store.append(message(seq, room, timestamp=timestamp), "session", seq)
    if commit:
        make_safe(store)


def seqs(store: MessageStore, room: str = "lobby") -> list[int]:
    return [message.seq for message in store.read(room, 0, 2**63 - 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path)
    yield store
    store.close()


# --- what is in the file --------------------------------------------------------------


def test_a_message_comes_back_as_it_was(path: Path, store: SQLiteStore) -> None:
    said = [
        Message("lobby", 1, "Ann_.-", "hi", 1.5), Message("lobby", 2, "ann", "grüße 👋🏽 日本語 שלום e\u0301 👩\u200d💻 \U0010ffff\n\ttab", NOW),
        Message("lobby", 3, "a" * 32, "👋" * 4000, 2e9), Message("r" * 64, 1, "b", "'; DROP TABLE messages; --", 0.0), Message("lobby", 4, "ann", "123", 1.0),
    ]  # fmt: skip
    for each in said:
        store.append(each, "session", None)
    make_safe(store)
    store.close()
    again = SQLiteStore(path)
    assert [
        each for room in ("lobby", "r" * 64) for each in again.read(room, 0, 99)
    ] == [*said[:3], said[4], said[3]]
    assert again.read("lobby", 2, 3) == said[1:3] and again.read("nowhere", 0, 99) == []
    assert again.bounds("lobby") == (1, 4) and again.bounds("nowhere") == (1, 0)
    again.close()


def test_rooms_are_told_apart_by_every_letter(store: SQLiteStore) -> None:
    add(store, 1, room="a")
    add(store, 1, 2, room="A")
    add(store, 1, 2, 3, room="a_")
    assert [seqs(store, room) for room in ("a", "A", "a_", "%")] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [],
    ]


def test_the_file_says_whose_it_is(path: Path, store: SQLiteStore) -> None:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert (
            db.execute("PRAGMA application_id").fetchone()
            == (APPLICATION_ID,)
            == (int.from_bytes(b"ptcp"),)
        )
        assert db.execute("PRAGMA user_version").fetchone() == (FILE_VERSION,)
    db.close()


def test_the_epoch_stays_with_the_file(path: Path, tmp_path: Path) -> None:
    epochs = []
    for each in (path, path, tmp_path / "other"):
        store = SQLiteStore(each)
        epochs.append(store.epoch)
        store.close()
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
        store = SQLiteStore(path)
        add(store, store.bounds("lobby")[1] + 1)
        store.close()
    store = SQLiteStore(tmp_path / name)
    assert seqs(store) == [1, 2, 3] and name in os.listdir(tmp_path)
    store.close()


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    store = SQLiteStore(path)
    add(store, 1)
    assert seqs(store) == [1]
    store.close()


def test_nothing_but_the_file_is_left_when_it_is_closed(
    tmp_path: Path, store: SQLiteStore
) -> None:
    add(store, 1, 2)
    store.close()
    store.close()
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
    store = SQLiteStore(tmp_path / "history")
    store.close()
    (tmp_path / "history").unlink()
    assert look(tmp_path) == before


# --- ids ------------------------------------------------------------------------------


def test_ids_are_kept_by_session_and_kind(path: Path, store: SQLiteStore) -> None:
    ids = [7, "7", -(2**63), 2**63 - 1, 0, "", "👋" * 64, "007", "7.0", "x'y"]
    for seq, id in enumerate(ids, 1):
        store.append(message(seq), "mine", id)
    store.append(message(99), "other", 7)
    store.append(message(100), "mine", None)
    make_safe(store)
    store.close()
    again = SQLiteStore(path)
    found = again.ids("mine")
    assert list(found.items()) == [(id, seq) for seq, id in enumerate(ids, 1)]
    assert [type(id) for id in found] == [type(id) for id in ids]
    assert again.ids("other") == {7: 99} and again.ids("nobody") == {}
    again.close()


def test_the_last_256_ids_are_found(store: SQLiteStore) -> None:
    for seq in range(1, 301):
        store.append(message(seq), "mine", seq)
        store.append(message(seq, "other"), "other", seq)
    make_safe(store)
    assert list(store.ids("mine").items()) == [(seq, seq) for seq in range(45, 301)]


def test_rooms_find_the_ids_again_after_a_crash(path: Path) -> None:
    for server, token in enumerate((None, TOKEN)):
        store = SQLiteStore(path)
        rooms = Rooms(Limits(), store)
        settle(rooms, rooms.handle(1, Join("ann", token=token), NOW, TOKEN))
        events = [
            delivery.event
            for delivery in settle(
                rooms, rooms.handle(1, SendMessage("hi", id="7"), NOW, TOKEN)
            )
        ]
        assert (len(events), events[-1].seq) == (2 - server, 1)
        store.close()
    assert TOKEN.encode() not in path.read_bytes(), "what is written down is no key"


# --- crashes --------------------------------------------------------------------------


def test_what_is_not_committed_is_not_there(path: Path, store: SQLiteStore) -> None:
    add(store, 1, 2)
    add(store, 3, commit=False)
    assert seqs(store) == [1, 2, 3] and store.bounds("lobby") == (1, 3), (
        "but the store itself sees it"
    )
    store.close()
    again = SQLiteStore(path)
    assert seqs(again) == [1, 2] and again.ids("session") == {1: 1, 2: 2}
    add(again, 3)
    again.close()


PREAMBLE = """
import sys
from python_tcp.datafile import StoreFileError
from python_tcp.history import SQLiteStore
from python_tcp.protocol import Message
from python_tcp.rooms import StoreError

def make_safe(store):
    def done(error):
        if error is not None: raise error
    store.commit(done)
"""


def run(code: str, *arguments: object, **options: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


WRITER = """
store = SQLiteStore(sys.argv[1])
first = store.bounds("lobby")[1] + 1
for seq in range(first, 10**9):
    for room in ("lobby", "dev"):  # both or none
        store.append(Message(room, seq, "ann", "x" * (seq % 3000 + 1), 1.5), "session", seq)
    make_safe(store)
    print(seq, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9")
def test_after_kill_9_all_that_was_committed_is_there_and_nothing_by_half(
    path: Path,
) -> None:
    for after in (1, 3, 50, 200):
        with run(WRITER, path) as writer:
            seen = [int(next(writer.stdout)) for _ in range(after)]
            writer.send_signal(signal.SIGKILL)
            seen += [int(line) for line in writer.stdout if line.endswith("\n")]
        store = SQLiteStore(path)
        last = store.bounds("lobby")[1]
        assert last in (seen[-1], seen[-1] + 1) and store.bounds("dev") == (1, last)
        assert seqs(store) == seqs(store, "dev") == list(range(1, last + 1))
        assert all(
            len(each.content) == each.seq % 3000 + 1
            for each in store.read("lobby", 0, last)
        )
        assert list(store.ids("session").items())[-1] == (last, last)
        store.close()


def test_a_file_can_be_read_by_others_while_it_is_open_and_written(
    path: Path, store: SQLiteStore
) -> None:
    add(store, 1)
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)
    count = "SELECT count(*), max(seq) FROM messages"
    assert db.execute(count).fetchall() == [(1, 1)]
    db.execute("BEGIN")
    assert db.execute(count).fetchall() == [(1, 1)]
    add(store, 2)  # a reader is not in the way
    add(store, 3, commit=False)
    assert seqs(store) == [1, 2, 3]
    assert db.execute(count).fetchall() == [(1, 1)], "a reader sees one moment"
    db.execute("COMMIT")
    assert db.execute(count).fetchall() == [(2, 2)], "and nothing that is not committed"
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM messages")
    db.close()


def test_nobody_else_may_write(path: Path, store: SQLiteStore) -> None:
    db = sqlite3.connect(path, timeout=0)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            db.execute("DELETE FROM messages")
        add(store, store.bounds("lobby")[1] + 1)
    db.close()


def test_a_second_server_is_refused(path: Path, store: SQLiteStore) -> None:
    for _ in range(2):
        with pytest.raises(StoreFileError, match="another server") as caught:
            SQLiteStore(path)
        assert str(path) in str(caught.value)
        add(store, store.bounds("lobby")[1] + 1)
    store.close()
    again = SQLiteStore(path)
    assert seqs(again) == [1, 2]
    again.close()


def test_each_commit_is_answered_once_and_before_it_returns(store: SQLiteStore) -> None:
    said: list[StoreError | None] = []
    store.commit(said.append)
    assert said == [None], "with nothing to do as well"
    add(store, 1, commit=False)
    store.commit(said.append)
    add(store, 1, commit=False)  # twice the same: that fails
    store.commit(said.append)
    store.commit(said.append)
    assert [type(error) for error in said] == [type(None)] * 2 + [
        StoreError,
        type(None),
    ]
    assert seqs(store) == [1]


def test_an_exception_of_who_is_told_is_not_one_of_the_store(
    store: SQLiteStore,
) -> None:
    def done(error: StoreError | None) -> None:
        raise ZeroDivisionError

    add(store, 1, commit=False)
    with pytest.raises(ZeroDivisionError):
        store.commit(done)
    assert seqs(store) == [1]
    add(store, 2)


# --- files that are not ours ----------------------------------------------------------


def look(folder: Path) -> dict[str, bytes | None]:
    """All that is in the folder, to the byte."""
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else None
        for each in sorted(folder.rglob("*"))
    }


def ours(path: Path, count: int = 300) -> bytes:
    """A history of some size, closed."""
    store = SQLiteStore(path)
    for seq in range(1, count + 1):
        store.append(message(seq, f"room-{seq % 7}", "x" * 200), "session", seq)
    make_safe(store)
    store.close()
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


def change(path: Path, sql: str) -> None:
    ours(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(sql)
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
        lambda path: set_number(path, "user_version", FILE_VERSION + 1),
        f"version {FILE_VERSION + 1}",
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
    "without its tables": (lambda path: change(path, "DROP TABLE log"), "damaged"),
    "without places": (lambda path: change(path, "DROP TABLE places"), "damaged"),
    "without forgotten": (lambda path: change(path, "DROP TABLE forgotten"), "damaged"),
    "another column": (
        lambda path: change(path, "ALTER TABLE ids RENAME COLUMN seq TO number"),
        "damaged",
    ),
    "without an epoch": (lambda path: change(path, "DELETE FROM log"), "damaged"),
    "a folder": (Path.mkdir, "directory"),
}


@pytest.mark.parametrize(("make", "why"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_is_not_ours_or_is_damaged_is_refused_and_stays_as_it_is(
    tmp_path: Path, path: Path, make: Callable, why: str
) -> None:
    make(path)
    before, times = look(tmp_path), path.stat().st_mtime_ns
    for _ in range(2):
        with pytest.raises(StoreFileError, match=f"(?i){why}") as caught:
            SQLiteStore(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(
            caught.value
        )
        assert look(tmp_path) == before and path.stat().st_mtime_ns == times


@pytest.mark.parametrize("where", ["missing/history", "file/history"])
def test_a_place_where_no_file_can_be(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    before = look(tmp_path)
    with pytest.raises(
        StoreFileError, match="(?i)no such|not a directory|unable to open"
    ):
        SQLiteStore(tmp_path / where)
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
    with pytest.raises(StoreFileError, match="(?i)permission|readonly|unable to open"):
        SQLiteStore(path)
    path.chmod(0o600)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["history"]


def test_after_a_crash_the_part_that_is_beside_the_file_is_looked_at_too(
    tmp_path: Path, path: Path, store: SQLiteStore
) -> None:
    add(store, 1, 2, 3)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for each in tmp_path.glob(
        "history*"
    ):  # as a crash leaves it: the last commits are only in the `-wal`
        shutil.copy(each, crashed)
    assert (crashed / "history-wal").stat().st_size > 0
    again = SQLiteStore(crashed / "history")
    assert seqs(again) == [1, 2, 3]
    again.close()


# --- a full disk ----------------------------------------------------------------------


def test_when_there_is_no_space_the_tick_is_not_kept_and_all_goes_on_when_there_is(
    path: Path, store: SQLiteStore
) -> None:
    add(store, 1, 2)
    fill_the_disk(store)
    for _ in range(3):
        for seq in range(3, 50):
            store.append(message(seq, content="x" * 1000), "session", seq)
        with pytest.raises(StoreError, match="full"):
            make_safe(store)
        assert (
            seqs(store) == [1, 2]
            and store.bounds("lobby") == (1, 2)
            and store.ids("session") == {1: 1, 2: 2}
        )
        make_safe(store)  # nothing to do, so nothing to fail
    make_space(store)
    add(store, *range(3, 50))
    store.close()
    again = SQLiteStore(path)
    assert seqs(again) == list(range(1, 50)) and len(again.ids("session")) == 49
    again.close()


def test_what_comes_after_the_failure_in_the_same_tick_is_not_kept_either(
    store: SQLiteStore,
) -> None:
    add(store, 1)
    fill_the_disk(store)
    for seq in range(2, 50):
        store.append(message(seq, content="x" * 1000), "session", seq)
    add(store, 50, commit=False)  # would fit, but with a gap before it
    assert seqs(store) == list(range(1, 51)), "it is there until the disk is asked"
    with pytest.raises(StoreError, match="full"):
        make_safe(store)
    make_space(store)
    make_safe(store)  # nothing of it is left
    assert seqs(store) == [1]
    add(store, 2)
    assert seqs(store) == [1, 2]


def test_a_tick_that_fails_is_not_half_seen_by_readers(
    path: Path, store: SQLiteStore
) -> None:
    add(store, 1)
    fill_the_disk(store)
    for seq in range(2, 50):
        store.append(message(seq, content="x" * 1000), "session", seq)
    with pytest.raises(StoreError):
        make_safe(store)
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchall() == [(1,)]
    db.close()
    with pytest.raises(StoreFileError, match="another server"):
        SQLiteStore(path)  # the right to write is still ours


ON_A_FULL_DISK = """
import resource
store, seq, failed = SQLiteStore(sys.argv[1]), 0, 0
def tick(size):
    for each in range(seq + 1, seq + 6):
        store.append(Message("lobby", each, "ann", "x" * size, 1.5), "session", each)
    make_safe(store)
    assert store.bounds("lobby") == (1, seq + 5)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for round in range(20):
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000 * (round + 1), hard))
    while True:
        try:
            tick(1000)
        except StoreError:
            failed += 1
            assert store.bounds("lobby") == ((1, seq) if seq else (1, 0)), (store.bounds("lobby"), seq)
            assert [each.seq for each in store.read("lobby", 0, 10**9)] == list(range(1, seq + 1))
            break
        seq += 5
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    tick(1000)
    seq += 5
print(failed, seq)
store.close()
"""


def test_on_a_disk_that_is_really_full_nothing_is_half_kept(path: Path) -> None:
    pytest.importorskip("resource")
    with run(ON_A_FULL_DISK, path) as program:
        output = program.communicate(timeout=60)[0]
    assert program.returncode == 0 and output, "see what it said on stderr"
    failed, last = map(int, output.split())
    assert failed == 20
    store = SQLiteStore(path)
    assert seqs(store) == list(range(1, last + 1)) and store.ids("session") == {
        seq: seq for seq in range(max(1, last - 255), last + 1)
    }
    store.close()


NO_SPACE_FOR_A_NEW_FILE = """
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in (0, 1000, 5000, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        SQLiteStore(sys.argv[1])
    except StoreFileError as error:
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


def test_a_tick_with_a_mistake_in_it_is_not_kept(store: SQLiteStore) -> None:
    add(store, 1)
    with pytest.raises(StoreError, match="(?i)unique"):
        add(store, 2, 2)
    assert seqs(store) == [1]
    add(store, 2)
    assert seqs(store) == [1, 2] and store.ids("session") == {1: 1, 2: 2}


def test_when_somebody_else_takes_the_right_to_write_nothing_is_said_until_it_is_free_again(
    path: Path, store: SQLiteStore
) -> None:
    add(store, 1)
    store._writer._db.rollback()  # as after some failures: the right to write is lost
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        with pytest.raises(StoreError, match="locked"):
            add(store, 2)
        assert seqs(store) == [1]
    other.close()
    add(store, 2)
    assert seqs(store) == [1, 2]
    with pytest.raises(StoreFileError, match="another server"):
        SQLiteStore(path)


def test_rooms_on_a_full_disk(path: Path) -> None:
    store = SQLiteStore(path)
    rooms = Rooms(Limits(), store)
    settle(rooms, rooms.handle(1, Join("ann"), NOW, TOKEN))
    fill_the_disk(store)
    said = [
        delivery
        for id in range(100)
        for delivery in rooms.handle(1, SendMessage("x" * 1000, id=id), NOW, TOKEN)
    ]
    told = settle(rooms, said)
    assert {(delivery.to, delivery.event.code) for delivery in told} == {
        ((1,), "not_saved")
    } and len(told) == 100
    make_space(store)
    said = [
        delivery
        for id in range(100)
        for delivery in rooms.handle(1, SendMessage("x" * 1000, id=id), NOW, TOKEN)
    ]
    assert settle(rooms, said) is said and said[-1].event.seq == 100
    store.close()


def test_a_log_that_can_not_be_read_says_so(store: SQLiteStore) -> None:
    add(store, 1, commit=False)
    store.close()
    for question in (
        lambda: store.bounds("lobby"),
        lambda: store.read("lobby", 0, 1),
        lambda: store.ids("session"),
    ):
        with pytest.raises(StoreError, match="closed"):
            question()
    add(store, 2, commit=False)
    with pytest.raises(StoreError, match="closed"):
        make_safe(store)


# --- forgetting -----------------------------------------------------------------------


def test_what_is_too_old_is_deleted_and_its_numbers_are_kept(
    path: Path, store: SQLiteStore
) -> None:
    add(store, *range(1, 11), room="old", timestamp=NOW)
    for seq in range(1, 11):
        add(store, seq, timestamp=NOW + seq)
    assert sum(forget(store, NOW + 4, NOW + 8)) == 13
    assert (store.bounds("lobby"), seqs(store)) == ((4, 10), [4, 5, 6, 7, 8, 9, 10])
    assert (store.bounds("old"), seqs(store, "old")) == ((11, 10), [])
    store.close()
    again = SQLiteStore(path)
    assert again.bounds("old") == (11, 10) and again.bounds("lobby") == (4, 10)
    assert again.ids("session") == {8: 8, 9: 9, 10: 10}
    add(again, 11, room="old")
    assert again.bounds("old") == (11, 11)
    forget(again, NOW + 99, NOW + 99)
    assert (
        again.bounds("old") == (12, 11)
        and again.bounds("lobby") == (11, 10)
        and again.ids("session") == {}
    )
    again.close()


def test_much_is_deleted_in_parts(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filewriter._Forgetter, "PART", 100)
    for room in ("a", "b"):
        add(store, *range(1, 251), room=room)
    assert forget(store, NOW + 1, NOW + 1) == [100] * 5
    assert (
        seqs(store, "a") == seqs(store, "b") == []
        and store.bounds("a") == store.bounds("b") == (251, 250)
        and store.ids("session") == {}
    )


def test_forgetting_is_undone_by_a_crash(path: Path, store: SQLiteStore) -> None:
    add(store, 1, 2, 3)
    store.forget(NOW + 1, NOW + 1)
    store.close()  # without a commit
    again = SQLiteStore(path)
    assert (
        seqs(again) == [1, 2, 3]
        and again.bounds("lobby") == (1, 3)
        and again.ids("session") == {1: 1, 2: 2, 3: 3}
    )
    again.close()


def test_forgetting_and_saying_in_one_tick(store: SQLiteStore) -> None:
    add(store, 1, 2)
    add(store, 3, commit=False, timestamp=NOW + 10)
    store.forget(NOW + 1, NOW + 1)
    add(store, 4, commit=False, timestamp=NOW + 10)
    make_safe(store)
    assert seqs(store) == [3, 4] and store.bounds("lobby") == (3, 4)


def test_what_is_forgotten_after_a_failure_in_the_same_tick_is_not_kept_either(
    store: SQLiteStore,
) -> None:
    add(store, 1, 2, 3)
    add(store, 3, commit=False)  # twice the same: that fails
    store.forget(NOW + 1, NOW + 1)
    with pytest.raises(StoreError, match="(?i)unique"):
        make_safe(store)
    assert seqs(store) == [1, 2, 3] and store.ids("session") == {1: 1, 2: 2, 3: 3}
    assert store.forgotten == 0 and store.forgetting
    make_safe(store)
    assert seqs(store) == [] and store.forgotten == 3, "the next commit does it"


def test_with_nothing_too_old_there_is_nothing_to_forget(store: SQLiteStore) -> None:
    assert forget(store, NOW, NOW) == []
    add(store, 1, 2)
    assert forget(store, NOW, NOW) == []
    assert seqs(store) == [1, 2] and store.ids("session") == {1: 1, 2: 2}


def test_rooms_whose_past_is_forgotten_go_on_and_say_what_is_lost(path: Path) -> None:
    store = SQLiteStore(path)
    add(store, 1, 2, 3)
    store.forget(NOW + 1, NOW + 1)
    make_safe(store)
    rooms = Rooms(Limits(), store)
    welcome, _, missed = [
        delivery.event
        for delivery in settle(rooms, rooms.handle(1, Join("ann", since=1), NOW, TOKEN))
    ][:3]
    assert welcome.seq == 3 and (missed.messages, missed.more, missed.lost) == (
        [],
        False,
        2,
    )
    assert (
        settle(rooms, rooms.handle(1, SendMessage("x"), NOW, TOKEN))[0].event.seq == 4
    )
    store.close()


# --- deleting -------------------------------------------------------------------------


def contents(store: MessageStore) -> list[str]:
    return [message.content for message in store.read("lobby", 0, 2**63 - 1)]


def test_a_deleted_message_keeps_its_number_and_its_text_is_nowhere(
    path: Path, store: SQLiteStore
) -> None:
    long = "no one may read this " * 150  # it takes more than a page of the file
    texts = ["good morning", "an insult", long]
    for seq, text in enumerate(texts, 1):
        store.append(message(seq, content=text), "session", seq)
    make_safe(store)
    store.delete("lobby", 2)
    store.delete("lobby", 3)
    assert contents(store) == ["good morning", "", ""], "at once"
    make_safe(store)
    assert contents(store) == ["good morning", "", ""]
    assert seqs(store) == [1, 2, 3] and store.ids("session") == {1: 1, 2: 2, 3: 3}
    store.close()
    data = path.read_bytes()
    assert b"good morning" in data
    assert b"an insult" not in data and b"no one may" not in data
    again = SQLiteStore(path)
    assert contents(again) == ["good morning", "", ""]
    assert contents(again)[1:] == [""] * 2 and again.bounds("lobby") == (1, 3)
    again.close()


def test_a_message_that_is_deleted_before_its_commit(store: SQLiteStore) -> None:
    add(store, 1, 2, commit=False)
    store.delete("lobby", 1)
    assert contents(store) == ["", "hi"]
    make_safe(store)
    assert contents(store) == ["", "hi"]


def test_a_deletion_that_is_not_kept_is_not_seen(store: SQLiteStore) -> None:
    add(store, 1)
    fill_the_disk(store)
    store.delete("lobby", 1)
    for seq in range(2, 50):
        store.append(message(seq, content="x" * 1000), "session", seq)
    with pytest.raises(StoreError, match="full"):
        make_safe(store)
    make_space(store)
    assert contents(store) == ["hi"], "whoever deletes says so once more"


def test_a_page_that_is_being_read_shows_no_text_that_is_deleted_meanwhile(
    path: Path,
) -> None:
    """As in a server: a thread reads, and the answer comes when the deletion is safe."""
    calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    store = SQLiteStore(path, post=calls.put)
    pages: list[list[str]] = []
    committed: list[StoreError | None] = []
    add(store, 1, 2, commit=False)
    store.commit(committed.append)
    while not committed:
        calls.get(timeout=60)()

    def rule() -> list[Delivery]:
        pages.append(contents(store))
        return []

    store.consult(rule, lambda deliveries: committed.append(None), lambda: True)
    store.delete("lobby", 2)  # the thread may have read it already
    store.commit(committed.append)
    while len(committed) < 3:
        calls.get(timeout=60)()
    assert pages[-1] == ["hi", ""]
    assert contents(store) == ["hi", ""]
    store.close()


# --- both logs are alike --------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.just("say"), st.sampled_from("abc"), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9))
    | st.tuples(st.just("read"), st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 9))
    | st.tuples(st.just("delete"), st.sampled_from("abcd"), st.integers(0, 9))
    | st.tuples(st.sampled_from(["commit", "reopen"])),
    max_size=40,
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("logs")
    return (folder / str(number) for number in itertools.count())


@pytest.mark.slow
@given(STEPS)
@settings(max_examples=60)
def test_the_file_and_the_memory_behave_the_same(
    files: Iterator[Path], steps: list[tuple]
) -> None:
    path = next(files)
    store, memory, last, kept = (
        SQLiteStore(path),
        MemoryStore(10**9, 10**12),
        dict.fromkeys("abcd", 0),
        [],
    )
    for number, step in enumerate(steps):
        match step:
            case "say", room, content:
                last[room] += 1
                for each in (store, memory):
                    each.append(
                        Message(room, last[room], "ann", content, NOW), "session", None
                    )
                kept.append(room)
            case "read", room, first, end:
                assert store.read(room, first, end) == memory.read(room, first, end)
                assert store.bounds(room) == memory.bounds(room) == (1, last[room])
            case "delete", room, seq if 1 <= seq <= last[room]:
                store.delete(room, seq)
                memory.delete(room, seq)
            case ("commit",):
                make_safe(store)
                make_safe(memory)
            case ("reopen",):
                make_safe(store)
                store.close()
                store = SQLiteStore(path)
    for room in "abcd":
        assert (
            store.read(room, 0, 99) == memory.read(room, 0, 99)
            and len(store.read(room, 0, 99)) == last[room]
        )
    store.close()
    path.unlink()
