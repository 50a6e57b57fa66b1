"""Budgets that outlive connections, and whose turn it is."""

from collections import defaultdict
from collections.abc import Iterator
from unittest.mock import ANY, Mock

import pytest

from python_tcp.admission import AdmissionControl, Budgets, ask_holder
from python_tcp.chat_fanout import ChatConnection
from python_tcp.commands import Join, Login
from python_tcp.delivery import TokenBucket
from python_tcp.logins import Checked
from python_tcp.loop import EventLoop
from python_tcp.members import Delivery
from python_tcp.networks import network_of
from python_tcp.protocol import Error, JSONLines, Limits, Ping
from python_tcp.rooms import Rooms
from python_tcp.turns import PasswordWaits, Turns


class Server:
    """What a `ChatConnection` needs of a server."""

    def __init__(self, loop: EventLoop | None = None) -> None:
        self.loop = loop or EventLoop()
        self.connections = defaultdict(Mock)  # with `pause_reading`, `resume_reading`


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.loop.close()


def connect(server: Server, client: int) -> ChatConnection:
    return ChatConnection(server, client, JSONLines(), Limits())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::abcd:1", "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("no address", "no address"),
    ],
)
def test_an_address_belongs_to_a_network(host: str, network: str) -> None:
    assert network_of(host) == network


# --- budgets -----------------------------------------------------------------------------------------------------


def spent(tokens: float, now: float = 0.0) -> TokenBucket:
    bucket = TokenBucket(20, now)
    bucket.pay(20 - tokens)
    return bucket


def test_the_emptiest_bucket_is_taken_first_whenever_it_was_filled() -> None:
    budgets = Budgets(20, 5.0)
    budgets.give_back("here", early := spent(2.0, now=0.0), now=1.0)  # 7 by now
    budgets.give_back("here", late := spent(5.0, now=1.0), now=1.0)
    budgets.give_back("here", third := spent(9.0, now=1.0), now=1.0)
    taken = [budgets.take("here", now=1.5) for _ in range(3)]
    assert [id(each) for each in taken] == [id(late), id(early), id(third)]
    assert len(budgets) == 0
    assert budgets.take("here", now=1.5).tokens == 20
    assert budgets.take("elsewhere", now=1.5).tokens == 20


def test_full_buckets_are_forgotten() -> None:
    budgets = Budgets(20, 5.0)
    for number in range(100):
        budgets.give_back(f"net {number}", spent(10.0), now=0.0)
    assert len(budgets) == 100
    assert budgets.take("net 7", now=2.1).tokens == 20
    budgets.give_back("new", spent(0.0, now=2.1), now=2.1)
    assert len(budgets) == 1


class CountedBudgets(Budgets):
    looked_at = 0

    def _is_full(self, bucket: TokenBucket, now: float) -> bool:
        self.looked_at += 1
        return super()._is_full(bucket, now)


@pytest.mark.parametrize("many", [10, 1000])
def test_the_work_for_a_connection_does_not_grow_with_those_before_it(
    many: int,
) -> None:
    """Row 5 of the attacks: 900 connections that came again took a third of the loop's time."""
    budgets = CountedBudgets(20, 5.0)
    for _ in range(many):
        budgets.give_back("here", spent(1.0), now=0.0)
    budgets.looked_at = 0
    for _ in range(100):
        budgets.give_back("here", budgets.take("here", now=0.1), now=0.1)
    assert budgets.looked_at <= 500


# --- turns -------------------------------------------------------------------------------------------------------


def test_a_connection_is_loud_after_a_bad_line_or_a_refusal(server: Server) -> None:
    connection = connect(server, 1)
    assert not connection.loud
    connection.count(is_bad=True)
    assert connection.loud
    connection.count(is_bad=False)
    assert not connection.loud
    bucket = TokenBucket(20, 0.0)
    connection.pay_from(bucket)
    while not bucket.wait(20, 5.0, 0.0):
        pass
    assert connection.loud
    assert not bucket.wait(20, 5.0, 10.0)
    assert not connection.loud
    connection.close()


def test_a_connection_has_no_bucket_but_the_one_that_admission_gives_it(
    server: Server,
) -> None:
    connection = connect(server, 1)
    assert connection.bucket is None and not connection.loud
    connection.close()


def test_who_is_quiet_goes_before_a_crowd_that_is_loud(server: Server) -> None:
    """Row 5 of the attacks: each of 300 had a millisecond of each tick."""
    order = []
    turns = Turns(server.loop, lambda each, commands: order.append(each.client))
    turns.SECONDS = turns.LOUD = 60.0
    for client in range(1, 5):
        connection = connect(server, client)
        if client < 4:
            connection.count(is_bad=True)
        turns.put_off(connection, [])
    assert server.connections[4].pause_reading.called
    server.loop.tick()
    assert order == [4, 1, 2, 3]
    assert server.connections[1].resume_reading.called


def test_each_tick_has_its_time_and_at_least_one_turn(server: Server) -> None:
    order = []

    def handle(connection: ChatConnection, commands: object) -> None:
        order.append(connection.client)
        while not turns.are_over():
            pass

    turns = Turns(server.loop, handle)
    for client in range(3):
        turns.put_off(connect(server, client), [])
    for count in (1, 2, 3):
        server.loop.tick()
        assert order == list(range(count))


def test_who_comes_later_does_not_overtake_who_was_put_off(server: Server) -> None:
    """A join over a new connection was carried out before that of the lost one."""
    turns = Turns(server.loop, lambda each, commands: None)
    turns.SECONDS = 60.0
    assert not turns.are_over()
    turns.put_off(connect(server, 1), [])
    assert turns.are_over()
    server.loop.tick()
    assert not turns.are_over()


def test_a_turn_that_fails_takes_no_other_ones(server: Server) -> None:
    order = []

    def handle(connection: ChatConnection, commands: object) -> None:
        order.append(connection.client)
        assert connection.client > 1

    turns = Turns(server.loop, handle)
    turns.SECONDS = 60.0
    for client in (1, 2):
        turns.put_off(connect(server, client), [])
    server.loop.tick()
    server.loop.tick()
    assert order == [1, 2] and not turns.are_over()


def test_who_has_gone_meanwhile_has_no_turn(server: Server) -> None:
    order = []
    turns = Turns(server.loop, lambda each, commands: order.append(each.client))
    for client in (1, 2):
        turns.put_off(connection := connect(server, client), [])
    connection.close()
    server.loop.tick()
    assert order == [1]


def test_after_their_time_the_loud_wait_and_the_quiet_do_not() -> None:
    """The thread that commits needs the interpreter. While thousands of guesses were
    refused in one tick after the other, it waited for it at each of its steps.
    """
    order, now = [], [0.0]
    server = Server(EventLoop(lambda: now[0]))
    turns = Turns(server.loop, lambda each, commands: order.append(each.client))
    turns.LOUD, turns.REST, turns.SECONDS = 0.0, 1.0, 60.0
    for client in (1, 2):
        (connection := connect(server, client)).count(is_bad=True)
        turns.put_off(connection, [])
    for _ in range(5):
        now[0] += 0.1
        server.loop.tick(0)
    assert order == [1], "each turn is longer than no time"
    assert not turns.are_over(), "a long answer does not wait for them"
    turns.put_off(connect(server, 3), [])
    server.loop.tick(0)
    assert order == [1, 3]
    now[0] = 1.2
    for _ in range(2):  # the rest ends, and their turn begins
        server.loop.tick(0)
    assert order == [1, 3, 2]
    server.loop.close()


def test_the_loud_do_not_wait_before_their_time_is_over() -> None:
    """100 MB without a newline took longer than one may stay without a name."""
    order = []
    server = Server(EventLoop(lambda: 0.0))
    turns = Turns(server.loop, lambda each, commands: order.append(each.client))
    turns.LOUD = 60.0
    (connection := connect(server, 1)).count(is_bad=True)
    for _ in range(3):
        turns.put_off(connection, [])
        server.loop.tick(0)
    assert order == [1, 1, 1]
    server.loop.close()


@pytest.mark.parametrize("is_wrong", [True, False])
def test_what_follows_a_wrong_password_comes_with_the_loud(
    server: Server, is_wrong: bool
) -> None:
    turns, told = Mock(), []
    logins = Mock(check=lambda *asked: told.append(asked[-1]))
    waits = PasswordWaits(logins, turns, lambda: 0.0, Mock())
    connection, guess = connect(server, 1), Login("ann", "wrong-Guess-1")
    assert not waits.is_refused(connection, guess, [Ping()]) and not turns.mock_calls
    wrong: Checked = [Delivery((1,), Error("bad_login", "no"))]
    told[0](wrong if is_wrong else guess)
    turns.put_off.assert_called_once_with(connection, ANY, is_wrong)
    connection.close()


def test_whose_connection_has_ended_a_moment_ago_gives_the_name_back_soon(
    server: Server,
) -> None:
    """In a cluster, all copies hear of that end from the log: until then the rules don't know it."""
    rooms, join, limits = Rooms(), Join("ann"), Limits()
    rooms.handle(1, join, 0.0, "a-token-of-16-letters")
    refused = rooms.handle(2, join, 0.0, "one-more-such-token-")
    admission = AdmissionControl(server, limits)  # type: ignore[arg-type]
    [told] = ask_holder(refused, join, rooms, admission)
    assert told.event.code == "name_taken" and 0 < told.event.retry_after <= 0.1
