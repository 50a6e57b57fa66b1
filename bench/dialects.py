"""How each server is spoken to: join a room, say a line, and cut what comes back into messages.

The content of every message has one fixed width, `SSSS-NNNNNNN xxxx…`: sender, number, padding. So what a
client sends, and (in most protocols) what it must hear, is known but for those digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec


class Broken(Exception):
    """The server did not keep its promise: a message lost, doubled, out of order or garbled."""


# A frame that was split off: where it ends in the bytes; its content (None: not a message, somebody left, say);
# who said it and the server's own number for it, where the protocol tells.
Frame = tuple[int, bytes | None, str | None, int | None]


def user_name(index: int) -> str:
    return f"u{index:04d}"


def content_of(sender: int, n: int, size: int) -> bytes:
    return (b"%04d-%07d " % (sender, n)).ljust(size, b"x")


class Dialect:
    """One protocol. Lines by default; `split` yields complete frames only."""

    joined = b""  # the bytes that say "you are in"
    end = b"\n"  # what ends a frame after its content
    private = b""  # a frame for one client alone (a keep-alive) ...
    answer = b""  # ... and what to answer
    apart = False  # True: who listens can't hear himself, so each user talks on a second connection
    talking = b""  # the bytes that say "you may talk", on that second connection
    told = b""  # with what an answer on that second connection begins, if each line there is answered
    one_order = True  # all members of a room get its messages in the same order
    quick_ack = False  # acknowledge at once what was received (for a server that keeps Nagle's algorithm on)
    batch = 50  # connect this many, wait until all are in, then the next: so no backlog overflows
    largest = 4000  # the longest content that it carries

    def hello(self, user: str, room: str) -> bytes:
        raise NotImplementedError

    def hello_apart(self, user: str) -> bytes:
        return b""

    def say(self, room: str, content: bytes) -> bytes:
        raise NotImplementedError

    def split(self, data: bytes, room: str, size: int) -> Iterator[Frame]:
        raise NotImplementedError


class _Line(msgspec.Struct):
    type: str
    room: str = ""
    seq: int | None = None
    username: str = ""
    content: str = ""
    code: str = ""


class ChatV1(Dialect):
    """python_tcp's own protocol: one JSON object a line."""

    joined = b'"welcome"'
    private = b'{"type":"ping"}\n'
    answer = b'{"type":"pong"}\n'

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Line).decode

    def hello(self, user: str, room: str) -> bytes:
        return b'{"type":"join","username":"%s","room":"%s"}\n' % (
            user.encode(),
            room.encode(),
        )

    def say(self, room: str, content: bytes) -> bytes:
        return b'{"type":"message","content":"%s"}\n' % content

    def split(self, data: bytes, room: str, size: int) -> Iterator[Frame]:
        start = 0
        while end := data.find(b"\n", start) + 1:
            try:
                line = self._decode(data[start:end])
            except msgspec.DecodeError as e:
                raise Broken(f"garbled: {data[start:end][:120]!r} ({e})") from None
            if line.type == "message":
                if line.room and line.room != room:
                    raise Broken(
                        f"garbled: a message of room {line.room} in room {room}"
                    )
                yield (end, line.content.encode(), line.username, line.seq)
            elif line.type in ("leave", "status"):
                yield (end, None, line.username, None)
            else:
                raise Broken(
                    f"garbled: a {line.type!r} among the messages: {data[start:end][:160]!r}"
                )
            start = end


def _masked(data: bytes) -> bytes:
    """A text message of a client. The mask is zero, so that the text stands there as it is."""
    size = len(data)
    length = bytes([128 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


class Web(ChatV1):
    """The same protocol as a page in a browser speaks it: one JSON object in each WebSocket message."""

    end = b"}"
    private = b"\x89\0"  # a ping ...
    answer = b"\x8a\x80\0\0\0\0"  # ... and a pong

    _upgrade = (
        b"GET /socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    def hello(self, user: str, room: str) -> bytes:
        return self._upgrade + _masked(super().hello(user, room)[:-1])

    def say(self, room: str, content: bytes) -> bytes:
        return _masked(super().say(room, content)[:-1])

    def split(self, data: bytes, room: str, size: int) -> Iterator[Frame]:
        start = 0
        while start + 4 <= len(data):
            if data[start] != 0x81:
                raise Broken(f"garbled: {data[start : start + 40]!r} is no text")
            length, begin = data[start + 1], start + 2
            if length == 126:
                length, begin = (
                    int.from_bytes(data[begin : begin + 2], "big"),
                    begin + 2,
                )
            end = begin + length
            if end > len(data):
                return
            line = data[begin:end] + b"\n"
            for _, content, user, seq in super().split(line, room, size):
                yield (end, content, user, seq)
            start = end


class Fixed(Dialect):
    """A protocol whose frames are a constant head, the content, and a constant tail."""

    def heard(self, room: str, content: bytes) -> bytes:
        raise NotImplementedError

    def split(self, data: bytes, room: str, size: int) -> Iterator[Frame]:
        head, _, tail = self.heard(room, b"\0" * size).partition(b"\0" * size)
        start, whole = 0, len(head) + size + len(tail)
        while start + whole <= len(data):
            end = start + whole
            if not data.startswith(head, start) or not data.startswith(
                tail, end - len(tail)
            ):
                raise Broken(f"garbled: {data[start:end][:160]!r}")
            yield (end, data[start + len(head) : end - len(tail)], None, None)
            start = end


class Redis(Fixed):
    """RESP3: a subscriber may publish on its one connection, and CLIENT REPLY OFF spares Redis the answers."""

    joined = b"$9\r\nsubscribe\r\n"

    def hello(self, user: str, room: str) -> bytes:
        return b"HELLO 3\r\nSUBSCRIBE %s\r\nCLIENT REPLY OFF\r\n" % room.encode()

    def say(self, room: str, content: bytes) -> bytes:
        return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
            len(room),
            room.encode(),
            len(content),
            content,
        )

    def heard(self, room: str, content: bytes) -> bytes:
        return b">3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
            len(room),
            room.encode(),
            len(content),
            content,
        )


class RedisTwo(Redis):
    """The same as most client libraries do it: one connection subscribes, another publishes and gets an answer."""

    apart = True
    talking = b"+PONG\r\n"
    told = b":"

    def hello(self, user: str, room: str) -> bytes:
        return b"HELLO 3\r\nSUBSCRIBE %s\r\n" % room.encode()

    def hello_apart(self, user: str) -> bytes:
        return b"PING\r\n"


class Nats(Fixed):
    """Every subscriber takes the same subscription id, so that all of them get the same bytes.

    NATS promises the order of each sender's messages, not one order of all senders' messages for everybody.
    """

    one_order = False

    joined = b"PONG\r\n"
    private = b"PING\r\n"
    answer = b"PONG\r\n"

    def hello(self, user: str, room: str) -> bytes:
        return (
            b'CONNECT {"verbose":false,"pedantic":false,"echo":true}\r\nSUB %s 1\r\nPING\r\n'
            % room.encode()
        )

    def say(self, room: str, content: bytes) -> bytes:
        return b"PUB %s %d\r\n%s\r\n" % (room.encode(), len(content), content)

    def heard(self, room: str, content: bytes) -> bytes:
        return b"MSG %s 1 %d\r\n%s\r\n" % (room.encode(), len(content), content)


class Mqtt(Fixed):
    """MQTT 3.1.1, QoS 0, no keep-alive."""

    joined = b"\x90\x03\x00\x01\x00"
    end = b""

    @staticmethod
    def _packet(kind: int, body: bytes) -> bytes:
        n, length = len(body), b""
        while True:
            n, digit = n >> 7, n & 127
            length += bytes([digit | (128 if n else 0)])
            if not n:
                return bytes([kind]) + length + body

    @staticmethod
    def _text(text: str) -> bytes:
        return len(text).to_bytes(2, "big") + text.encode()

    def hello(self, user: str, room: str) -> bytes:
        connect = self._text("MQTT") + b"\x04\x02\x00\x00" + self._text(user)
        return self._packet(0x10, connect) + self._packet(
            0x82, b"\x00\x01" + self._text(room) + b"\x00"
        )

    def say(self, room: str, content: bytes) -> bytes:
        return self._packet(0x30, self._text(room) + content)

    heard = say


class Irc(Dialect):
    """IRC does not echo, so each user listens on one connection in the channel and talks on another outside it.

    Every listener then hears every message once, as in the other protocols, and the server sends no byte more.
    ngIRCd leaves Nagle's algorithm on, and a listener that never talks would acknowledge up to 40 ms late: to be
    fair, ours acknowledge at once.
    """

    quick_ack = True
    batch = 4  # ngIRCd listens with a backlog of 10; each refused handshake would cost a second

    joined = b" 366 "
    apart = True
    talking = b" 001 "
    largest = 400

    _privmsg = re.compile(rb":([^ !]+)![^ ]+ PRIVMSG #([^ ]+) :([^\r\n]*)\r\n")

    @staticmethod
    def _register(nick: str) -> bytes:
        return b"NICK %s\r\nUSER %s 0 * :bench\r\n" % (nick.encode(), nick.encode())

    def hello(self, user: str, room: str) -> bytes:
        return self._register("l" + user[1:]) + b"JOIN #%s\r\n" % room.encode()

    def hello_apart(self, user: str) -> bytes:
        return self._register(user)

    def say(self, room: str, content: bytes) -> bytes:
        return b"PRIVMSG #%s :%s\r\n" % (room.encode(), content)

    def split(self, data: bytes, room: str, size: int) -> Iterator[Frame]:
        start = 0
        while end := data.find(b"\n", start) + 1:
            if m := self._privmsg.fullmatch(data, start, end):
                if m[2].decode() != room:
                    raise Broken(f"garbled: a message of {m[2]!r} in {room}")
                yield (end, m[3], m[1].decode(), None)
            elif b" QUIT " in data[start:end]:
                yield (end, None, None, None)
            else:
                raise Broken(f"garbled: {data[start:end][:160]!r}")
            start = end


DIALECTS: dict[str, type[Dialect]] = {
    "v1": ChatV1,
    "web": Web,
    "redis": Redis,
    "redis2": RedisTwo,
    "nats": Nats,
    "mqtt": Mqtt,
    "irc": Irc,
}
