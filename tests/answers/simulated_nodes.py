"""Answers to the exercises of the chapter simulated_nodes."""

from exercises import right, wrong

Heard = list[list[tuple[int, str]]]


@wrong("check_broken", "[[(1, 'a'), (2, 'b'), (3, 'c')], [(1, 'a'), (3, 'c')]]")
def nothing(said: list[str], acked: list[str], heard: Heard) -> set[str]:
    return set()


@wrong("check_broken", "abc, a, [[(1, 'a'), (2, 'b'), (3, 'c')], [(1, 'a')]]")
def all_must_have_heard_all(
    said: list[str], acked: list[str], heard: Heard
) -> set[str]:
    found = set()
    for each in heard:
        if [number for number, _ in each] != [1, 2, 3][: len(each)]:
            found.add("gap")
        if each != max(heard, key=len):
            found.add("order")
    return found


@wrong("check_broken", "abc, ab, [[(1, 'a'), (2, 'b')], [(1, 'b'), (2, 'a')]]")
def each_by_themselves(said: list[str], acked: list[str], heard: Heard) -> set[str]:
    found = set()
    for each in heard:
        for at, (number, _) in enumerate(each, 1):
            if number != at:
                found.add("gap")
        texts = [text for _, text in each]
        if len(texts) != len(set(texts)):
            found.add("twice")
        if any(text not in said for text in texts):
            found.add("unsaid")
    return found


@right("check_broken")
def rule_by_rule(said: list[str], acked: list[str], heard: Heard) -> set[str]:
    pairs = {pair for each in heard for pair in each}
    texts = {text for _, text in pairs}
    rules = {
        "gap": any(
            [n for n, _ in each] != [*range(1, len(each) + 1)] for each in heard
        ),
        "order": len(pairs) > len({number for number, _ in pairs}),
        "lost": not texts.issuperset(acked),
        "twice": any(len({t for _, t in each}) < len(each) for each in heard),
        "unsaid": not texts <= {*said},
    }
    return {name for name, is_broken in rules.items() if is_broken}


@right("check_broken")
def step_by_step(said: list[str], acked: list[str], heard: Heard) -> set[str]:
    found, truth, left = set(), dict[int, str](), set(acked)
    for each in heard:
        last, known = 0, list[str]()
        for number, text in each:
            if number != last + 1:
                found.add("gap")
            if text in known:
                found.add("twice")
            if text not in said:
                found.add("unsaid")
            if truth.setdefault(number, text) != text:
                found.add("order")
            last = number
            known.append(text)
            left.discard(text)
    return found | ({"lost"} if left else set())
