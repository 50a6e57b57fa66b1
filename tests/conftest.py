"""What several test files share."""
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
MADE_BY_TOOLS = shutil.ignore_patterns(
    ".git", ".venv", "_docs", "_proc", "build", "dist", "*.egg-info", "__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".hypothesis", "results"
)

settings.register_profile("no clock", deadline=None)  # a slow machine is no bug
settings.load_profile("no clock")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the repository, for tests that write into it."""
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=MADE_BY_TOOLS))
