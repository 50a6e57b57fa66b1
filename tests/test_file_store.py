"""Files that strangers send, in a folder: names that are text, limits, links, restarts, a full disk."""

import errno
import hashlib
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from python_tcp.file_http import HTTPExchange, read_range, read_request
from python_tcp.file_rules import FileError, FileState, Offer, StoredFile
from python_tcp.file_rules import clean_file_name, size_text
from python_tcp.file_space import FileSpace
from python_tcp.file_store import FileStore
from python_tcp.limits import Limits

pytestmark = pytest.mark.skipif(
    not hasattr(os, "O_DIRECTORY"), reason="--files needs what Windows does not have"
)
DATA = b"all that it has\n" * 1000
NOW = 1_700_000_000.0


def offer_of(data: bytes = DATA, **fields: object) -> Offer:
    plain = Offer(
        "of ann",
        "ann",
        "of ann",
        1,
        "lobby",
        "a.txt",
        len(data),
        hashlib.sha256(data).hexdigest(),
    )
    return replace(plain, **fields)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    store = FileStore(tmp_path / "files")
    yield store
    store.close()


def bring(store: FileStore, offer: Offer, data: bytes = DATA) -> StoredFile:
    """A file that was offered, and brought in one piece."""
    stored = store.offer(offer, NOW)
    store.part(stored).write(data[store.received(stored) :])
    return finish(store, stored)


def finish(store: FileStore, stored: StoredFile) -> StoredFile:
    while not store.part(stored).hash_more():
        pass
    return store.complete(stored.number, NOW)


def content(store: FileStore, stored: StoredFile) -> bytes:
    with open(store.open(stored), "rb") as file:
        return file.read()


# --- names -------------------------------------------------------------------------------------------------------

NAMES = {
    "photo.jpg": "photo.jpg",
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "/etc/passwd": "passwd",
    "C:\\Windows\\evil.exe": "evil.exe",
    "C:evil.exe": "C_evil.exe",
    "a.txt:stream": "a.txt_stream",
    "..": "file",
    ".": "file",
    "/": "file",
    "a/": "file",
    "": "file",
    " ": "file",
    ".bashrc": "bashrc",
    "-rf": "rf",
    "~root": "root",
    "con": "_con",
    "CON.txt": "_CON.txt",
    "nul .tar.gz": "_nul .tar.gz",
    "LPT¹": "_LPT¹",
    "CONIN$": "_CONIN$",
    "conout$.txt": "_conout$.txt",
    "conin.txt": "conin.txt",
    "console.txt": "console.txt",
    "a\0b": "a_b",
    "a\x1b[31mred": "a_[31mred",
    "two\nlines": "two lines",
    "gpj\u202eexe.png": "gpj_exe.png",
    "a\u2066b\u2069": "a_b_",
    "half \ud800": "half _",
    "wait... .": "wait",
    "photo.jpg                .exe": "photo.jpg .exe",
    "e\u0301.txt": "é.txt",
    "👩‍💻.png": "👩‍💻.png",
    "\u200d": "file",
    "\u3164": "file",
    "\u2800": "file",
    "\uffa0\u115f \u1160": "file",
    "\u200c.\u200d-\u2800": "file",
    "\U000e0100": "file",
    "\u200b.bashrc": "bashrc",
    "\u200d.bashrc": "bashrc",
    "c\u200bon": "_con",
    "a.txt\u2800\u2800\u2800.exe": "a.txt .exe",
    "a.txt \u200d \u200c \u200d.exe": "a.txt .exe",
    "a\u200d\u200d\u200db": "a\u200db",
    "❤\ufe0f.png": "❤.png",
    "نامه\u200cها.txt": "نامه\u200cها.txt",
    "<script>": "_script_",
    '"; rm -rf *': "_; rm -rf _",
}


@pytest.mark.parametrize(("evil", "clean"), NAMES.items(), ids=map(ascii, NAMES))
def test_a_name_is_text_and_never_a_path(evil: str, clean: str) -> None:
    assert clean_file_name(evil) == clean


@given(st.text(st.characters()))
def test_any_text_becomes_the_name_of_a_file_in_this_folder(text: str) -> None:
    name = clean_file_name(text)
    assert clean_file_name(name) == name
    assert 0 < len(name.encode()) <= 121 and name not in (".", "..")
    assert not set(name) & set('<>:"/\\|?*\0')
    assert not name.startswith((".", "-", "~", " ")) and not name.endswith((".", " "))
    controls = {unicodedata.category(each) for each in name} & {"Cc", "Cs", "Zl", "Zp"}
    assert not controls


def test_a_long_name_keeps_its_ending() -> None:
    assert clean_file_name("é" * 300 + ".jpeg").endswith("é.jpeg")
    assert len(clean_file_name("x." + "y" * 300).encode()) <= 120


def test_a_size_for_people() -> None:
    sizes = [0, 999, 1000, 999_949, 999_950, 2_300_000, 10**9, 10**18]
    words = ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "2.3 MB", "1.0 GB"]
    assert [size_text(size) for size in sizes] == [*words, "1000.0 PB"]


# --- limits ------------------------------------------------------------------------------------------------------


def kept(*offers: Offer, state: FileState = FileState.SHARED) -> list[StoredFile]:
    return [
        StoredFile(number, offer, "k", "s", state, NOW)
        for number, offer in enumerate(offers, 1)
    ]


def space_with(there: list[StoredFile], limits: Limits) -> FileSpace:
    space = FileSpace(limits)
    for each in there:
        is_here = each.state is not FileState.PARTIAL
        space.count(each, each.offer.size if is_here else 0)
    return space


def refused(offer: Offer, there: list[StoredFile], **limits: float) -> str:
    with pytest.raises(FileError) as caught:
        space_with(there, Limits(**limits)).check(offer)
    assert str(caught.value).isprintable()
    return caught.value.code


def test_each_limit_refuses_one_more() -> None:
    ten, other = offer_of(b"x" * 10), offer_of(b"y" * 10, owner="of bob")
    guest = replace(other, network="192.0.2.7")
    assert refused(ten, [], file_bytes=9) == "file_too_large"
    for offer, there, limit in (
        (ten, kept(ten), {"file_bytes_per_person": 19}),
        (ten, kept(other), {"file_bytes_per_room": 19}),
        (ten, kept(replace(other, room="dev")), {"file_bytes_in_all": 19}),
        (ten, kept(ten), {"files_per_person": 1}),
        (ten, kept(other), {"files_in_all": 1}),
        (ten, kept(ten, state=FileState.PARTIAL), {"uploads_per_person": 1}),
        (replace(guest, owner="of eve"), kept(guest), {"files_in_all": 7}),
        (replace(guest, owner="of eve"), kept(guest), {"file_bytes_in_all": 79}),
    ):
        [(name, most)] = limit.items()
        assert refused(offer, there, **limit) == "too_many_files", name
        space_with(there, Limits(**{name: most + 1})).check(offer)


def test_what_somebody_has_offered_counts_against_them_as_a_whole(
    tmp_path: Path,
) -> None:
    store = FileStore(tmp_path / "files", Limits(file_bytes_per_person=1500))
    store.offer(offer_of(b"x" * 1000), NOW)
    with pytest.raises(FileError, match="1.5 kB together"):
        store.offer(offer_of(b"y" * 1000), NOW)
    store.close()


def test_what_others_have_only_offered_takes_nobody_s_room(tmp_path: Path) -> None:
    """A guest offers as much as there is, again and again under new names."""
    limits = Limits(file_bytes_in_all=len(DATA), file_bytes_per_room=len(DATA))
    store = FileStore(tmp_path / "files", limits)
    offers = [
        offer_of(owner=f"guest {number}", network="192.0.2.7") for number in range(20)
    ]
    for offer in offers:
        store.offer(replace(offer, size=len(DATA) // 4), NOW)
    assert content(store, bring(store, offer_of())) == DATA
    store.close()


def test_what_does_not_fit_any_more_is_said_and_goes_on_later(tmp_path: Path) -> None:
    limits = Limits(file_bytes_in_all=len(DATA) + 1000)
    store = FileStore(tmp_path / "files", limits)
    one, two = (store.offer(offer_of(owner=owner), NOW) for owner in ("1", "2"))
    store.part(two).write(DATA[:1000])
    store.part(one).write(DATA)
    with pytest.raises(FileError, match="17.0 kB together") as caught:
        store.part(two).write(DATA[1000:])
    assert (caught.value.code, caught.value.status) == ("too_many_files", 507)
    store.pause(two.number, NOW)
    store.close()
    store = FileStore(tmp_path / "files", limits)  # and a restart counts the same
    with pytest.raises(FileError, match="17.0 kB together"):
        store.part(two).write(DATA[1000:])
    store.delete(one.number)
    store.part(two).write(DATA[1000:])
    assert content(store, finish(store, two)) == DATA
    store.close()


def test_the_guests_of_an_address_get_their_share(tmp_path: Path) -> None:
    limits = Limits(file_bytes_in_all=4 * len(DATA), files_in_all=40)
    store = FileStore(tmp_path / "files", limits)
    guests = [
        store.offer(offer_of(owner=f"{number}", network="2001:db8::"), NOW)
        for number in range(2)
    ]
    store.part(guests[0]).write(DATA)
    with pytest.raises(FileError, match="guests at your address"):
        store.part(guests[1]).write(DATA[:1])
    for number in range(8):
        empty = offer_of(b"", owner=f"e{number}", network="2001:db8::")
        store.offer(empty, NOW)
    with pytest.raises(FileError, match="guests at your address: 10, and no more"):
        store.offer(replace(empty, owner="e9"), NOW)
    store.offer(offer_of(b"", network="198.51.100.7"), NOW)
    assert content(store, bring(store, offer_of(owner="bob"))) == DATA
    store.close()


def test_old_files_go_and_those_that_are_not_complete_go_earlier(
    store: FileStore,
) -> None:
    said = bring(store, offer_of())
    store.shared(said.number, NOW)
    half = store.offer(offer_of(b"half"), NOW)
    store.part(half).write(b"ha")
    store.pause(half.number, NOW)
    store.offer(offer_of(b"nothing"), NOW)
    store.expire(NOW + 600 - 1)
    assert len(store.files) == 3
    store.expire(NOW + 600 + 1)
    assert list(store.files) == [said.number, half.number]
    store.expire(NOW + 86_400 - 1)
    assert len(store.files) == 2
    store.expire(NOW + 86_400 + 1)
    assert list(store.files) == [said.number]
    store.expire(NOW + 7 * 86_400 + 1)
    assert not store.files


# --- bringing ----------------------------------------------------------------------------------------------------


def test_a_file_is_kept_under_a_number(store: FileStore, tmp_path: Path) -> None:
    stored = bring(store, offer_of(name="photo.jpg"))
    assert content(store, stored) == DATA
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert names - {"index.db", "index.db-journal"} == {"1"}
    assert (tmp_path / "files" / "1").stat().st_mode & 0o777 == 0o600


def test_the_same_offer_goes_on_where_it_stopped_over_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    store = FileStore(folder)
    first = store.offer(offer_of(), NOW)
    store.part(first).write(DATA[:5000])
    store.close()
    store = FileStore(folder)
    again = store.offer(offer_of(id="another"), NOW)
    assert (again.number, again.secret, store.received(again)) == (
        first.number, first.secret, 5000,
    )  # fmt: skip
    assert content(store, bring(store, offer_of(id="another"))) == DATA
    store.close()


@pytest.mark.parametrize("field", ["owner", "room", "name", "sha256", "username"])
def test_another_offer_is_another_file(store: FileStore, field: str) -> None:
    one = store.offer(offer_of(), NOW)
    other = store.offer(offer_of(**{field: "0" * 64}), NOW)
    assert one.number != other.number and one.secret != other.secret


def test_what_was_said_is_not_gone_on_with(store: FileStore) -> None:
    stored = bring(store, offer_of())
    store.shared(stored.number, NOW)
    assert store.offer(offer_of(), NOW).number != stored.number


def test_more_than_was_offered_is_refused_and_what_came_before_stays(
    store: FileStore,
) -> None:
    stored = store.offer(offer_of(), NOW)
    store.part(stored).write(DATA[:-1])
    with pytest.raises(FileError, match="more came") as caught:
        store.part(stored).write(b"\n\n")
    assert caught.value.status == 413
    assert store.received(stored) == len(DATA) - 1
    store.part(stored).write(b"\n")
    assert content(store, finish(store, stored)) == DATA


def test_a_wrong_hash_throws_it_away(store: FileStore, tmp_path: Path) -> None:
    stored = store.offer(offer_of(), NOW)
    store.part(stored).write(DATA[:-1] + b"!")
    with pytest.raises(FileError, match="SHA-256") as caught:
        finish(store, stored)
    assert caught.value.status == 422
    assert not store.files
    assert not list((tmp_path / "files").glob("1*"))


def test_who_does_not_know_the_word_finds_nothing(store: FileStore) -> None:
    stored = bring(store, offer_of())
    assert store.find(stored.number, stored.key, "key") == stored
    for number, word in ((1, ""), (1, stored.secret), (2, stored.key), (1, "é")):
        with pytest.raises(FileError) as caught:
            store.find(number, word, "key")
        assert caught.value.status == 404


# --- the folder --------------------------------------------------------------------------------------------------

PLANTED = {
    "a link to a file": lambda path, secret: path.symlink_to(secret),
    "a link to nowhere": lambda path, secret: path.symlink_to("/nowhere/at/all"),
    "a hard link": lambda path, secret: os.link(secret, path),
    "a FIFO": lambda path, secret: os.mkfifo(path),
    "a folder": lambda path, secret: path.mkdir(),
    "a file": lambda path, secret: path.write_text("planted"),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_what_somebody_puts_in_the_way_is_neither_followed_nor_touched(
    store: FileStore, tmp_path: Path, plant
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    plant(tmp_path / "files" / "1.part", secret)
    stored = bring(store, offer_of())
    assert stored.number == 2 and content(store, stored) == DATA
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_file_that_was_replaced_is_not_read(
    store: FileStore, tmp_path: Path, plant
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    stored, path = bring(store, offer_of()), tmp_path / "files" / "1"
    path.unlink()
    plant(path, secret)
    if plant is PLANTED["a file"]:
        return  # a plain file under our number is the file
    with pytest.raises(FileError) as caught:
        store.open(stored)
    assert caught.value.status == 404


def test_a_part_that_was_replaced_by_a_link_is_not_written(
    store: FileStore, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    stored = store.offer(offer_of(), NOW)
    part = tmp_path / "files" / "1.part"
    part.unlink()
    part.symlink_to(secret)
    with pytest.raises(FileError, match="folder"):
        store.part(stored)
    assert secret.read_text() == "secret"


def test_an_end_between_two_steps_loses_nothing(tmp_path: Path) -> None:
    """The file has its last name, and the index does not know it yet."""
    folder = tmp_path / "files"
    store = FileStore(folder)
    stored = store.offer(offer_of(), NOW)
    store.part(stored).write(DATA)
    store.close()
    (folder / "1.part").rename(folder / "1")
    store = FileStore(folder)
    again = store.offer(offer_of(), NOW)
    assert again.state is FileState.COMPLETE
    assert (again.number, store.received(again)) == (1, len(DATA))
    store.close()


def test_a_file_that_is_gone_is_forgotten_at_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    store = FileStore(folder)
    bring(store, offer_of())
    store.close()
    (folder / "1").unlink()
    store = FileStore(folder)
    assert not store.files
    assert store.offer(offer_of(), NOW).number == 2  # no number is given twice
    store.close()


def test_one_server_has_the_folder(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "files")
    with pytest.raises(OSError, match="another server is using it"):
        FileStore(tmp_path / "files")
    store.close()
    FileStore(tmp_path / "files").close()


def test_an_index_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_text("no database " * 100)
    with pytest.raises(OSError, match="not a database"):
        FileStore(tmp_path)


def test_a_line_of_the_index_that_we_can_not_have_written_is_left_out(
    tmp_path: Path,
) -> None:
    store = FileStore(tmp_path)
    bring(store, offer_of())
    store._index._db.execute("INSERT INTO files VALUES (7, 'no JSON')")
    store._index._db.execute(
        "INSERT INTO files SELECT 9, file FROM files WHERE number = 1"
    )
    store.close()
    store = FileStore(tmp_path)
    assert list(store.files) == [1]
    store.close()


FULL = """
import resource, sys
sys.path.insert(0, "tests")
from pathlib import Path
from test_file_store import DATA, NOW, FileError, FileStore, finish, content, offer_of
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
store = FileStore(Path(sys.argv[1]))
stored = store.offer(offer_of(), NOW)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
try:
    store.part(stored).write(DATA)
except FileError as error:
    print(error.code, error.status, store.received(stored))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
store.part(stored).write(DATA[store.received(stored):])
print(content(store, finish(store, stored)) == DATA)
"""


@pytest.mark.slow
def test_a_full_disk_is_said_and_what_fitted_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, tmp_path / "files"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["disk_full", "507", "10000", "True"], done.stderr


def test_more_than_the_disk_has_room_for_is_refused_at_once(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store._folder, "free", lambda: len(DATA) - 1)
    with pytest.raises(FileError, match="disk is full"):
        store.offer(offer_of(), NOW)
    assert not store.files


def rows_of(store: FileStore) -> int:
    return store._index._db.execute("SELECT count(*) FROM files").fetchone()[0]


def test_an_index_that_is_full_leaves_nothing_of_what_it_refuses(
    store: FileStore, tmp_path: Path
) -> None:
    store._index._db.execute("PRAGMA max_page_count = 1")  # no page more than it has
    with pytest.raises(FileError, match="full") as refused:
        for number in range(1000):
            store.offer(offer_of(owner=f"of {number}", name="n" * 200), NOW)
    parts = [*(tmp_path / "files").glob("*.part")]
    assert (refused.value.code, refused.value.status) == ("disk_full", 507)
    assert len(parts) == rows_of(store) == len(store.files) > 0


def test_a_folder_that_is_full_leaves_nothing_in_the_index(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store._folder, "create", full)
    with pytest.raises(FileError, match="disk is full"):
        store.offer(offer_of(), NOW)
    assert rows_of(store) == 0


# --- HTTP, without I/O -------------------------------------------------------------------------------------------

RANGES = [
    ("bytes=0-", range(0, 10)),
    ("bytes=3-5", range(3, 6)),
    ("bytes=3-99", range(3, 10)),
    ("bytes=9-", range(9, 10)),
    ("bytes=-3", range(7, 10)),
    ("bytes=-99", range(0, 10)),
    ("", None),
    ("bytes=", None),
    ("bytes=-", None),
    ("bytes=5-3", None),
    ("bytes=0-1,3-4", None),
    ("items=0-1", None),
    ("bytes=٣-", None),
    ("bytes=1e3-", None),
]


@pytest.mark.parametrize(("text", "wanted"), RANGES)
def test_a_range(text: str, wanted: range | None) -> None:
    assert read_range(text, 10) == wanted


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_of_nothing(text: str) -> None:
    with pytest.raises(FileError) as caught:
        read_range(text, 10)
    assert caught.value.status == 416


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/index.db", 404),
        ("GET", "/files/../index.db", 404),
        ("GET", "/files/1/../../index.db", 404),
        ("GET", "/files/1/%2e%2e%2f%2e%2e%2fetc", 404),
        ("GET", "/files/1.part/keykeykeykeykeykey/x", 404),
        ("GET", "/files/-1/keykeykeykeykeykey/x", 404),
        ("GET", "/files/٣/keykeykeykeykeykey/x", 404),
        ("GET", "/files/9999999999999999/k/x", 404),
        ("POST", "/files/1/key/x", 405),
        ("PATCH", "/files/1/key/x", 405),
        ("GET", "/uploads/1/secret", 405),
        ("DELETE", "/uploads/1/secret", 405),
    ],
)
def test_what_is_not_served(method: str, path: str, status: int) -> None:
    target = "".join(each if each.isascii() else "%D9%A3" for each in path)
    request = h11.Request(method=method, target=target, headers=[("Host", "x")])
    with pytest.raises(FileError) as caught:
        read_request(request)
    assert caught.value.status == status


BAD = {
    "no HTTP": b"\x16\x03\x01\x00\x00\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "a head without end": b"GET / HTTP/1.1\r\nHost: " + b"x" * 70_000,
    "no number": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_request_is_one_answer_and_the_end(data: bytes) -> None:
    exchange = HTTPExchange()
    exchange.receive(data)
    with pytest.raises(FileError) as caught:
        exchange.next_event()
    assert caught.value.status in (400, 431)
    said = exchange.answer(caught.value.status, {}, str(caught.value), close=True)
    assert said.startswith(b"HTTP/1.1 4") and b"Connection: close" in said
    assert exchange.is_over


def test_nobody_else_may_read_the_index(tmp_path: Path) -> None:
    """It holds the secrets of the files; also one that an older program has made."""
    folder = tmp_path / "files"
    folder.mkdir(mode=0o755)
    (folder / "index.db").touch(mode=0o644)
    FileStore(folder).close()
    assert (folder / "index.db").stat().st_mode & 0o777 == 0o600
