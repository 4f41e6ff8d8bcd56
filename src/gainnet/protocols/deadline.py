"""A transfer that is given up when its time is over: what arrived by then is kept, the rest is concealed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from gainnet.core.errors import PayloadError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Symbols, Usage
from gainnet.protocols.plan import Plan, Step, Transfer


class Sender(Protocol):
    """The part of a link that a transmission needs."""

    def observe(self, random: Random) -> ChannelState:
        """Channel state when a transfer starts; [*batch] as `random`."""

    def send(self, payload: Any, state: ChannelState, random: Random) -> tuple[Any, Usage]:
        """The payload as received, and the usage of the link."""


def within(plan: Plan, deadline_s: float) -> Plan:
    """The plan, its fallbacks included, with that deadline for every transfer.

    >>> within(Plan((), ("device", "image")), 1.0).steps
    ()
    """
    fallback = plan.fallback
    steps = tuple(_limited(step, deadline_s) for step in plan.steps)
    if fallback is None:
        return replace(plan, steps=steps)
    return replace(plan, steps=steps, fallback=lambda arrived: within(fallback(arrived), deadline_s))


def send_in_time(
    link: Sender, payload: Payload, state: ChannelState, random: Random, deadline_s: float
) -> tuple[Payload, Usage]:
    """The payload as received by the deadline, and what that took.

    Items go one after another. An item of bits that is not complete in time did not arrive; of symbols, every item
    gets an equal share of the time and the symbols that were not sent are erased (gain 0), so that a codec estimates
    them by their mean.

    Args:
        link: carries the payload.
        payload: of a batch.
        state: of the air when the transfer starts.
        random: streams of this transfer.
        deadline_s: time on the medium, feedback included.
    """
    received, usage = link.send(payload, state, random)
    busy_s = usage.duration_s + usage.feedback_s
    if busy_s <= deadline_s:
        return received, usage
    # The sender stops at the deadline, so time, uses and energy shrink by the same share.
    cut = shortened(usage, deadline_s / busy_s)
    if isinstance(received, Symbols):
        return _erased(received, deadline_s / busy_s), cut
    return _complete(received, usage, deadline_s), cut


def shortened(usage: Usage, share: float) -> Usage:
    """Usage of a transfer that was given up after a share of its time.

    >>> shortened(Usage(8, 100, 0, 1.0, 0.0, 2.0, 1.0), 0.25).num_channel_uses
    25.0
    """
    names = ("num_channel_uses", "num_retransmissions", "duration_s", "feedback_s", "tx_energy_j", "rx_energy_j")
    return replace(usage, delivered=False, item_s=(), **{name: share * getattr(usage, name) for name in names})


def expected_in_time(
    usage: Usage, draws_s: npt.NDArray[np.float64], deadline_s: float
) -> tuple[Usage, npt.NDArray[np.float64]]:
    """Expected usage and drawn durations of a transfer with a deadline.

    The expectation of min(T, deadline) is not the minimum of the expectation, so it is taken over the draws.
    """
    if math.isinf(deadline_s) or not (draws_s > deadline_s).any():
        return usage, draws_s
    # A transfer that is given up has kept the medium busy until the deadline.
    in_time_s = np.minimum(draws_s, deadline_s)
    share = float(in_time_s.mean() / draws_s.mean())
    return replace(shortened(usage, share), delivered=bool((draws_s <= deadline_s).mean() > 0.5)), in_time_s


def _limited(step: Step, deadline_s: float) -> Step:
    return replace(step, deadline_s=deadline_s) if isinstance(step, Transfer) else step


def _erased(received: Symbols, share: float) -> Symbols:
    sent = torch.arange(received.num_symbols) < int(share * received.num_symbols)
    # Gain 0 and noise 1 make the MMSE estimate of an erased symbol 0, its mean.
    values, gain = (torch.where(sent, x, torch.zeros_like(x)) for x in (received.values, received.gain))
    noise = torch.where(sent, received.noise_variance, torch.ones_like(received.noise_variance))
    return replace(received, values=values, gain=gain, noise_variance=noise)


def _complete(received: Payload, usage: Usage, deadline_s: float) -> Bits:
    """Items whose last bit arrived in time; equal shares of the time where a link does not state those of items."""
    if not isinstance(received, Bits):
        raise PayloadError("a transfer carries bits or symbols")
    num = len(received.strings)
    ends_s = accumulate(usage.item_s or (((usage.duration_s + usage.feedback_s) / num,) * num))
    in_time = (string if end_s <= deadline_s else None for string, end_s in zip(received.strings, ends_s, strict=True))
    return Bits(tuple(in_time), received.batch)
