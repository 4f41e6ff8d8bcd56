"""Metrics of photographs: means, median and tail over crops, and seeds beside VVC with intervals over photographs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from gainnet.core.errors import ConfigError
from gainnet.studies.photographs.question import AUTOENCODER, CODECS, SEEDS, SNRS_DB, USES
from gainnet.studies.statistics import at, psnr_db, round_metrics, spread

OPPONENT: Final = "vvc"
CELL: Final = ["method", "uses_per_value", "snr_db"]
QUANTITIES: Final = ("psnr_db", "psnr_db_p50", "psnr_db_p5", "ssim", "feature_distance", "feature_distance_p95")
AHEAD: Final = ("psnr_db", "feature_distance")
HALF_WIDTH: Final = "_half_width"


def place(method: str, uses_per_value: str, snr_db: float) -> str:
    """The end of a metric's name.

    >>> place("vvc", "1/96", 5.0)
    'vvc.1_96.5db'
    """
    return f"{method}.{uses_per_value.replace('/', '_')}.{snr_db:g}db"


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[1]
    'psnr_db.linear.1_192.5db'
    """
    sent = [place(*cell) for cell in product((*SEEDS, *CODECS), USES, SNRS_DB)]
    seeds = [place(*cell) for cell in product(SEEDS, USES, SNRS_DB)]
    ahead = [f"{name}_over_{OPPONENT}{end}.{cell}" for name in AHEAD for end in ("", HALF_WIDTH) for cell in seeds]
    return (
        *(f"{name}.{cell}" for name in QUANTITIES for cell in sent),
        *(f"{name}.{AUTOENCODER}" for name in QUANTITIES),
        *ahead,
        *(f"seed_is_better.{uses.replace('/', '_')}.{snr_db}db" for uses, snr_db in product(USES, SNRS_DB)),
        "num_crops",
        "num_photographs",
    )


def crops(table: pd.DataFrame) -> pd.DataFrame:
    """One row per crop and cell: both halves and all random seeds together."""
    return pd.DataFrame(list(_crops(table)))


def _crops(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    for row in table.to_dict("records"):
        texts = [str(row[f"{name}_of_crops"]).split() for name in ("photograph", "psnr_db", "ssim", "feature_distance")]
        for number, (photograph, *values) in enumerate(zip(*texts, strict=True)):
            own = dict(zip(("psnr_db", "ssim", "feature_distance"), map(float, values), strict=True))
            crop = f"{row['random_seed']} {row['half']} {number}"
            yield {**{name: row.get(name) for name in CELL}, "crop": crop, "photograph": photograph, **own}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric that the table holds; see `metric_names`."""
    every = crops(table)
    alone = every["method"] == AUTOENCODER
    found = {f"{name}.{AUTOENCODER}": x for name, x in _quantities(every[alone]).items()} if alone.any() else {}
    sent = every[~alone]
    for (method, uses, snr_db), rows in sent.groupby(CELL):
        end = place(str(method), str(uses), float(str(snr_db)))
        found |= {f"{name}.{end}": x for name, x in _quantities(rows).items()}
    for (uses, snr_db), rows in sent.groupby(CELL[1:]):
        found |= _beside_opponent(rows, str(uses), float(str(snr_db)))
    found |= {"num_crops": float(every["crop"].nunique()), "num_photographs": float(every["photograph"].nunique())}
    return round_metrics(found, 4)


def _quantities(rows: pd.DataFrame) -> dict[str, float]:
    """Of the crops of a cell; PSNR is that of the mean squared error, its quantiles are over crops."""
    errors = 10 ** (-rows["psnr_db"] / 10)
    return {
        "psnr_db": psnr_db(float(errors.mean())),
        "psnr_db_p50": float(rows["psnr_db"].median()),
        "psnr_db_p5": float(rows["psnr_db"].quantile(0.05)),
        "ssim": float(rows["ssim"].mean()),
        "feature_distance": float(rows["feature_distance"].mean()),
        "feature_distance_p95": float(rows["feature_distance"].quantile(0.95)),
    }


def _beside_opponent(rows: pd.DataFrame, uses: str, snr_db: float) -> dict[str, float]:
    """Seeds minus VVC, crop by crop: mean over photographs and half of its 95 % interval over photographs.

    Crops of a photograph are alike, so that photographs are what repeats. `seed_is_better` is 1 where a seed is nearer
    in features than every codec, on the mean, and 0 where one of these should be taken.
    """
    names, end = set(rows["method"]), place("", uses, snr_db)[1:]
    found: dict[str, float] = {}
    of_method = rows.groupby("method")["feature_distance"].mean()
    if names & set(SEEDS) and names & set(CODECS):
        seeds, codecs = (of_method[of_method.index.isin(kind)].min() for kind in (SEEDS, CODECS))
        found[f"seed_is_better.{end}"] = float(seeds < codecs)
    if OPPONENT not in names:
        return found
    theirs = rows[rows["method"] == OPPONENT].set_index("crop")
    for method, quantity in product([name for name in SEEDS if name in names], AHEAD):
        own = rows[rows["method"] == method].set_index("crop")
        by_photograph = (own[quantity] - theirs[quantity]).groupby(own["photograph"]).mean()
        of_all = spread(by_photograph)
        name = f"{quantity}_over_{OPPONENT}"
        found[f"{name}.{place(method, uses, snr_db)}"] = of_all.mean
        if of_all.half_width is not None and math.isfinite(of_all.half_width):
            found[f"{name}{HALF_WIDTH}.{place(method, uses, snr_db)}"] = of_all.half_width
    return found


def recommended_by(run: Path, snr_db: float, uses_per_value: float) -> dict[str, Any]:
    """How to send a photograph, by a run: the method of least feature distance at the nearest cell, and all others.

    Args:
        run: folder of a run, or its table.
        snr_db: mean received Es/N0 in dB.
        uses_per_value: complex channel uses per pixel value.

    Raises:
        ConfigError: the folder holds no table of this study.
    """
    path = run / "table.csv" if run.is_dir() else run
    try:
        table = pd.read_csv(path)
        rows = table[table["method"].isin((*SEEDS, *CODECS))].dropna(subset=["snr_db", "feature_distance"])
    except (OSError, ValueError, KeyError):
        rows = pd.DataFrame()
    if rows.empty:
        raise ConfigError(f"photographs: {path} is no table of the study photographs; give the folder of a run")
    return recommended(rows, snr_db, uses_per_value)


def recommended(rows: pd.DataFrame, snr_db: float, uses_per_value: float) -> dict[str, Any]:
    """`method`, `snr_db`, `uses_per_value`, and `feature_distance` by method, nearest first; see `recommended_by`."""
    # 5 dB of SNR and twice the uses are about as far: both are the steps of the study.
    shares = rows["uses_per_value"].map(lambda text: float(Fraction(str(text))))
    away = (rows["snr_db"] - snr_db).abs() / 5 + np.abs(np.log2(shares / uses_per_value))
    cell = rows.loc[away.idxmin(), ["snr_db", "uses_per_value"]]
    near = at(rows, snr_db=cell["snr_db"], uses_per_value=cell["uses_per_value"])
    means = near.groupby("method")["feature_distance"].mean().sort_values()
    distances = {str(name): round(float(x), 6) for name, x in means.items()}
    return {"method": next(iter(distances)), **cell.to_dict(), "feature_distance": distances}
