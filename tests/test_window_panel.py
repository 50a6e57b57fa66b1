"""`python_tcp.window_panel`: a form, tabs and people, for a client that is a stand-in."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

tk = pytest.importorskip("tkinter", reason="this Python has no Tk")

from desktop import lasting_screen, needs_desktop  # noqa: E402

from python_tcp.chat_controller import ChatController  # noqa: E402
from python_tcp.chat_session import Disconnected, Reconnected  # noqa: E402
from python_tcp.events import Message, Welcome  # noqa: E402
from python_tcp.window_panel import ChatPanel, LoginForm  # noqa: E402

pytestmark = needs_desktop


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator["tk.Tk"]:
    monkeypatch.setenv("DISPLAY", lasting_screen())
    root = tk.Tk()
    yield root
    root.destroy()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("h", "0", "ann", ""), "A port is a number from 1 to 65535, not '0'."),
        (("h", "65536", "ann", ""), "A port is a number from 1 to 65535, not '65536'."),
        (("h", "²", "ann", ""), "A port is a number from 1 to 65535, not '²'."),
        (("h", "", "ann", ""), "A port is a number from 1 to 65535, not ''."),
        (("h", "8000", "  ", ""), "Which name do you want to have?"),
        ((" h ", " 8000 ", " ann ", " "), [("h", 8000, "ann", "lobby", False)]),
        (("h", "8000", "ann", "dev"), [("h", 8000, "ann", "dev", False)]),
    ],
)
def test_a_form_says_what_is_wrong(root: "tk.Tk", values: tuple, said: object) -> None:
    gone: list[tuple] = []
    form = LoginForm(root, lambda *where: gone.append(where), values, False)
    form.button.invoke()
    assert (form.message["text"] or gone) == said


class Stage:
    """A panel, and a client that is only pretended."""

    def __init__(self, root: "tk.Tk", *rooms: str) -> None:
        self.rooms = {room: ["ann", "bob"] for room in rooms}
        client = SimpleNamespace(
            username="ann", rooms=self.rooms, unconfirmed=[], error=None
        )
        self.chosen: list[str] = []
        self.chat = ChatController(client, do=lambda call: None)
        self.panel = ChatPanel(root, print, lambda before: [], self.chosen.append)
        self.panel.pack()
        self.root = root

    def tell(self, event: object) -> None:
        lines = self.chat.arrived(event, 0.0)
        self.panel.show(self.chat.view.room, lines)
        self.panel.show_state(self.chat)
        self.root.update()

    @property
    def titles(self) -> list[str]:
        tabs = self.panel.tabs
        return [tabs.tab(tab, "text") for tab in tabs.tabs()]

    def lines(self, room: str) -> str:
        return self.panel.tabs.pane(room).text.get("1.0", "end-1c")


def test_each_room_has_a_tab_and_counts_what_is_unread(root: "tk.Tk") -> None:
    stage = Stage(root, "dev", "lobby")
    stage.tell(Welcome("ann", "lobby", "Welcome to lobby, ann!", 0))
    for number in (1, 2):
        stage.tell(Message("dev", number, "bob", f"unread {number}", 0.0))
    stage.tell(Message("lobby", 1, "bob", "read", 0.0))
    assert stage.titles == ["lobby", "dev (2)"] and root.title() == "lobby (2)"
    assert "read" in stage.lines("lobby") and "unread" not in stage.lines("dev")
    stage.rooms["dev"] = stage.rooms.pop("dev")  # we talk there now
    stage.tell(Message("dev", 3, "bob", "the third", 0.0))
    assert stage.titles == ["lobby", "dev"] and stage.panel.tabs.current == "dev"
    assert all(f"unread {n}" in stage.lines("dev") for n in (1, 2))
    stage.panel.tabs.select(0)
    root.update()
    assert stage.chosen[-1] == "lobby"


def test_a_room_that_we_leave_loses_its_tab_and_the_last_one_stays(
    root: "tk.Tk",
) -> None:
    stage = Stage(root, "dev", "lobby")
    stage.tell(Welcome("ann", "lobby", "Welcome to lobby, ann!", 0))
    del stage.rooms["dev"]
    stage.panel.show_state(stage.chat)
    assert stage.titles == ["lobby"]
    del stage.rooms["lobby"]
    stage.tell(Reconnected())
    assert "You are in no room now." in stage.lines("")
    stage.rooms["ops"] = ["ann"]
    stage.tell(Welcome("ann", "ops", "Welcome to ops, ann!", 0))
    assert stage.titles == ["ops"] and stage.panel.tabs.current == "ops"


def test_people_and_the_connection_are_shown(root: "tk.Tk") -> None:
    stage = Stage(root, "lobby")
    stage.rooms["lobby"] = ["bob", "Ann", "cy\x1b[31m"]
    stage.tell(Welcome("ann", "lobby", "Welcome to lobby, ann!", 0))
    assert stage.panel.people.get(0, "end") == ("Ann", "bob", "cy\ufffd[31m")
    assert "lobby: 3 people" in stage.panel.status["text"]
    stage.tell(Disconnected("closed by peer", 3.0))
    assert "lost" in stage.panel.status["text"]
