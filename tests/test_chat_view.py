"""`python_tcp.chat_view`: events become lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.chat_session import ClientEvent, Disconnected, HistoryGap, Reconnected
from python_tcp.chat_view import Line, line_of, mentions, notice
from python_tcp.events import (
    AccountChanged,
    BanInfo,
    BanList,
    MessageDeleted,
    Moderated,
    TopicChanged,
)
from python_tcp.protocol import (
    Error, Goodbye, History, Message, Ok, Ping, RoomList, RoomSize, StatusChanged, UserJoined, UserLeft, UserList, Welcome, WhisperReceived,
)  # fmt: skip

anything = st.text(st.characters(exclude_categories=()), max_size=300)


def text_of(line: Line) -> str:
    return "".join(span.text for span in line.spans)


# --- lines -----------------------------------------------------------------------------


EVENTS = [
    (Message("lobby", 1, "bob", "hi", 9.0), "", "bob: hi", "bob: hi"),
    (Message("lobby", 1, "ANN", "hi", 9.0), " >", "ANN: hi", "ANN: hi"),
    (Message("lobby", 1, "bob", "hi Ann!", 9.0), " @", "bob: hi Ann!", "bob: hi Ann!"),
    (Message("lobby", 1, "bob", "/me waves", 9.0), " *", "bob waves", "** bob waves"),
    (Message("lobby", 1, "bob", "/meme", 9.0), "", "bob: /meme", "bob: /meme"),
    (WhisperReceived("bob", "ann", "psst", 9.0), " ~", "(bob whispers) psst", "(bob whispers) psst"),
    (WhisperReceived("Ann", "bob", "psst", 9.0), " ~", "(to bob) psst", "(to bob) psst"),
    (UserJoined("lobby", "bob", 9.0), "--", "bob joined lobby", "* bob joined lobby"),
    (UserLeft("lobby", "bob", 9.0), "--", "bob left lobby", "* bob left lobby"),
    (StatusChanged("bob", "away", 9.0), "--", "bob is away", "* bob is away"),
    (StatusChanged("bob", "online", 9.0), "--", "bob is online", "* bob is online"),
    (StatusChanged("bob", "lunch", 9.0), "--", "bob is away: lunch", "* bob is away: lunch"),
    (UserList("lobby", ["ann", "bob"]), "--", "in lobby: ann, bob", "* in lobby: ann, bob"),
    (UserList("lobby", ["ann", "bob"], {"bob": "away"}), "--", "in lobby: ann, bob (away)", "* in lobby: ann, bob (away)"),
    (RoomList([RoomSize("dev", 1), RoomSize("lobby", 2)]), "--", "rooms: dev (1), lobby (2)", "* rooms: dev (1), lobby (2)"),
    (RoomList([RoomSize("dev", 1)], more=True), "--", "rooms: dev (1), ...", "* rooms: dev (1), ..."),
    (Welcome("ann", "lobby", "Hello.", 0), "--", "Hello.", "* Hello."),
    (Goodbye("left", "Bye.", False), "--", "Bye.", "* Bye."),
    (Goodbye("idle", "Nothing was heard.", True), "!!", "Nothing was heard.", "! Nothing was heard."),
    (Error("x", "wrong"), "!!", "wrong", "! wrong"),
    (Error("muted", "you are muted", None, 7200.0), "!!", "you are muted. Try again in 2 hours.", "! you are muted. Try again in 2 hours."),
    (Error("name_taken", "ann is taken", None, 2.0), "!!", "ann is taken", "! ann is taken"),
    (Message("lobby", 1, "bob", "", 9.0), "", "bob: (deleted)", "bob: (deleted)"),
    (UserList("lobby", ["ann", "bob"], {"bob": "away"}, accounts=["bob"]), "--", "in lobby: ann, bob* (away); * has an account", "* in lobby: ann, bob* (away); * has an account"),
    (Moderated("kick", "ann", 9.0, "eve", "lobby", "spam"), "--", "you put eve out of lobby: spam", "* you put eve out of lobby: spam"),
    (Moderated("kick", "bob", 9.0, "Ann", "lobby"), "!!", "bob put you out of lobby", "! bob put you out of lobby"),
    (Moderated("ban", "bob", 9.0, "192.0.2.0/24", None, "", 7209.0), "--", "bob banned 192.0.2.0/24 from the server for 2 hours", "* bob banned 192.0.2.0/24 from the server for 2 hours"),
    (Moderated("op", "bob", 9.0, "ann"), "--", "bob made you an operator of the server", "* bob made you an operator of the server"),
    (TopicChanged("lobby", "News", "bob", 9.0), "--", "bob set the topic of lobby: News", "* bob set the topic of lobby: News"),
    (MessageDeleted("lobby", 7, "bob", 9.0), "--", "bob deleted message #7 of lobby", "* bob deleted message #7 of lobby"),
    (BanList([], "lobby"), "--", "nobody is banned from lobby", "* nobody is banned from lobby"),
    (BanList([BanInfo("eve", "bob", 1.0)], "lobby"), "--", "banned from lobby:\neve, for good, by bob", "* banned from lobby:\n    eve, for good, by bob"),
    (AccountChanged("ann", "registered"), "--", "You have registered ann: the name is yours.", "* You have registered ann: the name is yours."),
    (Disconnected("Gone.", 1.25), "!!", "Gone. Trying again in 1.2 s.", "! Gone. Trying again in 1.2 s."),
    (Reconnected(), "--", "The connection is back.", "* The connection is back."),
    (HistoryGap("lobby", 3), "!!", "3 messages of lobby are missing here: they are no longer kept.", "! 3 messages of lobby are missing here: they are no longer kept."),
    (HistoryGap("lobby", 1), "!!", "1 message of lobby is missing here: it is no longer kept.", "! 1 message of lobby is missing here: it is no longer kept."),
    (HistoryGap("lobby", None), "!!", "lobby has started anew: something may be missing here.", "! lobby has started anew: something may be missing here."),
    (History("lobby", [], False), "--", "nothing was said in lobby yet", "* nothing was said in lobby yet"),
    (History("lobby", [Message("lobby", 1, "bob", "hi", 9.0)], False), "--", "the last message of lobby:\nbob: hi", "* the last message of lobby:\n    bob: hi"),
    (History("lobby", [Message("lobby", n, "bob", f"hi {n}", 9.0) for n in (1, 2)], False), "--", "the last 2 messages of lobby:\nbob: hi 1\nbob: hi 2",
     "* the last 2 messages of lobby:\n    bob: hi 1\n    bob: hi 2"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "mark", "text", "plain"), EVENTS)
def test_the_line_of_each_event(
    event: ClientEvent, mark: str, text: str, plain: str
) -> None:
    line = line_of(event, "ann")
    assert line is not None
    assert (line.mark, text_of(line), line.plain()) == (mark, text, plain)
    assert line.bell == (mark == " @")
    assert line.time == getattr(event, "timestamp", None)
    assert line.room == ("lobby" if isinstance(event, Message) else "")


@pytest.mark.parametrize("event", [Ok(1), Ping()])
def test_what_is_not_for_people_has_no_line(event: ClientEvent) -> None:
    assert line_of(event, "ann") is None


HOSTILE = "x\ny\x1b[2J\u202ez\u2067"


@pytest.mark.parametrize("event", [
    Message(HOSTILE, 1, HOSTILE, HOSTILE, 9.0), Message("lobby", 1, HOSTILE, "/me " + HOSTILE, 9.0), WhisperReceived(HOSTILE, "ann", HOSTILE, 9.0),
    WhisperReceived("ann", HOSTILE, HOSTILE, 9.0), UserJoined(HOSTILE, HOSTILE, 9.0), UserLeft(HOSTILE, HOSTILE, 9.0), StatusChanged(HOSTILE, HOSTILE, 9.0),
    UserList(HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}), RoomList([RoomSize(HOSTILE, 1)]), Welcome("ann", HOSTILE, HOSTILE, 0), Goodbye(HOSTILE, HOSTILE, False),
    Error(HOSTILE, HOSTILE), Disconnected(HOSTILE, 1.0), HistoryGap(HOSTILE, 1), HistoryGap(HOSTILE, None),
    History(HOSTILE, [Message(HOSTILE, 1, HOSTILE, HOSTILE, 9.0)], False), TopicChanged(HOSTILE, HOSTILE, HOSTILE, 9.0), MessageDeleted(HOSTILE, 1, HOSTILE, 9.0),
    Moderated(HOSTILE, HOSTILE, 9.0, HOSTILE, HOSTILE, HOSTILE), Moderated("kick", HOSTILE, 9.0, HOSTILE, HOSTILE, HOSTILE), AccountChanged(HOSTILE, HOSTILE),
    BanList([BanInfo(HOSTILE, HOSTILE, 1.0, 1e300, HOSTILE)], HOSTILE), UserList(HOSTILE, [HOSTILE], {}, accounts=[HOSTILE]),
])  # fmt: skip
def test_nothing_that_a_server_sends_is_more_than_text(event: ClientEvent) -> None:
    line = line_of(event, "ann")
    assert line is not None
    for text in (text_of(line), line.room, line.plain()):
        assert not {"\x1b", "\u202e"} & set(text)
        assert text.count("\u2067") == text.count("\u2069")
    assert "\n" not in line.room
    for row in line.plain().split("\n")[1:]:
        assert row.startswith("    ")


@pytest.mark.parametrize("event", [
    Message("lobby", 1, "eve", "hi\nbob: I owe you 100\n* bob left lobby", 0), WhisperReceived("eve", "ann", "x\nbob: I quit", 0), StatusChanged("eve", "away\nbob: I quit", 0),
    Message("lobby", 1, "eve", "/me left lobby", 0),
])  # fmt: skip
def test_no_message_can_look_like_a_line_of_somebody_else(event: ClientEvent) -> None:
    line = line_of(event, "ann")
    assert line is not None
    rows = line.plain().split("\n")
    assert "eve" in rows[0] and all(row.startswith("    ") for row in rows[1:])
    assert rows[0] != "* eve left lobby"


def test_a_notice() -> None:
    assert notice("so", "!!").plain() == "! so" and notice("so").plain() == "* so"
    assert notice("\x1b[2J").spans[0].text == "\ufffd[2J"


def test_mentions() -> None:
    for text in ("a.b", "hi A.B!", "@a.b: yes", "(a.b)", "a.b.", "...a.b", "well...a.b?", "-a.b", "a.b-", "a.b..."):  # fmt: skip
        assert mentions(text, "a.b"), text
    for text in ("axb", "a.bc", "xa.b", "a.b.c", "a.b-c", "c.a.b", "c-a.b", ""):
        assert not mentions(text, "a.b"), text
    assert mentions("...bob", "bob") and not mentions("anything", "")


@given(anything, anything)
def test_mentions_of_any_name_in_any_text(text: str, name: str) -> None:
    assert mentions(name, name) == bool(name)
    mentions(text, name)
