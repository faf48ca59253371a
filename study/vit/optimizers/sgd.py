"""Stochastic gradient descent with Nesterov momentum (Sutskever et al. 2013); weight decay is an L2 penalty."""

from typing import Any

import torch

MOMENTUM = 0.9


def build(groups: list[dict[str, Any]], pretraining: bool) -> torch.optim.Optimizer:
    """The optimizer of these parameter groups; the learning rate is set at each step."""
    return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True, fused=True)
