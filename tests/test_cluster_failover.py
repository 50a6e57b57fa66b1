"""A chat whose Redis is replaced: by Sentinel, in a Redis Cluster, and with replicas that must have each message."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers import LineClient, Program, wait_until
from redis_servers import RedisCluster, RedisServer, Sentinel, needs_redis, replica_of
from test_cluster import FREE, answer_to, come, contents, said
from test_cluster_kills import check
from test_resume import Crowd, Talkers

from python_tcp import delivery, reconnector
from python_tcp.chat_server import ChatServer
from python_tcp.cluster import ClusterNode
from python_tcp.redis_place import RedisError, parse_redis_url
from python_tcp.redis_stream import START, RedisStream

pytestmark = needs_redis


def server_at(url: str, replicas: int = 0, **options: object) -> ChatServer:
    node = ClusterNode(parse_redis_url(url), replicas)
    return ChatServer(rules=node.open, limits=FREE, **options)


def come_to(port: int, name: str, **fields: object) -> tuple[LineClient, dict]:
    client = LineClient(port)
    client.say("join", username=name, room="lobby", **fields)
    return client, client.read_until("welcome")


def ports_of(program: Program) -> list[int]:
    """A port for each time that it has begun."""
    lines = [each for each in said(program) if "chat server on" in each]
    return [
        int(each.split("chat server on ")[1].split(";")[0].rpartition(":")[2])
        for each in lines
    ]


def has_replicas(redis: RedisServer, count: int) -> bool:
    return redis.ask("INFO", "replication").count(b"state=online") == count


class Watched:
    """A primary with some replicas, and a Sentinel that watches them."""

    def __init__(self, folder: Path, replicas: int, stack: ExitStack) -> None:
        self.primary = stack.enter_context(RedisServer(folder / "primary"))
        names = [f"replica{number}" for number in range(replicas)]
        self.replicas = [
            stack.enter_context(replica_of(folder / name, self.primary.port))
            for name in names
        ]
        wait_until(lambda: has_replicas(self.primary, replicas))
        sentinel = Sentinel(folder / "sentinel", self.primary)
        self.sentinel = stack.enter_context(sentinel)
        wait_until(lambda: sentinel.knows_replicas(replicas))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# --- Sentinel ------------------------------------------------------------------------------------


@pytest.mark.slow(seconds=8)
def test_sentinel_replaces_the_primary_and_no_acknowledged_message_is_lost(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reconnector, "backoff_delays", lambda: delivery.backoff_delays(0.05, 0.5)
    )
    watched = Watched(tmp_path, 2, stack)
    url = watched.sentinel.url
    servers = [stack.enter_context(server_at(url, 1)) for _ in range(2)]
    crowd = stack.enter_context(Crowd("asyncio"))
    people = [
        crowd.meet(f"p{number}", servers[number % 2].port, timeout=30.0)
        for number in range(6)
    ]
    talkers = Talkers(people[:4], 0.01)
    try:
        wait_until(lambda: len(people[0].told_in()) > 20)
        watched.primary.kill()
        wait_until(lambda: watched.sentinel.primary() != watched.primary.port, 90)
        said = sum(talkers.said.values())
        wait_until(lambda: len(people[0].told_in()) > said, 60)
    finally:
        talkers.stop()
    check(people, talkers)
    assert all(server.running for server in servers)


@pytest.mark.slow(seconds=8)
def test_what_a_failover_has_lost_is_seen_as_a_new_epoch(
    tmp_path: Path, stack: ExitStack
) -> None:
    watched = Watched(tmp_path, 1, stack)
    url = watched.sentinel.url
    program = stack.enter_context(Program("start_server", "--port", 0, "--redis", url))
    [port] = wait_until(lambda: ports_of(program))
    ann, welcome = come_to(port, "ann")
    with ann:
        for number in range(3):
            ann.say("message", content=f"m{number}", id=number)
            assert answer_to(ann, number)["type"] == "ok"
        primary, [replica] = watched.primary, watched.replicas
        length = "XLEN", "{chat}:log"
        wait_until(lambda: replica.ask(*length) == primary.ask(*length))
        # From now on it no longer hears of the primary, and lacks what comes.
        replica.ask("REPLICAOF", "127.0.0.1", str(watched.sentinel.port))
        ann.say("message", content="lost", id=3)
        assert answer_to(ann, 3)["type"] == "ok"
        watched.primary.kill()
        assert ann.read_until("goodbye")["code"] == "server_closing"
    port = wait_until(lambda: ports_of(program)[1:], 30)[0]
    back, again = come_to(port, "ann", token=welcome["token"], since=3)
    with back:
        assert again["epoch"] != welcome["epoch"]
        assert again["seq"] == 3, "the fourth is lost"
    assert any("Redis has no entry" in each for each in said(program))
    assert program.end(signal.SIGTERM)[0] == 0


# --- a Redis Cluster -----------------------------------------------------------------------------


@pytest.mark.slow(seconds=6)
def test_a_chat_in_a_redis_cluster_follows_its_slot(
    tmp_path: Path, stack: ExitStack
) -> None:
    cluster = stack.enter_context(RedisCluster(tmp_path))
    two = [stack.enter_context(server_at(cluster.url)) for _ in range(2)]
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        ann.say("message", content="before", id=1)
        assert contents(bob, 1) == [(1, "before")]
        first = cluster.owner("{chat}:log")
        others = [each for each in cluster.servers if each is not first]
        with pytest.raises(RedisError, match="redis\\+cluster:// finds that"):
            server_at(others[0].url).start()
        cluster.move("{chat}:log", others[1])
        assert cluster.owner("{chat}:log") is others[1]

        def is_said() -> bool:
            ann.say("message", content="after", id=2)
            return answer_to(ann, 2)["type"] == "ok"

        wait_until(is_said)
        assert contents(bob, 1) == [(2, "after")]
        assert two[0].running and two[1].running
        with server_at(cluster.url) as third:
            assert third.users == ["ann", "bob"]


def test_a_redis_that_is_alone_is_no_cluster(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        url = redis.url.replace("redis:", "redis+cluster:")
        with pytest.raises(RedisError, match="cluster") as raised:
            server_at(url).start()
        assert "\n" not in str(raised.value) and url in str(raised.value)


# --- replicas ------------------------------------------------------------------------------------


@pytest.mark.slow(seconds=6)
def test_without_the_replica_that_is_wanted_messages_are_refused_until_it_is_back(
    tmp_path: Path, stack: ExitStack
) -> None:
    redis = stack.enter_context(RedisServer(tmp_path / "primary"))
    replica = stack.enter_context(replica_of(tmp_path / "replica", redis.port))
    wait_until(lambda: has_replicas(redis, 1))
    two = [stack.enter_context(server_at(redis.url, 1)) for _ in range(2)]
    (ann, _), (bob, _) = come(two[0], "ann"), come(two[1], "bob")
    with ann, bob:
        ann.say("message", content="one", id=1)
        assert contents(bob, 1) == [(1, "one")]
        replica.pause()
        ann.say("message", content="two", id=2)
        wait_until(lambda: two[0]._rules.log.trouble)
        for _ in range(2):
            ann.say("message", content="three", id=3)
            error = ann.read_until("error", id=3)
            assert error["code"] == "not_saved" and 0 < error["retry_after"] <= 60
        assert "replicas have the last messages" in two[0]._rules.log.trouble
        replica.go_on()
        assert contents(bob, 1) == [(2, "two")], "it was in the log all the time"
        assert ann.read_until("ok", id=2)["seq"] == 2
        wait_until(lambda: not two[0]._rules.log.trouble)
        ann.say("message", content="three", id=3)
        assert contents(bob, 1) == [(3, "three")]


def test_an_entry_that_another_primary_has_not_got_does_not_count(
    tmp_path: Path, stack: ExitStack
) -> None:
    redis = stack.enter_context(RedisServer(tmp_path / "primary"))
    stack.enter_context(replica_of(tmp_path / "replica", redis.port))
    wait_until(lambda: has_replicas(redis, 1))
    stream = RedisStream(parse_redis_url(redis.url))
    stack.callback(stream.close)
    stream.append([b"one"])
    [entry] = stream.read(START)
    stream.wait_for_replicas(1, entry.position)
    redis.ask("XDEL", "{chat}:log", entry.position)
    with pytest.raises(RedisError, match="has no entry"):
        stream.wait_for_replicas(1, entry.position)
