"""Answers to the exercises of the chapter chat_view."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from exercises import right, wrong

from python_tcp.chat_view import Span, line_of
from python_tcp.events import UserJoined, UserLeft
from python_tcp.text import one_row

WORD = r"(?<!\w)(?<!\w[.-]){}(?!\w)(?![.-]\w)"


@wrong("check_highlight", "the bold parts of 'Hi Bob, bob!'")
def split_at_name(text: str, name: str) -> list[Span]:
    rest = [Span(part) for part in text.split(name) if part]
    return [span for part in rest for span in (part, Span(name, bold=True))][:-1]


@wrong("check_highlight", "the bold parts of 'bobby'")
def anywhere(text: str, name: str) -> list[Span]:
    parts = re.split(f"({re.escape(name)})", text, flags=re.I)
    return [Span(part, bold=n % 2 == 1) for n, part in enumerate(parts) if part]


@wrong("check_highlight", "the bold parts for a.b")
def a_pattern_of_the_name(text: str, name: str) -> list[Span]:
    parts = re.split(f"({WORD.format(name)})", text, flags=re.I)
    return [Span(part, bold=n % 2 == 1) for n, part in enumerate(parts) if part]


@wrong("check_highlight", "empty spans for")
def with_empty_spans(text: str, name: str) -> list[Span]:
    parts = re.split(f"({WORD.format(re.escape(name))})", text, flags=re.I)
    return [Span(part, bold=n % 2 == 1) for n, part in enumerate(parts)]


@wrong("check_highlight", "all the text of")
def with_the_name_as_given(text: str, name: str) -> list[Span]:
    return [Span(name, bold=True) if s.bold else s for s in by_matches(text, name)]


@right("check_highlight")
def by_matches(text: str, name: str) -> list[Span]:
    spans, at = list[Span](), 0
    for match in re.finditer(WORD.format(re.escape(name)), text, re.IGNORECASE):
        spans += [Span(text[at : match.start()]), Span(match[0], bold=True)]
        at = match.end()
    return [span for span in [*spans, Span(text[at:])] if span.text]


@right("check_highlight")
def character_by_character(text: str, name: str) -> list[Span]:
    marks = [False] * len(text)
    for start in range(len(text)):
        end = start + len(name)
        same = text[start:end].lower() == name.lower()
        if same and re.compile(WORD.format(re.escape(name)), re.I).match(text, start):
            marks[start:end] = [True] * len(name)
    return [
        Span("".join(c for c, _ in group), bold=bold)
        for bold, group in groupby(zip(text, marks), lambda pair: pair[1])
    ]


@wrong("check_fold", "two joins")
def a_line_each(events: Iterable[Any]) -> list[str]:
    return [line.plain() for event in events if (line := line_of(event))]


def _parts(events: Iterable[Any]) -> list[Any]:
    return [event for event in events if line_of(event) is not None]


def _kind(event: Any) -> tuple[str, str]:
    return type(event).__name__, event.room


def _folded(group: list[Any]) -> str:
    names = [one_row(event.username) for event in group]
    last = line_of(group[-1])
    assert last is not None
    return last.plain().replace(names[-1], ", ".join(names), 1)


@wrong("check_fold", "a message between")
def all_joins_first(events: Iterable[Any]) -> list[str]:
    moves = [e for e in _parts(events) if isinstance(e, UserJoined | UserLeft)]
    others = [
        line.plain() for e in _parts(events) if e not in moves and (line := line_of(e))
    ]
    kinds = dict.fromkeys(map(_kind, moves))
    return [_folded([m for m in moves if _kind(m) == kind]) for kind in kinds] + others


@wrong("check_fold", "an Ok between")
def an_ok_ends_a_row(events: Iterable[Any]) -> list[str]:
    lines = list[str]()
    for kind, group in groupby(
        events, lambda e: (type(e).__name__, getattr(e, "room", ""))
    ):
        members = _parts(group)
        if kind[0] in ("UserJoined", "UserLeft"):
            lines.append(_folded(members))
        else:
            lines += a_line_each(members)
    return lines


@wrong("check_fold", "two rooms")
def whatever_the_room(events: Iterable[Any]) -> list[str]:
    lines = list[str]()
    for name, group in groupby(_parts(events), lambda event: type(event).__name__):
        members = list(group)
        lines += [_folded(members)] if name in ("UserJoined", "UserLeft") else a_line_each(members)  # fmt: skip
    return lines


@wrong("check_fold", "a hostile name")
def names_as_they_are(events: Iterable[Any]) -> list[str]:
    lines = list[str]()
    for kind, group in groupby(_parts(events), _kind):
        members = list(group)
        if kind[0] == "UserJoined":
            names = ", ".join(event.username for event in members)
            lines.append(f"* {names} joined {kind[1]}")
        elif kind[0] == "UserLeft":
            names = ", ".join(event.username for event in members)
            lines.append(f"* {names} left {kind[1]}")
        else:
            lines += a_line_each(members)
    return lines


@right("check_fold")
def by_groups(events: Iterable[Any]) -> list[str]:
    lines = list[str]()
    for kind, group in groupby(_parts(events), _kind):
        members = list(group)
        moves = kind[0] in ("UserJoined", "UserLeft")
        lines += [_folded(members)] if moves else a_line_each(members)
    return lines


@right("check_fold")
def with_a_buffer(events: Iterable[Any]) -> list[str]:
    lines, row = list[str](), list[Any]()
    for event in [*_parts(events), None]:
        if row and (event is None or _kind(event) != _kind(row[0])):
            lines.append(_folded(row))
            row = []
        if type(event).__name__ in ("UserJoined", "UserLeft"):
            row.append(event)
        elif event is not None:
            lines += a_line_each([event])
    return lines
