"""`python -m python_tcp.demo`, and the conversation that is replayed against every server of the book."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
from waiting import LIMIT, wait_until
from proxy import Proxy

from python_tcp import delivery, reconnector
from python_tcp.chat_app import ChatServer
from python_tcp.demo import CONVERSATION, ChatPerson, Step, connect, play

pytestmark = pytest.mark.slow  # it starts programs

TRANSCRIPT = {
    "Alice": [
        "* Welcome to lobby, Alice!", "* in lobby: Alice", "* Bob joined lobby", "* Charlie joined lobby", "Alice: Hello everyone!", "Bob: Hi Alice, hi Charlie.",
        "Charlie: Grüße! 👋", "* Charlie left lobby", "Alice: He was in a hurry.", "Bob: He always is.", "* Bob left lobby", "* Goodbye!",
    ],
    "Bob": [
        "* Welcome to lobby, Bob!", "* in lobby: Alice, Bob", "* Charlie joined lobby", "Alice: Hello everyone!", "Bob: Hi Alice, hi Charlie.", "Charlie: Grüße! 👋",
        "* Charlie left lobby", "Alice: He was in a hurry.", "Bob: He always is.", "* Goodbye!",
    ],
    "Charlie": [
        "* Welcome to lobby, Charlie!", "* in lobby: Alice, Bob, Charlie", "Alice: Hello everyone!", "Bob: Hi Alice, hi Charlie.", "Charlie: Grüße! 👋", "* Goodbye!",
    ],
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_demo_prints_what_each_of_them_saw_and_ends(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    finished = subprocess.run(
        [sys.executable, "-m", "python_tcp.demo"], capture_output=True, timeout=60
    )
    assert (finished.returncode, finished.stderr) == (0, b"")
    expected = "".join(
        f"{name} saw:\n" + "".join(f"  {line}\n" for line in lines) + "\n"
        for name, lines in TRANSCRIPT.items()
    )
    assert finished.stdout.decode(encoding) == expected.encode(
        encoding, "replace"
    ).decode(encoding)


@pytest.mark.slow
def test_the_conversation_is_the_same_each_time() -> None:
    with ChatServer() as server:
        for _ in range(20):
            seen = play(CONVERSATION, partial(connect, server=server), timeout=LIMIT)
            assert seen == TRANSCRIPT
            assert server.users == []


def test_the_conversation_is_the_same_when_everybody_is_cut_off_before_each_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        reconnector, "backoff_delays", lambda: delivery.backoff_delays(0.01, 0.1)
    )

    def connect_through_proxy(name: str) -> ChatPerson:
        person = ChatPerson(name, "127.0.0.1", proxy.port)
        say = person.send_message
        person.send_message = lambda content: (
            proxy.cut(reset=name == "Alice"),
            say(content),
        )
        return person

    def said(lines: list[str]) -> list[str]:
        return [
            line
            for line in lines
            if line.startswith(tuple(f"{name}: " for name in TRANSCRIPT))
        ]

    with ChatServer() as server, Proxy(("127.0.0.1", server.port)) as proxy:
        seen = play(CONVERSATION, connect_through_proxy, timeout=LIMIT)
        assert proxy.cuts >= 10, (
            "three before each of the first three lines, two before the others"
        )
        assert {name: said(lines) for name, lines in seen.items()} == {
            name: said(lines) for name, lines in TRANSCRIPT.items()
        }
        assert all(
            lines[-1] == "* Goodbye!" and lines.count("* Goodbye!") == 1
            for lines in seen.values()
        )
        wait_until(lambda: server.users == [])


class Loopback:
    """A chat without a network: everybody hears everything at once, but for what the fault swallows."""

    def __init__(
        self, swallows: Callable[[str, str], bool] = lambda name, line: False
    ) -> None:
        self.swallows = swallows
        self.people: dict[str, LoopbackPerson] = {}

    def tell(self, line: str) -> None:
        for name, person in self.people.items():
            if not self.swallows(name, line):
                person.lines.append(line)


class LoopbackPerson:
    def __init__(self, name: str, chat: Loopback) -> None:
        self.name, self.chat, self.lines = name, chat, []

    def join(self) -> None:
        self.chat.people[self.name] = self
        self.chat.tell(f"* {self.name} joined")

    def send_message(self, content: str) -> None:
        self.chat.tell(f"{self.name}: {content}")

    def leave(self) -> None:
        del self.chat.people[self.name]
        self.chat.tell(f"* {self.name} left")


def test_a_server_without_a_fault_passes() -> None:
    seen = play(CONVERSATION, partial(LoopbackPerson, chat=Loopback()), timeout=0.1)
    assert seen["Alice"][-2:] == ["Bob: He always is.", "* Bob left"]


@pytest.mark.parametrize("name, line", [
    ("Alice", "Bob: He always is."), ("Bob", "Bob: He always is."), ("Charlie", "Alice: Hello everyone!"), ("Alice", "* Charlie joined"), ("Bob", "* Bob joined"),
    ("Bob", "* Charlie left"), ("Alice", "* Bob left"),
])  # fmt: skip
def test_a_server_that_swallows_a_line_is_caught(name: str, line: str) -> None:
    chat = Loopback(lambda who, what: (who, what) == (name, line))
    with pytest.raises(TimeoutError):
        play(CONVERSATION, partial(LoopbackPerson, chat=chat), timeout=0.1)


def test_a_line_that_was_said_before_does_not_count() -> None:
    chat = Loopback(
        lambda who, what: what == "Alice: again" and len(chat.people["Alice"].lines) > 1
    )
    with pytest.raises(TimeoutError):
        play(
            (
                Step("Alice", "joins"),
                Step("Alice", "says", "again"),
                Step("Alice", "says", "again"),
            ),
            partial(LoopbackPerson, chat=chat),
            timeout=0.1,
        )


def test_somebody_may_leave_and_join_again_and_all_that_was_seen_is_there() -> None:
    conversation = (
        Step("Alice", "joins"), Step("Bob", "joins"), Step("Alice", "says", "one"),
        Step("Bob", "leaves"), Step("Alice", "says", "two"), Step("Bob", "joins"),
        Step("Alice", "says", "three"),
    )  # fmt: skip
    seen = play(conversation, partial(LoopbackPerson, chat=Loopback()), timeout=0.1)
    bob = ["* Bob joined", "Alice: one", "* Bob joined", "Alice: three"]
    assert seen["Bob"] == bob and len(seen["Alice"]) == 7
    with ChatServer() as server:
        seen = play(conversation + (Step("Alice", "leaves"), Step("Bob", "leaves")), partial(connect, server=server))  # fmt: skip
    lines = [line for line in seen["Bob"] if not line.startswith("*")]
    assert lines == ["Alice: one", "Alice: three"]


def test_a_server_that_is_not_there_is_said() -> None:
    server = ChatServer()
    server.start()
    server.stop()
    with pytest.raises(ConnectionError):
        play(CONVERSATION, partial(connect, server=server))
