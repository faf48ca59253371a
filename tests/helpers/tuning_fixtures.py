"""Fixtures that tests of search spaces and of tuning share."""

from pathlib import Path

import pytest
from helpers.tuning_samples import TUNED, Writer


@pytest.fixture
def grid(tmp_path: Path) -> Writer:
    """Writes the study with parts of its text replaced."""

    def write(*changes: tuple[str, str], text: str = TUNED) -> Path:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "tuned.yaml"
        path.write_text(text)
        return path

    return write
