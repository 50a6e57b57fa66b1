"""The question about a certificate that nobody vouches for, on real pseudo-terminals: both faces."""

import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("termios", reason="needs a POSIX terminal")
pytest.importorskip("cryptography", reason="needs python_tcp[tls]")

from helpers import LineClient  # noqa: E402
from screen import CLIENT, Terminal, chat  # noqa: E402
from tls import Front  # noqa: E402

from python_tcp.certificates import pin_of_file, self_made_certificate  # noqa: E402
from python_tcp.chat_server import ChatServer  # noqa: E402
from python_tcp.protocol import Limits  # noqa: E402
from python_tcp.trust import KnownServers  # noqa: E402

pytestmark = pytest.mark.slow  # it starts programs

QUESTION = "Trust it from now on? (yes or no):"


@pytest.fixture(autouse=True)
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownServers:
    """Nothing that a person has accepted before is seen here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return KnownServers()


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        yield server


@pytest.fixture
def front(server: ChatServer, tmp_path: Path) -> Iterator[Front]:
    with Front(self_made(tmp_path, "chat.db"), server.port) as front:
        yield front


def self_made(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_made_certificate(folder / name))
    return context


def pin_in(folder: Path) -> str:
    return pin_of_file(folder / "chat.db.server.pem").hex()


def line_by_line(port: int) -> Terminal:
    """`chat_client` on a terminal that can do nothing but print."""
    place = ["127.0.0.1", port, "--username", "ann", "--tls"]
    return Terminal(sys.executable, "-c", CLIENT, *place, TERM="dumb")


def on_the_screen(port: int) -> Terminal:
    return chat(port, "ann", "--tls")


def asked(ann: Terminal) -> None:
    """Wait until the question stands there, and all that was said before it."""
    ann.until("Say yes only if")
    ann.until(QUESTION)


each_face = pytest.mark.parametrize("face", [on_the_screen, line_by_line])


@pytest.mark.slow(seconds=3)
@each_face
def test_the_first_time_the_fingerprint_is_shown_and_a_yes_is_remembered(
    face: object, front: Front, tmp_path: Path, known: KnownServers
) -> None:
    with face(front.port) as ann:
        asked(ann)
        rows = "\n".join(ann.screen.rows())
        assert (
            pin_in(tmp_path) in rows
            and "made its own certificate; nobody vouches for it." in rows
        )
        assert not known.path.exists() and not front.heard
        ann.type("yes\r")
        ann.until("in lobby: ann")
        ann.type("hello\r")
        ann.until("ann: hello")
        assert ann.end("/quit\r") == 0
    assert known.path.read_text().split() == [
        f"127.0.0.1:{front.port}",
        pin_in(tmp_path),
    ]
    with face(front.port) as ann:  # the second time
        ann.until("in lobby: ann")
        assert not any(QUESTION in row for row in ann.screen.everything())
        assert ann.end("/quit\r") == 0


@each_face
@pytest.mark.parametrize("keys", ["no\r", "\x03", "\x04"])
def test_no_and_ctrl_c_and_the_end_of_the_input_mean_no(
    face: object, keys: str, front: Front, known: KnownServers
) -> None:
    with face(front.port) as ann:
        asked(ann)
        status = ann.end(keys)
        assert ann.as_found()
        rows = "".join(ann.screen.everything())
        if face is line_by_line or keys == "no\r":
            assert status == 1 and "is self-signed, so nobody vouches" in rows
        assert "Traceback" not in rows
    assert not front.heard and not known.path.exists()


@each_face
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_the_question_means_no(
    face: object, number: int, front: Front, known: KnownServers
) -> None:
    with face(front.port) as ann:
        asked(ann)
        ann.end(number=number)
        assert ann.as_found()
        assert "Traceback" not in "\n".join(ann.screen.everything())
    assert not front.heard and not known.path.exists()


@each_face
def test_anything_else_is_asked_again(face: object, front: Front) -> None:
    with face(front.port) as ann:
        asked(ann)
        ann.type("y\r")
        ann.until("Please type yes or no.")
        assert not front.heard
        ann.type("yes\r")
        ann.until("in lobby: ann")
        assert ann.end("/quit\r") == 0


@each_face
def test_a_changed_pin_is_one_loud_line(
    face: object, front: Front, tmp_path: Path, known: KnownServers
) -> None:
    known.add("127.0.0.1", front.port, bytes.fromhex(pin_in(tmp_path)))
    before = known.path.read_bytes()
    front.context = self_made(tmp_path, "other.db")
    with face(front.port) as ann:
        assert ann.end() == 1 and ann.as_found()
        shown = "".join(ann.screen.everything())
    name = f"127.0.0.1:{front.port}"
    assert f"chat_client: WARNING: {name} shows another certificate than the" in shown
    assert f"remove the line of {name} from {known.path}" in shown
    assert shown.count("WARNING") == 1 and QUESTION not in shown
    assert known.path.read_bytes() == before and not front.heard


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_who_has_named_an_authority_is_not_asked(
    front: Front, tmp_path: Path, known: KnownServers, term: str
) -> None:
    ca = self_made_certificate(tmp_path / "other.db")  # vouches for itself only
    with chat(front.port, "ann", "--tls-ca", ca, TERM=term) as ann:
        assert ann.end() == 1 and ann.as_found()
        shown = "".join(ann.screen.everything())
    assert "is self-signed, so nobody vouches for it. If you know who it is" in shown
    assert QUESTION not in shown and not known.path.exists() and not front.heard


def test_what_was_typed_before_the_question_is_no_answer(
    front: Front, server: ChatServer
) -> None:
    """The name is asked first; what is typed in one go behind it stays a line of its own."""
    with chat(front.port, None, "--tls") as ann:
        ann.until("Your name:")
        ann.type("zoe\r")
        asked(ann)
        ann.type("yes\r")
        ann.until("in lobby: zoe")
        with LineClient(server.port).join("bob") as bob:
            bob.say("message", content="hello zoe")
            ann.until("bob: hello zoe")
        assert ann.end("/quit\r") == 0


def test_after_a_lost_connection_there_is_no_question(
    front: Front, tmp_path: Path, known: KnownServers
) -> None:
    """The server comes back with another certificate, while ann is in the chat."""
    with on_the_screen(front.port) as ann:
        asked(ann)
        ann.type("yes\r")
        ann.until("in lobby: ann")
        before = known.path.read_bytes()
        heard = bytes(front.heard)
        front.context = self_made(tmp_path, "other.db")
        front.cut()
        assert ann.end() == 1 and ann.as_found()
        rows = " ".join(ann.screen.everything())
        assert "chat_client: WARNING: " in rows and QUESTION not in rows
    assert bytes(front.heard) == heard and known.path.read_bytes() == before


def test_a_warning_about_clear_text_is_one_row_and_stays(server: ChatServer) -> None:
    place = ["0.0.0.0", server.port, "--username", "ann"]
    with Terminal(sys.executable, "-c", CLIENT, *place, columns=160) as ann:
        ann.until("in lobby: ann")
        rows = [row for row in ann.screen.everything() if "without TLS" in row]
        (row,) = rows
        assert row.startswith("chat_client: 0.0.0.0 without TLS: whoever is in between")
        assert ann.end("/quit\r") == 0 and ann.as_found()


def test_a_text_that_is_pasted_into_the_question_is_many_wrong_answers(
    front: Front, known: KnownServers
) -> None:
    with line_by_line(front.port) as ann:
        asked(ann)
        for _ in range(40):
            ann.type("not an answer\r" * 10)
            ann.read(0.05)
        assert ann.end("no\r") == 1
        shown = "".join(ann.screen.everything())
    assert "Traceback" not in shown and shown.count("Please type yes or no.") == 400
    assert not front.heard and not known.path.exists()
