"""Answers to the exercises of the chapter chat_controller."""

from collections import Counter, deque
from typing import Any

from exercises import right, wrong

from python_tcp.events import Error

METHODS = ["send_message", "whisper", "join", "leave", "ask_users", "ask_rooms", "ask_history", "set_status"]  # fmt: skip


class _Refusing:
    """Right, but for what its children change."""

    code, answer = "refused", False

    def __init__(self, username: str, room: str) -> None:
        self.username, self.rooms = username, {room: [username]}
        self.unconfirmed: list[Any] = []
        self.error: Error | None = None

    def __getattr__(self, name: str) -> Any:
        def refuse(*values: object, **named: object) -> bool:
            self.error = Error(self.code, self.text(name))
            return self.answer

        return refuse

    def text(self, name: str) -> str:
        return f"{name} is refused"


@wrong("check_refusing", "the code after hello")
class AnotherCode(_Refusing):
    code = "no"


@wrong("check_refusing", "is send_message in the line after hello")
class NoName(_Refusing):
    def text(self, name: str) -> str:
        return "this is refused"


@wrong("check_refusing", "the error before any call")
class RefusedFromTheBeginning(_Refusing):
    def __init__(self, username: str, room: str) -> None:
        super().__init__(username, room)
        self.error = Error("refused", "everything is refused")


@wrong("check_refusing", "An exception ended it, in line")
class Raises(_Refusing):
    def __getattr__(self, name: str) -> Any:
        raise Error("refused", name)  # type: ignore[misc]


@wrong("check_refusing", "whisper in the line")
class TheFirstOnly(_Refusing):
    def text(self, name: str) -> str:
        return self.error.content if self.error else f"{name} is refused"


@right("check_refusing")
class ByNameless(_Refusing):
    pass


def _method(name: str) -> Any:
    def refuse(self: Any, *values: object, **named: object) -> bool:
        self.error = Error("refused", f"I refuse to {name}.")
        return False

    return refuse


@right("check_refusing")
class MethodByMethod:
    def __init__(self, username: str, room: str) -> None:
        self.username, self.error = username, None
        self._room = room

    rooms = property(lambda self: {self._room: [self.username]})
    unconfirmed = property(lambda self: [])


for method in METHODS:
    setattr(MethodByMethod, method, _method(method))


class _Unread:
    """Right, but for what its children change."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.lines: dict[str, list[Any]] = {}

    def add(self, room: str, line: Any) -> None:
        self.lines.setdefault(room, []).append(line)

    def take(self, room: str) -> list[Any]:
        return self.lines.pop(room, [])[-self.most :]

    def label(self) -> str:
        return ", ".join(
            f"{room} {self.count(len(lines))}"
            for room, lines in sorted(self.lines.items())
        )

    def count(self, count: int) -> str:
        return str(count) if count <= self.most else f"{self.most}+"


@wrong("check_unread", "the label after 6 lines in ops")
class WithoutAPlus(_Unread):
    def count(self, count: int) -> str:
        return str(min(count, self.most))


@wrong("check_unread", "the label after 5 lines in ops and 1 in dev")
class APlusTooEarly(_Unread):
    def count(self, count: int) -> str:
        return str(count) if count < self.most else f"{self.most}+"


@wrong("check_unread", "the lines of ops")
class TheFirstLines(_Unread):
    def take(self, room: str) -> list[Any]:
        return self.lines.pop(room, [])[: self.most]


@wrong("check_unread", "the label after that")
class ForgetsNothing(_Unread):
    def take(self, room: str) -> list[Any]:
        return self.lines.get(room, [])[-self.most :]


@wrong("check_unread", "the label after 5 lines in ops and 1 in dev")
class AsTheyCame(_Unread):
    def label(self) -> str:
        return ", ".join(
            f"{room} {self.count(len(n))}" for room, n in self.lines.items()
        )


@wrong("check_unread", "An exception ended it, in line")
class OnlyKnownRooms(_Unread):
    def take(self, room: str) -> list[Any]:
        return self.lines.pop(room)[-self.most :]


@right("check_unread")
class KeepsAll(_Unread):
    pass


@right("check_unread")
class CountsAndQueues:
    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: Counter[str] = Counter()
        self.last: dict[str, deque[Any]] = {}

    def add(self, room: str, line: Any) -> None:
        self.counts[room] += 1
        queue = self.last.setdefault(room, deque())
        queue.append(line)
        while len(queue) > self.most:
            queue.popleft()

    def take(self, room: str) -> deque[Any]:
        del self.counts[room]
        return self.last.pop(room, deque())

    def label(self) -> str:
        shown = []
        for room in sorted(self.counts):
            over = self.counts[room] > self.most
            shown.append(
                f"{room} {self.most}+" if over else f"{room} {self.counts[room]}"
            )
        return ", ".join(shown)


class _OnlyOnce:
    """Right, but for what its children change."""

    def __init__(self) -> None:
        self.shown: dict[str, list[Error]] = {"event": [], "refused": []}

    def event(self, error: Error) -> bool:
        return self.report(error, "event", "refused")

    def refused(self, error: Error) -> bool:
        return self.report(error, "refused", "event")

    def report(self, error: Error, ours: str, theirs: str) -> bool:
        if error in self.shown[theirs]:
            self.shown[theirs].remove(error)
            return False
        self.shown[ours].append(error)
        return True


@wrong("check_only_once", "the same text")
class TextsShown(_OnlyOnce):
    def report(self, error: Error, ours: str, theirs: str) -> bool:
        new = error.content not in [
            e.content for each in self.shown.values() for e in each
        ]
        self.shown[ours].append(error)
        return new


@wrong("check_only_once", "refused, then the event")
class OnlyEvents(_OnlyOnce):
    def event(self, error: Error) -> bool:
        self.shown["event"].append(error)
        return True


@wrong("check_only_once", "an event, then refused")
class ShowsAll(_OnlyOnce):
    def report(self, error: Error, ours: str, theirs: str) -> bool:
        return True


@wrong("check_only_once", "refused twice, no event")
class EachOnce(_OnlyOnce):
    def report(self, error: Error, ours: str, theirs: str) -> bool:
        new = error not in self.shown["event"]
        self.shown["event"].append(error)
        return new


@wrong("check_only_once", "again after a pair")
class NeverRemoves(_OnlyOnce):
    def report(self, error: Error, ours: str, theirs: str) -> bool:
        if error in self.shown[theirs]:
            return False
        self.shown[ours].append(error)
        return True


@right("check_only_once")
class TwoLists(_OnlyOnce):
    pass


@right("check_only_once")
class ABalance:
    """Counts what one method has shown more often than the other."""

    def __init__(self) -> None:
        self.ahead: Counter[str] = Counter()

    def event(self, error: Error) -> bool:
        self.ahead[repr(error)] += 1
        return self.ahead[repr(error)] > 0

    def refused(self, error: Error) -> bool:
        self.ahead[repr(error)] -= 1
        return self.ahead[repr(error)] < 0
