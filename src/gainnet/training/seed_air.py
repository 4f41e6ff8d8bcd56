"""Cases of the air that a seed codec is trained on: sizes, reports, prompts, and channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from gainnet.codecs.seed_codec.network import Estimate, Received, SeedNetwork, power_of, to_dimensions
from gainnet.models.scenes import stream

MATCHED, WRONG_REPORT, FADING, CUT = "matched", "wrong report", "fading", "cut"
KINDS = (MATCHED, WRONG_REPORT, FADING, CUT)
KIND_SHARES = (0.66, 0.12, 0.16, 0.06)
SHARE_WITH_PROMPT = 0.35
REPORTS_DB = (-11.0, 21.0)
FEWEST_USES = 14.0
WRONG_BY_DB = 7.0
BLOCKS = (1, 2, 3, 4, 8, 16)
"""Fading blocks of a seed."""


@final
@dataclass(frozen=True)
class AirRange:
    """Uses and reports that a stage trains for.

    Args:
        fewest_uses: complex symbols, half the components if these are fewer.
        most_uses: all components when `None`.
        reports_db: lowest and highest SNR that is reported to the sender.
    """

    fewest_uses: float = FEWEST_USES
    most_uses: int | None = None
    reports_db: tuple[float, float] = REPORTS_DB


@final
@dataclass(frozen=True)
class Cases:
    """Groups of items that share uses, report and prompt or not; channels are drawn per item.

    Args:
        num_channel_uses: [num_groups].
        reported_snr: [num_groups], linear.
        with_prompt: [num_groups].
        received_gain: [num_groups, n, most uses], squared magnitude of the gain; 0 where nothing arrived.
        received_noise: [num_groups, n], noise variance of a complex symbol.
    """

    num_channel_uses: Tensor
    reported_snr: Tensor
    with_prompt: Tensor
    received_gain: Tensor
    received_noise: Tensor

    @property
    def num_items(self) -> int:
        """Items of a group."""
        return int(self.received_noise.shape[1])


def draw_cases(
    num_groups: int,
    num_items: int,
    most_uses: int,
    random_seed: int,
    step: int,
    stage: str,
    air: AirRange = AirRange(),  # it is frozen
) -> Cases:
    """Cases of one step: uses (by their logarithm) and reports spread evenly, channels of every kind.

    Args:
        num_groups: groups.
        num_items: items of a group.
        most_uses: largest number of uses.
        random_seed: of the training.
        step: number of the step.
        stage: its stage.
        air: uses and reports.
    """
    rng = stream(random_seed, f"seed codec cases {stage}", step)
    most = min(most_uses, air.most_uses or most_uses)
    fewest = min(air.fewest_uses, most / 2)
    uses = _even(rng, num_groups, math.log(fewest), math.log(most + 0.5)).exp().round().long().clamp(1, most)
    report = 10 ** (_even(rng, num_groups, *air.reports_db) / 10)
    noise = (1 / report)[:, None].repeat(1, num_items)
    gain = torch.ones(num_groups, num_items, most_uses)
    for group, kind in enumerate(rng.choice(len(KINDS), num_groups, p=KIND_SHARES)):
        _disturb(KINDS[kind], gain[group], noise[group], int(uses[group]), rng)
    prompted = torch.from_numpy(rng.random(num_groups) < SHARE_WITH_PROMPT)
    return Cases(uses, report, prompted, gain, noise.float())


def _even(rng: np.random.Generator, count: int, low: float, high: float) -> Tensor:
    """[count], one draw from each of as many equal parts, in random order."""
    share = (rng.permutation(count) + rng.random(count)) / count
    return torch.from_numpy(low + (high - low) * share)


def _disturb(kind: str, gain: Tensor, noise: Tensor, num_uses: int, rng: np.random.Generator) -> None:
    """Changes gain [n, most uses] and noise [n] of a group in place."""
    num_items, most_uses = gain.shape
    if kind == WRONG_REPORT:
        noise *= torch.from_numpy(10 ** (rng.uniform(-WRONG_BY_DB, WRONG_BY_DB, num_items) / 10))
    elif kind == FADING:
        _fade(gain, noise, num_uses, rng)
    elif kind == CUT:
        arrived = torch.from_numpy((rng.random(num_items) * float(num_uses)).astype("int64"))
        # At least one symbol arrives: of nothing there is nothing to learn.
        gain[torch.arange(most_uses) >= arrived.clamp_min(1)[:, None]] = 0.0


def _fade(gain: Tensor, noise: Tensor, num_uses: int, rng: np.random.Generator) -> None:
    """Rayleigh blocks of which the first one was reported."""
    num_items, most_uses = gain.shape
    length = max(1, round(num_uses / float(rng.choice(BLOCKS))))
    powers = torch.from_numpy(rng.exponential(size=(num_items, -(-most_uses // length)))).float()
    # The report is true for the first block, so noise follows its power: near 0 later blocks would have no noise.
    powers[:, 0].clamp_(0.05, 5.0)
    gain.copy_(powers.repeat_interleave(length, 1)[:, :most_uses])
    noise.mul_(powers[:, 0])


class OverAir(nn.Module):
    """The network with the air between its halves.

    components --> send --> unit power over a group --> gains and noise --> receive --> estimate
    """

    def __init__(self, network: SeedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, components: Tensor, indices: Tensor, cases: Cases, noise: Tensor) -> Estimate:
        """The receiver's estimate of the components of num_groups * n items.

        Args:
            components: [num_groups * n, num_values].
            indices: [num_groups * n, num_words].
            cases: of this step.
            noise: [num_groups * n, passes, num_values], standard normal.
        """
        case = self.network.side_information(cases.num_channel_uses, cases.reported_snr).repeated(cases.num_items)
        sent, linear = self.network.send(components, case, indices)
        groups = -1, cases.num_items
        # Over a group, as over the ensemble at run time: a factor per item would be side information.
        uses = cases.num_channel_uses.to(components.device)
        power = power_of(sent.unflatten(0, groups), linear.unflatten(0, groups), uses)
        scale = power.rsqrt().repeat_interleave(cases.num_items)[:, None, None]
        gain = self._gains(cases).to(components)
        # Half of a complex symbol's noise in each real dimension.
        variance = (cases.received_noise / 2).flatten()[:, None, None].to(components)
        turned = gain * scale * sent + (gain * variance).sqrt() * noise
        received = Received(turned, gain, variance.expand_as(gain))
        return self.network.receive(received, scale * case.amplitudes, case, indices)

    def _gains(self, cases: Cases) -> Tensor:
        """Per real dimension, 0 behind the last use."""
        sent = torch.arange(cases.received_gain.shape[-1]) < cases.num_channel_uses[:, None, None]
        gains = (cases.received_gain * sent).flatten(0, 1).repeat_interleave(2, -1)
        return to_dimensions(gains, len(self.network.variances))
