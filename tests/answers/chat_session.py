"""Answers to the exercises of the chapter chat_session."""

from typing import Any

from exercises import right, wrong

from python_tcp.chat_session import ClientSession, SessionState

Table = dict[Any, dict[str, Any]]
Walks = list[list[str]]


@wrong("check_walks", "Transitions that no walk passes")
def one_greedy_walk(table: Table, start: Any) -> Walks:
    state, walk, taken = start, list[str](), set[tuple[Any, str]]()
    while new := [event for event in table[state] if (state, event) not in taken]:
        taken.add((state, new[0]))
        walk.append(new[0])
        state = table[state][new[0]]
    return [walk]


@wrong("check_walks", "is in the table: expected True, but got False")
def only_the_events(table: Table, start: Any) -> Walks:
    return [[event] for events in table.values() for event in events]


@wrong("check_walks", "Transitions that no walk passes")
def to_each_state(table: Table, start: Any) -> Walks:
    ways: dict[Any, list[str]] = {start: []}
    queue = [start]
    for state in queue:
        for event, after in table[state].items():
            if after not in ways:
                ways[after] = [*ways[state], event]
                queue.append(after)
    return list(ways.values())


@wrong("check_walks", "Table: the session")
def only_the_door(table: Table, start: Any) -> Walks:
    if start == "open":
        return [
            ["close", "open"],
            ["close", "lock", "unlock"],
            ["close", "lock", "break"],
        ]
    return []


@wrong("check_walks", "An exception ended it, in line")
def for_ever_down(table: Table, start: Any) -> Walks:
    walks = []
    for event, after in table[start].items():
        walks += [[event, *walk] for walk in for_ever_down(table, after)] or [[event]]
    return walks


@right("check_walks")
def depth_first(table: Table, start: Any) -> Walks:
    found: Walks = []
    seen: set[Any] = set()

    def go(state: Any, way: list[str]) -> None:
        if state in seen:
            return
        seen.add(state)
        for event, after in table[state].items():
            found.append([*way, event])
            go(after, found[-1])

    go(start, [])
    return found


@right("check_walks")
def round_after_round(table: Table, start: Any) -> Walks:
    open_, passed, found = (
        [(start, list[str]())],
        set[tuple[Any, str]](),
        list[list[str]](),
    )
    while open_:
        state, way = open_.pop(0)
        fresh = [event for event in table[state] if (state, event) not in passed]
        for event in fresh:
            passed.add((state, event))
            open_.append((table[state][event], [*way, event]))
        if not fresh:
            found.append(way)
    return found


@wrong("check_status_line", "expected 'joining'")
def by_rooms(session: ClientSession) -> str:
    return f"in {session.rooms.current}" if session.rooms else "in no room"


WORDS = {
    SessionState.IDLE: "in no room",
    SessionState.JOINING: "joining",
    SessionState.LOST: "connection lost",
    SessionState.RESUMING: "coming back",
}
COUNTED = {SessionState.JOINED, SessionState.LOST, SessionState.RESUMING}


@wrong("check_status_line", "idle, 1 unsent")
def counts_always(session: ClientSession) -> str:
    waiting = len(session.send_queue)
    line = in_two_steps(session).partition(",")[0]
    return f"{line}, {waiting} unsent" if waiting else line


@wrong("check_status_line", "1 unsent")
def never_counts(session: ClientSession) -> str:
    return in_two_steps(session).partition(",")[0]


@wrong("check_status_line", "An exception ended it, in line")
def a_goodbye_is_there(session: ClientSession) -> str:
    if session.state == SessionState.ENDED:
        return str(session.goodbye.content)  # type: ignore[union-attr]
    return in_two_steps(session)


@wrong("check_status_line", "Joined, and left the only room")
def always_in_a_room(session: ClientSession) -> str:
    line = in_two_steps(session)
    if session.state == SessionState.JOINED and line.startswith("in no room"):
        return f"in {session.rooms.current}"
    return line


@right("check_status_line")
def in_two_steps(session: ClientSession) -> str:
    state = session.state
    if state == SessionState.ENDED:
        return getattr(session.goodbye, "content", None) or "ended"
    room = f"in {session.rooms.current}" if session.rooms else "in no room"
    parts = [WORDS.get(state, room)]
    if state in COUNTED and len(session.send_queue):
        parts.append(f"{len(session.send_queue)} unsent")
    return ", ".join(parts)


@right("check_status_line")
def by_names(session: ClientSession) -> str:
    name = session.state.name
    if name == "ENDED":
        return session.goodbye.content if session.goodbye is not None else "ended"
    if name == "JOINED":
        line = "in no room" if not session.rooms else "in " + session.rooms.current
    else:
        line = WORDS[session.state]
    count = len(session.send_queue)
    return line + (f", {count} unsent" if count and name not in "IDLE JOINING" else "")
