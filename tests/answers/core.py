"""Answers to the exercises of the chapter core."""

import socket
import time
from collections.abc import Iterable

from exercises import right, wrong

from python_tcp.core import KernelEntry


@wrong("check_forgotten", "port 8000: expected 0")
def all_ports(entries: list[KernelEntry], port: int) -> int:
    return sum(entry.state == "CLOSE_WAIT" for entry in entries)


@wrong("check_forgotten", "CLOSED")
def all_that_is_not_open(entries: list[KernelEntry], port: int) -> int:
    those = [entry for entry in entries if entry.local[1] == port]
    return sum(entry.state not in ("ESTABLISHED", "LISTEN") for entry in those)


@wrong("check_forgotten", "a client of port 8000")
def either_end(entries: list[KernelEntry], port: int) -> int:
    those = [each for each in entries if port in (each.local[1], each.remote[1])]
    return sum(entry.state == "CLOSE_WAIT" for entry in those)


@wrong("check_forgotten", "expected 2, but got True")
def whether(entries: list[KernelEntry], port: int) -> bool:
    return any(
        entry.state == "CLOSE_WAIT" and entry.local[1] == port for entry in entries
    )


@right("check_forgotten")
def set_of_pairs(entries: list[KernelEntry], port: int) -> int:
    return len(
        {
            (entry.local, entry.remote)
            for entry in entries
            if (entry.local[1], str(entry.state)) == (port, "CLOSE_WAIT")
        }
    )


@right("check_forgotten")
def counting(entries: list[KernelEntry], port: int) -> int:
    count = 0
    for local, _, state, *_ in entries:
        if local[1] == port and state == "CLOSE_WAIT":
            count += 1
    return count


@wrong("check_wait_for_port", "a server that listens after 0.2 s")
def until_the_first_error(host: str, port: int, limit: float) -> bool:
    try:
        socket.create_connection((host, port), timeout=limit).close()
        return True
    except OSError:
        time.sleep(limit)
        return False


@wrong("check_wait_for_port", "the connection is not closed")
def with_an_open_end(host: str, port: int, limit: float) -> bool:
    kept.append(socket.create_connection((host, port), timeout=limit))
    return True


kept: list[socket.socket] = []


@wrong("check_wait_for_port", "whether it slept in between")
def without_sleep(host: str, port: int, limit: float) -> bool:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), timeout=limit).close()
            return True
        except OSError:
            pass
    return False


@wrong("check_wait_for_port", "whether it gave up in 2 s")
def without_a_limit_on_connecting(host: str, port: int, limit: float) -> bool:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), timeout=4).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


@wrong("check_wait_for_port", "exception ended it")
def with_bind(host: str, port: int, limit: float) -> bool:
    with socket.socket() as sock:
        sock.bind((host, port))
    return True


@right("check_wait_for_port")
def with_connect_ex(host: str, port: int, limit: float) -> bool:
    start = time.monotonic()
    while time.monotonic() - start < limit:
        with socket.socket() as sock:
            sock.settimeout(limit)
            if sock.connect_ex((host, port)) == 0:
                return True
        time.sleep(0.01)
    return False


@right("check_wait_for_port")
def recursively(host: str, port: int, limit: float) -> bool:
    start = time.monotonic()
    if limit <= 0:
        return False
    try:
        socket.create_connection((host, port), timeout=limit).close()
    except OSError:
        time.sleep(0.05)
        return recursively(host, port, limit - (time.monotonic() - start))
    return True


@wrong("check_goodbye", "what the peer")
def only_close(sock: socket.socket) -> bytes:
    sock.close()
    return b""


@wrong("check_goodbye", "no end: it was not told that nothing more comes")
def without_shutdown(sock: socket.socket) -> bytes:
    with sock:
        return b"".join(iter(lambda: sock.recv(1000), b""))


@wrong("check_goodbye", "what the peer said after it")
def a_sleep_and_one_recv(sock: socket.socket) -> bytes:
    with sock:
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
        return sock.recv(10_000_000)


@wrong("check_goodbye", "descriptor at the end")
def left_open(sock: socket.socket) -> bytes:
    sock.shutdown(socket.SHUT_WR)
    return b"".join(iter(lambda: sock.recv(1000), b""))


@right("check_goodbye")
def with_a_loop(sock: socket.socket) -> bytes:
    sock.shutdown(socket.SHUT_WR)
    heard = b""
    while data := sock.recv(65_536):
        heard += data
    sock.close()
    return heard


@right("check_goodbye")
def with_a_file(sock: socket.socket) -> bytes:
    with sock, sock.makefile("rb") as file:
        sock.shutdown(socket.SHUT_WR)
        return file.read()


Address = tuple[str, int]


def _asked(
    address: Address, question: bytes, pauses: Iterable[float], any_sender: bool = False
) -> bytes | None:
    """For each pause ask, and wait so long for an answer."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for pause in pauses:
            sock.sendto(question, address)
            end = time.monotonic() + pause
            while (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    answer, sender = sock.recvfrom(65_536)
                except TimeoutError:
                    break
                if any_sender or sender == address:
                    return answer
    return None


@wrong("check_ask_until", "expected [b'42']")
def takes_anything(address: Address, question: bytes, limit: float) -> bytes | None:
    return _asked(address, question, [limit] * 5, any_sender=True)


@wrong("check_ask_until", "the questions to a server that does not hear the first 2")
def asks_once(address: Address, question: bytes, limit: float) -> bytes | None:
    return _asked(address, question, [limit])


@wrong(
    "check_ask_until",
    "the questions to a server that does not hear the first 9",
    seconds=2,
)
def asks_for_ever(address: Address, question: bytes, limit: float) -> bytes | None:
    return _asked(address, question, [limit] * 20)


@wrong("check_ask_until", "whether it waits 0.3 s five times")
def is_in_a_hurry(address: Address, question: bytes, limit: float) -> bytes | None:
    return _asked(address, question, [limit / 5] * 5)


@wrong("check_ask_until", "while a stranger writes all the time", seconds=8)
def begins_to_wait_anew(
    address: Address, question: bytes, limit: float
) -> bytes | None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(limit)
        for _ in range(5):
            sock.sendto(question, address)
            try:
                answer, sender = sock.recvfrom(100)
                while sender != address:
                    answer, sender = sock.recvfrom(100)
                return answer
            except TimeoutError:
                pass
    return None


@right("check_ask_until", seconds=4)
def as_in_the_book(address: Address, question: bytes, limit: float) -> bytes | None:
    return _asked(address, question, [limit] * 5)


@right("check_ask_until", seconds=4)
def connected(address: Address, question: bytes, limit: float) -> bytes | None:
    """A connected UDP socket hears its peer only."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.settimeout(limit)
        for _ in range(5):
            sock.send(question)
            try:
                return sock.recv(100)
            except TimeoutError:
                continue
    return None


@wrong("check_ask_until", "expected [b'forty-two']", seconds=2)
def only_the_number(address: Address, question: bytes, limit: float) -> bytes | None:
    answer = _asked(address, question, [limit] * 5)
    return answer if answer == b"42" else None


@wrong("check_ask_until", "the questions", seconds=5)
def a_stranger_uses_up_a_try(
    address: Address, question: bytes, limit: float
) -> bytes | None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(limit)
        for _ in range(5):
            sock.sendto(question, address)
            try:
                answer, sender = sock.recvfrom(100)
            except TimeoutError:
                continue
            if sender == address:
                return answer
    return None
