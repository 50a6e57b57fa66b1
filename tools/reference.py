"""The reference pages: one for each module, made from its docstrings and signatures. `tools/site.py` puts them beside the chapters."""

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import lean  # noqa: F401
import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook

PACKAGE = "python_tcp"
MOST_LINES = 8  # of a constant's value
COLUMNS = 96  # what stands in one line of a page without being cut
BUILT_IN = "bool|bytearray|bytes|deque|dict|float|frozenset|int|list|set|str|tuple"
# The methods with two underscores that say how an object is used.
SPECIAL = {
    f"__{name}__"
    for name in "init call enter aenter len contains iter aiter anext".split()
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class KnownClass:
    """What is looked up in a class of another module."""

    module: str
    bases: list[str]
    docstrings: dict[str, str | None]  # of its methods


def pages(tree: Path, repository: str) -> dict[str, nbformat.NotebookNode]:
    """File name -> page, in the order of the chapters. `repository` is the address before the path of a file."""
    chapters = {
        path: nbformat.read(path, as_version=4)
        for path in sorted(tree.glob("nbs/*.ipynb"))
    }
    modules = [
        (name, path, chapter)
        for path, chapter in chapters.items()
        if (name := module_of(chapter))
    ]
    known: dict[str, KnownClass] = {}
    for name, _, _ in modules:
        source = (tree / PACKAGE / f"{name}.py").read_text(encoding="utf-8")
        known |= classes_in(name, source)
    return {
        f"api_{name}.ipynb": page(tree, name, path.name, chapter, repository, known)
        for name, path, chapter in modules
    }


def module_of(notebook: nbformat.NotebookNode) -> str | None:
    """The name of the module that a notebook exports."""
    found = (
        re.match(r"#\| *default_exp +(\w+)", cell.source) for cell in notebook.cells
    )
    return next((match[1] for match in found if match), None)


def page(
    tree: Path,
    name: str,
    address: str,
    chapter: nbformat.NotebookNode,
    repository: str,
    known: Mapping[str, KnownClass],
) -> nbformat.NotebookNode:
    """The page of the module `name`, which the chapter exports."""
    file = f"{PACKAGE}/{name}.py"
    title = chapter.cells[0].source.partition("\n")[0].lstrip("# ")
    cells = [
        f"# {PACKAGE}.{name}\n\n> Reference: every public name, with its signature and what it promises.",
        f"The chapter [{title}]({address}) builds this module piece by piece. Source: [{file}]({repository}{file}).",
        *entries(
            (tree / file).read_text(encoding="utf-8"),
            address,
            f"{repository}{file}",
            known,
        ),
    ]
    return new_notebook(
        cells=[
            new_markdown_cell(cell, id=f"reference-{number}")
            for number, cell in enumerate(cells)
        ]
    )


def classes_in(module: str, source: str) -> dict[str, KnownClass]:
    """The classes of a module, by name."""
    return {
        node.name: KnownClass(
            module,
            [ast.unparse(base) for base in node.bases],
            {method.name: ast.get_docstring(method) for method in methods(node)},
        )
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


def entries(
    source: str,
    chapter: str,
    address: str,
    known: Mapping[str, KnownClass] = MappingProxyType({}),
) -> Iterator[str]:
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
    private = shorthands(body, lines)
    yield from offered_again(body, public)
    for node in body:
        for name in [name for name in names_of(node) if name in public]:
            where = (
                f"[in the chapter]({chapter}#api.{name}) · "
                if not isinstance(node, ast.Assign | ast.AnnAssign)
                else ""
            )
            yield entry(
                f"## {name}",
                with_shorthands(declaration(node, lines), private),
                docstring(node),
                f"{where}[source, line {node.lineno}]({address}#L{node.lineno})",
            )
            if isinstance(node, ast.ClassDef):
                yield from method_entries(node, lines, private, known)


def method_entries(
    node: ast.ClassDef,
    lines: list[str],
    private: dict[str, str],
    known: Mapping[str, KnownClass],
) -> Iterator[str]:
    for method in methods(node):
        if not method.name.startswith("_"):
            yield entry(
                f"### {node.name}.{method.name}",
                with_shorthands(declaration(method, lines), private),
                ast.get_docstring(method) or said_elsewhere(node, method.name, known),
            )


def methods(node: ast.stmt) -> list[Function]:
    """The functions in a class."""
    body = node.body if isinstance(node, ast.ClassDef) else []
    return [part for part in body if isinstance(part, Function)]


def docstring(node: ast.stmt) -> str | None:
    """A constant has none."""
    documented = isinstance(node, Function | ast.ClassDef)
    return ast.get_docstring(node) if documented else None


def shorthands(body: list[ast.stmt], lines: list[str]) -> dict[str, str]:
    """The lines that give a value to a private name, such as that of a type, by name."""
    return {
        name: lines[node.lineno - 1]
        for node in body
        if isinstance(node, ast.Assign) and node.lineno == node.end_lineno
        for name in names_of(node)
        if name.startswith("_") and not name.startswith("__")
    }


def with_shorthands(code: str, private: dict[str, str]) -> str:
    """Before a declaration, what the private names in it stand for."""
    used = [
        line
        for name, line in private.items()
        if re.search(rf"(?<![\w.]){name}\b", code)
    ]
    return "\n".join([*used, "", code]) if used else code


def said_elsewhere(
    node: ast.ClassDef, method: str, known: Mapping[str, KnownClass]
) -> str | None:
    """What is said of a method in a class that this one stands for, if nothing is said of it here."""
    for name in models(node, known):
        if text := known[name].docstrings.get(method):
            return f"As in [`{name}`](api_{known[name].module}.ipynb): {text}"
    return None


def models(node: ast.ClassDef, known: Mapping[str, KnownClass]) -> Iterator[str]:
    """The base classes; and of those that the docstring names, the protocols, and what has most of the same methods."""
    bases = [ast.unparse(base) for base in node.bases]
    while bases:
        if (base := bases.pop(0)) in known:
            yield base
            bases += known[base].bases
    own = {method.name for method in methods(node) if not method.name.startswith("_")}
    for name in re.findall(r"`(\w+)`", docstring(node) or ""):
        if name in known and name != node.name:
            same = own & known[name].docstrings.keys()
            if "Protocol" in known[name].bases or len(same) > len(own) / 2:
                yield name


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
        return [
            target.id for target in targets_of(node) if isinstance(target, ast.Name)
        ]
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    return [node.name] if isinstance(node, Function | ast.ClassDef) else []


def targets_of(node: ast.Assign) -> list[ast.expr]:
    """What gets a value; of several names with commas, each."""
    return [
        part
        for target in node.targets
        for part in (target.elts if isinstance(target, ast.Tuple) else [target])
    ]


def entry(heading: str, code: str, text: str | None, links: str = "") -> str:
    return "\n\n".join(
        part for part in (heading, f"```python\n{code}\n```", text, links) if part
    )


def declaration(node: ast.stmt, lines: list[str]) -> str:
    """What a reader must know to use it, as it stands in the source: no docstring, no body."""
    if isinstance(node, ast.ClassDef):
        fields = [line for part in node.body for line in field_lines(part, lines)]
        used = [
            line
            for method in methods(node)
            if method.name in SPECIAL
            for line in special_lines(method, lines)
        ]
        made = [method for method in methods(node) if method.name == "__init__"]
        own = [line for method in made for line in attribute_lines(method, lines)]
        parts = [part for part in (fields, used, own) if part]
        rest = [line for part in parts for line in ("", *part)][1:]
        *before, last = head(node, lines)
        first = [*before, f"{last}:" if rest else last]
        return textwrap.dedent("\n".join([*first, *rest]))
    if isinstance(node, Function):
        return textwrap.dedent("\n".join(head(node, lines)))
    value = lines[node.lineno - 1 : node.end_lineno]
    value[-1] = value[-1].removesuffix("  # fmt: skip")
    return "\n".join(
        value
        if len(value) <= MOST_LINES
        else [*value[: MOST_LINES - 2], "    ...", value[-1]]
    )


def head(node: ast.ClassDef | Function, lines: list[str]) -> list[str]:
    """From the first decorator on, without the colon and what follows it."""
    first = min(line.lineno for line in (node, *node.decorator_list))
    last, end = end_of_head(node, lines)
    return [*lines[first - 1 : last - 1], lines[last - 1][:end]]


def end_of_head(node: ast.ClassDef | Function, lines: list[str]) -> tuple[int, int]:
    """Line and column of the colon before the body: the last one in front of it that is in no comment."""
    begin = node.body[0].lineno, node.body[0].col_offset
    text = "".join(f"{line}\n" for line in lines[node.lineno - 1 : node.end_lineno])
    found = (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row = node.lineno + token.start[0] - 1
        if (row, token.start[1]) >= begin:
            break
        if token.string == ":":
            found = (row, token.start[1])
    return found


def special_lines(method: Function, lines: list[str]) -> list[str]:
    """The head of a method with two underscores; what it does stands behind it, or above."""
    *before, last = head(method, lines)
    if not (text := (ast.get_docstring(method) or "").partition("\n")[0]):
        return [*before, last]
    if len(said := f"{last}  # {text}") <= COLUMNS:
        return [*before, said]
    return [f"{' ' * method.col_offset}# {text}", *before, last]


def attribute_lines(made: Function, lines: list[str]) -> list[str]:
    """The public attributes that `__init__` sets, with their types where they are plain."""
    arguments = [*made.args.args, *made.args.kwonlyargs]
    types = {
        each.arg: annotation(each.annotation) for each in arguments if each.annotation
    }
    found: dict[str, str] = {}
    for node in made.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        public = [
            (target.attr, kind)
            for target, kind in typed_targets(node, types)
            if isinstance(target, ast.Attribute)
            and ast.unparse(target.value) == "self"
            and not target.attr.startswith("_")
        ]
        comment = re.search(r"  # (?!fmt: ).*", lines[(node.end_lineno or 0) - 1])
        for place, (name, kind) in enumerate(public, 1):
            said = comment[0] if comment and place == len(public) else ""
            found[name] = f"    self.{name}{kind and f': {kind}'}{said}"
    return list(found.values())


def annotation(node: ast.expr) -> str:
    """A type as text, without the quotation marks around all of it."""
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def typed_targets(
    node: ast.Assign | ast.AnnAssign, types: dict[str, str]
) -> Iterator[tuple[ast.expr, str]]:
    """Each target, and its type as text; empty where the line does not say it."""
    if isinstance(node, ast.AnnAssign):
        yield node.target, annotation(node.annotation)
        return
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for part, value in zip(target.elts, node.value.elts):
                yield part, type_of(value, types)
        elif isinstance(target, ast.Tuple):
            yield from ((part, "") for part in target.elts)
        else:
            yield target, type_of(node.value, types)


def type_of(value: ast.expr, types: dict[str, str]) -> str:
    """The type of a value that is an argument, a constant, a new object of a class, or a member of an enum."""
    if isinstance(value, ast.Name):
        return types.get(value.id, "")
    if isinstance(value, ast.Constant) and value.value is not None:
        return type(value.value).__name__
    if isinstance(value, ast.Call):
        made = ast.unparse(value.func)
        return made if re.fullmatch(rf"(\w+\.)*[A-Z]\w*|{BUILT_IN}", made) else ""
    member = re.fullmatch(r"([A-Z]\w*)\.[A-Z_]+", ast.unparse(value))
    return member[1] if member else ""


def field_lines(part: ast.stmt, lines: list[str]) -> list[str]:
    """A public value in a class. Its methods have entries of their own."""
    public = isinstance(part, ast.Assign | ast.AnnAssign) and not any(
        name.startswith("_") for name in names_of(part)
    )
    return lines[part.lineno - 1 : part.end_lineno] if public else []
