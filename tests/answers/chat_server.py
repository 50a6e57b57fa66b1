"""Answers to the exercises of the chapter chat_server."""

import json
import socket
from collections.abc import Iterator
from typing import Any

from exercises import right, wrong

from python_tcp.commands import Join
from python_tcp.events import Error, WhisperReceived
from python_tcp.members import CommandError, Delivery
from python_tcp.rooms import Rooms

Socket = socket.socket


def say(sock: Socket, type: str, **fields: Any) -> None:
    sock.sendall(json.dumps({"type": type, **fields}).encode() + b"\n")


def events(sock: Socket) -> Iterator[dict[str, Any]]:
    for line in sock.makefile("rb"):
        yield json.loads(line)


@wrong("check_hello", "hello(sock, 'ann'): expected 8, but got 7")
def the_first_message(sock: Socket, name: str) -> int:
    say(sock, "join", username=name)
    say(sock, "message", content="hello")
    say(sock, "leave")
    return next(e["seq"] for e in [*events(sock)] if e["type"] == "message")


@wrong("check_hello", "What bob heard: expected")
def without_leaving(sock: Socket, name: str) -> int:
    say(sock, "join", username=name)
    say(sock, "message", content="hello", id=1)
    return next(e["seq"] for e in events(sock) if e["type"] == "ok")


@wrong("check_hello", "hello(sock, 'ann'): expected 8, but got 7")
def one_more_than_before(sock: Socket, name: str) -> int:
    """The number of the last message, and one more."""
    say(sock, "join", username=name)
    say(sock, "message", content="hello")
    say(sock, "leave")
    return next(e["seq"] + 1 for e in [*events(sock)] if e["type"] == "welcome")


@wrong(
    "check_hello",
    "exception ended it, in line `ok = sock.recv(65_536).splitlines()[2]`",
)
def one_recv(sock: Socket, name: str) -> int:
    say(sock, "join", username=name)
    ok = sock.recv(65_536).splitlines()[2]
    return int(json.loads(ok)["seq"])


@wrong("check_hello", "as hello(sock, 'ann') returns it: expected 1, but got '1'")
def as_text(sock: Socket, name: str) -> str:
    return str(by_the_ok(sock, name))


@right("check_hello", 1)
def by_the_ok(sock: Socket, name: str) -> int:
    say(sock, "join", username=name)
    say(sock, "message", content="hello", id="mine")
    say(sock, "leave")
    [number] = [e["seq"] for e in events(sock) if e.get("id") == "mine"]
    return int(number)


@right("check_hello", 1)
def by_the_sender(sock: Socket, name: str) -> int:
    lines = sock.makefile("rb")
    say(sock, "join", username=name)
    while json.loads(lines.readline())["type"] != "users":
        pass
    say(sock, "message", content="hello")
    while (e := json.loads(lines.readline())) and e.get("username") != name:
        pass
    say(sock, "leave")
    return int(e["seq"])


@wrong("check_stay", "with many pings, users: expected ['ann'], but got []", 2.5)
def leaves_at_the_first_ping(sock: Socket, name: str) -> str:
    say(sock, "join", username=name)
    for event in events(sock):
        if event["type"] == "ping":
            say(sock, "leave")
        if event["type"] == "goodbye":
            return str(event["code"])
    return ""


@wrong(
    "check_stay",
    "Kinds of commands after the first: expected ['Pong'], but got ['Ping', 'Pong']",
    2.5,
)
def asks_back(sock: Socket, name: str) -> str:
    say(sock, "join", username=name)
    for event in events(sock):
        if event["type"] == "ping":
            say(sock, "pong")
            say(sock, "ping")
        if event["type"] == "goodbye":
            return str(event["code"])
    return ""


@wrong("check_stay", "expected 'server_closing', but got {", 3)
def the_whole_event(sock: Socket, name: str) -> dict[str, Any]:
    say(sock, "join", username=name)
    for event in events(sock):
        if event["type"] == "ping":
            say(sock, "pong")
        if event["type"] == "goodbye":
            return event
    return {}


@wrong(
    "check_stay",
    "exception ended it, in line `if event[\"code\"]:`: KeyError: 'code'",
    3,
)
def every_event_has_a_code(sock: Socket, name: str) -> str:
    say(sock, "join", username=name)
    for event in events(sock):
        if event["code"]:
            return str(event["code"])
    return ""


@right("check_stay", 3)
def with_a_loop(sock: Socket, name: str) -> str:
    return str(the_whole_event(sock, name)["code"])


@right("check_stay", 3)
def with_match(sock: Socket, name: str) -> str:
    lines = sock.makefile("rb")
    say(sock, "join", username=name)
    while True:
        match json.loads(lines.readline()):
            case {"type": "ping", **rest}:
                say(sock, "pong", **rest)
            case {"type": "goodbye", "code": code}:
                return str(code)


Deliveries = list[Delivery]


class Greeting(Rooms):
    """As a right one, where a wrong one has not changed it."""

    def handle(
        self, client: int, command: Any, now: float, new_token: str
    ) -> Deliveries:
        if isinstance(command, Join) and self.is_ours(command.username):
            error = Error("name_taken", "that is the server", command.id)
            return [Delivery((client,), error)]
        known = client in self.users
        told = super().handle(client, command, now, new_token)
        if isinstance(command, Join) and self.is_new(client, command, known):
            hello = f"Hello {command.username}!"
            whisper = WhisperReceived("server", command.username, hello, now)
            told = self.with_it(told, Delivery((client,), whisper))
        return told

    def is_ours(self, name: str) -> bool:
        return name.lower() == "server"

    def is_new(self, client: int, command: Join, known: bool) -> bool:
        return client in self.users and not known and command.token is None

    def with_it(self, told: Deliveries, hello: Delivery) -> Deliveries:
        return [*told, hello]


@wrong("check_greeter", "Step 4, client 2: Join(username='Server'")
class ByItsCase(Greeting):
    def is_ours(self, name: str) -> bool:
        return name == "server"


@wrong("check_greeter", "Step 3, client 2: Join(username='ANN'")
class AlsoTheRefused(Greeting):
    def is_new(self, client: int, command: Join, known: bool) -> bool:
        return not known and command.token is None


@wrong("check_greeter", "Step 6, client 3: Join(username='ann'")
class WhoComesBack(Greeting):
    def is_new(self, client: int, command: Join, known: bool) -> bool:
        return client in self.users and not known


@wrong("check_greeter", "Step 1, client 1: Join(username='Ann'")
class BeforeTheRest(Greeting):
    def with_it(self, told: Deliveries, hello: Delivery) -> Deliveries:
        return [hello, *told]


@wrong("check_greeter", "Step 8, client 2: Join(username='server'")
class OnlyNewcomersAreRefused(Greeting):
    def handle(
        self, client: int, command: Any, now: float, new_token: str
    ) -> Deliveries:
        if client in self.users:
            return Rooms.handle(self, client, command, now, new_token)
        return super().handle(client, command, now, new_token)


@wrong("check_greeter", "exception ended it, in")
class Named(Greeting):
    def is_ours(self, name: str) -> bool:
        return self.by_name["server"].name == name


@right("check_greeter")
class Asked(Greeting):
    pass


@right("check_greeter")
class WithTheRules(Rooms):
    """The name is refused at the door; who is greeted is known by the number of users."""

    def __init__(self) -> None:
        super().__init__()
        join = self.rules[Join]
        self.check_join(self.look)
        self.add_rules(
            {Join: lambda user, command, now: join(user, self.own(command), now)}
        )

    def own(self, command: Join) -> Join:
        if command.username.casefold() == "server":
            raise CommandError("name_taken", "that is the server")
        return command

    def look(self, entering: Any, now: float) -> None:
        self.own(entering.command)

    def handle(
        self, client: int, command: Any, now: float, new_token: str
    ) -> Deliveries:
        before = self.users.get(client)
        told = super().handle(client, command, now, new_token)
        user = self.users.get(client)
        if user is not None and before is None and not command.token:
            text = f"Hello {user.name}!"
            told.append(
                Delivery((client,), WhisperReceived("server", user.name, text, now))
            )
        return told
