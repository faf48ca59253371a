"""AdamW (Loshchilov and Hutter, arXiv 1711.05101)."""

from typing import Any

import torch

SECOND_BETA = {True: 0.95, False: 0.999}  # in pre-training as in He et al. 2111.06377, table 8; else PyTorch's default


def build(groups: list[dict[str, Any]], pretraining: bool) -> torch.optim.Optimizer:
    """The optimizer of these parameter groups; the learning rate is set at each step."""
    return torch.optim.AdamW(groups, betas=(0.9, SECOND_BETA[pretraining]), fused=True)
