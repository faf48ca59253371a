"""Mixture of SwiGLU experts that may share V and W2 (Tan 2407.17783), with noisy top-k routing (Shazeer et al.
1701.06538).

An expert e maps a token x to `(silu(x W_e) * (x V_e)) W2_e`; the output is the sum of the experts, weighted by the
router. Every expert is computed for every token: with the router's weights g (zero for experts that are not kept),
`sum_e g_e * (silu(x W_e) * (x V)) W2 = ((sum_e g_e * silu(x W_e)) * (x V)) W2`. Nothing is gathered or scattered, and
shared projections are computed once per token.

Shapes: T tokens of the whole batch, D embedding width, E experts, V and Y the numbers of V and W2 projections (1 or E),
F FFN width.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.vit.models import cpu, cpu_experts
from study.vit.models.balance import Routing, normal_cdf

Shared = Literal["both", "v", "w2", "none"]


class ExpertMixture(nn.Module):
    """The feed-forward layer: E experts and a router; with E = 1, a dense SwiGLU without a router."""

    def __init__(
        self,
        width: int,
        ffn_width: int,
        num_experts: int,
        *,
        top_k: int = 1,
        noise: bool = True,
        shared: Shared = "both",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_experts, self.ffn_width = num_experts, ffn_width
        self.num_v = 1 if shared in ("both", "v") else num_experts
        self.num_w2 = 1 if shared in ("both", "w2") else num_experts
        # Rows: W of each expert, then V (of each expert). One linear map, because all have the same input.
        self.up = nn.Linear(width, (num_experts + self.num_v) * ffn_width, bias)
        # Columns: W2 (of each expert). If each W2 has its own bias, it is weighted like its expert.
        self.down = nn.Linear(self.num_w2 * ffn_width, width, bias=False)
        biases = (width,) if self.num_w2 == 1 else (num_experts, width)
        self.down_bias = nn.Parameter(torch.empty(biases)) if bias else None
        self.router = Router(width, num_experts, top_k, noise, bias) if num_experts > 1 else None

    def forward(self, x_TD: Tensor) -> tuple[Tensor, Routing | None]:
        routing = None if self.router is None else self.router(x_TD)
        gates_TE = None if routing is None else routing.gates_ET.t()
        add_experts = cpu_experts.mix if cpu.supports(x_TD) else mix
        return add_experts(x_TD, gates_TE, self.up, self.down, self.down_bias, self.ffn_width), routing


def mix(
    x_TD: Tensor, gates_TE: Tensor | None, up: nn.Linear, down: nn.Linear, down_bias: Tensor | None, ffn_width: int
) -> Tensor:
    """sum_e g_e (silu(x W_e) * (x V_e)) W2_e, (T, D); see `ExpertMixture` for `up` and `down`.

    gates_TE: router weights, or None for a single expert. down_bias: (D,), or (E, D) if every expert has its own W2.
    """
    num_experts, num_w2 = 1 if gates_TE is None else gates_TE.shape[1], down.in_features // ffn_width
    u = up(x_TD).view(x_TD.shape[0], -1, ffn_width)
    w_TEF, v_TVF = torch.split(u, [num_experts, u.shape[1] - num_experts], dim=1)
    hidden = F.silu(w_TEF) if gates_TE is None else F.silu(w_TEF) * gates_TE.to(u.dtype).unsqueeze(-1)
    if num_experts > v_TVF.shape[1] == num_w2:  # V and W2 are shared: sum over the experts first
        hidden = hidden.sum(1, keepdim=True)
    hidden = hidden * v_TVF
    if hidden.shape[1] > num_w2:
        hidden = hidden.sum(1, keepdim=True)
    y_TD: Tensor = down(hidden.flatten(1))
    if down_bias is None:
        return y_TD
    return y_TD + (down_bias if down_bias.ndim == 1 or gates_TE is None else gates_TE @ down_bias)


class Router(nn.Module):
    """Noisy top-k router: keeps `top_k` experts by `x W_gate + noise * softplus(x W_noise)` and weights them by the
    softmax over the kept experts (1701.06538, eqs. 3 to 5). Noise is drawn only in training.

    With top_k = 1 the weight of the kept expert is always 1, as in the paper: only the load loss trains the router.
    """

    def __init__(self, width: int, num_experts: int, top_k: int, noise: bool, bias: bool) -> None:
        super().__init__()
        self.num_experts, self.top_k, self.noise = num_experts, top_k, noise
        # Rows 0 to E-1 are W_gate, the others W_noise, which is absent without noise.
        self.scores = nn.Linear(width, num_experts * (2 if noise else 1), bias)

    def forward(self, x_TD: Tensor) -> Routing:
        if not (self.noise and self.training):
            gates_ET, kept_ET, _ = self._keep(self._scores(x_TD, self.num_experts))
            return Routing(gates_ET, kept_ET, None)
        clean_ET, noise_ET = self._scores(x_TD, 2 * self.num_experts).chunk(2)
        spread_ET = F.softplus(noise_ET)
        gates_ET, kept_ET, top = self._keep(torch.addcmul(clean_ET, torch.randn_like(clean_ET), spread_ET))
        if self.top_k == self.num_experts:
            return Routing(gates_ET, kept_ET, None)
        # An expert is kept if it exceeds the k-th largest of the *others*: the (k+1)-th of all if it is itself kept.
        rival_ET = torch.where(kept_ET, top[self.top_k], top[self.top_k - 1])
        return Routing(gates_ET, kept_ET, normal_cdf((clean_ET - rival_ET) / spread_ET))

    def _scores(self, x_TD: Tensor, rows: int) -> Tensor:
        """(rows, T): experts first, because a few experts are an inefficient innermost dimension.

        In float32 also under autocast: otherwise rounding would decide which experts are kept (2101.03961, 2.4).
        """
        weight, bias = self.scores.weight[:rows], None if self.scores.bias is None else self.scores.bias[:rows]
        with torch.autocast(x_TD.device.type, enabled=False):
            return F.linear(x_TD.to(weight.dtype), weight, bias).t().contiguous()

    def _keep(self, logits_ET: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, the kept experts, and the top_k + 1 (at most all) largest logits of each token."""
        top, index = logits_ET.topk(min(self.top_k + 1, self.num_experts), dim=0)
        kept_ET = torch.zeros_like(logits_ET, dtype=torch.bool).scatter(0, index[: self.top_k], True)
        return logits_ET.masked_fill(~kept_ET, -math.inf).softmax(0), kept_ET, top
