"""What a client has read of a room, and what it asks for."""

import itertools

import pytest

from python_tcp.delivery import SendQueue
from python_tcp.protocol import (
    Error,
    GetHistory,
    History,
    Join,
    ListUsers,
    Message,
    RoomList,
    UserJoined,
    UserLeft,
    UserList,
    Welcome,
)
from python_tcp.room_views import HistoryGap, RoomView, RoomViews


def hello(seq: int, epoch: str = "e", room: str = "lobby") -> Welcome:
    return Welcome("ann", room, "Hi.", seq, epoch, "t" * 20)


def said(*numbers: int) -> list[Message]:
    return [Message("lobby", number, "bob", "x", 0.0) for number in numbers]


def page(*numbers: int, more: bool = False, lost: int = 0, id: str | None = None):
    return History("lobby", said(*numbers), more, lost, id)


def rejoined(read: int, target: int, epoch: str = "e") -> tuple[RoomView, list]:
    """A view that has read so far, lost its connection, and has been welcomed again."""
    view = RoomView(hello(read))
    view.lost()
    assert view.rejoin() == read
    return view, view.welcome(hello(target, epoch))


# --- one room ----------------------------------------------------------------------------------------------------


def test_messages_are_read_in_order_and_once() -> None:
    view = RoomView(hello(3))
    assert view.receive(said(4)[0]) == said(4) and not view.missing
    assert view.receive(said(4)[0]) == [] == view.receive(said(6)[0])
    assert view.missing
    assert view.receive(said(5)[0]) == said(5, 6) and not view.missing


def test_a_gap_is_asked_for_once() -> None:
    view = RoomView(hello(3))
    view.receive(said(6)[0])
    assert view.question("q") == GetHistory("lobby", after=3, limit=1000, id="q")
    assert not view.missing and view.awaits("q") and not view.awaits(None)
    assert view.read(page(4, 5, id="q")) == (said(4, 5, 6), False)
    assert view.awaits(None)


def test_on_the_way_back_the_page_comes_unasked() -> None:
    view, told = rejoined(3, target=6)
    assert told == [] and view.behind and view.awaits(None)
    view.receive(said(7)[0])
    assert not view.missing, "the page is on its way"
    assert view.read(page(4, 5, 6)) == (said(4, 5, 6, 7), False)
    assert not view.behind


def test_a_page_with_more_behind_it_leaves_the_room_behind() -> None:
    view, _ = rejoined(3, target=9)
    assert view.read(page(4, 5, more=True)) == (said(4, 5), True) and view.behind
    view.question("q")
    assert view.read(page(6, 7, id="q")) == (said(6, 7), True), "up to 9 there is more"
    view.question("r")
    assert view.read(page(8, 9, id="r")) == (said(8, 9), False) and not view.behind


@pytest.mark.parametrize(
    ("kept", "lost", "told"),
    [
        ((6, 7), 2, [HistoryGap("lobby", 2), *said(6, 7)]),
        ((), 4, [HistoryGap("lobby", 4)]),
    ],
)
def test_what_is_lost_is_told_in_its_place(kept: tuple, lost: int, told: list) -> None:
    view, _ = rejoined(3, target=7)
    assert view.read(page(*kept, lost=lost)) == (told, False)
    assert view.receive(said(8)[0]) == said(8)


def test_what_the_server_does_not_have_is_a_gap_and_not_a_loop() -> None:
    view, _ = rejoined(3, target=7)
    assert view.read(page()) == ([HistoryGap("lobby", 4)], False)
    view = RoomView(hello(3))
    view.receive(said(9)[0])
    view.question("q")
    assert view.read(page(id="q")) == ([HistoryGap("lobby", 5), *said(9)], False)


def test_a_number_below_what_was_read_is_a_new_epoch_whatever_its_name() -> None:
    """As when a server has lost its last messages: the next ones have their numbers."""
    view, told = rejoined(10, target=5)
    assert told == [HistoryGap("lobby", None)]
    view.receive(said(6)[0])
    assert view.read(page(1, 2, 3, 4, 5))[0] == said(1, 2, 3, 4, 5, 6)
    assert view.receive(said(7)[0]) == said(7), "and not thrown away as heard before"
    view, told = rejoined(10, target=10)
    assert told == []


def test_of_a_long_past_in_a_new_epoch_the_end_is_read() -> None:
    view, told = rejoined(10, target=5000, epoch="f")
    assert told == [HistoryGap("lobby", None)]
    assert view.read(page(1, 2, more=True)) == ([], True)
    assert view.question("q").after == 4000


def test_a_new_numbering_is_told_and_read_from_its_beginning() -> None:
    view, told = rejoined(30, target=2, epoch="f")
    assert told == [HistoryGap("lobby", None)] and view.epoch == "f"
    assert view.read(page(1, 2)) == (said(1, 2), False)


def test_who_is_there() -> None:
    view = RoomView(hello(0))
    view.presence(UserList("lobby", ["ann", "bob"]))
    view.presence(UserJoined("lobby", "cy", 0.0))
    view.presence(UserLeft("lobby", "bob", 0.0))
    view.presence(UserLeft("lobby", "nobody", 0.0))
    assert view.users == ["ann", "cy"]


# --- all rooms ---------------------------------------------------------------------------------------------------


@pytest.fixture
def rooms() -> RoomViews:
    """In the lobby and the attic, which is where we talk."""
    rooms = RoomViews(SendQueue(), itertools.count(1))
    for room in ("lobby", "attic"):
        rooms.join(room, "ann", None)
        assert [join.room for join in rooms._queue.due(0.0)] == [room]
        assert rooms.welcome(hello(5, room=room)) == [hello(5, room=room)]
    assert not rooms.joining and len(rooms._queue) == 0
    return rooms


def test_we_talk_in_the_last(rooms: RoomViews) -> None:
    assert rooms.current == "attic"
    assert rooms.switch_to("lobby") and rooms.current == "lobby"
    assert not rooms.switch_to("cellar") and rooms.current == "lobby"
    assert RoomViews(SendQueue(), itertools.count()).current is None


def test_rooms_are_entered_again_one_after_the_other(rooms: RoomViews) -> None:
    rooms.lost()
    assert rooms.rejoin("ann", "token") and rooms.rejoin("ann", "token")
    [join] = rooms._queue.due(0.0)
    assert join == Join("ann", "lobby", 5, "token", join.id)
    rooms.welcome(hello(5))
    rooms.receive(page())
    assert rooms.rejoin("ann", "token") and rooms.entering == "attic"
    rooms.welcome(hello(5, room="attic"))
    rooms.receive(History("attic", [], False))
    assert not rooms.rejoin("ann", "token") and rooms.entering is None


def test_a_list_of_users_is_not_told_on_the_way_back(rooms: RoomViews) -> None:
    users = UserList("lobby", ["ann", "bob"])
    assert rooms.receive(users) == [users]
    rooms.lost()
    assert rooms.receive(users) == [] and rooms["lobby"].users == ["ann", "bob"]


def test_what_is_missing_is_asked_for_first(rooms: RoomViews) -> None:
    assert rooms.receive(said(7)[0]) == [] == rooms.receive(said(8)[0])
    [question] = rooms._queue.due(0.0)
    assert question == GetHistory("lobby", after=5, limit=1000, id=question.id)
    assert rooms.receive(page(6, id="another")) == []
    assert rooms.receive(page(6, id=question.id)) == said(6, 7, 8)


def test_a_question_that_is_refused_is_a_gap(rooms: RoomViews) -> None:
    rooms.receive(said(8)[0])
    [question] = rooms._queue.due(0.0)
    error = Error("no_history", "disk I/O error", question.id)
    told = [error, HistoryGap("lobby", 2), *said(8)]
    assert rooms.refused(error) == (told, None) and len(rooms._queue) == 0


def test_a_join_that_is_refused(rooms: RoomViews) -> None:
    id = rooms.join("cellar", "ann", None)
    other = Error("bad_room", "no", 99)
    assert rooms.refused(other) == ([other], None)
    error = Error("bad_room", "no", id)
    assert rooms.refused(error) == ([error], "cellar") and not rooms.joining
    without_id = Error("x", "x")
    assert rooms.refused(without_id) == ([without_id], None)


def test_of_rooms_that_we_are_not_in(rooms: RoomViews) -> None:
    message, lost = Message("cellar", 1, "bob", "x", 0.0), History("cellar", [], True)
    assert rooms.receive(message) == [] == rooms.receive(lost)
    gone, listed = UserLeft("cellar", "bob", 0.0), RoomList([])
    assert rooms.receive(gone) == [gone] and rooms.receive(listed) == [listed]
    answer = History("cellar", [], False, id=7)  # to a question of the person's
    assert rooms.receive(answer) == [answer]


def test_a_list_in_pages_is_asked_for_to_its_end() -> None:
    queue = SendQueue()
    rooms = RoomViews(queue, itertools.count(1))
    rooms.welcome(Welcome("ann", "lobby", "Hi.", 0, "e", "t" * 20))
    first = UserList("lobby", ["ann", "bob"], more=True)
    assert rooms.receive(first) == [first]
    assert queue.due(0.0) == [ListUsers("lobby", "bob")]
    rooms.receive(UserJoined("lobby", "cy", 0.0))
    rest = UserList("lobby", ["cy", "dan"], after="bob")
    assert rooms.receive(rest) == [rest] and queue.due(0.0) == []
    assert rooms["lobby"].users == ["ann", "bob", "cy", "dan"], "each once"
