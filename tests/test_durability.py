"""What is confirmed survives: a loss of power, a slow disk, a file that is gone, a clock that is wrong."""

import contextlib
import errno
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import LIMIT, LineClient, Program, wait_until
from waiting import Barrier

from python_tcp import datafile, filewriter
from python_tcp.chat_server import ChatServer
from python_tcp.datafile import StoreFileError
from python_tcp.history import SQLiteStore
from python_tcp.messages import StoreError
from python_tcp.protocol import Limits, Message

pytestmark = pytest.mark.slow

FREE = Limits(flood_burst=0, connections_per_address=0)


def no_error(error: StoreError | None) -> None:
    assert error is None, error


def say(store: SQLiteStore, *seqs: int, room: str = "lobby", time: float = 1.0) -> None:
    for seq in seqs:
        store.append(Message(room, seq, "ann", f"text {seq}", time), "s", seq)
    store.commit(no_error)


def contents(store: SQLiteStore, room: str = "lobby") -> dict[int, str]:
    return {each.seq: each.content for each in store.read(room, 0, 2**62)}


# --- loss of power ---------------------------------------------------------------------
#
# A server under load runs in `strace`, which writes down each write and each sync of its
# files, and what it sends to its clients, in the order in which they happen. So for any
# moment we can say what a machine without power has then: all writes up to the last sync
# of a file, and of those after it any part, for the kernel may have written some early.
# Not simulated: a disk that lies about a sync, and a write of a page that is cut in half.

SERVER = """
import sys
from python_tcp.chat_server import ChatServer
from python_tcp.protocol import Limits
limits = Limits(flood_burst=0, connections_per_address=0)
with ChatServer(data=sys.argv[1], durability=sys.argv[2], limits=limits) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""
CALLS = "pwrite64,fsync,fdatasync,ftruncate,sendto"


def can_trace() -> bool:
    command = ["strace", "-qq", "-o", os.devnull, "true"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    return False


def traced_run(folder: Path, durability: str, messages: int) -> list[tuple]:
    """What a server did while four clients sent so many messages each."""
    trace = folder / "trace"
    command = ["strace", "-f", "-y", "-qq", "-xx", "-s", "100000000", "-o", trace]
    command += ["-e", f"trace={CALLS}", sys.executable, "-c", SERVER]
    command += [folder / "chat.db", durability]
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        port = int(server.stdout.readline())
        with contextlib.ExitStack() as stack:
            people = [
                stack.enter_context(LineClient(port).join(f"p{n}")) for n in range(4)
            ]
            for id in range(messages):
                for person in people:
                    person.say("message", content=f"text {id}", id=id)
                if id % 3 == 0:
                    people[id % 4].read_until("ok", id=id)
            for person in people:
                person.read_until("ok", id=messages - 1)
        server.stdin.close()
    return list(events_of(trace, folder))


def events_of(trace: Path, folder: Path) -> Iterator[tuple]:
    """`("write", file, offset, data)`, `("sync", file)`, `("cut", file, size)`, and
    `("sent", data)`. What is sent counts from its beginning, a sync from its end.
    """
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        process, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[process] = call.removesuffix("<unfinished ...>").strip()
            if call.startswith("sendto"):
                yield "sent", data_of(call)
            continue
        if resumed := re.match(r"<\.\.\. (\w+) resumed>", call):
            call = begun.pop(process) + call[resumed.end() :]
            if resumed[1] == "sendto":
                continue
        name = call.partition("(")[0]
        if name == "sendto":
            yield "sent", data_of(call)
        file = re.match(r"\w+\(\d+<((?:\\x\w\w)*)>", call)
        if file is None or not call.split("= ")[-1][:1].isdigit():
            continue
        path = os.fsdecode(bytes.fromhex(file[1].replace("\\x", "")))
        if Path(path).parent != folder or path.endswith("-shm"):  # that is memory
            continue
        path = Path(path).name
        if name == "pwrite64":
            offset = int(re.search(r", (\d+)\)\s+= ", call)[1])
            yield "write", path, offset, data_of(call)
        elif name == "ftruncate":
            yield "cut", path, int(re.search(r", (\d+)\)", call)[1])
        elif name in ("fsync", "fdatasync"):
            yield "sync", path


def data_of(call: str) -> bytes:
    return bytes.fromhex(re.search(r'"([^"]*)"', call)[1].replace("\\x", ""))


def told_in(data: bytes) -> dict[int, str]:
    """The messages that are in what was sent, and those that an `ok` is about."""
    lines = (json.loads(line) for line in data.splitlines() if line.endswith(b"}"))
    return {each["seq"]: each["content"] for each in lines if each["type"] == "message"}


def change(files: dict[str, bytearray], event: tuple) -> None:
    data = files.setdefault(event[1], bytearray())
    if event[0] == "cut":
        del data[event[2] :]
        data.extend(bytes(event[2] - len(data)))
    else:
        _, _, offset, new = event
        data.extend(bytes(max(0, offset - len(data))))
        data[offset : offset + len(new)] = new


class Machine:
    """The files of a machine on which power may be lost."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.safe = {name: bytearray(data) for name, data in files.items()}
        self.unsafe: list[tuple] = []  # changes that were not synced
        self.told: dict[int, str] = {}

    def on(self, event: tuple) -> None:
        if event[0] == "sent":
            self.told |= told_in(event[1])
        elif event[0] == "sync":
            for change_ in [each for each in self.unsafe if each[1] == event[1]]:
                change(self.safe, change_)
            self.unsafe = [each for each in self.unsafe if each[1] != event[1]]
        else:
            self.unsafe.append(event)

    def lose_power(self, folder: Path, dice: random.Random, share: float) -> None:
        """What is in the files of `folder` then. Of what is not safe, a share is there."""
        files = {name: bytearray(data) for name, data in self.safe.items()}
        for each in self.unsafe:
            if dice.random() < share:
                change(files, each)
        for name, data in files.items():
            (folder / name).write_bytes(data)


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="no strace here")
@pytest.mark.parametrize("durability", ["power", "process"])
def test_loss_of_power_at_100_random_moments(tmp_path: Path, durability: str) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice, file = random.Random(seed), tmp_path / "chat.db"
    SQLiteStore(file).close()
    before = {"chat.db": file.read_bytes()}
    events = traced_run(tmp_path, durability, 101)
    sent = [at for at, event in enumerate(events) if event[0] == "sent"]
    moments = sorted(dice.choices(range(sent[0], sent[-1] + 1), k=100))
    machine, lost, at = Machine(before), [], 0
    for number, moment in enumerate(moments):
        while at <= moment:
            machine.on(events[at])
            at += 1
        folder = tmp_path / f"moment {number}"
        folder.mkdir()
        machine.lose_power(folder, dice, dice.choice([0.0, 0.5, 0.9]))
        store = SQLiteStore(folder / "chat.db")
        kept = contents(store)
        assert list(kept) == list(range(1, len(kept) + 1)), "no gap"
        lost.append(len(machine.told.items() - kept.items()))
        store.close()
        shutil.rmtree(folder)
    assert len(machine.told) > 300
    if durability == "power":
        assert lost == [0] * 100
    else:  # what the test would not see, it would not test
        assert sum(count > 0 for count in lost) > 30


def test_after_a_loss_of_power_numbers_that_may_go_back_are_a_new_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, epochs = tmp_path / "chat.db", []

    def crashed_copy() -> Path:
        """The same file, as a crash leaves it: put back, with the same inode."""
        files = {each: each.read_bytes() for each in tmp_path.glob("chat.db*")}
        store.close()
        for each, data in files.items():
            if each == file:
                with each.open("r+b") as opened:
                    opened.truncate()
                    opened.write(data)
            elif each.suffix == ".db-wal":
                each.write_bytes(data)
        return file

    for durability, boots, changes in [
        ("power", "aa", False), ("power", "ab", False), ("process", "aa", False),
        ("process", "ab", True), ("process", "??", True),
    ]:  # fmt: skip
        monkeypatch.setattr(datafile, "_boot_id", lambda: boots[0])
        store = SQLiteStore(file, durability)
        epochs.append(store.epoch)
        crashed_copy()
        monkeypatch.setattr(datafile, "_boot_id", lambda: boots[1])
        store = SQLiteStore(file, durability)
        epochs.append(store.epoch)
        store.close()
        assert (epochs[-1] != epochs[-2]) == changes, (durability, boots)
        store = SQLiteStore(file, durability)
        assert store.epoch == epochs[-1], "it was closed well"
        store.close()


def test_a_file_whose_last_messages_are_gone_or_that_is_a_copy_is_a_new_epoch(
    tmp_path: Path,
) -> None:
    file = tmp_path / "chat.db"
    store = SQLiteStore(file)
    say(store, *range(1, 11))
    epochs = [store.epoch]
    store.close()
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("DELETE FROM messages WHERE seq > 5")
        db.commit()
    for path in (file, file, shutil.copy(file, tmp_path / "copy.db")):
        store = SQLiteStore(path)
        epochs.append(store.epoch)
        store.close()
    assert epochs[0] != epochs[1] == epochs[2] != epochs[3]


def test_ten_messages_five_lost_seven_more_and_a_client_reads_all_of_them(
    tmp_path: Path, reserved_port: int
) -> None:
    from python_tcp.chat_client import ChatClient

    file, seen, port = tmp_path / "chat.db", [], reserved_port
    client = ChatClient("ann", patience=LIMIT)
    client.set_event_callback(seen.append)
    with ChatServer(port=port, data=file, limits=FREE) as server:
        assert client.connect(server.host, port) and client.join()
        with LineClient(port).join("bob") as bob:
            for number in range(10):
                bob.say("message", content=f"old {number}", id=number)
                bob.read_until("ok")
        wait_until(lambda: "old 9" in [getattr(e, "content", "") for e in seen])
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("DELETE FROM messages WHERE seq > 5")
        db.commit()
    with ChatServer(port=port, data=file, limits=FREE) as server:
        with LineClient(port).join("cy") as bob:
            for number in range(7):
                bob.say("message", content=f"new {number}", id=f"n{number}")
                bob.read_until("ok")
        wait_until(lambda: "new 6" in [getattr(e, "content", "") for e in seen])
        client.leave()
    names = [type(event).__name__ for event in seen]
    texts = [event.content for event in seen if type(event).__name__ == "Message"]
    assert [text for text in texts if "new" in text] == [f"new {n}" for n in range(7)]
    assert "HistoryGap" in names


def test_a_file_is_checked_before_the_port_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """9 GB took 6.9 s, in which clients sat there without an answer."""

    def knock(path: Path) -> None:
        with socket.socket() as client:
            client.settimeout(LIMIT)
            heard.append(client.connect_ex(("127.0.0.1", server.port)))
        check_file(path)

    heard: list[int] = []
    check_file = datafile.check_file
    monkeypatch.setattr(datafile, "check_file", knock)
    server = ChatServer(data=tmp_path / "chat.db")
    with server, LineClient(server.port).join("ann"):
        pass
    (tmp_path / "chat.db").write_bytes(b"no data file, and long enough" * 100)
    with pytest.raises(StoreFileError):
        server.start()
    with pytest.raises(ConnectionRefusedError):
        LineClient(server.port)
    assert heard == [errno.ECONNREFUSED] * 2
    assert not [each for each in threading.enumerate() if "File" in each.name]


# --- the loop never waits for a disk ------------------------------------------------------


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Barrier]:
    """Before each commit."""
    disk, writer = Barrier(), filewriter.FileWriter
    monkeypatch.setattr(writer, "_commit", disk.before(writer._commit))
    yield disk
    disk.go_on()


def ticks(server: ChatServer, count: int) -> None:
    """Returns when the loop has had so many turns: it does not wait for anything."""
    seen = threading.Semaphore(0)
    for _ in range(count):
        server._server.loop.call_threadsafe(seen.release)
        assert seen.acquire(timeout=LIMIT)


@pytest.mark.parametrize("durability", ["power", "process"])
def test_while_the_disk_works_the_loop_goes_on_and_says_nothing_too_early(
    tmp_path: Path, disk: Barrier, durability: str
) -> None:
    with (
        ChatServer(data=tmp_path / "chat.db", durability=durability) as server,
        LineClient(server.port).join("ann") as ann,
        LineClient(server.port).join("bob") as bob,
    ):
        assert ann.read()["type"] == "join"
        disk.slow_down()
        ann.say("message", content="one", id=1)
        assert disk.entered.wait(LIMIT)
        for number in range(2, 6):  # go into the next commit
            bob.say("message", content=f"{number}", id=number)
            ticks(server, 20)
        with LineClient(server.port):  # and newcomers get in
            wait_until(lambda: server.connections == 3)
        streams = list(server._server.connections.values())  # the newcomer is leaving
        assert not any(each.queued for each in streams)
        disk.go_on()
        heard = [bob.read_until("message") for _ in range(5)]
        assert [each["seq"] for each in heard] == [1, 2, 3, 4, 5]
        assert ann.read_until("ok")["seq"] == 1
    assert disk.threads == {"FileWriter"}


@pytest.mark.alone
def test_with_50_ms_a_sync_the_loop_is_never_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages wait for the disk, and nothing else does."""
    commit = filewriter.FileWriter._commit

    def slow(writer: filewriter.FileWriter, batch: filewriter.Batch) -> object:
        time.sleep(0.05)
        return commit(writer, batch)

    monkeypatch.setattr(filewriter.FileWriter, "_commit", slow)
    late: list[float] = []
    with (
        ChatServer(data=tmp_path / "chat.db", limits=FREE) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        loop, before = server._server.loop, time.perf_counter()
        for number in range(20):
            ann.say("message", content="x", id=number)
            for _ in range(20):
                posted, seen = time.perf_counter(), threading.Event()
                loop.call_threadsafe(lambda: late.append(time.perf_counter() - posted))
                loop.call_threadsafe(seen.set)
                assert seen.wait(LIMIT)
            assert ann.read_until("ok")["id"] == number
        took = time.perf_counter() - before
    # A loop that waited would be late by a sync for each of the 20 messages.
    assert took > 20 * 0.05 and sum(each > 0.04 for each in late) < 10


def test_what_comes_during_a_commit_goes_into_one(tmp_path: Path) -> None:
    calls, sizes = [], []
    store = SQLiteStore(tmp_path / "chat.db", post=calls.append)
    commit = store._writer._commit
    store._writer._commit = lambda batch: sizes.append(len(batch.messages)) or commit(batch)  # fmt: skip
    said: list[StoreError | None] = []
    for seq in range(1, 4):
        store.append(Message("lobby", seq, "ann", "x", 0.0), "", None)
    store.commit(said.append)
    for seq in range(4, 9):
        store.append(Message("lobby", seq, "ann", "x", 0.0), "", None)
    assert store.bounds("lobby") == (1, 8) and len(contents(store)) == 8
    assert store.read("lobby", 2, 7, 200, backward=True)[0].seq == 6
    store.commit(said.append)
    store.finish()
    assert (said, sizes) == ([None, None], [3, 5]) and store.bounds("lobby") == (1, 8)
    store.close()


def test_a_commit_that_is_built_on_one_that_fails_fails_too(
    tmp_path: Path, disk: Barrier
) -> None:
    store = SQLiteStore(tmp_path / "chat.db", post=lambda call: None)
    said: list[StoreError | None] = []
    disk.slow_down()
    for seq in (1, 1):  # twice the same
        store.append(Message("lobby", seq, "ann", "x", 0.0), "s", seq)
    store.commit(said.append)
    store.append(Message("lobby", 2, "ann", "x", 0.0), "s", 2)
    store.commit(said.append)
    store.append(Message("lobby", 3, "ann", "x", 0.0), "s", 3)
    disk.go_on()
    store.finish()
    assert [type(error) for error in said] == [StoreError, StoreError]
    assert store.bounds("lobby") == (1, 0) and store.ids("s") == {}
    store.append(Message("lobby", 1, "ann", "x", 0.0), "s", 9)
    store.commit(said.append)
    store.close()
    assert said[-1] is None


def test_ids_of_whispers_survive_a_restart(tmp_path: Path) -> None:
    file, token = tmp_path / "chat.db", ""
    for run in range(2):
        with (
            ChatServer(data=file) as server,
            LineClient(server.port).join(f"bob{run}") as bob,
            LineClient(server.port) as ann,
        ):
            ann.say("join", username="ann", **({"token": token} if token else {}))
            token = ann.read()["token"]
            ann.say("whisper", to=f"bob{run}", content="psst", id="w")
            assert ann.read_until("ok")["id"] == "w"
            bob.say("ping")
            kinds = [event["type"] for event in iter(bob.read, {"type": "pong"})]
            assert kinds.count("whisper") == 1 - run, "heard once"


# --- the file --------------------------------------------------------------------------

READ_ONLY = """
import encodings.idna, os, resource, sys
from python_tcp.chat_app import run_chat_server
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(run_chat_server(port=0, data=sys.argv[1]))
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user"
)
def test_a_read_only_file_is_refused_with_one_line_and_status_1() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "chat.db")
        SQLiteStore(file).close()
        os.chmod(folder, 0o777)
        file.chmod(0o444)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, file], capture_output=True, text=True,
            timeout=60, cwd="/",
        )  # fmt: skip
    if "ModuleNotFoundError" in done.stderr or "Permission" in done.stderr:
        pytest.skip("another user can't read our Python")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "readonly" in done.stderr and str(file) in done.stderr


@pytest.mark.parametrize("how", ["deleted", "replaced", "without its -wal"])
def test_a_file_that_is_gone_is_noticed_and_messages_are_refused(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filewriter.FileWriter, "LOOK", 0.0)
    file, wal = tmp_path / "chat.db", tmp_path / "chat.db-wal"
    with (
        ChatServer(data=file, limits=FREE) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        ann.say("message", content="one", id=1)
        assert ann.read_until("ok")
        gone = wal if how == "without its -wal" else file
        gone.rename(tmp_path / "aside")
        if how == "replaced":
            file.write_bytes(b"")
        ann.say("message", content="two", id=2)
        event = ann.read_until("error")
        assert event["code"] == "not_saved" and "chat.db" in event["content"]
        (tmp_path / "aside").replace(gone)
        ann.say("message", content="two", id=2)
        assert ann.read_until("ok")["seq"] == 2, "it is there again"


def test_a_clock_that_would_have_everything_forgotten_is_a_reason_not_to_start(
    tmp_path: Path,
) -> None:
    file, config = tmp_path / "chat.db", tmp_path / "chat.toml"
    store = SQLiteStore(file)
    say(store, 1, 2, 3, time=time.time() - 40 * 86_400)
    store.close()
    config.write_text("[limits]\nhistory_days = 30\n")
    with Program("start_server", "--port", 0, "--data", file, "--config", config) as it:
        status, errors = it.end()
    assert status == 1 and len(errors) == 1 and "clock" in errors[0], errors
    with ChatServer(data=file, limits=Limits(history_days=50)):
        pass
    store = SQLiteStore(file)
    assert len(contents(store)) == 3
    store.close()


def test_the_file_has_a_bound_and_what_is_oldest_goes_first(tmp_path: Path) -> None:
    file, seq, most = tmp_path / "chat.db", 0, 2_000_000
    store = SQLiteStore(file, most_bytes=most)
    for _ in range(150):
        for _ in range(100):
            seq += 1
            room = f"room {seq % 3}"
            message = Message(room, seq // 3 + 1, "ann", "x" * 1000, float(seq))
            store.append(message, "", None)
        store.commit(no_error)
    assert file.stat().st_size < 1.5 * most and store.forgotten > 10_000
    for room in ("room 0", "room 1", "room 2"):
        first, last = store.bounds(room)
        kept = list(contents(store, room))
        assert kept == list(range(first, last + 1)) and len(kept) > 300
    times = [each.timestamp for n in range(3) for each in store.read(f"room {n}", 0, seq)]  # fmt: skip
    assert sorted(times) == list(range(seq - len(times) + 1, seq + 1)), "the newest"
    store.close()


def test_ids_go_with_the_messages_of_their_time_and_take_no_others_place(
    tmp_path: Path,
) -> None:
    file, seq, most = tmp_path / "chat.db", 0, 1_000_000
    store = SQLiteStore(file, most_bytes=most)
    for _ in range(300):
        for _ in range(100):  # short messages: an id takes as much as its message
            seq += 1
            session = f"a session with a long key, number {seq % 50}"
            store.append(Message("lobby", seq, "ann", "x", float(seq)), session, seq)
            store.remember(session, f"whisper {seq}", float(seq))
        store.commit(no_error)
    assert file.stat().st_size < 1.5 * most and store.forgotten > 10_000
    first, last = store.bounds("lobby")
    [[oldest, ids]] = store._reader.query("SELECT min(timestamp), count(*) FROM ids")
    assert last - first > 2000 and abs(oldest - first) < 2000 and ids > 2000
    store.close()


def test_long_texts_take_little_more_than_their_length(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    store = SQLiteStore(file)
    for seq in range(1, 1001):
        store.append(Message("lobby", seq, "ann", "x" * 1000, 1.0), "", None)
    store.commit(no_error)
    store.close()
    assert file.stat().st_size < 1500 * 1000


def test_forgotten_rooms_do_not_fill_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filewriter, "_FORGOTTEN", 100)
    store = SQLiteStore(tmp_path / "chat.db")
    for number in range(1000):
        room = f"room {number}"
        for seq in range(1, number % 7 + 2):
            store.append(Message(room, seq, "ann", "x", 1.0), "", None)
    store.commit(no_error)
    store.forget(2.0, 2.0)
    while store.forgetting:
        store.commit(no_error)
    assert store._reader.query("SELECT count(*) FROM forgotten")[0][0] <= 100
    for number in range(1000):
        first, last = store.bounds(f"room {number}")
        assert first == last + 1 and last >= number % 7 + 1, "no number twice"
    assert store.bounds("new") == (8, 7)
    store.close()


def test_forgetting_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The work does not grow with the number of rooms."""
    store = SQLiteStore(tmp_path / "chat.db")
    for number in range(20_000):
        store.append(Message(f"room {number}", 1, "ann", "x", 1.0), "", None)
    store.commit(no_error)
    steps: list[int] = []
    store._writer._db.set_progress_handler(lambda: steps.append(1), 1000)
    parts = []
    store.forget(2.0, 0.0)
    while store.forgetting:
        before = len(steps)
        store.commit(no_error)
        parts.append(len(steps) - before)
    store._writer._db.set_progress_handler(None, 0)
    assert store.forgotten == 20_000 and max(parts[1:-1]) < 2 * min(parts[1:-1])
    store.close()


def test_a_page_of_long_messages_is_not_read_beyond_its_end(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")
    for seq in range(1, 2001):
        store.append(Message("lobby", seq, "ann", "x" * 4000, 1.0), "", None)
    store.commit(no_error)
    steps: list[int] = []
    store._reader._db.set_progress_handler(lambda: steps.append(1), 1)
    counts = []
    for most, backward in ((40_000, False), (40_000, True), (None, False)):
        steps.clear()
        found = store.read("lobby", 1, 1000, most, backward)
        counts.append((len(found), found[0].seq, len(steps)))
    assert [each[:2] for each in counts] == [(9, 1), (9, 992), (1000, 1)]
    assert max(counts[0][2], counts[1][2]) * 20 < counts[2][2]
    store.close()


def test_the_wal_shrinks_again_when_an_outside_reader_has_gone(tmp_path: Path) -> None:
    file, wal = tmp_path / "chat.db", tmp_path / "chat.db-wal"
    store = SQLiteStore(file)
    say(store, 1)
    reader = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM messages").fetchone()
    for seq in range(2, 30):
        for part in range(100):
            message = Message(f"room {part}", seq, "ann", "x" * 4000, 1.0)
            store.append(message, "", None)
        store.commit(no_error)
    assert wal.stat().st_size > 2 * datafile.WAL_BYTES
    reader.close()
    for seq in range(2, 5):
        say(store, seq)
    assert wal.stat().st_size <= datafile.WAL_BYTES
    store.close()


@pytest.mark.parametrize("name", [b"\xff\xfe.db", "grün.db".encode(), b"a\nb.db"])
def test_a_name_that_is_not_utf8(tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    for seq in (1, 2):
        store = SQLiteStore(path)
        say(store, seq)
        store.close()
    assert [os.fsencode(each) for each in os.listdir(tmp_path)] == [name]
    path.write_bytes(b"Dear diary")
    with pytest.raises(StoreFileError) as caught:
        SQLiteStore(path)
    str(caught.value).encode()  # can be printed


def test_a_server_on_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    file = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff.db"))
    with Program("start_server", "--port", 0, "--data", file) as server:
        wait_until(lambda: server.lines or server.process.poll() is not None)
        assert server.end(signal.SIGTERM) == (0, [])
    Path(file).write_bytes(b"Dear diary")
    with Program("start_server", "--port", 0, "--data", file) as server:
        status, errors = server.end()
        assert status == 1 and len(errors) == 1 and "no SQLite file" in errors[0]


def test_an_empty_file_is_filled_where_it_is(tmp_path: Path) -> None:
    """It may be a mount point of its own, which can't be replaced."""
    (file := tmp_path / "chat.db").touch(0o644)
    inode = file.stat().st_ino
    SQLiteStore(file).close()
    assert file.stat().st_ino == inode and os.listdir(tmp_path) == ["chat.db"]


def test_a_new_file_is_private(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "chat.db").close()
    assert (tmp_path / "chat.db").stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "chat.db", tmp_path / "disk" / "real.db"
    link.symlink_to(target)
    store = SQLiteStore(link)  # leads nowhere yet
    say(store, 1)
    store.close()
    assert link.is_symlink() and target.stat().st_size
    store = SQLiteStore(target)
    assert contents(store) == {1: "text 1"}
    store.close()
    for to in ("missing/real.db", "chat.db"):
        link.unlink()
        link.symlink_to(to)
        with pytest.raises(StoreFileError):
            SQLiteStore(link)
        assert link.is_symlink()


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "chat.db")
    with pytest.raises(StoreFileError, match="not a regular file"):
        SQLiteStore(tmp_path / "chat.db")


GONE = """
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])
from python_tcp.chat_app import start_server
sys.exit(start_server(["--port", "0", "--data", "chat.db"]))
"""


def test_a_working_directory_that_is_gone_is_not_blamed_on_the_port(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", GONE, tmp_path / "gone"]
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "listen" not in done.stderr and "chat.db" in done.stderr


def test_a_copy_by_vacuum_into_is_whole_while_the_server_runs(tmp_path: Path) -> None:
    file, copy = tmp_path / "chat.db", tmp_path / "copy.db"
    with (
        ChatServer(data=file, limits=FREE) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        for number in range(20):
            ann.say("message", content=f"{number}", id=number)
            ann.read_until("ok")
        with contextlib.closing(
            sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        ) as db:
            db.execute("VACUUM INTO ?", [str(copy)])
        epoch = server._rules.rooms.store.epoch
    store = SQLiteStore(copy)
    assert len(contents(store)) == 20 and store.epoch != epoch
    store.close()


VERSION_1 = f"""
PRAGMA application_id = {datafile.APPLICATION_ID}; PRAGMA user_version = 1;
CREATE TABLE messages (
    room TEXT NOT NULL, seq INTEGER NOT NULL,
    username TEXT NOT NULL, content TEXT NOT NULL, timestamp REAL NOT NULL,
    PRIMARY KEY (room, seq)) WITHOUT ROWID;
CREATE TABLE ids (
    n INTEGER PRIMARY KEY, session TEXT NOT NULL, id NOT NULL, seq INTEGER NOT NULL,
    timestamp REAL NOT NULL);
CREATE INDEX ids_of_session ON ids (session, n);
CREATE TABLE forgotten (room TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE log (epoch TEXT NOT NULL);
INSERT INTO log VALUES ('cafe'); INSERT INTO forgotten VALUES ('old', 9);
PRAGMA journal_mode = WAL;
"""


def test_a_file_of_version_1_is_taken_over(tmp_path: Path) -> None:
    db = sqlite3.connect(file := tmp_path / "chat.db", isolation_level=None)
    db.executescript(VERSION_1)
    rows = [("b", 1, 5.0), ("b", 2, 3.0), ("a", 1, 4.0), ("a", 2, 6.0)]
    for room, seq, when in rows:  # a clock that was set back
        row = [room, seq, "ann", f"{room}{seq}", when]
        db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", row)
    db.execute("INSERT INTO ids VALUES (7, 's', 'x', 1, 5.0)")
    db.close()
    for _ in range(2):
        store = SQLiteStore(file)
        assert (store.epoch, store.bounds("old")) == ("cafe", (10, 9))
        assert contents(store, "b") == {1: "b1", 2: "b2"} and store.ids("s") == {"x": 1}
        store.close()
    store = SQLiteStore(file)
    found = store._reader.query("SELECT content FROM messages ORDER BY n")
    assert [each for (each,) in found] == ["a1", "b1", "b2", "a2"], "in order, by room too"  # fmt: skip
    store.close()
