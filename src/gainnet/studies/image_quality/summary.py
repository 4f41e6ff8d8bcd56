"""Metrics of the study image-quality from its table: PSNR at equal air, and channel uses at equal PSNR."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gainnet.studies.image_quality.question import (
    BEST_SHANNON,
    METHODS,
    SHANNON,
    SNRS_DB,
    SNRS_DB_OF_RATE,
    TARGET_PSNR_DB,
)
from gainnet.studies.image_quality.question import COMMON_NUM_CHANNEL_USES as COMMON
from gainnet.studies.statistics import at, psnr_cells, uses_for

CELL = ["method", "protocol", "fading", "snr_db", "num_channel_uses"]
SUFFIX_OF_FADING = {"awgn": "", "rayleigh": "_rayleigh"}


def metric_names() -> tuple[str, ...]:
    """All metrics, with AWGN first.

    >>> metric_names()[:2]
    ('psnr_db.jpeg.-10db', 'psnr_db.jpeg.-5db')
    """
    names, suffixes = [m for m in METHODS if m not in SHANNON] + [BEST_SHANNON], SUFFIX_OF_FADING.values()
    quality = [f"psnr_db{s}.{m}.{snr}db" for s in suffixes for m in names for snr in SNRS_DB]
    rates = [f"uses_for_30db{s}.{m}.{snr}db" for s in suffixes for m in names for snr in SNRS_DB_OF_RATE]
    return (*quality, *rates)


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, fading, SNR and budget, over the random seeds; see `psnr_cells`.

    The image codecs at the Shannon rate are there as one method, the better of them at every point.
    """
    found = psnr_cells(table, CELL, ("ssim", "prompt_fidelity", "delivered"))
    # A bound for any image codec takes the better of two at every point.
    is_shannon = found["method"].isin(SHANNON)
    rows = found[is_shannon]
    best = rows.loc[rows.groupby(CELL[1:])["psnr_db"].idxmax()].assign(method=BEST_SHANNON)
    return pd.concat([found[~is_shannon], best], ignore_index=True)


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study; see `metric_names`."""
    found = cells(table)
    metrics: dict[str, float | None] = {}
    for (method, fading, snr_db), rows in found.groupby(["method", "fading", "snr_db"]):
        suffix, name = SUFFIX_OF_FADING.get(str(fading), f".{fading}"), f"{method}.{snr_db:g}db"
        common = at(rows, num_channel_uses=COMMON)
        if snr_db in SNRS_DB and len(common):
            metrics[f"psnr_db{suffix}.{name}"] = round(float(common["psnr_db"].iloc[0]), 3)
        if snr_db in SNRS_DB_OF_RATE:
            curve = rows.sort_values("num_channel_uses")
            uses = uses_for(TARGET_PSNR_DB, list(curve["num_channel_uses"]), list(curve["psnr_db"]))
            metrics[f"uses_for_30db{suffix}.{name}"] = None if uses is None else round(uses, 1)
    return metrics
