"""Every delivery checked, at the price of a comparison in C.

All members of a room must receive the same bytes. So only the reader that is furthest ahead has its bytes parsed
(who, which number, in which order); they become the room's reference. What the others receive is compared with
the reference, byte by byte. At the end each must have got exactly the whole of it.

A server that promises one order per sender only (NATS) may give two members the messages of two senders in
different orders. There the comparison is the short cut, and where it fails the frames are sorted one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from .dialects import Broken, Dialect, content_of


class Reader:
    """One member of a room: how far along the reference it is, and where its own messages came back."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.off = 0  # bytes of the reference that it has received
        self.held = b""  # beyond that: the beginning of a frame not complete yet
        self.own_ends: deque[int] = (
            deque()
        )  # where, in the reference, its own next messages end
        self.sent = 0  # number of its last message
        self.ahead: set[tuple[int, int]] = (
            set()
        )  # got before their turn (one order per sender only)
        self.owed = 0  # keep-alives that it got and that are still to be answered


class Stream:
    """What one room says: the reference, and the rules that it must keep."""

    def __init__(
        self,
        room: str,
        dialect: Dialect,
        size: int,
        members: list[Reader],
        names: dict[str, int],
    ) -> None:
        self.room, self.dialect, self.size = room, dialect, size
        self.members = {m.index: m for m in members}
        self.names = names  # user name -> index
        self.ref = bytearray()
        self.ends: list[int] = []  # where each message ends in the reference
        self.order: list[
            tuple[int, int]
        ] = []  # which message that is: (sender, number)
        self.where: dict[tuple[int, int], int] = {}  # its place in that order
        self._pad = content_of(0, 0, size)[12:]
        self.heard = dict.fromkeys(self.members, 0)
        self.seq: int | None = None  # the server's number of the last message
        self.first = b""  # content of the message after which the reference begins

    def feed(self, reader: Reader, data: bytes) -> None:
        """Check what one member received next."""
        data, reader.held = reader.held + data, b""
        private = self.dialect.private
        if (
            private and private in data
        ):  # a frame for this member alone: take it out, it will be answered
            reader.owed += data.count(private)
            data = data.replace(private, b"")
        if reader.ahead:
            self._sort(reader, data)
            return
        known = min(len(data), len(self.ref) - reader.off)
        if not self.ref.startswith(data[:known], reader.off):
            if not self.dialect.one_order:
                self._sort(reader, data)
                return
            cut = (
                data.rfind(b"\n") + 1
            )  # half of such a frame may be the last thing here
            if (
                cut < len(data)
                and private.startswith(data[cut:])
                and self.ref.startswith(data[:cut], reader.off)
            ):
                reader.off, reader.held = reader.off + cut, data[cut:]
                return
            raise Broken(self._explain(reader, data))
        reader.off += known
        if known < len(data):
            used = self._extend(data[known:])
            reader.off += used
            reader.held = data[known + used :]

    def delivered(self, reader: Reader) -> int:
        """How many whole messages this member has received."""
        return bisect_right(self.ends, reader.off) + len(reader.ahead)

    @property
    def sent(self) -> int:
        return sum(m.sent for m in self.members.values())

    def complete(self) -> bool:
        """True when everything that was said is here, and everybody has all of it."""
        if len(self.order) != self.sent:
            return False
        size = len(self.ref)
        return all(
            m.off == size and not m.held and not m.ahead for m in self.members.values()
        )

    def missing(self) -> str:
        """What is not here, in words."""
        said, worst = self.sent, min(self.members.values(), key=lambda m: m.off)
        return (
            f"lost: room {self.room} was told {said} messages and the fastest reader got {len(self.order)}; "
            f"client {worst.index} got {self.delivered(worst)}"
        )

    # -- the rules

    def _extend(self, data: bytes) -> int:
        """Parse and check what nobody in this room had received before; return how many bytes were whole frames."""
        used = 0
        for end, content, user, seq in self.dialect.split(data, self.room, self.size):
            if content is not None:
                self._accept(
                    self._identify(content, user), seq, len(self.ref) + end, data, end
                )
            used = end
        self.ref += data[:used]
        return used

    def _identify(self, content: bytes, user: str | None) -> tuple[int, int]:
        try:
            sender, n = int(content[:4]), int(content[5:12])
        except ValueError:
            sender = n = -1
        if sender not in self.members or content[12:] != self._pad:
            raise Broken(f"garbled: no member of {self.room} said {content[:80]!r}")
        if user is not None and self.names.get(user) != sender:
            raise Broken(
                f"garbled: message {n} of client {sender} under the name of {user!r}"
            )
        return sender, n

    def _accept(
        self,
        message: tuple[int, int],
        seq: int | None,
        ends: int,
        data: bytes,
        end: int,
    ) -> None:
        """The next message of the reference. `data[end:]` came after it: it helps to find the right word."""
        sender, n = message
        due = self.heard[sender] + 1
        if n != due:
            if n < due:
                raise Broken(f"doubled: message {n} of client {sender} came again")
            later = content_of(sender, due, self.size) in data[end:]
            raise Broken(
                f"{'out of order' if later else 'lost'}: message {n} of client {sender} came where {due} was due"
            )
        member = self.members[sender]
        if n > member.sent:
            raise Broken(f"garbled: message {n} of client {sender} was never sent")
        self.heard[sender] = n
        if seq is not None:
            if self.seq is not None and seq != self.seq + 1:
                raise Broken(
                    f"out of order: seq {seq} after {self.seq} in room {self.room}"
                )
            self.seq = seq
        if not self.dialect.one_order:
            self.where[message] = len(self.order)
        self.ends.append(ends)
        self.order.append(message)
        member.own_ends.append(ends)

    def _sort(self, reader: Reader, data: bytes) -> None:
        """Frames of one member, in an order of its own: each sender's must still be in that sender's order."""
        at = bisect_right(
            self.ends, reader.off
        )  # it has the first `at` of the reference, and those ahead
        data = bytes(self.ref[self.ends[at - 1] if at else 0 : reader.off]) + data
        ahead, where, used = reader.ahead, self.where, 0
        for end, content, user, seq in self.dialect.split(data, self.room, self.size):
            message = sender, n = self._identify(content, user)
            if message not in where:
                self._accept(message, seq, len(self.ref) + end - used, data, end)
                self.ref += data[used:end]
            if where[message] < at or message in ahead:
                raise Broken(
                    f"doubled: client {reader.index} got message {n} of client {sender} again"
                )
            previous = sender, n - 1
            if n > 1 and where[previous] >= at and previous not in ahead:
                later = content_of(sender, n - 1, self.size) in data[end:]
                raise Broken(
                    f"{'out of order' if later else 'lost'}: client {reader.index} got message {n} of client {sender} and not {n - 1}"
                )
            ahead.add(message)
            while at < len(self.order) and self.order[at] in ahead:
                ahead.remove(self.order[at])
                at += 1
            if sender == reader.index and reader.own_ends:
                reader.own_ends.popleft()
                reader.own_ends.appendleft(
                    0
                )  # it is back, whatever came before it elsewhere
            used = end
        reader.off = self.ends[at - 1] if at else 0
        reader.held = data[used:]

    def _explain(self, reader: Reader, data: bytes) -> str:
        """One member's bytes are not those of the others: find the word for it."""
        at = self.delivered(reader)
        start = self.ends[at - 1] if at else 0
        got = []
        try:
            for _, content, user, _ in self.dialect.split(
                bytes(self.ref[start : reader.off]) + data, self.room, self.size
            ):
                if content is not None:
                    got.append(self._identify(content, user))
        except Broken as e:
            return f"{e} (client {reader.index})"
        for i, (mine, others) in enumerate(zip(got, self.order[at:])):
            if mine != others:
                what = f"client {reader.index} got message {mine[1]} of client {mine[0]} where the others got {others[1]} of {others[0]}"
                if mine in self.order[:at] or mine in got[:i]:
                    return f"doubled: {what}"
                return f"out of order: {what}" if others in got[i:] else f"lost: {what}"
        return f"garbled: client {reader.index} got other bytes than the others: {data[:120]!r}"
