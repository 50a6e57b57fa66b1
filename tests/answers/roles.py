"""Answers to the exercises of the chapter roles."""

from exercises import right, wrong

Names = set[str]


@wrong("check_may_act", "may CY throw Eve out")
def in_one_case(operators: Names, moderators: Names, actor: str, target: str) -> bool:
    if actor in operators:
        return target not in operators
    return actor in moderators and target not in operators | moderators


@wrong("check_may_act", "may ann throw ben out")
def the_strongest_may_everything(
    operators: Names, moderators: Names, actor: str, target: str
) -> bool:
    actor, target = actor.lower(), target.lower()
    if actor in operators:
        return True
    return actor in moderators and target not in operators | moderators


@wrong("check_may_act", "may cy throw di out")
def equals_may(operators: Names, moderators: Names, actor: str, target: str) -> bool:
    actor, target = actor.lower(), target.lower()
    if actor == target or target in operators:
        return False
    return actor in operators | moderators


@wrong("check_may_act", "may eve throw bob out")
def whoever_is_not_below(
    operators: Names, moderators: Names, actor: str, target: str
) -> bool:
    def rank(name: str) -> int:
        return 2 * (name.lower() in operators) or int(name.lower() in moderators)

    return rank(actor) > rank(target) or (
        rank(actor) == rank(target) == 0 and actor != target
    )


@right("check_may_act")
def with_a_list(operators: Names, moderators: Names, actor: str, target: str) -> bool:
    ranks = [operators, moderators]

    def rank(name: str) -> int:
        return next((n for n, those in enumerate(ranks) if name.lower() in those), 9)

    return rank(actor) < rank(target)


@right("check_may_act")
def with_cases(operators: Names, moderators: Names, actor: str, target: str) -> bool:
    actor, target = actor.lower(), target.lower()
    if target in operators:
        return False
    if actor in operators:
        return True
    return actor in moderators and target not in moderators
