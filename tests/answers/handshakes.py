"""Answers to the exercises of the chapter handshakes."""

import re
from collections import deque

from exercises import right, wrong


@wrong("check_protocol", "protocol(b'POST ')")
def two_methods(first: bytes) -> str | None:
    names = {b"\x16": "tls", b"GET ": "http", b"SSH-": "ssh"}
    return next((names[word] for word in names if first.startswith(word)), "other")


@wrong("check_protocol", "protocol(b'GETTING')")
def without_the_space(first: bytes) -> str | None:
    words = {b"\x16": "tls", b"GET": "http", b"HEAD": "http", b"POST": "http"}
    words[b"SSH-"] = "ssh"
    for word, name in words.items():
        if first.startswith(word):
            return name
    return None if any(word.startswith(first) for word in words) else "other"


@wrong("check_protocol", "protocol(b'SSL')")
def by_its_length(first: bytes) -> str | None:
    if len(first) < 4 and first[:1] in (b"", b"G", b"H", b"P", b"S"):
        return None
    return by_pattern(first)


@wrong("check_protocol", "protocol(b'')")
def other_for_nothing(first: bytes) -> str | None:
    return by_pattern(first) if first else "other"


@wrong("check_protocol", "protocol(b'get / HTTP/1.1')")
def in_any_case(first: bytes) -> str | None:
    return by_pattern(first.upper())


@right("check_protocol")
def by_pattern(first: bytes) -> str | None:
    if first[:1] == b"\x16":
        return "tls"
    if re.match(rb"(GET|HEAD|POST) ", first):
        return "http"
    if first[:4] == b"SSH-":
        return "ssh"
    begun = rb"|G|GE|GET|H|HE|HEA|HEAD|P|PO|POS|POST|S|SS|SSH"
    return None if re.fullmatch(begun, first) else "other"


@right("check_protocol")
def byte_by_byte(first: bytes) -> str | None:
    left = {b"\x16": "tls", b"SSH-": "ssh", b"GET ": "http", b"HEAD ": "http", b"POST ": "http"}  # fmt: skip
    for index, byte in enumerate(first):
        left = {word: name for word, name in left.items() if word[index] == byte}
        for word, name in left.items():
            if len(word) == index + 1:
                return name
        if not left:
            return "other"
    return None


class _Share:
    """Right, but for what its children change."""

    def __init__(self, most: int) -> None:
        self.most, self.tick, self.steps = most, 0, 0
        self.waiting: deque[str] = deque()

    def may_work(self, tick: int, name: str) -> bool:
        if tick != self.tick:
            self.tick, self.steps = tick, 0
        if self._kept(name) < self.most - self.steps:
            if name in self.waiting:
                self.waiting.remove(name)
            self.steps += 1
            return True
        if name not in self.waiting:
            self._wait(name)
        return False

    def _wait(self, name: str) -> None:
        self.waiting.append(name)

    def _kept(self, name: str) -> int:
        """The places that are kept for others before this one."""
        before = list(self.waiting)
        return before.index(name) if name in before else len(before)


@wrong("check_share", "a, e, c, d ask in tick 2")
class OnlyCounts(_Share):
    def _kept(self, name: str) -> int:
        return 0


@wrong("check_share", "a, b, c, d ask in tick 1")
class OneTooMany(_Share):
    def __init__(self, most: int) -> None:
        super().__init__(most + 1)


@wrong("check_share", "ask in tick")
class TheLastFirst(_Share):
    def _wait(self, name: str) -> None:
        self.waiting.appendleft(name)


@wrong("check_share", "a, e, c, d ask in tick 2")
class NeverANewTick(_Share):
    def may_work(self, tick: int, name: str) -> bool:
        return super().may_work(1, name)


@wrong("check_share", "got [False, False, True, False]")
class RemembersForEver(_Share):
    """Those who have had their turn keep their place."""

    def may_work(self, tick: int, name: str) -> bool:
        waited = name in self.waiting
        may = super().may_work(tick, name)
        if may and waited:
            self.waiting.appendleft(name)
        return may


@right("check_share")
class WithADeque(_Share):
    pass


@right("check_share")
class WithNumbers:
    def __init__(self, most: int) -> None:
        self.most, self.tick, self.steps, self.clock = most, -1, 0, 0
        self.since: dict[str, int] = {}

    def may_work(self, tick: int, name: str) -> bool:
        if self.tick != tick:
            self.tick, self.steps = tick, 0
        mine = self.since.get(name, self.clock)
        before = sum(since < mine for since in self.since.values())
        may = self.steps + before < self.most
        if may:
            self.steps += 1
            self.since.pop(name, None)
        elif name not in self.since:
            self.since[name] = self.clock
            self.clock += 1
        return may
