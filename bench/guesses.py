"""Ten thousand wrong passwords while a room chats: what do the others notice of it?

    python -m bench.guesses [--rounds 3] [--durability power|process] [--folder FOLDER]

A server in a process of its own, with accounts. In a room, one of `MEMBERS` says something every 20 ms, and all note
when they hear it. A round is `SECONDS` seconds of that in quiet, then while 10,000 logins with wrong passwords come from
one address, in quiet, while they come from 100 addresses (127.x.y.z; Linux only), and in quiet. Each attack has names
and addresses of its own, so that the limits of an earlier one do not help. In the middle of each, the right person comes
from an address of their own.

An attack is compared with the quiet before and after it: disk and machine change from minute to minute, and a commit
waits for the disk. All deliveries of a message are late together, so p99 is what happened to five of 500 messages: one
stop of the disk can make it. That is why there are rounds, of which the medians are printed. If the server stayed slow
after an attack, the comparison would hide it; so the quiet after each attack is compared with the quiet before it, and
the last with the first.

The guessers are a third process. They stand for other machines, so they give way to the server and to the room.
Printed are also the server's memory (64 MiB for each hash that is being made are a part of it), its longest tick, the
longest time that the loop waited inside of a tick, how the guesses were answered, and how long the right person took.
What a tick waits for is a processor, or Python's global lock: the hashes take both, and so may any program that runs on
this machine. The rest of a tick is the loop's own work. The guessers go one after another: if their process closed all
at its end, a tick would have a hundred ends to serve, and be long for that reason alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

GUESSES, EACH, MEMBERS, SECONDS, PAUSE = 10_000, 100, 20, 10.0, 0.02
PASSWORD = "correct-Horse-77"

SERVER = """
import sys, time
from python_tcp.chat_server import ChatServer
longest = waited = used = 0.0
def note(seconds):
    global longest, waited, used
    before, used = used, time.thread_time()  # the loop's own
    longest = max(longest, seconds)
    waited = max(waited, seconds - (used - before))
file, durability = sys.argv[1:]
with ChatServer(data=file, durability=durability) as server:
    server.engine.loop.on_tick = note
    print(server.port, flush=True)
    for line in sys.stdin:
        print(longest, waited, flush=True)
        longest = waited = 0.0
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

    def until(self, *types: str) -> dict[str, Any]:
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
        count = int(seconds / PAUSE)
        for number in range(count):
            time.sleep(max(0.0, start + number * PAUSE - time.perf_counter()))
            speaker = self.members[number % MEMBERS]
            speaker.say("message", content=f"at {time.perf_counter()}")
        until = time.perf_counter() + 60
        while len(self.delays) < count * MEMBERS and time.perf_counter() < until:
            time.sleep(0.1)
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


# --- the guessers, in a process of their own --------------------------------------------------


def give_way() -> None:
    """On other machines they would take nothing of this one."""
    policy = os.sched_getscheduler(0)
    if policy in (os.SCHED_FIFO, os.SCHED_RR):  # as with chrt
        lowest = os.sched_param(os.sched_get_priority_min(policy))
        os.sched_setscheduler(0, policy, lowest)
    os.nice(5)


def attack(port: int, name: str, hosts: list[str]) -> dict[str, object]:
    """All guesses, `EACH` by a connection, which come at a random moment of their turn: else they would meet all messages
    of the room, or none. Returns how they were answered, and how long it took to send them.
    """
    give_way()
    moments = random.Random(name)
    selector, told, count = selectors.DefaultSelector(), Counter[str](), 0
    moment = moments.random()
    start = time.perf_counter()
    last = start
    while sum(told.values()) < GUESSES:
        due = start + SECONDS * (count + moment * EACH) / GUESSES
        if count < GUESSES and time.perf_counter() >= due:
            connect(port, hosts[count // EACH % len(hosts)], name, count, selector, told)  # fmt: skip
            count, moment = count + EACH, moments.random()
            last = time.perf_counter()
            continue
        if time.perf_counter() > last + 30:
            break  # they have all been sent, and nothing more is heard
        wait = due - time.perf_counter() if count < GUESSES else 1.0
        for key, _ in selector.select(max(0.0, wait)):
            hear(key, selector, told)
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
        time.sleep(0.01)
    return {"told": told, "seconds": last - start}


def connect(
    port: int, host: str, name: str, count: int,
    selector: selectors.BaseSelector, told: Counter[str],
) -> None:  # fmt: skip
    sock = socket.create_connection(("127.0.0.1", port), 60, (host, 0))
    selector.register(sock, selectors.EVENT_READ, [b""])
    guesses = [
        {"type": "login", "username": name, "password": f"wrong-guess-{count + n}"}
        for n in range(EACH)
    ]
    try:
        sock.sendall("".join(json.dumps(guess) + "\n" for guess in guesses).encode())
    except OSError:
        told["(closed)"] += 1


def hear(
    key: selectors.SelectorKey, selector: selectors.BaseSelector, told: Counter[str]
) -> None:
    sock: socket.socket = key.fileobj  # type: ignore[assignment]
    try:
        data = sock.recv(65_536)
    except OSError:
        data = b""
        told["(closed)"] += 1
    *lines, key.data[0] = (key.data[0] + data).split(b"\n")
    for line in lines:
        event = json.loads(line)
        told[event.get("code", event["type"])] += 1
    if not data:
        selector.unregister(sock)
        sock.close()


class Guessers:
    """That process, which waits for one attack."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.guesses", "--attack"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it is ready

    def begin(self, name: str, hosts: list[str]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([self.port, name, hosts]) + "\n")
        self.process.stdin.close()

    def result(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.read())
        self.process.wait()
        return told  # type: ignore[no-any-return]


def be_guessers() -> None:
    print("ready", flush=True)
    print(json.dumps(attack(*json.loads(sys.stdin.readline()))))


# --- the measurement ----------------------------------------------------------------------------


def right_person(port: int, name: str, host: str) -> tuple[float, int]:
    """How long it takes to get in, and how often one has to try."""
    start, tries = time.perf_counter(), 0
    while True:
        tries += 1
        connection = Connection(port, host)
        connection.say("login", username=name, password=PASSWORD)
        event = connection.until("account", "error", "goodbye")
        connection.sock.close()
        if event["type"] == "account":
            return time.perf_counter() - start, tries
        time.sleep(event.get("retry_after", 1.0))


def memory(pid: int) -> float:
    """In MiB."""
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * 4096 / 2**20


class Row(NamedTuple):
    p50: float  # milliseconds, as the others
    p99: float
    tick: float
    wait: float


class Server:
    """A server in a process of its own, and a room that chats there."""

    def __init__(self, file: Path, durability: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, file, durability],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.room = Room(self.port)

    def ask_ticks(self) -> tuple[float, float]:
        """The longest tick and the longest wait in one, since the last time, in milliseconds."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        tick, wait = self.process.stdout.readline().split()
        return float(tick) * 1000, float(wait) * 1000

    def row(self, title: str, name: str = "", hosts: list[str] | None = None) -> Row:
        """Measure for `SECONDS`, and print what was measured."""
        guessers = Guessers(self.port) if hosts else None
        found: list[tuple[float, int]] = []
        done, most = threading.Event(), [0.0]

        def watch() -> None:
            while not done.wait(0.01):
                most[0] = max(most[0], memory(self.process.pid))

        def come() -> None:
            time.sleep(SECONDS / 2)
            found.append(right_person(self.port, name, "127.250." + name[3:] + ".9"))

        threads = [threading.Thread(target=watch, daemon=True)]
        if guessers and hosts:
            threads.append(threading.Thread(target=come))
            guessers.begin(name, hosts)
        self.ask_ticks()
        for thread in threads:
            thread.start()
        delays = self.room.talk(SECONDS)
        for thread in threads[1:]:
            thread.join()
        tick, wait = self.ask_ticks()
        p50, p99 = (delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.99))
        result = guessers.result() if guessers else None
        time.sleep(1)
        done.set()
        now = memory(self.process.pid)
        print(f"{title:34} {p50:7.2f} {p99:7.2f} {tick:15.2f} {wait:15.2f} {now:6.1f} {most[0]:6.1f}", flush=True)  # fmt: skip
        if result:
            [(seconds, tries)] = found
            answers = dict(Counter(result["told"]).most_common())
            print(f"    sent in {result['seconds']:.1f} s, answers: {answers}")
            print(f"    the right person was in after {seconds:.2f} s, at try {tries}")
        return Row(p50, p99, tick, wait)


ATTACKS = {"1 address": 1, "100 addresses": 100}


def run_round(server: Server, number: int) -> list[Row]:
    rows = [server.row("in quiet")]
    for kind, (title, count) in enumerate(ATTACKS.items()):
        name = f"ann{2 * number + kind}"
        hosts = [
            f"127.{1 + 2 * number + kind}.{1 + n % 50}.{1 + n // 50}"
            for n in range(count)
        ]
        rows.append(server.row(f"{GUESSES} guesses from {title}", name, hosts))
        rows.append(server.row("in quiet"))
    return rows


def report(rounds: list[list[Row]]) -> None:
    middle = statistics.median
    for place, title in zip((1, 3), ATTACKS, strict=True):
        ratios = [
            rows[place].p99 / middle([rows[place - 1].p99, rows[place + 1].p99])
            for rows in rounds
        ]
        after = [rows[place + 1].p99 / rows[place - 1].p99 for rows in rounds]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{title}: p99 by the quiet around it {middle(ratios):.2f} ({each})")
        print(f"    the quiet after it by that before it {middle(after):.2f}")
        ticks = ", ".join(f"{rows[place].tick:.2f}" for rows in rounds)
        waits = ", ".join(f"{rows[place].wait:.2f}" for rows in rounds)
        print(f"    longest tick {ticks} ms; longest wait in one {waits} ms")
    calm = [row for rows in rounds for row in rows[::2]]
    quiet = [row.p99 for row in calm]
    print(f"in quiet: p99 {min(quiet):.2f} to {max(quiet):.2f} ms, the last by the first {quiet[-1] / quiet[0]:.2f}")  # fmt: skip
    tick, wait = max(row.tick for row in calm), max(row.wait for row in calm)
    print(f"    longest tick {tick:.2f} ms; longest wait in one {wait:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.guesses")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--durability", choices=["power", "process"], default="power")  # fmt: skip
    parser.add_argument("--folder", help="for the data file; one in memory, such as /dev/shm, takes the disk out of the measurement")  # fmt: skip
    parser.add_argument("--attack", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attack:
        return be_guessers()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = Path(folder) / "chat.db"
        for number in range(2 * options.rounds):
            command = [sys.executable, "-m", "python_tcp.accounts", "add", f"ann{number}", "--data", file]  # fmt: skip
            subprocess.run(command, input=PASSWORD + "\n", text=True, check=True)
        server = Server(file, options.durability)
        print(f"{'':34} {'p50 ms':>7} {'p99 ms':>7} {'longest tick ms':>15} {'longest wait ms':>15} {'MiB':>6} {'most':>6}")  # fmt: skip
        report([run_round(server, number) for number in range(options.rounds)])
        assert server.process.stdin is not None
        server.process.stdin.close()
        server.process.wait()


if __name__ == "__main__":
    main()
