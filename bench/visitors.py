"""Who comes to the chat in `bench.traffic`: talkers that must hear everything once, and guests of all manners."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

from python_tcp.chat_client import ChatClient
from python_tcp.chat_session import ClientEvent, Disconnected
from python_tcp.protocol import Error, Message, WhisperReceived
from python_tcp.room_views import HistoryGap

from .servers import HOST

HALL = "hall"  # the talkers' room
ALPHABET = "ab c\u00e9\u4e16\U0001f44b"  # of one to four bytes
TOO_LONG, HTTP, SEED = 20_000, b"GET / HTTP/1.1\r\n\r\n", 11


def text(chance: random.Random) -> str:
    """1 to 3900 characters: many short ones, some long ones."""
    return chance.choice(ALPHABET) * int(3900 ** chance.random())


# --- talkers ---------------------------------------------------------------------------------------------------------


class Cable:
    """The way of the talkers to the server: all their connections can be cut at once."""

    def __init__(self, port: int) -> None:
        self._to = HOST, port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                here, _ = self._listener.accept()
                try:
                    there = socket.create_connection(self._to, timeout=5)
                except OSError:
                    here.close()
                    continue
                there.settimeout(None)
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with self._lock:
            self._ends.add(source)
        try:
            while data := source.recv(65_536):
                target.sendall(data)
        except OSError:
            pass
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._ends.discard(source)
            source.close()

    def cut(self) -> None:
        with self._lock:
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


class Talker:
    """A `ChatClient` that never leaves. Each message is numbered, by speaker; each whisper, by pair."""

    MOST = 50  # unanswered: then it waits

    def __init__(self, name: str, others: list[str]) -> None:
        self.name, self.others = name, others
        self.client = ChatClient(name, timeout=20)
        self.client.set_event_callback(self._happened)
        self.said: Counter[str] = Counter()  # by name of a receiver; HALL: to all
        self.heard: Counter[tuple[str, str]] = Counter()  # last numbers
        self.wrong: list[str] = []
        self.lost = self.received = 0  # connections, messages
        self.whispers_lost = 0  # under way when a connection was lost
        self._excused: set[str] = set()  # whose next whisper may show that

    def _happened(self, event: ClientEvent) -> None:
        match event:
            case Message(room="hall", username=who, content=content):
                self.received += 1
                self._hear(HALL, who, content)
            case WhisperReceived(username=who, to=self.name, content=content):
                self._hear(self.name, who, content)
            case HistoryGap():
                self.wrong.append(f"{self.name} is told of a gap: {event}")
            case Error():
                self.wrong.append(f"{self.name} is refused: {event}")
            case Disconnected():
                self.lost += 1
                self._excused = {self.name, *self.others}

    def _hear(self, where: str, who: str, content: str) -> None:
        if who not in self.others and who != self.name:
            return  # a guest
        number, expected = int(content.partition(" ")[0]), self.heard[where, who] + 1
        if number <= self.heard[where, who]:
            self.wrong.append(f"{self.name} hears {who} {where} {number} twice")
        elif number > expected and where == self.name and who in self._excused:
            self.whispers_lost += number - expected  # nobody confirms a whisper
        elif number > expected:
            self.wrong.append(f"{self.name} misses {who} {where} {expected}")
        if where == self.name:
            self._excused.discard(who)
        self.heard[where, who] = max(number, self.heard[where, who])

    def turn(self, chance: random.Random) -> None:
        """Do one thing, mostly say something."""
        client, what = self.client, chance.random()
        if client.unsent > self.MOST:
            return
        if what < 0.75:
            self.said[HALL] += 1
            client.send_message(f"{self.said[HALL]} {text(chance)}", HALL)
        elif what < 0.85:
            to = chance.choice(self.others)
            self.said[to] += 1
            client.whisper(to, f"{self.said[to]} {text(chance)}")
        elif what < 0.90:
            client.set_status(chance.choice(["online", "away", "busy"]))
        elif what < 0.95:
            client.ask_history(chance.randrange(1, 200))
        else:
            chance.choice([client.ask_users, client.ask_rooms])()

    def missing(self, speaker: Talker) -> int:
        """How many of a speaker's messages and whispers have not come here."""
        name = speaker.name
        count = speaker.said[HALL] - self.heard[HALL, name]
        if name in self._excused:
            return count
        return count + speaker.said[self.name] - self.heard[self.name, name]


# --- guests ----------------------------------------------------------------------------------------------------------


class Guest:
    """A plain socket. Each kind of guests comes from an address of its own, which has its own budget."""

    def __init__(self, port: int, kind: int, small: bool = False) -> None:
        self.sock = socket.socket()
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.bind((f"127.0.1.{kind}", 0))
        self.sock.settimeout(5)
        self.sock.connect((HOST, port))
        self._lines = self.sock.makefile("rb")

    def say(self, type: str, **fields: object) -> None:
        said = {name: field for name, field in fields.items() if field is not None}
        self.sock.sendall(json.dumps({"type": type, **said}).encode() + b"\n")

    def until(self, *types: str) -> dict[str, Any]:
        """The next event of one of these types. Raises `OSError` at the end."""
        for line in self._lines:
            event: dict[str, Any] = json.loads(line)
            if event["type"] in types:
                return event
        raise ConnectionError("the server has closed")

    def join(self, name: str, room: str, token: str | None = None) -> str:
        """Returns the session's token; empty if the server refuses."""
        self.say("join", username=name, room=room, token=token)
        event = self.until("welcome", "error", "goodbye")
        return str(event.get("token", ""))

    def leave(self) -> None:
        self.say("leave")
        self.until("goodbye")
        self.close()

    def reset(self) -> None:
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.close()

    def close(self) -> None:
        self._lines.close()
        self.sock.close()


class Guests:
    """What guests do, each method once from coming to going. `done` counts it."""

    def __init__(self, port: int, talkers: list[str]) -> None:
        self._port, self._talkers = port, talkers
        self._names, self._lock = 0, threading.Lock()
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []

    def _new_name(self) -> str:
        with self._lock:
            self._names += 1
            return f"guest{self._names}"

    def _count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.done[what] += number

    def _part(self, guest: Guest, chance: random.Random) -> bool:
        """Go, in one of three ways. Did it leave?"""
        way = chance.choice([guest.leave, guest.close, guest.reset])
        way()
        self._count("leaves" if way == guest.leave else "cuts without leave")
        return way == guest.leave

    def visit(self, chance: random.Random) -> None:
        """Join rooms, new ones too; talk; go. Some come back to their place.

        Few give ids to what they say: the server keeps them for a day.
        """
        guest, name = Guest(self._port, 1), self._new_name()
        token = guest.join(name, chance.choice([HALL, f"room-{name}"]))
        self._count("joins")
        for number in range(chance.randrange(3)):
            guest.say("join", username=name, room=f"room-{name}-{number}")
            self._count("further rooms")
        has_ids = chance.random() < 0.1
        for number in range(chance.randrange(4)):
            id = number if has_ids else None
            guest.say("message", content=text(chance), id=id)
        to, last = chance.choice(self._talkers), "w" if has_ids else None
        guest.say("whisper", to=to, content=text(chance), id=last)
        guest.say("status", status=text(chance)[:80])
        guest.say("history", limit=chance.randrange(1, 100))
        guest.until("history", "error")
        if not self._part(guest, chance) and chance.random() < 0.4:
            back = Guest(self._port, 1)
            if back.join(name, HALL, token) == token:
                self._count("returns to a place")
            self._part(back, chance)

    def babble(self, chance: random.Random) -> None:
        """Send what is no command, until the server has had enough."""
        guest = Guest(self._port, 2)
        try:
            for _ in range(chance.randrange(1, 15)):
                kinds = [
                    b"\xff\n",
                    b"{}\n",
                    b"[" * 500 + b"\n",
                    b"{\n",
                    b'{"type":"x"}\n',
                ]
                kinds += [b"x" * TOO_LONG + b"\n", HTTP, chance.randbytes(100)]
                guest.sock.sendall(chance.choice(kinds))
                self._count("bad lines")
        finally:
            guest.reset()

    def lurk(self, chance: random.Random) -> None:
        """Ask for pages and do not read them. The server must close the connection."""
        guest, name = Guest(self._port, 3, small=True), self._new_name()
        guest.join(name, HALL)
        guest.sock.settimeout(0.5)
        try:
            for _ in range(60):
                with suppress(TimeoutError):
                    for _ in range(10):
                        guest.say("history", limit=1000)
                threading.Event().wait(0.5)
            self.wrong.append("a slow reader was not closed")
        except OSError:
            self._count("slow readers closed")
        finally:
            guest.close()

    def storm(self, chance: random.Random) -> None:
        """Many come at once, are cut at once, and come back at once; some stay away."""
        crowd = [self._new_name() for _ in range(15)]
        rooms = f"storm-{crowd[0]}", HALL
        tokens: list[str] = []
        for again in (False, True):
            if again:
                crowd = crowd[::2]
            guests = [Guest(self._port, 4) for _ in crowd]
            try:
                for number, guest in enumerate(guests):
                    token = tokens[2 * number] if again else None
                    tokens.append(guest.join(crowd[number], rooms[number % 2], token))
            finally:
                for guest in guests:
                    guest.reset()
            self._count("storms' connections", len(guests))
