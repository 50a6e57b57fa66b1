"""Answers to the exercises of the chapter redis_wire."""

import re

from exercises import right, wrong

Answers = dict[str, str | int]


@wrong("check_answered", "two at once")
def only_texts(questions: list[str], data: bytes) -> Answers:
    lines = data.decode().split("\r\n")
    return {name: line[1:] for name, line in zip(questions, lines) if line}


@wrong("check_answered", "the second is not complete")
def by_lines_of_python(questions: list[str], data: bytes) -> Answers:
    found: Answers = {}
    for name, line in zip(questions, data.decode().splitlines()):
        if line.startswith("-"):
            break
        found[name] = int(line[1:]) if line[0] == ":" else line[1:]
    return found


@wrong("check_answered", "an error")
def an_error_is_an_answer(questions: list[str], data: bytes) -> Answers:
    *lines, _ = data.decode().split("\r\n")
    if len(lines) > len(questions):
        raise ValueError("nobody has asked")
    values = [int(line[1:]) if line[0] == ":" else line[1:] for line in lines]
    return dict(zip(questions, values))


@wrong("check_answered", "a text that looks like a number")
def a_number_is_what_looks_like_one(questions: list[str], data: bytes) -> Answers:
    found: Answers = {}
    *lines, _ = data.decode().split("\r\n")
    for name, line in zip(questions, lines):
        if line.startswith("-"):
            break
        text = line[1:]
        found[name] = int(text) if re.fullmatch(r"-?\d+", text) else text
    return found


@wrong("check_answered", "an answer that nobody has asked for")
def what_nobody_asked_is_dropped(questions: list[str], data: bytes) -> Answers:
    found: Answers = {}
    *lines, _ = data.decode().split("\r\n")
    for name, line in zip(questions, lines):
        if line.startswith("-"):
            break
        found[name] = int(line[1:]) if line[0] == ":" else line[1:]
    return found


@right("check_answered")
def with_a_queue(questions: list[str], data: bytes) -> Answers:
    found: Answers = {}
    waiting = list(questions)
    while b"\r\n" in data:
        line, _, data = data.partition(b"\r\n")
        kind, text = line[:1], line[1:].decode()
        if kind == b"-":
            break
        if not waiting:
            raise ValueError("an answer without a question")
        found[waiting.pop(0)] = int(text) if kind == b":" else text
    return found


@right("check_answered")
def with_a_pattern(questions: list[str], data: bytes) -> Answers:
    found: Answers = {}
    answers = re.findall(rb"([+:-])(.*?)\r\n", data)
    for number, (kind, text) in enumerate(answers):
        if kind == b"-":
            break
        if number == len(questions):
            raise ValueError("too many answers")
        value = text.decode()
        found[questions[number]] = int(value) if kind == b":" else value
    return found
