"""The built site in a real browser, headless: what only a browser can tell."""

import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import nbformat
import pytest

selenium = pytest.importorskip(
    "selenium", reason="no selenium here: pip install -e '.[dev]'"
)
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])),
    None,
)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
SECONDS = 20

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium with its chromedriver here: apt-get install chromium chromium-driver",
)
pytestmark = [
    pytest.mark.slow(seconds=60),
    needs_chromium,
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """No line for each request."""


@pytest.fixture(scope="module")
def address(build: tuple[Path, str]) -> Iterator[str]:
    """Where the built site is served, with a slash at the end."""
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=build[0])
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def chrome(folder: Path, seconds: float) -> webdriver.Chrome:
    """A browser with a new profile; no page and no script takes longer than that."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={folder}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(seconds)
    driver.set_script_timeout(seconds)
    return driver


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = chrome(tmp_path_factory.mktemp("browser"), SECONDS)
    yield driver
    driver.quit()


def look(
    browser: webdriver.Chrome,
    width: int = 1400,
    height: int = 900,
    scheme: str = "light",
) -> None:
    """Choose the size of the window, and whether the reader's system is light or dark."""
    size = {
        "width": width,
        "height": height,
        "deviceScaleFactor": 1,
        "mobile": width < 600,
    }
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )


@dataclass
class Visit:
    """What the browser found on one page."""

    errors: list[str]
    links: list[str]  # absolute
    ids: set[str]
    loaded: list[str]  # by the browser, absolute
    broken_pictures: list[str]
    too_wide: list[str] = field(default_factory=list)
    hard_to_read: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


FACTS = """
return {
    links: [...document.links].map(link => link.href),
    ids: [...document.querySelectorAll('[id], [name]')].flatMap(element => [element.id, element.getAttribute('name')]),
    loaded: performance.getEntriesByType('resource').map(entry => entry.name),
    pictures: [...document.images].filter(picture => picture.complete && !picture.naturalWidth).map(picture => picture.src),
}
"""
# What sticks out of the page, unless something inside the text scrolls or hides it. furo lets the text as a whole scroll: that counts as well.
TOO_WIDE = """
document.querySelectorAll('details').forEach(details => details.open = true);
const room = arguments[0], text = document.querySelector('article') || document.body;
const known = new Map([[null, false], [text, false]]);
const held = element => {
    if (!known.has(element)) known.set(element, getComputedStyle(element).overflowX !== 'visible' || held(element.parentElement));
    return known.get(element);
};
const out = [...text.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > room + 1 && !held(e.parentElement));
const page = Math.max(document.documentElement.scrollWidth, innerWidth);
return [...(page > room ? [`the page: ${page}`] : []), ...out.map(e => `${e.tagName}.${e.className}`)];
"""
# What can be seen only in part, or hardly: tables that scroll, pictures that stick out or whose text has shrunk below some 7 pixels
# (it has 12 to 16), and on a large screen code that scrolls. Tables look at the width of the window when it has changed.
CUT = """
const [room, done] = arguments, text = document.querySelector('article') || document.querySelector('main');
const look = () => {
    const scrolls = box => box.scrollWidth > box.clientWidth + 1;
    const tables = [...text.querySelectorAll('table')].filter(table => scrolls(table) || scrolls(table.parentElement));
    const pictures = [...text.querySelectorAll('img')].filter(picture => {
        const least = picture.currentSrc.endsWith('.png') ? 0.45 : 0.57, size = picture.width / picture.naturalWidth;
        return size < least || scrolls(picture.parentElement) || picture.getBoundingClientRect().right > innerWidth;
    });
    const code = room < 1400 ? [] : [...text.querySelectorAll('pre')].filter(pre => scrolls(pre) && !pre.closest('.cell_output, .cell-output'));
    done([...tables, ...pictures, ...code].map(e => `${e.tagName} ${e.currentSrc || e.textContent.trim().slice(0, 60)}`));
};
requestAnimationFrame(() => requestAnimationFrame(look));
"""
# Contrast of text with what lies behind it (WCAG 2.2, "relative luminance"): 4.5 to 1 is the least for text of ordinary size.
HARD_TO_READ = """
const numbers = color => (color.match(/[\\d.]+/g) || []).map(Number);
const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const known = new Map([[null, [255, 255, 255]]]);
const behind = element => {
    if (!known.has(element)) {
        const [r, g, b, a = 1] = numbers(getComputedStyle(element).backgroundColor);
        known.set(element, a > 0.5 ? [r, g, b] : behind(element.parentElement));
    }
    return known.get(element);
};
const found = new Set();
for (const element of document.querySelectorAll('article summary p, .toc-tree a, .prev-next-area, .page-info *, .api, article p, article li, article pre, article pre span, article h1, article h2, article code, article td, article a, .sidebar-tree a')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
    if (!element.getClientRects().length || element.closest('svg')) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color).slice(0, 3)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.add(`${element.tagName}.${element.className} ${getComputedStyle(element).color} on ${behind(element)}: ${contrast.toFixed(1)}`);
}
return [...found];
"""


@pytest.fixture(scope="module")
def walk(
    browser: webdriver.Chrome, address: str, build: tuple[Path, str]
) -> dict[str, Visit]:
    """Every page, by its name: opened once. Chapters are looked at in four widths, the reference in two; the widest also in the dark."""
    visits, turn = {}, 1
    browser.get_log("browser")
    for page in sorted(build[0].glob("*.html")):
        browser.get(address + page.name)
        WebDriverWait(browser, SECONDS, poll_frequency=0.05).until(
            lambda it: it.execute_script("return document.readyState") == "complete"
        )
        facts = browser.execute_script(FACTS)
        visit = Visit(
            [],
            facts["links"],
            set(filter(None, facts["ids"])),
            facts["loaded"],
            facts["pictures"],
        )
        widths = [360, 1400] if page.name.startswith("api_") else [360, 390, 768, 1400]
        for width in widths[::turn]:  # a change of it costs most
            for scheme in ["light", "dark"] if width == 1400 else ["light"]:
                look(browser, width, scheme=scheme)
                visit.too_wide += [
                    f"{scheme}, {width}: {found}"
                    for found in browser.execute_script(TOO_WIDE, width)
                ]
                if width == 1400:
                    visit.hard_to_read += [
                        f"{scheme}: {found}"
                        for found in browser.execute_script(HARD_TO_READ)
                    ]
            visit.cut += [
                f"{width}: {found}"
                for found in browser.execute_async_script(CUT, width)
            ]
        turn = -turn  # the next page begins where this one ends
        visit.errors = [
            entry["message"]
            for entry in browser.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING")
        ]
        visits[page.name] = visit
    look(browser)
    return visits


def complaints(walk: dict[str, Visit], what: str) -> dict[str, list[str]]:
    return {
        name: getattr(visit, what)
        for name, visit in walk.items()
        if getattr(visit, what)
    }


def test_every_page_opens_without_an_error_in_the_console(
    walk: dict[str, Visit],
) -> None:
    assert len(walk) > len(list((ROOT / "nbs").glob("*.ipynb")))
    assert complaints(walk, "errors") == {}


def test_that_an_error_in_the_console_is_noticed(
    browser: webdriver.Chrome, address: str
) -> None:
    browser.get(f"{address}no_such_page.html")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_every_link_and_anchor_resolves(walk: dict[str, Visit], address: str) -> None:
    status, broken = {}, []
    for name, visit in walk.items():
        for link in set(visit.links):
            page, anchor = urldefrag(link)
            if not page.startswith(address):
                continue
            if page not in status:
                status[page] = answers(page)
            target = page.removeprefix(address) or "index.html"
            if (
                not status[page]
                or anchor
                and target in walk
                and unquote(anchor) not in walk[target].ids
            ):
                broken.append(f"{name}: {link.removeprefix(address)}")
    assert len(status) > len(walk) and broken == []


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=SECONDS
        ) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def test_nothing_comes_from_another_host_and_every_picture_shows(
    walk: dict[str, Visit], address: str
) -> None:
    foreign = {
        name: [url for url in visit.loaded if not url.startswith((address, "data:"))]
        for name, visit in walk.items()
    }
    assert {name: urls for name, urls in foreign.items() if urls} == {}
    assert complaints(walk, "broken_pictures") == {}


def test_no_page_scrolls_sideways(walk: dict[str, Visit]) -> None:
    assert complaints(walk, "too_wide") == {}


def test_nothing_is_cut_or_too_small(walk: dict[str, Visit]) -> None:
    assert complaints(walk, "cut") == {}


def test_that_what_is_cut_or_too_small_is_noticed(
    browser: webdriver.Chrome, address: str
) -> None:
    look(browser, 390)
    browser.get(address)
    browser.execute_script(
        "document.querySelector('article').insertAdjacentHTML('beforeend',"
        " '<div style=\"overflow: auto\"><table style=\"display: table\"><td>' + 'x'.repeat(99) + '</table></div>"
        '<img src="images/window_light.png" width=100>\')'
    )
    WebDriverWait(browser, SECONDS).until(
        lambda it: it.execute_script("return [...document.images].at(-1).naturalWidth")
    )
    found = browser.execute_async_script(CUT, 390)
    assert [each.partition(" ")[0] for each in found] == ["TABLE", "IMG"]
    look(browser)


def test_that_a_sideways_scroll_is_noticed(
    browser: webdriver.Chrome, address: str
) -> None:
    look(browser, 360)
    browser.get(address)
    browser.execute_script(
        "document.querySelector('article').insertAdjacentHTML('beforeend', '<div style=\"width: 500px\">wide</div>')"
    )
    assert any("DIV" in found for found in browser.execute_script(TOO_WIDE, 360))
    look(browser)


def test_text_and_code_can_be_read_light_and_dark(walk: dict[str, Visit]) -> None:
    assert complaints(walk, "hard_to_read") == {}


def background(browser: webdriver.Chrome) -> int:
    """How light the page is: 0 is black, 765 is white."""
    color = browser.execute_script(
        "return getComputedStyle(document.body).backgroundColor"
    )
    return sum(map(int, re.findall(r"\d+", color)[:3]))


def test_dark_and_light_follow_the_system_and_the_button(
    browser: webdriver.Chrome, address: str
) -> None:
    shown = {}
    for scheme in ("light", "dark"):
        look(browser, scheme=scheme)
        browser.get(f"{address}core.html")
        shown[scheme] = background(browser)
    assert shown["light"] > 700 and shown["dark"] < 150
    seen = set()
    for _ in range(3):  # automatic, light, dark
        next(
            button
            for button in browser.find_elements(By.CSS_SELECTOR, "button.theme-toggle")
            if button.is_displayed()
        ).click()
        seen.add(
            (
                browser.execute_script("return document.body.dataset.theme"),
                background(browser) > 400,
            )
        )
    assert seen == {("auto", False), ("light", True), ("dark", False)}
    browser.execute_script("localStorage.clear()")
    look(browser)


def found(browser: webdriver.Chrome, address: str, words: str) -> list[str]:
    """The pages that a reader finds who types `words` into the search field of the home page."""
    browser.get(address)
    browser.find_element(By.CSS_SELECTOR, "input[name=q]").send_keys(words, Keys.ENTER)
    wait = WebDriverWait(browser, SECONDS, poll_frequency=0.05)
    wait.until(
        lambda it: re.search(
            r"finished searching|found one page|search finished|did not match",
            it.find_element(By.CSS_SELECTOR, "#search-results").text,
            re.I,
        )
    )
    links = browser.find_elements(By.CSS_SELECTOR, "#search-results li > a")
    return [
        urldefrag(link.get_attribute("href"))[0].removeprefix(address).partition("?")[0]
        for link in links
    ]


def chapters_that_say(word: str) -> set[str]:
    """The pages of the notebooks that have `word` in their prose."""
    pages = set()
    for path in (ROOT / "nbs").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        if any(
            re.search(rf"\b{word}\b", cell.source, re.I)
            for cell in cells
            if cell.cell_type == "markdown"
        ):
            pages.add(re.sub(r"^\d+_", "", path.stem) + ".html")
    return pages


@pytest.mark.parametrize(
    ("word", "chapter"), [("handshake", "core.html"), ("slow", "server.html")]
)
def test_search_finds_the_chapters(
    browser: webdriver.Chrome, address: str, word: str, chapter: str
) -> None:
    pages = found(browser, address, word)
    assert chapter in pages
    assert chapters_that_say(word) <= set(pages)


def test_search_leads_to_sections(browser: webdriver.Chrome, address: str) -> None:
    """Below each page: its sections that have the word, each with an anchor that is there."""
    assert "server.html" in found(browser, address, "slow")
    places = [
        link.get_attribute("href")
        for link in browser.find_elements(By.CSS_SELECTOR, "#search-results a")
    ]
    sections = [place for place in places if urldefrag(place)[1]]
    assert len(sections) > 20
    for section in [place for place in sections if "/server.html" in place][:3]:
        browser.get(section)
        there = browser.find_element(By.ID, unquote(urldefrag(section)[1]))
        assert "slow" in there.text.lower()


def test_a_number_in_a_shell_is_a_word(browser: webdriver.Chrome, address: str) -> None:
    browser.get(f"{address}friends.html")
    colours = browser.execute_script(
        "return [...document.querySelectorAll('.highlight-sh .m')].map(number =>"
        " [getComputedStyle(number).color, getComputedStyle(number.closest('pre')).color])"
    )
    assert colours and all(number == text for number, text in colours)


@pytest.mark.parametrize("page", ["limits", "trust", "framing", "notebooks"])
def test_an_output_without_columns_does_not_scroll(
    browser: webdriver.Chrome, address: str, page: str
) -> None:
    """Such as what a check says, or the value of an object with many fields."""
    browser.get(f"{address}{page}.html")
    for width in (390, 1400):
        look(browser, width)
        scrolling = browser.execute_script(
            "return [...document.querySelectorAll('.cell_output pre')]"
            ".filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
        )
        without_columns = [
            text
            for text in scrolling
            if not re.search(r"\S   +\S", text) and "def " not in text
        ]
        assert without_columns == []
    look(browser)


def test_a_signature_and_a_long_name_are_whole_on_a_telephone(
    browser: webdriver.Chrome, address: str
) -> None:
    """In the reference, code wraps, and a name breaks behind a dot or an underscore."""
    look(browser, 390)
    browser.get(f"{address}api_acceptor.html")
    cut = browser.execute_script(
        "return [...document.querySelectorAll('.highlight pre')]"
        ".filter(code => code.scrollWidth > code.clientWidth).map(code => code.textContent)"
    )
    heading = browser.execute_script(
        "return [...document.querySelectorAll('h3')].map(place => place.innerHTML)"
        ".find(text => text.includes('accepting'))"
    )
    assert cut == []
    assert "ServerThread.<wbr>resume_<wbr>accepting" in heading


def test_search_says_so_when_there_is_nothing(
    browser: webdriver.Chrome, address: str
) -> None:
    assert found(browser, address, "xylophone") == []


def test_a_copy_button_copies_the_code(browser: webdriver.Chrome, address: str) -> None:
    permissions = {
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
        "origin": address.rstrip("/"),
    }
    browser.execute_cdp_cmd("Browser.grantPermissions", permissions)
    browser.get(address)
    block = browser.find_element(By.CSS_SELECTOR, "article div.highlight")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", block)
    block.find_element(By.CSS_SELECTOR, "button.copybtn").click()
    copied = browser.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], error => arguments[0](`${error}`))"
    )
    assert copied.strip() == block.find_element(By.TAG_NAME, "pre").text.strip() != ""


def test_next_leads_through_the_whole_book(
    browser: webdriver.Chrome, address: str, build: tuple[Path, str]
) -> None:
    browser.get(address)
    seen = ["index.html"]
    while following := browser.find_elements(By.CSS_SELECTOR, "a.next-page"):
        browser.get(following[0].get_attribute("href"))
        seen.append(browser.current_url.removeprefix(address))
        assert len(seen) < 500
    assert sorted(seen) == sorted(
        page.name for page in build[0].glob("*.html") if page.name != "search.html"
    )


def test_the_home_page_says_in_one_screen_what_this_is_and_how_to_start(
    browser: webdriver.Chrome, address: str
) -> None:
    look(browser, 1400, 900)
    browser.get(address)
    lead, commands = (
        browser.find_element(By.CSS_SELECTOR, "h1 + p"),
        browser.find_elements(By.CSS_SELECTOR, "article pre"),
    )
    assert lead.text
    bottoms = {
        text: pre.rect["y"] + pre.rect["height"]
        for pre in commands
        for text in ("make run", "chat_client")
        if text in pre.text
    }
    assert (
        bottoms.keys() == {"make run", "chat_client"} and max(bottoms.values()) <= 900
    )
