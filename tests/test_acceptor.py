"""A listener, the acceptor that never spins, and the life of a server's thread."""

import errno
import itertools
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from python_tcp import acceptor
from python_tcp.acceptor import SERVER_TRANSITIONS, Acceptor, ServerState
from python_tcp.acceptor import ServerThread, open_listeners
from python_tcp.loop import EventLoop
from sockets import dial, nothing_left_over  # noqa: F401
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.usefixtures("nothing_left_over")


# The listener


def open_listener(host: str, port: int, backlog: int = 128) -> socket.socket:
    """A listener for this host, which has one address."""
    return open_listeners(host, port, backlog)[0]


def test_a_listener_does_not_block_and_has_the_port_that_the_system_gave():
    with open_listener("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_taken_port_raises_and_leaves_nothing_open():
    with open_listener("127.0.0.1", 0) as listener:
        with pytest.raises(OSError) as refused:
            open_listener(*listener.getsockname())
    assert refused.value.errno == errno.EADDRINUSE


def test_a_name_without_any_address_raises(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    with pytest.raises(OSError):
        open_listener("nowhere", 0)


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a\0b", "ü" * 80])
def test_what_can_not_be_a_name_is_an_os_error(host):
    with pytest.raises((OSError, ValueError)):
        open_listener(host, 0).close()


BOTH = [
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
]


def connect(host: str, port: int) -> None:
    """Connect and close, without asking for addresses."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.settimeout(LIMIT)
        sock.connect((host, port))


@pytest.fixture
def two_addresses(monkeypatch) -> None:
    """A name with an IPv6 and an IPv4 address, as `localhost` is on many systems."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: BOTH * 2)


def test_all_addresses_of_a_name_are_listened_on_with_one_port(two_addresses):
    listeners = open_listeners("both", 0)
    names = [listener.getsockname()[:2] for listener in listeners]
    assert names == [("::1", names[0][1]), ("127.0.0.1", names[0][1])]
    for name in names:
        connect(*name)
    for listener in listeners:
        listener.close()


def test_no_name_is_every_address_and_ipv6_leaves_ipv4_alone():
    listeners = open_listeners("", 0)
    names = {listener.getsockname()[0] for listener in listeners}
    port = listeners[0].getsockname()[1]
    assert len(listeners) == len(names) and "0.0.0.0" in names
    connect("127.0.0.1", port)
    if "::" in names:
        connect("::1", port)
    for listener in listeners:
        listener.close()


def test_an_address_that_is_taken_raises_and_leaves_nothing_open(two_addresses):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError) as refused:
            open_listeners("both", port)
    assert refused.value.errno == errno.EADDRINUSE


def test_a_port_that_is_taken_on_one_address_is_not_chosen(two_addresses, monkeypatch):
    usual, tries = acceptor._listen, itertools.count()

    def listen(family: int, *rest: object) -> socket.socket:
        if family == socket.AF_INET and next(tries) < 3:
            raise OSError(errno.EADDRINUSE, "taken")
        return usual(family, *rest)

    monkeypatch.setattr(acceptor, "_listen", listen)
    listeners = open_listeners("both", 0)
    assert len({each.getsockname()[1] for each in listeners}) == 1
    for listener in listeners:
        listener.close()


def test_an_address_that_this_machine_lacks_is_left_out(two_addresses, monkeypatch):
    usual = acceptor._listen

    def listen(family: int, *rest: object) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6")
        return usual(family, *rest)

    monkeypatch.setattr(acceptor, "_listen", listen)
    (listener,) = open_listeners("both", 0)
    listener.close()
    with pytest.raises(OSError):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: BOTH[:1])
        open_listeners("both", 0)


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_have_its_brackets(host):
    (listener,) = open_listeners(host, 0)
    assert listener.getsockname()[0] == "::1"
    listener.close()


# The acceptor


class Door:
    """An acceptor on a loop that a test turns by hand."""

    def __init__(self) -> None:
        self.loop, self.taken, self.room = EventLoop(), [], 1_000_000
        self.listener = open_listener("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.acceptor = Acceptor(self.loop, self.listener, self.accepted, self.has_room)

    def accepted(self, sock: socket.socket, address: tuple) -> None:
        self.taken.append(sock)

    def has_room(self) -> bool:
        return len(self.taken) < self.room

    def turns(self, seconds: float) -> int:
        """How often the loop turns in this time."""
        count, end = 0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.loop.tick(longest=left)
            count += 1
        return count

    def close(self) -> None:
        self.acceptor.close()
        self.loop.close()
        for sock in self.taken:
            sock.close()


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


@pytest.fixture
def dialled() -> Iterator[Callable[[int, int], list[socket.socket]]]:
    """`dialled(port, count)` gives so many connections."""
    clients: list[socket.socket] = []

    def connect(port: int, count: int) -> list[socket.socket]:
        new = [dial(port) for _ in range(count)]
        clients.extend(new)
        return new

    yield connect
    for client in clients:
        client.close()


def test_connections_come_with_their_addresses_and_without_delay(door, dialled):
    seen = []
    door.acceptor._accepted = lambda sock, address: (
        door.taken.append(sock),
        seen.append(address),
    )
    clients = dialled(door.port, 3)
    door.loop.tick(LIMIT)
    assert seen == [client.getsockname() for client in clients]
    option = socket.IPPROTO_TCP, socket.TCP_NODELAY
    assert all(sock.getsockopt(*option) for sock in door.taken)


def test_no_tick_accepts_more_than_a_few(door, dialled, monkeypatch):
    monkeypatch.setattr(Acceptor, "PER_TICK", 3)
    dialled(door.port, 7)
    counts = []
    for _ in range(3):
        door.loop.tick(LIMIT)
        counts.append(len(door.taken))
    assert counts == [3, 6, 7]


def test_at_its_limit_it_sleeps_and_goes_on_when_there_is_room(
    door, dialled, monkeypatch
):
    monkeypatch.setattr(Acceptor, "RETRY", 1000.0)
    door.room = 1
    dialled(door.port, 2)
    assert door.turns(0.1) < 5 and len(door.taken) == 1
    door.taken.pop().close()
    door.acceptor.resume()
    door.acceptor.resume()  # twice does no harm
    door.loop.tick(LIMIT)
    assert len(door.taken) == 1


def test_trouble_with_accepting_is_said_once_and_overcome(
    door, dialled, caplog, monkeypatch
):
    monkeypatch.setattr(Acceptor, "RETRY", 0.02)
    tries = itertools.count(1)
    door.acceptor._has_room = lambda: next(tries) > 10
    dialled(door.port, 1)
    while not door.taken:
        door.loop.tick(LIMIT)
    assert len(re.findall("not accepting", caplog.text)) == 1
    assert next(tries) > 10
    door.loop.tick(0)  # nobody waits: the trouble is over
    door.acceptor._has_room = lambda: False
    dialled(door.port, 1)
    door.loop.tick(LIMIT)
    assert len(re.findall("not accepting", caplog.text)) == 2  # and is news again


class Refusing:
    """A listener whose `accept` fails in the ways that `errors` names, and then works."""

    def __init__(self, listener: socket.socket, errors: list[OSError]) -> None:
        self.listener, self.errors = listener, deque(errors)

    def accept(self) -> tuple[socket.socket, tuple]:
        if self.errors:
            raise self.errors.popleft()
        return self.listener.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self.listener, name)


def test_a_client_that_is_gone_again_does_not_keep_the_next_one_waiting(door, dialled):
    gone = [ConnectionAbortedError(errno.ECONNABORTED, "aborted")] * 3
    door.acceptor._listener = Refusing(door.listener, gone)
    dialled(door.port, 2)
    door.loop.tick(LIMIT)
    assert len(door.taken) == 2


@pytest.mark.parametrize("number", [errno.EPROTO, errno.ENETDOWN, errno.EPERM])
def test_an_error_of_one_connection_costs_no_other_one(door, dialled, caplog, number):
    """accept(2): Linux passes errors of the new connection on to the caller."""
    failed = [OSError(number, "failed")] * 3
    door.acceptor._listener = Refusing(door.listener, failed)
    dialled(door.port, 2)
    door.loop.tick(LIMIT)
    assert len(door.taken) == 2 and not caplog.text


def test_an_error_that_does_not_end_does_not_make_the_loop_spin(door, dialled):
    failed = [OSError(errno.EINVAL, "broken")] * 1_000_000
    door.acceptor._listener = Refusing(door.listener, failed)
    dialled(door.port, 1)
    assert door.turns(0.1) < 5


def test_at_its_limit_it_says_nothing_while_nobody_waits(door, dialled, caplog):
    door.room = 2
    dialled(door.port, 2)
    assert door.turns(0.05) < 5 and len(door.taken) == 2
    assert not caplog.text
    dialled(door.port, 1)
    door.turns(0.05)
    assert caplog.text.count("at the limit") == 1


def test_without_descriptors_it_waits_and_says_why(door, dialled, caplog, monkeypatch):
    monkeypatch.setattr(Acceptor, "RETRY", 0.02)
    full = [OSError(errno.EMFILE, "Too many open files")]
    door.acceptor._listener = Refusing(door.listener, full)
    dialled(door.port, 1)
    while not door.taken:
        door.loop.tick(LIMIT)
    assert "Too many open files" in caplog.text


@pytest.mark.parametrize("room", [0, 10])
def test_a_closed_acceptor_refuses_those_who_wait(room, dialled):
    door = Door()
    door.room = room
    dialled(door.port, 1)
    if not room:
        door.loop.tick(LIMIT)  # now it waits for room
    door.acceptor.close()
    assert door.turns(0.05) < 5 and not door.taken
    with pytest.raises(OSError):
        dial(door.port)
    door.close()


# The life of a server


class Owner:
    """The simplest server: it keeps what it accepts, and notes what it is told."""

    def __init__(self, port: int = 0) -> None:
        self.notes: list[str] = []
        self.socks: list[socket.socket] = []
        self.thread = ServerThread(
            "Owner",
            "127.0.0.1",
            port,
            accepted=lambda sock, address: self.socks.append(sock),
            close_all=self.close_all,
            opened=lambda thread: self.notes.append("opened"),
            stopped=lambda: self.notes.append("stopped"),
        )

    def close_all(self, timeout: float) -> None:
        self.notes.append(f"close all in {timeout:g} s")
        for sock in self.socks:
            sock.close()
        self.socks.clear()
        self.thread.all_closed()


def test_the_table_of_states_leads_everywhere_and_from_everywhere_to_the_end():
    assert set(SERVER_TRANSITIONS) == set(ServerState)
    found, new = set(), {ServerState.STOPPED}
    while new:
        found |= new
        new = {to for state in new for to in SERVER_TRANSITIONS[state].values()} - found
    assert found == set(ServerState)
    for state in set(ServerState) - {ServerState.STOPPED}:
        assert SERVER_TRANSITIONS[state]["ended"] is ServerState.STOPPED


@pytest.mark.parametrize("state", ServerState)
def test_the_class_goes_where_the_table_leads_and_nowhere_else(state):
    events = {event for each in SERVER_TRANSITIONS.values() for event in each}
    for event in events:
        thread = Owner().thread
        thread._life = state
        leads = event in SERVER_TRANSITIONS[state]
        assert thread._move(event) is leads
        assert thread._life is SERVER_TRANSITIONS[state].get(event, state)


def test_a_life_from_start_to_stop():
    owner = Owner()
    thread = owner.thread
    assert (thread.running, thread.state, thread.port) == (False, "CLOSED", 0)
    thread.start()
    assert (thread.running, thread.state) == (True, "LISTEN") and thread.port > 0
    assert (
        thread.describe(0) == f"Owner(127.0.0.1:{thread.port}, LISTEN, 0 connections)"
    )
    with dial(thread.port):
        wait_until(lambda: owner.socks)
        thread.stop(2.0)
    assert (thread.running, thread.state, thread.closing) == (False, "CLOSED", False)
    assert owner.notes == ["opened", "close all in 2 s", "stopped"]
    thread.start()  # it may live again
    thread.stop(1.0)
    assert owner.notes[3:] == ["opened", "close all in 1 s", "stopped"]


def test_the_port_is_closed_before_the_connections_are():
    owner, states = Owner(), []
    usual = owner.thread._close_all
    owner.thread._close_all = lambda timeout: (
        states.append((owner.thread.state, owner.thread.closing)),
        usual(timeout),
    )
    owner.thread.start()
    owner.thread.stop(1.0)
    assert states == [("CLOSED", True)]


@pytest.mark.parametrize("what", ["listener", "loop", "opened", "thread"])
def test_a_start_that_fails_leaves_nothing_open_and_can_be_repeated(what, monkeypatch):
    taken = open_listener("127.0.0.1", 0)
    owner = Owner(taken.getsockname()[1] if what == "listener" else 0)

    def fail(*args: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        match what:
            case "loop":
                broken.setattr(acceptor, "EventLoop", fail)
            case "opened":
                broken.setattr(owner.thread, "_opened", fail)
            case "thread":
                broken.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError if what == "thread" else OSError):
            owner.thread.start()
    assert not owner.thread.running
    assert owner.notes == (["opened", "stopped"] if what == "thread" else [])
    taken.close()
    assert owner.thread.state == "CLOSED"
    with pytest.raises(OSError):
        dial(owner.thread.port)
    owner.thread.start()
    dial(owner.thread.port).close()
    owner.thread.stop(1.0)


def test_threads_that_start_it_at_the_same_time_open_one_port(monkeypatch):
    opened, came = [], []

    def when_all_have_come(*args: object) -> list[socket.socket]:
        wait_until(lambda: len(came) == 5)
        opened.append(open_listeners(*args))
        return opened[-1]

    def start() -> None:
        came.append(1)
        owner.thread.start()

    monkeypatch.setattr(acceptor, "open_listeners", when_all_have_come)
    owner = Owner()
    starters = [threading.Thread(target=start) for _ in range(5)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(LIMIT)
    assert len(opened) == 1
    owner.thread.stop(1.0)


@pytest.mark.parametrize("port", [-1, 65_536, 80_000])
def test_what_is_no_port_is_refused_at_once(port):
    with pytest.raises(ValueError, match="from 0 to 65535"):
        Owner(port)


def test_a_server_says_where_it_listens(two_addresses):
    owner = Owner()
    assert owner.thread.addresses == []
    owner.thread.start()
    port = owner.thread.port
    assert owner.thread.addresses == [f"[::1]:{port}", f"127.0.0.1:{port}"]
    for host in ("::1", "127.0.0.1"):
        connect(host, port)
    wait_until(lambda: len(owner.socks) == 2)
    owner.thread.stop(1.0)
    assert owner.thread.addresses == []
    for host in ("::1", "127.0.0.1"):
        with pytest.raises(OSError):
            connect(host, port)


def test_stop_before_start_and_twice_and_from_many_threads():
    owner = Owner()
    owner.thread.stop(1.0)
    owner.thread.start()
    owner.thread.start()
    stoppers = [
        threading.Thread(target=owner.thread.stop, args=[1.0]) for _ in range(5)
    ]
    for stopper in stoppers:
        stopper.start()
    for stopper in stoppers:
        stopper.join(LIMIT)
    owner.thread.stop(1.0)
    assert owner.notes == ["opened", "close all in 1 s", "stopped"]


def test_all_closed_is_heard_once():
    owner = Owner()
    owner.thread.start()
    usual = owner.thread._close_all
    owner.thread._close_all = lambda timeout: (
        usual(timeout),
        owner.thread.all_closed(),
    )
    owner.thread.stop(1.0)
    assert owner.notes.count("stopped") == 1 and not owner.thread.running


def test_what_fails_at_the_end_does_not_keep_the_thread_alive(caplog):
    owner = Owner()
    owner.thread._stopped = lambda: 1 / 0
    owner.thread.start()
    owner.thread.stop(1.0)
    assert not owner.thread.running and "ZeroDivisionError" in caplog.text


def test_a_loop_that_dies_does_not_pass_for_a_server_that_runs(monkeypatch):
    owner = Owner()
    with monkeypatch.context() as broken:
        broken.setattr(threading, "excepthook", lambda args: None)
        broken.setattr(EventLoop, "tick", lambda loop: exec("raise KeyboardInterrupt"))
        owner.thread.start()
        wait_until(lambda: not owner.thread.running)
    assert isinstance(owner.thread.failure, KeyboardInterrupt)
    assert owner.thread.addresses == []  # nobody is left to serve them
    owner.thread.start()
    assert owner.thread.failure is None
    dial(owner.thread.port).close()
    owner.thread.stop(1.0)


def test_start_while_the_last_life_hangs_is_refused(monkeypatch):
    owner, go = Owner(), threading.Event()
    usual = owner.thread._close_all
    owner.thread._close_all = lambda timeout: (go.wait(LIMIT), usual(timeout))
    owner.thread.start()
    owner.thread.stop(0.0, wait=False)
    monkeypatch.setattr(owner.thread, "_join", lambda timeout: None)  # no patience
    with pytest.raises(RuntimeError, match="not stopped yet"):
        owner.thread.start()
    go.set()
    monkeypatch.undo()
    owner.thread.start()  # waits for it
    owner.thread.stop(1.0)


def test_nobody_gets_in_before_the_owner_is_ready_and_nobody_if_it_fails() -> None:
    """The port is taken first, and opened last."""
    refused = []

    def look(thread: ServerThread) -> None:
        with socket.socket() as client:
            refused.append(client.connect_ex(("127.0.0.1", thread.port)))
        if len(refused) == 1:
            raise ValueError("a damaged file")
        if len(refused) == 3:  # somebody else was quicker
            taken.append(open_listener("127.0.0.1", thread.port, 1))

    taken: list[socket.socket] = []
    thread = ServerThread(
        "late", "127.0.0.1", 0, accepted=lambda sock, address: sock.close(),
        close_all=lambda timeout: thread.all_closed(), opened=look,
    )  # fmt: skip
    with pytest.raises(ValueError):
        thread.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", thread.port), LIMIT)
    thread.start()
    socket.create_connection(("127.0.0.1", thread.port), LIMIT).close()
    thread.stop(1.0)
    with pytest.raises(OSError) as caught:
        thread.start()
    assert caught.value.errno == errno.EADDRINUSE and not thread.running
    taken.pop().close()
    assert refused == [errno.ECONNREFUSED] * 3
