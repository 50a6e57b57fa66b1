"""`python friends_stubs.py ROOT NAME ARGUMENTS`: what a machine without systemd as its first process has in place of `systemctl` and some others, for tests/test_friends.py.

A unit is started as its file says: the command, the environment of a service manager, the wait for READY=1. With the real users where ROOT is "/".
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(sys.argv[1])
RUN = Path(os.environ["STUBS"])
LIMIT = 30.0


def setting(unit: str, key: str) -> str:
    text = (ROOT / "etc/systemd/system" / unit).read_text()
    found = re.findall(rf"^{key}=(.*)$", text, re.M)
    assert found, f"{unit} has no {key}"
    return found[0]


def command(unit: str, key: str, **variables: object) -> list[str]:
    words = shlex.split(setting(unit, key).replace("%%", "%"))
    user = setting(unit, "User")
    as_user = ["runuser", "-u", user, "--"] if ROOT == Path("/") else []
    if key == "ExecReload":
        as_user = []
    return as_user + [
        word.replace("$MAINPID", str(variables.get("pid"))) for word in words
    ]


def pid_of(unit: str) -> int:
    return int((RUN / f"{unit}.pid").read_text())


def runs(unit: str) -> bool:
    try:
        state = Path(f"/proc/{pid_of(unit)}/stat").read_text().rpartition(")")[2]
        return state.split()[0] != "Z"
    except (FileNotFoundError, ValueError):
        return False


def start(unit: str) -> None:
    if setting(unit, "Type") == "oneshot":
        subprocess.run(command(unit, "ExecStart"), check=True)
        return
    path = RUN / "notify"
    path.unlink(missing_ok=True)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
        (RUN / f"{unit}.log").open("a") as journal,
    ):
        notify.bind(str(path))
        path.chmod(0o777)
        notify.settimeout(LIMIT)
        environment = {**os.environ, "NOTIFY_SOCKET": str(path)}
        process = subprocess.Popen(
            command(unit, "ExecStart"), env=environment, stdin=subprocess.DEVNULL,
            stdout=journal, stderr=journal, start_new_session=True,
        )  # fmt: skip
        while "READY=1" not in notify.recv(4096).decode():
            pass
        main = process.pid
        if ROOT == Path("/"):  # runuser waits for the real one
            children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
            main = int(children[0]) if children else main
        (RUN / f"{unit}.pid").write_text(str(main))


def stop(unit: str) -> None:
    os.kill(pid_of(unit), signal.SIGTERM)
    end = time.monotonic() + LIMIT
    while runs(unit):
        assert time.monotonic() < end, f"{unit} does not end"
        time.sleep(0.01)


def systemctl(action: str, *rest: str) -> None:
    units = [name for name in rest if not name.startswith("-")]
    units = [name if "." in name else f"{name}.service" for name in units]
    for unit in units:
        if unit.endswith(".timer"):
            assert setting(unit, "OnCalendar")
        elif action in ("start", "enable"):
            start(unit)
        elif action == "stop":
            stop(unit)
        elif action == "restart":
            stop(unit)
            start(unit)
        elif action == "reload":
            subprocess.run(command(unit, "ExecReload", pid=pid_of(unit)), check=True)
        else:
            assert action == "status" and runs(unit), f"{action} {unit}"
            print(f"{unit} active (running)")


def journalctl(*arguments: str) -> None:
    print((RUN / "chat_server.service.log").read_text(), end="")


def install(*arguments: str) -> None:
    """Without the owners, where they are not there."""
    words = list(arguments)
    for option in ("-o", "-g"):
        at = words.index(option)
        del words[at : at + 2]
    subprocess.run([shutil.which("install", path="/usr/bin:/bin"), *words], check=True)


def runuser(*arguments: str) -> None:
    words = list(arguments)
    os.execvp(words[3], words[3:])  # after -u NAME --


def nothing(*arguments: str) -> None:
    """`apt-get`, `useradd`: it is there already."""


if __name__ == "__main__":
    name, arguments = sys.argv[2], sys.argv[3:]
    {
        "systemctl": systemctl, "journalctl": journalctl, "install": install,
        "runuser": runuser, "apt-get": nothing, "useradd": nothing,
    }[name](*arguments)  # fmt: skip
