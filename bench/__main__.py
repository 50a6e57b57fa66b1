"""`python -m bench`: measure our ChatServer beside what a person would pick instead. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import report
from .servers import HOST, PEERS, ROOT, NotStarted, Peer, running, stop_on_sigterm

RESULTS = Path(__file__).resolve().parent / "results"
PYTHON_PEERS = ("ours", "asyncio", "uvloop", "threads")
# A server that keeps none of these words has not done the work; what it says about speed is worth nothing.
FATAL = ("lost", "doubled", "out of order", "garbled")


@dataclass
class Workload:
    title: str
    variants: dict[str, dict[str, Any]]  # name -> job for the load generator
    quick: dict[str, Any] = field(default_factory=dict)
    rounds: int = 1000  # no more than that, where a run is long and steady
    peers: tuple[str, ...] = ()  # only these, unless others are asked for
    quick_peers: tuple[str, ...] = ()  # the same, with --quick


def _closed(clients: int, rooms: int = 1) -> dict[str, Any]:
    return {"work": "closed", "clients": clients, "rooms": rooms, "seconds": 3}


_calm = {"work": "paced", "clients": 100, "rate": 100, "seconds": 6}
_slow = {"work": "paced", "clients": 100, "rate": 500, "size": 2000, "seconds": 8}

WORKLOADS = {
    "a": Workload(
        "100 clients in one room, each sends again when its own message came back",
        {"": _closed(100)},
        {"seconds": 1},
    ),
    "b": Workload(
        "10 senders pipeline 1000 messages each to 100 clients",
        {
            "": {
                "work": "burst",
                "clients": 100,
                "senders": 10,
                "messages": 1000,
                "seconds": 1,
            }
        },
        {"messages": 100, "seconds": 0.3},
    ),
    "c": Workload(
        "1000 clients in 100 rooms, each sends again when its own message came back",
        {"": _closed(1000, 100)},
        {"seconds": 1},
    ),
    "d": Workload(
        "100 clients in one room, 100 messages a second in all",
        {"": _calm},
        {"seconds": 1.5},
    ),
    "e": Workload(
        "100 clients in one room, 500 messages of 2000 characters a second in all, one never reads",
        {"without": _slow, "with": _slow | {"lurker": True}},
        {"seconds": 2, "size": 4000},
        rounds=3,
        quick_peers=("ours", "asyncio"),
    ),
    "f": Workload(
        "idle connections, ten to a room",
        {"": {"work": "idle", "clients": 5000, "seconds": 10}},
        {"clients": 500, "seconds": 1},
        rounds=1,
    ),
    "g": Workload(
        "plain echo of 32 bytes, connections",
        {
            "1": {"work": "echo", "clients": 1, "seconds": 1.5},
            "50": {"work": "echo", "clients": 50, "seconds": 1.5},
        },
        {"seconds": 0.4},
    ),
    "h": Workload(
        "100 clients in one room, 100 messages a second in all, 200 strangers a second come and go",
        {"without": _calm, "with": _calm | {"strangers": 200}},
        {"seconds": 1.5},
        peers=("ours-tls",),
    ),
    "scaling": Workload(
        "one room, each sends again when its own message came back, clients",
        {str(n): _closed(n) for n in (10, 30, 100, 300, 1000)},
        {"seconds": 1},
        peers=("ours",),
    ),
}


def cores() -> tuple[int | None, int | None]:
    """A core for the server and another for the load."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


def raise_file_limit() -> int | None:
    """As many files as we may have; the servers and the load generator inherit it."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 20000 if hard == resource.RLIM_INFINITY else min(20000, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    except (OSError, ValueError):
        return soft


def measure(
    peer: Peer, job: dict[str, Any], server_core: int | None, load_core: int | None
) -> dict[str, Any]:
    """One job against a server of its own, freshly started."""
    with running(peer, job["work"] == "echo", server_core) as (pid, port):
        full = {
            "dialect": peer.dialect,
            "tls": peer.tls,
            "host": HOST,
            "port": port,
            "pid": pid,
            "core": load_core,
        } | job
        load = subprocess.Popen(
            [sys.executable, "-m", "bench.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            answer, _ = load.communicate(json.dumps(full), timeout=300)
        except subprocess.TimeoutExpired:
            return {"broken": "stalled: no result after 300 s"}
        finally:
            load.kill()
            load.wait()
    return (
        json.loads(answer)
        if load.returncode == 0
        else {"broken": "the load generator failed"}
    )


def help_seconds() -> float | None:
    """How long `chat_server --help` takes: the median of ten."""
    code = "import sys; sys.argv = ['chat_server', '--help']; from python_tcp.chat_app import start_server; sys.exit(start_server())"
    took = []
    for _ in range(10):
        start = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=20,
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode or b"--port" not in done.stdout:
            return None
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def choose(args: argparse.Namespace) -> tuple[list[str], list[str], list[str]]:
    """Workloads, peers, and a line for each peer that can't be measured here."""
    known = [w for w in WORKLOADS if w != "scaling"]
    works = (
        args.only.split(",") if args.only else ["scaling"] if args.scaling else known
    )
    peers = (
        args.peers.split(",")
        if args.peers
        else list(PYTHON_PEERS)
        if args.quick
        else list(PEERS)
    )
    for given, allowed in ((works, WORKLOADS), (peers, PEERS)):
        for name in given:
            if name not in allowed:
                sys.exit(
                    f"bench: unknown name {name!r}; there are {', '.join(allowed)}"
                )
    reasons = {p: PEERS[p].why_not() for p in peers}
    return (
        works,
        [p for p in peers if not reasons[p]],
        [f"{PEERS[p].title}: {why}" for p, why in reasons.items() if why],
    )


def plan(
    works: list[str], peers: list[str], files: int | None, args: argparse.Namespace
) -> list[tuple[int, str, str, str, dict[str, Any]]]:
    """Every run, in order: (round, workload, variant, peer, job). Peers take turns in being first."""
    runs: list[tuple[int, str, str, str, dict[str, Any]]] = []
    for turn in range(args.rounds):
        for name in works:
            work = WORKLOADS[name]
            if turn >= work.rounds:
                continue
            usual = work.quick_peers if args.quick and work.quick_peers else work.peers
            these = [
                p
                for p in peers
                if (args.peers or not usual or p in usual)
                and (len(name) > 1 or name in PEERS[p].works)
            ]
            these = (
                these[turn % len(these) :] + these[: turn % len(these)] if these else []
            )
            for peer in these:
                for variant, job in work.variants.items():
                    job = job | ({"warm": 0.3} | work.quick if args.quick else {})
                    if files:
                        job["clients"] = min(job["clients"], (files - 100) // 2)
                    runs.append((turn, name, variant, peer, job))
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--rounds",
        type=int,
        help="how often everything is measured (5; with --quick once)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a smoke check in under a minute: ours and the Python peers",
    )
    parser.add_argument("--only", help=f"these workloads, of {','.join(WORKLOADS)}")
    parser.add_argument("--peers", help=f"these servers, of {','.join(PEERS)}")
    parser.add_argument(
        "--scaling",
        action="store_true",
        help="one room of 10 to 1000 clients; ours only, unless --peers says more",
    )
    parser.add_argument(
        "--json",
        type=Path,
        help="where the results go (bench/results/bench.json, or scaling.json)",
    )
    parser.add_argument(
        "--svg",
        type=Path,
        help="where the picture goes (bench/results/bench.svg, or scaling.svg)",
    )
    args = parser.parse_args()
    name = "scaling" if args.scaling else "bench"
    args.json, args.svg = (
        args.json or RESULTS / f"{name}.json",
        args.svg or RESULTS / f"{name}.svg",
    )
    args.rounds = args.rounds or (1 if args.quick else 5)
    stop_on_sigterm()
    works, peers, skipped = choose(args)
    server_core, load_core = cores()
    if server_core is not None and server_core == load_core:
        print(
            "bench: only one core: server and load generator share it, and the figures mean little",
            file=sys.stderr,
        )
    versions = {PEERS[p].title: PEERS[p].version() for p in peers}
    files = raise_file_limit()
    if files and files < 10200:
        print(
            f"bench: only {files} open files are allowed: some workloads run with {(files - 100) // 2} clients",
            file=sys.stderr,
        )
    runs, rows = plan(works, peers, files, args), []
    given_up: set[str] = set()
    interrupted = False
    for i, (turn, work, variant, peer, job) in enumerate(runs):
        if peer in given_up:
            continue
        print(
            f"[{i + 1}/{len(runs)}] round {turn + 1} ({work}) {variant} {PEERS[peer].title}",
            file=sys.stderr,
            flush=True,
        )
        try:
            result = measure(PEERS[peer], job, server_core, load_core)
        except KeyboardInterrupt:
            interrupted = True
            print(
                "bench: stopped; what follows is what was measured until then",
                file=sys.stderr,
            )
            break
        except NotStarted as e:
            given_up |= {peer} if job["work"] != "echo" else set()
            skipped.append(f"{PEERS[peer].title}: {e}")
            continue
        if "broken" in result:
            print(f"    FAILED: {result['broken']}", file=sys.stderr, flush=True)
        rows.append(
            {
                "round": turn + 1,
                "workload": work,
                "variant": variant,
                "peer": peer,
                "result": result,
            }
        )
    took = help_seconds() if "ours" in peers and not interrupted else None
    facts, m = report.machine(), report.medians(rows)
    the_goals = report.goals(m, rows, took)
    results = {
        "machine": facts,
        "versions": versions,
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "rounds": args.rounds,
        "quick": args.quick,
        "skipped": skipped,
        "goals": the_goals,
        "medians": m,
        "runs": rows,
    }
    for path, text in (
        (args.json, json.dumps(results, indent=1, ensure_ascii=False) + "\n"),
        (args.svg, report.picture(rows, facts)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(
        report.tables(
            {k: w.title for k, w in WORKLOADS.items()},
            rows,
            list(dict.fromkeys(skipped)),
            the_goals,
        )
    )
    broken = [
        r
        for r in rows
        if "broken" in r["result"]
        and (r["peer"].startswith("ours") or r["result"]["broken"].startswith(FATAL))
    ]
    for r in broken:
        print(
            f"FAILED: ({r['workload']}) {PEERS[r['peer']].title}: {r['result']['broken']}"
        )
    return 130 if interrupted else 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
