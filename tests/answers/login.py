"""Answers to the exercises of the chapter login."""

from collections.abc import Callable

from exercises import right, wrong

Show = Callable[[str, str], object]
Heard = Callable[[str], object]


@wrong("check_tries", "an old try under the same name")
class OneNote:
    def __init__(self, show: Show) -> None:
        self.show, self.given_up = show, False

    def begin(self, name: str) -> Heard:
        self.given_up = False
        return lambda event: None if self.given_up else self.show(name, event)

    def give_up(self) -> None:
        self.given_up = True


@wrong("check_tries", "an old try under the same name")
class ByName:
    def __init__(self, show: Show) -> None:
        self.show, self.name = show, ""

    def begin(self, name: str) -> Heard:
        self.name = name
        return lambda event: self.show(name, event) if self.name == name else None

    def give_up(self) -> None:
        self.name = ""


@wrong("check_tries", "another object begins a try")
class OneForAll:
    newest = 0

    def __init__(self, show: Show) -> None:
        self.show = show

    def begin(self, name: str) -> Heard:
        OneForAll.newest += 1
        number = OneForAll.newest
        return lambda event: (
            self.show(name, event) if number == OneForAll.newest else None
        )

    def give_up(self) -> None:
        OneForAll.newest += 1


@wrong("check_tries", "after give_up")
class NeverGivenUp:
    def __init__(self, show: Show) -> None:
        self.show, self.newest = show, 0

    def begin(self, name: str) -> Heard:
        self.newest += 1
        number = self.newest
        return lambda event: self.show(name, event) if number == self.newest else None

    def give_up(self) -> None:
        """The next one will count."""


@wrong("check_tries", "a try after give_up")
class GivenUpForEver:
    def __init__(self, show: Show) -> None:
        self.show, self.newest, self.is_over = show, 0, False

    def begin(self, name: str) -> Heard:
        self.newest += 1
        number = self.newest

        def heard(event: str) -> None:
            if number == self.newest and not self.is_over:
                self.show(name, event)

        return heard

    def give_up(self) -> None:
        self.is_over = True


@right("check_tries")
class WithNumbers:
    def __init__(self, show: Show) -> None:
        self._show, self._newest = show, 0

    def begin(self, name: str) -> Heard:
        self._newest += 1
        number = self._newest

        def heard(event: str) -> None:
            if number == self._newest:
                self._show(name, event)

        return heard

    def give_up(self) -> None:
        self._newest += 1


class _Try:
    def __init__(self, name: str, show: Show) -> None:
        self.name, self.show, self.given_up = name, show, False

    def heard(self, event: str) -> None:
        if not self.given_up:
            self.show(self.name, event)


@right("check_tries")
class WithObjects:
    def __init__(self, show: Show) -> None:
        self._show = show
        self._current: _Try | None = None

    def begin(self, name: str) -> Heard:
        self.give_up()
        self._current = _Try(name, self._show)
        return self._current.heard

    def give_up(self) -> None:
        if self._current is not None:
            self._current.given_up = True
            self._current = None
