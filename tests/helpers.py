"""What the tests of the chat share: waiting with a limit, and a client that is nothing but a socket."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from python_tcp.chat_client import ChatClient
from python_tcp.chat_session import ClientEvent
from waiting import LIMIT, wait_until


def cpu_time(pid: int) -> float:
    """The seconds of CPU time that a process has used; only Linux tells."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100  # USER_HZ, proc(5)


def runs(pid: int) -> bool:
    """Is this a process that has not ended? One that has is there until its parent asks for its exit code."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class LineClient:
    """A raw TCP connection that sends bytes and reads lines. No call lasts longer than `limit` seconds."""

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        limit: float = LIMIT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sock = socket.create_connection((host, port), timeout=limit)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self._file = self.sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def say(self, type: str, **fields: object) -> None:
        """Send one JSON line."""
        self.send(json.dumps({"type": type, **fields}).encode() + b"\n")

    def line(self) -> bytes:
        """The next line, with its newline; empty at the end of the stream."""
        return self._file.readline()

    def read(self) -> dict:
        """The next line, which is there and is JSON."""
        line = self.line()
        assert line.endswith(b"\n"), f"the stream ended with {line!r}"
        return json.loads(line)

    def read_until(self, type: str, **fields: object) -> dict:
        """The next event of this type with these fields; what comes before it is dropped."""
        while not (event := self.read()).items() >= {"type": type, **fields}.items():
            pass
        return event

    def read_all(self) -> list[dict]:
        """All events up to the end of the stream."""
        return [json.loads(line) for line in iter(self.line, b"")]

    def join(self, username: str, room: str = "lobby") -> "LineClient":
        """A ping may come first: the server asks whoever is silent, and so a test that had no turn."""
        self.say("join", username=username, room=room)
        types = (event["type"] for event in iter(self.read, None))
        told = (each for each in types if each != "ping")
        assert [next(told), next(told)] == ["welcome", "users"]
        return self

    def finish(self) -> None:
        """Send no more; go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._file.close()
        self.sock.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def __enter__(self) -> "LineClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Listener(ChatClient):
    """A chat client that keeps what it is told and what it shows."""

    def __init__(self, username: str, **options: float) -> None:
        super().__init__(username, **options)
        self.events: list[ClientEvent] = []
        self.lines: list[str] = []
        self.set_event_callback(self.events.append)
        self.set_message_callback(self.lines.append)


class Program:
    """A command of `python_tcp.chat_app` as a real process, whose output is collected line by line."""

    def __init__(
        self, entry: str, *arguments: object, stdin: int = subprocess.PIPE, folder: Path | None = None
    ) -> None:  # fmt: skip
        code = f"import sys; from python_tcp.chat_app import {entry} as main; sys.exit(main())"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="surrogateescape", cwd=folder,
        )  # fmt: skip
        self.lines: list[str] = []
        self.errors: list[str] = []
        pipes = [(self.process.stdout, self.lines), (self.process.stderr, self.errors)]
        self._readers = [
            threading.Thread(target=self._read, args=pipe, daemon=True)
            for pipe in pipes
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(pipe: IO[str], lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))

    def type(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def expect(self, line: str) -> None:
        """Wait until it has printed this line."""
        wait_until(lambda: line in self.lines)

    def end(
        self, number: int | None = None, limit: float = LIMIT
    ) -> tuple[int, list[str]]:
        """Send the signal, if any, and wait for the end: the exit status, and what was written to stderr."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(limit)
        for reader in self._readers:
            reader.join(limit)
        return status, self.errors

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(LIMIT)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # it died with input unread
                    pass
