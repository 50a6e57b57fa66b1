"""Answers to the exercises of the chapter chat_session."""

from collections.abc import Iterator
from typing import Any

from exercises import right, wrong

Table = dict[Any, dict[str, Any]]
Walks = list[list[str]]


@wrong(
    "check_walks", "'open' from 'open' is in the table: expected True, but got False"
)
def every_event_alone(table: Table, start: Any) -> Walks:
    return [[event] for events in table.values() for event in events]


@wrong(
    "check_walks",
    "Transitions that no walk passes: expected [], but got [('closed', 'lock')",
)
def from_the_start_only(table: Table, start: Any) -> Walks:
    return [[event] for event in table[start]]


@wrong(
    "check_walks",
    "Table: a door. Transitions that no walk passes: expected [], but got",
)
def to_every_state(table: Table, start: Any) -> Walks:
    return list(ways(table, start).values())


@wrong("check_walks", "exception ended it, in line `for event, after in table[state]:`")
def without_items(table: Table, start: Any) -> Walks:
    found = []
    for state in table:
        for event, after in table[state]:
            found.append([event, after])
    return found


@wrong("check_walks", "exception ended it")
def no_list(table: Table, start: Any) -> int:
    return len(ways(table, start))


def ways(table: Table, start: Any) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {start: []}
    for state in (queue := [start]):
        for event, after in table[state].items():
            if after not in found:
                found[after] = [*found[state], event]
                queue.append(after)
    return found


@right("check_walks")
def one_more_step(table: Table, start: Any) -> Walks:
    return [
        [*way, e] for state, way in ways(table, start).items() for e in table[state]
    ]


@right("check_walks")
def lazily(table: Table, start: Any) -> Iterator[list[str]]:
    """Depth first, each walk as far as there is something new."""
    passed: set[tuple[Any, str]] = set()

    def go(state: Any, walk: list[str]) -> Iterator[list[str]]:
        new = [event for event in table[state] if (state, event) not in passed]
        if not new:
            yield walk
        for event in new:
            passed.add((state, event))
            yield from go(table[state][event], [*walk, event])

    yield from go(start, [])


WORDS = {
    "idle": "in no room",
    "joining": "joining",
    "lost": "connection lost",
    "resuming": "coming back",
}


def line(
    session: Any, counted: tuple[str, ...] = ("joined", "lost", "resuming")
) -> str:
    """As a right one, where a wrong one counts in other states."""
    state = str(session.state)
    if state == "ended":
        return str(session.goodbye.content) if session.goodbye else "ended"
    text = WORDS.get(state)
    if text is None:
        text = f"in {session.rooms.current}" if session.rooms else "in no room"
    unsent = len(session.send_queue)
    return f"{text}, {unsent} unsent" if unsent and state in counted else text


@wrong(
    "check_status_line",
    "idle, 1 unsent: expected 'in no room', but got",
)
def counts_always(session: Any) -> str:
    return line(session, (*WORDS, "joined"))


@wrong("check_status_line", "lost, 1 unsent: expected 'connection lost, 1 unsent'")
def counts_when_joined(session: Any) -> str:
    return line(session, ("joined",))


@wrong("check_status_line", "expected 'in lobby', but got 'in lobby, 0 unsent'")
def also_none(session: Any) -> str:
    text = line(session)
    return text + ", 0 unsent" * (
        str(session.state) == "joined" and "unsent" not in text
    )


@wrong(
    "check_status_line", "Ended with a goodbye: expected 'Goodbye!', but got 'ended'"
)
def without_the_goodbye(session: Any) -> str:
    return "ended" if str(session.state) == "ended" else line(session)


@wrong("check_status_line", "exception ended it, in")
def the_goodbye_at_once(session: Any) -> str:
    if str(session.state) == "ended":
        return str(session.goodbye.content)
    return line(session)


@wrong(
    "check_status_line",
    "Joined, and left the only room: expected 'in no room', but got 'in None'",
)
def wherever_it_is(session: Any) -> str:
    text = line(session)
    if str(session.state) == "joined" and text == "in no room":
        return f"in {session.rooms.current}"
    return text


@right("check_status_line")
def with_a_dictionary(session: Any) -> str:
    return line(session)


@right("check_status_line")
def in_parts(session: Any) -> str:
    parts = []
    state = session.state.name
    if state == "ENDED":
        parts += [getattr(session.goodbye, "content", "ended")]
    elif state in ("LOST", "RESUMING"):
        parts += ["connection lost" if state == "LOST" else "coming back"]
    elif state == "JOINING":
        parts += ["joining"]
    elif state == "JOINED" and session.rooms:
        parts += [f"in {session.rooms.current}"]
    else:
        parts += ["in no room"]
    if state in ("JOINED", "LOST", "RESUMING") and len(session.send_queue):
        parts += [f"{len(session.send_queue)} unsent"]
    return ", ".join(parts)
