"""Answers to the exercises of the chapter demo."""

from itertools import permutations

from exercises import right, wrong

from python_tcp.demo import Step

Seen = dict[str, list[str]]


@wrong("check_disagreement", "expected None, but got ('Ann', 'Bob')")
def any_difference(seen: Seen) -> tuple[str, str] | None:
    names = sorted(seen)
    for one, other in zip(names, names[1:]):
        if seen[one] != seen[other]:
            return one, other
    return None


@wrong("check_disagreement", "expected ('Bob', 'Cleo'), but got")
def unsorted(seen: Seen) -> tuple[str, str] | None:
    pairs = [pair for pair in permutations(seen, 2) if _differ(seen, *pair)]
    return pairs[0] if pairs else None


@wrong("check_disagreement", "expected ('Ann', 'Cleo'), but got None")
def neighbours_only(seen: Seen) -> tuple[str, str] | None:
    names = sorted(seen)
    for one, other in zip(names, names[1:]):
        if _differ(seen, one, other):
            return one, other
    return None


@wrong("check_disagreement", "Only lines with *")
def with_stars(seen: Seen) -> tuple[str, str] | None:
    names = sorted(seen)
    for one in names:
        for other in names[names.index(one) + 1 :]:
            if _order(seen, one, other, "") != _order(seen, other, one, ""):
                return one, other
    return None


def _order(seen: Seen, of: str, other: str, sign: str = "*") -> list[str]:
    both = set(seen[of]) & set(seen[other])
    lines = [line for line in seen[of] if line in both]
    return [line for line in lines if not sign or not line.startswith(sign)]


def _differ(seen: Seen, one: str, other: str) -> bool:
    return _order(seen, one, other) != _order(seen, other, one)


@right("check_disagreement")
def each_pair(seen: Seen) -> tuple[str, str] | None:
    names = sorted(seen)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            if _differ(seen, one, other):
                return one, other
    return None


@right("check_disagreement")
def by_places(seen: Seen) -> tuple[str, str] | None:
    pairs = set()
    for one, other in permutations(seen, 2):
        places = {line: n for n, line in enumerate(seen[other]) if line[:1] != "*"}
        shared = [places[line] for line in seen[one] if line in places]
        if shared != sorted(shared):
            pairs.add((min(one, other), max(one, other)))
    return min(pairs, default=None)


class Talk(tuple[Step, ...]):
    """A conversation as an answer, with a name for the test."""

    def __new__(cls, name: str, *steps: Step) -> "Talk":
        talk = super().__new__(cls, steps)
        talk.__name__ = name  # type: ignore[attr-defined]
        return talk


def _joins(*names: str) -> list[Step]:
    return [Step(name, "joins") for name in names]


CAKE = Step("Alice", "says", "The cake is ready.")
WHAT = Step("Charlie", "says", "What is going on?")
A, B, C = "Alice", "Bob", "Charlie"
GONE = Step(C, "leaves")

ANSWERS = [
    wrong("check_surprise", "Who saw 'Alice: The cake is ready.'")(
        Talk("too_early", *_joins(A, B, C), CAKE, WHAT)  # type: ignore[type-var]
    ),
    wrong("check_surprise", "Who took part")(
        Talk("without_charlie", *_joins(A, B), CAKE)  # type: ignore[type-var]
    ),
    wrong("check_surprise", "Who saw 'Alice: The cake is ready.'")(
        Talk("bob_too_late", *_joins(A), CAKE, *_joins(B, C), WHAT)  # type: ignore[type-var]
    ),
    wrong("check_surprise", "Who saw 'Charlie: What is going on?'")(
        Talk("charlie_says_nothing", *_joins(A, B), CAKE, *_joins(C))  # type: ignore[type-var]
    ),
    wrong("check_surprise", "Who saw 'Charlie: What is going on?'")(
        Talk("bob_leaves", *_joins(A, B), CAKE, *_joins(C), Step(B, "leaves"), WHAT)  # type: ignore[type-var]
    ),
    right("check_surprise")(
        Talk(
            "another_order",
            *_joins(B, A),
            CAKE,
            Step(B, "says", "Quiet!"),
            *_joins(C),
            WHAT,
        )  # type: ignore[type-var]
    ),
    right("check_surprise")(
        Talk("charlie_goes_for_a_while", *_joins(C, B, A), GONE, CAKE, *_joins(C), WHAT)  # type: ignore[type-var]
    ),
]
for each in ANSWERS:
    globals()[each.__name__] = each
