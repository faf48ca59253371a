"""Tables of cells on terminals of any width."""

import io
from pathlib import Path

import pytest
from helpers.looks import make_plan
from rich.console import Console

from study.cli import plan as view
from study.design.study import load
from study.store.results import Store


@pytest.mark.parametrize(("width", "columns"), [(40, ["done"]), (60, ["done"]), (120, [*view.COLUMNS])])
def test_names_of_cells_stay_readable(tiny: Path, width: int, columns: list[str]) -> None:
    """The names are complete, no line is too long, and wide terminals have all columns."""
    out = Console(file=io.StringIO(), width=width, soft_wrap=False)
    plan = make_plan(load(tiny), Store(tiny.parent / "none"))
    view.show(plan, out)
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    for name in ("baseline", "kv heads=2", "mode=probe", "pre-training=none"):
        assert any(line.startswith(name) for line in lines)
    header = next(line for line in lines if line.startswith("cell"))
    assert all(name in header for name in columns)
