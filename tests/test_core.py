"""`python_tcp.core`: the names of the tutorial, and the states that the kernel tells."""
import logging
import socket
import sys
from collections.abc import Iterator

import pytest
from helpers import wait_until

from python_tcp import core
from python_tcp.core import SocketState, TCPConnection, get_free_port, kernel_state

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the state")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), timeout=5)
        theirs, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def test_the_names_of_the_tutorial_are_there() -> None:
    assert core.LOCALHOST == "127.0.0.1"
    assert isinstance(core.DEFAULT_BUFFER_SIZE, int) and isinstance(core.DEFAULT_BACKLOG, int)
    assert {"LOCALHOST", "DEFAULT_BUFFER_SIZE", "DEFAULT_BACKLOG", "get_free_port", "SocketState", "TCPConnection"} <= set(core.__all__)


def test_a_free_port_can_be_bound() -> None:
    port = get_free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        assert listener.getsockname()[1] == port


def test_the_states_are_those_of_rfc_9293_and_are_strings() -> None:
    names = "CLOSED LISTEN SYN_SENT SYN_RECEIVED ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 CLOSE_WAIT CLOSING LAST_ACK TIME_WAIT".split()
    assert [state.name for state in SocketState] == names
    assert all(state == state.name == f"{state}" and isinstance(state, str) for state in SocketState)
    assert SocketState("ESTABLISHED") is SocketState.ESTABLISHED


@linux
def test_the_kernel_tells_the_states_of_both_ends(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert [kernel_state(ours), kernel_state(theirs)] == ["ESTABLISHED", "ESTABLISHED"]
    ours.shutdown(socket.SHUT_WR)
    assert theirs.recv(1) == b""
    wait_until(lambda: [kernel_state(ours), kernel_state(theirs)] == ["FIN_WAIT_2", "CLOSE_WAIT"])  # the ACK may come late
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(1) == b""
    wait_until(lambda: kernel_state(theirs) == "CLOSED")


@linux
def test_the_kernel_tells_listen_and_syn_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        assert kernel_state(listener) == "LISTEN"
        waiting = [socket.socket() for _ in range(4)]
        try:
            for sock in waiting:  # nobody accepts: the queue is full soon, and the kernel drops the next SYN
                sock.setblocking(False)
                sock.connect_ex(listener.getsockname())
            assert {kernel_state(sock) for sock in waiting} == {"ESTABLISHED", "SYN_SENT"}
        finally:
            for sock in waiting:
                sock.close()


def test_a_closed_socket_is_closed_everywhere() -> None:
    sock = socket.socket()
    sock.close()
    assert kernel_state(sock) is SocketState.CLOSED


def test_of_what_is_no_tcp_socket_nothing_is_known() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert kernel_state(sock) is None


def test_a_connection_has_the_fields_of_the_tutorial(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    connection = TCPConnection(ours, SocketState.SYN_SENT, ours.getpeername(), 7)
    assert (connection.sock, connection.state, connection.remote_address, connection.connection_id) == (ours, "SYN_SENT", theirs.getsockname(), 7)
    assert len({connection, TCPConnection(ours, SocketState.SYN_SENT, ours.getpeername(), 7)}) == 2  # two are never the same


@linux
def test_update_state_believes_the_kernel_and_not_us(pair: tuple[socket.socket, socket.socket]) -> None:
    connection = TCPConnection(pair[0], SocketState.SYN_SENT, pair[0].getpeername(), 1)
    assert connection.update_state("CLOSED") is connection.state is SocketState.ESTABLISHED
    connection.sock.close()
    assert connection.update_state() is connection.state is SocketState.CLOSED


def test_update_state_believes_us_where_the_kernel_says_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        connection = TCPConnection(sock, SocketState.CLOSED, ("127.0.0.1", 9), 1)
        assert connection.update_state("ESTABLISHED") is connection.state is SocketState.ESTABLISHED
        assert connection.update_state() is SocketState.ESTABLISHED
        with pytest.raises(ValueError):
            connection.update_state("OPEN")


def test_the_library_is_silent_until_asked(capfd: pytest.CaptureFixture) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", [])  # as in a program that configures no log
        logging.getLogger("python_tcp.anything").error("nobody asked")
    assert capfd.readouterr() == ("", "")
