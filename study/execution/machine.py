"""The machine that computes a stage, as its provenance describes it."""

import os
import re
import socket
from typing import Any

import torch

from study.utils.provenance import processor


def machine(device: str) -> dict[str, Any]:
    """What may change a result, and where it was computed. `device` is `cpu` or `cuda`.

    host            name of the machine
    device          model name, such as `AMD EPYC` or `NVIDIA H100`
    gpu             index on its machine and UUID, such as `3 GPU-5fc0b2…`; empty on a CPU
    instruction_set the widest that PyTorch uses on this processor, such as `AVX2`
    blas            library of its matrix products on a CPU, such as `mkl`
    threads         of one operation
    """
    return {
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "gpu": _gpu() if device == "cuda" else "",
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "blas": blas(torch.__config__.show()),
        "threads": torch.get_num_threads(),
    }


def blas(build: str) -> str:
    """The BLAS in PyTorch's description of its build; empty if it has none."""
    found = re.search(r"BLAS_INFO=(\w+)", build)
    return found.group(1) if found else ""


def _gpu() -> str:
    """The current GPU. Ray shows a worker only its own, which then have other indices than on the machine."""
    current = torch.cuda.current_device()
    visible = [index for index in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if index]
    index = visible[current] if current < len(visible) else str(current)
    return f"{index} GPU-{torch.cuda.get_device_properties(current).uuid}"
