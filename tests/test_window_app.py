"""The command `chat_window`, where there can be no window: one line, and no traceback."""

import os
import subprocess
import sys

import pytest

from python_tcp.window_app import NO_TK

pytestmark = pytest.mark.slow  # it starts programs

COMMAND = "from python_tcp.window_app import start_window as main; sys.exit(main())"


def run(*arguments: str, before: str = "", **environment: str) -> tuple[int, str, str]:
    code = f"import sys{before}; {COMMAND}"
    known = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, env=known | environment, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_without_tk_it_says_how_to_get_it() -> None:
    before = "; sys.modules['tkinter'] = None"
    assert run(before=before) == (2, "", f"chat_window: {NO_TK}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="it has a screen without DISPLAY")
def test_without_a_screen_it_says_so() -> None:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    for environment in ({}, {"DISPLAY": ":99999"}):
        status, out, said = run(**environment)
        assert (status, out) == (2, "")
        assert said.startswith("chat_window: there is no screen for a window: ")
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["h", "port"], "port"),
        (["--tls-pin", "12"], "SHA-256"),
        (["--tls-ca", "/nonexistent"], "/nonexistent"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], said: str) -> None:
    status, out, error = run(*arguments)
    assert (status, out) == (2, "") and said in error
    assert error.startswith("chat_window: ") and error.count("\n") == 1


def test_help_needs_neither() -> None:
    before = "; sys.modules['tkinter'] = None"
    status, out, error = run("--help", before=before)
    assert (status, error) == (0, "") and "--dark" in out
