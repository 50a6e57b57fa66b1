"""`chat_server` as people and programs see it: who comes and goes, figures, lines or JSON, or nothing."""

import gc
import json
import logging
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from helpers import LIMIT, LineClient, wait_until

from python_tcp import console
from python_tcp.chat_server import ChatServer
from python_tcp.console import LOG_FORMATS, LogWriter, ServerConsole, _DroppingHandler
from python_tcp.console import _kind_and_network, _Repeats
from python_tcp.core import format_address
from python_tcp.protocol import UNSAFE

pytestmark = pytest.mark.slow  # it starts programs

termios = pytest.importorskip("termios", reason="needs a POSIX terminal")
fcntl = pytest.importorskip("fcntl")

from screen import SERVER, Terminal  # noqa: E402


@contextmanager
def on_a_terminal(*arguments: object) -> Iterator[tuple[Terminal, int]]:
    with Terminal(sys.executable, "-c", SERVER, "--port", 0, *arguments) as server:
        server.until("Ctrl-C ends it")
        (port,) = [
            match[1]
            for row in server.screen.rows()
            if (match := re.search(r"chat server on 127\.0\.0\.1:(\d+);", row))
        ]
        yield server, int(port)


def lines(server: Terminal) -> list[str]:
    return [re.sub(r"^[\d-]+ [\d:]+ ", "", row) for row in server.screen.rows() if row]


def test_it_shows_who_comes_and_goes_and_figures_when_asked() -> None:
    with (
        on_a_terminal() as (server, port),
        LineClient(port) as ann,
        LineClient(port) as bob,
    ):
        ann.join("ann")
        server.until("ann joined lobby")
        bob.join("bob", "dev")
        server.until("bob joined dev")
        bob.say("join", username="bob")
        server.until("bob joined lobby")
        ann.say("message", content="hello")
        ann.read_until("message")
        server.type("\r")
        server.until("2 people, 2 rooms, 2 connections, 1 messages, ")
        bob.say("leave", room="lobby")
        server.until("bob left lobby")
        bob.say("leave")  # a lost connection alone is no leave, so soon
        server.until("bob left dev")
        assert sum(line.startswith("bob left lobby, ") for line in lines(server)) == 1
        assert server.end("\x03") == 0
        assert not any("Traceback" in row for row in server.screen.everything())


def output_of(
    process: subprocess.Popen, number: int = signal.SIGTERM
) -> tuple[str, str]:
    process.send_signal(number)
    output, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    return output, errors


@contextmanager
def on_a_pipe(*arguments: object) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", SERVER, *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_json_is_one_object_a_line() -> None:
    with on_a_pipe("--port", 0, "--log-format", "json") as process:
        start = json.loads(process.stdout.readline())
        assert (
            start["event"] == "start"
            and start["host"] == "127.0.0.1"
            and start["level"] == "info"
            and start["time"] > 1.7e9
        )
        limits = json.loads(process.stdout.readline())
        assert (limits["event"], limits["connections"]) == ("limits", 1000)
        assert 1e9 < limits["memory"] < 2e9
        with LineClient(start["port"]) as ann:
            ann.join("ann")
            joined = json.loads(process.stdout.readline())
            assert (joined["event"], joined["username"], joined["room"]) == (
                "join",
                "ann",
                "lobby",
            )
            ann.say("leave")
        left = json.loads(process.stdout.readline())
        assert (left["event"], left["username"], left["room"], left["message"]) == (
            "leave",
            "ann",
            "lobby",
            "ann left lobby, from 127.0.0.1",
        )
        assert joined["connection"] == left["connection"] == 1
        assert output_of(process) == ("", "")


MORE = re.compile(r" (\d+) times more in \d+ s: ")


def test_a_loop_of_joining_and_leaving_is_counted(tmp_path: Path) -> None:
    """Row 12 of the attacks: the log grew by 218 to 800 KB a second, and had no address."""
    config = tmp_path / "chat.toml"
    config.write_text("[limits]\nflood_burst = 0\nresume_window = 0\n")
    with on_a_pipe("--port", 0, "--config", config) as process:
        port = int(re.search(r":(\d+);", process.stdout.readline())[1])
        with LineClient(port).join("eve") as eve:
            for number in range(300):
                eve.say("leave", room="lobby")
                eve.say("join", username="eve", room="lobby")
            eve.say("leave")
            eve.read_all()
        output, errors = output_of(process)
    said = [line for line in output.splitlines() if " eve " in line]
    assert errors == ""
    joined, left = (
        [line for line in said if f" eve {what} " in line]
        for what in ("joined", "left")
    )
    assert 51 <= len(joined) < 65 and len(left) < 65
    more = [int(found[1]) for line in joined if (found := MORE.search(line))]
    assert 50 + sum(more) == 301, "each join was written or counted"
    assert all(line.endswith("from 127.0.0.1 (connection 1)") for line in said)


def test_who_is_sent_away_is_told_with_address_and_reason() -> None:
    with on_a_pipe("--port", 0) as process:
        port = int(re.search(r":(\d+);", process.stdout.readline())[1])
        with LineClient(port) as eve:
            eve.send(b"nonsense\n" * 10)
            eve.read_all()
        with LineClient(port).join("ann") as ann:
            ann.say("leave")
            ann.read_all()
        output, errors = output_of(process)
    lost = [line for line in output.splitlines() if "lost" in line]
    assert errors == "" and len(lost) == 1, "leaving is no news"
    assert lost[0].endswith("lost 127.0.0.1: bad_message (connection 1)")


@pytest.mark.parametrize(("connections", "fits"), [(1000, False), (100, True)])
def test_it_warns_when_the_limits_are_above_the_memory(
    tmp_path: Path, connections: int, fits: bool
) -> None:
    """Row 18 of the attacks: with `ulimit -v` of 220 MB there were 1,975 MemoryErrors."""
    config = tmp_path / "chat.toml"
    config.write_text(f"[limits]\nconnections = {connections}\n")
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (7 * 10**8,) * 2); {SERVER}"
    command = [sys.executable, "-c", limited, "--port", "0", "--config", config]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        process.stdout.readline()
        assert f" {connections} connections, " in process.stdout.readline()
        output, errors = output_of(process)
    assert output == ""
    assert ("there are only 700 MB of memory" in errors) is not fits


def test_quiet_says_nothing(reserved_port: int) -> None:
    with on_a_pipe("--port", reserved_port, "--quiet") as process:

        def connected() -> LineClient | None:
            try:
                return LineClient(reserved_port)
            except OSError:
                return None

        with wait_until(connected) as ann:
            ann.join("ann")
        assert output_of(process) == ("", "")


@pytest.mark.parametrize("arguments", [["--quiet"], ["--log-format", "json"], []])
def test_a_port_in_use_is_said_in_one_line_also_if_quiet(arguments: list[str]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        on_a_pipe("--port", listener.getsockname()[1], *arguments) as process,
    ):
        output, errors = process.communicate(timeout=LIMIT)
        assert (
            process.returncode == 1
            and output == ""
            and errors.count("\n") == 1
            and "in use" in errors
        )


def test_wrong_arguments() -> None:
    with on_a_pipe("--log-format", "xml") as process:
        output, errors = process.communicate(timeout=LIMIT)
        assert (
            process.returncode == 2
            and output == ""
            and errors.count("\n") == 1
            and "xml" in errors
        )


@pytest.mark.skipif(sys.platform != "linux", reason="has all of 127.0.0.0/8")
def test_a_full_pipe_does_not_stop_the_chat(tmp_path: Path) -> None:
    """A pipe takes 64 KiB. Of one network so much would not be written: these are 150."""
    config = tmp_path / "chat.toml"
    unlimited = "flood_burst = 0\nconnections_per_address = 0\nresume_window = 0\n"
    config.write_text(f"[limits]\n{unlimited}")
    with on_a_pipe("--port", 0, "--config", config) as process:
        port = int(re.search(r":(\d+);", process.stdout.readline())[1])
        with LineClient(port) as ann:  # nobody reads what the server writes about these
            ann.join("ann", "elsewhere")
            for number in range(150):
                joins = (
                    b'{"type":"join","username":"x%d","room":"%d%s"}\n'
                    % (number, room, b"y" * 60)
                    for room in range(15)
                )
                source = (f"127.1.{number}.1", 0)
                with socket.create_connection(("127.0.0.1", port), LIMIT, source) as x:
                    x.sendall(b"".join(joins) + b'{"type":"leave"}\n')
                    while x.recv(65_536):
                        pass
            ann.say("message", content="still here")
            assert ann.read_until("message")["content"] == "still here"
        waiting = fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4))
        assert int.from_bytes(waiting, sys.byteorder) > 60_000, "the pipe was full"
        process.kill()


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("chat", level, "", 0, "%s", (text,), None)


def test_formats() -> None:
    as_line, as_json = (LOG_FORMATS[name]().format for name in ("line", "json"))
    line = as_line(record("ann joined \x1b[2Jlobby"))
    assert line.endswith(" ann joined \ufffd[2Jlobby")
    assert as_line(record("no", logging.WARNING)).endswith(" warning: no")
    text = as_json(record("a\nb\u2028"))
    fields = json.loads(text)
    assert (fields["level"], fields["message"]) == ("info", "a\nb\u2028")
    assert "\n" not in text


def test_warnings_and_the_rest_go_to_their_streams(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with LogWriter(LOG_FORMATS["line"]()):
        for level in (logging.INFO, logging.WARNING, logging.CRITICAL):
            logging.getLogger().handle(record(f"level {level}", level))
        try:
            raise ValueError("a fault of ours")
        except ValueError:
            logging.getLogger("python_tcp.test").exception("it failed")
    logging.getLogger().handle(record("after the end"))
    output, errors = capsys.readouterr()
    assert output.endswith(" level 20\n") and output.count("\n") == 1
    assert " warning: level 30\n" in errors and " critical: level 50\n" in errors
    assert (
        "it failed\n    Traceback" in errors and "ValueError: a fault of ours" in errors
    )


def test_a_stream_that_stands_still_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck = threading.Event()
    still = SimpleNamespace(write=lambda text: stuck.wait(90), flush=lambda: None)
    monkeypatch.setattr(sys, "stdout", still)
    start = time.monotonic()
    with LogWriter(LOG_FORMATS["line"]()):
        for number in range(5000):
            logging.getLogger().handle(noted(f"kind {number}", None))
    assert time.monotonic() - start < 60  # it waits for 90, or for ever
    stuck.set()


def test_a_program_without_output_logs_nothing_and_fails_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with LogWriter(LOG_FORMATS["json"]()):
        logging.getLogger().handle(record("to nobody", logging.ERROR))


def test_at_the_end_it_needs_no_further_thread(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with LogWriter(LOG_FORMATS["line"]()):
        monkeypatch.setattr(threading.Thread, "start", start)
        logging.getLogger().handle(record("the last line"))
    assert capsys.readouterr().out.endswith(" the last line\n")


def noted(event: str, address: str | None, text: str = "x") -> logging.LogRecord:
    noted = logging.makeLogRecord({"msg": text, "levelno": logging.INFO})
    noted.fields = {"event": event} | ({"address": address} if address else {})
    return noted


def test_what_comes_again_and_again_from_one_address_is_counted() -> None:
    repeats = _Repeats(_kind_and_network, 50, 2.0)
    for number in range(50):
        assert repeats.passed(noted("join", "192.0.2.1", f"{number}"), 0.0)
    assert repeats.passed(noted("join", "192.0.2.1", "51"), 0.0) == []
    assert repeats.passed(noted("join", "192.0.2.2"), 0.0), "another address"
    assert repeats.passed(noted("leave", "192.0.2.1"), 1.0), "another event"
    assert repeats.passed(noted("join", "192.0.2.1", "52"), 1.9) == []
    said = repeats.passed(noted("join", "192.0.2.1", "53"), 2.0)
    assert [each.getMessage() for each in said] == ["3 times more in 2 s: 53"]
    assert said[0].fields["address"] == "192.0.2.1" and repeats.rest() == []
    assert repeats.passed(noted("join", "192.0.2.1", "54"), 3.0) == []
    later = repeats.passed(noted("leave", "192.0.2.9"), 200.0)
    texts = [each.getMessage() for each in later]
    assert texts == ["1 times more in 0 s: 54", "x"], "what is left when it is over"


def test_an_attacker_with_a_network_of_addresses_is_one() -> None:
    repeats = _Repeats(_kind_and_network, 50, 2.0)
    records = [noted("join", f"2001:db8::{number:x}") for number in range(1000)]
    assert sum(len(repeats.passed(each, 0.0)) for each in records) == 50
    assert repeats.passed(noted("join", "2001:db8:1::1"), 0.0), "somebody else"


def test_a_line_without_an_address_is_known_by_its_text_without_the_numbers() -> None:
    repeats, written = _Repeats(_kind_and_network, 50, 2.0), []
    for number in range(100):
        text, values = "connection %s: a callback failed", (number,)
        new = logging.LogRecord("x", logging.ERROR, "", 0, text, values, None)
        written += repeats.passed(new, 0.0)
    assert len(written) == 50


def test_nothing_of_a_counted_record_is_kept_alive() -> None:
    """A traceback holds all frames, and what they hold: a connection, for example."""

    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    repeats = _Repeats(_kind_and_network, 1, 100.0)
    for _ in range(2):
        try:
            1 / len(str(held)[:0])
        except ZeroDivisionError:
            info = sys.exc_info()
            new = logging.LogRecord("x", logging.ERROR, "", 0, "no", None, info)
            repeats.passed(new, 0.0)
    del held, info, new
    gc.collect()
    assert gone() is None


def test_a_flood_from_everywhere_is_bounded() -> None:
    """A thousand networks flood for an hour with joins under new names: a day is 173,300 lines at most."""
    handler, lines, seconds = _DroppingHandler(queue.Queue()), 0, 3600
    for number in range(20_000):
        now = number * seconds / 20_000
        address = f"10.0.{number % 1000 // 250}.{number % 250}"
        for each in handler._of_network.passed(noted("join", address), now):
            lines += len(handler._of_all.passed(each, now))
    assert 500 < lines <= 500 + 2 * seconds


def test_kinds_of_lines_are_not_remembered_without_limit() -> None:
    repeats = _Repeats(_kind_and_network, 50, 2.0)
    for number in range(3000):
        address = f"10.0.{number // 250}.{number % 250}"
        assert len(repeats.passed(noted("join", address), 0.0)) == 1
        assert len(repeats._kinds) <= repeats.KINDS


WILD = st.text() | st.text(
    alphabet="a\n\r\x0b\x0c\x1b\x85\u2028\u202e\u2066\u2069\ud800 "
)


@given(WILD, WILD)
def test_whatever_is_in_a_text_only_we_begin_a_line(text: str, address: str) -> None:
    new = noted("lost", address, text)
    new.fields["connection"] = 7
    line = LOG_FORMATS["line"]().format(new)
    first, *others = line.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", first)
    assert all(other.startswith("    ") for other in others)
    assert UNSAFE.search(line) is None and line.endswith("(connection 7)")
    assert line.count("\u2066") == line.count("\u2069"), "isolates are closed"
    line = LOG_FORMATS["json"]().format(new)
    assert line.isascii() and line.isprintable()
    assert json.loads(line)["connection"] == 7


def test_a_traceback_that_quotes_a_stranger_forges_no_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with LogWriter(LOG_FORMATS["line"]()):
        try:
            raise ValueError("x\n2026-01-01 00:00:00 bob joined lobby")
        except ValueError:
            logging.getLogger("python_tcp.test").exception("it failed")
    rows = capsys.readouterr().err.splitlines()
    assert len(rows) > 3 and sum(row[0] != " " for row in rows) == 1


def test_a_server_on_every_address_says_which_others_type(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = {"0.0.0.0": ["192.0.2.7", "fd00::7"]}
    monkeypatch.setattr(console, "own_addresses", lambda host: addresses.get(host, []))
    caplog.set_level(logging.INFO, logger="python_tcp.console")
    for host in ("0.0.0.0", "127.0.0.1"):
        expected = addresses.get(host, [])
        caplog.clear()
        with ChatServer() as server:
            ServerConsole(server).started(host, 8000)
        said = [each for each in caplog.messages if "others" in each]
        assert said == [
            f"others reach it at {format_address(each, 8000)}" for each in expected
        ]
