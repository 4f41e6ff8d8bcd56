"""Half precision where the processor computes in it."""

from __future__ import annotations

import torch


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
