"""Lengths of the attempts of a codeword of free rate, chosen by measured block error rates for the reported SNR."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final, Literal, final

import torch
from torch import Tensor

from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio.coding import polar
from gainnet.radio.coding.free_tables import (
    HIGHEST_RATE,
    LOWEST_RATE,
    POLAR_TABLE_PATH,
    RATES,
    Waterfall,
    load_free_tables,
    repetition_db,
)
from gainnet.radio.coding.mcs import MAX_CODEWORD_BYTES, NUM_CRC_BITS

RESIDUAL_BLER: Final = 5e-4
"""Blocks that fail after the last planned attempt; with missed refusals a thousandth of all is lost."""

MISSED: Final = 5e-4
"""Rate at which a refusal is taken for an acceptance, which loses the block."""

FALSE: Final = 1e-2
"""Rate at which an acceptance is taken for a refusal, which costs one attempt too many."""

NUM_PLANNED: Final = 3
"""A third attempt saves 2 to 3 % of uses over two, a fourth less than half a per cent."""

_STEPS_PER_DB: Final = 4
_SNRS_DB: Final = (-20.0, 40.0)
_MOST_REPEATED: Final = 512
_NUM_PLACES: Final = 160
_PLACES_AT_ONCE: Final = 256
_OPTIMISTIC_BLER: Final = 0.95
"""Of the shortest first attempt that is tried."""

_TYPICAL_SNR_DB: Final = {2: -1.0, 4: 7.0, 6: 14.0, 8: 20.0}
_SIZES: Final = (6, 9, 13, 20, 28, 38, 48, 57, 70, 85, 105, 126)


@final
@dataclass(frozen=True)
class Attempts:
    """Attempts of one codeword, each of which goes on in the circular buffer where the one before it ended.

    Args:
        bits_per_symbol: 2, 4, 6 or 8.
        ends: channel uses after each attempt, all before it included.
        fails: block error rate after each attempt.
        acknowledgement_uses: channel uses of one acknowledgement, see `acknowledgement_uses`.
        code: `ldpc`, or `polar` where a short packet that is sent once takes fewer uses so.
    """

    bits_per_symbol: int
    ends: tuple[int, ...]
    fails: tuple[float, ...]
    acknowledgement_uses: int
    code: Literal["ldpc", "polar"] = "ldpc"

    @property
    def mean_uses(self) -> float:
        """Expected channel uses, acknowledgements included; after the last attempt none is needed."""
        begun = (1.0, *self.fails[:-1])
        lengths = (b - a for a, b in zip((0, *self.ends), self.ends, strict=False))
        waits = math.fsum(begun[: len(self.ends) - 1]) * self.acknowledgement_uses
        return math.fsum(p * n for p, n in zip(begun, lengths, strict=True)) + waits

    def length(self, number: int) -> int:
        """Channel uses of an attempt; beyond the planned ones each is twice as long as the one before."""
        last = min(number, len(self.ends) - 1)
        # Where planned attempts do not suffice the report was wrong, and small steps would end before it is made up.
        return (self.ends[last] - (self.ends[last - 1] if last else 0)) << (number - last)


def acknowledgement_uses(snr_db: float) -> int:
    r"""Channel uses of one bit by BPSK over a reverse link of the same SNR, with error rates `MISSED` and `FALSE`.

    $n = \lceil (Q^{-1}(p_1) + Q^{-1}(p_2))^2 / 8 \gamma \rceil$, the threshold between the two amplitudes set by both

    >>> [acknowledgement_uses(snr_db) for snr_db in (0.0, 5.0, 10.0)]
    [4, 2, 1]
    """
    distance = -NormalDist().inv_cdf(MISSED) - NormalDist().inv_cdf(FALSE)
    return math.ceil(distance**2 / 8 / db_to_linear(snr_db))


def attempts_for(num_bytes: int, snr: float, max_attempts: int, target_bler: float) -> Attempts:
    """The attempts of least expected uses for a codeword.

    Args:
        num_bytes: payload.
        snr: reported Es/N0, linear; rounded down to a quarter of a dB, so that codewords share formats.
        max_attempts: with one there is no feedback, and the codeword aims at `target_bler`.
        target_bler: block error rate of a codeword that is sent once.
    """
    # Limits first, since a link without noise reports infinity; a millionth up, since 10 dB may come out just below.
    snr_db = min(max(float(linear_to_db(snr)), _SNRS_DB[0]), _SNRS_DB[1])
    steps = math.floor(_STEPS_PER_DB * (snr_db + 1e-6))
    return _planned(num_bytes, steps, min(max_attempts, NUM_PLANNED), target_bler)


def free_bits_that_fit(num_channel_uses: float, snr: float, max_attempts: int, target_bler: float) -> float:
    """Payload bits of one item whose expected channel uses are at most `num_channel_uses`, CRCs included.

    Args:
        num_channel_uses: of the item.
        snr: reported, linear.
        max_attempts: as in `attempts_for`.
        target_bler: as in `attempts_for`.
    """

    def cost(num_bytes: int) -> float:
        plan = attempts_for(num_bytes, snr, max_attempts, target_bler)
        # Below the lowest rate that repetition reaches nothing is carried, however much is sent.
        return plan.mean_uses if plan.fails[-1] <= target_bler else math.inf

    num_full, left = divmod(num_channel_uses, cost(MAX_CODEWORD_BYTES))
    # Bisection, since each plan takes milliseconds and a fading link asks at dozens of SNRs.
    if not (place := bisect_right(_SIZES, left, key=cost)):
        return 8.0 * num_full * MAX_CODEWORD_BYTES
    # Between sizes that were planned, expected uses are nearly straight over bytes; short payloads are padded.
    below, above = _SIZES[place - 1], _SIZES[place]
    share = (left - cost(below)) / (cost(above) - cost(below))
    return 8.0 * (num_full * MAX_CODEWORD_BYTES + below + math.floor(share * (above - below) + 1e-9))


# A transfer asks for the same few sizes and SNRs again and again.
@lru_cache(maxsize=16384)
def _planned(num_bytes: int, steps: int, num_attempts: int, target_bler: float) -> Attempts:
    k, snr_db = 8 * num_bytes + NUM_CRC_BITS, steps / _STEPS_PER_DB
    found, best = list[Attempts](), math.inf
    # The likely one first, after which the others mostly need one look.
    for order in sorted(RATES, key=lambda order: abs(snr_db - _TYPICAL_SNR_DB[order])):
        if plan := _of_order(k, order, snr_db, num_attempts, target_bler, best):
            found.append(plan)
            best = min(best, plan.mean_uses)
    if num_attempts == 1 and num_bytes <= polar.MOST_BYTES:
        found += _polar_plans(num_bytes, snr_db, target_bler)
    return min(found, key=lambda plan: (plan.mean_uses, plan.bits_per_symbol))


def _polar_plans(num_bytes: int, snr_db: float, target_bler: float) -> list[Attempts]:
    """A polar codeword of every modulation in which a short packet can be sent once."""
    k, tables, found = polar.num_polar_bits(num_bytes), load_free_tables(POLAR_TABLE_PATH), list[Attempts]()
    for order in tables.curves:
        places = torch.arange(math.ceil(k / HIGHEST_RATE / order), polar.MOST_CODED_BITS // order + 1)
        fails = tables.bler(order, k, places * order, torch.tensor(snr_db, dtype=torch.float64))
        if len(good := (fails <= target_bler).nonzero()):
            uses, fail = int(places[good[0]]), float(fails[good[0]])
            found.append(Attempts(order, (uses,), (fail,), acknowledgement_uses(snr_db), "polar"))
    return found


def _of_order(k: int, order: int, snr_db: float, num_attempts: int, target_bler: float, best: float) -> Attempts | None:
    """The best attempts with one modulation; `None` where they cannot be better than expected uses of `best`."""
    least, most = math.ceil(k / HIGHEST_RATE / order), _MOST_REPEATED * k // order
    if least > best:
        return None
    lengths = _Lengths.of(k, order, snr_db)
    if (first := lengths.least_uses(least, most, _OPTIMISTIC_BLER)) > best:
        return None
    last = lengths.least_uses(least, most, target_bler if num_attempts == 1 else RESIDUAL_BLER)
    waits = acknowledgement_uses(snr_db)
    if last == most and order > 2:
        return None
    if num_attempts == 1:
        return Attempts(order, (last,), (float(lengths.bler(torch.tensor([last]))),), waits)
    places = torch.linspace(first, last, _NUM_PLACES).round().unique()
    fails = lengths.bler(places.long())
    # First attempts down, second ones across; the third one ends where few enough fail.
    mean = places[:, None] + waits + fails[:, None] * (places - places[:, None]) + fails * (last - places)
    mean = mean + (fails[:, None] * waits if num_attempts > 2 else 0.0)
    allowed = places[:, None] < places if num_attempts > 2 else places[:, None] == places
    begin, middle = divmod(int(torch.where(allowed, mean, math.inf).argmin()), len(places))
    chosen = sorted({begin, middle, len(places) - 1})
    return Attempts(order, tuple(int(places[i]) for i in chosen), tuple(float(fails[i]) for i in chosen), waits)


@final
@dataclass(frozen=True)
class _Lengths:
    """Block error rates of one codeword at one SNR over its channel uses.

    Args:
        k: information bits, CRC included.
        order: bits per symbol.
        snr_db: Es/N0 in dB.
        needs: of 0, 1, ... channel uses, see `_needs`.
        fails: [num_unrepeated + 1], by channel uses from 0 to the most at which no coded bit repeats.
    """

    k: int
    order: int
    snr_db: Tensor
    needs: Waterfall
    fails: Tensor

    @classmethod
    def of(cls, k: int, order: int, snr_db: float) -> _Lengths:
        snr, needs = torch.tensor(snr_db, dtype=torch.float64), _needs(k, order)
        return cls(k, order, snr, needs, needs.bler(snr)[:-1])

    def bler(self, num_uses: Tensor) -> Tensor:
        """[num_places], of rising channel uses `num_uses` [num_places]."""
        if int(num_uses[-1]) < len(self.fails):
            return self.fails[num_uses]
        own = num_uses.clamp_max(len(self.fails))
        needs = Waterfall(self.needs.needed_db[own], self.needs.spread_db[own], self.needs.too_fast[own])
        return needs.bler(self.snr_db + repetition_db(self.k / (num_uses * self.order).double()))

    def least_uses(self, least: int, most: int, bler: float) -> int:
        """Fewest channel uses of at most that block error rate; `most` where none has it."""
        if len(found := (self.fails[least:most] <= bler).nonzero()):
            return least + int(found[0])
        low, high = len(self.fails) - 1, most
        while high - low > 1:
            # Many places in one look at the table, which costs as much as one place.
            step = -(-(high - low) // _PLACES_AT_ONCE)
            places = torch.arange(low + step, high, step)
            holds = (self.bler(places) <= bler).nonzero()
            last = int(holds[0]) if len(holds) else len(places)
            low, high = low + step * last, int(places[last]) if len(holds) else high
        return high


# Only the SNR differs between the hundreds of plans that a fading link asks for.
@lru_cache(maxsize=512)
def _needs(k: int, order: int) -> Waterfall:
    """Needs of codewords of 0, 1, ... channel uses as long as no coded bit repeats, and last of those that repeat."""
    num_bits = order * torch.arange(math.floor(k / LOWEST_RATE) // order + 1).double()
    rates = torch.cat([k / num_bits, torch.tensor([LOWEST_RATE], dtype=torch.float64)])
    return load_free_tables().waterfall(order, k, rates)
