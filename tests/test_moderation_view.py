"""`python_tcp.moderation_view`: what a moderator types becomes a command, and what is done becomes a sentence."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp import commands
from python_tcp.commands import (
    Ban, DeleteMessage, Deop, Invite, Kick, ListBans, Mute, Op, RegisterRoom, SetTopic, Unban, Unlock,
)  # fmt: skip
from python_tcp.events import AccountChanged, Message, Moderated, TopicChanged
from python_tcp.moderation_view import (
    RecentMessages, duration, order, order_text, seconds_in,
)  # fmt: skip
from python_tcp.typed_lines import MODERATION_COMMANDS, Typed, parse


def recent() -> RecentMessages:
    kept = RecentMessages()
    for seq, who, room in [(1, "ann", "lobby"), (2, "eve", "lobby"), (3, "Eve", "lobby"), (1, "bob", "dev")]:  # fmt: skip
        kept.add(Message(room, seq, who, f"text {seq}", 0.0))
    return kept


def ordered(line: str, room: str | None = "lobby") -> object:
    typed = parse(line)
    assert isinstance(typed, Typed)
    if typed.command == "server":
        return order(typed.arguments[0], typed.arguments[1:], None, "ann", recent())
    return order(typed.command, typed.arguments, room, "ann", recent())


@pytest.mark.parametrize(("line", "command"), [
    ("/kick eve", Kick("eve", "lobby")), ("/kick eve  calm  down ", Kick("eve", "lobby", "calm  down")),
    ("/mute eve", Mute("eve", "lobby")), ("/mute eve 10m", Mute("eve", "lobby", 600)), ("/mute eve 10M too  loud", Mute("eve", "lobby", 600, "too  loud")),
    ("/mute eve too loud", Mute("eve", "lobby", None, "too loud")), ("/unmute eve", Mute("eve", "lobby", 0)), ("/ban eve", Ban("eve", "lobby")),
    ("/ban 192.0.2.0/24 2h spam", Ban("192.0.2.0/24", "lobby", 7200, "spam")), ("/ban 2001:db8::/32 1w", Ban("2001:db8::/32", "lobby", 604_800)),
    ("/ban eve 3rd time", Ban("eve", "lobby", None, "3rd time")), ("/server ban eve 1h30m x", Ban("eve", None, 5400, "x")), ("/unban eve", Unban("eve", "lobby")),
    ("/server unban 192.0.2.1", Unban("192.0.2.1")), ("/bans", ListBans("lobby")), ("/server bans", ListBans()), ("/op bob", Op("bob", "lobby")),
    ("/server op bob", Op("bob", None, True)), ("/deop bob", Deop("bob", "lobby")), ("/server deop bob", Deop("bob", None, True)),
    ("/topic all  news", SetTopic("all  news", "lobby")), ("/topic -", SetTopic("", "lobby")), ("/register-room", RegisterRoom("lobby")),
    ("/register-room Dev", RegisterRoom("dev")), ("/unlock", Unlock("lobby")), ("/unlock dev", Unlock("dev")), ("/invite bob", Invite("bob", "lobby")),
    ("/invite bob Dev", Invite("bob", "dev")), ("/delete", DeleteMessage(1, "lobby")), ("/delete EVE", DeleteMessage(3, "lobby")), ("/delete #12", DeleteMessage(12, "lobby")),
])  # fmt: skip
def test_a_typed_line_becomes_a_command_that_the_protocol_takes(
    line: str, command: commands.Command
) -> None:
    assert ordered(line) == command
    msgspec.json.decode(msgspec.json.encode(command), type=commands.Command)


@pytest.mark.parametrize(("line", "why"), [
    ("/mute eve 10", "10 is no time"), ("/ban eve 10x", "10x is no time"), ("/ban eve 5 spam", "5 is no time"), ("/kick e/ve", "e/ve is no name"),
    ("/mute 192.0.2.0/24", "is no name"), ("/ban eve!", "no name, no address and no network"), ("/op a:b", "is no name"), ("/invite b(b", "is no name"),
    ("/delete bob", "bob has said nothing in lobby"), ("/delete #", "# is no number"), ("/delete #x", "#x is no number"), ("/delete #-1", "is no number"),
])  # fmt: skip
def test_what_is_wrong_with_an_order_is_said(line: str, why: str) -> None:
    mistake = ordered(line)
    assert isinstance(mistake, str) and why in mistake and "\n" not in mistake


def test_every_command_of_the_table_is_an_order_or_has_a_face_of_its_own() -> None:
    elsewhere = {"lock", "numbers", "server"}  # a password; the view; another order
    for name in MODERATION_COMMANDS:
        answer = order(name, ("eve",), "lobby", "ann", recent())
        assert (str(answer) == f"/{name} is not for keeping order") == (
            name in elsewhere
        )


@given(st.text(max_size=80), st.sampled_from(sorted(MODERATION_COMMANDS)))
def test_any_order_is_a_command_that_can_be_sent_or_a_sentence(
    rest: str, name: str
) -> None:
    typed = parse(f"/{name} {rest}")
    if isinstance(typed, Typed) and typed.command == name != "server":
        answer = order(name, typed.arguments, "lobby", "ann", recent())
        assert isinstance(answer, str | commands.Command)


def test_times() -> None:
    for text, seconds in [("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259_200), ("1w", 604_800), ("1h30m", 5400), ("1H", 3600)]:  # fmt: skip
        assert seconds_in(text) == seconds
    for text in ("", "h", "10", "-1h", "1.5h", "1h ", "infh", "nan", "1y", "1234567s", "²h"):  # fmt: skip
        assert seconds_in(text) is None, text
    for seconds, text in [(-5, "0 seconds"), (0.4, "0 seconds"), (1, "1 second"), (59.9, "1 minute"), (3661, "1 hour 1 minute"), (86_400, "1 day"), (1e6, "11 days 13 hours")]:  # fmt: skip
        assert duration(seconds) == text


def test_a_deleted_message_is_not_named_again() -> None:
    kept = recent()
    assert kept.last_of("lobby", "eve") == 3
    message = kept.forget("lobby", 3)
    assert message is not None and message.content == "text 3"
    assert kept.last_of("lobby", "eve") == 2 and kept.forget("lobby", 3) is None
    kept.add(Message("lobby", 4, "eve", "", 0.0))  # it was deleted before we saw it
    assert kept.last_of("lobby", "eve") == 2
    kept.add(Message("lobby", 1, "eve", "old", 0.0))  # a page of history
    assert kept.last_of("lobby", "ann") == 1


def test_only_so_many_messages_are_kept() -> None:
    kept = RecentMessages()
    for seq in range(1, 2000):
        kept.add(Message("lobby", seq, "ann", "x", 0.0))
    assert kept.forget("lobby", 999) is None and kept.forget("lobby", 1000)
    assert len(kept.numbered("lobby", 5000)) == kept.MOST - 1


ALONE = ("register", "lock", "unlock", "something new")


@pytest.mark.parametrize("action", ["kick", "ban", "unban", "mute", "unmute", "op", "deop", "invite", *ALONE])  # fmt: skip
def test_each_action_has_a_sentence(action: str) -> None:
    for me in ("ann", "eve", "bob"):
        for room in ("lobby", None):
            event = Moderated(action, "ann", 0.0, "eve", room, "why not", 60.0)
            text = order_text(event, me)
            assert "{" not in text and text.endswith("for 1 minute: why not")
            assert me == "bob" or action in ALONE or "you" in text.split(":")[0]


def test_sentences() -> None:
    for event, text in [
        (TopicChanged("lobby", "", "bob", 0.0), "bob removed the topic of lobby"),
        (TopicChanged("lobby", "a\nb", "ann", 0.0), "you set the topic of lobby: a b"),
        (AccountChanged("ann", "logged_in", "operator"), "You are logged in as ann. You are an operator of this server."),
        (AccountChanged("ann", "new"), "The account ann has changed."),
        (Moderated("deop", "bob", 0.0, "eve", "lobby"), "bob made eve a moderator of lobby no more"),
    ]:  # fmt: skip
        assert order_text(event, "ann") == text
