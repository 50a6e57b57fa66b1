"""Answers to the exercises of the chapter framing."""

import random
import re
from collections.abc import Callable
from typing import Any

from exercises import right, wrong


@wrong("check_add_line", "two\\nlines")
def of_any_text(text: str) -> bytes:
    return text.encode() + b"\n"


@wrong("check_add_line", "ends with\\r")
def without_newlines(text: str) -> bytes:
    if "\n" in text:
        raise ValueError(text)
    return text.encode() + b"\n"


@wrong("check_add_line", "add_line('a\\rb')")
def without_any_cr(text: str) -> bytes:
    if {"\n", "\r"} & set(text):
        raise ValueError(text)
    return text.encode() + b"\n"


@wrong("check_add_line", "Grüße")
def in_latin_1(text: str) -> bytes:
    if "\n" in text or text.endswith("\r"):
        raise ValueError(text)
    return text.encode("latin-1", "replace") + b"\n"


@right("check_add_line")
def with_cr_lf(text: str) -> bytes:
    line = text.encode()
    if b"\n" in line or line.endswith(b"\r"):
        raise ValueError(text)
    return line + b"\r\n"


@right("check_add_line")
def by_a_pattern(text: str) -> bytes:
    if not re.fullmatch(r"[^\n]*(?<!\r)", text):
        raise ValueError(text)
    return f"{text}\n".encode()


END = b"\r\n\r\n"


@wrong("check_heads", "Fed")
class InEachChunk:
    def __init__(self, limit: int) -> None:
        self.rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        first, *others = chunk.split(END)
        *heads, self.rest = [self.rest + first, *others]
        return heads


@wrong("check_heads", "In one piece")
class OneAtATime:
    def __init__(self, limit: int) -> None:
        self.rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        head, end, self.rest = (self.rest + chunk).partition(END)
        return [head] if end else []


@wrong("check_heads", "In one piece")
class WithoutEmptyOnes:
    def __init__(self, limit: int) -> None:
        self.rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *heads, self.rest = (self.rest + chunk).split(END)
        return [head for head in heads if head]


@wrong("check_heads", "In one piece")
class WithTheEnd:
    def __init__(self, limit: int) -> None:
        self.rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *heads, self.rest = (self.rest + chunk).split(END)
        return [head + END for head in heads]


class _Heads:
    """Right, but for what its children say."""

    def __init__(self, limit: int) -> None:
        self.limit, self.kept = limit, bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        start = max(0, len(self.kept) - 3)
        self.kept += chunk
        heads = []
        while (end := self.kept.find(END, start)) >= 0:
            heads.append(self.head(bytes(self.kept[:end])))
            del self.kept[: end + 4]
            start = 0
        self.bound(len(self.kept) - 3)
        return heads

    def head(self, head: bytes) -> bytes:
        self.bound(len(head))
        return head

    def bound(self, size: int) -> None:
        if size > self.limit:
            raise ValueError("too long")


@wrong("check_heads", "In one piece")
class Stripped(_Heads):
    def head(self, head: bytes) -> bytes:
        return super().head(head).strip()


@wrong("check_heads", "Limit 22")
class WithoutABound(_Heads):
    def bound(self, size: int) -> None:
        pass


@wrong("check_heads", "Limit 1000, fed b'x' 1100 times")
class BoundOnlyAtTheEnd(_Heads):
    def feed(self, chunk: bytes) -> list[bytes]:
        try:
            return super().feed(chunk)
        except ValueError:
            if END in self.kept:
                raise
            return []


@wrong("check_heads", "At most 500,000 bytes were copied")
class Quadratic:
    def __init__(self, limit: int) -> None:
        self.limit, self.rest = limit, b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *heads, self.rest = (self.rest + chunk).split(END)
        sizes = [*map(len, heads), len(self.rest) - 3]
        if max(sizes) > self.limit:
            raise ValueError("too long")
        return heads


@right("check_heads")
class Searches(_Heads):
    pass


@right("check_heads")
class ByteByByte:
    def __init__(self, limit: int) -> None:
        self.limit, self.head = limit, bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        heads = []
        for byte in chunk:
            self.head.append(byte)
            if self.head.endswith(END):
                heads.append(bytes(self.head[:-4]))
                self.head.clear()
            if len(self.head) > self.limit + 3 or (
                heads and len(heads[-1]) > self.limit
            ):
                raise ValueError("too long")
        return heads


@right("check_heads")
class InAList:
    """Chunks are joined when a delimiter may have ended."""

    def __init__(self, limit: int) -> None:
        self.limit, self.parts, self.size, self.last = limit, list[bytes](), 0, b""

    def feed(self, chunk: bytes) -> list[bytes]:
        self.parts.append(chunk)
        self.size += len(chunk)
        heads = list[bytes]()
        if END in bytes(self.last) + bytes(chunk):
            *heads, rest = b"".join(self.parts).split(END)
            self.parts, self.size = [rest], len(rest)
        self.last = b"".join(self.parts[-4:])[-3:]
        if max(self.size - 3, *map(len, heads), 0) > self.limit:
            raise ValueError("too long")
        return heads


class _Netstrings:
    """Right, but for what its children say."""

    DIGITS = re.compile(rb"0|[1-9][0-9]*")

    def __init__(self, limit: int) -> None:
        self.limit, self.rest = limit, b""

    def feed(self, chunk: bytes) -> list[bytes]:
        self.rest += chunk
        contents: list[bytes] = []
        while self.rest and self._next(contents):
            pass
        return contents

    def _next(self, contents: list[bytes]) -> bool:
        digits, colon, rest = self.rest.partition(b":")
        self._check(digits, bool(colon))
        if not colon:
            return False
        size = int(digits)
        if len(rest) > size and rest[size : size + 1] != b",":
            raise ValueError("no comma")
        if len(rest) <= size:
            return False
        contents.append(rest[:size])
        self.rest = rest[size + 1 :]
        return True

    def _check(self, digits: bytes, whole: bool) -> None:
        if not self.DIGITS.fullmatch(digits) or int(digits[:9]) > self.limit:
            raise ValueError("no length, or too long")


@wrong("check_netstrings", "Fed")
class AtCommas:
    def __init__(self, limit: int) -> None:
        self.buffer = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *parts, self.buffer = (self.buffer + chunk).split(b",")
        return [part.partition(b":")[2] for part in parts]


@wrong("check_netstrings", "with limit 12")
class WithoutALimit(_Netstrings):
    def _check(self, digits: bytes, whole: bool) -> None:
        if not self.DIGITS.fullmatch(digits):
            raise ValueError("no length")


@wrong("check_netstrings", "with limit 12")
class LooksWhenTheColonIsThere(_Netstrings):
    def _check(self, digits: bytes, whole: bool) -> None:
        if whole:
            super()._check(digits, whole)


@wrong("check_netstrings", "with limit 12")
class WithoutTheComma(_Netstrings):
    def _next(self, contents: list[bytes]) -> bool:
        digits, colon, rest = self.rest.partition(b":")
        self._check(digits, bool(colon))
        if not colon or len(rest) <= int(digits):
            return False
        contents.append(rest[: int(digits)])
        self.rest = rest[int(digits) + 1 :]
        return True


@right("check_netstrings")
class WithAPattern(_Netstrings):
    pass


@right("check_netstrings")
class AByteAtATime:
    def __init__(self, limit: int) -> None:
        self.limit, self.size, self.digits = limit, None, 0
        self.content = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        return [content for byte in chunk for content in self.take(byte)]

    def take(self, byte: int) -> list[bytes]:
        self.size: int | None
        if self.size is None or self.digits >= 0:
            return self.take_length(byte)
        if len(self.content) < self.size:
            self.content.append(byte)
            return []
        if byte != ord(","):
            raise ValueError("no comma")
        content = bytes(self.content)
        self.content.clear()
        self.size, self.digits = None, 0
        return [content]

    def take_length(self, byte: int) -> list[bytes]:
        if byte == ord(":") and self.digits:
            self.digits = -1
            return []
        if not ord("0") <= byte <= ord("9") or (self.digits and self.size == 0):
            raise ValueError("no length")
        self.size = (self.size or 0) * 10 + byte - ord("0")
        self.digits += 1
        if self.size > self.limit:
            raise ValueError("too long")
        return []


def _frames(framer: Any, stream: bytes, sizes: list[int]) -> list[bytes]:
    frames, start = [], 0
    for size in [*sizes, len(stream)]:
        frames += framer.feed(stream[start : start + size])
        start += size
    return frames


@wrong("check_is_right", "Forgetful")
def one_chunk(make: Callable[[], Any]) -> bool:
    return bool(make().feed(b"one\r\n\ntwo\n") == [b"one", b"", b"two"])


@wrong("check_is_right", "CutsCR")
def two_chunks(make: Callable[[], Any]) -> bool:
    lines = _frames(make(), b"one\r\n\ntwo\nthree\n", [2])
    return lines == [b"one", b"", b"two", b"three"]


@wrong("check_is_right", "is_right(LineFramer), which is right")
def never(make: Callable[[], Any]) -> bool:
    return False


@wrong("check_is_right", "LosesEmpty")
def without_empty_lines(make: Callable[[], Any]) -> bool:
    stream = b"one\r\ntwo\na\rb\n"
    cuts = [_frames(make(), stream, [i]) for i in range(len(stream))]
    return all(each == [b"one", b"two", b"a\rb"] for each in cuts)


@right("check_is_right")
def every_cut(make: Callable[[], Any]) -> bool:
    stream = b"one\r\n\ntwo\na\rb\n\r\nend\n"
    lines = [b"one", b"", b"two", b"a\rb", b"", b"end"]
    return all(_frames(make(), stream, [i]) == lines for i in range(len(stream) + 1))


@right("check_is_right")
def by_chance(make: Callable[[], Any]) -> bool:
    chance = random.Random(7)
    for _ in range(300):
        stream = bytes(chance.choices(b"a\r\n", k=20)) + b"\n"
        lines = [line.removesuffix(b"\r") for line in stream.split(b"\n")[:-1]]
        sizes = [chance.randrange(5) for _ in range(5)]
        if _frames(make(), stream, sizes) != lines:
            return False
    return True


@wrong("check_is_right", "is_right(ByteByByte), which is right")
def is_the_books(make: Any) -> bool:
    return bool(make.__name__ == "LineFramer")
