"""The interface of the vision transformer to the harness, without torch. See also `runner` and `model_files`.

Settings, StageSettings, stages_of   settings of a trial, and its stages
describe, available, is_own_data     data sets
content, check_content               the digest of own data
data_digest, decoded_digest          the digest of a data set's images and labels
how_read, how_resampled              classes, splits, resizing and what is left out, in one line; what is drawn anew
Resampling, FIXED, drawn_splits      seeds of a replicate's split and subset; which splits can be drawn anew
check_data, model_size, stage_facts  validation of a stage's data set, and the size of its model
"""

import platform
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from study.utils.errors import StudyError
from study.utils.frozen_model import FieldError
from study.vit import counts, data
from study.vit.data import (
    DatasetInfo,
    available,
    content,
    decoded_digest,
    describe,
    described_after_decoding,
    drawn_splits,
)
from study.vit.data import convert as convert_data
from study.vit.data import digest as data_digest
from study.vit.data import is_own as is_own_data
from study.vit.export.form import Form
from study.vit.resampling import FIXED, Resampling
from study.vit.settings import Encoder, Pretrain, Settings
from study.vit.stages import VERSIONS, StageSettings, stages_of, without_pretraining

__all__ = [
    "FIXED",
    "STAGE_KINDS",
    "DatasetInfo",
    "Form",
    "ModelSize",
    "Resampling",
    "Settings",
    "StageSettings",
    "available",
    "check_content",
    "check_data",
    "content",
    "convert_data",
    "data_digest",
    "decoded_digest",
    "describe",
    "described_after_decoding",
    "drawn_splits",
    "epoch_macs",
    "how_read",
    "how_resampled",
    "is_own_data",
    "model_size",
    "stage_facts",
    "stages_of",
    "without_pretraining",
]


STAGE_KINDS = tuple(VERSIONS)


@dataclass(frozen=True)
class ModelSize:
    """Parameters and multiply-adds for one image, in total and active (used for one token: top-k experts only)."""

    params: int
    params_active: int
    macs: int
    macs_active: int


def check_data(stage: StageSettings, info: DatasetInfo) -> None:
    """Raise FieldError, with the path within the stage's section, if a stage cannot be trained on its data set."""
    if stage.kind == "finetune" and info.classes is None:
        raise FieldError(
            "dataset",
            f"{stage.dataset!r} has no labels and can be used for pre-training only; choose a labelled data set"
            f"{_left_out(info)}",
        )
    if stage.kind == "finetune" and info.classes == 1:
        raise FieldError(
            "dataset",
            f"{stage.dataset!r} has one class, so every model is right; choose a data set with more, or use it for "
            "pre-training only",
        )
    sizes = data.split_sizes(info)
    if sizes is None:
        return
    if (stage.recipe.train_images or 0) > sizes["train"]:
        raise FieldError(
            "train_images",
            f"{stage.recipe.train_images} is more than the {sizes['train']:,} training images of {stage.dataset!r}",
        )
    for split in ("validation", "test") if stage.kind == "finetune" else ("validation",):
        if not sizes[split]:
            raise FieldError("dataset", f"{stage.dataset!r} has no images for {split}; {_more_images(info, sizes)}")


def _left_out(info: DatasetInfo) -> str:
    return f" (left out: {', '.join(info.left_out)})" if info.left_out else ""


def _more_images(info: DatasetInfo, sizes: dict[str, int]) -> str:
    """The counts, and how to get images into all splits."""
    counts = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
    return (
        f"its images are {counts}. A split that is not given is taken from the images of each class in train: a tenth "
        "for validation, a fifth for test, rounded. Add images (at least five of a class), or give it a folder or file"
    )


def how_read(name: str, size: int) -> str:
    """How a data set is read for `size` pixels, in one line; exact once it has been decoded on this machine.

    Raises StudyError as `describe` does.
    """
    info, decoded = describe(name), described_after_decoding(name, size)
    return data.how_read(data.combined(info, decoded) if decoded else info, size)


def how_resampled(name: str, split: bool) -> str:
    """What to add to `how_read` where `split` is drawn anew; empty if it is not, or if the data give all splits.

    Raises StudyError as `describe` does.
    """
    drawn = list(drawn_splits(name)) if split else []
    return f"; {', '.join(drawn[:-1])} and {drawn[-1]} are drawn anew for each replicate" if drawn else ""


def check_content(dataset: str, expected: str) -> None:
    """Raise StudyError if own data on this machine do not have the content for which a stage was planned."""
    found = content(dataset)
    if found != expected:
        path = Path(dataset.partition(":")[2]).expanduser().absolute()
        raise StudyError(
            f"data set {dataset!r}: the files in {path} on {platform.node()} are not those of the run (content "
            f"{(found or 'none')[:12]}, expected {expected[:12]}): if they were changed during the run, run again; "
            "otherwise copy the same files to this machine"
        )


def model_size(settings: Settings, classes: int) -> ModelSize:
    """The size of a trial's classifier, from closed-form counts."""
    return _classifier_size(settings.encoder, classes)


def stage_facts(stage: StageSettings) -> dict[str, int]:
    """Parameters and multiply-adds of the model that a stage trains. Raises StudyError for data without labels."""
    if isinstance(stage.recipe, Pretrain):
        macs = counts.pretrain_macs(stage.encoder, stage.recipe)
        params = counts.pretrain_params(stage.encoder, stage.recipe)
        return asdict(ModelSize(params.total, params.active, macs.executed, macs.active))
    return asdict(_classifier_size(stage.encoder, num_classes(stage)))


def epoch_macs(stage: StageSettings) -> int | None:
    """Multiply-adds of one forward pass over the training images; None if the data set does not state their number.

    Raises StudyError for data without labels.
    """
    splits = describe(stage.dataset).splits
    images = stage.recipe.train_images or (splits["train"] if splits else None)
    return None if images is None else images * stage_facts(stage)["macs"]


def num_classes(stage: StageSettings) -> int:
    """Number of classes of a fine-tuning stage's data set. Raises StudyError if it has no labels."""
    classes = describe(stage.dataset).classes
    if classes is None:
        raise StudyError(f"data set {stage.dataset!r} has no labels and can be used for pre-training only")
    return classes


@lru_cache(maxsize=10_000)  # cells that differ in training alone share a size
def _classifier_size(encoder: Encoder, classes: int) -> ModelSize:
    params, macs = counts.classifier_params(encoder, classes), counts.classifier_macs(encoder, classes)
    return ModelSize(params.total, params.active, macs.executed, macs.active)
