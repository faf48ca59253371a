"""Exports a trained model to ONNX in float32 and with int8 weights; measures size, latency and accuracy of both."""

from pathlib import Path

import torch

from study.vit.data import Split
from study.vit.export import onnx
from study.vit.export.form import Form
from study.vit.export.pretrained import load_folder
from study.vit.settings import Finetune
from study.vit.stages import StageSettings
from study.vit.training.batches import prepare

RUNS = 200  # inferences of one image; the latency is their median
BATCH = 256  # images per inference on validation data


def export_and_measure(stage: StageSettings, folder: Path, fp32: Path, int8: Path) -> tuple[Form, Form]:
    """Write both ONNX files of the fine-tuned model in `folder`, and measure them on the validation images.

    Raises StudyError if a package, the model or the data are not found.
    """
    assert isinstance(stage.recipe, Finetune), "the last stage of a trial is fine-tuning"
    onnx.export_onnx(load_folder(folder), fp32)
    onnx.quantize_onnx(fp32, int8)
    images = prepare(stage.recipe, stage.encoder, torch.device("cpu"), stage.resampling).validation
    return _measure(fp32, images), _measure(int8, images)


def _measure(path: Path, images: Split) -> Form:
    return Form(path.stat().st_size, onnx.latency_ms(path, RUNS), _accuracy(path, images))


def _accuracy(path: Path, images: Split) -> float:
    """Top-1 accuracy of an ONNX file on a labelled split, from 0 to 1."""
    assert images.labels is not None, "fine-tuning has labels"
    logits = [onnx.run_onnx(path, part / 255) for part in torch.split(images.images, BATCH)]
    return float((torch.cat(logits).argmax(1) == images.labels).double().mean())
