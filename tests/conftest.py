"""What several test files share."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

from sockets import kept_port
from waiting import FULL
from workers import Turns, only_one

ROOT = Path(__file__).resolve().parent.parent
MADE_BY_TOOLS = shutil.ignore_patterns(
    ".git",
    ".venv",
    "_docs",
    "_proc",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    ".ipynb_checkpoints",
    ".pytest_cache",
    ".hypothesis",
    "results",
)

# For jsonschema, and so for nbformat, this takes a second to import, and nothing here needs it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# A slow machine is no bug (`deadline`). The same code gives the same answer: Hypothesis takes the
# same values each time. With FULL=1 it looks for new ones, and keeps those that fail.
settings.register_profile("python_tcp", deadline=None, derandomize=not FULL)
settings.load_profile("python_tcp")

# --- several workers (`pytest -n 2`): what they share is a folder --------------------------------

MOST_WORKERS = 8  # where there are many processors; each takes 250 MB
SHARED = pytest.StashKey[Path]()
TURNS = pytest.StashKey[Turns]()


def pytest_configure(config: pytest.Config) -> None:
    hear_signals()
    if hasattr(config, "workerinput"):
        config.stash[SHARED] = Path(config.workerinput["shared"])
        config.stash[TURNS] = turns = Turns(config.stash[SHARED])
        config.add_cleanup(turns.close)
    else:
        folder = tempfile.TemporaryDirectory(prefix="python_tcp-tests-")
        config.stash[SHARED] = Path(folder.name)
        config.add_cleanup(folder.cleanup)


def hear_signals() -> None:
    """A shell ignores SIGINT for what runs in the background, and `nohup` SIGHUP. Programs that we
    start would inherit that; what is handled is not inherited (signal(7))."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup and signal.getsignal(hangup) is signal.SIG_IGN:
        signal.signal(hangup, lambda number, frame: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A worker for each processor. Two of them are quicker, as tests wait often, but then a
    program may not get its turn for seconds, and races are seen more often: `-n 4`."""
    return max(2, min(os.cpu_count() or 1, MOST_WORKERS))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    node.workerinput["shared"] = str(node.config.stash[SHARED])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """What is made meanwhile stays: to look for garbage would take a fifth of the time."""
    gc.disable()
    begin_with_other_files(session)
    try:
        return (yield)
    finally:
        gc.enable()


def begin_with_other_files(session: pytest.Session) -> None:
    """Each worker does, so that what one has compiled serves all."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.option.file_or_dir:
        return
    paths = sorted(Path(__file__).parent.glob("test_*.py"))
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    first = len(paths) * number // count
    for path in paths[first:] + paths[:first]:
        with suppress(Exception, pytest.skip.Exception):  # pytest imports it again
            import_module(path.stem)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """What is alone comes first, while the others are at short ones, for which it need not wait;
    then what takes longest, so that all end together."""
    if TURNS in config.stash:
        items.sort(key=lambda item: (not is_alone(item), -seconds(item)))


def is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def seconds(item: pytest.Item) -> float:
    """About so long it takes."""
    slow = item.get_closest_marker("slow")
    return slow.kwargs.get("seconds", 1.0) if slow else 0.0


def pytest_collection_finish() -> None:
    keep_what_is_here()


def keep_what_is_here() -> None:
    """The `gc.collect()` of a test looks at what came later only: all else takes long."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Iterator[None]:
    turn = nullcontext()
    if TURNS in item.config.stash:
        turn = item.config.stash[TURNS].turn(is_alone(item))
    with turn:
        result = yield
    if nextitem is not None and nextitem.path != item.path:
        keep_what_is_here()
    return result


# --- fixtures ------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the repository, for tests that write into it."""
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=MADE_BY_TOOLS))


@pytest.fixture
def reserved_port() -> Iterator[int]:
    """A port for one server after the other, or one where nobody is.

    It stays bound, without listening: so the system gives it to nobody else, and above all not to a
    client that looks for the server while it is gone, which would connect with itself.
    """
    with kept_port() as keeper:
        yield keeper.getsockname()[1]


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest) -> Path:
    """What a user installs, built from the sdist. It is one for all workers."""
    (folder := request.config.stash[SHARED] / "wheel").mkdir(exist_ok=True)
    with only_one(folder):
        if not (built := list(folder.glob("dist/*.whl"))):
            shutil.copytree(ROOT, folder / "tree", ignore=MADE_BY_TOOLS)
            command = [sys.executable, "-m", "build", "--outdir", folder / "dist"]
            done = subprocess.run(
                [*command, folder / "tree"], capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stdout + done.stderr
            built = list(folder.glob("dist/*.whl"))
    return built[0]


@pytest.fixture
def hang_ups_are_heard() -> Iterator[None]:
    """Also where the tests were started with nohup(1)."""
    if not hasattr(signal, "SIGHUP"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def build(request: pytest.FixtureRequest) -> tuple[Path, str]:
    """The folder of a site built where there is no Quarto, and what the build complained of.

    All workers look at the same one. SITE=FOLDER takes one that is there, by either renderer.
    """
    if given := os.environ.get("SITE"):
        return Path(given).resolve(), ""
    shared = request.config.stash[SHARED]
    folder, complaints = shared / "site", shared / "complaints"
    with only_one(shared):
        if not complaints.exists():
            complaints.write_text(built_into(folder), encoding="utf-8")
    return folder, complaints.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def prepared(build: tuple[Path, str]) -> Path:
    """What Quarto would get to render."""
    if "SITE" in os.environ:
        pytest.skip("SITE is a site that somebody else has built")
    return build[0].with_name("prepared")


def built_into(folder: Path) -> str:
    path = os.pathsep.join(
        part
        for part in os.environ["PATH"].split(os.pathsep)
        if not Path(part, "quarto").exists()
    )
    command = [sys.executable, ROOT / "tools" / "site.py", "--output", folder]
    command += ["--prepared", folder.with_name("prepared")]
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=1200,  # where many others work beside it
    )
    assert done.returncode == 0, done.stderr
    return done.stderr
