"""Metrics of the study air from its table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import pandas as pd
from scipy.stats import combine_pvalues

from gainnet.studies.air.question import EBN0_DB, FADINGS, SNRS_DB

LINKS: Final = {
    "": ("rayleigh", "ir"), "_arq": ("rayleigh", "none"), "_awgn": ("awgn", "ir"), "_awgn_arq": ("awgn", "none"),
    "_jakes": ("jakes", "ir"), "_tdl-c": ("tdl-c", "ir"),
}  # fmt: skip
"""Goodput by the ending of its metric: the bare name is Rayleigh blocks with incremental redundancy."""

PEAKS: Final = ("raw", "linear", "qam4", "qam16", "qam64", "qam256")
AGREEMENTS: Final = tuple((fading, harq) for fading in ("awgn", "rayleigh", "tdl-c") for harq in ("none", "ir"))
ESTIMATED: Final = ("tdl-a", "tdl-b", "tdl-c", "cdl-c")
LEAST_TOUCHED: Final = 30
"""Items with errors below which a standard error means nothing."""

LOSSES: Final = {
    "": ("linear", "lmmse"),
    "_ls": ("linear", "ls"),
    "_plain": ("plain", "lmmse"),
    "_raw": ("raw", "lmmse"),
}
"""Code and estimator by the ending of a loss: the bare name is the linear code spread by a DFT, with LMMSE."""

LOOPS: Final = {"exact": (0, 0.0), "late_1": (1, 0.0), "late_4": (4, 0.0), "wrong_3db": (0, 3.0)}


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[:3]
    ('bler.qpsk_half.1p0db', 'bler.qpsk_half.1p5db', 'bler.qpsk_half.2p0db')
    """
    return (
        *(f"bler.{name}.{_point(x)}" for name in ("qpsk_half", "qpsk_half_sionna", "qpsk_half_z") for x in EBN0_DB),
        *(f"goodput_of_shannon{ending}.{snr}db" for ending in LINKS for snr in SNRS_DB),
        "fast_over_bit_level",
        *(f"fast_over_slow_uses.{fading}.{harq}" for fading, harq in AGREEMENTS),
        *(f"ks_pvalue.{fading}" for fading in FADINGS[1:]),
        "autocorrelation_z.jakes",
        *(f"ber_z.{fading}" for fading in FADINGS),
        *(f"delivery_s.p{p}" for p in (50, 95, 99)),
        *(f"delivery_s_arq.p{p}" for p in (50, 95, 99)),
        *(f"outage.{harq}.{name}" for harq in ("none", "ir") for name in LOOPS),
        *(f"outer_loop_bler.{kind}.{name}" for kind in ("without", "with") for name in LOOPS),
        *(f"outer_loop_goodput.{kind}.{name}" for kind in ("without", "with") for name in LOOPS),
        *(f"estimation_loss_db{ending}.{x}.{snr}db" for ending in LOSSES for x in ESTIMATED for snr in SNRS_DB),
        *(f"estimated_psnr_db.{x}.{snr}db" for x in ESTIMATED for snr in SNRS_DB),
        *(f"gap_to_normal_approximation_db.{which}" for which in ("mean", "largest", "least")),
        *(f"power_peak_db.{kind}.{name}" for kind in ("symbols", "ofdm") for name in PEAKS),
        *(f"pf_gain{ending}.{num}" for ending in ("", "_closed_form", "_throughput") for num in (1, 2, 4, 8)),
    )


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric that the table holds."""
    found: dict[str, float] = {}
    for method, rows in table.groupby("method"):
        found |= _BY_METHOD[str(method)](rows)
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def _sionna(rows: pd.DataFrame) -> dict[str, float]:
    found: dict[str, float] = {}
    for ebn0_db, own in rows.groupby("ebn0_db"):
        trials = float(own["num_trials"].sum())
        ours, theirs = (float(own[name].sum()) for name in ("num_errors", "num_errors_reference"))
        pooled = (ours + theirs) / (2 * trials)
        error = math.sqrt(max(2 * pooled * (1 - pooled) / trials, 1e-12))
        point = _point(float(str(ebn0_db)))
        found |= {f"bler.qpsk_half.{point}": ours / trials, f"bler.qpsk_half_sionna.{point}": theirs / trials}
        found[f"bler.qpsk_half_z.{point}"] = (ours - theirs) / trials / error
    return found


def _goodput(rows: pd.DataFrame) -> dict[str, float]:
    mean = rows.groupby(["fading", "harq", "snr_db"])["share_of_shannon"].mean()
    return {
        f"goodput_of_shannon{ending}.{snr}db": float(mean[fading, harq, snr])
        for ending, (fading, harq) in LINKS.items()
        for snr in SNRS_DB
        if (fading, harq, snr) in mean.index
    }


def _agreement(rows: pd.DataFrame) -> dict[str, float]:
    total = rows.groupby(["fading", "harq"])[["uses_tabulated", "uses_bit_level"]].sum()
    ratio = total["uses_tabulated"] / total["uses_bit_level"]
    return {f"fast_over_slow_uses.{fading}.{harq}": float(ratio[fading, harq]) for fading, harq in ratio.index}


def _fading(rows: pd.DataFrame) -> dict[str, float]:

    found = {
        f"ks_pvalue.{fading}": float(combine_pvalues([float(x) for x in own["ks_pvalue"]]).pvalue)
        for fading, own in rows.groupby("fading")
    }
    jakes = rows[rows["fading"] == "jakes"]
    if len(jakes):
        z = jakes["autocorrelation_error"] / jakes["autocorrelation_standard_error"]
        found["autocorrelation_z.jakes"] = float(z.max())
    return found


def _bit_errors(rows: pd.DataFrame) -> dict[str, float]:
    """Largest distance to the closed form over modulations and SNRs, in standard errors over all random seeds."""
    found = {}
    for fading, own in rows.groupby("fading"):
        points = own.groupby(["bits_per_symbol", "snr_db"])
        mean = points[["ber", "ber_closed_form"]].mean()
        error = points["ber_standard_error"].apply(lambda x: math.sqrt(float((x**2).sum()))) / points.size()
        error = error.clip(1e-9)
        known = points["num_touched"].sum() >= LEAST_TOUCHED
        z = ((mean["ber"] - mean["ber_closed_form"]).abs() / error)[known]
        if len(z):
            found[f"ber_z.{fading}"] = float(z.max())
    return found


def _delivery(rows: pd.DataFrame) -> dict[str, float]:
    rows = rows[rows["fading"] == "rayleigh"]
    found: dict[str, float] = {}
    for harq, ending in (("ir", ""), ("none", "_arq")):
        for name, reports in LOOPS.items():
            own = rows[(rows["harq"] == harq) & _has(rows, reports)]
            found[f"outage.{harq}.{name}"] = float(own["outage"].mean())
            if name == "exact":
                found |= {f"delivery_s{ending}.p{p}": float(own[f"delivery_s_p{p}"].mean()) for p in (50, 95, 99)}
    return found


def _outer_loop(rows: pd.DataFrame) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, step_db in (("without", 0.0), ("with", 0.5)):
        for name, reports in LOOPS.items():
            own = rows[(rows["step_db"] == step_db) & _has(rows, reports)]
            found |= {f"outer_loop_{what}.{kind}.{name}": float(own[what].mean()) for what in ("bler", "goodput")}
    return found


def _has(rows: pd.DataFrame, reports: tuple[int, float]) -> pd.Series[bool]:
    """Rows whose reports have a delay in blocks and an error in dB."""
    return (rows["report_delay"] == reports[0]) & (rows["report_error_db"] == reports[1])


def _estimation(rows: pd.DataFrame) -> dict[str, float]:
    found: dict[str, float] = {}
    for fading, at_fading in rows.groupby("fading"):
        for snr_db, own in at_fading.groupby("snr_db"):
            point = f"{fading}.{float(str(snr_db)):g}db"
            for ending, (code, name) in LOSSES.items():
                lossy, known = (float(own[f"mse_{code}_{which}"].mean()) for which in (name, "known"))
                found[f"estimation_loss_db{ending}.{point}"] = 10 * math.log10(lossy / known)
            found[f"estimated_psnr_db.{point}"] = -10 * math.log10(float(own["mse_linear_lmmse"].mean()))
    return found


def _codes(rows: pd.DataFrame) -> dict[str, float]:
    return {
        f"gap_to_normal_approximation_db.{w}": float(rows[f"gap_db_{w}"].iloc[0]) for w in ("mean", "largest", "least")
    }


def _power_peaks(rows: pd.DataFrame) -> dict[str, float]:
    return {f"power_peak_db.{k}.{n}": float(rows[f"{k}_db_{n}"].mean()) for k in ("symbols", "ofdm") for n in PEAKS}


def _sharing(rows: pd.DataFrame) -> dict[str, float]:
    names = {"": "pf_gain", "_closed_form": "pf_gain_closed_form", "_throughput": "pf_throughput_gain"}
    mean = rows.groupby("num_devices")[list(names.values())].mean()
    return {f"pf_gain{e}.{num:g}": float(mean.loc[num, column]) for e, column in names.items() for num in mean.index}


def _speed(rows: pd.DataFrame) -> dict[str, float]:
    return {"fast_over_bit_level": float(rows["fast_over_bit_level"].iloc[0])}


_BY_METHOD = {
    "sionna": _sionna, "bit_errors": _bit_errors, "codes": _codes, "goodput": _goodput, "agreement": _agreement,
    "fading": _fading, "delivery": _delivery, "outer_loop": _outer_loop, "estimation": _estimation,
    "power_peaks": _power_peaks, "sharing": _sharing, "speed": _speed,
}  # fmt: skip


def _point(ebn0_db: float) -> str:
    return f"{ebn0_db:.1f}".replace(".", "p") + "db"
