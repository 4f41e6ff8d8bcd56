"""Codewords of items: cuts payloads into codewords that fill the blocks they start in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.radio.air import Air
from gainnet.radio.arq import Arq
from gainnet.radio.coding.adaptation import LinkAdaptation, num_uses
from gainnet.radio.coding.attempts import attempts_for
from gainnet.radio.coding.information import highest_scheme
from gainnet.radio.coding.mcs import MAX_CODEWORD_BYTES, MIN_CODEWORD_BYTES
from gainnet.radio.links.portion import state_at, streams_at
from gainnet.radio.links.spanning import spanning_lengths

_MIN_BYTES_TO_COMBINE: Final = 62
"""With incremental redundancy a codeword may outlast its block, so that shorter ones do not pay for their CRC."""


@final
@dataclass(frozen=True)
class Segments:
    """Codewords of a batch of items, those of an item in the order of their bytes.

    Args:
        item: [num_codewords], index of the item.
        first_byte: [num_codewords], where the payload starts in its item.
        num_bytes: [num_codewords], payload, padding included.
        random_seed: [num_codewords], of the codeword's own streams.
        state: [num_codewords], channel state at the first attempt.
        item_streams: streams of every item, which name its fading where blocks are correlated.
    """

    item: Tensor
    first_byte: Tensor
    num_bytes: Tensor
    random_seed: Tensor
    state: ChannelState
    item_streams: Random

    @property
    def num_codewords(self) -> int:
        return len(self.item)


def adaptation_of(air: Air, arq: Arq) -> LinkAdaptation:
    """Link adaptation for the mean SNR and the target; with incremental redundancy codewords may span blocks."""
    length = air.fading.blocks.length
    if arq.combines:
        return LinkAdaptation(length, arq.target_bler, MAX_CODEWORD_BYTES, _MIN_BYTES_TO_COMBINE)
    return LinkAdaptation.at(air.snr, length, arq.target_bler)


def cut(air: Air, arq: Arq, num_bytes: Tensor, state: ChannelState, random: Random) -> Segments:
    """Cuts items into codewords, each as long as the block that it starts in carries.

    Every codeword starts in a fading block of its own, whose gain is reported to the sender (instantaneous channel
    knowledge: a strong baseline), or that of an older block where reports are late. Independent blocks are drawn per
    codeword; correlated ones are those of the item's fading that its codewords reach one after another. The last
    codeword of an item is as short as what is left.

    Args:
        air: radio conditions.
        arq: target of the adaptation, and whether attempts are combined.
        num_bytes: [num_items], length of the items.
        state: [*batch], channel state at the first codeword of every item.
        random: streams of the items, [*batch].
    """
    blocks, adaptation = air.fading.blocks, adaptation_of(air, arq)
    state = state_at(state, torch.ones(random.batch, dtype=torch.bool))
    streams = Random(random.random_seeds, (random.num_items,), random.path)
    full_bytes = adaptation.full_num_bytes()
    # As many seeds as the item with the most codewords can need; who needs fewer leaves the rest unused.
    limit = max(1, -(-int(num_bytes.max()) // int(full_bytes.min())))
    seeds = np.stack([g.integers(2**63, size=limit) for g in random.generators("codewords")])
    chunks: list[tuple[list[Tensor], ChannelState]] = []
    sent, block, column = torch.zeros_like(num_bytes), torch.zeros_like(num_bytes), 0
    while (items := (sent < num_bytes).nonzero().squeeze(-1)).numel():
        left = num_bytes[items] - sent[items]
        # Where blocks are correlated, a codeword starts where the one before it ended; else all are drawn at once.
        width = 1 if blocks.is_correlated else -(-int(left.max()) // MAX_CODEWORD_BYTES)
        chunk = torch.from_numpy(seeds[items.numpy(), column : column + width])
        own = attempt_streams(chunk, 0)
        now = air.observe_at(streams_at(streams, items, (len(items), 1)), block[items, None], own)
        if column == 0 and blocks.is_flat and not blocks.is_correlated:
            # The first codeword is in the block that was observed. A correlated channel draws the same gain again;
            # over slots the codeword's own streams name the gains, and the observed one is of another realisation.
            now = _with_first(now, state_at(state, items))
        schemes = adaptation.full_scheme(now.reported_snr)
        lengths = full_bytes[schemes]
        start = lengths.cumsum(-1) - lengths
        inside = start < left[:, None]
        lengths = torch.minimum(lengths, (left[:, None] - start).clamp_min(MIN_CODEWORD_BYTES))
        places = items[:, None].expand(start.shape), start + sent[items, None], lengths, chunk
        now = state_at(now, inside)
        chunks.append(([x[inside] for x in places], now))
        sent[items] += lengths.sum(-1)
        column += chunk.shape[1]
        if blocks.is_correlated:
            first = attempt_streams(chunk[:, 0], 0)
            block[items] += num_blocks(air, first_lengths(air, arq, schemes[:, 0], lengths[:, 0], now, first)[1])
    return _joined(chunks, state, streams)


def first_lengths(
    air: Air, arq: Arq, schemes: Tensor, num_bytes: Tensor, state: ChannelState, random: Random
) -> tuple[Tensor, Tensor]:
    """[num_codewords] each, scheme and channel uses of first attempts: whole codewords, or what their blocks demand.

    Args:
        air: radio conditions.
        arq: target of the adaptation, and whether attempts are combined.
        schemes: [num_codewords], index into `LADDER` for the reported SNR.
        num_bytes: [num_codewords], payload.
        state: [num_codewords], channel state at the start.
        random: streams of the attempts, [num_codewords].
    """
    lengths = num_uses(schemes, num_bytes)
    outlasts = (lengths > air.fading.blocks.length).nonzero().squeeze(-1)
    if not arq.combines or not outlasts.numel():
        return schemes, lengths
    now, sizes = state_at(state, outlasts), num_bytes[outlasts]
    # A codeword that outlasts its block meets blocks at the mean SNR, too: in a block better than the first a higher
    # modulation carries more, in the first it carries hardly less.
    chosen = torch.maximum(schemes[outlasts], adaptation_of(air, arq).scheme(now.snr, sizes))
    spans = spanning_lengths(air, arq.target_bler, chosen, sizes, now, streams_at(random, outlasts))
    return schemes.index_put((outlasts,), chosen), lengths.index_put((outlasts,), spans)


def free_lengths(
    air: Air, arq: Arq, number: int, schemes: Tensor, num_bytes: Tensor, state: ChannelState, random: Random
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""[num_codewords] each, of an attempt: a scheme of the modulation, channel uses, those of the acknowledgement, and
    whether the codeword is polar.

    Lengths are those of `attempts_for` at the reported SNR. What outlasts its fading block goes on in blocks of which
    the sender knows the mean SNR alone: a first attempt as long as `first_lengths` says, a later one as long as the
    rest of it is there, $B + (1 - B / L(\hat\gamma)) L(\bar\gamma)$ channel uses.

    Args:
        air: radio conditions.
        arq: attempts.
        number: of the attempt, from 0.
        schemes: [num_codewords], index into `LADDER` of codewords that outlast their block.
        num_bytes: [num_codewords], payload.
        state: [num_codewords], channel state at the start.
        random: streams of the attempts, [num_codewords].
    """
    of_orders, lengths, waits, is_polar = _planned(arq, number, num_bytes, state.reported_snr)
    block = air.fading.blocks.length
    longer = (lengths > block).nonzero().squeeze(-1)
    if longer.numel():
        _, later, late_waits, _ = _planned(arq, number, num_bytes[longer], state.snr[longer])
        spans = block + ((1 - block / lengths[longer]) * later).ceil().long()
        if number == 0:
            first, spans = first_lengths(
                air, arq, schemes[longer], num_bytes[longer], state_at(state, longer), streams_at(random, longer)
            )
            of_orders[longer] = first
        lengths[longer], waits[longer], is_polar[longer] = spans, late_waits, False
    # Nobody waits for the acknowledgement of an attempt after which there is no other.
    return of_orders, lengths, waits * (number + 1 < arq.max_attempts), is_polar


def _planned(arq: Arq, number: int, num_bytes: Tensor, snr: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """[num_codewords] each, as `free_lengths`, at an SNR [num_codewords] without a look at blocks."""
    plans = [
        attempts_for(size, one, arq.max_attempts, arq.target_bler)
        for size, one in zip(num_bytes.tolist(), snr.tolist(), strict=True)
    ]
    found = [
        (highest_scheme(p.bits_per_symbol), p.length(number), p.acknowledgement_uses, p.code == "polar") for p in plans
    ]
    of_orders, lengths, waits, is_polar = torch.tensor(found, dtype=torch.long).reshape(-1, 4).unbind(-1)
    return of_orders.clone(), lengths.clone(), waits.clone(), is_polar.bool()


def num_blocks(air: Air, num_channel_uses: Tensor) -> Tensor:
    """[...], blocks that so many channel uses [...] take."""
    return -(-num_channel_uses.long() // air.fading.block_length)


def attempt_streams(random_seeds: Tensor, number: int) -> Random:
    """Streams of an attempt of codewords with given random seeds [*batch]."""
    return Random(tuple(random_seeds.flatten().tolist()), tuple(random_seeds.shape), ("attempt", number))


def _with_first(states: ChannelState, first: ChannelState) -> ChannelState:
    """States [num_items, num_columns] whose first column is replaced by states [num_items]."""
    gain, reported = states.gain.clone(), states.reported_snr.clone()
    gain[:, 0], reported[:, 0] = first.gain, first.reported_snr
    return ChannelState(states.snr, gain, reported, states.block_length)


def _joined(chunks: list[tuple[list[Tensor], ChannelState]], state: ChannelState, streams: Random) -> Segments:
    if not chunks:
        none = torch.zeros(0, dtype=torch.long)
        return Segments(none, none, none, none, state_at(state, none), streams)
    item, first_byte, num_bytes, seed = (torch.cat(parts) for parts in zip(*(x for x, _ in chunks), strict=True))
    snr, gain, reported = (torch.cat([getattr(s, n) for _, s in chunks]) for n in ("snr", "gain", "reported_snr"))
    return Segments(item, first_byte, num_bytes, seed, ChannelState(snr, gain, reported, state.block_length), streams)
