"""How long a trained model takes for one image on one thread of this machine's CPU."""

import time
from pathlib import Path

import torch

from study.vit.export.pretrained import load_folder

REPEATS = 50  # of one image


def latency_ms(folder: Path) -> float:
    """Milliseconds for one image: the least of `REPEATS`, since other work on the machine can only slow a model down.

    folder: a stored stage, as `load_folder` reads it. Raises StudyError where it holds no model.
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
