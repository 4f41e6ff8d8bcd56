"""The learned codec: the contract, the linear optimum it starts from, prompts, prefixes, power."""

from dataclasses import replace

import pytest
import torch
from tests.codecs.seed_codec.conftest import NUM_VALUES, SHAPE, VOCABULARY, network_for
from torch import Tensor

from gainnet.codecs import LinearCode, SeedBasis
from gainnet.codecs.seed_codec import PictureBasis, SeedCodec, SeedWeights
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Symbols
from gainnet.radio import AWGN, Rayleigh
from gainnet.testing import check_codec
from gainnet.training.seed_codec import stored_weights
from gainnet.training.seed_latents import SeedLatents

SPEC = Spec(SHAPE)


def over(channel: AWGN | Rayleigh, sent: Symbols, snr: Tensor) -> Symbols:
    random = Random.of(range(len(snr)))
    received = channel.transmit(sent.values, snr, channel.first_gain(random), random)
    return replace(received, reported_snr=sent.reported_snr)


@pytest.mark.parametrize("num_channel_uses", [20, 45])
def test_contract(stirred: SeedWeights, seeds: Tensor, num_channel_uses: int) -> None:
    check_codec(SeedCodec(num_channel_uses, weights=stirred), _unit_power(stirred, seeds, num_channel_uses))


def _unit_power(weights: SeedWeights, seeds: Tensor, num_channel_uses: int) -> Tensor:
    """Seeds of which the contract's own power measurement is near that of the ensemble."""
    power = (
        SeedCodec(num_channel_uses, weights=weights)
        .encode(seeds, torch.full((len(seeds),), 10.0))
        .values.abs()
        .square()
    )
    nearest = (power.mean(1) - 1).abs().argsort()
    return seeds[nearest[:12]]


@pytest.mark.parametrize(("num_channel_uses", "snr_db"), [(16, -8), (20, 15), (32, 3), (50, 0), (64, 6)])
def test_without_corrections_it_is_the_linear_code(
    fresh: SeedWeights, linear_basis: SeedBasis, seeds: Tensor, num_channel_uses: int, snr_db: float
) -> None:
    """Also over fading inside a seed; components may have another sign."""
    snr = torch.full((40,), 10 ** (snr_db / 10))
    ours, linear = SeedCodec(num_channel_uses, weights=fresh), LinearCode(num_channel_uses, linear_basis)
    sent = [codec.encode(seeds[:40], snr) for codec in (ours, linear)]
    parts = [torch.view_as_real(symbols.values) for symbols in sent]
    torch.testing.assert_close(parts[0].abs(), parts[1].abs(), atol=2e-3, rtol=5e-3)
    for channel in (AWGN(), Rayleigh(block_length=7)):
        signs = (parts[0] * parts[1]).sum(0).sign()
        gain = over(channel, sent[1], snr)
        noise = torch.view_as_real((gain.values - gain.gain * sent[1].values) / gain.gain)
        turned = gain.gain * torch.view_as_complex((parts[0] + signs * noise).contiguous())
        decoded = ours.decode(replace(gain, values=turned), SPEC)
        torch.testing.assert_close(decoded, linear.decode(gain, SPEC), atol=0.01, rtol=0.0)


def test_error_without_corrections_is_the_closed_form(fresh: SeedWeights, seeds: Tensor) -> None:
    codec, snr = SeedCodec(24, weights=fresh), torch.full((len(seeds),), 4.0)
    decoded = codec.decode(over(AWGN(), codec.encode(seeds, snr), snr), SPEC)
    error = (fresh.basis.analyse((decoded).flatten(1)) - fresh.basis.analyse(seeds.flatten(1))).square().mean()
    expected = fresh.network.linear_error(torch.tensor([24]), torch.tensor([4.0], dtype=torch.float64))
    assert float(error) == pytest.approx(float(expected), rel=0.1)


@pytest.mark.slow
def test_power_of_every_size_is_one_over_the_latents(
    stirred: SeedWeights, plain_basis: PictureBasis, mean: Tensor, spread: Tensor
) -> None:
    """Over the very latents of the calibration, whose linear part is taken to have the power of the ensemble."""
    white = torch.randn(800, NUM_VALUES, generator=torch.Generator().manual_seed(6)).double()
    white = (white - white.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(white.T, correction=0))).T
    latents = (mean + white @ torch.linalg.cholesky(spread).T).float()
    prompts = tuple(f"a {colour} star" for colour in ("red", "blue")) * 400
    given = SeedLatents(latents, prompts)
    network = network_for(plain_basis)
    network.load_state_dict(stirred.network.state_dict())
    weights = stored_weights(network, VOCABULARY, given, SHAPE, "")
    for num_channel_uses, level_db in ((16, -12.0), (64, 22.0), (27, 5.3)):
        snr = torch.full((800,), 10 ** (level_db / 10))
        for told in (None, prompts):
            sent = SeedCodec(num_channel_uses, told, weights=weights).encode(latents.reshape(-1, *SHAPE), snr)
            exact = num_channel_uses in (16, 32, 64)
            assert float(sent.values.abs().square().mean()) == pytest.approx(1, abs=1e-3 if exact else 0.02)


def test_prompts_belong_to_items(stirred: SeedWeights, seeds: Tensor) -> None:
    prompts = ("a red star", "a blue house", "a moon", "something unknown")
    grid, snr = seeds[:8].reshape(2, 4, *SHAPE), torch.full((2, 4), 3.0)
    together = SeedCodec(32, prompts, weights=stirred)
    sent = together.encode(grid, snr)
    decoded = together.decode(sent, SPEC)
    for column, prompt in enumerate(prompts):
        alone = SeedCodec(32, (prompt,), weights=stirred)
        one = alone.encode(grid[:, column], snr[:, column])
        torch.testing.assert_close(sent.values[:, column], one.values, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(decoded[:, column], alone.decode(one, SPEC), atol=1e-4, rtol=1e-4)
    without = SeedCodec(32, weights=stirred).encode(grid, snr)
    assert float((without.values - sent.values).abs().max()) > 1e-3


def test_first_symbols_are_a_seed_of_their_own(fresh: SeedWeights, seeds: Tensor) -> None:
    """Symbols that did not arrive decode as symbols of which nothing was received, and more of them are better."""
    codec, snr = SeedCodec(40, weights=fresh), torch.full((len(seeds),), 10.0)
    received = over(AWGN(), codec.encode(seeds, snr), snr)
    errors = []
    for count in (10, 20, 40):
        part = Symbols(
            received.values[:, :count], received.gain[:, :count], received.noise_variance[:, :count], snr
        )  # fmt: skip
        silenced = replace(received, gain=received.gain * (torch.arange(40) < count))
        decoded = codec.decode(part, SPEC)
        torch.testing.assert_close(decoded, codec.decode(silenced, SPEC), atol=1e-4, rtol=1e-4)
        errors.append(float((decoded - seeds).square().mean()))
    assert errors[0] > errors[1] > errors[2]


def test_what_does_not_fit_is_said(fresh: SeedWeights, seeds: Tensor) -> None:
    with pytest.raises(ConfigError, match="num_channel_uses"):
        SeedCodec(65, weights=fresh)
    with pytest.raises(ConfigError, match="prompts"):
        SeedCodec(32, (), weights=fresh).encode(seeds[:3], torch.ones(3))
    with pytest.raises(ConfigError, match="prompts"):
        SeedCodec(32, ("a", "b"), weights=fresh).encode(seeds[:3], torch.ones(3))
    with pytest.raises(ConfigError, match="64 values"):
        SeedCodec(32, weights=fresh).size(Spec((7,)))
    sent = SeedCodec(40, weights=fresh).encode(seeds[:3], torch.ones(3))
    with pytest.raises(ConfigError, match="arrived"):
        SeedCodec(32, weights=fresh).decode(sent, SPEC)
