"""`python_tcp.diagram`: drawings of events and of tables of states, as images and as text."""

import re
from collections.abc import Iterator
from enum import StrEnum, auto
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_tcp.canvas import CHAR, columns
from python_tcp.core import SocketState
from python_tcp.diagram import SequenceDiagram, StateDiagram, TraceEvent

SVG = "{http://www.w3.org/2000/svg}"
Diagram = SequenceDiagram | StateDiagram


def note(source: str, target: str, content: bytes | str) -> TraceEvent:
    return TraceEvent("frame", source, target, content)


def label(lane: str, text: str) -> TraceEvent:
    return TraceEvent("label", lane, lane, text)


def step(text: str) -> TraceEvent:
    return TraceEvent("step", content=text)


def image(diagram: Diagram) -> ElementTree.Element:
    return ElementTree.fromstring(diagram.svg())


def texts(diagram: Diagram) -> list[str]:
    return [text.text for text in image(diagram).iter(SVG + "text")]


def points(path: ElementTree.Element) -> Iterator[tuple[float, float]]:
    """The ends of the lines of a path; a curve's are its control point and its end."""
    x = y = 0.0
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path.get("d")):
        values = [float(n) for n in re.findall(r"-?[\d.]+", numbers)]
        if letter in "Hh":
            x = values[0] + x * (letter == "h")
        elif letter in "Vv":
            y = values[0] + y * (letter == "v")
        elif letter == "a":
            x, y = x + values[-2], y + values[-1]
        elif letter != "z":
            for dx, dy in zip(values[::2], values[1::2]):
                base = (x, y) if letter.islower() else (0.0, 0.0)
                new = base[0] + dx, base[1] + dy
                yield new
            x, y = new
        yield x, y


def assert_all_is_inside(root: ElementTree.Element) -> None:
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    for rect in root.iter(SVG + "rect"):
        if rect.get("x"):
            x, y = float(rect.get("x")), float(rect.get("y"))
            assert x >= 0 and x + float(rect.get("width")) <= width
            assert y >= 0 and y + float(rect.get("height")) <= height
    for text in root.iter(SVG + "text"):
        left, right = extent(text)
        assert left >= 0 and right <= width and float(text.get("y")) < height
    for path in root.iter(SVG + "path"):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points(path))


def extent(text: ElementTree.Element) -> tuple[float, float]:
    """Where a text begins and ends."""
    x, size = float(text.get("x")), columns(text.text or "") * 7.3
    left = x - size / 2 if text.get("text-anchor") == "middle" else x
    return left, left + size


# Sequence diagrams


def test_markup_in_names_frames_and_titles_is_only_text() -> None:
    evil = "\"'><script>alert(1)</script>&"
    events = [note(evil, "b", evil), label("b", evil), step(evil)]
    diagram = SequenceDiagram([evil, "b"], events, title=evil)
    assert "<script" not in diagram.svg()
    assert texts(diagram) == [evil, "b", evil, evil, evil]


def test_an_image_says_what_it_is_to_those_who_cannot_see_it() -> None:
    events = [note("ann", "bob", b"hello"), label("bob", "smiles"), step("Monday")]
    root = image(SequenceDiagram(["ann", "bob"], events, title="A talk"))
    ids = {element.get("id"): element.text for element in root if element.get("id")}
    assert root.get("role") == "img"
    assert [ids[name] for name in root.get("aria-labelledby").split()] == [
        "A talk",
        "ann to bob: hello\nbob: smiles\nMonday",
    ]


def test_two_images_on_one_page_have_different_ids_and_the_same_one_is_the_same() -> (
    None
):
    def one(word: str) -> str:
        return SequenceDiagram(["ann", "bob"], [note("ann", "bob", word)]).svg()

    assert one("hello") == one("hello")
    ids = [set(re.findall(r' id="([^"]+)"', one(word))) for word in ("hello", "world")]
    assert len(ids[0]) == 2 and not ids[0] & ids[1]


def test_everything_is_inside_the_image() -> None:
    events = [
        note("a", "b", "x" * 40), note("a", "c", "y" * 30), label("a", "z" * 30),
        label("c", "z" * 30), step("s" * 40), note("c", "a", "日本" * 20),
    ]  # fmt: skip
    assert_all_is_inside(image(SequenceDiagram(["a", "b", "c"], events)))


def test_a_headline_is_as_wide_as_it_must_be() -> None:
    diagram = SequenceDiagram(["a"], [step("s" * 40)])
    assert str(diagram).splitlines()[1] == "== " + "s" * 40 + " =="
    assert float(image(diagram).get("width")) > 40 * CHAR


def test_words_fit_between_their_lanes() -> None:
    events = [note("a", "b", "x" * 40), note("c", "a", "日本" * 15)]
    names, first, second = str(SequenceDiagram(["a", "b", "c"], events)).splitlines()
    assert " " + "x" * 40 + " " in first and first.count("|") == 3
    assert " " + "日本" * 15 + " " in second and second.count("|") == 2


def test_columns_stay_in_line_with_wide_characters() -> None:
    words = ("hi", "日本", "e\u0301")
    events = [note("ann", "bob", word) for word in words]
    rows = str(SequenceDiagram(["ann", "bob"], events)).splitlines()[1:]
    assert rows == ["   |--- hi --->|", "   |--- 日本 ->|", "   |--- e\u0301 ---->|"]


def test_states_stand_side_by_side_and_a_second_one_on_a_lane_below() -> None:
    states = [TraceEvent("state", lane, lane, "OPEN") for lane in "abb"]
    rows = str(SequenceDiagram(["a", "b"], states)).splitlines()[1:]
    assert [row.split() for row in rows] == [["[OPEN]", "[OPEN]"], ["|", "[OPEN]"]]


def test_nothing_can_be_drawn() -> None:
    empty = SequenceDiagram([], [])
    assert str(empty) == ""
    assert image(empty).tag == SVG + "svg"
    assert image(StateDiagram({})).tag == SVG + "svg"
    assert str(StateDiagram({})) == "state  event  next state"


def test_show_makes_the_words_of_frames_and_leaves_some_out() -> None:
    events = [note("a", "b", b"ping"), note("a", "b", b"hi"), label("a", "ping")]
    show = lambda content: None if content == b"ping" else content.decode().upper()
    diagram = SequenceDiagram(["a", "b"], events, show=show)
    assert [event.content for event in diagram.events] == ["HI", "ping"]


def lifelines(diagram: SequenceDiagram) -> dict[float, list[tuple[float, float]]]:
    """Of each lane, by x: from where to where its pieces go."""
    result: dict[float, list[tuple[float, float]]] = {}
    for path in image(diagram).iter(SVG + "path"):
        if path.get("stroke-opacity"):
            x, y, pieces = 0.0, 0.0, []
            for letter, numbers in re.findall(r"([Mmv])([^Mmv]*)", path.get("d")):
                values = [float(n) for n in numbers.split()]
                if letter == "M":
                    x, y = values
                elif letter == "m":
                    y += values[1]
                else:
                    pieces.append((y, y + values[0]))
                    y += values[0]
            result[x] = pieces
    return result


def test_a_lane_goes_on_where_an_arrow_crosses_it() -> None:
    events = [note("a", "c", "x"), note("a", "b", "y"), note("c", "a", "x" * 40)]
    diagram = SequenceDiagram(["a", "b", "c"], events)
    first = str(diagram).splitlines()[1]
    assert first.count("|") == 3
    left, middle, right = lifelines(diagram).values()
    for lane in (left, right):
        assert [end for _, end in lane[:-1]] == [start for start, _ in lane[1:]]
    gaps = [(a[1], b[0]) for a, b in zip(middle, middle[1:]) if a[1] != b[0]]
    assert gaps and all(end - start <= 15 for start, end in gaps)  # only behind words


def test_nothing_is_drawn_through_a_word() -> None:
    events = [note("a", "c", "hello"), label("b", "waits"), step("a headline"), note("c", "a", "x" * 50), note("c", "a", "six words in more lines than one"), label("b", "waits, and waits, and waits")]  # fmt: skip
    diagram = SequenceDiagram(["a", "b", "c"], events)
    for text in image(diagram).iter(SVG + "text"):
        (left, right), y = extent(text), float(text.get("y"))
        for x, pieces in lifelines(diagram).items():
            if left < x < right:
                assert not any(a < y - 4 < b for a, b in pieces), text.text


def test_a_long_text_stands_in_short_lines_in_the_image_only() -> None:
    said = "message 17 of Bob: Hi Alice, hi Charlie."
    events = [note("a", "b", said), label("b", "reads nothing from now on, nothing"), note("c", "a", said)]  # fmt: skip
    diagram = SequenceDiagram(["a", "b", "c"], events)
    assert f" {said} " in str(diagram)
    root = image(diagram)
    assert_all_is_inside(root)
    assert float(root.get("width")) <= 480  # a third smaller on a telephone
    lines = texts(diagram)
    assert all(columns(line) <= 20 for line in lines)
    assert " ".join(lines).count(said) == 2
    assert f"a to b: {said}" in (root.find(SVG + "desc").text or "")


# State diagrams


class Door(StrEnum):
    OPEN = auto()
    CLOSED = auto()
    LOCKED = auto()


DOOR = {
    Door.OPEN: {"close": Door.CLOSED},
    Door.CLOSED: {"open": Door.OPEN, "knock": Door.CLOSED, "lock": Door.LOCKED},
    Door.LOCKED: {"unlock": Door.CLOSED},
}
S = SocketState
KERNEL = {
    S.CLOSED: {"listen()": S.LISTEN, "connect()": S.SYN_SENT},
    S.LISTEN: {"SYN": S.SYN_RECEIVED},
    S.SYN_SENT: {"SYN, ACK": S.ESTABLISHED, "timeout": S.CLOSED},
    S.SYN_RECEIVED: {"ACK": S.ESTABLISHED, "RST": S.LISTEN},
    S.ESTABLISHED: {"close()": S.FIN_WAIT_1, "FIN": S.CLOSE_WAIT, "RST": S.CLOSED},
    S.FIN_WAIT_1: {"ACK": S.FIN_WAIT_2, "FIN": S.CLOSING},
    S.FIN_WAIT_2: {"FIN": S.TIME_WAIT},
    S.CLOSING: {"ACK": S.TIME_WAIT},
    S.CLOSE_WAIT: {"close()": S.LAST_ACK},
    S.LAST_ACK: {"ACK": S.CLOSED},
    S.TIME_WAIT: {"a minute": S.CLOSED},
}
NAMES = st.text("abcxyzäß日<&", min_size=1, max_size=12)
TABLES = st.dictionaries(NAMES, st.dictionaries(NAMES, NAMES, max_size=4), max_size=7)


def test_the_table_as_text() -> None:
    assert str(StateDiagram(DOOR)).splitlines() == [
        "state   event   next state",
        "OPEN    close   CLOSED",
        "CLOSED  open    OPEN",
        "CLOSED  knock   CLOSED",
        "CLOSED  lock    LOCKED",
        "LOCKED  unlock  CLOSED",
    ]


def test_a_state_that_only_stands_on_the_right_is_an_end() -> None:
    diagram = StateDiagram({"a": {"x": "b"}})
    assert diagram.states == ["a", "b"]
    assert str(diagram).splitlines()[-1] == "b      -      (the end)"
    boxes = [r for r in image(diagram).iter(SVG + "rect") if r.get("x")]
    assert len(boxes) == 3  # the end has a double border


def test_members_of_an_enum_and_strings_give_the_same() -> None:
    plain = {
        state.name: {event: to.name for event, to in events.items()}
        for state, events in DOOR.items()
    }
    assert StateDiagram(DOOR).svg() == StateDiagram(plain).svg()


def test_it_is_said_in_words_which_event_leads_where() -> None:
    root = image(StateDiagram(DOOR, title="A door"))
    ids = {element.get("id"): element.text for element in root if element.get("id")}
    title, words = (ids[name] for name in root.get("aria-labelledby").split())
    assert title == "A door"
    assert words.splitlines()[:3] == [
        "It begins in OPEN.",
        "OPEN, close: CLOSED.",
        "CLOSED, open: OPEN.",
    ]


def test_each_state_and_each_event_is_in_the_image() -> None:
    assert sorted(texts(StateDiagram(DOOR))) == sorted(
        ["OPEN", "CLOSED", "LOCKED", "close", "open", "knock", "lock", "unlock"]
    )


def test_events_that_lead_the_same_way_share_an_arrow() -> None:
    table = {"a": {"x": "c", "y": "c", "z": "b"}, "b": {}, "c": {}}
    assert "x, y" in texts(StateDiagram(table))
    many = {"a": {f"event number {n}": "a" for n in range(9)}}
    lines = texts(StateDiagram(many))[1:]
    assert ", ".join(lines).replace(",,", ",").count("event") == 9
    assert all(columns(line) <= 24 for line in lines)
    assert_all_is_inside(image(StateDiagram(many)))


def test_lines_that_lead_to_different_states_have_different_colours() -> None:
    table = {"a": {"x": "c", "y": "d"}, "b": {"z": "a"}, "c": {"w": "a"}, "d": {}}
    heads = {(p.get("d") or "").split()[1].partition("l")[0]: p.get("fill") for p in image(StateDiagram(table)).iter(SVG + "path") if (p.get("d") or "").endswith("l8 -4v8z")}  # fmt: skip
    assert len(heads) == 3 and len(set(heads.values())) == 3


def test_the_states_of_the_kernel_fit_on_a_telephone() -> None:
    diagram = StateDiagram(KERNEL)
    assert float(image(diagram).get("width")) <= 390
    assert_all_is_inside(image(diagram))


def assert_no_words_are_crossed(root: ElementTree.Element) -> None:
    words = [(*extent(text), float(text.get("y"))) for text in root.iter(SVG + "text")]
    for path in root.iter(SVG + "path"):
        ends = list(points(path))
        for (x1, y1), (x2, y2) in zip(ends, ends[1:]):
            for left, right, y in words:
                over = max(min(x1, x2), left) < min(max(x1, x2), right) or (
                    x1 == x2 and left < x1 < right
                )
                assert not (over and min(y1, y2) < y - 1 and max(y1, y2) > y - 8)


@pytest.mark.parametrize("table", [DOOR, KERNEL], ids=["door", "kernel"])
def test_no_arrow_runs_through_a_word(table: dict) -> None:
    assert_no_words_are_crossed(image(StateDiagram(table)))


@pytest.mark.slow
@given(TABLES)
def test_any_table_can_be_drawn_and_all_of_it_is_there(table: dict) -> None:
    diagram = StateDiagram(table)
    root = image(diagram)
    assert_all_is_inside(root)
    assert_no_words_are_crossed(root)
    said = root.find(SVG + "desc").text or ""
    for state, events in table.items():
        assert state in texts(diagram)
        for event, to in events.items():
            assert f"{state}, {event}: {to}." in said.splitlines()
    arrows = [p for p in root.iter(SVG + "path") if p.get("d").endswith("z")]
    ways = {(state, to) for state, events in table.items() for to in events.values()}
    assert len(arrows) == len(ways) + bool(table)


@given(TABLES)
def test_the_same_table_gives_the_same_image(table: dict) -> None:
    assert StateDiagram(table).svg() == StateDiagram(dict(table)).svg()


def test_markup_in_the_names_of_states_is_only_text() -> None:
    evil = "<script>&\x1b"
    diagram = StateDiagram({evil: {evil: evil}}, title=evil.strip("\x1b"))
    assert "<script" not in diagram.svg()
    assert texts(diagram) == ["<script>&\\x1b"] * 2
