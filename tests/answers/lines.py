"""Answers to the exercise of the chapter lines."""

import re

from exercises import right, wrong


@wrong("check_edited", "edited(b'hix\\x7f'): expected b'hi', but got b'hix'")
def leaves_it_out(data: bytes) -> bytes:
    return data.replace(b"\x7f", b"")


@wrong("check_edited", "edited(b'ab\\x7f\\x7fc'): expected b'c', but got b'a\\x7fc'")
def once(data: bytes) -> bytes:
    return re.sub("[^\x7f]\x7f|^\x7f+", "", data.decode()).encode()


@wrong("check_edited", "exception ended it, in line `line.pop()`")
def from_an_empty_line(data: bytes) -> bytes:
    line: list[str] = []
    for char in data.decode():
        if char == "\x7f":
            line.pop()
        else:
            line.append(char)
    return "".join(line).encode()


@wrong("check_edited", "expected b'hi', but got 'hi'")
def as_text(data: bytes) -> str:
    return with_a_pattern(data).decode()


@wrong("check_edited", "but got b'gr\\xc3\\xc3\\xbc\\xc3\\x9fe'")
def a_byte(data: bytes) -> bytes:
    line = b""
    for byte in data:
        line = line[:-1] if byte == 127 else line + bytes([byte])
    return line


@right("check_edited")
def with_a_pattern(data: bytes) -> bytes:
    text = data.decode()
    while "\x7f" in text:
        text = re.sub("(^|[^\x7f])\x7f", "", text, count=1)
    return text.encode()


@right("check_edited")
def to_the_first_byte(data: bytes) -> bytes:
    """The bytes of a character after its first one begin with the bits 10."""
    line = bytearray()
    for byte in data:
        if byte != 127:
            line.append(byte)
            continue
        while line and line.pop() & 0xC0 == 0x80:
            pass
    return bytes(line)
