"""Answers to the exercises of the chapter redis_place."""

import re

from exercises import right, wrong


@wrong("check_hash_tag", "the key 'a{}b{c}'")
def any_pair(key: str) -> str:
    found = re.search(r"\{([^}]+)\}", key)
    return found[1] if found else key


@wrong("check_hash_tag", "the key 'a{{b}}c'")
def the_innermost_pair(key: str) -> str:
    found = re.search(r"\{([^{}]*)\}", key)
    return found[1] if found and found[1] else key


@wrong("check_hash_tag", "the key 'a{{b}}c'")
def the_last_brace(key: str) -> str:
    start, end = key.find("{"), key.rfind("}")
    empty = start < 0 or end <= start + 1 or key[start + 1] == "}"
    return key if empty else key[start + 1 : end]


@wrong("check_hash_tag", "the key 'a}{b}'")
def the_first_of_both(key: str) -> str:
    start, end = key.find("{"), key.find("}")
    return key[start + 1 : end] if -1 < start < end - 1 else key


@right("check_hash_tag")
def in_parts(key: str) -> str:
    _, brace, rest = key.partition("{")
    tag, end, _ = rest.partition("}")
    return tag if brace and end and tag else key


@right("check_hash_tag")
def with_a_pattern(key: str) -> str:
    found = re.match(r"[^{]*\{([^}]+)\}", key)
    return found[1] if found else key
