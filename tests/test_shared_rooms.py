"""What a node asks of the log, and when: one entry at a time, and of a crowd one for all."""

import msgspec
from by_hand import HandLoop

from python_tcp.commands import SendMessage
from python_tcp.filewriter import CommitDelay
from python_tcp.limits import Limits
from python_tcp.log_entries import ChatBegun, MemoryLog, decode_entry
from python_tcp.redis_stream import StreamEntry
from python_tcp.replication import RULES, LogNode, Replica
from python_tcp.shared_rooms import LogQuestion, NodeOutbox


class Node:
    """An outbox with a log in memory; time passes, and entries come back, when a test says so."""

    def __init__(self) -> None:
        self.log, self.loop = MemoryLog(), HandLoop()
        self._read = ""
        node = LogNode("first", Replica())
        self.outbox = NodeOutbox(self.loop, node, self.log.append)
        self.outbox.put(ChatBegun(RULES, "epoch", msgspec.to_builtins(Limits())))
        self.loop.tick()
        self.come_back()

    def ask(self, count: int) -> list[int]:
        """So many questions in one tick. Returns the sizes of the entries under way."""
        for number in range(count):
            command = SendMessage(f"message {number}")
            self.outbox.ask(LogQuestion(1, command, None), "")
        return self.tick()

    def tick(self, seconds: float = 0.0) -> list[int]:
        self.loop.tick(seconds)
        return [len(decode_entry(payload).items) for _, payload in self.new()]

    def new(self) -> list[tuple[str, bytes]]:
        return list(self.log.read(self._read))

    def come_back(self) -> int:
        """What is under way comes back. Returns how many answers came with it."""
        answers = []
        for position, payload in self.new():
            answers += self.outbox.receive(StreamEntry(position, payload))
            self._read = position
        return sum(question is not None for question, _ in answers)


def test_one_entry_is_under_way_at_a_time() -> None:
    node = Node()
    assert node.ask(2) == [2]
    assert node.ask(3) == [2]
    assert node.come_back() == 2
    assert node.tick() == [3] and node.come_back() == 3


def test_a_crowd_that_was_answered_is_waited_for() -> None:
    node = Node()
    assert node.ask(20) == [20] and node.come_back() == 20
    assert node.ask(12) == [] and node.ask(7) == []
    assert node.ask(1) == [20] and node.come_back() == 20


def test_two_crowds_that_take_turns_become_one() -> None:
    node = Node()
    node.ask(20)
    node.ask(30)  # they wait for those
    assert node.come_back() == 20
    assert node.tick() == [] and node.ask(19) == []
    assert node.ask(1) == [50] and node.come_back() == 50


def test_a_crowd_that_does_not_answer_is_waited_for_a_moment() -> None:
    node = Node()
    node.ask(20)
    node.come_back()
    node.tick()
    assert node.ask(1) == []
    assert node.tick(CommitDelay.SECONDS * 0.9) == []
    assert node.tick(CommitDelay.SECONDS * 0.2) == [1]


def test_what_waited_all_the_time_goes_off_after_that_moment_too() -> None:
    node = Node()
    node.ask(20)
    node.ask(1)
    node.come_back()
    assert node.tick() == []
    assert node.tick(CommitDelay.SECONDS * 1.1) == [1]


def test_a_few_are_not_waited_for() -> None:
    node = Node()
    node.ask(CommitDelay.MANY - 1)
    node.come_back()
    assert node.ask(1) == [1]


def test_others_that_join_and_leave_do_not_wait_for_ever() -> None:
    node = Node()
    node.ask(20)
    node.come_back()
    node.outbox.opened(7, "192.0.2.1")
    assert node.tick() == []
    assert node.tick(CommitDelay.SECONDS * 1.1) == [1]


def test_an_entry_that_is_lost_is_waited_for_a_second() -> None:
    node = Node()
    assert node.ask(20) == [20] and node.ask(1) == [20]
    assert node.tick(NodeOutbox.PATIENCE * 1.1) == [20, 1]


def test_a_node_that_begins_anew_waits_for_nobody() -> None:
    node = Node()
    node.ask(20)
    node.come_back()
    again = LogNode("second", Replica())
    node.outbox.stand_for(again)
    node.outbox.tick()
    assert node.tick() == [0]
