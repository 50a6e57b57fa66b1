"""`python_tcp.replication` and what belongs to it: the same log makes the same chat on each node, whatever happens on the way.

Each mistake that was put in on purpose is found, by the seed that is named with it.
"""

import itertools
import random
import subprocess
import sys
import warnings
from pathlib import Path
from collections.abc import Callable

import msgspec
import pytest

from python_tcp import log_entries, replication, simulation
from python_tcp.limits import Limits
from python_tcp.log_entries import (
    AccountGiven,
    ChatBegun,
    CommandGiven,
    ConnectionLost,
    EpochBegun,
    HashRenewed,
    LateJoins,
    LimitsSet,
    LogEntry,
    LogError,
    MemoryLog,
    NodeGone,
    NodeTable,
    NoEntry,
    OwnConnections,
    decode_entry,
    encode_entry,
)
from python_tcp.chat_session import ClientSession
from python_tcp.members import Delivery, Session
from python_tcp.messages import MemoryStore
from python_tcp.protocol import (
    GetHistory,
    Goodbye,
    History,
    Join,
    Leave,
    ListUsers,
    Message,
    Ok,
    SendMessage,
    Welcome,
    Whisper,
)
from python_tcp.room_views import HistoryGap
from python_tcp.replication import RULES, LogNode, Replica, SharedRules
from python_tcp.simulated_nodes import BrokenPromise, SimulatedNode
from python_tcp.simulation import Simulation
from python_tcp.snapshot import StateWriter, load_snapshot, take_snapshot

LIMITS = msgspec.to_builtins(Limits(flood_burst=0))
ROOT = Path(__file__).resolve().parent.parent
SCHEDULES = 2000


# --- the nodes, as they should be ---------------------------------------------------------


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize("part", range(4))
def test_no_schedule_breaks_a_promise(part: int) -> None:
    for seed in range(part, SCHEDULES, 4):
        Simulation(seed).run()


def test_a_seed_chooses_all_that_happens() -> None:
    steps = []
    for _ in range(2):
        world = Simulation(6)
        world.run()
        steps.append(world.steps)
    assert steps[0] == steps[1] and len(steps[0]) > 20
    other = Simulation(7)
    other.run()
    assert other.steps != steps[0]


@pytest.mark.slow
def test_the_schedules_have_all_that_can_happen() -> None:
    """Otherwise, finding nothing would mean nothing."""
    seen = set()
    for seed in range(20):
        world = Simulation(seed)
        world.run()
        seen |= {" ".join(step.split()[3:5]) for step in world.steps}
    wanted = {
        "starts", "crashes", "stands still", "takes a", "was taken", "has fallen",
        "sends an", "sends again", "finds the", "gets a", "loses the",
    }  # fmt: skip
    assert wanted <= seen


# --- mistakes that were put in ------------------------------------------------------------


def finds(seed: int) -> str:
    """What the schedule of this seed says."""
    try:
        Simulation(seed).run()
    except BrokenPromise as error:
        return str(error)
    return ""


Patch = pytest.MonkeyPatch


def applied_before_it_is_back(monkeypatch: Patch) -> None:
    """A node does its own entries at once, and passes them over when they come back."""
    take, receive = LogNode.take, LogNode.receive

    def hasty_take(self: LogNode, now: float) -> list[bytes]:
        made = take(self, now)
        for payload in made:
            self.replica.apply(self.replica.position, decode_entry(payload))
        return made

    def late_receive(self: LogNode, position: str, payload: bytes) -> list[Delivery]:
        if decode_entry(payload).node == self.name:
            self.replica.position = position
            return []
        return receive(self, position, payload)

    monkeypatch.setattr(LogNode, "take", hasty_take)
    monkeypatch.setattr(LogNode, "receive", late_receive)


def counter_dropped(monkeypatch: Patch) -> None:
    """What is in the log twice counts twice."""

    def accept(self: NodeTable, name: str, counter: int) -> object:
        if name not in self.nodes and name not in self.gone:
            self.count += 1
            self.nodes[name] = log_entries.KnownNode(self.count * self.RANGE)
        self.accepted += 1
        return self.nodes.get(name)

    monkeypatch.setattr(NodeTable, "accept", accept)


def gap_passed_over(monkeypatch: Patch) -> None:
    """An entry counts although one before it is lost."""
    accept = NodeTable.accept

    def careless(self: NodeTable, name: str, counter: int) -> object:
        node = self.nodes.get(name)
        if node is not None and counter > node.counter:
            node.counter = counter - 1
        return accept(self, name, counter)

    monkeypatch.setattr(NodeTable, "accept", careless)


def clock_read_while_applying(monkeypatch: Patch) -> None:
    clock = itertools.count(1_700_000_000)
    monkeypatch.setattr(replication, "smoothed", lambda now, told: float(next(clock)))


def tokens_made_while_applying(monkeypatch: Patch) -> None:
    command, secrets = SharedRules._command, random.Random(1)

    def careless(
        self: SharedRules, base: int, item: CommandGiven, now: float
    ) -> list[Delivery]:
        if isinstance(item.command, Join):
            item = msgspec.structs.replace(
                item, token=f"{secrets.getrandbits(96):024x}"
            )
        return command(self, base, item, now)

    monkeypatch.setattr(SharedRules, "_command", careless)


def position_is_ahead_of_the_state(monkeypatch: Patch) -> None:
    """The snapshot is made, and the position is looked up a moment later."""

    def save(world: Simulation, node: SimulatedNode) -> None:
        replica = node.log_node.replica
        before, replica.position = replica.position, world.storage.log.last
        world.storage.keep(take_snapshot(replica))
        replica.position = before

    replaced(monkeypatch, "_save", save)


def position_is_behind_the_state(monkeypatch: Patch) -> None:
    """The position is looked up, and the snapshot is made a moment later."""

    def save(world: Simulation, node: SimulatedNode) -> None:
        replica = node.log_node.replica
        before = replica.position
        simulation._read(world, node)
        if node.log_node.replica is replica:
            after, replica.position = replica.position, before
            world.storage.keep(take_snapshot(replica))
            replica.position = after

    # The counters alone would mend it: they are in the snapshot, too.
    counter_dropped(monkeypatch)
    replaced(monkeypatch, "_save", save)


def replaced(monkeypatch: Patch, name: str, step: Callable[..., object]) -> None:
    old = getattr(simulation, name)
    steps = {step if each is old else each: n for each, n in simulation.STEPS.items()}
    monkeypatch.setattr(simulation, "STEPS", steps)


def lease_ignored(monkeypatch: Patch) -> None:
    """Nobody says that a node is gone."""
    monkeypatch.setattr(simulation, "_look_at_leases", lambda world, node: None)
    steps = {
        each: chance
        for each, chance in simulation.STEPS.items()
        if each.__name__ != "_look_at_leases"
    }
    monkeypatch.setattr(simulation, "STEPS", steps)


def dead_node_is_heard(monkeypatch: Patch) -> None:
    """What a node appends still counts when its clients were given up."""

    def remove(self: NodeTable, name: str) -> object:
        return self.nodes.get(name)

    monkeypatch.setattr(NodeTable, "remove", remove)


def ids_not_in_the_snapshot(monkeypatch: Patch) -> None:
    session = StateWriter._session

    def forgetful(self: StateWriter, each: Session) -> object:
        return session(self, Session(each.token, {}, each.key))

    monkeypatch.setattr(StateWriter, "_session", forgetful)


def late_join_counts(monkeypatch: Patch) -> None:
    monkeypatch.setattr(LateJoins, "is_late", lambda *about: False)


def limits_of_the_node(monkeypatch: Patch) -> None:
    """A node goes by its own settings, and not by those in the log."""
    limits_of, windows = replication.limits_of, itertools.cycle((12.0, 20.0, 14.0))

    def own(told: log_entries.LimitValues) -> Limits:
        return limits_of({**told, "resume_window": next(windows)})

    monkeypatch.setattr(replication, "limits_of", own)


STATE, LOST = "has another state than the log says", "is lost"
MISTAKES: list[tuple[Callable[[Patch], None], int, str]] = [
    (applied_before_it_is_back, 0, STATE),
    (counter_dropped, 5, "dee said is there twice"),
    (gap_passed_over, 12, LOST),
    (clock_read_while_applying, 0, STATE),
    (tokens_made_while_applying, 0, STATE),
    (position_is_ahead_of_the_state, 0, STATE),
    (position_is_behind_the_state, 2, STATE),
    (lease_ignored, 4, "are here, and the state has"),
    (dead_node_is_heard, 2, LOST),
    (ids_not_in_the_snapshot, 3, STATE),
    (late_join_counts, 6, LOST),
    (limits_of_the_node, 0, STATE),
]


@pytest.mark.parametrize(
    "mistake, seed, wrong", MISTAKES, ids=[each[0].__name__ for each in MISTAKES]
)
def test_a_mistake_is_found(
    mistake: Callable[[Patch], None], seed: int, wrong: str, monkeypatch: Patch
) -> None:
    """By this seed. Where the rules have changed so that another one finds it, that is said."""
    mistake(monkeypatch)
    if not (found := finds(seed)):
        found = next(filter(None, map(finds, range(600))), "")
        assert found, "no schedule has shown the mistake"
        warnings.warn(f"{mistake.__name__}: now it is {found}", stacklevel=1)
    else:
        assert found.startswith(f"seed {seed}: ") and wrong in found
    monkeypatch.undo()
    assert finds(seed) == ""  # it is the mistake that was found


# --- a log, and what counts in it ---------------------------------------------------------


def entry(node: str, counter: int, *items: object, time: float = 1.0) -> LogEntry:
    return LogEntry(node, counter, time, list(items))


def test_what_is_not_understood_is_not_passed_over() -> None:
    good = encode_entry(entry("a", 1, ConnectionLost(3)))
    assert decode_entry(good) == entry("a", 1, ConnectionLost(3))
    newer = good.replace(b"\xa1l", b"\xa1?")
    longer = b"\x95" + newer[1:] + b"\xc0"  # with something at its end
    wrong = "the entry 7-0 of the log is not understood.*newer version.*XDEL with 7-0"
    for payload in (newer, longer, good.replace(b"\xa1l", b"\x01")):
        with pytest.raises(LogError, match=wrong) as raised:
            decode_entry(payload, "7-0")
        assert not isinstance(raised.value, NoEntry)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xff", b"hello", b"\x93\x01\x02\x03", b"{}", b"[1]"]
)
def test_what_is_no_entry_of_any_version_is_passed_over_by_all(
    payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    log, nodes = MemoryLog(), [LogNode(name, Replica()) for name in "ab"]
    for node in nodes:
        node.put(ChatBegun(RULES, "epoch", msgspec.to_builtins(Limits())))
        for each in node.take(1.0):
            log.append(each)
    log.append(payload)
    nodes[0].opened(1, "192.0.2.1")
    for each in nodes[0].take(2.0):
        log.append(each)
    for position, each in log.read():
        for node in nodes:
            node.receive(position, each)
    assert len(caplog.records) == 2 and "it is passed over" in caplog.text
    assert [node.replica.position for node in nodes] == [log.last] * 2
    left, right = (take_snapshot(node.replica) for node in nodes)
    assert left == right
    assert list(nodes[0].replica.rules.moderation.hosts.values()) == ["192.0.2.1"]


def test_a_log_says_when_it_has_forgotten_something() -> None:
    log = MemoryLog()
    assert [log.append(b"%d" % each) for each in range(4)] == [
        "1-0",
        "2-0",
        "3-0",
        "4-0",
    ]
    log.trim("2-0")
    log.trim("1-0")
    assert list(log.read("2-0")) == [("3-0", b"2"), ("4-0", b"3")]
    assert list(log.read("4-0")) == [] and log.last == "4-0"
    with pytest.raises(LogError, match="forgotten what is after 1-0: a snapshot"):
        list(log.read("1-0"))
    with pytest.raises(LogError, match="after 0-0"):
        list(log.read())


def test_of_each_node_the_next_entry_counts_and_no_other() -> None:
    table = NodeTable()
    assert (
        table.accept("a", 2) is None
    )  # it has begun before, and we know nothing of it
    first = table.accept("a", 1)
    assert first is not None and table.accept("a", 1) is None
    assert table.accept("a", 3) is None and table.accept("a", 2) is first
    assert table.remove("a") is first and table.remove("a") is None
    assert table.accept("a", 1) is table.accept("a", 3) is None
    second = table.accept("b", 1)
    assert second is not None and second.base == first.base + NodeTable.RANGE


def test_the_same_receivers_are_the_same_tuple() -> None:
    own, to = OwnConnections(2 * NodeTable.RANGE), (5, 2**33 + 1, 2**33 + 7, 2**34)
    event = Message("hall", 1, "ann", "hi", 0.0)
    [one], [two] = (own.pick([Delivery(to, event)]) for _ in range(2))
    assert one.to == (1, 7) and one.to is two.to and one.event is event
    assert own.pick([Delivery((5,), event)]) == []


# --- nodes over a log in memory -----------------------------------------------------------


class Pair:
    """Two nodes, and a log in memory."""

    def __init__(self) -> None:
        self.log, self.now = MemoryLog(), 1000.0
        self.a, self.b = LogNode("a", Replica()), LogNode("b", Replica())
        for node in (self.a, self.b):
            node.put(ChatBegun(RULES, f"epoch {node.name}", LIMITS))
        self.pass_on()

    def pass_on(self) -> dict[str, list[Delivery]]:
        for node in (self.a, self.b):
            for payload in node.take(self.now):
                self.log.append(payload)
        return {node.name: self.read(node) for node in (self.a, self.b)}

    def read(self, node: LogNode) -> list[Delivery]:
        found = list(self.log.read(node.replica.position))
        return [each for pair in found for each in node.receive(*pair)]

    def join(self, node: LogNode, client: int, name: str, **more: object) -> None:
        node.opened(client, "192.0.2.1")
        node.ask(client, Join(name, **more), f"token-of-{name}-0001")


@pytest.fixture
def pair() -> Pair:
    """Ann and Bob are in the lobby, on two nodes."""
    pair = Pair()
    pair.join(pair.a, 1, "ann")
    pair.join(pair.b, 1, "bob")
    pair.pass_on()
    return pair


def rules(node: LogNode) -> SharedRules:
    assert node.replica.rules is not None
    return node.replica.rules


def test_the_first_one_begins_the_chat(pair: Pair) -> None:
    assert {rules(each).store.epoch for each in (pair.a, pair.b)} == {"epoch a"}
    assert pair.a.is_begun and pair.b.is_begun and not pair.a.is_gone


def test_nothing_is_told_before_it_is_back(pair: Pair) -> None:
    pair.a.ask(1, SendMessage("hi", id=1))
    [payload] = pair.a.take(1001.0)
    assert pair.read(pair.a) == [] and rules(pair.a).rooms.rooms["lobby"].seq == 0
    pair.log.append(payload)
    said = Message("lobby", 1, "ann", "hi", 1001.0)
    assert pair.read(pair.a) == [Delivery((1,), said), Delivery((1,), Ok(1, 1))]
    assert pair.read(pair.b) == [Delivery((1,), said)]


def test_what_is_in_the_log_twice_counts_once(pair: Pair) -> None:
    pair.a.ask(1, SendMessage("hi"))
    for payload in pair.a.take(1001.0) + pair.a.unconfirmed():
        pair.log.append(payload)
    assert len(pair.read(pair.a)) == len(pair.read(pair.b)) == 1
    assert pair.a.unconfirmed() == []


def test_a_lost_entry_holds_back_what_came_after_it(pair: Pair) -> None:
    pair.a.ask(1, SendMessage("one"))
    pair.a.take(1001.0)  # is lost
    pair.a.ask(1, SendMessage("two"))
    [second] = pair.a.take(1002.0)
    pair.log.append(second)
    assert pair.read(pair.a) == [] and pair.a.must_resend
    for payload in pair.a.unconfirmed():
        pair.log.append(payload)
    texts = [each.event.content for each in pair.read(pair.a)]
    assert texts == ["one", "two"] and not pair.a.must_resend
    assert pair.read(pair.b) and not pair.a.unconfirmed()


def test_only_the_node_that_is_asked_looks_it_up(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    for node in (pair.a, pair.b):
        archive = rules(node).rooms.archive

        def page(*about: object, name: str = node.name, page=archive.page) -> History:
            looked.append(name)
            return page(*about)

        monkeypatch.setattr(archive, "page", page)
    pair.a.ask(1, GetHistory("lobby"))
    pair.a.ask(1, ListUsers("lobby"))
    told = pair.pass_on()
    assert (len(told["a"]), told["b"], looked) == (2, [], ["a"])


def test_whoever_was_on_a_node_that_is_gone_may_come_back_elsewhere(pair: Pair) -> None:
    pair.b.put(NodeGone("a"))
    pair.b.put(NodeGone("a"))
    assert pair.pass_on()["b"] == []  # nobody hears of it
    assert pair.a.is_gone and list(rules(pair.b).rooms.users) == [
        pair.b.global_number(1)
    ]
    pair.a.ask(1, SendMessage("from the dead"))
    assert pair.pass_on() == {"a": [], "b": []}
    pair.join(pair.b, 2, "ann", token="token-of-ann-0001", since=0)
    told = pair.pass_on()["b"]
    assert isinstance(told[0].event, Welcome) and told[0].to == (2,)
    assert told[0].event.token == "token-of-ann-0001"


def test_whoever_does_not_come_back_is_gone_with_the_next_entry(pair: Pair) -> None:
    pair.a.lost(1)
    pair.pass_on()
    at = pair.b.replica.expires_at
    assert at == pair.now + Limits().resume_window
    pair.now = at
    assert pair.pass_on() == {"a": [], "b": []}  # there was no entry
    pair.b.tick()
    [left] = pair.pass_on()["b"]
    assert (left.event.username, pair.b.replica.expires_at) == ("ann", None)


def test_time_does_not_go_back_for_a_clock_that_is_a_little_late(pair: Pair) -> None:
    assert replication.smoothed(100.0, 99.0) == 100.0
    assert replication.smoothed(100.0, 101.0) == 101.0
    assert replication.smoothed(100.0, 50.0) == 50.0  # it was set anew


def test_limits_accounts_and_epoch_come_through_the_log(pair: Pair) -> None:
    pair.a.put(LimitsSet({**LIMITS, "rooms_per_client": 1, "of the future": 7}))
    pair.a.put(AccountGiven("Zoe", "hash 1", "operator"))
    pair.b.put(AccountGiven("zoe", "hash 2", "operator"))
    pair.b.put(HashRenewed("zoe", "hash 2", "hash 3"))
    pair.b.put(HashRenewed("zoe", "hash 1", "hash 4"))
    pair.a.put(EpochBegun("epoch a", "second"))
    pair.b.put(EpochBegun("epoch a", "third"))
    pair.join(pair.b, 2, "cy")
    pair.b.ask(2, Join("cy", "den"))
    told = pair.pass_on()["b"]
    assert told[-1].event.code == "bad_room"
    for node in (pair.a, pair.b):
        zoe = rules(node).accounts.find("zoe")
        assert zoe is not None
        assert (zoe.name, zoe.hash, zoe.role) == ("Zoe", "hash 4", "operator")
        assert rules(node).store.epoch == "second"
    assert take_snapshot(pair.a.replica) == take_snapshot(pair.b.replica)


def test_a_log_of_other_rules_is_refused() -> None:
    with pytest.raises(
        LogError, match=f"version 99 of the rules.* has version {RULES}"
    ):
        Replica().apply("1-0", entry("a", 1, ChatBegun(99, "", LIMITS)))


def test_a_rule_with_a_bug_costs_one_answer(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*about: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(MemoryStore, "append", fail)
    pair.a.ask(1, SendMessage("hi", id=5))
    [told] = pair.pass_on()["a"]
    assert (told.event.code, told.event.id) == ("server_error", 5)


def test_an_entry_does_not_grow_without_end(pair: Pair) -> None:
    for number in range(600):
        pair.a.ask(1, SendMessage(f"{number}"))
    entries = pair.a.take(1001.0)
    assert [len(decode_entry(each).items) for each in entries] == [256, 256, 88]


def test_a_whisper_reaches_another_node(pair: Pair) -> None:
    pair.a.ask(1, Whisper("bob", "psst", id=1))
    told = pair.pass_on()
    assert told["b"][0].event.content == "psst" and told["a"][-1].event == Ok(1)


def test_who_leaves_is_gone_everywhere(pair: Pair) -> None:
    pair.a.ask(1, Leave())
    pair.a.closed(1)
    told = pair.pass_on()
    assert [each.event.username for each in told["b"]] == ["ann"]
    assert list(rules(pair.b).rooms.by_name) == ["bob"]
    assert not rules(pair.a).late_joins.joined.keys() - rules(pair.a).rooms.users.keys()


@pytest.mark.slow
def test_the_bench_measures_it() -> None:
    """All people join and are heard, on three nodes; else it ends with an error."""
    few = "--people", "300", "--each", "10", "--messages", "600"
    command = [sys.executable, "-m", "bench.replicas", *few]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = {line[:32].strip(): line[32:].strip() for line in done.stdout.splitlines()}
    assert found["people"] == "300.00" and float(found["MiB of the snapshot"]) > 0
    assert {"seconds to load it", "seconds to give up a node"} <= found.keys()


def test_of_what_the_log_has_lost_people_are_told(pair: Pair) -> None:
    """Its last entries were applied, and are gone: all go back, and numbers begin anew."""
    session = ClientSession("cy")
    session.join("lobby")

    def come_in(node: LogNode, client: int) -> list[object]:
        node.opened(client, "192.0.2.1")
        for command in session.send_queue.due(0.0):
            node.ask(client, command, "token-of-cy-00001")
        told = pair.pass_on()[node.name]
        mine = [each.event for each in told if client in each.to]
        return [found for event in mine for found in session.receive(event, 0.0)]

    come_in(pair.a, 2)
    pair.a.ask(1, SendMessage("kept"))
    pair.pass_on()
    kept, position = list(pair.log.read()), pair.log.last
    data = take_snapshot(pair.b.replica)
    pair.a.ask(1, SendMessage("lost"))
    for each in pair.pass_on()["a"]:
        session.receive(each.event, 0.0)

    pair.log = MemoryLog()
    for _, payload in kept:
        pair.log.append(payload)
    assert int(pair.a.replica.position[:-2]) > int(position[:-2])  # so it is noticed
    pair.a, pair.b = (LogNode(name, load_snapshot(data)) for name in ("a2", "b2"))
    for node, old in ((pair.a, "a"), (pair.b, "b")):
        node.put(EpochBegun("epoch a", f"found by {node.name}"))
        node.put(NodeGone(old))
    pair.pass_on()
    assert {rules(each).store.epoch for each in (pair.a, pair.b)} == {"found by a2"}
    assert take_snapshot(pair.a.replica) == take_snapshot(pair.b.replica)
    session.disconnected(Goodbye("lost", "the connection is lost", True))
    session.resume()
    told = come_in(pair.b, 1)
    assert HistoryGap("lobby", None) in told and session.token == "token-of-cy-00001"
