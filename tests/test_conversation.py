"""`python_tcp.conversation`: what is asked once, over one connection, and what is not sent at all. The server only plays its part."""

from collections.abc import Iterator

import pytest
from scripted import ScriptedServer, Visitor
from waiting import wait_until

from python_tcp.chat_client import ChatClient
from python_tcp.commands import (
    ChangePassword, Command, DeleteAccount, Join, Kick, ListBans, Lock, Login, Logout, MarkRead, Register,
)  # fmt: skip
from python_tcp.conversation import ChatError, why_no_password
from python_tcp.events import Error, Event, Goodbye
from python_tcp.security import ClientTLS

PASSWORD = "correct horse"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def ann(server: ScriptedServer) -> Iterator[ChatClient]:
    client = ChatClient("ann", timeout=60)
    assert client.connect("127.0.0.1", server.port)
    yield client
    client.leave(timeout=1)


WITH_A_PASSWORD = [
    Register("ann", PASSWORD), Login("ann", PASSWORD), ChangePassword(PASSWORD, PASSWORD), DeleteAccount(PASSWORD),
    Join("ann", "dev", password=PASSWORD), Lock("dev", PASSWORD),
]  # fmt: skip


@pytest.mark.parametrize("command", WITH_A_PASSWORD)
def test_a_password_goes_only_where_nobody_can_read_it(command: Command) -> None:
    for host, encrypted, code in [
        ("127.0.0.1", False, None), ("localhost", False, None), ("::1", False, None), ("chat.example", True, None),
        ("chat.example", False, "insecure"), ("192.168.0.7", False, "insecure"), ("localhost.example", False, "insecure"),
    ]:  # fmt: skip
        error = why_no_password(command, host, encrypted)
        assert (error and error.code) == code
        assert error is None or PASSWORD not in error.content
    assert why_no_password(Join("ann"), "192.168.0.7", False) is None
    assert why_no_password(Lock("dev"), "192.168.0.7", False) is None


@pytest.mark.parametrize("length", [0, 7, 257])
def test_what_is_no_password_is_not_sent(
    server: ScriptedServer, ann: ChatClient, length: int
) -> None:
    for ask in (ann.register, ann.login):
        assert not ask("x" * length)
        assert ann.error is not None and ann.error.code == "weak_password"
    assert server.said == []


def test_nothing_with_a_password_leaves_a_client_whose_server_is_far_away(
    server: ScriptedServer, ann: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann._talk, "_host", "chat.example")  # it has this address
    assert not ann.may_send_passwords
    for ask in (ann.register, ann.login, lambda password: ann.join("dev", password)):
        assert not ask(PASSWORD)
        assert ann.error is not None and ann.error.code == "insecure"
    assert ann.join("dev") and PASSWORD.encode() not in server.lines


def test_with_tls_it_may_be_anybody() -> None:
    client = ChatClient("ann", tls=ClientTLS(pin=b"x" * 32))
    assert client.may_send_passwords


def test_a_login_comes_before_the_join_and_is_waited_for(
    server: ScriptedServer, ann: ChatClient
) -> None:
    assert ann.account is None and ann.login(PASSWORD) and ann.account == "ann"
    assert ann.join("lobby") and ann.account == "ann"
    assert [type(each) for each in server.said][:2] == [Login, Join]


def test_a_refusal_is_the_answer_and_does_not_end_the_conversation(
    server: ScriptedServer, ann: ChatClient
) -> None:
    def answer(visitor: Visitor, command: Command) -> list[Event] | None:
        if isinstance(command, Login) and command.password != PASSWORD:
            return [Error("bad_login", "wrong", command.id)]
        return None

    server.answer = answer
    assert not ann.login("something else") and ann.error and ann.error.code == "bad_login"  # fmt: skip
    assert ann.login(PASSWORD) and ann.join()


def test_the_password_is_sent_once_however_often_the_connection_breaks(
    server: ScriptedServer, ann: ChatClient
) -> None:
    assert ann.login(PASSWORD) and ann.join()
    for times in (2, 3):
        ann._talk.reconnector._link.abort("the cable was cut")
        wait_until(lambda: len(server.of(Join)) == times)
        assert server.of(Join)[-1].token is not None
    assert server.lines.count(PASSWORD.encode()) == 1
    assert server.lines.count(b"password") == 1


def test_what_has_no_answer_when_the_connection_breaks_is_refused_and_not_repeated(
    server: ScriptedServer, ann: ChatClient
) -> None:
    def answer(visitor: Visitor, command: Command) -> list[Event] | None:
        if isinstance(command, Kick):
            visitor.sock.shutdown(2)
            return []
        return None

    server.answer = answer
    assert ann.join()
    assert not ann.request(Kick("eve", "lobby"))
    assert ann.error is not None and ann.error.code == "connection_lost"
    wait_until(lambda: len(server.of(Join)) == 2)
    assert ann.wait_until(lambda: ann.connected and not ann.unsent, 60)
    assert len(server.of(Kick)) == 1


def test_what_needs_no_answer_is_not_waited_for(
    server: ScriptedServer, ann: ChatClient
) -> None:
    server.answer = lambda visitor, command: [] if isinstance(command, Kick) else None
    assert ann.join()
    assert ann.request(MarkRead("lobby", 1)) and ann.request(ListBans("lobby"))
    assert ann.request(Kick("eve", "lobby"), timeout=0.0)
    assert not ann.request(Kick("eve", "lobby"), timeout=0.05)
    assert ann.error is not None and ann.error.code == "no_answer"
    wait_until(lambda: len(server.of(Kick)) == 2 and server.of(MarkRead))


def test_a_request_in_a_callback_does_not_wait(
    server: ScriptedServer, ann: ChatClient
) -> None:
    done: list[bool] = []

    def kick(event: object) -> None:
        if getattr(event, "content", "") == "hello":
            done.append(ann.request(Kick("eve", "lobby")))

    ann.set_event_callback(kick)
    assert ann.join() and ann.send_message("hello")
    wait_until(lambda: server.of(Kick))
    assert done == [True]


@pytest.mark.parametrize(("command", "code"), [(Logout(), "logged_out"), (DeleteAccount(PASSWORD), "account_deleted")])  # fmt: skip
def test_who_leaves_an_account_leaves_the_chat(
    server: ScriptedServer, ann: ChatClient, command: Command, code: str
) -> None:
    assert ann.login(PASSWORD) and ann.join() and ann.request(command)
    assert ann.wait_until(lambda: ann.goodbye, 60)
    assert ann.goodbye == Goodbye(code, ann.goodbye.content, False)
    assert ann.account is None and not ann.connected


def test_strict_raises_and_does_not_show_the_password(server: ScriptedServer) -> None:
    server.answer = lambda visitor, command: (
        [Error("bad_login", "wrong", command.id)]
        if isinstance(command, Login)
        else None
    )
    with ChatClient("ann", strict=True, timeout=60) as client:
        client.connect("127.0.0.1", server.port)
        with pytest.raises(ChatError) as caught:
            client.login(PASSWORD)
    assert str(caught.value) == "wrong (bad_login)"


def test_nothing_is_asked_before_there_is_a_connection_or_a_room(
    server: ScriptedServer, ann: ChatClient
) -> None:
    assert not ann.request(Kick("eve", "lobby"))
    assert ann.error is not None and ann.error.code == "not_joined"
    other = ChatClient("bob")
    assert not other.login(PASSWORD) and other.error is not None
    assert other.error.code in ("not_connected", "insecure")
