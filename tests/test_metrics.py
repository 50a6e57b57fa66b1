"""The figures of a chat server, and the page on which they stand: right, cheap, and for this machine only."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from authority import server_file
from helpers import LIMIT, LineClient, wait_until
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.parser import text_string_to_metric_families
from sockets import nothing_left_over  # noqa: F401

from python_tcp import metrics
from python_tcp.chat_server import ChatServer
from python_tcp.handshakes import ServerTLS
from python_tcp.metrics import ChatMetrics, Histogram, LocalPages, Metric, MetricsPage
from python_tcp.metrics import exposition, http_response, look_at_request
from python_tcp.protocol import Limits

HOST = b"Host: localhost\r\n\r\n"


def parsed(text: str) -> dict[str, float]:
    """The samples of a page, by name and labels, as Prometheus' own parser has them."""
    return {
        f"{sample.name}{list(sample.labels.values())}"
        if sample.labels
        else sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ask(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    """What comes for these bytes, up to the end."""
    with socket.create_connection((host, port), timeout=LIMIT) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65_536), b""))


def get(port: int, path: str = "/metrics") -> str:
    answer = ask(port, f"GET {path} HTTP/1.1\r\n".encode() + HOST)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    return body.decode()


@contextmanager
def measured(**options: object) -> Iterator[tuple[ChatServer, LocalPages]]:
    """A running server with its page, which is made anew for everybody who asks."""
    with ChatServer(**options) as server:
        page = MetricsPage(server)
        page.FRESH = 0.0
        pages = LocalPages(server.engine.loop, 0, {"/metrics": page})
        pages.start()
        yield server, pages
        pages.stop()


def figures(pages: LocalPages) -> dict[str, float]:
    return parsed(get(pages.port))


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_as_theirs_does(values: list[float]) -> None:
    ours, registry = Histogram(), CollectorRegistry()
    theirs = TheirHistogram("t", "x", buckets=Histogram.BOUNDS, registry=registry)
    for value in values:
        ours.observe(value)
        theirs.observe(value)
    expected = parsed(generate_latest(registry).decode())
    got = parsed(exposition([Metric("t", "histogram", "x", ours)]))
    assert got == {key: expected[key] for key in got} and len(got) == 14


@given(st.dictionaries(st.text(), st.integers(0, 2**60)), st.text())
def test_no_label_can_end_its_own_value(values: dict[str, int], name: str) -> None:
    """`surrogates` are no text of UTF-8, and no code or reason has them."""
    values = {key.encode("utf-8", "replace").decode(): n for key, n in values.items()}
    text = exposition([Metric("x_total", "counter", "h", values, "reason")])
    [family] = text_string_to_metric_families(text)
    found = {sample.labels["reason"]: sample.value for sample in family.samples}
    assert found == values and text.count("\n") == 2 + len(values)


def test_what_people_do_is_in_the_figures(tmp_path: Path) -> None:
    with measured(data=tmp_path / "chat.db") as (server, pages):
        before = figures(pages)
        assert before["chat_people"] == before["chat_messages_total"] == 0
        assert before["chat_disconnects_total['slow_consumer']"] == 0
        with LineClient(server.port) as ann, LineClient(server.port) as bob:
            ann.join("ann")
            bob.join("bob")
            LineClient(server.port).join("cy", "dev").close()
            for number in range(5):
                ann.say("message", content=f"{number}")
                bob.read_until("message", content=f"{number}")
            ann.say("message", content="alone", room="nowhere")
            ann.read_until("error")
            ann.send(b"{\n")
            ann.read_until("error")
            wait_until(lambda: figures(pages)["chat_connections"] == 2)
            now = figures(pages)
        assert (now["chat_people"], now["chat_rooms"]) == (2, 2), "one may come back"
        assert now["chat_messages_total"] == 5
        told = 3 * 2 + 1 + 5 * 2 + 2  # welcome and users, a join, messages, errors
        assert now["chat_deliveries_total"] == told
        assert now["chat_errors_total['not_joined']"] == 1
        assert now["chat_errors_total['bad_json']"] == 1
        assert now["chat_disconnects_total['closed by peer']"] == 1
        assert now["chat_commit_seconds_count"] >= 8
        assert now["chat_commit_seconds_sum"] > 0
        assert now["chat_tick_seconds_count"] > before["chat_tick_seconds_count"]
        assert now["process_resident_memory_bytes"] > 1e6
        assert now["process_open_fds"] > 5 and now["process_cpu_seconds_total"] > 0


def test_bytes_are_those_that_clients_have_sent_and_got() -> None:
    with measured() as (server, pages):
        with LineClient(server.port) as ann:
            sent = b'{"type":"join","username":"ann"}\n{"type":"leave"}\n'
            ann.send(sent)
            got = sum(map(len, iter(ann.line, b"")))
        now = figures(pages)
        assert now["chat_received_bytes_total"] == len(sent)
        assert now["chat_sent_bytes_total"] == got > 100


@pytest.mark.slow
def test_who_does_not_read_is_seen_before_and_after_the_end() -> None:
    limits = Limits(flood_burst=0, output_bytes=200_000, output_timeout=60.0)
    with measured(limits=limits) as (server, pages):
        with LineClient(server.port) as ann, LineClient(server.port) as bob:
            ann.join("ann")
            bob.join("bob")  # and reads no more
            seen = 0.0
            while not figures(pages)["chat_disconnects_total['slow_consumer']"]:
                for _ in range(20):
                    ann.say("message", content="x" * 4000)
                    ann.read_until("message")
                now = figures(pages)
                seen = max(seen, now["chat_longest_queue_bytes"])
                assert now["chat_queued_bytes"] >= now["chat_longest_queue_bytes"]
                assert now["chat_slow_consumers"] <= 1
        assert 4000 <= seen <= 210_000


def test_a_tick_that_takes_long_is_seen() -> None:
    with measured() as (server, pages):
        before = figures(pages)
        server.engine.loop.call_threadsafe(lambda: time.sleep(0.35))
        wait_until(
            lambda: (
                figures(pages)["chat_tick_seconds_sum"]
                > before["chat_tick_seconds_sum"] + 0.3
            )
        )
        slow = "chat_tick_seconds_bucket['0.3']"
        now = figures(pages)
        assert now["chat_tick_seconds_count"] - now[slow] >= 1


def test_it_counts_once_for_a_commit_and_not_for_each_receiver() -> None:
    """10,000 deliveries of 100 messages that come at once cost a few calls."""
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        counting, calls = ChatMetrics(server), []
        count = server.hooks.on_sent

        def counted(deliveries: list) -> None:
            calls.append(sum(len(to) for to, _ in deliveries))
            count(deliveries)

        people = [LineClient(server.port).join(f"u{n}") for n in range(50)]
        server.hooks.on_sent = counted
        line = b'{"type":"message","content":"x"}\n'
        people[0].send(line * 60)
        for _ in range(60):
            people[1].read_until("message")
        assert sum(calls) == 60 * 50 and len(calls) <= 10
        done = threading.Event()
        found: list[Metric] = []
        server.engine.loop.call_threadsafe(
            lambda: (found.extend(counting.collect()), done.set())
        )
        assert done.wait(LIMIT)
        assert {each.name: each.value for each in found}["chat_messages_total"] == 60
        for each in people:
            each.close()


def test_a_page_is_made_once_in_a_second() -> None:
    with ChatServer() as server:
        page = MetricsPage(server)
        pages = LocalPages(server.engine.loop, 0, {"/metrics": page})
        pages.start()
        now = time.monotonic()  # stands still until we move it
        server.engine.loop._clock = lambda: now
        first = get(pages.port)
        with LineClient(server.port).join("ann"):
            assert get(pages.port) == first and "chat_people 0" in first
            now += 1.0
            assert "chat_people 1" in get(pages.port)
        pages.stop()


def listening(port: int) -> list[str]:
    """The addresses on which this process listens with this port, as Linux tells."""
    found = []
    for name in ("tcp", "tcp6"):
        rows = Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
        for local, state in (row.split()[1:4:2] for row in rows):
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                words = bytes.fromhex(address)
                parts = [words[i : i + 4][::-1] for i in range(0, len(words), 4)]
                found.append(str(ip_address(b"".join(parts))))
    return sorted(found)


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="looks into /proc")
def test_it_listens_on_this_machines_own_addresses_only() -> None:
    with measured(host="0.0.0.0") as (server, pages):
        assert listening(server.port) == ["0.0.0.0"], "the chat is for everybody"
        here = listening(pages.port)
        assert here in (["127.0.0.1", "::1"], ["127.0.0.1"])
        if "::1" in here:
            request = b"GET /metrics HTTP/1.1\r\nHost: [::1]:1\r\n\r\n"
            assert b" 200 OK\r\n" in ask(pages.port, request, "::1")


def outside_address() -> str | None:
    """An address of this machine that others could reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.connect(("192.0.2.1", 9))  # nothing is sent
        if not (found := ip_address(sock.getsockname()[0])).is_loopback:
            return str(found)
    return None


def test_it_is_not_reached_by_way_of_the_address_that_others_use() -> None:
    if (address := outside_address()) is None:
        pytest.skip("this machine has no other address")
    with measured(host="0.0.0.0") as (server, pages):
        socket.create_connection((address, server.port), timeout=LIMIT).close()
        with pytest.raises(OSError):
            socket.create_connection((address, pages.port), timeout=LIMIT).close()


REQUESTS = {
    b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n": 403,
    b"GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n": 403,
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1.evil.example:80\r\n\r\n": 403,
    b"GET /metrics HTTP/1.1\r\nHost: evil.example#localhost\r\n\r\n": 403,
    b"GET /metrics HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n": 403,
    b"GET /metrics HTTP/1.1\r\nHost: \r\n\r\n": 403,
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n": 400,
    b"GET /metrics HTTP/1.1\r\nX-Forwarded-Host: localhost\r\n\r\n": 400,
    b"GET /metrics HTTP/1.1\r\n\r\n": 400,
    b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n": 400,
    b"GET /metrics\r\nHost: localhost\r\n\r\n": 400,
    b"GET\r\n\r\n": 400,
    b"\r\n\r\n": 400,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n": 400,
    b"\xff\xfe\x00\r\n\r\n": 400,
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nx=1": 405,
    b"OPTIONS /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n": 405,
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n": 404,
    b"GET /metrics/../x HTTP/1.1\r\nHost: localhost\r\n\r\n": 404,
    b"GET /metrics?x=1 HTTP/1.1\r\nHost: LOCALHOST:9100\r\n\r\n": 200,
    b"GET /metrics HTTP/1.0\r\nhost : 127.0.0.1\r\n\r\n": 200,
    b"HEAD /metrics HTTP/1.1\r\nHost: [::1]\r\n\r\n": 200,
    b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000: 431,
}


def test_every_request_has_its_answer() -> None:
    with measured() as (_, pages):
        for request, status in REQUESTS.items():
            answer = ask(pages.port, request)
            assert int(answer.split(b" ")[1]) == status, request
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"Access-Control" not in head and b"nosniff" in head
            if request.startswith(b"HEAD"):
                assert body == b""
            elif status != 200:
                assert body.endswith(b"\n") and body.count(b"\n") == 1
                assert b"chat_people" not in body and b"evil" not in body


@given(st.binary(max_size=200))
def test_whatever_a_request_is_it_is_looked_at_without_a_failure(head: bytes) -> None:
    status, text = look_at_request(head)
    assert status in (200, 400, 403, 405)
    assert http_response(status, text).startswith(b"HTTP/1.1 ")


def test_a_request_may_come_in_pieces_and_what_follows_does_not_count() -> None:
    with measured() as (_, pages):
        request = b"GET /metrics HTTP/1.1\r\n" + HOST
        with socket.create_connection(("127.0.0.1", pages.port), LIMIT) as sock:
            for byte in request:
                sock.send(bytes([byte]))
            with suppress(OSError):  # it may be closed already
                sock.send(request)
            got = b""
            with suppress(ConnectionResetError):
                while data := sock.recv(65_536):
                    got += data
        assert got.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.slow
def test_who_says_nothing_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics._Visit, "SECONDS", 0.3)
    with measured() as (_, pages):
        visitors = [
            socket.create_connection(("127.0.0.1", pages.port), LIMIT)
            for _ in range(20)
        ]
        for number, sock in enumerate(visitors):
            with suppress(OSError):
                sock.sendall(b"GET /met"[: number % 9])
        start = time.monotonic()
        for sock in visitors:
            with suppress(ConnectionResetError):
                assert sock.recv(10) == b""
            sock.close()
        assert time.monotonic() - start < LIMIT / 2
        assert "chat_people" in get(pages.port)


def test_a_thousand_visitors_keep_nobody_out() -> None:
    with measured() as (server, pages):
        held, most = [], 0
        for number in range(1000):
            try:
                sock = socket.create_connection(("127.0.0.1", pages.port), LIMIT)
            except ConnectionResetError:
                continue
            held.append(sock)
            if number % 100 == 0:
                assert "chat_people 0" in get(pages.port)
                most = max(most, len(pages._visits))
        assert most <= LocalPages.MOST
        with LineClient(server.port).join("ann"):
            assert figures(pages)["chat_people"] == 1
        for sock in held:
            sock.close()
        wait_until(lambda: not pages._visits)


def test_a_visitor_that_vanishes_leaves_nothing(
    nothing_left_over: None,  # noqa: F811
) -> None:
    with measured() as (_, pages):
        for number in range(30):
            sock = socket.create_connection(("127.0.0.1", pages.port), LIMIT)
            sock.sendall(b"GET /metrics HTTP/1.1\r\n" + (HOST if number % 2 else b""))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4))
            sock.close()
        wait_until(lambda: not pages._visits)


def test_it_ends_with_visitors_in_it(nothing_left_over: None) -> None:  # noqa: F811
    with measured() as (_, pages):
        visitor = socket.create_connection(("127.0.0.1", pages.port), LIMIT)
        wait_until(lambda: pages._visits)
        pages.stop()
        pages.stop()
        with suppress(ConnectionResetError):
            assert visitor.recv(10) == b""
        visitor.close()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", pages.port), LIMIT).close()


def test_a_port_that_is_taken_is_said() -> None:
    with ChatServer() as server, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pages = LocalPages(server.engine.loop, port, {})
        with pytest.raises(OSError):
            pages.start()
        pages.stop()


def test_the_page_holds_no_secret_and_no_name() -> None:
    with measured() as (server, pages), LineClient(server.port) as ann:
        ann.say("join", username="ann-with-a-name", room="a-secret-room")
        token = json.loads(ann.line())["token"]
        ann.say("message", content="a-secret-word", room="a-secret-room")
        ann.read_until("message")
        text = get(pages.port)
        assert "ann-with" not in text and "secret" not in text and token not in text


def test_a_page_that_answers_later_is_asked_once_for_a_connection() -> None:
    answers: list[metrics.Answer] = []
    with ChatServer() as server:
        pages = LocalPages(server.engine.loop, 0, {"/later": answers.append})
        pages.start()
        request = b"GET /later HTTP/1.1\r\n" + HOST
        with socket.create_connection(("127.0.0.1", pages.port), LIMIT) as sock:
            sock.sendall(request)
            wait_until(lambda: answers)
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)  # it waits for its answer nevertheless
            get_through = threading.Event()
            for _ in range(3):  # ticks in which the second one could have been read
                get_through.clear()
                server.engine.loop.call_threadsafe(get_through.set)
                assert get_through.wait(LIMIT)
            assert len(answers) == 1
            server.engine.loop.call_threadsafe(lambda: answers[0](200, "at last\n"))
            with suppress(ConnectionResetError):
                assert sock.recv(65_536).endswith(b"\r\n\r\nat last\n")
        pages.stop()


def test_who_fails_before_coming_in_is_counted_as_refused() -> None:
    with measured(tls=ServerTLS(server_file())) as (server, pages):
        for noise in (b"\x16\x03\x01\x00\x05nonsense", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection((server.host, server.port), LIMIT) as sock:
                sock.sendall(noise)
                with suppress(ConnectionResetError):
                    while sock.recv(1000):
                        pass
        now = wait_until(
            lambda: (
                (got := figures(pages)).get("chat_disconnects_total['refused']") and got
            )
        )
        assert now["chat_disconnects_total['refused']"] == 2
        assert now["chat_connections"] == 0
