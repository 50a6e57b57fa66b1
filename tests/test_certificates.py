"""A server's own certificate: made once, private, whole, and the same after a restart."""

import os
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from python_tcp.certificates import parse_pin, pin_of, pin_of_file, read_small_file
from python_tcp.certificates import self_made_certificate, state_folder, write_whole
from python_tcp.operations import read_config
from python_tcp.security import client_context, server_context

x509 = pytest.importorskip("cryptography.x509", reason="needs python_tcp[tls]")
PIN = bytes(range(32))


@pytest.mark.parametrize(
    "text",
    [
        PIN.hex(),
        PIN.hex().upper(),
        PIN.hex(":"),
        f"sha256:{PIN.hex()}",
        f"SHA256 Fingerprint={PIN.hex(':').upper()}\n",
        f" {PIN.hex(' ', 4)} ",
    ],
)
def test_a_pin_is_read_as_people_and_programs_write_it(text: str) -> None:
    assert parse_pin(text) == PIN


@pytest.mark.parametrize(
    "text", ["", "no", PIN.hex()[:-1], PIN.hex() + "0", PIN.hex()[:-1] + "g", "\x1b[2J"]
)
def test_what_is_no_pin_is_one_line_without_control_characters(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_pin(text)
    assert "64 hexadecimal digits" in str(caught.value)
    assert str(caught.value).isprintable()


def test_openssl_shows_the_same_fingerprint(tmp_path: Path) -> None:
    path = self_made_certificate(tmp_path / "chat.db")
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", path]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("no openssl here")
    assert parse_pin(said.stdout) == pin_of_file(path)


def test_it_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = Path(self_made_certificate(tmp_path / "chat.db"))
    finally:
        os.umask(before)
    made = path.read_bytes()
    assert path.parent == tmp_path and os.listdir(tmp_path) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert self_made_certificate(tmp_path / "chat.db") == str(path)
    assert path.read_bytes() == made


def test_without_a_data_file_it_is_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = Path(self_made_certificate())
    assert path.parent == state_folder() == tmp_path / "state" / "python_tcp"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "python_tcp"


@pytest.mark.slow(seconds=2)
def test_servers_that_start_at_once_have_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from python_tcp.certificates import *;"
        "sys.stdin.read(); print(pin_of_file(self_made_certificate(sys.argv[1])).hex())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "chat.db")]
    servers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(5)
    ]
    for server in servers:  # all have started
        server.stdin.close()
    pins = {server.stdout.read() for server in servers}
    assert [server.wait(60) for server in servers] == [0] * 5
    for server in servers:
        server.stdout.close()
    assert len(pins) == 1 and len(pins.pop().strip()) == 64
    assert os.listdir(tmp_path) == ["chat.db.server.pem"]


def test_what_is_in_it(tmp_path: Path) -> None:
    path = Path(self_made_certificate(tmp_path / "chat.db", "192.0.2.7"))
    made = x509.load_pem_x509_certificates(path.read_bytes())[0]
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    assert {"127.0.0.1", "::1", "192.0.2.7"} <= {*addresses}
    years = (made.not_valid_after_utc - made.not_valid_before_utc).days / 365
    assert 9.9 < years < 10.1
    text = path.read_text()
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT") :])
    assert pin_of(der) == pin_of_file(path)


def test_it_serves_as_the_authority_for_itself_only(tmp_path: Path) -> None:
    """As with `--tls-ca`: OpenSSL takes it, with the name checked."""
    paths = [self_made_certificate(tmp_path / name) for name in ("a.db", "b.db")]
    assert shake_hands(paths[0], paths[0], "localhost") == "fine"
    assert "self-signed" in shake_hands(paths[0], paths[1], "localhost")
    assert "mismatch" in shake_hands(paths[0], paths[0], "chat.example")


def shake_hands(served: str, trusted: str, name: str) -> str:
    """A TLS handshake in memory: what the client says of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served)
    ours = ssl.create_default_context(cafile=trusted)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(there, back, server_side=True)
    client = ours.wrap_bio(back, there, server_hostname=name)
    for end in (client, server, client, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return "fine"


def complaint(data: Path) -> str:
    with pytest.raises(ValueError) as caught:
        self_made_certificate(data)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o644])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = Path(self_made_certificate(tmp_path / "chat.db"))
    path.chmod(mode)
    assert complaint(tmp_path / "chat.db") == (
        f"{path}: others may read the key in it (mode {mode:o}): chmod 600 '{path}'"
    )


@pytest.mark.parametrize("content", [b"", b"Hello", b"\0\xff" * 1000, "half", "other"])
def test_a_file_that_is_broken_is_one_line_and_is_left_as_it_is(
    tmp_path: Path, content: bytes | str
) -> None:
    path = Path(self_made_certificate(tmp_path / "chat.db"))
    made = path.read_bytes()
    if content == "half":
        content = made[: len(made) // 2]
    elif content == "other":  # the key of another certificate
        other = Path(self_made_certificate(tmp_path / "other.db")).read_bytes()
        cut = made.index(b"-----BEGIN CERT")
        content = other[: other.index(b"-----BEGIN CERT")] + made[cut:]
    path.write_bytes(content)
    assert complaint(tmp_path / "chat.db").startswith(f"{path}: does not have")
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_or_not_ours_is_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "chat.db"
    assert complaint(missing) == f"{missing}.server.pem: No such file or directory"
    (tmp_path / "chat.db.server.pem").mkdir(mode=0o700)
    assert "chat.db.server.pem: " in complaint(tmp_path / "chat.db")


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from python_tcp.certificates import self_made_certificate as make\n"
        "try: make(sys.argv[1])\n"
        "except ValueError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "chat.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    how = "pip install cryptography\n"
    assert done.stdout.endswith(how) and done.stderr == ""
    assert len(done.stdout.splitlines()) == 1 and os.listdir(tmp_path) == []


def test_one_that_is_there_needs_no_package(tmp_path: Path) -> None:
    path = self_made_certificate(tmp_path / "chat.db")
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from python_tcp.certificates import self_made_certificate as make\n"
        "print(make(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "chat.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{path}\n"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def put(temporary: str, path: Path) -> None:
        raise OSError("the disk is on fire")

    with pytest.raises(OSError, match="on fire"):
        write_whole(tmp_path / "file", b"text", put)
    assert os.listdir(tmp_path) == []


def test_a_file_without_a_certificate_has_no_pin(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    for content in (
        b"",
        b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----",
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="there is no certificate in it"):
            pin_of_file(path)
    with pytest.raises(ValueError, match="No such file"):
        pin_of_file(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_what_would_have_us_wait_or_never_ends_is_no_file(tmp_path: Path) -> None:
    """A FIFO that nobody writes into, a device without end, and what is too large."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in str(pipe), "/dev/zero":
        with pytest.raises(OSError, match="it is not a regular file"):
            read_small_file(path)
        for use in server_context, client_context, pin_of_file, read_config:
            with pytest.raises((OSError, ValueError), match="it is not a regular file"):
                use(path)
    large = tmp_path / "large"
    large.write_bytes(b"x" * 101)
    with pytest.raises(OSError, match="it has more than 100 bytes"):
        read_small_file(large, 100)
    assert read_small_file(large, 101) == large.read_bytes()


def test_a_configuration_that_is_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text("x = " + "[" * 5000)
    with pytest.raises(ValueError, match=r"chat\.toml: maximum recursion depth"):
        read_config(file)
    file.write_text('data = ""\n')
    with pytest.raises(ValueError, match=r"chat\.toml: data: Expected `str` of length"):
        read_config(file)
