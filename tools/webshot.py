"""Chats in a browser and takes pictures of the page: `python tools/webshot.py [FOLDER]`.

It needs Chromium with its chromedriver, and selenium. The pictures in the chapter on the page are made by it: what headless Chromium
really showed, of a conversation with clients in Python.
"""

import base64
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Listener
from python_tcp.limits import Limits
from python_tcp.web import web_dialect

ROOT = Path(__file__).resolve().parent.parent
FLAGS = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars".split()
LIMIT = 30.0  # seconds
JOIN = """
document.getElementById('name').value = arguments[0];
document.getElementById('join').requestSubmit();
"""
SAY = """
document.getElementById('text').value = arguments[0];
document.getElementById('say').requestSubmit();
"""
TALK = [
    ("bob", "Hello everybody"),
    ("cy", "Hi Bob! Who is the one in the browser?"),
    ("ann", "That is me. Nothing installed, only a link :-)"),
    ("cy", "/me waves"),
    ("bob", "Do you see <b>this</b> as I typed it, Ann?"),
    ("ann", "As you typed it. 日本 works as well."),
]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit("the page does not show what was said")
        time.sleep(0.05)


def look(driver: webdriver.Chrome, width: int, height: int, scheme: str) -> None:
    size = {
        "width": width,
        "height": height,
        "deviceScaleFactor": 1,
        "mobile": width < 600,
    }
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def take(driver: webdriver.Chrome, file: Path) -> None:
    shown = (
        "return new Promise(done => requestAnimationFrame(() => setTimeout(done, 200)))"
    )
    driver.execute_script(shown)
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    file.write_bytes(base64.b64decode(taken["data"]))
    print(f"{file}: {file.stat().st_size // 1024} KiB")


def talk(driver: webdriver.Chrome, people: dict[str, ChatClient]) -> None:
    def shows(text: str) -> bool:
        script = "return document.getElementById('chat').textContent"
        return text in driver.execute_script(script)

    for name, text in TALK:
        if name in people:
            people[name].send_message(text)
        else:
            driver.execute_script(SAY, text)
        wait_for(lambda text=text: shows(text.removeprefix("/me ")))
    driver.execute_script(SAY, "/join dev")
    wait_for(lambda: shows("Welcome to dev"))
    driver.execute_script(SAY, "/room lobby")
    people["bob"].join("dev")
    for text in ("The build is green again.", "Ann, have a look when you can."):
        people["bob"].send_message(text)
    people["cy"].whisper("ann", "Which browser is it?")
    people["cy"].set_status("tea")
    wait_for(lambda: shows("2 @") and shows("Which browser") and shows("tea"))


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "nbs" / "images"
    driver_path = shutil.which("chromedriver")
    if not driver_path:
        sys.exit(
            "no Chromium with its chromedriver here: apt-get install chromium chromium-driver"
        )
    listener = Listener("web", web_dialect("127.0.0.1"), "127.0.0.1", 0)
    server = ChatServer(limits=Limits(flood_burst=0), listeners=[listener])
    with tempfile.TemporaryDirectory() as profile, server:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(driver_path))
        people = {name: ChatClient(name) for name in ("bob", "cy")}
        try:
            look(driver, 820, 440, "light")
            driver.get(f"http://{server.listening('web')[0]}/")
            driver.execute_script(JOIN, "ann")
            wait_for(lambda: server.users == ["ann"])
            for client in people.values():
                client.connect(server.host, server.port)
                client.join("lobby")
            talk(driver, people)
            take(driver, folder / "web_desktop.png")
            for name, scheme in (
                ("web_phone", "dark"),
                ("web_desktop_narrow", "light"),
            ):
                look(driver, 360, 560, scheme)
                take(driver, folder / f"{name}.png")
        finally:
            driver.quit()
            for client in people.values():
                client.leave(timeout=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
