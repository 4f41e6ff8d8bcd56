"""This machine as a hardware profile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.loading import load_model

MATRIX_SIZE = 1024
NUM_REPEATS = 5


def calibrate() -> dict[str, float]:
    """Rates and memory of this machine, in the fields of a hardware profile that can be measured.

    The peak is a float32 matrix product; the efficiency is the share of it that the shipped denoiser reaches, with the
    number of torch threads that is set. Power cannot be measured portably and is left to the user.
    """
    # Large enough that the product, and not its launch, takes the time.
    matrix = torch.ones(MATRIX_SIZE, MATRIX_SIZE)
    peak = 2.0 * MATRIX_SIZE**3 / fastest_s(lambda: matrix @ matrix)
    model, random = load_model(), Random.of([0])
    tensors: dict[str, Any] = {"prompt": text_to_tensor(["a red star"])}
    for part in (model.text_encoder, model.prior):
        tensors |= part(tensors, random)
    reached = model.denoiser.flops / fastest_s(lambda: model.denoiser(tensors, random))
    return {
        "peak_flops_per_s": peak,
        "efficiency": min(1.0, reached / peak),
        "memory_bytes": float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
    }


def fastest_s(run: Callable[[], Any]) -> float:
    """Shortest of a few timed calls, after one that warms up."""
    # The shortest, since whatever else the machine does can only make a call longer.
    run()
    durations_s = []
    for _ in range(NUM_REPEATS):
        begin_s = time.perf_counter()
        run()
        durations_s.append(time.perf_counter() - begin_s)
    return min(durations_s)
