"""Metrics of unseen pictures: channel uses for 30 dB by scheme and SNR, with their spread over pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Any, Final, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainnet.studies.seed_coding.question import (
    BEST_CODEC,
    DEVICE_ONLY,
    OVERLAP,
    PASSES,
    POWER,
    SCHEMES,
    SCHEMES_OF_SYMBOLS,
    SLOWER_NUMS_BYTES,
    SLOWER_VVC,
)
from gainnet.studies.statistics import at, psnr_db, uses_for

SNRS: Final = {-20.0: "m20db", -10.0: "m10db", 0.0: "0db", 5.0: "5db", 10.0: "10db", 20.0: "20db"}
ENDINGS: Final = ("", ".low", ".high", ".median", ".p05")
"""Of `uses_for_30db`: for the PSNR of the mean error, the ends of its 95 % interval, for the median and for the 5 %
quantile of the PSNR over pictures."""

TARGET_PSNR_DB: Final = 30.0
NUM_RESAMPLES: Final = 400


def unseen_metric_names() -> tuple[str, ...]:
    """All metrics of unseen pictures.

    >>> unseen_metric_names()[:2]
    ('num_pictures', 'overlap')
    """
    shares = [f"share_of_best.{scheme}.{snr}" for scheme, snr in product(SCHEMES, SNRS.values())]
    return (
        "num_pictures",
        "overlap",
        *(f"uses_for_30db.{scheme}.{snr}{end}" for scheme, snr, end in product(SCHEMES, SNRS.values(), ENDINGS)),
        *(name + end for name, end in product(shares, ENDINGS[:3])),
        *(f"prompt_fidelity_at_30db.{scheme}.{snr}" for scheme, snr in product(SCHEMES, SNRS.values())),
        *(f"largest_power{when}.{code}" for code, when in product(SCHEMES_OF_SYMBOLS, ("", "_before"))),
        *(f"slower_vvc_gain_db.{num_bytes}b" for num_bytes in SLOWER_NUMS_BYTES),
        f"device_only_psnr_db.{PASSES}",
    )


def summarise_unseen(table: pd.DataFrame) -> dict[str, float | None]:
    """Every metric that rows of unseen pictures hold; see `unseen_metric_names`."""
    found: dict[str, float | None] = {}
    resampled: dict[tuple[str, str], NDArray[np.float64]] = {}
    sent = table[table["method"].isin(SCHEMES)]
    for (scheme, snr_db), rows in sent.groupby(["method", "snr_db"], sort=False):
        key = str(scheme), SNRS[float(str(snr_db))]
        points = Points.of(rows)
        name = ".".join(("uses_for_30db", *key))
        # The same pictures are drawn for all schemes, so that shares are those of pairs.
        resampled[key] = points.resampled()
        found[name] = points.uses()
        found |= dict(zip((name + ".low", name + ".high"), _interval(resampled[key]), strict=True))
        found |= {f"{name}.median": points.uses(0.5), f"{name}.p05": points.uses(0.05)}
        found[".".join(("prompt_fidelity_at_30db", *key))] = points.fidelity_at(found[name])
        found["num_pictures"] = float(points.errors.shape[1])
    for (scheme, snr), uses in resampled.items():
        if (best := resampled.get((BEST_CODEC, snr))) is not None:
            name, ours, theirs = f"share_of_best.{scheme}.{snr}", *_both(found, scheme, snr)
            found[name] = ours / theirs if ours and theirs else None
            # What is not reached divided by what is not reached is no number; it ends an interval.
            ratio = np.where(np.isfinite(best), uses / np.where(np.isfinite(best), best, 1.0), math.inf)
            found |= dict(zip((name + ".low", name + ".high"), _interval(ratio), strict=True))
    return found | _checks(table)


@final
@dataclass(frozen=True)
class Points:
    """Budgets of one scheme at one SNR.

    Args:
        errors: [num_budgets, num_pictures], squared error of every picture.
        uses: [num_budgets, num_pictures], channel uses of every picture.
        fidelity: [num_budgets], mean prompt fidelity.
    """

    errors: NDArray[np.float64]
    num_uses: NDArray[np.float64]
    fidelity: NDArray[np.float64]

    @staticmethod
    def of(rows: pd.DataFrame) -> Points:
        """From rows of all budgets and random seeds."""
        budget = rows["num_bytes"].fillna(rows["num_channel_uses"]) if "num_bytes" in rows else rows["num_channel_uses"]
        errors, uses, fidelity = [], [], []
        for _, own in rows.groupby(budget):
            own = own.sort_values("random_seed")
            errors.append(10.0 ** (-_numbers(own["psnr_db_of_images"]) / 10))
            uses.append(_numbers(own["uses_of_images"]))
            fidelity.append(float(own["prompt_fidelity"].astype(float).mean()))
        return Points(np.stack(errors), np.stack(uses), np.array(fidelity))

    def uses(self, quantile: float | None = None) -> float | None:
        """Mean uses a picture at which the PSNR of the mean error, or a quantile over pictures, reaches 30 dB."""
        mse = self.errors.mean(1) if quantile is None else np.quantile(self.errors, 1 - quantile, axis=1)
        return _reached(self.num_uses.mean(1), mse)

    def resampled(self) -> NDArray[np.float64]:
        """[NUM_RESAMPLES], the same over pictures drawn with replacement; infinite where 30 dB are not reached."""
        num = self.errors.shape[1]
        counts = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), NUM_RESAMPLES) / num
        mse, uses = counts @ self.errors.T, counts @ self.num_uses.T
        found = (_reached(*pair) for pair in zip(uses, mse, strict=True))
        return np.array([math.inf if x is None else x for x in found])

    def fidelity_at(self, uses: float | None) -> float | None:
        """Mean prompt fidelity between budgets, over the logarithm of uses."""
        if uses is None or np.isnan(self.fidelity).any():
            return None
        return float(np.interp(math.log(uses), np.log(self.num_uses.mean(1)), self.fidelity))


def _reached(uses: NDArray[np.float64], mse: NDArray[np.float64]) -> float | None:
    # Budgets of which nothing was sent have no uses, and no logarithm.
    points = sorted((float(x), psnr_db(float(y))) for x, y in zip(uses, mse, strict=True) if x > 0)
    return uses_for(TARGET_PSNR_DB, [x for x, _ in points], list(accumulate((y for _, y in points), max)))


def _interval(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Ends of the 95 % interval; `None` where an end is not reached."""
    low, high = (float(np.quantile(values, share, method="nearest")) for share in (0.025, 0.975))
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def _both(found: Mapping[str, float | None], scheme: str, snr: str) -> tuple[float | None, float | None]:
    ours, theirs = (found.get(f"uses_for_30db.{name}.{snr}") for name in (scheme, BEST_CODEC))
    return ours, theirs


def _checks(table: pd.DataFrame) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    if len(rows := at(table, method=OVERLAP)):
        found["overlap"] = float(rows["overlap"].sum())
    if len(rows := at(table, method=DEVICE_ONLY)):
        found[f"device_only_psnr_db.{PASSES}"] = psnr_db(float(rows["mse"].mean()))
    for code, rows in at(table, method=POWER).groupby("code") if POWER in set(table["method"]) else ():
        found |= {f"largest_power{when}.{code}": float(rows[f"largest_power{when}"].max()) for when in ("", "_before")}
    for _, row in at(table, method=SLOWER_VVC).iterrows():
        name = f"slower_vvc_gain_db.{int(row['num_bytes'])}b"
        found[name] = psnr_db(float(row["mse_slower"])) - psnr_db(float(row["mse_slow"]))
    return found


def _numbers(texts: Sequence[Any] | pd.Series[Any]) -> NDArray[np.float64]:
    return np.array([float(number) for text in texts for number in str(text).split()])
