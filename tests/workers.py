"""Workers that run tests beside each other (`pytest -n 2`), and tests that measure time, which run alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
except ImportError:  # Windows: the tests that measure time have company
    flock = None


class Turns:
    """The workers of one run that share `folder`; each makes one of these.

    A test that is alone waits until the other workers have finished the one they are at, and they
    begin no other until it has finished.
    """

    def __init__(self, folder: Path) -> None:
        self._door, self._room = (
            (folder / name).open("w") for name in ("door", "room")
        )

    @contextmanager
    def turn(self, alone: bool) -> Iterator[None]:
        if flock is None:
            yield
            return
        flock(self._door, LOCK_EX)  # nobody passes one that waits to be alone
        flock(self._room, LOCK_EX if alone else LOCK_SH)
        flock(self._door, LOCK_UN)
        try:
            yield
        finally:
            flock(self._room, LOCK_UN)

    def close(self) -> None:
        self._door.close()
        self._room.close()


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Workers come in here one after the other."""
    with (folder / "one").open("w") as lock:
        if flock is not None:
            flock(lock, LOCK_EX)
        yield
