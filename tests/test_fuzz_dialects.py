"""The fuzzer of the JSON protocol, for every dialect: whatever comes, nothing fails, nobody else notices, and how it was cut does not matter."""

import json
import logging
import re

import pytest
from dialogues import Dialogue, pieces
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_fuzz import CHANGES, changed, INTERESTING, VALID, is_clean

from python_tcp.languages import DIALECTS
from python_tcp.protocol import JSONLines, decode_event

pytestmark = pytest.mark.slow

MALLORY, BOB, HONEST, FRIEND, FIRST = 1, 2, 3, 4, 10
HOME = "where-the-honest-are"

IRC = """CAP LS 302|CAP REQ :server-time batch echo-message|CAP REQ :account-notify extended-join sasl|CAP REQ -batch|CAP END
NICK mallory|NICK eve|USER m 0 * :M|PASS some-password|AUTHENTICATE PLAIN|AUTHENTICATE AG1hbGxvcnkAcGFzc3dvcmQ=|JOIN #dev|JOIN #dev,#x key
JOIN 0|PART #dev :bye|PRIVMSG #lobby :hi all|PRIVMSG bob :psst|PRIVMSG #lobby :\x01ACTION waves\x01|NOTICE #lobby :grüße|NAMES|NAMES #lobby
LIST|WHO #lobby|WHO bob|WHOIS bob|TOPIC #lobby|TOPIC #lobby :tea|MODE #lobby|MODE #lobby +b|MODE #lobby +k secret|MODE mallory +i|AWAY :lunch|AWAY
ISON bob eve|USERHOST bob|PING :1|PONG :1|MOTD|LUSERS|VERSION|KICK #lobby bob|INVITE bob #lobby|@a=b :x PRIVMSG #lobby :tags|QUIT :bye"""
LINES = """mallory|eve|hello|/me waves|/w bob psst|/reply yes|/join dev|/leave|/room lobby|/users|/rooms|/history 3|/away lunch|/back|/help|/topic tea
/kick bob|/nonsense|//slash|grüße|\x1b[A|a\x7fb|/quit"""
CONNECT = [
    {"type": "connect", "payload": {"name": "mallory", "room": "lobby"}},
    {"type": "connect", "payload": {"name": "eve"}},
    {"type": "message", "payload": {"text": "hi"}},
    {"type": "message", "payload": {"text": "x~\u202e", "sender": "bob", "room": "dev"}},
    {"type": "notification", "payload": {"message": "no"}}, {"type": 1, "payload": []}, {},
]  # fmt: skip
IAC = [b"\xff\xfd\x03", b"\xff\xfb\x18", b"\xff\xfa\x18\0x\xff\xf0", b"\xff\xff", b"\xff\xf6", b"\r\0"]  # fmt: skip


def lines(text: str) -> list[bytes]:
    return [line.encode() + b"\r\n" for line in re.split(r"[|\n]", text)]


CORPUS: dict[str, list[bytes]] = {
    "json": [line + b"\n" for line in VALID],
    "irc": lines(IRC),
    "lines": [*lines(LINES), *IAC],
    "budget": [*lines(LINES), *IAC],
    "nick": [b"mallory", b"eve", b"mallory: hi", b"NICK", b"\xff"],
    "tilde": [b"mallory", b"eve", b"hi~there", b"~", b"\xff"],
    "connect": [json.dumps(each).encode() for each in CONNECT],
}
STEERING = [
    b"\x1b[2J",
    b"\r",
    b"\n",
    b"\x01",
    "\u202e".encode(),
    b"\x9b",
    b"~",
    b"\xff",
]


def come_in(name: str, who: str) -> bytes:
    """The first words of somebody in this dialect."""
    first = {
        "json": f'{{"type":"join","username":"{who}"}}\n',
        "irc": f"NICK {who}\r\nUSER x 0 * :x\r\n",
        "connect": f'{{"type":"connect","payload":{{"name":"{who}"}}}}',
    }
    return first.get(name, who if name in READS else f"{who}\n").encode()


READS = {"nick", "tilde"}  # each read is a message: how it is cut is what it means


def test_every_dialect_has_a_corpus() -> None:
    assert CORPUS.keys() == DIALECTS.keys()


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """Something valid, with a few changes."""
    valid, put_in = draw(st.sampled_from(CORPUS[name])), STEERING
    if name == "json":
        put_in = INTERESTING
    return changed(valid, draw(st.lists(CHANGES, max_size=2)), put_in)


def said(name: str) -> st.SearchStrategy[list[bytes]]:
    """What a client sends: mostly it comes in first."""
    one = mutated(name) | st.sampled_from(CORPUS[name]) | st.binary(max_size=30)
    first = st.sampled_from([[], *[[come_in(name, "mallory")]] * 3])
    return st.builds(lambda a, b: a + b, first, st.lists(one, min_size=1, max_size=6))


def crowd() -> Dialogue:
    """Two who are at home, Bob with JSON in the lobby, and there one of each dialect."""
    talk = Dialogue(bad_lines=10**6)
    for client, who, room in ((HONEST, "h1", HOME), (FRIEND, "h2", HOME), (BOB, "bob", "lobby")):  # fmt: skip
        talk.come(client, JSONLines())
        command = {"type": "join", "username": who, "room": room}
        talk.receive(client, json.dumps(command).encode() + b"\n")
    for number, name in enumerate(DIALECTS):
        client, who = FIRST + number, f"reader{number}"
        talk.come(client, DIALECTS[name]())
        talk.receive(client, come_in(name, who))
    wait(talk)
    talk.forget()
    return talk


def wait(talk: Dialogue) -> None:
    """Until the pieces that wait are sent."""
    for _ in range(20):
        talk.loop.tick(0.06)


def good(name: str, data: bytes) -> bool:
    """Could a client that speaks this have been sent it?"""
    match name:
        case "json":
            return all(decode_event(line) and is_clean(json.loads(line)) for line in data.splitlines())  # fmt: skip
        case "irc":
            line = rb"(@\S+ )?(:\S+ )?([A-Z]+|\d{3})( [^\r\n\0]*)?\r\n"
            return re.fullmatch(rb"(%s)*" % line, data) is not None
        case "lines" | "budget":
            end = b"\r\n" if name == "lines" else b"\n"
            steers = re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n]", data)
            return data == b"" or data.endswith(end) and not steers
        case "nick" | "tilde":
            return data.isascii() or name == "tilde"
    decoder, text = json.JSONDecoder(), data.decode()
    while text:
        found, end = decoder.raw_decode(text)
        text = text[end:]
        if found.keys() != {"type", "payload"}:
            return False
    return True


SETTINGS = settings(max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_whatever_comes_nothing_fails_and_nobody_else_notices(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    @SETTINGS
    @given(said(name), st.booleans())
    def fuzz(data: list[bytes], finishes: bool) -> None:
        talk = crowd()
        talk.come(MALLORY, DIALECTS[name]())
        for each in data:
            talk.receive(MALLORY, each)
        if finishes:
            talk.finish(MALLORY)
            assert MALLORY not in talk.sender.connections
        wait(talk)
        assert talk.text(HONEST) == talk.text(FRIEND) == b"", "nothing for them"
        for number, kind in enumerate(DIALECTS):
            for sent in talk.server.sent[FIRST + number]:
                if kind == "tilde":
                    assert sent.count(b"~") == 1
                if kind == "nick":
                    assert sent != b"NICK"
            assert good(kind, talk.text(FIRST + number)), (kind, talk.text(FIRST + number))  # fmt: skip
        talk.forget()
        talk.receive(BOB, b'{"type":"ping","id":1}\n')
        assert talk.text(BOB) == b'{"type":"pong","id":1}\n', "the server goes on"

    fuzz()
    assert not caplog.records


TIMES = re.compile(rb'"(timestamp|epoch|token)":("[^"]*"|[^,}]*)|time=[-0-9T:.Z]+|\d\d:\d\d')  # fmt: skip


@pytest.mark.parametrize("name", sorted(DIALECTS.keys() - READS))
def test_however_it_is_cut_it_means_the_same(name: str) -> None:
    tags_late = [b"PRIVMSG mallory :x\r\n", b"CAP REQ :server-time\r\n"]

    @SETTINGS
    @given(said(name), st.lists(st.integers(0, 400), max_size=6))
    @example([come_in(name, "mallory"), *tags_late, tags_late[0]], [60, 80])
    def fuzz(data: list[bytes], cuts: list[int]) -> None:
        heard = []
        for where in ([], cuts):
            talk = Dialogue(bad_lines=10**6)
            talk.come(BOB, JSONLines())
            talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
            talk.come(MALLORY, DIALECTS[name]())
            for piece in pieces(b"".join(data), where):
                talk.receive(MALLORY, piece)
            talk.finish(MALLORY)
            wait(talk)
            heard.append([TIMES.sub(b"", talk.text(each)) for each in (MALLORY, BOB)])
        assert heard[0] == heard[1]

    fuzz()
