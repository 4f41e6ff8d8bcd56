"""How present values are compared with recorded ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

RELATIVE = 1e-4
LOOSE = 0.1
"""For what is coded from floats, on a processor that rounds otherwise: one flipped value moves lengths and noise."""

FRAGILE = ("entries", "unharmed", "received", "delivered")
"""Keys that are not compared on such a processor."""


def differences(wanted: Any, found: Any, exact: bool = False, tolerance: float = RELATIVE) -> list[str]:
    """One line per recorded value that is not there or is another one; new keys are no difference.

    Args:
        wanted: as recorded.
        found: as computed now.
        exact: whether all bits have to agree, those of the keys with `~` too.
        tolerance: relative, of floats; above the usual one integers may differ by it, too.
    """
    return list(_differences(wanted, found, "", exact, tolerance, 0.0))


def _differences(wanted: Any, found: Any, at: str, exact: bool, tolerance: float, scale: float) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        size = wanted.get("rms", 0.0)
        for key, value in wanted.items():
            if not exact and (key.startswith("~") or (tolerance > RELATIVE and key in FRAGILE)):
                continue
            if key not in found:
                yield f"{at}/{key}: missing"
            else:
                scale = size if isinstance(size, float) else 0.0
                yield from _differences(value, found[key], f"{at}/{key}", exact, tolerance, scale)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _differences(one, other, f"{at}[{index}]", exact, tolerance, scale)
    elif not _equal(wanted, found, exact, tolerance, scale):
        yield f"{at}: {_short(wanted)} became {_short(found)}"


def _equal(wanted: Any, found: Any, exact: bool, tolerance: float, scale: float) -> bool:
    if exact or (tolerance == RELATIVE and not (isinstance(wanted, float) or isinstance(found, float))):
        return bool(wanted == found) and isinstance(wanted, bool) == isinstance(found, bool)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (wanted, found))
    if not numbers:
        return tolerance > RELATIVE or bool(wanted == found)
    return math.isclose(wanted, found, rel_tol=tolerance, abs_tol=tolerance * scale + 1e-12)


def _short(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= 60 else f"{text[:57]}..."


def processor() -> str:
    """Digest of some float operations of torch: equal where rounding is equal."""
    torch.set_num_threads(1)
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((8, 64, 32, 32), dtype=np.float32))
    kernel = torch.from_numpy(np.random.default_rng(2).standard_normal((64, 64, 3, 3), dtype=np.float32))
    flat = x.reshape(8, -1)
    results = (
        torch.nn.functional.conv2d(x, kernel),
        flat[:, :4096] @ flat[:, 4096:8192].T,
        torch.nn.functional.group_norm(x, 8),
        torch.nn.functional.silu(x).exp().sum(-1),
        torch.softmax(x, -1),
        torch.fft.fft(x).real,
        x.double().sin().float(),
    )
    return hashlib.sha256(b"".join(y.contiguous().numpy().tobytes() for y in results)).hexdigest()[:32]
