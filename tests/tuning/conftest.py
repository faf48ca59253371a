"""Fixtures of the tests of tuning."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.tuning_samples import TUNED, Writer


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As a worker has it, so that results agree bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def grid(tmp_path: Path) -> Writer:
    """Writes the study with some of its text replaced."""

    def write(*changes: tuple[str, str], text: str = TUNED) -> Path:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "tuned.yaml"
        path.write_text(text)
        return path

    return write
