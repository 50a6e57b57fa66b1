"""The dialect for people with telnet, and Budget Chat."""

import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogues import Dialogue, in_pieces, pieces
from helpers import LineClient
from hypothesis import given, settings
from hypothesis import strategies as st
from screen import Terminal
from sockets import reset
from waiting import wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Listener, Raw
from python_tcp.framing import FrameTooLong
from python_tcp.lines import BudgetChat, Lines, TelnetLines
from python_tcp.protocol import JSONLines, Limits, decode_event

ANN, BOB, CY, DAN = 1, 2, 3, 4
CLEAN = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\ufffe\uffff]*")


def fed(data: bytes, cuts: list[int] = []) -> tuple[list[str], bytes]:
    """The lines, and what was answered."""
    telnet, lines, answers = TelnetLines(100), [], b""
    for piece in pieces(data, cuts):
        for each in telnet.feed(piece):
            if isinstance(each, Raw):
                answers += each.data
            else:
                lines.append(each if isinstance(each, str) else "TOO LONG")
    return lines, answers


# --- what a terminal sends -----------------------------------------------------------------------------------------

LINES = {
    "LF": (b"a\nb\n", ["a", "b"]),
    "CR LF": (b"a\r\nb\r\n", ["a", "b"]),
    "CR NUL": (b"a\r\0b\r\0", ["a", "b"]),
    "CR": (b"a\rb\r", ["a", "b"]),
    "empty lines": (b"\n\r\n\r\r\0\n", ["", "", "", "", ""]),
    "CR CR LF": (b"a\r\r\nb\n", ["a", "", "b"]),
    "NUL alone": (b"a\0b\n", ["ab"]),
    "backspace": (b"ab\x08c\n", ["ac"]),
    "delete": ("grü\x7fö\n".encode(), ["grö"]),
    "a wide character": ("a😀\x7f\n".encode(), ["a"]),
    "too much of it": (b"ab\x7f\x7f\x7f\x7fc\n", ["c"]),
    "Ctrl-U": (b"nonsense\x15ok\n", ["ok"]),
    "no UTF-8": (b"\xe4\xf6\n", ["\ufffd\ufffd"]),
    "a tab": (b"a\tb\n", ["a\tb"]),
    "100 bytes": (b"x" * 100 + b"\n", ["x" * 100]),
    "101 bytes": (b"x" * 101 + b"\nok\n", ["TOO LONG", "ok"]),
}
TELNET = {
    "DO": (b"\xff\xfd\x01a\n", ["a"], b"\xff\xfc\x01"),
    "WILL": (b"a\xff\xfb\x18b\n", ["ab"], b"\xff\xfe\x18"),
    "WONT and DONT": (b"\xff\xfc\x01\xff\xfe\x01a\n", ["a"], b""),
    "many": (b"\xff\xfd\x01\xff\xfd\x03\xff\xfb\x1f", [], b"\xff\xfc\x01\xff\xfc\x03\xff\xfe\x1f"),
    "an option that is a line end": (b"\xff\xfd\na\n", ["a"], b"\xff\xfc\n"),
    "an option that is IAC": (b"\xff\xfd\xffa\n", ["a"], b"\xff\xfc\xff"),
    "a subnegotiation": (b"\xff\xfa\x18\x00xterm\xff\xf0a\n", ["a"], b""),
    "with IAC and line ends in it": (b"\xff\xfa\x1f\n\xff\xff\xf0\r\xff\xf0a\n", ["a"], b""),
    "an empty one": (b"\xff\xfa\xff\xf0a\n", ["a"], b""),
    "are you there": (b"\xff\xf6", [], b"yes, I am here\r\n"),
    "erase character": (b"ab\xff\xf7\n", ["a"], b""),
    "erase line": (b"ab\xff\xf8c\n", ["c"], b""),
    "interrupt": (b"ab\xff\xf4c\n", ["c"], b""),
    "nothing": (b"a\xff\xf1b\n", ["ab"], b""),
    "255 as text": (b"a\xff\xffb\n", ["a\ufffdb"], b""),
    "between CR and LF": (b"a\r\xff\xf1\nb\n", ["a", "b"], b""),
}  # fmt: skip


@pytest.mark.parametrize(("data", "lines"), LINES.values(), ids=LINES)
def test_the_lines_of_a_terminal(data: bytes, lines: list[str]) -> None:
    assert fed(data) == (lines, b"")
    for cut in range(len(data)):
        assert fed(data, [cut]) == (lines, b"")


@pytest.mark.parametrize(("data", "lines", "answer"), TELNET.values(), ids=TELNET)
def test_telnet_is_understood_and_refused(
    data: bytes, lines: list[str], answer: bytes
) -> None:
    assert fed(data) == (lines, answer)
    for cut in range(len(data)):
        assert fed(data, [cut]) == (lines, answer)


parts = st.sampled_from([b"\xff", b"\xfa", b"\xf0", b"\xfd", b"\xfb", b"\r", b"\n", b"\0", b"\x7f", b"\x15", b"a", "ü".encode(), b"x" * 60])  # fmt: skip


@given(st.lists(parts, max_size=20).map(b"".join), st.lists(st.integers(0), max_size=8))
def test_every_split_of_a_terminals_bytes_gives_the_same(
    data: bytes, cuts: list[int]
) -> None:
    assert fed(data, cuts) == fed(data)


def test_nothing_that_comes_fills_the_memory() -> None:
    telnet = TelnetLines(100)
    for data in (b"x" * 100_000, b"\xff\xfa" + b"y" * 100_000):
        assert list(telnet.feed(data)) == []
        assert len(telnet._line) <= 101 and len(telnet._command) <= 4
    assert list(telnet.feed(b"\xff\xf0\n")) == [FrameTooLong(100)]


# --- a conversation ------------------------------------------------------------------------------------------------


@pytest.fixture
def talk() -> Dialogue:
    """Ann has a terminal, and Bob speaks JSON."""
    talk = Dialogue()
    talk.come(ANN, Lines())
    talk.come(BOB, JSONLines())
    talk.receive(ANN, b"ann\r\n")
    talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
    talk.forget()
    return talk


def typed(talk: Dialogue, text: str, client: int = ANN) -> list[str]:
    """What somebody sees who types this."""
    talk.forget()
    talk.receive(client, text.encode() + b"\r\n")
    shown = talk.text(client).decode()
    assert shown == "" or shown.endswith("\r\n")
    return shown.split("\r\n")[:-1]


def heard(talk: Dialogue, client: int = BOB) -> list[dict]:
    lines = talk.text(client).splitlines()
    assert all(decode_event(line) is not None for line in lines)
    return [json.loads(line) for line in lines]


def test_a_name_is_asked_for_until_there_is_one() -> None:
    talk = Dialogue()
    talk.come(BOB, JSONLines())
    talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
    talk.come(ANN, Lines())
    assert talk.text(ANN) == b"This is chat. What is your name?\r\n"
    wrong = "! A name has 1 to 32 letters, digits or _ - ."
    for name in ("", "two words", "é", "x" * 33, "~", "\x1b[2J"):
        assert typed(talk, name) == [wrong, "What is your name?"], name
    assert typed(talk, "BOB") == ["! bob is taken", "What is your name?"]
    assert typed(talk, "  ann ") == [
        "* You are ann, in lobby. /help lists what you can type, /quit ends it.",
        "* in lobby: ann, bob",
        "* nothing was said in lobby yet",
    ]


def test_who_comes_sees_what_was_said(talk: Dialogue) -> None:
    for number in range(12):
        typed(talk, f"line {number}")
    talk.come(CY, Lines())
    shown = typed(talk, "cy", CY)
    assert shown[2] == "* the last 10 messages of lobby:"
    assert shown[3].strip() == "ann: line 2" and shown[-1].strip() == "ann: line 11"


def test_own_words_are_not_repeated_and_others_are_shown(talk: Dialogue) -> None:
    assert typed(talk, "hello") == []
    assert [event["content"] for event in heard(talk)] == ["hello"]
    talk.forget()
    talk.receive(BOB, b'{"type":"message","content":"two\\nrows"}\n')
    assert talk.text(ANN) == b"bob: two\r\n    rows\r\n"


def test_the_commands_of_our_client_work(talk: Dialogue) -> None:
    assert typed(talk, "/users") == ["* in lobby: ann, bob"]
    assert typed(talk, "/rooms") == ["* rooms: lobby (2)"]
    assert typed(talk, "/me waves") == []
    assert heard(talk)[0]["content"] == "/me waves"
    assert typed(talk, "//slash") == [] and heard(talk)[0]["content"] == "/slash"
    assert typed(talk, "/w bob psst") == ["(to bob) psst"]
    assert heard(talk)[0]["type"] == "whisper"
    assert typed(talk, "/away lunch") == ["* ann is away: lunch"]
    assert heard(talk)[0] | {"timestamp": 0} == {"type": "status", "username": "ann", "status": "lunch", "timestamp": 0}  # fmt: skip
    assert typed(talk, "/back") == ["* ann is online"]
    assert typed(talk, "/history 1") == ["* the last message of lobby:", "    ann: /slash"]  # fmt: skip
    assert "/whisper NAME TEXT" in " ".join(typed(talk, "/help"))
    assert typed(talk, "/whsiper bob x")[0].startswith("! /whsiper is not a command")
    assert typed(talk, "/w nobody x") == ["! nobody is not here"]
    assert typed(talk, "/clear") == ["! /clear: not on this line; see /help"]
    assert typed(talk, "") == []
    assert typed(talk, "\x1b[A") == ["! the control character U+001B can't be sent"]


def test_a_whisper_can_be_answered(talk: Dialogue) -> None:
    assert typed(talk, "/reply hi") == ["! /reply: nobody has whispered; see /help"]
    talk.forget()
    talk.receive(BOB, b'{"type":"whisper","to":"ann","content":"psst"}\n')
    assert talk.text(ANN) == b"(bob whispers) psst\r\n"
    assert typed(talk, "/reply yes?") == ["(to bob) yes?"]
    assert heard(talk)[0]["content"] == "yes?"


def test_several_rooms(talk: Dialogue) -> None:
    shown = typed(talk, "/join Kitchen")
    assert shown == ["* You are ann, in kitchen.", "* in kitchen: ann"]
    talk.receive(BOB, b'{"type":"join","username":"bob","room":"kitchen"}\n')
    typed(talk, "in the kitchen")
    assert heard(talk)[-1]["room"] == "kitchen"
    assert typed(talk, "/room lobby") == ["* You talk in lobby now."]
    typed(talk, "in the lobby")
    assert heard(talk)[-1]["room"] == "lobby"
    talk.forget()
    talk.receive(BOB, b'{"type":"message","room":"kitchen","content":"x"}\n')
    assert talk.text(ANN) == b"[kitchen] bob: x\r\n"
    assert typed(talk, "/room attic") == ["! you are not in attic; /join enters it"]
    assert typed(talk, "/leave") == ["* You have left lobby. You talk in kitchen."]
    assert typed(talk, "/leave") == ["* You have left kitchen."]
    assert typed(talk, "hello?") == ["! you are in no room"]
    assert typed(talk, "/join lobby")[0] == "* You are ann, in lobby."


def test_leaving_and_hanging_up(talk: Dialogue) -> None:
    assert typed(talk, "/quit") == ["* Goodbye!"]
    assert heard(talk)[-1]["type"] == "leave"
    talk.come(CY, Lines())
    talk.receive(CY, b"cy\nlast words")
    talk.finish(CY)
    assert [event["type"] for event in heard(talk)][-3:] == ["join", "message", "leave"]


def test_a_pasted_text_is_understood_line_by_line() -> None:
    talk = Dialogue()
    talk.come(ANN, Lines())
    talk.receive(ANN, b"ann\r\nhello\r\n/join kitchen\r\nhere\r\n/history\r\n")
    assert talk.text(ANN).endswith(b"* the last message of kitchen:\r\n    ann: here\r\n")  # fmt: skip


SCRIPT = (
    "ann\r\nhello\r\n\xff\xfd\x01gr\u00fc\x7f\u00fc\u00dfe\r\0/w bob psst\r/users\n"
    "/join kitchen\r\nx\x15in the kitchen\r\n/nonsense\r\n/quit\r\n"
).encode("latin-1")


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.integers(0, len(SCRIPT)), max_size=12))
def test_every_split_of_a_conversation_gives_the_same(cuts: list[int]) -> None:
    said = [in_pieces(Lines(), SCRIPT, where) for where in ([], cuts)]
    assert said[0] == said[1]


nasty = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode(errors="surrogatepass")),
    st.sampled_from([b"ann\n", b"/join x\n", b"/w bob \xff\xff\n", b"\r\n", b"\xff\xfa", b"~\n", b"\x1b[2J\n", b"/quit\n"]),
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@pytest.mark.parametrize("dialect", [Lines, BudgetChat])
@given(st.lists(nasty, max_size=8))
def test_whatever_is_typed_reaches_nobody_as_more_than_text(
    dialect: type, data: list[bytes]
) -> None:
    talk = Dialogue(bad_lines=1000)
    for client, kind in ((ANN, dialect), (BOB, JSONLines), (CY, Lines), (DAN, BudgetChat)):  # fmt: skip
        talk.come(client, kind())
    talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
    talk.receive(CY, b"cy\n")
    talk.receive(DAN, b"dan\n")
    talk.forget()
    for each in data:
        talk.receive(ANN, each)
    talk.finish(ANN)
    assert ANN not in talk.sender.connections
    for line in talk.text(BOB).splitlines():
        assert decode_event(line) is not None
    for client, end in ((CY, "\r\n"), (DAN, "\n")):
        shown = talk.text(client).decode()
        assert CLEAN.fullmatch(shown) and not shown.replace("\r\n", "").count("\r")
        assert shown == "" or shown.endswith(end)
    said = talk.text(DAN).decode().splitlines()
    assert all(re.match(r"\[\S+\] |\* ", line) for line in said), said
    talk.forget()
    talk.receive(BOB, b'{"type":"ping","id":1}\n')
    assert talk.text(BOB) == b'{"type":"pong","id":1}\n'


def test_a_newline_in_a_message_makes_no_line_of_the_server(talk: Dialogue) -> None:
    talk.come(CY, BudgetChat())
    talk.receive(CY, b"cy\n")
    talk.forget()
    talk.receive(BOB, b'{"type":"message","content":"x\\n* ann has left the room"}\n')
    assert talk.text(CY) == b"[bob] x\n[bob] * ann has left the room\n"
    assert talk.text(ANN) == b"bob: x\r\n    * ann has left the room\r\n"


# --- Budget Chat, as Protohackers prescribes it -------------------------------------------------------------------


@pytest.fixture
def budget() -> Iterator[ChatServer]:
    listeners = [
        Listener("budget", BudgetChat, "127.0.0.1", 0),
        Listener("lines", Lines, "127.0.0.1", 0),
    ]
    with ChatServer(limits=Limits(flood_burst=0), listeners=listeners) as server:
        yield server


def port_of(server: ChatServer, name: str) -> int:
    return int(server.listening(name)[0].rpartition(":")[2])


def budget_client(server: ChatServer, name: str, others: str) -> LineClient:
    client = LineClient(port_of(server, "budget"))
    assert client.line() == b"Welcome to budgetchat! What shall I call you?\n"
    client.send(f"{name}\n".encode())
    assert client.line() == f"* The room contains: {others}\n".encode()
    return client


def test_the_example_session_of_the_problem(budget: ChatServer) -> None:
    with budget_client(budget, "bob", "") as bob:
        with budget_client(budget, "charlie", "bob") as charlie:
            assert bob.line() == b"* charlie has entered the room\n"
            with budget_client(budget, "dave", "bob, charlie") as dave:
                for each in (bob, charlie):
                    assert each.line() == b"* dave has entered the room\n"
                with budget_client(budget, "alice", "bob, charlie, dave") as alice:
                    for each in (bob, charlie, dave):
                        assert each.line() == b"* alice has entered the room\n"
                    alice.send(b"Hello everyone\n")
                    for each in (bob, charlie, dave):
                        assert each.line() == b"[alice] Hello everyone\n"
                    bob.send(b"hi alice\n")
                    assert alice.line() == b"[bob] hi alice\n", "not her own line"
                    assert charlie.line() == b"[bob] hi alice\n"
                assert dave.line() == b"[bob] hi alice\n"
                assert dave.line() == b"* alice has left the room\n"
            for each in (bob, charlie):
                while (line := each.line()) != b"* dave has left the room\n":
                    assert line


@pytest.mark.parametrize("name", [b"", b"two words", b"a-b", "ü".encode(), b"x" * 33])
def test_a_wrong_name_is_told_and_the_connection_ends(
    budget: ChatServer, name: bytes
) -> None:
    with LineClient(port_of(budget, "budget")) as client:
        client.line()
        client.send(name + b"\n")
        assert client.line() == b"* a name has 1 to 32 letters and digits\n"
        assert client.line() == b""
    assert budget.users == []


def test_a_taken_name_ends_it_and_a_user_who_vanishes_has_left(
    budget: ChatServer,
) -> None:
    with budget_client(budget, "bob", "") as bob:
        with LineClient(port_of(budget, "budget")) as second:
            second.line()
            second.send(b"bob\nhello\n")
            assert second.line() == b"* bob is taken\n" and second.line() == b""
        alice = budget_client(budget, "alice", "bob")
        assert bob.line() == b"* alice has entered the room\n"
        alice._file.close()  # it holds the socket, too
        reset(alice.sock)
        assert bob.line() == b"* alice has left the room\n", "at once"
        with budget_client(budget, "alice", "bob"):
            pass


def test_a_message_of_a_thousand_characters_and_one_that_is_not_finished(
    budget: ChatServer,
) -> None:
    with budget_client(budget, "bob", "") as bob:
        with budget_client(budget, "alice", "bob") as alice:
            bob.line()
            alice.send(b"x" * 1000 + b"\nunfinished")
            assert bob.line() == b"[alice] " + b"x" * 1000 + b"\n"
        assert bob.line() == b"* alice has left the room\n"


# --- the real program ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("telnet") is None, reason="telnet is not installed")
def test_a_person_with_telnet(budget: ChatServer, tmp_path: Path) -> None:
    port = str(port_of(budget, "lines"))
    with LineClient(budget.port).join("bob") as bob:
        with Terminal("telnet", "127.0.0.1", port, HOME=str(tmp_path)) as terminal:
            terminal.until("What is your name?")
            terminal.type("annx\x7f\r")
            terminal.until("You are ann, in lobby")
            assert bob.read_until("join")["username"] == "ann"
            terminal.type("hello from telnet\r")
            assert bob.read_until("message")["content"] == "hello from telnet"
            bob.say("message", content="hi \u00fc")
            terminal.until("bob: hi \u00fc")
            screen = "\n".join(terminal.screen.rows())
            assert screen.count("hello from telnet") == 1, "only as it was typed"
            terminal.type("/quit\r")
            terminal.until("Goodbye!")
            assert bob.read_until("leave")["username"] == "ann"


def test_telnets_first_bytes_on_a_real_server(budget: ChatServer) -> None:
    with LineClient(port_of(budget, "lines")) as client:
        client.send(b"\xff\xfd\x03\xff\xfb\x18ann\r\0")
        assert client.line() == b"This is chat. What is your name?\r\n"
        expected = b"\xff\xfc\x03\xff\xfe\x18* You are ann"
        assert client.line().startswith(expected)
        assert "ann" in budget.users
        client.sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: budget.users == [])


def test_who_has_an_account_is_told_where_to_log_in() -> None:
    lines = [Listener("lines", Lines, "127.0.0.1", 0)]
    with ChatServer(listeners=lines) as server:
        with LineClient(server.port) as ann:
            ann.say("register", username="ann", password="correct horse")
            assert ann.read()["type"] == "account"
        [where] = server.listening("lines")
        with LineClient(int(where.rpartition(":")[2])) as line:
            assert line.line() == b"This is chat. What is your name?\r\n"
            line.send(b"ann\r\n")
            refused = line.line().decode()
            assert refused.startswith("! ")
            assert refused.endswith(
                "(with chat_client, in a browser or over IRC: not on this line)\r\n"
            )
            assert line.line() == b"What is your name?\r\n"
            line.send(b"dan\r\n")
            assert line.line().startswith(b"* You are dan, in lobby.")
