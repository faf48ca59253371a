"""The interface of the vision transformer to the harness, with torch: loads, exports and measures trained models."""

from study.vit.export.benchmark import export_and_measure
from study.vit.export.onnx import require_packages
from study.vit.export.pretrained import Model, load_folder
from study.vit.export.torch_latency import latency_ms

__all__ = ["Model", "export_and_measure", "latency_ms", "load_folder", "require_packages"]
