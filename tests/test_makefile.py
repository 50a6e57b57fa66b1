"""The Makefile, with programs that only say what they are called with."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make here")


class Folder:
    """A copy of the Makefile, and programs that write down how they were called."""

    def __init__(self, path: Path, user: int) -> None:
        self.path, self.calls = path, path / "calls"
        self.programs = path / "programs"
        self.programs.mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", path)
        for name in ("settings.ini", "setup.py", "pyproject.toml", "_quarto.yml"):
            (path / name).touch()
        (path / "_docs").mkdir()
        self.program("id", f"echo {user}")
        make = f'mkdir -p .venv/bin; cp "{self.programs}/tool" .venv/bin/python; cp .venv/bin/python .venv/bin/jupyter'
        self.program("tool")
        self.program("python3", f'case "$*" in *venv*) {make};; esac')

    def program(self, name: str, does: str = ":") -> None:
        file = self.programs / name
        file.write_text(f'#!/bin/sh\necho "{name}: $*" >> "{self.calls}"\n{does}\n')
        file.chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        self.calls.write_text("")
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        return subprocess.run(
            ["make", *arguments],
            cwd=self.path,
            env=clean | {"PATH": path, "HOST": "a-variable-of-the-shell"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def said(self) -> str:
        return self.calls.read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "here", user=1000)
    assert folder.make("site").returncode == 0  # .venv is there, and the site
    (folder.path / "_docs" / "index.html").touch()
    return folder


def test_the_first_time_it_says_what_takes_so_long(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "here", user=1000)
    done = folder.make("site")
    assert done.returncode == 0 and "Installing" in done.stdout
    assert "-m venv .venv" in folder.said() and "pip install" in folder.said()
    assert "Installing" not in folder.make("site").stdout
    assert "pip" not in folder.said()


def test_a_folder_that_was_moved_gets_a_new_venv(folder: Folder) -> None:
    """The programs in .venv name the folder in which it was made."""
    new = folder.path.with_name("there")
    folder.path.rename(new)
    folder.path = new
    folder.programs, folder.calls = new / "programs", new / "calls"
    for file in folder.programs.iterdir():
        file.write_text(file.read_text().replace("/here/", "/there/"))
    done = folder.make("test", "ARGS=-k x")
    assert done.returncode == 0 and "here before: .venv is made anew" in done.stdout
    assert "-m venv --clear .venv" in folder.said()
    assert "anew" not in folder.make("test", "ARGS=-k x").stdout


def test_the_book_is_served_from_the_top_so_that_links_out_of_nbs_work(
    folder: Folder,
) -> None:
    done = folder.make("book", "ARGS=--port=0")
    assert done.returncode == 0, done.stderr
    assert "lab --notebook-dir=. --port=0 nbs/index.ipynb" in folder.said()


def test_root_is_told_how_to_start_jupyterlab(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "here", user=0)
    done = folder.make("book")
    assert done.returncode != 0 and "lab" not in folder.said()
    assert "make book ARGS=--allow-root" in done.stderr
    assert folder.make("book", "ARGS=--allow-root").returncode == 0
    assert "lab --notebook-dir=. --allow-root nbs/index.ipynb" in folder.said()


def test_only_a_host_that_was_typed_counts(folder: Folder) -> None:
    """Some shells have a variable HOST."""
    folder.make("run")
    assert "tools/run.py" in folder.said() and "--host" not in folder.said()
    folder.make("run", "HOST=0.0.0.0", "ARGS=--chat-port 0")
    assert "tools/run.py --host 0.0.0.0 --chat-port 0" in folder.said()
