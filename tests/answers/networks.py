"""Answers to the exercises of the chapter networks."""

import ipaddress
import math
from collections import Counter
from collections.abc import Iterable

from exercises import right, wrong

from python_tcp.networks import Rates, address_and_network


@wrong("check_worst", "['192.0.2.0/24'], but got []")
def addresses(hosts: list[str], most: int) -> list[str]:
    return [host for host, count in Counter(hosts).items() if count > most]


@wrong("check_worst", ", 3)")
def as_many_as_most(hosts: list[str], most: int) -> list[str]:
    counts = Counter(address_and_network(host)[1] for host in hosts)
    return [network for network, count in counts.most_common() if count >= most]


@wrong("check_worst", ", 1)")
def not_the_worst_first(hosts: list[str], most: int) -> list[str]:
    counts = Counter(address_and_network(host)[1] for host in hosts)
    return [
        network for network in sorted(counts, reverse=True) if counts[network] > most
    ]


@wrong("check_worst", ", 1)")
def in_the_order_of_names(hosts: list[str], most: int) -> list[str]:
    counts = Counter(address_and_network(host)[1] for host in hosts)
    found = sorted(counts, key=lambda network: (-counts[network], network[::-1]))
    return [network for network in found if counts[network] > most]


@wrong("check_worst", ", 2)")
def each_address_once(hosts: list[str], most: int) -> list[str]:
    return by_dictionary(list(dict.fromkeys(hosts)), most)


@right("check_worst")
def by_dictionary(hosts: list[str], most: int) -> list[str]:
    counts: dict[str, int] = {}
    for host in hosts:
        network = address_and_network(host)[1]
        counts[network] = counts.get(network, 0) + 1
    return sorted((n for n in counts if counts[n] > most), key=lambda n: -counts[n])


@right("check_worst")
def with_ipaddress(hosts: list[str], most: int) -> Iterable[str]:
    networks = []
    for host in hosts:
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        bits = 24 if address.version == 4 else 64
        networks.append(str(ipaddress.ip_network((address, bits), strict=False)))
    return (n for n, count in Counter(networks).most_common() if count > most)


@wrong("check_all_in", "all_in(150, 100, 10.0, 10.0)")
def a_division(people: int, burst: int, rate: float, pause: float) -> float:
    return max(0.0, (people - burst) / rate)


@wrong("check_all_in", "all_in(30, 10, 1.0, 100.0)")
def in_whole_pauses(people: int, burst: int, rate: float, pause: float) -> float:
    return math.ceil(max(0.0, people - burst) / rate / pause) * pause


@wrong("check_all_in", "all_in(40, 100, 10.0, 10.0)")
def one_round_too_many(people: int, burst: int, rate: float, pause: float) -> float:
    return by_tokens(people, burst, rate, pause) + pause


@wrong("check_all_in", "all_in(300, 100, 10.0, 1.0)")
def a_full_bucket_each_time(
    people: int, burst: int, rate: float, pause: float
) -> float:
    return max(0, math.ceil(people / burst) - 1) * pause if people > burst else 0.0


@right("check_all_in")
def by_tokens(people: int, burst: int, rate: float, pause: float) -> float:
    tokens, now = float(burst), 0.0
    while True:
        entered = min(people, math.floor(tokens + 1e-9))
        people, tokens = people - entered, tokens - entered
        if not people:
            return now
        now, tokens = now + pause, min(burst, tokens + rate * pause)


@right("check_all_in")
def with_rates(people: int, burst: int, rate: float, pause: float) -> float:
    rates, round_ = Rates(), 0
    waiting = list(range(people))
    while waiting:
        now = round_ * pause
        waiting = [n for n in waiting if rates.wait("office", burst, rate, now) > 0]
        round_ += 1
    return max(0, round_ - 1) * pause
