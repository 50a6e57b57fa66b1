"""Answers to the exercises of the chapter members."""

from typing import Any

from exercises import right, wrong


@wrong("check_audience", "Client 1, in a (3, 1, 2), b (4, 2, 1, 5) and d (1)")
def each_time(user: Any) -> tuple[int, ...]:
    found: tuple[int, ...] = ()
    for room in user.rooms.values():
        found += room.clients
    return found or (user.client,)


@wrong("check_audience", "expected (3, 1, 2, 4, 5), but got (1, 2, 3, 4, 5)")
def in_order_of_numbers(user: Any) -> tuple[int, ...]:
    return tuple(sorted(set(each_time(user))))


@wrong("check_audience", "expected (3, 1, 2, 4, 5), but got (3, 2, 4, 5)")
def without_himself(user: Any) -> tuple[int, ...]:
    found = [client for client in as_a_list(user) if client != user.client]
    return tuple(found) or (user.client,)


@wrong("check_audience", "Somebody who is in no room: expected (1,), but got ()")
def nobody_alone(user: Any) -> tuple[int, ...]:
    return tuple(dict.fromkeys(c for r in user.rooms.values() for c in r.clients))


@wrong("check_audience", "Somebody who is in no room: expected (1,), but got [1]")
def as_a_list(user: Any) -> list[int]:
    return list(dict.fromkeys(each_time(user)))


@wrong("check_audience", "exception ended it, in line `clients = user.room.clients`")
def where_it_talks(user: Any) -> tuple[int, ...]:
    clients = user.room.clients
    return tuple(clients)


@right("check_audience")
def with_a_look(user: Any) -> tuple[int, ...]:
    found: list[int] = []
    for room in user.rooms.values():
        for client in room.clients:
            if client not in found:
                found.append(client)
    return tuple(found or [user.client])


@right("check_audience")
def by_the_first_place(user: Any) -> tuple[int, ...]:
    clients = [c for room in user.rooms.values() for c in room.members]
    return tuple(sorted(set(clients), key=clients.index)) if clients else (user.client,)
