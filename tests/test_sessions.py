"""`python_tcp.sessions`: who has which name, and who may come back. What follows from it is tested with the rules."""

import pytest

from python_tcp.members import CommandError, Room, Session, User, session_key
from python_tcp.protocol import WhisperReceived
from python_tcp.sessions import Hold, SessionTable, Waiting

TOKEN, OTHER = "a-token-of-ann-16", "a-token-of-bob-16"


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
            assert hold.keep(Waiting(said, Session(OTHER), 1))
        assert not hold.keep(Waiting(said, Session(OTHER), 1))
        assert len(hold.whispers) == count


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
