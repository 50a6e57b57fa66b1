"""`python_tcp.rooms`: who is where, and who hears what. No network; a plain model checks every rule at random."""

import copy
import itertools
import secrets
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from python_tcp.accounts import Accounts
from python_tcp.commands import ChangePassword, DeleteAccount, Login, Logout, MarkRead
from python_tcp.commands import Register
from python_tcp.events import AccountChanged, ReadMark
from python_tcp.members import Account, Session, User, session_key
from python_tcp.messages import PAGE_BYTES, MemoryStore, MessageStore, StoreError
from python_tcp.messages import fitting
from python_tcp.places import DepartedSessions, SavedPlace
from python_tcp.protocol import MAX_EVENT, MAX_LINE, MAX_PAGE, PROTOCOL_VERSION
from python_tcp.protocol import (
    Command,
    Error,
    Event,
    GetHistory,
    Goodbye,
    History,
    Join,
    Leave,
    Limits,
)
from python_tcp.protocol import ListRooms, ListUsers, Message, MessageId, Ok, Ping, Pong
from python_tcp.protocol import RoomList, RoomSize, SendMessage, SetStatus
from python_tcp.protocol import StatusChanged, UserJoined, UserLeft, UserList, Welcome
from python_tcp.protocol import Whisper, WhisperReceived, encode, goodbye
from python_tcp.rooms import Delivery, Rooms

ANN, BOB, CY, NOBODY = 1, 2, 3, 99
NOW = 1000.5


class Paper:
    """A store that keeps everything, fails when it is told to, and may complete later."""

    epoch = "paper"

    def __init__(self, late: bool = False) -> None:
        self.kept: dict[str, list[Message]] = defaultdict(list)
        self.pending: list[tuple[Message, str, MessageId | None]] = []
        self.noted: list[tuple[str, MessageId, int | None]] = []
        self.places: dict[str, SavedPlace] = {}  # of those who are here
        self.changes: list[Callable[[], object]] = []  # of ids and places, to be kept
        self.torn: dict[str, int] = Counter()  # so many of the first are gone
        self.is_full = self.is_unreadable = False
        self.late = late
        # How many messages, how many changes, and `done`:
        self.on_their_way: deque[tuple[int, int, Callable]] = deque()

    def _said(self, room: str) -> list[Message]:
        if self.is_unreadable:
            raise StoreError("the paper is wet")
        return self.kept[room] + [
            message for message, _, _ in self.pending if message.room == room
        ]

    def bounds(self, room: str) -> tuple[int, int]:
        return self.torn[room] + 1, len(self._said(room))

    def read(
        self, room: str, first: int, last: int,
        most_bytes: int | None = None, backward: bool = False,
    ) -> list[Message]:  # fmt: skip
        first = max(first, self.torn[room] + 1)
        found = [each for each in self._said(room) if first <= each.seq <= last]
        found = fitting(reversed(found) if backward else found, most_bytes)
        return found[::-1] if backward else found

    def remember(self, session: str, id: MessageId, now: float) -> None:
        self.changes.append(lambda: self.noted.append((session, id, None)))

    def save(self, place: SavedPlace) -> None:
        self.changes.append(lambda: self.places.update({place.name.lower(): place}))

    def strike(self, name: str) -> None:
        self.changes.append(lambda: self.places.pop(name.lower(), None))

    def write_anew(self, places: list[SavedPlace]) -> None:
        self.changes.append(self.places.clear)
        for place in places:
            self.save(place)

    def finish(self) -> None:
        pass

    def append(self, message: Message, session: str, id: MessageId | None) -> None:
        self.pending.append((message, session, id))

    def ids(self, session: str) -> dict[MessageId, int]:
        self._said("")
        new = [(each, id, message.seq) for message, each, id in self.pending]
        return {
            id: seq
            for each, id, seq in self.noted + new
            if each == session and id is not None
        }

    def commit(self, done: Callable[[StoreError | None], object]) -> None:
        count = len(self.pending) - sum(each[0] for each in self.on_their_way)
        changes = len(self.changes) - sum(each[1] for each in self.on_their_way)
        self.on_their_way.append((count, changes, done))
        if not self.late:
            self.complete()

    def complete(self) -> None:
        """The oldest commit is through, or it fails, and with it all that was appended since."""
        count, changes, done = self.on_their_way.popleft()
        if self.is_full and (self.pending or self.changes):
            self.pending.clear()
            self.changes.clear()
            self.on_their_way = deque((0, 0, each[2]) for each in self.on_their_way)
            return done(StoreError("the paper is full"))
        for message, session, id in self.pending[:count]:
            self.kept[message.room].append(message)
            assert message.seq == len(self.kept[message.room]), (
                "the numbers have no gap"
            )
            if id is not None:
                self.noted.append((session, id, message.seq))
        del self.pending[:count]
        for change in self.changes[:changes]:
            change()
        del self.changes[:changes]
        done(None)

    def close(self) -> None:
        pass


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

    def __init__(self, store: MessageStore | None = None, **limits: float) -> None:
        self.rooms, self.store, self.now = Rooms(Limits(**limits), store), store, NOW
        self.held: list[Delivery] = []  # nobody has got them yet
        self.out: list[Delivery] = []

    def do(self, client: int, *commands: Command) -> None:
        for command in commands:
            token = secrets.token_urlsafe()
            self.held += self.rooms.handle(client, command, self.now, token)

    def commit(self) -> None:
        """As a server does it: what is held goes out when the store is sure of it."""
        mark, count = self.rooms.mark(), len(self.held)

        def done(error: StoreError | None) -> None:
            if error is None:
                self.rooms.committed(mark)
                self.out += self.held[:count]
                del self.held[:count]
            else:
                self.out += self.rooms.take_back(self.held, error)
                self.held.clear()

        self.rooms.store.commit(done)

    def heard(self) -> dict[int, list[Event]]:
        """What has come out since this was asked last."""
        out, self.out = self.out, []
        return heard(out)

    def __call__(self, client: int, *commands: Command) -> dict[int, list[Event]]:
        """What is heard of these commands, which come in one tick."""
        self.do(client, *commands)
        self.commit()
        return self.heard()

    def join(
        self, client: int, name: str, room: str = "lobby", **fields: object
    ) -> str:
        """Joins, and returns the token."""
        return self(client, Join(name, room, **fields))[client][0].token

    def error(self, client: int, command: Command) -> Error:
        """The one answer, which only the sender hears."""
        [(to, [error])] = self(client, command).items()
        assert to == client and isinstance(error, Error)
        return error

    def gone(self, client: int) -> dict[int, list[Event]]:
        return heard(self.rooms.disconnect(client, self.now))


def departed(rooms: Rooms) -> DepartedSessions:
    return rooms.roster.places.departed


def uncommitted(rooms: Rooms) -> list:
    return rooms.archive._uncommitted


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
    assert isinstance(welcome, Welcome) and (
        welcome.username,
        welcome.room,
        welcome.seq,
        welcome.protocol,
    ) == ("Cy", "lobby", 0, PROTOCOL_VERSION)
    assert welcome.limits["line"] == MAX_LINE
    assert welcome.limits.keys() == {
        "line",
        "content",
        "rooms",
        "flood_burst",
        "flood_rate",
        "ping_after",
        "ping_timeout",
        "server_line",
        "resume_window",
    }
    assert users == UserList("lobby", ["Ann", "Bob", "Cy"])
    assert inboxes == {
        ANN: [UserJoined("lobby", "Cy", NOW)],
        BOB: [UserJoined("lobby", "Cy", NOW)],
    }


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
    assert chat(CY, Join("Cy", "LOBBY"))[ANN] == [UserJoined("lobby", "Cy", NOW)]


def test_a_client_has_one_name_and_enters_a_room_once(chat: Chat) -> None:
    assert chat.error(ANN, Join("Other")).code == "already_joined"
    assert chat.error(ANN, Join("Bob")).code == "already_joined"
    assert chat.error(ANN, Join("Ann")).code == "already_joined"
    assert chat.error(ANN, Join("ann", "Lobby")).code == "already_joined"
    assert (
        chat(ANN, Join("ann", "dev"))[ANN][0].username == "Ann"
    )  # the name as it was first written


def test_a_client_may_be_in_so_many_rooms() -> None:
    chat = Chat(rooms_per_client=2)
    chat(ANN, Join("Ann", "one"))
    chat(ANN, Join("Ann", "two"))
    assert chat.error(ANN, Join("Ann", "three")).code == "bad_room"
    assert list(chat.rooms.rooms) == ["one", "two"]
    chat(ANN, Leave("one"))
    assert chat(ANN, Join("Ann", "three"))[ANN][0].room == "three"


@pytest.mark.parametrize(
    "command",
    [
        SendMessage("hi"),
        SendMessage("hi", "lobby"),
        Whisper("Ann", "hi"),
        ListUsers(),
        ListRooms(),
        SetStatus("away"),
        Leave("lobby"),
        GetHistory(),
        GetHistory("lobby"),
    ],
)
def test_without_joining_nothing_is_to_be_had(chat: Chat, command: Command) -> None:
    assert chat.error(NOBODY, command).code == "not_joined"


# --- talking -----------------------------------------------------------------------------------------------------


def test_all_in_the_room_hear_a_message_and_nobody_else(chat: Chat) -> None:
    chat(CY, Join("Cy", "dev"))
    said = Message("lobby", 1, "Ann", "hi", NOW)
    assert chat(ANN, SendMessage("hi")) == {ANN: [said], BOB: [said]}


def test_a_room_numbers_its_messages_without_a_gap(chat: Chat) -> None:
    chat(ANN, Join("Ann", "dev"))
    spoken = [
        (ANN, "lobby"),
        (BOB, "lobby"),
        (ANN, "dev"),
        (ANN, "Lobby"),
        (NOBODY, "lobby"),
        (BOB, "dev"),
        (ANN, "dev"),
        (BOB, None),
    ]
    events = [
        event
        for client, room in spoken
        for event in chat(client, SendMessage("x", room))[client]
    ]
    assert [(event.room, event.seq) for event in events if isinstance(event, Message)] == [
        ("lobby", 1), ("lobby", 2), ("dev", 1), ("lobby", 3), ("dev", 2), ("lobby", 4),
    ]  # fmt: skip
    assert chat(CY, Join("Cy", "dev"))[CY][0].seq == 2


def test_without_a_room_one_talks_where_one_joined_last(chat: Chat) -> None:
    chat(ANN, Join("Ann", "dev"))
    assert chat(ANN, SendMessage("x"))[ANN][0].room == "dev"
    chat(ANN, Leave("dev"))
    assert chat(ANN, SendMessage("x"))[ANN][0].room == "lobby"
    chat(ANN, Leave("lobby"))
    assert chat.error(ANN, SendMessage("x")).code == "not_joined"


def test_a_room_that_one_is_not_in_is_closed(chat: Chat) -> None:
    chat(CY, Join("Cy", "dev"))
    for command in (
        SendMessage("x", "dev"),
        ListUsers("dev"),
        GetHistory("dev"),
        Leave("dev"),
        SendMessage("x", "nowhere"),
        GetHistory("nowhere"),
    ):
        assert chat.error(ANN, command).code == "not_joined"
    assert "nowhere" not in chat.rooms.rooms


@pytest.mark.parametrize("id", [0, 7, -1, "", "a"])
def test_an_id_is_answered_after_the_message_to_its_sender_alone(
    chat: Chat, id: int | str
) -> None:
    assert chat(ANN, SendMessage("hi", id=id)) == {
        ANN: [Message("lobby", 1, "Ann", "hi", NOW), Ok(id, 1)],
        BOB: [Message("lobby", 1, "Ann", "hi", NOW)],
    }
    assert chat(BOB, Whisper("Ann", "hi", id)) == {
        ANN: [WhisperReceived("Bob", "Ann", "hi", NOW)],
        BOB: [WhisperReceived("Bob", "Ann", "hi", NOW), Ok(id)],
    }


@pytest.mark.parametrize("id", [0, 7, -1, "", "a"])
def test_an_error_has_the_id_of_what_it_refuses(chat: Chat, id: int | str) -> None:
    for command in (
        SendMessage("hi", "dev", id),
        Whisper("Cy", "hi", id),
        GetHistory("dev", id=id),
        GetHistory(before=1, after=1, id=id),
        Join("Ann", id=id),
    ):
        assert chat.error(ANN, command).id == id
        assert (
            chat.error(
                ANN,
                type(command)(
                    **{
                        **{
                            name: getattr(command, name)
                            for name in command.__struct_fields__
                        },
                        "id": None,
                    }
                ),
            ).id
            is None
        )
    assert (
        chat.error(NOBODY, SendMessage("hi", id=id)).id
        == chat.error(NOBODY, Join("Ann", id=id)).id
        == id
    )


def test_a_whisper_is_for_both_ends_only(chat: Chat) -> None:
    chat(CY, Join("Cy", "dev"))
    said = WhisperReceived("Ann", "Cy", "psst", NOW)
    assert chat(ANN, Whisper("CY", "psst")) == {ANN: [said], CY: [said]}
    assert chat(ANN, Whisper("ann", "note")) == {
        ANN: [WhisperReceived("Ann", "Ann", "note", NOW)]
    }
    assert chat.error(ANN, Whisper("Dan", "psst")).code == "no_such_user"


def test_users_and_rooms_are_told_to_who_asks(chat: Chat) -> None:
    chat(CY, Join("cy", "Dev"))
    chat(CY, Join("cy"))
    assert chat(ANN, ListUsers()) == {ANN: [UserList("lobby", ["Ann", "Bob", "cy"])]}
    assert chat(CY, ListUsers("DEV")) == {CY: [UserList("dev", ["cy"])]}
    assert chat(ANN, ListRooms()) == {
        ANN: [RoomList([RoomSize("dev", 1), RoomSize("lobby", 3)])]
    }


def test_a_status_is_heard_once_by_each_who_shares_a_room(chat: Chat) -> None:
    for client, name in [(ANN, "Ann"), (BOB, "Bob"), (CY, "Cy")]:
        chat(client, Join(name, "dev"))
    chat(4, Join("Dan", "elsewhere"))
    event = StatusChanged("Ann", "away", NOW)
    assert chat(ANN, SetStatus("away")) == {ANN: [event], BOB: [event], CY: [event]}
    chat(4, Leave("elsewhere"))
    assert list(chat(4, SetStatus("alone"))) == [4]


def test_the_list_of_users_says_who_is_not_simply_online(chat: Chat) -> None:
    chat(ANN, SetStatus("away"))
    chat(BOB, SetStatus("at lunch"))
    assert chat(CY, Join("Cy"))[CY][1] == UserList(
        "lobby", ["Ann", "Bob", "Cy"], {"Ann": "away", "Bob": "at lunch"}
    )
    chat(ANN, SetStatus("online"))
    assert chat(ANN, ListUsers()) == {
        ANN: [UserList("lobby", ["Ann", "Bob", "Cy"], {"Bob": "at lunch"})]
    }


def test_a_ping_is_answered_even_before_joining(chat: Chat) -> None:
    assert chat(NOBODY, Ping(7)) == {NOBODY: [Pong(7)]}
    assert chat(ANN, Ping()) == {ANN: [Pong()]}
    assert chat(ANN, Pong(7)) == {}


# --- leaving -----------------------------------------------------------------------------------------------------


def test_leaving_a_room_is_heard_by_all_in_it_and_by_who_leaves(chat: Chat) -> None:
    left = UserLeft("lobby", "Ann", NOW)
    assert chat(ANN, Leave("Lobby")) == {ANN: [left], BOB: [left]}
    assert chat(BOB, SendMessage("x")).keys() == {BOB}
    assert chat.error(CY, Join("Ann")).code == "name_taken"  # Ann is still in the chat


def test_leaving_the_chat_is_heard_in_every_room_and_frees_the_name(chat: Chat) -> None:
    chat(ANN, Join("Ann", "dev"))
    chat(CY, Join("Cy", "dev"))
    assert chat(ANN, Leave()) == {
        BOB: [UserLeft("lobby", "Ann", NOW)],
        CY: [UserLeft("dev", "Ann", NOW)],
        ANN: [Goodbye("left", "Goodbye!", False)],
    }
    assert chat(4, Join("ANN"))[4][0].username == "ANN"


def test_who_never_joined_may_leave_too(chat: Chat) -> None:
    assert list(chat(NOBODY, Leave())) == [NOBODY]


def test_a_lost_connection_is_heard_by_the_others(chat: Chat) -> None:
    assert chat.gone(ANN) == {BOB: [UserLeft("lobby", "Ann", NOW)]}
    assert chat.gone(ANN) == chat.gone(NOBODY) == {}
    assert chat(CY, Join("ann"))[CY][1] == UserList("lobby", ["ann", "Bob"])


def test_nothing_is_left_when_all_are_gone(chat: Chat) -> None:
    chat(BOB, Join("Bob", "dev"))
    for command in (
        SendMessage("x", id=1),
        Whisper("Bob", "x"),
        SetStatus("away"),
        Join("Bob"),
    ):
        chat(ANN, command)
    chat(ANN, Leave())
    chat.gone(BOB)
    assert chat.rooms.users == chat.rooms.rooms == chat.rooms.by_name == {}
    assert uncommitted(chat.rooms) == []
    assert len(departed(chat.rooms)) == 1  # Ann, whose id may come again


# --- ids: said twice, heard once ---------------------------------------------------------------------------------


def test_the_same_id_gives_the_same_ok_and_no_second_message(chat: Chat) -> None:
    chat(ANN, SendMessage("one"))
    assert chat(ANN, SendMessage("two", id=7))[ANN][1] == Ok(7, 2)
    for again in (
        SendMessage("two", id=7),
        SendMessage("something else", id=7),
        SendMessage("two", "nowhere", 7),
        Whisper("Bob", "x", 7),
        Whisper("Nobody", "x", 7),
    ):
        assert chat(ANN, again) == {ANN: [Ok(7, 2)]}
    assert chat(ANN, SendMessage("three"))[BOB] == [
        Message("lobby", 3, "Ann", "three", NOW)
    ]


def test_the_same_id_of_a_whisper(chat: Chat) -> None:
    assert chat(ANN, Whisper("Bob", "x", "w"))[BOB] == [
        WhisperReceived("Ann", "Bob", "x", NOW)
    ]
    for again in (Whisper("Bob", "x", "w"), SendMessage("x", id="w")):
        assert chat(ANN, again) == {ANN: [Ok("w")]}


def test_the_same_id_of_somebody_else_is_another(chat: Chat) -> None:
    assert [
        chat(client, SendMessage("x", id=7))[client][1] for client in (ANN, BOB)
    ] == [
        Ok(7, 1),
        Ok(7, 2),
    ]


def test_a_number_and_a_text_are_two_ids(chat: Chat) -> None:
    assert [chat(ANN, SendMessage("x", id=id))[ANN][-1] for id in (7, "7", 7, "7")] == [
        Ok(7, 1),
        Ok("7", 2),
        Ok(7, 1),
        Ok("7", 2),
    ]


def test_an_id_that_was_refused_is_free(chat: Chat) -> None:
    assert chat.error(ANN, Whisper("Cy", "x", 7)).code == "no_such_user"
    assert chat.error(ANN, SendMessage("x", "dev", 7)).code == "not_joined"
    assert chat(ANN, SendMessage("x", id=7))[ANN][1] == Ok(7, 1)


def test_the_last_256_ids_are_known() -> None:
    chat = Chat()
    chat(ANN, Join("Ann"))
    for id in range(Session.IDS + 1):
        chat(ANN, SendMessage("x", id=id))
    assert Session.IDS == 256
    assert chat(ANN, SendMessage("x", id=1)) == {ANN: [Ok(1, 2)]}
    assert chat(ANN, SendMessage("x", id=0))[ANN][1] == Ok(0, 258)


# --- coming back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("politely", [True, False])
def test_ids_are_known_over_a_new_connection(chat: Chat, politely: bool) -> None:
    token = chat.join(CY, "Cy")
    assert chat(CY, SendMessage("x", id=7), Whisper("Ann", "y", 8))[CY][1] == Ok(7, 1)
    chat(CY, Leave()) if politely else chat.gone(CY)
    assert chat.join(4, "Cy", token=token) == token
    assert chat(4, SendMessage("x", id=7), Whisper("Ann", "y", 8)) == {
        4: [Ok(7, 1), Ok(8)]
    }


def test_without_the_token_ids_begin_anew(chat: Chat) -> None:
    token = chat.join(CY, "Cy")
    chat(CY, SendMessage("x", id=7))
    chat.gone(CY)
    assert chat.join(4, "Cy") != token
    assert chat(4, SendMessage("x", id=7))[4][1] == Ok(7, 2)


def test_the_owner_takes_its_name_back_from_its_ghost(chat: Chat) -> None:
    token = chat.join(CY, "Cy", "dev")
    chat(CY, Join("Cy"))
    chat(BOB, Join("Bob", "dev"))
    chat(CY, SendMessage("x", id=7))
    inboxes = chat(4, Join("cy", token=token, since=0))
    welcome, users, missed = inboxes.pop(4)
    assert (welcome.username, welcome.token, welcome.seq) == ("cy", token, 1)
    assert users == UserList("lobby", ["Ann", "Bob", "cy"])
    assert missed == History("lobby", [Message("lobby", 1, "Cy", "x", NOW)], False)
    lobby = [UserLeft("lobby", "Cy", NOW), UserJoined("lobby", "cy", NOW)]
    assert inboxes == {
        ANN: lobby,
        BOB: [UserLeft("dev", "Cy", NOW), *lobby],
        CY: [goodbye("replaced")],
    }
    assert chat(4, SendMessage("x", id=7)) == {4: [Ok(7, 1)]}
    assert chat.gone(CY) == {} and chat.rooms.by_name["cy"].client == 4, (
        "the ghost's end changes nothing"
    )


def test_the_ghost_is_the_last_in_its_room(chat: Chat) -> None:
    token = chat.join(CY, "Cy", "dev")
    chat(CY, SendMessage("x"))
    welcome, users, missed = chat(4, Join("Cy", "DEV", since=0, token=token))[4]
    assert (welcome.seq, users.users, len(missed.messages)) == (1, ["Cy"], 1)
    assert chat.rooms.rooms["dev"].clients == (4,)


def test_a_wrong_or_a_foreign_token_opens_nothing(chat: Chat) -> None:
    foreign = chat.join(CY, "Cy")
    for token in (
        None,
        "t" * 16,
        foreign,
        chat.rooms.by_name["ann"].session.token + "x",
        session_key(chat.rooms.by_name["ann"].session.token),
    ):
        assert chat.error(4, Join("ann", token=token)).code == "name_taken"
    assert chat.rooms.by_name["ann"].client == ANN


def test_a_token_holds_no_name(chat: Chat) -> None:
    token = chat.join(CY, "Cy")
    chat(CY, SendMessage("x", id=7))
    chat.gone(CY)
    assert chat.join(4, "Dan", token=token) == token
    assert chat(4, SendMessage("x", id=7)) == {4: [Ok(7, 1)]}
    assert chat.join(5, "Cy") != token, "the old name is free for anybody"


def test_who_comes_back_under_another_name_while_its_ghost_is_there_is_still_the_same(
    chat: Chat,
) -> None:
    token = chat.join(CY, "Cy")
    assert chat(CY, SendMessage("x", id=7))[CY][1] == Ok(7, 1)
    assert chat.join(4, "Cy2", token=token) == token
    assert chat(4, SendMessage("x", id=7)) == {4: [Ok(7, 1)]}
    chat(4, SendMessage("y", id=8))
    chat.gone(4)
    chat.gone(CY)
    assert chat.join(5, "Cy", token=token) == token
    assert chat(5, SendMessage("y", id=8), SendMessage("x", id=7)) == {
        5: [Ok(8, 2), Ok(7, 1)]
    }


def test_a_token_that_a_client_has_made_up_gets_a_new_one(chat: Chat) -> None:
    token = chat.join(CY, "Cy", token="of-an-earlier-server")
    assert token != "of-an-earlier-server"
    error = chat.error(4, Join("Cy", token="of-an-earlier-server"))
    assert error.code == "name_taken"
    assert chat.join(4, "Cy", token=token) == token


def test_a_token_has_no_meaning_for_who_has_joined(chat: Chat) -> None:
    token = chat.rooms.by_name["ann"].session.token
    assert chat.error(BOB, Join("Ann", "dev", token=token)).code == "already_joined"
    assert chat.join(BOB, "Bob", "dev", token=token) != token


def test_ids_are_known_to_a_new_server_with_the_same_log() -> None:
    store = Paper()
    before, after = Chat(store), Chat(store)
    token = before.join(ANN, "Ann")
    before.join(BOB, "Bob")
    before(
        ANN, SendMessage("x", id=7), SendMessage("y", id="7"), Whisper("Bob", "z", 8)
    )
    assert after.join(ANN, "Ann", token=token, since=1) == token
    assert after(ANN, SendMessage("x", id=7), SendMessage("y", id="7")) == {
        ANN: [Ok(7, 1), Ok("7", 2)]
    }
    assert after(ANN, SendMessage("new", id=9))[ANN] == [
        Message("lobby", 3, "Ann", "new", NOW),
        Ok(9, 3),
    ]
    assert token not in [session for session, _, _ in store.noted], (
        "what is written down is no key"
    )


# --- a short break is not a leave ------------------------------------------------------------------------------------


def test_three_short_breaks_are_heard_by_nobody(chat: Chat) -> None:
    token = chat.join(CY, "Cy")
    chat(CY, Join("Cy", "dev"), SetStatus("reading"))
    chat(BOB, Join("Bob", "dev"))
    for client in (4, 5, 6):
        assert heard(chat.rooms.lost(CY if client == 4 else client - 1, NOW)) == {}
        assert chat(ANN, ListUsers())[ANN] == [
            UserList("lobby", ["Ann", "Bob", "Cy"], {"Cy": "reading"})
        ]
        inboxes = chat(client, Join("Cy", token=token, since=0))
        assert inboxes.keys() == {client} and inboxes[client][0].token == token
        assert chat(client, Join("Cy", "dev", since=0)).keys() == {client}
        assert chat(client, SetStatus("reading")).keys() == {client}, "nothing new"
    assert chat(client, SendMessage("here I am")).keys() == {BOB, client}
    assert chat.rooms.expires_at is None


def test_who_does_not_come_back_in_time_is_gone(chat: Chat) -> None:
    chat.join(CY, "Cy")
    assert chat.rooms.lost(CY, NOW) == []
    assert chat.rooms.expires_at == NOW + 60
    assert chat.rooms.expire(NOW + 59.9) == []
    left = UserLeft("lobby", "Cy", NOW + 60)
    assert heard(chat.rooms.expire(NOW + 60)) == {ANN: [left], BOB: [left]}
    assert chat.rooms.expires_at is None and "cy" not in chat.rooms.by_name


def test_without_a_window_a_lost_connection_is_heard_at_once() -> None:
    chat = Chat(resume_window=0)
    chat.join(ANN, "Ann")
    chat.join(BOB, "Bob")
    assert heard(chat.rooms.lost(BOB, NOW)) == {ANN: [UserLeft("lobby", "Bob", NOW)]}


def test_the_name_is_held_for_its_token_and_the_refusal_says_how_long(
    chat: Chat,
) -> None:
    """Row 7 of the attacks: an impostor got the name 10 times of 10."""
    token = chat.join(CY, "Cy")
    chat.rooms.lost(CY, NOW - 15)
    error = chat.error(4, Join("CY", token="x" * 20))
    assert (error.code, error.retry_after) == ("name_taken", 45.0)
    assert chat.join(5, "Cy", token=token) == token
    assert chat.error(4, Join("Cy")).retry_after is None, "who is here may stay"


def test_a_ghost_is_replaced_and_nobody_hears_of_it(chat: Chat) -> None:
    token = chat.join(CY, "Cy")
    inboxes = chat(4, Join("Cy", token=token, since=0))
    assert inboxes.keys() == {CY, 4} and inboxes[CY] == [goodbye("replaced")]
    assert chat.rooms.lost(CY, NOW) == [], "it is another's name now"


def cy_comes_back_to_one_of_two_rooms(chat: Chat) -> None:
    """Over a new connection, 4. Bob is in the other room, dev."""
    token = chat.join(CY, "Cy")
    chat(CY, Join("Cy", "dev"))
    chat(BOB, Join("Bob", "dev"))
    chat.rooms.lost(CY, NOW)
    chat.join(4, "Cy", token=token)


def test_rooms_that_are_not_entered_again_are_left_in_the_end(chat: Chat) -> None:
    cy_comes_back_to_one_of_two_rooms(chat)
    assert chat.error(4, SendMessage("x", "dev")).code == "not_joined"
    left = UserLeft("dev", "Cy", NOW + 60)
    assert heard(chat.rooms.expire(NOW + 60)) == {BOB: [left]}
    assert chat.rooms.users[4].name == "Cy" and chat.rooms.expires_at is None


def test_a_room_may_be_left_before_it_is_entered_again(chat: Chat) -> None:
    cy_comes_back_to_one_of_two_rooms(chat)
    left = UserLeft("dev", "Cy", NOW)
    assert chat(4, Leave("dev")) == {4: [left], BOB: [left]}


def test_whispers_wait_and_who_never_gets_them_costs_their_sender_no_surprise(
    chat: Chat,
) -> None:
    token = chat.join(CY, "Cy")
    chat.rooms.lost(CY, NOW)
    first = WhisperReceived("Ann", "Cy", "one", NOW)
    assert chat(ANN, Whisper("cy", "one", 1)) == {ANN: [first, Ok(1)]}
    assert chat(4, Join("Cy", token=token))[4][-1] == first
    chat.rooms.lost(4, NOW)
    chat(ANN, Whisper("cy", "two", 2))
    inboxes = heard(chat.rooms.expire(NOW + 60))
    error = next(event for event in inboxes[ANN] if isinstance(event, Error))
    assert (error.code, error.id) == ("not_delivered", 2)


@pytest.mark.parametrize(("text", "most"), [("x", 100), ("x" * 4000, 16)])
def test_so_many_whispers_wait_and_no_more(chat: Chat, text: str, most: int) -> None:
    token = chat.join(CY, "Cy")
    chat.rooms.lost(CY, NOW)
    for number in range(most):
        assert chat(ANN, Whisper("Cy", text, number))[ANN][-1] == Ok(number)
    error = chat.error(ANN, Whisper("Cy", text, "late"))
    assert (error.code, error.id) == ("not_delivered", "late")
    waited = chat(4, Join("Cy", token=token))[4][2:]
    assert [event.content for event in waited] == [text] * most
    assert chat(ANN, Whisper("Cy", text, "late"))[ANN][-1] == Ok("late"), "it is free"


def test_a_clock_that_is_set_back_keeps_nobody_longer(chat: Chat) -> None:
    chat.join(CY, "Cy")
    chat.rooms.lost(CY, NOW)
    day = NOW - 86_400
    assert chat.rooms.expire(day) == [] and chat.rooms.expire(day + 60) != []


def test_only_so_many_places_are_held() -> None:
    chat = Chat(connections=2)
    for client, name in enumerate(("ann", "bob", "cy"), 1):
        chat.join(client, name)
        chat.rooms.lost(client, NOW + client)
    assert list(chat.rooms.by_name) == ["bob", "cy"], "the oldest has given way"


def test_another_name_ends_the_wait_for_the_old_one(chat: Chat) -> None:
    token = chat.join(CY, "Cy")
    chat.rooms.lost(CY, NOW)
    left, joined = UserLeft("lobby", "Cy", NOW), UserJoined("lobby", "cyril", NOW)
    inboxes = chat(4, Join("cyril", token=token))
    assert inboxes[ANN] == [left, joined] and inboxes[4][0].token == token
    assert chat.rooms.expires_at is None


def test_two_names_of_one_session_that_are_both_held(chat: Chat) -> None:
    """Found by the machine below: the second one was in the room twice."""
    token = chat.join(CY, "Cy")
    chat.join(4, "Dan", token=token)
    chat.rooms.lost(CY, NOW)
    chat.rooms.lost(4, NOW)
    assert chat(5, Join("Dan", token=token)).keys() == {5}
    users = chat(ANN, ListUsers())[ANN][0].users
    assert users == ["Ann", "Bob", "Cy", "Dan"]


def full_session(number: int) -> Session:
    return Session(f"token-of-{number:07}", {id: id for id in range(Session.IDS)})


def test_ids_of_those_who_left_are_kept_for_a_day() -> None:
    departed = DepartedSessions()
    for hour in range(25):
        departed.add(full_session(hour), NOW + 3600.0 * hour)
    departed.add(Session("who said nothing"), NOW)
    assert len(departed) == 25
    departed.add(full_session(25), NOW + 3600.0 * 25)
    assert len(departed) == 25 and departed.ids(full_session(0).key) == {}
    assert departed.ids(full_session(1).key) == full_session(1).ids


@pytest.mark.parametrize(("others", "count"), [(5000, Session.IDS), (40_000, 1)])
def test_others_who_come_and_go_do_not_push_out_the_ids_of_one(
    others: int, count: int
) -> None:
    """Row 10 of the attacks: with the bound that was there, 971 full sessions did."""
    departed, ann = DepartedSessions(), Session("a-token-of-ann", {7: 1, "x": None})
    departed.add(ann, NOW)
    ids = {10_000_000 + id: 10_000_000 for id in range(count)}
    for number in range(others):
        departed.add(Session(f"token-of-{number:07}", ids), NOW)
    assert departed.ids(ann.key) == ann.ids


def test_of_those_who_left_only_so_much_is_remembered() -> None:
    departed = DepartedSessions(most_bytes=10_000)
    for number in range(20):
        departed.add(full_session(number), NOW)
        assert departed._size <= 10_000
    count = len(departed)
    assert 5 < count < 20 and departed.ids(full_session(19 - count).key) == {}
    assert departed.ids(full_session(20 - count).key)
    departed.add(full_session(20 - count), NOW)  # it was here again, and comes last
    departed.add(full_session(20), NOW)
    assert departed.ids(full_session(20 - count).key) and len(departed) == count
    departed.forget(full_session(20).key, {0, 1, "none of them"})
    assert departed.ids(full_session(20).key).keys() == {*range(2, Session.IDS)}
    for number in range(21):
        departed.forget(full_session(number).key, {*range(Session.IDS)})
    assert len(departed) == departed._size == 0


@pytest.mark.parametrize("window", [0.0, 60.0])
def test_a_thousand_short_sessions_do_not_push_out_the_ids_of_one(
    window: float,
) -> None:
    """Row 10 of the attacks: the same id after 1,001 other sessions was said twice."""
    chat = Chat(resume_window=window)
    token = chat.join(1, "Ann")
    chat(1, SendMessage("once", id=7))
    chat.rooms.lost(1, NOW)
    for number in range(2, 1010):
        chat.join(number, f"u{number}")
        chat(number, SendMessage("x", id=7))
        chat.rooms.lost(number, NOW)
    assert chat.join(2000, "Ann", token=token) == token
    assert chat(2000, SendMessage("once", id=7))[2000] == [Ok(7, 1)]


def test_a_new_session_gets_the_new_token_and_nobody_else_needs_one() -> None:
    """The rules make up nothing: who calls them has the randomness, as well as the time."""
    rooms = Rooms()
    [welcome, *_] = rooms.handle(ANN, Join("Ann"), NOW, "a-token-of-ann-16")
    assert welcome.event.token == "a-token-of-ann-16"
    rooms.handle(ANN, SendMessage("x"), NOW, "")
    rooms.disconnect(ANN, NOW)
    [welcome, *_] = rooms.handle(4, Join("Ann", token="t" * 16), NOW, "but-this-one")
    assert welcome.event.token == "but-this-one"
    [welcome, *_] = rooms.handle(4, Join("Ann", "dev"), NOW, "nor-this")
    assert welcome.event.token == "but-this-one"


def test_the_rules_are_a_function_of_what_goes_in() -> None:
    """Replaying the same commands gives the same deliveries, the same tokens and times in them."""
    script = [
        (1, Join("Ann")), (2, Join("Bob", "dev")), (2, Join("Bob")), (1, SendMessage("x", id=1)), (1, SetStatus("away")), (2, ListUsers()), (2, Leave("dev")),
        (3, Join("Ann", token="token-0")), (2, GetHistory()), (2, Whisper("Ann", "y", 2)), (3, Leave()),
    ]  # fmt: skip

    def play() -> list[Delivery]:
        rooms = Rooms()
        return [
            delivery
            for step, (client, command) in enumerate(script)
            for delivery in rooms.handle(client, command, NOW + step, f"token-{step}")
        ]

    assert play() == play()
    assert {type(event) for _, event in play()} >= {Welcome, Message, History, Goodbye}


# --- what was said -----------------------------------------------------------------------------------------------


def talkative(count: int = 10, store: MessageStore | None = None) -> Chat:
    """Ann has said 1, 2, 3 ... in the lobby."""
    chat = Chat(store)
    chat(ANN, Join("Ann"))
    for number in range(1, count + 1):
        chat(ANN, SendMessage(str(number)))
    return chat


def page(chat: Chat, **fields: object) -> tuple[list[int], bool, int]:
    [found] = chat(ANN, GetHistory(**fields))[ANN]
    assert found.room == "lobby" and [
        message.content for message in found.messages
    ] == [str(message.seq) for message in found.messages]
    return [message.seq for message in found.messages], found.more, found.lost


def test_an_empty_room_goes_on_with_its_numbers(chat: Chat) -> None:
    chat(ANN, SendMessage("x"), SendMessage("y"))
    for client in (ANN, BOB):
        chat(client, Leave("lobby"))
    assert chat.rooms.rooms == {}
    assert chat(ANN, Join("Ann"))[ANN][0].seq == 2
    assert chat(ANN, SendMessage("z"))[ANN] == [Message("lobby", 3, "Ann", "z", NOW)]


@pytest.mark.parametrize(("asked", "found"), [
    ({}, (range(1, 11), False, 0)),
    ({"limit": 3}, ([8, 9, 10], True, 0)),
    ({"limit": 10}, (range(1, 11), False, 0)),
    ({"before": 8, "limit": 3}, ([5, 6, 7], True, 0)),
    ({"before": 4, "limit": 3}, ([1, 2, 3], False, 0)),
    ({"before": 3, "limit": 3}, ([1, 2], False, 0)),
    ({"before": 1}, ([], False, 0)),
    ({"before": 0}, ([], False, 0)),
    ({"before": 11, "limit": 1}, ([10], True, 0)),
    ({"before": 2**63 - 1, "limit": 2}, ([9, 10], True, 0)),
    ({"after": 0}, (range(1, 11), False, 0)),
    ({"after": 0, "limit": 4}, ([1, 2, 3, 4], True, 0)),
    ({"after": 6, "limit": 4}, ([7, 8, 9, 10], False, 0)),
    ({"after": 9, "limit": 4}, ([10], False, 0)),
    ({"after": 10}, ([], False, 0)),
    ({"after": 11}, ([], False, 0)),
    ({"after": 2**63 - 1}, ([], False, 0)),
])  # fmt: skip
def test_paging(asked: dict, found: tuple) -> None:
    assert page(talkative(), **asked) == (list(found[0]), *found[1:])


@pytest.mark.parametrize(("asked", "found"), [
    ({}, ([5, 6, 7, 8, 9, 10], False, 4)),
    ({"limit": 3}, ([8, 9, 10], True, 0)),  # there is more to be had, so nothing is missing yet
    ({"before": 7}, ([5, 6], False, 4)),
    ({"before": 5}, ([], False, 4)),
    ({"before": 3}, ([], False, 2)),
    ({"before": 1}, ([], False, 0)),
    ({"after": 0, "limit": 2}, ([5, 6], True, 4)),
    ({"after": 3}, ([5, 6, 7, 8, 9, 10], False, 1)),
    ({"after": 4}, ([5, 6, 7, 8, 9, 10], False, 0)),
    ({"after": 10}, ([], False, 0)),
])  # fmt: skip
def test_what_is_no_longer_kept_is_said_to_be_lost(asked: dict, found: tuple) -> None:
    chat = talkative(store=(store := Paper()))
    store.torn["lobby"] = 4
    assert page(chat, **asked) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ([], False, 10)),
        ({"after": 0}, ([], False, 10)),
        ({"after": 7}, ([], False, 3)),
        ({"after": 10}, ([], False, 0)),
    ],
)
def test_of_a_room_all_of_which_is_lost_everything_is_missing(
    asked: dict, found: tuple
) -> None:
    chat = talkative(store=(store := Paper()))
    store.torn["lobby"] = 10
    assert page(chat, **asked) == found


def test_both_directions_together_are_refused(chat: Chat) -> None:
    error = chat.error(ANN, GetHistory(before=5, after=3, id=7))
    assert (
        (error.code, error.id) == ("bad_message", 7)
        and "`before`" in error.content
        and "`after`" in error.content
    )


def test_history_answers_with_the_id_and_to_who_asked(chat: Chat) -> None:
    chat(BOB, SendMessage("x"))
    assert chat(ANN, GetHistory(id="h")) == {
        ANN: [History("lobby", [Message("lobby", 1, "Bob", "x", NOW)], False, id="h")]
    }
    assert chat(ANN, GetHistory("LOBBY", after=1, id=0)) == {
        ANN: [History("lobby", [], False, id=0)]
    }


@pytest.mark.parametrize("text", ["x" * 4000, "👋" * 4000])
def test_a_page_has_so_many_bytes_in_either_direction(text: str) -> None:
    chat = Chat(Paper())
    chat(ANN, Join("Ann"))
    for _ in range(100):
        chat(ANN, SendMessage(text))
    forward, backward = (
        chat(ANN, GetHistory(**asked))[ANN][0] for asked in ({"after": 0}, {})
    )
    count = PAGE_BYTES // len(encode(forward.messages[0]))
    assert [message.seq for message in forward.messages] == list(
        range(1, count + 1)
    ) and forward.more
    assert [message.seq for message in backward.messages] == list(
        range(101 - count, 101)
    ) and backward.more
    for found in (forward, backward):
        assert PAGE_BYTES * 0.8 < len(encode(found)) <= PAGE_BYTES


def test_a_page_has_at_least_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = talkative()
    monkeypatch.setattr("python_tcp.messages.PAGE_BYTES", 1)
    assert page(chat) == ([10], True, 0)
    assert page(chat, after=3) == ([4], True, 0)


@pytest.mark.slow
@given(st.data())
def test_pages_one_after_the_other_give_everything_once(data: st.DataObject) -> None:
    chat = talkative(12, store := Paper())
    store.torn["lobby"] = torn = data.draw(st.integers(0, 12))
    limits = st.integers(1, 5)
    forward, last, more = [], 0, True
    while more:
        seqs, more, lost = page(chat, after=last, limit=data.draw(limits))
        assert lost == (torn if last == 0 else 0)
        forward += seqs
        last = seqs[-1] if seqs else last
    backward, first, more = [], None, True
    while more:
        seqs, more, lost = page(chat, before=first, limit=data.draw(limits))
        assert lost == (0 if more else torn)
        backward = seqs + backward
        first = seqs[0] if seqs else first
    assert forward == backward == list(range(torn + 1, 13))


@pytest.mark.parametrize(
    ("since", "seqs"),
    [
        (0, range(1, 11)),
        (7, [8, 9, 10]),
        (9, [10]),
        (10, []),
        (11, range(1, 11)),
        (2**63 - 1, range(1, 11)),
    ],
)
@pytest.mark.parametrize("again", [False, True], ids=["first room", "another room"])
def test_who_joins_with_since_gets_what_came_after(
    since: int, seqs: range, again: bool
) -> None:
    chat = talkative()
    if again:
        chat(BOB, Join("Bob", "dev"))
    welcome, users, missed = chat(BOB, Join("Bob", since=since))[BOB]
    assert (welcome.seq, users.users) == (10, ["Ann", "Bob"])
    assert missed == History(
        "lobby", [Message("lobby", seq, "Ann", str(seq), NOW) for seq in seqs], False
    )


def test_what_is_too_much_for_one_replay_is_to_be_asked_for() -> None:
    chat = talkative(MAX_PAGE + 5, Paper())
    chat.store.torn["lobby"] = 3
    missed = chat(BOB, Join("Bob", since=1))[BOB][2]
    assert (missed.messages[0].seq, missed.more, missed.lost) == (4, True, 2)
    assert len(encode(missed)) <= MAX_EVENT
    [rest] = chat(BOB, GetHistory(after=MAX_PAGE + 3))[BOB]
    assert [message.seq for message in rest.messages] == [
        MAX_PAGE + 4,
        MAX_PAGE + 5,
    ] and (rest.more, rest.lost) == (False, 0)


def test_without_since_nothing_is_replayed() -> None:
    assert [type(event) for event in talkative()(BOB, Join("Bob"))[BOB]] == [
        Welcome,
        UserList,
    ]


@pytest.mark.parametrize(
    "store",
    [MemoryStore(most=0), MemoryStore(most_bytes=0), MemoryStore(most_bytes=300)],
)
def test_a_memory_without_space_still_counts(store: MemoryStore) -> None:
    chat = talkative(3, store)
    assert page(chat) == ([], False, 3)
    assert chat(BOB, Join("Bob", since=1))[BOB][2] == History("lobby", [], False, 2)
    for client in (ANN, BOB):
        chat.gone(client)
    assert chat(ANN, Join("Ann"))[ANN][0].seq == 3
    assert store._size == 0 and store._rooms == {}


def test_a_room_that_was_forgotten_while_people_were_in_it_goes_on() -> None:
    chat = Chat(MemoryStore(most_bytes=5 * (MemoryStore.OVERHEAD + 1)))
    chat(ANN, Join("Ann", "quiet"))
    chat(ANN, SendMessage("x"))
    chat(BOB, Join("Bob", "busy"))
    for _ in range(50):
        chat(BOB, SendMessage("x"))
    assert chat(ANN, GetHistory()) == {ANN: [History("quiet", [], False, 1)]}
    assert chat(ANN, SendMessage("y"))[ANN] == [Message("quiet", 2, "Ann", "y", NOW)]
    assert chat(ANN, GetHistory(after=0)) == {
        ANN: [History("quiet", [Message("quiet", 2, "Ann", "y", NOW)], False, 1)]
    }


# --- a store that fails --------------------------------------------------------------------------------------------


@pytest.fixture
def full() -> Chat:
    """Ann and Bob are in the lobby, Ann has said something, and there is no more paper."""
    chat = Chat(Paper())
    chat(ANN, Join("Ann"))
    chat(BOB, Join("Bob"))
    chat(ANN, SendMessage("old", id=1))
    chat.store.is_full = True
    return chat


def test_what_was_not_saved_was_not_said(full: Chat) -> None:
    inboxes = full(
        ANN,
        SendMessage("a", id=7),
        SendMessage("b"),
        Ping(),
        SendMessage("c", id="c"),
        SetStatus("away"),
    )
    assert [(type(event), getattr(event, "id", None)) for event in inboxes[ANN]] == [
        (Error, 7),
        (Error, None),
        (Pong, None),
        (Error, "c"),
        (StatusChanged, None),
    ]
    for event in inboxes.pop(ANN):
        if isinstance(event, Error):
            assert (event.code, event.retry_after) == (
                "not_saved",
                1.0,
            ) and "the paper is full" in event.content
    assert inboxes == {BOB: [StatusChanged("Ann", "away", NOW)]}
    full.store.is_full = False
    assert full(BOB, SendMessage("d"))[ANN] == [Message("lobby", 2, "Bob", "d", NOW)], (
        "the numbers are free again"
    )
    assert full(ANN, SendMessage("a", id=7))[ANN] == [
        Message("lobby", 3, "Ann", "a", NOW),
        Ok(7, 3),
    ], "and so are the ids"
    assert full(ANN, SendMessage("old", id=1)) == {ANN: [Ok(1, 1)]}


def test_the_same_message_twice_in_a_tick_that_fails(full: Chat) -> None:
    inboxes = full(ANN, SendMessage("a", id=7), SendMessage("a", id=7))
    assert [(event.code, event.id) for event in inboxes.pop(ANN)] == [
        ("not_saved", 7)
    ] * 2 and inboxes == {}


def test_whispers_need_no_paper(full: Chat) -> None:
    said = WhisperReceived("Ann", "Bob", "psst", NOW)
    inboxes = full(ANN, SendMessage("a"), Whisper("Bob", "psst", 8))
    assert inboxes[BOB] == [said] and inboxes[ANN][1:] == [said, Ok(8)]


@pytest.mark.parametrize("there", [True, False])
def test_a_whisper_does_not_overtake_a_message_that_was_not_saved(
    full: Chat, there: bool
) -> None:
    """Nor does what follows the whisper, even if it waits for somebody."""
    bob = full.rooms.users[BOB].session.token
    if not there:
        full.held += full.rooms.lost(BOB, NOW)
    inboxes = full(
        ANN,
        SendMessage("one", id="first"),
        Whisper("bob", "two", id=2, follows="first"),
        Whisper("bob", "three", id=3, follows=2),
        Whisper("bob", "on its own", id=4),
    )
    answers = [event for event in inboxes[ANN] if isinstance(event, Error | Ok)]
    assert [(each.code, each.id) for each in answers[:3]] == [
        ("not_saved", "first"),
        ("not_saved", 2),
        ("not_saved", 3),
    ]
    assert answers[3:] == [Ok(4)], "it depends on nothing"
    full.store.is_full = False
    if not there:
        inboxes = full(BOB, Join("Bob", token=bob))
    told = [each for each in inboxes[BOB] if isinstance(each, WhisperReceived)]
    assert [each.content for each in told] == ["on its own"]
    assert full.rooms.users[ANN].session.ids.keys() == {1, 4}, "the others come again"


def test_numbers_that_were_taken_back_are_taken_out_of_what_was_told(
    full: Chat,
) -> None:
    inboxes = full(
        ANN,
        SendMessage("a"),
        SendMessage("b"),
        GetHistory(),
        Join("Ann", "dev"),
        SendMessage("c"),
        GetHistory("lobby", after=0, limit=1),
        GetHistory("lobby", after=1, limit=1),
    )
    old = Message("lobby", 1, "Ann", "old", NOW)
    pages = [event for event in inboxes[ANN] if isinstance(event, History)]
    assert [(found.messages, found.more, found.lost) for found in pages] == [
        ([old], False, 0),
        ([old], False, 0),
        ([], False, 0),
    ]
    assert full(ANN, ListUsers())[ANN] == [UserList("dev", ["Ann"])]
    assert full.rooms.rooms["dev"].seq == 0


def test_who_comes_in_a_tick_that_fails_is_told_the_truth(full: Chat) -> None:
    full.do(ANN, SendMessage("a"))
    full.do(CY, Join("Cy", since=0))
    full.do(ANN, SendMessage("b"))
    welcome, users, missed, error = full(CY, SendMessage("c", id=9))[CY]
    assert (
        welcome.seq == 1
        and [message.seq for message in missed.messages] == [1]
        and not missed.more
    )
    assert (error.code, error.id) == ("not_saved", 9)
    full.store.is_full = False
    assert full(CY, SendMessage("c", id=9))[CY] == [
        Message("lobby", 2, "Cy", "c", NOW),
        Ok(9, 2),
    ]


def test_a_commit_that_fails_takes_back_the_ok_of_who_came_back_in_the_same_tick(
    full: Chat,
) -> None:
    token = full.rooms.by_name["ann"].session.token
    full.do(ANN, SendMessage("a", id=7))
    full.do(4, Join("Ann", token=token))
    inboxes = full(4, SendMessage("a", id=7))
    assert [
        (event.code, event.id) for event in inboxes[4] if isinstance(event, (Ok, Error))
    ] == [("not_saved", 7)]
    assert not any(isinstance(event, Ok) for event in inboxes[ANN])
    full.store.is_full = False
    assert full(4, SendMessage("a", id=7))[4] == [
        Message("lobby", 2, "Ann", "a", NOW),
        Ok(7, 2),
    ]


def test_an_ok_is_taken_back_from_who_came_back_and_has_left_again(full: Chat) -> None:
    token = full.rooms.by_name["ann"].session.token
    full.do(ANN, SendMessage("a", id=7))
    inboxes = full(4, Join("Ann", token=token), SendMessage("a", id=7), Leave())
    last = inboxes[4][-2:]
    assert [(event.code, getattr(event, "id", None)) for event in last] == [
        ("not_saved", 7),
        ("left", None),
    ]


def test_a_room_that_came_and_went_in_a_tick_that_fails_has_said_nothing(
    full: Chat,
) -> None:
    full(ANN, Join("Ann", "dev"), SendMessage("x", id=7), Leave("dev"))
    assert full(ANN, Join("Ann", "dev"))[ANN][0].seq == 0


def test_a_store_that_fails_at_everything_still_lets_the_rest_through(
    full: Chat,
) -> None:
    full.store.is_unreadable = True
    inboxes = full(ANN, SendMessage("a", id=7), Ping(3), Whisper("Bob", "psst"))
    assert [type(event) for event in inboxes[ANN]] == [
        Error,
        Pong,
        WhisperReceived,
    ] and [type(event) for event in inboxes[BOB]] == [WhisperReceived]
    full.store.is_full = full.store.is_unreadable = False
    assert full(ANN, SendMessage("a", id=7))[BOB] == [
        Message("lobby", 2, "Ann", "a", NOW)
    ]


def test_the_trouble_is_known_until_something_was_saved(full: Chat) -> None:
    assert full.rooms.trouble is None
    full(ANN, SendMessage("a"))
    assert full.rooms.trouble == "the paper is full"
    full(ANN, Ping())
    assert full.rooms.trouble == "the paper is full"
    full.store.is_full = False
    full(ANN, SendMessage("a"))
    assert full.rooms.trouble is None


@pytest.mark.parametrize("client, command", [
    (CY, Join("Cy", "dev", id=7)), (CY, Join("Cy", since=0, id=7)), (CY, Join("Cy", token="t" * 16, id=7)), (4, Join("Ann", "dev", id=7)), (4, Join("Ann", since=0, id=7)),
    (ANN, Join("Ann", "dev", id=7)), (ANN, GetHistory(id=7)), (ANN, GetHistory(after=0, id=7)),
])  # fmt: skip
def test_a_store_that_can_not_be_read_changes_nothing(
    client: int, command: Command
) -> None:
    chat = Chat(store := Paper())
    chat(ANN, Join("Ann"))
    chat(BOB, Join("Bob"))
    if client == 4:
        command.token = chat.rooms.by_name["ann"].session.token

    def state() -> list:
        rooms = chat.rooms
        return [
            {key: (user.name, user.client, user.status, list(user.rooms), user.room, user.session) for key, user in rooms.by_name.items()},
            {key: user.name for key, user in rooms.users.items()}, {name: (room.seq, room.clients) for name, room in rooms.rooms.items()}, dict(departed(rooms)._packed),
        ]  # fmt: skip

    before, store.is_unreadable = state(), True
    error = chat.error(client, command)
    assert (error.code, error.id) == (
        "no_history",
        7,
    ) and "the paper is wet" in error.content
    assert state() == before
    store.is_unreadable = False
    assert not isinstance(chat(client, command)[client][-1], Error), (
        "and later it works"
    )


# --- a store that completes later --------------------------------------------------------------------------------


@pytest.fixture
def late() -> Chat:
    """Ann and Bob are in the lobby, Ann has said something; from now on commits take their time."""
    chat = Chat(Paper())
    chat(ANN, Join("Ann"))
    chat(BOB, Join("Bob"))
    chat(ANN, SendMessage("old", id=1))
    chat.store.late = True
    return chat


def said(inboxes: dict[int, list[Event]], client: int) -> list:
    """The numbers of the messages, the ids of what was taken and of what was not, in order."""
    kinds = {Message: "seq", Ok: "id", Error: "code"}
    return [
        getattr(event, kinds[type(event)])
        for event in inboxes.get(client, [])
        if type(event) in kinds
    ]


def test_nothing_comes_out_before_the_store_is_sure(late: Chat) -> None:
    assert late(ANN, SendMessage("a", id=7), Ping()) == {}
    late.do(BOB, SendMessage("b", id=8))  # while the commit is on its way
    late.store.complete()
    inboxes = late.heard()
    assert said(inboxes, BOB) == [2] and said(inboxes, ANN) == [2, 7]
    late.commit()
    assert late.heard() == {}
    late.store.complete()
    assert said(late.heard(), BOB) == [3, 8]
    assert uncommitted(late.rooms) == [] == late.held


def test_when_a_commit_fails_what_came_in_the_meantime_was_not_said_either(
    late: Chat,
) -> None:
    late(ANN, SendMessage("a", id=7))
    late.do(BOB, SendMessage("b"), Ping(), GetHistory(after=0))
    late.do(ANN, SendMessage("c", id=8), SendMessage("a", id=7))
    late.store.is_full = True
    late.store.complete()
    inboxes = late.heard()
    assert [getattr(event, "id", None) for event in inboxes[ANN]] == [7, 8, 7]
    assert said(inboxes, ANN) == ["not_saved"] * 3
    error, pong, history = inboxes[BOB]
    assert (error.code, pong) == ("not_saved", Pong())
    assert [message.seq for message in history.messages] == [1] and not history.more
    assert late.rooms.rooms["lobby"].seq == 1 and uncommitted(late.rooms) == []
    late.store.is_full = late.store.late = False
    assert said(late(ANN, SendMessage("c", id=8)), ANN) == [2, 8], "all is free again"
    assert said(late(ANN, SendMessage("a", id=7)), ANN) == [3, 7]


def test_what_was_committed_before_a_failure_stays_said(late: Chat) -> None:
    late(ANN, SendMessage("a", id=7))
    late.do(BOB, SendMessage("b", id=8), GetHistory(after=0))
    late.do(ANN, SendMessage("a", id=7))
    late.store.complete()
    assert said(late.heard(), ANN) == [2, 7]
    late.commit()
    late.store.is_full = True
    late.store.complete()
    inboxes = late.heard()
    assert said(inboxes, ANN) == [7], "the same `Ok` again, of a message that is safe"
    assert said(inboxes, BOB) == ["not_saved"]
    [history] = [event for event in inboxes[BOB] if isinstance(event, History)]
    assert [message.seq for message in history.messages] == [1, 2] and not history.more
    assert late.rooms.rooms["lobby"].seq == 2
    late.store.is_full = late.store.late = False
    assert late(ANN, SendMessage("a", id=7)) == {ANN: [Ok(7, 2)]}
    assert said(late(BOB, SendMessage("b", id=8)), BOB) == [3, 8]


def test_who_comes_while_a_commit_is_on_its_way_is_told_the_truth(late: Chat) -> None:
    late(ANN, SendMessage("a"), SendMessage("b"))
    late.do(CY, Join("Cy", since=1), Join("Cy", "new"), SendMessage("c"))
    late.store.is_full = True
    late.store.complete()
    welcome, _, missed, other, *_ = late.heard()[CY]
    assert (welcome.room, welcome.seq) == ("lobby", 1)
    assert (missed.messages, missed.more, missed.lost) == ([], False, 0)
    assert (other.room, other.seq) == ("new", 0)
    assert late.rooms.rooms["new"].seq == 0


def test_a_room_that_is_made_anew_while_a_commit_is_on_its_way(late: Chat) -> None:
    late(ANN, Join("Ann", "dev"), SendMessage("a"), Leave("dev"))
    late.do(BOB, Join("Bob", "dev"))
    assert late.rooms.rooms["dev"].seq == 1, "the store has it, and may still lose it"
    late.store.is_full = True
    late.store.complete()
    assert late.heard()[BOB][-2].seq == 0 == late.rooms.rooms["dev"].seq
    late.store.is_full = late.store.late = False
    assert said(late(BOB, SendMessage("b")), BOB) == [1]


def test_ids_of_who_has_left_in_the_meantime_are_forgotten_too(late: Chat) -> None:
    token = late.rooms.by_name["ann"].session.token
    late(ANN, SendMessage("a", id=7), Leave())
    late.store.is_full = True
    late.store.complete()
    late.store.is_full = late.store.late = False
    late.heard()
    late(4, Join("Ann", token=token))
    assert said(late(4, SendMessage("a", id=7)), 4) == [2, 7]
    assert late(4, SendMessage("old", id=1)) == {4: [Ok(1, 1)]}


def test_ids_of_a_session_that_was_read_back_from_the_store_are_forgotten_too() -> None:
    """The rules have forgotten Cy, the store knows what she has said; then it forgets that."""
    chat = Chat(Paper(late=True), connections=1)
    for client, name in ((CY, "Cy"), (ANN, "Ann")):
        chat.do(client, Join(name))
    token = chat.rooms.by_name["cy"].session.token
    chat(CY, SendMessage("a", id=7), Leave())
    chat.do(ANN, SendMessage("b", id=1), Leave())  # only the last session is kept
    chat.do(4, Join("Cy", token=token), SendMessage("a", id=7))
    assert chat.held[-1].event == Ok(7, 1)
    chat.store.is_full = True
    chat.store.complete()
    assert said(chat.heard(), 4)[-1] == "not_saved"
    assert chat.rooms.by_name["cy"].session.ids == {}


def test_marks_say_how_far_a_commit_reaches_in_whatever_order_they_come() -> None:
    rooms, marks = Rooms(), [0]
    rooms.handle(ANN, Join("Ann"), NOW, "t" * 16)
    held = []
    for number in range(1, 5):
        held += rooms.handle(ANN, SendMessage(str(number), id=number), NOW, "")
        marks.append(rooms.mark())
    rooms.committed(marks[2])
    rooms.committed(marks[1])  # an older one says nothing new
    rooms.committed(marks[0])
    assert rooms.mark() == marks[4] > marks[3] > marks[2]
    out = rooms.take_back(held[4:], StoreError("no more"))
    assert [(event.code, event.id) for _, event in out] == [
        ("not_saved", 3),
        ("not_saved", 4),
    ]
    assert rooms.rooms["lobby"].seq == 2 and rooms.mark() >= marks[4]
    rooms.committed(marks[4])  # it was on its way when all was taken back
    rooms.handle(ANN, SendMessage("3", id=3), NOW, "")
    rooms.committed(marks[3])
    assert len(uncommitted(rooms)) == 1


def test_who_came_back_to_some_rooms_and_leaves_the_chat_is_written_down_no_more() -> (
    None
):
    """Its hold went on: when that ended, the place was written over that of the next one with this name."""
    paper = Paper()
    chat = Chat(paper, resume_window=8)
    chat.rooms = Rooms(Limits(resume_window=8), paper, paper)
    token = chat.join(ANN, "Ann", "a")
    chat(ANN, Join("Ann", "b"))
    chat.rooms.lost(ANN, chat.now)
    chat(BOB, Join("Ann", "a", token=token))
    chat(BOB, Leave())
    assert chat.rooms.expires_at is None
    new = chat.join(CY, "Ann", "c")
    chat.rooms.expire(chat.now + 20)
    chat.commit()
    assert paper.places == {"ann": SavedPlace("Ann", session_key(new), "online", ["c"])}


def test_the_id_of_a_whisper_is_known_after_a_restart() -> None:
    paper = Paper()
    chat = Chat(paper)
    token = chat.join(ANN, "Ann")
    chat(ANN, Whisper("Ann", "note to myself", 7))
    again = Chat(paper)
    again.join(ANN, "Ann", token=token)
    assert again(ANN, Whisper("Ann", "note to myself", 7)) == {ANN: [Ok(7)]}


# --- all of it at random, against a plain model ------------------------------------------------------------------

CLIENTS = st.integers(1, 5)
MOSTLY_MEMBERS = st.integers(1, 30)  # see `do`
NAMES = st.sampled_from(["ann", "Ann", "bob", "BOB", "cy", "dan"])
ROOMS = st.sampled_from(["a", "A", "b", "c", "d"])
IDS = st.none() | st.none() | st.sampled_from([0, 1, 2, "0", "1", "2"])
WINDOW = 8
LIMITS = Limits(rooms_per_client=3, resume_window=WINDOW, sessions_per_account=2)


@dataclass(eq=False)
class Whispered:
    """A whisper that waits, by whom (their token), with which id. Has another client of the same person got it?"""

    event: WhisperReceived
    token: str
    id: MessageId | None
    told: bool = False


@dataclass(eq=False)
class Absent:
    """A client whose place is kept `until` then, in `rooms`, and what was whispered to it."""

    name: str
    token: str
    status: str
    rooms: list[str]
    until: float
    whispers: list[Whispered] = field(default_factory=list)


@dataclass
class Owned:
    """What is known of an account."""

    name: str
    hash: str
    read: dict[str, int] = field(default_factory=dict)


def raw(token: str) -> str:
    """A token as its client knows it. In the model, that of an account has the account's name before it."""
    return token.rpartition(":")[2]


def key_of(token: str) -> str:
    """The key of the session."""
    return session_key(raw(token), token.rpartition(":")[0])


class Plain:
    """The whole chat in plain lists and dictionaries. `saves` False: what is said is not saved, and so was never said."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.tokens: dict[int, str] = {}
        self.statuses: dict[int, str] = {}
        self.where: dict[
            int, list[str]
        ] = {}  # the rooms of each client, in the order of joining
        self.away: dict[int, tuple[list[str], float]] = {}  # not entered again, yet
        self.members: dict[str, list[int]] = defaultdict(list)
        self.said: dict[str, list[Message]] = defaultdict(list)
        self.torn: dict[str, int] = Counter()
        self.ids: dict[str, dict[MessageId, int | None]] = defaultdict(dict)  # by token
        self.absent: list[Absent] = []  # whose time ends first comes first
        self.accounts: dict[str, Owned] = {}  # by name, in lower case
        self.logins: dict[int, str] = {}  # of clients: names, in lower case
        self.talks: dict[int, str | None] = {}  # in which room
        self.followed: set[tuple[int, str]] = set()  # where another client has joined
        self.unnumbered: set[tuple[str, MessageId]] = set()  # known from a guest's time
        self.count = itertools.count()
        self.turns: dict[tuple[str, str], int] = {}  # of those whose place is kept
        self.left: set[str] = (
            set()
        )  # the tokens of those who left, and whose ids are known
        self.unsaid: set[tuple[str, MessageId]] = set()  # what could not be saved
        self.unwritten: set[tuple[str, MessageId]] = set()  # ids, of whispers
        self.out: list[tuple[int, Event]] = []
        self.saves = self.reads = True

    def say(self, clients: list[int], event: Event) -> None:
        self.out += [(client, event) for client in clients]

    def refuse(
        self, client: int, command: Command, code: str, retry_after: float | None = None
    ) -> None:
        self.say([client], Error(code, "", getattr(command, "id", None), retry_after))

    def clients_of(self, name: str) -> list[int]:
        low = name.lower()
        return [client for client in self.names if self.names[client].lower() == low]

    def absents_of(self, name: str) -> list[Absent]:
        return [each for each in self.absent if each.name.lower() == name.lower()]

    def places_of(self, name: str) -> set[str]:
        """The rooms where this person has a place."""
        here = [self.where[c] + self.away_of(c) for c in self.clients_of(name)]
        return {*sum(here, []), *sum((a.rooms for a in self.absents_of(name)), [])}

    def room_of(self, client: int, room: str | None) -> str | None:
        room = room.lower() if room else self.talks.get(client)
        return room if room in self.where[client] else None

    def people(self, room: str) -> list[tuple[str, str]]:
        """Name and status of all who have a place in a room, each person once."""
        there = [
            *self.members[room],
            *(c for c in self.away if room in self.away[c][0]),
        ]
        here = {self.names[client]: self.statuses[client] for client in there}
        here |= {a.name: a.status for a in self.absent if room in a.rooms}
        return list(here.items())

    def users(self, room: str) -> UserList:
        people = sorted(self.people(room), key=lambda each: each[0].lower())
        statuses = {name: status for name, status in people if status != "online"}
        names = [name for name, _ in people]
        accounts = [name for name in names if name.lower() in self.accounts]
        return UserList(room, names, statuses, accounts=accounts)

    def page(
        self,
        room: str,
        before: int | None,
        after: int | None,
        limit: int,
        id: MessageId | None = None,
    ) -> History:
        kept, gone = self.said[room][self.torn[room] :], range(1, self.torn[room] + 1)
        if after is not None:
            found = [message for message in kept if message.seq > after]
            return History(
                room,
                found[:limit],
                len(found) > limit,
                sum(seq > after for seq in gone),
                id,
            )
        found = [message for message in kept if before is None or message.seq < before]
        lost = sum(before is None or seq < before for seq in gone)
        return History(
            room,
            found[-limit:],
            len(found) > limit,
            0 if len(found) > limit else lost,
            id,
        )

    def handle(self, client: int, command: Command, now: float, token: str) -> None:
        if client in self.names:
            getattr(self, type(command).__name__)(client, command, now)
        elif isinstance(command, Join):
            self.arrive(client, command, now, token)
        elif isinstance(command, Ping):
            self.Ping(client, command, now)
        elif isinstance(command, Pong):
            pass
        elif command == Leave():
            self.say([client], goodbye("left"))
        elif isinstance(command, ACCOUNT_COMMANDS):
            getattr(self, type(command).__name__)(client, command, now)
        else:
            self.refuse(client, command, "not_joined")

    def arrive(self, client: int, command: Join, now: float, new_token: str) -> None:
        name, token = command.username, command.token
        low, login = name.lower(), self.logins.get(client)
        account = self.accounts.get(low)
        if account is not None:
            name, token = account.name, token and f"{low}:{token}"
            new_token = f"{low}:{new_token}"
        clients, absents = self.clients_of(low), self.absents_of(low)
        ghost = next((c for c in clients if self.tokens[c] == token), None)
        held = next((a for a in absents if a.token == token), None)
        if account is None and clients and ghost is None:
            return self.refuse(client, command, "name_taken")
        if account is None and absents and held is None:
            wait = max(0.1, absents[0].until - now)
            return self.refuse(client, command, "name_taken", wait)
        if login is not None and login != low:
            return self.refuse(client, command, "already_joined")
        if account is not None and login is None and ghost is None and held is None:
            return self.refuse(client, command, "name_registered")
        here = [each for each in clients if each != ghost]
        if account is not None and len(here) >= LIMITS.sessions_per_account:
            return self.refuse(client, command, "too_many_sessions")
        places = self.places_of(low)
        is_new = command.room.lower() not in places
        if is_new and len(places) >= LIMITS.rooms_per_client:
            return self.refuse(client, command, "bad_room")
        if not self.can_enter(command):
            return self.refuse(client, command, "no_history")
        if ghost is not None:
            self.lose(ghost, now)
            self.say([ghost], goodbye("replaced"))
        token = token if self.knows(token) else new_token
        before = self.absent_one(
            lambda a: a.name.lower() == low and (a.token == token or account is None)
        ) or self.absent_one(lambda a: a.token == token)
        if before is not None and before.name != name:
            self.give_up(before, now)
            before = None
        status, whispers = "online", []
        if account is not None and before is None:
            status = next((s for s in self.statuses_of(low)), status)
            lost = self.absents_of(low)
            count = len(self.clients_of(low)) + len(lost) + 1
            for each in lost[: max(0, count - LIMITS.sessions_per_account)]:
                self.give_up(each, now)
            for each in self.absents_of(low):
                whispers += [w for w in each.whispers if w not in whispers]
            whispers = [each for each in whispers if not each.told]
        self.names[client], self.tokens[client] = name, token
        self.statuses[client], self.where[client] = status, []
        self.left.discard(token)
        if account is not None:
            self.logins[client] = low
        if before is not None:
            self.absent.remove(before)
            self.statuses[client], whispers = before.status, before.whispers
            self.away[client] = before.rooms, now + WINDOW
            self.turns[name, token] = next(self.count)
        self.enter(client, command, now)
        for room in sorted(self.places_of(name)):
            if room not in self.where[client] + self.away_of(client):
                self.follow(client, room)
        for whisper in whispers:
            whisper.told = True
            self.say([client], whisper.event)

    def statuses_of(self, name: str) -> list[str]:
        here = [self.statuses[client] for client in self.clients_of(name)]
        return here + [each.status for each in self.absents_of(name)]

    def absent_one(self, is_it: Callable[[Absent], bool]) -> Absent | None:
        return next(filter(is_it, self.absent), None)

    def knows(self, token: str | None) -> bool:
        """Is it that of somebody who is here or absent, or has an id to be remembered?"""
        around = [*self.tokens.values(), *(a.token for a in self.absent)]
        around += [each for each, _ in self.unsaid]  # they had an id then
        return token is not None and (token in around or bool(self.ids.get(token)))

    def lose(self, client: int, now: float) -> None:
        """The connection is lost."""
        if client in self.names:
            away, _ = self.away.pop(client, ([], 0))
            rooms = away + self.where[client]
            for room in self.where[client]:
                self.members[room].remove(client)
            name, token, status = (
                book.pop(client) for book in (self.names, self.tokens, self.statuses)
            )
            del self.where[client]
            self.absent.append(Absent(name, token, status, rooms, now + WINDOW))
            self.turns[name, token] = next(self.count)
        self.forget(client)

    def forget(self, client: int) -> None:
        """It has no account and no place."""
        self.logins.pop(client, None)
        self.talks.pop(client, None)
        self.followed = {each for each in self.followed if each[0] != client}

    def expire(self, now: float) -> None:
        due: dict[tuple[str, str], int | Absent] = {
            (self.names[client], self.tokens[client]): client
            for client, (_, until) in self.away.items()
            if until <= now
        }
        due |= {(a.name, a.token): a for a in self.absent if a.until <= now}
        for each in sorted(due, key=lambda each: self.turns[each]):
            if isinstance(who := due[each], Absent):
                self.give_up(who, now)
                continue
            for room in self.away.pop(who)[0]:
                others = [c for c in self.clients_of(each[0]) if c != who]
                if any(room in self.where[other] for other in others):
                    self.follow(who, room)
                else:
                    self.has_left(each[0], room, now)

    def has_left(self, name: str, room: str, now: float) -> None:
        """One client of this person has no place there any more. Has another one?"""
        if room not in self.places_of(name):
            self.say(self.members[room], UserLeft(room, name, now))

    def give_up(self, absent: Absent, now: float) -> None:
        """Somebody has not come back."""
        self.absent.remove(absent)
        for room in absent.rooms:
            self.has_left(absent.name, room, now)
        if self.ids[absent.token]:
            self.left.add(absent.token)
        kept = [w for each in self.absents_of(absent.name) for w in each.whispers]
        for whisper in absent.whispers:
            if whisper.told or whisper in kept:
                continue
            for sender in self.clients_of(whisper.event.username):
                if self.tokens[sender] == whisper.token:
                    self.say([sender], Error("not_delivered", "", whisper.id))

    def can_enter(self, command: Join) -> bool:
        return (
            self.reads
            or command.since is None
            and bool(self.people(command.room.lower()))
        )

    def away_of(self, client: int) -> list[str]:
        return self.away[client][0] if client in self.away else []

    def Join(self, client: int, command: Join, now: float) -> None:
        room = command.room.lower()
        places = self.places_of(self.names[client])
        has_joined = room in self.where[client] and (client, room) not in self.followed
        if command.username.lower() != self.names[client].lower() or has_joined:
            self.refuse(client, command, "already_joined")
        elif room not in places and len(places) >= LIMITS.rooms_per_client:
            self.refuse(client, command, "bad_room")
        elif not self.can_enter(command):
            self.refuse(client, command, "no_history")
        else:
            self.enter(client, command, now)

    def enter(self, client: int, command: Join, now: float) -> None:
        room, since, name = command.room.lower(), command.since, self.names[client]
        is_new = room not in self.places_of(name)
        strangers, seq = self.members[room].copy(), len(self.said[room])
        if room in self.away_of(client):
            self.away_of(client).remove(room)
        if not self.away_of(client):
            self.away.pop(client, None)
        self.greet(client, room)
        self.talks[client] = room
        self.followed.discard((client, room))
        if since is not None:
            self.say(
                [client], self.page(room, None, since if since <= seq else 0, MAX_PAGE)
            )
        for other in self.clients_of(name):
            if room not in self.where[other] + self.away_of(other):
                self.follow(other, room)
        if is_new:
            self.say(strangers, UserJoined(room, name, now))

    def greet(self, client: int, room: str) -> None:
        if client not in self.members[room]:
            self.members[room].append(client)
            self.where[client].append(room)
        name, token, seq = self.names[client], self.tokens[client], len(self.said[room])
        welcome = Welcome(name, room, "", seq, Paper.epoch, raw(token))
        welcome.features = ["accounts"]
        if (account := self.accounts.get(name.lower())) is not None:
            welcome.account, welcome.read = name, account.read.get(room, 0)
        self.say([client], welcome)
        self.say([client], self.users(room))

    def follow(self, client: int, room: str) -> None:
        """Another client of this person is in that room."""
        self.greet(client, room)
        self.talks[client] = self.talks.get(client) or room
        self.followed.add((client, room))

    def SendMessage(self, client: int, command: SendMessage, now: float) -> None:
        known, id = self.ids[self.tokens[client]], command.id
        if id is not None and id in known:
            return self.say([client], Ok(id, known[id]))
        if (self.tokens[client], id) in self.unsaid:
            return self.refuse(client, command, "not_saved", 1.0)
        if self.overtakes(client, command.follows):
            return self.refuse(client, command, "out_of_order", 0.0)
        if (room := self.room_of(client, command.room)) is None:
            return self.refuse(client, command, "not_joined")
        if not self.saves:
            self.unsaid |= {(self.tokens[client], id)} if id is not None else set()
            return self.refuse(client, command, "not_saved", 1.0)
        message = Message(
            room, len(self.said[room]) + 1, self.names[client], command.content, now
        )
        self.said[room].append(message)
        self.say(self.members[room], message)
        if id is not None:
            known[id] = message.seq
            self.say([client], Ok(id, message.seq))

    def Whisper(self, client: int, command: Whisper, now: float) -> None:
        known, id = self.ids[self.tokens[client]], command.id
        if id is not None and id in known:
            return self.say([client], Ok(id, known[id]))
        if (self.tokens[client], id) in self.unsaid:  # the first with this id counts
            return self.refuse(client, command, "not_saved", 1.0)
        if self.overtakes(client, command.follows):
            return self.refuse(client, command, "out_of_order", 0.0)
        others, absents = self.clients_of(command.to), self.absents_of(command.to)
        if not others and not absents:
            return self.refuse(client, command, "no_such_user")
        token = self.tokens[client]
        if id is not None and (token, command.follows) in self.unsaid:
            self.unsaid.add((token, id))  # nothing overtakes what was not saved
            return self.refuse(client, command, "not_saved", 1.0)
        to = self.names[others[0]] if others else absents[0].name
        event = WhisperReceived(self.names[client], to, command.content, now)
        waits = Whispered(event, token, id, told=bool(others))
        for each in absents:
            each.whispers.append(waits)
        if to != self.names[client]:
            for each in self.absents_of(self.names[client]):
                each.whispers.append(Whispered(event, token, id, told=True))
        self.say(sorted({*others, *self.clients_of(self.names[client])}), event)
        if id is not None:
            known[id] = None
            if not self.saves:
                self.unwritten.add((self.tokens[client], id))
            self.say([client], Ok(id))

    def overtakes(self, client: int, follows: MessageId | None) -> bool:
        """Was something not said that should have come first?"""
        token = self.tokens[client]
        known = follows in self.ids[token] or (token, follows) in self.unsaid
        return follows is not None and not known

    def restart(self, now: float, keys: list[str]) -> None:
        """The server was stopped, and begins again: all may come back. `keys`: of the sessions, in the order of the book."""
        for client in list(self.names):
            self.lose(client, now)
        self.logins.clear()
        self.absent.sort(
            key=lambda each: (each.name.lower(), keys.index(key_of(each.token)))
        )
        places = {each.name: sorted(self.places_of(each.name)) for each in self.absent}
        for each in self.absent:
            each.rooms = places[each.name].copy()
            each.until, each.whispers = now + WINDOW, []
            self.turns[each.name, each.token] = next(self.count)
        for token, id in self.unwritten:
            self.ids[token].pop(id, None)
        for token, id in self.unnumbered:
            if id in self.ids[token]:
                self.ids[token][id] = None
        self.unwritten.clear()
        self.away.clear()

    def ListUsers(self, client: int, command: ListUsers, now: float) -> None:
        room = self.room_of(client, command.room)
        self.say([client], self.users(room)) if room else self.refuse(
            client, command, "not_joined"
        )

    def ListRooms(self, client: int, command: ListRooms, now: float) -> None:
        self.say(
            [client],
            RoomList(
                [
                    RoomSize(room, len(self.people(room)))
                    for room in "abcd"
                    if self.people(room)
                ]
            ),
        )

    def GetHistory(self, client: int, command: GetHistory, now: float) -> None:
        if (room := self.room_of(client, command.room)) is None:
            self.refuse(client, command, "not_joined")
        elif command.before is not None and command.after is not None:
            self.refuse(client, command, "bad_message")
        elif not self.reads:
            self.refuse(client, command, "no_history")
        else:
            self.say(
                [client],
                self.page(
                    room, command.before, command.after, command.limit, command.id
                ),
            )

    def SetStatus(self, client: int, command: SetStatus, now: float) -> None:
        name, audience = self.names[client], {client}
        if command.status != self.statuses[client]:
            rooms = self.places_of(name)
            audience |= {c for room in rooms for c in self.members[room]}
            audience |= {*self.clients_of(name)}
        for each in self.clients_of(name):
            self.statuses[each] = command.status
        for absent in self.absents_of(name):
            absent.status = command.status
        self.say(sorted(audience), StatusChanged(name, command.status, now))

    def Ping(self, client: int, command: Ping, now: float) -> None:
        self.say([client], Pong(command.id))

    def Pong(self, client: int, command: Pong, now: float) -> None:
        pass

    def Leave(self, client: int, command: Leave, now: float) -> None:
        if command.room is None:
            self.vanish(client, now)
            self.say([client], goodbye("left"))
        else:
            is_away = command.room and command.room.lower() in self.away_of(client)
            room = command.room.lower() if is_away else None
            room = room or self.room_of(client, command.room)
            if room is None:
                self.refuse(client, command, "not_joined")
            else:
                self.put_out(self.names[client], room, now)

    def put_out(self, name: str, room: str, now: float) -> None:
        """A person leaves a room, with all clients."""
        self.say(self.clients_of(name), UserLeft(room, name, now))
        for client in self.clients_of(name):
            if room in self.away_of(client):
                self.away_of(client).remove(room)
            if room in self.where[client]:
                self.exit(client, room)
        for absent in self.absents_of(name):
            if room in absent.rooms:
                absent.rooms.remove(room)
        self.has_left(name, room, now)

    def exit(self, client: int, room: str) -> None:
        self.members[room].remove(client)
        self.where[client].remove(room)
        self.followed.discard((client, room))
        if self.talks[client] == room:
            mine = self.where[client]
            self.talks[client] = mine[-1] if mine else None

    def vanish(self, client: int, now: float) -> None:
        if client in self.names:
            name = self.names[client]
            for room in self.away.pop(client, ([], 0))[0]:
                self.has_left(name, room, now)
            for room in self.where[client].copy():
                self.exit(client, room)
                self.has_left(name, room, now)
            if self.ids[self.tokens[client]]:
                self.left.add(self.tokens[client])
            for book in (self.names, self.tokens, self.statuses, self.where):
                del book[client]
        self.forget(client)

    def tell(self, client: int, change: str, id: MessageId | None = None) -> None:
        name = self.accounts[self.logins[client]].name
        self.say([client], AccountChanged(name, change, id=id))

    def Register(self, client: int, command: Register, now: float) -> None:
        low, name = command.username.lower(), self.names.get(client)
        if client in self.logins or name is not None and name.lower() != low:
            return self.refuse(client, command, "already_joined")
        token = self.tokens.get(client)
        same = [c for c in self.tokens if self.tokens[c] == token]
        same += [a.name for a in self.absent if a.token == token]
        if name is not None and len(same) > 1:
            return self.refuse(client, command, "already_joined")
        if low in self.accounts:
            return self.refuse(client, command, "name_registered")
        if name is None and self.clients_of(low):
            return self.refuse(client, command, "name_taken")
        if name is None and (held := self.absents_of(low)):
            wait = max(0.1, held[0].until - now)
            return self.refuse(client, command, "name_taken", wait)
        self.accounts[low] = Owned(name or command.username, command.password)
        self.logins[client] = low
        if name is not None and token is not None:
            self.own(client, low, token)
        self.tell(client, "registered", command.id)

    def own(self, client: int, low: str, old: str) -> None:
        """The session of a guest is one of an account. What is known in a file of the guest's stays there."""
        new = self.tokens[client] = f"{low}:{old}"
        self.ids[new] = self.ids[old].copy()
        for id in self.ids[new]:
            (self.unnumbered if self.saves else self.unwritten).add((new, id))
            if (old, id) in self.unwritten:
                del self.ids[old][id]
        self.unsaid |= {(new, id) for token, id in self.unsaid if token == old}
        name = self.names[client]
        if (name, old) in self.turns:
            self.turns[name, new] = self.turns[name, old]
        for absent in self.absent:
            for whisper in absent.whispers:
                if whisper.token == old:
                    whisper.token = new

    def Login(self, client: int, command: Login, now: float) -> None:
        account = self.accounts.get(command.username.lower())
        if client in self.logins or client in self.names:
            self.refuse(client, command, "already_joined")
        elif account is None or account.hash != command.password:
            self.refuse(client, command, "bad_login")
        else:
            self.logins[client] = command.username.lower()
            self.tell(client, "logged_in", command.id)

    def Logout(self, client: int, command: Logout, now: float) -> None:
        if client not in self.logins:
            return self.refuse(client, command, "not_logged_in")
        self.tell(client, "logged_out", command.id)
        self.vanish(client, now)
        self.say([client], goodbye("logged_out"))

    def ChangePassword(self, client: int, command: ChangePassword, now: float) -> None:
        if client not in self.logins:
            return self.refuse(client, command, "not_logged_in")
        account = self.accounts[self.logins[client]]
        if account.hash != command.old:
            return self.refuse(client, command, "bad_login")
        account.hash = command.new
        self.tell(client, "password_changed", command.id)
        self.end_others(client, "password_changed", now)

    def DeleteAccount(self, client: int, command: DeleteAccount, now: float) -> None:
        if client not in self.logins:
            return self.refuse(client, command, "not_logged_in")
        low = self.logins[client]
        if self.accounts[low].hash != command.password:
            return self.refuse(client, command, "bad_login")
        self.tell(client, "deleted", command.id)
        self.end_others(client, "account_deleted", now)
        self.vanish(client, now)
        del self.accounts[low]
        self.say([client], goodbye("account_deleted"))

    def end_others(self, client: int, code: str, now: float) -> None:
        """All clients of its account but this one, also those that may come back."""
        low = self.logins[client]
        others = [each for each in self.logins if self.logins[each] == low]
        others.remove(client)
        for each in others:
            self.say([each], goodbye(code))
        for each in others:
            self.vanish(each, now)
        for absent in self.absents_of(low):
            self.give_up(absent, now)

    def MarkRead(self, client: int, command: MarkRead, now: float) -> None:
        if client not in self.logins:
            return self.refuse(client, command, "not_logged_in")
        if client not in self.names:
            return self.refuse(client, command, "not_joined")
        if (room := self.room_of(client, command.room)) is None:
            return self.refuse(client, command, "not_joined")
        read, seq = self.accounts[self.logins[client]].read, command.seq
        if seq > read.get(room, 0):
            read[room] = seq
            others = [c for c in self.clients_of(self.names[client]) if c != client]
            self.say(others, ReadMark(room, seq))


ACCOUNT_COMMANDS = (
    Register, Login, Logout, ChangePassword, DeleteAccount, MarkRead,
)  # fmt: skip


def comparable(event: Event) -> Event:
    """Without the sentences for people."""
    if isinstance(event, (Error, Welcome)):
        event = copy.copy(event)
        event.content = ""
        if isinstance(event, Welcome):
            event.limits = {}
    return event


@dataclass
class Tick:
    """What was asked for and what is held, until it is known whether it was said."""

    asked: list[tuple[int, Command | str | None, float, str]] = field(
        default_factory=list
    )
    held: list[Delivery] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)  # they were told goodbye
    mark: int = 0

    def __add__(self, later: "Tick") -> "Tick":
        asked, held = self.asked + later.asked, self.held + later.held
        return Tick(asked, held, self.gone | later.gone)


class Ledger:
    """The accounts on the paper."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.accounts: dict[str, Account] = {}

    def save(self, account: Account) -> None:
        now = copy.deepcopy(account)
        self.paper.changes.append(lambda: self.accounts.update({now.name: now}))

    def mark(self, name: str, room: str, seq: int) -> None:
        self.paper.changes.append(lambda: self.accounts[name].mark(room, seq))

    def strike(self, name: str) -> None:
        self.paper.changes.append(lambda: self.accounts.pop(name, None))


def in_order(events: list[Event]) -> list[Event]:
    """In which order somebody leaves several rooms at once is of no importance."""
    sorted_events: list[Event] = []
    for event in events:
        place = len(sorted_events)
        while (
            isinstance(event, UserLeft)
            and place
            and isinstance(last := sorted_events[place - 1], UserLeft)
            and (last.username, last.timestamp) == (event.username, event.timestamp)
            and last.room > event.room
        ):
            place -= 1
        sorted_events.insert(place, event)
    return sorted_events


class ChatMachine(RuleBasedStateMachine):
    """Commands come in ticks, and at the end of each the store is told to make sure of it. It does so at once or later, while the next
    tick collects, or it fails. What is heard then is compared with what the plain model says of the same tick, or of both."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.plain, self.now, self.step = Paper(True), Plain(), 1024.0, 0
        self.ledger = Ledger(self.store)
        self.seen: dict[int, WhisperReceived] = {}
        self.start()
        self.tokens = ["nobody-has-this-token"]
        self.owners: dict[tuple[str, str], None] = {}  # tokens and names, last is last
        self.heard: dict[
            tuple[int, str], int
        ] = {}  # the last number that each client has heard live in each room
        self.called: dict[int, str] = {}
        self.said_in_order: dict[
            MessageId, str
        ] = {}  # ids, and whose they are: a token
        self.unconfirmed: dict[str, list[MessageId]] = defaultdict(list)  # by key
        self.truth: dict[tuple[str, int], Message] = {}  # by room and number
        self.whispered: Counter[str] = Counter()  # by content

    def start(self) -> None:
        self.rooms = Rooms(LIMITS, self.store, self.store)
        self.accounts = Accounts(self.rooms, self.ledger)
        self.accounts.load(copy.deepcopy([*self.ledger.accounts.values()]))
        self.tick = Tick()
        self.flying: Tick | None = None  # its commit is on its way

    @property
    def quiet(self) -> bool:
        return not self.tick.asked and self.flying is None

    def do(self, client: int, command: Command, then: str) -> None:
        if client > 5:  # one of those who have joined
            joined = list(self.plain.names) or [1]
            client = joined[client % len(joined)]
        if client not in self.gone():
            self.step += 1
            token = f"token-number-{self.step:06}"
            self.tick.asked.append((client, command, self.now, token))
            user = self.rooms.users.get(client)
            before = user.session.key if user else ""
            deliveries = self.rooms.handle(client, command, self.now, token)
            if user is not None and user.session.key != before:
                self.registered(before, user.session.key)
            self.tick.held += deliveries
            self.tick.gone |= {
                gone
                for to, event in deliveries
                if isinstance(event, Goodbye)
                for gone in to
            }
        self.then(then)

    def registered(self, before: str, key: str) -> None:
        """The session of a guest is one of an account now."""
        self.unconfirmed[key] = self.unconfirmed.pop(before, [])
        for id, owner in self.said_in_order.items():
            self.said_in_order[id] = key if owner == before else owner

    def key(self, token: str, name: str) -> str:
        """The key of the session that this token opens under this name."""
        return session_key(token, self.rooms.roster.owners.owner(name))

    def gone(self) -> set[int]:
        """These numbers come again only when it is known what became of their last words."""
        return self.tick.gone | (self.flying.gone if self.flying else set())

    def then(self, then: str) -> None:
        """What happens after a command: nothing, or the tick ends, and its commit is through now, later or never."""
        if then == "go on":
            return
        if self.flying is None:
            self.start_commit()
        if then != "later":
            self.complete(fails=then == "fail")

    def start_commit(self) -> None:
        self.flying, self.tick = self.tick, Tick()
        self.flying.mark = self.rooms.mark()
        self.store.commit(self.completed)

    def complete(self, fails: bool) -> None:
        self.store.is_full = fails
        self.store.complete()

    def completed(self, error: StoreError | None) -> None:
        done, self.flying = self.flying, None
        if error is None:
            self.rooms.committed(done.mark)
            released = done.held
        else:
            done, self.tick = done + self.tick, Tick()
            released = self.rooms.take_back(done.held, error)
        self.compare(done, released, error is not None)
        for client in sorted(done.gone):
            self.heard = {
                key: seq for key, seq in self.heard.items() if key[0] != client
            }
            self.vanish(client)

    def compare(self, done: Tick, released: list[Delivery], failed: bool) -> None:
        inboxes = {
            client: in_order([comparable(event) for event in events])
            for client, events in heard(released).items()
        }
        self.plain.saves = not failed
        for client, command, now, token in done.asked:
            if command is None:
                self.plain.vanish(client, now)
            elif command == "lost":
                self.plain.lose(client, now)
            elif command == "expire":
                self.plain.expire(now)
            else:
                self.plain.handle(client, command, now, token)
        expected = defaultdict(list)
        for client, event in self.plain.out:
            expected[client].append(comparable(event))
        expected = {client: in_order(expected[client]) for client in expected}
        if failed:
            for events in (*inboxes.values(), *expected.values()):
                self.forgive(events)
        assert inboxes == expected
        self.follow(inboxes)
        self.plain.out, self.plain.unsaid = [], set()

    def forgive(self, events: list[Event]) -> None:
        """A page backwards of a tick that fails may have fewer messages than were asked for: the last ones were taken out."""
        for number, event in enumerate(events):
            if isinstance(event, History) and str(event.id).startswith("back"):
                seqs = [message.seq for message in event.messages]
                assert (
                    seqs == list(range(seqs[0], seqs[0] + len(seqs))) * bool(seqs)
                    if seqs
                    else True
                )
                assert not seqs or seqs[-1] <= len(self.plain.said[event.room])
                events[number] = (event.room, event.id)

    def follow(self, inboxes: dict[int, list[Event]]) -> None:
        """What needs no model: each member of a room hears the same messages in the same order without a gap, and nobody else any."""
        for client, events in inboxes.items():
            for event in events:
                match event:
                    case Welcome(room=room, seq=seq, token=token, username=username):
                        self.heard[client, room], self.called[client] = seq, username
                        self.tokens = [*self.tokens[-5:], token]
                        self.owners.pop((token, username), None)
                        self.owners[token, username] = None
                    case UserLeft(room=room, username=username) if (
                        self.called[client] == username
                    ):
                        # it may leave before it has entered the room again
                        self.heard.pop((client, room), None)
                    case WhisperReceived(content=content):
                        if id(event) not in self.seen:  # others may get it as well
                            self.seen[id(event)] = event
                            self.whispered[content] += 1
                    case Ok(id=number) if number in self.said_in_order:
                        waiting = self.unconfirmed[self.said_in_order[number]]
                        assert number not in waiting or waiting.pop(0) == number
                    case Goodbye(
                        code="left" | "replaced" | "logged_out" | "account_deleted"
                    ):  # else it is a member until it is gone
                        self.heard = {
                            key: seq
                            for key, seq in self.heard.items()
                            if key[0] != client
                        }
                    case Message(room=room, seq=seq):
                        assert self.heard[client, room] + 1 == seq
                        assert self.truth.setdefault((room, seq), event) == event
                        self.heard[client, room] = seq
                    case History(messages=messages):
                        for message in messages:
                            assert (
                                self.truth.setdefault(
                                    (message.room, message.seq), message
                                )
                                == message
                            )

    def vanish(self, client: int) -> None:
        self.tick.held += self.rooms.disconnect(client, self.now)
        self.tick.asked.append((client, None, self.now, ""))

    def expire(self, at: float) -> None:
        """The timer of the server: it is called at the time that it was told, or later."""
        self.now = max(self.now, at)
        self.tick.held += self.rooms.expire(self.now)
        self.tick.asked.append((0, "expire", self.now, ""))

    THEN = st.sampled_from(["commit", "go on", "go on", "later", "later", "fail"])

    @initialize()
    def three_come(self) -> None:
        for client, name in enumerate(("ann", "bob", "cy"), 1):
            self.do(client, Join(name, "a"), "commit")
        self.do(1, Register("ann", "hash 1"), "commit")

    @rule(client=CLIENTS, name=NAMES, room=ROOMS, since=st.sampled_from(["none", "none", "committed", "high"]), token=st.none() | st.integers(0, 5),
          data=st.data(), then=THEN)  # fmt: skip
    def join(
        self,
        client: int,
        name: str,
        room: str,
        since: str,
        token: int | None,
        data: st.DataObject,
        then: str,
    ) -> None:
        number = {"none": None, "high": 10**6, "committed": 0}[since]
        if since == "committed":  # what is not committed nobody can have seen
            number = data.draw(st.integers(0, len(self.plain.said[room.lower()])))
        token = None if token is None else self.tokens[token % len(self.tokens)]
        if self.store.is_unreadable and token is not None:
            session = self.rooms.roster.sessions.find(self.key(token, name))
            if session is None or not session.token:
                token = (
                    None  # whether the store must be asked for its ids is tested above
                )
        self.do(client, Join(name, room, number, token, data.draw(IDS)), then)

    @rule(client=CLIENTS, room=ROOMS, then=THEN)
    def join_another(self, client: int, room: str, then: str) -> None:
        self.do(client, Join(self.plain.names.get(client, "eve"), room), then)

    FOLLOWS = st.none() | st.none() | IDS

    @rule(client=MOSTLY_MEMBERS, room=st.none() | st.none() | ROOMS, id=IDS, follows=FOLLOWS, then=THEN)  # fmt: skip
    def say(self, client: int, room: str | None, id: MessageId | None, follows: MessageId | None, then: str) -> None:  # fmt: skip
        self.do(client, SendMessage(f"text {self.step}", room, id, follows), then)

    @rule(client=MOSTLY_MEMBERS, count=st.integers(0, 3), then=THEN)
    def say_in_order(self, client: int, count: int, then: str) -> None:
        """As our own client does: what was refused, or has no answer yet, is said once more, and then something new. Each third
        is a whisper."""
        joined = [each for each in self.rooms.users if each not in self.gone()]
        if not joined:
            return
        client = joined[client % len(joined)]
        key = self.rooms.users[client].session.key
        waiting, last = self.unconfirmed[key], None
        for _ in range(count):
            id = f"number {len(self.said_in_order)}"
            self.said_in_order[id] = key
            waiting.append(id)
        for id in waiting.copy():
            if int(id.split()[1]) % 3 < 2:
                command: Command = SendMessage(id, None, id, last)
            else:  # to somebody who has it for certain, if it was said: oneself
                command = Whisper(self.rooms.users[client].name, id, id, last)
            self.do(client, command, "go on")
            last = id
        self.then(then)

    @rule(client=MOSTLY_MEMBERS, id=IDS, count=st.integers(2, 5), then=THEN)
    def say_a_few_things(
        self, client: int, id: MessageId | None, count: int, then: str
    ) -> None:
        for number in range(count):
            self.do(
                client,
                SendMessage(f"text {self.step}", id=id if number == 0 else None),
                then if number == count - 1 else "go on",
            )

    @rule(client=MOSTLY_MEMBERS, name=NAMES, id=IDS, follows=FOLLOWS, then=THEN)
    def whisper(self, client: int, name: str, id: MessageId | None, follows: MessageId | None, then: str) -> None:  # fmt: skip
        self.do(client, Whisper(name, f"text {self.step}", id, follows), then)

    @rule(
        client=MOSTLY_MEMBERS,
        command=st.sampled_from(
            [
                ListUsers(),
                ListUsers("a"),
                ListRooms(),
                Ping(),
                Ping(3),
                Pong(),
                SetStatus("away"),
                SetStatus("online"),
            ]
        ),
        then=THEN,
    )
    def ask(self, client: int, command: Command, then: str) -> None:
        self.do(client, command, then)

    @rule(
        client=MOSTLY_MEMBERS,
        room=st.none() | st.none() | ROOMS,
        number=st.integers(0, 12),
        way=st.sampled_from(["before", "after", "last", "both"]),
        limit=st.integers(1, 4),
        then=THEN,
    )
    def history(
        self,
        client: int,
        room: str | None,
        number: int,
        way: str,
        limit: int,
        then: str,
    ) -> None:
        before, after = (
            number if way in ("before", "both") else None,
            number if way in ("after", "both") else None,
        )
        self.do(
            client,
            GetHistory(
                room, before, after, limit, "forward" if way == "after" else "back"
            ),
            then,
        )

    @rule(client=MOSTLY_MEMBERS, room=st.sampled_from([None, *"abcdabcd"]), then=THEN)
    def leave(self, client: int, room: str | None, then: str) -> None:
        self.do(client, Leave(room), then)

    @rule(client=CLIENTS, then=THEN)
    def lose_the_connection(self, client: int, then: str) -> None:
        if client not in self.gone():
            self.tick.held += self.rooms.lost(client, self.now)
            self.tick.asked.append((client, "lost", self.now, ""))
            self.tick.gone.add(client)
        self.then(then)

    def absent(self) -> list[User]:
        """Those whose name is held, as the server knows them."""
        return [user for user in self.rooms.roster.held if not user.present]

    @precondition(lambda self: self.owners and not self.store.is_unreadable)
    @rule(which=st.integers(0, 3), room=ROOMS, since=st.none() | st.just(0), same=st.integers(0, 3), name=st.none() | NAMES, again=st.booleans(), then=THEN)  # fmt: skip
    def come_back(self, which: int, room: str, since: int | None, same: int, name: str | None, again: bool, then: str) -> None:  # fmt: skip
        """With a token and mostly with its name, over a new connection: after a break, a restart or a farewell, or as a second one. Mostly into
        a room where a place is kept. Some say their last words with an id once more."""
        here = [*self.rooms.users, *self.plain.names, *self.gone()]
        free = [client for client in range(1, 6) if client not in here]
        if not free:
            return
        keys = {user.session.key: user for user in self.absent()}
        owners = [each for each in self.owners if self.key(*each) in keys]
        owners = owners or list(self.owners)[-4:]
        token, known_as = owners[which % len(owners)]
        user = keys.get(self.key(token, known_as))
        if same and user is not None and user.away:
            room = next(iter(user.away))
        owner = self.rooms.roster.owners.owner(known_as)
        ids = list(self.plain.ids.get(f"{owner}:{token}" if owner else token, ()))
        if same:
            name = None
        join = Join(name or known_as, room, since, token)
        self.do(free[0], join, "go on" if again and ids else then)
        if again and ids:
            self.do(free[0], SendMessage(f"text {self.step}", id=ids[-1]), then)

    @rule(client=MOSTLY_MEMBERS, which=st.integers(0, 3), id=IDS, then=THEN)
    def whisper_to_who_is_absent(self, client: int, which: int, id: MessageId | None, then: str) -> None:  # fmt: skip
        if absent := self.absent():
            name = absent[which % len(absent)].name
            self.do(client, Whisper(name, f"text {self.step}", id), then)

    @rule(client=MOSTLY_MEMBERS, id=st.sampled_from([0, 1, "0"]), then=THEN)
    def last_words(self, client: int, id: MessageId, then: str) -> None:
        """Said and gone, before it is known whether that was saved."""
        joined = [each for each in self.rooms.users if each not in self.gone()]
        if joined:
            client = joined[client % len(joined)]
            self.do(client, SendMessage(f"text {self.step}", None, id), "go on")
            self.do(client, Leave(), then)

    HASHES = st.sampled_from(["hash 1", "hash 2"])

    @rule(client=st.integers(1, 30), name=NAMES, mine=st.booleans(), id=IDS, then=THEN)
    def register(self, client: int, name: str, mine: bool, id: MessageId | None, then: str) -> None:  # fmt: skip
        joined = list(self.rooms.users)
        if mine and joined:
            client = joined[client % len(joined)]
            name = self.rooms.users[client].name
        self.do(client, Register(name, "hash 1", id), then)

    @rule(client=CLIENTS, which=st.integers(0, 5), room=ROOMS, hash=st.none() | st.none() | HASHES, name=st.none() | NAMES, joins=st.integers(0, 4), then=THEN)  # fmt: skip
    def log_in(self, client: int, which: int, room: str, hash: str | None, name: str | None, joins: int, then: str) -> None:  # fmt: skip
        """Mostly with the right password, over a free connection, and to join."""
        here = [*self.rooms.users, *self.plain.names, *self.gone()]
        free = [each for each in range(1, 6) if each not in here] or [client]
        accounts = self.accounts.all()
        if name is None and accounts:
            account = accounts[which % len(accounts)]
            name, hash = account.name, hash or account.hash
        name = name or "ann"
        self.do(
            free[0], Login(name, hash or "no hash", which), "go on" if joins else then
        )
        if joins:
            self.do(free[0], Join(name, room), then)

    @rule(client=CLIENTS, which=st.integers(0, 5), room=ROOMS, then=THEN)
    def come_with_one_more(self, client: int, which: int, room: str, then: str) -> None:
        self.log_in(client, which, room, None, None, 1, then)

    @rule(client=CLIENTS, which=st.integers(0, 5), id=IDS, then=THEN)
    def whisper_to_an_account(self, client: int, which: int, id: MessageId | None, then: str) -> None:  # fmt: skip
        if accounts := self.accounts.all():
            name = accounts[which % len(accounts)].name
            self.do(client, Whisper(name, f"text {self.step}", id), then)

    @rule(client=MOSTLY_MEMBERS, id=IDS, then=THEN)
    def log_out(self, client: int, id: MessageId | None, then: str) -> None:
        self.do(client, Logout(id), then)

    @rule(client=MOSTLY_MEMBERS, old=HASHES, new=HASHES, id=IDS, then=THEN)
    def change_password(self, client: int, old: str, new: str, id: MessageId | None, then: str) -> None:  # fmt: skip
        self.do(client, ChangePassword(old, new, id), then)

    @rule(client=MOSTLY_MEMBERS, hash=HASHES, sure=st.integers(0, 2), id=IDS, then=THEN)
    def delete_account(self, client: int, hash: str, sure: int, id: MessageId | None, then: str) -> None:  # fmt: skip
        if not sure:
            self.do(client, DeleteAccount(hash, id), then)

    @rule(client=MOSTLY_MEMBERS, room=ROOMS, data=st.data(), then=THEN)
    def mark_read(self, client: int, room: str, data: st.DataObject, then: str) -> None:
        last = len(
            self.plain.said[room.lower()]
        )  # what is not committed nobody has seen
        self.do(
            client,
            MarkRead(room, data.draw(st.just(last) | st.integers(0, last))),
            then,
        )

    @precondition(lambda self: self.rooms.expires_at is not None)
    @rule(late=st.integers(0, 8), then=THEN)
    def the_time_is_over(self, late: int, then: str) -> None:
        self.expire(self.rooms.expires_at + late / 8)
        self.then(then)

    @precondition(lambda self: self.flying is not None)
    @rule(fails=st.booleans())
    def complete_late(self, fails: bool) -> None:
        self.complete(fails)

    @rule(eighths=st.integers(1, 40))
    def wait(self, eighths: int) -> None:
        self.now += eighths / 8

    @precondition(lambda self: self.quiet)
    @rule()
    def turn_the_paper_over(self) -> None:
        self.store.is_unreadable = not self.store.is_unreadable
        self.plain.reads = not self.store.is_unreadable

    @precondition(lambda self: self.quiet)
    @rule(room=st.sampled_from("abcd"), data=st.data())
    def tear(self, room: str, data: st.DataObject) -> None:
        self.plain.torn[room] = self.store.torn[room] = data.draw(
            st.integers(self.store.torn[room], len(self.plain.said[room]))
        )

    @rule(sure=st.integers(0, 1), client=MOSTLY_MEMBERS, last=st.sampled_from(
          [None, Leave(), Leave("a"), SetStatus("away"), Whisper("ann", "psst", 1)]))  # fmt: skip
    def start_a_new_server(self, sure: int, client: int, last: Command | None) -> None:  # fmt: skip
        """With the same store: who was here may come back. What was done last is known to the new one."""
        if sure or self.store.is_unreadable:
            return
        if last is not None:
            self.do(client, last, "later")
        while not self.quiet or self.store.changes:  # all is written down at the end
            self.then("commit")
        places = [self.store.places[key] for key in sorted(self.store.places)]
        keys = [key for place in places for key in place.session.split()]
        self.plain.restart(self.now, keys)
        self.plain.out, self.plain.left, self.heard = [], set(), {}
        self.start()
        self.rooms.expect(places, self.now)

    @invariant()
    def nothing_is_forgotten_or_left_over(self) -> None:
        if not self.quiet:
            return
        rooms, plain = self.rooms, self.plain
        assert {
            client: user.name for client, user in rooms.users.items()
        } == plain.names
        assert {
            client: list(user.rooms) for client, user in rooms.users.items()
        } == plain.where
        assert {client: user.session.key for client, user in rooms.users.items()} == {
            client: key_of(plain.tokens[client]) for client in plain.tokens
        }
        assert {client: user.session.token for client, user in rooms.users.items()} == {
            client: raw(plain.tokens[client]) for client in plain.tokens
        }
        assert {
            client: user.room and user.room.name for client, user in rooms.users.items()
        } == {client: plain.talks.get(client) for client in plain.names}
        assert {name: (sorted(room.clients), room.seq) for name, room in rooms.rooms.items()} == {
            room: (sorted(plain.members[room]), len(plain.said[room])) for room in "abcd" if plain.people(room)
        }  # fmt: skip
        for name, room in rooms.rooms.items():
            people = [(user.name, user.status) for user in room.everybody]
            assert sorted(people) == sorted(plain.people(name))
        tokens = [*plain.tokens.values(), *(each.token for each in plain.absent)]
        by_key = {key_of(token): token for token in tokens}
        groups = {user.name: user.group for user in rooms.by_name.values()}
        everybody = [user for group in groups.values() for user in group]
        known = [user for user in everybody if user.session.token]
        for user in known:  # of the others nobody has seen the token since the restart
            assert user.session.ids == plain.ids[by_key[user.session.key]]
        sessions = {user.session.key: user.session for user in everybody}
        for user in everybody:
            assert user.session is sessions[user.session.key], "a token has one session"
            assert rooms.by_name[user.name.lower()] in user.group
        places = {
            group[0].name: (
                sorted(user.session.key for user in group),
                group[0].status,
                sorted(group[0].places),
            )
            for group in groups.values()
        }
        assert places == self.expected_places()
        if not self.store.changes:  # after a failure they wait for the next commit
            written = {
                each.name: (sorted(each.session.split()), *each[2:])
                for each in self.store.places.values()
            }
            assert written == places
        names = [*plain.names.values(), *(absent.name for absent in plain.absent)]
        assert sorted(rooms.by_name) == sorted({name.lower() for name in names})
        held = {
            (user.name, user.session.key): hold.until
            for user, hold in rooms.roster.held.items()
        }
        away = {
            (plain.names[client], key_of(plain.tokens[client])): until
            for client, (_, until) in plain.away.items()
        }
        absent = {(a.name, key_of(a.token)): a.until for a in plain.absent}
        assert held == away | absent
        logins = rooms.roster.owners.logins
        assert {c: logins[c].name.lower() for c in logins} == plain.logins
        accounts = [(each.name, each.hash, each.read) for each in self.accounts.all()]
        assert [(o.name, o.hash, o.read) for o in plain.accounts.values()] == accounts
        assert uncommitted(rooms) == [] or self.store.changes
        count = Counter(each.content for room in plain.said.values() for each in room)
        count += self.whispered
        for id, token in self.said_in_order.items():
            assert count[id] <= 1 and (count[id] or id in self.unconfirmed[token])

    def expected_places(self) -> dict[str, tuple[list[str], str, list[str]]]:
        """The sessions, the status and the rooms of everybody who is here or awaited."""
        plain = self.plain
        places: dict[str, tuple[list[str], str, list[str]]] = {}
        people = [
            (name, plain.tokens[client], plain.statuses[client])
            for client, name in plain.names.items()
        ]
        people += [(each.name, each.token, each.status) for each in plain.absent]
        for name, token, status in people:
            keys, _, _ = places.get(name, ([], "", []))
            rooms = sorted(plain.places_of(name))
            places[name] = sorted([*keys, key_of(token)]), status, rooms
        return places

    def teardown(self) -> None:
        """All go, and nothing is left of them but their ids."""
        while not self.quiet:
            self.then("commit")
        for client in range(1, 6):
            self.vanish(client)
        self.expire(self.now + WINDOW)
        self.then("commit")
        rooms = self.rooms
        assert rooms.roster.held == {} == self.plain.away and rooms.expires_at is None
        assert rooms.users == rooms.rooms == rooms.by_name == {} == self.plain.names
        assert all(
            self.plain.said[room][seq - 1] == message
            for (room, seq), message in self.truth.items()
        )


TestAnyConversation = pytest.mark.slow(ChatMachine.TestCase)
TestAnyConversation.settings = settings(
    max_examples=200,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
