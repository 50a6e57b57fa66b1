"""Answers to the exercise of the chapter irc."""

from exercises import right, wrong

from python_tcp.irc import EXTENSIONS

Names = set[str]
Answer = tuple[str, Names]


@wrong(
    "check_agree",
    "'-batch server-time' after {'batch'}: expected ('ACK', {'server-time'})",
)
def never_takes_away(now: Names, request: str) -> Answer:
    names = {name.lstrip("-") for name in request.split()}
    return ("ACK", now | names) if names <= EXTENSIONS else ("NAK", now)


@wrong("check_agree", "'server-time zip' after {'batch'}: expected ('NAK', {'batch'})")
def what_it_knows(now: Names, request: str) -> Answer:
    for name in request.split():
        if name.lstrip("-") in EXTENSIONS:
            now = now - {name[1:]} if name.startswith("-") else now | {name}
    unknown = [n for n in request.split() if n.lstrip("-") not in EXTENSIONS]
    return "NAK" if unknown else "ACK", now


@wrong("check_agree", "'-nonsense' after {'batch'}: expected ('NAK', {'batch'})")
def anything_may_be_taken_away(now: Names, request: str) -> Answer:
    for name in request.split():
        if not name.startswith("-") and name not in EXTENSIONS:
            return "NAK", now
    return with_a_loop(now, " ".join(n for n in request.split() if n != "-nonsense"))


@wrong("check_agree", "exception ended it, in line `now.remove(name[1:])`: KeyError")
def removes_what_is_not_there(now: Names, request: str) -> Answer:
    for name in request.split():
        if name.startswith("-"):
            now.remove(name[1:])
    return with_a_loop(now, " ".join(n for n in request.split() if n[0] != "-"))


@wrong("check_agree", "'' after set(): expected ('ACK', set()), but got ('NAK', set())")
def nothing_is_unknown(now: Names, request: str) -> Answer:
    return with_a_loop(now, request) if request else ("NAK", now)


@right("check_agree")
def with_a_loop(now: Names, request: str) -> Answer:
    new = set(now)
    for word in request.split():
        name = word.removeprefix("-")
        if name not in EXTENSIONS:
            return "NAK", now
        (new.discard if name != word else new.add)(name)
    return "ACK", new


@right("check_agree")
def with_two_sets(now: Names, request: str) -> Answer:
    words = request.split()
    off = {word[1:] for word in words if word[0] == "-"}
    on = {word for word in words if word[0] != "-"}
    if (on | off) - set(EXTENSIONS):
        return "NAK", now
    return "ACK", now.difference(off).union(on)
