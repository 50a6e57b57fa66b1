"""Rows of the attack table (see test_attacks.py) against what only the operator sees: the log, and the pages of the metrics.

The server is the real command, with its log in two files.
"""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import LineClient
from test_attacks import SECONDS, SERVERS, HonestPair, Server, attackers_go  # noqa: F401
from test_attacks import elsewhere_soon
from test_metrics import get, parsed
from waiting import LIMIT, wait_until

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform == "win32", reason="counts on epoll"),
]
COMMAND = (
    "import sys; from python_tcp.chat_app import start_server; sys.exit(start_server())"
)


@dataclass
class Command:
    """A `chat_server` that runs, and what it has written."""

    folder: Path
    port: int = 0
    monitor: int = 0

    def log(self) -> str:
        """Standard output and standard error, one after the other."""
        texts = [self.folder / name for name in ("out", "err")]
        return "".join(each.read_text(encoding="utf-8") for each in texts)

    def find(self, pattern: str) -> re.Match[str]:
        return wait_until(lambda: re.search(pattern, self.log()))


@contextmanager
def commanded(folder: Path, *arguments: str, limits: str = "") -> Iterator[Command]:
    config, new = folder / "chat.toml", Command(folder)
    config.write_text(f"[limits]\n{limits}\n")
    command = [sys.executable, "-c", COMMAND, "--port", "0", "--config", str(config)]
    with open(folder / "out", "wb") as out, open(folder / "err", "wb") as err:
        process = subprocess.Popen(
            [*command, *arguments], stdin=-3, stdout=out, stderr=err
        )
        try:
            new.port = int(new.find(r"chat server on 127\.0\.0\.1:(\d+);")[1])
            if "--metrics" in arguments:
                new.monitor = int(new.find(r"http://localhost:(\d+)/metrics")[1])
            SERVERS[new.port] = Server(process.pid, None)
            yield new
            process.terminate()
            assert process.wait(LIMIT) == 0, "it ends as it should"
        finally:
            process.kill()
            process.wait()


def _flood(port: int, visits: int) -> None:
    """Connect from ever other networks, join under ever other names, and vanish."""
    count, end = 0, time.monotonic() + 6 * LIMIT
    while count < visits and time.monotonic() < end:
        address = f"127.{1 + count % 200}.{count % 7}.1"
        with suppress(OSError), socket.socket() as sock:
            sock.settimeout(LIMIT)
            sock.bind((address, 0))
            sock.connect(("127.0.0.1", port))
            join = b'{"type":"join","username":"u%d","room":"r%d"}\n'
            sock.sendall(join % (count, count % 50) if count % 2 else b"0\n" * 20)
            sock.recv(65_536)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4))
            count += 1


@pytest.mark.skipif(sys.platform != "linux", reason="has all of 127.0.0.0/8")
@pytest.mark.parametrize("form", ["line", "json"])
def test_log_flood(tmp_path: Path, form: str) -> None:
    """Each visit is two lines; without a bound they were 84 KB a second. Most are counted."""
    options = ["--log-format", form]
    with commanded(tmp_path, *options, limits="resume_window = 0") as server:
        with HonestPair(server.port) as pair:
            size, start = len(server.log()), time.monotonic()
            for run in [elsewhere_soon(_flood, server.port, 1500) for _ in "12"]:
                run.result()
            bound = 500 + 2 * (time.monotonic() - start)  # lines of a kind
            written = len(server.log()) - size
            pair.judge(f"log flood ({form}), {written} bytes of log; visits", 3000)
        assert written < 3 * bound * (300 if form == "json" else 120)  # three kinds
        assert pair.grown < 40
    text = server.log()
    assert "times more in" in text and "ann joined quiet" in text
    joined = [line for line in text.splitlines() if " joined r" in line]
    counted = sum(int(found[1]) - 1 for found in re.finditer(r"(\d+) times more", text))
    assert len(joined) <= bound + 10
    assert counted + len(text.splitlines()) >= 3000, "nothing is lost without a word"


EVIL = [
    "x\n2026-01-01 00:00:00 bob joined lobby, from 203.0.113.5 (connection 9)",
    "x\r2026-01-01 00:00:00 forged",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202edebrever\u2066\u2069",
    "\x9b31mred",
    "x\u2028forged\u2029forged\x85forged\x0bforged\x0cforged",
    '"}\n{"event":"join","username":"forged"}',
    "\x00\x7f\ud800",
    "%s %d {0} ${HOME}",
]
LINES = [
    r"chat server on \S+; Ctrl-C ends it",
    r"\d+ connections, \d+ MB at most",
    r"there are only \d+ MB of memory .*",
    r"http://localhost:\d+/metrics and http://localhost:\d+/health",
    r"(\d+ times more in \d+ s: )*[\w.-]+ (joined|left) [\w.-]+, from 127\.0\.0\.1 \(connection \d+\)",
    r"(\d+ times more in \d+ s: )*lost 127\.0\.0\.1: [a-z_ ]+(: [A-Za-z ]+)? \(connection \d+\)",
]


def everything_evil(port: int) -> int:
    """Put evil text wherever a client can put any. How often?"""
    count = 0
    for evil in EVIL:
        text = json.dumps(evil)
        raw = evil.encode("utf-8", "surrogatepass")
        for lines in (
            b'{"type":"join","username":%s}\n' % text.encode(),
            b'{"type":"join","username":"eve","room":%s}\n' % text.encode(),
            b'{"type":"join","username":"%s"}\n' % raw,
            b'{"type":%s}\n' % text.encode(),
            b'{"type":"join","username":"eve"}\n{"type":"status","status":%s}\n'
            b'{"type":"message","content":%s}\n{"type":"leave","room":%s}\n'
            % (text.encode(), text.encode(), text.encode()),
            raw + b"\n",
            b"GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (raw, raw),
            b"PROXY TCP4 %s 127.0.0.1 1 2\r\n" % raw,
            b"SSH-2.0-%s\r\n" % raw,
            (raw + b"\n") * 20,
        ):
            with suppress(OSError), LineClient(port) as client:
                client.send(lines)
                client.finish()
                while client.line():
                    pass
            count += 1
    return count


@pytest.mark.parametrize("form", ["line", "json"])
def test_log_injection(tmp_path: Path, form: str) -> None:
    options = ["--log-format", form, "--metrics", "0"]
    with commanded(tmp_path, *options) as server:
        with HonestPair(server.port) as pair:
            count = everything_evil(server.port)
            for evil in EVIL:
                raw = evil.encode("utf-8", "surrogatepass")
                with suppress(OSError), LineClient(server.monitor) as client:
                    client.send(b"GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (raw, raw))
                    client.line()
            time.sleep(SECONDS / 2)
            page = get(server.monitor)
            pair.judge(f"log injection ({form}), lines", count)
    text = server.log()
    assert "lost 127.0.0.1: bad_message" in text and "eve joined lobby" in text
    assert "203.0.113.5" not in text and "forged" not in text + page
    for line in text.split("\n")[:-1]:
        if form == "json":
            fields = json.loads(line)
            assert line.isascii() and line.isprintable() and fields["time"] > 1e9
            line = f"{fields['message']} (connection {fields.get('connection')})"
            line = line.removesuffix(" (connection None)")
        else:
            assert line.isprintable()
            line = re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (warning: )?", "", line)
        assert any(re.fullmatch(known, line) for known in LINES), line
    assert len(parsed(page)) > 40


def _visit_from_eight_threads(port: int, kind: str) -> int:
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(_visit, port, 2 * SECONDS, kind) for _ in range(8)]
        return sum(run.result() for run in runs)


def _visit(port: int, seconds: float, kind: str) -> int:
    """Visitors of the metrics: a thousand that say nothing, or noise, or that ask again and again."""
    sent = {
        "silent": b"",
        "slow": b"GET /metrics HT",
        "noise": bytes(range(256)) * 100,
        "asking": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "ill": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "stranger": b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    }[kind]
    end, count, held = time.monotonic() + seconds, 0, []
    while time.monotonic() < end:
        with suppress(OSError):
            sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
            held.append(sock)
            sock.sendall(sent)
            count += 1
        if len(held) >= 125 or kind not in ("silent", "slow") and len(held) > 20:
            held.pop(0).close()
    for sock in held:
        sock.close()
    return count


@pytest.mark.parametrize(
    "kind", ["silent", "slow", "noise", "asking", "ill", "stranger"]
)
def test_attackers_of_the_metrics(tmp_path: Path, kind: str) -> None:
    file = ["--data", str(tmp_path / "chat.db"), "--durability", "process"]
    data = file if kind == "ill" else []  # our own disk is not what is attacked
    with commanded(tmp_path, "--metrics", "0", *data) as server:
        with HonestPair(server.port) as pair:
            served, count = 0, 0
            for _ in range(4):  # on a slow machine, more than one attack
                visits = elsewhere_soon(_visit_from_eight_threads, server.monitor, kind)
                while not visits.done():
                    with suppress(OSError):
                        served += "chat_people 2" in get(server.monitor)
                    time.sleep(0.05)
                count += visits.result()
                if served >= 3:
                    break
            pair.judge(f"metrics, {kind}: {served} readings beside; visits", count)
        assert served >= 3, "who wants to see the figures sees them"
        assert pair.grown < 30
        assert parsed(get(server.monitor))["process_open_fds"] < 100
        logged = server.log()
        assert len(logged) < 5000 and "Traceback" not in logged
