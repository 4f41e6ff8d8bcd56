"""Training of the learned seed codec: losses are what they claim, the command resumes, shipped weights are better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tests.codecs.seed_codec.conftest import NUM_VALUES, VOCABULARY, network_for
from torch import Tensor

from gainnet.cli import app
from gainnet.codecs import LinearCode, SeedBasis
from gainnet.codecs.seed_codec import PictureBasis, SeedCodec, SeedWeights
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.models.latent_space import LatentSpace
from gainnet.models.loading import load_model
from gainnet.radio import AWGN
from gainnet.training.seed_codec import PRESETS, train_seed_codec
from gainnet.training.seed_latents import captioned_shard
from gainnet.training.seed_metric import picture_of
from gainnet.training.seed_sources import open_source
from gainnet.training.seed_stage import SeedStageLength, component_cost, refined_cost, seed_codec_stage
from gainnet.training.transform_stage import Examples


@pytest.fixture
def examples(mean: Tensor, spread: Tensor) -> Examples:
    """Gaussian latents of which the first 400 count as generated."""
    white = torch.randn(600, NUM_VALUES, generator=torch.Generator().manual_seed(2)).double()
    latents = (mean + white @ torch.linalg.cholesky(spread).T).float()
    return Examples(latents, VOCABULARY.indices(("a red star", "a moon") * 300), 400)


def test_a_fresh_network_costs_what_the_closed_form_says(plain_basis: PictureBasis, examples: Examples) -> None:
    """Relative to the error that LMMSE leaves on Gaussian latents the mean cost is 1, with or without the refiner."""
    network = network_for(plain_basis)
    for cost in (component_cost, refined_cost):
        stage = seed_codec_stage(
            "latent", network, examples, VOCABULARY.absent(1), cost, SeedStageLength(1, (16, 64)), 0
        )  # fmt: skip
        with torch.no_grad():
            losses = [float(stage.loss(step)) for step in range(3)]
        assert sum(losses) / 3 == pytest.approx(1, rel=0.06)
        assert losses[0] == float(stage.loss(0).detach())


@pytest.mark.slow
def test_the_command_trains_resumes_and_refuses_another_run(tmp_path: Path) -> None:
    out = tmp_path / "seed"
    result = CliRunner().invoke(app, ["train", "seed-codec", "--out", str(out), "--preset", "tiny"])
    assert result.exit_code == 0, result.output
    first = (out / "seed_codec.safetensors").read_bytes()
    (out / "stages" / "pictures" / "checkpoint.safetensors").unlink()
    train_seed_codec(open_source("scenes"), out, PRESETS["tiny"], 0)
    assert (out / "seed_codec.safetensors").read_bytes() == first
    with pytest.raises(ConfigError, match="begun"):
        train_seed_codec(open_source("scenes"), out, PRESETS["tiny"], 1)
    codec, latents = SeedCodec(64, weights=SeedWeights.load(out)), torch.zeros(2, 4, 16, 16)
    assert codec.decode(codec.encode(latents, torch.ones(2)), Spec((4, 16, 16))).shape == latents.shape


@pytest.mark.slow
def test_shipped_weights_are_better_than_the_linear_code() -> None:
    """In the picture, on latents of captions and noise that no training has seen."""
    model = load_model("scenes")
    space, shape = LatentSpace.of(model), model.latent.shape
    latents = captioned_shard(model, 0, random_seed=20_000)
    linear, weights = SeedBasis.load("scenes", model.sha256), SeedWeights.load("scenes", model.sha256)
    random, spec = Random.of(range(len(latents))), Spec(shape)
    with torch.no_grad():
        truth = picture_of(space, latents)
        for num_channel_uses, snr_db, least_db in ((64, -5, 1.0), (256, 0, 2.0), (256, 5, 1.5), (128, 20, -0.1)):
            snr = torch.full((len(latents),), 10 ** (snr_db / 10))
            errors = []
            for codec in (LinearCode(num_channel_uses, linear), SeedCodec(num_channel_uses, weights=weights)):
                sent = codec.encode(latents.reshape(-1, *shape), snr)
                received = AWGN().transmit(sent.values, snr, torch.ones(len(snr), dtype=torch.complex64), random)
                decoded = codec.decode(replace(received, reported_snr=snr), spec).flatten(1)
                errors.append((picture_of(space, decoded) - truth).square().mean())
            assert float(10 * torch.log10(errors[0] / errors[1])) > least_db
