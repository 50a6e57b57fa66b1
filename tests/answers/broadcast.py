"""Answers to the exercises of the chapter broadcast."""

import queue
import select
import socket
import socketserver
import threading
from collections import deque
from contextlib import suppress
from typing import Any

from exercises import right, wrong

from python_tcp.broadcast import BroadcastRoom, BroadcastServer, Member


@wrong("check_shown", "'/menu, please'")
def by_the_beginning(name: str, text: str) -> str:
    return f"* {name}{text[3:]}" if text.startswith("/me") else f"{name}: {text}"


@wrong("check_shown", "'say /me waves'")
def anywhere(name: str, text: str) -> str:
    if "/me " in text:
        return f"* {name} {text.replace('/me ', '')}"
    return f"{name}: {text}"


@wrong("check_shown", "'/me': expected 'ann: /me'")
def also_alone(name: str, text: str) -> str:
    command, _, rest = text.partition(" ")
    return f"* {name} {rest}" if command == "/me" else f"{name}: {text}"


@wrong("check_shown", "ann typed 'Hello': expected 'ann: Hello', but got None")
def printed(name: str, text: str) -> None:
    f"{name}: {text}"


@right("check_shown")
def with_partition(name: str, text: str) -> str:
    command, _, rest = text.partition(" ")
    return f"* {name} {rest}" if command == "/me" and rest else f"{name}: {text}"


@right("check_shown")
def with_match(name: str, text: str) -> str:
    match text.split(" ", 1):
        case ["/me", rest] if rest:
            return f"* {name} {rest}"
    return f"{name}: {text}"


Lock = Any


@wrong("check_take", "they got: expected [False, True], but got [True, True]")
def without_a_lock(names: set[str], lock: Lock, name: str) -> bool:
    before = len(names)
    names.add(name)
    return len(names) > before


OWN = threading.Lock()


@wrong("check_take", "While we held the lock, it took cleo")
def with_a_lock_of_its_own(names: set[str], lock: Lock, name: str) -> bool:
    with OWN:
        if name in names:
            return False
        names.add(name)
        return True


@wrong("check_take", "has returned after 2 s", 2)
def takes_it_twice(names: set[str], lock: Lock, name: str) -> bool:
    with lock:
        if name in names:
            return False
        with lock:
            names.add(name)
        return True


@wrong("check_take", "The lock is held afterwards")
def keeps_it(names: set[str], lock: Lock, name: str) -> bool:
    lock.acquire()
    if name in names:
        lock.release()
        return False
    names.add(name)
    if name == "ann":
        lock.release()
    return True


@wrong("check_take", "exception ended it, in")
def another_collection(names: set[str], lock: Lock, name: str) -> bool:
    with lock:
        names.append(name)  # type: ignore[attr-defined]
    return True


@right("check_take")
def by_the_size(names: set[str], lock: Lock, name: str) -> bool:
    with lock:
        before = len(names)
        names.add(name)
        return len(names) != before


@right("check_take")
def acquired(names: set[str], lock: Lock, name: str) -> bool:
    lock.acquire()
    try:
        free = name not in names
        names |= {name}
        return free
    finally:
        lock.release()


@wrong("check_latest", "put 4 to 8; take")
class TheFirst:
    """It keeps the oldest ones."""

    def __init__(self, limit: int) -> None:
        self.lines: queue.Queue[bytes] = queue.Queue(limit)
        self.lost = 0

    def put(self, line: bytes) -> None:
        try:
            self.lines.put_nowait(line)
        except queue.Full:
            self.lost += 1

    def take(self) -> list[bytes]:
        note = [b"(%d lines left out)" % self.lost] * bool(self.lost)
        self.lost = 0
        return note + [self.lines.get() for _ in range(self.lines.qsize())]


@wrong("check_latest", "it keeps more than the limit")
class CutsWhenItIsTaken:
    def __init__(self, limit: int) -> None:
        self.limit, self.lines = limit, list[bytes]()

    def put(self, line: bytes) -> None:
        self.lines.append(line)

    def take(self) -> list[bytes]:
        lost = max(0, len(self.lines) - self.limit)
        note = [b"(%d lines left out)" % lost] * bool(lost)
        lines, self.lines = self.lines[-self.limit :], []
        return note + lines


@wrong("check_latest", "expected [b'(4 lines left out)', b'8']")
class AlwaysTwo:
    def __init__(self, limit: int) -> None:
        self.lines: deque[bytes] = deque(maxlen=limit)
        self.lost = False

    def put(self, line: bytes) -> None:
        self.lost |= len(self.lines) == self.lines.maxlen
        self.lines.append(line)

    def take(self) -> list[bytes]:
        lines = [b"(2 lines left out)"] * self.lost + list(self.lines)
        self.lines.clear()
        self.lost = False
        return lines


@wrong("check_latest", "put 9; take: expected [b'9'], but got [b'(2 lines left out)'")
class CountsOn(AlwaysTwo):
    count = 0

    def put(self, line: bytes) -> None:
        self.count += len(self.lines) == self.lines.maxlen
        self.lines.append(line)

    def take(self) -> list[bytes]:
        note = [b"(%d lines left out)" % self.count] * bool(self.count)
        lines = note + list(self.lines)
        self.lines.clear()
        return lines


@right("check_latest")
class ADeque(CountsOn):
    def take(self) -> list[bytes]:
        lines = super().take()
        self.count = 0
        return lines


@right("check_latest")
class ARing:
    def __init__(self, limit: int) -> None:
        self.lines: list[bytes | None] = [None] * limit
        self.taken = self.said = 0

    def put(self, line: bytes) -> None:
        self.lines[self.said % len(self.lines)] = line
        self.said += 1

    def take(self) -> list[bytes]:
        first = max(self.taken, self.said - len(self.lines))
        lines = [b"(%d lines left out)" % (first - self.taken)] * (first > self.taken)
        for number in range(first, self.said):
            line = self.lines[number % len(self.lines)]
            assert line is not None
            lines.append(line)
        self.taken = self.said
        self.lines = [None] * len(self.lines)
        return lines


@right("check_room", 1)
class TheBooks(BroadcastServer):
    pass


@right("check_room", 1)
class OnSocketserver:
    """A thread for each client, and a queue for what waits for it."""

    def start(self) -> int:
        self.lock, self.members = threading.Lock(), dict[str, Visit]()
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Visit)
        self.server.daemon_threads, self.server.block_on_close = True, False
        self.server.room = self  # type: ignore[attr-defined]
        threading.Thread(
            target=self.server.serve_forever, args=[0.05], daemon=True
        ).start()
        return int(self.server.server_address[1])

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for each in self.members.values():
                each.drop()

    def tell(self, line: str) -> None:
        for each in self.members.values():
            each.tell(line)


class Visit(socketserver.StreamRequestHandler):
    def tell(self, line: str) -> None:
        with suppress(queue.Full):
            self.lines.put_nowait(line.encode() + b"\n")
            return
        self.drop()

    def drop(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def write(self) -> None:
        with suppress(OSError):
            while line := self.lines.get():
                self.connection.sendall(line)

    def handle(self) -> None:
        room: OnSocketserver = self.server.room  # type: ignore[attr-defined]
        self.lines: queue.Queue[bytes] = queue.Queue(200)
        threading.Thread(target=self.write, daemon=True).start()
        name = ""
        with suppress(OSError):
            self.tell("NICK")
            for line in self.rfile:
                text = line.decode(errors="replace").strip()
                with room.lock:
                    if name:
                        room.tell(f"{name}: {text}")
                    elif not text or text.lower() in room.members:
                        self.tell(f"* {text} is no good\nNICK")
                    else:
                        name = text
                        room.members[name.lower()] = self
                        room.tell(f"* {name} joined")
        with room.lock:
            if name:
                del room.members[name.lower()]
                room.tell(f"* {name} left")
        self.lines.put(b"")


@wrong("check_room", "ANN, and ann is here", 3)
class TwoOfOneName(BroadcastServer):
    class Room(BroadcastRoom):
        def join(self, name: str, member: Member) -> bool:
            if name in self._members:
                return False
            self._members[name] = member
            self._tell_all(f"* {name} joined")
            return True

        def leave(self, name: str) -> None:
            del self._members[name]
            self._tell_all(f"* {name} left")

    def __init__(self) -> None:
        super().__init__()
        self.room = self.Room()


@wrong("check_room", "Cat does not read", 3)
class WaitsForTheSlow(BroadcastServer):
    class Room(BroadcastRoom):
        def _tell_all(self, line: str) -> None:
            for member in self._members.values():
                with suppress(OSError):
                    member.connection.sendall(line.encode() + b"\n")

        def join(self, name: str, member: Member) -> bool:
            while member.waiting:
                pass
            return super().join(name, member)

    def __init__(self) -> None:
        super().__init__()
        self.room = self.Room()


@wrong("check_room", "Bob said 16 MB")
class WithoutABound(BroadcastServer):
    class Room(BroadcastRoom):
        def join(self, name: str, member: Member) -> bool:
            member.LIMIT = 1 << 40
            return super().join(name, member)

    def __init__(self) -> None:
        super().__init__()
        self.room = self.Room()


@wrong("check_room", "was not seen by everyone within 3 s", 3)
class OnlyToOthers(BroadcastServer):
    class Room(BroadcastRoom):
        def say(self, name: str, text: str) -> None:
            with self._lock:
                for each, member in self._members.items():
                    if each != name.lower():
                        member.tell(f"{name}: {text}\n".encode())

    def __init__(self) -> None:
        super().__init__()
        self.room = self.Room()


class OneThread:
    """A room on select, that takes what recv gives for a line."""

    def start(self) -> int:
        self.members: dict[socket.socket, bytes] = {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return int(self.listener.getsockname()[1])

    def stop(self) -> None:
        self.wake.close()
        self.thread.join(1)

    def serve(self) -> None:
        while True:
            ready, _, _ = select.select(
                [self.listener, self.woken, *self.members], [], []
            )
            if self.woken in ready:
                break
            for sock in ready:
                if sock is self.listener:
                    new, _ = self.listener.accept()
                    new.sendall(b"NICK\n")
                    self.members[new] = b""
                else:
                    self.read(sock)
        for sock in (self.listener, self.woken, *self.members):
            sock.close()

    def read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(4096)
        except OSError:
            data = b""
        name = self.members[sock]
        if not data:
            del self.members[sock]
            sock.close()
            if name:
                self.tell(b"* " + name + b" left\n")
        elif name:
            self.tell(name + b": " + data)
        else:
            self.members[sock] = data.strip()
            self.tell(b"* " + data.strip() + b" joined\n")

    def tell(self, line: bytes) -> None:
        for sock, name in self.members.items():
            if name:
                with suppress(OSError):
                    sock.sendall(line)


@wrong("check_room", "Sent b'an', b'n\\nHel'", 3)
class NoFraming(OneThread):
    pass


@wrong("check_room", "within 3 s while a client was there", 4)
class WaitsForItsClients(BroadcastServer):
    def stop(self, timeout: float = 2.0) -> None:
        threading.Event().wait(3.5)
        super().stop(timeout)
