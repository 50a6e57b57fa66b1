"""The site as Sphinx builds it: every chapter is there and whole, every link leads somewhere, nothing comes from another host."""
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class Page(HTMLParser):
    """What the checks need of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []  # what a reader can follow
        self.files: list[str] = []  # what the browser loads
        self.ids: set[str] = set()
        self.words: list[str] = []  # outside code
        self.all_words: list[str] = []
        self.silent = 0
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join("".join(self.all_words).split())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        attributes = dict(attrs)
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag in ("script", "img") and attributes.get("src"):
            self.files.append(attributes["src"])
        elif tag == "link" and attributes.get("rel") in ("stylesheet", "preload", "icon"):
            self.files.append(attributes["href"])
        self.silent += tag in ("pre", "code", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("pre", "code", "script", "style")

    def handle_data(self, data: str) -> None:
        self.all_words.append(data)
        if not self.silent:
            self.words.append(data)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a site built where there is no Quarto, and what the build complained of."""
    folder = tmp_path_factory.mktemp("site")
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "quarto").exists())
    command = [sys.executable, ROOT / "tools" / "site.py", "--output", folder]
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


@pytest.fixture(scope="session")
def site(build: tuple[Path, str]) -> dict[Path, Page]:
    """Every page."""
    return {path: Page(path) for path in build[0].glob("*.html")}


def folder_of(site: dict[Path, Page]) -> Path:
    return next(iter(site)).parent


def page_of(notebook: Path, site: dict[Path, Page]) -> Page:
    name = re.sub(r"^\d+_", "", notebook.stem)
    return site[folder_of(site) / f"{name}.html"]


def words(text: str) -> str:
    """Only letters and figures: Markdown, typographic quotes and line breaks don't matter."""
    return re.sub(r"[\W_]+", " ", text).strip()


def test_the_build_has_nothing_to_complain_of(build: tuple[Path, str]) -> None:
    """nbdev names cells that mix imports with other code, which a build runs; Sphinx names unknown languages, headings, pages."""
    assert not build[1], build[1]


@each_notebook
def test_a_chapter_is_whole(path: Path, site: dict[Path, Page]) -> None:
    shown = words(page_of(path, site).text)
    for cell in nbformat.read(path, as_version=4).cells:
        exports = re.match(r"#\| *exports\b.*\n", cell.source)
        if cell.cell_type == "markdown":
            paragraphs = re.split(r"\n\s*\n", re.sub(r"\]\([^)]*\)|^ *(?:[-*>]|\d+\.|#+) ", " ", cell.source, flags=re.M))
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
            if not target.exists() or parts.fragment and target in site and unquote(parts.fragment) not in site[target].ids:
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_the_sidebar_lists_every_chapter_in_order(site: dict[Path, Page]) -> None:
    chapters = [re.sub(r"^\d+_", "", path.stem) + ".html" for path in NOTEBOOKS if path.stem != "index"]
    for path in site:
        links = [link for link in site[path].links if link in chapters or link == "#" and path.name in chapters]
        listed = [path.name if link == "#" else link for link in links]
        assert listed[: len(chapters)] == chapters


def test_pages_lead_to_the_next_and_back(site: dict[Path, Page]) -> None:
    chapters = ["index.html", *(re.sub(r"^\d+_", "", path.stem) + ".html" for path in NOTEBOOKS if path.stem != "index")]
    for here, following in zip(chapters, chapters[1:]):
        assert site[folder_of(site) / here].links[-40:].count(following)
        assert site[folder_of(site) / following].links[-40:].count(here)


def test_no_markup_is_left_over(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert re.findall(r":::|#\||\{#|\?@|\{target=", "".join(page.words)) == [], path.name


def test_nothing_comes_from_another_host(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert [file for file in page.files if urlsplit(file).netloc] == [], path.name
    for style in folder_of(site).rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style.name


def test_pages_lead_to_their_notebooks(site: dict[Path, Page]) -> None:
    for notebook in NOTEBOOKS:
        links = [link for link in page_of(notebook, site).links if link.endswith(notebook.name)]
        assert [urlsplit(link).netloc for link in links[:3]] == ["github.com", "mybinder.org", "colab.research.google.com"]


def test_the_search_index_knows_the_chapters(site: dict[Path, Page]) -> None:
    index = (folder_of(site) / "searchindex.js").read_text(encoding="utf-8")
    for notebook in NOTEBOOKS:
        title = nbformat.read(notebook, as_version=4).cells[0].source.partition("\n")[0].lstrip("# ")
        assert title in index
    assert '"socket"' in index or "socket:" in index
