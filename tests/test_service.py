"""What the service manager is told, and the page `/health`: with a real datagram socket, and a disk that fails or stands still."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import LIMIT, LineClient, wait_until
from hypothesis import given
from hypothesis import strategies as st
from sockets import nothing_left_over  # noqa: F401

from python_tcp.chat_server import ChatServer
from python_tcp.service import HealthPage, Service, notify, open_monitor
from python_tcp.service import watchdog_interval

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="needs a socket of the service manager"
)


class Manager:
    """A service manager: it receives datagrams, each of which it keeps as a dictionary."""

    def __init__(self, address: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address.replace("@", "\0"))
        self.sock.settimeout(LIMIT)

    def next(self) -> dict[str, str]:
        text = self.sock.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.split("\n"))

    def until(self, **fields: str) -> dict[str, str]:
        while not (said := self.next()).items() >= fields.items():
            pass
        return said

    def drain(self) -> int:
        """How many datagrams are there? They are taken out."""
        count = 0
        self.sock.setblocking(False)
        try:
            while self.sock.recv(4096):
                count += 1
        except BlockingIOError:
            self.sock.settimeout(LIMIT)
        return count


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        if not Path("/proc/net/unix").exists():
            pytest.skip("abstract addresses are Linux's")
        address = f"@python_tcp test {os.getpid()}"
    new = Manager(address)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield new
    new.sock.close()


def test_a_message_arrives_as_lines(manager: Manager) -> None:
    assert notify("READY=1", "STATUS=zwölf people")
    assert manager.next() == {"READY": "1", "STATUS": "zwölf people"}


def test_no_text_can_become_a_second_line(manager: Manager) -> None:
    assert notify("STATUS=a\nSTOPPING=1\nb")
    assert manager.next() == {"STATUS": "a STOPPING=1 b"}


@pytest.mark.parametrize(
    "address", [None, "", "notify", "/no/such/socket", "@nobody", "vsock:2:1234"]
    + ["/" + "x" * 200, "@" + "x" * 200]
)  # fmt: skip
def test_without_a_manager_nothing_happens(
    address: str | None,
    monkeypatch: pytest.MonkeyPatch,
    nothing_left_over: None,  # noqa: F811
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify("READY=1") is False


def test_a_manager_that_does_not_read_makes_nobody_wait(manager: Manager) -> None:
    sent = 0
    while notify("WATCHDOG=1"):  # until its socket is full
        sent += 1
        assert sent < 100_000
    start = time.monotonic()
    assert not any(notify("WATCHDOG=1") for _ in range(100))
    assert time.monotonic() - start < LIMIT / 2
    assert manager.drain() == sent and notify("WATCHDOG=1")


@pytest.mark.slow(seconds=3)
@given(st.text(max_size=30), st.text(max_size=10))
def test_the_interval_is_half_of_what_is_allowed_or_none(usec: str, pid: str) -> None:
    environ = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    interval = watchdog_interval(environ)
    assert interval is None or interval > 0


def test_the_interval() -> None:
    us = str(os.getpid())
    for environ, expected in [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": us}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "1e6"}, None),
        ({"WATCHDOG_USEC": "٣"}, None),
        ({"WATCHDOG_PID": us}, None),
        ({}, None),
    ]:
        assert watchdog_interval(environ) == expected


@contextmanager
def serving(watchdog: str | None = None) -> Iterator[tuple[ChatServer, Service]]:
    with pytest.MonkeyPatch.context() as patch, ChatServer() as server:
        if watchdog is not None:
            patch.setenv("WATCHDOG_USEC", watchdog)
        yield server, Service(server)


def test_the_life_of_a_service(manager: Manager) -> None:
    with serving() as (server, service):
        with LineClient(server.port).join("ann"):
            service.ready()
            said = manager.next()
            assert said["READY"] == "1"
            assert said["STATUS"] == "1 people, 1 rooms, 1 connections"
            before = time.monotonic_ns() // 1000
            service.reloading()
            reloading = manager.until(RELOADING="1")
            assert before <= int(reloading["MONOTONIC_USEC"])
            assert int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
            service.ready()
            assert "WATCHDOG" not in manager.until(READY="1"), "nobody has asked for it"
        service.stopping()
        manager.until(STOPPING="1")
        assert manager.drain() == 0


def test_signs_of_life_come_as_often_as_is_wanted(manager: Manager) -> None:
    with serving(watchdog="200000") as (_, service):
        start = time.monotonic()
        service.ready()
        service.ready()  # as after a reload: there is one watchdog, not two
        manager.until(READY="1")
        manager.until(READY="1")
        manager.until(WATCHDOG="1")
        for _ in range(6):
            manager.until(WATCHDOG="1")
        # From the start: signs that were sent in time may be read late, all at once.
        assert time.monotonic() - start > 0.5, "every 0.1 s, and not more often"


def test_the_watchdog_is_silent_while_the_loop_hangs(manager: Manager) -> None:
    hangs, cured = threading.Event(), threading.Event()
    with serving(watchdog="100000") as (server, service):
        service.ready()
        for _ in range(3):
            manager.until(WATCHDOG="1")
        server.engine.loop.call_threadsafe(lambda: (hangs.set(), cured.wait(LIMIT)))
        assert hangs.wait(LIMIT)
        socket.create_connection((server.host, server.port), LIMIT).close()
        manager.drain()
        manager.sock.settimeout(0.5)  # ten signs of life
        with pytest.raises(TimeoutError):
            manager.next()
        manager.sock.settimeout(LIMIT)
        cured.set()
        manager.until(WATCHDOG="1")


def test_a_manager_that_does_not_read_does_not_stop_the_chat(manager: Manager) -> None:
    with serving(watchdog="2000") as (server, service):
        service.ready()
        with LineClient(server.port).join("ann") as ann:
            wait_until(lambda: not notify("WATCHDOG=1"))  # its socket is full
            for number in range(5):
                ann.say("message", content=f"{number}")
                ann.read_until("message", content=f"{number}")


COMMAND = (
    "import sys; from python_tcp.chat_app import start_server; sys.exit(start_server())"
)
SICK = """
import signal, time
from python_tcp.service import Service
ready = Service.ready
def ready_and_soon_sick(self):
    hang = lambda: self._server.engine.loop.call_threadsafe(lambda: time.sleep(60))
    signal.signal(signal.SIGUSR1, lambda number, frame: hang())
    ready(self)  # from here on, the test may send the signal
Service.ready = ready_and_soon_sick
"""


@contextmanager
def command(code: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [sys.executable, "-c", code, "--port", "0", *arguments],
        env={**os.environ, **environ}, stdin=-3, stdout=-1, stderr=-1, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow(seconds=3)
def test_the_real_command_from_its_start_to_its_end(
    manager: Manager, tmp_path: Path
) -> None:
    config = tmp_path / "chat.toml"
    config.write_text("")
    options = ["--config", str(config), "--metrics", "0"]
    with command(COMMAND, *options, WATCHDOG_USEC="500000") as process:
        manager.until(READY="1")
        lines = [process.stdout.readline() for _ in range(3)]
        port = int(re.search(r":(\d+);", lines[0])[1])
        LineClient(port).join("ann").close()
        monitor = int(re.search(r"http://localhost:(\d+)/health", lines[2])[1])
        assert health(monitor) == (200, "ok\n")
        manager.until(WATCHDOG="1")
        process.send_signal(signal.SIGHUP)
        assert int(manager.until(RELOADING="1")["MONOTONIC_USEC"]) > 0
        manager.until(READY="1")
        manager.until(WATCHDOG="1")
        process.terminate()
        manager.until(STOPPING="1")
        assert process.wait(LIMIT) == 0
        manager.drain()


@pytest.mark.slow(seconds=3)
def test_a_real_command_whose_loop_hangs_gives_no_sign_of_life(
    manager: Manager,
) -> None:
    with command(SICK + COMMAND, WATCHDOG_USEC="200000") as process:
        manager.until(READY="1")
        manager.until(WATCHDOG="1")
        process.send_signal(signal.SIGUSR1)
        manager.sock.settimeout(1.0)  # ten signs of life
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                manager.next()
        assert process.poll() is None, "it is there, and does nothing"


@pytest.mark.slow(seconds=3)
def test_a_manager_that_is_gone_does_not_hurt_the_real_command(tmp_path: Path) -> None:
    gone = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "100000"}
    with command(COMMAND, **gone) as process:
        port = int(re.search(r":(\d+);", process.stdout.readline())[1])
        with LineClient(port).join("ann") as ann:
            ann.say("message", content="hello")
            ann.read_until("message")
        process.terminate()
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 0 and errors == ""


def health(port: int) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65_536), b"")).decode()
    return int(answer.split(" ")[1]), answer.partition("\r\n\r\n")[2]


@contextmanager
def monitored(
    data: Path | None = None, **settings: float
) -> Iterator[tuple[ChatServer, Callable[[], tuple[int, str]]]]:
    with pytest.MonkeyPatch.context() as patch, ChatServer(data=data) as server:
        for name, value in settings.items():
            patch.setattr(HealthPage, name, value)
        monitor = open_monitor(server, 0)
        yield server, lambda: health(monitor.port)
        monitor.stop()


def test_a_server_without_a_file_is_well_when_it_answers() -> None:
    with monitored() as (_, ask):
        assert ask() == (200, "ok\n")


def test_health_is_a_real_write(tmp_path: Path) -> None:
    wal = tmp_path / "chat.db-wal"
    with monitored(tmp_path / "chat.db", FRESH=0.0) as (_, ask):
        assert ask() == (200, "ok\n")  # and what the start has written is written
        for _ in range(3):
            before = wal.read_bytes()
            assert ask() == (200, "ok\n") and wal.read_bytes() != before


def test_health_writes_only_once_in_a_while(tmp_path: Path) -> None:
    with monitored(tmp_path / "chat.db", FRESH=60.0) as (server, ask):
        written = []
        touch = server.touch
        server.touch = lambda change: (written.append(1), touch(change))
        for _ in range(20):
            assert ask() == (200, "ok\n")
        assert len(written) == 1


@pytest.mark.slow(seconds=3)
def test_a_file_that_is_gone_is_said_although_nobody_writes(
    tmp_path: Path,
    nothing_left_over: None,  # noqa: F811
) -> None:
    with monitored(tmp_path / "chat.db", FRESH=0.0) as (server, ask):
        assert ask() == (200, "ok\n")
        for path in tmp_path.iterdir():
            path.unlink()

        def is_ill() -> bool:
            status, text = ask()
            return status == 503 and "chat.db" in text and text.count("\n") == 1

        wait_until(is_ill)  # the writer looks for its file once a second
    assert not server.running, "it ends nevertheless"


def test_a_full_disk_is_said_and_forgotten_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no message is said in between: the next look writes."""
    full = threading.Event()
    touch = HealthPage._touch

    def touch_a_disk(self: HealthPage, db: sqlite3.Connection) -> None:
        if full.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        touch(self, db)

    monkeypatch.setattr(HealthPage, "_touch", touch_a_disk)
    with monitored(tmp_path / "chat.db", FRESH=0.0) as (_, ask):
        assert ask()[0] == 200
        full.set()
        assert ask() == (503, "database or disk is full\n")
        assert ask() == (503, "database or disk is full\n")
        full.clear()
        assert ask() == (200, "ok\n")


def test_a_disk_that_stands_still_is_said_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, touch = threading.Event(), HealthPage._touch
    monkeypatch.setattr(
        HealthPage,
        "_touch",
        lambda self, db: (stuck.wait(LIMIT), touch(self, db)),
    )
    with monitored(tmp_path / "chat.db", PATIENCE=1.5, FRESH=0.0) as (_, ask):
        start = time.monotonic()
        status, text = ask()
        assert status == 503 and "has not been written for" in text
        assert time.monotonic() - start >= 1.5

        def is_known() -> bool:  # without the wait
            start = time.monotonic()
            assert ask()[0] == 503
            return time.monotonic() - start < 1.5

        wait_until(is_known)
        stuck.set()
        wait_until(lambda: ask() == (200, "ok\n"))


def test_many_who_ask_at_once_share_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, writes, touch = threading.Event(), [], HealthPage._touch

    def slow_touch(self: HealthPage, db: sqlite3.Connection) -> None:
        writes.append(self)
        go.wait(LIMIT)
        touch(self, db)

    monkeypatch.setattr(HealthPage, "_touch", slow_touch)
    with monitored(tmp_path / "chat.db", FRESH=60.0, PATIENCE=60.0) as (_, ask):
        answers: list[tuple[int, str]] = []
        threads = [
            threading.Thread(target=lambda: answers.append(ask())) for _ in range(30)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: writes and len(writes[0]._waiting) == 30)
        go.set()
        for thread in threads:
            thread.join(LIMIT)
        assert answers == [(200, "ok\n")] * 30 and len(writes) == 1


def test_health_and_metrics_are_both_there(tmp_path: Path) -> None:
    with ChatServer(data=tmp_path / "chat.db") as server:
        monitor = open_monitor(server, 0)
        with LineClient(server.port).join("ann"):
            health(monitor.port)
            with socket.create_connection(("127.0.0.1", monitor.port), LIMIT) as sock:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                page = b"".join(iter(lambda: sock.recv(65_536), b"")).decode()
        monitor.stop()
    [count] = [
        x for x in page.splitlines() if x.startswith("chat_commit_seconds_count")
    ]
    assert int(count.split()[1]) >= 2, "the health page hears of commits, and passes on"
