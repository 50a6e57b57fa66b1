"""Answers to the exercises of the chapter rooms."""

from typing import Any

from exercises import right, wrong

from python_tcp.commands import Join, SendMessage
from python_tcp.events import Error
from python_tcp.members import CommandError, Delivery, Room, User
from python_tcp.membership import Entering
from python_tcp.protocol import Limits
from python_tcp.rooms import Rooms

Deliveries = list[Delivery]


class Rule(Rooms):
    """A rule before that of `SendMessage`; the wrong ones and the right ones have theirs."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.send = self.rules[SendMessage]
        self.add_rules({SendMessage: self.say})
        self.last: dict[Any, Any] = {}

    def say(self, user: User, command: SendMessage, now: float) -> Deliveries:
        again = command.id is not None and command.id in user.session.ids
        key, what = self.noted(user, command)
        if self.last.get(key) == what and not again:
            raise CommandError("repeated", "you have just said that")
        told = self.send(user, command, now)
        if not again:
            self.last[key] = what
        return told

    def noted(self, user: User, command: SendMessage) -> tuple[Any, Any]:
        return user.room_named(command.room).name, (user.name, command.content)


@wrong("check_no_echo", "Line 4, client 1: SendMessage(content='hi!', room='LOBBY'")
class RoomsByTheirCase(Rule):
    def noted(self, user: User, command: SendMessage) -> tuple[Any, Any]:
        return command.room or "lobby", (user.name, command.content)


@wrong("check_no_echo", "Line 6, client 1")
class WhatEachOneSaid(Rule):
    """Somebody else may have spoken in between."""

    def noted(self, user: User, command: SendMessage) -> tuple[Any, Any]:
        return (user.room_named(command.room).name, user.name), command.content


@wrong("check_no_echo", "Line 5, client 2")
class WhoeverSaidIt(Rule):
    def noted(self, user: User, command: SendMessage) -> tuple[Any, Any]:
        return user.room_named(command.room).name, command.content


@wrong("check_no_echo", "Line 11, client 1: SendMessage(content='yes'")
class OneForAllRooms(Rule):
    def noted(self, user: User, command: SendMessage) -> tuple[Any, Any]:
        return "all rooms", super().noted(user, command)[1]


@wrong(
    "check_no_echo",
    "The id in the error for a message with the id 9: expected 9, but got None",
)
class WithoutTheId(Rule):
    def handle(
        self, client: int, command: Any, now: float, new_token: str
    ) -> Deliveries:
        told = super().handle(client, command, now, new_token)
        if isinstance(told[0].event, Error) and told[0].event.code == "repeated":
            return [Delivery((client,), Error("repeated", "you have said that"))]
        return told


@wrong("check_no_echo", "Line 8, client 1")
class RetriesAreRepetitions(Rule):
    def say(self, user: User, command: SendMessage, now: float) -> Deliveries:
        key, what = self.noted(user, command)
        if self.last.get(key) == what:
            raise CommandError("repeated", "you have just said that")
        self.last[key] = what
        return self.send(user, command, now)


@wrong("check_no_echo", "exception ended it, in")
class WithoutRules(Rooms):
    def __init__(self, limits: Limits) -> None:
        self.rules[SendMessage] = self.say  # type: ignore[has-type]

    def say(self, user: User, command: SendMessage, now: float) -> Deliveries:
        return []


@right("check_no_echo")
class ByRoom(Rule):
    pass


@right("check_no_echo")
class InTheStore(Rooms):
    """Asked before the rules, without any of them changed."""

    def handle(
        self, client: int, command: Any, now: float, new_token: str
    ) -> Deliveries:
        user = self.users.get(client)
        if isinstance(command, SendMessage) and user and self.repeats(user, command):
            error = Error("repeated", "you have just said that", command.id)
            return [Delivery((client,), error)]
        return super().handle(client, command, now, new_token)

    def repeats(self, user: User, command: SendMessage) -> bool:
        name = (command.room or (user.room.name if user.room else "")).lower()
        if name not in user.rooms or command.id in user.session.ids:
            return False
        room = user.rooms[name]
        last = self.store.read(room.name, room.seq, room.seq)
        pairs = [(each.username, each.content) for each in last]
        return pairs == [(user.name, command.content)]


class Small(Rooms):
    """Asked before the rules. `is_too_much` is the part that may be wrong."""

    def handle(
        self, client: int, command: Any, now: float, new_token: str
    ) -> Deliveries:
        if isinstance(command, Join):
            room = self.rooms.get(command.room.lower())
            if room is not None and self.is_too_much(room, client, command):
                return self.refuse(client, command)
        return super().handle(client, command, now, new_token)

    def refuse(self, client: int, command: Join) -> Deliveries:
        full = Error("room_full", f"{command.room} is full", command.id)
        return [Delivery((client,), full)]

    def is_too_much(self, room: Room, client: int, command: Join) -> bool:
        names = {
            user.name.lower(): user.session.token for user in room.members.values()
        }
        mine = names.get(command.username.lower()) in (command.token or "nobody's",)
        return len(room.members) >= 2 and client not in room.members and not mine


@wrong("check_small_rooms", "Line 8, client 4: Join(username='ann'")
class WithoutGhosts(Small):
    def is_too_much(self, room: Room, client: int, command: Join) -> bool:
        return len(room.members) >= 2 and client not in room.members


@wrong("check_small_rooms", "Line 9, client 5: Join(username='dora'")
class AnyToken(Small):
    def is_too_much(self, room: Room, client: int, command: Join) -> bool:
        tokens = [user.session.token for user in room.members.values()]
        here = client in room.members or command.token in tokens
        return len(room.members) >= 2 and not here


@wrong("check_small_rooms", "Line 3, client 3")
class OneTooMany(Small):
    def is_too_much(self, room: Room, client: int, command: Join) -> bool:
        return len(room.members) > 2


@wrong(
    "check_small_rooms",
    "The id in the error for a join with the id 9: expected 9, but got None",
)
class NoId(Small):
    def refuse(self, client: int, command: Join) -> Deliveries:
        return [Delivery((client,), Error("room_full", "it is full"))]


@wrong("check_small_rooms", "Line 5, client 3: Join(username='cid', room='LOBBY'")
class LetInAndPutOut(Small):
    """It joins, and leaves again: the name is taken."""

    def handle(
        self, client: int, command: Any, now: float, new_token: str
    ) -> Deliveries:
        told = Rooms.handle(self, client, command, now, new_token)
        if isinstance(command, Join):
            room = self.rooms.get(command.room.lower())
            if room is not None and len(room.members) > 2:
                room.remove(self.users[client])
                return self.refuse(client, command)
        return told


@right("check_small_rooms")
class BeforeTheRules(Small):
    pass


@right("check_small_rooms")
class AtTheDoor(Rooms):
    """With the check that the rules have a place for."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.check_join(self.look)

    def look(self, entering: Entering, now: float) -> None:
        room = self.rooms.get(entering.room)
        if room is not None and len(room.members) >= 2:
            ghost = self.by_name.get(entering.name.lower())
            if ghost is None or ghost.client not in room.members:
                raise CommandError("room_full", f"{room.name} is full")
