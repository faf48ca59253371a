"""Losses that distribute tokens over experts: importance and load (Shazeer et al. 1701.06538, sec. 4, app. A).

Shapes: T tokens of the whole batch, E experts, L layers that have the same number of experts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Routing:
    """How one layer's tokens were distributed over its experts.

    gates_ET: router weights; exactly `top_k` of each column are kept, the others are 0, and a column sums to 1.
    kept_ET: which experts were kept (bool).
    chances_ET: probability that the expert is kept under fresh noise (1701.06538, eq. 9). None without noise, and if
        every expert is kept.
    """

    gates_ET: Tensor
    kept_ET: Tensor
    chances_ET: Tensor | None


@dataclass(frozen=True)
class Balance:
    """loss: scalar, weighted and summed over the layers. load: for each layer the share of the kept (token, expert)
    pairs that each expert received, (E,)."""

    loss: Tensor
    load: list[Tensor]


def balance(
    routings: Sequence[Routing | None], importance_weight: float, load_weight: float, device: torch.device
) -> Balance:
    """Both losses over the layers' routings. None is a dense layer, whose one expert receives all tokens."""
    mixed = [routing for routing in routings if routing is not None]
    importance = _loss([routing.gates_ET for routing in mixed], importance_weight)
    load = _loss([routing.chances_ET for routing in mixed if routing.chances_ET is not None], load_weight)
    loss = torch.stack(importance + load).sum() if importance + load else torch.zeros((), device=device)
    whole = torch.ones(1, device=device)
    return Balance(loss, [whole if routing is None else _load(routing.kept_ET) for routing in routings])


def _loss(shares: Sequence[Tensor], weight: float) -> list[Tensor]:
    """Weighted squared variation of the sums over tokens; layers with the same number of experts are batched."""
    if not weight:
        return []
    sums: dict[int, list[Tensor]] = {}
    for share_ET in shares:
        sums.setdefault(len(share_ET), []).append(share_ET.sum(1))
    return [weight * squared_variation(torch.stack(same)).sum() for same in sums.values()]


def _load(kept_ET: Tensor) -> Tensor:
    counts_E = kept_ET.sum(1)
    return counts_E / counts_E.sum()


def squared_variation(x_LE: Tensor) -> Tensor:
    """(L,): squared coefficient of variation over the experts, population variance / mean^2.

    Population, not sample, because a layer's experts are not a sample of anything.
    """
    variance_L, mean_L = torch.var_mean(x_LE, dim=-1, correction=0)
    return variance_L / mean_L.square()


def normal_cdf(x: Tensor) -> Tensor:
    cdf: Tensor = torch.special.ndtr(x)
    return cdf
