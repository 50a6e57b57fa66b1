"""What the three chats in Python share: the rules. They differ only in how they read and write.

`Rooms.line` takes one line from one user and answers who gets what. Each event is encoded once.
"""

from __future__ import annotations

import time
from typing import Any
from collections.abc import Iterable

import msgspec

encode = msgspec.json.encode


class Line(msgspec.Struct):
    type: str
    username: str = ""
    room: str = "lobby"
    content: str = ""


decode = msgspec.json.Decoder(Line).decode


class User:
    """One connection, and what its chat knows of it. `port` is whatever the server writes to."""

    def __init__(self, port: Any) -> None:
        self.port, self.name, self.room = port, "", ""


Deliveries = list[tuple[Iterable[User], bytes]]


def event(**fields: Any) -> bytes:
    return encode(fields) + b"\n"


class Rooms:
    def __init__(self) -> None:
        self.members: dict[str, list[User]] = {}
        self.seq: dict[str, int] = {}

    def line(self, user: User, data: bytes) -> Deliveries:
        try:
            line = decode(data)
        except msgspec.DecodeError as e:
            return [([user], event(type="error", code="bad_json", content=str(e)))]
        if line.type == "join" and not user.room:
            return self.join(user, line.username, line.room)
        if not user.room:
            return [
                ([user], event(type="error", code="not_joined", content="join first"))
            ]
        if line.type == "message":
            seq = self.seq[user.room] = self.seq.get(user.room, 0) + 1
            return [
                (
                    self.members[user.room],
                    event(
                        type="message",
                        room=user.room,
                        seq=seq,
                        username=user.name,
                        content=line.content,
                        timestamp=time.time(),
                    ),
                )
            ]
        if line.type == "users":
            return [([user], self.users(user.room))]
        if line.type == "ping":
            return [([user], event(type="pong"))]
        return [([user], event(type="error", code="unknown_type", content=line.type))]

    def join(self, user: User, name: str, room: str) -> Deliveries:
        others = self.members.setdefault(room, [])
        if any(u.name == name for u in others):
            return [([user], event(type="error", code="name_taken", content=name))]
        told = list(others)
        others.append(user)
        user.name, user.room = name, room
        return [
            ([user], event(type="welcome", username=name, room=room, protocol=1)),
            ([user], self.users(room)),
            (told, event(type="join", room=room, username=name)),
        ]

    def users(self, room: str) -> bytes:
        return event(
            type="users", room=room, users=[u.name for u in self.members[room]]
        )

    def leave(self, user: User) -> Deliveries:
        if not user.room:
            return []
        room, user.room = user.room, ""
        self.members[room].remove(user)
        return [
            (self.members[room], event(type="leave", room=room, username=user.name))
        ]
