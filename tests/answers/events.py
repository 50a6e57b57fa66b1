"""Answers to the exercise of the chapter on events."""

import json

import msgspec
from exercises import right, wrong


Plan = tuple[list[str], float] | None


@wrong("check_plan", "{1, 3}, ['files']): expected None")
def at_least_the_oldest(line: bytes, versions: set[int], wanted: list[str]) -> Plan:
    hello = json.loads(line)
    version = hello.get("protocol", 1)
    if hello["type"] != "welcome" or not min(versions) <= version <= max(versions):
        return None
    limits = hello.get("limits", {})
    usable = sorted(set(wanted) & set(hello.get("features", [])))
    return usable, limits.get("content", 4000)


@wrong("check_plan", "files2")
def somewhere_in_the_text(line: bytes, versions: set[int], wanted: list[str]) -> Plan:
    hello = json.loads(line)
    if hello["type"] != "welcome" or hello.get("protocol", 1) not in versions:
        return None
    usable = sorted(each for each in wanted if each in str(hello.get("features")))
    return usable, hello.get("limits", {}).get("content", 4000)


@wrong("check_plan", "expected (['files', 'topics'], 4000), but got")
def in_the_order_of_the_wishes(
    line: bytes, versions: set[int], wanted: list[str]
) -> Plan:
    hello = json.loads(line)
    if hello["type"] != "welcome" or hello.get("protocol", 1) not in versions:
        return None
    usable = [each for each in wanted if each in hello.get("features", [])]
    return usable, hello.get("limits", {}).get("content", 4000)


@wrong("check_plan", "server_full")
def whatever_it_is(line: bytes, versions: set[int], wanted: list[str]) -> Plan:
    hello = json.loads(line)
    if hello.get("protocol", 1) not in versions:
        return None
    usable = sorted(set(wanted) & set(hello.get("features", [])))
    return usable, hello.get("limits", {}).get("content", 4000)


class _Hello(msgspec.Struct, tag_field="type", tag="welcome"):
    protocol: int = 1
    features: list[str] = []
    limits: dict[str, float] = {}


@right("check_plan")
def with_a_type(line: bytes, versions: set[int], wanted: list[str]) -> Plan:
    try:
        hello = msgspec.json.decode(line, type=_Hello)
    except msgspec.ValidationError:
        return None
    usable = sorted(each for each in wanted if each in hello.features)
    longest = hello.limits.get("content", 4000)
    return (usable, longest) if hello.protocol in versions else None


@right("check_plan")
def with_match(line: bytes, versions: set[int], wanted: list[str]) -> Plan:
    match {"protocol": 1, "features": [], "limits": {}} | json.loads(line):
        case {"type": "welcome", "protocol": protocol, "features": features, **rest}:
            if protocol in versions:
                longest = rest["limits"].get("content", 4000)
                return [each for each in sorted(wanted) if each in features], longest
    return None
