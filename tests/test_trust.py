"""Whom a client trusts: what is remembered, what is asked, and what is refused, with one line each, by the real command."""

import datetime
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import LIMIT, Listener, Program, wait_until
from tls import Front

from python_tcp.certificates import pin_of, pin_of_file, self_made_certificate
from python_tcp.chat_app import start_client
from python_tcp.chat_client import ChatClient
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import Disconnected, Reconnected
from python_tcp.protocol import Limits
from python_tcp.security import ClientTLS, client_context
from python_tcp.trust import KnownServers, ServerTrust, TrustPrompt
from python_tcp.trust import clear_text_warning, is_loopback, server_name

pytestmark = pytest.mark.slow  # it starts programs

pytest.importorskip("cryptography", reason="needs python_tcp[tls]")
trustme = pytest.importorskip("trustme")

PIN, OTHER = bytes(range(32)), bytes(range(1, 33))
CLIENT = (
    "import sys; from python_tcp.chat_app import start_client as main; sys.exit(main())"
)


# --- the file of known servers -----------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "python_tcp" / "known_servers"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that a person has accepted before is seen here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_a_pin_is_remembered_for_its_host_and_port(path: Path) -> None:
    known = KnownServers(path)
    assert known.pin("chat.example", 8000) is None and not path.exists()
    known.add("chat.example", 8000, PIN)
    known.add("chat.example", 8001, OTHER)
    known.add("::1", 8000, OTHER)
    assert KnownServers(path).pin("CHAT.example.", 8000) == PIN
    assert KnownServers(path).pin("chat.example", 8001) == OTHER
    assert KnownServers(path).pin("[0::1]", 8000) == OTHER
    assert KnownServers(path).pin("chat.example", 8002) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["known_servers"]


def test_it_is_in_the_state_folder(path: Path) -> None:
    assert KnownServers().path == path


def test_what_a_person_has_written_stays(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f"# mine\n\n  a:1   {PIN.hex(':')}  # at home")
    KnownServers(path).add("b", 2, OTHER)
    assert path.read_text() == (
        f"# mine\n\n  a:1   {PIN.hex(':')}  # at home\nb:2 {OTHER.hex()}\n"
    )
    assert KnownServers(path).pin("a", 1) == PIN


def test_a_second_pin_of_a_server_is_refused(path: Path) -> None:
    known = KnownServers(path)
    known.add("a", 1, PIN)
    before = path.read_bytes()
    known.add("a", 1, PIN)  # the same is fine
    with pytest.raises(ValueError, match="line 2: a second pin of the same server"):
        known.add("a", 1, OTHER)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"a:1", "line 1: expected HOST:PORT and a pin"),
        (b"\n#\na:1 12", "line 3: expected HOST:PORT and a pin"),
        (b"a:1 %s x" % PIN.hex().encode(), "line 1: expected"),
        (b"a %s" % PIN.hex().encode(), "line 1: expected"),
        (b"a:b %s" % PIN.hex().encode(), "line 1: expected"),
        (b"a:1 %s\na:1 %s" % (PIN.hex().encode(), OTHER.hex().encode()), "line 2: a s"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"\0" * 10, "line 1: expected"),
        (b"\x1b[2J\x1b]0;x\x07", "line 1: expected"),
        (b"#" * 1_000_001, "more than 1000000 bytes"),
    ],
)
def test_a_file_that_is_wrong_is_one_line_and_never_an_unknown_server(
    path: Path, content: bytes, wrong: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for use in (
        lambda: KnownServers(path).pin("b", 2),
        lambda: KnownServers(path).add("b", 2, PIN),
        lambda: ServerTrust("b", 2),
    ):
        with pytest.raises(ValueError) as caught:
            use()
        assert str(caught.value).startswith(f"{path}") and wrong in str(caught.value)
        assert str(caught.value).isprintable()
    assert path.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_what_is_no_file_is_one_line_and_is_not_waited_for(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="this is no file"):
        KnownServers(path).pin("a", 1)
    path.unlink(), path.mkdir()
    with pytest.raises(ValueError, match="this is no file"):
        KnownServers(path).add("a", 1, PIN)


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_clients_that_answer_at_once_lose_no_line(path: Path) -> None:
    start = threading.Barrier(8)

    def add(number: int) -> None:
        start.wait(LIMIT)
        for host in range(5):
            KnownServers(path).add(f"host-{number}-{host}", 1, PIN)

    threads = [threading.Thread(target=add, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert len(path.read_text().splitlines()) == 40


def test_a_folder_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Not a directory|File exists"):
        KnownServers(tmp_path / "file" / "known_servers").add("a", 1, PIN)


@pytest.mark.parametrize("host", ["a b", "a\nb:1", "#", ""])
def test_a_name_that_a_line_can_not_have_is_not_written(path: Path, host: str) -> None:
    try:
        KnownServers(path).add(host, 1, PIN)
    except ValueError:
        assert not path.exists()
    else:
        assert KnownServers(path).pin(host, 1) == PIN


# --- who may be in between ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "[::1]",
    ],
)
def test_this_computer_is_not_warned_about(host: str) -> None:
    assert is_loopback(host) and clear_text_warning(host, "--tls") is None


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "", "::", "192.0.2.1", "chat.example", "localhost.example"]
)
def test_another_computer_is_warned_about_in_one_line(host: str) -> None:
    line = clear_text_warning(host, "--tls") or ""
    assert not is_loopback(host) and "--tls" in line and line.isprintable()


def test_names_of_servers() -> None:
    assert server_name("Chat.Example.", 1) == "chat.example:1"
    assert server_name("[0:0::1]", 1) == server_name("::1", 1) == "[::1]:1"


# --- certificates of every kind ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> object:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority: object, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the authority, for `--tls-ca`."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def shows(certificate: object) -> ssl.SSLContext:
    """The settings of a server that shows a certificate of trustme."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_made(folder: Path, name: str = "chat.db") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_made_certificate(folder / name))
    return context


def pin_in(folder: Path, name: str = "chat.db") -> bytes:
    return pin_of_file(folder / f"{name}.server.pem")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        yield server


DAY = datetime.timedelta(days=1)


def valid(start: int, end: int) -> dict[str, datetime.datetime]:
    """Dates for trustme, in days from now."""
    now = datetime.datetime.now(datetime.UTC)
    return {"not_before": now + start * DAY, "not_after": now + end * DAY}


def client(port: int, *arguments: str, typed: str = "") -> tuple[int, list[str], str]:
    """`chat_client` as it is in a pipe: its status, what it wrote to stderr, and to stdout."""
    place = ["127.0.0.1", str(port), "--username", "ann"]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *place, *arguments],
        input=typed, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines(), done.stdout


def test_a_certificate_that_is_right_is_a_chat(
    server: ChatServer, authority: object, ca: str
) -> None:
    with Front(shows(authority.issue_cert("127.0.0.1")), server.port) as front:
        status, errors, shown = client(front.port, "--tls-ca", ca, typed="hello\n")
        assert (status, errors) == (0, []) and "ann: hello\n" in shown
        assert b"hello" in front.heard


def test_the_authorities_of_the_system_vouch_for_a_name(
    server: ChatServer, authority: object, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL takes them from this file, if there is one."""
    monkeypatch.setenv("SSL_CERT_FILE", ca)
    with Front(shows(authority.issue_cert("127.0.0.1")), server.port) as front:
        assert client(front.port, "--tls", typed="hi\n")[:2] == (0, [])
        front.context = shows(authority.issue_cert("192.0.2.7"))
        status, errors, _ = client(front.port, "--tls")
        assert status == 1 and errors[0].endswith("is for another address")


@pytest.mark.slow(seconds=2)
def test_a_server_that_stalls_in_the_handshake_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with ChatClient("ann", timeout=2.0, tls=ClientTLS(pin=PIN)) as ann:
            assert not ann.connect("127.0.0.1", port)
            who = f"127.0.0.1:{port} does not answer"
            assert ann.error.content == f"{who} in the TLS handshake"


@pytest.mark.parametrize(
    ("names", "dates", "wrong"),
    [
        (["127.0.0.1"], valid(-9, -1), "has expired"),
        (["127.0.0.1"], valid(1, 9), "is not valid yet; look at the clocks"),
        (["192.0.2.7"], {}, "is for another address"),
    ],
)
def test_a_certificate_that_is_not_right_is_refused_with_one_line(
    server: ChatServer, authority: object, ca: str, names: list, dates: dict, wrong: str
) -> None:
    with Front(shows(authority.issue_cert(*names, **dates)), server.port) as front:
        status, errors, shown = client(front.port, "--tls-ca", ca, typed="hello\n")
        line = f"chat_client: the certificate of 127.0.0.1:{front.port} {wrong}"
        assert (status, errors, shown, bytes(front.heard)) == (1, [line], "", b"")


def test_another_name_is_refused_with_one_line(
    server: ChatServer, authority: object, ca: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Front(shows(authority.issue_cert("chat.example")), server.port) as front:
        arguments = ["localhost", str(front.port), "--username", "ann", "--tls-ca", ca]
        assert start_client(arguments) == 1
        line = f"chat_client: the certificate of localhost:{front.port} is for another name\n"
        assert capsys.readouterr() == ("", line) and not front.heard


@pytest.mark.parametrize("arguments", [["--tls"], ["--tls-ca"]])
def test_an_unknown_authority_is_refused_with_one_line(
    server: ChatServer, authority: object, ca: str, arguments: list[str]
) -> None:
    if arguments == ["--tls-ca"]:
        arguments, authority = ["--tls-ca", ca], trustme.CA()
    with Front(shows(authority.issue_cert("127.0.0.1")), server.port) as front:
        status, errors, shown = client(front.port, *arguments)
        (line,) = errors
        assert (status, shown, bytes(front.heard)) == (1, "", b"")
        assert (
            "comes from an authority that we do not know. If you know who it " in line
        )


def test_a_pin_is_a_chat_and_another_one_is_refused_with_one_loud_line(
    server: ChatServer, tmp_path: Path
) -> None:
    with Front(self_made(tmp_path), server.port) as front:
        pin = pin_in(tmp_path)
        assert client(front.port, "--tls-pin", pin.hex(":"), typed="hi\n")[:2] == (
            0,
            [],
        )
        front.heard.clear()
        status, errors, shown = client(front.port, "--tls-pin", PIN.hex())
        assert (status, shown, bytes(front.heard)) == (1, "", b"")
        (line,) = errors
        assert line.startswith(f"chat_client: WARNING: 127.0.0.1:{front.port} shows an")


def test_a_pin_does_not_ask_for_name_or_date(
    server: ChatServer, authority: object
) -> None:
    """RFC 7671, 5.1."""
    certificate = authority.issue_cert("chat.example", **valid(-9, -1))
    pem = certificate.cert_chain_pems[0].bytes().decode()
    pin = pin_of(ssl.PEM_cert_to_DER_cert(pem)).hex()
    with Front(shows(certificate), server.port) as front:
        assert client(front.port, "--tls-pin", pin, typed="hi\n")[:2] == (0, [])


def test_an_authority_and_a_pin_must_both_hold(
    server: ChatServer, authority: object, ca: str
) -> None:
    right, wrong_name = map(authority.issue_cert, ("127.0.0.1", "chat.example"))
    pins = [
        pin_of(ssl.PEM_cert_to_DER_cert(each.cert_chain_pems[0].bytes().decode())).hex()
        for each in (right, wrong_name)
    ]
    with Front(shows(right), server.port) as front:
        both = ["--tls-ca", ca, "--tls-pin", pins[0]]
        assert client(front.port, *both, typed="hi\n")[:2] == (0, [])
        status, errors, _ = client(front.port, "--tls-ca", ca, "--tls-pin", pins[1])
        assert status == 1 and "WARNING" in errors[0]
        front.context = shows(wrong_name)
        status, errors, _ = client(front.port, "--tls-ca", ca, "--tls-pin", pins[1])
        assert status == 1 and "is for another address" in errors[0]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--tls-pin", "12"], "a pin has 64 hexadecimal digits"),
        (["--tls-pin", ""], "a pin has 64 hexadecimal digits"),
        (["--tls-ca", "/missing.pem"], "/missing.pem: No such file or directory"),
        (["--tls-ca", __file__], f"{__file__}: it holds no certificate"),
    ],
)
def test_an_argument_that_is_wrong_is_one_line(
    arguments: list[str], wrong: str
) -> None:
    status, (line,), shown = client(1, *arguments)
    assert (status, shown) == (2, "")
    assert line.startswith("chat_client: ") and wrong in line


def test_a_broken_file_of_known_servers_is_one_line(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("nonsense\n")
    status, errors, _ = client(1, "--tls")
    assert status == 2 and errors == [
        f"chat_client: {path}, line 1: expected HOST:PORT and a pin of 64 hexadecimal digits"
    ]


def test_a_server_without_tls_is_one_line(server: ChatServer) -> None:
    """Ours answers by an alert; another one may say something in clear text."""
    status, errors, _ = client(server.port, "--tls")
    line = f"chat_client: 127.0.0.1:{server.port} refuses to speak TLS with us"
    assert (status, errors) == (1, [line])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            with listener.accept()[0] as sock:
                sock.sendall(b"220 mail.example ESMTP\r\n")
                sock.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        port = listener.getsockname()[1]
        line = f"chat_client: 127.0.0.1:{port} does not speak TLS"
        assert client(port, "--tls")[:2] == (1, [line])
        thread.join(LIMIT)


def test_a_client_without_tls_is_told_so_in_one_line(tmp_path: Path) -> None:
    """By an alert, as most servers answer, and by the line of ours."""
    line = "chat_client: the server speaks TLS, and this client does not (--tls)"
    for answer in (b"\x15\x03\x01\0\2\2\x46", b"This port speaks TLS.\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def refuse(answer: bytes = answer) -> None:
                with listener.accept()[0] as sock:
                    sock.recv(1000)
                    sock.sendall(answer)
                    sock.shutdown(socket.SHUT_WR)
                    sock.recv(1000)

            thread = threading.Thread(target=refuse)
            thread.start()
            assert client(listener.getsockname()[1])[:2] == (1, [line])
            thread.join(LIMIT)


def test_what_a_person_says_in_a_chat_is_not_taken_for_tls(server: ChatServer) -> None:
    with Listener("ann") as ann:
        ann.connect(server.host, server.port), ann.join()
        for text in ("This port speaks TLS.", "\x15\x03 \x16\x03"):
            assert ann.send_message(text)
        ann.wait_until(lambda: "ann: This port speaks TLS." in ann.lines)
        assert ann.wait_until(lambda: not ann.unsent) and ann.connected


def test_another_computer_without_tls_is_warned_about_once() -> None:
    """Nobody listens there: the warning comes before the first byte."""
    command = [sys.executable, "-c", CLIENT, "0.0.0.0", "1", "--username", "ann"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60)
    first, second = done.stderr.splitlines()
    assert first.startswith("chat_client: 0.0.0.0 without TLS: whoever is in between")
    assert "can't connect" in second
    assert client(1)[1] == [second.replace("0.0.0.0", "127.0.0.1")]


# --- the first time ----------------------------------------------------------------------------------------------


def test_in_a_pipe_nobody_is_asked_and_the_line_says_the_pin(
    server: ChatServer, tmp_path: Path, path: Path
) -> None:
    with Front(self_made(tmp_path), server.port) as front:
        pin = pin_in(tmp_path).hex()
        status, errors, shown = client(front.port, "--tls", typed="yes\nyes\n")
        assert (status, shown, bytes(front.heard)) == (1, "", b"")
        assert errors == [
            f"chat_client: the certificate of 127.0.0.1:{front.port} is self-signed, so nobody "
            f"vouches for it. If its owner tells you this pin: --tls-pin {pin}"
        ]
        assert not path.exists()


def test_a_remembered_pin_needs_no_question_and_a_new_one_is_refused(
    server: ChatServer, tmp_path: Path, path: Path
) -> None:
    with Front(self_made(tmp_path), server.port) as front:
        KnownServers().add("127.0.0.1", front.port, pin_in(tmp_path))
        before = path.read_bytes()
        assert client(front.port, "--tls", typed="hello\n")[:2] == (0, [])
        front.heard.clear()
        front.context = self_made(tmp_path, "other.db")
        status, errors, shown = client(front.port, "--tls", typed="yes\n")
        (line,) = errors
        assert (status, shown, bytes(front.heard)) == (1, "", b"")
        name = f"127.0.0.1:{front.port}"
        assert line.startswith(
            f"chat_client: WARNING: {name} shows another certificate"
        )
        assert line.endswith(f": remove the line of {name} from {path}")
        assert path.read_bytes() == before


def test_the_same_address_with_another_port_is_another_server(
    server: ChatServer, tmp_path: Path
) -> None:
    with (
        Front(self_made(tmp_path), server.port) as front,
        Front(self_made(tmp_path), server.port) as other,
    ):
        KnownServers().add("127.0.0.1", front.port, pin_in(tmp_path))
        status, errors, _ = client(other.port, "--tls")
        assert status == 1 and "--tls-pin" in errors[0]


def test_a_self_made_one_that_has_expired_is_not_worth_a_question(
    server: ChatServer, tmp_path: Path
) -> None:
    with Front(expired(tmp_path), server.port) as front:
        trust = ServerTrust("127.0.0.1", front.port)
        with ChatClient("ann", tls=trust.tls) as ann:
            assert not ann.connect("127.0.0.1", front.port)
            question = trust.question(ann.error.code, ann.error.content)
        name = f"127.0.0.1:{front.port}"
        assert question == ([], f"the certificate of {name} has expired")


def expired(folder: Path) -> ssl.SSLContext:
    """What a server shows that has made its certificate too long ago."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    dates = valid(-9, -1)
    builder = builder.not_valid_before(dates["not_before"])
    builder = builder.not_valid_after(dates["not_after"])
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(pem)
    (folder / "old.pem").write_bytes(key.private_bytes(pem, *form) + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "old.pem")
    return context


def test_a_server_that_is_gone_when_the_question_is_due_is_one_line(
    reserved_port: int,
) -> None:
    question = ServerTrust("127.0.0.1", reserved_port).question(
        "self_signed", "unknown"
    )
    assert question.lines == [] and "refused" in question.refusal


def test_a_pin_that_can_not_be_remembered_is_told(
    server: ChatServer, tmp_path: Path, path: Path
) -> None:
    with Front(self_made(tmp_path), server.port) as front:
        trust = ServerTrust("127.0.0.1", front.port)
        assert trust.question("self_signed", "unknown").lines
        path.parent.mkdir()
        path.write_text("broken meanwhile")
        assert "line 1: expected" in (trust.accept() or "")
        assert path.read_text() == "broken meanwhile"


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        (["yes"], ["on"]),
        (["YES"], ["on"]),
        (["no"], ["ended"]),
        (["y", "", "hello", "no"], ["ended"]),
    ],
)
def test_only_a_whole_yes_is_one(
    server: ChatServer, tmp_path: Path, answers: list[str], outcome: list[str]
) -> None:
    done: list[str] = []

    def ask(prompt: str, lines: list[str], then: Callable[[str], None]) -> None:
        then(answers.pop(0))

    with Front(self_made(tmp_path), server.port) as front:
        trust = ServerTrust("127.0.0.1", front.port)
        go_on, end = lambda: done.append("on"), lambda status, why: done.append("ended")
        prompt = TrustPrompt(trust, ask, go_on, end)
        prompt.show(trust.question("self_signed", "unknown"))
        assert (done, answers) == (outcome, [])
        known = KnownServers().pin("127.0.0.1", front.port)
        assert (known is not None) == (outcome == ["on"])


# --- coming back ------------------------------------------------------------------------------------------------


def test_a_lost_connection_comes_back_over_tls(
    server: ChatServer, tmp_path: Path
) -> None:
    with Front(self_made(tmp_path), server.port) as front:
        with Listener("ann", tls=ClientTLS(pin=pin_in(tmp_path))) as ann:
            assert ann.connect("127.0.0.1", front.port) and ann.join()
            for number in range(1, 4):
                front.cut()
                wait_until(lambda: ann.events.count(Reconnected()) == number)
                assert ann.send_message(f"number {number}")
                wait_until(lambda: f"ann: number {number}" in ann.lines)
        assert front.handshakes == 4


@pytest.mark.parametrize("change", ["pin", "clear", "expired", "self-signed"])
def test_a_server_that_is_another_one_when_we_come_back_is_the_end(
    server: ChatServer, tmp_path: Path, authority: object, ca: str, change: str
) -> None:
    right = shows(authority.issue_cert("127.0.0.1"))
    tls, code = ClientTLS(client_context(ca)), change
    if change == "pin":
        right, tls = self_made(tmp_path), ClientTLS(pin=pin_in(tmp_path))
        self_made_certificate(tmp_path / "chat.db")
    with Front(right, server.port) as front, Listener("ann", tls=tls) as ann:
        assert ann.connect("127.0.0.1", front.port) and ann.join()
        port = front.port
        if change == "pin":
            front.context, code = self_made(tmp_path, "other.db"), "changed_pin"
        elif change == "expired":
            old = authority.issue_cert("127.0.0.1", **valid(-9, -1))
            front.context = shows(old)
        elif change == "self-signed":
            front.context, code = self_made(tmp_path, "other.db"), "self_signed"
        heard = bytes(front.heard)
        if change == "clear":
            front.__exit__()
            code = "no_tls"
            with socket.create_server(("127.0.0.1", port)) as listener:
                sock = wait_until(lambda: listener.accept()[0])
                sock.sendall(b'{"type":"error"}\n')
                wait_until(lambda: ann.goodbye)
                sock.close()
        else:
            front.cut()
        wait_until(lambda: ann.goodbye)
        assert ann.goodbye.code == code and str(port) in ann.goodbye.content
        assert ann.goodbye.reconnect is False
        losses = [event for event in ann.events if isinstance(event, Disconnected)]
        assert len(losses) == 1, "it is not tried again"
        assert bytes(front.heard) == heard, "and nothing was said to it"


def test_a_connection_that_is_cut_in_the_handshake_is_tried_again(
    server: ChatServer, tmp_path: Path
) -> None:
    with Front(self_made(tmp_path), server.port) as front:
        with Listener("ann", tls=ClientTLS(pin=pin_in(tmp_path))) as ann:
            assert ann.connect("127.0.0.1", front.port) and ann.join()
            port = front.port
            front.__exit__()
            with socket.create_server(("127.0.0.1", port)) as listener:
                for _ in range(2):
                    listener.settimeout(LIMIT)
                    listener.accept()[0].close()
            with Front(self_made(tmp_path), server.port, port):
                wait_until(lambda: Reconnected() in ann.events)


# --- both commands ----------------------------------------------------------------------------------------------


def serving(data: Path, port: int = 0) -> Program:
    return Program("start_server", "--port", port, "--data", data, "--tls-self")


def said_by(server: Program, pattern: str) -> str:
    """What the first line that has this pattern says."""
    found = lambda: [hit for line in server.lines for hit in re.findall(pattern, line)]
    return wait_until(found)[0]


@pytest.mark.slow(seconds=9)
def test_a_server_with_its_own_certificate_and_its_pin(
    tmp_path: Path, reserved_port: int
) -> None:
    port = reserved_port
    with serving(tmp_path / "chat.db", port) as server:
        pin = said_by(server, r"\b[0-9a-f]{64}\b")
        assert pin == pin_in(tmp_path).hex()
        assert client(port, "--tls-pin", pin, typed="hello\n")[:2] == (0, [])
        wrong = "chat_client: the server speaks TLS, and this client does not (--tls)"
        assert client(port, typed="hello\n")[:2] == (1, [wrong])
        status, errors, _ = client(port, "--tls")
        assert status == 1 and errors[0].endswith(f"--tls-pin {pin}")
        tls = ClientTLS(pin=bytes.fromhex(pin))
        with Listener("ann", tls=tls) as ann:
            assert ann.connect("127.0.0.1", port) and ann.join()
            for _ in range(2):  # the same certificate after a restart
                server.end(signal.SIGKILL)
                server = serving(tmp_path / "chat.db", port)
                before = ann.events.count(Reconnected())
                with server:
                    wait_until(lambda: ann.events.count(Reconnected()) > before)
                    assert said_by(server, r"\b[0-9a-f]{64}\b") == pin


@pytest.mark.slow(seconds=3)
def test_a_restarted_server_without_its_certificate_is_refused(
    tmp_path: Path, reserved_port: int
) -> None:
    port = reserved_port
    with serving(tmp_path / "chat.db", port) as server:
        said_by(server, rf"127\.0\.0\.1:{port}")
        tls = ClientTLS(pin=pin_in(tmp_path))
        with Listener("ann", tls=tls) as ann:
            assert ann.connect("127.0.0.1", port) and ann.join()
            server.end(signal.SIGKILL)
            (tmp_path / "chat.db.server.pem").unlink()
            with serving(tmp_path / "chat.db", port):
                wait_until(lambda: ann.goodbye)
            assert ann.goodbye.code == "changed_pin"
