"""The page in a real browser, headless: people chat, the server dies, hostile texts stay texts."""

import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import Listener as KeepingClient
from helpers import Program
from screen import chat
from sockets import kept_port
from test_browser import chrome, look, needs_chromium
from waiting import wait_until
from xss import TEXTS

selenium = pytest.importorskip(
    "selenium", reason="no selenium here: pip install -e '.[dev]'"
)
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402

from python_tcp.chat_server import ChatServer  # noqa: E402
from python_tcp.dialects import Listener  # noqa: E402
from python_tcp.limits import Limits  # noqa: E402
from python_tcp.passwords import HashParameters  # noqa: E402
from python_tcp.typed_lines import COMMANDS  # noqa: E402
from python_tcp.web import web_dialect  # noqa: E402

HTML = Path(__file__).parent.parent / "python_tcp" / "page" / "index.html"
SECONDS = 30.0

pytestmark = [
    pytest.mark.slow(seconds=8),
    needs_chromium,
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = chrome(tmp_path_factory.mktemp("browser"), SECONDS)
    yield driver
    driver.quit()


SHOWN = """
const log = [...document.querySelectorAll('.log')].find(each => !each.hidden);
return log ? [...log.querySelectorAll('li')].map(item => ({
    seq: item.dataset.seq || null, kind: item.className, who: item.querySelector('b')?.textContent || null,
    text: item.querySelector('.text')?.textContent ?? null,
})) : [];
"""
SAY = """
document.getElementById('text').value = arguments[0];
document.getElementById('say').requestSubmit();
"""
BURST = f"for (const text of arguments[0]) {{ {SAY.replace('arguments[0]', 'text')} }}"


class PageOf:
    """A window of the browser in which somebody chats."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self._driver = driver
        driver.switch_to.new_window("window")
        self._window = driver.current_window_handle
        self.look()
        driver.get_log("browser")
        driver.get(url)

    @property
    def driver(self) -> webdriver.Chrome:
        if self._driver.current_window_handle != self._window:
            self._driver.switch_to.window(self._window)
        return self._driver

    def look(
        self, width: int = 1200, height: int = 800, scheme: str = "light"
    ) -> "PageOf":
        """Choose the size of the window, and whether the system is light or dark."""
        look(self.driver, width, height, scheme)
        return self

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def run(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def text(self, css: str) -> str:
        """What an element has in it, shown or not."""
        return str(
            self.run("return document.querySelector(arguments[0]).textContent", css)
        )

    def wait(self, condition: Callable[[], object]) -> object:
        return wait_until(condition, SECONDS, pause=0.03)

    def join(self, name: str, room: str = "lobby") -> "PageOf":
        self.find("#name").send_keys(name)
        self.run("document.getElementById('room').value = arguments[0]", room)
        self.find("#name").send_keys(Keys.ENTER)
        self.wait(
            lambda: (
                self.find("#text").is_displayed()
                and self.text("#title").startswith(room)
            )
        )
        self.wait(lambda: self.all("#people li"))
        return self

    def say(self, text: str) -> None:
        self.run(SAY, text)

    def items(self) -> list[dict]:
        """All that is in the room that is shown."""
        return self.run(SHOWN)

    def messages(self) -> list[str]:
        return [each["text"] for each in self.items() if each["seq"]]

    def sees(self, text: str) -> None:
        self.wait(lambda: any(text in (each["text"] or "") for each in self.items()))

    def errors(self) -> list[str]:
        """What stands in the console, but for connections that were refused meanwhile."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING")
            and "WebSocket connection" not in entry["message"]
        ]

    def close(self) -> None:
        driver = self.driver
        driver.close()
        driver.switch_to.window(driver.window_handles[0])


class Web:
    """A chat server with a port for browsers."""

    def __init__(self, driver: webdriver.Chrome, **limits: float) -> None:
        self._driver, self._open = driver, []
        dialect = web_dialect("127.0.0.1")
        limits = {"flood_burst": 0, "connections_per_address": 0} | limits
        self.server = ChatServer(
            limits=Limits(**limits),
            listeners=[Listener("web", dialect, "127.0.0.1", 0)],
            costs=HashParameters(1, 32, 1),
        )

    @property
    def url(self) -> str:
        return f"http://{self.server.listening('web')[0]}/"

    def page(self) -> PageOf:
        self._open.append(page := PageOf(self._driver, self.url))
        return page

    def client(self, name: str, room: str = "lobby") -> KeepingClient:
        """A client in Python."""
        client = KeepingClient(name)
        assert client.connect(self.server.host, self.server.port) and client.join(room)
        self._open.append(client)
        return client

    def __enter__(self) -> "Web":
        self.server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for each in self._open:
            each.close() if isinstance(each, PageOf) else each.leave(timeout=5)
        self.server.stop()


@pytest.fixture
def web(driver: webdriver.Chrome) -> Iterator[Web]:
    with Web(driver) as web:
        yield web


def said(client: KeepingClient) -> list[str]:
    """The messages that a client has heard."""
    return [
        event.content for event in client.events if type(event).__name__ == "Message"
    ]


# --- people chat ----------------------------------------------------------------------------------


def test_two_pages_a_terminal_and_a_python_client_chat(web: Web) -> None:
    ann, cat = web.page().join("ann"), web.client("cat")
    bob = web.page().join("bob")
    with chat(web.server.port, "dan") as dan:
        dan.until("lobby>")
        wait_until(lambda: len(web.server.users) == 4)
        ann.say("Hello from a page")
        bob.sees("Hello from a page")
        dan.until("ann: Hello from a page")
        cat.send_message("Hello from Python")
        dan.until("cat: Hello from Python")
        dan.type("Hello from a terminal\r")
        bob.sees("Hello from a terminal")
        bob.say("/me waves 👋\nwith both hands")
        dan.until("with both hands")
        wanted = [f"Hello from {what}" for what in ("a page", "Python", "a terminal")]
        wanted.append("waves 👋\nwith both hands")
        for page in (ann, bob):
            page.wait(lambda page=page: page.messages() == wanted)
            # It shows who is there a little later.
            page.wait(lambda page=page: page.text("#people-title") == "4 people")
        assert dan.end("/quit\r") == 0
    heard = [*wanted[:3], "/me waves 👋\nwith both hands"]
    wait_until(lambda: said(cat) == heard)
    bob.say("/whisper ann psst <i>you</i>")
    ann.sees("psst <i>you</i>")
    ann.say("/reply what?")
    bob.sees("what?")
    assert not any("psst" in line or "what" in line for line in cat.lines)
    bob.say("/quit")
    bob.wait(lambda: "Goodbye" in bob.text("#why"))
    ann.sees("bob left")
    assert ann.errors() == [] == bob.errors()


def test_unread_messages_of_other_rooms_are_counted(web: Web) -> None:
    ann, cat = web.page().join("ann"), web.client("cat", "dev")
    ann.say("/join dev")
    ann.wait(lambda: ann.text("#title") == "dev")
    ann.say("/room lobby")
    cat.send_message("one")
    cat.send_message("Ann, two")
    count = "#rooms li:nth-child(2) .count"  # which is not there before
    ann.wait(lambda: ann.all(count) and ann.text(count).startswith("2 @"))
    assert ann.find("#rooms li:nth-child(2) button").accessible_name == (
        "dev 2 @ unread, you are mentioned"
    )
    assert ann.driver.title == "(2) lobby" and ann.messages() == []
    ann.find("#rooms li:nth-child(2) button").click()
    assert ann.messages() == ["one", "Ann, two"] and ann.driver.title == "dev"
    assert [each["kind"] for each in ann.items() if each["seq"]] == ["", "called"]
    assert ann.all("#rooms .count") == []


def test_history_comes_when_one_scrolls_up(web: Web) -> None:
    cat = web.client("cat")
    for number in range(230):
        cat.send_message(f"number {number}")
    wait_until(lambda: len(said(cat)) == 230)
    ann = web.page().join("ann")
    ann.wait(lambda: len(ann.messages()) >= 50)
    assert ann.messages()[-1] == "number 229" and len(ann.messages()) < 230
    log = "document.querySelector('.log:not([hidden])')"
    assert ann.run(f"return {log}.scrollTop") > 0  # the end is shown

    place = "const item = arguments[0]; return item.getBoundingClientRect().top"
    count, oldest = len(ann.messages()), ann.find(".log li[data-seq]")
    before = ann.run(f"{log}.scrollTop = 100; {place}", oldest)
    ann.wait(lambda: len(ann.messages()) > count)
    assert abs(ann.run(place, oldest) - before) < 3  # what one looks at stays there

    def scrolled_up() -> bool:
        ann.run(f"{log}.scrollTop = 0; {log}.dispatchEvent(new Event('scroll'))")
        return len(ann.messages()) >= 230

    ann.wait(scrolled_up)
    assert ann.messages() == [f"number {number}" for number in range(230)]


def test_a_message_that_comes_while_one_reads_above_does_not_move_the_page(
    web: Web,
) -> None:
    cat = web.client("cat")
    for number in range(45):
        cat.send_message(f"number {number}")
    ann = web.page().join("ann")
    ann.sees("number 44")
    log = "document.querySelector('.log:not([hidden])')"
    ann.wait(lambda: len(ann.messages()) == 45)
    ann.run(f"{log}.scrollTop = 300")
    ann.wait(lambda: ann.run(f"return {log}.scrollTop") == 300)
    ann.run("return new Promise(done => requestAnimationFrame(done))")
    cat.send_message("news")
    ann.sees("news")
    ann.wait(lambda: ann.find("#newer").is_displayed())
    assert ann.run(f"return {log}.scrollTop") == 300
    ann.find("#newer").click()
    ann.wait(lambda: not ann.find("#newer").is_displayed())


def test_commands(web: Web) -> None:
    cat, ann = web.client("cat"), web.page().join("ann")
    ann.say("/help")
    ann.sees("/whisper NAME TEXT")
    ann.say("/users")
    ann.sees("in lobby: ann, cat")
    ann.say("/rooms")
    ann.sees("rooms: lobby (2)")
    ann.say("/away back <b>soon</b>")
    ann.sees("ann is away: back <b>soon</b>")
    ann.wait(lambda: "back <b>soon</b>" in ann.text("#people"))
    ann.say("//slash")
    ann.sees("/slash")
    ann.say("/ignore cat")
    cat.send_message("can you hear me?")
    ann.say("after that")
    ann.sees("after that")
    assert "can you hear me?" not in ann.messages()
    ann.say("/clear")
    assert ann.items() == []
    for line, why in [
        ("/nonsense", "/nonsense is not a command; see /help"),
        ("/whi", "/whi is not a command; did you mean /whisper?"),
        ("/whisper", "Usage: /whisper NAME TEXT"),
        ("/history x", "/history takes a number from 1 to 999"),
        ("x" * 4001, "this is too long: 4001 characters, and 4000 is the most"),
        ("a\u202eb", "the control character U+202E can't be sent"),
    ]:
        ann.say(line)
        assert why in ann.text("#mistake")
        assert ann.run("return document.getElementById('text').value") == line
    ann.say("/room nowhere")
    assert "You are not in nowhere" in ann.text("#mistake")
    ann.say("/leave")
    ann.wait(lambda: ann.text("#title") == "no room")
    ann.say("anybody?")
    assert "You are in no room" in ann.text("#mistake")
    assert ann.errors() == []


def test_the_page_has_the_commands_of_the_other_clients() -> None:
    page = HTML.read_text()
    start = page.index("const CHAT = {")
    table = page[start : page.index("const COMMANDS", start)]
    usages = dict(re.findall(r'^  "?([\w-]+)"?: \["(.+?)",', table, re.M))
    assert len(usages) == 36
    # A page knows no paths: it asks for the file, and the browser chooses the folder.
    assert [usages.pop(name) for name in ("send", "get")] == ["/send", "/get N"]
    assert {name: COMMANDS[name][0] for name in usages} == usages
    # What is for the whole server is not for the page.
    missing = {"numbers", "server", "send", "get"}
    assert COMMANDS.keys() - usages.keys() == missing


def answer(page: PageOf, *passwords: str) -> None:
    """Type them into the box that asks for passwords."""
    page.wait(lambda: page.find("#ask").is_displayed())
    fields = page.all("#ask input")
    assert len(fields) == len(passwords)
    assert {field.get_attribute("type") for field in fields} == {"password"}
    for field, password in zip(fields, passwords, strict=True):
        field.clear()
        field.send_keys(password)
    fields[-1].send_keys(Keys.ENTER)


def answered(page: PageOf, *passwords: str) -> None:
    """The same; and they were taken."""
    answer(page, *passwords)
    page.wait(lambda: not page.find("#ask").is_displayed())
    page.wait(lambda: page.all("#ask input") == [])  # nothing of them stays in the page


OLD, NEW = "correct horse", "battery staple"


def test_a_guest_makes_an_account_and_changes_the_password(web: Web) -> None:
    ann, phone = web.page().join("ann"), web.page()
    ann.say("/register")
    answer(ann, "short", "short")
    ann.wait(lambda: "8 to 256 characters" in ann.text("#ask-why"))
    answer(ann, OLD, "another one")
    ann.wait(lambda: "not the same" in ann.text("#ask-why"))
    answered(ann, OLD, OLD)
    ann.sees("You have registered ann: the name is yours.")
    phone.find("#password").send_keys(OLD)
    phone.find("#name").send_keys("ann", Keys.ENTER)
    phone.wait(lambda: phone.all("#people li"))
    ann.say("/password")
    answered(ann, "wrong horse", NEW, NEW)
    ann.wait(lambda: "the password is wrong" in ann.text("#mistake"))
    ann.say("/password")
    answered(ann, OLD, NEW, NEW)
    ann.sees("Your password is changed.")
    phone.wait(lambda: "was changed" in phone.text("#why"))
    kept = ann.run("return JSON.stringify([sessionStorage, localStorage])")
    assert OLD not in str(kept) and NEW not in str(kept)
    ann.say("/logout")
    ann.wait(lambda: ann.find("#door").is_displayed())
    assert ann.text("#why") == "You have logged out."
    assert ann.errors() == [] == phone.errors()


def test_somebody_logs_in_from_the_chat_and_gives_the_account_up(web: Web) -> None:
    ann = come(web, OLD, new=True)
    ann.wait(lambda: ann.all("#people li"))
    ann.say("/logout")
    ann.wait(lambda: ann.find("#door").is_displayed())
    bob = web.page().join("bob")
    bob.say("/login ann")
    answered(bob, OLD)
    bob.wait(lambda: bob.text("#people-title") == "1 person")
    bob.wait(lambda: "ann" in bob.text("#people"))
    bob.say("/delete-account")
    answered(bob, OLD)
    bob.wait(lambda: bob.text("#why") == "Your account is deleted.")
    web.page().join("ann")
    assert bob.errors() == []


def test_a_room_is_locked_with_a_password_and_entered_with_it(web: Web) -> None:
    ann = come(web, OLD, new=True)
    ann.wait(lambda: ann.all("#people li"))
    ann.say("/join den")
    ann.wait(lambda: ann.text("#title").startswith("den"))
    ann.say("/register-room")
    ann.sees("you registered den")
    ann.say("/lock")
    answered(ann, NEW, NEW)
    ann.sees("you locked den")
    bob = web.page().join("bob")
    bob.say("/join den")
    answer(bob, "wrong horse")
    answered(bob, NEW)  # it is asked for again
    bob.wait(lambda: bob.text("#title").startswith("den"))
    ann.say("/lock")
    answered(ann, "", "")
    cat = web.page().join("cat")
    cat.say("/join den")
    cat.wait(lambda: cat.find("#ask").is_displayed())
    cat.find("#ask-cancel").click()
    cat.wait(lambda: not cat.find("#ask").is_displayed())
    assert cat.text("#title").startswith("lobby")
    assert ann.errors() == [] == bob.errors() == cat.errors()


def test_a_page_that_came_in_clear_text_sends_no_password(web: Web) -> None:
    """The browser says whether it came over https, or from this computer."""
    ann = web.page()
    ann.run("Object.defineProperty(window, 'isSecureContext', {value: false})")
    ann.find("#password").send_keys(OLD)
    ann.find("#name").send_keys("ann", Keys.ENTER)
    ann.wait(lambda: "https only" in ann.text("#why"))
    ann.find("#password").clear()
    ann.find("#name").clear()
    ann.join("ann")
    ann.say("/register")
    ann.wait(lambda: "https only" in ann.text("#mistake"))
    assert not ann.find("#ask").is_displayed()


def test_a_wrong_name_is_said(web: Web) -> None:
    web.client("cat")
    ann = web.page()
    ann.find("#name").send_keys("cat", Keys.ENTER)
    ann.wait(lambda: "cat" in ann.text("#why"))
    assert ann.find("#name").is_displayed()
    ann.find("#name").clear()
    ann.find("#name").send_keys("no blanks", Keys.ENTER)
    assert ann.run("return document.querySelector('#name:invalid') !== null")


def come(web: Web, password: str, new: bool = False) -> PageOf:
    """Ann, with a password; `new`: she has no account yet."""
    page = web.page()
    page.find("#password").send_keys(password)
    if new:
        page.find("#register").click()
    page.find("#name").send_keys("ann", Keys.ENTER)
    return page


def test_a_moderator_keeps_order(web: Web) -> None:
    ann = come(web, "correct horse", new=True)
    ann.wait(lambda: ann.all("#people li"))
    ann.say("/register-room")
    ann.sees("you registered lobby")
    ann.say("/topic about <i>boats</i>")
    ann.wait(lambda: ann.text("#title") == "lobby: about <i>boats</i>")
    bob, cat = web.page().join("bob"), web.client("cat")
    assert bob.text("#title") == "lobby: about <i>boats</i>"
    cat.send_message("rude words")
    for page in (ann, bob):
        page.sees("rude words")
    ann.say("/delete cat")
    for page in (ann, bob):
        page.wait(lambda page=page: page.messages() == [None])
    ann.say("/mute cat 10m enough of that")
    ann.sees("you muted cat in lobby until ")
    ann.sees(": enough of that")
    cat.send_message("more of it")
    ann.say("/kick cat go away")
    bob.sees("ann put cat out of lobby: go away")
    bob.wait(lambda: bob.text("#people-title") == "2 people")
    ann.say("/ban cat 1h")
    ann.sees("you banned cat from lobby until ")
    ann.say("/bans")
    ann.sees("cat, until")
    bob.say("/kick ann")
    bob.wait(lambda: bob.text("#mistake") != "")
    assert bob.messages() == [None]
    assert ann.errors() == [] == bob.errors()


def test_an_account_is_made_and_used_at_the_door(web: Web) -> None:
    ann = come(web, "correct horse", new=True)
    ann.wait(lambda: ann.all("#people li"))
    other = come(web, "")
    other.wait(lambda: "log in first" in other.text("#why"))
    other = come(web, "wrong horse")
    other.wait(lambda: "wrong" in other.text("#why"))
    other = come(web, "correct horse")
    other.wait(lambda: other.all("#people li"))
    for page in (ann, other):  # both are Ann now, in two rooms, and look at one each
        page.say("/join dev")
        page.wait(lambda page=page: page.text("#title") == "dev")
    other.say("/room lobby")
    web.client("cat", "dev").send_message("Ann?")
    ann.sees("Ann?")
    other.wait(lambda: other.driver.title == "lobby")  # it was read in the other window
    cut_off(web, "ann")
    ann.say("who am I?")
    for page in (ann, other):
        page.say("/room dev")
    other.sees("who am I?")
    assert web.server.users == ["ann", "ann", "cat"]
    stored = ann.run("return JSON.stringify([sessionStorage, localStorage])")
    assert "horse" not in stored


def test_a_notification_when_it_is_asked_for(web: Web) -> None:
    cat, ann = web.client("cat"), web.page().join("ann")
    ann.run(
        "window.shown = []; window.Notification = class { constructor(title, options) {"
        " shown.push([title, options.body]); } static async requestPermission() { return 'granted'; } };"
        "Object.defineProperty(document, 'visibilityState', {get: () => window.state || 'hidden'});"
    )
    cat.send_message("ann, not yet")
    ann.wait(lambda: ann.driver.title == "(1) lobby")
    ann.find("#notify").click()
    ann.wait(lambda: ann.find("#notify").get_attribute("aria-pressed") == "true")
    cat.send_message("nobody is meant")
    cat.send_message("ann, are you there?")
    cat.whisper("ann", "psst")
    shown = [["cat in lobby", "ann, are you there?"], ["cat whispers", "psst"]]
    ann.wait(lambda: ann.run("return shown") == shown)
    ann.run("window.state = 'visible'; window.dispatchEvent(new Event('focus'))")
    ann.wait(lambda: ann.driver.title == "lobby")


# --- connections that break -----------------------------------------------------------------------


def test_a_reload_keeps_the_place_and_what_was_just_said(web: Web) -> None:
    cat, ann = web.client("cat"), web.page().join("ann")
    ann.say("/join dev")
    ann.wait(lambda: ann.text("#title") == "dev")
    ann.run(SAY + "location.reload()", "just before")
    ann.wait(lambda: ann.all("#rooms li") and ann.text("#title") == "dev")
    ann.wait(lambda: ann.messages() == ["just before"])
    ann.say("after it")
    ann.wait(lambda: ann.messages() == ["just before", "after it"])
    assert web.server.users == ["ann", "cat"]
    assert sum("ann joined" in line for line in cat.lines) == 1


def test_the_same_place_in_two_windows_is_given_to_the_second(web: Web) -> None:
    ann = web.page().join("ann")
    saved = ann.run("return sessionStorage.getItem('chat')")
    other = web.page()
    other.run("sessionStorage.setItem('chat', arguments[0])", saved)
    other.driver.refresh()
    other.wait(lambda: other.all("#people li"))
    ann.wait(lambda: "joined again from elsewhere" in ann.text("#why"))
    assert web.server.users == ["ann"]


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Two for a server that is started twice: nobody else gets them meanwhile."""
    with kept_port() as one, kept_port() as two:
        yield [one.getsockname()[1], two.getsockname()[1]]


@pytest.mark.slow(seconds=25)
def test_a_server_that_is_killed_loses_and_doubles_nothing(
    driver: webdriver.Chrome, tmp_path: Path, ports: list[int]
) -> None:
    port, web_port = ports
    data = tmp_path / "chat.db"
    command = ["start_server", "--port", port, "--web", web_port, "--data", data]

    def start() -> Program:
        server = Program(*command)
        wait_until(lambda: can_connect(web_port), SECONDS)
        return server

    server = start()
    url = f"http://127.0.0.1:{web_port}/"
    pages = [PageOf(driver, url).join(name) for name in ("ann", "bob")]
    cat = KeepingClient("cat")
    assert cat.connect("127.0.0.1", port) and cat.join()
    try:
        wanted = []
        for turn in range(3):
            for number in range(4):
                for who, page in zip(("ann", "bob"), pages):
                    page.say(f"{who} {turn}.{number}")
                cat.send_message(f"cat {turn}.{number}")
                wanted += [f"{who} {turn}.{number}" for who in ("ann", "bob", "cat")]
            if turn == 2:
                break
            server.process.send_signal(signal.SIGSTOP)  # what comes now is never read
            for page in pages:
                page.run(BURST, [f"never read {turn}.{number}" for number in range(5)])
            server.process.kill()
            server.end()
            wanted += 2 * [f"never read {turn}.{number}" for number in range(5)]
            for page in pages:  # said while there is no server
                page.wait(lambda page=page: "Trying again" in page.text("#state"))
                page.say(f"nobody there {turn}")
                page.wait(
                    lambda page=page: f"nobody there {turn}" in page.text("#pending")
                )
            wanted += [f"nobody there {turn}"] * 2
            server.__exit__()
            server = start()
        wait_until(lambda: len(said(cat)) == len(wanted), 2 * SECONDS)
        for page in pages:
            page.wait(lambda page=page: len(page.messages()) >= len(wanted))
            page.wait(lambda page=page: page.text("#pending") == "")
        assert sorted(said(cat)) == sorted(wanted)
        for who, page in zip(("ann", "bob"), pages):
            assert page.messages() == said(cat)  # the same, in the same order
            own = [each["text"] for each in page.items() if each["who"] == who]
            ours = [t for t in wanted if t.startswith((who, "n"))]
            assert own == list(dict.fromkeys(ours))
            assert not any("started anew" in (e["text"] or "") for e in page.items())
    finally:
        for page in pages:
            page.close()
        cat.leave(timeout=5)
        server.__exit__()


def test_flood_control_slows_down_and_loses_nothing(driver: webdriver.Chrome) -> None:
    with Web(driver, flood_burst=6, flood_rate=20) as web:
        ann, cat = web.page().join("ann"), web.client("cat")
        wanted = [f"number {number}" for number in range(40)]
        ann.run(BURST, wanted)
        ann.wait(lambda: len(said(cat)) >= len(wanted))
        ann.wait(lambda: len(ann.messages()) >= len(wanted))
        assert said(cat) == wanted == ann.messages()
        ann.wait(lambda: ann.text("#pending") == "")


def test_what_is_refused_is_said_again_in_order(driver: webdriver.Chrome) -> None:
    """The server is stricter from now on than it has told: it refuses most of a burst."""
    with Web(driver, flood_burst=60, flood_rate=60) as web:
        ann, cat = web.page().join("ann"), web.client("cat")
        ann.run(
            "window.refused = 0; const {parse} = JSON; JSON.parse = text => {"
            " const it = parse(text); window.refused += it?.code === 'rate_limited'; return it; }"
        )
        web.server.set_limits(Limits(flood_burst=3, flood_rate=10, flood_excess=1000))
        wanted = [f"number {number}" for number in range(30)]
        ann.run(BURST, wanted)
        ann.wait(lambda: len(said(cat)) >= len(wanted))
        ann.wait(lambda: ann.text("#pending") == "")
        assert said(cat) == wanted == ann.messages()
        assert ann.run("return window.refused") > 0


def test_a_server_that_has_forgotten_everything(
    driver: webdriver.Chrome, ports: list[int]
) -> None:
    """It was restarted without a data file: the rooms begin anew, and what waits is said once."""
    port, web_port = ports

    def server() -> ChatServer:
        listener = Listener("web", web_dialect("127.0.0.1"), "127.0.0.1", web_port)
        limits = Limits(flood_burst=0, connections_per_address=0)
        return ChatServer(port=port, limits=limits, listeners=[listener])

    with server():
        ann = PageOf(driver, f"http://127.0.0.1:{web_port}/").join("ann")
        for number in range(3):
            ann.say(f"number {number}")
        ann.wait(lambda: len(ann.messages()) == 3)
    try:
        ann.wait(lambda: "Trying again" in ann.text("#state"))
        ann.say("nobody there")
        ann.wait(lambda: ann.text("#pending") == "nobody there")
        with server():
            ann.sees("lobby has started anew: something may be missing here.")
            ann.wait(lambda: ann.messages() == ["nobody there"])
            ann.wait(lambda: ann.text("#pending") == "" == ann.text("#state"))
            ann.say("I am back")
            ann.wait(lambda: ann.messages() == ["nobody there", "I am back"])
    finally:
        ann.close()


def cut_off(web: Web, name: str) -> None:
    """Close somebody's connection, as a bad network would."""
    number, _ = web.server.connection_of(name)
    web.server.engine.loop.call_threadsafe(
        lambda: web.server.engine.connections[number].abort("cut by the test")
    )


def test_what_is_no_longer_kept_is_said_to_be_missing(driver: webdriver.Chrome) -> None:
    with Web(driver, history_messages=5) as web:
        ann, cat = web.page().join("ann"), web.client("cat")
        cat.send_message("before")
        ann.sees("before")
        # Nobody is faster than the page, unless it may not come back yet.
        ann.run("window.kept = WebSocket; window.WebSocket = class { close() {} };")
        cut_off(web, "ann")
        wait_until(lambda: web.server.connection_of("ann") is None)
        for number in range(9):
            cat.send_message(f"number {number}")
        wait_until(lambda: len(said(cat)) == 10)
        ann.run("window.WebSocket = kept; window.dispatchEvent(new Event('online'))")
        ann.sees("4 messages are missing here, and no longer kept.")
        kept = [f"number {number}" for number in range(4, 9)]
        ann.wait(lambda: ann.messages() == ["before", *kept])


def test_a_name_that_was_given_away_meanwhile(driver: webdriver.Chrome) -> None:
    with Web(driver, resume_window=0) as web:
        ann = web.page().join("ann")
        ann.run("window.kept = WebSocket; window.WebSocket = class { close() {} };")
        cut_off(web, "ann")
        wait_until(lambda: web.server.users == [])
        web.client("ann")
        ann.run("window.WebSocket = kept; window.dispatchEvent(new Event('online'))")
        ann.wait(lambda: "ann" in ann.text("#why"))
        assert ann.find("#name").is_displayed()
        ann.find("#name").clear()
        ann.join("anna")
        ann.say("again under another name")
        ann.wait(lambda: ann.messages() == ["again under another name"])


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


# --- what people type is text ---------------------------------------------------------------------


def test_sixty_hostile_texts_are_text(web: Web) -> None:
    assert len(set(TEXTS)) >= 60
    cat, ann = web.client("cat"), web.page().join("ann")
    ann.run(
        "window.caught = []; for (const name of ['alert', 'confirm', 'prompt', 'open'])"
        " window[name] = text => caught.push(text);"
        "document.addEventListener('securitypolicyviolation', event => caught.push(event.violatedDirective));"
    )
    for text in TEXTS:
        cat.send_message(text)
    ann.wait(lambda: len(ann.messages()) >= len(TEXTS))
    assert ann.messages() == TEXTS
    cat.whisper("ann", TEXTS[0])
    cat.set_status(TEXTS[0][:80])
    ann.say(TEXTS[1])
    ann.wait(lambda: ann.messages()[-1] == TEXTS[1])
    ann.wait(lambda: TEXTS[0][:80] in ann.text("#people"))
    # Only the elements that the page makes itself, and none of them with more in it.
    inside = ann.run(
        "return [...new Set([...document.querySelectorAll('.log li *')].map(each => each.tagName))].sort()"
    )
    assert inside == ["B", "SPAN", "TIME"]
    assert ann.run("return document.querySelectorAll('.text *, b *').length") == 0
    assert ann.run("return document.scripts.length") == 1
    assert ann.run("return caught") == [] and ann.errors() == []


def test_the_browser_itself_refuses_html_and_scripts(web: Web) -> None:
    """What the page must never do would not work: the policy is in force."""
    ann = web.page().join("ann")
    for script in (
        "document.body.innerHTML = arguments[0]",
        "document.body.insertAdjacentHTML('beforeend', arguments[0])",
        "document.write(arguments[0])",
        "const it = document.createElement('script'); it.textContent = arguments[0]",
        "document.createElement('iframe').srcdoc = arguments[0]",
    ):
        wrong = ann.run(
            f"try {{ {script}; return '' }} catch (error) {{ return error.name }}",
            "<img src=x onerror=alert(1)>",
        )
        assert wrong == "TypeError", script
    refused = ann.run(
        "return new Promise(done => { document.addEventListener('securitypolicyviolation',"
        " event => done(event.effectiveDirective), {once: true});"
        " fetch('http://127.0.0.1:9/').catch(() => 0); })"
    )
    assert refused == "connect-src"


def test_names_that_mean_something_to_javascript_are_names(web: Web) -> None:
    names = ["__proto__", "constructor", "toString", "hasOwnProperty"]
    for name in names:
        web.client(name, "valueOf").send_message(f"I am {name}")
    ann = web.page().join("ann", "valueof")
    ann.wait(lambda: len(ann.messages()) == len(names))
    web.client("prototype", "valueOf").set_status("__proto__")
    ann.sees("prototype is away: __proto__")
    shown = {*names, "ann", "prototype__proto__"}
    listed = "return [...document.querySelectorAll('#people li')].map(each => each.textContent)"
    ann.wait(lambda: set(ann.run(listed)) == shown)
    ann.say("/users")
    ann.sees("constructor")
    for line in ("/constructor", "/__proto__", "/toString x"):
        ann.say(line)
        assert "is not a command" in ann.text("#mistake")
    assert ann.errors() == []


# --- for everybody --------------------------------------------------------------------------------

# Contrast with what lies behind (WCAG 2.2, 1.4.3): 4.5 to 1, for each text that is shown.
TOO_LITTLE_CONTRAST = """
const numbers = color => (color.match(/[\\d.]+/g) || []).map(Number);
const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
    if (!element) return [255, 255, 255];
    const [r, g, b, a = 1] = numbers(getComputedStyle(element).backgroundColor);
    return a > 0.5 ? [r, g, b] : behind(element.parentElement);
};
const found = [], looked = [];
for (const element of document.querySelectorAll('body *')) {
    const has_text = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!(has_text || element.placeholder) || !element.checkVisibility({visibilityProperty: true})) continue;
    const style = getComputedStyle(element, element.placeholder && !element.value ? '::placeholder' : null);
    const [a, b] = [light(numbers(style.color).slice(0, 3)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    looked.push(element.tagName);
    if (contrast < 4.5) found.push(`${element.tagName}.${element.className}#${element.id}: ${contrast.toFixed(1)}`);
}
return [looked.length, found];
"""


def lively(web: Web) -> PageOf:
    """A page with one of everything."""
    cat = web.client("cat")
    ann = web.page()
    ann.find("#name").send_keys("cat", Keys.ENTER)
    ann.wait(lambda: "cat" in ann.text("#why"))
    ann.find("#name").clear()
    ann.join("ann")
    for name in ("bob", "dan", "eve", "fay", "gil"):
        web.client(name).send_message(f"/me is {name}")
    cat.send_message("ann, look!")
    cat.set_status("in a meeting")
    ann.say("/join dev")
    ann.wait(lambda: ann.text("#title") == "dev")
    web.client("hal", "dev")
    ann.say("/room lobby")
    web.client("ian", "dev").send_message("ann?")
    ann.wait(lambda: ann.all("#rooms .count"))
    ann.say("/nonsense")
    ann.sees("look!")
    ann.wait(lambda: "meeting" in ann.text("#people"))
    return ann


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(web: Web, scheme: str) -> None:
    ann = web.page().look(scheme=scheme)
    count, found = ann.run(TOO_LITTLE_CONTRAST)
    assert count > 5 and found == []
    ann.close()
    web._open.remove(ann)
    ann = lively(web).look(scheme=scheme)
    for which in ("", {"light": "dark", "dark": "light"}[scheme]):
        ann.run("document.documentElement.dataset.theme = arguments[0]", which)
        count, found = ann.run(TOO_LITTLE_CONTRAST)
        assert count > 30 and found == [], which


def test_that_little_contrast_is_noticed(web: Web) -> None:
    ann = web.page()
    ann.run("document.getElementById('rules').style.color = '#999'")
    assert ["P.status#rules" in each for each in ann.run(TOO_LITTLE_CONTRAST)[1]] == [
        True
    ]


def test_everything_has_a_name_for_a_screen_reader(web: Web) -> None:
    ann = web.page()
    fields = [each for each in ann.all("input, button") if each.is_displayed()]
    assert [each.accessible_name for each in fields] == [
        "Your name",
        "Room",
        "Password, if this name has an account",
        "Make this name mine, with this password",
        "Join",
    ]
    ann.close()
    web._open.remove(ann)
    ann = lively(web).look(360)
    ann.find("#show-rooms").click()
    seen = [
        each
        for each in ann.all("#chat :is(button, input, textarea, .log, nav, aside)")
        if each.is_displayed()
    ]
    assert len(seen) > 10 and all(each.accessible_name for each in seen)
    assert ann.find("#text").accessible_name == "Message, or a command such as /help"
    roles = {each: ann.find(each).aria_role for each in ("nav", "main#door ~ div main")}
    assert list(roles.values()) == ["navigation", "main"]
    # What is said is spoken, politely; history and what we say ourselves is not.
    assert ann.find("#live").get_attribute("aria-live") == "polite"
    assert "cat: ann, look!" in ann.text("#live")


def test_it_can_be_used_with_the_keyboard_alone(web: Web) -> None:
    cat = web.client("cat", "dev")
    ann = web.page()

    def press(*keys: str) -> WebElement:
        """Press keys where the focus is. Returns where it is then."""
        webdriver.ActionChains(ann.driver).send_keys(*keys).perform()
        return ann.driver.switch_to.active_element

    assert ann.driver.switch_to.active_element.get_attribute("id") == "name"
    press("ann", Keys.ENTER)
    ann.wait(lambda: ann.all("#people li"))
    press("Hello", Keys.ENTER)  # the focus is in the field for messages
    ann.sees("Hello")
    press("/join dev", Keys.ENTER)
    ann.wait(lambda: ann.text("#title") == "dev")
    keys = webdriver.ActionChains(ann.driver)
    keys.key_down(Keys.ALT).send_keys(Keys.ARROW_UP).key_up(Keys.ALT).perform()
    ann.wait(lambda: ann.text("#title") == "lobby")
    cat.send_message("over here")
    ann.wait(lambda: ann.all("#rooms .count"))
    press(Keys.ARROW_UP)  # what was said last comes back
    assert (
        ann.run("return document.getElementById('text').value").strip() == "/join dev"
    )
    press(Keys.ARROW_DOWN)
    ann.run("document.getElementById('skip').focus()")
    seen, outlines = [], []
    for _ in range(20):
        focused = press(Keys.TAB)
        seen.append(focused.get_attribute("id") or focused.accessible_name)
        outlines.append(
            ann.run("return getComputedStyle(arguments[0]).outlineStyle", focused)
        )
        if seen[-1] == "text":
            break
    for wanted in ("notify", "theme", "leave", "lobby", "other", "text"):
        assert wanted in seen
    assert "Messages in lobby" in seen
    assert set(outlines) <= {"solid", "auto"}  # one sees where the focus is
    button = ann.find("#rooms li:nth-child(2) button")
    ann.run("arguments[0].focus()", button)
    assert press(Keys.ENTER).get_attribute("id") == "text"
    assert ann.messages() == ["over here"]


def test_on_a_phone(web: Web) -> None:
    ann = lively(web).look(360, 640)
    too_wide = "return document.documentElement.scrollWidth > innerWidth"
    assert ann.run(too_wide) is False
    assert not ann.find("#rooms").is_displayed()
    assert "(1 unread)" in ann.find("#show-rooms").text
    ann.find("#show-rooms").click()
    ann.find("#rooms li:nth-child(2) button").click()
    assert ann.text("#title") == "dev" and not ann.find("#rooms").is_displayed()
    ann.find("#show-people").click()
    assert ann.find("#people").is_displayed()
    webdriver.ActionChains(ann.driver).send_keys(Keys.ESCAPE).perform()
    assert not ann.find("#people").is_displayed()
    ann.say("x" * 300)
    ann.sees("x" * 300)
    assert ann.run(too_wide) is False
    cut = "return [...document.querySelectorAll('.log li')].some(each => each.scrollWidth > each.clientWidth + 1)"
    assert ann.run(cut) is False
    box = ann.find("#text").rect
    assert box["y"] + box["height"] <= 640 and box["width"] > 200


def test_the_page_asks_nobody_else_for_anything() -> None:
    page = HTML.read_text()
    outside = set(re.findall(r"https?://[^'\"\s)]+", page))
    assert outside == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bon\w+=", page
    )
