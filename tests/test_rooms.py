"""`python_tcp.rooms`: who is where, and who hears what. No network; a plain model checks every rule at random."""
from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from python_tcp.protocol import (
    MAX_LINE, VERSION, AskRooms, AskUsers, Command, Error, Event, Goodbye, Join, Joined, Leave, Left, Limits, Message, Ok, Ping,
    Pong, RoomList, RoomSize, Say, SetStatus, StatusChanged, UserList, Welcome, Whisper, Whispered,
)
from python_tcp.rooms import Delivery, Rooms

ANN, BOB, CY, NOBODY = 1, 2, 3, 99
NOW = 1000.5


def heard(deliveries: list[Delivery]) -> dict[int, list[Event]]:
    """What each client gets, in order."""
    inboxes = defaultdict(list)
    for to, event in deliveries:
        assert len(set(to)) == len(to), "nobody gets an event twice"
        for client in to:
            inboxes[client].append(event)
    return dict(inboxes)


class Chat:
    """`Rooms`, asked for what each client hears."""

    def __init__(self, **limits: int) -> None:
        self.rooms = Rooms(Limits(**limits))

    def __call__(self, client: int, command: Command) -> dict[int, list[Event]]:
        return heard(self.rooms.handle(client, command, NOW))

    def error(self, client: int, command: Command) -> Error:
        """The one answer, which only the sender hears."""
        [[error]] = [self(client, command)[client]]
        assert isinstance(error, Error)
        return error

    def gone(self, client: int) -> dict[int, list[Event]]:
        return heard(self.rooms.disconnect(client, NOW))


@pytest.fixture
def chat() -> Chat:
    """Ann and Bob are in the lobby."""
    chat = Chat()
    chat(ANN, Join("Ann"))
    chat(BOB, Join("Bob"))
    return chat


# --- entering ----------------------------------------------------------------------------------------------------


def test_who_joins_is_welcomed_and_the_others_hear_of_it(chat: Chat) -> None:
    inboxes = chat(CY, Join("Cy"))
    welcome, users = inboxes.pop(CY)
    assert isinstance(welcome, Welcome) and (welcome.username, welcome.room, welcome.seq, welcome.protocol) == ("Cy", "lobby", 0, VERSION)
    assert welcome.limits["line"] == MAX_LINE
    assert users == UserList("lobby", ["Ann", "Bob", "Cy"])
    assert inboxes == {ANN: [Joined("lobby", "Cy", NOW)], BOB: [Joined("lobby", "Cy", NOW)]}


def test_the_first_to_join_is_alone() -> None:
    assert list(Chat()(ANN, Join("Ann"))) == [ANN]


@pytest.mark.parametrize("name", ["Ann", "ann", "ANN"])
def test_a_name_is_taken_however_it_is_written(chat: Chat, name: str) -> None:
    assert chat.error(CY, Join(name)).code == "name_taken"
    assert CY not in chat.rooms.users


def test_a_name_is_taken_in_every_room(chat: Chat) -> None:
    assert chat.error(CY, Join("ann", "dev")).code == "name_taken"
    assert list(chat.rooms.rooms) == ["lobby"]


def test_a_room_is_the_same_however_it_is_written(chat: Chat) -> None:
    assert chat(CY, Join("Cy", "LOBBY"))[ANN] == [Joined("lobby", "Cy", NOW)]


def test_a_client_has_one_name_and_enters_a_room_once(chat: Chat) -> None:
    assert chat.error(ANN, Join("Other")).code == "already_joined"
    assert chat.error(ANN, Join("Bob")).code == "already_joined"
    assert chat.error(ANN, Join("Ann")).code == "already_joined"
    assert chat.error(ANN, Join("ann", "Lobby")).code == "already_joined"
    assert chat(ANN, Join("ann", "dev"))[ANN][0].username == "Ann"  # the name as it was first written


def test_a_client_may_be_in_so_many_rooms() -> None:
    chat = Chat(rooms_per_client=2)
    chat(ANN, Join("Ann", "one"))
    chat(ANN, Join("Ann", "two"))
    assert chat.error(ANN, Join("Ann", "three")).code == "bad_room"
    assert list(chat.rooms.rooms) == ["one", "two"]
    chat(ANN, Leave("one"))
    assert chat(ANN, Join("Ann", "three"))[ANN][0].room == "three"


@pytest.mark.parametrize("command", [Say("hi"), Say("hi", "lobby"), Whisper("Ann", "hi"), AskUsers(), AskRooms(), SetStatus("away"), Leave("lobby"), Pong()])
def test_without_joining_nothing_is_to_be_had(chat: Chat, command: Command) -> None:
    assert chat.error(NOBODY, command).code == "not_joined"


# --- talking -----------------------------------------------------------------------------------------------------


def test_all_in_the_room_hear_a_message_and_nobody_else(chat: Chat) -> None:
    chat(CY, Join("Cy", "dev"))
    said = Message("lobby", 1, "Ann", "hi", NOW)
    assert chat(ANN, Say("hi")) == {ANN: [said], BOB: [said]}


def test_a_room_numbers_its_messages_without_a_gap(chat: Chat) -> None:
    chat(ANN, Join("Ann", "dev"))
    spoken = [(ANN, "lobby"), (BOB, "lobby"), (ANN, "dev"), (ANN, "Lobby"), (NOBODY, "lobby"), (BOB, "dev"), (ANN, "dev"), (BOB, None)]
    events = [event for client, room in spoken for event in chat(client, Say("x", room))[client]]
    assert [(event.room, event.seq) for event in events if isinstance(event, Message)] == [
        ("lobby", 1), ("lobby", 2), ("dev", 1), ("lobby", 3), ("dev", 2), ("lobby", 4),
    ]  # fmt: skip
    assert chat(CY, Join("Cy", "dev"))[CY][0].seq == 2


def test_without_a_room_one_talks_where_one_joined_last(chat: Chat) -> None:
    chat(ANN, Join("Ann", "dev"))
    assert chat(ANN, Say("x"))[ANN][0].room == "dev"
    chat(ANN, Leave("dev"))
    assert chat(ANN, Say("x"))[ANN][0].room == "lobby"
    chat(ANN, Leave("lobby"))
    assert chat.error(ANN, Say("x")).code == "not_joined"


def test_a_room_that_one_is_not_in_is_closed(chat: Chat) -> None:
    chat(CY, Join("Cy", "dev"))
    for command in (Say("x", "dev"), AskUsers("dev"), Leave("dev"), Say("x", "nowhere")):
        assert chat.error(ANN, command).code == "not_joined"
    assert "nowhere" not in chat.rooms.rooms


@pytest.mark.parametrize("id", [0, 7, -1, "", "a"])
def test_an_id_is_answered_after_the_message_to_its_sender_alone(chat: Chat, id: int | str) -> None:
    assert chat(ANN, Say("hi", id=id)) == {ANN: [Message("lobby", 1, "Ann", "hi", NOW), Ok(id, 1)], BOB: [Message("lobby", 1, "Ann", "hi", NOW)]}
    assert chat(ANN, Whisper("Bob", "hi", id))[ANN][1:] == [Ok(id)]
    assert chat.error(ANN, Say("hi", "dev", id)).id == chat.error(ANN, Whisper("Cy", "hi", id)).id == id


def test_a_whisper_is_for_both_ends_only(chat: Chat) -> None:
    chat(CY, Join("Cy", "dev"))
    said = Whispered("Ann", "Cy", "psst", NOW)
    assert chat(ANN, Whisper("CY", "psst")) == {ANN: [said], CY: [said]}
    assert chat(ANN, Whisper("ann", "note")) == {ANN: [Whispered("Ann", "Ann", "note", NOW)]}
    assert chat.error(ANN, Whisper("Dan", "psst")).code == "no_such_user"


def test_users_and_rooms_are_told_to_who_asks(chat: Chat) -> None:
    chat(CY, Join("cy", "Dev"))
    chat(CY, Join("cy"))
    assert chat(ANN, AskUsers()) == {ANN: [UserList("lobby", ["Ann", "Bob", "cy"])]}
    assert chat(CY, AskUsers("DEV")) == {CY: [UserList("dev", ["cy"])]}
    assert chat(ANN, AskRooms()) == {ANN: [RoomList([RoomSize("dev", 1), RoomSize("lobby", 3)])]}


def test_a_status_is_heard_once_by_each_who_shares_a_room(chat: Chat) -> None:
    for client, name in [(ANN, "Ann"), (BOB, "Bob"), (CY, "Cy")]:
        chat(client, Join(name, "dev"))
    chat(4, Join("Dan", "elsewhere"))
    event = StatusChanged("Ann", "away", NOW)
    assert chat(ANN, SetStatus("away")) == {ANN: [event], BOB: [event], CY: [event]}
    chat(4, Leave("elsewhere"))
    assert list(chat(4, SetStatus("alone"))) == [4]


def test_a_ping_is_answered_even_before_joining(chat: Chat) -> None:
    assert chat(NOBODY, Ping(7)) == {NOBODY: [Pong(7)]}
    assert chat(ANN, Ping()) == {ANN: [Pong()]}
    assert chat(ANN, Pong(7)) == {}


# --- leaving -----------------------------------------------------------------------------------------------------


def test_leaving_a_room_is_heard_by_all_in_it_and_by_who_leaves(chat: Chat) -> None:
    left = Left("lobby", "Ann", NOW)
    assert chat(ANN, Leave("Lobby")) == {ANN: [left], BOB: [left]}
    assert chat(BOB, Say("x")).keys() == {BOB}
    assert chat.error(CY, Join("Ann")).code == "name_taken"  # Ann is still in the chat


def test_leaving_the_chat_is_heard_in_every_room_and_frees_the_name(chat: Chat) -> None:
    chat(ANN, Join("Ann", "dev"))
    chat(CY, Join("Cy", "dev"))
    assert chat(ANN, Leave()) == {BOB: [Left("lobby", "Ann", NOW)], CY: [Left("dev", "Ann", NOW)], ANN: [Goodbye("left", "Goodbye!", False)]}
    assert chat(4, Join("ANN"))[4][0].username == "ANN"


def test_who_never_joined_may_leave_too(chat: Chat) -> None:
    assert list(chat(NOBODY, Leave())) == [NOBODY]


def test_a_lost_connection_is_heard_by_the_others(chat: Chat) -> None:
    assert chat.gone(ANN) == {BOB: [Left("lobby", "Ann", NOW)]}
    assert chat.gone(ANN) == chat.gone(NOBODY) == {}
    assert chat(CY, Join("ann"))[CY][1] == UserList("lobby", ["ann", "Bob"])


def test_nothing_is_left_when_all_are_gone(chat: Chat) -> None:
    chat(BOB, Join("Bob", "dev"))
    for command in (Say("x", id=1), Whisper("Bob", "x"), SetStatus("away"), Join("Bob")):
        chat(ANN, command)
    chat(ANN, Leave())
    chat.gone(BOB)
    assert chat.rooms.users == chat.rooms.rooms == chat.rooms._by_name == {}


# --- all of it at random, against a plain model ------------------------------------------------------------------

CLIENTS = st.integers(1, 5)
NAMES = st.sampled_from(["ann", "Ann", "bob", "BOB", "cy", "dan"])
ROOMS = st.sampled_from(["a", "A", "b", "c", "d"])
MOST_ROOMS = 3


class ChatMachine(RuleBasedStateMachine):
    """The model: each client's name, the rooms of each in the order of joining, the members of each room, and the last number."""

    def __init__(self) -> None:
        super().__init__()
        self.chat = Chat(rooms_per_client=MOST_ROOMS)
        self.names: dict[int, str] = {}
        self.rooms_of: dict[int, list[str]] = {}
        self.members: dict[str, list[int]] = defaultdict(list)
        self.numbers: dict[str, int] = {}

    def taken(self, name: str) -> bool:
        return name.lower() in [other.lower() for other in self.names.values()]

    def users(self, room: str) -> UserList:
        return UserList(room, sorted((self.names[client] for client in self.members[room]), key=str.lower))

    def refuses(self, client: int, command: Command, code: str) -> None:
        assert self.chat.error(client, command).code == code

    def place(self, client: int, room: str | None) -> str | None:
        """The room that is meant, if the client is in it."""
        mine = self.rooms_of.get(client, [])
        room = room.lower() if room else mine[-1] if mine else None
        return room if room in mine else None

    @rule(client=CLIENTS, name=NAMES, room=ROOMS)
    def join(self, client: int, name: str, room: str) -> None:
        command, room = Join(name, room), room.lower()
        known = self.names.get(client)
        if known is None and self.taken(name):
            return self.refuses(client, command, "name_taken")
        if known is not None and (known.lower() != name.lower() or room in self.rooms_of[client]):
            return self.refuses(client, command, "already_joined")
        if len(self.rooms_of.get(client, [])) == MOST_ROOMS:
            return self.refuses(client, command, "bad_room")
        expected = {other: [Joined(room, known or name, NOW)] for other in self.members[room]}
        self.names.setdefault(client, name)
        self.rooms_of.setdefault(client, []).append(room)
        self.members[room].append(client)
        inboxes = self.chat(client, command)
        welcome, users = inboxes.pop(client)
        assert (welcome.username, welcome.room, welcome.seq) == (known or name, room, self.numbers.setdefault(room, 0))
        assert users == self.users(room) and inboxes == expected

    @rule(client=CLIENTS, room=st.none() | ROOMS, id=st.none() | st.integers(0, 2))
    def say(self, client: int, room: str | None, id: int | None) -> None:
        where = self.place(client, room)
        if where is None:
            return self.refuses(client, Say("x", room, id), "not_joined")
        self.numbers[where] += 1
        expected = {member: [Message(where, self.numbers[where], self.names[client], "x", NOW)] for member in self.members[where]}
        if id is not None:
            expected[client].append(Ok(id, self.numbers[where]))
        assert self.chat(client, Say("x", room, id)) == expected

    @rule(client=CLIENTS, name=NAMES)
    def whisper(self, client: int, name: str) -> None:
        if client not in self.names or not self.taken(name):
            return self.refuses(client, Whisper(name, "x"), "not_joined" if client not in self.names else "no_such_user")
        [other] = [other for other, known in self.names.items() if known.lower() == name.lower()]
        event = Whispered(self.names[client], self.names[other], "x", NOW)
        assert self.chat(client, Whisper(name, "x")) == {client: [event], other: [event]}

    @rule(client=CLIENTS, room=st.none() | ROOMS)
    def ask(self, client: int, room: str | None) -> None:
        where = self.place(client, room)
        if where is None:
            return self.refuses(client, AskUsers(room), "not_joined")
        assert self.chat(client, AskUsers(room)) == {client: [self.users(where)]}
        sizes = [RoomSize(room, len(members)) for room, members in sorted(self.members.items()) if members]
        assert self.chat(client, AskRooms()) == {client: [RoomList(sizes)]}

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def status(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(sorted(self.names)))
        audience = {client, *(member for room in self.rooms_of[client] for member in self.members[room])}
        expected = {member: [StatusChanged(self.names[client], "away", NOW)] for member in audience}
        assert self.chat(client, SetStatus("away")) == expected

    def exit(self, client: int, room: str) -> dict[int, list[Event]]:
        self.members[room].remove(client)
        self.rooms_of[client].remove(room)
        if not self.members[room]:
            del self.numbers[room]  # an empty room is no room; the next one begins at 1
        return {member: [Left(room, self.names[client], NOW)] for member in self.members[room]}

    @rule(client=CLIENTS, room=ROOMS)
    def leave_room(self, client: int, room: str) -> None:
        where = self.place(client, room)
        if where is None:
            return self.refuses(client, Leave(room), "not_joined")
        expected = {client: [Left(where, self.names[client], NOW)], **self.exit(client, where)}
        assert self.chat(client, Leave(room)) == expected

    @rule(client=CLIENTS, politely=st.booleans())
    def leave_chat(self, client: int, politely: bool) -> None:
        expected: dict[int, list[Event]] = defaultdict(list)
        for room in self.rooms_of.get(client, []).copy():
            for member, events in self.exit(client, room).items():
                expected[member] += events
        self.names.pop(client, None)
        self.rooms_of.pop(client, None)
        if politely:
            expected[client].append(Goodbye("left", "Goodbye!", False))
        assert (self.chat(client, Leave()) if politely else self.chat.gone(client)) == expected

    @invariant()
    def nothing_is_forgotten_or_left_over(self) -> None:
        rooms = self.chat.rooms
        assert {client: user.name for client, user in rooms.users.items()} == self.names
        assert {client: list(user.rooms) for client, user in rooms.users.items()} == self.rooms_of
        assert {name: list(room.clients) for name, room in rooms.rooms.items()} == {room: members for room, members in self.members.items() if members}
        assert set(rooms._by_name) == {name.lower() for name in self.names.values()}


TestAnyConversation = ChatMachine.TestCase
TestAnyConversation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
