"""Hashes, the threads that make them, and how often somebody may guess."""

import logging
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator

import argon2
import pytest
from argon2.profiles import RFC_9106_LOW_MEMORY
from waiting import LIMIT, Barrier, wait_until

from python_tcp.loop import EventLoop
from python_tcp.networks import NetworkList, Rates
from python_tcp.passwords import GuessLimits, HashParameters, HashPool, PasswordHasher
from python_tcp.secret import Secret, forget, overwrite

CHEAP = HashParameters(time_cost=1, memory_cost=32, parallelism=1)
PASSWORD = "correct horse"


def new(text: str) -> str:
    """The same text in memory of its own."""
    return "".join(list(text))


# --- what is left in memory ---------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["plain text", "Zürich im März", "漢字 and more", "smile 😀 😀"]
)
def test_a_text_is_overwritten(text: str) -> None:
    mine = new(text)
    overwrite(mine)
    assert set(mine) == {"\0"} and len(mine) == len(text)


def test_bytes_are_overwritten_and_what_is_shared_is_not() -> None:
    mine = b"".join([b"some ", b"bytes"])
    overwrite(mine)
    assert mine == bytes(10)
    overwrite(b"")
    overwrite(b"x")
    overwrite("y")
    assert bytes([120]) == b"x" and chr(121) == "y"


def test_only_a_line_that_may_hold_a_password_is_overwritten() -> None:
    chat, login = bytes(bytearray(b"hello all")), bytes(bytearray(b'"password":"x"'))
    forget(chat)
    forget(login)
    assert chat == b"hello all" and login == bytes(14)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(PASSWORD)
    assert PASSWORD not in f"{secret!r} {secret} {[secret]}"
    secret.wipe()
    assert secret.data == bytes(13)


def test_an_accent_may_be_typed_in_two_ways() -> None:
    assert Secret("cafe\u0301 noir").data == Secret("caf\u00e9 noir").data


# --- hashes -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_hash_is_argon2id_with_the_parameters_of_the_rfc() -> None:
    text = PasswordHasher().hash(Secret(PASSWORD))
    assert text.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert argon2.extract_parameters(text) == RFC_9106_LOW_MEMORY
    assert argon2.PasswordHasher().verify(text, PASSWORD)


def test_a_hash_fits_to_its_password_only() -> None:
    hasher = PasswordHasher(CHEAP)
    text = hasher.hash(Secret(PASSWORD))
    assert hasher.verify(text, Secret(PASSWORD))
    for wrong in ("correct horsf", "Correct horse", "correct horse ", ""):
        assert not hasher.verify(text, Secret(wrong))
    assert hasher.hash(Secret(PASSWORD)) != text, "each has a salt of its own"


@pytest.mark.parametrize("text", ["", "plain", "$argon2id$v=19$", "$2b$12$abc", "é"])
def test_what_is_no_hash_fits_to_nothing(text: str) -> None:
    assert not PasswordHasher(CHEAP).verify(text, Secret(PASSWORD))


def test_a_dummy_looks_like_a_hash_and_fits_to_nothing() -> None:
    hasher = PasswordHasher(CHEAP)
    dummy, real = hasher.dummy(), hasher.hash(Secret(PASSWORD))
    assert argon2.extract_parameters(dummy) == argon2.extract_parameters(real)
    assert len(dummy) == len(real) and not hasher.is_outdated(dummy)
    assert not hasher.verify(dummy, Secret(PASSWORD))


def test_a_hash_with_other_parameters_is_outdated_and_still_fits() -> None:
    old = PasswordHasher(CHEAP).hash(Secret(PASSWORD))
    hasher = PasswordHasher(CHEAP._replace(time_cost=2))
    assert hasher.is_outdated(old) and hasher.verify(old, Secret(PASSWORD))
    assert not hasher.is_outdated(hasher.hash(Secret(PASSWORD)))


# --- the pool -----------------------------------------------------------------------------


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    thread = loop.start_thread("loop")
    yield loop
    loop.stop()
    thread.join(LIMIT)


class Work:
    """Waits at a barrier."""

    def __init__(self) -> None:
        self.barrier, self.done = Barrier(), []
        self.barrier.slow_down()

    def __call__(self) -> str:
        return self.barrier.before(lambda: threading.current_thread().name)()

    def told(self, name: str) -> object:
        return lambda result: self.done.append(
            (name, result, threading.current_thread().name)
        )


def test_work_is_done_on_the_pool_and_told_on_the_loop(loop: EventLoop) -> None:
    pool, work = HashPool(loop.call_threadsafe), Work()
    work.barrier.go_on()
    pool.submit(work, work.told("one"))
    wait_until(lambda: work.done)
    assert work.done == [("one", "HashPool-0", "loop")]
    pool.close()


def test_too_many_are_refused_and_who_has_failed_least_is_first(
    loop: EventLoop,
) -> None:
    pool, work = HashPool(loop.call_threadsafe, threads=1, most=3), Work()
    pool.submit(work, work.told("running"))
    assert work.barrier.entered.wait(LIMIT)
    for number, rank in enumerate([5, 0, 9, 7, 3]):
        pool.submit(lambda: "done", work.told(f"{number} of rank {rank}"), rank)
    wait_until(lambda: len(work.done) == 2)
    refused = {(name, result) for name, result, _ in work.done}
    assert refused == {("2 of rank 9", None), ("3 of rank 7", None)}
    work.barrier.go_on()
    wait_until(lambda: len(work.done) == 6)
    order = [name for name, result, _ in work.done if result]
    assert order == ["running", "1 of rank 0", "4 of rank 3", "0 of rank 5"]
    pool.close()


def test_work_that_fails_is_refused_and_the_log_does_not_say_why(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise MemoryError(f"while {PASSWORD} was hashed")

    pool, done = HashPool(loop.call_threadsafe), []
    with caplog.at_level(logging.DEBUG):
        pool.submit(fail, done.append)
        wait_until(lambda: done)
        pool.submit(lambda: "next", done.append)
        wait_until(lambda: len(done) == 2)
    assert done == [None, "next"]
    assert "MemoryError" in caplog.text and PASSWORD not in caplog.text
    pool.close()


def test_without_a_thread_work_is_refused_and_done_when_there_is_one_again(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, done = HashPool(loop.call_threadsafe), []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        pool.submit(lambda: "now", done.append)
        wait_until(lambda: done)
    assert done == [None] and len(pool) == 0
    assert "can't start new thread" in caplog.text
    pool.submit(lambda: "later", done.append)
    wait_until(lambda: len(done) == 2)
    assert done == [None, "later"]
    pool.close()


def test_a_closed_pool_has_no_threads_and_refuses_what_waits(loop: EventLoop) -> None:
    pool, work, refused = HashPool(loop.call_threadsafe, threads=1), Work(), []
    pool.submit(work, work.told("running"))
    assert work.barrier.entered.wait(LIMIT)
    for _ in range(5):
        pool.submit(work, refused.append)
    threading.Timer(0.05, work.barrier.go_on).start()
    pool.close()
    assert refused == [None] * 5 and len(pool) == 0
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("HashPool")]


THREADS = """
import os, threading
from python_tcp.passwords import HashParameters, PasswordHasher
from python_tcp.secret import Secret
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
hasher = PasswordHasher(HashParameters(time_cost=20, memory_cost=16_384, parallelism=4))
made = []
thread = threading.Thread(target=lambda: made.append(hasher.hash(Secret("kettle-9"))))
thread.start()
most = 0
while thread.is_alive():
    most = max(most, len(os.listdir("/proc/self/task")))
print(most, hasher.verify(made[0], Secret("kettle-9")))
"""

REAL_TIME = """
import os, threading
from python_tcp.passwords import HashPool
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(9))
seen, done = [], threading.Event()
def look():
    me = threading.get_native_id()
    seen.append(os.sched_getscheduler(me) == os.SCHED_FIFO)
    seen.append(os.sched_getparam(me).sched_priority)
    both = [os.getpriority(os.PRIO_PROCESS, who) for who in (me, os.getpid())]
    seen.append(both[0] > both[1])
HashPool(lambda call: call()).submit(look, lambda result: done.set())
done.wait(60)
print(*seen, os.sched_getscheduler(0) == os.SCHED_FIFO)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and sched(7)")


def said_by(script: str) -> str:
    """What a Python of its own prints."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "PermissionError" in done.stderr:
        pytest.skip("needs the right to have real-time priority")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@linux
def test_a_hash_leaves_one_of_two_cores_to_the_rest() -> None:
    assert said_by(THREADS) == "2 True", "the main thread and the one that hashes"


@linux
def test_the_pool_gives_way_where_the_server_has_real_time_priority() -> None:
    assert said_by(REAL_TIME) == "True 1 True True"


# --- guesses ------------------------------------------------------------------------------


def tries(limits: GuessLimits, name: str, hosts: list[str], now: float = 0.0) -> int:
    """How many of these may be tried."""
    return [limits.wait(name, host, now) for host in hosts].count(0.0)


def many(networks: int, each: int = 1) -> list[str]:
    return [f"198.{51 + n // 256}.{n % 256}.{m}" for m in range(each) for n in range(networks)]  # fmt: skip


def test_one_address_has_ten_guesses_and_then_one_in_ten_seconds() -> None:
    limits = GuessLimits()
    names = [f"name{n}" for n in range(1000)]
    assert sum(tries(limits, name, ["192.0.2.1"]) for name in names) == 10
    hour = [limits.wait("ann", "192.0.2.1", float(now)) for now in range(3600)]
    assert hour.count(0.0) == 359
    assert 0 < max(hour) <= 10.0


def test_a_network_has_forty_guesses() -> None:
    limits = GuessLimits()
    hosts = [f"192.0.2.{n}" for n in range(256)]
    assert sum(tries(limits, f"name{n}", hosts) for n in range(10)) == 40


def test_a_thousand_addresses_slow_each_other_down_and_nobody_else() -> None:
    """Two guesses each, ten for all strangers together, and then one in ten seconds."""
    limits = GuessLimits()
    bad = many(1000)
    assert sum(tries(limits, "ann", bad) for _ in range(10)) == 2 * 1000 + 10
    assert limits.wait("ann", "203.0.113.5", 0.0) == 0.0, "ann, from anywhere else"
    limits.right("ann", "203.0.113.5")
    assert tries(limits, "ann", ["203.0.113.5"] * 9) == 9, "and with wrong fingers"
    assert limits.wait("bob", "203.0.113.6", 0.0) == 0.0


def test_whoever_was_right_has_not_guessed() -> None:
    limits = GuessLimits()
    for _ in range(1000):
        assert limits.wait("ann", "192.0.2.1", 0.0) == 0.0
        limits.right("ann", "192.0.2.1")
    assert limits.rank("ann", "192.0.2.1") == 0


def test_an_account_of_ones_own_does_not_give_guesses_back() -> None:
    """Eve logs in to her own account after each guess. It must not help."""
    limits, guesses = GuessLimits(), 0
    for _ in range(1000):
        guesses += limits.wait("ann", "192.0.2.1", 0.0) == 0.0
        if limits.wait("eve", "192.0.2.1", 0.0) == 0.0:
            limits.right("eve", "192.0.2.1")
    assert guesses <= 10


def test_a_person_of_ipv6_has_a_whole_network() -> None:
    limits = GuessLimits()
    assert tries(limits, "ann", [f"2001:db8::{n:x}" for n in range(1000)]) == 12
    assert limits.wait("ann", "2001:db8:0:1::1", 0.0) == 0.0


def test_a_trusted_network_has_no_limit_by_address() -> None:
    limits = GuessLimits(NetworkList(["192.0.2.0/24"]))
    assert tries(limits, "", ["192.0.2.1"] * 1000) == 1000
    assert tries(limits, "ann", ["192.0.2.1"] * 1000) == 12, "at a name, as everybody"


def test_whoever_has_failed_least_comes_first() -> None:
    limits = GuessLimits()
    before = limits.rank("ann", "192.0.2.1")
    tries(limits, "ann", ["192.0.2.1"] * 5)
    near, there = (limits.rank("ann", f"192.0.2.{n}") for n in (2, 1))
    assert before == 0 < near < there
    limits.right("ann", "192.0.2.1")
    assert limits.rank("ann", "192.0.2.1") == 0 < limits.rank("bob", "192.0.2.1")


@pytest.mark.slow
def test_the_memory_for_guesses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rates, "MOST", 500)
    monkeypatch.setattr(GuessLimits, "KNOWN", 500)
    limits = GuessLimits()

    def guess(hosts: list[str]) -> int:
        for number, host in enumerate(hosts):
            assert limits.wait(f"name{number}", host, 0.0) == 0.0
            limits.right(f"name{number}", host)
            limits.wait(f"name{number}", host, 0.0)
        return tracemalloc.get_traced_memory()[0]

    first, then = many(700), many(5000)
    tracemalloc.start()
    try:
        few, lots = guess(first), guess(then)
    finally:
        tracemalloc.stop()
    assert lots < 1.5 * few
