"""Answers to the exercises of the chapter input_line."""

from collections import deque

from exercises import right, wrong

from python_tcp.typed_lines import is_private


class _Kept:
    def __init__(self, most: int) -> None:
        self.lines: list[str] = []
        self.most = most

    def back(self, n: int) -> str | None:
        return self.lines[-n] if n <= len(self.lines) else None


@wrong("check_lines", "the last three: expected ['one', 'two', 'one']")
class AllLines(_Kept):
    def add(self, line: str) -> None:
        if line not in self.lines[-1:]:
            self.lines.append(line)


@wrong("check_lines", "the last three: expected ['one', 'two', 'one']")
class EachOnce(_Kept):
    def add(self, line: str) -> None:
        if line not in self.lines and not line.startswith(" ") and not is_private(line):
            self.lines = [*self.lines, line][-self.most :]


@wrong("check_lines", "the fourth from the end of four")
class WithoutALimit(_Kept):
    def add(self, line: str) -> None:
        if line in self.lines[-1:] or line.startswith(" ") or is_private(line):
            return
        self.lines.append(line)


@wrong("check_lines", "the last three: expected ['four', 'one', 'two']")
class TheFirstOnes(_Kept):
    def add(self, line: str) -> None:
        if line in self.lines[-1:] or line.startswith(" ") or is_private(line):
            return
        if len(self.lines) < self.most:
            self.lines.append(line)


@right("check_lines")
class WithADeque:
    def __init__(self, most: int) -> None:
        self.lines: deque[str] = deque(maxlen=most)

    def add(self, line: str) -> None:
        is_new = not self.lines or self.lines[-1] != line
        if is_new and not line.startswith(" ") and not is_private(line):
            self.lines.append(line)

    def back(self, n: int) -> str | None:
        return self.lines[-n] if 1 <= n <= len(self.lines) else None


@right("check_lines")
class NewestFirst:
    def __init__(self, most: int) -> None:
        self.lines: list[str] = []
        self.most = most

    def add(self, line: str) -> None:
        if line[:1] == " " or is_private(line) or self.lines[:1] == [line]:
            return
        self.lines.insert(0, line)
        del self.lines[self.most :]

    def back(self, n: int) -> str | None:
        return dict(enumerate(self.lines, 1)).get(n)
