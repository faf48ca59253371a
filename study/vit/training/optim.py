"""AdamW over a few flat vectors, its parameter groups, and the learning rate of every step."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from study.vit.models import layer_of, no_decay

ALIGNMENT = 16  # float32 values: each parameter starts on a cache line of its own, as if it were allocated alone


def learning_rates(peak: float, steps: int, warmup_steps: int) -> list[float]:
    """The learning rate of each of `steps` steps: linear warm-up to `peak`, then a cosine to zero.

    Step s (from 0) of w warm-up steps has peak * (s+1)/w; a later one peak * (1 + cos(pi (s-w)/(steps-w))) / 2, so
    that zero would be reached by the step after the last.
    """
    warmup = [peak * (step + 1) / warmup_steps for step in range(warmup_steps)]
    left = steps - warmup_steps
    return warmup + [peak * (1 + math.cos(math.pi * step / left)) / 2 for step in range(left)]


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


class FlatAdamW:
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101) with each group's parameters laid into one flat vector.

    A small encoder has hundreds of small parameters, and an optimiser that visits them one by one takes longer than
    the arithmetic. Here the parameters become views of one vector per group, gradients are gathered by one call,
    and the norm, the clipping and the update are a few kernels on whole vectors. Nothing waits for the device.
    """

    def __init__(self, groups: list[Group], clip_norm: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        """Moves the parameters' storage; `clip_norm` bounds the norm of the whole gradient, 0 does not."""
        self.clip_norm = clip_norm
        self.parameters = [parameter for group in groups for parameter in group.parameters]
        self.vectors = [_flatten(group.parameters) for group in groups]
        self.gradients = [torch.zeros_like(vector) for vector in self.vectors]
        self._gradient_views = [
            view
            for group, gradient in zip(groups, self.gradients, strict=True)
            for view in _views(gradient, group.parameters)
        ]
        for vector, gradient in zip(self.vectors, self.gradients, strict=True):
            vector.grad = gradient
        self.rate_factors = [group.rate_factor for group in groups]
        self.adamw = torch.optim.AdamW(
            [
                {"params": [vector], "weight_decay": group.weight_decay}
                for vector, group in zip(self.vectors, groups, strict=True)
            ],
            betas=betas,
            fused=True,
        )

    def descend(self, loss: Tensor, learning_rate: float) -> None:
        """One step down the gradient of `loss`, a scalar; a parameter that it does not depend on has gradient zero."""
        torch._foreach_copy_(self._gradient_views, self._gradients_of(loss))
        self._step(learning_rate)

    def descend_in_parts(self, losses: Iterable[Tensor], learning_rate: float) -> None:
        """One step down the gradient of the sum of `losses`, scalars of which one graph is held at a time."""
        for gradient in self.gradients:
            gradient.zero_()
        for loss in losses:
            torch._foreach_add_(self._gradient_views, self._gradients_of(loss))
        self._step(learning_rate)

    def state(self) -> dict[str, Tensor]:
        """The moments and the number of steps of each vector, by name; weights are the model's own."""
        return {
            f"{vector}.{name}": value
            for vector, values in self.adamw.state_dict()["state"].items()
            for name, value in values.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        values: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for place, value in state.items():
            vector, _, name = place.partition(".")
            values[int(vector)][name] = value
        self.adamw.load_state_dict(self.adamw.state_dict() | {"state": dict(values)})

    def _gradients_of(self, loss: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss, self.parameters, materialize_grads=True)

    def _step(self, learning_rate: float) -> None:
        if self.clip_norm:
            self._clip()
        for group, factor in zip(self.adamw.param_groups, self.rate_factors, strict=True):
            group["lr"] = learning_rate * factor
        self.adamw.step()

    def _clip(self) -> None:
        norms = torch._foreach_norm(self.gradients)
        norm = torch.linalg.vector_norm(torch.stack(norms))
        torch._foreach_mul_(self.gradients, (self.clip_norm / (norm + 1e-6)).clamp_(max=1.0))


def _starts(parameters: Iterable[nn.Parameter]) -> tuple[list[int], int]:
    """Where each parameter starts in the flat vector, and the vector's length."""
    starts, end = [], 0
    for parameter in parameters:
        starts.append(end)
        end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
    return starts, end


def _views(vector: Tensor, parameters: tuple[nn.Parameter, ...]) -> list[Tensor]:
    starts, _ = _starts(parameters)
    return [
        vector[start : start + parameter.numel()].view(parameter.shape)
        for start, parameter in zip(starts, parameters, strict=True)
    ]


@torch.no_grad()
def _flatten(parameters: tuple[nn.Parameter, ...]) -> Tensor:
    """A vector of the parameters' values, of which they are views from now on."""
    vector = parameters[0].new_zeros(_starts(parameters)[1])
    for parameter, view in zip(parameters, _views(vector, parameters), strict=True):
        view.copy_(parameter)
        parameter.data = view
    return vector
