"""Answers to the exercises of the chapter messages."""

from collections import deque
from collections.abc import Callable
from typing import Any

from exercises import right, wrong

Ask = Callable[[int | None], Any]
Found = tuple[list[int], int]


def pages(ask: Ask) -> list[Any]:
    """All pages, the last one first."""
    found = [ask(None)]
    while found[-1].more:
        found.append(ask(found[-1].messages[0].seq))
    return found


def numbers(page: Any) -> list[int]:
    return [message.seq for message in page.messages]


@wrong(
    "check_everything",
    "3: expected ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0), but got ([8, 9, 10]",
)
def the_last_page(ask: Ask) -> Found:
    page = ask(None)
    return numbers(page), page.lost


@wrong("check_everything", "but got ([8, 9, 10, 5, 6, 7, 2, 3, 4, 1], 0)")
def the_newest_page_first(ask: Ask) -> Found:
    found = pages(ask)
    return [n for page in found for n in numbers(page)], found[-1].lost


@wrong(
    "check_everything",
    "10 said, 7 kept, pages of 3: expected ([4, 5, 6, 7, 8, 9, 10], 3)",
)
def nothing_is_lost(ask: Ask) -> Found:
    return [n for page in reversed(pages(ask)) for n in numbers(page)], 0


@wrong("check_everything", "were there more than 11 questions?")
def for_ever(ask: Ask) -> Found:
    """It asks for the same page again and again."""
    found, page = [], ask(None)
    while page.more:
        found = numbers(page) + found
        page = ask(None)
    return found, page.lost


@wrong("check_everything", "how often it asked: expected 4, but got 5")
def asks_the_last_one_again(ask: Ask) -> Found:
    found = pages(ask)
    return [n for page in reversed(found) for n in numbers(page)], ask(1).lost


@wrong("check_everything", "exception ended it, in")
def without_a_message(ask: Ask) -> Found:
    """It takes the first number before it knows that there is one."""
    page = ask(None)
    found = numbers(page)
    first = found[0]
    while page.more:
        page = ask(first)
        found = numbers(page) + found
        first = found[0]
    return found, page.lost


@right("check_everything")
def reversed_pages(ask: Ask) -> Found:
    found = pages(ask)
    return [n for page in reversed(found) for n in numbers(page)], found[-1].lost


@right("check_everything")
def recursively(ask: Ask, before: int | None = None) -> Found:
    page = ask(before)
    if not page.more:
        return numbers(page), page.lost
    earlier, lost = recursively(ask, page.messages[0].seq)
    return earlier + numbers(page), lost


Diary = list[str]


@wrong("check_safe", "'say': expected [], but got [1]")
def all_that_was_said(diary: Diary) -> list[int]:
    return list(range(1, diary.count("say") + 1))


@wrong("check_safe", "'say commit': expected [], but got [1]")
def safe_when_asked(diary: Diary) -> list[int]:
    said = sure = 0
    for word in diary:
        said += word == "say"
        sure = said if word == "commit" else sure
    return list(range(1, sure + 1))


@wrong("check_safe", "'say commit say failed say commit done': expected [1]")
def forgets_to_take_back(diary: Diary) -> list[int]:
    said, sure, marks = 0, 0, deque[int]()
    for word in diary:
        if word == "say":
            said += 1
        elif word == "commit":
            marks.append(said)
        elif word == "done":
            sure = marks.popleft()
        else:
            marks.clear()
    return list(range(1, sure + 1))


@wrong("check_safe", "but got [1, 2]")
def the_newest_commit(diary: Diary) -> list[int]:
    """`done` means the oldest one."""
    said, sure, marks = 0, 0, []
    for word in diary:
        if word == "say":
            said += 1
        elif word == "commit":
            marks.append(said)
        elif word == "done":
            sure = marks.pop()
        else:
            said, marks = sure, []
    return list(range(1, sure + 1))


@wrong("check_safe", "The diary '': expected [], but got 0")
def how_many(diary: Diary) -> int:
    return len(by_numbers(diary))


@right("check_safe")
def by_numbers(diary: Diary) -> list[int]:
    waiting: list[int] = []
    commits: list[int] = []
    sure: list[int] = []
    for word in diary:
        if word == "say":
            waiting.append(len(sure) + len(waiting) + 1)
        elif word == "commit":
            commits.append(len(sure) + len(waiting))
        elif word == "done":
            reach = commits.pop(0) - len(sure)
            sure, waiting = sure + waiting[:reach], waiting[reach:]
        else:
            waiting, commits = [], []
    return sure


@right("check_safe")
def backwards(diary: Diary) -> list[int]:
    """Only what stands before the commit of the last `done` counts."""
    sure, rest = 0, list(diary)
    while "done" in rest:
        done = rest.index("done")
        if "failed" in rest[:done]:
            failed = rest.index("failed")
            rest = rest[failed + 1 :]
            continue
        commit = rest.index("commit")
        said = rest[:commit].count("say")
        sure += said
        del rest[done], rest[commit]
        for _ in range(said):
            rest.remove("say")
    return list(range(1, sure + 1))
