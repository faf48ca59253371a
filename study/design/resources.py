"""The resources of one trial."""

from typing import Annotated

from pydantic import AfterValidator, Field

from study.utils.frozen_model import Frozen, NonNegativeFloat, PositiveFloat
from study.utils.text import plural


def _whole_above_one(gpus: float) -> float:
    if gpus > 1 and gpus % 1:
        raise ValueError(
            f"{plural(gpus, 'GPU')} cannot be assigned: write a fraction below 1, such as 0.5, or a whole number"
        )
    return gpus


Gpus = Annotated[NonNegativeFloat, AfterValidator(_whole_above_one)]  # Ray's rule


class Resources(Frozen):
    """The resources of one trial; fractions are allowed. `gpu: null` requests one GPU if the cluster has GPUs."""

    cpu: PositiveFloat = Field(1.0, description="processor cores")
    gpu: Gpus | None = Field(
        None, description="a fraction of a GPU below 1, or a whole number of GPUs; null: one if the cluster has GPUs"
    )
    checkpoint_seconds: NonNegativeFloat = Field(
        60.0, description="minimum seconds between checkpoints of a long stage; 0: after every epoch"
    )
