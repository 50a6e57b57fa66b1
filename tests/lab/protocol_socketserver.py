"""A good server for the stage `protocol`, on the standard library's socketserver: protocol_socketserver.py PORT [LIMIT=NUMBER...]."""

import queue
import socket
import socketserver
import sys
import threading

from protocol_rules import LIMITS, Chat, Client, Lines, read_limits

QUEUE = 2000  # lines
LOCK = threading.RLock()


def later(seconds: float, function) -> threading.Timer:
    def call() -> None:
        with LOCK:
            function()

    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


class Handler(socketserver.BaseRequestHandler):
    """One thread reads, and one writes what is in a queue."""

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting: queue.Queue[bytes] = queue.Queue()
        self.client = Client(self.write, lambda: self.waiting.put(b""))
        self.writer = threading.Thread(target=self.send, daemon=True)
        self.writer.start()

    def write(self, data: bytes) -> None:
        if self.waiting.qsize() > QUEUE:
            self.shutdown(socket.SHUT_RDWR)
        else:
            self.waiting.put(data)

    def send(self) -> None:
        try:
            while data := self.waiting.get():
                self.request.sendall(data)
        except OSError:
            pass
        self.shutdown(socket.SHUT_RDWR)

    def shutdown(self, how: int) -> None:
        try:
            self.request.shutdown(how)
        except OSError:  # it is gone
            pass

    def handle(self) -> None:
        lines, asked = Lines(), False
        try:
            while not self.client.ended:
                limit = LIMITS["ping_timeout"] if asked else LIMITS["ping_after"]
                self.request.settimeout(limit)
                try:
                    chunk = self.request.recv(65_536)
                except TimeoutError:
                    with LOCK:
                        chat.silent(self.client, asked)
                    asked = True
                    continue
                asked = False
                for line in lines.feed(chunk) if chunk else lines.end():
                    with LOCK:
                        chat.receive(self.client, line)
                if not chunk:
                    break
        except OSError:
            pass

    def finish(self) -> None:
        with LOCK:
            chat.lost(self.client)
        self.waiting.put(b"")
        self.writer.join(1)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 200


read_limits(sys.argv[2:])
chat = Chat(later)
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
