"""Mixture of SwiGLU experts that may share V and W2 (Tan 2407.17783), with noisy top-k routing (Shazeer et al.
1701.06538).

An expert e maps a token x to `(silu(x W_e) * (x V_e)) W2_e`; the layer adds its experts weighted by the router.
Every expert is computed for every token: with the router's weights g (zero for experts not kept),
`sum_e g_e * (silu(x W_e) * (x V)) W2 = ((sum_e g_e * silu(x W_e)) * (x V)) W2`, so that nothing is gathered or
scattered, and what is shared is computed once per token.

Shapes: T tokens of the whole batch, D embedding width, E experts, F FFN width, V number of V projections (1 or E).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.models.balance import Routing, normal_cdf
from study.models.linear import Linear, affine

ALIGNED = 16  # columns: GEMMs whose rows start on 64-byte borders take down to 0.6 of the time at widths such as 305

Shared = Literal["both", "v", "w2", "none"]


class ExpertMixture(nn.Module):
    """The feed-forward layer: E experts and a router, or, with E = 1, a single dense SwiGLU without a router."""

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
        # Columns: W of each expert, then V (of each expert). One map, because all of them read the same tokens.
        self.up = Linear(width, (num_experts + self.num_v) * ffn_width, bias)
        self.down = Linear(self.num_w2 * ffn_width, width, bias and self.num_w2 == 1)
        self.down_bias = nn.Parameter(torch.empty(num_experts, width)) if bias and self.num_w2 > 1 else None
        self.router = Router(width, num_experts, top_k, noise, bias) if num_experts > 1 else None

    def forward(self, x_TD: Tensor) -> tuple[Tensor, Routing | None]:
        w_TEF, v_TVF = self._up(x_TD)
        hidden = F.silu(w_TEF)
        if self.router is None:
            return self.down((hidden * v_TVF).flatten(1)), None
        routing = self.router(x_TD)
        gates_TE = routing.gates_ET.t().to(hidden.dtype)
        hidden = hidden * gates_TE.unsqueeze(-1)
        if self.num_v > 1:
            hidden = hidden * v_TVF
        if self.num_w2 == 1:
            hidden = hidden.sum(1, keepdim=True)
        if self.num_v == 1:
            hidden = hidden * v_TVF
        y_TD = self.down(hidden.flatten(1))
        return (y_TD if self.down_bias is None else y_TD + gates_TE @ self.down_bias), routing

    def _up(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        """x W of every expert (T, E, F) and x V (T, V, F)."""
        own, rest = self.num_experts * self.ffn_width, self.num_v * self.ffn_width
        padding = -(own + rest) % ALIGNED
        bias = self.up.bias if self.up.bias is None else _widen(self.up.bias, padding)
        u_TX = affine(x_TD, _widen(self.up.weight, padding), bias)
        w, v, _ = torch.split(u_TX, [own, rest, padding], dim=1)
        return w.view(-1, self.num_experts, self.ffn_width), v.view(-1, self.num_v, self.ffn_width)


def _widen(parameter: Tensor, padding: int) -> Tensor:
    """`padding` more columns of zeros."""
    return F.pad(parameter, (0, padding)) if padding else parameter


class Router(nn.Module):
    """Noisy top-k router: keeps `top_k` experts by `x W_gate + noise * softplus(x W_noise)` and weighs them by the
    softmax over those kept (1701.06538, eqs. 3 to 5). Noise is drawn only in training.

    With top_k = 1 the weight of the expert kept is always 1, as in the paper: only the load loss trains the router.
    """

    def __init__(self, width: int, num_experts: int, top_k: int, noise: bool, bias: bool) -> None:
        super().__init__()
        self.num_experts, self.top_k, self.noise = num_experts, top_k, noise
        # Columns 0 to E-1 are W_gate, the others W_noise, which is absent where there is no noise to scale.
        self.scores = Linear(width, num_experts * (2 if noise else 1), bias)

    def forward(self, x_TD: Tensor) -> Routing:
        if not (self.noise and self.training):
            gates_ET, kept_ET, _ = self._keep(self._scores(x_TD, self.num_experts))
            return Routing(gates_ET, kept_ET, None)
        clean_ET, noise_ET = self._scores(x_TD, 2 * self.num_experts).chunk(2)
        spread_ET = F.softplus(noise_ET)
        gates_ET, kept_ET, top = self._keep(torch.addcmul(clean_ET, torch.randn_like(clean_ET), spread_ET))
        if self.top_k == self.num_experts:
            return Routing(gates_ET, kept_ET, None)
        # An expert is kept when it beats the k-th largest of the *others*: the (k+1)-th of all if it is itself kept.
        rival_ET = torch.where(kept_ET, top[self.top_k], top[self.top_k - 1])
        return Routing(gates_ET, kept_ET, normal_cdf((clean_ET - rival_ET) / spread_ET))

    def _scores(self, x_TD: Tensor, columns: int) -> Tensor:
        """(columns, T): experts first, because a handful of experts is a bad innermost dimension; at least float32."""
        weight, bias = self.scores.weight[:, :columns].t(), self.scores.bias
        scores = weight @ x_TD.t() if bias is None else torch.addmm(bias[:columns, None], weight, x_TD.t())
        return scores.to(torch.promote_types(scores.dtype, torch.float32))

    def _keep(self, logits_ET: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, which experts are kept, and the top_k + 1 (or all) largest logits of each token."""
        top, index = logits_ET.topk(min(self.top_k + 1, self.num_experts), dim=0)
        kept_ET = torch.zeros_like(logits_ET, dtype=torch.bool).scatter(0, index[: self.top_k], True)
        return logits_ET.masked_fill(~kept_ET, -math.inf).softmax(0), kept_ET, top
