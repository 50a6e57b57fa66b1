"""Accounts and order on a terminal: what is asked, what is shown, and what is nowhere to be seen. The server only plays its part."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from screen import CLIENT, Terminal, chat
from scripted import ScriptedServer, Visitor
from waiting import wait_until

from python_tcp import commands
from python_tcp.commands import (
    Ban, ChangePassword, Command, DeleteAccount, DeleteMessage, Join, Kick, ListBans, Lock, Login, Logout, MarkRead, Mute, Op,
    Register, RegisterRoom, SendMessage, SetTopic, Unban,
)  # fmt: skip
from python_tcp.events import (
    AccountChanged, BanInfo, BanList, Error, Event, Goodbye, Message, MessageDeleted, Moderated, Ok, ReadMark, TopicChanged, UserLeft,
    Welcome,
)  # fmt: skip

pytestmark = pytest.mark.slow  # it starts programs

PASSWORD, OTHER = "correct horse", "battery staple"
WIDE = {"columns": 100, "rows": 30}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def seen(terminal: Terminal) -> bytes:
    """All bytes that the terminal was sent, and all that is and was on its screen."""
    return bytes(terminal.bytes) + "\n".join(terminal.screen.everything()).encode()


def test_who_registers_is_asked_twice_and_nothing_of_it_is_seen(
    server: ScriptedServer,
) -> None:
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        ann.type("/register\r")
        ann.until("A password for ann:")
        ann.type(PASSWORD)
        ann.until("A password for ann: " + "*" * len(PASSWORD))
        server.speak("bob", "psst, it is horse")
        ann.until("psst, it is horse")  # the chat goes on above, the line is whole
        assert "A password for ann: " + "*" * len(PASSWORD) in ann.screen.rows()[-2]
        ann.type("\r")
        ann.until("The same again:")
        ann.type(PASSWORD + "\r")
        ann.until("You have registered ann: the name is yours.")
        ann.until("lobby>")
        ann.type("\x1b[A")  # what the arrow key brings back
        ann.until("lobby> /register")
        ann.type("\x1b[A\x19")  # nothing before it, and nothing was cut
        ann.type("\x15hello\r")
        ann.until("ann: hello")
        assert ann.end("\x03") == 0
    assert server.of(Register) == [Register("ann", PASSWORD, server.of(Register)[0].id)]
    assert PASSWORD.encode() not in seen(ann)
    assert [each.content for each in server.of(SendMessage)] == ["hello"]


def test_what_was_cut_of_a_password_can_not_be_pasted_into_the_chat(
    server: ScriptedServer,
) -> None:
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        ann.type("/register\r")
        ann.until("A password for ann:")
        for cut in (
            "\x15",
            "\x17",
            "\x1b\x7f",
            "\x01\x0b",
        ):  # Ctrl-U, Ctrl-W, Alt-Backspace, Ctrl-A Ctrl-K
            ann.type(PASSWORD + cut)
        ann.type("\r")
        ann.until("nothing was sent")
        for keys in ("\x19x", "\x1f\x1f\x15x"):  # paste, undo
            ann.type(keys)
            ann.until(lambda: ann.screen.rows()[-2] == "lobby> x")
        ann.type("\x15\x1b[A\x1b[A\x1b[A")
        ann.until("lobby> /register")
        assert ann.end("\x03") == 0
    for part in PASSWORD.split():
        assert part.encode() not in seen(ann)
    assert server.of(Register) == [] and server.of(SendMessage) == []


def test_ctrl_c_ends_a_question_and_not_the_chat(server: ScriptedServer) -> None:
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        ann.type("/register\r")
        ann.until("A password for ann:")
        ann.type(PASSWORD + "\x03")
        ann.until("!! no password; nothing was sent")
        ann.type("still here\r")
        ann.until("ann: still here")
        assert ann.end("\x03") == 0
    assert PASSWORD.encode() not in seen(ann) and server.of(Register) == []


@pytest.mark.parametrize(("answers", "why"), [
    (["horse"], "a password has 8 to 256 characters; nothing was sent"),
    ([PASSWORD, OTHER], "that was not the same; nothing was sent"),
    ([PASSWORD, ""], "no password; nothing was sent"),
])  # fmt: skip
def test_what_is_wrong_with_a_new_password(
    server: ScriptedServer, answers: list[str], why: str
) -> None:
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        ann.type("/register\r")
        ann.until("A password for ann:")
        ann.type(answers[0] + "\r")
        if answers[1:]:
            ann.until("The same again:")
            ann.type(answers[1] + "\r")
        ann.until(f"!! {why}")
        ann.until("lobby>")
        assert ann.end("\x03") == 0
    assert server.of(Register) == []


def registered(visitor: Visitor, command: Command) -> list[Event] | None:
    """`ann` is somebody's, and the password is PASSWORD."""
    if isinstance(command, Join) and command.username == "ann" != visitor.account:
        return [Error("name_registered", "ann is registered: log in first", command.id)]
    if isinstance(command, Login) and command.password != PASSWORD:
        return [Error("bad_login", "the name or the password is wrong", command.id)]
    return None


@pytest.mark.slow(seconds=6)
def test_the_owner_of_a_name_is_asked_until_the_password_is_right(
    server: ScriptedServer,
) -> None:
    server.answer = registered
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("!! ann is registered: log in first")
        ann.until("The password of ann (Enter: another name):")
        ann.type(OTHER + "\r")
        ann.until("!! the name or the password is wrong")
        ann.until("The password of ann (Enter: another name):")
        ann.type(PASSWORD + "\r")
        ann.until("You are logged in as ann.")
        ann.until("in lobby: ann")
        assert ann.end("\x03") == 0
    for password in (PASSWORD, OTHER):
        assert password.encode() not in seen(ann)


def test_who_is_not_the_owner_takes_another_name(server: ScriptedServer) -> None:
    server.answer = registered
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("The password of ann (Enter: another name):")
        ann.type("\r")
        ann.until("Another name:")
        ann.type("bob\r")
        ann.until("in lobby: bob")
        assert ann.end("\x03") == 0
    assert server.of(Login) == []


@pytest.mark.parametrize("option", ["--login", "--register"])
def test_an_option_asks_before_it_connects(server: ScriptedServer, option: str) -> None:
    with chat(server.port, "ann", option, **WIDE) as ann:
        ann.until("password of" if option == "--login" else "A password for ann:")
        assert server.visitors == []
        ann.type(PASSWORD + "\r")
        if option == "--register":
            ann.until("The same again:")
            ann.type(PASSWORD + "\r")
        ann.until("in lobby: ann")
        assert ann.end("\x03") == 0
    (opening,) = server.of(Login) + server.of(Register)
    assert opening.password == PASSWORD and isinstance(server.said[1], Join)
    assert PASSWORD.encode() not in seen(ann)


def test_a_login_while_chatting_is_a_new_conversation_in_the_same_room(
    server: ScriptedServer,
) -> None:
    with chat(server.port, "guest", "--room", "dev", **WIDE) as ann:
        ann.until("in dev: guest")
        ann.type("/login ann\r")
        ann.until("The password of ann:")
        ann.type(PASSWORD + "\r")
        ann.until("in dev: ann")
        ann.type("/login\r")
        ann.until("!! you are logged in as ann already; /logout first")
        ann.type("/logout\r")
        assert ann.end() == 0
    assert [each.room for each in server.of(Join)] == ["dev", "dev"]
    assert len(server.of(Logout)) == 1 and "You have logged out." in seen(ann).decode()


def test_another_password_and_the_end_of_an_account(server: ScriptedServer) -> None:
    with chat(server.port, "ann", "--login", **WIDE) as ann:
        ann.until("The password of ann:")
        ann.type(PASSWORD + "\r")
        ann.until("in lobby: ann")
        ann.type("/password\r")
        for prompt, answer in [("Your old password:", PASSWORD), ("The new password:", OTHER), ("The same again:", OTHER)]:  # fmt: skip
            ann.until(prompt)
            ann.type(answer + "\r")
        wait_until(lambda: server.of(ChangePassword))
        ann.type("/delete-account\r")
        ann.until("Your password, to give up ann:")
        ann.type(OTHER + "\r")
        assert ann.end() == 0
    (change,), (deletion,) = server.of(ChangePassword), server.of(DeleteAccount)
    assert (change.old, change.new, deletion.password) == (PASSWORD, OTHER, OTHER)
    for password in (PASSWORD, OTHER):
        assert password.encode() not in seen(ann)


def test_a_locked_room_is_entered_with_its_password(server: ScriptedServer) -> None:
    def answer(visitor: Visitor, command: Command) -> list[Event] | None:
        if isinstance(command, Join) and (command.room, command.password) == ("dev", None):  # fmt: skip
            return [Error("locked", "dev is locked", command.id)]
        return None

    server.answer = answer
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        ann.type("/lock\r")
        ann.until("A password for lobby (none: by invitation):")
        ann.type("\r")
        wait_until(lambda: server.of(Lock))
        ann.type("/join dev\r")
        ann.until("!! dev is locked")
        ann.until("The password of dev:")
        ann.type(PASSWORD + "\r")
        ann.until("dev>")
        assert ann.end("\x03") == 0
    assert server.of(Lock)[0].password is None
    assert server.of(Join)[-1].password == PASSWORD
    assert PASSWORD.encode() not in seen(ann)


def test_the_process_list_and_the_files_of_the_terminal_do_not_have_the_password(
    server: ScriptedServer, tmp_path: Path
) -> None:
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(tmp_path)}  # fmt: skip
    with chat(server.port, "ann", "--login", **WIDE, **home) as ann:
        ann.until("The password of ann:")
        ann.type(PASSWORD + "\r")
        ann.until("in lobby: ann")
        process = Path("/proc") / str(ann.process.pid)
        for part in ("cmdline", "environ"):
            assert PASSWORD.encode() not in (process / part).read_bytes()
        assert ann.end("\x03") == 0
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            assert PASSWORD.encode() not in (Path(folder) / name).read_bytes()


def test_every_command_of_a_moderator_reaches_the_server(
    server: ScriptedServer,
) -> None:
    typed = {
        "/kick eve too loud": Kick("eve", "lobby", "too loud"),
        "/mute eve 10m": Mute("eve", "lobby", 600.0),
        "/unmute eve": Mute("eve", "lobby", 0.0),
        "/ban 192.0.2.0/24 2h spam": Ban("192.0.2.0/24", "lobby", 7200.0, "spam"),
        "/server ban eve": Ban("eve"),
        "/unban eve": Unban("eve", "lobby"),
        "/bans": ListBans("lobby"),
        "/op bob": Op("bob", "lobby"),
        "/deop bob": commands.Deop("bob", "lobby"),
        "/topic all news": SetTopic("all news", "lobby"),
        "/unlock": commands.Unlock("lobby"),
        "/invite bob": commands.Invite("bob", "lobby"),
        "/register-room": RegisterRoom("lobby"),
        "/delete eve": DeleteMessage(1, "lobby"),
        "/delete #3": DeleteMessage(3, "lobby"),
    }
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        server.speak("eve", "Buy!")
        ann.until("Buy!")
        for line, command in typed.items():
            ann.type(line + "\r")
            wait_until(lambda: server.of(type(command)))
        ann.until("nobody is banned from lobby")
        assert ann.end("\x03") == 0
    for command in typed.values():
        ids = {getattr(each, "id", None) for each in server.of(type(command))}
        found = [msg for msg in server.of(type(command)) if {**as_dict(msg), "id": None} == {**as_dict(command), "id": None}]  # fmt: skip
        assert found and (None not in ids or isinstance(command, ListBans))


def as_dict(command: Command) -> dict:
    return {name: getattr(command, name) for name in command.__struct_fields__}


CODES = [
    "bad_login", "name_registered", "name_taken", "login_needed", "too_many_sessions", "weak_password", "not_logged_in", "not_allowed",
    "banned", "locked", "no_such_ban", "no_such_message", "no_accounts", "insecure", "bad_target", "too_many", "no_account", "not_locked",
    "room_registered", "already_joined",
]  # fmt: skip
LATER = ["too_many_guesses", "busy", "muted"]


def test_every_refusal_is_one_clear_line(server: ScriptedServer) -> None:
    def answer(visitor: Visitor, command: Command) -> list[Event] | None:
        if isinstance(command, Kick):
            later = 7200.0 if command.to in LATER else None
            return [Error(command.to, f"this is why: {command.to}", command.id, later)]
        return None

    server.answer = answer
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        for code in CODES + LATER:
            ann.type(f"/kick {code}\r")
            later = ". Try again in 2 hours." if code in LATER else ""
            ann.until(f"!! this is why: {code}{later}")
        ann.type("still here\r")
        ann.until("ann: still here")
        everything = "\n".join(ann.screen.everything())
        assert ann.end("\x03") == 0
    for code in CODES + LATER:
        assert everything.count(f"!! this is why: {code}") == sum(each.startswith(code) for each in CODES + LATER)  # fmt: skip


def test_what_others_do_is_told_in_sentences(server: ScriptedServer) -> None:
    with chat(server.port, "ann", **WIDE) as ann:
        ann.until("in lobby: ann")
        tell = server.visitors[0].tell
        server.speak("eve", "Buy watches!")
        tell(TopicChanged("lobby", "Monday", "bob", 0.0))
        ann.until("bob set the topic of lobby: Monday")
        ann.until(lambda: "Monday" in ann.screen.rows()[-1])  # and in the bar
        tell(MessageDeleted("lobby", 1, "bob", 0.0))
        ann.until("bob deleted message #1 of lobby, said by eve")
        tell(Moderated("mute", "bob", 0.0, "ann", "lobby", "loud", 600.0))
        ann.until("!! bob muted you in lobby for 10 minutes: loud")
        tell(BanList([BanInfo("eve", "bob", 0.0, None, "spam")], "lobby"))
        ann.until("eve, for good, by bob: spam")
        tell(AccountChanged("ann", "logged_in", "operator"))
        ann.until("You are an operator of this server.")
        tell(Welcome("ann", "dev", "Welcome to dev, ann!", 0, "epoch", "token-of-the-script"))  # fmt: skip
        tell(Message("dev", 1, "bob", "one", 0.0), Message("dev", 2, "bob", "two", 0.0))
        ann.until("unread: dev 2")
        assert "lobby>" in ann.screen.rows()[-2]  # we still talk here
        tell(ReadMark("dev", 1))
        ann.until("unread: dev 1")
        tell(
            Moderated("kick", "bob", 0.0, "ann", "lobby"), UserLeft("lobby", "ann", 0.0)
        )
        ann.until("!! bob put you out of lobby")
        ann.until("dev>")
        tell(Goodbye("banned", "You are banned from this server.", False))
        assert ann.end() == 1
    assert "chat_client: You are banned from this server." in seen(ann).decode()


@pytest.mark.slow(seconds=10)
def test_what_was_read_here_is_told_once_and_then_in_a_while(
    server: ScriptedServer,
) -> None:
    with chat(server.port, "ann", "--login", **WIDE) as ann:
        ann.until("The password of ann:")
        ann.type(PASSWORD + "\r")
        ann.until("in lobby: ann")
        for seq in range(1, 40):
            server.speak("bob", f"number {seq}")
        ann.until("number 39")
        ann.until(lambda: server.of(MarkRead) and server.of(MarkRead)[-1].seq == 39)
        marks = server.of(MarkRead)
        assert len(marks) <= 1 + 20 / 5 and {mark.room for mark in marks} == {"lobby"}
        assert ann.end("\x03") == 0


# --- the client for a pipe and a plain terminal -----------------------------------------------


def plain(port: int, *arguments: object) -> Terminal:
    """`chat_client` on a terminal that can only print."""
    command = sys.executable, "-c", CLIENT, "127.0.0.1", port, "--username", "ann"
    return Terminal(*command, *arguments, **WIDE, TERM="dumb")


def test_a_plain_terminal_does_not_show_the_password_either(
    server: ScriptedServer,
) -> None:
    with plain(server.port) as ann:
        ann.until("in lobby: ann")
        ann.type("/register\n")
        ann.until("A password for ann:")
        ann.type(PASSWORD[:4])
        server.speak("bob", "hello ann")
        ann.until("bob: hello ann")
        ann.type(PASSWORD[4:] + "\n")
        ann.until("The same again:")
        ann.type(PASSWORD + "\n")
        ann.until("You have registered ann")
        ann.type("this is shown\n")
        ann.until("ann: this is shown")
        ann.type("/quit\n")
        assert ann.end() == 0 and ann.as_found()
    assert server.of(Register)[0].password == PASSWORD
    assert PASSWORD.encode() not in seen(ann) and PASSWORD[:4].encode() not in seen(ann)


def test_a_plain_terminal_asks_for_the_password_of_a_locked_room(
    server: ScriptedServer,
) -> None:
    def answer(visitor: Visitor, command: Command) -> list[Event] | None:
        if isinstance(command, Join) and (command.room, command.password) != ("lobby", None):  # fmt: skip
            right = command.password == PASSWORD
            return None if right else [Error("locked", "dev is locked", command.id)]
        return None

    server.answer = answer
    with plain(server.port) as ann:
        ann.until("in lobby: ann")
        ann.type("/join dev\n")
        for password in (OTHER, PASSWORD):
            ann.until("The password of dev:")
            ann.screen.reset()
            ann.type(password + "\n")
        ann.until("in dev: ann")
        ann.type("/quit\n")
        assert ann.end() == 0
    assert [each.password for each in server.of(Join)] == [None, None, OTHER, PASSWORD]
    assert OTHER.encode() not in seen(ann) and PASSWORD.encode() not in seen(ann)


@pytest.mark.parametrize("number", [2, 15])  # SIGINT, SIGTERM
def test_a_plain_terminal_shows_again_what_is_typed_after_a_signal(
    server: ScriptedServer, number: int
) -> None:
    with plain(server.port) as ann:
        ann.until("in lobby: ann")
        ann.type("/login bob\n")
        ann.until("The password of bob:")
        assert ann.end(number=number) == 0 and ann.as_found()


def piped(port: int, lines: str, *arguments: str) -> tuple[int, str, str]:
    """What `chat_client` in a pipe ends with: status, output, errors."""
    import subprocess

    command = [sys.executable, "-c", CLIENT, "127.0.0.1", str(port), "--username", "ann", *arguments]  # fmt: skip
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_in_a_pipe_the_next_line_is_the_password(server: ScriptedServer) -> None:
    status, output, errors = piped(server.port, f"/register\n{PASSWORD}\nhello\n")
    assert (status, errors) == (0, "") and "ann: hello" in output
    assert server.of(Register)[0].password == PASSWORD
    assert [each.content for each in server.of(SendMessage)] == ["hello"]
    assert PASSWORD not in output


@pytest.mark.parametrize("lines", ["/register\nhorse\nhello\n", "/password\nx y z 1 2 3\nhello\n", "/register\n", f"/login ann\n{OTHER}\nhello\n"])  # fmt: skip
def test_in_a_pipe_nothing_behind_a_refused_password_is_said(
    server: ScriptedServer, lines: str
) -> None:
    def answer(visitor: Visitor, command: Command) -> list[Event] | None:
        if isinstance(command, Login):
            return [Error("bad_login", "the name or the password is wrong", command.id)]
        return None

    server.answer = answer
    status, output, errors = piped(server.port, lines)
    assert status == 1 and errors.startswith("chat_client: ")
    assert errors.count("\n") == 1 and server.of(SendMessage) == []


@pytest.mark.parametrize("option", ["--login", "--register"])
def test_the_option_in_a_pipe_reads_the_first_line(
    server: ScriptedServer, option: str
) -> None:
    status, output, errors = piped(server.port, f"{PASSWORD}\nhello\n", option)
    assert (status, errors) == (0, "") and "ann: hello" in output
    (opening,) = server.of(Login) + server.of(Register)
    assert opening.password == PASSWORD and PASSWORD not in output


@pytest.mark.parametrize("option", ["--login", "--register"])
def test_no_password_is_read_for_a_server_that_is_far_away_and_not_encrypted(
    option: str,
) -> None:
    import subprocess

    command = [sys.executable, "-c", CLIENT, "192.0.2.1", "9", "--username", "ann", option]  # fmt: skip
    done = subprocess.run(command, input=f"{PASSWORD}\n", capture_output=True, text=True, timeout=60)  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "over TLS only" in last and done.stdout == ""


def test_the_answer_to_a_request_has_no_trace_of_the_password_when_it_fails(
    server: ScriptedServer,
) -> None:
    server.answer = lambda visitor, command: (
        [Ok(command.id)] if isinstance(command, Mute) else None
    )
    status, output, errors = piped(server.port, f"/register\n{PASSWORD}\n/mute eve\n")
    assert status == 0 and PASSWORD not in output + errors
