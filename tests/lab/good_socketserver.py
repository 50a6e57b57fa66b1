"""A good server for each stage of the lab, on the standard library's socketserver: good_socketserver.py STAGE PORT."""

import json
import queue
import signal
import socket
import socketserver
import struct
import sys
import threading

LINE, OBJECT, FRAME, WAITING = 4096, 65_536, 16_384, 2000


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            self.serve()
        except (OSError, ValueError):  # the client is gone
            pass

    def lines(self, most: int):
        """Each line without its end; None for one that is too long."""
        while line := self.rfile.readline(most + 2):
            if not line.endswith(b"\n"):
                if len(line) <= most:
                    return  # the end, within a line
                while line and not line.endswith(b"\n"):
                    line = self.rfile.readline(65_536)
                yield None
                continue
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            yield None if len(line) > most else line


class Echo(Handler):
    def serve(self) -> None:
        while data := self.request.recv(65_536):
            self.request.sendall(data)


class Lines(Handler):
    def serve(self) -> None:
        for line in self.lines(LINE):
            self.wfile.write(
                b"too long\n" if line is None else b"%d %s\n" % (len(line), line)
            )


class Length(Handler):
    def serve(self) -> None:
        while len(head := self.rfile.read(4)) == 4:
            (size,) = struct.unpack("!I", head)
            if size > FRAME or len(frame := self.rfile.read(size)) < size:
                return
            self.wfile.write(head + frame[::-1])


class Member(Handler):
    """A client with a queue and a thread that sends what is in it."""

    lock = threading.RLock()

    def setup(self) -> None:
        super().setup()
        self.waiting = queue.Queue()
        self.writer = threading.Thread(target=self.write, daemon=True)
        self.writer.start()

    def tell(self, data: bytes) -> None:
        if self.waiting.qsize() > WAITING:
            try:
                self.request.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        else:
            self.waiting.put(data)

    def write(self) -> None:
        try:
            while data := self.waiting.get():
                self.request.sendall(data)
        except OSError:
            pass

    def finish(self) -> None:
        self.gone()
        self.waiting.put(b"")
        self.writer.join(1)
        super().finish()


class Chat(Member):
    members: "dict[str, Chat]" = {}
    name = ""

    def serve(self) -> None:
        self.tell(b"NICK\n")
        for line in self.lines(LINE):
            if line is None:
                self.tell(b"* too long\n")
                continue
            text = line.decode(errors="replace")
            with self.lock:
                self.take(text)

    def take(self, text: str) -> None:
        if self.name and text.startswith("/"):
            self.command(text)
        elif self.name:
            self.all(f"{self.name}: {text}\n")
        elif not text or text in self.members:
            self.tell(f"* {text} is taken\n".encode())
        else:
            self.name = text
            self.members[text] = self
            self.all(f"* {text} joined\n")

    def command(self, text: str) -> None:
        match text.split(" ", 2):
            case ["/users"]:
                answer = f"* users: {', '.join(sorted(self.members))}\n"
            case ["/whisper", to, said] if to in self.members:
                self.members[to].tell(f"{self.name} whispers: {said}\n".encode())
                answer = f"* whispered to {to}\n"
            case ["/whisper", to, _]:
                answer = f"* nobody is called {to}\n"
            case _:
                answer = "* unknown command\n"
        self.tell(answer.encode())

    def all(self, text: str) -> None:
        for member in self.members.values():
            member.tell(text.encode())

    def gone(self) -> None:
        with self.lock:
            if self.name:
                del self.members[self.name]
                self.all(f"* {self.name} left\n")


def pack(kind: str, **payload: str) -> bytes:
    return json.dumps({"type": kind, "payload": payload}).encode() + b"\n"


class Connect(Member):
    members: "dict[Connect, tuple[str, str]]" = {}

    def serve(self) -> None:
        for line in self.lines(OBJECT):
            with self.lock:
                try:
                    self.take(json.loads(line or b""))
                except (ValueError, KeyError, RecursionError):
                    self.tell(pack("error", text="expected a message"))

    def take(self, message: object) -> None:
        match message:
            case {"type": "connect", "payload": {"name": str(name), "room": str(room)}}:
                self.all(room, pack("notification", room=room, text=f"{name} joined"))
                self.members[self] = name, room
                self.tell(pack("connect_ack", name=name, room=room))
            case {"type": "message", "payload": {"text": str(text)}}:
                name, room = self.members[self]
                self.all(room, pack("message", sender=name, room=room, text=text))
            case _:
                raise ValueError("not a message")

    def all(self, room: str, data: bytes) -> None:
        for member, (_, where) in self.members.items():
            if where == room:
                member.tell(data)

    def gone(self) -> None:
        with self.lock:
            name, room = self.members.pop(self, ("", ""))
            if name:
                self.all(room, pack("notification", room=room, text=f"{name} left"))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 200


STAGES = {"echo": Echo, "lines": Lines, "length": Length, "connect": Connect}
server = Server(("127.0.0.1", int(sys.argv[2])), STAGES.get(sys.argv[1], Chat))


def end(*_: object) -> None:
    def say() -> None:
        with Chat.lock:
            members = list(Chat.members.values())
        for member in members:
            member.tell(b"* server closes\n")
            member.waiting.put(b"")
        for member in members:
            member.writer.join(1)
        server.shutdown()

    threading.Thread(target=say).start()


signal.signal(signal.SIGTERM, end)
server.serve_forever(poll_interval=0.02)
