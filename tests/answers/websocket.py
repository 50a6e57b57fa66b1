"""Answers to the exercises of the chapter websocket."""

import struct

from exercises import right, wrong
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode


@wrong(
    "check_close_frame",
    "close_frame(1000, ''... of 0 characters): expected b'\\x88\\x02",
)
def without_a_length(code: int, reason: str) -> bytes:
    return b"\x88" + code.to_bytes(2, "big") + reason.encode()


@wrong("check_close_frame", "of 200 characters): expected b'\\x88}")
def never_cut(code: int, reason: str) -> bytes:
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes([0x88, min(len(payload), 255)]) + payload


@wrong("check_close_frame", "of 200 characters): expected b'\\x88}")
def cut_by_characters_at_125(code: int, reason: str) -> bytes:
    payload = code.to_bytes(2, "big") + reason[:125].encode()
    return bytes([0x88, len(payload)]) + payload


@wrong("check_close_frame", "of 100 characters): expected b'\\x88|")
def cut_by_characters(code: int, reason: str) -> bytes:
    payload = code.to_bytes(2, "big") + reason[:123].encode()
    return bytes([0x88, len(payload)]) + payload


@wrong("check_close_frame", "expected b'\\x88\\x02\\x03\\xe8'")
def the_wrong_way_round(code: int, reason: str) -> bytes:
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return bytes([0x88, 2 + len(text)]) + struct.pack("<H", code) + text


@wrong("check_close_frame", "expected b'\\x88\\x02\\x03\\xe8'")
def masked(code: int, reason: str) -> bytes:
    text = reason.encode()[:123].decode(errors="ignore").encode()
    payload = struct.pack("!H", code) + text
    return bytes([0x88, 0x80 | len(payload)]) + bytes(4) + payload


@right("check_close_frame")
def shortened_until_it_fits(code: int, reason: str) -> bytes:
    while len(reason.encode()) > 123:
        reason = reason[:-1]
    payload = struct.pack("!H", code) + reason.encode()
    return struct.pack("!BB", 0x88, len(payload)) + payload


@right("check_close_frame")
def by_the_library(code: int, reason: str) -> bytes:
    data = reason.encode()
    end = next(n for n in range(min(len(data), 123), -1, -1) if whole(data[:n]))
    close = Close(code, data[:end].decode()).serialize()
    return Frame(Opcode.CLOSE, close).serialize(mask=False)


def whole(data: bytes) -> bool:
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


@wrong("check_rules", "breaks_a_rule(0x00, 0x85): expected False, but got True")
def every_long_one(first: int, second: int) -> bool:
    return first & 0x70 != 0 or first & 15 not in (0, 1, 2, 8, 9, 10) or second != 0x80


@wrong("check_rules", "breaks_a_rule(0x08, 0x80): expected True, but got False")
def halves_of_control_frames(first: int, second: int) -> bool:
    known = first & 15 in (0, 1, 2, 8, 9, 10)
    too_long = first & 8 and second & 127 > 125
    return bool(first & 0x70 or not known or not second & 0x80 or too_long)


@wrong("check_rules", "breaks_a_rule(0x10, 0x80): expected True, but got False")
def reserved_bits(first: int, second: int) -> bool:
    known = first & 15 in (0, 1, 2, 8, 9, 10)
    control = first & 8 and (not first & 0x80 or second & 127 > 125)
    return bool(not known or not second & 0x80 or control)


@wrong("check_rules", "expected True, but got False")
def long_control_frames(first: int, second: int) -> bool:
    known = first & 15 in (0, 1, 2, 8, 9, 10)
    half = first & 8 and not first & 0x80
    return bool(first & 0x70 or not known or not second & 0x80 or half)


@right("check_rules")
def rule_by_rule(first: int, second: int) -> bool:
    fin, reserved, opcode = first >> 7, first >> 4 & 7, first & 15
    masked, length = second >> 7, second & 127
    rules = [
        reserved == 0,
        opcode in {0, 1, 2, 8, 9, 10},
        masked == 1,
        opcode < 8 or fin == 1,
        opcode < 8 or length <= 125,
    ]
    return not all(rules)


@right("check_rules")
def asked_of_the_library(first: int, second: int) -> bool:
    if first & 0x70 or not second & 0x80:
        return True
    try:
        size = second & 127
        Frame(Opcode(first & 15), bytes(size), bool(first & 0x80)).check()
    except (ValueError, ProtocolError):
        return True
    return False
