"""Answers to the exercises of the chapter file_rules."""

import re

from exercises import right, wrong

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


@wrong("check_kind_of", "RIFF\\x00\\x01\\x02\\x03WAVE")
def every_riff_is_a_picture(data: bytes) -> str | None:
    for start, kind in (
        (PNG, "png"),
        (JPEG, "jpeg"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"RIFF", "webp"),
    ):
        if data.startswith(start):
            return f"image/{kind}"
    return None


@wrong("check_kind_of", "GIF88a")
def every_gif(data: bytes) -> str | None:
    if data[:3] == b"GIF":
        return "image/gif" if len(data) > 5 else None
    return with_a_pattern(data)


@wrong(
    "check_kind_of",
    "kind_of(b'\\x89PNG\\r\\n\\x1a\\n'): expected 'image/png'",
)
def wants_more(data: bytes) -> str | None:
    if data.startswith(PNG) and len(data) == len(PNG):
        return None
    return with_a_pattern(data)


@right("check_kind_of")
def with_a_pattern(data: bytes) -> str | None:
    kinds = rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF....WEBP)"
    found = re.match(kinds, data, re.S)
    return f"image/{found.lastgroup}" if found else None


@right("check_kind_of")
def with_slices(data: bytes) -> str | None:
    if data[:8] == PNG:
        return "image/png"
    if data[:3] == JPEG:
        return "image/jpeg"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return "image/webp" if (data[:4], data[8:12]) == (b"RIFF", b"WEBP") else None
