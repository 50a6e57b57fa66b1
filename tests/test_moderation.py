"""`python_tcp.moderation` and what is below it: who keeps order, and that nobody gets around it."""

import itertools
from collections import defaultdict

import pytest

from python_tcp.accounts import Accounts
from python_tcp.bans import BanTable, SavedBan, Visitor, parse_target
from python_tcp.chat_session import ClientSession, HistoryGap
from python_tcp.commands import Ban, Command, DeleteAccount, DeleteMessage, Deop
from python_tcp.commands import Invite, Kick, Login
from python_tcp.commands import ListBans, Lock, Mute, Op, Register, RegisterRoom
from python_tcp.commands import SetTopic, Unban, Unlock
from python_tcp.events import BanList, Error, Event, Goodbye, Message, MessageDeleted
from python_tcp.events import Moderated, Ok, StatusChanged, TopicChanged, UserJoined
from python_tcp.events import UserLeft, Welcome, WhisperReceived
from python_tcp.limits import Limits
from python_tcp.members import CommandError
from python_tcp.messages import MemoryStore, StoreError
from python_tcp.moderation import Moderation
from python_tcp.protocol import MAX_EVENT, GetHistory, Join, Leave, SendMessage
from python_tcp.protocol import SetStatus, Whisper, encode
from python_tcp.room_settings import AuditRecord, RoomSettings, SavedMute, SavedRoom
from python_tcp.rooms import Rooms

ANN, OLGA, BOB, EVE, CY = 1, 2, 3, 4, 5  # the first two have accounts
HOSTS = {
    ANN: "198.51.100.1",
    OLGA: "203.0.113.2",
    BOB: "198.51.100.3",
    EVE: "192.0.2.7",
    CY: "2001:db8::5",
    6: "192.0.2.8",
    7: "::ffff:192.0.2.7",
    8: "2001:db8::6",
    9: "198.51.100.9",
}
NOW = 1000.0


class Notes:
    """A book in memory."""

    def __init__(self) -> None:
        self.rooms: dict[str, SavedRoom] = {}
        self.bans: dict[tuple[str, str], SavedBan] = {}
        self.log: list[AuditRecord] = []

    def save_room(self, room: SavedRoom) -> None:
        self.rooms[room.name] = room

    def strike_room(self, name: str) -> None:
        self.rooms.pop(name, None)

    def save_ban(self, ban: SavedBan) -> None:
        self.bans[ban.room, ban.target] = ban  # the file, too, tells Eve from eve

    def strike_ban(self, room: str, target: str) -> None:
        del self.bans[room, target]

    def note(self, record: AuditRecord) -> None:
        self.log.append(record)


class Chat:
    """The rules of a chat with accounts and moderation, asked for what each client hears."""

    def __init__(self, notes: Notes | None = None) -> None:
        self.notes, self.now = notes or Notes(), NOW
        self.rooms = Rooms(Limits(resume_window=60.0), MemoryStore())
        self.accounts = Accounts(self.rooms)
        self.moderation = Moderation(self.rooms, self.accounts, self.notes)
        self.moderation.load(self.notes.rooms.values(), self.notes.bans.values())
        self._count = itertools.count(1)
        self._owners: dict[int, Login] = {}  # how they log in again
        for client, host in HOSTS.items():
            self.moderation.came_from(client, host)

    def __call__(self, client: int, *commands: Command) -> dict[int, list[Event]]:
        heard: dict[int, list[Event]] = defaultdict(list)
        for command in commands:
            if isinstance(command, Register):
                self._owners[client] = Login(command.username, command.password)
            token = f"a-secret-with-number-{next(self._count)}"
            told = self.rooms.handle(client, command, self.now, token)
            others = [to for to, event in told if isinstance(event, Goodbye)]
            assert not others or told[-1].to == (client,), "turns relies on it"
            for to, event in told:
                assert len(set(to)) == len(to), "nobody gets an event twice"
                for each in to:
                    heard[each].append(event)
        return dict(heard)

    def error(self, client: int, command: Command) -> str:
        """The code of the one answer, which only the sender hears; nothing is noted."""
        noted = len(self.notes.log)
        [(to, events)] = self(client, command).items()
        assert to == client and isinstance(events[0], Error), events
        assert len(self.notes.log) == noted
        return events[0].code

    def come(self, client: int, name: str, room: str = "hall", **fields) -> Event:
        """Try to join, with one's account. Returns the answer; who is in leaves again."""
        login = self._owners.get(client)
        if login is not None and login.username.lower() == name.lower():
            self(client, login)
        answer = self(client, Join(name, room, **fields))[client]
        if isinstance(answer[0], Welcome):
            self(client, Leave())
        return answer[0]

    def code(self, client: int, name: str, room: str = "hall", **fields) -> str:
        """Why somebody may not join; "" if they may."""
        answer = self.come(client, name, room, **fields)
        return answer.code if isinstance(answer, Error) else ""


def make_chat(notes: Notes | None = None) -> Chat:
    """Ann has registered the hall, Olga is an operator, Bob and Eve are guests."""
    chat = Chat(notes)
    for client, name in ((ANN, "Ann"), (OLGA, "olga")):
        chat(client, Register(name, f"the hash of {name}"))
    chat.accounts.set_role("olga", "operator")
    for client, name in ((ANN, "Ann"), (OLGA, "olga"), (BOB, "bob"), (EVE, "Eve")):
        chat(client, Join(name, "hall"))
    if notes is None:
        chat(ANN, RegisterRoom())
        chat.notes.log.clear()
    return chat


@pytest.fixture
def chat() -> Chat:
    return make_chat()


def one(events: list[Event], kind: type) -> Event:
    [found] = [event for event in events if isinstance(event, kind)]
    return found


# --- who may ----------------------------------------------------------------------------

OF_A_ROOM: list[Command] = [
    Kick("bob", "hall"), Mute("bob", "hall"), Ban("bob", "hall"), Unban("bob", "hall"),
    ListBans("hall"), Op("Ann", "hall"), Deop("Ann", "hall"), SetTopic("x", "hall"),
    Lock("hall"), Unlock("hall"), Invite("bob", "hall"),
]  # fmt: skip
OF_THE_SERVER: list[Command] = [
    Ban("bob"), Unban("bob"), ListBans(), Op("Ann", server=True), Deop("Ann", server=True),
]  # fmt: skip


@pytest.mark.parametrize("command", OF_A_ROOM + OF_THE_SERVER, ids=repr)
def test_nobody_else_may_do_that(chat: Chat, command: Command) -> None:
    assert chat.error(EVE, command) == "not_allowed"


@pytest.mark.parametrize("command", OF_THE_SERVER, ids=repr)
def test_a_moderator_is_no_operator(chat: Chat, command: Command) -> None:
    assert chat.error(ANN, command) == "not_allowed"


@pytest.mark.parametrize("command", OF_A_ROOM, ids=repr)
def test_a_moderator_of_one_room_is_nobody_in_another(
    chat: Chat, command: Command
) -> None:
    other = type(command)(
        **{name: getattr(command, name) for name in command.__struct_fields__}
        | {"room": "attic"}
    )
    assert chat.error(ANN, other) == "not_allowed"


@pytest.mark.parametrize("command", [*OF_A_ROOM, *OF_THE_SERVER, RegisterRoom(), DeleteMessage(1)], ids=repr)  # fmt: skip
def test_who_has_not_joined_keeps_no_order(chat: Chat, command: Command) -> None:
    assert chat.error(9, command) == "not_joined"


def test_a_name_is_no_role(chat: Chat) -> None:
    """Ann leaves. Nobody else gets her name, and with it her room."""
    chat(ANN, Leave())
    assert chat.code(9, "ann") == "name_registered"


def test_the_welcome_says_that_there_is_moderation(chat: Chat) -> None:
    assert "moderation" in chat.come(CY, "cy").features


# --- registering a room, and roles ------------------------------------------------------


def test_a_room_is_registered_by_the_account_that_has_been_there_longest() -> None:
    chat = Chat()
    for client, name in ((ANN, "ann"), (6, "zoe")):
        chat(client, Register(name, "a hash"))
    chat(BOB, Join("bob", "hall"))
    for client, name in ((ANN, "ann"), (6, "zoe")):
        chat(client, Join(name, "hall"))
    assert chat.error(BOB, RegisterRoom()) == "not_logged_in"
    assert chat.error(ANN, RegisterRoom()) == "not_allowed", "Bob is there longer"
    chat(BOB, Leave("hall"))
    assert chat.error(6, RegisterRoom("hall")) == "not_allowed", "Ann is"
    assert chat.error(ANN, RegisterRoom("attic")) == "not_joined"
    heard = chat(ANN, RegisterRoom("Hall", id=7))
    event = Moderated("register", "ann", NOW, "ann", "hall")
    assert heard == {ANN: [event, Ok(7)], 6: [event]}
    assert chat.error(6, RegisterRoom()) == "room_registered"
    assert chat.notes.rooms["hall"].moderators == ["ann"]


def test_an_operator_may_register_any_room(chat: Chat) -> None:
    chat(BOB, Join("bob", "attic"))
    chat(OLGA, Join("olga", "attic"), RegisterRoom("attic"))
    assert chat.notes.rooms["attic"].moderators == ["olga"]


def test_moderators_are_made_and_can_resign_but_not_the_last_one(chat: Chat) -> None:
    chat(9, Register("Zoe", "a hash"), Join("zoe", "hall"))
    assert chat.error(ANN, Op("bob")) == "no_account"
    assert chat.error(ANN, Deop("Ann")) == "not_allowed", "she is the last one"
    heard = chat(ANN, Op("ZOE", id=1))
    event = Moderated("op", "Ann", NOW, "Zoe", "hall")
    assert heard[ANN] == [event, Ok(1)] and heard[9] == heard[BOB] == [event]
    assert chat.error(9, Deop("Ann")) == "not_allowed", "an equal"
    chat(ANN, Deop("ann"))
    assert chat.error(ANN, SetTopic("mine")) == "not_allowed"
    chat(OLGA, Deop("zoe"))  # an operator may, though she is the last one
    assert "hall" not in chat.notes.rooms, "it is registered no more"
    assert chat.error(OLGA, Deop("zoe")) == "no_such_user"


def test_a_room_that_nobody_has_registered_gets_a_moderator_from_an_operator(
    chat: Chat,
) -> None:
    chat(OLGA, Op("Ann", "attic"))
    assert chat.notes.rooms["attic"].moderators == ["Ann"]


def test_operators_are_made_by_operators_and_the_last_one_stays(chat: Chat) -> None:
    assert chat.error(OLGA, Op("bob", server=True)) == "no_account"
    assert chat.error(OLGA, Deop("olga", server=True)) == "not_allowed"
    heard = chat(OLGA, Op("ann", server=True, id=1))
    event = Moderated("op", "olga", NOW, "Ann")
    assert heard == {ANN: [event], OLGA: [event, Ok(1)]}, "nobody else hears it"
    assert chat.accounts.find("ann").role == "operator"
    chat(OLGA, Deop("olga", server=True))
    assert chat.error(OLGA, ListBans()) == "not_allowed"
    assert chat.error(ANN, Deop("Ann", server=True)) == "not_allowed"
    chat(ANN, Op("olga", server=True), Deop("olga", server=True))
    assert chat.accounts.find("olga").role == ""


def test_a_ban_that_has_ended_is_struck_out_with_the_next_one(chat: Chat) -> None:
    chat(OLGA, Ban("zed", seconds=10.0))
    assert [target for _, target in chat.notes.bans] == ["zed"]
    chat.now += 11
    chat(OLGA, Ban("another"))
    assert [target for _, target in chat.notes.bans] == ["another"]


def test_an_account_that_is_gone_moderates_nothing(chat: Chat) -> None:
    chat(ANN, DeleteAccount("the hash of Ann"))
    assert "hall" not in chat.notes.rooms
    chat(9, Register("ann", "another hash"), Join("ann", "hall"))
    assert chat.error(9, SetTopic("mine")) == "not_allowed"


def test_an_account_that_is_gone_is_invited_nowhere(chat: Chat) -> None:
    chat(9, Register("dora", "the hash of dora"))
    chat(ANN, Lock("hall"), Invite("DORA", "hall"))
    assert chat.notes.rooms["hall"].invited == ["dora"]
    chat(9, DeleteAccount("the hash of dora"))
    assert chat.notes.rooms["hall"].invited == []
    chat(8, Register("dora", "another hash"))
    assert chat.error(8, Join("dora", "hall")) == "locked"


def test_the_last_operator_keeps_the_account(chat: Chat) -> None:
    assert chat.error(OLGA, DeleteAccount("the hash of olga")) == "not_allowed"
    chat(OLGA, Op("ann", server=True))
    chat(OLGA, DeleteAccount("the hash of olga"))
    assert chat.accounts.find("olga") is None
    assert chat.error(ANN, DeleteAccount("the hash of Ann")) == "not_allowed"


def test_who_is_muted_in_a_room_does_not_become_its_moderator(chat: Chat) -> None:
    chat(9, Register("dora", "the hash of dora"), Join("dora", "attic"))
    chat(OLGA, Mute("dora", "attic", 60.0))
    assert chat.error(9, RegisterRoom("attic")) == "muted"
    chat.now += 61
    chat(9, RegisterRoom("attic"))
    assert chat.notes.rooms["attic"].moderators == ["dora"]


# --- kick ---------------------------------------------------------------------------------


def test_who_is_kicked_hears_why_and_may_come_back(chat: Chat) -> None:
    chat(BOB, Join("bob", "attic"))
    heard = chat(ANN, Kick("BOB", reason="too loud", id=3))
    event = Moderated("kick", "Ann", NOW, "bob", "hall", "too loud")
    assert heard[BOB] == [event, UserLeft("hall", "bob", NOW)]
    assert heard[EVE] == [event, UserLeft("hall", "bob", NOW)]
    assert heard[ANN] == [event, UserLeft("hall", "bob", NOW), Ok(3)]
    assert chat.error(BOB, SendMessage("hm", "hall")) == "not_joined"
    assert chat.rooms.rooms["attic"].clients == (BOB,), "elsewhere nothing has changed"
    assert isinstance(chat(BOB, Join("bob", "hall"))[BOB][0], Welcome)


def test_who_is_awaited_is_kicked_as_well(chat: Chat) -> None:
    chat.rooms.lost(BOB, NOW)
    heard = chat(ANN, Kick("bob"))
    assert UserLeft("hall", "bob", NOW) in heard[EVE]
    assert all(user.name != "bob" for user in chat.rooms.rooms["hall"].everybody)


def test_whom_one_can_not_kick(chat: Chat) -> None:
    assert chat.error(ANN, Kick("zoe")) == "no_such_user"
    chat(EVE, Leave("hall"))
    assert chat.error(ANN, Kick("eve")) == "no_such_user", "she is not in the hall"
    assert chat.error(ANN, Kick("ANN")) == "not_allowed", "oneself"
    assert chat.error(ANN, Kick("olga")) == "not_allowed", "an operator"
    chat(9, Register("zoe", "a hash"), Join("zoe", "hall"))
    chat(ANN, Op("zoe"))
    assert chat.error(ANN, Kick("zoe")) == "not_allowed", "an equal"
    assert Moderated in map(type, chat(OLGA, Kick("zoe"))[9])


# --- mute ---------------------------------------------------------------------------------


def test_who_is_muted_hears_and_can_not_speak_until_it_ends(chat: Chat) -> None:
    heard = chat(ANN, Mute("eve", seconds=60, reason="calm down", id=1))
    event = Moderated("mute", "Ann", NOW, "Eve", "hall", "calm down", NOW + 60)
    assert heard[ANN] == [event, Ok(1)] and heard[EVE] == heard[BOB] == [event]
    chat.now += 20
    [error] = chat(EVE, SendMessage("but", id=9))[EVE]
    assert (error.code, error.id, error.retry_after) == ("muted", 9, 40.0)
    assert "calm down" in error.content
    assert one(chat(BOB, SendMessage("peace"))[EVE], Message).content == "peace"
    chat.now += 40
    assert one(chat(EVE, SendMessage("thanks"))[BOB], Message).content == "thanks"


def test_a_mute_without_a_time_holds_until_it_is_ended(chat: Chat) -> None:
    chat(ANN, Mute("eve"))
    chat.now += 1e6
    [error] = chat(EVE, SendMessage("but"))[EVE]
    assert (error.code, error.retry_after) == ("muted", None)
    heard = chat(ANN, Mute("EVE", seconds=0))
    assert heard[BOB] == [Moderated("unmute", "Ann", chat.now, "Eve", "hall")]
    assert chat(EVE, SendMessage("thanks"))[BOB]
    assert chat.error(ANN, Mute("eve", seconds=0)) == "no_such_user"


def test_a_mute_is_of_one_room_and_of_no_whisper(chat: Chat) -> None:
    chat(ANN, Mute("eve"))
    chat(BOB, Join("bob", "attic"))
    chat(EVE, Join("eve", "attic"))
    assert one(chat(EVE, SendMessage("here I can"))[BOB], Message)
    assert one(chat(EVE, Whisper("Ann", "why?"))[ANN], WhisperReceived)


def test_a_status_of_ones_own_words_is_no_way_to_speak(chat: Chat) -> None:
    chat(ANN, Mute("eve"))
    assert chat.error(EVE, SetStatus("RUBBISH")) == "muted"
    assert one(chat(EVE, SetStatus("away"))[BOB], StatusChanged)
    chat(ANN, Mute("eve", seconds=0))
    assert one(chat(EVE, SetStatus("RUBBISH"))[BOB], StatusChanged)


def test_another_name_does_not_end_a_mute_and_neither_does_an_empty_room(
    chat: Chat,
) -> None:
    chat(ANN, Mute("eve"))
    token = chat.rooms.users[EVE].session.token
    chat(EVE, SendMessage("an id that is remembered", "hall", id=1))
    chat(EVE, Leave("hall"), Join("Eve", "attic"), SendMessage("x", id=5), Leave())
    chat(EVE, Join("somebody", "hall", token=token))
    assert chat.error(EVE, SendMessage("here I am")) == "muted"
    chat(EVE, Leave())
    for client in (ANN, OLGA, BOB):
        chat(client, Leave())
    assert chat.rooms.rooms == {}
    chat(EVE, Join("eve", "hall"))
    assert chat.error(EVE, SendMessage("here I am")) == "muted"


def test_whom_one_can_not_mute(chat: Chat) -> None:
    assert chat.error(ANN, Mute("zoe")) == "no_such_user"
    assert chat.error(ANN, Mute("Ann")) == "not_allowed"
    assert chat.error(ANN, Mute("olga")) == "not_allowed"


def test_an_account_can_be_muted_while_it_is_away(chat: Chat) -> None:
    chat(9, Register("zoe", "a hash"), Join("zoe", "attic"), Leave())
    chat(ANN, Mute("ZOE"))
    chat(9, Login("zoe", "a hash"), Join("zoe", "hall"))
    assert chat.error(9, SendMessage("hello")) == "muted"


# --- bans ---------------------------------------------------------------------------------

COMING_BACK = [  # target, client, name, is it kept out?
    ("Eve", EVE, "EVE", True),
    ("Eve", 9, "eve", True),
    ("Eve", EVE, "eve2", False),
    ("192.0.2.7", EVE, "somebody", True),
    ("192.0.2.7", 7, "somebody", True),  # written as IPv6
    ("192.0.2.7", 6, "somebody", False),
    ("192.0.2.0/24", 6, "somebody", True),
    ("192.0.2.0/24", 9, "Eve", False),
    ("2001:db8::/64", CY, "cy", True),
    ("2001:db8::/64", 8, "cy2", True),
    ("2001:db8::5", 8, "cy2", False),
    ("@eve", EVE, "somebody", True),
    ("@eve", 6, "somebody", False),
]


@pytest.mark.parametrize("room", ["hall", None])
@pytest.mark.parametrize("target, client, name, out", COMING_BACK)
def test_a_ban_keeps_out_as_far_as_it_says(
    chat: Chat, room: str | None, target: str, client: int, name: str, out: bool
) -> None:
    chat(OLGA, Ban(target, room))
    chat(EVE, Leave())
    assert chat.code(client, name) == ("banned" if out else "")
    assert chat.code(client, name, "attic") == ("banned" if out and not room else "")


def test_an_ipv6_address_of_somebody_is_its_network(chat: Chat) -> None:
    chat(CY, Join("cy", "hall"))
    chat(ANN, Ban("@CY", "hall"))
    assert (chat.code(8, "cy2"), chat.code(9, "cy2")) == ("banned", "")
    assert "2001" not in str(chat(ANN, ListBans("hall"))), "nobody is shown it"


def test_who_is_banned_by_account_is_so_from_everywhere(chat: Chat) -> None:
    chat(9, Register("zoe", "a hash"), Join("zoe", "hall"))
    chat(OLGA, Ban("ZOE"))
    assert "zoe" not in chat.rooms.by_name
    assert chat.code(9, "zoe") == "banned"


def test_those_inside_are_put_out_of_the_server_with_a_goodbye(chat: Chat) -> None:
    chat(6, Join("friend", "attic"))
    heard = chat(OLGA, Ban("192.0.2.0/24", seconds=60, reason="spam", id=1))
    event = Moderated("ban", "olga", NOW, "192.0.2.0/24", None, "spam", NOW + 60)
    for client in (EVE, 6):
        assert heard[client][0] == event
        last = heard[client][-1]
        assert isinstance(last, Goodbye) and (last.code, last.reconnect) == (
            "banned",
            False,
        )
    assert heard[OLGA][-2:] == [event, Ok(1)]
    assert heard[BOB] == [UserLeft("hall", "Eve", NOW)], (
        "the address is not his business"
    )
    assert sorted(chat.rooms.by_name) == ["ann", "bob", "olga"]
    [error, last] = chat(EVE, Join("Eve"))[EVE]
    assert (error.code, error.retry_after) == ("banned", 60.0)
    assert (last.code, last.reconnect) == ("banned", False)
    chat.now += 60
    assert chat.code(EVE, "Eve") == ""


def test_those_inside_are_put_out_of_a_room_and_stay_in_others(chat: Chat) -> None:
    chat(EVE, Join("Eve", "attic"))
    heard = chat(ANN, Ban("eve", "Hall", reason="spam"))
    event = Moderated("ban", "Ann", NOW, "eve", "hall", "spam")
    assert heard[EVE][0] == event and UserLeft("hall", "Eve", NOW) in heard[EVE]
    assert event in heard[BOB] and UserLeft("hall", "Eve", NOW) in heard[BOB]
    assert list(chat.rooms.users[EVE].rooms) == ["attic"]
    [error] = chat(EVE, Join("Eve", "hall"))[EVE]  # and no goodbye
    assert error.code == "banned"


def test_a_place_that_is_held_does_not_help(chat: Chat) -> None:
    token = chat.rooms.users[EVE].session.token
    chat.rooms.lost(EVE, NOW)
    chat(ANN, Ban("eve", "hall"))
    assert chat.code(6, "Eve", token=token) == "banned"
    chat(OLGA, Ban("eve"))
    assert "eve" not in chat.rooms.by_name
    assert chat.code(6, "Eve", "attic", token=token) == "banned"


def test_a_place_that_is_held_by_somebody_from_a_banned_address(chat: Chat) -> None:
    token = chat.rooms.users[EVE].session.token
    chat.rooms.lost(EVE, NOW)
    chat.moderation.gone(EVE)
    chat(OLGA, Ban("192.0.2.0/24"))  # from where she was is not known any more
    assert chat.code(6, "Eve", token=token) == "banned"


@pytest.mark.parametrize(
    "target, room, code",
    [
        ("olga", None, "not_allowed"),
        ("OLGA", "hall", "not_allowed"),
        ("@olga", None, "not_allowed"),
        ("203.0.113.0/24", None, "not_allowed"),  # she is in it
        ("0.0.0.0/0", None, "not_allowed"),
        ("203.0.113.5/24", None, "bad_target"),
        ("192.0.2.0/33", None, "bad_target"),
        ("two words", None, "bad_target"),
        ("@nobody", None, "no_such_user"),
    ],
)
def test_a_ban_that_was_not_meant(
    chat: Chat, target: str, room: str | None, code: str
) -> None:
    assert chat.error(OLGA, Ban(target, room)) == code
    assert len(chat.rooms.users) == 4 and not chat.notes.bans


def test_a_ban_of_no_time_is_a_mistake(chat: Chat) -> None:
    assert chat.error(ANN, Ban("eve", "hall", seconds=0)) == "bad_target"
    chat(ANN, Ban("eve", "hall", seconds=1e300))
    assert chat.notes.bans["hall", "eve"].until is None, "it is for good"


def test_equals_and_operators_are_safe_from_a_moderator(chat: Chat) -> None:
    chat(9, Register("zoe", "a hash"), Join("zoe", "hall"))
    chat(ANN, Op("zoe"))
    for target in ("zoe", "olga", "Ann", "198.51.100.9", "203.0.113.0/24"):
        assert chat.error(ANN, Ban(target, "hall")) == "not_allowed"
    chat(9, Leave())
    assert chat.error(ANN, Ban("zoe", "hall")) == "not_allowed", "though she is away"
    chat(ANN, Ban("198.51.100.9", "hall"))  # from where nobody is now
    assert chat.code(9, "zoe") == "", "a moderator is not kept out of the own room"


def test_an_operator_is_never_kept_out(chat: Chat) -> None:
    chat(OLGA, Leave())
    chat.accounts.set_role("Ann", "operator")
    chat(ANN, Ban("203.0.113.0/24"), Ban("203.0.113.0/24", "hall"), Lock("hall"))
    assert chat.code(OLGA, "olga") == ""


def test_a_ban_is_ended(chat: Chat) -> None:
    chat(OLGA, Ban("192.0.2.0/24"), Ban("Eve", "hall"))
    heard = chat(OLGA, Unban("192.0.2.0/24", id=4))
    event = Moderated("unban", "olga", NOW, "192.0.2.0/24")
    assert heard == {OLGA: [event, Ok(4)]}
    assert chat.error(OLGA, Unban("192.0.2.0/24")) == "no_such_ban"
    assert chat.error(OLGA, Unban("eve")) == "no_such_ban", "that is one of the hall"
    assert chat.code(EVE, "Eve") == "banned"
    chat(ANN, Unban("EVE", "hall"))
    assert chat.code(EVE, "Eve") == "" and chat.notes.bans == {}


def test_the_bans_are_listed_in_pages(chat: Chat) -> None:
    for number in range(120):
        chat(ANN, Ban(f"n{number:03}", "hall", seconds=60 if number == 5 else None))
    chat.now += 60
    pages: list[BanList] = []
    while not pages or pages[-1].more:
        after = pages[-1].bans[-1].target if pages else None
        [page] = chat(ANN, ListBans("hall", after))[ANN]
        assert (page.room, page.after) == ("hall", after)
        pages.append(page)
    assert len(pages) == 3
    found = [each.target for page in pages for each in page.bans]
    assert found == [f"n{number:03}" for number in range(120) if number != 5]
    first = pages[0].bans[0]
    assert (first.username, first.timestamp, first.until) == ("Ann", NOW, None)


def test_a_page_of_bans_fits_in_a_line(chat: Chat) -> None:
    for number in range(BanTable.PAGE):
        chat(OLGA, Ban(f"{'n' * 29}{number:03}", reason="\U0001f600" * 200))
    [page] = chat(OLGA, ListBans())[OLGA]
    assert len(page.bans) == BanTable.PAGE and len(encode(page)) <= MAX_EVENT


def test_there_is_a_limit_to_bans_but_one_may_be_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BanTable, "MOST", 2)
    table = BanTable()
    for target in ("a", "b"):
        table.add(SavedBan("", target, "", "ann", 0.0, None))
    with pytest.raises(CommandError, match="2 bans"):
        table.add(SavedBan("", "c", "", "ann", 0.0, None))
    table.add(SavedBan("", "A", "", "ann", 0.0, 5.0))
    assert table.find(Visitor("a"), 5.0) is None and len(table) == 2


def test_the_ban_that_ends_last_counts() -> None:
    table = BanTable()
    table.add(SavedBan("", "eve", "", "ann", 0.0, 10.0))
    table.add(SavedBan("", "192.0.2.0/24", "192.0.2.0/24", "ann", 0.0, 20.0))
    table.add(SavedBan("", "@eve", "192.0.2.7", "ann", 0.0, 5.0))
    visitor = Visitor("eve", "", "192.0.2.7")
    found = [table.find(visitor, now) for now in (0.0, 15.0, 20.0)]
    assert [ban and ban.until for ban in found] == [20.0, 20.0, None]
    table.remove("192.0.2.0/24")
    assert table.find(visitor, 0.0).until == 10.0


@pytest.mark.parametrize("text", ["10.1", "fe80", "1.2.3.4.5", "a" * 32])
def test_what_is_no_address_may_be_a_name(text: str) -> None:
    assert parse_target(text) == (text, "")


def test_a_name_that_looks_like_an_address_is_found_as_well(chat: Chat) -> None:
    chat(9, Join("192.0.2.77", "hall"))
    chat(ANN, Ban("192.0.2.77", "hall"))
    chat(9, Leave())
    assert chat.code(9, "192.0.2.77") == "banned"


# --- topic, lock, invitation --------------------------------------------------------------


def test_the_topic_is_told_and_welcomes_who_comes(chat: Chat) -> None:
    heard = chat(ANN, SetTopic("Music", id=1))
    event = TopicChanged("hall", "Music", "Ann", NOW)
    assert heard[ANN] == [event, Ok(1)] and heard[EVE] == [event]
    for client in (ANN, OLGA, BOB, EVE):
        chat(client, Leave())
    assert chat.come(CY, "cy").topic == "Music", "also when the room was empty"
    chat(CY, Join("cy", "attic"))
    assert chat.error(CY, SetTopic("Mine")) == "not_allowed"


def test_a_locked_room_lets_in_who_is_invited_and_nobody_else(chat: Chat) -> None:
    chat(9, Register("zoe", "a hash"), Join("zoe", "attic"))
    assert chat.error(ANN, Invite("zoe")) == "not_locked"
    assert chat.error(ANN, Unlock()) == "not_locked"
    heard = chat(ANN, Lock(id=1))
    assert heard[EVE] == [Moderated("lock", "Ann", NOW, "", "hall")]
    assert chat.error(9, Join("zoe", "hall")) == "locked"
    assert chat.error(ANN, Invite("nobody")) == "no_such_user"
    heard = chat(ANN, Invite("ZOE", id=2))
    event = Moderated("invite", "Ann", NOW, "zoe", "hall")
    assert heard[ANN] == [event, Ok(2)] and heard[9] == [event] and EVE not in heard
    assert isinstance(chat(9, Join("zoe", "hall"))[9][0], Welcome)
    assert chat.code(CY, "cy") == "locked"
    chat(ANN, Unlock())
    assert chat.code(CY, "cy") == ""
    chat(ANN, Lock())
    chat(9, Leave("hall"))
    assert chat.error(9, Join("zoe", "hall")) == "locked", "the invitation has ended"


def test_a_guest_is_invited_as_a_person_and_not_as_a_name(chat: Chat) -> None:
    chat(ANN, Lock())
    chat(CY, Join("cy", "attic"))
    token = chat.rooms.users[CY].session.token
    chat(ANN, Invite("cy"))
    chat(CY, SendMessage("an id that is remembered", id=1), Leave())
    assert chat.code(9, "cy") == "locked", "another one with this name"
    assert chat.code(9, "cy", token="a-token-that-is-made-up") == "locked"
    assert chat.code(9, "dora", token=token) == "", "the same one with another"


def test_a_password_lets_in_as_well(chat: Chat) -> None:
    assert chat.moderation.lock_hash("hall") is None
    chat(ANN, Lock(password="the hash of it"))
    assert chat.moderation.lock_hash("Hall") == "the hash of it"
    assert chat.code(CY, "cy") == "locked"
    assert chat.code(CY, "cy", password="another hash") == "locked"
    assert chat.code(CY, "cy", password="the hash of it") == ""
    chat(ANN, Lock())  # without one, from now on
    assert chat.code(CY, "cy", password="the hash of it") == "locked"
    assert chat.code(CY, "cy", password="") == "locked"


def test_who_has_a_place_comes_back_into_a_locked_room(chat: Chat) -> None:
    token = chat.rooms.users[EVE].session.token
    chat(ANN, Lock())
    chat.rooms.lost(EVE, NOW)
    assert chat.code(6, "Eve", token=token) == ""


def test_a_locked_room_stays_locked_when_it_is_empty(chat: Chat) -> None:
    chat(ANN, Lock())
    for client in (ANN, OLGA, BOB, EVE):
        chat(client, Leave())
    assert chat.code(EVE, "Eve") == "locked"
    assert chat.code(ANN, "ann") == ""


def test_each_list_of_a_room_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoomSettings, "MOST", 2)
    room = RoomSettings("hall")
    for name in ("a", "b"):
        room.invite(name)
        room.appoint(name)
        room.mute(SavedMute(name, "", "ann", 0.0, None))
    for action in (
        lambda: room.invite("c"),
        lambda: room.appoint("c"),
        lambda: room.mute(SavedMute("c", "", "ann", 0.0, None)),
    ):
        with pytest.raises(CommandError, match="2 in hall") as error:
            action()
        assert error.value.code == "too_many"


# --- deleting -----------------------------------------------------------------------------


def contents(chat: Chat, client: int = ANN) -> list[str]:
    [page] = chat(client, GetHistory("hall"))[client]
    return [each.content for each in page.messages]


def test_a_message_is_taken_back_by_a_moderator(chat: Chat) -> None:
    chat(EVE, SendMessage("an insult"))
    chat(BOB, SendMessage("hello"))
    heard = chat(ANN, DeleteMessage(1, id=5))
    event = MessageDeleted("hall", 1, "Ann", NOW)
    assert heard[ANN] == [event, Ok(5)] and heard[EVE] == heard[BOB] == [event]
    assert contents(chat) == ["", "hello"]
    assert one(chat(BOB, SendMessage("next"))[EVE], Message).seq == 3
    for seq in (1, 7, 0):
        assert chat.error(ANN, DeleteMessage(seq)) == "no_such_message"
    [record] = chat.notes.log
    assert (record.username, record.action) == ("Ann", "delete")
    assert "an insult" not in str(record)


def test_ones_own_message_is_ones_own(chat: Chat) -> None:
    chat(EVE, SendMessage("with an id", id="a"), SendMessage("without one"))
    chat(BOB, SendMessage("Bob's", id="a"))
    assert chat.error(EVE, DeleteMessage(3)) == "not_allowed"
    assert chat.error(EVE, DeleteMessage(2)) == "not_allowed", "nobody can tell"
    chat(EVE, DeleteMessage(1))
    assert contents(chat) == ["", "without one", "Bob's"]
    assert chat.notes.log == [], "that is no moderation"
    chat(BOB, Leave())
    chat(BOB, Join("bob", "hall"), SendMessage("hi", id="b"))  # another Bob
    assert chat.error(BOB, DeleteMessage(3)) == "not_allowed"
    chat(BOB, DeleteMessage(4))


def test_what_was_said_before_the_account_was_made_is_not_its_own(chat: Chat) -> None:
    chat(CY, Join("zoe", "hall"), SendMessage("I am a guest", id=1), Leave())
    chat.now += 10
    chat(9, Register("zoe", "a hash"), Join("zoe", "hall"), SendMessage("mine"))
    assert chat.error(9, DeleteMessage(1)) == "not_allowed"
    chat(9, DeleteMessage(2))
    assert contents(chat) == ["I am a guest", ""]


def test_where_one_is_not_one_deletes_nothing(chat: Chat) -> None:
    chat(EVE, SendMessage("an insult", id=1), Leave("hall"), Join("Eve", "attic"))
    assert chat.error(EVE, DeleteMessage(1, "hall")) == "not_joined"
    chat(OLGA, Leave("hall"), Join("olga", "office"), DeleteMessage(1, "hall"))
    assert contents(chat) == [""], "but an operator may"


# --- over a restart, and after a commit that failed -----------------------------------


def test_everything_holds_over_a_restart(chat: Chat) -> None:
    chat(ANN, SetTopic("Music"), Mute("eve"), Ban("bobby", "hall"))
    chat(OLGA, Lock("office", password="a hash"), Ban("@eve", "attic"))
    chat(OLGA, Ban("192.0.2.8/31", seconds=60))
    again = make_chat(chat.notes)
    assert again.code(6, "somebody") == "banned", "out of the server"
    assert again.code(9, "Bobby") == "banned", "out of the hall"
    assert again.code(7, "somebody", "attic") == "banned", "by Eve's address"
    assert again.code(9, "somebody", "office") == "locked"
    assert again.code(9, "somebody", "office", password="a hash") == ""
    assert again.come(9, "somebody").topic == "Music"
    assert again.error(EVE, SendMessage("hello")) == "muted"
    assert again.error(ANN, RegisterRoom("hall")) == "room_registered"
    again(ANN, Kick("bob"))  # she is still the moderator
    again.now += 60
    assert again.code(6, "somebody") == ""


def test_what_a_failed_commit_has_not_kept_is_written_once_more(chat: Chat) -> None:
    archive = chat.rooms.archive
    chat.rooms.committed(archive.mark())
    chat(OLGA, Ban("eve"), Ban("cy"), Unban("cy"))
    chat(ANN, SetTopic("Music"))
    before, log = dict(chat.notes.bans), chat.notes.log.copy()
    chat.notes.bans.clear()
    chat.notes.bans["", "cy"] = before["", "eve"]  # struck once more
    chat.notes.log.clear()
    chat.notes.rooms.clear()
    chat.rooms.take_back([], StoreError("the disk is full"))
    assert (chat.notes.bans, chat.notes.log) == (before, log)
    assert chat.notes.rooms["hall"].topic == "Music"
    chat.rooms.committed(archive.mark())
    chat.notes.log.clear()
    chat.rooms.take_back([], StoreError("the disk is full"))
    assert chat.notes.log == []


def test_the_same_id_does_nothing_more(chat: Chat) -> None:
    chat(ANN, Kick("bob", id=7))
    chat(BOB, Join("bob", "hall"))
    assert chat(ANN, Kick("bob", id=7)) == {ANN: [Ok(7)]}
    assert chat.error(ANN, Kick("zoe", id=8)) == "no_such_user"
    chat(9, Join("zoe", "hall"))
    assert Ok(8) in chat(ANN, Kick("zoe", id=8))[ANN], "an id that was refused is free"


def test_everything_that_is_done_is_noted_and_nothing_that_is_refused(
    chat: Chat,
) -> None:
    chat(9, Register("zoe", "a hash"), Join("zoe", "attic"))
    for client, command in [
        (ANN, SetTopic("Music")), (ANN, Op("zoe")), (OLGA, Deop("zoe")),
        (ANN, Mute("eve", seconds=60, reason="why")), (ANN, Mute("eve", seconds=0)),
        (ANN, Lock()), (ANN, Invite("zoe")), (ANN, Unlock()), (ANN, Kick("bob")),
        (ANN, Ban("@eve", "hall")), (ANN, Unban("@eve", "hall")),
        (OLGA, Ban("192.0.2.0/24", seconds=60)), (OLGA, Op("zoe", server=True)),
    ]:  # fmt: skip
        chat(client, command)
    chat.error(9, Deop("ann", "attic"))
    done = [(each.username, each.action, each.room, each.target) for each in chat.notes.log]  # fmt: skip
    assert done == [
        ("Ann", "topic", "hall", ""), ("Ann", "op", "hall", "zoe"),
        ("olga", "deop", "hall", "zoe"), ("Ann", "mute", "hall", "Eve"),
        ("Ann", "unmute", "hall", "Eve"), ("Ann", "lock", "hall", ""),
        ("Ann", "invite", "hall", "zoe"), ("Ann", "unlock", "hall", ""),
        ("Ann", "kick", "hall", "bob"), ("Ann", "ban", "hall", "@eve"),
        ("Ann", "unban", "hall", "@eve"), ("olga", "ban", "", "192.0.2.0/24"),
        ("olga", "op", "", "zoe"),
    ]  # fmt: skip
    mute = chat.notes.log[3]
    assert (mute.timestamp, mute.reason, mute.until) == (NOW, "why", NOW + 60)


def test_who_joins_a_room_without_settings_hears_nothing_new(chat: Chat) -> None:
    heard = chat(CY, Join("cy", "attic"))
    assert heard[CY][0].topic == "" and len(heard) == 1
    chat(BOB, Join("bob", "attic"))
    assert chat(CY, SendMessage("hi"))[BOB][-1].content == "hi"
    assert UserJoined not in map(type, heard[CY])


def test_no_password_is_worked_on_for_who_may_not_lock_the_room(chat: Chat) -> None:
    refusal = chat.moderation.refusal
    [(to, error)] = refusal(EVE, Lock(password="sesame", id=4))
    assert (to, error.code, error.id) == ((EVE,), "not_allowed", 4)
    assert refusal(9, Lock("hall"))[0].event.code == "not_joined"
    assert refusal(ANN, Lock()) == refusal(OLGA, Lock("attic")) == []


def test_the_ban_of_an_address_is_told_to_those_only_who_keep_order(chat: Chat) -> None:
    chat(9, Register("zoe", "a hash"), Join("zoe", "hall"))
    chat(ANN, Op("zoe"))
    for target, hear in (("@eve", {ANN, OLGA, 9}), ("cy", {ANN, OLGA, 9, BOB})):
        heard = chat(ANN, Ban(target, "hall"))
        told = {
            client
            for client, events in heard.items()
            if any(isinstance(event, Moderated) for event in events)
        }
        assert told - {EVE} == hear


def test_who_logs_in_to_a_banned_account_is_found_by_it() -> None:
    table = BanTable()
    table.add(SavedBan("", "Eve", "", "ann", 0.0, None))
    assert table.find(Visitor("somebody", "EVE"), 0.0) is not None
    assert table.find(Visitor("somebody", ""), 0.0) is None


def test_what_is_deleted_in_the_tick_in_which_it_was_said_nobody_reads(
    chat: Chat,
) -> None:
    heard = chat(EVE, SendMessage("an insult", id=1), DeleteMessage(1))
    assert [type(event) for event in heard[BOB]] == [Message, MessageDeleted]
    assert "an insult" not in str(heard)


# --- a person with several clients ------------------------------------------------------


@pytest.fixture
def zoe(chat: Chat) -> Chat:
    """Zoe has an account, and is in the hall with two clients from two addresses."""
    chat(9, Register("zoe", "a hash"), Join("zoe", "hall"))
    chat(8, Login("zoe", "a hash"), Join("zoe", "hall"))
    return chat


def test_all_clients_of_a_person_are_kicked(zoe: Chat) -> None:
    heard = zoe(ANN, Kick("zoe"))
    for client in (8, 9):
        assert [type(event) for event in heard[client]] == [Moderated, UserLeft]
    assert [type(event) for event in heard[BOB]] == [Moderated, UserLeft], "once"
    assert zoe.error(8, SendMessage("hm", "hall")) == "not_joined"


@pytest.mark.parametrize("target", ["zoe", "198.51.100.9", "2001:db8::/32", "@zoe"])
def test_a_ban_that_hits_one_client_of_a_person_puts_all_of_them_out(
    zoe: Chat, target: str
) -> None:
    heard = zoe(OLGA, Ban(target))
    for client in (8, 9):
        assert isinstance(heard[client][-1], Goodbye)
    assert "zoe" not in zoe.rooms.by_name


def test_whoever_keeps_order_hears_with_all_clients_what_was_done(zoe: Chat) -> None:
    zoe(ANN, Op("zoe"))
    heard = zoe(9, SetTopic("Music", id=1))
    assert heard[9][-1] == Ok(1) and Ok(1) not in heard[8]
    assert [type(event) for event in heard[8]] == [TopicChanged]


def test_a_muted_account_is_so_with_all_clients(zoe: Chat) -> None:
    zoe(ANN, Mute("zoe"))
    for client in (8, 9):
        assert zoe.error(client, SendMessage("hello")) == "muted"


# --- what a client makes of it --------------------------------------------------------


class Client:
    """A client's session, connected to the rules."""

    def __init__(self, chat: Chat, name: str) -> None:
        self.chat, self.client = chat, 20
        self.session = ClientSession(name)
        self.told: list[object] = []
        self.chat.moderation.came_from(20, "198.51.100.20")

    def go_on(self) -> None:
        """Send what is due, and hear what follows, until nothing is due."""
        while commands := self.session.send_queue.due(NOW):
            for command in commands:
                for event in self.chat(self.client, command).get(self.client, []):
                    self.told += self.session.receive(event, NOW)

    def break_and_return(self, *meanwhile: tuple[int, Command]) -> None:
        self.chat.rooms.lost(self.client, NOW)
        self.session.disconnected(Goodbye("lost", "lost", True))
        for client, command in meanwhile:
            self.chat(client, command)
        self.client += 1
        self.told += self.session.resume()
        self.go_on()


def test_a_message_that_was_deleted_while_one_was_away_is_no_gap(chat: Chat) -> None:
    client = Client(chat, "cy")
    client.session.join("hall")
    client.go_on()
    said = [(EVE, SendMessage(f"text {number}")) for number in range(1, 5)]
    deleted = [(ANN, DeleteMessage(number)) for number in (1, 3, 4)]
    client.break_and_return(*said, *deleted)
    messages = [each for each in client.told if isinstance(each, Message)]
    assert [each.seq for each in messages] == [1, 2, 3, 4]
    assert [each.content for each in messages] == ["", "text 2", "", ""]
    assert not any(isinstance(each, HistoryGap) for each in client.told)
    client.break_and_return((BOB, SendMessage("text 5")), (EVE, SendMessage("text 6")))
    messages = [each for each in client.told if isinstance(each, Message)]
    assert [each.seq for each in messages] == [1, 2, 3, 4, 5, 6]
    assert not any(isinstance(each, HistoryGap) for each in client.told)


@pytest.mark.parametrize(
    "ban, left, reconnect",
    [(Ban("cy", "hall"), ["attic"], None), (Ban("cy"), [], False)],
)
def test_who_was_banned_while_away_is_told_so_and_stays_where_that_is_allowed(
    chat: Chat, ban: Ban, left: list[str], reconnect: bool | None
) -> None:
    client = Client(chat, "cy")
    for room in ("attic", "hall"):
        client.session.join(room)
        client.go_on()
    client.break_and_return((OLGA, ban))
    assert "banned" in [each.code for each in client.told if isinstance(each, Error)]
    assert list(client.session.rooms) == left
    last = client.session.goodbye
    assert (last.reconnect if last else None) is reconnect


def test_which_of_two_bans_holds_does_not_depend_on_how_they_came() -> None:
    """A table that was written down and read again says the same as the first one."""

    def ban(target: str, reason: str) -> SavedBan:
        return SavedBan("", target, target, "ann", 0.0, None, reason)

    table, again = BanTable(), BanTable()
    table.add(ban("192.0.3.0/24", "gone"))  # its length is seen first
    table.add(ban("192.0.0.0/16", "wide"))
    table.add(ban("192.0.2.0/24", "near"))
    table.remove("192.0.3.0/24")
    for each in table.all():
        again.add(each)
    eve = Visitor("eve", address="192.0.2.7")
    assert table.find(eve, 1.0) == again.find(eve, 1.0)
