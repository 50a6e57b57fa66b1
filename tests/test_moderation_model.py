"""Moderation against a plain model of it: whatever is done, in whatever order, over restarts and failed commits."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from python_tcp.accounts import Accounts
from python_tcp.bans import SavedBan
from python_tcp.commands import Ban, Command, DeleteMessage, Deop, Invite, Kick, Lock
from python_tcp.commands import ListBans, Login, Mute, Op, Register, RegisterRoom
from python_tcp.commands import SetTopic, Unban, Unlock
from python_tcp.events import Error, Event, Goodbye, Message, Ok, Welcome
from python_tcp.limits import Limits
from python_tcp.members import Account, session_key
from python_tcp.messages import MemoryStore, StoreError
from python_tcp.moderation import Moderation
from python_tcp.protocol import GetHistory, Join, Leave, SendMessage, encode
from python_tcp.room_settings import AuditRecord, SavedRoom
from python_tcp.rooms import Rooms

HOSTS = {
    1: "192.0.2.1",
    2: "192.0.2.2",
    3: "198.51.100.3",
    4: "::ffff:192.0.2.4",
    5: "2001:db8::5",
    6: "2001:db8::6",
}
ACCOUNTS = ("ann", "bob", "olga")
NAMES = st.sampled_from(["ann", "Ann", "bob", "olga", "eve", "EVE", "cy", "nobody"])
ROOMS = st.sampled_from(["a", "A", "b"])
TARGETS = st.sampled_from(
    ["eve", "Cy", "bob", "ann", "olga", "@eve", "@cy", "@bob", "192.0.2.0/30",
     "192.0.2.4", "2001:db8::/32", "2001:db8::6", "198.51.100.0/24", "0.0.0.0/0"]
)  # fmt: skip
CLIENTS = st.integers(1, 6)
# Above 6: one who has joined; above 12: one who may have something to say.
ACTORS = st.integers(1, 40)
SELDOM = st.sampled_from([False, False, False, True])
SECONDS = st.sampled_from([None, None, 5.0, 20.0])
IDS = st.none() | st.integers(1, 10**6)


class Shelf(MemoryStore):
    """A store and a book at once, whose commit keeps all, or nothing."""

    def __init__(self) -> None:
        super().__init__(10**6, 10**9, "shelf")
        self.rooms: dict[str, SavedRoom] = {}
        self.bans: dict[tuple[str, str], SavedBan] = {}
        self.log: list[AuditRecord] = []
        self.deleted: set[tuple[str, int]] = set()  # for good
        self.todo: list[Callable[[], object]] = []
        self.said: list[Message] = []  # since the last commit
        self.fails = False

    def append(self, message: Message, session: str, id: object) -> None:
        self.said.append(message)
        super().append(message, session, id)

    def delete(self, room: str, seq: int) -> None:
        super().delete(room, seq)
        self.todo.append(lambda: self.deleted.add((room, seq)))

    def save_room(self, room: SavedRoom) -> None:
        self.todo.append(lambda: self.rooms.update({room.name: room}))

    def strike_room(self, name: str) -> None:
        self.todo.append(lambda: self.rooms.pop(name, None))

    def save_ban(self, ban: SavedBan) -> None:
        key = ban.room, ban.target  # the file, too, tells Eve from eve
        self.todo.append(lambda: self.bans.update({key: ban}))

    def strike_ban(self, room: str, target: str) -> None:
        self.todo.append(lambda: self.bans.pop((room, target)))

    def note(self, record: AuditRecord) -> None:
        self.todo.append(lambda: self.log.append(record))

    def commit(self, done: Callable[[StoreError | None], object]) -> None:
        if self.fails:
            for message in reversed(self.said):
                assert self._rooms[message.room].pop().seq == message.seq
                if not self._rooms[message.room]:
                    del self._rooms[message.room]
            self._latest = None
        else:
            for change in self.todo:
                change()
        self.todo, self.said = [], []
        done(StoreError("full") if self.fails else None)


@dataclass
class Barred:
    """A ban, as the model has it."""

    room: str
    target: str
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]
    until: float | None

    def fits(self, name: str, host: str, now: float) -> bool:
        if self.until is not None and self.until <= now:
            return False
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        is_named = self.target.lower() == name.lower()
        return is_named or any(address in each for each in self.networks)


@dataclass
class Law:
    """What holds in one room."""

    moderators: list[str] = field(default_factory=list)
    topic: str = ""
    locked: bool = False
    password: str | None = None
    invited: set[str] = field(default_factory=set)  # accounts, sessions
    muted: dict[str, tuple[str, float | None]] = field(default_factory=dict)


class OrderMachine(RuleBasedStateMachine):
    """Each step is one command and its commit, which may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf, self.now, self.count = Shelf(), 1000.0, 0
        self.laws = {"a": Law(), "b": Law()}
        self.bans: list[Barred] = []
        self.operators = {"olga"}
        self.done: list[tuple[str, str, str]] = []  # who, action, room
        self.gone: list[str] = []  # texts that were deleted
        self.texts: dict[tuple[str, int], tuple[str, str]] = {}  # name and text
        self.tokens: dict[str, str] = {}  # the last one of each name
        self.start([])

    def start(self, accounts: list[Account]) -> None:
        self.rooms = Rooms(Limits(resume_window=30.0), self.shelf)
        self.accounts = Accounts(self.rooms)
        if accounts:
            self.accounts.load(accounts)
        self.order = Moderation(self.rooms, self.accounts, self.shelf)
        self.order.load(self.shelf.rooms.values(), self.shelf.bans.values())
        for client, host in HOSTS.items():
            self.order.came_from(client, host)

    # --- the chat ---

    def do(self, client: int, command: Command) -> list[Event]:
        """What this client hears. Whoever gets a goodbye is disconnected."""
        self.count += 1
        token = f"a-secret-number-{self.count:06}"
        held = self.rooms.handle(client, command, self.now, token)
        mark, heard = self.rooms.mark(), []

        def released(error: StoreError | None) -> None:
            if error is None:
                self.rooms.committed(mark)
                heard.extend(held)
            else:
                heard.extend(self.rooms.take_back(held, error))

        self.shelf.commit(released)
        for to, event in heard:
            line = encode(event).decode()
            assert not any(text in line for text in self.gone), "it was deleted"
            if isinstance(event, Goodbye):
                for each in to:
                    self.rooms.disconnect(each, self.now)
        return [event for to, event in heard if client in to]

    def answer(self, client: int, command: Command) -> str:
        """The code of the error, or "" if it was done."""
        events = self.do(client, command)
        errors = [event for event in events if isinstance(event, Error)]
        if errors:
            return errors[0].code
        id = getattr(command, "id", None)
        assert id is None or isinstance(events[-1], Ok) and events[-1].id == id
        return ""

    def who(self, actor: int) -> int:
        """The client that acts."""
        users = self.rooms.users
        staff = [c for c, user in users.items() if user.account]
        those = staff if actor > 12 and staff else list(users)
        return those[actor % len(those)] if actor > 6 and those else 1 + actor % 6

    def new_id(self) -> int | None:
        return self.count + 10**6 if self.count % 3 else None

    # --- the model ---

    def role(self, name: str, room: str) -> int:
        if name.lower() in self.operators:
            return 2
        return int(bool(room) and name.lower() in self.laws[room].moderators)

    def keys(self, client: int) -> set[str]:
        user = self.rooms.users[client]
        return {user.name.lower()} if user.account else {user.session.key}

    def is_banned(self, room: str, name: str, client: int) -> bool:
        return any(
            each.fits(name, HOSTS[client], self.now)
            for each in self.bans
            if each.room == room
        )

    def entry(self, client: int, command: Join, keys: set[str], has_place: bool) -> str:
        """May somebody enter? What the answer must be."""
        name, room = command.username, command.room.lower()
        known = name if name.lower() in ACCOUNTS else ""
        role, law = self.role(known, room), self.laws[room]
        if role < 2 and self.is_banned("", name, client):
            return "banned"
        if role < 1 and self.is_banned(room, name, client):
            return "banned"
        is_let_in = law.password is not None and command.password == law.password
        if role or not law.locked or has_place or is_let_in or keys & law.invited:
            return ""
        return "locked"

    def muted(self, client: int, room: str) -> bool:
        user = self.rooms.users[client]
        for name, (session, until) in self.laws[room].muted.items():
            if until is None or until > self.now:
                if name == user.name.lower():
                    return True
                if not user.account and session == user.session.key:
                    return True
        return False

    def may(self, client: int, room: str) -> str | None:
        """None: this client may do what a moderator of the room may."""
        if (user := self.rooms.users.get(client)) is None:
            return "not_joined"
        name = user.name if user.account else ""
        return None if self.role(name, room) > (0 if room else 1) else "not_allowed"

    def above(self, client: int, name: str, room: str) -> bool:
        me = self.rooms.users[client].name.lower()
        known = name if name.lower() in ACCOUNTS else ""
        return me != name.lower() and self.role(me, room) > self.role(known, room)

    def note(self, client: int, action: str, room: str) -> None:
        self.done.append((self.rooms.users[client].name, action, room))

    def check(self, got: str, expected: str | None) -> bool:
        """Is it as the model says, and is it done?"""
        assert got == (expected or "")
        return not got

    # --- coming and going ---

    @initialize()
    def the_accounts(self) -> None:
        for client, name in enumerate(ACCOUNTS, 1):
            self.do(client, Register(name, f"the hash of {name}"))
            self.rooms.disconnect(client, self.now)
        self.accounts.set_role("olga", "operator")
        self.shelf.commit(lambda error: self.rooms.committed(self.rooms.mark()))
        self.join(1, "ann", "a", False, None)
        self.join(3, "olga", "b", False, None)
        self.join(2, "eve", "a", False, None)
        self.join(4, "bob", "a", False, None)
        ann, bob = 12, 11  # the first and the last of those who are here
        assert (self.who(ann), self.who(bob)) == (1, 4)
        self.register_room(ann, "a")
        self.op(ann, "bob", "a", False)
        self.say(ann, "a", 1)
        self.say(bob, "a", None)

    @rule(client=CLIENTS, name=NAMES, room=ROOMS, with_token=st.booleans(),
          password=st.sampled_from([None, "hash one", "hash two"]))  # fmt: skip
    def join(
        self, client: int, name: str, room: str, with_token: bool, password: str | None
    ) -> None:
        token = self.tokens.get(name.lower()) if with_token else None
        if (user := self.rooms.users.get(client)) is not None:
            name, token = user.name, None
        elif name.lower() in ACCOUNTS and token is None:
            self.do(client, Login(name, f"the hash of {name.lower()}"))
        person = self.rooms.by_name.get(name.lower())
        before = person.places.keys() if person is not None else set()
        keys = {name.lower()} if name.lower() in ACCOUNTS else set()
        if user is not None:
            keys = self.keys(client)
        elif not keys and token:
            keys = {session_key(token)}
        command = Join(name, room, token=token, password=password)
        expected = self.entry(client, command, keys, room.lower() in before)
        events = self.do(client, command)
        if isinstance(events[0], Welcome):
            assert expected == ""
            assert events[0].topic == self.laws[room.lower()].topic
            self.tokens[name.lower()] = events[0].token
        elif isinstance(events[0], Error) and events[0].code in ("banned", "locked"):
            assert expected == events[0].code
            is_out = isinstance(events[-1], Goodbye)
            assert is_out == (expected == "banned" and self.is_banned("", name, client))

    @rule(client=CLIENTS, name=NAMES, number=st.integers(0, 9), with_token=st.booleans(),
          password=st.sampled_from([None, "hash one", "hash two"]))  # fmt: skip
    def try_what_is_forbidden(
        self,
        client: int,
        name: str,
        number: int,
        with_token: bool,
        password: str | None,
    ) -> None:
        """Into a room that is locked, or with what a ban is about."""
        free = [each for each in HOSTS if each not in self.rooms.users]
        locked = [room for room, law in self.laws.items() if law.locked]
        if not free or not (locked or self.bans):
            return
        client, rooms = free[client % len(free)], locked or ["a", "b"]
        if self.bans:
            ban = self.bans[number % len(self.bans)]
            rooms = [ban.room] if ban.room else rooms
            name = ban.target.strip("@") if ban.target.strip("@").isalpha() else name
        self.join(client, name, rooms[number % len(rooms)], with_token, password)

    @rule(client=CLIENTS, room=st.none() | ROOMS, sure=SELDOM)
    def leave(self, client: int, room: str | None, sure: bool) -> None:
        if sure:
            self.do(client, Leave(room))

    @rule(client=CLIENTS, sure=SELDOM)
    def lose_the_connection(self, client: int, sure: bool) -> None:
        if not sure:
            return
        self.rooms.lost(client, self.now)
        self.rooms.disconnect(client, self.now)

    @rule(seconds=st.sampled_from([1.0, 4.0, 16.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.rooms.expire(self.now)

    @rule(fails=SELDOM)
    def disk(self, fails: bool) -> None:
        self.shelf.fails = fails

    @rule(sure=SELDOM)
    def start_a_new_server(self, sure: bool) -> None:
        if not sure:
            return
        self.settle()
        self.tokens.clear()
        self.start(list(self.accounts.all()))

    def settle(self) -> None:
        """One commit that is good: what is known is written down."""
        self.shelf.fails = False
        mark = self.rooms.mark()
        self.shelf.commit(lambda error: self.rooms.committed(mark))

    # --- saying and taking back ---

    @rule(actor=ACTORS, room=ROOMS, id=IDS)
    def say(self, actor: int, room: str, id: int | None) -> None:
        client = self.who(actor)
        if (user := self.rooms.users.get(client)) is None:
            return
        if id is not None and id in user.session.ids:
            return
        key, text = room.lower(), f"text {self.count:06}"
        is_in, is_muted = (
            key in user.rooms,
            key in user.rooms and self.muted(client, key),
        )
        events = self.do(client, SendMessage(text, room, id))
        if not is_in:
            assert events[0].code == "not_joined"
        elif is_muted:
            assert events[0].code == "muted"
        elif self.shelf.fails:
            assert events[0].code == "not_saved"
        else:
            [message] = [each for each in events if isinstance(each, Message)]
            self.texts[key, message.seq] = message.username, text

    @rule(actor=ACTORS, room=ROOMS, number=st.integers(0, 9))
    def delete(self, actor: int, room: str, number: int) -> None:
        client = self.who(actor)
        key, user = room.lower(), self.rooms.users.get(client)
        count = sum(where == key for where, _ in self.texts)
        seq, expected = number % (count + 1) + 1, None  # the last one is not there
        if user is None:
            expected = "not_joined"
        else:
            is_staff = self.may(client, key) is None
            name, text = self.texts.get((key, seq), ("", ""))
            is_own = name.lower() == user.name.lower() and (
                user.account is not None or seq in user.session.ids.values()
            )
            if not is_staff and key not in user.rooms:
                expected = "not_joined"
            elif not text or text in self.gone:
                expected = "no_such_message"
            elif not is_staff and not is_own:
                expected = "not_allowed"
        if expected is None:
            self.gone.append(text)
            if not is_own:
                self.note(client, "delete", key)
        self.check(
            self.answer(client, DeleteMessage(seq, room, self.new_id())), expected
        )

    @rule(actor=ACTORS, room=ROOMS)
    def read(self, actor: int, room: str) -> None:
        client = self.who(actor)
        user = self.rooms.users.get(client)
        if user is None or room.lower() not in user.rooms:
            return
        [page] = self.do(client, GetHistory(room))
        seqs = [each.seq for each in page.messages]
        assert seqs == list(range(1, len(seqs) + 1)) and not page.lost
        for each in page.messages:
            name, text = self.texts[room.lower(), each.seq]
            assert each.content == ("" if text in self.gone else text)

    # --- keeping order ---

    @rule(actor=ACTORS, name=NAMES, room=ROOMS)
    def kick(self, actor: int, name: str, room: str) -> None:
        client = self.who(actor)
        key, expected = room.lower(), self.may(client, room.lower())
        other = self.rooms.by_name.get(name.lower())
        if expected is None and (other is None or key not in other.places):
            expected = "no_such_user"
        elif expected is None and not self.above(client, name, key):
            expected = "not_allowed"
        if self.check(
            self.answer(client, Kick(name, room, id=self.new_id())), expected
        ):
            self.note(client, "kick", key)
            assert other is not None and key not in other.places

    @rule(actor=ACTORS, name=NAMES, room=ROOMS, seconds=SECONDS | st.just(0.0))
    def mute(self, actor: int, name: str, room: str, seconds: float | None) -> None:
        client = self.who(actor)
        key, expected = room.lower(), self.may(client, room.lower())
        law, is_account = self.laws[key], name.lower() in ACCOUNTS
        other = self.rooms.by_name.get(name.lower())
        if expected is None and not is_account and other is None:
            expected = "no_such_user"
        elif expected is None and seconds == 0:
            expected = None if name.lower() in law.muted else "no_such_user"
        elif expected is None and not self.above(client, name, key):
            expected = "not_allowed"
        got = self.answer(client, Mute(name, room, seconds, id=self.new_id()))
        if self.check(got, expected):
            law.muted.pop(name.lower(), None)
            self.note(client, "mute" if seconds != 0 else "unmute", key)
            if seconds != 0:
                session = "" if is_account or other is None else other.session.key
                until = None if seconds is None else self.now + seconds
                law.muted[name.lower()] = session, until

    @rule(actor=ACTORS, whom=TARGETS, room=st.none() | ROOMS, seconds=SECONDS)
    def ban(
        self, actor: int, whom: str, room: str | None, seconds: float | None
    ) -> None:
        client = self.who(actor)
        key = (room or "").lower()
        expected, networks = self.may(client, key), []
        if whom.startswith("@"):
            other = self.rooms.by_name.get(whom[1:])
            if other is None or not other.listeners:
                expected = expected or "no_such_user"
            else:
                address = ipaddress.ip_address(HOSTS[other.listeners[0]])
                address = getattr(address, "ipv4_mapped", None) or address
                bits = 32 if address.version == 4 else 64
                networks = [ipaddress.ip_network((address, bits), strict=False)]
        elif "." in whom or ":" in whom:
            networks = [ipaddress.ip_network(whom)]
        until = None if seconds is None else self.now + seconds
        barred = Barred(key, whom, networks, until)
        hit = {
            user.name
            for user in self.rooms.by_name.values()
            if not key or key in user.places
            if barred.target.lower() == user.name.lower()
            or any(
                barred.fits(user.name, HOSTS[each.client], self.now)
                for each in user.group
                if each.present  # else from where is not known any more
            )
        }
        about = hit if networks else hit | {whom}
        if expected is None and not all(self.above(client, n, key) for n in about):
            expected = "not_allowed"
        got = self.answer(client, Ban(whom, room, seconds, id=self.new_id()))
        if self.check(got, expected):
            self.note(client, "ban", key)
            self.bans = [
                each
                for each in self.bans
                if (each.room, each.target.lower()) != (key, whom.lower())
            ] + [barred]
            for name in hit:
                person = self.rooms.by_name.get(name.lower())
                assert person is None if not key else key not in person.places

    @rule(actor=ACTORS, whom=TARGETS, room=st.none() | ROOMS)
    def unban(self, actor: int, whom: str, room: str | None) -> None:
        client, key = self.who(actor), (room or "").lower()
        targets = [each.target for each in self.bans if each.room == key]
        whom = targets[0] if targets and actor % 4 else whom
        expected = self.may(client, key)
        found = [
            each
            for each in self.bans
            if (each.room, each.target.lower()) == (key, whom.lower())
        ]
        is_live = [e for e in found if e.until is None or e.until > self.now]
        got = self.answer(client, Unban(whom, room, id=self.new_id()))
        if found and not is_live and expected is None:  # it may be forgotten already
            assert got in ("", "no_such_ban")
        else:
            self.check(got, expected or (None if found else "no_such_ban"))
        if not got:
            self.note(client, "unban", key)
        if expected is None:
            self.bans = [each for each in self.bans if each not in found]

    @rule(actor=ACTORS, room=st.none() | ROOMS)
    def list_bans(self, actor: int, room: str | None) -> None:
        client = self.who(actor)
        key, events = (room or "").lower(), self.do(client, ListBans(room))
        if (expected := self.may(client, key)) is not None:
            assert events[0].code == expected
            return
        live = [
            each for each in self.bans if each.until is None or each.until > self.now
        ]
        targets = {each.target.lower() for each in live if each.room == key}
        assert {each.target.lower() for each in events[0].bans} == targets

    @rule(actor=ACTORS, name=NAMES, room=ROOMS, server=st.booleans())
    def op(self, actor: int, name: str, room: str, server: bool) -> None:
        client = self.who(actor)
        key = "" if server else room.lower()
        expected = self.may(client, key)
        if expected is None and name.lower() not in ACCOUNTS:
            expected = "no_account"
        got = self.answer(client, Op(name, room, server, id=self.new_id()))
        if self.check(got, expected):
            self.note(client, "op", key)
            if server:
                self.operators.add(name.lower())
            elif name.lower() not in self.laws[key].moderators:
                self.laws[key].moderators.append(name.lower())

    @rule(actor=ACTORS, name=NAMES, room=ROOMS, server=st.booleans())
    def deop(self, actor: int, name: str, room: str, server: bool) -> None:
        client = self.who(actor)
        key = "" if server else room.lower()
        expected = self.may(client, key)
        me = self.rooms.users[client].name.lower() if expected is None else ""
        if expected is None and name.lower() not in ACCOUNTS:
            expected = "no_account"
        elif expected is None and server:
            if me == name.lower() and self.operators == {me}:
                expected = "not_allowed"
        elif expected is None:
            moderators = self.laws[key].moderators
            is_equal = me != name.lower() and not self.above(client, name, key)
            is_last = me == name.lower() and len(moderators) == 1
            if self.role(me, key) < 2 and (is_equal or is_last):
                expected = "not_allowed"
            elif name.lower() not in moderators:
                expected = "no_such_user"
        got = self.answer(client, Deop(name, room, server, id=self.new_id()))
        if self.check(got, expected):
            self.note(client, "deop", key)
            if server:
                self.operators.discard(name.lower())
            else:
                self.laws[key].moderators.remove(name.lower())

    @rule(actor=ACTORS, room=ROOMS)
    def register_room(self, actor: int, room: str) -> None:
        client = self.who(actor)
        key, user = room.lower(), self.rooms.users.get(client)
        expected = None
        if user is None or key not in user.rooms:
            expected = "not_joined"
        elif user.account is None:
            expected = "not_logged_in"
        elif self.laws[key].moderators:
            expected = "room_registered"
        elif self.role(user.name, "") < 2:
            first = next(iter(user.rooms[key].members.values()))
            expected = None if first.name == user.name else "not_allowed"
        got = self.answer(client, RegisterRoom(room, id=self.new_id()))
        if self.check(got, expected):
            self.note(client, "register", key)
            self.laws[key].moderators.append(user.name.lower())

    @rule(actor=ACTORS, room=ROOMS, topic=st.sampled_from(["", "jazz", "blues"]))
    def set_topic(self, actor: int, room: str, topic: str) -> None:
        client = self.who(actor)
        key = room.lower()
        got = self.answer(client, SetTopic(topic, room, id=self.new_id()))
        if self.check(got, self.may(client, key)):
            self.note(client, "topic", key)
            self.laws[key].topic = topic

    @rule(actor=ACTORS, room=ROOMS, password=st.sampled_from([None, "hash one"]))
    def lock(self, actor: int, room: str, password: str | None) -> None:
        client = self.who(actor)
        key = room.lower()
        got = self.answer(client, Lock(room, password, id=self.new_id()))
        if self.check(got, self.may(client, key)):
            self.note(client, "lock", key)
            self.laws[key].locked, self.laws[key].password = True, password

    @rule(actor=ACTORS, room=ROOMS)
    def unlock(self, actor: int, room: str) -> None:
        client = self.who(actor)
        key, law = room.lower(), self.laws[room.lower()]
        expected = self.may(client, key) or (None if law.locked else "not_locked")
        if self.check(self.answer(client, Unlock(room, id=self.new_id())), expected):
            self.note(client, "unlock", key)
            law.locked, law.password, law.invited = False, None, set()

    @rule(actor=ACTORS, name=NAMES, room=ROOMS)
    def invite(self, actor: int, name: str, room: str) -> None:
        client = self.who(actor)
        key, law = room.lower(), self.laws[room.lower()]
        expected = self.may(client, key) or (None if law.locked else "not_locked")
        other = self.rooms.by_name.get(name.lower())
        is_account = name.lower() in ACCOUNTS
        if expected is None and not is_account and other is None:
            expected = "no_such_user"
        if self.check(
            self.answer(client, Invite(name, room, id=self.new_id())), expected
        ):
            self.note(client, "invite", key)
            law.invited.add(name.lower() if is_account else other.session.key)

    # --- what must always hold ---

    @invariant()
    def what_was_decided_is_written_down(self) -> None:
        if self.shelf.todo or self.shelf.fails:
            return
        self.settle()
        done = [(each.username, each.action, each.room) for each in self.shelf.log]
        assert done == self.done
        for name, law in self.laws.items():
            saved = self.shelf.rooms.get(name, SavedRoom(name))
            assert sorted(map(str.lower, saved.moderators)) == sorted(law.moderators)
            assert (saved.topic, saved.locked) == (law.topic, law.locked)
            assert (saved.password or None) == law.password
            assert {mute.target.lower() for mute in saved.mutes} == law.muted.keys()
        live = {
            (each.room, each.target.lower())
            for each in self.bans
            if each.until is None or each.until > self.now
        }
        written = [(room, target.lower()) for room, target in self.shelf.bans]
        assert live <= set(written)
        assert len(written) == len(set(written)), "each target in one spelling"
        roles = {a.name for a in self.accounts.all() if a.role == "operator"}
        assert roles == self.operators
        gone = {key for key, (_, text) in self.texts.items() if text in self.gone}
        assert self.shelf.deleted == gone


TestAnyOrder = pytest.mark.slow(seconds=120)(OrderMachine.TestCase)
TestAnyOrder.settings = settings(
    max_examples=200,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
