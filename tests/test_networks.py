"""Limits by address and network: what is counted, what is named, and a server that goes by it."""

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from authority import ca_file, server_file
from helpers import LineClient, Listener, Program
from waiting import LIMIT, wait_until

from python_tcp.admission import AddressGate
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import Disconnected, Reconnected
from python_tcp.delivery import TokenBucket
from python_tcp.handshakes import ServerTLS
from python_tcp.networks import AddressLimits, NetworkList, Rates
from python_tcp.networks import address_and_network, as_address
from python_tcp.protocol import Limits
from python_tcp.security import client_context

EVE, ANN, BOB = "127.0.1.1", "127.0.2.2", "127.0.2.3"
FAST = {"connect_rate": 1e6, "join_rate": 1e6}  # for tests of the numbers


class From(LineClient):
    """A plain client that connects from an address of its choice. On Linux, 127/8 are all ours."""

    def __init__(self, port: int, source: str, limit: float = LIMIT) -> None:
        self.sock = socket.create_connection(
            ("127.0.0.1", port), timeout=limit, source_address=(source, 0)
        )
        self._file = self.sock.makefile("rb")


def answer(port: int, source: str, name: str) -> str:
    """What a newcomer hears who joins: the type, or the code."""
    with From(port, source) as client:
        client.say("join", username=name)
        event = client.read()
        return event.get("code", event["type"])


@pytest.fixture
def crowd() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# --- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address", "network"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("192.0.3.7", "192.0.3.7", "192.0.3.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:0:1::7", "2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("", "", "/"),
    ],
)
def test_an_address_and_its_network(host: str, address: str, network: str) -> None:
    assert address_and_network(host) == (address, network)


@pytest.mark.parametrize("text", ["", "ann", "1.2.3", "010.0.0.1", "1.2.3.4/32"])
def test_a_text_that_is_no_address(text: str) -> None:
    assert as_address(text) is None


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.9", "192.0.2.9", "192.0.2.8"),
        ("::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"),
        ("::ffff:192.0.2.9", "192.0.2.9", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
        ("0.0.0.0/0", "1.2.3.4", "::1"),
        ("::/0", "::1", "1.2.3.4"),
        ("fe80::/10", "fe80::1%eth0", "ann"),
    ],
)
def test_a_named_network_has_its_addresses_however_they_are_written(
    text: str, inside: str, outside: str
) -> None:
    networks = NetworkList([text])
    assert inside in networks and outside not in networks and len(networks) == 1
    if as_address(inside).version == 4:
        assert f"::ffff:{inside}" in networks


@pytest.mark.parametrize(
    "text",
    ["", "ann", "192.0.2.0/33", "192.0.2.5/24", "192.0.2.0/255.255.255.1", "1.2.3.4/",
     "::/129", "2001:db8::1/64", "192.0.2.0/-1", "10.0.0.0/8/8", "x" * 5000, "\n"],
)  # fmt: skip
def test_a_mistake_in_a_network_is_one_line_that_names_it(text: str) -> None:
    with pytest.raises(ValueError) as failure:
        NetworkList(["10.0.0.0/8", text])
    said = str(failure.value)
    assert "\n" not in said and len(said) < 200 and repr(text)[1:20] in said


def test_nobody_is_in_no_networks() -> None:
    assert "127.0.0.1" not in NetworkList() and not NetworkList()


# --- rates -------------------------------------------------------------------------------------------------------


def test_each_key_has_a_bucket_of_its_own() -> None:
    rates = Rates()
    assert [rates.wait("eve", 2, 1.0, 0.0) for n in range(3)] == [0.0, 0.0, 1.0]
    assert rates.wait("ann", 2, 1.0, 0.0) == 0.0
    assert rates.wait("eve", 2, 1.0, 1.0) == 0.0


def test_rates_forget_what_is_full_and_never_keep_more_than_the_most() -> None:
    rates = Rates()
    rates.MOST = 50
    for number in range(1000):
        rates.wait(f"address {number}", 2, 1.0, 0.0)
        assert len(rates) <= 50
    rates.wait("late", 2, 1.0, 10.0)
    assert len(rates) == 1


def test_the_work_of_a_rate_does_not_grow_with_the_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = []
    real = TokenBucket.wait
    rates = Rates()
    for number in range(9000):
        rates.wait(f"address {number}", 2, 1.0, 0.0)
    monkeypatch.setattr(
        TokenBucket, "wait", lambda self, *args: looked.append(1) or real(self, *args)
    )
    for number in range(100):
        rates.wait("eve", 2, 1.0, 0.1)
    assert len(looked) == 100


def test_a_rate_may_be_next_to_nothing() -> None:
    """It was an OverflowError, which cost the connection."""
    rates = Rates()
    assert rates.wait("eve", 1, 5e-324, 0.0) == 0.0
    assert rates.wait("eve", 1, 5e-324, 0.0) == 1e9


# --- limits, without a network -----------------------------------------------------------------------------------


def test_what_is_entered_and_left_is_counted_for_the_address_and_its_network() -> None:
    limits = Limits(connections_per_address=2, connections_per_network=3)
    shares = AddressLimits(limits, NetworkList())
    for host in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        assert not shares.is_full(host)
        shares.enter(host)
    assert shares.is_full("192.0.2.1") and shares.is_full("192.0.2.99")
    assert not shares.is_full("192.0.3.1")
    shares.leave("192.0.2.2")
    assert shares.is_full("192.0.2.1") and not shares.is_full("192.0.2.99")
    shares.leave("::ffff:192.0.2.1"), shares.leave("192.0.2.1")
    assert not shares._sizes, "nothing is kept of who has gone"


def test_addresses_of_ipv6_count_together_by_64_bits() -> None:
    limits = Limits(connections_per_address=2, connections_per_network=3)
    shares = AddressLimits(limits, NetworkList())
    for number in range(3):
        shares.enter(f"2001:db8::{number}")
    assert shares.is_full("2001:db8::ffff") and not shares.is_full("2001:db8:0:1::")


def test_an_address_does_not_use_up_the_rate_of_its_neighbours() -> None:
    shares = AddressLimits(Limits(), NetworkList())
    assert [shares.arrive(EVE, 0.0) for n in range(5000)].count(0.0) == 100
    assert [shares.arrive("127.0.1.2", 0.0) for n in range(100)].count(0.0) == 100


def test_a_network_has_a_rate_in_proportion() -> None:
    limits = Limits(connections_per_address=2, connections_per_network=6)
    shares = AddressLimits(limits, NetworkList())
    hosts = [f"192.0.2.{number}" for number in range(100)]
    assert [shares.arrive(host, 0.0) for host in hosts].count(0.0) == 6
    assert [shares.arrive(host, 1.0) for host in hosts].count(0.0) == 6  # at most
    assert [shares.arrive(host, 1.1) for host in hosts].count(0.0) == 3  # 30 a second


@pytest.mark.parametrize("free", [{"connections_per_address": 0}, {"trusted": [EVE]}])
def test_without_a_limit_or_with_a_name_everything_goes(free: dict) -> None:
    trusted = NetworkList(free.pop("trusted", []))
    shares = AddressLimits(Limits(**free), trusted)
    for number in range(500):
        assert shares.arrive(EVE, 0.0) == shares.join(EVE, 0.0) == 0.0
        assert not shares.is_full(EVE)
        shares.enter(EVE)


def test_limits_that_change_while_somebody_is_there_are_counted_right() -> None:
    limits = Limits(connections_per_address=0)
    shares = AddressLimits(limits, NetworkList())
    shares.enter(EVE), shares.enter(EVE)
    limits.take_over(Limits(connections_per_address=2))
    assert shares.is_full(EVE)
    shares.leave(EVE)
    assert not shares.is_full(EVE)


# --- the gate before TLS -----------------------------------------------------------------------------------------


class Loop:
    now = 0.0


class Sock:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_the_gate_counts_from_accept_to_the_end_and_closes_without_a_word() -> None:
    passed, dropped = [], []
    limits = Limits(connections_per_address=4, connect_rate=1e6)
    gate = AddressGate(limits, NetworkList())
    loop = Loop()
    entrance = gate.open(
        loop, lambda *args: passed.append(args), lambda *args: dropped.append(args)
    )
    socks = [Sock() for _ in range(8)]
    for port, sock in enumerate(socks):
        loop.now += 1.0
        entrance.accepted(sock, (EVE, port))
    assert len(passed) == 5, "a quarter more than the limit"
    assert [sock.closed for sock in socks] == [False] * 5 + [True] * 3
    assert dropped[0] == ((EVE, 5), "too_many_connections") and len(entrance) == 0
    gate.left((EVE, 7), "it was never in"), gate.left((ANN, 1))
    entrance.accepted(Sock(), (EVE, 9))
    assert len(passed) == 5
    gate.left((EVE, 0), "the handshake took too long")
    entrance.accepted(Sock(), (EVE, 10))
    assert len(passed) == 6
    assert not entrance.give_way()


# --- a server, over real sockets ---------------------------------------------------------------------------------


def test_connections_per_address(crowd: ExitStack) -> None:
    limits = Limits(connections_per_address=3, **FAST)
    with ChatServer(limits=limits) as server:
        for number in range(3):
            crowd.enter_context(From(server.port, EVE)).join(f"eve{number}")
        with From(server.port, EVE) as more:
            last = more.read_all()
        assert [(each["code"], each["retry_after"]) for each in last] == [
            ("too_many_connections", 10.0)
        ]
        assert last[0]["reconnect"] is True
        assert answer(server.port, ANN, "ann") == "welcome"
        crowd.close()
        wait_until(lambda: server.connections == 0)
        assert answer(server.port, EVE, "eve9") == "welcome"


def test_connections_per_network(crowd: ExitStack) -> None:
    limits = Limits(connections_per_network=3, **FAST)
    with ChatServer(limits=limits) as server:
        for number in range(3):
            source = f"127.0.1.{number + 1}"
            crowd.enter_context(From(server.port, source)).join(f"eve{number}")
        assert answer(server.port, "127.0.1.9", "eve9") == "too_many_connections"
        assert answer(server.port, ANN, "ann") == "welcome"


def test_connect_rate() -> None:
    limits = Limits(connections_per_address=2, connect_rate=1.0)
    with ChatServer(limits=limits) as server:
        server.engine.loop._clock = lambda: clock[0]
        clock = [server.engine.loop.now]
        heard = [answer(server.port, EVE, f"eve{n}") for n in range(3)]
        assert heard == ["welcome", "welcome", "too_many_connections"]
        assert answer(server.port, ANN, "ann") == "welcome"
        clock[0] += 1.0
        assert answer(server.port, EVE, "eve3") == "welcome"
        assert answer(server.port, EVE, "eve4") == "too_many_connections"


def test_join_rate() -> None:
    limits = Limits(connections_per_address=2, connect_rate=1e6, join_rate=0.25)
    with ChatServer(limits=limits) as server:
        for number in range(2):
            assert answer(server.port, EVE, f"eve{number}") == "welcome"
        with From(server.port, EVE) as more:
            more.say("join", username="eve2", id=7)
            error = more.read()
            assert (error["code"], error["id"]) == ("rate_limited", 7)
            assert 0 < error["retry_after"] <= 4.0 and "people" in error["content"]
        assert answer(server.port, ANN, "ann") == "welcome"


def test_further_rooms_are_no_joins_of_people(crowd: ExitStack) -> None:
    limits = Limits(connections_per_address=1, join_rate=1e-3)
    with ChatServer(limits=limits) as server:
        ann = crowd.enter_context(From(server.port, ANN)).join("ann")
        for room in ("attic", "cellar", "garden"):
            ann.say("join", username="ann", room=room)
            assert ann.read_until("welcome")["room"] == room


def test_without_flood_control_joins_still_have_a_rate() -> None:
    limits = Limits(
        connections_per_address=1, connect_rate=1e6, join_rate=1e-3, flood_burst=0
    )
    with ChatServer(limits=limits) as server:
        assert answer(server.port, EVE, "eve") == "welcome"
        assert answer(server.port, EVE, "eve2") == "rate_limited"


def test_a_named_network_has_no_limits(crowd: ExitStack) -> None:
    limits = Limits(connections_per_address=1, connect_rate=1e-3, join_rate=1e-3)
    with ChatServer(limits=limits, trusted_networks=["127.0.2.0/24"]) as server:
        for number in range(20):
            crowd.enter_context(From(server.port, ANN)).join(f"ann{number}")
        assert answer(server.port, EVE, "eve") == "welcome"
        assert answer(server.port, EVE, "eve2") == "too_many_connections"


def test_a_network_that_is_none_is_said_when_the_server_is_made() -> None:
    for option in ("trusted_networks", "proxies"):
        with pytest.raises(ValueError, match=r"'10\.0\.0\.1/8' has bits"):
            ChatServer(**{option: ["10.0.0.1/8"]})


def test_a_class_of_forty_behind_one_address_comes_in_twice(crowd: ExitStack) -> None:
    """With the limits as they are by default."""
    with ChatServer() as server:
        for lesson in range(2):
            for number in range(40):
                pupil = crowd.enter_context(From(server.port, ANN))
                pupil.say("join", username=f"pupil{number}-{lesson}")
                assert pupil.read()["type"] == "welcome"
            assert len(server.users) == 40
            crowd.close()
            wait_until(lambda: not server.users)


def test_loopback_is_an_address_like_others(crowd: ExitStack) -> None:
    limits = Limits(connections_per_address=1, **FAST)
    with ChatServer(limits=limits) as server:
        crowd.enter_context(LineClient(server.port)).join("ann")
        with LineClient(server.port) as more:
            assert more.read()["code"] == "too_many_connections"


def test_who_has_not_joined_makes_room_for_the_same_address(crowd: ExitStack) -> None:
    limits = Limits(connections_per_address=3, **FAST)
    with ChatServer(limits=limits) as server:
        silent = [crowd.enter_context(From(server.port, EVE)) for _ in range(2)]
        for each in silent:
            each.say("ping")
            each.read_until("pong")
        crowd.enter_context(From(server.port, EVE)).join("joined")
        assert answer(server.port, EVE, "colleague") == "welcome"
        assert silent[0].read()["code"] == "too_many_connections"
        silent[1].say("ping")
        assert silent[1].read()["type"] == "pong", "the younger one stays"


def test_a_connection_that_has_not_joined_gives_way_to_its_own_address_only(
    crowd: ExitStack,
) -> None:
    limits = Limits(connections_per_network=2, **FAST)
    with ChatServer(limits=limits) as server:
        for source in ("127.0.1.1", "127.0.1.2"):
            silent = crowd.enter_context(From(server.port, source))
            silent.say("ping")
            silent.read()
        assert answer(server.port, "127.0.1.3", "eve") == "too_many_connections"


def test_the_network_of_a_refused_one_is_not_charged(crowd: ExitStack) -> None:
    """A server that is full counts nobody whom it turns away."""
    with ChatServer(limits=Limits(connections=1, **FAST)) as server:
        crowd.enter_context(From(server.port, ANN)).join("ann")
        for number in range(150):
            assert answer(server.port, EVE, "eve") == "server_full"
        assert set(server._admission._by_address._sizes) == {ANN, "127.0.2.0/24"}


def test_our_client_comes_back_and_not_before_it_may(
    monkeypatch: pytest.MonkeyPatch, crowd: ExitStack
) -> None:
    from python_tcp import events

    content, _ = events._GOODBYES["too_many_connections"]
    monkeypatch.setitem(events._GOODBYES, "too_many_connections", (content, 0.4))
    limits = Limits(connections_per_address=2, **FAST)
    with ChatServer(limits=limits) as server:
        other = crowd.enter_context(LineClient(server.port)).join("other")
        client = crowd.enter_context(Listener("ann"))
        assert client.connect("127.0.0.1", server.port) and client.join()

        def lose() -> None:
            server.limits.take_over(Limits(connections_per_address=1, **FAST))
            server.engine.connections[server.connection_of("ann")[0]].abort("cut")

        server.engine.loop.call_threadsafe(lose)
        wait_until(lambda: [each for each in lost(client) if each.reason == content])
        pauses = [each.retry_in for each in lost(client) if each.reason == content]
        assert min(pauses) >= 0.4, "not before the server said"
        other.close()
        wait_until(lambda: Reconnected() in client.events)


def lost(client: Listener) -> list[Disconnected]:
    return [each for each in client.events if isinstance(each, Disconnected)]


@pytest.mark.slow
def test_the_command_goes_by_the_limits_and_the_names_of_its_configuration(
    tmp_path: Path, crowd: ExitStack
) -> None:
    (file := tmp_path / "chat.toml").write_text(
        'port = 0\ntrusted_networks = ["127.0.2.0/24"]\n'
        "[limits]\nconnections_per_address = 1\nconnect_rate = 1000\njoin_rate = 1000\n"
    )
    with Program("start_server", "--config", file) as program:
        wait_until(lambda: program.lines)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        for number in range(3):
            crowd.enter_context(From(port, ANN)).join(f"ann{number}")
        crowd.enter_context(From(port, EVE)).join("eve")
        assert answer(port, EVE, "eve2") == "too_many_connections"
        line = f"lost {EVE}: too_many_connections"
        wait_until(lambda: any(line in each for each in program.lines))


def test_handshakes_under_way_count_and_keep_nobody_else_out(
    crowd: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """A quarter more than the limit may begin one. The rest is closed without a word."""
    caplog.set_level(logging.INFO)
    limits = Limits(connections_per_address=8, **FAST)
    tls = ServerTLS(server_file())
    with ChatServer(limits=limits, tls=tls) as server:
        for _ in range(30):
            crowd.enter_context(From(server.port, EVE))
        wait_until(lambda: len(refused(caplog)) == 20)
        assert len(server.engine._clients._layers) == 10, "in their handshake"
        assert {each.fields["address"] for each in refused(caplog)} == {EVE}
        ann = LineClient(server.port, tls=client_context(ca_file()))
        crowd.enter_context(ann).join("ann")  # from 127.0.0.1
        assert server.connections == 1
        crowd.close()
        wait_until(lambda: not server._admission._gate._inside)
    assert not server._admission._gate._by_address._sizes


def refused(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.getMessage().startswith("refused")]


def test_whoever_passes_the_gate_and_is_too_many_hears_why_over_tls(
    crowd: ExitStack,
) -> None:
    limits = Limits(connections_per_address=4, **FAST)
    tls, context = ServerTLS(server_file()), client_context(ca_file())
    with ChatServer(limits=limits, tls=tls) as server:
        for number in range(4):
            one = LineClient(server.port, tls=context)
            crowd.enter_context(one).join(f"ann{number}")
        with LineClient(server.port, tls=context) as more:
            assert more.read()["code"] == "too_many_connections"
