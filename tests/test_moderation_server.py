"""Moderation over real sockets: each command, what everybody hears, and a restart with the data file."""

import itertools
import logging
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from test_logins import CHEAP, FREE, RIGHT
from test_logins import Guest as Login

from python_tcp.chat_server import ChatServer
from python_tcp.members import Account
from python_tcp.passwords import PasswordHasher
from python_tcp.secret import Secret
from waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.0/8")

HOMES = {
    "olga": "127.0.1.1",
    "ann": "127.0.2.1",
    "bob": "127.0.3.1",
    "eve": "127.0.66.6",
}


class Guest(Login):
    """Each question has an id of its own: the same one once more does nothing."""

    count = itertools.count()

    def ask(self, type: str, **fields: object) -> dict:
        """The answer to a command."""
        id = f"question {next(self.count)}"
        self.say(type, **fields, id=id)
        while (event := self.read()).get("id") != id:
            pass
        return event

    def ask_for_bans(self, **fields: object) -> dict:
        self.say("bans", **fields)
        return self.read_until("bans")


def olga() -> Account:
    """An operator."""
    return Account("olga", PasswordHasher(CHEAP).hash(Secret(RIGHT)), "operator")


class Evening:
    """A server with an operator, a moderator of the hall, and two guests."""

    def __init__(self, server: ChatServer) -> None:
        self.server = server
        self.people: dict[str, Guest] = {}

    def come(self, name: str, host: str = "", room: str = "hall", **fields) -> Guest:
        guest = Guest(self.server.port, host or HOMES[name])
        if name in ("olga", "ann"):
            known = guest.log_in(name)
            if known["type"] == "error":
                guest.register(name)
        guest.say("join", username=name, room=room, **fields)
        answer = guest.read()
        assert answer["type"] == "welcome", answer
        guest.read_until("users")
        self.people[name] = guest
        return guest

    def refused(self, name: str, host: str, room: str = "hall", **fields) -> list[dict]:
        """All that somebody hears who may not join, up to the end of the connection."""
        with Guest(self.server.port, host) as guest:
            guest.say("join", username=name, room=room, **fields)
            guest.finish()
            return guest.read_all()

    def code(self, name: str, host: str, room: str = "hall", **fields) -> str:
        """Why somebody may not join; "" if they may."""
        first = self.refused(name, host, room, **fields)[0]
        return first["code"] if first["type"] == "error" else ""

    def close(self) -> None:
        for guest in self.people.values():
            guest.close()


@pytest.fixture
def evening(tmp_path: Path) -> Iterator[Evening]:
    options = {"limits": FREE, "costs": CHEAP}
    with ChatServer(operators=[olga()], **options) as server:
        evening = Evening(server)
        for name in ("ann", "olga", "bob", "eve"):
            evening.come(name)
        evening.people["ann"].ask("register_room")
        yield evening
        evening.close()


def test_kick(evening: Evening) -> None:
    ann, bob, eve = (evening.people[name] for name in ("ann", "bob", "eve"))
    assert ann.ask("kick", to="EVE", reason="too loud")["type"] == "ok"
    for guest in (bob, eve):
        event = guest.read_until("moderated", action="kick")
        assert (event["target"], event["username"]) == ("eve", "ann")
        assert (event["room"], event["reason"]) == ("hall", "too loud")
        guest.read_until("leave", username="eve")
    assert eve.ask("message", content="hm")["code"] == "not_joined"
    assert bob.ask("kick", to="ann")["code"] == "not_allowed"
    assert ann.ask("kick", to="olga")["code"] == "not_allowed"
    eve.say("join", username="eve", room="hall")
    eve.read_until("welcome")


def test_mute(evening: Evening) -> None:
    ann, bob, eve = (evening.people[name] for name in ("ann", "bob", "eve"))
    assert ann.ask("mute", to="eve", seconds=3600)["type"] == "ok"
    event = eve.read_until("moderated", action="mute")
    assert event["until"] > event["timestamp"] + 3000
    answer = eve.ask("message", content="but")
    assert answer["code"] == "muted" and 3000 < answer["retry_after"] <= 3600
    assert eve.ask("whisper", to="ann", content="why?")["type"] == "ok"
    assert ann.ask("mute", to="eve", seconds=0)["type"] == "ok"
    assert eve.ask("message", content="thanks")["type"] == "ok"
    assert bob.read_until("message")["content"] == "thanks"


def test_ban_of_the_server(evening: Evening) -> None:
    people, server = evening.people, evening.server
    evening.come("friend", "127.0.66.7")
    answer = people["olga"].ask(
        "ban", target="127.0.66.0/24", seconds=60, reason="spam"
    )
    assert answer["type"] == "ok"
    for name in ("eve", "friend"):
        *before, last = people[name].read_all()
        assert "moderated" in [event["type"] for event in before]
        assert (last["type"], last["code"]) == ("goodbye", "banned")
        assert not last["reconnect"]
    people["bob"].read_until("leave", username="friend")
    wait_until(lambda: server.users == ["ann", "bob", "olga"])
    heard = evening.refused("granny", "127.0.66.8")
    assert [event["type"] for event in heard] == ["error", "goodbye"]
    assert [event["code"] for event in heard] == ["banned", "banned"]
    assert 0 < heard[0]["retry_after"] <= 60
    with Guest(server.port, "127.0.66.8") as eve:  # no account either
        answer = eve.ask("register", username="granny", password=RIGHT)
        assert answer["code"] == "banned"
    assert evening.code("grandpa", "127.0.67.1") == ""
    [ban] = people["olga"].ask_for_bans()["bans"]
    assert (ban["target"], ban["username"]) == ("127.0.66.0/24", "olga")
    assert people["olga"].ask("unban", target="127.0.66.0/24")["type"] == "ok"
    assert people["olga"].ask("unban", target="eve")["code"] == "no_such_ban"
    assert evening.code("granny", "127.0.66.8") == ""


def test_ban_from_a_room_by_the_address_that_somebody_has_now(evening: Evening) -> None:
    ann, bob, eve = (evening.people[name] for name in ("ann", "bob", "eve"))
    assert ann.ask("ban", target="@eve", room="hall")["type"] == "ok"
    eve.read_until("moderated", action="ban")
    eve.read_until("leave", username="eve")
    assert eve.ask("ping")["type"] == "pong", "the connection stays"
    eve.say("join", username="eve", room="attic")
    eve.read_until("welcome", room="attic")
    assert evening.code("another", HOMES["eve"]) == "banned"
    assert evening.code("another", "127.0.66.9") == ""
    assert "127.0" not in str(ann.ask_for_bans(room="hall"))
    bob.say("ping", id=1)
    heard = []
    while not heard or heard[-1]["type"] != "pong":
        heard.append(bob.read())
    assert not any(event["type"] == "moderated" and event["action"] == "ban" for event in heard)  # fmt: skip


@pytest.mark.parametrize(
    "target, code",
    [
        ("olga", "not_allowed"),
        ("127.0.1.0/24", "not_allowed"),
        ("127.0.0.0/8", "not_allowed"),
        ("127.0.1.1/8", "bad_target"),
        ("@nobody", "no_such_user"),
    ],
)
def test_bans_that_were_not_meant(evening: Evening, target: str, code: str) -> None:
    assert evening.people["olga"].ask("ban", target=target)["code"] == code
    assert evening.server.users == ["ann", "bob", "eve", "olga"]


def test_roles(evening: Evening) -> None:
    ann, olga, bob = (evening.people[name] for name in ("ann", "olga", "bob"))
    assert ann.ask("op", to="bob")["code"] == "no_account"
    assert bob.ask("register_room")["code"] == "not_logged_in"
    assert ann.ask("deop", to="ann")["code"] == "not_allowed"
    assert ann.ask("op", to="olga")["type"] == "ok"
    assert bob.read_until("moderated", action="op")["target"] == "olga"
    assert ann.ask("deop", to="ann")["type"] == "ok"
    assert olga.ask("op", to="ann", server=True)["type"] == "ok"
    assert ann.read_until("moderated", action="op")["target"] == "ann"
    assert ann.ask("deop", to="olga", server=True)["type"] == "ok"
    assert ann.ask("deop", to="ann", server=True)["code"] == "not_allowed"


def test_topic_lock_and_invitation(evening: Evening) -> None:
    ann, eve = evening.people["ann"], evening.people["eve"]
    assert ann.ask("topic", topic="Music")["type"] == "ok"
    assert eve.read_until("topic")["topic"] == "Music"
    assert ann.ask("unlock")["code"] == "not_locked"
    assert ann.ask("lock", password="sesame-Open-9")["type"] == "ok"
    assert evening.code("cy", "127.0.4.1") == "locked"
    assert evening.code("cy", "127.0.4.1", password="sesame-open-9") == "locked"
    welcome = evening.refused("cy", "127.0.4.1", password="sesame-Open-9")[0]
    assert (welcome["type"], welcome["topic"]) == ("welcome", "Music")
    dora = evening.come("dora", "127.0.4.2", "attic")
    assert dora.ask("join", username="dora", room="hall")["code"] == "locked"
    assert ann.ask("invite", to="dora")["type"] == "ok"
    assert dora.read_until("moderated", action="invite")["room"] == "hall"
    dora.say("join", username="dora", room="hall")
    dora.read_until("welcome", room="hall")
    assert ann.ask("unlock")["type"] == "ok"
    assert evening.code("zoe", "127.0.4.1") == ""  # cy's place is kept for a while


def test_deleting(evening: Evening) -> None:
    ann, bob, eve = (evening.people[name] for name in ("ann", "bob", "eve"))
    assert eve.ask("message", content="an insult")["seq"] == 1
    assert bob.ask("message", content="mine")["seq"] == 2
    assert bob.ask("delete", seq=1)["code"] == "not_allowed"
    assert ann.ask("delete", seq=9)["code"] == "no_such_message"
    assert ann.ask("delete", seq=1)["type"] == "ok"
    assert bob.ask("delete", seq=2)["type"] == "ok"
    assert eve.read_until("deleted")["seq"] == 1
    for page in (
        eve.ask("history"),
        evening.refused("cy", "127.0.4.1", since=0)[2],
    ):
        said = [(each["seq"], each["content"]) for each in page["messages"]]
        assert said == [(1, ""), (2, "")] and not page.get("lost")


ALL = [
    ("kick", {"to": "bob"}), ("mute", {"to": "bob"}), ("ban", {"target": "bob"}),
    ("unban", {"target": "bob"}), ("op", {"to": "bob"}), ("deop", {"to": "bob"}),
    ("topic", {"topic": "x"}), ("lock", {}), ("unlock", {}), ("invite", {"to": "bob"}),
    ("lock", {"password": "sesame-Open-9"}),
]  # fmt: skip


@pytest.mark.parametrize("type, fields", ALL)
def test_guests_may_not(evening: Evening, type: str, fields: dict) -> None:
    assert evening.people["eve"].ask(type, **fields)["code"] == "not_allowed"
    with Guest(evening.server.port) as stranger:
        assert stranger.ask(type, **fields)["code"] == "not_joined"


def test_all_of_it_is_there_after_a_restart_and_the_text_is_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "chat.db"
    options = {"limits": FREE, "costs": CHEAP, "data": path}
    with ChatServer(**options) as server:
        evening = Evening(server)
        for name in ("ann", "bob", "eve"):
            evening.come(name)
        ann = evening.people["ann"]
        with caplog.at_level(logging.INFO):
            for type, fields in [
                ("register_room", {}), ("topic", {"topic": "Music"}),
                ("mute", {"to": "bob"}), ("ban", {"target": "@eve", "room": "hall"}),
                ("lock", {"password": "sesame-Open-9"}),
            ]:  # fmt: skip
                assert ann.ask(type, **fields)["type"] == "ok"
        assert ann.ask("message", content="an insult of mine")["seq"] == 1
        assert ann.ask("delete", seq=1)["type"] == "ok"
        evening.close()
    assert b"an insult of mine" not in path.read_bytes()
    assert b"sesame-Open-9" not in path.read_bytes()
    with ChatServer(**options) as server:
        evening = Evening(server)
        assert evening.code("another", HOMES["eve"]) == "banned"
        assert evening.code("cy", "127.0.4.1") == "locked"
        welcome = evening.refused("cy", "127.0.4.1", password="sesame-Open-9", since=0)
        assert welcome[0]["topic"] == "Music"
        page = next(event for event in welcome if event["type"] == "history")
        assert [each["content"] for each in page["messages"]] == [""]
        bob = evening.come("bobby", HOMES["bob"], password="sesame-Open-9")
        bob.close()
        ann = evening.come("ann")
        assert ann.ask("mute", to="bob", seconds=0)["type"] == "ok"
        assert ann.ask("unlock")["type"] == "ok"
        evening.close()
    with sqlite3.connect(path) as db:
        actions = [row[0] for row in db.execute("SELECT action FROM audit ORDER BY n")]
    db.close()
    assert actions == ["register", "topic", "mute", "ban", "lock", "unmute", "unlock"]


def test_a_ban_that_has_ended_is_not_back_after_a_restart(tmp_path: Path) -> None:
    """Eve and EVE are one ban, also in the file; and in a file that still has both."""
    path = tmp_path / "chat.db"
    limits = replace(FREE, resume_window=0.0)
    options = {"limits": limits, "costs": CHEAP, "data": path}

    def start(*steps: tuple[str, str]) -> str:
        """Why eve may not join; then a moderator bans and unbans, and the server ends."""
        with ChatServer(**options) as server:
            evening = Evening(server)
            ann = evening.come("ann")
            ann.ask("register_room")
            found = evening.code("eve", HOMES["eve"])
            for type, target in steps:
                answer = ann.ask(type, target=target, room="hall")
                assert answer["type"] == "ok", answer
            evening.close()
        return found

    start(("ban", "Eve"), ("ban", "eve"), ("ban", "EVE"), ("unban", "eve"))
    assert start() == ""
    with closing(sqlite3.connect(path)) as db, db:
        for number, target in enumerate(("Eve", "eve")):
            row = ("hall", target, "", "ann", float(number), None, "")
            db.execute("INSERT INTO bans VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    assert start(("unban", "eve")) == "banned"
    assert start() == ""


def test_the_password_of_a_lock_is_not_worked_on_for_who_may_not_lock(
    evening: Evening,
) -> None:
    """Else a guest could keep the server busy, and use up what its address may try."""
    eve = evening.people["eve"]
    fields = {"password": "sesame-Open-9"}
    answers = [eve.ask("lock", **fields)["code"] for _ in range(60)]
    assert set(answers) == {"not_allowed"}
