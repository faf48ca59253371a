"""The report of a study with a bit of everything, built once for all tests that only read it."""

from pathlib import Path

import pytest
from helpers.looks import collect
from helpers.report_samples import KV_HEADS, PRETRAINING, Built, everything, make_study

from study.design.study import Study
from study.report import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Hostile names, a failed trial, missing ones, an exclusion, two commits, pre-training and transfer."""
    folder = tmp_path_factory.mktemp("built")
    study, store = everything(folder)
    results = collect(study, store)
    return Built(study, store, results, build(results, folder / "reports" / study.name))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Three numbers of kv heads, with and without pre-training, one change at a time, three replicates."""
    return make_study(tmp_path, {**KV_HEADS, **PRETRAINING})
