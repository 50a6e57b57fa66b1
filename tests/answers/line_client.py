"""Answers to the exercises of the chapter line_client."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from exercises import right, wrong


class _Printer:
    """Right, but for what its children change."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.lock, self.gone = stream, threading.Lock(), False

    def say(self, text: str) -> None:
        with self.lock:
            if not self.gone:
                try:
                    self.stream.write(f"{text}\n")
                    self.stream.flush()
                except OSError:
                    self.gone = True


@wrong("check_printer", "Two threads say hello")
class WithoutALock(_Printer):
    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lock = contextlib.nullcontext()  # type: ignore[assignment]

    def say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


@wrong("check_printer", "How often it was tried after the break")
class TriesAgain(_Printer):
    def say(self, text: str) -> None:
        with self.lock:
            try:
                print(text, file=self.stream, flush=True)
            except OSError:
                self.gone = True


@wrong("check_printer", "An exception ended it, in line")
class Raises(_Printer):
    def say(self, text: str) -> None:
        with self.lock:
            print(text, file=self.stream, flush=True)


@wrong("check_printer", "Two threads say hello")
class WithoutNewlines(_Printer):
    def say(self, text: str) -> None:
        super().say(text.strip())
        with contextlib.suppress(Exception):
            self.stream.seek(self.stream.tell() - 1)


@wrong("check_printer", "gone: expected False, but got True")
class GoneFromTheBeginning(_Printer):
    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.ended = False

    @property
    def gone(self) -> bool:
        return True

    @gone.setter
    def gone(self, value: bool) -> None: ...

    def say(self, text: str) -> None:
        with self.lock:
            self.stream.write(f"{text}\n")


@right("check_printer")
class OneWrite(_Printer):
    pass


@right("check_printer")
class AThreadThatWrites:
    """One thread writes, and the others wait until it has."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.gone = stream, False
        self.inbox: queue.Queue[tuple[str, threading.Event]] = queue.Queue()
        threading.Thread(target=self.work, daemon=True).start()

    def say(self, text: str) -> None:
        done = threading.Event()
        self.inbox.put((text, done))
        done.wait()

    def work(self) -> None:
        while not self.gone:
            text, done = self.inbox.get()
            try:
                print(text, file=self.stream, flush=True)
            except OSError:
                self.gone = True
            done.set()
        while True:
            self.inbox.get()[1].set()


@wrong("check_merged", "Did the patient source hold up the others", seconds=2)
def one_after_the_other(*sources: Iterator[Any]) -> Iterator[Any]:
    for source in sources:
        with contextlib.suppress(ValueError):
            yield from source


@wrong("check_merged", "Did the patient source hold up the others", seconds=2)
def in_turn(*sources: Iterator[Any]) -> Iterator[Any]:
    left = list(sources)
    while left:
        for source in list(left):
            try:
                yield next(source)
            except (StopIteration, ValueError):
                left.remove(source)


@wrong("check_merged", "An exception ended it")
def with_errors(*sources: Iterator[Any]) -> Iterator[Any]:
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read(source: Iterator[Any]) -> None:
        try:
            for item in source:
                inbox.put((item, None))
        except ValueError as error:
            inbox.put((None, error))
        inbox.put(None)

    for source in sources:
        threading.Thread(target=read, args=[source], daemon=True).start()
    left = len(sources)
    while left:
        got = inbox.get()
        if got is None:
            left -= 1
        elif got[1]:
            raise got[1]
        else:
            yield got[0]


@wrong("check_merged", "How many items three sources gave")
def ends_with_the_first(*sources: Iterator[Any]) -> Iterator[Any]:
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read(source: Iterator[Any]) -> None:
        with contextlib.suppress(ValueError):
            for item in source:
                inbox.put(item)
        inbox.put(None)

    for source in sources:
        threading.Thread(target=read, args=[source], daemon=True).start()
    while sources and (item := inbox.get()) is not None:
        yield item


@wrong("check_merged", "expected 6, but got 9")
def with_the_ends(*sources: Iterator[Any]) -> Iterator[Any]:
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    end = object()

    def read(source: Iterator[Any]) -> None:
        with contextlib.suppress(ValueError):
            for item in source:
                inbox.put(item)
        inbox.put(end)

    for source in sources:
        threading.Thread(target=read, args=[source], daemon=True).start()
    left = len(sources)
    while left:
        item = inbox.get()
        left -= item is end
        yield "" if item is end else item


@right("check_merged")
def with_a_condition(*sources: Iterator[Any]) -> Iterator[Any]:
    changed, items, left = threading.Condition(), list[Any](), [len(sources)]

    def read(source: Iterator[Any]) -> None:
        try:
            for item in source:
                with changed:
                    items.append(item)
                    changed.notify()
        except Exception:
            pass
        finally:
            with changed:
                left[0] -= 1
                changed.notify()

    for source in sources:
        threading.Thread(target=read, args=(source,), daemon=True).start()
    while True:
        with changed:
            changed.wait_for(lambda: items or not left[0])
            if not items:
                return
            item = items.pop(0)
        yield item


@right("check_merged")
def two_by_two(*sources: Iterator[Any]) -> Iterator[Any]:
    inbox: queue.Queue[tuple[bool, Any]] = queue.Queue(1)

    def read(source: Iterator[Any]) -> None:
        try:
            while True:
                inbox.put((True, next(source)))
        except Exception:
            inbox.put((False, None))

    for source in sources:
        threading.Thread(target=read, args=(source,), daemon=True).start()
    ended = 0
    while ended < len(sources):
        is_item, item = inbox.get()
        ended += not is_item
        if is_item:
            yield item
