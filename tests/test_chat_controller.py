"""`python_tcp.chat_controller`: what events and typed lines do. No screen, no server, no clock."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from python_tcp.chat_controller import (
    PRESENCE_TRANSITIONS, ChatController, Presence, connection, parts_of_bar,
)  # fmt: skip
from python_tcp.chat_session import ClientEvent, Disconnected, Reconnected
from python_tcp.chat_view import Line
from python_tcp.commands import Ban, DeleteMessage, Kick, Logout, MarkRead
from python_tcp.events import MessageDeleted, Moderated, ReadMark, SharedFile
from python_tcp.events import TopicChanged
from python_tcp.protocol import (
    Error, History, Message, RoomList, RoomSize, StatusChanged, UserJoined, UserLeft, UserList, Welcome, WhisperReceived,
)  # fmt: skip

from python_tcp.transfers import Direction, Transfer, TransferState
from python_tcp.typed_lines import COMMANDS, PRIVATE, Typed, parse

DAY, NOW = 9.0, 100.0  # Unix time


class Client(SimpleNamespace):
    """What a `ChatController` needs of a `ChatClient`, with a record of its calls."""

    def __init__(self) -> None:
        super().__init__(username="ann", rooms={"lobby": ["ann", "bob"]}, account=None, unconfirmed=[], error=None, calls=[], answer=True)  # fmt: skip
        self.files = self  # it notes what is to be sent and fetched, too

    def __getattr__(self, name: str):
        def call(*arguments: object) -> bool:
            self.calls.append((name, *arguments))
            return self.answer

        return call


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def chat(client: Client) -> ChatController:
    """Ann's, who has joined."""
    chat = ChatController(client, do=lambda call: call())
    chat.arrived(Welcome("ann", "lobby", "Hello", 0), NOW)
    return chat


@pytest.fixture
def plain(client: Client) -> ChatController:
    """The same for a client that shows line after line."""
    chat = ChatController(client, do=lambda call: call(), hold=False)
    chat.arrived(Welcome("ann", "lobby", "Hello", 0), NOW)
    return chat


def text_of(line: Line) -> str:
    return "".join(span.text for span in line.spans)


def told(chat: ChatController, event: ClientEvent, now: float = NOW) -> list[str]:
    return [text_of(line) for line in chat.arrived(event, now)]


def typed(chat: ChatController, line: str) -> list[str]:
    return [text_of(line) for line in chat.typed(parse(line), NOW)]


def refused(chat: ChatController, error: Error | None) -> list[str]:
    return [text_of(line) for line in chat.refused(error, NOW)]


# --- typed lines -----------------------------------------------------------------------


@pytest.mark.parametrize(("line", "call"), [
    ("hello", ("send_message", "hello", "lobby")), ("/me waves", ("send_message", "/me waves", "lobby")), ("/w bob x", ("whisper", "bob", "x")), ("/users", ("ask_users",)),
    ("/rooms", ("ask_rooms",)), ("/join Dev", ("join", "Dev")), ("/leave", ("leave", "lobby")), ("/leave LOBBY", ("leave", "lobby")), ("/room lobby", ("join", "lobby")),
    ("/history 7", ("ask_history", 7)), ("/history", ("ask_history", 20)), ("/away", ("set_status", "away")), ("/away lunch", ("set_status", "lunch")), ("/back", ("set_status", "online")),
])  # fmt: skip
def test_each_command_calls_the_client(
    chat: ChatController, client: Client, line: str, call: tuple
) -> None:
    assert typed(chat, line) == [] and client.calls == [call]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_known(
    chat: ChatController, client: Client, command: str
) -> None:
    arguments = tuple(
        "bob" for word in COMMANDS[command][0].split()[1:] if word[0] != "["
    )
    if command == "server":
        arguments = ("ban", "bob")
    lines = chat.typed(Typed(command, arguments), NOW)
    own = command in ("clear", "quit", *PRIVATE)  # whoever has the screen does these
    assert bool(lines or client.calls) != own


@pytest.mark.parametrize("line", ["", "/clear", "/quit"])
def test_what_is_not_its_business(
    chat: ChatController, client: Client, line: str
) -> None:
    assert typed(chat, line) == [] and client.calls == []


def test_a_call_that_fails_gives_its_error(
    chat: ChatController, client: Client
) -> None:
    answers = []
    chat = ChatController(client, do=lambda call: answers.append(call()))
    typed(chat, "hello")
    client.answer, client.error = False, Error("not_joined", "join first")
    typed(chat, "hello")
    assert answers == [None, client.error]


def test_only_what_waits_is_left_to_others(
    client: Client, chat: ChatController
) -> None:
    waiting = []
    chat = ChatController(client, do=waiting.append)
    chat.arrived(Welcome("ann", "lobby", "Hello", 0), NOW)
    typed(chat, "/join dev")
    typed(chat, "hello")
    typed(chat, "/w bob psst")
    assert len(waiting) == 1 and "join" not in [call[0] for call in client.calls]
    assert client.calls == [
        ("send_message", "hello", "lobby"),
        ("whisper", "bob", "psst"),
    ]
    client.answer, client.error = False, Error("not_joined", "you are not in lobby")
    assert typed(chat, "hello") == ["you are not in lobby"]


def test_what_is_typed_before_we_are_in_waits(client: Client) -> None:
    waiting = []
    chat = ChatController(client, do=waiting.append)
    typed(chat, "hello")
    assert len(waiting) == 1 and client.calls == []
    assert waiting[0]() is None and client.calls == [("send_message", "hello", None)]


def test_line_by_line_all_is_done_in_order_where_we_talk_by_then(
    client: Client,
) -> None:
    waiting = []
    plain = ChatController(client, do=waiting.append, hold=False)
    plain.arrived(Welcome("ann", "lobby", "Hello", 0), NOW)
    typed(plain, "/join dev")
    typed(plain, "hello")
    assert len(waiting) == 2 and client.calls == []
    waiting[1]()
    assert client.calls == [("send_message", "hello", None)]


def test_help(chat: ChatController, plain: ChatController) -> None:
    assert any("/clear" in text for text in typed(chat, "/help"))
    assert not any("/clear" in text for text in typed(plain, "/help"))


def test_a_reply_goes_to_the_last_whisperer(
    chat: ChatController, client: Client
) -> None:
    assert "Nobody" in typed(chat, "/reply x")[0] and client.calls == []
    for who in ("bob", "cy"):
        told(chat, WhisperReceived(who, "ann", "psst", DAY))
    told(chat, WhisperReceived("ann", "dan", "psst", DAY))
    typed(chat, "/reply yes")
    assert client.calls == [("whisper", "cy", "yes")]


def test_what_is_ignored_is_not_shown_until_it_is_not_ignored_any_more(
    chat: ChatController,
) -> None:
    assert typed(chat, "/ignore BOB") == [
        "BOB is ignored now. The same once more ends that."
    ]
    for event in (
        Message("lobby", 1, "bob", "ann!", DAY), WhisperReceived("Bob", "ann", "x", DAY), UserJoined("lobby", "bob", DAY), UserLeft("lobby", "bob", DAY),
        StatusChanged("bob", "x", DAY), Message("dev", 1, "bob", "ann!", DAY),
    ):  # fmt: skip
        assert told(chat, event) == []
    assert chat.view.unread.counts() == {} and chat.view.whisperer == ""
    messages = [Message("lobby", n, who, text, DAY) for n, who, text in [(1, "bob", "hidden"), (2, "cy", "seen")]]  # fmt: skip
    assert told(chat, History("lobby", messages, False))[1:-1] == ["cy: seen"]
    assert typed(chat, "/ignore bob") == ["bob is not ignored any more."]
    assert told(chat, Message("lobby", 1, "bob", "hi", DAY)) == ["bob: hi"]


def test_who_can_be_ignored(chat: ChatController, client: Client) -> None:
    assert typed(chat, "/ignore Ann") == ["You can't ignore yourself."]
    assert typed(chat, "/ignore ghost") == ["ghost is in none of your rooms."]
    told(chat, WhisperReceived("ghost", "ann", "boo", DAY))
    assert "ignored now" in typed(chat, "/ignore ghost")[0]
    client.rooms["lobby"].remove("bob")
    assert typed(chat, "/ignore bob") == ["bob is in none of your rooms."]


# --- events ----------------------------------------------------------------------------


def test_the_first_welcome_names_help_once(client: Client) -> None:
    chat = ChatController(client, do=lambda call: call())
    hint = "/help lists what you can type."
    assert told(chat, Welcome("ann", "lobby", "Hello", 0)) == ["Hello", hint]
    assert told(chat, Welcome("ann", "dev", "Hello in dev", 0)) == ["Hello in dev"]
    assert told(chat, Welcome("ann", "dev", "Hello again", 0)) == []


def test_a_line_without_a_time_gets_that_of_the_moment(chat: ChatController) -> None:
    assert [line.time for line in chat.arrived(Error("x", "no"), 5.0)] == [5.0]
    assert [line.time for line in chat.refused(Error("y", "no"), 6.0)] == [6.0]
    assert {line.time for line in chat.typed(Typed("help"), 7.0)} == {7.0}
    (line,) = chat.arrived(Message("lobby", 1, "bob", "hi", DAY), 8.0)
    assert line.time == DAY


def test_other_rooms_are_held_and_a_mention_there_rings_once(
    chat: ChatController, client: Client
) -> None:
    client.rooms = {"dev": ["ann"], "lobby": ["ann", "bob"]}
    assert told(chat, Message("dev", 1, "bob", "one", DAY)) == []
    (line,) = chat.arrived(Message("dev", 2, "bob", "Ann?", DAY), NOW)
    assert line.bell and text_of(line) == "bob mentions you in dev: /room dev"
    assert parts_of_bar(chat, NOW)[1] == "unread: dev 2"
    assert told(chat, UserJoined("dev", "cy", DAY)) == told(chat, UserLeft("dev", "cy", DAY)) == []  # fmt: skip
    client.rooms = {"lobby": ["ann", "bob"], "dev": ["ann"]}
    assert refused(chat, None) == ["You talk in dev now.", "bob: one", "bob: Ann?"]
    assert parts_of_bar(chat, NOW)[1] == ""


def test_without_holding_everything_is_shown_as_it_comes(
    plain: ChatController, client: Client
) -> None:
    client.rooms = {"dev": ["ann"], "lobby": ["ann", "bob"]}
    assert told(plain, Message("dev", 1, "bob", "one", DAY)) == ["bob: one"]
    assert told(plain, UserJoined("dev", "cy", DAY)) == ["cy joined dev"]
    assert told(plain, UserLeft("dev", "cy", DAY)) == ["cy left dev"]
    client.rooms = {"lobby": ["ann", "bob"], "dev": ["ann"]}
    assert refused(plain, None) == []
    for seconds in (1.0, 2.0):
        lost = Disconnected("Gone.", seconds)
        assert told(plain, lost) == [f"Gone. Trying again in {seconds} s."]


def test_a_list_of_users_is_shown_to_who_asked(chat: ChatController) -> None:
    users = UserList("lobby", ["ann", "bob"])
    assert told(chat, users) == ["in lobby: ann, bob"]  # after the welcome
    assert told(chat, users) == []
    typed(chat, "/users")
    assert told(chat, users) == ["in lobby: ann, bob"]


def test_the_answer_to_a_question_of_our_own_is_not_shown(chat: ChatController) -> None:
    chat.ask_rooms()
    typed(chat, "/rooms")
    rooms = RoomList([RoomSize("dev", 1), RoomSize("lobby", 2)])
    assert told(chat, rooms) == []
    assert told(chat, rooms) == ["rooms: dev (1), lobby (2)"]
    assert told(chat, rooms) == []
    assert chat.view.known_rooms == {"dev", "lobby"}


def test_history(chat: ChatController) -> None:
    messages = [Message("lobby", n, "bob", f"Ann, {n}", DAY) for n in (1, 2)]
    lines = chat.arrived(History("lobby", messages, False), NOW)
    texts = ["the last 2 messages of lobby:", "bob: Ann, 1", "bob: Ann, 2", "That was the history."]  # fmt: skip
    assert [text_of(line) for line in lines] == texts
    assert not any(line.bell for line in lines)
    assert [line.time for line in lines] == [NOW, DAY, DAY, NOW]
    assert (
        told(chat, History("lobby", messages[:1], False))[0]
        == "the last message of lobby:"
    )
    assert told(chat, History("lobby", [], False)) == ["nothing was said in lobby yet"]


def test_a_lost_connection_is_told_once_and_counted(
    chat: ChatController, client: Client
) -> None:
    view = chat.view
    assert connection(view, NOW) == "here"
    assert told(chat, Disconnected("Gone.", 3.0), NOW) == [
        "Gone. Trying again in 3.0 s."
    ]
    assert connection(view, NOW) == "lost, trying again in 3 s"
    assert connection(view, NOW + 2) == "lost, trying again in 1 s"
    assert connection(view, NOW + 9) == "lost, trying again"
    assert told(chat, Disconnected("Refused.", 0.1)) == []
    assert connection(view, NOW) == "lost, trying again"
    client.unconfirmed = ["hello"]
    assert parts_of_bar(chat, NOW)[3] == "1 not sent yet"
    assert told(chat, Reconnected()) == ["The connection is back."]
    assert connection(view, NOW) == "here"
    client.unconfirmed = []
    assert parts_of_bar(chat, NOW)[3] == ""
    client.unconfirmed = ["one\ntwo and more than that", "three"]
    assert parts_of_bar(chat, NOW)[3] == "", "what is on the way is nothing special"
    assert parts_of_bar(chat, NOW + 0.9)[3] == ""
    assert parts_of_bar(chat, NOW + 1)[3] == "2 not confirmed yet"
    client.unconfirmed = []
    assert parts_of_bar(chat, NOW + 2)[3] == ""
    assert told(chat, Welcome("ann", "lobby", "Hello again", 0)) == []


def test_every_transition_of_the_presence(client: Client) -> None:
    events = {"connected": Reconnected(), "disconnected": Disconnected("Gone.", 1.0)}
    reach = {Presence.CONNECTING: [], Presence.HERE: ["connected"], Presence.LOST: ["disconnected"]}  # fmt: skip
    for state, transitions in PRESENCE_TRANSITIONS.items():
        for name, after in transitions.items():
            chat = ChatController(client, do=lambda call: call())
            for step in reach[state]:
                told(chat, events[step])
            assert chat.view.presence is state
            told(chat, events[name])
            assert chat.view.presence is after


def test_a_refusal_is_told_once(chat: ChatController) -> None:
    error = Error("no_such_user", "dan is not here", id=3)
    assert told(chat, error) == ["dan is not here"] and refused(chat, error) == []
    again = Error("no_such_user", "dan is not here", id=4)
    assert refused(chat, again) == ["dan is not here"] and told(chat, again) == []
    for _ in range(2):
        assert refused(chat, Error("not_connected", "not connected")) == [
            "not connected"
        ]


def test_leaving_the_last_room(chat: ChatController, client: Client) -> None:
    client.rooms = {}
    assert told(chat, UserLeft("lobby", "ann", DAY)) == [
        "You are in no room now. /join ROOM enters one.",
        "ann left lobby",
    ]
    assert parts_of_bar(chat, NOW)[0] == "in no room"
    assert typed(chat, "/leave") == ["You are in no room."]
    assert typed(chat, "/room dev") == ["You are not in dev. /join dev enters it."]


def test_who_leaves_a_room_and_comes_back_is_welcomed_again(
    chat: ChatController, client: Client
) -> None:
    client.rooms = {"dev": ["ann"], "lobby": ["ann"]}
    told(chat, Welcome("ann", "dev", "Hello in dev", 0))
    told(chat, Message("dev", 1, "bob", "unread", DAY))
    client.rooms = {"lobby": ["ann"]}
    told(chat, UserLeft("dev", "ann", DAY))
    assert chat.view.unread.counts() == {}
    assert told(chat, Welcome("ann", "dev", "Hello in dev", 0)) == ["Hello in dev"]


def test_the_bar_says_where_we_are_and_that_we_are_away(chat: ChatController) -> None:
    assert parts_of_bar(chat, NOW) == ["lobby: 2 people", "", "", "", "", "", "here"]
    told(chat, StatusChanged("Ann", "at lunch", DAY))
    assert parts_of_bar(chat, NOW)[2] == "you are at lunch"
    told(chat, StatusChanged("ann", "online", DAY))
    assert parts_of_bar(chat, NOW)[2] == ""


# --- accounts and order ------------------------------------------------------------------


def test_an_order_is_about_the_room_that_is_shown(
    chat: ChatController, client: Client
) -> None:
    told(chat, Welcome("ann", "lobby", "Hello", 0))
    for line in ("/kick eve loud", "/server ban 192.0.2.0/24 1h", "/logout"):
        assert typed(chat, line) == []
    assert client.calls == [
        ("request", Kick("eve", "lobby", "loud"), 0.0),
        ("request", Ban("192.0.2.0/24", None, 3600), 0.0),
        ("request", Logout(), 0.0),
    ]
    assert typed(chat, "/ban eve 10") == ["10 is no time; write 90s, 10m, 2h, 3d or 1w"]
    client.rooms = {}
    told(chat, Message("x", 1, "bob", "hi", DAY))  # it looks where we talk
    assert typed(chat, "/kick eve") == ["You are in no room."]


def test_a_message_is_named_by_who_said_it_and_forgotten_when_deleted(
    chat: ChatController, client: Client
) -> None:
    told(chat, Welcome("ann", "lobby", "Hello", 0))
    told(chat, Message("lobby", 7, "eve", "Buy!", DAY))
    told(chat, Message("lobby", 8, "ann", "no", DAY))
    assert typed(chat, "/numbers") == ["#7 eve: Buy!", "#8 ann: no"]
    typed(chat, "/delete eve"), typed(chat, "/delete"), typed(chat, "/delete #3")
    assert client.calls == [("request", DeleteMessage(n, "lobby"), 0.0) for n in (7, 8, 3)]  # fmt: skip
    gone = MessageDeleted("lobby", 7, "bob", DAY)
    assert told(chat, gone) == ["bob deleted message #7 of lobby, said by eve"]
    assert "has said nothing" in typed(chat, "/delete eve")[0]
    assert told(chat, gone) == ["bob deleted message #7 of lobby"]


def test_a_deleted_message_that_waits_unread_is_never_shown(
    chat: ChatController, client: Client
) -> None:
    client.rooms = {"dev": ["ann"], "lobby": ["ann", "bob"]}
    told(chat, Welcome("ann", "lobby", "Hello", 0))
    for seq in (1, 2):
        told(chat, Message("dev", seq, "eve", f"number {seq}", DAY))
    assert told(chat, MessageDeleted("dev", 1, "bob", DAY)) == []
    assert chat.view.unread.counts() == {"dev": 1}
    client.rooms = {"lobby": ["ann", "bob"], "dev": ["ann"]}
    lines = [line.plain() for line in chat.refused(None, NOW)]
    assert lines == ["* You talk in dev now.", "eve: number 2"]


def test_what_another_screen_has_read_is_not_counted(
    chat: ChatController, client: Client
) -> None:
    client.rooms = {"dev": ["ann"], "lobby": ["ann", "bob"]}
    told(chat, Welcome("ann", "lobby", "Hello", 0))
    for seq in (1, 2, 3):
        told(chat, Message("dev", seq, "eve", f"number {seq}", DAY))
    assert told(chat, ReadMark("dev", 2)) == [] and chat.view.unread.counts() == {"dev": 1}  # fmt: skip
    told(chat, ReadMark("dev", 3))
    assert chat.view.unread.counts() == {} and parts_of_bar(chat, NOW)[1] == ""


def test_what_an_account_has_read_is_told_but_not_too_often(
    chat: ChatController, client: Client
) -> None:
    memory = chat.view.memory
    told(chat, Welcome("ann", "lobby", "Hello", 3, read=3))
    told(chat, Message("lobby", 4, "bob", "hi", DAY))
    assert memory.tell_read(client, NOW) is None and client.calls == []  # a guest
    client.account = "ann"
    assert memory.tell_read(client, NOW) is None
    for seq in (5, 6, 7):
        told(chat, Message("lobby", seq, "bob", "hi", DAY))
        assert memory.tell_read(client, NOW + 1) == 4.0
    assert memory.tell_read(client, NOW + 5) is None
    assert client.calls == [("request", MarkRead("lobby", n), 0.0) for n in (4, 7)]


def test_the_topic_is_told_when_we_enter_and_stands_in_the_bar(
    chat: ChatController, client: Client
) -> None:
    client.rooms = {"lobby": ["ann"], "dev": ["ann"]}
    lines = told(chat, Welcome("ann", "dev", "Hello", 0, topic="News"))
    assert lines[-2:] == ["Hello", "The topic of dev: News"]
    assert parts_of_bar(chat, NOW)[-2] == "News" and typed(chat, "/topic") == lines[-1:]
    told(chat, TopicChanged("dev", "", "bob", DAY))
    assert parts_of_bar(chat, NOW)[-2] == ""
    assert typed(chat, "/topic") == ["dev has no topic"]


def test_order_in_other_rooms_is_not_shown_unless_it_is_about_us(
    chat: ChatController,
) -> None:
    told(chat, Welcome("ann", "lobby", "Hello", 0))
    kick = Moderated("kick", "bob", DAY, "eve", "dev")
    assert told(chat, kick) == []
    assert told(chat, TopicChanged("dev", "x", "bob", DAY)) == []
    mine = Moderated("kick", "bob", DAY, "Ann", "dev")
    assert told(chat, mine) == ["bob put you out of dev"]
    assert len(told(chat, Moderated("kick", "ann", DAY, "eve", "dev"))) == 1
    assert len(told(chat, Moderated("ban", "bob", DAY, "eve"))) == 1  # from the server


def test_why_we_are_in_no_room_comes_before_that_we_are_in_none(
    chat: ChatController, client: Client
) -> None:
    client.rooms = {}  # the client knows before we are told
    lines = told(chat, Moderated("kick", "bob", DAY, "ann", "lobby"))
    assert lines[0] == "bob put you out of lobby" and len(lines) == 2


def test_order_is_kept_also_by_somebody_whom_we_ignore(chat: ChatController) -> None:
    typed(chat, "/ignore bob")
    assert len(told(chat, Moderated("kick", "bob", DAY, "eve", "lobby"))) == 1


def test_a_message_that_was_deleted_while_we_were_away_is_not_unread(
    chat: ChatController, client: Client
) -> None:
    client.rooms = {"dev": ["ann"], "lobby": ["ann", "bob"]}
    told(chat, Message("lobby", 1, "bob", "hi", DAY))
    assert told(chat, Message("dev", 1, "eve", "", DAY)) == []
    assert chat.view.unread.counts() == {}
    assert told(chat, Message("lobby", 2, "eve", "", DAY)) == ["eve: (deleted)"]


# --- files -------------------------------------------------------------------------------


def test_a_shared_file_is_a_line_with_what_gets_it(
    chat: ChatController, client: Client
) -> None:
    evil = "a\nb\x1b[31m.jpg"
    file = SharedFile(7, evil, 2_100_000, "0" * 64, "http://localhost/")
    said = Message("lobby", 1, "bob", "a.jpg (2.1 MB) http://localhost/", DAY, file)
    [line] = told(chat, said)
    assert line.startswith("bob shares a b") and line.endswith(" (2.1 MB): /get 7")
    assert "\x1b" not in line and "\n" not in line
    assert typed(chat, "/get 7 ~/my cats") == typed(chat, "/send my cat.jpg") == []
    assert client.calls[-2:] == [
        ("fetch_typed", file, "~/my cats"),
        ("send_typed", "my cat.jpg", "lobby"),
    ]


def test_a_transfer_is_in_the_bar_and_without_a_bar_a_line_now_and_then(
    chat: ChatController, plain: ChatController
) -> None:
    half = Transfer(1, Direction.UP, "cat.jpg", 100, 50, TransferState.RUNNING)
    often = replace(half, milestone=True)
    assert told(chat, half) == told(chat, often) == told(plain, half) == []
    assert told(plain, often) == ["sending cat.jpg: 50 % of 100 B"]
    assert "sending cat.jpg 50 %" in parts_of_bar(chat, NOW)
    lost = half.turn("lost", note="cut")
    assert told(chat, lost) == ["sending cat.jpg, 50 %: cut; trying again"]
    assert told(chat, half.turn("finish", 100)) == ["cat.jpg (100 B) is sent."]
    assert not [part for part in parts_of_bar(chat, NOW) if "cat.jpg" in part]
