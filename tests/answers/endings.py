"""Answers to the exercises of the chapter endings."""

from collections.abc import Callable, Iterable

from exercises import right, wrong

from python_tcp.endings import Interruption

Steps = Iterable[Callable[[], object]]


@wrong("check_in_steps", "the steps (interrupted in b)")
def interrupted_anywhere(steps: Steps, interruption: Interruption) -> None:
    for step in steps:
        step()


@wrong("check_in_steps", "the steps (interrupted in b)")
def all_in_one(steps: Steps, interruption: Interruption) -> None:
    with interruption.held():
        for step in steps:
            step()


@wrong("check_in_steps", "the end (interrupted in b)")
def says_nothing(steps: Steps, interruption: Interruption) -> None:
    try:
        in_steps(steps, interruption)
    except KeyboardInterrupt:
        pass


@wrong("check_in_steps", "the steps that were asked for (interrupted in b)")
def makes_all_first(steps: Steps, interruption: Interruption) -> None:
    in_steps(list(steps), interruption)


@right("check_in_steps")
def in_steps(steps: Steps, interruption: Interruption) -> None:
    for step in steps:
        with interruption.held():
            step()


@right("check_in_steps")
def with_an_iterator(steps: Steps, interruption: Interruption) -> None:
    waiting = iter(steps)
    while (step := next(waiting, None)) is not None:
        with interruption.held():
            step()
