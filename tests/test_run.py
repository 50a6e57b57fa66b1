"""`make run`'s program as a real process."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from waiting import LIMIT

from python_tcp.core import own_addresses

pytestmark = pytest.mark.slow  # it starts programs

ROOT = Path(__file__).resolve().parent.parent


def command(
    site: Path, site_port: int = 0, chat_port: int = 0, web_port: int = 0
) -> list:
    return [
        sys.executable,
        ROOT / "tools" / "run.py",
        "--site",
        site,
        "--site-port",
        str(site_port),
        "--chat-port",
        str(chat_port),
        "--web-port",
        str(web_port),
    ]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("the book")
    return tmp_path


@contextmanager
def running(site: Path, *more: str) -> Iterator[tuple[subprocess.Popen, str, int]]:
    """The process, the address of its site, the port of its chat."""
    process = subprocess.Popen(
        [*command(site), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        book, chat = process.stdout.readline(), process.stdout.readline()
        yield (
            process,
            re.search(r"http://\S+", book)[0],
            int(re.search(r":(\d+)\.", chat)[1]),
        )
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_answer_and_both_end(site: Path, number: signal.Signals) -> None:
    with running(site) as (process, address, chat_port):
        assert urllib.request.urlopen(address, timeout=LIMIT).read() == b"the book"
        with socket.create_connection(
            ("127.0.0.1", chat_port), timeout=LIMIT
        ) as client:
            client.sendall(b'{"type": "ping"}\n')
            lines = client.makefile("rb")
            assert b'"pong"' in lines.readline()
            start = time.monotonic()
            process.send_signal(number)
            _, errors = process.communicate(timeout=LIMIT)
            assert b'"server_closing"' in lines.read()
        assert time.monotonic() - start < LIMIT / 2
        assert (process.returncode, errors) == (0, "")
        for port in (int(address.rpartition(":")[2]), chat_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=LIMIT)


def test_the_chat_is_there_for_browsers_too(site: Path) -> None:
    with running(site) as (process, _, _):
        said = process.stdout.readline()
        page = re.fullmatch(r"The chat in a browser: (http://\S+)\n", said)[1]
        with urllib.request.urlopen(page, timeout=LIMIT) as answer:
            assert answer.status == 200 and b"<title>Chat</title>" in answer.read()


def test_a_class_gets_addresses_that_it_can_type(site: Path) -> None:
    """HOST=0.0.0.0: book, chat and page are there for other machines, under an address of this one."""
    with running(site, "--host", "0.0.0.0") as (process, address, chat_port):
        said = process.stdout.readline()
        page = re.fullmatch(r"The chat in a browser: (http://\S+)\n", said)[1]
        host = urlsplit(address).hostname
        assert host in (own_addresses("0.0.0.0") or ["0.0.0.0"])
        for place in (address, page):
            assert urlsplit(place).hostname == host
            with urllib.request.urlopen(place, timeout=LIMIT) as answer:
                assert answer.status == 200
        socket.create_connection((host, chat_port), timeout=LIMIT).close()


def test_an_address_of_another_machine_is_said_in_one_line(site: Path) -> None:
    done = subprocess.run(
        [*command(site), "--host", "198.51.100.7"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"The site can't be served on port 0: .+\n", done.stderr)


@pytest.mark.parametrize("which", ["site_port", "chat_port", "web_port"])
def test_a_port_in_use_is_said_in_one_line(site: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(site, **{which: port}), capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        len(done.stderr.splitlines()) == 1 and f"Port {port} is in use" in done.stderr
    )
