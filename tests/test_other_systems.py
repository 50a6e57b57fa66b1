"""Windows and macOS, as far as one can look at them from Linux: what only Linux has is taken away (tests/without_linux), or Windows' select() is put in the place of epoll."""

import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest
from waiting import wait_until

import python_tcp.loop
from python_tcp.client import TCPClient
from python_tcp.limits import Limits
from python_tcp.other_systems import SPARE, fitting_limits, most_sockets
from python_tcp.server import EventDrivenTCPServer
from python_tcp.speaking import chat_engine

ROOT = Path(__file__).resolve().parent.parent
AWAY = ROOT / "tests" / "without_linux"
LIMIT = 20.0  # seconds
START = "import sys; from python_tcp.chat_app import start_{0} as it; sys.exit(it())"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="takes Linux away, which has to be there"
)


def elsewhere(system: str, **more: str) -> dict[str, str]:
    """The environment of a program that believes to be there. Windows writes in cp1252."""
    path = os.pathsep.join([str(AWAY), str(ROOT)])
    env = {**os.environ, "SYSTEM": system, "PYTHONPATH": path, **more}
    return {"PYTHONIOENCODING": "cp1252"} | env if system == "win32" else env


def said(system: str, code: str) -> str:
    """What a program prints that believes to be there. It reads no text without an encoding."""
    command = [sys.executable, "-X", "warn_default_encoding", "-c", code]
    command[1:1] = ["-W", "error::EncodingWarning:python_tcp"]
    done = subprocess.run(
        command, env=elsewhere(system), capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- imports -------------------------------------------------------------------------------------

IMPORTS = """
import importlib, json, os, pkgutil, re, sys
from pathlib import Path
import python_tcp
from python_tcp.other_systems import CellSkipper
for module in pkgutil.iter_modules(python_tcp.__path__):
    importlib.import_module(f"python_tcp.{module.name}")
assert (sys.platform, os.name) == (SYSTEM, "nt" if SYSTEM == "win32" else "posix")
skipped = 0
for path in sorted(Path("nbs").glob("*.ipynb")):
    import python_tcp.other_systems as ours
    ours._SKIPPER = skipper = CellSkipper()
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        lines = [line for line in source.splitlines() if line and line[0] != "#"]
        starts = ("import ", "from ", " ", ")", "only_on(")
        if cell["cell_type"] != "code" or not all(line.startswith(starts) for line in lines):
            continue
        if not lines or lines[0][0] in " )":
            continue
        [run] = skipper([source]) or [""]
        skipped += run != source
        try:
            exec(run, {"__name__": "__main__", "only_on": ours.only_on})
        except Exception as error:
            sys.exit(f"{path.name}: {source}: {error!r}")
print("skipped", skipped)
"""


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_every_module_and_every_import_cell_can_be_imported(system: str) -> None:
    code = f"SYSTEM = {system!r}\n{IMPORTS}"
    name, _, count = said(system, code).splitlines()[-1].rpartition(" ")
    assert name == "skipped" and (int(count) > 2) == (system == "win32")


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_types_are_right_there(system: str) -> None:
    """A name that a system does not have is used nowhere without asking first."""
    unix_only = {
        "file_store.py": "--files says that it is not for Windows",
        "file_server.py": "it serves those",
        "lab_keyboard.py": "it says so when it is made",
        "window_parts.py": "it asks whether Tk has the function",
    }
    command = [sys.executable, "-m", "mypy", "--platform", system]
    command += ["--cache-dir", str(ROOT / ".mypy_cache" / system)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    files = [line.partition(":")[0] for line in done.stdout.splitlines()[:-1]]
    wrong = {Path(name).name for name in files}
    assert wrong - (unix_only.keys() if system == "win32" else set()) == set()


def test_that_a_missing_name_is_noticed() -> None:
    code = "try:\n    import os\n    os.fork\nexcept AttributeError as error:\n"
    code += "    print(error)\nimport sys; print(sys.platform)"
    assert "fork" in said("win32", code) and "win32" in said("win32", code)
    assert said("darwin", "import os; print(os.fork.__name__)") == "fork"


# --- select --------------------------------------------------------------------------------------


def test_a_selector_says_how_much_it_can_watch() -> None:
    assert most_sockets(selectors.EpollSelector) is None
    assert most_sockets(selectors.SelectSelector) == 1024
    code = "from python_tcp.other_systems import most_sockets; print(most_sockets())"
    assert said("win32", code) == "512"


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("this process may not open 2000 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_that_select_cannot_watch_is_closed_and_the_server_lives(
    monkeypatch: pytest.MonkeyPatch, many_descriptors: None
) -> None:
    monkeypatch.setattr(python_tcp.loop, "DefaultSelector", selectors.SelectSelector)
    with EventDrivenTCPServer() as server, ExitStack() as stack:
        address = (server.host, server.port)
        while (filler := os.open(os.devnull, os.O_RDONLY)) < 1024:
            stack.callback(os.close, filler)
        os.close(filler)
        with socket.create_connection(address, timeout=LIMIT) as refused:
            try:
                assert refused.recv(1) == b""
            except ConnectionResetError:
                pass
        stack.close()
        with contextlib.closing(TCPClient()) as client:
            client.connect(*address)
            client.send(b"hello")
            assert client.receive() == b"hello"
        assert server.running and server.failure is None


def test_the_chat_takes_as_many_as_select_can_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = Limits(connections=1000)
    assert fitting_limits(limits).connections == 1000
    assert fitting_limits(limits, selectors.SelectSelector).connections == 1024 - SPARE
    few = Limits(connections=7)
    assert fitting_limits(few, selectors.SelectSelector) == few
    monkeypatch.setattr(
        "python_tcp.speaking.fitting_limits", lambda it: Limits(connections=5)
    )
    chat_engine("127.0.0.1", 0, limits, [])
    assert limits.connections == 5


# --- a chat --------------------------------------------------------------------------------------


class Chat:
    """A program of ours that believes to be elsewhere, on pipes."""

    def __init__(self, system: str, which: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", START.format(which), *arguments],
            env=elsewhere(system),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="cp1252" if system == "win32" else "utf-8",
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)

    def type(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def shows(self, text: str) -> str:
        """Wait until a line has this text."""
        wait_until(lambda: any(text in line for line in self.lines) or self._ended())
        found = [line for line in self.lines if text in line]
        assert found, self.lines
        return found[0]

    def _ended(self) -> bool:
        return self.process.poll() is not None and not self._reader.is_alive()

    def __enter__(self) -> "Chat":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


def server_of(system: str, *arguments: str) -> tuple[Chat, str]:
    server = Chat(system, "server", "--port", "0", *arguments)
    line = server.shows("chat server on 127.0.0.1")
    return server, re.search(r"(\d+); Ctrl-C", line)[1]


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_people_chat_there(system: str, tmp_path: Path) -> None:
    server, port = server_of(system, "--data", str(tmp_path / "chat.db"))
    here = "127.0.0.1", port, "--username"
    with server, Chat(system, "client", *here, "ann") as ann:
        ann.shows("Welcome to lobby, ann!")
        with Chat(system, "client", *here, "zoe") as zoe:
            ann.shows("zoe")
            zoe.type("une idée")
            assert "une idée" in ann.shows("une id")
            ann.type("/quit")
            assert ann.process.wait(LIMIT) == 0
            zoe.shows("ann left")
            zoe.process.stdin.close()
            assert zoe.process.wait(LIMIT) == 0
        server.process.send_signal(signal.SIGINT)  # Ctrl-C
        assert server.process.wait(LIMIT) == 0


@pytest.mark.slow(seconds=3)
def test_the_512_sockets_of_windows(tmp_path: Path) -> None:
    """More people come than select() can watch. Those above hear that the server is full."""
    config = tmp_path / "chat.toml"
    config.write_text('trusted_networks = ["127.0.0.0/8"]\n', encoding="utf-8")
    server, port = server_of("win32", "--config", str(config))
    with server, ExitStack() as stack:
        server.shows(f"{512 - SPARE} connections, ")
        server.shows("select() takes no more connections than that on this system")
        address = "127.0.0.1", int(port)
        ann = stack.enter_context(socket.create_connection(address, LIMIT))
        ann.sendall(b'{"type":"join","username":"ann"}\n')
        words = stack.enter_context(ann.makefile("rb"))
        assert b'"welcome"' in words.readline()
        crowd = []
        for _ in range(560):
            try:
                new = socket.create_connection(address, LIMIT)
            except ConnectionResetError:
                continue
            crowd.append(stack.enter_context(new))
            new.setblocking(False)

        def full() -> int:
            return sum(b"server_full" in heard(sock) for sock in crowd)

        texts: dict[socket.socket, bytes] = {}

        def heard(sock: socket.socket) -> bytes:
            try:
                texts[sock] = texts.get(sock, b"") + sock.recv(65536)
            except OSError:
                pass
            return texts.get(sock, b"")

        wait_until(lambda: full() >= 560 + 1 - (512 - SPARE))
        ann.sendall(b'{"type":"message","content":"still here"}\n')
        while b"still here" not in words.readline():
            pass
        assert server.process.poll() is None


@pytest.mark.slow(seconds=3)
def test_the_client_for_terminals_is_what_windows_gets() -> None:
    """The half of prompt_toolkit that is for Windows is played by the other half; all that is ours goes its way."""
    from screen import CLIENT, Terminal

    server, port = server_of("win32")
    command = [sys.executable, "-c", CLIENT, "127.0.0.1", port, "--username", "ann"]
    env = elsewhere("win32") | {"TERM": "", "PYTHONIOENCODING": "utf-8"}
    with server, Terminal(*command, **env) as terminal:
        terminal.until("Welcome to lobby, ann!")
        with Chat("win32", "client", "127.0.0.1", port, "--username", "bob") as bob:
            terminal.until("bob joined")
            terminal.type("hello from a console\r")
            bob.shows("ann: hello from a console")
        terminal.until("bob")
        assert terminal.end("/quit\r") == 0


@pytest.mark.slow(seconds=5)
def test_a_notebook_on_pseudo_terminals_runs_through_on_windows() -> None:
    from test_notebooks import NBS, run

    stored = nbformat.read(NBS / "056_hidden_input.ipynb", as_version=4)
    env = {"SYSTEM": "win32", "PYTHONPATH": elsewhere("win32")["PYTHONPATH"]}
    (fresh,), _ = run(stored, rounds=1, **env)  # raises what a cell raises
    texts = [
        output["text"] for cell in fresh.cells for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    ]  # fmt: skip
    assert sum("This cell needs Linux or macOS" in text for text in texts) >= 5
    assert any("data" in out for cell in fresh.cells for out in cell.get("outputs", []))
