"""Builds the tutorial site from the notebooks: `python tools/site.py [--output DIR]`.

nbdev prepares the notebooks: it drops hidden cells, links names to their definitions, lifts title and description into YAML. Then Quarto renders
them where it is installed, else Sphinx does. Examples are not run again: a page shows the outputs that are stored in its notebook.
All of it happens in a temporary copy, because nbdev writes into the tree that it reads.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import nbformat
import yaml
from nbdev.config import get_config
from nbdev.quarto import nbdev_sidebar, refresh_quarto_yml
from nbdev.serve import proc_nbs
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ["settings.ini", "_quarto.yml", "README.md", "nbs", "python_tcp"]

STYLE = """
h1 + p { font-size: 1.2em; color: var(--color-foreground-secondary); }
.content { width: 54em; }
.api { margin-top: 1.5em; font-size: var(--font-size--small); color: var(--color-foreground-muted); }
.cell_output img { max-width: 100%; height: auto; padding: .5em; background: white; }
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the tutorial site.")
    parser.add_argument("--output", type=Path, default=ROOT / "_docs", help="the folder to build, replaced as a whole (default: _docs)")
    output = parser.parse_args().output.resolve()
    if output.exists() and any(output.iterdir()) and not (output / "index.html").exists():
        parser.error(f"{output} holds something else than a site; it is not replaced")
    with tempfile.TemporaryDirectory(prefix="python_tcp_site_") as folder:
        tree = Path(folder, "tree").resolve()
        copy_inputs(tree)
        prepare(tree)
        built = with_quarto(tree) if shutil.which("quarto") else with_sphinx(tree)
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(built, output)
    return 0


def copy_inputs(tree: Path) -> None:
    """Copy what a build reads to `tree`."""
    for name in INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        else:
            tree.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, tree)


def prepare(tree: Path) -> None:
    """nbdev's part. Afterwards `tree/_proc` has the notebooks as Quarto wants them, and the sidebar."""
    os.chdir(tree)  # nbdev looks for settings.ini here
    sys.path.insert(0, str(tree))
    for path in (tree / "nbs").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":  # a link out of nbs/ leads to a file of the repository
                cell.source = cell.source.replace("](../", f"]({repository_file('')}")
        notebook.cells.insert(1, new_markdown_cell(ways_to_run(path.name)))
        nbformat.write(notebook, path)
    refresh_quarto_yml()
    nbdev_sidebar.__wrapped__()
    proc_nbs()


def repository_file(path: str) -> str:
    config = get_config()
    return f"{config.git_url}/blob/{config.branch}/{path}"


def ways_to_run(name: str) -> str:
    """The line on top of each page that leads to its notebook."""
    config = get_config()
    where = f"{config.user}/{config.repo}"
    colab = f"https://colab.research.google.com/github/{where}/blob/{config.branch}/nbs/{name}"
    binder = f"https://mybinder.org/v2/gh/{where}/{config.branch}?labpath={quote(f'nbs/{name}', safe='')}"
    hint = f"There, first run: %pip install git+{config.git_url}"
    return f'This page is a notebook: [source]({repository_file(f"nbs/{name}")}) · [Binder]({binder}) · [Colab]({colab} "{hint}")'


def with_quarto(tree: Path) -> Path:
    """What `nbdev_docs` does after its preparations."""
    subprocess.run(["quarto", "render", "--no-cache"], cwd=tree / "_proc", check=True)
    return tree / "_proc" / get_config().doc_path.name


def with_sphinx(tree: Path) -> Path:
    """The same pages from Sphinx, under the same names, with all settings here."""
    from sphinx.application import Sphinx

    source, output = tree / "sphinx", tree / "html"
    (source / "_static").mkdir(parents=True)
    (source / "_static" / "book.css").write_text(STYLE)
    shutil.copytree(tree / "nbs" / "images", source / "images")
    contents = yaml.safe_load((tree / "_proc" / "sidebar.yml").read_text())["website"]["sidebar"]["contents"]
    pages = {name: nbformat.read(tree / "_proc" / name, as_version=4) for name in contents}
    fronts = {name: front_matter(page) for name, page in pages.items()}
    addresses = {name: front["output-file"] for name, front in fronts.items()}
    for name, page in pages.items():
        cells = [new_markdown_cell(f"# {fronts[name]['title']}\n\n{fronts[name].get('description', '')}")]
        cells += [for_sphinx(cell, page, addresses) for cell in page.cells[1:]]
        if name == contents[0]:
            others = "\n".join(Path(addresses[other]).stem for other in contents[1:])
            cells.append(new_markdown_cell(f"```{{toctree}}\n:hidden:\n{others}\n```"))
        metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
        nbformat.write(new_notebook(cells=cells, metadata=metadata), source / Path(addresses[name]).with_suffix(".ipynb"))

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
        "myst_enable_extensions": [],  # plain Markdown
        "myst_all_links_external": True,  # and plain links; a test follows each
        "suppress_warnings": ["myst.header"],
        "copybutton_selector": "div.highlight:not(.cell_output *) pre",
        "html_theme": "furo",
        "html_title": config.title,
        "html_static_path": ["_static"],
        "html_css_files": ["book.css"],
        "html_use_index": False,
        "html_copy_source": False,
        "html_show_sphinx": False,
    }
    app = Sphinx(source, None, output, tree / "doctrees", "html", confoverrides=settings, status=None, warning=sys.stderr)
    app.build()
    return output


def front_matter(page: nbformat.NotebookNode) -> dict:
    """The YAML that nbdev has put in place of the heading."""
    return yaml.safe_load(page.cells[0].source.strip().strip("-"))


def for_sphinx(cell: nbformat.NotebookNode, page: nbformat.NotebookNode, addresses: dict[str, str]) -> nbformat.NotebookNode:
    """A cell that Quarto understands as one that myst-nb understands."""
    if cell.cell_type != "code":
        return new_markdown_cell(local_links(cell.source, addresses))
    options = dict(re.findall(r"^#\| *([\w-]+): *(.*)$", cell.source, re.M))
    source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M)
    if source.startswith("show_doc("):
        return new_markdown_cell(definition(cell, page))
    tags = {
        "remove-input": options.get("echo") == "false",
        "remove-output": options.get("output") == "false",
        "remove-cell": options.get("include") == "false",
        "hide-input": options.get("code-fold") == "true",
    }
    metadata = {"tags": [tag for tag, wanted in tags.items() if wanted]}
    if tags["hide-input"]:
        summary = options.get("code-summary", "Code").strip("\"'")
        metadata["mystnb"] = {"code_prompt_show": summary, "code_prompt_hide": summary}
    return new_code_cell(source, outputs=cell.outputs, metadata=metadata)


def local_links(text: str, addresses: dict[str, str]) -> str:
    """Links to notebooks, and nbdev's to our own names, lead to the pages beside this one."""
    config = get_config()
    text = text.replace(f"]({config.doc_host}{config.doc_baseurl}/", "](")
    text = re.sub(r"\]\((\w+\.html#\w+)\.[\w.]+\)", r"](\1)", text)  # a method: to its class
    return re.sub(r"\]\((\w+\.ipynb)", lambda link: f"]({addresses.get(link[1], link[1])}", text)


def definition(cell: nbformat.NotebookNode, page: nbformat.NotebookNode) -> str:
    """What nbdev shows of an exported name: a line to link to, and the signature only where the page doesn't show the code."""
    (text,) = [output.data["text/markdown"] for output in cell.outputs if "data" in output]
    source, name, signature = re.fullmatch(r".*?(?:\[source\]\((\S+?)\).*?)?### (\S+)\n(.*)", text, re.S).groups()
    line = f'<div class="api" id="{name.lower()}"><code>{name}</code>'
    if source:  # not there before the first export
        file, _, number = source.partition("/blob/")[2].partition("/")[2].partition("#L")
        line += f': <a href="{source}">{file}, line {number}</a>'
    line += "</div>"
    shown = any(re.search(rf"^(def|class) {name}\b", other.source, re.M) for other in page.cells if other.cell_type == "code")
    return line if shown else f"{line}\n\n{signature}"


if __name__ == "__main__":
    sys.exit(main())
