"""The window of `chat_client` changes its size at bad moments, and the terminal says what nobody asked."""

import os
import random
import select
import signal
import sys
from collections.abc import Iterator

import pytest
from helpers import LIMIT, LineClient

pytest.importorskip("termios", reason="needs a POSIX terminal")

from screen import Terminal, chat  # noqa: E402

from python_tcp.chat_server import ChatServer  # noqa: E402
from python_tcp.protocol import Limits  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def ann() -> Iterator[Terminal]:
    """Ann's terminal, when thirty messages of Bob are there and half a line is typed."""
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        with chat(server.port, "ann") as ann, LineClient(server.port) as bob:
            ann.until("in lobby: ann")
            ann.bob = bob.join("bob")
            ann.until("bob joined lobby")
            for number in range(30):
                bob.say("message", content=f"number {number}.")
            ann.until("number 29.")
            ann.type("half a line")
            ann.until("half a line")
            yield ann


def is_whole(terminal: Terminal) -> bool:
    """Two rows at the bottom are the application's, and above them stands what was said last."""
    *said, line, bar = terminal.screen.rows()
    numbers = [row.split()[-1] for row in said if "number" in row]
    last = [f"{number}." for number in range(30)][-len(said) :]
    return (
        line.endswith("> half a line")
        and bar.startswith(" lobby: 2")
        and numbers == last
        and said[-1].endswith("number 29.")
        and terminal.screen.cursor.y == terminal.screen.lines - 2
    )


UNBUFFERED = """
import signal
from prompt_toolkit.key_binding import KeyBindings
from python_tcp.input_line import InputLine
from python_tcp.screen import application
signal.signal(signal.SIGWINCH, lambda number, frame: None)
output = application(InputLine(lambda: 80), str, KeyBindings(), True).output
output.write_raw("x" * 300_000 + "end")
output.flush()
"""


def test_a_write_that_a_signal_cuts_short_is_finished() -> None:
    """No terminal holds so much: the write waits until we read, and there the signal finds it."""
    with Terminal(sys.executable, "-u", "-c", UNBUFFERED) as terminal:
        assert select.select([terminal.keyboard], [], [], LIMIT)[0]
        terminal.process.send_signal(signal.SIGWINCH)
        written = b""
        while not written.endswith(b"end"):
            assert select.select([terminal.keyboard], [], [], LIMIT)[0], len(written)
            written += os.read(terminal.keyboard, 65536)
        assert written.count(b"x") == 300_000 and terminal.end() == 0


def test_a_window_that_has_its_old_size_again_before_it_was_drawn(
    ann: Terminal,
) -> None:
    """What the terminal has made of it meanwhile is not what we wrote."""
    ann.process.send_signal(signal.SIGSTOP)
    ann.resize(80, 10)
    ann.resize(80, 24)
    assert not is_whole(ann)
    ann.process.send_signal(signal.SIGCONT)
    ann.until(lambda: is_whole(ann))


def test_where_the_cursor_is_was_not_asked(ann: Terminal) -> None:
    """A program that ran before may have asked: the answer comes to us."""
    for report in ("\x1b[1;1R", "\x1b[24;80R", "\x1b[999;1R"):
        ann.type(report + "!")
        ann.until("half a line!")
        ann.type("\x7f")
        ann.until(lambda: is_whole(ann))
    ann.bob.say("message", content="and then?")
    for rows in (24, 30, 12):
        ann.resize(80, rows)
        ann.until(lambda: "and then?" in ann.screen.row(rows - 3))


def test_resized_again_and_again_while_messages_arrive(ann: Terminal) -> None:
    dice = random.Random(8)
    for number in range(80):
        ann.bob.say("message", content=f"between {number}")
        ann.resize(dice.choice([1, 2, 5, 40, 80, 200]), dice.choice([1, 2, 3, 9, 40]))
        ann.read(dice.choice([0.0, 0.0, 0.01, 0.05]))
    for number in range(30):
        ann.bob.say("message", content=f"number {number}.")
    ann.resize(80, 24)
    ann.until(lambda: is_whole(ann))
