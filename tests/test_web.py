"""The port for browsers, over real sockets: the page, who may open a WebSocket, and who breaks its rules."""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import LineClient, Listener as KeepingClient, Program
from test_fuzz import MALFORMED, Honest
from test_websocket import HOSTILE, asked, masked, text
from waiting import LIMIT, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from python_tcp.certificates import self_made_certificate
from python_tcp.chat_app import start_server
from python_tcp.chat_server import ChatServer
from python_tcp.dialects import Listener
from python_tcp.handshakes import ServerTLS
from python_tcp.limits import Limits
from python_tcp.web import ChatPage, is_known_host, parse_web_address, web_dialect

FREE = {"flood_burst": 0, "connections_per_address": 0, "ping_after": 600.0}


def web_server(
    origins: list[str] = [], tls: object = None, **limits: float
) -> ChatServer:
    """Not started yet."""
    listener = Listener("web", web_dialect("127.0.0.1", origins), "127.0.0.1", 0)
    return ChatServer(limits=Limits(**(FREE | limits)), listeners=[listener], tls=tls)


def web_port(server: ChatServer) -> int:
    return int(server.listening("web")[0].rpartition(":")[2])


def url(server: ChatServer) -> str:
    return f"ws://127.0.0.1:{web_port(server)}/socket"


class Page:
    """What a page does, with the client of `websockets`."""

    def __init__(self, server: ChatServer, **options: object) -> None:
        self._connecting = connect(
            url(server), **{"open_timeout": LIMIT, "ping_timeout": LIMIT} | options
        )
        self.socket: ClientConnection = self._connecting.__enter__()

    def say(self, type: str, **fields: object) -> None:
        self.socket.send(json.dumps({"type": type, **fields}))

    def read(self) -> dict:
        return json.loads(self.socket.recv(LIMIT))

    def read_until(self, type: str) -> dict:
        while (event := self.read())["type"] != type:
            pass
        return event

    def join(self, name: str, room: str = "lobby", **fields: object) -> dict:
        self.say("join", username=name, room=room, **fields)
        return self.read_until("welcome")

    def end(self) -> int | None:
        """Read to the end; the code with which the server has closed."""
        try:
            while True:
                self.socket.recv(LIMIT)
        except ConnectionClosed:
            return self.socket.close_code

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connecting.__exit__(*exc_info)


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with web_server(join_timeout=600.0) as server:
        yield server


@pytest.fixture(scope="module")
def honest(server: ChatServer) -> Iterator[Honest]:
    honest = Honest(server.port)
    with honest.one, honest.two:
        yield honest


# --- a conversation -------------------------------------------------------------------------------


def test_a_page_a_line_and_a_python_client_talk(server: ChatServer) -> None:
    with Page(server) as ann, LineClient(server.port) as bob:
        welcome = ann.join("ann", "talk")
        assert welcome["limits"]["line"] == 16_384
        bob.join("bob", "talk")
        cat = KeepingClient("cat")
        assert cat.connect("127.0.0.1", server.port) and cat.join("talk")
        ann.say("message", content="grüße 👋", id=1)
        assert bob.read_until("message")["content"] == "grüße 👋"
        assert ann.read_until("ok") == {"type": "ok", "id": 1, "seq": 1}
        cat.send_message("hello")
        assert ann.read_until("message")["content"] == "hello"
        wait_until(lambda: "ann: grüße 👋" in cat.lines)
        cat.leave()
        ann.socket.close()
        bob.say("leave")


def test_who_comes_back_finds_place_and_missed_messages(server: ChatServer) -> None:
    with LineClient(server.port) as bob:
        bob.join("ben", "back")
        with Page(server) as ann:
            token = ann.join("ada", "back")["token"]
            ann.say("message", content="one", id=1)
            ann.read_until("ok")
            ann.socket.socket.shutdown(socket.SHUT_RDWR)
        bob.read_until("message")
        bob.say("message", content="two")
        assert bob.read()["content"] == "two"  # and no word about Ann
        with Page(server) as ann:
            ann.join("ada", "back", token=token, since=1)
            assert [m["content"] for m in ann.read_until("history")["messages"]] == [
                "two"
            ]
            ann.say("message", content="one", id=1)  # once more: it was said
            assert ann.read_until("ok")["seq"] == 1
            ann.say("leave")
            assert ann.read_until("goodbye")["code"] == "left" and ann.end() == 1000


def test_an_event_is_the_same_for_pages_and_lines(server: ChatServer) -> None:
    with Page(server) as ann, LineClient(server.port) as bob:
        ann.join("amy", "same")
        ann.read_until("users")
        bob.join("bea", "same")
        ann.read_until("join")
        for number in range(200):
            ann.say("message", content=f"{number}")
        for number in range(200):
            line = bob.line()
            assert ann.socket.recv(LIMIT) == line.decode()[:-1]
            assert json.loads(line)["content"] == f"{number}"
        ann.say("leave")
        bob.say("leave")


def test_frames_may_come_in_the_packet_of_the_request(server: ChatServer) -> None:
    joins = b'{"type":"join","username":"eager","room":"eager"}'
    with socket.create_connection(("127.0.0.1", web_port(server)), LIMIT) as sock:
        request = asked().replace(b"GET / ", b"GET /socket ")
        sock.sendall(request + masked(1, joins) + masked(8, b"\x03\xe8"))
        seen = read_to_the_end(sock)
    head, _, frames = seen.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b'"type":"welcome"' in frames and frames.endswith(b"\x88\x02\x03\xe8")


def read_to_the_end(sock: socket.socket) -> bytes:
    seen = b""
    while data := sock.recv(65536):
        seen += data
    return seen


# --- the page -------------------------------------------------------------------------------------


def ask(
    server: ChatServer, method: str, path: str, host: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    asking = http.client.HTTPConnection("127.0.0.1", web_port(server), timeout=LIMIT)
    try:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        own = {"Host": host} if host else {}
        asking.request(method, path, headers={**own, **headers})
        answer = asking.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        asking.close()


def test_the_page(server: ChatServer) -> None:
    page = Path(__file__).parent.parent / "python_tcp" / "page" / "index.html"
    for path in ("/", "/?from=a+link"):
        status, headers, body = ask(server, "GET", path)
        assert (status, body) == (200, page.read_bytes())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Connection"] == "close"
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not any("unsafe" in rule or "*" in rule for rule in policy)
    again = ask(server, "HEAD", "/")
    del again[1]["Date"], headers["Date"]
    assert again == (200, headers, b"")
    with socket.create_connection(("127.0.0.1", web_port(server)), LIMIT) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_to_the_end(sock).endswith(b"\r\n\r\n")  # and no page behind it


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/index.html", 404),
        ("GET", "/../chat.db", 404),
        ("GET", "//", 404),
        ("GET", "http://127.0.0.1/", 404),
        ("GET", "/wp-login.php?x=<script>", 404),
        ("HEAD", "/favicon.ico", 404),
        ("DELETE", "/", 405),
        ("OPTIONS", "/", 405),
        ("BREW", "/", 405),
        ("GET", "/socket", 426),
        ("POST", "/socket", 405),
    ],
)
def test_other_requests(
    server: ChatServer, method: str, path: str, status: int
) -> None:
    found, headers, body = ask(server, method, path)
    assert found == status and headers["Content-Type"].startswith("text/plain")
    assert b"<" not in body and int(headers["Content-Length"]) >= len(body)


def test_one_host_and_a_known_one(server: ChatServer, honest: Honest) -> None:
    port = web_port(server)
    for host in (
        "localhost",
        f"127.0.0.1:{port}",
        "[::1]",
        socket.gethostname(),
        "192.0.2.7",
    ):
        assert ask(server, "GET", "/", host)[0] == 200
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "a b",
    ):
        status, _, body = ask(server, "GET", "/", host)
        assert status == 421 and b"--web-origin" in body
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert read_to_the_end(sock).startswith(b"HTTP/1.1 400 ")
    honest.go_on()


def test_who_may_open_a_websocket(server: ChatServer) -> None:
    port = web_port(server)
    for origin in (None, f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
        with Page(server, origin=origin) as page:
            page.say("ping")
            assert page.read() == {"type": "pong"}
    for origin in (
        "http://evil.example",
        "http://127.0.0.1",
        f"http://127.0.0.1:{port}.evil.example",
        f"http://evil.example:{port}",
        "null",
        "",
    ):
        with pytest.raises(InvalidStatus) as refused:
            Page(server, origin=origin)
        assert refused.value.response.status_code == 403


def test_a_proxy_may_show_it_under_another_name() -> None:
    with web_server(["https://chat.example.org"]) as server:
        assert ask(server, "GET", "/", "chat.example.org")[0] == 200
        assert ask(server, "GET", "/", "example.org")[0] == 421
        with Page(server, origin="https://chat.example.org") as page:
            page.say("ping")
            assert page.read() == {"type": "pong"}
        with pytest.raises(InvalidStatus):
            Page(server, origin="https://chat.example.org.evil.example")


@pytest.mark.parametrize(
    "host", ["", " ", "[", "[::1", "::1", "a/b", "a:b", "ä", "1.2.3.4:999999"]
)
def test_what_is_no_host(host: str) -> None:
    assert not is_known_host(host, {"a", "ä"})


def test_the_page_is_in_the_package() -> None:
    assert ChatPage()._page.startswith("<!doctype html>")
    assert parse_web_address("[::1]:80", "localhost") == ("::1", 80)


def test_over_tls(tmp_path: Path) -> None:
    """By hand: the client of `websockets` reads and writes in two threads, and with TLS 1.3 a
    request of three in a thousand is never sent then.
    """
    pem = self_made_certificate(str(tmp_path / "chat.db"), "127.0.0.1")
    context = ssl.create_default_context(cafile=pem)
    context.check_hostname = False
    with web_server(tls=ServerTLS(pem, None)) as server:
        where = f"127.0.0.1:{web_port(server)}"
        request = asked(Host=where, Origin=f"https://{where}")
        plain = socket.create_connection(("127.0.0.1", web_port(server)), LIMIT)
        with context.wrap_socket(plain) as sock:
            sock.sendall(request.replace(b"GET / ", b"GET /socket "))
            sock.sendall(text('{"type":"ping"}') + masked(8, b"\x03\xe8"))
            seen = read_to_the_end(sock)
    head, _, frames = seen.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ") and b'{"type":"pong"}' in frames


# --- who breaks a rule, and nobody else notices -----------------------------------------------------


@pytest.mark.parametrize("what", HOSTILE)
def test_a_broken_rule_ends_that_connection_only(
    server: ChatServer, honest: Honest, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level("WARNING")
    frames, code = HOSTILE[what]
    if code == 1009:  # there the limit was smaller
        size = 16_385
        frames = masked(
            1, b"x" * size if "two" not in what else b"x" * 16_384, "two" not in what
        )
        frames += masked(0, b"x") * ("two" in what)
        frames = HOSTILE[what][0] if "2**63" in what else frames
    with Page(server) as page:
        page.say("ping")
        page.read()
        page.socket.socket.sendall(frames[: len(frames) // 2])
        honest.go_on()
        with suppress(OSError):  # it may be closed already
            page.socket.socket.sendall(frames[len(frames) // 2 :])
        assert page.end() == code
    honest.go_on()
    assert not caplog.records


@pytest.mark.parametrize(("data", "code"), MALFORMED.values(), ids=MALFORMED)
def test_the_corpus_of_malformed_lines(
    server: ChatServer, honest: Honest, data: bytes, code: str
) -> None:
    with Page(server) as page:
        page.socket.socket.sendall(
            masked(1, data) if len(data) < 65_536 else long_text(data)
        )
        if code == "bad_utf8" or not is_utf8(data):
            assert page.end() in (1007, 1009)
        elif len(data) > 16_384:
            assert page.end() == 1009
        else:
            error = page.read()
            assert (error["type"], error["code"]) == ("error", code)
            page.say("ping", id=7)
            assert page.read() == {"type": "pong", "id": 7}
    honest.go_on()


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def long_text(data: bytes) -> bytes:
    """A frame of 64 KiB or more; its mask is zero."""
    return b"\x81\xff" + len(data).to_bytes(8, "big") + bytes(4) + data


def test_a_flood_of_pings_is_ended(honest: Honest) -> None:
    with (
        web_server(flood_burst=10, flood_excess=20) as server,
        LineClient(server.port) as bob,
    ):
        bob.join("bob")
        with Page(server) as page:
            page.join("ann")
            bob.read_until("join")
            page.socket.socket.sendall(masked(9, b"") * 5000)
            assert page.end() == 1008
        bob.say("ping", id=1)
        assert bob.read_until("pong") == {"type": "pong", "id": 1}


@pytest.mark.slow
def test_a_megabyte_of_frames_keeps_nobody_waiting(
    server: ChatServer, honest: Honest
) -> None:
    with Page(server) as page:
        page.say("ping")
        page.read()
        page.socket.socket.sendall(masked(10, b"") * 150_000)
        for _ in range(20):
            honest.ping()
        page.say("ping", id=9)
        assert page.read() == {"type": "pong", "id": 9}


# --- silence, and ends ----------------------------------------------------------------------------


def open_by_hand(server: ChatServer, name: str) -> socket.socket:
    """A WebSocket without a library: nobody answers a ping, unless the test does."""
    sock = socket.create_connection(("127.0.0.1", web_port(server)), LIMIT)
    sock.sendall(asked().replace(b"GET / ", b"GET /socket "))
    sock.sendall(text(json.dumps({"type": "join", "username": name})))
    return sock


def test_who_is_silent_is_asked_and_who_does_not_answer_is_closed() -> None:
    limits = {"ping_after": 0.1, "ping_timeout": 0.5, "resume_window": 0}
    with web_server(**limits) as server, open_by_hand(server, "mute") as sock:
        seen = read_to_the_end(sock)
    assert b"\x89\x00" in seen  # a ping, which a browser answers by itself
    assert b'"code":"idle"' in seen and seen[-40:].find(b"\x03\xe9") > 0


def test_who_answers_is_asked_again() -> None:
    with web_server(ping_after=0.1, ping_timeout=600.0) as server:
        with open_by_hand(server, "ann") as sock:
            for _ in range(3):
                seen = b""
                while not seen.endswith(b"\x89\x00"):
                    assert (data := sock.recv(65536))
                    seen += data
                sock.sendall(masked(10, b""))


def test_before_the_handshake_is_over_nobody_is_pinged() -> None:
    with web_server(ping_after=0.05, join_timeout=0.5) as server:
        with socket.create_connection(("127.0.0.1", web_port(server)), LIMIT) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost:")
            assert read_to_the_end(sock).startswith(b"HTTP/1.1 503 ")


def test_a_full_server_says_so_in_http() -> None:
    with web_server(connections=1) as server, LineClient(server.port) as bob:
        bob.join("bob")
        with socket.create_connection(("127.0.0.1", web_port(server)), LIMIT) as sock:
            seen = read_to_the_end(sock)
    assert seen.startswith(b"HTTP/1.1 503 ") and seen.endswith(
        b"The server is full. Try again later.\n"
    )


def test_a_server_that_stops_says_1001() -> None:
    with web_server() as server, Page(server) as ann:
        ann.join("ann")
        server.stop()
        assert ann.read_until("goodbye")["code"] == "server_closing"
        assert ann.end() == 1001


def test_one_who_does_not_read_is_closed_and_the_others_go_on() -> None:
    with web_server(output_bytes=100_000) as server, LineClient(server.port) as bob:
        with open_by_hand(server, "lazy") as sock:
            wait_until(lambda: server.users == ["lazy"])
            bob.join("bob")
            lost: list[str] = []

            def gone() -> bool:
                for _ in range(100):
                    bob.say("message", content="x" * 3000)
                    bob.read_until("message")
                lost[:] = [name for name in ["lazy"] if server.connection_of(name)]
                return not lost

            wait_until(gone, 2 * LIMIT)
            seen = read_to_the_end(sock)
        assert b'"code":"slow_consumer"' in seen[-400:]


# --- the command ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_serves_the_page_and_says_where() -> None:
    with Program("start_server", "--port", 0, "--web", 0) as server:
        found = wait_until(
            lambda: re.search(
                r"in a browser: http://127\.0\.0\.1:(\d+)", "\n".join(server.lines)
            )
        )
        where = f"ws://127.0.0.1:{found[1]}/socket"
        with connect(where, open_timeout=LIMIT) as page:
            page.send('{"type":"ping"}')
            assert page.recv(LIMIT) == '{"type":"pong"}'
        assert server.end(15) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--web", "http"], "web: a port is a number from 0 to 65535, not 'http'"),
        (["--web", "127.0.0.1:65536"], "web: a port is a number"),
        (["--web", "[::1]"], "web: a port is a number from 0 to 65535, not '[::1]'"),
        (
            ["--web", "0", "--web-origin", "chat.example"],
            "web_origins: 'chat.example' is not",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(
    capsys: pytest.CaptureFixture, arguments: list[str], part: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        start_server(["--port", "0", *arguments])
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and part in errors and errors.count("\n") == 1


@pytest.mark.slow
def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Program("start_server", "--port", 0, "--web", port) as server:
            status, errors = server.end()
    assert status == 1 and len(errors) == 1
    assert errors[0].startswith(f"chat_server: can't listen on 127.0.0.1:{port}: ")


def test_without_the_package_it_is_one_line(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "python_tcp.web", None)
    with pytest.raises(SystemExit):
        start_server(["--port", "0", "--web", "0"])
    assert capsys.readouterr().err == (
        "chat_server: web: the package websockets is missing: pip install 'python_tcp[web]'\n"
    )
