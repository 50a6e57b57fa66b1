"""Passwords on the wire: hashed beside the loop, never overtaken, never shown, and hard to guess."""

import io
import itertools
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import LineClient, Program
from screen import Terminal
from waiting import ENDINGS, LIMIT, Barrier, wait_until

from python_tcp import account_tool, chat_rules, logins
from python_tcp.account_file import read_accounts
from python_tcp.chat_server import ChatServer
from python_tcp.commands import ChangePassword, DeleteAccount, Join, Lock, Login
from python_tcp.commands import Register
from python_tcp.networks import NetworkList
from python_tcp.passwords import HashParameters, HashPool, PasswordHasher
from python_tcp.protocol import Limits
from python_tcp.secret import Secret
from python_tcp.turns import CommandHandler, Turns

CHEAP = HashParameters(time_cost=1, memory_cost=32, parallelism=1)
FREE = Limits(flood_burst=0, connections_per_address=0)
RIGHT = "blue-Kettle-9"
NUMBERS = itertools.count()
linux = pytest.mark.skipif(
    sys.platform != "linux", reason="needs /proc, or 127.0.0.0/8"
)


class Guest(LineClient):
    """From an address of our choice."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection(
            ("127.0.0.1", port), timeout=LIMIT, source_address=(host, 0)
        )
        self._file = self.sock.makefile("rb")

    def ask(self, type: str, **fields: object) -> dict:
        """The answer to a command."""
        id = f"asked {next(NUMBERS)}"
        self.say(type, **fields, id=id)
        while (event := self.read()).get("id") != id:
            pass
        return {name: value for name, value in event.items() if name != "id"}

    def log_in(self, name: str, password: str = RIGHT) -> dict:
        return self.ask("login", username=name, password=password)

    def register(self, name: str, password: str = RIGHT) -> "Guest":
        answer = self.ask("register", username=name, password=password)
        assert answer["type"] == "account", answer
        return self


@contextmanager
def serving(limits: Limits = FREE, **options: object) -> Iterator[ChatServer]:
    with ChatServer(limits=limits, **{"costs": CHEAP, **options}) as server:
        yield server


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving() as server:
        yield server


@pytest.fixture
def ann(server: ChatServer) -> Iterator[Guest]:
    """Has an account, and is logged in."""
    with Guest(server.port) as ann:
        yield ann.register("ann")


@pytest.fixture
def guest(server: ChatServer) -> Iterator[Guest]:
    with Guest(server.port) as guest:
        yield guest


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Barrier]:
    """Before each password is checked."""
    slow = Barrier()
    monkeypatch.setattr(PasswordHasher, "verify", slow.before(PasswordHasher.verify))
    yield slow
    slow.go_on()


# --- in and out -----------------------------------------------------------------------------


def test_an_account_is_made_and_used_from_elsewhere(
    server: ChatServer, ann: Guest, guest: Guest
) -> None:
    assert guest.log_in("Ann") == {
        "type": "account", "username": "ann", "change": "logged_in"
    }  # fmt: skip
    guest.say("join", username="ann")
    assert guest.read_until("welcome")["account"] == "ann"


@pytest.mark.parametrize("name", ["ann", "ANN", "zoe"])
def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
    ann: Guest, guest: Guest, name: str
) -> None:
    wrong = "the name or the password is wrong"
    assert guest.log_in(name, RIGHT + "x") == {
        "type": "error", "code": "bad_login", "content": wrong
    }  # fmt: skip


def test_a_password_is_changed_and_the_old_one_is_of_no_use(
    ann: Guest, guest: Guest
) -> None:
    new = "green-Kettle-9"
    assert ann.ask("password", old="wrong-Kettle-9", new=new)["code"] == "bad_login"
    assert ann.ask("password", old=RIGHT, new=new)["change"] == "password_changed"
    assert guest.log_in("ann")["code"] == "bad_login"
    assert guest.log_in("ann", new)["change"] == "logged_in"


def test_an_account_is_deleted_with_its_password_only(ann: Guest, guest: Guest) -> None:
    assert ann.ask("delete_account", password="wrong-Kettle-9")["code"] == "bad_login"
    assert ann.ask("delete_account", password=RIGHT)["change"] == "deleted"
    assert guest.log_in("ann")["code"] == "bad_login"


@pytest.mark.parametrize(
    "command, fields",
    [
        ("password", {"old": RIGHT, "new": "green-Kettle-9"}),
        ("delete_account", {"password": RIGHT}),
    ],
)
def test_whoever_has_not_logged_in_is_told_so_and_nothing_is_hashed(
    guest: Guest, slow: Barrier, command: str, fields: dict
) -> None:
    slow.slow_down()
    assert guest.ask(command, **fields)["code"] == "not_logged_in"


@pytest.mark.parametrize("password", ["Trustno1", "Sunshine", "aaaaaaaa", "zoe-zoe-1"])
def test_what_everybody_guesses_is_no_password(guest: Guest, password: str) -> None:
    answer = guest.ask("register", username="zoe", password=password)
    assert (answer["type"], answer["code"]) == ("error", "weak_password")
    assert password not in answer["content"]


def test_a_name_that_is_registered_is_refused_before_anything_is_hashed(
    ann: Guest, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(PasswordHasher, "hash")
    answer = guest.ask("register", username="ANN", password=RIGHT)
    assert answer["code"] == "name_registered"


def test_without_argon2_there_are_no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(costs: HashParameters) -> None:
        raise ImportError

    monkeypatch.setattr(chat_rules, "PasswordHasher", missing)
    with serving() as server, Guest(server.port) as guest:
        assert guest.log_in("ann")["code"] == "no_accounts"
        assert guest.join("ann")


@pytest.mark.parametrize(
    "host, code", [("203.0.113.5", "insecure"), ("127.0.0.9", "bad_login")]
)
def test_a_password_in_clear_text_comes_from_this_machine_only(
    host: str, code: str
) -> None:
    """The address is the one that a trusted proxy has seen."""
    with serving(proxies=["127.0.0.1"]) as server, LineClient(server.port) as guest:
        guest.send(f"PROXY TCP4 {host} 192.0.2.1 5 6\r\n".encode())
        guest.say("login", username="zoe", password=RIGHT)
        assert guest.read()["code"] == code
        if code == "insecure":
            guest.say("register", username="zoe", password=RIGHT)
            assert guest.read()["code"] == code
            guest.say("join", username="zoe", password=RIGHT)
            assert guest.read()["code"] == code
        guest.join("zoe")


@pytest.mark.parametrize(
    "tls_proxies, code",
    [(["127.0.0.1"], "bad_login"), (["127.0.0.0/8"], "bad_login"), ([], "insecure"), (["192.0.2.1"], "insecure")],
)  # fmt: skip
def test_a_proxy_may_be_said_to_take_tls(tls_proxies: list[str], code: str) -> None:
    """Then a password through it has come through TLS; and a client's word is not enough."""
    options = {"proxies": ["127.0.0.1"], "tls_proxies": tls_proxies}
    with serving(**options) as server, LineClient(server.port) as guest:
        guest.send(b"PROXY TCP4 203.0.113.5 192.0.2.1 5 6\r\n")
        guest.say("login", username="zoe", password=RIGHT)
        assert guest.read()["code"] == code


@pytest.mark.parametrize(
    "host, peer, private",
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::ffff:127.0.0.1", True),
        ("192.0.2.7", "127.0.0.1", False),
        ("127.0.0.9", "198.51.100.9", False),  # on the machine of a proxy elsewhere
        ("127.0.0.1", "", False),  # it has gone
        ("192.0.2.7", "203.0.113.1", True),
    ],
)
def test_both_halves_of_the_way_must_be_private(
    host: str, peer: str, private: bool
) -> None:
    vouched = NetworkList(["203.0.113.1"])
    assert chat_rules._is_private(host, peer, vouched) is private


def test_a_locked_room_is_entered_with_its_password(
    server: ChatServer, ann: Guest, guest: Guest
) -> None:
    ann.say("join", username="ann", room="club")
    ann.read_until("welcome")
    assert ann.ask("register_room", room="club")["type"] == "ok"
    assert ann.ask("lock", room="club", password="mint-Kettle-9")["type"] == "ok"
    for password in (None, "wrong-Kettle-9", "short"):
        answer = guest.ask("join", username="bob", room="club", password=password)
        assert answer["code"] == "locked", password
    guest.say("join", username="bob", room="club", password="mint-Kettle-9")
    assert guest.read_until("welcome")["room"] == "club"


def test_the_hash_itself_opens_nothing(server: ChatServer, ann: Guest) -> None:
    """The rules compare hashes: no hash may come from outside."""
    hash = server._rules.accounts.find("ann").hash
    for host in ("127.0.0.1", "127.0.0.2"):
        with Guest(server.port, host) as eve:
            assert eve.log_in("ann", hash)["code"] == "bad_login"
    with Guest(server.port) as eve:
        eve.send(b'{"type":"login","username":"ann","password":""}\n')
        assert eve.read()["code"] == "bad_message"


# --- in order ---------------------------------------------------------------------------------


def test_what_follows_in_the_same_bytes_waits_for_its_turn(
    server: ChatServer, ann: Guest, guest: Guest, slow: Barrier
) -> None:
    slow.slow_down()
    commands = [
        {"type": "login", "username": "ann", "password": RIGHT},
        {"type": "join", "username": "ann"},
        {"type": "message", "content": "one", "id": 1},
        {"type": "login", "username": "ann", "password": RIGHT},
        {"type": "message", "content": "two", "id": 2},
    ]
    guest.send("".join(json.dumps(each) + "\n" for each in commands).encode())
    assert slow.entered.wait(LIMIT)
    with LineClient(server.port).join("bob") as bob:  # others go on meanwhile
        bob.say("message", content="hello", id=1)
        bob.read_until("ok")
    slow.go_on()
    told = [guest.read()["type"] for _ in range(5)]
    assert told == ["account", "welcome", "users", "message", "ok"]
    rest = [guest.read() for _ in range(3)]
    assert [each["type"] for each in rest] == ["error", "message", "ok"]
    assert rest[0]["code"] == "already_joined"


def test_whoever_hangs_up_while_the_password_is_checked_leaves_nothing_behind(
    server: ChatServer, ann: Guest, slow: Barrier
) -> None:
    slow.slow_down()
    for leave in (LineClient.close, LineClient.reset, LineClient.finish):
        guest = Guest(server.port)
        guest.say("login", username="ann", password=RIGHT)
        wait_until(lambda: server.connections > 1)
        leave(guest)
    slow.go_on()
    ann.say("ping", id=1)
    ann.read_until("pong")
    wait_until(lambda: server.connections in (1, 2))


def test_an_account_that_is_gone_meanwhile_is_not_logged_in_to(
    server: ChatServer, ann: Guest, guest: Guest, slow: Barrier
) -> None:
    guest_threads = slow
    guest_threads.slow_down()
    guest.say("login", username="ann", password=RIGHT, id=1)
    assert slow.entered.wait(LIMIT)
    rules = server._rules.accounts
    hash = PasswordHasher(CHEAP).hash(Secret("another-Kettle-9"))
    done = []
    server.engine.loop.call_threadsafe(lambda: done.append(rules.rehash("ann", hash)))
    wait_until(lambda: done)
    slow.go_on()
    assert guest.read_until("error", id=1)["code"] == "bad_login"


@pytest.mark.slow(seconds=3)
def test_a_full_queue_says_busy_and_when_to_come_again(
    server: ChatServer, ann: Guest, slow: Barrier
) -> None:
    slow.slow_down()
    with ExitStack() as stack:
        guests = [
            stack.enter_context(Guest(server.port, f"127.0.{n}.1")) for n in range(40)
        ]
        for number, each in enumerate(guests):
            each.say("login", username=f"name{number}", password=RIGHT)
            assert slow.entered.wait(LIMIT)  # the first one is looked at
        busy: list[Guest] = []

        def told() -> int:
            busy.extend(each for each in guests if each not in busy and told_busy(each))
            return len(busy)

        wait_until(lambda: told() >= 6)
        assert told() in (6, 7)  # of 40, 32 wait and one or two are looked at
        slow.go_on()
        for each in guests:
            if each not in busy:
                assert each.read()["code"] == "bad_login"


def told_busy(guest: Guest) -> bool:
    """Has it been told that, or is it still waiting?"""
    guest.sock.settimeout(0.05)
    try:
        event = json.loads(guest.sock.recv(65_536))
    except TimeoutError:
        return False
    finally:
        guest.sock.settimeout(LIMIT)
    assert event["code"] == "busy" and event["retry_after"] > 0
    return True


def test_the_loop_does_not_wait_for_a_hash(
    server: ChatServer, ann: Guest, guest: Guest, slow: Barrier
) -> None:
    slow.slow_down()
    guest.say("login", username="ann", password=RIGHT)
    assert slow.entered.wait(LIMIT)
    for number in range(100):
        ann.say("ping", id=number)
        assert ann.read_until("pong")["id"] == number
    slow.go_on()
    assert guest.read()["change"] == "logged_in"
    assert all(name.startswith("HashPool") for name in slow.threads)


def test_whoever_does_not_join_in_time_is_closed_also_while_logging_in(
    slow: Barrier,
) -> None:
    with serving(Limits(join_timeout=0.3)) as server, Guest(server.port) as guest:
        slow.slow_down()
        guest.say("login", username="ann", password=RIGHT)
        assert guest.read_until("goodbye")["code"] == "idle"
        slow.go_on()


# --- the parameters -----------------------------------------------------------------------------


def test_a_hash_is_made_anew_at_the_login_after_the_parameters_were_raised(
    tmp_path: Path,
) -> None:
    file, more = tmp_path / "chat.db", CHEAP._replace(time_cost=2)
    with serving(data=file) as server, Guest(server.port) as ann:
        ann.register("ann")
    [before] = read_accounts(file)
    with serving(data=file, costs=more) as server:
        with Guest(server.port) as ann:
            assert ann.log_in("ann", RIGHT + "x")["code"] == "bad_login"
        assert read_accounts(file)[0].hash == before.hash, "not for a wrong one"
        with Guest(server.port) as ann:
            assert ann.log_in("ann")["change"] == "logged_in"
        [after] = read_accounts(file)
    assert ",t=1," in before.hash and ",t=2," in after.hash
    with serving(data=file, costs=more) as server, Guest(server.port) as ann:
        assert ann.log_in("ann")["change"] == "logged_in"
    assert read_accounts(file)[0].hash == after.hash, "once is enough"


def test_two_devices_log_in_while_the_hash_is_made_anew(
    server: ChatServer, ann: Guest, guest: Guest, slow: Barrier,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Both were compared with the old one, and the first replaces it."""
    submitted, submit = [], HashPool.submit
    monkeypatch.setattr(
        HashPool, "submit", lambda *given: (submitted.append(given), submit(*given))
    )
    rules = server._rules.accounts
    old = PasswordHasher(CHEAP._replace(time_cost=2)).hash(Secret(RIGHT))
    server.engine.loop.call_threadsafe(lambda: rules.rehash("ann", old))
    wait_until(lambda: rules.find("ann").hash == old)
    slow.slow_down()
    with Guest(server.port) as phone:
        for count, device in enumerate((guest, phone), 1):
            device.say("login", username="ann", password=RIGHT, id=1)
            wait_until(lambda: len(submitted) == count)
        ann.say("password", old=RIGHT, new="another-Kettle-9", id=1)
        wait_until(lambda: len(submitted) == 3)
        slow.go_on()
        for device in (guest, phone):
            assert device.read_until("account", id=1)["change"] == "logged_in"
        assert ann.read_until("account", id=1)["change"] == "password_changed"


def test_a_hash_that_is_made_anew_does_not_undo_a_new_password(
    server: ChatServer, ann: Guest, guest: Guest, slow: Barrier
) -> None:
    rules = server._rules.accounts
    old, new = (
        PasswordHasher(costs).hash(Secret(password))
        for costs, password in [
            (CHEAP._replace(time_cost=2), RIGHT),
            (CHEAP, "another-Kettle-9"),
        ]
    )

    def set_hash(hash: str) -> None:
        server.engine.loop.call_threadsafe(lambda: rules.rehash("ann", hash))
        wait_until(lambda: rules.find("ann").hash == hash)

    set_hash(old)
    slow.slow_down()
    guest.say("login", username="ann", password=RIGHT, id=1)
    assert slow.entered.wait(LIMIT)
    set_hash(new)
    slow.go_on()
    assert guest.read_until("error", id=1)["code"] == "bad_login"
    assert rules.find("ann").hash == new


# --- guesses --------------------------------------------------------------------------------------


def tries_a_locked_room(server: ChatServer, ann: Guest, number: int) -> dict:
    with Guest(server.port) as eve:
        fields = {"username": f"eve{number}", "room": "club"}
        return eve.ask("join", password=f"guess-Kettle-{number}", **fields)


def tries_a_password_change(server: ChatServer, ann: Guest, number: int) -> dict:
    return ann.ask("password", old=f"guess-Kettle-{number}", new="green-Kettle-9")


def tries_a_deletion(server: ChatServer, ann: Guest, number: int) -> dict:
    return ann.ask("delete_account", password=f"guess-Kettle-{number}")


def registers(server: ChatServer, ann: Guest, number: int) -> dict:
    with Guest(server.port) as eve:
        return eve.ask("register", username=f"eve{number}", password=RIGHT)


@pytest.mark.parametrize(
    "tries",
    [tries_a_locked_room, tries_a_password_change, tries_a_deletion, registers],
)
def test_each_way_to_try_a_password_has_the_same_limit(
    server: ChatServer, ann: Guest, tries: Callable[..., dict]
) -> None:
    ann.say("join", username="ann", room="club")
    ann.read_until("welcome")
    assert ann.ask("register_room", room="club")["type"] == "ok"
    assert ann.ask("lock", room="club", password="mint-Kettle-9")["type"] == "ok"
    codes = [tries(server, ann, number).get("code") for number in range(20)]
    assert "too_many_guesses" in codes and "too_many_guesses" not in codes[:5]


def test_who_is_right_may_log_in_any_number_of_times(
    server: ChatServer, ann: Guest
) -> None:
    for _ in range(25):
        with Guest(server.port) as phone:
            assert phone.log_in("ann")["change"] == "logged_in"


def test_who_is_banned_learns_it_at_the_login(
    server: ChatServer, ann: Guest, guest: Guest
) -> None:
    rules = server._rules.accounts
    server.engine.loop.call_threadsafe(lambda: rules.set_role("ann", "operator"))
    wait_until(lambda: rules.find("ann").role == "operator")
    with Guest(server.port) as bob:
        bob.register("bob")
    ann.say("join", username="ann")
    ann.read_until("welcome")
    assert ann.ask("ban", target="bob")["type"] == "ok"
    assert guest.log_in("bob", RIGHT + "x")["code"] == "bad_login"
    assert guest.log_in("bob")["code"] == "banned"
    assert guest.read()["type"] == "goodbye"


@linux
@pytest.mark.parametrize("addresses", [1, 100])
def test_a_thousand_guesses_while_a_room_chats(addresses: int) -> None:
    """The others lose nothing, and the right person gets in. (Times: bench/guesses.py)"""
    patience = {"join_timeout": 600.0, "ping_after": 600.0}  # on a slow machine, too
    limits = Limits(flood_burst=0, connect_rate=1000.0, resume_window=0, **patience)
    with serving(limits) as server, ExitStack() as stack:
        with Guest(server.port, "127.0.9.1") as owner:
            owner.register("ann")
        room = [
            stack.enter_context(LineClient(server.port).join(f"p{n}")) for n in range(3)
        ]
        hosts = [f"127.0.{10 + n % 50}.{1 + n // 50}" for n in range(addresses)]
        guesses = [
            stack.enter_context(Guest(server.port, hosts[n % addresses]))
            for n in range(50)
        ]
        for number, guest in enumerate(guesses):
            for guess in range(20):
                guest.say("login", username="ann", password=f"guess-{number}-{guess}")
            room[number % 3].say("message", content=f"{number}")
        with Guest(server.port, "127.0.9.2") as ann:
            wait_until(lambda: ann.log_in("ann").get("change") == "logged_in")
        codes: Counter[str] = Counter()
        for guest in guesses:
            codes.update(guest.read()["code"] for _ in range(20))
        heard = [[p.read_until("message")["content"] for _ in guesses] for p in room]
        assert heard[0] == heard[1] == heard[2]
        assert sorted(heard[0], key=int) == [str(n) for n in range(50)]
    assert codes.keys() <= {"bad_login", "too_many_guesses", "busy"}
    assert sum(codes.values()) == 1000
    if addresses == 1:
        assert codes["bad_login"] + codes["busy"] <= 15  # ten, and one in ten seconds


def test_guesses_that_are_refused_share_their_ticks(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal takes no time. With a tick for each, a flood of them is felt by all."""
    monkeypatch.setattr(Turns, "LOUD", 60.0)  # else it depends on the machine
    monkeypatch.setattr(CommandHandler, "TURN", 60.0)
    ticks: list[float] = []
    with Guest(server.port) as eve:
        for number in range(10):
            eve.log_in(f"name{number}", "guess-Kettle")
        server.engine.loop.on_tick = ticks.append
        guess = {"type": "login", "username": "ann", "password": "guess-Kettle"}
        eve.send((json.dumps(guess).encode() + b"\n") * 200)
        codes = Counter(eve.read()["code"] for _ in range(200))
    assert codes["too_many_guesses"] > 190, codes
    assert len(ticks) < 100  # about 26


@linux
def test_a_guess_that_is_refused_is_compared_with_nothing(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dummy for an unknown name took a quarter of the time, and told that it is one."""
    made, dummy = [], PasswordHasher.dummy
    monkeypatch.setattr(
        PasswordHasher, "dummy", lambda self: made.append(None) or dummy(self)
    )
    codes = Counter(
        guest.log_in("nobody", f"guess-Kettle-{n}")["code"] for n in range(15)
    )
    assert codes["too_many_guesses"] and len(made) == codes["bad_login"], codes


def test_a_crowd_that_guesses_does_not_lock_the_right_person_out() -> None:
    with serving(Limits(flood_burst=0)) as server, ExitStack() as stack:
        with Guest(server.port, "127.0.9.1") as owner:
            owner.register("ann")
        for number in range(100):
            eve = stack.enter_context(Guest(server.port, f"127.1.{number}.1"))
            heard = [eve.log_in("ann", "guess-Kettle")["code"] for _ in range(4)]
            assert set(heard) <= {"bad_login", "too_many_guesses"}
        with Guest(server.port, "127.0.9.77") as ann:
            assert ann.log_in("ann", "Blue-Kettle-9")["code"] == "bad_login"
            assert ann.log_in("ann")["change"] == "logged_in"


@pytest.mark.alone
@pytest.mark.slow(seconds=15)
def test_a_known_and_an_unknown_name_take_the_same_time() -> None:
    """How likely is a login with a wrong password to take longer for a known name than for
    an unknown one? (Mann and Whitney's U, divided by the number of pairs.) Alike: 0.5, with
    a standard deviation of 0.04 for 100 of each. Without the dummy hash it is 1.0.
    """
    costs, names = HashParameters(1, 8192, 1), ["ann", "zoe"] * 100
    random.shuffle(names)
    times: dict[str, list[float]] = {"ann": [], "zoe": []}
    options = {"costs": costs, "trusted_networks": ["127.0.0.0/8"]}
    with serving(**options) as server:
        with Guest(server.port) as ann:
            ann.register("ann")
        for number, name in enumerate(names):
            with Guest(server.port, f"127.2.{number}.1") as eve:
                started = time.perf_counter()
                answer = eve.log_in(name, "guess-Kettle")
                times[name].append(time.perf_counter() - started)
                assert answer["code"] == "bad_login", answer
    pairs = [(a > b) + (a == b) / 2 for a in times["ann"] for b in times["zoe"]]
    assert 0.3 < sum(pairs) / len(pairs) < 0.7


# --- not to be found ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        Register("ann", RIGHT),
        Login("ann", RIGHT),
        ChangePassword(RIGHT, RIGHT),
        DeleteAccount(RIGHT),
        Lock("club", RIGHT),
        Join("ann", password=RIGHT),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_command_does_not_show_its_password(command: object) -> None:
    shown = f"{command!r} {command} {[command]}"
    assert type(command).__name__ in shown and RIGHT not in shown


def test_what_goes_wrong_with_a_password_does_not_show_it(
    server: ChatServer, guest: Guest, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*arguments: object) -> None:
        raise ValueError(f"{arguments}")

    with caplog.at_level(logging.DEBUG):
        monkeypatch.setattr(PasswordHasher, "verify", fail)
        assert guest.log_in("ann")["code"] == "busy"
        monkeypatch.setattr(logins, "_weakness_of", fail)
        guest.say("register", username="ann", password=RIGHT)
        assert guest.read_all() is not None
    assert caplog.records and RIGHT not in caplog.text


def copies(pid: int, texts: list[str]) -> Counter[str]:
    """How often each text is in the memory of a process that can be written."""
    found: Counter[str] = Counter()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            start, end, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not mode.startswith("rw") or "[vvar" in line or "[vsyscall" in line:
                continue
            memory.seek(int(start, 16))
            try:
                part = memory.read(int(end, 16) - int(start, 16))
            except OSError:
                continue
            found.update({text: part.count(text.encode()) for text in texts})
    return +found


@linux
@pytest.mark.slow(seconds=6)
def test_no_password_is_in_the_servers_memory_file_or_log(tmp_path: Path) -> None:
    kinds = "made", "wrong", "new", "room", "room_wrong", "again", "deleted"
    secret = {kind: f"{os.urandom(6).hex()}-Kettle" for kind in kinds}
    marker = f"{os.urandom(6).hex()}-said"
    file, log = tmp_path / "chat.db", tmp_path / "log"
    config = tmp_path / "chat.toml"  # its hashes take long where a machine is busy
    config.write_text("[limits]\njoin_timeout = 300\nping_after = 300\n")
    arguments = "--port", 0, "--data", file, "--log-format", "json", "--config", config
    with Program("start_server", *arguments) as program:
        wait_until(lambda: program.lines)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        with Guest(port) as ann, Guest(port) as bob:
            ann.register("ann", secret["made"])
            assert bob.log_in("ann", secret["wrong"])["code"] == "bad_login"
            assert bob.log_in("ann", secret["made"])["type"] == "account"
            changed = ann.ask("password", old=secret["made"], new=secret["new"])
            assert changed["type"] == "account"
            ann.say("join", username="ann", room="club")
            ann.read_until("welcome")
            assert ann.ask("register_room")["type"] == "ok"
            assert ann.ask("lock", password=secret["room"])["type"] == "ok"
            ann.say("message", content=marker, id=1)
            ann.read_until("ok")
            with Guest(port) as cy:
                for kind in ("room_wrong", "room"):
                    cy.say("join", username="cy", room="club", password=secret[kind])
                cy.read_until("welcome")
            with Guest(port) as dee:
                dee.register("dee", secret["deleted"])
                assert dee.ask("delete_account", password=secret["deleted"])
            found = copies(program.process.pid, [*secret.values(), marker])
            assert found[marker] > 0, "what is there is found"
            where = {kind: found[text] for kind, text in secret.items()}
            assert where == dict.fromkeys(kinds, 0)
        assert program.end(signal.SIGTERM)[0] == 0
        log.write_text("\n".join(program.lines + program.errors))
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert not [kind for kind in kinds if secret[kind].encode() in data], path


@linux
@pytest.mark.slow(seconds=4)
def test_no_password_is_in_a_core_dump_after_a_login(tmp_path: Path) -> None:
    """core(5): what a process that is aborted leaves behind, if its limit allows it."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip(f"core dumps go elsewhere: {pattern}")
    secret, marker = (f"{os.urandom(6).hex()}-Kettle" for _ in range(2))
    arguments = "--port", 0, "--data", tmp_path / "chat.db"
    with Program("start_server", *arguments, folder=tmp_path) as program:
        wait_until(lambda: program.lines)
        resource = pytest.importorskip("resource")
        whole = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(program.process.pid, resource.RLIMIT_CORE, whole)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        with Guest(port) as ann, Guest(port) as bob:
            ann.register("ann", secret)
            assert bob.log_in("ann", secret)["type"] == "account"
            bob.say("join", username="ann", room="club")
            bob.read_until("welcome")
            bob.say("message", content=marker, id=1)
            bob.read_until("ok")
            program.end(signal.SIGABRT)
    [core] = tmp_path.glob("core*")
    dump = core.read_bytes()
    core.unlink()
    assert marker.encode() in dump, "what is there is found"
    assert secret.encode() not in dump


# --- the command line -------------------------------------------------------------------------------


def accounts(*arguments: object, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "python_tcp.accounts", *map(str, arguments)]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=LIMIT * 3
    )


def said(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow(seconds=5)
def test_accounts_are_made_and_looked_after_by_hand(tmp_path: Path) -> None:
    data = "--data", tmp_path / "chat.db"
    add = accounts("add", "ann", "--operator", *data, text=f"{RIGHT}\n")
    assert said(add) == (0, "ann has an account, and is an operator\n", "")
    assert accounts("add", "bob", *data, text=RIGHT).returncode == 0
    listed = accounts("list", *data).stdout.splitlines()
    assert [re.sub(r" +\S+ \S+", " ", line) for line in listed] == ["ann   operator", "bob "]  # fmt: skip
    assert accounts("operator", "BOB", *data).stdout == "bob is an operator\n"
    changed = accounts("password", "bob", *data, text="green-Kettle-9\n")
    assert changed.stdout == "bob has a new password\n"
    assert accounts("remove", "ann", *data).returncode == 0
    [bob] = read_accounts(data[1])
    assert bob.role == "operator"
    assert PasswordHasher().verify(bob.hash, Secret("green-Kettle-9"))
    with serving(data=data[1]) as server, Guest(server.port) as guest:
        assert guest.log_in("bob", "green-Kettle-9")["role"] == "operator"
        busy = accounts("add", "cy", *data, text=RIGHT)
        assert said(busy)[0] == 1 and "another server is using it" in busy.stderr


@pytest.mark.slow(seconds=3)
def test_who_takes_the_name_of_a_removed_account_inherits_nothing(
    tmp_path: Path,
) -> None:
    data = "--data", tmp_path / "chat.db"
    assert accounts("add", "ann", "--operator", *data, text=RIGHT).returncode == 0
    assert accounts("operator", "ann", *data).returncode == 0  # which is nothing new
    for name in ("bob", "cy"):
        assert accounts("add", name, *data, text=RIGHT).returncode == 0
    with serving(data=data[1]) as server, Guest(server.port) as ann:
        ann.log_in("ann")
        ann.say("join", username="ann", room="hall")
        ann.read_until("welcome")
        asked = [
            ann.ask("register_room"), ann.ask("op", to="bob"),
            ann.ask("lock"), ann.ask("invite", to="cy"),
        ]  # fmt: skip
        assert {answer["type"] for answer in asked} == {"ok"}, asked
    for name in ("bob", "cy"):
        assert accounts("remove", name.upper(), *data).returncode == 0
    with serving(data=data[1]) as server:
        for name in ("bob", "cy"):
            with Guest(server.port) as eve:
                eve.register(name)
                answer = eve.ask("join", username=name, room="hall")
                assert answer["code"] == "locked", name
                eve.say("join", username=name)
                eve.read_until("welcome")
                answer = eve.ask("unlock", room="hall")
                assert answer["code"] == "not_allowed", name
    noted = accounts("audit", *data).stdout
    lines = [line.split("  ", 1)[1] for line in noted.splitlines()]
    assert [line for line in lines if "command line" in line] == [
        "(command line) add ann", "(command line) op ann",
        "(command line) add bob", "(command line) add cy",
        "(command line) remove BOB", "(command line) remove CY",
    ]  # fmt: skip


@pytest.mark.slow(seconds=4)
def test_a_password_set_by_hand_ends_the_sessions_that_the_file_keeps(
    tmp_path: Path,
) -> None:
    file = tmp_path / "chat.db"
    tokens = {}
    with serving(data=file) as server:
        for name in ("ann", "bob"):
            with Guest(server.port) as guest:
                guest.register(name).say("join", username=name)
                tokens[name] = guest.read_until("welcome")["token"]
        wait_until(lambda: not server.users or server.connections == 0)
    assert accounts("password", "Ann", "--data", file, text="green-Kettle-9\n").stdout
    heard = {}
    with serving(data=file) as server:
        for name in ("ann", "bob"):
            with Guest(server.port) as guest:
                guest.say("join", username=name, token=tokens[name])
                answer = guest.read()
                heard[name] = answer.get("code", answer["type"])
    assert heard == {"ann": "name_registered", "bob": "welcome"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, text, wrong",
    [
        (["add", "ann"], "short\n", "a password has 8 to 256 characters"),
        (["add", "ann"], "", "a password has 8 to 256 characters"),
        (["add", "ann"], "sunshine\n", "this password is among the first"),
        (["add", "a b"], RIGHT, "a name has 1 to 32 letters"),
        (["remove", "ann"], "", "No such file or directory"),
        (["list"], "", "No such file or directory"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], text: str, wrong: str
) -> None:
    done = accounts(*arguments, "--data", tmp_path / "chat.db", text=text)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"accounts: .*\n", done.stderr) and wrong in done.stderr
    assert RIGHT not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")
@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.usefixtures("hang_ups_are_heard")
def test_a_signal_after_the_last_step_is_too_late_and_one_before_changes_nothing(
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "chat.db"
    steps = {name: getattr(account_tool, name) for name in ("save_account", "end_well")}

    def add(name: str, interrupted: str) -> tuple[int, str, str]:
        def step(*arguments: object) -> None:
            steps[interrupted](*arguments)
            signal.raise_signal(number)

        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(f"{RIGHT}\n"))
            patch.setattr(account_tool, interrupted, step)
            status = account_tool.start_accounts(["add", name, "--data", str(file)])
        return status, *capsys.readouterr()

    nothing = "accounts: interrupted: nothing was changed\n"
    assert add("ann", "save_account") == (1, "", nothing)
    assert add("bob", "end_well") == (0, "bob has an account\n", "")
    assert [each.name for each in read_accounts(file)] == ["bob"]


# --- chat_server's own arguments -----------------------------------------------------------------------


def typed(terminal: Terminal, *answers: tuple[str, str]) -> None:
    for prompt, text in answers:
        terminal.until(prompt)
        terminal.type(text + "\r")


SERVER = (
    "import sys; from python_tcp.chat_app import start_server as main; sys.exit(main())"
)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.slow(seconds=4)
def test_the_first_operator_is_made_on_a_terminal_that_shows_no_password(
    tmp_path: Path,
) -> None:
    file = tmp_path / "chat.db"
    command = [sys.executable, "-c", SERVER, "--port", 0, "--data", file]
    for number in range(2):  # the second time, the account is there
        terminal = Terminal(*command, "--operator", "ann")
        if number == 0:
            typed(terminal, ("New password of ann:", RIGHT), ("Once more:", RIGHT))
        terminal.until("ann is an operator")
        terminal.until("Ctrl-C ends it")
        assert RIGHT.encode() not in terminal.bytes
        assert terminal.end(number=signal.SIGTERM) == 0
    [ann] = read_accounts(file)
    assert (ann.name, ann.role) == ("ann", "operator")


@pytest.mark.slow(seconds=4)
def test_without_a_file_an_operator_is_made_for_this_run() -> None:
    arguments = "--port", 0, "--operator", "ann", "--guests", "no"
    arguments += "--sessions-per-account", 1, "--registration", "no"
    with Program("start_server", *arguments) as program:
        program.type(RIGHT)
        wait_until(lambda: program.lines)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        with Guest(port) as ann, Guest(port) as again, Guest(port) as bob:
            assert ann.log_in("ann")["role"] == "operator"
            ann.join("ann")
            assert again.log_in("ann")["type"] == "account"
            assert again.ask("join", username="ann")["code"] == "too_many_sessions"
            assert bob.ask("join", username="bob")["code"] == "login_needed"
            answer = bob.ask("register", username="bob", password=RIGHT)
            assert answer["code"] == "registration_closed"
        assert program.end(signal.SIGTERM)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, wrong",
    [
        (["--operator", "ann"], "a password has 8 to 256 characters"),
        (["--operator", "a b"], "a name has 1 to 32 letters"),
        (["--sessions-per-account", "0"], "expected a number from 1 to 1000, not '0'"),
        (["--guests", "maybe"], "invalid choice: 'maybe'"),
        (["--registration", "maybe"], "invalid choice: 'maybe'"),
    ],
)
def test_a_mistake_in_an_argument_is_one_line(
    tmp_path: Path, arguments: list[str], wrong: str
) -> None:
    command = [sys.executable, "-c", SERVER, "--data", tmp_path / "chat.db", *arguments]
    done = subprocess.run(
        command, input="short\n", capture_output=True, text=True, timeout=LIMIT * 3
    )
    assert done.returncode == 2 and re.fullmatch(r"chat_server: .*\n", done.stderr)
    assert wrong in done.stderr
