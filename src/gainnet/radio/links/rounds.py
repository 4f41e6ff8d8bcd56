"""Rounds of selective repeat: codewords go out until their CRC holds or the attempts are used up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.radio.air import Air
from gainnet.radio.arq import Arq
from gainnet.radio.coding.adaptation import num_uses
from gainnet.radio.coding.mcs import LADDER
from gainnet.radio.links.outcome import Outcome
from gainnet.radio.links.portion import POLAR, Batch, state_at, streams_at
from gainnet.radio.links.segments import (
    Segments,
    adaptation_of,
    attempt_streams,
    first_lengths,
    free_lengths,
    num_blocks,
)
from gainnet.radio.links.spanning import STEP

_ORDERS: Final = torch.tensor([mcs.bits_per_symbol for mcs in LADDER])

SHARES: Final = (1.0, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0, 1.0)
"""Length of every attempt with incremental redundancy over that of a whole codeword; the last one repeats."""


class Attempt(Protocol):
    """One round: [num_codewords] bool, whose CRC holds."""

    def __call__(self, batch: Batch, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        """Sends codewords.

        Args:
            batch: formats, [num_codewords].
            rows: [num_codewords], which of the segments they are.
            state: [num_codewords], channel state at the start.
            random: streams of the attempts, [num_codewords].
        """


def exchange(air: Air, arq: Arq, segments: Segments, num_items: int, attempt: Attempt) -> Outcome:
    """Sends all codewords, then again those that failed, each time in a new block with a scheme for its report.

    Without combining a codeword is sent anew; with incremental redundancy more of it is sent, as much as `SHARES` says.
    An attempt that would end after the deadline is not made.

    Args:
        air: radio conditions.
        arq: attempts, feedback, deadline.
        segments: codewords of all items.
        num_items: items, including empty ones, which have no codewords.
        attempt: sends a round.
    """
    adaptation, progress = adaptation_of(air, arq), _Progress.of(air, arq, segments, num_items)
    for number in range(arq.max_attempts):
        rows = progress.open_rows(number)
        if not rows.numel():
            break
        sizes, streams = segments.num_bytes[rows], attempt_streams(segments.random_seed[rows], number)
        state = progress.state(rows, streams) if number else state_at(segments.state, rows)
        schemes, waits = adaptation.scheme(state.reported_snr, sizes), torch.zeros_like(sizes)
        start: Tensor | None = None
        if arq.is_free:
            schemes, lengths, waits, is_polar = free_lengths(air, arq, number, schemes, sizes, state, streams)
            start = progress.num_coded_bits[rows].masked_fill(is_polar, POLAR)
        elif number == 0:
            schemes, lengths = first_lengths(air, arq, schemes, sizes, state, streams)
        else:
            lengths = _later_lengths(arq, schemes, sizes, number)
        if number == 0:
            progress.begun = torch.stack([schemes, lengths], -1)
        in_time = progress.in_time(rows, lengths).nonzero().squeeze(-1)
        rows, lengths, waits = rows[in_time], lengths[in_time], waits[in_time]
        # A codeword that is sent anew is a first attempt again, in the format of this round.
        begun, portion = (progress.begun[rows], number) if arq.combines else (None, 0)
        schemes, start = schemes[in_time], None if start is None else start[in_time]
        batch = Batch.of(sizes[in_time], schemes, lengths, begun, portion, start)
        now, streams = state_at(state, in_time), streams_at(streams, in_time)
        held = attempt(batch, rows, now, streams) if rows.numel() else rows.bool()
        progress.book(rows, lengths, held, lengths * _ORDERS[schemes], waits)
    return progress.outcome()


@final
@dataclass
class _Progress:
    """State of an exchange.

    Per codeword: arrived, tries, uses, (scheme, length) of the first attempt, coded bits so far. Per item: rounds so
    far, and the next block of its fading in which nothing has been sent.
    """

    air: Air
    arq: Arq
    segments: Segments
    arrived: Tensor
    tries: Tensor
    uses: Tensor
    begun: Tensor
    num_coded_bits: Tensor
    num_rounds: Tensor
    free_block: Tensor

    @staticmethod
    def of(air: Air, arq: Arq, segments: Segments, num_items: int) -> _Progress:
        none = torch.zeros(segments.num_codewords, dtype=torch.long)
        per_item = torch.zeros(num_items, dtype=torch.long)
        return _Progress(
            air,
            arq,
            segments,
            none.bool(),
            none.double(),
            none.double(),
            none,
            none.clone(),
            per_item,
            per_item.clone(),
        )

    def open_rows(self, number: int) -> Tensor:
        """[num_rows], codewords that an attempt may send."""
        # What missed the deadline at the first attempt was never begun: there is nothing that redundancy could add to.
        begun = self.tries > 0 if self.arq.combines and number else torch.ones_like(self.arrived)
        return (~self.arrived & begun).nonzero().squeeze(-1)

    def state(self, rows: Tensor, streams: Random) -> ChannelState:
        """[num_rows], channel state of codewords that are sent again, in blocks that nothing was sent in."""
        item = self.segments.item[rows]
        rank = _running_sum(item, torch.ones_like(item)) - 1
        return self.air.observe_at(streams_at(self.segments.item_streams, item), self.free_block[item] + rank, streams)

    def in_time(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """[num_rows] bool, whether attempts of `lengths` [num_rows] channel uses would end before the deadline."""
        if self.arq.deadline_s == math.inf:
            return torch.ones_like(rows, dtype=torch.bool)
        item, bandwidth_hz = self.segments.item[rows], self.air.bandwidth_hz
        before_s = self._per_item(self.uses) / bandwidth_hz + self.arq.feedback_delay_s * self.num_rounds
        ends_s = before_s[item] + _running_sum(item, lengths.double()) / bandwidth_hz
        return ends_s <= self.arq.deadline_s

    def book(self, rows: Tensor, lengths: Tensor, held: Tensor, num_coded_bits: Tensor, waits: Tensor) -> None:
        """Counts attempts of `lengths` [num_rows] channel uses and their coded bits, and whose CRC held.

        Args:
            rows: [num_rows], codewords.
            lengths: channel uses.
            held: whose CRC held.
            num_coded_bits: of the attempts.
            waits: channel uses of acknowledgements, where those are counted.
        """
        self.arrived[rows] = held
        self.uses[rows] += lengths + waits
        self.num_coded_bits[rows] += num_coded_bits
        self.tries[rows] += 1
        item = self.segments.item[rows]
        self.num_rounds[item.unique()] += 1
        # The fading goes on during codewords and feedback; where blocks are independent, nothing reads these numbers.
        took = torch.zeros_like(self.free_block).index_add(0, item, num_blocks(self.air, lengths))
        waited = torch.tensor(math.ceil(self.arq.feedback_delay_s * self.air.bandwidth_hz))
        self.free_block += took + num_blocks(self.air, waited)

    def outcome(self) -> Outcome:
        again = (self.tries - 1).clamp_min(0.0)
        most = torch.zeros(len(self.num_rounds), dtype=torch.float64)
        return Outcome(
            self._per_item(self.uses),
            self._per_item(again),
            # Codewords of a round share one wait, so an item waits as often as its slowest codeword is sent again.
            most.scatter_reduce(0, self.segments.item, again, "amax"),
            self._per_item((~self.arrived).double()) == 0,
        )

    def _per_item(self, values: Tensor) -> Tensor:
        """[num_items], float64 sums over the codewords of each item."""
        sums = torch.zeros(len(self.num_rounds), dtype=torch.float64)
        return sums.index_add(0, self.segments.item, values)


def _later_lengths(arq: Arq, schemes: Tensor, num_bytes: Tensor, number: int) -> Tensor:
    """[num_rows], channel uses of a later attempt."""
    whole = num_uses(schemes, num_bytes)
    share = SHARES[min(number, len(SHARES) - 1)]
    # In steps, so that codewords share formats and are decoded together.
    return (whole * share / STEP).ceil().long() * STEP if arq.combines else whole


def _running_sum(group: Tensor, values: Tensor) -> Tensor:
    """[num], sum of the values up to and with each one within its group; members of a group keep their order."""
    # Sorted by group, a sum within a group is the sum over all less the sum before the group begins.
    order = group.argsort(stable=True)
    total = values[order].cumsum(0)
    starts = torch.searchsorted(group[order], group[order])
    before = torch.cat([torch.zeros_like(total[:1]), total])[starts]
    summed = torch.zeros_like(values)
    summed[order] = total - before
    return summed
