"""Answers to the exercises of the chapter about the limits of the kernel."""

import select
import socket
import time

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
