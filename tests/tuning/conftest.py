"""Fixtures of the tests of tuning."""

from collections.abc import Iterator

import pytest
import torch
from helpers.tuning_fixtures import grid as grid


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread, as in a worker, so that results are identical bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
