"""Designs that change one factor at a time, from the full or the bare model; tied factors; `only`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.design.study import Study, load
from study.utils.errors import StudyError

BASELINE = {
    "encoder": {"image_size": 8, "patch_size": 2, "channels": 1, "width": 12, "depth": 3, "top_k": 1},
    "finetune": {"dataset": "digits"},
}
PARTS = {
    "bias": {"path": "encoder.bias", "levels": [True, False]},
    "flip": {"path": "finetune.augment.flip", "levels": [False, True]},
    "heads": {"path": "encoder.num_kv_heads", "levels": [3, 6]},
}
TWO = {name: PARTS[name] for name in ("bias", "flip")}
ONE = {"bias": PARTS["bias"]}

Loader = Callable[..., Study]


@pytest.fixture
def grid(tmp_path: Path) -> Loader:
    """Loads a grid of these factors and keys."""

    def make(factors: dict[str, Any], **keys: Any) -> Study:
        data = {"study": "example", "question": "What?", "baseline": BASELINE, "factors": factors, **keys}
        path = tmp_path / "example.yaml"
        path.write_text(json.dumps(data))
        return load(path)

    return make


def names(study: Study) -> list[str]:
    return [cell.name for cell in study.cells]


# --- one part at a time ---


@pytest.mark.parametrize("design", ["leave_one_out", "add_one"])
def test_each_part_is_changed_alone(grid: Loader, design: str) -> None:
    assert names(grid(PARTS, design=design)) == ["baseline", "bias=off", "flip=on", "heads=6"]


def test_both_ends_are_the_full_model_and_the_bare_one(grid: Loader) -> None:
    """Three parts: full, each removed, bare, each added to the bare one (that is: the two others removed)."""
    assert names(grid(PARTS, design=["leave_one_out", "add_one"])) == [
        "baseline",
        "bias=off",
        "flip=on",
        "heads=6",
        "bias=off, flip=on, heads=6",
        "flip=on, heads=6",
        "bias=off, heads=6",
        "bias=off, flip=on",
    ]


@pytest.mark.parametrize(
    ("factors", "cells"),
    [
        (TWO, ["baseline", "bias=off", "flip=on", "bias=off, flip=on"]),  # removing one is adding the other
        (ONE, ["baseline", "bias=off"]),
    ],
)
def test_a_cell_of_both_ends_is_listed_once(grid: Loader, factors: dict[str, Any], cells: list[str]) -> None:
    assert names(grid(factors, design=["leave_one_out", "add_one"])) == cells


@pytest.mark.parametrize(
    ("design", "full", "bare"),
    [
        ("one_factor", None, None),
        ("factorial", None, None),
        ("leave_one_out", "baseline", None),
        ("add_one", None, "baseline"),
        (["leave_one_out", "add_one"], "baseline", "bias=off, flip=on, heads=6"),
    ],
)
def test_full_and_bare_model(grid: Loader, design: object, full: str | None, bare: str | None) -> None:
    study = grid(PARTS, design=design)
    assert (study.full.name if study.full else None, study.bare.name if study.bare else None) == (full, bare)


@pytest.mark.parametrize("design", ["leave_one_out", "add_one", ["leave_one_out", "add_one"]])
def test_parts_have_two_levels(grid: Loader, design: object) -> None:
    factors = {**TWO, "heads": {"path": "encoder.num_kv_heads", "levels": [1, 3, 6]}}
    with pytest.raises(StudyError, match=r"factors.heads: has 3 levels \(3, 1, 6\).*or design: one_factor"):
        grid(factors, design=design)


# --- tied factors ---

WIDTH = {"path": "encoder.width", "levels": [12, 24, 48]}
DEPTH = {"path": "encoder.depth", "levels": [3, 4, 5]}


def test_tied_factors_change_together_in_written_order(grid: Loader) -> None:
    study = grid({"width": WIDTH, **ONE, "depth": DEPTH}, paired=[["width", "depth"]], design="factorial")
    assert [factor.name for factor in study.factors] == ["width + depth", "bias"]
    assert names(study) == [
        "baseline",
        "bias=off",
        "width + depth=24 + 4",
        "width + depth=24 + 4, bias=off",
        "width + depth=48 + 5",
        "width + depth=48 + 5, bias=off",
    ]
    sizes = [(cell.settings.encoder.width, cell.settings.encoder.depth) for cell in study.cells if cell.settings]
    assert sizes == [(12, 3)] * 2 + [(24, 4)] * 2 + [(48, 5)] * 2


def test_baseline_levels_of_tied_factors_may_both_be_implicit(grid: Loader) -> None:
    factors = {"width": {**WIDTH, "levels": [24, 48]}, "depth": {**DEPTH, "levels": [4, 5]}}
    study = grid(factors, paired=[["depth", "width"]])
    assert names(study) == ["baseline", "width + depth=24 + 4", "width + depth=48 + 5"]
    assert study.baseline.labels == {"width + depth": "12 + 3"}


def test_three_tied_factors(grid: Loader) -> None:
    study = grid({"width": {**WIDTH, "levels": [12, 24]}, **TWO}, paired=[["width", "bias", "flip"]])
    assert names(study) == ["baseline", "width + bias + flip=24 + off + on"]


def test_conditions_accept_the_parts_of_tied_factors(grid: Loader) -> None:
    exclude = [{"when": {"depth": 4}, "reason": "why"}]
    study = grid({"width": WIDTH, "depth": DEPTH}, paired=[["width", "depth"]], exclude=exclude)
    assert [cell.excluded for cell in study.cells] == [None, "why", None]


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"width": WIDTH, "depth": {**DEPTH, "levels": [3, 4]}}, "'width' has 3 written levels and 'depth' 2"),
        ({"width": {**WIDTH, "levels": [12, 24]}, "depth": {**DEPTH, "levels": [4, 5]}},
         "number 1 in 'width' and not written in 'depth'"),
        ({"width": WIDTH, "depth": {"levels": [{"label": "a", "set": {"encoder.depth": 3}},
                                               {"label": "b", "set": {"encoder.width": 24, "encoder.depth": 4}},
                                               {"label": "c", "set": {"encoder.depth": 5}}]}},
         "encoder.width is set by both '24' and 'b'"),
        ({"width": WIDTH, "depth": DEPTH, "width + depth": ONE["bias"]}, "duplicate factor name 'width \\+ depth'"),
    ],
)  # fmt: skip
def test_invalid_tied_factors(grid: Loader, factors: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=f"paired.*{message}"):
        grid(factors, paired=[["width", "depth"]])


# --- only ---


def included(study: Study) -> list[str]:
    return [cell.name for cell in study.cells if cell.excluded is None]


def test_only_includes_cells_covered_by_any_entry(grid: Loader) -> None:
    only = [
        {"when": {"bias": "on"}, "reason": "biases are cheap"},
        {"when": {"encoder.num_kv_heads": 6, "finetune.augment.flip": True}, "reason": "the two ends"},
    ]
    study = grid(PARTS, design="factorial", only=only)
    assert included(study) == ["baseline", "heads=6", "flip=on", "flip=on, heads=6", "bias=off, flip=on, heads=6"]
    assert {cell.excluded for cell in study.cells} == {
        None, "not covered by 'only': biases are cheap; the two ends",
    }  # fmt: skip


def test_exclude_applies_to_cells_included_by_only(grid: Loader) -> None:
    only, exclude = [{"when": {"bias": "on"}, "reason": "a"}], [{"when": {"heads": 6, "flip": "on"}, "reason": "b"}]
    study = grid(PARTS, design="factorial", only=only, exclude=exclude)
    assert included(study) == ["baseline", "heads=6", "flip=on"]
    assert [cell.excluded for cell in study.cells if cell.name.endswith("flip=on, heads=6")] == ["b", "b"]


def test_cells_outside_only_may_be_invalid(grid: Loader) -> None:
    factors = {**ONE, "heads": {"path": "encoder.num_kv_heads", "levels": [3, 4]}}
    study = grid(factors, design="factorial", only=[{"when": {"heads": 3}, "reason": "4 does not divide 6"}])
    assert included(study) == ["baseline", "bias=off"]


def test_a_factor_is_tied_once(grid: Loader) -> None:
    with pytest.raises(StudyError, match=r"paired\[1\]: duplicate factor 'depth': already in 'width \+ depth'"):
        grid({"width": WIDTH, "depth": DEPTH, **ONE}, paired=[["width", "depth"], ["depth", "bias"]])
