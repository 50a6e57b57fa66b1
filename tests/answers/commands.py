"""Answers to the exercises of the chapter commands."""

import re
import unicodedata
from typing import Annotated, Any

from exercises import right, wrong
from msgspec import Meta, Struct

HEX = r"^#[0-9a-fA-F]{6}$"
Place = Annotated[int, Meta(ge=0, le=999)]
Size = Annotated[int, Meta(ge=1, le=20)]


@wrong("check_dot", "\"y\": -1}': expected 'refused'")
class WithoutALowerBound(Struct, tag_field="type", tag="dot"):
    colour: Annotated[str, Meta(pattern=HEX)]
    x: Place
    y: Annotated[int, Meta(le=999)]
    size: Size = 1


@wrong("check_dot", '"type": "dott"')
class WithoutATag(Struct):
    colour: Annotated[str, Meta(pattern=HEX)]
    x: Place
    y: Place
    size: Size = 1


@wrong("check_dot", "\"y\": 999}': expected 'refused', but got (None")
class AllOptional(Struct, tag_field="type", tag="dot"):
    colour: Annotated[str, Meta(pattern=HEX)] | None = None
    x: Place | None = None
    y: Place | None = None
    size: Size = 1


@wrong("check_dot", "#a1b2c3\\\\n")
class UpToALine(Struct, tag_field="type", tag="dot"):
    """In a pattern, `$` is also before a newline at the end."""

    colour: Annotated[str, Meta(pattern=HEX)]
    x: Place
    y: Place
    size: Size = 1


@wrong("check_dot", "#a1b2c3d")
class NotToTheEnd(Struct, tag_field="type", tag="dot"):
    colour: Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}")]
    x: Place
    y: Place
    size: Size = 1


@wrong("check_dot", "expected ('#a1B2c3', 0, 999, 1), but got 'refused'")
class NoStruct:
    def __init__(self, colour: str, x: int, y: int, size: int = 1) -> None:
        self.colour, self.x, self.y, self.size = colour, x, y, size


@right("check_dot")
class WithALength(Struct, tag_field="type", tag="dot", frozen=True):
    colour: Annotated[str, Meta(pattern=HEX, min_length=7, max_length=7)]
    x: Place
    y: Place
    size: Size = 1


@right("check_dot")
class Looked(Struct, tag_field="type", tag="dot"):
    """It looks at its values when it is made."""

    colour: str
    x: int
    y: int
    size: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise ValueError(f"no colour: {self.colour}")
        if not (0 <= self.x < 1000 and 0 <= self.y < 1000 and 0 < self.size <= 20):
            raise ValueError("out of bounds")


def key(name: str, **different: Any) -> str | None:
    """As a right one, where a wrong one has not changed it."""
    way = {
        "form": "NFKC",
        "fold": str.casefold,
        "kinds": "LMN",
        "mixed": False,
    } | different
    if way.get("length_first") and not 1 <= len(name) <= 32:
        return None
    name = unicodedata.normalize(way["form"], name)
    name = unicodedata.normalize(way["form"], way["fold"](name))
    if not way.get("length_first") and not 1 <= len(name) <= 32:
        return None
    for char in name:
        if char not in "_-." and unicodedata.category(char)[0] not in way["kinds"]:
            return None
    scripts = [unicodedata.name(char, "?").split()[0] for char in name]
    mixed = {"LATIN", "CYRILLIC", "GREEK"}.intersection(scripts)
    return None if len(mixed) > 1 and not way["mixed"] else name


@wrong("check_key", "'Stra\\xdfe')")
def lower(name: str) -> str | None:
    return key(name, fold=str.lower)


@wrong("check_key", "which is a good name: expected 'a text', but got None")
def without_marks(name: str) -> str | None:
    return key(name, kinds="LN")


@wrong("check_key", "key('\\u0430nn')")
def look_alikes(name: str) -> str | None:
    return key(name, mixed=True)


@wrong("check_key", "where key('\\uff41nn')")
def without_ligatures(name: str) -> str | None:
    return key(name, form="NFC")


@wrong("check_key", "e\\u0301")
def the_length_of_what_was_typed(name: str) -> str | None:
    return key(name, length_first=True)


@wrong("check_key", "but got ''")
def empty_for_no_name(name: str) -> str:
    return key(name) or ""


@right("check_key")
def as_a_function(name: str) -> str | None:
    return key(name)


@right("check_key")
def with_sets(name: str) -> str | None:
    while (folded := unicodedata.normalize("NFKC", name).casefold()) != name:
        name = folded
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in name}
    letters = [c for c in name if c not in "_-."]
    good = all(unicodedata.category(c) in KINDS for c in letters)
    pairs = [{"LATIN", "CYRILLIC"}, {"LATIN", "GREEK"}, {"CYRILLIC", "GREEK"}]
    if good and 0 < len(name) < 33 and not any(pair <= scripts for pair in pairs):
        return name
    return None


KINDS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No"}
