"""Measurement of the block error rates of codewords of any length, with real codewords over AWGN."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.core.units import db_to_linear
from gainnet.radio.coding import free, polar
from gainnet.radio.coding.attempts import FALSE, MISSED, Attempts
from gainnet.radio.coding.bler import BlerPoint
from gainnet.radio.coding.bler_measurement import expected_spread_db, fit_probit_line
from gainnet.radio.coding.curves import write_curves
from gainnet.radio.coding.free_tables import (
    FREE_LENGTHS,
    FREE_TABLE_PATH,
    POLAR_LENGTHS,
    POLAR_RATES,
    RATES,
    num_uses_at,
)
from gainnet.radio.coding.information import snr_db_of_information
from gainnet.radio.coding.layered import CHECKED_AFTER
from gainnet.radio.coding.mcs import NUM_CRC_BITS, Codeword, Mcs
from gainnet.radio.coding.polar import NUM_POLAR_CRC_BITS
from gainnet.radio.fading.awgn import AWGN

PLAN: Final = ((0.0, 100), (0.8, 200), (1.6, 350), (2.3, 600))
"""Points of a curve: probit below the median, codewords."""

TIMES: Final = {(472, 2): 2, (472, 4): 4}
"""Times as many codewords by information bits and bits per symbol, at the length that goals are set for."""

LDPC: Final = "ldpc"
DESCRIPTIONS: Final = {
    LDPC: {
        "code": "graph 2 of TS 38.212 from its circular buffer, CRC16, bit interleaver of section 5.4.2.2",
        "decoder": f"layered sum-product, at most {CHECKED_AFTER[-1]} iterations",
    },
    "polar": {
        "code": "polar code of TS 38.212 for the uplink, CRC11, at most 1,088 coded bits",
        "decoder": f"successive cancellation of a list of {polar.LIST_SIZE}",
    },
}

GRIDS: Final[Mapping[str, tuple[Sequence[int], Mapping[int, Sequence[float]]]]] = {
    LDPC: (FREE_LENGTHS, RATES),
    "polar": (POLAR_LENGTHS, POLAR_RATES),
}
"""Information bits, and code rates by bits per symbol, of the shipped tables."""

_BATCH = 250
_SEARCH_TRIALS = 40


def make_free_tables(
    path: Path = FREE_TABLE_PATH,
    lengths: Sequence[int] = FREE_LENGTHS,
    rates: Mapping[int, Sequence[float]] = RATES,
    progress: Callable[[str], None] = lambda line: None,
    code: str = LDPC,
) -> None:
    """Measures every curve and writes the JSON file, see `write_curves`; some ten minutes of one core for a code.

    Args:
        path: file to write.
        lengths: information bits, CRC included.
        rates: code rates by bits per symbol.
        progress: receives one line per curve.
        code: `ldpc` or `polar`.
    """
    formats = [(k, order, rate) for k in lengths for order, own in rates.items() for rate in own]
    how = {
        **DESCRIPTIONS[code],
        "modulation": "Gray QAM, exact demapper, AWGN",
        "fit": "BLER = Q((snr_db - median_snr_db) / spread_db), maximum likelihood over the points",
    }
    write_curves(
        path,
        how,
        {
            f"k {k} order {order} rate {rate}": partial(measure_curve, k, order, rate, code)
            for k, order, rate in formats
        },
        lambda name, curve: progress(json.dumps({**curve, "points": []})),
    )


def measure_curve(num_information_bits: int, bits_per_symbol: int, rate: float, code: str = LDPC) -> dict[str, Any]:
    """One curve: points around its waterfall and the line through them; arguments as in `make_free_tables`."""
    uses = num_uses_at(num_information_bits, bits_per_symbol, rate)
    codeword = free_codeword(num_information_bits, bits_per_symbol, uses)
    spread = expected_spread_db(codeword)
    points, times = list[tuple[float, BlerPoint]](), TIMES.get((num_information_bits, bits_per_symbol), 1)
    # A first guess a little above the information that a code without overhead would need.
    needed = torch.tensor(min(1.08 * rate, 0.98))
    centre = float(snr_db_of_information(bits_per_symbol, needed)) + spread

    def measure(snr_db: float, trials: int) -> BlerPoint:
        if code == LDPC:
            return measure_free_point(codeword, snr_db, trials)
        num_bytes = (num_information_bits - NUM_POLAR_CRC_BITS) // 8
        return measure_polar_point(num_bytes, bits_per_symbol, uses, snr_db, trials)

    for snr_db, trials in _search(codeword, centre, spread, points):
        points.append((snr_db, measure(snr_db, trials)))
    centre = fit_probit_line(points)[0]
    for probit, trials in PLAN:
        snr_db = round(centre + probit * spread, 3)
        points.append((snr_db, measure(snr_db, times * trials)))
    median, spread = fit_probit_line(points)
    return {
        "num_information_bits": num_information_bits,
        "bits_per_symbol": bits_per_symbol,
        "rate": rate,
        "num_channel_uses": uses,
        "median_snr_db": round(median, 3),
        "spread_db": round(spread, 3),
        "points": [
            [snr_db, point.num_trials, point.num_errors] for snr_db, point in sorted(points, key=lambda x: x[0])
        ],
    }


def free_codeword(num_information_bits: int, bits_per_symbol: int, num_channel_uses: int) -> Codeword:
    """The codeword of a payload with its CRC in so many channel uses."""
    rate_1024 = 1024 * num_information_bits / (num_channel_uses * bits_per_symbol)
    return Codeword((num_information_bits - NUM_CRC_BITS) // 8, Mcs(bits_per_symbol, rate_1024))


def measure_free_point(codeword: Codeword, snr_db: float, num_trials: int, random_seed: int = 0) -> BlerPoint:
    """Codewords sent over AWGN through the bit-level path, and how many came with another payload or a false CRC.

    Args:
        codeword: their format.
        snr_db: Es/N0 in dB.
        num_trials: codewords.
        random_seed: of payloads and noise.
    """
    errors, order, uses = 0, codeword.mcs.bits_per_symbol, codeword.num_channel_uses
    for start in range(0, num_trials, _BATCH):
        # One stream per batch: one per codeword would take longer than decoding.
        random = Random.of([start]).child("free", random_seed, codeword.num_coded_bits, round(1000 * (snr_db + 100)))
        num = min(_BATCH, num_trials - start)
        drawn = random.uniform((num, codeword.num_bytes), "payload")[0]
        payloads = (drawn * 256).clamp_max(255).to(torch.uint8)
        sent = free.encode(payloads, codeword, order, 0, uses)
        received = _with_noise(sent, snr_db, random)
        decoded, holds = free.decode(free.soft_bits(received, codeword, order, 0), codeword, order * uses)
        errors += int((~(holds & (decoded == payloads).all(-1))).sum())
    return BlerPoint(num_trials, errors)


def measure_polar_point(
    num_bytes: int, bits_per_symbol: int, num_channel_uses: int, snr_db: float, num_trials: int, random_seed: int = 0
) -> BlerPoint:
    """As `measure_free_point`, by polar codes.

    Args:
        num_bytes: payload.
        bits_per_symbol: 2, 4 or 6.
        num_channel_uses: length of a codeword.
        snr_db: Es/N0 in dB.
        num_trials: codewords.
        random_seed: of payloads and noise.
    """
    errors, about = 0, (random_seed, bits_per_symbol * num_channel_uses, round(1000 * (snr_db + 100)))
    for start in range(0, num_trials, _BATCH):
        random, num = Random.of([start]).child("polar", *about), min(_BATCH, num_trials - start)
        payloads = (random.uniform((num, num_bytes), "payload")[0] * 256).clamp_max(255).to(torch.uint8)
        received = _with_noise(polar.encode(payloads, bits_per_symbol, num_channel_uses), snr_db, random)
        decoded, holds = polar.decode(received, num_bytes, bits_per_symbol)
        errors += int((~(holds & (decoded == payloads).all(-1))).sum())
    return BlerPoint(num_trials, errors)


@final
@dataclass(frozen=True)
class Exchanged:
    """Packets that were sent with feedback.

    Args:
        num_packets: sent.
        num_lost: that did not arrive.
        mean_uses: channel uses of one, acknowledgements and their errors included.
    """

    num_packets: int
    num_lost: int
    mean_uses: float


def measure_attempts(
    plan: Attempts, num_bytes: int, snr_db: float, num_packets: int, random_seed: int = 0
) -> Exchanged:
    """Packets sent over AWGN through the bit-level path, attempt after attempt, all of one packet decoded together.

    Acknowledgements err as they are allowed to, see `acknowledgement_uses`.

    Args:
        plan: lengths of the attempts.
        num_bytes: payload.
        snr_db: Es/N0 in dB.
        num_packets: to send.
        random_seed: of payloads, noise and acknowledgements.
    """
    order, uses, lost = plan.bits_per_symbol, 0.0, 0
    codeword = free_codeword(8 * num_bytes + NUM_CRC_BITS, order, plan.ends[0])
    for start in range(0, num_packets, _BATCH):
        random, num = Random.of([start]).child("attempts", random_seed, plan.ends[0]), min(_BATCH, num_packets - start)
        payloads = (random.uniform((num, num_bytes), "payload")[0] * 256).clamp_max(255).to(torch.uint8)
        # Whoever the sender still serves, and whoever the receiver still lacks, are two sets once acknowledgements err.
        open_, lacking = torch.ones(num, dtype=torch.bool), torch.ones(num, dtype=torch.bool)
        combined = torch.zeros(num, free.mother(codeword.num_information_bits).buffer_length)
        for number, end in enumerate(plan.ends):
            before, rows = end - plan.length(number), open_ & lacking
            uses += int(open_.sum()) * plan.length(number)
            sent = free.encode(payloads[rows], codeword, order, before * order, end - before)
            received = _with_noise(sent, snr_db, random.child(number))
            combined[rows] += free.soft_bits(received, codeword, order, before * order)
            decoded, holds = free.decode(combined[rows], codeword, order * end)
            lacking[rows] = ~(holds & (decoded == payloads[rows]).all(-1))
            if number + 1 < len(plan.ends):
                uses += int(open_.sum()) * plan.acknowledgement_uses
                errs = random.uniform((num,), "acknowledgement", number)[0]
                open_ = open_ & torch.where(lacking, errs >= MISSED, errs < FALSE)
        lost += int(lacking.sum())
    return Exchanged(num_packets, lost, uses / num_packets)


def _with_noise(sent: torch.Tensor, snr_db: float, random: Random) -> Symbols:
    snr, flat = torch.tensor([db_to_linear(snr_db)]), sent.reshape(1, -1)
    received = AWGN().transmit(flat, snr, torch.ones(1, dtype=torch.complex64), random)
    return Symbols(
        *(x.expand_as(flat).reshape(sent.shape) for x in (received.values, received.gain, received.noise_variance))
    )


def _search(
    codeword: Codeword, centre: float, spread_db: float, points: list[tuple[float, BlerPoint]]
) -> Iterator[tuple[float, int]]:
    """SNRs and numbers of codewords to measure until a rate lies between 0.2 and 0.8; reads what was measured."""
    snr_db, step = centre, 2.0 * spread_db
    for _ in range(16):
        yield round(snr_db, 3), _SEARCH_TRIALS
        rates = [point.num_errors / point.num_trials for _, point in points]
        if 0.2 <= rates[-1] <= 0.8:
            return
        turned = len(rates) > 1 and (rates[-2] > 0.5) != (rates[-1] > 0.5)
        step = step / 2 if turned else step
        snr_db += step if rates[-1] > 0.5 else -step
