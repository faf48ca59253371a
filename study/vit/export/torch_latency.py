"""Latency of a trained model in PyTorch: one image on one CPU thread."""

import time
from pathlib import Path

import torch

from study.vit.export.pretrained import load_folder

REPEATS = 50  # inferences of one image


def latency_ms(folder: Path) -> float:
    """Milliseconds for one image: the minimum of `REPEATS` inferences, since other load can only slow them down.

    folder: a stored stage (see `load_folder`). Raises StudyError if it contains no model.
    """
    model = load_folder(folder)
    shape = model.encoder_config
    image = torch.zeros(1, shape.channels, shape.image_size, shape.image_size, dtype=torch.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return 1000 * min(_seconds(model, image) for _ in range(REPEATS))
    finally:
        torch.set_num_threads(threads)


def _seconds(model: torch.nn.Module, image: torch.Tensor) -> float:
    began = time.perf_counter()
    model(image)
    return time.perf_counter() - began
