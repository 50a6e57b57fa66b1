"""Answers to the exercises of the chapter file_server."""

from itertools import accumulate

from exercises import right, wrong

Pieces = list[tuple[float, int]]


@wrong("check_gives_up", "gives_up([(10, 4095)], 30, 4096): expected 30, but got 40")
def each_piece_counts(pieces: Pieces, patience: float, least: int) -> float:
    since = 0.0
    for time, _ in pieces:
        if time > since + patience:
            break
        since = time
    return since + patience


@wrong("check_gives_up", "gives_up([(10, 2048), (20, 2048)], 30, 4096): expected 50")
def only_a_large_piece_counts(pieces: Pieces, patience: float, least: int) -> float:
    since = 0.0
    for time, size in pieces:
        if time > since + patience:
            break
        if size >= least:
            since = time
    return since + patience


@wrong("check_gives_up", "gives_up([(30, 4096)], 30, 4096): expected 60")
def not_at_the_very_moment(pieces: Pieces, patience: float, least: int) -> float:
    since, came = 0.0, 0
    for time, size in pieces:
        if time >= since + patience:
            break
        came += size
        if came >= least:
            since, came = time, 0
    return since + patience


@wrong("check_gives_up", "gives_up([(10, 9000), (20, 3000), (41, 2000)], 30, 4096)")
def keeps_the_rest(pieces: Pieces, patience: float, least: int) -> float:
    """What was more than enough counts for the next time, too."""
    since, came = 0.0, 0
    for time, size in pieces:
        if time > since + patience:
            break
        came += size
        if came >= least:
            since, came = time, came - least
    return since + patience


@right("check_gives_up")
def with_an_end(pieces: Pieces, patience: float, least: int) -> float:
    end, came = patience, 0
    for time, size in pieces:
        came += size if time <= end else 0
        if came >= least and time <= end:
            end, came = time + patience, 0
    return end


@right("check_gives_up")
def from_one_wait_to_the_next(pieces: Pieces, patience: float, least: int) -> float:
    since, left = 0.0, pieces
    while True:
        there = [each for each in left if each[0] <= since + patience]
        sums = list(accumulate(size for _, size in there))
        enough = next((i for i, total in enumerate(sums) if total >= least), None)
        if enough is None:
            return since + patience
        since, left = left[enough][0], left[enough + 1 :]
