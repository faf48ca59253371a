"""Means over an epoch or a split, collected on the device and copied to the host once.

Shapes: B images, K classes, E experts.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Means:
    """Means of named scalars and of expert loads over batches, weighted by the number of images.

    `add` only stores references: nothing is computed, and nothing waits for the device, until the means are read.
    """

    def __init__(self) -> None:
        self._images: list[int] = []
        self._values: list[Mapping[str, Tensor]] = []
        self._loads: list[Sequence[Tensor]] = []

    def add(self, images: int, values: Mapping[str, Tensor], expert_load: Sequence[Tensor] = ()) -> None:
        """Add a batch: scalars that are its means, and for each block the (E,) shares of its tokens."""
        self._images.append(images)
        self._values.append({name: value.detach() for name, value in values.items()})
        self._loads.append([load.detach() for load in expert_load])

    @property
    def images(self) -> int:
        return sum(self._images)

    def values(self, prefix: str = "") -> dict[str, float]:
        """The mean of each scalar, its name preceded by `prefix`."""
        if not self._values:
            return {}
        names = list(self._values[0])
        rows = torch.stack([torch.stack([values[name].double() for name in names]) for values in self._values])
        return {prefix + name: mean for name, mean in zip(names, self._mean(rows), strict=True)}

    def expert_load(self) -> list[list[float]]:
        """For each block the mean share of tokens of each expert."""
        return [self._mean(torch.stack([load.double() for load in loads])) for loads in zip(*self._loads, strict=True)]

    def _mean(self, rows_RV: Tensor) -> list[float]:
        weight_R = torch.tensor(self._images, dtype=torch.float64)
        means: list[float] = ((weight_R / weight_R.sum()) @ rows_RV.cpu()).tolist()
        return means


def hit_share(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """Accuracy: the share of images whose largest logit is that of their label; a scalar on the device."""
    return (logits_BK.argmax(dim=1) == labels_B).double().mean()
