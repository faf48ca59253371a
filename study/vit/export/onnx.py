"""Export to ONNX for edge devices, int8 weight quantization, and latency with ONNX Runtime.

Requires the optional packages onnx, onnxruntime and onnxscript.
"""

import contextlib
import importlib
import logging
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from study.utils.errors import StudyError
from study.vit.models.predictor import Predictor

WARMUP = 3  # inferences before the timed ones


def require_packages() -> None:
    """Raise StudyError if a package is not installed."""
    for module in ("onnx", "onnxscript", "onnxruntime"):
        _require(module)


def export_onnx(predictor: Predictor, path: str | Path, batch: int | None = None) -> None:
    """Export `predictor`: input `images` (B, C, H, W), float32 from 0 to 1; output `logits` (B, classes).

    batch: fixed batch size; None: dynamic. Raises StudyError if a package is not installed.
    """
    _require("onnxscript")
    shape = predictor.encoder_config
    # Two example images: with one, tracing specializes the batch size to 1.
    images = torch.rand(batch or 2, shape.channels, shape.image_size, shape.image_size)
    dynamic_batch = None if batch else ({0: torch.export.Dim("batch")},)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            predictor.eval(),
            (images,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=dynamic_batch,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise StudyError("PyTorch did not export the model to ONNX")
    for node in program.model.graph:
        node.metadata_props.clear()  # source locations: half the file size of a small model
    program.save(str(path))


def quantize_onnx(path: str | Path, to: str | Path) -> None:
    """Write a copy of an ONNX file with int8 weights and dynamically quantized activations.

    Raises StudyError if onnxruntime is not installed.
    """
    quantization = _require("onnxruntime.quantization")
    with _quiet():
        quantization.quantize_dynamic(Path(path), Path(to), weight_type=quantization.QuantType.QInt8)


def run_onnx(path: str | Path, images: torch.Tensor) -> torch.Tensor:
    """The logits (B, classes) of an ONNX file for `images`, on the CPU.

    Raises StudyError if onnxruntime is not installed.
    """
    return torch.from_numpy(_session(path, threads=0).run(None, {"images": images.numpy()})[0])


def latency_ms(path: str | Path, runs: int = 50) -> float:
    """Median milliseconds of an ONNX file for one image on one thread.

    Raises StudyError if onnxruntime is not installed.
    """
    session = _session(path, threads=1)
    shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
    images = torch.rand(1, *shape[1:]).numpy()
    seconds = []
    for _ in range(WARMUP + runs):
        start = time.perf_counter()
        session.run(None, {"images": images})
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARMUP:]) * 1000


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporters' warnings: they concern their own implementation."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _session(path: str | Path, threads: int) -> Any:
    runtime = _require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads  # 0: one per core
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _require(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise StudyError(
            f"ONNX export requires {package}: python -m pip install onnx onnxruntime onnxscript, "
            'or the extra: python -m pip install "lightweight-vit-study[onnx]"'
        ) from error
