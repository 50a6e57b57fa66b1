"""What survives: a server that is killed, connections that are cut, machines that fall silent, a full disk."""

import io
import itertools
import json
import os
import random
import re
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from async_person import AsyncPerson, LoopThread
from authority import client_tls, server_file, server_tls
from helpers import LIMIT, LineClient, Listener, Program, wait_until
from proxy import Cut, Proxy
from sockets import nothing_left_over  # noqa: F401

from python_tcp import delivery, events, reconnector
from python_tcp.chat_app import run_chat_client
from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import ClientEvent, Disconnected, HistoryGap, Reconnected
from python_tcp.history import SQLiteStore
from python_tcp.protocol import (
    Error,
    Goodbye,
    Limits,
    Message,
    Ok,
    StatusChanged,
    UserJoined,
    UserLeft,
    UserList,
    WhisperReceived,
)

HOST = "127.0.0.1"
# Over TLS the long tests are shorter, for the time of all tests: `FULL=1 pytest -k tls` runs them whole.
FULL = bool(os.environ.get("FULL"))
over_tls = pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
FREE = Limits(flood_burst=0, connections_per_address=0)
pytestmark = pytest.mark.usefixtures("nothing_left_over")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients come back soon: nothing here is about how long they wait."""
    monkeypatch.setattr(
        reconnector, "backoff_delays", lambda: delivery.backoff_delays(0.01, 0.1)
    )


class Person(Listener):
    """A chat client that keeps what it is told."""

    def told(self, *kinds: type) -> list[ClientEvent]:
        return [event for event in list(self.events) if isinstance(event, kinds)]

    def told_in(self, room: str = "lobby") -> list[tuple[int, str]]:
        """Number and content of each message on the screen."""
        return [
            (event.seq, event.content)
            for event in self.told(Message)
            if event.room == room
        ]


class Crowd(ExitStack):
    """People who leave at the end. They all have the same client: the one with threads, or
    the one on asyncio.
    """

    def __init__(self, kind: str = "threads") -> None:
        super().__init__()
        self._loop = LoopThread() if kind == "asyncio" else None
        if self._loop is not None:
            self.callback(self._loop.close)

    @property
    def on_asyncio(self) -> bool:
        return self._loop is not None

    def meet(
        self,
        name: str,
        port: int,
        join: bool = True,
        tls: bool = False,
        **options: float,
    ) -> Person:
        layer = client_tls() if tls else None
        if self._loop is None:
            person = Person(name, tls=layer, **options)
        else:
            person = AsyncPerson(name, self._loop, tls=layer, **options)
        self.callback(person.leave, timeout=0.1)
        self.callback(person.set_event_callback, lambda event: None)
        assert person.connect(HOST, port), person.error
        assert not join or person.join(), person.error
        return person


@pytest.fixture
def crowd(
    nothing_left_over: None,  # noqa: F811
    request: pytest.FixtureRequest,
) -> Iterator[Crowd]:
    with Crowd(getattr(request, "param", "threads")) as crowd:
        yield crowd


two_clients = pytest.mark.parametrize("crowd", ["threads", "asyncio"], indirect=True)


def config(tmp_path: Path, **limits: float) -> Path:
    (path := tmp_path / "chat.toml").write_text(
        "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in limits.items())
    )
    return path


@contextmanager
def server_process(*arguments: object) -> Iterator[Program]:
    """A real `chat_server`, whose port is open."""
    with Program("start_server", *arguments) as program:
        wait_until(lambda: program.lines or program.process.poll() is not None)
        assert program.lines, program.errors
        yield program


def port_of(program: Program) -> int:
    return int(re.search(r":(\d+);", program.lines[0])[1])


def rows(path: Path) -> list[tuple[str, int, str, str]]:
    """Room, number, name and text of all messages of a history, read as anybody could."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(
            "SELECT room, seq, username, content FROM messages ORDER BY room, seq"
        ).fetchall()


# --- kill -9 -----------------------------------------------------------------------------------------------------


class Talkers:
    """A thread on which people say one thing after the other: `NAME NUMBER`."""

    def __init__(
        self,
        people: list[Person],
        pause: float,
        also: Callable[[Person, int], object] = lambda person, number: None,
    ) -> None:
        self.said = {person.username: 0 for person in people}
        self._people, self._pause, self._also = people, pause, also
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        for person in itertools.cycle(self._people):
            if self._enough.wait(self._pause):
                return
            name = person.username
            if person.unsent < 20 and person.send_message(
                f"{name} {self.said[name] + 1}"
            ):
                self.said[name] += 1
                self._also(person, self.said[name])

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def everything(self) -> list[str]:
        return sorted(
            f"{name} {number}"
            for name, count in self.said.items()
            for number in range(1, count + 1)
        )


def in_order(contents: list[str]) -> bool:
    """Does each person's counting have no gap, no double and no step back?"""
    counts: dict[str, int] = {}
    for content in contents:
        name, number = content.split()
        if counts.setdefault(name, 0) + 1 != int(number):
            return False
        counts[name] += 1
    return True


def joined(person: Person) -> list[str]:
    """Who has come, as this person saw it."""
    return [event.username for event in person.told(UserJoined)]


@pytest.mark.slow(seconds=25)
@two_clients
@over_tls
def test_kill_9_at_50_random_moments_while_20_clients_send(
    tmp_path: Path, reserved_port: int, crowd: Crowd, tls: bool
) -> None:
    kills = 50 if FULL or not tls and not crowd.on_asyncio else 10
    seed = random.randrange(2**32)
    print("seed", seed)  # is shown if the test fails
    dice, file = random.Random(seed), tmp_path / "chat.db"
    arguments = [
        "--port",
        reserved_port,
        "--history",
        file,
        "--config",
        config(tmp_path, flood_burst=0),
    ]
    arguments += ["--tls-cert", server_file()] if tls else []
    people: list[Person] = []
    talkers = None
    times_back = lambda: sum(len(person.told(Reconnected)) for person in people)
    try:
        for kill in range(kills):
            before = times_back()
            with server_process(*arguments) as program:
                if talkers is None:
                    people = [
                        crowd.meet(f"p{number}", reserved_port, tls=tls, timeout=LIMIT)
                        for number in range(20)
                    ]
                    names = [person.username for person in people]
                    for number, person in enumerate(people):
                        came = names[number + 1 :]  # after this one
                        wait_until(lambda: joined(person) == came)
                    talkers = Talkers(people, 0.004)
                elif kill % 2:  # not always before anybody is back, however slow we are
                    wait_until(lambda: times_back() > before)
                time.sleep(dice.uniform(0, 0.3))
                assert program.end(signal.SIGKILL) == (-signal.SIGKILL, [])
        with server_process(*arguments) as program:
            talkers.stop()
            wait_until(lambda: not any(person.unsent for person in people), 30)
            kept = [(seq, content) for _, seq, _, content in rows(file)]
            wait_until(
                lambda: all(person.told_in()[-1:] == kept[-1:] for person in people), 30
            )
            for number, person in enumerate(people):  # nobody has left yet
                assert joined(person) == names[number + 1 :], "each has come once"
                assert not person.told(UserLeft) and sorted(person.users) == sorted(
                    names
                )
            assert all(person.leave(timeout=LIMIT) for person in people)
            assert program.end(signal.SIGTERM) == (0, [])
    finally:
        if talkers is not None:
            talkers.stop()

    assert kept == [(seq, content) for _, seq, _, content in rows(file)]
    assert [seq for seq, _ in kept] == list(range(1, len(kept) + 1))
    assert sorted(content for _, content in kept) == talkers.everything() and in_order(
        [content for _, content in kept]
    )
    for person in people:
        assert person.told_in() == kept, person.username
        said = {event.id: event.seq for event in person.told(Ok)}
        mine = [seq for seq, content in kept if content.split()[0] == person.username]
        assert sorted(said.values()) == mine, (
            "an ok for each, with the number that it has in the history"
        )
        assert not person.told(HistoryGap, Error)
        assert [event.code for event in person.told(Goodbye)] == [
            "left"
        ] and person.events[-1] == person.goodbye
    assert times_back() >= kills // 2 - 1 + 20, "and in the end, all of them"


# --- many come back at once --------------------------------------------------------------------------------------

MANY = int(os.environ.get("MANY", "200"))  # clients
MANY_PEOPLE = """
import json, os, resource, sys, threading, time
from python_tcp.chat_client import ChatClient
from python_tcp.chat_session import Disconnected, Reconnected
from python_tcp.protocol import Error, Goodbye, Message, UserJoined, UserLeft
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
port, first, count = map(int, sys.argv[1:])
down, told, last, heard = threading.Event(), [], 0.0, 0
lock = threading.Lock()

def note(number, event):
    global last, heard
    with lock:
        heard += isinstance(event, Message)
        if isinstance(event, Reconnected):
            last = time.time()
        if down.is_set() and isinstance(event, (Reconnected, UserJoined, UserLeft, Goodbye, Error)):
            told.append(type(event).__name__)

clients = [ChatClient(f"c{number}", timeout=60) for number in range(first, first + count)]
for number, client in enumerate(clients, first):
    client.set_event_callback(lambda event, number=number: note(number, event))
    assert client.connect("127.0.0.1", port) and client.join(f"room{number // 50}"), client.error
for client in clients:  # each has heard of the last one who came
    assert client.wait_until(lambda: len(client.users) == 50, 60), len(client.users)
print("ready", flush=True)
assert sys.stdin.readline()  # all have come
down.set()
print("on", flush=True)
assert sys.stdin.readline()  # the server has stopped
for number, client in enumerate(clients, first):
    assert client.send_message(f"from {number}"), client.error
end = time.time() + 60
while time.time() < end and (told.count("Reconnected") < count or heard < 50 * count):
    time.sleep(0.01)
counts = {kind: told.count(kind) for kind in set(told)}
print(json.dumps({"last": last, "heard": heard, **counts}), flush=True)
os._exit(0)
"""


@pytest.mark.slow
def test_all_come_back_after_a_restart_within_ten_seconds(
    tmp_path: Path, reserved_port: int
) -> None:
    """Nobody is lost, nobody is shut out, and nobody hears of a coming or going.

    With a thousand: `MANY=1000 pytest tests/test_resume.py -k all_come_back -s`.
    """
    crowd_allowed = config(tmp_path, connections_per_address=0)
    arguments = ["--port", reserved_port, "--data", tmp_path / "chat.db"]
    arguments += ["--config", crowd_allowed]
    part = max(50, MANY // 4)
    with ExitStack() as stack:
        crowds = []
        with server_process(*arguments) as server:
            for first in range(0, MANY, part):
                crowd = subprocess.Popen(
                    [sys.executable, "-c", MANY_PEOPLE]
                    + [str(each) for each in (reserved_port, first, part)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                )  # fmt: skip
                crowds.append(stack.enter_context(crowd))
                stack.callback(crowd.kill)
            for crowd in crowds:
                assert crowd.stdout.readline() == "ready\n"
            for crowd in crowds:
                crowd.stdin.write("go on\n")
                assert crowd.stdout.readline() == "on\n"
            assert server.end(signal.SIGTERM) == (0, [])
        for crowd in crowds:
            crowd.stdin.write("say something\n")
        with server_process(*arguments) as server:
            start = time.time()
            reports = [json.loads(crowd.stdout.readline()) for crowd in crowds]
            took = max(report.pop("last") for report in reports) - start
            print(f"{MANY} clients were back after {took:.1f} s")
            assert reports == [{"heard": 50 * part, "Reconnected": part}] * len(crowds)
            busy = os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)  # other programs
            assert took < (LIMIT if busy else 10)
            for crowd in crowds:
                crowd.wait(LIMIT)
            assert server.end(signal.SIGTERM) == (0, [])


# --- 1000 cuts ---------------------------------------------------------------------------------------------------


@pytest.mark.slow(seconds=12)
@two_clients
@over_tls
def test_a_thousand_cuts_at_random_places(crowd: Crowd, tls: bool) -> None:
    """Over TLS a part of them is in the handshake."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    most = 1000 if FULL or not tls and not crowd.on_asyncio else 200

    def plan() -> Cut | None:
        if proxy.cuts >= most:
            return None
        upward = dice.random() < 0.5  # short ones hit the joining and the replay
        after = dice.choice(
            [dice.randint(1, 150), dice.randint(1, 1500), dice.randint(1, 15_000)]
        )
        return Cut(after // (1 + 3 * upward) + 1, upward, dice.random() < 0.5)

    def whisper(person: Person, number: int) -> None:
        person.whisper("dee", f"{person.username} {number}")  # who is always there
        person.whisper(f"c{number % 6}", f"{person.username} {number}")

    layer = server_tls() if tls else None
    with (
        ChatServer(limits=FREE, tls=layer) as server,
        Proxy((HOST, server.port)) as proxy,
    ):
        dee = crowd.meet("dee", server.port, tls=tls)
        people = [
            crowd.meet(f"c{number}", proxy.port, tls=tls, timeout=LIMIT)
            for number in range(6)
        ]
        proxy.plan = plan
        proxy.cut()
        proxy.cuts = 0
        talkers = Talkers(people, 0.0015, whisper)
        try:
            wait_until(lambda: proxy.cuts >= most, 60)
        finally:
            talkers.stop()
        wait_until(lambda: not any(person.unsent for person in people), 30)
        last = sum(talkers.said.values())
        for person in (dee, *people):
            wait_until(lambda: len(person.told_in()) >= last, 60)
        assert proxy.cuts >= most
        expected = dee.told_in()  # who was never cut
        assert [seq for seq, _ in expected] == list(range(1, last + 1))
        assert sorted(
            content for _, content in expected
        ) == talkers.everything() and in_order([content for _, content in expected])
        for person in people:
            assert person.told_in() == expected, person.username
            assert not person.told(HistoryGap, Goodbye) and person.told(Reconnected)
            assert {event.code for event in person.told(Error)} <= {"not_delivered"}
        assert (
            sum(
                len(person.told(Disconnected)) - len(person.told(Reconnected))
                for person in people
            )
            > most // 20
        ), "some cuts hit a reconnect"
        comings = [event.username for event in dee.told(UserJoined, UserLeft)]
        assert comings == [f"c{number}" for number in range(6)], "each has come once"
        for person in people:
            assert {event.username for event in person.told(UserJoined)} <= {*comings}
            assert len(person.told(UserJoined)) <= 5 and not person.told(UserLeft)
        # Whispers: to who is there, each once and in order. To who is cut now and then: at most once, in order.
        assert (
            sorted(event.content for event in dee.told(WhisperReceived))
            == talkers.everything()
        )
        assert in_order([event.content for event in dee.told(WhisperReceived)])
        for person in people:
            for speaker in people:
                heard = [
                    int(event.content.split()[1])
                    for event in person.told(WhisperReceived)
                    if event.username == speaker.username
                    and event.to == person.username
                ]
                assert heard == sorted(set(heard)), "doubled, or out of order"


# --- silent machines ---------------------------------------------------------------------------------------------


@pytest.mark.slow(seconds=2)
def test_a_client_that_fell_silent_is_gone_after_a_while_and_its_name_is_free(
    crowd: Crowd,
) -> None:
    with (
        ChatServer(
            limits=Limits(ping_after=0.3, ping_timeout=1.5, resume_window=0.2)
        ) as server,
        Proxy((HOST, server.port)) as proxy,
    ):
        bob = crowd.meet("bob", server.port)
        with LineClient(proxy.port).join("ann") as ann:
            assert bob.wait_until(lambda: "ann" in bob.users)
            proxy.stall()
            ann.say("message", content="nobody will hear this")
            wait_until(lambda: "ann" not in bob.users)
            proxy.heal()
            assert [event.username for event in bob.told(UserLeft)] == [
                "ann"
            ] and not bob.told(Message)
            crowd.meet("Ann", server.port)
        assert not bob.told(Disconnected)


def test_a_client_that_only_answers_pings_stays(crowd: Crowd) -> None:
    with (
        ChatServer(limits=Limits(ping_after=0.05, ping_timeout=5.0)) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        for _ in range(5):
            assert ann.read() == {"type": "ping"}
            ann.say("pong")
        assert server.users == ["ann"]


@two_clients
def test_a_name_is_taken_back_at_once_from_ones_own_ghost(crowd: Crowd) -> None:
    with (
        ChatServer() as server,
        Proxy((HOST, server.port)) as proxy,
    ):  # it would notice after 50 s
        ann, bob = crowd.meet("ann", proxy.port), crowd.meet("bob", server.port)
        assert ann.join("dev") and ann.join("lobby")
        for number in range(5):
            ghosts = server.connections
            proxy.make_ghosts()
            assert bob.send_message(f"b{number}") and ann.send_message(f"a{number}")
            wait_until(lambda: len(ann.told(Reconnected)) == number + 1)
            wait_until(lambda: server.connections == ghosts)  # the ghost is closed
        wait_until(lambda: len(ann.told_in()) == len(bob.told_in()) == 10)
        assert ann.told_in() == bob.told_in() and server.users == ["ann", "bob"]
        assert set(ann.rooms) == {"lobby", "dev"} and not ann.told(Goodbye, Error)


def test_without_the_token_the_name_stays_taken(crowd: Crowd) -> None:
    with (
        ChatServer() as server,
        LineClient(server.port) as ann,
        LineClient(server.port) as eve,
    ):
        ann.say("join", username="ann")
        token = ann.read()["token"]
        ann.read()
        for wrong in (None, token[:-1] + "!", "x" * 20, token.swapcase()):
            eve.say("join", username="ann", **({"token": wrong} if wrong else {}))
            assert eve.read()["code"] in ("name_taken", "bad_message")
        eve.say("join", username="ANN", token=token)
        assert eve.read_until("welcome")["token"] == token
        assert [event["code"] for event in ann.read_all()] == ["replaced"]
        assert server.users == ["ANN"]


@two_clients
def test_a_server_that_fell_silent_is_left_and_found_again(crowd: Crowd) -> None:
    with ChatServer() as server, Proxy((HOST, server.port)) as proxy:
        ann, bob = (
            crowd.meet("ann", proxy.port, ping_after=0.2, ping_timeout=0.5),
            crowd.meet("bob", server.port),
        )
        proxy.stall()
        assert ann.send_message("one") and bob.send_message("two")
        wait_until(lambda: ann.told(Disconnected))
        assert "does not answer" in ann.told(Disconnected)[0].reason
        proxy.heal()
        wait_until(
            lambda: (
                ann.told(Reconnected) and len(ann.told_in()) == len(bob.told_in()) == 2
            )
        )
        assert ann.told_in() == bob.told_in() == [(1, "two"), (2, "one")]


# --- coming back -------------------------------------------------------------------------------------------------


@pytest.fixture
def proxied(crowd: Crowd) -> Iterator[tuple[ChatServer, Proxy]]:
    with ChatServer(limits=FREE) as server, Proxy((HOST, server.port)) as proxy:
        yield server, proxy
        crowd.close()


Proxied = tuple[ChatServer, Proxy]


@pytest.mark.parametrize("kept", [True, False], ids=["with a file", "without"])
@two_clients
def test_coming_back_after_a_restart_of_the_server(
    tmp_path: Path, crowd: Crowd, reserved_port: int, kept: bool
) -> None:
    def start() -> ChatServer:
        server = ChatServer(
            port=reserved_port,
            limits=FREE,
            history=tmp_path / "chat.db" if kept else None,
        )
        wait_until(lambda: started(server))
        return server

    def started(server: ChatServer) -> bool:
        try:
            return bool(server.start())
        except OSError:  # a connection of the last one is not gone yet
            return False

    with start():
        ann, bob = crowd.meet("ann", reserved_port), crowd.meet("bob", reserved_port)
        assert ann.join("dev") and ann.join("lobby") and ann.set_status("away")
        assert ann.send_message("before") and ann.wait_until(
            lambda: (1, "before") in ann.told_in()
        )
        assert bob.wait_until(lambda: (1, "before") in bob.told_in())
    wait_until(lambda: ann.told(Disconnected) and bob.told(Disconnected))
    assert ann.send_message("meanwhile")
    with start() as server:
        wait_until(
            lambda: (
                ann.told(Reconnected)
                and bob.told(Reconnected)
                and any(content == "meanwhile" for _, content in bob.told_in())
            )
        )
        assert server.users == ["ann", "bob"] and set(ann.rooms) == {"lobby", "dev"}
        assert not ann.connected or ann.send_message("after")
        wait_until(
            lambda: all(person.told_in()[-1][1] == "after" for person in (ann, bob))
        )
        texts = [content for _, content in ann.told_in()]
        assert (
            texts
            == [content for _, content in bob.told_in()]
            == ["before", "meanwhile", "after"]
        )
        gaps = {event.room for event in ann.told(HistoryGap)}
        assert gaps == (set() if kept else {"lobby", "dev"}), (
            "numbers that begin anew are said"
        )
        assert [seq for seq, _ in ann.told_in()] == ([1, 2, 3] if kept else [1, 1, 2])
        assert bob.ask_users() and bob.wait_until(
            lambda: any(
                event.statuses == {"ann": "away"} for event in bob.told(UserList)
            )
        )
        crowd.close()


@pytest.mark.slow(seconds=5)
@two_clients
def test_a_line_said_while_lost_arrives_after_coming_back(
    proxied: Proxied, crowd: Crowd
) -> None:
    server, proxy = proxied
    ann, bob = crowd.meet("ann", proxy.port), crowd.meet("bob", server.port)
    proxy.refuse()
    wait_until(lambda: ann.told(Disconnected) and server.users == ["bob"])
    for number in range(1, 6):
        assert ann.send_message(str(number)), ann.error
    assert (
        bob.send_message("b")
        and bob.whisper("ann", "psst")
        and ann.whisper("bob", "still there?")
    )
    assert bob.wait_until(lambda: not bob.unsent), "it waits for her at the server"
    wait_until(lambda: ann.unsent == 6)  # in an attempt, there is a `Join` as well
    assert (
        ann.join()
        and not ann.join("dev")
        and ann.error.code in ("not_connected", "no_answer")  # before or in an attempt
    )
    proxy.heal()
    wait_until(
        lambda: (
            len(bob.told_in()) == len(ann.told_in()) == 6 and bob.told(WhisperReceived)
        )
    )
    assert (
        ann.told_in()
        == bob.told_in()
        == [(1, "b"), *((number + 1, str(number)) for number in range(1, 6))]
    )
    wait_until(lambda: len(bob.told(WhisperReceived)) == 2)
    assert ann.wait_until(lambda: len(ann.told(WhisperReceived)) == 2)
    for person in (ann, bob):
        whispers = {event.content for event in person.told(WhisperReceived)}
        assert whispers == {"psst", "still there?"}
    assert bob.users == ["bob", "ann"] or bob.users == ["ann", "bob"]
    assert not bob.told(Error, UserLeft) and not ann.told(Error, UserLeft)
    assert [
        type(event)
        for event in ann.events
        if isinstance(event, (Disconnected, Reconnected))
    ] == [Disconnected] * len(ann.told(Disconnected)) + [Reconnected]


@pytest.fixture
def impatient(crowd: Crowd) -> Iterator[tuple[ChatServer, Proxy]]:
    """A server that keeps a place for a moment only."""
    limits = Limits(flood_burst=0, connections_per_address=0, resume_window=0.2)
    with ChatServer(limits=limits) as server, Proxy((HOST, server.port)) as proxy:
        yield server, proxy
        crowd.close()


@two_clients
def test_a_name_that_somebody_else_has_taken_meanwhile_is_one_goodbye_that_says_so(
    impatient: Proxied, crowd: Crowd
) -> None:
    """It can be taken after it was given up."""
    server, proxy = impatient
    ann = crowd.meet("ann", proxy.port)
    assert ann.join("dev")
    proxy.refuse()
    wait_until(lambda: ann.told(Disconnected) and server.users == [])
    wait_until(lambda: server.rooms == [])  # after the resume window
    crowd.meet("ANN", server.port)
    proxy.heal()
    wait_until(lambda: ann.told(Goodbye))
    assert [event.code for event in ann.told(Goodbye)] == ["name_taken"] and ann.events[
        -1
    ] == ann.goodbye
    wait_until(lambda: ann.lines and "taken" in ann.lines[-1])  # after the event
    assert not ann.connected and ann.rooms == {} and ann.send_message("x") is False
    assert ann.error.code == "name_taken"
    assert ann.leave() is False and len(ann.told(Goodbye)) == 1


@two_clients
def test_a_room_that_can_not_be_entered_again_is_left_and_the_rest_goes_on(
    tmp_path: Path, crowd: Crowd, reserved_port: int
) -> None:
    file = tmp_path / "chat.db"
    with ChatServer(port=reserved_port, limits=FREE, history=file):
        ann = crowd.meet("ann", reserved_port)
        assert ann.join("dev") and ann.join("ops")
    wait_until(lambda: ann.told(Disconnected))
    with ChatServer(
        port=reserved_port,
        limits=Limits(flood_burst=0, connections_per_address=0, rooms_per_client=2),
        history=file,
    ):
        wait_until(lambda: ann.told(Reconnected))
        assert list(ann.rooms) == ["lobby", "dev"] and [
            event.code for event in ann.told(Error)
        ] == ["bad_room"]
        assert [event.room for event in ann.told(UserLeft)] == ["ops"]
        assert ann.send_message("here") and ann.wait_until(
            lambda: ann.told_in("dev") == [(1, "here")]
        )
        crowd.close()


@two_clients
def test_patience_that_runs_out_is_one_goodbye(crowd: Crowd) -> None:
    with ChatServer() as server:
        ann = crowd.meet("ann", server.port, patience=0.3)
    wait_until(lambda: ann.told(Goodbye))
    assert [event.code for event in ann.told(Goodbye)] == [
        "server_closing"
    ] and ann.events[-1] == ann.goodbye
    assert (
        ann.send_message("x") is False and ann.join() is False and ann.leave() is False
    )
    assert len(ann.told(Goodbye)) == 1


@two_clients
def test_patience_that_runs_out_after_trying_is_one_goodbye(
    proxied: Proxied, crowd: Crowd
) -> None:
    _, proxy = proxied
    ann = crowd.meet("ann", proxy.port, patience=1.5)
    start = time.monotonic()
    proxy.refuse()
    wait_until(lambda: ann.told(Goodbye))
    assert (
        len(ann.told(Disconnected)) > 1
        and not ann.told(Reconnected)
        and time.monotonic() - start >= 0.3
    )
    assert [event.code for event in ann.told(Goodbye)] == [
        "connection_lost"
    ] and ann.events[-1] == ann.goodbye


@pytest.mark.slow(seconds=3)
@two_clients
def test_patience_counts_from_the_loss_and_not_from_the_beginning(
    proxied: Proxied, crowd: Crowd
) -> None:
    _, proxy = proxied
    ann = crowd.meet("ann", proxy.port, patience=2.0)
    started = time.monotonic()
    for count in itertools.count(1):
        proxy.cut(reset=count % 2 == 0)
        wait_until(lambda: len(ann.told(Reconnected)) == count)
        if time.monotonic() - started > 2.5:
            break
    assert not ann.told(Goodbye)


@two_clients
def test_leaving_while_lost_is_one_goodbye_and_nothing_comes_after_it(
    proxied: Proxied, crowd: Crowd
) -> None:
    _, proxy = proxied
    ann = crowd.meet("ann", proxy.port)
    proxy.refuse()
    wait_until(lambda: len(ann.told(Disconnected)) > 1)
    assert ann.send_message("never said") and ann.leave() is False
    assert [event.code for event in ann.told(Goodbye)] == ["left"] and ann.events[
        -1
    ] == ann.goodbye
    before = list(ann.events)
    proxy.heal()
    assert (
        ann.leave() is False
        and ann.send_message("x") is False
        and ann.error.code == "not_connected"
    )
    wait_until(
        lambda: (
            not [
                thread
                for thread in threading.enumerate()
                if thread.name == "ChatClient"
            ]
        )
    )
    assert ann.events == before and not ann.connected


def test_connecting_anew_while_lost_is_a_new_conversation(
    proxied: Proxied, crowd: Crowd
) -> None:
    server, proxy = proxied
    ann = crowd.meet("ann", proxy.port)
    assert (
        ann.join("dev")
        and ann.send_message("old")
        and ann.wait_until(lambda: not ann.unsent)
    )
    proxy.refuse()
    wait_until(lambda: ann.told(Disconnected) and server.users == [])
    assert ann.send_message("never said")
    assert ann.connect(HOST, server.port), "past the proxy"
    assert ann.rooms == {} and ann.unsent == 0 and ann.goodbye is None
    left = ["left"]  # of the old one
    wait_until(lambda: [event.code for event in ann.told(Goodbye)] == left)
    assert (
        ann.join()
        and ann.send_message("new")
        and ann.wait_until(lambda: (1, "new") in ann.told_in())
    )
    proxy.heal()
    wait_until(
        lambda: (
            not [
                thread
                for thread in threading.enumerate()
                if thread.name == "ChatClient"
            ]
        )
    )
    wait_until(lambda: list(ann.rooms) == ["lobby"] and server.users == ["ann"])
    assert ann.connected and not ann.told(Reconnected)


@pytest.mark.parametrize("when", [Disconnected, Reconnected])
@pytest.mark.parametrize(
    "what", ["leave", "connect", "join", "send_message", "everything"]
)
def test_callbacks_may_call_anything(
    proxied: Proxied, crowd: Crowd, when: type, what: str
) -> None:
    server, proxy = proxied
    ann, answers = (
        crowd.meet("ann", proxy.port, timeout=4 * LIMIT),
        [],
    )  # who waits for it, fails

    def do() -> None:
        if what in ("send_message", "everything"):
            answers.append(ann.send_message("from inside"))
        if what in ("join", "everything"):
            answers.append(ann.join("dev"))
        if what in ("connect", "everything"):
            answers.append(ann.connect(HOST, server.port))
        if what in ("leave", "everything"):
            answers.append(ann.leave())

    def on_event(event: ClientEvent) -> None:
        ann.events.append(event)
        if isinstance(event, when) and not answers:
            do()

    ann.set_event_callback(on_event)
    proxy.cut()
    wait_until(lambda: len(answers) == (4 if what == "everything" else 1))
    if what in ("leave", "everything"):
        wait_until(lambda: not ann.connected and server.users == [])
    elif what == "connect":
        assert answers == [True]
        wait_until(lambda: ann.connected and server.users == [])
        assert ann.join() and server.users == ["ann"]
    else:
        wait_until(lambda: ann.told(Reconnected))
        assert ann.send_message("outside") and ann.wait_until(
            lambda: "outside" in str(ann.told_in()) + str(ann.told_in("dev"))
        )
        assert what != "send_message" or [content for _, content in ann.told_in()] == [
            "from inside",
            "outside",
        ]
    conversations = 2 if what in ("connect", "everything") else 1
    ann.leave()
    wait_until(lambda: len(ann.told(Goodbye)) == conversations)
    assert isinstance(ann.events[-1], Goodbye)


def test_a_callback_that_raises_does_not_keep_the_client_from_coming_back(
    proxied: Proxied, crowd: Crowd
) -> None:
    _, proxy = proxied
    ann = crowd.meet("ann", proxy.port)

    def fail(event: ClientEvent) -> None:
        ann.events.append(event)
        raise RuntimeError("a fault of the callback")

    ann.set_event_callback(fail)
    for count in (1, 2):
        proxy.cut()
        wait_until(lambda: len(ann.told(Reconnected)) == count)


@two_clients
def test_a_full_server_is_asked_again_when_it_said_so(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, _ = events._GOODBYES["server_full"]
    monkeypatch.setitem(events._GOODBYES, "server_full", (content, 0.4))
    with (
        ChatServer(limits=Limits(connections=1)) as server,
        Proxy((HOST, server.port)) as proxy,
    ):
        ann = crowd.meet("ann", proxy.port)
        proxy.refuse()
        wait_until(lambda: ann.told(Disconnected) and server.users == [])
        with LineClient(server.port).join("bob"):
            proxy.heal()
            wait_until(
                lambda: [
                    event for event in ann.told(Disconnected) if "full" in event.reason
                ]
            )
            [full, *_] = [
                event for event in ann.told(Disconnected) if "full" in event.reason
            ]
            assert full.retry_in >= 0.4, "as the server asked"
        wait_until(lambda: ann.told(Reconnected))
        assert server.users == ["ann"] and not ann.told(Goodbye)
        crowd.close()


@pytest.mark.parametrize(("code", "comes_back"), [
    ("server_closing", True), ("slow_consumer", True), ("idle", True), ("rate_limited", True), ("replaced", False), ("bad_message", False), ("left", False),
])  # fmt: skip
@two_clients
def test_a_goodbye_says_whether_to_come_back(
    proxied: Proxied,
    crowd: Crowd,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    comes_back: bool,
) -> None:
    server, proxy = proxied
    content, retry_after = events._GOODBYES[code]
    monkeypatch.setitem(
        events._GOODBYES,
        code,
        (content, None if retry_after is None else retry_after / 10),
    )
    ann = crowd.meet("ann", proxy.port)
    server._server.close(server.connection_of("ann")[0], code)
    wait_until(lambda: ann.told(Reconnected, Goodbye))
    assert bool(ann.told(Reconnected)) is comes_back
    if comes_back:
        [lost] = ann.told(Disconnected)
        assert lost.reason == content and lost.retry_in >= retry_after / 10
        ann.leave()
    assert [event.code for event in ann.told(Goodbye)] == [
        "left" if comes_back else code
    ] and isinstance(ann.events[-1], Goodbye)


def test_a_conversation_that_never_began_is_not_taken_up_again(crowd: Crowd) -> None:
    with ChatServer() as server:
        ann = crowd.meet("ann", server.port, join=False)
        wait_until(lambda: server.connections == 1)  # else it is refused, not told
    wait_until(lambda: ann.told(Goodbye))
    assert [event.code for event in ann.told(Goodbye)] == [
        "server_closing"
    ] and not ann.told(Disconnected)


@pytest.mark.slow
def test_two_hundred_lines_from_a_pipe_against_flood_control(
    tmp_path: Path, crowd: Crowd
) -> None:
    lines = [f"line {number}" for number in range(200)]
    with server_process(
        "--port", 0, "--config", config(tmp_path, flood_burst=10, flood_rate=200)
    ) as server:
        bob = crowd.meet("bob", port_of(server))
        with Program("start_client", HOST, port_of(server), "--username", "ann") as ann:
            ann.process.stdin.write("\n".join(lines))
            ann.process.stdin.close()
            assert ann.end() == (0, [])
        assert [line for line in ann.lines if line.startswith("ann: ")] == [
            f"ann: {line}" for line in lines
        ]
        assert ann.lines[-1] == "* Goodbye!"
        wait_until(lambda: bob.told(UserLeft))
        assert bob.told_in() == list(enumerate(lines, 1))
        crowd.close()


def test_a_client_that_is_cut_while_it_is_held_back_by_flood_control_loses_nothing(
    crowd: Crowd,
) -> None:
    with (
        ChatServer(limits=Limits(flood_burst=4, flood_rate=100)) as server,
        Proxy((HOST, server.port)) as proxy,
    ):
        proxy.downward = bytearray()
        ann, bob = crowd.meet("ann", proxy.port), crowd.meet("bob", server.port)
        for number in range(1, 81):
            assert ann.send_message(str(number))
            if number % 20 == 0:
                wait_until(lambda: len(bob.told_in()) > number - 15)
                proxy.cut(reset=number == 40)
        wait_until(lambda: len(ann.told_in()) == len(bob.told_in()) == 80)
        assert (
            ann.told_in()
            == bob.told_in()
            == [(number, str(number)) for number in range(1, 81)]
        )
        assert not ann.told(Error) and b"rate_limited" not in proxy.downward, (
            "it keeps to what the welcome says"
        )
        assert proxy.downward.count(b'"welcome"') >= 3
        crowd.close()


@pytest.mark.slow
def test_the_end_of_the_input_is_no_leaving_before_all_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    unsent, leave = [], ChatClient.leave
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("".join(f"{number}\n" for number in range(40)))
    )
    monkeypatch.setattr(
        ChatClient,
        "leave",
        lambda self, *args, **options: (
            unsent.append(self.unsent),
            leave(self, *args, **options),
        )[1],
    )
    with ChatServer(limits=Limits(flood_burst=4, flood_rate=100)) as server:
        assert run_chat_client(HOST, server.port, "ann") == 0
    assert unsent == [0]
    assert [
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("ann: ")
    ] == [f"ann: {number}" for number in range(40)]


# --- history first, then everybody ------------------------------------------------------------------------------


class HeldStore:
    """A store whose `commit` waits until the test lets it go on."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.hold = False

    def commit(self, done: Callable) -> None:
        if self.hold:
            self.entered.set()
            assert self.go_on.wait(LIMIT)
        self._store.commit(done)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_nobody_sees_a_message_before_history_has_it(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    with (
        ChatServer(history=file) as server,
        LineClient(server.port).join("ann") as ann,
        LineClient(server.port).join("bob") as bob,
    ):
        assert ann.read()["type"] == "join"
        original = server._rules.rooms.store
        server._rules.rooms.store = store = HeldStore(original)
        try:
            store.hold = True
            ann.say("message", content="kept", id=1)
            assert store.entered.wait(LIMIT)
            # The one thread of the server stands in the commit: what is not here now was not sent before it.
            assert select.select([ann.sock, bob.sock], [], [], 0.05)[0] == []
            assert rows(file) == [] and not any(
                stream.queued for stream in server._server.connections.values()
            )
            store.hold = False
            store.go_on.set()
            assert [ann.read()["type"], ann.read()["type"], bob.read()["type"]] == [
                "message",
                "ok",
                "message",
            ]
            assert rows(file) == [("lobby", 1, "ann", "kept")]
        finally:
            store.go_on.set()
            server._rules.rooms.store = original


def test_what_was_said_before_the_server_stops_is_kept_and_heard(
    tmp_path: Path,
) -> None:
    file = tmp_path / "chat.db"
    with (
        ChatServer(history=file, limits=FREE) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        ann.send(b'{"type": "message", "content": "x"}\n' * 100 + b'{"type": "ping"}\n')
        assert ann.read()["seq"] == 1
        server.stop()
        events = ann.read_all()
    heard = [event["seq"] for event in events if event["type"] == "message"]
    assert events[-1]["code"] == "server_closing" and heard == list(
        range(2, len(heard) + 2)
    )
    assert [seq for _, seq, _, _ in rows(file)] == list(range(1, len(heard) + 2))


# --- a full disk -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="sets another process's limits"
)
def test_a_full_disk_is_said_to_the_senders_and_the_chat_goes_on(
    tmp_path: Path,
) -> None:
    import resource

    file = tmp_path / "chat.db"
    with server_process(
        "--port", 0, "--history", file, "--config", config(tmp_path, flood_burst=0)
    ) as program:
        port, pid = port_of(program), program.process.pid

        def limit(size: int) -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        with LineClient(port).join("ann") as ann, LineClient(port).join("bob") as bob:
            ann.say("message", content="first", id=1)
            assert (
                ann.read_until("ok")["seq"] == 1
                and bob.read_until("message")["seq"] == 1
            )
            limit(1)  # each write to a file fails now
            ann.say("message", content="lost", id=2)
            error = ann.read_until("error")
            ann.say("message", content="lost too", id=3)
            assert ann.read_until("error")["id"] == 3
            ann.say("message", content="lost without an id")
            assert ann.read_until("error")["code"] == "not_saved"
            assert (
                (error["code"], error["id"]) == ("not_saved", 2)
                and error["content"]
                and error["retry_after"] > 0
            )
            bob.say("whisper", to="ann", content="psst", id=1)
            assert bob.read()["type"] == "whisper" and bob.read() == {
                "type": "ok",
                "id": 1,
            }, "bob never saw it"
            assert ann.read()["content"] == "psst"
            with LineClient(port).join("cy", "dev") as cy:
                cy.say("status", status="away")
                assert cy.read_until("status")["status"] == "away"
                cy.say("rooms")
                assert len(cy.read_until("rooms")["rooms"]) == 2
            ann.say("history")
            assert [
                message["content"] for message in ann.read_until("history")["messages"]
            ] == ["first"]
            assert rows(file) == [("lobby", 1, "ann", "first")], (
                "it can be read meanwhile"
            )
            limit(resource.RLIM_INFINITY)
            ann.say("message", content="second", id=2)
            assert ann.read_until("ok") == {"type": "ok", "id": 2, "seq": 2}
            assert (bob.read()["seq"]) == 2
            assert rows(file) == [
                ("lobby", 1, "ann", "first"),
                ("lobby", 2, "ann", "second"),
            ]
        status, errors = program.end(signal.SIGTERM)
    assert (
        status == 0
        and [error.split(": ", 1)[1].split(":")[0] for error in errors]
        == ["history"] * 2
    ), errors
    assert "works again" not in errors[0] and "works again" in errors[1]


# --- a short break is not a leave --------------------------------------------------------------------------------


@two_clients
def test_three_breaks_of_a_second_are_seen_by_nobody(
    proxied: Proxied, crowd: Crowd
) -> None:
    """They showed everybody three pairs of left and joined."""
    server, proxy = proxied
    bob = crowd.meet("bob", server.port)
    ann = crowd.meet("ann", proxy.port)
    assert ann.set_status("reading")
    wait_until(lambda: bob.told(StatusChanged))
    before = len(bob.told(UserJoined, UserLeft, StatusChanged))
    for number in range(1, 4):
        proxy.refuse()
        wait_until(lambda: len(ann.told(Disconnected)) >= number)
        assert bob.send_message(f"said {number}") and bob.whisper("ann", f"{number}")
        wait_until(lambda: not bob.unsent)
        assert bob.users == ["bob", "ann"]
        proxy.heal()
        wait_until(lambda: len(ann.told(Reconnected)) == number)
    wait_until(lambda: ann.told_in() == bob.told_in() and len(ann.told_in()) == 3)
    wait_until(lambda: len(ann.told(WhisperReceived)) >= 3)
    whispers = [event.content for event in ann.told(WhisperReceived)]
    assert whispers == ["1", "2", "3"]
    assert len(bob.told(UserJoined, UserLeft, StatusChanged)) == before
    assert not ann.told(UserLeft, Error)


@two_clients
def test_an_impostor_does_not_get_the_name_of_who_is_cut_off(crowd: Crowd) -> None:
    """Row 7 of the attacks: it did, 10 times of 10, and the owner was out for good."""
    with ChatServer() as server, Proxy((HOST, server.port)) as proxy:
        ann = crowd.meet("ann", proxy.port)
        proxy.refuse()
        wait_until(lambda: ann.told(Disconnected) and server.users == [])
        assert ann.send_message("not sent yet")
        for number in range(10):
            with LineClient(server.port) as eve:
                eve.say("join", username="ann")
                error = eve.read()
                assert error["code"] == "name_taken" and 0 < error["retry_after"] <= 60
        proxy.heal()
        wait_until(lambda: ann.told_in() == [(1, "not sent yet")])


@pytest.mark.slow(seconds=2)
@two_clients
def test_a_client_without_its_token_waits_as_long_as_it_is_told(crowd: Crowd) -> None:
    """The server does not know the token any more; the name is kept for somebody else, who does not come."""
    with (
        ChatServer(limits=Limits(resume_window=1.0)) as server,
        Proxy((HOST, server.port)) as proxy,
    ):
        ann = crowd.meet("ann", proxy.port)
        proxy.refuse()
        wait_until(lambda: server.rooms == [])  # the place is given up
        with LineClient(server.port).join("ann"):
            pass  # somebody else, who is cut off as well
        wait_until(lambda: server.users == [])
        proxy.heal()
        wait_until(lambda: ann.told(Reconnected))
        assert not ann.told(Goodbye) and server.users == ["ann"]


def test_who_does_not_come_back_has_left_in_the_end(crowd: Crowd) -> None:
    with ChatServer(limits=Limits(resume_window=0.3)) as server:
        bob = crowd.meet("bob", server.port)
        with LineClient(server.port).join("ann"):
            assert bob.wait_until(lambda: "ann" in bob.users)
            start = time.monotonic()
        assert bob.wait_until(lambda: "ann" not in bob.users)
        assert time.monotonic() - start > 0.2
        assert len(bob.told(UserLeft)) == 1
