"""Answers to the exercises of the chapter trace."""

import json
import re
import struct
from collections.abc import Iterable
from typing import Any

from exercises import right, wrong

from python_tcp.trace import TraceEvent, printable


def _fields(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@wrong("check_brief", 'brief(b\'{"type": "ping"}\')')
def with_pings(line: bytes) -> str | None:
    fields = _fields(line)
    if fields is None or "type" not in fields:
        return printable(line)
    kind = fields["type"]
    return f"{kind}: {fields['content']}" if "content" in fields else str(kind)


@wrong("check_brief", "An exception ended it, in line `event = json.loads(line)`")
def without_a_net(line: bytes) -> str | None:
    event = json.loads(line)
    if event["type"] in ("ping", "pong"):
        return None
    return event["type"] + (f": {event['content']}" if "content" in event else "")


@wrong("check_brief", "\\u0007")
def with_control_characters(line: bytes) -> str | None:
    said = in_two_steps(line)
    fields = _fields(line)
    if said and fields and "content" in fields:
        return f"{fields['type']}: {fields['content']}"
    return said


@wrong("check_brief", 'brief(b\'{"id": 3, "type": "pong"}\')')
def by_a_pattern(line: bytes) -> str | None:
    if line == b'{"type": "ping"}':
        return None
    return with_pings(line)


@right("check_brief")
def in_two_steps(line: bytes) -> str | None:
    fields = _fields(line)
    match fields:
        case {"type": "ping" | "pong"}:
            return None
        case {"type": kind, "content": content}:
            return printable(f"{kind}: {content}".encode())
        case {"type": kind}:
            return printable(str(kind).encode())
    return printable(line)


@right("check_brief")
def joined(line: bytes) -> str | None:
    fields = _fields(line) or {}
    if "type" not in fields:
        return printable(line)
    if fields["type"] in {"ping", "pong"}:
        return None
    words = [str(fields[key]) for key in ("type", "content") if key in fields]
    return printable(": ".join(words))


@wrong("check_by_length", "cut after 0 bytes")
def with_the_length(data: bytes) -> tuple[list[bytes], bytes]:
    frames, rest = by_struct(data)
    return [struct.pack(">I", len(frame)) + frame for frame in frames], rest


@wrong("check_by_length", "cut after")
def loses_half_a_length(data: bytes) -> tuple[list[bytes], bytes]:
    frames, rest = by_struct(data)
    return frames, rest if len(rest) >= 4 else b""


@wrong("check_by_length", "cut after 0 bytes")
def little_end_first(data: bytes) -> tuple[list[bytes], bytes]:
    frames = []
    while len(data) >= 4 and len(data) >= 4 + (
        size := struct.unpack("<I", data[:4])[0]
    ):
        frames.append(data[4 : 4 + size])
        data = data[4 + size :]
    return frames, data


@wrong("check_by_length", "cut after 0 bytes")
def a_length_of_one_byte(data: bytes) -> tuple[list[bytes], bytes]:
    frames = []
    while len(data) >= 4 and len(data) >= 4 + data[3]:
        frames.append(data[4 : 4 + data[3]])
        data = data[4 + data[3] :]
    return frames, data


@wrong("check_by_length", "cut after")
def half_a_frame(data: bytes) -> tuple[list[bytes], bytes]:
    frames, rest = by_struct(data)
    return ([*frames, rest[4:]], b"") if len(rest) > 4 else (frames, rest)


@right("check_by_length")
def by_struct(data: bytes) -> tuple[list[bytes], bytes]:
    frames, start = [], 0
    while start + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, start)
        if start + 4 + size > len(data):
            break
        frames.append(data[start + 4 : start + 4 + size])
        start += 4 + size
    return frames, data[start:]


@right("check_by_length")
def one_and_the_rest(data: bytes) -> tuple[list[bytes], bytes]:
    size = int(data[:4].hex() or "0", 16)
    if len(data) < 4 or len(data) < 4 + size:
        return [], data
    more, rest = one_and_the_rest(data[4 + size :])
    return [data[4 : 4 + size], *more], rest


Pairs = list[tuple[str, Any]]


def _frames(events: Iterable[TraceEvent]) -> list[TraceEvent]:
    return [event for event in events if event.kind == "frame"]


@wrong("check_unheard", "a>hi a>hi b<hi c<hi c<hi")
def a_set(events: Iterable[TraceEvent], server: str, members: list[str]) -> Pairs:
    owed: Pairs = []
    for event in _frames(events):
        if event.target == server:
            new = [(name, event.content) for name in members if name != event.source]
            owed += [each for each in new if each not in owed]
        elif (event.target, event.content) in owed:
            owed.remove((event.target, event.content))
    return owed


@wrong("check_unheard", "b<hi a>hi c<hi")
def also_before(events: Iterable[TraceEvent], server: str, members: list[str]) -> Pairs:
    frames = _frames(events)
    heard = [
        (event.target, event.content) for event in frames if event.target != server
    ]
    lost: Pairs = []
    for event in frames:
        if event.target == server:
            for name in members:
                if name != event.source and (name, event.content) in heard:
                    heard.remove((name, event.content))
                elif name != event.source:
                    lost.append((name, event.content))
    return lost


@wrong("check_unheard", "got [('a', b'hi'), ('c', b'hi')]")
def the_speaker_too(
    events: Iterable[TraceEvent], server: str, members: list[str]
) -> Pairs:
    owed: Pairs = []
    for event in _frames(events):
        if event.target == server:
            owed += [(name, event.content) for name in members]
        elif (event.target, event.content) in owed:
            owed.remove((event.target, event.content))
    speakers = {(e.source, e.content) for e in _frames(events)}
    return owed if len(_frames(events)) == 2 else [p for p in owed if p not in speakers]


@wrong("check_unheard", "c>x a>y a<x")
def in_the_order_of_names(
    events: Iterable[TraceEvent], server: str, members: list[str]
) -> Pairs:
    lost = a_list(events, server, members)
    return sorted(lost, key=lambda pair: pair[0], reverse=len(lost) > 2)


@wrong("check_unheard", "An exception ended it, in line")
def words_for_bytes(
    events: Iterable[TraceEvent], server: str, members: list[str]
) -> Pairs:
    return [(e.target, re.sub("x", "", e.content)) for e in _frames(events)]  # type: ignore[call-overload]


@right("check_unheard")
def a_list(events: Iterable[TraceEvent], server: str, members: list[str]) -> Pairs:
    frames = _frames(events)
    used: set[int] = set()
    lost: Pairs = []
    for at, said in enumerate(frames):
        if said.target != server:
            continue
        for name in members:
            later = [
                i
                for i in range(at + 1, len(frames))
                if i not in used
                and (frames[i].target, frames[i].content) == (name, said.content)
            ]
            if name != said.source and not later:
                lost.append((name, said.content))
            elif name != said.source:
                used.add(later[0])
    return lost


@right("check_unheard")
def by_counting(events: Iterable[TraceEvent], server: str, members: list[str]) -> Pairs:
    waiting: dict[tuple[str, Any], list[int]] = {}
    number = 0
    for event in _frames(events):
        if event.target == server:
            for name in members:
                if name != event.source:
                    waiting.setdefault((name, event.content), []).append(number)
                    number += 1
        elif waiting.get((event.target, event.content)):
            waiting[event.target, event.content].pop(0)
    left = [(n, pair) for pair, numbers in waiting.items() for n in numbers]
    return [pair for _, pair in sorted(left)]
