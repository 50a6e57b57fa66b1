"""`python_tcp.room_memory`: what waits, what was read, here or elsewhere."""

from hypothesis import given
from hypothesis import strategies as st

from python_tcp.chat_view import notice
from python_tcp.commands import MarkRead
from python_tcp.events import History, Message, MessageDeleted, SharedFile
from python_tcp.room_memory import ReadMarker, RoomMemory, UnreadLines, file_lines
from python_tcp.typed_lines import Typed


def test_unread_lines_are_bounded() -> None:
    unread = UnreadLines()
    for number in range(2 * unread.MOST):
        unread.add("dev", notice(str(number)), number + 1)
    assert unread.counts() == {"dev": unread.MOST}
    unread.delete("dev", 2 * unread.MOST)
    unread.add("dev", notice("last"), 5000)
    assert unread.counts() == {"dev": unread.MOST} and unread.last("dev") == 5000
    assert unread.take("dev")[-1].plain() == "* last" and unread.counts() == {}
    assert unread.take("dev") == [] and unread.last("dev") == 0


def test_a_mark_never_goes_back() -> None:
    unread = UnreadLines()
    unread.mark("dev", 5), unread.mark("dev", 3)
    for seq in (4, 5, 6):
        unread.add("dev", notice("x"), seq)
    assert unread.counts() == {"dev": 1} and len(unread.take("dev")) == 3


@given(st.lists(st.tuples(st.sampled_from("rhd"), st.integers(1, 9), st.integers(0, 9))))  # fmt: skip
def test_marks_only_grow_and_come_at_most_every_few_seconds(
    steps: list[tuple[str, int, int]],
) -> None:
    marker, now, sent, read, heard = ReadMarker(), 0.0, [], 0, 0
    for what, seq, pause in steps:
        now += pause
        if what == "r":
            marker.read("dev", seq)
            read = max(read, seq)
        elif what == "h":
            marker.heard("dev", seq)
            heard = max(heard, seq)
        else:
            sent += [(now, mark) for mark in marker.due(now)]
    numbers = [mark.seq for _, mark in sent]
    assert numbers == sorted(set(numbers))
    times = [at for at, _ in sent]
    assert all(b - a >= marker.PAUSE for a, b in zip(times, times[1:]))
    told = max([0, heard, *numbers])
    rest = marker.due(now + marker.PAUSE)
    assert rest == ([MarkRead("dev", read)] if read > told else [])
    assert marker.wait(now) is None


# --- files ----------------------------------------------------------------------------------------


class Mover:
    """Notes what is to be carried."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []

    def send_typed(self, text: str, room: str | None = None) -> None:
        self.asked.append(("send", text, room))

    def fetch_typed(self, file: SharedFile, folder: str) -> None:
        self.asked.append(("fetch", file.number, folder))


def shared(number: int) -> Message:
    file = SharedFile(number, f"{number}.jpg", 5, "0" * 64, "http://localhost/")
    return Message("lobby", number, "bob", "5.jpg (5 B)", 0.0, file)


def test_files_are_known_from_messages_and_history_until_they_are_deleted() -> None:
    memory, mover = RoomMemory(), Mover()
    memory.note(shared(3), "ann")
    memory.note(History("lobby", [shared(1), shared(2)], False), "ann")

    def get(*arguments: str) -> list[str]:
        typed = Typed("get", arguments)
        lines = file_lines(typed, "lobby", mover, memory.files)
        return [line.plain() for line in lines]

    assert get("1") == get("#2", "~/my cats") == get("3") == []
    assert mover.asked == [
        ("fetch", 1, ""),
        ("fetch", 2, "~/my cats"),
        ("fetch", 3, ""),
    ]
    memory.note(MessageDeleted("lobby", 3, "bob", 0.0), "ann")
    assert [line[:2] for line in get("3")] == ["! "]
    assert len(mover.asked) == 3


def test_only_so_many_files_are_remembered() -> None:
    memory = RoomMemory()
    for number in range(1, memory.MOST_FILES + 3):
        memory.note(shared(number), "ann")
    assert len(memory.files) == memory.MOST_FILES and 1 not in memory.files


def test_a_file_needs_a_room() -> None:
    mover = Mover()
    (line,) = file_lines(Typed("send", ("cat.jpg",)), "", mover, {})
    assert line.plain() == "! You are in no room." and mover.asked == []
    assert file_lines(Typed("send", ("my cat.jpg",)), "dev", mover, {}) == []
    assert mover.asked == [("send", "my cat.jpg", "dev")]
