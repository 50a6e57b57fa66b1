"""Answers to the exercises of the chapter echo."""

import select
import socket
import threading
import time

from exercises import right, wrong


@wrong("check_discard", "all was sent")
def one_recv(connection: socket.socket) -> None:
    connection.recv(1024)


@wrong("check_discard", "all was sent")
def fifty_thousand_bytes(connection: socket.socket) -> None:
    count = 0
    while count < 50_000 and (data := connection.recv(50_000 - count)):
        count += len(data)


@wrong("check_discard", "all was sent")
def what_is_there_now(connection: socket.socket) -> None:
    connection.setblocking(False)
    try:
        while connection.recv(1024):
            pass
    except BlockingIOError:
        pass


@wrong("check_discard", "what came back")
def an_echo(connection: socket.socket) -> None:
    while data := connection.recv(1024):
        connection.sendall(data)


@right("check_discard")
def with_one_buffer(connection: socket.socket) -> None:
    buffer = bytearray(4096)
    while connection.recv_into(buffer):
        pass


@right("check_discard")
def and_closes_it(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as file:
        file.read()


@wrong("check_read_exactly", "The next 14 bytes")
def what_comes_first(connection: socket.socket, size: int) -> bytes:
    return connection.recv(size)


@wrong("check_read_exactly", "The next 4 bytes")
def takes_too_much(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connection.recv(4096)
    return data[:size]


@wrong("check_read_exactly", "99 times")
def without_a_look_at_the_end(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    return data


@wrong("check_read_exactly", "The next 14 of b'more'")
def returns_what_there_was(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := connection.recv(size - len(data))):
        data += chunk
    return data


@right("check_read_exactly")
def into_a_view(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(data)


@right("check_read_exactly")
def let_the_kernel_wait(connection: socket.socket, size: int) -> bytes:
    data = connection.recv(size, socket.MSG_WAITALL) if size else b""
    if len(data) < size:
        raise EOFError
    return data


@wrong("check_patience", "ended after 1 s more")
def without_a_limit(connection: socket.socket, limit: float) -> None:
    connection.settimeout(8)
    try:
        while data := connection.recv(1024):
            connection.sendall(data)
    except TimeoutError:
        pass


@wrong("check_patience", "The echo of")
def a_limit_on_all_of_it(connection: socket.socket, limit: float) -> None:
    end = time.monotonic() + limit
    try:
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (data := connection.recv(1024)):
                return
            connection.sendall(data)
    except TimeoutError:
        pass


@wrong("check_patience", "ended much earlier")
def gives_up_soon(connection: socket.socket, limit: float) -> None:
    """After each answer it waits shorter."""
    connection.settimeout(limit * 0.9)
    for _ in range(4):
        connection.sendall(connection.recv(1024))


@wrong("check_patience", "TimeoutError")
def raises(connection: socket.socket, limit: float) -> None:
    connection.settimeout(limit)
    while data := connection.recv(1024):
        connection.sendall(data)


@right("check_patience")
def with_select(connection: socket.socket, limit: float) -> None:
    while select.select([connection], [], [], limit)[0]:
        data = connection.recv(1024)
        if not data:
            return
        connection.sendall(data)


@right("check_patience")
def with_a_timer(connection: socket.socket, limit: float) -> None:
    def stop() -> None:
        connection.shutdown(socket.SHUT_RD)

    while True:
        timer = threading.Timer(limit, stop)
        timer.start()
        data = connection.recv(1024)
        timer.cancel()
        if not data:
            return
        connection.sendall(data)


Address = tuple[str, int]


@wrong("check_ask_a_lot", "32 MB")
def knows_the_answer(address: Address, data: bytes) -> bytes:
    return data[:1000].upper()


@wrong("check_ask_a_lot", "b'Hello'")
def without_the_server(address: Address, data: bytes) -> bytes:
    return data


@wrong("check_ask_a_lot", "exception ended it")
def first_all_and_then_the_answer(address: Address, data: bytes) -> bytes:
    with socket.create_connection(address, timeout=1) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b""))


@wrong("check_ask_a_lot", "exception ended it, in")
def one_recv_after_each_piece(address: Address, data: bytes) -> bytes:
    answer = b""
    with socket.create_connection(address, timeout=5) as client:
        for start in range(0, len(data), 60_000):
            client.sendall(data[start : start + 60_000])
            answer += client.recv(100)
    return answer


@right("check_ask_a_lot")
def with_two_threads(address: Address, data: bytes) -> bytes:
    with socket.create_connection(address, timeout=20) as client:

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        parts = list(iter(lambda: client.recv(1_000_000), b""))
        thread.join()
    return b"".join(parts)


@right("check_ask_a_lot")
def when_it_is_ready(address: Address, data: bytes) -> bytes:
    left, parts = memoryview(data), []
    with socket.create_connection(address) as client:
        client.setblocking(False)
        while True:
            wanted = [client] if left else []
            readable, writable, _ = select.select([client], wanted, [])
            if writable:
                left = left[client.send(left[:1_000_000]) :]
                if not left:
                    client.shutdown(socket.SHUT_WR)
            if readable:
                if not (part := client.recv(1_000_000)):
                    return b"".join(parts)
                parts.append(part)


@wrong("check_read_exactly", "The next 14 bytes")
def one_recv_into(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    connection.recv_into(data)
    return bytes(data)


@wrong("check_ask_a_lot", "exception ended it, in", seconds=2)
def without_the_half_close(address: Address, data: bytes) -> bytes:
    with socket.create_connection(address, timeout=2) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        parts = list(iter(lambda: client.recv(1_000_000), b""))
        sender.join()
    return b"".join(parts)


@right("check_ask_a_lot", seconds=1)
def piece_by_piece(address: Address, data: bytes) -> bytes:
    """As much again is read as was sent, before the next piece."""
    answer = bytearray()
    with socket.create_connection(address, timeout=20) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), 60_000):
            client.sendall(data[start : start + 60_000])
            end = min(len(data), start + 60_000)
            while len(answer) < end and (part := client.recv(end - len(answer))):
                answer += part
    return bytes(answer)
