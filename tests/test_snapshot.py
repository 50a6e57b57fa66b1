"""`python_tcp.snapshot`: a replica that was written down and read again is the same, also in what nobody sees."""

import random
import re
import zlib
from collections import deque
from collections.abc import Iterator
from functools import partial

import msgspec
import pytest

from python_tcp import snapshot
from python_tcp.bans import BanTable
from python_tcp.commands import (
    Ban,
    Command,
    DeleteAccount,
    DeleteMessage,
    Invite,
    Kick,
    Lock,
    Login,
    Logout,
    MarkRead,
    Mute,
    Op,
    Register,
    RegisterRoom,
    SetTopic,
    Unban,
    Unlock,
)
from python_tcp.limits import Limits
from python_tcp.log_entries import (
    AccountGiven,
    ChatBegun,
    CommandGiven,
    ConnectionClosed,
    ConnectionLost,
    ConnectionOpened,
    LimitsSet,
    LogEntry,
    LogItem,
    NodeTable,
)
from python_tcp.protocol import (
    GetHistory,
    Join,
    Leave,
    ListRooms,
    ListUsers,
    SendMessage,
    SetStatus,
    Whisper,
)
from python_tcp.replication import RULES, Replica
from python_tcp.snapshot import (
    SnapshotError,
    load_snapshot,
    position_of,
    shared_texts,
    take_snapshot,
)

LIMITS = msgspec.to_builtins(
    Limits(history_messages=8, resume_window=20.0, sessions_per_account=2)
)
NAMES, ROOMS = ("ann", "bob", "cy", "dee", "eve"), ("hall", "den", "lobby")


class Crowd:
    """People who do all sorts of things, as a seed wants it."""

    def __init__(self, seed: int) -> None:
        self._random, self._counter, self.now = random.Random(seed), 0, 1000.0
        self._connections, self._tokens = 0, dict[str, str]()
        self._ids = 0

    def entry(self, replica: Replica) -> LogEntry:
        """The next one of the only node."""
        self._counter += 1
        self.now += self._random.choice((0.1, 0.5, 8.0))
        if self._counter == 1:
            items: list[LogItem] = [ChatBegun(RULES, "first", LIMITS)]
            items += [AccountGiven("ann", "hash of ann", "operator")]
        else:
            users = set() if replica.rules is None else {*replica.rules.rooms.users}
            count = self._random.randint(1, 4)
            items = [self._item(users) for _ in range(count)]
        return LogEntry("n1", self._counter, round(self.now, 3), items)

    def _item(self, users: set[int]) -> LogItem:
        chance, pick = self._random.random(), self._random.choice
        if chance < 0.1 or self._connections < 4:
            self._connections += 1
            return ConnectionOpened(self._connections, f"192.0.2.{pick((1, 2, 3))}")
        client = self._connections - self._random.randint(
            0, min(5, self._connections - 1)
        )
        if chance < 0.15:
            return pick((ConnectionLost, ConnectionClosed))(client)
        if chance < 0.17:
            return LimitsSet({**LIMITS, "rooms_per_client": pick((2, 3))})
        token = f"token-{self._random.getrandbits(64):020}"
        command = self._command(NodeTable.RANGE + client in users)
        if isinstance(command, Join):
            self._tokens.setdefault(command.username, token)
        return CommandGiven(client, command, token)

    def _command(self, is_here: bool) -> Command:
        pick, room, name = self._random.choice, None, self._random.choice(NAMES)
        if self._random.random() < 0.2:
            room = pick(ROOMS)
        self._ids += 1
        id, hash = self._ids, f"hash of {name}"
        if not is_here and self._random.random() < 0.2:
            return Login("ann", "hash of ann", id)
        if is_here and self._random.random() < 0.1:
            return MarkRead(pick(ROOMS), id)
        if self._random.random() < (0.1 if is_here else 0.6):
            token = self._tokens.get(name) if self._random.random() < 0.7 else None
            return Join(pick((name, name.upper())), pick(ROOMS), pick((None, 1)), token)
        return pick(
            (
                SendMessage(f"text {id}", room, id), SendMessage(f"text {id}", room),
                SendMessage(f"text {id}", room, id), Whisper(name, f"psst {id}", id),
                Whisper(name, f"psst {id}"), SetStatus(pick(("away", "lunch", "online"))),
                Leave(room), Register(name, hash, id), Login(name, hash, id), Logout(id),
                Login("ann", "hash of ann"), Login("ann", "hash of ann"), Join("ann"),
                Join("ann"), DeleteAccount(hash), MarkRead("lobby", id),
                Kick(name, room), Mute(name, room, pick((None, 0, 30.0))),
                Ban(pick((name, "192.0.2.0/24", "192.0.2.3", "192.0.0.0/16")), room,
                    pick((0, 0, 3.0)), "a reason"),
                Unban(pick((name, "192.0.2.0/24")), room), Op(name, room),
                RegisterRoom(room), SetTopic(f"topic {id}", room), Lock(room, None),
                Lock(room, "a hash of it"), Unlock(room), Invite(name, room),
                DeleteMessage(pick((1, 2, 3, 4, 5)), room), ListUsers(room), ListRooms(),
                GetHistory(room, id=id),
            )
        )  # fmt: skip


# What is only there to be fast, belongs to a commit under way, or is taken out by the node
# (the notes for its audit log): it need not be the same.
FASTER = {
    "listed", "_pages", "_next_end", "_lengths", "_addresses", "_uncommitted",
    "_committed", "_number", "_latest", "_notes",
}  # fmt: skip


def parts(thing: object) -> Iterator[tuple[str, object]]:
    """What an object is made of, by name."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            if isinstance(value, BanTable) and not value.all():
                continue  # a table without a ban says what none says
            yield f"key {key!r:.40}" if not hasattr(key, "__dict__") else "key", key
            yield f"[{key!r:.40}]", value
    elif isinstance(thing, (list, tuple, deque)):
        yield from ((f"[{number}]", each) for number, each in enumerate(thing))
    elif type(thing).__module__.startswith("python_tcp"):
        slots = [
            n for kind in type(thing).__mro__ for n in getattr(kind, "__slots__", ())
        ]
        names = [*getattr(thing, "__dict__", {}), *slots]
        names += getattr(thing, "__struct_fields__", ())
        for name in dict.fromkeys(names):
            if name not in FASTER and not name.startswith("__"):
                yield f".{name}", getattr(thing, name)


LEAVES = str | bytes | int | float | frozenset | None


def difference(one: object, two: object) -> str:
    """The first place where two objects, and all they are made of, are not alike."""
    pairs: dict[int, int] = {}  # what was one object must be one again
    waiting = deque([("", one, two)])
    while waiting:
        path, a, b = waiting.popleft()
        if callable(a) and callable(b):
            continue
        if type(a) is not type(b):
            return f"{path}: {a!r:.80} {b!r:.80}"
        first, second = list(parts(a)), list(parts(b))
        if [name for name, _ in first] != [name for name, _ in second]:
            return f"{path}: {[n for n, _ in first]} {[n for n, _ in second]}"
        if not first and a != b and isinstance(a, LEAVES):
            return f"{path}: {a!r:.80} {b!r:.80}"
        if first and not isinstance(a, tuple):
            if id(a) in pairs:
                if pairs[id(a)] != id(b):
                    return f"{path}: what was one object is two"
                continue
            pairs[id(a)] = id(b)
        waiting += [(path + n, x, y) for (n, x), (_, y) in zip(first, second)]
    return ""


def told(replica: Replica, position: int, entry: LogEntry) -> list[bytes]:
    """What follows, as bytes."""
    found = replica.apply(f"{position}-0", entry)
    return [msgspec.msgpack.encode((each.to, each.event)) for each in found]


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize("part", range(3))
def test_whoever_begins_with_a_snapshot_goes_on_like_the_others(part: int) -> None:
    for seed in range(part, 60, 3):
        crowd, replica = Crowd(seed), Replica()
        others: list[Replica] = []
        for number in range(1, 120):
            entry = crowd.entry(replica)
            wanted = told(replica, number, entry)
            for other in others:
                assert told(other, number, entry) == wanted, f"seed {seed}, {number}"
            if number % 25 == 0:
                data = take_snapshot(replica)
                assert {take_snapshot(each) for each in others} <= {data}, (
                    f"seed {seed}"
                )
                others.append(again := load_snapshot(data))
                assert take_snapshot(again) == data, f"seed {seed}"
                assert again.position == position_of(data) == f"{number}-0"
                assert difference(replica, again) == "", f"seed {seed}"


def test_the_crowd_does_all_that_can_be_done() -> None:
    """Otherwise, finding no difference would mean nothing."""
    kinds: set[str] = set()
    for seed in range(20):
        crowd, replica = Crowd(seed), Replica()
        for number in range(1, 120):
            for _, event in replica.apply(f"{number}-0", crowd.entry(replica)):
                kinds.add(type(event).__name__)
    assert kinds >= {
        "Welcome", "Message", "WhisperReceived", "UserLeft", "StatusChanged", "Ok",
        "AccountChanged", "Moderated", "TopicChanged", "MessageDeleted", "ReadMark",
        "Goodbye", "Error", "History",
    }  # fmt: skip


def test_a_difference_is_seen() -> None:
    crowd, replica = Crowd(1), Replica()
    for number in range(1, 60):
        replica.apply(f"{number}-0", crowd.entry(replica))
    again = load_snapshot(take_snapshot(replica))
    assert again.rules is not None and difference(replica, again) == ""
    again.rules.rooms.roster.places.departed._size += 1
    assert "_size" in difference(replica, again)


def test_an_empty_replica_has_a_snapshot_too() -> None:
    again = load_snapshot(take_snapshot(Replica()))
    assert (again.rules, again.position) == (None, "")


@pytest.fixture
def data() -> bytes:
    crowd, replica = Crowd(3), Replica()
    for number in range(1, 30):
        replica.apply(f"{number}-0", crowd.entry(replica))
    return take_snapshot(replica)


def test_a_snapshot_of_other_rules_is_refused(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "RULES", RULES + 1)
    wrong = (
        f"at 29-0 was made with version {RULES} of the rules.*has version {RULES + 1}"
    )
    with pytest.raises(SnapshotError, match=wrong) as caught:
        load_snapshot(data)
    assert "\n" not in str(caught.value) and position_of(data) == "29-0"


def with_position(position: str, data: bytes) -> bytes:
    """The position is not covered by the checksum."""
    fields = msgspec.msgpack.decode(data)
    return msgspec.msgpack.encode([*fields[:2], position, *fields[3:]])


def test_a_snapshot_that_speaks_of_what_is_not_in_it_is_refused(data: bytes) -> None:
    fields = msgspec.msgpack.decode(data)
    saved = msgspec.msgpack.decode(zlib.decompress(fields[4]), type=snapshot.SavedChat)
    saved.present.append(99)
    body = zlib.compress(msgspec.msgpack.encode(saved))
    spoilt = msgspec.msgpack.encode([*fields[:3], zlib.crc32(body), body])
    with pytest.raises(SnapshotError, match="at 29-0 is not understood: .*range$"):
        load_snapshot(spoilt)


@pytest.mark.parametrize(
    "spoil, wrong",
    [
        (lambda data: b"", "no snapshot of a chat"),
        (lambda data: b"hello", "no snapshot of a chat"),
        (lambda data: data[:-1], "no snapshot of a chat"),
        (lambda data: data.replace(b"snapshot", b"postcard"), "no snapshot of a chat"),
        (
            lambda data: data.replace(b"snapshot", b"snap\xff\xff\xff\xff"),
            "no snapshot of a chat",
        ),
        (lambda data: data[:-9] + b"\0" + data[-8:], "at 29-0 is damaged"),
        *(
            (
                partial(with_position, position),
                f"a snapshot's position is like '29-0', not {re.escape(shown)}$",
            )
            for position, shown in (
                ("yesterday", "'yesterday'"),
                ("7", "'7'"),
                ("7-", "'7-'"),
                ("-1-0", "'-1-0'"),
                ("٣-0", r"'\u0663-0'"),
                ("7-0\n", r"'7-0\n'"),
                ("\x1b[2J", r"'\x1b[2J'"),
                ("9" * 5000 + "-0", f"'{'9' * 40}'"),
            )
        ),
    ],
)
def test_what_is_no_snapshot_is_refused(spoil, wrong: str, data: bytes) -> None:
    for read in (load_snapshot, position_of):
        with pytest.raises(SnapshotError, match=wrong) as caught:
            read(spoil(data))
        assert len(str(caught.value).splitlines()) == 1


def test_names_in_many_messages_take_their_memory_once() -> None:
    crowd, replica = Crowd(3), Replica()
    for number in range(1, 100):
        replica.apply(f"{number}-0", crowd.entry(replica))
    again = load_snapshot(take_snapshot(replica))
    assert again.rules is not None and shared_texts([]) == []
    rooms, _ = again.rules.store.saved()
    names = {id(each.room) for room in rooms for each in room}
    assert 1 <= len(names) == len(rooms) < sum(map(len, rooms))
