"""`python_tcp.framing`: the same frames, however the stream is cut."""

import itertools
import struct
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chapters import from_chapter
from python_tcp.framing import FrameTooLong, LengthFramer, LineFramer, add_length

NaiveFramer, CountingNaiveFramer, feed_line, HeadFramer, NetstringFramer = from_chapter(
    "002_framing", "NaiveFramer", "CountingNaiveFramer", "feed_line", "HeadFramer", "NetstringFramer"
)  # fmt: skip

Frames = list[bytes | FrameTooLong]


def feed_all(framer: LineFramer | LengthFramer, pieces: Iterable[bytes]) -> Frames:
    return [frame for piece in pieces for frame in framer.feed(piece)]


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    places = sorted(place for place in places if place < len(stream))
    return [
        stream[start:end] for start, end in zip([0, *places], [*places, len(stream)])
    ]


def lines_of(stream: bytes, limit: int) -> Frames:
    """The plain model: split, take the CR away, check."""
    *lines, rest = stream.split(b"\n")
    lines = [line.removesuffix(b"\r") for line in lines]
    frames: Frames = [
        line if len(line) <= limit else FrameTooLong(limit) for line in lines
    ]
    return [*frames, FrameTooLong(limit)] if len(rest) > limit + 1 else frames


STREAM = "one\ntwö\r\n\n\r\n\r\r\n123456\n1234567\n123456\r\n1234567\r\n12345678\r\n123456789012\nlast\nunfinished".encode()
LIMIT = 6


def test_lines_end_with_lf_or_crlf_and_empty_ones_count() -> None:
    assert LineFramer().feed(b"a\nb\r\n\n\r\nc\rd\n\r\r\ne") == [
        b"a",
        b"b",
        b"",
        b"",
        b"c\rd",
        b"\r",
    ]


def test_the_stream_in_one_piece_gives_what_the_model_says() -> None:
    frames = LineFramer(LIMIT).feed(STREAM)
    assert frames == lines_of(STREAM, LIMIT)
    assert frames.count(FrameTooLong(LIMIT)) == 5


@pytest.mark.parametrize("cuts", [1, 2])
def test_cut_at_every_byte_and_every_pair_of_bytes_it_gives_the_same(cuts: int) -> None:
    expected = LineFramer(LIMIT).feed(STREAM)
    for places in itertools.combinations(range(len(STREAM) + 1), cuts):
        assert feed_all(LineFramer(LIMIT), cut(STREAM, places)) == expected, (
            f"cut at {places}"
        )


def test_byte_by_byte_it_gives_the_same() -> None:
    assert feed_all(LineFramer(LIMIT), cut(STREAM, range(len(STREAM)))) == LineFramer(
        LIMIT
    ).feed(STREAM)


@given(
    st.text("ab\r\n", max_size=60).map(str.encode),
    st.integers(0, 8),
    st.sets(st.integers(0, 60)),
)
def test_any_stream_in_any_pieces_with_any_limit_gives_what_the_model_says(
    stream: bytes, limit: int, places: set[int]
) -> None:
    assert feed_all(LineFramer(limit), cut(stream, places)) == lines_of(stream, limit)


@given(st.binary(max_size=200), st.sets(st.integers(0, 200)))
def test_bytes_that_are_no_text_are_framed_all_the_same(
    stream: bytes, places: set[int]
) -> None:
    assert feed_all(LineFramer(16), cut(stream, places)) == lines_of(stream, 16)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_of_the_limit_passes_and_one_byte_more_does_not(end: bytes) -> None:
    for pieces in (
        lambda stream: [stream],
        lambda stream: cut(stream, range(len(stream))),
    ):
        assert feed_all(LineFramer(5), pieces(b"12345" + end + b"ok" + end)) == [
            b"12345",
            b"ok",
        ]
        assert feed_all(LineFramer(5), pieces(b"123456" + end + b"ok" + end)) == [
            FrameTooLong(5),
            b"ok",
        ]


def test_a_line_that_is_too_long_is_told_before_its_end_and_once() -> None:
    framer = LineFramer(5)
    assert framer.feed(b"1234567") == [FrameTooLong(5)]
    assert feed_all(framer, [b"8", b"9" * 100, b"0"]) == []
    assert framer.feed(b"\nok\n") == [b"ok"]


@pytest.mark.parametrize(
    "framer",
    [LineFramer(16_384), LengthFramer(16_384)],
    ids=lambda framer: type(framer).__name__,
)
def test_a_frame_without_end_takes_no_memory(framer: LineFramer | LengthFramer) -> None:
    chunk = b"\xff" * 65_536
    tracemalloc.start()
    try:
        frames = feed_all(framer, itertools.repeat(chunk, 500))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames == [FrameTooLong(16_384)]
    assert kept < 100_000 and most < 400_000, "of 32 MB"


@pytest.mark.slow
def test_the_naive_framer_keeps_a_line_without_end() -> None:
    framer = NaiveFramer()
    assert feed_all(framer, itertools.repeat(b"x" * 1000, 1000)) == []
    assert len(framer.buffer) == 1_000_000


def test_the_naive_framer_copies_the_more_the_smaller_the_chunks_are() -> None:
    framers = CountingNaiveFramer(), CountingNaiveFramer()
    feed_line(framers[0], 20_000, 1_000)
    feed_line(framers[1], 20_000, 10)
    assert framers[1].copied > 50 * framers[0].copied


def test_decoding_chunk_by_chunk_damages_what_decoding_frame_by_frame_does_not() -> (
    None
):
    chunks = [b"Gr\xc3", b"\xbc\xc3", b"\x9fe\n"]
    with pytest.raises(UnicodeDecodeError):
        "".join(chunk.decode() for chunk in chunks)
    assert [frame.decode() for frame in feed_all(LineFramer(), chunks)] == ["Grüße"]


class Counted(bytearray):
    """Counts the bytes that are copied into it and out of it, and those that are moved when its head is cut off."""

    copied = 0

    def __iadd__(self, chunk: bytes) -> "Counted":
        self.copied += len(chunk)
        return super().__iadd__(chunk)

    def __bytes__(self) -> bytes:
        self.copied += len(self)
        return bytes(memoryview(self))

    def __delitem__(self, index: object) -> None:
        if isinstance(index, slice) and index.stop:
            self.copied += len(self) - index.stop
        super().__delitem__(index)


def test_a_line_that_comes_byte_by_byte_is_copied_once() -> None:
    framer = LineFramer(100_000)
    framer._partial = buffer = Counted()
    assert feed_all(framer, [b"x"] * 50_000 + [b"\n"]) == [b"x" * 50_000]
    assert framer._partial is buffer and buffer.copied == 2 * 50_000, (
        "in once, out once"
    )


@pytest.mark.parametrize("step", [1, 7, 100, 5_000])
def test_length_frames_are_copied_in_once_and_moved_at_most_once_however_they_are_cut(
    step: int,
) -> None:
    framer = LengthFramer()
    framer._buffer = buffer = Counted()
    stream = b"".join(add_length(b"x" * size) for size in (0, 1, 1_000, 16_000) * 5)
    frames = feed_all(
        framer, (stream[start : start + step] for start in range(0, len(stream), step))
    )
    assert [len(frame) for frame in frames] == [0, 1, 1_000, 16_000] * 5
    assert framer._buffer is buffer and buffer.copied <= 2 * len(stream)


def test_many_frames_in_one_chunk_move_the_buffer_once() -> None:
    framer = LengthFramer()
    framer._buffer = buffer = Counted()
    frames = framer.feed(add_length(b"x" * 16) * 10_000 + b"\0")
    assert len(frames) == 10_000
    assert (
        framer._buffer is buffer
        and buffer.copied <= len(add_length(b"x" * 16) * 10_000) + 2
    ), "in once, and one byte moved"


def length_frames_of(stream: bytes, limit: int) -> Frames:
    """The plain model: take a length, take as much, until something is missing or wrong."""
    if len(stream) < 4:
        return []
    length = int.from_bytes(stream[:4], "big")
    if length > limit:
        return [FrameTooLong(limit)]
    if len(stream) < 4 + length:
        return []
    return [stream[4 : 4 + length], *length_frames_of(stream[4 + length :], limit)]


LENGTHS = (
    add_length(b"one")
    + add_length(b"")
    + add_length(b"\n\0" * 3)
    + add_length("twö".encode())
    + b"\0\0\0\7unfini"
)


def test_add_length_is_four_bytes_in_network_order() -> None:
    assert add_length(b"abc") == b"\0\0\0\3abc"
    assert add_length(b"x" * 258)[:4] == struct.pack("!I", 258) == b"\0\0\1\2"


@pytest.mark.parametrize(
    "stream",
    [LENGTHS, LENGTHS[:-6] + b"!" + add_length(b"lost")],
    ids=["fine", "broken"],
)
@pytest.mark.parametrize("cuts", [1, 2])
def test_length_frames_cut_at_every_byte_and_every_pair_of_bytes_are_the_same(
    stream: bytes, cuts: int
) -> None:
    expected = LengthFramer(6).feed(stream)
    assert expected == length_frames_of(stream, 6) and len(expected) >= 4
    for places in itertools.combinations(range(len(stream) + 1), cuts):
        assert feed_all(LengthFramer(6), cut(stream, places)) == expected, (
            f"cut at {places}"
        )


@given(
    st.lists(st.binary(max_size=9)).map(lambda frames: b"".join(map(add_length, frames))) | st.binary(max_size=60),
    st.integers(0, 9), st.sets(st.integers(0, 100)),
)  # fmt: skip
def test_any_length_frames_in_any_pieces_give_what_the_model_says(
    stream: bytes, limit: int, places: set[int]
) -> None:
    assert feed_all(LengthFramer(limit), cut(stream, places)) == length_frames_of(
        stream, limit
    )


def test_a_length_frame_of_the_limit_passes_and_one_byte_more_ends_the_stream() -> None:
    framer = LengthFramer(5)
    assert framer.feed(add_length(b"12345") + add_length(b"123456")) == [
        b"12345",
        FrameTooLong(5),
    ]
    assert framer.feed(add_length(b"ok")) == []


def test_one_byte_too_many_costs_one_line_and_all_length_frames_after_it() -> None:
    assert LineFramer().feed(b"one\n!two\nthree\n") == [b"one", b"!two", b"three"]
    assert LengthFramer().feed(
        add_length(b"one") + b"!" + add_length(b"two") + add_length(b"three")
    ) == [b"one", FrameTooLong(16_384)]


# The solutions of the exercises


@given(st.lists(st.binary(max_size=12), max_size=6), st.sets(st.integers(0, 100)))
def test_netstrings_in_any_pieces(contents: list[bytes], places: set[int]) -> None:
    stream = b"".join(b"%d:%s," % (len(content), content) for content in contents)
    assert feed_all(NetstringFramer(limit=12), cut(stream, places)) == contents


@pytest.mark.slow
@given(st.text("a\r\n", max_size=60).map(str.encode), st.sets(st.integers(0, 60)))
def test_heads_in_any_pieces(stream: bytes, places: set[int]) -> None:
    assert (
        feed_all(HeadFramer(100), cut(stream, places)) == stream.split(b"\r\n\r\n")[:-1]
    )
