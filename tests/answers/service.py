"""Answers to the exercises of the chapter service."""

from collections import Counter
from collections.abc import Iterable

from exercises import right, wrong


class _Judge:
    """Right, but for what its children change."""

    SIGNS = {"READY=1", "WATCHDOG=1"}

    def __init__(self, allowed: float) -> None:
        self.allowed, self.last = allowed, 0.0
        self.ready = self.reloading = self.stopping = False

    def lines(self, datagram: bytes) -> list[str]:
        return datagram.decode(errors="replace").split("\n")

    def hear(self, datagram: bytes, now: float) -> None:
        lines = set(self.lines(datagram))
        if lines & self.SIGNS:
            self.last = now
        if "READY=1" in lines:
            self.ready, self.reloading = True, False
        if "RELOADING=1" in lines:
            self.reloading = True
        self.stopping = self.stopping or "STOPPING=1" in lines

    def late(self, now: float) -> bool:
        return now - self.last > self.allowed

    def verdict(self, now: float) -> str:
        if self.stopping:
            return "stopping"
        if not self.ready:
            return "starting"
        if self.late(now):
            return "dead"
        return "reloading" if self.reloading else "ready"


@wrong("check_judge", "a WATCHDOG=1 and noise")
class Anywhere(_Judge):
    def lines(self, datagram: bytes) -> list[str]:
        words = ("READY=1", "WATCHDOG=1", "RELOADING=1", "STOPPING=1")
        text = datagram.decode(errors="replace")
        return [word for word in words if word in text]


@wrong("check_judge", "An exception ended it, in line")
class OnlyUTF8(_Judge):
    def lines(self, datagram: bytes) -> list[str]:
        return datagram.decode().split("\n")


@wrong("check_judge", "READY=1, 10 s ago")
class TooStrict(_Judge):
    def late(self, now: float) -> bool:
        return now - self.last >= self.allowed


@wrong("check_judge", "RELOADING=1, which is no sign of life")
class EverythingIsLife(_Judge):
    SIGNS = {"READY=1", "WATCHDOG=1", "RELOADING=1"}


@wrong("check_judge", "STOPPING=1, then READY=1")
class ComesBack(_Judge):
    def hear(self, datagram: bytes, now: float) -> None:
        super().hear(datagram, now)
        if b"READY=1" in datagram.split(b"\n"):
            self.stopping = False


@wrong("check_judge", "only a status and a WATCHDOG=1")
class AWatchdogIsReady(_Judge):
    def hear(self, datagram: bytes, now: float) -> None:
        super().hear(datagram, now)
        self.ready = self.ready or "WATCHDOG=1" in self.lines(datagram)


@wrong("check_judge", "reloading")
class ReloadingIsForgotten(_Judge):
    def hear(self, datagram: bytes, now: float) -> None:
        super().hear(datagram, now)
        if "WATCHDOG=1" in self.lines(datagram):
            self.reloading = False


@right("check_judge")
class WithFlags(_Judge):
    pass


@right("check_judge")
class WithAHistory:
    def __init__(self, allowed: float) -> None:
        self.allowed = allowed
        self.heard: list[tuple[bytes, float]] = []

    def hear(self, datagram: bytes, now: float) -> None:
        self.heard += [(line, now) for line in datagram.splitlines()]

    def verdict(self, now: float) -> str:
        words = [line for line, _ in self.heard]
        if b"STOPPING=1" in words:
            return "stopping"
        if b"READY=1" not in words:
            return "starting"
        lives = [at for line, at in self.heard if line in (b"READY=1", b"WATCHDOG=1")]
        if now > lives[-1] + self.allowed:
            return "dead"
        after = words[len(words) - words[::-1].index(b"READY=1") :]
        return "reloading" if b"RELOADING=1" in after else "ready"


class _AllAlive:
    """Right, but for what its children change."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.beats: Counter[str] = Counter()

    def beat(self, name: str) -> None:
        self.beats[name] += 1

    def take(self) -> bool:
        alive = all(self.beats[name] for name in self.names)
        if alive:
            self.beats.clear()
        return alive


@wrong("check_all_alive", "the loop twice, the writer not")
class Counts(_AllAlive):
    def take(self) -> bool:
        enough = self.beats.total() >= len(self.names)
        self.beats.clear()
        return enough


@wrong("check_all_alive", "then the writer")
class BeginsAnewEachTime(_AllAlive):
    def take(self) -> bool:
        alive = all(self.beats[name] for name in self.names)
        self.beats.clear()
        return alive


@wrong("check_all_alive", "take() again at once")
class NeverAnew(_AllAlive):
    def take(self) -> bool:
        return all(self.beats[name] for name in self.names)


@wrong("check_all_alive", "An exception ended it, in line")
class OnlyKnownNames(_AllAlive):
    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(names)
        self.missing = set(self.names)

    def beat(self, name: str) -> None:
        if name in self.missing:
            self.missing.remove(name)
        elif name not in self.names:
            raise KeyError(name)

    def take(self) -> bool:
        alive = not self.missing
        if alive:
            self.missing = set(self.names)
        return alive


@wrong("check_all_alive", "without names")
class NobodyIsNotAlive(_AllAlive):
    def take(self) -> bool:
        return bool(self.names) and super().take()


@wrong("check_all_alive", "take() again at once")
class OneBeatTooMany(_AllAlive):
    def take(self) -> bool:
        alive = all(self.beats[name] for name in self.names)
        for name in self.names if alive else []:
            self.beats[name] -= 1
        self.beats["loop"] += 0
        if alive and len(self.names) == 2:
            self.beats |= Counter(self.names)
        return alive


@right("check_all_alive")
class WithACounter(_AllAlive):
    pass


@right("check_all_alive")
class WithADictionary:
    def __init__(self, names: Iterable[str]) -> None:
        self.has_beaten = dict.fromkeys(names, False)

    def beat(self, name: str) -> None:
        if name in self.has_beaten:
            self.has_beaten[name] = True

    def take(self) -> bool:
        if False in self.has_beaten.values():
            return False
        self.has_beaten = dict.fromkeys(self.has_beaten, False)
        return True
