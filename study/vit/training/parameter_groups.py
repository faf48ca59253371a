"""Groups of parameters that share a weight decay and a factor of the learning rate."""

from collections import defaultdict
from dataclasses import dataclass

from torch import nn

from study.vit.models import layer_of, no_decay


@dataclass(frozen=True)
class Group:
    """Parameters that share a weight decay and a factor of the learning rate."""

    parameters: tuple[nn.Parameter, ...]
    weight_decay: float
    rate_factor: float


def parameter_groups(model: nn.Module, weight_decay: float, layer_decay: float = 1.0, depth: int = 0) -> list[Group]:
    """A model's parameters, grouped. Matrices decay; biases, norms, positions and free tokens do not.

    The rate factor is `layer_decay` once for every layer above: 1 for the head and the last norm, `layer_decay` for
    the last of `depth` blocks, and so on down to layer_decay^(depth+1) for the embedding (Clark et al. 2003.10555).
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        decay = 0.0 if no_decay(name, parameter) else weight_decay
        factor = layer_decay ** (depth + 1 - layer_of(name, depth)) if layer_decay < 1 else 1.0
        groups[decay, factor].append(parameter)
    return [Group(tuple(members), *shared) for shared, members in groups.items()]
