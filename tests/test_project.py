"""The notebooks, the package, the README and the settings are in step, and keep the rules that the site and the reader depend on."""

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml
from each import for_each

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
MODULES = sorted(
    path for path in (ROOT / "python_tcp").glob("*.py") if not path.name.startswith("_")
)
TOOLS = [path for path in (ROOT / "tools").glob("*.py") if path.stem != "lean"]
each_notebook, each_module = for_each(NOTEBOOKS), for_each(MODULES)

# The floors of the house, from the ground. An import only goes to a floor below, or further to the left on the same one.
FLOORS = [
    [
        "core",
        "framing",
        "secret",
        "commands",
        "events",
        "limits",
        "other_systems",
        "endings",
        "protocol",
        "dialects",
        "websocket",
        "text",
        "canvas",
        "diagram",
        "check",
    ],
    ["certificates"],  # the server's own
    ["echo", "broadcast", "loop", "members", "sessions", "messages", "places"],
    ["membership", "rooms", "accounts"],
    [
        "delivery",
        "networks",
        "proxy_protocol",
        "bans",
        "room_settings",
        "roles",
        "moderation",
        "passwords",
        "logins",
    ],
    ["datafile", "filewriter", "filereader", "history", "account_file"],
    ["proxy", "trace"],
    ["output", "stream", "acceptor", "mailbox", "broadcaster", "server", "client"],
    ["trusted_proxy"],
    ["security", "handshakes"],
    [
        "file_rules",
        "file_space",
        "file_http",
        "file_index",
        "file_store",
        "file_server",
    ],
    ["transfers"],
    ["room_views", "chat_session", "moderation_view", "chat_view", "typed_lines"],
    ["room_memory", "password_prompts", "chat_controller"],
    ["lines", "irc_text", "irc_numbers", "irc_words", "irc", "tutorials", "languages"],
    ["log_entries", "replication", "snapshot", "simulated_nodes", "simulation"],
    ["chat_fanout", "presence", "admission", "turns", "speaking"],
    ["chat_rules", "chat_server", "files", "file_options"],
    ["redis_place", "redis_stream", "redis_wire", "redis_watch", "redis_log"],
    ["shared_rooms"],
    ["history_copy", "node_history", "node_start", "cluster"],
    [
        "trust",
        "chat_link",
        "reconnector",
        "file_client",
        "sharing",
        "conversation",
        "chat_client",
    ],
    ["aio_link", "aio"],
    ["input_line", "screen", "console", "login", "terminal"],
    ["hidden_input", "line_client"],
    ["web", "metrics", "service"],
    ["operations", "workers", "backup", "account_tool", "chat_app", "demo"],
    ["window_parts", "window_panel", "window", "window_app"],
    [
        "lab_peer",
        "lab",
        "lab_program",
        "lab_echo",
        "lab_frames",
        "lab_room",
        "lab_nick",
        "lab_chat",
        "lab_protocol",
        "lab_fire",
        "lab_report",
        "lab_keyboard",
        "lab_clients",
        "lab_class",
        "lab_app",
        "lab_bugs",
    ],
]
ORDER = [module for floor in FLOORS for module in floor]
NO_NETWORK = [
    "framing",
    "secret",
    "commands",
    "events",
    "limits",
    "protocol",
    "dialects",
    "text",
    "members",
    "sessions",
    "messages",
    "places",
    "membership",
    "rooms",
    "accounts",
    "delivery",
    "networks",
    "bans",
    "room_settings",
    "roles",
    "moderation",
    "proxy_protocol",
    "file_rules",
    "file_space",
    "file_http",
    "transfers",
    "room_views",
    "chat_session",
    "moderation_view",
    "chat_view",
    "typed_lines",
    "room_memory",
    "password_prompts",
    "chat_controller",
    "lines",
    "irc_numbers",
    "irc_text",
    "irc_words",
    "irc",
    "tutorials",
    "languages",
    "log_entries",
    "replication",
    "snapshot",
    "simulated_nodes",
    "simulation",
]
NO_CHAT = [
    "loop",
    "output",
    "stream",
    "acceptor",
    "mailbox",
    "broadcaster",
    "server",
    "client",
]
CHAT = {"protocol", "rooms", "chat_server", "chat_client"}
IO = {"socket", "threading", "time", "selectors", "asyncio"}
MOST_LINES = 350  # of a module
LONGER: dict[str, str] = {}  # the modules that have more, and why


def contents(folder: Path) -> dict[str, str]:
    files = (
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    return {
        str(path.relative_to(folder)): path.read_bytes().decode(errors="replace")
        for path in files
    }


def out_of_step(tree: Path) -> list[str]:
    """The files that an export and a clean-up of `tree` change, add or take away."""
    before = contents(tree / "python_tcp"), contents(tree / "nbs")
    for module in (tree / "python_tcp").glob("[!_]*.py"):
        module.unlink()  # so that one without a notebook is noticed
    for command in ("nbdev_export", "nbdev_clean"):
        subprocess.run(
            [Path(sys.executable).with_name(command)], cwd=tree, check=True, timeout=120
        )
    after = contents(tree / "python_tcp"), contents(tree / "nbs")
    return sorted(
        {
            name
            for old, new in zip(before, after)
            for name in old.keys() | new.keys()
            if old.get(name) != new.get(name)
        }
    )


@pytest.mark.slow
def test_the_package_is_what_the_notebooks_export(tree: Path) -> None:
    assert out_of_step(tree) == [], "run: make export"


@pytest.mark.slow
def test_that_being_out_of_step_is_noticed(tree: Path) -> None:
    with (tree / "python_tcp" / "core.py").open("a") as module:
        module.write("\nedited_by_hand = True\n")
    (tree / "python_tcp" / "orphan.py").write_text("notebook = None\n")
    notebook = nbformat.read(tree / "nbs" / "000_core.ipynb", as_version=4)
    notebook.cells[-1].metadata["collapsed"] = True
    nbformat.write(notebook, tree / "nbs" / "000_core.ipynb")
    assert out_of_step(tree) == ["000_core.ipynb", "core.py", "orphan.py"]


@pytest.mark.slow
def test_what_the_site_folds_is_folded_in_jupyterlab(tree: Path) -> None:
    command = [sys.executable, tree / "tools" / "fold.py"]
    subprocess.run([*command, "--check"], check=True)
    notebook = nbformat.read(tree / "nbs" / "000_core.ipynb", as_version=4)
    [folded] = [c for c in notebook.cells if "def check_forgotten" in c.source]
    del folded.metadata["jupyter"]
    nbformat.write(notebook, tree / "nbs" / "000_core.ipynb")
    check = [*command, "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, f"000_core.ipynb: {folded.id}\n")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(check, check=True)


@pytest.mark.slow
def test_the_readme_is_the_index(tree: Path) -> None:
    command = [sys.executable, tree / "tools" / "readme.py", "--check"]
    assert subprocess.run(command).returncode == 0, "run: make readme"
    (tree / "README.md").write_text("# Something else\n")
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1


@pytest.mark.slow
def test_what_is_made_from_the_chapters_is_up_to_date(tree: Path) -> None:
    """The map, the table for teachers and the links of the glossary; and a new chapter comes in by itself."""
    command = [sys.executable, tree / "tools" / "fill.py"]
    assert subprocess.run([*command, "--check"]).returncode == 0, "run: make export"
    cells = [
        nbformat.v4.new_markdown_cell(text)
        for text in ("# Something new\n\n> Learn it.", "A *ghost* and a *backlog*.")
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tree / "nbs" / "000_a.ipynb")
    assert (
        subprocess.run([*command, "--check"], stderr=subprocess.DEVNULL).returncode == 1
    )
    assert subprocess.run(command).returncode == 0
    index, glossary, teaching = (
        (tree / "nbs" / f"{name}.ipynb").read_text()
        for name in ("index", "970_glossary", "980_teaching")
    )
    assert "| 0 | [Something new](000_a.ipynb) | Learn it. |" in index
    assert "[0. Something new](000_a.ipynb) | 9 |" in teaching
    assert glossary.count(" → [Something new](000_a.ipynb)") == 2
    assert subprocess.run([*command, "--check"]).returncode == 0


def glossary() -> list[tuple[str, str, str | None]]:
    """Term, other forms, and the notebook that it links to."""
    text = "\n".join(
        cell.source
        for cell in nbformat.read(
            ROOT / "nbs" / "970_glossary.ipynb", as_version=4
        ).cells
    )
    entries = re.findall(
        r"^- \*\*(.+?)\*\*(?: \((.+?)\))?: \S.*?\.(?: → \[[^]]+\]\((\w+\.ipynb)\))?$",
        text,
        re.M,
    )
    assert (
        len(entries) == len(re.findall("^- ", text, re.M)) > 40
    )  # none has another form
    return entries


@pytest.mark.slow
def test_the_glossary_links_to_chapters_that_have_the_term() -> None:
    for term, others, notebook in glossary():
        said = [
            re.sub("[ _-]", ".", form)
            for form in (term, *others.replace("`", "").split(", "))
            if form
        ]
        chapters = (
            [notebook]
            if notebook
            else [path.name for path in NOTEBOOKS if "0" <= path.name < "97"]
        )
        prose = " ".join(
            cell.source
            for name in chapters
            for cell in nbformat.read(ROOT / "nbs" / name, as_version=4).cells
            if cell.cell_type == "markdown"
        )
        assert bool(re.search(rf"\b({'|'.join(said)})(e?s)?\b", prose, re.I)) == bool(
            notebook
        ), f"{term}: {notebook}"


def test_the_glossary_is_in_order() -> None:
    terms = [re.sub(r"\W|_", "", term.lower()) for term, _, _ in glossary()]
    assert terms == sorted(terms)


@pytest.mark.slow(seconds=2)
def test_what_the_home_page_and_the_teachers_page_tell_to_type_is_there() -> None:
    text = "\n".join(
        cell.source
        for name in ("index", "980_teaching")
        for cell in nbformat.read(ROOT / "nbs" / f"{name}.ipynb", as_version=4).cells
    )
    typed = set(re.findall(r"\bmake (\w+)$|`make (\w+)`", text, re.M))
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    assert typed and {one or other for one, other in typed} <= set(targets)
    for command in ("chat_server", "chat_client"):
        lines = re.findall(rf"^\.venv/bin/{command}(.*)$", text, re.M)
        module = f"from python_tcp.chat_app import start_{command.partition('_')[2]} as start; start(['--help'])"
        usage = subprocess.run(
            [sys.executable, "-c", module], capture_output=True, text=True, timeout=30
        ).stdout
        assert (
            lines
            and all(
                option in usage
                for line in lines
                for option in re.findall(r"--\w+", line)
            )
            and "usage" in usage
        )


def test_links_of_the_readme_lead_to_files() -> None:
    links = re.findall(
        r"\]\(([^)#\s]+)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    missing = [
        link
        for link in links
        if not re.match(r"\w+:", link) and not (ROOT / link).exists()
    ]
    assert missing == []


def test_quarto_settings() -> None:
    stub = yaml.safe_load((ROOT / "nbs" / "_quarto.yml").read_text())
    assert stub == {"metadata-files": ["../_quarto.yml", "nbdev.yml", "sidebar.yml"]}
    live = yaml.safe_load((ROOT / "_quarto.yml").read_text())
    assert live["project"]["type"] == "website"
    assert list(live["format"]) == ["html"]
    assert {"light", "dark"} == live["format"]["html"]["theme"].keys()


@each_notebook
def test_form_of_a_notebook(path: Path) -> None:
    notebook = json.loads(
        path.read_text(encoding="utf-8")
    )  # as it is: nbformat would mend it
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    # nbdev takes this cell away and makes title and description of it: nothing else may stand there.
    assert re.fullmatch(r"# \S.*\n\n> \S.*", "".join(notebook["cells"][0]["source"]))


@each_notebook
def test_stored_outputs_have_no_ports_and_no_memory_addresses(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        text = str(cell.get("outputs", ""))
        assert not re.search(
            r"127\.0\.0\.1'?[:,] ?(?!80[08]0\b)\d{4,5}|0x[0-9a-f]{6,}", text
        ), cell.source


def test_code_of_the_book_fits_on_a_screen() -> None:
    """A box of code on the site shows 97 columns at 1400 pixels. `ruff format` breaks neither texts nor what has "# fmt: skip"."""
    too_long = [
        f"{path.name} {cell.id}: {line.strip()}"
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and "#| hide" not in cell.source
        for line in cell.source.splitlines()
        if len(line) > 96 and not line.startswith("#|")
    ]
    assert too_long == []


def ours(path: Path) -> set[str]:
    """The modules of this package that the one at `path` imports."""
    return {
        name.split(".")[1] for name in imports(path) if name.startswith("python_tcp.")
    }


def test_every_module_has_its_floor() -> None:
    assert sorted(ORDER) == [path.stem for path in MODULES]


@each_module
def test_imports_go_down_only(path: Path) -> None:
    below = ORDER[: ORDER.index(path.stem)]
    assert ours(path) - set(below) == set()


@for_each(NO_NETWORK)
def test_what_knows_no_network_imports_none(module: str) -> None:
    path = ROOT / "python_tcp" / f"{module}.py"
    assert {name.split(".")[0] for name in imports(path)} & IO == set()
    assert ours(path) <= {*NO_NETWORK}


@for_each(NO_CHAT)
def test_the_engine_knows_no_chat(module: str) -> None:
    assert ours(ROOT / "python_tcp" / f"{module}.py") & CHAT == set()


@each_module
def test_our_imports_are_all_of_one_manner(path: Path) -> None:
    """nbdev makes an import relative where it stands on one line, and not in a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not [each for each in modules if (each or "").startswith("python_tcp")]


@each_module
def test_a_module_is_not_too_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert (lines > MOST_LINES) == (path.stem in LONGER), lines


def classes_of(path: Path) -> list[type]:
    module = importlib.import_module(f"python_tcp.{path.stem}")
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__
    ]


@each_module
def test_no_class_stands_on_more_than_one_of_ours(path: Path) -> None:
    for each in classes_of(path):
        chain = [
            base.__name__
            for base in each.__mro__
            if base.__module__.startswith("python_tcp.") and not is_protocol(base)
        ]
        assert len(chain) <= 2, chain


def is_protocol(kind: type) -> bool:
    return getattr(kind, "_is_protocol", False)


@each_module
def test_an_object_sets_attributes_of_its_own_only(path: Path) -> None:
    """The exceptions: callbacks, which are there to be assigned (`on_...`), and what a function has just made or was given as a plain record."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(set_from_outside(tree)) == []


def set_from_outside(tree: ast.AST) -> Iterator[str]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.Lambda):
            continue
        own = {"self", "cls", "sys"} | names_made_in(function)
        for node in ast.walk(function):
            if not isinstance(node, ast.Attribute | ast.Call):
                continue
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name) and node.func.id == "setattr":
                    target = node.args[0]
                    if isinstance(target, ast.Name) and target.id not in own:
                        yield f"line {node.lineno}: {ast.unparse(node)}"
                continue
            stored = isinstance(node.ctx, ast.Store | ast.Del)
            if not stored or node.attr.startswith("on_"):
                continue
            if not (isinstance(node.value, ast.Name) and node.value.id in own):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def names_made_in(function: ast.AST) -> set[str]:
    """The names to which a function gives what a call has just returned."""
    return {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_that_an_attribute_set_from_outside_is_noticed() -> None:
    code = "def f(stream):\n  stream.batch = 1\n  stream.on_data = 2\n  own = Own()\n  own.x = 1\n  stream.a.b += 1"
    found = list(set_from_outside(ast.parse(code)))
    assert found == ["line 2: stream.batch", "line 6: stream.a.b"]


def test_a_public_name_means_one_thing() -> None:
    """`log` is each module's own; a module may offer again what it has from another."""
    meaning: dict[str, object] = {}
    for path in MODULES:
        module = importlib.import_module(f"python_tcp.{path.stem}")
        for name in set(module.__all__) - {"log"}:
            thing = getattr(module, name)
            assert meaning.setdefault(name, thing) is thing, f"{name} in {path.stem}"


@pytest.mark.slow
def test_types_are_checked_strictly() -> None:
    assert (ROOT / "python_tcp" / "py.typed").exists()
    command = [sys.executable, "-m", "mypy", "--strict"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_the_code_has_the_projects_style(command: list[str]) -> None:
    command = [sys.executable, "-m", "ruff", *command, "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def imports(path: Path) -> set[str]:
    """The full names of the modules that the module at `path` imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif (
            isinstance(node, ast.ImportFrom) and node.level
        ):  # from .core import x; from . import core
            names |= {f"python_tcp.{node.module or alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= (
                {f"python_tcp.{alias.name}" for alias in node.names}
                if node.module == "python_tcp"
                else {node.module}
            )
    return names


@for_each([path for path in TOOLS if "import nbformat" in path.read_text()])
def test_a_tool_imports_nbformat_without_what_takes_a_second(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.index("\nimport lean ") < text.index("\nimport nbformat\n")
