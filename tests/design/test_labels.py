"""Every cell is what its labels state: presets, sections and fields as factors, in any order and design."""

import itertools
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.looks import collect
from helpers.paths import GRIDS
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from study.analysis.effects import matches
from study.design.kinds import DESIGNS
from study.design.study import Cell, Study, load
from study.store.results import Store
from study.utils.errors import StudyError
from study.vit.settings import PRESETS

BASELINE: dict[str, Any] = {
    "encoder": {"preset": "XXS", "image_size": 8, "patch_size": 4, "channels": 1},
    "pretrain": {"dataset": "digits", "mask_ratio": 0.5, "epochs": 9},
    "finetune": {"dataset": "digits"},
}
SIZE = {"path": "encoder.preset", "levels": ["XXS", "XS"]}
HEADS = {"path": "encoder.num_kv_heads", "levels": [3, 1]}
DEPTH = {"path": "encoder.depth", "levels": [9, 4]}
FFN = {"levels": [{"label": "flat", "set": {"encoder.ffn_width_first": 50, "encoder.ffn_width_last": 50}}]}
PHOTOS = {"label": "photos", "value": {"dataset": "photos", "epochs": 2}}
SECTION = {"path": "pretrain", "levels": [PHOTOS], "baseline": "digits"}
MASK = {"path": "pretrain.mask_ratio", "levels": [0.5, 0.6]}
NULL = {"path": "pretrain", "levels": [None], "baseline": "digits"}


def made(factors: dict[str, Any], baseline: dict[str, Any] = BASELINE, **more: Any) -> Study:
    grid = {"study": "labels", "question": "Which?", "baseline": baseline, "factors": factors, **more}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.yaml"
        path.write_text(json.dumps(grid))
        return load(path)


def found(study: Study, *paths: str) -> dict[str, tuple[Any, ...]]:
    """By the name of a cell: the values of fields."""
    return {cell.name: tuple(value_of(cell, path) for path in paths) for cell in study.included}


def value_of(cell: Cell, path: str) -> Any:
    """The value of a field in a cell's settings; None inside a null section."""
    assert cell.settings is not None
    value: Any = cell.settings.model_dump(mode="json")
    for key in path.split("."):
        value = None if value is None else value[key]
    return value


@pytest.mark.parametrize("order", list(itertools.permutations(["size", "depth", "ffn"])))
def test_a_preset_leaves_the_fields_of_other_factors_alone(order: tuple[str, ...]) -> None:
    """XS has depth 12 and widths 96 to 32, XXS depth 9 and widths 81 to 27; both other factors keep their own."""
    factors = {"size": SIZE, "depth": DEPTH, "ffn": FFN}
    study = made({name: factors[name] for name in order}, design="factorial")
    fields = ("encoder.width", "encoder.depth", "encoder.ffn_width_first", "encoder.ffn_width_last")
    by_labels = {
        (cell.labels["size"], cell.labels["depth"], cell.labels["ffn"]): tuple(value_of(cell, path) for path in fields)
        for cell in study.cells
    }
    assert by_labels == {
        ("XXS", "9", "baseline"): (108, 9, 81, 27),
        ("XXS", "9", "flat"): (108, 9, 50, 50),
        ("XXS", "4", "baseline"): (108, 4, 81, 27),
        ("XXS", "4", "flat"): (108, 4, 50, 50),
        ("XS", "9", "baseline"): (128, 9, 81, 27),
        ("XS", "9", "flat"): (128, 9, 50, 50),
        ("XS", "4", "baseline"): (128, 4, 81, 27),
        ("XS", "4", "flat"): (128, 4, 50, 50),
    }


@pytest.mark.parametrize("design", ["one_factor", "factorial"])
def test_a_preset_beside_kv_heads_is_refused_where_they_exclude_each_other(design: str) -> None:
    """The cell labelled size=XS, kv heads=3 had 4: 3 does not divide the 8 heads of XS."""
    with pytest.raises(StudyError, match=r"cell 'size=XS': encoder.num_kv_heads: 3 does not divide num_heads 8"):
        made({"size": SIZE, "kv heads": HEADS}, design=design)


def test_kv_heads_that_every_preset_allows_are_kept() -> None:
    baseline = {**BASELINE, "encoder": {**BASELINE["encoder"], "num_kv_heads": 2}}
    heads = {"path": "encoder.num_kv_heads", "levels": [2, 1]}
    study = made({"kv heads": heads, "depth": DEPTH}, baseline, design="factorial")
    assert set(found(study, "encoder.num_kv_heads").values()) == {(2,), (1,)}
    study = made(
        {"kv heads": heads, "size": {"path": "encoder.preset", "levels": ["XS"]}}, baseline, design="factorial"
    )
    assert found(study, "encoder.num_kv_heads", "encoder.width") == {
        "baseline": (2, 108), "size=XS": (2, 128), "kv heads=1": (1, 108), "kv heads=1, size=XS": (1, 128),
    }  # fmt: skip


@pytest.mark.parametrize("order", [("pre-training", "mask"), ("mask", "pre-training")])
def test_a_section_leaves_the_fields_of_other_factors_alone(order: tuple[str, ...]) -> None:
    """The default mask ratio, 0.75, is not what any label states."""
    factors = {"pre-training": SECTION, "mask": MASK}
    study = made({name: factors[name] for name in order}, design="factorial")
    assert sorted(found(study, "pretrain.dataset", "pretrain.mask_ratio", "pretrain.epochs").values()) == [
        ("digits", 0.5, 9), ("digits", 0.6, 9), ("photos", 0.5, 2), ("photos", 0.6, 2),
    ]  # fmt: skip


def test_a_section_that_writes_the_field_of_another_factor_is_refused() -> None:
    photos = {"label": "photos", "value": {"dataset": "photos", "mask_ratio": 0.7}}
    with pytest.raises(StudyError, match=r"pretrain.mask_ratio: is set by both '0.5' and 'photos'"):
        made({"pre-training": {**SECTION, "levels": [photos]}, "mask": MASK}, design="factorial")


def test_a_cell_without_pre_training_has_no_fields_of_it() -> None:
    study = made({"pre-training": NULL, "mask": MASK})
    assert found(study, "pretrain.mask_ratio") == {"baseline": (0.5,), "pre-training=none": (None,), "mask=0.6": (0.6,)}


def test_conditions_compare_the_fields_of_the_cell() -> None:
    """By path: kv heads are 3 in the cell size=XS, not the 4 of the preset, so it is excluded."""
    exclude = [{"when": {"size": "XS", "encoder.num_kv_heads": 3}, "reason": "3 does not divide 8"}]
    study = made({"size": SIZE, "kv heads": HEADS}, design="factorial", exclude=exclude)
    assert [cell.name for cell in study.included] == ["baseline", "kv heads=1", "size=XS, kv heads=1"]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (["XS"], "level 'XS' .* the baseline writes encoder.width"),
        ([{"label": "own", "set": {"encoder.preset": "XS"}}], "level 'own' .* the baseline writes encoder.width"),
    ],
)  # fmt: skip
def test_a_preset_under_written_fields_is_refused(levels: list[Any], message: str) -> None:
    """A hybrid of XS and the baseline's width is not XS. A level that sets the width itself is."""
    baseline = {**BASELINE, "encoder": {**BASELINE["encoder"], "width": 48}}
    with pytest.raises(StudyError, match=message):
        made({"size": {"path": "encoder.preset", "levels": levels}}, baseline)
    level = {"label": "own", "set": {"encoder.preset": "XS", "encoder.width": 48}}
    study = made({"size": {"levels": [level]}}, baseline)
    assert found(study, "encoder.width", "encoder.depth") == {"baseline": (48, 9), "size=own": (48, 12)}


def test_a_baseline_that_writes_the_value_of_the_preset_is_accepted() -> None:
    baseline = {**BASELINE, "encoder": {**BASELINE["encoder"], "num_heads": 8, "width": 128, "num_kv_heads": 4}}
    assert found(made({"size": {"path": "encoder.preset", "levels": ["XS"]}}, baseline), "encoder.depth") == {
        "baseline": (9,), "size=XS": (12,),
    }  # fmt: skip


def test_two_labels_of_equal_settings_are_refused() -> None:
    """All six fields of a preset are set by another factor, so sizes are names without effect beside it."""
    own = {"label": "own", "set": {f"encoder.{name}": value for name, value in PRESETS["S"].items()}}
    with pytest.raises(StudyError, match="has the same settings as cell"):
        made({"size": SIZE, "fields": {"levels": [own]}}, design="factorial")


@pytest.mark.parametrize("design", ["one_factor", "factorial"])
def test_a_level_that_sets_a_field_of_another_factor_is_refused(design: str) -> None:
    dense = {"levels": [{"label": "dense", "set": {"encoder.experts_by_depth": [1], "encoder.top_k": 1}}]}
    with pytest.raises(StudyError, match=r"encoder.top_k: is set by both"):
        made({"experts": dense, "top-k": {"path": "encoder.top_k", "levels": [2, 1]}}, design=design)


def test_tied_factors_may_combine_a_preset_and_its_fields() -> None:
    depth = {"path": "encoder.depth", "levels": [9, 7]}
    study = made({"size": SIZE, "depth": depth}, paired=[["size", "depth"]])
    assert found(study, "encoder.width", "encoder.depth") == {"baseline": (108, 9), "size + depth=XS + 7": (128, 7)}


def test_main_effects_compare_cells_that_differ_in_their_factor_alone(tmp_path: Path) -> None:
    paths = {"size": {"encoder.width", "encoder.num_heads", "encoder.num_kv_heads"}, "depth": {"encoder.depth"},
             "ffn": {"encoder.ffn_width_first", "encoder.ffn_width_last"}}  # fmt: skip
    study = made({"size": SIZE, "depth": DEPTH, "ffn": FFN}, design="factorial")
    cells = {cell.name: cell for cell in study.cells}
    pairs = matches(collect(study, Store(tmp_path / "empty")).facts)
    assert {key: len(value) for key, value in pairs.items()} == {
        ("size", "XS"): 4, ("depth", "4"): 4, ("ffn", "flat"): 4,
    }  # fmt: skip
    for (factor, _), matched in pairs.items():
        for one, other in matched:
            differing = {
                f"encoder.{name}"
                for name in PRESETS["S"]
                if value_of(cells[one], f"encoder.{name}") != value_of(cells[other], f"encoder.{name}")
            }
            assert differing == paths[factor]


@pytest.mark.parametrize("name", sorted(path.stem for path in GRIDS.glob("*.yaml")))
def test_the_cells_of_the_example_grids_are_what_their_labels_state(name: str) -> None:
    check(load(GRIDS / f"{name}.yaml"))


# --- drawn grids ---

POOL: dict[str, list[dict[str, Any]]] = {  # by factor: a level, and others that may be beside it
    "size": [{"encoder.preset": name} for name in PRESETS],
    "width": [{"encoder.width": value} for value in (48, 96, 108, 144)],
    "depth": [{"encoder.depth": value} for value in (3, 9, 12)],
    "heads": [{"encoder.num_heads": heads, "encoder.num_kv_heads": heads // 2} for heads in (12, 6)],
    "kv": [{"encoder.num_kv_heads": value} for value in (1, 2, 3)],
    "ffn": [{"encoder.ffn_width_first": 50, "encoder.ffn_width_last": 50}, {"encoder.ffn_width_first": 81}],
    "small": [{"encoder.preset": "XS", "encoder.depth": 4}, {"encoder.preset": "XXS", "encoder.depth": 9}],
    "encoder": [{"encoder": {"preset": "XS", "image_size": 8, "patch_size": 4, "channels": 1}}],
    "recipe": [{"pretrain": {"dataset": "photos"}}, {"pretrain": {"dataset": "photos", "mask_ratio": 0.6}}],
    "pre-training": [{"pretrain": None}, {"pretrain.dataset": "digits"}, {"pretrain.dataset": "photos"}],
    "mask": [{"pretrain.mask_ratio": value} for value in (0.6, 0.5, 0.75)],
    "decoder": [{"pretrain.decoder": {"depth": 1}}, {"pretrain.decoder.depth": 3}],
    "augment": [{"finetune.augment": {"flip": True}}, {"finetune.augment": {}}, {"finetune.augment.shift": 0.1}],
    "shift": [{"finetune.augment.shift": value} for value in (0.1, 0.0)],
}  # fmt: skip


@st.composite
def grids(draw: st.DrawFn) -> dict[str, Any]:
    written = draw(
        st.sampled_from([{"preset": "XXS"}, {}, {"preset": "XS"}, {"width": 48}, {"preset": "XXS", "depth": 6}])
    )
    pretrain = draw(st.sampled_from([BASELINE["pretrain"], {"dataset": "digits"}, None]))
    baseline = {
        "encoder": {"image_size": 8, "patch_size": 4, "channels": 1, **written},
        "pretrain": pretrain,
        "finetune": {"dataset": "digits"},
    }
    design = draw(st.sampled_from(["factorial", *(key for key in DESIGNS if key != "search")]))
    least = 3 if design == "fractional" else 1
    names = draw(st.lists(st.sampled_from(sorted(POOL)), min_size=least, max_size=4, unique=True))
    most = 2 if design in ("factorial", "one_factor") else 1
    factors = {}
    for name in names:
        first, *rest = POOL[name]
        more = draw(st.lists(st.sampled_from(rest), max_size=most - 1)) if rest else []
        levels = draw(st.permutations([first, *more]))
        factors[name] = {"levels": [{"label": f"level {i}", "set": level} for i, level in enumerate(levels)]}
    grid: dict[str, Any] = {"baseline": baseline, "factors": factors, "design": design}
    if design == "factorial" and draw(st.booleans()):
        grid["sample"] = {"cells": 2, "method": draw(st.sampled_from(["random", "space_filling"]))}
    if len({len(factor["levels"]) for factor in factors.values()}) < len(names) and draw(st.integers(0, 4)) == 0:
        grid["paired"] = [names[:2]]
    return grid


def leaves(path: str, value: Any) -> dict[str, Any]:
    """The plain values that a level writes, by path."""
    if not isinstance(value, Mapping):
        return {path: value}
    return {own: one for key, inner in value.items() for own, one in leaves(f"{path}.{key}", inner).items()}


def written_by_label(study: Study) -> dict[tuple[str, str], dict[str, Any]]:
    """By factor and label: the values that the label states. An unwritten baseline level states the baseline's."""
    found = {}
    for factor in study.factors:
        for level in factor.levels:
            parts = [leaves(path, value) for path, value in level.fields.items()]
            found[factor.name, level.label] = {path: value for part in parts for path, value in part.items()}
        if not factor.baseline.fields:
            paths = {path for level in factor.levels for path in level.fields if not path.endswith(".preset")}
            values = {path: value_of(study.baseline, path) for path in paths}
            plain = {path: value for path, value in values.items() if not isinstance(value, dict)}
            found[factor.name, factor.baseline.label] = plain
    return found


def check(study: Study) -> None:
    """A plain reference: the fields that a level writes have these values in each of its cells.

    A field of a preset is left to a factor that names it. A baseline level's fields do not exist in a null section.
    """
    written = written_by_label(study)
    assert len({cell.settings for cell in study.included}) == len(study.included)
    for cell in study.included:
        for name, label in cell.labels.items():
            own = written[name, label]
            others = {path for pair in cell.labels.items() if pair[0] != name for path in written[pair]}
            for path, value in own.items():
                if name not in cell.changed and "." in path and value_of(cell, path.partition(".")[0]) is None:
                    continue
                if path.endswith(".preset"):
                    check_preset(cell, path, value, named=others | own.keys())
                else:
                    assert value_of(cell, path) == value, (cell.name, path)


def check_preset(cell: Cell, path: str, preset: str, named: set[str]) -> None:
    for field, value in PRESETS[preset].items():
        own = path.replace("preset", field)
        assert own in named or value_of(cell, own) == value, (cell.name, own)


@given(grids())
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_the_cells_of_drawn_grids_are_what_their_labels_state(grid: dict[str, Any]) -> None:
    """A grid is refused, or each of its cells agrees with its labels."""
    try:
        study = made(**grid)
    except StudyError:
        assume(False)
        return
    check(study)
