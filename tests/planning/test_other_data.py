"""Results on a data set whose images or labels changed under its name are found, reported, and never compared."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.own_data import grid, run_all, run_stages
from rich.console import Console

from study.cli.app import main
from study.cli.verify import show
from study.design.stages import Stage
from study.design.study import load
from study.planning.notices import notices
from study.planning.other_data import OTHER_DATA, other_data
from study.planning.outdated import discard
from study.planning.state import StudyState
from study.report import collect
from study.store.results import Store
from study.vit.data import catalogue, tensors
from study.vit.data.arrays import Decoded, Part
from study.vit.data.digits import Digits
from study.vit.settings import Encoder, Finetune, Pretrain
from study.vit.stages import StageSettings


class Versioned(Digits):
    """A data set of the table whose code changes: from version 2 its images are darker."""

    version = 1

    def fingerprint(self) -> str:
        return f"{self.version}"

    def read(self, size: int) -> Decoded:
        found = super().read(size)
        parts = {split: Part(part.images // np.uint8(self.version), part.labels) for split, part in found.parts.items()}
        return Decoded(found.info, parts)


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set is called `changing`."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tensors, "_held", {})
    monkeypatch.setattr(Versioned, "version", 1)
    monkeypatch.setattr(catalogue, "NAMED", {**catalogue.NAMED, "changing": f"{__name__}:Versioned"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return grid(tmp_path / "changing.yaml", "changing")


@pytest.fixture
def grown(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyState:
    """Two fine-tunings from scratch on version 1, the other four stages of the study on version 2."""
    state = StudyState.look(load(path), Store(tmp_path / "store"))
    first = [stage for stage in state.stages.values() if stage.kind == "finetune" and stage.parent is None]
    assert len(first) == 1
    state = run_stages(first, state)
    monkeypatch.setattr(Versioned, "version", 2)
    return run_all(state)


def statuses(state: StudyState) -> list[str]:
    return sorted(collect(state).trials["status"])


def test_results_on_changed_data_are_excluded_and_reported(grown: StudyState) -> None:
    assert statuses(grown) == ["done"] * 3 + [OTHER_DATA]
    rows = collect(grown).trials
    (row,) = rows[rows["status"] == OTHER_DATA].to_dict("records")
    assert row["reason"] == "finetune was trained on other images or labels of 'changing' than the present ones"
    assert np.isnan(row["test_accuracy"])
    assert row["key"] not in set(collect(grown).history["key"])
    (notice,) = notices(grown)
    assert notice.startswith("1 of 6 stored stages on 'changing' (8 px): trained on other images or labels")
    assert "Not used in any comparison: `run --recompute-outdated` computes them again" in notice


def test_they_are_computed_again_on_request(grown: StudyState) -> None:
    assert len(discard(grown)) == 1
    state = run_all(StudyState.look(grown.study, Store(grown.store.root)))
    assert statuses(state) == ["done"] * 4
    assert notices(state) == []


def test_accepted_ones_are_not_computed_again(grown: StudyState) -> None:
    assert discard(StudyState.look(grown.study, grown.store, accept_mixed_data=True)) == []


def test_they_are_used_on_request(grown: StudyState) -> None:
    state = StudyState.look(grown.study, grown.store, accept_mixed_data=True).look_again()
    assert statuses(state) == ["done"] * 4
    assert "used, but finetune was trained on other images" in " ".join(collect(state).trials["reason"])
    assert not collect(state).trials["test_accuracy"].isna().any()
    (notice,) = notices(state)
    assert "Used nevertheless, because of --accept-mixed-data" in notice


def test_a_pre_training_on_other_data_excludes_its_fine_tunings(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StudyState.look(load(path), Store(tmp_path / "store"))
    state = run_stages([stage for stage in state.stages.values() if stage.kind == "pretrain"], state)
    monkeypatch.setattr(Versioned, "version", 2)
    state = run_all(state)
    pretrained = sum(len(state.stages_of(trial)) == 2 for trial in state.trials)
    assert statuses(state).count(OTHER_DATA) == pretrained > 0
    assert "pretrain was trained on other images" in " ".join(collect(state).trials["reason"])


def test_a_report_has_the_option(
    grown: StudyState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["report", "changing.yaml", "--store", "store"]
    for more, status in (([], [OTHER_DATA]), (["--accept-mixed-data"], [])):
        monkeypatch.setattr(sys, "argv", ["study", *arguments, *more])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0, "other data are no failure"
        table = pd.read_csv(tmp_path / "reports" / "tiny" / "results.csv")
        assert sorted(table["status"]) == ["done"] * (4 - len(status)) + status
        first = capfd.readouterr().out.splitlines()[0]
        assert first.startswith("1 of 6 stored stages on 'changing'")


def test_they_do_not_count_in_interim_analyses(grown: StudyState) -> None:
    table = grown.observed.table(grown.trials, {"test_accuracy"})
    other = table[table["status"] == OTHER_DATA]
    assert len(other) == 1
    assert other["test_accuracy"].isna().all()


def test_verify_lists_them(grown: StudyState) -> None:
    console = Console(width=1000)
    with console.capture() as caught:
        assert show(grown, console) == 1
    assert "other data  finetune " in caught.get()
    assert "5/6 stages passed verification" in caught.get()


def stage(seed: int, size: int = 8, pretrain: bool = False) -> Stage:
    recipe = Pretrain(dataset="digits") if pretrain else Finetune(dataset="digits")
    return Stage(StageSettings(Encoder(image_size=size, patch_size=2, channels=1), recipe), seed)


def differing(digests: Mapping[Stage, str], present: str | None) -> set[Stage]:
    found = other_data(digests, lambda name, size: present)
    return {stage for stage in digests if stage.key in found.reasons}


def test_the_present_data_decide_and_otherwise_most_results() -> None:
    one, two, three = digests = {stage(1): "a", stage(2): "a", stage(3): "b"}
    assert differing(digests, None) == {three}
    assert differing(digests, "b") == {one, two}
    assert differing(digests, "c") == {one, two, three}
    assert differing({one: "a", two: "a"}, None) == set()


def test_what_starts_from_a_stage_on_other_data_is_excluded_too() -> None:
    parent = stage(1, pretrain=True)
    child = Stage(StageSettings(Encoder(image_size=8, patch_size=2, channels=1), Finetune(dataset="photos")), 1, parent)
    found = other_data({parent: "a", child: "b"}, lambda name, size: {"digits": "c"}.get(name))
    assert found.reason([child]) == "pretrain was trained on other images or labels of 'digits' than the present ones"


def test_pre_training_and_fine_tuning_are_compared_and_image_sizes_are_not() -> None:
    """Images are decoded for each size, so digests of different sizes differ."""
    first, second = stage(1), stage(1, pretrain=True)
    assert len(differing({first: "a", second: "b"}, None)) == 1
    assert differing({first: "a", stage(1, 16): "b"}, None) == set()
