"""How long a commit waits for a crowd. What a commit survives is in test_durability.py."""

from by_hand import HandLoop

from python_tcp.filewriter import CommitDelay


class Delayed:
    def __init__(self) -> None:
        self.loop, self.over = HandLoop(), 0
        self.delay = CommitDelay(self.loop, self._count)

    def _count(self) -> None:
        self.over += 1


def test_a_few_are_not_waited_for() -> None:
    it = Delayed()
    it.delay.begin(CommitDelay.MANY - 1)
    assert not it.delay.holds_back(0)
    it.loop.tick()
    assert it.loop.timers == []


def test_as_many_as_were_told_are_waited_for() -> None:
    it = Delayed()
    it.delay.begin(100)
    assert it.delay.holds_back(0) and it.delay.holds_back(99)
    assert it.loop.hurried == 0
    assert not it.delay.holds_back(100)
    assert it.loop.hurried == 1, "nobody else is expected"


def test_without_a_wait_the_loop_need_not_hurry() -> None:
    it = Delayed()
    assert not it.delay.holds_back(100)
    assert it.loop.hurried == 0


def test_the_time_begins_when_all_is_written() -> None:
    it = Delayed()
    it.delay.begin(100)
    assert it.loop.timers == [], "writing has yet to come, and takes time"
    it.loop.tick()
    it.loop.tick(CommitDelay.SECONDS * 0.9)
    assert it.over == 0 and it.delay.holds_back(99)
    it.loop.tick(CommitDelay.SECONDS * 0.2)
    assert it.over == 1 and not it.delay.holds_back(0)


def test_a_commit_that_begins_ends_the_wait() -> None:
    it = Delayed()
    it.delay.begin(100)
    it.delay.end()
    it.loop.tick()
    it.loop.tick(1.0)
    assert it.over == 0 and not it.delay.holds_back(0)
    it.delay.begin(100)
    it.loop.tick()
    it.delay.end()
    it.loop.tick(1.0)
    assert it.over == 0


def test_a_new_wait_has_all_of_its_time() -> None:
    it = Delayed()
    it.delay.begin(100)
    it.loop.tick()
    it.loop.tick(CommitDelay.SECONDS * 0.6)
    it.delay.begin(50)
    it.loop.tick()
    it.loop.tick(CommitDelay.SECONDS * 0.6)
    assert it.over == 0 and it.delay.holds_back(49) and not it.delay.holds_back(50)
