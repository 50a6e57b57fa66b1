"""Answers to the exercises of the chapter cluster."""

from exercises import right, wrong

Position = tuple[int, int]


@wrong("check_decide", "it is lost, and others have come")
def by_the_newest(
    read: Position | None, stream: list[Position], snapshot: Position | None
) -> str:
    if read is None or stream and stream[-1] >= read:
        return "go on"
    return "begin anew" if snapshot and snapshot >= read else "new epoch"


@wrong("check_decide", "it is there, and the snapshot is newer")
def by_the_snapshot_first(
    read: Position | None, stream: list[Position], snapshot: Position | None
) -> str:
    if read is not None and snapshot is not None and read <= snapshot:
        return "begin anew"
    return "go on" if read is None or read in stream else "new epoch"


@wrong("check_decide", "it is lost, and the snapshot is older")
def with_any_snapshot(
    read: Position | None, stream: list[Position], snapshot: Position | None
) -> str:
    if read is None or read in stream:
        return "go on"
    return "new epoch" if snapshot is None else "begin anew"


@wrong("check_decide", "it is the last one of the snapshot")
def before_the_snapshot(
    read: Position | None, stream: list[Position], snapshot: Position | None
) -> str:
    if read is None or read in stream:
        return "go on"
    return "begin anew" if snapshot and read < snapshot else "new epoch"


@wrong("check_decide", "9-0 and 10-0")
def as_texts(
    read: Position | None, stream: list[Position], snapshot: Position | None
) -> str:
    if read is None or read in stream:
        return "go on"
    is_in = snapshot and "-".join(map(str, read)) <= "-".join(map(str, snapshot))
    return "begin anew" if is_in else "new epoch"


@right("check_decide")
def in_three_steps(
    read: Position | None, stream: list[Position], snapshot: Position | None
) -> str:
    if read is None or read in stream:
        return "go on"
    if snapshot is not None and read <= snapshot:
        return "begin anew"
    return "new epoch"


@right("check_decide")
def in_one_expression(
    read: Position | None, stream: list[Position], snapshot: Position | None
) -> str:
    gone = "begin anew" if (snapshot or (0, 0)) >= (read or (0, 0)) else "new epoch"
    return "go on" if read is None or read in set(stream) else gone
