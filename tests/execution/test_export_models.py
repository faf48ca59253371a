"""`study export`: models as ONNX files, measured, recorded in the store, shown in the report."""

import sys
from pathlib import Path

import pytest
import torch
from helpers.looks import collect
from rich.console import Console
from typer.testing import CliRunner

import study
from study.cli.app import app, main
from study.design.stages import Stage, stages_of
from study.design.study import Study, expand, load
from study.execution import export_models
from study.execution.run_stage import run_stage
from study.planning.state import StudyState
from study.report import analyse
from study.report.tables import TABLES
from study.store import exported_models
from study.store.exported_models import Measurement
from study.store.results import Store
from study.utils.errors import StudyError
from study.vit.export import benchmark
from study.vit.export.onnx import run_onnx
from study.vit.subject import Form

HOSTILE = "<script>x</script> a|b $c$"


@pytest.fixture
def finished(tiny: Path, place: Path) -> tuple[Study, Store, Stage]:
    """The tiny study with one trained trial, whose cell name contains markup."""
    tiny.write_text(tiny.read_text().replace("mode: {path", f'"{HOSTILE}": {{path'))
    made, store = load(tiny), Store(place / ".study")
    store.prepare()
    trial = next(trial for trial in expand(made) if HOSTILE in trial.cell.name)
    for stage in stages_of(trial):
        run_stage(stage, store, "cpu", lambda _: None)
    return made, store, stages_of(trial)[-1]


def test_exported_models_are_measured_recorded_and_shown(
    finished: tuple[Study, Store, Stage], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="an optional extra")
    monkeypatch.setattr(benchmark, "RUNS", 3)
    made, store, stage = finished
    assert TABLES["device"].table(analyse(collect(made, store))).rows == []
    with Console(quiet=True).capture():
        state = StudyState.look(made, store)
        assert export_models.run(state, place / "out", 1.0, Console(quiet=True)) == 1
        assert export_models.run(state, place / "out", 1.0, Console(quiet=True)) == 0  # finished exports are skipped
    fp32, int8 = place / "out" / f"{stage.key[:12]}.onnx", place / "out" / f"{stage.key[:12]}.int8.onnx"
    assert sorted((place / "out").iterdir()) == sorted([fp32, int8])

    images = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(run_onnx(fp32, images), study.load(stage.key)(images), rtol=1e-4, atol=1e-5)

    found = exported_models.read(store, stage)
    stored = store.find(stage)  # measurements are not part of the stage: its checksums still match
    assert found is not None
    assert stored is not None
    assert (found.fp32.file_bytes, found.int8.file_bytes) == (fp32.stat().st_size, int8.stat().st_size)
    assert found.fp32.val_accuracy == pytest.approx(stored.metrics["val_accuracy"], abs=0.01)
    assert found.fp32.milliseconds > 0
    assert found.provenance["threads"] == 1

    results = collect(made, store)
    assert list(results.device["key"]) == [stage.key]
    shown = TABLES["device"].table(analyse(results)).html()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "device.csv" in results.tables()


@pytest.mark.parametrize(("int8", "kept"), [(0.90, True), (0.891, True), (0.89, True), (0.889, False), (0.95, True)])
def test_int8_is_kept_within_the_tolerance(int8: float, kept: bool) -> None:
    assert Measurement(Form(2, 1.0, 0.90), Form(1, 1.0, int8), 0.01).int8_kept is kept


def test_a_damaged_measurement(finished: tuple[Study, Store, Stage]) -> None:
    _, store, stage = finished
    store.write(f"device/{stage.key}.json", b"{}")
    with pytest.raises(StudyError, match=r"cannot be read .*remove it; to measure again: python -m study export"):
        exported_models.read(store, stage)


def test_missing_onnx_packages(
    finished: tuple[Study, Store, Stage],
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr(sys, "argv", ["study", "export", str(tiny)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "ONNX export requires onnxscript" in capsys.readouterr().err
    assert not Path("exports").exists()


def test_no_trial_is_finished(tiny: Path, place: Path) -> None:
    ended = CliRunner().invoke(app, ["export", str(tiny)])
    assert isinstance(ended.exception, StudyError)
    assert "no store at .study" in str(ended.exception)
    Store(".study").write("tuning/other.json", b"{}")
    ended = CliRunner().invoke(app, ["export", str(tiny)])
    assert "no trial of 'tiny' has a result in" in str(ended.exception)
