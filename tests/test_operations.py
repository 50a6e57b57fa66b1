"""A running server gets new settings: by the real command, with the real signal, while people chat."""

import hashlib
import re
import signal
import socket
import ssl
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trustme
from helpers import LIMIT, LineClient, Program
from screen import SERVER, Terminal
from waiting import wait_until

from python_tcp import operations
from python_tcp.chat_app import Config
from python_tcp.operations import HangUps, Reloader, changed_settings, with_settings
from python_tcp.protocol import Limits

pytestmark = [
    pytest.mark.slow,  # it starts programs
    pytest.mark.skipif(
        not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP on Windows"
    ),
]


class Served:
    """A `chat_server` with a configuration file."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.file, self.program = folder / "chat.toml", program
        wait_until(lambda: program.lines)
        self.port = int(re.search(r":(\d+);", program.lines[0])[1])

    def hang_up(self, text: str, said: str) -> str:
        """Write the file, send SIGHUP, and wait for a new line that has `said` in it."""
        lines, errors = len(self.program.lines), len(self.program.errors)
        self.file.write_text(text)
        self.program.process.send_signal(signal.SIGHUP)

        def found() -> str:
            new = self.program.lines[lines:] + self.program.errors[errors:]
            return next((line for line in new if said in line), "")

        return str(wait_until(found))

    def limits(self, name: str) -> dict:
        """The limits that somebody hears who joins now."""
        with LineClient(self.port) as client:
            client.say("join", username=name)
            return client.read()["limits"]


def settle(client: LineClient) -> None:
    """The new limits were handed to the loop. After an answer, they are in force: the loop has
    done all that came before.
    """
    client.say("ping")
    client.read_until("pong")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (file := tmp_path / "chat.toml").write_text("port = 0\n")
    with Program("start_server", "--config", file) as program:
        yield Served(tmp_path, program)


def test_new_limits_are_in_force_and_nobody_is_lost(served: Served) -> None:
    with LineClient(served.port) as ann:
        ann.join("ann")
        served.hang_up(
            "port = 0\n[limits]\nrooms_per_client = 1\nflood_rate = 7\n",
            "limits.rooms_per_client is 1 now",
        )
        settle(ann)
        ann.say("join", room="dev")  # who is here goes by them, too
        assert ann.read()["type"] == "error"
        ann.say("message", content="still here")
        assert ann.read_until("message")["content"] == "still here"
        assert served.limits("bob").items() >= {"rooms": 1, "flood_rate": 7.0}.items()
    assert served.program.end(signal.SIGTERM) == (0, [])


def test_an_own_flood_limit_is_in_force_for_who_is_here(served: Served) -> None:
    with LineClient(served.port) as ann:
        ann.join("ann")
        served.hang_up(
            "port = 0\n[limits]\nflood_burst = 1\nflood_rate = 0.01\n", "flood_burst"
        )
        settle(ann)
        for content in "ab":
            ann.say("message", content=content)
        assert ann.read_until("error")["code"] == "rate_limited"


def test_a_mistake_keeps_everything_as_it_was_and_is_one_line(served: Served) -> None:
    before = served.limits("ann")
    text = "port = 0\n[limits]\nrooms_per_client = 1\nflood_rate = -7\n"
    line = served.hang_up(text, "error")
    assert "all stays as it was" in line and str(served.file) in line
    assert "limits.flood_rate" in line
    served.file.unlink()
    served.program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "No such file" in served.program.errors[-1])
    assert served.limits("bob") == before
    served.hang_up(
        "port = 0\n[limits]\nrooms_per_client = 1\n", "rooms_per_client is 1"
    )
    status, errors = served.program.end(signal.SIGTERM)
    assert status == 0 and len(errors) == 2


def test_what_needs_a_restart_is_said_each_time_and_stays(served: Served) -> None:
    for _ in range(2):
        line = served.hang_up("port = 7\n[limits]\ndata_bytes = 5\n", "port = 7")
        assert "warning: port = 7 needs a restart, and is 0 until then" in line
    assert served.limits("ann")
    lines = served.program.errors
    wait_until(
        lambda: sum("limits.data_bytes = 5 needs" in line for line in lines) == 2
    )
    served.hang_up("port = 0\n", "nothing has changed")


def test_quiet_is_taken_over(served: Served) -> None:
    served.hang_up("port = 0\nquiet = true\n[limits]\nconnections = 5\n", "restart")
    assert served.limits("ann")
    line = served.hang_up("port = 0\nquiet = false\n", "quiet is False now")
    assert "settings read again" in line
    assert not any("ann joined" in line for line in served.program.lines)
    assert served.limits("bob")
    wait_until(lambda: any("bob joined" in line for line in served.program.lines))


def test_an_argument_still_goes_before_the_file(tmp_path: Path) -> None:
    (file := tmp_path / "chat.toml").write_text("")
    with Program("start_server", "--config", file, "--port", 0, "--quiet") as program:
        wait_until(lambda: signal_is_handled(program.process.pid))
        file.write_text("port = 9\nquiet = false\ndurability = 'process'\n")
        program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: program.errors)
        assert program.end(signal.SIGTERM)[0] == 0
        (line,) = program.errors
        assert "durability = 'process' needs a restart" in line
        assert program.lines == []


def signal_is_handled(process: int, number: int = getattr(signal, "SIGHUP", 1)) -> bool:
    """Has it a handler for the signal, and with that a server that runs?"""
    (mask,) = re.findall(
        r"^SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text(), re.M
    )
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_under_nohup_it_reads_again(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup(1) does
    try:
        (file := tmp_path / "chat.toml").write_text("port = 0\n")
        with Program("start_server", "--config", file) as program:
            served = Served(tmp_path, program)
            wait_until(lambda: signal_is_handled(program.process.pid))
            served.hang_up("port = 0\n[limits]\nbad_lines = 3\n", "bad_lines is 3 now")
            assert program.end(signal.SIGTERM) == (0, [])
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_ups_are_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_it_could_read_again(
    served: Served, number: signal.Signals
) -> None:
    with LineClient(served.port) as ann:
        ann.join("ann")
        served.program.process.send_signal(signal.SIGHUP)
        assert served.program.end(number) == (0, [])
        assert ann.read_all()[-1]["code"] == "server_closing"


@pytest.mark.usefixtures("hang_ups_are_heard")
def test_a_closed_terminal_ends_it_but_kill_hup_in_it_does_not(tmp_path: Path) -> None:
    (file := tmp_path / "chat.toml").write_text("port = 0\n")
    command = [sys.executable, "-c", SERVER, "--config", file]
    with Terminal(*command, columns=200) as terminal:
        terminal.until("at most")
        port = int(re.search(r":(\d+);", terminal.bytes.decode())[1])
        terminal.process.send_signal(signal.SIGHUP)
        terminal.until("nothing has changed")
        with LineClient(port) as ann:
            ann.join("ann")
            terminal.hang_up()
            assert terminal.process.wait(LIMIT) == 0
            assert ann.read_all()[-1]["code"] == "server_closing"


# --- the parts ---------------------------------------------------------------------------------------------------


def test_only_the_main_thread_hears_hang_ups() -> None:
    before, heard = signal.getsignal(signal.SIGHUP), []

    def elsewhere() -> None:
        with HangUps() as hang_ups:
            heard.append((signal.getsignal(signal.SIGHUP), hang_ups.wait(0)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(LIMIT)
    assert heard == [(before, False)]


def test_a_handler_that_was_there_before_is_there_afterwards() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with HangUps():
            assert signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_every_setting_is_either_live_or_needs_a_restart_and_can_be_told() -> None:
    """Each field that there is now or comes later: it can be compared and taken over."""
    old, new = Config(), Config(port=1, limits=Limits(connections=1, flood_rate=2.0))
    changed = changed_settings(old, new)
    assert changed == {
        "port": (8000, 1),
        "limits.connections": (1000, 1),
        "limits.flood_rate": (5.0, 2.0),
    }
    assert with_settings(old, new, changed) == new
    assert {f"limits.{name}" for name in operations._FIXED}.isdisjoint(operations._LIVE)
    names = {f"limits.{name}" for name in Limits.__struct_fields__}
    assert operations._LIVE | {f"limits.{name}" for name in operations._FIXED} == names


class Point(msgspec.Struct, frozen=True, kw_only=True):
    x: int = 0


def test_what_can_not_be_applied_is_not_recorded() -> None:
    def refuse(settings: Point) -> None:
        raise OSError("no such certificate")

    reloader = Reloader(Point(), {"x"}, lambda: Point(x=1), refuse)
    assert not reloader.reload() and reloader.settings == Point()


# --- TLS, figures, and what else belongs to a server -------------------------------------------------------------


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A new certificate for localhost, and its key, at the same place each time."""
    made = trustme.CA().issue_cert("localhost")
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    made.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    return folder / "cert.pem", folder / "key.pem"


def shown_certificate(port: int) -> str:
    """The fingerprint of what the server shows to who connects now."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=LIMIT)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def tls_client(port: int) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), LIMIT))


def said_pins(program: Program) -> list[str]:
    return re.findall(r"pin is (\w+)", "\n".join(program.lines))


@pytest.mark.parametrize("with_a_file", [True, False])
def test_a_renewed_certificate_is_taken_over_and_nobody_is_lost(
    tmp_path: Path, with_a_file: bool
) -> None:
    cert, key = write_certificate(tmp_path)
    arguments = ["--port", 0, "--tls-cert", cert, "--tls-key", key]
    if with_a_file:
        (file := tmp_path / "chat.toml").write_text(
            f"tls_cert = '{cert}'\ntls_key = '{key}'\n"
        )
        arguments = ["--port", 0, "--config", file]
    with Program("start_server", *arguments) as program:
        wait_until(lambda: said_pins(program))
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        (pin,) = said_pins(program)
        assert shown_certificate(port) == pin
        with tls_client(port) as ann:
            ann.sendall(b'{"type":"join","username":"ann"}\n')
            heard = ann.makefile("rb")
            assert b"welcome" in heard.readline()

            before = cert.read_bytes()
            cert.write_text("half a certif")  # renewed, but badly
            program.process.send_signal(signal.SIGHUP)
            wait_until(lambda: program.errors)
            assert (
                "all stays as it was" in program.errors[0]
                and str(cert) in program.errors[0]
            )
            assert shown_certificate(port) == pin

            cert.unlink()
            program.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(program.errors) == 2)
            assert (
                "No such file" in program.errors[1] and str(cert) in program.errors[1]
            )
            cert.write_bytes(before)

            write_certificate(tmp_path)
            program.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(said_pins(program)) == 2)
            assert said_pins(program)[1] != pin
            assert shown_certificate(port) == said_pins(program)[1]
            ann.sendall(b'{"type":"message","content":"still here"}\n')
            lines = iter(heard.readline, b"")
            assert any(b"still here" in line for line in lines)
        assert program.end(signal.SIGTERM)[0] == 0


def test_its_own_certificate_is_the_same_after_a_restart(tmp_path: Path) -> None:
    pins = []
    for _ in range(2):
        arguments = ["--port", 0, "--tls-self", "--data", tmp_path / "chat.db"]
        with Program("start_server", *arguments) as program:
            wait_until(lambda: said_pins(program))
            port = int(re.search(r":(\d+);", program.lines[0])[1])
            assert [shown_certificate(port)] == said_pins(program)
            pins += said_pins(program)
            assert program.end(signal.SIGTERM)[0] == 0
    assert pins[0] == pins[1]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--tls-self", "--tls-cert", "cert.pem"], "one certificate"),
        (["--tls-key", "key.pem"], "needs a certificate"),
        (["--tls-cert", "none.pem"], "none.pem"),
        (["--tls-cert", "text.pem"], "text.pem"),
        (["--tls-cert", "cert.pem", "--tls-key", "other.pem"], "does not fit"),
    ],
)
def test_a_certificate_that_can_not_be_is_one_line(
    tmp_path: Path, arguments: list[str], why: str
) -> None:
    write_certificate(tmp_path)
    (tmp_path / "key.pem").rename(tmp_path / "other.pem")
    write_certificate(tmp_path)
    (tmp_path / "text.pem").write_text("no certificate")
    words = [tmp_path / word if word.endswith(".pem") else word for word in arguments]
    with Program("start_server", "--port", 0, *words) as program:
        status, errors = program.end()
    assert (status, program.lines, len(errors)) == (2, [], 1) and why in errors[0]


def test_clear_text_to_everybody_is_warned_about() -> None:
    with Program("start_server", "--host", "0.0.0.0", "--port", 0) as program:
        wait_until(lambda: program.errors)
        assert "without TLS" in program.errors[0] and "--tls-self" in program.errors[0]
        assert program.end(signal.SIGTERM)[0] == 0


def test_figures_and_health_are_served_and_a_taken_port_is_one_line(
    tmp_path: Path,
) -> None:
    data = tmp_path / "chat.db"
    with Program("start_server", "--port", 0, "--metrics", 0, "--data", data) as first:
        wait_until(lambda: any("/health" in line for line in first.lines))
        port = int(re.search(r"localhost:(\d+)/health", "\n".join(first.lines))[1])
        with urllib.request.urlopen(f"http://localhost:{port}/health") as answer:
            assert answer.read() == b"ok\n"
        with Program("start_server", "--port", 0, "--metrics", port) as second:
            status, errors = second.end()
            assert status == 1 and len(errors) == 1
            assert f"can't listen on port {port} for metrics" in errors[0]
        assert first.end(signal.SIGTERM) == (0, [])


def test_a_join_is_logged_with_its_address(served: Served) -> None:
    with LineClient(served.port) as ann:
        ann.join("ann")
    lines = served.program.lines
    joined = r"ann joined lobby, from 127\.0\.0\.1( \(connection \d+\))?$"
    wait_until(lambda: any(re.search(joined, line) for line in lines))


@pytest.mark.parametrize(
    ("address", "own", "shown"),
    [
        ("127.0.0.1:8001", [], "http://127.0.0.1:8001"),
        ("[::1]:8001", [], "http://[::1]:8001"),
        ("0.0.0.0:8001", ["192.0.2.7", "10.0.0.7"], "http://192.0.2.7:8001"),
        ("[::]:8001", ["fd00::7"], "http://[fd00::7]:8001"),
        ("0.0.0.0:8001", [], "http://localhost:8001"),
    ],
)
def test_the_address_for_browsers_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, address: str, own: list[str], shown: str
) -> None:
    """On other machines too, if the server listens on every address of this one."""
    monkeypatch.setattr(operations, "own_addresses", lambda host: own)
    assert operations._in_a_browser(address, tls=False) == shown
