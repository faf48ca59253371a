"""A repository in which to write launch files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.launch_samples import EXAMPLES

from study.launch import Launched, write

Launch = Callable[..., Launched]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a repository, with the files that `write` reads."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "requirements.lock").write_text("ray==2.60.0\ntorch==2.13.0\n")
    return folder


@pytest.fixture
def launch(tiny: Path, root: Path) -> Launch:
    """Write the files of a kind with its example options; `changed` replaces some of them (None removes one)."""

    def launch(
        kind: str, grid: Path = tiny, folder: Path | None = None, force: bool = False, **changed: Any
    ) -> Launched:
        options = {name: value for name, value in (EXAMPLES[kind] | changed).items() if value is not None}
        return write(kind, grid, options, folder, root, force)

    return launch
