"""Runs one stage: looks it up, loads its parent, trains, stores. All reading and writing of results is here."""

import gc

import safetensors.torch
import torch

from study.design.stages import Stage
from study.execution.checkpoint import EVERY, Checkpoints
from study.store.results import Result, Store
from study.utils.errors import StudyError
from study.utils.provenance import now, processor, provenance
from study.vit import runner, subject
from study.vit.runner import Diverged, Execution, OnEpoch, Trained

PARTS = 4  # of a batch that memory has no room for


def run_stage(
    stage: Stage,
    store: Store,
    device: str,
    on_epoch: OnEpoch,
    commit: str = "unknown",
    checkpoint_seconds: float = EVERY,
) -> Result:
    """The stage's result: the stored one, or that of training it now, or the rest of it, and storing it.

    `device` is `cpu` or `cuda`; `on_epoch` gets the numbers of every epoch that is trained now. Raises StudyError where
    the parent is missing, the data cannot be had, training diverges, or memory does not do even in smaller parts.
    """
    stored = store.find(stage)
    if stored is not None:
        return stored
    started = now()
    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    data = runner.load_data(stage.settings, device)
    place = {"commit": commit, "device": name, "threads": torch.get_num_threads(), "started": started}
    checkpoints = Checkpoints(stage, store, place, data, checkpoint_seconds)
    try:
        trained, micro_batch = _train_within_memory(stage, store, device, on_epoch, checkpoints)
    except Diverged:
        store.delete_checkpoint(stage)  # whoever tries again, with other code, begins at the beginning
        raise
    origin = provenance(commit, name, torch.get_num_threads(), started)
    origin |= {"data": data, "micro_batch": micro_batch, "parts": checkpoints.parts, "notes": checkpoints.notes}
    result = Result(trained.metrics, subject.stage_facts(stage.settings), trained.history, trained.expert_load, origin)
    store.save(stage, result, safetensors.torch.save(trained.weights), runner.model_config(stage.settings, trained))
    return result


def _train_within_memory(
    stage: Stage, store: Store, device: str, on_epoch: OnEpoch, checkpoints: Checkpoints
) -> tuple[Trained, int | None]:
    """The trained stage and its micro-batch. Where memory does not do, once more with a quarter of the images at a
    time and the same batch for each step."""
    start = checkpoints.latest()
    micro_batch = start.course["micro_batch"] if start else None
    try:
        return _train(stage, store, device, on_epoch, Execution(start, checkpoints.keep, micro_batch)), micro_batch
    except torch.OutOfMemoryError as error:
        first = str(error).splitlines()[0]
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
    at_once = micro_batch or stage.settings.batch_size
    smaller = -(-at_once // PARTS)
    try:
        execution = Execution(checkpoints.latest(), checkpoints.keep, smaller)
        return _train(stage, store, device, on_epoch, execution), smaller
    except torch.OutOfMemoryError as error:
        second = str(error).splitlines()[0]
    raise StudyError(
        f"out of memory with {at_once} images at a time, and again with {smaller}: {first}; then: {second}; "
        "give the trial more of a GPU (resources.gpu), or make the model or its image_size smaller"
    )


def _train(stage: Stage, store: Store, device: str, on_epoch: OnEpoch, execution: Execution) -> Trained:
    weights = None
    if stage.parent is not None:
        if not store.has(stage.parent):
            raise StudyError(f"the pre-training {stage.parent.key[:12]} that this stage starts from is not stored")
        weights = safetensors.torch.load(store.weights(stage.parent))
    return runner.train(stage.settings, weights, stage.seed, device, on_epoch, execution)
