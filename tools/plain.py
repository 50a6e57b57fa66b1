"""Plain Markdown of a notebook, as a reader of the site sees it: for README.md, for the page beside each page, for llms.txt."""

import functools
import re

import lean  # noqa: F401
import nbformat
from nbconvert import MarkdownExporter

NOT_SHOWN = re.compile(
    r"^#\| *(hide|default_exp|export|exporti)\b|^#\| *include: *false", re.M
)
NO_OUTPUT = re.compile(r"^#\| *output: *false", re.M)
KINDS = [
    "image/svg+xml",
    "image/png",
    "text/markdown",
    "text/plain",
]  # which of an output's forms is taken


@functools.cache
def exporter() -> MarkdownExporter:
    """One for all pages: it takes long to make."""
    return MarkdownExporter(display_data_priority=KINDS)


def slugs(text: str) -> str:
    """Links to headings: Jupyter writes `#Exercise-3:-a-limit`, everybody else `#exercise-3-a-limit`."""
    return re.sub(
        r"(?<=\]\()([\w.]*#)([^)\s]+)",
        lambda link: link[1] + re.sub(r"[^\w-]", "", link[2]).lower(),
        text,
    )


def to_markdown(
    notebook: nbformat.NotebookNode, name: str
) -> tuple[str, dict[str, bytes]]:
    """The text, and the pictures that it shows: each lies in the folder `NAME_files`."""
    shown = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            shown.cells.append(cell)
        elif cell.cell_type == "code" and not NOT_SHOWN.search(cell.source):
            outputs = [] if NO_OUTPUT.search(cell.source) else cell.outputs
            shown.cells.append(
                nbformat.v4.new_code_cell(
                    re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M), outputs=outputs
                )
            )
    text, resources = exporter().from_notebook_node(
        shown, {"unique_key": name, "output_files_dir": f"{name}_files"}
    )
    return re.sub(r"\n{3,}", "\n\n", slugs(text)).strip() + "\n", resources["outputs"]
