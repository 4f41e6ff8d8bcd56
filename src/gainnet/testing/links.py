"""The contract of links as a public test."""

from __future__ import annotations

import math
from dataclasses import fields

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Symbols, Usage
from gainnet.radio.links.link import AnyLink
from gainnet.testing.requirement import alone, close, finite, item_of, mean_agrees, require, twice

COUNTS = tuple(field.name for field in fields(Usage) if field.name not in ("delivered", "item_s", "has_uses"))


def check_link(link: AnyLink, size: int = 480, num_transfers: int = 24) -> None:
    """The contract test of a link.

    Channel state and received payload per item; item 3 of a batch as item 3 alone; two streams, two noises; usage that
    is linear in the items, grows with the size and agrees with the mean of what sending took; drawn durations with the
    mean of the expected one; a gradient through analog links.

    Args:
        link: the link under test.
        size: bits (a multiple of 8) or symbols of the payloads that are sent.
        num_transfers: transfers of four items over which usage is averaged.

    Raises:
        AssertionError: the contract does not hold; one sentence says where.

    >>> from gainnet.radio import Ideal
    >>> check_link(Ideal(), num_transfers=2)
    """
    require(link.carries in (Bits, Symbols), "carries is neither Bits nor Symbols")
    require(isinstance(link.medium, str) and link.medium != "", "medium is not a name")
    _check_state(link)
    _check_items(link, size)
    _check_usage(link, size)
    _check_usage_of_sends(link, size, num_transfers)
    _check_durations(link, size)
    _check_capacity(link)
    if link.carries is Symbols:
        _check_gradient(link, size)


def _payload(link: AnyLink, random: Random, size: int) -> Payload:
    if link.carries is Symbols:
        return Symbols.clean(random.complex_normal((size,), "payload"), torch.ones(random.batch))
    strings = tuple(generator.bytes(size // 8) for generator in random.generators("payload"))
    return Bits(strings, random.batch)


def _sent(link: AnyLink, random: Random, size: int) -> tuple[Payload, Usage]:
    payload = _payload(link, random, size)
    received, usage = link.send(payload, link.observe(random), random)
    require(isinstance(received, link.carries), f"a link of {link.carries.__name__} delivers something else")
    require(isinstance(usage, Usage), "send does not return its usage")
    _check_counts(usage, "send")
    if usage.item_s:
        require(len(usage.item_s) == random.num_items, "item_s of send is not one time per item")
        total_s = usage.duration_s + usage.feedback_s
        is_all = math.isclose(math.fsum(usage.item_s), total_s, rel_tol=1e-6, abs_tol=1e-12)
        require(is_all, "item_s is not all the time")
    if isinstance(payload, Symbols):
        require(received.reported_snr is payload.reported_snr, "the link does not pass reported_snr through")
    return received, usage


def _check_counts(usage: Usage, of: str) -> None:
    for name in COUNTS:
        value = getattr(usage, name)
        require(math.isfinite(value) and value >= 0, f"{name} of {of} is {value}, not a finite number >= 0")


def _check_state(link: AnyLink) -> None:
    for random in (Random.of(1), Random.of([1, 2, 3]), Random((1, 2, 3, 4), (2, 2))):
        state = link.observe(random)
        for name in ("snr", "gain", "reported_snr"):
            shape = tuple(getattr(state, name).shape)
            require(shape == random.batch, f"{name} of the channel state is {shape}, not the batch {random.batch}")
        require(not bool(torch.isnan(state.reported_snr).any()), "reported_snr of the channel state is NaN")
        require(bool((state.snr >= 0).all()), "snr of the channel state is negative or NaN")
        require(state.block_length >= 1, "block_length of the channel state is below 1")
    batch, single = link.observe(Random.of([1, 2, 3])), link.observe(Random.of(3))
    require(_same_state(batch, single, 2), "the channel state of item 2 of a batch is not that of the item alone")


def _same_state(batch: ChannelState, single: ChannelState, item: int) -> bool:
    names = ("snr", "gain", "reported_snr")
    return all(torch.allclose(getattr(batch, n)[item], getattr(single, n), rtol=1e-5) for n in names)


def _check_items(link: AnyLink, size: int) -> None:
    random = Random.of([21, 22, 23, 24])
    batch, usage = _sent(link, random, size)
    single, _ = _sent(link, alone(random, 3), size)
    (again, usage_again), repeated = twice(lambda: _sent(link, random, size))
    require(batch.batch == random.batch, f"received batch is {batch.batch}, not {random.batch}")
    require(_same_item(batch, single, 3), "item 3 of a batch is not received as item 3 alone")
    require(all(_same_item(again, item_of(repeated[0], i), i) for i in range(4)), "a transfer is not repeatable")
    require(usage_again == repeated[1], "the usage of a transfer is not repeatable")
    if isinstance(batch, Bits):
        require(usage.delivered == (None not in batch.strings), "delivered does not state whether every item arrived")
        require(usage.num_bits == 4 * (size // 8) * 8, "num_bits of send is not the payload's")
    else:
        require(usage.num_bits == 0, "an analog link counts bits")


def _same_item(batch: Payload, single: Payload, item: int) -> bool:
    of_batch = item_of(batch, item)
    if isinstance(of_batch, Symbols) and isinstance(single, Symbols):
        return close(of_batch.mmse(), single.mmse(), 1e-5)
    return of_batch == single


def _check_usage(link: AnyLink, size: int) -> None:
    one, ten = link.usage(Size.fixed(size), 1), link.usage(Size.fixed(size), 10)
    double = link.usage(Size.fixed(2 * size), 1)
    for usage in (one, ten, double):
        _check_counts(usage, "usage")
    for name in COUNTS:
        a, b, c = (getattr(u, name) for u in (one, ten, double))
        is_linear = math.isclose(b, 10 * a, rel_tol=1e-6, abs_tol=1e-15)
        require(is_linear, f"{name} of ten items is not ten times one item's")
        # A larger payload may fall on a safer scheme and need fewer retransmissions, so these may shrink.
        grows = name in ("num_retransmissions", "feedback_s") or c >= a or math.isclose(c, a)
        require(grows, f"{name} shrinks when the payload grows")
    expected_bits = size if link.carries is Bits else 0
    require(math.isclose(one.num_bits, expected_bits), f"num_bits of usage is {one.num_bits}, not {expected_bits}")


def _check_usage_of_sends(link: AnyLink, size: int, num_transfers: int) -> None:
    batches = [Random.of(range(4 * i, 4 * i + 4)) for i in range(num_transfers)]
    sends = [_sent(link, random, size)[1] for random in batches]
    expected = link.usage(Size.fixed(size), 4)
    for name in COUNTS:
        taken = [getattr(usage, name) for usage in sends]
        mean, stated = math.fsum(taken) / len(taken), getattr(expected, name)
        agrees = mean_agrees(taken, stated, 0.03) or abs(mean - stated) <= _chance(name, expected, num_transfers)
        require(agrees, f"usage states {name} {stated:.4g}, but sending takes {mean:.4g} on average")


def _chance(name: str, expected: Usage, num_transfers: int) -> float:
    """How far the mean of rare events may be off: 4 standard deviations of a Poisson count."""
    count = 4.0 * math.sqrt(expected.num_retransmissions / num_transfers)
    if name == "feedback_s" and count:
        return count * expected.feedback_s / expected.num_retransmissions
    return count if name == "num_retransmissions" else 0.0


def _check_durations(link: AnyLink, size: int) -> None:
    expected = link.usage(Size.fixed(size), 4)
    draws = link.draw_durations_s(Size.fixed(size), 4, 1000, 0)
    fits = tuple(draws.shape) == (1000,) and draws.dtype == torch.float64
    require(fits, "drawn durations are not float64 [num_draws]")
    require(finite(draws) and bool((draws >= 0).all()), "a drawn duration is negative or not finite")
    again = link.draw_durations_s(Size.fixed(size), 4, 1000, 0)
    require(torch.equal(draws, again), "drawn durations are not repeatable")
    stated, mean = expected.duration_s + expected.feedback_s, float(draws.mean())
    agrees = mean_agrees(draws.tolist(), stated, 0.02)
    require(agrees, f"usage states {stated:.4g} s with feedback, but drawn durations have mean {mean:.4g} s")


def _check_capacity(link: AnyLink) -> None:
    if link.carries is Symbols:
        require(link.capacity_bits(100.0, 10.0) == 0, "an analog link promises bits")
        return
    few, many, poor = (link.capacity_bits(*x) for x in ((1000.0, 10.0), (2000.0, 10.0), (1000.0, 0.1)))
    require(0 <= poor <= few <= many, "capacity_bits does not grow with channel uses and SNR")


def _check_gradient(link: AnyLink, size: int) -> None:
    random = Random.of([1, 2])
    values = random.complex_normal((size,), "payload").requires_grad_()
    received, _ = link.send(Symbols.clean(values), link.observe(random), random)
    require(received.values.requires_grad, "received values carry no gradient to the symbols that were sent")
    (slope,) = torch.autograd.grad(received.mmse().abs().square().sum(), values)
    require(finite(slope) and bool(slope.abs().sum() > 0), "the gradient through the link is 0 or not finite")
