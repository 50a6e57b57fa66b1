"""`python_tcp.accounts`: names that belong to somebody, and people with several clients. The rules, and a few of them over sockets."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import LineClient
from waiting import wait_until

from python_tcp.accounts import Accounts
from python_tcp.chat_server import ChatServer
from python_tcp.commands import ChangePassword, DeleteAccount, Login, Logout, MarkRead
from python_tcp.commands import Register
from python_tcp.events import AccountChanged, ReadMark, goodbye
from python_tcp.members import Account, Delivery
from python_tcp.messages import StoreError
from python_tcp.passwords import HashParameters
from python_tcp.places import SavedPlace
from python_tcp.protocol import Command, Error, Event, Goodbye, Join, Leave, Limits
from python_tcp.protocol import ListUsers, Message, Ok, SendMessage, SetStatus
from python_tcp.protocol import StatusChanged, UserJoined, UserLeft, UserList, Welcome
from python_tcp.protocol import Whisper, WhisperReceived
from python_tcp.rooms import Rooms

PHONE, LAPTOP, TABLET, BOB, EVE = 1, 2, 3, 7, 8
HASH = "the hash of ann's password"


class Book:
    """What an `AccountBook` and a `PlaceBook` are told."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.marks: dict[tuple[str, str], int] = {}
        self.places: dict[str, SavedPlace] = {}

    def save(self, it: Account | SavedPlace) -> None:
        if isinstance(it, Account):
            self.accounts[it.name] = it
        else:
            self.places[it.name] = it

    def mark(self, name: str, room: str, seq: int) -> None:
        self.marks[name, room] = seq

    def strike(self, name: str) -> None:
        self.places.pop(name, None)
        self.accounts.pop(name, None)

    def write_anew(self, places: list[SavedPlace]) -> None:
        self.places = {place.name: place for place in places}


class Chat:
    """Rooms with accounts. A call returns what each client hears."""

    def __init__(self, places: Book | None = None, **limits: float) -> None:
        self.book, self.now = Book(), 1000.0
        self.rooms = Rooms(Limits(**limits), book=places)
        self.accounts = Accounts(self.rooms, self.book)
        self.tokens = (f"token-number-{n:04}" for n in itertools.count())

    def __call__(self, client: int, *commands: Command) -> dict[int, list[Event]]:
        told: list[Delivery] = []
        for command in commands:
            token = next(self.tokens)
            told += self.rooms.handle(client, command, self.now, token)
        return self.heard(told)

    def heard(self, told: list[Delivery]) -> dict[int, list[Event]]:
        heard: dict[int, list[Event]] = {}
        for to, event in told:
            assert len(set(to)) == len(to), "nobody gets it twice"
            for client in to:
                heard.setdefault(client, []).append(event)
        return heard

    def error(self, client: int, command: Command) -> str:
        """The code of the one answer, which only the sender hears."""
        [(to, [error])] = self(client, command).items()
        assert to == client and isinstance(error, Error), error
        assert error.id == getattr(command, "id", None)
        return error.code

    def token(self, client: int) -> str:
        return self.rooms.users[client].session.token

    def come(self, client: int, room: str = "lobby") -> dict[int, list[Event]]:
        """Ann, from one more device."""
        return self(client, Login("ann", HASH), Join("ann", room))

    def lost(self, *clients: int) -> dict[int, list[Event]]:
        told = [each for c in clients for each in self.rooms.lost(c, self.now)]
        return self.heard(told)

    def people(self, client: int) -> UserList:
        [page] = self(client, ListUsers())[client]
        assert isinstance(page, UserList)
        return page


@pytest.fixture
def chat() -> Chat:
    """Bob is a guest in the lobby. Ann has an account, and is not here."""
    chat = Chat()
    chat(TABLET, Register("Ann", HASH))
    chat.rooms.disconnect(TABLET, chat.now)
    chat(BOB, Join("bob"))
    return chat


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


# --- a name belongs to its account ---------------------------------------------------------------


def test_a_guest_registers_the_name_they_bear_and_stays_where_they_are() -> None:
    chat = Chat()
    chat(PHONE, Join("Ann"), Join("Ann", "attic"), SendMessage("one", id=1))
    heard = chat(PHONE, Register("ANN", HASH, id=5))
    assert heard == {PHONE: [AccountChanged("Ann", "registered", id=5)]}
    assert chat.people(PHONE).accounts == ["Ann"]
    assert chat(PHONE, SendMessage("one", id=1)) == {PHONE: [Ok(1, 1)]}, "said once"
    token = chat.token(PHONE)
    chat.lost(PHONE)
    welcome = chat(LAPTOP, Join("ann", "attic", token=token))[LAPTOP][0]
    assert isinstance(welcome, Welcome) and welcome.account == "Ann"
    assert chat(LAPTOP, SendMessage("one", id=1)) == {LAPTOP: [Ok(1, 1)]}
    assert list(chat.book.accounts) == ["Ann"]


def test_a_welcome_says_that_there_are_accounts(chat: Chat) -> None:
    plain = Rooms().handle(1, Join("ann"), 0.0, "a-secret-of-ann-1")[0].event
    assert isinstance(plain, Welcome)
    assert (plain.features, plain.account) == ([], None)
    welcome = chat(EVE, Join("eve"))[EVE][0]
    assert isinstance(welcome, Welcome)
    assert (welcome.features, welcome.account) == (["accounts"], None)


@pytest.mark.parametrize("name", ["ann", "ANN", "Ann"])
def test_a_registered_name_is_not_to_be_had_without_its_password(
    chat: Chat, name: str
) -> None:
    assert chat.error(EVE, Join(name, id=3)) == "name_registered"
    assert chat.error(EVE, Register(name, "eve's", id=4)) == "name_registered"
    assert chat.error(EVE, Login(name, "another hash", id=5)) == "bad_login"
    assert chat.error(EVE, Join(name, token="token-number-0001")) == "name_registered"


def test_neither_by_a_token_of_another_nor_by_a_ghost(chat: Chat) -> None:
    chat(EVE, Join("eve"), SendMessage("hi", id=1))
    chat.come(PHONE)
    mallory = 9
    for token in (chat.token(EVE), chat.token(BOB)):
        assert chat.error(mallory, Join("ann", token=token)) == "name_registered"
    chat.lost(PHONE)
    for token in (chat.token(EVE), None, "x" * 16):
        assert chat.error(mallory, Join("ann", token=token)) == "name_registered"


def test_a_token_that_a_guest_had_first_does_not_open_the_account(chat: Chat) -> None:
    """Somebody joins as a guest on a borrowed computer, and then its owner logs in there."""
    token = chat(EVE, Join("eve"), SendMessage("hi", id=1))[EVE][0].token
    chat(EVE, Leave())
    welcome = chat(PHONE, Login("ann", HASH), Join("ann", token=token))[PHONE][1]
    assert welcome.token != token, "that one is known to a guest"
    chat.lost(PHONE)
    assert chat.error(EVE, Join("ann", token=token)) == "name_registered"
    back = chat(LAPTOP, Join("ann", token=welcome.token))[LAPTOP][0]
    assert (back.token, back.account) == (welcome.token, "Ann")


def test_a_name_that_somebody_else_bears_can_not_be_registered(chat: Chat) -> None:
    assert chat.error(EVE, Register("BOB", "a hash", id=1)) == "name_taken"
    chat.lost(BOB)
    [answer] = chat(EVE, Register("BOB", "a hash"))[EVE]
    assert isinstance(answer, Error)
    assert (answer.code, answer.retry_after) == ("name_taken", 60.0)
    chat(EVE, Join("eve"))
    assert chat.error(EVE, Register("somebody", "a hash")) == "already_joined"


def test_guests_may_be_forbidden() -> None:
    chat = Chat(guests=False)
    assert chat.error(EVE, Join("eve", id=2)) == "login_needed"
    heard = chat(PHONE, Register("Ann", HASH), Join("Ann"))
    assert kinds(heard[PHONE]) == ["AccountChanged", "Welcome", "UserList"]
    token = chat.token(PHONE)
    chat.lost(PHONE)
    assert chat(LAPTOP, Join("Ann", token=token))[LAPTOP][0].account == "Ann"
    assert chat.error(EVE, Join("ann", id=3)) == "login_needed", (
        "who has one is a secret"
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Login("ann", HASH, 1), "already_joined"),
        (Register("other", HASH, 1), "already_joined"),
        (Join("bob2"), "already_joined"),
    ],
)
def test_who_has_logged_in_is_that_account(
    chat: Chat, command: Command, code: str
) -> None:
    chat(PHONE, Login("ann", HASH))
    assert chat.error(PHONE, command) == code
    assert chat.accounts.account_of(PHONE) is chat.accounts.find("ANN")


def test_who_has_joined_as_a_guest_does_not_log_in(chat: Chat) -> None:
    assert chat.error(BOB, Login("ann", HASH, 1)) == "already_joined"


@pytest.mark.parametrize(
    "command",
    [Logout(1), ChangePassword("a hash", "b hash", 1), DeleteAccount("a hash", 1)],
)
@pytest.mark.parametrize("client", [BOB, EVE], ids=["joined", "not joined"])
def test_without_an_account_there_is_none_to_leave(
    chat: Chat, command: Command, client: int
) -> None:
    assert chat.error(client, command) == "not_logged_in"


def test_a_server_without_accounts_says_so() -> None:
    rooms = Rooms()
    rooms.handle(BOB, Join("bob"), 0.0, "a-secret-of-bob-1")
    for client in (BOB, EVE):
        for command in (Register("x", HASH, 1), Logout(1), DeleteAccount(HASH, 1)):
            [(_, error)] = rooms.handle(client, command, 0.0, "")
            assert isinstance(error, Error) and error.code == "no_accounts"


def test_what_would_be_refused_with_any_password_is_known_before(chat: Chat) -> None:
    refusal = chat.accounts.refusal
    assert refusal(EVE, Login("nobody", "any", 1), 0.0) == []
    assert refusal(EVE, Register("eve", "any", 1), 0.0) == []
    for client, command, code in (
        (EVE, Register("ANN", "any", 1), "name_registered"),
        (EVE, Register("bob", "any", 1), "name_taken"),
        (BOB, Login("ann", "any", 1), "already_joined"),
        (BOB, DeleteAccount("any", 1), "not_logged_in"),
    ):
        [(to, error)] = refusal(client, command, chat.now)
        assert to == (client,) and isinstance(error, Error)
        assert (error.code, error.id) == (code, 1)


def test_the_hash_must_be_the_one_of_now(chat: Chat) -> None:
    """While a password is looked at, another client may change it, or delete the account."""
    chat.come(PHONE)
    chat(LAPTOP, Login("ann", HASH))
    heard = chat(PHONE, ChangePassword(HASH, "a new hash", id=1))
    assert heard[PHONE] == [AccountChanged("Ann", "password_changed", id=1)]
    assert heard[LAPTOP] == [goodbye("password_changed")]
    assert chat.error(EVE, Login("ann", HASH)) == "bad_login"
    assert chat.error(PHONE, ChangePassword(HASH, "x" * 9)) == "bad_login"
    assert chat.error(PHONE, DeleteAccount(HASH, 2)) == "bad_login"
    assert chat.error(LAPTOP, DeleteAccount("a new hash", 3)) == "not_logged_in"
    assert chat(EVE, Login("ann", "a new hash", id=3)) == {
        EVE: [AccountChanged("Ann", "logged_in", id=3)]
    }
    assert "hash" not in repr(chat.accounts.find("ann")).replace("Hash", "")


def test_a_new_password_ends_the_other_clients_and_their_tokens(chat: Chat) -> None:
    """Somebody else may know the old one, and be here with it."""
    chat.come(PHONE)
    chat.come(LAPTOP)
    stolen, here = chat.token(LAPTOP), chat.token(PHONE)
    chat.lost(LAPTOP)
    chat(EVE, Login("ann", HASH))
    chat(EVE, Join("Ann"))
    heard = chat(PHONE, ChangePassword(HASH, "a new hash", id=1))
    assert heard == {
        PHONE: [AccountChanged("Ann", "password_changed", id=1)],
        EVE: [goodbye("password_changed")],
    }, "nobody else hears of it: Ann is still here"
    assert chat.error(LAPTOP, Join("Ann", token=stolen)) == "name_registered"
    assert chat.error(EVE, Join("Ann")) == "name_registered"
    chat.lost(PHONE)
    assert chat(6, Join("Ann", token=here))[6][0].account == "Ann"


def test_a_new_password_ends_a_lost_client_that_had_the_same_number(chat: Chat) -> None:
    """The number of a connection may be used again. It is not the same client."""
    chat.come(PHONE)
    stolen = chat.token(PHONE)
    chat.lost(PHONE)
    chat(PHONE, Login("ann", HASH))
    heard = chat(PHONE, ChangePassword(HASH, "a new hash", id=1))
    assert heard[BOB] == [UserLeft("lobby", "Ann", chat.now)]
    assert chat.rooms.roster.held == {}
    assert chat.error(LAPTOP, Join("Ann", token=stolen)) == "name_registered"


def test_a_server_may_make_no_new_accounts(chat: Chat) -> None:
    chat.rooms.limits.take_over(Limits(registration=False))
    assert chat.error(EVE, Register("eve", "a hash", id=2)) == "registration_closed"
    assert chat.error(BOB, Register("bob", "a hash", id=3)) == "registration_closed"
    [(to, error)] = chat.accounts.refusal(EVE, Register("eve", "any", 4), chat.now)
    assert isinstance(error, Error) and error.code == "registration_closed"
    assert kinds(chat(LAPTOP, Login("ann", HASH))[LAPTOP]) == ["AccountChanged"]


# --- several clients -----------------------------------------------------------------------------


def test_everybody_else_sees_one_person(chat: Chat) -> None:
    heard = chat.come(PHONE)
    assert heard[BOB] == [UserJoined("lobby", "Ann", chat.now)]
    assert BOB not in chat.come(LAPTOP) and BOB not in chat.come(TABLET)
    assert (chat.people(BOB).users, chat.people(BOB).accounts) == (
        ["Ann", "bob"],
        ["Ann"],
    )
    assert chat.rooms.roster.places.index.page().rooms[0].users == 2
    assert chat.lost(PHONE) == {} == chat.heard(chat.rooms.disconnect(LAPTOP, 1.0))
    chat.now += 60.0
    assert chat.heard(chat.rooms.expire(chat.now)) == {}, "of the phone"
    left = chat.heard(chat.rooms.disconnect(TABLET, chat.now))
    assert left == {BOB: [UserLeft("lobby", "Ann", chat.now)]}
    assert chat.rooms.by_name.keys() == {"bob"} and chat.rooms.users.keys() == {BOB}


def test_each_client_hears_everything(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    message = Message("lobby", 1, "Ann", "hi", chat.now)
    assert chat(PHONE, SendMessage("hi", id=1)) == {
        PHONE: [message, Ok(1, 1)], LAPTOP: [message], BOB: [message],
    }  # fmt: skip
    whisper = WhisperReceived("bob", "Ann", "psst", chat.now)
    assert chat(BOB, Whisper("ann", "psst")) == dict.fromkeys(
        (PHONE, LAPTOP, BOB), [whisper]
    )
    answer = WhisperReceived("Ann", "bob", "yes?", chat.now)
    assert chat(LAPTOP, Whisper("bob", "yes?")) == dict.fromkeys(
        (PHONE, LAPTOP, BOB), [answer]
    )
    note = WhisperReceived("Ann", "Ann", "milk", chat.now)
    assert chat(PHONE, Whisper("ann", "milk")) == dict.fromkeys((PHONE, LAPTOP), [note])
    status = StatusChanged("Ann", "away", chat.now)
    assert chat(PHONE, SetStatus("away")) == dict.fromkeys(
        (PHONE, LAPTOP, BOB), [status]
    )
    assert chat(LAPTOP, SetStatus("away")) == {LAPTOP: [status]}, "no news"


def test_the_rooms_are_those_of_the_person(chat: Chat) -> None:
    chat.come(PHONE)
    heard = chat.come(LAPTOP, "attic")
    welcomes = [e.room for e in heard[LAPTOP] if isinstance(e, Welcome)]
    assert welcomes == ["attic", "lobby"], "the one that it asked for comes first"
    assert kinds(heard[PHONE]) == ["Welcome", "UserList"]
    assert heard[PHONE][0].room == "attic"
    assert chat.rooms.users[LAPTOP].room.name == "attic"
    assert chat.rooms.users[PHONE].room.name == "lobby", "it talks where it was"
    assert chat.error(LAPTOP, Join("ann", "attic")) == "already_joined"
    [welcome, users] = chat(PHONE, Join("ann", "attic"))[PHONE]
    assert isinstance(welcome, Welcome) and users.users == ["Ann"], "it had not asked"
    assert chat.error(PHONE, Join("ann", "attic")) == "already_joined"
    left = UserLeft("lobby", "Ann", chat.now)
    heard = chat(LAPTOP, Leave("lobby"))
    assert heard == {PHONE: [left], LAPTOP: [left], BOB: [left]}
    assert [list(chat.rooms.users[c].rooms) for c in (PHONE, LAPTOP)] == [["attic"]] * 2


def test_leaving_a_room_moves_only_those_who_talked_there(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP, "attic")
    chat(LAPTOP, Join("ann", "cellar"), Leave("cellar"))
    assert chat.rooms.users[PHONE].room.name == "lobby"
    assert chat.rooms.users[LAPTOP].room.name == "lobby", "its last one now"


def test_each_client_has_a_session_of_its_own(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    assert chat.token(PHONE) != chat.token(LAPTOP)
    chat(PHONE, SendMessage("one", id=1))
    heard = chat(LAPTOP, SendMessage("two", id=1))
    assert heard[LAPTOP][1] == Ok(1, 2), "the same id is another one"
    assert chat.error(LAPTOP, SendMessage("x", id=3, follows=2)) == "out_of_order"


def test_only_so_many_clients() -> None:
    chat = Chat(sessions_per_account=2)
    chat(PHONE, Register("Ann", HASH), Join("ann"))
    chat.come(LAPTOP)
    chat(TABLET, Login("ann", HASH))
    assert chat.error(TABLET, Join("ann", id=2)) == "too_many_sessions"
    token = chat.token(PHONE)
    ghost = chat(4, Join("ann", token=token))
    assert ghost[PHONE][0].code == "replaced", "it takes its own place"
    chat.lost(4)
    assert kinds(chat(TABLET, Join("ann"))[TABLET])[0] == "Welcome"
    assert chat.error(5, Join("ann", token=token)) == "name_registered"


def test_who_is_lost_comes_back_with_the_token_alone(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    token = chat.token(PHONE)
    chat.lost(PHONE)
    assert chat(LAPTOP, Join("ann", "attic"))[LAPTOP][0].room == "attic"
    chat(BOB, Whisper("ann", "psst"), SendMessage("one"))
    heard = chat(TABLET, Join("ann", "lobby", 0, token))
    assert BOB not in heard and LAPTOP not in heard
    assert kinds(heard[TABLET]) == [
        "Welcome", "UserList", "History", "Welcome", "UserList", "WhisperReceived",
    ]  # fmt: skip
    assert [e.room for e in heard[TABLET] if isinstance(e, Welcome)] == [
        "lobby",
        "attic",
    ]


def test_a_whisper_that_one_client_got_was_delivered(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    chat.lost(PHONE, LAPTOP)
    chat(BOB, Whisper("ann", "psst", id=1))
    heard = chat.come(TABLET)
    assert kinds(heard[TABLET])[-1] == "WhisperReceived"
    assert kinds(chat.come(4)[4])[-1] == "UserList", "nobody waits for it any more"
    chat(TABLET, Leave()), chat(4, Leave())
    chat.now += 60.0
    assert kinds(chat.heard(chat.rooms.expire(chat.now))[BOB]) == ["UserLeft"]


def test_what_one_whispers_waits_for_the_others_that_are_lost(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    token = chat.token(PHONE)
    chat.lost(PHONE)
    chat(LAPTOP, Whisper("bob", "psst", id=1))
    heard = chat(TABLET, Join("ann", token=token))[TABLET]
    assert heard[-1] == WhisperReceived("Ann", "bob", "psst", chat.now)


def test_who_is_back_in_some_rooms_is_taken_to_where_the_others_are(chat: Chat) -> None:
    chat.come(PHONE), chat(PHONE, Join("ann", "attic")), chat.come(LAPTOP)
    token = chat.token(PHONE)
    chat.lost(PHONE)
    assert chat.accounts.account_of(PHONE) is None, "that connection is gone"
    chat(TABLET, Join("ann", token=token))
    assert list(chat.rooms.users[TABLET].rooms) == ["lobby"]
    chat.now += 60.0
    heard = chat.heard(chat.rooms.expire(chat.now))
    assert heard.keys() == {TABLET} and heard[TABLET][0].room == "attic"
    assert list(chat.rooms.users[TABLET].rooms) == ["lobby", "attic"]


def test_a_whisper_that_nobody_got_is_told_once(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    chat.lost(PHONE, LAPTOP)
    chat(BOB, Whisper("ann", "psst", id=1))
    chat.now += 60.0
    heard = chat.heard(chat.rooms.expire(chat.now))[BOB]
    assert [e.id for e in heard if isinstance(e, Error)] == [1]


def test_too_much_for_one_that_is_lost_costs_the_others_nothing(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    chat.lost(PHONE)
    for _ in range(101):
        assert kinds(chat(BOB, Whisper("ann", "psst"))[LAPTOP]) == ["WhisperReceived"]
    chat.lost(LAPTOP)
    for _ in range(100):
        chat(BOB, Whisper("ann", "psst"))
    assert chat.error(BOB, Whisper("ann", "psst")) == "not_delivered"


def test_what_one_reads_the_others_know(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    chat(BOB, *[SendMessage("hi")] * 3)
    assert chat(PHONE, MarkRead("lobby", 2)) == {LAPTOP: [ReadMark("lobby", 2)]}
    assert chat(LAPTOP, MarkRead("Lobby", 1)) == {}, "that is known"
    assert chat(LAPTOP, MarkRead("lobby", 99)) == {PHONE: [ReadMark("lobby", 3)]}
    assert chat.come(TABLET)[TABLET][1].read == 3
    assert chat.book.marks == {("Ann", "lobby"): 3}
    assert chat.error(BOB, MarkRead("lobby", 1)) == "not_logged_in"
    assert chat.error(PHONE, MarkRead("attic", 1)) == "not_joined"


# --- the end -------------------------------------------------------------------------------------


def test_logging_out_is_for_one_client(chat: Chat) -> None:
    chat.come(PHONE), chat.come(LAPTOP)
    token = chat.token(PHONE)
    heard = chat(PHONE, Logout(id=4))
    assert heard.keys() == {PHONE}
    changed, bye = heard[PHONE]
    assert changed == AccountChanged("Ann", "logged_out", id=4)
    assert isinstance(bye, Goodbye) and (bye.code, bye.reconnect) == (
        "logged_out",
        False,
    )
    assert chat.accounts.account_of(PHONE) is None
    assert chat.error(PHONE, Join("ann", token=token)) == "name_registered"
    assert chat(LAPTOP, Logout())[BOB] == [UserLeft("lobby", "Ann", chat.now)]
    chat(TABLET, Login("ann", HASH))
    assert kinds(chat(TABLET, Logout())[TABLET]) == ["AccountChanged", "Goodbye"]


def test_deleting_an_account_ends_all_its_clients_and_frees_the_name(
    chat: Chat,
) -> None:
    deleted: list[str] = []
    chat.accounts.on_deleted(deleted.append)
    chat.come(PHONE), chat.come(LAPTOP), chat.come(TABLET)
    token = chat.token(TABLET)
    chat.lost(TABLET)
    chat(4, Login("ann", HASH))
    told = chat.rooms.handle(PHONE, DeleteAccount(HASH, 9), chat.now, "")
    heard = chat.heard(told)
    assert heard[PHONE][0] == AccountChanged("Ann", "deleted", id=9)
    for client in (PHONE, LAPTOP, 4):
        assert heard[client][-1].code == "account_deleted"
    assert heard[BOB] == [UserLeft("lobby", "Ann", chat.now)]
    assert told[-1].to == (PHONE,), "whose connection it ends"
    assert deleted == ["Ann"] and chat.book.accounts == {}
    assert chat.rooms.roster.held == {} == chat.rooms.roster.owners.logins
    assert chat(EVE, Join("ANN", token=token))[EVE][0].account is None


# --- over a restart ------------------------------------------------------------------------------


def restarted(book: Book, accounts: list[Account]) -> Chat:
    chat = Chat(book)
    chat.accounts.load(accounts)
    chat.rooms.expect(list(book.places.values()), chat.now)
    return chat


def test_all_clients_come_back_after_a_restart_with_their_tokens() -> None:
    book = Book()
    chat = Chat(book)
    chat(PHONE, Register("Ann", HASH), Join("ann"))
    chat.come(LAPTOP, "attic")
    tokens = [chat.token(PHONE), chat.token(LAPTOP)]
    assert not any(token in str(book.places) for token in tokens)
    chat = restarted(book, chat.accounts.all())
    for client, token in enumerate(tokens, 1):
        welcome = chat(client, Join("ann", "attic", token=token))[client][0]
        assert (welcome.token, welcome.account) == (token, "Ann")
    assert len(chat.rooms.by_name["ann"].group) == 2


def test_a_place_of_a_guest_does_not_open_an_account_made_meanwhile() -> None:
    """By the command line, on the data file."""
    book = Book()
    chat = Chat(book)
    token = chat(EVE, Join("ann"), SendMessage("hi", id=1))[EVE][0].token
    chat = restarted(book, [Account("Ann", HASH)])
    assert chat.error(EVE, Join("ann", token=token)) == "name_registered"
    assert chat.come(PHONE)[PHONE][1].account == "Ann"


def test_a_guest_gives_way_to_the_owner_of_the_name(chat: Chat) -> None:
    chat.accounts.load([Account("Bob", "a hash")])
    heard = chat(PHONE, Login("bob", "a hash"), Join("bob"))
    assert heard[BOB][0].code == "replaced" and heard[PHONE][1].account == "Bob"


def test_a_change_that_could_not_be_written_is_written_again() -> None:
    chat = Chat()
    saved: list[str] = []
    chat.book.save = lambda account: saved.append(account.name)  # type: ignore[method-assign]
    chat(PHONE, Register("Ann", HASH))
    chat.rooms.take_back([], StoreError("the disk is full"))
    assert saved == ["Ann", "Ann"]


# --- over sockets --------------------------------------------------------------------------------

PASSWORD = "blue-Kettle-9"
CHEAP = HashParameters(time_cost=1, memory_cost=32, parallelism=1)
FREE = Limits(flood_burst=0, connections_per_address=0)


class Device(LineClient):
    """A connection, whose `heard` are all events that came before the answer to a ping."""

    def heard(self) -> list[dict]:
        self.say("ping", id="heard")
        events = list(iter(self.read, {"type": "pong", "id": "heard"}))
        return [event for event in events if event["type"] not in ("welcome", "users")]

    def log_in(self, room: str = "lobby") -> "Device":
        self.say("login", username="ann", password=PASSWORD)
        assert self.read()["change"] == "logged_in"
        return self.enter("ann", room)

    def enter(self, name: str, room: str = "lobby", **fields: object) -> "Device":
        self.say("join", username=name, room=room, **fields)
        self.welcome = self.read()
        assert self.welcome["type"] == "welcome", self.welcome
        return self


@contextmanager
def devices(port: int, count: int) -> Iterator[list[Device]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Device(port)) for _ in range(count)]


def register(device: Device) -> Device:
    device.say("register", username="Ann", password=PASSWORD)
    assert device.read()["change"] == "registered"
    return device


def test_two_devices_and_a_guest_over_sockets() -> None:
    with (
        ChatServer(limits=FREE, costs=CHEAP) as server,
        devices(server.port, 4) as (bob, phone, laptop, eve),
    ):
        bob.enter("bob")
        register(phone).enter("Ann")
        laptop.log_in("attic")
        assert [e["type"] for e in bob.heard()] == ["join"], "of Ann, once"
        phone.say("message", content="hi", room="lobby")
        assert [e["content"] for e in phone.heard()] == ["hi"]
        bob.say("whisper", to="ANN", content="psst")
        assert [e["type"] for e in bob.heard()] == ["message", "whisper"]
        for device, expected in ((phone, ["psst"]), (laptop, ["hi", "psst"])):
            assert [e.get("content") for e in device.heard()] == expected
        eve.say("join", username="aNN", id=1)
        assert eve.read()["code"] == "name_registered"
        phone.reset()
        wait_until(lambda: server.connections == 3)
        assert bob.heard() == []
        laptop.say("logout", id=2)
        assert [e["type"] for e in laptop.read_all()][-2:] == ["account", "goodbye"]
        wait_until(lambda: server.connections == 2)
        assert bob.heard() == [], "the phone may come back"


def test_a_deleted_account_ends_all_its_connections() -> None:
    with (
        ChatServer(limits=FREE, costs=CHEAP) as server,
        devices(server.port, 4) as (bob, phone, laptop, eve),
    ):
        bob.enter("bob")
        register(phone).enter("Ann")
        laptop.log_in()
        phone.heard()
        phone.say("delete_account", password=PASSWORD, id=7)
        changed, bye = phone.read_all()
        assert (changed["change"], changed["id"]) == ("deleted", 7)
        assert (bye["code"], bye["reconnect"]) == ("account_deleted", False)
        assert laptop.read_all()[-1]["code"] == "account_deleted"
        assert [e["type"] for e in bob.heard()] == ["join", "leave"]
        assert "account" not in {k for k, v in eve.enter("Ann").welcome.items() if v}


def test_whoever_came_with_the_old_password_is_gone_after_a_new_one() -> None:
    with (
        ChatServer(limits=FREE, costs=CHEAP) as server,
        devices(server.port, 3) as (phone, thief, again),
    ):
        register(phone).enter("Ann")
        thief.log_in()
        token = thief.welcome["token"]
        phone.heard()
        phone.say("password", old=PASSWORD, new="another-Kettle-7", id=7)
        assert phone.read_until("account")["change"] == "password_changed"
        bye = thief.read_all()[-1]
        assert (bye["code"], bye["reconnect"]) == ("password_changed", False)
        again.say("join", username="Ann", token=token)
        assert again.read()["code"] == "name_registered"
        phone.say("message", content="still here", id=8)
        assert phone.read_until("message")["content"] == "still here"


def test_devices_come_back_to_a_restarted_server_with_tokens_alone(
    tmp_path: Path,
) -> None:
    data, tokens = tmp_path / "chat.db", []
    with (
        ChatServer(limits=FREE, costs=CHEAP, data=data) as server,
        devices(server.port, 2) as both,
    ):
        for device in both:
            (device.log_in if tokens else register(device).enter)(
                *[] if tokens else ["Ann"]
            )
            tokens.append(device.welcome["token"])
        both[0].say("message", content="hi")
        assert "hi" in [e.get("content") for e in both[0].heard()]
        both[1].say("read", room="lobby", seq=1)
        both[1].heard()
        assert {"type": "read", "room": "lobby", "seq": 1} in both[0].heard()
    with (
        ChatServer(limits=FREE, costs=CHEAP, data=data) as server,
        devices(server.port, 3) as (phone, laptop, eve),
    ):
        for device, token in zip((phone, laptop), tokens):
            welcome = device.enter("ann", token=token).welcome
            assert (welcome["account"], welcome["token"]) == ("Ann", token)
            assert (welcome["read"], welcome["features"][0]) == (1, "accounts")
        eve.say("join", username="ann", token=tokens[0][::-1], id=1)
        assert eve.read()["code"] == "name_registered"
