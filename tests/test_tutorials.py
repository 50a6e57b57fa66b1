"""The clients of three tutorials, written from their descriptions with `socket` and `threading` alone."""

import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from dialogues import Dialogue, in_pieces, pieces
from helpers import LineClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sockets import reset
from waiting import LIMIT, wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Speaker
from python_tcp.languages import listeners_for
from python_tcp.protocol import JSONLines, Limits, Message, decode_event
from python_tcp.tutorials import JSONObjects, connect_chat, nick_chat, tilde_bytes
from python_tcp.tutorials import tilde_chat

ANN, BOB = 1, 2


class TutorialClient:
    """A thread that reads, as in all of these tutorials; an exception in it ends the client."""

    def __init__(self, port: int, name: str) -> None:
        self.name, self.shown, self.died = name, [], None
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.begin()
        self.thread.start()

    def begin(self) -> None:
        pass

    def _read(self) -> None:
        try:
            while data := self.sock.recv(1024):
                self.heard(data)
        except OSError:
            pass
        except Exception as error:  # as its window would have closed
            self.died = error

    def heard(self, data: bytes) -> None:
        raise NotImplementedError

    def say(self, text: str) -> None:
        self.sock.send(text.encode())

    def shows(self, text: str) -> object:
        return wait_until(lambda: self.died or any(text in each for each in self.shown))

    def __enter__(self) -> "TutorialClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # the server has closed it
            pass
        self.thread.join(LIMIT)
        self.sock.close()
        assert self.died is None


class Nick(TutorialClient):
    def heard(self, data: bytes) -> None:
        message = data.decode("ascii")
        if message == "NICK":
            self.sock.send(self.name.encode("ascii"))
        else:
            self.shown.append(message)

    def say(self, text: str) -> None:
        self.sock.send(f"{self.name}: {text}".encode("ascii"))


class Tilde(TutorialClient):
    def begin(self) -> None:
        self.sock.send(self.name.encode())

    def heard(self, data: bytes) -> None:
        parts = data.decode().split("~")
        self.shown.append(f"{parts[0]}: {parts[1]}")


class Connect(TutorialClient):
    def begin(self) -> None:
        self.rest = ""
        payload = {"name": self.name, "room": "lobby"}
        self.sock.send(json.dumps({"type": "connect", "payload": payload}).encode())

    def heard(self, data: bytes) -> None:
        self.rest += data.decode()
        while self.rest:
            try:
                found, end = json.JSONDecoder().raw_decode(self.rest)
            except ValueError:
                return
            self.rest = self.rest[end:]
            payload = found["payload"]
            if found["type"] == "message":
                self.shown.append(f"{payload['sender']}: {payload['text']}")
            else:
                self.shown.append(payload["message"])

    def say(self, text: str) -> None:
        message = {"type": "message", "payload": {"sender": "eve", "room": "x", "text": text}}  # fmt: skip
        self.sock.send(json.dumps(message).encode())


KINDS = {"nick": Nick, "tilde": Tilde, "connect": Connect}


@pytest.fixture
def server() -> Iterator[ChatServer]:
    listeners = listeners_for([f"{name}=0" for name in KINDS], "127.0.0.1")
    with ChatServer(listeners=listeners, limits=Limits(flood_burst=0)) as server:
        yield server


def client(server: ChatServer, kind: str, name: str) -> TutorialClient:
    port = int(server.listening(kind)[0].rpartition(":")[2])
    made = KINDS[kind](port, name)
    wait_until(lambda: name in server.users)
    return made


@pytest.mark.parametrize(
    ("kind", "hello", "joined", "left"),
    [
        ("nick", "Connected to server!", "bob joined!", "bob left!"),
        ("tilde", "SERVER: ann added to the chat", "SERVER: bob added to the chat", "SERVER: bob left the chat"),
        ("connect", "Welcome to lobby, ann", "bob joined the chat", "bob left the chat"),
    ],
)  # fmt: skip
def test_a_client_of_a_tutorial_chats(
    server: ChatServer, kind: str, hello: str, joined: str, left: str
) -> None:
    with client(server, kind, "ann") as ann:
        ann.shows(hello)
        with LineClient(server.port).join("bob") as bob:
            ann.shows(joined)
            bob.say("message", content="hi ann")
            ann.shows("bob: hi ann")
            ann.say("hi bob")
            heard = bob.read_until("message", username="ann")
            assert heard["content"] == "hi bob" and heard["room"] == "lobby"
            bob.say("whisper", to="ann", content="psst")
            ann.shows("whispers")
            bob.say("status", status="away")
            ann.shows("bob is away")
            bob.say("leave")
            ann.shows(left)
        assert not any("hi bob" in each for each in ann.shown), "not its own words"


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_a_kind_and_the_rude_end(server: ChatServer, kind: str) -> None:
    with client(server, kind, "ann") as ann, client(server, kind, "bob") as bob:
        ann.shows("bob")
        bob.say("from bob")
        ann.shows("bob: from bob")
        ann.say("from ann")
        bob.shows("ann: from ann")
        cy = client(server, kind, "cy")
        ann.shows("cy")
        cy.sock.shutdown(socket.SHUT_RD)  # its thread has the socket, too
        cy.thread.join(LIMIT)
        reset(cy.sock)
        wait_until(lambda: "cy" not in server.users)
        ann.shows("cy left")


HOSTILE = [
    "NICK", "xNICK", "NICK\nNICK", "~", "~~~", "a~b~c", "SERVER~eve added to the chat", "", "\n", "}{", '{"type":', "naïve ☃ 😀",
    "x" * 1023 + "NICK", "x" * 1020 + "NICK", "~" * 3000, "ü" * 3000, '{"type":"message","payload":{"sender":"ann","text":"x"}}',
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_others_say_breaks_no_client(server: ChatServer, kind: str) -> None:
    with client(server, kind, "ann") as ann, LineClient(server.port).join("bob") as bob:
        for text in HOSTILE:
            if text:
                bob.say("message", content=text)
        bob.say("message", content="the end")
        ann.shows("the end")
        ann.say("still here")
        assert bob.read_until("message", username="ann")["content"] == "still here"
        names = [event for event in ann.shown if event.startswith("ann: ")]
        assert names == [], "it was not made to say its name"


def test_a_name_that_looks_like_the_word_does_no_harm(server: ChatServer) -> None:
    with client(server, "nick", "ann") as ann:
        with LineClient(server.port).join("NICK") as bob:
            ann.shows("Nick joined!")
            bob.say("message", content="hi")
            ann.shows("Nick: hi")


@pytest.mark.parametrize("kind", ["nick", "tilde"])
def test_a_name_that_is_taken_or_wrong_is_told_and_the_connection_ends(
    server: ChatServer, kind: str
) -> None:
    with LineClient(server.port).join("ann"):
        port = int(server.listening(kind)[0].rpartition(":")[2])
        for name, why in (("ann", "ann is taken"), ("two words", "1 to 32 letters")):
            with KINDS[kind](port, name) as second:
                second.shows(why)
                second.thread.join(LIMIT)
                assert not second.thread.is_alive()


# --- objects without frames ---------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
documents = st.dictionaries(st.text(max_size=5), values, max_size=4)


@pytest.mark.slow
@given(st.lists(documents, max_size=5), st.lists(st.integers(0), max_size=8), st.booleans())  # fmt: skip
def test_objects_are_found_however_they_are_glued_and_cut(
    objects: list[dict], cuts: list[int], ascii: bool
) -> None:
    data = b"".join(json.dumps(each, ensure_ascii=ascii).encode() for each in objects)
    cutter, found = JSONObjects(), []
    for piece in pieces(data, cuts):
        found += cutter.feed(piece)
    assert [json.loads(each) for each in found] == objects


@given(st.binary(max_size=200), st.lists(st.integers(0), max_size=8))
def test_nonsense_is_cut_the_same_wherever_it_comes_in_pieces(
    data: bytes, cuts: list[int]
) -> None:
    whole, parts = JSONObjects(), JSONObjects()
    found = [each for piece in pieces(data, cuts) for each in parts.feed(piece)]
    assert found == list(whole.feed(data))


def test_what_never_ends_is_dropped_and_the_next_one_is_found() -> None:
    objects = JSONObjects(100)
    assert list(objects.feed(b'{"a": "' + b"x" * 200)) == [None]
    assert list(objects.feed(b'{"b": 1}')) == [b'{"b": 1}']
    assert list(objects.feed(b'}}{"c": 1}')) == [None, None, b'{"c": 1}']


CONVERSATION = (
    b'{"type":"connect","payload":{"name":"ann","room":"lobby"}}'
    b'{"type":"message","payload":{"text":"gr\\u00fc\xc3\x9fe }{"}} \n{"type":"nonsense","payload":{}}'
    b'{"payload":1}{"type":"message","payload":{"text":7}}{}'
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=10))
def test_every_split_of_a_conversation_gives_the_same(cuts: list[int]) -> None:
    said = [in_pieces(connect_chat(), CONVERSATION, where) for where in ([], cuts)]
    assert said[0] == said[1] and said[0][0].count(b"not understood") == 3


nasty = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass")),
    st.sampled_from([b"ann", b"~", b"NICK", b'{"type":"connect","payload":{"name":"ann","room":"x"}}', b'{"type":"message","payload":{"text":"\\u0000"}}', b"{" * 500, b'{"type":"message","payload":[]}']),
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@pytest.mark.parametrize("dialect", [nick_chat, tilde_chat, connect_chat])
@given(st.lists(nasty, max_size=6))
def test_whatever_comes_reaches_nobody_as_more_than_text(
    dialect: Callable[[], Speaker], data: list[bytes]
) -> None:
    talk = Dialogue(bad_lines=1000)
    talk.come(BOB, JSONLines())
    talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
    others = {3: nick_chat(), 4: tilde_chat()}
    for client, other in others.items():
        talk.come(client, other)
        talk.receive(client, f"u{client}".encode())
    talk.come(ANN, dialect())
    for each in data:
        if each:
            talk.receive(ANN, each)
    talk.finish(ANN)
    for _ in range(60):
        talk.loop.tick(1.0)
    for line in talk.text(BOB).splitlines():
        assert decode_event(line) is not None
    for piece in talk.server.sent.get(3, []):
        assert piece.isascii() and (b"NICK" not in piece or piece == b"NICK")
    for piece in talk.server.sent.get(4, []):
        assert piece.count(b"~") == 1 and len(piece) <= 1024


@pytest.mark.parametrize("text", [text for text in HOSTILE if text])
def test_every_piece_for_a_tilde_client_has_one_mark_and_fits(text: str) -> None:
    piece = tilde_bytes(Message("lobby", 1, "bob", text, 0.0))
    assert piece.count(b"~") == 1 and len(piece) <= 1024
    assert piece.startswith(b"bob~") and len(piece) > 4 and b"\n" not in piece
