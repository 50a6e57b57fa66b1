"""The load generator: one process, one thread, one core. Reads a job (JSON) on stdin, writes a result (JSON).

It must never be what is measured, so it does per readiness event no more than one `recv_into` and one comparison
with what the others got (see check.py), and it says at the end how busy it was.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import selectors
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any
from collections.abc import Callable

from .check import Reader, Stream
from .dialects import DIALECTS, Broken, content_of, user_name

READ, WRITE = 1, 4  # the values of EPOLLIN and EPOLLOUT
now = time.perf_counter
now_ns = time.perf_counter_ns


class Poll:
    """epoll, or whatever `selectors` has where there is no epoll."""

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._selector = None if self._epoll else selectors.DefaultSelector()

    def watch(self, fd: int) -> None:
        self._epoll.register(fd, READ) if self._epoll else self._selector.register(
            fd, selectors.EVENT_READ
        )

    def want_write(self, fd: int, yes: bool) -> None:
        if self._epoll:
            self._epoll.modify(fd, READ | WRITE if yes else READ)
        else:
            self._selector.modify(
                fd, selectors.EVENT_READ | (selectors.EVENT_WRITE if yes else 0)
            )

    def wait(self, timeout: float) -> list[tuple[int, int]]:
        timeout = max(timeout, 0)
        if self._epoll:
            return self._epoll.poll(timeout, 65536)
        return [
            (
                key.fd,
                (READ if mask & selectors.EVENT_READ else 0)
                | (WRITE if mask & selectors.EVENT_WRITE else 0),
            )
            for key, mask in self._selector.select(timeout)
        ]


# -- what the server's process costs


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a server: user and system, all threads of it and of its workers, but not of the Redis that it started
    (clock_getcpuclockid(3): finer than /proc's 10 ms)."""
    clock = ctypes.c_int()
    try:
        if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)):
            return None
        own = time.clock_gettime(clock.value)
    except (OSError, AttributeError, TypeError):
        return None
    return own + sum(cpu_seconds(child) or 0.0 for child in children(pid))


def children(pid: int) -> list[int]:
    """The processes that a process has started, but for Redis (Linux; elsewhere none)."""
    try:
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        found = [int(each) for task in tasks for each in task.read_text().split()]
        names = {each: Path(f"/proc/{each}/comm").read_text() for each in found}
    except OSError:  # one has ended meanwhile
        return []
    return [each for each in found if not names[each].startswith("redis")]


def resident(pid: int, field: str = "VmRSS") -> int | None:
    """Bytes of memory that a process holds (VmRSS) or held at most (VmHWM)."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next(
                (
                    int(line.split()[1]) * 1024
                    for line in f
                    if line.startswith(field + ":")
                ),
                None,
            )
    except OSError:
        return None


def machine_seconds() -> float | None:
    """CPU time that the whole machine has spent, whoever spent it (stolen by its host, too)."""
    try:
        with open("/proc/stat") as f:
            user, nice, system, _, _, irq, softirq, steal = map(
                int, f.readline().split()[1:9]
            )
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def percentile(sorted_values: list[int], share: float) -> float | None:
    return (
        sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
        if sorted_values
        else None
    )


def latency_us(samples_ns: list[int]) -> dict[str, float | None]:
    samples = sorted(samples_ns)
    return {
        key: value / 1000 if (value := percentile(samples, share)) is not None else None
        for key, share in (("p50_us", 0.5), ("p99_us", 0.99))
    }


# -- one user


class Encrypted(ssl.SSLSocket):
    """A TLS socket that raises what a plain one does."""

    def recv_into(self, buffer: bytearray) -> int:
        try:
            return super().recv_into(buffer)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None

    def send(self, data: bytes) -> int:
        try:
            return super().send(data)
        except ssl.SSLWantWriteError:
            raise BlockingIOError from None


def believing() -> ssl.SSLContext:
    """For clients that check nothing: it is the server that is measured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = Encrypted
    return context


class Client(Reader):
    def __init__(
        self, index: int, room: str, sock: socket.socket, quick_ack: bool
    ) -> None:
        super().__init__(index)
        self.room = room
        self.sock = self.talk = sock
        self.receive = (
            self._quick
            if quick_ack and hasattr(socket, "TCP_QUICKACK")
            else sock.recv_into
        )
        self.stream: Stream | None = (
            None  # None until the room's first common message was here
        )
        self.setup = bytearray()
        self.joined = self.may_talk = False
        self.stamps: deque[int] = deque()  # when its messages under way were sent
        self.unsent = b""
        self.before = self.after = b""  # what it says, around the number

    def _quick(self, buffer: bytearray) -> int:
        n = self.sock.recv_into(buffer)
        self.sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1
        )  # the kernel forgets it soon, so each time
        return n


class Load:
    """Some users in some rooms of one server, and the loop that moves them."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.dialect = DIALECTS[job["dialect"]]()
        self.size = min(job.get("size", 48), self.dialect.largest)
        self.patience = job.get("patience", 10.0)
        self.tls = believing() if job.get("tls") else None
        self.pid = job.get("pid") or 0
        self.poll = Poll()
        self.clients: list[Client] = []
        self.by_fd: dict[int, Client] = {}
        self.talkers: dict[int, Client] = {}
        self.streams: list[Stream] = []
        self.by_room: dict[str, Stream] = {}
        self.samples: list[int] = []
        self.on_return: Callable[[Client], None] = lambda client: None
        self._buffer = bytearray(256 * 1024)
        self._view = memoryview(self._buffer)

    # -- coming in

    def dial(self, receive_buffer: int = 0) -> socket.socket:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(self.patience)
        sock.connect((self.job["host"], self.job["port"]))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(sock) if self.tls else sock

    def add(self, room: str) -> Client:
        index = len(self.clients)
        client = Client(index, room, self.dial(), self.dialect.quick_ack)
        self.clients.append(client)
        self.by_fd[client.sock.fileno()] = client
        self.poll.watch(client.sock.fileno())
        client.sock.sendall(self.dialect.hello(user_name(index), room))
        client.may_talk = not self.dialect.apart
        if self.dialect.apart:
            client.talk = self.dial()
            self.talkers[client.talk.fileno()] = client
            self.poll.watch(client.talk.fileno())
            client.talk.sendall(self.dialect.hello_apart(user_name(index)))
            client.talk.setblocking(False)
        client.sock.setblocking(False)
        mark = b"@" * 7
        said = self.dialect.say(
            room, content_of(index, 0, self.size).replace(b"0000000", mark, 1)
        )
        client.before, _, client.after = said.partition(mark)
        return client

    def enter(self, count: int, rooms: int) -> None:
        """Bring `count` users into `rooms` rooms, and wait until each is in."""
        while len(self.clients) < count:
            batch = [
                self.add(f"room{i % rooms}")
                for i in range(
                    len(self.clients),
                    min(len(self.clients) + self.dialect.batch, count),
                )
            ]
            self.wait_for(
                lambda: all(c.joined and c.may_talk for c in batch),
                "not every client got in",
            )

    def lurk(self, room: str) -> socket.socket:
        """One more user, who never reads once it is in."""
        sock = self.dial(receive_buffer=4096)
        sock.sendall(self.dialect.hello("lurker", room))
        seen = b""
        while self.dialect.joined not in seen:
            seen += (got := sock.recv(4096))
            if not got:
                raise Broken("closed: the one that will not read did not get in")
        sock.setblocking(False)
        return sock

    def agree(self) -> None:
        """One message in each room: what follows it is the same for all its members."""
        names = {user_name(c.index): c.index for c in self.clients}
        for room in dict.fromkeys(c.room for c in self.clients):
            members = [c for c in self.clients if c.room == room]
            stream = Stream(room, self.dialect, self.size, members, names)
            stream.seq = 1  # that message was number 1, where the server counts
            stream.first = content_of(members[0].index, 0, self.size)
            self.streams.append(stream)
            self.send(members[0], self.dialect.say(room, stream.first))
        self.by_room = {s.room: s for s in self.streams}
        self.wait_for(
            lambda: all(c.stream for c in self.clients),
            "not every client heard its room's first message",
        )

    def settle(self, client: Client) -> None:
        """Is the room's first message here? Then this client is on the common stream."""
        stream = self.by_room.get(client.room)
        if stream is None:
            if client.joined:
                del client.setup[:-8192]
            return
        at = client.setup.find(stream.first)
        end = at + self.size
        if at >= 0 and self.dialect.end:
            end = client.setup.find(self.dialect.end, end) + len(self.dialect.end)
        if at < 0 or end < at + self.size or end > len(client.setup):
            return
        client.stream = stream
        if rest := bytes(client.setup[end:]):
            stream.feed(client, rest)
        client.setup.clear()

    def wait_for(self, done: Callable[[], bool], trouble: str) -> None:
        deadline = now() + self.patience
        while not done():
            if self.turn(0.1):
                deadline = now() + self.patience
            elif now() > deadline:
                raise Broken(f"stalled: {trouble}")

    # -- the loop

    def turn(self, timeout: float) -> int:
        """Wait for readiness, read every ready socket once, check what came. The hot path of it all."""
        view, buffer, by_fd, nanos = self._view, self._buffer, self.by_fd, now_ns
        events = self.poll.wait(timeout)
        for fd, mask in events:
            client = by_fd.get(fd)
            if client is None:
                self.talker(fd, mask)
                continue
            if mask & WRITE:
                self.flush(client)
            if mask == WRITE:
                continue
            try:
                n = client.receive(buffer)
            except BlockingIOError:
                continue
            except ConnectionError as e:
                raise Broken(f"closed: client {client.index}: {e.strerror}") from None
            if not n:
                raise Broken(
                    f"closed: the server hung up on client {client.index} ({bytes(client.setup[-200:])!r})"
                )
            chunk, stream = view[:n], client.stream
            if stream is None:
                self.early(client, bytes(chunk))
                continue
            if not client.held and stream.ref.startswith(chunk, client.off):
                client.off += n
            else:
                stream.feed(client, bytes(chunk))
                if client.owed:
                    self.send(client, self.dialect.answer * client.owed)
                    client.owed = 0
            ends = client.own_ends
            while ends and ends[0] <= client.off:
                ends.popleft()
                if client.stamps:
                    self.samples.append(nanos() - client.stamps.popleft())
                self.on_return(client)
        return len(events)

    def early(self, client: Client, data: bytes) -> None:
        """Before the common stream: is it in? has it heard the room's first message?"""
        client.setup += data
        if (
            client.joined
            and self.dialect.private
            and (count := data.count(self.dialect.private))
        ):
            self.send(client, self.dialect.answer * count)
        if not client.joined and self.dialect.joined in client.setup:
            client.joined = True
        self.settle(client)

    def talker(self, fd: int, mask: int) -> None:
        """The second connection of a user of a protocol that does not echo: nothing should come here but its welcome."""
        client = self.talkers[fd]
        if mask & WRITE:
            self.flush(client)
        if mask == WRITE:
            return
        data = client.talk.recv(65536)
        if client.may_talk and self.dialect.told and data.startswith(self.dialect.told):
            return
        if client.may_talk or not data:
            raise Broken(
                f"closed: client {client.index} was told {data[:200]!r} where it only talks"
            )
        client.setup += data
        if self.dialect.talking in client.setup and client.setup.endswith(b"\n"):
            client.may_talk = True

    def send(self, client: Client, data: bytes) -> None:
        if client.unsent:
            client.unsent += data
            return
        try:
            n = client.talk.send(data)
        except BlockingIOError:
            n = 0
        except ConnectionError as e:
            raise Broken(f"closed: client {client.index}: {e.strerror}") from None
        if n < len(data):
            client.unsent = data[n:]
            self.poll.want_write(client.talk.fileno(), True)

    def flush(self, client: Client) -> None:
        data, client.unsent = client.unsent, b""
        self.poll.want_write(client.talk.fileno(), False)
        if data:
            self.send(client, data)

    def say(self, client: Client) -> None:
        client.sent += 1
        client.stamps.append(now_ns())
        self.send(client, b"%b%07d%b" % (client.before, client.sent, client.after))

    def run(self, until: float) -> None:
        heard = now()
        while (t := now()) < until:
            if self.turn(min(until - t, 0.5)):
                heard = t
            elif t - heard > self.patience:
                raise Broken(f"stalled: nothing came for {self.patience:g} s")

    def drain(self) -> None:
        """Until everybody has everything that was said."""
        heard = now()
        while not all(s.complete() for s in self.streams):
            if self.turn(0.1):
                heard = now()
            elif now() - heard > self.patience:
                raise Broken(
                    next(s.missing() for s in self.streams if not s.complete())
                )

    # -- marks, and what lies between two of them

    def mark(self) -> dict[str, Any]:
        return {
            "deliveries": sum(
                s.delivered(m) for s in self.streams for m in s.members.values()
            ),
            "messages": sum(len(s.order) for s in self.streams),
            "cpu": cpu_seconds(self.pid) if self.pid else None,
            "own": time.process_time(),
            "machine": machine_seconds(),
            "at": now(),
        }

    @staticmethod
    def between(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        seconds, deliveries = b["at"] - a["at"], b["deliveries"] - a["deliveries"]
        cpu = (
            b["cpu"] - a["cpu"]
            if a["cpu"] is not None and b["cpu"] is not None
            else None
        )
        own = b["own"] - a["own"]
        others = (
            max(b["machine"] - a["machine"] - cpu - own, 0) / seconds
            if cpu is not None and a["machine"]
            else None
        )
        return {
            "seconds": seconds,
            "deliveries": deliveries,
            "messages": b["messages"] - a["messages"],
            "deliveries_per_s": deliveries / seconds,
            "cpu_us_per_delivery": cpu / deliveries * 1e6
            if cpu is not None and deliveries
            else None,
            "server_cpu": cpu / seconds if cpu is not None else None,
            "generator_cpu": own / seconds,
            "others_cpu": others,
        }


# -- the workloads


def closed(job: dict[str, Any]) -> dict[str, Any]:
    """(a), (c): each client sends its next message when its own last one came back."""
    load = Load(job)
    load.enter(job["clients"], job.get("rooms", 1))
    load.agree()
    load.on_return = load.say
    for client in load.clients:
        load.say(client)
    load.run(now() + job.get("warm", 0.5))
    load.samples.clear()
    start = load.mark()
    load.run(start["at"] + job["seconds"])
    result = load.between(start, load.mark()) | latency_us(load.samples)
    load.on_return = lambda client: None
    load.drain()
    return result


def burst(job: dict[str, Any]) -> dict[str, Any]:
    """(b): some clients pipeline many messages each; measured from the first byte to the last delivery."""
    load = Load(job)
    load.enter(job["clients"], 1)
    load.agree()

    def shout(messages: int) -> None:
        for client in load.clients[: job["senders"]]:
            numbers = range(client.sent + 1, client.sent + messages + 1)
            client.sent += messages
            load.send(
                client,
                b"".join(
                    [b"%b%07d%b" % (client.before, n, client.after) for n in numbers]
                ),
            )
        load.drain()

    shout(max(job["messages"] // 10, 1))
    start = load.mark()
    while now() - start["at"] < job["seconds"]:
        shout(job["messages"])
    return load.between(start, load.mark())


def paced(job: dict[str, Any]) -> dict[str, Any]:
    """(d), (e), (h): so many messages a second in all, each client in its turn; with or without one that never reads, or strangers."""
    load = Load(job)
    load.enter(job["clients"], 1)
    lurker = load.lurk("room0") if job.get("lurker") else None
    load.agree()
    strangers = come_and_go(job) if job.get("strangers") else None
    before, turn, start = resident(load.pid), 0, {}
    try:
        begin = now()
        end = begin + job.get("warm", 1.0) + job["seconds"]
        while (t := now()) < end:
            if not start and t - begin >= job.get("warm", 1.0):
                load.samples.clear()
                start = load.mark()
            while begin + turn / job["rate"] <= t:
                load.say(load.clients[turn % len(load.clients)])
                turn += 1
            load.turn(min(begin + turn / job["rate"], end) - now())
        result = load.between(start, load.mark())
        load.drain()
    except Broken as e:
        if lurker is None or not str(e).startswith(("stalled", "lost")):
            raise
        # Nobody gets anything any more because one does not read: that is the result, not an accident.
        return {
            "stalled": str(e),
            "rss_before": before,
            "rss_after": resident(load.pid),
            "rss_max": resident(load.pid, "VmHWM"),
        }
    result |= latency_us(load.samples)
    if strangers is not None:
        result["strangers_per_s"] = float(strangers.communicate()[0])
    result |= {
        "rss_before": before,
        "rss_after": resident(load.pid),
        "rss_max": resident(load.pid, "VmHWM"),
    }
    if lurker is not None:
        result |= aftermath(lurker)
    return result


STRANGERS = """
import socket, sys, time
from bench.load import believing
port, rate, seconds, tls = map(float, sys.argv[1:])
context, count, begin = believing(), 0, time.monotonic()
while (passed := time.monotonic() - begin) < seconds:
    if count > passed * rate:
        time.sleep(0.001)
        continue
    sock = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
    if tls:
        sock = context.wrap_socket(sock)
    sock.close()
    count += 1
print(count / passed)
"""


def come_and_go(job: dict[str, Any]) -> subprocess.Popen[str]:
    """Another process, in which so many a second connect, shake hands, and go. At the end it says how many they were."""
    seconds = job.get("warm", 1.0) + job["seconds"]
    numbers = [job["port"], job["strangers"], seconds, bool(job.get("tls"))]
    command = [sys.executable, "-c", STRANGERS, *(str(float(n)) for n in numbers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def aftermath(lurker: socket.socket) -> dict[str, Any]:
    """What became of the one that did not read: closed? and what were the last words?"""
    last, closed_, deadline = b"", False, now() + 2
    while now() < deadline and not closed_:
        try:
            data = lurker.recv(1 << 20)
            last, closed_ = (last + data)[-65536:], not data
        except BlockingIOError:
            select.select([lurker], [], [], 0.2)
        except ConnectionError:
            closed_ = True
    return {"slow_closed": closed_, "slow_told": b"slow_consumer" in last}


def idle(job: dict[str, Any]) -> dict[str, Any]:
    """(f): many users who say nothing, ten to a room."""
    load, empty = Load(job), None
    load.dialect.apart = False  # who only listens needs one connection
    if (a := cpu_seconds(load.pid)) is not None:
        t = now()
        time.sleep(job["seconds"])
        empty = (cpu_seconds(load.pid) - a) / (now() - t)
    before = resident(load.pid)
    load.enter(job["clients"], max(job["clients"] // 10, 1))
    load.run(now() + job.get("warm", 1.0))
    after, start = resident(load.pid), load.mark()
    end = now() + job["seconds"]
    while (t := now()) < end:
        load.turn(end - t)
    result = load.between(start, load.mark())
    return {
        "connections": len(load.clients) + len(load.talkers),
        "rss_before": before,
        "rss_after": after,
        "bytes_each": (after - before) / len(load.clients)
        if after and before
        else None,
        "empty_cpu": empty,
        "idle_cpu": result["server_cpu"],
        "generator_cpu": result["generator_cpu"],
        "others_cpu": result["others_cpu"],
    }


def echo(job: dict[str, Any]) -> dict[str, Any]:
    """(g): each connection sends 32 bytes and waits until the same 32 came back."""
    load = Load(job)
    redis = job["dialect"] == "redis"
    socks = {}
    for i in range(job["clients"]):
        sock = load.dial()
        sock.setblocking(False)
        load.poll.watch(sock.fileno())
        socks[sock.fileno()] = [
            sock,
            i,
            0,
            b"",
            b"",
            0,
        ]  # socket, index, number, expected, received, sent at

    def ask(state: list) -> None:
        state[2] += 1
        payload = content_of(state[1], state[2], 32)
        state[3], state[4] = (b"$32\r\n%b\r\n" % payload if redis else payload), b""
        state[5] = now_ns()
        state[0].send(
            b"*2\r\n$4\r\nECHO\r\n$32\r\n%b\r\n" % payload if redis else payload
        )

    samples: list[int] = []
    for state in socks.values():
        ask(state)
    begin = heard = now()
    warm, end, start = (
        begin + job.get("warm", 0.3),
        begin + job.get("warm", 0.3) + job["seconds"],
        None,
    )
    while (t := now()) < end:
        if start is None and t >= warm:
            samples.clear()
            start = load.mark()
        events = load.poll.wait(0.1)
        if not events and t - heard > load.patience:
            raise Broken("stalled: an echo did not come back")
        for fd, _ in events:
            heard, state = t, socks[fd]
            data = state[0].recv(65536)
            if not data:
                raise Broken(f"closed: the server hung up on connection {state[1]}")
            state[4] += data
            if len(state[4]) >= len(state[3]):
                if state[4] != state[3]:
                    raise Broken(
                        f"garbled: connection {state[1]} sent {state[3]!r} and got {state[4]!r}"
                    )
                samples.append(now_ns() - state[5])
                ask(state)
    stop, trips = load.mark(), len(samples)
    start["deliveries"], stop["deliveries"] = 0, trips
    return load.between(start, stop) | latency_us(samples)


WORK: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "closed": closed,
    "burst": burst,
    "paced": paced,
    "idle": idle,
    "echo": echo,
}


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; a broken promise is a result with the key `broken`."""
    gc.disable()  # millions of small objects that all live to the end: nothing to collect
    try:
        return WORK[job["work"]](job)
    except Broken as e:
        return {"broken": str(e)}
    except (OSError, TimeoutError) as e:
        return {"broken": f"closed: {e}"}
    finally:
        gc.enable()


if __name__ == "__main__":
    the_job = json.load(sys.stdin)
    if the_job.get("core") is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {the_job["core"]})
    json.dump(work(the_job), sys.stdout)
