"""Answers to the exercises of the chapter server."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from exercises import right, wrong

from python_tcp.framing import LineFramer
from python_tcp.server import EventDrivenTCPServer as Server

Handler = Callable[[int, bytes], bytes | None]


@wrong("check_reverser", "Client 1 sent b'ab'; the handler returned: expected b''")
def each_chunk() -> Handler:
    return lambda number, data: b"".join(
        line[::-1] + b"\n" for line in data.splitlines()
    )


@wrong("check_reverser", "but got b'c1ba\\n'")
def odd_and_even() -> Handler:
    framers = LineFramer(), LineFramer()
    return lambda number, data: b"".join(
        bytes(line)[::-1] + b"\n"  # type: ignore[arg-type]
        for line in framers[number % 2].feed(data)
    )


SHARED: defaultdict[int, LineFramer] = defaultdict(LineFramer)


@wrong("check_reverser", "Client 1 of another server")
def one_table_for_all() -> Handler:
    return lambda number, data: b"".join(
        bytes(line)[::-1] + b"\n"  # type: ignore[arg-type]
        for line in SHARED[number].feed(data)
    )


@wrong("check_reverser", "expected b'eno\\nowt\\n', but got b'eno\\n'")
def the_first_line() -> Handler:
    framers: defaultdict[int, LineFramer] = defaultdict(LineFramer)

    def handler(number: int, data: bytes) -> bytes | None:
        for line in framers[number].feed(data):
            return bytes(line)[::-1] + b"\n"  # type: ignore[arg-type]
        return None

    return handler


@wrong("check_reverser", "returned a function: expected True")
def without_a_handler() -> bytes:
    return b"olleh\n"


@right("check_reverser")
def with_partition() -> Handler:
    left: dict[int, bytes] = {}

    def handler(number: int, data: bytes) -> bytes | None:
        *lines, left[number] = (left.get(number, b"") + data).split(b"\n")
        return b"".join(line[::-1] + b"\n" for line in lines) or None

    return handler


@right("check_reverser")
class Reverser:
    def __init__(self) -> None:
        self.framers: dict[int, LineFramer] = {}

    def __call__(self, number: int, data: bytes) -> bytes:
        answer = bytearray()
        for line in self.framers.setdefault(number, LineFramer()).feed(data):
            assert isinstance(line, bytes)
            answer += bytes(reversed(line)) + b"\n"
        return bytes(answer)


def greeter(on_connect: Callable[[Server, int], object], **options: Any) -> Server:
    server = Server(**options)

    def connected(number: int, address: Any) -> None:
        server.send(number, b"hello\n")
        on_connect(server, number)

    server.on_connect = connected  # type: ignore[method-assign]
    return server


@wrong("check_greeter", "was it closed within 5 s?: expected True", 5)
def when_it_is_silent(seconds: float) -> Server:
    return greeter(lambda server, number: None, idle_timeout=seconds)


@wrong("check_greeter", "for at least 1.5 s?: expected True, but got False")
def at_once(seconds: float) -> Server:
    return greeter(lambda server, number: server.close(number))


@wrong("check_greeter", "was it closed?: expected True", 4)
def the_last_one(seconds: float) -> Server:
    last = [0]

    def on_connect(server: Server, number: int) -> None:
        last[0] = number
        server.loop.call_later(seconds, lambda: server.close(last[0]))

    return greeter(on_connect)


@wrong("check_greeter", "a third one came, and read", 3)
def the_whole_server(seconds: float) -> Server:
    def on_connect(server: Server, number: int) -> None:
        threading.Timer(seconds, server.stop).start()

    return greeter(on_connect)


@wrong("check_greeter", "greeted within 1.7 s: expected True", 4)
def one_by_one(seconds: float) -> Server:
    def on_connect(server: Server, number: int) -> None:
        time.sleep(seconds)
        server.close(number)

    return greeter(on_connect)


@right("check_greeter", 2)
def with_a_timer_of_its_own(seconds: float) -> Server:
    """`close` may be called by any thread."""

    def on_connect(server: Server, number: int) -> None:
        threading.Timer(seconds, server.close, [number]).start()

    return greeter(on_connect)


@right("check_greeter", 2)
class Greeter(Server):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def on_connect(self, connection_id: int, address: Any) -> None:
        stream = self.connections[connection_id]
        stream.send(b"hello\n")
        self.loop.call_later(self.seconds, lambda: stream.finish("time is up"))


class Fair(Server):
    """As a right one, where a wrong one has not changed it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.inside = most, dict[int, str]()

    def place(self, address: Any) -> Any:
        return address[0]

    def on_connect(self, connection_id: int, address: Any) -> None:
        place = self.place(address)
        if Counter(self.inside.values())[place] >= self.most:
            self.refuse(connection_id)
        else:
            self.inside[connection_id] = place

    def refuse(self, number: int) -> None:
        self.send(number, b"too many\n")
        self.close(number)

    def on_disconnect(self, connection_id: int) -> None:
        self.inside.pop(connection_id, None)


@wrong("check_fair", "A sixth, from another address")
class AllAddresses(Fair):
    def place(self, address: Any) -> Any:
        return "anywhere"


@wrong("check_fair", "The third reads: expected b'too many\\n', but got b''", 5)
class ByAddressAndPort(Fair):
    def place(self, address: Any) -> Any:
        return address


@wrong("check_fair", "Was the third one closed then?", 3)
class OnlySaysSo(Fair):
    def refuse(self, number: int) -> None:
        self.send(number, b"too many\n")


@wrong("check_fair", "The third reads: expected b'too many\\n', but got b''")
class SaysNothing(Fair):
    def refuse(self, number: int) -> None:
        self.close(number)


@wrong("check_fair", "And a fifth, which is one too many, reads", 5)
class APlaceForTheRefused(Fair):
    """One that was refused and goes makes room for another."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.count = 0

    def on_connect(self, connection_id: int, address: Any) -> None:
        if self.count >= self.most:
            self.refuse(connection_id)
        else:
            self.count += 1

    def on_disconnect(self, connection_id: int) -> None:
        self.count -= 1


@right("check_fair", 1)
class ByClass(Fair):
    pass


@right("check_fair", 1)
def with_a_counter(most: int) -> Server:
    server, count, places = Server(), Counter[str](), dict[int, str]()

    def on_connect(number: int, address: Any) -> None:
        count[address[0]] += 1
        places[number] = address[0]
        if count[address[0]] > most:
            server.send(number, b"too many\n")
            server.close(number)

    def on_disconnect(number: int) -> None:
        count[places.pop(number)] -= 1

    server.on_connect = on_connect  # type: ignore[method-assign]
    server.on_disconnect = on_disconnect  # type: ignore[method-assign]
    return server
