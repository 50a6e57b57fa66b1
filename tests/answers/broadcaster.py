"""Answers to the exercises of the chapter broadcaster."""

from typing import Any

from exercises import right, wrong

from python_tcp.broadcaster import Broadcaster
from python_tcp.loop import EventLoop


@wrong(
    "check_rooms", "member 1 got: expected [b'one two '], but got [b'one ', b'two ']"
)
class OneByOne:
    """Each member is told by itself, and each message is sent by itself."""

    def __init__(self, broadcaster: Broadcaster) -> None:
        self.broadcaster = broadcaster
        self.rooms: dict[str, list[int]] = {}

    def join(self, room: str, number: int) -> None:
        self.rooms.setdefault(room, []).append(number)

    def leave(self, room: str, number: int) -> None:
        self.rooms[room].remove(number)

    def say(self, room: str, data: bytes) -> None:
        for number in self.rooms.get(room, []):
            self.broadcaster.add(data, (number,))


@wrong("check_rooms", "exception ended it, in line")
class NobodyInTheAttic(OneByOne):
    def say(self, room: str, data: bytes) -> None:
        self.broadcaster.add(data, tuple(self.rooms[room]))


@wrong("check_rooms", "1 got: expected b'one two three ', but got")
class NobodyLeaves:
    def __init__(self, broadcaster: Broadcaster) -> None:
        self.broadcaster = broadcaster
        self.rooms: dict[str, tuple[int, ...]] = {}

    def join(self, room: str, number: int) -> None:
        self.rooms[room] = (*self.rooms.get(room, ()), number)

    def leave(self, room: str, number: int) -> None:
        pass

    def say(self, room: str, data: bytes) -> None:
        self.broadcaster.add(data, self.rooms.get(room, ()))


@wrong("check_rooms", "but got [b'one two hello? ']")
class OneRoom(NobodyLeaves):
    everybody: tuple[int, ...] = ()

    def join(self, room: str, number: int) -> None:
        self.everybody += (number,)

    def say(self, room: str, data: bytes) -> None:
        self.broadcaster.add(data, self.everybody)


@wrong("check_rooms", "member 1 got: expected [b'one two '], but got []")
class CollectsAndForgets(NobodyLeaves):
    """It collects what is said until somebody joins or leaves."""

    said = b""

    def say(self, room: str, data: bytes) -> None:
        self.said += data


@right("check_rooms")
class Remembered:
    """A set for each room, and its tuple as long as it is right."""

    def __init__(self, broadcaster: Broadcaster) -> None:
        self.broadcaster = broadcaster
        self.rooms: dict[str, set[int]] = {}
        self.tuples: dict[str, tuple[int, ...]] = {}

    def join(self, room: str, number: int) -> None:
        self.rooms.setdefault(room, set()).add(number)
        self.tuples.pop(room, None)

    def leave(self, room: str, number: int) -> None:
        self.rooms[room].discard(number)
        self.tuples.pop(room, None)

    def say(self, room: str, data: bytes) -> None:
        if room not in self.tuples:
            self.tuples[room] = tuple(self.rooms.get(room, ()))
        self.broadcaster.add(data, self.tuples[room])


@right("check_rooms")
class WithPlus(NobodyLeaves):
    def leave(self, room: str, number: int) -> None:
        place = self.rooms[room].index(number)
        self.rooms[room] = self.rooms[room][:place] + self.rooms[room][place + 1 :]


To = tuple[int, ...]


@wrong("check_ticker", "After tea 3, milk 1, tea 4, tea 5 in one tick")
class EachUpdate:
    def __init__(self, loop: EventLoop, broadcaster: Broadcaster, to: To) -> None:
        self.loop, self.broadcaster, self.to = loop, broadcaster, to

    def update(self, name: str, price: int) -> None:
        self.broadcaster.add(f"{name} {price}\n".encode(), self.to)


class AHook:
    """What the wrong ones and the right ones have in common."""

    def __init__(self, loop: EventLoop, broadcaster: Broadcaster, to: To) -> None:
        self.loop, self.broadcaster, self.to = loop, broadcaster, to
        self.prices: dict[str, Any] = {}

    def update(self, name: str, price: int) -> None:
        if not self.prices:
            self.loop.at_end_of_tick(self.send)
        self.prices[name] = price

    def send(self) -> None:
        prices, self.prices = self.prices, {}
        lines = "".join(f"{name} {price}\n" for name, price in prices.items())
        self.broadcaster.add(lines.encode(), self.to)


@wrong("check_ticker", "expected [b'tea 5\\nmilk 1\\n', b'tea 5\\nmilk 1\\n']")
class ByTheLastUpdate(AHook):
    def update(self, name: str, price: int) -> None:
        if not self.prices:
            self.loop.at_end_of_tick(self.send)
        self.prices.pop(name, None)
        self.prices[name] = price


@wrong("check_ticker", "After milk 3, tea 6, milk 3 in one tick")
class ByTheFirstUpdateEver(AHook):
    changed: frozenset[str] = frozenset()

    def update(self, name: str, price: int) -> None:
        if not self.changed:
            self.loop.at_end_of_tick(self.send)
        self.prices[name] = price
        self.changed |= {name}

    def send(self) -> None:
        lines = "".join(
            f"{n} {p}\n" for n, p in self.prices.items() if n in self.changed
        )
        self.changed = frozenset()
        self.broadcaster.add(lines.encode(), self.to)


@wrong("check_ticker", "but got [b'tea 5\\nmilk 1\\ntea 5")
class EveryTick(AHook):
    """The hook asks for itself again, and the prices stay."""

    asked = False

    def update(self, name: str, price: int) -> None:
        self.prices[name] = price
        if not self.asked:
            self.asked = True
            self.loop.at_end_of_tick(self.send)

    def send(self) -> None:
        lines = "".join(f"{name} {price}\n" for name, price in self.prices.items())
        self.broadcaster.add(lines.encode(), self.to)
        self.loop.call_later(0, lambda: self.loop.at_end_of_tick(self.send))


@right("check_ticker")
class TwoDictionaries(AHook):
    pass


@right("check_ticker")
class AHookForEachUpdate(AHook):
    """The first one sends all, the others find nothing."""

    def update(self, name: str, price: int) -> None:
        self.prices[name] = price
        self.loop.at_end_of_tick(self.send)

    def send(self) -> None:
        if self.prices:
            super().send()
