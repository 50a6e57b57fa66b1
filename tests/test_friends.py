"""The page "Run a chat for your friends", followed: its blocks in their order, in an empty folder for a machine; and the files that it has the reader write."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import nbformat
import pytest
from screen import Terminal
from sockets import kept_port

from python_tcp.backup import is_backup
from python_tcp.operations import Config, read_config

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
UNITS = ["chat_server.service", "chat_backup.service", "chat_backup.timer"]
STUBS = ["systemctl", "journalctl", "install", "runuser", "apt-get", "useradd"]
PLACES = [
    "/opt/chat",
    "/etc/chat",
    "/etc/systemd",
    "/var/lib/chat",
    "/var/backups/chat",
]

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the page is for Linux"
)


def page() -> str:
    cells = nbformat.read(ROOT / "nbs" / "081_friends.ipynb", as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def blocks(language: str = "sh") -> list[str]:
    """What the reader types, in its order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page(), re.M | re.S)


# --- the files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_the_page_has_the_units_of_the_project(unit: str) -> None:
    there = (
        f"cat > /etc/systemd/system/{unit} <<'EOF'\n{(DEPLOY / unit).read_text()}EOF"
    )
    assert there in page()


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_the_units(unit: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    for name in UNITS:  # a program that is there, in place of /opt/chat/bin/...
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(re.sub(r"/opt/chat/bin/\w+", "/bin/true", text))
    command = ["systemd-analyze", "verify", tmp_path / unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("unit", "most"), [(UNITS[0], 1.5), (UNITS[1], 4.0)])
def test_the_services_may_do_little(unit: str, most: float) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    done = subprocess.run(
        [*command, DEPLOY / unit], capture_output=True, text=True, timeout=60
    )
    if not (found := re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)):
        pytest.skip("this systemd-analyze has no --offline")
    assert float(found[1]) <= most
    said = re.search(r"of 10 points .*?, ([\d.]+) are left", page())[1]
    assert unit != UNITS[0] or float(said) == float(found[1])


def settings_in(text: str) -> list[str]:
    """Also those that are not set: their line begins with #."""
    return re.findall(r"^#?(\w+) =", text, re.M)


def test_the_example_has_every_setting_and_its_default() -> None:
    text = (DEPLOY / "chat.toml").read_text()
    top, *tables = re.split(r"^\[(\w+)\]\n", text, flags=re.M)
    parts = dict(zip(tables[::2], tables[1::2]))
    assert {*settings_in(top), *parts} == set(Config.__struct_fields__)
    for name, part in parts.items():
        fields = getattr(Config(), name).__struct_fields__
        assert settings_in(part) == list(fields), name
    assert read_config(DEPLOY / "chat.toml") == Config()
    everything = re.sub(r"^#(\w+ =)", r"\1", text, flags=re.M)  # the examples are right
    assert msgspec.convert(tomllib.loads(everything), Config) != Config()


def test_the_dockerfile_can_be_followed() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if re.match("[A-Z]", line)]
    for kind, rest in steps:
        if kind == "COPY":
            words = [word for word in rest.split() if not word.startswith("--")]
            assert all((ROOT / word).exists() for word in words[:-1]), rest
    said = {kind: rest for kind, rest in steps}
    least = re.search(r"min_python = ([\d.]+)", (ROOT / "settings.ini").read_text())[1]
    image = re.fullmatch(r"python:(\d+\.\d+)-slim", said["FROM"])
    assert tuple(map(int, image[1].split("."))) >= tuple(map(int, least.split(".")))
    assert said["USER"] == "chat" and "useradd --system --uid 10001" in text
    assert said["VOLUME"] == "/data"
    kinds = [kind for kind, _ in steps]
    assert kinds.index("USER") < kinds.index("CMD") == len(kinds) - 1
    settings = read_config(DEPLOY / "docker.toml")
    assert f"http://127.0.0.1:{settings.metrics}/health" in said["HEALTHCHECK"]
    assert said["EXPOSE"] == str(settings.port) and settings.data.startswith("/data/")
    assert settings.host == "0.0.0.0"


def test_the_settings_of_the_page_are_right() -> None:
    for text in blocks("toml"):
        msgspec.convert(tomllib.loads(text), Config)
    for text in re.findall(r"chat\.toml <<'EOF'\n(.*?)^EOF$", page(), re.M | re.S):
        msgspec.convert(tomllib.loads(text), Config)


# --- the commands ------------------------------------------------------------------------------------------------


class Machine:
    """A folder in place of a rented machine, and programs in place of what it lacks."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self._wheel = folder, wheel
        self._keepers = [kept_port() for _ in range(2)]
        self.port, self._metrics = (each.getsockname()[1] for each in self._keepers)
        (folder / "stubs").mkdir()
        (folder / "etc/systemd/system").mkdir(parents=True)
        for name in ("var/lib", "var/backups", "opt", "run", "home"):
            (folder / name).mkdir(parents=True)
        script = ROOT / "tests" / "friends_stubs.py"
        for name in STUBS:
            line = shlex.join([sys.executable, str(script), str(folder), name])
            (stub := folder / "stubs" / name).write_text(
                f'#!/bin/sh\nexec {line} "$@"\n'
            )
            stub.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{folder}/stubs{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "STUBS": str(folder / "run"),
        }
        self.environment.pop("PYTHONPATH", None)

    def here(self, text: str) -> str:
        """A block, with what is different on this machine."""
        for place in PLACES:
            text = re.sub(rf"(?<![\w.]){place}\b", f"{self.folder}{place}", text)
        text = text.replace(
            '"$(ls /root/python_tcp-*.whl)[tls]"', f"'{self._wheel}[tls]'"
        )
        text = text.replace("install python_tcp-*.whl\n", f"install '{self._wheel}'\n")
        text = re.sub(r"\b8000\b", str(self.port), text).replace(
            "203.0.113.7", "localhost"
        )
        return re.sub(r"\b9800\b", str(self._metrics), text)

    def run(self, block: str) -> str:
        """Type it. Returns what was printed."""
        done = subprocess.run(
            ["bash", "-e", "-c", self.here(block)], cwd=self.folder / "home",
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode in (0, 124), f"{block}\n{done.stdout}"  # 124: timeout(1)
        return done.stdout

    def close(self) -> None:
        for file in (self.folder / "run").glob("*.pid"):
            subprocess.run(["kill", "-9", file.read_text()], stderr=subprocess.DEVNULL)
        for keeper in self._keepers:
            keeper.close()


@pytest.fixture
def machine(wheel: Path, tmp_path: Path) -> Iterator[Machine]:
    (folder := tmp_path / "machine").mkdir()
    machine = Machine(folder, wheel)
    yield machine
    machine.close()


def chat(machine: Machine, block: str, pin: str, said: str, is_new: bool) -> None:
    """As a friend: install, connect, compare the pin if it is new, say something."""
    *before, client = block.splitlines()
    if is_new:
        machine.run("\n".join(before) + "\n")
    command = shlex.split(machine.here(client))
    home = machine.folder / "home"
    command = ["env", "-C", str(machine.folder / "home"), *command]
    home, nowhere = str(machine.folder / "home"), dict.fromkeys(["PYTHONPATH"], "")
    with Terminal(*command, columns=120, HOME=home, **nowhere) as terminal:
        terminal.until("name")
        terminal.type("ann\r")
        if is_new:
            terminal.until(pin)
            terminal.type("yes\r")
        terminal.until("in lobby: ann")
        terminal.type(f"{said}\r")
        terminal.until(f"ann: {said}")
        assert terminal.end("/quit\r") == 0


@pytest.mark.slow(seconds=90)
def test_the_page_is_followed(machine: Machine) -> None:
    """Needs the package index, for the requirements of the package."""
    told, pin = [], ""
    (friends,) = (block for block in blocks() if "chat_client" in block)
    for block in blocks():
        if block == friends:
            chat(machine, block, pin, "good evening", is_new=True)
            continue
        told.append(machine.run(block))
        found = re.search(r"pin is (\w{64})", told[-1])
        pin = found[1] if found else pin
    chat(machine, friends, pin, "still here", is_new=False)  # the pin is remembered
    said = "".join(told)
    for each in ("usage: chat_server", "active (running)", ", checked", "ok\n"):
        assert each in said
    assert "limits.rooms_per_client is 5 now" in said
    journal = machine.run("journalctl\n")
    assert len(re.findall("ann joined lobby, from (127.0.0.1|::1)", journal)) == 2
    assert set(re.findall(r"pin is (\w+)", journal)) == {pin}  # also after the upgrade
    assert not re.search("error|Traceback", journal)
    backups = list((machine.folder / "var/backups/chat").glob("*.db"))
    assert backups and all(is_backup(each) for each in backups)
