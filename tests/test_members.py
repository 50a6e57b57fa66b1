"""`python_tcp.members`: names, users and rooms. What follows from them is tested with the rules."""

import pytest

from python_tcp.members import CommandError, Room, Session, User, session_key
from python_tcp.members import user_list
from python_tcp.protocol import MAX_EVENT, Message, encode

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


# --- pages ----------------------------------------------------------------------------------


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
