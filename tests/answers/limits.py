"""Answers to the exercises of the chapter limits."""

import math
from typing import Any

from exercises import right, wrong

Known = dict[str, tuple[type, float | None]]
Given = dict[str, Any]


@wrong("check_mistakes", "{'connections': True}")
def by_isinstance(given: Given, known: Known) -> list[str]:
    wrong = []
    for name, value in given.items():
        kind, least = known.get(name, (type(None), None))
        kinds = (int, float) if kind is float else kind
        if not isinstance(value, kinds) or least is not None and value < least:
            wrong.append(name)
    return wrong


@wrong("check_mistakes", "{'conections': 5}")
def what_is_unknown_is_fine(given: Given, known: Known) -> list[str]:
    wrong = []
    for name, (kind, least) in known.items():
        if name in given:
            value = given[name]
            is_float = kind is float and type(value) is int
            is_one = type(value) is kind or is_float
            if not is_one or least is not None and not least <= value < math.inf:
                wrong.append(name)
    return wrong


@wrong("check_mistakes", "{'rate': 2}")
def only_the_very_type(given: Given, known: Known) -> list[str]:
    def is_wrong(name: str, value: Any) -> bool:
        kind, least = known.get(name, (None, None))
        return type(value) is not kind or (
            least is not None and not least <= value < math.inf
        )

    return [name for name, value in given.items() if is_wrong(name, value)]


@wrong("check_mistakes", "{'rate': nan}")
def what_is_forbidden(given: Given, known: Known) -> list[str]:
    def is_wrong(name: str, value: Any) -> bool:
        kind, least = known.get(name, (None, None))
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            return True
        return least is not None and (value < least or value == math.inf)

    return [name for name, value in given.items() if is_wrong(name, value)]


@wrong("check_mistakes", "{'x': 1, 'rate': -1")
def in_order_of_the_alphabet(given: Given, known: Known) -> list[str]:
    return sorted(one_by_one(given, known))


@right("check_mistakes")
def one_by_one(given: Given, known: Known) -> list[str]:
    wrong = []
    for name, value in given.items():
        if name not in known:
            wrong.append(name)
            continue
        kind, least = known[name]
        if isinstance(value, bool) != (kind is bool):
            wrong.append(name)
        elif kind is int and not isinstance(value, int):
            wrong.append(name)
        elif kind is float and not isinstance(value, int | float):
            wrong.append(name)
        elif least is not None and not (math.isfinite(value) and value >= least):
            wrong.append(name)
    return wrong


@right("check_mistakes")
def by_tables(given: Given, known: Known) -> list[str]:
    takes: dict[type | None, tuple[type, ...]] = {
        int: (int,),
        float: (int, float),
        bool: (bool,),
        None: (),
    }

    def is_allowed(name: str, value: Any) -> bool:
        kind, least = known.get(name, (None, None))
        is_one = type(value) in takes[kind]
        return is_one and (least is None or least <= value < math.inf)

    return [name for name, value in given.items() if not is_allowed(name, value)]
