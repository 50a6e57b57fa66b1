"""One chat on several servers, over a real Redis: one order, a Redis that is away, nodes that die."""

import dis
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path

import msgspec
import pytest
from helpers import LineClient, Program, cpu_time, wait_until
from redis_servers import RedisServer, needs_redis
from test_cluster_kills import check
from test_resume import FULL, Crowd, Person, Talkers

from python_tcp import cluster, delivery, reconnector, redis_log
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import Reconnected
from python_tcp.cluster import ClusterNode, ClusterSettings
from python_tcp.languages import listeners_for
from python_tcp.log_entries import LogEntry, NodeGone, decode_entry, encode_entry
from python_tcp.node_start import LostLog
from python_tcp.protocol import Limits, UserJoined
from python_tcp.redis_place import RedisConnection, RedisError, RedisKind
from python_tcp.redis_place import parse_redis_url
from python_tcp.redis_stream import RedisStream
from python_tcp.workers import without_operator

FREE = Limits(flood_burst=0, connections_per_address=0)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


def node_of(redis: RedisServer, **options: object) -> ClusterNode:
    return ClusterNode(parse_redis_url(redis.url), **options)


def server_on(redis: RedisServer, **options: object) -> ChatServer:
    return ChatServer(rules=node_of(redis).open, limits=FREE, **options)


@pytest.fixture
def two(redis: RedisServer) -> Iterator[list[ChatServer]]:
    with server_on(redis) as first, server_on(redis) as second:
        yield [first, second]


def come(server: ChatServer, name: str, **fields: object) -> tuple[LineClient, dict]:
    client = LineClient(server.port)
    client.say("join", username=name, room="lobby", **fields)
    welcome = client.read_until("welcome")
    client.read_until("users")
    return client, welcome


def answer_to(client: LineClient, id: object) -> dict:
    """Yes or no."""
    while (event := client.read()).get("id") != id or event["type"] == "message":
        pass
    return event


def contents(client: LineClient, count: int) -> list[tuple[int, str]]:
    found = [client.read_until("message") for _ in range(count)]
    return [(each["seq"], each["content"]) for each in found]


# --- the address of a Redis -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost", "expected redis://"),
        ("localhost:6379", "expected redis://"),
        ("redis://", "expected redis://"),
        ("redis://host:port", "that is no URL"),
        ("redis://host:99999", "that is no URL"),
        ("redis://host/zero", "the number of a database"),
        ("redis://host?chat=two%20words", "a chat's name"),
        ("redis+sentinel://host", "the name that the Sentinels have"),
        ("redis+sentinel://host/main/zero", "the number of a database"),
        ("redis+sentinel://a,,b/main", "a host is missing"),
        ("redis+sentinel:///main", "expected redis://"),
        ("redis+cluster://host/2", "has one database"),
        ("redis+cluster://a:1,b:port", "that is no URL"),
        ("redis://one,two", "several hosts"),
        ("redis+other://host", "expected redis://"),
        ("redis+://host", "expected redis://"),
        ("unix+cluster:///path", "expected redis://"),
    ],
)
def test_an_address_that_can_not_be_is_refused_with_the_reason(
    url: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        parse_redis_url(url)


def test_a_password_is_never_shown() -> None:
    place = parse_redis_url("rediss://ann:s3cret@example.org:6380/2?chat=school")
    assert place.shown == "rediss://example.org:6380/2"
    assert "s3cret" in place.url
    assert place.key("node", "a") == "{school}:node:a"


def test_an_address_may_be_known_to_sentinels_or_to_a_cluster() -> None:
    place = parse_redis_url("rediss+sentinel://:s3cret@a:1,[::1]/main/3?chat=tea")
    assert place.shown == "rediss+sentinel://a:1,[::1]/main/3"
    assert place.kind is RedisKind.SENTINEL and place.service == "main"
    assert place.hosts == (("a", 1), ("::1", 26_379))
    assert place.url == "rediss://:s3cret@a:1/3"
    place = parse_redis_url("redis+cluster://ann:s3cret@a,b:7001")
    assert place.shown == "redis+cluster://a,b:7001"
    assert place.kind is RedisKind.CLUSTER and place.chat == "chat"
    assert place.hosts == (("a", 6379), ("b", 7001))


def test_what_does_not_go_together_is_said() -> None:
    with pytest.raises(ValueError, match="need a Redis"):
        ClusterSettings(workers=2).place()
    assert ClusterSettings().place() is None


@needs_redis
@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("away", "Connection refused"),
        ("password", "password"),
        ("type", "no stream but a string"),
        ("old", "is too old: 99.0 or newer is needed"),
    ],
)
def test_a_redis_that_can_not_be_used_ends_the_start_with_one_line(
    redis: RedisServer, trouble: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trouble == "away":
        redis.kill()
    elif trouble == "password":
        redis.ask("CONFIG", "SET", "requirepass", "s3cret")
    elif trouble == "type":
        redis.ask("SET", "{chat}:log", "a text")
    else:
        monkeypatch.setattr(RedisStream, "OLDEST", (99, 0))
    with pytest.raises(RedisError, match=why) as raised:
        server_on(redis).start()
    assert "\n" not in str(raised.value)
    assert redis.url in str(raised.value)
    if trouble == "away":
        redis.start()


@needs_redis
@pytest.mark.slow(seconds=3)
def test_the_command_says_it_in_one_line(redis: RedisServer) -> None:
    redis.ask("CONFIG", "SET", "requirepass", "s3cret")
    url = f"redis://:wrong@127.0.0.1:{redis.port}"
    with Program("start_server", "--port", 0, "--redis", url) as program:
        wait_until(lambda: program.process.poll() is not None)
        wait_until(lambda: program.errors)
        assert program.process.returncode == 1
        [line] = program.errors
        assert (
            line.startswith("chat_server: ") and "wrong" not in line.split("(")[0][:40]
        )
        assert "password" in line and ":wrong@" not in line


# --- one chat ------------------------------------------------------------------------------------


@needs_redis
def test_people_on_two_servers_are_in_one_room_and_hear_one_order(
    two: list[ChatServer],
) -> None:
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        assert ann.read_until("join")["username"] == "bob"
        bob.say("users")
        assert bob.read_until("users")["users"] == ["ann", "bob"]
        for number in range(50):
            ann.say("message", content=f"a{number}", id=f"a{number}")
            bob.say("message", content=f"b{number}", id=f"b{number}")
        heard = contents(ann, 100)
        assert heard == contents(bob, 100)
        assert [seq for seq, _ in heard] == list(range(1, 101))
        assert sorted(text for _, text in heard) == sorted(
            f"{who}{number}" for who in "ab" for number in range(50)
        )
        ann.say("whisper", to="bob", content="psst", id=1)
        assert bob.read_until("whisper")["content"] == "psst"
        bob.say("status", status="away")
        assert ann.read_until("status")["status"] == "away"
        assert two[0].users == two[1].users == ["ann", "bob"]


@needs_redis
def test_a_name_is_taken_on_all_servers(two: list[ChatServer]) -> None:
    ann, _ = come(two[0], "ann")
    with ann, LineClient(two[1].port) as other:
        other.say("join", username="Ann", room="lobby")
        error = other.read_until("error")
        assert error["code"] == "name_taken"
        # Her server may be dead, and nobody knows it yet: it is worth to try again.
        assert 0 < error["retry_after"] <= 10


@needs_redis
def test_answers_keep_the_order_of_the_questions(two: list[ChatServer]) -> None:
    ann, _ = come(two[0], "ann")
    with ann:
        for number in range(3):
            ann.say("message", content=f"{number}", id=number)
            ann.say("history", limit=10, id=f"h{number}")
        pages = [ann.read_until("history") for _ in range(3)]
        assert [len(page["messages"]) for page in pages] == [1, 2, 3]
        ann.say("leave")
        ann.say("message", content="too late")
        assert ann.read_until("goodbye")["code"] == "left"
        assert ann.line() == b""


@needs_redis
def test_a_person_comes_back_to_another_server(two: list[ChatServer]) -> None:
    (ann, welcome), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with bob:
        ann.say("message", content="one", id=1)
        assert bob.read_until("message")["content"] == "one"
        ann.reset()
        bob.say("message", content="two", id=1)
        bob.read_until("ok")
        back, again = come(two[1], "ann", token=welcome["token"], since=1)
        with back:
            assert again["token"] == welcome["token"]
            back.say("message", content="one", id=1)  # it was said already
            assert back.read_until("ok")["seq"] == 1
            bob.say("ping", id=9)
            heard = [bob.read()["type"] for _ in range(1)]
            assert heard == ["pong"], "nobody has come or gone"


# --- a Redis that is away ------------------------------------------------------------------------


@needs_redis
def test_without_redis_people_stay_and_messages_are_refused_until_it_is_back(
    redis: RedisServer, two: list[ChatServer]
) -> None:
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        redis.kill()

        def refused() -> dict | None:
            ann.say("status", status="busy")
            ann.say("ping", id="p")
            answers = [ann.read() for _ in range(1)]
            while answers[-1]["type"] != "pong":
                answers.append(ann.read())
            return next((each for each in answers if each["type"] == "error"), None)

        error = wait_until(refused)
        assert error["code"] == "not_saved"
        assert 0 < error["retry_after"] <= 60
        assert str(redis.port) not in error["content"], "users do not hear where it is"
        assert str(redis.port) in two[0]._rules.log.trouble
        redis.start()
        wait_until(lambda: refused() is None)
        ann.say("message", content="again", id=2)
        assert bob.read_until("message")["content"] == "again"
        assert ann.read_until("ok", id=2)["seq"] == 1


@needs_redis
def test_what_redis_has_not_read_when_it_dies_is_appended_again(
    redis: RedisServer, two: list[ChatServer]
) -> None:
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        redis.pause()
        ann.say("message", content="are you there?", id=1)
        node = two[0]._rules.log._outbox.node
        wait_until(node.unconfirmed)
        redis.kill()
        redis.start()
        assert ann.read_until("ok", id=1)["seq"] == 1
        assert contents(bob, 1) == [(1, "are you there?")]
        wait_until(lambda: not two[1]._rules.log.trouble)
        bob.say("history")
        assert len(bob.read_until("history")["messages"]) == 1


# --- nodes that end, and die ---------------------------------------------------------------------


@needs_redis
def test_the_people_of_a_server_that_stops_are_waited_for(
    redis: RedisServer, two: list[ChatServer]
) -> None:
    (ann, welcome), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with bob:
        name = two[0]._rules.log._name
        two[0].stop()
        stream = RedisStream(parse_redis_url(redis.url))
        entries = [decode_entry(each.payload) for each in stream.read("0-0")]
        last = [each for each in entries if each.node == name][-1]
        assert last.items == [NodeGone(name)], "it has said so itself"
        stream.close()
        assert ann.read_until("goodbye")["code"] == "server_closing"
        ann.close()
        bob.say("users")
        assert bob.read_until("users")["users"] == ["ann", "bob"]
        back, again = come(two[1], "ann", token=welcome["token"])
        with back:
            assert again["token"] == welcome["token"]
            back.say("message", content="here", id=1)
            assert bob.read()["type"] == "message", "nobody has come or gone"


@needs_redis
def test_a_node_whose_lease_ends_is_gone_and_begins_anew_under_another_name(
    redis: RedisServer, two: list[ChatServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_log.NodeLease, "SECONDS", 0.5)
    monkeypatch.setattr(redis_log.RedisKeeper, "EVERY", 0.1)
    slow = ChatServer(rules=node_of(redis).open, limits=FREE)
    held, free = threading.Event(), threading.Event()
    with slow:
        (ann, welcome), (bob, _) = come(slow, "ann"), come(two[1], "bob")
        loop, name = slow.engine.loop, slow._rules.log._name

        def sleep() -> None:
            held.set()
            free.wait(20)

        # Its lease is renewed by a thread: so take that away, as if the machine slept.
        for thread in threading.enumerate():
            if thread.name == "redis keeper" and thread is newest("redis keeper"):
                monkeypatch.setattr(thread, "_chore", lambda stream: None)
        loop.call_threadsafe(sleep)
        assert held.wait(60)
        with ann, bob:
            replica = two[1]._rules.log._replica
            wait_until(lambda: name not in replica.table.nodes)
            free.set()
            assert ann.read_until("goodbye")["code"] == "server_closing"
            back, again = come(slow, "ann", token=welcome["token"])
            with back:
                assert again["token"] == welcome["token"]
                back.say("message", content="awake", id=1)
                assert bob.read_until("message")["content"] == "awake"


def newest(name: str) -> threading.Thread:
    return [each for each in threading.enumerate() if each.name == name][-1]


# --- snapshots -----------------------------------------------------------------------------------


@needs_redis
def test_a_node_begins_from_the_last_snapshot_and_the_stream_is_trimmed(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterNode, "EVERY", 20)
    monkeypatch.setattr(redis_log.RedisLog, "LOCK", 0.05)
    with server_on(redis) as first:
        ann, welcome = come(first, "ann")
        with ann:
            for number in range(150):
                ann.say("message", content=f"m{number}", id=number)
                ann.read_until("ok")
            wait_until(lambda: int(redis.ask("XLEN", "{chat}:log")[1:-2]) < 140)
            assert int(redis.ask("STRLEN", "{chat}:snapshot")[1:-2]) > 1000
            with server_on(redis) as second:
                bob, _ = come(second, "bob")
                with bob:
                    bob.say("history", limit=100)
                    page = bob.read_until("history")["messages"]
                    assert [each["content"] for each in page] == [
                        f"m{number}" for number in range(50, 150)
                    ]
                    bob.say("message", content="hello", id=1)
                    assert ann.read_until("message")["seq"] == 151


@needs_redis
def test_a_snapshot_of_another_version_is_refused_with_a_clear_line(
    redis: RedisServer,
) -> None:
    redis.ask("SET", "{chat}:snapshot", "what is this?")
    with pytest.raises(RedisError) as raised:
        server_on(redis).start()
    assert redis.url in str(raised.value) and "\n" not in str(raised.value)


# --- a Redis that has lost something -------------------------------------------------------------


@pytest.mark.slow(seconds=2)
@needs_redis
def test_a_node_stops_whose_log_has_gone_back_and_begins_a_new_epoch(
    redis: RedisServer,
) -> None:
    nodes = [node_of(redis), node_of(redis)]
    servers = [ChatServer(rules=node.open, limits=FREE) for node in nodes]
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
        ann, welcome = come(servers[0], "ann")
        for number in range(5):
            ann.say("message", content=f"m{number}", id=number)
            ann.read_until("ok")
        # Redis loses the last entries, as after a crash without `appendfsync always`.
        newest_id = redis.ask("XREVRANGE", "{chat}:log", "+", "-", "COUNT", "1")
        newest_id = newest_id.split(b"\r\n")[3].decode()
        wait_until(lambda: all(each._replica.position == newest_id for each in nodes))
        redis.ask("XDEL", "{chat}:log", newest_id)
        wait_until(lambda: not servers[0].running and not servers[1].running)
        assert all(isinstance(node.lost, LostLog) for node in nodes)
        assert ann.read_until("goodbye")["code"] == "server_closing"
        ann.close()
        again = node_of(redis, lost=nodes[0].lost)
        with ChatServer(rules=again.open, limits=FREE) as server:
            back, hello = come(server, "ann", token=welcome["token"], since=5)
            with back:
                assert hello["epoch"] != welcome["epoch"]
                assert hello["seq"] == 4


@pytest.mark.parametrize(
    "given",
    [
        ["--operator", "ann", "--operator", "bob"],
        ["--operator=ann", "--operator", "bob", "--operator=cy"],
        ["--operator", "ann", "--operator=bob"],
    ],
)
def test_a_node_that_begins_anew_asks_for_no_password(given: list[str]) -> None:
    words = ["-m", "x", "--quiet", *given, "--port", "0"]
    assert without_operator(words) == ["-m", "x", "--quiet", "--port", "0"]


@pytest.mark.slow(seconds=4)
@needs_redis
def test_a_node_that_is_to_end_does_not_begin_anew(redis: RedisServer) -> None:
    """The signal comes when Redis has lost all, and the node is about to begin again."""
    with Program("start_server", "--port", 0, "--redis", redis.url) as program:
        wait_until(lambda: [each for each in program.lines if "chat server on" in each])
        redis.ask("FLUSHALL")
        wait_until(lambda: [each for each in program.errors if "begins anew" in each])
        assert program.end(signal.SIGTERM)[0] in (0, 130, -signal.SIGTERM)


# --- a Redis that is full, and what others put there ---------------------------------------------


@pytest.mark.slow(seconds=2)
@needs_redis
def test_a_redis_that_is_full_is_one_trouble_until_there_is_room(
    redis: RedisServer, two: list[ChatServer], caplog: pytest.LogCaptureFixture
) -> None:
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        redis.ask("CONFIG", "SET", "maxmemory", "1")

        def refused() -> bool:
            ann.say("message", content="later", id="s")
            return answer_to(ann, "s")["type"] == "error"

        ann.say("message", content="first", id=1)
        wait_until(lambda: two[0]._rules.log.trouble)
        for number in range(20):  # it does not say in between that all is well
            assert refused() and two[0]._rules.log.trouble
            assert "maxmemory" in two[0]._rules.log.trouble
            assert "XADD" not in two[0]._rules.log.trouble, "no bytes of a message"
            time.sleep(0.05)
        said = [each for each in caplog.records if "maxmemory" in each.getMessage()]
        assert len(said) <= 2, "once for each server"
        redis.ask("CONFIG", "SET", "maxmemory", "0")
        wait_until(lambda: not refused())
        assert bob.read_until("message", content="later")["username"] == "ann"


@pytest.mark.slow(seconds=3)
@needs_redis
@pytest.mark.parametrize("somebody_asks", [True, False])
def test_redis_is_back_when_it_takes_an_entry_and_not_when_it_can_be_reached(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, somebody_asks: bool
) -> None:
    node = node_of(redis)
    with ChatServer(rules=node.open, limits=FREE) as server:
        ann, _ = come(server, "ann")
        with ann:
            redis.ask("ACL", "SETUSER", "default", "-xadd")
            opened: list[float] = []
            wires = node._log._wires
            first, wires.open = wires.open, lambda *how: (opened.append(1), first(*how))
            if somebody_asks:
                ann.say("message", content="one", id=1)
            else:
                redis.ask("CLIENT", "KILL", "TYPE", "normal")
            wait_until(lambda: len(opened) >= 4)  # each time, writing fails again
            assert node.trouble is not None and "NOPERM" in node.trouble
            assert not [each for each in caplog.messages if "is back" in each]
            assert len([each for each in caplog.messages if "Redis at" in each]) == 1
            redis.ask("ACL", "SETUSER", "default", "+xadd")
            wait_until(lambda: "Redis is back" in caplog.messages)
            ann.say("message", content="two", id=2)
            wait_until(lambda: ann.read_until("ok")["id"] == 2)
    assert caplog.messages.count("Redis is back") == 1


@needs_redis
def test_a_stream_that_is_deleted_while_much_is_said_is_noticed(
    redis: RedisServer,
) -> None:
    nodes = [node_of(redis), node_of(redis)]
    servers = [ChatServer(rules=node.open, limits=FREE) for node in nodes]
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
        ann, _ = come(servers[0], "ann")
        stack.enter_context(ann)
        ann.say("message", content="here", id=1)
        ann.read_until("ok", id=1)
        first = nodes[0]._replica.position
        wait_until(lambda: nodes[1]._replica.position == first)
        stream = RedisStream(parse_redis_url(redis.url))
        entry = next(iter(stream.read("0-0"))).payload
        redis.ask("DEL", "{chat}:log")
        for _ in range(3):  # so that the stream is there again at once
            stream.append([entry])
        wait_until(lambda: not servers[0].running and not servers[1].running)
        assert all(node.lost == LostLog(node._epoch, first) for node in nodes)


@needs_redis
def test_what_others_put_into_the_stream_is_passed_over(
    redis: RedisServer, two: list[ChatServer], caplog: pytest.LogCaptureFixture
) -> None:
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        redis.ask("XADD", "{chat}:log", "*", "something", "else")
        redis.ask("XADD", "{chat}:log", "*", "e", "no entry")
        ann.say("message", content="here", id=1)
        assert bob.read_until("message")["content"] == "here"
        assert ann.read_until("ok", id=1)["seq"] == 1
        assert "is passed over" in caplog.text
        with server_on(redis) as third:  # which reads it again
            assert third.users == ["ann", "bob"]


@needs_redis
def test_an_entry_of_a_newer_version_ends_a_node_with_one_line(
    redis: RedisServer,
) -> None:
    node = node_of(redis)
    with ChatServer(rules=node.open, limits=FREE) as server:
        payload = encode_entry(LogEntry("newer", 1, 1.0, [NodeGone("other")]))
        stream = RedisStream(node.place)
        stream.append([payload.replace(b"\xa1g", b"\xa1?")])
        stream.close()
        wait_until(lambda: not server.running)
        assert "of the log is not understood" in node.failure
    with pytest.raises(RedisError, match="newer version") as raised:
        ChatServer(rules=node_of(redis).open, limits=FREE).start()
    assert "\n" not in str(raised.value)
    way_out = str(raised.value).partition("XDEL with ")[2].split()[0]
    redis.ask("XDEL", "{chat}:log", way_out)
    with server_on(redis) as server:
        come(server, "ann")[0].close()


@needs_redis
def test_nonsense_beside_the_snapshot_does_not_end_the_keeper(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterNode, "EVERY", 1)
    redis.ask("SET", "{chat}:snapshot-at", "nonsense")
    with server_on(redis) as server:
        ann, _ = come(server, "ann")
        with ann:
            for number in range(3):
                wait_until(lambda: not server._rules.log.trouble)
                ann.say("message", content="again", id=number)
                answer_to(ann, number)
            assert newest("redis keeper").is_alive()
            log = server._rules.log._log
            wait_until(lambda: log.figures(0, "1-0").entries > 0)
            assert log.figures(0, "1-0").snapshot_age is None


@needs_redis
@pytest.mark.parametrize("is_there", [True, False])
def test_a_keeper_that_is_in_a_pause_at_its_end_does_what_waits(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """Else the others would wait for its lease to end, and Redis is there again."""
    monkeypatch.setattr(redis_log, "backoff_delays", lambda *how: repeat(3600.0))
    place, troubles = parse_redis_url(redis.url), []

    def fail(stream: RedisStream) -> None:
        raise RedisError("gone")

    def connected(*both: RedisConnection) -> None:
        for each in both:
            each.owner.disconnect()

    keeper = redis_log.RedisKeeper(place, fail, connected, troubles.append)
    keeper.start()
    wait_until(lambda: troubles == ["gone"])  # and now it is in the pause
    stream = RedisStream(place)
    assert stream.lease("ours", 3600.0, ["ours"]) == []
    if not is_there:
        redis.kill()
    keeper.do(lambda stream: stream.release("ours"))
    keeper.end()
    keeper.join(60)
    assert not keeper.is_alive()
    assert not is_there or stream.lease("other", 3600.0, ["ours"]) == ["ours"]
    stream.close()


@needs_redis
def test_an_answer_that_cannot_be_told_leaves_the_copies_alike(
    two: list[ChatServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    node, tell, failures = two[0]._rules.log, ClusterNode._tell, [IndexError("a bug")]

    def fail_once(self: ClusterNode, *parts: object) -> None:
        if self is node and failures:
            raise failures.pop()
        tell(self, *parts)

    monkeypatch.setattr(ClusterNode, "_tell", fail_once)
    with ann, bob:
        ann.say("message", content="untold", id=1)
        assert bob.read_until("message")["content"] == "untold"
        ann.say("message", content="told", id=2)
        assert ann.read_until("ok", id=2)["seq"] == 2
        assert bob.read_until("message", content="told")["seq"] == 2
    assert not failures


@needs_redis
def test_an_entry_that_cannot_be_carried_out_ends_the_node(
    two: list[ChatServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, _ = come(two[0], "ann")
    node = two[0]._rules.log

    def fail(entry: object) -> None:
        raise IndexError("a bug")

    monkeypatch.setattr(node._outbox, "receive", fail)
    with ann:
        ann.say("message", content="here", id=1)
        wait_until(lambda: not two[0].running)
    assert node.failure == "an entry could not be carried out"
    assert two[1].running


# --- workers -------------------------------------------------------------------------------------


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in children.split()]


@needs_redis
@pytest.mark.slow(seconds=6)
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="Linux only")
def test_workers_share_a_port_and_one_that_dies_is_replaced(redis: RedisServer) -> None:
    config = redis._folder / "chat.toml"
    config.write_text("[limits]\nconnections_per_address = 0\n")
    more = "--workers", 2, "--redis", redis.url, "--config", config
    with Program("start_server", "--port", 0, *more) as program:
        wait_until(lambda: sum("chat server on" in each for each in said(program)) >= 2)
        pid = program.process.pid
        first = workers_of(pid)
        assert len(first) == 2
        line = next(each for each in said(program) if "chat server on" in each)
        port = int(line.split("chat server on ")[1].split(";")[0].rpartition(":")[2])
        people = []
        for number in range(20):  # so that both have some
            client = LineClient(port)
            client.say("join", username=f"p{number}", room="lobby")
            client.read_until("welcome")
            people.append(client)
        people[0].say("users")
        assert len(people[0].read_until("users", users=sorted_names(20))["users"]) == 20
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: len(set(workers_of(pid)) - set(first)) == 1)
        wait_until(lambda: sum("chat server on" in each for each in said(program)) >= 3)
        program.process.send_signal(signal.SIGTERM)
        wait_until(lambda: program.process.poll() is not None)
        assert program.process.returncode == 0
        for client in people:
            client.close()
    assert not any(Path(f"/proc/{each}").exists() for each in first)


@needs_redis
@pytest.mark.slow(seconds=5)
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="Linux only")
def test_a_hang_up_while_workers_start_ends_none(redis: RedisServer) -> None:
    config = redis._folder / "chat.toml"
    config.write_text("[limits]\nguests = true\n")
    more = "--workers", 2, "--redis", redis.url, "--config", config
    with Program("start_server", "--port", 0, *more) as program:
        first = wait_until(lambda: workers_of(program.process.pid))
        config.write_text("[limits]\nguests = false\n")
        program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: sum("chat server on" in each for each in said(program)) >= 2)
        assert set(first) <= set(workers_of(program.process.pid))
        assert program.process.poll() is None
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == 0


@needs_redis
@pytest.mark.slow(seconds=5)
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="Linux only")
def test_a_hang_up_without_a_configuration_changes_nothing_but_is_said(
    redis: RedisServer,
) -> None:
    more = "--workers", 2, "--redis", redis.url
    with Program("start_server", "--port", 0, *more) as program:
        wait_until(lambda: sum("chat server on" in each for each in said(program)) >= 2)
        first = workers_of(program.process.pid)
        program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("no --config" in each for each in said(program)))
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == 0
    assert len(first) == 2
    assert not any("has ended" in each for each in said(program)), "none was replaced"


def said(program: Program) -> list[str]:
    return program.lines + program.errors


def sorted_names(count: int) -> list[str]:
    return sorted(f"p{number}" for number in range(count))


def missed(code: types.CodeType) -> Iterator[str]:
    """Functions that catch Ctrl-C, with a `try` that begins with a loop to which a `continue`
    jumps: what a signal raises there counts as raised one instruction before, so outside.
    """
    table = list(dis._parse_exception_table(code))

    def caught_by(offset: int) -> list[int]:
        return [each.target for each in table if each.start <= offset < each.end]

    if "KeyboardInterrupt" in code.co_names:
        for each in dis.get_instructions(code):
            if each.opname == "JUMP_BACKWARD":
                if caught_by(each.argval) != caught_by(each.argval - 2):
                    yield code.co_name
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from missed(inner)


NAIVE = """
def wait(ready):
    try:
        while not ready():
            if ready():
                continue
            print()
        return 1
    except KeyboardInterrupt:
        return 0
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="as CPython 3.11 does it")
def test_no_signal_is_missed_where_a_loop_begins_anew() -> None:
    """SIGTERM ended one in twelve parents of workers with a traceback."""
    assert list(missed(compile(NAIVE, "naive", "exec"))) == ["wait"]
    for path in Path(cluster.__file__).parent.glob("*.py"):
        assert list(missed(compile(path.read_text(), path, "exec"))) == [], path.name


# --- accounts, limits, other languages -----------------------------------------------------------


@pytest.mark.slow
@needs_redis
def test_an_account_is_one_on_all_servers(two: list[ChatServer]) -> None:
    ann, _ = come(two[0], "ann")
    with ann:
        ann.say("register", username="ann", password="correct horse battery", id=1)
        assert ann.read_until("account")["username"] == "ann"
        with LineClient(two[1].port) as other:
            other.say("join", username="ann", room="lobby")
            assert other.read_until("error")["code"] == "name_registered"
            other.say("login", username="ann", password="wrong horse battery", id=2)
            assert other.read_until("error")["code"] == "bad_login"
            other.say("login", username="ann", password="correct horse battery", id=3)
            other.read_until("account")
            other.say("join", username="ann", room="lobby")
            other.read_until("welcome")
            other.say("message", content="both of me", id=4)
            assert ann.read_until("message")["content"] == "both of me"


@needs_redis
def test_limits_that_are_read_again_hold_for_all_servers(two: list[ChatServer]) -> None:
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        two[0].set_limits(msgspec.structs.replace(FREE, rooms_per_client=1))

        def refused() -> bool:
            bob.say("join", username="bob", room="tea", id=1)
            answer = bob.read()
            if answer["type"] == "error":
                return answer["code"] == "bad_room"
            bob.read_until("users")
            bob.say("leave", room="tea")
            bob.read_until("leave")
            return False

        wait_until(refused)


@needs_redis
def test_a_client_of_another_language_is_in_the_same_room(redis: RedisServer) -> None:
    listeners = listeners_for(["irc=0"], "127.0.0.1")
    with (
        server_on(redis, listeners=listeners) as first,
        server_on(redis) as second,
    ):
        ann, _ = come(second, "ann")
        where = first.listening("irc")[0].rpartition(":")
        with ann, LineClient(int(where[2])) as bob:
            bob.send(b"NICK bob\r\nUSER bob 0 * :Bob\r\nJOIN #lobby\r\n")
            assert ann.read_until("join")["username"] == "bob"
            bob.send(b"PRIVMSG #lobby :hello\r\n")
            assert ann.read_until("message")["content"] == "hello"
            ann.say("message", content="hi")
            while b"PRIVMSG #lobby :hi" not in (line := bob.line()):
                assert line


# --- what goes on for long -----------------------------------------------------------------------


def noted(people: list, kind: type) -> list[str]:
    """From now on, the names of those who are told something of this kind."""
    names = list[str]()
    for person in people:

        def note(event: object, person: Person = person) -> None:
            person.events.append(event)
            if isinstance(event, kind):
                names.append(person.username)

        person.set_event_callback(note)
    return names


BACK = (
    5.0 if FULL else 15.0
)  # seconds, from the word that a node must end, until all of its people are in again


@needs_redis
@pytest.mark.slow(seconds=5)
def test_a_rolling_restart_loses_nobody_and_nothing(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three servers on one port, each ended and started again, while people talk. Of three times,
    one may be too long: something else may keep this machine busy. With FULL=1, none may.
    """
    monkeypatch.setattr(
        reconnector, "backoff_delays", lambda: delivery.backoff_delays(0.05, 0.5)
    )
    first = server_on(redis, shared_port=True)
    first.start()
    others = [
        ChatServer(
            port=first.port, rules=node_of(redis).open, limits=FREE, shared_port=True
        )
        for _ in range(2)
    ]
    with Crowd("asyncio") as crowd, ExitStack() as stack:
        for server in others:
            server.start()
        for server in (first, *others):
            stack.callback(server.stop)
        people = [
            crowd.meet(f"p{number}", first.port, timeout=30.0)
            for number in range(300 if FULL else 30)
        ]
        back = noted(people, Reconnected)
        talkers, away = Talkers(people[:8], 0.01), []
        try:
            for server in (*others, first):
                began, all_back = time.monotonic(), len(back) + server.connections
                server.stop()
                wait_until(lambda: len(back) >= all_back, 60)
                away.append(time.monotonic() - began)
                server = ChatServer(
                    port=first.port,
                    rules=node_of(redis).open,
                    limits=FREE,
                    shared_port=True,
                )
                server.start()
                stack.callback(server.stop)
        finally:
            talkers.stop()
        check(people, talkers)
        print("everybody was back after", away)
        assert sorted(away)[2 if FULL else 1] < BACK
        came = {name.username for name in people[0].told(UserJoined)}
        assert len(people[0].told(UserJoined)) == len(came), "each has come once"


@needs_redis
@pytest.mark.slow(seconds=3)
def test_an_idle_node_uses_next_to_no_cpu(redis: RedisServer) -> None:
    options = "--port", 0, "--redis", redis.url
    with Program("start_server", *options) as program:
        wait_until(lambda: any("chat server on" in each for each in said(program)))
        pid = program.process.pid

        def is_idle() -> bool:  # 0.3 % where nothing else runs
            began, used = time.monotonic(), cpu_time(pid)
            time.sleep(2)
            return cpu_time(pid) - used < 0.03 * (time.monotonic() - began)

        wait_until(is_idle)  # at first, it may still be beginning
