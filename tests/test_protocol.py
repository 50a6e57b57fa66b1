"""`python_tcp.protocol`: what is said arrives as it was said, and what is wrong with a line is said in one typed error."""

import json
import re
import sys
import unicodedata
from typing import get_args

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from python_tcp.commands import Ban, ChangePassword, DeleteAccount, DeleteMessage, Deop
from python_tcp.commands import (
    Invite,
    Kick,
    ListBans,
    Lock,
    Login,
    Logout,
    MarkRead,
    Mute,
)
from python_tcp.commands import Op, Register, RegisterRoom, SetTopic, Unban, Unlock
from python_tcp.events import (
    AccountChanged,
    BanInfo,
    BanList,
    MessageDeleted,
    Moderated,
)
from python_tcp.commands import OfferFile
from python_tcp.events import FileUpload, ReadMark, SharedFile, TopicChanged
from python_tcp.protocol import MAX_LINE, MAX_PAGE, OTHERS, UNSAFE, Command, Event
from python_tcp.protocol import (
    Dialect,
    Error,
    GetHistory,
    Goodbye,
    History,
    Join,
    Limits,
)
from python_tcp.protocol import (
    JSONLines,
    Leave,
    ListRooms,
    ListUsers,
    Message,
    Ok,
    Ping,
)
from python_tcp.protocol import Pong, RoomList, RoomSize, SendMessage, SetStatus
from python_tcp.protocol import StatusChanged, UserJoined, UserLeft, UserList, Welcome
from python_tcp.protocol import Whisper, WhisperReceived, decode, decode_event, encode
from python_tcp.protocol import forbidden_character, goodbye, schema

MOST = 2**53 - 1
TOKEN = "a-token_of-16-to-64"

COMMANDS = [
    Join("ann"), Join("Ann_2.-", "Lobby.x_-"), SendMessage("hi"), SendMessage("grüße 👋\n\ttab", "lobby", 7), SendMessage("x", id="a"), SendMessage("x", id=0), SendMessage("x", id=""),
    SendMessage("x", id=-MOST), Whisper("bob", "psst"), Whisper("bob", "psst", MOST), ListUsers(), ListUsers("dev"), ListRooms(), SetStatus("away"), Leave(), Leave("dev"),
    Ping(), Ping("x"), Pong(), Pong(1), Join("ann", "dev", 0, TOKEN, 7), Join("ann", since=MOST, id="j"), Join("ann", token="t" * 16), GetHistory(),
    GetHistory("dev", 7, None, 1, "h"), GetHistory(after=0, limit=MAX_PAGE), GetHistory(before=0, after=MOST), SendMessage("x", id=MOST), SendMessage("x", id=-MOST),
    Register("ann", "p" * 8, 1), Login("ann", "p" * 256), Logout(), ChangePassword("p" * 8, "🔑" * 8), DeleteAccount("p" * 8, 1), MarkRead("dev", 0), Kick("bob", "dev", "too loud", 1),
    Mute("bob", seconds=0.0), Mute("bob", "dev", 60.0), Ban("192.0.2.0/24", None, 600.0, "spam", 1), Unban("bob", "dev"), ListBans("dev", "bob"), Op("bob", "dev"), Op("bob", server=True),
    Deop("bob"), RegisterRoom("dev", 1), SetTopic("", "dev"), SetTopic("x" * 200), Lock("dev", "p" * 8), Unlock(), Invite("bob", "dev", 1), DeleteMessage(MOST, "dev", 1), Join("ann", password="x"),
    OfferFile(1, "a.txt", 0, "ab" * 32), OfferFile("x", "../é\u202e.exe", MOST, "0" * 64, "dev"),
]  # fmt: skip
EVENTS = [
    Welcome("ann", "lobby", "Welcome!", 3, limits={"line": 16384}), UserJoined("lobby", "ann", 1.5), UserLeft("lobby", "ann", 1.5), Message("lobby", 1, "ann", "hi\n👋", 1.5),
    WhisperReceived("ann", "bob", "psst", 1.5), UserList("lobby", ["ann", "bob"]), UserList("lobby", []), RoomList([]), RoomList([RoomSize("lobby", 2)]),
    StatusChanged("ann", "away", 1.5), Ok(7), Ok("a", 12), Error("bad_json", "no"), Error("not_joined", "no", "a"), Goodbye("left", "Bye.", False), Ping(3), Pong("x"),
    Welcome("ann", "lobby", "Welcome!", 0, "epoch", TOKEN, 1, {"flood_rate": 0.5}), UserList("lobby", ["ann"], {"ann": "at lunch"}), History("lobby", [], False),
    History("lobby", [Message("lobby", 8, "ann", "hi\n", 1.5), Message("lobby", 9, "bob", "👋", 2.5)], True, 7, "h"), Error("rate_limited", "no", 7, 0.2),
    Goodbye("idle", "Bye.", True, 0.0), Goodbye("server_full", "Bye.", True, 5.0),
    AccountChanged("ann", "registered", "operator", 1), ReadMark("lobby", 7), Moderated("ban", "ann", 1.5, "bob", "lobby", "spam", 9.5), TopicChanged("lobby", "TCP", "ann", 1.5),
    MessageDeleted("lobby", 7, "ann", 1.5), BanList([]), BanList([BanInfo("bob", "ann", 1.5, 9.5, "spam")], "dev", "ann", True), UserList("lobby", ["ann"], accounts=["ann"]),
    Message("lobby", 1, "ann", "a.txt (3 B) http://x/files/1/k/a.txt", 1.5, SharedFile(1, "a.txt", 3, "ab" * 32, "http://x/files/1/k/a.txt")), FileUpload("x", 7, "a.txt", "http://x/uploads/7/secret", 0),
]  # fmt: skip


def named(messages: list) -> list:
    return [
        pytest.param(message, id=f"{number}-{type(message).__name__}")
        for number, message in enumerate(messages)
    ]


def test_every_command_and_every_event_is_tried() -> None:
    assert {type(command) for command in COMMANDS} == set(get_args(Command))
    assert {type(event) for event in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize("command", named(COMMANDS))
def test_a_command_comes_back_as_it_was(command: Command) -> None:
    line = encode(command)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line[:-1]) == command


@pytest.mark.parametrize("event", named(EVENTS))
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    line = encode(event)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode_event(line[:-1]) == event


def test_the_wire_is_flat_json_with_a_type() -> None:
    assert json.loads(encode(SendMessage("hi", "dev", 7))) == {
        "type": "message",
        "content": "hi",
        "room": "dev",
        "id": 7,
    }
    assert json.loads(encode(Join("ann"))) == {"type": "join", "username": "ann"}
    assert json.loads(encode(Error("not_joined", "join first"))) == {
        "type": "error",
        "code": "not_joined",
        "content": "join first",
    }
    assert json.loads(encode(GetHistory())) == {"type": "history"}
    assert decode_event(
        b'{"type": "history", "room": "dev", "messages": [], "more": true}'
    ) == History("dev", [], True, 0, None)
    assert json.loads(encode(GetHistory(after=0))) == {"type": "history", "after": 0}
    assert json.loads(encode(Error("rate_limited", "wait", 7, 0.2))) == {
        "type": "error",
        "code": "rate_limited",
        "content": "wait",
        "id": 7,
        "retry_after": 0.2,
    }
    assert json.loads(encode(UserList("dev", ["ann"], {"ann": "away"}))) == {
        "type": "users",
        "room": "dev",
        "users": ["ann"],
        "statuses": {"ann": "away"},
    }
    assert json.loads(encode(History("dev", [Message("dev", 3, "ann", "hi", 1.5)], False, 2))) == {
        "type": "history", "room": "dev", "more": False, "lost": 2,
        "messages": [{"type": "message", "room": "dev", "seq": 3, "username": "ann", "content": "hi", "timestamp": 1.5}],
    }  # fmt: skip


@pytest.mark.parametrize(("line", "command"), [
    (b'{"type": "join", "username": "ann"}', Join("ann", "lobby")),
    (b' {"username" : "ann" , "type":"join"}\t', Join("ann")),
    (b'{"type": "message", "content": "hi", "username": "bob", "timestamp": 0, "seq": 99}', SendMessage("hi")),  # what a client claims is ignored
    (b'{"type": "ping", "future": {"deep": [1, null, "x"]}}', Ping()),
    (b'{"type": "p\\u0069ng"}', Ping()),
    (b'{"type": "message", "content": "\\ud83d\\udc4b"}', SendMessage("👋")),
    (b'{"type": "message", "content": "hi", "room": null, "id": null}', SendMessage("hi")),
    (b'{"type": "ping", "since": ' + b"9" * 5000 + b"}", Ping()),
    (b'{"type": "history", "before": null, "after": null, "room": null, "id": null}', GetHistory()),
    (b'{"type": "join", "username": "ann", "since": null, "token": null}', Join("ann")),
])  # fmt: skip
def test_a_line_may_be_written_in_many_ways(line: bytes, command: Command) -> None:
    assert decode(line) == command


def message(**fields: object) -> bytes:
    return json.dumps({"type": "message", "content": "hi", **fields}).encode()


def join(**fields: object) -> bytes:
    return json.dumps({"type": "join", "username": "ann", **fields}).encode()


def history(**fields: object) -> bytes:
    return json.dumps({"type": "history", **fields}).encode()


MALFORMED = [
    # not JSON
    (b"hello", "bad_json", ""),
    (b"\x00", "bad_json", ""),
    (b"{", "bad_json", ""),
    (b'{"type": "ping"', "bad_json", ""),
    (b'{"type": "ping",}', "bad_json", ""),
    (b"{'type': 'ping'}", "bad_json", ""),
    (b'{"type" "ping"}', "bad_json", ""),
    (b'{type: "ping"}', "bad_json", ""),
    (b'{"type": "ping"} x', "bad_json", ""),
    (b'{"type": "ping"}{"type": "ping"}', "bad_json", ""),
    (b'{"type": "nonsense"} x', "bad_json", ""),
    (b'{"type": "ping", "id": NaN}', "bad_json", ""),
    (b'{"type": "ping", "x": Infinity}', "bad_json", ""),
    (b'{"type": "ping", "id": 01}', "bad_json", ""),
    (b'{"type": "ping", "x": "\\q"}', "bad_json", ""),
    (b'{"type": "ping", "x": "\\u12"}', "bad_json", ""),
    (
        b'{"type": "message", "content": "a\tb"}',
        "bad_json",
        "",
    ),  # a raw control character in a JSON string
    (
        b'{"type": "message", "content": "\\ud800"}',
        "bad_json",
        "",
    ),  # half a character: it could not be encoded again
    (b'{"type": "message", "content": "\\udc4b\\ud83d"}', "bad_json", ""),
    (b'{"type": "ping", "id": "\\ud800"}', "bad_json", ""),
    (b'\xef\xbb\xbf{"type": "ping"}', "bad_json", ""),
    (b'{"type": "ping", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "bad_json", ""),
    (b'{"x": ' * 2700, "bad_json", ""),
    # not UTF-8
    (b"\xff\xfe", "bad_utf8", "byte 0"),
    (b'{"type": "ping", "x": "\xff"}', "bad_utf8", "byte 23"),
    (b'{"type": "message", "content": "\xc3"}', "bad_utf8", ""),
    (b'{"type": "ping", "x": "\xed\xa0\x80"}', "bad_utf8", ""),  # a surrogate
    (b'{"type": "ping", "x": "\xc0\x80"}', "bad_utf8", ""),  # overlong
    ('{"type": "ping"}'.encode("utf-16-le")[:-1] + b"\xff", "bad_utf8", ""),
    # not an object
    (b"[]", "bad_message", "object"),
    (b'["ping"]', "bad_message", "object"),
    (b'"ping"', "bad_message", "object"),
    (b"5", "bad_message", "object"),
    (b"-0.5e3", "bad_message", "object"),
    (b"null", "bad_message", "object"),
    (b" true", "bad_message", "object"),
    # the type
    (b"{}", "bad_message", "`type`"),
    (b'{"TYPE": "ping"}', "bad_message", "`type`"),
    (b'{"type": 1}', "bad_message", "`type`"),
    (b'{"type": null}', "bad_message", "`type`"),
    (b'{"type": ["ping"]}', "bad_message", "`type`"),
    (b'{"type": ""}', "unknown_type", "`type`"),
    (b'{"type": "PING"}', "unknown_type", "'PING'"),
    (b'{"type": "ping "}', "unknown_type", "`type`"),
    (b'{"type": "welcome", "username": "ann"}', "unknown_type", "'welcome'"),
    (b'{"type": "ping\\u0000\\u001b[2J"}', "unknown_type", "`type`"),
    (json.dumps({"type": "x" * 10_000}).encode(), "unknown_type", "`type`"),
    # a field is missing, or is no text
    (b'{"type": "join"}', "bad_message", "`username`"),
    (b'{"type": "message"}', "bad_message", "`content`"),
    (b'{"type": "whisper", "to": "bob"}', "bad_message", "`content`"),
    (b'{"type": "whisper", "content": "x"}', "bad_message", "`to`"),
    (b'{"type": "status"}', "bad_message", "`status`"),
    (join(username=5), "bad_message", "`username`"),
    (join(username=None), "bad_message", "`username`"),
    (join(username=["ann"]), "bad_message", "`username`"),
    (join(room=None), "bad_message", "`room`"),
    (join(room=1), "bad_message", "`room`"),
    (message(content=5), "bad_message", "`content`"),
    (message(content={}), "bad_message", "`content`"),
    (message(content=""), "bad_message", "`content`"),
    (message(room=True), "bad_message", "`room`"),
    (message(id=1.5), "bad_message", "`id`"),
    (message(id=True), "bad_message", "`id`"),
    (message(id=[1]), "bad_message", "`id`"),
    (message(id="x" * 65), "bad_message", "`id`"),
    (b'{"type": "ping", "id": ' + b"9" * 5000 + b"}", "bad_message", "`id`"),
    (b'{"type": "ping", "id": 1e400}', "bad_message", "`id`"),
    (b'{"type": "status", "status": ""}', "bad_message", "`status`"),
    (b'{"type": "leave", "room": 5}', "bad_message", "`room`"),
    # numbers, tokens and ids
    (join(since=-1), "bad_message", "`since`"),
    (join(since=MOST + 1), "bad_message", "`since`"),
    (join(since=2**64), "bad_message", "`since`"),
    (join(since="3"), "bad_message", "`since`"),
    (join(since=1.5), "bad_message", "`since`"),
    (join(since=True), "bad_message", "`since`"),
    (join(token=7), "bad_message", "`token`"),
    (join(token=""), "bad_message", "`token`"),
    (join(token="t" * 15), "bad_message", "`token`"),
    (join(token="t" * 65), "bad_message", "`token`"),
    (join(token="t" * 16 + "\n"), "bad_message", "`token`"),
    (join(token="t" * 15 + "ä"), "bad_message", "`token`"),
    (join(token="t" * 15 + " "), "bad_message", "`token`"),
    (join(id=[]), "bad_message", "`id`"),
    (message(id=MOST + 1), "bad_message", "`id`"),
    (message(id=-MOST - 2), "bad_message", "`id`"),
    (history(before=-1), "bad_message", "`before`"),
    (history(before=MOST + 1), "bad_message", "`before`"),
    (history(after=-1), "bad_message", "`after`"),
    (history(after=[]), "bad_message", "`after`"),
    (history(limit=0), "bad_message", "`limit`"),
    (history(limit=MAX_PAGE + 1), "bad_message", "`limit`"),
    (history(limit=None), "bad_message", "`limit`"),
    (history(limit="all"), "bad_message", "`limit`"),
    (history(room="#dev"), "bad_room", "`room`"),
    (history(room=["dev"]), "bad_message", "`room`"),
    (history(id={}), "bad_message", "`id`"),
    # names
    (join(username=""), "bad_name", "`username`"),
    (join(username="a b"), "bad_name", "`username`"),
    (join(username="ann\n"), "bad_name", "`username`"),
    (join(username="ann\0"), "bad_name", "`username`"),
    (join(username="änn"), "bad_name", "`username`"),
    (join(username="аnn"), "bad_name", "`username`"),  # a Cyrillic а
    (join(username="a" * 33), "bad_name", "`username`"),
    (b'{"type": "whisper", "to": "/bob", "content": "x"}', "bad_name", "`to`"),
    (join(room=""), "bad_room", "`room`"),
    (join(room="a/b"), "bad_room", "`room`"),
    (join(room="r" * 65), "bad_room", "`room`"),
    (message(room="#dev"), "bad_room", "`room`"),
    (b'{"type": "users", "room": "\\u202e"}', "bad_room", "`room`"),
    # too long
    (message(content="x" * 4001), "too_long", "4001"),
    (message(content="👋" * 4001), "too_long", "4001"),
    (
        b'{"type": "whisper", "to": "bob", "content": "' + b"x" * 4001 + b'"}',
        "too_long",
        "`content`",
    ),
    (b'{"type": "status", "status": "' + b"x" * 81 + b'"}', "too_long", "`status`"),
]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [pytest.param(*case, id=repr(case[0][:50])) for case in MALFORMED],
)
def test_what_is_wrong_with_a_line_is_said(line: bytes, code: str, says: str) -> None:
    error = decode(line)
    assert isinstance(error, Error) and error.code == code
    assert (
        says in error.content
        and error.content.isprintable()
        and len(error.content) < 200
    )


def test_at_the_limits_all_is_well() -> None:
    for command in (
        Join("n" * 32, "r" * 64), SendMessage("x" * 4000), SendMessage("👋" * 4000), Whisper("n" * 32, "ü" * 4000), SetStatus("s" * 80),
        SendMessage("x", id="i" * 64), Ping("👋" * 64), Join("-"), Join("..."), Join("0"), Join("ann", since=MOST, token="-" * 64), Join("ann", since=0, token="_" * 16),
        SendMessage("x", id=MOST), SendMessage("x", id=-MOST), GetHistory(before=MOST, limit=1), GetHistory(after=MOST, limit=MAX_PAGE), GetHistory(before=0), GetHistory(after=0),
    ):  # fmt: skip
        assert (
            decode(
                json.dumps(msgspec.to_builtins(command), ensure_ascii=False).encode()
            )
            == command
        )


def test_the_longest_message_fits_into_a_line() -> None:
    assert len(encode(SendMessage("👋" * 4000, "r" * 64))) <= MAX_LINE


CONTROLS = [
    *range(0x00, 0x20),
    *range(0x7F, 0xA0),
    0x2028,
    0x2029,
    *range(0x202A, 0x202F),
]


@pytest.mark.parametrize(
    "type, field",
    [("message", "content"), ("whisper", "content"), ("status", "status")],
)
def test_no_control_character_escape_or_bidirectional_override_passes(
    type: str, field: str
) -> None:
    for code in CONTROLS:
        for text in (chr(code), f"before {chr(code)}[2J after"):
            decoded = decode(
                json.dumps({"type": type, "to": "bob", field: text}).encode()
            )
            if chr(code) in "\t\n" and field == "content":
                assert not isinstance(decoded, Error), f"U+{code:04X}"
            else:
                assert isinstance(decoded, Error) and decoded.code == "bad_message", (
                    f"U+{code:04X}"
                )
                assert (
                    f"`{field}`" in decoded.content
                    and f"U+{code:04X}" in decoded.content
                )


@pytest.mark.parametrize("status", ["\t", "\n", "at\tlunch", "away\n", "a\nb\x1b"])
def test_a_status_is_one_line(status: str) -> None:
    error = decode(json.dumps({"type": "status", "status": status}).encode())
    assert (
        isinstance(error, Error)
        and error.code == "bad_message"
        and "U+00" in error.content
    )
    assert decode(
        b'{"type": "status", "status": "at lunch \xe2\x80\x94 back at 2"}'
    ) == SetStatus("at lunch \N{EM DASH} back at 2")


@pytest.mark.slow
def test_unsafe_is_what_unicode_calls_a_control_or_an_embedding_or_override() -> None:
    """Judged by Unicode's own tables, and not by our pattern."""
    steering = {"LRE", "RLE", "LRO", "RLO", "PDF"}  # UAX #9, 2.1 and 2.2
    lines = {"Zl", "Zp"}  # some terminals and many programs end a line there
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        bad = (
            category == "Cc"
            and character not in "\t\n"
            or category in lines
            or unicodedata.bidirectional(character) in steering
        )
        assert forbidden_character(f"a{character}b") == (
            f"U+{code:04X}" if bad else None
        )


@pytest.mark.parametrize(
    "text",
    [
        "Grüße",
        "👋🏽",
        "日本語",
        "שלום",
        "a\u00a0b",
        "e\u0301",
        "👩\u200d💻",  # a zero-width joiner
        "می\u200cخواهم",  # Persian: a zero-width non-joiner inside a word
        "क्\u200dष",  # Hindi
        "\u2068שלום\u2069!",  # an isolate around a word of the other direction
        "\u200fa\u200eb\u061c",  # marks of direction
        "\U0010ffff",
    ],
)
def test_what_people_write_passes(text: str) -> None:
    assert decode(
        json.dumps({"type": "message", "content": text}).encode()
    ) == SendMessage(text)


@pytest.mark.parametrize("line", [
    message(content="\x1b", id=7), message(content="x" * 4001, id=7), message(content=5, id=7), message(content="", id=7), message(room="a/b", id=7),
    b'{"type": "message", "id": 7}', b'{"type": "whisper", "to": "b b", "content": "x", "id": 7}', join(username="", id=7), join(since=-1, id=7), join(token="x", id=7),
    history(limit=0, id=7), history(before="x", id=7),
])  # fmt: skip
def test_the_error_for_a_message_with_an_id_has_the_id(line: bytes) -> None:
    assert decode(line).id == 7


# --- whatever comes ----------------------------------------------------------------------------------------------


def check(line: bytes) -> None:
    decoded = decode(line)
    assert isinstance(decoded, (Error, *get_args(Command)))
    encoded = encode(decoded)
    assert encoded.count(b"\n") == 1 and encoded.endswith(b"\n")
    if isinstance(decoded, Error):
        assert re.fullmatch("[a-z0-9_]+", decoded.code) and decoded.content
    else:
        assert decode(encoded[:-1]) == decoded
        assert not UNSAFE.search(
            getattr(decoded, "content", "") + getattr(decoded, "status", "")
        )


@given(st.binary(max_size=100))
def test_any_bytes_give_a_command_or_an_error(line: bytes) -> None:
    check(line)


LOOKS_RIGHT = [
    "join",
    "message",
    "whisper",
    "users",
    "rooms",
    "status",
    "leave",
    "ping",
    "pong",
    "history",
    "error",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=9)
    | st.sampled_from(["ann", "x" * 70, "y" * 4001, "\x1b[2J"]),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.text(max_size=3), values, max_size=3)
    ),
    max_leaves=5,
)
NEAR_MISSES = st.fixed_dictionaries(
    {"type": st.sampled_from(LOOKS_RIGHT) | VALUES},
    optional={
        name: st.sampled_from(["ann", "dev", "hi", 7]) | VALUES
        for name in (
            "username",
            "room",
            "content",
            "to",
            "status",
            "id",
            "since",
            "token",
            "before",
            "after",
            "limit",
        )
    },
)


@pytest.mark.slow
@given(NEAR_MISSES, st.booleans())
def test_json_that_is_nearly_right_gives_a_command_or_an_error(
    fields: dict, ascii_only: bool
) -> None:
    check(json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(st.sampled_from(COMMANDS).map(encode), st.data())
def test_a_command_with_a_byte_changed_gives_a_command_or_an_error(
    line: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(line[:-1])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(
        st.integers(0, 255)
    )
    check(bytes(damaged))
    check(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.slow
@given(st.binary(max_size=100) | NEAR_MISSES.map(json.dumps).map(str.encode))
def test_any_line_from_a_server_gives_an_event_or_nothing(line: bytes) -> None:
    assert decode_event(line) is None or isinstance(decode_event(line), get_args(Event))


@pytest.mark.parametrize("line", [b"[" * 20_000, b'{"type": "message", "x": ' + b"[" * 20_000, b'{"type": "ping", "id": ' + b"9" * 5000 + b"}", b"\xff", b"",
                                  b'{"type": "future"}', b'{"type": "message", "content": "\\ud800"}'])  # fmt: skip
def test_a_line_that_the_client_does_not_understand_is_nothing(line: bytes) -> None:
    assert decode_event(line) is None


def test_half_of_a_surrogate_pair_is_called_by_its_name() -> None:
    error = decode(b'{"type": "message", "content": "\\ud83d"}')
    assert error.code == "bad_json" and "\\ud83d" in error.content
    assert decode(b'{"type": "message", "content": "\\ud83d\\ude00"}') == SendMessage(
        "\N{GRINNING FACE}"
    )


@pytest.mark.parametrize(
    ("content", "half"),
    [
        (rb"\udc00", rb"\udc00"),  # a second half without a first
        (rb"\ude00\ud83d", rb"\ude00"),  # in the wrong order
        (rb"\ud83d\ud83d\ude00", rb"\ud83d"),  # one half and a whole pair
        (rb"\\\uD83D\\", rb"\uD83D"),  # after a backslash that is a backslash
    ],
)
def test_the_half_that_is_named_is_the_one_that_is_alone(
    content: bytes, half: bytes
) -> None:
    error = decode(b'{"type": "message", "content": "%b"}' % content)
    assert error == Error("bad_json", f"half of a surrogate pair: {half.decode()}")


def test_a_backslash_and_five_letters_are_no_half_of_a_pair() -> None:
    assert decode(rb'{"type": "message", "content": "\\ud83d"}') == SendMessage(
        "\\ud83d"
    )
    error = decode(rb'{"type": "message", "content": "\\ud83d" and more}')
    assert error.code == "bad_json" and "surrogate" not in error.content


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.sampled_from(["content", "status"]),
)
def test_a_text_passes_if_it_is_not_too_long_and_nothing_in_it_is_forbidden(
    text: str, field: str
) -> None:
    assume(text)
    decoded = decode(
        json.dumps(
            {"type": "message" if field == "content" else "status", field: text}
        ).encode()
    )
    if len(text) > 80 and field == "status":
        assert decoded.code == "too_long"
    elif forbidden_character(text) or field == "status" and re.search(r"[\t\n]", text):
        assert decoded.code == "bad_message"
    else:
        assert getattr(decoded, field) == text


# --- the last word -----------------------------------------------------------------------------------------------

REASONS = {
    "left": None,
    "replaced": None,
    "bad_message": None,
    "server_closing": 1.0,
    "server_full": 5.0,
    "too_many_connections": 10.0,
    "slow_consumer": 1.0,
    "idle": 0.0,
    "rate_limited": 10.0,
    "banned": None,
    "logged_out": None,
    "account_deleted": None,
    "password_changed": None,
}


@pytest.mark.parametrize(("code", "pause"), REASONS.items())
def test_a_goodbye_says_whether_it_makes_sense_to_come_back_and_when(
    code: str, pause: float | None
) -> None:
    event = goodbye(code)
    assert (event.code, event.reconnect, event.retry_after) == (
        code,
        pause is not None,
        pause,
    )
    assert event.content.endswith((".", "!")) and event.content.isprintable()
    assert decode_event(encode(event)) == event


@pytest.mark.parametrize("reason", ["", "closed by peer", "LEFT", "bad_json"])
def test_a_reason_that_nobody_is_told_has_no_goodbye(reason: str) -> None:
    assert goodbye(reason) is None


# --- how much of everything --------------------------------------------------------------------------------------

EDGES = [  # a limit, what it may be, what it may not be
    *((name, [1, 1_000_000], [0, -1, 1.5, "1", None, True]) for name in ("connections", "rooms_per_client", "flood_excess", "bad_lines", "output_bytes", "sessions_per_account", "files_per_person", "files_in_all", "uploads_per_person")),
    *((name, [0, 1, 2**40], [-1, 0.5, "0", None, False]) for name in ("flood_burst", "history_messages", "history_bytes", "data_bytes", "connections_per_address", "connections_per_network", "file_bytes", "file_bytes_per_person", "file_bytes_per_room", "file_bytes_in_all")),
    *((name, [5e-324, 1, 86_400.5], [0, 0.0, -0.001, -1, "1", None])
      for name in ("flood_rate", "connect_rate", "join_rate", "join_timeout", "ping_after", "ping_timeout", "output_timeout", "file_days", "upload_days", "offer_minutes")),
    ("file_share_per_address", [5e-324, 0.5, 1], [0, -0.1, 1.001, "1", None]),
    ("history_days", [0, 0.5, 3650], [-0.001, "1", None]),
    ("resume_window", [0, 0.5, 3600], [-0.001, "1", None]),
    ("guests", [True, False], [0, 1, "no", None]),
    ("registration", [True, False], [0, 1, "no", None]),
]  # fmt: skip


def test_every_limit_is_tried() -> None:
    assert {name for name, _, _ in EDGES} == set(Limits.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "right", "wrong"), EDGES, ids=[edge[0] for edge in EDGES]
)
def test_a_limit_at_its_edges(name: str, right: list, wrong: list) -> None:
    for value in right:
        assert getattr(msgspec.convert({name: value}, Limits), name) == value
    for value in wrong:
        with pytest.raises(msgspec.ValidationError, match=name):
            msgspec.convert({name: value}, Limits)


def test_limits_are_by_name_and_stay() -> None:
    assert msgspec.convert({}, Limits) == Limits()
    assert msgspec.convert(msgspec.to_builtins(Limits()), Limits) == Limits()
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.convert({"colour": 1}, Limits)
    with pytest.raises(AttributeError):
        Limits().connections = 5


# --- a connection's language -------------------------------------------------------------------------------------


def test_json_lines_are_a_dialect() -> None:
    dialect: Dialect = JSONLines()
    received = dialect.receive(b'{"type": "ping"}\n{"type": "message", "content": "h')
    assert received == [Ping()]
    assert dialect.receive(b'i"}\r\n') == [SendMessage("hi")]
    assert dialect.encode(Pong(7)) == encode(Pong(7))
    assert JSONLines.encode is encode, "no call of Python between"


def test_a_blank_line_is_ignored_and_a_bad_one_is_an_error_in_its_place() -> None:
    received = JSONLines().receive(
        b'\n \t\n\r\n{"type": "ping"}\nx\n{"type": "pong"}\n'
    )
    assert [type(each) for each in received] == [Ping, Error, Pong]
    assert received[1].code == "bad_json"


def test_a_line_that_is_too_long_is_one_error_and_the_next_one_is_read() -> None:
    dialect = JSONLines(limit=20)
    assert dialect.receive(b'{"type": "ping", "id": "') == [
        Error("too_long", "a line may have 20 bytes")
    ]
    assert dialect.receive(b"x" * 1000) == []
    assert dialect.receive(b'"}\n{"type": "ping"}\n') == [Ping()]
    full = b'{"type": "message", "content": "' + b"x" * (MAX_LINE - 34) + b'"}'
    assert len(full) == MAX_LINE
    assert [each.code for each in JSONLines().receive(full + b"\n")] == ["too_long"]
    assert [each.content for each in JSONLines().receive(b" " + full + b"\n")] == [
        f"a line may have {MAX_LINE} bytes"
    ]


@pytest.mark.slow
@given(st.lists(st.sampled_from(COMMANDS), max_size=8), st.data())
def test_however_the_bytes_arrive_the_commands_are_the_same(
    commands: list, data: st.DataObject
) -> None:
    stream, dialect, received = b"".join(map(encode, commands)), JSONLines(), []
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        received += dialect.receive(stream[:count])
        stream = stream[count:]
    assert received == commands


WHOLE = {
    b'{"type": "history", "limit": 5.0, "before": 7.0}': GetHistory(before=7, limit=5),
    b'{"type": "history", "after": 0.0, "limit": 1e1}': GetHistory(after=0, limit=10),
    b'{"type": "join", "username": "ann", "since": 0.0}': Join("ann", since=0),
    b'{"type": "ping", "id": -1.0}': Ping(-1),
    b'{"type": "ping", "id": 9007199254740991.0}': Ping(MOST),
    b'{"type": "users", "room": "dev", "after": "5.0"}': ListUsers("dev", "5.0"),
}


@pytest.mark.parametrize("line", WHOLE, ids=range(len(WHOLE)))
def test_a_number_without_a_fraction_is_an_integer(line: bytes) -> None:
    assert decode(line) == WHOLE[line]
    assert type(getattr(decode(line), "id", 0) or 0) is int


@pytest.mark.parametrize(
    "number", ["1.5", "9007199254740992", "9007199254740992.0", "-9007199254740992", "1e300", "1e999"]
)  # fmt: skip
def test_a_number_that_not_everybody_can_keep_is_refused(number: str) -> None:
    error = decode(b'{"type": "ping", "id": %b}' % number.encode())
    assert isinstance(error, Error) and "2**53" in error.content


def test_a_number_without_a_fraction_is_not_what_is_wrong_with_a_line() -> None:
    empty = decode(b'{"type": "message", "content": "", "id": 7.0}')
    assert isinstance(empty, Error) and (empty.id, "content" in empty.content) == (
        7,
        True,
    )
    large = decode(b'{"type": "history", "limit": 5.0, "id": 9007199254740993}')
    assert isinstance(large, Error) and large.content.startswith("`id`")


def test_many_lines_are_decoded_when_they_are_looked_at() -> None:
    lines = JSONLines().receive(b'{"type": "ping"}\n' * 1000)
    assert not isinstance(lines, list) and list(lines) == [Ping()] * 1000


def test_what_another_protocol_begins_with() -> None:
    [error] = JSONLines().receive(b"\x16\x03\x01\x02")
    assert (error.code, error.content) == ("wrong_protocol", "tls"), "without a newline"
    dialect = JSONLines()
    assert list(dialect.receive(b"GE")) == []
    [error] = dialect.receive(b"T / HTTP/1.1\r\n{}\n")
    assert error.content == "http"
    [first, second] = JSONLines().receive(b"hello\nGET / HTTP/1.1\n")
    assert (first.code, second.code) == ("bad_json", "bad_json"), "only the first line"


# --- for other languages -----------------------------------------------------------------------------------------


def parts() -> dict[str, Draft202012Validator]:
    """What checks a command, an event, and a line of either kind."""
    whole = schema()
    Draft202012Validator.check_schema(whole)
    return {
        part: Draft202012Validator({**whole, "anyOf": [{"$ref": f"#/$defs/{part}"}]})
        for part in ("command", "event")
    } | {"line": Draft202012Validator(whole)}


@pytest.mark.slow
def test_the_schema_takes_all_that_we_say() -> None:
    checks = parts()
    for part, messages in (("command", COMMANDS), ("event", EVENTS)):
        for one in messages:
            checks[part].validate(json.loads(encode(one)))
            checks["line"].validate(json.loads(encode(one)))


@pytest.mark.slow
def test_the_schema_refuses_what_decode_refuses_by_its_form() -> None:
    check, refused = parts()["command"], 0
    for line, code, _ in MALFORMED:
        if (
            code in ("bad_message", "unknown_type", "bad_name", "bad_room", "too_long")
            and b"\\u001b" not in line
            and b"e400" not in line
            and len(line) < 20_000
        ):
            refused += 1
            assert not check.is_valid(
                json.loads(line)
                if b"9" * 5000 not in line
                else {"type": "ping", "id": 10**30}
            ), line
    assert refused > 80


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(schema())) == schema()
    assert {each["$ref"] for each in schema()["$defs"]["command"]["anyOf"]} == {
        f"#/$defs/{command.__name__}" for command in get_args(Command)
    }
    assert {each["$ref"] for each in schema()["$defs"]["event"]["anyOf"]} == {
        f"#/$defs/{event.__name__}" for event in get_args(Event)
    }


def test_what_could_not_be_explained_is_still_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the decoder and the explanation ever disagree."""
    monkeypatch.setattr("python_tcp.protocol._fits", lambda raw, wanted: True)
    assert decode(message(content=5, id=7)) == Error("bad_message", "not understood", 7)


def test_each_other_protocol_is_answered_as_its_programs_expect() -> None:
    assert OTHERS["http"].startswith(b"HTTP/1.1 400 ")  # RFC 9112, section 4
    assert OTHERS["http"].endswith(b"\r\nConnection: close\r\n\r\n")
    kind, major, _, *length, level, why = OTHERS["tls"]  # RFC 8446, sections 5.1 and 6
    assert (kind, major, length, level, why) == (21, 3, [0, 2], 2, 40)
    assert OTHERS["smtp"].startswith(b"554 ")  # RFC 5321, section 3.1
    assert not OTHERS["ssh"].startswith(
        b"SSH-"
    )  # RFC 4253, section 4.2: other lines first
    assert all(OTHERS[name].endswith(b"\r\n") for name in ("http", "smtp", "ssh"))


BLANK = [b"\r\n", b"\n \t\n", b" ", b"\r\n" * 5000]
GREETINGS = {"http": b"POST / HTTP/1.1\r\n", "tls": b"\x16\x03\x01\2\0", "ssh": b"SSH-2.0-x\r\n", "smtp": b"EHLO me\r\n"}  # fmt: skip


@pytest.mark.parametrize("step", [1, 3, 100_000])
@pytest.mark.parametrize("blank", BLANK, ids=["crlf", "blanks", "space", "many"])
@pytest.mark.parametrize("name", GREETINGS)
def test_another_protocol_is_known_after_blank_lines_and_in_pieces(
    name: str, blank: bytes, step: int
) -> None:
    """RFC 9112, section 2.2: an empty line may stand before a request."""
    dialect, data = JSONLines(), blank + GREETINGS[name]
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    heard = next(filter(None, (list(dialect.receive(part)) for part in parts)))
    assert heard == [Error("wrong_protocol", name)]


def test_only_the_first_words_tell_another_protocol() -> None:
    """A chunk may begin anywhere in a line, and a later line may be anything."""
    said, dialect = b'{"type":"message","content":"GET / HTTP/1.1"}\n', JSONLines()
    place = said.index(b"GET")
    heard = [dialect.receive(part) for part in (said[:place], said[place:])]
    assert heard == [[], [SendMessage("GET / HTTP/1.1")]]
    assert [each.code for each in dialect.receive(b"EHLO me\n")] == ["bad_json"]


@pytest.mark.parametrize("blank", [b"", *BLANK[:2]])
def test_a_mark_may_stand_before_the_first_line_that_is_not_blank(blank: bytes) -> None:
    said = b'{"type":"message","content":"hi"}\n'
    assert JSONLines().receive(blank + b"\xef\xbb\xbf" + said) == [SendMessage("hi")]
    dialect = JSONLines()
    assert dialect.receive(said) == [SendMessage("hi")]
    [error] = dialect.receive(b"\xef\xbb\xbf" + said)
    assert error.code == "bad_json", "only there"
