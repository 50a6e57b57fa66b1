"""The commands, called from Python: one import for a chat, signals that come back."""

import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import python_tcp
from helpers import LIMIT

from python_tcp.account_tool import start_accounts
from python_tcp.backup import start_backup
from python_tcp import chat_app, chat_client, chat_server, line_client, protocol
from python_tcp.chat_app import run_chat_server, start_client, start_server
from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Listener
from python_tcp.lab_app import start_lab
from python_tcp.operations import HangUps
from python_tcp.protocol import JSONLines
from python_tcp.terminal import run_chat_terminal
from python_tcp.window_app import start_window


def test_one_import_is_enough_for_a_chat() -> None:
    assert chat_app.ChatServer is chat_server.ChatServer
    assert chat_app.ChatClient is chat_client.ChatClient
    assert chat_app.DEFAULT_PORT == protocol.DEFAULT_PORT == 8000
    assert chat_app.run_chat_client is line_client.run_chat_client
    names = {"ChatServer", "ChatClient", "run_chat_client", "DEFAULT_PORT"}
    assert names <= set(chat_app.__all__)


def test_the_server_may_run_in_a_thread_and_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    statuses = []
    with ChatServer() as taken:
        thread = threading.Thread(
            target=lambda: statuses.append(run_chat_server(port=taken.port))
        )
        thread.start()
        thread.join(LIMIT)
        assert run_chat_server(port=taken.port) == 1
    assert statuses == [1] and signal.getsignal(signal.SIGINT) is before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_whose_thread_has_died_ends_with_status_1_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def kill(server: ChatServer) -> None:
        def fail() -> None:
            raise GeneratorExit("a bug of ours")

        server._server.loop.call_threadsafe(fail)

    assert run_chat_server(port=0, on_start=kill) == 1
    assert capsys.readouterr().err.splitlines() == [
        "chat_server: has failed: GeneratorExit('a bug of ours')"
    ]


def test_a_server_without_a_thread_ends_with_status_1_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert run_chat_server(port=0) == 1
    assert capsys.readouterr().err == "chat_server: can't start new thread\n"


def test_the_server_says_where_it_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    families = ((socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0)))
    found = [(each, socket.SOCK_STREAM, 6, "", where) for each, where in families]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    monkeypatch.setattr(
        HangUps, "wait", lambda self, seconds: signal.raise_signal(signal.SIGINT)
    )
    assert run_chat_server("localhost", 0) == 0
    line = capsys.readouterr().out
    assert re.fullmatch(
        r"chat server on \[::1\]:(\d+), 127\.0\.0\.1:\1; Ctrl-C ends it\n", line
    )


@pytest.mark.parametrize(
    ("host", "further", "named"),
    [
        ("2001:db8::5", [], "[2001:db8::5]:0"),
        ("[2001:db8::5]", [], "[2001:db8::5]:0"),
        ("fe80::1%nowhere", [], "[fe80::1%nowhere]:0"),
        ("a..b", [], "a..b:0"),
        ("127.0.0.1", ["2001:db8::5"], "[2001:db8::5]:0"),
        ("127.0.0.1", ["fe80::1%nowhere"], "[fe80::1%nowhere]:0"),
        ("127.0.0.1", ["a..b"], "a..b:0"),
    ],
)
def test_an_address_that_can_not_be_listened_on_is_named_as_one_types_it(
    capsys: pytest.CaptureFixture[str], host: str, further: list[str], named: str
) -> None:
    """Nobody has these addresses. 2001:db8::/32 is for examples."""
    listeners = [Listener("json", JSONLines, each, 0) for each in further]
    assert run_chat_server(host, 0, listeners=listeners) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"chat_server: can't listen on {named}: ")


@pytest.mark.parametrize("option", ["--web", "--listen", "--files-listen"])
@pytest.mark.parametrize("address", ["::1", "2001:db8::7", "[::1:80", "a:b:80"])
def test_an_ipv6_address_without_a_port_or_brackets_is_one_line(
    capsys: pytest.CaptureFixture[str], option: str, address: str,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(chat_app, "run_chat_server", lambda *args, **options: 0)
    value = f"irc={address}" if option == "--listen" else address
    with pytest.raises(SystemExit) as ended:
        start_server(["--files", str(tmp_path), option, value])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    wrong = "host and port are like 127.0.0.1:80 or [::1]:80, not"
    assert line.endswith(f"{wrong} {address!r}")


@pytest.mark.parametrize("port", [-1, 80_000])
def test_what_is_no_port_is_no_port_of_a_chat_server(port: int) -> None:
    with pytest.raises(ValueError, match="a port is a number"):
        ChatServer(port=port)


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_chat_over_ipv6(host: str) -> None:
    with ChatServer(host) as server, ChatClient("ann") as client:
        assert client.connect(host, server.port) and client.join("lobby")


def test_an_input_that_can_not_be_reconfigured_is_fine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a notebook, whose standard input is no file."""
    with ChatServer() as server:
        monkeypatch.setattr(sys, "stdin", StringIO("hi\n"))
        arguments = [server.host, str(server.port), "--username", "ann"]
        assert start_client(arguments) == 0
    assert "ann: hi" in capsys.readouterr().out.splitlines()


def test_a_terminal_where_there_is_none_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a notebook, say."""
    assert run_chat_terminal(username="ann") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("chat_client: this is no terminal")


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (chat_app.start_server, "--vers"),
        (start_client, "--vers"),
        (start_window, "--vers"),
        (start_lab, "--vers list"),
        (start_lab, "run echo --he"),
        (start_accounts, "add ann --oper --he"),
        (start_backup, "chat.db copy.db --he"),
    ],
)
def test_an_option_is_not_abbreviated(
    start: Callable[..., int], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who reads arguments later, as a worker that begins anew, finds an option by its name."""
    with pytest.raises(SystemExit) as ended:
        start(words.split())
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1
    options = [word for word in words.split() if word.startswith("--")]
    assert said.endswith(f": unrecognized arguments: {' '.join(options)}\n")


@pytest.mark.parametrize(
    ("command", "start"),
    [
        ("chat_server", chat_app.start_server),
        ("chat_client", start_client),
        ("chat_window", start_window),
        ("tcp_lab", start_lab),
    ],
)
def test_a_command_tells_its_version(
    command: str, start: Callable, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        start(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{command} {python_tcp.__version__}\n"


def test_ctrl_c_outside_the_run_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the settings are read, modules are imported, or the log is written out."""

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    for name, start in ("open_files", start_server), ("on_a_terminal", start_client):
        monkeypatch.setattr(chat_app, name, interrupted)
        assert start(["--port", "0"] if start is start_server else []) == 130
    monkeypatch.setattr("python_tcp.window_app.ServerTrust", interrupted)
    assert start_window(["--tls"]) == 130


@pytest.mark.parametrize(
    "words",
    [
        ["--data", ""],
        ["--tls-cert", ""],
        ["--tls-key", ""],
        ["--config", ""],
        ["--files", ""],
        ["--redis", ""],
    ],
)
def test_a_name_that_a_shell_has_lost_starts_no_other_server(
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--data "$DATA"` with nothing in it: neither a chat in memory nor one without TLS."""
    monkeypatch.setattr(chat_app, "run_chat_server", lambda *a, **options: 0)
    with pytest.raises(SystemExit, match="2"):
        start_server(["--port", "0", *words])
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("chat_server: ") and words[0].strip("-") in line
