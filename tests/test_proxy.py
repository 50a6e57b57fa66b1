"""`python_tcp.proxy`: everything is passed on as it was, and told."""

import contextlib
import select
import selectors
import socket
import threading
import time

import pytest

from python_tcp import proxy as module
from python_tcp.proxy import RecordingProxy
from sockets import nothing_left_over, read_all, reset, tcp_pair  # noqa: F401 (a fixture)
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_over")


def test_what_the_server_said_before_its_reset_is_passed_on_even_if_writing_fails_first() -> (
    None
):
    (ann, ours), (back, server) = tcp_pair(), tcp_pair()
    for sock in (ours, back):
        sock.setblocking(False)
    heard: list[bytes | None] = []
    connection = module._Connection(
        module._Flow(ours, back, heard.append), module._Flow(back, ours, heard.append)
    )
    server.sendall(b"no")
    reset(server)
    ann.sendall(b"hello")
    wait_until(lambda: select.select([ours], [], [], 0)[0])
    connection.serve(
        ours, selectors.EVENT_READ
    )  # back is readable too, but not yet served
    assert heard == [b"hello", b"no", None] and connection.closed
    assert ann.recv(10) == b"no"
    with ann, pytest.raises(ConnectionResetError):
        ann.recv(1)


def test_a_flow_has_three_states_one_after_the_other() -> None:
    (source, ours), (theirs, target) = tcp_pair(), tcp_pair()
    with source, ours, theirs, target:
        ours.setblocking(False)
        told: list[bytes | None] = []
        flow = module._Flow(ours, theirs, told.append)
        flow.read()  # nothing is there
        assert (flow.state.name, flow.wants_more, told) == ("OPEN", True, [])
        source.sendall(b"the end")
        source.shutdown(socket.SHUT_WR)
        wait_until(lambda: flow.read() or flow.state.name == "ENDING")
        assert not flow.wants_more and bytes(flow.waiting) == b"the end"
        flow.write()
        assert flow.state.name == "DONE" and told == [b"the end", b""]
        flow.write()  # once is enough
        assert read_all(target) == b"the end"


class Proxied:
    """A proxy in front of a listener that the test serves by hand."""

    def __init__(self, **options: float) -> None:
        self.told: list[bytes | None] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT)
        self.proxy = RecordingProxy(
            self.listener.getsockname(), lambda name: (self.told.append,) * 2, **options
        )
        self.proxy.start()

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """A client, and the server's end of its connection."""
        address = "127.0.0.1", self.proxy.add_door(lambda: "ann")
        client = socket.create_connection(address, timeout=LIMIT)
        server, _ = self.listener.accept()
        server.settimeout(LIMIT)
        return client, server

    def __enter__(self) -> "Proxied":
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.stop()
        self.listener.close()


@pytest.mark.slow(seconds=5)
def test_what_is_on_its_way_when_it_stops_arrives() -> None:
    with Proxied() as it:
        client, server = it.connect()
        client.sendall(b"x" * 200_000)
        client.close()
        it.proxy.stop()
        assert (
            sum(len(chunk or b"") for chunk in it.told) == 200_000
            or it.told[-1] is None
        )
        server.close()


def test_it_waits_for_one_that_is_ending_and_no_longer_than_its_limit() -> None:
    with Proxied(limit=0.3) as it:
        client, server = it.connect()
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b""
        start = time.monotonic()
        it.proxy.stop()
        assert 0.2 < time.monotonic() - start < LIMIT / 2
        client.close(), server.close()


def test_an_idle_connection_does_not_hold_it_back() -> None:
    with Proxied(limit=2 * LIMIT) as it:
        client, server = it.connect()
        start = time.monotonic()
        it.proxy.stop()
        assert time.monotonic() - start < LIMIT / 2
        assert client.recv(1) == server.recv(1) == b""
        client.close(), server.close()


def test_after_the_end_no_door_is_opened() -> None:
    with Proxied() as it:
        it.proxy.stop()
        it.proxy.stop()
        with pytest.raises(RuntimeError, match="ended"):
            it.proxy.add_door(lambda: "bob")


def test_what_opened_raises_ends_it_and_is_kept() -> None:
    def broken(name: str) -> tuple:
        raise ZeroDivisionError(name)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = RecordingProxy(listener.getsockname(), broken)
        proxy.start()
        port = proxy.add_door(lambda: "ann")
        with contextlib.suppress(ConnectionResetError):  # `connect` may hear it already
            with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
                assert client.recv(1) == b""
        wait_until(lambda: proxy.error)
        assert str(proxy.error) == "ann"
        proxy.stop()


def test_doors_are_added_from_any_thread_while_it_runs() -> None:
    with Proxied() as it:
        ports: list[int] = []
        threads = [
            threading.Thread(
                target=lambda: ports.append(it.proxy.add_door(lambda: "x"))
            )
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert len(set(ports)) == 20
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
                server, _ = it.listener.accept()
                server.sendall(b"!")
                assert client.recv(1) == b"!"
                server.close()
