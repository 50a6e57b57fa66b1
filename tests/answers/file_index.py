"""Answers to the exercises of the chapter file_index."""

from exercises import right, wrong


@wrong("check_same", "bytes of b'xecret' that are read")
def leaves_at_once(mine: bytes, theirs: bytes) -> bool:
    return len(mine) == len(theirs) and all(a == b for a, b in zip(mine, theirs))


@wrong("check_same", "bytes of b'secre' that are read, with b'secret': expected 5")
def looks_at_the_length_first(mine: bytes, theirs: bytes) -> bool:
    if len(mine) != len(theirs):
        return False
    return not sum(a ^ b for a, b in zip(mine, theirs))


@wrong("check_same", "same(b'secret', b'secre'): expected False, but got True")
def forgets_the_length(mine: bytes, theirs: bytes) -> bool:
    wrong = 0
    for place, byte in enumerate(theirs):
        wrong |= byte ^ mine[place] if place < len(mine) else 0
    return not wrong


@wrong("check_same", "same(b'ab', b'ba'): expected False")
def adds_up(mine: bytes, theirs: bytes) -> bool:
    return (sum(mine) == sum(theirs)) & (len(mine) == len(theirs))


@right("check_same")
def with_or(mine: bytes, theirs: bytes) -> bool:
    wrong = len(mine) ^ len(theirs)
    for place, byte in enumerate(theirs):
        wrong |= byte ^ (mine + bytes(len(theirs)))[place]
    return wrong == 0


@right("check_same")
def counts_what_differs(mine: bytes, theirs: bytes) -> bool:
    padded = mine.ljust(len(theirs) + 1, b"\0")
    differing = sum(a != b for a, b in zip(list(theirs), padded))
    return differing == 0 and len(mine) == len(theirs)
