"""The example grids, as `plan` shows them."""

import io
from pathlib import Path

import pytest
from helpers.looks import make_plan
from helpers.paths import EXAMPLE_GRIDS
from rich.console import Console

from study.cli.plan import show
from study.design.study import load
from study.store.results import Store


@pytest.mark.parametrize("path", EXAMPLE_GRIDS, ids=lambda path: path.stem)
def test_plan_has_no_warning_about_an_example_grid(path: Path, tmp_path: Path) -> None:
    """An example that its own plan warns about, such as of a decorative look, is a bad example."""
    out = io.StringIO()
    show(make_plan(load(path), Store(tmp_path / "store")), Console(file=out, width=200))
    assert load(path).name in out.getvalue()
    assert "warning" not in out.getvalue()
