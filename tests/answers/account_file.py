"""Answers to the exercise of the chapter account_file."""

import sqlite3

from exercises import right, wrong

ACCOUNT = "UPDATE accounts SET key = ? WHERE key = ?"
MARKS = "UPDATE read_marks SET key = ? WHERE key = ?"
THERE = "SELECT 1 FROM accounts WHERE key = ?"


@wrong("check_move", "move(db, 'Ann', 'Zoe')")
def as_they_are(db: sqlite3.Connection, old: str, new: str) -> bool:
    if db.execute(THERE, [new]).fetchone():
        return False
    with db:
        db.execute("BEGIN")
        db.execute(MARKS, [new, old])
        return db.execute(ACCOUNT, [new, old]).rowcount == 1


@wrong("check_move", "the rows when statement")
def with_a_with(db: sqlite3.Connection, old: str, new: str) -> bool:
    """In this mode, `with db` begins nothing."""
    old, new = old.lower(), new.lower()
    with db:
        if db.execute(THERE, [new]).fetchone():
            return False
        moved = db.execute(ACCOUNT, [new, old]).rowcount == 1
        db.execute(MARKS, [new, old])
    return moved


@wrong("check_move", "whether the error of statement")
def says_nothing(db: sqlite3.Connection, old: str, new: str) -> bool:
    old, new = old.lower(), new.lower()
    try:
        db.execute("BEGIN")
        if db.execute(THERE, [new]).fetchone():
            db.execute("ROLLBACK")
            return False
        moved = db.execute(ACCOUNT, [new, old]).rowcount == 1
        db.execute(MARKS, [new, old])
        db.execute("COMMIT")
        return moved
    except sqlite3.OperationalError:
        db.rollback()
        return False


@wrong("check_move", "whether a transaction is left open")
def leaves_it_open(db: sqlite3.Connection, old: str, new: str) -> bool:
    db.execute("BEGIN")
    if db.execute(THERE, [new.lower()]).fetchone():
        return False
    moved = db.execute(ACCOUNT, [new.lower(), old.lower()]).rowcount == 1
    db.execute(MARKS, [new.lower(), old.lower()])
    db.execute("COMMIT")
    return moved


@right("check_move")
def with_a_with_and_a_begin(db: sqlite3.Connection, old: str, new: str) -> bool:
    names = [new.lower(), old.lower()]
    with db:
        db.execute("BEGIN")
        try:
            moved = db.execute(ACCOUNT, names).rowcount == 1
        except sqlite3.IntegrityError:
            return False
        db.execute(MARKS, names)
    return moved


@right("check_move")
def with_a_savepoint(db: sqlite3.Connection, old: str, new: str) -> bool:
    names, moved = [new.lower(), old.lower()], False
    db.execute("SAVEPOINT move")
    try:
        if db.execute(THERE, names[:1]).fetchone() is None:
            moved = db.execute(ACCOUNT, names).rowcount > 0
            db.execute(MARKS, names)
        db.execute("RELEASE move")
    except BaseException:
        db.rollback()
        raise
    return moved
