"""What somebody who runs a chat in a Redis is told: by a node that starts, by its log, and by its pages."""

import http.client
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers import LineClient, Program, wait_until
from redis_servers import RedisServer, needs_redis
from test_cluster import FREE, answer_to, come, node_of, said, server_on

from python_tcp import redis_log, redis_watch
from python_tcp.chat_server import ChatServer
from python_tcp.account_tool import hash_password
from python_tcp.cluster import ClusterNode
from python_tcp.members import Account
from python_tcp.node_history import NodeHistory
from python_tcp.redis_place import RedisError
from python_tcp.service import HealthPage, open_monitor

pytestmark = needs_redis
PASSWORD = "correct horse battery"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


def page(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def figures(port: int) -> dict[str, float]:
    lines = page(port, "/metrics")[1].splitlines()
    pairs = [line.split() for line in lines if line.startswith("chat_redis")]
    return {name: float(value) for name, value in pairs}


# --- settings of a Redis -------------------------------------------------------------------------


def test_a_redis_that_would_drop_the_chat_is_refused(redis: RedisServer) -> None:
    redis.ask("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(RedisError, match="allkeys-lru drops the chat") as raised:
        server_on(redis).start()
    assert raised.value.final and "\n" not in str(raised.value)
    assert redis.url in str(raised.value) and "noeviction" in str(raised.value)


@pytest.mark.parametrize(
    ("limit", "policy"), [("100mb", "volatile-lru"), ("0", "allkeys-lru")]
)
def test_a_redis_that_may_drop_signs_of_life_is_warned_of(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, limit: str, policy: str
) -> None:
    redis.ask("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", policy)
    with server_on(redis) as server:
        come(server, "ann")[0].close()
    [warned] = [each for each in caplog.messages if "maxmemory-policy" in each]
    assert policy in warned and "noeviction" in warned


# --- clocks --------------------------------------------------------------------------------------


def test_the_clock_of_a_node_moves_nobodys_time(
    redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = time.time

    def hour_ahead() -> float:
        return right() + 3600

    with server_on(redis) as first:
        ann, welcome = come(first, "ann")
        ann.reset()  # her place is kept, for less than an hour
        monkeypatch.setattr(time, "time", hour_ahead)
        monkeypatch.setattr(redis_watch, "time", hour_ahead)
        with server_on(redis) as second:
            bob, _ = come(second, "bob")
            with bob:
                bob.say("message", content="what time is it?", id=1)
                told = bob.read_until("message")["timestamp"]
                assert abs(told - right()) < 60
                bob.say("users")
                assert bob.read_until("users")["users"] == ["ann", "bob"]
    warned = [each for each in caplog.messages if "the clock of this machine" in each]
    assert "3600 s ahead of Redis" in warned[0]


# --- audit log -----------------------------------------------------------------------------------


@pytest.mark.slow(seconds=2)
def test_what_an_operator_does_is_logged_once_where_it_was_asked(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    copy = PASSWORD[:1] + PASSWORD[1:]  # it is wiped
    root = Account("root", hash_password("root", lambda name: copy), "operator")
    nodes = [node_of(redis, operators=[root]), node_of(redis)]
    servers = [ChatServer(rules=node.open, limits=FREE) for node in nodes]
    with servers[0], servers[1]:
        bob, _ = come(servers[0], "bob")
        with bob, LineClient(servers[1].port) as boss:
            boss.say("login", username="root", password=PASSWORD, id=1)
            boss.read_until("account")
            boss.say("join", username="root", room="lobby")
            boss.read_until("users")
            why = "100 % noise"
            boss.say("kick", to="bob", room="lobby", reason=why, id=2)
            assert answer_to(boss, 2)["type"] == "ok"
            for number in (3, 4):
                boss.say("topic", topic=f"quiet {number}", room="lobby", id=number)
                assert answer_to(boss, number)["type"] == "ok"
            bob.read_until("moderated", action="kick")
        with server_on(redis):  # which carries out all of it again
            pass
    lines = [each for each in caplog.records if each.name == "python_tcp.audit"]
    assert [each.getMessage() for each in lines] == [
        f"audit: root kick bob lobby ({why})",
        "audit: root topic lobby (quiet 3)",
        "audit: root topic lobby (quiet 4)",
    ]
    assert lines[0].fields["audit"]["target"] == "bob"


# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.slow(seconds=3)
def test_the_pages_say_that_redis_is_away_and_that_it_is_back(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterNode, "EVERY", 5)
    monkeypatch.setattr(redis_log.RedisKeeper, "EVERY", 0.1)
    node = node_of(redis)
    with ChatServer(rules=node.open, limits=FREE) as server:
        monitor = open_monitor(server, 0, node)
        port = monitor.port
        ann, _ = come(server, "ann")
        with ann:
            for number in range(10):
                ann.say("message", content=f"m{number}", id=number)
                answer_to(ann, number)
            wait_until(lambda: page(port, "/health") == (200, "ok\n"))
            wait_until(lambda: "chat_redis_snapshot_age_seconds" in figures(port))
            found = figures(port)
            assert found["chat_redis_up"] == 1 and found["chat_redis_entries"] > 0
            assert 0 <= found["chat_redis_snapshot_age_seconds"] < 600
            assert found["chat_redis_waiting"] == 0
            redis.kill()
            wait_until(lambda: page(port, "/health")[0] == 503)
            status, why = page(port, "/health")
            assert status == 503 and why.count("\n") == 1 and str(redis.port) in why
            assert page(port, "/live") == (200, "ok\n"), "to restart it would not help"
            wait_until(lambda: figures(port)["chat_redis_up"] == 0)
            redis.start()
            wait_until(lambda: page(port, "/health") == (200, "ok\n"))
            wait_until(lambda: figures(port)["chat_redis_up"] == 1)
        monitor.stop()


def test_the_file_of_a_node_is_asked_about_although_nobody_says_anything(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HealthPage, "FRESH", 0.0)
    monkeypatch.setattr(NodeHistory, "RETRY", 0.05)
    monkeypatch.setattr("python_tcp.filewriter.FileWriter.LOOK", 0.0)
    file, away = tmp_path / "a.db", tmp_path / "away.db"
    node = node_of(redis, history=NodeHistory(file, "process", "chat"))
    with ChatServer(rules=node.open, limits=FREE) as server:
        monitor = open_monitor(server, 0, node)
        port, wal = monitor.port, tmp_path / "a.db-wal"
        assert page(port, "/health") == (200, "ok\n")
        before = wal.read_bytes()
        assert page(port, "/health") == (200, "ok\n") and wal.read_bytes() != before
        file.rename(away)
        status, why = page(port, "/health")
        assert status == 503 and why.count("\n") == 1 and "No such file" in why
        assert page(port, "/live") == (200, "ok\n")
        away.rename(file)
        wait_until(lambda: page(port, "/health") == (200, "ok\n"))
        monitor.stop()


def test_a_file_of_a_node_that_stands_still_is_said_in_time(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, touch = threading.Event(), HealthPage._touch
    monkeypatch.setattr(HealthPage, "PATIENCE", 0.2)
    monkeypatch.setattr(HealthPage, "FRESH", 0.0)
    monkeypatch.setattr(
        HealthPage, "_touch", lambda self, db: (stuck.wait(60), touch(self, db))
    )
    node = node_of(redis, history=NodeHistory(tmp_path / "a.db", "process", "chat"))
    with ChatServer(rules=node.open, limits=FREE) as server:
        monitor = open_monitor(server, 0, node)
        ann, _ = come(server, "ann")
        with ann:
            status, why = page(monitor.port, "/health")
            assert status == 503 and "has not been written for" in why
            ann.say("message", content="all the same", id=1)
            assert answer_to(ann, 1)["type"] == "ok"
            assert page(monitor.port, "/health")[0] == 503
            stuck.set()
            wait_until(lambda: page(monitor.port, "/health") == (200, "ok\n"))
        monitor.stop()
    messages = "SELECT content FROM messages"
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        assert db.execute(messages).fetchall() == [("all the same",)]


@pytest.mark.slow(seconds=3)
def test_the_command_serves_the_pages_of_its_node(redis: RedisServer) -> None:
    options = "--port", 0, "--redis", redis.url, "--metrics", 0
    with Program("start_server", *options) as program:
        line = wait_until(
            lambda: next((each for each in said(program) if "/health" in each), None)
        )
        port = int(line.rpartition("http://localhost:")[2].partition("/")[0])
        assert figures(port)["chat_redis_up"] == 1
        redis.kill()
        wait_until(lambda: page(port, "/health")[0] == 503)
        assert page(port, "/live")[0] == 200
        redis.start()
        wait_until(lambda: page(port, "/health")[0] == 200)
        assert program.end(signal.SIGTERM)[0] == 0
