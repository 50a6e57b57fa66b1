"""`python_tcp.input_line`: what Tab does, what is kept, and what is not."""

from types import SimpleNamespace

import pytest

from python_tcp.input_line import InputLine


def test_an_answer_to_a_question_is_not_kept_for_the_arrow_keys() -> None:
    line = InputLine(columns=lambda: 80)
    line.ask("Your name: ")
    line.buffer.insert_text("ann")
    assert (line.prompt(), line.take()) == ("Your name: ", "ann")
    assert line.buffer.history.get_strings() == []
    assert line.candidates() == []


class FakeChat:
    """What an `InputLine` needs of a `ChatController`."""

    def __init__(self) -> None:
        rooms = {"dev": ["ann"], "lobby": ["ann", "bob", "Bert"]}
        self.client = SimpleNamespace(username="ann", rooms=rooms)
        self.view = SimpleNamespace(room="lobby", known_rooms={"dev", "lobby", "ops"})
        self.asked = 0

    def ask_rooms(self) -> None:
        self.asked += 1


@pytest.mark.parametrize(("before", "after", "offered"), [
    ("/he", "/help ", False), ("/w bo", "/w bob ", False), ("/rep", "/reply ", False), ("/ro", "/room", True), ("b", "b", True), ("x", "x", False),
    ("/leave de", "/leave dev ", False), ("/join o", "/join ops ", False),
])  # fmt: skip
def test_tab_puts_in_what_is_certain(before: str, after: str, offered: bool) -> None:
    line, chat = InputLine(columns=lambda: 80), FakeChat()
    line.talk(chat)
    line.buffer.insert_text(before)
    shown = []
    line.buffer.start_completion = lambda: shown.append(True)
    line.complete()
    assert (line.buffer.text, bool(shown)) == (after, offered)
    assert bool(chat.asked) == before.startswith("/join")


def test_a_long_room_takes_a_third_of_the_window() -> None:
    line, chat = InputLine(columns=lambda: 30), FakeChat()
    chat.view.room = "r" * 64
    line.talk(chat)
    assert line.prompt() == "r" * 10 + "> "


PASSWORD = "correct horse"


def test_a_line_with_a_password_in_it_is_not_kept() -> None:
    line = InputLine(columns=lambda: 80)
    line.talk(FakeChat())
    for text in ("hello", f"/register {PASSWORD}", f"/LOGIN ann {PASSWORD}", f"/logn {PASSWORD}", "/register"):  # fmt: skip
        line.buffer.insert_text(text)
        assert line.take() == text
    assert line.buffer.history.get_strings() == ["hello", "/register"]


def test_nothing_of_a_secret_stays_in_the_line() -> None:
    line = InputLine(columns=lambda: 80)
    line.talk(FakeChat())
    clipboard = line.clipboard()
    line.ask("Password: ", secret=True)
    line.buffer.insert_text(PASSWORD)
    clipboard.set_text(PASSWORD)  # Ctrl-U
    assert line.secret and line.take() == PASSWORD and line.candidates() == []
    line.talk(FakeChat())
    assert not line.secret and line.buffer.history.get_strings() == []
    line.buffer.undo()
    assert line.buffer.text == "" and clipboard.get_data().text == ""
    clipboard.set_text("hello")
    assert clipboard.get_data().text == "hello"


def test_half_a_line_does_not_change_its_meaning() -> None:
    line, chat = InputLine(columns=lambda: 80), FakeChat()
    line.talk(chat)
    line.buffer.insert_text("half a sentence")
    line.ask("Password: ", secret=True)
    assert line.buffer.text == ""
    line.buffer.insert_text("correct ho")
    line.ask("Another name: ")  # the connection was lost, and the name
    assert line.buffer.text == ""
    line.ask("Password: ", secret=True)
    line.buffer.insert_text("correct ho")
    line.talk(chat)
    assert line.buffer.text == ""


def test_half_a_sentence_survives_a_question_that_is_no_secret() -> None:
    line, chat = InputLine(columns=lambda: 80), FakeChat()
    line.talk(chat)
    line.buffer.insert_text("half a sentence")
    line.talk(chat)
    assert line.buffer.text == "half a sentence"
