"""What the tests of the vision transformer share."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache of decoded data sets per session, so that none are left in the user's."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a sweep: one core per worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
