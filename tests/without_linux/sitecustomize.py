"""Takes Linux away from our own code. Python runs this file when it starts, if its folder is on PYTHONPATH.

SYSTEM=win32 or SYSTEM=darwin: what we import of `os`, `sys`, `socket` and the like then has only the names that it
has on that system (mypy's stubs say which), and modules that are not there can't be imported. /proc is empty. In the
place of Windows also: `select` alone, for 512 sockets at most; two sockets of TCP for `socketpair`; signals that end
a process at once; files that can't be deleted or renamed while they are open; no folder can be deleted that a process
is in. The standard library and other packages still see Linux, for nothing else is here to run them.
"""

import ast
import builtins
import importlib
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

SYSTEM = os.environ.get("SYSTEM", "")
ROOT = str(Path(__file__).resolve().parents[2])
PACKAGES = sys.prefix, sys.base_prefix
UNIX_ONLY = "fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"
GONE = {"win32": (*UNIX_ONLY, "uvloop"), "darwin": ()}
VIEWS = "os", "select", "selectors", "signal", "socket", "subprocess", "sys"
real_import, real_stat = builtins.__import__, os.stat


def is_ours(names: dict[str, object] | None) -> bool:
    """Is this the code of the project, a notebook's cell or a program that a test has written?"""
    name = str((names or {}).get("__name__", ""))
    file = str((names or {}).get("__file__") or "")
    if name in ("__main__", "_pytest.outcomes") or name.startswith("python_tcp"):
        return True
    return file.startswith(ROOT) and not file.startswith((*PACKAGES, __file__))


# --- which names a module has on a system --------------------------------------------------------


def holds(test: ast.expr) -> bool:
    """A condition of a stub, such as `sys.platform != "win32" and sys.version_info >= (3, 12)`."""
    seen = type("sys", (), {"platform": SYSTEM, "version_info": sys.version_info})
    return bool(eval(ast.unparse(test), {"sys": seen, "TYPE_CHECKING": True}))


def defined(body: list[ast.stmt], there: bool, names: dict[str, bool]) -> None:
    """Note in `names` which names the statements define, and whether that is `there`."""
    for node in body:
        if isinstance(node, ast.If):
            is_true = holds(node.test)
            defined(node.body, there and is_true, names)
            defined(node.orelse, there and not is_true, names)
            continue
        found = [getattr(node, "name", None), getattr(node, "target", None)]
        found += getattr(node, "targets", []) if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.ImportFrom):
            found += [alias.asname or alias.name for alias in node.names]
        for each in found:
            name = each.id if isinstance(each, ast.Name) else each
            if isinstance(name, str):
                names[name] = names.get(name, False) or there


def names_of(module: str) -> dict[str, bool]:
    stubs = Path(importlib.util.find_spec("mypy").origin).parent / "typeshed/stdlib"
    names: dict[str, bool] = {}
    for path in (stubs / f"{module}.pyi", stubs / module / "__init__.pyi"):
        if path.exists():
            defined(ast.parse(path.read_text(encoding="utf-8")).body, True, names)
    return names


class View(ModuleType):
    """A module as our code sees it."""

    def __init__(self, real: ModuleType, instead: dict[str, object]) -> None:
        super().__init__(real.__name__)
        names = {} if real is sys else names_of(real.__name__)
        missing = {name for name, there in names.items() if not there}
        self.__dict__.update(_real=real, _missing=missing, __file__=__file__)
        self.__dict__.update(instead)

    def __getattr__(self, name: str) -> object:
        if name in self._missing:
            where = f"module {self.__name__!r} has no attribute {name!r}"
            raise AttributeError(f"{where} on {SYSTEM}")
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__.pop(name, None)  # of a test that patches it
        setattr(self._real, name, value)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._real) if name not in self._missing]


# --- what is different on Windows ----------------------------------------------------------------


def windows_os() -> dict[str, object]:
    def kill(pid: int, number: int) -> None:
        if number in (0, 1):  # CTRL_C_EVENT, CTRL_BREAK_EVENT
            return os.kill(pid, 2)
        if pid == os.getpid():
            os._exit(number)
        return os.kill(pid, 9)

    return {"name": "nt", "kill": kill, "O_BINARY": 0}


def windows_signal() -> dict[str, object]:
    import signal

    known = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
    numbers = {getattr(signal, name) for name in known} | {21}

    def set_handler(number: int, handler: object) -> object:
        if number not in numbers:
            raise ValueError("signal number out of range")
        return signal.signal(number, handler)

    names = {"SIGBREAK": 21, "CTRL_C_EVENT": 0, "CTRL_BREAK_EVENT": 1}
    return names | {"signal": set_handler}


def windows_socket() -> dict[str, object]:
    import socket

    set_option = socket.socket.setsockopt

    def setsockopt(self: socket.socket, level: int, name: int, *value: object) -> None:
        if (level, name) == (socket.SOL_SOCKET, -5):  # a port is free on Windows while
            name = socket.SO_REUSEADDR  # old connections wait, and nobody shares it
        set_option(self, level, name, *value)

    def socketpair() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one = socket.create_connection(listener.getsockname())
            return one, listener.accept()[0]

    socket.socket.setsockopt = setsockopt
    return {"SO_EXCLUSIVEADDRUSE": -5, "socketpair": socketpair}


def windows_select() -> dict[str, object]:
    import select

    def select_sockets(*lists: object) -> object:
        for each in lists[:3]:
            if len(each) > 512:
                raise ValueError("too many file descriptors in select()")
            for it in each:
                fd = it if isinstance(it, int) else it.fileno()
                if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                    raise OSError(10038, "that is not a socket")
        if not any(map(len, lists[:3])):
            raise OSError(10022, "there is no socket")
        return select.select(*lists)

    return {"select": select_sockets}


def windows_selectors() -> dict[str, object]:
    import selectors

    class SelectSelector(selectors.SelectSelector):
        def _select(self, r: set[int], w: set[int], *rest: object) -> object:
            if len(r) > 512 or len(w) > 512:
                raise ValueError("too many file descriptors in select()")
            return super()._select(r, w, *rest)

    both = {"SelectSelector": SelectSelector, "DefaultSelector": SelectSelector}
    return both


def windows_subprocess() -> dict[str, object]:
    import subprocess

    class Popen(subprocess.Popen):
        def __init__(self, *words: object, **options: object) -> None:
            if options.get("preexec_fn") is not None:
                raise ValueError("preexec_fn is not supported on Windows platforms")
            options.pop("creationflags", None)
            super().__init__(*words, **options)

        def send_signal(self, number: int) -> None:
            if number == 15:
                self.terminate()
            elif number in (0, 1):
                super().send_signal(2)
            else:
                raise ValueError(f"Unsupported signal: {number}")

        def terminate(self) -> None:
            super().send_signal(9)

        kill = terminate

        def _handle_exitstatus(self, status: int, *more: object) -> None:
            super()._handle_exitstatus(status, *more)
            if self.returncode == -9:
                self.returncode = 1

    return {"Popen": Popen, "CREATE_NEW_PROCESS_GROUP": 0}


def in_use(path: object) -> bool:
    """Is this file open, or this the folder that we are in?"""
    wanted = os.path.realpath(os.fspath(path))
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    for link in [*links, "/proc/self/cwd"]:
        try:
            if os.readlink(link) in (wanted, os.fsencode(wanted)):
                if link.endswith("cwd") or not os.path.isdir(wanted):
                    return True
        except OSError:  # closed meanwhile
            pass
    return False


def guard_open_files() -> None:
    def guarded(name: str) -> None:
        real = getattr(os, name)

        def call(path: object, *more: object, **options: object) -> object:
            if fd := options.get("dir_fd"):
                path = os.path.join(os.readlink(f"/proc/self/fd/{fd}"), path)
                options = {}
            for each in (path, *more):
                if in_use(each):
                    why = "another process uses this file"
                    raise PermissionError(13, why, os.fspath(each))
            return real(path, *more, **options)

        setattr(os, name, call)

    for name in ("unlink", "remove", "rmdir", "rename", "replace"):
        guarded(name)


def play_windows_terminal() -> None:
    """The half of prompt_toolkit that is for Windows, played by the other half."""
    windows10 = ModuleType("prompt_toolkit.output.windows10")

    def output(stdout: object, default_color_depth: object = None) -> object:
        from prompt_toolkit.data_structures import Size
        from prompt_toolkit.output.vt100 import Vt100_Output

        def size() -> Size:
            columns, rows = os.get_terminal_size(stdout.fileno())
            return Size(rows=rows, columns=columns)

        depth = default_color_depth
        return Vt100_Output(stdout, size, default_color_depth=depth, enable_cpr=False)

    windows10.Windows10_Output = output
    windows10.is_win_vt100_enabled = lambda: True
    sys.modules["prompt_toolkit.output.windows10"] = windows10


def no_signal_handlers() -> None:
    """asyncio's loops on Windows have none; prompt_toolkit, which sees Linux, needs some."""
    from asyncio import unix_events

    real = unix_events._UnixSelectorEventLoop.add_signal_handler

    def add(self: object, number: int, *call: object) -> None:
        if is_ours(sys._getframe(1).f_globals):
            raise NotImplementedError
        real(self, number, *call)

    unix_events._UnixSelectorEventLoop.add_signal_handler = add


INSTEAD = {
    "os": windows_os,
    "select": windows_select,
    "selectors": windows_selectors,
    "signal": windows_signal,
    "socket": windows_socket,
    "subprocess": windows_subprocess,
}

# --- taking it away ------------------------------------------------------------------------------

views: dict[str, View] = {}


def view(name: str) -> View:
    if name not in views:
        real, instead = importlib.import_module(name), {}
        if SYSTEM == "win32" and name in INSTEAD:
            instead = INSTEAD[name]()
        if name == "sys":
            instead = {"platform": SYSTEM}
        elif name == "selectors" and SYSTEM == "darwin":
            instead = {"DefaultSelector": real.PollSelector}
        views[name] = View(real, instead)
    return views[name]


def our_import(
    name: str,
    globals: dict[str, object] | None = None,
    locals: object = None,
    fromlist: tuple[str, ...] | None = (),
    level: int = 0,
) -> ModuleType:
    if level or not is_ours(globals):
        return real_import(name, globals, locals, fromlist, level)
    top = name.partition(".")[0]
    if top in GONE[SYSTEM]:
        raise ModuleNotFoundError(f"No module named {top!r} on {SYSTEM}", name=top)
    module = real_import(name, globals, locals, fromlist, level)
    if top == "asyncio" and SYSTEM == "win32" and "asyncio" not in views:
        views["asyncio"] = None
        no_signal_handlers()
    if top in VIEWS and (name == top or not fromlist):
        return view(top)
    return module


def asked_by_us() -> bool:
    frame = sys._getframe(2)
    passing = "pathlib", "glob", "genericpath", "posixpath", "os", "fnmatch", "codecs"
    passing += ("IPython.core.interactiveshell",)  # whose `open` a cell calls
    while frame.f_back and frame.f_globals.get("__name__") in (*passing, __name__):
        if frame.f_code.co_name == "in_use":  # we look ourselves
            return False
        frame = frame.f_back
    return is_ours(frame.f_globals)


def check_path(path: object) -> None:
    if isinstance(path, int) or path is None:
        return
    text = os.fsdecode(path)
    if text.startswith(("/proc", "/sys", "/dev/full", "/dev/tty")) and asked_by_us():
        raise FileNotFoundError(2, "No such file or directory", text)


def hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir"):
        check_path(arguments[0])


def our_stat(path: object, **options: object) -> os.stat_result:
    if not isinstance(path, int):
        check_path(path)
    return real_stat(path, **options)


if SYSTEM:
    builtins.__import__ = our_import
    sys.addaudithook(hook)
    os.stat = our_stat
    if SYSTEM == "win32":
        guard_open_files()
        play_windows_terminal()
