"""What attackers do to a TLS port: the second half of the table in test_attacks.py, with the same honest pair, over TLS.

`make test ARGS="-s tests/test_attacks_tls.py"` prints a row for each.
"""

import selectors
import shutil
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from authority import raw_context
from test_attacks import SECONDS, HonestPair, attackers_go, elsewhere, running  # noqa: F401
from waiting import LIMIT, busy_for

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform == "win32", reason="counts on epoll"),
]
COUNT = 500
MOST_MEMORY = 40.0  # MiB that 500 who have not even begun may cost at most
FREE = {"connections_per_address": 0}  # what is measured is TLS, not who else helps


def hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        raw_context().wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def long_hello() -> bytes:
    """A hello that says it has 128 KiB, and all of it but the end."""
    size = 131_000
    message = b"\x01" + size.to_bytes(3, "big") + b"\x03\x03" + bytes(size)
    parts = (message[at : at + 16_000] for at in range(0, size - 16_000, 16_000))
    return b"".join(b"\x16\x03\x01\x3e\x80" + part for part in parts)


STATES = {
    "before the hello": lambda: b"",
    "in the hello": lambda: hello()[:100],
    "after the hello": hello,
    "in the middle": lambda: hello() + b"\x14\x03\x03\x00\x01\x01",
    "in a hello of 128 KiB": long_hello,
}


def _stall(port: int, state: str, seconds: float, again: bool) -> int:
    """So many are always there, each stalled in this state; who is dropped comes again."""
    words, connects = STATES[state](), 0
    selector = selectors.DefaultSelector()
    sockets: set[socket.socket] = set()
    end = time.monotonic() + seconds
    for _ in busy_for(seconds, lambda: connects >= COUNT):
        while len(sockets) < COUNT and (again or connects < COUNT):
            with suppress(OSError):
                sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
                connects += 1
                sock.setblocking(False)
                sockets.add(sock)
                selector.register(sock, selectors.EVENT_READ)
                with suppress(OSError):
                    sock.send(words)
            if time.monotonic() > end and connects >= COUNT:
                break
        for key, _ in selector.select(0.01):
            gone = True
            with suppress(OSError):
                gone = not key.fileobj.recv(65_536)
            if gone:
                selector.unregister(key.fileobj)
                sockets.discard(key.fileobj)
                key.fileobj.close()
    for sock in sockets:
        sock.close()
    return connects


def _say(port: int, kind: str, seconds: float) -> int:
    """One after the other says this, and waits for the end."""
    count = 0
    for _ in busy_for(seconds, lambda: count >= 5):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as sock:
            sock.settimeout(LIMIT)
            KINDS[kind](sock)
            count += 1
    return count


def _words(words: bytes, answer: bytes):
    def say(sock: socket.socket) -> None:
        sock.sendall(words)
        heard = b"".join(iter(lambda: sock.recv(4096), b""))
        assert heard.startswith(answer), heard

    return say


def _old_version(sock: socket.socket) -> None:
    context = raw_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with suppress(ssl.SSLError):
        context.wrap_socket(sock)
        raise AssertionError("it was accepted")


def _renegotiate(sock: socket.socket) -> None:
    """`openssl s_client` asks for it when it reads a line with an R."""
    address = "{}:{}".format(*sock.getpeername())
    command = ["openssl", "s_client", "-tls1_2", "-connect", address]
    done = subprocess.run(command, input=b"R\n", capture_output=True, timeout=LIMIT)
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert b"no renegotiation" in done.stdout + done.stderr


def _hello_again(sock: socket.socket) -> None:
    """A second hello after a good handshake, in clear."""
    with raw_context(maximum_version=ssl.TLSVersion.TLSv1_2).wrap_socket(sock) as tls:
        socket.socket.send(tls, hello())
        with suppress(OSError):
            assert tls.recv(10) == b"", "it ended"


def _oversized(sock: socket.socket) -> None:
    with raw_context().wrap_socket(sock) as tls:
        with suppress(OSError):
            socket.socket.sendall(tls, b"\x17\x03\x03\xff\xff" + bytes(65_535))
        with suppress(OSError):
            while tls.recv(10_000):
                pass


TEXT = b"This port speaks TLS."
KINDS = {
    "http": _words(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 "),
    "ssh": _words(b"SSH-2.0-OpenSSH_9.2\r\n", TEXT),
    "garbage": _words(bytes(range(1, 256)) * 50, TEXT),
    "old version": _old_version,
    "renegotiation": _renegotiate,
    "second hello": _hello_again,
    "oversized record": _oversized,
}


@pytest.mark.parametrize("again", [False, True], ids=["stay", "come again"])
@pytest.mark.parametrize("state", STATES)
def test_500_stall_in_the_handshake(state: str, again: bool) -> None:
    with running(tls=True, **FREE) as port, HonestPair(port) as pair:
        connects = elsewhere(_stall, port, state, SECONDS, again)
        assert connects >= COUNT
        pair.judge(f"TLS stalled {state}, connections", connects)
        assert pair.grown < MOST_MEMORY


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_good_on_a_tls_port(kind: str) -> None:
    if kind == "renegotiation" and shutil.which("openssl") is None:
        pytest.skip("there is no openssl command")
    with running(tls=True, **FREE) as port, HonestPair(port) as pair:
        count = elsewhere(_say, port, kind, SECONDS)
        assert count >= 5
        pair.judge(f"{kind} on the TLS port, connections", count)
        assert pair.grown < MOST_MEMORY
