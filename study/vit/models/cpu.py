"""Where the hand-written CPU forms of attention and experts apply (cpu_attention.py, cpu_experts.py)."""

import torch
from torch import Tensor


def suits(x: Tensor) -> bool:
    """Whether x is worked on by a CPU, eagerly and in full precision; torch.compile writes better code of its own."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
