"""The first cell of a notebook installs the package where it is missing, and does nothing where it is there."""

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
PARSER = configparser.ConfigParser()
PARSER.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = PARSER["DEFAULT"]


def first_cell(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools" / "first_cell.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow(seconds=4)
def test_each_notebook_can_install_what_it_needs() -> None:
    assert first_cell("--check").returncode == 0, "run: make export"


@pytest.mark.slow(seconds=2)
def test_a_cell_that_is_missing_or_in_another_place_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "000_core.ipynb"
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    title, install, *rest = notebook.cells
    assert title.source.startswith("# ") and "python_tcp[all]" in install.source
    for cells in ([title, *rest], [title, *rest, install]):
        notebook.cells = cells
        nbformat.write(notebook, path)
        done = first_cell("--check", path)
        assert (done.returncode, done.stdout) == (1, "000_core.ipynb\n")
        assert first_cell(path).returncode == 0
        now = nbformat.read(path, as_version=4).cells
        assert now[1].source == install.source and len(now) == len(rest) + 2
        assert now[1].metadata == install.metadata


@pytest.mark.parametrize("is_copy", [True, False])
def test_what_the_first_cell_installs(
    is_copy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This copy of the repository where there is one, else what is published. Nothing where the package is there."""
    cells = nbformat.read(NOTEBOOKS[0], as_version=4).cells
    typed = []
    shell = SimpleNamespace(
        run_line_magic=lambda name, line: typed.append((name, line))
    )
    names = {"get_ipython": lambda: shell}
    (tmp_path / "nbs").mkdir()
    monkeypatch.chdir(tmp_path / "nbs")
    if is_copy:
        (tmp_path / "setup.py").touch()
    exec(cells[1].source, names)
    assert typed == []
    monkeypatch.setitem(sys.modules, "python_tcp", None)  # as if it were missing
    exec(cells[1].source, names)
    [(magic, line)] = typed
    install, quiet, package, *others = shlex.split(line)
    assert (magic, install, quiet) == ("pip", "install", "-q")
    url = SETTINGS["git_url"]
    assert package == ("..[all]" if is_copy else f"python_tcp[all] @ git+{url}")
    assert [re.split(r"\W", other)[0] for other in others] == ["fastcore"]
