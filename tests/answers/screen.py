"""Answers to the exercises of the chapter screen."""

import re

from exercises import right, wrong


@wrong("check_redraw", "the screen after 'bob: Hello'")
def just_prints(message: str, line: str) -> str:
    return message + "\r\n"


@wrong("check_redraw", "the screen after 'bob: Hello'")
def without_erasing(message: str, line: str) -> str:
    return "\r" + message.replace("\n", "\r\n").removesuffix("\r\n")[:3] + "\r\n" + line


@wrong("check_redraw", "the screen after 'bob: one\\nbob: two'")
def a_newline_is_enough(message: str, line: str) -> str:
    return f"\r\x1b[K{message}\r\n{line}"


@wrong("check_redraw", "the screen after 'bob: Hello'")
def without_the_line(message: str, line: str) -> str:
    return "\r\x1b[K" + "".join(f"{row}\r\n" for row in message.splitlines())


@wrong("check_redraw", "other than ESC [ K")
def with_more_sequences(message: str, line: str) -> str:
    return "\x1b[1G\x1b[2K" + "\r\n".join([*message.splitlines(), line])


@wrong("check_redraw", "the screen after 'bob: Hi\\n'")
def an_empty_row_more(message: str, line: str) -> str:
    return "\r\x1b[K" + "\r\n".join([*message.split("\n"), line])


@right("check_redraw")
def row_by_row(message: str, line: str) -> str:
    out = "\r"
    for row in message.splitlines():
        out += f"\x1b[K{row}\r\n"
    return f"{out}\x1b[K{line}"


@right("check_redraw")
def joined(message: str, line: str) -> str:
    text = message.rstrip("\n") + "\n" + line
    return "\r\x1b[K" + text.replace("\n", "\r\n")


class _Typing:
    """Right, but for what its children change."""

    ARROW = rb"\x1b\[[A-D]"

    def __init__(self) -> None:
        self.rest, self.line = b"", ""

    def feed(self, data: bytes) -> list[str]:
        self.rest += data
        lines: list[str] = []
        while self.rest and (size := self.size()):
            key, self.rest = self.rest[:size], self.rest[size:]
            if key == b"\r":
                lines.append(self.line)
                self.line = ""
            elif key == b"\x7f":
                self.rub_out()
            elif key[:1] != b"\x1b":
                self.line += key.decode(errors="replace")
        return lines

    def rub_out(self) -> None:
        self.line = self.line[:-1]

    def size(self) -> int:
        """Of the next key, or 0 if it is not complete."""
        first = self.rest[0]
        if first == 0x1B:
            return 3 if len(self.rest) >= 3 else 0
        wanted = 1 + sum(first >= bound for bound in (0xC0, 0xE0, 0xF0))
        return wanted if len(self.rest) >= wanted else 0


@wrong("check_typing", "the lines of an accent, rubbed out")
class WithoutBackspace:
    line = ""

    def feed(self, data: bytes) -> list[str]:
        *lines, self.line = (self.line + data.decode()).split("\r")
        return lines


@wrong("check_typing", "bytes at a time")
class EachChunkByItself(_Typing):
    def feed(self, data: bytes) -> list[str]:
        lines = super().feed(data)
        self.rest = b""
        return lines


@wrong("check_typing", "an arrow key")
class ArrowsAreText(_Typing):
    def size(self) -> int:
        return 1 if self.rest[0] == 0x1B else super().size()


@wrong("check_typing", "an accent, rubbed out")
class RubsOutABytes(_Typing):
    def rub_out(self) -> None:
        self.line = self.line.encode()[:-1].decode(errors="replace")


@wrong("check_typing", "what is left of plain letters")
class ForgetsTheRest(_Typing):
    def feed(self, data: bytes) -> list[str]:
        lines = super().feed(data)
        if lines:
            self.line = ""
        return lines


@right("check_typing")
class BySize(_Typing):
    pass


@right("check_typing")
class AllAgain:
    """Keeps the bytes of the whole line, and reads them anew each time."""

    def __init__(self) -> None:
        self.keys = b""

    @property
    def line(self) -> str:
        keys = re.sub(rb"\x1b\[[A-D]|\x1b\[?$", b"", self.keys)
        text = ""
        for key in keys.decode(errors="ignore"):
            text = text[:-1] if key == "\x7f" else text + key
        return text

    def feed(self, data: bytes) -> list[str]:
        lines = []
        for number, part in enumerate(data.split(b"\r")):
            if number:
                lines.append(self.line)
                self.keys = b""
            self.keys += part
        return lines


@wrong("check_clock", "the first row of 20 columns")
def one_column_early(text: str, columns: int) -> str:
    return f"\x1b7\x1b[1;{columns - len(text)}H{text}\x1b8"


@wrong("check_clock", "the line below, with 20 columns")
def stays_there(text: str, columns: int) -> str:
    return f"\x1b[1;{columns - len(text) + 1}H{text}\x1b[2;1H"


@wrong("check_clock", "the colour of what is typed then")
def back_without_colours(text: str, columns: int) -> str:
    return f"\x1b7\x1b[1;{columns - len(text) + 1}H{text}\x1b8\x1b[0m"


@wrong("check_clock", "the first row of 20 columns")
def rows_for_columns(text: str, columns: int) -> str:
    return f"\x1b7\x1b[{columns - len(text) + 1};1H{text}\x1b8"


@wrong("check_clock", "the first row of")
def for_80_columns(text: str, columns: int) -> str:
    return f"\x1b7\x1b[1;{80 - len(text) + 1}H{text}\x1b8"


@right("check_clock")
def with_blanks(text: str, columns: int) -> str:
    return f"\x1b7\x1b[1;1H{text:>{columns}}\x1b8"


@right("check_clock")
def in_another_colour(text: str, columns: int) -> str:
    start = columns + 1 - len(text)
    return "\x1b7" + f"\x1b[1;{start}H" + "\x1b[32m" + text + "\x1b8"
