"""Answers to the exercise of the chapter irc_text."""

from exercises import right, wrong


@wrong("check_room", "for ann to #lobby: expected 480, but got 482")
def without_the_end(nick: str, target: str) -> int:
    return 512 - len(f":{nick}!{nick}@chat PRIVMSG {target} :")


@wrong("check_room", "for ann to #lobby: expected 480, but got 489")
def only_the_nick(nick: str, target: str) -> int:
    return 512 - len(f":{nick} PRIVMSG {target} :\r\n")


@wrong("check_room", "for a to b: expected 489, but got 480")
def for_one_line(nick: str, target: str) -> int:
    return 480


@wrong("check_room", "for ann to #lobby: expected 480, but got 32")
def what_is_used(nick: str, target: str) -> int:
    return 512 - by_parts(nick, target)


@wrong("check_room", "for ann to #lobby: expected 480, but got 481")
def one_colon(nick: str, target: str) -> int:
    return 512 - len(f"{nick}!{nick}@chat PRIVMSG {target} :\r\n")


@right("check_room")
def by_parts(nick: str, target: str) -> int:
    source = 1 + len(nick) + 1 + len(nick) + len("@chat")
    return 512 - source - len(" PRIVMSG ") - len(target) - len(" :") - len("\r\n")


@right("check_room")
def in_bytes(nick: str, target: str) -> int:
    line = b"".join(
        [b":", nick.encode() * 2, b"!@chat PRIVMSG ", target.encode(), b" :"]
    )
    return 510 - len(line)
