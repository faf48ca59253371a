"""A separate cache for every data test, so that the user's cache is neither read nor written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.vit.data import tensors


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STUDY_CACHE", str(folder))
    monkeypatch.setattr(tensors, "_held", {})
    return folder / "data"


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Drops the tensors in memory, as in a new process."""
    return lambda: monkeypatch.setattr(tensors, "_held", {})
