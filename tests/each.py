"""One test for many values: a thousand small ones take longer to begin and to report than to run."""

from collections.abc import Callable, Iterable
from typing import Any


def for_each(values: Iterable[Any]) -> Callable[[Callable], Callable[[], None]]:
    """The decorated test is run with every value. It tells of all with which it fails."""
    every = list(values)
    assert every, "a test without a value can not fail"

    def decorate(test: Callable[[Any], None]) -> Callable[[], None]:
        def run() -> None:
            failures = []
            for value in every:
                try:
                    test(value)
                except Exception as error:
                    failures.append(f"{value}: {type(error).__name__}: {error}")
            if failures:
                raise AssertionError("\n".join(failures))

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate
