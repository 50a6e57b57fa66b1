"""The other end of a chat client's links, played by hand."""

import socket
from collections.abc import Iterator

import pytest
from sockets import nothing_left_over  # noqa: F401
from waiting import LIMIT

from python_tcp.protocol import Message, Welcome, encode

HELLO = Welcome("ann", "lobby", "Hi.", 0, "e", "t" * 20)
SAID = Message("lobby", 1, "bob", "hello", 0.0)


class Server:
    """The other end of one link after the other."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT)
        self.address = self.listener.getsockname()
        self.sock: socket.socket | None = None

    def accept(self) -> None:
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(LIMIT)
        self.lines = self.sock.makefile("rb")

    def say(self, *events: object) -> None:
        self.sock.sendall(b"".join(map(encode, events)))

    def hang_up(self) -> None:
        if self.sock is not None:
            self.lines.close()
            self.sock.close()

    def close(self) -> None:
        self.hang_up()
        self.listener.close()


@pytest.fixture
def server(nothing_left_over: None) -> Iterator[Server]:  # noqa: F811
    server = Server()
    yield server
    server.close()
