"""Answers to the exercises of the chapter replication."""

import itertools
import random as chance
from collections.abc import Callable

from exercises import right, wrong


@wrong("check_lottery", "the answers of three nodes")
class WithItsOwnChance:
    def __init__(self) -> None:
        self.members: list[str] = []
        self.random = chance.Random(id(self) // 16)

    def take(self, text: str, random: Callable[[], float]) -> str:
        return text

    def apply(self, entry: str) -> str | None:
        word, _, name = entry.partition(" ")
        if word == "join" and name not in self.members:
            self.members.append(name)
        if word == "leave" and name in self.members:
            self.members.remove(name)
        if word == "draw" and self.members:
            return self.random.choice([*self.members, str(self.random.random())])
        return None


@wrong("check_lottery", "the answers of three nodes")
class DrawnWhereItWasAsked:
    """The node that was asked knows more than the others."""

    def __init__(self) -> None:
        self.members: list[str] = []
        self.asked = 0

    def take(self, text: str, random: Callable[[], float]) -> tuple[str, float]:
        self.asked += 1
        return text, random()

    def apply(self, entry: tuple[str, float]) -> str | None:
        text, number = entry
        word, _, name = text.partition(" ")
        if word == "draw" and self.members:
            return self.members[int(number * self.asked) % len(self.members)]
        self.members = [each for each in self.members if each != name]
        self.members += [name] if word == "join" else []
        return None


@wrong("check_lottery", "the winners")
class AlwaysTheFirst:
    def __init__(self) -> None:
        self.members: list[str] = []

    def take(self, text: str, random: Callable[[], float]) -> str:
        return text

    def apply(self, entry: str) -> str | None:
        word, _, name = entry.partition(" ")
        if word == "join":
            self.members.append(name)
        if word == "leave":
            self.members = [each for each in self.members if each != name]
        return self.members[0] if word == "draw" and self.members else None


@wrong("check_lottery", "the winners, if bob has left just before")
class DrawnTooEarly:
    """When the entry is applied, the winner may have left."""

    def __init__(self) -> None:
        self.members: list[str] = []

    def take(self, text: str, random: Callable[[], float]) -> str:
        if text == "draw" and self.members:
            return f"won {self.members[int(random() * len(self.members))]}"
        return text

    def apply(self, entry: str) -> str | None:
        word, _, name = entry.partition(" ")
        if word == "join" and name not in self.members:
            self.members.append(name)
        if word == "leave" and name in self.members:
            self.members.remove(name)
        return name if word == "won" else None


@right("check_lottery")
class TheNumberTravels:
    def __init__(self) -> None:
        self.members: list[str] = []

    def take(self, text: str, random: Callable[[], float]) -> tuple[str, float]:
        return text, random()

    def apply(self, entry: tuple[str, float]) -> str | None:
        text, number = entry
        word, _, name = text.partition(" ")
        if word == "join" and name not in self.members:
            self.members.append(name)
        if word == "leave" and name in self.members:
            self.members.remove(name)
        if word == "draw" and self.members:
            return self.members[int(number * len(self.members))]
        return None


@right("check_lottery")
class TheSeedTravels:
    """Each node draws, from the same seed."""

    def __init__(self) -> None:
        self.members: list[str] = []
        self.numbers = itertools.count()

    def take(self, text: str, random: Callable[[], float]) -> dict[str, object]:
        return {"text": text, "seed": random()}

    def apply(self, entry: dict[str, object]) -> str | None:
        word, _, name = str(entry["text"]).partition(" ")
        members = [each for each in self.members if each != name]
        if word == "draw":
            drawn = chance.Random(str(entry["seed"]))
            return drawn.choice(self.members) if self.members else None
        if word == "join" and name not in self.members or word == "leave":
            self.members = members + [name] * (word == "join")
        return None
