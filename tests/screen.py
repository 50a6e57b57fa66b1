"""A program on a pseudo-terminal, and the screen that a person would see: its bytes are obeyed by an emulator, not searched for strings."""

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable

import pyte
import pytest
from waiting import LIMIT

fcntl = pytest.importorskip("fcntl", reason="needs a POSIX terminal")
pty = pytest.importorskip("pty", reason="needs a POSIX terminal")
termios = pytest.importorskip("termios", reason="needs a POSIX terminal")

WITHOUT_WIDTH = re.compile(
    "[\u061c\u200c-\u200f\u2066-\u2069]"
)  # joiners, directions, isolates
END = b"\0"  # no program writes it, and no terminal shows it
CLIENT = (
    "import sys; from python_tcp.chat_app import start_client as main; sys.exit(main())"
)
SERVER = (
    "import sys; from python_tcp.chat_app import start_server as main; sys.exit(main())"
)


class Emulator(pyte.HistoryScreen):
    """A screen that keeps what scrolled off, counts its bells, and knows what it was told beside text."""

    def __init__(self, columns: int, rows: int) -> None:
        self.bells = 0
        super().__init__(columns, rows, history=10_000, ratio=0.5)

    def draw(self, data: str) -> None:
        """pyte drops the rest of a text behind a character without width that is no mark. Terminals don't."""
        super().draw(WITHOUT_WIDTH.sub("", data))

    def bell(self, *args: object) -> None:
        self.bells += 1

    def write_process_input(self, data: str) -> None:
        raise AssertionError(
            f"the program asked the terminal for something; the answer would be {data!r}"
        )

    def row(self, place: int) -> str:
        return self.text(self.buffer[place])

    def text(self, line: dict) -> str:
        return "".join(line[x].data for x in range(self.columns)).rstrip()

    def rows(self) -> list[str]:
        return [self.row(place) for place in range(self.lines)]

    def everything(self) -> list[str]:
        """All rows, those that scrolled off first."""
        return [self.text(line) for line in self.history.top] + self.rows()


class Terminal:
    """A program on a terminal of its own, as a shell would start it. No call lasts longer than `LIMIT` seconds."""

    def __init__(
        self,
        *command: object,
        columns: int = 80,
        rows: int = 24,
        watch: Callable[[Emulator], None] | None = None,
        **env: str,
    ) -> None:
        self.screen = Emulator(columns, rows)
        self.watch, self._stream = watch, pyte.ByteStream(self.screen)
        self.bytes = bytearray()
        self.keyboard, theirs = pty.openpty()
        self._size(columns, rows)
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs  # kept open, so that the settings can be looked at
        environment = {**os.environ, "TERM": "xterm-256color", **env}
        for name in [name for name in environment if environment[name] == ""]:
            del environment[name]
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(
            self.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0)
        )

    def type(self, keys: str | bytes) -> None:
        os.write(self.keyboard, keys.encode() if isinstance(keys, str) else keys)

    def read(self, seconds: float = 0.0) -> bool:
        """Show what the program has written. False if there was nothing for so long."""
        if not select.select([self.keyboard], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.keyboard, 65536)
        except OSError:  # nobody has the terminal any more
            return False
        self.bytes += data
        if self.watch is None:
            self._stream.feed(data)
            return bool(data)
        for place in range(len(data)):  # look after every single byte
            self._stream.feed(data[place : place + 1])
            self.watch(self.screen)
        return bool(data)

    def until(
        self, condition: str | Callable[[], object], limit: float = LIMIT
    ) -> None:
        """Go on reading until this text is on the screen, or until the condition holds."""
        if isinstance(condition, str):
            text = condition
            condition = lambda: any(text in row for row in self.screen.rows())
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, "\n".join(
                ["not within the limit:", *self.screen.rows()]
            )
            self.read(0.02)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self._size(columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def end(
        self, keys: str | bytes = b"", number: int | None = None, limit: float = LIMIT
    ) -> int:
        """Press keys or send a signal, and wait for the end: the exit status."""
        if keys:
            self.type(keys)
        if number is not None:
            self.process.send_signal(number)
        deadline = time.monotonic() + limit
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "\n".join(
                ["it has not ended:", *self.screen.rows()]
            )
            self.read(0.02)
        self.read_all()
        return self.process.returncode

    def read_all(self) -> None:
        """Read what is still on its way from a program that has ended: the kernel hands it on
        a little later. What we write last comes last.
        """
        while self.read():
            pass
        before = len(self.bytes)
        try:
            os.write(self._theirs, END)
        except OSError:  # a system that takes the terminal away with its first program
            return
        self.until(lambda: END in self.bytes[before:])
        del self.bytes[self.bytes.index(END, before)]

    def as_found(self) -> bool:
        """Is the terminal as it was before: its settings, its cursor, its modes?"""
        modes = self.screen.mode - {pyte.modes.DECAWM, pyte.modes.DECTCEM}
        return (
            termios.tcgetattr(self._theirs) == self.before
            and not self.screen.cursor.hidden and pyte.modes.DECAWM in self.screen.mode and not modes and self.screen.margins is None
            and self.screen.cursor.x == 0
        )  # fmt: skip

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._theirs)
        os.close(self.keyboard)
        self._theirs = self.keyboard = -1

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        for end in (self._theirs, self.keyboard):
            if end >= 0:
                os.close(end)


def chat(
    port: int, name: str | None, *arguments: object, **options: object
) -> Terminal:
    """`chat_client` on a terminal."""
    username = ["--username", name] if name else []
    return Terminal(
        sys.executable,
        "-c",
        CLIENT,
        "127.0.0.1",
        port,
        *username,
        *arguments,
        **options,
    )
