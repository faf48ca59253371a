"""The grids that a store keeps of the studies that were run with it."""

import json
from pathlib import Path

import pytest

from study.design.study import load
from study.planning import study_identity
from study.planning.recorded_grids import recorded_studies
from study.store.results import Store

GRID = (
    "study: {name}\nquestion: Which?\nbaseline: {{finetune: {{dataset: digits}}, encoder: {{depth: 4}}}}\n"
    "factors: {{depth: {{path: encoder.depth, levels: [4, 6]}}}}\n"
)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "store" if request.param == "folder" else request.getfixturevalue("bucket"))


def recorded(store: Store, folder: Path, name: str = "depths", **changes: str) -> Path:
    """Record a study, then remove its grid file."""
    path = folder / "grid.yaml"
    path.write_text(GRID.format(name=name) + "".join(f"{key}: {value}\n" for key, value in changes.items()))
    study_identity.record(load(path), store)
    path.unlink()
    return path


def test_a_study_is_found_without_its_grid_file(store: Store, tmp_path: Path) -> None:
    recorded(store, tmp_path, "widths")
    recorded(store, tmp_path, "depths", replicates="2")
    recorded(store, tmp_path, "depths", replicates="4")
    first, second = recorded_studies(store)
    assert (first.name, second.name, first.problem, second.problem) == ("depths", "widths", "", "")
    assert first.study is not None
    assert first.study.grid.replicates == 4  # as it was run last
    assert [cell.name for cell in first.study.cells] == ["baseline", "depth=6"]


def test_a_store_without_studies_has_none(store: Store) -> None:
    assert list(recorded_studies(store)) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"study: depths\n", "baseline"),
        (b"\xff", "not UTF-8"),
        (GRID.format(name="other").encode(), "'other'"),
        (None, "grid.yaml: grid file not found"),
    ],
)
def test_a_grid_that_cannot_be_used_is_named_with_the_reason(
    store: Store, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    recorded(store, tmp_path)
    if content is None:
        store.remove("studies/depths.yaml")
    else:
        store.write("studies/depths.yaml", content)
    (found,) = recorded_studies(store)
    assert found.study is None
    assert problem in found.problem
    assert json.loads(store.read("studies/depths.json") or b"")["question"] == "Which?"  # its identity stays
