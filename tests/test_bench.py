"""The benchmark's checker must find what is wrong: a checker that can't fail says nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.check import Reader, Stream  # noqa: E402
from bench.dialects import DIALECTS, Broken, content_of, user_name  # noqa: E402
from bench.load import children, cpu_seconds, work  # noqa: E402
from bench.report import aims, goals  # noqa: E402
from bench.servers import PEERS, ROOT, running  # noqa: E402

SIZE = 48


def message(sender: int, n: int, seq: int) -> bytes:
    return (
        b'{"type":"message","room":"r","seq":%d,"username":"%b","content":"%b"}\n'
        % (seq, user_name(sender).encode(), content_of(sender, n, SIZE))
    )


def room(dialect: str = "v1", sent: int = 9) -> tuple[Stream, list[Reader]]:
    readers = [Reader(i) for i in range(3)]
    for reader in readers:
        reader.sent = sent
    return Stream(
        "r", DIALECTS[dialect](), SIZE, readers, {user_name(i): i for i in range(3)}
    ), readers


GOOD = [message(0, 1, 2), message(1, 1, 3), message(0, 2, 4), message(2, 1, 5)]


def test_the_same_bytes_in_any_pieces_are_fine():
    stream, readers = room(sent=0)
    data = b"".join(GOOD)
    readers[0].sent, readers[1].sent, readers[2].sent = 2, 1, 1
    for reader, step in zip(readers, (1, 7, len(data))):
        for start in range(0, len(data), step):
            stream.feed(reader, data[start : start + step])
    assert stream.complete() and stream.order == [(0, 1), (1, 1), (0, 2), (2, 1)]
    assert [stream.delivered(r) for r in readers] == [4, 4, 4]


@pytest.mark.parametrize(
    "word, data",
    [
        ("lost", [GOOD[0], GOOD[2], GOOD[3]]),
        ("lost", GOOD[1:]),
        ("doubled", [GOOD[0], GOOD[0], *GOOD[1:]]),
        ("doubled", [*GOOD[:3], GOOD[1]]),
        ("out of order", [GOOD[0], GOOD[2], GOOD[1], GOOD[3]]),
        ("garbled", [GOOD[0], GOOD[1].replace(b"xxx", b"xyx", 1)]),
        ("garbled", [GOOD[0], GOOD[1].replace(b"u0001", b"u0002")]),
    ],
)
def test_one_member_gets_something_else_than_the_others(word, data):
    stream, readers = room()
    stream.feed(readers[0], b"".join(GOOD))
    with pytest.raises(Broken, match=word):
        stream.feed(readers[1], b"".join(data))


@pytest.mark.parametrize(
    "word, data",
    [
        ("lost", [message(0, 1, 2), message(0, 3, 3)]),
        ("doubled", [message(0, 1, 2), message(0, 1, 3)]),
        ("out of order", [message(0, 2, 2), message(0, 1, 3)]),
        (
            "out of order",
            [message(0, 1, 2), message(1, 1, 4)],
        ),  # the server's own numbers have a gap
        ("never sent", [message(0, n, n + 1) for n in range(1, 11)]),
    ],
)
def test_everybody_gets_the_same_and_it_is_wrong(word, data):
    stream, readers = room()
    with pytest.raises(Broken, match=word):
        stream.feed(readers[0], b"".join(data))


def test_the_last_message_missing_is_seen_at_the_end():
    stream, readers = room(sent=0)
    readers[0].sent = 1
    for reader in readers[:2]:
        stream.feed(reader, GOOD[0])
    assert not stream.complete() and "client 2 got 0" in stream.missing()


def test_a_keep_alive_is_taken_out_and_counted_even_in_halves():
    stream, readers = room()
    for reader in readers:
        for data in (GOOD[0] + b'{"type":"pi', b'ng"}\n' + GOOD[1]):
            stream.feed(reader, data)
    assert [r.owed for r in readers] == [1, 1, 1] and stream.order == [(0, 1), (1, 1)]


def nats(sender: int, n: int) -> bytes:
    return DIALECTS["nats"]().heard("r", content_of(sender, n, SIZE))


def test_one_order_per_sender_is_enough_where_no_more_is_promised():
    stream, readers = room("nats", sent=0)
    readers[0].sent, readers[1].sent = 2, 1
    stream.feed(readers[0], nats(0, 1) + nats(0, 2) + nats(1, 1))
    stream.feed(readers[1], nats(1, 1) + nats(0, 1)[:20])
    stream.feed(readers[1], nats(0, 1)[20:] + nats(0, 2))
    stream.feed(readers[2], nats(0, 1) + nats(1, 1))
    assert not stream.complete()
    stream.feed(readers[2], nats(0, 2))
    assert stream.complete()


@pytest.mark.parametrize(
    "word, data",
    [
        ("lost", nats(1, 1) + nats(0, 2)),
        ("doubled", nats(1, 1) + nats(0, 1) + nats(1, 1)),
        ("out of order", nats(0, 2) + nats(0, 1)),
    ],
)
def test_and_that_order_is_checked(word, data):
    stream, readers = room("nats")
    stream.feed(readers[0], nats(0, 1) + nats(0, 2) + nats(1, 1))
    with pytest.raises(Broken, match=word):
        stream.feed(readers[1], data)


class FaultyServer:
    """A chat of one room for two clients that spoils the third message for the second one."""

    def __init__(self, fault: str) -> None:
        self.fault, self.listener = fault, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock, self.socks, self.names, self.seq, self.kept = (
            threading.Lock(),
            [],
            {},
            0,
            b"",
        )
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        for _ in range(2):
            sock, _ = self.listener.accept()
            self.socks.append(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        import json

        name = ""
        try:
            for line in sock.makefile("rb"):
                data = json.loads(line)
                with self.lock:
                    if data["type"] == "join":
                        name = data["username"]
                        sock.sendall(b'{"type":"welcome"}\n')
                        continue
                    self.seq += 1
                    said = {
                        "type": "message",
                        "seq": self.seq,
                        "username": name,
                        "content": data["content"],
                    }
                    event = json.dumps(said).encode() + b"\n"
                    self.socks[0].sendall(event)
                    self.socks[1].sendall(self.spoil(event))
        except OSError:
            pass

    def spoil(self, event: bytes) -> bytes:
        if self.fault == "swapped" and self.seq in (3, 4):
            self.kept, event = (
                (event, b"") if self.seq == 3 else (b"", event + self.kept)
            )
        if self.seq == 3 and self.fault in ("lost", "doubled"):
            return b"" if self.fault == "lost" else event * 2
        return event

    def __enter__(self) -> FaultyServer:
        return self

    def __exit__(self, *_) -> None:
        for sock in (self.listener, *self.socks):
            sock.close()


@pytest.mark.parametrize(
    "fault, words",
    [
        ("lost", ("lost",)),
        ("doubled", ("doubled",)),
        ("swapped", ("out of order", "lost")),
    ],
)
def test_a_faulty_server_fails_the_run(fault, words):
    with FaultyServer(fault) as server:
        result = work(
            {
                "work": "burst",
                "dialect": "v1",
                "host": "127.0.0.1",
                "port": server.port,
                "pid": 0,
                "clients": 2,
                "senders": 1,
                "messages": 60,
                "seconds": 0.01,
                "patience": 2,
            }
        )
    assert result.get("broken", "").startswith(words), result


@pytest.mark.parametrize(
    "job",
    [
        {"work": "closed", "clients": 6, "rooms": 2, "warm": 0, "seconds": 0.1},
        {"work": "burst", "clients": 5, "senders": 2, "messages": 20, "seconds": 0.01},
        {"work": "paced", "clients": 4, "rate": 200, "warm": 0, "seconds": 0.2},
    ],
    ids=lambda job: job["work"],
)
def test_a_small_run_against_an_honest_server(job):
    with running(PEERS["asyncio"]) as (pid, port):
        result = work(
            {"dialect": "v1", "host": "127.0.0.1", "port": port, "pid": pid} | job
        )
    assert "broken" not in result and result["deliveries"] > 0, result


def test_a_small_echo_run():
    with running(PEERS["asyncio"], echo=True) as (pid, port):
        result = work(
            {
                "work": "echo",
                "dialect": "v1",
                "host": "127.0.0.1",
                "port": port,
                "pid": pid,
                "clients": 2,
                "warm": 0,
                "seconds": 0.1,
            }
        )
    assert "broken" not in result and result["deliveries"] > 0, result


# --- the aims, and who is measured ----------------------------------------------------------------------------------


def test_the_table_of_the_readme_is_the_one_that_the_report_uses():
    assert aims() in (ROOT / "bench" / "README.md").read_text(encoding="utf-8")


def test_an_aim_is_met_at_its_limit_and_not_beyond_it():
    measured = {
        "a//ours": {"deliveries_per_s": 345.0, "cpu_us_per_delivery": 0.9},
        "a//redis": {"deliveries_per_s": 300.0, "cpu_us_per_delivery": 1.0},
        "a//nats": {"deliveries_per_s": 120.0},
    }
    found = {goal["goal"]: goal["met"] for goal in goals(measured, [], 0.25)}
    rate, cpu = "(a) one room, deliveries/s", "(a) server's CPU per delivery"
    assert found[f"{rate}, by Redis Pub/Sub"] is True
    assert found[f"beyond: {rate}, by Redis Pub/Sub"] is False
    assert found[f"{cpu}, by Redis Pub/Sub"] is False
    assert found[f"{rate}, by NATS"] is False
    assert found[f"{rate}, by ngIRCd"] is None
    assert found["chat_server --help"] is True


def test_a_program_of_pypi_is_found_in_its_folder_and_nowhere_else(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("bench.servers.PROGRAMS", tmp_path)
    for name in ("valkey", "nats-new"):
        assert PEERS[name].why_not() == "not installed"
        program = tmp_path / PEERS[name].folder / PEERS[name].program
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\necho version 8.1.8\n")
        program.chmod(0o755)
        assert PEERS[name].why_not() is None
        assert PEERS[name].version() == "8.1.8"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="figures from /proc")
@pytest.mark.slow(seconds=10)
def test_the_room_with_irc_is_measured() -> None:
    command = [sys.executable, "-m", "bench.mixed", "--rounds", "1", "--seconds", "0.3"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert "JSON lines alone" in first and "(1.00)" in first and len(others) == 2
    assert all(float(line.split("(")[1][:4]) > 0 for line in others)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_cpu_time_of_a_server_is_that_of_its_workers_too() -> None:
    work = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    parent = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {!r}]); sys.stdin.read()"
    busy = work + "\nprint('done', flush=True)\nimport sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", parent.format(busy)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"done\n"
        assert len(children(process.pid)) == 1
        assert cpu_seconds(process.pid) >= 0.3
        process.stdin.close()
