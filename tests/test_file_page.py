"""Files in the browser's page, and from one window to another and to a browser."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="no selenium here: pip install -e '.[dev]'")

from desktop import Desktop, Window, needs_desktop, virtual_screen
from file_sharing import FileChat, heard_file, only_paused, some_bytes
from proxy import Cut
from test_browser import chrome, needs_chromium
from test_web_page import PageOf, selenium  # noqa: F401
from waiting import wait_until

from python_tcp.dialects import Listener
from python_tcp.web import web_dialect

MB = 1_000_000
LONG = 40.0

pytestmark = [
    pytest.mark.slow(seconds=5),
    needs_chromium,
]


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator:
    driver = chrome(tmp_path_factory.mktemp("browser"), 30.0)
    to_folder = {"behavior": "allow", "downloadPath": str(downloads)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", to_folder)
    yield driver
    driver.quit()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FileChat]:
    sharing = lambda: chat.sharing.origin
    dialect = web_dialect("127.0.0.1", files=sharing)
    listener = Listener("web", dialect, "127.0.0.1", 0)
    with FileChat(tmp_path / "store", 3 * MB, listeners=[listener]) as chat:
        yield chat


@pytest.fixture
def page(files: FileChat, driver, downloads: Path) -> Iterator[PageOf]:
    page = PageOf(driver, f"http://{files.server.listening('web')[0]}/")
    yield page
    page.close()
    for path in downloads.iterdir():
        path.unlink(missing_ok=True)  # the browser gives some another name


def choose(page: PageOf, *paths: Path) -> None:
    """What the browser's dialog for files does."""
    page.find("#file").send_keys("\n".join(map(str, paths)))


def whole(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def test_sent_and_fetched_with_cuts_on_the_way(
    files: FileChat, page: PageOf, tmp_path: Path, downloads: Path
) -> None:
    data = some_bytes(3 * MB)
    (tmp_path / "my cat.jpg").write_bytes(data)
    bob = files.person("bob")
    page.join("ann")
    # Those that go: OPTIONS and HEAD, OPTIONS and PATCH share connections as the browser likes.
    files.cuts(Cut(MB, True, True), Cut(MB, True, False))
    choose(page, tmp_path / "my cat.jpg")
    page.sees("my cat.jpg (3.0 MB) is sent.")
    file = heard_file(bob)
    assert (file.name, file.size) == ("my cat.jpg", len(data))
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert files.proxy.cuts >= 1
    cuts = files.proxy.cuts
    files.proxy.cut()
    files.cuts(Cut(MB, False, True), Cut(MB, False, False))
    page.find(".log .file button").click()
    page.sees("my cat.jpg (3.0 MB) is fetched, and unchanged.")
    assert files.proxy.cuts > cuts
    wait_until(lambda: whole(downloads / "my cat.jpg", data), LONG)
    assert page.all("#transfers li") == []


def test_progress_a_stop_and_a_conversation_meanwhile(
    files: FileChat, page: PageOf, tmp_path: Path
) -> None:
    bob = files.person("bob")
    (tmp_path / "film.mkv").write_bytes(some_bytes(2 * MB))
    page.join("ann")
    files.proxy.refuse()
    choose(page, tmp_path / "film.mkv")
    page.wait(lambda: "trying again" in page.text("#transfers"))
    page.say("still here")
    wait_until(lambda: any("still here" in line for line in bob.lines), LONG)
    assert bob.send_message("and I, too")
    page.sees("and I, too")
    page.find("#transfers button").click()
    page.sees("film.mkv is not sent: stopped at 0 %.")
    assert page.all("#transfers li") == []


def test_refusals_and_mistakes_are_one_line(
    files: FileChat, page: PageOf, tmp_path: Path
) -> None:
    (tmp_path / "big.bin").write_bytes(bytes(4 * MB))
    page.join("ann")
    choose(page, tmp_path / "big.bin")
    page.wait(lambda: "big.bin can't be sent: " in page.text("#mistake"))
    page.say("/get 9")
    page.wait(lambda: page.text("#mistake") == "File 9 was not shared here lately.")
    page.say("/get x")
    page.wait(lambda: page.text("#mistake") == "/get takes the number of a file")


def test_a_file_is_dropped_on_the_page(files: FileChat, page: PageOf) -> None:
    bob = files.person("bob")
    page.join("ann")
    page.run(
        """
        const files = new DataTransfer();
        files.items.add(new File(["meow"], "<b>cat</b>.txt"));
        for (const kind of ["dragover", "drop"])
          document.getElementById("say").dispatchEvent(
            new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: files}));
        """
    )
    assert heard_file(bob).size == 4
    page.sees("is sent.")
    assert page.all(".log b b") == [] and page.errors() == []


def test_names_that_are_not_seen_or_are_no_names(files: FileChat, page: PageOf) -> None:
    bob = files.person("bob")
    page.join("ann")
    page.run(
        """
        const files = new DataTransfer();
        for (const name of ["\\u3164\\u2800", "CONIN$", "a.txt\\u2800\\u2800.exe", "x".repeat(300)])
          files.items.add(new File([name], name));

        document.getElementById("say").dispatchEvent(
          new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: files}));
        """
    )
    for name in ("file", "_CONIN$", "a.txt .exe"):
        assert heard_file(bob, name).name == name
    page.wait(lambda: "can't be sent: " in page.text("#mistake"))
    page.wait(lambda: page.all("#transfers li") == [])


def test_the_hash_of_the_page_is_sha_256(files: FileChat, page: PageOf) -> None:
    sizes = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_000]
    found = page.run(
        """
        return arguments[0].map(size => {
          const bytes = Uint8Array.from({length: size}, (_, i) => i * 7 % 251);
          const hash = new Sha256();
          for (let at = 0; at < size; at += 37) hash.update(bytes.subarray(at, at + 37));
          return hash.hex();
        });
        """,
        sizes,
    )
    data = [bytes(i * 7 % 251 for i in range(size)) for size in sizes]
    assert found == [hashlib.sha256(each).hexdigest() for each in data]


def answer_dialog(desktop: Desktop, window: Window, path: Path) -> None:
    """Type a path into Tk's dialog for files, which may not listen yet."""
    dialog = ("xdotool", "search", "--onlyvisible", "--name", "Send a file")
    wait_until(lambda: desktop.run(*dialog), LONG)
    for _ in range(5):
        window.press("ctrl+a")
        window.type(str(path))
        window.press("Return")
        with suppress(AssertionError):
            wait_until(lambda: not desktop.run(*dialog), 5)
            return
    raise AssertionError("the dialog does not close")


def click_a_link(window: Window, done: Callable[[], object]) -> None:
    """Click everywhere in the first rows, until it has worked: it may not be there yet."""

    def clicked() -> bool:
        for y in (61, 80, 99, 42):
            for x in range(500, 60, -15):
                window.click(x, y)
                if done():
                    return True
        return False

    wait_until(clicked, LONG)


@needs_desktop
def test_a_file_from_one_window_to_another_and_to_a_browser(
    files: FileChat,
    page: PageOf,
    tmp_path: Path,
    downloads: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the button of one window, a click in the other, and a click in the page."""
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    (tmp_path / "Downloads").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    data = some_bytes(2 * MB)
    (tmp_path / "our cat.jpg").write_bytes(data)
    page.join("cy")
    port = files.server.port
    with virtual_screen("1500x900") as display:
        desktop = Desktop(display)
        with (
            desktop.start("127.0.0.1", port, "--username", "ann") as ann,
            desktop.start("127.0.0.1", port, "--username", "bob") as bob,
        ):
            for window in (ann, bob):
                wait_until(lambda: window.title == "lobby", LONG)
                window.resize(700, 400)
                wait_until(lambda: window.size == (700, 400), LONG)
            desktop.run("xdotool", "windowmove", "--sync", bob.id, 720, 0)
            bob.focus()
            bob.type("/clear")
            bob.press("Return")
            bob.type("my window is empty")
            bob.press("Return")
            page.sees("my window is empty")
            ann.focus()
            ann.click(640, 357)  # the button "Send a file"
            answer_dialog(desktop, ann, tmp_path / "our cat.jpg")
            page.wait(lambda: page.all(".log .file button"))
            got = tmp_path / "Downloads" / "our cat.jpg"
            click_a_link(bob, lambda: list(got.parent.iterdir()))
            wait_until(lambda: whole(got, data), LONG)
            page.find(".log .file button").click()
            page.sees("our cat.jpg (2.0 MB) is fetched, and unchanged.")
            wait_until(lambda: whole(downloads / "our cat.jpg", data), LONG)
            for window in (ann, bob):
                window.focus()
                window.type("/quit")
                window.press("Return")
                assert window.end() == (0, "")


@needs_desktop
def test_a_window_that_is_closed_names_the_file_that_it_stops(
    files: FileChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    (folder := tmp_path / "Downloads").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "film.mkv").write_bytes(some_bytes(2 * MB))
    bob = files.person("bob")
    port = files.server.port
    with (
        virtual_screen() as display,
        Desktop(display).start("127.0.0.1", port, "--username", "ann") as ann,
    ):
        wait_until(lambda: ann.title == "lobby", LONG)
        assert bob.send_file(tmp_path / "film.mkv")
        only_paused(files)
        begun = lambda: files.proxy.refusing and list(folder.iterdir())  # noqa: E731
        for _ in range(5):  # it may not have been told of the file
            ann.type("/get 1")
            ann.press("Return")
            with suppress(AssertionError):
                wait_until(begun, LONG / 5)
                break
        wait_until(begun, LONG)
        wait_until(lambda: not files.proxy.links, LONG)
        ann.type("/quit")
        ann.press("Return")
        status, said = ann.end()
        assert status == 0
        assert re.fullmatch("film.mkv is not fetched: stopped at \\d+ %.\n", said)
    [part] = folder.iterdir()
    assert part.name.endswith(".part")
