"""Answers to the exercises of the chapter protocol."""

from typing import Any

from exercises import right, wrong

from python_tcp.commands import MAX_LINE
from python_tcp.events import Error
from python_tcp.framing import LengthFramer, add_length
from python_tcp.protocol import decode, encode

GOOD: dict[str, Any] = {
    "bad_json": b"}",
    "bad_utf8": b'"\xc3"',
    "bad_message": b"[]",
    "unknown_type": b'{"type":"fly"}',
    "bad_name": b'{"type":"join","username":" "}',
    "bad_room": b'{"type":"users","room":"!"}',
}


@wrong("check_lines", "The code of decode(b'{}'): expected 'unknown_type'")
class NoType:
    get = (GOOD | {"unknown_type": b"{}"}).get


@wrong(
    "check_lines", "The code of decode(b''): expected 'bad_room', but got 'bad_json'"
)
class OneMissing:
    get = {code: line for code, line in GOOD.items() if code != "bad_room"}.get


@wrong("check_lines", "has at most 40 bytes: expected True, but got False")
class TooLong:
    get = (GOOD | {"bad_name": b'{"type":"join", "username":"", "room":"lobby"}'}).get


@wrong("check_lines", "is of the type: expected 'bytes', but got 'str'")
class Text:
    get = (GOOD | {"bad_json": "{"}).get


@wrong("check_lines", "expected 'bad_name', but got 'no error'")
class AGoodName:
    get = (GOOD | {"bad_name": b'{"type":"join","username":"ann"}'}).get


@right("check_lines")
class Shortest:
    get = GOOD.get


@right("check_lines")
class Others:
    get = {
        "bad_json": b'{"type":"ping"',
        "bad_utf8": b'{"type":"\xff"}',
        "bad_message": b'{"type":1}',
        "unknown_type": b'{"type":"Ping"}',
        "bad_name": b'{"type":"join","username":"a b"}',
        "bad_room": b'{"type":"leave","room":"#"}',
    }.get


class Dialect:
    """As a right one, where a wrong one has not changed it."""

    def __init__(self) -> None:
        self.framer = LengthFramer(MAX_LINE)

    def receive(self, data: bytes) -> list[Any]:
        return [self.one(frame) for frame in self.framer.feed(data)]

    def one(self, frame: Any) -> Any:
        if isinstance(frame, bytes):
            return decode(frame)
        return Error("too_long", "so long a frame is not read")

    def encode(self, event: Any) -> bytes:
        return add_length(encode(event).rstrip(b"\n"))


@wrong("check_dialect", "The length in front of it")
class CountsTooMuch(Dialect):
    """It counts the length too."""

    def encode(self, event: Any) -> bytes:
        data = encode(event)[:-1]
        return (len(data) + 4).to_bytes(4, "big") + data


@wrong("check_dialect", "A frame that is too long: expected ['too_long'], but got []")
class SaysNothingOfIt(Dialect):
    def receive(self, data: bytes) -> list[Any]:
        frames = self.framer.feed(data)
        return [decode(frame) for frame in frames if isinstance(frame, bytes)]


@wrong("check_dialect", "exception ended it")
class DecodesEverything(Dialect):
    def one(self, frame: Any) -> Any:
        return decode(frame)


@wrong("check_dialect", "What comes after it: expected []")
class BeginsAnew(Dialect):
    def one(self, frame: Any) -> Any:
        if not isinstance(frame, bytes):
            self.framer = LengthFramer(1 << 40)
            self.framer.feed(b"\0\0\0\0")
        return super().one(frame)

    def receive(self, data: bytes) -> list[Any]:
        if data.startswith(b"x"):
            data = data.lstrip(b"x")
        return super().receive(data)


@wrong("check_dialect", "The same, byte by byte")
class EachChunk(Dialect):
    def receive(self, data: bytes) -> list[Any]:
        self.framer = LengthFramer(MAX_LINE)
        return super().receive(data)


@right("check_dialect")
class WithALoop(Dialect):
    pass


@right("check_dialect")
class ByHand:
    """Without the framer."""

    def __init__(self) -> None:
        self.data, self.broken = bytearray(), False

    def receive(self, data: bytes) -> list[Any]:
        self.data += data
        found: list[Any] = []
        while not self.broken and len(self.data) >= 4:
            size = int.from_bytes(self.data[:4], "big")
            if size > MAX_LINE:
                self.broken = True
                found.append(Error("too_long", "too long"))
            elif len(self.data) < 4 + size:
                break
            else:
                found.append(decode(bytes(self.data[4 : 4 + size])))
                del self.data[: 4 + size]
        return found

    def encode(self, event: Any) -> bytes:
        line = encode(event)
        return (len(line) - 1).to_bytes(4, "big") + line[:-1]
