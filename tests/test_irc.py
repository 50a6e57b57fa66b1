"""IRC: by the bytes, by an independent library, and by two real clients."""

import base64
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogues import Dialogue, in_pieces
from helpers import LineClient
from hypothesis import given, settings
from hypothesis import strategies as st
from screen import Terminal
from sockets import reset
from waiting import LIMIT, wait_until

from python_tcp.accounts import Accounts
from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Listener, Recognizer
from python_tcp.events import AccountChanged
from python_tcp.irc import EXTENSIONS, IRC
from python_tcp.irc_text import IRCLine, encoder_for, irc_line, parse_irc, said_by
from python_tcp.irc_text import said_to, split_text
from python_tcp.lines import Lines
from python_tcp.members import Account
from python_tcp.moderation import Moderation
from python_tcp.protocol import JSONLines, Limits, Message, decode_event

ANN, BOB, CY, DAN, OP = 1, 2, 3, 4, 5


# --- the text ------------------------------------------------------------------------------------------------------

PARSED = {  # among them those of github.com/ircdocs/parser-tests, in our own words
    "foo bar baz asdf": IRCLine("FOO", ["bar", "baz", "asdf"]),
    ":coolguy foo bar baz :asdf quux": IRCLine("FOO", ["bar", "baz", "asdf quux"]),
    "foo bar baz :": IRCLine("FOO", ["bar", "baz", ""]),
    "foo bar baz ::asdf": IRCLine("FOO", ["bar", "baz", ":asdf"]),
    "@a=b;c=32;k;rt=ql7 foo": IRCLine("FOO", []),
    "@time=x :src  foo   bar  :a  b ": IRCLine("FOO", ["bar", "a  b"]),
    ":src JOIN #chan": IRCLine("JOIN", ["#chan"]),
    ":src 001 x": IRCLine("001", ["x"]),
    "MODE #chan +o :bob": IRCLine("MODE", ["#chan", "+o", "bob"]),
    "x " + " ".join("abcdefghijklmno"): IRCLine("X", [*"abcdefghijklmn", "o"]),
    "x " + " ".join("abcdefghijklmnopq"): IRCLine("X", [*"abcdefghijklmn", "o p q"]),
}


@pytest.mark.parametrize(("line", "parsed"), PARSED.items())
def test_a_line_is_parsed(line: str, parsed: IRCLine) -> None:
    assert parse_irc(line) == parsed


@pytest.mark.parametrize("line", ["", "   ", ":", ":only", "@tag", "@tag :src", "123", "12 x", "fo1 x", "\x01"][:6])  # fmt: skip
def test_what_has_no_command_is_nothing(line: str) -> None:
    assert parse_irc(line) is None


def test_a_long_run_of_anything_is_parsed_in_no_time() -> None:
    start = time.process_time()
    for text in ("@" * 9000, ":" + " " * 9000, "@a " * 3000, " " * 9000 + "x", "a " * 4500):  # fmt: skip
        parse_irc(text)
    assert time.process_time() - start < 5.0


@given(st.text(max_size=300), st.integers(4, 60))
def test_a_text_is_split_into_pieces_that_fit_and_nothing_is_lost(
    text: str, size: int
) -> None:
    text = text.encode(errors="ignore").decode()
    split = split_text(text, size)
    assert all(0 < len(piece.encode()) <= size for piece in split)
    assert "".join(split).replace(" ", "") == text.replace("\n", "").replace(" ", "")


@given(st.text(), st.text(), st.text())
def test_a_line_is_one_line_whatever_is_in_it(one: str, two: str, three: str) -> None:
    line = irc_line("PRIVMSG", one, two, source=three)
    assert line.endswith(b"\r\n") and b"\r" not in line[:-2] and b"\n" not in line[:-2]
    assert b"\0" not in line


def test_actions_go_both_ways_and_looks_are_taken_away() -> None:
    assert said_by("\x01ACTION waves\x01") == "/me waves"
    assert said_by("\x01action waves") == "/me waves"
    assert said_to("/me waves", 100) == ["\x01ACTION waves\x01"]
    assert said_by("\x01VERSION\x01") is None and said_by("\x01DCC SEND x\x01") is None
    assert said_by("\x02b\x0304,12c\x03\x1di\x0f\x04ff0000x\x16\x1e\x1f\x11") == "bcix"
    for content in ("/me " + "ü" * 2000, "a b " * 900):
        texts = said_to(content, 100)
        assert all(len(text.encode()) <= 100 for text in texts)


def test_an_encoder_is_the_same_object_for_the_same_extensions() -> None:
    one = encoder_for(frozenset({"server-time", "batch"}))
    assert one is encoder_for(frozenset(["batch", "server-time"]))
    assert one is not encoder_for(frozenset())


# --- a conversation, without a network ------------------------------------------------------------------------------


def come(talk: Dialogue, client: int, nick: str, *first: str) -> None:
    talk.come(client, IRC())
    lines = [*first, f"NICK {nick}", f"USER {nick} 0 * :{nick}"]
    talk.receive(client, "".join(f"{line}\r\n" for line in lines).encode())


@pytest.fixture
def talk() -> Dialogue:
    """Ann has IRC, Bob has JSON, and Cy has IRC with all extensions."""
    talk = Dialogue()
    come(talk, ANN, "ann")
    talk.come(BOB, JSONLines())
    talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
    come(talk, CY, "cy", "CAP REQ :" + " ".join(EXTENSIONS), "CAP END")
    talk.forget()
    return talk


class Moderated(Dialogue):
    """With accounts and moderation. Nobody hashes a password, so each is its own hash."""

    def __init__(self, **limits: float) -> None:
        super().__init__(**limits)
        accounts = Accounts(self.rooms)
        accounts.load(
            [Account("ann", "correct-horse"), Account("op", "boss-of-all", "operator")]
        )
        Moderation(self.rooms, accounts)


@pytest.fixture
def moderated() -> Moderated:
    """An operator, Bob and Cy, all with IRC; Cy has all extensions."""
    talk = Moderated()
    come(talk, OP, "op", "PASS boss-of-all")
    come(talk, BOB, "bob")
    come(talk, CY, "cy", "CAP REQ :" + " ".join(EXTENSIONS), "CAP END")
    talk.forget()
    return talk


def ask(talk: Dialogue, *lines: str, client: int = ANN) -> list[str]:
    """What a client hears that says this."""
    talk.forget()
    talk.receive(client, "".join(f"{line}\r\n" for line in lines).encode())
    return heard(talk, client)


def heard(talk: Dialogue, client: int) -> list[str]:
    text = talk.text(client).decode()
    assert text == "" or text.endswith("\r\n")
    return text.split("\r\n")[:-1]


def untimed(lines: list[str]) -> list[str]:
    return [re.sub(r"time=[-0-9T:.Z]+", "time", line) for line in lines]


def test_a_client_comes_in() -> None:
    talk = Dialogue()
    come(talk, ANN, "Ann")
    lines = heard(talk, ANN)
    numbers = [line.split()[1] for line in lines]
    assert numbers == ["001", "002", "003", "004", "005", "251", "254", "255", "375", "372", "376", "JOIN", "353", "366"]  # fmt: skip
    assert all(line.split()[2] == "Ann" for line in lines if line.split()[1].isdigit())
    assert lines[-3:] == [
        ":Ann!Ann@chat JOIN #lobby",
        ":chat 353 Ann = #lobby :Ann",
        ":chat 366 Ann #lobby :End of /NAMES list",
    ]
    assert all(len(line.encode()) <= 510 for line in lines)


@pytest.mark.parametrize("order", [("USER ann 0 * :A", "NICK ann"), ("PASS x", "NICK ann", "USER a 0 * :A"), ("nick ann", "user a 0 * A")])  # fmt: skip
def test_in_any_order(order: tuple[str, ...]) -> None:
    talk = Dialogue()
    talk.come(ANN, IRC())
    assert any(" 001 ann :" in line for line in ask(talk, *order))


def test_a_name_that_is_taken_or_wrong_and_another_try(talk: Dialogue) -> None:
    talk.come(DAN, IRC())
    assert ask(talk, "NICK bob", "USER dan 0 * :Dan", client=DAN) == [":chat 433 * bob :Nickname is already in use"]  # fmt: skip
    assert ask(talk, "NICK", client=DAN) == [":chat 431 * :No nickname given"]
    assert ask(talk, "NICK d[a]n", client=DAN) == [":chat 432 * d[a]n :Erroneous nickname"]  # fmt: skip
    assert ask(talk, "JOIN #x", client=DAN) == [":chat 451 * :You have not registered"]
    assert ask(talk, "PING 1", client=DAN) == [":chat PONG chat :1"]
    assert " 001 dan :" in ask(talk, "NICK dan", client=DAN)[0]


def test_extensions_are_negotiated() -> None:
    talk = Dialogue()
    talk.come(ANN, IRC())
    names = " ".join(sorted(EXTENSIONS)).replace("sasl", "sasl=PLAIN")
    assert ask(talk, "CAP LS 302", "NICK ann", "USER ann 0 * :Ann") == [f":chat CAP * LS :{names}"]  # fmt: skip
    assert ask(talk, "CAP REQ :batch nonsense") == [":chat CAP * NAK :batch nonsense"]
    assert ask(talk, "CAP REQ :batch server-time") == [":chat CAP * ACK :batch server-time"]  # fmt: skip
    assert ask(talk, "CAP LIST") == [":chat CAP * LIST :batch server-time"]
    assert ask(talk, "CAP NONSENSE") == [":chat 410 * NONSENSE :Invalid CAP command"]
    assert " 001 ann :" in ask(talk, "CAP END")[0]
    assert ask(talk, "CAP REQ -batch") == [":chat CAP ann ACK :-batch"]
    assert ask(talk, "CAP LIST") == [":chat CAP ann LIST :server-time"]


def test_extensions_hold_from_the_line_that_acknowledges_them(talk: Dialogue) -> None:
    echo, tags = "PRIVMSG ann :note", "CAP REQ :server-time"
    note = ":ann!ann@chat PRIVMSG ann :note"
    on, off = ":chat CAP ann ACK :server-time", ":chat CAP ann ACK :-server-time"
    said = ask(talk, echo, tags, echo, "CAP REQ :-server-time", echo)
    assert untimed(said) == [note, on, f"@time {note}", off, note]
    ask(talk, "JOIN #den", "PRIVMSG #den :one", client=CY)
    said = ask(talk, "JOIN #den", "CAP REQ :batch server-time")
    assert said[-3] == ":chat NOTICE #den :This was said before you came:"
    assert said[-2].endswith(" <cy> one") and " ACK " in said[-1]


def test_what_others_say_has_no_tags_before_the_acknowledgement(talk: Dialogue) -> None:
    """All of it comes in one tick."""
    talk.forget()
    parts = talk.handler, talk.sender.connections
    for client, data in (
        (BOB, b'{"type":"message","content":"one"}\n'),
        (ANN, b"PRIVMSG #lobby :mine\r\nCAP REQ :server-time echo-message\r\n"),
        (ANN, b"PRIVMSG #lobby :echo\r\nCAP LIST\r\n"),
        (BOB, b'{"type":"message","content":"two"}\n'),
    ):
        parts[0].receive(parts[1][client], bytes(bytearray(data)))
    talk.settle()
    assert untimed(heard(talk, ANN)) == [
        ":bob!bob@chat PRIVMSG #lobby :one",
        ":chat CAP ann ACK :server-time echo-message",
        "@time :ann!ann@chat PRIVMSG #lobby :echo",
        ":chat CAP ann LIST :echo-message server-time",
        "@time :bob!bob@chat PRIVMSG #lobby :two",
    ]
    mine = [line for line in untimed(heard(talk, CY)) if " :mine" in line]
    assert mine == ["@time :ann!ann@chat PRIVMSG #lobby :mine"]


def test_a_line_knows_that_the_line_before_has_left_a_room(talk: Dialogue) -> None:
    """Both come at once, and the answer to the first one is not there yet."""
    ask(talk, "JOIN #den", "PRIVMSG #den :one", client=CY)
    ask(talk, "JOIN #den")
    back = ask(talk, "PART #den", "TOPIC #den", "JOIN #den")
    assert back[:2] == [
        ":ann!ann@chat PART #den",
        ":chat 442 ann #den :You're not on that channel",
    ]
    assert back[-1].endswith(" <cy> one"), "the history, as when one comes"
    assert sorted(ask(talk, "JOIN 0", "JOIN 0")) == [
        ":ann!ann@chat PART #den",
        ":ann!ann@chat PART #lobby",
    ]


def test_who_could_not_leave_a_room_is_still_there() -> None:
    talk = Dialogue(flood_burst=8, flood_rate=0.001)
    come(talk, ANN, "ann")
    ask(talk, *["PRIVMSG #lobby :x"] * 10)
    [refused] = ask(talk, "PART #lobby")
    assert " 263 ann PART :too fast" in refused
    bucket = talk.sender.connections[ANN].bucket
    assert bucket is not None
    bucket.tokens = 8.0
    assert ask(talk, "JOIN 0") == [":ann!ann@chat PART #lobby"]


def test_everybody_hears_everybody_in_their_own_words(talk: Dialogue) -> None:
    assert ask(talk, "PRIVMSG #lobby :hello all") == [], "not its own words"
    [event] = [decode_event(line) for line in talk.text(BOB).splitlines()]
    assert isinstance(event, Message) and event.content == "hello all"
    assert untimed(heard(talk, CY)) == ["@time :ann!ann@chat PRIVMSG #lobby :hello all"]
    assert untimed(ask(talk, "PRIVMSG #lobby :x", client=CY)) == ["@time :cy!cy@chat PRIVMSG #lobby :x"]  # fmt: skip
    assert heard(talk, ANN) == [":cy!cy@chat PRIVMSG #lobby :x"]
    talk.forget()
    talk.receive(BOB, b'{"type":"message","content":"two\\nlines"}\n')
    assert heard(talk, ANN) == [":bob!bob@chat PRIVMSG #lobby :two", ":bob!bob@chat PRIVMSG #lobby :lines"]  # fmt: skip


def test_alone_in_a_room_nothing_is_echoed_either(talk: Dialogue) -> None:
    ask(talk, "JOIN #attic")
    assert ask(talk, "PRIVMSG #attic :hello?") == []
    ask(talk, "JOIN #cellar", client=CY)
    assert untimed(ask(talk, "PRIVMSG #cellar :hello?", client=CY)) == ["@time :cy!cy@chat PRIVMSG #cellar :hello?"]  # fmt: skip


def test_whispers(talk: Dialogue) -> None:
    assert ask(talk, "PRIVMSG bob :psst") == []
    [line] = talk.text(BOB).splitlines()
    assert b'"whisper"' in line and b"psst" in line
    talk.forget()
    talk.receive(BOB, b'{"type":"whisper","to":"ann","content":"yes?"}\n')
    assert heard(talk, ANN) == [":bob!bob@chat PRIVMSG ann :yes?"]
    assert untimed(ask(talk, "PRIVMSG ann :hi", client=CY)) == ["@time :cy!cy@chat PRIVMSG ann :hi"]  # fmt: skip
    assert heard(talk, ANN) == [":cy!cy@chat PRIVMSG ann :hi"]
    assert ask(talk, "PRIVMSG ann :note") == [":ann!ann@chat PRIVMSG ann :note"]
    assert ask(talk, "PRIVMSG bob,cy,#lobby :all") == []
    assert len(heard(talk, CY)) == 2


def test_coming_and_going(talk: Dialogue) -> None:
    assert ask(talk, "JOIN #Kitchen")[0] == ":ann!ann@chat JOIN #kitchen"
    ask(talk, "JOIN #kitchen", client=CY)
    assert heard(talk, ANN) == [":cy!cy@chat JOIN #kitchen"]
    assert ask(talk, "JOIN #kitchen") == [], "twice is no mistake"
    assert ask(talk, "PART #kitchen :bye") == [":ann!ann@chat PART #kitchen"]
    assert untimed(heard(talk, CY)) == ["@time :ann!ann@chat PART #kitchen"]
    assert ask(talk, "JOIN #a,#b,#c")[-1].endswith("#c :End of /NAMES list")
    left = ask(talk, "JOIN 0")
    assert sorted(line.split()[-1] for line in left) == ["#a", "#b", "#c", "#lobby"]
    assert ask(talk, "QUIT :so long") == ["ERROR :Closing link: Goodbye!"]
    assert ANN not in talk.sender.connections


def test_history_comes_as_the_client_can_show_it(talk: Dialogue) -> None:
    ask(talk, "JOIN #kitchen", "PRIVMSG #kitchen :one", "PRIVMSG #kitchen :two")
    batch = untimed(ask(talk, "JOIN #kitchen", client=CY))
    assert batch[0] == ":cy!cy@chat JOIN #kitchen * :cy"
    assert batch[-4:] == [
        ":chat BATCH +history chathistory :#kitchen",
        "@batch=history;time :ann!ann@chat PRIVMSG #kitchen :one",
        "@batch=history;time :ann!ann@chat PRIVMSG #kitchen :two",
        ":chat BATCH -history",
    ]
    come(talk, DAN, "dan")
    plain = ask(talk, "JOIN #kitchen", client=DAN)[-3:]
    assert plain[0] == ":chat NOTICE #kitchen :This was said before you came:"
    assert re.fullmatch(r":chat NOTICE #kitchen :\d\d:\d\d <ann> one", plain[1])


def test_who_is_away(talk: Dialogue) -> None:
    assert ask(talk, "AWAY :at lunch") == [":chat 306 ann :You have been marked as being away"]  # fmt: skip
    assert untimed(heard(talk, CY)) == ["@time :ann!ann@chat AWAY :at lunch"]
    assert b'"status":"at lunch"' in talk.text(BOB)
    assert [line.split()[8] for line in ask(talk, "WHO #lobby")[:-1]] == ["G", "H", "H"]
    assert ask(talk, "AWAY") == [":chat 305 ann :You are no longer marked as being away"]  # fmt: skip
    assert untimed(heard(talk, CY)) == ["@time :ann!ann@chat AWAY"]
    ask(talk, "AWAY x", client=CY)
    assert heard(talk, ANN) == [":chat NOTICE * :cy is away: x"]


ANSWERS: dict[str, list[str]] = {
    "NAMES #lobby": ["353 ann = #lobby :ann bob cy", "366 ann #lobby :End of /NAMES list"],
    "NAMES #attic": ["366 ann #attic :End of /NAMES list"],
    "NAMES": ["353 ann = #lobby :ann bob cy", "366 ann #lobby :End of /NAMES list"],
    "WHO #attic": ["315 ann #attic :End of WHO list"],
    "WHO bob": ["352 ann * bob chat chat bob H :0 bob", "315 ann bob :End of WHO list"],
    "WHO nobody": ["315 ann nobody :End of WHO list"],
    "WHOIS BOB": ["311 ann bob bob chat * :bob", "312 ann bob chat :a chat", "318 ann BOB :End of /WHOIS list"],
    "WHOIS": ["431 ann :No nickname given"],
    "WHOIS bob,nobody": ["311 ann bob bob chat * :bob", "312 ann bob chat :a chat", "401 ann nobody :No such nick/channel", "318 ann bob,nobody :End of /WHOIS list"],
    "WHOIS chat nobody": ["401 ann nobody :No such nick/channel", "318 ann nobody :End of /WHOIS list"],
    "LIST": ["321 ann Channel :Users  Name", "322 ann #lobby 3 :", "323 ann :End of /LIST"],
    "LIST #attic,#Lobby": ["321 ann Channel :Users  Name", "322 ann #lobby 3 :", "323 ann :End of /LIST"],
    "LIST #attic": ["321 ann Channel :Users  Name", "323 ann :End of /LIST"],
    "LIST >3": ["321 ann Channel :Users  Name", "322 ann #lobby 3 :", "323 ann :End of /LIST"],
    "ISON bob nobody :Cy x": ["303 ann :bob cy"],
    "USERHOST bob nobody": ["302 ann :bob=+bob@chat"],
    "TOPIC #lobby": ["331 ann #lobby :No topic is set"],
    "TOPIC #attic": ["442 ann #attic :You're not on that channel"],
    "MODE #lobby": ["324 ann #lobby :+n"],
    "MODE #lobby +k": ["696 ann #lobby k * :This can't be set so"],
    "MODE #lobby +n": ["696 ann #lobby n * :This can't be set so"],
    "MODE #lobby +m": ["472 ann m :is unknown mode char to me"],
    "MODE ann": ["221 ann :+i"],
    "MODE ann +i": ["221 ann :+i"],
    "MODE ann -i": ["501 ann :Unknown MODE flag"],
    "MODE ann +x": ["501 ann :Unknown MODE flag"],
    "MODE bob +i": ["502 ann :Can't change mode for other users"],
    "MODE nobody +i": ["401 ann nobody :No such nick/channel"],
    "PART #attic": ["442 ann #attic :You're not on that channel"],
    "PRIVMSG #attic :x": ["404 ann #attic :Cannot send to channel"],
    "NOTICE #attic :x": [],
    "PRIVMSG nobody :x": ["401 ann nobody :No such nick/channel"],
    "PRIVMSG no~body :x": ["401 ann no~body :No such nick/channel"],
    "PRIVMSG": ["411 ann :No recipient given (PRIVMSG)"],
    "PRIVMSG bob": ["412 ann :No text to send"],
    "PRIVMSG bob :": ["412 ann :No text to send"],
    "JOIN": ["461 ann JOIN :Not enough parameters"],
    "JOIN lobby": ["403 ann lobby :No such channel"],
    "JOIN #a~b": ["403 ann #a~b :No such channel"],
    "JOIN #": ["403 ann # :No such channel"],
    "DANCE with me": ["421 ann DANCE :Unknown command"],
    "NICK ann": [],
    "NICK other": ["484 ann :A name can't be changed here: disconnect, and come with the other one"],
    "NICK": ["431 ann :No nickname given"],
    "AUTHENTICATE PLAIN": ["904 ann :SASL authentication failed: log in before you come in"],
    "@+typing=active TAGMSG #lobby": [],
    "USER x 0 * :x": ["462 ann :You may not reregister"],
    "PING": ["409 ann :No origin specified"],
    "PONG :x": [],
    "VERSION": ["351 ann python_tcp chat :a chat for many kinds of clients"],
    "LUSERS": ["251 ann :There are 3 users and 0 invisible on 1 servers", "254 ann 1 :channels formed", "255 ann :I have 3 clients and 0 servers"],
    "PRIVMSG bob :\x01VERSION\x01": ["NOTICE ann :CTCP is not passed on here"],
    "": [],
}  # fmt: skip


@pytest.mark.parametrize(("line", "answer"), ANSWERS.items())
def test_the_answer_to_a_command(talk: Dialogue, line: str, answer: list[str]) -> None:
    assert ask(talk, line) == [f":chat {each}" for each in answer]


def test_who_leaves_the_chat_quits_and_who_leaves_a_room_parts(
    moderated: Moderated,
) -> None:
    ask(moderated, "JOIN #x", client=CY)
    ask(moderated, "JOIN #x", client=BOB)
    assert ask(moderated, "PART #x", client=BOB) == [":bob!bob@chat PART #x"]
    assert untimed(heard(moderated, CY)) == ["@time :bob!bob@chat PART #x"]
    assert ask(moderated, "PART #lobby", client=BOB) == [":bob!bob@chat PART #lobby"]
    assert heard(moderated, OP) == [":bob!bob@chat PART #lobby"], "he is still here"
    ask(moderated, "JOIN #lobby", client=BOB)
    moderated.forget()
    moderated.server.close(BOB, "connection lost")
    moderated.settle()
    assert heard(moderated, OP) == [":bob!bob@chat QUIT :has left the chat"]


def test_a_kick_is_told_once_and_a_ban_is_a_mode(moderated: Moderated) -> None:
    kick = ":op!op@chat KICK #lobby bob :enough"
    assert ask(moderated, "KICK #lobby bob :enough", client=OP) == [kick]
    assert heard(moderated, BOB) == [kick], "and no PART behind it"
    ban = ":op!op@chat MODE #lobby +b :eve!*@*"
    assert ask(moderated, "MODE #lobby +b *!eve@chat", client=OP) == [ban]
    assert untimed(heard(moderated, CY)) == [f"@time {ban}"]
    bans = ask(moderated, "MODE #lobby +b", client=OP)
    assert re.fullmatch(r":chat 367 op #lobby eve op :\d+", bans[0]) and " 368 " in bans[1]  # fmt: skip
    assert ask(moderated, "MODE #lobby -b eve", client=OP) == [":op!op@chat MODE #lobby -b :eve!*@*"]  # fmt: skip


def test_who_has_set_the_topic_and_when(moderated: Moderated) -> None:
    ask(moderated, "TOPIC #lobby :all about tea", client=OP)
    topic, who = ask(moderated, "TOPIC #lobby", client=BOB)
    assert topic == ":chat 332 bob #lobby :all about tea"
    assert re.fullmatch(r":chat 333 bob #lobby op :\d{9,}", who)
    come(moderated, DAN, "dan")
    joined = heard(moderated, DAN)
    assert any(line.startswith(":chat 333 dan #lobby op ") for line in joined)
    ask(moderated, "TOPIC #lobby :", client=OP)
    assert " 331 " in ask(moderated, "TOPIC #lobby", client=BOB)[0]


def test_who_is_away_says_so_to_whoever_writes(talk: Dialogue) -> None:
    ask(talk, "AWAY :at lunch", client=CY)
    assert ask(talk, "PRIVMSG cy :hi") == [":chat 301 ann cy :at lunch"]
    assert ask(talk, "NOTICE cy :hi") == []
    assert ":chat 301 ann cy :at lunch" in ask(talk, "WHOIS cy")
    assert ask(talk, "USERHOST cy bob") == [":chat 302 ann :cy=-cy@chat bob=+bob@chat"]
    assert ask(talk, "WHO cy")[0].split()[8] == "G"


def test_accounts_are_told_to_who_wants_to_know(moderated: Moderated) -> None:
    come(moderated, ANN, "ann", "PASS correct-horse")
    assert (
        untimed(heard(moderated, CY))[-1] == "@time :ann!ann@chat JOIN #lobby ann :ann"
    )
    assert heard(moderated, BOB)[-1] == ":ann!ann@chat JOIN #lobby"
    assert ":chat 330 bob ann ann :is logged in as" in ask(moderated, "WHOIS ann", client=BOB)  # fmt: skip
    moderated.come(DAN, JSONLines())
    moderated.receive(DAN, b'{"type":"join","username":"dan"}\n')
    moderated.receive(DAN, b'{"type":"message","content":"one"}\n')
    moderated.receive(DAN, b'{"type":"register","username":"dan","password":"correct-horse"}\n')  # fmt: skip
    moderated.forget()
    moderated.receive(DAN, b'{"type":"message","content":"two"}\n')
    assert untimed(heard(moderated, CY)) == [
        "@time :dan!dan@chat ACCOUNT dan",
        "@time :dan!dan@chat PRIVMSG #lobby :two",
    ]
    assert heard(moderated, BOB) == [":dan!dan@chat PRIVMSG #lobby :two"]


def test_a_long_password_comes_in_two_lines(moderated: Moderated) -> None:
    password = "x" * 250
    moderated.receive(BOB, b"QUIT\r\n")
    moderated.come(DAN, JSONLines())
    register = {"type": "register", "username": "long", "password": password}
    moderated.receive(DAN, json.dumps(register).encode() + b"\n")
    moderated.come(BOB, IRC())
    name = "long".ljust(4)
    text = base64.b64encode(f"{name}\0{name}\0{password}".encode()).decode()
    text = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
    padded = [text[:400], text[400:] or "+"]
    lines = [f"AUTHENTICATE {each}" for each in padded]
    if len(text) < 400:
        lines = lines[:1]
    said = ask(moderated, "CAP REQ sasl", "AUTHENTICATE PLAIN", *lines, client=BOB)
    assert [line.split()[1] for line in said[2:]] == ["900", "903"]


def in_memory(secret: bytes, data: bytes, texts: list[str]) -> bool:
    """Is it still in what came, or in one of these?"""
    return secret in data or any(secret in text.encode() for text in texts)


@pytest.mark.parametrize("sasl", [False, True])
def test_a_password_is_overwritten_when_it_has_been_used(
    moderated: Moderated, sasl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "correct-horse"
    word = base64.b64encode(f"\0ann\0{secret}".encode()).decode() if sasl else secret
    begin = "CAP REQ sasl\r\nAUTHENTICATE PLAIN\r\nAUTHENTICATE " if sasl else "PASS "
    data = f"{begin}{word}\r\nNICK ann\r\nUSER a 0 * :a\r\nCAP END\r\n".encode()
    kept: list[object] = []
    true_parse = parse_irc
    monkeypatch.setattr("python_tcp.irc.parse_irc", lambda text: kept.append(text) or kept.append(true_parse(text)) or kept[-1])  # fmt: skip
    connection = moderated.come(ANN, IRC())
    moderated.handler.receive(connection, data)
    moderated.settle()
    assert any(" 900 " in line for line in heard(moderated, ANN))
    assert b"NICK" not in data and word.encode() not in data, "all of it is zeros"
    found = str(kept)
    assert word not in found and secret not in found


def test_too_many_rooms_and_too_much_at_once() -> None:
    talk = Dialogue(rooms_per_client=1)
    come(talk, ANN, "ann")
    assert ask(talk, "JOIN #x") == [":chat 405 ann #x :You have joined too many channels"]  # fmt: skip
    talk = Dialogue(flood_burst=8)
    come(talk, ANN, "ann")
    lines = ask(talk, *["PRIVMSG #lobby :x"] * 10)
    assert lines and all(" 263 ann PRIVMSG :too fast" in line for line in lines)


def test_long_lists_have_pages() -> None:
    talk = Dialogue(connections=5000)
    for number in range(150):
        talk.come(number + 10, JSONLines())
        command = f'{{"type":"join","username":"u{number}","room":"r{number}"}}\n'
        talk.receive(number + 10, command.encode())
    come(talk, ANN, "ann")
    lines = ask(talk, "LIST")
    assert len([line for line in lines if " 322 " in line]) == 151
    assert lines[-1] == ":chat 323 ann :End of /LIST"


SCRIPT = (
    "CAP LS 302\r\nNICK ann\r\nUSER ann 0 * :Ann\r\nCAP REQ :echo-message\r\nCAP END\r\n"
    "PRIVMSG #lobby :grüße\r\nPRIVMSG bob :\x01ACTION waves\x01\nJOIN #x\r\n\r\n"
    "NAMES #x\r\nWHO #lobby\r\nPRIVMSG #x hi\r\nPART #x\r\nDANCE\r\nPING :1 2\r\nQUIT\r\n"
).encode()


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.integers(0, len(SCRIPT)), max_size=12))
def test_every_split_of_a_conversation_gives_the_same(cuts: list[int]) -> None:
    said = [in_pieces(IRC(), SCRIPT, where) for where in ([], cuts)]
    assert said[0] == said[1] and b"ERROR :" in said[0][0]


nasty = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass")),
    st.sampled_from([
        b"PRIVMSG #lobby :a\rQUIT :b\r\n", b"PRIVMSG bob :a\0b\r\n", b"JOIN #\r\n#x\r\n", b"TOPIC #lobby :\x1b[2J\r\n",
        b"PRIVMSG #lobby :\x01DCC SEND x 1 2\x01\r\n", b"NICK a\rb\r\n", b"AWAY :x\ty\r\n", b"JOIN 0\r\n", b"\r\n",
        b"@tag=\\: :evil PRIVMSG #lobby ::\xf0\x9f\x98\r\n", b"PRIVMSG #lobby :~\r\n", b"KICK #lobby bob\r\n",
        b"CAP REQ :" + b"x" * 600 + b"\r\n", b"PRIVMSG #lobby :" + b"y" * 9000 + b"\r\n", b"WHO *\r\n", b"MODE\r\n",
    ]),
)  # fmt: skip
LINE = re.compile(r"(:(\S+!\S+@chat|chat) )?([A-Z]+|\d{3})( [^\r\n\0]*)?")


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.lists(nasty, max_size=8), st.booleans())
def test_whatever_a_client_sends_reaches_nobody_as_more_than_a_message(
    data: list[bytes], comes_in: bool
) -> None:
    talk = Dialogue(bad_lines=1000)
    talk.come(BOB, JSONLines())
    talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
    come(talk, CY, "cy")
    talk.come(DAN, Lines())
    talk.receive(DAN, b"dan\n")
    talk.come(ANN, IRC())
    if comes_in:
        talk.receive(ANN, b"NICK ann\r\nUSER ann 0 * :Ann\r\n")
    talk.forget()
    for each in data:
        talk.receive(ANN, each)
    talk.finish(ANN)
    assert ANN not in talk.sender.connections
    for line in talk.text(BOB).splitlines():
        assert decode_event(line) is not None
    for line in heard(talk, CY):
        assert LINE.fullmatch(line) and len(line.encode()) <= 510, line
    assert re.fullmatch(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*", talk.text(DAN).decode())  # fmt: skip
    talk.forget()
    talk.receive(BOB, b'{"type":"ping","id":1}\n')
    assert talk.text(BOB) == b'{"type":"pong","id":1}\n'


@settings(deadline=None)
@given(st.text(min_size=1, max_size=3000))
def test_whatever_others_say_is_good_irc(text: str) -> None:
    talk = Dialogue()
    come(talk, ANN, "ann")
    talk.come(BOB, JSONLines())
    talk.receive(BOB, b'{"type":"join","username":"bob"}\n')
    talk.forget()
    talk.receive(BOB, json.dumps({"type": "message", "content": text}).encode() + b"\n")
    for line in heard(talk, ANN):
        assert line.startswith(":bob!bob@chat PRIVMSG #lobby :")
        assert len(line.encode()) <= 510 and not re.search(r"[\r\n\0]", line)


# --- held against others -------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ChatServer]:
    listeners = [Listener("irc", IRC, "127.0.0.1", 0)]
    main = {"irc": IRC}
    with ChatServer(
        dialect=lambda: Recognizer(main), listeners=listeners,
        limits=Limits(flood_burst=200, flood_rate=100.0),
    ) as server:  # fmt: skip
        yield server


class Library:
    """A client made with the PyPI package `irc`; its reactor has a thread."""

    def __init__(self, port: int, nick: str) -> None:
        client = pytest.importorskip("irc.client")
        self.reactor = client.Reactor()
        self.events: list[tuple[str, str, str, list[str]]] = []
        self.reactor.add_global_handler("all_events", self._heard, -1)
        self.connection = self.reactor.server().connect("127.0.0.1", port, nick)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.reactor.process_once(0.01)

    def _heard(self, connection: object, event: object) -> None:
        source = getattr(event.source, "nick", event.source)
        self.events.append((event.type, str(source), event.target, event.arguments))

    def until(self, type: str, **fields: object) -> tuple[str, str, str, list[str]]:
        """The first event of this type that has these arguments in it."""

        def found() -> tuple[str, str, str, list[str]] | None:
            for event in list(self.events):
                words = [event[1], event[2], *event[3]]
                if event[0] == type and all(each in words for each in fields.values()):
                    return event
            return None

        return wait_until(found)

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join(LIMIT)
        self.connection.close()


def test_a_client_made_with_the_package_irc(server: ChatServer) -> None:
    with LineClient(server.port).join("bob") as bob, Library(server.port, "ann") as ann:
        ann.until("welcome")
        assert ann.connection.get_nickname() == "ann"
        assert ann.connection.features.chantypes == ["#"] or "#" in ann.connection.features.chantypes  # fmt: skip
        assert ann.connection.features.nicklen == 32
        assert ann.until("namreply")[3] == ["=", "#lobby", "ann bob"]
        bob.say("message", content="hi ann")
        assert ann.until("pubmsg") == ("pubmsg", "bob", "#lobby", ["hi ann"])
        ann.connection.privmsg("#lobby", "hi bob")
        assert bob.read_until("message", username="ann")["content"] == "hi bob"
        ann.connection.action("#lobby", "waves")
        assert bob.read_until("message", username="ann")["content"] == "/me waves"
        bob.say("message", content="/me bows")
        assert ann.until("action")[3] == ["bows"]
        bob.say("whisper", to="ann", content="psst")
        assert ann.until("privmsg") == ("privmsg", "bob", "ann", ["psst"])
        ann.connection.privmsg("bob", "yes?")
        assert bob.read_until("whisper", username="ann")["content"] == "yes?"
        ann.connection.join("#kitchen")
        assert ann.until("join", room="#kitchen")[1] == "ann"
        ann.connection.whois(["bob"])
        assert ann.until("whoisuser")[3][:2] == ["bob", "bob"]
        ann.connection.ison(["bob", "nobody"])
        assert ann.until("ison")[3] == ["bob"]
        ann.connection.list()
        assert ann.until("list", room="#kitchen")[3][:2] == ["#kitchen", "1"]
        ann.connection.part("#kitchen")
        assert ann.until("part", room="#kitchen")[1] == "ann"
        ann.connection.topic("#lobby")
        ann.until("notopic")
        ann.connection.mode("#lobby", "")
        assert ann.until("channelmodeis")[3] == ["#lobby", "+n"]
        ann.connection.quit("bye")
        assert bob.read_until("leave")["username"] == "ann"


NAME, CHANNEL, TEXT, COUNT = r"[\w.-]+", r"#[\w.-]+", r".+", r"\d+"
# After the number and the nick of the reader: the name and the parameters that modern.ircdocs.horse has.
NUMERICS: dict[str, tuple[str, list[str]]] = {
    "001": ("RPL_WELCOME", [r"Welcome to .+"]),
    "002": ("RPL_YOURHOST", [r"Your host is \S+, running .+"]),
    "003": ("RPL_CREATED", [r"This server was created .+"]),
    "004": ("RPL_MYINFO", [NAME, r"\S+", r"[a-zA-Z]+", r"[a-zA-Z]+", r"[a-zA-Z]+"]),
    "005": ("RPL_ISUPPORT", [r"[A-Z0-9]{1,20}(=[!-<>-~]*)?"] * 13 + ["are supported by this server"]),
    "221": ("RPL_UMODEIS", [r"\+[a-z]*"]),
    "251": ("RPL_LUSERCLIENT", [r"There are \d+ users and \d+ invisible on \d+ servers"]),
    "254": ("RPL_LUSERCHANNELS", [r"[1-9]\d*", "channels formed"]),
    "255": ("RPL_LUSERME", [r"I have \d+ clients and \d+ servers"]),
    "263": ("RPL_TRYAGAIN", ["[A-Z]+", TEXT]),
    "301": ("RPL_AWAY", [NAME, TEXT]),
    "302": ("RPL_USERHOST", [rf"({NAME}=[+-]\S+( |$))*"]),
    "303": ("RPL_ISON", [rf"({NAME}( |$))*"]),
    "305": ("RPL_UNAWAY", ["You are no longer marked as being away"]),
    "306": ("RPL_NOWAWAY", ["You have been marked as being away"]),
    "311": ("RPL_WHOISUSER", [NAME, NAME, NAME, r"\*", TEXT]),
    "312": ("RPL_WHOISSERVER", [NAME, NAME, TEXT]),
    "315": ("RPL_ENDOFWHO", [r"\S+", "End of WHO list"]),
    "318": ("RPL_ENDOFWHOIS", [r"\S+", "End of /WHOIS list"]),
    "321": ("RPL_LISTSTART", ["Channel", "Users  Name"]),
    "322": ("RPL_LIST", [CHANNEL, COUNT, ".*"]),
    "323": ("RPL_LISTEND", ["End of /LIST"]),
    "324": ("RPL_CHANNELMODEIS", [CHANNEL, r"\+[a-z]*"]),
    "330": ("RPL_WHOISACCOUNT", [NAME, NAME, "is logged in as"]),
    "331": ("RPL_NOTOPIC", [CHANNEL, "No topic is set"]),
    "332": ("RPL_TOPIC", [CHANNEL, TEXT]),
    "333": ("RPL_TOPICWHOTIME", [CHANNEL, NAME, COUNT]),
    "341": ("RPL_INVITING", [NAME, CHANNEL]),
    "351": ("RPL_VERSION", [r"\S+", NAME, TEXT]),
    "352": ("RPL_WHOREPLY", [rf"{CHANNEL}|\*", NAME, NAME, NAME, NAME, "[HG]", r"\d+ .+"]),
    "353": ("RPL_NAMREPLY", ["[=@*]", CHANNEL, rf"{NAME}( {NAME})*"]),
    "366": ("RPL_ENDOFNAMES", [CHANNEL, "End of /NAMES list"]),
    "367": ("RPL_BANLIST", [CHANNEL, r"\S+", NAME, COUNT]),
    "368": ("RPL_ENDOFBANLIST", [CHANNEL, "End of channel ban list"]),
    "372": ("RPL_MOTD", [TEXT]),
    "375": ("RPL_MOTDSTART", [r"- \S+ Message of the day - "]),
    "376": ("RPL_ENDOFMOTD", [r"End of /MOTD command\."]),
    "400": ("ERR_UNKNOWNERROR", ["[A-Z]+", TEXT]),
    "401": ("ERR_NOSUCHNICK", [r"\S+", "No such nick/channel"]),
    "403": ("ERR_NOSUCHCHANNEL", [r"\S+", "No such channel"]),
    "404": ("ERR_CANNOTSENDTOCHAN", [CHANNEL, "Cannot send to channel"]),
    "405": ("ERR_TOOMANYCHANNELS", [CHANNEL, "You have joined too many channels"]),
    "409": ("ERR_NOORIGIN", ["No origin specified"]),
    "410": ("ERR_INVALIDCAPCMD", [r"\S+", "Invalid CAP command"]),
    "411": ("ERR_NORECIPIENT", [r"No recipient given \([A-Z]+\)"]),
    "412": ("ERR_NOTEXTTOSEND", ["No text to send"]),
    "417": ("ERR_INPUTTOOLONG", ["Input line was too long"]),
    "421": ("ERR_UNKNOWNCOMMAND", [r"\S+", "Unknown command"]),
    "431": ("ERR_NONICKNAMEGIVEN", ["No nickname given"]),
    "432": ("ERR_ERRONEUSNICKNAME", [r"\S+", TEXT]),
    "433": ("ERR_NICKNAMEINUSE", [NAME, TEXT]),
    "441": ("ERR_USERNOTINCHANNEL", [NAME, CHANNEL, "They aren't on that channel"]),
    "442": ("ERR_NOTONCHANNEL", [CHANNEL, "You're not on that channel"]),
    "451": ("ERR_NOTREGISTERED", ["You have not registered"]),
    "461": ("ERR_NEEDMOREPARAMS", ["[A-Z]+", "Not enough parameters"]),
    "462": ("ERR_ALREADYREGISTERED", ["You may not reregister"]),
    "464": ("ERR_PASSWDMISMATCH", [TEXT]),
    "465": ("ERR_YOUREBANNEDCREEP", [TEXT]),
    "472": ("ERR_UNKNOWNMODE", [".", "is unknown mode char to me"]),
    "473": ("ERR_INVITEONLYCHAN", [CHANNEL, r"Cannot join channel \(\+i\)"]),
    "474": ("ERR_BANNEDFROMCHAN", [CHANNEL, r"Cannot join channel \(\+b\)"]),
    "475": ("ERR_BADCHANNELKEY", [CHANNEL, r"Cannot join channel \(\+k\)"]),
    "482": ("ERR_CHANOPRIVSNEEDED", [CHANNEL, "You're not channel operator"]),
    "484": ("ERR_RESTRICTED (RFC 2812)", [TEXT]),
    "501": ("ERR_UMODEUNKNOWNFLAG", ["Unknown MODE flag"]),
    "502": ("ERR_USERSDONTMATCH", ["Can't change mode for other users"]),
    "696": ("ERR_INVALIDMODEPARAM", [CHANNEL, ".", r"\S+", TEXT]),
    "900": ("RPL_LOGGEDIN", [r"\S+!\S+@\S+", NAME, "You are now logged in as .+"]),
    "901": ("RPL_LOGGEDOUT", [r"\S+!\S+@\S+", "You are now logged out"]),
    "903": ("RPL_SASLSUCCESS", ["SASL authentication successful"]),
    "904": ("ERR_SASLFAIL", ["SASL authentication failed.*"]),
    "905": ("ERR_SASLTOOLONG", ["SASL message too long"]),
    "906": ("ERR_SASLABORTED", ["SASL authentication aborted"]),
    "907": ("ERR_SASLALREADY", ["You have already authenticated using SASL"]),
    "908": ("RPL_SASLMECHS", [r"[A-Z,]+", "are available SASL mechanisms"]),
}  # fmt: skip


def plain(name: str, password: str) -> str:
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


def conversations() -> Iterator[str]:
    """Lines of the server, with every number that it has."""
    talk = Moderated(rooms_per_client=3)
    come(talk, CY, "cy")
    come(talk, OP, "op", "PASS boss-of-all")
    ops = (
        "TOPIC #lobby :tea", "JOIN #x", "MODE #x +i", "INVITE cy #x", "MODE #x +b eve!*@*", "MODE #lobby +b eve!*@*",
        "MODE #lobby b", "KICK #lobby nobody", "WHOIS op", "JOIN #y", "MODE #y +k secret", "MODE #lobby +m",
        "MODE #lobby +k", "AWAY :at lunch", "MODE #y -k", "MODE #x -i", "MODE #y +i", "MODE #y +b eve",
    )  # fmt: skip
    mine = (
        *ANSWERS, "JOIN #y", "PRIVMSG op :x", "WHOIS op", "USERHOST op", "WHO op", "AWAY x", "AWAY", "JOIN #x", "JOIN #p", "JOIN #q",
        "TOPIC #lobby :x", "TOPIC #lobby", "CAP NO", "PRIVMSG bob :" + "x" * 4001, "@" + "t" * 9000, "INVITE nobody #lobby",
        "MODE cy", "MODE cy -i", "MODE op +i", "PART #x", "PART #p", "JOIN #t", "TOPIC #t",
    )  # fmt: skip
    for client, lines in ((OP, ops), (CY, mine), (OP, ("MODE #lobby +b cy", "JOIN #y"))):  # fmt: skip
        for line in lines:
            yield from ask(talk, line, client=client)
    yield from ask(talk, "JOIN #lobby", client=CY)
    talk.receive(OP, b"MODE #x +k long-password\r\n")
    come(talk, DAN, "dan")
    yield from ask(talk, "JOIN #x", "JOIN #y", "JOIN #x wrong", client=DAN)
    yield from before_coming_in()


def before_coming_in() -> Iterator[str]:
    talk = Moderated()
    talk.come(ANN, IRC())
    login = plain("ann", "correct-horse")
    for lines in (
        ("JOIN #x", "USER", "PASS", "NICK", "AUTHENTICATE PLAIN", "CAP REQ :sasl"),
        ("AUTHENTICATE *", "AUTHENTICATE OTHER", "AUTHENTICATE " + "x" * 401),
        ("AUTHENTICATE " + plain("ann", "wrong-horse"), "AUTHENTICATE !", f"AUTHENTICATE {login}"),
        (f"AUTHENTICATE {login}", "NICK a!b", "USER a 0 * :A", "NICK ann", "CAP END"),
    ):  # fmt: skip
        yield from ask(talk, *lines)
    come(talk, BOB, "b[b", "PASS wrong")
    yield from ask(
        talk, "NICK b[b", "NICK ann", "PASS nope-nope-nope", "NICK ann", client=BOB
    )
    come(talk, OP, "op", "PASS boss-of-all")
    moderate = ['{"type":"ban","target":"eve"}', '{"type":"ban","target":"@ann"}']
    talk.come(DAN, JSONLines())
    for command in ('{"type":"login","username":"op","password":"boss-of-all"}', '{"type":"join","username":"op"}', *moderate[:1]):  # fmt: skip
        talk.receive(DAN, command.encode() + b"\n")
    talk.come(CY, IRC())
    yield from ask(talk, "NICK eve", "USER e 0 * :e", client=CY)
    talk.receive(ANN, b"QUIT\r\n")
    talk.come(ANN, JSONLines())
    flood = Dialogue(flood_burst=8)
    come(flood, ANN, "ann")
    yield from ask(flood, *["PRIVMSG #lobby :x"] * 10)
    gone = Moderated()
    come(gone, ANN, "ann", "PASS correct-horse")
    event = AccountChanged("ann", "logged_out")
    yield gone.sender.connections[ANN].speaker.tell(event).decode().split("\r\n")[0]


def test_every_number_has_the_name_and_the_parameters_that_modern_irc_has() -> None:
    root, seen = Path(__file__).resolve().parent.parent / "python_tcp", set()
    used = {
        number
        for path in root.glob("irc*.py")
        for number in re.findall(r'"(\d{3})"', path.read_text())
    }
    assert used == NUMERICS.keys()
    numeric = pytest.importorskip("irc.events").numeric
    for line in conversations():
        start, colon, text = line.partition(" :")
        source, number, *params = start.removeprefix(":").split(" ") + ["", ""]
        if not number.isdecimal():
            continue
        params = params[:-2]
        seen.add(number)
        assert source == "chat" and re.fullmatch(rf"{NAME}|\*", params[0]), line
        params = [*params[1:], *([text] if colon else [])]
        patterns = NUMERICS[number][1]
        assert len(params) == len(patterns), line
        for param, pattern in zip(params, patterns):
            assert re.fullmatch(pattern, param), (line, pattern)
        assert len(line.encode()) <= 510, line
    assert seen == NUMERICS.keys(), "each is sent in some conversation"
    for number, (name, _) in NUMERICS.items():  # where the package knows the number
        short = re.sub(r"^(RPL|ERR)_|\W.*|_", "", name).lower()
        theirs = numeric.get(number)
        assert theirs in (None, short, OTHER_NAMES.get(short)), number


OTHER_NAMES = {  # what the package irc calls them
    "isupport": "featurelist", "topic": "currenttopic", "topicwhotime": "topicinfo",
}  # fmt: skip


def text_of(notebook: Path) -> list[str]:
    """The text cells of a chapter."""
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(each["source"]) for each in cells if each["cell_type"] == "markdown"]  # fmt: skip


def connect_port(server: ChatServer) -> str:
    return server.listening("irc")[0].rpartition(":")[2]


@pytest.mark.skipif(shutil.which("irssi") is None, reason="irssi is not installed")
@pytest.mark.slow(seconds=20)
def test_a_person_with_irssi(server: ChatServer, tmp_path: Path) -> None:
    command = ["irssi", "--home", str(tmp_path), "-c", "127.0.0.1", "-p", connect_port(server), "-n", "ann"]  # fmt: skip
    with LineClient(server.port).join("bob") as bob:
        with Terminal(*command, columns=100, rows=40, HOME=str(tmp_path)) as terminal:
            assert bob.read_until("join")["username"] == "ann"
            terminal.until("channels formed")
            terminal.type("\x1b2")  # its second window
            terminal.until("has joined #lobby")
            bob.say("message", content="hi \u00fc")
            terminal.until("hi \u00fc")
            terminal.type("hello from irssi\r")
            assert bob.read_until("message", username="ann")["content"] == "hello from irssi"  # fmt: skip
            terminal.type("/me waves\r")
            assert bob.read_until("message", username="ann")["content"] == "/me waves"
            terminal.until("* ann waves")
            rows = "\n".join(terminal.screen.rows())
            assert rows.count("hello from irssi") == 1, rows
            terminal.type("/quit\r")
            assert bob.read_until("leave")["username"] == "ann"


@pytest.mark.skipif(shutil.which("weechat") is None, reason="weechat is not installed")
@pytest.mark.slow(seconds=20)
def test_a_person_with_weechat(server: ChatServer, tmp_path: Path) -> None:
    chapter = Path(__file__).parent.parent / "nbs" / "091_languages.ipynb"
    typed = re.findall(r"^ *(/(?:server|connect) .+)$", "\n".join(text_of(chapter)), re.MULTILINE)  # fmt: skip
    port, nick = connect_port(server), "/set irc.server_default.nicks ann"
    lines = [nick, *(each.replace("localhost/6667", f"127.0.0.1/{port}") for each in typed)]  # fmt: skip
    assert len(lines) == 3, "what the chapter says, to the letter"
    command = ["weechat", "-d", str(tmp_path), *(part for line in lines for part in ("-r", line))]  # fmt: skip
    with LineClient(server.port).join("bob") as bob:
        with Terminal(*command, columns=120, rows=30, HOME=str(tmp_path)) as terminal:

            def joined() -> bool:
                return "ann" in server.users

            terminal.until(joined)
            bob.read_until("join")
            terminal.until(lambda: any("#lobby" in row for row in terminal.screen.rows()))  # fmt: skip
            bob.say("message", content="hi \u00fc")
            terminal.until("hi \u00fc")
            terminal.type("hello from weechat\r")
            assert bob.read_until("message", username="ann")["content"] == "hello from weechat"  # fmt: skip
            terminal.type("/quit\r")
            assert bob.read_until("leave")["username"] == "ann"


def test_a_client_that_is_cut_off_has_left(server: ChatServer) -> None:
    with LineClient(server.port).join("bob") as bob:
        ann = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
        ann.sendall(b"NICK ann\r\nUSER ann 0 * :Ann\r\n")
        assert bob.read_until("join")["username"] == "ann"
        reset(ann)
        assert bob.read_until("leave")["username"] == "ann", "at once"


# --- accounts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered(server: ChatServer) -> ChatServer:
    """Ann has an account."""
    with LineClient(server.port) as ann:
        ann.say("register", username="ann", password="correct horse")
        assert ann.read()["type"] == "account"
    return server


def irc_lines(server: ChatServer, *lines: str, end: str) -> list[str]:
    """What a client hears that says this, down to a line with `end` in it."""
    with LineClient(server.port) as client:
        client.send("".join(f"{line}\r\n" for line in lines).encode())
        heard: list[str] = []
        while not heard or end not in heard[-1]:
            line = client.line().decode()
            assert line, heard
            heard.append(line.rstrip("\r\n"))
        return heard


@pytest.mark.slow
def test_a_registered_name_needs_its_password(registered: ChatServer) -> None:
    come_in = ("NICK ann", "USER ann 0 * :Ann")
    [refused] = irc_lines(registered, *come_in, end="433")
    assert refused == ":chat 433 * ann :Nickname is registered: its owner sends PASS"
    wrong = irc_lines(registered, "NICK ann", "PASS wrong-horse", come_in[1], end="433")
    assert wrong[0] == ":chat 464 * :Password incorrect"
    right = irc_lines(registered, "NICK ann", "PASS :correct horse", come_in[1], end=" 366 ")  # fmt: skip
    assert right[:2] == [
        ":chat 900 * ann!ann@chat ann :You are now logged in as ann",
        ":chat 001 ann :Welcome to the chat, ann",
    ]
    free = irc_lines(registered, "NICK dan", "PASS some", come_in[1], end=" 001 ")
    assert len(free) == 1, "a name that is nobody's needs no password"


@pytest.mark.slow(seconds=3)
def test_pass_with_an_account_and_its_password(registered: ChatServer) -> None:
    come_in = ("NICK eve", "USER eve 0 * :Eve")
    right = irc_lines(registered, "PASS :ann:correct horse", *come_in, end=" 366 ")
    assert right[:2] == [
        ":chat 900 * ann!ann@chat ann :You are now logged in as ann",
        ":chat 001 ann :Welcome to the chat, ann",
    ]
    why = "PASS named no account with its password: you have not logged in"
    words = "ann:wrong horse", "nobody:correct horse", "a b:c", "ann:"
    for number, wrong in enumerate(words):
        nick = f"eve{number}"  # the last one may not be gone yet
        come_in = (f"NICK {nick}", f"USER {nick} 0 * :Eve")
        end = f" NOTICE {nick} :PASS"
        heard = irc_lines(registered, f"PASS :{wrong}", *come_in, end=end)
        assert heard[0] == f":chat 001 {nick} :Welcome to the chat, {nick}", wrong
        assert heard[-1] == f":chat NOTICE {nick} :{why}"


@pytest.mark.slow
def test_a_right_password_with_its_account_is_no_guess(registered: ChatServer) -> None:
    """A class behind one address: each login of this kind once cost a wrong guess of it."""
    for number in range(12):
        come_in = (f"NICK a{number}", f"USER a{number} 0 * :A")
        heard = irc_lines(registered, "PASS :ann:correct horse", *come_in, end=" 366 ")
        assert " 900 " in heard[0], number


@pytest.mark.slow(seconds=2)
def test_a_password_may_have_a_colon_in_it(server: ChatServer) -> None:
    with LineClient(server.port) as ann:
        ann.say("register", username="ann", password="bob:the horse")
        assert ann.read()["type"] == "account"
    come_in = ("PASS :bob:the horse", "NICK ann", "USER a 0 * :A")
    heard = irc_lines(server, *come_in, end=" 366 ")
    assert heard[1] == ":chat 001 ann :Welcome to the chat, ann"
    assert not [line for line in heard if "have not logged in" in line]
    wrong = irc_lines(server, "PASS :bob:no horse", *come_in[1:], end=" 433 ")
    assert wrong[0] == ":chat 464 * :Password incorrect"


@pytest.mark.slow
def test_sasl_plain(registered: ChatServer) -> None:
    def authenticate(text: str, end: str) -> list[str]:
        word = base64.b64encode(text.encode()).decode()
        begin = ("CAP LS 302", "NICK other", "USER o 0 * :x", "CAP REQ :sasl")
        return irc_lines(registered, *begin, "AUTHENTICATE PLAIN", f"AUTHENTICATE {word}", "CAP END", end=end)  # fmt: skip

    wrong = authenticate("\0ann\0wrong-horse", "904")
    assert "sasl=PLAIN" in wrong[0] and wrong[2] == "AUTHENTICATE +"
    assert wrong[-1].startswith(":chat 904 * :SASL authentication failed")
    assert authenticate("nonsense", "904")[-1].startswith(":chat 904 ")
    with LineClient(registered.port) as ann:
        ann.send(
            b"CAP REQ :sasl\r\nNICK other\r\nUSER o 0 * :x\r\nAUTHENTICATE PLAIN\r\n"
        )
        word = base64.b64encode(b"\0ann\0correct horse")
        ann.send(b"AUTHENTICATE " + word + b"\r\n")
        while b" 903 " not in ann.line():
            pass
        ann.send(b"CAP END\r\n")
        assert ann.line() == b":chat 001 ann :Welcome to the chat, ann\r\n"
    at_once = authenticate("\0ann\0correct horse", " 001 ")
    assert at_once[-1] == ":chat 001 ann :Welcome to the chat, ann", "not as other"
    stop = irc_lines(registered, "CAP REQ :sasl", "AUTHENTICATE *", end="906")
    assert stop[-1] == ":chat 906 * :SASL authentication aborted"
