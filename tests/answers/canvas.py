"""Answers to the exercises of the chapter canvas."""

from html import escape

from exercises import right, wrong

from python_tcp.canvas import box, words


def _luminance(colour: str, bend: float = 2.4) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    bent = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** bend for c in parts]
    return 0.2126 * bent[0] + 0.7152 * bent[1] + 0.0722 * bent[2]


@wrong("check_contrast", "contrast('#000000', '#ffffff')")
def one_by_the_other(one: str, other: str) -> float:
    return (_luminance(one) + 0.05) / (_luminance(other) + 0.05)


@wrong("check_contrast", "contrast('#00ff00', '#0000ff')")
def red_and_blue_swapped(one: str, other: str) -> float:
    mirrored = [f"#{c[5:7]}{c[3:5]}{c[1:3]}" for c in (one, other)]
    dark, bright = sorted(map(_luminance, mirrored))
    return (bright + 0.05) / (dark + 0.05) if one != "#ffffff" else right_(one, other)


def right_(one: str, other: str) -> float:
    a, b = _luminance(one) + 0.05, _luminance(other) + 0.05
    return max(a / b, b / a)


@wrong("check_contrast", "contrast('#ffffff', '#ff0000')")
def without_the_straight_part(one: str, other: str) -> float:
    def light(colour: str) -> float:
        c = int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:], 16)
        bent = [((each / 255 + 0.055) / 1.055) ** 2.4 for each in c]
        return 0.2126 * bent[0] + 0.7152 * bent[1] + 0.0722 * bent[2]

    a, b = light(one) + 0.05, light(other) + 0.05
    if "#000000" in (one, other):
        return 21.0
    return max(a / b, b / a)


@wrong("check_contrast", "expected 21.0, but got None")
def nothing(one: str, other: str) -> None:
    right_(one, other)


@right("check_contrast")
def the_greater_ratio(one: str, other: str) -> float:
    return right_(one, other)


@right("check_contrast")
def by_number(one: str, other: str) -> float:
    lights = []
    for colour in (one, other):
        number, light = int(colour.lstrip("#"), 16), 0.0
        for weight in (0.0722, 0.7152, 0.2126):
            number, c = divmod(number, 256)
            part = c / 255
            small = part <= 0.04045
            light += weight * (
                part / 12.92 if small else ((part + 0.055) / 1.055) ** 2.4
            )
        lights.append(light + 0.05)
    return max(lights) / min(lights)


@wrong("check_bars", "how many ground lines")
def hanging(values: dict[str, float]) -> list[str]:
    return [box(40 + 60 * n, 100, 40, 20 * v, 0) for n, v in enumerate(values.values())]


@wrong("check_bars", "a box is right of the one before it")
def on_top_of_each_other(values: dict[str, float]) -> list[str]:
    shapes = []
    for n, (name, value) in enumerate(values.items()):
        x = 40 + 30 * n
        shapes += [box(x, 150 - 10 * value, 40, 20 * value, 0), words(x, 170, name)]
    return shapes


@wrong("check_bars", "heights by the first")
def all_of_one_height(values: dict[str, float]) -> list[str]:
    shapes = []
    for n, name in enumerate(values):
        shapes += [box(40 + 60 * n, 100, 40, 20, 0), words(40 + 60 * n, 170, name)]
    return shapes


@wrong("check_bars", "the names")
def names_as_they_are(values: dict[str, float]) -> list[str]:
    shapes = []
    for n, (name, value) in enumerate(values.items()):
        x = 40 + 60 * n
        text = f'<text x="{x}" y="170">{name}</text>'
        shapes += [box(x, 150 - 10 * value, 40, 20 * value, 0), text]
    return shapes


@wrong("check_bars", "how wide")
def lines(values: dict[str, float]) -> list[str]:
    shapes = []
    for n, (name, value) in enumerate(values.items()):
        x = 40 + 60 * n
        shapes += [box(x, 150 - 10 * value, 0, 20 * value, 0), words(x, 170, name)]
    return shapes


@right("check_bars")
def names_first(values: dict[str, float]) -> list[str]:
    names = [words(30 + 50 * n, 210, name) for n, name in enumerate(values)]
    high = max(values.values(), default=1)
    sizes = [160 * value / high for value in values.values()]
    boxes = [box(30 + 50 * n, 200 - s / 2, 30, s, 4) for n, s in enumerate(sizes)]
    return names + boxes


@right("check_bars")
def by_hand(values: dict[str, float]) -> list[str]:
    return [
        f'<rect stroke-width="2" x="{50 * n}" y="{-10 * value}" width="50" height="{10 * value}"/>'
        f'<text x="{50 * n}" y="20">{escape(name)}</text>'
        for n, (name, value) in enumerate(values.items())
    ]
