"""Lengths of codewords that outlast their fading block: until the blocks they meet have carried enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.radio.air import Air
from gainnet.radio.coding.adaptation import num_uses, tables
from gainnet.radio.coding.information import Accumulated, bit_information
from gainnet.radio.coding.mcs import LADDER, NUM_CRC_BITS
from gainnet.radio.fading.channel import Channel, blockwise
from gainnet.radio.links.portion import state_at, streams_at

STEP: Final = 16
"""Lengths are multiples of this number of channel uses, so that codewords share formats."""

_SAMPLES_PER_SLOT: Final = 24
_MAX_USES_PER_LOWEST: Final = 4


@final
@dataclass(frozen=True)
class Pieces:
    """SNR along a transmission, piece by piece.

    Args:
        snr: [num_codewords, num_pieces], linear.
        length: channel uses of a piece.
    """

    snr: Tensor
    length: int

    def information(self, bits_per_symbol: int, num_channel_uses: Tensor) -> Tensor:
        """[num_codewords], bits that the first channel uses of each carry, the last piece in part.

        Args:
            bits_per_symbol: 2, 4, 6 or 8.
            num_channel_uses: [num_codewords].
        """
        per_piece = self.length * bits_per_symbol * bit_information(bits_per_symbol, self.snr)
        total = torch.cat([torch.zeros_like(per_piece[:, :1]), per_piece.cumsum(-1)], -1)
        whole = (num_channel_uses // self.length).clamp_max(self.snr.shape[-1])
        share = (num_channel_uses - whole * self.length) / self.length
        last = per_piece.gather(-1, whole.clamp_max(self.snr.shape[-1] - 1)[:, None])[:, 0]
        return total.gather(-1, whole[:, None])[:, 0] + share * last


def pieces(channel: Channel, num_channel_uses: int, state: ChannelState, random: Random) -> Pieces:
    """SNR along a transmission: exact by blocks, sampled where every use has its own gain.

    Args:
        channel: gives the gains.
        num_channel_uses: of the transmission.
        state: [num_codewords], channel state at the start.
        random: streams of the transmission, [num_codewords].
    """
    if num_channel_uses <= channel.block_length:
        return Pieces((state.snr * state.gain.abs().square()).unsqueeze(-1), num_channel_uses)
    if (fading := blockwise(channel)) is not None:
        num_blocks = -(-num_channel_uses // channel.block_length)
        gains = fading.block_gains(state.gain, num_blocks, random)
        return Pieces(state.snr[:, None] * gains.abs().square(), channel.block_length)
    # Other channels state no gains but those of a transmission, with what an estimate of them adds to the noise.
    sent = torch.ones(len(state.snr), num_channel_uses, dtype=torch.complex64)
    received = channel.transmit(sent, state.snr, state.gain, random)
    step = max(1, channel.blocks.length // _SAMPLES_PER_SLOT)
    return Pieces((received.gain.abs().square() / received.noise_variance)[:, ::step], step)


def spanning_lengths(
    air: Air, target_bler: float, schemes: Tensor, num_bytes: Tensor, state: ChannelState, random: Random
) -> Tensor:
    """[num_codewords], channel uses after which the block error rate is at most the target, for every codeword.

    The receiver reports the SNR of every block as it begins, wrong by the factor of the first report, or as many blocks
    later as reports are late; until then the sender uses the report that it has. It goes on until the codeword has
    what it needs; modulations are those of `schemes`. At most four times the length at the lowest scheme.

    Args:
        air: fading, and delay of the reports.
        target_bler: block error rate that the codeword aims at.
        schemes: [num_codewords], index into `LADDER`.
        num_bytes: [num_codewords], payload.
        state: [num_codewords], channel state at the start.
        random: streams of the transmission, [num_codewords].
    """
    channel = air.fading
    # Twice the typical length first, then doubled for those that need more: most codewords are done at once.
    longest = _MAX_USES_PER_LOWEST * num_uses(torch.zeros_like(schemes), num_bytes)
    found = torch.zeros_like(num_bytes)
    width = STEP * int((2 * num_uses(schemes, num_bytes).double().median() / STEP).ceil())
    while (open_ := (found == 0).nonzero().squeeze(-1)).numel():
        width = min(width, int(longest[open_].max()))
        streams, now = streams_at(random, open_), state_at(state, open_)
        # One use more than a block, since a first block alone would be described by its one piece.
        seen = pieces(channel, max(width, channel.block_length + 1), now, streams)
        reported = _reported(channel, seen, now, air.reports.delay_blocks)
        found[open_] = _shortest(reported, target_bler, schemes[open_], num_bytes[open_], width)
        found[open_] = torch.where((found[open_] == 0) & (longest[open_] <= width), longest[open_], found[open_])
        width *= 2
    return found


def _shortest(seen: Pieces, target_bler: float, schemes: Tensor, num_bytes: Tensor, width: int) -> Tensor:
    """[num_codewords], shortest length up to `width` that keeps the target, by bisection; 0 where none does."""
    found = torch.zeros_like(num_bytes)
    for scheme, size in torch.stack([schemes, num_bytes], -1).unique(dim=0).tolist():
        members = ((schemes == scheme) & (num_bytes == size)).nonzero().squeeze(-1)
        own, order = Pieces(seen.snr[members], seen.length), LADDER[scheme].bits_per_symbol
        k = 8 * size + NUM_CRC_BITS
        low = torch.full_like(members, _least_steps(k, order) - 1)
        high = torch.full_like(members, max(width // STEP, _least_steps(k, order)))

        # Values of this turn as defaults: a closure would see those of the last one.
        def holds(steps: Tensor, own: Pieces = own, order: int = order, scheme: int = scheme, k: int = k) -> Tensor:
            uses = steps * STEP
            so_far = Accumulated(own.information(order, uses), uses.double() * order)
            return so_far.bler(tables(), scheme, k) <= target_bler

        reached = holds(high)
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            enough = holds(middle)
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        found[members] = torch.where(reached, high * STEP, 0)
    return found


def _least_steps(num_information_bits: int, bits_per_symbol: int) -> int:
    """Steps below which the code rate of the first attempt would exceed that of the modulation's fastest scheme."""
    fastest = max(m.spectral_efficiency for m in LADDER if m.bits_per_symbol == bits_per_symbol)
    return int(-(-num_information_bits // (fastest * STEP)))


def _reported(channel: Channel, true: Pieces, state: ChannelState, delay: int) -> Pieces:
    """SNR that is reported to the sender along a transmission, `delay` blocks late."""
    if delay == 0:
        if not channel.blocks.is_flat:
            return true
        # An error of the radio's measurement stays the same while a codeword lasts.
        factor = state.reported_snr / true.snr[:, 0].clamp_min(1e-12)
        return Pieces(true.snr * factor[:, None], true.length)
    late = min(delay * max(1, channel.blocks.length // true.length), true.snr.shape[-1])
    before = state.reported_snr[:, None].expand(-1, late)
    return Pieces(torch.cat([before, true.snr[:, : true.snr.shape[-1] - late]], -1), true.length)
