"""Folders of the repository, and its example grids."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
GRIDS = ROOT / "grids"
TESTS = ROOT / "tests"


def _tracked_grids() -> list[Path]:
    """The grids that git tracks; none without git or outside a repository."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "grids/*.yaml"], capture_output=True, text=True, check=False
        ).stdout
    except FileNotFoundError:
        return []
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).exists()]


EXAMPLE_GRIDS = sorted(_tracked_grids() or GRIDS.glob("*.yaml"))  # without grids that a user has saved there
