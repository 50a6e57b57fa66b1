"""A connection to Redis on our loop: pieces, errors, silence, TLS, the end."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from python_tcp import redis_wire
from python_tcp.loop import EventLoop
from python_tcp.redis_place import RedisConnection, RedisLink, parse_redis_url
from python_tcp.redis_wire import RedisWire, StreamReader, pack_command
from redis_servers import RedisServer, needs_redis
from waiting import wait_until


class Played:
    """A wire, and the other end of it, which a test plays."""

    def __init__(self, patience: float = 20.0) -> None:
        self.loop = EventLoop()
        self.heard: list[object] = []
        self.troubles: list[str] = []
        self.redis, self.sock = socket.socketpair()
        self.redis.settimeout(60)
        self.is_disconnected = False
        connection = RedisConnection(self.sock, self)
        self.wire = RedisWire(self.loop, connection, patience, self.troubles.append)

    def disconnect(self) -> None:
        self.is_disconnected = True
        self.sock.close()

    def ask(self, *words: bytes) -> None:
        self.wire.ask(words, self.heard.append)

    def until(self, done: object) -> None:
        wait_until(lambda: self.loop.tick(0.01) or done())


@pytest.fixture
def played() -> Iterator[Played]:
    played = Played()
    yield played
    played.wire.close()
    played.redis.close()
    played.loop.close()


def test_a_command_is_packed_by_length_and_may_hold_anything() -> None:
    assert pack_command([b"SET", b"a", b"\r\n$1\r\n"]) == (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$6\r\n\r\n$1\r\n\r\n"
    )
    assert pack_command([b""]) == b"*1\r\n$0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_answers_in_any_pieces_belong_to_their_commands(
    played: Played, size: int
) -> None:
    for word in b"one", b"two", b"three":
        played.ask(word)
    answers = b"$3\r\na\r\n\r\n:7\r\n*2\r\n$-1\r\n*0\r\n"
    for start in range(0, len(answers), size):
        played.redis.sendall(answers[start : start + size])
        played.loop.tick(1)
    played.until(lambda: len(played.heard) == 3)
    assert played.heard == [b"a\r\n", 7, [None, []]]
    assert not played.troubles


def test_a_large_command_is_sent_in_parts_and_the_loop_does_not_wait(
    played: Played,
) -> None:
    payload = os.urandom(5_000_000)
    played.ask(b"XADD", payload)
    played.ask(b"PING")
    wanted = pack_command([b"XADD", payload]) + pack_command([b"PING"])
    played.redis.setblocking(False)
    got = bytearray()

    def take() -> bool:
        try:
            got.extend(played.redis.recv(1 << 20))
        except BlockingIOError:
            pass
        return len(got) >= len(wanted)

    played.until(take)
    assert got == wanted
    played.redis.sendall(b"+OK\r\n+PONG\r\n")
    played.until(lambda: played.heard == [b"OK", b"PONG"])


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"-READONLY it is a replica\r\n+OK\r\n", "READONLY it is a replica"),
        (b"nonsense\r\n", "what it answers is not understood"),
        (b"+OK\r\n+OK\r\n+OK\r\n", "it answers what nobody has asked"),
    ],
)
def test_what_is_wrong_ends_the_wire_and_is_told_once(
    played: Played, answer: bytes, told: str
) -> None:
    played.ask(b"one")
    played.ask(b"two")
    played.redis.sendall(answer)
    played.until(lambda: played.troubles)
    assert len(played.troubles) == 1 and told in played.troubles[0]
    assert played.is_disconnected
    heard = list(played.heard)
    played.ask(b"three")  # passed over
    played.loop.tick(0)
    assert played.heard == heard and len(played.troubles) == 1


def test_an_end_is_told(played: Played) -> None:
    played.redis.close()
    played.until(lambda: played.troubles)
    assert played.troubles == ["the connection has ended"]


def test_silence_is_told_after_the_patience(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisWire, "LOOK", 0.02)
    played.wire.close()
    quiet = Played(patience=0.1)
    quiet.loop.tick(0.05)
    quiet.loop.tick(0.05)
    assert not quiet.troubles  # nothing was asked
    quiet.ask(b"PING")
    quiet.until(lambda: quiet.troubles)
    assert quiet.troubles == ["it does not answer"]
    quiet.redis.close()
    quiet.loop.close()


def test_an_answer_that_is_there_is_no_silence(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that was busy for longer than the patience looks first."""
    played.ask(b"PING")
    played.redis.sendall(b"+PONG\r\n")
    now = redis_wire.monotonic()
    monkeypatch.setattr(redis_wire, "monotonic", lambda: now + 1000)
    played.wire._look()
    assert played.heard == [b"PONG"] and not played.troubles


def test_a_callback_that_closes_the_wire_hears_nothing_more(played: Played) -> None:
    played.wire.ask([b"one"], lambda answer: played.wire.close())
    played.ask(b"two")
    played.redis.sendall(b"+OK\r\n+OK\r\n")
    played.loop.tick(1)
    assert not played.heard and not played.troubles


def test_finish_waits_for_the_answers_and_for_no_longer_than_it_may(
    played: Played,
) -> None:
    played.ask(b"one")
    played.redis.sendall(b"+OK\r\n")
    played.wire.finish(20)
    assert played.heard == [b"OK"]
    played.ask(b"two")
    played.wire.finish(0.01)
    assert played.heard == [b"OK"] and not played.troubles


# --- against a real Redis ------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[Path, Path]:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder / "ca.pem", folder / "server.pem"


@needs_redis
@pytest.mark.parametrize("tls", [False, True])
def test_a_stream_is_read_over_a_wire_from_where_it_was_left(
    tmp_path: Path, reserved_port: int, tls: bool
) -> None:
    options: list[str] = []
    if tls:
        ca, server = certificate(tmp_path)
        files = ["--tls-cert-file", str(server), "--tls-key-file", str(server)]
        trust = ["--tls-ca-cert-file", str(ca), "--tls-auth-clients", "no"]
        options = ["--tls-port", str(reserved_port), *files, *trust]
    redis = RedisServer(tmp_path / "redis", *options)
    with redis:
        url = redis.url
        if tls:
            url = f"rediss://127.0.0.1:{reserved_port}?ssl_ca_certs={ca}"
        place = parse_redis_url(url)
        link = RedisLink(place, 20.0)
        loop, troubles, heard = EventLoop(), list[str](), list[bytes]()
        to_append = RedisWire(loop, link.connect(), 20.0, troubles.append)
        to_read = RedisWire(loop, link.connect(), 20.0, troubles.append)
        payloads = [b"%d " % number + os.urandom(20_000) for number in range(30)]
        reader = StreamReader(
            to_read, place, "", 0,
            lambda entries: heard.extend(each.payload for each in entries), heard.clear,
        )  # fmt: skip
        reader.read_on()
        for payload in payloads:
            words = [b"XADD", place.key("log").encode(), b"*", b"e", payload]
            to_append.ask(words, lambda position: None)
        wait_until(lambda: loop.tick(0.01) or len(heard) == 30 or troubles)
        assert heard == payloads and not troubles
        position = reader.position
        redis.ask("XADD", "{chat}:log", "*", "other", "field")
        wait_until(lambda: loop.tick(0.01) or len(heard) == 31)
        assert heard[30] == b"" and reader.position != position
        to_append.close()
        to_read.close()
        loop.close()
        link.close()
