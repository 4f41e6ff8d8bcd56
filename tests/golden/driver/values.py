"""Tensors, payloads and reports as JSON values. A key that starts with `~` holds bits that depend on the processor."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gainnet.core.types import Bits, Symbols

NUM_ENTRIES = 6
USAGE = (
    "num_bits",
    "num_channel_uses",
    "num_retransmissions",
    "duration_s",
    "feedback_s",
    "tx_energy_j",
    "rx_energy_j",
    "delivered",
)


def digest(content: bytes) -> str:
    """First half of the sha256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:32]


def of_tensor(x: Tensor) -> dict[str, Any]:
    """Shape, type, mean, root mean square and some entries of a tensor; of a complex one as pairs of reals."""
    name = str(x.dtype).removeprefix("torch.")
    plain = x.detach().cpu().contiguous()
    flat = (torch.view_as_real(plain) if plain.is_complex() else plain).reshape(-1)
    bits = digest(flat.view(torch.uint8).numpy().tobytes()) if flat.numel() else ""
    known: dict[str, Any] = {"shape": list(x.shape), "dtype": name}
    if not plain.is_floating_point() and not plain.is_complex():
        return known | {"sum": int(flat.sum()), "digest": bits}
    wide = flat.double()
    step = max(1, flat.numel() // NUM_ENTRIES)
    return known | {
        "mean": _number(float(wide.mean())) if flat.numel() else None,
        "rms": _number(float(wide.square().mean().sqrt())) if flat.numel() else None,
        "entries": [_number(v) for v in wide[step // 2 :: step][:NUM_ENTRIES].tolist()],
        "~digest": bits,
    }


def of_tensors(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """All tensors of a mapping: names and shapes, one mean square over all of them, one digest."""
    parts = [
        digest(state[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        for name in sorted(state)
    ]
    values = torch.cat([state[name].detach().double().reshape(-1) for name in sorted(state)])
    names = ",".join(f"{name}{list(state[name].shape)}" for name in sorted(state))
    return {
        "names": digest(names.encode()),
        "num_tensors": len(state),
        "values": of_tensor(values),
        "~digest": digest("".join(parts).encode()),
    }


def of_payload(payload: Any, is_text: bool = False) -> dict[str, Any]:
    """Lengths and digest of byte strings, or what symbols hold.

    Args:
        payload: `Bits` or `Symbols`.
        is_text: whether bytes are exact on every machine.
    """
    if isinstance(payload, Bits):
        key = "digest" if is_text else "~digest"
        lengths = [None if s is None else len(s) for s in payload.strings]
        return {"bytes": lengths, key: digest(b"|".join(s or b"" for s in payload.strings))}
    assert isinstance(payload, Symbols)
    return {
        "symbols": of_tensor(payload.values),
        "gain": of_tensor(payload.gain),
        "noise_variance": of_tensor(payload.noise_variance),
        "reported_snr": None if payload.reported_snr is None else of_tensor(payload.reported_snr),
    }


def of_state(state: Any) -> dict[str, Any]:
    """A channel state."""
    return {
        "snr": of_tensor(state.snr),
        "gain": of_tensor(state.gain),
        "reported_snr": of_tensor(state.reported_snr),
        "block_length": state.block_length,
    }


def of_usage(usage: Any) -> dict[str, Any]:
    """What a transmission took."""
    return {name: plain(getattr(usage, name)) for name in USAGE}


def of_report(report: Any) -> dict[str, Any]:
    """A report without the times of this machine."""
    table: dict[str, Any] = plain(report.to_json())
    table["steps"] = [{key: value for key, value in step.items() if key != "wall_s"} for step in table["steps"]]
    return table


def plain(value: Any) -> Any:
    """A value as JSON has it; numbers that are not finite as texts."""
    if isinstance(value, Tensor):
        return of_tensor(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        return plain(value.item())
    return _number(value) if isinstance(value, float) else value


def _number(x: float) -> float | str:
    return x if math.isfinite(x) else str(x)
