"""The whole of it with a real server: accounts and order over real sockets and from terminals, as people would use them."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from screen import SERVER, Terminal, chat

from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import ClientEvent, HistoryGap, Reconnected
from python_tcp.commands import (
    Ban, ChangePassword, DeleteAccount, DeleteMessage, Invite, Kick, ListBans, Lock, Logout, Mute, Op, RegisterRoom, SetTopic, Unban,
    Unlock,
)  # fmt: skip
from python_tcp.events import (
    BanList, History, Message, MessageDeleted, Moderated, ReadMark, TopicChanged, Welcome,
)  # fmt: skip
from python_tcp.passwords import HashParameters
from python_tcp.protocol import Limits

pytestmark = pytest.mark.slow  # it starts programs

PASSWORD, OTHER = "correct horse", "battery staple 9"
CHEAP = HashParameters(1, 32, 1)
WIDE = {"columns": 90, "rows": 24}


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(costs=CHEAP, limits=Limits(flood_burst=0, join_rate=1000.0, connect_rate=1000.0)) as server:  # fmt: skip
        yield server


class Person:
    """A client, and what it has heard."""

    def __init__(self, server: ChatServer, name: str, password: str = "", new: bool = False) -> None:  # fmt: skip
        self.heard: list[ClientEvent] = []
        self.client = ChatClient(name, timeout=60)
        self.client.set_event_callback(self.heard.append)
        assert self.client.connect(server.host, server.port)
        if password:
            opening = self.client.register if new else self.client.login
            assert opening(password), self.client.error
        assert self.client.join("lobby"), self.client.error

    def of(self, kind: type) -> list:
        return [event for event in self.heard if isinstance(event, kind)]

    def hears(self, kind: type, **fields: object) -> None:
        """Wait until such an event has come."""

        def it() -> bool:
            return any(all(getattr(each, name) == value for name, value in fields.items()) for each in self.of(kind))  # fmt: skip

        assert self.client.wait_until(it, 60), (kind, fields, self.heard)

    def does(self, command: object) -> None:
        assert self.client.request(command), (command, self.client.error)

    def refused(self, command: object, code: str) -> None:
        assert not self.client.request(command)
        assert self.client.error is not None and self.client.error.code == code
        assert "\n" not in self.client.error.content


@pytest.fixture
def people(server: ChatServer) -> Iterator[Callable[..., Person]]:
    there: list[Person] = []

    def enter(name: str, password: str = "", new: bool = False) -> Person:
        there.append(Person(server, name, password, new))
        return there[-1]

    yield enter
    for person in there:
        person.client.leave(timeout=1)


def test_everything_that_a_moderator_does(people: Callable[..., Person]) -> None:
    ann, bob, eve = people("ann", PASSWORD, True), people("bob", OTHER, True), people("eve")  # fmt: skip
    ann.does(RegisterRoom("lobby"))
    for person in (ann, bob, eve):
        person.hears(Moderated, action="register", room="lobby")
    ann.does(SetTopic("all news", "lobby"))
    bob.hears(TopicChanged, topic="all news", username="ann")
    eve.client.send_message("Buy watches!")
    ann.hears(Message, content="Buy watches!")
    (said,) = ann.of(Message)
    ann.does(DeleteMessage(said.seq, "lobby"))
    eve.hears(MessageDeleted, seq=said.seq)
    ann.does(Mute("eve", "lobby", 3600.0, "spam"))
    eve.hears(Moderated, action="mute", reason="spam")
    eve.client.send_message("But why?")
    assert eve.client.wait_until(lambda: eve.client.error, 60)
    assert eve.client.error.code == "muted" and eve.client.error.retry_after
    ann.does(Mute("eve", "lobby", 0.0))
    eve.client.send_message("Thank you")
    bob.hears(Message, content="Thank you")
    ann.does(Op("bob", "lobby"))
    bob.hears(Moderated, action="op", target="bob")
    bob.does(Kick("eve", "lobby", "out"))
    assert eve.client.wait_until(lambda: not eve.client.rooms, 60)
    assert eve.client.join("lobby")  # a kick is no ban
    bob.does(Ban("eve", "lobby", 3600.0, "really"))
    assert eve.client.wait_until(lambda: not eve.client.rooms, 60)
    assert not eve.client.join("lobby") and eve.client.error.code == "banned"
    bob.does(ListBans("lobby"))
    bob.hears(BanList, room="lobby")
    assert [ban.target for ban in bob.of(BanList)[-1].bans] == ["eve"]
    bob.does(Unban("eve", "lobby"))
    ann.does(Lock("lobby", PASSWORD))
    assert not eve.client.join("lobby") and eve.client.error.code == "locked"
    assert not eve.client.join("lobby", OTHER) and eve.client.error.code == "locked"
    assert eve.client.join("lobby", PASSWORD)
    eve.client.leave("lobby")
    ann.does(Invite("eve", "lobby"))
    assert eve.client.join("lobby")
    ann.does(Unlock("lobby"))
    page = Person.of(ann, History)
    ann.client.ask_history(10)
    assert ann.client.wait_until(lambda: len(ann.of(History)) > len(page), 20.0)
    assert [each.content for each in ann.of(History)[-1].messages] == ["", "Thank you"]


def test_what_is_refused_has_a_code_and_a_sentence(
    people: Callable[..., Person], server: ChatServer
) -> None:
    ann, bob, eve = people("ann", PASSWORD, True), people("bob", OTHER, True), people("eve")  # fmt: skip
    ann.does(RegisterRoom("lobby"))
    for command, code in [
        (Kick("ann", "lobby"), "not_allowed"), (Ban("ann", "lobby"), "not_allowed"), (Op("eve", "lobby"), "not_allowed"),
        (SetTopic("x", "lobby"), "not_allowed"), (Lock("lobby"), "not_allowed"), (Ban("192.0.2.0/24"), "not_allowed"),
        (ChangePassword(PASSWORD, OTHER), "not_logged_in"), (DeleteAccount(PASSWORD), "not_logged_in"), (Logout(), "not_logged_in"),
    ]:  # fmt: skip
        eve.refused(command, code)
    for command, code in [
        (Kick("nobody", "lobby"), "no_such_user"), (Unban("nobody", "lobby"), "no_such_ban"), (DeleteMessage(99, "lobby"), "no_such_message"),
        (Unlock("lobby"), "not_locked"), (ChangePassword(OTHER, PASSWORD), "bad_login"), (DeleteAccount(OTHER), "bad_login"),
    ]:  # fmt: skip
        ann.refused(command, code)
    bob.refused(RegisterRoom("lobby"), "room_registered")
    guest = ChatClient("ann", timeout=60)
    assert guest.connect(server.host, server.port)
    assert not guest.join() and guest.error and guest.error.code == "name_registered"
    assert not guest.login(OTHER) and guest.error.code == "bad_login"
    assert not guest.register(OTHER) and guest.error.code == "name_registered"
    assert not guest.login("short") and guest.error.code == "weak_password"
    guest.leave(timeout=1)


def test_a_client_that_has_logged_in_comes_back_without_its_password(
    people: Callable[..., Person],
) -> None:
    ann, bob = people("ann", PASSWORD, True), people("bob")
    ann.client._talk.reconnector._link.abort("the cable was cut")
    ann.hears(Reconnected)
    assert ann.client.account == "ann" and ann.client.rooms["lobby"]
    bob.client.send_message("welcome back")
    ann.hears(Message, content="welcome back")


def test_and_also_when_the_server_was_restarted(
    tmp_path: Path, reserved_port: int
) -> None:
    options = {"port": reserved_port, "data": tmp_path / "chat.db", "costs": CHEAP}
    with ChatServer(**options) as server:
        ann = Person(server, "ann", PASSWORD, True)
        ann.client.send_message("before")
        ann.hears(Message, content="before")
    with ChatServer(**options):
        ann.hears(Reconnected)
        assert ann.client.account == "ann"
        ann.client.send_message("after")
        ann.hears(Message, content="after")
        ann.client.leave()


def test_who_was_put_out_stays_out_after_a_lost_connection(
    people: Callable[..., Person],
) -> None:
    ann, eve = people("ann", PASSWORD, True), people("eve")
    assert eve.client.join("dev")
    ann.does(RegisterRoom("lobby"))
    ann.does(Kick("eve", "lobby"))
    assert eve.client.wait_until(lambda: list(eve.client.rooms) == ["dev"], 20.0)
    eve.client._talk.reconnector._link.abort("the cable was cut")
    eve.hears(Reconnected)
    assert list(eve.client.rooms) == ["dev"] and "eve" not in ann.client.rooms["lobby"]


def test_what_was_deleted_while_we_were_away_is_not_missing(
    people: Callable[..., Person],
) -> None:
    ann, bob, eve = people("ann", PASSWORD, True), people("bob"), people("eve")
    ann.does(RegisterRoom("lobby"))
    bob.client._talk.reconnector._link.abort("the cable was cut")
    for content in ("one", "two", "three"):
        eve.client.send_message(content)
        ann.hears(Message, content=content)
    for said in ann.of(Message)[1:]:
        ann.does(DeleteMessage(said.seq, "lobby"))
    bob.hears(Reconnected)
    bob.hears(Message, seq=3)
    assert [each.content for each in bob.of(Message)][:1] == ["one"]
    assert bob.of(HistoryGap) == []


def test_two_clients_of_one_account_hear_and_read_the_same(
    people: Callable[..., Person],
) -> None:
    desk, train, bob = people("ann", PASSWORD, True), people("ann", PASSWORD), people("bob")  # fmt: skip
    assert bob.client.join("dev") and train.client.join("dev")
    desk.hears(Welcome, room="dev")  # nobody has asked for it here
    assert desk.client.wait_until(lambda: desk.client.rooms.get("dev"), 20.0)
    assert list(desk.client.rooms)[-1] == "lobby"  # where we talk
    bob.client.send_message("hello", "dev")
    train.client.send_message("hello bob", "dev")
    for person in (desk, train, bob):
        person.hears(Message, content="hello", username="bob")
        person.hears(Message, content="hello bob", username="ann")
    from python_tcp.commands import MarkRead

    train.does(MarkRead("dev", 2))
    desk.hears(ReadMark, room="dev", seq=2)
    assert bob.of(ReadMark) == []
    assert sorted(desk.client.rooms["dev"]) == ["ann", "bob"]  # once


# --- terminals ---------------------------------------------------------------------------------


def log_in(terminal: Terminal, password: str) -> None:
    terminal.until("password")
    terminal.type(password + "\r")


@pytest.mark.slow(seconds=8)
def test_three_terminals_one_is_kicked_and_one_is_muted(
    server: ChatServer, tmp_path: Path
) -> None:
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(tmp_path)}  # fmt: skip
    moderator = Person(server, "mod", PASSWORD, True)
    moderator.does(RegisterRoom("lobby"))
    first = Person(server, "ann", OTHER, True)
    first.client.leave()
    with (
        chat(server.port, "ann", "--login", **WIDE, **home) as desk,
        chat(server.port, "ann", "--login", **WIDE, **home) as train,
        chat(server.port, "eve", **WIDE, **home) as eve,
    ):
        for terminal in (desk, train):
            log_in(terminal, OTHER)
            terminal.until("You are logged in as ann.")
            terminal.until("in lobby: ")
        eve.until("mod*")  # the list says who has an account
        desk.type("hello from my desk\r")
        for terminal in (desk, train, eve):
            terminal.until("ann: hello from my desk")
        moderator.does(Mute("eve", "lobby", 600.0, "spam"))
        eve.until("!! mod muted you in lobby for 10 minutes: spam")
        eve.type("but\r")
        eve.until("!! ")
        eve.until("Try again in 10 minutes.")
        moderator.does(Kick("ann", "lobby", "have a break"))
        for terminal in (desk, train):
            terminal.until("!! mod put you out of lobby: have a break")
            terminal.until("You are in no room now.")
        eve.until("mod put ann out of lobby: have a break")
        desk.type("/join dev\r")
        for terminal in (desk, train):
            terminal.until("dev>")
        for terminal in (desk, train, eve):
            assert terminal.end("\x03") == 0
            everything = bytes(terminal.bytes) + "\n".join(terminal.screen.everything()).encode()  # fmt: skip
            assert OTHER.encode() not in everything
    moderator.client.leave(timeout=1)
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            assert OTHER.encode() not in (Path(folder) / name).read_bytes()


@pytest.mark.slow(seconds=8)
def test_what_is_read_on_one_screen_is_not_unread_on_the_other(
    server: ChatServer,
) -> None:
    Person(server, "ann", PASSWORD, True).client.leave()
    bob = Person(server, "bob")
    assert bob.client.join("dev")
    with (
        chat(server.port, "ann", "--login", **WIDE) as desk,
        chat(server.port, "ann", "--login", **WIDE) as train,
    ):
        for terminal in (desk, train):
            log_in(terminal, PASSWORD)
            terminal.until("in lobby: ")
        train.type("/join dev\r")
        train.until("dev>")
        desk.until("Welcome to dev, ann!")
        train.type("/room lobby\r")
        train.until("lobby>")
        for number in (1, 2, 3):
            bob.client.send_message(f"number {number}", "dev")
        for terminal in (desk, train):
            terminal.until("unread: dev 3")
        train.type("/room dev\r")
        train.until("number 3")
        desk.until(lambda: "unread" not in desk.screen.rows()[-1])
        desk.type("/room dev\r")  # they are read, and still there
        desk.until("number 3")
        for terminal in (desk, train):
            assert terminal.end("\x03") == 0
    bob.client.leave(timeout=1)


def test_a_person_registers_changes_the_password_and_goes(server: ChatServer) -> None:
    with chat(server.port, "ann", "--register", **WIDE) as ann:
        for _ in range(2):
            ann.until("A password for ann:" if _ == 0 else "The same again:")
            ann.type(PASSWORD + "\r")
        ann.until("You have registered ann: the name is yours.")
        ann.until("in lobby: ann*")
        ann.type("/password\r")
        for prompt, answer in [("Your old password:", PASSWORD), ("The new password:", OTHER), ("The same again:", OTHER)]:  # fmt: skip
            ann.until(prompt)
            ann.type(answer + "\r")
        ann.until("Your password is changed.")
        ann.type("/logout\r")
        assert ann.end() == 0
    with chat(server.port, "ann", **WIDE) as ann:  # it has an owner now
        ann.until("The password of ann (Enter: another name):")
        ann.type(PASSWORD + "\r")
        ann.until("!! the name or the password is wrong")
        ann.until("The password of ann (Enter: another name):")
        ann.type(OTHER + "\r")
        ann.until("in lobby: ann*")
        ann.type("/delete-account\r")
        ann.until("Your password, to give up ann:")
        ann.type(OTHER + "\r")
        assert ann.end() == 0
    with chat(server.port, "ann", **WIDE) as ann:  # and has none any more
        ann.until("in lobby: ann")
        assert ann.end("\x03") == 0


@pytest.mark.slow(seconds=15)
def test_from_an_empty_file_to_a_moderated_room_with_two_registered_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a new user types, and nothing else. The time is that of the programs: a person also has to think."""
    started = time.monotonic()
    steps: list[tuple[str, float]] = []
    data = tmp_path / "chat.db"
    with Terminal(sys.executable, "-m", "python_tcp.accounts", "add", "ann", "--operator", "--data", data, **WIDE) as tool:  # fmt: skip
        tool.until("assword of ann")
        tool.type(PASSWORD + "\r")
        tool.until("nce more")
        tool.type(PASSWORD + "\r")
        assert tool.end() == 0
    steps.append(("the first operator is made", time.monotonic()))
    with Terminal(sys.executable, "-c", SERVER, "--port", 0, "--data", data, **WIDE) as server:  # fmt: skip
        server.until("Ctrl-C ends it")
        (port,) = re.findall(r"127\.0\.0\.1 port (\d+)|127\.0\.0\.1:(\d+)", "\n".join(server.screen.rows()))  # fmt: skip
        number = int(next(filter(None, port)))
        steps.append(("the server runs", time.monotonic()))
        with chat(number, "ann", "--login", **WIDE) as ann, chat(number, "bob", **WIDE) as bob:  # fmt: skip
            log_in(ann, PASSWORD)
            ann.until("You are an operator of this server.")
            ann.until("in lobby: ")
            ann.type("/register-room\r/topic A quiet place\r")
            ann.until("you set the topic of lobby: A quiet place")
            bob.until("in lobby: ")
            bob.type("/register\r")
            bob.until("A password for bob:")
            bob.type(OTHER + "\r")
            bob.until("The same again:")
            bob.type(OTHER + "\r")
            bob.until("You have registered bob: the name is yours.")
            steps.append(("two people are registered", time.monotonic()))
            ann.type("/op bob\r")
            bob.until("ann made you a moderator of lobby")
            with chat(number, "eve", **WIDE) as eve:
                eve.until("The topic of lobby: A quiet place")
                eve.type("Buy watches!\r")
                bob.until("eve: Buy watches!")
                bob.type("/delete eve\r/kick eve no adverts\r")
                bob.until("you put eve out of lobby: no adverts")
                eve.until("!! bob put you out of lobby: no adverts")
                ann.until("bob deleted message #1 of lobby, said by eve")
                steps.append(("the room is moderated", time.monotonic()))
                assert eve.end("\x03") == 0
            assert (ann.end("\x03"), bob.end("\x03")) == (0, 0)
        assert server.end("\x03") == 0
    for path in tmp_path.iterdir():
        for password in (PASSWORD, OTHER):
            assert password.encode() not in path.read_bytes(), path
    with capsys.disabled():
        times = ", ".join(f"{what} after {at - started:.1f} s" for what, at in steps)
        print(f"\nfrom an empty file: {times}")
