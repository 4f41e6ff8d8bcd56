"""Every part of a diffusion model keeps the contract of parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Tensors
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.testing import check_part, check_sliceable

RANDOM = Random.of([3, 4, 5])


@pytest.fixture(scope="module")
def model(small_stable_diffusion: Path) -> DiffusionModel:
    return load_model(str(small_stable_diffusion), num_steps=3)


@pytest.fixture(scope="module")
def tensors(model: DiffusionModel) -> Tensors:
    """Everything that some part reads, as its predecessors wrote it."""
    there = {"prompt": text_to_tensor(["a red star", "a house", "two trees at night"])}
    for part in model.parts:
        with torch.no_grad():
            there |= part({key: there[key] for key in part.reads}, RANDOM)
    return there


@pytest.fixture(scope="module")
def before_denoising(model: DiffusionModel, tensors: Tensors) -> Tensors:
    return {**tensors, **model.prior({}, RANDOM)}


@pytest.mark.parametrize("name", ["text_encoder", "prior", "decoder"])
def test_part(model: DiffusionModel, tensors: Tensors, name: str) -> None:
    check_part(getattr(model, name), tensors, RANDOM)


@pytest.mark.slow
def test_denoiser_in_pieces_is_the_whole(model: DiffusionModel, before_denoising: Tensors) -> None:
    check_sliceable(model.denoiser, before_denoising, RANDOM)
