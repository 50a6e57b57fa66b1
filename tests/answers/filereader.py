"""Answers to the exercises of the chapter filereader."""

from collections.abc import Callable, Generator
from itertools import takewhile
from typing import Any

from exercises import right, wrong

Texts = Generator[str, None, None]


@wrong("check_fit", "most=35: whether it is closed: expected True, but got False")
def without_closing(texts: Texts, most: int) -> list[str]:
    found: list[str] = []
    for text in texts:
        if sum(map(len, found)) + len(text) > most:
            break
        found.append(text)
    return found


@wrong("check_fit", "most=35: texts that were read: expected 4, but got 1000")
def reads_all(texts: Texts, most: int) -> list[str]:
    found = list(texts)
    while sum(map(len, found)) > most:
        found.pop()
    return found


@wrong("check_fit", "most=35: the length of the list: expected 3, but got 4")
def one_too_many(texts: Texts, most: int) -> list[str]:
    found: list[str] = []
    for text in texts:
        found.append(text)
        if sum(map(len, found)) > most:
            break
    texts.close()
    return found


@wrong(
    "check_fit",
    "exception ended it, in line `found.append(next(texts))`: StopIteration",
)
def never_the_end(texts: Texts, most: int) -> list[str]:
    found: list[str] = []
    while sum(map(len, found)) <= most:
        found.append(next(texts))
    texts.close()
    return found[:-1]


@wrong("check_fit", "the length of the list: expected 3, but got 30")
def one_text(texts: Texts, most: int) -> str:
    return "".join(with_takewhile(texts, most))


@right("check_fit")
def with_takewhile(texts: Texts, most: int) -> list[str]:
    size = 0

    def fits(text: str) -> bool:
        nonlocal size
        size += len(text)
        return size <= most

    try:
        return list(takewhile(fits, texts))
    finally:
        texts.close()


@right("check_fit")
def with_next(texts: Texts, most: int) -> list[str]:
    found: list[str] = []
    while (text := next(texts, None)) is not None and len(text) <= most:
        most -= len(text)
        found.append(text)
    texts.close()
    return found


Look = Callable[[Any], Any]
Rule = Callable[[Look], Any]


class Missing(Exception):
    pass


@wrong("check_outcome", "Looked up while the rule was running: expected []")
def with_a_memory(rule: Rule, look: Look) -> Any:
    known: dict[Any, Any] = {}

    def ask(question: Any) -> Any:
        if question not in known:
            known[question] = look(question)
        return known[question]

    return rule(ask)


@wrong("check_outcome", "exception ended it, in")
def one_question_only(rule: Rule, look: Look) -> Any:
    questions: list[Any] = []

    def ask(question: Any) -> None:
        questions.append(question)
        raise Missing

    try:
        return rule(ask)
    except Missing:
        answer = look(questions[0])
        return rule(
            lambda question: answer if question == questions[0] else ask(question)
        )


@wrong("check_outcome", "The outcome: expected (12, 6), but got (3, 3)")
def the_question_itself(rule: Rule, look: Look) -> Any:
    """It looks up what the right one looks up, and forgets what it found."""
    result = recursively(rule, look)
    return rule(lambda question: 3) if result != "nothing" else result


@wrong("check_outcome", "Looked up, all in all: expected [3, 6], but got [3, 3, 6")
def each_time_again(rule: Rule, look: Look) -> Any:
    """After an answer it asks anew for what it knew before."""
    questions: list[Any] = []

    def ask(question: Any) -> Any:
        if question not in known:
            raise Missing(question)
        return known[question]

    while True:
        known = {question: look(question) for question in questions}
        try:
            return rule(ask)
        except Missing as missing:
            questions += missing.args


@wrong("check_outcome", "No question: the outcome: expected 'nothing', but got None")
def returns_nothing(rule: Rule, look: Look) -> None:
    recursively(rule, look)


@right("check_outcome")
def recursively(rule: Rule, look: Look, known: dict[Any, Any] | None = None) -> Any:
    known = known or {}

    def ask(question: Any) -> Any:
        try:
            return known[question]
        except KeyError:
            raise Missing(question) from None

    try:
        return rule(ask)
    except Missing as missing:
        (question,) = missing.args
        return recursively(rule, look, known | {question: look(question)})


@right("check_outcome")
class Outcome:
    """A class that gives its result when it is called."""

    def __new__(cls, rule: Rule, look: Look) -> Any:
        self = super().__new__(cls)
        self.known: list[tuple[Any, Any]] = []  # type: ignore[misc]
        while True:
            try:
                return rule(self.ask)
            except LookupError as error:
                self.known.append((error.args[0], look(error.args[0])))

    def ask(self, question: Any) -> Any:
        for asked, answer in self.known:  # type: ignore[has-type]
            if asked == question:
                return answer
        raise LookupError(question)
