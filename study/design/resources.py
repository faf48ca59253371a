"""The resources of one trial."""

from pydantic import Field

from study.utils.frozen_model import Frozen, NonNegativeFloat, PositiveFloat


class Resources(Frozen):
    """The resources of one trial; fractions are allowed. `gpu: null` requests one GPU if the cluster has GPUs."""

    cpu: PositiveFloat = Field(1.0, description="processor cores")
    gpu: NonNegativeFloat | None = Field(None, description="GPUs, or a fraction; null: one if the cluster has GPUs")
    checkpoint_seconds: NonNegativeFloat = Field(
        60.0, description="minimum seconds between checkpoints of a long stage; 0: after every epoch"
    )
