"""gainnet runs generative AI across cloud, edge and device over a 6G radio, and shows what it costs.

>>> from gainnet import GenerationConfig, generate
>>> result = generate(GenerationConfig(("a red star above a blue house at sunset",), snr_db=0.0))
>>> result.report.num_channel_uses("down")
512.0
"""

from __future__ import annotations

import importlib
from typing import Any

# diffusers takes the shipped autoencoder only from a module that is already there.
import gainnet.models  # noqa: F401

_HOME = {
    "Generation": "gainnet.generation",
    "GenerationConfig": "gainnet.generation",
    "estimate": "gainnet.generation",
    "generate": "gainnet.generation",
    "load_model": "gainnet.models.loading",
    "open_model": "gainnet.generation",
    "run_study": "gainnet.studies",
    "save": "gainnet.generation",
}

__all__ = [
    "Generation",
    "GenerationConfig",
    "estimate",
    "generate",
    "load_model",
    "open_model",
    "run_study",
    "save",
]


def __getattr__(name: str) -> Any:
    """Loaded when first asked for, so that `import gainnet` and `gainnet --help` stay fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'gainnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
