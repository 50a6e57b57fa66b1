"""The reference pages: one for each module, made from its docstrings and signatures. `tools/site.py` puts them beside the chapters."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import lean  # noqa: F401
import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook

PACKAGE = "python_tcp"
MOST_LINES = 8  # of a constant's value


def pages(tree: Path, repository: str) -> dict[str, nbformat.NotebookNode]:
    """File name -> page, in the order of the chapters. `repository` is the address before the path of a file."""
    chapters = {
        path: nbformat.read(path, as_version=4)
        for path in sorted(tree.glob("nbs/*.ipynb"))
    }
    modules = (
        (module_of(chapter), path, chapter) for path, chapter in chapters.items()
    )
    return {
        f"api_{name}.ipynb": page(tree, name, path.name, chapter, repository)
        for name, path, chapter in modules
        if name
    }


def module_of(notebook: nbformat.NotebookNode) -> str | None:
    """The name of the module that a notebook exports."""
    found = (
        re.match(r"#\| *default_exp +(\w+)", cell.source) for cell in notebook.cells
    )
    return next((match[1] for match in found if match), None)


def page(
    tree: Path, name: str, address: str, chapter: nbformat.NotebookNode, repository: str
) -> nbformat.NotebookNode:
    """The page of the module `name`, which the chapter exports."""
    file = f"{PACKAGE}/{name}.py"
    title = chapter.cells[0].source.partition("\n")[0].lstrip("# ")
    cells = [
        f"# {PACKAGE}.{name}\n\n> Reference: every public name, with its signature and what it promises.",
        f"The chapter [{title}]({address}) builds this module piece by piece. Source: [{file}]({repository}{file}).",
        *entries(
            (tree / file).read_text(encoding="utf-8"), address, f"{repository}{file}"
        ),
    ]
    return new_notebook(
        cells=[
            new_markdown_cell(cell, id=f"reference-{number}")
            for number, cell in enumerate(cells)
        ]
    )


def entries(source: str, chapter: str, address: str) -> Iterator[str]:
    """What is said of each public name of a module, in the order of the source."""
    lines, body = source.splitlines(), ast.parse(source).body
    public = next(
        (
            ast.literal_eval(node.value)
            for node in body
            if names_of(node) == ["__all__"]
        ),
        [],
    )
    yield from offered_again(body, public)
    for node in body:
        for name in set(names_of(node)) & set(public):
            where = (
                f"[in the chapter]({chapter}#api.{name}) · "
                if not isinstance(node, ast.Assign | ast.AnnAssign)
                else ""
            )
            yield entry(
                f"## {name}",
                declaration(node, lines),
                node,
                f"{where}[source, line {node.lineno}]({address}#L{node.lineno})",
            )
            for method in (
                getattr(node, "body", []) if isinstance(node, ast.ClassDef) else []
            ):
                if isinstance(
                    method, ast.FunctionDef | ast.AsyncFunctionDef
                ) and not method.name.startswith("_"):
                    yield entry(
                        f"### {name}.{method.name}", declaration(method, lines), method
                    )


def offered_again(body: list[ast.stmt], public: list[str]) -> Iterator[str]:
    """For each other module a line with the names that this one has from it and offers again."""
    found: dict[str, list[str]] = {}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            names = [alias.asname or alias.name for alias in node.names]
            found.setdefault(node.module, []).extend(
                f"`{name}`" for name in names if name in public
            )
    for module, names in found.items():
        if names:
            where = f"[{PACKAGE}.{module}](api_{module}.ipynb)"
            yield f"Offered again, from {where}: {', '.join(names)}"


def names_of(node: ast.stmt) -> list[str]:
    """The names that a statement gives a value."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    return (
        [node.name]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        else []
    )


def entry(heading: str, code: str, node: ast.stmt, links: str = "") -> str:
    documented = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    text = ast.get_docstring(node) if documented else None
    return "\n\n".join(
        part for part in (heading, f"```python\n{code}\n```", text, links) if part
    )


def declaration(node: ast.stmt, lines: list[str]) -> str:
    """What a reader must know to use it, as it stands in the source: no docstring, no body."""
    if isinstance(node, ast.ClassDef):
        fields = [line for part in node.body for line in field_lines(part, lines)]
        made = [
            line
            for part in node.body
            if names_of(part) == ["__init__"]
            for line in head(part, lines)
        ]
        gap = [""] if fields and made else []
        return textwrap.dedent(
            "\n".join([*head(node, lines), *fields, *gap, *made])
        ).rstrip(":")
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return textwrap.dedent("\n".join(head(node, lines))).rstrip(":")
    value = lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(
        value if len(value) <= MOST_LINES else [*value[: MOST_LINES - 1], "    ..."]
    )


def head(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]
) -> list[str]:
    """From the first decorator to the colon."""
    first = min(line.lineno for line in (node, *node.decorator_list))
    end = node.body[0].lineno - 1
    if end < node.lineno:  # the body stands on the same line
        return [re.sub(r":\s.*", ":", lines[node.lineno - 1])]
    return [line for line in lines[first - 1 : end] if line.strip()]


def field_lines(part: ast.stmt, lines: list[str]) -> list[str]:
    """A public value in a class. Its methods have entries of their own."""
    public = isinstance(part, ast.Assign | ast.AnnAssign) and not any(
        name.startswith("_") for name in names_of(part)
    )
    return lines[part.lineno - 1 : part.end_lineno] if public else []
