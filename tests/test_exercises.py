"""The checks of the exercises: wrong answers of different kinds are refused and told why, right ones pass, however they are written."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest
from exercises import Try, chapters, check_of, checks_of, right_ones_of

pytestmark = pytest.mark.slow

ANSWERS = Path(__file__).with_name("answers")
WRONG, RIGHT = 3, 2  # at least so many for each check


def tries_of(path: Path) -> list[Try]:
    spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("fcntl", "pty", "termios"):
            raise
        return []  # Windows
    return [
        each
        for value in vars(module).values()
        for each in getattr(value, "__dict__", {}).get("tries", ())
    ]


CHAPTERS = {path.stem: tries_of(path) for path in sorted(ANSWERS.glob("*.py"))}
ALL = [(chapter, each) for chapter, tries in CHAPTERS.items() for each in tries]


@pytest.mark.parametrize(
    "chapter, each",
    [
        pytest.param(
            *pair,
            id="-".join([pair[0], pair[1].check, pair[1].answer.__name__]),
            marks=[pytest.mark.slow(seconds=pair[1].seconds)] * (pair[1].seconds >= 1),
        )
        for pair in ALL
    ],
)
def test_an_answer_is_judged_rightly(chapter: str, each: Try) -> None:
    verdict = str(check_of(chapter, each.check)(each.answer))
    if each.said == "Right.":
        assert verdict == "Right."
    else:
        assert verdict.startswith("Not yet. ") and each.said in verdict


@pytest.mark.slow(seconds=6)
def test_there_are_wrong_and_right_answers_for_each_check() -> None:
    few = []
    for chapter in chapters():
        tries = CHAPTERS.get(chapter, [])
        counts = Counter((each.check, each.said == "Right.") for each in tries)
        few += [
            f"{chapter}: {name}"
            for name in checks_of(chapter)
            if counts[name, False] < WRONG or counts[name, True] < RIGHT
        ]
    assert few == []


@pytest.mark.slow(seconds=6)
def test_each_solution_shows_its_verdict() -> None:
    silent = []
    for chapter in chapters():
        shown = right_ones_of(chapter)
        silent += [
            f"{chapter}: {name}" for name in checks_of(chapter) if name not in shown
        ]
    assert silent == []
