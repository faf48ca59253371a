"""What the training tests share."""

from collections.abc import Callable

import pytest
from helpers.training_samples import SMALL

from study.vit import settings
from study.vit.data import Dataset
from study.vit.training import batches


@pytest.fixture
def encoder() -> settings.Encoder:
    return settings.Encoder.model_validate(SMALL)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Dataset], None]:
    """Makes training load this data set, whatever the recipe names."""
    return lambda dataset: monkeypatch.setattr(batches, "load", lambda name, size, device, split: dataset)
