"""A room of 100 people, half of them with IRC: how much slower is it than with JSON lines alone?

    python -m bench.mixed [--rounds 3] [--seconds 3]

Workload (a): each sends its next message when its own last one came back, on a server of its own for each run, on one
core, with the load on another. An IRC client hears its own words only with `echo-message`; without it, each waits for the
words of somebody who speaks JSON instead. Printed are the medians of the rounds: deliveries a second, and the server's CPU
time for each, and both by those of JSON alone.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time

from .__main__ import cores

MEMBERS = 100
SERVER = """
import sys
from python_tcp.chat_server import ChatServer
from python_tcp.languages import main_dialect
from python_tcp.limits import Limits
limits = Limits(flood_burst=0, connections_per_address=0)
with ChatServer(limits=limits, dialect=main_dialect()) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""
ECHO = b"CAP REQ :echo-message\r\nCAP END\r\n"
CASES = {  # how many have IRC, and whether those want an echo
    "JSON lines alone": (0, False),
    "half IRC, with echo-message": (MEMBERS // 2, True),
    "half IRC, without": (MEMBERS // 2, False),
}


class Member:
    """Somebody in the room: what it waits for, and what it says then."""

    def __init__(self, port: int, number: int, is_irc: bool, echo: bool) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        text = b"%04d-0000001 " % number + b"x" * 35
        self.own = b"%04d-" % number
        if is_irc:
            nick = b"NICK u%04d\r\nUSER x 0 * :x\r\n" % number
            self._hello, self._end = (ECHO if echo else b"") + nick, b" 366 "
            self.message = b"PRIVMSG #lobby :" + text + b"\r\n"
            if not echo:
                self.own = b"%04d-" % (number + MEMBERS // 2)
        else:
            self._hello = b'{"type":"join","username":"u%04d"}\n' % number
            self._end = b'"type":"users"'
            self.message = b'{"type":"message","content":"' + text + b'"}\n'

    def join(self) -> None:
        self.sock.sendall(self._hello)
        heard = b""
        while self._end not in heard:
            heard += self.sock.recv(65536)

    def drain(self) -> None:
        """Forget who has come since."""
        self.sock.setblocking(False)
        try:
            while self.sock.recv(1 << 20):
                pass
        except BlockingIOError:
            pass


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def talk(
    members: list[Member], selector: selectors.BaseSelector, seconds: float
) -> int:
    """Deliveries in so many seconds."""
    heard, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        for key, _ in selector.select(0.5):
            member: Member = key.data
            data = member.sock.recv(1 << 18)
            heard += data.count(b"0000001 ")
            if mine := data.count(member.own):
                member.sock.sendall(member.message * mine)
    return heard


def measure(irc: int, echo: bool, seconds: float) -> tuple[float, float]:
    """Deliveries a second, and microseconds of the server's CPU for each."""
    server_core, load_core = cores()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin and server.stdout
    try:
        if server_core is not None and load_core is not None:
            os.sched_setaffinity(server.pid, [server_core])
            os.sched_setaffinity(0, [load_core])
        port = int(server.stdout.readline())
        members = [Member(port, n, n < irc, echo) for n in range(MEMBERS)]
        for member in members:
            member.join()
        time.sleep(0.3)  # until all know of each other
        selector = selectors.DefaultSelector()
        for member in members:
            member.drain()
            selector.register(member.sock, selectors.EVENT_READ, member)
        for member in members:
            member.sock.sendall(member.message)
        talk(members, selector, 0.7)
        used, start = cpu_seconds(server.pid), time.perf_counter()
        heard = talk(members, selector, seconds)
        took, used = time.perf_counter() - start, cpu_seconds(server.pid) - used
        for member in members:
            member.sock.close()
        return heard / took, used / max(1, heard) * 1e6
    finally:
        server.stdin.close()
        server.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mixed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for _ in range(args.rounds):
        for name, (irc, echo) in CASES.items():
            found[name].append(measure(irc, echo, args.seconds))
    first = None
    for name, runs in found.items():
        rate, cost = (statistics.median(each) for each in zip(*runs, strict=True))
        first = first or (rate, cost)
        by = f"{rate / first[0]:.2f}", f"{cost / first[1]:.2f}"
        print(f"{name:30} {rate:12,.0f}/s ({by[0]})  {cost:.3f} us ({by[1]})")


if __name__ == "__main__":
    main()
