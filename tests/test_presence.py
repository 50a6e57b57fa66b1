"""Who comes to a large room, or leaves it: told a moment later, at once, and in order."""

import json
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import LIMIT, LineClient
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.history import SavedPlaces, SQLiteStore
from python_tcp.loop import EventLoop
from python_tcp.members import Delivery
from python_tcp.places import SavedPlace
from python_tcp.presence import PresenceCollector
from python_tcp.protocol import Event, Limits, Message, StatusChanged, UserJoined
from python_tcp.protocol import Join, Leave, ListUsers, SendMessage, SetStatus
from python_tcp.protocol import UserLeft, UserList, Whisper, WhisperReceived, encode
from python_tcp.rooms import Rooms

CROWD = tuple(range(1, 151))


class Told:
    """A collector, and what it has let through. A test ends the moment."""

    def __init__(self) -> None:
        self.timers: list[object] = []
        self.sent: list[Delivery] = []
        self.collector = PresenceCollector(self, self.sent.extend)  # type: ignore[arg-type]

    def call_later(self, seconds: float, callback: object) -> None:
        self.timers.append(callback)

    def end_moment(self) -> None:
        for callback in self.timers:
            callback()
        self.timers.clear()

    def __call__(self, to: tuple[int, ...], event: Event) -> list[Event]:
        """What comes out when this goes in."""
        self.sent.clear()
        self.collector.send([Delivery(to, event)])
        return [event for _, event in self.sent]


@pytest.fixture
def told() -> Told:
    return Told()


JOINED, LEFT = UserJoined("big", "zoe", 0.0), UserLeft("big", "zoe", 0.0)


def test_in_a_small_room_everybody_hears_at_once(told: Told) -> None:
    assert told(CROWD[:99], JOINED) == [JOINED]
    assert told.timers == []


def test_in_a_large_room_a_moment_later_and_together(told: Told) -> None:
    assert told(CROWD, JOINED) == told(CROWD, LEFT) == []
    assert len(told.timers) == 1
    told.end_moment()
    assert told.sent == [(CROWD, JOINED), (CROWD, LEFT)]
    assert told.sent[0].to is told.sent[1].to, "so that the two are written together"
    assert told(CROWD, JOINED) == [] and len(told.timers) == 1, "and so on"


def test_not_more_than_so_many_are_collected(told: Told) -> None:
    for _ in range(99):
        assert told(CROWD, JOINED) == []
    assert told(CROWD, LEFT) == [JOINED] * 99 + [LEFT]


@pytest.mark.parametrize(
    "event",
    [
        Message("big", 1, "zoe", "hello", 0.0),
        StatusChanged("zoe", "away", 0.0),
    ],
)
def test_what_is_for_all_does_not_overtake_it(told: Told, event: Event) -> None:
    told(CROWD, JOINED)
    assert told(CROWD, event) == [JOINED, event]
    told.end_moment()
    assert [each for _, each in told.sent] == [JOINED, event]


def test_what_is_about_another_room_does(told: Told) -> None:
    told(CROWD, JOINED)
    for event in (
        Message("small", 1, "ann", "hello", 0.0),
        UserJoined("small", "zoe", 0.0),
        UserList("small", []),
        WhisperReceived("ann", "bob", "hello", 0.0),
    ):
        assert told((1, 2), event) == [event]


def test_who_asks_for_the_list_hears_first_what_it_has_missed(told: Told) -> None:
    told(CROWD, JOINED)
    users = UserList("big", ["zoe"])
    assert told((7,), users) == [JOINED, users]
    assert told((7,), users) == [users]
    assert told((999,), users) == [users], "this one has just come"
    told.end_moment()
    [(to, _)] = told.sent[-1:]
    assert set(to) == set(CROWD) - {7}


def test_a_room_that_has_become_small_keeps_the_order(told: Told) -> None:
    told(CROWD[:100], JOINED)
    assert told(CROWD[:99], LEFT) == [JOINED, LEFT]


# --- against the rules -------------------------------------------------------------------------------------------

STEP = st.tuples(
    st.integers(0, 7),
    st.sampled_from("join leave list say status whisper tick".split()),
)


def without_what_is_late(heard: list[Event]) -> list[str]:
    """What a client knows after each event that is not about coming and going."""
    users: set[str] = set()
    story = []
    for event in heard:
        match event:
            case UserList():
                users = set(event.users)
                story.append(f"list {sorted(users)}")
            case UserJoined():
                assert event.username not in users, "twice"
                users.add(event.username)
            case UserLeft():
                assert event.username in users, "it was not there"
                users.discard(event.username)
            case Message():
                assert event.username in users, "a message from nobody"
                story.append(f"message {event.seq} {sorted(users)}")
            case StatusChanged():
                story.append(f"status {event.username} {sorted(users)}")
    return [*story, f"end {sorted(users)}"]


@pytest.mark.slow
@given(st.lists(STEP, max_size=60))
def test_each_client_knows_the_same_as_without_a_collector(
    steps: list[tuple[int, str]],
) -> None:
    rooms, told = Rooms(Limits()), Told()
    told.collector.LARGE, told.collector.MOST = 2, 5
    plain: dict[int, list[Event]] = defaultdict(list)
    for client in range(8):
        plain_deliveries = rooms.handle(
            client, Join(f"u{client}"), 0.0, f"{client:020}"
        )
        told.collector.send(plain_deliveries)
        for to, event in plain_deliveries:
            for each in to:
                plain[each].append(event)
    for client, action in steps:
        if action == "tick":
            told.end_moment()
            continue
        command = {
            "join": Join(f"u{client}"),
            "leave": Leave("lobby"),
            "list": ListUsers("lobby"),
            "say": SendMessage("x"),
            "status": SetStatus(f"busy {len(plain[client])}"),
            "whisper": Whisper("u0", "x"),
        }[action]
        deliveries = rooms.handle(client, command, 0.0, "")
        told.collector.send(deliveries)
        for to, event in deliveries:
            for each in to:
                plain[each].append(event)
    told.end_moment()
    late: dict[int, list[Event]] = defaultdict(list)
    for to, event in told.sent:
        for each in to:
            late[each].append(event)
    for client in range(8):
        inside = {"lobby"} & rooms.users[client].rooms.keys()
        stories = [without_what_is_late(heard[client]) for heard in (plain, late)]
        if not inside:  # who has left hears no more of the room
            stories = [story[:-1] for story in stories]
        assert stories[0] == stories[1]


# --- on the wire -------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=Limits(connections_per_address=0)) as server:
        yield server


def test_a_hundred_and_twenty_people_all_know_who_is_there(server: ChatServer) -> None:
    people = [LineClient(server.port) for _ in range(120)]
    for number, person in enumerate(people):
        person.say("join", username=f"u{number}")
        person.read_until("users")
    people[119].say("leave", room="lobby")
    people[118].say("message", content="last")
    for person in people[:119]:
        users: set[str] = set()
        if person is people[118]:
            users = {f"u{number}" for number in range(119)}  # in its list
        while (event := json.loads(person.line()))["type"] != "message":
            if event["type"] == "join":
                users.add(event["username"])
            if event["type"] == "leave":
                users.remove(event["username"])
        own = people.index(person)
        later = {f"u{number}" for number in range(own + 1, 119)}
        assert users >= later and "u119" not in users
    for person in people:
        person.close()


def test_the_moment_ends_by_itself() -> None:
    loop, sent = EventLoop(), []
    collector = PresenceCollector(loop, sent.extend)
    collector.MOMENT = 0.01
    collector.send([Delivery(CROWD, JOINED)])
    assert sent == []
    while not sent:
        loop.tick(1.0)
    assert sent == [(CROWD, JOINED)]
    loop.close()


@pytest.mark.slow
def test_who_stays_hears_of_a_thousand_that_do_not_come_back(tmp_path: Path) -> None:
    """All in one tick they are 4 MB: more than a line of 8 Mbit/s, and the server, take."""
    rooms = [f"{number}".ljust(64, "r") for number in range(20)]
    names = [f"{number}".ljust(32, "u") for number in range(1000)]
    store = SQLiteStore(tmp_path / "chat.db")
    places = [SavedPlace(name, f"key of {name}", "online", rooms) for name in names]
    SavedPlaces(store, tmp_path / "chat.db").write_anew(places)
    store.commit(lambda error: None)
    store.close()
    limits = Limits(resume_window=2.0, flood_burst=0)
    with (
        ChatServer(data=tmp_path / "chat.db", limits=limits) as server,
        socket.socket() as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        sock.settimeout(LIMIT)
        sock.connect(("127.0.0.1", server.port))
        wait_until(lambda: server.connections)
        [stream] = server.engine.connections.values()  # between them, little is kept
        stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        for room in rooms:
            sock.sendall(encode(Join("ann", room)))
        heard = bytearray()
        while heard.count(b'"type":"leave"') < len(rooms) * len(names):
            data = sock.recv(32_768)
            assert data, f"thrown out after {len(heard)} bytes"
            heard += data
            time.sleep(len(data) / 1e6)  # a line of 8 Mbit/s
        assert server.users == ["ann"]
