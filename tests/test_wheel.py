"""What a user installs: a wheel, built from the sdist, in an environment that has nothing else."""

import configparser
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow(seconds=12)

DEVELOPMENT_ONLY = [
    "nbdev",
    "IPython",
    "jupyter_core",
    "ipykernel",
    "fastcore",
    "execnb",
    "pytest",
]


def test_wheel(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Needs the package index, for the one requirement of the package."""
    monkeypatch.delenv(
        "PYTHONPATH", raising=False
    )  # nothing from here may be seen there
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = [
            archive.read(name).decode()
            for name in archive.namelist()
            if name.endswith("/entry_points.txt")
        ]
        assert "python_tcp/page/index.html" in archive.namelist()
        assert "python_tcp/py.typed" in archive.namelist()  # PEP 561
        top_level = {name.split("/")[0] for name in archive.namelist()}
    assert "[nbdev]\npython_tcp = python_tcp._modidx:d\n" in entry_points
    assert {name for name in top_level if not name.endswith(".dist-info")} == {
        "python_tcp"
    }

    venv.create(tmp_path / "empty")
    bin = tmp_path / "empty" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", bin / "python"]
    subprocess.run([*pip, "install", "--quiet", wheel], check=True, timeout=180)
    for command in ("chat_server", "chat_client", "tcp_lab"):
        shown = subprocess.run(
            [bin / command, "--help"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (shown.returncode, shown.stderr) == (
            0,
            "",
        ) and f"usage: {command}" in shown.stdout
    assert loaded(bin / "python", "python_tcp.chat_app", tmp_path) == []


def test_importing_the_chat_loads_nothing_of_the_toolchain(tmp_path: Path) -> None:
    """Here the toolchain is installed, so that an import of it would succeed."""
    assert loaded(Path(sys.executable), "python_tcp.chat_app", tmp_path) == []
    assert loaded(Path(sys.executable), "nbdev", tmp_path) != []


def loaded(python: Path, module: str, folder: Path) -> list[str]:
    """Which packages of the toolchain an import of `module` loads."""
    program = (
        f"import sys, {module}; print(*(set({DEVELOPMENT_ONLY}) & set(sys.modules)))"
    )
    return subprocess.run(
        [python, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()


def test_what_uv_reads_agrees_with_the_settings() -> None:
    """`uv run chat_server` needs a project in pyproject.toml; its lock is nobody's business."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parser = configparser.ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    settings = parser["DEFAULT"]
    assert project["name"] == settings["lib_name"]
    assert project["requires-python"] == f">={settings['min_python']}"
    assert {"dependencies", "optional-dependencies", "scripts"} <= {*project["dynamic"]}
    assert "uv.lock" in (ROOT / ".gitignore").read_text().splitlines()
