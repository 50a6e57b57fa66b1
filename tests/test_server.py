"""The three servers: starting, stopping, sending, limits, and everything that clients and callbacks can do wrong."""

import inspect
import itertools
import json
import queue
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from helpers import LineClient, cpu_time
from python_tcp import acceptor
from python_tcp.chat_app import ChatServer
from python_tcp.core import DEFAULT_BACKLOG, DEFAULT_BUFFER_SIZE, LOCALHOST
from python_tcp.protocol import Limits
from python_tcp.acceptor import open_listeners
from python_tcp.server import EnhancedTCPServer, EventDrivenTCPServer, TCPServer
from sockets import dial, nothing_left_over, open_files, read_all, read_exactly, reset  # noqa: F401
from waiting import LIMIT, wait_until

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.usefixtures("nothing_left_over")

SERVERS = [TCPServer, EnhancedTCPServer, EventDrivenTCPServer]
every_server = pytest.mark.parametrize("make", SERVERS)


@pytest.fixture
def started() -> Iterator[Callable]:
    """`started(server)` starts it, and stops it after the test."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(server)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for thousands of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
    if wanted < 4096:
        pytest.skip("the system allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Recorder(EventDrivenTCPServer):
    """Echoes, and notes what happened: (what, connection id, detail)."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.events: list[tuple] = []

    def on_connect(self, connection_id, address):
        self.events.append(("connect", connection_id, address))

    def on_data(self, connection_id, data):
        self.events.append(("data", connection_id, data))
        super().on_data(connection_id, data)

    def on_disconnect(self, connection_id):
        self.events.append(
            ("disconnect", connection_id, self.connections[connection_id].close_reason)
        )

    def seen(self, what: str) -> list:
        return [detail for name, _, detail in list(self.events) if name == what]

    def add_client(self) -> tuple[int, socket.socket]:
        """A new client: its id on the server, and its socket."""
        before = set(self.connections)
        client = dial(self.port)
        wait_until(lambda: set(self.connections) - before)
        return max(self.connections), client


class Quiet(Recorder):
    """A `Recorder` that does not echo."""

    def on_data(self, connection_id, data):
        self.events.append(("data", connection_id, data))


def on_loop(server: EventDrivenTCPServer, function: Callable[[], object]) -> object:
    """Run `function` on the server's thread, in one go, and return what it returned."""
    answer: queue.Queue = queue.Queue()

    def call() -> None:
        try:
            answer.put((function(), None))
        except BaseException as error:
            answer.put((None, error))

    server.loop.call_threadsafe(call)
    result, error = answer.get(timeout=LIMIT)
    if error:
        raise error
    return result


class Held:
    """`with Held(server):` keeps the server's thread busy, so that what happens meanwhile meets it at once."""

    def __init__(self, server: EventDrivenTCPServer) -> None:
        self.server, self.reached, self.go = (
            server,
            threading.Event(),
            threading.Event(),
        )

    def __enter__(self) -> None:
        self.server.loop.call_threadsafe(
            lambda: (self.reached.set(), self.go.wait(LIMIT))
        )
        assert self.reached.wait(LIMIT)

    def __exit__(self, *exc_info: object) -> None:
        self.go.set()


def took(function: Callable[[], object]) -> float:
    start = time.monotonic()
    function()
    return time.monotonic() - start


# Public names


@every_server
def test_the_constructor_is_that_of_the_tutorial(make):
    parameters = inspect.signature(make).parameters.values()
    ordinary = [
        (p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    assert ordinary == [
        ("host", LOCALHOST),
        ("port", 0),
        ("backlog", DEFAULT_BACKLOG),
        ("buffer_size", DEFAULT_BUFFER_SIZE),
    ]
    assert all(
        p.kind is p.KEYWORD_ONLY and p.default is not p.empty
        for p in parameters
        if (p.name, p.default) not in ordinary
    )


@every_server
def test_public_attributes_tell_the_truth_before_while_and_after(make, started):
    server = make("127.0.0.1", 0, 10, 1000)
    assert (
        server.host,
        server.port,
        server.state,
        server.running,
        dict(server.connections),
    ) == ("127.0.0.1", 0, "CLOSED", False, {})
    assert server.send(1, b"x") is False
    assert server.start() is None
    with dial(server.port) as client:
        client.sendall(b"x")
        assert client.recv(10) == b"x"
        assert server.port > 0 and server.state == "LISTEN" and server.running is True
        (connection_id,) = server.connections
        assert server.connections[connection_id].connection_id == connection_id
        assert server.connections[connection_id].remote_address == client.getsockname()
        assert server.connections[connection_id].update_state() == "ESTABLISHED"
        assert (
            f":{server.port}" in str(server)
            and "LISTEN" in str(server)
            and make.__name__ in str(server)
        )
        assert (
            server.send(connection_id, b"hello") is True and client.recv(10) == b"hello"
        )
        assert server.send(connection_id + 1, b"x") is False
    server.stop()
    assert (server.state, server.running, dict(server.connections)) == (
        "CLOSED",
        False,
        {},
    )
    assert server.send(connection_id, b"x") is False


def test_what_is_not_started_can_be_asked_for_anything():
    server = EventDrivenTCPServer()
    assert server.send(1, b"x") is False
    assert server.broadcast(b"x") and server.close(1) is server.stop() is None


def test_callbacks_may_be_assigned_instead_of_overridden(started):
    server, seen = EventDrivenTCPServer(), []
    server.on_connect = lambda connection_id, address: seen.append(
        ("connect", connection_id, address)
    )
    server.on_data = lambda connection_id, data: seen.append(
        ("data", connection_id, data)
    )
    server.on_disconnect = lambda connection_id: seen.append(
        ("disconnect", connection_id)
    )
    started(server)
    with dial(server.port) as client:
        address = client.getsockname()
        client.sendall(b"x")
    wait_until(lambda: len(seen) == 3)
    number = seen[0][1]
    assert seen == [
        ("connect", number, address),
        ("data", number, b"x"),
        ("disconnect", number),
    ]


@pytest.mark.parametrize("make", [EnhancedTCPServer, EventDrivenTCPServer])
def test_a_message_handler_answers_or_keeps_quiet(make, started):
    server, calls = make(), []
    server.set_message_handler(
        lambda number, data: (
            calls.append(number) or (data.upper() if data != b"quiet" else None)
        )
    )
    started(server)
    with dial(server.port) as client:
        for data in (b"one", b"quiet", b"two"):
            client.sendall(data)
            if data != b"quiet":
                assert client.recv(10) == data.upper()
            else:
                wait_until(lambda: len(calls) == 2)
        assert calls == list(server.connections) * 3


def test_on_data_looks_on_and_the_handler_answers(started):
    server, seen = EventDrivenTCPServer(), []
    server.on_data = lambda number, data: seen.append(data)
    server.set_message_handler(lambda number, data: data.upper())
    started(server)
    with dial(server.port) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"HELLO"
    assert seen == [b"hello"]


def test_an_on_data_that_calls_the_original_echoes_only_without_a_handler(started):
    server = started(Recorder())
    with dial(server.port) as client:
        client.sendall(b"a")
        assert client.recv(10) == b"a"
        server.set_message_handler(lambda number, data: b"answer")
        client.sendall(b"b")
        assert read_exactly(client, 6) == b"answer"
        server.set_message_handler(lambda number, data: None)
        client.sendall(b"c")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert server.seen("data") == [b"a", b"b", b"c"]


def test_what_the_handler_answers_after_a_close_in_on_data_is_not_sent(started):
    server = EventDrivenTCPServer()
    server.on_data = lambda number, data: server.close(number)
    server.set_message_handler(lambda number, data: b"too late")
    started(server)
    with dial(server.port) as client:
        client.sendall(b"x")
        assert read_all(client) == b""


# Echo


@every_server
def test_small_pieces_are_not_held_back(make, started):
    """Nagle's algorithm and a delayed acknowledgement cost 40 ms for each of these rounds."""
    server = started(make())
    with dial(server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def round() -> None:
            client.sendall(bytes(60_000))  # more than one read takes
            assert len(read_exactly(client, 60_000)) == 60_000

        seconds = sorted(took(round) for _ in range(40))
        assert seconds[20] < 0.02  # half of them: the machine may have other work
    connections = list(server.connections.values())
    assert all(
        c.sock.fileno() == -1
        or c.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for c in connections
    )


@every_server
def test_an_echo_is_exact_for_every_byte(make, started):
    server, data = started(make()), bytes(range(256)) * 4000
    with dial(server.port) as client:
        sender = threading.Thread(target=client.sendall, args=[data])
        sender.start()
        assert read_exactly(client, len(data)) == data
        sender.join()


@every_server
def test_everything_is_echoed_after_a_half_close(make, started):
    server, data = started(make()), bytes(range(256)) * 1000
    with dial(server.port) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == data
    wait_until(lambda: not server.connections)


@every_server
def test_many_clients_each_get_their_own_echo(make, started):
    server = started(make())
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(server.port)) for _ in range(50)]
        for round in range(3):
            for number, client in enumerate(clients):
                client.sendall(b"%d-%d;" % (number, round))
            for number, client in enumerate(clients):
                wanted = b"%d-%d;" % (number, round)
                assert read_exactly(client, len(wanted)) == wanted
        assert len(server.connections) == len(set(server.connections)) == 50
    wait_until(lambda: not server.connections)


@pytest.mark.parametrize("make", [EnhancedTCPServer, EventDrivenTCPServer])
@pytest.mark.parametrize("fault", ["raises", "returns text"])
def test_a_faulty_handler_is_logged_and_costs_one_connection(
    make, fault, started, caplog
):
    server = make()
    server.set_message_handler(
        lambda number, data: (
            data if data != b"bad" else 1 / 0 if fault == "raises" else "text"
        )
    )
    started(server)
    with dial(server.port) as victim, dial(server.port) as other:
        victim.sendall(b"fine")
        assert victim.recv(10) == b"fine"
        (number,) = [
            n
            for n, c in list(server.connections.items())
            if c.remote_address == victim.getsockname()
        ]
        victim.sendall(b"bad")
        assert victim.recv(10) == b""
        other.sendall(b"fine")
        assert other.recv(10) == b"fine"
    assert f"connection {number}" in caplog.text and "Traceback" in caplog.text


@every_server
def test_a_reset_costs_one_connection(make, started):
    server = started(make())
    with dial(server.port) as other:
        for data in (b"", b"x"):
            victim = dial(server.port)
            wait_until(lambda: len(server.connections) == 2)
            victim.sendall(data)
            reset(victim)
            wait_until(lambda: len(server.connections) == 1)
        other.sendall(b"fine")
        assert other.recv(10) == b"fine"


@every_server
def test_threads_that_send_to_one_client_do_not_mix_their_bytes(make, started):
    server = started(make())
    with dial(server.port) as client:
        wait_until(lambda: server.connections)
        (number,) = server.connections
        chunks = [bytes([letter]) * 5000 for letter in b"abcdef"]
        threads = [
            threading.Thread(
                target=lambda chunk=chunk: [
                    server.send(number, chunk) for _ in range(20)
                ]
            )
            for chunk in chunks
        ]
        for thread in threads:
            thread.start()
        received = read_exactly(client, 6 * 20 * 5000)
        for thread in threads:
            thread.join()
    assert sorted(
        received[start : start + 5000] for start in range(0, len(received), 5000)
    ) == sorted(chunks * 20)


# Start and stop


@every_server
def test_200_starts_and_stops_leave_nothing_behind(make):
    server, ports = make(), set()
    threads, files = set(threading.enumerate()), open_files()
    for _ in range(200):
        server.start()
        ports.add(server.port)
        with dial(server.port) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        server.stop()
        assert not server.running and not server.connections
        with pytest.raises(OSError):
            dial(server.port)
    assert set(threading.enumerate()) <= threads and open_files() <= files


@every_server
def test_a_server_with_a_port_of_its_own_comes_back_on_it(make):
    with make() as first:
        port = first.port
    server = make(port=port)
    for _ in range(3):
        server.start()
        client = dial(port)
        client.sendall(b"x")
        assert (client.recv(1), server.port) == (b"x", port)
        reader = threading.Thread(target=lambda: (read_all(client), client.close()))
        reader.start()
        server.stop()  # the server closes first: its port is left in TIME_WAIT
        reader.join(LIMIT)


@every_server
def test_start_and_stop_may_be_called_twice(make):
    server = make()
    server.stop()
    server.start()
    port, threads = server.port, threading.active_count()
    server.start()
    assert (server.port, threading.active_count()) == (port, threads)
    server.stop()
    server.stop()
    assert not server.running


def test_start_after_stop_in_a_callback_gives_a_running_server():
    server, stopped, go = Recorder(), threading.Event(), threading.Event()
    server.on_connect = lambda number, address: (
        server.stop(),
        stopped.set(),
        go.wait(LIMIT),
    )
    server.start()
    with dial(server.port):
        assert stopped.wait(LIMIT)
        starter = threading.Thread(target=server.start)
        starter.start()
        assert server.running and starter.is_alive()  # it waits for the old life's end
        go.set()
        starter.join(LIMIT)
    server.on_connect = lambda number, address: None
    with dial(server.port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    server.stop()


@every_server
def test_stop_from_many_threads_at_once(make):
    server = make()
    server.start()
    threads = [threading.Thread(target=server.stop) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not server.running


@every_server
def test_a_port_in_use_raises_and_leaves_the_server_stopped(make):
    with make() as first:
        second = make(port=first.port)
        with pytest.raises(OSError):
            second.start()
        assert (second.running, second.state) == (False, "CLOSED")
    second.start()  # free now
    second.stop()


@every_server
def test_a_start_without_descriptors_raises_and_can_be_repeated(make, monkeypatch):
    with make() as first:
        port = first.port
    server = make(port=port)

    def no_descriptors(*args: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(acceptor, "EventLoop", no_descriptors)
        with pytest.raises(OSError):
            server.start()
    assert (server.running, server.state) == (False, "CLOSED")
    with server, dial(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


@pytest.mark.parametrize(
    "where", ["on_connect", "on_data", "on_disconnect", "farewell"]
)
def test_stop_from_a_callback_ends_the_server(where):
    server = EventDrivenTCPServer()
    setattr(server, where, lambda *args: server.stop() or b"")
    server.start()
    with dial(server.port) as client:
        client.sendall(b"x")
        if where in ("on_disconnect", "farewell"):
            assert (
                client.recv(1) == b"x"
            )  # with this unread, closing would be a RST, and there is no farewell after that
            client.close()
        wait_until(lambda: not server.running)
    assert not server.connections and server.state == "CLOSED"


def test_stop_from_a_handler_of_a_thread_server_ends_it_at_once():
    server, seconds = EnhancedTCPServer(), []
    server.set_message_handler(
        lambda number, data: seconds.append(took(lambda: server.stop(timeout=LIMIT)))
    )
    server.start()
    with dial(server.port) as client, dial(server.port):
        start = time.monotonic()
        client.sendall(b"x")
        wait_until(lambda: not server.running)
        assert client.recv(1) == b""
        assert time.monotonic() - start < LIMIT / 2 and seconds[0] < LIMIT / 2
    assert not server.connections


@every_server
def test_a_start_without_a_thread_raises_and_closes_the_port_again(make, monkeypatch):
    with make() as first:
        port = first.port
    server, told = make(port=port), []
    if make is EventDrivenTCPServer:
        server.on_start = lambda: told.append("start")
        server.on_stop = lambda: told.append("stop")

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            server.start()
    assert (server.running, server.state) == (False, "CLOSED")
    assert told == (["start", "stop"] if make is EventDrivenTCPServer else [])
    with pytest.raises(OSError):
        dial(port)
    with server, dial(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_what_on_start_raises_start_raises_and_the_port_is_closed_again():
    server = EventDrivenTCPServer()
    server.on_start = lambda: 1 / 0
    server.on_stop = lambda: pytest.fail("it has not started")
    with pytest.raises(ZeroDivisionError):
        server.start()
    assert (server.running, server.state) == (False, "CLOSED")
    with pytest.raises(OSError):
        dial(server.port)


def test_on_stop_comes_once_and_last_even_where_a_farewell_fails(caplog):
    server, notes = EventDrivenTCPServer(), []
    server.farewell = lambda number, reason: 1 / 0
    server.on_disconnect = lambda number: notes.append("disconnect")
    server.on_stop = lambda: notes.append("stop")
    server.start()
    with dial(server.port):
        wait_until(lambda: server.connections)
        server.stop()
    assert notes == ["disconnect", "stop"]


def test_the_last_words_of_a_thread_server_arrive_though_input_was_unread(started):
    """A socket that is closed with unread input sends a RST, and a RST destroys what is on its way."""
    server, data = EnhancedTCPServer(buffer_size=1000), bytes(range(256)) * 1000
    sent = threading.Event()

    def answer_and_fail(number: int, _: bytes) -> None:
        sent.wait(LIMIT)  # there is more to read than the handler will
        server.send(number, data)
        raise RuntimeError("oops")

    server.set_message_handler(answer_and_fail)
    started(server)
    with dial(server.port) as client:
        client.sendall(bytes(50_000))
        (ours,) = wait_until(lambda: list(server.connections.values()))
        sent.set()
        wait_until(lambda: ours.update_state().startswith("FIN_WAIT"))  # a slow reader
        assert read_all(client) == data


def test_a_client_that_connects_while_the_server_stops_troubles_nobody(caplog):
    for _ in range(5):
        server, busy, go = EventDrivenTCPServer(), threading.Event(), threading.Event()
        server.on_data = lambda number, data: (
            server.stop(),
            busy.set(),
            go.wait(LIMIT),
        )
        server.start()
        with dial(server.port) as client:
            client.sendall(b"x")
            assert busy.wait(LIMIT)
            late = dial(server.port)  # the kernel has taken it, nobody will
        go.set()
        wait_until(lambda: not server.running)
        late.close()
    assert not caplog.records


def test_clients_are_told_and_get_what_is_queued_before_the_server_stops(started):
    server = Quiet()
    server.farewell = lambda number, reason: f"bye: {reason}".encode()
    server.start()
    number, client = server.add_client()
    server.send(number, b"queued;")
    server.broadcast(b"broadcast;")
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    assert read_all(client) == b"queued;broadcast;bye: server_closing"
    client.close()
    stopper.join(LIMIT)
    assert server.seen("disconnect") == ["server_closing"]


def test_stop_with_500_clients_of_whom_50_do_not_read_takes_less_than_5_seconds(
    many_files,
):
    server = EventDrivenTCPServer(backlog=1000, max_output=64_000_000)
    server.start()
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(dial(server.port))
        wait_until(lambda: len(server.connections) == 500)
        stuck = tuple(server.connections)[:50]
        server.broadcast(bytes(16_000_000), to=stuck)
        wait_until(lambda: all(server.connections[number].queued for number in stuck))
        assert took(server.stop) < 5
    wait_until(lambda: not server.running and not server.connections)


@pytest.mark.parametrize("make", [TCPServer, EnhancedTCPServer])
def test_stop_of_a_thread_server_with_idle_and_not_reading_clients_is_bounded(make):
    server = make()
    server.start()
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(server.port)) for _ in range(20)]
        wait_until(lambda: len(server.connections) == 20)
        numbers = {c.remote_address: n for n, c in list(server.connections.items())}
        stuck = [
            threading.Thread(
                target=server.send, args=[numbers[c.getsockname()], bytes(32_000_000)]
            )
            for c in clients[:5]
        ]
        for thread in stuck:
            thread.start()
        assert took(server.stop) < 5
        for thread in stuck:
            thread.join(LIMIT)
    wait_until(lambda: not server.running and not server.connections)


def test_stop_with_a_handler_that_hangs_is_bounded():
    server, go = EnhancedTCPServer(), threading.Event()
    server.set_message_handler(lambda number, data: go.wait(LIMIT) and None)
    server.start()
    with dial(server.port) as client:
        client.sendall(b"x")
        wait_until(lambda: server.connections)
        assert took(lambda: server.stop(timeout=0.2)) < LIMIT / 2
        assert not server.running
        go.set()


@pytest.mark.parametrize("make", [TCPServer, EnhancedTCPServer])
def test_a_client_for_whom_there_is_no_thread_is_let_go(make, monkeypatch, started):
    server = started(make())
    usual = threading.Thread.start

    def no_more_threads(thread: threading.Thread) -> None:
        if "client" in thread.name:
            raise RuntimeError("can't start new thread")
        usual(thread)

    with monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", no_more_threads)
        with dial(server.port) as victim:
            assert victim.recv(1) == b""
    assert not server.connections
    with dial(server.port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


# Addresses


@every_server
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0"])
def test_addresses_and_names(make, host, started):
    try:
        open_listeners(host, 0)[0].close()
    except OSError as error:
        pytest.skip(f"not on this machine: {error}")
    server = started(make(host))
    target = "127.0.0.1" if host == "0.0.0.0" else host
    with dial(server.port, target) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert [c.remote_address for c in list(server.connections.values())] == [
            client.getsockname()
        ]


@every_server
def test_a_name_that_is_unknown_raises(make, monkeypatch):
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(OSError):
        make("no.such.host.invalid").start()


@every_server
def test_a_name_whose_first_address_is_of_a_family_that_the_system_lacks(
    make, monkeypatch, started
):
    usual = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *a, **k: [(99, socket.SOCK_STREAM, 6, "", ("?", 0)), *usual(*a, **k)],
    )
    server = started(make())
    monkeypatch.undo()
    with dial(server.port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_a_name_without_any_address_raises(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    with pytest.raises(OSError):
        open_listeners("nowhere", 0)


# Sending, broadcasting, closing: order


@pytest.fixture
def trio(started) -> Iterator[tuple[Quiet, dict[int, socket.socket]]]:
    """A server and three clients by their ids."""
    server = started(Quiet())
    clients = dict(server.add_client() for _ in range(3))
    yield server, clients
    for client in clients.values():
        client.close()


def end_all(server: Quiet, clients: dict[int, socket.socket]) -> list[bytes]:
    """Close every connection, and return what each of its clients had got."""
    for number in clients:
        server.close(number)
    return [read_all(client) for client in clients.values()]


def test_broadcast_to_all_to_some_and_without_some(trio):
    server, clients = trio
    a, b, c = clients
    server.broadcast(b"all;")
    server.broadcast(b"ab;", to=[a, b])
    server.broadcast(b"not a;", exclude=[a])
    server.broadcast(b"c of bc;", to={b, c}, exclude={b})
    server.broadcast(b"nobody;", to=())
    server.broadcast(b"generated;", to=(number for number in (a, c)))
    server.broadcast(b"unknown;", to=(c, 999_999))
    assert end_all(server, clients) == [
        b"all;ab;generated;",
        b"all;ab;not a;",
        b"all;not a;c of bc;generated;unknown;",
    ]


def from_the_loop(server, run):
    on_loop(server, run)


def from_a_thread(server, run):
    with Held(server):
        run()


either_side = pytest.mark.parametrize("side", [from_the_loop, from_a_thread])


@either_side
@pytest.mark.parametrize("kind", [list, set])
@pytest.mark.parametrize("argument", ["to", "exclude"])
def test_a_collection_that_is_changed_after_the_call_changes_nothing(
    trio, side, kind, argument
):
    server, clients = trio
    a, b, c = clients

    def run() -> None:
        members = kind([a])
        server.broadcast(b"one;", **{argument: members})
        members.clear()
        (members.append if kind is list else members.add)(b)
        server.broadcast(b"two;", **{argument: members})

    side(server, run)
    wanted = (
        [b"one;", b"two;", b""] if argument == "to" else [b"two;", b"one;", b"one;two;"]
    )
    assert end_all(server, clients) == wanted


@either_side
@pytest.mark.parametrize("seed", range(8))
def test_each_client_gets_everything_in_the_order_in_which_it_was_asked_for(
    trio, side, seed
):
    server, clients = trio
    a, b, c = clients
    chance, wanted = random.Random(seed), {number: b"" for number in clients}
    rooms = [None, (a, b), frozenset((b, c)), (a, b), [c], (a, a), (a, b, c)]

    def run() -> None:
        for step in range(60):
            data, number, room = (
                b"%d;" % step,
                chance.choice([a, b, c]),
                chance.choice(rooms),
            )
            exclude = chance.choice([(), (), (a,), [b, c]])
            match chance.choice(["send", "broadcast", "broadcast"]):
                case "send":
                    server.send(number, data)
                    wanted[number] += data
                case "broadcast":
                    server.broadcast(data, to=room, exclude=exclude)
                    for number in clients if room is None else set(room):
                        wanted[number] += data * (number not in exclude)

    side(server, run)
    assert end_all(server, clients) == list(wanted.values())


@either_side
def test_what_was_broadcast_before_a_close_comes_before_it_and_what_comes_later_does_not(
    trio, side
):
    server, clients = trio
    a, b, c = clients

    def run() -> None:
        server.broadcast(b"before;")
        server.close(a)
        server.close(a)
        server.close(999_999)
        server.broadcast(b"after;")
        server.send(a, b"after;")

    side(server, run)
    assert end_all(server, clients) == [b"before;", b"before;after;", b"before;after;"]
    assert server.seen("disconnect") == ["closed by server"] * 3


def test_send_to_a_connection_that_was_closed_is_refused(trio):
    server, clients = trio
    a, b, c = clients
    assert on_loop(
        server, lambda: [server.send(a, b"1"), server.close(a), server.send(a, b"2")]
    ) == [True, None, False]
    assert read_all(clients[a]) == b"1"


def test_a_close_reason_of_ones_own_is_seen_by_farewell_and_on_disconnect(trio):
    server, clients = trio
    number, client = next(iter(clients.items()))
    server.farewell = lambda number, reason: f"({reason})".encode()
    server.close(number, "because")
    assert read_all(client) == b"(because)"
    assert server.seen("disconnect") == ["because"]


def test_a_newcomer_does_not_get_what_was_broadcast_before_it_came(started):
    server = Quiet()
    server.on_connect = lambda number, address: server.broadcast(b"%d came;" % number)
    started(server)
    with Held(server):
        server.broadcast(b"nobody is there;")
        clients = [dial(server.port) for _ in range(3)]
    wait_until(lambda: len(server.connections) == 3)
    a, b, c = server.connections
    server.broadcast(b"end")
    wanted = [
        b"%d came;%d came;%d came;end" % (a, b, c),
        b"%d came;%d came;end" % (b, c),
        b"%d came;end" % c,
    ]
    assert [
        read_exactly(client, len(data)) for client, data in zip(clients, wanted)
    ] == wanted
    for client in clients:
        client.close()


def test_a_newcomer_does_not_get_it_even_when_the_server_was_busy_accepting(started):
    server, busy, go = Quiet(), threading.Event(), threading.Event()
    server.on_connect = lambda number, address: (busy.set(), go.wait(LIMIT))
    started(server)
    with dial(server.port) as old:
        assert busy.wait(LIMIT)
        server.broadcast(b"before;")
        with dial(server.port) as newcomer:
            go.set()
            wait_until(lambda: len(server.connections) == 2)
            server.broadcast(b"after")
            assert read_exactly(old, 12) == b"before;after"
            assert read_exactly(newcomer, 5) == b"after"


def test_threads_may_broadcast_and_send_while_clients_come_and_go(started):
    server, stop = started(Quiet()), threading.Event()

    def talk() -> None:
        while not stop.is_set():
            server.broadcast(b"x")
            for number in list(server.connections):
                server.send(number, b"x")
            on_loop(server, lambda: None)  # or the calls would pile up

    talkers = [threading.Thread(target=talk) for _ in range(2)]
    for talker in talkers:
        talker.start()
    for number in range(40):
        with dial(server.port) as client:
            assert client.recv(1) == b"x"
            if number % 2:
                reset(client)
    stop.set()
    for talker in talkers:
        talker.join(LIMIT)
    wait_until(lambda: not server.connections)
    assert len(server.seen("connect")) == len(server.seen("disconnect")) == 40


# What is not bytes


@either_side
@pytest.mark.parametrize("what", ["send", "broadcast"])
def test_what_is_not_bytes_is_refused_and_does_no_harm(trio, side, what):
    server, clients = trio
    a, b, c = clients

    def run() -> None:
        server.broadcast(b"one;")
        with pytest.raises(TypeError):
            server.send(a, "text") if what == "send" else server.broadcast(
                "text", to=(a, b)
            )
        server.broadcast(b"two;", to=(a, b))
        server.send(a, b"three;")

    side(server, run)
    server.broadcast(b"four;")
    assert end_all(server, clients) == [
        b"one;two;three;four;",
        b"one;two;four;",
        b"one;four;",
    ]


# Callbacks that raise


@pytest.mark.parametrize(
    "callback", ["on_connect", "on_data", "on_disconnect", "farewell"]
)
def test_a_callback_that_raises_is_logged_and_costs_one_connection_at_most(
    callback, started, caplog
):
    server = started(Recorder())
    other_number, other = server.add_client()
    usual = getattr(server, callback)

    def faulty(*args: object) -> object:
        if callback == "farewell" or args[0] != other_number:
            raise RuntimeError("oops")
        return usual(*args)

    setattr(server, callback, faulty)
    victim = dial(server.port)
    if callback != "on_connect":
        victim.sendall(b"x")
    if callback == "on_disconnect":
        victim.shutdown(socket.SHUT_WR)
    if callback == "farewell":
        assert victim.recv(1) == b"x"
        victim.close()
    else:
        try:
            read_all(victim)
        except ConnectionResetError:  # it had sent something that nobody read
            pass
    wait_until(lambda: list(server.connections) == [other_number])
    assert (
        f"connection {other_number + 1}" in caplog.text
        and "RuntimeError: oops" in caplog.text
    )
    other.sendall(b"fine")
    assert other.recv(10) == b"fine"
    victim.close()
    with dial(server.port):  # and new ones are served
        wait_until(lambda: callback == "on_connect" or len(server.connections) == 2)
    other.close()


def test_every_on_connect_has_one_on_disconnect_even_if_it_raised(started):
    server = Recorder()
    disconnects: list[int] = []
    server.on_connect = lambda number, address: 1 / 0
    server.on_disconnect = disconnects.append
    started(server)
    for _ in range(5):
        with dial(server.port) as client:
            assert client.recv(1) == b""
    assert len(disconnects) == len(set(disconnects)) == 5


def test_closing_others_and_oneself_in_callbacks(started, caplog):
    server = Quiet()
    server.on_data = lambda number, data: [
        server.close(other) for other in list(server.connections)
    ]
    started(server)
    clients = [server.add_client()[1] for _ in range(10)]
    with Held(server):
        for client in clients:
            client.sendall(b"x")  # all are ready in the same tick
    assert [read_all(client) for client in clients] == [b""] * 10
    for client in clients:
        client.close()
    wait_until(lambda: not server.connections)
    assert server.seen("disconnect") == ["closed by server"] * 10 and not caplog.records


def test_what_on_disconnect_broadcasts_reaches_the_others_only(trio):
    server, clients = trio
    a, b, c = clients
    server.on_disconnect = lambda number: server.broadcast(b"%d left;" % number)
    clients[a].shutdown(socket.SHUT_WR)
    assert read_all(clients[a]) == b""
    wanted = b"%d left;" % a
    assert [read_exactly(clients[number], len(wanted)) for number in (b, c)] == [
        wanted
    ] * 2


# Peers in bad manners


def test_half_close_gets_the_answers_and_the_broadcasts_it_asked_for(started):
    server = EventDrivenTCPServer()
    server.on_data = lambda number, data: (
        server.send(number, b"answer;"),
        server.broadcast(b"news;"),
    )
    server.farewell = lambda number, reason: b"bye"
    started(server)
    for _ in range(30):
        with dial(server.port) as client:
            client.sendall(b"x")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"answer;news;bye"
    wait_until(lambda: not server.connections)


def test_the_echo_waits_for_a_client_that_does_not_read_and_loses_nothing(started):
    """Backpressure: it may not speak before it has listened."""
    server = started(EventDrivenTCPServer(max_output=200_000))
    data = bytes(range(256)) * 80_000  # 20 MB: more than all buffers take
    with dial(server.port) as client:
        client.settimeout(LIMIT)
        sender = threading.Thread(target=client.sendall, args=[data])
        sender.start()
        sender.join(0.3)
        assert sender.is_alive()  # it has to wait, and keeps its connection
        assert all(each.queued <= 300_000 for each in server.connections.values())
        received = bytearray()
        while len(received) < len(data):
            received += client.recv(1_000_000)
        sender.join(LIMIT)
    assert received == data


@pytest.mark.parametrize("how", ["send", "broadcast"])
def test_other_threads_are_refused_when_too_much_is_on_its_way(started, how):
    server = started(EventDrivenTCPServer(max_output=1_000_000))
    with dial(server.port) as client:
        client.settimeout(LIMIT)
        wait_until(lambda: server.connections)
        go, busy = threading.Event(), threading.Event()
        server.loop.call_threadsafe(lambda: (busy.set(), go.wait(LIMIT)))
        assert busy.wait(LIMIT)
        number = next(iter(server.connections))
        post = server.broadcast if how == "broadcast" else partial(server.send, number)
        results = [post(bytes(100_000)) for _ in range(200)]
        assert results == [True] * 10 + [False] * 190
        go.set()
        received = 0
        while received < 1_000_000:
            received += len(client.recv(1_000_000))
        wait_until(lambda: post(b"!"))
        assert client.recv(10) == b"!"
    server.stop()
    assert not server.send(number, b"late")


def test_a_prompt_reader_gets_a_broadcast_larger_than_the_bound_and_stays(started):
    server = started(EventDrivenTCPServer(max_output=100_000))
    with dial(server.port) as client:
        client.settimeout(LIMIT)
        wait_until(lambda: server.connections)
        server.broadcast(bytes(8_000_000))
        received = 0
        while received < 8_000_000:
            received += len(client.recv(1_000_000))
        assert server.broadcast(b"next")
        assert client.recv(10) == b"next" and len(server.connections) == 1


def test_one_loud_connection_does_not_keep_the_others_waiting(started):
    server = started(Quiet(max_output=10_000_000))
    _, loud = server.add_client()
    quiet_number, quiet = server.add_client()
    with Held(server):
        loud.setblocking(False)
        sent = 0
        try:
            while True:  # as much as the kernel takes: many times what one read takes
                sent += loud.send(bytes(65_536))
        except BlockingIOError:
            pass
        quiet.sendall(b"me too")
    wait_until(lambda: sum(map(len, server.seen("data"))) == sent + 6)
    before = itertools.takewhile(
        lambda event: event != ("data", quiet_number, b"me too"), server.events
    )
    assert sent > 1_000_000
    assert (
        sum(len(data) for what, number, data in before if what == "data")
        <= 4 * DEFAULT_BUFFER_SIZE
    )
    loud.close()
    quiet.close()


def test_a_slow_consumer_is_closed_with_a_reason_and_the_others_miss_nothing(
    started, caplog
):
    caplog.set_level("INFO", logger="python_tcp")
    server = started(Quiet(max_output=300_000))
    (slow_number, slow), *others = [server.add_client() for _ in range(4)]
    received = {number: bytearray() for number, _ in others}

    def read(number: int, client: socket.socket) -> None:
        while chunk := client.recv(65_536):
            received[number] += chunk

    readers = [threading.Thread(target=read, args=other) for other in others]
    for reader in readers:
        reader.start()
    wanted = bytearray()
    while slow_number in server.connections:
        chunk = b"%08d;" % len(wanted) * 10_000
        wanted += chunk
        server.broadcast(chunk)
        wait_until(lambda: {len(data) for data in received.values()} == {len(wanted)})
        assert len(wanted) < 100_000_000
    assert ("disconnect", slow_number, "slow_consumer") in server.events
    assert f"connection {slow_number}: slow_consumer" in caplog.text
    server.broadcast(b"end")
    for number, _ in others:
        server.close(number)
    for reader in readers:
        reader.join(LIMIT)
    assert all(data == wanted + b"end" for data in received.values())
    for _, client in [(slow_number, slow), *others]:
        client.close()


def test_a_client_that_takes_nothing_for_too_long_is_closed(started):
    server = started(Quiet(max_output=64_000_000, output_timeout=0.2))
    number, client = server.add_client()
    server.send(number, bytes(16_000_000))
    wait_until(lambda: server.seen("disconnect") == ["slow_consumer"])
    client.close()


def test_a_silent_client_is_closed_and_one_that_talks_stays(started):
    server, ahead = Recorder(idle_timeout=30.0), 0.0
    server.farewell = lambda number, reason: reason.encode()
    started(server)
    server.loop._clock = lambda: time.monotonic() + ahead
    with dial(server.port) as silent, dial(server.port) as talker:
        wait_until(lambda: len(server.connections) == 2)
        for _ in range(2):
            ahead += 20.0
            talker.sendall(b"x")
            assert talker.recv(1) == b"x"
        assert read_all(silent) == b"idle"
        talker.sendall(b"y")
        assert talker.recv(1) == b"y"
    wait_until(lambda: not server.connections)
    assert sorted(server.seen("disconnect")) == ["closed by peer", "idle"]


def test_at_max_connections_the_next_waits_until_one_leaves(
    started, caplog, monkeypatch
):
    monkeypatch.setattr(
        acceptor.Acceptor, "RETRY", 1000
    )  # so that it is the one that leaves who makes room
    server = Quiet(max_connections=3)
    server.on_connect = lambda number, address: server.send(number, b"welcome")
    started(server)
    clients = [dial(server.port) for _ in range(5)]
    for client in clients[:3]:
        assert read_exactly(client, 7) == b"welcome"
    assert (
        select.select(clients[3:], [], [], 0.05)[0] == []
        and len(server.connections) == 3
    )
    for leaver, waiting in ((0, 3), (1, 4)):
        clients[leaver].close()
        assert read_exactly(clients[waiting], 7) == b"welcome"
    assert len(server.connections) == 3
    for client in clients:
        client.close()
    wait_until(lambda: not server.connections)
    with dial(server.port) as client:
        assert read_exactly(client, 7) == b"welcome"
    assert len([r for r in caplog.records if "not accepting" in r.getMessage()]) <= 3


def test_stop_while_at_max_connections(caplog):
    server = Quiet(max_connections=1)
    server.start()
    with dial(server.port), dial(server.port):
        wait_until(lambda: "not accepting" in caplog.text)
        server.stop()
    assert not server.running


# Many connections, few descriptors

SERVER_PROGRAM = """
import logging, resource, sys
from python_tcp.server import EventDrivenTCPServer, TCPServer
files = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
logging.basicConfig()
server = globals()[sys.argv[2]](backlog=1000)
server.on_connect = lambda number, address: server.send(number, b"welcome")
server.on_data = lambda number, data: server.broadcast(data)
server.start()
print(server.port, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def server_process(tmp_path) -> Iterator[Callable]:
    """`server_process(files, kind)` starts a server with that limit of open files: its port, its pid, and the path of its log."""
    with ExitStack() as stack:

        def start(
            files: int, kind: str = "EventDrivenTCPServer"
        ) -> tuple[int, int, Path]:
            log = stack.enter_context(open(tmp_path / "log", "w"))
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", SERVER_PROGRAM, str(files), kind],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            )
            return int(process.stdout.readline()), process.pid, tmp_path / "log"

        yield start


def cpu_seconds(pid: int, during: float) -> float:
    """The CPU time that a process uses in the next `during` seconds."""

    before = cpu_time(pid)
    time.sleep(during)  # the time that is measured, not a wait for something
    return cpu_time(pid) - before


linux_only = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc"
)


@pytest.mark.slow
@linux_only
def test_out_of_descriptors_the_server_stays_calm_serves_its_clients_and_takes_a_place_that_gets_free(
    server_process,
):
    port, pid, log = server_process(64)
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(port)) for _ in range(200)]
        served: list[socket.socket] = []

        def find_served() -> bool:
            served[:] = select.select(clients, [], [], 0)[0]
            return 40 <= len(served) <= 64 and bool(log.read_text())

        wait_until(find_served)
        wait_until(lambda: cpu_seconds(pid, 2) < 0.1)
        assert find_served()  # all by now
        waiting = [client for client in clients if client not in served]
        assert all(read_exactly(client, 7) == b"welcome" for client in served)
        assert len(log.read_text().splitlines()) <= 5
        served[0].sendall(b"still chatting")
        assert all(read_exactly(client, 14) == b"still chatting" for client in served)
        served[0].close()
        assert select.select(waiting, [], [], LIMIT)[0], "nobody got the free place"


@linux_only
def test_out_of_descriptors_a_thread_server_takes_a_place_that_gets_free(
    server_process,
):
    port, pid, log = server_process(64, "TCPServer")
    with ExitStack() as stack:
        clients = [stack.enter_context(dial(port)) for _ in range(80)]
        for client in clients:
            client.sendall(b"x")
        wait_until(log.read_text)
        wait_until(lambda: len(select.select(clients, [], [], 0)[0]) >= 40)
        served = select.select(clients, [], [], 0)[0]
        waiting = [client for client in clients if client not in served]
        served[0].close()
        assert select.select(waiting, [], [], LIMIT)[0], "nobody got the free place"
        assert len(log.read_text().splitlines()) <= 5


@pytest.mark.slow
@linux_only
def test_an_idle_server_with_1000_connections_uses_no_cpu(server_process, many_files):
    port, pid, log = server_process(4096)
    with ExitStack() as stack:
        for client in [stack.enter_context(dial(port)) for _ in range(1000)]:
            assert read_exactly(client, 7) == b"welcome"
        wait_until(lambda: cpu_seconds(pid, 2) <= 0.02)  # at first, it ends something
    assert log.read_text() == ""


@pytest.mark.slow
def test_1000_connections_that_trickle_and_never_join_are_gone_by_the_deadline_and_keep_nobody_out(
    many_files,
):
    deadline, ahead = 60.0, 0.0
    limits = Limits(join_timeout=deadline, ping_after=1e4, connections_per_address=0)
    server = ChatServer(limits=limits)  # which is full with 1000
    with server, ExitStack() as stack:
        loop, begin = server._server.loop, time.monotonic()
        loop._clock = lambda: begin + ahead  # no time passes but ours
        trickling = [stack.enter_context(dial(server.port)) for _ in range(1000)]
        for client in trickling:
            client.sendall(b"{")
        user = stack.enter_context(LineClient(server.port))
        user.join("ann")
        poll = select.poll()
        for client in trickling:
            poll.register(client, select.POLLIN)

        def ended() -> int:  # an event for each
            loop.call_threadsafe(lambda: None)  # it looks at its clock
            return len(poll.poll(0))

        ahead = deadline - 1.0
        loop.call_threadsafe(lambda: None)
        user.say("ping")
        assert user.read()["type"] == "pong" and ended() <= 1
        ahead = deadline + 1.0
        wait_until(lambda: ended() == 1000)
        codes = [
            json.loads(client.recv(65_536).splitlines()[-1])["code"]
            for client in trickling
        ]
        assert (
            set(codes) <= {"idle", "server_full"} and codes.count("idle") >= 999
        )  # one may have made room for Ann
        assert server.users == ["ann"]
        user.say("ping")
        assert user.read()["type"] == "pong"


def test_it_counts_the_bytes_of_its_clients_by_what_they_really_get(started):
    server = EventDrivenTCPServer()
    server.on_data = lambda number, data: None
    server.farewell = lambda number, reason: b"goodbye"
    started(server)
    clients = [dial(server.port) for _ in range(3)]
    wait_until(lambda: len(server.connections) == 3)
    numbers = list(server.connections)

    def speak() -> None:
        server.broadcast(b"to all ")
        server.send(numbers[0], b"alone ")  # between two broadcasts: set apart
        server.broadcast(b"again ")
        server.broadcast(b"x" * 300_000, to=tuple(numbers[1:]))

    clients[0].sendall(b"12345")
    server.loop.call_threadsafe(speak)
    server.send(numbers[2], b"from another thread")
    wait_until(lambda: server.traffic() == (5, 3 * 13 + 6 + 600_000 + 19))
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    got = [len(read_all(client)) for client in clients]
    stopping.join(LIMIT)
    assert server.traffic() == (5, sum(got))
    for client in clients:
        client.close()
