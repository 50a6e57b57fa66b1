"""What a chat on several servers survives: servers and a Redis that are killed, connections between them that are cut
and delayed.

`FULL=1 pytest tests/test_cluster_kills.py` runs what takes long: 300 people, 20 kills of a server, 10 of Redis, 200 cuts
and 200 delays.
"""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from helpers import Program, wait_until
from proxy import Proxy
from redis_servers import RedisServer, needs_redis
from test_resume import FULL, HOST, Crowd, Talkers, config, in_order

from python_tcp import delivery, reconnector
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import HistoryGap
from python_tcp.cluster import ClusterNode
from python_tcp.node_history import NodeHistory
from python_tcp.protocol import Ok, UserLeft
from python_tcp.redis_place import parse_redis_url
from python_tcp.redis_stream import RedisStream

pytestmark = [
    needs_redis,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="Linux only"),
]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """People come back soon."""
    monkeypatch.setattr(
        reconnector, "backoff_delays", lambda: delivery.backoff_delays(0.05, 0.5)
    )


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with Crowd("asyncio") as crowd:
        yield crowd


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


class Nodes:
    """A real `chat_server --workers`, whose workers are the nodes."""

    def __init__(self, program: Program, count: int) -> None:
        self.program, self._count = program, count
        self.port = int(self._lines()[0].split(";")[0].rpartition(":")[2])

    def _lines(self) -> list[str]:
        said = self.program.lines + self.program.errors
        return [each for each in said if "chat server on" in each]

    @property
    def pids(self) -> list[int]:
        pid = self.program.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(each) for each in children.split()]

    def kill_one(self, dice: random.Random) -> None:
        """As kill -9 does. It is replaced."""
        wait_until(lambda: len(self.pids) == self._count)
        os.kill(dice.choice(self.pids), signal.SIGKILL)


@contextmanager
def nodes(count: int, port: int, folder: Path) -> Iterator[Nodes]:
    settings = config(
        folder,
        flood_burst=0,
        connections_per_address=0,
        connect_rate=1e6,
        join_rate=1e6,
    )
    url = f"redis://{HOST}:{port}"
    words = "--port", 0, "--workers", count, "--redis", url, "--config", settings
    words = *words, "--data", folder / "chat.db"
    with Program("start_server", *words) as program:
        wait_until(
            lambda: (
                sum("chat server on" in each for each in program.lines + program.errors)
                >= count
            )
        )
        yield Nodes(program, count)


def check(people: list, talkers: Talkers) -> None:
    """No message that was acknowledged is lost, none is doubled, and all heard one order."""
    wait_until(lambda: not any(person.unsent for person in people), 60)
    last = sum(talkers.said.values())
    wait_until(
        lambda: (
            all(person.told_in()[-1:] for person in people)
            and len({person.told_in()[-1] for person in people}) == 1
            and len(people[0].told_in()) >= last
        ),
        60,
    )
    expected = people[0].told_in()
    assert [seq for seq, _ in expected] == list(range(1, last + 1))
    contents = [content for _, content in expected]
    assert sorted(contents) == talkers.everything() and in_order(contents)
    for person in people:
        assert person.told_in() == expected, person.username
        assert not person.told(HistoryGap, UserLeft), person.username
        said = {event.id: event.seq for event in person.told(Ok)}
        mine = [seq for seq, text in expected if text.split()[0] == person.username]
        assert sorted(said.values()) == mine, person.username


def delay_of(dice: random.Random) -> float:
    """Seconds. One of twenty is longer than the nodes wait for an answer: they connect again, and
    append again what arrives in the end, too."""
    longest = RedisStream.TIMEOUT + 0.5
    return longest if dice.random() < 0.05 else dice.uniform(0, 0.3)


@pytest.mark.slow(seconds=30)
def test_people_talk_while_nodes_and_redis_are_killed_and_links_are_cut_and_delayed(
    tmp_path: Path, redis: RedisServer, crowd: Crowd
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # is shown if the test fails
    dice = random.Random(seed)
    count, talking = (300, 50) if FULL else (24, 8)
    kinds = ["node"] * (20 if FULL else 3) + ["redis"] * (10 if FULL else 2)
    kinds += ["cut", "delay"] * (200 if FULL else 10)
    dice.shuffle(kinds)
    with (
        Proxy((HOST, redis.port)) as between,
        nodes(3, between.port, tmp_path) as cluster,
    ):
        people = [
            crowd.meet(f"p{number}", cluster.port, timeout=30.0)
            for number in range(count)
        ]
        talkers = Talkers(people[:talking], 0.02)
        try:
            for kind in kinds:
                time.sleep(dice.uniform(0, 0.2 if kind in ("cut", "delay") else 0.5))
                if kind == "node":
                    cluster.kill_one(dice)
                elif kind == "redis":
                    redis.kill()
                    time.sleep(dice.uniform(0, 0.5))
                    redis.start()
                elif kind == "delay":
                    between.delay(delay_of(dice))
                else:
                    between.cut(reset=dice.random() < 0.5)
        finally:
            talkers.stop()
        check(people, talkers)
        status, errors = cluster.program.end(signal.SIGTERM)
        assert status == 0, "\n".join(errors[-30:])
    place = parse_redis_url(redis.url)
    for number in (1, 2, 3):  # each worker has a file of its own
        file = tmp_path / f"chat.db.{number}"
        node = ClusterNode(place, history=NodeHistory(file, "power", place.chat))
        with ChatServer(rules=node.open):
            pass  # it was killed, or told to end while it began
        with closing(sqlite3.connect(file)) as db:
            kept = db.execute("SELECT seq, content FROM messages ORDER BY seq")
            assert kept.fetchall() == people[0].told_in(), number
