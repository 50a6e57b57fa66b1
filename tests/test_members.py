"""`python_tcp.members`: names, sessions, users and rooms. What follows from them is tested with the rules."""

import pytest

from python_tcp.members import CommandError, Hold, Room, Session, SessionTable
from python_tcp.members import User, session_key, user_list
from python_tcp.protocol import MAX_EVENT, Message, WhisperReceived, encode

TOKEN, OTHER = "a-token-of-ann-16", "a-token-of-bob-16"


def test_a_key_tells_nothing_and_is_always_the_same() -> None:
    assert session_key(TOKEN) == session_key(TOKEN) == Session(TOKEN).key
    assert session_key(TOKEN) != session_key(OTHER)
    assert TOKEN not in session_key(TOKEN) and len(session_key(TOKEN)) == 24


def test_a_session_remembers_the_last_ids() -> None:
    ids = {1: 10}
    session = Session(TOKEN, ids)
    for id in range(2, Session.IDS + 2):
        session.remember(id, None)
    assert len(session.ids) == Session.IDS and 1 not in session.ids
    assert ids == {1: 10}, "what it was given stays as it is"


def test_a_user_talks_in_the_room_that_was_entered_last_and_is_still_open() -> None:
    ann, rooms = User(1, "ann", Session(TOKEN)), [Room("a"), Room("b"), Room("c")]
    for room in rooms:
        ann.enter(room)
    assert ann.room is rooms[2] and list(ann.rooms) == ["a", "b", "c"]
    ann.leave(rooms[1])
    assert ann.room is rooms[2]
    ann.leave(rooms[2])
    assert ann.room is rooms[0] and rooms[2].members == {} == rooms[1].members
    ann.leave(rooms[0])
    assert ann.room is None and ann.rooms == {}


def test_the_receivers_are_the_same_tuple_until_somebody_comes_or_goes() -> None:
    room, bob = Room("a"), User(2, "bob", Session(OTHER))
    User(1, "ann", Session(TOKEN)).enter(room)
    before = room.clients
    room.say("ann", "hi", 1.0)
    assert room.clients is before == (1,)
    bob.enter(room)
    assert room.clients == (1, 2) and before == (1,)
    bob.leave(room)
    assert room.clients == (1,)


def test_a_room_numbers_what_is_said_and_can_take_it_back() -> None:
    room = Room("a", seq=7)
    assert room.say("ann", "hi", 1.0) == Message("a", 8, "ann", "hi", 1.0)
    assert room.say("ann", "hi", 1.0).seq == 9
    room.take_back(7)
    assert room.say("ann", "hi", 1.0).seq == 8


@pytest.mark.parametrize(("name", "why"), [(None, "in no room"), ("Attic", "in attic")])
def test_a_room_that_one_is_not_in(name: str | None, why: str) -> None:
    with pytest.raises(CommandError, match=why) as caught:
        User(1, "ann", Session(TOKEN)).room_named(name)
    assert caught.value.code == "not_joined"


def test_the_list_of_users_is_sorted_without_case() -> None:
    room = Room("a")
    for client, name in enumerate(("bob", "Ann", "cy"), 1):
        User(client, name, Session(TOKEN), "away" if name == "cy" else "online").enter(
            room
        )
    found = user_list(room)
    assert (found.users, found.statuses) == (["Ann", "bob", "cy"], {"cy": "away"})


# --- the table of sessions ---------------------------------------------------------------------------------------


@pytest.fixture
def table() -> SessionTable:
    """Ann is here, and two sessions are kept."""
    table = SessionTable(most=2)
    table.add(User(1, "Ann", Session(TOKEN)))
    return table


def test_a_name_is_held_until_its_token_is_shown(table: SessionTable) -> None:
    assert table.holder("bob", None, 0.0) is None
    assert table.holder("ANN", TOKEN, 0.0) is table.users[1]
    for token in (None, OTHER, session_key(TOKEN)):
        with pytest.raises(CommandError, match="Ann is taken"):
            table.holder("ann", token, 0.0)


def test_a_session_is_found_as_long_as_its_user_is_here(table: SessionTable) -> None:
    session = table.users[1].session
    assert table.find(session.key) is session
    table.remove(table.users[1])
    assert table.find(session.key) is None and table.by_name == {}


def test_ids_are_forgotten_wherever_their_session_is(table: SessionTable) -> None:
    awaited = Session(OTHER, {1: 1, 2: 2})
    table.add(bob := User(2, "Bob", awaited))
    table.lose(bob, 60.0)
    table.users[1].session.remember(1, 3)
    table.forget({awaited.key: {1, 9}, "of nobody": {2}})
    assert awaited.ids == {2: 2} and table.users[1].session.ids == {1: 3}


# --- pages, and lost connections ----------------------------------------------------------------------------------


def test_a_list_of_users_comes_in_pages_that_fit_in_a_line() -> None:
    room, users = Room("a"), []
    for client in range(1500):
        users.append(User(client, f"{client:032}", Session(TOKEN), "é" * 40))
        users[-1].enter(room)
    pages = [room.page(None)]
    while pages[-1].more:
        pages.append(room.page(pages[-1].users[-1]))
    assert len(pages) > 2 and all(len(encode(page)) <= MAX_EVENT for page in pages)
    assert [name for page in pages for name in page.users] == [u.name for u in users]
    assert pages[1].after == pages[0].users[-1] and len(pages[1].statuses) > 100
    assert room.page(None) is pages[0]
    users[0].set_status("away")
    assert room.page(None).statuses[users[0].name] == "away"


def test_a_lost_connection_keeps_name_status_and_place(table: SessionTable) -> None:
    ann, room = table.users[1], Room("a")
    ann.enter(room)
    ann.set_status("lunch")
    assert table.lose(ann, until=70.0) is None
    assert (table.users, room.clients, room.page(None).users) == ({}, (), ["Ann"])
    with pytest.raises(CommandError, match="for 60 s at most") as caught:
        table.holder("ann", OTHER, 10.0)
    assert (caught.value.code, caught.value.retry_after) == ("name_taken", 60.0)
    back, hold = table.resume(table.holder("ann", TOKEN, 20.0), 2, until=80.0)
    back.enter(room)
    assert (back.status, room.clients, hold.whispers) == ("lunch", (2,), [])
    assert room.everybody == [back] and table.users == {2: back}


def test_nobody_is_awaited_longer_than_the_window(table: SessionTable) -> None:
    table.lose(ann := table.users[1], until=10_000.0)  # by a clock that was ahead
    assert table.due(1000.0, 60.0) == [] == table.due(1059.0, 60.0)
    assert table.due(1060.0, 60.0) == [ann]
    table.remove(ann)
    assert table.by_name == {} == table.held


def test_more_lost_connections_than_are_kept_give_way_the_first_one_first() -> None:
    table = SessionTable(most=1)
    for client, name in enumerate(("ann", "bob"), 1):
        table.add(User(client, name, Session(f"a-token-of-{name}-16")))
    ann, bob = table.users.values()
    assert table.lose(ann, until=60.0) is None
    assert table.lose(bob, until=61.0) is ann


def test_what_waits_for_a_lost_connection_is_bounded() -> None:
    for count, size in ((100, 1), (16, 4000)):
        hold = Hold(until=60.0)
        said = WhisperReceived("bob", "ann", "x" * size, 0.0)
        for _ in range(count):
            hold.keep(said, Session(OTHER), 1)
        with pytest.raises(CommandError, match="enough waits") as caught:
            hold.keep(said, Session(OTHER), 1)
        assert caught.value.code == "not_delivered" and len(hold.whispers) == count


def test_a_token_that_nobody_knows_opens_a_session_of_the_servers_own(
    table: SessionTable,
) -> None:
    asked: list[str] = []
    for made_up in ("x" * 16, OTHER):
        session = table.open(
            made_up, "from-the-server-1", lambda key: asked.append(key) or {}
        )
        assert session.token == "from-the-server-1"
    assert asked == [session_key("x" * 16), session_key(OTHER)]
    assert table.open(TOKEN, "unused", lambda key: {}) is table.users[1].session
    known = table.open(OTHER, "unused", lambda key: {7: 1})
    assert (known.token, known.ids) == (OTHER, {7: 1})


@pytest.mark.parametrize("change", [0.0, -3600.0, -1e9])
def test_nobody_is_told_to_wait_longer_than_a_name_is_held(change: float) -> None:
    """The clock may be set back meanwhile."""
    table, now = SessionTable(9), 2e9
    table.add(user := User(1, "ann", Session("a-token-of-ann-1")))
    table.lose(user, now + 60.0)
    with pytest.raises(CommandError) as caught:
        table.holder("ann", None, now + change, 60.0)
    assert caught.value.retry_after == 60.0
    assert caught.value.content.endswith(", for 60 s at most")
