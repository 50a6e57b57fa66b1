"""Answers to the exercises of the chapter diagram."""

from collections.abc import Iterable
from typing import Any

from exercises import right, wrong

from python_tcp.diagram import TraceEvent

Table = dict[Any, dict[str, Any]]


@wrong("check_way_to", "The way to GONE in DOOR")
def the_first_of_each(transitions: Table, state: Any) -> list[str] | None:
    at, events = next(iter(transitions)), list[str]()
    while at != state:
        fresh = [event for event in transitions.get(at, {}) if event not in events]
        if not fresh:
            return None
        events.append(fresh[0])
        at = transitions[at][fresh[0]]
    return events


@wrong("check_way_to", "'long' stands before 'short'")
def deep_first(transitions: Table, state: Any) -> list[str] | None:
    def way(at: Any, seen: list[Any]) -> list[str] | None:
        if at == state:
            return []
        for event, to in transitions.get(at, {}).items():
            if to not in seen and (rest := way(to, [*seen, to])) is not None:
                return [event, *rest]
        return None

    first = next(iter(transitions))
    return way(first, [first])


@wrong("check_way_to", "expected ['close'], but got ['CLOSED']")
def states(transitions: Table, state: Any) -> list[Any] | None:
    found = breadth_first(transitions, state)
    at, seen = next(iter(transitions)), []
    for event in found or []:
        at = transitions[at][event]
        seen.append(at)
    return seen if found is not None else None


@wrong("check_way_to", "The way to GONE")
def the_last_of_several(transitions: Table, state: Any) -> list[str] | None:
    return breadth_first(
        {at: dict(reversed(ways.items())) for at, ways in transitions.items()}, state
    )


@right("check_way_to")
def breadth_first(transitions: Table, state: Any) -> list[str] | None:
    layer, seen = [(next(iter(transitions)), list[str]())], set[Any]()
    while layer:
        following = []
        for at, events in layer:
            if at == state:
                return events
            if at not in seen:
                seen.add(at)
                ways = transitions.get(at, {})
                following += [(to, [*events, event]) for event, to in ways.items()]
        layer = following
    return None


@right("check_way_to")
def backwards(transitions: Table, state: Any) -> list[str] | None:
    first = next(iter(transitions))
    came: dict[Any, tuple[Any, str] | None] = {first: None}
    queue = [first]
    while queue:
        at = queue.pop(0)
        for event in transitions.get(at, ()):
            to = transitions[at][event]
            if to not in came:
                came[to] = at, event
                queue.append(to)
    if state not in came:
        return None
    events = []
    while (step := came[state]) is not None:
        state, event = step
        events.insert(0, event)
    return events


ARROWS = {"frame": "->>", "RST": "--x", "connect": "-->>", "FIN": "-->>"}


def _text(event: TraceEvent) -> str:
    return "".join({";": "#59;", "#": "#35;"}.get(c, c) for c in event.text)


@wrong("check_mermaid", "x; #1")
def in_the_wrong_order(events: Iterable[TraceEvent]) -> str:
    lines = right_mermaid(events).replace("#59;", ";").replace("#35;", "#")
    return lines.replace(";", "#59;").replace("#", "#35;")


@wrong("check_mermaid", "is away")
def arrows_only(events: Iterable[TraceEvent]) -> str:
    lines = ["sequenceDiagram"]
    lines += [f"{e.source}{ARROWS.get(e.kind, '->>')}{e.target}: {_text(e)}" for e in events]  # fmt: skip
    return "\n".join(lines)


@wrong("check_mermaid", "only a step")
def with_steps(events: Iterable[TraceEvent]) -> str:
    lines = right_mermaid(events).split("\n")
    for event in events:
        if event.kind == "step":
            lines.append(f"Note over ann: {event.text}")
    return "\n".join(lines)


@wrong("check_mermaid", "a->>b: \\\\xff\\\\n")
def decoded(events: Iterable[TraceEvent]) -> str:
    lines = ["sequenceDiagram"]
    for e in events:
        if e.kind == "frame" and isinstance(e.content, bytes):
            lines.append(f"{e.source}->>{e.target}: {e.content.decode('latin-1')}")
        else:
            lines += right_mermaid([e]).split("\n")[1:]
    return "\n".join(lines)


@right("check_mermaid")
def right_mermaid(events: Iterable[TraceEvent]) -> str:
    text = "sequenceDiagram"
    for e in events:
        match e.kind:
            case "step":
                continue
            case "state" | "label":
                text += f"\nNote over {e.source}: {_text(e)}"
            case kind:
                text += f"\n{e.source}{ARROWS[kind]}{e.target}: {_text(e)}"
    return text


@right("check_mermaid")
def with_a_newline_at_the_end(events: Iterable[TraceEvent]) -> str:
    return right_mermaid(events) + "\n"
