"""Answers to the exercises of the chapter web."""

from urllib.parse import urlsplit

from exercises import right, wrong


@wrong(
    "check_may_open",
    "may_open('http://chat.example:80', 'chat.example'): expected True",
)
def the_same_text(origin: str | None, host: str) -> bool:
    return origin is None or origin.partition("://")[2] == host


@wrong(
    "check_may_open",
    "may_open('https://chat.example', 'chat.example:80'): expected False",
)
def names_only(origin: str | None, host: str) -> bool:
    if origin is None:
        return True
    name = urlsplit(origin).hostname
    return name is not None and name == urlsplit(f"//{host}").hostname


@wrong(
    "check_may_open",
    "may_open('http://evil.chat.example', 'chat.example'): expected False",
)
def by_the_end(origin: str | None, host: str) -> bool:
    if origin is None or origin == "null":
        return origin is None
    host = host.lower().removesuffix(":443" if origin.startswith("https") else ":80")
    return origin.lower().removesuffix(":80").endswith(host)


@wrong("check_may_open", "may_open(None, 'chat.example'): expected True")
def nobody_without(origin: str | None, host: str) -> bool:
    return origin is not None and may_open(origin, host)


@wrong("check_may_open", "exception ended it")
def none_is_forgotten(origin: str, host: str) -> bool:
    return origin.split("://")[1] == host


@wrong(
    "check_may_open", "may_open('ftp://chat.example', 'chat.example'): expected False"
)
def any_scheme(origin: str | None, host: str) -> bool:
    return may_open(origin and origin.replace("ftp:", "http:"), host)


def may_open(origin: str | None, host: str) -> bool:
    ports = {"http": 80, "https": 443}
    if origin is None:
        return True
    page = urlsplit(origin)
    if page.scheme not in ports:
        return False
    server = urlsplit(f"{page.scheme}://{host}")
    usual = ports[page.scheme]
    same_port = (page.port or usual) == (server.port or usual)
    return page.hostname == server.hostname and same_port


@right("check_may_open")
def with_urlsplit(origin: str | None, host: str) -> bool:
    return may_open(origin, host)


@right("check_may_open")
def with_the_usual_port_written(origin: str | None, host: str) -> bool:
    if origin is None:
        return True
    for scheme, usual in (("http://", ":80"), ("https://", ":443")):
        if origin.startswith(scheme):
            ends = [origin.removeprefix(scheme).lower(), host.lower()]
            one, other = (
                e if e[e.rfind("]") + 1 :].count(":") else e + usual for e in ends
            )
            return one == other
    return False


def channels(colour: str) -> list[float]:
    return [byte / 255 for byte in bytes.fromhex(colour[1:])]


def luminance(colour: str, gamma: bool = True) -> float:
    r, g, b = (
        (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4) if gamma else v
        for v in channels(colour)
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@wrong("check_contrast", "contrast('#1a5fbf', '#ffffff'): expected 6.1, but got")
def not_linear(one: str, other: str) -> float:
    a, b = (luminance(each, gamma=False) + 0.05 for each in (one, other))
    return round(max(a, b) / min(a, b), 1)


@wrong("check_contrast", "contrast('#ffffff', '#000000'): expected 21.0, but got 0.0")
def dark_first(one: str, other: str) -> float:
    return round((luminance(other) + 0.05) / (luminance(one) + 0.05), 1)


@wrong("check_contrast", "contrast('#000000', '#ffffff'): expected 21.0")
def without_a_rest(one: str, other: str) -> float:
    a, b = sorted(map(luminance, (one, other)))
    return round(b / max(a, 1e-9), 1)


@wrong("check_contrast", "contrast('#1a5fbf', '#ffffff'): expected 6.1, but got")
def not_rounded(one: str, other: str) -> float:
    a, b = sorted(luminance(each) + 0.05 for each in (one, other))
    return b / a


@right("check_contrast")
def sorted_first(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return round((light + 0.05) / (dark + 0.05), 1)


@right("check_contrast")
def from_hexadecimal(one: str, other: str) -> float:
    found = []
    for colour in (one, other):
        total = 0.0
        for place, weight in enumerate((0.2126, 0.7152, 0.0722)):
            v = int(colour[1 + 2 * place : 3 + 2 * place], 16) / 255
            v = ((v + 0.055) / 1.055) ** 2.4 if v > 0.04045 else v / 12.92
            total += weight * v
        found.append(total + 0.05)
    return float(f"{max(found) / min(found):.1f}")
