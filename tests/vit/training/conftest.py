"""What the training tests share."""

from collections.abc import Callable, Iterator

import pytest
import torch
from helpers.training_samples import SMALL

from study.vit import settings
from study.vit.data import Dataset
from study.vit.training import batches


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded data sets are not left in the user's cache."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a sweep: one core for each worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder() -> settings.Encoder:
    return settings.Encoder.model_validate(SMALL)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Dataset], None]:
    """Makes training find this data set, whatever the recipe names."""
    return lambda made: monkeypatch.setattr(batches, "load", lambda name, size, device: made)
