"""`python_tcp.terminal` without a terminal.

With one: test_terminal_screen, test_terminal_lost and test_terminal_hostile.
"""

import subprocess
import sys

import pytest

from python_tcp.terminal import on_a_terminal


def test_a_pipe_is_not_a_terminal() -> None:
    assert not on_a_terminal()


@pytest.mark.slow
def test_prompt_toolkit_is_loaded_when_it_is_needed_only() -> None:
    code = "import sys, python_tcp.terminal; print('prompt_toolkit' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"
