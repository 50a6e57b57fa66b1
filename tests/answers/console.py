"""Answers to the exercises of the chapter console."""

import copy
import logging
from logging.handlers import QueueHandler
from queue import Full, Queue
from typing import Any

from exercises import right, wrong

Records = Queue[Any]


def _record(text: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("exercise", level, "", 0, text, None, None)


class _Counting(QueueHandler):
    """Right, but for what its children change."""

    def __init__(self, waiting: Records, most: int) -> None:
        super().__init__(waiting)
        self.most, self.dropped = most, 0

    def free(self) -> int:
        return self.most - self.queue.qsize()

    def notice(self) -> logging.LogRecord:
        return _record(f"{self.dropped} lines dropped")

    def enqueue(self, record: logging.LogRecord) -> None:
        new = [self.notice(), record] if self.dropped else [record]
        if len(new) > self.free():
            self.dropped += 1
        else:
            self.dropped = 0
            for each in new:
                super().enqueue(each)


@wrong("check_counting", "five lines, room for three")
class DropsTheOldest(_Counting):
    def enqueue(self, record: logging.LogRecord) -> None:
        if not self.free():
            self.queue.get_nowait()
        super().enqueue(record)


@wrong("check_counting", "one more, and all were read before")
class Silent(_Counting):
    def enqueue(self, record: logging.LogRecord) -> None:
        if self.free():
            self.queue.put_nowait(record)


@wrong("check_counting", "four lines, one is read, one more line")
class OneIsEnough(_Counting):
    def enqueue(self, record: logging.LogRecord) -> None:
        if not self.free():
            self.dropped += 1
            return
        if self.dropped:
            self.queue.put_nowait(self.notice())
            self.dropped = 0
        self.queue.put_nowait(record)


@wrong("check_counting", "and one more")
class NeverBeginsAnew(_Counting):
    def enqueue(self, record: logging.LogRecord) -> None:
        dropped = self.dropped
        super().enqueue(record)
        self.dropped = self.dropped or dropped


@wrong("check_counting", "a level")
class AsInfo(_Counting):
    def notice(self) -> logging.LogRecord:
        return _record(f"{self.dropped} lines dropped", logging.INFO)


@right("check_counting")
class WithAList(_Counting):
    pass


@right("check_counting")
class WithAnInnerQueue(QueueHandler):
    def __init__(self, waiting: Records, most: int) -> None:
        super().__init__(waiting)
        self.most, self.lost = most, list[logging.LogRecord]()

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self.queue.qsize() + 1 + bool(self.lost) > self.most:
                raise Full
        except Full:
            self.lost.append(record)
            return
        if self.lost:
            fields = {"msg": "%d lines dropped", "args": (len(self.lost),)}
            level = {"levelno": logging.WARNING, "levelname": "WARNING"}
            self.queue.put(logging.makeLogRecord(fields | level))
            self.lost.clear()
        self.queue.put(record)


class _Folding(logging.Handler):
    """Right, but for what its children change."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self.handler = handler
        self.last: logging.LogRecord | None = None
        self.count = 0

    def same(self, record: logging.LogRecord) -> bool:
        if self.last is None:
            return False
        levels = record.levelno == self.last.levelno
        return levels and record.getMessage() == self.last.getMessage()

    def emit(self, record: logging.LogRecord) -> None:
        if self.same(record):
            self.count += 1
        else:
            self.flush_count()
            self.last = record
            self.handler.handle(record)

    def flush_count(self) -> None:
        if self.count and self.last:
            text = f"the last line was repeated {self.count} times"
            self.handler.handle(_record(text, self.last.levelno))
        self.count = 0

    def close(self) -> None:
        self.flush_count()
        super().close()


@wrong("check_folding", "then a warning with the same text")
class EachTextOnce(_Folding):
    seen: set[str]

    def emit(self, record: logging.LogRecord) -> None:
        self.seen = getattr(self, "seen", set())
        if record.getMessage() not in self.seen:
            self.handler.handle(record)
        self.seen.add(record.getMessage())


@wrong("check_folding", "then a warning with the same text")
class WhateverTheLevel(_Folding):
    def same(self, record: logging.LogRecord) -> bool:
        return self.last is not None and record.getMessage() == self.last.getMessage()


@wrong("check_folding", "b three times more")
class ComparesTheFormat(_Folding):
    def same(self, record: logging.LogRecord) -> bool:
        last = self.last
        return last is not None and (record.msg, record.levelno) == (
            last.msg,
            last.levelno,
        )


@wrong("check_folding", "b once more, and close() twice")
class NotAtTheEnd(_Folding):
    def close(self) -> None:
        logging.Handler.close(self)


@wrong("check_folding", "b once more, and close() twice")
class TwiceAtTheEnd(_Folding):
    def close(self) -> None:
        count = self.count
        self.flush_count()
        self.count = count


@wrong("check_folding", "then a warning with the same text")
class AlwaysAsInfo(_Folding):
    def flush_count(self) -> None:
        if self.count:
            text = f"the last line was repeated {self.count} times"
            self.handler.handle(_record(text, logging.DEBUG))
        self.count = 0


@right("check_folding")
class WithTheLastRecord(_Folding):
    pass


@right("check_folding")
class WithACopy(logging.Handler):
    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self.handler, self.key, self.repeats = handler, None, list[logging.LogRecord]()

    def emit(self, record: logging.LogRecord) -> None:
        key: Any = record.levelno, record.getMessage()
        if key == self.key:
            self.repeats.append(record)
            return
        self.tell()
        self.key = key
        self.handler.emit(record)

    def tell(self) -> None:
        if self.repeats:
            told = copy.copy(self.repeats[0])
            told.msg, told.args = (
                "the last line was repeated %d times",
                (len(self.repeats),),
            )
            self.repeats = []
            self.handler.emit(told)

    def close(self) -> None:
        self.tell()
        logging.Handler.close(self)
