"""`python_tcp.screen` without a terminal: what is written to one, rows and the bar."""

import time

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from python_tcp.chat_view import line_of, notice
from python_tcp.protocol import Message
from python_tcp.screen import (
    MOST_ROWS, LineBatch, paint, rows_of, scroll_above, stamp,
)  # fmt: skip
from python_tcp.text import Span, bar

anything = st.text(st.characters(exclude_categories=()), max_size=300)
DAY = time.mktime((2026, 11, 21, 12, 41, 0, 0, 0, -1))


def width(text: str) -> int:
    return sum(max(wcwidth(character), 0) for character in text)


@pytest.mark.slow
@given(anything, st.integers(1, 120))
def test_a_row_on_a_screen_takes_one_row_and_begins_with_what_is_ours(
    text: str, columns: int
) -> None:
    line = line_of(Message("lobby", 1, "mallory", text, DAY), "ann")
    rows = rows_of(line, columns)
    assert len(rows) <= MOST_ROWS + 1
    for place, row in enumerate(rows):
        shown = "".join(span.text for span in row)
        assert columns < 8 or width(shown) < columns
        if place:
            assert shown.startswith("  ")
        elif columns >= 30:
            assert shown.startswith("12:41 ")


def test_a_message_of_4000_rows_is_cut() -> None:
    rows = rows_of(
        line_of(Message("lobby", 1, "mallory", "x\n" * 2000, DAY), "ann"), 80
    )
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1][-1].text == f"({2001 - MOST_ROWS} more rows)"


@pytest.mark.parametrize(("columns", "row"), [(80, "12:41 -- so"), (29, "-- so")])
def test_the_room_and_the_time_are_left_out_where_there_is_no_place(
    columns: int, row: str
) -> None:
    (spans,) = rows_of(notice("so", when=DAY), columns)
    assert "".join(span.text for span in spans) == row


def test_times() -> None:
    assert stamp(DAY) == stamp(DAY, "2026-11-21") == "12:41"
    assert stamp(DAY, "2026-11-22") == "2026-11-21 12:41"
    for when in (1e300, -1e300, float("inf"), float("nan")):
        assert stamp(when) == "--:--"


def test_scroll_above_on_a_screen() -> None:
    for gap in range(5):
        screen = pyte.HistoryScreen(20, 8)
        stream = pyte.Stream(screen)
        stream.feed("".join(f"row {number}\r\n" for number in range(6 - gap)))
        stream.feed("\x1b[7;1Htyped\r\nbar\x1b[7;3H\x1b[31m")
        stream.feed(scroll_above(["one", "two"], bottom=6, gap=gap) + "\x1b[m")
        rows = [row.rstrip() for row in screen.display]
        assert rows[6:] == ["typed", "bar"]
        assert (screen.cursor.x, screen.cursor.y, screen.margins) == (2, 6, None)
        top = [
            "".join(line[x].data for x in range(20)).rstrip()
            for line in screen.history.top
        ]
        shown = [row for row in top + rows[:6] if row]
        assert shown == [f"row {number}" for number in range(6 - gap)] + ["one", "two"]


def test_paint_without_colours_keeps_bold_and_reversed() -> None:
    row = [Span("a", 28, bold=True), Span("b", 30, reversed=True), Span("c", 30)]
    assert (
        paint(row) == "\x1b[1;38;5;28ma\x1b[m\x1b[7;38;5;30mb\x1b[m\x1b[38;5;30mc\x1b[m"
    )
    assert paint(row, colours=False) == "\x1b[1ma\x1b[m\x1b[7mb\x1b[mc"


def test_the_bar_has_always_the_width_of_the_window() -> None:
    for width in range(1, 100):
        parts = ("lobby: 3 people", "unread: dev 2", "", "1 not sent yet", "lost, trying again in 4 s")  # fmt: skip
        text = bar(width, *parts)
        assert len(text) == width
        if width >= 27:
            assert "lost, trying again in 4 s" in text


def test_lines_that_come_together_are_shown_with_one_write() -> None:
    import asyncio
    from types import SimpleNamespace

    drawn = []
    renderer = SimpleNamespace(last_rendered_screen=None)
    app = SimpleNamespace(is_done=False, renderer=renderer, invalidate=lambda: None)
    batch = LineBatch(SimpleNamespace(app=app, add=drawn.append))
    lines = [notice(str(number)) for number in range(5)]

    async def scene() -> None:
        batch.add(lines[:1])
        batch.add(lines[1:3])
        await asyncio.sleep(2 * LineBatch.PAUSE)
        assert drawn == []  # the application has not been drawn yet
        renderer.last_rendered_screen = object()
        await asyncio.sleep(5 * LineBatch.PAUSE)
        assert drawn == [lines[:3]]
        batch.add(lines[3:4])
        app.is_done = True
        await asyncio.sleep(5 * LineBatch.PAUSE)
        assert drawn == [lines[:3]]

    asyncio.run(scene())
