"""The number format that weights are stored in."""

from __future__ import annotations

import torch
from torch import nn


def round_to_bfloat16(network: nn.Module) -> None:
    """Rounds weights in place to the 8 bits that training multiplied with; stored, they compress to two thirds.

    >>> layer = nn.Linear(1, 1)
    >>> _ = nn.init.constant_(layer.weight, 1.001)
    >>> round_to_bfloat16(layer)
    >>> layer.weight.item()
    1.0
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.bfloat16())
