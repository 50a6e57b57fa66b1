"""Answers to the exercises of the chapter accounts."""

from collections import Counter
from typing import Any

from exercises import right, wrong


@wrong("check_devices", "bob, and Ann with two clients")
def by_person(room: Any) -> dict[str, int]:
    names = sorted((user.name for user in room.everybody), key=str.lower)
    return dict.fromkeys(names, 1)


@wrong("check_devices", "The order of the names")
def in_order_of_coming(room: Any) -> dict[str, int]:
    return dict(Counter(user.name for user in room.members.values()))


@wrong("check_devices", "The attic, where one of them is")
def of_the_whole_group(room: Any) -> dict[str, int]:
    users = sorted(room.everybody, key=lambda user: user.name.lower())
    return {user.name: len(user.group) for user in users}


@wrong("check_devices", "The phone is lost")
def also_the_lost(room: Any) -> dict[str, int]:
    names = [user.name for user in (*room.members.values(), *room.away)]
    return {name: names.count(name) for name in sorted(names, key=str.lower)}


@right("check_devices")
def counted(room: Any) -> dict[str, int]:
    count = Counter(user.name for user in room.members.values())
    return {name: count[name] for name in sorted(count, key=str.lower)}


@right("check_devices")
def by_present_ones(room: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for user in sorted(room.everybody, key=lambda user: user.name.lower()):
        here = [each for each in user.group if room.name in each.rooms]
        if here:
            found[user.name] = len(here)
    return found


@wrong("check_unread", "She has joined the lobby")
def only_marked(chat: Any, account: Any) -> dict[str, int]:
    read = account.read.items()
    new = {name: chat.rooms[name].seq - seq for name, seq in read if name in chat.rooms}
    return {name: count for name, count in new.items() if count}


@wrong("check_unread", "Bob talks, and Ann is not there")
def of_all_rooms(chat: Any, account: Any) -> dict[str, int]:
    new = {r.name: r.seq - account.read.get(r.name, 0) for r in chat.rooms.values()}
    return {name: count for name, count in new.items() if count}


@wrong("check_unread", "Read: 1 in the attic, 1 in the lobby")
def with_nothing_new(chat: Any, account: Any) -> dict[str, int]:
    user = chat.by_name.get(account.name.lower())
    rooms = user.places.values() if user else ()
    return {room.name: room.seq - account.read.get(room.name, 0) for room in rooms}


@wrong("check_unread", "Both connections are lost")
def of_those_who_hear(chat: Any, account: Any) -> dict[str, int]:
    user = chat.by_name.get(account.name.lower())
    rooms = user.rooms.values() if user else ()
    new = {room.name: room.seq - account.read.get(room.name, 0) for room in rooms}
    return {name: count for name, count in new.items() if count}


@right("check_unread")
def in_a_loop(chat: Any, account: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    user = chat.by_name.get(account.name.lower())
    for name, room in (user.places if user else {}).items():
        if room.seq > account.read.get(name, 0):
            found[name] = room.seq - account.read.get(name, 0)
    return found


@right("check_unread")
def room_by_room(chat: Any, account: Any) -> dict[str, int]:
    def is_there(room: Any) -> bool:
        return any(user.account is account for user in room.everybody)

    rooms = [room for room in chat.rooms.values() if is_there(room)]
    new = {room.name: room.seq - account.read.get(room.name, 0) for room in rooms}
    return {name: count for name, count in new.items() if count > 0}
