"""Automatic repeat request: codewords go out in rounds until their CRC holds or the patience ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, Protocol, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.core.units import db_to_linear
from gainnet.radio.adaptation import LinkAdaptation, num_uses
from gainnet.radio.air import Outcome, RadioLink, check_radio, observe, observe_at
from gainnet.radio.channel import Evolving, Selective, coherent_uses
from gainnet.radio.mcs import MAX_CODEWORD_BYTES, MIN_CODEWORD_BYTES
from gainnet.radio.portion import Batch, state_at, streams_at
from gainnet.radio.spanning import STEP, spanning_lengths

_LEAST_BYTES = 62

Harq = Literal["none", "ir"]
"""What a receiver does with a codeword that failed: forgets it, or combines it with redundancy that is sent later."""

SHARES: Final = (1.0, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0, 1.0)
"""Length of every attempt with incremental redundancy over that of a whole codeword; the last one repeats."""


class ArqLink(RadioLink, Protocol):
    """Fields of a link that retransmits.

    max_attempts: how often a codeword is sent at most.   feedback_delay_s: wait before it can be sent again.
    target_bler: what adaptation aims at.   deadline_s: after which an item is of no use.   harq: see `Harq`.
    """

    @property
    def max_attempts(self) -> int: ...
    @property
    def feedback_delay_s(self) -> float: ...
    @property
    def target_bler(self) -> float: ...
    @property
    def deadline_s(self) -> float: ...
    @property
    def harq(self) -> Harq: ...


def check_arq(link: ArqLink) -> None:
    """Raises `ConfigError` for a field that no such link can have."""
    check_radio(link)
    if link.max_attempts < 1:
        raise ConfigError(f"max_attempts: {link.max_attempts} sends nothing; give 1 or more")
    if not 0.0 <= link.feedback_delay_s < math.inf:
        raise ConfigError(f"feedback_delay_s: {link.feedback_delay_s} is out of range; give 0 or more")
    if not 0.0 < link.target_bler < 0.5:
        raise ConfigError(f"target_bler: {link.target_bler} is out of range; give a number between 0 and 0.5")
    if not link.deadline_s > 0.0:
        raise ConfigError(f"deadline_s: {link.deadline_s} is no time; give a positive number of seconds, or inf")
    if link.harq not in ("none", "ir"):
        raise ConfigError(f"harq: {link.harq!r} is unknown; choose none or ir")


@final
@dataclass(frozen=True)
class Segments:
    """Codewords of a batch of items, item after item in the order of their bytes.

    Args:
        item: [num_codewords], index of the item.
        first_byte: [num_codewords], where the payload starts in its item.
        num_bytes: [num_codewords], payload, padding included.
        random_seed: [num_codewords], of the codeword's own streams.
        state: [num_codewords], the air at the first attempt.
        start: [num_codewords], number of the block in which it starts, where the channel is `Evolving`, else 0.
        process: streams of the fading of every item.
    """

    item: Tensor
    first_byte: Tensor
    num_bytes: Tensor
    random_seed: Tensor
    state: ChannelState
    start: Tensor
    process: Random

    @property
    def num_codewords(self) -> int:
        return len(self.item)

    def fading_of(self, rows: Tensor) -> Random:
        """Streams of the fading that codewords see, [num_rows]."""
        return streams_at(self.process, self.item[rows])


class Attempt(Protocol):
    """One round: [num_codewords] bool, whose CRC holds."""

    def __call__(self, batch: Batch, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        """`rows`: which of the segments; `batch`, `state` and `random` are [num_codewords] as they are."""


def adaptation_of(link: ArqLink) -> LinkAdaptation:
    """Link adaptation of a link, from its mean SNR and its target; with incremental redundancy codewords may span."""
    if link.harq == "ir":
        uses = coherent_uses(link.channel)
        return LinkAdaptation(uses, link.target_bler, MAX_CODEWORD_BYTES, _LEAST_BYTES)
    return LinkAdaptation.at(db_to_linear(link.snr_db), coherent_uses(link.channel), link.target_bler)


def cut(link: ArqLink, num_bytes: Tensor, state: ChannelState, random: Random) -> Segments:
    """Cuts items into codewords, each as long as the block that it starts in carries.

    Every codeword starts in a fading block of its own and the sender is told that block's gain (instantaneous channel
    knowledge: a strong baseline), or an older one where reports are late. Without memory the blocks are independent;
    an `Evolving` channel gives those of the item's process that the codewords reach one after the other. The last
    codeword of an item is as short as what is left.

    Args:
        link: channel, SNR and adaptation.
        num_bytes: [num_items], length of the items.
        state: [*batch], the air of the first codeword of every item.
        random: streams of the items, [*batch].
    """
    state = state_at(state, (torch.arange(random.num_items).reshape(random.batch) >= 0))
    process = Random(random.random_seeds, (random.num_items,), random.path)
    adaptation = adaptation_of(link)
    full_bytes = adaptation.full_num_bytes()
    limit = max(1, -(-int(num_bytes.max()) // int(full_bytes.min())))
    seeds = np.stack([g.integers(2**63, size=limit) for g in random.generators("codewords")])
    evolving = isinstance(link.channel, Evolving)
    chunks, sent, column = [], torch.zeros_like(num_bytes), 0
    block = torch.zeros_like(num_bytes)
    while (items := (sent < num_bytes).nonzero().squeeze(-1)).numel():
        left = num_bytes[items] - sent[items]
        width = 1 if evolving else -(-int(left.max()) // MAX_CODEWORD_BYTES)
        chunk = seeds[items.numpy(), column : column + width]
        first = state_at(state, items) if column == 0 and not isinstance(link.channel, Selective) else None
        air = (
            _air(link, chunk, first) if not evolving else _air_at(link, streams_at(process, items), block[items], chunk)
        )
        schemes = adaptation.full_scheme(air.reported_snr)
        lengths = full_bytes[schemes]
        start = lengths.cumsum(-1) - lengths
        inside = start < left[:, None]
        lengths = torch.minimum(lengths, (left[:, None] - start).clamp_min(MIN_CODEWORD_BYTES))
        begins = block[items, None].expand(start.shape)
        places = items[:, None].expand(start.shape), start + sent[items, None], lengths, torch.from_numpy(chunk), begins
        chunks.append(([x[inside] for x in places], state_at(air, inside)))
        sent[items] += lengths.sum(-1)
        column += chunk.shape[1]
        if evolving:
            _, taken = _first_lengths(link, schemes[:, 0], lengths[:, 0], _flat(air), chunk[:, 0])
            block[items] += _num_blocks(link, taken)
    return _joined(chunks, state, process)


def exchange(link: ArqLink, segments: Segments, num_items: int, attempt: Attempt) -> Outcome:
    """Sends all codewords, then again those that failed, each time in a new block with a scheme for its report.

    Without HARQ a codeword is sent anew; with incremental redundancy more of it is sent, as much as `SHARES` says. What
    would end after the deadline is not sent.
    """
    adaptation, progress = adaptation_of(link), _Progress.of(segments, num_items)
    for number in range(link.max_attempts):
        rows = (~progress.arrived).nonzero().squeeze(-1)
        if not rows.numel():
            break
        state = _state_of(link, segments, rows, number, progress)
        schemes = adaptation.scheme(state.reported_snr, segments.num_bytes[rows])
        if number == 0:
            schemes, lengths = _first_lengths(link, schemes, segments.num_bytes, state, segments.random_seed.numpy())
            progress.begun = torch.stack([schemes, lengths], -1)
        else:
            lengths = _later_lengths(link, schemes, segments.num_bytes[rows], number)
        in_time = progress.in_time(link, segments, rows, lengths)
        rows, schemes, lengths, state = rows[in_time], schemes[in_time], lengths[in_time], state_at(state, in_time)
        sizes, streams = segments.num_bytes[rows], _streams(segments.random_seed[rows], number)
        batch = _batch(link, sizes, schemes, lengths, progress.begun[rows], number)
        if rows.numel():
            progress.arrived[rows] = attempt(batch, rows, state, streams)
        progress.book(link, segments, rows, lengths)
    return progress.outcome(link, segments, num_items)


@final
@dataclass
class _Progress:
    """What has happened: by codeword arrived, tries, uses, first scheme and length; by item rounds, next free block."""

    arrived: Tensor
    tries: Tensor
    uses: Tensor
    begun: Tensor
    num_rounds: Tensor
    free_block: Tensor

    @staticmethod
    def of(segments: Segments, num_items: int) -> _Progress:
        none = torch.zeros(segments.num_codewords, dtype=torch.long)
        per_item = torch.zeros(num_items, dtype=torch.long)
        return _Progress(none.bool(), none.double(), none.double(), none, per_item, per_item.clone())

    def in_time(self, link: ArqLink, segments: Segments, rows: Tensor, lengths: Tensor) -> Tensor:
        """[num_rows] bool, whether an attempt would end before the deadline."""
        if link.deadline_s == math.inf:
            return torch.ones_like(rows, dtype=torch.bool)
        item = segments.item[rows]
        before_s = self._usesstreams_at(segments) / link.bandwidth_hz + link.feedback_delay_s * self.num_rounds
        ends_s = before_s[item] + _running_sum(item, lengths.double()) / link.bandwidth_hz
        return ends_s <= link.deadline_s

    def book(self, link: ArqLink, segments: Segments, rows: Tensor, lengths: Tensor) -> None:
        """An attempt of these lengths has been made."""
        self.uses[rows] += lengths
        self.tries[rows] += 1
        item = segments.item[rows]
        self.num_rounds[item.unique()] += 1
        if not isinstance(link.channel, Evolving):
            return
        took = torch.zeros_like(self.free_block).index_add(0, item, _num_blocks(link, lengths))
        self.free_block += took + _num_blocks(link, torch.tensor(math.ceil(link.feedback_delay_s * link.bandwidth_hz)))

    def outcome(self, link: ArqLink, segments: Segments, num_items: int) -> Outcome:
        again = (self.tries - 1).clamp_min(0.0)
        zeros = torch.zeros(num_items, dtype=torch.float64)
        return Outcome(
            self._usesstreams_at(segments),
            zeros.index_add(0, segments.item, again),
            zeros.scatter_reduce(0, segments.item, again, "amax"),
            zeros.index_add(0, segments.item, (~self.arrived).double()) == 0,
        )

    def _usesstreams_at(self, segments: Segments) -> Tensor:
        return torch.zeros(len(self.num_rounds), dtype=torch.float64).index_add(0, segments.item, self.uses)


def _state_of(link: ArqLink, segments: Segments, rows: Tensor, number: int, progress: _Progress) -> ChannelState:
    """The air of codewords in an attempt."""
    if number == 0:
        return state_at(segments.state, rows)
    reports = _streams(segments.random_seed[rows], number)
    if not isinstance(link.channel, Evolving):
        return observe(link, reports)
    item = segments.item[rows]
    rank = _running_sum(item, torch.ones_like(item)) - 1
    return observe_at(link, segments.fading_of(rows), progress.free_block[item] + rank, reports)


def _first_lengths(
    link: ArqLink, schemes: Tensor, num_bytes: Tensor, state: ChannelState, random_seeds: np.ndarray
) -> tuple[Tensor, Tensor]:
    """[num_rows], scheme and channel uses of the first attempt: whole codewords, or as long as their blocks demand."""
    lengths = num_uses(schemes, num_bytes)
    outlasts = (lengths > coherent_uses(link.channel)).nonzero().squeeze(-1)
    if link.harq == "none" or not outlasts.numel():
        return schemes, lengths
    # In a block better than this one a higher modulation carries more, in this one hardly less.
    ordinary = adaptation_of(link).scheme(state.snr[outlasts], num_bytes[outlasts])
    schemes[outlasts] = torch.maximum(schemes[outlasts], ordinary)
    streams = _streams(torch.from_numpy(random_seeds)[outlasts], 0)
    target, late = link.target_bler, link.report_delay_blocks
    now = state_at(state, outlasts)
    chosen = schemes[outlasts], num_bytes[outlasts]
    lengths[outlasts] = spanning_lengths(link.channel, target, late, *chosen, now, streams)
    return schemes, lengths


def _later_lengths(link: ArqLink, schemes: Tensor, num_bytes: Tensor, number: int) -> Tensor:
    """[num_rows], channel uses of a later attempt."""
    whole = num_uses(schemes, num_bytes)
    if link.harq == "none":
        return whole
    share = SHARES[min(number, len(SHARES) - 1)]
    return (whole * share / STEP).ceil().long() * STEP


def _batch(link: ArqLink, num_bytes: Tensor, schemes: Tensor, lengths: Tensor, begun: Tensor, number: int) -> Batch:
    """Codewords that are sent anew, or redundancy of those that were begun."""
    if number == 0 or link.harq == "none":
        return Batch(num_bytes, schemes, lengths, schemes, lengths, 0)
    return Batch(num_bytes, schemes, lengths, begun[:, 0], begun[:, 1], number)


def _running_sum(group: Tensor, values: Tensor) -> Tensor:
    """[num], sum of the values up to and with each one within its group; members of a group keep their order."""
    order = group.argsort(stable=True)
    total = values[order].cumsum(0)
    starts = torch.searchsorted(group[order], group[order])
    before = torch.cat([torch.zeros_like(total[:1]), total])[starts]
    summed = torch.zeros_like(values)
    summed[order] = total - before
    return summed


def _num_blocks(link: ArqLink, num_channel_uses: Tensor) -> Tensor:
    """[...], blocks that so many channel uses take."""
    return -(-num_channel_uses.long() // link.channel.block_length)


def _streams(random_seeds: Tensor, number: int) -> Random:
    return Random(tuple(random_seeds.flatten().tolist()), tuple(random_seeds.shape), ("attempt", number))


def _air(link: ArqLink, chunk: np.ndarray, first: ChannelState | None) -> ChannelState:
    """[num_items, num_columns], the air of codewords; the first one of an item has been observed already."""
    air = observe(link, _streams(torch.from_numpy(chunk), 0))
    if first is None:
        return air
    gain, reported = air.gain.clone(), air.reported_snr.clone()
    gain[:, 0], reported[:, 0] = first.gain, first.reported_snr
    return ChannelState(air.snr, gain, reported, air.block_length)


def _air_at(link: ArqLink, process: Random, block: Tensor, chunk: np.ndarray) -> ChannelState:
    """[num_items, 1], the air of codewords in given blocks of their items' processes."""
    air = observe_at(link, process, block, _streams(torch.from_numpy(chunk[:, 0]), 0))
    return ChannelState(air.snr[:, None], air.gain[:, None], air.reported_snr[:, None], air.block_length)


def _flat(state: ChannelState) -> ChannelState:
    return ChannelState(state.snr[:, 0], state.gain[:, 0], state.reported_snr[:, 0], state.block_length)


def _joined(chunks: list[tuple[list[Tensor], ChannelState]], state: ChannelState, process: Random) -> Segments:
    if not chunks:
        none = torch.zeros(0, dtype=torch.long)
        return Segments(none, none, none, none, state_at(state, none), none, process)
    columns = (torch.cat(parts) for parts in zip(*(places for places, _ in chunks), strict=True))
    item, first_byte, num_bytes, random_seed, start = columns
    airs = [air for _, air in chunks]
    air = ChannelState(
        torch.cat([a.snr for a in airs]),
        torch.cat([a.gain for a in airs]),
        torch.cat([a.reported_snr for a in airs]),
        state.block_length,
    )
    return Segments(item, first_byte, num_bytes, random_seed, air, start, process)
