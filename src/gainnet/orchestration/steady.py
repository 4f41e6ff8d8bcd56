"""The largest number of samples that a round can sense beside the training of as many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.orchestration.exchange import Directions, Reals, columns_of, parts_of

_TOLERANCE = 1e-12
_MAX_STEPS = 60
_STEPS_OF_ROOTS = (4, 3, 2)
"""Newton steps for the exchange: afresh, from the exchange of rather more samples, and of hardly more."""


def feed(
    bandwidth_hz: Tensor, cycles_per_s: Tensor, duration_s: Tensor, num_bits: Tensor, cn0_down_hz: Tensor,
    cn0_up_hz: Tensor, cycles_per_sample: Tensor, spectrum_hz_s: Tensor, visual_cycles: Tensor, most_wireless: Tensor,
    most_visual: Tensor, most: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    r"""The root of $x - x_{ws}(x) - x_{vs}(x)$ from above, and the wireless and visual samples beside it, [n] each.

    That difference is convex in x, so Newton's method comes down onto the root. The exchange that x leaves time for is
    not solved afresh in each step: its two unknowns go on from where they were.

    Args:
        bandwidth_hz: [n], of the pool.
        cycles_per_s: [n], of the pool.
        duration_s: [n], of the CR.
        num_bits: [n], of the model.
        cn0_down_hz: [n], received power over noise density > 0 of the download.
        cn0_up_hz: [n], of the upload > 0.
        cycles_per_sample: [n], of training.
        spectrum_hz_s: [n], of a wireless sample.
        visual_cycles: [n], of a visual sample.
        most_wireless: [n], wireless samples of all targets in range.
        most_visual: [n], visual samples of all targets in sight.
        most: [n], samples > 0 that can be trained and are at least the root.
    """
    given = (
        bandwidth_hz, cycles_per_s, duration_s, math.log(2) * num_bits, cn0_down_hz, cn0_up_hz, cycles_per_sample,
        spectrum_hz_s, visual_cycles, most_wireless, most_visual, most,
    )  # fmt: skip
    *numbers, start = columns_of(given)
    found = np.empty((3, start.size))
    for part in parts_of(start.size):
        _feed(found[:, part], np.stack([x[part] for x in numbers]), start[part])
    samples, wireless, visual = torch.from_numpy(found).unbind(0)
    return samples, wireless, visual


@final
@dataclass(frozen=True)
class _Cycle:
    """Sensing beside the training of so many samples, of n problems.

    Args:
        directions: of the exchange.
        numbers: [11, n], the arguments of `feed` but the last.
    """

    directions: Directions
    numbers: Reals

    @staticmethod
    def of(numbers: Reals) -> _Cycle:
        band, _, _, nats, down, up = numbers[:6]
        return _Cycle(Directions.of(nats, band, np.minimum(down, up), np.maximum(down, up)), numbers)

    def only(self, some: NDArray[np.bool_]) -> _Cycle:
        return _Cycle.of(self.numbers[:, some])

    def roots(self, x: Reals, start: tuple[Reals, Reals] | None, num_steps: int) -> tuple[Reals, Reals]:
        """The exchange that x leaves time for."""
        _, rate, duration, _, _, _, per_sample, _, _, _, _ = self.numbers
        return self.directions.roots(duration - x * per_sample / rate, start, num_steps)

    def sensed(self, x: Reals, roots: tuple[Reals, Reals]) -> tuple[Reals, Reals]:
        """Wireless and visual samples beside x."""
        band, rate, duration, nats, _, _, per_sample, spectrum, visual_cycles, most_wireless, most_visual = self.numbers
        area = nats / roots[0] + nats / roots[1]
        wireless = np.maximum(band * duration - area, 0.0) / spectrum
        visual = np.maximum(rate * duration - x * per_sample, 0.0) / visual_cycles
        return np.minimum(wireless, most_wireless), np.minimum(visual, most_visual)

    def fall(self, roots: tuple[Reals, Reals], wireless: Reals, visual: Reals) -> Reals:
        """Samples fewer that are sensed per sample trained: the multiplier of time on spectrum, and its cycles."""
        _, rate, _, _, _, _, per_sample, spectrum, visual_cycles, most_wireless, most_visual = self.numbers
        by_marginal = self.directions.marginal_hz(roots[0]) * per_sample / rate / spectrum
        # Where targets are the limit, less spectrum or fewer cycles cost no samples at first.
        fewer: Reals = np.where(wireless < most_wireless, by_marginal, 0.0)
        fewer += np.where(visual < most_visual, per_sample / visual_cycles, 0.0)
        return fewer


def _feed(out: Reals, numbers: Reals, most: Reals) -> None:
    """Fills `out` [3, n] with samples, wireless and visual samples."""
    cycle = _Cycle.of(numbers)
    roots = cycle.roots(most, None, _STEPS_OF_ROOTS[0])
    wireless, visual = cycle.sensed(most, roots)
    out[:] = most, wireless, visual
    # Most are bound by their targets or by training; Newton's method goes on with the others alone.
    starved = most - wireless - visual > _TOLERANCE * most
    if starved.any():
        out[:, starved] = _descend(cycle.only(starved), out[:, starved], (roots[0][starved], roots[1][starved]))


def _descend(cycle: _Cycle, first: Reals, roots: tuple[Reals, Reals]) -> tuple[Reals, Reals, Reals]:
    x, wireless, visual = first
    most, arrived = x, np.zeros(len(x), dtype=bool)
    for step in range(_MAX_STEPS):
        # How much more is consumed than sensed at x.
        excess = np.maximum(x - wireless - visual, 0.0)
        arrived = excess <= _TOLERANCE * most
        if arrived.all():
            break
        lower = np.maximum(x - excess / (1 + cycle.fall(roots, wireless, visual)), 0.0)
        # Who has arrived stays, so that an item of a batch does not depend on how long the others take.
        x = np.where(arrived, x, lower)
        v, w = cycle.roots(x, roots, _STEPS_OF_ROOTS[1] if step == 0 else _STEPS_OF_ROOTS[2])
        roots = np.where(arrived, roots[0], v), np.where(arrived, roots[1], w)
        wireless, visual = cycle.sensed(x, roots)
    return x, wireless, visual
