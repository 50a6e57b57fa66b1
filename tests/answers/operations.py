"""Answers to the exercises of the chapter operations."""

from typing import Any

from exercises import right, wrong

Settings = dict[str, Any]


@wrong("check_explain", "a change of {'quiet': 0}")
def compared(old: Settings, new: Settings, live: set[str]) -> list[str]:
    return [
        f"{name}: {old[name]!r} -> {new[name]!r}" + " (restart)" * (name not in live)
        for name in sorted(old)
        if old[name] != new[name]
    ]


@wrong("check_explain", "a key that is only in one")
def without_a_look_at_the_keys(
    old: Settings, new: Settings, live: set[str]
) -> list[str]:
    shared = old.keys() & new.keys()
    return by_pairs({n: old[n] for n in shared}, {n: new[n] for n in shared}, live)


@wrong("check_explain", "host: 'a' -> 'b' (restart)")
def unsorted(old: Settings, new: Settings, live: set[str]) -> list[str]:
    return by_pairs(old, new, live)[::-1]


@wrong("check_explain", "rate: 5.0 -> 2.0")
def all_need_a_restart(old: Settings, new: Settings, live: set[str]) -> list[str]:
    return by_pairs(old, new, set())


@wrong("check_explain", "host: 'a' -> 'b'")
def as_text(old: Settings, new: Settings, live: set[str]) -> list[str]:
    return [text.replace("'", "") for text in by_pairs(old, new, live)]


@wrong("check_explain", "True, but got False")
def a_bare_error(old: Settings, new: Settings, live: set[str]) -> list[str]:
    if old.keys() != new.keys():
        raise ValueError("they have different keys")
    return by_pairs(old, new, live)


@right("check_explain")
def by_pairs(old: Settings, new: Settings, live: set[str]) -> list[str]:
    if alone := set(old) ^ set(new):
        raise ValueError(f"only in one: {', '.join(sorted(alone))}")
    texts = list[str]()
    for name, before in sorted(old.items(), key=lambda pair: pair[0]):
        after = new[name]
        if (type(before), before) != (type(after), after):
            texts.append(f"{name}: {before!r} -> {after!r}")
            texts[-1] += "" if name in live else " (restart)"
    return texts


@right("check_explain")
def by_texts(old: Settings, new: Settings, live: set[str]) -> list[str]:
    try:
        rows = [(name, repr(old[name]), repr(new[name])) for name in sorted(old | new)]
    except KeyError as error:
        raise ValueError(f"{error} is missing") from None
    ends = {name: "" if name in live else " (restart)" for name in old}
    return [f"{n}: {a} -> {b}{ends[n]}" for n, a, b in rows if a != b]
