"""What comes from others is text: a server that sends whatever it likes can't touch the screen of `chat_client`."""

import json
import re
import socket
import time
import unicodedata
from collections.abc import Iterator

import pytest

pytest.importorskip("termios", reason="needs a POSIX terminal")

import pyte  # noqa: E402
from screen import Emulator, Terminal, chat  # noqa: E402

from python_tcp.text import GREY, PALETTE, RED  # noqa: E402

pytestmark = pytest.mark.slow

ESCAPES = {
    "move up": "\x1b[10A", "move home": "\x1b[H", "move to a column": "\x1b[1G", "back": "\x1b[99D", "erase the screen": "\x1b[2J\x1b[3J", "erase the row": "\x1b[2K",
    "insert rows": "\x1b[5L", "delete rows": "\x1b[5M", "scroll": "\x1b[5S", "scrolling region": "\x1b[1;5r", "save and restore": "\x1b7\x1b[H\x1b8",
    "colours": "\x1b[31;42m", "all colours": "\x1b[38;5;9;48;2;1;2;3m", "invisible": "\x1b[8m", "reversed": "\x1b[7m", "hide the cursor": "\x1b[?25l",
    "other screen": "\x1b[?1049h", "mouse": "\x1b[?1000h", "no wrapping": "\x1b[?7l", "pasting": "\x1b[?2004l", "insert mode": "\x1b[4h", "reset": "\x1bc", "soft reset": "\x1b[!p",
    "title": "\x1b]0;owned\x07", "title, other end": "\x1b]2;owned\x1b\\", "clipboard": "\x1b]52;c;b3duZWQ=\x07", "link": "\x1b]8;;http://x.example\x1b\\here\x1b]8;;\x1b\\",
    "palette": "\x1b]4;1;rgb:ff/00/00\x07", "device control": "\x1bP+q544e\x1b\\", "program command": "\x1b_Gf=24;AAAA\x1b\\", "privacy message": "\x1b^x\x1b\\", "string": "\x1bXx\x1b\\",
    "ask who": "\x1b[c", "ask where": "\x1b[6n", "ask for the title": "\x1b[21t", "enquiry": "\x05", "alignment": "\x1b#8", "character set": "\x1b(0\x0e", "8-bit": "\x9b2J\x9d0;owned\x9c\x90x\x9c",
    "unfinished": "\x1b[", "unfinished title": "\x1b]0;owned", "bell": "\x07" * 5, "backspace": "\x08" * 40, "return": "\r99:99 -- forged", "form feed": "\x0c", "vertical tab": "\x0b",
    "null and delete": "\x00\x7f", "next line": "\x8599:99 -- forged", "tab": "\t" * 9,
}  # fmt: skip
UNICODE = {
    "override": "\u202egnp.\u202c", "isolate": "\u2067abc\u2069", "isolate, open": "\u2067abc", "isolates, open": "\u2066\u2067\u2068" * 20, "isolate, only its end": "abc\u2069\u2069", "marks": "\u200e\u200f\u061c", "separators": "\u202899:99 -- forged\u2029", "zero width": "a\u200b\u200c\u200d\u2060\ufeffb",
    "combining": "Z" + "\u0351\u036f\u0489" * 400, "combining first": "\u0301" * 300, "enclosing": "a\u20dd" * 30, "selectors": "❤\ufe0f\ufe0e", "tags": "x\U000e0041\U000e0042",
    "fillers": "\u3164\u115f\u1160\uffa0", "soft hyphen": "a\u00adb", "family": "👨\u200d👩\u200d👧", "flag": "🇫🇷", "skin": "👍🏽", "wide": "日本語のテキスト" * 20, "4000 emoji": "👋" * 4000,
    "newlines": "\n" * 300 + "99:99 -- forged", "blanks": " " * 200 + "99:99 -- forged", "no break": "x" * 3000, "hebrew": "שלום עולם", "arabic": "مرحبا", "private": "\ue0b0\U000f0000",
    "unassigned": "\U0003ffff\ufdd0", "joined letters": "क्षि नमस्ते", "fullwidth": "９９：９９ -- forged",
}  # fmt: skip
CORPUS = {**ESCAPES, **UNICODE}
OURS = re.compile(
    rb"\x1b(?:[78=>]|\[\?(?:7|12|25|2004)[hl]|\[\?1[hl]|\[[0-9;]*[ABCDHJKmr]|\[[0-6] q)"
)


class Mallory:
    """A server of one client, that sends what it likes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(60)
        self.port = self._listener.getsockname()[1]

    def accept(self, room: str = "lobby") -> None:
        self._sock, _ = self._listener.accept()
        self._sock.settimeout(60)
        while b'"join"' not in self._sock.recv(65536):
            pass
        self.send(
            "welcome",
            username="ann",
            room=room,
            content="Hello",
            seq=0,
            epoch="e",
            token="t" * 16,
            limits={},
        )
        self.send("users", room=room, users=["ann"])

    def send(self, type: str, **fields: object) -> None:
        self._sock.sendall(json.dumps({"type": type, **fields}).encode() + b"\n")

    def close(self) -> None:
        self._listener.close()
        self._sock.close()


@pytest.fixture
def mallory() -> Iterator[Mallory]:
    mallory = Mallory()
    yield mallory
    mallory.close()


def untouched(terminal: Terminal) -> None:
    """The screen holds only what it should."""
    screen: Emulator = terminal.screen
    terminal.until(lambda: not screen.cursor.hidden)  # it is painting
    rows = screen.everything()
    assert re.match(r"\S*> half a line$", rows[-2]) and rows[-1].rstrip().endswith(
        "| here"
    ), rows[-2:]
    assert (
        screen.cursor.y,
        screen.cursor.hidden,
        screen.margins,
        screen.title,
        screen.icon_name,
        screen.bells,
    ) == (22, False, None, "", "", 0)
    assert pyte.modes.DECAWM in screen.mode and pyte.modes.IRM not in screen.mode
    allowed = {
        "default",
        *(pyte.graphics.FG_BG_256[colour] for colour in (*PALETTE, GREY, RED)),
    }
    for line in [*screen.history.top, *(screen.buffer[place] for place in range(22))]:
        row = screen.text(line)
        assert not row or re.match(
            r"(\d\d:\d\d|--:--) (  |--| @| \*|!!| ~)( |$)| {9}|\(\d+ more rows\)", row
        ), row
        assert not row.startswith("99:99"), row
        for x in range(screen.columns):
            cell = line[x]
            assert (
                cell.fg in allowed and cell.bg == "default" and len(cell.data) <= 5
            ), cell
            assert not any(
                unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in cell.data
            ), cell
    written = terminal.bytes.decode()
    assert not set(written) & set("\u202a\u202b\u202c\u202d\u202e\u2028\u2029")
    opened = sum(written.count(isolate) for isolate in "\u2066\u2067\u2068")
    assert opened == written.count("\u2069"), "an isolate is open, or closed twice"
    escapes = terminal.bytes.count(b"\x1b")
    assert len(OURS.findall(bytes(terminal.bytes))) == escapes, set(
        re.findall(rb"\x1b.{5}", bytes(terminal.bytes))
    )
    assert terminal.bytes.count(b"\x07") == 0


@pytest.mark.parametrize("part", [ESCAPES, UNICODE], ids=["escapes", "unicode"])
def test_messages_and_whispers_are_only_text(
    mallory: Mallory, part: dict[str, str]
) -> None:
    with chat(mallory.port, "ann") as ann:
        mallory.accept()
        ann.until("in lobby: ann")
        ann.type("half a line")
        ann.until("half a line")
        for seq, (name, text) in enumerate(part.items(), 1):
            mallory.send(
                "message",
                room="lobby",
                seq=seq,
                username="mallory",
                content=f"{name}: <{text}>",
                timestamp=time.time(),
            )
            mallory.send(
                "whisper",
                username="mallory",
                to="ann",
                content=f"<{text}>",
                timestamp=-1e300,
            )
            mallory.send(
                "message",
                room="lobby",
                seq=seq,
                username="mallory",
                content="twice",
                timestamp=time.time(),
            )
        mallory.send(
            "message",
            room="lobby",
            seq=len(part) + 1,
            username="mallory",
            content="end of it",
            timestamp=time.time(),
        )
        ann.until("end of it")
        untouched(ann)
        everything = " ".join(row.strip() for row in ann.screen.everything())
        assert (
            all(f"{name}: <" in everything for name in part)
            and "twice" not in everything
        )


def test_names_rooms_states_and_errors_are_only_text(mallory: Mallory) -> None:
    with chat(mallory.port, "ann") as ann:
        mallory.accept()
        ann.until("in lobby: ann")
        ann.type("half a line")
        ann.until("half a line")
        for seq, text in enumerate(CORPUS.values(), 1):
            text = text[:300]
            mallory.send(
                "message",
                room="lobby",
                seq=seq,
                username=text,
                content="hi",
                timestamp=time.time(),
            )
            mallory.send(
                "message",
                room=text,
                seq=1,
                username=text,
                content="hi",
                timestamp=time.time(),
            )
            mallory.send("join", room="lobby", username=text, timestamp=time.time())
            mallory.send("leave", room="lobby", username=text, timestamp=time.time())
            mallory.send("status", username=text, status=text, timestamp=time.time())
            mallory.send("error", code=text, content=text)
            mallory.send("users", room="lobby", users=[text], statuses={text: text})
            mallory.send("rooms", rooms=[{"room": text, "users": 1}])
        mallory.send("users", room="lobby", users=["ann"])
        mallory.send("error", code="x", content="end of it")
        ann.until("end of it")
        untouched(ann)
        ann.type("\x15/join \t\t\t\t")
        ann.until(lambda: ann.screen.row(22).startswith("lobby> /join"))
        mallory.send(
            "goodbye",
            code="bad_message",
            content="\x1b[2J\x1b]0;owned\x07go\naway",
            reconnect=False,
        )
        assert ann.end() == 1 and ann.as_found() and ann.screen.title == ""
        assert [row for row in ann.screen.rows() if row][
            -1
        ] == "chat_client: \ufffd[2J\ufffd]0;owned\ufffdgo away"


def test_a_hostile_room_in_the_prompt_and_in_the_bar(mallory: Mallory) -> None:
    with chat(mallory.port, "ann") as ann:
        mallory.accept("\x1b[2J\u202ex\n99:99")
        ann.until("Hello")
        ann.type("half a line")
        ann.until("half a line")
        assert ann.screen.title == "" and ann.screen.row(22).startswith(
            "\ufffd[2J\ufffdx 99:99> half a line"
        )
