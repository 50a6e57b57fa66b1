"""Writes protocol/, the contract for clients in other languages: `python tools/contract.py`, or with --check says whether it is up to date."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

import python_tcp
from python_tcp.accounts import Accounts
from python_tcp.commands import ChangePassword, Command, DeleteAccount, Join, Leave
from python_tcp.commands import Lock, Login, Ping, Pong, Register
from python_tcp.commands import OfferFile
from python_tcp.delivery import TokenBucket
from python_tcp.events import Error, FileUpload, Goodbye, Welcome, goodbye
from python_tcp.file_rules import FileError, FileState, Offer, StoredFile
from python_tcp.file_rules import clean_file_name
from python_tcp.file_space import FileSpace
from python_tcp.logins import weakness
from python_tcp.members import User
from python_tcp.messages import MemoryStore
from python_tcp.moderation import Moderation
from python_tcp.protocol import JSONLines, Limits, encode, schema
from python_tcp.rooms import Delivery, Rooms

FOLDER = Path(__file__).resolve().parent.parent / "protocol"
START = 1_700_000_000.0  # Unix time of the first line
EPOCH = "0123abcd"
CHAPTER = Path(python_tcp.__file__).parents[1] / "nbs" / "019_protocol.ipynb"
TABLE = re.compile(r"^\| code \| when \|\n(?:\|.*\n)+", re.M)


class Script(NamedTuple):
    """What the clients do. A line `ann > TEXT` is sent, `ann >x FF` is sent as bytes, `ann x` closes the connection, `ann ~` stays silent."""

    lines: str
    limits: Limits = Limits()
    pace: float = 0.25  # seconds from one line to the next


SCRIPTS = {
    "accounts": Script("""
# needs accounts
# Ann makes an account, on her computer at home. From now on, the name is hers.
home > {"type": "register", "username": "Ann", "password": "correct horse", "id": 1}
home > {"type": "join", "username": "Ann"}
# Eve wants her name, in other letters as well. A password that is too short, or that everybody tries first, is none.
eve > {"type": "join", "username": "ANN", "id": 1}
eve > {"type": "login", "username": "Ann", "password": "12345678", "id": 2}
eve > {"type": "register", "username": "ann", "password": "12345678", "id": 3}
eve > {"type": "register", "username": "eve", "password": "short", "id": 4}
eve > {"type": "register", "username": "eve", "password": "password", "id": 6}
eve > {"type": "join", "username": "eve"}
eve > {"type": "logout", "id": 5}
# Ann logs in on her phone. For Eve she is there once; each of her clients hears everything.
phone > {"type": "login", "username": "ann", "password": "correct horse", "id": 1}
phone > {"type": "join", "username": "Ann"}
eve > {"type": "message", "content": "Hello, Ann."}
phone > {"type": "message", "content": "Hello, Eve.", "id": 2}
# What was read on one is read on the other.
phone > {"type": "read", "room": "lobby", "seq": 2}
# Another room, entered on one of them, is entered on both.
home > {"type": "join", "username": "Ann", "room": "dev"}
# The phone logs out; at home Ann stays.
phone > {"type": "logout", "id": 3}
# In a library, Ann forgets to log out. A new password ends all her other clients.
library > {"type": "login", "username": "ann", "password": "correct horse", "id": 1}
library > {"type": "join", "username": "Ann"}
home > {"type": "password", "old": "wrong horse", "new": "battery staple", "id": 3}
home > {"type": "password", "old": "correct horse", "new": "battery staple", "id": 4}
# Nobody has to keep an account.
home > {"type": "delete_account", "password": "battery staple", "id": 5}
""", Limits(flood_burst=0)),
    "moderation": Script("""
# needs accounts
# needs moderation
# Ann has an account, and registers the room where she is. So she is its first moderator.
ann > {"type": "register", "username": "ann", "password": "correct horse"}
ann > {"type": "join", "username": "ann"}
bob > {"type": "join", "username": "bob"}
bob > {"type": "register_room", "id": 1}
ann > {"type": "register_room", "id": 1}
ann > {"type": "register_room", "id": 2}
ann > {"type": "topic", "topic": "Gardens, and nothing else", "id": 3}
# Bob may not do what a moderator does.
bob > {"type": "kick", "to": "ann", "id": 2}
# What he says can be taken back, and for a minute he may say nothing. A message of nobody can't be deleted.
bob > {"type": "message", "content": "buy my cars", "id": 3}
ann > {"type": "delete", "seq": 1, "id": 4}
ann > {"type": "delete", "seq": 99, "id": 5}
ann > {"type": "mute", "to": "bob", "seconds": 60, "reason": "advertising", "id": 6}
bob > {"type": "message", "content": "more cars", "id": 4}
ann > {"type": "mute", "to": "bob", "seconds": 0, "id": 7}
# Kicked out, one may come back; banned, not.
ann > {"type": "kick", "to": "bob", "reason": "enough", "id": 8}
bob > {"type": "join", "username": "bob", "id": 5}
ann > {"type": "ban", "target": "bob", "room": "lobby", "seconds": 3600, "reason": "cars", "id": 9}
bob > {"type": "join", "username": "bob", "id": 6}
ann > {"type": "bans", "room": "lobby"}
ann > {"type": "unban", "target": "bob", "room": "lobby", "id": 10}
ann > {"type": "unban", "target": "bob", "room": "lobby", "id": 11}
ann > {"type": "ban", "target": "a b", "room": "lobby", "id": 20}
# A ban from the whole server is for its operators.
ann > {"type": "ban", "target": "192.0.2.0/24", "id": 12}
# The door is locked: by invitation, or with a password.
ann > {"type": "lock", "password": "open sesame", "id": 13}
bob > {"type": "join", "username": "bob", "id": 7}
bob > {"type": "join", "username": "bob", "password": "open sesame", "id": 8}
bob > {"type": "leave", "room": "lobby"}
ann > {"type": "lock", "id": 14}
ann > {"type": "invite", "to": "bob", "id": 15}
bob > {"type": "join", "username": "bob", "id": 9}
ann > {"type": "unlock", "id": 16}
ann > {"type": "unlock", "id": 17}
# Bob has no account, and can't be a moderator. Cy has one.
ann > {"type": "op", "to": "bob", "id": 18}
cy > {"type": "register", "username": "cy", "password": "correct horse"}
cy > {"type": "join", "username": "cy"}
ann > {"type": "op", "to": "cy", "id": 19}
cy > {"type": "deop", "to": "ann", "id": 2}
""", Limits(flood_burst=0)),
    "talking": Script("""
# Ann comes first, and is alone in the lobby.
ann > {"type": "join", "username": "Ann"}
# Bob comes. He is told who is there, and Ann hears of him.
bob > {"type": "join", "username": "Bob"}
# A message goes to everybody in the room, the sender too. The server sets the name, the number and the time.
bob > {"type": "message", "content": "hello, Ann"}
# With an id there is an answer to the sender alone: now the message is safe.
ann > {"type": "message", "content": "hello, Bob \\ud83d\\udc4b", "id": 1}
# What a client claims of itself is ignored, and so are fields that nobody knows.
bob > {"type": "message", "content": "I am Ann", "username": "Ann", "timestamp": 0, "seq": 99, "color": "red"}
# Either side may ask whether the other is there.
ann > {"type": "ping"}
bob > {"type": "ping", "id": "still there?"}
# Bob closes his connection without a word; Ann leaves properly.
bob x
ann > {"type": "leave"}
"""),
    "files": Script("""
# needs files
ann > {"type": "join", "username": "ann"}
# Ann offers a file, and is told where to bring its bytes by HTTP. Its name is text, and is cleaned. When all of them have come, it is said in the room, and she gets an `ok`.
ann > {"type": "offer_file", "id": "f1", "name": "../photo.jpg", "size": 900, "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
# The same offer once more goes on where it stopped; nothing has come yet.
ann > {"type": "offer_file", "id": "f1", "name": "../photo.jpg", "size": 900, "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
# What can't be taken is refused at once.
ann > {"type": "offer_file", "id": "f2", "name": "film.mp4", "size": 1001, "sha256": "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"}
ann > {"type": "offer_file", "id": "f3", "name": "second.jpg", "size": 9, "sha256": "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"}
ann > {"type": "offer_file", "id": "f4", "name": "", "size": 9, "sha256": "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"}
ann > {"type": "offer_file", "id": "f5", "name": "a.jpg", "size": 9, "sha256": "1f4d"}
ann > {"type": "offer_file", "id": "f6", "name": "a.jpg", "size": 9, "sha256": "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210", "room": "dev"}
""", Limits(file_bytes=1000, uploads_per_person=1)),
    "rooms": Script("""
# The names of rooms are lower-cased, those of people stay as they are, and neither is compared with its case.
ann > {"type": "join", "username": "Ann", "room": "Dev"}
bob > {"type": "join", "username": "Bob"}
# Ann enters a second room. Her name stays the same.
ann > {"type": "join", "username": "ann", "room": "lobby"}
# Who names no room means the one that was joined last.
ann > {"type": "message", "content": "good morning", "id": 1}
# Each room has its own numbers, and only those in it hear.
ann > {"type": "message", "content": "nobody is here", "room": "dev", "id": 2}
ann > {"type": "rooms"}
ann > {"type": "users"}
ann > {"type": "users", "room": "DEV"}
# Leaving one room is heard by all in it, and by who leaves.
ann > {"type": "leave", "room": "lobby"}
ann > {"type": "rooms"}
# The room goes away with its last member; its numbers go on.
ann > {"type": "leave", "room": "dev"}
bob > {"type": "rooms"}
ann > {"type": "join", "username": "Ann", "room": "dev"}
ann > {"type": "message", "content": "back again"}
"""),
    "whispers": Script("""
# Three people, one of them in another room.
ann > {"type": "join", "username": "Ann"}
bob > {"type": "join", "username": "Bob"}
cid > {"type": "join", "username": "Cid", "room": "dev"}
# A whisper goes to both ends and to nobody else, whatever rooms they are in.
ann > {"type": "whisper", "to": "cid", "content": "psst"}
cid > {"type": "whisper", "to": "Ann", "content": "yes?", "id": "w1"}
# To oneself: once.
ann > {"type": "whisper", "to": "Ann", "content": "buy milk"}
# A status is heard in every room that its owner is in, and the list of users has those who are not simply online.
bob > {"type": "status", "status": "at lunch"}
ann > {"type": "users"}
cid > {"type": "join", "username": "Cid"}
bob > {"type": "status", "status": "online"}
ann > {"type": "users"}
"""),
    "errors": Script("""
# What is wrong costs its sender one error, and nobody else notices. Before joining:
bob > {"type": "join", "username": "Bob"}
ann > {"type": "message", "content": "hello?", "id": 1}
ann > {"type": "join", "username": "Ann Smith"}
ann > {"type": "join", "username": "Ann", "room": "#dev"}
ann > {"type": "join", "username": "bob", "id": 2}
ann > {"type": "join", "username": "Ann"}
# Not JSON, or not UTF-8 (`>x` shows the bytes in hexadecimal):
ann > hello
ann >x 7b 22 74 79 70 65 22 3a 20 22 ff 22 7d
ann > {"type": "ping"} {"type": "ping"}
# JSON, but no message:
ann > ["ping"]
ann > {"content": "hello"}
ann > {"type": "dance"}
ann > {"type": "message", "id": 3}
# A good line in between: ten bad ones in a row would end the connection.
ann > {"type": "pong"}
ann > {"type": "message", "content": 5, "id": 4}
ann > {"type": "message", "content": "\\u001b[2J", "id": 5}
ann > {"type": "status", "status": "this status has more than 80 characters, which is more than a line of the list of users can take"}
# Well said, but against the rules:
ann > {"type": "join", "username": "Ann", "id": 6}
ann > {"type": "join", "username": "Anna", "room": "dev", "id": 7}
ann > {"type": "message", "content": "hi", "room": "dev", "id": 8}
ann > {"type": "whisper", "to": "Dora", "content": "psst", "id": 9}
bob > {"type": "history", "before": 5, "after": 3, "id": 10}
# Message 11 was never said, so what follows it must wait:
bob > {"type": "message", "content": "second", "id": 12, "follows": 11}
# And all is well:
bob > {"type": "message", "content": "has anything happened?"}
"""),
    "history": Script("""
# What was said can be asked for, in pages.
ann > {"type": "join", "username": "Ann"}
ann > {"type": "message", "content": "one"}
ann > {"type": "message", "content": "two"}
ann > {"type": "message", "content": "three"}
ann > {"type": "message", "content": "four"}
ann > {"type": "message", "content": "five"}
# The last two. There are more in this direction: backwards.
ann > {"type": "history", "limit": 2, "id": "a"}
ann > {"type": "history", "limit": 2, "before": 4, "id": "b"}
ann > {"type": "history", "limit": 2, "before": 2, "id": "c"}
# Forwards:
ann > {"type": "history", "limit": 3, "after": 1, "id": "d"}
ann > {"type": "history", "limit": 3, "after": 4, "id": "e"}
# needs history_messages 5
# With `since`, who joins gets what came after that number. This memory keeps five messages of a room: number 1 is lost by now.
ann > {"type": "message", "content": "six"}
bob > {"type": "join", "username": "Bob", "since": 0}
bob > {"type": "leave"}
cid > {"type": "join", "username": "Cid", "since": 5}
# A number that is higher than any here is one of another numbering: everything is sent.
dan > {"type": "join", "username": "Dan", "since": 99}
""", Limits(history_messages=5)),
    "coming back": Script("""
# A client comes back after a lost connection.
ann > {"type": "join", "username": "Ann"}
bob > {"type": "join", "username": "Bob"}
ann > {"type": "message", "content": "one", "id": 1}
# Ann says something, and her connection is lost. Suppose that she has not seen the last `ok`.
ann > {"type": "message", "content": "two", "id": 2}
ann x
# For a while (`resume_window` in the welcome), her name and her place are held: Bob hears nothing, and sees her in the list.
bob > {"type": "users"}
bob > {"type": "message", "content": "where is Ann?"}
# A whisper waits for her. `not_delivered` would say that too much waits already, or later that she has not come back.
bob > {"type": "whisper", "to": "Ann", "content": "are you there?", "id": 1}
# (Nobody else gets the name. The refusal is `name_taken`, and its `retry_after` says how long the name is held.)
# She comes back: with the token of her welcome she is the same client, and `since` is the last number that she has seen.
ann2 > {"type": "join", "username": "Ann", "token": "the-first-token-1", "since": 1}
# What had no `ok` is sent again, with the same id: the same `ok`, and nobody hears it twice.
ann2 > {"type": "message", "content": "two", "id": 2}
ann2 > {"type": "message", "content": "here I am", "id": 3}
# Her connection is dead once more, but this time the server has not noticed. The token takes the name back from the ghost.
# The numbers tell that nothing was missed.
ann3 > {"type": "join", "username": "Ann", "token": "the-first-token-1", "since": 4}
# Without the token, the name is taken.
eve > {"type": "join", "username": "Ann", "token": "a-token-that-is-made-up"}
# Tokens come from the server alone. For one that it does not know, of another server perhaps, there is a new session: the
# welcome has another token.
eve > {"type": "join", "username": "Eve", "token": "a-token-of-another-server", "since": 99}
"""),
    "goodbyes": Script("""
# How a conversation ends. Leaving:
ann > {"type": "join", "username": "Ann"}
ann > {"type": "leave"}
# Who has not joined may leave as well:
bob > {"type": "leave"}
# Replaced by oneself:
cid > {"type": "join", "username": "Cid"}
cid2 > {"type": "join", "username": "Cid", "token": "the-first-token-2"}
# Ten bad lines in a row:
dan > {"type": "join", "username": "Dan"}
dan > What a nice chat.
dan > Is anybody here?
dan > Hello?
dan > I can't see what I type.
dan > help
dan > /help
dan > ?
dan > ls -l
dan > exit
dan > bye
"""),
    "too fast": Script("""
# needs flood_burst 2
# needs flood_rate 0.1
# needs flood_excess 3
# This server takes two commands at once, and then one each ten seconds. Joining is the first.
ann > {"type": "join", "username": "Ann"}
ann > {"type": "message", "content": "one", "id": 1}
# `retry_after` says in how many seconds to try again.
ann > {"type": "message", "content": "two", "id": 2}
# A pong costs a token as well, but it is an answer, and has none.
ann > {"type": "pong"}
# Three in a row are too fast here, the pong is one of them; who goes on after that has to go.
ann > {"type": "message", "content": "two", "id": 2}
ann > {"type": "message", "content": "two", "id": 2}
""", Limits(flood_burst=2, flood_rate=0.1, flood_excess=3), pace=0.0),
    "silence": Script("""
# needs ping_after 1
# needs ping_timeout 1
# When nothing is heard for `ping_after` seconds, the server asks. Anything is an answer.
ann > {"type": "join", "username": "Ann"}
ann ~
ann > {"type": "pong"}
# Without an answer within `ping_timeout` seconds, the connection ends.
ann ~
ann ~
""", Limits(ping_after=1.0, ping_timeout=1.0)),
    "gone": Script("""
# needs resume_window 3
# Ann's connection is lost. Her place is held for `resume_window` seconds, which are few here.
ann > {"type": "join", "username": "Ann"}
bob > {"type": "join", "username": "Bob"}
ann x
bob > {"type": "users"}
# A whisper waits for her.
bob > {"type": "whisper", "to": "Ann", "content": "are you there?", "id": 1}
# She does not come back in time. Only now she has left, and Bob hears that she has not got his whisper.
bob ~
""", Limits(resume_window=3.0), pace=1.0),
}  # fmt: skip


def hashed(password: str) -> str:
    return f"hash of {password}"


class Stage:
    """Plays a script: what the clients send goes through dialect, flood control and rules, without a network."""

    def __init__(self, script: Script) -> None:
        self.sessions = 0  # that were begun, each with a token of its own
        self.limits = script.limits
        store = MemoryStore(script.limits.history_messages, epoch=EPOCH)
        self.rooms = Rooms(script.limits, store)
        self.accounts = Accounts(self.rooms)
        self.moderation = Moderation(self.rooms, self.accounts)
        self.files: list[StoredFile] = []
        self.space = FileSpace(self.limits)
        if "# needs files" in script.lines:
            self.rooms.add_rules({OfferFile: self.offer_file})
            self.rooms.add_feature("files")
        self.clients: dict[str, int] = {}  # by the name of the connection
        self.buckets: dict[str, TokenBucket] = {}
        self.bad_lines: dict[str, int] = {}
        self.asked: set[str] = set()

    def play(self, name: str, sign: str, text: str, now: float) -> Iterator[str]:
        """The lines of the transcript that follow from one of the script."""
        client = self.clients.setdefault(name, len(self.clients) + 1)
        names = {number: name for name, number in self.clients.items()}
        deliveries = self.deliveries(name, client, sign, text, now)
        last = [each for each in deliveries if isinstance(each.event, Goodbye)]
        for (each,), event in last:  # the server closes those connections
            end = self.rooms.lost if event.reconnect else self.rooms.disconnect
            deliveries += end(each, now)
        for to, event in deliveries:
            for each in to:
                yield f"{names[each]} < {encode(event).decode().rstrip()}"

    def deliveries(
        self, name: str, client: int, sign: str, text: str, now: float
    ) -> list[Delivery]:
        if sign == "x":
            return self.rooms.lost(client, now)
        if sign == "~":
            if gone := self.rooms.expire(now):
                return gone
            last = goodbye("idle") if name in self.asked else Ping()
            self.asked.add(name)
            return [Delivery((client,), last)]
        self.asked.discard(name)
        line = bytes.fromhex(text) if sign == ">x" else text.encode()
        [command] = JSONLines().receive(line + b"\n")
        if isinstance(command, Error):
            return self.bad_line(name, client, command)
        self.bad_lines[name] = 0
        wait = self.too_fast(name, command, now)
        if wait and not isinstance(command, Pong):
            return self.refuse(name, client, command, wait)
        checked = self.without_passwords(client, command, now)
        if isinstance(checked, list):
            return checked
        command = checked
        token = f"the-first-token-{self.sessions + 1}"
        answer = self.rooms.handle(client, command, now, token)
        self.sessions += any(
            isinstance(event, Welcome) and event.token == token for _, event in answer
        )
        return answer

    def without_passwords(
        self, client: int, command: Command, now: float
    ) -> Command | list[Delivery]:
        """With hashes in their place, as a server does it; or the answer to a wrong one.
        What is hashed here is no secret, and so the hash is simple.
        """
        account = self.accounts.account_of(client)
        match command:
            case Join(room=room, password=str(password)):
                right = self.moderation.lock_hash(room.lower()) == hashed(password)
                return replace(command, password=hashed(password) if right else None)
            case Lock(password=str(password)):
                return replace(command, password=hashed(password))
            case Register() | Login() | ChangePassword() | DeleteAccount():
                if refusal := self.accounts.refusal(client, command, now):
                    return refusal
        match command:
            case Register(password=password):
                if why := weakness(password, command.username):
                    return [
                        Delivery((client,), Error("weak_password", why, command.id))
                    ]
                return replace(command, password=hashed(password))
            case Login(username=name, password=password):
                account, wrong = (
                    self.accounts.find(name),
                    "the name or the password is wrong",
                )
            case ChangePassword(old=password) | DeleteAccount(password=password):
                wrong = "the password is wrong"
            case _:
                return command
        if account is None or account.hash != hashed(password):
            return [Delivery((client,), Error("bad_login", wrong, command.id))]
        if isinstance(command, ChangePassword):
            return replace(command, old=hashed(password), new=hashed(command.new))
        return replace(command, password=hashed(password))

    def offer_file(self, user: User, command: OfferFile, now: float) -> list[Delivery]:
        """As a file server answers, where no bytes come."""
        room, name = user.room_named(command.room).name, clean_file_name(command.name)
        who, what = (
            (user.name, user.name, "", command.id),
            (command.size, command.sha256),
        )
        offer = Offer(*who, room, name, *what)
        found = [each for each in self.files if each.is_for(offer)]
        try:
            if not found:
                self.space.check(offer)
                number = len(self.files) + 1
                parts = number, offer, "key", "secret", FileState.PARTIAL, now
                found = [StoredFile(*parts)]
                self.files += found
                self.space.count(found[0], 0)
        except FileError as error:
            answer = Error(error.code, str(error), command.id)
            return [Delivery((user.client,), answer)]
        url = f"http://localhost:8002/uploads/{found[0].number}/the-secret-of-the-file"
        upload = FileUpload(command.id, found[0].number, name, url, received=0)
        return [Delivery((user.client,), upload)]

    def bad_line(self, name: str, client: int, error: Error) -> list[Delivery]:
        self.bad_lines[name] = self.bad_lines.get(name, 0) + 1
        told = [Delivery((client,), error)]
        if self.bad_lines[name] == self.limits.bad_lines:
            told.append(Delivery((client,), goodbye("bad_message")))
        return told

    def too_fast(self, name: str, command: Command, now: float) -> float:
        """In how many seconds it may try again; 0 if it may go on."""
        burst, rate = self.limits.flood_burst, self.limits.flood_rate
        bucket = self.buckets.setdefault(name, TokenBucket(burst, now))
        free = not burst or (isinstance(command, Leave) and command.room is None)
        return 0.0 if free else bucket.wait(burst, rate, now)

    def refuse(
        self, name: str, client: int, command: Command, wait: float
    ) -> list[Delivery]:
        if self.buckets[name].refused > self.limits.flood_excess:
            return [Delivery((client,), goodbye("rate_limited"))]
        id = getattr(command, "id", None)
        error = Error("rate_limited", f"too fast: wait {wait:g} s", id, wait)
        return [Delivery((client,), error)]


def transcript(script: Script) -> str:
    """The whole conversation."""
    stage, now, lines = Stage(script), START, []
    for line in script.lines.strip().splitlines():
        lines.append(line)
        if not line.startswith("#"):
            name, sign, *text = line.split(" ", 2)
            lines += stage.play(name, sign, "".join(text), now)
            now += script.pace
    return "\n".join(lines) + "\n"


def readme() -> str:
    """The README, with the chapter's table of codes."""
    cells = json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]
    texts = ("".join(cell["source"]) + "\n" for cell in cells)
    [table] = [found for text in texts for found in TABLE.findall(text)]
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    return TABLE.sub(lambda _: table, text)


def files() -> dict[Path, str]:
    """What is to be written, and where."""
    made = {FOLDER / "schema.json": json.dumps(schema(), indent=2) + "\n"}
    made[FOLDER / "README.md"] = readme()
    return made | {
        FOLDER / "transcripts" / f"{name.replace(' ', '_')}.txt": transcript(script)
        for name, script in SCRIPTS.items()
    }


def main() -> int:
    made = files()
    there = {FOLDER / "schema.json", *(FOLDER / "transcripts").glob("*.txt")}
    if "--check" not in sys.argv:
        for path in there - made.keys():
            path.unlink(missing_ok=True)
        for path, text in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        return 0
    wrong = sorted(
        path.name
        for path in made.keys() | there
        if not path.exists() or made.get(path) != path.read_text(encoding="utf-8")
    )
    if wrong:
        print(
            f"protocol/ differs from what the package says ({', '.join(wrong)}); run: make export",
            file=sys.stderr,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
