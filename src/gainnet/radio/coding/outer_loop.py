"""Outer loop link adaptation: what acknowledgements teach about reports that are late or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio.coding.adaptation import LinkAdaptation, num_uses, tables
from gainnet.radio.coding.mcs import NUM_CRC_BITS
from gainnet.radio.fading.channel import Channel, blockwise


@final
@dataclass(frozen=True)
class OuterLoop:
    r"""A margin on reported SNRs that grows with every failure and shrinks with every success.

    $\Delta \leftarrow \Delta + \delta (1 - \epsilon)$ on a NACK, $\Delta - \delta\, \epsilon$ on an ACK; it rests
    where the block error rate is the target $\epsilon$   (Sampath, Kumar and Holtzman 1997)

    Args:
        step_db: $\delta$ >= 0; 0 leaves the margin at 0.
        target_bler: $\epsilon$ in (0, 0.5).
        least_db: lowest margin; below 0, since reports may also be too careful.
        most_db: highest margin.

    Raises:
        ConfigError: a field out of range.

    >>> OuterLoop(1.0, 0.1).after(torch.tensor([0.0, 0.0]), torch.tensor([True, False])).tolist()
    [-0.10000000149011612, 0.8999999761581421]
    """

    step_db: float = 0.5
    target_bler: float = 0.1
    least_db: float = -10.0
    most_db: float = 20.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.step_db <= 10.0:
            raise ConfigError(f"step_db: {self.step_db} is outside 0 to 10 dB")
        if not 0.0 < self.target_bler < 0.5:
            raise ConfigError(f"target_bler: {self.target_bler} is out of range; give a number between 0 and 0.5")

    def after(self, margin_db: Tensor, acknowledged: Tensor) -> Tensor:
        """[...], margin after an acknowledgement."""
        change = torch.where(acknowledged, -self.target_bler, 1.0 - self.target_bler) * self.step_db
        return (margin_db + change).clamp(self.least_db, self.most_db)


@final
@dataclass(frozen=True)
class Stream:
    """What a stream of codewords came to, one per block.

    Args:
        bler: [*batch], share of codewords that failed.
        goodput: [*batch], payload bits that got through per channel use.
        margin_db: [*batch], mean margin.
    """

    bler: Tensor
    goodput: Tensor
    margin_db: Tensor


def stream(
    channel: Channel,
    snr_db: float,
    loop: OuterLoop,
    num_blocks: int,
    random: Random,
    report_delay_blocks: int = 0,
    report_error_db: float = 0.0,
    feedback_delay_blocks: int = 4,
) -> Stream:
    """Codewords that fill block after block, sent once each, with inner and outer loop; at table speed.

    The first quarter is left out, in which the margin settles.

    Args:
        channel: fading in blocks.
        snr_db: mean received Es/N0.
        loop: the outer loop.
        num_blocks: how many blocks follow each other, >= 8.
        random: streams, [*batch].
        report_delay_blocks: age of every report.
        report_error_db: standard deviation of the error of every report, in dB.
        feedback_delay_blocks: blocks until an acknowledgement arrives.

    Raises:
        ConfigError: a channel without blocks.
    """
    if (fading := blockwise(channel)) is None:
        raise ConfigError("channel: an outer loop needs fading in blocks; choose rayleigh, rician, jakes or a trace")
    total = num_blocks + report_delay_blocks
    gains = fading.block_gains(channel.first_gain(random), total, random)
    snr = db_to_linear(snr_db) * gains.abs().square().double()
    error_db = report_error_db * random.normal((num_blocks,), "report errors").double()
    reported_db = linear_to_db(snr[..., :num_blocks]) + error_db
    true_db, luck = linear_to_db(snr[..., report_delay_blocks:]), random.uniform((num_blocks,), "luck").double()
    return _run(
        LinkAdaptation(channel.block_length, loop.target_bler), loop, reported_db, true_db, luck, feedback_delay_blocks
    )


def _run(
    adaptation: LinkAdaptation, loop: OuterLoop, reported_db: Tensor, true_db: Tensor, luck: Tensor, feedback: int
) -> Stream:
    full_bytes, num_blocks = adaptation.full_num_bytes(), reported_db.shape[-1]
    margin_db = torch.zeros_like(reported_db[..., 0])
    acknowledged: list[Tensor] = []
    carried: list[Tensor] = []
    margins: list[Tensor] = []
    for block in range(num_blocks):
        if block >= feedback:
            margin_db = loop.after(margin_db, acknowledged[block - feedback])
        scheme = adaptation.full_scheme(db_to_linear(reported_db[..., block] - margin_db))
        size = full_bytes[scheme]
        # A codeword longer than the block is not sent: the block is left to others.
        fits = num_uses(scheme, size) <= adaptation.block_length
        bler = tables().bler(scheme, 8 * size + NUM_CRC_BITS, true_db[..., block])
        acknowledged.append((luck[..., block] >= bler) | ~fits)
        carried.append(torch.where(fits & acknowledged[-1], 8.0 * size / adaptation.block_length, 0.0))
        margins.append(margin_db)
    settled = slice(num_blocks // 4, None)
    return Stream(
        1 - torch.stack(acknowledged, -1)[..., settled].double().mean(-1),
        torch.stack(carried, -1)[..., settled].double().mean(-1),
        torch.stack(margins, -1)[..., settled].mean(-1),
    )
