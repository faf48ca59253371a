"""What one trial takes of a machine."""

from pydantic import Field

from study.utils.frozen_model import Frozen, NonNegativeFloat, PositiveFloat


class Resources(Frozen):
    """What one trial takes; fractions are allowed. `gpu: null` takes one GPU where the cluster has any, else none."""

    cpu: PositiveFloat = Field(1.0, description="processor cores")
    gpu: NonNegativeFloat | None = Field(None, description="GPUs, or a share of one; null: one where there are any")
    checkpoint_seconds: NonNegativeFloat = Field(
        60.0, description="a long stage is put aside so often at most, to go on from there; 0: after every epoch"
    )
