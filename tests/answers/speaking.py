"""Answers to the exercise of the chapter speaking."""

from exercises import right, wrong

Clients = tuple[int, ...]
Answer = tuple[Clients, list[int]]


@wrong(
    "check_receivers", "3 has no words of its own: is it the same tuple: expected True"
)
def always_a_new_one(to: Clients, own: int, speakers: set[int]) -> Answer:
    apart = [own] if own in speakers and own in to else []
    return tuple([client for client in to if client not in apart]), apart


@wrong("check_receivers", "and who is told apart: expected [], but got [9]")
def also_who_is_not_there(to: Clients, own: int, speakers: set[int]) -> Answer:
    if own not in speakers:
        return to, []
    return (tuple(c for c in to if c != own) if own in to else to), [own]


@wrong("check_receivers", "3 has no words of its own: is it the same tuple")
def all_who_have_words(to: Clients, own: int, speakers: set[int]) -> Answer:
    apart = [client for client in to if client in speakers]
    return tuple(c for c in to if c not in apart) if apart else to, apart


@wrong("check_receivers", "expected ((1, 3), [2]), but got ((1, 2, 3), [2])")
def told_twice(to: Clients, own: int, speakers: set[int]) -> Answer:
    return to, [own] if own in speakers and own in to else []


@wrong("check_receivers", "expected ((1, 3), [2]), but got ([1, 3], [2])")
def a_list(to: Clients, own: int, speakers: set[int]) -> Answer:
    rest, apart = with_a_place(to, own, speakers)
    return (list(rest), apart) if apart else (rest, apart)  # type: ignore[return-value]


@right("check_receivers")
def with_a_place(to: Clients, own: int, speakers: set[int]) -> Answer:
    if own in speakers and own in to:
        place = to.index(own)
        return to[:place] + to[place + 1 :], [own]
    return to, []


@right("check_receivers")
def by_comparing(to: Clients, own: int, speakers: set[int]) -> Answer:
    apart = [client for client in to if client == own and client in speakers]
    rest = tuple(filter(lambda client: client not in apart, to))
    return (rest if len(rest) < len(to) else to), apart
