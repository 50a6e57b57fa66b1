"""Files of a chat: brought and fetched by HTTP beside the conversation, and said in the room."""

import contextlib
import hashlib
import http.client
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from helpers import LineClient, Program
from proxy import Cut, Proxy
from python_tcp import files
from python_tcp.chat_app import read_config
from python_tcp.chat_server import ChatServer
from python_tcp.file_options import open_files
from python_tcp.file_rules import FileError, FileSettings
from python_tcp.file_server import FileServer, FileVisitor
from python_tcp.files import FileSharing
from python_tcp.limits import Limits
from python_tcp.members import Account
from python_tcp.passwords import HashParameters, PasswordHasher
from python_tcp.secret import Secret
from waiting import LIMIT, wait_until

NO_FOLDER = not hasattr(os, "O_DIRECTORY")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NO_FOLDER, reason="--files needs what Windows does not have"),
]
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="needs all of 127.0.0.0/8"
)

DATA = os.urandom(3_000_000)
FREE = Limits(flood_burst=0, connections_per_address=0, connections_per_network=0)
FREE_JOIN = {"join_rate": 10_000.0, "connect_rate": 10_000.0}


class Place:
    """A chat server with files, at some folder."""

    def __init__(
        self,
        folder: Path,
        data: Path | None = None,
        limits: Limits = FREE,
        **options: object,
    ) -> None:
        self.folder = folder
        self.sharing = FileSharing(folder)
        self.server = ChatServer(limits=limits, data=data, **options)
        self.sharing.attach(self.server)
        self.server.start()

    def person(self, name: str, room: str = "lobby") -> LineClient:
        return LineClient(self.server.port).join(name, room)

    def kept(self) -> set[str]:
        return {path.name for path in self.folder.iterdir() if path.name[0] != "i"}

    def stop(self) -> None:
        self.server.stop()
        self.sharing.stop()

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Place(tmp_path / "files") as place:
        yield place


def about(data: bytes, name: str = "a.bin", id: object = "f1") -> dict:
    digest = hashlib.sha256(data).hexdigest()
    return {"id": id, "name": name, "size": len(data), "sha256": digest}


def offer(
    person: LineClient, data: bytes = DATA, name: str = "a.bin", **more: object
) -> dict:
    person.say("offer_file", **(about(data, name) | more))
    return person.read_until("upload")


def ask(
    url: str, method: str, body: bytes | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=LIMIT)
    with contextlib.closing(connection):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, where.path, body, fields)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def bring(upload: dict, data: bytes, offset: int = 0) -> tuple[int, bytes]:
    status, _, text = ask(upload["url"], "PATCH", data, Upload_Offset=str(offset))
    return status, text


def send(
    person: LineClient, data: bytes = DATA, name: str = "a.bin", id: object = "f1"
) -> dict:
    """Send a whole file. Returns the message."""
    assert bring(offer(person, data, name, id=id), data) == (204, b"")
    message = person.read_until("message")
    assert person.read_until("ok")["id"] == id
    return message


# --- the whole way -----------------------------------------------------------------------------------------------


def test_a_file_is_said_in_the_room_when_it_is_there(place: Place) -> None:
    with place.person("ann") as ann, place.person("bob") as bob:
        upload = offer(ann, name="../photo.jpg")
        assert (upload["id"], upload["name"], upload["received"]) == (
            "f1",
            "photo.jpg",
            0,
        )
        bob.say("ping", id=1)
        assert bob.read_until("pong"), "nothing was said yet"
        assert bring(upload, DATA) == (204, b"")
        said = bob.read_until("message")
        file = said["file"]
        assert said["username"] == "ann"
        assert said["content"] == f"photo.jpg (3.0 MB) {file['url']}"
        assert (file["name"], file["size"], file["sha256"]) == (
            "photo.jpg", len(DATA), hashlib.sha256(DATA).hexdigest(),
        )  # fmt: skip
        status, headers, data = ask(file["url"], "GET")
        assert (status, data) == (200, DATA)
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"].startswith("attachment;")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]


def test_the_welcome_says_that_there_are_files_and_how_large(place: Place) -> None:
    with LineClient(place.server.port) as ann:
        ann.say("join", username="ann")
        welcome = ann.read_until("welcome")
    assert "files" in welcome["features"]
    assert welcome["limits"]["file_bytes"] == FREE.file_bytes


def test_a_server_without_files_says_so() -> None:
    with ChatServer(limits=FREE) as server, LineClient(server.port) as ann:
        ann.join("ann").say("offer_file", **about(b"x"))
        assert ann.read_until("error")["code"] == "unknown_type"


def test_an_empty_file(place: Place) -> None:
    with place.person("ann") as ann:
        assert ask(send(ann, b"")["file"]["url"], "GET")[::2] == (200, b"")


def test_a_message_keeps_its_file_over_a_restart(tmp_path: Path) -> None:
    with (
        Place(tmp_path / "files", tmp_path / "chat.db") as place,
        place.person("ann") as ann,
    ):
        file = send(ann)["file"]
    with (
        Place(tmp_path / "files", tmp_path / "chat.db") as place,
        place.person("bob") as bob,
    ):
        bob.say("history")
        [message] = bob.read_until("history")["messages"]
        assert message["file"] == file
        here = file["url"].replace(
            str(urlsplit(file["url"]).port), str(urlsplit(place.sharing.origin).port)
        )
        assert ask(here, "GET")[2] == DATA


def test_with_the_message_its_file_is_deleted(place: Place) -> None:
    with place.person("ann") as ann:
        message = send(ann)
        assert place.kept() == {"1"}
        ann.say("delete", seq=message["seq"], id=2)
        ann.read_until("deleted")
        wait_until(lambda: not place.kept())
        assert ask(message["file"]["url"], "GET")[0] == 404
        ann.say("history")
        [left] = ann.read_until("history")["messages"]
        assert left["content"] == "" and "file" not in left


def test_a_message_that_only_looks_like_a_file_deletes_none(place: Place) -> None:
    with place.person("ann") as ann, place.person("bob") as bob:
        content = send(ann)["content"]
        bob.say("message", content=content, file={"number": 1}, id=1)
        said = bob.read_until("message", username="bob")
        assert "file" not in said
        bob.say("delete", seq=said["seq"])
        bob.read_until("deleted")
        bob.say("delete", seq=1, id=7)
        assert bob.read_until("error")["code"] == "not_allowed"
        assert place.kept() == {"1"}


def test_an_old_message_deletes_no_file_of_a_new_folder(tmp_path: Path) -> None:
    def ann_of(place: Place, verb: str) -> LineClient:
        ann = LineClient(place.server.port)
        ann.say(verb, username="ann", password="correct horse")
        ann.read_until("account")
        return ann.join("ann", "lobby")

    data = tmp_path / "chat.db"
    with Place(tmp_path / "old", data) as place, ann_of(place, "register") as ann:
        old = send(ann)
    with Place(tmp_path / "new", data) as place, ann_of(place, "login") as ann:
        with place.person("bob") as bob:
            new = send(bob)
            assert new["file"]["number"] == old["file"]["number"]
            ann.say("delete", seq=old["seq"])
            bob.read_until("deleted")
            asked = threading.Event()
            place.sharing._server.loop.call_threadsafe(asked.set)
            assert asked.wait(LIMIT), "what was asked for before is done"
            assert ask(new["file"]["url"], "GET")[2] == DATA
            bob.say("delete", seq=new["seq"])
            wait_until(lambda: not place.kept())


def test_the_offer_is_answered_once_and_the_same_afterwards(place: Place) -> None:
    with place.person("ann") as ann:
        seq = send(ann)["seq"]
        ann.say("offer_file", **about(DATA))
        assert ann.read_until("ok") == {"type": "ok", "id": "f1", "seq": seq}
        ann.say("message", content="last")
        assert ann.read()["content"] == "last"


# --- who may -----------------------------------------------------------------------------------------------------


def test_who_is_not_in_the_room_can_not_send_there(place: Place) -> None:
    with place.person("ann") as ann:
        ann.say("offer_file", room="dev", **about(DATA))
        assert ann.read_until("error")["code"] == "not_joined"


def test_who_leaves_meanwhile_says_nothing_and_may_come_back(place: Place) -> None:
    with place.person("ann") as ann, place.person("bob") as bob:
        upload = offer(ann, room="lobby")
        ann.say("join", username="ann", room="dev")
        ann.say("leave", room="lobby")
        ann.read_until("leave")
        status, text = bring(upload, DATA)
        assert (status, text.partition(b":")[0]) == (403, b"not_joined")
        ann.say("join", username="ann", room="lobby")
        ann.read_until("welcome")
        again = offer(ann, room="lobby")
        assert again["received"] == len(DATA)
        assert bring(again, b"", len(DATA)) == (204, b"")
        assert bob.read_until("message")["file"]["size"] == len(DATA)


def test_a_muted_person_sends_no_file(place: Place) -> None:
    with LineClient(place.server.port) as ann:
        ann.say("register", username="ann", password="correct horse")
        ann.read_until("account")
        ann.join("ann", "dev")
        bob = place.person("bob", "dev")
        upload = offer(bob)
        ann.say("register_room", id=1)
        ann.read_until("ok")
        ann.say("mute", to="bob", reason="cars", id=2)
        ann.read_until("ok")
        status, text = bring(upload, DATA)
        assert (status, text) == (403, b"muted: you are muted in dev: cars\n")
        bob.say("offer_file", **about(DATA, id="f2"))
        assert bob.read_until("error")["code"] == "muted"
        bob.close()


def test_another_person_of_the_same_name_does_not_go_on(place: Place) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        assert bring(upload, DATA[:1000]) == (204, b"")
        ann.say("leave")
        ann.read_until("goodbye")
    with place.person("ann") as other:
        assert offer(other)["received"] == 0
        assert bring(upload, DATA[1000:], 1000)[0] == 403


@pytest.mark.parametrize("name", ["", "a" * 256])
def test_a_name_that_is_none_is_one_clear_error(place: Place, name: str) -> None:
    with place.person("ann") as ann:
        ann.say("offer_file", **about(b"x") | {"name": name})
        error = ann.read_until("error")
        assert (error["code"], error["id"]) == ("bad_file_name", "f1")
        assert "name" in error["content"]
        offer(ann)  # and all is as before


def test_the_file_server_rests_three_times_as_long_as_it_has_worked(
    monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    assert place.sharing._server.loop.on_tick is files._rest
    rests: list[float] = []
    with monkeypatch.context() as patched:
        patched.setattr(files, "time", SimpleNamespace(sleep=rests.append))
        files._rest(0.002)
        files._rest(1.0)
    assert {0.006, 0.05} <= set(rests)  # the server's thread may have rested, too


def test_each_limit_is_one_clear_error(tmp_path: Path) -> None:
    limits = Limits(flood_burst=0, file_bytes=1000, uploads_per_person=1)
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        ann.say("offer_file", **about(b"x" * 1001))
        error = ann.read_until("error")
        assert (error["code"], error["id"]) == ("file_too_large", "f1")
        assert error["content"] == "a file may have 1.0 kB here at most"
        offer(ann, b"x" * 1000)
        ann.say("offer_file", **about(b"y", id="f2"))
        assert ann.read_until("error")["code"] == "too_many_files"


# --- lies --------------------------------------------------------------------------------------------------------


def test_more_bytes_than_were_offered(place: Place) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        assert bring(upload, DATA + b"x")[0] == 413
        assert bring(upload, DATA) == (204, b"")


def test_fewer_bytes_than_were_said(place: Place) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        where = urlsplit(upload["url"])
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            head = f"PATCH {where.path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(DATA)}\r\n\r\n"
            sock.sendall(head.encode() + DATA[:5000])
        wait_until(lambda: (place.folder / "1.part").stat().st_size == 5000)
        assert ask(upload["url"], "HEAD")[1]["Upload-Offset"] == "5000"
        assert bring(upload, DATA[5000:], 5000) == (204, b"")


def test_other_bytes_than_were_offered(place: Place) -> None:
    with place.person("ann") as ann, place.person("bob") as bob:
        upload = offer(ann)
        status, text = bring(upload, b"!" + DATA[1:])
        assert (status, text.partition(b":")[0]) == (422, b"wrong_hash")
        assert not place.kept()
        assert bring(upload, DATA)[0] == 404
        bob.say("message", content="nothing came")
        assert bob.read_until("message")["content"] == "nothing came"


def test_a_wrong_offset_says_the_right_one(place: Place) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        bring(upload, DATA[:1000])
        for offset in ("", "0", "1001", "-1", "x"):
            status, headers, _ = ask(upload["url"], "PATCH", b"x", Upload_Offset=offset)
            assert (status, headers["Upload-Offset"]) == (409, "1000")


def test_a_wrong_word_finds_nothing(place: Place) -> None:
    with place.person("ann") as ann:
        upload, origin = offer(ann), place.sharing.origin
        secret = upload["url"].rpartition("/")[2]
        assert ask(f"{origin}/uploads/1/{'A' * 22}", "PATCH", b"x")[0] == 404
        assert ask(f"{origin}/files/1/{secret}/a.bin", "GET")[0] == 404
        assert bring(upload, DATA) == (204, b"")
        url = ann.read_until("message")["file"]["url"]
        key = url.split("/")[-2]
        assert ask(f"{origin}/uploads/1/{key}", "HEAD")[0] == 404
        assert ask(f"{origin}/files/2/{key}/a.bin", "GET")[0] == 404
        assert ask(f"{origin}/files/1/{key}/..%2f..%2findex.db", "GET")[2] == DATA


# --- again and again ---------------------------------------------------------------------------------------------


def test_several_requests_on_one_connection(place: Place) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        where = urlsplit(upload["url"])
        connection = http.client.HTTPConnection(
            where.hostname, where.port, timeout=LIMIT
        )
        with contextlib.closing(connection):
            for start in range(0, len(DATA), 1_000_000):
                part = DATA[start : start + 1_000_000]
                connection.request(
                    "PATCH", where.path, part, {"Upload-Offset": str(start)}
                )
                assert connection.getresponse().read() == b""
            path = urlsplit(ann.read_until("message")["file"]["url"]).path
            for first in (0, 2_999_990, 1_000_000):
                connection.request("GET", path, headers={"Range": f"bytes={first}-"})
                response = connection.getresponse()
                assert response.status == 206
                assert (
                    response.headers["Content-Range"]
                    == f"bytes {first}-2999999/3000000"
                )
                assert response.read() == DATA[first:]
            connection.request("HEAD", path)
            response = connection.getresponse()
            assert (response.headers["Content-Length"], response.read()) == (
                "3000000",
                b"",
            )
            connection.request("GET", path, headers={"Range": "bytes=3000000-"})
            assert connection.getresponse().status == 416


def test_two_requests_that_come_together_are_answered_in_order(place: Place) -> None:
    with place.person("ann") as ann:
        path = urlsplit(send(ann)["file"]["url"]).path
        where = urlsplit(place.sharing.origin)
        asked = f"GET {path} HTTP/1.1\r\nHost: x\r\n"
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            sock.sendall(f"{asked}\r\n{asked}Connection: close\r\n\r\n".encode())
            whole = b"".join(iter(lambda: sock.recv(65_536), b""))
        assert whole.count(DATA) == 2


def test_a_client_that_waits_for_our_word_gets_it(place: Place) -> None:
    with place.person("ann") as ann:
        where = urlsplit(offer(ann)["url"])
        head = f"PATCH {where.path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(DATA)}\r\nExpect: 100-continue\r\n\r\n"
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            sock.sendall(head.encode())
            assert sock.recv(1000).startswith(b"HTTP/1.1 100 ")
            sock.sendall(DATA)
            assert sock.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_after_a_head_an_error_has_its_line(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.person("ann") as ann:
        where = urlsplit(offer(ann)["url"])
        for next_one in (b"\0\1 garbage\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            head = f"HEAD {where.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
                sock.sendall(head + next_one)
                answer = b"".join(iter(lambda: sock.recv(65_536), b""))
            assert answer.count(b"HTTP/1.1 204 ") == answer.count(b"HTTP/1.1 400 ") == 1
            assert answer.endswith(b"bad_request: this is no request of HTTP/1.1\n")
        chunk = b"Transfer-Encoding: chunked\r\n\r\nthis is no number\r\n"
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            sock.sendall(head[:-2] + chunk)
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ") and answer.endswith(b"\r\n\r\n")
    assert not caplog.records


def test_a_page_of_another_origin_may_ask(place: Place) -> None:
    with place.person("ann") as ann:
        status, headers, _ = ask(offer(ann)["url"], "OPTIONS")
        assert (status, headers["Access-Control-Allow-Origin"]) == (204, "*")
        assert "PATCH" in headers["Access-Control-Allow-Methods"]
        assert "Upload-Offset" in headers["Access-Control-Allow-Headers"]


def cut_twice(after: int, upward: bool) -> Proxy:
    """The first two connections are cut, with a reset, as soon as so many bytes have gone."""
    left = [Cut(after, upward, reset=True)] * 2
    return lambda: left.pop() if left else None


def through(url: str, proxy: Proxy) -> str:
    return url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")


def test_cut_twice_on_the_way_there_and_twice_on_the_way_back(place: Place) -> None:
    where = urlsplit(place.sharing.origin)
    address = (where.hostname, where.port)
    with place.person("ann") as ann:
        upload, cuts = offer(ann), 0
        with Proxy(address, cut_twice(1_000_000, upward=True)) as proxy:
            status, have = 0, 0
            while status != 204:
                have = int(ask(upload["url"], "HEAD")[1]["Upload-Offset"])
                with contextlib.suppress(OSError, http.client.HTTPException):
                    url = through(upload["url"], proxy)
                    status = ask(url, "PATCH", DATA[have:], Upload_Offset=str(have))[0]
                    assert status in (204, 409), status
            assert proxy.cuts == 2
        url, got = ann.read_until("message")["file"]["url"], b""
        with Proxy(address, cut_twice(1_000_000, upward=False)) as proxy:
            while len(got) < len(DATA):
                try:
                    there = urlsplit(through(url, proxy))
                    connection = http.client.HTTPConnection(
                        there.hostname, there.port, timeout=LIMIT
                    )
                    connection.request(
                        "GET", there.path, headers={"Range": f"bytes={len(got)}-"}
                    )
                    response = connection.getresponse()
                    while data := response.read1(65_536):
                        got += data
                except (OSError, http.client.HTTPException):
                    cuts += 1
                finally:
                    connection.close()
            assert proxy.cuts == 2
        assert got == DATA


@pytest.mark.parametrize("method", ["PATCH", "HEAD"])
def test_who_goes_on_takes_the_place_of_the_older_connection(
    place: Place, method: str
) -> None:
    """Else the older one could still add to what the answer to HEAD has said."""
    with place.person("ann") as ann:
        upload = offer(ann)
        where = urlsplit(upload["url"])
        head = f"PATCH {where.path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(DATA)}\r\n\r\n"
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            sock.sendall(head.encode() + DATA[:5000])
            wait_until(lambda: (place.folder / "1.part").stat().st_size == 5000)
            if method == "HEAD":
                assert ask(upload["url"], "HEAD")[1]["Upload-Offset"] == "5000"
            else:
                assert bring(upload, DATA[5000:10_000], 5000) == (204, b"")
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        have = (place.folder / "1.part").stat().st_size
        assert bring(upload, DATA[have:], have) == (204, b"")


# --- many, slow, full --------------------------------------------------------------------------------------------


def test_a_reader_that_stops_costs_a_few_chunks(place: Place) -> None:
    with place.person("ann") as ann:
        data = bytes(20_000_000)
        url = urlsplit(send(ann, data)["file"]["url"])
        with socket.create_connection((url.hostname, url.port), LIMIT) as sock:
            sock.sendall(f"GET {url.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            server = place.sharing._server
            wait_until(
                lambda: any(each.blocked for each in list(server.connections.values()))
            )
            queued = [each.queued for each in list(server.connections.values())]
            assert max(queued) <= 2 * 262_144
            assert place.server.running


def test_who_says_nothing_is_let_go(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileVisitor, "PATIENCE", 0.2)
    where = urlsplit(place.sharing.origin)
    for first in (b"", b"GET /files/1/", b"PATCH /x HTTP/1.1\r\nHost: x\r\n"):
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            sock.sendall(first)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""


def begin(upload: dict, size: int) -> socket.socket:
    """Bring the first bytes of `DATA`. The rest may follow."""
    where = urlsplit(upload["url"])
    sock = socket.create_connection((where.hostname, where.port), LIMIT)
    head = f"PATCH {where.path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(DATA)}\r\n\r\n"
    sock.sendall(head.encode() + DATA[:size])
    return sock


def half_request(place: Place, source: str) -> socket.socket:
    """A connection that says a part of a request, and then nothing."""
    where = urlsplit(place.sharing.origin)
    sock = socket.create_connection((where.hostname, where.port), LIMIT, (source, 0))
    with contextlib.suppress(ConnectionError):  # it has made room already
        sock.sendall(b"GET /files/1/x HTTP/1.1\r\nHost: ")
    return sock


def wait_for_part(place: Place, number: int, size: int) -> None:
    part = place.folder / f"{number}.part"
    wait_until(lambda: part.exists() and part.stat().st_size == size)


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


@pytest.fixture
def crowd() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@on_linux
def test_one_address_gets_its_share_of_the_connections(
    tmp_path: Path, crowd: contextlib.ExitStack
) -> None:
    """One that has shown nothing makes room for another one from there."""
    limits = Limits(flood_burst=0, connections_per_address=4, connect_rate=10_000.0)
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        silent = crowd.enter_context(half_request(place, "127.0.0.1"))
        for number in range(1, 5):
            upload = offer(ann, name=f"{number}.bin", id=f"f{number}")
            crowd.enter_context(begin(upload, 5000))
            wait_for_part(place, number, 5000)
        assert is_closed(silent)
        status, headers, _ = ask(upload["url"], "HEAD")
        assert (status, headers["Retry-After"]) == (429, "10")
        other = crowd.enter_context(half_request(place, "127.0.1.2"))
        other.sendall(b"x\r\n\r\n")
        assert other.recv(1000).startswith(b"HTTP/1.1 404 ")
        place.server.set_limits(Limits(flood_burst=0, connections_per_address=0))
        wait_until(lambda: place.server.limits.connections_per_address == 0)
        assert send(ann, b"x", id="f5")["file"]["size"] == 1
        crowd.close()
        server = place.sharing._server
        wait_until(lambda: not server.connections)  # whoever has gone, counts no more
        assert not len(server.places) and not server.places.by_address._sizes


@on_linux
def test_half_requests_from_forty_networks_keep_nobody_from_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: contextlib.ExitStack
) -> None:
    """They take all places, and none of the networks has more than it may have."""
    monkeypatch.setattr(FileVisitor, "PATIENCE", 3600.0)
    limits = Limits(flood_burst=0, connections=80)
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        upload, server = offer(ann), place.sharing._server
        for number in range(120):
            source = f"127.0.{2 + number % 40}.{1 + number // 40}"
            crowd.enter_context(half_request(place, source))
        wait_until(lambda: len(server.connections) >= 80)
        assert bring(upload, DATA) == (204, b"")
        file = ann.read_until("message")["file"]
        assert ask(file["url"], "GET")[::2] == (200, DATA)
        assert len(server.places) >= 79, "the attack goes on"
        assert len(server.connections) <= 96


@on_linux
@pytest.mark.parametrize("networks", [1, 250])
def test_a_slow_line_keeps_its_place_among_half_requests(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    crowd: contextlib.ExitStack,
    networks: int,
) -> None:
    """All other places are taken anew between two pieces of a file."""
    monkeypatch.setattr(FileVisitor, "STALL", 3600.0)
    limits = Limits(flood_burst=0, connections=6, connect_rate=10_000.0)
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        upload, sources = offer(ann), iter(range(1000))

        def take_all_places() -> None:
            for number in range(10):
                source = f"127.1.{next(sources) % networks}.1"
                last = crowd.enter_context(half_request(place, source))
            last.sendall(b"x\r\n\r\n")  # and all before it are in
            assert last.recv(100).startswith(b"HTTP/1.1 404 ")

        take_all_places()
        with begin(upload, 2000) as sock:
            for done in range(2000, 50_000, 8000):
                wait_for_part(place, 1, done)
                take_all_places()
                sock.sendall(DATA[done : done + 8000])
            sock.sendall(DATA[done + 8000 :])
            assert sock.recv(100).startswith(b"HTTP/1.1 204 ")
        url = ann.read_until("message")["file"]["url"]
        where = urlsplit(url)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(LIMIT)
            sock.connect((where.hostname, where.port))
            sock.sendall(f"GET {where.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got = sock.recv(1000)
            take_all_places()
            while len(got.partition(b"\r\n\r\n")[2]) < len(DATA):
                got += (piece := sock.recv(100_000))
                assert piece
        assert got.endswith(DATA)


def test_whoever_brings_nothing_more_makes_room_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowd: contextlib.ExitStack
) -> None:
    """Until then a newcomer hears when to come again."""
    limits = Limits(flood_burst=0, connections=2, **FREE_JOIN)
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        uploads = [offer(ann, name=f"{n}.bin", id=f"f{n}") for n in (1, 2, 3)]
        monkeypatch.setattr(FileVisitor, "STALL", 3600.0)
        first = crowd.enter_context(begin(uploads[0], 5000))
        wait_for_part(place, 1, 5000)
        monkeypatch.setattr(FileVisitor, "STALL", 0.1)
        crowd.enter_context(begin(uploads[1], 5000))
        wait_for_part(place, 2, 5000)
        wait_until(lambda: ask(uploads[2]["url"], "HEAD")[0] == 204)
        assert bring(uploads[2], DATA) == (204, b"")
        first.sendall(DATA[5000:])
        assert first.recv(100).startswith(b"HTTP/1.1 204 "), "this one has its place"
        have = int(ask(uploads[1]["url"], "HEAD")[1]["Upload-Offset"])
        assert bring(uploads[1], DATA[have:], have) == (204, b"")


def test_a_full_file_server_says_so(
    tmp_path: Path, crowd: contextlib.ExitStack
) -> None:
    limits = Limits(flood_burst=0, connections=1)
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        upload = offer(ann)
        sock = crowd.enter_context(begin(upload, 5000))
        wait_for_part(place, 1, 5000)
        status, headers, _ = ask(upload["url"], "HEAD")
        assert (status, headers["Retry-After"]) == (503, "5")
        sock.sendall(DATA[5000:])
        assert sock.recv(100).startswith(b"HTTP/1.1 204 ")
        assert ask(upload["url"], "HEAD")[0] == 204, "what is done keeps nobody out"


def test_whoever_has_shown_no_secret_is_closed(place: Place) -> None:
    where = urlsplit(place.sharing.origin)
    for method in ("OPTIONS", "HEAD", "GET"):
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            sock.sendall(f"{method} /files/1/x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
            assert b"connection: close\r\n" in answer.lower()


def test_a_body_for_what_takes_none_is_refused(place: Place) -> None:
    with place.person("ann") as ann:
        where = urlsplit(send(ann)["file"]["url"])
        head = f"GET {where.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection((where.hostname, where.port), LIMIT) as sock:
            sock.sendall(head.encode() + b"1\r\nx\r\n")
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
            assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_only_trickles_does_not_keep_its_connection(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        where = urlsplit(upload["url"])
        head = f"PATCH {where.path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(DATA)}\r\n\r\n"
        with monkeypatch.context() as patched:
            patched.setattr(FileVisitor, "PATIENCE", 0.5)
            sock = socket.create_connection((where.hostname, where.port), LIMIT)
            wait_until(lambda: place.sharing._server.connections)
        sent, end = 0, time.monotonic() + LIMIT
        with sock, contextlib.suppress(ConnectionError):
            sock.sendall(head.encode())
            while time.monotonic() < end and sent < FileVisitor.LEAST:
                sock.sendall(DATA[sent : sent + 1])
                sent += 1
                time.sleep(0.02)
        assert sent < FileVisitor.LEAST and time.monotonic() < end
        have = int(ask(upload["url"], "HEAD")[1]["Upload-Offset"])
        assert bring(upload, DATA[have:], have) == (204, b"")


@on_linux
def test_hundreds_of_slow_requests_from_a_network_leave_room_for_others(
    tmp_path: Path,
) -> None:
    """From one network come a few at a time, and the chat hears nothing of them."""
    limits = Limits(flood_burst=0, connections=50, connections_per_network=20)
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        upload, server = offer(ann), place.sharing._server
        where = urlsplit(upload["url"])
        with contextlib.ExitStack() as stack:
            for number in range(100):
                source = f"127.0.2.{number + 1}", 0
                sock = socket.create_connection(
                    (where.hostname, where.port), LIMIT, source
                )
                stack.enter_context(sock)
                with contextlib.suppress(ConnectionError):
                    sock.sendall(b"GET /files/1/x HTTP/1.1\r\nHost: ")
            assert bring(upload, DATA) == (204, b"")  # who comes last is served last
            assert len(server.connections) <= 26
            with place.person("bob") as bob:
                bob.say("message", content="we go on")
                assert ann.read_until("message", username="bob")


@pytest.mark.slow(seconds=10)
def test_a_thousand_uploads_at_a_time(tmp_path: Path) -> None:
    """Each of ten people may bring eight: the others are refused, and the chat goes on."""
    limits = Limits(
        flood_burst=0, connections_per_address=0, connections_per_network=0, **FREE_JOIN
    )
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(Place(tmp_path / "files", limits=limits))
        people = [
            stack.enter_context(place.person(f"p{number}")) for number in range(10)
        ]
        bodies = [number.to_bytes(2) * 5000 for number in range(100)]
        uploads = []
        for person in people:
            for number, body in enumerate(bodies):
                person.say("offer_file", **about(body, id=number))
            answers: list[dict] = []
            while len(answers) < len(bodies):
                event = person.read()
                if event["type"] in ("upload", "error"):
                    answers.append(event)
            uploads += [each for each in answers if each["type"] == "upload"]
            codes = {each["code"] for each in answers if each["type"] == "error"}
            assert codes == {"too_many_files"}
        assert len(uploads) == 10 * limits.uploads_per_person
        results: list[int] = []

        def run(upload: dict) -> None:
            results.append(bring(upload, bodies[upload["id"]])[0])

        threads = [threading.Thread(target=run, args=[upload]) for upload in uploads]
        for thread in threads:
            thread.start()
        people[0].say("message", content="we go on")
        people[1].read_until("message", content="we go on")
        for thread in threads:
            thread.join(LIMIT)
        assert results == [204] * len(uploads)
        assert len(place.kept()) == len(uploads)


def test_more_connections_than_it_takes_wait_and_cost_the_chat_none(
    tmp_path: Path,
) -> None:
    limits = Limits(
        flood_burst=0,
        connections=5,
        connections_per_address=0,
        connections_per_network=0,
    )
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        where = urlsplit(place.sharing.origin)
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(
                    socket.create_connection((where.hostname, where.port), LIMIT)
                )
            wait_until(lambda: len(place.sharing._server.connections) == 5)
            with place.person("bob") as bob:
                ann.say("message", content="still here")
                assert bob.read_until("message")["content"] == "still here"
        assert ask(send(ann)["file"]["url"], "GET")[0] == 200


def test_a_full_disk_is_said_and_the_rest_can_be_brought_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with place.person("ann") as ann, place.person("bob") as bob:
        upload = offer(ann)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            status, text = bring(upload, DATA)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (status, text.partition(b":")[0]) == (507, b"disk_full")
        bob.say("message", content="we go on")
        assert ann.read_until("message")["content"] == "we go on"
        again = offer(ann)
        assert again["received"] == 1_000_000
        assert bring(again, DATA[1_000_000:], 1_000_000) == (204, b"")
        assert bob.read_until("message", username="ann")["file"]["size"] == len(DATA)


def test_a_part_that_somebody_has_deleted_is_brought_anew(place: Place) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        assert bring(upload, DATA[:1000]) == (204, b"")
        (place.folder / "1.part").unlink()
        status, text = bring(upload, DATA[1000:], 1000)
        assert (status, text.partition(b":")[0]) == (500, b"no_files")
        assert ask(upload["url"], "HEAD")[0] == 404
        assert (again := offer(ann))["received"] == 0
        assert bring(again, DATA) == (204, b"")


def test_an_index_that_is_full_when_all_is_there_costs_a_pause(place: Place) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        assert bring(upload, DATA[:-1]) == (204, b"")
        index = place.sharing._server.desk.store._index
        index._db.execute("PRAGMA query_only = 1")  # as if nothing fitted any more
        status, text = bring(upload, DATA[-1:], len(DATA) - 1)
        assert (status, text.partition(b":")[0]) == (507, b"disk_full")
        assert bring(upload, DATA)[0] in (500, 507)
        index._db.execute("PRAGMA query_only = 0")
        assert bring(upload, DATA)[0] in (409, 500)
        _, headers, _ = ask(upload["url"], "HEAD")
        assert headers["Upload-Offset"] == str(len(DATA))
        assert bring(upload, b"", len(DATA)) == (204, b"")
        file = ann.read_until("message")["file"]
        assert ask(file["url"], "GET")[2] == DATA


def test_an_index_that_is_full_when_it_was_said_keeps_nobody_waiting(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int, now: float) -> None:
        raise FileError("disk_full", "the server's index: it is full", 507)

    with place.person("ann") as ann:
        upload = offer(ann)
        monkeypatch.setattr(place.sharing._server.desk.store, "shared", full)
        assert bring(upload, DATA) == (204, b"")
        assert ask(ann.read_until("message")["file"]["url"], "GET")[2] == DATA


def test_a_rule_that_fails_keeps_no_upload_busy(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*all: object) -> None:
        raise ZeroDivisionError

    with place.person("ann") as ann:
        upload = offer(ann)
        with monkeypatch.context() as patched:
            patched.setattr(place.sharing._rules, "_say_rule", broken)
            status, text = bring(upload, DATA)
        assert (status, text) == (
            500, b"server_error: something went wrong in the server\n",
        )  # fmt: skip
        assert [each.exc_info[0] for each in caplog.records] == [ZeroDivisionError]
        assert bring(upload, b"", len(DATA)) == (204, b"")
        assert ann.read_until("message")["file"]["size"] == len(DATA)


def test_an_offer_that_fails_is_answered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*all: object) -> None:
        raise ZeroDivisionError

    with place.person("ann") as ann:
        with monkeypatch.context() as patched:
            patched.setattr(place.sharing._server.desk.store, "offer", broken)
            ann.say("offer_file", **about(DATA))
            error = ann.read_until("error")
        assert (error["code"], error["id"]) == ("server_error", "f1")
        offer(ann)


def test_a_chat_that_never_answers_is_not_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.person("ann") as ann:
        upload = offer(ann)
        assert bring(upload, DATA[:-1]) == (204, b"")
        with monkeypatch.context() as patched:
            patched.setattr(place.sharing._rules, "say", lambda *all: None)
            patched.setattr(FileVisitor, "PATIENCE", 0.5)
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                bring(upload, DATA[-1:], len(DATA) - 1)
        have = int(ask(upload["url"], "HEAD")[1]["Upload-Offset"])
        assert bring(upload, DATA[have:], have) == (204, b"")
        assert ann.read_until("message")["file"]["size"] == len(DATA)


def test_a_file_that_was_said_is_known_as_that_after_a_crash(tmp_path: Path) -> None:
    """The server dies between the message and the note that it was said."""
    parts = tmp_path / "files", tmp_path / "chat.db"
    with Place(*parts) as place, place.person("ann") as ann:
        lost = offer(ann, b"never said", id="f0")
        with place.person("eve") as eve:
            other = offer(eve, b"of eve")
            eve.say("leave")
            eve.read_all()
        assert bring(other, b"of eve")[0] == 403  # she has left
        store = place.sharing._server.desk.store
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store, "shared", lambda *all: None)
            url = send(ann)["file"]["url"]
            for number in range(3):
                ann.say("message", content="x" * 4000, id=f"m{number}")
                ann.read_until("ok")
        assert bring(lost, b"ne")[0] == 204
    with Place(*parts) as place:
        store = place.sharing._server.desk.store
        done = threading.Event()
        place.sharing._server.loop.call_threadsafe(done.set)
        assert done.wait(LIMIT)
        states = [str(each.state) for each in store.files.values()]
        assert states == ["PARTIAL", "COMPLETE", "SHARED"]
        port = urlsplit(place.sharing.origin).port
        here = url.replace(str(urlsplit(url).port), str(port))
        done.clear()
        later = time.time() + 3 * 86_400
        place.sharing._server.loop.call_threadsafe(
            lambda: (store.expire(later), done.set())
        )
        assert done.wait(LIMIT)
        assert ask(here, "GET")[2] == DATA


def test_a_clock_that_is_set_forward_deletes_no_file_before_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ahead = time.time, 8 * 86_400
    with Place(tmp_path / "files") as place, place.person("ann") as ann:
        send(ann, b"Minka")
        monkeypatch.setattr(time, "time", lambda: real() + ahead)
        send(ann, b"Mohrle", id="f2")
        assert place.kept() == {"1", "2"}
    ahead += 2 * 86_400  # the second one was brought with this clock
    with Place(tmp_path / "files") as place:
        wait_until(lambda: place.kept() == {"2"})


def test_guests_who_only_offer_keep_nobody_from_sending(tmp_path: Path) -> None:
    """Again and again under new names, and the room is as empty as before."""
    limits = Limits(
        flood_burst=0,
        join_rate=10_000.0,
        file_bytes_per_person=len(DATA),
        file_bytes_per_room=len(DATA),
        file_bytes_in_all=4 * len(DATA),
        files_in_all=40,
    )
    with Place(tmp_path / "files", limits=limits) as place, place.person("ann") as ann:
        for number in range(3):
            with place.person(f"eve{number}") as eve:
                offer(eve, DATA, id="e")
        assert send(ann)["file"]["size"] == len(DATA)


@pytest.mark.parametrize("trusted", [[], ["127.0.0.1"]], ids=["any", "trusted"])
def test_guests_of_one_address_are_counted_together(
    tmp_path: Path, trusted: list[str]
) -> None:
    limits = Limits(flood_burst=0, join_rate=10_000.0, files_in_all=8)
    answers = []
    with Place(tmp_path / "files", limits=limits, trusted_networks=trusted) as place:
        for number in range(3):
            with place.person(f"eve{number}") as eve:
                eve.say("offer_file", **about(b"x"))
                while (event := eve.read())["type"] not in ("upload", "error"):
                    pass
                answers.append(event.get("code"))
    assert answers == [None, None, None if trusted else "too_many_files"]


@pytest.mark.parametrize("registration", [True, False])
def test_an_account_counts_by_address_where_everybody_gets_one(
    tmp_path: Path, registration: bool
) -> None:
    limits = Limits(flood_burst=0, registration=registration)
    cheap = HashParameters(1, 32, 1)
    known = Account("ann", PasswordHasher(cheap).hash(Secret("correct horse")))
    options = {"operators": [known], "costs": cheap}
    with Place(tmp_path / "files", limits=limits, **options) as place:
        with LineClient(place.server.port) as ann:
            ann.say("login", username="ann", password="correct horse")
            ann.read_until("account")
            offer(ann.join("ann"))
            [stored] = place.sharing._server.desk.store.files.values()
            assert stored.offer.owner == "account:ann"
            assert stored.offer.network == ("127.0.0.1" if registration else "")


@pytest.mark.parametrize("host", ["::", "[::]"])
def test_an_address_that_nobody_can_type_is_not_told_to_clients(
    tmp_path: Path, host: str
) -> None:
    sharing = FileSharing(tmp_path / "files", host)
    try:
        sharing.attach(ChatServer())
        assert "::" not in sharing.origin
    finally:
        sharing.stop()


def test_the_end_of_the_server_in_the_middle_of_a_file(tmp_path: Path) -> None:
    files, data = tmp_path / "files", tmp_path / "chat.db"
    with Place(files, data) as place:
        ann = place.person("ann")
        ann.say("leave")
        ann.close()
        with LineClient(place.server.port) as ann:
            ann.say("join", username="ann", token="t" * 32)
            token = ann.read_until("welcome")["token"]
            where = urlsplit(offer(ann)["url"])
            sock = socket.create_connection((where.hostname, where.port), LIMIT)
            head = f"PATCH {where.path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Length: {len(DATA)}\r\n\r\n"
            sock.sendall(head.encode() + DATA[:1_000_000])
            wait_until(lambda: (files / "1.part").stat().st_size == 1_000_000)
            place.stop()
            sock.close()
    with Place(files, data) as place, LineClient(place.server.port) as ann:
        ann.say("join", username="ann", token=token)
        assert ann.read_until("welcome")["token"] == token
        upload = offer(ann)
        assert upload["received"] == 1_000_000
        assert bring(upload, DATA[1_000_000:], 1_000_000) == (204, b"")
        assert ann.read_until("message")["file"]["size"] == len(DATA)


def test_nothing_of_a_file_waits_on_the_thread_of_the_chat(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file server's thread is held up, as by a slow disk; the chat is as fast as ever."""
    entered, go_on = threading.Event(), threading.Event()
    plain = FileVisitor.receive

    def slow(self: FileVisitor, data: bytes) -> None:
        entered.set()
        assert go_on.wait(LIMIT)
        plain(self, data)

    monkeypatch.setattr(FileVisitor, "receive", slow)
    with place.person("ann") as ann, place.person("bob") as bob:
        upload = offer(ann)
        thread = threading.Thread(target=bring, args=[upload, DATA])
        thread.start()
        assert entered.wait(LIMIT)
        for number in range(100):
            ann.say("message", content=f"{number}")
        assert bob.read_until("message", content="99")
        go_on.set()
        assert "file" in bob.read_until("message")
        thread.join(LIMIT)


def test_the_file_server_ends_with_its_owner(tmp_path: Path) -> None:
    place = Place(tmp_path / "files")
    where = urlsplit(place.sharing.origin)
    place.stop()
    with pytest.raises(OSError):
        socket.create_connection((where.hostname, where.port), LIMIT)
    Place(tmp_path / "files").stop()  # the folder is free again


def test_a_folder_that_can_not_be_used_is_an_error_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="can't keep files in .*/file: "):
        FileSharing(tmp_path / "file").attach(ChatServer())


def test_an_idle_file_server_does_nothing(place: Place) -> None:
    assert isinstance(place.sharing._server, FileServer)
    with place.person("ann") as ann:
        send(ann)
    loop, ticks = place.sharing._server.loop, []
    loop.on_tick = ticks.append

    def does_nothing() -> bool:  # what the connections of before left to do is done
        before = len(ticks)
        time.sleep(0.2)
        return len(ticks) - before < 10

    wait_until(does_nothing)


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_serves_files_and_says_where(tmp_path: Path) -> None:
    files = tmp_path / "files"
    program = Program(
        "start_server", "--port", 0, "--files", files, "--files-listen", "0"
    )
    try:
        ports = wait_until(
            lambda: re.findall(
                r"chat server on \S+:(\d+)", "".join(program.lines + program.errors)
            )
        )
        assert f"files: {files}, at http://127.0.0.1:" in "".join(
            program.lines + program.errors
        )
        port = int(ports[0])
        with LineClient(port) as ann:
            file = send(ann.join("ann"))["file"]
        assert ask(file["url"], "GET")[2] == DATA
    finally:
        status, _ = program.end(signal.SIGTERM)
    assert status == 0


WRONG = {
    "a port that is none": (["--files", "x", "--files-listen", "eighty"], "files: a port is a number from 0 to 65535, not 'eighty'"),
    "an address that is none": (["--files", "x", "--files-url", "example.org"], "files: 'example.org' is not like https://files.example.org"),
    "no folder": (["--files-url", "https://example.org"], "files: without a folder, no files are taken"),
    "more than one server": (["--redis", "redis://127.0.0.1:1", "--workers", "2", "--files", "x"], "files: with --redis, no files are taken"),
    "a file for a folder": (["--port", "0", "--files-listen", "0", "--files", "/dev/null"], "can't keep files in /dev/null: File exists"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line(arguments: list[str], said: str) -> None:
    program = Program("start_server", *arguments)
    status, errors = program.end()
    assert status and [line for line in errors if said in line], errors
    assert len(errors) == 1


def test_the_settings_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.toml"
    path.write_text('[files]\nfolder = "shared"\nlisten = "[::1]:0"\n')
    files = read_config(path).files
    assert (files.folder, files.address("127.0.0.1")) == ("shared", ("::1", 0))
    path.write_text("[files]\nfolders = 1\n")
    with pytest.raises(ValueError, match="folders"):
        read_config(path)


def test_where_h11_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_tcp.files", None)
    with pytest.raises(
        ValueError, match=r"h11 is missing: pip install 'python_tcp\[files\]'"
    ):
        open_files(FileSettings(folder="x"), "127.0.0.1")
    assert open_files(FileSettings(), "127.0.0.1").origin == ""
