"""`python_tcp.echo`: what breaks the ten-line server, and what does not break ours."""

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapters import from_chapter
from waiting import LIMIT, wait_until
from python_tcp.echo import Connections, EchoServer, ThreadedListener, echo
from sockets import dial, nothing_left_over, read_all, read_exactly, reset, tcp_pair  # noqa: F401

Running, ask, serve_in_turn, serve_on_threads, open_port, two_lives = from_chapter(
    "001_echo", "Running", "ask", "serve_in_turn", "serve_on_threads", "open_port", "two_lives"
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings(
    "error::pytest.PytestUnhandledThreadExceptionWarning"
)
SHORT = 0.5  # seconds to wait for what should not come


def echoed(address: tuple[str, int], data: bytes, timeout: float = LIMIT) -> bytes:
    """What comes back of `data`, which is sent in one go while we read, and then half-closed."""
    with (
        socket.create_connection(address, timeout=timeout) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        return read_all(client)


@pytest.fixture
def server(nothing_left_over: None):  # noqa: F811
    with EchoServer() as server:
        yield server


def address_of(server: EchoServer) -> tuple[str, int]:
    return server.host, server.port


# What RFC 862 asks for


def test_what_is_sent_comes_back_until_the_client_has_finished(
    server: EchoServer,
) -> None:
    with dial(server.port) as client:
        for data in (b"Hello, server!", b"\0\xff\n", bytes(range(256)) * 100):
            client.sendall(data)
            assert read_exactly(client, len(data)) == data
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", bytes(range(256)), b"\0" * 3_000_000, "Grüße! 👋".encode()],
    ids=lambda data: str(len(data)),
)
def test_all_of_it_comes_back_after_a_half_close(
    server: EchoServer, data: bytes
) -> None:
    assert echoed(address_of(server), data) == data


def test_any_bytes_in_any_pieces() -> None:
    with EchoServer() as server:

        @settings(max_examples=30, deadline=None)
        @given(st.lists(st.binary(max_size=50), max_size=10))
        def pieces_come_back(pieces: list[bytes]) -> None:
            with dial(server.port) as client:
                for piece in pieces:
                    client.sendall(piece)
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"".join(pieces)

        pieces_come_back()


def test_a_reader_that_is_slow_gets_everything(server: EchoServer) -> None:
    data = os.urandom(4_000_000)
    with dial(server.port) as client, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        assert b"".join(iter(lambda: client.recv(10_000), b"")) == data


def test_many_clients_at_once_each_get_their_own(server: EchoServer) -> None:
    texts = [bytes([n]) * 100_000 for n in range(30)]
    with ThreadPoolExecutor(30) as pool:
        assert (
            list(pool.map(lambda text: echoed(address_of(server), text), texts))
            == texts
        )


# The bugs: the naive server has them, ours does not


def answer_beside_a_silent_client(address: tuple[str, int], timeout: float) -> bytes:
    with socket.create_connection(address, timeout=LIMIT):
        with socket.create_connection(address, timeout=timeout) as second:
            second.sendall(b"Is anybody there?")
            return second.recv(1024)


def test_one_client_blocks_the_next_in_the_naive_server(
    nothing_left_over: None,
) -> None:  # noqa: F811
    with Running(serve_in_turn) as naive, pytest.raises(TimeoutError):
        answer_beside_a_silent_client(naive.address, SHORT)


def test_one_client_does_not_block_the_next(server: EchoServer) -> None:
    assert (
        answer_beside_a_silent_client(address_of(server), LIMIT) == b"Is anybody there?"
    )


def vanish_from(address: tuple[str, int]) -> None:
    client = socket.create_connection(address, timeout=LIMIT)
    client.sendall(b"Hello")
    assert read_exactly(client, 5) == b"Hello"
    reset(client)


def test_a_client_that_vanishes_ends_the_naive_server(nothing_left_over: None) -> None:  # noqa: F811
    with Running(serve_in_turn) as naive:
        vanish_from(naive.address)
        naive.thread.join(LIMIT)
        assert (
            isinstance(naive.error, ConnectionResetError)
            and not naive.thread.is_alive()
        )


def test_clients_that_vanish_leave_the_server_as_it_was(server: EchoServer) -> None:
    with dial(server.port) as other:
        for _ in range(20):
            vanish_from(address_of(server))
            reset(dial(server.port))  # before a word
        other.sendall(b"Still here?")
        assert read_exactly(other, 11) == b"Still here?"
        wait_until(lambda: len(server.listener.connections) == 1)


def test_send_takes_a_part_of_much() -> None:
    data = bytes(10_000_000)
    ours, theirs = tcp_pair()
    with ours, theirs:
        theirs.settimeout(LIMIT)
        assert 0 < theirs.send(data) < len(data)


class Reluctant(socket.socket):
    """Its `send` takes three bytes at the most, as a kernel may."""

    def send(self, data: bytes) -> int:
        return super().send(data[:3])


def test_the_echo_does_not_depend_on_how_much_send_takes() -> None:
    ours, theirs = tcp_pair()
    with ours, Reluctant(fileno=theirs.detach()) as theirs:
        ours.sendall(b"Hello, server!")
        ours.shutdown(socket.SHUT_WR)
        echo(theirs)
        assert read_exactly(ours, 14) == b"Hello, server!"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shown on Linux")
def test_the_port_is_in_use_without_the_option_and_free_with_it() -> None:
    assert [two_lives(reuse) for reuse in (False, True)] == ["EADDRINUSE", "started"]


def test_the_server_starts_again_at_once_at_the_same_port(
    nothing_left_over: None,
) -> None:  # noqa: F811
    server = EchoServer()
    port = server.start()
    for _ in range(3):
        with dial(port) as client:
            client.sendall(b"one")
            assert read_exactly(client, 3) == b"one"
            server.stop()  # the server closes first: its end stays in TIME_WAIT
            assert client.recv(1) == b""
        assert server.start() == port
    server.stop()


def test_taking_the_listener_away_does_not_stop_the_naive_threads() -> None:
    with Running(serve_on_threads) as naive:
        client = socket.create_connection(naive.address, timeout=LIMIT)
        client.sendall(b"one")
        assert read_exactly(client, 3) == b"one"
    with client:
        client.sendall(b"two")
        assert read_exactly(client, 3) == b"two"


# Its manners


def test_a_connection_is_closed_when_it_is_served_and_when_that_fails() -> None:
    def fail(connection: socket.socket) -> None:
        raise BrokenPipeError

    for serve in (echo, fail):
        ours, theirs = tcp_pair()
        connections = Connections(serve)
        connections.add(theirs)
        ours.close()
        wait_until(lambda: len(connections) == 0)
        assert theirs.fileno() == -1


def test_one_that_was_reset_does_not_keep_the_others_open() -> None:
    held = threading.Event()
    (reset_one, reset_there), (ours, theirs) = tcp_pair(), tcp_pair()
    connections = Connections(
        lambda connection: held.wait(LIMIT) and connection.recv(1)
    )
    connections.add(reset_there)
    connections.add(theirs)
    reset(reset_one)
    connections.end(timeout=0)
    assert ours.recv(1) == b""
    held.set()
    wait_until(lambda: len(connections) == 0)
    ours.close()


def test_stop_ends_clients_that_are_silent_half_closed_or_do_not_read(
    nothing_left_over: None,
) -> None:  # noqa: F811
    server = EchoServer()
    server.start()
    silent, deaf, rude = dial(server.port), dial(server.port), dial(server.port)
    with silent, deaf:
        deaf.settimeout(SHORT)
        with pytest.raises(TimeoutError):
            deaf.sendall(
                bytes(64_000_000)
            )  # it never reads, so the server sleeps in `sendall`
        reset(rude)
        wait_until(lambda: len(server.listener.connections) == 2)
        start = time.monotonic()
        server.stop(timeout=LIMIT)
        assert time.monotonic() - start < LIMIT / 2
        assert len(server.listener.connections) == 0
        assert silent.recv(1) == b""


def test_stop_waits_no_longer_than_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    held, finished = threading.Event(), threading.Event()

    def stubborn(connection: socket.socket) -> None:
        held.wait(LIMIT)
        finished.set()

    ours, theirs = socket.socketpair()
    connections = Connections(stubborn)
    connections.add(theirs)
    start = time.monotonic()
    connections.end(timeout=0.2)
    assert 0.2 <= time.monotonic() - start < LIMIT / 2
    assert len(connections) == 1
    held.set()
    assert finished.wait(LIMIT)
    wait_until(lambda: len(connections) == 0)
    ours.close()


def test_with_only_the_reading_side_shut_a_connection_can_say_its_last_words() -> None:
    def polite(connection: socket.socket) -> None:
        assert connection.recv(1) == b""
        connection.sendall(b"Goodbye!")

    ours, theirs = tcp_pair()
    connections = Connections(polite)
    connections.add(theirs)
    connections.end(timeout=LIMIT, how=socket.SHUT_RD)
    assert len(connections) == 0
    with ours:
        assert read_all(ours) == b"Goodbye!"


def test_one_that_does_not_finish_in_time_is_cut_off() -> None:
    def deaf(connection: socket.socket) -> None:
        with pytest.raises(OSError):
            connection.sendall(bytes(64_000_000))

    ours, theirs = tcp_pair()
    connections = Connections(deaf)
    connections.add(theirs)
    start = time.monotonic()
    connections.end(timeout=0.2, how=socket.SHUT_RD)
    assert 0.2 <= time.monotonic() - start < LIMIT / 2
    assert len(connections) == 0
    ours.close()


def test_a_bug_in_serving_is_logged_and_costs_one_connection(
    nothing_left_over: None,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = ThreadedListener(lambda connection: 1 / 0)
    port = listener.start()
    for _ in range(2):
        with dial(port) as client:
            assert client.recv(1) == b""
    listener.stop(LIMIT)
    assert [(record.getMessage(), record.exc_info[0]) for record in caplog.records] == [
        ("serving a connection failed", ZeroDivisionError)
    ] * 2


def test_small_answers_are_not_held_back(nothing_left_over: None) -> None:  # noqa: F811
    options = []
    listener = ThreadedListener(
        lambda it: options.append(it.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    )
    with dial(listener.start()) as client:
        assert client.recv(1) == b""
    listener.stop(LIMIT)
    assert options and options[0] != 0


def test_nothing_is_connected_after_stop(server: EchoServer) -> None:
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        dial(server.port)


def test_start_and_stop_may_be_called_twice_and_stop_before_start(
    nothing_left_over: None,
) -> None:  # noqa: F811
    server = EchoServer()
    server.stop()
    assert server.start() == server.start() == server.port > 0
    server.stop()
    server.stop()


def test_a_port_that_is_taken_is_told_at_once(server: EchoServer) -> None:
    other = EchoServer(port=server.port)
    with pytest.raises(OSError) as caught:
        other.start()
    assert caught.value.errno == errno.EADDRINUSE
    assert echoed(address_of(server), b"Hello") == b"Hello"


def failing_once(call: Callable, error: Exception) -> Callable:
    errors = [error]

    def replacement(*arguments: object) -> object:
        if errors:
            raise errors.pop()
        return call(*arguments)

    return replacement


def test_out_of_descriptors_it_says_so_and_accepts_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        socket.socket,
        "accept",
        failing_once(
            socket.socket.accept, OSError(errno.EMFILE, "Too many open files")
        ),
    )
    with EchoServer() as server:
        assert echoed(address_of(server), b"Hello") == b"Hello"
    assert [record.getMessage() for record in caplog.records] == [
        "not accepting connections for now: [Errno 24] Too many open files"
    ]


def test_out_of_threads_it_closes_the_new_client_and_keeps_the_others(
    server: EchoServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with dial(server.port) as earlier:
        earlier.sendall(b"Hello")
        assert read_exactly(earlier, 5) == b"Hello"  # so it has its thread
        monkeypatch.setattr(
            threading.Thread,
            "start",
            failing_once(
                threading.Thread.start, RuntimeError("can't start new thread")
            ),
        )
        with dial(server.port) as unlucky:
            assert unlucky.recv(1) == b""
        assert echoed(address_of(server), b"later") == b"later"
        earlier.sendall(b"Still here?")
        assert read_exactly(earlier, 11) == b"Still here?"
    assert [record.getMessage() for record in caplog.records] == [
        "not accepting connections for now: can't start new thread"
    ]
