"""Answers to the exercises of the chapter bans."""

import ipaddress

from exercises import right, wrong

Bans = list[tuple[str, float | None]]


def _networks(target: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(target)]
    except ValueError:
        return []


@wrong("check_keeps_out", "EVE from 198.51.100.7, at 0: expected ['Eve']")
def in_one_case(bans: Bans, name: str, address: str, now: float) -> list[str]:
    where = ipaddress.ip_address(address)
    return [
        target
        for target, end in bans
        if end is None or end > now
        if target == name or any(where in each for each in _networks(target))
    ]


@wrong("check_keeps_out", "bob from 198.51.100.7, at 10: expected []")
def for_ever(bans: Bans, name: str, address: str, now: float) -> list[str]:
    where = ipaddress.ip_address(address)
    where = getattr(where, "ipv4_mapped", None) or where
    return [
        target
        for target, end in bans
        if target.lower() == name.lower()
        or any(where in each for each in _networks(target))
    ]


@wrong("check_keeps_out", "eve from ::ffff:192.0.2.7, at 0")
def as_it_is_written(bans: Bans, name: str, address: str, now: float) -> list[str]:
    where = ipaddress.ip_address(address)
    return [
        target
        for target, end in bans
        if end is None or end > now
        if target.lower() == name.lower()
        or any(where in each for each in _networks(target))
    ]


@wrong("check_keeps_out", "exception ended it")
def all_are_networks(bans: Bans, name: str, address: str, now: float) -> list[str]:
    where = ipaddress.ip_address(address)
    return [target for target, end in bans if where in ipaddress.ip_network(target)]


@wrong("check_keeps_out", "192.0.2.77 from 198.51.100.7")
def either_a_name_or_a_network(
    bans: Bans, name: str, address: str, now: float
) -> list[str]:
    where = ipaddress.ip_address(address)
    where = getattr(where, "ipv4_mapped", None) or where
    found = []
    for target, end in bans:
        if end is not None and end <= now:
            continue
        if networks := _networks(target):
            fits = where in networks[0]
        else:
            fits = target.lower() == name.lower()
        if fits:
            found.append(target)
    return found


@right("check_keeps_out")
def with_a_loop(bans: Bans, name: str, address: str, now: float) -> list[str]:
    where = ipaddress.ip_address(address)
    where = getattr(where, "ipv4_mapped", None) or where
    found = []
    for target, end in bans:
        is_over = end is not None and end <= now
        fits = target.casefold() == name.casefold()
        fits = fits or any(where in each for each in _networks(target))
        if fits and not is_over:
            found.append(target)
    return found


@right("check_keeps_out")
def with_supernets(bans: Bans, name: str, address: str, now: float) -> list[str]:
    where = ipaddress.ip_address(address)
    own = ipaddress.ip_network(getattr(where, "ipv4_mapped", None) or where)
    keys = {name.lower(), str(own), str(own.network_address)}
    keys |= {str(own.supernet(new_prefix=bits)) for bits in range(own.prefixlen)}
    return [
        target
        for target, end in bans
        if target.lower() in keys and (end is None or now < end)
    ]
