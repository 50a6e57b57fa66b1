"""What attackers do, as scripts against a server in a process of its own, with an honest pair beside them.

The pair is in a room of its own and says a few messages a second, each way. No message of theirs may be lost; how long
they took is bounded generously, for a busy machine. `make test ARGS="-s tests/test_attacks.py"` prints for each attack the
pair's median and 99th percentile, beside what the same pair measures without an attack on the same machine.
"""

import functools
import gc
import json
import re
import selectors
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import pytest
from authority import ca_file, server_file
from helpers import LineClient
from waiting import LIMIT, wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.history import SQLiteStore
from python_tcp.protocol import Limits, Message
from python_tcp.security import client_context

SERVER = """
import sys
from python_tcp.chat_server import ChatServer
from python_tcp.protocol import Limits
limits, data = Limits(**eval(sys.argv[1])), sys.argv[2] or None
tls = None
if sys.argv[3]:
    from python_tcp.handshakes import ServerTLS
    tls = ServerTLS(sys.argv[3])
with ChatServer(limits=limits, data=data, tls=tls) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""
SLOWEST = 0.5  # seconds; so much for the 99th percentile on a loaded machine
SECONDS = 2.0  # of each attack

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform == "win32", reason="counts on epoll"),
]


@dataclass
class Server:
    """A server's process, and how one speaks to it."""

    pid: int
    tls: ssl.SSLContext | None  # for its clients

    def memory(self, what: str = "VmRSS") -> float:
        """What the server's process has, in MiB; with `VmHWM`, the most that it had."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return 0.0
        found = re.search(rf"{what}:\s+(\d+) kB", status.read_text())
        return int(found[1]) / 1024


SERVERS: dict[int, Server] = {}  # by port


@contextmanager
def running(data: str = "", tls: bool = False, **limits: float) -> Iterator[int]:
    """A server in a process of its own; its port."""
    files = server_file() if tls else ""
    command = [sys.executable, "-c", SERVER, repr(limits), data, files]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as process:
        port = int(process.stdout.readline())
        context = client_context(ca_file()) if tls else None
        SERVERS[port] = Server(process.pid, context)
        yield port
        process.stdin.close()
        assert process.wait(LIMIT) == 0, "it ends as it should"


class HonestPair:
    """Two people who talk to each other, on a thread, and measure how long a message takes."""

    PAUSE = 0.25  # seconds: as fast as flood control lets one for ever

    def __init__(self, port: int) -> None:
        self.server = server = SERVERS[port]
        self.people = [
            LineClient(port, tls=server.tls).join(name, "quiet")
            for name in ("ann", "bob")
        ]
        self.people[0].read_until("join", username="bob")
        self.before = server.memory()
        self.times: list[float] = []
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for speaker in self.people:
                    before = time.perf_counter()
                    content = f"m{len(self.times)}"
                    speaker.say("message", content=content)
                    for hearer in self.people:
                        hearer.read_until("message", content=content)
                    self.times.append(time.perf_counter() - before)
                    time.sleep(self.PAUSE / 2)
        except BaseException as error:
            self._failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join(LIMIT)
        for person in self.people:
            person.close()

    def judge(self, attack: str, count: int) -> None:
        """`count`: what the attacker has managed to do."""
        self._stop.set()
        self._thread.join(LIMIT)
        assert self._failure is None, f"a message was lost: {self._failure!r}"
        half, slow = self.figures()
        half_alone, slow_alone = alone(self.server.tls is not None)
        self.grown = self.server.memory("VmHWM") - self.before
        print(
            f"\n{attack}: {count}; honest pair: {len(self.times)} messages, "
            f"p50 {half * 1000:.1f} ms (alone {half_alone * 1000:.1f}), "
            f"p99 {slow * 1000:.1f} ms (alone {slow_alone * 1000:.1f}); "
            f"server's memory: at most {self.grown:.1f} MiB more"
        )
        assert len(self.times) >= 4 and slow < SLOWEST

    def figures(self) -> tuple[float, float]:
        """The median and the 99th percentile, in seconds."""
        times = sorted(self.times)
        return statistics.median(times), times[int(len(times) * 0.99)]


@functools.cache
def alone(tls: bool) -> tuple[float, float]:
    """The pair's figures when nobody else is there."""
    with running(tls=tls) as port, HonestPair(port) as pair:
        time.sleep(SECONDS)
    return pair.figures()


class Crowd:
    """Connections that send the same again and again, as fast as they can, and read and drop the answers."""

    def __init__(self, port: int, count: int, lines: bytes, first: bytes = b"") -> None:
        self._port, self._lines, self._first = port, lines, first
        self._selector = selectors.DefaultSelector()
        self.connects = self.received = 0
        self.sockets: set[socket.socket] = set()
        for number in range(count):
            self._connect(number)

    def _connect(self, number: int) -> None:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=LIMIT)
        self.connects += 1
        if self._first:
            sock.sendall(self._first % number)
        sock.setblocking(False)
        self.sockets.add(sock)
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.register(sock, both, number)

    def attack(self, seconds: float, again: bool = True) -> None:
        """`again`: whoever is thrown out connects again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.sockets:
            for key, events in self._selector.select(0.1):
                gone = False
                try:
                    if events & selectors.EVENT_READ:
                        data = key.fileobj.recv(262_144)
                        self.received += len(data)
                        gone = not data
                    if events & selectors.EVENT_WRITE and not gone:
                        key.fileobj.send(self._lines)
                except BlockingIOError:
                    pass
                except OSError:
                    gone = True
                if gone:
                    self._drop(key.fileobj)
                    if again:
                        with suppress(OSError):
                            self._connect(key.data)

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self.sockets.discard(sock)
        sock.close()

    def close(self) -> None:
        for sock in list(self.sockets):
            self._drop(sock)
        self._selector.close()


def _attack(port: int, count: int, lines: bytes, first: bytes) -> tuple[int, int]:
    crowd = Crowd(port, count, lines, first)
    crowd.attack(SECONDS)
    crowd.close()
    return crowd.connects, crowd.received


def attack(port: int, count: int, lines: bytes, first: bytes = b"") -> tuple[int, int]:
    """A crowd in a process of its own: how often it has connected, and how many bytes it got."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_attack, port, count, lines, first).result()


JOIN = b'{"type":"join","username":"u%d"}\n'


def test_the_pair_alone() -> None:
    with running() as port, HonestPair(port) as pair:
        time.sleep(SECONDS)
        pair.judge("nobody else", 0)


@pytest.mark.parametrize("length", [20, 4000])
@pytest.mark.parametrize("count", [1, 10, 100])
def test_row_1_pages_of_a_file(tmp_path: Path, count: int, length: int) -> None:
    """With a hundred who asked, and were thrown out and came back, the pair waited 4 s."""
    store = SQLiteStore(tmp_path / "chat.db")
    for seq in range(1, 4001):
        store.append(Message("lobby", seq, "ann", "x" * length, 1.0), "", None)
    store.commit(lambda error: None)
    store.close()
    join = b'{"type":"join","username":"u%d","since":0}\n'
    with running(str(tmp_path / "chat.db")) as port, HonestPair(port) as pair:
        lines = b'{"type":"history","limit":1000}\n' * 100
        _, received = attack(port, count, lines, join)
        pair.judge(f"pages for {count}, bytes", received)


def test_row_2_rooms_asked_for_by_ten() -> None:
    """17 bytes asked for 1.63 MB, and ten askers took 3.8 s of everybody."""
    with running(rooms_per_client=2000, flood_burst=3000) as port:
        fillers = [LineClient(port) for _ in range(4)]
        for number, filler in enumerate(fillers):
            rooms = (f"room-{number}-{n}".ljust(60, "x") for n in range(1000))
            lines = (
                json.dumps({"type": "join", "username": f"f{number}", "room": room})
                for room in rooms
            )
            threading.Thread(
                target=filler.send, args=["\n".join([*lines, ""]).encode()]
            ).start()
        for filler in fillers:
            for _ in range(1000):
                filler.read_until("users")
        with HonestPair(port) as pair:
            _, received = attack(port, 10, b'{"type":"rooms"}\n' * 100, JOIN)
            pair.judge("rooms, bytes", received)
        fillers[0].say("rooms")
        page = fillers[0].line()
        assert len(page) < 65_536 and json.loads(page)["more"]
        for filler in fillers:
            filler.close()


def test_row_3_a_full_house_of_connections_that_do_not_close() -> None:
    """Newcomers waited up to 11.4 s, because a goodbye lingered in one of 16 places."""
    with running(connections=50) as port, HonestPair(port) as pair:
        crowd = Crowd(port, 48, b"", JOIN)
        time.sleep(0.5)
        times, open_ones = [], []
        for _ in range(200):
            before = time.perf_counter()
            client = LineClient(port)
            assert client.read()["code"] == "server_full"
            times.append(time.perf_counter() - before)
            open_ones.append(client)  # they do not close after the goodbye
        pair.judge("turned away, slowest in ms", round(max(times) * 1000))
        assert max(times) < 1.0
        for client in open_ones:
            client.close()
        crowd.close()


def test_row_4_reconnecting_for_a_fresh_budget() -> None:
    """18 messages per connection and 1,083 connections a second: 19,000 messages a second from one place."""
    said = 0
    with running() as port, HonestPair(port) as pair:
        watcher = LineClient(port).join("watcher", "noisy")
        lines = b'{"type":"message","content":"x"}\n' * 18
        connects, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            with LineClient(port) as client, suppress(OSError):
                join = b'{"type":"join","username":"e%d","room":"noisy"}\n'
                client.send(join % connects + lines + b'{"type":"leave"}\n')
                while client.line():
                    pass
            connects += 1
        watcher.say("ping")
        while (event := watcher.read())["type"] != "pong":
            said += event["type"] == "message"
        watcher.close()
        pair.judge(f"messages over {connects} connections", said)
    assert said <= 20 + 5 * (SECONDS + 1) * 2


@pytest.mark.parametrize("count", [1, 20, 100, 900])
def test_row_5_bad_lines_and_pongs(count: int) -> None:
    """With 900 clients the pair waited 5.3 s."""
    with running() as port, HonestPair(port) as pair:
        lines = (b"0\n" * 9 + b'{"type":"pong"}\n') * 100
        connects, _ = attack(port, count, lines)
        pair.judge(f"bad lines from {count}, connects", connects)


def test_row_12_joining_and_leaving_in_a_loop() -> None:
    """That the log counts them is in test_console."""
    with running(flood_burst=0) as port, HonestPair(port) as pair:
        lines = (
            b'{"type":"leave","room":"x"}\n{"type":"join","username":"u0","room":"x"}\n'
        )
        _, received = attack(port, 1, lines * 50, JOIN)
        pair.judge("joined and left, bytes", received)


def _churn(port: int, stay: int, come_and_go: int, seconds: float) -> int:
    """Members of a large room, of whom some leave and come back as often as flood control lets them."""
    selector, sockets, count = selectors.DefaultSelector(), [], 0

    def read(wait: float) -> None:
        for key, _ in selector.select(wait):
            with suppress(BlockingIOError):
                if not key.fileobj.recv(262_144):
                    selector.unregister(key.fileobj)

    for number in range(stay + come_and_go):
        sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        sock.sendall(b'{"type":"join","username":"u%d","room":"big"}\n' % number)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
        sockets.append(sock)
        read(0)
    again = b'{"type":"leave","room":"big"}\n{"type":"join","username":"u%d","room":"big"}\n'
    begin, pace = time.monotonic(), come_and_go * 2.5  # five lines a second each
    while (passed := time.monotonic() - begin) < seconds:
        while count < passed * pace:
            number = stay + count % come_and_go
            with suppress(OSError):
                sockets[number].send(again % number)
            count += 1
        read(0.01)
    for sock in sockets:
        sock.close()
    return count


def test_row_17_two_hundred_of_950_come_and_go() -> None:
    """A join cost a list of 950 names, and 950 deliveries of its own."""
    with running() as port, HonestPair(port) as pair:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            count = pool.submit(_churn, port, 750, 200, 2 * SECONDS).result()
        pair.judge("left and came back", count)


def test_row_9_thousands_of_connections_a_second() -> None:
    with running() as port, HonestPair(port) as pair:
        count, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            for sock in [
                socket.create_connection(("127.0.0.1", port), LIMIT) for _ in range(20)
            ]:
                sock.close()
                count += 1
        pair.judge("connections", count)


def test_row_14_http_is_not_heard() -> None:
    body = b'{"type":"join","username":"eve","room":"quiet"}\n'
    body += b'{"type":"message","content":"spam"}\n'
    with running() as port, HonestPair(port) as pair:
        count, end = 0, time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            with LineClient(port) as client:
                client.send(b"POST / HTTP/1.1\r\nHost: chat\r\n\r\n" + body)
                assert client.line().startswith(b"HTTP/1.1 400 ")
            count += 1
        time.sleep(SECONDS / 2)
        pair.judge("requests", count)
        with LineClient(port).join("cy", "quiet") as client:
            client.say("history")
            said = {each["username"] for each in client.read()["messages"]}
            assert said == {"ann", "bob"}


def test_no_line_of_the_server_is_above_the_bound_that_it_tells() -> None:
    """A room with 900 names that are long, with long statuses, and long messages: in pages."""
    with running(flood_burst=0, output_bytes=8_388_608) as port:
        people = [LineClient(port) for _ in range(400)]
        for number, person in enumerate(people):
            person.say("join", username=f"u{number}".ljust(32, "x"))
            person.say("status", status='"' * 80)
            person.read_until("status")
        for _ in range(40):
            people[0].say("message", content='"' * 4000)
        for _ in range(40):
            people[0].read_until("message")
        with LineClient(port) as last:
            last.say("join", username="last", since=0)
            welcome = last.read()
            bound = welcome["limits"]["server_line"]
            names, after, page = [], None, {}
            while after is None or page.get("more"):
                if after is not None:
                    last.say("users", after=after)
                line = last.line()
                while (page := json.loads(line))["type"] != "users":
                    assert len(line) <= bound
                    line = last.line()
                assert len(line) <= bound
                names += page["users"]
                after = names[-1]
            assert len(names) == len(set(names)) == 401
            last.say("history", limit=1000)
            line = last.line()
            assert json.loads(line)["type"] == "history" and json.loads(line)["more"]
            assert len(line) <= bound
        for person in people:
            person.close()


def test_row_9_a_connection_leaves_no_cycle_behind() -> None:
    """Cycles are for the collector, and under churn it stopped everybody for half a second."""
    with ChatServer(limits=Limits(resume_window=0.0)) as server:

        def come_and_go(count: int) -> None:
            for _ in range(count):
                with LineClient(server.port) as client:
                    client.send(JOIN % 1 + b'{"type":"leave"}\n')
                    client.read_all()
            wait_until(lambda: not server._server._clients._streams)

        come_and_go(5)
        gc.collect()
        gc.disable()
        try:
            come_and_go(50)
            assert gc.collect() < 50, "less than one object for a connection"
        finally:
            gc.enable()
