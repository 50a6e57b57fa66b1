"""A server that only plays its part: it answers each command as a test wants it, and remembers what was said to it."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from python_tcp.commands import (
    Command, DeleteAccount, Join, Leave, ListBans, ListRooms, ListUsers, Login, Logout, MarkRead, Register, SendMessage,
)  # fmt: skip
from python_tcp.events import (
    AccountChanged, BanList, Event, Goodbye, Message, Ok, RoomList, UserList, Welcome,
)  # fmt: skip

TOKEN = "token-of-the-script"
Answer = Callable[["Visitor", Command], Iterable[Event] | None]


class Visitor:
    """One connection: who it says it is, and a way to tell it something."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.name, self.account, self.room = "", None, "lobby"

    def tell(self, *events: Event) -> None:
        data = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
        self.sock.sendall(data)


class ScriptedServer:
    """`answer(visitor, command)` gives the events that answer a command; None: what a server would say.

    `said` has all commands, and `lines` all bytes that came. A connection that is cut by the other end is no error.
    """

    def __init__(self, answer: Answer = lambda visitor, command: None) -> None:
        self.answer = answer
        self.said: list[Command] = []
        self.lines = bytearray()
        self.visitors: list[Visitor] = []
        self.seq = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            visitor = Visitor(sock)
            self.visitors.append(visitor)
            threading.Thread(target=self._serve, args=[visitor], daemon=True).start()

    def _serve(self, visitor: Visitor) -> None:
        try:
            for line in visitor.sock.makefile("rb"):
                self.lines += line
                command = msgspec.json.decode(line, type=Command)
                self.said.append(command)
                events = self.answer(visitor, command)
                visitor.tell(
                    *(self.usual(visitor, command) if events is None else events)
                )
        except OSError:
            pass

    def usual(self, visitor: Visitor, command: Command) -> Iterable[Event]:
        """What a server answers that is content with everything."""
        id, name = getattr(command, "id", None), visitor.name
        match command:
            case Join(username=username, room=room):
                visitor.name, visitor.room = username, room
                welcome = Welcome(username, room, f"Welcome to {room}, {username}!", self.seq, "epoch", TOKEN)  # fmt: skip
                welcome.account = visitor.account
                return [welcome, UserList(room, [username])]
            case Register(username=username) | Login(username=username):
                visitor.name = visitor.account = username
                what = "registered" if isinstance(command, Register) else "logged_in"
                return [AccountChanged(username, what, id=id)]
            case SendMessage(content=content, room=room):
                self.seq += 1
                said = Message(room or visitor.room, self.seq, name, content, time.time())  # fmt: skip
                return [said, Ok(id, self.seq)] if id is not None else [said]
            case ListUsers():
                return [UserList(visitor.room, [name])]
            case ListRooms():
                return [RoomList([])]
            case ListBans(room=room):
                return [BanList([], room)]
            case Logout():
                bye = Goodbye("logged_out", "You have logged out.", False)
                return [AccountChanged(name, "logged_out", id=id), bye]
            case DeleteAccount():
                bye = Goodbye("account_deleted", "Your account is deleted.", False)
                return [AccountChanged(name, "deleted", id=id), bye]
            case Leave(room=None):
                return [Goodbye("left", "Goodbye!", False)]
            case MarkRead():
                return []
        return [Ok(id)] if id is not None else []

    def speak(self, name: str, content: str, room: str = "lobby") -> int:
        """Somebody says something, and all who are connected hear it. Returns its number."""
        self.seq += 1
        for visitor in self.visitors:
            visitor.tell(Message(room, self.seq, name, content, time.time()))
        return self.seq

    def of(self, kind: type) -> list[Command]:
        """What was said of this kind."""
        return [each for each in self.said if isinstance(each, kind)]

    def __enter__(self) -> "ScriptedServer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        # `close` alone does not end `accept`: a process that is stopped and goes on would call
        # it again, with the number of the file, which may be that of the next server by then.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(1.0)
        for visitor in self.visitors:
            with suppress(OSError):  # it has gone already
                visitor.sock.shutdown(socket.SHUT_RDWR)
            visitor.sock.close()
