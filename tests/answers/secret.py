"""Answers to the exercises of the chapter secret."""

import ast
import json
from collections.abc import Callable

from exercises import right, wrong

HIDDEN = ("password", "old", "new")


@wrong("check_for_log", '{"password": ["abc"]}')
def texts_only(line: bytes) -> str:
    try:
        fields = json.loads(line)
        hidden = {
            name: "..." if name in HIDDEN and isinstance(value, str) else value
            for name, value in fields.items()
        }
        return json.dumps(hidden)
    except (ValueError, AttributeError):
        return f"({len(line)} bytes)"


@wrong("check_for_log", "new password: abc")
def any_line_that_says_password(line: bytes) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return f"({len(line)} bytes)"
    if "content" in fields:
        return json.dumps({"content": "..."})
    return json.dumps({name: "..." if name in HIDDEN else fields[name] for name in fields})  # fmt: skip


@wrong("check_for_log", "ended")
def nothing_can_be_wrong(line: bytes) -> str:
    fields = json.loads(line)
    return json.dumps({name: "..." if name in HIDDEN else fields[name] for name in fields})  # fmt: skip


@right("check_for_log")
def name_by_name(line: bytes) -> str:
    size = f"({len(line)} bytes)"
    try:
        fields = json.loads(line.decode())
    except (UnicodeDecodeError, json.JSONDecodeError):
        return size
    if type(fields) is not dict:
        return size
    for name in HIDDEN:
        if name in fields:
            fields[name] = "..."
    return json.dumps(fields, ensure_ascii=False)


@right("check_for_log")
def pair_by_pair(line: bytes) -> str:
    def hide(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return {name: "..." if name in HIDDEN else value for name, value in pairs}

    try:
        fields = json.loads(line, object_pairs_hook=hide)
    except ValueError:
        return f"({len(line)} bytes)"
    return json.dumps(fields) if isinstance(fields, dict) else f"({len(line)} bytes)"


class _Base:
    def __init__(self, text: str) -> None:
        self._data: bytearray | None = bytearray(text.encode())

    def use(self, function: Callable[[bytearray], object]) -> object:
        data, self._data = self._data, None
        if data is None:
            raise ValueError("it was used")
        try:
            return function(data)
        finally:
            for place in range(len(data)):
                data[place] = 0


@right("check_once")
class ByHand(_Base):
    pass


@wrong("check_once", "whether repr shows the text")
class Talkative(_Base):
    def __repr__(self) -> str:
        return f"Talkative({self._data!r})"


@wrong("check_once", "a second time")
class AgainAndAgain(_Base):
    def use(self, function: Callable[[bytearray], object]) -> object:
        assert self._data is not None
        try:
            return function(self._data)
        finally:
            self._data[:] = bytes(len(self._data))


@wrong("check_once", "the bytes afterwards")
class OnlyDropped(_Base):
    def use(self, function: Callable[[bytearray], object]) -> object:
        if self._data is None:
            raise ValueError("it was used")
        data, self._data = self._data, None
        return function(data)


@wrong("check_once", "type of what the function gets")
class WithBytes(_Base):
    def use(self, function: Callable[[bytearray], object]) -> object:
        assert self._data is not None
        return function(bytes(self._data))  # type: ignore[arg-type]


@right("check_once")
class WithALiteral:
    """Its text is only kept as numbers."""

    def __init__(self, text: str) -> None:
        self._numbers = ast.literal_eval(str(list(text.encode())))

    def use(self, function: Callable[[bytearray], object]) -> object:
        if self._numbers is None:
            raise ValueError("it was used")
        data, self._numbers = bytearray(self._numbers), None
        try:
            return function(data)
        finally:
            data[:] = bytes(len(data))
