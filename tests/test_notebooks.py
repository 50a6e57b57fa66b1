"""Every notebook runs from top to bottom in a Jupyter kernel of its own, twice over in the same one, gives the stored outputs both times, and leaves nothing behind."""

import asyncio
import configparser
import copy
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from desktop import missing, virtual_screen
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbdev.clean import clean_nb
from nbformat.v4 import new_code_cell, new_notebook
from waiting import FULL
from warm_kernels import HAVE_FORK, Zygote

pytestmark = pytest.mark.slow(seconds=5)

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"
SECONDS_PER_ROUND, ROUNDS = 60, 2  # a chapter takes at most 20 where nothing else runs
SECONDS_PER_CELL, CEILING = 60, 240  # on a busy machine, too: what takes longer hangs

settings = configparser.ConfigParser()
settings.read(ROOT / "settings.ini", encoding="utf-8")
SKIP_FLAGS = set(settings["DEFAULT"]["tst_flags"].split())

# These two run in the kernel, before the first cell and after the last.
BEFORE = """
def __alive():
    import gc, selectors, socket, subprocess, threading
    gc.collect()
    alive = list(threading.enumerate())
    for thing in gc.get_objects():
        kind = type(thing)
        if (issubclass(kind, socket.socket) and thing.fileno() != -1
                or issubclass(kind, selectors.BaseSelector) and thing.get_map() is not None
                or issubclass(kind, subprocess.Popen) and thing.poll() is None):
            alive.append(thing)
    return alive
__before = __alive()
"""
AFTER = """
import json, time
for __attempt in range(200):  # what is ending may take a moment
    __left = [thing for thing in __alive() if not any(thing is other for other in __before)]
    # asyncio keeps the threads of `to_thread` for the next call.
    __left = [thing for thing in __left if "asyncio_" not in str(getattr(thing, "name", ""))]
    if not __left:
        break
    time.sleep(0.05)
print(json.dumps([repr(thing) for thing in __left]))
"""


def is_skipped(cell: nbformat.NotebookNode) -> bool:
    directives = re.findall(r"^\s*#\|\s*(\S.*?)\s*$", cell.source, re.M)
    return any(
        re.fullmatch(r"eval:\s*false", d, re.I) or d.split()[0] in SKIP_FLAGS
        for d in directives
    )


def run(
    notebook: nbformat.NotebookNode,
    rounds: int = ROUNDS,
    manager: type[AsyncKernelManager] = AsyncKernelManager,
    **environment: str,
) -> tuple[list[nbformat.NotebookNode], list[str]]:
    """Copies of `notebook`, one for each round in the same kernel, with its outputs, cleaned; and what was left behind at the end."""
    copies = [copy.deepcopy(notebook) for _ in range(rounds)]
    for number, each in enumerate(copies):
        for cell in each.cells:
            cell["id"] = f"{number}-{cell.get('id')}"  # unique in the run
    cells = [
        cell
        for each in copies
        for cell in each.cells
        if cell.cell_type == "code" and not is_skipped(cell)
    ]
    before, after = new_code_cell(BEFORE), new_code_cell(AFTER)
    client = NotebookClient(
        new_notebook(cells=[before, *cells, after]),
        timeout=SECONDS_PER_CELL,
        coalesce_streams=True,  # as Jupyter does: two prints are one output
        kernel_name="python3",
        kernel_manager_class=manager,
        resources={"metadata": {"path": str(NBS)}},
    )

    async def execute() -> None:
        await asyncio.wait_for(
            client.async_execute(env={**os.environ, "IN_TEST": "1", **environment}),
            CEILING,
        )

    asyncio.run(execute())
    for each in copies:
        clean_nb(each, clean_ids=False)
    return copies, json.loads(after.outputs[0].text)


def differences(
    stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode
) -> list[str]:
    """The cells that have other outputs now, each with both."""
    pairs = [
        (old, new)
        for old, new in zip(stored.cells, fresh.cells, strict=True)
        if old.get("outputs") != new.get("outputs")
    ]
    return [
        f"{old.source}\n--- stored: {old.outputs}\n--- now: {new.outputs}\n"
        for old, new in pairs
    ]


@pytest.fixture(scope="module")
def manager() -> Iterator[type[AsyncKernelManager]]:
    """What starts kernels: warm ones, or with FULL=1 each in a new interpreter."""
    if FULL or not HAVE_FORK:
        yield AsyncKernelManager
        return
    zygote = Zygote()
    yield zygote.manager()
    zygote.close()


@pytest.mark.parametrize(
    "path", sorted(NBS.glob("*.ipynb")), ids=lambda path: path.stem
)
def test_notebook(path: Path, manager: type[AsyncKernelManager]) -> None:
    stored = nbformat.read(path, as_version=4)
    if any(
        re.search(r"^- skip_exec: *true", cell.source, re.M)
        for cell in stored.cells[:1]
    ):
        pytest.skip("skip_exec")
    start = time.monotonic()
    if "_window" in path.stem:  # it has windows
        if missing:
            pytest.skip(f"there is no {missing}")
        with virtual_screen() as display:
            fresh, leftovers = run(stored, manager=manager, DISPLAY=display)
    else:
        fresh, leftovers = run(stored, manager=manager)
    seconds = time.monotonic() - start
    if sys.platform != "linux":
        return  # it ran through; some cells say that they need another system
    assert leftovers == [], "left behind at the end"
    for number, each in enumerate(fresh, 1):
        changed = differences(stored, each)
        assert not changed, f"in round {number}:\n" + "\n".join(changed)
    assert seconds < SECONDS_PER_ROUND * ROUNDS


def test_a_kernel_has_nothing_of_the_one_before(
    manager: type[AsyncKernelManager],
) -> None:
    begin = "import fastcore.imports, os, string, sys\n"
    leave = "left = string.left = os.environ['LEFT'] = 'x'; os.chdir('..')"
    look = "[*{'left'} & {*globals(), *vars(string)}, os.environ.get('LEFT'), os.path.basename(os.getcwd()), "
    look += "fastcore.imports.IN_NOTEBOOK, *(name for name in sys.modules if name.startswith(('python_tcp', 'test_')))]"
    for source in (begin + look, begin + leave, begin + look):
        cells = [new_code_cell(source)]
        (fresh,), _ = run(new_notebook(cells=cells), rounds=1, manager=manager)
    [output] = fresh.cells[0].outputs
    assert output["data"]["text/plain"] == "[None, 'nbs', True]"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (
            "import threading, time; threading.Thread(target=time.sleep, args=[30], daemon=True, name='forgotten').start()",
            "Thread(forgotten",
        ),
        (
            "import socket; listener = socket.create_server(('127.0.0.1', 0))",
            "<socket.socket",
        ),
        ("import selectors; selector = selectors.DefaultSelector()", "Selector"),
        ("import subprocess; child = subprocess.Popen(['sleep', '30'])", "<Popen"),
    ],
)
def test_that_a_leftover_is_noticed(
    source: str, complaint: str, manager: type[AsyncKernelManager]
) -> None:
    notebook = new_notebook(cells=[new_code_cell(source)])
    _, leftovers = run(notebook, rounds=1, manager=manager)
    assert len(leftovers) == 1 and complaint in leftovers[0]


def test_that_a_changed_output_is_noticed_and_a_skipped_cell_is_not_run() -> None:
    cells = [
        new_code_cell("import os; os.getpid()"),
        new_code_cell("#| eval: false\n1 / 0"),
        new_code_cell("#| slow\n1 / 0"),
    ]
    (first,), _ = run(new_notebook(cells=cells), rounds=1)
    (again,), _ = run(first, rounds=1)
    (changed,) = differences(first, again)
    assert changed.startswith("import os; os.getpid()")


def test_that_a_second_round_with_another_output_is_noticed() -> None:
    (first, second), _ = run(
        new_notebook(
            cells=[new_code_cell("seen = [*globals().get('seen', []), 1]\nlen(seen)")]
        )
    )
    (changed,) = differences(first, second)
    assert "'text/plain': '1'" in changed and "'text/plain': '2'" in changed


@pytest.mark.slow(seconds=50)
def test_nbdev_runs_them_too() -> None:
    """Every fifth, or with FULL=1 all. nbdev's own run has no time limit, so it has one here."""
    command = [Path(sys.executable).with_name("nbdev_test"), "--n_workers", "4"]
    if not FULL:
        command += ["--file_re", r"\d\d[05]_"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 and "Success." in done.stdout, done.stdout + done.stderr
