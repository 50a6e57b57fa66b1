"""What becomes of a data file while it is in use, and whether anybody hears of it."""

import logging
import os
from contextlib import closing
from pathlib import Path

import pytest

from python_tcp.datafile import FilePlace, open_file
from python_tcp.filereader import FileReader
from python_tcp.messages import StoreError


def test_a_file_that_is_cut_off_is_seen_and_one_that_grows_is_fine(
    tmp_path: Path,
) -> None:
    """`> chat.db` in a shell: SQLite goes on with what it has in memory, and all is lost."""
    file = tmp_path / "chat.db"
    with closing(open_file(file)) as db:
        place = FilePlace(file)
        db.execute("CREATE TABLE more (text)")
        db.execute("INSERT INTO more VALUES (zeroblob(200000))")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint")
        assert place.trouble() is None
        os.truncate(file, 0)
        for _ in range(2):  # not only once
            assert place.trouble() == f"{file}: somebody has cut it off"


def test_a_file_that_can_not_be_read_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not only whoever asks for the history should hear of it."""
    file = tmp_path / "chat.db"
    file.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    reader = FileReader(file)
    with caplog.at_level(logging.WARNING), pytest.raises(StoreError):
        list(reader.messages("lobby", 1, 9, False))
    reader.close()
    assert "history: the data file can't be read: " in caplog.text
