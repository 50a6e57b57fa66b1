"""Handshakes on the loop: who stalls, who speaks something else, who goes, and a certificate that is replaced."""

import gc
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from authority import ca_file, client_tls, raw_context, server_file, server_tls
from sockets import dial, nothing_left_over, read_all, read_exactly, reset  # noqa: F401
from waiting import LIMIT, wait_until

from python_tcp.certificates import pin_of, pin_of_file
from python_tcp.client import EventDrivenTCPClient
from python_tcp.handshakes import Handshakes, ServerTLS
from python_tcp.security import ClientTLS, peer_certificate
from python_tcp.server import EventDrivenTCPServer

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class Recorder(EventDrivenTCPServer):
    """Echoes over TLS, and notes who comes, and who is dropped before."""

    def __init__(self, timeout: float = LIMIT, **options: object) -> None:
        super().__init__(layers=[server_tls(timeout=timeout)], **options)
        self.came: list[int] = []
        self.dropped: list[str] = []

    def on_connect(self, connection_id: int, address: tuple) -> None:
        self.came.append(connection_id)

    def on_dropped(self, address: tuple, reason: str) -> None:
        self.dropped.append(reason)

    @property
    def inside(self) -> int:
        return len(self._clients._layers)


@pytest.fixture
def close() -> Iterator[Callable]:
    """`close(sock)` closes it after the test, and gives it back."""
    with ExitStack() as stack:
        yield stack.enter_context


def hello() -> bytes:
    """The first bytes of a client, which are a whole hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = raw_context().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def works(server: Recorder) -> bool:
    """Does somebody who comes now get an echo?"""
    with dial(server.port) as sock, raw_context().wrap_socket(sock) as client:
        client.sendall(b"hello")
        return read_exactly(client, 5) == b"hello"


STALLED = {
    "nothing": lambda: b"",
    "one byte": lambda: hello()[:1],
    "half a hello": lambda: hello()[:100],
    "a hello": hello,
    "a hello, and nonsense": lambda: hello() + b"\x17\x03\x03\x00\x05hello",
}


@pytest.mark.parametrize("state", STALLED)
def test_who_stalls_is_dropped_after_a_time_and_was_never_a_client(
    state, close
) -> None:
    with Recorder(timeout=30.0) as server:
        stalled = close(dial(server.port))
        stalled.sendall(STALLED[state]())
        wait_until(lambda: server.inside or server.dropped)
        assert works(server)
        ahead = server.loop._clock() + 31
        server.loop.call_threadsafe(
            lambda: setattr(server.loop, "_clock", lambda: ahead)
        )
        wait_until(lambda: server.dropped)
        assert len(server.came) == 1 and not server.inside
        if state != "a hello, and nonsense":
            assert server.dropped == ["it took too long over the TLS handshake"]
        with suppress(ConnectionResetError):
            read_all(stalled)


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
@pytest.mark.parametrize("state", STALLED)
def test_who_leaves_in_the_handshake_is_gone(state, leave) -> None:
    with Recorder() as server:
        sock = dial(server.port)
        sock.sendall(STALLED[state]())
        wait_until(lambda: server.inside or server.dropped)
        leave(sock)
        wait_until(lambda: server.dropped)
        assert works(server) and len(server.came) == 1


def test_the_oldest_gives_way_when_too_many_are_inside(close, monkeypatch) -> None:
    monkeypatch.setattr(Handshakes, "MOST", 5)
    with Recorder() as server:
        stalled = [close(dial(server.port)) for _ in range(7)]
        # the last is counted after the one that makes room for it
        wait_until(lambda: len(server.dropped) == 2 and server.inside == 5)
        assert [read_all(sock) for sock in stalled[:2]] == [b"", b""]
        assert works(server)
        assert set(server.dropped) == {"it had to make room in the TLS handshake"}


def test_a_full_server_lets_those_who_have_not_begun_give_way(close) -> None:
    """They count as connections, so the bound holds; but no stranger keeps a client out."""
    with Recorder(max_connections=3) as server:
        for _ in range(10):
            close(dial(server.port))
        wait_until(lambda: len(server.dropped) == 7)
        assert works(server) and server.inside <= 3


def test_a_full_server_of_clients_does_not_take_more(close) -> None:
    with Recorder(max_connections=2) as server:
        clients = []
        for _ in range(2):
            sock = close(raw_context().wrap_socket(dial(server.port)))
            sock.sendall(b"x")
            clients.append(read_exactly(sock, 1))
        waiting = close(dial(server.port))
        waiting.settimeout(0.1)
        with pytest.raises(TimeoutError):
            raw_context().wrap_socket(waiting, do_handshake_on_connect=True)
        assert len(server.came) == 2 and not server.inside


OTHERS = {
    "http": (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HTTP/1.1 400 This port speaks TLS",
    ),
    "http, slowly": (b"POST /x HTTP/1.1\r\n", b"HTTP/1.1 400 This port speaks TLS"),
    "chat": (b'{"type":"join","username":"ann"}\n', b"This port speaks TLS.\r\n"),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", b"This port speaks TLS.\r\n"),
    "garbage": (bytes(range(1, 256)) * 100, b"This port speaks TLS.\r\n"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_who_speaks_without_tls_is_told_so_in_a_language_of_his(kind, close) -> None:
    said, answer = OTHERS[kind]
    with Recorder() as server:
        sock = close(dial(server.port))
        sock.sendall(said)
        assert read_all(sock).startswith(answer)
        sock.close()
        wait_until(lambda: server.dropped == ["it speaks without TLS"])
        assert not server.came and not server.inside and works(server)


def test_garbage_that_begins_as_tls_does_is_refused(close) -> None:
    with Recorder() as server:
        for garbage in (
            b"\x16\x03\x01\xff\xff" + bytes(70_000),
            b"\x16\x03\x01\x00\x05garb",
            b"\x16garbage and more of it",
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + bytes(60),
        ):
            count = len(server.dropped)
            sock = close(dial(server.port))
            with suppress(OSError):
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)
            wait_until(lambda: len(server.dropped) == count + 1)
        assert not server.came and works(server)


@pytest.mark.parametrize("first", [5, 100], ids=["its head in two pieces", "at once"])
def test_a_hello_that_says_it_is_long_is_not_waited_for(first, close) -> None:
    """OpenSSL makes room for 128 KiB as soon as it has read the size."""
    long = b"\x16\x03\x01\x3e\x80\x01\x01\xff\x00" + bytes(1000)
    with Recorder() as server:
        sock = close(dial(server.port))
        sock.sendall(long[:first])
        wait_until(lambda: server.inside or server.dropped)
        with suppress(ConnectionError):
            sock.sendall(long[first:])
        wait_until(lambda: server.dropped == ["its hello is too long"])


def test_a_hello_in_single_bytes_is_a_hello(close) -> None:
    with Recorder() as server:
        sock = close(dial(server.port))
        for byte in hello():
            sock.sendall(bytes([byte]))
        assert sock.recv(3) == b"\x16\x03\x03" and server.inside


def test_an_old_version_is_refused_with_one_sentence(close) -> None:
    context = raw_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Recorder() as server:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            context.wrap_socket(close(dial(server.port)))
        wait_until(lambda: server.dropped)
        assert server.dropped == ["the peer offers only versions before TLS 1.2"]


def test_a_client_that_refuses_our_certificate_is_said_to_do_so() -> None:
    with Recorder() as server:
        client = EventDrivenTCPClient(
            tls=ClientTLS()
        )  # our authority is not the system's
        assert not client.connect("localhost", server.port)
        wait_until(lambda: server.dropped)
        assert server.dropped == ["the peer does not accept our certificate"]


def test_a_server_stops_at_once_with_strangers_inside(close) -> None:
    with Recorder() as server:
        for state in ("nothing", "half a hello", "a hello"):
            close(dial(server.port)).sendall(STALLED[state]())
        close(dial(server.port)).sendall(b"GET / HTTP/1.1\r\n\r\n")  # it lingers
        wait_until(lambda: server.inside == 4)
    assert server.dropped.count("server_closing") >= 3 and not server.running


def test_a_server_can_be_started_again() -> None:
    server = Recorder()
    for _ in range(2):
        with server:
            assert works(server)


def test_a_handshake_does_not_take_more_than_its_part_of_a_tick(close) -> None:
    """Thirty hellos are there at once: no tick answers more than four of them."""
    with Recorder() as server:
        sockets = [close(dial(server.port)) for _ in range(30)]
        wait_until(lambda: server.inside == 30)
        answered: list[int] = []
        step = ssl.SSLSocket.do_handshake
        server.loop.on_tick = lambda seconds: answered.append(0)

        class Counted(ssl.SSLSocket):
            def do_handshake(self) -> None:
                answered[-1] += 1
                step(self)

        context = server._clients._layers._layers[0].context
        context.sslsocket_class = Counted
        busy, go_on = threading.Event(), threading.Event()
        server.loop.call_threadsafe(lambda: (busy.set(), go_on.wait(LIMIT)))
        busy.wait(LIMIT)
        answered.append(0)
        for sock in sockets:
            sock.sendall(hello())
        go_on.set()
        assert all(sock.recv(100) for sock in sockets)
    assert sum(answered) == 30 and max(answered) == Handshakes.PER_TICK


@pytest.mark.slow
def test_a_certificate_replaced_under_load_disturbs_nobody(tmp_path: Path) -> None:
    """Twenty who talk and five who come and go, while the files are replaced thirty times."""
    path = tmp_path / "server.pem"
    shutil.copy(server_file(), path)
    tls = ServerTLS(path)
    server = EventDrivenTCPServer(layers=[tls])
    failures: list[str] = []
    enough = threading.Event()

    def talk(stay: bool) -> None:
        client = EventDrivenTCPClient(timeout=LIMIT, tls=client_tls())
        heard = bytearray()
        client.on_data = heard.extend
        client.on_error = lambda error: failures.append(str(error))
        said = 0
        while not enough.is_set():
            if not client.connected:
                heard.clear()
                said = 0
                if not client.connect("localhost", server.port):
                    return
            client.send(b"0123456789")
            said += 10
            wait_until(lambda: len(heard) == said)
            if not stay:
                client.close()
        client.close()

    with server:
        threads = [
            threading.Thread(target=partial(talk, number < 20)) for number in range(25)
        ]
        for thread in threads:
            thread.start()
        seen = set()
        for number in range(30):
            new = tmp_path / "new.pem"
            shutil.copy(server_file(("good", "renewed")[number % 2]), new)
            new.replace(path)
            tls.reload()
            seen.add(pin_of(peer_certificate("localhost", server.port)))
        enough.set()
        for thread in threads:
            thread.join(LIMIT)
    assert failures == []
    assert seen == {pin_of_file(server_file(kind)) for kind in ("good", "renewed")}


def test_new_clients_see_the_new_certificate_and_old_ones_go_on(
    tmp_path, close
) -> None:
    path = tmp_path / "server.pem"
    shutil.copy(server_file(), path)
    tls = ServerTLS(path)
    with EventDrivenTCPServer(layers=[tls]) as server:
        old = close(raw_context().wrap_socket(dial(server.port)))
        shutil.copy(server_file("self-signed"), path)
        tls.reload()
        seen = peer_certificate("localhost", server.port)
        assert pin_of(seen) == pin_of_file(server_file("self-signed"))
        old.sendall(b"still here")
        assert read_exactly(old, 10) == b"still here"


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_files_that_are_no_good_change_nothing(tmp_path, content) -> None:
    path = tmp_path / "server.pem"
    shutil.copy(server_file(), path)
    tls = ServerTLS(path)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        tls.reload()
    with pytest.raises((OSError, ValueError)):
        tls.load(ca_file())
    with EventDrivenTCPServer(layers=[tls]) as server:
        seen = peer_certificate("localhost", server.port)
        assert pin_of(seen) == pin_of_file(server_file())


def test_a_handshake_leaves_no_cycle_behind() -> None:
    """Cycles are for the collector, and under churn it stops everybody."""
    with Recorder() as server:

        def come_and_go(count: int) -> None:
            for _ in range(count):
                assert works(server)
                with dial(server.port) as sock:
                    sock.sendall(b"\x16\x03")
            wait_until(lambda: not server.inside and not server._clients._streams)

        come_and_go(5)
        gc.collect()
        gc.disable()
        try:
            come_and_go(50)
            assert gc.collect() < 100, "less than one object for a connection"
        finally:
            gc.enable()
