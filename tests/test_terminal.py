"""`python_tcp.terminal` without a terminal: texts, rows, commands, and what events and typed lines do."""

import json
import logging
import subprocess
import sys
import time
import unicodedata
from types import SimpleNamespace

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from python_tcp.chat_app import Back, Gap, Lost
from python_tcp.protocol import (
    Error, History, Joined, Left, Message, RoomList, RoomSize, StatusChanged, UserList, Welcome, Whispered,
)  # fmt: skip
from python_tcp.terminal import (
    COMMANDS, MOST_MARKS, MOST_ROWS, PALETTE, Chat, Line, LogWriter, Mistake, Piece, Typed, above, bar, candidates, colour_of, connection, cut, fitting,
    harmless, json_format, line_format, line_of, mentions, message_line, paint, parse, parts_of_bar, rows_of, spans, stamp,
)  # fmt: skip

anything = st.text(st.characters(exclude_categories=()), max_size=300)
DAY = time.mktime((2026, 11, 21, 12, 41, 0, 0, 0, -1))


def width(text: str) -> int:
    return sum(max(wcwidth(character), 0) for character in text)


def text_of(line: Line) -> str:
    return "".join(piece.text for piece in line.pieces)


# --- text from others ---------------------------------------------------------------------------------------------


@given(anything)
def test_harmless_text_has_nothing_that_is_obeyed(text: str) -> None:
    clean = harmless(text)
    for character in clean.replace("\n", ""):
        assert (
            unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
            and wcwidth(character) >= 0
        )
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    assert harmless(clean) == clean
    marks = "".join(
        "m" if wcwidth(character) == 0 and character != "\n" else "."
        for character in clean
    )
    assert "m" * (MOST_MARKS + 1) not in marks and not marks.startswith("m")


@given(
    st.text(
        st.characters(
            categories=["L", "N", "P", "Zs"],
            exclude_characters="\u3164\u115f\u1160\uffa0",
        ),
        max_size=100,
    )
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    if all(wcwidth(character) > 0 for character in text):
        assert harmless(text) == text


def test_emoji_and_accents_stay() -> None:
    for text in ("grüße", "e\u0301", "日本", "👋🏽", "🇫🇷", "שלום", "ไทย"):
        assert harmless(text) == text
    assert harmless("👩\u200d👧 ❤\ufe0f") == "👩👧 ❤"


@given(anything, st.integers(2, 60))
def test_what_fits_fits_and_one_more_would_not(text: str, columns: int) -> None:
    text = harmless(text).replace("\n", " ")
    size = fitting(text, columns)
    assert width(text[:size]) <= columns
    assert size == len(text) or width(text[: size + 1]) > columns


@given(anything, st.integers(10, 60), st.integers(0, 6))
def test_rows_hold_all_of_the_text_and_are_not_too_wide(
    text: str, columns: int, indent: int
) -> None:
    text = harmless(text)
    rows = [text[start:end] for start, end in spans(text, columns, indent)]
    assert all(
        width(row) <= columns - indent * (place > 0) for place, row in enumerate(rows)
    )
    places = {
        place
        for start, end in spans(text, columns, indent)
        for place in range(start, end)
    }
    assert all(
        character in " \n"
        for place, character in enumerate(text)
        if place not in places
    )


@given(
    st.lists(st.text(max_size=20), max_size=5), st.integers(0, 100), st.integers(0, 100)
)
def test_cutting_pieces_is_cutting_their_text(
    texts: list[str], start: int, end: int
) -> None:
    row = [Piece(text, colour=28) for text in texts]
    assert (
        "".join(piece.text for piece in cut(row, start, end))
        == "".join(texts)[start : max(start, end)]
    )


@given(anything, st.integers(1, 120))
def test_a_row_on_a_screen_takes_one_row_and_begins_with_what_is_ours(
    text: str, columns: int
) -> None:
    line = message_line(Message("lobby", 1, "mallory", text, DAY), "ann")
    rows = rows_of(line, columns)
    assert len(rows) <= MOST_ROWS + 1
    for place, row in enumerate(rows):
        shown = "".join(piece.text for piece in row)
        assert columns < 8 or width(shown) < columns
        if place:
            assert shown.startswith("  ")
        elif columns >= 30:
            assert shown.startswith("12:41 ")


def test_a_message_of_4000_rows_is_cut() -> None:
    rows = rows_of(
        message_line(Message("lobby", 1, "mallory", "x\n" * 2000, DAY), "ann"), 80
    )
    assert (
        len(rows) == MOST_ROWS + 1
        and rows[-1][-1].text == f"({2001 - MOST_ROWS} more rows)"
    )


def test_times() -> None:
    assert (
        stamp(DAY) == stamp(DAY, "2026-11-21") == "12:41"
        and stamp(DAY, "2026-11-22") == "2026-11-21 12:41"
    )
    assert [stamp(when) for when in (1e300, -1e300, float("inf"), float("nan"))] == [
        "--:--"
    ] * 4


def test_a_name_has_the_same_colour_in_every_process() -> None:
    code = "from python_tcp.terminal import colour_of; print(*map(colour_of, ['ann', 'Bob', 'ANN', '\\ud800']))"
    seen = set()
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            timeout=20,
        )
        seen.add(done.stdout)
    (line,) = seen
    first, _, again, _ = map(int, line.split())
    assert first == again and len(
        {colour_of(f"user{number}") for number in range(200)}
    ) == len(PALETTE)


def test_above_on_a_screen() -> None:
    for gap in range(5):
        screen = pyte.HistoryScreen(20, 8)
        stream = pyte.Stream(screen)
        stream.feed(
            "".join(f"row {number}\r\n" for number in range(6 - gap))
            + "\x1b[7;1Htyped\r\nbar\x1b[7;3H\x1b[31m"
        )
        stream.feed(above(["one", "two"], bottom=6, gap=gap) + "\x1b[m")
        rows = [row.rstrip() for row in screen.display]
        assert rows[6:] == ["typed", "bar"] and (
            screen.cursor.x,
            screen.cursor.y,
            screen.margins,
        ) == (2, 6, None)
        everything = [
            "".join(line[x].data for x in range(20)).rstrip()
            for line in screen.history.top
        ] + rows[:6]
        assert [row for row in everything if row] == [
            f"row {number}" for number in range(6 - gap)
        ] + ["one", "two"]


def test_paint_without_colours_keeps_bold_and_reversed() -> None:
    row = [Piece("a", 28, bold=True), Piece("b", 30, reversed=True), Piece("c", 30)]
    assert (
        paint(row) == "\x1b[1;38;5;28ma\x1b[m\x1b[7;38;5;30mb\x1b[m\x1b[38;5;30mc\x1b[m"
    )
    assert paint(row, colours=False) == "\x1b[1ma\x1b[m\x1b[7mb\x1b[mc"


# --- lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("event", "mark", "text"), [
    (Message("lobby", 1, "bob", "hi", DAY), "", "lobby bob: hi"),
    (Message("lobby", 1, "ANN", "hi", DAY), " >", "lobby ANN: hi"),
    (Message("lobby", 1, "bob", "hi Ann!", DAY), " @", "lobby bob: hi Ann!"),
    (Message("lobby", 1, "bob", "/me waves", DAY), " *", "lobby bob waves"),
    (Message("lobby", 1, "bob", "/meme", DAY), "", "lobby bob: /meme"),
    (Whispered("bob", "ann", "psst", DAY), " ~", "whisper bob to you: psst"),
    (Whispered("ann", "bob", "psst", DAY), " ~", "whisper you to bob: psst"),
    (Joined("lobby", "bob", DAY), "--", "bob joined lobby"),
    (Left("lobby", "bob", DAY), "--", "bob left lobby"),
    (StatusChanged("bob", "away", DAY), "--", "bob is away"),
    (UserList("lobby", ["ann", "bob"], {"bob": "away"}), "--", "in lobby: ann, bob (away)"),
    (RoomList([RoomSize("lobby", 2)]), "--", "rooms: lobby (2)"),
    (Welcome("ann", "lobby", "Hello", 0), "--", "Hello"),
    (Error("x", "wrong"), "!!", "wrong"),
    (Lost("Gone.", 2.0), "!!", "The connection is lost. Gone."),
    (Back(), "--", "The connection is back."),
    (Gap("lobby", 3), "--", "3 messages of lobby are missing here; they are no longer kept."),
    (Gap("lobby", None), "--", "lobby has started anew; something may be missing here."),
])  # fmt: skip
def test_the_line_of_each_event(event: object, mark: str, text: str) -> None:
    line = line_of(event, "ann")
    assert (line.mark, text_of(line)) == (mark, text)
    assert line.bell == (mark == " @")


def test_mentions() -> None:
    assert all(
        mentions(text, "a.b")
        for text in ("a.b", "hi A.B!", "@a.b: yes", "(a.b)", "a.b.")
    )
    assert not any(
        mentions(text, "a.b") for text in ("axb", "a.bc", "xa.b", "a.b.c", "a.b-c", "")
    )
    assert not mentions("anything", "")


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "expected"), [
    ("hello", Typed("say", ("hello",))), (" hello ", Typed("say", (" hello ",))), ("//x", Typed("say", ("/x",))), ("///x", Typed("say", ("//x",))),
    ("", Typed("nothing")), ("  \n ", Typed("nothing")), ("a\n/quit", Typed("say", ("a\n/quit",))),
    ("/help", Typed("help")), ("/users", Typed("users")), ("/w bob hi  there", Typed("whisper", ("bob", "hi  there"))), ("/MSG bob x", Typed("whisper", ("bob", "x"))),
    ("/w bob a\nb", Typed("whisper", ("bob", "a\nb"))), ("/reply yes", Typed("reply", ("yes",))), ("/join dev", Typed("join", ("dev",))), ("/leave", Typed("leave")),
    ("/leave dev", Typed("leave", ("dev",))), ("/room  dev ", Typed("room", ("dev",))), ("/history", Typed("history")), ("/history 5", Typed("history", ("5",))),
    ("/me waves", Typed("me", ("waves",))), ("/away", Typed("away")), ("/away at lunch", Typed("away", ("at lunch",))), ("/back", Typed("back")),
    ("/ignore bob", Typed("ignore", ("bob",))), ("/clear", Typed("clear")), ("/quit", Typed("quit")), ("/exit", Typed("quit")), ("x" * 4000, Typed("say", ("x" * 4000,))),
])  # fmt: skip
def test_what_a_line_asks_for(typed: str, expected: Typed) -> None:
    assert parse(typed) == expected


@pytest.mark.parametrize(("typed", "why"), [
    ("/wisper bob x", "did you mean /whisper?"), ("/h", "did you mean /help or /history?"), ("/", "/ is not a command; see /help"), ("/xyzzy", "see /help"),
    ("/join", "/join ROOM"), ("/join a b", "/join ROOM"), ("/w bob", "/whisper NAME TEXT"), ("/users now", "/users"), ("/me", "/me TEXT"), ("/reply ", "/reply TEXT"),
    ("/history x", "number"), ("/history 0", "number"), ("/history 1000", "number"), ("x" * 4001, "4001"), ("/w bob " + "x" * 4001, "4001"),
    ("/away " + "x" * 81, "81"), ("/me " + "x" * 3997, "3997"), ("a\x1bb", "U+001B"), ("/etc/hosts is a file", "is not a command"),
])  # fmt: skip
def test_what_is_wrong_with_a_line(typed: str, why: str) -> None:
    mistake = parse(typed)
    assert isinstance(mistake, Mistake) and why in mistake.why


@given(anything)
def test_any_line_can_be_parsed_and_completed(text: str) -> None:
    assert isinstance(parse(text), (Typed, Mistake)) and isinstance(
        parse("/" + text), (Typed, Mistake)
    )
    candidates(text, ["ann"], ["lobby"]), candidates("/" + text, ["ann"], ["lobby"])


def test_candidates() -> None:
    names, rooms, ours = ["ann", "Bob"], ["dev", "lobby", "ops"], ["lobby"]
    everything = candidates("/", names, rooms, ours)
    assert {word.strip("/ ") for word in everything} == {*COMMANDS, "w", "msg", "exit"}
    for before, expected in [
        ("", ["Bob: ", "ann: "]), ("b", ["Bob: "]), ("hi B", ["Bob "]), ("/w ", ["Bob ", "ann "]), ("/w ann b", ["Bob "]), ("/ignore a", ["ann "]),
        ("/join d", ["dev "]), ("/room ", ["lobby "]), ("/leave ", ["lobby "]), ("//a", []), ("/nope a", ["ann "]), ("/me b", ["Bob "]), ("zz", []),
    ]:  # fmt: skip
        assert candidates(before, names, rooms, ours) == expected, before


def test_the_bar_has_always_the_width_of_the_window() -> None:
    for width in range(1, 100):
        text = bar(
            width,
            "lobby: 3 people",
            "unread: dev 2",
            "",
            "1 not sent yet",
            "lost, trying again in 4 s",
        )
        assert len(text) == width
        if width >= 27:
            assert "lost, trying again in 4 s" in text


# --- a chat -------------------------------------------------------------------------------------------------------


class Client(SimpleNamespace):
    """What `Chat` needs of a `ChatClient`, with a record of its calls. Each call answers `answer`."""

    def __init__(self) -> None:
        super().__init__(
            username="ann",
            rooms={"lobby": ["ann", "bob"]},
            users=["ann", "bob"],
            unsent=0,
            error=None,
            calls=[],
            answer=True,
        )

    def __getattr__(self, name: str):
        def call(*arguments: object) -> bool:
            self.calls.append((name, *arguments))
            return self.answer

        return call


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def chat(client: Client) -> Chat:
    chat = Chat(client, do=lambda call: call())
    chat.arrived(Welcome("ann", "lobby", "Hello", 0))
    return chat


def told(chat: Chat, event: object) -> list[str]:
    return [text_of(line) for line in chat.arrived(event)]


@pytest.mark.parametrize(("typed", "call"), [
    ("hello", ("send_message", "hello")), ("/me waves", ("send_message", "/me waves")), ("/w bob x", ("whisper", "bob", "x")), ("/users", ("ask_users",)),
    ("/rooms", ("ask_rooms",)), ("/join Dev", ("join", "Dev")), ("/leave", ("leave", "lobby")), ("/leave LOBBY", ("leave", "lobby")), ("/room lobby", ("join", "lobby")),
    ("/history 7", ("ask_history", 7)), ("/history", ("ask_history", 20)), ("/away", ("set_status", "away")), ("/away lunch", ("set_status", "lunch")), ("/back", ("set_status", "online")),
])  # fmt: skip
def test_each_command_calls_the_client(
    chat: Chat, client: Client, typed: str, call: tuple
) -> None:
    assert chat.typed(parse(typed)) == [] and client.calls == [call]


def test_help_names_every_command(chat: Chat) -> None:
    text = "\n".join(text_of(line) for line in chat.typed(Typed("help")))
    assert (
        all(usage in text and meaning in text for usage, meaning in COMMANDS.values())
        and "//TEXT" in text
    )


def test_a_reply_goes_to_the_last_whisperer(chat: Chat, client: Client) -> None:
    assert "Nobody" in text_of(chat.typed(parse("/reply x"))[0]) and client.calls == []
    for who in ("bob", "cy"):
        chat.arrived(Whispered(who, "ann", "psst", DAY))
    chat.arrived(Whispered("ann", "dan", "psst", DAY))
    chat.typed(parse("/reply yes"))
    assert client.calls == [("whisper", "cy", "yes")]


def test_what_is_ignored_is_not_shown_until_it_is_not_ignored_any_more(
    chat: Chat,
) -> None:
    chat.typed(parse("/ignore BOB"))
    for event in (
        Message("lobby", 1, "bob", "ann!", DAY), Whispered("Bob", "ann", "x", DAY), Joined("lobby", "bob", DAY), Left("lobby", "bob", DAY), StatusChanged("bob", "x", DAY),
        Message("dev", 1, "bob", "ann!", DAY),
    ):  # fmt: skip
        assert told(chat, event) == []
    assert chat.held == {} and chat.whisperer == ""
    history = History(
        "lobby",
        [
            Message("lobby", 1, "bob", "hidden", DAY),
            Message("lobby", 2, "cy", "seen", DAY),
        ],
        False,
    )
    assert told(chat, history)[1:-1] == ["lobby cy: seen"]
    chat.typed(parse("/ignore bob"))
    assert told(chat, Message("lobby", 1, "bob", "hi", DAY)) == ["lobby bob: hi"]
    assert (
        "yourself" in text_of(chat.typed(parse("/ignore Ann"))[0])
        and chat.ignored == set()
    )


def test_other_rooms_are_held_and_a_mention_there_rings_once(
    chat: Chat, client: Client
) -> None:
    client.rooms = {"dev": ["ann"], "lobby": ["ann", "bob"]}
    assert told(chat, Message("dev", 1, "bob", "one", DAY)) == []
    (notice,) = chat.arrived(Message("dev", 2, "bob", "Ann?", DAY))
    assert notice.bell and text_of(notice) == "bob mentions you in dev: /room dev"
    assert parts_of_bar(chat)[1] == "unread: dev 2"
    assert (
        told(chat, Joined("dev", "cy", DAY)) == told(chat, Left("dev", "cy", DAY)) == []
    )
    client.rooms = {"lobby": ["ann", "bob"], "dev": ["ann"]}
    lines = chat.refused(None)
    assert [text_of(line) for line in lines] == [
        "You talk in dev now.",
        "dev bob: one",
        "dev bob: Ann?",
    ] and parts_of_bar(chat)[1] == ""


def test_a_list_of_users_is_shown_to_who_asked(chat: Chat) -> None:
    users = UserList("lobby", ["ann", "bob"])
    assert told(chat, users) == ["in lobby: ann, bob"]  # after the welcome
    assert told(chat, users) == []
    chat.typed(parse("/users"))
    assert told(chat, users) == ["in lobby: ann, bob"]


def test_the_answer_to_a_question_of_our_own_is_not_shown(chat: Chat) -> None:
    from python_tcp.terminal import _do_rooms

    _do_rooms(chat, shown=False)
    chat.typed(parse("/rooms"))
    rooms = RoomList([RoomSize("dev", 1), RoomSize("lobby", 2)])
    assert (
        told(chat, rooms) == []
        and told(chat, rooms) == ["rooms: dev (1), lobby (2)"]
        and told(chat, rooms) == []
    )
    assert chat.known_rooms == {"dev", "lobby"}


def test_a_lost_connection_is_told_once_and_counted(chat: Chat, client: Client) -> None:
    assert connection(chat) == "here"
    assert (
        told(chat, Lost("Gone.", 3.0)) == ["The connection is lost. Gone."]
        and connection(chat) == "lost, trying again in 3 s"
    )
    assert (
        told(chat, Lost("Refused.", 0.1)) == []
        and connection(chat) == "lost, trying again"
    )
    client.unsent = 1
    assert parts_of_bar(chat)[3] == "1 not sent yet"
    assert (
        told(chat, Back()) == ["The connection is back."] and connection(chat) == "here"
    )
    assert parts_of_bar(chat)[3] == "", "one on the way is nothing special"
    assert told(chat, Welcome("ann", "lobby", "Hello again", 0)) == []


def test_a_refusal_is_told_once(chat: Chat, client: Client) -> None:
    error = Error("no_such_user", "dan is not here")
    assert told(chat, error) == ["dan is not here"] and chat.refused(error) == []
    assert [
        text_of(line) for line in chat.refused(Error("not_connected", "not connected"))
    ] == ["not connected"]


def test_leaving_the_last_room(chat: Chat, client: Client) -> None:
    client.rooms = {}
    assert told(chat, Left("lobby", "ann", DAY)) == [
        "You are in no room now. /join ROOM enters one.",
        "ann left lobby",
    ]
    assert parts_of_bar(chat)[0] == "in no room"
    assert "no room" in text_of(
        chat.typed(parse("/leave"))[0]
    ) and "not in dev" in text_of(chat.typed(parse("/room dev"))[0])


def test_the_bar_says_that_one_is_away(chat: Chat) -> None:
    chat.arrived(StatusChanged("Ann", "at lunch", DAY))
    assert parts_of_bar(chat)[2] == "you are at lunch"
    chat.arrived(StatusChanged("ann", "online", DAY))
    assert parts_of_bar(chat)[2] == ""


# --- logs ---------------------------------------------------------------------------------------------------------


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("chat", level, "", 0, "%s", (text,), None)


def test_formats() -> None:
    assert line_format(record("ann joined \x1b[2Jlobby")).endswith(
        " ann joined \ufffd[2Jlobby"
    )
    assert line_format(record("no", logging.WARNING)).endswith(" warning: no")
    fields = json.loads(json_format(record("a\nb\u2028")))
    assert (fields["level"], fields["message"]) == (
        "info",
        "a\nb\u2028",
    ) and "\n" not in json_format(record("a\nb"))


def test_a_stream_that_stands_still_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import threading

    stuck = threading.Event()
    monkeypatch.setattr(
        sys,
        "stdout",
        SimpleNamespace(write=lambda text: stuck.wait(20), flush=lambda: None),
    )
    writer = LogWriter(line_format, most=10)
    start = time.monotonic()
    for number in range(1000):
        writer.emit(record(str(number)))
    writer.close()
    assert time.monotonic() - start < 3
    stuck.set()
