"""Labels of codecs in figures: the name that the command line has for it first, then how it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SEED_LABELS: Final[Mapping[str, str]] = {
    "raw": "raw, analog",
    "linear": "linear, analog",
    "digital": "digital, LDPC",
    "seed": "seed, analog",
    "seed_prompt": "seed_prompt, analog",
    "transform": "transform, LDPC",
    "transform_prompt": "transform_prompt, LDPC",
}
"""Of seeds, by name."""

CODEC_OF_METHOD: Final[Mapping[str, str]] = {
    "pca_seed": "digital", "digital_seed": "transform", "digital_seed_prompt": "transform_prompt"
}  # fmt: skip
"""Codecs by methods of published tables that are called otherwise."""
