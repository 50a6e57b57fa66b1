"""One room with nine at once: a page, our two clients, two IRC programs, telnet, and three clients from tutorials. Each says a line and reads
everybody else's; each leaves in a rude way of its own, and the others go on.

`PICTURES=nbs/images pytest tests/test_everybody.py` also writes the pictures of the chapter: what was on the screens."""

import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("these programs need a terminal of Unix", allow_module_level=True)

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))

from helpers import Program
from screen import Terminal, chat
from test_browser import needs_chromium
from test_web_page import PageOf, driver  # noqa: F401  a fixture
from waiting import wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Listener
from python_tcp.languages import listeners_for
from python_tcp.limits import Limits
from python_tcp.web import web_dialect

SECONDS = 60.0  # nine programs start at once
pytestmark = [
    pytest.mark.slow(seconds=25),
    needs_chromium,
]


class Somebody:
    """A client: how it says something, what it has read, and how it leaves."""

    def __init__(
        self,
        say: Callable[[str], object],
        read: Callable[[], str],
        leave: Callable[[], object],
    ) -> None:
        self.say, self.read, self.leave = say, read, leave


class Socket:
    """A client as tutorials write it: a socket, and a thread that reads."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.sock.settimeout(None)  # its thread reads until it leaves
        self.shown: list[str] = []
        self.trouble: Exception | None = None  # what its thread has died of
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while data := self.sock.recv(1024):
                self.heard(data)
        except OSError:  # we have left
            pass
        except Exception as error:
            self.trouble = error

    def heard(self, data: bytes) -> None:
        raise NotImplementedError

    def send(self, text: str) -> None:
        self.sock.sendall(text.encode("ascii"))

    def read(self) -> str:
        assert self.trouble is None, repr(self.trouble)
        return "\n".join(self.shown)

    def reset(self) -> None:
        """Leave with RST. While a thread is in `recv`, the kernel would keep it open."""
        self.sock.shutdown(socket.SHUT_RD)
        self._thread.join(SECONDS)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Nick(Socket):
    """Each `recv` is a message; ASCII, or it dies."""

    def heard(self, data: bytes) -> None:
        message = data.decode("ascii")
        if message == "NICK":
            self.send("nic")
        else:
            self.shown.append(message)


class Tilde(Socket):
    """It says its name first, and shows two parts of each chunk, or dies."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.send("til")

    def heard(self, data: bytes) -> None:
        parts = data.decode("ascii").split("~")
        self.shown.append(f"{parts[0]}: {parts[1]}")


class Connect(Socket):
    """JSON objects, glued or cut anywhere."""

    def __init__(self, port: int) -> None:
        self._text = ""
        super().__init__(port)
        payload = {"name": "con", "room": "lobby"}
        self.send(json.dumps({"type": "connect", "payload": payload}))

    def heard(self, data: bytes) -> None:
        self._text += data.decode()
        while self._text:
            try:
                found, end = json.JSONDecoder().raw_decode(self._text)
            except json.JSONDecodeError:
                return
            self._text = self._text[end:]
            found |= found.get("payload", {})
            if found["type"] == "message":
                self.shown.append(f"{found['sender']}: {found['text']}")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    names = ("irc", "lines", "nick", "tilde", "connect")
    listeners = listeners_for([f"{name}=0" for name in names], "127.0.0.1")
    listeners.append(Listener("web", web_dialect("127.0.0.1"), "127.0.0.1", 0))
    limits = Limits(flood_burst=0, connections_per_address=0, resume_window=0.0)
    with ChatServer(limits=limits, listeners=listeners) as server:
        yield server


def port_of(server: ChatServer, name: str) -> int:
    return int(server.listening(name)[0].rpartition(":")[2])


COLUMNS = 62  # wider screens can't be read in a picture on a telephone
CAPTIONS = {"wee": "weechat", "irs": "irssi", "tel": "telnet", "bob": "our terminal client"}  # fmt: skip


def picture(screens: dict[str, Terminal], browser: object, folder: Path) -> None:
    """What is on the screens now."""
    from terminals import together

    for terminal in screens.values():
        while terminal.read(0.3):
            pass
    those = [name for name in CAPTIONS if name in screens]
    captions, title = [CAPTIONS[name] for name in those], "One room in four programs"
    drawn = together([screens[name] for name in those], captions, title)
    (folder / "everybody.svg").write_text(drawn, encoding="utf-8")
    browser.save_screenshot(str(folder / "everybody.png"))  # type: ignore[attr-defined]


def come(
    server: ChatServer, browser: object, stack: ExitStack, folder: Path,
    screens: dict[str, Terminal],
) -> dict[str, Somebody]:  # fmt: skip
    """Everybody who is installed here, by name; all are in the room."""
    people: dict[str, Somebody] = {}

    def on_screen(name: str, terminal: Terminal, leave: Callable[[], object]) -> None:
        screens[name] = terminal

        def read() -> str:
            while terminal.read():
                pass
            return "\n".join(terminal.screen.everything())

        people[name] = Somebody(lambda text: terminal.type(f"{text}\r"), read, leave)

    page = PageOf(browser, f"http://{server.listening('web')[0]}/").look(680, 640)
    page.join("ann")
    shown = lambda: "\n".join(map(str, page.messages()))  # noqa: E731
    people["ann"] = Somebody(page.say, shown, page.close)

    bob = stack.enter_context(chat(server.port, "bob", columns=COLUMNS))
    on_screen("bob", bob, bob.process.kill)

    cat = Program("start_client", "127.0.0.1", server.port, "--username", "cat")
    stack.enter_context(cat)
    people["cat"] = Somebody(
        cat.type, lambda: "\n".join(cat.lines), lambda: cat.process.kill()
    )

    for kind, name in ((Nick, "nick"), (Tilde, "tilde"), (Connect, "connect")):
        client = kind(port_of(server, name))
        stack.callback(client.sock.close)
        people[name[:3]] = Somebody(
            client.send
            if name != "nick"
            else lambda text, c=client: c.send(f"nic: {text}"),
            client.read,
            client.reset,
        )
        if name == "connect":
            people["con"].say = lambda text, c=client: c.send(
                json.dumps({"type": "message", "payload": {"text": text}})
            )

    irc, simple = (
        port_of(server, "irc"),
        {"TERM": "linux", "LC_ALL": "C.UTF-8", "columns": COLUMNS},
    )
    if shutil.which("telnet"):
        tel = Terminal("telnet", "127.0.0.1", port_of(server, "lines"), **simple)
        stack.enter_context(tel).until("name?")
        tel.type("tel\r")
        on_screen("tel", tel, tel.hang_up)
    if shutil.which("irssi"):
        where = [f"--home={folder}", "--connect=127.0.0.1", f"--port={irc}"]
        irs = stack.enter_context(Terminal("irssi", *where, "--nick=irs", **simple))
        irs.until(lambda: "irs" in server.users, SECONDS)
        irs.until(
            lambda: irs.type("\x1b2") or "[#lobby]" in irs.screen.row(23), SECONDS
        )
        on_screen("irs", irs, irs.process.terminate)
    if shutil.which("weechat"):
        add = f"/server add chat 127.0.0.1/{irc} -notls -nicks=wee -autojoin=#lobby"
        command = ["weechat", "-t", "-r", add, "-r", "/connect chat"]
        wee = stack.enter_context(Terminal(*command, **simple))
        wee.until(lambda: "wee" in server.users, SECONDS)
        wee.until("2:#lobby", SECONDS)
        on_screen("wee", wee, lambda: os.kill(wee.process.pid, signal.SIGKILL))
    wait_until(lambda: set(people) <= set(server.users), SECONDS)
    return people


def reads(people: dict[str, Somebody], speaker: str, text: str) -> None:
    """Everybody but the speaker has this text on the screen."""
    for name, each in people.items():
        if name == speaker:
            continue
        for _ in range(5):
            with suppress(AssertionError):
                wait_until(lambda each=each: text in each.read(), SECONDS / 5)
                break
            if (
                name == "til"
            ):  # on a busy machine two pieces are one chunk, half of it lost
                people[speaker].say(text)
        else:
            raise AssertionError(f"{name} does not see {text!r}:\n{each.read()}")


def test_nine_kinds_of_clients_in_one_room(
    server: ChatServer,
    driver: object,  # noqa: F811
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        screens: dict[str, Terminal] = {}
        people = come(server, driver, stack, tmp_path, screens)
        everybody = set(people)
        for name, each in people.items():
            each.say(f"a line of {name}")
            reads(people, name, f"a line of {name}")
        if "wee" in screens:  # its lines are lines, and no letters in place of them
            assert "│" in "".join(screens["wee"].screen.rows())
        if "PICTURES" in os.environ:
            picture(screens, driver, Path(os.environ["PICTURES"]).absolute())
        for name in list(people):  # one after the other, and the rest goes on
            with suppress(OSError):
                people.pop(name).leave()
            try:
                wait_until(lambda: set(server.users) == set(people), SECONDS)
            except AssertionError:
                raise AssertionError(
                    f"{name} has left, and there are {server.users}"
                ) from None
            for speaker in list(people)[:2]:
                people[speaker].say(f"{speaker} without {name}")
                reads(people, speaker, f"{speaker} without {name}")
    missing = {"tel", "irs", "wee"} - everybody
    if missing:
        pytest.skip(
            f"it worked without {missing}: apt-get install telnet irssi weechat"
        )
