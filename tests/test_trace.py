"""`python_tcp.trace`: what is drawn is what was sent, and the same on each run."""

import contextlib
import itertools
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import nbformat
import pytest
from chapters import NBS, from_chapter
from waiting import LIMIT, wait_until
from hypothesis import given
from hypothesis import strategies as st
from sockets import nothing_left_over, read_all, read_exactly, reset, tcp_pair  # noqa: F401 (a fixture)

from python_tcp import core
from python_tcp import trace as module
from python_tcp.diagram import TraceEvent
from python_tcp.proxy import RecordingProxy
from python_tcp.trace import EventLog, Recorder, by_chunk, by_line, by_turn

SVG = "{http://www.w3.org/2000/svg}"
pytestmark = pytest.mark.usefixtures("nothing_left_over")


@contextlib.contextmanager
def serving(handle: Callable[[socket.socket], object]) -> Iterator[tuple[str, int]]:
    """The address of a server that runs `handle(sock)` on a thread for each client."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(LIMIT)
            handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        def shutdown_request(self, request: socket.socket) -> None:
            request.close()

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server.server_address
        finally:
            server.shutdown()
            thread.join(LIMIT)


def echo(sock: socket.socket) -> None:
    while chunk := sock.recv(65_536):
        sock.sendall(chunk)


def image(trace: EventLog) -> ElementTree.Element:
    return ElementTree.fromstring(trace._repr_svg_())


def contents(trace: EventLog, source: str) -> list[bytes | str]:
    return [
        event.content
        for event in trace.events
        if event.kind == "frame" and event.source == source
    ]


# What is shown


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["note", "label", "step"]),
            st.text(max_size=5),
            st.text(max_size=5),
            st.one_of(st.binary(), st.text()),
        ),
        max_size=8,
    )
)
def test_any_drawing_is_valid_and_holds_only_what_it_should(calls: list) -> None:
    trace = EventLog("a", "b")
    for kind, source, target, content in calls:
        if kind == "note":
            trace.note(source or "a", target or "b", content)
        elif kind == "label":
            trace.label(source or "a", str(content))
        else:
            trace.step(str(content))
    tags = {element.tag.removeprefix(SVG) for element in image(trace).iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "path", "text"}
    assert all(line.isprintable() for line in str(trace).split("\n"))


def test_states_stand_side_by_side_and_come_from_the_kernel() -> None:
    trace = EventLog("client", "server")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        trace.state("server", listener)
        told = module.kernel_state(listener)
    trace.state("client", listener)
    trace.state("client", None)
    trace.state("client", "TIME_WAIT")
    assert [e.content for e in trace.events] == [
        state for state in (told, "CLOSED", "TIME_WAIT") if state
    ]
    if told:
        assert str(trace).splitlines()[1:] == [
            "  [CLOSED]    [LISTEN]",
            " [TIME_WAIT]      |",
        ]


@pytest.fixture(params=["darwin", "win32", "linux"])
def no_states(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A system that does not tell the states of sockets."""

    def no_file(*_: object) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(core.sys, "platform", request.param)
        elsewhere.delattr(socket, "TCP_INFO", raising=False)
        elsewhere.setattr(core, "open", no_file, raising=False)
        yield


@pytest.mark.usefixtures("no_states")
def test_where_the_system_tells_no_states_nothing_is_drawn_of_them() -> None:
    client, server = tcp_pair()
    trace = EventLog("client", "server")
    with client, server:
        told = [core.kernel_state(sock) for sock in (client, server)]
        told += core.connection_states(client.getsockname(), server.getsockname())
        trace.state("client", client)
        trace.note("client", "server", "hello")
        trace.state("server", server)
        connection = core.TCPConnection(
            client, core.SocketState.SYN_SENT, client.getpeername(), 1
        )
        assert connection.update_state("ESTABLISHED") == "ESTABLISHED"
    trace.state("client", client)  # a closed socket is known everywhere
    assert (told, core.kernel_table()) == ([None] * 4, [])
    assert [event.kind for event in trace.events] == ["frame", "state"]
    assert (str(trace).count("["), str(trace).count("[CLOSED]")) == (1, 1)
    image(trace)


@pytest.mark.usefixtures("no_states")
def test_the_chapter_on_states_holds_there_too() -> None:
    cells = nbformat.read(NBS / "903_trace.ipynb", as_version=4).cells
    start = [cell.source.split("\n")[0] for cell in cells].index(
        "## States on the lanes"
    )
    shown, held = (cell.source for cell in cells[start + 1 : start + 3])
    serving, count = from_chapter("903_trace", "serving", "Count")
    names = dict(vars(module)) | {"serving": serving, "Count": count}
    exec(shown, names)
    exec(held, names)


def test_a_recording_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventLog, "MOST", 3)
    monkeypatch.setattr(EventLog, "BYTES", 100)
    many, big = EventLog(), EventLog()
    for number in range(5):
        many.note("a", "b", str(number))
    big.note("a", "b", b"x" * 60)
    big.note("a", "b", b"x" * 60)
    assert (len(many.events), many.dropped, len(big.events), big.dropped) == (
        3,
        2,
        1,
        1,
    )
    assert (
        str(many).endswith("== 2 more events, which were not recorded ==")
        and "2 more events" in many._repr_svg_()
    )


def test_waiting_for_what_was_recorded() -> None:
    trace = EventLog()
    timer = threading.Timer(0.05, trace.note, ["ann", "bob", b"hello"])
    timer.start()
    start = time.monotonic()
    trace.wait_for("bob", "ell", limit=LIMIT)
    assert time.monotonic() - start < LIMIT / 2
    trace.wait_for("ann", b"hello", limit=0)
    for lane, content in [("ann", b"bye"), ("cleo", b"hello")]:
        with pytest.raises(TimeoutError, match=lane):
            trace.wait_for(lane, content, limit=0.01)
    timer.join()


def test_a_watched_socket_records_what_was_really_sent() -> None:
    trace = EventLog()
    left, right = socket.socketpair()
    with right:
        ann = trace.watch(left, "ann", "bob")
        ann.setblocking(False)
        count = ann.send(b"x" * 10_000_000)
        assert 0 < count < 10_000_000 and len(contents(trace, "ann")[0]) == min(
            count, 10_000_000
        )
        with pytest.raises(BlockingIOError):
            ann.send(b"more")
        ann.shutdown(socket.SHUT_RD)
        assert [event.kind for event in trace.events] == ["frame"]
        ann.shutdown(socket.SHUT_WR)
        ann.close()
        assert [event.kind for event in trace.events] == ["frame", "FIN"]
        assert ann.fileno() == left.fileno() == -1


# The order of the drawing


def lane_of(event: TraceEvent) -> str:
    return event.target if event.source == "s" else event.source


EVENTS = st.lists(
    st.builds(
        lambda kind, out, lane, n: TraceEvent(kind, *(("s", lane) if out else (lane, "s")), str(n)),
        st.sampled_from(["frame", "frame", "connect", "FIN", "RST"]), st.booleans(), st.sampled_from("abc"), st.integers(0, 3),
    ), max_size=20,
)  # fmt: skip


@given(EVENTS)
def test_the_order_of_each_connection_is_kept(events: list[TraceEvent]) -> None:
    ordered = module._in_order(events, ["a", "b", "s", "c"], "s")
    for lane in "abc":
        assert [e for e in ordered if lane_of(e) == lane] == [
            e for e in events if lane_of(e) == lane
        ]
    said = [e for e in events if e.kind == "frame" and e.target == "s"]
    assert [e for e in ordered if e in said] == [e for e in events if e in said]
    assert module._in_order(ordered, ["a", "b", "s", "c"], "s") == ordered


@given(st.permutations([("a", 1), ("a", 2), ("b", 1), ("c", 1)]))
def test_what_goes_out_at_the_same_time_is_always_drawn_the_same_way(
    order: list,
) -> None:
    events = [TraceEvent("frame", "s", lane, b"%d" % n) for lane, n in order]
    if [e.content for e in events if e.target == "a"] == [b"1", b"2"]:
        assert [
            (e.target, e.content)
            for e in module._in_order(events, ["a", "b", "c"], "s")
        ] == [("a", b"1"), ("a", b"2"), ("b", b"1"), ("c", b"1")]


def test_nothing_is_moved_over_what_a_client_says() -> None:
    out = [TraceEvent("frame", "s", lane, b"x") for lane in "ba"]
    said = TraceEvent("frame", "a", "s", b"y")
    assert module._in_order([out[0], said, out[1]], ["a", "b"], "s") == [
        out[0],
        said,
        out[1],
    ]


# How it is cut


@given(st.lists(st.binary(max_size=9)), st.data())
def test_a_diagram_of_lines_does_not_depend_on_the_chunks(
    lines: list[bytes], data: st.DataObject
) -> None:
    stream = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    heard: list[list[TraceEvent]] = [[], []]
    for events, ends in zip(heard, ([0, len(stream)], [0, *cuts, len(stream)])):
        cutter = module._Cutter(by_line, events.append, "a", "b")
        for start, end in itertools.pairwise(ends):
            if start < end:
                cutter(stream[start:end])
        cutter(b"")
    assert heard[0] == heard[1] and heard[0][-1].kind == "FIN"


def test_a_line_without_an_end_is_bounded_and_what_is_left_is_shown() -> None:
    events: list[TraceEvent] = []
    cutter = module._Cutter(by_line, events.append, "a", "b")
    for _ in range(40):
        cutter(b"x" * 10_000)
    assert len(cutter.rest) <= cutter.ENOUGH and len(events) == 1
    cutter(None)
    assert [event.kind for event in events] == ["frame", "frame", "RST"]


# Through the proxy


def test_a_conversation_is_recorded_as_it_was() -> None:
    with serving(echo) as address, Recorder(*address) as trace:
        with trace.connect("ann") as ann:
            ann.sendall(b"one\ntw")
            assert read_exactly(ann, 6) == b"one\ntw"
            ann.sendall(b"o\r\n")
            assert read_exactly(ann, 3) == b"o\r\n"
    assert str(trace).splitlines() == [
        "  ann          server",
        "   |... connect .>|",
        "   |--- one ----->|",
        "   |<-- one ------|",
        "   |--- two ----->|",
        "   |<-- two ------|",
        "   |... FIN .....>|",
        "   |<.. FIN ......|",
    ]  # fmt: skip


@pytest.mark.parametrize("attempt", range(5))
def test_two_clients_give_the_same_drawing_each_time(attempt: int) -> None:
    members: list[socket.socket] = []

    def room(sock: socket.socket) -> None:
        members.insert(attempt % 2 * len(members), sock)  # not always in the same order
        sock.sendall(b"welcome\n")
        while chunk := sock.recv(100):
            for member in members.copy():
                member.sendall(chunk)

    with serving(room) as address, Recorder(*address) as trace:
        with trace.connect("ann") as ann, trace.connect("bob") as bob:
            assert read_exactly(ann, 8) == read_exactly(bob, 8) == b"welcome\n"
            for sock in (bob, ann):
                sock.sendall(b"hello\n")
                assert read_exactly(ann, 6) == read_exactly(bob, 6) == b"hello\n"
    talk = [(e.source, e.target) for e in trace.events if e.kind == "frame"][2:]
    both = [("server", "ann"), ("server", "bob")]
    assert talk == [("bob", "server"), *both, ("ann", "server"), *both]
    ends = [(e.source, e.target) for e in trace.events][-4:]
    assert ends == [
        ("ann", "server"),
        ("server", "ann"),
        ("bob", "server"),
        ("server", "bob"),
    ]
    assert trace.drawing().lanes == ["ann", "server", "bob"]


def test_megabytes_go_through_unharmed_in_both_directions() -> None:
    data = bytes(range(256)) * 20_000
    with (
        serving(echo) as address,
        Recorder(*address, cut=by_chunk) as trace,
        trace.connect("ann") as ann,
    ):
        sender = threading.Thread(
            target=lambda: (ann.sendall(data), ann.shutdown(socket.SHUT_WR))
        )
        sender.start()
        assert read_all(ann) == data
        sender.join(LIMIT)
    assert trace.dropped > 0  # it is recorded up to a limit, and passed on beyond it


def test_a_slow_reader_slows_the_sender_and_memory_is_bounded() -> None:
    go = threading.Event()

    def deaf(sock: socket.socket) -> None:
        go.wait(LIMIT)
        read_all(sock)

    with (
        serving(deaf) as address,
        Recorder(*address) as trace,
        trace.connect("ann") as ann,
    ):
        ann.settimeout(0.3)
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                ann.sendall(b"x" * 100_000)
        (connection,) = trace._proxy.connections
        assert all(
            len(flow.waiting) < flow.ENOUGH + 20_000 for flow in connection.flows
        )
        go.set()


def test_a_half_close_is_passed_on_in_both_directions() -> None:
    def after_the_end(sock: socket.socket) -> None:
        data = read_all(sock)
        sock.sendall(b"heard " + data)

    def ends_first(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_WR)
        late.append(read_all(sock))

    late: list[bytes] = []
    with (
        serving(after_the_end) as address,
        Recorder(*address) as trace,
        trace.connect("ann") as ann,
    ):
        ann.sendall(b"you")
        ann.shutdown(socket.SHUT_WR)
        assert read_all(ann) == b"heard you"
    with (
        serving(ends_first) as address,
        Recorder(*address) as trace,
        trace.connect("ann") as ann,
    ):
        assert read_all(ann) == b""
        ann.sendall(b"still here")
        ann.shutdown(socket.SHUT_WR)
        wait_until(lambda: late == [b"still here"])
    assert [e.kind for e in trace.events] == ["connect", "FIN", "frame", "FIN"]


def test_a_reset_by_the_server_reaches_the_client_after_what_came_before() -> None:
    def angry(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"no\n")
        trace.wait_for("ann", b"no")
        reset(sock)

    with (
        serving(angry) as address,
        Recorder(*address) as trace,
        trace.connect("ann") as ann,
    ):
        ann.sendall(b"hello\n")
        assert read_exactly(ann, 3) == b"no\n"
        with pytest.raises(ConnectionResetError):
            ann.recv(1)
    assert [(e.kind, e.source) for e in trace.events[-2:]] == [
        ("frame", "server"),
        ("RST", "server"),
    ]


def test_a_reset_by_the_client_reaches_the_server() -> None:
    felt: list[str] = []

    def server(sock: socket.socket) -> None:
        try:
            read_all(sock)
        except ConnectionResetError as error:
            felt.append(type(error).__name__)

    with serving(server) as address, Recorder(*address) as trace:
        ann = trace.connect("ann")
        ann.sendall(b"half a li")
        trace.wait_until(lambda e: True, 1, "", 1)
        wait_until(
            lambda: (
                trace._proxy.connections
                and trace._proxy.connections[0].flows[0].record.rest
            )
        )
        reset(ann)
        wait_until(lambda: felt)
    assert felt == ["ConnectionResetError"]
    assert [(e.kind, e.content) for e in trace.events] == [
        ("connect", "connect"),
        ("frame", b"half a li"),
        ("RST", "RST"),
    ]


def test_a_server_that_is_not_there_resets_the_client(reserved_port: int) -> None:
    with Recorder("127.0.0.1", reserved_port) as trace, pytest.raises(ConnectionError):
        with trace.connect("ann") as ann:
            assert not ann.recv(1)
    assert [e.kind for e in trace.events] == ["connect", "RST"]


def test_there_is_a_limit_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordingProxy, "MOST", 1)
    with (
        serving(echo) as address,
        Recorder(*address) as trace,
        trace.connect("ann") as ann,
    ):
        with pytest.raises(ConnectionError), trace.connect("bob") as bob:
            assert not bob.recv(1)
        ann.sendall(b"x")
        assert ann.recv(1) == b"x"
        ann.close()
        wait_until(lambda: not trace._proxy.connections)
        with trace.connect("cleo") as cleo:
            cleo.sendall(b"x")
            assert cleo.recv(1) == b"x"


def test_clients_without_a_name_are_counted() -> None:
    with serving(echo) as address, Recorder(*address) as trace:
        assert trace.port == trace.port
        for _ in range(2):
            with socket.create_connection(
                ("127.0.0.1", trace.port), timeout=LIMIT
            ) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
    assert trace.drawing().lanes == ["client", "server", "client 2"]


def test_a_name_that_comes_again_has_the_same_lane() -> None:
    with serving(echo) as address, Recorder(*address) as trace:
        for _ in range(2):
            with trace.connect("ann") as ann:
                ann.shutdown(socket.SHUT_WR)
                assert read_all(ann) == b""
        assert trace.port_for("ann") == trace.port_for("ann") != trace.port_for("bob")
        with trace.connect("ann"):
            assert (
                sum(e.kind == "connect" for e in trace.events) == 3
            )  # it is in the recording as soon as it is here
    assert trace.drawing().lanes == ["ann", "server", "bob"]
    assert [e.kind for e in trace.events] == ["connect", "FIN", "FIN"] * 3


def test_ends_can_be_left_out_and_turns_joined() -> None:
    def answer(sock: socket.socket) -> None:
        while not read_exactly(sock, 4).endswith(b"."):
            pass
        for word in (b"a", b"b"):
            sock.sendall(word)
            trace.wait_for("ann", word)

    with (
        serving(answer) as address,
        Recorder(*address, cut=by_turn, ends=False) as trace,
        trace.connect("ann") as ann,
    ):
        for piece in (b"1", b"23", b"."):
            ann.sendall(piece)
            trace.wait_for("ann", piece)
        assert read_all(ann) == b"ab"
    assert [e.content for e in trace.events] == [b"123.", b"ab"]


def test_the_end_does_not_wait_for_those_who_stay() -> None:
    with serving(echo) as address:
        recorder = Recorder(*address, limit=2 * LIMIT)
        with recorder as trace:
            ann = trace.connect("ann")
            start = time.monotonic()
        assert time.monotonic() - start < LIMIT / 2
        assert ann.recv(1) == b""
        ann.close()
    assert [e.kind for e in recorder.events] == ["connect"]


def test_the_end_waits_for_those_who_are_going_but_not_for_ever() -> None:
    go = threading.Event()
    with serving(lambda sock: go.wait(LIMIT)) as address:
        with Recorder(*address, limit=0.3) as trace:
            trace.connect("ann").close()
            start = time.monotonic()
        assert 0.2 < time.monotonic() - start < LIMIT / 2
        go.set()
    assert [e.kind for e in trace.events] == ["connect", "FIN"]


def test_a_cut_that_fails_is_heard_of() -> None:
    def broken(data: bytes) -> tuple:
        raise ZeroDivisionError("in the cut")

    with pytest.raises(ZeroDivisionError, match="in the cut"):
        with (
            serving(echo) as address,
            Recorder(*address, cut=broken) as trace,
            trace.connect("ann") as ann,
        ):
            ann.sendall(b"x")
            with contextlib.suppress(ConnectionError):
                ann.recv(1)
    with pytest.raises(RuntimeError, match="ended"):
        trace.port_for("bob")


def test_a_long_name_is_cut_once_and_has_one_lane() -> None:
    name = "\x1b" * 30
    with serving(echo) as address, Recorder(*address, name=name) as trace:
        with trace.connect(name + "ann") as ann:
            ann.sendall(b"x\n")
            assert read_exactly(ann, 2) == b"x\n"
    assert len(trace.lanes) == 2 and str(trace).count("x") >= 2
    assert {event.source for event in trace.events} == set(trace.lanes)
