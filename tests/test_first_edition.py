"""Programs as they were written for the first edition: only its names, in the ways in which it used them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Queue

import pytest

from python_tcp.client import AsyncTCPClient, EventDrivenTCPClient, TCPClient
from python_tcp.core import DEFAULT_BACKLOG, DEFAULT_BUFFER_SIZE, LOCALHOST
from python_tcp.core import SocketState, TCPConnection, get_free_port
from python_tcp.server import EnhancedTCPServer, EventDrivenTCPServer, TCPServer
from sockets import nothing_left_over  # noqa: F401
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_over")


@pytest.fixture
def connected() -> Iterator[Callable[..., TCPClient]]:
    """`connected(client, server)` connects, and closes after the test."""
    with ExitStack() as stack:

        def connect(client: TCPClient, server: TCPServer) -> TCPClient:
            assert client.connect(server.host, server.port) is True
            stack.callback(client.close)
            return client

        yield connect


def json_handler(connection_id: int, data: bytes) -> bytes:
    """Answers each message with its text in capital letters."""
    message = json.loads(data)
    answer = {"to": connection_id, "text": message["text"].upper()}
    return json.dumps(answer).encode()


def ask(client: TCPClient, text: str) -> dict:
    assert client.send(json.dumps({"text": text}).encode())
    return json.loads(client.receive())


def test_an_echo_server_on_a_free_port(connected):
    server = TCPServer(host=LOCALHOST, port=get_free_port())
    server.start()
    try:
        client = connected(TCPClient(), server)
        assert client.connected and client.state == "ESTABLISHED"
        assert client.send(b"Hello, server!")
        assert client.receive() == b"Hello, server!"
        assert server.running and server.state == SocketState.LISTEN
        client.close()
        assert not client.connected and client.state == "CLOSED"
        wait_until(lambda: not server.connections)
    finally:
        server.stop()
    assert not server.running and server.state == "CLOSED"


def test_the_server_takes_its_options_by_name_and_in_order(connected):
    for server in (
        TCPServer(LOCALHOST, 0, DEFAULT_BACKLOG, DEFAULT_BUFFER_SIZE),
        TCPServer(host=LOCALHOST, port=0, backlog=5, buffer_size=1024),
    ):
        server.start()
        client = connected(TCPClient(buffer_size=1024), server)
        assert client.send(b"x") and client.receive() == b"x"
        client.close()
        server.stop()


def test_the_server_sends_to_one_connection_of_many(connected):
    server = TCPServer()
    server.start()
    clients = []
    for number in range(3):
        clients.append(connected(TCPClient(), server))
        wait_until(lambda: len(server.connections) == number + 1)
    for number, connection_id in enumerate(server.connections):
        assert server.send(connection_id, b"you are %d" % number) is True
    assert [client.receive() for client in clients] == [
        b"you are 0",
        b"you are 1",
        b"you are 2",
    ]
    assert server.send(999, b"x") is False
    assert "3 connections" in str(server)
    server.stop()


def test_a_connection_knows_its_state(connected):
    server = TCPServer()
    server.start()
    client = connected(TCPClient(), server)
    wait_until(lambda: server.connections)
    (connection,) = server.connections.values()
    assert isinstance(connection, TCPConnection)
    assert connection.connection_id in server.connections
    assert connection.update_state("ESTABLISHED") == "ESTABLISHED"
    assert connection.state == SocketState.ESTABLISHED
    client.close()
    wait_until(lambda: not server.connections)
    assert connection.state == connection.update_state() == "CLOSED"
    server.stop()


def test_an_enhanced_server_answers_json(connected):
    server = EnhancedTCPServer()
    server.set_message_handler(json_handler)
    server.start()
    client = connected(TCPClient(), server)
    (connection_id,) = wait_until(lambda: list(server.connections))
    assert ask(client, "hello") == {"to": connection_id, "text": "HELLO"}
    assert ask(client, "again") == {"to": connection_id, "text": "AGAIN"}
    server.stop()


def test_an_event_driven_server_with_prints_beside_a_handler_that_answers_json(
    connected, capsys
):
    server = EventDrivenTCPServer(host=LOCALHOST, port=0)
    server.on_connect = lambda connection_id, address: print("connected", connection_id)
    server.on_data = lambda connection_id, data: print("data", data.decode())
    server.on_disconnect = lambda connection_id: print("disconnected", connection_id)
    server.set_message_handler(json_handler)
    server.start()
    client = connected(TCPClient(), server)
    assert ask(client, "hello") == {"to": 1, "text": "HELLO"}
    client.close()
    wait_until(lambda: not server.connections)
    server.stop()
    assert capsys.readouterr().out.splitlines() == [
        "connected 1",
        'data {"text": "hello"}',
        "disconnected 1",
    ]


def test_an_event_driven_server_with_print_itself(connected, capsys):
    server = EventDrivenTCPServer()
    server.on_connect = server.on_data = server.on_disconnect = print
    server.set_message_handler(json_handler)
    server.start()
    client = connected(TCPClient(), server)
    assert ask(client, "hi")["text"] == "HI"
    client.close()
    wait_until(lambda: not server.connections)
    server.stop()
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("1 ('127.0.0.1', ") and third == "1"
    assert second == '1 b\'{"text": "hi"}\''


def test_an_event_driven_server_that_records_and_whose_handler_keeps_quiet(connected):
    server, seen = EventDrivenTCPServer(), Queue()
    server.on_data = lambda connection_id, data: seen.put((connection_id, data))
    server.set_message_handler(lambda connection_id, data: None)
    server.start()
    client = connected(TCPClient(), server)
    client.send(b"hello")
    assert seen.get(timeout=LIMIT) == (1, b"hello")
    client._sock.settimeout(0.2)
    assert client.receive() is None
    server.stop()


def test_an_event_driven_server_without_anything_echoes(connected):
    server = EventDrivenTCPServer()
    server.start()
    client = connected(TCPClient(), server)
    assert client.send(b"echo") and client.receive() == b"echo"
    server.stop()


def test_a_server_of_ones_own_that_broadcasts_by_hand(connected):
    class Room(EventDrivenTCPServer):
        def on_connect(self, connection_id, address):
            self.send(connection_id, b"welcome ")

        def on_data(self, connection_id, data):
            for other in self.connections:
                self.send(other, data)

    server = Room()
    server.start()
    ann, bob = connected(TCPClient(), server), connected(TCPClient(), server)
    assert ann.receive() == bob.receive() == b"welcome "
    ann.send(b"hello")
    assert ann.receive() == bob.receive() == b"hello"
    server.stop()


def test_an_async_client_with_callbacks(connected):
    server, received, errors = TCPServer(), Queue(), []
    server.start()
    client = AsyncTCPClient()
    client.set_receive_callback(received.put)
    client.set_error_callback(errors.append)
    connected(client, server)
    assert client.send(b"Hello, async server!")
    assert received.get(timeout=LIMIT) == b"Hello, async server!"
    assert client.state == "ESTABLISHED"
    client.close()
    assert not client.connected and not errors
    server.stop()
    assert client.connect(server.host, server.port) is False and len(errors) == 1


def test_an_event_driven_client_with_assigned_callbacks(connected):
    server, events = EventDrivenTCPServer(), Queue()
    server.start()
    client = EventDrivenTCPClient()
    client.on_connect = lambda host, port: events.put(("connect", host, port))
    client.on_data = lambda data: events.put(("data", data))
    client.on_disconnect = lambda: events.put(("disconnect",))
    client.on_error = lambda error: events.put(("error", error))
    connected(client, server)
    assert events.get(timeout=LIMIT) == ("connect", server.host, server.port)
    assert client.send(b"hello")
    assert events.get(timeout=LIMIT) == ("data", b"hello")
    server.stop()
    assert events.get(timeout=LIMIT) == ("disconnect",)
    assert client.connect(server.host, server.port) is False
    assert events.get(timeout=LIMIT)[0] == "error"


def test_an_event_driven_client_in_a_subclass(connected):
    class Collector(EventDrivenTCPClient):
        def __init__(self):
            super().__init__(buffer_size=4)
            self.data = bytearray()

        def on_data(self, data):
            self.data += data

    server = TCPServer()
    server.start()
    client = connected(Collector(), server)
    client.send(b"more than four bytes")
    wait_until(lambda: client.data == b"more than four bytes")
    client.close()
    server.stop()


def test_many_clients_on_threads_of_their_own():
    server, answers = EnhancedTCPServer(), {}
    server.set_message_handler(lambda connection_id, data: data[::-1])
    server.start()

    def visit(number: int) -> None:
        client = TCPClient()
        assert client.connect(server.host, server.port)
        client.send(b"client %d" % number)
        time.sleep(0.01)
        answers[number] = client.receive()
        client.close()

    threads = [threading.Thread(target=visit, args=[number]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    server.stop()
    assert answers == {number: b"%d tneilc" % number for number in range(10)}
