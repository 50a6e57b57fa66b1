"""Answers to the exercises of the chapter file_options."""

from collections import ChainMap
from typing import Any

from exercises import right, wrong

Values = dict[str, Any]


def checked(defaults: Values, file: Values) -> None:
    for name in file:
        if name not in defaults:
            raise ValueError(f"what is {name}?")


@wrong(
    "check_settings",
    "{'quiet': False}): expected {'folder': None, 'listen': '8002', 'quiet': False}",
)
def takes_false_for_nothing(defaults: Values, file: Values, given: Values) -> Values:
    checked(defaults, file)
    said = {name: value for name, value in given.items() if value}
    return defaults | file | said


@wrong("check_settings", "{'folder': None}): expected {'folder': 'a'")
def takes_none_for_an_argument(defaults: Values, file: Values, given: Values) -> Values:
    checked(defaults, file)
    return defaults | file | given


@wrong("check_settings", "the three dictionaries afterwards")
def changes_the_defaults(defaults: Values, file: Values, given: Values) -> Values:
    checked(defaults, file)
    defaults.update(file)
    defaults.update((k, v) for k, v in given.items() if v is not None)
    return defaults


@wrong(
    "check_settings", "a file with folders = 'a': expected 'a ValueError with the name'"
)
def believes_the_file(defaults: Values, file: Values, given: Values) -> Values:
    return defaults | file | {k: v for k, v in given.items() if v is not None}


@right("check_settings")
def with_a_chain(defaults: Values, file: Values, given: Values) -> Values:
    checked(defaults, file)
    said = {name: value for name, value in given.items() if value is not None}
    return dict(ChainMap(said, file, defaults))


@right("check_settings")
def one_by_one(defaults: Values, file: Values, given: Values) -> Values:
    checked(defaults, file)
    found = {}
    for name, default in defaults.items():
        value = given.get(name)
        found[name] = file.get(name, default) if value is None else value
    return found
