"""Answers to the exercises of the chapter shared_rooms."""

from typing import Any

from exercises import right, wrong

Told = list[tuple[Any, ...]]


@wrong("check_told", "the first client is lost")
def forgetting_the_lost(events: list[Any]) -> Told:
    waiting, found = list[Any](), Told()
    for kind, *more in events:
        if kind == "ask":
            waiting.append(more)
        elif kind == "answer":
            found.append((*waiting.pop(0), *more))
        else:
            waiting = [
                each for each in waiting if kind == "lost" and each[0] != more[0]
            ]
    return found


@wrong("check_told", "the first client is lost")
def telling_the_lost(events: list[Any]) -> Told:
    waiting, found = list[Any](), Told()
    for kind, *more in events:
        if kind == "ask":
            waiting.append(more)
        elif kind == "answer":
            found.append((*waiting.pop(0), *more))
        elif kind == "anew":
            waiting = []
    return found


@wrong("check_told", "a node that begins anew")
def keeping_old_questions(events: list[Any]) -> Told:
    waiting, lost, found = list[Any](), set[int](), Told()
    for kind, *more in events:
        if kind == "ask":
            waiting.append(more)
        elif kind == "lost":
            lost.update(more)
        elif kind == "answer":
            client, question = waiting.pop(0)
            found += [(client, question, *more)] * (client not in lost)
    return found


@wrong("check_told", "two answers in a row")
def the_newest_question(events: list[Any]) -> Told:
    waiting, lost, found = list[Any](), set[int](), Told()
    for kind, *more in events:
        if kind == "ask":
            waiting.append(more)
        elif kind == "lost":
            lost.update(more)
        elif kind == "anew":
            waiting = []
        else:
            client, question = waiting.pop()
            found += [(client, question, *more)] * (client not in lost)
    return found


@wrong("check_told", "it is lost after its answer")
def silent_about_the_lost(events: list[Any]) -> Told:
    lost = {more[0] for kind, *more in events if kind == "lost"}
    return [each for each in with_a_queue(events) if each[0] not in lost]


@right("check_told")
def with_a_queue(events: list[Any]) -> Told:
    waiting, lost, found = list[Any](), set[int](), Told()
    for kind, *more in events:
        if kind == "ask":
            waiting.append(more)
        elif kind == "lost":
            lost.update(more)
        elif kind == "anew":
            waiting = []
        else:
            client, question = waiting.pop(0)
            found += [(client, question, *more)] * (client not in lost)
    return found


@right("check_told")
def with_crossed_out_questions(events: list[Any]) -> Told:
    asked, next_one, found = list[Any](), 0, Told()
    for event in events:
        match event:
            case ("ask", client, question):
                asked.append((client, question))
            case ("lost", client):
                asked = [None if each and each[0] == client else each for each in asked]
            case ("anew",):
                next_one = len(asked)
            case ("answer", text):
                if asked[next_one] is not None:
                    found.append((*asked[next_one], text))
                next_one += 1
    return found
