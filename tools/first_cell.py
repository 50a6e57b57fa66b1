#!/usr/bin/env python
"""Gives each notebook its first code cell, which installs the package where it is missing.

    first_cell.py [--check] [NOTEBOOK ...]

So a notebook runs in Colab, or with the Python that an editor has chosen. Where the package
is there, the cell does nothing. The site does not show it, and JupyterLab folds it.
"""

import ast
import configparser
import re
import sys
from pathlib import Path

import lean  # noqa: F401
import nbformat
from fold import asked
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
# No import statement: nbdev would run the cell for the site, and warn of the other code in it.
MARK = "#| code-summary: Install the package where it is missing"
CELL = f"""{MARK}
#| hide
#| code-fold: true
try:
    __import__("python_tcp")
except ModuleNotFoundError:
    package = "..[all]"
    if not __import__("os").path.exists("../setup.py"):  # no copy of the repository
        package = "python_tcp[all] @ git+{{url}}"
    others = {{others}}
    get_ipython().run_line_magic("pip", f'install -q "{{{{package}}}}" {{{{others}}}}')"""


def settings() -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


def name_of(requirement: str) -> str:
    """The name of the distribution that a requirement asks for."""
    return re.split(r"[^\w-]", requirement)[0]


def imported(notebook: NotebookNode) -> set[str]:
    """The packages that a notebook imports, apart from the standard library."""
    names: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.source.startswith("%"):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                names |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names


def first_cell(packages: set[str]) -> str:
    """The source of the cell, for a notebook that imports `packages`."""
    known = settings()
    wanted = known["dev_requirements"].split()
    others = [each for each in wanted if name_of(each) in packages]
    of_ours = {
        name_of(each)
        for key in known
        if key.endswith("requirements") and key != "dev_requirements"
        for each in known[key].split()
    }
    quoted = [f'"{each}"' for each in others if name_of(each) not in of_ours]
    text = " ".join(quoted)
    return CELL.format(url=known["git_url"], others=f"'{text}'" if text else '""')


def give(path: Path, check: bool = False) -> bool:
    """Write the cell below the title. Was it missing, or another one?

    With `check`, nothing is written.
    """
    notebook = nbformat.read(path, as_version=4)
    rest = [cell for cell in notebook.cells if MARK not in cell.source]
    packages = imported(nbformat.v4.new_notebook(cells=rest))
    have = [cell for cell in notebook.cells if MARK in cell.source]
    if not packages:
        wanted = []
    elif have:
        wanted = [NotebookNode(have[0], source=first_cell(packages))]
    else:
        wanted = [nbformat.v4.new_code_cell(first_cell(packages), id="install")]
        wanted[0].metadata["jupyter"] = {"source_hidden": True}
    cells = [*rest[:1], *wanted, *rest[1:]]
    changed = cells != notebook.cells
    if changed and not check:
        notebook.cells = cells
        nbformat.write(notebook, path)
    return changed


def main() -> int:
    paths, check = asked((__doc__ or "").splitlines()[0])
    changed = [path.name for path in paths if give(path, check)]
    if changed:
        print("\n".join(changed))
    return bool(check and changed)


if __name__ == "__main__":
    sys.exit(main())
