"""ONNX files give the same logits as PyTorch; a missing package is named."""

import sys
from pathlib import Path

import pytest
import torch
from helpers.model_samples import with_large_weights

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.export.onnx import export_onnx, latency_ms, quantize_onnx, run_onnx
from study.vit.models import Predictor

SMALL = settings.Encoder(image_size=6, width=12, depth=3, ffn_width_first=5, ffn_width_last=3)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = Predictor(SMALL, 4, {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]})
    return with_large_weights(model).float().eval()


def test_a_missing_package_is_named_with_the_command_to_install_it(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(StudyError, match=r"ONNX export requires onnxscript: python -m pip install"):
        export_onnx(predictor, tmp_path / "model.onnx")


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_onnxruntime_gives_the_same_logits(predictor: Predictor, tmp_path: Path, batch: int | None) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="an optional extra")
    path = tmp_path / "model.onnx"
    export_onnx(predictor, path, batch)
    for size in (1, 3, 8) if batch is None else (batch,):
        images = torch.rand(size, 3, 6, 6)
        torch.testing.assert_close(run_onnx(path, images), predictor(images), rtol=1e-4, atol=1e-5)
    assert path.stat().st_size < 4 * sum(p.numel() for p in predictor.parameters()) + 60_000  # no metadata
    if batch != 3:
        assert latency_ms(path, runs=3) > 0


def test_logits_with_int8_weights_correlate_with_those_in_float32(predictor: Predictor, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="an optional extra")
    export_onnx(predictor, tmp_path / "model.onnx")
    quantize_onnx(tmp_path / "model.onnx", tmp_path / "int8.onnx")
    images = torch.rand(64, 3, 6, 6)
    expected, found = predictor(images), run_onnx(tmp_path / "int8.onnx", images)
    assert torch.corrcoef(torch.stack((expected.flatten(), found.flatten())))[0, 1] > 0.9
