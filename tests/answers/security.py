"""Answers to the exercises of the chapter security."""

import re
import struct

from exercises import right, wrong

Found = list[tuple[int, int]]


@wrong("check_records", "Four records at once")
class OneForEachChunk:
    def feed(self, data: bytes) -> Found:
        return [(data[0], int.from_bytes(data[3:5], "big"))]


@wrong("check_records", "The same in pieces of 1")
class WithoutMemory:
    def feed(self, data: bytes) -> Found:
        return Slices().feed(data)


@wrong("check_records", "Four records at once")
class LittleEndFirst:
    def feed(self, data: bytes) -> Found:
        return [(kind, (n >> 8) | (n & 255) << 8) for kind, n in Slices().feed(data)]


@wrong("check_records", "Four records at once")
class WithTheHead:
    def feed(self, data: bytes) -> Found:
        return [(kind, n + 5) for kind, n in Slices().feed(data)]


@wrong("check_records", "All but the last byte")
class AtTheHead:
    """Names a record as soon as its length is known."""

    def __init__(self) -> None:
        self.rest = b""
        self.skip = 0

    def feed(self, data: bytes) -> Found:
        found: Found = []
        for byte in data:
            if self.skip:
                self.skip -= 1
                continue
            self.rest += bytes([byte])
            if len(self.rest) == 5:
                found.append((self.rest[0], int.from_bytes(self.rest[3:], "big")))
                self.skip, self.rest = found[-1][1], b""
        return found


@right("check_records")
class Slices:
    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Found:
        self.rest, found, start = self.rest + data, [], 0
        while len(self.rest) - start >= 5:
            kind, _, size = struct.unpack_from(">BHH", self.rest, start)
            if start + 5 + size > len(self.rest):
                break
            found.append((kind, size))
            start += 5 + size
        self.rest = self.rest[start:]
        return found


@right("check_records")
class ByteByByte:
    def __init__(self) -> None:
        self.head = bytearray()
        self.missing = 0

    def feed(self, data: bytes) -> list[tuple[int, int]]:
        found = []
        for byte in data:
            if len(self.head) < 5:
                self.head.append(byte)
                self.missing = int.from_bytes(self.head[3:5], "big")
            else:
                self.missing -= 1
            if len(self.head) == 5 and not self.missing:
                found.append((self.head[0], int.from_bytes(self.head[3:5], "big")))
                self.head.clear()
        return found


@wrong("check_fits", "*.example.org for '.example.org'")
def by_the_end(pattern: str, name: str) -> bool:
    return name.lower().endswith(pattern.lower().removeprefix("*"))


@wrong("check_fits", "chat.example.org for 'Chat.Example.ORG'")
def with_capitals(pattern: str, name: str) -> bool:
    return pattern == name


@wrong("check_fits", "*.example.org for 'a.b.example.org'")
def like_a_shell(pattern: str, name: str) -> bool:
    words = pattern.lower().split("*")
    return re.fullmatch(".+".join(map(re.escape, words)), name.lower()) is not None


@wrong("check_fits", "chat.*.org for 'chat.example.org'")
def a_star_anywhere(pattern: str, name: str) -> bool:
    words = pattern.lower().split("*")
    return re.fullmatch("[^.]+".join(map(re.escape, words)), name.lower()) is not None


@wrong("check_fits", "*.Example.ORG for 'chat.example.org'")
def only_the_name(pattern: str, name: str) -> bool:
    return pattern in (name.lower(), "*." + name.lower().partition(".")[2]) and bool(name[:1].strip("."))  # fmt: skip


@right("check_fits")
def part_by_part(pattern: str, name: str) -> bool:
    wanted, parts = pattern.lower().split("."), name.lower().split(".")
    if wanted[0] == "*" and parts[0]:
        wanted, parts = wanted[1:], parts[1:]
    return wanted == parts


@right("check_fits")
def with_an_expression(pattern: str, name: str) -> bool:
    expression = re.escape(pattern)
    if pattern.startswith("*."):
        expression = r"[^.]+\." + re.escape(pattern[2:])
    return bool(re.fullmatch(expression, name, re.IGNORECASE))
