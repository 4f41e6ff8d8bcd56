"""The contract of channels as a public test."""

from __future__ import annotations

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.core.units import db_to_linear
from gainnet.radio.fading.channel import Channel
from gainnet.testing.requirement import alone, close, finite, require, twice, with_batch

NUM_SYMBOLS = 96


def check_channel(channel: Channel, snr_db: float = 5.0) -> None:
    """The contract test of a channel.

    Shapes and batch dimensions; item 3 of a batch equals item 3 alone; noise keyed by the name of its stream; mean gain
    one; noise power as stated; constant gain within a block; `blocks` that begin with the first gain; exact without
    noise; differentiable in the symbols. A receiver that estimates its channel has a noise variance above 0 without
    noise: then its gain may be off, and the noise variance may exceed 1 / SNR by the error of the estimate, not more.

    Args:
        channel: the channel under test.
        snr_db: finite Es/N0 at which the noise is measured.

    Raises:
        AssertionError: the contract does not hold; one sentence says where.

    >>> from gainnet.radio import Rayleigh
    >>> check_channel(Rayleigh())
    """
    require(isinstance(channel.block_length, int) and channel.block_length >= 1, "block_length is not a count >= 1")
    snr = db_to_linear(snr_db)
    _check_gain(channel)
    _check_shapes(channel, snr)
    _check_items(channel, snr)
    _check_streams(channel, snr)
    _check_blocks(channel, snr)
    _check_gains(channel)
    _check_noise_power(channel, snr)
    _check_exact_without_noise(channel)
    _check_gradient(channel, snr)


def _symbols(random: Random, num_symbols: int = NUM_SYMBOLS) -> torch.Tensor:
    return random.complex_normal((num_symbols,), "symbols")


def _sent(channel: Channel, random: Random, snr: float) -> Symbols:
    gain = channel.first_gain(random)
    return channel.transmit(_symbols(random), torch.full(random.batch, snr), gain, random)


def _check_gain(channel: Channel) -> None:
    # The mean of 2,000 exponential powers has a standard deviation of 0.022, so that 0.1 is beyond chance.
    gain = channel.first_gain(Random.of(range(2000)))
    require(tuple(gain.shape) == (2000,) and gain.is_complex(), "first_gain is not complex [*batch]")
    power = float(gain.abs().square().mean())
    require(abs(power - 1.0) < 0.1, f"the mean of |first_gain|^2 over 2,000 items is {power:.3f}, not 1")


def _check_shapes(channel: Channel, snr: float) -> None:
    for batch in ((), (3,), (2, 2)):
        num_items = len(torch.zeros(batch).reshape(-1))
        received = _sent(channel, Random(tuple(range(num_items)), batch), snr)
        for name, x in (("values", received.values), ("gain", received.gain), ("variance", received.noise_variance)):
            of = f"{name} of received symbols is"
            fits = tuple(x.shape) == (*batch, NUM_SYMBOLS)
            require(fits, f"{of} {tuple(x.shape)}, not [*batch, num_symbols] for batch {batch}")
            require(finite(x), f"{of} not finite")
        require(received.values.is_complex() and received.gain.is_complex(), "received values or gain are not complex")
        require(not received.noise_variance.is_complex(), "noise_variance is not real")


def _check_items(channel: Channel, snr: float) -> None:
    # Noise keyed by item is what makes a run over many devices equal to one device alone.
    random = Random.of([11, 12, 13, 14])
    batch, single = _sent(channel, random, snr), _sent(channel, alone(random, 3), snr)
    require(close(batch.values[3], single.values, 1e-5), "item 3 of a batch is not received as item 3 alone")
    require(close(batch.gain[3], single.gain, 1e-5), "the gain of item 3 of a batch is not that of item 3 alone")
    other = _sent(channel, with_batch(random, (2, 2)), snr)
    require(close(batch.values, other.values.flatten(0, 1), 1e-5), "batch (2, 2) is not received as batch (4,)")


def _check_streams(channel: Channel, snr: float) -> None:
    random = Random.of([5, 6])
    first, again = twice(lambda: _sent(channel, random, snr).values)
    require(torch.equal(first, again), "the same stream gives other noise the second time")
    gain, sent = torch.ones((2,), dtype=torch.complex64), _symbols(random)
    a, b = (channel.transmit(sent, torch.full((2,), snr), gain, random.child(name)) for name in ("a", "b"))
    require(not torch.equal(a.values, b.values), "two streams of different names give the same noise")
    # Zeros are sent, so that what is received is the noise alone.
    noise = channel.transmit(torch.zeros_like(sent), torch.full((2,), snr), gain, random.child("a")).values
    require(not bool((noise[0] == noise[1]).any()), "two items of different random seeds see the same noise")


def _check_blocks(channel: Channel, snr: float) -> None:
    random = Random.of([1, 2, 3])
    gain = channel.first_gain(random)
    received = channel.transmit(_symbols(random), torch.full((3,), snr), gain, random)
    for start in range(0, NUM_SYMBOLS, channel.block_length):
        block = received.gain[:, start : start + channel.block_length]
        require(bool((block == block[:, :1]).all()), f"the gain changes within the block that starts at use {start}")
    if not _estimates(channel):
        require(close(received.gain[:, 0], gain, 1e-6), "the first block does not see the gain it was given")


def _check_gains(channel: Channel) -> None:
    """Gains that reports are about: shape, repeatable, and block 0 is where a transmission starts."""
    random = Random.of([1, 2, 3])
    gains = channel.blocks.gains(random, (0, -1, 1))
    fits = tuple(gains.shape[:2]) == (3, 3) and gains.dim() == 3
    require(fits, "blocks.gains is not [*batch, num_blocks, num_gains]")
    require(torch.equal(gains, channel.blocks.gains(random, (0, -1, 1))), "blocks.gains is not repeatable")
    require(channel.blocks.length >= channel.block_length, "blocks.length is below block_length")
    if channel.blocks.is_flat:
        require(gains.shape[-1] == 1, "a flat block has more than one gain")
        require(close(gains[:, 0, 0], channel.first_gain(random), 1e-6), "block 0 does not have first_gain")


def _estimates(channel: Channel) -> bool:
    """Whether the receiver has to estimate its channel: an error stays when there is no noise."""
    return bool((_sent(channel, Random.of([1, 2]), float("inf")).noise_variance > 0).any())


def _check_noise_power(channel: Channel, snr: float) -> None:
    random = Random.of(range(200))
    received = _sent(channel, random, snr)
    noise = received.values - received.gain * _symbols(random)
    ratio = float((noise.abs().square().mean() / received.noise_variance.mean()).detach())
    require(abs(ratio - 1.0) < 0.05, f"the noise has {ratio:.3f} times the power of noise_variance")
    stated = float(received.noise_variance.mean()) * snr
    fits = stated > 0.95 if _estimates(channel) else abs(stated - 1.0) < 0.05
    require(fits, f"noise_variance times the mean Es/N0 is {stated:.3f}, not 1")


def _check_exact_without_noise(channel: Channel) -> None:
    random = Random.of([1, 2])
    received = _sent(channel, random, float("inf"))
    require(finite(received.values), "an infinite SNR gives values that are not finite")
    if _estimates(channel):
        error = float((received.values - received.gain * _symbols(random)).abs().square().mean())
        stated = float(received.noise_variance.mean())
        fits = error < 2 * stated < 0.2
        require(fits, f"without noise the estimate is off by {error:.2g}, but {stated:.2g} is stated")
        return
    require(close(received.values, received.gain * _symbols(random), 1e-6), "an infinite SNR leaves noise")


def _check_gradient(channel: Channel, snr: float) -> None:
    random = Random.of([1, 2])
    sent = _symbols(random).requires_grad_()
    gain = channel.first_gain(random)
    received = channel.transmit(sent, torch.full((2,), snr), gain, random)
    require(received.values.requires_grad, "received values carry no gradient to the symbols")
    (slope,) = torch.autograd.grad(received.values.abs().square().sum(), sent)
    flows = finite(slope) and bool((slope.abs().sum(dim=-1) > 0).all())
    require(flows, "the gradient to the symbols is 0 or not finite")
