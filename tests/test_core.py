"""`python_tcp.core`: the names of the tutorial, and the states that the kernel tells."""

import logging
import socket
import sys
from collections.abc import Iterator

import pytest
from helpers import wait_until

from python_tcp import core
from python_tcp.core import (
    SocketState,
    TCPConnection,
    connection_states,
    get_free_port,
    kernel_state,
    kernel_table,
    own_addresses,
)

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells the state"
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), timeout=60)
        theirs, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def test_the_names_of_the_tutorial_are_there() -> None:
    assert core.LOCALHOST == "127.0.0.1"
    assert isinstance(core.DEFAULT_BUFFER_SIZE, int) and isinstance(
        core.DEFAULT_BACKLOG, int
    )
    assert {
        "LOCALHOST",
        "DEFAULT_BUFFER_SIZE",
        "DEFAULT_BACKLOG",
        "get_free_port",
        "SocketState",
        "TCPConnection",
    } <= set(core.__all__)


def test_a_free_port_can_be_bound() -> None:
    port = get_free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        assert listener.getsockname()[1] == port


def test_others_reach_this_machine_under_its_own_addresses() -> None:
    """On every one that is found, a listener on all of them can be reached. None is found where there is no network."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        for host in own_addresses("0.0.0.0"):
            assert host != "0.0.0.0"
            socket.create_connection((host, port), timeout=60).close()
    for host in ("127.0.0.1", "localhost", "192.0.2.9", "::1"):
        assert own_addresses(host) == []
    assert own_addresses("::") == own_addresses("[::]")
    assert all(":" in host for host in own_addresses("::"))


def test_the_states_are_those_of_rfc_9293_and_are_strings() -> None:
    names = "CLOSED LISTEN SYN_SENT SYN_RECEIVED ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 CLOSE_WAIT CLOSING LAST_ACK TIME_WAIT".split()
    assert [state.name for state in SocketState] == names
    assert all(
        state == state.name == f"{state}" and isinstance(state, str)
        for state in SocketState
    )
    assert SocketState("ESTABLISHED") is SocketState.ESTABLISHED


@linux
def test_the_kernel_tells_the_states_of_both_ends(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    assert [kernel_state(ours), kernel_state(theirs)] == ["ESTABLISHED", "ESTABLISHED"]
    ours.shutdown(socket.SHUT_WR)
    assert theirs.recv(1) == b""
    wait_until(
        lambda: (
            [kernel_state(ours), kernel_state(theirs)] == ["FIN_WAIT_2", "CLOSE_WAIT"]
        )
    )  # the ACK may come late
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
            assert {kernel_state(sock) for sock in waiting} == {
                "ESTABLISHED",
                "SYN_SENT",
            }
        finally:
            for sock in waiting:
                sock.close()


# The kernel's table


def line(
    local: str,
    remote: str = "00000000:0000",
    state: str = "01",
    queues: str = "00000000:00000000",
) -> str:
    return f"   7: {local} {remote} {state} {queues} 00:00000000 00000000     0        0 650 1 000000005d9a7690 100 0 0 10 0\n"


@pytest.mark.skipif(
    sys.byteorder != "little",
    reason="these lines were written on a little-endian machine",
)
def test_a_line_of_the_kernel_is_read() -> None:
    entry = core._entry(
        line("0100007F:1F40", "0200007F:C001", "01", "0000000A:00000100")
    )
    assert entry == (
        ("127.0.0.1", 8000),
        ("127.0.0.2", 49153),
        SocketState.ESTABLISHED,
        10,
        256,
    )
    assert (entry.unacknowledged, entry.unread) == (10, 256)
    assert core._entry(line("00000000000000000000000001000000:1F40")).local == (
        "::1",
        8000,
    )
    assert core._entry(line("B80D0120000000000000000001000000:0050")).local == (
        "2001:db8::1",
        80,
    )
    assert core._entry(line("0000000000000000FFFF00000100007F:1F40")).local == (
        "127.0.0.1",
        8000,
    )  # IPv4 on a socket of IPv6


def test_every_number_of_a_state_is_known_or_none() -> None:
    numbers = {core._state(number) for number in range(1, 13)}
    assert numbers == set(SocketState)
    assert core._state(0) is core._state(13) is core._state(255) is None


@linux
def test_the_table_has_both_ends_and_the_listener(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = (sock.getsockname() for sock in pair)
    both = {(ours, theirs, "ESTABLISHED"), (theirs, ours, "ESTABLISHED")}
    for port in (ours[1], theirs[1], None):
        assert {
            entry[:3]
            for entry in kernel_table(port)
            if {entry.local, entry.remote} == {ours, theirs}
        } == both
    # A port may also stand in what is left of somebody else's connection.
    assert all(
        ours[1] in (entry.local[1], entry.remote[1]) for entry in kernel_table(ours[1])
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        name = listener.getsockname()
        assert (name, ("0.0.0.0", 0), "LISTEN", 0, 0) in kernel_table(name[1])
    assert "LISTEN" not in [entry.state for entry in kernel_table(name[1])]


@linux
def test_the_table_counts_what_is_unread_and_who_waits_in_a_queue(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ours.sendall(b"twelve bytes")
    ends = ours.getsockname(), theirs.getsockname()
    wait_until(
        lambda: (
            [e.unread for e in kernel_table(ends[0][1]) if (e.remote, e.local) == ends]
            == [12]
        )
    )
    wait_until(
        lambda: (
            [
                e.unacknowledged
                for e in kernel_table(ends[0][1])
                if (e.local, e.remote) == ends
            ]
            == [0]
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = [
            socket.create_connection(listener.getsockname(), timeout=60)
            for _ in range(3)
        ]
        assert [
            e.unread
            for e in kernel_table(listener.getsockname()[1])
            if e.state == "LISTEN"
        ] == [3]
        for client in clients:
            client.close()


@linux
def test_both_ends_are_followed_until_nobody_owns_them(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    ends = ours.getsockname(), theirs.getsockname()
    assert connection_states(*ends) == ("ESTABLISHED", "ESTABLISHED")
    ours.shutdown(socket.SHUT_WR)
    wait_until(lambda: connection_states(*ends) == ("FIN_WAIT_2", "CLOSE_WAIT"))
    assert connection_states(*reversed(ends)) == ("CLOSE_WAIT", "FIN_WAIT_2")
    theirs.close()
    wait_until(lambda: connection_states(*ends) == ("TIME_WAIT", None))
    ours.close()
    assert connection_states(*ends) == ("TIME_WAIT", None)
    assert connection_states(("127.0.0.1", 1), ("127.0.0.1", 1)) == (None, None)


@linux
def test_connections_of_ipv6_and_of_ipv4_on_a_listener_of_ipv6_are_found() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with socket.create_server(
        ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
    ) as listener:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection(
                (host, listener.getsockname()[1]), timeout=60
            ) as client:
                assert connection_states(
                    client.getsockname(), client.getpeername()
                ) == ("ESTABLISHED", "ESTABLISHED")


def test_where_there_is_no_table_it_is_empty(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket]
) -> None:
    def no_file(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(core, "open", no_file, raising=False)
    assert kernel_table() == []
    assert connection_states(pair[0].getsockname(), pair[1].getsockname()) == (
        None,
        None,
    )


def test_a_closed_socket_is_closed_everywhere() -> None:
    sock = socket.socket()
    sock.close()
    assert kernel_state(sock) is SocketState.CLOSED


def test_of_what_is_no_tcp_socket_nothing_is_known() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert kernel_state(sock) is None


def test_a_connection_has_the_fields_of_the_tutorial(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    connection = TCPConnection(ours, SocketState.SYN_SENT, ours.getpeername(), 7)
    assert (
        connection.sock,
        connection.state,
        connection.remote_address,
        connection.connection_id,
    ) == (ours, "SYN_SENT", theirs.getsockname(), 7)
    assert (
        len(
            {
                connection,
                TCPConnection(ours, SocketState.SYN_SENT, ours.getpeername(), 7),
            }
        )
        == 2
    )  # two are never the same


@linux
def test_update_state_believes_the_kernel_and_not_us(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    connection = TCPConnection(pair[0], SocketState.SYN_SENT, pair[0].getpeername(), 1)
    assert (
        connection.update_state("CLOSED") is connection.state is SocketState.ESTABLISHED
    )
    connection.sock.close()
    assert connection.update_state() is connection.state is SocketState.CLOSED


def test_update_state_believes_us_where_the_kernel_says_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        connection = TCPConnection(sock, SocketState.CLOSED, ("127.0.0.1", 9), 1)
        assert (
            connection.update_state("ESTABLISHED")
            is connection.state
            is SocketState.ESTABLISHED
        )
        assert connection.update_state() is SocketState.ESTABLISHED
        with pytest.raises(ValueError):
            connection.update_state("OPEN")


def test_the_library_is_silent_until_asked(capfd: pytest.CaptureFixture) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            logging.getLogger(), "handlers", []
        )  # as in a program that configures no log
        logging.getLogger("python_tcp.anything").error("nobody asked")
    assert capfd.readouterr() == ("", "")
