"""`chat_client` on a real pseudo-terminal, with the screen emulated: what a person sees, at every moment."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import LIMIT, LineClient, cpu_time, wait_until

pytest.importorskip("termios", reason="needs a POSIX terminal")

from screen import CLIENT, Emulator, Terminal, chat  # noqa: E402
from waiting import ENDINGS  # noqa: E402

from python_tcp.chat_client import ChatClient  # noqa: E402
from python_tcp.chat_server import ChatServer  # noqa: E402
from python_tcp.protocol import Limits  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        yield server


@pytest.fixture
def ann(server: ChatServer) -> Iterator[Terminal]:
    """Ann's terminal, when she has joined."""
    with chat(server.port, "ann") as terminal:
        terminal.until("in lobby: ann")
        yield terminal


@pytest.fixture
def bob(server: ChatServer, ann: Terminal) -> Iterator[LineClient]:
    with LineClient(server.port).join("bob") as bob:
        ann.until("bob joined lobby")
        yield bob


def without_time(rows: list[str]) -> list[str]:
    return [re.sub(r"^\d\d:\d\d ", "", row) for row in rows if row]


# --- the line being typed ------------------------------------------------------------------------------------------


def test_200_messages_while_a_person_types_leave_the_line_whole_at_every_byte(
    server: ChatServer,
) -> None:
    sentence = "grüße an 日本, I am still typing " + "and typing " * 3
    shown = [0]  # how much of the sentence

    def look(screen: Emulator) -> None:
        rows = [screen.row(22), screen.row(23)]
        typed = sentence[
            : shown[0] + 1
        ].rstrip()  # the character that comes next may be there already
        assert rows[0] in (
            f"lobby> {typed}".rstrip(),
            f"lobby> {sentence[: shown[0]]}".rstrip(),
        ), rows
        assert rows[1].startswith(" lobby: "), rows
        if (
            shown[0] < len(sentence)
            and rows[0] == f"lobby> {typed}"
            and typed == sentence[: shown[0] + 1]
        ):
            shown[0] += 1

    with chat(server.port, "ann") as ann:
        ann.until("in lobby: ann")
        people = [LineClient(server.port).join(f"p{number}") for number in range(10)]
        ann.until("lobby: 11 people")
        ann.watch = look
        for place, character in enumerate(sentence):
            for number in range(
                place * 200 // len(sentence), (place + 1) * 200 // len(sentence)
            ):
                people[number % 10].say("message", content=f"message number {number}.")
            ann.type(character)
            if character != " ":  # at the end of a row it can't be seen
                ann.until(
                    lambda: ann.screen.row(22) == f"lobby> {sentence[: place + 1]}"
                )
            shown[0] = place + 1
        ann.until(
            lambda: (
                sum("message number" in row for row in ann.screen.everything()) == 200
            )
        )
        numbers = [
            int(re.search(r"number (\d+)\.$", row)[1])
            for row in ann.screen.everything()
            if "message number" in row
        ]
        assert sorted(numbers) == list(range(200))
        for person in range(10):
            assert [number for number in numbers if number % 10 == person] == list(
                range(person, 200, 10)
            )
        ann.watch = None
        ann.type("\r")
        ann.until("ann: grüße an 日本, I am still typing")
        for person in people:
            person.close()


def test_a_burst_is_a_few_writes(ann: Terminal, server: ChatServer) -> None:
    people = [LineClient(server.port).join(f"p{number}") for number in range(10)]
    ann.until("lobby: 11 people")
    start, before = time.monotonic(), len(ann.bytes)
    for person in people:
        person.send(
            b"".join(
                b'{"type":"message","content":"number %d."}\n' % number
                for number in range(20)
            )
        )
    ann.until(lambda: sum("number" in row for row in ann.screen.everything()) == 200)
    assert time.monotonic() - start < LIMIT / 2
    written = bytes(ann.bytes[before:])
    assert written.count(b"\x1b7") < 100  # times that lines were printed
    for person in people:
        person.close()


def test_a_line_longer_than_the_window_stays_whole_too(
    ann: Terminal, bob: LineClient
) -> None:
    ann.type("x" * 200)
    ann.until(
        lambda: (
            ann.screen.rows()[-4:-1]
            == ["lobby> " + "x" * 73, "  " + "x" * 78, "  " + "x" * 49]
        )
    )
    for number in range(15):
        bob.say("message", content=f"number {number}")
    ann.until("number 14")
    assert ann.screen.rows()[-4:-1] == [
        "lobby> " + "x" * 73,
        "  " + "x" * 78,
        "  " + "x" * 49,
    ]
    ann.type("\r")
    ann.until(lambda: ann.screen.row(22) == "lobby>")
    bob.read_until("message", username="ann")  # it has arrived
    bob.say("message", content="after that")
    ann.until("after that")
    assert without_time(ann.screen.everything()).count("   lobby bob: number 7") == 1
    rows = without_time(ann.screen.rows())
    place = rows.index("   lobby bob: after that")
    assert rows[place - 3 :] == [
        " > lobby ann: " + "x" * 59, " " * 9 + "x" * 70, " " * 9 + "x" * 70, " " * 9 + "x", "   lobby bob: after that", "lobby>", " lobby: 2 people | here",
    ][-len(rows[place - 3 :]) :]  # fmt: skip


def test_editing_and_history(ann: Terminal) -> None:
    ann.type("one\r")
    ann.until("ann: one")
    ann.type("two\r")
    ann.until("ann: two")
    for key, line in [
        ("\x1b[A", "two"),
        ("\x1b[A", "one"),
        ("\x1b[B", "two"),
        ("\x1b[D\x1b[D\x1b[DX", "Xtwo"),
        ("\x01\x0b", ""),
        ("a b c\x17\x17", "a"),
    ]:
        ann.type(key)
        ann.until(lambda: ann.screen.row(22) == f"lobby> {line}".rstrip())
    ann.type("\x15日本é👋\x7f\x1b[D!")
    ann.until(lambda: ann.screen.row(22) == "lobby> 日本!é")


def test_a_paste_of_several_lines_is_one_message(
    ann: Terminal, bob: LineClient
) -> None:
    ann.type("\x1b[200~def f():\n    return 1\n/quit\x1b[201~")
    ann.until(
        lambda: (
            ann.screen.rows()[-4:-1] == ["lobby> def f():", "      return 1", "  /quit"]
        )
    )
    ann.type("\r")
    assert bob.read_until("message")["content"] == "def f():\n    return 1\n/quit"
    ann.until(lambda: ann.screen.row(21).endswith("  /quit"))
    rows = without_time(ann.screen.rows())
    assert rows[-5:-2] == [
        " > lobby ann: def f():",
        " " * 13 + "return 1",
        " " * 9 + "/quit",
    ]
    ann.type("a\x1b\rb")
    ann.until(lambda: ann.screen.rows()[-3:-1] == ["lobby> a", "  b"])
    ann.type("\r")
    assert bob.read_until("message")["content"] == "a\nb"


def test_a_paste_without_its_end_mark_ends(ann: Terminal, bob: LineClient) -> None:
    ann.type("\x1b[200~half a paste")
    ann.until("half a paste")  # after some seconds
    ann.type("\r")
    assert bob.read_until("message")["content"] == "half a paste"
    assert ann.end("/quit\r") == 0


def test_an_end_mark_that_comes_too_late_is_not_typed(
    ann: Terminal, bob: LineClient
) -> None:
    ann.type("\x1b[200~half a paste")
    ann.until("half a paste")  # after some seconds: it has ended without its mark
    ann.type("\x1b[201~ and more\r")
    assert bob.read_until("message")["content"] == "half a paste and more"
    ann.type("\x1b[201~\x1b[200~whole\x1b[201~\x1b[201~\r")
    assert bob.read_until("message")["content"] == "whole"


def test_what_is_too_long_is_said_and_not_sent(ann: Terminal, bob: LineClient) -> None:
    ann.type("\x1b[200~" + "x" * 4001 + "\x1b[201~\r")
    ann.until("this is too long: 4001 characters, and 4000 is the most")
    ann.type("ok\r")
    assert bob.read_until("message")["content"] == "ok"


def test_tab(ann: Terminal, bob: LineClient) -> None:
    for keys, line in [
        ("/he\t", "/help"),
        ("\x15/w b\t", "/w bob"),
        ("\x15b\t", "bob:"),
        ("\x15/jo\tlo\t", "/join lobby"),
    ]:
        ann.type(keys)
        ann.until(lambda: ann.screen.row(22) == f"lobby> {line}")
    ann.type("\x15/rep\t")
    ann.until("lobby> /reply")
    ann.type("\x15/ro\t")
    ann.until("/room  /rooms")
    assert ann.screen.row(22) == "lobby> /room"
    bob.say("join", username="bob", room="hall")
    bob.read_until("welcome")
    ann.type("\x15/rooms\r")
    ann.until("rooms: hall (1), lobby (2)")
    ann.type("/join h\t")
    ann.until("lobby> /join hall")


# --- what others do -----------------------------------------------------------------------------------------------


def test_kinds_of_lines_look_different_without_colours(
    ann: Terminal, bob: LineClient
) -> None:
    ann.type("hello\r")
    ann.until("ann: hello")
    bob.say("message", content="hi")
    bob.say("message", content="Ann, look")
    bob.say("message", content="/me waves")
    bob.say("whisper", to="ann", content="psst")
    bob.say("status", status="at lunch")
    ann.until("at lunch")
    ann.type("/reply yes\r")
    ann.until("(to bob) yes")
    assert without_time(ann.screen.rows())[-9:-2] == [
        " > lobby ann: hello", "   lobby bob: hi", " @ lobby bob: Ann, look", " * lobby bob waves", " ~ (bob whispers) psst", "-- bob is away: at lunch",
        " ~ (to bob) yes",
    ]  # fmt: skip
    ann.until(lambda: ann.screen.bells)
    assert ann.screen.bells == 1
    assert all(
        re.match(r"\d\d:\d\d ", row)
        for row in ann.screen.rows()
        if row and "lobby" in row[9:]
    )


def test_other_rooms_are_counted_until_one_goes_there(
    ann: Terminal, bob: LineClient
) -> None:
    ann.type("/join dev\r")
    ann.until("dev>")
    bob.say("message", content="one", room="lobby")
    bob.say("message", content="two, Ann", room="lobby")
    ann.until("dev: 1 person | unread: lobby 2 | here")
    ann.until("bob mentions you in lobby")
    ann.until(lambda: ann.screen.bells)  # it rings behind the line
    assert ann.screen.bells == 1 and not any("one" in row for row in ann.screen.rows())
    ann.type("/room lobby\r")
    ann.until("bob: two, Ann")
    ann.until("lobby: 2 people | here")
    assert without_time(ann.screen.rows())[-5:-2] == [
        "-- You talk in lobby now.",
        "   lobby bob: one",
        " @ lobby bob: two, Ann",
    ]


def test_commands(ann: Terminal, bob: LineClient) -> None:
    for typed, answer in [
        ("/users", "-- in lobby: ann, bob"),
        ("/rooms", "-- rooms: lobby (2)"),
        ("/xyzzy", "!! /xyzzy is not a command; see /help"),
        ("/wisper bob x", "!! /wisper is not a command; did you mean /whisper?"),
        ("/join", "!! Usage: /join ROOM"),
        ("//etc", " > lobby ann: /etc"),
        ("/me waves", " * lobby ann waves"),
        ("/reply x", "!! Nobody has whispered to you yet."),
        ("/msg bob psst", " ~ (to bob) psst"),
        ("/w dan x", "!! dan is not here"),
        ("/room dev", "!! You are not in dev. /join dev enters it."),
        ("/leave dev", "!! You are not in dev."),
        ("/away at lunch", "-- ann is away: at lunch"),
        ("/back", "-- ann is online"),
        ("/ignore ghost", "!! ghost is in none of your rooms."),
        ("/ignore bob", "-- bob is ignored now. The same once more ends that."),
    ]:
        ann.type(typed + "\r")
        ann.until(lambda: answer in without_time(ann.screen.rows()))
    bob.say("message", content="can you hear me?")
    bob.say("whisper", to="ann", content="really?")
    bob.read_until("whisper", content="really?")
    ann.type("I hear nothing\r")
    ann.until("ann: I hear nothing")
    ann.type("/ignore BOB\r")
    ann.until("not ignored any more")
    bob.say("message", content="and now?")
    ann.until("bob: and now?")
    assert not any(
        "hear me" in row or "really" in row for row in ann.screen.everything()
    )
    ann.type("/clear\r")
    ann.until(
        lambda: without_time(ann.screen.rows()) == ["lobby>", " lobby: 2 people | here"]
    )
    ann.type("/leave\r")
    ann.until("You are in no room now.")
    ann.type("hello?\r")
    ann.until("!!")
    assert ann.end("/exit\r") == 0


# --- the window ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [20, 33, 50, 120])
@pytest.mark.parametrize("rows", [5, 12, 40])
def test_a_resized_window_is_drawn_anew(
    ann: Terminal, bob: LineClient, columns: int, rows: int
) -> None:
    for number in range(30):
        bob.say("message", content=f"日本 is number {number}")
    ann.until("number 29")
    ann.type("half a line")
    ann.until("half a line")
    ann.resize(columns, rows)
    said = lambda: " ".join(row.strip() for row in ann.screen.rows()[:-2] if row)
    ann.until(
        lambda: (
            said().endswith("number 29")
            and ann.screen.row(rows - 1).startswith(" lobby: 2")
            and ann.screen.row(rows - 2).endswith("half a line")
        )
    )
    assert said().count("number 29") == 1
    bob.say("message", content="and then?")
    ann.until(  # it may not have been drawn anew before
        lambda: (
            "then?" in ann.screen.row(rows - 3)
            and ann.screen.row(rows - 2).endswith("half a line")
        )
    )


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_a_very_low_window_still_works(server: ChatServer, rows: int) -> None:
    with (
        chat(server.port, "ann", rows=rows, columns=40) as ann,
        LineClient(server.port) as bob,
    ):
        wait_until(lambda: server.users == ["ann"])
        bob.join("bob")
        ann.type("hello\r")
        assert bob.read_until("message")["content"] == "hello"
        bob.say("message", content="hi")
        ann.until(lambda: any("bob: hi" in row for row in ann.screen.everything()))
        ann.type("half")
        ann.until(lambda: ann.screen.row(max(rows - 2, 0)) == "lobby> half")
        assert rows < 3 or "bob: hi" in ann.screen.row(rows - 3)
        assert ann.end("\x15/quit\r") == 0 and ann.as_found()


def test_the_application_stays_at_the_bottom_when_it_grows_and_shrinks(
    ann: Terminal, bob: LineClient
) -> None:
    for turn in range(3):
        ann.type("\x1b[200~a\nb\nc\nd\x1b[201~")
        ann.until(lambda: ann.screen.rows()[-5:-1] == ["lobby> a", "  b", "  c", "  d"])
        bob.say("message", content=f"first {turn}")
        ann.until(f"first {turn}")
        ann.type("\x15" + "\x7f\x15" * 3)
        ann.until(lambda: ann.screen.row(22) == "lobby>")
        bob.say("message", content=f"second {turn}")
        ann.until(f"second {turn}")
        assert ann.screen.row(22) == "lobby>" and ann.screen.row(23).startswith(
            " lobby: 2"
        )
    assert "\n\n" not in "\n".join(ann.screen.rows()[:22]).strip("\n"), (
        "an empty row between the lines"
    )
    said = [row for row in without_time(ann.screen.everything()) if "bob: " in row]
    assert said == [
        f"   lobby bob: {word} {turn}"
        for turn in range(3)
        for word in ("first", "second")
    ]


def test_what_stood_on_the_screen_before_is_still_there(server: ChatServer) -> None:
    script = f"printf 'one\\ntwo\\nthree\\n'; '{sys.executable}' -c '{CLIENT}' 127.0.0.1 {server.port} --username ann; echo after"
    with Terminal("sh", "-c", script) as shell:
        shell.until("in lobby: ann")
        assert shell.screen.everything()[:3] == ["one", "two", "three"]
        assert shell.end("/quit\r") == 0
        rows = [row for row in shell.screen.everything() if row]
        assert rows[:3] == ["one", "two", "three"] and rows[-2:] == [
            "Goodbye!",
            "after",
        ]


def test_colours_are_there_unless_nobody_wants_them(server: ChatServer) -> None:
    def colours(**env: str) -> set[str]:
        with chat(server.port, "ann", **env) as ann:
            ann.until("in lobby: ann")
            ann.type("hello\t\r/r\t")
            ann.until("ann: hello")
            ann.until("/rooms")
            found = {
                cell.fg for row in ann.screen.buffer.values() for cell in row.values()
            } | {cell.bg for row in ann.screen.buffer.values() for cell in row.values()}
            assert ann.end("\x03") == 0
            return found

    assert colours(NO_COLOR="1") == {"default"}
    assert len(colours()) > 2


# --- starting and ending ------------------------------------------------------------------------------------------


def test_it_asks_for_a_name_and_for_another_if_that_is_taken(
    server: ChatServer,
) -> None:
    with (
        ChatClient("ann") as other,  # answers pings: who would give up a silent one?
        chat(server.port, None, "--room", "dev") as terminal,
    ):
        assert other.connect("127.0.0.1", server.port) and other.join()
        terminal.until("Your name:")
        terminal.type("\rann\r")
        terminal.until("Another name:")
        terminal.until("taken")
        terminal.type("a b\r")
        terminal.until("1 to 32 letters")
        terminal.until("Another name:")
        terminal.type("zoe\r")
        terminal.until("dev>")
        terminal.until("in dev: zoe")
        assert terminal.end("/quit\r") == 0


def test_ctrl_c_while_it_asks(server: ChatServer) -> None:
    for key in ("\x03", "\x04"):
        with chat(server.port, None) as terminal:
            terminal.until("Your name:")
            assert terminal.end(key) == 0 and terminal.as_found()


@pytest.mark.parametrize(
    "key", ["/quit\r", "/exit\r", "\x03", "\x04", "half a line\x03"], ids=repr
)
def test_leaving(ann: Terminal, server: ChatServer, key: str) -> None:
    assert ann.end(key) == 0 and ann.as_found()
    assert [row for row in ann.screen.rows() if row][-1] == "Goodbye!" and not any(
        "here" in row for row in ann.screen.rows()
    )
    wait_until(lambda: server.users == [])


def test_ctrl_d_in_a_line_deletes_a_character(ann: Terminal) -> None:
    ann.type("abc\x01\x04")
    ann.until("lobby> bc")


@pytest.mark.skipif(
    not Path("/bin/bash").exists(), reason="needs a shell with job control"
)
def test_ctrl_z_and_fg(server: ChatServer) -> None:
    with Terminal("/bin/bash", "--norc", "--noprofile", "-i", PS1="shell: ") as shell:
        shell.until("shell:")
        shell.type(
            f"'{sys.executable}' -c '{CLIENT}' 127.0.0.1 {server.port} --username ann\r"
        )
        shell.until("in lobby: ann")
        shell.type("half a line\x1a")
        shell.until("Stopped")
        shell.type("echo $((6 * 7))\r")
        shell.until("42")
        shell.type("clear\r")
        shell.until(lambda: shell.screen.row(0).startswith("shell:"))
        with LineClient(server.port).join("bob") as bob:
            bob.say("message", content="are you there?")
            bob.read_until("message")
            shell.type("fg\r")
            shell.until("are you there?")
        shell.until(lambda: shell.screen.row(22) == "lobby> half a line")
        shell.type("\x15/quit\r")
        shell.until(
            lambda: (
                shell.screen.rows()[-1].endswith("shell:")
                or "shell:" in ["", *filter(None, shell.screen.rows())][-1]
            )
        )
        assert not any("here" in row and "people" in row for row in shell.screen.rows())


@pytest.mark.usefixtures("hang_ups_are_heard")
@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal(ann: Terminal, server: ChatServer, number: signal.Signals) -> None:
    assert ann.end(number=number) == 0 and ann.as_found()
    wait_until(lambda: server.users == [])


def test_the_window_is_closed(server: ChatServer) -> None:
    with chat(server.port, "ann") as ann:
        ann.until("in lobby: ann")
        ann.hang_up()
        assert ann.process.wait(LIMIT) == 0
    wait_until(lambda: server.users == [])


def error_of(*arguments: object, **options: object) -> str:
    """The last row of a client that fails at the start."""
    with Terminal(sys.executable, "-c", CLIENT, *arguments, **options) as terminal:
        assert terminal.end() == 1 and terminal.as_found()
        rows = [row for row in terminal.screen.rows() if row]
        assert len(rows) <= 2 and rows[0].startswith("chat_client: ")
        return " ".join(rows)


def test_errors_at_the_start_are_one_line(reserved_port: int) -> None:
    nobody = "127.0.0.1", reserved_port
    assert "refused" in error_of(*nobody, "--username", "ann")
    assert "can't find" in error_of("no.such.host.invalid", 8000, "--username", "ann")
    with ChatServer() as server:
        assert "1 to 64 letters" in error_of(
            "127.0.0.1", server.port, "--username", "ann", "--room", "a b"
        )
    with ChatServer(limits=Limits(connections=0)) as server:
        assert "full" in error_of("127.0.0.1", server.port, "--username", "ann")


def test_wrong_arguments_are_one_line_and_status_2() -> None:
    with Terminal(sys.executable, "-c", CLIENT, "localhost", "no-port") as terminal:
        assert terminal.end() == 2
        assert [row for row in terminal.screen.rows() if row] == [
            "chat_client: argument port: a port is a number from 0 to 65535, not 'no-port'"
        ]


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_can_do_nothing_gets_plain_lines(
    server: ChatServer, term: str
) -> None:
    with chat(server.port, "ann", TERM=term) as ann:
        ann.until("* in lobby: ann")
        ann.type("hello\n")
        ann.until("ann: hello")
        assert b"\x1b" not in ann.bytes
        assert ann.end("/quit\n") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_first_prompt_is_there_in_less_than_0_4_seconds(server: ChatServer) -> None:
    """Of the processor's time. Beside others, all takes longer: then it is compared with what
    it takes to load the library for the screen.
    """

    def seconds() -> float:
        with chat(server.port, "ann") as ann:
            ann.until(">")
            taken = cpu_time(ann.process.pid)
            ann.until("in lobby: ann")
            ann.end("\x03")
            return taken

    def loading() -> float:
        before, code = os.times(), "import prompt_toolkit.application"
        subprocess.run([sys.executable, "-c", f"{code}, prompt_toolkit.widgets"])
        used = [now - was for now, was in zip(os.times(), before, strict=True)]
        return used[2] + used[3]  # by programs that have ended

    assert any(seconds() < max(0.4, 3.5 * loading()) for _ in range(10))


def test_nothing_private_of_the_library_is_used() -> None:
    """A new version may drop it."""
    for module in ("screen", "terminal"):
        path = Path(__file__).parent.parent / "python_tcp" / f"{module}.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
                owner = getattr(node.value, "id", "")
                fine = owner == "self" or node.attr == "_replace"  # of a named tuple
                assert fine, f"{path}:{node.lineno}: {node.attr}"
