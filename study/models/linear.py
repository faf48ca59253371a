"""Linear maps whose weight is stored as the papers write them: y = x W + b with W of shape (inputs, outputs).

On CPUs this is not only a matter of taste: with inputs first, forward pass and weight gradient multiply without a
transposed operand, which made them 10 to 25 % faster at this project's widths.
"""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """y = x W + b over the last dimension; `initialize` in vit.py draws the weights."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return affine(x.flatten(0, -2), self.weight, self.bias).view(*x.shape[:-1], -1)


def affine(x_TI: Tensor, weight_IO: Tensor, bias_O: Tensor | None) -> Tensor:
    """x W + b, or x W without a bias."""
    return x_TI @ weight_IO if bias_O is None else torch.addmm(bias_O, x_TI, weight_IO)
