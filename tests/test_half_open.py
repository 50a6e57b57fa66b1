"""A name that is held by a connection which may be dead: who wants it is told for how long."""

import time
from collections.abc import Iterator

import pytest
from helpers import LineClient, Listener
from waiting import wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.protocol import Error
from python_tcp.reconnector import until_free


class Ahead(ChatServer):
    """A server whose loop has a clock that a test can put forward."""

    ahead = 0.0

    def start(self) -> int:
        port = super().start()
        self._server.loop._clock = lambda: time.monotonic() + self.ahead
        return port


@pytest.fixture
def server() -> Iterator[Ahead]:
    with Ahead() as server:
        yield server


@pytest.fixture
def bob(server: Ahead) -> Iterator[LineClient]:
    """Who is there, or half of him: a test answers his pings, or does not."""
    with LineClient(server.port).join("bob") as bob:
        yield bob


def ask(server: Ahead) -> dict:
    """Eve wants the name."""
    with LineClient(server.port) as eve:
        eve.say("join", username="Bob")
        return eve.read_until("error")


def test_who_has_just_spoken_is_there_and_the_name_is_taken(
    server: Ahead, bob: LineClient
) -> None:
    error = ask(server)
    assert (error["code"], error["content"]) == ("name_taken", "bob is taken")
    assert "retry_after" not in error


def test_who_was_silent_and_answers_keeps_the_name(
    server: Ahead, bob: LineClient
) -> None:
    server.ahead = 6.0
    assert ask(server)["retry_after"] == 2.0
    bob.read_until("ping")
    bob.say("pong")
    bob.say("ping")
    bob.read_until("pong")  # the server has seen it
    assert "retry_after" not in ask(server)


def test_the_one_who_asks_hears_for_how_long_a_silent_holder_is_believed(
    server: Ahead, bob: LineClient
) -> None:
    server.ahead = 6.0
    assert "20 s" in ask(server)["content"]
    server.ahead = 25.0
    error = ask(server)
    assert 0.1 <= error["retry_after"] <= 1.0, "one second is left of twenty"
    server.ahead = 26.5
    ask(server)
    wait_until(lambda: "bob" not in server.users)
    assert "kept for its owner" in ask(server)["content"]


def test_a_client_tries_until_its_own_ghost_is_gone(
    server: Ahead, bob: LineClient
) -> None:
    """As after a crash: a new program, which has no token."""
    server.limits.take_over(type(server.limits)(resume_window=0.0))
    server.ahead = 6.0
    told: list[str] = []
    clients: list[Listener] = []

    def attempt() -> Error | None:
        clients.append(client := Listener("bob"))
        joined = client.connect("127.0.0.1", server.port) and client.join()
        return None if joined else client.error

    def wait(seconds: float) -> None:
        clients[-1].leave()
        server.ahead += seconds

    assert until_free(attempt, told.append, wait) is None
    assert 8 <= len(told) <= 12 and "Trying again in 2 s." in told[0]
    assert clients[-1].connected and server.users == ["bob"]
    clients[-1].leave()
