"""Answers to the exercise of the chapter languages."""

from collections.abc import Iterator
from typing import Any

from exercises import right, wrong

from python_tcp.commands import Join, SendMessage
from python_tcp.dialects import Asked, Raw, Speaker, checked
from python_tcp.events import Message, Welcome


class Shout(Speaker):
    """As a right one, where a wrong one has not changed it."""

    def __init__(self) -> None:
        self.left, self.joined, self.quiet = b"", False, False

    def receive(self, data: bytes) -> Iterator[Any]:
        *lines, self.left = (self.left + data).split(b"\n")
        for line in lines:
            yield self.command(line.decode())

    def command(self, text: str) -> Any:
        return checked(SendMessage(text) if self.joined else Join(text))

    @staticmethod
    def encode(event: Any) -> bytes:
        if not isinstance(event, Message):
            return b""
        return f"{event.username}: {event.content}\n".upper().encode()

    def tell(self, event: Any) -> bytes:
        if isinstance(event, Asked):
            self.quiet = event.command is not None
        self.joined = self.joined or isinstance(event, Welcome)
        if isinstance(event, Message) and self.quiet:
            return b""
        return super().tell(event)


@wrong("check_shouting", "the next one, in two parts, is said: expected")
class ForgetsTheRest(Shout):
    def receive(self, data: bytes) -> Iterator[Any]:
        for line in data.split(b"\n"):
            if line:
                yield self.command(line.decode())


@wrong("check_shouting", "its own words: expected b'', but got b'ANN: HELLO\\n'")
class SaysItAgain(Shout):
    def tell(self, event: Any) -> bytes:
        told = super().tell(event)
        return self.encode(event) if isinstance(event, Message) else told


@wrong("check_shouting", "the words of others: expected b'BOB: YES\\n', but got b''")
class DeafAfterItsOwn(Shout):
    def tell(self, event: Any) -> bytes:
        if isinstance(event, Asked):
            self.quiet = True
            return b""
        return super().tell(event)


@wrong(
    "check_shouting",
    "the words of others: expected b'BOB: YES\\n', but got b'bob: yes\\n'",
)
class Talks(Shout):
    @staticmethod
    def encode(event: Any) -> bytes:
        return Shout.encode(event).lower()


@wrong("check_shouting", "one encoder for all: expected True, but got False")
class AnEncoderForEach(Shout):
    def __init__(self) -> None:
        super().__init__()
        self.encode = lambda event: Shout.encode(event)  # type: ignore[misc]


@right("check_shouting")
class Split(Shout):
    pass


def shouted(event: Any) -> bytes:
    match event:
        case Message(username=name, content=text):
            return b"%s: %s\n" % (name.upper().encode(), text.upper().encode())
    return b""


@right("check_shouting")
class ByStates(Speaker):
    """What comes next is a method, which is another one once it has joined."""

    encode = staticmethod(shouted)

    def __init__(self) -> None:
        self.buffer, self.make, self.own = bytearray(), Join, None

    def receive(self, data: bytes) -> list[Any]:
        self.buffer += data
        found = []
        while b"\n" in self.buffer:
            line, _, rest = bytes(self.buffer).partition(b"\n")
            self.buffer = bytearray(rest)
            found.append(checked(self.make(line.decode())))
        return found

    def tell(self, event: Any) -> bytes:
        match event:
            case Asked(command):
                self.own = command
            case Welcome():
                self.make = SendMessage  # type: ignore[assignment]
            case Raw(data):
                return data
            case Message() if self.own is None:
                return shouted(event)
        return b""
