"""What several test files share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
MADE_BY_TOOLS = shutil.ignore_patterns(
    ".git",
    ".venv",
    "_docs",
    "_proc",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    ".ipynb_checkpoints",
    ".pytest_cache",
    ".hypothesis",
    "results",
)

settings.register_profile("no clock", deadline=None)  # a slow machine is no bug
settings.load_profile("no clock")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the repository, for tests that write into it."""
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=MADE_BY_TOOLS))


@pytest.fixture
def hang_ups_are_heard() -> Iterator[None]:
    """Also where the tests were started with nohup(1)."""
    if not hasattr(signal, "SIGHUP"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a site built where there is no Quarto, and what the build complained of."""
    folder = tmp_path_factory.mktemp("site")
    path = os.pathsep.join(
        part
        for part in os.environ["PATH"].split(os.pathsep)
        if not Path(part, "quarto").exists()
    )
    command = [sys.executable, ROOT / "tools" / "site.py", "--output", folder]
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stderr
