"""Conversations in any dialect, without a network: bytes go in for each client, and bytes come out for each."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from by_hand import Chat, HandServer, take_time

from python_tcp.admission import AdmissionControl
from python_tcp.chat_fanout import DeliveryQueue
from python_tcp.dialects import House
from python_tcp.members import Delivery
from python_tcp.protocol import JSONLines
from python_tcp.speaking import DialectConnection, DialectSender
from python_tcp.turns import CommandHandler


class Server(HandServer):
    """What was said before a connection is closed, and its last words, are kept."""

    last_words: Callable[[int, str], bytes]

    def open(self, client: int) -> None:
        super().open(client)
        stream: Any = self.connections[client]
        stream.sock = SimpleNamespace(setsockopt=lambda *args: None)

    def broadcast(
        self, data: bytes, to: tuple[int, ...], exclude: tuple[int, ...] = ()
    ) -> None:
        for client in to:
            if client not in exclude:
                self.send(client, data)

    def close(self, client: int, reason: str) -> None:
        if client in self.connections:
            self.sent[client].append(self.last_words(client, reason))
            super().close(client, reason)


class Dialogue(Chat):
    """`dialogue.come(client, dialect)`, then `dialogue.receive(client, data)`; `text(client)` is all it was sent."""

    def __init__(self, **limits: float) -> None:
        super().__init__(**limits)
        self.server = Server()
        self.loop = self.server.loop
        self.server.on_close, self.server.last_words = self.leave, self._last_words
        self.sender: DialectSender = DialectSender(self.server)
        self.admission = AdmissionControl(self.server, self.limits)
        self.queue = DeliveryQueue(self.rooms, self.loop, self._release)
        parts = self.rooms, self.admission, self.queue, self.loop, self.sender.speak
        self.handler = CommandHandler(*parts)
        take_time(self.handler)
        self.house = House(self.rooms.by_name, self.rooms.rooms)

    def _release(self, deliveries: list[Delivery]) -> None:
        self.sender.send(deliveries)
        self.handler.resume()

    def _last_words(self, client: int, reason: str) -> bytes:
        connection = self.sender.connections[client]
        assert isinstance(connection, DialectConnection)
        return connection.last_words(reason)

    def come(self, client: int, dialect: Any = None) -> DialectConnection:
        self.server.open(client)
        parts = self.server, client, dialect, self.limits, self.house
        connection = DialectConnection(*parts)
        self.sender.add(connection)
        self.admission.admit(connection)
        connection.greet()
        return connection

    def receive(self, client: int, data: bytes) -> None:
        """Bytes came from it, and the tick ends."""
        if client in self.sender.connections:
            super().receive(client, bytes(bytearray(data)))
            self.settle()

    def finish(self, client: int) -> None:
        """It sends no more."""
        if client in self.sender.connections:
            connection = self.sender.connections[client]
            assert isinstance(connection, DialectConnection)
            last = [*connection.finish_input(), None]
            self.handler.handle(connection, last)
            self.settle()

    def settle(self) -> None:
        """Until nobody waits for another turn."""
        self.loop.tick()
        while any(timer.when <= self.loop.now for timer in self.loop.timers):
            self.loop.tick()

    def text(self, client: int) -> bytes:
        return b"".join(self.server.sent[client])

    def forget(self) -> None:
        for sent in self.server.sent.values():
            sent.clear()


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at these places, whichever they are. Each piece is a copy, as a socket gives it: a dialect may overwrite
    a password in it."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [bytes(bytearray(data[start:end])) for start, end in zip(places, places[1:])]


TIMES = re.compile(rb'"(timestamp|epoch|token)":("[^"]*"|[^,}]*)')


def in_pieces(dialect: Any, script: bytes, cuts: list[int]) -> list[bytes]:
    """What two hear while the first says `script` in this dialect, cut at these places: itself, and Bob with JSON, without times."""
    talk = Dialogue()
    talk.come(2, JSONLines())
    talk.receive(2, b'{"type":"join","username":"bob"}\n')
    talk.come(1, dialect)
    for piece in pieces(script, cuts):
        talk.receive(1, piece)
    for _ in range(20):
        talk.loop.tick(0.06)  # where each piece has its pause
    return [talk.text(1), TIMES.sub(b"", talk.text(2))]
