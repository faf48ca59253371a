"""The baseline model of the benchmarks computes the same as this project's model."""

import pytest
import torch
from per_expert import PerExpertClassifier

from study.vit import settings
from study.vit.models import Classifier, build_encoder


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_the_contender_is_the_same_model(monkeypatch: pytest.MonkeyPatch, training: bool, top_k: int) -> None:
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.full_like(x, 0.3))  # each model draws in another order
    torch.manual_seed(0)
    encoder = settings.Encoder(image_size=6, width=12, depth=3, ffn_width_first=5, ffn_width_last=3, top_k=top_k)
    ours = Classifier(build_encoder(encoder), 4).double()
    for parameter in ours.parameters():
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64) * 0.7
    theirs = PerExpertClassifier(ours).train(training)
    images = torch.randn(3, 3, 6, 6, dtype=torch.float64)
    expected, found = ours.train(training)(images), theirs(images)
    torch.testing.assert_close(found.logits_BC, expected.logits_BC)
    torch.testing.assert_close(found.balance_loss, expected.balance_loss, check_dtype=False)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
