"""Answers to the exercises of the chapter workers."""

from exercises import right, wrong

Event = tuple[float, int, str]
Pauses = list[float | str]


@wrong("check_pauses", "two workers die")
def one_for_all(events: list[Event]) -> Pauses:
    found, started, pause, was_ready = Pauses(), dict[int, float](), 0.2, False
    for time, worker, what in events:
        was_ready |= what == "ready"
        if what == "started":
            started[worker] = time
        elif what == "died" and not was_ready:
            return [*found, "end all"]
        elif what == "died":
            pause = 0.2 if time - started[worker] > 10 else pause
            found.append(pause)
            pause = min(2 * pause, 5.0)
    return found


def counted(
    events: list[Event], most: float = 5.0, steady: float = 10.0, each: bool = False
) -> Pauses:
    found, started = Pauses(), dict[int, float]()
    deaths, ready = dict[int, int](), set[int]()
    for time, worker, what in events:
        if what == "started":
            started[worker] = time
        elif what == "ready":
            ready.add(worker)
        elif not ready or each and worker not in ready:
            return [*found, "end all"]
        else:
            lived = time - started[worker]
            count = 0 if lived > steady else deaths.get(worker, 0)
            found.append(min(most, 0.2 * 2**count))
            deaths[worker] = count + 1
    return found


@wrong("check_pauses", "one dies, and another was ready")
def each_for_itself(events: list[Event]) -> Pauses:
    return counted(events, each=True)


@wrong("check_pauses", "one dies again and again")
def without_an_end(events: list[Event]) -> Pauses:
    return counted(events, most=1e9)


@wrong("check_pauses", "one that has lived for long")
def never_steady(events: list[Event]) -> Pauses:
    return counted(events, steady=1e9)


@wrong("check_pauses", "it has lived for 10 seconds")
def steady_too_soon(events: list[Event]) -> Pauses:
    return counted(events, steady=9.5)


@wrong("check_pauses", "one dies before any was ready")
def always_replaced(events: list[Event]) -> Pauses:
    return counted([(0.0, 0, "ready"), *events])


@right("check_pauses")
def with_a_count(events: list[Event]) -> Pauses:
    return counted(events)


@right("check_pauses")
def with_a_table(events: list[Event]) -> Pauses:
    found, started = Pauses(), dict[int, float]()
    pause, was_ready = dict[int, float](), False
    for time, worker, what in events:
        was_ready |= what == "ready"
        if what == "started":
            started[worker] = time
        elif what == "died" and not was_ready:
            return [*found, "end all"]
        elif what == "died":
            if time - started[worker] > 10:
                pause.pop(worker, None)
            now = pause.get(worker, 0.2)
            found.append(now)
            pause[worker] = min(2 * now, 5.0)
    return found
