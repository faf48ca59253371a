"""Models for edge devices: ONNX files, in float32 or with int8 weights, their size and their latency.

Needs the packages onnx, onnxruntime and onnxscript, which the study itself does without.
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


def require_packages() -> None:
    """Raise StudyError unless all packages are there."""
    for module in ("onnx", "onnxscript", "onnxruntime"):
        _need(module)


def export_onnx(predictor: Predictor, path: str | Path, batch: int | None = None) -> None:
    """Write `predictor` as ONNX: input `images` (float32 shares of full brightness), output `logits`.

    `batch` fixes the number of images; None leaves it open. Raises StudyError where a package is missing.
    """
    _need("onnxscript")
    shape = predictor.encoder_config
    # An example of two images: with one, tracing takes the batch for a constant.
    images = torch.rand(batch or 2, shape.channels, shape.image_size, shape.image_size)
    open_batch = None if batch else ({0: torch.export.Dim("batch")},)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            predictor.eval(),
            (images,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=open_batch,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise StudyError("PyTorch did not export the model to ONNX")
    for node in program.model.graph:
        node.metadata_props.clear()  # where in Python each came from: half the file of a small model
    program.save(str(path))


def quantize_onnx(path: str | Path, to: str | Path) -> None:
    """Write the ONNX file at `path` with int8 weights; activations are quantised as they come. Raises StudyError."""
    quantization = _need("onnxruntime.quantization")
    with _quiet():
        quantization.quantize_dynamic(Path(path), Path(to), weight_type=quantization.QuantType.QInt8)


def run_onnx(path: str | Path, images: torch.Tensor) -> torch.Tensor:
    """The logits an ONNX file gives for `images`, on the CPU. Raises StudyError where onnxruntime is missing."""
    return torch.from_numpy(_session(path, threads=0).run(None, {"images": images.numpy()})[0])


def latency_ms(path: str | Path, runs: int = 50) -> float:
    """Median milliseconds of an ONNX file for one image on one thread.

    Raises StudyError where onnxruntime is missing.
    """
    session = _session(path, threads=1)
    shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
    images = torch.rand(1, *shape[1:]).numpy()
    seconds = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        session.run(None, {"images": images})
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[3:]) * 1000  # the first three warm up


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' warnings, which are about their own making."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _session(path: str | Path, threads: int) -> Any:
    runtime = _need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads  # 0: as many as there are cores
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _need(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise StudyError(
            f"ONNX export needs {package}: python -m pip install onnx onnxruntime onnxscript, "
            'or the extra: python -m pip install "lightweight-vit-study[onnx]"'
        ) from error
