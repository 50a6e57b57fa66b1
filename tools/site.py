"""Builds the site from the notebooks: `python tools/site.py [--output DIR]`.

The chapters are in `nbs/`. To them come a reference page for each module (tools/reference.py), a plain Markdown of each page (tools/plain.py),
`llms.txt` and the notebooks to download.

nbdev prepares the notebooks: it drops hidden cells, links names to their definitions, lifts title and description into YAML. Then Quarto renders
them where it is installed, else Sphinx does. Examples are not run again: a page shows the outputs that are stored in its notebook.
All of it happens in a temporary copy, because nbdev writes into the tree that it reads.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from html import escape, unescape
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import quote

import nbdev.serve
import lean  # noqa: F401
import nbformat
import yaml
from docutils.nodes import make_id
from fill import PARTS, part
from IPython.core.interactiveshell import InteractiveShell
from nbdev.config import get_config
from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from plain import slugs, to_markdown
from reference import module_of, pages

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ["settings.ini", "_quarto.yml", "README.md", "nbs", "python_tcp"]

# What stands where in the sidebar. The first figures of a notebook's name say what it is.
HOME, APPENDICES, AROUND, REFERENCE = (
    "Home",
    "Appendices",
    "Around the book",
    "Reference",
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the tutorial site.")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "_docs",
        help="the folder to build, replaced as a whole (default: _docs)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with status 1 if Quarto warns of anything",
    )
    parser.add_argument(
        "--prepared",
        type=Path,
        metavar="FOLDER",
        help="also keep there what Quarto gets to render",
    )
    arguments = parser.parse_args()
    output, warnings = arguments.output.resolve(), []
    if (
        output.exists()
        and any(output.iterdir())
        and not (output / "index.html").exists()
    ):
        parser.error(f"{output} holds something else than a site; it is not replaced")
    # `prepare` goes into the folder, and Windows deletes none that somebody is in.
    with (
        tempfile.TemporaryDirectory(prefix="python_tcp_site_") as folder,
        contextlib.chdir(ROOT),
    ):
        tree = Path(folder, "tree").resolve()
        say("Building the book's pages. This takes one to three minutes.")
        copy_inputs(tree)
        book = prepare(tree)
        # Quarto warns of a link to a file that is not there before it renders.
        add_plain_files(tree, book, tree / "_proc")
        if arguments.prepared:
            shutil.copytree(tree / "_proc", arguments.prepared.resolve())
        say(f"The notebooks are prepared. Now {len(book)} pages are written.")
        if shutil.which("quarto"):
            built, warnings = with_quarto(tree)
        else:
            built = with_sphinx(tree, book)
        add_plain_files(tree, book, built)
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(built, output)
    say(f"The pages are in {output}.")
    return 1 if arguments.strict and warnings else 0


def say(text: str) -> None:
    """What is being done, for somebody who waits."""
    print(text, flush=True)


def copy_inputs(tree: Path) -> None:
    """Copy what a build reads to `tree`."""
    for name in INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name,
                tree / name,
                ignore=shutil.ignore_patterns(".*", "__pycache__"),
            )
        else:
            tree.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, tree)


@dataclass(frozen=True)
class Page:
    """A notebook that becomes a page."""

    file: str
    section: str
    title: str
    lead: str

    @property
    def name(self) -> str:
        """As nbdev calls it in an address: without the figures that order the notebooks."""
        return re.sub(r"^\d+_", "", Path(self.file).stem)

    @property
    def label(self) -> str:
        """As the sidebar calls it."""
        if self.section in PARTS.values():
            return f"{int(self.file.partition('_')[0])}. {self.title}"
        if self.section == REFERENCE:
            return self.title.partition(".")[2]
        return re.sub(r"^Appendix: (.)", lambda start: start[1].upper(), self.title)


def pages_of(tree: Path) -> list[Page]:
    """All pages in the order of the book."""
    found = []
    for path in sorted(tree.glob("nbs/*.ipynb")):
        title, _, lead = (
            nbformat.read(path, as_version=4).cells[0].source.partition("\n\n> ")
        )
        found.append(
            Page(
                path.name, section_of(path.name), title.removeprefix("# "), lead.strip()
            )
        )
    order = [HOME, *PARTS.values(), APPENDICES, AROUND, REFERENCE]
    modules = [f"api_{page.name}.ipynb" for page in found]
    return sorted(
        found,
        key=lambda page: (
            order.index(page.section),
            modules.index(page.file) if page.section == REFERENCE else page.file,
        ),
    )


def section_of(file: str) -> str:
    if file == "index.ipynb":
        return HOME
    if file.startswith("api_"):
        return REFERENCE
    return part(file) or (APPENDICES if file < "97" else AROUND)


def prepare(tree: Path) -> list[Page]:
    """Our part and nbdev's. Afterwards `tree/nbs` is the whole book, and `tree/_proc` has it as Quarto wants it, and the sidebar."""
    os.chdir(tree)  # nbdev looks for settings.ini here
    sys.path.insert(0, str(tree))
    for path in (tree / "nbs").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if (
                cell.cell_type == "markdown"
            ):  # a link out of nbs/ leads to a file of the repository
                cell.source = slugs(
                    cell.source.replace("](../", f"]({repository_file('')}")
                )
        nbformat.write(notebook, path)
    for name, page in pages(tree, repository_file("")).items():
        nbformat.write(page, tree / "nbs" / name)
    book = pages_of(tree)
    shutil.copytree(
        tree / "nbs", tree / "plain"
    )  # before nbdev and the links to other forms
    for page in book:
        notebook = nbformat.read(tree / "nbs" / page.file, as_version=4)
        notebook.cells.insert(1, new_markdown_cell(other_forms(page, notebook)))
        nbformat.write(notebook, tree / "nbs" / page.file)
    refresh_quarto_yml()
    (tree / "nbs" / "sidebar.yml").write_text(
        yaml.safe_dump(
            {"website": {"sidebar": {"contents": sidebar(book)}}}, sort_keys=False
        )
    )
    nbdev.serve.parallel = in_parallel
    proc_nbs()
    show_definitions(tree, book)
    mend_symbol_links(tree, book)
    return book


def in_parallel(
    function: Callable, items: Iterable, n_workers: int, **_: object
) -> None:
    """What nbdev does with its own `parallel`. But that one ends slowly: each of its processes has a shell of IPython for each notebook, and each shell collects garbage when the process ends."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(n_workers, spawn, without_farewell) as pool:
        list(pool.map(function, items))


def without_farewell() -> None:
    InteractiveShell.atexit_operations = lambda shell: None


def mend_symbol_links(tree: Path, book: list[Page]) -> None:
    """nbdev links every name of ours in backquotes, also private ones and methods. Only what a page shows with an anchor can be linked to."""
    config = get_config()
    notebooks = {
        page: nbformat.read(tree / "_proc" / page.file, as_version=4) for page in book
    }
    shown = {
        f"{page.name}.html#{place}"
        for page, notebook in notebooks.items()
        for place in defined(notebook)
    }
    base = re.escape(f"{config.doc_host}{config.doc_baseurl}/")

    def mend(link: re.Match) -> str:
        # The address has the name in lower case. Of a method, the class is meant.
        target, name = link["page"], re.match(r"\w*", link["text"][2:])[0]
        address = f"{target}#{anchor(name)}"
        if address not in shown or is_another(name, target, page.name, code):
            return link["text"][1:-1]
        return f"{link['text']}({address})"

    for page, notebook in notebooks.items():
        code = code_of(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = re.sub(
                    rf"(?P<text>\[`[^`\n]+`\])\((?P<base>{base})(?P<page>\w+\.html)#[\w.]+\)",
                    mend,
                    cell.source,
                )
                cell.source = without_host(without_links_in_links(cell.source))
        nbformat.write(notebook, tree / "_proc" / page.file)


def anchor(name: str) -> str:
    """Where a page defines a name of ours. No heading has a dot in its anchor, and `goodbye` is not `Goodbye`."""
    return f"api.{name}"


def show_definitions(tree: Path, book: list[Page]) -> None:
    """Both renderers get one line where nbdev calls `show_doc`, and a text for each picture."""
    for page in book:
        path = tree / "_proc" / page.file
        notebook = nbformat.read(path, as_version=4)
        cells = []
        for cell in definitions_first(notebook.cells):
            if cell.cell_type == "markdown":
                cell.source = with_narrow_pictures(cell.source, tree / "nbs")
            if is_show_doc(cell):
                cell = new_markdown_cell(definition(cell, notebook))
            elif cell.cell_type == "code":
                # nbdev's label, which would stand over every exported cell
                label = r'^#\| code-fold: show\n#\| code-summary: "Exported source"\n'
                cell.source = re.sub(label, "", cell.source, flags=re.M)
                if has_picture(cell):
                    cell.source = with_alternative(cell)
                without_links_in_code(cell)
                if classes := classes_of(cell):
                    cell.source = f"#| classes: {classes}\n{cell.source}"
            cells.append(cell)
        notebook.cells = cells
        nbformat.write(notebook, path)


def with_narrow_pictures(text: str, folder: Path) -> str:
    """A picture that has another one for telephones beside it, such as bench_narrow.svg beside bench.svg, becomes both: the browser chooses."""

    def both(picture: re.Match) -> str:
        path = Path(picture["path"])
        narrow = path.with_stem(f"{path.stem}_narrow").as_posix()
        if not (folder / narrow).exists():
            return picture[0]
        source = f'<source media="(max-width: 40em)" srcset="{narrow}">'
        image = f'<img src="{path.as_posix()}" alt="{escape(picture["text"])}">'
        return f"<p><picture>{source}{image}</picture></p>"

    pattern = r"^!\[(?P<text>[^]]+)\]\((?P<path>images/[\w.]+)\)$"
    return re.sub(pattern, both, text, flags=re.M)


def definitions_first(
    cells: list[nbformat.NotebookNode],
) -> list[nbformat.NotebookNode]:
    """Before a cell of code, in its order, what `show_doc` says of the names that it defines: nbdev has the last one there,
    and the others behind it."""
    shown = {i for i, cell in enumerate(cells) if is_show_doc(cell)}
    before: dict[int, list[tuple[int, int]]] = {}  # by cell of code: places, and cells
    for i in shown:
        name = definition_parts(cells[i])[1]
        code = [
            k for k in range(len(cells)) if k not in shown and defines(cells[k], name)
        ]
        if code:
            nearest = min(code, key=lambda k: abs(k - i))
            place = defines(cells[nearest], name).start()
            before.setdefault(nearest, []).append((place, i))
    moved = {i for those in before.values() for _, i in those}
    result = []
    for k, cell in enumerate(cells):
        result += [cells[i] for _, i in sorted(before.get(k, []))]
        result += [cell] if k not in moved else []
    return result


def without_host(text: str) -> str:
    """Links to our own pages as nbdev writes them, but local."""
    config = get_config()
    return text.replace(f"]({config.doc_host}{config.doc_baseurl}/", "](")


def is_show_doc(cell: nbformat.NotebookNode) -> bool:
    if cell.cell_type != "code":
        return False
    source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M)
    return source.startswith("show_doc(")


def without_links_in_code(cell: nbformat.NotebookNode) -> None:
    """nbdev also links names in an output that is Markdown: in a block of code they would be shown as they are written."""
    for output in cell.outputs:
        if text := output.get("data", {}).get("text/markdown"):
            output.data["text/markdown"] = re.sub(
                r"^```.*?^```",
                lambda code: re.sub(r"\[(`[^`\n]+`)\]\([^)\n]*\)", r"\1", code[0]),
                text,
                flags=re.M | re.S,
            )


LONG_LINE = 40  # characters: what a telephone shows of an output


def classes_of(cell: nbformat.NotebookNode) -> str:
    """How the outputs of a cell may be shown where there is little room."""
    lines = [
        line
        for output in cell.outputs
        for text in (output.get("text"), output.get("data", {}).get("text/plain"))
        for line in (text or "").splitlines()
    ]
    has_columns = any(re.search(r"\S   +\S", line) for line in lines)
    if any(len(line) > LONG_LINE for line in lines) and not has_columns:
        return "wrap-output"
    return ""


def has_picture(cell: nbformat.NotebookNode) -> bool:
    return any(
        kind.startswith("image/")
        for output in cell.outputs
        for kind in output.get("data", {})
    )


def with_alternative(cell: nbformat.NotebookNode) -> str:
    """The source with the option that Quarto reads out in place of the picture, unless it is there already."""
    if re.search(r"^#\| *fig-alt:", cell.source, re.M):
        return cell.source
    return f"#| fig-alt: {json.dumps(alternative(cell), ensure_ascii=False)}\n{cell.source}"


def code_of(notebook: nbformat.NotebookNode) -> str:
    """A page of the reference has no cells of code: its signatures stand in the text."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(code or [cell.source for cell in notebook.cells])


def is_another(name: str, target: str, page: str, code: str) -> bool:
    """Does a page mean something else by a name than the module to which nbdev links it? It does if it defines the name itself, or in the reference if it is a parameter; and a plain word such as `connect` or `line` is ours only where it is imported."""
    if target == f"{page.removeprefix('api_')}.html":
        return False
    if re.search(rf"^ *(?:def|class) {name}\b|^{name} = ", code, re.M):
        return True
    if page.startswith("api_") and re.search(rf"[(,]\s*{name}: ", code):
        return True
    imported = re.search(rf"^from python_tcp\.\w+ import .*\b{name}\b", code, re.M)
    return re.fullmatch("[a-z]+", name) is not None and not imported


def without_links_in_links(text: str) -> str:
    """nbdev also links a name that is the text of a link already: the author's link is meant."""
    return re.sub(r"\[\[(`[^`\n]+`)\]\([^)\n]*\)\]\(", r"[\1](", text)


def defined(notebook: nbformat.NotebookNode) -> list[str]:
    """The anchors of the names that a page defines."""
    text = "\n".join(cell.source for cell in notebook.cells)
    return re.findall(r'<div class="api" id="([^"]+)">', text)


def sidebar(book: list[Page]) -> list[dict]:
    """The sidebar as Quarto reads it. nbdev's own would have no sections and no numbers."""
    contents = []
    for section, members in groupby(book, key=lambda page: page.section):
        entries = [{"text": page.label, "href": page.file} for page in members]
        contents += (
            entries if section == HOME else [{"section": section, "contents": entries}]
        )
    return contents


def repository_file(path: str) -> str:
    config = get_config()
    return f"{config.git_url}/blob/{config.branch}/{path}"


def other_forms(page: Page, notebook: nbformat.NotebookNode) -> str:
    """The line on top of each page that leads to the same in other forms, and to what it documents."""
    plain = f"[Markdown]({page.name}.md)"
    if page.section == REFERENCE:
        return f"This page as plain {plain}."
    config = get_config()
    where = f"{config.user}/{config.repo}"
    colab = f"https://colab.research.google.com/github/{where}/blob/{config.branch}/nbs/{page.file}"
    binder = f"https://mybinder.org/v2/gh/{where}/{config.branch}?labpath={quote(f'nbs/{page.file}', safe='')}"
    hint = "Its first cell installs the package there"
    text = f"This page is a notebook: [download](notebooks/{page.file}) · "
    text += f'[Colab]({colab} "{hint}") · [Binder]({binder}) · [repository]({repository_file(f"nbs/{page.file}")}) · {plain}'
    if page.section == HOME:
        text += f". All of it: `git clone {config.git_url}`, or [a ZIP file]({config.git_url}/archive/{config.branch}.zip)"
    module = module_of(notebook)
    if module:
        text += f". Its module: [reference](api_{module}.ipynb) · [source]({repository_file(f'python_tcp/{module}.py')})"
    return text


def add_plain_files(tree: Path, book: list[Page], site: Path) -> None:
    """Beside the pages: each as plain Markdown, `llms.txt` that lists them, and the notebooks."""
    addresses = {page.file: f"{page.name}.md" for page in book}
    (site / "notebooks").mkdir(exist_ok=True)
    for page in book:
        text, pictures = to_markdown(
            nbformat.read(tree / "plain" / page.file, as_version=4), page.name
        )
        (site / f"{page.name}.md").write_text(
            local_links(text, addresses), encoding="utf-8"
        )
        for name, data in pictures.items():
            (site / name).parent.mkdir(exist_ok=True)
            (site / name).write_bytes(data)
        if page.section != REFERENCE:
            shutil.copy2(ROOT / "nbs" / page.file, site / "notebooks")
    shutil.copytree(tree / "nbs" / "images", site / "images", dirs_exist_ok=True)
    (site / "llms.txt").write_text(llms(book), encoding="utf-8")


def llms(book: list[Page]) -> str:
    """The list of the pages for a language model, in the form of llmstxt.org."""
    home = book[0]
    lines = [f"# {home.title}", "", f"> {home.lead}", ""]
    lines += [
        "Each page is a notebook that runs; here are their plain Markdown forms, with the code and its outputs."
    ]
    for section, members in groupby(book, key=lambda page: page.section):
        lines += [
            "",
            f"## {section}",
            "",
            *(
                f"- [{page.label if section in PARTS.values() else page.title}]({page.name}.md): {page.lead}"
                for page in members
            ),
        ]
    return "\n".join(lines) + "\n"


def with_quarto(tree: Path) -> tuple[Path, list[str]]:
    """What `nbdev_docs` does after its preparations; the site, and the warnings."""
    command = ["quarto", "render", "--no-cache"]
    warnings = []
    with subprocess.Popen(
        command, cwd=tree / "_proc", stderr=subprocess.PIPE, text=True
    ) as quarto:
        for line in quarto.stderr:
            sys.stderr.write(line)
            if re.search(r"\bWARN", line):
                warnings.append(line)
    if quarto.returncode:
        raise subprocess.CalledProcessError(quarto.returncode, command)
    return tree / "_proc" / get_config().doc_path.name, warnings


def with_sphinx(tree: Path, book: list[Page]) -> Path:
    """The same pages from Sphinx, under the same names, with all settings here."""
    from sphinx.application import Sphinx

    source, output = tree / "sphinx", tree / "html"
    (source / "_static").mkdir(parents=True)
    for name in ("styles.css", "tables.js"):
        shutil.copy2(tree / "nbs" / name, source / "_static")
    shutil.copy2(ROOT / "tools" / "search_sections.js", source / "_static")
    shutil.copytree(tree / "nbs" / "images", source / "images")
    addresses = {page.file: f"{page.name}.html" for page in book}
    for page in book:
        notebook = nbformat.read(tree / "_proc" / page.file, as_version=4)
        front = yaml.safe_load(
            notebook.cells[0].source.strip().strip("-")
        )  # nbdev has put it in place of the heading
        cells = [
            new_markdown_cell(f"# {front['title']}\n\n{front.get('description', '')}")
        ]
        cells += [for_sphinx(cell, addresses) for cell in notebook.cells[1:]]
        if page.section == HOME:
            cells += [new_markdown_cell(table) for table in contents_tables(book)]
        metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
        nbformat.write(
            new_notebook(cells=cells, metadata=metadata), source / f"{page.name}.ipynb"
        )

    config = get_config()
    settings = {
        "project": config.title,
        "author": config.author,
        "copyright": config.copyright,
        "language": "en",
        "extensions": ["myst_nb", "sphinx_copybutton"],
        "nb_execution_mode": "off",
        "nb_ipywidgets_js": {},  # would come from another host
        "nb_merge_streams": True,
        "highlight_language": "none",  # a block without one is no Python
        "myst_enable_extensions": [],  # plain Markdown
        "myst_all_links_external": True,  # and plain links; a test follows each
        "suppress_warnings": ["myst.header"],
        "copybutton_selector": "div.highlight:not(.cell_output *) pre",
        "html_theme": "furo",
        "pygments_dark_style": "github-dark",  # furo's own underlines every class and module
        "html_title": config.title,
        "html_static_path": ["_static"],
        "html_favicon": str(source / "images" / "favicon.svg"),
        "html_css_files": ["styles.css"],
        "html_js_files": [
            (name, {"defer": "defer"}) for name in ("search_sections.js", "tables.js")
        ],
        "html_use_index": False,
        "html_copy_source": False,
        "html_show_sphinx": False,
    }
    (source / "conf.py").write_text(
        "".join(f"{name} = {value!r}\n" for name, value in settings.items()),
        encoding="utf-8",
    )
    app = Sphinx(
        source,
        source,
        output,
        tree / "doctrees",
        "html",
        status=None,
        warning=sys.stderr,
    )
    app.build()
    shutil.rmtree(output / "_sources", ignore_errors=True)  # Sphinx makes it, empty
    return output


def contents_tables(book: list[Page]) -> Iterator[str]:
    """Sphinx makes the sidebar and the order of the pages of these."""
    for section, members in groupby(book[1:], key=lambda page: page.section):
        entries = "\n".join(f"{page.label} <{page.name}>" for page in members)
        yield f"```{{toctree}}\n:hidden:\n:caption: {section}\n\n{entries}\n```"


def for_sphinx(
    cell: nbformat.NotebookNode, addresses: dict[str, str]
) -> nbformat.NotebookNode:
    """A cell that Quarto understands as one that myst-nb understands."""
    if cell.cell_type != "code":
        return new_markdown_cell(local_links(cell.source, addresses))
    options = dict(re.findall(r"^#\| *([\w-]+): *(.*)$", cell.source, re.M))
    source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M)
    tags = {
        "remove-input": options.get("echo") == "false",
        "remove-output": options.get("output") == "false",
        "remove-cell": options.get("include") == "false",
        "hide-input": options.get("code-fold") == "true",
        options.get("classes"): "classes" in options,
    }
    metadata = {
        "tags": [tag for tag, wanted in tags.items() if wanted],
        "mystnb": {"image": {"alt": alternative(cell)}},
    }
    if tags["hide-input"]:
        summary = options.get("code-summary", "Code").strip("\"'")
        metadata["mystnb"] |= {"code_prompt_show": summary, "code_prompt_hide": summary}
    return new_code_cell(source, outputs=cell.outputs, metadata=metadata)


def alternative(cell: nbformat.NotebookNode) -> str:
    """What is read out in place of a drawing that a cell shows: `#| fig-alt`, or the title and the description in it."""
    if told := re.search(r"^#\| *fig-alt: *(.+)$", cell.source, re.M):
        return str(yaml.safe_load(told[1]))
    drawings = [
        output.data.get("image/svg+xml", "")
        for output in cell.outputs
        if "data" in output
    ]
    said = [
        part
        for drawing in drawings
        for part in re.findall(r"<(?:title|desc)[^>]*>(.*?)</", drawing, re.S)
    ]
    return (
        " ".join(" ".join(map(unescape, said)).split())
        or "What the cell above has drawn"
    )


def local_links(text: str, addresses: dict[str, str]) -> str:
    """Links to notebooks lead to the pages beside this one."""
    text = re.sub(
        r"(?<=\]\()([\w.]*#)([^)\s]+-[^)\s]+)",
        lambda link: link[1] + make_id(link[2]),
        text,
    )  # a heading, as Sphinx calls it
    return re.sub(
        r"\]\((\w+\.ipynb)", lambda link: f"]({addresses.get(link[1], link[1])}", text
    )


def definition_parts(cell: nbformat.NotebookNode) -> tuple[str | None, str, str]:
    """The address of the source, the name and the signature that `show_doc` gives."""
    (text,) = [
        output.data["text/markdown"] for output in cell.outputs if "data" in output
    ]
    return re.fullmatch(
        r".*?(?:\[source\]\((\S+?)\).*?)?### (\S+)\n(.*)", text, re.S
    ).groups()


def defines(cell: nbformat.NotebookNode, name: str) -> re.Match[str] | None:
    """Where a cell of code defines this name."""
    if cell.cell_type != "code":
        return None
    return re.search(rf"^(async def|def|class) {name}\b", cell.source, re.M)


def definition(cell: nbformat.NotebookNode, page: nbformat.NotebookNode) -> str:
    """What nbdev shows of an exported name: a line to link to, and the signature only where the page doesn't show the code."""
    source, name, signature = definition_parts(cell)
    line = f'<div class="api" id="{anchor(name)}"><code>{name}</code>'
    if source:  # not there before the first export
        file, _, number = (
            source.partition("/blob/")[2].partition("/")[2].partition("#L")
        )
        line += f': <a href="{source}">{file}, line {number}</a>'
    line += "</div>"
    shown = any(defines(other, name) for other in page.cells)
    return line if shown else f"{line}\n\n{signature}"


if __name__ == "__main__":
    sys.exit(main())
