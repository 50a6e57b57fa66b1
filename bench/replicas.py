"""What a chat on several nodes costs each of them: memory, a snapshot, and how many commands a second it can apply.

    python -m bench.replicas                    # 100,000 people on three nodes, in rooms of 100
    python -m bench.replicas --people 10000 --each 10

No network and no Redis: the log is in memory, and all is done by one node, as each node does it. It reads every entry,
applies it to its copy, and picks the deliveries for its own third of the people. Memory is what the process has grown
by (Linux: /proc). The snapshot is loaded in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from python_tcp.limits import Limits
from python_tcp.log_entries import (
    ChatBegun,
    CommandGiven,
    ConnectionOpened,
    LogEntry,
    LogItem,
    NodeGone,
    encode_entry,
)
from python_tcp.protocol import Command, Join, SendMessage
from python_tcp.replication import RULES, LogNode, Replica
from python_tcp.snapshot import load_snapshot, take_snapshot

NODES, BATCH = ("a", "b", "c"), 50
LIMITS = msgspec.to_builtins(Limits(flood_burst=0))


def resident() -> float:
    """MiB of memory of this process."""
    gc.collect()
    return (
        int(re.search(r"VmRSS:\s*(\d+)", Path("/proc/self/status").read_text())[1])
        / 1024
    )


class Crowd:
    """People on three nodes, each of them in one room; their commands become entries of the log."""

    def __init__(self, people: int, each: int) -> None:
        self._people, self._rooms = people, max(1, people // each)
        self._counters = dict.fromkeys(NODES, 0)
        self._position = 0

    def entries(
        self, items: Callable[[int], list[LogItem]], numbers: range
    ) -> Iterator[tuple[str, bytes]]:
        """What comes from these people, some at a time, from one node after the other."""
        for start in range(numbers.start, numbers.stop, BATCH * len(NODES)):
            for at, name in enumerate(NODES):
                part = range(
                    start + at,
                    min(start + BATCH * len(NODES), numbers.stop),
                    len(NODES),
                )
                found = [item for number in part for item in items(number)]
                self._position += 1
                entry = LogEntry(
                    name,
                    self.next_counter(name),
                    1_700_000_000.0 + self._position / 100,
                    found,
                )
                yield f"{self._position}-0", encode_entry(entry)

    def next_counter(self, node: str) -> int:
        self._counters[node] += 1
        return self._counters[node]

    def room(self, number: int) -> str:
        return f"room{number // len(NODES) % self._rooms}"  # of each node somebody

    def begin(self, number: int) -> list[LogItem]:
        return [ChatBegun(RULES, "bench", LIMITS)]

    def join(self, number: int) -> list[LogItem]:
        command = Join(f"person{number}", self.room(number))
        opened = ConnectionOpened(number + 1, f"192.0.2.{number % 250}")
        return [
            opened,
            CommandGiven(number + 1, command, f"token-of-person-{number:016}"),
        ]

    def say(self, number: int) -> list[LogItem]:
        person = (
            number * 7921 % (self._people // 3 * 3)
        )  # from here and there, on the same node
        command: Command = SendMessage(
            "a sentence as people write them, about so long", id=number
        )
        return [CommandGiven(person + 1, command)]


def seconds(call: Callable[[], object]) -> float:
    """CPU time, which does not depend on what else the machine does."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(people: int, each: int, messages: int) -> dict[str, float]:
    crowd, before = Crowd(people, each), resident()
    node = LogNode(NODES[0], Replica())
    node.take(0.0)

    def read(entries: list[tuple[str, bytes]]) -> int:
        return sum(len(node.receive(*entry)) for entry in entries)

    read(list(crowd.entries(crowd.begin, range(1))))
    # The people of a node have numbers with the same rest: so joins and messages fit.
    joined = seconds(
        lambda: [read([entry]) for entry in crowd.entries(crowd.join, range(people))]
    )
    grown = resident() - before
    data: list[bytes] = []
    took = seconds(lambda: data.append(take_snapshot(node.replica)))
    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder) / "snapshot").write_bytes(data[0])
        done = subprocess.run(
            [sys.executable, "-m", "bench.replicas", "--load", path],
            capture_output=True,
            text=True,
            check=True,
        )
    said = list(crowd.entries(crowd.say, range(messages)))
    told = 0

    def apply() -> None:
        nonlocal told
        told = read(said)

    applied = seconds(apply)
    assert told >= messages, "nobody has heard anything"
    gone = LogEntry(
        NODES[0], crowd.next_counter(NODES[0]), 1_800_000_000.0, [NodeGone(NODES[1])]
    )
    gave_up = seconds(lambda: node.replica.apply("gone", gone))
    assert node.replica.rules is not None
    waited = len(node.replica.rules.rooms.roster.held)
    assert waited == len(range(1, people, len(NODES))), (
        f"{waited} people are waited for"
    )
    return {
        "people": people,
        "people in a room": each,
        "KiB for each person and node": grown * 1024 / people,
        "joins a second": people / joined,
        "messages a second": messages / applied,
        "seconds to give up a node": gave_up,
        "MiB of the snapshot": len(data[0]) / 2**20,
        "seconds to take it": took,
        **json.loads(done.stdout),
    }


def load(path: str) -> dict[str, float]:
    data, before, found = Path(path).read_bytes(), resident(), []
    took = seconds(lambda: found.append(load_snapshot(data)))
    assert found[0].rules is not None
    people = len(found[0].rules.rooms.by_name)
    return {
        "seconds to load it": took,
        "KiB for each person after that": (resident() - before) * 1024 / people,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=100, help="people in a room")
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(load(arguments.load)))
        return
    for name, value in measure(
        arguments.people, arguments.each, arguments.messages
    ).items():
        print(f"{name:32} {value:12,.2f}")


if __name__ == "__main__":
    main()
