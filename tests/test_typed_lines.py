"""`python_tcp.typed_lines`: what a person types becomes a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.typed_lines import (
    COMMANDS, GROUPS, Mistake, Typed, candidates, help_lines, is_private, parse,
)  # fmt: skip

anything = st.text(st.characters(exclude_categories=()), max_size=300)


@pytest.mark.parametrize(("typed", "expected"), [
    ("hello", Typed("say", ("hello",))), (" hello ", Typed("say", (" hello ",))), ("//x", Typed("say", ("/x",))), ("///x", Typed("say", ("//x",))),
    ("  //quit is a command", Typed("say", ("/quit is a command",))), ("/// x", Typed("say", ("// x",))),
    ("", Typed("nothing")), ("  \n ", Typed("nothing")), ("a\n/quit", Typed("say", ("a\n/quit",))),
    ("/help", Typed("help")), (" /users", Typed("users")), ("/w bob hi  there", Typed("whisper", ("bob", "hi  there"))), ("/MSG bob x", Typed("whisper", ("bob", "x"))),
    (" /w bob not for all", Typed("whisper", ("bob", "not for all"))), ("/w bob two  words ", Typed("whisper", ("bob", "two  words "))),
    ("/w bob a\nb", Typed("whisper", ("bob", "a\nb"))), ("/reply yes", Typed("reply", ("yes",))), ("/join dev", Typed("join", ("dev",))), ("/leave", Typed("leave")),
    ("/join\tdev", Typed("join", ("dev",))), ("/leave dev", Typed("leave", ("dev",))), ("/room  dev ", Typed("room", ("dev",))), ("/history", Typed("history")),
    ("/history 5", Typed("history", ("5",))), ("/me waves", Typed("me", ("waves",))), ("/away", Typed("away")), ("/away at lunch", Typed("away", ("at lunch",))),
    ("/back", Typed("back")), ("/ignore bob", Typed("ignore", ("bob",))), ("/clear", Typed("clear")), ("/quit", Typed("quit")), ("/exit", Typed("quit")), ("/kick eve too  loud", Typed("kick", ("eve", "too  loud"))), ("/ban 192.0.2.0/24 2h spam", Typed("ban", ("192.0.2.0/24", "2h spam"))),
    ("/server BAN eve", Typed("server", ("ban", "eve"))), ("/server bans", Typed("server", ("bans",))), ("/register", Typed("register")), ("/login ann", Typed("login", ("ann",))),
    ("/delete", Typed("delete")), ("/delete #12", Typed("delete", ("#12",))), ("/topic", Typed("topic")), ("/topic all  news", Typed("topic", ("all  news",))), ("/lock dev", Typed("lock", ("dev",))),
    ("/invite bob dev", Typed("invite", ("bob", "dev"))), ("/help moderation", Typed("help", ("moderation",))),
    ("x" * 4000, Typed("say", ("x" * 4000,))), ("a\u200db", Typed("say", ("a\u200db",))),
])  # fmt: skip
def test_what_a_line_asks_for(typed: str, expected: Typed) -> None:
    assert parse(typed) == expected


@pytest.mark.parametrize(("typed", "why"), [
    ("/wisper bob x", "did you mean /whisper?"), ("/h", "did you mean /help or /history?"), ("/", "/ is not a command; see /help"), ("/xyzzy", "see /help"),
    ("/ users", "/ is not a command; see /help"), ("/join", "Usage: /join ROOM"), ("/join a b", "Usage: /join ROOM"), ("/w bob", "Usage: /whisper NAME TEXT"),
    ("/users now", "Usage: /users"), ("/kick", "Usage: /kick NAME [WHY]"), ("/register geheim12", "Usage: /register; it asks for the password"), ("/unban", "Usage: /unban NAME|ADDRESS[/BITS]"),
    ("/server", "Usage: /server COMMAND"), ("/server kick bob", "/server is followed by"), ("/server ban", "Usage: /ban NAME"), ("/help me", "/help is followed by"),
    ("/numbers x", "/numbers takes a number"), ("/topic " + "x" * 201, "201"), ("/me", "Usage: /me TEXT"), ("/reply ", "Usage: /reply TEXT"),
    ("/history x", "number"), ("/history 0", "number"), ("/history 1000", "number"), ("x" * 4001, "4001"), ("/w bob " + "x" * 4001, "4001"),
    ("/away " + "x" * 81, "81"), ("/me " + "x" * 3997, "3997"), ("a\x1bb", "U+001B"), ("a\u202eb", "U+202E"), ("/etc/hosts is a file", "is not a command"),
])  # fmt: skip
def test_what_is_wrong_with_a_line(typed: str, why: str) -> None:
    mistake = parse(typed)
    assert isinstance(mistake, Mistake) and why in mistake.why


@given(anything)
def test_any_line_can_be_parsed_and_completed(text: str) -> None:
    assert isinstance(parse(text), (Typed, Mistake))
    assert isinstance(parse("/" + text), (Typed, Mistake))
    candidates(text, ["ann"], ["lobby"]), candidates("/" + text, ["ann"], ["lobby"])


def test_candidates() -> None:
    names, rooms, ours = ["ann", "Bob"], ["dev", "lobby", "ops"], ["lobby"]
    everything = candidates("/", names, rooms, ours)
    assert {word.strip("/ ") for word in everything} == {*COMMANDS, "w", "msg", "exit"}
    for before, expected in [
        ("", ["Bob: ", "ann: "]), ("b", ["Bob: "]), ("hi B", ["Bob "]), ("/w ", ["Bob ", "ann "]), ("/w ann b", ["Bob "]), ("/ignore a", ["ann "]),
        ("/join d", ["dev "]), ("/room ", ["lobby "]), ("/leave ", ["lobby "]), ("//a", []), ("/nope a", ["ann "]), ("/me b", ["Bob "]), ("zz", []),
        ("/kick a", ["ann "]), ("/server b", ["ban ", "bans "]), ("/server ban b", ["Bob "]), ("/help m", ["moderation "]), ("/lock ", ["lobby "]), ("/register ", []),
    ]:  # fmt: skip
        assert candidates(before, names, rooms, ours) == expected, before


@pytest.mark.parametrize("on_a_screen", [True, False])
def test_help_names_every_command(on_a_screen: bool) -> None:
    lines = [help_lines(on_a_screen, group) for group in ("", *GROUPS)]
    text = "\n".join(line.plain() for part in lines for line in part)
    for usage, meaning in COMMANDS.values():
        assert (usage in text and meaning in text) == (on_a_screen or usage != "/clear")
    assert "//TEXT" in text and ("Alt-Enter" in text) == on_a_screen
    for group in GROUPS:
        assert f"/help {group}" in lines[0][-2 if on_a_screen else -1].plain()
    for part in lines:  # none is longer than a terminal
        assert len(part) <= 20


@pytest.mark.parametrize(("line", "private"), [
    ("/register", False), ("/login ", False), ("hello /login x", False), ("/whisper bob hi", False), ("/join dev", False),
    ("//login x y", True), ("/register geheim12", True), ("  /LOGIN ann geheim12", True), ("/regster geheim12", True), ("/password a b", True), ("/delete-account x", True), ("/lock dev x", True),
])  # fmt: skip
def test_a_line_that_may_have_a_password_in_it_is_private(
    line: str, private: bool
) -> None:
    assert is_private(line) is private


def test_no_mistake_repeats_what_may_be_a_password() -> None:
    for command in (
        "register",
        "login ann",
        "password",
        "delete-account",
        "lock dev",
        "logn",
    ):
        mistake = parse(f"/{command} geheim12")
        assert isinstance(mistake, Mistake) and "geheim12" not in mistake.why
