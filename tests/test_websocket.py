"""The dialect of browsers, without a network: each split gives the same, and each broken rule has its code."""

import random
from collections.abc import Iterable

import pytest
from each import for_each
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.uri import parse_uri

from python_tcp.dialects import Raw
from python_tcp.events import Message, Welcome
from python_tcp.protocol import Error, Join, Ping, SendMessage, encode
from python_tcp.websocket import BadFrame, MessageAssembler, WebSocket, close_code

LIMIT = 1000


class Anybody:
    """Each request may open a WebSocket."""

    def answer(self, request: Request) -> Response | None:
        return None


def asked(**headers: str) -> bytes:
    """A request, whose key is always the same."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    return f"GET / HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


def masked(opcode: int, data: bytes, fin: bool = True) -> bytes:
    """A frame of a client, right or wrong; the mask is not zero."""
    size, mask = len(data), b"\x12\x34\x56\x78"
    length = bytes([128 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
    return bytes([fin << 7 | opcode]) + length + mask + payload


def text(line: str, parts: int = 1) -> bytes:
    """A text message in so many frames; a character may be cut."""
    data = line.encode()
    size = -(-len(data) // parts) or 1
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(
        masked(0 if n else 1, piece, fin=n == len(pieces) - 1)
        for n, piece in enumerate(pieces)
    )


def run(pieces: Iterable[bytes], dialect: WebSocket | None = None) -> tuple:
    """What the dialect finds: commands and mistakes; the bytes that it sends; its last ones."""
    dialect = dialect or WebSocket(Anybody(), LIMIT)
    found, sent, ended = [], b"", False
    for piece in pieces:
        for each in dialect.receive(piece):
            if each is None:
                ended = True
                break
            if isinstance(each, Raw):
                sent += each.data
            else:
                found.append(each)
        if ended:
            break
    lines = [line for line in sent.split(b"\r\n") if not line.startswith(b"Date:")]
    return found, lines, ended, dialect.last_words("closed by peer")


CONVERSATION = (
    asked()
    + text('{"type":"join","username":"ann"}')
    + masked(9, b"are you there?")
    + text('{"type":"message","content":"grüße 👋"}', parts=7)
    + text("nonsense")
    + text('{"type":"ping","id":"' + "x" * 60 + '"}', parts=60)
    + masked(1, b'{"type":', fin=False)
    + masked(10, b"between")
    + masked(0, b'"ping"}')
    + masked(8, b"\x03\xe8bye")
    + text('{"type":"ping","id":"too late"}')
)


def test_a_conversation() -> None:
    found, lines, ended, last = run([CONVERSATION])
    assert found[:2] == [Join("ann"), SendMessage("grüße 👋")]
    assert isinstance(found[2], Error) and found[2].code == "bad_json"
    assert found[3:] == [Ping("x" * 60), Ping()]
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert lines[-1] == b"\x8a\x0eare you there?"
    assert ended and last == b"\x88\x05\x03\xe8bye"


@for_each(range(0, len(CONVERSATION), 3))
def test_cut_in_two(place: int) -> None:
    whole = run([CONVERSATION])
    assert run([CONVERSATION[:place], CONVERSATION[place:]]) == whole


def test_byte_by_byte() -> None:
    pieces = [CONVERSATION[n : n + 1] for n in range(len(CONVERSATION))]
    assert run(pieces) == run([CONVERSATION])


@pytest.mark.slow
@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=20))
def test_cut_anywhere(places: list[int]) -> None:
    cuts = [0, *sorted(places), len(CONVERSATION)]
    pieces = [CONVERSATION[a:b] for a, b in zip(cuts, cuts[1:])]
    assert run(pieces) == run([CONVERSATION])


# --- broken rules ---------------------------------------------------------------------------------

HOSTILE = {
    "no mask": (b"\x81\x02hi", 1002),
    "a ping of 126 bytes": (b"\x89\xfe\x00\x7e" + bytes(130), 1002),
    "half a ping": (masked(9, b"hi", fin=False), 1002),
    "a reserved bit": (b"\xc1\x80\0\0\0\0", 1002),
    "an unknown opcode": (b"\x83\x80\0\0\0\0", 1002),
    "an unknown control opcode": (b"\x8b\x80\0\0\0\0", 1002),
    "a middle without a beginning": (masked(0, b"hi"), 1002),
    "a beginning within a message": (
        masked(1, b"a", False) + masked(1, b"b", False),
        1002,
    ),
    "half a close code": (masked(8, b"\x03"), 1002),
    "a close code that is none": (masked(8, b"\x03\xed"), 1002),
    "a close reason that is not UTF-8": (masked(8, b"\x03\xe8\xff"), 1007),
    "binary": (masked(2, b"{}"), 1003),
    "binary in two frames": (masked(2, b"{", False) + masked(0, b"}"), 1003),
    "not UTF-8": (masked(1, b"\xff"), 1007),
    "not UTF-8, in two frames": (masked(1, b"\xe2", False) + masked(0, b"("), 1007),
    "half a character": (masked(1, "é".encode()[:1]), 1007),
    "a surrogate": (masked(1, b"\xed\xa0\xbd"), 1007),
    "too long": (masked(1, b"x" * (LIMIT + 1)), 1009),
    "too long in two frames": (
        masked(1, b"x" * LIMIT, False) + masked(0, b"x"),
        1009,
    ),
    "a length of 2**63": (b"\x81\xff\x7f" + b"\xff" * 7 + bytes(4), 1009),
    "65 frames": (masked(1, b"", False) + masked(0, b"", False) * 64, 1008),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("size", [1, 10_000])
def test_each_broken_rule_has_its_code(what: str, size: int) -> None:
    frames, code = HOSTILE[what]
    data = asked() + frames + text('{"type":"ping"}')
    pieces = [data[n : n + size] for n in range(0, len(data), size)]
    found, _, ended, last = run(pieces)
    assert ended and found == []
    assert last[:1] == b"\x88" and int.from_bytes(last[2:4], "big") == code


def test_what_was_right_before_a_mistake_counts() -> None:
    data = asked() + text('{"type":"ping"}') + masked(2, b"x") + text('{"type":"pong"}')
    found, _, ended, last = run([data])
    assert found == [Ping()] and ended and last[2:4] == (1003).to_bytes(2, "big")


def test_a_message_may_have_64_frames_and_pings_between() -> None:
    middle = masked(0, b"", False) * 62
    data = asked() + masked(1, b"{", False) + masked(9, b"") + middle + masked(0, b"}")
    found, _, ended, _ = run([data])
    assert [each.code for each in found] == ["bad_message"] and not ended


class Watched(bytes):
    """It knows how far it was looked at."""

    read = 0

    def __getitem__(self, place: slice) -> bytes:
        self.read = max(self.read, place.stop)
        return super().__getitem__(place)


@pytest.mark.parametrize("opcode", [9, 10])
def test_frames_without_a_message_are_not_free(opcode: int) -> None:
    """Each stands for a command in flood control; and no more than a piece is read at once."""
    dialect = WebSocket(Anybody())
    list(dialect.receive(asked()))
    frames = masked(opcode, b"") * 10_000
    count = len([each for each in dialect.receive(frames) if isinstance(each, Raw)])
    assert count == 10_000
    found = dialect.receive(watched := Watched(frames))
    assert next(iter(found)) and 0 < watched.read <= 2048


# --- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/3.0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"426"),
        (asked(Sec_WebSocket_Version="8"), b"400"),
        (asked(Sec_WebSocket_Key="short"), b"400"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 3000, b"431"),
        (b"GET / HTTP/1.1\r\n" + (b"a: " + b"b" * 4000 + b"\r\n") * 5, b"431"),
    ],
    ids=lambda each: ascii(each[:30]),
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_no_handshake(request_: bytes, status: bytes, size: int) -> None:
    pieces = [request_[n : n + size] for n in range(0, len(request_), size)]
    found, lines, ended, last = run(pieces)
    assert found == [] and lines == [b""] and ended
    assert last.startswith(b"HTTP/1.1 " + status)


def test_a_request_that_never_ends_gets_an_answer_at_the_end() -> None:
    for so_far in (b"", b"GET / HT", asked()[:-2]):
        dialect = WebSocket(Anybody())
        assert list(dialect.receive(so_far)) == []
        assert dialect.last_words("idle").startswith(b"HTTP/1.1 503 ")


# --- what we say ----------------------------------------------------------------------------------


def opened() -> tuple[WebSocket, ClientProtocol]:
    """Both ends of an open WebSocket; the client is the library's."""
    client, dialect = ClientProtocol(parse_uri("ws://localhost/")), WebSocket(Anybody())
    client.send_request(client.connect())
    [answer] = dialect.receive(b"".join(client.data_to_send()))
    client.receive_data(answer.data)
    [response] = client.events_received()
    assert client.state is State.OPEN and response.status_code == 101
    assert response.headers.get("Sec-WebSocket-Extensions") is None
    return dialect, client


def test_an_event_is_one_text_message_the_same_for_all() -> None:
    one, other = opened()[0], opened()[0]
    assert one.encode is other.encode
    for size in (1, 125, 126, 4000, 65_000):
        event = Message("lobby", 1, "ann", "x" * size, 1.5)
        client = opened()[1]
        client.receive_data(one.encode(event))
        [frame] = client.events_received()
        assert frame.opcode is Opcode.TEXT and frame.fin
        assert frame.data == encode(event)[:-1]


def test_no_compression_is_agreed_on() -> None:
    """Chromium offers it each time."""
    _, lines, _, _ = run([asked(Sec_WebSocket_Extensions="permessage-deflate")])
    assert not any(line.startswith(b"Sec-WebSocket-Extensions") for line in lines)


def test_the_client_answers_our_ping() -> None:
    dialect, client = opened()
    client.receive_data(dialect.ping())
    pong = b"".join(client.data_to_send())
    assert list(dialect.receive(pong)) == [Raw(b"")]
    assert WebSocket(Anybody()).ping() == b""  # before there is a WebSocket


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("left", 1000),
        ("server_closing", 1001),
        ("idle", 1001),
        ("server_full", 1013),
        ("too_many_connections", 1013),
        ("slow_consumer", 1008),
        ("rate_limited", 1008),
        ("bad_message", 1008),
        ("replaced", 1008),
    ],
)
def test_last_words_are_a_goodbye_and_a_code(reason: str, code: int) -> None:
    dialect, client = opened()
    client.receive_data(dialect.last_words(reason))
    goodbye, close = client.events_received()
    assert b'"type":"goodbye"' in goodbye.data and reason.encode() in goodbye.data
    assert close.opcode is Opcode.CLOSE and client.close_rcvd is not None
    assert client.close_rcvd.code == code == close_code(reason)
    assert dialect.last_words(reason) == b""  # once


def test_thrown_out_between_a_close_frame_and_our_answer() -> None:
    """What came with the close frame is carried out one at a time; meanwhile the server may end it."""
    for last in (masked(8, b"\x03\xe8"), b"\x81\x02hi", masked(3, b"")):
        dialect = WebSocket(Anybody(), LIMIT)
        found = iter(dialect.receive(asked() + text('{"type": "ping"}') + last))
        while not isinstance(next(found), Ping):
            pass
        next(found, None)
        words = dialect.last_words("banned")
        assert words[:1] == b"\x88" and len(words) == words[1] + 2  # one close frame


def test_who_just_goes_hears_nothing_more() -> None:
    dialect, _ = opened()
    dialect_words = dialect.last_words("closed by peer")
    assert dialect_words == b"" and list(dialect.finish()) == []


def test_half_a_frame_and_an_end_say_nothing() -> None:
    dialect, client = opened()
    client.send_text(b'{"type":"ping"}')
    data = b"".join(client.data_to_send())
    assert list(dialect.receive(data[:-1])) == [] == list(dialect.finish())


def test_the_assembler_says_what_is_wrong() -> None:
    with pytest.raises(BadFrame, match="byte 1 is not UTF-8") as caught:
        MessageAssembler().feed(Frame(Opcode.TEXT, b"a\xff"))
    assert caught.value.code == CloseCode.INVALID_DATA


# --- fuzz -----------------------------------------------------------------------------------------


def mutated(random_: random.Random, data: bytes) -> bytes:
    """The data with a few bytes changed, taken away, put in or said twice."""
    changed = bytearray(data)
    for _ in range(random_.randint(1, 8)):
        place = random_.randrange(len(changed) or 1)
        match random_.randrange(4):
            case 0 if changed:
                changed[place % len(changed)] = random_.randrange(256)
            case 1:
                del changed[place : place + random_.randint(1, 20)]
            case 2:
                changed[place:place] = random_.randbytes(random_.randint(1, 20))
            case _:
                changed[place:place] = changed[place : place + random_.randint(1, 200)]
    return bytes(changed)


@given(st.integers(0, 2**32), st.integers(1, 3000), st.booleans())
def test_whatever_comes(seed: int, size: int, is_open: bool) -> None:
    """No exception; commands, mistakes, bytes and one end; and the same for every split."""
    random_ = random.Random(seed)
    handshake = len(asked())
    data = mutated(random_, CONVERSATION[handshake * is_open :])
    data = asked() * is_open + data
    pieces = [data[n : n + size] for n in range(0, len(data), size)]
    assert run(pieces) == run([data])


@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    run([data])
    run([asked(), data])


def test_a_welcome_fits() -> None:
    dialect, client = opened()
    client.receive_data(dialect.encode(Welcome("ann", "lobby", "Welcome!", 7)))
    [frame] = client.events_received()
    assert frame.data.startswith(b'{"type":"welcome","username":"ann"')
