"""An optimizer over a few flat vectors instead of hundreds of small parameters."""

import copy
import pkgutil
from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from study.vit.optimizers import TABLE
from study.vit.training.parameter_groups import Group

ALIGNMENT = 16  # float32 values: each parameter starts on its own cache line, as if it were allocated alone


class FlatOptimizer:
    """An optimizer from the table, with each group's parameters stored in one flat vector.

    A small encoder has hundreds of small parameters, and updating them one by one takes longer than the arithmetic.
    Here the parameters are views of one vector per group, gradients are gathered by one call, and the norm, the
    clipping and the update are a few kernels on whole vectors. Nothing waits for the device.
    """

    def __init__(self, name: str, groups: list[Group], clip_norm: float, pretraining: bool = False) -> None:
        """Moves the parameters' storage. `name`: see `study.vit.optimizers`. `clip_norm` is the largest norm of the
        whole gradient; 0 does not clip."""
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
        flat_groups = [
            {"params": [vector], "weight_decay": group.weight_decay}
            for vector, group in zip(self.vectors, groups, strict=True)
        ]
        self.optimizer: torch.optim.Optimizer = pkgutil.resolve_name(TABLE[name])(flat_groups, pretraining)

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
        """What the optimizer keeps for each vector (moments, number of steps), by name; weights are not included."""
        return _state(self.optimizer)

    def state_after_a_step(self) -> dict[str, Tensor]:
        """Tensors with the names, shapes and types of `state` after any number of steps, for checks."""
        other = copy.deepcopy(self.optimizer)
        other.step()
        return _state(other)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        values: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for place, value in state.items():
            vector, _, name = place.partition(".")
            values[int(vector)][name] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": dict(values)})

    def _gradients_of(self, loss: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss, self.parameters, materialize_grads=True)

    def _step(self, learning_rate: float) -> None:
        if self.clip_norm:
            self._clip()
        for group, factor in zip(self.optimizer.param_groups, self.rate_factors, strict=True):
            group["lr"] = learning_rate * factor
        self.optimizer.step()

    def _clip(self) -> None:
        norms = torch._foreach_norm(self.gradients)
        norm = torch.linalg.vector_norm(torch.stack(norms))
        torch._foreach_mul_(self.gradients, (self.clip_norm / (norm + 1e-6)).clamp_(max=1.0))


def _state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{vector}.{name}": value
        for vector, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def _starts(parameters: Iterable[nn.Parameter]) -> tuple[list[int], int]:
    """The start of each parameter in the flat vector, and the vector's length."""
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
    """Move the parameters' values into one vector, of which they become views."""
    vector = parameters[0].new_zeros(_starts(parameters)[1])
    for parameter, view in zip(parameters, _views(vector, parameters), strict=True):
        view.copy_(parameter)
        parameter.data = view
    return vector
