"""`python_tcp.room_memory`: what waits, what was read, here or elsewhere."""

from hypothesis import given
from hypothesis import strategies as st

from python_tcp.chat_view import notice
from python_tcp.commands import MarkRead
from python_tcp.room_memory import ReadMarker, UnreadLines


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
