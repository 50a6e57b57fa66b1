"""Signals that end a program: once, by a `KeyboardInterrupt`, and not in the middle of a held step."""

import re
import signal
import sys
import threading
from pathlib import Path

import pytest
from helpers import LineClient
from screen import SERVER, Terminal
from waiting import LIMIT

from python_tcp.chat_app import run_chat_server, start_client, start_server
from python_tcp.endings import ending_on_signals, without_traceback

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGHUP"), reason="Windows has other signals"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_interrupts_and_the_others_do_nothing(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), ending_on_signals():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)


def test_a_held_step_is_done_before_it_is_interrupted() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), ending_on_signals() as interruption:
        with interruption.held():
            signal.raise_signal(signal.SIGTERM)
            steps.append("held")
        steps.append("after it")
    assert steps == ["held"]


def test_a_second_signal_does_not_wait_for_the_step() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), ending_on_signals() as interruption:
        with interruption.held():
            signal.raise_signal(signal.SIGTERM)
            steps.append("one")
            signal.raise_signal(signal.SIGINT)
            steps.append("two")
    assert steps == ["one"]


def test_an_error_of_the_step_goes_before_its_interruption() -> None:
    with pytest.raises(ZeroDivisionError), ending_on_signals() as interruption:
        with interruption.held():
            signal.raise_signal(signal.SIGINT)
            raise ZeroDivisionError


def test_handlers_are_as_before_afterwards_also_one_that_ignores() -> None:
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    first = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup(1) does
    try:
        before = [signal.getsignal(number) for number in numbers]
        with ending_on_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) not in before
        assert [signal.getsignal(number) for number in numbers] == before
    finally:
        signal.signal(signal.SIGHUP, first)


def test_another_thread_changes_no_handler() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def elsewhere() -> None:
        with ending_on_signals() as interruption, interruption.held():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(LIMIT)
    assert found == [before]


def test_a_server_that_starts_or_reads_its_settings_does_so_to_the_end(
    tmp_path: Path,
) -> None:
    done: list[str] = []

    def step(name: str, number: int) -> None:
        signal.raise_signal(number)
        done.append(name)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        status = run_chat_server(port=0, on_start=lambda _: step("a", signal.SIGTERM))
        assert (status, done) == (0, ["a"])
        status = run_chat_server(
            port=0,
            on_start=lambda _: step("b", signal.SIGHUP),
            on_hang_up=lambda: step("c", signal.SIGINT),
        )
        assert (status, done) == (0, ["a", "b", "c"])
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_more_threads_is_one_line_and_another_fault_is_not_hidden(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @without_traceback
    def command(argv: list[str] | None = None) -> int:
        raise RuntimeError(*argv)

    assert command(["can't start new thread"]) == 1
    assert capsys.readouterr().err.endswith(": can't start new thread\n")
    with pytest.raises(RuntimeError, match="a bug"):
        command(["a bug"])


def test_without_threads_the_commands_say_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    commands = (start_server, "--port=0"), (start_client, "--username=ann")
    for command, argument in commands:
        assert command([argument]) == 1
        output, errors = capsys.readouterr()
        assert output == "" and errors.count("\n") == 1
        assert errors.endswith("can't start new thread\n")


def test_a_log_line_that_a_closed_terminal_never_shows_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits in Python's buffer then: so not with PYTHONUNBUFFERED."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        command = [sys.executable, "-c", SERVER, "--port", "0"]
        with Terminal(*command, columns=200) as terminal:
            terminal.until("at most")
            port = int(re.search(rb":(\d+);", terminal.bytes)[1])
            with LineClient(port) as ann:
                terminal.process.send_signal(signal.SIGSTOP)
                ann.say("join", username="ann")
                terminal.hang_up()
                terminal.process.send_signal(signal.SIGCONT)
                assert terminal.process.wait(LIMIT) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
