"""The parts of a chat server without network and threads: a loop and a server that a test moves on by hand."""

from collections.abc import Callable
from typing import Any

from python_tcp.admission import AdmissionControl
from python_tcp.chat_fanout import ChatConnection, DeliveryQueue, EventSender
from python_tcp.chat_server import CommandHandler
from python_tcp.members import Delivery, User
from python_tcp.messages import MemoryStore, StoreError, fitting
from python_tcp.protocol import Command, Error, Event, JSONLines, Limits, Message
from python_tcp.protocol import MessageId, decode_event
from python_tcp.rooms import Rooms


class HandTimer:
    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when, self.callback, self.cancelled = when, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class HandLoop:
    """What the parts use of an `EventLoop`. Time passes, and a tick ends, when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[HandTimer] = []
        self.hooks: list[Callable[[], object]] = []
        self.flushes: list[Callable[[], object]] = []
        self.calls: list[Callable[[], object]] = []
        self.hurried = 0

    def hurry(self) -> None:
        self.hurried += 1

    def call_later(self, seconds: float, callback: Callable[[], object]) -> HandTimer:
        self.timers.append(timer := HandTimer(self.now + seconds, callback))
        return timer

    def at_end_of_tick(self, hook: Callable[[], object]) -> None:
        self.hooks.append(hook)

    def flush_later(self, flush: Callable[[], object]) -> None:
        self.flushes.append(flush)

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        self.calls.append(callback)

    def tick(self, seconds: float = 0.0) -> None:
        """What other threads asked for, what is due, and the end of the tick."""
        self.now += seconds
        calls, self.calls = self.calls, []
        due = [timer for timer in self.timers if timer.when <= self.now]
        self.timers = [timer for timer in self.timers if timer.when > self.now]
        for call in calls:
            call()
        for timer in due:
            if not timer.cancelled:
                timer.callback()
        while self.hooks:
            self.hooks.pop(0)()
        flushes, self.flushes = self.flushes, []
        for flush in flushes:
            flush()


class HandStream:
    def __init__(self) -> None:
        self.reads, self.takes = True, True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class HandServer:
    """What the parts use of an `EventDrivenTCPServer`; it keeps what each client is sent."""

    def __init__(self) -> None:
        self.loop = HandLoop()
        self.connections: dict[int, HandStream] = {}
        self.sent: dict[int, list[bytes]] = {}
        self.calls: list[tuple[Any, ...]] = []  # of `broadcast`: the receivers
        self.closed: list[tuple[int, str]] = []
        self.on_close: Callable[[int], object] = lambda client: None

    def open(self, client: int) -> None:
        self.connections[client], self.sent[client] = HandStream(), []

    def send(self, client: int, data: bytes) -> bool:
        if client not in self.connections or not self.connections[client].takes:
            return False
        self.sent[client].append(data)
        return True

    def broadcast(self, data: bytes, to: tuple[int, ...]) -> None:
        self.calls.append(to)
        for client in to:
            self.send(client, data)

    def close(self, client: int, reason: str) -> None:
        self.closed.append((client, reason))
        del self.connections[client]
        self.on_close(client)


class LateStore(MemoryStore):
    """A store whose commits complete when a test says so. It keeps the contract: when one
    fails, all that was appended since the last good one is gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.safe = 0  # so many of them are
        self.waiting: list[tuple[int, Callable[[StoreError | None], object]]] = []

    def append(self, message: Message, session: str, id: MessageId | None) -> None:
        self.messages.append(message)

    def bounds(self, room: str) -> tuple[int, int]:
        numbers = [each.seq for each in self.messages if each.room == room] or [0]
        return 1, numbers[-1]

    def read(
        self, room: str, first: int, last: int,
        most_bytes: int | None = None, backward: bool = False,
    ) -> list[Message]:  # fmt: skip
        those = [each for each in self.messages if each.room == room]
        found = [each for each in those if first <= each.seq <= last]
        found = fitting(reversed(found) if backward else found, most_bytes)
        return found[::-1] if backward else found

    def commit(self, done: Callable[[StoreError | None], object]) -> None:
        self.waiting.append((len(self.messages), done))

    def complete(self, error: str | None = None) -> None:
        """The oldest commit succeeds, or fails."""
        count, done = self.waiting.pop(0)
        if error is None:
            self.safe = count
            done(None)
        else:
            del self.messages[self.safe :]
            done(StoreError(error))


def take_time(handler: CommandHandler) -> None:
    """From now on nothing depends on how fast the machine is: each turn has a minute."""
    turns = handler._turns
    handler.TURN = turns.SECONDS = turns.LOUD = 60.0


class Chat:
    """All parts of a chat server but its sockets. `chat(client, command)` says something and ends
    the tick; what each client has heard since then comes back.
    """

    def __init__(self, store: MemoryStore | None = None, **limits: float) -> None:
        self.limits = Limits(
            **({"flood_burst": 0, "connections_per_address": 0} | limits)
        )
        self.store = MemoryStore() if store is None else store
        self.rooms = Rooms(self.limits, self.store)
        self.server = HandServer()
        self.loop = self.server.loop
        self.sender = EventSender(self.server)
        self.admission = AdmissionControl(self.server, self.limits)
        self.queue = DeliveryQueue(self.rooms, self.loop, self._release)
        self.handler = CommandHandler(self.rooms, self.admission, self.queue, self.loop)
        take_time(self.handler)
        self.server.on_close = self.leave
        self.released: list[list[Delivery]] = []

    def _release(self, deliveries: list[Delivery]) -> None:
        self.released.append(deliveries)
        self.sender.send(deliveries)
        self.handler.resume()

    def come(self, client: int, dialect: Any = None) -> ChatConnection:
        self.server.open(client)
        dialect = dialect or JSONLines()
        connection = ChatConnection(self.server, client, dialect, self.limits)
        self.sender.add(connection)
        self.admission.admit(connection)
        return connection

    def leave(self, client: int) -> None:
        self.sender.remove(client)
        self.admission.left(client)
        self.queue.hold(self.rooms.disconnect(client, self.handler.now()))

    def say(self, client: int, *commands: Command | Error) -> None:
        if client not in self.sender.connections:
            self.come(client)
        self.handler.handle(self.sender.connections[client], list(commands))

    def receive(self, client: int, data: bytes) -> None:
        """Bytes came from it."""
        self.handler.receive(self.sender.connections[client], data)

    def hear(self) -> dict[int, list[Event]]:
        """What each client was sent since the last call."""
        heard = {
            client: [
                event
                for line in b"".join(pieces).splitlines(keepends=True)
                if (event := decode_event(line))
            ]
            for client, pieces in self.server.sent.items()
            if pieces
        }
        for lines in self.server.sent.values():
            lines.clear()
        return heard

    def __call__(self, client: int, *commands: Command) -> dict[int, list[Event]]:
        self.say(client, *commands)
        self.loop.tick()
        return self.hear()

    def user(self, client: int) -> User:
        return self.rooms.users[client]
