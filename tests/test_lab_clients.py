"""The stages for clients: a good one passes on pipes and on a terminal, each bad one fails at the test that is meant for it."""

import os
import sys

import nbformat
import pytest
from sockets import nothing_left_over  # noqa: F401
from test_lab import lab
from test_lab_stages import FIRE

from python_tcp.lab import run_stages
from python_tcp.lab_clients import client_stages, no_server

pytestmark = [
    pytest.mark.slow,  # it starts programs
    pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX"),
]
CHAPTER = FIRE.with_name("139_lab_clients.ipynb")


def program(name: str) -> str:
    """A client of the chapter."""
    [cell] = [
        cell.source
        for cell in nbformat.read(CHAPTER, as_version=4).cells
        if cell.source.startswith(f"{name} = ")
    ]
    names: dict = {}
    exec(cell.partition("\nstage = ")[0], names)
    return names[name]


GOOD, TURNS = program("GOOD"), program("TURNS")


def failed(code: str, stage: str, limit: float) -> set[str]:
    stages = client_stages([sys.executable, "-c", code, "{host}", "{port}"])
    [wanted] = [each for each in stages if each.name == stage]
    results = run_stages([wanted], no_server, limit=limit)
    assert len(results) == 9
    return {it.test.name for it in results if it.outcome == "failed"}


@pytest.mark.parametrize("stage", ["client", "terminal"])
def test_a_good_client_passes(nothing_left_over: None, stage: str) -> None:
    assert failed(GOOD, stage, 10) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "tests"),
    [
        ('.encode())', '.strip().encode())', {"typed", "while-typing", "no-answer", "end-of-input"}),
        ('os._exit(0)', 'pass', {"server-closes"}),
        ('*lines, buffer = (buffer + data).split(b"\\n")', "lines = [data]", {"pieces"}),
        ('sys.exit(f"can\'t connect: {error}")', "raise", {"nobody"}),
        ('sys.exit(f"can\'t connect: {error}")', "sys.exit(1)", {"nobody"}),
        ('sys.exit(f"can\'t connect: {error}")', "print(error); sys.exit(0)", {"nobody"}),
        ("threading.Thread(", "import atexit, signal, time\nsignal.signal(2, signal.SIG_IGN)\natexit.register(time.sleep, 60)\nthreading.Thread(",
         {"no-answer", "end-of-input", "ctrl-c"}),
    ],
    ids="no-newline stays chunks traceback mute zero sleeps".split(),
)  # fmt: skip
def test_a_bad_client_fails_where_it_should(
    nothing_left_over: None, old: str, new: str, tests: set[str]
) -> None:
    assert GOOD.count(old) == 1
    assert failed(GOOD.replace(old, new), "client", 1.5) == tests


def test_a_client_that_waits_for_answers() -> None:
    assert {"shown", "while-typing", "no-answer"} <= failed(TURNS, "terminal", 0.5)


def test_a_client_that_never_connects() -> None:
    [test, *_] = client_stages([sys.executable, "-c", "input()"])[0].tests
    stage = client_stages(["x"])[0]
    stage.tests = [test]
    [result] = run_stages([stage], no_server)
    assert result.complaint == "it has not connected within 5 s."


def test_from_the_command_line() -> None:
    command = ["--", sys.executable, "-c", GOOD, "{host}", "{port}"]
    done = lab("run", "client", "--limit", 10, *command)
    assert done.returncode == 0, done.stdout
    assert "9 of 9 passed" in done.stdout
    done = lab("run", "client", "--limit", 0.5, "--", "/no/such/program")
    assert done.returncode == 1
    assert "The lab can't start '/no/such/program'" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["run", "client", "echo", "--", "x"], "client can't go with others"),
        (["run", "terminal"], "terminal needs -- and a command"),
        (["run", "client", "--at", "h:1"], "client needs -- and a command"),
        (["class", ".", "client", "--", "x"], "client is not for servers"),
        (["run", "fire", "--", "x"], "fire needs --language: echo, lines"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list, why: str) -> None:
    done = lab(*arguments)
    assert done.returncode == 2
    assert why in done.stderr and len(done.stderr.splitlines()) == 1
