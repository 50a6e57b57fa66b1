"""`python_tcp.delivery`: a client misses nothing and repeats nothing, and nobody is too fast."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.delivery import ReorderBuffer, SendQueue, TokenBucket, backoff_delays
from python_tcp.protocol import GetHistory, Join, Message, MessageId, SendMessage
from python_tcp.protocol import Whisper


def message(seq: int) -> Message:
    return Message("lobby", seq, "ann", "hi", 1_700_000_000.5)


# --- ReorderBuffer --------------------------------------------------------------------


@pytest.mark.slow
@given(
    st.integers(0, 5),
    st.permutations(range(1, 13)),
    st.lists(st.integers(0, 13), max_size=20),
    st.randoms(use_true_random=False),
)
def test_in_whatever_order_messages_come_each_is_told_once_and_in_order(
    last: int, order: list[int], repeated: list[int], chance: random.Random
) -> None:
    buffer, told = ReorderBuffer(last), []
    arriving = [*order, *repeated]
    chance.shuffle(arriving)
    while arriving:
        size = chance.randint(1, 4)
        batch, arriving = arriving[:size], arriving[size:]
        told += [
            each.seq for each in buffer.feed(message(seq) for seq in batch if seq < 13)
        ]
        assert told == list(
            range(last + 1, last + 1 + len(told))
        ) and buffer.last == last + len(told)
        assert not buffer.missing or buffer.first_early > buffer.last + 1
    assert told == list(range(last + 1, 13)) and not buffer.missing


def test_a_buffer_waits_for_what_is_missing() -> None:
    buffer = ReorderBuffer(3)
    assert (buffer.feed([message(6)]), buffer.missing, buffer.first_early) == (
        [],
        True,
        6,
    )
    assert buffer.feed([message(3), message(1)]) == [] and buffer.feed([]) == []
    assert (buffer.feed([message(8), message(9)]), buffer.first_early) == ([], 6)
    assert [each.seq for each in buffer.feed([message(5), message(4)])] == [4, 5, 6]
    assert (buffer.missing, buffer.last, buffer.first_early) == (True, 6, 8)
    assert [each.seq for each in buffer.feed([message(7)])] == [
        7,
        8,
        9,
    ] and not buffer.missing


def test_a_buffer_does_not_wait_for_what_will_never_come() -> None:
    buffer = ReorderBuffer(0)
    buffer.feed([message(5), message(6), message(9)])
    assert [each.seq for each in buffer.skip_to(4)] == [5, 6]
    assert (buffer.last, buffer.missing, buffer.first_early) == (6, True, 9)
    assert buffer.skip_to(2) == [] and buffer.last == 6, "it never goes back"
    assert [each.seq for each in buffer.skip_to(8)] == [9]
    assert buffer.skip_to(20) == [] and buffer.last == 20 and not buffer.missing


@given(st.sets(st.integers(1, 20)), st.integers(0, 22))
def test_skipping_gives_what_is_there_behind_the_gap(
    early: set[int], last: int
) -> None:
    buffer = ReorderBuffer(0)
    told = [each.seq for each in buffer.feed(message(seq) for seq in early)]
    told += [each.seq for each in buffer.skip_to(last)]
    assert told == sorted(set(told)) and not any(
        seq <= max(last, len(told)) and seq > buffer.last for seq in told
    )
    end = next(
        seq for seq in itertools.count(max(last, buffer.last) + 1) if seq not in early
    )
    assert buffer.last >= last and buffer.last == end - 1
    assert [
        each.seq for each in buffer.feed(message(seq) for seq in range(1, 24))
    ] == list(range(end, 24))


# --- SendQueue ------------------------------------------------------------------------


def queue(*ids: MessageId, burst: float = 0, rate: float = 1.0) -> SendQueue:
    sent = SendQueue()
    sent.set_pace(burst, rate, 0.0)
    for id in ids:
        sent.add(SendMessage(f"text {id}", id=id))
    return sent


def due(sent: SendQueue, now: float = 0.0) -> list[MessageId]:
    return [command.id for command in sent.due(now)]


def test_what_has_no_answer_is_sent_again_over_the_next_connection() -> None:
    sent = queue(1, 2, 3, "a")
    assert due(sent) == [1, 2, 3, "a"] and due(sent) == [] and len(sent) == 4
    assert sent.acknowledge(2) and not sent.acknowledge(2) and not sent.acknowledge(99)
    sent.add(SendMessage("new", id=4))
    sent.disconnected()
    assert len(sent) == 4 and due(sent) == [1, 3, "a", 4]


def test_what_comes_first_comes_first_and_dies_with_its_connection() -> None:
    sent = queue(1, 2)
    sent.add(Join("ann", id="j"), first=True)
    sent.add(Join("ann", "dev", id="k"), first=True)
    sent.hold()
    assert due(sent) == ["j", "k"] and sent.pause(0.0) is None
    sent.disconnected()
    sent.add(Join("ann", id="l"), first=True)
    assert due(sent) == ["l"] and sent.acknowledge("l")
    sent.release()
    assert due(sent) == [1, 2]


def test_only_so_many_are_on_their_way() -> None:
    sent = queue(*range(100))
    assert due(sent) == list(range(SendQueue.WINDOW)) and sent.pause(0.0) is None
    assert sent.acknowledge(5) and sent.pause(0.0) == 0.0
    assert due(sent) == [SendQueue.WINDOW]
    assert due(queue(*range(100), burst=20)) == list(range(10)), "half of the burst"
    assert due(queue(*range(100), burst=1)) == [0]
    assert due(queue(*range(100), burst=1000)) == list(range(64))


def test_it_says_when_it_wants_to_be_asked_again() -> None:
    sent = queue(*range(10), burst=4, rate=2.0)
    assert due(sent) == [0, 1]
    sent.acknowledge(0)
    assert due(sent, 0.1) == []
    assert sent.pause(0.1) == pytest.approx(0.4, abs=0.002)
    assert due(sent, 0.3) == [] and due(sent, 0.1 + sent.pause(0.1)) == [2]
    assert queue().pause(5.0) is None


def test_what_was_refused_is_sent_again_later_and_in_its_place() -> None:
    sent = queue(1, 2, 3)
    assert due(sent) == [1, 2, 3]
    assert (
        sent.requeue(2, 0.0, 0.5)
        and sent.requeue(3, 0.0, 0.5)
        and not sent.requeue(9, 0.0, 0.5)
    )
    sent.add(SendMessage("new", id=4))
    assert due(sent, 0.5) == [] and sent.pause(0.4) is None, "1 has no answer yet"
    assert sent.acknowledge(1)
    assert due(sent, 0.4) == [] and sent.pause(0.4) == pytest.approx(0.1)
    assert due(sent, 0.5) == [2, 3, 4]


def test_what_is_asked_first_need_not_wait_for_what_was_refused() -> None:
    sent = queue(1, 2)
    assert due(sent) == [1, 2] and sent.requeue(1, 0.0, 0.0)
    sent.add(GetHistory(id="q"), first=True)
    assert due(sent) == ["q"] and sent.acknowledge(2) and due(sent) == [1]


def test_each_message_names_the_one_before_it_that_has_no_answer() -> None:
    sent = queue(1, 2)
    sent.add(GetHistory(id="q"))
    sent.add(Whisper("bob", "psst", 3))
    follows = [getattr(each, "follows", None) for each in sent.due(0.0)]
    assert follows == [None, 1, None, 2], "a question is no message"
    assert all(sent.acknowledge(id) for id in (1, 2, "q", 3))
    sent.add(SendMessage("new", id=4))
    assert [each.follows for each in sent.due(0.0)] == [None]
    sent.add(SendMessage("newer", id=5))
    sent.disconnected()
    assert [each.follows for each in sent.due(0.0)] == [None, 4]


@pytest.mark.parametrize("asked", [1e300, float("inf"), 61.0])
def test_a_server_can_not_have_us_wait_for_ever(asked: float) -> None:
    sent = queue(1)
    assert due(sent) == [1] and sent.requeue(1, 5.0, asked)
    assert sent.pause(5.0) == SendQueue.LONGEST and due(sent, 65.0) == [1]


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e-300])
@pytest.mark.parametrize("burst", [-5.0, 1e-9, 2.0, 1e300, float("inf")])
def test_whatever_pace_a_server_names_what_is_said_goes_out(
    burst: float, rate: float
) -> None:
    sent, now = queue(1, 2, 3, burst=burst, rate=rate), 0.0
    for id in (1, 2, 3):
        if not (found := due(sent, now)):
            now += sent.pause(now)
            found = due(sent, now)
        assert found[0] == id and now < 60
        for each in found:
            sent.acknowledge(each)
        if found[-1] == 3:
            break


def test_a_command_without_an_id_needs_no_answer() -> None:
    sent = queue()
    sent.add(SendMessage("x"))
    assert [command.content for command in sent.due(0.0)] == ["x"] and len(sent) == 0
    sent.disconnected()
    assert sent.due(0.0) == []


class Network:
    """A queue, a server that remembers ids, and what is under way between them, in order."""

    def __init__(self, count: int, burst: float = 0, rate: float = 5.0) -> None:
        self.sent, self.now, self.count = (
            queue(*range(count), burst=burst, rate=rate),
            0.0,
            count,
        )
        self.up: list[SendMessage] = []
        self.down: list[tuple[bool, MessageId]] = []
        self.seen: list[MessageId] = []

    def send(self) -> None:
        self.up += self.sent.due(self.now)

    def arrive(self, refuses: bool = False) -> None:
        """The server takes the next one, or refuses it; as it does if that has a gap before it."""
        if self.up:
            id, follows = self.up[0].id, self.up.pop(0).follows
            refuses |= follows is not None and follows not in self.seen
            if not refuses and id not in self.seen:
                self.seen.append(id)
            self.down.append((id in self.seen, id))

    def answer(self) -> None:
        if self.down:
            taken, id = self.down.pop(0)
            assert (
                self.sent.acknowledge(id)
                if taken
                else self.sent.requeue(id, self.now, 0.2)
            )

    def break_off(self) -> None:
        """What is under way is lost, in both directions."""
        self.up, self.down = [], []
        self.sent.disconnected()
        self.sent.set_pace(0, 1.0, self.now)

    def settle(self) -> None:
        """From now on all goes well."""
        for _ in range(1000):
            self.now += 0.2
            self.send()
            while self.up or self.down:
                self.arrive()
                self.answer()
        assert len(self.sent) == 0


DEEDS = st.lists(
    st.sampled_from(
        [
            "send",
            "send",
            "arrive",
            "arrive",
            "arrive",
            "answer",
            "answer",
            "break",
            "refuse",
            "wait",
        ]
    ),
    max_size=150,
)


@given(st.integers(1, 40), DEEDS)
def test_each_message_is_heard_once_and_in_order_whatever_happens(
    count: int, deeds: list[str]
) -> None:
    network = Network(count)
    for deed in deeds:
        match deed:
            case "send":
                network.send()
            case "arrive":
                network.arrive()
            case "refuse":
                network.arrive(refuses=True)
            case "answer":
                network.answer()
            case "break":
                network.break_off()
            case "wait":
                network.now += 0.3
    network.settle()
    assert network.seen == list(range(count)), "each once, and in order"


@given(
    st.integers(1, 40),
    st.sampled_from([0.5, 2.0, 5.0, 50.0]),
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 30), st.integers(0, 30)),
        max_size=80,
    ),
)
def test_if_the_network_only_delays_nothing_is_ever_refused(
    burst: int, rate: float, steps: list[tuple[int, int, int]]
) -> None:
    network, bucket = Network(100, burst, rate), TokenBucket(burst, 0.0)
    for hundredths, arriving, answered in steps:
        network.now += hundredths / 100
        network.send()
        for _ in range(arriving):
            if network.up:
                assert bucket.wait(burst, rate, network.now) == 0.0
                network.arrive()
        for _ in range(answered):
            network.answer()
    assert network.seen == list(range(len(network.seen)))


# --- backoff_delays -------------------------------------------------------------------


def test_delays_grow_up_to_a_limit() -> None:
    longest = backoff_delays(0.25, 30.0, random=lambda: 1.0)
    assert [next(longest) for _ in range(9)] == [
        0.25,
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        16.0,
        30.0,
        30.0,
    ]
    shortest = backoff_delays(0.25, 30.0, random=lambda: 0.0)
    assert [next(shortest) for _ in range(9)] == [0.0125] * 9, (
        "full jitter: it may be at once, but never a hammering"
    )


def test_a_crowd_does_not_come_back_at_once() -> None:
    crowd = [list(itertools.islice(backoff_delays(), 10)) for _ in range(50)]
    for number in range(10):
        waits = [each[number] for each in crowd]
        assert (
            len(set(waits)) > 40
            and max(waits) <= 30
            and min(waits) >= 0.0125
            and max(waits) - min(waits) > 0.5 * max(waits)
        )


# --- TokenBucket ---------------------------------------------------------------------


def test_refusals_add_up_though_something_goes_through_now_and_then() -> None:
    """Where a server has little time for a flood, some forty refusals fit between two tokens."""
    bucket = TokenBucket(1, 0.0)
    for number in range(1, 401):
        bucket.wait(1, 5.0, number / 200)
    assert 250 < bucket.refused <= 300
    patient = TokenBucket(1, 0.0)
    for number in range(1, 401):  # twice as fast as it may
        patient.wait(1, 5.0, number / 10)
    assert patient.refused <= 1


def test_a_token_bucket_gives_the_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(3, 100.0)
    assert [bucket.wait(3, 2.0, 100.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert bucket.refused == 2
    assert [
        bucket.wait(3, 2.0, 100.25),
        bucket.wait(3, 2.0, 100.5),
        bucket.wait(3, 2.0, 100.5),
    ] == [0.25, 0.0, 0.5]
    assert bucket.refused == 1  # one that goes through takes ten off
    assert [bucket.wait(3, 2.0, 1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5], (
        "it never holds more than the burst"
    )


def test_a_token_bucket_is_not_emptied_by_a_clock_that_goes_back() -> None:
    bucket = TokenBucket(2, 100.0)
    assert [bucket.wait(2, 1.0, now) for now in (100.0, 50.0, 50.0, 51.0)] == [
        0.0,
        0.0,
        1.0,
        0.0,
    ]


TIMES = st.integers(0, 10**6).map(
    lambda ms: 1_700_000_000 + ms / 1000
)  # as the server has them: Unix time, to the millisecond
RATES = st.sampled_from(
    [0.1, 0.3, 2.0, 3.0, 5.0, 7.0, 10.0, 100.0, 1000.0]
) | st.floats(0.1, 1000)


@given(st.integers(1, 30), RATES, TIMES)
def test_who_waits_as_long_as_said_gets_through(
    burst: int, rate: float, now: float
) -> None:
    bucket = TokenBucket(burst, now)
    assert [bucket.wait(burst, rate, now) for _ in range(burst)] == [0.0] * burst
    pause = bucket.wait(burst, rate, now)
    assert 0 < pause <= 1 / rate + 0.002, "not much more than needed"
    assert bucket.wait(burst, rate, round(now + pause, 3)) == 0.0


@given(st.integers(1, 20), RATES, st.lists(st.integers(0, 3000), max_size=60), TIMES)
def test_a_token_bucket_never_lets_more_through_than_burst_and_rate_allow(
    burst: int, rate: float, pauses: list[int], now: float
) -> None:
    bucket, taken = TokenBucket(burst, now), []
    for ms in pauses:
        now += ms / 1000
        if bucket.wait(burst, rate, now) == 0.0:
            taken.append(now)
    for number, start in enumerate(taken):
        for more, end in enumerate(taken[number:], 1):
            assert more <= burst + (end - start) * rate + 0.01
