"""Mixture of SwiGLU experts that may share V and W2 (Tan 2407.17783), with noisy top-k routing (Shazeer et al.
1701.06538).

An expert e maps a token x to `(silu(x W_e) * (x V_e)) W2_e`; the layer adds its experts weighted by the router.
Every expert is computed for every token: with the router's weights g (zero for experts not kept),
`sum_e g_e * (silu(x W_e) * (x V)) W2 = ((sum_e g_e * silu(x W_e)) * (x V)) W2`, so that nothing is gathered or
scattered, and what is shared is computed once per token.

Shapes: T tokens of the whole batch, D embedding width, E experts, F FFN width.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.models.balance import Routing, normal_cdf

Shared = Literal["both", "v", "w2", "none"]


class Router(nn.Module):
    """Noisy top-k router: keeps `top_k` experts by `x W_gate + noise * softplus(x W_noise)` and weighs them by the
    softmax over those kept (1701.06538, eqs. 3 to 5). Noise is drawn only in training.

    With top_k = 1 the weight of the expert kept is always 1, as in the paper: only the load loss trains the router.
    """

    def __init__(self, width: int, num_experts: int, top_k: int, noise: bool, bias: bool) -> None:
        super().__init__()
        self.num_experts, self.top_k, self.noise = num_experts, top_k, noise
        # Rows 0 to E-1 are W_gate; rows E to 2E-1 are W_noise, absent where there is no noise to scale.
        self.scores = nn.Linear(width, num_experts * (2 if noise else 1), bias)

    def forward(self, x_TD: Tensor) -> Routing:
        scores = self.scores(x_TD).float() if x_TD.dtype != torch.float64 else self.scores(x_TD)
        clean_TE = scores[:, : self.num_experts]
        if not (self.noise and self.training):
            gates_TE, kept_TE, _ = self._keep(clean_TE)
            return Routing(gates_TE, kept_TE, None)
        spread_TE = F.softplus(scores[:, self.num_experts :])
        noisy_TE = clean_TE + torch.randn_like(clean_TE) * spread_TE
        gates_TE, kept_TE, top = self._keep(noisy_TE)
        if self.top_k == self.num_experts:
            return Routing(gates_TE, kept_TE, torch.ones_like(gates_TE))
        # An expert is kept when it beats the k-th largest of the *others*: the (k+1)-th of all if it is itself kept.
        rival_TE = torch.where(kept_TE, top[:, self.top_k :], top[:, self.top_k - 1 : self.top_k])
        return Routing(gates_TE, kept_TE, normal_cdf((clean_TE - rival_TE) / spread_TE))

    def _keep(self, logits_TE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        top, index = logits_TE.topk(min(self.top_k + 1, self.num_experts), dim=-1)
        kept_TE = torch.zeros_like(logits_TE, dtype=torch.bool).scatter(1, index[:, : self.top_k], True)
        return logits_TE.masked_fill(~kept_TE, -math.inf).softmax(-1), kept_TE, top


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
        # Rows: W of each expert, then V (of each expert). One map, because all of them read the same tokens.
        self.w_and_v = nn.Linear(width, (num_experts + self.num_v) * ffn_width, bias)
        self.w2 = nn.Linear(self.num_w2 * ffn_width, width, bias and self.num_w2 == 1)
        self.w2_bias = nn.Parameter(torch.zeros(num_experts, width)) if bias and self.num_w2 > 1 else None
        self.router = Router(width, num_experts, top_k, noise, bias) if num_experts > 1 else None

    def forward(self, x_TD: Tensor) -> tuple[Tensor, Routing | None]:
        experts = self.num_experts
        w_TEF, v_TVF = self.w_and_v(x_TD).unflatten(-1, (-1, self.ffn_width)).split((experts, self.num_v), dim=1)
        if self.router is None:
            return self.w2((F.silu(w_TEF) * v_TVF).flatten(1)), None
        routing = self.router(x_TD)
        gates_TE = routing.gates_TE.to(w_TEF.dtype)
        hidden_TEF = F.silu(w_TEF) * gates_TE.unsqueeze(-1)
        if self.num_v > 1:
            hidden_TEF = hidden_TEF * v_TVF
        if self.num_w2 == 1:
            hidden_TEF = hidden_TEF.sum(1, keepdim=True)
        if self.num_v == 1:
            hidden_TEF = hidden_TEF * v_TVF
        y_TD = self.w2(hidden_TEF.flatten(1))
        return (y_TD if self.w2_bias is None else y_TD + gates_TE @ self.w2_bias), routing
