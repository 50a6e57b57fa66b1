"""Answers to the exercise of the chapter on the parts of a window."""

from exercises import right, wrong


@right("check_throttle")
class WithATimerThatRepeats:
    def __init__(self, after, call, milliseconds):
        self.after, self.call, self.pause = after, call, milliseconds
        self.asked, self.running = False, False

    def ask(self):
        self.asked = True
        if not self.running:
            self.turn()

    def turn(self):
        self.running = self.asked
        if self.asked:
            self.asked = False
            self.call()
            self.after(self.pause, self.turn)


@right("check_throttle")
def with_a_closure(after, call, milliseconds):
    class Throttle:
        waiting = None  # how often it was asked for since the last call

        def ask(self):
            if self.waiting is not None:
                self.waiting += 1
                return
            self.waiting = 0
            call()
            after(milliseconds, self.over)

        def over(self):
            asked, self.waiting = self.waiting, None
            if asked:
                self.ask()

    return Throttle()


@wrong(
    "check_throttle", "Asked at [0, 10, 20]: called at: expected [0, 100], but got [0]"
)
class Lossy:
    def __init__(self, after, call, milliseconds):
        self.after, self.call, self.pause, self.resting = after, call, milliseconds, 0

    def ask(self):
        if not self.resting:
            self.resting = 1
            self.call()
            self.after(self.pause, lambda: setattr(self, "resting", 0))


@wrong("check_throttle", "but got [0, 100, 100]")
class OnceForEachRequest:
    def __init__(self, after, call, milliseconds):
        self.after, self.call, self.pause, self.waiting = (
            after,
            call,
            milliseconds,
            None,
        )

    def ask(self):
        if self.waiting is None:
            self.waiting = 0
            self.call()
            self.after(self.pause, self.over)
        else:
            self.waiting += 1

    def over(self):
        for _ in range(self.waiting):
            self.call()
        self.waiting = None


@wrong("check_throttle", "Asked at [0]: called at: expected [0], but got [100]")
class AlwaysLater:
    def __init__(self, after, call, milliseconds):
        self.after, self.call, self.pause, self.planned = after, call, milliseconds, 0

    def ask(self):
        if not self.planned:
            self.planned = 1
            self.after(self.pause, self.over)

    def over(self):
        self.planned = 0
        self.call()


@wrong("check_throttle", "Asked at [0, 10, 150, 160]")
class TooSoonAfterALateOne:
    def __init__(self, after, call, milliseconds):
        self.after, self.call, self.pause = after, call, milliseconds
        self.resting = self.asked = False

    def ask(self):
        if self.resting:
            self.asked = True
        else:
            self.resting = True
            self.call()
            self.after(self.pause, self.over)

    def over(self):
        self.resting = False
        if self.asked:
            self.asked = False
            self.call()
