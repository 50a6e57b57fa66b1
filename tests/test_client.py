"""The three clients: connecting in bounded time, data in order, and being told once when it is over."""

import errno
import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from python_tcp import client as client_module
from python_tcp.client import (
    AsyncTCPClient,
    EventDrivenTCPClient,
    TCPClient,
    open_connection,
)
from python_tcp.core import DEFAULT_BUFFER_SIZE
from python_tcp.server import EventDrivenTCPServer, TCPServer
from sockets import nothing_left_over, read_all, read_exactly, reset  # noqa: F401
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_over")

CLIENTS = [TCPClient, AsyncTCPClient, EventDrivenTCPClient]
every_client = pytest.mark.parametrize("make", CLIENTS)


class Listener:
    """A server that does what a test says, one accepted socket at a time."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.sock.settimeout(LIMIT)
        self.port = self.sock.getsockname()[1]
        self.accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        sock = self.sock.accept()[0]
        sock.settimeout(LIMIT)
        self.accepted.append(sock)
        return sock

    def close(self) -> None:
        for sock in [self.sock, *self.accepted]:
            sock.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def closing() -> Iterator[Callable]:
    """`closing(client)` gives it back, and closes it after the test."""
    with ExitStack() as stack:
        yield lambda client: stack.callback(client.close) and client


@pytest.fixture
def echo() -> Iterator[TCPServer]:
    with TCPServer() as server:
        yield server


class Events(EventDrivenTCPClient):
    """Notes what happens to it: (what, detail)."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.events: list[tuple] = []

    def on_connect(self, host, port):
        self.events.append(("connect", (host, port)))

    def on_data(self, data):
        self.events.append(("data", data))

    def on_disconnect(self):
        self.events.append(("disconnect", self.close_reason))

    def on_error(self, error):
        self.events.append(("error", error))

    def names(self) -> list[str]:
        return [name for name, _ in list(self.events)]

    def data(self) -> bytes:
        return b"".join(detail for name, detail in list(self.events) if name == "data")


def took(function: Callable[[], object]) -> float:
    start = time.monotonic()
    function()
    return time.monotonic() - start


def client_threads() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(("AsyncTCPClient", "EventDrivenTCPClient"))
    ]


# Public names


@every_client
def test_the_constructor_takes_a_buffer_size_and_keywords(make):
    first, *others = inspect.signature(make).parameters.values()
    assert (first.name, first.default) == ("buffer_size", DEFAULT_BUFFER_SIZE)
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in others)


@every_client
def test_public_attributes_tell_the_truth_before_while_and_after(make, listener):
    client = make(1000)
    assert (client.connected, client.state, client.send(b"x")) == (
        False,
        "CLOSED",
        False,
    )
    client.close()  # nothing to close, no harm
    assert client.connect("127.0.0.1", listener.port) is True
    peer = listener.accept()
    assert (client.connected, client.state) == (True, "ESTABLISHED")
    assert client.send(b"hello") is True and read_exactly(peer, 5) == b"hello"
    peer.close()
    client.close()
    client.close()
    assert (client.connected, client.state, client.send(b"x")) == (
        False,
        "CLOSED",
        False,
    )


@every_client
def test_localhost_is_found_by_name(make, echo, closing):
    client = closing(make())
    assert client.connect("localhost", echo.port)
    assert client.connected


# Connecting


@every_client
def test_a_refused_connection_is_false_and_the_log_says_why(
    make, caplog, reserved_port
):
    client = make()
    assert client.connect("127.0.0.1", reserved_port) is False
    assert (
        not client.connected
        and f"127.0.0.1 port {reserved_port}" in caplog.text
        and "refused" in caplog.text.lower()
    )


@every_client
@pytest.mark.parametrize(
    "host, port",
    [
        ("127.0.0.1", 99_999),
        ("127.0.0.1", -1),
        ("a" * 70 + ".example", 1),
        ("", 1),
        ("a\0b", 1),
        ("ü" * 80, 1),
    ],
)
def test_an_impossible_address_is_false_at_once(make, host, port, caplog):
    client = make(timeout=2 * LIMIT)
    assert took(lambda: client.connect(host, port)) < LIMIT / 2
    assert not client.connected and caplog.records


@every_client
def test_an_unknown_name_is_false(make, monkeypatch, caplog):
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert make().connect("nobody.invalid", 1) is False
    assert "nobody.invalid" in caplog.text and "not known" in caplog.text


@every_client
def test_a_name_without_any_address_is_false(make, monkeypatch, caplog):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    assert make().connect("nobody.invalid", 1) is False
    assert "no address" in caplog.text


@every_client
def test_a_resolver_that_does_not_answer_costs_no_more_than_the_timeout(
    make, monkeypatch
):
    released = threading.Event()
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *args, **kwargs: released.wait(LIMIT) and []
    )
    client = make(timeout=0.2)
    assert took(lambda: client.connect("slow.invalid", 1)) < LIMIT / 2
    assert not client.connected
    released.set()


def never_answers(stack: ExitStack) -> tuple[str, int]:
    """The address of a listener whose queue is full."""
    full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
    return full.getsockname()


@every_client
def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(
    make, echo, monkeypatch, closing
):
    with ExitStack() as stack:
        addresses = [never_answers(stack), (echo.host, echo.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", a) for a in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        client = closing(make(timeout=4.0))
        assert client.connect("two", 1), "a half of the time for the first one"
        assert client.connected
        wait_until(lambda: echo.connections)


@every_client
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_have_its_brackets(make, host, closing):
    try:
        server = TCPServer("::1")
        server.start()
    except OSError as error:
        pytest.skip(f"not on this machine: {error}")
    with server:
        assert closing(make()).connect(host, server.port)


@every_client
def test_a_server_that_does_not_answer_costs_no_more_than_the_timeout(make):
    with ExitStack() as stack:
        address = never_answers(stack)
        client = make(timeout=0.3)
        assert took(lambda: client.connect(*address)) < LIMIT / 2
        if client.connected:
            client.close()
            pytest.skip("this system's queue of connections can't be filled")


@every_client
def test_all_addresses_of_a_name_are_tried(
    make, echo, monkeypatch, closing, reserved_port
):
    usual, refusing = socket.getaddrinfo, ("127.0.0.1", reserved_port)
    trouble = [
        (99, socket.SOCK_STREAM, 6, "", ("?", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", refusing),
    ]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *args, **kwargs: trouble + usual(*args, **kwargs)
    )
    client = closing(make())
    assert client.connect("127.0.0.1", echo.port)


@every_client
def test_reconnecting_closes_the_old_connection_and_uses_the_new_one(
    make, listener, closing
):
    client = closing(make())
    old = None
    for number in range(3):
        assert client.connect("127.0.0.1", listener.port)
        peer = listener.accept()
        assert client.send(b"%d" % number) and peer.recv(1) == b"%d" % number
        if old:
            assert old.recv(1) == b""
            old.close()
        old = peer
    old.close()


@every_client
def test_connecting_elsewhere_after_a_failure(make, echo, closing, reserved_port):
    client = closing(make())
    assert client.connect("127.0.0.1", echo.port)
    assert not client.connect("127.0.0.1", reserved_port)
    assert not client.connected and not client.send(b"x")
    assert client.connect("127.0.0.1", echo.port)


def test_a_loop_that_can_not_be_made_is_a_false_and_leaves_nothing_open(
    echo, monkeypatch
):
    def no_descriptors(*args: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    client = Events()
    with monkeypatch.context() as broken:
        broken.setattr(client_module, "EventLoop", no_descriptors)
        assert client.connect("127.0.0.1", echo.port) is False
    assert client.names() == ["error"] and not client.connected
    assert client.connect("127.0.0.1", echo.port)
    client.close()


def be_impatient(client, seconds: float) -> None:
    """From now on, so that it has had time to connect."""
    client.timeout = seconds
    if sock := getattr(client, "_sock", None):
        sock.settimeout(seconds)


# TCPClient


def test_receive_tells_silence_from_the_end(listener, closing):
    client = closing(TCPClient())
    assert client.receive() == b""
    client.connect("127.0.0.1", listener.port)
    be_impatient(client, 0.1)
    peer = listener.accept()
    assert client.receive() is None and client.connected
    peer.sendall(b"hello")
    assert client.receive() == b"hello"
    peer.close()
    assert client.receive() == b"" and not client.connected
    assert client.receive() == b"" and client.state == "CLOSED"


def test_receive_gives_at_most_buffer_size(listener, closing):
    client = closing(TCPClient(4))
    client.connect("127.0.0.1", listener.port)
    listener.accept().sendall(b"abcdef")
    assert (client.receive(), client.receive()) == (b"abcd", b"ef")


def test_receive_after_a_reset_is_the_end_and_the_log_says_why(listener, caplog):
    client = TCPClient()
    client.connect("127.0.0.1", listener.port)
    reset(listener.accept())
    assert client.receive() == b"" and not client.connected
    assert "reset" in caplog.text


@pytest.mark.parametrize("make", [TCPClient, AsyncTCPClient])
def test_a_send_that_makes_no_progress_is_false_in_time_and_closes(
    make, listener, caplog
):
    client = make()
    client.connect("127.0.0.1", listener.port)
    listener.accept()
    be_impatient(client, 0.2)
    assert took(lambda: client.send(bytes(50_000_000))) < LIMIT / 2
    assert not client.connected and caplog.records


@pytest.mark.parametrize("make", [TCPClient, AsyncTCPClient])
def test_a_send_after_a_reset_is_false_and_closes(make, listener):
    client = make()
    client.connect("127.0.0.1", listener.port)
    reset(listener.accept())
    wait_until(lambda: not client.send(b"x"))
    assert not client.connected


# AsyncTCPClient


def async_client(closing, **options) -> tuple[AsyncTCPClient, list, list]:
    client, received, errors = closing(AsyncTCPClient(**options)), [], []
    client.set_receive_callback(received.append)
    client.set_error_callback(errors.append)
    return client, received, errors


def test_async_a_client_without_callbacks_takes_everything_quietly(listener, closing):
    client = closing(AsyncTCPClient())
    assert client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    peer.sendall(b"hello")
    reset(peer)
    wait_until(lambda: not client.connected)


def test_async_silence_is_no_end(listener, closing):
    client, received, errors = async_client(closing, timeout=0.3)
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    later = threading.Timer(0.8, peer.sendall, [b"late"])  # two timeouts later
    later.start()
    wait_until(lambda: received == [b"late"])
    later.join()
    assert client.connected and not errors


def test_async_a_lost_connection_is_reported_once(listener, closing):
    client, received, errors = async_client(closing)
    client.connect("127.0.0.1", listener.port)
    reset(listener.accept())
    wait_until(lambda: not client.connected)
    client.close()
    assert len(errors) == 1 and isinstance(errors[0], ConnectionResetError)


@pytest.mark.parametrize("who", ["peer", "us"])
def test_async_a_connection_that_ends_well_is_no_error(who, listener, closing):
    client, received, errors = async_client(closing)
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    (peer if who == "peer" else client).close()
    wait_until(lambda: not client.connected)
    client.close()
    assert not errors


def test_async_a_failure_to_connect_is_reported(closing, reserved_port):
    client, received, errors = async_client(closing)
    assert not client.connect("127.0.0.1", reserved_port)
    assert len(errors) == 1 and isinstance(errors[0], OSError)


def test_async_a_receive_callback_that_raises_is_reported_and_the_connection_goes_on(
    echo, closing, caplog
):
    client, received, errors = async_client(closing)
    client.set_receive_callback(lambda data: received.append(data) or 1 / 0)
    client.connect("127.0.0.1", echo.port)
    for count in (1, 2):
        client.send(b"x")
        wait_until(lambda: len(errors) == count)
    assert received == [b"x"] * 2 and isinstance(errors[0], ZeroDivisionError)
    assert "the receive callback failed" in caplog.text and client.connected


def test_async_an_error_callback_that_raises_does_not_end_the_connection(echo, closing):
    client, received, errors = async_client(closing)
    client.set_receive_callback(lambda data: received.append(data) or 1 / 0)
    client.set_error_callback(lambda error: 1 / 0)
    client.connect("127.0.0.1", echo.port)
    for count in (1, 2):
        client.send(b"x")
        wait_until(lambda: len(received) == count)


def test_async_close_in_the_receive_callback_ends_it(echo, closing):
    client, received, errors = async_client(closing)
    client.set_receive_callback(lambda data: received.append(data) or client.close())
    client.connect("127.0.0.1", echo.port)
    client.send(b"x")
    wait_until(lambda: not client.connected)
    assert received == [b"x"] and not errors


def test_async_connect_in_the_error_callback_gives_a_connection_that_works(
    listener, echo, closing
):
    client, received, errors = async_client(closing)
    connected = threading.Event()

    def reconnect(error: Exception) -> None:
        errors.append(error)
        client.connect("127.0.0.1", echo.port)
        connected.set()

    client.set_error_callback(reconnect)
    client.connect("127.0.0.1", listener.port)
    reset(listener.accept())
    assert connected.wait(LIMIT)
    assert client.send(b"hello")
    wait_until(lambda: b"".join(received) == b"hello")
    assert client.connected and len(errors) == 1


def test_async_connect_in_the_receive_callback_leaves_one_thread_that_receives(
    listener, closing
):
    client, received, errors = async_client(closing)
    threads = set()

    def receive(data: bytes) -> None:
        received.append(data)
        threads.add(threading.get_ident())
        if data == b"go":
            client.connect("127.0.0.1", listener.port)

    client.set_receive_callback(receive)
    client.connect("127.0.0.1", listener.port)
    listener.accept().sendall(b"go")
    peer = listener.accept()
    wait_until(lambda: threading.active_count() > 0 and client.connected)
    threads.clear()
    for number in range(200):
        peer.sendall(b"%03d" % number)
        wait_until(lambda: len(b"".join(received)) == 2 + 3 * (number + 1))
    assert b"".join(received) == b"go" + b"".join(
        b"%03d" % number for number in range(200)
    )
    assert len(threads) == 1


# EventDrivenTCPClient


def test_events_of_a_connection_that_ends_well(listener):
    client = Events()
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    peer.sendall(b"hello")
    wait_until(lambda: client.data() == b"hello")
    assert client.close_reason is None
    client.send(b"bye")
    client.send(b"bye")
    peer.shutdown(socket.SHUT_WR)
    wait_until(lambda: "disconnect" in client.names())
    client.close()
    assert client.names() == ["connect", "data", "disconnect"]
    assert (
        client.events[0] == ("connect", ("127.0.0.1", listener.port))
        and client.close_reason == "closed by peer"
    )
    assert read_all(peer) in (
        b"byebye",
        b"bye",
        b"",
    )  # what came after its FIN may be lost, never mixed


def test_on_connect_comes_first_even_if_the_server_has_spoken_and_gone_already(
    listener, monkeypatch
):
    usual = client_module.open_connection

    def slowly(*args: object) -> socket.socket:
        sock = usual(*args)
        peer = listener.accept()
        peer.sendall(b"welcome")
        peer.close()
        sock.recv(1, socket.MSG_PEEK)  # it is here
        return sock

    monkeypatch.setattr(client_module, "open_connection", slowly)
    for _ in range(5):
        client = Events()
        assert client.connect("127.0.0.1", listener.port)
        wait_until(lambda: "disconnect" in client.names())
        client.close()
        assert client.names() == ["connect", "data", "disconnect"]


def test_a_reset_is_reported_once_with_its_error_first(listener):
    client = Events()
    client.connect("127.0.0.1", listener.port)
    wait_until(lambda: client.names() == ["connect"])
    reset(listener.accept())
    wait_until(lambda: not client.connected and "disconnect" in client.names())
    client.close()
    assert client.names() == ["connect", "error", "disconnect"]
    assert (
        isinstance(client.events[1][1], ConnectionError)
        and "connection lost" in client.close_reason
    )


def test_our_own_close_sends_what_is_queued_and_is_no_error(listener):
    client, data = Events(), bytes(range(256)) * 8000
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    assert client.send(data)
    received: list[bytes] = []

    def read_then_close() -> None:
        received.append(read_all(peer))
        peer.close()

    reader = threading.Thread(target=read_then_close)
    reader.start()
    client.close()
    reader.join(LIMIT)
    assert received == [data]
    assert (
        client.names() == ["connect", "disconnect"]
        and client.close_reason == "closed by us"
    )
    assert not client.send(b"x")


def test_close_is_bounded_with_a_peer_that_does_not_read(listener):
    client = Events(timeout=LIMIT)
    client.connect("127.0.0.1", listener.port)
    listener.accept()
    client.send(bytes(15_000_000))
    be_impatient(client, 0.4)
    assert took(client.close) < LIMIT / 2
    wait_until(lambda: not client.connected and not client_threads())
    assert client.names()[-1] == "disconnect"


def test_a_failure_to_connect_is_an_error_and_no_disconnect(reserved_port):
    client = Events()
    assert not client.connect("127.0.0.1", reserved_port)
    assert client.names() == ["error"] and isinstance(client.events[0][1], OSError)


def test_send_is_false_when_too_much_waits_and_what_was_true_arrives(listener, closing):
    client = closing(Events(max_output=1_000_000))
    client.connect("127.0.0.1", listener.port)
    peer, chunks = listener.accept(), []
    for number in range(1000):
        chunk = b"%06d" % number * 10_000
        if not client.send(chunk):
            break
        chunks.append(chunk)
    assert len(chunks) < 1000 and client.connected
    wanted = b"".join(chunks)
    assert read_exactly(peer, len(wanted)) == wanted
    wait_until(lambda: client.send(b"again"))
    assert read_exactly(peer, 5) == b"again" and client.connected
    peer.close()


def test_send_is_false_when_the_loop_ends_meanwhile(listener, closing):
    client = closing(EventDrivenTCPClient())
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()

    class Meanwhile:
        def __enter__(self) -> None:
            client.abort()
            client._thread.join(LIMIT)

        def __exit__(self, *exc_info: object) -> None: ...

    client._mailbox._lock = Meanwhile()
    assert client.send(b"x") is False
    peer.close()


def test_close_in_on_data_means_no_more_data(listener):
    client = Events(buffer_size=1)
    seen = []

    def on_data(data: bytes) -> None:
        client.send(b"bye")
        client.close()
        seen.append((data, client.connected))

    client.on_data = on_data
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    peer.sendall(b"many bytes")
    assert read_all(peer) == b"bye"
    peer.close()
    wait_until(lambda: "disconnect" in client.names())
    client.close()
    assert seen == [(b"m", False)]


@pytest.mark.parametrize(
    "callback", ["on_connect", "on_data", "on_disconnect", "on_error"]
)
def test_close_in_any_callback_ends_the_connection_once(callback, listener):
    client = Events()
    usual = getattr(client, callback)
    setattr(client, callback, lambda *args: (usual(*args), client.close()))
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    if callback == "on_data":
        peer.sendall(b"x")
    elif callback == "on_disconnect":
        peer.close()
    elif callback == "on_error":
        reset(peer)
    wait_until(lambda: "disconnect" in client.names())
    peer.close()
    client.close()
    assert client.names().count("disconnect") == 1 and client.names().count(
        "error"
    ) == (callback == "on_error")


@pytest.mark.parametrize(
    "callback", ["on_connect", "on_data", "on_disconnect", "on_error"]
)
def test_a_callback_that_raises_is_logged_and_the_client_can_connect_again(
    callback, listener, caplog
):
    client = Events()
    usual = getattr(client, callback)
    setattr(client, callback, lambda *args: usual(*args) or 1 / 0)
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    peer.sendall(b"x")
    if callback == "on_error":
        wait_until(client.data)
        reset(peer)
    elif callback != "on_data":
        peer.close()
    wait_until(lambda: "disconnect" in client.names())
    wait_until(lambda: "ZeroDivisionError" in caplog.text)
    peer.close()
    client.close()
    assert client.names().count("disconnect") == 1
    setattr(client, callback, usual)
    assert client.connect("127.0.0.1", listener.port)
    listener.accept().close()
    wait_until(lambda: client.names().count("disconnect") == 2)
    client.close()


def test_connect_in_on_disconnect_gives_a_connection_that_works(listener, closing):
    client = closing(Events())
    client.on_disconnect = lambda: (
        client.events.append(("disconnect", None))
        or client.connect("127.0.0.1", listener.port)
    )
    client.connect("127.0.0.1", listener.port)
    for number in range(3):
        peer = listener.accept()
        peer.sendall(b"%d" % number)
        wait_until(lambda: client.data().endswith(b"%d" % number))
        assert client.send(b"hello") and read_exactly(peer, 5) == b"hello"
        reset(peer) if number % 2 else peer.close()
    listener.accept()
    client.on_disconnect = lambda: None
    wait_until(lambda: client.names().count("connect") == 4)


def test_100_connects_and_closes_leave_nothing_behind(echo):
    clients = [make() for make in CLIENTS]
    for _ in range(100):
        for client in clients:
            assert client.connect("127.0.0.1", echo.port)
            assert client.send(b"x")
            client.close()
            assert not client.connected and not client_threads()


# Order and volume


@pytest.mark.slow
@every_client
@pytest.mark.parametrize(
    "server",
    [TCPServer, lambda: EventDrivenTCPServer(max_output=64_000_000)],
    ids=["threads", "loop"],
)
def test_10_megabytes_come_back_in_order(make, server, closing):
    data = b"".join(b"%07d," % number for number in range(1_250_000))
    received = bytearray()
    with server() as running:
        client = closing(make())
        if make is EventDrivenTCPClient:
            client.on_data = received.extend
        elif make is AsyncTCPClient:
            client.set_receive_callback(received.extend)
        assert client.connect("127.0.0.1", running.port)

        def send_all() -> None:
            for start in range(0, len(data), 100_000):
                wait_until(lambda: client.send(data[start : start + 100_000]))

        sender = threading.Thread(target=send_all)
        sender.start()
        if make is TCPClient:
            while len(received) < len(data) and (chunk := client.receive()):
                received += chunk
        wait_until(lambda: len(received) >= len(data))
        sender.join()
        client.close()
    assert received == data


@every_client
def test_messages_of_many_threads_stay_whole(make, listener, closing):
    client = closing(make())
    client.connect("127.0.0.1", listener.port)
    peer = listener.accept()
    threads = [
        threading.Thread(
            target=lambda n=n: [client.send(b"%d" % n * 100) for _ in range(50)]
        )
        for n in range(4)
    ]
    if (
        make is not EventDrivenTCPClient
    ):  # sending from several threads at once is what that one is for
        threads = threads[:1]
    for thread in threads:
        thread.start()
    received = read_exactly(peer, 50 * 100 * len(threads))
    for thread in threads:
        thread.join()
    peer.close()
    assert all(
        len(set(received[start : start + 100])) == 1
        for start in range(0, len(received), 100)
    )


def test_open_connection_says_what_was_tried(reserved_port):
    wrong = f"can't connect to 127.0.0.1 port {reserved_port}: "
    with pytest.raises(OSError, match=wrong):
        open_connection("127.0.0.1", reserved_port, 1)
