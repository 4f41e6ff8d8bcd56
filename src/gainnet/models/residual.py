"""The residual block of the convolutional networks of the scenes."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a SiLU, added to their input; no normalisation.

    [batch, num_channels, height, width] --> the same shape

    >>> import torch
    >>> ResidualBlock(8)(torch.zeros(1, 8, 4, 4)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(num_channels, num_channels, 3, padding=1)
        self.second = nn.Conv2d(num_channels, num_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.second(functional.silu(self.first(functional.silu(x)))))
