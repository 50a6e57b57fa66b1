"""A large file is sent and fetched while a room chats: what do the others notice of it?

    python -m bench.files [--size 1024] [--rounds 3] [--folder FOLDER] [--tls]

A server in a process of its own, with a data file and a folder for files. In a room, one of 20 members says something
every 20 ms, and all note when they hear it. A round is that in quiet, while a file of `--size` MiB is sent to the room,
in quiet, while it is fetched, and in quiet. Who carries the file is a third process, which goes as fast as it can, gives
way to the server and the room as another machine would, and cuts its connection twice on the way, with a RST: it asks
how far the file is, and goes on there.

Each transfer is compared with the quiet before and after it; of the rounds, the medians are printed. Also the memory of
the server, before the first transfer and at most, and whether the SHA-256 is right on both sides.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from .guesses import Connection, Room, give_way, memory

BLOCK, QUIET = 1_048_576, 5.0

SERVER = """
import sys
from python_tcp.chat_server import ChatServer
from python_tcp.files import FileSharing
from python_tcp.limits import Limits
sharing = FileSharing(sys.argv[1] + "/files")
server = ChatServer(data=sys.argv[1] + "/chat.db", limits=Limits(file_bytes=2**40, file_bytes_per_person=2**40, file_bytes_per_room=2**40, file_bytes_in_all=2**40))
sharing.attach(server)
server.start()
print(server.port, flush=True)
sys.stdin.read()
server.stop()
sharing.stop()
"""


# --- who carries the file, in a process of its own ------------------------------------------------


def blocks(count: int, first: int = 0) -> Iterator[bytes]:
    """Those of the file, from one of them on."""
    block = bytearray(hashlib.shake_128(b"a file").digest(BLOCK))
    for number in range(first, count):
        struct.pack_into("!Q", block, 0, number)
        yield bytes(block)


def digest_of(count: int) -> str:
    whole = hashlib.sha256()
    for block in blocks(count):
        whole.update(block)
    return whole.hexdigest()


def cut(connection: http.client.HTTPConnection) -> None:
    """As if the cable was pulled, and the other side hears of it."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.sock.close()
    connection.close()


def ask(url: str, method: str, headers: dict[str, str]) -> http.client.HTTPConnection:
    where = urlsplit(url)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    connection.putrequest(method, where.path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


def send(url: str, count: int) -> str:
    """Returns what the last answer says."""
    for stop in (count // 3, 2 * count // 3, count):
        head = ask(url, "HEAD", {})
        have = int(head.getresponse().headers["Upload-Offset"])
        head.close()
        fields = {
            "Upload-Offset": str(have),
            "Content-Length": str(count * BLOCK - have),
        }
        connection = ask(url, "PATCH", fields)
        first, skip = divmod(have, BLOCK)
        for number, block in enumerate(blocks(count, first), first):
            if number == stop:
                break
            connection.send(block[skip:])
            skip = 0
        if stop < count:
            cut(connection)
    response = connection.getresponse()
    return response.headers.get("Upload-Complete", "") or response.read().decode()


def fetch(url: str, count: int) -> str:
    """Returns the SHA-256 of what has come."""
    whole, have, block = hashlib.sha256(), 0, bytearray(BLOCK)
    for stop in (count // 3, 2 * count // 3, count):
        connection = ask(url, "GET", {"Range": f"bytes={have}-"})
        response = connection.getresponse()
        while have < stop * BLOCK and (size := response.readinto(block)):
            whole.update(memoryview(block)[:size])
            have += size
        cut(connection)
    return whole.hexdigest()


def be_carrier() -> None:
    give_way()
    url, count = json.loads(sys.stdin.readline())
    start = time.perf_counter()
    said = send(url, count) if "/uploads/" in url else fetch(url, count)
    print(json.dumps([said, time.perf_counter() - start]))


# --- the measurement ----------------------------------------------------------------------------


class Row(NamedTuple):
    p50: float  # milliseconds
    p99: float


def row(delays: list[float]) -> Row:
    delays.sort()
    return Row(delays[len(delays) // 2] * 1000, delays[len(delays) * 99 // 100] * 1000)


class Measured(NamedTuple):
    quiet: Row
    busy: Row
    seconds: float  # that the transfer took
    said: str


class Server:
    """A server in a process of its own, a room that chats there, and somebody with a file."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.room = Room(self.port)
        self.sender = Connection(self.port, "127.0.0.1")
        self.sender.say("join", username="sender", room="files")
        self.sender.until("welcome")
        self.most = 0.0  # MiB

    def carry(self, url: str, count: int) -> Measured:
        """The room chats before, meanwhile, and afterwards."""
        before = self.room.talk(QUIET)
        carrier = subprocess.Popen(
            [sys.executable, "-m", "bench.files", "--carry"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert carrier.stdin is not None and carrier.stdout is not None
        carrier.stdin.write(json.dumps([url, count]) + "\n")
        carrier.stdin.close()
        busy: list[float] = []
        while carrier.poll() is None:
            busy += self.room.talk(0.5)
            self.sender.say("ping")  # still here
            self.most = max(self.most, memory(self.process.pid))
        said, seconds = json.loads(carrier.stdout.read())
        after = self.room.talk(QUIET)
        return Measured(row(before + after), row(busy), seconds, said)

    def end(self) -> None:
        self.process.communicate()


def one_round(server: Server, number: int, count: int, digest: str) -> list[Measured]:
    size = count * BLOCK
    offer = {"id": number, "name": f"{number}.bin", "size": size, "sha256": digest}
    server.sender.say("offer_file", **offer)
    sent = server.carry(server.sender.until("upload")["url"], count)
    assert sent.said == "?1", sent.said
    message = server.sender.until("message")
    fetched = server.carry(message["file"]["url"], count)
    assert fetched.said == digest, "the file is another one"
    server.sender.say("delete", seq=message["seq"])
    return [sent, fetched]


def print_table(rounds: list[list[Measured]], count: int) -> None:
    print(
        "| the file is | p50 in ms, quiet | p99 in ms, quiet | p50, meanwhile | p99, meanwhile | p99 × | MB/s |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, those in zip(("sent", "fetched"), zip(*rounds)):
        speed = statistics.median(count * BLOCK / each.seconds / 1e6 for each in those)
        ratio = statistics.median(each.busy.p99 / each.quiet.p99 for each in those)
        quiet, busy = (
            [statistics.median(values) for values in zip(*rows)]
            for rows in ([each.quiet for each in those], [each.busy for each in those])
        )
        figures = [*quiet, *busy]
        cells = " | ".join(f"{value:.2f}" for value in figures)
        print(f"| {name} | {cells} | {ratio:.2f} | {speed:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.files")
    parser.add_argument("--size", type=int, default=1024, metavar="MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are kept")
    parser.add_argument("--carry", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.carry:
        return be_carrier()
    digest = digest_of(given.size)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        server = Server(Path(folder))
        try:
            server.room.talk(QUIET)  # the first pages and caches are not measured
            before, count = memory(server.process.pid), given.size
            rounds = [
                one_round(server, number, count, digest)
                for number in range(given.rounds)
            ]
        finally:
            server.end()
    print_table(rounds, given.size)
    print(
        f"\nThe server's memory: {before:.1f} MiB before, {server.most:.1f} MiB at most."
    )
    print(
        f"{2 * given.rounds} transfers of {given.size} MiB, each cut twice; each SHA-256 was right."
    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end.")
    return None


if __name__ == "__main__":
    main()
