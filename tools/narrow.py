"""Puts the panels of the benchmark's picture below each other, for a telephone: `python tools/narrow.py`.

It reads nbs/images/bench.svg, where two stand side by side, and writes nbs/images/bench_narrow.svg.
"""

import re
import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "nbs" / "images"
WIDTH, GAP = 395, 24  # pixels
Panel = tuple[float, list[str]]  # where its heading begins, and its lines


def panels(lines: list[str]) -> list[Panel]:
    """What follows each heading belongs to its panel."""
    found: list[Panel] = []
    for line in lines:
        if 'class="head"' in line:
            found.append((float(re.search(r'x="([\d.]+)"', line)[1]), []))
        found[-1][1].append(line)
    return found


def heights(lines: list[str]) -> list[float]:
    return [
        float(y) for line in lines for y in re.findall(r'<\w+[^>]* y="([\d.]+)"', line)
    ]


def in_one_column(picture: str) -> str:
    """The same words and bars; the line at the end stays at the end."""
    start, *rest = picture.strip().split("\n")
    last = rest.index(next(line for line in rest if 'font-size="11"' in line))
    first = next(n for n, line in enumerate(rest) if 'class="head"' in line)
    head, foot, body, top = rest[:first], rest[last], [], 10.0
    for x, lines in panels(rest[first:last]):
        ys = heights(lines)
        move = f"translate({10 - x:g} {top + 20 - min(ys):g})"
        body += [f'<g transform="{move}">', *lines, "</g>"]
        top += max(ys) - min(ys) + 20 + GAP
    body.append(re.sub(r' y="[\d.]+"', f' y="{top + 10:g}"', foot))
    size = f'viewBox="0 0 {WIDTH} {top + 20:g}" width="{WIDTH}" height="{top + 20:g}"'
    return "\n".join(
        [re.sub(r'viewBox="[^"]+"', size, start), *head, *body, "</svg>\n"]
    )


def main() -> int:
    picture = (IMAGES / "bench.svg").read_text(encoding="utf-8")
    narrow = IMAGES / "bench_narrow.svg"
    narrow.write_text(in_one_column(picture), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
