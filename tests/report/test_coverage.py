"""What intervals cover, derived from the settings of a study."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.data_samples import digits, save_table
from helpers.report_samples import BASELINE, ENCODER, KV_HEADS, PRETRAINING, Built, make_study, unrun

from study.analysis.facts import StudyFacts
from study.report.coverage import AFTER_STOPPING, sentence
from study.report.sections import outline

DENSE = {**ENCODER, "experts_by_depth": [1], "top_k": 1}
BARE: dict[str, Any] = {"encoder": DENSE, "pretrain": None, "finetune": {"dataset": "digits", "epochs": 8}}
SPLIT = "the split into training, validation and test images"
TUNE = {"budget": 3, "parameters": {"finetune.learning_rate": {"low": 1e-4, "high": 1e-2}}}


def facts(folder: Path, baseline: dict[str, Any], factors: dict[str, Any] = KV_HEADS, **keys: Any) -> StudyFacts:
    return unrun(make_study(folder, factors, baseline=baseline, **keys), folder / "store").facts


def test_a_dense_model_without_pretraining_and_augmentation(tmp_path: Path) -> None:
    assert sentence(facts(tmp_path, BARE)) == (
        "Intervals over replicates cover the chance of initialisation and the order of training images, and not that "
        f"of the test images or {SPLIT}, which all replicates share."
    )


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"finetune": {**BARE["finetune"], "augment": {"flip": True}}}, "augmentation"),
        ({"pretrain": {"dataset": "photos", "decoder": {"num_experts": 1, "top_k": 1}}}, "masks"),
        ({"encoder": ENCODER}, "router noise"),
        ({"pretrain": {"dataset": "photos"}}, "router noise"),  # of the decoder's experts
    ],
)
def test_a_source_is_named_if_the_study_has_it(changes: dict[str, Any], source: str, tmp_path: Path) -> None:
    assert source not in facts(tmp_path, BARE).covered
    assert source in facts(tmp_path, {**BARE, **changes}).covered


def test_a_source_that_only_a_level_has_is_named(tmp_path: Path) -> None:
    noiseless = {**ENCODER, "router_noise": False}
    assert "masks" not in facts(tmp_path, BARE).covered
    assert "masks" in facts(tmp_path, {**BASELINE, "encoder": noiseless}, PRETRAINING).covered
    assert "router noise" not in facts(tmp_path, {**BASELINE, "encoder": noiseless}, PRETRAINING).covered


def test_what_all_replicates_share_is_named(tmp_path: Path) -> None:
    assert facts(tmp_path, BARE).not_covered == ("the test images", SPLIT)
    subset = {**BARE, "finetune": {**BARE["finetune"], "train_images": 100}}
    assert facts(tmp_path, subset, tune=TUNE).not_covered == (
        *("the test images", SPLIT, "the training subset", "the tuning run"),
    )


def test_a_report_begins_and_ends_with_it(built: Built) -> None:
    said = sentence(built.analysis.facts)
    assert built.text("report.html").count(said) == 2  # below the title, and in the design
    assert said in outline(built.analysis)[0].written


def test_one_replicate_has_no_intervals(tmp_path: Path) -> None:
    analysis = unrun(make_study(tmp_path, KV_HEADS, replicates=1), tmp_path / "store")
    assert "Intervals over replicates" not in outline(analysis)[0].written


def test_intervals_after_adaptive_stopping_are_marked_at_the_top(tmp_path: Path) -> None:
    claim = {"claim": "x", "kind": "less", "cells": {"kv heads": 1}}
    adaptive = make_study(tmp_path, KV_HEADS, replicates={"min": 2, "max": 5, "until": "claims"}, claims=[claim])
    assert AFTER_STOPPING in outline(unrun(adaptive, tmp_path / "store"))[0].written


def test_a_report_of_an_older_version_has_the_sources_that_every_study_has(tmp_path: Path) -> None:
    old = facts(tmp_path, BARE).model_dump(mode="json", exclude={"covered", "not_covered"})
    assert sentence(StudyFacts.model_validate(old)) == sentence(facts(tmp_path, BARE))


SUBSET = {**BARE, "finetune": {**BARE["finetune"], "train_images": 100}}


@pytest.mark.parametrize(
    ("keys", "covered", "shared"),
    [
        ({"resample": ["split"]}, (SPLIT, "the training subset"), ("the images of the data set",)),
        ({"resample": ["train_images"]}, ("the training subset",), ("the test images", SPLIT)),
        (
            {"tune": {**TUNE, "seeds": 3}, "replicates": 3},
            ("the tuning run",),
            ("the test images", SPLIT, "the training subset"),
        ),
    ],
)
def test_what_is_drawn_or_tuned_by_replicate_is_covered(
    keys: dict[str, Any], covered: tuple[str, ...], shared: tuple[str, ...], tmp_path: Path
) -> None:
    found = facts(tmp_path, SUBSET, **keys)
    assert found.covered == ("initialisation", "the order of training images", *covered)
    assert found.not_covered == shared


@pytest.mark.parametrize("present", [True, False])
def test_a_given_test_split_is_not_drawn(present: bool, tmp_path: Path) -> None:
    """Also where the data are not at hand, as for a report on another machine."""
    images, labels = digits()
    folder = tmp_path / "mine"
    save_table(folder / "train.parquet", images[:150], labels[:150])
    save_table(folder / "test.parquet", images[150:], labels[150:])
    baseline = {**BARE, "finetune": {"dataset": f"parquet:{folder}", "epochs": 1}}
    study = make_study(tmp_path, KV_HEADS, baseline=baseline, resample=["split"])
    if not present:
        shutil.rmtree(folder)
    found = unrun(study, tmp_path / "store").facts
    assert found.covered[-1] == "the split into training and validation images"
    assert found.not_covered == ("the test images",)


@pytest.mark.parametrize(("replicates", "factor"), [(3, "1.4"), (5, "1.6")])
def test_intervals_over_drawn_splits_are_too_narrow_for_other_images(
    replicates: int, factor: str, tmp_path: Path
) -> None:
    """A quarter is for testing: sqrt(1 + 3 / 3) and sqrt(1 + 5 / 3)."""
    found = facts(tmp_path, BARE, resample=["split"], replicates=replicates)
    assert found.drawn_for_testing == 0.25
    assert sentence(found).endswith(
        f"For other images of the same kind, an interval over {replicates} replicates would have to be about {factor} "
        "times as wide, since replicates share images (Nadeau and Bengio 2003)."
    )
    assert "Nadeau" not in sentence(facts(tmp_path, BARE, replicates=replicates))
