"""`python_tcp.protocol`: what is said arrives as it was said, and what is wrong with a line is said in one typed error."""
import json
import re
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.protocol import (
    FORBIDDEN, MAX_LINE, AskRooms, AskUsers, Command, Error, Event, Goodbye, Join, Joined, Leave, Left, Message, Ok, Ping, Pong,
    RoomList, RoomSize, Say, SetStatus, StatusChanged, UserList, Welcome, Whisper, Whispered, decode, decode_event, encode,
)

COMMANDS = [
    Join("ann"), Join("Ann_2.-", "Lobby.x_-"), Say("hi"), Say("grüße 👋\n\ttab", "lobby", 7), Say("x", id="a"), Say("x", id=0), Say("x", id=""),
    Say("x", id=-(2**53)), Whisper("bob", "psst"), Whisper("bob", "psst", 2**53), AskUsers(), AskUsers("dev"), AskRooms(), SetStatus("away"), Leave(), Leave("dev"),
    Ping(), Ping("x"), Pong(), Pong(1),
]  # fmt: skip
EVENTS = [
    Welcome("ann", "lobby", "Welcome!", 3, limits={"line": 16384}), Joined("lobby", "ann", 1.5), Left("lobby", "ann", 1.5), Message("lobby", 1, "ann", "hi\n👋", 1.5),
    Whispered("ann", "bob", "psst", 1.5), UserList("lobby", ["ann", "bob"]), UserList("lobby", []), RoomList([]), RoomList([RoomSize("lobby", 2)]),
    StatusChanged("ann", "away", 1.5), Ok(7), Ok("a", 12), Error("bad_json", "no"), Error("not_joined", "no", "a"), Goodbye("left", "Bye.", False), Ping(3), Pong("x"),
]  # fmt: skip


def named(messages: list) -> list:
    return [pytest.param(message, id=f"{number}-{type(message).__name__}") for number, message in enumerate(messages)]


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
    assert json.loads(encode(Say("hi", "dev", 7))) == {"type": "message", "content": "hi", "room": "dev", "id": 7}
    assert json.loads(encode(Join("ann"))) == {"type": "join", "username": "ann"}
    assert json.loads(encode(Error("not_joined", "join first"))) == {"type": "error", "code": "not_joined", "content": "join first"}


@pytest.mark.parametrize(("line", "command"), [
    (b'{"type": "join", "username": "ann"}', Join("ann", "lobby")),
    (b' {"username" : "ann" , "type":"join"}\t', Join("ann")),
    (b'{"type": "message", "content": "hi", "username": "bob", "timestamp": 0, "seq": 99}', Say("hi")),  # what a client claims is ignored
    (b'{"type": "ping", "future": {"deep": [1, null, "x"]}}', Ping()),
    (b'{"type": "p\\u0069ng"}', Ping()),
    (b'{"type": "message", "content": "\\ud83d\\udc4b"}', Say("👋")),
    (b'{"type": "message", "content": "hi", "room": null, "id": null}', Say("hi")),
    (b'{"type": "ping", "since": ' + b"9" * 5000 + b"}", Ping()),
])  # fmt: skip
def test_a_line_may_be_written_in_many_ways(line: bytes, command: Command) -> None:
    assert decode(line) == command


def message(**fields: object) -> bytes:
    return json.dumps({"type": "message", "content": "hi", **fields}).encode()


def join(**fields: object) -> bytes:
    return json.dumps({"type": "join", "username": "ann", **fields}).encode()


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
    (b'{"type": "message", "content": "a\tb"}', "bad_json", ""),  # a raw control character in a JSON string
    (b'{"type": "message", "content": "\\ud800"}', "bad_json", ""),  # half a character: it could not be encoded again
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
    (b'{"type": "whisper", "to": "bob", "content": "' + b"x" * 4001 + b'"}', "too_long", "`content`"),
    (b'{"type": "status", "status": "' + b"x" * 81 + b'"}', "too_long", "`status`"),
]


@pytest.mark.parametrize(("line", "code", "says"), [pytest.param(*case, id=repr(case[0][:50])) for case in MALFORMED])
def test_what_is_wrong_with_a_line_is_said(line: bytes, code: str, says: str) -> None:
    error = decode(line)
    assert isinstance(error, Error) and error.code == code
    assert says in error.content and error.content.isprintable() and len(error.content) < 200


def test_at_the_limits_all_is_well() -> None:
    for command in (
        Join("n" * 32, "r" * 64), Say("x" * 4000), Say("👋" * 4000), Whisper("n" * 32, "ü" * 4000), SetStatus("s" * 80),
        Say("x", id="i" * 64), Ping("👋" * 64), Join("-"), Join("..."), Join("0"),
    ):  # fmt: skip
        assert decode(json.dumps(msgspec.to_builtins(command), ensure_ascii=False).encode()) == command


def test_the_longest_message_fits_into_a_line() -> None:
    assert len(encode(Say("👋" * 4000, "r" * 64))) <= MAX_LINE


CONTROLS = [*range(0x00, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]


@pytest.mark.parametrize("type, field", [("message", "content"), ("whisper", "content"), ("status", "status")])
def test_no_control_character_escape_or_bidirectional_override_passes(type: str, field: str) -> None:
    for code in CONTROLS:
        for text in (chr(code), f"before {chr(code)}[2J after"):
            decoded = decode(json.dumps({"type": type, "to": "bob", field: text}).encode())
            if chr(code) in "\t\n":
                assert not isinstance(decoded, Error), f"U+{code:04X}"
            else:
                assert isinstance(decoded, Error) and decoded.code == "bad_message", f"U+{code:04X}"
                assert f"`{field}`" in decoded.content and f"U+{code:04X}" in decoded.content


@pytest.mark.parametrize("text", ["Grüße", "👋🏽", "日本語", "שלום", "a\u00a0b", "e\u0301", "👩\u200d💻", "\U0010ffff"])
def test_what_people_write_passes(text: str) -> None:
    assert decode(json.dumps({"type": "message", "content": text}).encode()) == Say(text)


@pytest.mark.parametrize("line", [
    message(content="\x1b", id=7), message(content="x" * 4001, id=7), message(content=5, id=7), message(content="", id=7), message(room="a/b", id=7),
    b'{"type": "message", "id": 7}', b'{"type": "whisper", "to": "b b", "content": "x", "id": 7}',
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
        assert not FORBIDDEN.search(getattr(decoded, "content", "") + getattr(decoded, "status", ""))


@given(st.binary(max_size=100))
def test_any_bytes_give_a_command_or_an_error(line: bytes) -> None:
    check(line)


LOOKS_RIGHT = ["join", "message", "whisper", "users", "rooms", "status", "leave", "ping", "pong", "history", "error"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9) | st.sampled_from(["ann", "x" * 70, "y" * 4001, "\x1b[2J"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)
NEAR_MISSES = st.fixed_dictionaries(
    {"type": st.sampled_from(LOOKS_RIGHT) | VALUES},
    optional={name: st.sampled_from(["ann", "dev", "hi", 7]) | VALUES for name in ("username", "room", "content", "to", "status", "id", "since")},
)


@given(NEAR_MISSES, st.booleans())
def test_json_that_is_nearly_right_gives_a_command_or_an_error(fields: dict, ascii_only: bool) -> None:
    check(json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(st.sampled_from(COMMANDS).map(encode), st.data())
def test_a_command_with_a_byte_changed_gives_a_command_or_an_error(line: bytes, data: st.DataObject) -> None:
    damaged = bytearray(line[:-1])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(damaged))
    check(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


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
    assert decode(b'{"type": "message", "content": "\\ud83d\\ude00"}') == Say("\N{GRINNING FACE}")
