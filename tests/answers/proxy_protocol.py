"""Answers to the exercises of the chapter proxy_protocol."""

import struct

from exercises import right, wrong

from python_tcp.proxy_protocol import ProxyHeaderParser


@wrong("check_authority", "a.example")
def by_search(header: bytes) -> str | None:
    found = header.find(b"\x02", 28)
    return None if found < 0 else header[found + 3 :].decode()


@wrong("check_authority", "expected 'a.example', but got None")
def only_the_first(header: bytes) -> str | None:
    name = by_slices(header)
    return name if header[28:29] == b"\x02" else None


@wrong("check_authority", "xxx")
def a_length_of_one_byte(header: bytes) -> str | None:
    at = 28
    while at < len(header):
        size = header[at + 2]
        if header[at] == 2:
            return header[at + 3 : at + 3 + size].decode()
        at += 3 + header[at + 1] * 256 + size
    return None


@wrong("check_authority", "expected 'chat.example', but got b'chat.example'")
def bytes_(header: bytes) -> bytes | None:
    name = by_slices(header)
    return None if name is None else name.encode()


@wrong("check_authority", "TLVs []")
def empty_text(header: bytes) -> str:
    return by_slices(header) or ""


@right("check_authority")
def by_slices(header: bytes) -> str | None:
    rest = header[28:]
    while rest:
        kind, size = rest[0], int.from_bytes(rest[1:3], "big")
        value, rest = rest[3 : 3 + size], rest[3 + size :]
        if kind == 2:
            return value.decode()
    return None


@right("check_authority")
def with_struct(header: bytes) -> str | None:
    at, found = 28, dict[int, bytes]()
    while at < len(header):
        kind, size = struct.unpack_from("!BH", header, at)
        found.setdefault(kind, header[at + 3 : at + 3 + size])
        at += 3 + size
    return found[2].decode() if 2 in found else None


@wrong("check_reads", "expected 1, but got 15")
def as_many_as_bytes(header: bytes) -> int:
    return len(header)


@wrong("check_reads", "expected 2, but got 1")
def always_one(header: bytes) -> int:
    return 1


@wrong("check_reads", "expected 1, but got 2")
def one_too_many(header: bytes) -> int:
    return recursive(header) + 1


@wrong("check_reads", "expected 3, but got 2")
def by_version(header: bytes) -> int:
    return 1 if header == b"PROXY UNKNOWN\r\n" else 2


@right("check_reads")
def recursive(header: bytes, parser: ProxyHeaderParser | None = None) -> int:
    if not header:
        return 0
    parser = parser or ProxyHeaderParser()
    wanted = parser.wanted
    parser.feed(header[:wanted])
    return 1 + recursive(header[wanted:], parser)


@right("check_reads")
def by_position(header: bytes) -> int:
    parser, at, sizes = ProxyHeaderParser(), 0, list[int]()
    while at < len(header):
        sizes.append(parser.wanted)
        parser.feed(header[at : at + sizes[-1]])
        at += sizes[-1]
    return len(sizes)
