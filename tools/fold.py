#!/usr/bin/env python
"""Fold in JupyterLab what the site folds: the code cells with `#| code-fold: true`.

    fold.py [--check] [NOTEBOOK ...]

Of a folded cell JupyterLab shows the first line, so that is its name: `#| code-summary`. GitHub shows a notebook whole, whatever its cells say.
"""

import argparse
import re
import sys
from pathlib import Path

import lean  # noqa: F401
import nbformat

NBS = Path(__file__).resolve().parent.parent / "nbs"
FOLDED = re.compile(r"^#\| *code-fold: *true$", re.M)
NAME = re.compile(r"^#\| *code-summary:.*\n", re.M)


def with_name_first(source: str) -> str:
    name = NAME.search(source)
    if name is None or not FOLDED.search(source):
        return source
    return name[0] + source[: name.start()] + source[name.end() :]


def fold(path: Path, check: bool = False) -> list[str]:
    """Hide the source of the folded cells of a notebook, with their names first, and show
    that of all others.

    Returns the ids of the cells that had it otherwise. Writes nothing if there are none.
    """
    notebook = nbformat.read(path, as_version=4)
    changed = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and with_name_first(cell.source) != cell.source:
            cell.source = with_name_first(cell.source)
            changed.append(cell.id)
        wanted = bool(cell.cell_type == "code" and FOLDED.search(cell.source))
        if wanted != cell.metadata.get("jupyter", {}).get("source_hidden", False):
            changed += [cell.id] if cell.id not in changed else []
            if wanted:
                cell.metadata["jupyter"] = {"source_hidden": True}
            else:
                del cell.metadata["jupyter"]
    if changed and not check:
        nbformat.write(notebook, path)
    return changed


def asked(purpose: str) -> tuple[list[Path], bool]:
    """Which notebooks the command line names, else all; and whether they are only checked."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; say which"
    )
    parser.add_argument("notebook", nargs="*", type=Path)
    arguments = parser.parse_args()
    return arguments.notebook or sorted(NBS.glob("*.ipynb")), arguments.check


def main() -> int:
    paths, check = asked((__doc__ or "").splitlines()[0])
    wrong = 0
    for path in paths:
        changed = fold(path, check)
        wrong += bool(changed)
        if changed:
            print(f"{path.name}: {', '.join(changed)}")
    return bool(check and wrong)


if __name__ == "__main__":
    sys.exit(main())
