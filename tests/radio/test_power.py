"""A channel with causally chosen power, and the link that books its energy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gainnet.codecs import LinearCode, SeedBasis
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Size, Spec, Symbols
from gainnet.power_control import Replanned, Static
from gainnet.power_control.seed import NestedSeed
from gainnet.radio import AWGN, Air, Analog, Jakes, Outlook, Powered, Rayleigh, SnrTrace
from gainnet.radio.power import block_error, spend

RANDOM = Random.of(range(40))


def unit(num_symbols: int) -> Tensor:
    return torch.polar(torch.ones(40, num_symbols), 6.28 * RANDOM.uniform((num_symbols,), "phase"))


@pytest.mark.parametrize("channel", [Rayleigh(8), Jakes(8, 0.1), SnrTrace((0.0, 10.0, -5.0), 8)])
def test_constant_power_is_the_plain_channel(channel: Rayleigh | Jakes | SnrTrace) -> None:
    sent, snr, gain = unit(28), torch.full((40,), 10.0), channel.first_gain(RANDOM)
    plain = channel.transmit(sent, snr, gain, RANDOM)
    powered = Powered(channel, Static()).transmit(sent, snr, gain, RANDOM)
    torch.testing.assert_close(powered.values, plain.values)
    torch.testing.assert_close(powered.gain, plain.gain)


def test_symbols_are_sent_at_the_powers_that_the_policy_chose() -> None:
    sent, snr = unit(64), torch.full((40,), 10.0)
    channel = Rayleigh(8)
    gain = channel.first_gain(RANDOM)
    gains = channel.block_gains(gain, 8, RANDOM).abs().square()
    powers = spend(Replanned(), gains, snr, torch.ones(40, 8), 4.0)
    received = Powered(channel, Replanned()).transmit(sent, snr, gain, RANDOM)
    torch.testing.assert_close(received.gain.abs().square()[:, ::8], gains * powers, atol=1e-4, rtol=1e-4)
    errors = (received.mmse() - sent).abs().square().unflatten(-1, (8, 8)).mean()
    assert float(errors) == pytest.approx(float(block_error(powers, gains, snr[:, None]).mean()), rel=0.1)


def test_the_code_may_plan_unequal_power_and_the_budget_stays_its_own() -> None:
    """A code made for the very gain that all blocks have is left as it is."""
    basis = SeedBasis.load("scenes")
    flat = SnrTrace((3.0,), 16)
    code = LinearCode(64, basis)
    components = RANDOM.normal((basis.num_values,), "seed") * basis.variances.sqrt()
    latents = basis.synthesise(components, Spec((4, 16, 16)))
    link = Analog(Air(Powered(flat, Replanned(), peak=64.0), 3.0))
    state = link.observe(RANDOM)
    sent = code.encode(latents, state.reported_snr)
    received, usage = link.send(sent, state, RANDOM)
    own = sent.values.abs().square().unflatten(-1, (-1, 16)).mean(-1)
    radiated = own * received.gain.abs().square()[..., ::16] / state.gain.abs().square()[:, None]
    assert float(radiated.sum(-1).sub(own.sum(-1)).abs().max()) < 1e-3 * float(own.sum(-1).max())
    assert float((radiated / own).median()) == pytest.approx(1.0, abs=0.35)
    assert usage.tx_energy_j == pytest.approx(link.usage(Size.fixed(64), 40).tx_energy_j, rel=1e-4)


def test_energy_that_is_not_spent_is_not_booked() -> None:
    asked: list[int] = []

    def half(outlook: Outlook) -> Tensor:
        asked.append(outlook.num_left)
        return torch.full_like(outlook.gain, 0.5)

    link = Analog(Air(Powered(Rayleigh(8), half), 10.0))
    state = link.observe(RANDOM)
    _, usage = link.send(Symbols.clean(unit(32)), state, RANDOM)
    assert asked == [4, 3, 2, 1]
    assert usage.tx_energy_j == pytest.approx(0.5 * link.usage(Size.fixed(32), 40).tx_energy_j, rel=1e-5)


def test_items_of_a_batch_do_not_see_each_other() -> None:
    link = Analog(Air(Powered(Rayleigh(8), Replanned()), 10.0))
    together, _ = link.send(Symbols.clean(unit(32)), link.observe(RANDOM), RANDOM)
    alone = Random.of([7])
    single, _ = link.send(Symbols.clean(unit(32)[7:8]), link.observe(alone), alone)
    torch.testing.assert_close(together.values[7:8], single.values)


def test_a_nested_seed_has_unit_power_and_its_error_is_the_closed_form() -> None:
    basis, spec = SeedBasis.load("scenes"), Spec((4, 16, 16))
    components = RANDOM.normal((basis.num_values,), "seed") * basis.variances.sqrt()
    latents = basis.synthesise(components, spec)
    for code in (NestedSeed(basis, 256), NestedSeed(basis, 256, num_alike=16)):
        sent = code.encode(latents, torch.ones(40))
        assert float(sent.values.abs().square().mean()) == pytest.approx(1.0, abs=0.03)
        state = Analog(Air(AWGN(), 10.0)).observe(RANDOM)
        received, _ = Analog(Air(AWGN(), 10.0)).send(sent, state, RANDOM)
        error = float((code.decode(received, spec) - latents).square().flatten(1).sum(-1).mean())
        kept, lost = float(basis.variances[:512].sum()), float(basis.variances[512:].sum())
        assert error == pytest.approx(kept / 11 + lost, rel=0.1)


def test_a_channel_without_blocks_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="power: AWGN does not tell gains block by block"):
        Powered(AWGN(), Static())
