"""Fine-tuning through the channel: both arms see the same pictures, and a killed training ends as one that was not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.codecs.components import load_components
from gainnet.core.randomness import Random
from gainnet.models.decoders import decoder_config, with_decoder
from gainnet.models.loading import load_model
from gainnet.radio import AWGN, Rayleigh
from gainnet.training.few_steps import captions_of
from gainnet.training.through_channel import ARMS, PRESETS, captions_trained, received_seeds, train_through_channel


def test_a_seed_arrives_whole_without_noise_and_gradients_reach_it() -> None:
    basis, latents = load_components("scenes"), torch.randn(2, 4, 16, 16).requires_grad_()
    random, clean = Random.of([0, 1]), torch.full((2,), math.inf)
    whole = received_seeds(latents, basis, 512, AWGN(), clean, random)
    torch.testing.assert_close(whole, latents, atol=1e-3, rtol=1e-3)
    faded = received_seeds(latents, basis, 512, Rayleigh(32), torch.full((2,), 10.0), random)
    faded.square().sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().min() > 0


@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: Any) -> None:
    steps = replace(PRESETS["tiny"], checkpoint_every=1)
    whole = train_through_channel(tmp_path / "whole", random_seed=3, steps=steps)

    def stop(stage: str, step: int, num_steps: int, loss: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gainnet.training.loop.STEPS_PER_PROGRESS", 2)
    (tmp_path / "cut").mkdir()
    (tmp_path / "whole" / "pairs").rename(tmp_path / "cut" / "pairs")
    with pytest.raises(KeyboardInterrupt):
        train_through_channel(tmp_path / "cut", random_seed=3, steps=steps, progress=stop)
    assert train_through_channel(tmp_path / "cut", random_seed=3, steps=steps) == whole
    assert set(whole) == set(ARMS)
    trained = decoder_config(tmp_path / "cut" / "air")["trained"]
    assert (trained["num_samples"], captions_trained(trained)) == (8, set(captions_of(3, 0)))
    with_decoder(load_model("scenes"), tmp_path / "cut" / "control")
