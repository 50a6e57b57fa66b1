"""Answers to the exercises of the chapter chat_app."""

import copy
import ipaddress
import re
from typing import Any

from exercises import right, wrong

Settings = dict[str, Any]


@wrong("check_where", "where('chat.example')")
def at_the_colon(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


@wrong("check_where", "where('[fe80::1]')")
def without_ipv6(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, 8000
    return host.strip("[]"), int(port)


@wrong("check_where", "where('chat:0')")
def any_number(text: str) -> tuple[str, int]:
    host, port = _parts(text)
    return host, int(port)


@wrong("check_where", "where('')")
def without_a_host(text: str) -> tuple[str, int]:
    host, port = _parts(text)
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"no port: {port}")
    return host, int(port)


@wrong("check_where", "raises ValueError with 'http' in it")
def a_bare_error(text: str) -> tuple[str, int]:
    try:
        return by_expression(text)
    except ValueError:
        raise ValueError("this is no address") from None


@wrong("check_where", "where('[fe80::1]')")
def with_brackets(text: str) -> tuple[str, int]:
    host, port = by_expression(text)
    return (text if text.startswith("[") and text.endswith("]") else host), port


def _parts(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"\[(.*)\](?::(.*))?|([^:]*)(?::([^:]*))?|(.*)", text)
    assert match is not None
    host = match[1] if match[1] is not None else match[3]
    port = match[2] or match[4] or "8000"
    return (match[5] if host is None else host), port


@right("check_where")
def by_expression(text: str) -> tuple[str, int]:
    host, port = _parts(text)
    if host == "":
        raise ValueError("no host was given")
    if not re.fullmatch(r"\d{1,5}", port) or int(port) not in range(1, 65_536):
        raise ValueError(f"{port} is no port")
    return host, int(port)


@right("check_where")
def by_ipaddress(text: str) -> tuple[str, int]:
    try:
        return str(ipaddress.IPv6Address(text.strip("[]"))), 8000
    except ValueError:
        pass
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "8000")
    host = host.strip("[]")
    if not host:
        raise ValueError("the host is missing")
    try:
        number = int(port)
    except ValueError:
        raise ValueError(f"the port {port!r} is no number") from None
    if number < 1 or number > 65_535:
        raise ValueError(f"there is no port {port}")
    return host, number


@wrong("check_settings", "a file, and nothing given")
def merged_at_once(defaults: Settings, file: Settings, arguments: Settings) -> Settings:
    return defaults | file | {key: value for key, value in arguments.items() if value}


@wrong("check_settings", "a port of 0 and a False were given")
def what_is_true(defaults: Settings, file: Settings, arguments: Settings) -> Settings:
    given = {key: value for key, value in arguments.items() if value}
    return by_copies(defaults, file, given)


@wrong("check_settings", "the defaults afterwards")
def in_place(defaults: Settings, file: Settings, arguments: Settings) -> Settings:
    merged = by_copies(defaults, file, arguments)
    defaults.update(copy.deepcopy(merged))
    return merged


@wrong("check_settings", "the defaults, after a change of what was returned")
def shares_its_tables(
    defaults: Settings, file: Settings, arguments: Settings
) -> Settings:
    merged = by_copies(defaults, file, arguments)
    return merged if file else {**merged, "limits": defaults["limits"]}


@wrong("check_settings", "'limits.speed'")
def without_the_place(
    defaults: Settings, file: Settings, arguments: Settings
) -> Settings:
    try:
        return by_copies(defaults, file, arguments)
    except ValueError as error:
        raise ValueError(str(error).rpartition(".")[2]) from None


@wrong("check_settings", "'prot'")
def without_complaint(
    defaults: Settings, file: Settings, arguments: Settings
) -> Settings:
    known = {key: value for key, value in file.items() if key in defaults}
    return by_copies(defaults, known, arguments)


def _merge(result: Settings, file: Settings, way: list[str]) -> None:
    for key, value in file.items():
        here = [*way, key]
        if key not in result:
            raise ValueError(f"unknown: {'.'.join(here)}")
        if isinstance(result[key], dict):
            _merge(result[key], value, here)
        else:
            result[key] = copy.deepcopy(value)


@right("check_settings")
def by_copies(defaults: Settings, file: Settings, arguments: Settings) -> Settings:
    result = copy.deepcopy(defaults)
    _merge(result, file, [])
    result.update({key: value for key, value in arguments.items() if value is not None})
    return result


def _flat(table: Settings, place: str = "") -> Settings:
    flat = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{place}{key}.")
        else:
            flat[place + key] = value
    return flat


@right("check_settings")
def by_flat_names(defaults: Settings, file: Settings, arguments: Settings) -> Settings:
    known, given = _flat(defaults), _flat(file)
    for name in given:
        if name not in known:
            raise ValueError(name)
    given |= {key: value for key, value in arguments.items() if value is not None}
    result: Settings = {}
    for name, value in (known | given).items():
        *tables, key = name.split(".")
        at = result
        for table in tables:
            at = at.setdefault(table, {})
        at[key] = value
    return result
