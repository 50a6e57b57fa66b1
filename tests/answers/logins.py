"""Answers to the exercises of the chapter logins."""

from collections.abc import Callable

from exercises import right, wrong

Reads = Callable[[bytes, int], int]
Situation = tuple[bool, bool, bool]
Answers = list[tuple[Situation, str]]


@wrong("check_same", "the places read")
def up_to_the_first_difference(one: bytes, other: bytes, reads: Reads) -> bool:
    for place in range(len(one)):
        if len(one) != len(other) or reads(one, place) != reads(other, place):
            return False
    return len(one) == len(other)


@wrong("check_same", "the places read")
def without_reading(one: bytes, other: bytes, reads: Reads) -> bool:
    return one == other


@wrong("check_same", "expected False, but got True")
def by_the_sum(one: bytes, other: bytes, reads: Reads) -> bool:
    if len(one) != len(other):
        return False
    each = range(len(one))
    return sum([reads(one, n) for n in each]) == sum([reads(other, n) for n in each])


@wrong("check_same", "expected False, but got True")
def by_exclusive_or(one: bytes, other: bytes, reads: Reads) -> bool:
    total = 0
    if len(one) != len(other):
        return False
    for n in range(len(one)):
        total ^= reads(one, n) ^ reads(other, n)
    return not total


@right("check_same")
def with_a_list(one: bytes, other: bytes, reads: Reads) -> bool:
    if len(one) == len(other):
        return all([reads(one, n) == reads(other, n) for n in range(len(one))])
    return False


@right("check_same")
def by_counting(one: bytes, other: bytes, reads: Reads) -> bool:
    same, place = 0, 0
    while len(one) == len(other) and place < len(one):
        same += reads(one, place) == reads(other, place)
        place += 1
    return len(one) == len(other) == same


@wrong("check_harmless", "only who knows the password hears of the ban")
def all_the_same(answers: Answers) -> bool:
    return all(text == answers[0][1] for _, text in answers)


@wrong("check_harmless", "a wrong password")
def only_of_the_ban(answers: Answers) -> bool:
    texts: dict[bool, set[str]] = {}
    for (exists, is_right, banned), text in answers:
        if not is_right and exists:
            texts.setdefault(banned, set()).add(text)
    return all(len(each) == 1 for each in texts.values()) and len(texts) != 1


@wrong("check_harmless", "who is banned hears it at once")
def only_of_the_name(answers: Answers) -> bool:
    fine = {text for (_, is_right, banned), text in answers if not (is_right or banned)}
    late = [text for (_, is_right, banned), text in answers if not is_right and banned]
    return len(fine) <= 1 and (set(late) <= fine or set(late) == {"banned"})


@wrong("check_harmless", "ended")
def without_a_list(answers: Answers) -> bool:
    first = [text for (_, is_right, _), text in answers if not is_right][0]
    return all(text == first for (_, is_right, _), text in answers if not is_right)


@right("check_harmless")
def one_by_one(answers: Answers) -> bool:
    heard = ""
    for (_, is_right, _), text in answers:
        if not is_right:
            if heard and heard != text:
                return False
            heard = text
    return True


@right("check_harmless")
def pairs(answers: Answers) -> bool:
    guessed = [text for situation, text in answers if not situation[1]]
    return all(one == other for one in guessed for other in guessed)
