"""Losses that spread tokens over experts: importance and load (Shazeer et al. 1701.06538, section 4 and appendix A).

Shapes: T tokens of the whole batch, E experts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Routing:
    """How one layer's tokens were spread over its experts.

    gates_TE: router weights; exactly `top_k` of each row are kept, the others are 0, and a row sums to 1.
    kept_TE: which experts were kept (bool).
    chances_TE: probability that the expert is kept under fresh noise (1701.06538, eq. 9); None without noise.
    """

    gates_TE: Tensor
    kept_TE: Tensor
    chances_TE: Tensor | None


@dataclass(frozen=True)
class Balance:
    """loss: scalar, weighted and summed over the layers. load: for each layer the share of the kept (token, expert)
    pairs that each expert received, (E,)."""

    loss: Tensor
    load: list[Tensor]


def balance(routings: Sequence[Routing | None], importance_weight: float, load_weight: float, like: Tensor) -> Balance:
    """Both losses over the layers' routings; None stands for a dense layer, whose one expert receives everything."""
    losses = [
        weight * squared_variation(share_TE.sum(0))
        for routing in routings
        if routing is not None
        for weight, share_TE in ((importance_weight, routing.gates_TE), (load_weight, routing.chances_TE))
        if share_TE is not None and weight
    ]
    load = [torch.ones(1, device=like.device) if routing is None else _load(routing.kept_TE) for routing in routings]
    return Balance(torch.stack(losses).sum() if losses else torch.zeros((), device=like.device), load)


def _load(kept_TE: Tensor) -> Tensor:
    counts_E = kept_TE.sum(0)
    return counts_E / counts_E.sum()


def squared_variation(x_E: Tensor) -> Tensor:
    """Squared coefficient of variation along the last dimension: population variance / mean^2.

    Population, not sample: the experts of a layer are all there are.
    """
    return x_E.var(-1, correction=0) / x_E.mean(-1).square()


def normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x * math.sqrt(0.5)))
