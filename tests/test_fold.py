"""Folded cells in JupyterLab: which they are, and what one sees of them."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow(seconds=7)
def test_a_folded_cell_shows_its_name(tmp_path: Path) -> None:
    """JupyterLab shows the first line of a folded cell: "The check" is found by its name."""
    path = tmp_path / "chapter.ipynb"
    sources = [
        '#| code-fold: true\n#| code-summary: "The check"\n@check\ndef f(): ...',
        '#| code-summary: "A solution"\n#| code-fold: true\nanswer = 1',
        "#| exports\nvisible = 2",
    ]
    nbformat.write(new_notebook(cells=[*map(new_code_cell, sources)]), path)
    command = [sys.executable, ROOT / "tools" / "fold.py", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
    first, *others = nbformat.read(path, as_version=4).cells
    assert first.source == (
        '#| code-summary: "The check"\n#| code-fold: true\n@check\ndef f(): ...'
    )
    assert [cell.source for cell in others] == sources[1:]
    cells = [first, *others]
    assert [bool(cell.metadata.get("jupyter")) for cell in cells] == [True, True, False]
    assert subprocess.run([*command, "--check"], timeout=60).returncode == 0
