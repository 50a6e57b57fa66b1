"""/send and /get as people use them: on a terminal, in a pipe, and in windows."""

import os
import re
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from file_sharing import FileChat, heard_file, only_paused, some_bytes
from helpers import Program
from screen import chat as terminal
from waiting import wait_until

MB = 1_000_000
LONG = 40.0

pytestmark = pytest.mark.slow(seconds=4)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of all programs of a test."""
    (home := tmp_path / "home").mkdir()
    (home / "Downloads").mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FileChat]:
    with FileChat(tmp_path / "store") as chat:
        yield chat


# --- lines ----------------------------------------------------------------------------------------


def test_a_file_in_a_pipe(files: FileChat, home: Path) -> None:
    data = some_bytes(MB)
    (home / "my cat.jpg").write_bytes(data)
    place = ("127.0.0.1", files.server.port, "--username")
    with (
        Program("start_client", *place, "ann") as ann,
        Program("start_client", *place, "bob") as bob,
    ):
        bob.expect("* Welcome to lobby, bob!")
        ann.expect("* Welcome to lobby, ann!")
        ann.type("/send ~/my cat.jpg Minka.jpg")
        ann.expect("* Minka.jpg (1.0 MB) is sent.")
        bob.expect("** ann shares Minka.jpg (1.0 MB): /get 1")
        bob.type("/get 1")
        bob.type("/quit")  # it waits for the file
        assert bob.end() == (0, [])
        [line] = [line for line in bob.lines if "is fetched" in line]
        path = home / "Downloads" / "Minka.jpg"
        assert line == f"* Minka.jpg (1.0 MB) is fetched, and unchanged: {path}"
        assert path.read_bytes() == data
        ann.type("/send ~")
        ann.expect(f"! {home.name} can't be sent: {home} is a folder")
        ann.type("/send ~/dog.jpg")
        ann.expect(f"! dog.jpg can't be sent: there is no file {home}/dog.jpg")
        ann.type("/get 7")
        ann.type("/get x")
        ann.type("/send")
        ann.expect(
            "! File 7 was not shared here lately; /history N shows more of what was said."
        )
        ann.expect("! /get takes the number of a file")
        ann.expect("! Usage: /send FILE [NAME]")


def test_the_end_of_the_input_waits_for_a_file(files: FileChat, home: Path) -> None:
    (home / "cat.jpg").write_bytes(some_bytes(MB))
    bob = files.person("bob")
    place = ("127.0.0.1", files.server.port, "--username", "ann")
    with Program("start_client", *place) as ann:
        ann.type("/send ~/cat.jpg")
        ann.process.stdin.close()
        assert ann.end() == (0, [])
        assert "* cat.jpg (1.0 MB) is sent." in ann.lines
    assert heard_file(bob).name == "cat.jpg"


def test_ctrl_c_stops_a_file_and_says_so(files: FileChat, home: Path) -> None:
    (home / "film.mkv").write_bytes(some_bytes(3 * MB))
    ann = files.person("ann")
    assert ann.send_file(home / "film.mkv")
    only_paused(files)
    with Program(
        "start_client", "127.0.0.1", files.server.port, "--username", "bob"
    ) as bob:
        bob.expect("* Welcome to lobby, bob!")
        bob.type("/history 5")
        wait_until(lambda: any("/get 1" in line for line in bob.lines))
        bob.type("/get 1")
        wait_until(lambda: any("trying again" in line for line in bob.lines), LONG)
        bob.type("/quit")
        bob.expect("* Leaving when the files are there; Ctrl-C stops them.")
        assert bob.end(signal.SIGINT) == (0, [])
        assert any(
            line.startswith("! film.mkv is not fetched: stopped at")
            for line in bob.lines
        )
    [part] = os.listdir(home / "Downloads")
    assert part.endswith(".part")


# --- a terminal -----------------------------------------------------------------------------------


def test_on_a_terminal_with_a_bar_that_moves(files: FileChat, home: Path) -> None:
    data = some_bytes(3 * MB)
    (home / "my film.mkv").write_bytes(data)
    ann = files.person("ann")
    with terminal(files.server.port, "bob", columns=100, rows=16) as bob:
        bob.until("in lobby:")
        bob.type('/send "~/my film.mkv" film.mkv\r')
        bob.until("film.mkv (3.0 MB) is sent.")
        bob.until("bob shares film.mkv (3.0 MB): /get 1")
        file = heard_file(ann)
        only_paused(files)
        bob.type("/get 1\r")
        bob.until("trying again")
        bob.until("| fetching film.mkv")  # in the bar, with how far it is
        assert ann.send_message("hello, bob")
        bob.until("hello, bob")
        bob.type("hello, ann\r")
        wait_until(lambda: any("hello, ann" in line for line in ann.lines))
        files.proxy.plan = lambda: None
        files.proxy.heal()
        bob.until("is fetched, and unchanged:")
        path = home / "Downloads" / "film.mkv"
        assert path.read_bytes() == data
        bob.type(f"/get {file.number} ~\r")
        bob.until(f"{home}/film.mkv")
        only_paused(files)
        (home / "film.mkv").unlink()
        bob.type("/get 1 ~\r")
        bob.until("trying again")
        bob.type("/quit\r")
        bob.until("film.mkv is not fetched: stopped at")
        bob.until("Goodbye!")


# --- the whole program ----------------------------------------------------------------------------


def test_the_page_of_chat_server_may_reach_its_files(tmp_path: Path) -> None:
    options = ("--files", tmp_path / "store", "--files-listen", "0", "--web", "0")
    with Program("start_server", "--port", "0", *options) as server:

        def found(pattern: str) -> re.Match[str] | None:
            return re.search(pattern, "\n".join(server.lines + server.errors))

        page = wait_until(lambda: found(r"in a browser: http://([\w.]+):(\d+)"))
        files = wait_until(lambda: found(r"files: .*, at (http://\S+)"))
        asked = HTTPConnection(page[1], int(page[2]), timeout=60)
        asked.request("GET", "/")
        policy = asked.getresponse().getheader("Content-Security-Policy")
        asked.close()
        assert f" {files[1]};" in policy
        assert server.end(signal.SIGTERM)[0] == 0
