"""Answers to the exercises of the chapter output."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from selectors import EVENT_WRITE
from typing import Any

from exercises import right, wrong

from python_tcp.loop import EventLoop
from python_tcp.output import WriteBuffer

Done = Callable[[], Any]
Socket = socket.socket


@wrong("check_send_all", "it had not returned after 2 s", 2)
def waits(loop: EventLoop, sock: Socket, data: bytes, done: Done) -> None:
    sock.setblocking(True)
    sock.sendall(data)
    done()


@wrong("check_send_all", "it had not returned after 2 s", 2)
def spins(loop: EventLoop, sock: Socket, data: bytes, done: Done) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            pass
    done()


@wrong("check_send_all", "in ten ticks without room: expected 0")
def asks_again_and_again(
    loop: EventLoop, sock: Socket, data: bytes, done: Done
) -> None:
    left = [data]

    def write() -> None:
        try:
            left[0] = left[0][sock.send(left[0]) :]
        except BlockingIOError:
            pass
        if left[0]:
            loop.call_later(0.001, write)
        else:
            done()

    write()


@wrong("check_send_all", "What arrives is what was sent")
def from_the_beginning(loop: EventLoop, sock: Socket, data: bytes, done: Done) -> None:
    sent = 0

    def write(events: int) -> None:
        nonlocal sent
        sent += sock.send(data)
        if sent >= len(data):
            loop.watch(sock, 0, write)
            done()

    loop.watch(sock, EVENT_WRITE, write)


@wrong("check_send_all", "on the loop's thread): expected [True], but got [False]")
def a_thread_waits(loop: EventLoop, sock: Socket, data: bytes, done: Done) -> None:
    def run() -> None:
        with suppress(OSError):  # the check has ended
            sock.sendall(data)
            done()

    sock.setblocking(True)
    threading.Thread(target=run, daemon=True).start()


@wrong("check_send_all", "done was called: expected [], but got [True]")
def done_when_it_is_queued(
    loop: EventLoop, sock: Socket, data: bytes, done: Done
) -> None:
    with_the_chapters_buffer(loop, sock, data, lambda: None)
    done()


@right("check_send_all")
def with_the_chapters_buffer(
    loop: EventLoop, sock: Socket, data: bytes, done: Done
) -> None:
    buffer = WriteBuffer()
    buffer.add(data)

    def write(events: int = 0) -> None:
        try:
            buffer.write_to(sock.send)
        except BlockingIOError:
            pass
        loop.watch(sock, EVENT_WRITE if buffer.size else 0, write)
        if not buffer.size:
            done()

    write()


@right("check_send_all")
class Sending:
    def __init__(self, loop: EventLoop, sock: Socket, data: bytes, done: Done) -> None:
        self.loop, self.sock, self.done = loop, sock, done
        self.left = memoryview(data)
        loop.watch(sock, EVENT_WRITE, self.write)

    def write(self, events: int) -> None:
        self.left = self.left[self.sock.send(self.left[:50_000]) :]
        if not self.left:
            self.loop.watch(self.sock, 0, self.write)
            self.done()


Messages = list[bytes]


@wrong("check_still_to_send", "5 bytes of")
def the_first_one_only(messages: Messages, sent: int) -> bytes:
    return messages[0][sent:] if messages else b""


@wrong("check_still_to_send", "None was sent")
def also_a_whole_one(messages: Messages, sent: int) -> bytes:
    for message in messages:
        if sent < len(message):
            return message[sent:] if sent or message is messages[0] else b""
        sent -= len(message)
    return b""


@wrong("check_still_to_send", "8 bytes of")
def one_more_at_the_border(messages: Messages, sent: int) -> bytes:
    for end in accumulate(map(len, messages)):
        if 0 < sent <= end:
            rest = b"".join(messages)[sent:end]
            return rest or b"a longer one\n" * (sent == 8)
    return b""


@wrong("check_still_to_send", "exception ended it, in")
def never_the_end(messages: Messages, sent: int) -> bytes:
    number = 0
    while sent >= len(messages[number]):
        sent -= len(messages[number])
        number += 1
    return messages[number][sent:] if sent else b""


@right("check_still_to_send")
def by_the_borders(messages: Messages, sent: int) -> bytes:
    borders = [0, *accumulate(map(len, messages))]
    return b"".join(messages)[sent : min(b for b in borders if b >= sent)]


@right("check_still_to_send")
def by_bytes(messages: Messages, sent: int) -> bytes:
    every = [(i, c) for i, m in enumerate(messages) for c in m]
    if not 0 < sent < len(every) or every[sent - 1][0] != every[sent][0]:
        return b""
    return bytes(c for i, c in every[sent:] if i == every[sent][0])


@wrong("check_send_all", "What arrives is what was sent")
def zeros(loop: EventLoop, sock: Socket, data: bytes, done: Done) -> None:
    with_the_chapters_buffer(loop, sock, bytes(len(data)), done)


@wrong("check_send_all", "What arrives")
def a_thousand_too_many(loop: EventLoop, sock: Socket, data: bytes, done: Done) -> None:
    with_the_chapters_buffer(loop, sock, data + bytes(1000), done)
