"""`ChatServer` over real TCP, and its parts: whoever does whatever, the others go on chatting."""

import itertools
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from by_hand import Chat
from helpers import LineClient
from hypothesis import given
from hypothesis import strategies as st
from waiting import LIMIT, wait_until

from python_tcp.chat_fanout import ChatConnection
from python_tcp.chat_server import ChatServer
from python_tcp.history import SQLiteStore
from python_tcp.messages import MemoryStore
from python_tcp.protocol import Command, Error, GetHistory, Join, JSONLines, Leave
from python_tcp.protocol import OTHERS, Limits, ListRooms, ListUsers, Message, Ping
from python_tcp.protocol import Pong
from python_tcp.protocol import SendMessage, SetStatus, UserLeft, Whisper, decode_event

FREE = Limits(
    flood_burst=0, connections_per_address=0
)  # no flood control: for tests about something else


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=FREE) as server:
        yield server


class Pair:
    """Ann and Bob, who chat in the lobby, and hear nobody but themselves."""

    def __init__(self, port: int) -> None:
        self.ann, self.bob = LineClient(port).join("ann"), LineClient(port).join("bob")
        assert self.ann.read()["type"] == "join"
        self.texts = map(str, itertools.count())

    def go_on_chatting(self) -> None:
        """Each says something, and the next thing that both hear is that."""
        for speaker in (self.ann, self.bob):
            speaker.say("message", content=(text := next(self.texts)))
            assert [
                hearer.read().get("content") for hearer in (self.ann, self.bob)
            ] == [text, text]


@pytest.fixture
def pair(server: ChatServer) -> Iterator[Pair]:
    pair = Pair(server.port)
    with pair.ann, pair.bob:
        yield pair


def without_time(events: list[dict]) -> list[dict]:
    """The events without what differs from one time to the next: timestamps and tokens."""
    return [
        {
            key: value
            for key, value in event.items()
            if key not in ("timestamp", "token")
        }
        for event in events
    ]


# --- the way of a message ----------------------------------------------------------------------------------------


def test_a_conversation_on_the_wire(server: ChatServer) -> None:
    with LineClient(server.port) as ann, LineClient(server.port) as bob:
        ann.say("join", username="Ann")
        assert (
            ann.read().items()
            >= {
                "type": "welcome",
                "username": "Ann",
                "room": "lobby",
                "protocol": 1,
                "seq": 0,
            }.items()
        )
        assert ann.read() == {"type": "users", "room": "lobby", "users": ["Ann"]}
        bob.join("Bob")
        assert ann.read_until("join", username="Bob", room="lobby")["timestamp"] > 1.7e9
        bob.say("message", content="grüße 👋", id=5)
        assert without_time([bob.read(), bob.read(), ann.read()]) == [
            {"type": "message", "room": "lobby", "seq": 1, "username": "Bob", "content": "grüße 👋"}, {"type": "ok", "id": 5, "seq": 1},
            {"type": "message", "room": "lobby", "seq": 1, "username": "Bob", "content": "grüße 👋"},
        ]  # fmt: skip
        assert server.users == ["Ann", "Bob"]
        bob.say("leave")
        assert bob.read_all() == [
            {
                "type": "goodbye",
                "code": "left",
                "content": "Goodbye!",
                "reconnect": False,
            }
        ]
        assert without_time([ann.read()]) == [
            {"type": "leave", "room": "lobby", "username": "Bob"}
        ]
        assert server.users == ["Ann"]


def test_the_stream_cut_at_every_byte_gives_the_same_as_in_one_piece(
    server: ChatServer,
) -> None:
    stream = (
        '{"type": "join", "username": "cy", "room": "dev"}\r\n\n{"type": "message", "content": "é👋", "id": 1}\nno JSON\n\r\n'
        '{"type": "whisper", "to": "cy", "content": "x"}\n{"type": "leave"}\n'
    ).encode()

    said = itertools.count()  # the numbers of an empty room go on

    def answers(first: bytes, second: bytes) -> list[dict]:
        with LineClient(server.port) as client:
            client.send(first)
            honest.say("ping")
            assert honest.read() == {
                "type": "pong"
            }  # so the first part has been read by now
            client.send(second)
            events, before = without_time(client.read_all()), next(said)
        assert [event.pop("seq") for event in events if "seq" in event] == [
            before,
            before + 1,
            before + 1,
        ]
        return events

    with LineClient(server.port) as honest:
        whole = answers(stream, b"")
        assert [event["type"] for event in whole] == [
            "welcome",
            "users",
            "message",
            "ok",
            "error",
            "whisper",
            "goodbye",
        ]
        for place in range(1, len(stream)):
            assert answers(stream[:place], stream[place:]) == whole, f"cut at {place}"


def test_the_stream_byte_by_byte_gives_the_same(server: ChatServer) -> None:
    with LineClient(server.port) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in '{"type": "join", "username": "cy"}\n{"type": "message", "content": "é👋"}\n{"type": "leave"}\n'.encode():
            client.send(bytes([byte]))
        assert [event["type"] for event in client.read_all()] == [
            "welcome",
            "users",
            "message",
            "goodbye",
        ]


def test_a_thousand_messages_in_one_piece_arrive_complete_and_in_order_at_all(
    pair: Pair,
) -> None:
    lines = [
        json.dumps({"type": "message", "content": f"m{number}", "id": number}).encode()
        + b"\n"
        for number in range(1000)
    ]
    pair.ann.send(b"".join(lines))
    heard = [
        [reader.read() for _ in range(count)]
        for reader, count in ((pair.ann, 2000), (pair.bob, 1000))
    ]
    for events in heard:
        messages = [
            (event["seq"], event["content"])
            for event in events
            if event["type"] == "message"
        ]
        assert messages == [(number + 1, f"m{number}") for number in range(1000)]
    oks = [(event["id"], event["seq"]) for event in heard[0] if event["type"] == "ok"]
    assert oks == [(number, number + 1) for number in range(1000)]


@pytest.mark.parametrize("data", [False, True], ids=["in memory", "with a file"])
def test_who_finishes_sending_still_gets_every_answer(
    tmp_path: Path, data: bool
) -> None:
    file = tmp_path / "chat.db" if data else None
    with (
        ChatServer(limits=Limits(flood_burst=0), data=file) as server,
        LineClient(server.port) as client,
    ):
        client.send(
            b'{"type": "join", "username": "nc"}\n'
            + b'{"type": "message", "content": "hi"}\n' * 500
            + b'{"type": "pi'
        )
        client.finish()
        events = client.read_all()
        assert [event["type"] for event in events] == [
            "welcome",
            "users",
            *["message"] * 500,
            "error",
        ]
        assert events[-1]["code"] == "bad_json", "its last line is half a command"
        wait_until(lambda: server.users == [])


def test_a_last_line_without_a_newline_counts(server: ChatServer) -> None:
    with LineClient(server.port) as client:
        client.send(
            b'{"type": "join", "username": "nc"}\n{"type": "message", "content": "hi"}'
        )
        client.finish()
        events = client.read_all()
    assert [event["type"] for event in events] == ["welcome", "users", "message"]


def test_a_first_line_may_begin_with_a_byte_order_mark(server: ChatServer) -> None:
    with LineClient(server.port) as client:
        client.send(
            b'\xef\xbb\xbf{"type": "ping", "id": 1}\n\xef\xbb\xbf{"type": "ping"}\n'
        )
        assert client.read() == {"type": "pong", "id": 1}
        assert client.read()["code"] == "bad_json", "only the first"


BODY = b'{"type":"join","username":"eve"}\n{"type":"message","content":"spam"}\n'
STRANGERS = {
    "HTTP": (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + BODY, OTHERS["http"]),
    "HTTP in pieces": (b"GET / HTTP/1.1\r\n\r\n" + BODY, OTHERS["http"]),
    "TLS": (bytes.fromhex("1603010200010001fc0303") + BODY, OTHERS["tls"]),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n" + BODY, OTHERS["ssh"]),
    "SMTP": (b"ehlo example.org\r\n" + BODY, OTHERS["smtp"]),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_who_speaks_another_language_is_answered_in_it_and_not_heard(
    name: str, server: ChatServer, pair: Pair
) -> None:
    said, answer = STRANGERS[name]
    with LineClient(server.port) as client:
        if "pieces" in name:
            client.send(said[:2])
            pair.go_on_chatting()
            said = said[2:]
        client.send(said)
        assert b"".join(iter(client.line, b"")) == answer
    pair.go_on_chatting()
    assert server.users == ["ann", "bob"]


# --- what is wrong, and whom it hurts ----------------------------------------------------------------------------

BAD_LINES = {
    "not JSON": (b"hello", "bad_json"),
    "not an object": (b"[1, 2]", "bad_message"),
    "not UTF-8": (b'{"type": "message", "content": "\xff"}', "bad_utf8"),
    "no type": (b'{"content": "hi"}', "bad_message"),
    "an unknown type": (b'{"type": "hack"}', "unknown_type"),
    "a wrong field type": (b'{"type": "message", "content": 5}', "bad_message"),
    "a bad name": (b'{"type": "join", "username": "a b"}', "bad_name"),
    "a bad room": (b'{"type": "join", "username": "cy", "room": "#x"}', "bad_room"),
    "an escape code": (b'{"type": "message", "content": "\\u001b[2J"}', "bad_message"),
    "half a character": (b'{"type": "message", "content": "\\ud800"}', "bad_json"),
    "a line of 20 KiB": (b"x" * 20_480, "too_long"),
    "a message of 20 KiB": (
        json.dumps({"type": "message", "content": "x" * 20_480}).encode(),
        "too_long",
    ),
    "a long content": (
        json.dumps({"type": "message", "content": "x" * 4001}).encode(),
        "too_long",
    ),
    "deep nesting": (b'{"type": "ping", "x": ' + b"[" * 8000, "bad_json"),
    "a huge number": (b'{"type": "ping", "id": ' + b"9" * 10_000 + b"}", "bad_message"),
    "zeros": (b"\0" * 100, "bad_json"),
}


@pytest.mark.parametrize(
    ("line", "code"), [pytest.param(*case, id=name) for name, case in BAD_LINES.items()]
)
def test_a_bad_line_gets_one_error_and_hurts_nobody(
    server: ChatServer, pair: Pair, line: bytes, code: str
) -> None:
    with LineClient(server.port) as client:
        half = len(line) // 2
        client.send(line[:half])
        pair.go_on_chatting()
        client.send(line[half:] + b'\n{"type": "ping", "id": 7}\n')
        error = client.read()
        assert (error["type"], error["code"]) == ("error", code) and error["content"]
        assert client.read() == {"type": "pong", "id": 7}
        pair.go_on_chatting()
    pair.go_on_chatting()


def test_a_bad_line_of_a_member_is_heard_by_nobody_else(
    server: ChatServer, pair: Pair
) -> None:
    pair.ann.send(b"nonsense\n")
    assert pair.ann.read()["code"] == "bad_json"
    pair.go_on_chatting()


def memory(process_id: int) -> int:
    """The most that the process has had in memory, in MB."""
    return (
        int(
            re.search(
                r"VmHWM:\s+(\d+)", Path(f"/proc/{process_id}/status").read_text()
            )[1]
        )
        // 1000
    )


SERVER = """
import sys
from python_tcp.chat_server import ChatServer
from python_tcp.protocol import Limits
with ChatServer(limits=Limits(flood_burst=0)) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


@contextmanager
def server_process() -> Iterator[tuple[int, int]]:
    """A server in a process of its own: the number of the process, and the port."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process.pid, int(process.stdout.readline())
        process.stdin.close()
        assert process.wait(LIMIT) == 0


proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.mark.slow
@proc
def test_100_mb_without_a_newline_take_no_memory_and_get_one_error() -> None:
    with server_process() as (process, port):
        pair = Pair(port)
        pair.go_on_chatting()
        big = LineClient(port).join("big", "elsewhere")  # else it would be idle in time
        with pair.ann, pair.bob, big as client:
            before, block = memory(process), b"x" * 1_000_000
            for _ in range(100):
                client.send(block)
                pair.go_on_chatting()
            client.send(b'\n{"type": "ping"}\n')
            assert [client.read().get("code"), client.read()["type"]] == [
                "too_long",
                "pong",
            ]
            assert memory(process) < before + 30


@pytest.mark.slow
@proc
def test_short_questions_with_long_answers_that_nobody_reads_take_no_memory() -> None:
    with server_process() as (process, port):
        pair = Pair(port)
        crowd = [LineClient(port) for _ in range(50)]
        for number, room in itertools.product(range(50), range(20)):
            crowd[number].say(
                "join",
                username=f"user{number}",
                room=f"room-{number}-{room}".ljust(64, "x"),
            )
        for client in crowd:
            for room in range(20):
                client.read_until("users")
        before = memory(process)
        with pair.ann, pair.bob, LineClient(port).join("greedy", "elsewhere") as greedy:
            greedy.send(
                b'{"type":"rooms"}\n' * 3500
            )  # 60 KB, and 90 KB of answer to each line
            pair.go_on_chatting()
            assert memory(process) < before + 30
        for client in crowd:
            client.close()


def test_ten_bad_lines_in_a_row_end_the_connection_with_a_goodbye(
    server: ChatServer, pair: Pair
) -> None:
    with LineClient(server.port) as client:
        client.send(b"nonsense\n" * 25)
        events = client.read_all()
    assert [event.get("code") for event in events] == ["bad_json"] * 10 + [
        "bad_message"
    ]
    assert events[-1]["type"] == "goodbye" and events[-1]["reconnect"] is False
    pair.go_on_chatting()


def test_nine_bad_lines_and_a_good_one_do_not(server: ChatServer) -> None:
    with LineClient(server.port) as client:
        client.send((b"nonsense\n" * 9 + b'{"type": "ping"}\n') * 3)
        assert [client.read()["type"] for _ in range(30)] == (
            ["error"] * 9 + ["pong"]
        ) * 3


def test_a_forbidden_command_is_no_bad_line(server: ChatServer) -> None:
    with LineClient(server.port) as client:
        client.send(
            b'{"type": "message", "content": "hi"}\n' * 12 + b'{"type": "ping"}\n'
        )
        assert [client.read().get("code") for _ in range(12)] == ["not_joined"] * 12
        assert client.read() == {"type": "pong"}


def test_a_name_in_use_is_refused_and_the_connection_stays(
    server: ChatServer, pair: Pair
) -> None:
    with LineClient(server.port) as client:
        client.say("join", username="ANN")
        assert client.read()["code"] == "name_taken"
        client.join("cy", "dev")
    pair.go_on_chatting()


# --- who comes, goes, stays silent or does not read ---------------------------------------------------------------


def test_a_full_server_says_so_and_takes_the_next_when_one_has_gone() -> None:
    with ChatServer(limits=Limits(connections=2, resume_window=0)) as server:
        pair = Pair(server.port)
        with pair.ann, pair.bob:
            for _ in range(3):
                with LineClient(server.port) as third:
                    third.say("join", username="cy")
                    [goodbye] = third.read_all()
                    assert (goodbye["type"], goodbye["code"], goodbye["reconnect"]) == (
                        "goodbye",
                        "server_full",
                        True,
                    )
            pair.go_on_chatting()
            pair.bob.close()
            pair.ann.read_until("leave", username="bob")
            with LineClient(server.port) as third:
                third.join("cy")


def test_who_does_not_join_in_time_is_sent_away() -> None:
    ahead = 0.0
    with (
        ChatServer(limits=Limits(join_timeout=60.0, ping_after=1000.0)) as server,
        LineClient(server.port) as joined,
        LineClient(server.port) as silent,
    ):
        loop = server._server.loop
        loop._clock = lambda: time.monotonic() + ahead
        joined.join("ann")
        silent.send(b'{"type": "ping"}\n')
        assert silent.read() == {"type": "pong"}
        ahead = 61.0
        loop.call_threadsafe(lambda: None)  # it looks at its clock
        assert [(event["type"], event["code"]) for event in silent.read_all()] == [
            ("goodbye", "idle")
        ]
        joined.say("ping")
        assert joined.read() == {"type": "pong"}


@pytest.mark.parametrize("end", [LineClient.close, LineClient.reset, LineClient.finish])
def test_a_lost_client_is_announced_after_the_resume_window_and_its_name_is_free(
    end: Callable,
) -> None:
    with ChatServer(limits=Limits(resume_window=0.2)) as server:
        pair = Pair(server.port)
        with pair.ann, pair.bob, LineClient(server.port).join("cy") as client:
            for reader in (pair.ann, pair.bob):
                assert reader.read()["type"] == "join"
            start = time.monotonic()
            end(client)
            left = {"type": "leave", "room": "lobby", "username": "cy"}
            for reader in (pair.ann, pair.bob):
                assert reader.read().items() >= left.items()
            assert time.monotonic() - start > 0.15
            with LineClient(server.port) as other:
                other.join("CY", "dev")
                pair.go_on_chatting()


def flood_until_gone(pair: Pair, name: str) -> int:
    """Both chat at length until they hear that the third has left. Returns how many messages it took."""
    told = set()
    for count in range(1, 20_000):
        pair.ann.say("message", content="x" * 4000)
        for reader in (pair.ann, pair.bob):
            while (event := reader.read())["type"] != "message":
                assert (event["type"], event["username"]) == ("leave", name)
                told.add(reader)
        if len(told) == 2:
            return count
    raise AssertionError(f"{name} is still there")


def test_who_never_reads_is_closed_with_a_reason_and_the_others_go_on() -> None:
    limits = Limits(output_bytes=50_000, flood_burst=0, resume_window=0)
    with ChatServer(limits=limits) as server:
        pair = Pair(server.port)
        with pair.ann, pair.bob, LineClient(server.port).join("slow") as slow:
            assert pair.ann.read()["type"] == pair.bob.read()["type"] == "join"
            count = flood_until_gone(pair, "slow")
            pair.go_on_chatting()
            events = slow.read_all()
            assert (events[-1]["type"], events[-1]["code"]) == (
                "goodbye",
                "slow_consumer",
            )
            seen = [event["seq"] for event in events[:-1]]
            assert seen == list(range(1, len(seen) + 1)) and 0 < len(seen) <= count, (
                "nothing is missing before the goodbye"
            )


@pytest.mark.slow
def test_who_takes_nothing_for_too_long_is_closed() -> None:
    limits = Limits(
        output_timeout=0.2, output_bytes=10**9, flood_burst=0, resume_window=0
    )
    with ChatServer(limits=limits) as server:
        pair = Pair(server.port)
        with pair.ann, pair.bob, LineClient(server.port).join("slow"):
            assert pair.ann.read()["type"] == pair.bob.read()["type"] == "join"
            flood_until_gone(pair, "slow")
            pair.go_on_chatting()


def test_stopping_tells_everybody_and_frees_the_port(
    server: ChatServer, pair: Pair
) -> None:
    with LineClient(server.port) as silent:
        silent.say("ping")
        assert silent.read() == {"type": "pong"}
        server.stop()
        for client in (pair.ann, pair.bob, silent):
            [goodbye] = client.read_all()
            assert (goodbye["type"], goodbye["code"], goodbye["reconnect"]) == (
                "goodbye",
                "server_closing",
                True,
            )
    assert not server.running and server.users == []
    with pytest.raises(ConnectionRefusedError):
        LineClient(server.port)


def test_starting_and_stopping_twice_is_fine_and_a_stopped_server_starts_again() -> (
    None
):
    server = ChatServer()
    server.stop()
    for _ in range(2):
        assert server.start() == server.start() == server.port
        with LineClient(server.port) as client:
            assert client.join("ann")
        server.stop()
        server.stop()
        assert server.users == []


def test_a_port_in_use_is_an_oserror(server: ChatServer) -> None:
    with pytest.raises(OSError):
        ChatServer(port=server.port).start()


# --- limits: each at its edge and just past it -------------------------------------------------------------------


def test_as_many_connections_as_allowed() -> None:
    with ChatServer(limits=Limits(connections=3)) as server:
        people = [LineClient(server.port).join(name) for name in ("ann", "bob", "cy")]
        with LineClient(server.port) as fourth:
            assert [event["code"] for event in fourth.read_all()] == ["server_full"]
        assert server.users == ["ann", "bob", "cy"]
        for person in people:
            person.close()


def test_who_has_waited_longest_without_joining_makes_room_and_members_never_do() -> (
    None
):
    with ChatServer(limits=Limits(connections=3)) as server:
        with LineClient(server.port).join("ann"), LineClient(server.port) as first:
            first.say("ping")
            assert first.read()["type"] == "pong"
            with LineClient(server.port) as second, LineClient(server.port).join("bob"):
                assert first.read()["code"] == "server_full"
                second.say("join", username="cid")
                assert second.read()["type"] == "welcome"
                with LineClient(server.port) as late:
                    assert late.read()["code"] == "server_full"
                assert server.users == ["ann", "bob", "cid"]


def test_as_many_rooms_as_allowed() -> None:
    with (
        ChatServer(limits=Limits(rooms_per_client=2)) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        assert ann.join("ann", "dev")
        ann.say("join", username="ann", room="ops", id=3)
        assert (
            ann.read().items() >= {"type": "error", "code": "bad_room", "id": 3}.items()
        )
        ann.say("leave", room="dev")
        assert ann.read()["type"] == "leave"
        assert ann.join("ann", "ops")


@pytest.mark.parametrize("burst", [2, 5, 20])
def test_as_many_commands_at_once_as_allowed(burst: int) -> None:
    with (
        ChatServer(limits=Limits(flood_burst=burst, flood_rate=0.001)) as server,
        LineClient(server.port).join("ann") as ann,
        LineClient(server.port) as bob,
    ):
        for number in range(burst):
            ann.say("message", content="x", id=number)
        events = [ann.read() for _ in range(2 * (burst - 1) + 1)]
        assert [event["id"] for event in events if event["type"] == "ok"] == list(
            range(burst - 1)
        ), "one was for joining"
        assert (
            events[-1].items()
            >= {"type": "error", "code": "rate_limited", "id": burst - 1}.items()
        )
        assert 900 < events[-1]["retry_after"] <= 1000
        bob.join("bob")  # each has its own
        assert ann.read()["type"] == "join"
        ann.say("leave")
        assert ann.read()["code"] == "left", "who wants to go, may"


def test_and_then_as_many_a_second_as_allowed() -> None:
    with (
        ChatServer(
            limits=Limits(flood_burst=3, flood_rate=50, flood_excess=1_000_000)
        ) as server,
        LineClient(server.port) as ann,
    ):
        start, taken = time.monotonic(), 0
        ann.join("ann")
        for number in itertools.count():
            ann.say("ping", id=number)
            answer = ann.read()
            if answer["type"] == "pong":
                taken += 1
                if taken == 30:
                    break
            else:
                assert (
                    answer["code"] == "rate_limited"
                    and 0 < answer["retry_after"] <= 0.02
                )
        assert (
            taken + 1 <= 3 + 50 * (time.monotonic() - start) + 1
        )  # the server counts in milliseconds, and by the wall clock


def test_who_does_what_retry_after_says_is_never_refused_twice() -> None:
    with (
        ChatServer(limits=Limits(flood_burst=1, flood_rate=30)) as server,
        LineClient(server.port) as ann,
    ):
        for number in range(10):
            ann.say("ping", id=number)
            if (answer := ann.read())["type"] == "error":
                time.sleep(answer["retry_after"])  # what a client does
                ann.say("ping", id=number)
                answer = ann.read()
            assert answer == {"type": "pong", "id": number}


@pytest.mark.parametrize("excess", [1, 7])
def test_as_many_refusals_as_allowed_and_the_next_ends_it(excess: int) -> None:
    with (
        ChatServer(
            limits=Limits(flood_burst=1, flood_rate=0.001, flood_excess=excess)
        ) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        for number in range(excess):
            ann.say("ping", id=number)
            assert ann.read()["code"] == "rate_limited"
        assert server.users == ["ann"]
        ann.say("ping")
        [goodbye] = ann.read_all()
        assert (goodbye["type"], goodbye["code"], goodbye["reconnect"]) == (
            "goodbye",
            "rate_limited",
            True,
        ) and goodbye["retry_after"] > 0


@pytest.mark.parametrize("bad_lines", [1, 3])
def test_as_many_bad_lines_as_allowed(bad_lines: int) -> None:
    with (
        ChatServer(limits=Limits(bad_lines=bad_lines)) as server,
        LineClient(server.port) as client,
    ):
        for _ in range(3):
            client.send(b"nonsense\n" * (bad_lines - 1) + b'{"type": "ping"}\n')
            assert [client.read()["type"] for _ in range(bad_lines)] == ["error"] * (
                bad_lines - 1
            ) + ["pong"]
        client.send(b"nonsense\n" * bad_lines)
        assert [event["code"] for event in client.read_all()] == [
            "bad_json"
        ] * bad_lines + ["bad_message"]


def test_silence_is_asked_about_and_then_is_the_end() -> None:
    with (
        ChatServer(limits=Limits(ping_after=1.0, ping_timeout=0.5)) as server,
        LineClient(server.port) as silent,
    ):
        start = time.monotonic()
        silent.join("ann")
        assert silent.read() == {"type": "ping"} and time.monotonic() - start >= 1.0
        [goodbye] = silent.read_all()
        assert (goodbye["code"], goodbye["reconnect"]) == (
            "idle",
            True,
        ) and time.monotonic() - start >= 1.5
        wait_until(lambda: server.users == [])


@pytest.mark.parametrize(
    "sign",
    [b'{"type": "pong"}\n', b'{"type": "users"}\n', b"nonsense\n", b"\n", b"{"],
    ids=repr,
)
def test_any_sign_of_life_will_do(sign: bytes) -> None:
    with (
        ChatServer(
            limits=Limits(
                ping_after=0.05, ping_timeout=2.0, flood_burst=0, bad_lines=1000
            )
        ) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        start, asked = time.monotonic(), 0
        while time.monotonic() - start < 2.1 or asked < 3:  # longer than both together
            ann.read_until("ping")
            asked += 1
            ann.send(sign)
        assert server.users == ["ann"]


def test_a_reader_may_be_sent_more_than_may_wait_for_it() -> None:
    with (
        ChatServer(limits=Limits(output_bytes=1, flood_burst=0)) as server,
        LineClient(server.port).join("ann") as ann,
    ):
        for number in range(20):
            ann.say("message", content="x" * 4000, id=number)
            assert [ann.read()["type"], ann.read()["type"]] == ["message", "ok"]


def said_and_kept(limits: Limits, texts: list[str]) -> list[int]:
    """The numbers of those that are kept when these texts were said."""
    with (
        ChatServer(limits=limits) as server,
        LineClient(server.port).join("ann") as ann,
        LineClient(server.port) as bob,
    ):
        for number, text in enumerate(texts):
            ann.say("message", content=text, id=number)
            assert ann.read_until("ok")["seq"] == number + 1
        ann.say("history")
        kept = [message["seq"] for message in ann.read_until("history")["messages"]]
        bob.say("join", username="bob", since=0)
        assert bob.read()["seq"] == len(texts)
        bob.read_until("users")
        missed = bob.read()
    assert [message["seq"] for message in missed["messages"]] == kept and missed.get(
        "lost", 0
    ) == len(texts) - len(kept)
    return kept


@pytest.mark.parametrize("most", [0, 1, 3, 5, 6])
def test_as_many_messages_of_a_room_as_allowed_are_kept(most: int) -> None:
    assert (
        said_and_kept(Limits(history_messages=most), ["x"] * 5)
        == list(range(1, 6))[max(0, 5 - most) :]
    )


@pytest.mark.parametrize(("more", "kept"), [(0, [3, 4]), (-1, [4])])
def test_as_many_bytes_of_history_as_allowed_are_kept(
    more: int, kept: list[int]
) -> None:
    size = MemoryStore.ROOM_OVERHEAD + 2 * (MemoryStore.OVERHEAD + 100)
    assert said_and_kept(Limits(history_bytes=size + more), ["x" * 100] * 4) == kept


@pytest.mark.parametrize(
    ("days", "kept"), [(1.0, [3, 4]), (0.0, [1, 2, 3, 4]), (0.5, [4])]
)
def test_messages_are_forgotten_after_so_many_days(
    tmp_path: Path, days: float, kept: list[int]
) -> None:
    file, now = tmp_path / "chat.db", time.time()
    log = SQLiteStore(file)
    for seq, hours in enumerate([48, 25, 23, 1], 1):
        log.append(
            Message("lobby", seq, "old", "x", now - hours * 3600), "session", None
        )
    log.commit(lambda error: None)
    log.close()
    with (
        ChatServer(
            history=file, limits=Limits(history_days=days, flood_burst=0)
        ) as server,
        LineClient(server.port).join("ann") as ann,
    ):

        def history() -> dict:
            ann.say("history", after=0)
            return ann.read_until("history")

        wait_until(
            lambda: [message["seq"] for message in history()["messages"]] == kept
        )
        assert history().get("lost", 0) == 4 - len(kept)
        ann.say("message", content="x", id=1)
        assert ann.read_until("ok")["seq"] == 5


# --- too fast ----------------------------------------------------------------------------------------------------

ANN, BOB, NOBODY = 1, 2, 3


def flooded(**limits: float) -> Chat:
    """Ann has just used up the burst."""
    chat = Chat(**limits)
    chat(ANN, Join("Ann"))
    for _ in range(chat.limits.flood_burst - 1):
        assert not isinstance(chat(ANN, SendMessage("x"))[ANN][0], Error)
    return chat


def refusal(chat: Chat, client: int, command: Command) -> Error:
    """The error that the client hears, and nobody hears anything else."""
    [(hearer, [error])] = chat(client, command).items()
    assert hearer == client and isinstance(error, Error)
    return error


def test_after_the_burst_comes_the_rate() -> None:
    chat = flooded(flood_burst=5, flood_rate=2.0)
    error = refusal(chat, ANN, SendMessage("x", id=7))
    assert (error.code, error.id, error.retry_after) == ("rate_limited", 7, 0.5)
    assert "0.5 s" in error.content
    for pause, passes in [
        (0.25, False), (0.25, True), (0.0, False), (1.0, True), (0.0, True), (0.0, False),
        (100.0, True), *[(0.0, True)] * 4, (0.0, False),
    ]:  # fmt: skip
        chat.loop.tick(pause)
        assert isinstance(chat(ANN, Ping())[ANN][0], Error) is not passes


@pytest.mark.parametrize(
    "command",
    [
        SendMessage("x"),
        Whisper("Bob", "x"),
        Ping(),
        ListUsers(),
        ListRooms(),
        GetHistory(),
        SetStatus("away"),
        Join("Ann", "dev"),
    ],
)
def test_every_command_has_its_price(command: Command) -> None:
    chat = flooded(flood_burst=3)
    chat(BOB, Join("Bob"))
    assert refusal(chat, ANN, command).code == "rate_limited"
    assert chat(BOB, Ping()) == {BOB: [Pong()]}, "and each pays for himself"


def test_who_has_not_joined_is_not_to_be_faster() -> None:
    chat = Chat(flood_burst=2)
    answers = [chat(NOBODY, Ping())[NOBODY][0] for _ in range(3)]
    assert [type(answer) for answer in answers] == [Pong, Pong, Error]
    assert refusal(chat, NOBODY, Join("Ann")).code == "rate_limited"
    assert chat.rooms.users == {}


@given(
    st.integers(1, 30),
    st.sampled_from([0.3, 1.0, 5.0, 7.0, 100.0]),
    st.integers(0, 10**6).map(lambda ms: 1_700_000_000 + ms / 1000),
)
def test_retry_after_is_enough_and_not_too_much(
    burst: int, rate: float, now: float
) -> None:
    for early in (False, True):
        chat = Chat(flood_burst=burst, flood_rate=rate)
        chat.loop.now = now
        for _ in range(burst):
            chat(ANN, Ping())
        pause = refusal(chat, ANN, Ping()).retry_after
        chat.loop.now = round(now + pause - (0.003 if early else 0), 3)
        assert (chat(ANN, Ping()) == {ANN: [Pong()]}) is not (early and pause > 0.003)


def test_who_goes_on_and_on_has_to_go() -> None:
    chat = flooded(flood_burst=2, flood_excess=3)
    chat(BOB, Join("Bob"))
    chat.hear()
    codes = [refusal(chat, ANN, SendMessage("x")).code for _ in range(3)]
    assert codes == ["rate_limited"] * 3
    [left] = chat(ANN, SendMessage("x"))[BOB]
    assert chat.server.closed == [(ANN, "rate_limited")]
    assert isinstance(left, UserLeft) and left.username == "Ann"


def test_what_is_refused_is_counted_in_a_row() -> None:
    chat = flooded(flood_burst=2, flood_rate=1.0, flood_excess=3)
    for _ in range(5):
        for _ in range(3):
            assert refusal(chat, ANN, SendMessage("x")).code == "rate_limited"
        chat.loop.tick(1.0)
        assert chat(ANN, Ping()) == {ANN: [Pong()]}


def test_an_answer_costs_but_is_never_refused_and_only_the_last_farewell_is_free() -> (
    None
):
    chat = flooded(flood_burst=2, flood_excess=3)
    assert refusal(chat, ANN, Leave("lobby")).code == "rate_limited"
    assert chat(ANN, Pong()) == {}
    chat(ANN, Leave())
    assert chat.server.closed == [(ANN, "left")]
    chat(BOB, Join("Bob"))
    for _ in range(1 + 3):
        assert chat(BOB, Pong()) == {}
    chat(BOB, Pong())
    assert chat.server.closed[1:] == [(BOB, "rate_limited")]


def test_flood_control_can_be_switched_off() -> None:
    chat = Chat(flood_burst=0)
    chat(ANN, Join("Ann"))
    for _ in range(1000):
        assert chat(ANN, Ping()) == {ANN: [Pong()]}
    assert chat.sender.connections[ANN].bucket is None


def test_what_is_refused_does_not_reach_the_rules() -> None:
    chat = flooded(flood_burst=2)
    seq = chat.rooms.rooms["lobby"].seq
    refusal(chat, ANN, SendMessage("x", id=1))
    assert chat.rooms.rooms["lobby"].seq == seq
    assert not chat.user(ANN).session.ids, "it may be said again"


def test_a_bad_line_costs_as_much_as_a_good_one() -> None:
    chat, bad = flooded(flood_burst=2, flood_excess=5, bad_lines=10), Error("x", "x")
    chat(BOB, Join("Bob"), bad)
    codes = [
        refusal(chat, BOB, command).code for command in (bad, Pong(), bad, Ping())[::2]
    ]
    assert codes == ["rate_limited"] * 2


def test_a_long_message_costs_more_than_a_short_one() -> None:
    chat = flooded(flood_burst=9)
    chat(
        BOB,
        Join("Bob"),
        SendMessage("x" * 4000, id=1),
        SendMessage("\U0001f44b" * 4000, id=2),
    )
    assert list(chat.user(BOB).session.ids) == [1], "1 + 2 of 9, and the next one is 8"


def test_who_hangs_up_and_calls_again_finds_the_bucket_as_it_was() -> None:
    chat = Chat(flood_burst=3, flood_rate=1.0)
    chat(ANN, Join("Ann"), Ping(), Ping())
    chat.server.close(ANN, "closed by peer")
    chat.hear()
    assert refusal(chat, BOB, Join("Bob")).code == "rate_limited"
    chat.come(NOBODY)
    assert isinstance(chat(NOBODY, Ping())[NOBODY][0], Pong), "Bob has that bucket"
    chat.server.close(BOB, "closed by peer")
    chat.loop.tick(2.0)
    assert isinstance(chat(BOB, Ping())[BOB][0], Pong), "it has filled meanwhile"


# --- one after the other -----------------------------------------------------------------------------------------


def test_who_says_much_at_once_has_to_wait_for_the_next_turn() -> None:
    chat = Chat()
    chat.handler.TURN = chat.handler._turns.SECONDS = 60.0
    chat.say(ANN, Join("Ann"), *[Ping(id=number) for number in range(150)])
    assert not chat.server.connections[ANN].reads
    heard = []
    for count in (63 + 64, 150):
        chat.loop.tick()
        heard += [each.id for each in chat.hear()[ANN] if isinstance(each, Pong)]
        assert len(heard) == count
    assert heard == list(range(150)) and chat.server.connections[ANN].reads


def test_many_that_have_to_wait_all_get_their_turns() -> None:
    chat = Chat()
    chat.handler.TURN = chat.handler._turns.SECONDS = 60.0
    for client in range(1, 4):
        chat.say(client, *[Ping(id=number) for number in range(500)])
    for _ in range(10):
        chat.loop.tick()
    assert [len(chat.server.sent[client]) for client in range(1, 4)] == [500] * 3


def test_a_turn_also_ends_when_its_time_is_over() -> None:
    chat = Chat()
    chat.handler.TURN = 0.0
    chat.say(ANN, Join("Ann"), Ping(id=1), Ping(id=2))
    assert list(chat.handler._turns._quiet) == [chat.sender.connections[ANN]]
    chat.server.close(ANN, "closed by peer")
    chat.loop.tick()
    chat.loop.tick()
    assert not chat.handler._turns._quiet, "and nobody minds that she is gone"


def test_a_loud_crowd_has_a_part_of_each_tick_and_the_quiet_one_is_served() -> None:
    """Row 5 of the attacks: 300 that send bad lines had a millisecond of each tick each."""
    chat, crowd = Chat(connections=1000), range(100, 400)
    chat(ANN, Join("Ann"))
    for client in crowd:
        chat.come(client)
    chat.handler._turns.SECONDS = 60.0
    for client in crowd:
        chat.receive(client, b"0\n" * 3)
    assert all(chat.sender.connections[client].loud for client in crowd)
    chat.handler._turns.SECONDS = 0.0  # in this tick
    chat.handler._turns.LOUD = 0.0
    chat.loop.tick()
    chat.hear()
    for client in crowd:
        chat.receive(client, b"0\n" * 3)
    chat.receive(ANN, b'{"type":"ping"}\n')
    assert all(not chat.server.connections[client].reads for client in crowd)
    chat.loop.tick()
    told = chat.hear()
    assert told.pop(ANN) == [Pong()]
    assert len(told) <= 1, "and of the crowd, the first one"


def test_much_from_a_quiet_one_waits_when_the_time_is_over_and_comes_first() -> None:
    chat = Chat()
    chat(ANN, Join("Ann"))
    chat(BOB, Error("bad_json", "no"))
    chat.handler._turns.SECONDS = 0.0
    chat.receive(BOB, b"0\n")
    chat.receive(ANN, b'{"type":"ping","id":1}\n' + b"\n" * 5000)
    chat.handler._turns.SECONDS = 60.0
    chat.loop.tick()
    assert list(chat.hear()) == [ANN, BOB]


def test_what_is_not_looked_at_is_not_decoded() -> None:
    chat = Chat(bad_lines=2)
    chat.come(ANN)
    commands = chat.sender.connections[ANN].dialect.receive(b"x\n" * 1000)
    chat.handler.handle(chat.sender.connections[ANN], commands)
    assert len(list(commands)) >= 990


# --- at the door -------------------------------------------------------------------------------------------------


def test_bad_lines_are_counted_in_a_row_and_the_last_ends_it() -> None:
    chat, bad = Chat(bad_lines=3), Error("bad_json", "no")
    chat.say(ANN, bad, bad, Ping(), bad, bad)
    chat.loop.tick()
    assert chat.server.closed == []
    chat.say(ANN, bad, Ping(), bad)
    chat.loop.tick()
    assert chat.server.closed == [(ANN, "bad_message")]
    sent = [decode_event(line) for line in chat.server.sent[ANN]]
    assert sent == [bad, bad, Pong(), bad, bad, bad], (
        "what comes behind is not answered"
    )


def test_a_full_house_makes_room_by_the_oldest_that_has_not_joined() -> None:
    chat = Chat(connections=3)
    chat(ANN, Join("ann"))
    chat.come(10), chat.come(11)
    assert len(chat.admission) == 3
    assert not chat.come(12).ended
    assert chat.server.closed == [(10, "server_full")]
    chat(11, Join("bob")), chat(12, Join("cy"))
    assert chat.come(13).ended
    assert chat.server.closed[1:] == [(13, "server_full")]
    assert len(chat.admission) == 3
    chat.server.close(ANN, "left")
    assert not chat.come(14).ended


def test_room_is_made_where_most_come_from() -> None:
    chat = Chat(connections=5)

    def come(client: int, host: str) -> ChatConnection:
        chat.server.open(client)
        new = ChatConnection(chat.server, client, JSONLines(), chat.limits)
        chat.sender.add(new)
        chat.admission.admit(new, host)
        return new

    come(1, "192.0.2.1")
    for client in (2, 3):
        come(client, f"2001:db8::{client}")
    come(4, "::ffff:192.0.2.9"), come(5, "192.0.2.9")
    assert not come(6, "192.0.2.3").ended
    assert chat.server.closed == [(2, "server_full")], (
        "the oldest of the largest, not 1"
    )
    assert not come(7, "2001:db8::7").ended
    assert chat.server.closed[1:] == [(4, "server_full")]
    for client in (3, 7):
        chat.admission.joined(client)
    assert come(8, "2001:db8::8").ended, "its own network has more than any other"
    assert chat.server.closed[2:] == [(8, "server_full")]


def test_whoever_is_turned_away_is_not_listened_to() -> None:
    chat = Chat(connections=1)
    chat(ANN, Join("ann"))
    chat.server.open(BOB)
    bob = ChatConnection(chat.server, BOB, JSONLines(), chat.limits)
    chat.sender.add(bob)
    chat.server.on_close = lambda client: None  # it is still there, to hear why
    chat.admission.admit(bob)
    chat.handler.handle(bob, [Join("bob")])
    assert list(chat.rooms.users) == [ANN]


def test_the_time_to_join_is_over_for_those_who_have_not() -> None:
    chat = Chat(join_timeout=5.0, ping_after=100.0)
    chat(ANN, Join("ann"))
    chat.come(BOB)
    chat.loop.tick(5.0)
    assert chat.server.closed == [(BOB, "idle")]
    chat.loop.tick(5.0)
    assert len(chat.server.closed) == 1 and len(chat.admission) == 1


def test_a_token_is_made_for_a_join_only_and_each_time_a_new_one() -> None:
    chat, tokens = Chat(), []
    handle = chat.rooms.handle
    chat.rooms.handle = lambda client, command, now, token: (
        tokens.append(token) or handle(client, command, now, token)
    )
    chat.say(ANN, Join("ann"), Ping(), SendMessage("x"))
    chat.say(BOB, Join("bob"))
    first, *none, second = tokens
    assert none == ["", ""] and first != second and min(len(first), len(second)) >= 16


def test_a_failing_on_event_costs_nobody_anything(
    server: ChatServer, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: object) -> None:
        raise RuntimeError("a fault of ours")

    server.on_event = fail
    pair.go_on_chatting()
    with LineClient(server.port).join("cy", "dev"):
        pair.go_on_chatting()
    assert {record.message for record in caplog.records} == {"on_event failed"}


def test_on_event_hears_of_everything(server: ChatServer) -> None:
    heard: list[str] = []
    server.on_event = lambda event: heard.append(type(event).__name__)
    with LineClient(server.port).join("ann") as ann:
        ann.say("message", content="x", id=1)
        assert ann.read_until("ok")
        ann.say("leave")
        assert ann.read_all()
    wait_until(lambda: "UserLeft" in heard)
    assert heard == [
        "Welcome", "UserList", "UserJoined", "Message", "Ok", "UserLeft", "Goodbye",
    ]  # fmt: skip


def test_a_client_that_finishes_in_the_tick_in_which_the_server_stops_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its end was due when all was committed, which the goodbye waits for: KeyError."""
    with ChatServer() as server, LineClient(server.port).join("ann") as ann:
        number, _ = server.connection_of("ann")

        def both() -> None:
            server._life._received(number, b"{")
            server._life._finished_sending(number)
            server.engine.connections[number].finish("server_closing")

        server.engine.loop.call_threadsafe(both)
        assert [each["type"] for each in ann.read_all()][0] == "error"
    assert not [each for each in caplog.records if each.levelname == "ERROR"]
