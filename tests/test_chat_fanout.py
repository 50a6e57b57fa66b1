"""What is told, and when: nothing before it is safe, everything in order, each event encoded once for each dialect."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from by_hand import Chat, HandServer, LateStore
from each import for_each
from waiting import LIMIT, wait_until

from python_tcp.chat_fanout import ChatConnection, EventSender
from python_tcp.chat_server import ChatServer
from python_tcp.filewriter import CommitDelay
from python_tcp.history import HistoryCleaner, SQLiteStore
from python_tcp.members import Delivery
from python_tcp.messages import StoreError
from python_tcp.protocol import Command, Error, Event, GetHistory, Goodbye, History
from python_tcp.protocol import Join, JSONLines, Limits, ListRooms, Message, Ok, Ping
from python_tcp.protocol import Pong, SendMessage, UserJoined, decode_event, encode
from python_tcp.rooms import Rooms

ANN, BOB, CY = 1, 2, 3


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def texts(events: list[Event]) -> list[str]:
    return [event.content for event in events if isinstance(event, Message)]


@pytest.fixture
def late() -> Chat:
    """Ann and Bob are in the lobby; from now on a commit completes when the test says so."""
    chat = Chat(LateStore())
    for client, name in ((ANN, "ann"), (BOB, "bob")):
        chat(client, Join(name))
        settle(chat)
    chat.hear()
    return chat


def on_another_thread(function: Callable[..., object], *arguments: object) -> None:
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join(LIMIT)


def settle(chat: Chat) -> None:
    """Complete commits until none is under way."""
    while chat.store.waiting:
        chat.store.complete()
        chat.loop.tick()


# --- held until it is safe ----------------------------------------------------------------------------------------


def test_with_a_store_that_is_sure_at_once_all_goes_out_at_the_end_of_the_tick() -> (
    None
):
    chat = Chat()
    chat(ANN, Join("ann"))
    chat.say(ANN, SendMessage("one"), SendMessage("two", id=2))
    assert chat.hear() == {}
    chat.loop.tick()
    assert kinds(chat.hear()[ANN]) == ["Message", "Message", "Ok"]


def test_nobody_hears_of_a_message_before_the_store_is_sure(late: Chat) -> None:
    assert late(ANN, SendMessage("psst", id=1)) == {}
    for _ in range(3):
        late.loop.tick()
    assert late.hear() == {}
    late.store.complete()
    heard = late.hear()
    assert texts(heard[BOB]) == ["psst"] and kinds(heard[ANN]) == ["Message", "Ok"]


def test_what_comes_while_a_commit_is_under_way_waits_for_the_next(late: Chat) -> None:
    late(ANN, SendMessage("one"))
    late(BOB, SendMessage("two"))
    late(ANN, SendMessage("three"))
    assert len(late.store.waiting) == 1, "one commit at a time"
    late.store.complete()
    assert texts(late.hear()[BOB]) == ["one"]
    late.loop.tick()
    assert len(late.store.waiting) == 1, "the next follows by itself"
    late.store.complete()
    assert texts(late.hear()[BOB]) == ["two", "three"]
    late.loop.tick()
    assert late.store.waiting == [], "and nothing is committed without need"


def test_also_what_needs_no_store_keeps_its_place(late: Chat) -> None:
    late(ANN, SendMessage("one", id=1), Ping(2))
    late(ANN, Ping(3))
    assert late.hear() == {}
    settle(late)
    assert kinds(late.hear()[ANN]) == ["Message", "Ok", "Pong", "Pong"]


def test_a_commit_that_fails_late_takes_back_all_that_was_said_since(
    late: Chat,
) -> None:
    late(ANN, SendMessage("good"))
    settle(late)
    late.hear()
    late(ANN, SendMessage("one", id=1))
    late(BOB, SendMessage("two", id=2), Ping())  # while the commit is under way
    late.store.complete("disk full")
    heard = late.hear()
    assert [(each.code, each.id) for each in heard[ANN]] == [("not_saved", 1)]
    assert (heard[BOB][0].code, heard[BOB][0].id) == ("not_saved", 2)
    assert heard[BOB][1] == Pong()
    late.loop.tick()
    assert late.store.waiting == [] and late.rooms.rooms["lobby"].seq == 1
    late(ANN, SendMessage("one", id=1))  # said again
    settle(late)
    heard = late.hear()
    assert [event.seq for event in heard[ANN]] == [2, 2], "the message, and its ok"


def test_after_a_failure_it_goes_on_in_order(late: Chat) -> None:
    for number in range(20):
        late.say(ANN, SendMessage(f"{number}", id=number))
        late.loop.tick()
        late.store.complete("oops" if number % 3 == 0 else None)
        late.loop.tick()
        assert late.store.waiting == []
    heard = late.hear()
    kept = [f"{number}" for number in range(20) if number % 3]
    assert texts(heard[BOB]) == kept and len(heard[BOB]) == len(kept)
    numbers = [event.seq for event in heard[BOB]]
    assert numbers == list(range(1, len(kept) + 1)), "the numbers have no gap"
    errors = [event.id for event in heard[ANN] if isinstance(event, Error)]
    assert errors == list(range(0, 20, 3))


def test_a_page_of_history_has_nothing_that_was_taken_back(late: Chat) -> None:
    late(ANN, SendMessage("good"))
    settle(late)
    late.hear()
    late(ANN, SendMessage("bad"))
    late(BOB, GetHistory())
    late.store.complete("disk full")
    [page] = late.hear()[BOB]
    assert isinstance(page, History) and [each.seq for each in page.messages] == [1]


@for_each(range(200))
def test_however_late_and_however_often_it_fails_everybody_hears_the_same(
    seed: int,
) -> None:
    """What the hearers have heard is what the store has, in its order; who was told `Ok` is in it."""
    rng, chat = random.Random(seed), Chat(LateStore())
    for client in (ANN, BOB, CY):
        chat.say(client, Join(f"user{client}"))
    for number in itertools.count():
        match rng.randrange(5) if number < 60 else 4:
            case 0 | 1 | 2:
                chat.say(
                    rng.choice([ANN, BOB, CY]), SendMessage(f"{number}", id=number)
                )
            case 3:
                chat.loop.tick()
            case 4 if chat.store.waiting:
                chat.store.complete("oops" if rng.random() < 0.3 else None)
            case 4:
                chat.loop.tick()
                chat.loop.tick(0.1)  # a crowd is not waited for any longer
                if number > 60 and not chat.store.waiting:
                    break
    kept = [(each.seq, each.content) for each in chat.store.messages]
    assert [seq for seq, _ in kept] == list(range(1, len(kept) + 1))
    for events in chat.hear().values():
        heard = [(e.seq, e.content) for e in events if isinstance(e, Message)]
        assert heard == kept[len(kept) - len(heard) :], "all, from its join on"
        oks = {event.id: event.seq for event in events if isinstance(event, Ok)}
        assert all((seq, f"{id}") in kept for id, seq in oks.items())


def test_a_commit_may_be_answered_from_another_thread(late: Chat) -> None:
    late(ANN, SendMessage("hello"))
    on_another_thread(late.store.complete)
    assert late.hear() == {}, "nothing of ours happens on that thread"
    late.loop.tick()
    assert texts(late.hear()[BOB]) == ["hello"]


def test_and_fail_on_another_thread(late: Chat) -> None:
    late(ANN, SendMessage("hello"))
    on_another_thread(late.store.complete, "the disk is gone")
    late.loop.tick()
    heard = late.hear()
    assert BOB not in heard and heard[ANN][0].code == "not_saved"


def test_a_failing_store_is_logged_once_and_its_recovery_too(
    late: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    for error in ("disk full", "disk full", None, None):
        late(ANN, SendMessage("x"))
        late.store.complete(error)
        late.loop.tick()
    assert [record.message for record in caplog.records] == [
        "history: disk full", "history: it works again",
    ]  # fmt: skip
    assert {record.name for record in caplog.records} == {"python_tcp.chat_server"}


def test_two_halves_of_a_crowd_become_one(late: Chat) -> None:
    """Who has just been told answers soon: their answers and what was held meanwhile share a commit."""
    first = [SendMessage(f"{number}") for number in range(10)]
    late(ANN, *first)
    late(BOB, *first)  # while that commit is under way
    late.store.complete()
    late.loop.tick()
    assert late.store.waiting == [], "it waits for Ann's answers"
    late(ANN, *first[:9])
    assert late.store.waiting == []
    late(ANN, first[9])
    [(messages, _)] = late.store.waiting
    assert messages == 30
    settle(late)


def test_and_a_crowd_that_goes_is_not_waited_for_long(late: Chat) -> None:
    late(ANN, *[SendMessage(f"{number}") for number in range(10)])
    late(BOB, SendMessage("the last one", id=1))
    late.store.complete()
    late.loop.tick()
    assert late.store.waiting == []
    late.loop.tick(CommitDelay.SECONDS * 1.1)
    assert len(late.store.waiting) == 1
    settle(late)
    assert texts(late.hear()[ANN])[-1] == "the last one"


def test_a_commit_without_deliveries_is_only_put_off(late: Chat) -> None:
    late(ANN, *[SendMessage(f"{number}") for number in range(10)])
    late.queue.hold([])  # for a change of the store's own
    late.store.complete()
    late.queue.hold([])
    late.loop.tick()
    assert late.store.waiting == []
    late.loop.tick(CommitDelay.SECONDS * 1.1)
    assert len(late.store.waiting) == 1
    settle(late)


def test_after_the_end_nothing_is_committed(late: Chat) -> None:
    late.say(ANN, SendMessage("too late"))
    late.queue.close()
    late.loop.tick()
    late.queue.hold([])
    late.loop.tick()
    assert late.store.waiting == []


def test_two_who_talk_do_not_wait_for_each_other(late: Chat) -> None:
    late(ANN, SendMessage("one", id=1))
    late.store.complete()
    late.loop.tick()
    late(BOB, SendMessage("two", id=1))
    assert len(late.store.waiting) == 1
    settle(late)


def test_how_long_commits_take_is_told_and_why_one_failed(late: Chat) -> None:
    told: list[tuple[float, StoreError | None]] = []
    late.queue.on_commit = lambda seconds, error: told.append((seconds, error))
    for error in (None, "disk full"):
        late(ANN, SendMessage("x"))
        late.store.complete(error)
    settle(late)
    assert [str(error) for _, error in told[:2]] == ["None", "disk full"]
    assert all(0.0 <= seconds < LIMIT for seconds, _ in told)


def test_what_is_released_can_not_be_overtaken_from_inside() -> None:
    """A client that is closed while a batch goes out: the news of it comes in the next one."""
    chat = Chat()
    for client, name in ((ANN, "ann"), (BOB, "bob")):
        chat(client, Join(name))
    chat.hear()
    chat.say(ANN, SendMessage("one"))
    chat.queue.hold([Delivery((ANN,), Goodbye("idle", "Bye.", True, 1.0))])
    chat.say(BOB, SendMessage("two"))
    inside = []
    send = chat.server.send

    def sending(client: int, data: bytes) -> bool:
        inside.append(chat.queue.commit())
        return send(client, data)

    chat.server.send = sending
    chat.loop.tick()
    assert kinds(chat.hear()[BOB]) == ["Message", "Message", "UserLeft"]
    assert inside and not any(inside[:2])


def test_a_release_that_fails_does_not_stop_the_next(late: Chat) -> None:
    def fail(deliveries: list[Delivery]) -> None:
        raise RuntimeError("a fault of ours")

    release, late.queue._release = late.queue._release, fail
    late(ANN, SendMessage("one"))
    late(ANN, SendMessage("two"))
    with pytest.raises(RuntimeError):
        late.store.complete()
    late.queue._release = release
    late.loop.tick()
    settle(late)
    assert texts(late.hear()[BOB]) == ["two"]


def test_what_a_closed_store_never_confirmed_was_never_said(late: Chat) -> None:
    late(ANN, SendMessage("one", id=1))
    late(ANN, SendMessage("two", id=2))
    late.queue.close()
    assert late.hear() == {} and late.rooms.rooms["lobby"].seq == 0
    assert not late.user(ANN).session.ids, "so they can be said again"
    late.store.complete()  # too late
    assert late.hear() == {}


# --- long answers -------------------------------------------------------------------------------------------------


def test_a_long_answer_goes_out_at_once() -> None:
    chat = Chat()
    chat.say(ANN, Join("ann"))
    assert kinds(chat.hear()[ANN]) == ["Welcome", "UserList"]


def test_who_does_not_take_an_answer_gets_no_more() -> None:
    chat = Chat()
    chat(ANN, Join("ann"))
    chat.server.connections[ANN].takes = False
    handled: list[Command] = []
    handle = chat.rooms.handle
    chat.rooms.handle = lambda client, command, now, token: (
        handled.append(command) or handle(client, command, now, token)
    )
    chat.say(ANN, *[ListRooms()] * 100)
    assert len(handled) == 1


def test_with_a_late_store_two_long_answers_at_most_wait_for_a_client(
    late: Chat,
) -> None:
    """Or short questions would fill our memory with answers that can't go out yet."""
    late(BOB, SendMessage("a commit is under way"))
    late(ANN, *[ListRooms()] * 100, Ping("end"))
    for number in range(100):
        held = late.queue._held + (late.queue._under_way or [])
        assert kinds([event for _, event in held]).count("RoomList") <= 2
        assert not late.server.connections[ANN].reads, "and nothing more is read"
        late.store.complete()
        late.loop.tick()
    settle(late)
    assert late.server.connections[ANN].reads
    heard = kinds(late.hear()[ANN])
    assert heard == ["Message", *["RoomList"] * 100, "Pong"]


def test_who_goes_while_its_questions_wait_is_forgotten(late: Chat) -> None:
    late(BOB, SendMessage("a commit is under way"))
    late(ANN, *[ListRooms()] * 3)
    late.server.close(ANN, "idle")
    settle(late)
    assert kinds(late.hear()[BOB]) == ["Message", "UserLeft"]


# --- each event once for each dialect -------------------------------------------------------------------------------


class Shout:
    """A toy dialect: a line is a message, and an event is its name. It counts its work."""

    encoded: list[str] = []

    def receive(self, data: bytes) -> list[Command | Error]:
        return [SendMessage(line.decode()) for line in data.splitlines()]

    @staticmethod
    def encode(event: Event) -> bytes:
        Shout.encoded.append(type(event).__name__)
        return f"{type(event).__name__.upper()}\n".encode()


class CountingJSON(JSONLines):
    encoded: list[str] = []

    @staticmethod
    def encode(event: Event) -> bytes:
        CountingJSON.encoded.append(type(event).__name__)
        return encode(event)


@pytest.fixture
def mixed() -> Iterator[Chat]:
    """Ten who speak JSON, five who shout."""
    chat = Chat()
    for client in range(15):
        chat.come(client, Shout() if client % 3 == 0 else CountingJSON())
        chat(client, Join(f"user{client}"))
    chat.hear()
    Shout.encoded.clear()
    CountingJSON.encoded.clear()
    chat.server.calls.clear()
    yield chat


def test_each_event_is_encoded_once_for_each_dialect(mixed: Chat) -> None:
    heard = {client: mixed.server.sent[client] for client in range(15)}
    mixed.say(4, SendMessage("hello"))
    mixed.loop.tick()
    assert (Shout.encoded, CountingJSON.encoded) == (["Message"], ["Message"])
    for client in range(15):
        [line] = heard[client]
        assert (line == b"MESSAGE\n") is (client % 3 == 0)
    assert len({id(heard[client][0]) for client in range(15)}) == 2, "shared by all"


def test_the_receivers_of_a_dialect_are_the_same_tuple_all_through_a_batch(
    mixed: Chat,
) -> None:
    mixed.say(4, SendMessage("one"), SendMessage("two"), Ping(), SendMessage("three"))
    mixed.loop.tick()
    first, second, third, fourth = mixed.server.calls
    assert first is third and second is fourth, "so that broadcast can join them"
    assert {*first, *second} == set(range(15)) and len(first) + len(second) == 15


def test_a_long_run_is_cut_and_arrives_in_order() -> None:
    chat = Chat()
    for client, name in ((ANN, "ann"), (BOB, "bob")):
        chat(client, Join(name))
    chat.server.calls.clear()
    many = [str(number) for number in range(2 * EventSender.RUN + 1)]
    chat.say(ANN, *map(SendMessage, many))
    chat.loop.tick()
    assert len(chat.server.calls) == 3
    assert texts(chat.hear()[BOB]) == many


def test_with_one_dialect_the_rooms_own_tuple_is_used() -> None:
    chat = Chat()
    for client, name in ((ANN, "ann"), (BOB, "bob")):
        chat(client, Join(name))
    chat.server.calls.clear()
    chat(ANN, SendMessage("x"))
    assert chat.server.calls[0] is chat.rooms.rooms["lobby"].clients


def test_when_the_last_of_a_dialect_has_gone_there_is_one_again(mixed: Chat) -> None:
    for client in range(0, 15, 3):
        mixed.server.close(client, "idle")
        mixed.loop.tick()
    mixed.server.calls.clear()
    mixed(4, SendMessage("x"))
    assert mixed.server.calls == [mixed.rooms.rooms["lobby"].clients]


def test_who_has_gone_meanwhile_is_left_out() -> None:
    server = HandServer()
    sender = EventSender(server)
    for client, dialect in ((ANN, JSONLines()), (BOB, Shout()), (CY, JSONLines())):
        server.open(client)
        sender.add(ChatConnection(server, client, dialect, Limits()))
    sender.remove(ANN)
    sender.send([Delivery((ANN, BOB, CY), Pong()), Delivery((ANN,), Pong())])
    assert server.sent[ANN] == [] and server.sent[BOB] == [b"PONG\n"]
    assert server.sent[CY] == [b'{"type":"pong"}\n']
    sender.send([Delivery((), Pong())])


def test_an_ok_comes_after_its_message_and_parts_no_broadcasts() -> None:
    server, everybody = HandServer(), (ANN, BOB, CY)
    sender = EventSender(server)
    for client in everybody:
        server.open(client)
        sender.add(ChatConnection(server, client, JSONLines(), Limits()))
    said = [Delivery(everybody, Message("lobby", seq, "ann", "x", 0)) for seq in (1, 2)]
    ok = [Delivery((ANN,), Ok(1, 1)), Delivery((ANN,), Ok(2, 2))]
    sender.send([said[0], ok[0], said[1], ok[1]])
    order = [decode_event(line.rstrip()) for line in server.sent[ANN]]
    assert order == [said[0].event, said[1].event, ok[0].event, ok[1].event]
    server.sent[ANN].clear()
    sender.send([said[0], ok[0], Delivery((ANN,), Pong(7)), said[1], ok[1]])
    order = [decode_event(line.rstrip()) for line in server.sent[ANN]]
    assert order == [said[0].event, ok[0].event, Pong(7), said[1].event, ok[1].event]


def test_last_words_come_after_the_ok() -> None:
    server = HandServer()
    sender = EventSender(server)
    server.open(ANN)
    sender.add(ChatConnection(server, ANN, JSONLines(), Limits()))
    sender.send(
        [Delivery((ANN,), Ok(1, 1)), Delivery((ANN,), Goodbye("left", "Bye.", False))]
    )
    assert server.sent[ANN] == [b'{"type":"ok","id":1,"seq":1}\n']
    assert server.closed == [(ANN, "left")]


def test_a_goodbye_is_done_and_not_sent() -> None:
    chat = Chat()
    chat(ANN, Join("ann"))
    chat.hear()
    chat.queue.hold([Delivery((ANN,), Goodbye("idle", "Bye.", True))])
    chat.loop.tick()
    assert chat.server.closed == [(ANN, "idle")] and chat.hear() == {}


# --- over TCP -----------------------------------------------------------------------------------------------------


class WriterStore(LateStore):
    """A `LateStore` with a thread that takes its time, and fails now and then."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__()
        self.server, self.failures = server, 0
        self.asked, self.ended = threading.Semaphore(0), False
        self.rng = random.Random(1)
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def commit(self, done) -> None:
        super().commit(done)
        self.asked.release()

    def write(self) -> None:
        while self.asked.acquire() and not self.ended:
            threading.Event().wait(self.rng.choice([0.0, 0.001, 0.005]))
            error = "a bad moment" if self.rng.random() < 0.2 else None
            # What a store is, belongs to the loop's thread; so it hears there how it went.
            self.server._server.loop.call_threadsafe(
                lambda error=error: self.end(error)
            )

    def end(self, error: str | None) -> None:
        self.failures += error is not None
        if self.waiting:
            self.complete(error)

    def close(self) -> None:
        self.ended = True
        self.asked.release()
        self.thread.join(LIMIT)


def test_a_real_server_with_a_store_on_a_thread_of_its_own() -> None:
    from helpers import LineClient

    server = ChatServer(limits=Limits(flood_burst=0))
    store = WriterStore(server)
    server._rules = server._rules._replace(rooms=Rooms(server.limits, store))
    with server, LineClient(server.port) as ann, LineClient(server.port) as bob:
        for client, name in ((ann, "ann"), (bob, "bob")):
            client.say("join", username=name)
            assert client.read_until("users")
        said, refused = [], []
        for number in itertools.count():
            ann.say("message", content=f"{number}", id=number)
            ann.say("rooms", id=number)
            answer = next(
                e for e in iter(ann.read, None) if e["type"] in ("ok", "error")
            )
            assert answer["id"] == number
            (said if answer["type"] == "ok" else refused).append(f"{number}")
            if len(said) >= 60 and len(refused) > 3:  # both were seen often enough
                break
        heard = [bob.read_until("message") for _ in said]
        assert [event["content"] for event in heard] == said
        assert [event["seq"] for event in heard] == list(range(1, len(said) + 1))
    store.close()
    assert [each.content for each in store.messages] == said


def test_a_server_that_stops_while_a_commit_is_under_way_stops_in_time() -> None:
    from helpers import LineClient

    server, store = ChatServer(), LateStore()
    server._rules = server._rules._replace(rooms=Rooms(server.limits, store))
    with LineClient(server.start()) as ann:
        ann.say("join", username="ann")
        wait_until(lambda: store.waiting)
        server.stop()
        assert [event["type"] for event in ann.read_all()] == ["goodbye"]
    store.complete()  # nobody is there any more
    server._rules = server._rules._replace(rooms=Rooms(server.limits))
    with server, LineClient(server.port).join("ann"):
        assert server.users == ["ann"]


def test_two_dialects_on_one_server() -> None:
    from helpers import LineClient

    dialects, ahead = itertools.cycle([JSONLines, Shout]), 0.0
    limits = Limits(join_timeout=60.0, ping_after=1000.0)
    server = ChatServer(dialect=lambda: next(dialects)(), limits=limits)
    with server, LineClient(server.port).join("ann") as ann:
        loop = server.engine.loop
        loop._clock = lambda: time.monotonic() + ahead
        with LineClient(server.port) as shouter:
            shouter.send(b"hello\n")
            assert shouter.line() == b"ERROR\n"  # it can't join
            ahead = 61.0
            loop.call_threadsafe(lambda: None)  # it looks at its clock
            assert shouter.line() == b"GOODBYE\n", "also its last words"
            assert shouter.line() == b""
        ann.say("ping")
        assert ann.read() == {"type": "pong"}


# --- what gets old -------------------------------------------------------------------------------------------------


def test_old_messages_are_forgotten_a_part_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Chat(store := SQLiteStore(tmp_path / "chat.db"))
    for seq in range(1, 2501):
        store.append(Message("lobby", seq, "old", "x", 1.0), "session", None)
    store.commit(lambda error: None)
    HistoryCleaner(store, 1.0, chat.loop, partial(chat.queue.hold, [])).clean()
    left = []
    with caplog.at_level("INFO"):
        for _ in range(5):
            left.append(len(store.read("lobby", 0, 9999)))
            chat.loop.tick(0.1)
    assert left == [2500, 1500, 500, 0, 0]
    assert store.bounds("lobby") == (2501, 2500)
    chat.loop.tick(0.1)
    assert [record.message for record in caplog.records] == [
        "history: forgot 2500 old messages"
    ]
    [timer] = chat.loop.timers
    assert 3590 < timer.when - chat.loop.now < 3600
    store.close()


def test_a_clock_that_is_set_forward_makes_nothing_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, now = Chat(store := SQLiteStore(tmp_path / "chat.db")), time.time()
    store.append(Message("lobby", 1, "ann", "x", now - 3600), "session", None)
    store.commit(lambda error: None)
    cleaner = HistoryCleaner(store, 1.0, chat.loop, partial(chat.queue.hold, []))
    monkeypatch.setattr(time, "time", lambda: now + 40 * 86_400)
    cleaner.clean()
    for _ in range(3):
        chat.loop.tick(0.1)
    assert store.bounds("lobby") == (1, 1) and not store.forgetting
    monkeypatch.undo()
    store.close()


def test_who_forgets_goes_on_when_a_commit_has_failed(tmp_path: Path) -> None:
    chat = Chat(store := SQLiteStore(tmp_path / "chat.db"))
    store.append(Message("lobby", 1, "old", "x", 1.0), "session", None)
    store.commit(lambda error: None)

    def fail(db: object) -> None:
        raise StoreError("a bad moment")

    store.change(fail)
    HistoryCleaner(store, 1.0, chat.loop, partial(chat.queue.hold, [])).clean()
    chat.loop.tick(0.1)
    assert store.bounds("lobby") == (1, 1) and store.forgetting
    for _ in range(3):
        chat.loop.tick(0.1)
    assert store.bounds("lobby") == (2, 1) and store.forgotten == 1
    store.close()


def test_a_connection_says_who_has_joined() -> None:
    """The news of a third one comes after what was said before it."""
    chat = Chat()
    chat(ANN, Join("ann"))
    chat.hear()
    chat.say(ANN, SendMessage("first"))
    chat.say(BOB, Join("bob"))
    heard = chat.hear()
    assert kinds(heard[ANN]) == ["Message", "UserJoined"]
    assert isinstance(heard[ANN][1], UserJoined)
