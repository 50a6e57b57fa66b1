"""What a chapter defines and does not export: the programs that it breaks, taken from its text."""

import ast
from importlib import import_module
from pathlib import Path

import nbformat

NBS = Path(__file__).resolve().parent.parent / "nbs"


def from_chapter(chapter: str, *names: str) -> list:
    """The functions and classes `names` of a notebook, in the place where it defines them first.

    They see what the chapter's module has, what the chapter imports, and each other.
    """
    cells = [
        cell.source
        for cell in nbformat.read(NBS / f"{chapter}.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    nodes = [
        node
        for cell in cells
        if not cell.startswith("%")
        for node in ast.parse(cell).body
    ]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    defined: dict[str, ast.stmt] = {}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            defined.setdefault(node.name, node)
    namespace = dict(vars(import_module(f"python_tcp.{chapter.partition('_')[2]}")))
    exec(
        compile(ast.Module([*imports, *defined.values()], []), chapter, "exec"),
        namespace,
    )
    return [namespace[name] for name in names]
