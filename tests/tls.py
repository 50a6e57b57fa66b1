"""TLS in front of a server that speaks clear text, with any certificate: for tests of the client."""

import select
import socket
import ssl
import threading
from contextlib import suppress

from waiting import LIMIT


class Front:
    """Takes TLS connections and hands their bytes on to `port`, and back. Which certificate it shows may change while it runs.

    `heard` has all bytes that clients have sent to it, in clear.
    """

    def __init__(self, context: ssl.SSLContext, port: int, listen: int = 0) -> None:
        self.context, self._target = context, port
        self.heard, self.handshakes = bytearray(), 0
        self._listener = socket.create_server(("127.0.0.1", listen))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, run, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock = self._listener.accept()[0]
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(LIMIT)
        with suppress(OSError), self.context.wrap_socket(sock, server_side=True) as tls:
            self.handshakes += 1
            with socket.create_connection(("127.0.0.1", self._target)) as behind:
                self._sockets.append(tls)
                self._pump(tls, behind)

    def _pump(self, tls: ssl.SSLSocket, behind: socket.socket) -> None:
        while True:
            both = [tls, behind]
            for source in [tls] if tls.pending() else select.select(both, [], [])[0]:
                tls.setblocking(source is not tls)
                try:
                    data = source.recv(65536)
                except ssl.SSLWantReadError:
                    continue
                if not data:
                    return
                if source is tls:
                    self.heard += data
                (behind if source is tls else tls).sendall(data)

    def cut(self) -> None:
        """End all connections. New ones are taken."""
        while self._sockets:
            with suppress(OSError):
                socket.socket.shutdown(self._sockets.pop(), socket.SHUT_RDWR)

    def __enter__(self) -> "Front":
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(LIMIT)
