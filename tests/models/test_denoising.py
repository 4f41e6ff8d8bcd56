"""A denoiser as a model that clients train: its loss, what a step draws anew, and rows that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.models.denoising import (
    Denoising,
    TrainedDenoiser,
    draw_captions,
    fresh_draws,
    rows_of_pictures,
    with_denoiser,
)
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.language import check_rows_fit, row_losses
from gainnet.models.loading import load_model


@pytest.fixture
def model(small_stable_diffusion: Path) -> DiffusionModel:
    return load_model(str(small_stable_diffusion), num_steps=2)


def test_the_loss_is_the_weighted_error_of_the_noise(model: DiffusionModel) -> None:
    denoiser = TrainedDenoiser(model)
    pictures = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    rows = rows_of_pictures(denoiser, model, pictures, ["cat", "dog", "owl"], Random.of(0))
    check_rows_fit(denoiser, rows)
    states, clean, noise, time = rows.split(denoiser.sizes, dim=1)
    # Strata: each third of the schedule has one of three times.
    assert (time[:, 0] * 3 / len(denoiser.alphas)).long().tolist() == [0, 1, 2]
    alpha = model.pipeline.scheduler.alphas_cumprod[time[:, 0].long()]
    noisy = alpha.sqrt()[:, None] * clean + (1 - alpha).sqrt()[:, None] * noise
    with torch.no_grad():
        found = model.pipeline.unet(
            noisy.reshape(3, *model.denoiser.latent.shape), time[:, 0], states.reshape(3, 16, 32)
        ).sample.flatten(1)
    weight = (5 * (1 - alpha) / alpha).clamp(max=1)
    torch.testing.assert_close(
        row_losses(denoiser, rows), (weight * (found - noise).square().mean(1)).double(), rtol=1e-4, atol=1e-6
    )
    with pytest.raises(Exception, match="rows: 5 values are no picture and draw"):
        check_rows_fit(denoiser, rows[:, :5])
    assert Denoising().mistake(denoiser, rows) is None


def test_every_step_draws_noise_and_time_and_now_and_then_no_caption(model: DiffusionModel) -> None:
    denoiser = TrainedDenoiser(model)
    rows = rows_of_pictures(denoiser, model, torch.zeros(2, 3, 16, 16), ["cat", "dog"], Random.of(0))
    fresh, many = fresh_draws(denoiser, model), rows[:1].expand(400, -1)
    first, again, other = (fresh(many, Random.of(0).child("step", k)) for k in (0, 0, 1))
    assert bool((first == again).all())
    states, clean, noise, time = first.split(denoiser.sizes, dim=1)
    assert bool((clean == rows[0].split(denoiser.sizes)[1]).all()), "pictures stay"
    assert not bool((noise == other.split(denoiser.sizes, dim=1)[2]).any())
    assert abs(float(noise.std()) - 1) < 0.01
    assert 400 < float(time.mean()) < 600
    assert 0.05 < float((states == fresh.blank).all(1).float().mean()) < 0.15


def test_a_network_takes_the_place_of_another(model: DiffusionModel) -> None:
    first, twice = draw_captions(model, ["cat"]), draw_captions(model, ["cat", "dog"])
    assert torch.allclose(first[0], twice[0], atol=1e-5)
    silent = with_denoiser(model, TrainedDenoiser(model).unet)
    assert bool((draw_captions(silent, ["cat"]) == first).all())


def test_what_is_no_language_says_so() -> None:
    with pytest.raises(ModelError, match="denoisers are not cut"):
        Denoising().stacks(None)
    with pytest.raises(ModelError, match="with its pipeline"):
        Denoising().loader()
