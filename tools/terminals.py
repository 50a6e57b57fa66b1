"""Chats on three pseudo-terminals, and draws what was on their screens: `python tools/terminals.py [FILE.svg]`.

Ann has an account and is there twice, at her desk and on the train; Eve is a guest. Bob keeps order: one of them is muted, and one is
kicked. The picture is in the chapter on keeping order. Nothing in it is drawn by hand: an emulator has obeyed every byte of the clients.
"""

import re
import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tools")]

from screen import Terminal, chat  # noqa: E402
from screenshot import HEIGHT, PAPER, svg  # noqa: E402

from python_tcp.chat_client import ChatClient  # noqa: E402
from python_tcp.chat_server import ChatServer  # noqa: E402
from python_tcp.commands import Kick, Mute, RegisterRoom, SetTopic  # noqa: E402
from python_tcp.passwords import HashParameters  # noqa: E402

COLUMNS, ROWS, MARGIN = 66, 13, 26
PASSWORDS = {"ann": "correct horse", "bob": "battery staple 9"}
CAPTIONS = ["ann, at her desk", "ann, on the train", "eve, a guest"]


def account(server: ChatServer, name: str) -> ChatClient:
    """Somebody who has registered."""
    client = ChatClient(name)
    done = client.connect(server.host, server.port) and client.register(PASSWORDS[name])
    if not done or not client.join():
        sys.exit(f"{name}: {client.error}")
    return client


def scene(server: ChatServer, desk: Terminal, train: Terminal, eve: Terminal) -> None:
    """What happens on the three terminals, one after the other."""
    bob = account(server, "bob")
    bob.request(RegisterRoom("lobby"))
    bob.request(SetTopic("A quiet place", "lobby"))
    ann = account(server, "ann")
    ann.leave()
    for terminal in (desk, train):
        terminal.until("The password of ann:")
        terminal.type(PASSWORDS["ann"] + "\r")
        terminal.until("in lobby:")
    eve.until("Your name:")
    eve.type("eve\r")
    eve.until("in lobby:")
    train.until("eve joined lobby")
    everybody = desk, train, eve
    desk.type("Good morning. I am at my desk.\r")
    for terminal in everybody:
        terminal.until("at my desk")
    eve.type("BUY WATCHES!!!\r")
    for terminal in everybody:
        terminal.until("WATCHES")
    bob.request(Mute("eve", "lobby", 600.0, "no adverts"))
    for terminal in everybody:
        terminal.until("muted")
    eve.type("But they are cheap\r")
    eve.until("Try again")
    train.type("Thank you, Bob\r")
    for terminal in everybody:
        terminal.until("Thank you, Bob")
    bob.request(Kick("ann", "lobby", "have a break, Ann"))
    eve.until("put ann out")
    for terminal in (desk, train):
        terminal.until("You are in no room now.")
    desk.type("/join garden\r")
    for terminal in (desk, train):
        terminal.until("garden>")
        terminal.until("in garden:") if terminal is desk else None
    bob.leave()
    eve.until("bob left lobby")


def together(terminals: list[Terminal], captions: list[str], title: str) -> str:
    """The screens below each other, each with its caption."""
    parts, top = [], 0
    for caption, terminal in zip(captions, terminals):
        picture = svg(terminal.screen)
        width, height = map(int, re.findall(r'(?:width|height)="(\d+)"', picture)[:2])
        parts.append(
            f'<text x="10" y="{top + MARGIN - 8}" font-size="15" fill="#555">{caption}</text>'
        )
        inner = picture.replace("<svg ", f'<svg x="0" y="{top + MARGIN}" ', 1)
        parts.append(re.sub(r"<title>.*</title>\n", "", inner))
        top += height + MARGIN + HEIGHT // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" role="img">\n'
        f"<title>{title}</title>\n" + "".join(parts) + "</svg>\n"
    )


def main() -> int:
    default = ROOT / "nbs" / "images" / "moderation.svg"
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    size = {"columns": COLUMNS, "rows": ROWS}
    with ExitStack() as stack:
        server = stack.enter_context(ChatServer(costs=HashParameters(1, 32, 1)))
        ways = [("ann", "--login"), ("ann", "--login"), (None,)]
        terminals = [
            stack.enter_context(chat(server.port, *way, **size)) for way in ways
        ]
        scene(server, *terminals)
        for terminal in terminals:  # what else it has to say
            while terminal.read(0.3):
                pass
        shown = "".join("\n".join(each.screen.everything()) for each in terminals)
        if any(password in shown for password in PASSWORDS.values()):
            sys.exit("a password is on a screen")
        title = "Three terminals: two of one account, and a guest who is muted"
        target.write_text(together(terminals, CAPTIONS, title), encoding="utf-8")
        for terminal in terminals:
            print("\n".join([*terminal.screen.rows(), "-" * COLUMNS]))
            terminal.end("\x03")
    print(f"{PAPER}: {target} is drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
