"""`python_tcp.window` against real servers; its main loop is turned by hand. With real keys: test_window_desktop."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

tk = pytest.importorskip("tkinter", reason="this Python has no Tk")

from authority import server_tls  # noqa: E402
from desktop import lasting_screen, needs_desktop  # noqa: E402
from helpers import LineClient  # noqa: E402
from proxy import Proxy  # noqa: E402

from python_tcp import delivery, login, reconnector  # noqa: E402
from python_tcp.chat_client import ChatClient  # noqa: E402
from python_tcp.chat_server import ChatServer  # noqa: E402
from python_tcp.chat_view import notice  # noqa: E402
from python_tcp.protocol import Limits  # noqa: E402
from python_tcp.trust import KnownServers, ServerTrust  # noqa: E402
from python_tcp.window import ChatWindow, end_on_signals  # noqa: E402

pytestmark = needs_desktop
HOST = "127.0.0.1"
FREE = Limits(flood_burst=0, connections_per_address=0)


class Person:
    """A window, and somebody who turns its main loop."""

    def __init__(self, port: int, name: str = "ann", **options: object) -> None:
        self.window = ChatWindow(HOST, port, name, "lobby", **options)
        self.window._go(HOST, port, name, "lobby", bool(options.get("tls")))

    def until(self, condition: Callable[[], object], limit: float = 30) -> None:
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, (self.lines, self.said)
            self.window.root.update()
            time.sleep(0.002)

    @property
    def lines(self) -> list[str]:
        tabs = self.window.panel.tabs
        text = tabs.pane(tabs.current).text.get("1.0", "end-1c")
        return [line[6:] for line in text.splitlines()]

    @property
    def said(self) -> str:
        """What the form says."""
        return self.window.form.message["text"]

    def sees(self, text: str) -> None:
        self.until(lambda: text in "\n".join(self.lines))

    def type(self, text: str) -> None:
        entry = self.window.panel.line.entry
        entry.insert("end", text)
        self.window.panel.line._return(None)


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", lasting_screen())
    patient = partial(ChatClient, timeout=30)  # the machine may be busy
    monkeypatch.setattr(login, "ChatClient", patient)
    monkeypatch.setattr(
        reconnector, "backoff_delays", lambda: delivery.backoff_delays(0.01, 0.1)
    )


@pytest.fixture
def people() -> Iterator[Callable[..., Person]]:
    there: list[Person] = []

    def come(*arguments: object, **options: object) -> Person:
        there.append(Person(*arguments, **options))
        return there[-1]

    yield come
    for person in there:
        person.window.close()


Come = Callable[..., Person]


@pytest.mark.slow
def test_200_messages_while_somebody_types_leave_the_line_whole(people: Come) -> None:
    with ChatServer(limits=FREE) as server:
        ann = people(server.port)
        ann.sees("in lobby: ann")
        entry = ann.window.panel.line.entry
        with LineClient(server.port).join("bob") as bob:
            for number in range(200):
                bob.say("message", content=f"{number}")
                entry.insert("end", "x")
                ann.window.root.update()
            ann.sees("bob: 199")
            assert entry.get() == "x" * 200
            ann.type("")
            bob.read_until("message", content="x" * 200)
        said = [line for line in ann.lines if "bob: " in line]
        assert said == [f"   bob: {number}" for number in range(200)]


@pytest.mark.slow(seconds=3)
def test_the_server_is_killed_under_it_and_nothing_is_lost_or_doubled(
    people: Come,
) -> None:
    with ChatServer(limits=FREE) as server, Proxy((HOST, server.port)) as proxy:
        ann = people(proxy.port)
        ann.sees("in lobby: ann")
        with LineClient(server.port).join("bob") as bob:
            dice = random.Random(1)
            for number in range(60):
                ann.type(f"ann {number}")
                bob.say("message", content=f"bob {number}")
                if dice.random() < 0.2:
                    proxy.cut()
                ann.window.root.update()
            ann.sees("bob 59")
            ann.sees("ann 59")
            for name in ("ann", "bob"):
                said = [line for line in ann.lines if f"{name}: {name} " in line]
                numbers = [int(line.split()[-1]) for line in said]
                assert numbers == list(range(60)), name


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nobody", "can't connect to 127.0.0.1 port"),
        ("full", "The server is full. Try again later."),
        ("tls", "TLS"),
    ],
)
def test_what_goes_wrong_is_one_line_in_the_form(
    people: Come, what: str, said: str, reserved_port: int
) -> None:
    layer = server_tls() if what == "tls" else None
    with ChatServer(limits=Limits(connections=1), tls=layer) as server:
        if what == "full":
            with LineClient(server.port).join("bob"):
                ann = people(server.port)
                ann.until(lambda: ann.said)
        else:
            ann = people(reserved_port if what == "nobody" else server.port)
            ann.until(lambda: ann.said)
        assert said in ann.said and "\n" not in ann.said
        assert ann.window.form.winfo_manager() and not ann.window.panel.winfo_manager()


def test_a_certificate_that_nobody_vouches_for_is_asked_about(
    people: Come, tmp_path: Path
) -> None:
    known = KnownServers(tmp_path / "known")
    trust = lambda host, port: ServerTrust(host, port, known=known)  # noqa: E731
    with ChatServer(tls=server_tls("self-signed")) as server:
        ann = people(server.port, tls=True, make_trust=trust)
        ann.sees("nobody vouches for it")
        ann.type("perhaps")
        ann.sees("Please type yes or no.")
        ann.type("yes")
        ann.sees("in lobby: ann")
        assert server.users == ["ann"]


def test_another_name_is_asked_for_and_the_old_one_is_left_alone(people: Come) -> None:
    with ChatServer(limits=FREE) as server, ChatClient("ann") as other:
        assert other.connect(HOST, server.port) and other.join()
        ann = people(server.port)
        ann.until(lambda: ann.window.panel.line.prompt["text"] == "Another name: ")
        ann.type("   ")
        ann.type("zoe")
        ann.sees("in lobby: ann, zoe")
        assert server.users == ["ann", "zoe"] and other.connected


def test_closing_says_what_is_not_said_yet_and_nobody_is_asked(people: Come) -> None:
    with ChatServer(limits=FREE) as server, LineClient(server.port).join("bob") as bob:
        ann = people(server.port)
        ann.sees("in lobby")
        for number in range(50):
            ann.type(f"{number}")
        ann.window.leave()
        ann.until(lambda: ann.window._queue.closed)
        for number in range(50):
            bob.read_until("message", content=f"{number}")
        bob.read_until("leave", username="ann")
        assert ann.window._unsent == 0
        ann.window.leave()  # twice is fine
        ann.window.close()


def test_commands_work_and_mistakes_are_said(people: Come) -> None:
    with ChatServer(limits=FREE) as server:
        ann = people(server.port)
        ann.sees("in lobby: ann")
        ann.type("/nonsense")
        ann.sees("!! ")
        ann.type("/join dev")
        ann.until(lambda: ann.window.panel.tabs.current == "dev")
        ann.type("/clear")
        assert ann.lines == []
        assert ann.window._words("/joi") == ["/join "]
        ann.type("/leave dev")
        ann.until(lambda: ann.window.panel.tabs.current == "lobby")
        ann.window.change_colours()
        ann.type("/quit")
        ann.until(lambda: ann.window._queue.closed)


def test_closing_stops_what_any_part_of_it_would_do_later(people: Come) -> None:
    with ChatServer(limits=FREE) as server:
        ann = people(server.port)
        ann.sees("in lobby: ann")
        tabs = ann.window.panel.tabs
        tabs.pane(tabs.current)._resized(None)  # it will show the end when Tk is idle
        ann.window.later(0.01, lambda: None)
        ann.window.close()  # raised TclError: can't delete Tcl command
        assert ann.window._queue.closed


def test_a_signal_in_the_middle_of_a_step_closes_the_window_after_it(
    people: Come,
) -> None:
    window = people(1).window
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    shown: list[str] = []

    def step() -> None:
        signal.raise_signal(signal.SIGINT)
        window.show([notice("still there")])  # raised TclError: it was closed already
        shown.append("still there")

    try:
        end_on_signals(window)
        window.post(step)
        while not window._queue.closed:
            window.root.update()
        assert shown == ["still there"]
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)


FREED_ELSEWHERE = """
import gc, threading
from python_tcp.window import ChatWindow
for _ in range(3):
    window = ChatWindow("127.0.0.1", 1, None, "lobby")
    window.root.update()
    window.close()
    del window
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
print("still here")
"""


@pytest.mark.slow
def test_another_thread_may_collect_what_is_left_of_a_window() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREED_ELSEWHERE], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"still here\n", b"")
