"""The data of a replicate: the seeds of its split and of its training subset; no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Resampling:
    """Seeds of what the grid key `resample` draws anew for each replicate. None: as fixed for all replicates."""

    split: int | None = None  # which images are for training, validation and testing
    train_images: int | None = None  # which training images are in a subset of them

    def changed(self) -> dict[str, dict[str, int]]:
        """The section `resample` of a stage with its seeds; nothing if nothing is drawn anew, so that keys stay."""
        seeds = {name: seed for name, seed in asdict(self).items() if seed is not None}
        return {"resample": seeds} if seeds else {}

    @classmethod
    def of(cls, sections: Mapping[str, Any]) -> Self:
        """The inverse of `changed`. Raises TypeError for unknown names."""
        return cls(**sections.get("resample", {}))


FIXED = Resampling()
"""One split and one subset for all replicates."""
