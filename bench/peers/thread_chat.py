"""A chat with a thread for each client: whoever says something sends it to everybody, in a loop, under one lock.

`--echo` is the plain echo server, a thread for each client too.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading

from .rooms import Deliveries, Rooms, User


def deliver(deliveries: Deliveries) -> None:
    for users, data in deliveries:
        for user in users:
            try:
                user.port.sendall(
                    data
                )  # waits for one that does not read, and everybody waits with it
            except OSError:
                pass  # his own thread will see that he is gone


def chat(sock: socket.socket, rooms: Rooms, lock: threading.Lock) -> None:
    user = User(sock)
    try:
        with sock, sock.makefile("rb") as lines:
            for line in lines:
                with lock:  # one message after the other, the same order for everybody
                    deliver(rooms.line(user, line))
    except OSError:
        pass
    finally:
        with lock:
            deliver(rooms.leave(user))


def echo(sock: socket.socket) -> None:
    try:
        with sock:
            while data := sock.recv(65536):
                sock.sendall(data)
    except OSError:
        pass


def accept(listener: socket.socket, only_echo: bool) -> None:
    rooms, lock = Rooms(), threading.Lock()
    threading.stack_size(256 * 1024)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        args = (sock,) if only_echo else (sock, rooms, lock)
        threading.Thread(
            target=echo if only_echo else chat, args=args, daemon=True
        ).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--echo", action="store_true")
    args = parser.parse_args()
    listener = socket.create_server((args.host, args.port), backlog=1024)
    threading.Thread(target=accept, args=(listener, args.echo), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()  # until whoever started us is gone
    os._exit(0)  # a thread may wait for ever in sendall; nothing here is worth saving


if __name__ == "__main__":
    main()
