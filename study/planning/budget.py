"""What the training of a cell takes: images and multiply-adds, in closed form from its settings.

A training step costs about three forward passes: the forward pass, and the gradients of activations and of weights. A
linear probe computes these for its head only; its frozen encoder has forward passes: one per image without
augmentation, one per image and epoch with it. The last images of an epoch that do not fill a batch are left out of that
epoch, as in `study.vit.training.batches.equal_batches`. Evaluation is not counted.
"""

from collections.abc import Sequence
from functools import lru_cache

from study.analysis.facts import BudgetFacts
from study.utils.errors import StudyError
from study.vit import subject

PASSES = 3  # forward passes that a training step costs


def budget_of(stages: Sequence[subject.StageSettings]) -> BudgetFacts:
    """The budget of one trial; numbers that depend on data of unknown size are None."""
    images: dict[str, int | None] = {"pretrain": 0, "finetune": 0}
    compute: list[int | None] = []
    for stage in stages:
        count = training_images(stage.dataset, stage.encoder.image_size, stage.recipe.train_images)
        images[stage.kind] = None if count is None else images_seen(count, stage.batch_size, stage.epochs)
        compute.append(None if count is None else training_macs(stage, count))
    return BudgetFacts(
        pretrain_images=images["pretrain"],
        finetune_images=images["finetune"],
        training_macs=None if None in compute else sum(filter(None, compute)),
        **subject.stage_facts(stages[-1]),
    )


def training_macs(stage: subject.StageSettings, count: int) -> int:
    """Multiply-adds of a stage that trains on `count` images per epoch."""
    seen = images_seen(count, stage.batch_size, stage.epochs)
    macs = subject.stage_facts(stage)["macs"]
    if getattr(stage.recipe, "mode", "") != "probe":
        return PASSES * seen * macs
    head = stage.encoder.width * (subject.describe(stage.dataset).classes or 0)
    encoded = seen if stage.recipe.augment.changed() else count
    return encoded * (macs - head) + PASSES * seen * head


def images_seen(count: int, batch_size: int, epochs: int) -> int:
    """Images that are shown in training: those of the fewest equal batches of at most `batch_size`, in every epoch."""
    steps = -(-count // batch_size)
    return epochs * steps * (count // steps)


@lru_cache(maxsize=1_000)
def training_images(dataset: str, size: int, subset: int | None) -> int | None:
    """Training images per epoch; None if the data are not known on this machine."""
    if subset is not None:
        return subset
    try:
        info = subject.describe(dataset)
        splits = info.splits or getattr(subject.described_after_decoding(dataset, size), "splits", None)
    except StudyError:
        return None
    return splits["train"] if splits else None
