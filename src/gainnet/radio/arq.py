"""Automatic repeat request: codewords go out in rounds until their CRC holds or the patience ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.core.units import db_to_linear
from gainnet.radio.adaptation import LinkAdaptation
from gainnet.radio.air import Outcome, RadioLink, check_radio, observe
from gainnet.radio.mcs import LADDER, MAX_CODEWORD_BYTES, MIN_CODEWORD_BYTES, Codeword

_BATCH = 256


class ArqLink(RadioLink, Protocol):
    """Fields of a link that retransmits.

    max_attempts: how often a codeword is sent at most.   feedback_delay_s: wait before it can be sent again.
    target_bler: what adaptation aims at.
    """

    @property
    def max_attempts(self) -> int: ...
    @property
    def feedback_delay_s(self) -> float: ...
    @property
    def target_bler(self) -> float: ...


def check_arq(link: ArqLink) -> None:
    """Raises `ConfigError` for a field that no such link can have."""
    check_radio(link)
    if link.max_attempts < 1:
        raise ConfigError(f"max_attempts: {link.max_attempts} sends nothing; give 1 or more")
    if not 0.0 <= link.feedback_delay_s < math.inf:
        raise ConfigError(f"feedback_delay_s: {link.feedback_delay_s} is out of range; give 0 or more")
    if not 0.0 < link.target_bler < 0.5:
        raise ConfigError(f"target_bler: {link.target_bler} is out of range; give a number between 0 and 0.5")


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
    """

    item: Tensor
    first_byte: Tensor
    num_bytes: Tensor
    random_seed: Tensor
    state: ChannelState

    @property
    def num_codewords(self) -> int:
        return len(self.item)


class Attempt(Protocol):
    """One attempt for codewords of one format: [num_codewords] bool, whose CRC holds."""

    def __call__(self, codeword: Codeword, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        """`rows`: which of the segments; `state` and `random` are [num_codewords] as they are."""


def adaptation_of(link: ArqLink) -> LinkAdaptation:
    """Link adaptation of a link, from its mean SNR and its target."""
    return LinkAdaptation.at(db_to_linear(link.snr_db), link.channel.block_length, link.target_bler)


def cut(link: ArqLink, num_bytes: Tensor, state: ChannelState, random: Random) -> Segments:
    """Cuts items into codewords, each as long as the block that it starts in carries.

    Every codeword starts in a fading block of its own and the sender is told that block's gain (instantaneous channel
    knowledge: a strong baseline). The last codeword of an item is as short as what is left.

    Args:
        link: channel, SNR and adaptation.
        num_bytes: [num_items], length of the items.
        state: [*batch], the air of the first codeword of every item.
        random: streams of the items, [*batch].
    """
    state = _pick(state, (torch.arange(random.num_items).reshape(random.batch) >= 0))
    adaptation = adaptation_of(link)
    full_bytes = adaptation.full_num_bytes()
    limit = max(1, -(-int(num_bytes.max()) // int(full_bytes.min())))
    seeds = np.stack([g.integers(2**63, size=limit) for g in random.generators("codewords")])
    chunks, sent, column = [], torch.zeros_like(num_bytes), 0
    while (items := (sent < num_bytes).nonzero().squeeze(-1)).numel():
        left = num_bytes[items] - sent[items]
        chunk = seeds[items.numpy(), column : column + -(-int(left.max()) // MAX_CODEWORD_BYTES)]
        air = _air(link, chunk, _pick(state, items) if column == 0 else None)
        lengths = full_bytes[adaptation.full_scheme(air.reported_snr)]
        start = lengths.cumsum(-1) - lengths
        inside = start < left[:, None]
        lengths = torch.minimum(lengths, (left[:, None] - start).clamp_min(MIN_CODEWORD_BYTES))
        places = items[:, None].expand(start.shape), start + sent[items, None], lengths, torch.from_numpy(chunk)
        chunks.append(([x[inside] for x in places], _pick(air, inside)))
        sent[items] += lengths.sum(-1)
        column += chunk.shape[1]
    return _joined(chunks, state)


def exchange(link: ArqLink, segments: Segments, num_items: int, attempt: Attempt) -> Outcome:
    """Sends all codewords, then again those that failed, each time in a new block with a scheme for its report."""
    adaptation = adaptation_of(link)
    arrived = torch.zeros(segments.num_codewords, dtype=torch.bool)
    tries, uses = torch.zeros(segments.num_codewords), torch.zeros(segments.num_codewords, dtype=torch.float64)
    for number in range(link.max_attempts):
        rows = (~arrived).nonzero().squeeze(-1)
        if not rows.numel():
            break
        random = _streams(segments.random_seed[rows], number)
        state = _pick(segments.state, rows) if number == 0 else observe(link, random)
        schemes = adaptation.scheme(state.reported_snr, segments.num_bytes[rows])
        for codeword, members in _formats(schemes, segments.num_bytes[rows]):
            chosen = rows[members]
            streams = _streams(segments.random_seed[chosen], number)
            arrived[chosen] = attempt(codeword, chosen, _pick(state, members), streams)
            uses[chosen] += codeword.num_channel_uses
        tries[rows] += 1
    return _outcome(segments.item, num_items, tries, uses, arrived)


def _outcome(item: Tensor, num_items: int, tries: Tensor, uses: Tensor, arrived: Tensor) -> Outcome:
    again = (tries - 1).double()
    zeros = torch.zeros(num_items, dtype=torch.float64)
    return Outcome(
        zeros.index_add(0, item, uses),
        zeros.index_add(0, item, again),
        zeros.scatter_reduce(0, item, again, "amax"),
        zeros.index_add(0, item, (~arrived).double()) == 0,
    )


def _formats(schemes: Tensor, num_bytes: Tensor) -> Iterator[tuple[Codeword, Tensor]]:
    """Formats that occur, with the codewords that have them, in batches that fit into memory."""
    for key in (schemes * 256 + num_bytes).unique().tolist():
        members = (schemes * 256 + num_bytes == key).nonzero().squeeze(-1)
        for batch in members.split(_BATCH):
            yield Codeword(key % 256, LADDER[key // 256]), batch


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


def _pick(state: ChannelState, where: Tensor) -> ChannelState:
    return ChannelState(state.snr[where], state.gain[where], state.reported_snr[where], state.block_length)


def _joined(chunks: list[tuple[list[Tensor], ChannelState]], state: ChannelState) -> Segments:
    if not chunks:
        none = torch.zeros(0, dtype=torch.long)
        return Segments(none, none, none, none, _pick(state, none))
    columns = (torch.cat(parts) for parts in zip(*(places for places, _ in chunks), strict=True))
    item, first_byte, num_bytes, random_seed = columns
    airs = [air for _, air in chunks]
    air = ChannelState(
        torch.cat([a.snr for a in airs]),
        torch.cat([a.gain for a in airs]),
        torch.cat([a.reported_snr for a in airs]),
        state.block_length,
    )
    return Segments(item, first_byte, num_bytes, random_seed, air)
