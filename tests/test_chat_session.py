"""A client's session without a network: its states, and the real rules at the other end of a wire that is slow and breaks."""

import itertools
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from python_tcp.chat_session import (
    SESSION_TRANSITIONS,
    ClientEvent,
    ClientSession,
    HistoryGap,
    Reconnected,
    SessionState,
)
from python_tcp.commands import Kick, Login
from python_tcp.delivery import TokenBucket
from python_tcp.events import AccountChanged, Moderated
from python_tcp.protocol import (
    Command,
    Error,
    GetHistory,
    Goodbye,
    History,
    Join,
    Limits,
    Message,
    Ok,
    Ping,
    Pong,
    SendMessage,
    SetStatus,
    StatusChanged,
    UserLeft,
    UserList,
    Welcome,
    decode_event,
    encode,
)
from python_tcp.rooms import Delivery, MemoryStore, Rooms

FREE = Limits(flood_burst=0, connections_per_address=0)
LOST = Goodbye("connection_lost", "The connection has ended.", True)

# --- the states --------------------------------------------------------------------------------------------------

HELLO = Welcome("ann", "lobby", "Hi.", 0, "e", "t" * 20)
NOTHING_MISSED = History("lobby", [], False)
STEP = {
    "join": lambda session: session.join("lobby"),
    "welcome": lambda session: session.receive(HELLO, 0.0),
    "refuse": lambda session: session.receive(Error("name_taken", "taken", 1), 0.0),
    "lose": lambda session: session.disconnected(LOST),
    "resume": lambda session: session.resume(),
    "page": lambda session: session.receive(NOTHING_MISSED, 0.0),
    "leave": lambda session: session.receive(UserLeft("lobby", "ann", 0.0), 0.0),
    "goodbye": lambda session: session.receive(Goodbye("x", "x", True, 1.0), 0.0),
    "kick": lambda session: session.receive(Goodbye("x", "x", False), 0.0),
    "end": lambda session: session.end(LOST),
}
WALKS = [
    "join refuse welcome leave lose resume join lose",
    "join welcome lose resume page lose resume lose resume leave lose resume lose end",
    "welcome goodbye lose resume end",
    "welcome end",
    "join end",
    "end",
]


def go(walk: str) -> ClientSession:
    session = ClientSession("ann")
    for step in walk.split():
        STEP[step](session)
    return session


def test_every_transition_of_the_table_can_happen_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walked, turn = set(), ClientSession._turn

    def note(session: ClientSession, event: str) -> None:
        before = session.state
        turn(session, event)
        walked.add((before, event, session.state))

    monkeypatch.setattr(ClientSession, "_turn", note)
    for walk in WALKS:
        go(walk)
    assert walked == {
        (before, event, after)
        for before, events in SESSION_TRANSITIONS.items()
        for event, after in events.items()
    }


def test_the_table_has_every_state_and_none_but_the_first_is_a_beginning() -> None:
    assert list(SESSION_TRANSITIONS) == list(SessionState)
    reached = {
        after for events in SESSION_TRANSITIONS.values() for after in events.values()
    }
    assert reached == {*SessionState} and SESSION_TRANSITIONS[SessionState.ENDED] == {}


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(st.sampled_from(sorted(STEP)), max_size=20))
def test_no_order_of_calls_and_events_is_too_odd(steps: list[str]) -> None:
    session = go(" ".join(steps))
    assert session.send_queue.open is (session.state is SessionState.JOINED)
    assert not session.rooms or session.state is not SessionState.ENDED


@pytest.mark.parametrize(
    ("walk", "state"),
    [
        ("lose", SessionState.ENDED),  # never joined: there is no way back
        ("join lose", SessionState.ENDED),
        ("join welcome lose", SessionState.LOST),
        ("join welcome lose lose", SessionState.LOST),  # the next one, at once
        ("join welcome goodbye lose", SessionState.LOST),
        ("join welcome kick lose", SessionState.ENDED),
        ("join welcome end lose", SessionState.ENDED),
        ("join welcome lose resume refuse", SessionState.RESUMING),
        ("resume", SessionState.IDLE),  # the first connection
        ("end resume join welcome", SessionState.ENDED),
    ],
)
def test_where_it_stands_after(walk: str, state: SessionState) -> None:
    assert go(walk).state is state


def test_why_a_connection_has_ended() -> None:
    session = go("join welcome")
    assert session.disconnected(LOST) is LOST and session.goodbye is None
    session = go("join welcome kick")
    assert session.disconnected(LOST) is session.goodbye != LOST
    assert session.end(LOST) is False and session.goodbye != LOST
    session = go("join welcome")
    assert session.end(LOST) is True and session.goodbye is LOST and not session.rooms


@pytest.mark.parametrize("walk", ["join welcome lose", "join welcome end"])
def test_without_a_connection_nothing_is_received(walk: str) -> None:
    session = go(walk)
    message = Message("lobby", 1, "bob", "x", 0.0)
    for event in (HELLO, message, NOTHING_MISSED, Error("x", "x", 2), Ok(1), LOST):
        assert session.receive(event, 0.0) == []
    assert session.error is None and session.goodbye in (None, LOST)


def test_who_was_in_no_room_is_back_at_once_and_says_nothing_before_joining() -> None:
    session = go("join welcome leave lose")
    session.say(SendMessage("hello", "lobby", 7))
    assert session.resume() == [Reconnected()] and session.state is SessionState.IDLE
    assert session.send_queue.due(0.0) == []
    session.join("lobby")
    [join] = session.send_queue.due(0.0)
    assert join.token == HELLO.token and join.since is None
    session.receive(HELLO, 0.0)
    assert session.send_queue.due(0.0) == [SendMessage("hello", "lobby", 7)]


def test_a_room_that_one_is_thrown_out_of_on_the_way_back_is_not_waited_for() -> None:
    session = go("join welcome")
    session.join("dev")
    session.receive(Welcome("ann", "dev", "Hi.", 0, "e", "t" * 20), 0.0)
    session.disconnected(LOST)
    session.resume()
    told = session.receive(UserLeft("lobby", "ann", 0.0), 0.0)
    assert told == [UserLeft("lobby", "ann", 0.0)]
    assert [join.room for join in session.send_queue.due(0.0)] == ["lobby", "dev"]
    session.receive(Welcome("ann", "dev", "Hi.", 0, "e", "t" * 20), 0.0)
    assert session.receive(History("dev", [], False), 0.0) == [Reconnected()]


def test_a_room_where_we_are_is_not_asked_for_again() -> None:
    session = ClientSession("ann")
    for room in ("lobby", "dev"):
        session.join(room)
        session.send_queue.due(0.0)
        session.receive(Welcome("ann", room, "Hi.", 0, "e", "t" * 20), 0.0)
    assert session.rooms.current == "dev" and session.error is None
    assert session.join("lobby") is None and session.rooms.current == "lobby"
    assert session.send_queue.due(0.0) == [] and len(session.send_queue) == 0


def test_the_first_welcome_of_a_connection_sets_the_pace() -> None:
    session = ClientSession("ann")
    session.join("lobby")
    limits = {"flood_burst": 4.0, "flood_rate": 1.0}
    hello = Welcome("ann", "lobby", "Hi.", 0, "e", "t" * 20, limits=limits)
    session.receive(hello, 0.0)
    for number in range(10):
        session.say(SendMessage("x", "lobby", f"id {number}"))
    assert len(session.send_queue.due(0.0)) == 2  # half of the burst
    session.receive(hello, 0.0)
    assert session.send_queue.due(0.0) == []


def test_a_status_counts_even_if_it_was_never_sent() -> None:
    session = go("join welcome lose")
    session.say(SetStatus("away"))
    assert session.status == "online", "the server has not heard of it yet"
    session.resume()
    session.send_queue.due(0.0)
    session.receive(HELLO, 0.0)
    assert session.receive(NOTHING_MISSED, 0.0) == [Reconnected()]
    assert session.send_queue.due(0.0)[0] == SetStatus("away")


def test_a_status_that_was_refused_is_not_repeated_and_one_that_was_taken_is() -> None:
    session = go("join welcome")
    for status in ("away", "no good"):
        session.say(SetStatus(status))
        session.send_queue.due(0.0)
        if status == "away":
            session.receive(StatusChanged("ann", "away", 0.0), 0.0)
        else:
            session.receive(Error("bad_message", "not this one"), 0.0)
    session.disconnected(Goodbye("connection_lost", "lost", True))
    session.resume()
    session.send_queue.due(0.0)
    session.receive(HELLO, 0.0)
    session.receive(NOTHING_MISSED, 0.0)
    assert session.send_queue.due(0.0) == [SetStatus("away")]


@pytest.mark.parametrize("code", ["rate_limited", "not_saved", "out_of_order"])
def test_a_message_that_was_refused_for_now_is_said_again_before_what_follows_it(
    code: str,
) -> None:
    session = go("join")
    session.send_queue.due(0.0)
    session.receive(HELLO, 0.0)
    ids = [session.next_id() for _ in range(3)]
    for id in ids:
        session.say(SendMessage(f"line {id}", "lobby", id))
    assert [each.id for each in session.send_queue.due(0.0)] == ids
    told = session.receive(Error(code, "not now", ids[0], 0.5), 0.0)
    for id in ids[1:]:
        told += session.receive(Error("out_of_order", "not now", id, 0.0), 0.0)
    assert [event.code for event in told] == ["not_saved"] * (code == "not_saved")
    assert session.send_queue.due(0.4) == []
    assert [each.id for each in session.send_queue.due(0.5)] == ids
    assert len(session.send_queue) == 3 and session.error is None


def test_a_message_that_is_refused_for_good_is_dropped_and_told() -> None:
    session = go("join")
    session.send_queue.due(0.0)
    session.receive(HELLO, 0.0)
    for id in (7, 8):
        session.say(SendMessage("x", "lobby", id))
    session.send_queue.due(0.0)
    no = Error("bad_message", "never", 7)
    assert session.receive(no, 0.0) == [no] and session.refused == {7: no}
    assert session.receive(Error("out_of_order", "no 7", 8, 0.0), 0.0) == []
    assert session.send_queue.due(0.0) == [SendMessage("x", "lobby", 8)]


def test_pings_are_none_of_its_business() -> None:
    session = go("join welcome")
    assert [session.receive(event, 0.0) for event in (Ping(1), Pong(1))] == [[], []]


# --- with the real rules at the other end --------------------------------------------------------------------------

ME, BOB = "ann", 1_000_000


class KeptStore(MemoryStore):
    """A store that knows the ids of its messages even when the server has restarted, as a file does."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._ids: dict[str, dict] = {}

    def append(self, message: Message, session: str, id: object) -> None:
        super().append(message, session, id)
        if id is not None:
            self._ids.setdefault(session, {})[id] = message.seq

    def ids(self, session: str) -> dict:
        return dict(self._ids.get(session, {}))


class Wire:
    """A `ClientSession` and the real rules, with a wire between them that a test can slow down and cut."""

    def __init__(self, limits: Limits = FREE, most: int = 1000) -> None:
        self.limits, self.most, self.now = limits, most, 0.0
        self.session, self.told = ClientSession(ME), []
        self.up: deque[Command] = deque()
        self.down: deque = deque()
        self.clients = itertools.count(1)
        self.client: int | None = None
        self.epochs = itertools.count(1)
        self.said: dict[str, list] = {}  # what was ever said in the lobby, by epoch
        self.counts = {ME: 0, "bob": 0}
        self.start_server(KeptStore(most, epoch="1"))
        self.connect()
        self.session.join("lobby")
        self.settle()

    def start_server(self, store: "KeptStore") -> None:
        self.rooms = Rooms(self.limits, store)
        self.tokens = map("secret-token-{:05}".format, itertools.count())
        self.handle(BOB, Join("bob"))

    def handle(self, client: int, command: Command) -> None:
        token = next(self.tokens)
        self.forward(self.rooms.handle(client, command, self.now, token))

    def forward(self, deliveries: list[Delivery]) -> None:
        self.rooms.committed(self.rooms.mark())
        for to, event in deliveries:
            if self.client in to:
                self.down.append(decode_event(encode(event)))
            if isinstance(event, Message) and BOB in to and event.room == "lobby":
                self.said.setdefault(self.rooms.store.epoch, []).append(
                    (event.seq, event.content)
                )

    def connect(self) -> None:
        if self.client is None:
            self.client = next(self.clients)
            self.bucket = TokenBucket(self.limits.flood_burst, self.now)
            self.told += self.session.resume()

    def cut(self, noticed: bool = True) -> None:
        """End the connection; the server may not have noticed when the client comes back."""
        if self.client is not None:
            gone, self.client = self.client, None
            self.up.clear()
            self.down.clear()
            self.session.disconnected(LOST)
            if noticed:
                self.forward(self.rooms.disconnect(gone, self.now))

    def restart(self, kept: bool) -> None:
        self.cut()
        next_epoch = next(self.epochs)
        self.start_server(
            self.rooms.store
            if kept
            else KeptStore(self.most, epoch=f"{next_epoch + 1}")
        )

    def pump(self) -> None:
        if self.client is not None:
            self.up += self.session.send_queue.due(self.now)

    def serve(self) -> None:
        """The server takes the next command, if it does not come too fast."""
        if self.up:
            command, limits = self.up.popleft(), self.limits
            if limits.flood_burst and (
                wait := self.bucket.wait(
                    limits.flood_burst, limits.flood_rate, self.now
                )
            ):
                self.down.append(Error("rate_limited", "too fast", command.id, wait))
            else:
                self.handle(self.client, command)

    def hear(self) -> None:
        if self.down:
            self.told += self.session.receive(self.down.popleft(), self.now)

    def say(self, who: str) -> None:
        self.counts[who] += 1
        if who == "bob":
            self.handle(BOB, SendMessage(f"bob {self.counts[who]}"))
        else:
            id = self.session.next_id()
            self.session.say(SendMessage(f"{ME} {self.counts[who]}", "lobby", id))

    def settle(self) -> None:
        """Until nobody has anything to say any more."""
        for _ in range(10_000):
            self.pump()
            if not (self.up or self.down or self.session.send_queue.pause(self.now)):
                return
            while self.up:
                self.serve()
            while self.down:
                self.hear()
            self.now += 0.05
        raise AssertionError("it never ends")


def check_told(told: list[ClientEvent], said: dict[str, list[tuple[int, str]]]) -> None:
    """Each message once and in order; what is missing was said."""
    epochs, last = iter(said.values()), 0
    texts = dict(next(epochs, []))
    for event in told:
        match event:
            case HistoryGap(count=None):
                last, texts = 0, None  # which numbering it is, the next message shows
            case HistoryGap(count=count):
                assert count > 0
                last += count
            case Message(seq=seq, content=content):
                assert seq == last + 1, (last, event)
                assert texts is None or texts[seq] == content
                last = seq


STEPS = st.one_of(
    st.sampled_from(["pump", "serve", "hear", "connect", "settle", "tick"]),
    st.tuples(st.just("me"), st.integers(1, 4)),
    st.tuples(st.just("bob"), st.integers(1, 4)),
    st.tuples(st.just("cut"), st.booleans()),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("bob, settled"), st.integers(1, 4)),
)


@pytest.mark.slow
@settings(max_examples=400)
@example([("bob, settled", 1), ("restart", False), ("bob", 4)], 1000, FREE)
@example([("bob, settled", 1), ("restart", False), ("bob", 5)], 3, FREE)
@example([("me", 1), "pump", "serve", ("restart", True)], 1000, FREE)
@given(
    st.lists(STEPS, min_size=3, max_size=40),
    st.sampled_from([1000, 1000, 3, 0]),
    st.sampled_from(
        [
            FREE,
            Limits(flood_burst=6, flood_rate=10.0),
            Limits(flood_burst=1, flood_rate=3.0),
        ]
    ),
)
def test_whatever_happens_to_the_wire_each_message_is_told_once_and_in_order(
    steps: list, most: int, limits: Limits
) -> None:
    wire, forgets, restarts = Wire(limits, most), most < 1000, 0
    for step in steps:
        match step:
            case ("me", count):
                for _ in range(count):
                    wire.say(ME)
            case ("bob" | "bob, settled" as how, count):
                for _ in range(count):
                    wire.say("bob")
                if how != "bob":
                    wire.settle()
            case "tick":
                wire.now += 0.3
            case ("cut", noticed):
                wire.cut(noticed)
            case ("restart", kept):
                wire.restart(kept)
                restarts += not kept
            case _:
                getattr(wire, step)()
    wire.connect()
    wire.settle()
    assert (
        len(wire.session.send_queue) == 0
        and wire.session.send_queue.open
        and list(wire.session.rooms) == ["lobby"]
    )
    check_told(wire.told, wire.said)
    everything = [content for said in wire.said.values() for _, content in said]
    told = [event.content for event in wire.told if isinstance(event, Message)]
    assert len(set(told)) == len(told)
    mine = [content for content in everything if content.startswith(ME)]
    assert list(dict.fromkeys(mine)) == [
        f"{ME} {number}" for number in range(1, wire.counts[ME] + 1)
    ], "all that was said, in order"
    if not restarts:
        assert len(mine) == wire.counts[ME], "the ids keep each from being said twice"
        if not forgets:
            assert told == everything and not any(
                isinstance(event, HistoryGap) for event in wire.told
            )
    if not forgets:
        assert not any(
            isinstance(event, HistoryGap) and event.count for event in wire.told
        ), "the server has it all"
        if wire.counts["bob"]:
            now = [content for _, content in wire.said.get(wire.rooms.store.epoch, [])]
            assert told[len(told) - len(now) :] == now, "all of the last numbering"


messages = st.builds(
    lambda seq: Message("lobby", seq, "bob", f"text {seq}", 0.0), st.integers(1, 12)
)
pages = st.builds(
    lambda first, count, more, lost, id: History("lobby", [Message("lobby", seq, "bob", f"text {seq}", 0.0) for seq in range(first, first + count)], more, lost, id),
    st.integers(1, 12), st.integers(0, 5), st.booleans(), st.integers(0, 3), st.sampled_from([None, "more 2", "more 3", "more 4", "x", 7]),
)  # fmt: skip
oddities = st.sampled_from([
    Ok(1), Ok("x"), Ping(1), Pong(None), Error("no_history", "x", "more 2"), Error("rate_limited", "x", "more 2", 0.1), Error("rate_limited", "x"), Error("x", "x", 1),
    UserList("lobby", ["ann"]), UserList("nowhere", []), UserLeft("nowhere", "ann", 0.0), UserLeft("lobby", "bob", 0.0), Message("nowhere", 1, "x", "x", 0.0), History("nowhere", [], True),
])  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(messages, messages, pages, oddities, st.just("pump"), st.just("cut")),
        max_size=50,
    )
)
def test_whatever_a_server_answers_nothing_is_told_twice_or_out_of_order(
    events: list,
) -> None:
    session, told = ClientSession(ME), []
    session.join("lobby")
    session.receive(Welcome("ann", "lobby", "Hi.", 0, "e", "t" * 20), 0.0)
    for event in events:
        if event == "pump":
            session.send_queue.due(0.0)
        elif event == "cut":
            session.disconnected(LOST)
            session.resume()
        else:
            told += session.receive(event, 0.0)
    seqs = [
        event.seq
        for event in told
        if isinstance(event, Message) and event.room == "lobby"
    ]
    assert seqs == sorted(set(seqs)) and len(set(seqs)) == len(seqs)


def test_a_gap_asks_for_what_is_missing() -> None:
    session = ClientSession(ME)
    session.join("lobby")
    session.receive(Welcome("ann", "lobby", "Hi.", 3, "e", "t" * 20), 0.0)
    session.send_queue.due(0.0)
    said = [Message("lobby", seq, "bob", "x", 0.0) for seq in range(9)]
    assert session.receive(said[6], 0.0) == [] == session.receive(said[7], 0.0)
    [question] = session.send_queue.due(0.0)
    assert isinstance(question, GetHistory) and (question.room, question.after) == (
        "lobby",
        3,
    )
    assert (
        session.receive(History("lobby", said[4:6], False, id=question.id), 0.0)
        == said[4:8]
    )
    assert (
        session.receive(said[7], 0.0) == []
        and session.receive(said[8], 0.0) == [said[8]]
        and session.send_queue.due(0.0) == []
    )


def test_a_new_epoch_is_told_and_all_of_it_is_read() -> None:
    wire = Wire()
    for _ in range(3):
        wire.say("bob")
    wire.settle()
    wire.restart(kept=False)
    for _ in range(5):  # more than before: the numbers alone would not show it
        wire.say("bob")
    wire.told.clear()
    wire.connect()
    wire.settle()
    assert [(type(event), getattr(event, "content", None)) for event in wire.told] == [
        (HistoryGap, None), *((Message, f"bob {number}") for number in range(4, 9)), (Reconnected, None),
    ]  # fmt: skip
    assert wire.told[0].count is None


@pytest.mark.parametrize("most", [0, 1, 4])
def test_what_is_no_longer_kept_is_told_with_its_number(most: int) -> None:
    wire = Wire(most=most)
    wire.say("bob")
    wire.settle()
    wire.told.clear()
    wire.cut()
    for _ in range(10):
        wire.say("bob")
    wire.connect()
    wire.settle()
    wire.say("bob")
    wire.settle()
    assert [event for event in wire.told if isinstance(event, HistoryGap)] == [
        HistoryGap("lobby", 10 - most)
    ]
    assert [event.seq for event in wire.told if isinstance(event, Message)] == list(
        range(12 - most, 13)
    )


def test_history_longer_than_a_page_is_read_to_the_end_before_we_are_back() -> None:
    wire = Wire(most=5000)
    wire.cut()
    for _ in range(2500):
        wire.say("bob")
    wire.connect()
    wire.settle()
    told = [event for event in wire.told if isinstance(event, (Message, Reconnected))]
    assert [event.seq for event in told[:-1]] == list(range(1, 2501)) and told[
        -1
    ] == Reconnected()


def test_the_status_is_set_again_after_coming_back() -> None:
    wire = Wire()
    wire.session.status = "away"
    wire.cut()
    wire.connect()
    wire.settle()
    assert wire.rooms.by_name[ME].status == "away"


def test_a_first_room_that_is_refused_ends_it_and_another_is_left() -> None:
    for room, ends in (("lobby", True), ("dev", False)):
        wire = Wire()
        wire.session.join("dev")
        wire.settle()
        wire.told.clear()
        wire.cut()
        wire.connect()
        wire.pump()
        while wire.up[0].room != room:
            (
                wire.serve(),
                wire.hear(),
                wire.hear(),
                wire.hear(),
                wire.hear(),
                wire.pump(),
            )
        wire.told += wire.session.receive(
            Error("bad_room", "not today", wire.up.popleft().id), 0.0
        )
        if ends:
            assert (
                wire.session.goodbye.code,
                wire.session.goodbye.content,
                wire.session.goodbye.reconnect,
            ) == ("bad_room", "not today", False)
        else:
            assert (
                wire.session.goodbye is None
                and list(wire.session.rooms) == ["lobby"]
                and wire.session.send_queue.open
            )
            assert [
                type(event)
                for event in wire.told
                if isinstance(event, (Error, UserLeft, Reconnected))
            ] == [Error, UserLeft, Reconnected]


def test_a_question_for_more_that_fails_is_a_gap_and_the_room_goes_on() -> None:
    wire = Wire(most=5000)
    wire.cut()
    for _ in range(1500):  # more than a line of the server holds
        wire.say("bob")
    wire.connect()
    wire.pump()
    wire.serve()
    while wire.down:
        wire.hear()
    [question] = wire.session.send_queue.due(wire.now)
    assert 0 < question.after < 1500
    wire.told.clear()
    wire.told += wire.session.receive(
        Error("no_history", "disk I/O error", question.id), wire.now
    )
    assert [type(event) for event in wire.told] == [
        Error,
        HistoryGap,
        Reconnected,
    ] and wire.told[1].count == 1500 - question.after
    wire.say("bob")
    wire.settle()
    assert wire.told[3:] == [
        Message("lobby", 1501, "bob", "bob 1501", wire.told[3].timestamp)
    ]


def test_joins_that_are_too_fast_are_asked_again() -> None:
    wire = Wire(Limits(flood_burst=3, flood_rate=10.0))
    for number in range(10):
        wire.session.join(f"room{number}")
    wire.settle()
    assert len(wire.session.rooms) == 11 and not any(
        isinstance(event, Error) for event in wire.told
    )
    wire.cut()
    wire.connect()
    wire.settle()
    assert len(wire.rooms.by_name[ME].rooms) == 11 and wire.told[-1] == Reconnected()


# --- accounts, and what is asked over one connection only ----------------------------------


def joined() -> ClientSession:
    session = ClientSession("ann")
    session.join("lobby")
    session.send_queue.due(0.0)
    session.receive(Welcome("ann", "lobby", "", 0, "epoch", "token-of-ann-123"), 0.0)
    return session


def test_what_is_requested_goes_at_once_and_is_never_repeated() -> None:
    session = joined()
    session.say(SendMessage("hello", "lobby", session.next_id()))
    id = session.request(Kick("eve", "lobby"))
    assert [type(each) for each in session.send_queue.due(0.0)] == [Kick, SendMessage]
    session.disconnected(Goodbye("connection_lost", "", True))
    assert session.taken[id] is None and session.refused[id].code == "connection_lost"
    assert [type(each) for each in session.send_queue.commands] == [SendMessage]


@pytest.mark.parametrize("answer", [
    lambda id: Ok(id), lambda id: AccountChanged("ann", "logged_in", id=id),
])  # fmt: skip
def test_a_request_that_was_answered_is_taken(answer: Callable) -> None:
    session = ClientSession("ann")
    id = session.request(Login("ann", "correct horse"))
    assert [type(each) for each in session.send_queue.due(0.0)] == [Login]
    session.receive(answer(id), 0.0)
    assert session.taken[id] and not session.send_queue and id not in session.refused


def test_a_request_that_was_refused_is_not_taken() -> None:
    session = ClientSession("ann")
    id = session.request(Login("ann", "correct horse"))
    session.send_queue.due(0.0)
    told = session.receive(Error("bad_login", "wrong", id), 0.0)
    assert [event.code for event in told] == ["bad_login"]
    assert session.refused[id].code == "bad_login" and not session.taken[id]
    assert session.state is SessionState.IDLE  # and may try again


def test_requests_do_not_grow_without_a_bound() -> None:
    session = joined()
    for _ in range(1000):
        session.request(Kick("eve", "lobby"))
    assert len(session.taken) <= 64


def test_the_account_of_a_session() -> None:
    session = joined()
    assert session.account is None
    for change, account in [("registered", "ann"), ("password_changed", "ann"), ("logged_out", None), ("logged_in", "ann"), ("deleted", None)]:  # fmt: skip
        session.receive(AccountChanged("ann", change), 0.0)
        assert session.account == account
    welcome = Welcome("ann", "dev", "", 0, "epoch", "token-of-ann-123", account="ann")
    session.receive(welcome, 0.0)
    assert session.account == "ann"


def test_a_room_that_another_client_of_the_account_enters_is_ours_too() -> None:
    session = joined()
    token = "token-of-ann-123"
    told = session.receive(Welcome("ann", "dev", "", 4, "epoch", token), 0.0)
    assert [event.room for event in told] == ["dev"]
    assert list(session.rooms) == ["dev", "lobby"] and session.rooms.current == "lobby"
    (message,) = session.receive(Message("dev", 5, "bob", "hi", 0.0), 0.0)
    assert message.seq == 5
    session.receive(UserLeft("dev", "ann", 0.0), 0.0)  # it has left
    assert list(session.rooms) == ["lobby"]


@pytest.mark.parametrize("code", ["locked", "banned"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_room_that_is_closed_to_us_meanwhile_is_given_up_and_no_other(
    code: str, which: int
) -> None:
    session, token = joined(), "token-of-ann-123"
    session.join("dev"), session.send_queue.due(0.0)
    session.receive(Welcome("ann", "dev", "", 0, "epoch", token), 0.0)
    session.disconnected(Goodbye("connection_lost", "", True))
    session.resume()
    for number in range(2):
        (join,) = session.send_queue.due(0.0)
        if number == which:
            session.receive(Error(code, "not you", join.id), 0.0)
            lost = join.room
        else:
            session.receive(Welcome("ann", join.room, "", 0, "epoch", token), 0.0)
            session.receive(History(join.room, [], False), 0.0)
    assert session.state is SessionState.JOINED and session.goodbye is None
    assert lost not in session.rooms and len(session.rooms) == 1


def test_who_was_put_out_of_a_room_does_not_enter_it_again() -> None:
    session = joined()
    session.receive(Moderated("kick", "bob", 0.0, "ann", "lobby"), 0.0)
    session.receive(UserLeft("lobby", "ann", 0.0), 0.0)
    session.disconnected(Goodbye("connection_lost", "", True))
    assert session.resume() == [Reconnected()] and session.send_queue.due(0.0) == []


def test_a_login_that_has_run_out_ends_the_way_back_and_says_why() -> None:
    session = joined()
    session.disconnected(Goodbye("connection_lost", "", True))
    session.resume()
    (join,) = session.send_queue.due(0.0)
    session.receive(Error("name_registered", "log in first", join.id), 0.0)
    assert session.goodbye is not None and session.goodbye.code == "name_registered"
    assert not session.goodbye.reconnect
