"""From a grid to its cells and trials. Error messages for invalid grids: tests/cli/test_bad_input.py."""

import copy
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from study.design.factors import RESULT_COLUMNS, label_of
from study.design.kinds import MAX_TRIALS
from study.design.overrides import overlaps, path_problem, value_at, with_overrides
from study.design.study import Study, expand, load, replicate_seed
from study.utils.errors import StudyError
from study.vit.settings import Settings

GRID: dict[str, Any] = {
    "study": "example",
    "question": "What does it take?",
    "baseline": {
        "encoder": {"image_size": 8, "patch_size": 2, "channels": 1, "width": 12, "depth": 3, "top_k": 1},
        "pretrain": {"dataset": "photos"},
        "finetune": {"dataset": "digits"},
    },
    "factors": {
        "heads": {"path": "encoder.num_kv_heads", "levels": [1, 3, 6]},
        "experts": {"path": "encoder.experts_by_depth", "levels": [[3, 4, 5], [1], [2, 3]]},
        "pre-training": {"path": "pretrain", "levels": [None], "baseline": "photos"},
    },
}

Loader = Callable[..., Study]


@pytest.fixture
def grid(tmp_path: Path) -> Loader:
    """Loads GRID with some keys replaced (None removes one)."""

    def make(**changes: Any) -> Study:
        data = {key: value for key, value in {**GRID, **changes}.items() if value is not None}
        path = tmp_path / "example.yaml"
        path.write_text(json.dumps(data))
        return load(path)

    return make


def names(study: Study) -> list[str]:
    return [cell.name for cell in study.cells]


def one_factor(path: str, *levels: Any) -> dict[str, Any]:
    return {"f": {"path": path, "levels": list(levels)}}


# --- designs ---


def test_one_factor_changes_one_factor_at_a_time(grid: Loader) -> None:
    study = grid()
    assert names(study) == [
        "baseline", "heads=1", "heads=6", "experts=1", "experts=2-3", "pre-training=none",
    ]  # fmt: skip
    assert study.baseline.changed == ()
    assert study.baseline.labels == {"heads": "3", "experts": "3-4-5", "pre-training": "photos"}
    assert all(len(cell.changed) == 1 for cell in study.cells[1:])


def test_factorial_is_the_full_product(grid: Loader) -> None:
    study = grid(design="factorial")
    assert len(study.cells) == 3 * 3 * 2
    assert study.cells[0].name == "baseline"
    assert len({tuple(cell.labels.values()) for cell in study.cells}) == 18
    assert "heads=6, experts=1, pre-training=none" in names(study)


def test_a_level_changes_only_its_fields(grid: Loader) -> None:
    study = grid()
    base = study.baseline.settings
    assert base is not None
    for cell in study.cells[1:]:
        assert cell.settings is not None
        changed = cell.settings.model_dump()
        match cell.changed:
            case ("heads",):
                changed["encoder"]["num_kv_heads"] = base.encoder.num_kv_heads
            case ("experts",):
                changed["encoder"]["experts_by_depth"] = base.encoder.experts_by_depth
            case _:
                assert changed["pretrain"] is None
                changed["pretrain"] = base.pretrain.model_dump() if base.pretrain else None
        assert changed == base.model_dump()


def test_a_level_may_set_several_fields_across_sections(grid: Loader) -> None:
    level = {"label": "dense", "set": {"encoder.experts_by_depth": [1], "finetune.epochs": 7}}
    study = grid(factors={"f": {"levels": [level]}})
    settings = study.cells[1].settings
    assert settings is not None
    assert (settings.encoder.experts_by_depth, settings.finetune.epochs) == ((1,), 7)
    assert study.baseline.labels == {"f": "baseline"}


def test_a_level_may_replace_a_whole_section(grid: Loader) -> None:
    """Fields of the old section are dropped; a longer path overrides a shorter one."""
    level = {"label": "own", "set": {"pretrain.epochs": 3, "pretrain": {"dataset": "digits", "mask_ratio": 0.5}}}
    study = grid(baseline={**GRID["baseline"], "pretrain": {"dataset": "photos", "weight_decay": 0.3}},
                 factors={"f": {"levels": [level]}})  # fmt: skip
    settings = study.cells[1].settings
    assert settings is not None
    assert settings.pretrain is not None
    assert settings.pretrain.changed() == {"dataset": "digits", "mask_ratio": 0.5, "epochs": 3}


def test_a_path_into_a_null_section_creates_it(grid: Loader) -> None:
    level = {"label": "on photos", "set": {"pretrain.dataset": "photos", "pretrain.epochs": 3}}
    study = grid(baseline={**GRID["baseline"], "pretrain": None}, factors={"f": {"levels": [level]}})
    settings = study.cells[1].settings
    assert settings is not None
    assert settings.pretrain is not None
    assert settings.pretrain.epochs == 3


# --- the baseline's level ---


@pytest.mark.parametrize("levels", list(itertools.permutations([1, 3, 6])))
def test_the_level_that_equals_the_baseline_comes_first(grid: Loader, levels: tuple[int, ...]) -> None:
    study = grid(factors=one_factor("encoder.num_kv_heads", *levels))
    others = [str(level) for level in levels if level != 3]
    assert [level.label for level in study.factors[0].levels] == ["3", *others]


@pytest.mark.parametrize(
    ("path", "written", "label"),
    [
        ("encoder.num_kv_heads", 3, "3"),  # an implicit default
        ("encoder.width", 12, "12"),
        ("encoder.bias", True, "on"),
        ("finetune.weight_decay", 0.05, "0.05"),
        ("encoder.experts_by_depth", [3, 4, 5], "3-4-5"),
        ("finetune.augment.flip", False, "off"),
        ("finetune.train_images", None, "none"),
    ],
)
def test_a_baseline_level_is_added_if_no_level_equals_it(grid: Loader, path: str, written: object, label: str) -> None:
    """It has the label that a written level would have."""
    other = {"encoder.width": 24, "encoder.bias": False, "encoder.experts_by_depth": [2], "finetune.augment.flip": True}
    alone = grid(factors=one_factor(path, other.get(path, 1)))
    beside = grid(factors=one_factor(path, other.get(path, 1), written))
    assert [study.factors[0].baseline.label for study in (alone, beside)] == [label, label]
    assert [cell.settings for cell in alone.cells] == [cell.settings for cell in beside.cells]


def test_levels_are_compared_with_the_baseline_by_settings(grid: Loader) -> None:
    """1e-3 equals 0.001; an explicit default equals an implicit one."""
    level = {"label": "same", "set": {"finetune.learning_rate": 1e-3, "encoder.num_heads": 6}}
    study = grid(factors={"f": {"path": "finetune.learning_rate", "levels": [level, 0.01]}})
    assert [level.label for level in study.factors[0].levels] == ["same", "0.01"]


def test_a_preset_counts_as_the_baseline(grid: Loader) -> None:
    baseline = {"encoder": {"preset": "XS"}, "finetune": {"dataset": "digits"}}
    study = grid(baseline=baseline, factors=one_factor("encoder.width", 256))
    assert study.factors[0].baseline.label == "128"
    sizes = grid(baseline=baseline, factors=one_factor("encoder.preset", "S", "XS", "XXS"))
    assert [cell.settings.encoder.depth for cell in sizes.cells if cell.settings] == [12, 15, 9]


@pytest.mark.parametrize(
    ("value", "label"),
    [(None, "none"), (True, "on"), (False, "off"), (3, "3"), ([3, 4], "3-4"), ([1], "1"), ("cifar10", "cifar10"),
     (1e-3, "0.001"), (0.5, "0.5"), (2.0, "2"), (1e-5, "1e-05"), (0.12345678, "0.12345678"), (math.inf, "inf")],
)  # fmt: skip
def test_labels_of_values(value: object, label: str) -> None:
    assert label_of(value) == label


# --- exclusions ---


def excluded(study: Study) -> dict[str, str]:
    return {cell.name: cell.excluded for cell in study.cells if cell.excluded is not None}


@pytest.mark.parametrize(
    ("when", "covered"),
    [
        ({"heads": 6}, ["heads=6"]),
        ({"heads": [1, 6]}, ["heads=1", "heads=6"]),
        ({"experts": [2, 3]}, ["experts=2-3"]),  # a level that is a list
        ({"experts": [[2, 3], [1]]}, ["experts=1", "experts=2-3"]),
        ({"experts": "2-3"}, ["experts=2-3"]),
        ({"pre-training": None}, ["pre-training=none"]),
        ({"pretrain": None}, ["pre-training=none"]),  # by path
        ({"encoder.num_kv_heads": 6}, ["heads=6"]),
        ({"encoder.num_kv_heads": [1, 6]}, ["heads=1", "heads=6"]),
        ({"encoder.experts_by_depth": [2, 3]}, ["experts=2-3"]),  # a value that is a list
        ({"encoder.experts_by_depth": [[1], [2, 3]]}, ["experts=1", "experts=2-3"]),
        ({"encoder.num_heads": 6, "heads": 1}, ["heads=1"]),  # 6 is an implicit default
    ],
)
def test_exclusions_by_level_and_by_path(grid: Loader, when: dict[str, object], covered: list[str]) -> None:
    study = grid(exclude=[{"when": when, "reason": "why"}])
    assert excluded(study) == dict.fromkeys(covered, "why")
    assert {trial.cell.name for trial in expand(study)} == set(names(study)) - set(covered)


def test_all_conditions_of_an_exclusion_must_hold(grid: Loader) -> None:
    study = grid(design="factorial", exclude=[{"when": {"heads": 6, "pretrain.dataset": "photos"}, "reason": "why"}])
    assert set(excluded(study)) == {"heads=6", "heads=6, experts=1", "heads=6, experts=2-3"}


def test_the_first_covering_exclusion_gives_the_reason(grid: Loader) -> None:
    study = grid(exclude=[{"when": {"heads": 6}, "reason": "one"}, {"when": {"heads": [1, 6]}, "reason": "two"}])
    assert excluded(study) == {"heads=6": "one", "heads=1": "two"}


def test_an_excluded_cell_may_be_invalid(grid: Loader) -> None:
    study = grid(factors=one_factor("encoder.num_kv_heads", 3, 4, 1),
                 exclude=[{"when": {"f": 4}, "reason": "4 does not divide 6"}])  # fmt: skip
    assert [cell.settings is None for cell in study.cells] == [False, True, False]
    by_path = grid(factors=one_factor("encoder.num_kv_heads", 3, 4, 1),
                   exclude=[{"when": {"encoder.num_kv_heads": 4}, "reason": "4 does not divide 6"}])  # fmt: skip
    assert excluded(by_path) == {"f=4": "4 does not divide 6"}


def test_true_is_not_one(grid: Loader) -> None:
    with pytest.raises(StudyError, match="covers no cell"):
        grid(factors=one_factor("encoder.bias", False, True), exclude=[{"when": {"encoder.bias": 0}, "reason": "why"}])


# --- replicates and seeds ---


def test_trials_are_ordered_by_replicate(grid: Loader) -> None:
    study = grid(replicates=4)
    trials = expand(study)
    assert [trial.replicate for trial in trials] == [1] * 6 + [2] * 6 + [3] * 6 + [4] * 6
    assert [trial.cell.name for trial in trials] == names(study) * 4


def test_cells_are_paired_by_replicate(grid: Loader) -> None:
    """All cells of a replicate share its seed; seeds of replicates differ."""
    seeds: dict[int, set[int]] = {}
    for trial in expand(grid(replicates=50, design="factorial")):
        seeds.setdefault(trial.replicate, set()).add(trial.seed)
    assert all(len(found) == 1 for found in seeds.values())
    assert len(set.union(*seeds.values())) == 50


def test_seeds_depend_only_on_replicate_and_base_seed(grid: Loader) -> None:
    """More levels, more replicates or another order change no seed: stored results stay valid."""
    few, many = grid(replicates=2), grid(replicates=9, factors=one_factor("encoder.depth", 3, 4, 5))
    assert {t.replicate: t.seed for t in expand(few)}.items() <= {t.replicate: t.seed for t in expand(many)}.items()
    assert {t.seed for t in expand(grid(seed=1))}.isdisjoint(t.seed for t in expand(grid(seed=2)))


def test_seeds_do_not_change_between_versions() -> None:
    """The first 32 bits of SHA-256 of the named axes: `printf seed=0/replicate=1 | sha256sum` begins with d294d6ab."""
    assert [replicate_seed(0, 1), replicate_seed(0, 2), replicate_seed(7, 1)] == [0xD294D6AB, 0x1550FAA7, 0x3C9C16E4]


# --- invalid combinations ---


def test_two_levels_may_not_set_the_same_field(grid: Loader) -> None:
    factors = {
        "depth": {"path": "encoder.depth", "levels": [3, 4]},
        "size": {"levels": [{"label": "big", "set": {"encoder.depth": 6, "encoder.width": 24}}]},
    }
    with pytest.raises(StudyError, match=r"cell 'size=big': encoder.depth: is set by both '3' and 'big'"):
        grid(factors=factors)
    big = [{"when": {"size": "big"}, "reason": "why"}]
    either = ({"depth": 3, "size": "big"}, {"depth": 4, "size": "baseline"})
    singles = [{"when": when, "reason": "why"} for when in either]
    for exclude, message in (
        ([], r"cell 'size=big': encoder.depth: is set by both '3' and 'big'"),
        (singles, r"cell 'depth=4, size=big': encoder.depth: is set by both '4' and 'big'"),
        (big, r"cell 'depth=4': encoder.depth: is set by both 'baseline' and '4'"),
    ):
        with pytest.raises(StudyError, match=message):
            grid(factors=factors, design="factorial", exclude=exclude)


def test_a_level_may_not_set_a_field_of_a_section_that_another_removes(grid: Loader) -> None:
    factors = {
        "mask": {"path": "pretrain.mask_ratio", "levels": [0.75, 0.5]},
        "pre-training": {"path": "pretrain", "levels": [None], "baseline": "photos"},
    }
    with pytest.raises(StudyError, match=r"pretrain.mask_ratio: is set by both '0.5' and 'none'; .* exclude the cell"):
        grid(factors=factors, design="factorial")
    study = grid(factors=factors, design="factorial",
                 exclude=[{"when": {"mask": 0.5, "pre-training": None}, "reason": "nothing to mask"}])  # fmt: skip
    assert excluded(study) == {"mask=0.5, pre-training=none": "nothing to mask"}


@pytest.mark.parametrize(
    ("key", "comparison", "valid"),
    [
        ("claims", {"cells": {"pre-training": "none"}}, False),
        ("claims", {"cells": {"pre-training": "none"}, "against": 3}, False),
        ("claims", {"cells": {"heads": 2}}, False),  # averaged over both levels of pre-training
        ("claims", {"cells": {"heads": 2}, "where": {"pre-training": "MAE"}}, True),
        ("claims", {"cells": {"pre-training": "MAE"}, "against": "3 s"}, True),
        ("compare", {"cells": {"pre-training": "none"}}, False),
        ("compare", {"cells": {"heads": 2}}, False),
        ("compare", {"cells": {"heads": 2}, "where": {"pre-training": "MAE"}}, True),
    ],
)
def test_times_of_pre_training_are_compared_between_cells_that_have_it(
    grid: Loader, key: str, comparison: dict[str, Any], valid: bool
) -> None:
    factors = {
        "heads": {"path": "encoder.num_kv_heads", "levels": [2]},
        "pre-training": {"path": "pretrain", "levels": [None], "baseline": "MAE"},
    }
    baseline = GRID["baseline"] | {"pretrain": {"dataset": "digits"}}
    written = comparison | {"metric": "pretrain_seconds"} | ({"claim": "c", "kind": "less"} if key == "claims" else {})
    changes = {"design": "factorial", "factors": factors, "baseline": baseline, key: [written]}
    if valid:
        assert grid(**changes)
    else:
        with pytest.raises(
            StudyError, match=rf"{key}\[0\].metric: pretrain_seconds: the cell with .* has no pre-train"
        ):
            grid(**changes)


def test_cell_names_are_unique(grid: Loader) -> None:
    """Reports, runs and figures identify cells by name."""
    factors = {
        "a": {"path": "encoder.depth", "levels": [{"label": "1, b=2", "value": 4}, {"label": "1", "value": 5}]},
        "b": {"path": "encoder.num_kv_heads", "levels": [2]},
    }
    with pytest.raises(StudyError, match="duplicate cell name 'a=1, b=2'; give a level another label"):
        grid(factors=factors, design="factorial")


def test_a_product_too_large_is_rejected_before_it_is_built(grid: Loader) -> None:
    factors = {f"f{i}": {"path": "encoder.depth", "levels": list(range(3, 103))} for i in range(10)}
    with pytest.raises(StudyError, match="100,000,000,000,000,000,000 cells x 3 replicates"):
        grid(factors=factors, design="factorial")
    assert MAX_TRIALS == 1_000_000


def test_errors_after_loading_point_at_the_level_or_the_baseline(grid: Loader) -> None:
    level = {"label": "here", "set": {"finetune.dataset": "elsewhere", "finetune.epochs": 3}}
    study = grid(factors={"f": {"levels": [level]}})
    at_level = str(study.error(study.cells[1], "finetune.dataset", "wrong"))
    assert at_level.endswith(": factors.f.levels[0]: cell 'f=here': finetune.dataset: wrong")
    assert str(study.error(study.baseline, "finetune.dataset", "wrong")).endswith(": baseline.finetune.dataset: wrong")
    assert str(study.error(study.cells[1], "encoder.width", "wrong")).endswith(": baseline.encoder.width: wrong")


@pytest.mark.parametrize(
    "name", ["..", ".", "../up", "a/b", "/etc", "a\\b", ".hidden", "", " ", "a b", "é", "-x", "a\u2028b"]
)
def test_a_study_name_is_a_plain_file_name(grid: Loader, name: str) -> None:
    with pytest.raises(StudyError, match=r"study: invalid value .*: must be letters, digits, '\.', '_' and '-'"):
        grid(study=name)


@pytest.mark.parametrize("name", ["a", "quickstart", "v1.0_b-c", "7"])
def test_names(grid: Loader, name: str) -> None:
    assert grid(study=name).name == name


@pytest.mark.parametrize("column", RESULT_COLUMNS)
def test_a_factor_may_not_be_named_like_a_result_column(grid: Loader, column: str) -> None:
    with pytest.raises(StudyError, match=r"is a column of results.csv"):
        grid(factors={column: GRID["factors"]["heads"]})


# --- overrides ---


def test_overrides_do_not_modify_the_baseline() -> None:
    raw = {"a": {"b": {"c": 1, "d": 2}}, "e": None}
    before = copy.deepcopy(raw)
    laid = with_overrides(raw, {"a.b.c": 5, "e.f": 6, "a.g": {"h": 1}, "a.g.i": 2})
    assert laid == {"a": {"b": {"c": 5, "d": 2}, "g": {"h": 1, "i": 2}}, "e": {"f": 6}}
    assert raw == before


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [("a.b", "a.b", True), ("a", "a.b", True), ("a.b.c", "a", True), ("a.b", "a.c", False), ("a.b", "a.bc", False)],
)
def test_paths_overlap_if_one_is_a_prefix_of_the_other(one: str, other: str, shared: bool) -> None:
    assert overlaps(one, other) is overlaps(other, one) is shared


def test_value_at_resolves_written_values_presets_and_defaults() -> None:
    raw = {"encoder": {"preset": "S", "depth": 7}, "pretrain": None}
    values = {path: value_at(raw, path) for path in (
        "encoder.depth", "encoder.width", "encoder.top_k", "encoder.experts_by_depth", "encoder.preset",
        "pretrain", "pretrain.epochs", "finetune.epochs", "finetune.augment.flip", "finetune.dataset",
    )}  # fmt: skip
    assert list(values.values()) == [7, 144, 2, [3, 4, 5], "S", None, None, None, None, None]
    assert value_at({"finetune": {"dataset": "digits"}}, "finetune.augment.flip") is False


@pytest.mark.parametrize("path", ["encoder", "encoder.preset", "pretrain.decoder.width", "finetune.augment.flip"])
def test_valid_paths(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize("path", ["", ".", "encoder.", ".encoder", "encoder..width", "encoder.experts_by_depth.0"])
def test_invalid_paths(path: str) -> None:
    assert path_problem(path) is not None


# --- properties of any design ---

fields = {
    "encoder.depth": st.integers(3, 12),
    "encoder.bias": st.booleans(),
    "encoder.num_kv_heads": st.sampled_from([1, 2, 3, 6]),
    "finetune.learning_rate": st.floats(1e-5, 1.0),
    "pretrain.mask_ratio": st.floats(0.1, 0.9),
    "finetune.keep": st.sampled_from(["last", "best"]),
}


@st.composite
def designs(draw: st.DrawFn) -> dict[str, Any]:
    paths = draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=4, unique=True))
    factors = {}
    for path in paths:
        levels = draw(st.lists(fields[path], min_size=1, max_size=4, unique_by=lambda value: label_of(value)))
        factors[path] = {"path": path, "levels": levels}
    return {**GRID, "factors": factors, "design": draw(st.sampled_from(["one_factor", "factorial"]))}


recipes = st.fixed_dictionaries(
    {"dataset": st.sampled_from(["digits", "parquet:a b/c: d", "off", "null"]), "epochs": st.integers(10, 99)},
    optional={
        "learning_rate": st.floats(1e-12, 1e12),
        "warmup_epochs": st.integers(0, 10) | st.floats(0, 10),
        "compile": st.sampled_from(["auto", "on", "off"]),
        "train_images": st.none() | st.integers(1, 10**9),
        "augment": st.fixed_dictionaries({}, optional={"flip": st.booleans(), "zoom": st.floats(0, 0.99)}),
    },
)


@given(recipes, st.none() | recipes)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_settings_survive_being_written_as_yaml(
    tmp_path: Path, finetune: dict[str, Any], pretrain: dict[str, Any] | None
) -> None:
    """Written by PyYAML (YAML 1.1), which quotes every text that YAML 1.2 requires to be quoted, except e.g. 1e-3."""
    settings = Settings.model_validate({"finetune": finetune, "pretrain": pretrain})
    path = tmp_path / "written.yaml"
    path.write_text(yaml.safe_dump({**GRID, "baseline": settings.model_dump(mode="json"), "factors": {
        "depth": {"path": "encoder.depth", "levels": [10]}}}))  # fmt: skip
    assert load(path).baseline.settings == settings


@given(designs(), st.integers(1, 3))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_design_is_balanced_and_contains_the_baseline(
    tmp_path: Path, design: dict[str, Any], replicates: int
) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(json.dumps({**design, "replicates": replicates}))
    try:
        study = load(path)
    except StudyError as error:
        assert "changes nothing" in str(error)  # noqa: PT017 - all its levels equal the baseline
        return
    sizes = [len(factor.levels) for factor in study.factors]
    full = study.grid.design == "factorial"
    assert len(study.cells) == (math.prod(sizes) if full else 1 + sum(size - 1 for size in sizes))
    assert study.baseline.name == "baseline"
    assert len({cell.name for cell in study.cells}) == len(study.cells)
    assert len({cell.settings for cell in study.cells}) == len(study.cells)
    for cell in study.cells:
        differing = [f.name for f in study.factors if cell.labels[f.name] != f.baseline.label]
        assert tuple(differing) == cell.changed
        assert full or len(differing) <= 1
    assert len(expand(study)) == replicates * len(study.cells)


@pytest.mark.parametrize("names", [("heads", "heads\u200b"), ("a b", "a\u202e b"), ("caf\u00e9", "cafe\u0301")])
def test_factors_whose_names_look_the_same_are_refused(grid: Loader, names: tuple[str, str]) -> None:
    factors = dict(zip(names, (GRID["factors"]["heads"], GRID["factors"]["experts"]), strict=True))
    with pytest.raises(StudyError, match="duplicate factor: looks like"):
        grid(factors=factors)
