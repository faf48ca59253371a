"""Runs one stage: look up, load the parent, train, save. All results are read and written here."""

import gc

import safetensors.torch
import torch

from study.design.stages import Stage
from study.execution.checkpoint import EVERY, Checkpoints
from study.execution.machine import machine
from study.store import code
from study.store.predictions import Predictions
from study.store.results import Result, Store
from study.utils.errors import StudyError
from study.utils.provenance import now, provenance
from study.vit import runner, subject
from study.vit.runner import Diverged, Execution, InvalidSnapshot, OnEpoch, Snapshot, Trained

MICRO_BATCHES = 4  # per batch, after running out of memory


def run_stage(
    stage: Stage,
    store: Store,
    device: str,
    on_epoch: OnEpoch,
    commit: str = "unknown",
    checkpoint_seconds: float = EVERY,
) -> Result:
    """Return the stored result of a stage, or train it, resuming from a checkpoint if there is one, and store it.

    device: `cpu` or `cuda`. on_epoch: receives the metrics of each epoch trained by this call. checkpoint_seconds:
    minimum time between two checkpoints; 0: after every epoch. Raises StudyError if the parent is not stored, the data
    set cannot be read, training diverges (Diverged), or memory does not suffice even for micro-batches.
    """
    stored = store.find(stage)
    if stored is not None:
        return stored
    started, own_code = now(), code.present_code()
    own_machine = machine(device)
    if stage.content is not None:
        subject.check_content(stage.dataset, stage.content)
    data = runner.load_data(stage.settings, device)
    place = {"commit": commit, **own_machine, "started": started}
    checkpoints = Checkpoints(stage, store, place, data, checkpoint_seconds)
    try:
        trained, micro_batch = _train_within_memory(stage, store, device, on_epoch, checkpoints)
    except Diverged as error:
        error.data = data
        store.delete_checkpoint(stage)  # so that a retry starts from the beginning
        raise
    origin = provenance(commit, own_machine, started)
    origin |= _code_origin(stage, store, own_code)
    origin |= {"reading": runner.how_data_were_read(stage.settings, device)}
    origin |= {"data": data, "micro_batch": micro_batch, "parts": checkpoints.parts, "notes": checkpoints.notes}
    result = Result(trained.metrics, subject.stage_facts(stage.settings), trained.history, trained.expert_load, origin)
    weights, config = safetensors.torch.save(trained.weights), runner.model_config(stage.settings, trained)
    store.save(stage, result, weights, config, _predictions(trained))
    return result


def _predictions(trained: Trained) -> Predictions | None:
    found = trained.predictions
    if found is None:
        return None
    names = tuple(trained.data.get("class_names") or ())
    return Predictions(found.predicted_N.numpy(), found.labels_N.numpy(), found.images, names)


def _code_origin(stage: Stage, store: Store, own_code: code.Code) -> dict[str, str]:
    """The digests of the code that trained the stage and its parent."""
    code.record(store, own_code)
    parent = store.find(stage.parent) if stage.parent else None
    before = parent.provenance.get("code") if parent else None
    return {"code": own_code.digest, **({"parent_code": before} if before else {})}


def _train_within_memory(
    stage: Stage, store: Store, device: str, on_epoch: OnEpoch, checkpoints: Checkpoints
) -> tuple[Trained, int | None]:
    """Train from the latest checkpoint, or from the beginning if there is none that fits.

    Returns the micro-batch too, None for whole batches.
    """
    try:
        return _train_from(checkpoints.latest(), stage, store, device, on_epoch, checkpoints)
    except InvalidSnapshot as error:
        checkpoints.discard(str(error))
        return _train_from(None, stage, store, device, on_epoch, checkpoints)


def _train_from(
    start: Snapshot | None, stage: Stage, store: Store, device: str, on_epoch: OnEpoch, checkpoints: Checkpoints
) -> tuple[Trained, int | None]:
    """Train; if out of memory, retry once with gradient accumulation (micro-batch = batch/4)."""
    micro_batch = start.progress["micro_batch"] if start else None
    try:
        return _train(stage, store, device, on_epoch, Execution(start, checkpoints.keep, micro_batch)), micro_batch
    except torch.OutOfMemoryError as error:
        first = str(error).splitlines()[0]
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
    images = micro_batch or stage.settings.batch_size
    smaller = -(-images // MICRO_BATCHES)
    try:
        execution = Execution(checkpoints.latest(), checkpoints.keep, smaller)
        return _train(stage, store, device, on_epoch, execution), smaller
    except torch.OutOfMemoryError as error:
        second = str(error).splitlines()[0]
    raise StudyError(
        f"out of memory with micro-batch {images} ({first}), and again with micro-batch {smaller} ({second}); "
        "increase resources.gpu, or use a smaller model or image_size"
    )


def _train(stage: Stage, store: Store, device: str, on_epoch: OnEpoch, execution: Execution) -> Trained:
    weights = None
    if stage.parent is not None:
        if not store.has(stage.parent):
            raise StudyError(f"parent stage not found: pre-training {stage.parent.key[:12]} is not stored")
        weights = safetensors.torch.load(store.weights(stage.parent))
    return runner.train(stage.settings, weights, stage.seed, device, on_epoch, execution)
