"""Answers to the exercises of the chapter chat_fanout."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from exercises import right, wrong

Commit = Callable[[Callable[[], None]], None]
Release = Callable[[list[Any]], None]


class _Batches:
    """Right, but for what its children change."""

    def __init__(self, commit: Commit, release: Release) -> None:
        self.commit, self.release = commit, release
        self.held: list[Any] = []
        self.under_way = 0

    def hold(self, item: Any) -> None:
        self.held.append(item)
        self.go_on()

    def go_on(self) -> None:
        if self.held and not self.under_way:
            self.under_way = len(self.held)
            self.commit(self.done)

    def done(self) -> None:
        batch, self.held = self.held[: self.under_way], self.held[self.under_way :]
        self.under_way = 0
        self.release(batch)
        self.go_on()


@wrong("check_batches", "Commits under way after hold('b')")
class OneForEach(_Batches):
    def hold(self, item: Any) -> None:
        self.commit(lambda: self.release([item]))


@wrong("check_batches", "Released before the first has completed")
class BeforeItIsSafe(_Batches):
    def hold(self, item: Any) -> None:
        self.release([item])
        self.commit(lambda: None)

    def __init__(self, commit: Commit, release: Release) -> None:
        self.first = True
        super().__init__(self.once(commit), release)

    def once(self, commit: Commit) -> Commit:
        def one(done: Callable[[], None]) -> None:
            if self.first:
                commit(done)
            self.first = False

        return one


@wrong("check_batches", "Released when a commit has completed")
class AllThatIsHeld(_Batches):
    def done(self) -> None:
        batch, self.held, self.under_way = self.held, [], 0
        self.release(batch)
        self.go_on()


@wrong("check_batches", "Commits complete at once; released")
class WithoutItems(_Batches):
    def done(self) -> None:
        batch, self.held = self.held[: self.under_way], self.held[self.under_way :]
        self.under_way = len(self.held)
        self.release(batch)
        if self.calls < 20:
            self.calls += 1
            self.commit(self.done)

    calls = 0

    def hold(self, item: Any) -> None:
        self.held.append(item)
        if not self.calls:
            self.calls = 17
            self.under_way = 1
            self.commit(self.done)


@wrong("check_batches", "Commits under way then")
class ForgetsWhatCameMeanwhile(_Batches):
    def done(self) -> None:
        batch, self.held = self.held[: self.under_way], self.held[self.under_way :]
        self.under_way = 0
        self.release(batch)


@right("check_batches")
class OneList(_Batches):
    pass


@right("check_batches")
class TwoListsAndALoop:
    def __init__(self, commit: Commit, release: Release) -> None:
        self.commit, self.release = commit, release
        self.next: list[Any] = []
        self.busy = self.looping = False

    def hold(self, item: Any) -> None:
        self.next += [item]
        self.work()

    def work(self) -> None:
        if self.looping:
            return
        self.looping = True
        while self.next and not self.busy:
            batch, self.next, self.busy = self.next, [], True
            self.commit(lambda batch=batch: self.safe(batch))  # type: ignore[misc]
        self.looping = False

    def safe(self, batch: list[Any]) -> None:
        self.busy = False
        self.release(batch)
        self.work()


Dialects = dict[int, Any]
Send = Callable[[bytes, tuple[int, ...]], object]


@wrong("check_send_all", "encoded")
def by_object(event: Any, dialects: Dialects, send: Send) -> None:
    for client, dialect in dialects.items():
        send(dialect.encode(event), (client,))


@wrong("check_send_all", "calls of send")
def one_send_each(event: Any, dialects: Dialects, send: Send) -> None:
    encoded: dict[type, bytes] = {}
    for dialect in dialects.values():
        if type(dialect) not in encoded:
            encoded[type(dialect)] = dialect.encode(event)
    for kind, data in encoded.items():
        clients = [client for client, each in dialects.items() if type(each) is kind]
        for _ in clients:
            send(data, tuple(clients))


@wrong("check_send_all", "sent")
def sorted_clients(event: Any, dialects: Dialects, send: Send) -> None:
    by_sorting(event, dict(sorted(dialects.items())), send)


@wrong("check_send_all", "{}, ")
def at_least_one(event: Any, dialects: Dialects, send: Send) -> None:
    by_sorting(event, dialects, send)
    if not dialects:
        send(b"", ())


@wrong("check_send_all", "An exception ended it, in line")
def by_neighbours(event: Any, dialects: Dialects, send: Send) -> None:
    first = next(iter(dialects.values()), None)
    data = first.encode(event)  # type: ignore[union-attr]
    send(data, tuple(dialects))


@right("check_send_all")
def by_sorting(event: Any, dialects: Dialects, send: Send) -> None:
    def kind(client: int) -> str:
        return type(dialects[client]).__qualname__

    for _, group in groupby(sorted(dialects, key=kind), kind):
        clients = tuple(group)
        send(dialects[clients[0]].encode(event), clients)


@right("check_send_all")
def kind_after_kind(event: Any, dialects: Dialects, send: Send) -> None:
    left = dict(dialects)
    while left:
        dialect = next(iter(left.values()))
        clients = [c for c, each in left.items() if each.__class__ is dialect.__class__]
        send(dialect.encode(event), tuple(clients))
        for client in clients:
            del left[client]
