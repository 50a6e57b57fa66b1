"""Ten thousand wrong passwords while a room chats: what do the others notice of it?

    python -m bench.guesses

A server in a process of its own, with an account. In a room, one of `MEMBERS` says something every 20 ms, and all
note when they hear it. That goes on for `SECONDS` seconds in quiet, then while 10,000 logins with wrong passwords come
from one address, then from 100 addresses (127.0.x.y; Linux only). In the middle of each attack the right person comes
from an address of their own. Printed are the delays of the deliveries, the server's memory (64 MiB for each hash that
is being made are a part of it), its longest tick, how the guesses were answered, and how long the right person took.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

GUESSES, MEMBERS, SECONDS = 10_000, 20, 10.0
PASSWORD = "correct-Horse-77"

SERVER = """
import sys
from python_tcp.chat_server import ChatServer
ticks = [0.0]
with ChatServer(data=sys.argv[1]) as server:
    server.engine.loop.on_tick = lambda seconds: ticks.append(max(ticks.pop(), seconds))
    print(server.port, flush=True)
    for line in sys.stdin:
        print(ticks[0], flush=True)
        ticks[0] = 0.0
"""


class Connection:
    """Lines of JSON over a socket, from an address of our choice."""

    def __init__(self, port: int, host: str) -> None:
        self.sock = socket.create_connection(
            ("127.0.0.1", port), timeout=60, source_address=(host, 0)
        )
        self.lines = self.sock.makefile("rb")

    def say(self, type: str, **fields: object) -> None:
        self.sock.sendall(json.dumps({"type": type, **fields}).encode() + b"\n")

    def until(self, *types: str) -> dict:
        for line in self.lines:
            if (event := json.loads(line))["type"] in types:
                return event
        raise ConnectionError("the server has closed")


class Room:
    """Its members hear each other; `delays` are those of the deliveries, in seconds."""

    def __init__(self, port: int) -> None:
        self.members = [Connection(port, "127.0.0.1") for _ in range(MEMBERS)]
        for number, member in enumerate(self.members):
            member.say("join", username=f"member{number}")
            member.until("welcome")
            time.sleep(0.05)
        self.delays: list[float] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def talk(self, seconds: float) -> list[float]:
        """For so long. Returns the delays, sorted."""
        self.delays = []
        start = time.perf_counter()
        count = int(seconds / 0.02)
        for number in range(count):
            time.sleep(max(0.0, start + number * 0.02 - time.perf_counter()))
            speaker = self.members[number % MEMBERS]
            speaker.say("message", content=f"at {time.perf_counter()}")
        time.sleep(1.0)
        assert len(self.delays) == count * MEMBERS, "something was lost"
        return sorted(self.delays)

    def _listen(self) -> None:
        selector = selectors.DefaultSelector()
        rests = {}
        for member in self.members:
            selector.register(member.sock, selectors.EVENT_READ)
            rests[member.sock] = b""
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                now = time.perf_counter()
                *lines, rest = (rests[key.fileobj] + data).split(b"\n")  # type: ignore[index]
                rests[key.fileobj] = rest  # type: ignore[index]
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "message":
                        self.delays.append(now - float(event["content"][3:]))
                    elif event["type"] == "ping":
                        key.fileobj.sendall(b'{"type":"pong"}\n')  # type: ignore[union-attr]


def attack(port: int, hosts: list[str], told: Counter[str]) -> None:
    """All guesses, evenly over the time; each connection has so many that it is closed just after them."""
    start, count = time.perf_counter(), 0
    while count < GUESSES:
        host = hosts[count // 100 % len(hosts)]
        time.sleep(max(0.0, start + SECONDS * count / GUESSES - time.perf_counter()))
        guesses = [
            {"type": "login", "username": "ann", "password": f"wrong-guess-{count + n}"}
            for n in range(100)
        ]
        count += 100
        connection = Connection(port, host)
        try:
            data = "".join(json.dumps(guess) + "\n" for guess in guesses)
            connection.sock.sendall(data.encode())
        except OSError:
            told["(closed)"] += 1
        threading.Thread(target=listen, args=(connection, told), daemon=True).start()


def listen(connection: Connection, told: Counter[str]) -> None:
    try:
        for line in connection.lines:
            event = json.loads(line)
            told[event.get("code", event["type"])] += 1
    except OSError:
        told["(closed)"] += 1


def right_person(port: int, host: str) -> tuple[float, int]:
    """How long it takes to get in, and how often one has to try."""
    start, tries = time.perf_counter(), 0
    while True:
        tries += 1
        connection = Connection(port, host)
        connection.say("login", username="ann", password=PASSWORD)
        event = connection.until("account", "error", "goodbye")
        connection.sock.close()
        if event["type"] == "account":
            return time.perf_counter() - start, tries
        time.sleep(event.get("retry_after", 1.0))


def memory(pid: int) -> float:
    """In MiB."""
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * 4096 / 2**20


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chat.db"
        command = [sys.executable, "-m", "python_tcp.accounts", "add", "ann", "--data", file]  # fmt: skip
        subprocess.run(command, input=PASSWORD + "\n", text=True, check=True)
        with subprocess.Popen(
            [sys.executable, "-c", SERVER, file],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as server:  # fmt: skip
            assert server.stdout is not None and server.stdin is not None
            measure(int(server.stdout.readline()), server)
            server.stdin.close()


def measure(port: int, server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None and server.stdin is not None
    room, quiet = Room(port), 0.0
    rows = {
        "in quiet": [],
        "10,000 guesses from 1 address": ["127.0.1.1"],
        "10,000 guesses from 100 addresses": [
            f"127.0.{2 + n % 50}.{1 + n // 50}" for n in range(100)
        ],  # fmt: skip
        "in quiet again": [],
    }
    print(f"{'':34} {'p50 ms':>7} {'p99 ms':>7} {'p99 by quiet':>12} {'longest tick ms':>15} {'MiB':>6} {'most':>6}")  # fmt: skip
    for number, (name, hosts) in enumerate(rows.items()):
        server.stdin.write("\n")
        server.stdin.flush()
        server.stdout.readline()
        told: Counter[str] = Counter()
        found: list[tuple[float, int]] = []
        most = [0.0]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.01):
                most[0] = max(most[0], memory(server.pid))

        threads = [threading.Thread(target=watch, daemon=True)]
        if hosts:
            threads.append(threading.Thread(target=attack, args=(port, hosts, told)))

            def come() -> None:
                time.sleep(SECONDS / 2)
                found.append(right_person(port, f"127.0.{200 + number}.9"))

            threads.append(threading.Thread(target=come))
        for thread in threads:
            thread.start()
        delays = room.talk(SECONDS)
        for thread in threads[1:]:
            thread.join()
        server.stdin.write("\n")
        server.stdin.flush()
        tick = float(server.stdout.readline())
        p50, p99 = (delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.99))
        quiet = quiet or p99
        time.sleep(2)
        done.set()
        now = memory(server.pid)
        print(f"{name:34} {p50:7.2f} {p99:7.2f} {p99 / quiet:12.2f} {tick * 1000:15.2f} {now:6.1f} {most[0]:6.1f}")  # fmt: skip
        if hosts:
            [(seconds, tries)] = found
            print(f"    answers: {dict(told.most_common())}")
            print(f"    the right person was in after {seconds:.2f} s, at try {tries}")


if __name__ == "__main__":
    main()
