"""Answers to the exercises of the chapter client."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from exercises import right, wrong

from python_tcp.client import EventDrivenTCPClient, TCPClient
from python_tcp.framing import LineFramer


@wrong("check_receive_exactly", "the next 5: expected b'hello', but got b'h'")
def once(client: TCPClient, count: int) -> bytes | None:
    return client.receive()


@wrong("check_receive_exactly", "and then silence: expected 'TimeoutError', but got")
def what_there_is(client: TCPClient, count: int) -> bytes:
    data = b""
    while len(data) < count and (chunk := client.receive()):
        data += chunk
    return data


@wrong("check_receive_exactly", "and then silence: expected 'TimeoutError'")
def always_an_end(client: TCPClient, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (chunk := client.receive()):
            raise EOFError
        data += chunk
    return data


@wrong(
    "check_receive_exactly", "the next 4: expected 'EOFError', but got 'TimeoutError'"
)
def never_an_end(client: TCPClient, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (chunk := client.receive()):
            raise TimeoutError
        data += chunk
    return data


@right("check_receive_exactly")
def one_by_one(client: TCPClient, count: int) -> bytes:
    data = bytearray()
    for _ in range(count):
        chunk = client.receive()
        if chunk == b"":
            raise EOFError
        if chunk is None:
            raise TimeoutError
        data += chunk
    return bytes(data)


@right("check_receive_exactly")
def recursively(client: TCPClient, count: int) -> bytes:
    if count == 0:
        return b""
    match client.receive():
        case None:
            raise TimeoutError(f"{count} bytes")
        case b"":
            raise EOFError(f"{count} bytes")
        case data:
            return data + recursively(client, count - len(data))


Sleep = Callable[[float], Any]


@wrong("check_persist", "Refused 9 times, 3 tries; the pauses")
def sleeps_at_the_end(
    client: Any, host: str, port: int, tries: int, sleep: Sleep
) -> bool:
    pause = 0.1
    for _ in range(tries):
        if client.connect(host, port):
            return True
        sleep(pause)
        pause = min(10, pause * 2)
    return False


@wrong("check_persist", "Refused 8 times, 9 tries; the pauses")
def without_a_limit(
    client: Any, host: str, port: int, tries: int, sleep: Sleep
) -> bool:
    for n in range(tries):
        if n:
            sleep(0.1 * 2 ** (n - 1))
        if client.connect(host, port):
            return True
    return False


@wrong("check_persist", "connect was called with: expected [('here', 1)]")
def swapped(client: Any, host: str, port: int, tries: int, sleep: Sleep) -> bool:
    return as_a_generator(client, port, host, tries, sleep)  # type: ignore[arg-type]


@wrong("check_persist", "it returned: expected True, but got None")
def nothing(client: Any, host: str, port: int, tries: int, sleep: Sleep) -> None:
    as_a_generator(client, host, port, tries, sleep)


@wrong("check_persist", "connect was called with")
def once_more(client: Any, host: str, port: int, tries: int, sleep: Sleep) -> bool:
    done = as_a_generator(client, host, port, tries, sleep)
    return done or bool(client.connect(host, port))


@wrong("check_persist", "Refused 0 times, 5 tries; the pauses: expected [], but got")
def sleeps_itself(client: Any, host: str, port: int, tries: int, sleep: Sleep) -> bool:
    sleep(0.1)
    return as_a_generator(client, host, port, tries, sleep)


def pauses(count: int) -> Iterator[float]:
    for n in range(count - 1):
        yield min(0.1 * 2**n, 10)


@right("check_persist")
def as_a_generator(client: Any, host: str, port: int, tries: int, sleep: Sleep) -> bool:
    if client.connect(host, port):
        return True
    for pause in pauses(tries):
        sleep(pause)
        if client.connect(host, port):
            return True
    return False


@right("check_persist")
def recursive(
    client: Any, host: str, port: int, tries: int, sleep: Sleep, pause: float = 0.1
) -> bool:
    if client.connect(host, port):
        return True
    if tries == 1:
        return False
    sleep(pause)
    return recursive(client, host, port, tries - 1, sleep, min(10, pause + pause))


Ask = Callable[[bytes, float], bytes | None]


def asker(
    client: EventDrivenTCPClient, numbered: bool = True, ends: bool = True
) -> Ask:
    """As a right one; or it does not look at the number, or does not hear of the end."""
    framer, lines = LineFramer(), queue.Queue[Any]()
    count = 0

    def on_data(data: bytes) -> None:
        for line in framer.feed(data):
            lines.put(line)

    def ask(text: bytes, limit: float) -> bytes | None:
        nonlocal count
        count, end = count + 1, time.monotonic() + limit
        client.send(b"%d %s\n" % (count, text))
        while True:
            try:
                line = lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            if line is None:
                return None
            number, _, found = bytes(line).partition(b" ")
            if number == b"%d" % count or not numbered:
                return found

    client.on_data = on_data  # type: ignore[method-assign]
    if ends:
        client.on_disconnect = lambda: lines.put(None)  # type: ignore[method-assign]
    return ask


@wrong(
    "check_asker",
    "Asked b'next', with a limit of 2 s: expected b'next', but got b'late'",
)
def without_numbers(client: EventDrivenTCPClient) -> Ask:
    return asker(client, numbered=False)


@wrong("check_asker", "It knew that within 2 s, with a limit of 3 s", 4)
def waits_to_the_end(client: EventDrivenTCPClient) -> Ask:
    return asker(client, ends=False)


@wrong("check_asker", "exception ended it, in")
def without_none(client: EventDrivenTCPClient) -> Ask:
    framer, lines = LineFramer(), queue.Queue[Any]()
    client.on_data = lambda data: [lines.put(line) for line in framer.feed(data)]  # type: ignore

    def ask(text: bytes, limit: float) -> bytes:
        client.send(b"1 " + text + b"\n")
        return bytes(lines.get(timeout=limit)).removeprefix(b"1 ")

    return ask


@wrong("check_asker", "returned a function: expected True, but got False")
def asks_at_once(client: EventDrivenTCPClient) -> bytes:
    return b"hello"


@wrong("check_asker", "expected b'hello', but got b'1 hello\\n'")
def with_its_number(client: EventDrivenTCPClient) -> Ask:
    ask = asker(client)

    def whole(text: bytes, limit: float) -> bytes | None:
        answer = ask(text, limit)
        return answer and b"1 " + answer + b"\n"

    return whole


@right("check_asker")
def with_a_queue(client: EventDrivenTCPClient) -> Ask:
    return asker(client)


@right("check_asker")
class Asker:
    """A dictionary of what is awaited, and an event for each."""

    def __init__(self, client: EventDrivenTCPClient) -> None:
        self.client, self.data, self.number = client, b"", 0
        self.waiting: dict[int, tuple[threading.Event, list[bytes]]] = {}
        client.on_data = self.on_data  # type: ignore[method-assign]
        client.on_disconnect = self.on_disconnect  # type: ignore[method-assign]

    def on_data(self, data: bytes) -> None:
        *lines, self.data = (self.data + data).split(b"\n")
        for line in lines:
            number, _, text = line.partition(b" ")
            if int(number) in self.waiting:
                event, found = self.waiting[int(number)]
                found.append(text)
                event.set()

    def on_disconnect(self) -> None:
        for event, _ in self.waiting.values():
            event.set()

    def __call__(self, text: bytes, limit: float) -> bytes | None:
        self.number += 1
        event, found = self.waiting[self.number] = threading.Event(), []
        self.client.send(b"%d %s\n" % (self.number, text))
        event.wait(limit)
        del self.waiting[self.number]
        return found[0] if found else None
