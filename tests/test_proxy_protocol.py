"""PROXY headers: read exactly, believed from named proxies only, and followed by TLS or by plain text."""

import logging
import re
import socket
import ssl
import struct
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
from authority import ca_file, server_file
from helpers import LineClient, Program
from hypothesis import example, given
from hypothesis import strategies as st
from waiting import LIMIT, wait_until

from python_tcp.chat_server import ChatServer
from python_tcp.handshakes import ServerTLS
from python_tcp.networks import as_address
from python_tcp.operations import read_config
from python_tcp.protocol import Limits
from python_tcp.proxy_protocol import SIGNATURE, ProxyHeader, ProxyHeaderParser
from python_tcp.proxy_protocol import ProxyProtocolError, crc32c
from python_tcp.proxy_protocol import proxy_header_v1, proxy_header_v2
from python_tcp.security import client_context

ANN, SERVER = ("198.51.100.7", 56_324), ("192.0.2.1", 8000)
ANN6, SERVER6 = ("2001:db8::7", 56_324), ("2001:db8::1", 8000)
OWN = ProxyHeader()  # the connection's own address
PROXY, ELSEWHERE = "127.0.0.5", "127.0.3.3"


def v2(body: bytes = b"", command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


IPV4 = bytes([198, 51, 100, 7, 192, 0, 2, 1]) + struct.pack("!HH", 56_324, 8000)
# A header that another program has made, with a checksum (the sample in the tests of go-proxyproto; AWS made it).
FOREIGN = (
    v2(bytes.fromhex("ac1f0771ac1f0a1fc8f20050030004e8d6892dea0017")
       + b"\x01vpce-08d2bf15fac5001c9" + bytes.fromhex("040024") + bytes(36))
)  # fmt: skip

LONGEST = v2(IPV4 + b"\xe0" + struct.pack("!H", 65_520) + bytes(65_520))  # 65,551 bytes


def read(data: bytes) -> tuple[ProxyHeader, bytes]:
    """As a socket would be read: the header, and what is left. Never reads past the end of `data`."""
    parser, found = ProxyHeaderParser(), None
    while found is None:
        assert 0 < parser.wanted
        chunk, data = data[: parser.wanted], data[parser.wanted :]
        assert chunk, "the header has no end"
        found = parser.feed(chunk)
    return found, data


GOOD = [
    (proxy_header_v1(ANN, SERVER), ProxyHeader(ANN, SERVER)),
    (proxy_header_v1(ANN6, SERVER6), ProxyHeader(ANN6, SERVER6)),
    (proxy_header_v1(None, None), OWN),
    (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", OWN),  # 107 bytes
    (b"PROXY UNKNOWN ffff::ffff what ever 1\r\n", OWN),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 0 65535\r\n", ProxyHeader(("192.0.2.7", 0), ("::1", 65535))),
    (proxy_header_v2(ANN, SERVER), ProxyHeader(ANN, SERVER)),
    (proxy_header_v2(ANN6, SERVER6, [(4, b"xyz"), (0xEE, b"")], True), ProxyHeader(ANN6, SERVER6)),
    (proxy_header_v2(None, None), OWN),
    (v2(b"anything at all", 0x20, 0xFF), OWN),  # LOCAL: the rest is skipped
    (v2(b"", 0x21, 0x00), OWN),  # UNSPEC
    (v2(b"abc", 0x21, 0x00), OWN),
    (v2(bytes(216), 0x21, 0x31), OWN),  # UNIX
    (v2(bytes(216) + b"\4\0\0", 0x21, 0x32), OWN),
    (v2(IPV4, 0x21, 0x12), OWN),  # datagrams: not what has come here
    (LONGEST, ProxyHeader(ANN, SERVER)),
    (FOREIGN, ProxyHeader(("172.31.7.113", 51_442), ("172.31.10.31", 80))),
]  # fmt: skip
each_good = pytest.mark.parametrize(("header", "expected"), GOOD, ids=range(len(GOOD)))


@each_good
@pytest.mark.parametrize("rest", [b"", b"\r\n", b"\x16\x03\x01", b'{"type":"ping"}\n'])
def test_a_header_is_read_and_not_a_byte_more(
    header: bytes, expected: ProxyHeader, rest: bytes
) -> None:
    assert read(header + rest) == (expected, rest)


@each_good
def test_a_header_may_come_in_two_parts_cut_anywhere(
    header: bytes, expected: ProxyHeader
) -> None:
    whole = read(header)[0]
    cuts = (1, 12, 16, 17, 40_000) if header is LONGEST else range(1, len(header))
    for cut in cuts:
        parser, found = ProxyHeaderParser(), None
        for part in (header[:cut], header[cut:]):
            while part:
                assert found is None
                chunk, part = part[: parser.wanted], part[parser.wanted :]
                found = parser.feed(chunk)
        assert found == whole


@each_good
def test_a_header_may_come_in_single_bytes(
    header: bytes, expected: ProxyHeader
) -> None:
    parser = ProxyHeaderParser()
    answers = [parser.feed(header[n : n + 1]) for n in range(len(header))]
    assert answers[:-1] == [None] * (len(header) - 1) and answers[-1] is not None


@pytest.mark.parametrize(
    "header",
    [
        b"{", b"GET / HTTP/1.1\r\n", b"PROXy TCP4 1", b"\r\n\r\n\0\r\nQUIT\r", b"\n", b"\0",
        b"PROXY TCP4 127.1 192.0.2.1 1 2\r\n", b"PROXY TCP4 010.0.0.1 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 2\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n", b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
        b"PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n", b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
        b"PROXY tcp4 192.0.2.7 192.0.2.1 1 2\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
        b"PROXY TCP4 192.0.2.7\r192.0.2.1 1 2\r\n", b"PROXY UNKNOWN\n..", b"PROXY  UNKNOWN\r\n",
        b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",  # 108 bytes
        "PROXY TCP4 192.0.2.7 192.0.2.1 \u0661 2\r\n".encode(),  # digits of Arabic
        v2(IPV4, 0x11), v2(IPV4, 0x31), v2(IPV4, 0x22), v2(IPV4, 0x2F), v2(IPV4, 0x01),
        v2(IPV4, 0x21, 0x10), v2(IPV4, 0x21, 0x41), v2(IPV4, 0x21, 0x13), v2(IPV4, 0x21, 0x01),
        v2(IPV4[:-1]), v2(b""), v2(IPV4, 0x21, 0x21), v2(bytes(215), 0x21, 0x31),
        v2(IPV4 + b"\4"), v2(IPV4 + b"\4\0"), v2(IPV4 + b"\4\0\1"), v2(IPV4 + b"\4\xff\xff"),
        v2(IPV4 + b"\3\0\4\0\0\0\0"), v2(IPV4 + b"\3\0\3abc"),
    ],
    ids=lambda header: repr(header[:40]),
)  # fmt: skip
def test_what_is_no_header_is_refused_in_one_line(header: bytes) -> None:
    with pytest.raises(ProxyProtocolError) as failure:
        read(header)
    said = str(failure.value)
    assert said.isprintable() and said.isascii() and len(said) < 150


def test_what_begins_wrongly_is_refused_at_the_first_wrong_byte() -> None:
    for good in (GOOD[0][0], GOOD[6][0]):
        for place in range(6 if good.startswith(b"P") else 12):
            parser = ProxyHeaderParser()
            if place:
                assert parser.feed(good[:place]) is None
            with pytest.raises(ProxyProtocolError):
                parser.feed(bytes([good[place] ^ 0x55]))


def test_every_wrong_bit_is_found_where_there_is_a_checksum() -> None:
    for place in range(16, len(FOREIGN)):
        for bit in range(8):
            wrong = bytearray(FOREIGN)
            wrong[place] ^= 1 << bit
            try:
                found, _ = read(bytes(wrong))
            except ProxyProtocolError:
                continue
            # the type of the checksum itself was changed: then it is a TLV that we skip
            assert place == 28 and found.source == ("172.31.7.113", 51_442)


def test_the_checksum_is_that_of_castagnoli() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    assert crc32c(bytes(range(32))) == 0x46DD794E  # RFC 3720, appendix B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def test_more_than_is_wanted_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="were wanted"):
        ProxyHeaderParser().feed(b"PROXY UNKNOWN\r\nx")


@given(st.binary(max_size=300))
@example(SIGNATURE + b"\x21\x11\0\0")
@example(b"PROXY TCP4 " + b" " * 50 + b"\r\n")
def test_any_bytes_are_a_header_an_error_or_not_yet_all(data: bytes) -> None:
    for begin in (b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11\0"):
        parser, rest = ProxyHeaderParser(), begin + data
        try:
            while rest:
                chunk, rest = rest[: parser.wanted], rest[parser.wanted :]
                if parser.feed(chunk) is not None:
                    break
                assert parser.wanted > 0
                if begin == b"PROXY ":
                    assert len(begin + data) - len(rest) <= 107
        except ProxyProtocolError as error:
            assert str(error).isprintable()


@example((ip_address("::ffff:1.2.3.4"), ip_address("::1")), (1, 2), [], True, [1])
@given(
    st.sampled_from([4, 6]).flatmap(lambda v: st.tuples(*[st.ip_addresses(v=v)] * 2)),
    st.tuples(*[st.integers(0, 65_535)] * 2),
    st.lists(st.tuples(st.integers(4, 255), st.binary(max_size=40)), max_size=4),
    st.booleans(),
    st.lists(st.integers(1, 20), min_size=1),
)
@pytest.mark.slow(seconds=5)
def test_what_a_proxy_says_is_what_is_read(
    hosts: tuple, ports: tuple, tlvs: list, checksum: bool, sizes: list
) -> None:
    source, destination = zip(map(str, hosts), ports, strict=True)
    for header in (
        proxy_header_v1(source, destination),
        proxy_header_v2(source, destination, tlvs, checksum),
    ):
        parser, found, rest, turn = ProxyHeaderParser(), None, header + b"tail", 0
        while found is None:
            size = min(parser.wanted, sizes[turn % len(sizes)])
            found, rest, turn = parser.feed(rest[:size]), rest[size:], turn + 1
        plain = [(str(as_address(host)), port) for host, port in (source, destination)]
        assert found == tuple(plain) and rest == b"tail"


# --- a server that believes some ---------------------------------------------------------------------------------


class Behind(LineClient):
    """A client behind a proxy at `source`, which sends these bytes first."""

    def __init__(self, port: int, header: bytes, source: str = PROXY) -> None:
        self.sock = socket.create_connection(
            ("127.0.0.1", port), timeout=LIMIT, source_address=(source, 0)
        )
        self._file = self.sock.makefile("rb")
        self.send(header)


def seen(header: bytes, source: str = PROXY, **options: object) -> str:
    """The address that a server has for somebody who joins behind this header."""
    options = {"proxies": [PROXY]} | options
    with ChatServer(**options) as server, Behind(server.port, header, source) as client:
        client.join("ann")
        return server.connection_of("ann")[1]


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (proxy_header_v1(ANN, SERVER), ANN[0]),
        (proxy_header_v2(ANN6, SERVER6, checksum=True), ANN6[0]),
        (proxy_header_v1(None, None), PROXY),
        (proxy_header_v2(None, None), PROXY),
        (v2(bytes(216), 0x21, 0x31), PROXY),
    ],
)
def test_the_address_that_a_proxy_tells_is_the_one_that_counts(
    header: bytes, address: str
) -> None:
    assert seen(header) == address


def test_several_proxies_may_be_named() -> None:
    for source in ("127.0.0.5", "127.9.9.9"):
        named = ["127.0.0.5", "127.9.0.0/16", "::1"]
        assert seen(proxy_header_v1(ANN, SERVER), source, proxies=named) == ANN[0]


def test_without_proxies_everybody_comes_from_where_they_are() -> None:
    assert seen(b"", proxies=[]) == PROXY
    assert seen(b"", ELSEWHERE) == ELSEWHERE


def test_a_header_in_single_bytes_over_a_socket() -> None:
    header = proxy_header_v2(ANN, SERVER, [(4, b"x" * 30)], True)
    with ChatServer(proxies=[PROXY]) as server:
        with Behind(server.port, b"") as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(len(header)):
                client.send(header[number : number + 1])
            client.join("ann")
            assert server.connection_of("ann")[1] == ANN[0]


@pytest.mark.parametrize("header", [proxy_header_v1(ANN, SERVER), proxy_header_v2(ANN, SERVER), proxy_header_v2(None, None), SIGNATURE])  # fmt: skip
@pytest.mark.parametrize("proxies", [[], [PROXY]])
@pytest.mark.parametrize("size", [1, 1000])
def test_from_anybody_else_a_header_is_noise(
    header: bytes, proxies: list[str], size: int
) -> None:
    with ChatServer(proxies=proxies) as server:
        with Behind(server.port, b"", ELSEWHERE) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            said = header + b'{"type":"join","username":"eve"}\n'
            try:
                for start in range(0, len(said), size):
                    client.send(said[start : start + size])
            except OSError:
                pass  # it was closed while we were talking
            [last] = client.read_all()
        assert (last["code"], last["reconnect"]) == ("wrong_protocol", False)
        assert server.users == []


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b'{"type":"join","username":"ann"}\n', "it begins with"),
        (b"PROXY TCP4 1 2 3 4\r\n", "no TCP4 address"),
        (b"PROXY " + b"x" * 1000, "without an end"),
        (proxy_header_v2(ANN, SERVER, checksum=True)[:-1] + b"?", "checksum"),
    ],
)
def test_a_proxy_that_sends_no_header_hears_one_line_and_so_does_the_log(
    first: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ChatServer(proxies=[PROXY]) as server:
        with Behind(server.port, first) as client:
            [last] = client.read_all()
        wait_until(lambda: not server.engine._clients._layers)
    assert last["code"] == "wrong_protocol" and "PROXY header" in last["content"]
    records = [each for each in caplog.records if each.name.endswith("trusted_proxy")]
    [said] = [each.getMessage() for each in records]
    assert said.startswith(f"no PROXY header from {PROXY}: ") and why in said
    assert said.isprintable() and records[0].levelno == logging.WARNING


def test_a_proxy_that_says_nothing_has_five_seconds() -> None:
    with ChatServer(proxies=[PROXY]) as server:
        ahead, real = [0.0], server.engine.loop._clock
        server.engine.loop._clock = lambda: real() + ahead[0]
        with Behind(server.port, b"PROXY TCP4") as client:
            wait_until(lambda: len(server.engine._clients._layers) == 1)
            ahead[0] = 5.5
            server.engine.loop.call_threadsafe(lambda: None)
            assert client.read()["code"] == "wrong_protocol"
        wait_until(lambda: not len(server.engine._clients._layers))


def test_a_proxy_that_reads_nothing_after_the_refusal_is_closed_all_the_same() -> None:
    with ChatServer(proxies=[PROXY]) as server:
        with Behind(server.port, b"hello") as client:
            client.read()
            wait_until(lambda: not len(server.engine._clients._layers))


def test_the_limits_count_the_address_that_the_header_tells() -> None:
    limits = Limits(connections_per_address=1, connect_rate=1e6, join_rate=1e6)
    with ChatServer(limits=limits, proxies=[PROXY]) as server, ExitStack() as stack:
        for number in range(5):
            header = proxy_header_v1((f"198.51.{number}.7", 1), SERVER)
            client = stack.enter_context(Behind(server.port, header))
            client.join(f"ann{number}")
        with Behind(server.port, proxy_header_v1(("198.51.3.7", 2), SERVER)) as more:
            assert more.read()["code"] == "too_many_connections"


def test_headers_that_are_awaited_take_the_places_of_nobody() -> None:
    """They make room when the server has none left, and do not outlive it."""
    with ChatServer(limits=Limits(connections=2), proxies=[PROXY]) as server:
        with ExitStack() as stack:
            waiting = [stack.enter_context(Behind(server.port, b"")) for _ in range(30)]
            wait_until(lambda: len(server.engine._clients._layers) >= 15)
            with LineClient(server.port) as ann:
                ann.join("ann")
            server.stop()
            for each in waiting:
                try:
                    assert not each.line()
                except ConnectionError:
                    pass


def test_the_log_names_the_address_that_the_header_tells(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with ChatServer(proxies=[PROXY]) as server:
        with Behind(server.port, proxy_header_v1(ANN, SERVER)) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            client.line()
        wait_until(lambda: any("lost" in each.getMessage() for each in caplog.records))
    [record] = [each for each in caplog.records if hasattr(each, "fields")]
    assert record.getMessage() == f"lost {ANN[0]}: http"
    assert record.fields["address"] == ANN[0]


@pytest.mark.slow
def test_the_command_believes_the_proxies_that_it_was_told_and_no_others() -> None:
    told = ["--proxy-protocol", "10.0.0.0/8", "--proxy-protocol", PROXY]
    with Program("start_server", "--port", 0, *told) as program:
        wait_until(lambda: program.lines)
        port = int(re.search(r":(\d+);", program.lines[0])[1])
        header = proxy_header_v1(ANN, SERVER)
        with Behind(port, header) as ann:
            ann.join("ann")
            wait_until(lambda: any(ANN[0] in line for line in program.lines))
        with Behind(port, header, ELSEWHERE) as eve:
            assert eve.read()["code"] == "wrong_protocol"
        with Behind(port, b"hello\n") as proxy:
            assert proxy.read()["code"] == "wrong_protocol"
        wait_until(lambda: any("no PROXY header" in line for line in program.errors))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["here", "10.0.0.1/8", ""])
def test_an_address_that_is_none_ends_the_command_with_one_line(text: str) -> None:
    with Program("start_server", "--port", 0, "--proxy-protocol", text) as program:
        status, errors = program.end()
    assert status == 2 and len(errors) == 1
    assert errors[0].startswith(f"chat_server: proxy_protocol: {text!r} ")


def test_the_key_of_the_configuration_is_a_list_of_networks(tmp_path: Path) -> None:
    for wrong, said in [
        ('proxy_protocol = ["::1", "here"]', "proxy_protocol: 'here' is no address"),
        ('trusted_networks = ["10.0.0.1/8"]', "trusted_networks: '10.0.0.1/8' has"),
        ('trusted_networks = "10.0.0.0/8"', "trusted_networks: Expected `array`"),
        ("trusted_networks = [1]", "trusted_networks[0]: Expected `str`"),
    ]:
        (file := tmp_path / "chat.toml").write_text(wrong)
        with pytest.raises(ValueError) as failure:
            read_config(file)
        assert str(failure.value).startswith(f"{file}: {said}")
        assert str(failure.value).isprintable()


# --- before TLS --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [proxy_header_v1(ANN, SERVER), proxy_header_v2(ANN, SERVER)]
)
def test_the_header_comes_before_the_handshake(header: bytes) -> None:
    """Sent in one piece with the first bytes of TLS: not one of those is taken."""
    tls = ServerTLS(server_file())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = client_context(ca_file())
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with ChatServer(proxies=[PROXY], tls=tls) as server:
        with Behind(server.port, header + outgoing.read()) as behind:
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(behind.sock.recv(65_536))
            client.write(b'{"type":"join","username":"ann"}\n')
            behind.send(outgoing.read())
            wait_until(lambda: server.users == ["ann"])
            assert server.connection_of("ann")[1] == ANN[0]


def test_a_header_inside_of_tls_is_noise() -> None:
    """A proxy that was not named can't say so a second time."""
    tls = ServerTLS(server_file())
    with ChatServer(proxies=[PROXY], tls=tls) as server:
        with LineClient(server.port, tls=client_context(ca_file())) as eve:
            eve.send(proxy_header_v1(ANN, SERVER))
            assert eve.read()["code"] == "wrong_protocol"


def test_a_proxy_without_a_header_hears_one_line_where_tls_is_spoken() -> None:
    tls = ServerTLS(server_file())
    with ChatServer(proxies=[PROXY], tls=tls) as server:
        with Behind(server.port, b"\x16\x03\x01\x02\x00\x01\x00") as client:
            assert client.read()["code"] == "wrong_protocol"
