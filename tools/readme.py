"""Writes README.md from nbs/index.ipynb: `python tools/readme.py`, or with --check says whether it is up to date."""

import re
import sys
from pathlib import Path

import lean  # noqa: F401
import nbformat
from plain import to_markdown

ROOT = Path(__file__).resolve().parent.parent


def render(notebook: Path) -> str:
    """The text of the README: the notebook without its hidden cells, its links seen from the folder above."""
    text, _ = to_markdown(nbformat.read(notebook, as_version=4), notebook.stem)
    text = re.sub(r"\]\((?![a-z]+:|#|/|\.\./)", "](nbs/", text)
    return text.replace("](../", "](")


def main() -> int:
    readme, text = ROOT / "README.md", render(ROOT / "nbs" / "index.ipynb")
    if "--check" not in sys.argv:
        readme.write_text(text, encoding="utf-8")
    elif readme.read_text(encoding="utf-8") != text:
        print(
            "README.md differs from nbs/index.ipynb; run: make readme", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
