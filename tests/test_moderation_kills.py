"""A server that is killed in the middle of moderation: what got its `ok` holds, and nothing is half there."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_logins import RIGHT, Guest

KILLS = 50
SERVER = """
import sys, threading
from python_tcp.chat_server import ChatServer
from python_tcp.limits import Limits
from python_tcp.passwords import HashParameters
limits = Limits(flood_burst=0, connections_per_address=0, join_rate=1e6)
server = ChatServer(data=sys.argv[1], limits=limits, costs=HashParameters(1, 32, 1))
print(server.start(), flush=True)
threading.Event().wait()
"""
Step = tuple[str, dict]


class Told:
    """What holds after a number of steps."""

    def __init__(self) -> None:
        self.bans: set[str] = set()
        self.muted: set[str] = set()
        self.topic, self.actions = "", []
        self.maybe: list[Step] = []  # done after that, and not answered
        self.account, self.is_made = "", False  # made when the server was killed

    def take(self, step: Step) -> None:
        type, fields = step
        match type:
            case "ban":
                self.bans.add(fields["target"])
            case "unban":
                self.bans.discard(fields["target"])
            case "mute":
                self.muted.add(fields["to"])
            case "topic":
                self.topic = fields["topic"]
        self.actions.append(type)


def steps(number: int, banned: list[str], chance: random.Random) -> list[Step]:
    """What a moderator does in one round."""
    found: list[Step] = []
    for count in range(40):
        name = f"n{number}-{count}"
        what = chance.randrange(4)
        if what == 0 or not banned:
            banned.append(name)
            found.append(("ban", {"target": name}))
        elif what == 1:
            target = banned.pop(chance.randrange(len(banned)))
            found.append(("unban", {"target": target}))
        elif what == 2:
            found.append(("topic", {"topic": name}))
        else:
            found.append(("mute", {"to": f"muted{chance.randrange(5)}"}))
    return found


def seen_in(path: Path) -> Told:
    """What is in the data file."""
    told = Told()
    db = sqlite3.connect(path)
    told.bans = {row[0] for row in db.execute("SELECT target FROM bans")}
    actions = db.execute("SELECT action FROM audit ORDER BY n").fetchall()
    told.actions = [row[0] for row in actions if row[0] != "register"]
    db.close()
    return told


@pytest.mark.slow(seconds=120)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9")
def test_fifty_kills_lose_no_ban_and_leave_nothing_by_half(tmp_path: Path) -> None:
    chance, path, told = random.Random(13), tmp_path / "chat.db", Told()
    for number in range(KILLS):
        command = [sys.executable, "-c", SERVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = int(server.stdout.readline())
                if number:
                    told = check_after_restart(port, told)
                told = one_round(port, number, told, chance, server)
            finally:
                server.kill()
        told = check_file(path, told)


class Ann(Guest):
    topic = ""  # of the hall, when she came


def enter(port: int, is_new: bool = False) -> Ann:
    ann = Ann(port)
    if is_new:
        ann.register("ann")
        for each in range(5):
            with Guest(port) as guest:
                guest.register(f"muted{each}")
    else:
        assert ann.log_in("ann")["type"] == "account"
    ann.say("join", username="ann", room="hall")
    ann.topic = ann.read_until("welcome")["topic"]
    return ann


def one_round(
    port: int, number: int, told: Told, chance: random.Random, server: subprocess.Popen
) -> Told:
    """Do this and that, and kill the server somewhere in it."""
    ann = enter(port, is_new=number == 0)
    if number == 0:
        ann.say("register_room", id="mine")
        ann.read_until("ok", id="mine")
    todo = steps(number, sorted(told.bans), chance)
    last, oks = chance.randrange(1, len(todo)), 0  # the kill comes behind this one
    told.account = f"new{number}"
    with Guest(port) as guest:
        for count, (type, fields) in enumerate(todo[:last]):
            room = {} if type == "topic" else {"room": "hall"}
            ann.say(type, **fields, **room, id=f"{number} {count}")
            if count < last - 6:  # the last ones are on their way
                ann.read_until("ok")
                oks += 1
            elif count == last - 3:  # at the same time, somebody makes an account
                guest.say("register", username=told.account, password=RIGHT, id=1)
        end = time.monotonic() + chance.random() * 0.006
        while time.monotonic() < end:
            pass
        server.send_signal(signal.SIGKILL)
        oks += sum(event["type"] == "ok" for event in rest_of(ann))
        told.is_made = any(event["type"] == "account" for event in rest_of(guest))
    ann.close()
    for step in todo[:oks]:
        told.take(step)
    told.maybe = todo[oks:last]
    return told


def rest_of(guest: Guest) -> list[dict]:
    """What has come before the connection ended; the last line may be cut."""
    found = []
    while True:
        try:
            found.append(guest.read())
        except (AssertionError, ConnectionError, ValueError):
            return found


def check_file(path: Path, told: Told) -> Told:
    """All that was answered is there, and of the rest a beginning, in order."""
    seen = seen_in(path)
    more = len(seen.actions) - len(told.actions)
    assert 0 <= more <= len(told.maybe), "what got its `ok` is there"
    for step in told.maybe[:more]:
        told.take(step)
    assert seen.actions == told.actions and seen.bans == told.bans
    return told


def check_after_restart(port: int, told: Told) -> Told:
    """The next server goes by it, and an account is there as a whole, or not at all."""
    ann, listed, more, after = enter(port), set(), True, None
    assert ann.topic == told.topic
    while more:
        ann.say("bans", room="hall", **({"after": after} if after else {}))
        page = ann.read_until("bans")
        listed |= {ban["target"] for ban in page["bans"]}
        more = page.get("more", False)
        after = page["bans"][-1]["target"] if page["bans"] else None
    assert listed == told.bans
    for name in sorted(told.muted):
        with Guest(port) as guest:
            assert guest.log_in(name)["type"] == "account"
            guest.say("join", username=name, room="hall")
            guest.read_until("users")
            assert guest.ask("message", content="hello")["code"] == "muted"
    with Guest(port) as guest:
        answer = guest.log_in(told.account)
        if answer["type"] == "error":
            assert answer["code"] == "bad_login" and not told.is_made
            guest.register(told.account)
    ann.close()
    return told
