"""Writes README.md from nbs/index.ipynb: `python tools/readme.py`, or with --check says whether it is up to date."""
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = re.compile(r"^#\| *(hide|default_exp|export|exporti)\b|^#\| *include: *false", re.M)


def render(notebook: Path) -> str:
    """The text of the README: the notebook without its hidden cells, its links seen from the folder above."""
    nb = nbformat.read(notebook, as_version=4)
    nb.metadata.language_info = {"name": "python"}
    nb.cells = [cell for cell in nb.cells if cell.cell_type == "markdown" or not HIDDEN.search(cell.source)]
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M)
    text, _ = MarkdownExporter().from_notebook_node(nb)
    text = re.sub(r"\]\((?![a-z]+:|#|/|\.\./)", "](nbs/", text)
    text = text.replace("](../", "](")
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def main() -> int:
    readme, text = ROOT / "README.md", render(ROOT / "nbs" / "index.ipynb")
    if "--check" not in sys.argv:
        readme.write_text(text, encoding="utf-8")
    elif readme.read_text(encoding="utf-8") != text:
        print("README.md differs from nbs/index.ipynb; run: make readme", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
