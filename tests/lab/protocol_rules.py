"""The rules of version 1 of the protocol, without a network: for the two Python servers beside it.

Written from protocol/README.md and protocol/schema.json alone. It has no accounts and no moderation.
"""

import json
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

LIMITS = {"line": 16_384, "content": 4000, "server_line": 65_536, "rooms": 20}
LIMITS |= {"flood_burst": 20, "flood_rate": 5, "flood_excess": 100}
LIMITS |= {"ping_after": 30, "ping_timeout": 20, "resume_window": 60}
LIMITS |= {"history_messages": 1000}
PAGE, IDS, BAD_LINES = 100, 256, 10
EPOCH = secrets.token_hex(4)
SCHEMA = Path(__file__).resolve().parents[2] / "protocol" / "schema.json"
TYPES = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
COMMANDS = {}
for _ref in TYPES["command"]["anyOf"]:
    _type = TYPES[_ref["$ref"].rpartition("/")[2]]
    COMMANDS[_type["properties"]["type"]["enum"][0]] = _type
ACCOUNTS = {"register", "login", "logout", "password", "delete_account", "read"}
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")
HALF = re.compile("[\ud800-\udfff]")


class Wrong(Exception):
    """What is said in an `error`."""

    def __init__(self, code: str, content: str, **more: object) -> None:
        self.event = {"type": "error", "code": code, "content": content, **more}


# --- from lines to commands -----------------------------------------------------------------------


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def parse(line: bytes) -> dict:
    """The command in a line, with its defaults."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise Wrong("bad_utf8", f"byte {error.start} is not UTF-8") from None
    try:
        fields = json.loads(text, parse_constant=no_constant)
        if HALF.search(json.dumps(fields, ensure_ascii=False)):
            raise ValueError("half of a surrogate pair")
    except (ValueError, RecursionError) as error:
        raise Wrong("bad_json", str(error)) from None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise Wrong("bad_message", "expected an object with a `type`")
    try:
        return check_fields(fields)
    except Wrong as wrong:
        properties = TYPES["Ok"]["properties"]
        if (id := fields.get("id")) is not None and fits(id, properties["id"]):
            wrong.event["id"] = id
        raise


def check_fields(fields: dict) -> dict:
    kind = COMMANDS.get(fields["type"])
    if kind is None:
        raise Wrong("unknown_type", f"`type`: {fields['type'][:40]!a} is not known")
    command = {}
    for name, schema in kind["properties"].items():
        if name not in fields and name in kind["required"]:
            raise Wrong("bad_message", f"`{name}` is missing")
        value = fields.get(name, schema.get("default"))
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if name in fields and not fits(value, schema):
            raise Wrong(code_for(name, value, schema), f"`{name}` is wrong")
        command[name] = value
    for name in ("content", "status"):
        if found := UNSAFE.search(command.get(name) or ""):
            what = f"U+{ord(found[0]):04X}"
            raise Wrong("bad_message", f"`{name}`: {what} is not allowed")
    if re.search("[\t\n]", command.get("status") or ""):
        raise Wrong("bad_message", "`status`: tabs and newlines are not allowed")
    return command


def fits(value: object, schema: dict) -> bool:
    """Is this what the schema says?"""
    if "anyOf" in schema:
        return any(fits(value, each) for each in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    match schema["type"]:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string" if isinstance(value, str):
            long = (
                schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1e9)
            )
            return long and re.search(schema.get("pattern", ""), value) is not None
        case "integer" | "number" if not isinstance(value, bool):
            number = isinstance(
                value, int | float if schema["type"] == "number" else int
            )
            least, most = schema.get("minimum", -1e300), schema.get("maximum", 1e300)
            return number and least <= value <= most
    return False


def code_for(name: str, value: object, schema: dict) -> str:
    if isinstance(value, str) and name in ("username", "to"):
        return "bad_name"
    if isinstance(value, str) and name == "room":
        return "bad_room"
    if isinstance(value, str) and len(value) > schema.get("maxLength", 1e9):
        return "too_long"
    return "bad_message"


# --- who is where ---------------------------------------------------------------------------------


class Client:
    """A connection. `write` takes bytes and never blocks; `close` comes after them."""

    def __init__(self, write: Callable, close: Callable) -> None:
        self.write, self.close = write, close
        self.person, self.bad_lines, self.ended = None, 0, False
        self.tokens, self.filled, self.refused = LIMITS["flood_burst"], time.time(), 0

    def tell(self, **event: object) -> None:
        if not self.ended:
            self.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")

    def wait(self) -> float:
        """Take a token, or say in how many seconds there is one."""
        burst, rate, now = LIMITS["flood_burst"], LIMITS["flood_rate"], time.time()
        self.tokens = min(burst, self.tokens + (now - self.filled) * rate)
        self.filled = now
        if not burst or self.tokens >= 1:
            self.tokens, self.refused = self.tokens - 1, 0
            return 0
        self.refused += 1
        return (1 - self.tokens) / rate


class Person:
    """Somebody who has joined. Without a client, the connection is lost."""

    def __init__(self, name: str) -> None:
        self.name, self.token = name, secrets.token_urlsafe(16)
        self.client, self.status, self.timer = None, "online", None
        self.rooms: dict[str, Room] = {}  # the one entered last comes last
        self.away: set[str] = set()  # places that are only held
        self.ids: dict[object, dict] = {}  # of what was taken, with the `ok`
        self.waiting: list[tuple[dict, Person, object]] = []  # whispers

    def tell(self, **event: object) -> None:
        if self.client:
            self.client.tell(**event)

    def room(self, name: str | None) -> "Room":
        here = [each for each in self.rooms if each not in self.away]
        wanted = name.lower() if name else here[-1] if here else None
        if wanted not in here:
            raise Wrong("not_joined", f"you are not in {wanted or 'a room'}")
        return self.rooms[wanted]


class Room:
    def __init__(self, name: str) -> None:
        self.name, self.seq = name, 0
        self.members: dict[str, Person] = {}
        self.history: deque[dict] = deque(maxlen=int(LIMITS["history_messages"]))

    def tell(self, **event: object) -> None:
        for person in self.members.values():
            if self.name not in person.away:
                person.tell(room=self.name, timestamp=time.time(), **event)

    def users(self, after: str | None) -> dict:
        names = [each for each in sorted(self.members) if each > (after or "").lower()]
        page = [self.members[each] for each in names[:PAGE]]
        statuses = {each.name: each.status for each in page if each.status != "online"}
        page_names = [each.name for each in page]
        event = {
            "type": "users",
            "room": self.name,
            "users": page_names,
            "after": after,
        }
        return {**event, "statuses": statuses, "more": len(names) > PAGE}

    def page(self, before: int | None, after: int | None, limit: int, **id) -> dict:
        first = self.history[0]["seq"] if self.history else self.seq + 1
        if after is not None:
            found = fitting([it for it in self.history if it["seq"] > after][:limit])
            more = bool(found) and found[-1]["seq"] < self.seq
            lost = max(0, first - 1 - after)
        else:
            stop = self.seq if before is None else min(before - 1, self.seq)
            latest = [it for it in self.history if it["seq"] <= stop][-limit:]
            found = fitting(latest[::-1])[::-1]
            more = bool(found) and found[0]["seq"] > first
            lost = 0 if more else max(0, stop - len(found))
        event = {"type": "history", "room": self.name, "messages": found}
        return {**event, "more": more, "lost": lost, **id}


def fitting(messages: list[dict]) -> list[dict]:
    """The first ones that fit into a line."""
    found, size = [], 1000
    for message in messages:
        size += len(json.dumps(message, ensure_ascii=False).encode()) + 2
        if size > LIMITS["server_line"]:
            break
        found.append(message)
    return found


# --- what a server does ---------------------------------------------------------------------------

BEFORE = {"join", "leave", "ping", "pong"}


class Chat:
    """Who is there. `later(seconds, function)` calls it then, and its result has `cancel`."""

    def __init__(self, later: Callable) -> None:
        self.later = later
        self.people: dict[str, Person] = {}
        self.rooms: dict[str, Room] = {}

    def receive(self, client: Client, line: bytes | None) -> None:
        """One line; None for one that is too long."""
        if client.ended:
            return
        command = None
        try:
            if line is None:
                raise Wrong("too_long", f"a line may have {LIMITS['line']} bytes")
            command = parse(line)
            client.bad_lines = 0
        except Wrong as wrong:
            client.bad_lines += 1
            answer = wrong.event
        if client.bad_lines < BAD_LINES and (wait := client.wait()):
            id = command.get("id") if command else answer.get("id")
            return self.too_fast(client, command, wait, {"id": id} if id else {})
        if command is None:
            client.tell(**answer)
            if client.bad_lines == BAD_LINES:
                self.goodbye(client, "bad_message", reconnect=False)
            return
        id = {} if command.get("id") is None else {"id": command["id"]}
        try:
            self.follow(client, command, id)
        except Wrong as wrong:
            client.tell(**wrong.event, **id)

    def too_fast(self, client: Client, command, wait: float, id: dict) -> None:
        if client.refused > LIMITS["flood_excess"]:
            self.goodbye(client, "rate_limited", reconnect=True, retry_after=wait)
        elif command is None or command["type"] != "pong":
            error = Wrong("rate_limited", "too fast", retry_after=wait, **id)
            client.tell(**error.event)

    def follow(self, client: Client, command: dict, id: dict) -> None:
        kind = command["type"]
        rule = getattr(self, f"do_{kind}", None)
        if kind in ACCOUNTS:
            raise Wrong("no_accounts", "this server has no accounts")
        if rule is None:
            raise Wrong("unknown_type", f"this server does not know {kind}")
        if kind not in BEFORE and client.person is None:
            raise Wrong("not_joined", "join first")
        rule(client, client.person, command, id)

    def do_join(self, client: Client, person: Person | None, command, id) -> None:
        name, where = command["username"], command["room"].lower()
        if person is None:
            person, waiting = self.admit(client, name, command["token"])
        elif name.lower() != person.name.lower():
            raise Wrong("already_joined", f"you are {person.name}")
        elif where in person.rooms and where not in person.away:
            raise Wrong("already_joined", f"you are in {where}")
        elif where not in person.rooms and len(person.rooms) >= LIMITS["rooms"]:
            raise Wrong("bad_room", "one room too many")
        else:
            waiting = []
        room = self.rooms.setdefault(where, Room(where))
        if where not in person.rooms:
            room.tell(type="join", username=person.name)
            room.members[person.name.lower()] = person
        person.rooms.pop(where, None)
        person.rooms[where] = room
        person.away.discard(where)
        hello = {"username": person.name, "room": where, "token": person.token}
        hello |= {"seq": room.seq, "epoch": EPOCH, "limits": LIMITS}
        text = f"Welcome, {person.name}."
        client.tell(type="welcome", content=text, protocol=1, features=[], **hello)
        client.tell(**room.users(None))
        if (since := command["since"]) is not None:
            client.tell(**room.page(None, since if since <= room.seq else 0, 1000))
        for whisper, _, _ in waiting:
            client.tell(**whisper)

    def admit(
        self, client: Client, name: str, token: str | None
    ) -> tuple[Person, list]:
        """Who has this name from now on, and the whispers that wait."""
        person = self.people.get(name.lower())
        if person and not (token and secrets.compare_digest(person.token, token)):
            raise Wrong("name_taken", f"{person.name} is taken", retry_after=1)
        if person is None:
            person = self.people[name.lower()] = Person(name)
        elif person.client:
            older, person.client.person = person.client, None
            self.goodbye(older, "replaced", reconnect=False)
        person.away, waiting = set(person.rooms), person.waiting
        person.client, client.person, person.waiting = client, person, []
        return person, waiting

    def do_leave(self, client: Client, person: Person | None, command, id) -> None:
        if command["room"] is None:
            return self.goodbye(client, "left", reconnect=False)
        if person is None:
            raise Wrong("not_joined", "join first")
        room = person.room(command["room"])
        room.tell(type="leave", username=person.name)
        self.take_out(person, room)

    def do_message(self, client: Client, person: Person, command, id) -> None:
        if self.was_said(person, command):
            return
        room = person.room(command["room"])
        room.seq += 1
        said = {"type": "message", "seq": room.seq, "username": person.name}
        said |= {"content": command["content"]}
        message = {**said, "room": room.name, "timestamp": time.time()}
        room.history.append(message)
        room.tell(**said)
        self.confirm(person, id, seq=room.seq)

    def do_whisper(self, client: Client, person: Person, command, id) -> None:
        if self.was_said(person, command):
            return
        other = self.people.get(command["to"].lower())
        if other is None:
            raise Wrong("no_such_user", f"{command['to']} is not here")
        event = {"type": "whisper", "username": person.name, "to": other.name}
        event |= {"content": command["content"], "timestamp": time.time()}
        if other.client is None and len(other.waiting) >= PAGE:
            raise Wrong("not_delivered", "enough waits already", retry_after=1)
        if other.client is None:
            other.waiting.append((event, person, command["id"]))
        for each in {other, person}:
            each.tell(**event)
        self.confirm(person, id)

    def was_said(self, person: Person, command: dict) -> bool:
        """The same `ok` for the same id; nothing overtakes what was not taken."""
        if command["id"] is not None and command["id"] in person.ids:
            person.tell(**person.ids[command["id"]])
            return True
        if command["follows"] is not None and command["follows"] not in person.ids:
            raise Wrong(
                "out_of_order", f"{command['follows']!r} was not said", retry_after=0
            )
        return False

    def confirm(self, person: Person, id: dict, **seq: int) -> None:
        if id:
            person.ids[id["id"]] = {"type": "ok", **id, **seq}
            if len(person.ids) > IDS:
                del person.ids[next(iter(person.ids))]
            person.tell(**person.ids[id["id"]])

    def do_status(self, client: Client, person: Person, command, id) -> None:
        person.status = command["status"]
        rooms = person.rooms.values()
        others = {each for room in rooms for each in room.members.values()}
        event = {"type": "status", "username": person.name, "status": person.status}
        for each in others | {person}:
            each.tell(**event, timestamp=time.time())

    def do_users(self, client: Client, person: Person, command, id) -> None:
        client.tell(**person.room(command["room"]).users(command["after"]))

    def do_rooms(self, client: Client, person: Person, command, id) -> None:
        after = (command["after"] or "").lower()
        names = sorted(
            name for name, it in self.rooms.items() if it.members and name > after
        )
        page = [
            {"room": it, "users": len(self.rooms[it].members)} for it in names[:PAGE]
        ]
        more = len(names) > PAGE
        client.tell(type="rooms", rooms=page, after=command["after"], more=more)

    def do_history(self, client: Client, person: Person, command, id) -> None:
        before, after = command["before"], command["after"]
        room = person.room(command["room"])
        if before is not None and after is not None:
            raise Wrong(
                "bad_message", "`before` and `after` can't be asked for together"
            )
        client.tell(**room.page(before, after, command["limit"], **id))

    def do_ping(self, client: Client, person: Person | None, command, id) -> None:
        client.tell(type="pong", **id)

    def do_pong(self, client: Client, person: Person | None, command, id) -> None:
        pass

    # --- the end ----------------------------------------------------------------------------------

    def silent(self, client: Client, asked: bool) -> None:
        """Nothing was heard for some time, and perhaps it was `asked` already."""
        if asked:
            self.goodbye(client, "idle", reconnect=True, retry_after=0)
        else:
            client.tell(type="ping")

    def goodbye(
        self, client: Client, code: str, reconnect: bool, **more: float
    ) -> None:
        if client.person and not reconnect:
            self.gone(client.person)
        self.lost(client)
        client.tell(
            type="goodbye", code=code, content=code, reconnect=reconnect, **more
        )
        client.ended = True
        client.close()

    def lost(self, client: Client) -> None:
        """The connection is at its end; its name and its places are held for a while."""
        if (person := client.person) is None:
            return
        client.person = person.client = None
        if person.timer:
            person.timer.cancel()
        window = LIMITS["resume_window"]
        person.timer = self.later(window, lambda: self.expire(person))

    def expire(self, person: Person) -> None:
        if person.client is None and self.people.get(person.name.lower()) is person:
            self.gone(person)
        for name in list(person.away):  # it came back, but not into these
            person.rooms[name].tell(type="leave", username=person.name)
            self.take_out(person, person.rooms[name])

    def gone(self, person: Person) -> None:
        if person.client:
            person.client.person = person.client = None
        del self.people[person.name.lower()]
        for room in list(person.rooms.values()):
            self.take_out(person, room)
            room.tell(type="leave", username=person.name)
        for _, sender, id in person.waiting:
            more = {} if id is None else {"id": id}
            error = Wrong("not_delivered", f"{person.name} has not come back", **more)
            sender.tell(**error.event)

    def take_out(self, person: Person, room: Room) -> None:
        del room.members[person.name.lower()], person.rooms[room.name]
        person.away.discard(room.name)


# --- from bytes to lines ---------------------------------------------------------------------------


class Lines:
    """Cuts what comes into lines; None stands for one that is too long."""

    def __init__(self) -> None:
        self.data, self.skipping, self.first = b"", False, True

    def feed(self, chunk: bytes):
        *whole, self.data = (self.data + chunk).split(b"\n")
        for line in whole:
            if not self.skipping:
                yield from self.line(line)
            self.skipping = False
        if len(self.data) > LIMITS["line"]:
            if not self.skipping:
                yield None
            self.data, self.skipping = b"", True

    def end(self):
        """What came without a newline."""
        return self.line(self.data)

    def line(self, line: bytes):
        line = line.removesuffix(b"\r")
        if self.first:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            self.first = False
            yield line if len(line) <= LIMITS["line"] else None


def read_limits(arguments: list[str]) -> None:
    """Those that are to be different: NAME=NUMBER."""
    for name, _, number in (each.partition("=") for each in arguments):
        LIMITS[name] = float(number)
