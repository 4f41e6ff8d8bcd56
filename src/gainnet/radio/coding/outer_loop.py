"""Outer loop link adaptation: a margin on SNR reports that follows acknowledgements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio.air import Air
from gainnet.radio.coding.adaptation import LinkAdaptation, num_uses, tables
from gainnet.radio.coding.mcs import NUM_CRC_BITS
from gainnet.radio.fading.channel import block_fading


@final
@dataclass(frozen=True)
class OuterLoop:
    r"""A margin on reported SNRs that grows with every failure and shrinks with every success.

    $\Delta \leftarrow \Delta + \delta (1 - \epsilon)$ on a NACK, $\Delta - \delta\, \epsilon$ on an ACK; it rests
    where the block error rate is the target $\epsilon$   (Sampath, Kumar and Holtzman 1997)

    Args:
        step_db: $\delta$, 0 to 10 dB; 0 leaves the margin at 0.
        target_bler: $\epsilon$ in (0, 0.5).
        min_db: lowest margin; below 0, since reports may also be too low.
        max_db: highest margin.

    Raises:
        ConfigError: a field is out of range.

    >>> OuterLoop(1.0, 0.1).after(torch.tensor([0.0, 0.0]), torch.tensor([True, False])).tolist()
    [-0.10000000149011612, 0.8999999761581421]
    """

    step_db: float = 0.5
    target_bler: float = 0.1
    min_db: float = -10.0
    max_db: float = 20.0

    def __post_init__(self) -> None:
        check_range(0.0 <= self.step_db <= 10.0, "step_db", self.step_db, "0 to 10 dB")
        check_range(0.0 < self.target_bler < 0.5, "target_bler", self.target_bler, "between 0 and 0.5")

    def after(self, margin_db: Tensor, acknowledged: Tensor) -> Tensor:
        """[...], margin in dB after an acknowledgement; both arguments [...]."""
        change = torch.where(acknowledged, -self.target_bler, 1.0 - self.target_bler) * self.step_db
        return (margin_db + change).clamp(self.min_db, self.max_db)


@final
@dataclass(frozen=True)
class Stream:
    """Averages over a stream of codewords, one per block.

    Args:
        bler: [*batch], share of codewords that failed.
        goodput: [*batch], payload bits that were delivered per channel use.
        margin_db: [*batch], mean margin.
    """

    bler: Tensor
    goodput: Tensor
    margin_db: Tensor


def stream(air: Air, loop: OuterLoop, num_blocks: int, random: Random, feedback_delay_blocks: int = 4) -> Stream:
    """Codewords that fill block after block, sent once each, with inner and outer loop; at table speed.

    Args:
        air: radio conditions, with fading in blocks.
        loop: the outer loop.
        num_blocks: blocks that follow each other, >= 8; the first quarter, in which the margin settles, is left out.
        random: streams, [*batch].
        feedback_delay_blocks: blocks until an acknowledgement arrives.

    Raises:
        ConfigError: a channel without blocks.
    """
    fading, late = block_fading(air.fading, "outer loop"), air.reports.delay_blocks
    gains = fading.block_gains(air.fading.first_gain(random), num_blocks + late, random)
    snr = air.snr * gains.abs().square().double()
    error_db = air.reports.error_db * random.normal((num_blocks,), "report errors").double()
    # Block b is described by the report of the block that was sent `late` blocks before it.
    reported_db, true_db = linear_to_db(snr[..., :num_blocks]) + error_db, linear_to_db(snr[..., late:])
    drawn = random.uniform((num_blocks,), "luck").double()
    adaptation = LinkAdaptation(fading.block_length, loop.target_bler)
    full_bytes, margin_db = adaptation.full_num_bytes(), torch.zeros_like(reported_db[..., 0])
    acknowledged: list[Tensor] = []
    carried: list[Tensor] = []
    margins_db: list[Tensor] = []
    for block in range(num_blocks):
        if block >= feedback_delay_blocks:
            margin_db = loop.after(margin_db, acknowledged[block - feedback_delay_blocks])
        scheme = adaptation.full_scheme(db_to_linear(reported_db[..., block] - margin_db))
        size = full_bytes[scheme]
        # A codeword longer than the block is not sent: the block is left to others.
        fits = num_uses(scheme, size) <= adaptation.block_length
        bler = tables().bler(scheme, 8 * size + NUM_CRC_BITS, true_db[..., block])
        acknowledged.append((drawn[..., block] >= bler) | ~fits)
        carried.append(torch.where(fits & acknowledged[-1], 8.0 * size / adaptation.block_length, 0.0))
        margins_db.append(margin_db)
    held, goodput, margin = (torch.stack(x[num_blocks // 4 :], -1) for x in (acknowledged, carried, margins_db))
    return Stream(1 - held.double().mean(-1), goodput.double().mean(-1), margin.mean(-1))
