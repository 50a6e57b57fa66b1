"""Answers to the exercises of the chapter backup."""

import re
from datetime import date, datetime

from exercises import right, wrong


def _is_backup(name: str) -> bool:
    if not re.fullmatch(r"chat-\d{4}-\d\d-\d\d\.db", name):
        return False
    try:
        date.fromisoformat(name[5:15])
    except ValueError:
        return False
    return True


@wrong("check_to_delete", "'chat.db'")
def all_but_the_last(names: list[str], keep: int) -> list[str]:
    return sorted(names)[:-keep]


@wrong("check_to_delete", "chat-2026-02-30.db")
def any_digits(names: list[str], keep: int) -> list[str]:
    if keep < 1:
        raise ValueError(keep)
    pattern = r"chat-\d{4}-\d\d-\d\d\.db"
    return sorted(name for name in names if re.fullmatch(pattern, name))[:-keep]


@wrong("check_to_delete", "chat-2020-01-01.db.part")
def anywhere_in_the_name(names: list[str], keep: int) -> list[str]:
    found = []
    for name in names:
        match = re.search(r"chat-(\d{4}-\d\d-\d\d)\.db", name)
        if match and _is_backup(match[0]):
            found.append(name)
    return sorted(found)[:-keep]


@wrong("check_to_delete", "keep = 0")
def whatever_keep_is(names: list[str], keep: int) -> list[str]:
    found = sorted(filter(_is_backup, names))
    return found[: max(0, len(found) - keep)]


@wrong("check_to_delete", "2): expected")
def the_ones_to_keep(names: list[str], keep: int) -> list[str]:
    return sorted(filter(_is_backup, names))[-keep:]


@wrong("check_to_delete", "chat-20200101.db")
def any_iso_date(names: list[str], keep: int) -> list[str]:
    def day(name: str) -> date | None:
        match = re.fullmatch(r"chat-(.*)\.db", name)
        try:
            return date.fromisoformat(match[1]) if match else None
        except ValueError:
            return None

    return sorted(name for name in names if day(name))[:-keep]


@right("check_to_delete")
def newest_first(names: list[str], keep: int) -> list[str]:
    if keep <= 0:
        raise ValueError("keep is below 1")
    found = sorted((name for name in names if _is_backup(name)), reverse=True)
    return found[keep:][::-1]


@right("check_to_delete")
def by_days(names: list[str], keep: int) -> list[str]:
    if not keep > 0:
        raise ValueError(f"keep = {keep}")
    days = {}
    for name in names:
        try:
            day = datetime.strptime(name, "chat-%Y-%m-%d.db")
        except ValueError:
            continue
        if f"chat-{day:%Y-%m-%d}.db" == name:
            days[name] = day
    return sorted(days, key=lambda name: days[name])[: max(0, len(days) - keep)]
