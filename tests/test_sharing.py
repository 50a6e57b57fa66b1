"""Files of a client, over real sockets: cut, refused, lied to, stopped, and beside a conversation that goes on."""

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest
from authority import client_tls, server_tls
from file_sharing import FileChat, answering, heard_file, reply, shared, some_bytes
from helpers import Listener
from proxy import Cut
from waiting import LIMIT, wait_until

from python_tcp.aio import AsyncChatClient
from python_tcp.chat_client import ChatError
from python_tcp.chat_server import ChatServer
from python_tcp.commands import OfferFile
from python_tcp.events import Error, FileUpload, Message, Ok
from python_tcp.file_client import FileRoute, FileSource, FileTarget, TransferError
from python_tcp.file_client import pull
from python_tcp.files import FileSharing
from python_tcp.sharing import FileCarrier, FileTransfers
from python_tcp.transfers import Direction, Transfer, TransferState, transfer_text

MB = 1_000_000


def told(person: Listener) -> list[Transfer]:
    return [event for event in person.events if isinstance(event, Transfer)]


def states(person: Listener) -> list[str]:
    return [str(each.state) for each in told(person)]


def sentence(action) -> str:
    with pytest.raises(TransferError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# --- from one client to another -------------------------------------------------------------------


@pytest.mark.slow(seconds=4)
def test_a_file_that_is_cut_twice_each_way_arrives_whole(tmp_path: Path) -> None:
    data = some_bytes(4 * MB)
    path = written(tmp_path / "my cat.jpg", data)
    with FileChat(tmp_path / "store") as chat:
        ann, bob = chat.person("ann"), chat.person("bob")
        head, early = Cut(99, upward=False, reset=False), Cut(9, True, False)
        data_1, data_2 = Cut(MB, True, reset=True), Cut(MB, True, reset=False)
        chat.cuts(head, None, data_1, early, None, data_2)  # HEAD and PATCH in turn
        assert ann.send_file(path), ann.error
        assert chat.proxy.cuts == 4
        assert states(ann).count("paused") >= 2 and states(ann)[-1] == "done"
        file = heard_file(bob)
        assert (file.name, file.size) == ("my cat.jpg", len(data))
        chat.cuts(Cut(MB, False, True), Cut(MB, False, False))
        (folder := tmp_path / "downloads").mkdir()
        assert bob.get_file(file, folder) == folder / "my cat.jpg", bob.error
        assert chat.proxy.cuts == 6 and states(bob).count("paused") >= 2
        assert (folder / "my cat.jpg").read_bytes() == data
        assert os.listdir(folder) == ["my cat.jpg"]
        paused = [each for each in told(bob) if each.state is TransferState.PAUSED]
        assert 0 < paused[0].done < paused[1].done < len(data)  # it went on


@pytest.mark.slow(seconds=3)
def test_the_conversation_goes_on_while_a_file_is_stuck(tmp_path: Path) -> None:
    path = written(tmp_path / "film.mkv", some_bytes(2 * MB))
    with FileChat(tmp_path / "store") as chat:
        ann, bob = chat.person("ann"), chat.person("bob")
        chat.proxy.refuse()
        carrier = ann.files.send(path, room="lobby")
        wait_until(lambda: "paused" in states(ann))
        assert ann.send_message("still here") and bob.send_message("good")
        wait_until(lambda: any("still here" in line for line in bob.lines))
        wait_until(lambda: any("bob: good" in line for line in ann.lines))
        assert not carrier.ended.is_set() and ann.files.busy
        chat.proxy.heal()
        assert carrier.ended.wait(LIMIT) and heard_file(bob).name == "film.mkv"
        assert not ann.files.busy


@pytest.mark.slow(seconds=3)
def test_who_leaves_stops_a_file_and_the_next_get_goes_on_with_it(
    tmp_path: Path,
) -> None:
    data = some_bytes(3 * MB)
    path = written(tmp_path / "film.mkv", data)
    with FileChat(tmp_path / "store") as chat:
        ann, bob = chat.person("ann"), chat.person("bob")
        assert ann.send_file(path)
        file = heard_file(bob)
        chat.cuts(Cut(MB, upward=False, reset=False))
        (folder := tmp_path / "downloads").mkdir()
        chat.proxy.plan = refusing_after_one(chat)
        carrier = bob.files.fetch(file, folder)
        wait_until(lambda: carrier.transfer.state is TransferState.PAUSED)
        bob.leave(timeout=5)
        assert carrier.ended.is_set() and states(bob)[-1] == "stopped"
        [part] = os.listdir(folder)
        assert part.endswith(".part")
        have = (folder / part).stat().st_size
        assert 0 < have < len(data)
        chat.proxy.heal()
        chat.proxy.plan = lambda: None
        cy = chat.person("cy")
        assert cy.get_file(file, folder) == folder / "film.mkv"
        assert told(cy)[0].done == have, "it begins with what there is"
        assert (folder / "film.mkv").read_bytes() == data
        assert os.listdir(folder) == ["film.mkv"]


def refusing_after_one(chat: FileChat):
    """The first connection is cut on the way, and no other gets through."""

    def plan() -> Cut:
        chat.proxy.refusing = True
        return Cut(MB, upward=False, reset=False)

    return plan


def test_an_offer_is_refused_by_a_server_without_files() -> None:
    with ChatServer() as server, Listener("ann") as ann:
        assert ann.connect(server.host, server.port) and ann.join()
        assert not ann.send_file(__file__)
        assert ann.error is not None and ann.error.code == "not_sent"
        assert transfer_text(told(ann)[-1])[1] == "!!"


def test_a_callback_that_sends_a_file_does_not_wait(tmp_path: Path) -> None:
    path = written(tmp_path / "cat.jpg", b"meow")
    with FileChat(tmp_path / "store") as chat:
        ann, bob = chat.person("ann"), chat.person("bob")
        answers = []
        bob.set_message_callback(
            lambda line: "please" in line and answers.append(bob.send_file(path))
        )
        assert ann.send_message("a picture, please")
        assert heard_file(ann).name == "cat.jpg" and len(answers) == 1


@pytest.mark.slow(seconds=2)
def test_an_encrypted_chat_has_encrypted_files(tmp_path: Path) -> None:
    path = written(tmp_path / "cat.jpg", some_bytes(MB))
    sharing = FileSharing(tmp_path / "store", url="https://localhost:1")
    server = ChatServer(tls=server_tls())
    sharing.attach(server, server_tls())
    sharing._url = f"https://localhost:{sharing._server.port}"
    with server, Listener("ann", tls=client_tls()) as ann:
        assert ann.connect("localhost", server.port) and ann.join(), ann.error
        assert ann.send_file(path), ann.error
        file = heard_file(ann)
        assert ann.get_file(file, tmp_path) == tmp_path / "cat (1).jpg"
        clear = shared(b"x", "http://localhost:1/x")
        assert ann.get_file(clear, tmp_path) is None
        assert "the chat is encrypted" in ann.error.content
    sharing.stop()


@pytest.mark.slow(seconds=3)
def test_the_asyncio_client_sends_and_gets_with_cuts_on_the_way(tmp_path: Path) -> None:
    data = some_bytes(3 * MB)
    path = written(tmp_path / "cat.jpg", data)
    (folder := tmp_path / "downloads").mkdir()

    async def scene(chat: FileChat) -> None:
        port = chat.server.port
        async with AsyncChatClient("bot", port=port, timeout=LIMIT) as bot:
            chat.cuts(None, Cut(MB, True, True), None, None, Cut(MB, False, True))
            await bot.send_file(path, "Minka.jpg")
            async for event in bot:
                if isinstance(event, Message):
                    break
            assert await bot.get_file(event.file, folder) == folder / "Minka.jpg"
            with pytest.raises(ChatError, match="is a folder"):
                await bot.send_file(folder)
            with pytest.raises(ChatError, match="there is no folder"):
                await bot.get_file(event.file, tmp_path / "none")
            assert chat.proxy.cuts == 2
            chat.proxy.refuse()
            endless = asyncio.create_task(bot.send_file(written(path, CAT)))
            async for event in bot:
                if getattr(event, "state", "") == TransferState.PAUSED:
                    break
            endless.cancel()
            with pytest.raises(asyncio.CancelledError):
                await endless

    with FileChat(tmp_path / "store") as chat:
        asyncio.run(asyncio.wait_for(scene(chat), 60))
    assert (folder / "Minka.jpg").read_bytes() == data


# --- a server that lies ---------------------------------------------------------------------------

CAT = some_bytes(5000)


def fetched(url: str, folder: Path, **options) -> str:
    """What a person is told of a file that is fetched from this address."""
    file = shared(options.pop("data", CAT), url, options.pop("name", "cat.jpg"))
    heard: list[Transfer] = []
    no_server = lambda command: Error("no", "no")
    transfers = FileTransfers(no_server, lambda: 1, heard.append, **options)
    carrier = transfers.fetch(file, folder)
    assert carrier.ended.wait(LIMIT)
    return transfer_text(heard[-1])[0]


@pytest.mark.parametrize(
    "answer, said",
    [
        (reply("200 OK", b"x" * 5000), "other bytes have come than were sent"),
        (reply("200 OK", CAT + b"x"), "the server sends more than it has said"),
        (reply("302 Found", b"", "Location: http://127.0.0.1:1/"), "answers 302"),
        (reply("206 Part", CAT, "Content-Range: bytes 1-5000/5001"), "do not fit"),
        (reply("206 Part", CAT), "do not fit"),
        (reply("404 No", b"not_found: It's gone.", "Content-Type: text/plain"), "It's"),
        (reply("404 No", b"<h1>no</h1>", "Content-Type: text/html"), "answers 404"),
        (
            reply("403 No", b"\x1b[31mred\nrow" * 99, "Content-Type: text/plain"),
            "red row",
        ),
        (reply("507 Full", b"the disk is full", "Content-Type: text/plain"), "full"),
    ],
    ids="mixed-up too-long moved part no-range gone html colours full".split(),
)
def test_a_lie_or_a_refusal_is_one_clear_line_and_leaves_nothing(
    tmp_path: Path, answer: bytes, said: str
) -> None:
    with answering(*[answer] * 20) as (url, _):
        line = fetched(url, tmp_path)
    assert line.startswith("cat.jpg can't be fetched: ") and said in line
    assert "\x1b" not in line and "\n" not in line and len(line) < 300
    assert os.listdir(tmp_path) == []


@pytest.mark.slow(seconds=2)
@pytest.mark.parametrize(
    "answer",
    [
        reply("503 Later", b"come again"),
        reply("200 OK", CAT[:2000], size=5000),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"",
    ],
    ids="busy half ssh chunked silent".split(),
)
def test_what_may_pass_is_tried_again(tmp_path: Path, answer: bytes) -> None:
    def whole(head: str) -> bytes:
        start = int(head.partition("bytes=")[2].partition("-")[0] or 0)
        there = f"Content-Range: bytes {start}-4999/5000"
        return reply("206 Part" if start else "200 OK", CAT[start:], there)

    if answer.endswith(b"abc"):  # no answer of ours; what has come is not ours either
        whole = reply("200 OK", CAT)
    with answering(answer, whole) as (url, seen):
        assert fetched(url, tmp_path).startswith("cat.jpg (5.0 kB) is fetched")
        assert len(seen) == 2
    assert (tmp_path / "cat.jpg").read_bytes() == CAT


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/y", "file:///etc/passwd", "http://", "http://x:0/", "http://a b/"],
)
@pytest.mark.parametrize("end", ["", "\r\nX: y", "é"])
def test_an_address_that_is_none(tmp_path: Path, url: str, end: str) -> None:
    if not (url.startswith("http://x") and not end):
        assert "is no address of a file" in fetched(url + end, tmp_path)


def test_nobody_there_is_said_when_patience_ends(
    tmp_path: Path, reserved_port: int
) -> None:
    url = f"http://127.0.0.1:{reserved_port}/"
    heard: list[Transfer] = []
    carrier = FileCarrier(
        Transfer(1, Direction.DOWN, "cat.jpg"), heard.append, patience=0.0
    )

    def work(carrier: FileCarrier) -> str:
        target = FileTarget(tmp_path, shared(CAT, url))
        carrier.start("cat.jpg", 5000)
        carrier.keep_on(lambda: pull(url, target, carrier.route, carrier.moved) is None)
        return ""

    carrier.run(work)
    line, _ = transfer_text(heard[-1])
    assert "can't be fetched: can't connect to 127.0.0.1 port" in line


# --- the folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../cat.jpg", "/etc/cat.jpg", r"..\cat.jpg", "a/../../cat.jpg", "..", "\0"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (folder := tmp_path / "in" / "downloads").mkdir(parents=True)
    with answering(reply("200 OK", CAT)) as (url, _):
        fetched(url, folder, name=name)
    assert [path.parent for path in tmp_path.rglob("*") if path.is_file()] == [folder]


def test_nothing_is_written_over_not_even_through_a_link(tmp_path: Path) -> None:
    (outside := tmp_path / "outside").mkdir()
    (folder := tmp_path / "downloads").mkdir()
    written(folder / "cat.jpg", b"mine")
    (folder / "cat (1).jpg").symlink_to(outside / "made")  # leads to nothing yet
    (folder / "cat (2).jpg").mkdir()
    with answering(reply("200 OK", CAT)) as (url, _):
        assert str(folder / "cat (3).jpg") in fetched(url, folder)
    assert (folder / "cat.jpg").read_bytes() == b"mine"
    assert os.listdir(outside) == []


def test_a_link_or_a_pipe_in_the_place_of_the_part_is_refused(tmp_path: Path) -> None:
    (folder := tmp_path / "downloads").mkdir()
    file = shared(CAT, "")
    part = folder / f"cat.jpg.{file.sha256[:8]}.part"
    victim = written(tmp_path / "victim", b"mine")
    part.symlink_to(victim)
    sentence(lambda: FileTarget(folder, file))
    assert victim.read_bytes() == b"mine"
    part.unlink()
    os.mkfifo(part)
    assert "no ordinary file" in sentence(lambda: FileTarget(folder, file))


def test_what_is_fetched_already_is_not_fetched_twice_at_once(tmp_path: Path) -> None:
    target = FileTarget(tmp_path, shared(CAT, ""))
    again = lambda: FileTarget(tmp_path, shared(CAT, ""))
    assert sentence(again) == "it is being fetched already"
    target.close()
    again().close()
    assert os.listdir(tmp_path) == []


def test_the_part_of_another_file_with_the_same_name_is_not_taken(
    tmp_path: Path,
) -> None:
    with answering(reply("200 OK", CAT[:3000], size=5000)) as (url, _):
        target = FileTarget(tmp_path, shared(CAT, url))
        with pytest.raises(OSError, match="lost"):
            pull(url, target, FileRoute(), lambda done: None)
        target.close()
    other = FileTarget(tmp_path, shared(b"dog" * 2000, url))
    assert other.done == 0
    other.close()
    same = FileTarget(tmp_path, shared(CAT, url))
    assert same.done == 3000
    same.close()


def test_a_part_that_is_too_long_or_of_other_bytes_begins_anew(tmp_path: Path) -> None:
    file = shared(CAT, "")
    part = tmp_path / f"cat.jpg.{file.sha256[:8]}.part"
    written(part, b"x" * 6000)
    target = FileTarget(tmp_path, file)
    assert target.done == 0
    target.close()
    written(part, b"x" * 2000)
    with answering(reply("416 No")) as (url, _):
        target = FileTarget(tmp_path, file)
        with pytest.raises(OSError, match="anew"):
            pull(url, target, FileRoute(), lambda done: None)
        assert target.done == 0
        target.close()


def test_a_file_larger_than_the_disk_is_not_begun(tmp_path: Path) -> None:
    file = shared(CAT, "")
    file.size = 10**18
    assert "it needs 1000.0 PB" in sentence(lambda: FileTarget(tmp_path, file))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    missing = tmp_path / "no such folder"
    for folder in (missing, written(tmp_path / "file", b"")):
        why = sentence(lambda: FileTarget(folder, shared(CAT, "")))
        assert why == f"there is no folder {folder}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_disk_that_fills_up_is_said_and_what_has_come_stays(tmp_path: Path) -> None:
    target = FileTarget(tmp_path, shared(CAT, ""))
    target.write(CAT[:1000])
    real, target._file = target._file, open("/dev/full", "wb", buffering=0)
    why = sentence(lambda: target.write(CAT[1000:]))
    assert "No space left on device" in why
    target._file.close()
    real.close()
    again = FileTarget(tmp_path, shared(CAT, ""))
    assert again.done == 1000
    again.close()


# --- what is sent ---------------------------------------------------------------------------------


def test_what_is_no_file_to_send(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert sentence(lambda: FileSource(tmp_path)) == f"{tmp_path} is a folder"
    assert "no ordinary file" in sentence(lambda: FileSource(tmp_path / "pipe"))
    assert "no ordinary file" in sentence(lambda: FileSource(Path("/dev/null")))
    assert "there is no file" in sentence(lambda: FileSource(tmp_path / "cat.jpg"))
    assert "null" in sentence(lambda: FileSource(Path("a\0b")))
    assert "too long" in sentence(lambda: FileSource(Path("x" * 5000)))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        assert "no ordinary file" in sentence(lambda: FileSource(tmp_path / "sock"))


@pytest.mark.parametrize("change", ["grows", "shrinks", "other bytes", "emptied"])
def test_a_file_that_changes_while_it_is_sent(tmp_path: Path, change: str) -> None:
    path = written(tmp_path / "cat.jpg", CAT)
    source = FileSource(path)
    pieces = iter(source.pieces(size=1000))
    assert next(pieces) == CAT[:1000]
    status = path.stat()
    changed = {"grows": CAT * 2, "shrinks": CAT[:10], "emptied": b""}
    written(path, changed.get(change, b"x" * 5000))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert "has changed meanwhile" in sentence(lambda: list(pieces))
    source.close()


def test_a_file_that_is_deleted_or_replaced_while_it_is_sent_is_sent_as_it_was(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "cat.jpg", CAT)
    source = FileSource(path)
    written(tmp_path / "new", b"dog").replace(path)
    assert b"".join(source.pieces(size=1000)) == CAT
    path.unlink()
    assert b"".join(source.pieces()) == CAT
    source.close()


def test_typed_paths_with_blanks_quotes_and_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path / "my cat.jpg", CAT)
    heard: list[Transfer] = []
    refuse = lambda command: Error("no", f"{command.name} is refused")
    files = FileTransfers(refuse, lambda: 1, heard.append)
    for typed in (
        "~/my cat.jpg",
        '"~/my cat.jpg"',
        r"~/my\ cat.jpg",
        f"'{tmp_path}/my cat.jpg'",
        f"{tmp_path}/my cat.jpg",
    ):
        carrier = files.send_typed(f"{typed} Minka the cat.jpg")
        assert carrier.ended.wait(LIMIT)
        assert carrier.transfer.note == "Minka the cat.jpg is refused", typed
    missing = files.send_typed("~/my dog.jpg")
    assert missing.ended.wait(LIMIT) and "there is no file" in missing.transfer.note


def test_an_upload_that_is_not_known_any_more_is_offered_again_with_the_same_id(
    tmp_path: Path,
) -> None:
    """The server was restarted; or the last answer was lost, and the file is said already."""
    path, heard, offers = written(tmp_path / "cat.jpg", CAT), [], []
    known = reply("204 Good", b"", "Upload-Offset: 5000")
    whole = reply("204 Good", b"", "Upload-Offset: 5000", "Upload-Complete: ?1")
    with answering(reply("404 No"), known, reply("409 No"), known, whole) as (
        url,
        seen,
    ):

        def offer(command: OfferFile) -> FileUpload | Error:
            offers.append(command)
            if len(offers) == 2:
                return Error("rate_limited", "too fast", command.id, 0.1)
            return FileUpload(command.id, 1, command.name, url, 0)

        files = FileTransfers(offer, lambda: 42, heard.append)
        assert files.send(path, room="lobby").ended.wait(LIMIT)
    assert [head.split()[0] for head in seen] == "HEAD HEAD PATCH HEAD PATCH".split()
    assert {(each.id, each.name, each.room) for each in offers} == {
        (42, "cat.jpg", "lobby")
    }
    assert len(offers) == 4 and heard[-1].state is TransferState.DONE
    said = FileTransfers(lambda each: Ok(each.id, 7), lambda: 1, heard.append)
    assert said.send(path).ended.wait(LIMIT)
    assert heard[-1].state is TransferState.DONE


# --- many at once ---------------------------------------------------------------------------------


def test_some_go_at_once_the_others_wait_and_too_many_are_refused(
    tmp_path: Path,
) -> None:
    path, go_on = written(tmp_path / "cat.jpg", CAT), threading.Event()
    running = threading.Semaphore(0)

    def slow(command):
        running.release()
        assert go_on.wait(LIMIT)
        return Error("no", "no")

    heard: list[Transfer] = []
    files = FileTransfers(slow, lambda: 1, heard.append)
    most = files.RUNNING + files.WAITING
    first = [files.send(path) for _ in range(files.RUNNING)]
    for _ in first:
        assert running.acquire(timeout=LIMIT)
    rest = [files.send(path) for _ in range(files.WAITING + 2)]
    refused = [each for each in rest if each.ended.is_set()]
    assert len(refused) == 2 and "too many" in refused[0].transfer.note
    assert not running.acquire(blocking=False)
    go_on.set()
    carriers = [*first, *rest]
    assert all(each.ended.wait(LIMIT) for each in carriers)
    wait_until(lambda: not files.busy)
    ended = [each for each in heard if each.ended]
    assert len(ended) == most + 2 and len({each.number for each in ended}) == most + 2


def test_without_a_thread_a_file_fails_and_the_next_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, heard = written(tmp_path / "cat.jpg", CAT), []
    files = FileTransfers(lambda each: Ok(each.id, 7), lambda: 1, heard.append)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(FileTransfers.RUNNING + 1):
            assert files.send(path).ended.is_set()
            assert heard[-1].note == "the system has no more threads"
    assert files.send(path).ended.wait(LIMIT)
    assert heard[-1].state is TransferState.DONE


def test_to_stop_ends_those_that_wait_as_well(tmp_path: Path) -> None:
    path, entered = written(tmp_path / "cat.jpg", CAT), threading.Event()

    def never(command):
        entered.set()
        raise ConnectionError("nobody there")

    files = FileTransfers(never, lambda: 1, lambda transfer: None)
    carriers = [files.send(path) for _ in range(files.RUNNING + 2)]
    assert entered.wait(LIMIT)
    files.stop(LIMIT)
    assert {each.transfer.state for each in carriers} == {TransferState.STOPPED}
    assert not files.busy
