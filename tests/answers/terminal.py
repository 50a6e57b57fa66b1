"""Answers to the exercises of the chapter terminal."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from exercises import right, wrong

Post = Callable[..., Any]
Call = Callable[[], Any]


class _Latest:
    """Right, but for what its children change."""

    def __init__(self, post: Post) -> None:
        self.post, self.ended = post, False
        self.waiting: deque[Any] = deque(maxlen=1)
        self.changed = threading.Condition()
        threading.Thread(target=self.work, daemon=True).start()

    def do(self, call: Call, then: Post) -> None:
        with self.changed:
            self.waiting.append((call, then))
            self.changed.notify()

    def stop(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify()

    def take(self) -> Any:
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.ended)
            return self.waiting.popleft() if self.waiting else None

    def work(self) -> None:
        while (taken := self.take()) is not None:
            call, then = taken
            self.post(then, call())


@wrong("check_latest", "['slow', 0, 1, 2, 3, 4]")
class AllOfThem(_Latest):
    def __init__(self, post: Post) -> None:
        super().__init__(post)
        self.waiting = deque(self.waiting)


@wrong("check_latest", "but got ['slow', 0]")
class TheFirstOfThem(_Latest):
    def do(self, call: Call, then: Post) -> None:
        with self.changed:
            if not self.waiting:
                self.waiting.append((call, then))
                self.changed.notify()


@wrong("check_latest", "but got ['slow']")
class StopForgetsTheLast(_Latest):
    def stop(self) -> None:
        with self.changed:
            self.waiting.clear()
            self.ended = True
            self.changed.notify()


@wrong("check_latest", "threads that are left", seconds=3)
class NeverEnds(_Latest):
    def stop(self) -> None: ...


@wrong("check_latest", "more threads")
class AThreadForEach:
    def __init__(self, post: Post) -> None:
        self.post = post

    def do(self, call: Call, then: Post) -> None:
        threading.Thread(target=lambda: self.post(then, call()), daemon=True).start()

    def stop(self) -> None: ...


@right("check_latest")
class ADequeOfOne(_Latest):
    pass


@right("check_latest")
class AQueueOfOne:
    """A call that finds the queue full takes out what waits there."""

    def __init__(self, post: Post) -> None:
        self.post, self.queue = post, queue.Queue[Any](1)
        self.lock = threading.Lock()
        self.end = threading.Event()
        threading.Thread(target=self.work, daemon=True).start()

    def do(self, call: Call, then: Post) -> None:
        with self.lock:
            try:
                self.queue.get_nowait()
            except queue.Empty:
                pass
            self.queue.put_nowait((call, then))

    def stop(self) -> None:
        self.end.set()

    def work(self) -> None:
        while True:
            try:
                call, then = self.queue.get(timeout=0.02)
            except queue.Empty:
                if self.end.is_set():
                    return
                continue
            self.post(then, call())


class _Drafts:
    """Right, but for what its children change."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.here = ""

    def moved(self, old: str, new: str, text: str) -> str:
        self.texts[old], self.here = text, new
        return self.texts.get(new, "")

    def sent(self, room: str) -> None:
        self.texts[room] = ""

    def rooms(self) -> list[str]:
        drafts = [room for room, text in self.texts.items() if text.strip()]
        return sorted(room for room in drafts if room != self.here)


@wrong("check_drafts", "the line in dev: expected '', but got 'half a sen'")
class OneLine(_Drafts):
    def moved(self, old: str, new: str, text: str) -> str:
        return text


@wrong("check_drafts", "rooms with a draft: expected ['dev'], but got ['dev', 'ops']")
class BlanksAreDrafts(_Drafts):
    def rooms(self) -> list[str]:
        return sorted(r for r, text in self.texts.items() if text and r != self.here)


@wrong("check_drafts", "rooms with a draft: expected ['dev'], but got ['dev', 'lobby']")
class TheRoomWhereWeAre(_Drafts):
    def rooms(self) -> list[str]:
        return sorted(room for room, text in self.texts.items() if text.strip())


@wrong("check_drafts", "the line in the lobby, where it was sent")
class SentIsForgotten(_Drafts):
    def moved(self, old: str, new: str, text: str) -> str:
        if text.strip():
            self.texts[old] = text
        self.here = new
        return self.texts.get(new, "")

    def sent(self, room: str) -> None: ...


@wrong("check_drafts", "rooms with a draft: expected ['dev', 'lobby']")
class AsTheyCame(_Drafts):
    def rooms(self) -> list[str]:
        return [r for r in reversed(super().rooms())]


@right("check_drafts")
class AllTexts(_Drafts):
    pass


@right("check_drafts")
class PairsInAList:
    def __init__(self) -> None:
        self.pairs = list[tuple[str, str]]()

    def moved(self, old: str, new: str, text: str) -> str:
        found = [draft for room, draft in self.pairs if room == new]
        self.pairs = [pair for pair in self.pairs if pair[0] not in (old, new)]
        if text and not text.isspace():
            self.pairs.append((old, text))
        return found[0] if found else ""

    def sent(self, room: str) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] != room]

    def rooms(self) -> list[str]:
        return sorted(room for room, _ in self.pairs)


Callback = Callable[..., Any]


@wrong("check_current", "how much was heard")
class TooEarly:
    def new(self) -> None:
        self.time = object()

    def guard(self, callback: Callback) -> Callback:
        time = self.time
        return callback if time is self.time else lambda *words: None


@wrong("check_current", "what was heard in the first period")
class NeverAgain:
    def new(self) -> None: ...

    def guard(self, callback: Callback) -> Callback:
        return lambda *words, **more: None


@wrong("check_current", "An exception ended it, in")
class OneArgument:
    def new(self) -> None:
        self.time = object()

    def guard(self, callback: Callback) -> Callback:
        time = self.time
        return lambda word: callback(word) if time is self.time else None


@wrong("check_current", "what was heard after that")
class OnlyTheFirstPeriod:
    count = 0

    def new(self) -> None:
        self.count += 1

    def guard(self, callback: Callback) -> Callback:
        def guarded(*words: Any, **more: Any) -> None:
            if self.count == 1:
                callback(*words, **more)

        return guarded


@wrong("check_current", "how much was heard after a third period began")
class OddAndEven:
    even = False

    def new(self) -> None:
        self.even = not self.even

    def guard(self, callback: Callback) -> Callback:
        even = self.even

        def guarded(*words: Any, **more: Any) -> None:
            if self.even == even:
                callback(*words, **more)

        return guarded


@right("check_current")
class ByNumber:
    count = 0

    def new(self) -> None:
        self.count += 1

    def guard(self, callback: Callback) -> Callback:
        count = self.count

        def guarded(*words: Any, **more: Any) -> Any:
            return callback(*words, **more) if count == self.count else None

        return guarded


@right("check_current")
class BySwitch:
    """Each period has a switch, which the next one turns off."""

    def __init__(self) -> None:
        self.switch = [True]

    def new(self) -> None:
        self.switch[0] = False
        self.switch = [True]

    def guard(self, callback: Callback) -> Callback:
        return Guarded(self.switch, callback)


class Guarded:
    def __init__(self, switch: list[bool], callback: Callback) -> None:
        self.switch, self.callback = switch, callback

    def __call__(self, *words: Any, **more: Any) -> None:
        if self.switch[0]:
            self.callback(*words, **more)


class _Owner:
    """Right, but for what its children change."""

    def __init__(self, write: Callable[[str], object], wake: Call) -> None:
        self.write, self.wake = write, wake
        self.line = ""
        self.inbox: queue.SimpleQueue[str] = queue.SimpleQueue()

    def message(self, text: str) -> None:
        self.inbox.put(text)
        self.wake()

    def key(self, key: str) -> str | None:
        if key == "\r":
            line, self.line = self.line, ""
            self.write("\r\x1b[K> ")
            return line
        self.line += key
        self.write(key)
        return None

    def draw(self) -> None:
        rows = []
        while not self.inbox.empty():
            rows.append(self.inbox.get())
        self.show(rows)

    def show(self, rows: list[str]) -> None:
        above = "".join(f"{row}\r\n" for row in rows)
        self.write(f"\r\x1b[K{above}> {self.line}")


@wrong("check_owner", "Threads that wrote, beside the one that owns the terminal")
class JustPrints(_Owner):
    def message(self, text: str) -> None:
        self.show([text])


@wrong("check_owner", "The screen after 'How d', a message, 'o' and draw()")
class LosesTheLine(_Owner):
    def show(self, rows: list[str]) -> None:
        self.write("\r\x1b[K" + "".join(f"{row}\r\n" for row in rows) + "> ")


@wrong("check_owner", "has to wake the owner")
class WakesNobody(_Owner):
    def message(self, text: str) -> None:
        self.inbox.put(text)


@wrong("check_owner", "message() has not returned while draw() was writing", seconds=2)
class HoldsALock(_Owner):
    """Holds its lock while it writes. Whoever has a message waits for the terminal."""

    def __init__(self, write: Callable[[str], object], wake: Call) -> None:
        super().__init__(write, wake)
        self.lock, self.rows = threading.Lock(), list[str]()

    def message(self, text: str) -> None:
        with self.lock:
            self.rows.append(text)
        self.wake()

    def draw(self) -> None:
        with self.lock:
            self.show(self.rows)
            self.rows.clear()


@wrong("check_owner", "A message that comes while draw() writes")
class ForgetsWhatCameMeanwhile(_Owner):
    def __init__(self, write: Callable[[str], object], wake: Call) -> None:
        super().__init__(write, wake)
        self.rows = list[str]()

    def message(self, text: str) -> None:
        self.rows.append(text)
        self.wake()

    def draw(self) -> None:
        self.show(list(self.rows))
        self.rows.clear()


@wrong("check_owner", "A message that comes while draw() writes")
class WakesTooRarely(_Owner):
    """Wakes the owner once, and believes to the end of draw() that it is awake."""

    woken = False

    def message(self, text: str) -> None:
        self.inbox.put(text)
        if not self.woken:
            self.woken = True
            self.wake()

    def draw(self) -> None:
        super().draw()
        self.woken = False


@wrong("check_owner", "key('\\r') returned")
class KeepsTheLine(_Owner):
    def key(self, key: str) -> str | None:
        if key == "\r":
            return None
        return super().key(key)


@right("check_owner")
class WithAQueue(_Owner):
    pass


@right("check_owner")
class WithAShortLock:
    def __init__(self, write: Callable[[str], object], wake: Call) -> None:
        self._write, self._wake = write, wake
        self._lock, self._rows, self._keys = threading.Lock(), list[str](), list[str]()

    def message(self, text: str) -> None:
        with self._lock:
            first = not self._rows
            self._rows.append(text)
        if first:
            self._wake()

    def key(self, key: str) -> str | None:
        done = "".join(self._keys) if key == "\r" else None
        self._keys = [] if key == "\r" else [*self._keys, key]
        self._redraw([])
        return done

    def draw(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, []
        self._redraw(rows)

    def _redraw(self, rows: list[str]) -> None:
        self._write("\r\x1b[K")
        for row in rows:
            self._write(row + "\r\n")
        self._write("> " + "".join(self._keys))
