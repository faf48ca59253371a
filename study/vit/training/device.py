"""Device, precision, compilation and peak memory of a stage."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit import settings

COMPILED_STEPS = 5_000


def chosen(name: str) -> torch.device:
    """The device of that name; GPUs with their index. Raises StudyError for an unknown or missing device."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise StudyError(f"unknown device {name!r}: must be cpu, cuda or cuda:N") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise StudyError(f"unsupported device {name!r}: must be cpu, cuda or cuda:N")
    have = torch.cuda.device_count()
    index = (torch.cuda.current_device() if have else 0) if device.index is None else device.index
    if index >= have:
        raise StudyError(f"device {name!r} not found: torch detects {plural(have, 'GPU')}; use cpu, or fewer GPUs")
    return torch.device("cuda", index)


def precise(recipe: settings.Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 if `precision` is bfloat16, or if it is auto and the device is a GPU that supports it."""
    if recipe.precision == "auto":
        bfloat16 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        bfloat16 = recipe.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def compiled(module: nn.Module, recipe: settings.Recipe, steps: int, device: torch.device) -> Callable[..., Any]:
    """The module, compiled if `compile` is on, or if it is auto on a GPU and the stage has 5,000 steps or more.

    Compilation takes a minute or more, which does not pay off in short stages. torch.compile requires a C++ compiler on
    every device: without one, `on` raises StudyError and `auto` does not compile.
    """
    automatic = recipe.compile == "auto" and device.type == "cuda" and steps >= COMPILED_STEPS and _has_compiler()
    if recipe.compile == "on" and not _has_compiler():
        raise StudyError("compile: on requires a C++ compiler, none found (g++, clang++ or $CXX); set compile: off")
    return torch.compile(module, dynamic=False) if automatic or recipe.compile == "on" else module


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++"))


def reset_peak(device: torch.device) -> None:
    """Reset the peak that `peak_memory` returns."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, float]:
    """`peak_memory_mb`, the maximum memory of tensors on a GPU since `reset_peak`. Empty for a CPU, where only the peak
    of the whole process since its start is known."""
    if device.type != "cuda":
        return {}
    return {"peak_memory_mb": torch.cuda.max_memory_allocated(device) / 2**20}
