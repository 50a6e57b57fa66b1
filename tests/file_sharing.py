"""What the tests of files share: a chat server with files, behind a proxy for the bytes, and an HTTP server that lies."""

import hashlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers import Listener
from proxy import Cut, Proxy
from waiting import LIMIT, wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.events import Message, SharedFile
from python_tcp.files import FileSharing
from python_tcp.limits import Limits


def some_bytes(size: int, seed: int = 1) -> bytes:
    """Always the same ones."""
    return random.Random(seed).randbytes(size)


class FileChat:
    """A chat with files, whose bytes go through a proxy."""

    def __init__(self, folder: Path, most: int = 10**9, **options: object) -> None:
        self.proxy = Proxy(("127.0.0.1", 0))
        self.sharing = FileSharing(folder, url=f"http://127.0.0.1:{self.proxy.port}")
        unlimited = {"flood_burst": 0, "connections_per_address": 0}
        limits = Limits(**unlimited, file_bytes=most)
        self.server = ChatServer(limits=limits, **options)
        self._people: list[Listener] = []

    def cuts(self, *plan: Cut | None) -> None:
        """The first connections for files are cut like this; the others live."""
        left = list(plan)
        self.proxy.plan = lambda: left.pop(0) if left else None

    def person(self, name: str, room: str = "lobby") -> Listener:
        person = Listener(name)
        assert person.connect(self.server.host, self.server.port) and person.join(room)
        self._people.append(person)
        return person

    def __enter__(self) -> "FileChat":
        self.sharing.attach(self.server)
        self.proxy.target = ("127.0.0.1", self.sharing._server.port)
        self.server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for person in self._people:
            person.leave(timeout=5)
        self.server.stop()
        self.sharing.stop()
        self.proxy.close()


def only_paused(files: FileChat) -> None:
    """From now on, a file gets half a megabyte far, and no further."""

    def plan() -> Cut:
        files.proxy.refusing = True
        return Cut(500_000, upward=False, reset=False)

    files.proxy.plan = plan


def heard_file(person: Listener, name: str = "") -> SharedFile:
    """The file with this name that somebody has shared; waits for it."""

    def found() -> SharedFile | None:
        files = [each.file for each in person.events if isinstance(each, Message)]
        return next((file for file in files if file and name in file.name), None)

    return wait_until(found)


def shared(data: bytes, url: str, name: str = "cat.jpg") -> SharedFile:
    return SharedFile(7, name, len(data), hashlib.sha256(data).hexdigest(), url)


@contextmanager
def answering(*answers: bytes | Callable[[str], bytes]) -> Iterator[tuple[str, list]]:
    """An HTTP server that gives these answers, one for each connection, whatever is asked: its address, and the requests so far."""
    listener, seen = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        for answer in answers:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                client.settimeout(LIMIT)
                head = b"".join(iter(lines.readline, b"\r\n")).decode()
                seen.append(head)
                try:
                    client.sendall(answer(head) if callable(answer) else answer)
                except OSError:  # whoever has asked wants no more
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/cat.jpg", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(LIMIT)


def reply(status: str, body: bytes = b"", *headers: str, size: int = -1) -> bytes:
    """An HTTP answer; `size`: what it claims to have, by default what it has."""
    size = len(body) if size < 0 else size
    head = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(head).encode() + body
