"""Training of transform-coded seeds: its losses are what they claim, and the command makes weights that load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from gainnet.cli import app
from gainnet.codecs.transform_seed import TransformSeed, TransformShape, TransformWeights
from gainnet.codecs.transform_seed.annealing import gaussian_bits
from gainnet.codecs.transform_seed.network import NUM_ANCHORS, TransformNetwork, from_patches, to_patches
from gainnet.core.errors import ConfigError
from gainnet.core.types import Spec
from gainnet.training.seed_sources import open_source
from gainnet.training.transform_seed import PRESETS, train_transform_seed
from gainnet.training.transform_stage import PictureError, rate_and_values, set_components

SHAPE = TransformShape(
    (4, 8, 8), 5, entropy_width=8, encoder_width=32, encoder_blocks=1, decoder_width=32, decoder_blocks=1
)


@pytest.mark.parametrize("log2_deviation", [-2.0, 0.0, 3.0])
def test_code_lengths_are_those_of_probabilities(log2_deviation: float) -> None:
    integers = torch.arange(-200.0, 201.0, dtype=torch.float64)
    bits = gaussian_bits(integers, torch.tensor(log2_deviation, dtype=torch.float64))
    near = bits < 29  # beyond, a bound takes the place of probabilities
    assert float((2 ** -bits[near]).sum()) == pytest.approx(1, abs=1e-6)
    assert bool((bits.diff()[integers[1:] > 0] >= 0).all())


def test_a_fresh_network_is_a_linear_transform() -> None:
    latents = torch.randn(200, 256, generator=torch.Generator().manual_seed(1)) @ torch.diag(
        torch.linspace(2, 0.5, 256)
    )
    network = TransformNetwork(SHAPE)
    set_components(network, latents)
    condition = torch.zeros(200, SHAPE.condition_width)
    with torch.no_grad():
        values = network.analyse(latents, condition)
        torch.testing.assert_close(network.synthesise(values, condition), latents, atol=5e-3, rtol=0)
    by_channel = values.unflatten(1, (SHAPE.patch_size, -1))
    powers = by_channel.square().mean((0, 2))
    torch.testing.assert_close(powers, torch.ones(SHAPE.patch_size), atol=0.02, rtol=0)


def test_patches_come_back() -> None:
    latents = torch.randn(3, 256)
    assert torch.equal(from_patches(to_patches(latents, SHAPE), SHAPE), latents)


def test_a_group_knows_only_the_groups_before_it() -> None:
    """A change of one group's values leaves what is known of it and of those before it as it was."""
    network = TransformNetwork(SHAPE)
    for model in network.models:
        torch.nn.init.normal_(model.head.weight)
    groups = SHAPE.groups()
    assert torch.equal(torch.cat(groups).sort().values, torch.arange(SHAPE.num_values))
    condition, values = torch.zeros(1, SHAPE.condition_width), torch.randn(1, SHAPE.num_values)
    known = torch.zeros_like(values)
    for k, places in enumerate(groups):
        expected = network.expect(k, places, known, condition)
        assert all(part.shape == (1, len(places)) for part in expected)
        received, _ = rate_and_values(
            network, values, condition, torch.full_like(values, 9.0), torch.zeros_like(values)
        )
        changed = values.clone()
        changed[:, torch.cat(groups[k:])] += 1
        again, _ = rate_and_values(network, changed, condition, torch.full_like(values, 9.0), torch.zeros_like(values))
        before = torch.cat((torch.zeros(0, dtype=torch.long), *groups[:k]))
        assert torch.equal(received[:, before], again[:, before])
        known = known.index_copy(1, places, values[:, places])


def test_squares_cover_the_picture_about_evenly() -> None:
    counts = torch.zeros(1, 1, 8, 8)
    error = PictureError(lambda x: x, (1, 8, 8), 4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        decoded = torch.zeros(1, 64, requires_grad=True)
        error(decoded, torch.ones(1, 64), generator).sum().backward()
        counts += (decoded.grad.unflatten(1, (1, 8, 8)).abs() > 0.01).float()  # type: ignore[union-attr]
    assert float(counts.max() / counts.min()) < 2.5 * 1.25


def test_gains_move_with_the_quality() -> None:
    network = TransformNetwork(SHAPE)
    set_components(network, torch.randn(50, 256))
    steps = network.gains(torch.eye(NUM_ANCHORS))
    assert bool((steps.diff(dim=0) > 0.5).all())


@pytest.mark.slow
def test_the_command_trains_resumes_and_refuses_another_run(tmp_path: Path) -> None:
    out = tmp_path / "seed"
    result = CliRunner().invoke(app, ["train", "transform-seed", "--out", str(out), "--preset", "tiny"])
    assert result.exit_code == 0, result.output
    first = (out / "weights.safetensors").read_bytes()
    train_transform_seed(open_source("scenes"), out, PRESETS["tiny"], 0)
    assert (out / "weights.safetensors").read_bytes() == first
    with pytest.raises(ConfigError, match="begun"):
        train_transform_seed(open_source("scenes"), out, PRESETS["tiny"], 1)
    codec = TransformSeed(level=40, weights=TransformWeights.load(out))
    latents = torch.zeros(2, 4, 16, 16)
    assert codec.decode(codec.encode(latents, torch.ones(2)), Spec((4, 16, 16))).shape == latents.shape
