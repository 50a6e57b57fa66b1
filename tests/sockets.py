"""What the tests of loop, server and client share: plain peers, and a look at what is still open."""

import gc
import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from waiting import LIMIT, wait_until


def dial(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A plain socket, connected."""
    return socket.create_connection((host, port), timeout=LIMIT)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two TCP sockets that are connected with each other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = dial(listener.getsockname()[1])
        return one, listener.accept()[0]


def kept_port() -> socket.socket:
    """A port that the system gives to nobody else while this socket is open. Who connects to it is
    refused; a server that is told its number can listen on it."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """The next `size` bytes; fewer only where the connection ends."""
    data = bytearray()
    while len(data) < size and (chunk := sock.recv(size - len(data))):
        data += chunk
    return bytes(data)


def read_all(sock: socket.socket, size: int = 65_536) -> bytes:
    """Everything until the other end closes."""
    return b"".join(iter(lambda: sock.recv(size), b""))


def reset(sock: socket.socket) -> None:
    """Close `sock` with a RST instead of a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def open_files() -> int:
    """How many descriptors this process has; 0 where the system does not tell."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture
def nothing_left_over() -> Iterator[None]:
    """Fails a test that leaves a thread or a file descriptor behind."""
    gc.collect()
    threads, files = set(threading.enumerate()), open_files()
    yield
    wait_until(lambda: set(threading.enumerate()) <= threads)
    wait_until(lambda: open_files() <= files)
