"""A Redis of their own for tests: on a free port, with a folder of its own, and surely stopped."""

import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from sockets import kept_port
from waiting import LIMIT, wait_until

PROGRAM = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="redis-server is missing")


class RedisServer:
    """A real redis-server that writes each command to its disk before it answers."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._keeper = kept_port()  # nobody else gets the port while it is down
        self.port: int = self._keeper.getsockname()[1]
        self._folder, self._options = folder, options
        self._process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> "RedisServer":
        """Start it, with what it has on its disk, and wait until it answers."""
        self._process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL)
        try:
            wait_until(self.answers)
        except BaseException:
            self.kill()
            raise
        return self

    def command(self) -> list[str]:
        where = ["--port", str(self.port), "--bind", "127.0.0.1"]
        keeps = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        keeps += ["--repl-diskless-sync-delay", "0"]
        return [PROGRAM, *where, "--dir", str(self._folder), *keeps, *self._options]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                sock.sendall(b"PING\r\n")
                first = sock.recv(1)
                return first == b"+" or first == b"-" and self._wants_password(sock)
        except OSError:
            return False

    def _wants_password(self, sock: socket.socket) -> bool:
        return sock.recv(100).startswith(b"NOAUTH")

    def ask(self, *words: str) -> bytes:
        """The first bytes of its answer."""
        line = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        with socket.create_connection(("127.0.0.1", self.port), LIMIT) as sock:
            sock.sendall(f"*{len(words)}\r\n{line}".encode())
            return sock.recv(65_536)

    def pause(self) -> None:
        """From now on it reads nothing, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As kill -9 does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "RedisServer":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        self._keeper.close()


class Sentinel(RedisServer):
    """A Sentinel that watches a primary under the name `main`, and decides alone."""

    def __init__(self, folder: Path, primary: RedisServer) -> None:
        super().__init__(folder)
        self._config = folder / "sentinel.conf"
        self._config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 2000\n"
            "sentinel failover-timeout main 5000\n"
        )

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/main"

    def command(self) -> list[str]:
        return [PROGRAM, str(self._config), "--sentinel"]

    def primary(self) -> int:
        """The port of the primary."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").split()[4])

    def knows_replicas(self, count: int) -> bool:
        """Does it know so many, which are in order?"""
        told = self.ask("SENTINEL", "REPLICAS", "main")
        good = told.count(b"\r\nmaster-link-status\r\n$2\r\nok\r\n")
        return good == count and b"s_down" not in told


def replica_of(folder: Path, port: int) -> RedisServer:
    """One that copies the primary on this port."""
    return RedisServer(folder, "--replicaof", f"127.0.0.1 {port}")


class RedisCluster:
    """Three primaries, each with a third of the slots."""

    SLOTS = 16_384

    def __init__(self, folder: Path) -> None:
        self._keepers = [kept_port() for _ in range(3)]
        self._buses = [each.getsockname()[1] for each in self._keepers]
        self.servers = [
            RedisServer(
                folder / str(bus),
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                str(bus),
            )
            for bus in self._buses
        ]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.servers)
        return f"redis+cluster://{hosts}"

    def __enter__(self) -> "RedisCluster":
        with ExitStack() as undo:
            for keeper in self._keepers:
                undo.callback(keeper.close)
            for number, server in enumerate(self.servers):
                undo.enter_context(server)
                slots = range(number, self.SLOTS, 3)
                server.ask("CLUSTER", "ADDSLOTS", *map(str, slots))
                server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
                for other, bus in zip(self.servers[:number], self._buses):
                    server.ask(
                        "CLUSTER", "MEET", "127.0.0.1", str(other.port), str(bus)
                    )
            wait_until(
                lambda: all(
                    b"cluster_state:ok" in each.ask("CLUSTER", "INFO")
                    for each in self.servers
                ),
                30,
            )
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._undo.close()

    def owner(self, key: str) -> RedisServer:
        """Who has the slot of a key."""
        for server in self.servers:
            if not server.ask("TYPE", key).startswith(b"-MOVED"):
                return server
        raise AssertionError(key)

    def move(self, key: str, target: RedisServer) -> None:
        """Move its slot, with all keys that are in it, as `redis-cli --cluster reshard` does."""
        source, slot = (
            self.owner(key),
            self._number(self.servers[0].ask("CLUSTER", "KEYSLOT", key)),
        )
        ids = {
            each: each.ask("CLUSTER", "MYID").split()[1].decode()
            for each in (source, target)
        }
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, "100").split()[2::2]:
            for each in keys:
                where = "127.0.0.1", str(target.port), each.decode(), "0", "5000"
                source.ask("MIGRATE", *where)
        for server in (target, source, *self.servers):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])

    @staticmethod
    def _number(answer: bytes) -> str:
        return answer[1:-2].decode()
