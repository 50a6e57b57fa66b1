"""Answers to the exercises of the chapter stream."""

import socket
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from exercises import right, wrong

from python_tcp.loop import EventLoop
from python_tcp.stream import Stream

Socket = socket.socket


def room_of(
    loop: EventLoop,
    listener: Socket,
    say: Callable[[list[Stream], Stream, bytes], object],
    **options: Any,
) -> list[Stream]:
    members: list[Stream] = []
    ends = {"on_end": members.remove} | options

    def accept(events: int) -> None:
        sock, address = listener.accept()
        on_data = lambda stream, data: say(members, stream, data)
        members.append(Stream(loop, sock, address, on_data=on_data, **ends))

    loop.watch(listener, EVENT_READ, accept)
    return members


def to_others(members: list[Stream], speaker: Stream, data: bytes) -> None:
    for member in list(members):
        if member is not speaker:
            member.send(data)


@wrong("check_room", "ann heard: expected b'bye, dora', but got b'hello")
def the_speaker_too(loop: EventLoop, listener: Socket) -> None:
    room_of(
        loop, listener, lambda members, speaker, data: [m.send(data) for m in members]
    )


@wrong("check_room", "cleo heard: expected b'hello', but got b''")
def only_the_next(loop: EventLoop, listener: Socket) -> None:
    def say(members: list[Stream], speaker: Stream, data: bytes) -> None:
        members[(members.index(speaker) + 1) % len(members)].send(data)

    room_of(loop, listener, say)


@wrong("check_room", "the streams that are kept: expected 0, but got 4")
def never_forgets(loop: EventLoop, listener: Socket) -> None:
    room_of(loop, listener, to_others, on_end=lambda stream: None)


@wrong("check_room", "then there is: expected 'the end'")
def without_a_bound(loop: EventLoop, listener: Socket) -> None:
    room_of(loop, listener, to_others, max_output=1 << 30)


@right("check_room")
def with_a_function(loop: EventLoop, listener: Socket) -> None:
    room_of(loop, listener, to_others)


@right("check_room")
class Room:
    """Without streams: a dictionary of what waits for each socket."""

    def __init__(self, loop: EventLoop, listener: Socket) -> None:
        self.loop, self.listener = loop, listener
        self.waiting: dict[Socket, bytes] = {}
        loop.watch(listener, EVENT_READ, self.accept)

    def accept(self, events: int) -> None:
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        self.waiting[sock] = b""
        self.watch(sock)

    def watch(self, sock: Socket) -> None:
        events = EVENT_READ | (EVENT_WRITE if self.waiting[sock] else 0)
        self.loop.watch(sock, events, lambda events: self.ready(sock, events))

    def ready(self, sock: Socket, events: int) -> None:
        try:
            if events & EVENT_WRITE:
                self.waiting[sock] = self.waiting[sock][sock.send(self.waiting[sock]) :]
            data = sock.recv(65_536) if events & EVENT_READ else None
        except OSError:
            data = b""
        if data == b"":
            self.forget(sock)
            return
        self.watch(sock)
        for other in list(self.waiting):
            if data and other is not sock:
                self.waiting[other] += data
                self.watch(other)
                if len(self.waiting[other]) > 1_000_000:
                    self.forget(other)

    def forget(self, sock: Socket) -> None:
        self.loop.watch(sock, 0, lambda events: None)
        del self.waiting[sock]
        sock.close()


def relay_of(
    loop: EventLoop, one: Socket, other: Socket, most: int, **ends: Any
) -> None:
    partner: dict[Stream, Stream] = {}

    def pass_on(stream: Stream, data: bytes) -> None:
        partner[stream].send(data)
        if partner[stream].queued > most:
            stream.pause_reading()

    options: dict[str, Any] = {
        "on_data": pass_on,
        "on_drain": lambda stream: partner[stream].resume_reading(),
        "on_end": lambda stream: partner[stream].finish("the other has ended"),
    }
    streams = [Stream(loop, sock, (), **options | ends) for sock in (one, other)]
    partner.update(zip(streams, reversed(streams), strict=True))


@wrong("check_relay", "the sender had to wait")
def goes_on_too_early(loop: EventLoop, one: Socket, other: Socket) -> None:
    """It throws away what comes while the other is slow."""
    streams: list[Stream] = []

    def pass_on(stream: Stream, data: bytes) -> None:
        partner = streams[stream is streams[0]]
        if partner.queued < 100_000:
            partner.send(data)

    streams += [Stream(loop, sock, (), on_data=pass_on) for sock in (one, other)]


@wrong("check_relay", "exception ended it")
def takes_it_all_at_once(loop: EventLoop, one: Socket, other: Socket) -> None:
    one.setblocking(False)
    other.sendall(one.recv(65_536))


@wrong("check_relay", "One said b'hi'; the other heard")
def one_way(loop: EventLoop, one: Socket, other: Socket) -> None:
    target = Stream(loop, other, (), on_data=lambda stream, data: None)
    Stream(loop, one, (), on_data=lambda stream, data: target.send(data))


@wrong("check_relay", "what the other reads then: expected (b'', 'the end')")
def without_an_end(loop: EventLoop, one: Socket, other: Socket) -> None:
    relay_of(
        loop,
        one,
        other,
        100_000,
        on_end=lambda stream: None,
        on_eof=lambda stream: None,
    )


@wrong("check_relay", "the sender had to wait")
def keeps_all(loop: EventLoop, one: Socket, other: Socket) -> None:
    relay_of(loop, one, other, 1 << 30, max_output=1 << 30)


@right("check_relay")
def with_a_dictionary(loop: EventLoop, one: Socket, other: Socket) -> None:
    relay_of(loop, one, other, 200_000)


@right("check_relay")
class Relay:
    """Without streams: a socket is read only while nothing waits for its partner."""

    def __init__(self, loop: EventLoop, one: Socket, other: Socket) -> None:
        self.loop, self.partner = loop, {one: other, other: one}
        self.waiting = {one: b"", other: b""}
        for sock in self.partner:
            sock.setblocking(False)
            self.watch(sock)

    def watch(self, sock: Socket) -> None:
        events = 0 if self.waiting[self.partner[sock]] else EVENT_READ
        events |= EVENT_WRITE if self.waiting[sock] else 0
        self.loop.watch(sock, events, lambda events: self.ready(sock, events))

    def ready(self, sock: Socket, events: int) -> None:
        partner = self.partner[sock]
        try:
            if events & EVENT_WRITE:
                self.waiting[sock] = self.waiting[sock][sock.send(self.waiting[sock]) :]
            if events & EVENT_READ:
                self.waiting[partner] = sock.recv(65_536)
                if not self.waiting[partner]:
                    self.end()
                    return
        except OSError:
            self.end()
            return
        self.watch(sock)
        self.watch(partner)

    def end(self) -> None:
        for sock in self.partner:
            self.loop.watch(sock, 0, lambda events: None)
            sock.close()


@wrong("check_relay", "The other reads; what arrives is what was sent", 1)
def pauses_for_ever(loop: EventLoop, one: Socket, other: Socket) -> None:
    relay_of(loop, one, other, 100_000, on_drain=lambda stream: None)
