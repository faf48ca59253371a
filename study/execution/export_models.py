"""Exports the models of a study to ONNX and measures them: `study export`.

The first finished replicate of each cell is exported in float32 and with int8 weights. File size, latency (one image on
one core) and validation accuracy of both files are recorded in the store.
"""

import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from study.design.stages import Stage
from study.design.study import Trial
from study.execution.machine import machine
from study.planning.state import StudyState
from study.store import exported_models
from study.store.exported_models import Measurement
from study.store.results import Store
from study.utils.errors import Advice, StudyError
from study.utils.escape import terminal as escape
from study.utils.provenance import commit, now, provenance
from study.vit import model_files


def run(state: StudyState, folder: Path, tolerance: float, console: Console) -> int:
    """Export and measure the models that have not been exported yet. Returns their number.

    folder: receives `KEY.onnx`, and `KEY.int8.onnx` if int8 loses at most `tolerance` of validation accuracy (a share
    from 0 to 1); KEY is the first twelve digits of the stage's key. Raises StudyError if a package is not installed or
    no trial has a result.
    """
    model_files.require_packages()
    study, store = state.study, state.store
    trials = list(first_finished(state))
    if not trials:
        raise StudyError(f"no trial of {study.name!r} has a result in {store}", Advice("to run it", "run"))
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for trial in trials:
        stage = state.stages_of(trial)[-1]
        if _is_done(store, stage, folder, tolerance):
            continue
        measured = export_stage(stage, store, folder, tolerance)
        console.print(f"{escape(trial.cell.name)}: {_summary(measured)}", highlight=False)
        count += 1
    return count


def first_finished(state: StudyState) -> Iterator[Trial]:
    """The first replicate of each cell that has a result, on the same data as the rest."""
    seen = set()
    for trial in state.trials:
        excluded = state.stages_of(trial)[-1].key in state.other_data.excluded
        if trial.cell.name not in seen and state.observed.is_done(trial) and not excluded:
            seen.add(trial.cell.name)
            yield trial


def export_stage(stage: Stage, store: Store, folder: Path, tolerance: float) -> Measurement:
    """Export one model, measure its files, and record the measurements in the store."""
    started = now()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".exporting-") as temporary:
        files = Path(temporary) / "fp32.onnx", Path(temporary) / "int8.onnx"
        with store.folder(stage) as model:
            fp32, int8 = model_files.export_and_measure(stage.settings, model, *files)
        origin = provenance(commit(), machine("cpu") | {"threads": 1}, started) | {
            "onnxruntime": version("onnxruntime")
        }
        measured = Measurement(fp32, int8, tolerance, origin)
        files[0].replace(_file(folder, stage, "onnx"))
        if measured.int8_kept:
            files[1].replace(_file(folder, stage, "int8.onnx"))
        else:
            _file(folder, stage, "int8.onnx").unlink(missing_ok=True)
    exported_models.write(store, stage, measured)
    return measured


def _is_done(store: Store, stage: Stage, folder: Path, tolerance: float) -> bool:
    found = exported_models.read(store, stage)
    if found is None or found.tolerance != tolerance or not _file(folder, stage, "onnx").is_file():
        return False
    return not found.int8_kept or _file(folder, stage, "int8.onnx").is_file()


def _file(folder: Path, stage: Stage, ending: str) -> Path:
    return folder / f"{stage.key[:12]}.{ending}"


def _summary(measured: Measurement) -> str:
    fp32, int8 = (
        f"{form.file_bytes / 1e6:.2f} MB, {form.milliseconds:.2f} ms" for form in (measured.fp32, measured.int8)
    )
    change = 100 * (measured.int8.val_accuracy - measured.fp32.val_accuracy)
    kept = "kept" if measured.int8_kept else "not kept"
    return f"float32 {fp32}; int8 {int8}, validation accuracy {change:+.2f} points, {kept}"
