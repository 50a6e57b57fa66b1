"""Answers to the exercises of the chapter hidden_input."""

import termios
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from exercises import right, wrong

Call = Callable[[], Any]


def _set(fd: int, echo: bool) -> None:
    settings = termios.tcgetattr(fd)
    settings[3] = settings[3] | termios.ECHO if echo else settings[3] & ~termios.ECHO
    termios.tcsetattr(fd, termios.TCSANOW, settings)


@wrong("check_quietly", "the echo after a Ctrl-C in the call")
def off_and_on(fd: int, call: Call) -> object:
    _set(fd, False)
    result = call()
    _set(fd, True)
    return result


@wrong("check_quietly", "the echo between an inner call and the end")
def always_on_again(fd: int, call: Call) -> object:
    _set(fd, False)
    try:
        return call()
    finally:
        _set(fd, True)


@wrong("check_quietly", "the echo after it")
def only_off(fd: int, call: Call) -> object:
    _set(fd, False)
    return call()


@wrong("check_quietly", "the echo in the call")
def nothing_at_all(fd: int, call: Call) -> object:
    return call()


@right("check_quietly")
def with_finally(fd: int, call: Call) -> object:
    before = termios.tcgetattr(fd)
    try:
        _set(fd, False)
        return call()
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def _quiet(fd: int):
    was_on = bool(termios.tcgetattr(fd)[3] & termios.ECHO)
    _set(fd, False)
    try:
        yield
    finally:
        _set(fd, was_on)


@right("check_quietly")
def with_a_context(fd: int, call: Call) -> object:
    with _quiet(fd):
        return call()
