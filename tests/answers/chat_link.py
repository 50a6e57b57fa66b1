"""Answers to the exercises of the chapter chat_link."""

import json
import socket
import threading
import time
from typing import Any

from exercises import right, wrong

from python_tcp.chat_link import ChatLink
from python_tcp.commands import Join, Leave, Ping
from python_tcp.events import UserList

Address = tuple[str, int]


@wrong("check_state_of", "A server that accepts and says nothing")
def can_be_called(address: Address, seconds: float) -> str:
    link = ChatLink(timeout=seconds)
    there = link.connect(*address)
    link.close()
    return "answers" if there else "nobody listens"


@wrong("check_state_of", "took at most 2 s longer", seconds=3)
def too_patient(address: Address, seconds: float) -> str:
    time.sleep(2.6)
    return "silent"


@wrong("check_state_of", "Its connections, afterwards", seconds=3)
def leaves_it_open(address: Address, seconds: float) -> str:
    try:
        sock = socket.create_connection(address, seconds)
    except OSError:
        return "nobody listens"
    kept.append(sock)
    return _asked(sock)


kept: list[socket.socket] = []


@wrong("check_state_of", "An exception ended it, in line")
def without_a_net(address: Address, seconds: float) -> str:
    with socket.create_connection(address, seconds) as sock:
        return _asked(sock)


@wrong("check_state_of", "A chat server")
def never_asks(address: Address, seconds: float) -> str:
    try:
        with socket.create_connection(address, seconds) as sock:
            sock.settimeout(min(seconds, 0.5))
            return "answers" if sock.recv(1) else "silent"
    except TimeoutError:
        return "silent"
    except OSError:
        return "nobody listens"


def _asked(sock: socket.socket) -> str:
    sock.sendall(b'{"type": "ping"}\n')
    try:
        return "answers" if sock.recv(1000) else "silent"
    except OSError:
        return "silent"


@right("check_state_of")
def by_hand(address: Address, seconds: float) -> str:
    try:
        sock = socket.create_connection(address, seconds)
    except OSError:
        return "nobody listens"
    with sock:
        return _asked(sock)


@right("check_state_of")
def with_a_link(address: Address, seconds: float) -> str:
    heard: list[Any] = []
    link = ChatLink(seconds, on_event=lambda link, event: heard.append(event))
    try:
        if not link.connect(*address):
            return "nobody listens"
        link.send(Ping())
        end = time.monotonic() + seconds
        while not heard and time.monotonic() < end:
            time.sleep(0.01)
        return "answers" if heard else "silent"
    finally:
        link.close()


@wrong("check_people", "A slow server", seconds=1)
def quick(address: Address, name: str) -> list[str]:
    names: list[str] = []

    def heard(link: ChatLink, event: object) -> None:
        if isinstance(event, UserList):
            names.extend(event.users)

    link = ChatLink(on_event=heard)
    link.connect(*address), link.send(Join(name))
    time.sleep(0.2)
    link.close()
    return names


@wrong("check_people", "A server that hangs up too early", seconds=3)
def none_if_there_is_none(address: Address, name: str) -> list[str] | None:
    return raw(address, name) or None


@wrong("check_people", "Bob is there, and Ann asks")
def only_others(address: Address, name: str) -> list[str]:
    return [each for each in raw(address, name) if each != name]


@wrong("check_people", "Its connections, afterwards", seconds=3)
def leaves_it_open_too(address: Address, name: str) -> list[str]:
    sock = socket.create_connection(address, 2)
    kept.append(sock)
    return _list(sock, name)


@wrong("check_people", "in line", seconds=2)
def ends_with_an_error(address: Address, name: str) -> list[str]:
    with socket.create_connection(address, 2) as sock, sock.makefile("rb") as lines:
        sock.sendall(json.dumps({"type": "join", "username": name}).encode() + b"\n")
        while (event := json.loads(lines.readline()))["type"] != "users":
            pass
        return list(event["users"])


def _list(sock: socket.socket, name: str) -> list[str]:
    sock.sendall(json.dumps({"type": "join", "username": name}).encode() + b"\n")
    with sock.makefile("rb") as lines:
        try:
            for line in lines:
                event = json.loads(line)
                if event["type"] == "users":
                    return list(event["users"])
        except OSError:
            pass
    return []


@right("check_people", seconds=2)
def raw(address: Address, name: str) -> list[str]:
    with socket.create_connection(address, 2) as sock:
        names = _list(sock, name)
        try:
            sock.sendall(b'{"type": "leave"}\n')
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return names


@right("check_people", seconds=2)
def with_a_condition(address: Address, name: str) -> list[str]:
    changed, found = threading.Condition(), list[list[str]]()
    over = False

    def heard(link: ChatLink, event: object) -> None:
        with changed:
            if isinstance(event, UserList):
                found.append(list(event.users))
                changed.notify()

    def closed(link: ChatLink) -> None:
        nonlocal over
        with changed:
            over = True
            changed.notify()

    link = ChatLink(on_event=heard, on_closed=closed)
    if link.connect(*address):
        link.send(Join(name))
        with changed:
            changed.wait_for(lambda: found or over, 2)
        link.send(Leave())
    link.close()
    return found[0] if found else []
