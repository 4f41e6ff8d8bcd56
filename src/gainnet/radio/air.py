"""What every radio link shares: reports to the sender, and what uses of the air cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState, Usage
from gainnet.core.units import db_to_linear
from gainnet.radio.channel import Channel, Evolving, Selective, coherent_uses


class RadioLink(Protocol):
    """Fields of every link that has a radio.

    channel: what the air does.   snr_db: mean received Es/N0.   bandwidth_hz: channel uses per second.
    tx_power_w, rx_power_w: power of the radios while the link is busy.
    report_error_db: standard deviation of the Gaussian error, in dB, of every SNR report to the sender.
    report_delay_blocks: fading blocks (slots of a selective channel) between a measurement and its use by the sender.
    """

    @property
    def channel(self) -> Channel: ...
    @property
    def snr_db(self) -> float: ...
    @property
    def bandwidth_hz(self) -> float: ...
    @property
    def tx_power_w(self) -> float: ...
    @property
    def rx_power_w(self) -> float: ...
    @property
    def report_error_db(self) -> float: ...
    @property
    def report_delay_blocks(self) -> int: ...


@final
@dataclass(frozen=True)
class Outcome:
    """What happened to the items of a transfer.

    Args:
        num_channel_uses: [num_items], all attempts together, float64.
        num_retransmissions: [num_items], codewords sent again.
        num_waits: [num_items], waits for feedback before something could be sent again.
        delivered: [num_items], bool.
    """

    num_channel_uses: Tensor
    num_retransmissions: Tensor
    num_waits: Tensor
    delivered: Tensor

    @staticmethod
    def at_once(num_channel_uses: Tensor) -> Outcome:
        """Everything arrived at the first attempt."""
        none = torch.zeros_like(num_channel_uses)
        return Outcome(num_channel_uses, none, none, torch.ones_like(none, dtype=torch.bool))


def observe(link: RadioLink, random: Random) -> ChannelState:
    r"""State of the air when something is sent.

    $\hat\gamma = \gamma |h_{-d}|^2 10^{e/10}, \quad e \sim \mathcal{N}(0, \text{report error}^2)$, $d$ the delay;
    over a slot with many gains the SNR of equal mutual information, $2^{E \log_2(1 + \gamma |h|^2)} - 1$

    Args:
        link: the link, its channel and mean SNR.
        random: streams of this transfer; the state is [*batch] as they are.
    """
    gain = link.channel.first_gain(random)
    snr = torch.full(random.batch, db_to_linear(link.snr_db))
    return ChannelState(snr, gain, _reported(link, snr, gain, random), coherent_uses(link.channel))


def observe_at(link: RadioLink, random: Random, blocks: Tensor, reports: Random) -> ChannelState:
    """State of the air in given blocks of a process.

    Args:
        link: a link whose channel is `Evolving`.
        random: streams of the process, [num].
        blocks: [num], block in which each transmission starts.
        reports: streams of the errors of the reports, [num].
    """
    channel = link.channel
    assert isinstance(channel, Evolving)
    times = torch.stack([blocks, blocks - link.report_delay_blocks], -1)
    gain, measured = channel.gains(random, times).unbind(-1)
    snr = torch.full(random.batch, db_to_linear(link.snr_db))
    reported = _with_error(link, snr * measured.abs().square(), reports)
    return ChannelState(snr, gain, reported, link.channel.block_length)


def _reported(link: RadioLink, snr: Tensor, gain: Tensor, random: Random) -> Tensor:
    """[*batch], SNR that the sender is told."""
    channel, delay = link.channel, link.report_delay_blocks
    if isinstance(channel, Selective):
        gains = channel.slot_gains(random, -delay)
        exact = (1 + snr.unsqueeze(-1) * gains.abs().square()).log2().mean(-1).exp2() - 1
    elif delay and isinstance(channel, Evolving):
        exact = snr * channel.gains(random, torch.full((*random.batch, 1), -delay))[..., 0].abs().square()
    elif delay:
        # A channel without memory: what was measured has nothing to do with what comes.
        exact = snr * channel.first_gain(random.child("late report", delay)).abs().square()
    else:
        exact = snr * gain.abs().square()
    return _with_error(link, exact, random)


def _with_error(link: RadioLink, reported: Tensor, random: Random) -> Tensor:
    if link.report_error_db:
        return reported * 10 ** (link.report_error_db / 10 * random.normal((1,), "report error")[..., 0])
    return reported


def usage_of(link: RadioLink, num_bits: float, outcome: Outcome, feedback_delay_s: float) -> Usage:
    """What a transfer of these items took; item after item over one medium."""
    num_uses = float(outcome.num_channel_uses.sum())
    duration_s = num_uses / link.bandwidth_hz
    return Usage(
        num_bits=num_bits,
        num_channel_uses=num_uses,
        num_retransmissions=float(outcome.num_retransmissions.sum()),
        duration_s=duration_s,
        feedback_s=float(outcome.num_waits.sum()) * feedback_delay_s,
        tx_energy_j=duration_s * link.tx_power_w,
        rx_energy_j=duration_s * link.rx_power_w,
        delivered=bool(outcome.delivered.all()),
    )


def mean_outcome(outcome: Outcome, num_items: int) -> Outcome:
    """Expectation of `num_items` items from a sample of items; delivered where most of the sample was."""

    def mean(x: Tensor) -> Tensor:
        return num_items * x.double().mean(0, keepdim=True)

    return Outcome(
        mean(outcome.num_channel_uses),
        mean(outcome.num_retransmissions),
        mean(outcome.num_waits),
        outcome.delivered.double().mean(0, keepdim=True) > 0.5,
    )


def resample_durations_s(
    link: RadioLink, outcome: Outcome, feedback_delay_s: float, num_items: int, num_draws: int, random_seed: int
) -> Tensor:
    """[num_draws], durations with feedback of `num_items` items drawn with replacement from a sample of items."""
    per_item_s = outcome.num_channel_uses / link.bandwidth_hz + feedback_delay_s * outcome.num_waits
    uniform = Random.of(random_seed).child("resample").uniform((num_draws, num_items))
    return per_item_s.double()[(uniform * len(per_item_s)).long()].sum(-1)


def check_radio(link: RadioLink) -> None:
    """Raises `ConfigError` for a field that no radio can have."""
    if not (-60.0 <= link.snr_db <= 100.0 or link.snr_db == math.inf):
        raise ConfigError(f"snr_db: {link.snr_db} is absurd; give -60 .. 100, or inf for no noise")
    if not 0.0 < link.bandwidth_hz < math.inf:
        raise ConfigError(f"bandwidth_hz: {link.bandwidth_hz} is no bandwidth; give a positive number of Hz")
    for name in ("tx_power_w", "rx_power_w", "report_error_db"):
        value = getattr(link, name)
        if not 0.0 <= value < math.inf:
            raise ConfigError(f"{name}: {value} is out of range; give 0 or more")
    if not 0 <= link.report_delay_blocks <= 10**6:
        raise ConfigError(f"report_delay_blocks: {link.report_delay_blocks} is out of range; give 0 or more blocks")
