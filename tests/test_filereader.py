"""History is read on a thread: the loop goes on, and answers fit to what was said meanwhile."""

import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import LIMIT, LineClient
from waiting import Barrier, wait_until

from python_tcp import filereader
from python_tcp.chat_server import ChatServer
from python_tcp.history import SQLiteStore
from python_tcp.messages import StoreError
from python_tcp.members import Delivery
from python_tcp.protocol import History, Leave, Limits, Message
from python_tcp.rooms import GetHistory, Join, Rooms, SendMessage

FREE = Limits(flood_burst=0, connections_per_address=0)
TOKEN = "a-token_of-16-to-64"


def fill(path: Path, count: int, length: int = 10, room: str = "lobby") -> None:
    store = SQLiteStore(path)
    for seq in range(1, count + 1):
        store.append(Message(room, seq, "ann", "x" * length, 1.0), "", None)
    store.commit(lambda error: None)
    store.close()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Barrier]:
    """Before the thread looks for something."""
    reader, files = Barrier(), filereader.FileReader
    monkeypatch.setattr(files, "query", reader.before(files.query, "FileReader"))
    yield reader
    reader.go_on()


# --- over the network --------------------------------------------------------------------


def test_while_history_is_read_everybody_else_talks(
    tmp_path: Path, reader: Barrier
) -> None:
    fill(tmp_path / "chat.db", 20)
    with (
        ChatServer(data=tmp_path / "chat.db", limits=FREE) as server,
        LineClient(server.port).join("ann", "quiet") as ann,
        LineClient(server.port).join("bob", "quiet") as bob,
        LineClient(server.port).join("eve", "lobby") as eve,
    ):
        reader.slow_down()
        eve.say("history", limit=5, id=1)
        assert reader.entered.wait(LIMIT)
        eve.say("message", content="after the question", id=2)
        eve.say("history", after=0, limit=3, id=3)
        for number in range(5):
            ann.say("message", content=f"{number}")
            bob.read_until("message", content=f"{number}")
        reader.go_on()
        page = eve.read_until("history")
        assert [each["seq"] for each in page["messages"]] == [16, 17, 18, 19, 20]
        assert eve.read_until("ok")["seq"] == 21, "in the order of the questions"
        assert [each["seq"] for each in eve.read_until("history")["messages"]] == [1, 2, 3]  # fmt: skip


def test_who_has_sent_the_end_still_gets_the_answer(
    tmp_path: Path, reader: Barrier
) -> None:
    """As with `printf ... | nc -N`; the last line has no newline."""
    fill(tmp_path / "chat.db", 3)
    with ChatServer(data=tmp_path / "chat.db") as server:
        reader.slow_down()
        with socket.create_connection(("127.0.0.1", server.port), LIMIT) as sock:
            sock.sendall(
                b'{"type":"join","username":"ann","since":1}\n{"type":"history"}'
            )
            sock.shutdown(socket.SHUT_WR)
            assert reader.entered.wait(LIMIT)
            reader.go_on()
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
    assert answer.count(b'{"type":"history"') == 2


def test_nothing_is_read_for_those_who_have_gone(
    tmp_path: Path, reader: Barrier
) -> None:
    fill(tmp_path / "chat.db", 3)
    with ChatServer(data=tmp_path / "chat.db", limits=FREE) as server:
        reader.slow_down()
        people = [LineClient(server.port) for _ in range(20)]
        for number, person in enumerate(people):
            person.say("join", username=f"u{number}", since=0)
        assert reader.entered.wait(LIMIT)
        wait_until(lambda: server.connections == len(people))
        for client in list(server._server.connections):
            server._server.close(client, "idle")
        wait_until(lambda: not server.connections)
        before = reader.calls
        reader.go_on()
        store = server._rules.rooms.store
        wait_until(lambda: not store._reader._open)
        assert reader.calls <= before + 1 and server.users == []
        for person in people:
            person.close()


def test_the_server_stops_while_history_is_read(
    tmp_path: Path, reader: Barrier
) -> None:
    fill(tmp_path / "chat.db", 3)
    server = ChatServer(data=tmp_path / "chat.db")
    server.start()
    reader.slow_down()
    with LineClient(server.port) as ann:
        ann.say("join", username="ann", since=0)
        assert reader.entered.wait(LIMIT)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert ann.read_until("goodbye")["code"] == "server_closing"
        reader.go_on()
        stopping.join(LIMIT)
        wait_until(lambda: not server.running)
    assert not [each for each in threading.enumerate() if each.name == "FileReader"]


def test_what_can_not_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(reader: object, *args: object) -> object:
        raise troubles.pop()

    with (
        ChatServer(data=tmp_path / "chat.db") as server,
        LineClient(server.port).join("ann") as ann,
    ):
        troubles = [ZeroDivisionError("a bug"), StoreError("a bad disk")]
        monkeypatch.setattr(filereader.FileReader, "page", broken)
        for trouble in ("a bad disk", "a bug"):
            ann.say("history", id=trouble)
            error = ann.read_until("error")
            assert error["code"] == "no_history" and trouble in error["content"]
        monkeypatch.undo()
        ann.say("history", id=3)
        assert ann.read_until("history")["id"] == 3, "the thread goes on"


@pytest.mark.parametrize("data", [True, False])
def test_a_page_costs_what_it_is_long(tmp_path: Path, data: bool) -> None:
    path = tmp_path / "chat.db" if data else None
    limits = Limits(flood_burst=100, flood_rate=0.01)
    with (
        ChatServer(data=path, limits=limits) as server,
        LineClient(server.port).join("ann") as ann,
        LineClient(server.port).join("eve") as eve,
    ):
        for number in range(30):
            ann.say("message", content="x" * 4000, id=number)
            ann.read_until("ok")
        for number in range(60):
            eve.say("history", id=number)
        pages = 0
        while (event := eve.read())["type"] != "error":
            pages += event["type"] == "history"
        assert 28 <= pages <= 36, "not 60"
        assert event["code"] == "rate_limited" and event["retry_after"] <= 300


# --- what was said meanwhile ----------------------------------------------------------------


class Chat:
    """Rooms on a store with a thread, and a queue in the place of the loop."""

    def __init__(self, path: Path) -> None:
        self.calls: queue.SimpleQueue = queue.SimpleQueue()
        self.store = SQLiteStore(path, post=self.calls.put)
        self.rooms = Rooms(FREE, self.store)
        self.wanted = True

    def ask(self, client: int, command: object) -> list:
        """The events that are told, in a list that is filled later."""
        told: list = []
        self.store.consult(
            lambda: self.rooms.handle(client, command, 1.0, TOKEN),
            lambda deliveries: told.extend(each.event for each in deliveries),
            lambda: self.wanted,
        )
        return told

    def say(self, client: int, content: str, *, commit: bool = True) -> None:
        self.rooms.handle(client, SendMessage(content, id=content), 1.0, TOKEN)
        if commit:
            mark = self.rooms.mark()
            self.store.commit(lambda error: self.committed(mark, error))
            self.store.finish()

    def fail(self) -> None:
        """Ann says something that there is no space for."""
        self.store._writer._db.execute("PRAGMA max_page_count = 1")
        self.say(1, "x" * 4000 * 4)
        assert self.rooms.trouble is not None
        self.store._writer._db.execute("PRAGMA max_page_count = 1000000")

    def committed(self, mark: int, error: StoreError | None) -> None:
        if error is None:
            self.rooms.committed(mark)
        else:
            self.rooms.take_back([], error)

    def answer(self, told: list) -> None:
        """Let the thread's answers in, until this one is there."""
        while not told:
            self.calls.get(timeout=LIMIT)()

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    fill(tmp_path / "chat.db", 10)
    chat = Chat(tmp_path / "chat.db")
    chat.answer(chat.ask(1, Join("ann")))
    yield chat
    chat.close()


def seqs(told: list) -> list[int]:
    return [each.seq for event in told for each in getattr(event, "messages", ())]


@pytest.mark.parametrize("rounds", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "committed", "pending"])
def test_what_is_said_between_question_and_answer_is_in_the_page(
    chat: Chat, when: str, rounds: int
) -> None:
    """Wherever it is: in no page would be a gap, in both would be twice."""
    if when == "before":
        chat.say(1, "early", commit=False)
    told = [chat.ask(1, GetHistory(limit=3)), chat.ask(1, GetHistory(after=8, limit=9))]
    for _ in range(rounds):
        chat.calls.get(timeout=LIMIT)()
    if not all(told):
        chat.say(1, "meanwhile", commit=when != "pending")
        last = chat.rooms.rooms["lobby"].seq
        for each in told:
            chat.answer(each)
        assert last == 11 + (when == "before")
        assert seqs(told[0]) == [last - 2, last - 1, last]
        assert seqs(told[1]) == list(range(9, last + 1))


def test_a_room_that_was_asked_for_too_early_gives_no_number_twice(chat: Chat) -> None:
    """Bob's first question about a room is answered before anything was said there. When he
    gets the second answer, ann was there, has said something, and is gone again.
    """
    bob = chat.ask(2, Join("bob", "attic", since=0))
    chat.answer(chat.ask(1, Join("ann", "attic")))
    assert not bob
    chat.say(1, "first")
    chat.rooms.handle(1, Leave("attic"), 1.0, TOKEN)
    chat.answer(bob)
    chat.say(2, "second")
    chat.answer(found := chat.ask(2, GetHistory("attic")))
    assert seqs(found) == [1, 2]


def test_an_answer_from_before_a_failed_commit_is_not_used(chat: Chat) -> None:
    """What made it right was pending, and is forgotten with what was not kept."""
    chat.answer(chat.ask(1, Join("ann", "attic")))
    chat.say(1, "first", commit=False)
    chat.rooms.handle(1, Leave("attic"), 1.0, TOKEN)
    bob = chat.ask(2, Join("bob", "attic"))
    answer = chat.calls.get(timeout=LIMIT)  # of a file in which nothing was said there
    chat.say(1, "in the lobby")  # and with it the first message is committed
    chat.fail()
    answer()
    chat.answer(bob)
    chat.say(2, "second")
    chat.answer(found := chat.ask(2, GetHistory("attic")))
    assert seqs(found) == [1, 2]


def test_a_page_that_begins_earlier_is_another_question(chat: Chat) -> None:
    def rule() -> list:
        pages = [chat.store.read("lobby", first, 10) for first in (8, 9, 7)]
        return [Delivery((1,), History("lobby", page, False)) for page in pages]

    told: list = []
    chat.store.consult(rule, told.extend, lambda: True)
    chat.answer(told)
    assert [len(each.event.messages) for each in told] == [3, 2, 4]


def test_when_a_commit_fails_what_was_read_before_is_forgotten(chat: Chat) -> None:
    told = chat.ask(1, GetHistory(limit=3))
    chat.calls.get(timeout=LIMIT)()  # its first answer is there
    chat.say(1, "kept")
    chat.fail()
    chat.answer(told)
    assert seqs(told) == [9, 10, 11]
    chat.say(1, "again")
    assert chat.rooms.rooms["lobby"].seq == 12


def test_what_is_committed_is_not_kept_in_memory_for_ever(chat: Chat) -> None:
    told = [chat.ask(1, GetHistory()) for _ in range(3)]
    for number in range(5):
        chat.say(1, f"{number}")
    assert len(chat.store._pending.of_room("lobby")) == 5, "an inquiry may need it"
    for each in told:
        chat.answer(each)
    assert not chat.store._pending.of_room("lobby") and not chat.store._reader._settled


def test_questions_of_those_who_have_gone_are_dropped(chat: Chat) -> None:
    chat.wanted = False
    told = chat.ask(1, GetHistory())
    chat.calls.get(timeout=LIMIT)()
    assert not told and not chat.store._reader._open


def test_a_rule_that_fails_leaves_no_inquiry_behind(chat: Chat) -> None:
    def rule() -> list:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chat.store.consult(rule, lambda told: None, lambda: True)
    assert not chat.store._reader._open and chat.store._reader._asking is None


def test_the_next_page_is_read_when_the_last_one_was_taken(chat: Chat) -> None:
    """Else a loop that is late would find many of them at once, and be later still."""
    told = [chat.ask(1, GetHistory(limit=3)) for _ in range(3)]
    answer = chat.calls.get(timeout=LIMIT)
    with pytest.raises(queue.Empty):
        chat.calls.get(timeout=0.2)
    answer()
    for each in told:
        chat.answer(each)
