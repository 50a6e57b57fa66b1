"""From raw results to medians, a table, the goals, JSON and one picture."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any, NamedTuple
from collections.abc import Iterable
from xml.sax.saxutils import escape

from .servers import PEERS

Medians = dict[
    str, dict[str, Any]
]  # "workload/variant/peer" -> metric -> median over the rounds

LESS_IS_BETTER = ("cpu_us_per_delivery", "p50_us", "p99_us", "bytes_each")


def machine() -> dict[str, Any]:
    """What the figures depend on. No name, no path."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as f:
            model = next(
                (
                    line.split(":", 1)[1].strip()
                    for line in f
                    if line.startswith("model name")
                ),
                model,
            )
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "msgspec": _version("msgspec"),
        "uvloop": _version("uvloop"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def medians(rows: list[dict[str, Any]]) -> Medians:
    """Each metric's median over the rounds that went well."""
    values: dict[str, dict[str, list]] = {}
    for row in rows:
        metrics = values.setdefault(
            f"{row['workload']}/{row['variant']}/{row['peer']}", {}
        )
        for key, value in row["result"].items():
            if value is not None:
                metrics.setdefault(key, []).append(value)
    return {
        where: {
            key: all(vs)
            if isinstance(vs[0], bool)
            else median(vs)
            if isinstance(vs[0], (int, float))
            else vs[0]
            for key, vs in metrics.items()
        }
        for where, metrics in values.items()
    }


def ratio(m: Medians, where: str, key: str, of: str, to: str) -> float | None:
    a, b = (m.get(f"{where}/{peer}", {}).get(key) for peer in (of, to))
    return a / b if a is not None and b else None


def disturbed_ratio(rows: list[dict[str, Any]], peer: str, work: str) -> float | None:
    """The p99 with what disturbs in this workload, by that without: the two were measured one right after the other."""
    p99 = {
        (r["round"], r["variant"]): r["result"].get("p99_us")
        for r in rows
        if r["workload"] == work and r["peer"] == peer
    }
    pairs = [
        p99[n, "with"] / p99[n, "without"]
        for n, variant in p99
        if variant == "with" and p99[n, "with"] and p99.get((n, "without"))
    ]
    return median(pairs) if pairs else None


# -- the aims

RATE, CPU = "deliveries_per_s", "cpu_us_per_delivery"
REDIS, NATS = ("redis", "redis2", "valkey"), ("nats", "nats-new")


class Aim(NamedTuple):
    """One row of the table of aims: what we want to `keep`, and what to `reach` some day."""

    work: str
    peers: tuple[str, ...]  # compared with each of these
    keep: float
    reach: float | None = None
    at_least: bool = True  # else at most
    unit: str = "×"
    where: str = ""  # workload and variant, and the metric, of a comparison
    metric: str = ""

    def limit(self, value: float) -> str:
        return f"{'≥' if self.at_least else '≤'} {value:.3g}{self.unit}"


AIMS = [
    Aim("(a) one room, deliveries/s", REDIS, 1.15, 1.5, where="a/", metric=RATE),
    Aim("(a) server's CPU per delivery", REDIS, 0.85, 0.67, False, "×", "a/", CPU),
    Aim("(a) one room, deliveries/s", NATS, 3, where="a/", metric=RATE),
    Aim("(a) one room, deliveries/s", ("ngircd",), 2, where="a/", metric=RATE),
    Aim("(a) one room, deliveries/s", ("asyncio",), 20, where="a/", metric=RATE),
    Aim("(b) pipelining, deliveries/s", REDIS, 2.2, 3, where="b/", metric=RATE),
    Aim("(c) 100 rooms, deliveries/s", REDIS, 0.85, 1.1, where="c/", metric=RATE),
    Aim("(a) with history on, by history off", (), 0.75, 0.85),
    Aim("(a) over TLS, by clear text", (), 0.5),
    Aim("(a) with its log in Redis, by alone", (), 0.6),
    Aim("(a) two workers, by one node, both with Redis", (), 1.5),
    Aim("(a) two workers, CPU per delivery, by one node's", (), 1.33, None, False),
    Aim("(c) over WebSocket, by JSON lines", (), 0.5),
    Aim("(e) one never reads: the others' p99, by without", (), 1.2, None, False),
    Aim("(e) one never reads: memory grew by", (), 16, None, False, " MiB"),
    Aim("(e) one never reads: closed, and told why (1 = yes)", (), 1, unit=""),
    Aim("(f) memory of an idle connection", (), 6, None, False, " KiB"),
    Aim("(f) memory of an idle connection over TLS", (), 40, None, False, " KiB"),
    Aim("(f) CPU of an idle server without connections", (), 0.1, None, False, " %"),
    Aim("(h) 200 TLS handshakes a second: p99, by without", (), 2, None, False),
    Aim("chat_server --help", (), 0.25, None, False, " s"),
]


def aims() -> str:
    """The table of README.md."""
    lines = ["| | keep | reach |", "|---|---|---|"]
    for aim in AIMS:
        by = "; ".join(PEERS[peer].title for peer in aim.peers)
        work = f"{aim.work}, by that of each: {by}" if by else aim.work
        reach = "" if aim.reach is None else aim.limit(aim.reach)
        lines.append(f"| {work} | {aim.limit(aim.keep)} | {reach} |")
    return "\n".join(lines)


def own_values(
    m: Medians, rows: list[dict[str, Any]], help_seconds: float | None
) -> dict[str, float | None]:
    """What is measured for each aim that compares us with nobody else."""
    slow, calm = m.get("e/with/ours", {}), m.get("f//ours", {})
    secret = m.get("f//ours-tls", {})
    grown = told = each = None
    if slow.get("rss_max") and slow.get("rss_before"):
        grown = (slow["rss_max"] - slow["rss_before"]) / 2**20
    if slow.get("slow_closed") is not None:
        told = float(slow["slow_closed"] and slow["slow_told"])
    if calm.get("bytes_each"):
        each = calm["bytes_each"] / 1024
    values = [
        ratio(m, "a/", RATE, "ours-history", "ours"),
        ratio(m, "a/", RATE, "ours-tls", "ours"),
        ratio(m, "a/", RATE, "ours-redis", "ours"),
        ratio(m, "a/", RATE, "ours-workers", "ours-redis"),
        ratio(m, "a/", CPU, "ours-workers", "ours-redis"),
        ratio(m, "c/", RATE, "ours-web", "ours"),
        disturbed_ratio(rows, "ours", "e"),
        grown,
        told,
        each,
        secret["bytes_each"] / 1024 if secret.get("bytes_each") else None,
        _percent(calm.get("empty_cpu")),
        disturbed_ratio(rows, "ours-tls", "h"),
        help_seconds,
    ]
    return dict(zip([aim.work for aim in AIMS if not aim.peers], values, strict=True))


def goals(
    m: Medians, rows: list[dict[str, Any]], help_seconds: float | None
) -> list[dict[str, Any]]:
    """What came of each aim: value, limit, met (None: not measured)."""
    own = own_values(m, rows, help_seconds)
    found = []
    for aim in AIMS:
        for peer in aim.peers or ("",):
            value = own.get(aim.work)
            if peer:
                value = ratio(m, aim.where, aim.metric, "ours", peer)
            work = f"{aim.work}, by {PEERS[peer].title}" if peer else aim.work
            for word, limit in (("", aim.keep), ("beyond: ", aim.reach)):
                if limit is None:
                    continue
                met = None
                if value is not None:
                    met = value >= limit if aim.at_least else value <= limit
                found.append(
                    {
                        "goal": word + work,
                        "value": value,
                        "limit": limit,
                        "at_least": aim.at_least,
                        "unit": aim.unit,
                        "met": met,
                    }
                )
    return sorted(found, key=lambda goal: goal["goal"].startswith("beyond"))


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


# -- the table


def _number(value: Any, form: str = ",.0f", scale: float = 1) -> str:
    return "n/a" if value is None else format(value * scale, form)


def _load_bound(r: dict[str, Any]) -> bool:
    """Was the load generator the limit, and not the server? Then the server could do more than the figure says."""
    return r.get("generator_cpu", 0) > 0.85 and (r.get("server_cpu") or 1) < 0.85


def _columns(
    where: str, m: Medians, rows: list[dict[str, Any]], peer: str
) -> dict[str, str]:
    """What is worth showing of one peer in one workload."""
    r, workload = m[f"{where}/{peer}"], where[0]
    if "stalled" in r:
        return {"result": "everybody waits for the one that does not read"}
    bound = _load_bound(r) and workload in "abc"
    busy = {
        "server CPU": _number(r.get("server_cpu"), ".0%"),
        "generator CPU": _number(r.get("generator_cpu"), ".0%")
        + (" (the limit)" if bound else ""),
    }
    if workload == "f":
        return {
            "connections": _number(r["connections"]),
            "KiB each": _number(r.get("bytes_each"), ".1f", 1 / 1024),
            "CPU empty": _number(r.get("empty_cpu"), ".2%"),
            "CPU idle": _number(r.get("idle_cpu"), ".2%"),
        }
    latency = {"p50 µs": _number(r.get("p50_us")), "p99 µs": _number(r.get("p99_us"))}
    if workload == "d":
        return (
            latency
            | {"CPU µs/delivery": _number(r.get("cpu_us_per_delivery"), ".2f")}
            | busy
        )
    if workload == "e":
        memory = {
            "RSS before": _number(r.get("rss_before"), ".1f", 2**-20),
            "after": _number(r.get("rss_after"), ".1f", 2**-20),
            "max MiB": _number(r.get("rss_max"), ".1f", 2**-20),
        }
        end = (
            {}
            if "slow_closed" not in r
            else {
                "the slow one": ("closed" if r["slow_closed"] else "still there")
                + (", told why" if r["slow_told"] else ""),
                "p99 with/without": _number(disturbed_ratio(rows, peer, "e"), ".2f"),
            }
        )
        return latency | memory | busy | end
    what = "round trips" if workload == "g" else "deliveries"
    ours = ratio(m, where, "deliveries_per_s", "ours", peer)
    ours_cpu = ratio(m, where, "cpu_us_per_delivery", "ours", peer)
    return {
        f"{what}/s": _number(r.get("deliveries_per_s")),
        "ours is": "" if ours is None else f"{'≤ ' if bound else ''}{ours:.2f} ×",
        "CPU µs each": _number(r.get("cpu_us_per_delivery"), ".3f"),
        "ours takes": "" if ours_cpu is None else f"{ours_cpu:.2f} ×",
        **(latency if "p50_us" in r else {}),
        **busy,
    }


def table(head: str, lines: list[dict[str, str]]) -> str:
    """Lines of cells under one headline; the first column to the left, the others to the right."""
    keys = list(dict.fromkeys(key for line in lines for key in line))
    width = {
        key: max(len(key), *(len(line.get(key, "")) for line in lines)) for key in keys
    }
    rows = [{key: key for key in keys}, *lines]
    body = [
        "  ".join(
            row.get(key, "").ljust(width[key])
            if i == 0
            else row.get(key, "").rjust(width[key])
            for i, key in enumerate(keys)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([head, *("  " + line for line in body), ""])


def tables(
    works: dict[str, str],
    rows: list[dict[str, Any]],
    skipped: list[str],
    the_goals: list[dict[str, Any]],
) -> str:
    m, out = medians(rows), []
    places = dict.fromkeys((r["workload"], r["variant"]) for r in rows)
    for workload, variant in places:
        where, lines = f"{workload}/{variant}", []
        peers = dict.fromkeys(
            r["peer"]
            for r in rows
            if (r["workload"], r["variant"]) == (workload, variant)
        )
        for peer in (p for p in PEERS if p in peers):
            lines.append(
                {"": PEERS[peer].title}
                | (
                    {"result": f"FAILED: {m[f'{where}/{peer}']['broken']}"}
                    if "broken" in m[f"{where}/{peer}"]
                    else _columns(where, m, rows, peer)
                )
            )
        named = f"({workload}) " if len(workload) == 1 else ""
        out.append(
            table(
                f"{named}{works[workload]}" + (f": {variant}" if variant else ""), lines
            )
        )
    out += [f"skipped: {line}" for line in skipped]
    others = [
        r["result"]["others_cpu"]
        for r in rows
        if r["result"].get("others_cpu") is not None
    ]
    if others and max(others) > 0.15:
        out.append(
            f"NOISE: other work took {median(others):.2f} of a core (median of the runs; at most {max(others):.2f}) meanwhile"
        )
    lines = [
        {
            "": g["goal"],
            "measured": _number(g["value"], ",.3g")
            + (g["unit"] if g["value"] is not None else ""),
            "goal": f"{'≥' if g['at_least'] else '≤'} {g['limit']:.3g}{g['unit']}",
            "met": {True: "met", False: "NOT MET", None: "not measured"}[g["met"]],
        }
        for g in the_goals
    ]
    return "\n".join(
        [*out, "", table("Ours against the aims (bench/README.md)", lines)]
    )


# -- the picture

INK, OURS, OTHERS = (
    "#767676",
    "#d9722e",
    "#5b8db8",
)  # each readable on white and on black


def _panel(
    x: int, y: int, title: str, bars: list[tuple[str, float, bool]], form: str
) -> Iterable[str]:
    yield f'<text x="{x}" y="{y}" class="head">{escape(title)}</text>'
    top = max((value for _, value, _ in bars), default=1)
    for i, (name, value, ours) in enumerate(bars):
        line, length = y + 14 + i * 22, max(value / top * 175, 1)
        weight = ' font-weight="bold"' if ours else ""
        yield f'<text x="{x + 150}" y="{line + 12}" text-anchor="end"{weight}>{escape(name)}</text>'
        yield f'<rect x="{x + 156}" y="{line}" width="{length:.1f}" height="16" rx="2" fill="{OURS if ours else OTHERS}"/>'
        yield f'<text x="{x + 162 + length:.1f}" y="{line + 12}"{weight}>{escape(format(value, form))}</text>'


def picture(rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """Bars for the workloads that say most. Colours and ink are chosen to be read on a light and on a dark page."""
    m = medians(rows)
    panels = []
    for title, where, key, scale, form, most_first in (
        (
            "One room of 100: million deliveries/s",
            "a/",
            "deliveries_per_s",
            1e-6,
            ".2f",
            True,
        ),
        (
            "… CPU µs of the server per delivery",
            "a/",
            "cpu_us_per_delivery",
            1,
            ".2f",
            False,
        ),
        (
            "Pipelining senders: million deliveries/s",
            "b/",
            "deliveries_per_s",
            1e-6,
            ".2f",
            True,
        ),
        (
            "100 rooms of 10: million deliveries/s",
            "c/",
            "deliveries_per_s",
            1e-6,
            ".2f",
            True,
        ),
        ("100 messages/s in one room: p99 in ms", "d/", "p99_us", 1e-3, ".2f", False),
        (
            "Idle connections: KiB of memory each",
            "f/",
            "bytes_each",
            1 / 1024,
            ".1f",
            False,
        ),
    ):
        bars = [
            (peer.title, value * scale, name == "ours")
            for name, peer in PEERS.items()
            if (value := m.get(f"{where}/{name}", {}).get(key)) is not None
        ]
        if bars:
            panels.append(
                (title, sorted(bars, key=lambda bar: bar[1], reverse=most_first), form)
            )
    sizes = list(
        dict.fromkeys(r["variant"] for r in rows if r["workload"] == "scaling")
    )
    for name, peer in PEERS.items():
        bars = [
            (f"{n} clients", m[where]["deliveries_per_s"] / 1e6, name == "ours")
            for n in sizes
            if "deliveries_per_s" in m.get(where := f"scaling/{n}/{name}", {})
        ]
        if bars:
            panels.append(
                (f"One room, {peer.title}: million deliveries/s", bars, ".2f")
            )
    height, parts = 10, []
    for i in range(0, len(panels), 2):
        for j, (title, bars, form) in enumerate(panels[i : i + 2]):
            parts += _panel(10 + j * 395, height + 20, title, bars, form)
        height += 50 + 22 * max(len(bars) for _, bars, _ in panels[i : i + 2])
    where = f"{facts['cores']} cores, {facts['python']}, {facts['system'].split()[0]}"
    parts.append(
        f'<text x="10" y="{height + 8}" font-size="11">{escape(where)}; server on one core, load on another</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height + 20}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}">\n'
        "<title>python_tcp and other servers under the same load</title>\n"
        "<style>.head { font-size: 13px; font-weight: 600 }</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )
