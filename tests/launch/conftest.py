"""A repository to launch from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.launch_samples import ASKED

from study.launch import Launched, write

Launch = Callable[..., Launched]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository's root, as far as launching looks at it."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "requirements.lock").write_text("ray==2.60.0\ntorch==2.13.0\n")
    return folder


@pytest.fixture
def launch(tiny: Path, root: Path) -> Launch:
    """Write the files of a kind with its plain options, some changed (None leaves one out)."""

    def launch(
        kind: str, grid: Path = tiny, folder: Path | None = None, force: bool = False, **changed: Any
    ) -> Launched:
        asked = {name: value for name, value in (ASKED[kind] | changed).items() if value is not None}
        return write(kind, grid, asked, folder, root, force)

    return launch
