"""Which parameters decay, and how the learning rate falls from layer to layer."""

from helpers.training_samples import small_classifier
from torch import nn

from study.vit.training.parameter_groups import Group, parameter_groups


def factors(model: nn.Module, groups: list[Group]) -> dict[str, tuple[float, float]]:
    """Weight decay and rate factor of each parameter by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: (group.weight_decay, group.rate_factor) for group in groups for p in group.parameters}


def test_matrices_decay_and_the_rest_does_not() -> None:
    model = small_classifier()
    found = factors(model, parameter_groups(model, 0.3))
    assert found.keys() == dict(model.named_parameters()).keys()
    assert found["head.weight"] == found["encoder.blocks.0.attention.qkv.weight"] == (0.3, 1.0)
    for name in ("head.bias", "encoder.norm.weight", "encoder.positions", "encoder.class_token"):
        assert found[name] == (0.0, 1.0)


def test_each_layer_learns_at_a_share_of_the_rate_of_the_one_above() -> None:
    model = small_classifier()
    found = factors(model, parameter_groups(model, 0.3, layer_decay=0.5, depth=2))
    assert found["head.weight"][1] == found["encoder.norm.weight"][1] == 1.0
    assert found["encoder.blocks.1.attention.out.weight"][1] == 0.5
    assert found["encoder.blocks.0.experts_norm.weight"][1] == 0.25
    assert found["encoder.patch_embedding.weight"][1] == found["encoder.positions"][1] == 0.125
