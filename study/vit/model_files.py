"""Trained models: what the harness uses of the vision transformer, with torch, to load, export and measure them."""

from study.vit.export.benchmark import export_and_measure
from study.vit.export.onnx import require_packages
from study.vit.export.pretrained import Model, load_folder
from study.vit.export.torch_latency import latency_ms

__all__ = ["Model", "export_and_measure", "latency_ms", "load_folder", "require_packages"]
