"""A backup while a server runs: whole, checked, at once or not at all; and restored."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers import LIMIT, Listener, Program
from waiting import ENDINGS, wait_until

from python_tcp import backup
from python_tcp.backup import back_up, is_backup, start_backup
from python_tcp.chat_server import ChatServer
from python_tcp.datafile import StoreFileError, check_file, end_well, open_file
from python_tcp.history import SQLiteStore
from python_tcp.protocol import History, Limits, Message

pytestmark = pytest.mark.slow  # it starts programs

COMMAND = [sys.executable, "-m", "python_tcp.backup"]
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def messages(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [n for (n,) in db.execute("SELECT seq FROM messages ORDER BY n")]


def rows(path: Path, count: int) -> Path:
    """A data file with so many messages."""
    db = open_file(path)
    db.executemany(
        "INSERT INTO messages (room, seq, username, content, timestamp) VALUES (?, ?, ?, ?, ?)",
        [("lobby", seq, "ann", "x" * 1000, 1e9 + seq) for seq in range(1, count + 1)],
    )  # fmt: skip
    db.execute("COMMIT")
    end_well(db)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return rows(tmp_path / "chat.db", 3000)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def test_a_copy_has_everything_and_is_one_file(data: Path) -> None:
    to = data.with_name("copy.db")
    before = data.read_bytes()
    assert back_up(data, to) == 3000
    assert messages(to) == list(range(1, 3001)) and data.read_bytes() == before
    assert to.stat().st_mode & 0o777 == 0o600 or os.name != "posix"
    names = {path.name for path in data.parent.iterdir()}
    assert names == {"chat.db", "copy.db"}
    assert is_backup(to) and not is_backup(data)


@pytest.mark.slow(seconds=5)
def test_backups_while_people_talk_have_all_that_was_confirmed(tmp_path: Path) -> None:
    """Each copy has every message that was safe when it began, and no gap."""
    data, to = tmp_path / "chat.db", tmp_path / "copy.db"
    limits = Limits(flood_burst=0)
    with ChatServer(data=data, limits=limits) as server, Listener("ann") as ann:
        assert ann.connect(server.host, server.port) and ann.join()
        done, sent = threading.Event(), []

        def talk() -> None:
            while not done.is_set():
                ann.send_message(f"{len(sent)} " + "x" * 500)
                sent.append(None)
                ann.wait_until(lambda: ann.unsent < 5)

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            for _ in range(5):
                safe = len([each for each in ann.events if isinstance(each, Message)])
                done_ = subprocess.run(
                    [*COMMAND, data, to], capture_output=True, timeout=60
                )
                assert done_.returncode == 0, done_.stderr
                copied = messages(to)
                assert copied == list(range(1, len(copied) + 1)) and len(copied) >= safe
        finally:
            done.set()
            thread.join(LIMIT)
        assert len(messages(to)) > 100
        errors = [each for each in ann.events if type(each).__name__ == "Error"]
        assert errors == []
    assert leftovers(tmp_path) == []


def test_a_restored_backup_gives_everybody_the_messages(tmp_path: Path) -> None:
    data, to = tmp_path / "chat.db", tmp_path / "copy.db"
    with Program("start_server", "--port", 0, "--data", data) as program:
        wait_until(lambda: program.lines)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        with Listener("ann") as ann:
            assert ann.connect("127.0.0.1", port) and ann.join()
            for content in "abc":
                ann.send_message(content)
            assert ann.wait_until(lambda: not ann.unsent)
            assert start_backup([str(data), str(to)]) == 0
        program.process.kill()
        program.process.wait()
    for path in tmp_path.glob("chat.db*"):
        path.unlink()
    assert start_backup([str(to), str(data)]) == 0
    with Program("start_server", "--port", 0, "--data", data) as program:
        wait_until(lambda: program.lines)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        for name in ("bob", "cat"):
            with Listener(name) as client:
                assert client.connect("127.0.0.1", port) and client.join()
                assert client.ask_history()
                pages = client.events
                assert client.wait_until(
                    lambda: any(isinstance(e, History) for e in pages)
                )
                (page,) = [each for each in pages if isinstance(each, History)]
                assert [each.content for each in page.messages] == ["a", "b", "c"]
        assert program.end(signal.SIGTERM) == (0, [])
    assert not is_backup(data)


def test_a_restored_backup_has_a_new_epoch(data: Path) -> None:
    """So a client that has seen more knows that it is another history."""
    to = data.with_name("copy.db")
    before = SQLiteStore(data)
    epoch = before.epoch
    back_up(data, to)
    before.close()
    after = SQLiteStore(to)
    assert after.epoch != epoch
    after.close()


def test_a_killed_server_s_file_can_be_copied(tmp_path: Path) -> None:
    data = tmp_path / "chat.db"
    with Program("start_server", "--port", 0, "--data", data) as program:
        wait_until(lambda: program.lines)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        ann = Listener("ann")
        assert ann.connect("127.0.0.1", port) and ann.join()
        ann.send_message("safe")
        assert ann.wait_until(lambda: not ann.unsent)
        program.process.kill()
        program.process.wait()
        ann.leave(timeout=0)
    assert Path(f"{data}-wal").stat().st_size > 0
    assert back_up(data, tmp_path / "copy.db") == 1


def test_an_earlier_backup_is_replaced_and_nothing_else(data: Path) -> None:
    to, folder = data.with_name("copy.db"), data.parent
    back_up(data, to)
    first = to.stat().st_ino
    back_up(data, to)
    assert to.stat().st_ino != first
    other = rows(folder / "other.db", 1)
    (text := folder / "diary.txt").write_text("Dear diary")
    (empty := folder / "empty").touch()
    for path in (other, text, empty):
        before = path.read_bytes()
        with pytest.raises(StoreFileError, match="no backup"):
            back_up(data, path)
        assert path.read_bytes() == before
    assert back_up(data, text, overwrite=True) == 3000 and is_backup(text)
    SQLiteStore(to).close()  # a server has used it: now it is somebody's data
    with pytest.raises(StoreFileError, match="no backup"):
        back_up(data, to)


@posix
def test_the_source_is_never_overwritten(data: Path) -> None:
    folder = data.parent
    (folder / "link.db").symlink_to(data)
    os.link(data, folder / "hard.db")
    store = SQLiteStore(data)
    before = data.read_bytes()
    names = [
        "chat.db",
        "link.db",
        "hard.db",
        "chat.db-wal",
        "chat.db-shm",
        "chat.db-journal",
    ]
    for name in names:
        with pytest.raises(StoreFileError, match="file that is copied"):
            back_up(data, folder / name, overwrite=True)
    assert data.read_bytes() == before
    store.close()


def test_a_database_in_use_is_not_replaced(data: Path) -> None:
    used = rows(data.with_name("used.db"), 2)
    store = SQLiteStore(used)
    with pytest.raises(StoreFileError, match="may be in use"):
        back_up(data, used, overwrite=True)
    store.close()
    assert messages(used) == [1, 2]


@posix
def test_what_is_no_data_file_is_not_copied(data: Path) -> None:
    folder, to = data.parent, data.with_name("copy.db")
    (folder / "text").write_text("x" * 200)
    (folder / "empty").touch()
    os.mkfifo(folder / "fifo")
    with closing(sqlite3.connect(folder / "foreign.db")) as db:
        db.execute("CREATE TABLE t (x)")
        db.commit()
    for name, why in [
        ("text", "no SQLite file"), ("empty", "no SQLite file"), ("fifo", "not a regular"),
        ("foreign.db", "another program"), ("none.db", "No such file"), ("", "regular"),
    ]:  # fmt: skip
        with pytest.raises(StoreFileError, match=why) as error:
            back_up(folder / name, to)
        assert str(folder / name) in str(error.value)
    for target, why in [
        ("nowhere/a.db", "no directory"),
        ("fifo", "regular"),
        ("", "regular"),
    ]:
        with pytest.raises(StoreFileError, match=why):
            back_up(data, folder / target)
    assert leftovers(folder) == [] and not to.exists()


def test_a_damaged_file_makes_no_backup(data: Path) -> None:
    to = data.with_name("copy.db")
    back_up(data, to)
    good = to.read_bytes()
    content = bytearray(data.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    data.write_bytes(content)
    with pytest.raises(StoreFileError, match="damaged|malformed"):
        back_up(data, to)
    assert to.read_bytes() == good and leftovers(data.parent) == []


def test_an_index_that_does_not_fit_is_found(data: Path) -> None:
    """What the quick check at the start of a server does not see."""
    insert = "INSERT INTO ids (session, id, timestamp) VALUES ('s', 1, 1.0)"
    with closing(sqlite3.connect(data)) as db:
        query = "SELECT * FROM sqlite_schema WHERE name = 'ids_of_session'"
        index = db.execute(query).fetchone()
    delete = "DELETE FROM sqlite_schema WHERE name = 'ids_of_session'"
    again = "INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)"
    for statement, values in ((delete, ()), (insert, ()), (again, index)):
        with closing(
            sqlite3.connect(data)
        ) as db:  # anew: what it knows is from the file
            db.execute("PRAGMA writable_schema = 1")
            db.execute(statement, values)
            db.commit()
    check_file(data)
    with pytest.raises(StoreFileError, match="damaged"):
        back_up(data, data.with_name("copy.db"))


class Stopped:
    """A backup as a process that has copied a part, and stands still."""

    def __init__(self, data: Path, to: Path) -> None:
        code = (
            "import sys, time; from python_tcp import backup\n"
            "def stand(seconds): print('a part', flush=True); time.sleep(60)\n"
            "backup.PAUSE, backup.time = 0, type('T', (), {'sleep': staticmethod(stand)})\n"
            "sys.exit(backup.start_backup())"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, data, to],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "a part\n"

    def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, errors


@pytest.fixture
def stopped(data: Path) -> Iterator[Stopped]:
    back_up(data, data.with_name("copy.db"))
    stopped = Stopped(data, data.with_name("copy.db"))
    yield stopped
    stopped.process.kill()
    stopped.process.communicate()


@posix
@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.usefixtures("hang_ups_are_heard")
def test_an_interrupted_backup_leaves_the_old_one_and_nothing_else(
    data: Path, number: signal.Signals
) -> None:
    to = data.with_name("copy.db")
    back_up(data, to)
    before = to.read_bytes()
    stopped = Stopped(data, to)
    assert len(leftovers(data.parent)) >= 1
    assert stopped.end(number) == (1, "backup: interrupted: nothing was written\n")
    assert to.read_bytes() == before and leftovers(data.parent) == []


@posix
@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.usefixtures("hang_ups_are_heard")
def test_a_signal_after_the_last_step_is_too_late_and_the_command_says_what_is_there(
    data: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to, real = data.with_name("copy.db"), backup._sync

    def sync(path: str | Path, mode: int) -> None:
        real(path, mode)
        if path == data.parent.resolve():  # the copy has its name
            signal.raise_signal(number)

    monkeypatch.setattr(backup, "_sync", sync)
    assert start_backup([str(data), str(to)]) == 0
    assert "copy.db: 3000 messages" in capsys.readouterr().out
    assert len(messages(to)) == 3000


@posix
def test_a_killed_backup_leaves_the_old_one(data: Path, stopped: Stopped) -> None:
    to = data.with_name("copy.db")
    before = to.read_bytes()
    stopped.end(signal.SIGKILL)
    assert to.read_bytes() == before
    assert len(leftovers(data.parent)) == 1  # whose name says what it is
    assert back_up(data, to) == 3000


def test_while_a_backup_stands_still_the_server_commits(
    data: Path, stopped: Stopped
) -> None:
    """A reader that is in the middle of the file stops no writer."""
    with ChatServer(data=data) as server, Listener("ann") as ann:
        assert ann.connect(server.host, server.port) and ann.join()
        ann.send_message("not later")
        assert ann.wait_until(lambda: not ann.unsent, LIMIT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a small disk")
def test_a_full_disk_is_one_line_and_leaves_nothing(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, part: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "_copy", full)
    to = data.with_name("copy.db")
    assert start_backup([str(data), str(to)]) == 1
    errors = capsys.readouterr().err
    assert errors == f"backup: {to}: database or disk is full\n"
    assert leftovers(data.parent) == [] and not to.exists()


def test_the_command_says_what_it_has_done_or_why_not(data: Path) -> None:
    to = data.with_name("copy.db")

    def run(*arguments: object) -> tuple[int, str, str]:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout, done.stderr

    status, said, errors = run(data, to)
    assert (status, errors) == (0, "")
    assert re.fullmatch(rf"{to}: 3000 messages, \d\.\d MiB, checked\n", said)
    assert run(data, data) == (
        1,
        "",
        f"backup: {data}: it is the file that is copied\n",
    )
    status, said, errors = run(data)
    assert (status, said) == (2, "") and errors.count("\n") == 1 and "TO" in errors
