"""Where the repository and its grids are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GRIDS = ROOT / "grids"
