"""Answers to the exercises of the chapter trusted_proxy."""

from exercises import right, wrong

from python_tcp.trusted_proxy import NetworkList


@wrong("check_client_of", "client_of('203.0.113.9', '198.51.100.1'")
def the_first(peer: str, forwarded: str, trusted: NetworkList) -> str:
    return forwarded.split(", ")[0] or peer


@wrong("check_client_of", "client_of('10.0.0.1', '203.0.113.9'")
def only_the_peer(peer: str, forwarded: str, trusted: NetworkList) -> str:
    return peer


@wrong("check_client_of", "'198.51.100.1, 203.0.113.9, 10.0.0.2'")
def the_last_of_the_list(peer: str, forwarded: str, trusted: NetworkList) -> str:
    return forwarded.split(", ")[-1] or peer if peer in trusted else peer


@wrong("check_client_of", "client_of('10.0.0.1', ''")
def without_an_empty_list(peer: str, forwarded: str, trusted: NetworkList) -> str:
    way = [*forwarded.split(", "), peer] if forwarded or peer in trusted else [peer]
    while len(way) > 1 and way[-1] in trusted:
        way.pop()
    return way[-1]


@wrong("check_client_of", "'10.0.0.3, 10.0.0.2'")
def the_peer_if_all_are_ours(peer: str, forwarded: str, trusted: NetworkList) -> str:
    way = [*filter(None, forwarded.split(", ")), peer]
    strangers = [each for each in way if each not in trusted]
    return strangers[-1] if strangers else peer


@right("check_client_of")
def from_behind(peer: str, forwarded: str, trusted: NetworkList) -> str:
    found = peer
    for each in reversed(forwarded.split(",") if forwarded else []):
        if found not in trusted:
            break
        found = each.strip()
    return found


@right("check_client_of")
def all_strangers(peer: str, forwarded: str, trusted: NetworkList) -> str:
    way = [*filter(None, forwarded.split(", ")), peer]
    return next((each for each in reversed(way) if each not in trusted), way[0])
