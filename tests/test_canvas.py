"""`python_tcp.canvas`: other people's text does no harm, and an image is valid, the same each time, and has words."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.canvas import arrow, box, columns, image, line, printable, words

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.slow
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)), st.integers(1, 60))
def test_anything_is_shown_as_one_line_that_can_be_seen(
    content: bytes | str, most: int
) -> None:
    text = printable(content, most)
    assert text.isprintable()
    if printable(content, 10_000) == text:
        return
    assert re.fullmatch(rf"(?s:.{{0,{most}}})… {len(content)} (bytes|characters)", text)


def test_a_long_frame_is_cut_and_what_is_not_seen_is_escaped() -> None:
    assert printable(b"x" * 41) == "x" * 40 + "… 41 bytes"
    assert printable("é" * 40) == "é" * 40
    assert printable("a\u202eb\x1b\ud800\n") == "a\\u202eb\\x1b\\ud800\\n"


@pytest.mark.parametrize(
    "text, width", [("", 0), ("né", 2), ("ne\u0301", 2), ("日本", 4), ("👋", 2)]
)
def test_the_width_of_a_text_is_counted_in_columns(text: str, width: int) -> None:
    assert columns(text) == width


@given(
    st.text(
        st.characters(
            exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"
        )
    )
)
def test_any_visible_text_is_only_text_in_an_image(text: str) -> None:
    shapes = [words(5, 5, text), box(5, 5, 5, 5, 0), line("M0 0H9")]
    root = ElementTree.fromstring(
        image(text, [text], shapes + arrow("M0 0H9", 9, 0, "right"), (10, 10))
    )
    tags = [element.tag.removeprefix(SVG) for element in root]
    assert tags == [
        "title",
        "desc",
        "style",
        "rect",
        "text",
        "rect",
        "path",
        "path",
        "path",
    ]
    assert [
        element.text or ""
        for element in root
        if element.tag in (SVG + "title", SVG + "desc", SVG + "text")
    ] == [text] * 3


def test_an_image_has_the_colour_of_the_page_and_a_paper_only_where_it_stands_alone() -> (
    None
):
    picture = image("a", [], [words(5, 5, "b")], (10, 10))
    assert 'fill="currentColor"' in picture and "svg:root>.paper{fill:#fff}" in picture
    assert not re.search(r"(fill|stroke)=.(#000|#fff|black|white)", picture)


def test_an_image_that_stands_alone_in_the_dark_is_dark_and_can_be_read() -> None:
    picture = image("a", [], [words(5, 5, "b")], (10, 10))
    light, dark = re.findall(
        r"svg:root{color:(#\w+)}svg:root>.paper{fill:(#\w+)}", picture
    )
    assert picture.index(dark[0]) > picture.index("@media(prefers-color-scheme:dark){")

    def brightness(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [byte / 255 for byte in bytes.fromhex(digits)]
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    assert brightness(light[1]) / brightness(light[0]) > 7
    assert brightness(dark[0]) / brightness(dark[1]) > 7


def test_what_differs_in_anything_has_other_ids() -> None:
    pictures = [
        image("a", [], [], (1, 1)),
        image("b", [], [], (1, 1)),
        image("a", ["c"], [], (1, 1)),
        image("a", [], ["<g/>"], (1, 1)),
    ]
    assert len({re.search('id="([^"]+)"', picture)[1] for picture in pictures}) == 4
