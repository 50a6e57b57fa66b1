"""A Redis of their own for tests: on a free port, with a folder of its own, and surely stopped."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from waiting import wait_until

PROGRAM = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="redis-server is missing")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class RedisServer:
    """A real redis-server that writes each command to its disk before it answers."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port, self._folder, self._options = free_port(), folder, options
        self._process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> "RedisServer":
        """Start it, with what it has on its disk, and wait until it answers."""
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder]
        keeps = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self._process = subprocess.Popen(
            [PROGRAM, *where, *keeps, *self._options], stdout=subprocess.DEVNULL
        )
        wait_until(self.answers)
        return self

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                sock.sendall(b"PING\r\n")
                first = sock.recv(1)
                return first == b"+" or first == b"-" and self._wants_password(sock)
        except OSError:
            return False

    def _wants_password(self, sock: socket.socket) -> bool:
        return sock.recv(100).startswith(b"NOAUTH")

    def ask(self, *words: str) -> bytes:
        """The first bytes of its answer."""
        line = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(f"*{len(words)}\r\n{line}".encode())
            return sock.recv(65_536)

    def pause(self) -> None:
        """From now on it reads nothing, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """As kill -9 does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "RedisServer":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
