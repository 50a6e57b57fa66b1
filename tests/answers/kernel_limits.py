"""Answers to the exercises of the chapter about the limits of the kernel."""

import errno
import select
import socket
import time
from typing import Any

from exercises import right, wrong

Pairs = list[tuple[int, bytes]]
Ordered = tuple[list[bytes], list[int]]
Lines = list[bytes]


@wrong("check_in_order", "expected ([b'0', b'1', b'2'], []), but got")
def as_they_come(datagrams: Pairs) -> Ordered:
    numbers = {number for number, _ in datagrams}
    missing = set(range(max(numbers, default=0))) - numbers
    return list(dict.fromkeys(data for _, data in datagrams)), sorted(missing)


@wrong("check_in_order", "The numbers arrive as [2]: expected ([b'2'], [0, 1])")
def from_the_lowest(datagrams: Pairs) -> Ordered:
    found = dict(datagrams)
    span = range(min(found, default=0), max(found, default=0))
    return [found[n] for n in sorted(found)], [n for n in span if n not in found]


@wrong("check_in_order", "The numbers arrive as [10, 9, 2]")
def sorted_by_text(datagrams: Pairs) -> Ordered:
    found = dict(datagrams)
    missing = [n for n in range(max(found, default=0)) if n not in found]
    return [found[n] for n in sorted(found, key=str)], missing


@right("check_in_order")
def with_a_set(datagrams: Pairs) -> Ordered:
    there = sorted(set(datagrams))
    numbers = {number for number, _ in there}
    highest = there[-1][0] if there else 0
    return [data for _, data in there], sorted(set(range(highest)) - numbers)


@right("check_in_order")
def one_by_one(datagrams: Pairs) -> Ordered:
    data: Lines = []
    missing: list[int] = []
    expected = 0
    for number, each in sorted(dict(datagrams).items()):
        missing += range(expected, number)
        data.append(each)
        expected = number + 1
    return data, missing


@wrong("check_still_there", "It says something else first", seconds=1.0)
def only_at_the_beginning(sock: socket.socket, limit: float, others: Lines) -> bool:
    sock.settimeout(limit)
    sock.sendall(b"ping\n")
    data = b""
    try:
        while b"\n" not in data:
            if not (more := sock.recv(100)):
                return False
            data += more
    except OSError:
        return False
    return data.startswith(b"pong\n")


@wrong("check_still_there", "It says `pongo`", seconds=1.0)
def anywhere(sock: socket.socket, limit: float, others: Lines) -> bool:
    end, data = time.monotonic() + limit, b""
    sock.sendall(b"ping\n")
    while (left := end - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0] or not (more := sock.recv(100)):
            return False
        data += more
        if b"pong" in data:
            others += data.partition(b"pong")[0].split(b"\n")[:-1]
            return True
    return False


@wrong("check_still_there", "It talks all the time", seconds=4.0)
def a_limit_for_each(sock: socket.socket, limit: float, others: Lines) -> bool:
    sock.settimeout(limit)
    sock.sendall(b"ping\n")
    try:
        with sock.makefile("rb") as file:
            for line in file:
                if line == b"pong\n":
                    return True
                if line.endswith(b"\n"):
                    others.append(line[:-1])
    except OSError:
        pass
    return False


@wrong("check_still_there", "It closes, with a limit of 3 s", seconds=3.0)
def an_end_is_an_error(sock: socket.socket, limit: float, others: Lines) -> bool:
    end, rest = time.monotonic() + limit, b""
    sock.sendall(b"ping\n")
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data = sock.recv(100)
        except TimeoutError:
            return False
        *lines, rest = (rest + data).split(b"\n")
        others += [line for line in lines if line != b"pong"]
        if b"pong" in lines or not data:
            return True
    return False


@right("check_still_there", seconds=1.5)
def byte_by_byte(sock: socket.socket, limit: float, others: Lines) -> bool:
    end, line = time.monotonic() + limit, b""
    sock.sendall(b"ping\n")
    while (left := end - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return False
        if not (byte := sock.recv(1)):
            return False
        if byte != b"\n":
            line += byte
        elif line == b"pong":
            return True
        else:
            others.append(line)
            line = b""
    return False


@right("check_still_there", seconds=1.5)
def without_blocking(sock: socket.socket, limit: float, others: Lines) -> bool:
    sock.setblocking(False)
    sock.send(b"ping\n")
    end, data = time.monotonic() + limit, b""
    while time.monotonic() < end:
        time.sleep(0.005)
        try:
            if not (more := sock.recv(4096)):
                return False
        except BlockingIOError:
            continue
        *lines, data = (data + more).split(b"\n")
        for line in lines:
            if line == b"pong":
                return True
            others.append(line)
    return False


FULL = (errno.EMFILE, errno.ENFILE)
GONE = (BlockingIOError, ConnectionAbortedError)


@wrong("check_take", "Ann has gone; take returned, or raised: expected None")
def only_one_kind(listener: Any, reserve: Any) -> Any:
    try:
        return listener.accept()[0]
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno not in FULL:
            raise
    return _turned_away(listener, reserve)


@wrong("check_take", "Another error; take returned, or raised")
def never_raises(listener: Any, reserve: Any) -> Any:
    try:
        return listener.accept()[0]
    except GONE:
        return None
    except OSError:
        return _turned_away(listener, reserve)


@wrong("check_take", "No descriptor, ann waits; what was called")
def keeps_the_visitor(listener: Any, reserve: Any) -> Any:
    try:
        return listener.accept()[0]
    except GONE:
        return None
    except OSError as error:
        if error.errno not in FULL:
            raise
    reserve.close()
    try:
        listener.accept()
    except GONE:
        pass
    finally:
        reserve.open()


@wrong("check_take", "The system's table is full; take returned, or raised")
def only_of_the_process(listener: Any, reserve: Any) -> Any:
    try:
        return listener.accept()[0]
    except GONE:
        return None
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    return _turned_away(listener, reserve)


@wrong("check_take", "No descriptor, then another error; what was called")
def without_finally(listener: Any, reserve: Any) -> Any:
    try:
        return listener.accept()[0]
    except GONE:
        return None
    except OSError as error:
        if error.errno not in FULL:
            raise
    reserve.close()
    try:
        listener.accept()[0].close()
    except GONE:
        pass
    reserve.open()


def _turned_away(listener: Any, reserve: Any) -> None:
    reserve.close()
    try:
        visitor, _ = listener.accept()
        visitor.close()
    except GONE:
        pass
    finally:
        reserve.open()


@right("check_take")
def in_two_functions(listener: Any, reserve: Any) -> Any:
    try:
        return listener.accept()[0]
    except OSError as error:
        if error.errno in FULL:
            return _turned_away(listener, reserve)
        if isinstance(error, GONE):
            return None
        raise


@right("check_take")
def twice_the_same(listener: Any, reserve: Any) -> Any:
    def accept() -> Any:
        try:
            return listener.accept()[0]
        except GONE:
            return None

    try:
        return accept()
    except OSError as error:
        if error.errno not in FULL:
            raise
    try:
        reserve.close()
        if visitor := accept():
            visitor.close()
    finally:
        reserve.open()


Steps = list[tuple[str, str | None]]
Queues = tuple[list[str], list[str], list[str]]


class _Queues:
    """Right, but for what its children say."""

    def __init__(self, backlog: int) -> None:
        self.most = backlog + 1
        self.first, self.second, self.accepted = (list[str]() for _ in range(3))

    def play(self, steps: Steps) -> Queues:
        for kind, name in steps:
            if name is None:
                self.accept()
            elif kind == "SYN":
                self.syn(name)
            else:
                self.ack(name)
        return self.first, self.second, self.accepted

    def syn(self, name: str) -> None:
        known = name in self.first + self.second + self.accepted
        if not known and len(self.second) < self.most:
            self.first.append(name)

    def ack(self, name: str) -> None:
        if name in self.first and len(self.second) < self.most:
            self.first.remove(name)
            self.second.append(name)

    def accept(self) -> None:
        if self.second:
            self.accepted.append(self.second.pop(0))


@wrong("check_queues", "SYN a, SYN b, SYN c, ACK a, ACK b, ACK c: expected ['c', 'ab'")
def acks_always_move(steps: Steps, backlog: int) -> Queues:
    class Queues(_Queues):
        def ack(self, name: str) -> None:
            if name in self.first:
                self.first.remove(name)
                self.second.append(name)

    return Queues(backlog).play(steps)


@wrong("check_queues", "SYN a, ACK a, SYN b, ACK b, SYN c: expected ['', 'ab', '']")
def syns_always_enter(steps: Steps, backlog: int) -> Queues:
    class Queues(_Queues):
        def syn(self, name: str) -> None:
            if name not in self.first + self.second + self.accepted:
                self.first.append(name)

    return Queues(backlog).play(steps)


@wrong("check_queues", "exception ended it, in")
def somebody_is_always_there(steps: Steps, backlog: int) -> Queues:
    class Queues(_Queues):
        def accept(self) -> None:
            self.accepted.append(self.second.pop(0))

    return Queues(backlog).play(steps)


@wrong("check_queues", "SYN a, SYN b, ACK b, ACK a: expected ['', 'ba', '']")
def in_the_order_of_the_syns(steps: Steps, backlog: int) -> Queues:
    class Queues(_Queues):
        def ack(self, name: str) -> None:
            super().ack(name)
            self.second.sort()

    return Queues(backlog).play(steps)


@wrong("check_queues", "SYN a, SYN a: expected ['a', '', '']")
def each_syn_is_a_client(steps: Steps, backlog: int) -> Queues:
    class Queues(_Queues):
        def syn(self, name: str) -> None:
            if len(self.second) < self.most:
                self.first.append(name)

    return Queues(backlog).play(steps)


@right("check_queues")
def as_an_object(steps: Steps, backlog: int) -> Queues:
    return _Queues(backlog).play(steps)


@right("check_queues")
def with_a_place_for_each(steps: Steps, backlog: int) -> Queues:
    """Where each client is, in the order in which it got there."""
    places = dict[str, int]()
    for kind, name in steps:
        inside = [client for client, place in places.items() if place == 1]
        room = len(inside) <= backlog
        if name is None:
            if inside:
                del places[inside[0]]
                places[inside[0]] = 2
        elif kind == "SYN" and room:
            places.setdefault(name, 0)
        elif kind == "ACK" and room and places.get(name) == 0:
            del places[name]
            places[name] = 1
    first, second, accepted = (
        [client for client, place in places.items() if place == each]
        for each in range(3)
    )
    return first, second, accepted
