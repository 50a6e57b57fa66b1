"""`python_tcp.messages`: what was said is kept and paged, and what is not safe yet can be taken back."""

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.events import MessageDeleted
from python_tcp.members import Delivery, Room, Session, User
from python_tcp.messages import Archive, MemoryStore, MessageStore, StoreError
from python_tcp.protocol import Error, History, Message, Ok, Pong, Welcome

NOW = 1000.5


def no_error(error: StoreError | None) -> None:
    assert error is None


# --- the store in memory -------------------------------------------------------------------------------------------


def fill(store: MemoryStore, room: str, *seqs: int, content: str = "x") -> None:
    for seq in seqs:
        store.append(Message(room, seq, "ann", content, NOW), "session", None)
        store.commit(no_error)


def seqs(store: MessageStore, room: str) -> list[int]:
    return [message.seq for message in store.read(room, 0, 2**63 - 1)]


def test_memory_keeps_the_last_messages_of_each_room() -> None:
    store = MemoryStore(most=3)
    fill(store, "a", *range(1, 6))
    fill(store, "b", 1, 2)
    assert (store.bounds("a"), seqs(store, "a")) == ((3, 5), [3, 4, 5])
    assert (store.bounds("b"), seqs(store, "b")) == ((1, 2), [1, 2])
    assert [message.seq for message in store.read("a", 4, 4)] == [4] and store.read(
        "c", 0, 9
    ) == []


def test_memory_of_all_rooms_is_bounded_and_the_silent_one_forgets_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MemoryStore, "ROOM_OVERHEAD", 0)
    one = MemoryStore.OVERHEAD + 100
    store = MemoryStore(most_bytes=4 * one)
    for room, seq in [("quiet", 1), ("quiet", 2), ("busy", 1), ("other", 1)]:
        fill(store, room, seq, content="x" * 100)
    assert [seqs(store, room) for room in ("quiet", "busy", "other")] == [
        [1, 2],
        [1],
        [1],
    ]
    fill(store, "busy", 2, content="x" * 100)
    assert [seqs(store, room) for room in ("quiet", "busy", "other")] == [
        [2],
        [1, 2],
        [1],
    ]
    fill(store, "busy", 3, content="x" * 100)
    fill(store, "busy", 4, content="x" * 100)
    assert [seqs(store, room) for room in ("quiet", "busy", "other")] == [
        [],
        [1, 2, 3, 4],
        [],
    ]
    assert store._size == 4 * one


def test_what_memory_has_forgotten_never_comes_again() -> None:
    room = MemoryStore.ROOM_OVERHEAD
    store = MemoryStore(most_bytes=room + 2 * (MemoryStore.OVERHEAD + 1))
    fill(store, "quiet", *range(1, 58))
    fill(store, "busy", 1, 2)
    assert seqs(store, "quiet") == [] and store.bounds("quiet") == (58, 57)
    assert store.bounds("new") == (58, 57), "nor in a room whose name was forgotten too"
    fill(store, "quiet", 58, 59)
    assert store.bounds("quiet") == (58, 59) and store.bounds("busy") == (58, 57)


def test_bytes_of_other_scripts_are_counted_as_more() -> None:
    store = MemoryStore(most_bytes=2000 + MemoryStore.ROOM_OVERHEAD)
    fill(store, "a", 1, 2, content="\U0001f44b" * 200)
    assert seqs(store, "a") == [2]
    fill(store, "b", 1, 2, content="x" * 250)
    assert (seqs(store, "a"), seqs(store, "b")) == ([], [1, 2])


def test_one_long_message_takes_the_place_of_many_short_ones() -> None:
    room = MemoryStore.ROOM_OVERHEAD
    store = MemoryStore(most_bytes=2 * room + 10 * (MemoryStore.OVERHEAD + 1))
    fill(store, "a", *range(1, 6))
    fill(store, "b", *range(1, 6))
    fill(store, "c", 1, content="x" * (7 * MemoryStore.OVERHEAD))
    assert [seqs(store, room) for room in "abc"] == [[], [4, 5], [1]]


@pytest.mark.slow
@pytest.mark.parametrize("rooms", [1, 3000])
@pytest.mark.parametrize("letter", ["x", "ü", "漢", "\U0001f44b"])
@pytest.mark.parametrize("length", [1, 100, 2000])
def test_what_is_counted_is_what_it_costs(rooms: int, letter: str, length: int) -> None:
    """A quarter of it was counted for many rooms, and four times as much for "é"."""
    count = 600 if length == 2000 else 3000  # long ones take long
    tracemalloc.start()
    try:
        store, before = MemoryStore(10_000), tracemalloc.get_traced_memory()[0]
        for n in range(count):
            text, name = f"{n:04}{letter * length}", "".join(["user ", str(n % 50)])
            room = f"room {n % rooms}"
            store.append(Message(room, 10**6 + n, name, text, n + 0.5), "", None)
            store.read(room, 10**6 + n, 10**6 + n)  # which encodes it
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.75 < used / store._size < 1.15


SAID = st.lists(
    st.tuples(st.sampled_from("abc"), st.text("xü", min_size=1, max_size=50)),
    max_size=60,
)


@given(SAID, st.integers(0, 5), st.integers(0, 3000))
def test_memory_never_keeps_too_much_and_never_a_gap(
    said: list, most: int, most_bytes: int
) -> None:
    store, last = MemoryStore(most, most_bytes), Counter()
    for room, content in said:
        last[room] = max(last[room], store.bounds(room)[1]) + 1
        fill(store, room, last[room], content=content)
        kept = {name: seqs(store, name) for name in "abc"}
        for name, numbers in kept.items():
            assert len(numbers) <= most and numbers == list(
                range(last[name] - len(numbers) + 1, last[name] + 1)
            ) * bool(numbers)
            first, end = store.bounds(name)
            assert (
                (first, end) == (numbers[0], numbers[-1])
                if numbers
                else first == end + 1
                and end >= last[name] * (last[name] > 0 and name == room)
            )
        texts = sum(
            MemoryStore.OVERHEAD + len(message.content.encode())
            for name in "abc"
            for message in store.read(name, 0, 999)
        ) + sum(MemoryStore.ROOM_OVERHEAD for name in "abc" if kept[name])
        assert texts <= most_bytes


def test_a_memory_is_as_safe_as_it_will_be_and_says_so_at_once() -> None:
    store, done = MemoryStore(), []
    fill(store, "a", 1)
    store.commit(done.append)
    store.close()
    assert done == [None] and seqs(store, "a") == [1]
    assert store.ids("session") == {}


# --- what is not safe yet ----------------------------------------------------------------------------------------


class Desk:
    """An archive, a room and a user who talks in it."""

    def __init__(self) -> None:
        self.archive, self.room = Archive(MemoryStore()), Room("lobby")
        self.user = User(1, "ann", Session("a-token-of-ann-16"))

    def say(self, content: str, id: int | None = None) -> list[Delivery]:
        message = self.room.say("ann", content, NOW)
        ok = None if id is None else Ok(id, message.seq)
        self.archive.append(self.user, message, ok)
        said = [Delivery((1, 2), message)]
        return said if ok is None else [*said, Delivery((1,), ok)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_was_appended_is_there_at_once(desk: Desk) -> None:
    desk.say("a", id=7)
    assert desk.archive.store.bounds("lobby") == (1, 1)
    assert [each.content for each in desk.archive.page(desk.room).messages] == ["a"]


def test_what_is_committed_can_not_be_taken_back(desk: Desk) -> None:
    desk.say("a")
    desk.archive.committed(desk.archive.mark())
    undone = desk.archive.take_back(StoreError("no more"))
    assert (undone.last, undone.ids) == ({}, {})


def test_a_rollback_knows_numbers_and_ids(desk: Desk) -> None:
    desk.say("a", id=7)
    desk.archive.committed(desk.archive.mark())
    for id in (8, None, 9):
        desk.say("b", id)
    undone = desk.archive.take_back(StoreError("no more"))
    assert undone.last == {"lobby": 1}
    assert undone.ids == {desk.user.session.key: {8, 9}}
    assert desk.archive.take_back(StoreError("again")).last == {}, "once is enough"


def test_a_rollback_corrects_what_was_held_back(desk: Desk) -> None:
    with_id, without = desk.say("a", id=7), desk.say("b")
    page = Delivery((2,), desk.archive.page(desk.room, after=0))
    greeting = Delivery((3,), Welcome("cy", "lobby", "", seq=2))
    other = Delivery((4,), Pong(1))
    undone = desk.archive.take_back(StoreError("no more"))

    def after(delivery: Delivery) -> tuple | None:
        return undone.corrected(delivery)

    assert after(with_id[0]) is None, "the error stands where the `Ok` was"
    error = Error("not_saved", "not said: no more", 7, 1.0)
    assert after(with_id[1]) == ((1,), error)
    assert after(without[0]) == (
        (1,),
        Error("not_saved", "not said: no more", None, 1.0),
    )
    assert after(page) == ((2,), History("lobby", [], False))
    assert after(greeting).event.seq == 0
    assert after(other) is other


def test_an_ok_that_was_said_again_is_taken_back_with_its_message(desk: Desk) -> None:
    desk.say("a", id=7)
    again = Ok(7, 1)
    desk.archive.say_again(desk.user, again)
    undone = desk.archive.take_back(StoreError("no more"))
    assert undone.corrected(Delivery((1,), again)).event.code == "not_saved"
    stranger = Delivery((1,), Ok(7, 1))  # equal, and of another session
    assert undone.corrected(stranger) is stranger


def test_events_that_are_held_are_not_changed_but_replaced(desk: Desk) -> None:
    desk.say("a")
    page = desk.archive.page(desk.room, after=0)
    undone = desk.archive.take_back(StoreError("no more"))
    assert undone.corrected(Delivery((1,), page)).event.messages == []
    assert [message.seq for message in page.messages] == [1]


def test_trouble_is_over_when_a_message_was_kept(desk: Desk) -> None:
    desk.say("a")
    desk.archive.take_back(StoreError("no more"))
    assert desk.archive.trouble == "no more"
    desk.archive.page(desk.room, after=0)
    desk.archive.committed(desk.archive.mark())
    assert desk.archive.trouble == "no more", "a page is no message"
    desk.say("a")
    desk.archive.committed(desk.archive.mark())
    assert desk.archive.trouble is None


def test_a_room_costs_memory_too_and_gives_it_back() -> None:
    """400,000 rooms with a message each took 265 MB where the limit says 64."""
    each = MemoryStore.ROOM_OVERHEAD + MemoryStore.OVERHEAD + 100
    store = MemoryStore(most_bytes=100 * each)
    tracemalloc.start()
    for number in range(2000):
        fill(store, f"room-{number:05}", 1, content="x" * 100)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(store._rooms) == 100
    assert size < 1.25 * store._most_bytes


# --- deleting, and what is written down beside the messages ---------------------------


def test_a_deleted_message_keeps_its_number_in_memory() -> None:
    store = MemoryStore(most=3)
    fill(store, "a", *range(1, 6), content="an insult")
    full = store._size
    for seq in (4, 2, 6, -1):  # the last three are not there
        store.delete("a", seq)
    store.delete("nowhere", 1)
    assert [each.content for each in store.read("a", 0, 9)] == [
        "an insult",
        "",
        "an insult",
    ]
    assert store.bounds("a") == (3, 5) and store._size == full - len("an insult")


def spoken(archive: Archive, room: Room, *texts: str) -> list[Message]:
    ann = User(1, "ann", Session("a-secret-of-ann-1"))
    said = [room.say("ann", text, NOW) for text in texts]
    for message in said:
        archive.append(ann, message, None)
    return said


def test_what_is_deleted_before_anybody_has_heard_it_nobody_hears() -> None:
    archive, room = Archive(MemoryStore()), Room("a")
    first, second = spoken(archive, room, "one", "two")
    archive.committed(1)
    archive.delete("a", 1)
    archive.delete("a", 2)
    assert (first.content, second.content) == ("one", ""), "the first one was told"
    assert [each.content for each in archive.store.read("a", 1, 2)] == ["", ""]


class Forgetful(MemoryStore):
    """Notes what is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[int] = []

    def delete(self, room: str, seq: int) -> None:
        self.deleted.append(seq)


def test_changes_are_made_again_after_each_commit_that_fails_until_one_keeps_them() -> (
    None
):
    archive, made = Archive(MemoryStore()), []
    archive.write_down(lambda: made.append("a"))
    mark = archive.mark()
    archive.write_down(lambda: made.append("b"))  # the commit is under way
    archive.committed(mark)
    for _ in range(2):
        archive.take_back(StoreError("full"))
    assert made == ["a", "b", "b", "b"]
    archive.committed(archive.mark())
    archive.take_back(StoreError("full"))
    assert made == ["a", "b", "b", "b"]


def test_the_deletion_of_what_was_never_said_is_forgotten() -> None:
    """Another message may get its number."""
    archive, room = Archive(store := Forgetful()), Room("a")
    spoken(archive, room, "one")
    archive.committed(1)
    spoken(archive, room, "two")
    archive.delete("a", 1)
    archive.delete("a", 2)
    archive.take_back(StoreError("full"))
    assert store.deleted == [1, 2, 1]


def test_that_a_message_was_deleted_is_not_told_if_it_was_never_said() -> None:
    archive, room = Archive(MemoryStore()), Room("a")
    spoken(archive, room, "one")
    archive.committed(1)
    spoken(archive, room, "two")
    events = [MessageDeleted("a", seq, "ann", NOW) for seq in (1, 2)]
    for seq in (1, 2):
        archive.delete("a", seq)
    undone = archive.take_back(StoreError("full"))
    told = [undone.corrected(Delivery((1,), event)) for event in events]
    assert told == [Delivery((1,), events[0]), None]


def test_what_is_deleted_in_its_own_tick_is_not_counted_any_more() -> None:
    """Else the memory would seem to be full of texts that are not there."""
    sizes = []
    for is_committed in (True, False):
        store = MemoryStore()
        archive, ann = Archive(store), User(1, "ann", Session("a-token-of-ann-16"))
        message = Message("a", 1, "ann", "hello" * 100, NOW)
        archive.append(ann, message, None)
        if is_committed:
            archive.committed(archive.mark())
        archive.delete("a", 1)
        sizes.append(store._size)
    assert sizes[0] == sizes[1]
