"""The site: every chapter is there and whole, every link leads somewhere, nothing comes from another host.

It is the one that Sphinx builds. `SITE=FOLDER` takes another one, such as Quarto's.
"""

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType, ModuleType
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

pytestmark = pytest.mark.slow(seconds=50)

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
MODULES = {  # name -> its notebook
    match[1]: path
    for path in NOTEBOOKS
    if (
        match := re.search(r"#\| *default_exp +(\w+)", path.read_text(encoding="utf-8"))
    )
}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class Page(HTMLParser):
    """What the checks need of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []  # what a reader can follow
        self.turns: dict[
            str, str
        ] = {}  # "next-page" and "prev-page", and where they lead
        self.pictures: list[str | None] = []  # the text in place of each
        self.files: list[str] = []  # what the browser loads
        self.ids: set[str] = set()
        self.words: list[str] = []  # outside code
        self.all_words: list[str] = []
        self.silent, self.turn = 0, ""
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join("".join(self.all_words).split())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        attributes = dict(attrs)
        self.ids |= {
            attributes[name] for name in ("id", "name") if attributes.get(name)
        }
        names = (attributes.get("class") or "").split()
        if tag == "div" and {"nav-page-next", "nav-page-previous"} & {*names}:  # Quarto
            self.turn = "next-page" if "nav-page-next" in names else "prev-page"
        if tag == "a" and attributes.get("href"):
            address = attributes["href"].removeprefix("./")
            self.links.append(address)
            self.turns[attributes.get("class")] = address
            if "pagination-link" in names:  # Quarto
                self.turns[self.turn] = address
        elif tag in ("script", "img") and attributes.get("src"):
            self.files.append(attributes["src"])
            self.pictures += [attributes.get("alt")] if tag == "img" else []
        elif tag == "link" and attributes.get("rel") in (
            "stylesheet",
            "preload",
            "icon",
        ):
            self.files.append(attributes["href"])
        self.silent += tag in ("pre", "code", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("pre", "code", "script", "style")

    def handle_data(self, data: str) -> None:
        self.all_words.append(data)
        if not self.silent:
            self.words.append(data)


@pytest.fixture(scope="module")
def tools() -> Iterator[ModuleType]:
    """tools/site.py, under another name: Python has a module `site` of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        spec = importlib.util.spec_from_file_location(
            "tools_site", ROOT / "tools" / "site.py"
        )
        module = sys.modules["tools_site"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.reference = importlib.import_module("reference")
        yield module


@pytest.fixture(scope="session")
def site(build: tuple[Path, str]) -> dict[Path, Page]:
    """Every page."""
    return {path: Page(path) for path in build[0].glob("*.html")}


def folder_of(site: dict[Path, Page]) -> Path:
    return next(iter(site)).parent


def page_of_name(notebook: Path) -> str:
    return re.sub(r"^\d+_", "", notebook.stem) + ".html"


def page_of(notebook: Path, site: dict[Path, Page]) -> Page:
    return site[folder_of(site) / page_of_name(notebook)]


def words(text: str) -> str:
    """Only letters and figures: Markdown, typographic quotes and line breaks don't matter."""
    return re.sub(r"[\W_]+", " ", re.sub(r"[`*]", "", text)).strip()


def test_the_build_has_nothing_to_complain_of(build: tuple[Path, str]) -> None:
    """nbdev names cells that mix imports with other code, which a build runs; Sphinx names unknown languages, headings, pages."""
    assert not build[1], build[1]


@each_notebook
def test_a_chapter_is_whole(path: Path, site: dict[Path, Page]) -> None:
    shown = words(page_of(path, site).text)
    for cell in nbformat.read(path, as_version=4).cells:
        exports = re.match(r"#\| *exports\b.*\n", cell.source)
        if cell.cell_type == "markdown":
            paragraphs = re.split(
                r"\n\s*\n",
                re.sub(
                    r"\]\([^)]*\)|^ *(?:[-*>]|\d+\.|#+) ", " ", cell.source, flags=re.M
                ),
            )
            for paragraph in paragraphs:
                if not paragraph.lstrip().startswith(("|", "```", "<", "![")):
                    assert words(paragraph) in shown
        elif exports:
            assert words(cell.source[exports.end() :]) in shown


def test_every_link_leads_somewhere(site: dict[Path, Page]) -> None:
    broken = []
    for path, page in site.items():
        for link in page.links + page.files:
            parts = urlsplit(link)
            target = path.parent / unquote(parts.path) if parts.path else path
            if parts.scheme or parts.netloc:
                continue
            if (
                not target.exists()
                or parts.fragment
                and target in site
                and unquote(parts.fragment) not in site[target].ids
            ):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_the_sidebar_lists_every_chapter_in_order(site: dict[Path, Page]) -> None:
    chapters = [page_of_name(path) for path in NOTEBOOKS if path.stem != "index"]
    for path in site:
        links = [
            link
            for link in site[path].links
            if link in chapters or link == "#" and path.name in chapters
        ]
        listed = [path.name if link == "#" else link for link in links]
        assert listed[: len(chapters)] == chapters


def test_pages_lead_to_the_next_and_back(site: dict[Path, Page]) -> None:
    chapters = [
        "index.html",
        *(page_of_name(path) for path in NOTEBOOKS if path.stem != "index"),
    ]
    for here, following in zip(chapters, chapters[1:]):
        assert site[folder_of(site) / here].turns["next-page"] == following
        assert site[folder_of(site) / following].turns["prev-page"] == here


def test_no_markup_is_left_over(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert re.findall(r":::|#\||\{#|\?@|\{target=", "".join(page.words)) == [], (
            path.name
        )


def test_nothing_comes_from_another_host(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert [file for file in page.files if urlsplit(file).netloc] == [], path.name
    for style in folder_of(site).rglob("*.css"):
        assert not re.search(
            r"(@import|url\()\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")
        ), style.name


def test_every_picture_is_described(site: dict[Path, Page]) -> None:
    described = {
        path.name: [
            alt for alt in page.pictures if not alt or "." in alt and " " not in alt
        ]
        for path, page in site.items()
    }
    assert any(page.pictures for page in site.values()) and not any(described.values())


def test_pages_lead_to_their_notebooks(site: dict[Path, Page]) -> None:
    for notebook in NOTEBOOKS:
        links = [
            link
            for link in page_of(notebook, site).links
            if link.endswith(notebook.name)
        ]
        assert [urlsplit(link).netloc for link in links[:4]] == [
            "",
            "colab.research.google.com",
            "mybinder.org",
            "github.com",
        ]
        assert (folder_of(site) / links[0]).read_bytes() == notebook.read_bytes()


def test_chapters_lead_to_their_module_and_back(site: dict[Path, Page]) -> None:
    for name, notebook in MODULES.items():
        links = page_of(notebook, site).links
        assert f"api_{name}.html" in links
        assert any(link.endswith(f"/blob/main/python_tcp/{name}.py") for link in links)
        back = site[folder_of(site) / f"api_{name}.html"].links
        assert page_of_name(notebook) in back


@pytest.mark.parametrize("name", MODULES)
def test_the_reference_is_whole(name: str, site: dict[Path, Page]) -> None:
    """Each public name and method has an entry with its docstring, and a link to the line where it stands."""
    source = (ROOT / "python_tcp" / f"{name}.py").read_text(encoding="utf-8")
    page, module = (
        site[folder_of(site) / f"api_{name}.html"],
        importlib.import_module(f"python_tcp.{name}"),
    )
    shown = words(page.text)
    for public in module.__all__:
        if origin := offered_by(public, source):
            assert f"api_{origin}.html" in page.links and words(public) in shown
            continue
        assert [
            link
            for link in page.links
            if "#L" in link and stands_at(public, link, source)
        ], public
        thing = getattr(module, public)
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            continue
        assert docstring(thing) in shown
        for method, function in vars(thing).items() if inspect.isclass(thing) else ():
            function = function.fget if isinstance(function, property) else function
            if (
                inspect.isfunction(function)
                and not method.startswith("_")
                and function.__qualname__ == f"{public}.{method}"
            ):
                assert words(f"{public}.{method}") in shown
                assert docstring(function) in shown


def offered_by(name: str, source: str) -> str | None:
    """The module of ours from which the source has this name."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            if name in [alias.asname or alias.name for alias in node.names]:
                return node.module
    return None


def docstring(thing: type | FunctionType) -> str:
    """Its own, not one that was inherited or made up."""
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return (
        words(text or "") if not (text or "").startswith(f"{thing.__name__}(") else ""
    )


def stands_at(name: str, link: str, source: str) -> bool:
    line = source.splitlines()[int(link.rpartition("#L")[2]) - 1]
    return bool(re.match(rf"(async def |def |class )?{name}\b", line))


def test_a_reference_entry(tmp_path: Path, tools: ModuleType) -> None:
    """Signatures stand as in the source, without bodies; what is private is left out."""
    source = (
        '__all__ = ["LIMIT", "Box", "Point", "fetch", "Sock", "Other"]\n\n'
        "from .nets import Other\nfrom .nets import Sock\n"
        "LIMIT = 3\n_hidden = 4\n\n"
        'class Box(dict):\n    """Holds things."""\n\n    _secret = 1\n\n    def __init__(self, size: int = LIMIT) -> None:\n        self.size = size\n\n'
        '    def _inner(self): ...\n\n    @property\n    def full(self) -> bool:\n        """No room."""\n        return True\n\n'
        "@dataclass(frozen=True)\nclass Point:\n    x: int = 0  # metres\n\n"
        'async def fetch(\n    url: str,\n) -> bytes:\n    return b""\n'
    )
    again, limit, box, full, point, fetch = tools.reference.entries(
        source, "000_core.ipynb", "REPO/python_tcp/core.py"
    )
    assert (
        again
        == "Offered again, from [python_tcp.nets](api_nets.ipynb): `Other`, `Sock`"
    )
    assert (
        limit
        == "## LIMIT\n\n```python\nLIMIT = 3\n```\n\n[source, line 5](REPO/python_tcp/core.py#L5)"
    )
    assert (
        "```python\nclass Box(dict):\n    def __init__(self, size: int = LIMIT) -> None\n\n    self.size: int\n```\n\nHolds things.\n\n[in the chapter](000_core.ipynb#api.Box)"
        in box
    )
    assert (
        full
        == "### Box.full\n\n```python\n@property\ndef full(self) -> bool\n```\n\nNo room."
    )
    assert (
        "```python\n@dataclass(frozen=True)\nclass Point:\n    x: int = 0  # metres\n```"
        in point
    )
    assert "```python\nasync def fetch(\n    url: str,\n) -> bytes\n```" in fetch


def entries_of(tools: ModuleType, source: str) -> list[str]:
    return list(tools.reference.entries(source, "000_core.ipynb", "REPO/core.py"))


def test_a_reference_shows_all_of_a_head(tools: ModuleType) -> None:
    """Also where the body stands on the same line; and nothing that is not in the head."""
    source = (
        '__all__ = ["Wire", "fetch", "Stock"]\n\n'
        "class Wire(Protocol):\n"
        '    def send(self, data: bytes, limits: dict[str, int] = {"a": 1}) -> int: ...\n'
        "    @property\n    def name(self) -> str: ...\n"
        "    def open(\n        self, host: str\n    ) -> None: ...\n\n"
        'def fetch(\n    url: str,\n) -> bytes:  # fmt: skip\n    # a remark\n    return b""\n\n'
        "class Stock:\n    def __init__(self) -> None:\n        # a remark\n        self._x = 1\n"
    )
    wire, send, name, opened, fetch, stock = entries_of(tools, source)
    assert "```python\nclass Wire(Protocol)\n```" in wire
    assert (
        'def send(self, data: bytes, limits: dict[str, int] = {"a": 1}) -> int\n```'
        in send
    )
    assert "```python\n@property\ndef name(self) -> str\n```" in name
    assert "```python\ndef open(\n    self, host: str\n) -> None\n```" in opened
    assert "```python\ndef fetch(\n    url: str,\n) -> bytes\n```" in fetch
    assert "class Stock:\n    def __init__(self) -> None\n```" in stock


def test_a_reference_shows_how_an_object_is_used(tools: ModuleType) -> None:
    """The methods with two underscores that are called by other words, and the attributes that `__init__` sets."""
    source = (
        '__all__ = ["Box"]\n\n'
        "class Box:\n    __repr__, __str__ = _shown, _shown\n    SIZE = 3  # bytes\n\n"
        '    def __init__(self, size: int, name: "str") -> None:\n'
        "        self.size, self._secret = size, 1\n"
        "        self.name = name  # of its owner\n"
        "        self.open, self.end = True, End.NEAR\n"
        "        self.on_end: Callable[[], object] = lambda: None  # at the end\n"
        "        self.inner, self.first = Inner(size), name[0]  # fmt: skip\n"
        "        size.unit = 1\n\n"
        '    def __len__(self) -> int:\n        """How much is in it.\n\n        Never more."""\n        return 0\n\n'
        "    def __repr__(self) -> str:\n        return ''\n"
    )
    (box,) = entries_of(tools, source)
    assert (
        "```python\nclass Box:\n    SIZE = 3  # bytes\n\n"
        '    def __init__(self, size: int, name: "str") -> None\n'
        "    def __len__(self) -> int  # How much is in it.\n\n"
        "    self.size: int\n    self.name: str  # of its owner\n"
        "    self.open: bool\n    self.end: End\n"
        "    self.on_end: Callable[[], object]  # at the end\n"
        "    self.inner: Inner\n    self.first\n```"
    ) in box


def test_a_long_line_of_a_reference_becomes_two(tools: ModuleType) -> None:
    text = "The lines to run in the place of these ones."
    source = (
        '__all__ = ["Skip"]\n\nclass Skip:\n'
        "    def __call__(self, lines: list[str]) -> list[str]:\n"
        f'        """{text}"""\n        return lines\n'
    )
    (skip,) = entries_of(tools, source)
    head = "    def __call__(self, lines: list[str]) -> list[str]\n"
    assert f"class Skip:\n    # {text}\n{head}```" in skip


def test_a_reference_says_what_a_private_name_stands_for(tools: ModuleType) -> None:
    source = (
        '__all__ = ["Stream", "add"]\n\n'
        "_Told = Callable[[], object]  # at the end\n_Other = int\n\n"
        "class Stream:\n    def __init__(self, told: _Told) -> None: ...\n\n"
        "def add(told: _Told, x: self._Other) -> None: ...\n"
    )
    stream, add = entries_of(tools, source)
    before = "```python\n_Told = Callable[[], object]  # at the end\n\n"
    assert f"{before}class Stream:\n    def __init__" in stream
    assert f"{before}def add(" in add


def test_a_reference_repeats_what_a_model_says_of_a_method(tools: ModuleType) -> None:
    """A base class, a protocol that the docstring names, or what has most of the same methods."""
    models = (
        'class Wire(Protocol):\n    def send(self) -> int:\n        """Send it."""\n\n'
        'class Plain:\n    def send(self) -> int: ...\n    def close(self) -> None:\n        """Close it."""\n\n'
        "class Child(Plain): ...\n"
        'class Owner:\n    def close(self) -> None:\n        """Close all."""\n'
    )
    source = (
        '__all__ = ["A", "B"]\n\n'
        'class A(Child):\n    """A `Wire`, not an `Owner`."""\n'
        "    def close(self) -> None: ...\n    def send(self) -> int: ...\n"
        "    def other(self) -> int: ...\n\n"
        'class B:\n    """What an `Owner` and a `Plain` need."""\n'
        "    def send(self) -> int: ...\n    def close(self) -> None: ...\n"
    )
    known = tools.reference.classes_in("nets", models)
    found = list(tools.reference.entries(source, "000_core.ipynb", "REPO", known))
    said = {entry.split()[1]: entry.rpartition("```")[2].strip() for entry in found}
    assert said["A.close"] == "As in [`Plain`](api_nets.ipynb): Close it."
    assert said["A.send"] == "As in [`Wire`](api_nets.ipynb): Send it."
    assert said["A.other"] == said["B.send"] == ""
    assert said["B.close"] == "As in [`Plain`](api_nets.ipynb): Close it."


def test_a_reference_cuts_a_long_value_in_the_middle(tools: ModuleType) -> None:
    rows = "".join(f"    {number},\n" for number in range(20))
    source = f'__all__ = ["ALL"]\n\nALL = [\n{rows}]  # fmt: skip\n'
    (entry,) = entries_of(tools, source)
    assert "    4,\n    ...\n]\n```" in entry


def test_each_page_is_there_as_plain_markdown(site: dict[Path, Page]) -> None:
    pages = [path for path in site if path.name != "search.html"]
    for path in pages:
        text = path.with_suffix(".md").read_text(encoding="utf-8")
        assert re.match(r"# \S.*\n\n> \S.*\n", text) and not re.search(
            r"^#\||\.ipynb\)|\]\(\.\./", text, re.M
        ), path.name
        for link in re.findall(
            r"\]\((?!\w+:)([^)#\s]+)", re.sub(r"```.*?```", "", text, flags=re.S)
        ):
            assert (path.parent / link).exists(), f"{path.stem}.md: {link}"
    for notebook in NOTEBOOKS:
        shown = words(
            (folder_of(site) / page_of_name(notebook))
            .with_suffix(".md")
            .read_text(encoding="utf-8")
        )
        for cell in nbformat.read(notebook, as_version=4).cells:
            if (
                cell.cell_type == "markdown"
                and "](" not in cell.source
                or re.match(r"#\| *exports\b", cell.source)
            ):
                assert words(re.sub(r"^#\|.*\n", "", cell.source, flags=re.M)) in shown


def test_llms_txt(site: dict[Path, Page]) -> None:
    """As llmstxt.org wants it: a title, a quote that says what it is, sections of links. Here to all pages, in the order of the book."""
    text = (folder_of(site) / "llms.txt").read_text(encoding="utf-8")
    assert re.match(r"# python_tcp\n\n> .+\n\n[^#]+\n## ", text)
    listed = re.findall(r"^- \[.+?\]\((\w+)\.md\): .+$", text, re.M)
    assert sorted(listed) == sorted(
        path.stem for path in site if path.name != "search.html"
    )
    assert listed[: len(NOTEBOOKS)] == [
        Path(page_of_name(path)).stem for path in [NOTEBOOKS[-1], *NOTEBOOKS[:-1]]
    ]


def test_the_sidebar_has_sections_for_both_renderers(
    site: dict[Path, Page], tools: ModuleType
) -> None:
    files = [
        "index.ipynb",
        "000_core.ipynb",
        "009_stream.ipynb",
        "058_chat_app.ipynb",
        "903_trace.ipynb",
        "970_glossary.ipynb",
        "api_core.ipynb",
    ]
    titles = [
        "python_tcp",
        "Sockets",
        "Streams",
        "Commands",
        "Appendix: drawings",
        "Glossary",
        "python_tcp.core",
    ]
    book = [
        tools.Page(file, tools.section_of(file), title, "")
        for file, title in zip(files, titles)
    ]
    home, *sections = tools.sidebar(book)
    assert home == {"text": "python_tcp", "href": "index.ipynb"}
    assert [section["section"] for section in sections] == [
        "I Bytes",
        "II One thread for all",
        "III A chat: terminal and commands",
        "Appendices",
        "Around the book",
        "Reference",
    ]
    labels = [entry["text"] for section in sections for entry in section["contents"]]
    assert labels == [
        "0. Sockets",
        "9. Streams",
        "58. Commands",
        "Drawings",
        "Glossary",
        "core",
    ]
    for caption in ("II One thread for all", "Appendices", "Reference"):
        assert all(caption in page.text for page in site.values())


def test_the_search_index_knows_the_chapters(site: dict[Path, Page]) -> None:
    folder = folder_of(site)
    names = ("searchindex.js", "search.json")  # Sphinx, Quarto
    index = "".join(
        (folder / name).read_text(encoding="utf-8")
        for name in names
        if (folder / name).exists()
    )
    for notebook in NOTEBOOKS:
        title = (
            nbformat.read(notebook, as_version=4)
            .cells[0]
            .source.partition("\n")[0]
            .lstrip("# ")
        )
        assert title in index or title.replace("'", "\\u2019") in index
    assert re.search(r'"socket"|socket:|\bsockets?\b', index)


def test_a_name_that_is_a_link_already_stays_that_link(tools: ModuleType) -> None:
    nested = "a [[`KeepAlive`](loop.html#keepalive)](007_loop.ipynb), and [`X`](x.html)"
    assert tools.without_links_in_links(nested) == (
        "a [`KeepAlive`](007_loop.ipynb), and [`X`](x.html)"
    )


def test_a_plain_word_is_no_link_where_it_is_another(tools: ModuleType) -> None:
    """`connect` is a method of every socket, and a function of demo."""
    another = tools.is_another
    imports = "from python_tcp.demo import connect, play"
    assert another("connect", "demo.html", "core", "sock.connect(address)")
    assert not another("connect", "demo.html", "trace", imports)
    assert not another("connect", "demo.html", "demo", "def connect(): ...")
    assert another("Room", "members.html", "broadcast", "class Room:\n    pass")
    assert not another("Room", "members.html", "rooms", "chat.rooms")
    assert not another("start_client", "chat_app.html", "core", "")


def test_a_method_is_no_link_to_a_function_of_the_same_name(tools: ModuleType) -> None:
    """`is_over` is a function of file_space; here it is a method, in a page without cells of code."""
    signature = new_markdown_cell(
        "```python\nclass Exchange\n```\n\n```python\ndef is_over(self, as_bytes: bool) -> bool\n```"
    )
    code = tools.code_of(new_notebook(cells=[signature]))
    assert tools.is_another("is_over", "file_space.html", "api_file_http", code)
    assert tools.is_another("as_bytes", "output.html", "api_file_http", code)
    assert not tools.is_another("Exchange", "file_http.html", "api_file_http", code)


def test_a_page_of_quarto_is_understood(tmp_path: Path) -> None:
    """As its templates have it: links begin with ./, and the turns are in boxes."""
    path = tmp_path / "echo.html"
    path.write_text(
        '<a href="./framing.html" class="sidebar-item-text sidebar-link">2. Framing</a>'
        '<nav class="page-navigation"><div class="nav-page nav-page-previous">'
        '<a href="./core.html" class="pagination-link" aria-label="Sockets">Sockets</a>'
        '</div><div class="nav-page nav-page-next">'
        '<a href="./framing.html" class="pagination-link">Framing</a></div></nav>'
    )
    page = Page(path)
    assert page.links == ["framing.html", "core.html", "framing.html"]
    assert page.turns["prev-page"] == "core.html"
    assert page.turns["next-page"] == "framing.html"


def test_no_anchor_is_given_twice(site: dict[Path, Page]) -> None:
    for path in site:
        ids = re.findall(r'<[^>]* id="([^"]+)"', path.read_text(encoding="utf-8"))
        twice = {each for each in ids if ids.count(each) > 1}
        assert not twice, f"{path.name}: {sorted(twice)[:5]}"


def test_nothing_empty_is_published(site: dict[Path, Page]) -> None:
    folders = [path for path in folder_of(site).rglob("*") if path.is_dir()]
    assert folders and [path.name for path in folders if not list(path.iterdir())] == []


def test_what_a_shell_prints_is_not_coloured_as_python(site: dict[Path, Page]) -> None:
    """A block without a language has no colours: pygments would take it for Python."""
    for path in site:
        text = path.read_text(encoding="utf-8")
        for block in re.findall(
            r'class="highlight-(?:default|none).*?</pre>', text, re.S
        ):
            assert not re.search(r'<span class="(?!linenos)\w', block), (
                path.name,
                block,
            )


def test_no_address_of_ours_stands_in_code(site: dict[Path, Page]) -> None:
    """nbdev links names also in the code that an output shows."""
    assert site
    for path in site:
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"<pre>.*?</pre>", text, re.S):
            assert ".github.io" not in block, path.name
