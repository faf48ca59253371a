"""Fractional designs and samples, from a grid file to plan and report; their error messages."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.looks import collect, make_plan
from rich.console import Console

from study.cli.plan import as_json, show
from study.design.study import Study, load
from study.report import analyse
from study.report.sections import Text, outline
from study.report.tables import TABLES
from study.store.results import Store
from study.utils.errors import StudyError

BASELINE = {
    "encoder": {"image_size": 8, "patch_size": 2, "channels": 1, "width": 12, "depth": 3, "top_k": 1},
    "finetune": {"dataset": "digits"},
}
FOUR = {
    "bias": {"path": "encoder.bias", "levels": [True, False]},
    "flip": {"path": "finetune.augment.flip", "levels": [False, True]},
    "heads": {"path": "encoder.num_kv_heads", "levels": [3, 6]},
    "depth|x": {"path": "encoder.depth", "levels": [3, 4]},
}
THREE = {name: FOUR[name] for name in ("bias", "flip", "heads")}

Loader = Callable[..., Study]


@pytest.fixture
def grid(tmp_path: Path) -> Loader:
    def make(factors: dict[str, Any] = FOUR, **keys: Any) -> Study:
        data = {
            "study": "example",
            "question": "What?",
            "baseline": {**BASELINE, "pretrain": {"dataset": "digits"}},
            "factors": factors,
            **keys,
        }
        path = tmp_path / "example.yaml"
        path.write_text(json.dumps(data))
        return load(path)

    return make


def shares(count: int) -> dict[str, Any]:
    """`count` factors of two levels each; no two set the same field."""
    augment = [f"augment.{name}" for name in ("shift", "zoom", "rotate", "brightness", "contrast", "erase")]
    both = [*augment, "weight_decay", "clip_norm", "learning_rate"]
    fields = [f"{section}.{name}" for section in ("pretrain", "finetune") for name in both]
    fields += ["finetune.label_smoothing", "finetune.augment.mixup"]
    return {field: {"path": field, "levels": [0.25]} for field in fields[:count]}


# --- fractions ---


def test_half_fraction_starts_with_the_baseline(grid: Loader) -> None:
    study = grid(design="fractional")
    assert [cell.name for cell in study.cells] == [
        "baseline",
        "heads=6, depth|x=4",
        "flip=on, depth|x=4",
        "flip=on, heads=6",
        "bias=off, depth|x=4",
        "bias=off, heads=6",
        "bias=off, flip=on",
        "bias=off, flip=on, heads=6, depth|x=4",
    ]


def test_tied_factors_count_as_one_factor_of_a_fraction(grid: Loader) -> None:
    study = grid({**FOUR, "width": {"path": "encoder.width", "levels": [12, 24]}}, design="fractional",
                 paired=[["width", "depth|x"]])  # fmt: skip
    assert study.aliases is not None
    assert study.aliases.factors == ("bias", "flip", "heads", "depth|x + width")
    assert len(study.cells) == 8


@pytest.mark.parametrize(
    ("factors", "keys", "message"),
    [
        ({**THREE, "depth": {"path": "encoder.depth", "levels": [3, 4, 5]}}, {},
         r"factors.depth: has 3 levels \(3, 4, 5\), but .* factors of two; keep two, or use design: factorial with"),
        (FOUR, {"resolution": 5}, "resolution: resolution 5 requires at least 5 factors; with 4 the highest is 4: use "
                                  "resolution: 4, or design: factorial, which has all 16 cells"),
        (THREE, {"resolution": 4}, "resolution: resolution 4 requires at least 4 factors; with 3 the highest is 3"),
        (THREE, {}, "design: resolution 4 requires at least 4 factors; with 3 the highest is 3"),
        ({"bias": FOUR["bias"], "flip": FOUR["flip"]}, {"resolution": 3},
         "a fraction of 2 two-level factors aliases their main effects: at least 3 are needed; use design: factorial"),
        (shares(20) | {"bias": FOUR["bias"]}, {}, "factors: 21 factors: a fractional design supports at most 20"),
        (FOUR, {"sample": 4}, "sample: belongs to design: factorial, but the design is fractional"),
        (FOUR, {"replicates": 200_000}, "design: 8 cells x 200,000 replicates exceed the limit of 1,000,000 trials"),
    ],
)  # fmt: skip
def test_invalid_fractions(grid: Loader, factors: dict[str, Any], keys: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        grid(factors, design="fractional", **keys)


def test_twenty_factors_have_a_fraction(grid: Loader) -> None:
    study = grid(shares(20), design="fractional", resolution=3, replicates=1)
    assert len(study.cells) == 32


def test_a_cell_of_a_fraction_may_be_excluded(grid: Loader) -> None:
    study = grid(design="fractional", exclude=[{"when": {"flip": "on", "heads": 3}, "reason": "why"}])
    assert [cell.excluded for cell in study.cells].count("why") == 2


# --- samples ---


def test_a_sample_is_a_part_of_the_product(grid: Loader) -> None:
    study = grid(design="factorial", sample=6)
    whole = {cell.name for cell in grid(design="factorial").cells}
    assert study.cells[0].name == "baseline"
    assert len({cell.name for cell in study.cells} & whole) == len(study.cells) == 6


@pytest.mark.parametrize("method", ["space_filling", "random"])
def test_a_larger_sample_contains_the_smaller_one(grid: Loader, method: str) -> None:
    few, many = (grid(design="factorial", sample={"cells": n, "method": method}) for n in (5, 9))
    assert [cell.name for cell in few.cells] == [cell.name for cell in many.cells][:5]
    other = grid(design="factorial", sample={"cells": 9, "method": method}, seed=1)
    assert [cell.name for cell in other.cells] != [cell.name for cell in many.cells]


def test_a_sample_has_included_cells_only(grid: Loader) -> None:
    keys = {
        "exclude": [{"when": {"flip": "on"}, "reason": "a"}],
        "only": [{"when": {"encoder.depth": 3}, "reason": "b"}],
    }
    study = grid(design="factorial", sample=4, **keys)
    assert sorted(cell.name for cell in study.cells) == ["baseline", "bias=off", "bias=off, heads=6", "heads=6"]
    assert all(cell.excluded is None for cell in study.cells)
    with pytest.raises(StudyError, match="sample: invalid value 5: 'only' and 'exclude' leave 4 cells"):
        grid(design="factorial", sample=5, **keys)


def test_a_sample_of_a_product_too_large_to_list(grid: Loader) -> None:
    factors = {name: {**spec, "levels": [i / 100 for i in range(1, 31)]} for name, spec in shares(20).items()}
    study = grid(factors, design="factorial", sample=30)
    assert study.product >= 30**20
    assert len(study.cells) == 30


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (17, "sample: invalid value 17: the product has 16 cells; use fewer, or leave 'sample' out"),
        ({"cells": 16, "method": "grid"}, "sample.method: .* must be 'space_filling' or 'random'"),
    ],
)
def test_invalid_samples(grid: Loader, sample: object, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        grid(design="factorial", sample=sample)


def test_the_size_of_a_space_filling_sample_is_limited(grid: Loader) -> None:
    factors = {**THREE, "rate": {"path": "finetune.learning_rate", "levels": [0.001 + i / 10**6 for i in range(9000)]}}
    with pytest.raises(StudyError, match=r"at most 10,000 cells; .* sample: \{cells: 10001, method: random\}"):
        grid(factors, design="factorial", sample=10_001)


# --- plan and report ---


def shown(study: Study, tmp_path: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(make_plan(study, Store(tmp_path / "store")), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_plan_shows_the_alias_table(grid: Loader, tmp_path: Path) -> None:
    study = grid(design="fractional")
    text = shown(study, tmp_path)
    assert "fractional: a fraction of 8 of 16 combinations, resolution 4: main effects are not aliased" in text
    assert "A bias, B flip, C heads, D depth|x" in text
    assert "Generators: D = ABC. Defining relation: I = ABCD." in text
    assert "aliases: AB = CD; AC = BD; AD = BC" in text
    assert "without alias: A, B, C, D" in text
    found = json.loads(json.dumps(as_json(make_plan(study, Store(tmp_path / "store")))))
    assert found["aliases"] == {
        "letters": {"A": "bias", "B": "flip", "C": "heads", "D": "depth|x"},
        "generators": ["D = ABC"],
        "defining_relation": "I = ABCD",
        "resolution": 4,
        "combinations": 8,
        "product": 16,
        "aliased": ["AB = CD", "AC = BD", "AD = BC"],
        "clear": ["A", "B", "C", "D"],
    }


def test_the_plan_shows_sample_tied_factors_and_only(grid: Loader, tmp_path: Path) -> None:
    study = grid(
        design="factorial", sample={"cells": 3, "method": "random"}, paired=[["bias", "flip"]],
        only=[{"when": {"heads": 3}, "reason": "6 [b]heads[/b] are slow"}],
    )  # fmt: skip
    text = shown(study, tmp_path)
    assert "factorial: a sample of 3 of 8 combinations, drawn at random (seed 0)\nA larger sample contains" in text
    assert "tied levels: bias + flip" in text
    assert "only: 6 [b]heads[/b] are slow" in text
    found = as_json(make_plan(study, Store(tmp_path / "store")))
    assert found["sample"] == {"cells": 3, "method": "random", "product": 8}
    assert (found["paired"], found["only"], found["aliases"]) == (
        [["bias", "flip"]], ["6 [b]heads[/b] are slow"], None,
    )  # fmt: skip


def written(study: Study, tmp_path: Path) -> str:
    results = analyse(collect(study, Store(tmp_path / "store")))
    return "\n".join(cell.source for cell in outline(results) if isinstance(cell, Text))


def test_the_report_shows_the_alias_table(grid: Loader, tmp_path: Path) -> None:
    study = grid(design="fractional")
    text = written(study, tmp_path)
    assert "A fraction of 8 of 16 combinations, resolution 4" in text
    assert "Defining relation: I = ABCD" in text
    rows = TABLES["aliases"].table(analyse(collect(study, Store(tmp_path / "store")))).columns
    assert [list(column.values) for column in rows] == [
        ["AB = CD", "AC = BD", "AD = BC"],
        [
            text.replace("*", "\N{MULTIPLICATION SIGN}")
            for text in (
                "bias * flip = heads * depth|x",
                "bias * heads = flip * depth|x",
                "bias * depth|x = flip * heads",
            )
        ],
    ]


def test_the_report_shows_sample_tied_factors_and_only(grid: Loader, tmp_path: Path) -> None:
    study = grid(
        design="factorial", sample=3, paired=[["bias", "flip"]], only=[{"when": {"heads": 3}, "reason": "slow"}]
    )
    text = written(study, tmp_path)
    assert "a sample of 3 of 8 combinations" in text
    assert "A sample of 3 of 8 combinations, chosen to fill the space" in text
    assert "The levels of bias and flip change together" in text
    assert "- slow" in text


def test_many_cells_excluded_for_one_reason_are_one_line(grid: Loader, tmp_path: Path) -> None:
    factors = {**FOUR, "heads": {"path": "encoder.num_kv_heads", "levels": [3, 1, 2, 6]}}
    study = grid(factors, design="factorial", only=[{"when": {"heads": 3}, "reason": "slow"}],
                 exclude=[{"when": {"heads": 6, "flip": "on", "bias": "off"}, "reason": "odd"}])  # fmt: skip
    text = shown(study, tmp_path)
    summary = "22 cells, the first heads=1: not covered by 'only': slow"
    assert f"excluded: {summary}" in text
    assert "excluded: bias=off, flip=on, heads=6: odd" in text
    assert text.count("excluded:") == 3
    cells, *_, reasons = TABLES["unfinished"].table(analyse(collect(study, Store(tmp_path / "store")))).columns
    assert sorted(zip(cells.values, reasons.values, strict=True))[:1] == [
        ("22 cells, the first heads=1", "not covered by 'only': slow")
    ]
    assert list(reasons.values).count("odd") == 2
