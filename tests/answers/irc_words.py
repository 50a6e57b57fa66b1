"""Answers to the exercise of the chapter irc_words."""

from itertools import zip_longest

from exercises import right, wrong

Pairs = list[tuple[str, str | None]]


@wrong("check_keys", 'exception ended it, in line `keys = params[1].split(",")`')
def always_keys(params: list[str]) -> Pairs:
    keys = params[1].split(",")
    return list(zip(params[0].split(","), keys, strict=False))


@wrong("check_keys", "expected [('#a', 'x'), ('#b', 'y'), ('#c', None)], but got")
def only_with_a_key(params: list[str]) -> Pairs:
    if len(params) == 1:
        return [(name, None) for name in params[0].split(",")]
    return list(zip(params[0].split(","), params[1].split(","), strict=False))


@wrong("check_keys", "for ['#a', 'x,y']: expected [('#a', 'x')], but got")
def more_keys(params: list[str]) -> Pairs:
    keys = params[1].split(",") if params[1:] else []
    return list(zip_longest(params[0].split(","), [key or None for key in keys]))


@wrong(
    "check_keys",
    "for ['#a,#b', ',y']: expected [('#a', None), ('#b', 'y')], but got [('#a', '')",
)
def empty_keys(params: list[str]) -> Pairs:
    names, keys = params[0].split(","), params[1].split(",") if params[1:] else []
    return [(name, keys[n] if n < len(keys) else None) for n, name in enumerate(names)]


@wrong("check_keys", "for ['#a']: expected [('#a', None)], but got {'#a': None}")
def a_dictionary(params: list[str]) -> dict[str, str | None]:
    return dict(with_an_iterator(params))


@right("check_keys")
def with_an_iterator(params: list[str]) -> Pairs:
    keys = iter(params[1].split(",") if len(params) > 1 else ())
    return [(name, next(keys, "") or None) for name in params[0].split(",")]


@right("check_keys")
def with_match(params: list[str]) -> Pairs:
    match params:
        case [names]:
            return [(name, None) for name in names.split(",")]
        case [names, keys, *_]:
            first, _, rest = names.partition(",")
            key, _, others = keys.partition(",")
            pair: Pairs = [(first, key or None)]
            return pair + (with_match([rest, others]) if rest else [])
    return []
