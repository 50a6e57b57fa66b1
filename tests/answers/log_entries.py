"""Answers to the exercises of the chapter log_entries."""

from exercises import right, wrong

Entries = list[tuple[str, int, str]]


@wrong("check_counted", "('a', 1, 'x'), ('a', 1, 'x')")
def all_of_them(entries: Entries) -> list[str]:
    return [text for _, _, text in entries]


@wrong("check_counted", "('a', 3, 'z'), ('a', 2, 'y')")
def whatever_is_newer(entries: Entries) -> list[str]:
    last: dict[str, int] = {}
    texts = []
    for node, counter, text in entries:
        if counter > last.get(node, 0):
            last[node] = counter
            texts.append(text)
    return texts


@wrong("check_counted", "('b', 1, 'gone a'), ('a', 2, 'y')")
def the_dead_are_heard(entries: Entries) -> list[str]:
    last: dict[str, int] = {}
    texts = []
    for node, counter, text in entries:
        if counter == last.get(node, 0) + 1:
            last[node] = counter
            texts.append(text)
    return texts


@right("check_counted")
def with_what_is_next(entries: Entries) -> list[str]:
    following: dict[str, int] = {}
    texts = []
    for node, counter, text in entries:
        if counter == following.setdefault(node, 1):
            following[node] += 1
            texts.append(text)
            if text.startswith("gone "):
                following[text[5:]] = -1
    return texts


@right("check_counted")
def with_a_set_of_the_dead(entries: Entries) -> list[str]:
    counted: list[tuple[str, int, str]] = []
    dead: set[str] = set()
    for node, counter, text in entries:
        done = sum(each[0] == node for each in counted)
        if node not in dead and counter == done + 1:
            counted.append((node, counter, text))
            word, _, name = text.partition(" ")
            if word == "gone":
                dead.add(name)
    return [text for _, _, text in counted]
