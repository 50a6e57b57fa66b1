"""Answers to the exercises of the chapter proxy."""

import socket
from collections.abc import Callable
from typing import Any

from exercises import right, wrong

from python_tcp.proxy import _reset

Report = dict[str, tuple[int, int, str]]
Record = Callable[[bytes | None], Any]
Chunk = Callable[[bytes | None], None]


class _Totals:
    """Right, but for what its children change."""

    def __init__(self) -> None:
        self.bytes: dict[str, list[int]] = {}
        self.ends: dict[str, set[int]] = {}
        self.broken: set[str] = set()

    def opened(self, name: str) -> tuple[Chunk, Chunk]:
        self.bytes.setdefault(name, [0, 0])
        self.ends[name] = set()
        self.broken.discard(name)
        return lambda chunk: self.take(name, 0, chunk), lambda c: self.take(name, 1, c)

    def take(self, name: str, way: int, chunk: bytes | None) -> None:
        if chunk is None:
            self.broken.add(name)
        elif chunk == b"":
            self.ends[name].add(way)
        else:
            self.bytes[name][way] += len(chunk)

    def end(self, name: str) -> str:
        if name in self.broken:
            return "reset"
        return "closed" if len(self.ends[name]) == 2 else "open"

    def report(self) -> Report:
        return {name: (n[0], n[1], self.end(name)) for name, n in self.bytes.items()}


@wrong("check_totals", "ann sent b''")
class ClosedAtOnce(_Totals):
    def end(self, name: str) -> str:
        if name in self.broken:
            return "reset"
        return "closed" if self.ends[name] else "open"


@wrong("check_totals", "ann is here again")
class BeginsAnew(_Totals):
    def opened(self, name: str) -> tuple[Chunk, Chunk]:
        self.bytes[name] = [0, 0]
        return super().opened(name)


@wrong("check_totals", "bob sent 100 bytes, and got a RST")
class ResetIsClosed(_Totals):
    def take(self, name: str, way: int, chunk: bytes | None) -> None:
        super().take(name, way, b"" if chunk is None else chunk)


@wrong("check_totals", "the server sent b'hi'")
class OneSum(_Totals):
    def take(self, name: str, way: int, chunk: bytes | None) -> None:
        super().take(name, 0, chunk)


@wrong("check_totals", "ann sent b'!'")
class CountsEnds(_Totals):
    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}

    def take(self, name: str, way: int, chunk: bytes | None) -> None:
        super().take(name, way, chunk)
        if chunk == b"":
            self.count[name] = self.count.get(name, 0) + 1
        if self.count.get(name) == 2:
            self.ends[name] = {0, 1}


@wrong("check_totals", "carol, who came before dan")
class OneForAll(_Totals):
    def opened(self, name: str) -> tuple[Chunk, Chunk]:
        self.last = name
        return super().opened(name)

    def take(self, name: str, way: int, chunk: bytes | None) -> None:
        super().take(self.last, way, chunk)


@right("check_totals")
class InParts(_Totals):
    pass


@right("check_totals")
class OneRecord:
    def __init__(self) -> None:
        self.totals: dict[str, dict[str, Any]] = {}

    def opened(self, name: str) -> tuple[Chunk, Chunk]:
        total = self.totals.setdefault(name, {"out": 0, "back": 0})
        total |= {"left": ["out", "back"], "end": "open"}

        def of(way: str) -> Chunk:
            def take(chunk: bytes | None) -> None:
                if chunk is None:
                    total["end"] = "reset"
                elif chunk:
                    total[way] += len(chunk)
                else:
                    total["left"] = [each for each in total["left"] if each != way]
                    total["end"] = total["end"] if total["left"] else "closed"

            return take

        return of("out"), of("back")

    def report(self) -> Report:
        return {n: (t["out"], t["back"], t["end"]) for n, t in self.totals.items()}


@wrong("check_pump_all", "Whether the target is open")
def closes(source: socket.socket, target: socket.socket, record: Record) -> None:
    try:
        while chunk := source.recv(100):
            record(chunk)
            target.sendall(chunk)
        record(b"")
    except ConnectionResetError:
        record(None)
        _reset(target)
    target.close()


@wrong("check_pump_all", "in line `while chunk := source.recv(100)")
def passes_no_reset(
    source: socket.socket, target: socket.socket, record: Record
) -> None:
    while chunk := source.recv(100):
        record(chunk)
        target.sendall(chunk)
    record(b"")
    target.shutdown(socket.SHUT_WR)


@wrong("check_pump_all", "Then a shutdown; the server got")
def passes_no_end(source: socket.socket, target: socket.socket, record: Record) -> None:
    try:
        while chunk := source.recv(100):
            record(chunk)
            target.sendall(chunk)
        record(b"")
    except ConnectionResetError:
        record(None)
        _reset(target)


@wrong("check_pump_all", "Then a RST; the server got")
def a_reset_is_an_end(
    source: socket.socket, target: socket.socket, record: Record
) -> None:
    try:
        while chunk := source.recv(100):
            record(chunk)
            target.sendall(chunk)
        record(b"")
    except ConnectionResetError:
        record(None)
    target.shutdown(socket.SHUT_WR)


@wrong("check_pump_all", "what was recorded at last")
def records_no_end(
    source: socket.socket, target: socket.socket, record: Record
) -> None:
    try:
        while chunk := source.recv(100):
            record(chunk)
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except ConnectionResetError:
        _reset(target)


@wrong("check_pump_all", "the server got")
def waits_for_the_end(
    source: socket.socket, target: socket.socket, record: Record
) -> None:
    data = b""
    source.settimeout(None)
    while chunk := source.recv(100):
        data += chunk
    record(data)
    target.sendall(data)


@right("check_pump_all")
def step_by_step(source: socket.socket, target: socket.socket, record: Record) -> None:
    while True:
        try:
            chunk = source.recv(65_536)
        except ConnectionResetError:
            record(None)
            return _reset(target)
        record(chunk)
        if not chunk:
            return target.shutdown(socket.SHUT_WR)
        target.sendall(chunk)


@right("check_pump_all")
def a_byte_at_a_time(
    source: socket.socket, target: socket.socket, record: Record
) -> None:
    try:
        for byte in iter(lambda: source.recv(1), b""):
            target.sendall(byte)
            record(byte)
    except OSError:
        record(None)
        _reset(target)
        return
    target.shutdown(socket.SHUT_WR)
    record(b"")
