"""Takes the pictures of the chat window: `python tools/window_pictures.py [files]` writes nbs/images/window_*.png.

It needs Xvfb, xdotool and ImageMagick. A real `chat_window` is used with real keys; Bob and Cy are programs.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from desktop import Desktop, virtual_screen  # noqa: E402
from file_sharing import FileChat, some_bytes  # noqa: E402
from waiting import wait_until  # noqa: E402

from python_tcp.chat_client import ChatClient  # noqa: E402
from python_tcp.chat_server import ChatServer  # noqa: E402

IMAGES = ROOT / "nbs" / "images"


def take(name: str, *arguments: str) -> None:
    """Play a short conversation, and take a picture of Ann's window."""
    with (
        virtual_screen("540x360") as display,
        ChatServer() as server,
        ChatClient("bob") as bob,
        ChatClient("cy") as cy,
    ):
        for client in (bob, cy):
            assert client.connect(server.host, server.port) and client.join("garden")
        desktop = Desktop(display)
        with desktop.start(
            server.host, server.port, "--username", "ann", *arguments
        ) as ann:
            ann.resize(520, 340)
            wait_until(lambda: ann.title == "lobby")
            ann.type("/join garden")
            ann.press("Return")
            wait_until(lambda: ann.title == "garden" and len(bob.users) == 3)
            bob.send_message("Has anybody seen the cat? https://example.org/cat")
            cy.send_message("She is asleep in the greenhouse.")
            ann.type("I'll bring her milk.")
            ann.press("Return")
            wait_until(lambda: not bob.unsent and not cy.unsent)
            cy.send_message("ann: take the small bowl!")
            assert bob.join("lobby") and bob.send_message("Is somebody here?")
            wait_until(lambda: ann.title == "garden (1)")
            ann.type("On my w")
            time.sleep(0.5)  # until all of it is drawn; nothing says when
            desktop.picture(IMAGES / f"window_{name}.png", ann.id)


def take_files(name: str) -> None:
    """A film is on its way to Ann, who goes on talking."""
    with (
        tempfile.TemporaryDirectory() as folder,
        virtual_screen("540x360") as display,
        FileChat(Path(folder, "store")) as chat,
    ):
        os.environ["HOME"] = folder
        Path(folder, "Downloads").mkdir()
        Path(folder, "greenhouse.mp4").write_bytes(some_bytes(200_000_000))
        bob, desktop = chat.person("bob", "garden"), Desktop(display)
        place = (chat.server.host, chat.server.port, "--username", "ann")
        with desktop.start(*place, "--room", "garden") as ann:
            ann.resize(520, 340)
            wait_until(lambda: ann.title == "garden" and len(bob.users) == 2)
            bob.send_message("I have filmed her this morning.")
            assert bob.send_file(Path(folder, "greenhouse.mp4"))
            desktop.run("xdotool", "type", "--window", ann.id, "/get 1")
            ann.press("Return")
            links = chat.proxy._links  # of the proxy in front of the files
            wait_until(lambda: any(link.gone[False] > 9e7 for link in links))
            chat.proxy.stall()  # what the picture shows has to stand still
            ann.type("Thank you! Did she drink the milk?")
            ann.press("Return")
            wait_until(lambda: any("milk" in line for line in bob.lines))
            bob.send_message("To the last drop.")
            wait_until(lambda: not bob.unsent)
            time.sleep(1.0)  # until all of it is drawn; nothing says when
            desktop.picture(IMAGES / f"window_{name}.png", ann.id)


if __name__ == "__main__":
    if sys.argv[1:] == ["files"]:
        sys.exit(take_files("files"))
    take_files("files")
    take("light")
    take("dark", "--dark")
