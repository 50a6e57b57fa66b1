"""A node's own file of what is said in a chat that is in Redis: nothing twice, nothing missing, and gaps that are said."""

import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers import LineClient, Program, wait_until
from msgspec.structs import replace
from redis_servers import RedisServer, needs_redis
from test_cluster import answer_to, come, said

from python_tcp import redis_log
from python_tcp.backup import back_up
from python_tcp.chat_server import ChatServer
from python_tcp.cluster import ClusterNode
from python_tcp.datafile import StoreFileError, end_well, open_file
from python_tcp.history import HistoryCleaner, SQLiteStore
from python_tcp.history_copy import Comparison, CopyPlace, Gap, catch_up
from python_tcp.history_copy import compare_with, last_page, next_page, read_place
from python_tcp.messages import StoreError
from python_tcp.node_history import NodeHistory
from python_tcp.node_start import LostLog
from python_tcp.protocol import Limits, Message
from python_tcp.redis_place import RedisError, parse_redis_url
from python_tcp.redis_stream import RedisStream
from python_tcp.replication import Replica
from python_tcp.snapshot import load_snapshot, take_snapshot
from python_tcp.workers import Worker

FREE = Limits(flood_burst=0, connections_per_address=0, history_messages=10)


def message(number: int, room: str = "lobby", text: str = "") -> Message:
    return Message(room, number, "ann", text or f"m{number}", 1000.0 + number)


def messages(first: int, last: int, room: str = "lobby") -> list[Message]:
    return [message(number, room) for number in range(first, last + 1)]


# --- a page that ends where something is missing --------------------------------------------------


def stored(path: Path, numbers: list[int]) -> SQLiteStore:
    store = SQLiteStore(path, "process")
    for number in numbers:
        store.append(message(number), "", None)
    return store


class Forgetting:
    """A store from which all is forgotten between two readings."""

    def __init__(self) -> None:
        self._left = [[Message("lobby", 7, "ann", "hello", 0.0)], [], []]

    def read(self, *where: object, **how: object) -> list[Message]:
        return self._left.pop(0)


def test_a_page_of_what_is_forgotten_while_it_is_read_is_what_was_seen() -> None:
    page, more, missing = next_page(Forgetting(), "lobby", 5, 9, 10)
    assert ([each.seq for each in page], more, missing) == ([7], True, 1)
    page, more, missing = last_page(Forgetting(), "lobby", 9, 10)
    assert ([each.seq for each in page], more, missing) == ([7], False, 8)


def test_a_page_has_no_gap_inside_and_says_what_is_missing_before_it(
    tmp_path: Path,
) -> None:
    """Against the plain definition, for random gaps: from one page to the next, forward and
    backward, each message comes once, and all that is missing is counted.
    """
    dice = random.Random(7)
    for case in range(12):
        numbers = [number for number in range(1, 60) if dice.random() < 0.7]
        last = max([*numbers, dice.randrange(60)])
        limit = dice.randrange(1, 12)
        with closing(stored(tmp_path / f"{case}.db", numbers)) as store:
            if case % 2:  # else they are on their way to the disk
                store.commit(lambda error: None)
            read, lost, after, more = [], 0, 0, True
            while more:
                page, more, missing = next_page(store, "lobby", after, last, limit)
                first = page[0].seq if page else last + 1
                assert missing == first - after - 1 and len(page) <= limit
                assert [m.seq for m in page] == list(range(first, first + len(page)))
                read += [each.seq for each in page]
                lost, after = lost + missing, first + len(page) - 1
            assert (read, len(read) + lost) == (numbers, last)
            read, lost, stop, more = [], 0, last, True
            while more:
                page, more, missing = last_page(store, "lobby", stop, limit)
                top = page[-1].seq if page else 0
                assert [m.seq for m in page] == list(
                    range(top - len(page) + 1, top + 1)
                )
                assert missing == (stop - top if more else stop - len(page))
                read = [each.seq for each in page] + read
                lost, stop = lost + missing, top - len(page)
            assert (read, len(read) + lost) == (numbers, last)


# --- a file that is compared with the state -------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    db = open_file(tmp_path / "compared.db")
    yield db
    end_well(db)


def fill(db: sqlite3.Connection, those: list[Message]) -> None:
    sql = "INSERT INTO messages (room, seq, username, content, timestamp) VALUES "
    rows = [(m.room, m.seq, m.username, m.content, m.timestamp) for m in those]
    db.executemany(f"{sql} (?, ?, ?, ?, ?)", rows)


def rows(db: sqlite3.Connection, room: str = "lobby") -> list[tuple[int, str]]:
    sql = "SELECT seq, content FROM messages WHERE room = ? ORDER BY seq"
    return db.execute(sql, [room]).fetchall()


def test_what_a_file_lacks_is_filled_and_written_once(db: sqlite3.Connection) -> None:
    fill(db, messages(1, 5))
    assert catch_up(db, [messages(4, 9)], 0) == Comparison([], 0, 2, 5)
    assert catch_up(db, [messages(4, 9)], 0) == Comparison([], 0, 6, 9)
    assert rows(db) == [(number, f"m{number}") for number in range(1, 10)]


def test_what_can_not_be_filled_is_a_gap(db: sqlite3.Connection) -> None:
    fill(db, messages(1, 5))
    found = catch_up(db, [messages(8, 9), messages(3, 4, "tea")], 0)
    assert found.gaps == [Gap("lobby", 6, 7), Gap("tea", 1, 2)]
    assert [seq for seq, _ in rows(db)] == [1, 2, 3, 4, 5, 8, 9]


def test_what_the_log_has_lost_is_taken_out(db: sqlite3.Connection) -> None:
    fill(db, messages(1, 9) + messages(1, 3, "tea"))
    again = [*messages(4, 6), replace(message(7), username="bob")]
    assert catch_up(db, [again], 2).strays == 3 + 1
    assert [seq for seq, _ in rows(db)] == [1, 2, 3, 4, 5, 6, 7]
    who = db.execute("SELECT username FROM messages WHERE seq = 7").fetchall()
    assert who == [("bob",)]
    assert [seq for seq, _ in rows(db, "tea")] == [1, 2], "the room has forgotten these"


def test_what_was_deleted_meanwhile_is_deleted(db: sqlite3.Connection) -> None:
    fill(db, messages(1, 3))
    state = [message(1), replace(message(2), content=""), message(3)]
    assert catch_up(db, [state], 0).strays == 0
    assert rows(db) == [(1, "m1"), (2, ""), (3, "m3")]
    assert catch_up(db, [messages(1, 3)], 0).strays == 0
    assert rows(db)[1] == (2, ""), "what somebody wanted to be deleted stays so"


def test_what_the_file_has_forgotten_does_not_come_back(
    db: sqlite3.Connection,
) -> None:
    db.execute("INSERT INTO forgotten (room, seq) VALUES ('lobby', 3)")
    assert catch_up(db, [messages(1, 5)], 0).gaps == []
    assert [seq for seq, _ in rows(db)] == [4, 5]


def test_what_is_filled_is_in_the_order_of_time(db: sqlite3.Connection) -> None:
    """The oldest rows are deleted first, when there are too many."""
    catch_up(db, [messages(5, 9), messages(1, 7, "tea")], 0)
    found = db.execute("SELECT timestamp FROM messages ORDER BY n").fetchall()
    assert found == sorted(found) and len(found) == 12


def test_a_file_of_another_epoch_must_share_something(db: sqlite3.Connection) -> None:
    was, place = CopyPlace("chat", "old", "9-0"), CopyPlace("chat", "new", "12-0")
    compare_with(([messages(1, 3)], 0), was, place, [], db)  # there is nothing in it
    compare_with(([messages(3, 4)], 0), was, place, [], db)
    with pytest.raises(StoreError, match="of another chat with this name"):
        compare_with(([messages(8, 9)], 0), was, place, [], db)
    compare_with(([messages(8, 9)], 0), place, place, [], db)


# --- over a real Redis ---------------------------------------------------------------------------


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a snapshot soon, and the stream is short."""
    monkeypatch.setattr(ClusterNode, "EVERY", 5)
    monkeypatch.setattr(redis_log.RedisLog, "LOCK", 0.01)


def node_on(redis: RedisServer, file: Path | None, url: str = "") -> ClusterNode:
    place = parse_redis_url(url or redis.url)
    history = None if file is None else NodeHistory(file, "process", place.chat)
    return ClusterNode(place, history=history)


def server_on(redis: RedisServer, file: Path | None, url: str = "") -> ChatServer:
    return ChatServer(rules=node_on(redis, file, url).open, limits=FREE)


def say(client: LineClient, first: int, last: int) -> None:
    for number in range(first, last + 1):
        client.say("message", content=f"m{number}", id=f"i{number}")
        assert answer_to(client, f"i{number}")["seq"] == number


def kept(file: Path) -> list[tuple[int, str]]:
    """In the order in which they were written."""
    with closing(sqlite3.connect(file)) as db:
        sql = "SELECT seq, content FROM messages WHERE room = 'lobby' ORDER BY n"
        return db.execute(sql).fetchall()


def expected(*numbers: int) -> list[tuple[int, str]]:
    return [(number, f"m{number}") for number in numbers]


def page(client: LineClient, **asked: object) -> tuple[list[int], bool, int]:
    client.say("history", id="page", **asked)
    found = client.read_until("history", id="page")
    numbers = [each["seq"] for each in found["messages"]]
    return numbers, found.get("more", False), found.get("lost", 0)


def until_a_snapshot_begins_after(
    number: int, redis: RedisServer, client: LineClient
) -> int:
    """From message 9 on, much is said. Returns the number of the last one."""
    stream, last = RedisStream(parse_redis_url(redis.url)), 8
    with closing(stream):
        while last < 1000:
            say(client, last + 1, last + 5)
            last += 5
            found = stream.snapshot()
            rules = load_snapshot(found).rules if found else None
            if rules is not None and rules.store.bounds("lobby")[0] > number:
                return last
    raise AssertionError("no snapshot was taken")


def up_to(last: int, count: int) -> list[int]:
    return list(range(last - count + 1, last + 1))


def alike(replicas: list[Replica]) -> bool:
    """Have they the same state? Not if one of them is at work in its own thread."""
    try:
        return len({take_snapshot(each) for each in replicas}) == 1
    except RuntimeError:  # it has changed meanwhile
        return False


@needs_redis
def test_what_the_state_has_forgotten_is_answered_from_the_file_of_the_node(
    redis: RedisServer, tmp_path: Path
) -> None:
    with server_on(redis, tmp_path / "a.db") as with_file:
        with server_on(redis, None) as without:
            ann, _ = come(with_file, "ann")
            bob, _ = come(without, "bob")
            with ann, bob:
                say(ann, 1, 30)
                assert page(ann, limit=100) == (up_to(30, 30), False, 0)
                assert page(ann, limit=20) == (up_to(30, 20), True, 0)
                assert page(ann, before=25, limit=10) == (up_to(24, 10), True, 0)
                assert page(ann, before=6) == (up_to(5, 5), False, 0)
                assert page(ann, after=3, limit=4) == (up_to(7, 4), True, 0)
                assert page(ann, after=25, limit=99) == (up_to(30, 5), False, 0)
                assert page(bob, limit=100) == (up_to(30, 10), False, 20)
                ann.say("delete", seq=28)
                assert bob.read_until("deleted")["seq"] == 28
                ann.say("history", after=1, id="all")
                found = ann.read_until("history", id="all")["messages"]
                assert [m["seq"] for m in found if not m["content"]] == [28]
                # The answers keep the order of the questions, whoever knows them.
                for number in range(3):
                    ann.say("history", before=9, id=f"h{number}")
                    ann.say("ping", id=f"p{number}")
                told = [ann.read()["id"] for _ in range(6)]
                assert told == ["h0", "p0", "h1", "p1", "h2", "p2"]
                # Who comes back is given what was missed, from the file.
                late, _ = come(with_file, "carl", since=4)
                with late:
                    found = late.read_until("history")
                    assert found.get("lost", 0) == 0
                    assert [m["seq"] for m in found["messages"]] == up_to(30, 26)
            wait_until(lambda: (28, "") in kept(tmp_path / "a.db"))
            # The file has no part in what the nodes have in common.
            replicas = [each._rules.log._replica for each in (with_file, without)]
            wait_until(lambda: alike(replicas))  # when all has come that is on its way


@needs_redis
def test_a_node_that_was_away_fills_its_file_and_says_what_is_missing(
    redis: RedisServer,
    tmp_path: Path,
    trimmed: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "a.db"
    with server_on(redis, tmp_path / "other.db") as other:
        ann, _ = come(other, "ann")
        with ann:
            with server_on(redis, file):
                say(ann, 1, 3)
            say(ann, 4, 8)
            with server_on(redis, file):
                assert kept(file) == expected(*range(1, 9)), "filled, and each once"
            assert "lacks" not in caplog.text
            last = until_a_snapshot_begins_after(12, redis, ann)
            with server_on(redis, file) as again:
                first = next(seq for seq, _ in kept(file) if seq > 8)
                gap = f"lacks {first - 9} messages (lobby 9 to {first - 1})"
                [line] = [each for each in caplog.messages if "lacks" in each]
                assert str(file) in line and gap in line
                bob, _ = come(again, "bob")
                with bob:
                    lost, rest = first - 9, up_to(last, last + 1 - first)
                    assert page(bob, after=5, limit=9) == ([6, 7, 8], True, 0)
                    assert page(bob, after=8, limit=99) == (rest, False, lost)
                    assert page(bob, limit=99) == (rest, True, 0)
                    assert page(bob, before=first) == (up_to(8, 8), False, lost)
                    say(bob, last + 1, last + 2)
            assert kept(file) == expected(*range(1, 9), *range(first, last + 3))
            whole = expected(*range(1, last + 3))
            wait_until(lambda: kept(tmp_path / "other.db") == whole)
            with server_on(redis, tmp_path / "new.db"):
                pass
            assert "new.db lacks" in caplog.text, "it begins with the last messages"


@pytest.mark.slow(seconds=2)
@needs_redis
def test_a_file_as_a_crash_leaves_it_is_brought_up_to_date(
    redis: RedisServer, tmp_path: Path
) -> None:
    """A backup is what the file was at a commit. The log is read again from its beginning:
    the file has some of it already.
    """
    file, earlier = tmp_path / "a.db", tmp_path / "earlier.db"
    with server_on(redis, file) as server:
        ann, _ = come(server, "ann")
        with ann:
            say(ann, 1, 20)
            wait_until(lambda: len(kept(file)) == 20)
            assert back_up(file, earlier) == 20
            say(ann, 21, 50)
            ann.say("register", username="ann", password="correct horse battery")
            ann.read_until("account")
    for _ in range(2):
        with server_on(redis, earlier):
            assert kept(earlier) == expected(*range(1, 51)), "not only the last 10"
    assert kept(file) == kept(earlier)


@needs_redis
@pytest.mark.slow(seconds=9)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
def test_kills_between_commits_leave_nothing_twice_and_nothing_out(
    redis: RedisServer, tmp_path: Path
) -> None:
    file, config = tmp_path / "a.db", tmp_path / "chat.toml"
    config.write_text("[limits]\nflood_burst = 0\nhistory_messages = 20\n")
    words = "--port", 0, "--redis", redis.url, "--config", config, "--data", file
    with server_on(redis, None) as other:
        ann, _ = come(other, "ann")
        with ann:
            last = 0
            for kill in range(3):
                with Program("start_server", *words) as program:
                    wait_until(
                        lambda: any("chat server on" in x for x in said(program))
                    )
                    for number in range(last + 1, last + 151):  # it is busy with them
                        ann.say("message", content=f"m{number}")
                    wait_until(lambda: kept(file)[-1:] > expected(last + 40 * kill))
                    os.kill(program.process.pid, signal.SIGKILL)
                    program.process.wait()
                last += 150
            ann.say("message", content=f"m{last + 1}", id="end")
            assert answer_to(ann, "end")["seq"] == last + 1
        with server_on(redis, file):
            pass
    assert kept(file) == expected(*range(1, last + 2))


# --- whose file is it? ----------------------------------------------------------------------------


def refusal(start: Callable[[], object]) -> str:
    with pytest.raises(StoreFileError) as raised:
        start()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("position", ["nonsense", "7", "1-2-3", "-1-0", b"\xff-0", 2.5])
def test_a_position_that_can_not_be_is_one_line(
    tmp_path: Path, position: object
) -> None:
    file = tmp_path / "a.db"
    with closing(open_file(file)) as db:
        db.execute("INSERT INTO node VALUES ('chat', 'cafe', ?)", [position])
        db.commit()
    with pytest.raises(StoreFileError) as raised:
        read_place(file, "chat")
    said = str(raised.value)
    assert said.startswith(f"{file}: ") and "\n" not in said
    assert "a position in the log is like '29-0', not " in said


@needs_redis
def test_a_file_belongs_to_one_chat(redis: RedisServer, tmp_path: Path) -> None:
    file, alone = tmp_path / "a.db", tmp_path / "alone.db"
    with server_on(redis, file) as server:
        ann, _ = come(server, "ann")
        with ann:
            say(ann, 1, 3)
        why = refusal(server_on(redis, file).start)
        assert why == f"{file}: another server is using it"
    with ChatServer(data=alone, limits=FREE) as server:
        ann, _ = come(server, "ann")
        with ann:
            say(ann, 1, 1)
    before = kept(file), kept(alone)
    why = refusal(server_on(redis, alone).start)
    assert why.startswith(f"{alone}: it belongs to a chat that is not in Redis")
    why = refusal(ChatServer(data=file).start)
    assert why.startswith(f"{file}: it belongs to a node of the chat 'chat'")
    why = refusal(server_on(redis, file, f"{redis.url}?chat=school").start)
    assert why == f"{file}: it belongs to the chat 'chat', and this one is 'school'"
    redis.ask("FLUSHALL")
    why = refusal(server_on(redis, file).start)
    assert "of another chat with this name" in why and "give another file" in why
    assert (kept(file), kept(alone)) == before


@needs_redis
def test_what_redis_has_lost_is_taken_out_and_begins_a_new_epoch(
    redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No node ran when Redis went back: only the file knows that there was more."""
    file = tmp_path / "a.db"
    with server_on(redis, file) as server:
        ann, welcome = come(server, "ann")
        with ann:
            say(ann, 1, 5)
            stream = RedisStream(parse_redis_url(redis.url))
            middle = stream.read("0-0")[-1].position
            say(ann, 6, 8)
    for entry in stream.read(middle):
        redis.ask("XDEL", "{chat}:log", entry.position)
    stream.close()
    with server_on(redis, file) as server:
        assert "a.db: 3" in caplog.text
        ann, again = come(server, "ann", token=welcome["token"], since=8)
        with ann:
            assert again["epoch"] != welcome["epoch"] and again["seq"] == 5
            say(ann, 6, 6)
    assert kept(file) == expected(*range(1, 7))


@pytest.mark.slow(seconds=3)
@needs_redis
def test_a_running_node_begins_anew_with_its_file_when_redis_has_gone_back(
    redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a.db"
    node = node_on(redis, file)
    with ChatServer(rules=node.open, limits=FREE) as server:
        ann, welcome = come(server, "ann")
        with ann:
            say(ann, 1, 5)
            last = server._rules.log._replica.position
            assert redis.ask("XDEL", "{chat}:log", last) == b":1\r\n"
            wait_until(lambda: not server.running)
    assert node.lost is not None and node.lost.position == last
    node = ClusterNode(
        node.place, lost=node.lost, history=NodeHistory(file, "process", "chat")
    )
    with ChatServer(rules=node.open, limits=FREE) as server:
        assert "a.db: 1" in caplog.text
        ann, again = come(server, "ann", token=welcome["token"], since=5)
        with ann:
            assert again["epoch"] != welcome["epoch"] and again["seq"] == 4
            say(ann, 5, 5)
    assert kept(file) == expected(*range(1, 6))


@needs_redis
def test_a_start_that_is_tried_again_opens_the_file_again(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that goes on where another one has failed waits for Redis."""
    cleaners, append = [], redis_log.RedisLog.append_now

    class Cleaner(HistoryCleaner):
        def __init__(self, *parts: object) -> None:
            super().__init__(*parts)
            cleaners.append(self)

    def fail_once(log: redis_log.RedisLog, payloads: list[bytes]) -> None:
        monkeypatch.setattr(redis_log.RedisLog, "append_now", append)
        raise RedisError("Redis has gone again")

    monkeypatch.setattr("python_tcp.node_history.HistoryCleaner", Cleaner)
    monkeypatch.setattr(redis_log.RedisLog, "append_now", fail_once)
    history = NodeHistory(tmp_path / "a.db", "process", "chat")
    place = parse_redis_url(redis.url)
    node = ClusterNode(place, lost=LostLog("cafe", "5-0"), history=history)
    with ChatServer(rules=node.open, limits=FREE) as server:
        ann, _ = come(server, "ann")
        with ann:
            say(ann, 1, 2)
    assert kept(tmp_path / "a.db") == expected(1, 2)
    assert len(cleaners) == 1, "that of the first try would never come to an end"


# --- a disk that fails ----------------------------------------------------------------------------


@needs_redis
def test_a_disk_that_fails_is_said_once_and_what_is_missing_is_written_later(
    redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(NodeHistory, "RETRY", 0.05)
    monkeypatch.setattr("python_tcp.filewriter.FileWriter.LOOK", 0.0)
    file, away = tmp_path / "a.db", tmp_path / "away.db"
    with server_on(redis, file) as server:
        ann, _ = come(server, "ann")
        with ann:
            say(ann, 1, 3)
            wait_until(lambda: len(kept(file)) == 3)
            file.rename(away)
            say(ann, 4, 8)
            wait_until(lambda: "No such file" in caplog.text)
            assert page(ann, before=3) == ([1, 2], False, 0), "the state has them still"
            away.rename(file)
            wait_until(lambda: "it works again" in caplog.text)
            say(ann, 9, 9)
            lines = [each for each in caplog.messages if "a.db:" in each]
            assert len(lines) == 2, lines
    assert kept(file) == expected(*range(1, 10))


@needs_redis
def test_what_waits_for_a_slow_disk_is_bounded(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NodeHistory, "MOST", 0)  # each message is one too many
    file = tmp_path / "a.db"
    with server_on(redis, file) as server:
        ann, _ = come(server, "ann")
        with ann:
            say(ann, 1, 9)
    assert kept(file) == expected(*range(1, 10))


# --- the command ----------------------------------------------------------------------------------


def test_each_worker_has_a_file_of_its_own(tmp_path: Path) -> None:
    from python_tcp.operations import Config

    settings = Worker(2, 8000, None).settings(Config(data="chat.db"))
    assert settings.data == "chat.db.2"
    assert Worker(1, 8000, None).settings(Config()).data is None


@needs_redis
@pytest.mark.slow(seconds=4)
def test_a_file_that_is_refused_ends_the_command_with_one_line(
    redis: RedisServer, tmp_path: Path
) -> None:
    file = tmp_path / "alone.db"
    with ChatServer(data=file, limits=FREE) as server:
        ann, _ = come(server, "ann")
        with ann:
            say(ann, 1, 1)
    shutil.copy(file, tmp_path / "copy.db")
    words = "--port", 0, "--redis", redis.url, "--data", tmp_path / "copy.db"
    with Program("start_server", *words) as program:
        wait_until(lambda: program.process.poll() is not None)
        wait_until(lambda: program.errors)
        assert program.process.returncode == 1
        [line] = program.errors
        assert line.startswith("chat_server: can't use the data file ")
        assert "it belongs to a chat that is not in Redis" in line
