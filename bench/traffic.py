"""`python -m bench.traffic`: mixed traffic with churn against a real `chat_server`. Does it stay as it was? See README.md."""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from python_tcp.reconnector import Backoff

from .load import cpu_seconds, resident
from .servers import HOST, ROOT, stop_on_sigterm
from .visitors import HALL, SEED, Cable, Guest, Guests, Talker

SERVER = (
    "import sys; from python_tcp.chat_app import start_server; sys.exit(start_server())"
)
WINDOW = 5.0  # seconds for which a place is kept
CONFIG = f"""
[limits]
connections = 200
connections_per_address = 0
flood_burst = 100
flood_rate = 50.0
resume_window = {WINDOW}
output_bytes = 200_000
output_timeout = 3.0
history_days = 0.001
data_bytes = 1_000_000
"""
TALKERS = ["ann", "bob", "cy", "dee"]
MIB, HOUR = 1 << 20, 3600.0
MOST_GROWTH = 2.0  # MiB in the second half


@dataclass(frozen=True)
class Sample:
    """What the server's process has, at a time in seconds."""

    when: float
    memory: float  # MiB, resident
    descriptors: int
    threads: int


def sample(pid: int) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text()
    threads = int(status.partition("Threads:")[2].split()[0])
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Sample(time.monotonic(), (resident(pid) or 0) / MIB, descriptors, threads)


def slope(points: list[tuple[float, float]], blocks: int = 12) -> tuple[float, float]:
    """By how much it grows in an hour, by least squares, and the standard error of that.

    Neighbours in time are alike, so the line goes through the means of some blocks.
    """
    size = max(1, len(points) // blocks)
    parts = [points[i : i + size] for i in range(0, len(points) - size + 1, size)]
    xs = [statistics.fmean(x for x, _ in part) / HOUR for part in parts]
    ys = [statistics.fmean(y for _, y in part) for part in parts]
    line = statistics.linear_regression(xs, ys)
    rest = sum((y - line.slope * x - line.intercept) ** 2 for x, y in zip(xs, ys))
    mean = statistics.fmean(xs)
    spread = sum((x - mean) ** 2 for x in xs)
    return line.slope, math.sqrt(rest / max(1, len(xs) - 2) / spread)


@dataclass
class Result:
    """What a run has shown."""

    seconds: float
    before: Sample  # nobody is here
    after: Sample  # everybody has gone
    samples: list[Sample]
    done: dict[str, int]
    wrong: list[str]  # what should not have happened
    cpu: float  # the server's, in cores
    slopes: dict[str, tuple[float, float]] = field(default_factory=dict)  # an hour

    def __post_init__(self) -> None:
        half = self.samples[len(self.samples) // 2 :]
        for name in ("memory", "descriptors", "threads"):
            points = [(each.when, float(getattr(each, name))) for each in half]
            self.slopes[name] = slope(points)

    @property
    def growth(self) -> float:
        """MiB of memory, in the second half."""
        return self.slopes["memory"][0] * self.seconds / 2 / HOUR

    def problems(self, most_growth: float = MOST_GROWTH) -> list[str]:
        """Why it is not flat, or not right. Empty if all is well."""
        found = [*self.wrong]
        for name in ("descriptors", "threads"):
            before, after = getattr(self.before, name), getattr(self.after, name)
            if before != after:
                found.append(f"{name}: {before} before, {after} after")
        if self.growth > most_growth:
            found.append(f"memory grew by {self.growth:.1f} MiB in the second half")
        return found

    def lines(self) -> Iterator[str]:
        yield f"{self.seconds / 60:.1f} minutes; the server took {self.cpu:.3f} cores"
        yield ", ".join(f"{count} {what}" for what, count in sorted(self.done.items()))
        form = "{:<12}{:>9}{:>9}{:>9}{:>9}   {}"
        yield form.format(
            "", "before", "least", "most", "after", "second half, an hour"
        )
        for name, (per_hour, error) in self.slopes.items():
            values = [getattr(each, name) for each in self.samples]
            row = [getattr(self.before, name), min(values), max(values)]
            row.append(getattr(self.after, name))
            told = f"{per_hour:+.2f} ± {2 * error:.2f}"
            yield form.format(name, *(f"{value:.4g}" for value in row), told)
        yield from (f"WRONG: {problem}" for problem in self.problems())


@contextmanager
def chat_server(folder: Path, code: str) -> Iterator[tuple[int, int]]:
    """A `chat_server` with a data file in this folder: its process id, and its port."""
    (config := folder / "chat.toml").write_text(CONFIG)
    out, errors = folder / "out", folder / "errors"
    arguments = ["--port", "0", "--config", config, "--data", folder / "chat.db"]
    arguments += ["--log-format", "json"]
    with out.open("wb") as to, errors.open("wb") as to_errors:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=to, stderr=to_errors,
            start_new_session=True,
        )  # fmt: skip
        try:
            while b"\n" not in (start := out.read_bytes()):
                if process.poll() is not None:
                    sys.exit(f"bench: chat_server ended: {errors.read_text()}")
                time.sleep(0.02)
            yield process.pid, json.loads(start.splitlines()[0])["port"]
            process.send_signal(signal.SIGTERM)
            if process.wait(20):
                sys.exit(f"bench: chat_server ended with {process.returncode}")
        finally:
            process.kill()
            process.wait()


class Traffic:
    """Everybody who comes, each on a thread of its own, until `stop`."""

    def __init__(self, port: int, rate: float) -> None:
        self.cable, self._rate, self._port = Cable(port), rate, port
        others = {name: [o for o in TALKERS if o != name] for name in TALKERS}
        self.talkers = [Talker(name, others[name]) for name in TALKERS]
        self.guests = guests = Guests(port, TALKERS)
        self._end = threading.Event()
        self.wrong: list[str] = []
        ways: list[tuple[Callable[[random.Random], object], float]] = [
            *((talker.turn, 0.5) for talker in self.talkers), (guests.visit, 0.5),
            (guests.visit, 0.7), (guests.babble, 3.0), (guests.lurk, 5.0),
            (guests.storm, 10.0),
        ]  # fmt: skip
        self._threads = [
            threading.Thread(target=self._go_on, args=(*way, seed), daemon=True)
            for seed, way in enumerate(ways, SEED)
        ]
        self._threads.append(threading.Thread(target=self._cut_talkers, daemon=True))

    def _go_on(
        self, once: Callable[[random.Random], object], pause: float, seed: int
    ) -> None:
        """Do it again and again, after pauses of this length in the mean."""
        chance = random.Random(seed)
        while not self._end.wait(chance.uniform(0, 2 * pause) / self._rate):
            try:
                once(chance)
            except OSError:  # it was too fast, or too much
                self.guests.done["ended by the server"] += 1
            except Exception as error:
                self.wrong.append(f"{once}: {error!r}")

    def _cut_talkers(self) -> None:
        """So seldom that each is back at once: the pauses of a client grow otherwise."""
        pause = 10.0
        while not self._end.wait(pause):
            self.cable.cut()
            pause = Backoff.STABLE + 10.0

    def start(self) -> None:
        for talker in self.talkers:
            assert talker.client.connect(HOST, self.cable.port), talker.client.error
            assert talker.client.join(HALL), talker.client.error
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Everybody goes; but first, the talkers have heard what was said."""
        self._end.set()
        for thread in self._threads:
            thread.join(60)
        end = time.monotonic() + 60
        while self._missing() and time.monotonic() < end:
            time.sleep(0.05)
        self.wrong += self._missing() + self.guests.wrong
        for talker in self.talkers:
            self.wrong += talker.wrong
            talker.client.leave()
        self.cable.close()

    def _missing(self) -> list[str]:
        pairs = (
            (hearer, speaker) for hearer in self.talkers for speaker in self.talkers
        )
        counts = ((h.name, s.name, h.missing(s)) for h, s in pairs)
        return [f"{h} has not heard {n} of {s}" for h, s, n in counts if n]

    def done(self) -> dict[str, int]:
        talkers = self.talkers
        return dict(self.guests.done) | {
            "talkers' messages": sum(each.said[HALL] for each in talkers),
            "whispers": sum(each.said.total() - each.said[HALL] for each in talkers),
            "messages heard": sum(each.received for each in talkers),
            "talkers' connections cut": sum(each.lost for each in talkers),
            "whispers lost with one": sum(each.whispers_lost for each in talkers),
        }


def _warm_up(port: int) -> None:
    """One guest: what is opened only when it is needed is open then."""
    guest = Guest(port, 9)
    guest.join("first", HALL)
    guest.say("message", content="hello", id=1)
    guest.until("ok")
    guest.leave()


def _settled(pid: int, descriptors: int) -> Sample:
    """When all held places are over: soon it has as many descriptors as before."""
    time.sleep(WINDOW + 1)
    end = time.monotonic() + 5
    while (found := sample(pid)).descriptors != descriptors and time.monotonic() < end:
        time.sleep(0.1)
    return found


def run(seconds: float, rate: float = 1.0, code: str = SERVER) -> Result:
    """Let everybody come, for so long; `rate`: faster or slower than usual. `code`: of the server."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with chat_server(folder, code) as (pid, port):
            _warm_up(port)
            time.sleep(0.5)
            before, samples = sample(pid), list[Sample]()
            (traffic := Traffic(port, rate)).start()
            start, cpu = time.monotonic(), cpu_seconds(pid) or 0.0
            try:
                while time.monotonic() < start + seconds:
                    time.sleep(min(1.0, seconds / 200))
                    samples.append(sample(pid))
            except KeyboardInterrupt:
                print("bench: stopped; what follows is of the time until then")
            took, cpu = time.monotonic() - start, (cpu_seconds(pid) or 0.0) - cpu
            traffic.stop()
            after = _settled(pid, before.descriptors)
        done = traffic.done()
        with closing(sqlite3.connect(folder / "chat.db")) as db:
            sql = "SELECT min(n) - 1, count(*) FROM messages"
            gone, kept = db.execute(sql).fetchone()
        done |= {"messages deleted": gone, "messages kept": kept}
        done["KiB of the data file"] = (folder / "chat.db").stat().st_size >> 10
        wrong = [*traffic.wrong, *(folder / "errors").read_text().splitlines()]
        return Result(took, before, after, samples, done, wrong[:50], cpu / took)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.traffic", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=1.0, help="faster, or slower (1)")
    parser.add_argument(
        "--json", type=Path, help="where the result goes, with 120 samples"
    )
    args = parser.parse_args()
    stop_on_sigterm()
    if not os.path.exists("/proc/self/status"):
        sys.exit("bench: the figures come from /proc, which this system does not have")
    result = run(args.minutes * 60, args.rate)
    print(*result.lines(), sep="\n")
    if args.json:
        step = max(1, len(result.samples) // 120)
        fields = asdict(result) | {"samples": asdict(result)["samples"][::step]}
        args.json.write_text(json.dumps(fields, indent=1) + "\n")
    return 1 if result.problems() else 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
