"""Answers to the exercises of the chapter admission."""

import ipaddress
import socket

from exercises import right, wrong


@wrong("check_neighbourhood", "neighbourhood('192.0.2.7')")
def the_address(host: str) -> str:
    return host


@wrong("check_neighbourhood", "neighbourhood('2001:db8:1:2::3')")
def only_ipv4(host: str) -> str:
    return ".".join(host.rpartition(":")[2].split(".")[:3]) + ".0/24"


@wrong("check_neighbourhood", "neighbourhood('::ffff:192.0.2.7')")
def without_mapped_ones(host: str) -> str:
    bits = 48 if ":" in host else 24
    return str(ipaddress.ip_network((host, bits), strict=False))


@wrong("check_neighbourhood", "An exception ended it, in line")
def strict(host: str) -> str:
    return str(ipaddress.ip_network(f"{host}/24"))


@wrong("check_neighbourhood", "but got IPv4Network('192.0.2.0/24')")
def an_object(host: str) -> object:
    return ipaddress.ip_network(by_bytes(host))


@right("check_neighbourhood")
def by_bytes(host: str) -> str:
    host = host.removeprefix("::ffff:") if "." in host else host
    if "." in host:
        return f"{host[: host.rindex('.')]}.0/24"
    packed = socket.inet_pton(socket.AF_INET6, host)[:6] + bytes(10)
    return f"{socket.inet_ntop(socket.AF_INET6, packed)}/48"


@right("check_neighbourhood")
def by_supernet(host: str) -> str:
    address = ipaddress.ip_address(host)
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    network = ipaddress.ip_network(address)
    return str(network.supernet(new_prefix={4: 24, 6: 48}[address.version]))
