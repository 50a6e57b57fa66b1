"""A screen that nobody sees, with a keyboard and a mouse: Xvfb and xdotool."""

import atexit
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from waiting import LIMIT, wait_until

NEEDED = ("Xvfb", "xdotool")
missing = [name for name in NEEDED if shutil.which(name) is None]
needs_desktop = pytest.mark.skipif(bool(missing), reason=f"there is no {missing}")
COMMAND = "import sys; from python_tcp.window_app import start_window as main; sys.exit(main())"


@contextmanager
def virtual_screen(size: str = "1000x700", dpi: int = 96) -> Iterator[str]:
    """A screen of its own; its name, such as ":5"."""
    ours, theirs = os.pipe()
    arguments = ["-displayfd", str(theirs), "-screen", "0", f"{size}x24"]
    xvfb = subprocess.Popen(
        ["Xvfb", *arguments, "-dpi", str(dpi), "-nolisten", "tcp"],
        pass_fds=[theirs],
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    try:
        with open(ours) as number:
            yield f":{number.readline().strip()}"
    finally:
        xvfb.kill()
        xvfb.wait()


@cache
def lasting_screen() -> str:
    """A screen up to the end of this process: Tk keeps its connection, and ends the process
    when that is lost.
    """
    screen = virtual_screen()
    display = screen.__enter__()
    atexit.register(screen.__exit__, None, None, None)
    return display


class Desktop:
    """Programs on a screen, and a person in front of it."""

    def __init__(self, display: str) -> None:
        self.environment = {**os.environ, "DISPLAY": display}

    def run(self, *command: object) -> str:
        done = subprocess.run(
            [*map(str, command)], env=self.environment, capture_output=True, text=True
        )
        return done.stdout.strip()

    def start(self, *arguments: object) -> "Window":
        """`chat_window`, whose window is there and has the keyboard."""
        find = ("xdotool", "search", "--onlyvisible", "--class", "chat_window")
        before = set(self.run(*find).split())
        program = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )

        def found() -> set[str]:
            return set(self.run(*find).split()) - before

        windows = wait_until(lambda: found() or program.poll() is not None)
        assert program.poll() is None, program.stderr.read()
        window = Window(self, program, windows.pop())
        window.focus()
        return window

    def picture(self, path: Path, window: str) -> None:
        """What is in a window, as PNG (with ImageMagick)."""
        self.run("import", "-window", window, path)


class Window:
    """The window of a program."""

    def __init__(self, desktop: Desktop, program: subprocess.Popen, id: str) -> None:
        self.desktop, self.program, self.id = desktop, program, id

    def focus(self) -> None:
        self.desktop.run("xdotool", "windowfocus", "--sync", self.id)

    @property
    def title(self) -> str:
        return self.desktop.run("xdotool", "getwindowname", self.id)

    @property
    def size(self) -> tuple[int, int]:
        said = self.desktop.run("xdotool", "getwindowgeometry", "--shell", self.id)
        values = dict(line.split("=") for line in said.splitlines())
        return int(values["WIDTH"]), int(values["HEIGHT"])

    def resize(self, width: int, height: int) -> None:
        self.desktop.run("xdotool", "windowsize", self.id, width, height)

    def type(self, text: str) -> None:
        self.desktop.run("xdotool", "type", "--delay", "5", text)

    def press(self, *keys: str) -> None:
        self.desktop.run("xdotool", "key", "--delay", "20", *keys)

    def click(self, x: int, y: int) -> None:
        move = ("mousemove", "--window", self.id, x, y)
        self.desktop.run("xdotool", *move, "click", "1")

    def end(self, limit: float = LIMIT) -> tuple[int, str]:
        """The exit status, and what was said; waits for it."""
        _, said = self.program.communicate(timeout=limit)
        return self.program.returncode, said

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.program.kill()
        self.program.communicate()
