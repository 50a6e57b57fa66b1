"""What Quarto gets to render, and how its warnings are treated. Quarto itself is not needed."""

import json
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml
from test_site import tools  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
GENERIC = "What the cell above has drawn"

pytestmark = pytest.mark.slow(seconds=50)


@pytest.fixture(scope="module")
def pages(prepared: Path) -> dict[str, nbformat.NotebookNode]:
    """Each notebook of the prepared folder."""
    paths = sorted(prepared.glob("*.ipynb"))
    assert len(paths) > 200  # the chapters and the reference
    return {path.name: nbformat.read(path, as_version=4) for path in paths}


def cells(pages: dict, kind: str) -> Iterator[tuple[str, nbformat.NotebookNode]]:
    for name, page in pages.items():
        yield from ((name, cell) for cell in page.cells if cell.cell_type == kind)


def test_definitions_are_those_of_the_book(pages: dict) -> None:
    """Neither nbdev's block, which shows the wrong signature of a class, nor names of the build."""
    for name, cell in cells(pages, "code"):
        assert "show_doc(" not in cell.source, name
        assert "Exported source" not in cell.source, name
    for name, cell in cells(pages, "markdown"):
        assert "(*args, **kwargs)" not in cell.source, name
        assert "__main__." not in cell.source, name
    loop = "\n".join(cell.source for cell in pages["007_loop.ipynb"].cells)
    assert '<div class="api" id="api.EventLoop"><code>EventLoop</code>' in loop


def test_definitions_stand_above_their_code_in_its_order(pages: dict) -> None:
    """nbdev puts the last one of a cell above it, and the others below."""
    seen = 0
    for name, page in pages.items():
        above: list[str] = []
        for cell in page.cells:
            if label := re.match(r'<div class="api" id="api\.(\w+)">', cell.source):
                above.append(label[1])
            elif above:
                defined = re.findall(
                    r"^(?:async def|def|class) (\w+)", cell.source, re.M
                )
                shown = [each for each in above if each in defined]
                assert shown == [each for each in defined if each in above], name
                assert cell.cell_type == "code" or not shown, name
                seen += len(shown)
                above = []
    assert seen > 500


def test_links_between_the_pages_are_local(pages: dict) -> None:
    settings = (ROOT / "settings.ini").read_text(encoding="utf-8")
    user = re.search(r"^user = (\S+)", settings, re.M)[1]
    for name, cell in cells(pages, "markdown"):
        assert f"{user}.github.io" not in cell.source, name


def test_names_of_ours_lead_to_their_definition(pages: dict) -> None:
    """nbdev writes these addresses in lower case."""
    text = {
        re.sub(r"^\d+_|\.ipynb$", "", name): "\n".join(it.source for it in page.cells)
        for name, page in pages.items()
    }
    links = {
        link
        for page in text.values()
        for link in re.findall(r"`\]\((\w+)\.html#([\w.]+)\)", page)
    }
    assert len(links) > 100
    for page, anchor in links:
        assert f'id="{anchor}"' in text[page], f"{page}.html#{anchor}"
    assert ("loop", "api.EventLoop") in links


def test_quarto_can_resolve_each_link(pages: dict, prepared: Path) -> None:
    """It warns of a link to Markdown or to a notebook that is not there."""
    for name, cell in cells(pages, "markdown"):
        for link in re.findall(r"\]\(([\w./-]+\.(?:ipynb|md))", cell.source):
            assert (prepared / link).exists(), f"{name}: {link}"


def test_what_is_copied_is_not_rendered(prepared: Path) -> None:
    project = yaml.safe_load((ROOT / "_quarto.yml").read_text())["project"]
    assert project["render"] == ["*.ipynb"]
    for pattern in project["resources"]:
        assert list(prepared.glob(pattern)), pattern
    assert (prepared / "core.md").exists()
    assert (prepared / "notebooks" / "000_core.ipynb").exists()


def test_every_picture_has_a_text_of_its_own(pages: dict) -> None:
    pictures = 0
    for name, cell in cells(pages, "code"):
        kinds = [kind for it in cell.outputs for kind in it.get("data", {})]
        if any(kind.startswith("image/") for kind in kinds):
            found = re.search(r"^#\| fig-alt: (.+)$", cell.source, re.M)
            assert found, f"{name}: {cell.source}"
            text = yaml.safe_load(found[1])
            assert len(text.split()) > 2 and text != GENERIC, f"{name}: {cell.source}"
            pictures += 1
    for name, cell in cells(pages, "markdown"):
        for text in re.findall(r"!\[(.*?)\]\(", re.sub(r"`[^`]*`", "", cell.source)):
            assert len(text.split()) > 2, name
            pictures += 1
    assert pictures > 20


def test_no_definition_has_the_anchor_of_another(pages: dict) -> None:
    """`goodbye` is not `Goodbye`, and a name is not the heading of the same words."""
    for name, page in pages.items():
        text = "\n".join(cell.source for cell in page.cells)
        anchors = re.findall(r'<div class="api" id="([^"]+)"', text)
        assert len(anchors) == len(set(anchors)), name
        assert all(anchor.startswith("api.") for anchor in anchors)
    events = "\n".join(cell.source for cell in pages["017_events.ipynb"].cells)
    assert 'id="api.Goodbye"' in events and 'id="api.goodbye"' in events


# --- the settings -------------------------------------------------------------------------------------------------

HTML = yaml.safe_load((ROOT / "_quarto.yml").read_text())["format"]["html"]


def test_the_themes_are_there_and_fetch_no_fonts() -> None:
    for mode in ("light", "dark"):
        base, *own = HTML["theme"][mode]
        texts = [(ROOT / "nbs" / name).read_text(encoding="utf-8") for name in own]
        assert "$web-font-path: false;" in texts[0]
        assert not re.search(r"https?://", "".join(texts))
    assert HTML["respect-user-color-scheme"] is True


def test_tables_and_code_fit_on_both_sites() -> None:
    """Of what is done for narrow screens, Quarto gets the same as Sphinx: the style, and the script beside it."""
    assert HTML["css"] == "styles.css"
    [included] = HTML["include-after-body"]
    script = re.fullmatch(r'<script src="([\w.]+)"></script>', included["text"])
    assert script and (ROOT / "nbs" / script[1]).exists()
    project = yaml.safe_load((ROOT / "_quarto.yml").read_text())["project"]
    assert script[1] in project["resources"]
    theme = (ROOT / "nbs" / "theme.scss").read_text(encoding="utf-8")
    assert "pre-wrap" in theme.partition("code.sourceCode {")[2].partition("}")[0]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [
        it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_in_the_dark_can_be_read() -> None:
    """On darkly's ground, or on the ground of the same rule: 4.5 to 1 at least."""
    text = (ROOT / "nbs" / "theme_dark.scss").read_text(encoding="utf-8")
    colours = 0
    for rule in re.findall(r"\{([^}]*)\}", text):
        ground = re.search(r"background: (#\w{6})", rule)
        for colour in re.findall(r"(?<![\w-])color: (#\w{6})", rule):
            assert contrast(colour, ground[1] if ground else "#222222") >= 4.5, rule
            colours += 1
    assert colours >= 3
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


# --- warnings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("WARN: Unable to resolve link target: x.md", 1),
        ("Output created: index.html", 0),
    ],
)
def test_a_warning_of_quarto_is_counted_and_shown(
    says: str,
    expected: int,
    tools,
    tmp_path,
    monkeypatch,
    capsys,  # noqa: F811
) -> None:
    quarto = tmp_path / "bin" / "quarto"
    quarto.parent.mkdir()
    script = f"import sys; print({json.dumps(says)}, file=sys.stderr)"
    quarto.write_text(f"#!{sys.executable}\n{script}\n")
    quarto.chmod(quarto.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(quarto.parent))
    monkeypatch.chdir(ROOT)
    (tmp_path / "_proc").mkdir()
    folder, warnings = tools.with_quarto(tmp_path)
    assert folder == tmp_path / "_proc" / "_docs" and len(warnings) == expected
    assert says in capsys.readouterr().err
