"""A claim against a number near 100 %, from a real run with Ray and adaptive replicates to its verdict."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import recompute
from helpers.data_samples import save_images
from PIL import Image

GRID = """\
study: ceiling
question: Is the accuracy above a published number?
baseline:
  encoder: {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,
            experts_by_depth: [1], top_k: 1, ffn_width_first: 16, ffn_width_last: 16}
  finetune: {dataset: 'imagefolder:squares', epochs: 6, batch_size: 20, learning_rate: 1e-2}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1]}
claims:
  - {claim: one head is above 90 %, kind: greater, cells: {kv heads: 1}, against: 90 %}
  - {claim: one head is exactly as good, kind: equivalent, cells: {kv heads: 1}, margin: 1e-7}
replicates: {min: 3, max: 4, until: claims}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """1,600 images of dark and light squares: an easy task, so that almost all test images are right."""
    rng, labels = np.random.default_rng(0), np.arange(1600) % 2
    images = []
    for label in labels:
        pixels = rng.normal(90 + 80 * label, 20, (8, 8)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(file := io.BytesIO(), "png")
        images.append(file.getvalue())
    save_images(tmp_path / "squares", images, labels.tolist())
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path


@pytest.mark.slow
def test_it_is_decided_at_the_first_look_and_the_other_claim_goes_on(place: Path) -> None:
    made = study(place, "run", "grid.yaml")
    assert made.returncode == 0, made.stdout + made.stderr
    report = place / "reports" / "ceiling"
    claims = pd.read_csv(report / "claims.csv")
    trials = pd.read_csv(report / "results.csv")
    own = trials[(trials["cell"] == "kv heads=1") & (trials["replicate"] <= 3)]["test_accuracy"]
    assert own.mean() > 0.97
    first, second = claims.to_dict("records")
    assert (first["verdict"], first["looked"], first["error"]) == ("supported", 3, "replicates and images")
    assert (second["verdict"], second["looked"], second["error"]) == ("undecided", 4, "paired")
    assert len(trials) == 8
    assert [str(one) for one in recompute.check(report)[0] if one.expected.file == "claims.csv"] == []
    assert "over replicates and common test images" in study(place, "plan", "grid.yaml").stdout


def study(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "study", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"COLUMNS": "300"},
    )
