"""Answers to the exercise of the chapter account_tool."""

import re

from exercises import right, wrong

NAMES = ("--password", "--passwd", "--pass", "-p")


@wrong("check_shown", "'--password', 'abc'")
def also_empty_ones(arguments: list[str]) -> list[str]:
    return [each.partition("=")[2] for each in arguments if each.startswith("--pass")]


@wrong("check_shown", "--passwords")
def by_how_it_begins(arguments: list[str]) -> list[str]:
    found, rest = [], iter(arguments)
    for each in rest:
        if each == "--":
            break
        if each.startswith("--pass") or each.startswith("-p"):
            found.append(each.partition("=")[2] or next(rest, ""))
    return [each for each in found if each and "=" not in arguments[-1][-1:]]


@wrong("check_shown", "'--', '--password', 'abc'")
def without_an_end(arguments: list[str]) -> list[str]:
    found, rest = [], iter(arguments)
    for each in rest:
        name, equals, value = each.partition("=")
        if name in NAMES:
            found.append(value if equals else next(rest, ""))
    return [each for each in found if each]


@right("check_shown")
def with_a_flag(arguments: list[str]) -> list[str]:
    found, is_next = [], False
    for each in arguments:
        if is_next:
            found, is_next = [*found, each], False
        elif each == "--":
            break
        elif each in NAMES:
            is_next = True
        elif match := re.fullmatch(r"(--password|--passwd|--pass|-p)=(.*)", each, re.S):
            found.append(match[2])
    return list(filter(None, found))


@right("check_shown")
def with_an_index(arguments: list[str]) -> list[str]:
    found, place = [], 0
    while place < len(arguments) and arguments[place] != "--":
        name, _, value = arguments[place].partition("=")
        if arguments[place] in NAMES and place + 1 < len(arguments):
            place += 1
            found.append(arguments[place])
        elif name in NAMES:
            found.append(value)
        place += 1
    return [each for each in found if each != ""]
