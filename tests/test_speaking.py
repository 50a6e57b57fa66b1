"""Several listeners, recognition by the first bytes, and dialects with words of their own, on a real server."""

import socket
from collections.abc import Iterable, Iterator

import pytest
from helpers import LineClient
from waiting import wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Asked, Aside, House, Listener, Raw, Recognizer, Said
from python_tcp.dialects import Speaker, Switch, checked, language_of, parse_listener
from python_tcp.protocol import Error, Event, Goodbye, Join, JSONLines, Limits, Message
from python_tcp.protocol import SendMessage, UserJoined


class Toy(Speaker):
    """The first line is a name; then `?` asks for nothing that the rules know, `.` ends it, and all else is said."""

    apart = frozenset({Message})

    def __init__(self) -> None:
        self._has_name = self._is_own = False

    def opening(self, house: House) -> bytes:
        return f"hello from {house.name}\n".encode()

    def receive(self, data: bytes) -> Iterable[Said]:
        for line in data.decode().splitlines():
            if line == "?":
                yield Raw(b"42\n")
            elif line == ".":
                yield None
            else:
                command = SendMessage(line) if self._has_name else Join(line)
                yield checked(command)
                self._has_name = True

    @staticmethod
    def encode(event: Event) -> bytes:
        match event:
            case Message(username=who, content=text):
                return f"{who}: {text}\n".encode()
            case UserJoined(username=who):
                return f"{who} is here\n".encode()
            case Error(content=text):
                return f"error {text}\n".encode()
            case Goodbye(code=code):
                return f"goodbye {code}\n".encode()
        return b""

    def tell(self, event: Event | Aside) -> bytes:
        if isinstance(event, Asked):
            self._is_own = event.command is not None
        if isinstance(event, Message) and self._is_own:
            return b""
        return super().tell(event)

    def finish(self) -> Iterable[Said]:
        return [Raw(b"no more from you\n")]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    listeners = [Listener("toy", Toy, "127.0.0.1", 0)]
    main = Recognizer
    with ChatServer(dialect=lambda: main({"irc": Toy}), listeners=listeners) as server:
        yield server


def port_of(server: ChatServer, name: str) -> int:
    [address] = server.listening(name)
    return int(address.rpartition(":")[2])


def toy(server: ChatServer, name: str) -> LineClient:
    client = LineClient(port_of(server, "toy"))
    assert client.line() == b"hello from chat\n"
    client.send(f"{name}\n".encode())
    return client


def test_each_port_has_its_dialect_and_all_are_in_one_room(server: ChatServer) -> None:
    with LineClient(server.port).join("ann") as ann, toy(server, "bob") as bob:
        assert ann.read_until("join")["username"] == "bob"
        ann.say("message", content="hi bob")
        assert bob.line() == b"ann: hi bob\n"
        bob.send(b"hi ann\n")
        assert ann.read_until("message", username="bob")["content"] == "hi ann"
    assert server.addresses == [f"127.0.0.1:{server.port}"], "the main one only"


def test_own_words_are_not_repeated_and_everybody_elses_come(
    server: ChatServer,
) -> None:
    with toy(server, "ann") as ann:
        ann.send(b"?\n")
        assert ann.line() == b"42\n"
        with toy(server, "bob") as bob:
            assert ann.line() == b"bob is here\n"
            ann.send(b"one\n")
            assert bob.line() == b"ann: one\n"
            bob.send(b"two\n?\n")
            assert bob.line() == b"42\n", "not its own line"
            assert ann.line() == b"bob: two\n", "and not `one`"


def test_a_word_of_the_dialect_comes_after_what_was_asked_before(
    server: ChatServer,
) -> None:
    with toy(server, "ann") as ann:
        ann.send(b"!\n" * 3 + b"?\n")
        assert ann.line() == b"42\n"
        with LineClient(server.port).join("bob") as bob:
            bob.say("history")
            page = bob.read_until("history")
            assert [each["content"] for each in page["messages"]] == ["!"] * 3


def test_the_end_of_input_and_the_last_words_are_the_dialects(
    server: ChatServer,
) -> None:
    with toy(server, "ann") as ann:
        ann.sock.shutdown(socket.SHUT_WR)
        assert ann.line() == b"no more from you\n"
        assert ann.line() == b""
    with toy(server, "bob") as bob:
        bob.send(b".\n")
        assert bob.line() == b""
    with toy(server, "cy") as cy:
        wait_until(lambda: "cy" in server.users)
        server.stop()
        assert cy.line() == b"goodbye server_closing\n"


@pytest.mark.parametrize("cuts", [[], [1], [2, 3], [4], [1, 2, 3, 4, 5, 6]])
def test_the_main_port_recognises_a_language_however_it_is_cut(
    server: ChatServer, cuts: list[int]
) -> None:
    data, edges = b"NICK \nhello\n", [0, *cuts, 12]
    with LineClient(server.port) as client:
        for start, end in zip(edges, edges[1:]):
            client.send(data[start:end])
        assert client.line() == b"hello from chat\n"
        assert client.line().startswith(b"error"), "`NICK ` is no name"


def test_json_and_nonsense_are_taken_for_json(server: ChatServer) -> None:
    for first in (b"\xef\xbb\xbf", b"\r\n\n", b"  ", b""):
        with LineClient(server.port) as client:
            client.send(first + b'{"type":"ping"}\n')
            assert client.read() == {"type": "pong"}
    with LineClient(server.port) as client:
        client.send(b"NIC")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.read()["code"] == "bad_json"
    with LineClient(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.line() == b"HTTP/1.1 400 This is a chat server\r\n"


def test_who_says_nothing_in_a_language_without_a_ping_stays() -> None:
    class Silent(Toy):
        def ping(self) -> bytes:
            return b""

    limits = Limits(ping_after=0.5, ping_timeout=0.5)  # time enough for a join
    listeners = [Listener("toy", Silent, "127.0.0.1", 0)]
    with ChatServer(limits=limits, listeners=listeners) as server:
        with toy(server, "ann") as ann, LineClient(server.port) as bob:
            bob.say("join", username="bob")
            assert bob.read_until("goodbye")["code"] == "idle"
            ann.send(b"?\n")
            assert ann.line() == b"bob is here\n" and ann.line() == b"42\n"
            [stream] = server.engine.connections.values()
            keepalive = stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert keepalive == 1


def test_pieces_come_one_at_a_time() -> None:
    class Slow(Toy):
        pause = 0.02

    listeners = [Listener("toy", Slow, "127.0.0.1", 0)]
    with ChatServer(limits=Limits(flood_burst=0), listeners=listeners) as server:
        with toy(server, "ann") as ann, LineClient(server.port).join("bob") as bob:
            assert ann.line() == b"bob is here\n"
            pieces: list[bytes] = []
            for number in range(5):
                bob.say("message", content=f"{number}")
            while sum(map(len, pieces)) < 5 * len(b"bob: 0\n"):
                pieces.append(ann.sock.recv(1000))
            assert len(pieces) > 1, "a busy machine may glue some"
            assert b"".join(pieces) == b"".join(b"bob: %d\n" % n for n in range(5))


def test_too_many_pieces_are_too_much() -> None:
    class Slow(Toy):
        pause = 5.0

    listeners = [Listener("toy", Slow, "127.0.0.1", 0)]
    with ChatServer(limits=Limits(flood_burst=0), listeners=listeners) as server:
        with toy(server, "ann") as ann, LineClient(server.port).join("bob") as bob:
            wait_until(lambda: "ann" in server.users)
            for number in range(300):
                bob.say("message", content=f"{number}")
            text = b""
            while data := ann.sock.recv(65_536):
                text += data
            assert text.endswith(b"goodbye slow_consumer\n")


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = ChatServer(listeners=[Listener("toy", Toy, "127.0.0.1", port)])
        with pytest.raises(OSError) as refused:
            server.start()
        assert refused.value.filename == f"127.0.0.1:{port}"
        assert not server.running and server.addresses == []


def test_a_failing_dialect_costs_its_own_connection(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    with LineClient(server.port).join("ann") as ann:
        with toy(server, "bob") as bob:
            ann.read_until("join")
            bob.send(b"\xff\n")
            assert bob.line() == b""
        ann.say("ping")
        assert ann.read_until("pong") == {"type": "pong"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("toy=6667", ("127.0.0.1", 6667)),
        ("toy=0.0.0.0:23", ("0.0.0.0", 23)),
        ("toy=[::1]:0", ("::1", 0)),
        ("toy=::1:8001", ("::1", 8001)),
        ("toy=[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("toy=:7", ("", 7)),
    ],
)
def test_a_listener_is_read(text: str, where: tuple[str, int]) -> None:
    assert parse_listener(text, {"toy": Toy}, "127.0.0.1")[2:] == where


@pytest.mark.parametrize("text", ["", "toy", "toy=", "toy=x", "no=1", "toy=65536", "toy=-1", "toy=1:2:x", "toy=²"])  # fmt: skip
def test_a_wrong_listener_is_one_clear_line(text: str) -> None:
    with pytest.raises(ValueError, match="^listen: [^\n]*$"):
        parse_listener(text, {"toy": Toy}, "127.0.0.1")


def test_the_recognizer_hands_over_every_byte() -> None:
    data = b"\r\n nick ann\r\nUSER x\r\n"
    for cut in range(len(data) + 1):
        recognizer, said = Recognizer({"irc": Toy}), b""
        for part in (data[:cut], data[cut:]):
            if said:
                said += part
            for each in recognizer.receive(part) if not said else ():
                assert isinstance(each, Switch) and isinstance(each.dialect, Toy)
                said = each.data
        assert said == data.lstrip()
    [last] = Recognizer({}).finish()
    assert isinstance(last.dialect, JSONLines) and last.data == b"\n"
    assert language_of(b"PASSWORD x") == "json" and language_of(b"pass x") == "irc"
