"""Whatever comes over the wire: the right word for it, the server goes on, and nobody else notices."""

import itertools
import json
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from helpers import LineClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.protocol import OTHERS, MAX_LINE, UNSAFE, GetHistory, Limits
from python_tcp.protocol import decode_event

ROOT = Path(__file__).resolve().parent.parent
HOME = "where-the-honest-are"


class Honest:
    """Two who chat, and hear nobody but themselves."""

    def __init__(self, port: int) -> None:
        self.one, self.two = (
            LineClient(port).join("honest-1", HOME),
            LineClient(port).join("honest-2", HOME),
        )
        assert self.one.read()["type"] == "join"
        self.numbers = itertools.count(1)

    def go_on(self) -> None:
        """Each says something, and the next thing that both hear is that."""
        for speaker in (self.one, self.two):
            text = f"text {next(self.numbers)}"
            speaker.say("message", content=text)
            assert [
                hearer.read().get("content") for hearer in (self.one, self.two)
            ] == [text, text]

    def ping(self) -> None:
        number = next(self.numbers)
        self.one.say("ping", id=number)
        assert self.one.read() == {"type": "pong", "id": number}


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(
        limits=Limits(
            flood_burst=0,
            connections_per_address=0,
            join_timeout=600.0,
            ping_after=600.0,
        )
    ) as server:
        yield server


@pytest.fixture(scope="module")
def honest(server: ChatServer) -> Iterator[Honest]:
    honest = Honest(server.port)
    with honest.one, honest.two:
        yield honest


# --- malformed lines, by name ------------------------------------------------------------------------------------


def line(type: str, **fields: object) -> bytes:
    return json.dumps({"type": type, **fields}).encode()


MALFORMED = {
    # no JSON
    "a word": (b"hello", "bad_json"),
    "an HTTP request": (b"GET / HTTP/1.1", "bad_json"),
    "an IRC command": (b"NICK ann", "bad_json"),
    "an SSH greeting": (b"SSH-2.0-OpenSSH_9.6", "bad_json"),
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(128, 160)), "bad_utf8"),
    "one zero": (b"\0", "bad_json"),
    "many zeros": (bytes(1000), "bad_json"),
    "only a brace": (b"{", "bad_json"),
    "only a closing brace": (b"}", "bad_json"),
    "an object that does not end": (b'{"type": "ping"', "bad_json"),
    "a text that does not end": (b'{"type": "ping', "bad_json"),
    "two objects in a line": (b'{"type": "ping"}{"type": "ping"}', "bad_json"),
    "something behind the object": (b'{"type": "ping"} x', "bad_json"),
    "a comma too many": (b'{"type": "ping",}', "bad_json"),
    "a colon missing": (b'{"type" "ping"}', "bad_json"),
    "single quotes": (b"{'type': 'ping'}", "bad_json"),
    "no quotes": (b"{type: ping}", "bad_json"),
    "a comment": (b'{"type": "ping"} // hello', "bad_json"),
    "NaN": (b'{"type": "ping", "id": NaN}', "bad_json"),
    "Infinity": (b'{"type": "ping", "x": -Infinity}', "bad_json"),
    "a number with a zero before it": (b'{"type": "ping", "id": 007}', "bad_json"),
    "a number in hexadecimal": (b'{"type": "ping", "id": 0x7}', "bad_json"),
    "an unknown escape": (b'{"type": "ping", "x": "\\x41"}', "bad_json"),
    "half an escape": (b'{"type": "ping", "x": "\\u12"}', "bad_json"),
    "half of a surrogate pair": (b'{"type": "message", "content": "\\ud83d"}', "bad_json"),
    "the other half": (b'{"type": "message", "content": "\\ude00"}', "bad_json"),
    "a pair the wrong way round": (b'{"type": "message", "content": "\\ude00\\ud83d"}', "bad_json"),
    "a raw tab in a text": (b'{"type": "message", "content": "a\tb"}', "bad_json"),
    "a raw escape character": (b'{"type": "message", "content": "\x1b[2J"}', "bad_json"),
    "a carriage return in the middle": (b'{"type": \r"ping"}\r{', "bad_json"),
    "a byte order mark": (b'\xef\xbb\xbf{"type": "ping"}', "bad_json"),
    "UTF-16": ('{"type": "ping"}'.encode("utf-16-be"), "bad_json"),
    "deep nesting": (b'{"type": "ping", "x": ' + b"[" * 16_000, "bad_json"),
    "deep nesting that does not end": (b'{"x":' * 2700, "bad_json"),
    # no UTF-8
    "no UTF-8 at all": (b"\xff\xfe\xfd", "bad_utf8"),
    "Latin-1": ('{"type": "message", "content": "grüße"}'.encode("latin-1"), "bad_utf8"),
    "half a character": (b'{"type": "message", "content": "\xf0\x9f\x98"}', "bad_utf8"),
    "an overlong slash": (b'{"type": "message", "content": "\xc0\xaf"}', "bad_utf8"),
    "a surrogate in UTF-8": (b'{"type": "message", "content": "\xed\xa0\xbd"}', "bad_utf8"),
    "beyond Unicode": (b'{"type": "message", "content": "\xf4\x90\x80\x80"}', "bad_utf8"),
    "no UTF-8 in a field that nobody reads": (b'{"type": "ping", "x": "\xff"}', "bad_utf8"),
    # no object, no type
    "a list": (b'["ping"]', "bad_message"),
    "a text": (b'"ping"', "bad_message"),
    "a number": (b"42", "bad_message"),
    "null": (b"null", "bad_message"),
    "an empty object": (b"{}", "bad_message"),
    "a type in capitals": (b'{"TYPE": "ping"}', "bad_message"),
    "a number as type": (b'{"type": 1}', "bad_message"),
    "a list as type": (b'{"type": ["ping"]}', "bad_message"),
    "an unknown type": (b'{"type": "dance"}', "unknown_type"),
    "an empty type": (b'{"type": ""}', "unknown_type"),
    "the type of an event": (b'{"type": "welcome", "username": "ann"}', "unknown_type"),
    "a type with an escape sequence": (b'{"type": "\\u001b[2J"}', "unknown_type"),
    "a very long type": (line("x" * 9000), "unknown_type"),
    # fields
    "a message without text": (line("message"), "bad_message"),
    "an empty text": (line("message", content=""), "bad_message"),
    "a number as text": (line("message", content=5), "bad_message"),
    "a list as text": (line("message", content=["x"]), "bad_message"),
    "a text with an escape sequence": (line("message", content="\x1b]0;you\x07"), "bad_message"),
    "a text with a bell": (line("message", content="\a"), "bad_message"),
    "a text with a carriage return": (line("message", content="good\rbad"), "bad_message"),
    "a text that is turned round": (line("message", content="\u202egnp.exe"), "bad_message"),
    "a text with an embedding": (line("message", content="\u202ax"), "bad_message"),
    "a text that ends what nobody began": (line("message", content="\u202cx"), "bad_message"),
    "a text with a line separator": (line("message", content="a\u2028b"), "bad_message"),
    "a text with a C1 control": (line("message", content="\x9b2J"), "bad_message"),
    "a text of 4001": (line("message", content="x" * 4001), "too_long"),
    "a whisper of 4001": (line("whisper", to="ann", content="x" * 4001), "too_long"),
    "a status of 81": (line("status", status="x" * 81), "too_long"),
    "a status of two lines": (line("status", status="a\nb"), "bad_message"),
    "a status with a tab": (line("status", status="a\tb"), "bad_message"),
    "an empty status": (line("status", status=""), "bad_message"),
    "a whisper to nobody": (line("whisper", content="x"), "bad_message"),
    "a join without a name": (line("join"), "bad_message"),
    "null as name": (line("join", username=None), "bad_message"),
    "an object as name": (line("join", username={"name": "ann"}), "bad_message"),
    "an empty name": (line("join", username=""), "bad_name"),
    "a name with a space": (line("join", username="ann smith"), "bad_name"),
    "a name with a newline": (line("join", username="ann\n"), "bad_name"),
    "a name with a zero": (line("join", username="ann\0"), "bad_name"),
    "a name with an escape sequence": (line("join", username="\x1b[31mann"), "bad_name"),
    "a name in Cyrillic": (line("join", username="аnn"), "bad_name"),
    "a name with a zero-width joiner": (line("join", username="a\u200dnn"), "bad_name"),
    "a name of 33": (line("join", username="a" * 33), "bad_name"),
    "a whisper to a name with a slash": (line("whisper", to="/ann", content="x"), "bad_name"),
    "a room with a hash": (line("join", username="ann", room="#dev"), "bad_room"),
    "a room of 65": (line("join", username="ann", room="r" * 65), "bad_room"),
    "an empty room": (line("users", room=""), "bad_room"),
    "a path as room": (line("history", room="../../etc/passwd"), "bad_room"),
    "a number as room": (line("leave", room=5), "bad_message"),
    "a huge id": (b'{"type": "ping", "id": ' + b"9" * 5000 + b"}", "bad_message"),
    "an id with a fraction": (line("ping", id=1.5), "bad_message"),
    "an id of 65": (line("ping", id="x" * 65), "bad_message"),
    "true as id": (line("ping", id=True), "bad_message"),
    "since before the beginning": (line("join", username="ann", since=-1), "bad_message"),
    "since as text": (line("join", username="ann", since="7"), "bad_message"),
    "a short token": (line("join", username="ann", token="short"), "bad_message"),
    "a token with a quote": (line("join", username="ann", token="'" * 20), "bad_message"),
    "a page of nothing": (line("history", limit=0), "bad_message"),
    "a page of everything": (line("history", limit=10**9), "bad_message"),
    "before as a list": (line("history", before=[1]), "bad_message"),
    # a whole line
    "a line of 16 KiB and one": (b"x" * (MAX_LINE + 1), "too_long"),
    "a good line of 16 KiB and one": (line("ping", x="").replace(b'""', b'"' + b"x" * (MAX_LINE - 25) + b'"') + b" ", "too_long"),
    "a line of a megabyte": (b"x" * 1_000_000, "too_long"),
    "a line of zeros": (bytes(100_000), "too_long"),
}  # fmt: skip


def test_the_corpus_is_worth_its_name() -> None:
    assert len(MALFORMED) >= 60
    assert {code for _, code in MALFORMED.values()} == {
        "bad_json",
        "bad_utf8",
        "bad_message",
        "unknown_type",
        "too_long",
        "bad_name",
        "bad_room",
    }
    assert len(MALFORMED["a good line of 16 KiB and one"][0]) == MAX_LINE + 1


@pytest.mark.parametrize(("data", "code"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_line_gets_its_code_and_nobody_else_notices(
    server: ChatServer,
    honest: Honest,
    caplog: pytest.LogCaptureFixture,
    data: bytes,
    code: str,
) -> None:
    caplog.set_level("WARNING")
    with LineClient(server.port) as stranger:
        stranger.say("ping")  # the first words say which protocol it is
        assert stranger.read() == {"type": "pong"}
        stranger.send(data[: len(data) // 2])
        honest.go_on()
        stranger.send(data[len(data) // 2 :] + b'\r\n{"type": "ping", "id": 7}\n')
        error = stranger.read()
        assert (
            (error["type"], error["code"]) == ("error", code)
            and error["content"]
            and is_clean(error)
        )
        assert stranger.read() == {"type": "pong", "id": 7}
        honest.go_on()
    assert not caplog.records


def test_a_good_line_of_16_kib_is_not_too_long(server: ChatServer) -> None:
    with LineClient(server.port) as client:
        for end in (b"\n", b"\r\n"):
            client.send(MALFORMED["a good line of 16 KiB and one"][0][:-1] + end)
            assert client.read() == {"type": "pong"}


def test_blank_lines_are_nothing(server: ChatServer) -> None:
    with LineClient(server.port) as client:
        client.send(b"\n\r\n   \n\t\n\n" * 20 + b'{"type": "ping"}\n')
        assert client.read() == {"type": "pong"}


# --- every code of the table, provoked ---------------------------------------------------------------------------


def answer(
    client: LineClient, data: bytes | None = None, type: str = "error", **fields: object
) -> dict:
    """The next error or goodbye."""
    if data is not None:
        client.send(data + b"\n")
    return client.read_until(type, **fields)


def ann_says(server: ChatServer, command: bytes, joins: bool = True) -> dict:
    with LineClient(server.port) as ann, LineClient(server.port) as bob:
        bob.join("bob")
        if joins:
            ann.join("ann")
        return answer(ann, command)


def too_fast(server: ChatServer) -> dict:
    with LineClient(server.port) as ann:
        ann.send(line("ping") + b"\n" + line("ping", id=7) + b"\n")
        error = answer(ann)
        assert error["id"] == 7 and 0 < error["retry_after"] <= 10
        return error


def without_paper(server: ChatServer) -> dict:
    """The disk is full, and later not any more."""
    with (
        LineClient(server.port).join("ann") as ann,
        LineClient(server.port).join("bob") as bob,
    ):
        on_the_loop(
            server,
            lambda: server._rules.rooms.store._writer._db.execute(
                "PRAGMA max_page_count = 1"
            ),
        )
        for number in range(100):
            ann.say("message", content="x" * 4000, id=number)
            if (
                event := next(
                    event
                    for event in iter(ann.read, None)
                    if event["type"] in ("ok", "error")
                )
            )["type"] == "error":
                break
        assert (event["id"], event["retry_after"]) == (number, 1.0)
        on_the_loop(
            server,
            lambda: server._rules.rooms.store._writer._db.execute(
                "PRAGMA max_page_count = 1000000"
            ),
        )
        ann.say("message", content="x" * 4000, id=number)
        assert ann.read_until("ok")["seq"] == number + 1
        bob.say("ping")
        seen = list(iter(bob.read, {"type": "pong"}))
        assert [event["seq"] for event in seen] == list(range(1, number + 2)), (
            "bob has heard what was saved and nothing else"
        )
    return event


def without_history(server: ChatServer) -> dict:
    with LineClient(server.port).join("ann") as ann:
        reader = server._rules.rooms.store._reader
        on_the_loop(server, lambda: reader._there.close())
        error = answer(ann, line("history", id="h"))
        assert error["id"] == "h"
        ann.say("ping")
        assert ann.read() == {"type": "pong"}
        return error


def whispers_in_vain(server: ChatServer) -> dict:
    with LineClient(server.port).join("ann") as ann:
        LineClient(server.port).join("bob").close()
        ann.read_until("join", username="bob")
        wait_until(lambda: server.connections == 1)
        return answer(ann, line("whisper", to="bob", content="psst", id=1))


def on_the_loop(server: ChatServer, action: Callable[[], object]) -> None:
    done = threading.Event()
    server._server.loop.call_threadsafe(lambda: (action(), done.set()))
    assert done.wait(60)


def last_words(client: LineClient) -> dict:
    """All that comes until the connection ends."""
    with client:
        return client.read_all()[-1]


def leaves(server: ChatServer) -> dict:
    ann = LineClient(server.port).join("ann")
    ann.say("leave")
    return last_words(ann)


def closes(server: ChatServer) -> dict:
    ann = LineClient(server.port).join("ann")
    server.stop()
    return last_words(ann)


def one_too_many(server: ChatServer) -> dict:
    with LineClient(server.port).join("ann"):
        return last_words(LineClient(server.port))


def never_reads(server: ChatServer) -> dict:
    with LineClient(server.port).join("ann") as ann:
        slow = LineClient(server.port).join("slow")
        ann.read_until("join")
        while True:
            ann.say("message", content="x" * 4000)
            if ann.read()["type"] == "leave":
                return last_words(slow)


def says_nothing(server: ChatServer) -> dict:
    return last_words(LineClient(server.port))


def does_not_answer(server: ChatServer) -> dict:
    ann = LineClient(server.port).join("ann")
    with ann:
        events = ann.read_all()
    assert [event["type"] for event in events] == ["ping", "goodbye"]
    return events[-1]


def comes_again(server: ChatServer) -> dict:
    ann = LineClient(server.port)
    ann.say("join", username="ann")
    with LineClient(server.port) as again:
        again.say("join", username="ann", token=ann.read()["token"])
        assert again.read()["type"] == "welcome"
        return last_words(ann)


def talks_nonsense(server: ChatServer) -> dict:
    ann = LineClient(server.port).join("ann")
    ann.send(b"nonsense\n" * 10)
    return last_words(ann)


def goes_on_and_on(server: ChatServer) -> dict:
    ann = LineClient(server.port).join("ann")
    ann.send((line("ping") + b"\n") * 5)
    return last_words(ann)


def finds_a_bug(server: ChatServer) -> dict:
    server._rules.rooms.rules[GetHistory] = lambda user, command, now: 1 / 0
    return ann_says(server, line("history"))


def comes_by_a_proxy(server: ChatServer) -> dict:
    client = LineClient(server.port)
    client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 8000\r\n")
    return last_words(client)


HISTORY = "history"  # the server has a file
ERRORS = {
    "bad_json": ({}, lambda server: ann_says(server, b"{")),
    "bad_utf8": ({}, lambda server: ann_says(server, b"\xff")),
    "bad_message": ({}, lambda server: ann_says(server, b"{}")),
    "bad_message of both directions": (
        {},
        lambda server: ann_says(server, line("history", before=1, after=1)),
    ),
    "unknown_type": ({}, lambda server: ann_says(server, line("dance"))),
    "too_long": (
        {},
        lambda server: ann_says(server, line("message", content="x" * 4001)),
    ),
    "bad_name": (
        {},
        lambda server: ann_says(server, line("join", username="a b"), joins=False),
    ),
    "bad_room": (
        {},
        lambda server: ann_says(
            server, line("join", username="ann", room="#dev"), joins=False
        ),
    ),
    "bad_room of one too many": (
        {"rooms_per_client": 1},
        lambda server: ann_says(server, line("join", username="ann", room="dev")),
    ),
    "not_joined": (
        {},
        lambda server: ann_says(server, line("message", content="hi"), joins=False),
    ),
    "not_joined here": (
        {},
        lambda server: ann_says(server, line("message", content="hi", room="dev")),
    ),
    "already_joined": (
        {},
        lambda server: ann_says(server, line("join", username="ann")),
    ),
    "already_joined with another name": (
        {},
        lambda server: ann_says(server, line("join", username="cy", room="dev")),
    ),
    "out_of_order": (
        {},
        lambda server: ann_says(server, line("message", content="b", id=2, follows=1)),
    ),
    "name_taken": (
        {},
        lambda server: ann_says(server, line("join", username="BOB"), joins=False),
    ),
    "no_such_user": (
        {},
        lambda server: ann_says(server, line("whisper", to="cy", content="psst")),
    ),
    "rate_limited": ({"flood_burst": 1, "flood_rate": 0.1}, too_fast),
    "not_saved": ({HISTORY: True, "flood_burst": 0}, without_paper),
    "no_history": ({HISTORY: True}, without_history),
    "server_error": ({}, finds_a_bug),
    "not_delivered": ({"resume_window": 0.2}, whispers_in_vain),
}
GOODBYES = {
    "left": ({}, leaves),
    "server_closing": ({}, closes),
    "server_full": ({"connections": 1}, one_too_many),
    "too_many_connections": ({"connections_per_address": 1}, one_too_many),
    "slow_consumer": (
        {"output_bytes": 100_000, "flood_burst": 0, "resume_window": 0},
        never_reads,
    ),
    "idle": ({"join_timeout": 0.1}, says_nothing),
    "idle after joining": ({"ping_after": 0.1, "ping_timeout": 0.1}, does_not_answer),
    "replaced": ({}, comes_again),
    "bad_message": ({}, talks_nonsense),
    "wrong_protocol": ({}, comes_by_a_proxy),
    "rate_limited": (
        {"flood_burst": 1, "flood_excess": 2, "flood_rate": 0.001},
        goes_on_and_on,
    ),
}
COMES_BACK = {
    "server_closing",
    "server_full",
    "too_many_connections",
    "slow_consumer",
    "idle",
    "rate_limited",
}


@pytest.mark.parametrize(
    ("name", "type"),
    [*((name, "error") for name in ERRORS), *((name, "goodbye") for name in GOODBYES)],
)
def test_every_code_can_be_provoked(tmp_path: Path, name: str, type: str) -> None:
    options, provoke = (ERRORS if type == "error" else GOODBYES)[name]
    limits = {key: value for key, value in options.items() if key != HISTORY}
    with ChatServer(
        limits=Limits(**limits),
        history=tmp_path / "history" if HISTORY in options else None,
    ) as server:
        event = provoke(server)
    code = name.split()[0]
    assert (
        (event["type"], event["code"]) == (type, code)
        and event["content"]
        and is_clean(event)
    )
    if type == "goodbye":
        assert event["reconnect"] is (code in COMES_BACK) is ("retry_after" in event)


# Those of accounts, moderation and files are provoked in test_logins, test_accounts, test_moderation and test_files.
LAST_WORDS = {"logged_out", "account_deleted", "password_changed", "banned"}
ELSEWHERE = LAST_WORDS | {
    "name_registered", "login_needed", "bad_login", "not_logged_in", "weak_password",
    "insecure", "too_many_guesses", "busy", "too_many_sessions", "no_accounts", "registration_closed",
    "no_account", "not_allowed", "muted", "locked", "not_locked", "room_registered",
    "no_such_ban", "no_such_message", "bad_target", "too_many",
    "no_files", "bad_file_name", "file_too_large", "too_many_files", "disk_full",
}  # fmt: skip


def test_the_table_of_the_chapter_has_every_code_and_no_other() -> None:
    cells = nbformat.read(ROOT / "nbs" / "019_protocol.ipynb", as_version=4).cells
    [table] = [cell.source for cell in cells if "| code | when |" in cell.source]
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    said = {code for codes, _ in rows for code in re.findall("`([a-z0-9_]+)`", codes)}
    here = {name.split()[0] for name in (*ERRORS, *GOODBYES)}
    assert said == here | ELSEWHERE
    for code in ELSEWHERE:
        tests = (path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
        assert sum(f'"{code}"' in text for text in tests) >= 2, code
    last = {
        code
        for codes, when in rows
        if "goodbye" in when
        for code in re.findall("`([a-z0-9_]+)`", codes)
    }
    assert last == {name.split()[0] for name in GOODBYES} | LAST_WORDS


# --- fuzzing -----------------------------------------------------------------------------------------------------

VALID = [
    line("join", username="mallory"), line("join", username="eve", room="dev", since=0, token="a-token_of-16-to-64", id=1), line("message", content="grüße 👋", id="x"),
    line("message", content="hi", room="dev"), line("whisper", to="mallory", content="psst", id=7), line("users"), line("users", room="dev"), line("rooms"),
    line("history"), line("history", room="dev", before=7, limit=3, id="h"), line("history", after=0), line("status", status="away"), line("leave", room="dev"),
    line("leave"), line("ping"), line("ping", id=3), line("pong"), '{"type": "message", "content": "日本語"}'.encode(),
]  # fmt: skip
INTERESTING = [
    b"\n",
    b"\0",
    b'"',
    b"\\",
    b"\xff",
    b"{",
    b"}",
    b"[" * 50,
    b"\\ud800",
    b"\\u001b",
    b"\\u202e",
    b"9" * 40,
    b"-",
    b"null",
    b"\r",
    b",",
    b"\xc3",
    b" " * 20,
]
NAMES = st.sampled_from(["mallory", "eve", "", "a b", "\x1b[2J", "x" * 40])
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | NAMES
    | st.lists(st.integers(), max_size=2)
)
RANDOM_JSON = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "join",
                "message",
                "whisper",
                "users",
                "rooms",
                "history",
                "status",
                "leave",
                "ping",
                "pong",
                "error",
                "",
            ]
        )
    },
    optional={
        name: VALUES
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
).map(lambda fields: json.dumps(fields).encode())


Change = tuple[int, int, int]  # where, how, and with what
CHANGES = st.tuples(st.integers(0, 200), st.integers(0, 3), st.integers(0, 255))


def changed(valid: bytes, changes: list[Change], put_in: list[bytes]) -> bytes:
    """With a few bytes changed, taken out, put in or repeated."""
    data = bytearray(valid)
    for place, how, what in changes:
        place %= len(data) + 1
        match how:
            case 0:
                data[place : place + 1] = bytes([what])
            case 1:
                del data[place : place + what % 8]
            case 2:
                data[place:place] = put_in[what % len(put_in)]
            case 3:
                data[place:place] = data[place : place + what % 30]
    return bytes(data)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid line with a few changes."""
    valid = draw(st.sampled_from(VALID))
    return changed(valid, draw(st.lists(CHANGES, max_size=3)), INTERESTING)


LINES = st.lists(
    mutated()
    | mutated()
    | st.sampled_from(VALID)
    | st.binary(max_size=30)
    | RANDOM_JSON,
    min_size=1,
    max_size=3,
).map(b"\n".join)


def texts(value: object) -> Iterator[tuple[str, str]]:
    """All texts in a piece of JSON, each with the name of the field that it stands in."""
    todo = [("", value)]
    while todo:
        name, value = todo.pop()
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict):
            todo += [
                pair
                for key, each in value.items()
                for pair in ((key, each), (name, key))
            ]
        elif isinstance(value, list):
            todo += [(name, each) for each in value]


def is_clean(event: dict) -> bool:
    """True if nothing in it can steer a terminal. Judged by Unicode's own tables, and not by our pattern."""
    for name, text in texts(
        {key: value for key, value in event.items() if key != "id"}
    ):
        for character in text:
            if (
                character.isascii()
                and character.isprintable()
                or character in "\t\n"
                and name == "content"
            ):
                continue
            # Isolates end with the line, and people who write Arabic or Hebrew need them.
            direction = unicodedata.bidirectional(character)
            steers = direction in {"LRE", "RLE", "LRO", "RLO", "PDF"}
            if steers or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
                return False
    return True


@settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(LINES, st.integers(0, 400), st.sampled_from(["\n", "", "finish", "reset"]))
def fuzz(server: ChatServer, honest: Honest, data: bytes, cut: int, end: str) -> None:
    client = LineClient(server.port)
    client.send(data[:cut])
    if cut < len(data):
        client.send(data[cut:])
    if end == "reset":
        client.reset()
    else:
        if end == "\n":
            client.send(b"\n")
        client.finish()
        with client:
            answers = list(iter(client.line, b""))
        for answer in answers if b"".join(answers) not in OTHERS.values() else []:
            assert (
                decode_event(answer) is not None
                and answer.endswith(b"\n")
                and is_clean(json.loads(answer))
            ), answer
    honest.ping()


@pytest.mark.slow(seconds=35)
def test_10_000_times_anything(
    server: ChatServer, honest: Honest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    fuzz(server, honest)
    honest.go_on()
    assert not caplog.records
    wait_until(lambda: server.users == ["honest-1", "honest-2"])
    for reader in (honest.one, honest.two):
        reader.say("users")
        assert reader.read() == {
            "type": "users",
            "room": HOME,
            "users": ["honest-1", "honest-2"],
        }


# --- nothing that steers a terminal leaves the server ------------------------------------------------------------

BAD = UNSAFE.findall("".join(map(chr, range(0x110000)))) + [
    "\t",
    "\n",
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\u061c",
    "\u200f",
    "\u200d",
    "\u2066",
    "\ud800",
]
FIELDS = [
    ("join", "username"), ("join", "room"), ("message", "content"), ("message", "room"), ("message", "id"), ("whisper", "to"), ("whisper", "content"), ("users", "room"),
    ("history", "room"), ("status", "status"), ("leave", "room"), ("join", "token"), ("type", "type"),
]  # fmt: skip


@pytest.fixture(scope="module")
def patient() -> Iterator[tuple[LineClient, LineClient]]:
    """A speaker whom the server forgives everything, and a listener who hears all that the speaker can make be heard."""
    with ChatServer(
        limits=Limits(
            flood_burst=0, connections_per_address=0, bad_lines=10**9, ping_after=600.0
        )
    ) as server:
        with (
            LineClient(server.port).join("listener") as listener,
            LineClient(server.port).join("speaker") as speaker,
        ):
            listener.read_until("join")
            yield speaker, listener


def all_that_is_heard(
    patient: tuple[LineClient, LineClient], type: str, field: str, text: str
) -> list[dict]:
    speaker, listener = patient
    fields = {
        "type": type,
        "username": "speaker",
        "room": "lobby",
        "to": "listener",
        "content": "x",
        "status": "online",
        field: text,
    }
    if type != "join" and field != "room":
        del fields["room"]
    events = []
    speaker.send(json.dumps(fields).encode() + b"\n" + line("ping", id="end") + b"\n")
    events += iter(speaker.read, {"type": "pong", "id": "end"})
    listener.say("users", room="lobby")
    listener.say("rooms")
    listener.say("ping", id="end")
    return events + list(iter(listener.read, {"type": "pong", "id": "end"}))


@pytest.mark.parametrize(("type", "field"), FIELDS)
def test_no_character_that_steers_a_terminal_ever_leaves_the_server(
    patient: tuple[LineClient, LineClient], type: str, field: str
) -> None:
    for bad in BAD:
        for text in (bad, f"a{bad}b"):
            for event in all_that_is_heard(patient, type, field, text):
                assert (
                    is_clean(event)
                    or field == "id"
                    and event["type"] in ("ok", "message")
                ), (event, text)


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.sampled_from(FIELDS),
    st.lists(st.sampled_from(BAD) | st.text(max_size=3), max_size=5).map("".join),
)
def test_no_text_that_steers_a_terminal_ever_leaves_the_server(
    patient: tuple[LineClient, LineClient], where: tuple[str, str], text: str
) -> None:
    for event in all_that_is_heard(patient, *where, text):
        assert is_clean(event), (event, text)


@pytest.mark.parametrize(
    "content",
    [
        "\u2067שלום\u2069!",
        "می\u200cخواهم",
        "क्\u200dष",
        "👩\u200d💻",
        "abc\u200e\u200f\u061c",
    ],
)
def test_what_people_need_to_write_their_language_arrives_as_it_was_sent(
    content: str,
) -> None:
    with (
        ChatServer() as server,
        LineClient(server.port).join("speaker") as speaker,
        LineClient(server.port).join("listener") as listener,
    ):
        both = speaker, listener
        events = all_that_is_heard(both, "message", "content", content)
    said = [event["content"] for event in events if event["type"] == "message"]
    assert said == [content, content]


def test_what_is_called_clean() -> None:
    for dirty in (
        {"room": "a\tb"},
        {"content": "\x1b"},
        {"users": ["\u202e"]},
        {"statuses": {"\a": "x"}},
        {"messages": [{"content": "\u202b"}]},
        {"code": "\x9b"},
    ):
        assert not is_clean(dirty)
    assert is_clean(
        {
            "content": "grüße 👩\u200d💻\n\t",
            "messages": [{"content": "a\nb"}],
            "id": "\x1b",
        }
    )
