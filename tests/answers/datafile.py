"""Answers to the exercises of the chapter datafile."""

import os
import shutil
import sqlite3
import struct
from pathlib import Path

from exercises import right, wrong

from python_tcp.datafile import APPLICATION_ID, file_uri


@wrong("check_back_up", "how many are in the copy: expected 5, but got 0")
def bytes_of_it(path: Path, copy: Path) -> None:
    copy.write_bytes(path.read_bytes())


@wrong("check_back_up", "how many are in the copy: expected 5, but got 'no file'")
def nothing(path: Path, copy: Path) -> None:
    pass


@wrong("check_back_up", "A copy onto itself: expected 'FileExistsError'")
def without_a_look(path: Path, copy: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("VACUUM INTO ?", [str(copy)])
    db.close()


@wrong("check_back_up", "A copy of a file that is not there: expected 'sqlite3.Error'")
def makes_a_file(path: Path, copy: Path) -> None:
    if copy.exists():
        raise FileExistsError(copy)
    without_a_look(path, copy)


@wrong("check_back_up", "A copy onto the copy: expected 'FileExistsError', but got 5")
def only_not_onto_itself(path: Path, copy: Path) -> None:
    if copy.samefile(path) if copy.exists() else False:
        raise FileExistsError(copy)
    copy.unlink(missing_ok=True)
    with_vacuum(path, copy)


@wrong("check_back_up", "exception ended it, in")
def by_moving(path: Path, copy: Path) -> None:
    shutil.copytree(path, copy)


@right("check_back_up")
def with_vacuum(path: Path, copy: Path) -> None:
    if copy.exists() or copy.is_symlink():
        raise FileExistsError(copy)
    db = sqlite3.connect(file_uri(path, "ro"), uri=True)
    db.execute(f"VACUUM INTO '{copy}'")
    db.close()


@right("check_back_up")
def page_by_page(path: Path, copy: Path) -> None:
    """SQLite's own backup. The place is taken by making the file, and not by looking."""
    source = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        source.execute("SELECT 1 FROM sqlite_schema")
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        target = sqlite3.connect(copy)
        source.backup(target)
        target.close()
    finally:
        source.close()


def kind_of(path: Path) -> str:
    if not path.exists():
        return "nothing"
    if path.is_dir():
        return "a directory"
    if not path.is_file():
        return "something else"
    return "" if path.stat().st_size else "empty"


def content_of(path: Path, ours: bool = True) -> str:
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(b"SQLite format 3\0"):
        return "a file"
    if not ours or int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        return "a database"
    return f"a data file, version {int.from_bytes(head[60:64], 'big')}"


@wrong("check_describe", "but got 'a database'")
def any_database(path: Path) -> str:
    return kind_of(path) or content_of(path, ours=False)


@wrong(
    "check_describe",
    "describe(path of 'fifo'): expected 'something else', but got '(it waits)'",
    2,
)
def opens_it(path: Path) -> str:
    if not path.exists():
        return "nothing"
    if path.is_dir():
        return "a directory"
    return content_of(path) if path.read_bytes() else "empty"


@wrong("check_describe", "exception ended it, in")
def without_a_look_at_it(path: Path) -> str:
    return content_of(path) if path.stat().st_size else "empty"


@wrong("check_describe", "describe(path of 'text'): expected 'a file'")
def by_six_letters(path: Path) -> str:
    kind = kind_of(path)
    if not kind and path.read_bytes()[:15] == b"SQLite format 3":
        return content_of(path) if b"\0" in path.read_bytes() else "a database"
    return kind or "a file"


@wrong("check_describe", "describe(path of 'dead link'): expected 'nothing'")
def links_are_something(path: Path) -> str:
    return "something else" if path.is_symlink() else describe(path)


@right("check_describe")
def describe(path: Path) -> str:
    return kind_of(path) or content_of(path)


@right("check_describe")
def with_stat(path: Path) -> str:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return "nothing"
    kind = found.st_mode & 0o170000
    if kind != 0o100000:
        return "a directory" if kind == 0o040000 else "something else"
    head = path.read_bytes()[:100].ljust(100, b"\0")
    magic, version, application = struct.unpack("!16s44xI4xI28x", head)
    match magic, application:
        case _ if not found.st_size:
            return "empty"
        case (b"SQLite format 3\0", number) if number == APPLICATION_ID:
            return f"a data file, version {version}"
        case (b"SQLite format 3\0", _):
            return "a database"
    return "a file"
