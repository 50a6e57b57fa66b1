"""Who was here is still here after a restart of the server: sessions are in the data file."""

import os
import random
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from helpers import LineClient, Program, wait_until
from sockets import nothing_left_over  # noqa: F401

from python_tcp.chat_server import ChatServer
from python_tcp.members import Room, Session, User, session_key
from python_tcp.places import RoomIndex
from python_tcp.protocol import MAX_EVENT, Limits, RoomSize, encode

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_left_over")]


@contextmanager
def program(*arguments: object) -> Iterator[tuple[Program, int]]:
    """A real `chat_server`, and its port."""
    with Program("start_server", "--port", 0, *arguments) as it:
        wait_until(lambda: it.lines or it.process.poll() is not None)
        assert it.lines, it.errors
        yield it, int(re.search(r":(\d+);", it.lines[0])[1])


def join(client: LineClient, name: str, room: str = "lobby", **fields: object) -> dict:
    """The welcome, or the error."""
    client.say("join", username=name, room=room, **fields)
    while (answer := client.read())["type"] not in ("welcome", "error"):
        pass
    assert answer["type"] == "error" or client.read()["type"] == "users"
    return answer


def seen(client: LineClient) -> list[str]:
    """What a client has heard until now."""
    client.say("ping", id="now")
    events = []
    while (event := client.read())["type"] != "pong":
        events.append(event["type"])
    return events


def saved(path: Path) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(
            "SELECT name, session, status, rooms FROM places ORDER BY name"
        ).fetchall()


def test_names_rooms_and_statuses_are_kept_over_a_clean_stop(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    with (
        ChatServer(data=file) as server,
        LineClient(server.port) as ann,
        LineClient(server.port) as bob,
        LineClient(server.port) as cy,
    ):
        tokens = {
            name: join(client, name)["token"]
            for client, name in ((ann, "Ann"), (bob, "bob"), (cy, "cy"))
        }
        join(ann, "Ann", "dev")
        ann.say("status", status="reading")
        ann.read_until("status")
        cy.close()  # her connection is lost, and she is awaited
        wait_until(lambda: server.users == ["Ann", "bob"])
        server.stop()
        assert ann.read_all()[-1]["code"] == "server_closing"
        assert server.users == server.rooms == []
    with ChatServer(data=file) as server, LineClient(server.port) as bob:
        assert server.rooms == ["dev", "lobby"] and server.users == []
        welcome = join(bob, "bob", token=tokens["bob"])
        assert welcome["token"] == tokens["bob"]
        bob.say("users")
        users = bob.read()
        assert users["users"] == ["Ann", "bob", "cy"]
        assert users["statuses"] == {"Ann": "reading"}
        with LineClient(server.port) as eve, LineClient(server.port) as ann:
            for token in ({}, {"token": tokens["cy"]}):
                error = join(eve, "ann", **token)
                assert error["code"] == "name_taken" and 0 < error["retry_after"] <= 60
            for room in ("lobby", "dev"):
                join(ann, "Ann", room, token=tokens["Ann"])
            assert seen(bob) == [], "nobody has left or joined"


def test_who_was_here_when_the_server_was_killed_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    with program("--data", file) as (process, port):
        with LineClient(port) as ann, LineClient(port) as bob:
            token, other = join(ann, "ann")["token"], join(bob, "bob")["token"]
            assert seen(ann) == ["join"]
            assert process.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with program("--data", file) as (process, port):
        with LineClient(port) as ann, LineClient(port) as bob, LineClient(port) as eve:
            assert join(bob, "bob", token=other)["token"] == other
            assert join(eve, "ANN")["code"] == "name_taken"
            assert join(ann, "ann", token=token)["token"] == token
            assert seen(bob) == []
        assert process.end(signal.SIGTERM)[0] == 0


def test_who_does_not_come_back_after_a_restart_has_left(tmp_path: Path) -> None:
    file, limits = tmp_path / "chat.db", Limits(resume_window=0.4)
    with ChatServer(data=file) as server, LineClient(server.port) as ann:
        join(ann, "ann")
        token = join(ann, "ann", "dev")["token"]
        with LineClient(server.port) as bob:
            other = join(bob, "bob")["token"]
            server.stop()
    with ChatServer(data=file, limits=limits) as server:
        with LineClient(server.port) as bob, LineClient(server.port) as new:
            join(bob, "bob", token=other)
            assert bob.read_until("leave")["username"] == "ann"
            assert join(new, "ann", token=token)["username"] == "ann"
            assert seen(bob) == ["join"]


def test_the_file_has_no_token_and_a_message_writes_no_session(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    with ChatServer(data=file) as server, LineClient(server.port) as ann:
        token = join(ann, "Ann")["token"]
        join(ann, "Ann", "dev")
        assert saved(file) == [
            ("Ann", session_key(token), "online", '["dev", "lobby"]')
        ]
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            row = "SELECT rowid FROM places"
            before = db.execute(row).fetchall()
            for number in range(3):
                ann.say("message", content="x", id=number)
                ann.read_until("ok")
            ann.say("whisper", to="Ann", content="psst", id="w")
            ann.read_until("ok")
            assert db.execute(row).fetchall() == before
        for path in tmp_path.iterdir():
            assert token.encode() not in path.read_bytes(), path
        ann.say("leave", room="lobby")
        ann.read_until("leave")
        assert saved(file)[0][2:] == ("online", '["dev"]')
        ann.say("status", status="away")
        ann.read_until("status")
        assert saved(file)[0][2:] == ("away", '["dev"]')
        ann.say("leave")
        assert ann.read_all()[-1]["code"] == "left"
        assert saved(file) == []


def test_without_a_window_or_a_file_nobody_is_awaited(tmp_path: Path) -> None:
    file, limits = tmp_path / "chat.db", Limits(resume_window=0)
    for data, kept in ((None, Limits()), (file, limits)):
        server = ChatServer(data=data, limits=kept)
        for _ in range(2):
            with server, LineClient(server.port) as ann, LineClient(server.port) as bob:
                assert join(ann, "ann")["type"] == join(bob, "bob")["type"] == "welcome"
                assert data is None or saved(file) == []
    with ChatServer(data=file) as server, LineClient(server.port) as ann:
        join(ann, "ann")
        server.stop()
    assert saved(file) != []
    with ChatServer(data=file, limits=limits) as server:
        with LineClient(server.port) as ann:
            assert join(ann, "ann")["type"] == "welcome", "the window is closed now"
        assert saved(file) == []


def test_what_was_said_before_a_restart_is_not_said_twice(tmp_path: Path) -> None:
    """The ids of a session are found again by the hash of its token."""
    file = tmp_path / "chat.db"
    with ChatServer(data=file) as server, LineClient(server.port) as ann:
        token = join(ann, "ann")["token"]
        ann.say("message", content="x", id=1)
        ann.say("whisper", to="ann", content="psst", id=2)
        ann.read_until("ok", id=2)
        server.stop()
    with ChatServer(data=file) as server, LineClient(server.port) as ann:
        join(ann, "ann", token=token)
        ann.say("message", content="x", id=1)
        ann.say("whisper", to="ann", content="psst", id=2)
        assert [ann.read(), ann.read()] == [
            {"type": "ok", "id": 1, "seq": 1},
            {"type": "ok", "id": 2},
        ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits a process")
def test_what_a_full_disk_refused_is_written_later(tmp_path: Path) -> None:
    import resource

    file = tmp_path / "chat.db"
    with program("--data", file) as (process, port):
        with LineClient(port) as ann, LineClient(port) as bob:
            join(ann, "ann")

            def limit(size: int) -> None:
                both = (size, resource.RLIM_INFINITY)
                resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, both)

            limit(1)
            assert join(bob, "bob")["type"] == "welcome"
            join(ann, "ann", "dev")
            limit(resource.RLIM_INFINITY)
            ann.say("message", content="x", id=1)
            ann.read_until("ok")
            assert [(row[0], row[3]) for row in saved(file)] == [
                ("ann", '["dev", "lobby"]'),
                ("bob", '["lobby"]'),
            ]


# --- the list of rooms --------------------------------------------------------------------------------------------


def test_rooms_are_listed_in_pages_in_order_however_they_come() -> None:
    rooms: dict[str, Room] = {}
    index = RoomIndex(rooms)
    for number in random.Random(1).sample(range(250), 250):
        name = f"room-{number:03}".ljust(64, "x")
        rooms[name] = Room(name)
        User(number, f"u{number}", Session("a-token-of-user-1")).enter(rooms[name])
        for _ in range(2):
            index.changed(name)
    pages = [index.page()]
    while pages[-1].more:
        pages.append(index.page(pages[-1].rooms[-1].room.upper()))
    assert [len(page.rooms) for page in pages] == [100, 100, 50]
    listed = [each for page in pages for each in page.rooms]
    assert listed == [RoomSize(name, 1) for name in sorted(rooms)]
    assert all(len(encode(page)) <= MAX_EVENT for page in pages)


def test_a_page_of_rooms_is_the_same_object_until_something_changes() -> None:
    rooms = {name: Room(name) for name in ("a", "b")}
    index = RoomIndex(rooms)
    for name in rooms:
        index.changed(name)
    before = index.page()
    assert index.page() is before and index.page("a").rooms == [RoomSize("b", 0)]
    del rooms["a"]
    index.changed("a")
    assert index.page().rooms == [RoomSize("b", 0)] and len(before.rooms) == 2


def test_pages_that_strangers_ask_for_do_not_fill_the_memory() -> None:
    index = RoomIndex({})
    for number in range(1000):
        index.page(f"behind-{number}")
    assert len(index._pages) <= 100


GARBAGE = {
    "no JSON": ("x", "x", "k", "online", "[oops"),
    "no list": ("x", "x", "k", "online", "null"),
    "no names of rooms": ("x", "x", "k", "online", '[["a"], 1]'),
    "a room that nobody can name": ("x", "x", "k", "online", '["a b"]'),
    "nested": ("x", "x", "k", "online", "[" * 100_000),
    "a name that nobody can have": ("a\n", "a\n", "k", "online", '["lobby"]'),
    "a name that is no text": (b"\xff", b"\xff", "k", "online", '["lobby"]'),
    "a name under another key": ("y", "x", "k", "online", '["lobby"]'),
    "no session: nobody's token": ("x", "x", "", "online", '["lobby"]'),
    "a status that no one can set": ("x", "x", "k", "\x1b[31m", '["lobby"]'),
    "a status without end": ("x", "x", "k", "s" * 81, '["lobby"]'),
}


def insert_places(path: Path, rows: list[tuple]) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executemany("INSERT INTO places VALUES (?, ?, ?, ?, ?)", rows)
        db.commit()


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_a_place_that_no_server_has_written_is_ignored(
    tmp_path: Path, garbage: tuple
) -> None:
    file = tmp_path / "chat.db"
    with ChatServer(data=file) as server, LineClient(server.port) as ann:
        token = join(ann, "ann")["token"]
        server.stop()
    insert_places(file, [garbage])
    with ChatServer(data=file) as server, LineClient(server.port) as ann:
        ann.say("join", username="ann", room="lobby", token=token)
        assert ann.read()["token"] == token
        assert ann.read()["users"] == ["ann"]
        join(ann, "ann", "dev")
        assert [name for name, *_ in saved(file)] == ["ann"]


def test_rooms_in_the_file_are_entered_once_in_small_letters(tmp_path: Path) -> None:
    file, limits = tmp_path / "chat.db", Limits(resume_window=0.4)
    with ChatServer(data=file):
        pass
    insert_places(file, [("x", "x", "k", "online", '["Lobby", "lobby", "lobby"]')])
    with ChatServer(data=file, limits=limits) as server:
        with LineClient(server.port) as bob:
            join(bob, "bob")
            assert bob.read_until("leave")["username"] == "x"
            bob.say("rooms")
            assert bob.read()["rooms"] == [{"room": "lobby", "users": 1}]


def test_no_more_are_awaited_than_there_can_have_been(tmp_path: Path) -> None:
    file, limits = tmp_path / "chat.db", Limits(connections=5)
    with ChatServer(data=file):
        pass
    insert_places(
        file, [(f"x{n:02}", f"x{n:02}", "k", "online", '["a"]') for n in range(30)]
    )
    with ChatServer(data=file, limits=limits) as server:
        with LineClient(server.port) as bob:
            join(bob, "bob", "a")
            assert len(saved(file)) == 11
            bob.say("users")
            assert len(bob.read_until("users")["users"]) == 11
