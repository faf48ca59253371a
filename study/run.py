"""Runs one stage: looks it up, loads its parent, trains, stores. All reading and writing of results is here."""

from collections.abc import Callable
from typing import Any

import safetensors.torch
import torch

from study import counts
from study.config import Finetune, Pretrain
from study.data import describe, load
from study.errors import StudyError
from study.provenance import now, processor, provenance
from study.stages import Stage
from study.store import Result, Store
from study.training import Trained, finetune, pretrain

OnEpoch = Callable[[dict[str, float]], None]


def run_stage(stage: Stage, store: Store, device: str, on_epoch: OnEpoch, commit: str = "unknown") -> Result:
    """The stage's result: the stored one, or that of training it now and storing it.

    `device` is `cpu` or `cuda`; `on_epoch` gets every epoch's numbers. Raises StudyError where the parent is missing,
    the data cannot be had, or training diverges.
    """
    stored = store.find(stage)
    if stored is not None:
        return stored
    started = now()
    trained = _train(stage, store, device, on_epoch)
    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    origin = provenance(commit, name, torch.get_num_threads(), started)
    # own data may change under the same path: this tells which content was trained on
    origin["data"] = load(stage.recipe.dataset, stage.encoder.image_size, device).digest
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


def _train(stage: Stage, store: Store, device: str, on_epoch: OnEpoch) -> Trained:
    if isinstance(stage.recipe, Pretrain):
        return pretrain(stage.encoder, stage.recipe, stage.seed, device, on_epoch)
    weights = None
    if stage.parent is not None:
        if not store.has(stage.parent):
            raise StudyError(f"the pre-training {stage.parent.key[:12]} that this stage starts from is not stored")
        weights = safetensors.torch.load(store.weights(stage.parent).read_bytes())
    return finetune(stage.encoder, stage.recipe, weights, stage.seed, device, on_epoch)


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
