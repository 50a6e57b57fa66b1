"""`python_tcp.window_parts`: calls from other threads, and widgets for lines, on a screen that nobody sees."""

import sys
import threading
from collections.abc import Iterator

import pytest

tk = pytest.importorskip("tkinter", reason="this Python has no Tk")

from desktop import Desktop, lasting_screen, needs_desktop, virtual_screen  # noqa: E402
from waiting import wait_until  # noqa: E402

from python_tcp import window_parts  # noqa: E402
from python_tcp.chat_view import line_of, message_line, notice  # noqa: E402
from python_tcp.events import Message  # noqa: E402
from python_tcp.text import PALETTE  # noqa: E402
from python_tcp.window_parts import (  # noqa: E402
    DARK,
    LIGHT,
    ChatText,
    EntryLine,
    LineHistory,
    TkQueue,
    pieces_of,
    rgb_of,
)

pytestmark = needs_desktop


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator["tk.Tk"]:
    monkeypatch.setenv("DISPLAY", lasting_screen())
    root = tk.Tk()
    yield root
    root.destroy()


def focus(root: "tk.Tk", line: EntryLine) -> None:
    """There is no window manager that would give it the keyboard."""
    root.update()
    line.entry.focus_force()
    turned(root, lambda: root.focus_get() is line.entry)


def turned(root: "tk.Tk", condition) -> None:
    """Turn the main loop until this holds."""
    wait_until(lambda: (root.update(), condition())[1])


def refuse(*arguments: object) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "polled"])
def test_calls_from_threads_are_made_by_the_main_loop_in_order(
    root: "tk.Tk", monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    if not watched:  # as on Windows
        monkeypatch.setattr(root, "createfilehandler", refuse, raising=False)
    calls, made = TkQueue(root), []

    def work(name: int) -> None:
        for number in range(500):
            calls.post(
                lambda number=number: made.append((threading.get_ident(), name, number))
            )

    threads = [threading.Thread(target=work, args=[name]) for name in range(4)]
    for thread in threads:
        thread.start()
    turned(root, lambda: len(made) == 2000)
    assert {ident for ident, _, _ in made} == {threading.get_ident()}
    for name in range(4):
        assert [n for _, who, n in made if who == name] == list(range(500))
    calls.close()
    calls.close()
    calls.post(made.append, "too late")  # nobody hears it, and nothing fails
    root.update()
    assert made[-1] != "too late" and calls.closed


def test_a_call_that_posts_another_does_not_hold_the_window(root: "tk.Tk") -> None:
    calls, count = TkQueue(root), 0

    def again() -> None:
        nonlocal count
        count += 1
        calls.post(again)

    again()

    def end() -> None:  # on time, if the window is not held
        root.quit() if count > TkQueue.MOST else root.after(10, end)

    root.after(10, end)
    root.mainloop()  # which ends, though there is always one more
    calls.close()


HOSTILE = [
    "[exit] $env(HOME) {unbalanced \\",
    "\x1b[31mred\x1b[0m \x07\x08\x08 \r overwritten",
    "\u202eevil\u202c \u2066isolated\u2069 zero\u200bwidth",
    "a" * 4000,
    "👋🏽 👨‍👩‍👧‍👦 हिन्दी 中文 e" + "\u0301" * 50,
    "%s %d %n -- \x00 \ud83d",
    "line\nbreak\tand tab",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_said_is_text(root: "tk.Tk", text: str) -> None:
    pane = ChatText(root, LIGHT)
    pane.pack()
    line = message_line(Message("lobby", 1, "eve", text, 1.7e9), "ann")
    pane.add([line, notice("the next line", when=1.7e9)])
    root.update()
    shown = pane.text.get("1.0", "end-1c")
    assert "".join(span.text for span in line.spans) in shown
    assert shown.endswith("the next line\n")
    assert not set(shown) & set("\x00\x07\x08\x1b\r\u202e\u200b")


def test_only_web_addresses_are_links(
    root: "tk.Tk", monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(window_parts.webbrowser, "open", opened.append)
    text = "file:///etc/passwd javascript:alert(1) https://example.org/x, and"
    pane = ChatText(root, LIGHT)
    pane.pack()
    pane.add([line_of(Message("lobby", 1, "eve", text, 1.7e9), "ann")])
    root.update()
    ranges = pane.text.tag_ranges("link")
    assert [pane.text.get(*ranges)] == ["https://example.org/x"]
    x, y, width, height = pane.text.bbox(ranges[0])
    pane.text.event_generate("<Motion>", x=x + width // 2, y=y + height // 2)
    pane.text.event_generate("<Button-1>", x=x + width // 2, y=y + height // 2)
    root.update()
    assert opened == ["https://example.org/x"]
    assert pieces_of("(see http://a.b/c?d=(e).)")[1] == ("http://a.b/c?d=(e", True)


def test_what_somebody_reads_stays_and_old_lines_go(
    root: "tk.Tk", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatText, "MOST", 300)
    pane = ChatText(root, LIGHT)
    pane.pack(fill="both", expand=True)
    pane.add([notice(f"line {number}", when=1.7e9) for number in range(200)])
    turned(root, lambda: pane.text.yview()[1] == 1.0)  # it shows the end
    root.geometry("400x200")  # and does so in a smaller window
    turned(root, lambda: root.winfo_height() == 200)
    turned(root, lambda: pane.text.yview()[1] == 1.0)
    pane.text.yview_moveto(0.0)
    root.update()
    pane.add([notice("one more", when=1.7e9)])
    root.update()
    assert pane.text.yview()[0] == 0.0, "somebody reads there"
    pane.add([notice(f"more {number}", when=1.7e9) for number in range(200)])
    lines = pane.text.get("1.0", "end-1c").splitlines()
    assert len(lines) == 300 and lines[-1].endswith("more 199")
    pane.clear()
    assert pane.text.get("1.0", "end-1c") == ""


def test_the_line_keeps_what_is_typed_and_shows_no_secret(root: "tk.Tk") -> None:
    entered: list[str] = []
    line = EntryLine(root, entered.append, lambda before: ["/join ", "/journal "])
    line.pack()
    focus(root, line)
    for text in ("one", "two"):
        line.entry.insert(0, text)
        line.entry.event_generate("<Return>")
    line.entry.insert(0, "half")
    for key, shown in [("Up", "two"), ("Up", "one"), ("Up", "one"), ("Down", "two")]:
        line.entry.event_generate(f"<{key}>")
        assert line.entry.get() == shown
    line.entry.event_generate("<Down>")
    assert line.entry.get() == "half"
    line.ask("Password: ", secret=True)
    line.entry.delete(0, "end")
    line.entry.insert(0, "correct horse")
    assert line.entry.cget("show") and line.prompt.cget("text") == "Password: "
    line.entry.event_generate("<Return>")
    line.talk()
    line.entry.event_generate("<Up>")
    assert line.entry.get() == "two", "a secret is not in the history"
    assert entered == ["one", "two", "correct horse"]


@pytest.mark.parametrize(
    "private",
    ["/login ann correct-horse", "/lock den open-sesame", " /pasword correct-horse"],
)
def test_a_line_that_may_have_a_password_in_it_is_not_kept(
    root: "tk.Tk", private: str
) -> None:
    entered: list[str] = []
    line = EntryLine(root, entered.append, lambda before: [])
    line.pack()
    focus(root, line)
    for text in ("hello", private):
        line.entry.insert(0, text)
        line.entry.event_generate("<Return>")
    seen = []
    for key in ("Up", "Up", "Down", "Down"):
        line.entry.event_generate(f"<{key}>")
        seen.append(line.entry.get())
    assert seen == ["hello", "hello", "", ""]
    assert entered == ["hello", private]


def test_a_private_line_that_was_brought_up_leaves_no_draft(root: "tk.Tk") -> None:
    line = EntryLine(root, print, lambda before: [])
    line.pack()
    focus(root, line)
    line.entry.insert(0, "hello")
    line.entry.event_generate("<Return>")
    line.entry.insert(0, "/login ann correct-horse")
    for key in (
        "Up",
        "Down",
        "Return",
        "Up",
        "Down",
    ):  # away from it, back, and entered
        line.entry.event_generate(f"<{key}>")
    assert line.entry.get() == ""


def test_an_answer_is_not_kept_for_the_arrow_keys(root: "tk.Tk") -> None:
    line = EntryLine(root, print, lambda before: [])
    line.pack()
    focus(root, line)
    line.ask("Your name: ")
    line.entry.insert(0, "ann")
    line.entry.event_generate("<Return>")
    line.talk()
    line.entry.event_generate("<Up>")
    assert line.entry.get() == ""


def test_what_is_half_typed_of_a_secret_goes_with_its_question(root: "tk.Tk") -> None:
    line = EntryLine(root, print, lambda before: [])
    line.pack()
    focus(root, line)
    line.entry.insert(0, "half a sentence")
    line.ask("Password: ", secret=True)
    assert line.entry.get() == "", "a sentence is no beginning of a password"
    line.entry.insert(0, "correct-ho")
    line.talk()  # the connection was lost meanwhile
    assert line.entry.get() == "", "and half a password must not be shown, or sent"
    line.entry.insert(0, "half")
    line.ask("Another name: ")
    assert line.entry.get() == "half", "what is no secret stays"


@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        (["/join ", "/journal "], "/j", "/jo"),
        (["/join "], "/j", "/join "),
        (["Bob: "], "b", "Bob: "),
        ([], "x", "x"),
        (["ann ", "Anna "], "/w a", "/w ann"),
    ],
)
def test_tab_puts_in_what_is_certain(
    root: "tk.Tk", words: list[str], before: str, after: str
) -> None:
    line = EntryLine(root, print, lambda typed: words)
    line.pack()
    line.entry.insert(0, before)
    focus(root, line)
    line.entry.event_generate("<Tab>")
    assert line.entry.get() == after


def test_the_history_is_bounded_and_keeps_no_doubles() -> None:
    history = LineHistory()
    for number in range(LineHistory.MOST + 10):
        history.add(f"{number}")
        history.add(f"{number}")
    history.add("  ")
    seen = [history.move(-1, "") for _ in range(LineHistory.MOST + 5)]
    assert seen[0] == f"{LineHistory.MOST + 9}" and seen[-1] == "10"


def luminance(rgb: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(rgb[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_can_be_read(theme: window_parts.Theme) -> None:
    greys = [rgb_of(colour) for colour in (window_parts.GREY, window_parts.RED)]
    for colour in [*map(rgb_of, PALETTE), *greys, theme.text, theme.link]:
        assert contrast(colour, theme.field) >= 4.5, colour
    for back in (theme.back, theme.chosen):
        assert contrast(theme.text, back) >= 4.5


MEASURE = """
import tkinter
from python_tcp.window_parts import EntryLine
root = tkinter.Tk()
line = EntryLine(root, print, lambda before: [])
line.pack()
root.update()
print(line.winfo_height())
"""


@pytest.mark.slow(seconds=3)
def test_on_a_screen_with_more_dots_the_text_is_larger() -> None:
    heights = []
    for dpi in (96, 192):
        with virtual_screen(dpi=dpi) as display:
            desktop = Desktop(display)
            heights.append(int(desktop.run(sys.executable, "-c", MEASURE)))
    assert heights[1] > 1.3 * heights[0]
