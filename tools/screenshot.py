"""Chats in tmux, looks at the screen all the time, and draws what it held: `python tools/screenshot.py [FILE.svg]`.

A person types one character at a time while 200 messages come in. After each character tmux is asked what is on its screen,
and the line typed so far has to stand whole at the bottom. The picture in the chapter on the terminal is the last of these screens.
"""

import os
import re
import subprocess
import sys
import time
from html import escape
from pathlib import Path

import pyte

from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.protocol import Limits

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, ROWS = 62, 16
WIDTH, HEIGHT = 8.4, 18  # of a character
PAPER, INK = "#1c1c1c", "#d0d0d0"
# The eight colours that programs call by name, on PAPER, and as a ground for INK.
INKS = {
    "black": "#8a8a8a", "red": "#ff7b72", "green": "#6fc276", "brown": "#d9a441",
    "blue": "#79b8ff", "magenta": "#d98be0", "cyan": "#56c8d8", "white": INK,
}  # fmt: skip
PAPERS = {
    "black": "#000000", "red": "#7d1f1a", "green": "#1f4d24", "brown": "#5c4310",
    "blue": "#23408e", "magenta": "#5d2a63", "cyan": "#1d4d55", "white": "#585858",
}  # fmt: skip
SENTENCE = "@bob fine, 日本 it is, I am still typing "
TALK = [
    ("bob", "Hello everybody"),
    ("cy", "hi bob"),
    ("ann", "Good morning ☀"),
    ("cy", "/me waves"),
    ("bob", "Ann, are you coming along to Japan?"),
]


def tmux(*arguments: object) -> str:
    command = [
        "tmux",
        "-L",
        f"screenshot-{os.getpid()}",
        "-f",
        "/dev/null",
        *map(str, arguments),
    ]
    return subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8", timeout=10
    ).stdout


def rows() -> list[str]:
    return tmux("capture-pane", "-p").split("\n")[:ROWS]


def wait_for(text: str) -> None:
    end = time.monotonic() + 10
    while not any(text in row for row in rows()):
        if time.monotonic() > end:
            sys.exit("\n".join([f"{text!r} does not come:", *rows()]))


def screen() -> pyte.Screen:
    """What tmux holds, with its colours and its cursor."""
    held = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(held).feed(
        tmux("capture-pane", "-p", "-e", "-N").rstrip("\n").replace("\n", "\r\n")
    )
    x, y = map(int, tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split())
    held.cursor.x, held.cursor.y = x, y
    return held


def colours(cell: pyte.screens.Char) -> tuple[str, str]:
    """Of the character, and of what is behind it. Both can be read on each other."""
    fore = {"default": INK, **INKS}.get(cell.fg.removeprefix("bright"), f"#{cell.fg}")
    back = {"default": PAPER, **PAPERS}.get(
        cell.bg.removeprefix("bright"), f"#{cell.bg}"
    )
    return (back, fore) if cell.reverse else (fore, back)


def svg(screen: pyte.Screen) -> str:
    """The screen as a picture."""
    drawn = []
    for y in range(screen.lines):
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            if not cell.data:  # the right half of a wide character
                continue
            fore, back = colours(cell)
            cursor = (x, y) == (screen.cursor.x, screen.cursor.y)
            if cursor:
                fore, back = back, fore
            left, top, wide = (
                x * WIDTH + 10,
                y * HEIGHT + 10,
                2 if x + 1 < screen.columns and not screen.buffer[y][x + 1].data else 1,
            )
            if back != PAPER:
                drawn.insert(
                    0,
                    f'<rect x="{left:.1f}" y="{top}" width="{WIDTH * wide + 0.2:.1f}" height="{HEIGHT}" fill="{back}" shape-rendering="crispEdges"/>',
                )
            if cell.data != " ":
                bold = ' font-weight="bold"' if cell.bold else ""
                drawn.append(
                    f'<text x="{left:.1f}" y="{top + 13}" fill="{fore}"{bold}>{escape(cell.data)}</text>'
                )
    width, height = screen.columns * WIDTH + 20, screen.lines * HEIGHT + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" role="img">\n'
        f"<title>A chat in a terminal, drawn from what the screen held</title>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def main() -> int:
    target = (
        Path(sys.argv[1])
        if len(sys.argv) > 1
        else ROOT / "nbs" / "images" / "terminal.svg"
    )
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        code = "import sys; from python_tcp.chat_app import start_client as main; sys.exit(main())"
        people = {name: ChatClient(name) for name in ("ann", "bob", "cy")}
        command = (
            f"'{sys.executable}' -c '{code}' 127.0.0.1 {server.port} --username dan"
        )
        tmux("new-session", "-d", "-x", COLUMNS, "-y", ROWS, command)
        try:
            wait_for("in lobby: dan")
            for client in people.values():
                client.connect(server.host, server.port)
                client.join("lobby")
            wait_for("4 people")
            looks = type_while_they_talk(people)
            wait_for("number 199")
            everything = tmux("capture-pane", "-p", "-S", "-")
            if any(
                len(re.findall(rf"number {number}$", everything, re.M)) != 1
                for number in range(200)
            ):
                sys.exit("a message is missing above the line, or is there twice")
            for name, text in TALK:
                people[name].send_message(text)
                wait_for(text.removeprefix("/me "))
            people["ann"].whisper("dan", "Say no, he snores.")
            wait_for("snores")
            people["bob"].join("dev")
            tmux("send-keys", "-N", 99, "BSpace")
            for text in ("/join dev", "/room lobby"):
                tmux("send-keys", "-l", text)
                tmux("send-keys", "Enter")
                wait_for(f"{text.split()[1]}>")
            people["bob"].send_message("The build is green again.")
            people["ann"].send_message("And Dan, you?")
            wait_for("And Dan")
            wait_for("dev 1")
            tmux("send-keys", "-l", "@ann I think I will ")
            wait_for("I think I will")
            target.write_text(svg(screen()), encoding="utf-8")
        finally:
            tmux("kill-server")
            for client in people.values():
                client.leave(timeout=1)
    print(
        f"200 messages came while a line was typed; tmux was looked at {looks} times, and each time the line was whole. {target} is drawn."
    )
    return 0


def type_while_they_talk(people: dict[str, ChatClient]) -> int:
    """Returns how often the screen was looked at. Ends the program if the line was not whole."""
    speakers, said, looks = list(people.values()), 0, 0
    for place, character in enumerate(SENTENCE, 1):
        while said < place * 200 // len(SENTENCE):
            speakers[said % 3].send_message(f"number {said}")
            said += 1
        tmux("send-keys", "-l", character)
        end = time.monotonic() + 10
        while (
            True
        ):  # until the new character is there, the line without it is the right one
            line, looks = rows()[ROWS - 2], looks + 1
            if (
                line.rstrip() == f"lobby> {SENTENCE[:place]}".rstrip()
                and looks >= 10 * place
            ):
                break
            if (
                line.rstrip() != f"lobby> {SENTENCE[: place - 1]}".rstrip()
                and line.rstrip() != f"lobby> {SENTENCE[:place]}".rstrip()
                or time.monotonic() > end
            ):
                sys.exit("\n".join(["the line is not whole:", *rows()]))
    return looks


if __name__ == "__main__":
    sys.exit(main())
