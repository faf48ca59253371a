"""Data tests share a cache of their own, so that nothing is found in the user's, or left behind there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.vit.data import tensors


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's decoded data sets are kept."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STUDY_CACHE", str(folder))
    monkeypatch.setattr(tensors, "_held", {})
    return folder / "data"


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes this process know no more than a new one does: the tensors in memory are forgotten."""
    return lambda: monkeypatch.setattr(tensors, "_held", {})
