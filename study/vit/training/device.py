"""How a stage computes on a device: which one, how precisely, compiled or not, and how much memory it took."""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from study.utils.errors import StudyError
from study.vit import settings

COMPILED_STEPS = 5_000


def chosen(name: str) -> torch.device:
    """The device of that name, a GPU by its number. Raises StudyError if it is not to be had."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise StudyError(f"device {name!r} is unknown; devices are cpu, cuda and cuda:N") from None
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise StudyError(f"device {name!r} is not supported; devices are cpu, cuda and cuda:N")
    have = torch.cuda.device_count()
    index = (torch.cuda.current_device() if have else 0) if device.index is None else device.index
    if index >= have:
        raise StudyError(f"device {name!r} is not to be had: torch sees {have} GPUs here; use cpu, or fewer GPUs")
    return torch.device("cuda", index)


def precise(recipe: settings.Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 where `precision` asks for it; `auto` does on GPUs that have it."""
    if recipe.precision == "auto":
        bfloat16 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        bfloat16 = recipe.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def compiled(module: nn.Module, recipe: settings.Recipe, steps: int, device: torch.device) -> Callable[..., Any]:
    """The module, compiled where `compile` asks for it; `auto` does on GPUs for stages of 5,000 steps or more.

    Compiling takes a minute or more, which short stages never earn back. Raises StudyError where compiling is asked
    for and there is no C++ compiler, which torch.compile needs on every device; `auto` goes on without.
    """
    automatic = recipe.compile == "auto" and device.type == "cuda" and steps >= COMPILED_STEPS and _has_compiler()
    if recipe.compile == "on" and not _has_compiler():
        raise StudyError("compile: on needs a C++ compiler, and none is found (g++, clang++ or $CXX); set compile: off")
    return torch.compile(module, dynamic=False) if automatic or recipe.compile == "on" else module


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++"))


def forget_peak(device: torch.device) -> None:
    """From now on `peak_memory` counts afresh."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, float]:
    """`peak_memory_mb`, the most that tensors took on a GPU since `forget_peak`; nothing for a CPU, where only the
    whole process has a peak, and that since it began."""
    if device.type != "cuda":
        return {}
    return {"peak_memory_mb": torch.cuda.max_memory_allocated(device) / 2**20}
