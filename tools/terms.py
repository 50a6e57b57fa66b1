"""Links the terms of the glossary where a chapter uses them first: `python tools/terms.py`, or with --check says where a link is missing.

A term is linked once in each chapter, in running text: not in a heading, a table, a quotation, code, or another link. A chapter that explains a term (it is emphasized there, as one does), or to which the glossary leads, needs no link. Words that every dictionary has are not linked.
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lean  # noqa: F401
import nbformat
from fill import TERM, said
from figures import NBS, chapter_paths

GLOSSARY = "970_glossary.ipynb"

# These have no other meaning here than in a dictionary, or are explained on the first pages.
EVERYDAY = set(
    "account address admission asyncio authority ban batch broadcast budget buffer "
    "client command composition connection counter delivery enum event face farewell "
    "frame gauge handshake heap hub invariant kick layer link lock masking moderator "
    "mute operator origin page pipe place port presence process group protocol record "
    "relay replay role room server service manager session signal socket store stream "
    "thread time limit timer topic transition transport window TCP".split()
) | {"audit log", "close code", "process group", "service manager", "time limit"}
# Words that mean the term in these chapters only.
ONLY_IN = {
    "future": ("aio_link", "aio"),
    "numeric": ("irc_text", "irc_words", "irc"),
    "isolate": ("protocol", "text"),
    "override": ("protocol", "text"),
    "hash": ("security", "certificates", "trust", "accounts", "passwords", "logins"),
    "flush": ("loop", "output", "stream"),
    "generator": ("framing", "messages", "filereader"),
    "commit": ("messages", "chat_fanout", "history", "delivery", "rooms"),
    "daemon": ("loop", "client", "server"),
    "decorator": ("check",),
    "atomic": (),
    "exactly once": ("history",),
    "hook": ("broadcaster", "history"),
    "delimiter": ("framing",),
    "loud connection": ("turns", "admission", "chat_server"),
    "waker": ("window_parts", "aio_link"),
    "barrier": ("broadcast", "reconnector"),
}
# And not in these.
NOT_IN = {
    "kernel": ("check",),
    "listener": ("console",),
    "race": ("speed", "race"),
    "token": ("delivery", "turns", "websocket", "admission"),
}
# Forms in which a term is found, and which mean something else as often.
LOOSE = {"its length", "newline", "missed", "loud", "wake-up"}
AVOIDED = re.compile(
    r"`+[^`]*`+"  # code
    r"|!?\[(?:[^][]|\[[^]]*\])*\]\([^)]*\)"  # a link
    r"|<[^>]*>|https?://\S+"
)
EMPHASIS = re.compile(r"(?<!\*)\*[^*\n]+\*(?!\*)")
# No running text, up to the next heading.
ENDS = ("## What we learned", "## Where to read more")


class Term:
    """An entry of the glossary: how it looks in a text, and where it stands."""

    def __init__(self, match: re.Match) -> None:
        self.name, self.home = match["term"], match["link"] or ""
        forms = [self.name, *(match["others"] or "").split(", ")]
        pattern = said([it for it in forms if "`" not in it and it not in LOOSE])
        capitals = self.name.isupper()  # ACK, and not "ack"
        self.pattern = re.compile(pattern, 0 if capitals else re.IGNORECASE)
        letter = re.sub(r"\W|_", "", self.name)[0].upper()
        self.target = f"{GLOSSARY}#{letter}"

    def belongs_to(self, chapter: Path) -> bool:
        name = chapter.stem.partition("_")[2]
        if f"({chapter.name})" in self.home or self.name in EVERYDAY:
            return False
        if name in NOT_IN.get(self.name, ()):
            return False
        return self.name not in ONLY_IN or name in ONLY_IN[self.name]


@cache
def terms() -> list[Term]:
    cells = nbformat.read(NBS / GLOSSARY, as_version=4).cells
    return [Term(match) for cell in cells for match in TERM.finditer(cell.source)]


# How a line begins that is a table, a quotation, a picture or code.
NOT_RUNNING = ("|", ">", "![", "    ")


def lines(notebook: nbformat.NotebookNode) -> Iterator[tuple[int, int, str]]:
    """The running text of a chapter: the cell's index, where a line begins in it, and the line."""
    is_text = True
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown" or index == 0:
            continue
        if cell.source.startswith("**Synopsis.**"):
            continue
        start, in_code = 0, False
        for line in cell.source.splitlines(keepends=True):
            if line.startswith("```"):
                in_code = not in_code
            elif line.startswith("#"):
                is_text = not line.startswith(ENDS)
            elif is_text and not in_code and not line.startswith(NOT_RUNNING):
                yield index, start, line
            start += len(line)


def first_use(
    term: Term, text: list[tuple[int, int, str]]
) -> tuple[int, int, str] | None:
    """Where to link a term: the cell, the place in it, and the words; None where it is explained, linked already, or not used."""
    for index, start, line in text:
        for match in term.pattern.finditer(line):
            inside = [
                span[0]
                for span in (*AVOIDED.finditer(line), *EMPHASIS.finditer(line))
                if span.start() <= match.start() < span.end()
            ]
            if not inside:
                return index, start + match.start(), match[0]
            if not inside[0].startswith("`"):
                return None  # it is explained here, or a link leads somewhere already
    return None


def missing(chapter: Path) -> list[tuple[int, int, str, str]]:
    """The links that a chapter should have: the cell, the place, the words, and where to. No two begin at the same place: the longer term wins."""
    notebook = nbformat.read(chapter, as_version=4)
    text = list(lines(notebook))
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for term in terms():
        if term.belongs_to(chapter) and (place := first_use(term, text)):
            index, start, words = place
            overlaps = [
                key
                for key, (other, _) in found.items()
                if key[0] == index
                and key[1] < start + len(words)
                and start < key[1] + len(other)
            ]
            if all(len(found[key][0]) < len(words) for key in overlaps):
                for key in overlaps:
                    del found[key]
                found[index, start] = words, term.target
    return [(*key, *value) for key, value in sorted(found.items())]


def link(chapter: Path) -> None:
    """Write the missing links into a chapter."""
    while places := missing(chapter):  # one link may make room for another
        notebook = nbformat.read(chapter, as_version=4)
        for index, start, words, target in reversed(places):
            cell = notebook.cells[index]
            rest = cell.source[start + len(words) :]
            cell.source = f"{cell.source[:start]}[{words}]({target}){rest}"
        nbformat.write(notebook, chapter)


def main() -> int:
    chapters = [Path(name) for name in sys.argv[1:] if name != "--check"]
    bad = 0
    for chapter in chapters or chapter_paths():
        for _, _, words, target in missing(chapter):
            bad += 1
            if "--check" in sys.argv:
                print(f"{chapter.name}: {words!r} is not linked to {target}")
        if "--check" not in sys.argv:
            link(chapter)
    return 1 if bad and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
