"""Measurement of the block error rates that links look up, with the bit-level link."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio.coding.bler import TABLE_PATH, BlerPoint
from gainnet.radio.coding.curves import write_curves
from gainnet.radio.coding.ldpc import DECODER_ITERATIONS, decode, encode
from gainnet.radio.coding.mcs import LADDER, MAX_CODEWORD_BYTES, MIN_CODEWORD_BYTES, NUM_CRC_BITS, Codeword
from gainnet.radio.fading.awgn import AWGN

LENGTHS: Final = (64, 128, 256, 512, 1024)
PLAN: Final = ((0.0, 40), (0.8, 80), (1.5, 120), (2.1, 150), (2.7, 150))
"""Points of a curve: probit below the median, codewords."""

_BATCH = 60
_SEARCH_TRIALS = 24


def make_bler_tables(
    path: Path = TABLE_PATH,
    mcs_indices: Sequence[int] = tuple(range(len(LADDER))),
    lengths: Sequence[int] = LENGTHS,
    progress: Callable[[str], None] = lambda line: None,
) -> None:
    """Measures every curve and writes the JSON file, see `write_curves`.

    Args:
        path: file to write.
        mcs_indices: schemes of the ladder.
        lengths: information bits of the codes; 16 of them are CRC, the rest whole bytes.
        progress: receives one line per curve.
    """
    formats = {f"mcs {index} k {length}": (index, length) for index in mcs_indices for length in lengths}
    how = {
        "code": "TS 38.212 LDPC through Sionna, CRC16, repetition under rate 1/5",
        "decoder": f"sum-product, {DECODER_ITERATIONS} iterations, early stop by CRC",
        "modulation": "TS 38.214 Tables 5.1.3.1-3 (indices 0-5) and 5.1.3.1-2, max-log demapper, AWGN",
        "fit": "BLER = Q((snr_db - median_snr_db) / spread_db), maximum likelihood over the points",
    }
    write_curves(
        path,
        how,
        {name: partial(measure_curve, *of) for name, of in formats.items()},
        lambda name, curve: progress(f"{name}: {curve['median_snr_db']} dB, spread {curve['spread_db']} dB"),
    )


def check_curves(mcs_indices: Sequence[int], lengths: Sequence[int]) -> None:
    """Raises `ConfigError` for a scheme or a length that cannot be measured.

    >>> check_curves([0, 33], [64, 1024])
    """
    if wrong := [index for index in mcs_indices if not 0 <= index < len(LADDER)]:
        raise ConfigError(f"mcs: there is no scheme {wrong[0]}; must be 0 to {len(LADDER) - 1}")
    least, most = (8 * n + NUM_CRC_BITS for n in (MIN_CODEWORD_BYTES, MAX_CODEWORD_BYTES))
    if wrong := [length for length in lengths if length % 8 or not least <= length <= most]:
        raise ConfigError(
            f"num_information_bits: {wrong[0]} does not fit; must be a multiple of 8 from {least} to {most}"
        )


def measure_curve(mcs_index: int, num_information_bits: int) -> dict[str, Any]:
    """One curve: points around its waterfall and the line through them."""
    codeword = Codeword((num_information_bits - NUM_CRC_BITS) // 8, LADDER[mcs_index])
    spread = expected_spread_db(codeword)
    points, centre = _search(codeword, spread)
    for probit, trials in PLAN:
        snr_db = centre + probit * spread
        points.append((round(snr_db, 3), measure_point(codeword, snr_db, trials)))
    median, spread = fit_probit_line(points)
    return {
        "mcs_index": mcs_index,
        "num_information_bits": num_information_bits,
        "median_snr_db": round(median, 3),
        "spread_db": round(spread, 3),
        "points": [_row(*point) for point in sorted(points, key=lambda point: point[0])],
    }


def measure_point(codeword: Codeword, snr_db: float, num_trials: int, random_seed: int = 0) -> BlerPoint:
    """Codewords sent over AWGN through the bit-level path, and how many failed their CRC.

    Args:
        codeword: their format.
        snr_db: Es/N0 in dB.
        num_trials: codewords.
        random_seed: of payloads and noise.
    """
    errors = 0
    for start in range(0, num_trials, _BATCH):
        seeds = range(start, min(start + _BATCH, num_trials))
        random = Random.of(list(seeds)).child(random_seed, codeword.num_coded_bits, round(1000 * (snr_db + 100)))
        draws = random.generators("payload")
        payloads = np.stack([g.integers(0, 256, codeword.num_bytes, dtype=np.uint8) for g in draws])
        sent = encode(torch.from_numpy(payloads), codeword)
        snr = torch.full((len(seeds),), db_to_linear(snr_db))
        _, holds = decode(AWGN().transmit(sent, snr, AWGN().first_gain(random), random), codeword)
        errors += int((~holds).sum())
    return BlerPoint(num_trials, errors)


def expected_spread_db(codeword: Codeword) -> float:
    r"""Width of the waterfall in dB by the normal approximation at capacity equal to the rate.

    $\sigma = \sqrt{V/n} / C'$, $V = \gamma(\gamma + 2)/(\gamma + 1)^2 \log_2^2 e$   (Polyanskiy et al. 2010)
    """
    snr = 2**codeword.mcs.spectral_efficiency - 1
    dispersion = snr * (snr + 2) / (snr + 1) ** 2
    slope_per_db = snr / (snr + 1) * math.log(10) / 10
    return math.sqrt(dispersion / codeword.num_channel_uses) / slope_per_db


def fit_probit_line(points: Iterable[tuple[float, BlerPoint]]) -> tuple[float, float]:
    """Median and spread in dB of the normal curve of largest likelihood, of points at an Es/N0 in dB each."""
    from scipy.optimize import minimize
    from scipy.special import log_ndtr

    rows = np.array([(snr_db, point.num_trials, point.num_errors) for snr_db, point in points])
    snr_db, trials, errors = rows.T

    def loss(x: np.ndarray) -> float:
        # The spread as its logarithm, so that the search cannot make it negative.
        probit = (snr_db - x[0]) / math.exp(x[1])
        return -float((errors * log_ndtr(-probit) + (trials - errors) * log_ndtr(probit)).sum())

    middle = snr_db[np.argmin(np.abs(errors / trials - 0.5))]
    best = minimize(loss, np.array([middle, math.log(0.5)]), method="Nelder-Mead").x
    return float(best[0]), math.exp(best[1])


def _search(codeword: Codeword, spread_db: float) -> tuple[list[tuple[float, BlerPoint]], float]:
    """Steps down the waterfall until codewords get through, then halves the steps."""
    snr_db = linear_to_db(2**codeword.mcs.spectral_efficiency - 1) + 1.0
    points, step = list[tuple[float, BlerPoint]](), 2.0 * spread_db
    for _ in range(24):
        rates = [point.num_errors / point.num_trials for _, point in points]
        points.append((round(snr_db, 3), measure_point(codeword, snr_db, _SEARCH_TRIALS)))
        rate = points[-1][1].num_errors / _SEARCH_TRIALS
        if 0.2 <= rate <= 0.8:
            break
        direction = 1.0 if rate > 0.5 else -1.0
        turned = bool(rates) and (rates[-1] > 0.5) != (rate > 0.5)
        step = step / 2 if turned else step
        snr_db += direction * step
    # From the rate that was met to the median along the expected curve; 0 and 1 would be infinitely far.
    clipped = min(max(rate, 0.1), 0.9)
    return points, snr_db + spread_db * float(torch.special.ndtri(torch.tensor(clipped)))


def _row(snr_db: float, point: BlerPoint) -> dict[str, float]:
    low, high = point.wilson()
    return {"snr_db": snr_db} | asdict(point) | {"wilson_low": round(low, 5), "wilson_high": round(high, 5)}
