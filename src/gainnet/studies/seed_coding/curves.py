"""The table of seed-coding over its random seeds: one row per cell, and curves that can be subtracted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import pandas as pd

from gainnet.studies.seed_coding.question import SCENE, bearer_of
from gainnet.studies.statistics import psnr_cells, psnr_db, spread

ALL: Final = "all"
"""Column of a curve for all pictures of all random seeds."""
POINT: Final = ["snr_db", "num_channel_uses"]
CELL: Final = ["content", "method", "bearer", "fading", "report_offset_db", "report_error_db", *POINT]
MEANS: Final = (
    "ssim", "prompt_fidelity", "latent_nmse", "num_bits", "num_channel_uses_sent", "delivered",
    "frechet_distance_scenes",
)  # fmt: skip


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, bearer, air and budget, over the random seeds; see `psnr_cells`.

    `p50_db` and `p5_db` are quantiles of the PSNR over pictures.
    """
    found = psnr_cells(table, CELL, MEANS)
    texts_of = table.dropna(subset=["mse"]).groupby(CELL, sort=False)["psnr_db_of_images"]
    of_images = [_sorted_numbers(texts) for _, texts in texts_of]
    found["p50_db"], found["p5_db"] = ([quantile(x, share) for x in of_images] for share in (0.5, 0.05))
    return found


def curve(table: pd.DataFrame, method: str, report_offset_db: float = 0.0) -> pd.DataFrame:
    """PSNR of a method on scenes without fading, by (snr_db, num_channel_uses).

    Args:
        table: of the study.
        method: over the bearer that it has by default.
        report_offset_db: how wrong the reports are.

    Returns:
        A column per random seed, and `all` for the PSNR of the mean MSE over all of them.
    """
    sent = plain(table.dropna(subset=["mse"]), report_offset_db)
    rows = sent[(sent["method"] == method) & (sent["bearer"] == bearer_of(method))]
    of_seeds = rows.pivot_table(index=POINT, columns="random_seed", values="psnr_db")
    return of_seeds.assign(**{ALL: rows.groupby(POINT)["mse"].mean().map(psnr_db)})


def plain(rows: pd.DataFrame, report_offset_db: float = 0.0) -> pd.DataFrame:
    """Those of scenes without fading and without random errors of the report."""
    air = (rows["content"] == SCENE) & (rows["fading"] == "awgn") & (rows["report_error_db"] == 0.0)
    return rows[air & (rows["report_offset_db"] == report_offset_db)]


def half_width(values: Iterable[float]) -> float | None:
    """Half of Student's 95 % interval over random seeds; `None` for one random seed."""
    return spread(values).half_width


def quantile(values: list[float], share: float) -> float:
    """The smallest of ascending values that at least this share of them does not exceed.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0, 3.0, 4.0], 0.05)
    (2.0, 1.0)
    """
    return values[max(0, math.ceil(share * len(values)) - 1)]


def _sorted_numbers(texts: Iterable[str]) -> list[float]:
    return sorted(float(number) for text in texts for number in str(text).split())
