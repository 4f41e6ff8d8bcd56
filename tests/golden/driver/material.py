"""Pictures, files and models that cases share."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.models.loading import load_model

NETWORK = """
detection_s = 0.2
[nodes.device]
kind = "device"
hardware = "phone"
[nodes.north]
kind = "edge"
hardware = "edge_l4"
[nodes.south]
kind = "edge"
hardware = "edge_a100"
[media.cell]
kind = "air"
fading = "rayleigh"
bandwidth_hz = 2e6
snr_db = 8.0
[media.fibre]
kind = "wire"
delay_s = 2e-3
[[links]]
between = ["device", "north"]
medium = "cell"
[[links]]
between = ["device", "south"]
medium = "cell"
snr_db = 12.0
[[links]]
between = ["north", "south"]
medium = "fibre"
"""
TRACE = "time_s,snr_db\n" + "".join(f"{k},{snr_db}\n" for k, snr_db in enumerate((6, 11.5, 9, 2.5, 14, 7, -3, 10)))


def picture(size: int = 128) -> Tensor:
    """[3, size, size] in [0, 1], multiples of 1/255: two ramps, a disc and some noise."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    disc = ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05).astype(float)
    noise = np.random.default_rng(5).random((3, size, size))
    colours = np.stack([0.8 * x, 0.7 * y, 0.2 + 0.6 * disc]) + 0.1 * noise
    return torch.from_numpy(np.rint(colours.clip(0, 1) * 255).astype(np.float32) / 255)


@lru_cache(maxsize=1)
def folder() -> Path:
    """A temporary folder with the files that cases name: a picture, a network, a trace."""
    made = Path(tempfile.mkdtemp(prefix="golden-"))
    colours = (picture() * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(colours).save(made / "picture.png")
    (made / "network.toml").write_text(NETWORK)
    (made / "trace.csv").write_text(TRACE)
    return made


@lru_cache(maxsize=4)
def model(num_steps: int) -> Any:
    """The shipped model with so many steps."""
    return load_model("scenes", num_steps, None, "cpu", False)


def normal(shape: tuple[int, ...], name: str) -> Tensor:
    """[3, *shape], standard normal, one stream per item."""
    return Random.of([11, 12, 13]).normal(shape, "golden", name)
