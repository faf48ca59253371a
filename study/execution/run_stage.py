"""Runs one stage: looks it up, loads its parent, trains, stores. All reading and writing of results is here."""

import gc
from collections.abc import Callable
from typing import Any

import safetensors.torch
import torch

from study.design.stages import Stage
from study.execution.checkpoint import EVERY, Checkpoints
from study.store.results import Result, Store
from study.utils.errors import StudyError
from study.utils.provenance import now, processor, provenance
from study.vit import counts
from study.vit.data import describe, load
from study.vit.settings import Finetune, Pretrain
from study.vit.training import Diverged, Execution, Trained, finetune, pretrain

OnEpoch = Callable[[dict[str, float]], None]

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
    # own data may change under the same path: this tells which content was trained on
    data = load(stage.recipe.dataset, stage.encoder.image_size, device).digest
    place = {"commit": commit, "device": name, "threads": torch.get_num_threads(), "started": started}
    checkpoints = Checkpoints(stage, store, place, data, checkpoint_seconds)
    try:
        trained, micro_batch = _train_within_memory(stage, store, device, on_epoch, checkpoints)
    except Diverged:
        store.drop_unfinished(stage)  # whoever tries again, with other code, begins at the beginning
        raise
    origin = provenance(commit, name, torch.get_num_threads(), started)
    origin |= {"data": data, "micro_batch": micro_batch, "parts": checkpoints.parts, "notes": checkpoints.notes}
    result = Result(trained.metrics, facts(stage), trained.history, trained.expert_load, origin)
    store.save(stage, result, safetensors.torch.save(trained.weights), _model_config(stage, trained))
    return result


def facts(stage: Stage) -> dict[str, int]:
    """Parameters and multiply-adds of the model a stage trains, from their closed forms."""
    if isinstance(stage.recipe, Pretrain):
        macs = counts.pretrain_macs(stage.encoder, stage.recipe)
        params = counts.pretrain_params(stage.encoder, stage.recipe)
    else:
        classes = _classes(stage.recipe)
        macs = counts.classifier_macs(stage.encoder, classes)
        params = counts.classifier_params(stage.encoder, classes)
    return {"params": params.total, "params_active": params.active, "macs": macs.executed, "macs_active": macs.active}


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
    at_once = micro_batch or stage.recipe.batch_size
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
    if isinstance(stage.recipe, Pretrain):
        return pretrain(stage.encoder, stage.recipe, stage.seed, device, on_epoch, execution)
    weights = None
    if stage.parent is not None:
        if not store.has(stage.parent):
            raise StudyError(f"the pre-training {stage.parent.key[:12]} that this stage starts from is not stored")
        weights = safetensors.torch.load(store.weights(stage.parent))
    return finetune(stage.encoder, stage.recipe, weights, stage.seed, device, on_epoch, execution)


def _classes(recipe: Finetune) -> int:
    classes = describe(recipe.dataset).classes
    if classes is None:
        raise StudyError(f"data set {recipe.dataset!r} has no labels; it can be used for pre-training only")
    return classes


def _model_config(stage: Stage, trained: Trained) -> dict[str, Any]:
    """What is needed to build the model and to feed it: its settings, and how its images are normalised."""
    config: dict[str, Any] = {
        "encoder": stage.encoder.model_dump(mode="json"),
        "normalization": trained.normalization,
        "dataset": stage.recipe.dataset,
    }
    if isinstance(stage.recipe, Finetune):
        config["num_classes"] = _classes(stage.recipe)
    return config
