"""Exports the models of a study for edge devices and measures what they cost there: `study export`.

Of each finished cell the first replicate that is done is written as ONNX, in float32 and with int8 weights, and noted
in the store with its file sizes, its latency for one image on one core, and its validation accuracy.
"""

import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from study.design.stages import Stage
from study.design.study import Trial
from study.planning.state import StudyState
from study.store import exported_models
from study.store.exported_models import Measurement
from study.store.results import Store
from study.utils.errors import StudyError
from study.utils.provenance import commit, now, processor, provenance
from study.vit import model_files

TOLERANCE = 0.01  # of validation accuracy: a hundredth of the images


def run(state: StudyState, folder: Path, tolerance: float, console: Console) -> int:
    """Export and measure what is not yet; returns how many models were.

    Raises StudyError where a package is missing or no trial has a result.

    folder: where the files go, `KEY.onnx` and `KEY.int8.onnx` (only where int8 keeps its accuracy), with the first
    twelve digits of the key.
    """
    model_files.require_packages()
    study, store = state.study, state.store
    trials = list(first_done(state))
    if not trials:
        raise StudyError(
            f"no trial of {study.name!r} has a result in {store}; run it: python -m study run {study.path}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for trial in trials:
        stage = state.stages_of(trial)[-1]
        if _is_done(store, stage, folder, tolerance):
            continue
        made = export_stage(stage, store, folder, tolerance)
        console.print(f"{escape(trial.cell.name)}: {_words(made)}", highlight=False)
        count += 1
    return count


def first_done(state: StudyState) -> Iterator[Trial]:
    """Of each cell the first replicate that has a result."""
    seen = set()
    for trial in state.trials:
        if trial.cell.name not in seen and state.observed.is_done(trial):
            seen.add(trial.cell.name)
            yield trial


def export_stage(stage: Stage, store: Store, folder: Path, tolerance: float) -> Measurement:
    """Write one model's files, measure them, and record the measurements."""
    started = now()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".exporting-") as place:
        files = Path(place) / "fp32.onnx", Path(place) / "int8.onnx"
        with store.folder(stage) as stored:
            fp32, int8 = model_files.export_and_measure(stage.settings, stored, *files)
        origin = provenance(commit(), processor(), 1, started) | {"onnxruntime": version("onnxruntime")}
        found = Measurement(fp32, int8, tolerance, origin)
        files[0].replace(_file(folder, stage, "onnx"))
        if found.int8_kept:
            files[1].replace(_file(folder, stage, "int8.onnx"))
        else:
            _file(folder, stage, "int8.onnx").unlink(missing_ok=True)
    exported_models.write(store, stage, found)
    return found


def _is_done(store: Store, stage: Stage, folder: Path, tolerance: float) -> bool:
    found = exported_models.read(store, stage)
    if found is None or found.tolerance != tolerance or not _file(folder, stage, "onnx").is_file():
        return False
    return not found.int8_kept or _file(folder, stage, "int8.onnx").is_file()


def _file(folder: Path, stage: Stage, ending: str) -> Path:
    return folder / f"{stage.key[:12]}.{ending}"


def _words(made: Measurement) -> str:
    fp32, int8 = (f"{form.file_bytes / 1e6:.2f} MB, {form.milliseconds:.2f} ms" for form in (made.fp32, made.int8))
    lost = 100 * (made.fp32.val_accuracy - made.int8.val_accuracy)
    verdict = "kept" if made.int8_kept else "not kept"
    return f"float32 {fp32}; int8 {int8}, {lost:.2f} points of validation accuracy lost, {verdict}"
