"""The number format that networks are trained in: half precision where the processor computes in it."""

from __future__ import annotations

import torch
from torch import nn


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices in bfloat16; where it does not, torch emulates that, many times slower."""
    if device.type != "cpu":
        return True
    # The names are those of x86; other processors have none of these entries and compute in float32.
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def half_precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 on devices that have it, and no change on others."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


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
