"""A TCP proxy for tests: stands between clients and a server, and cuts, resets, stalls or delays on request."""

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from helpers import LIMIT


class Cut(NamedTuple):
    """Cut a connection as soon as so many bytes have gone in one direction."""

    after: int
    upward: bool  # those from the client to the server
    reset: bool  # with RST, not FIN


class Half:
    """One of the two sockets of a link, and what waits to be written to it."""

    def __init__(self, sock: socket.socket, link: "Link", upward: bool) -> None:
        self.sock, self.link, self.upward = sock, link, upward
        self.waiting = bytearray()
        self.other: Half
        self.finished = False  # its FIN has come


class Link:
    """A client's connection to the proxy, and the proxy's connection to the server."""

    def __init__(
        self, client: socket.socket, server: socket.socket, cut: Cut | None
    ) -> None:
        self.client, self.server = Half(client, self, True), Half(server, self, False)
        self.client.other, self.server.other = self.server, self.client
        self.cut = cut
        self.gone = {True: 0, False: 0}  # bytes, by `upward`


class Proxy:
    """Listens on `port`, and connects each client with `target` (host, port).

    `plan()` is asked at each new connection when to cut it; None: never. All methods may be called
    from any thread.
    """

    def __init__(
        self, target: tuple[str, int], plan: Callable[[], Cut | None] = lambda: None
    ) -> None:
        self.target, self.plan = target, plan
        self.cuts = 0  # so many were made
        self.downward: bytearray | None = (
            None  # where to keep what servers say, if anywhere
        )
        self.stalling = self.refusing = False
        self._still_until = 0.0  # on the clock of `time.monotonic`
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._links: set[Link] = set()
        self._kept: list[socket.socket] = []  # open, and nothing will ever come of them
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._waker, self._wake = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._waker, selectors.EVENT_READ, None)
        self._running = True
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    # --- what a test asks for ---

    def cut(self, reset: bool = False) -> None:
        """Cut every connection now."""
        with self._lock:
            for link in list(self._links):
                self._cut(link, reset)

    def stall(self) -> None:
        """From now on forward nothing, and close nothing: not for those that are here, not for new ones."""
        with self._lock:
            self.stalling = True
            for link in list(self._links):
                self._freeze(link)

    def delay(self, seconds: float) -> None:
        """For so long nothing arrives, and nobody gets in; then all that was sent meanwhile does."""
        self._still_until = time.monotonic() + seconds

    def refuse(self) -> None:
        """Cut every connection now, and each new one at once."""
        self.refusing = True
        self.cut()

    def heal(self) -> None:
        """New connections get through again. Those that were stalled never will."""
        self.stalling = self.refusing = False

    def make_ghosts(self) -> None:
        """Reset the clients' ends. The server hears nothing of it: its ends stay open."""
        with self._lock:
            for link in list(self._links):
                self._freeze(link)
                self._kept.remove(link.client.sock)
                _close(link.client.sock, reset=True)

    @property
    def links(self) -> int:
        return len(self._links)

    # --- how it is done ---

    def _run(self) -> None:
        while self._running:
            ready = self._selector.select()
            time.sleep(max(0.0, self._still_until - time.monotonic()))
            for key, events in ready:
                with self._lock:
                    if key.fileobj is self._waker:
                        self._running = False
                    elif key.fileobj is self._listener:
                        self._accept()
                    elif key.data.link in self._links:  # not cut earlier in this round
                        self._serve(key.data, events)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self.stalling:
            self._kept.append(client)
            return
        if self.refusing:
            return _close(client, reset=True)
        try:
            server = socket.create_connection(self.target, timeout=LIMIT)
        except OSError:
            return _close(client, reset=True)
        link = Link(client, server, self.plan())
        self._links.add(link)
        for half in (link.client, link.server):
            half.sock.setblocking(False)
            half.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(half.sock, selectors.EVENT_READ, half)

    def _serve(self, half: Half, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._write(half)
            if events & selectors.EVENT_READ and half.link in self._links:
                self._read(half)
        except OSError:
            self._drop(half.link, reset=True)

    def _read(self, half: Half) -> None:
        link, cut = half.link, half.link.cut
        data = half.sock.recv(65_536)
        if not data:
            half.finished = True
            self._look(half)
            if not half.other.waiting:
                half.other.sock.shutdown(socket.SHUT_WR)
            return self._drop_if_done(link)
        if cut is not None and cut.upward == half.upward:
            data = data[: cut.after - link.gone[half.upward]]
        link.gone[half.upward] += len(data)
        half.other.waiting += data
        if self.downward is not None and not half.upward:
            self.downward += data
        self._write(half.other)
        if (
            link in self._links
            and cut is not None
            and cut.upward == half.upward
            and link.gone[half.upward] >= cut.after
        ):
            self._cut(link, cut.reset)

    def _write(self, half: Half) -> None:
        try:
            del half.waiting[: half.sock.send(half.waiting)]
        except BlockingIOError:
            pass
        if not half.waiting and half.other.finished:
            half.sock.shutdown(socket.SHUT_WR)
        self._look(half)
        self._look(half.other)
        self._drop_if_done(half.link)

    def _drop_if_done(self, link: Link) -> None:
        if all(
            half.finished and not half.waiting for half in (link.client, link.server)
        ):
            self._drop(link)

    def _look(self, half: Half) -> None:
        """Read while the other end takes it; write while something waits."""
        events = (
            selectors.EVENT_READ
            if not half.finished and len(half.other.waiting) < 1_000_000
            else 0
        )
        events |= selectors.EVENT_WRITE if half.waiting else 0
        if half.sock in self._selector.get_map():
            if events:
                self._selector.modify(half.sock, events, half)
            else:
                self._selector.unregister(half.sock)
        elif events:
            self._selector.register(half.sock, events, half)

    def _cut(self, link: Link, reset: bool) -> None:
        self.cuts += 1
        self._drop(link, reset)

    def _drop(self, link: Link, reset: bool = False) -> None:
        self._forget(link)
        for half in (link.client, link.server):
            _close(half.sock, reset)

    def _freeze(self, link: Link) -> None:
        self._forget(link)
        self._kept += [link.client.sock, link.server.sock]

    def _forget(self, link: Link) -> None:
        self._links.discard(link)
        for half in (link.client, link.server):
            if half.sock in self._selector.get_map():
                self._selector.unregister(half.sock)

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join(LIMIT)
        for link in list(self._links):
            self._drop(link)
        for sock in (*self._kept, self._listener, self._waker, self._wake):
            sock.close()
        self._selector.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _close(sock: socket.socket, reset: bool) -> None:
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
