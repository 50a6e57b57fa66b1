"""Answers to the exercises of the chapter delivery."""

import bisect
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from exercises import right, wrong

from python_tcp.commands import SendMessage
from python_tcp.delivery import ReorderBuffer, SendQueue
from python_tcp.events import Message

Messages = Iterable[Message]


class Limited(ReorderBuffer):
    """As the book's, and `thin_out` drops what is too much."""

    MOST = 100

    def feed(self, messages: Messages) -> list[Message]:
        ready = []
        for message in list(messages):
            ready += super().feed([message])
            while len(self._early) > self.MOST:
                del self._early[self.worst()]
        return ready

    def worst(self) -> int:
        return max(self._early)


@wrong(
    "check_small_buffer",
    "then 1: expected '1 to 101, 101 of them', but got '1 to 1, 1 of them'",
)
class KeepsTheNewest(Limited):
    def worst(self) -> int:
        return min(self._early)


@wrong("check_small_buffer", "Fed 1000 to 2, one by one, then 1: expected '1 to 101")
class KeepsTheFirst(Limited):
    """What is here stays, whatever comes."""

    def worst(self) -> int:
        return list(self._early)[-1]


@wrong("check_small_buffer", "Then fed 50 to 150: expected '102 to 150, 49 of them'")
class NothingOfALongCall(ReorderBuffer):
    """It looks at what is near, and refuses a call with too much."""

    def feed(self, messages: Messages) -> list[Message]:
        near = [each for each in messages if each.seq <= self.last + 101]
        return super().feed(near if len(near) < 97 else [])


@wrong(
    "check_small_buffer",
    "Fed 2, without 1: expected 'nothing', but got '2 to 2, 1 of them'",
)
class DoesNotWait(ReorderBuffer):
    def feed(self, messages: Messages) -> list[Message]:
        return list(messages)


@wrong("check_small_buffer", "exception ended it, in")
class BelowOnly(Limited):
    def worst(self) -> int:
        return self.last + self.MOST + 2


@right("check_small_buffer")
class TheLargestGoes(Limited):
    pass


@right("check_small_buffer")
class Sorted:
    """Without the book's: a sorted list of what is early."""

    def __init__(self, last: int) -> None:
        self.last, self.early = last, list[Message]()

    def feed(self, messages: Messages) -> list[Message]:
        for message in messages:
            seqs = [each.seq for each in self.early]
            if message.seq > self.last and message.seq not in seqs:
                self.early.insert(bisect.bisect(seqs, message.seq), message)
        return self.given_out()

    def given_out(self) -> list[Message]:
        ready = []
        while self.early and self.early[0].seq == self.last + 1:
            ready.append(self.early.pop(0))
            self.last += 1
        del self.early[100:]
        return ready

    def skip_to(self, last: int) -> list[Message]:
        self.last = max(self.last, last)
        self.early = [each for each in self.early if each.seq > self.last]
        return self.given_out()

    @property
    def missing(self) -> bool:
        return bool(self.early)


@wrong("check_window", "wait(10): expected 1, but got 0")
class Fixed:
    def __init__(self, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self.taken: list[float] = []

    def wait(self, now: float) -> float:
        border = now - now % self.seconds
        if sum(time >= border for time in self.taken) >= self.most:
            return border + self.seconds - now
        self.taken.append(now)
        return 0


@wrong("check_window", "expected 7, but got 10")
class CountsWhatWasRefused:
    def __init__(self, most: int, seconds: float) -> None:
        self.seconds, self.tried = seconds, deque[float](maxlen=most)

    def wait(self, now: float) -> float:
        full = len(self.tried) == self.tried.maxlen
        pause = max(0.0, self.tried[0] + self.seconds - now) if full else 0
        self.tried.append(now)
        return 10 if pause else 0


@wrong("check_window", "taken at [0, 1, 2]: wait(3): expected 7, but got True")
class Whether(Fixed):
    def wait(self, now: float) -> bool:
        recent = [time for time in self.taken if now - time < self.seconds]
        if len(recent) < self.most:
            self.taken.append(now)
            return False
        return True


@wrong("check_window", "taken at [0, 1, 2, 10]: wait(10): expected 1, but got 0")
class TheBorderIsInside(Fixed):
    def wait(self, now: float) -> float:
        recent = [time for time in self.taken if now - time <= self.seconds]
        if len(recent) < self.most:
            self.taken.append(now)
            return 0
        return recent[-self.most] + self.seconds - now


@wrong("check_window", "wait(3): expected 7, but got 9")
class WaitsForTheLast(Fixed):
    def wait(self, now: float) -> float:
        recent = [time for time in self.taken if now - time < self.seconds]
        if len(recent) < self.most:
            self.taken.append(now)
            return 0
        return recent[-1] + self.seconds - now


@right("check_window")
class AllTimes(Fixed):
    def wait(self, now: float) -> float:
        recent = [time for time in self.taken if now - time < self.seconds]
        if len(recent) >= self.most:
            return recent[-self.most] + self.seconds - now
        self.taken = [*recent, now]
        return 0


@right("check_window")
class WhenItIsFree:
    """A place for each of them, and when it is free again."""

    def __init__(self, most: int, seconds: float) -> None:
        self.free, self.seconds = [float("-inf")] * most, seconds

    def wait(self, now: float) -> float:
        place = min(range(len(self.free)), key=self.free.__getitem__)
        if self.free[place] > now:
            return self.free[place] - now
        self.free[place] = now + self.seconds
        return 0


Texts = list[str]
Connect = Callable[[], Any]


@wrong("check_say_all", "what the server heard: expected ['one'], but got []")
def once(texts: Texts, connect: Connect) -> None:
    for id, text in enumerate(texts):
        try:
            connect().exchange([SendMessage(text, id=id)])
        except ConnectionError:
            pass


@wrong("check_say_all", "Were there more than 64 commands at a time?")
def all_at_once(texts: Texts, connect: Connect) -> None:
    commands = [SendMessage(text, id=id) for id, text in enumerate(texts)]
    while commands:
        try:
            done = connect().exchange(commands)
            commands = [each for each in commands if each.id not in done]
        except ConnectionError:
            pass


@wrong(
    "check_say_all", "It is a line that has not broken: expected False, but got True"
)
def over_one_line(texts: Texts, connect: Connect) -> None:
    line = connect()
    for id, text in enumerate(texts):
        answered = False
        while not answered:
            try:
                answered = line.exchange([SendMessage(text, id=id)])
            except ConnectionError:
                pass


@wrong("check_say_all", "expected ['yes', 'no', 'yes'], but got ['yes', 'no']")
def the_text_as_id(texts: Texts, connect: Connect) -> None:
    singly(texts, connect, ids=[hash(text) for text in texts])


@wrong("check_say_all", "exception ended it, in line")
def without_a_look_at_the_line(texts: Texts, connect: Connect) -> None:
    line = connect()
    for id, text in enumerate(texts):
        line.exchange([SendMessage(text, id=id)])


def singly(texts: Texts, connect: Connect, ids: Iterable[int]) -> None:
    line = connect()
    for id, text in zip(ids, texts, strict=True):
        while True:
            try:
                line.exchange([SendMessage(text, id=id)])
                break
            except ConnectionError:
                line = connect()


@right("check_say_all")
def one_by_one(texts: Texts, connect: Connect) -> None:
    singly(texts, connect, ids=range(1, len(texts) + 1))


@right("check_say_all")
def in_groups(texts: Texts, connect: Connect) -> None:
    commands = [SendMessage(text, id=f"text {id}") for id, text in enumerate(texts)]
    line = connect()
    while commands:
        try:
            answered = set(line.exchange(commands[:50]))
        except ConnectionError:
            line = connect()
        else:
            commands = [each for each in commands if each.id not in answered]


@right("check_say_all")
def with_the_queue(texts: Texts, connect: Connect) -> None:
    queue, line = SendQueue(), connect()
    for number, text in enumerate(texts):
        queue.add(SendMessage(text, id=number))
    while len(queue):
        try:
            for id in line.exchange(queue.due(0.0)):
                queue.acknowledge(id)
        except ConnectionError:
            queue.disconnected()
            line = connect()
