"""Metrics of the study frontier: channel uses for 30 dB by passes on the device, and what a device alone makes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, product
from typing import Any, Final

import pandas as pd

from gainnet.studies.frontier.question import (
    ALONE,
    BEST,
    DRAFT,
    METHODS,
    PASSES,
    PERTURBED,
    SCHEMES,
    SIZES,
    SNRS,
)
from gainnet.studies.own import own
from gainnet.studies.statistics import at, psnr_cells, psnr_db, round_metrics, uses_for

TARGET_PSNR_DB: Final = 30.0
SENT: Final = tuple(name for name in SCHEMES if name != ALONE)
CURVE: Final = ["method", "variant", "snr_db", "point"]


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[0]
    'uses_for_30db.0.0db'
    """
    points = list(product(PASSES, SNRS))
    return (
        *(f"{kind}.{passes}.{snr}" for kind in ("uses_for_30db", "share_of_best", "scheme") for passes, snr in points),
        *(f"uses_for_30db.{BEST}.{snr}" for snr in SNRS),
        *(f"{kind}_psnr_db.{passes}" for kind in (ALONE, "draft_alone") for passes in PASSES),
        *(f"{kind}.{size:.0e}" for kind in ("psnr_db_when_drafts_differ_by", "drafts_reported") for size in SIZES),
        "num_pictures",
        "overlap",
    )


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric that the table holds; see `metric_names`."""
    found = fewest_uses(table)
    metrics: dict[str, float | None] = dict.fromkeys(metric_names())
    for snr, snr_db in SNRS.items():
        for name in own(found["method"].unique(), METHODS):
            users = _least(found[(found["method"] == name) & (found["snr_db"] == snr_db)])
            metrics[f"uses_for_30db.{name}.{snr}"] = None if users is None else float(users["uses"])
        best = _least(found[(found["method"] == BEST) & (found["snr_db"] == snr_db)])
        metrics[f"uses_for_30db.{BEST}.{snr}"] = None if best is None else float(best["uses"])
        for passes in PASSES:
            ours = found[found["method"].isin(METHODS)]
            chosen = _least(ours[(ours["num_passes"] <= passes) & ours["snr_db"].isin([snr_db, -1.0])])
            if chosen is not None:
                uses = float(chosen["uses"])
                metrics[f"uses_for_30db.{passes}.{snr}"] = uses
                metrics[f"scheme.{passes}.{snr}"] = SCHEMES.index(chosen["method"])
                metrics[f"share_of_best.{passes}.{snr}"] = None if best is None else uses / float(best["uses"])
    metrics |= _alone(table) | _perturbed(table)
    metrics["num_pictures"] = _num_pictures(table)
    if "overlap" in table:
        metrics["overlap"] = float(table["overlap"].sum())
    return round_metrics(metrics, 4)


def fewest_uses(table: pd.DataFrame) -> pd.DataFrame:
    """Mean uses of a picture at which every code reaches 30 dB, one row per scheme, variant and SNR; none where it does
    not. A device that reaches it alone needs none, over every air: its `snr_db` is -1."""
    rows = []
    is_sent = table["method"].isin(SENT) | ~table["method"].isin(METHODS)
    sent = table[is_sent & table["snr_db"].notna()]
    # A column without any text was read as numbers.
    sent = sent.assign(variant=sent["variant"].astype(object).fillna(""))
    cells = psnr_cells(sent, CURVE, ("num_channel_uses_sent", "num_passes"))
    for (method, variant, snr_db), points in cells.groupby(["method", "variant", "snr_db"]):
        curve = points.sort_values("num_channel_uses_sent")
        # Of points that took more uses and gave no better pictures only the best counts, as a sender would choose.
        psnrs = list(accumulate(curve["psnr_db"], max))
        uses = uses_for(TARGET_PSNR_DB, list(curve["num_channel_uses_sent"]), psnrs)
        if uses is not None:
            rows.append((method, variant, snr_db, int(curve["num_passes"].iloc[0]), uses))
    rows += [(ALONE, "", -1.0, passes, 0.0) for passes, psnr in alone_psnrs(table).items() if psnr >= TARGET_PSNR_DB]
    return pd.DataFrame(rows, columns=["method", "variant", "snr_db", "num_passes", "uses"])


def alone_psnrs(table: pd.DataFrame, method: str = ALONE) -> dict[int, float]:
    """PSNR in dB of the mean error of what is made without the air, by passes: of the best variant.

    Args:
        table: of the study.
        method: the device alone, or drafts, of which those are taken that were not corrected.
    """
    rows = table[(table["method"] == method) & table["snr_db"].isna()]
    means = rows.groupby(["num_passes", "variant"])["mse"].mean().groupby("num_passes").min()
    return {int(str(passes)): psnr_db(mse) for passes, mse in means.items()}


def _alone(table: pd.DataFrame) -> dict[str, float | None]:
    """PSNR in dB of pictures of up to so many passes without the air."""
    metrics: dict[str, float | None] = {}
    for kind, method in ((ALONE, ALONE), ("draft_alone", DRAFT)):
        known = alone_psnrs(table, method)
        for passes in PASSES:
            within = [psnr for own, psnr in known.items() if own <= passes]
            metrics[f"{kind}_psnr_db.{passes}"] = max(within, default=None)
    return metrics


def _perturbed(table: pd.DataFrame) -> dict[str, float | None]:
    rows = at(table, method=PERTURBED)
    metrics: dict[str, float | None] = {}
    for size in SIZES:
        own = rows[rows["point"] == size]
        if len(own):
            metrics[f"psnr_db_when_drafts_differ_by.{size:.0e}"] = psnr_db(float(own["mse"].mean()))
            metrics[f"drafts_reported.{size:.0e}"] = float(own["drafts_differ"].mean())
    return metrics


def _num_pictures(table: pd.DataFrame) -> float:
    return float(table.groupby("random_seed")["num_images"].max().sum())


def _least(rows: pd.DataFrame) -> Mapping[Any, Any] | None:
    """The row of fewest uses."""
    return None if rows.empty else rows.sort_values("uses").to_dict("records")[0]
