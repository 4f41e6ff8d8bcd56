"""Metrics of the study seed-coding: channel uses at equal quality, distance to the bound, gain over linear."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import Final

import pandas as pd

from gainnet.studies.seed_coding.question import (
    ANALOG_BEARER,
    BEST_CODEC,
    DIGITAL_SEEDS,
    LEARNED,
    METHODS,
    OPTA,
    PICTURES,
    RATE_BEARERS,
    SCENE,
    UNSEEN,
    bearer_of,
)
from gainnet.studies.seed_coding.unseen_summary import summarise_unseen, unseen_metric_names
from gainnet.studies.statistics import psnr_cells, psnr_db, round_metrics, spread, uses_for

ALL: Final = "all"
"""Column of a curve for all pictures of all random seeds."""
POINT: Final = ["snr_db", "num_channel_uses"]
CELL: Final = ["content", "method", "bearer", "fading", "report_offset_db", "report_error_db", *POINT]
MEANS: Final = (
    "ssim", "prompt_fidelity", "latent_nmse", "num_bits", "num_channel_uses_sent", "delivered",
    "frechet_distance_scenes",
)  # fmt: skip
TARGET_PSNR_DB: Final = 30.0
RATE_SNRS_DB: Final = (0, 5, 10)
OF_SYMBOLS: Final = (*LEARNED, "seed_denoiser", "linear", OPTA)
OF_BITS: Final = (*DIGITAL_SEEDS, *PICTURES)
SUFFIX_OF_BEARER: Final = dict(zip(RATE_BEARERS, ("", "_shannon"), strict=True))
REPORTS: Final = {"": 0.0, ".report_low": -5.0, ".report_high": 5.0}
LARGEST_STEP_DB: Final = 1.0
SPREAD: Final = "_half_width"
DIFFERENCES: Final = (
    "gap_to_opta_db.seed_max", "gap_to_opta_db.best_max", "over_linear_db.min", "over_linear_db.l256_0db",
    "over_linear_db.l256_5db", "prompt_gain_db.l32", "prompt_gain_db.l64",
)  # fmt: skip
"""Metrics with half of Student's 95 % interval over random seeds beside them, at the point where an extreme lies."""


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[0]
    'uses_for_30db.seed.0db'
    """
    bits = [name + suffix for name in (*OF_BITS, BEST_CODEC) for suffix in SUFFIX_OF_BEARER.values()]
    uses = [f"uses_for_30db.{name}.{snr}db" for name in (*OF_SYMBOLS, *bits) for snr in RATE_SNRS_DB]
    shares = [f"share_of_best_image_codec.{snr}db" for snr in RATE_SNRS_DB]
    steepest = [f"steepest_db_per_db{report}" for report in REPORTS]
    found = (*uses, *shares, *DIFFERENCES, *(name + SPREAD for name in DIFFERENCES), *steepest, *unseen_metric_names())
    # Schemes that both parts know have one metric, which unseen pictures decide.
    return tuple(dict.fromkeys(found))


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric that the table holds; see `metric_names`."""
    unseen, table = split(table)
    # Where both parts have a scheme, its few pictures give way to those that no training has drawn.
    of_unseen = summarise_unseen(unseen) if len(unseen) else {}
    metrics = _uses(cells(table)) | of_unseen
    ours = ("seed", "transform") if of_unseen else ("seed", "digital_seed")
    metrics |= {f"share_of_best_image_codec.{snr}db": _share(metrics, ours, snr) for snr in RATE_SNRS_DB}
    if of_unseen:
        # The best of all opponents did not go at capacity, and the usual codecs are not the best.
        metrics |= {f"uses_for_30db.{BEST_CODEC}_shannon.{snr}db": None for snr in RATE_SNRS_DB}
    for found in (_gaps(table), _gains(table), _prompt_gains(table)):
        metrics |= found
    for name, offset_db in REPORTS.items():
        metrics[f"steepest_db_per_db{name}"] = steepest(curve(table, "seed", offset_db)[ALL])
    return round_metrics(metrics, 3) | round_metrics(of_unseen, 4)


def split(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of unseen pictures, and all others."""
    is_unseen = table["content"] == UNSEEN
    others = table[~is_unseen]
    # Empty budgets of unseen rows made floats of a column of whole numbers.
    return table[is_unseen], others.astype({"num_channel_uses": int})


def _uses(found: pd.DataFrame) -> dict[str, float | None]:
    """Channel uses for 30 dB of every method and bearer, and of the image codec that needs fewest."""
    metrics: dict[str, float | None] = {}
    bearers = {method: bearer_of(method) for method in OF_SYMBOLS}
    rows = plain(found)
    of_users = rows[~rows["method"].isin(METHODS)]
    users, analog = (list(of_users.loc[(of_users["bearer"] == ANALOG_BEARER) == x, "method"].unique()) for x in (0, 1))
    for snr_db in RATE_SNRS_DB:
        here = rows[rows["snr_db"] == snr_db]
        for method in (*OF_SYMBOLS, *analog):
            metrics[f"uses_for_30db.{method}.{snr_db}db"] = fewest_uses(
                here, method, bearers.get(method, ANALOG_BEARER)
            )
        for bearer, suffix in SUFFIX_OF_BEARER.items():
            for method in (*OF_BITS, *users):
                metrics[f"uses_for_30db.{method}{suffix}.{snr_db}db"] = fewest_uses(here, method, bearer)
            known = [metrics[f"uses_for_30db.{codec}{suffix}.{snr_db}db"] for codec in PICTURES]
            metrics[f"uses_for_30db.{BEST_CODEC}{suffix}.{snr_db}db"] = _least(known)
    return metrics


def fewest_uses(rows: pd.DataFrame, method: str, bearer: str) -> float | None:
    """Channel uses that were really sent, retransmissions counted, where a method reaches 30 dB; `None` if nowhere.

    Of budgets that took more uses and gave no better picture only the best counts, as a sender would choose.
    """
    own = rows[(rows["method"] == method) & (rows["bearer"] == bearer)].sort_values("num_channel_uses_sent")
    return uses_for(TARGET_PSNR_DB, list(own["num_channel_uses_sent"]), list(accumulate(own["psnr_db"], max)))


def _least(values: list[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _share(metrics: Mapping[str, float | None], ours: Iterable[str], snr_db: int) -> float | None:
    """Uses of the best of some learned codes over those of the best image codec."""
    best = _least([metrics.get(f"uses_for_30db.{name}.{snr_db}db") for name in ours])
    codec = metrics.get(f"uses_for_30db.{BEST_CODEC}.{snr_db}db")
    return None if best is None or codec is None else best / codec


def _gaps(table: pd.DataFrame) -> dict[str, float | None]:
    """Largest distance to the Gaussian optimum where that is of interest."""
    opta, seed, digital = (curve(table, name) for name in (OPTA, "seed", "digital_seed"))
    shared = seed.index.intersection(digital.index)
    seed_there, digital_there = seed.loc[shared], digital.loc[shared]
    best = seed_there.where(seed_there[ALL] >= digital_there[ALL], digital_there)
    return {
        **_extreme("gap_to_opta_db.seed_max", opta[opta[ALL].between(20.0, 30.0)] - seed, "idxmax"),
        **_extreme("gap_to_opta_db.best_max", opta[opta[ALL].between(20.0, 40.0)] - best, "idxmax"),
    }


def _gains(table: pd.DataFrame) -> dict[str, float | None]:
    """Gain of the learned code over the best linear one: least of all, and where noise is strong."""
    gain = curve(table, "seed") - curve(table, "linear")
    found = _extreme("over_linear_db.min", gain, "idxmin")
    for snr_db in (0, 5):
        here = gain[gain.index == (float(snr_db), 256)]
        found |= _extreme(f"over_linear_db.l256_{snr_db}db", here, "idxmin")
    return found


def _prompt_gains(table: pd.DataFrame) -> dict[str, float | None]:
    """Gain from the prompt as side information, mean over all SNRs."""
    gain = (curve(table, "seed_prompt") - curve(table, "seed")).dropna()
    found: dict[str, float | None] = {}
    for uses in (32, 64):
        of_seeds = gain[gain.index.get_level_values("num_channel_uses") == uses].mean()
        if of_seeds.notna().any():
            name = f"prompt_gain_db.l{uses}"
            found |= {name: float(of_seeds[ALL]), name + SPREAD: spread(of_seeds.drop(ALL)).half_width}
    return found


def _extreme(name: str, difference: pd.DataFrame, where: str) -> dict[str, float | None]:
    """The largest or least difference of the means, and how sure it is at that very point."""
    # An interval at the very point of the extreme, where random seeds meet the same air.
    known = difference.dropna(subset=[ALL]) if ALL in difference else difference
    if known.empty:
        return {}
    row = known.loc[getattr(known[ALL], where)()]
    return {name: float(row[ALL]), name + SPREAD: spread(row.drop(ALL)).half_width}


def steepest(psnr_db: pd.Series[float]) -> float | None:
    """Largest change of PSNR per dB of SNR between SNRs at most 1 dB apart, over all budgets; `None` if none are.

    Args:
        psnr_db: by (snr_db, num_channel_uses).
    """
    slopes = []
    for _, values in psnr_db.groupby("num_channel_uses"):
        points = sorted(zip(values.index.get_level_values("snr_db"), values, strict=True))
        near = [(b, a) for a, b in pairwise(points) if b[0] - a[0] <= LARGEST_STEP_DB + 1e-9]
        slopes += [abs(above - below) / (snr - before) for (snr, above), (before, below) in near]
    return max(slopes, default=None)


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


def quantile(values: list[float], share: float) -> float:
    """The smallest of ascending values that at least this share of them does not exceed.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0, 3.0, 4.0], 0.05)
    (2.0, 1.0)
    """
    return values[max(0, math.ceil(share * len(values)) - 1)]


def _sorted_numbers(texts: Iterable[str]) -> list[float]:
    return sorted(float(number) for text in texts for number in str(text).split())
