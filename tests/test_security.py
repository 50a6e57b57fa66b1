"""TLS: what is believed, what is refused and with which words, and a transport that behaves as a socket does."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE

import pytest
from authority import ca_file, client_tls, raw_context, server_file, server_tls
from sockets import nothing_left_over  # noqa: F401
from sockets import open_files, read_all, read_exactly, reset, tcp_pair
from waiting import LIMIT, wait_until

from python_tcp.certificates import pin_of, pin_of_file
from python_tcp.client import EventDrivenTCPClient
from python_tcp.loop import EventLoop
from python_tcp.security import (
    ClientTLS,
    TLSError,
    TLSTransport,
    client_context,
    peer_certificate,
    server_context,
    tls_error,
)
from python_tcp.server import EventDrivenTCPServer
from python_tcp.stream import Stream

HOST = "127.0.0.1"
pytestmark = pytest.mark.usefixtures("nothing_left_over")


class Recorder(EventDrivenTCPServer):
    """Echoes over TLS, and notes why its clients end."""

    def __init__(self, kind: str = "good", **options: object) -> None:
        super().__init__(layers=[server_tls(kind)], **options)
        self.ends: list[str] = []
        self.heard = bytearray()

    def on_data(self, connection_id: int, data: bytes) -> None:
        self.heard += data
        super().on_data(connection_id, data)

    def on_disconnect(self, connection_id: int) -> None:
        self.ends.append(self.connections[connection_id].close_reason)


class Caller(EventDrivenTCPClient):
    """A client that keeps what it hears."""

    def __init__(self, tls: ClientTLS, **options: object) -> None:
        super().__init__(tls=tls, timeout=LIMIT, **options)
        self.heard, self.errors = bytearray(), []
        self.on_data, self.on_error = self.heard.extend, self.errors.append


def dial(port: int, **settings: object) -> ssl.SSLSocket:
    """A plain, blocking TLS client, for which an end without a goodbye is an error."""
    sock = socket.create_connection((HOST, port), timeout=LIMIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw_context(**settings).wrap_socket(sock, suppress_ragged_eofs=False)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.name)


# Bytes


@each_version
def test_bytes_come_and_go_and_nobody_reads_along(version) -> None:
    """5 MB each way, in the pieces that the kernel happens to take."""
    data = bytes(range(256)) * 20_000
    with Recorder(max_output=16_000_000) as server:
        client = Caller(client_tls())
        client._tls.context.maximum_version = version
        assert client.connect(HOST, server.port)
        assert client.send(data)
        wait_until(lambda: len(client.heard) == len(data))
        assert client.heard == data == server.heard
        client.close()
        wait_until(lambda: server.ends == ["closed by peer"])
        assert client.close_reason == "closed by us"


def test_what_is_broadcast_is_one_buffer_for_all_and_each_reads_it_in_order() -> None:
    """Three who read, one of them only at the end."""
    with Recorder(max_output=16_000_000) as server:
        clients = [dial(server.port) for _ in range(3)]
        wait_until(lambda: len(server.connections) == 3)
        words = [b"%06d" % number * 1000 for number in range(300)]
        for word in words:
            assert server.broadcast(word)
        for client in clients:
            assert read_exactly(client, 1_800_000) == b"".join(words)
            client.close()


def test_a_record_is_read_whole_however_little_is_asked_for() -> None:
    """What is left of a record in OpenSSL's buffer, no selector would show."""
    with Recorder(buffer_size=10) as server, dial(server.port) as client:
        client.sendall(b"x" * 1000)
        assert read_exactly(client, 1000) == b"x" * 1000
        assert len(server.heard) == 1000


# A transport on a loop that a test ticks by hand


class Pair:
    """Two TLS sockets: ours in a stream on a loop, and the peer's, which does not wait."""

    def __init__(
        self, shake_hands: bool = True, small: bool = False, **options: object
    ) -> None:
        peer, ours = tcp_pair()
        if small:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        how = {"do_handshake_on_connect": False, "suppress_ragged_eofs": False}
        self.peer = raw_context().wrap_socket(peer, **how)
        context = server_context(server_file())
        self.ours = context.wrap_socket(ours, server_side=True, **how)
        self.peer.setblocking(False)
        self.ours.setblocking(False)
        if shake_hands:
            while not (self.shake(self.peer) & self.shake(self.ours)):
                pass
        self.loop, self.heard, self.ends = EventLoop(), bytearray(), []
        self.transport = TLSTransport(self.ours)
        self.stream = Stream(
            self.loop, self.ours, ("test", 0), transport=self.transport,
            on_data=lambda stream, data: self.heard.extend(data),
            on_end=lambda stream: self.ends.append(stream.close_reason), **options,
        )  # fmt: skip

    @staticmethod
    def shake(sock: ssl.SSLSocket) -> bool:
        try:
            sock.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def read(self) -> bytes | None:
        """What the peer can read now; None: nothing yet."""
        try:
            return self.peer.recv(65_536)
        except ssl.SSLWantReadError:
            return None

    def read_to_the_end(self) -> bytes:
        data, end = bytearray(), time.monotonic() + LIMIT
        while (chunk := self.read()) != b"":
            assert time.monotonic() < end
            data += chunk or b""
            self.loop.tick(0)
        return bytes(data)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end
            self.loop.tick(0.01)

    def close(self) -> None:
        self.stream.abort("end of the test")
        self.peer.close()
        self.loop.close()


@pytest.fixture
def pairs() -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(*arguments: object, **options: object) -> Pair:
        made.append(Pair(*arguments, **options))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


def test_a_write_that_must_read_first_waits_for_input_and_then_goes_on(pairs) -> None:
    """Sent before the handshake is done, so OpenSSL does it first: write wants read."""
    pair = pairs(shake_hands=False)
    pair.stream.send(b"hello")
    pair.loop.tick(0)
    assert pair.transport.crossed
    assert pair.transport.interest(EVENT_WRITE) == EVENT_READ
    begin = time.monotonic()
    pair.loop.tick(0.05)
    assert time.monotonic() - begin >= 0.05, "it does not spin"
    while not pair.shake(pair.peer):
        pair.loop.tick(0.01)
    wait_until(lambda: pair.loop.tick(0.01) or pair.read() == b"hello")
    assert not pair.transport.crossed and not pair.stream.queued
    pair.peer.send(b"and back")
    pair.until(lambda: pair.heard == b"and back")


def test_a_read_that_must_write_first_waits_for_room_and_then_goes_on(pairs) -> None:
    """The handshake's answer does not go, because our buffer is full: read wants write."""
    pair = pairs(shake_hands=False, small=True)
    assert not pair.shake(pair.peer)  # its hello is on its way
    with suppress(BlockingIOError):
        while True:  # below TLS
            socket.socket.send(pair.ours, bytes(10_000))
    pair.until(lambda: pair.transport.crossed)
    assert pair.transport.interest(EVENT_READ) == EVENT_WRITE
    for _ in range(10):
        pair.loop.tick(0)
    assert pair.stream.close_reason is None
    while pair.transport.crossed:  # the peer takes it: then there is room
        with suppress(BlockingIOError):
            socket.socket.recv(pair.peer, 65_536)
        pair.loop.tick(0.01)
    assert pair.transport.interest(EVENT_READ) == EVENT_READ


@pytest.mark.parametrize("size", [100, 16_384, 60_000])
def test_the_last_words_and_the_goodbye_of_tls_arrive_at_a_slow_peer(
    pairs, size
) -> None:
    """`close_notify` needs room in the socket, too."""
    pair = pairs(small=True, farewell=lambda reason: b"goodbye")
    pair.stream.send(bytes(size))
    pair.loop.tick(0)
    pair.stream.finish("test")
    for _ in range(10):
        pair.loop.tick(0)
    assert pair.read_to_the_end() == bytes(size) + b"goodbye"


def test_the_goodbye_of_tls_waits_until_there_is_room(pairs) -> None:
    """The socket is full to the last byte when all is sent."""
    pair = pairs(small=True)
    sent = 0
    with suppress(ssl.SSLWantWriteError):
        while True:
            sent += pair.ours.send(bytes(1000))
    pair.stream.send(bytes(1000))  # the record that waits in OpenSSL
    pair.loop.tick(0)
    assert pair.stream.blocked
    calls: list[str] = []
    shutdown = ssl.SSLSocket.unwrap

    class Full(ssl.SSLSocket):  # what OpenSSL says when the alert has no room
        def unwrap(self):
            calls.append("unwrap")
            if len(calls) < 3:
                raise ssl.SSLWantWriteError
            return shutdown(self)

    pair.ours.__class__ = Full
    pair.stream.finish("test")
    assert pair.read_to_the_end() == bytes(sent + 1000)
    assert len(calls) == 3


def test_a_slow_consumer_hears_why_and_reads_whole_records(pairs) -> None:
    pair = pairs(small=True, max_output=100_000, farewell=lambda reason: b"too slow\n")
    line = b"y" * 999 + b"\n"
    for _ in range(500):
        pair.stream.send(line)
        pair.loop.tick(0)
    assert pair.ends == ["slow_consumer"]
    lines = pair.read_to_the_end().splitlines(keepends=True)
    assert lines.pop() == b"too slow\n" and set(lines) == {line}


def test_a_goodbye_of_the_peer_is_an_end_and_a_cut_is_a_loss(pairs) -> None:
    polite, cut = pairs(), pairs()
    with suppress(ssl.SSLError):
        polite.peer.unwrap()
    socket.socket.shutdown(cut.peer, socket.SHUT_WR)
    for pair, why in [
        (polite, "closed by peer"),
        (cut, "connection lost: the connection was cut off by the peer"),
    ]:
        pair.until(lambda: pair.ends)
        assert pair.ends == [why]


def test_a_client_that_is_cut_off_is_lost_and_so_is_a_server() -> None:
    """Through the engine's own clients and servers."""
    why = "connection lost: the connection was cut off by the peer"
    with Recorder() as server:
        client = dial(server.port)
        wait_until(lambda: server.connections)
        client.close()  # without `close_notify`
        wait_until(lambda: server.ends)
        assert server.ends == [why]
        caller = Caller(client_tls())
        assert caller.connect("localhost", server.port)
        wait_until(lambda: server.connections)
        [stream] = server.connections.values()
        server.loop.call_threadsafe(lambda: stream.abort("cut"))
        wait_until(lambda: caller.errors)
        assert [str(error) for error in caller.errors] == [why]
        caller.close()


def test_a_full_socket_takes_whole_records_and_says_how_many(pairs) -> None:
    """Else a slow reader would seem to take nothing until it has taken all."""
    pair = pairs(small=True)
    sent = pair.transport.send(bytes(1_000_000))
    assert 0 < sent < 1_000_000 and sent % 16_384 == 0
    with pytest.raises(BlockingIOError):
        pair.transport.send(bytes(1_000_000 - sent))


def test_bytes_that_were_changed_on_their_way_end_the_connection(pairs) -> None:
    pair = pairs()
    socket.socket.send(pair.peer, b"\x17\x03\x03\x00\x20" + bytes(32))
    pair.until(lambda: pair.ends)
    [why] = pair.ends
    assert "the peer sent a record that was changed on its way" in why


def test_a_record_that_is_too_long_ends_the_connection(pairs) -> None:
    pair = pairs()
    socket.socket.send(pair.peer, b"\x17\x03\x03\xff\xff" + bytes(40_000))
    pair.until(lambda: pair.ends)
    [why] = pair.ends
    assert "the peer sent a record that is too long" in why


def test_a_pause_holds_for_tls_as_well(pairs) -> None:
    pair = pairs()
    pair.stream.pause_reading()
    pair.peer.send(b"hello")
    for _ in range(5):
        pair.loop.tick(0.01)
    assert not pair.heard
    pair.stream.resume_reading()
    pair.until(lambda: pair.heard == b"hello")


# Who is believed

REFUSED = {
    "expired": ("expired", "the certificate of localhost:{} has expired"),
    "not yet valid": ("not_yet_valid", "is not valid yet; look at the clocks"),
    "other name": ("wrong_name", "the certificate of localhost:{} is for another name"),
    "self-signed": ("self_signed", "is self-signed, so nobody vouches for it"),
    "stranger": ("unknown_authority", "comes from an authority that we do not know"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_certificate_that_is_wrong_is_refused_with_one_sentence(kind) -> None:
    code, sentence = REFUSED[kind]
    with Recorder(kind) as server:
        client = Caller(client_tls())
        assert not client.connect("localhost", server.port)
        [error] = client.errors
        assert isinstance(error, TLSError) and error.code == code
        assert sentence.format(server.port) in str(error) and "\n" not in str(error)
        assert not server.heard


def test_a_certificate_for_another_address_is_refused() -> None:
    with Recorder("self-signed") as server:
        context = client_context(server_file("self-signed"))
        caller = Caller(ClientTLS(context))
        assert not caller.connect(HOST, server.port)
        assert "is for another address" in str(caller.errors[0])
        assert caller.connect("localhost", server.port)
        caller.close()


def test_a_pin_is_believed_and_nothing_else() -> None:
    pin = pin_of_file(server_file("self-signed"))
    with Recorder("self-signed") as server, Recorder("stranger") as other:
        client = Caller(ClientTLS(pin=pin))
        for _ in range(2):  # the second time with a ticket
            assert client.connect(HOST, server.port)
            client.send(b"hello")
            wait_until(lambda: client.heard == b"hello")
            client.heard.clear()
        assert not client.connect(HOST, other.port)
        [error] = client.errors
        assert error.code == "changed_pin" and str(error).startswith("WARNING: ")
        assert not other.heard
        client.close()


def test_a_pin_and_an_authority_must_both_hold() -> None:
    with Recorder() as server:
        right, wrong = pin_of_file(server_file()), bytes(32)
        context = client_context(ca_file())
        client = Caller(ClientTLS(context, right))
        assert client.connect("localhost", server.port)
        client.close()
        client = Caller(ClientTLS(context, wrong))
        assert not client.connect("localhost", server.port)
        assert client.errors[0].code == "changed_pin"
        client = Caller(ClientTLS(client_context(server_file("self-signed")), right))
        assert not client.connect("localhost", server.port)
        assert client.errors[0].code == "unknown_authority"


def test_the_certificate_of_a_server_can_be_looked_at_without_a_word_to_it() -> None:
    with Recorder("self-signed") as server:
        seen = peer_certificate(HOST, server.port)
        assert pin_of(seen) == pin_of_file(server_file("self-signed"))
        wait_until(lambda: server.ends)
        assert not server.heard
        with pytest.raises(TLSError, match="is self-signed"):
            peer_certificate(HOST, server.port, context=client_context(ca_file()))


def test_a_ticket_makes_the_next_handshake_short() -> None:
    reused = []
    with Recorder() as server:
        client = Caller(client_tls())
        for _ in range(3):
            assert client.connect("localhost", server.port)
            reused.append(client._stream.sock.session_reused)
            client.send(b"hello")
            wait_until(lambda: client.heard == b"hello")
            client.heard.clear()
        client.close()
    assert reused == [False, True, True]


@pytest.mark.parametrize("read_first", [False, True])
def test_a_reset_before_the_handshake_costs_no_descriptor(read_first) -> None:
    """Python's `wrap_socket` does not close what was reset, and the error keeps it alive."""
    errors, before = [], open_files()
    for _ in range(10):
        peer, ours = tcp_pair()
        reset(peer)
        if read_first:  # then the error is over, and the socket only not connected
            with pytest.raises(ConnectionResetError):
                ours.recv(1)
        with pytest.raises(TLSError) as raised:
            client_tls().connect(ours, "localhost", 1, LIMIT)
        errors.append(raised.value)
    del raised
    assert open_files() == before and len({str(error) for error in errors}) == 1


# What is not TLS, or not enough of it


@contextmanager
def answering(words: bytes) -> Iterator[int]:
    """A server that says this to whoever says something, and closes."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                with listener.accept()[0] as sock:
                    sock.recv(65_536)
                    sock.sendall(words)

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT)


OTHERS = {
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no_tls", "{} does not speak TLS"),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", "no_tls", "{} does not speak TLS"),
    "chat": (
        b"\x15\x03\x01\0\x02\x02\x28",
        "no_tls",
        "{} refuses to speak TLS with us",
    ),
    "silence": (b"", "tls_failed", "the connection was cut off by {}"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_server_without_tls_is_named_so(kind) -> None:
    words, code, sentence = OTHERS[kind]
    with answering(words) as port:
        client = Caller(client_tls())
        assert not client.connect(HOST, port)
    [error] = client.errors
    assert str(error) == sentence.format(f"{HOST}:{port}") and error.code == code


def test_a_server_that_says_nothing_is_waited_for_so_long() -> None:
    with socket.create_server((HOST, 0)) as listener:
        client = EventDrivenTCPClient(timeout=0.2, tls=client_tls())
        errors = []
        client.on_error = errors.append
        assert not client.connect(HOST, listener.getsockname()[1])
        assert str(errors[0]).endswith("does not answer in the TLS handshake")


def test_an_old_server_is_named_so() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(server_file())

    def serve() -> None:
        with suppress(OSError), listener.accept()[0] as sock:
            context.wrap_socket(sock, server_side=True).close()

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        client = Caller(client_tls())
        assert not client.connect(HOST, listener.getsockname()[1])
        thread.join(LIMIT)
    assert "version" in str(client.errors[0]) and "\n" not in str(client.errors[0])


def test_every_failure_is_one_sentence() -> None:
    for error, sentence in [
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (ValueError("a strange name"), "a strange name"),
        (TLSError("said already"), "said already"),
        (ssl.SSLError("no reason"), "TLS with the peer has failed: no reason given"),
    ]:  # fmt: skip
        assert str(tls_error(error)) == sentence


# Files


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda tmp: (server_file(), server_file("self-signed")), "does not fit the"),
        (lambda tmp: (ca_file(), None), "no certificate and key"),
        (lambda tmp: (str(tmp / "nothing"), None), "No such file"),
        (lambda tmp: (garbage(tmp), None), "no certificate and key"),
        (lambda tmp: (server_file(), locked(tmp)), "the key has a password"),
    ],
    ids=["another key", "no key", "no file", "garbage", "password"],
)
def test_files_that_are_no_certificate_and_key_are_said_to_be_so(
    tmp_path: Path, make, sentence: str
) -> None:
    with pytest.raises((OSError, ValueError), match=sentence) as raised:
        server_context(*make(tmp_path))
    assert "\n" not in str(raised.value)


def garbage(folder: Path) -> str:
    (path := folder / "garbage.pem").write_bytes(b"\0\xffnothing")
    return str(path)


def locked(folder: Path) -> str:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(server_file()).read_bytes(), None)
    (path := folder / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return str(path)


@pytest.mark.parametrize("content", [None, b"\0\xffnothing"])
def test_a_file_of_authorities_that_is_none_is_said_to_be_so(tmp_path, content) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=str(path)):
        client_context(path)


# Settings


def test_weak_settings_are_off() -> None:
    for context in (server_context(server_file()), client_context(ca_file())):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION


def openssl_client(port: int, version: str) -> subprocess.Popen[bytes]:
    """`openssl s_client`, connected; the test is skipped where there is none."""
    command = ["openssl", "s_client", version, "-connect", f"{HOST}:{port}"]
    try:
        return subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.STDOUT)
    except OSError:
        pytest.skip("there is no openssl command")


def test_a_renegotiation_is_refused() -> None:
    """`openssl s_client` asks for one when it reads a line with an R."""
    with Recorder() as server:
        with openssl_client(server.port, "-tls1_2") as client:
            wait_until(lambda: server.connections)
            client.stdin.write(b"R\n")
            client.stdin.flush()
            said = client.stdout.read()
            client.wait(LIMIT)
    assert b"RENEGOTIATING" in said and b"no renegotiation" in said
    assert not server.heard


def test_new_keys_in_the_middle_disturb_nobody() -> None:
    """TLS 1.3 has no renegotiation, but a peer may ask for new keys."""
    with Recorder() as server:
        with openssl_client(server.port, "-tls1_3") as client:
            wait_until(lambda: server.connections)
            for line in (b"hello\n", b"K\n", b"again\n"):
                client.stdin.write(line)
                client.stdin.flush()
                while line == b"K\n" and b"KEYUPDATE" not in client.stdout.readline():
                    pass
                wait_until(lambda: line == b"K\n" or server.heard.endswith(line))
            client.stdin.close()
            client.wait(LIMIT)
    assert server.heard == b"hello\nagain\n"


@pytest.mark.slow
def test_ssl_is_loaded_only_where_it_is_used() -> None:
    """A chat in clear text does not pay for it."""
    code = "import sys; import python_tcp.chat_server; print('ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_who_resets_or_vanishes_is_gone(pairs) -> None:
    pair = pairs()
    reset(pair.peer)
    pair.until(lambda: pair.ends)
    assert pair.ends[0].startswith("connection lost: ")


def test_a_plain_reader_sees_a_clean_end() -> None:
    with Recorder() as server:
        server.farewell = lambda connection_id, reason: f"bye: {reason}".encode()
        client = dial(server.port)
        wait_until(lambda: server.connections)
        server.stop()
        assert read_all(client) == b"bye: server_closing"
        client.close()
