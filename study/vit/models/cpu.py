"""When the CPU implementations of attention and experts are used (cpu_attention.py, cpu_experts.py)."""

import torch
from torch import Tensor


def supports(x: Tensor) -> bool:
    """Whether x is on a CPU, in eager mode and full precision. torch.compile generates faster code by itself."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
