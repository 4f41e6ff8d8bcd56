"""Metrics of the study air from its table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any, Final

import pandas as pd
from scipy.stats import combine_pvalues

from gainnet.studies.air.question import EBN0_DB, FADINGS, HARQS, PACKET_BYTES, PACKET_SNRS_DB, REPORTS, SNRS_DB
from gainnet.studies.statistics import at, keyed, named

LINKS: Final = {
    ("rayleigh", "ir"): "", ("rayleigh", "none"): "_arq", ("awgn", "ir"): "_awgn", ("awgn", "none"): "_awgn_arq",
    ("jakes", "ir"): "_jakes", ("tdl-c", "ir"): "_tdl-c",
}  # fmt: skip
"""Endings of goodputs by fading and HARQ: the bare name is Rayleigh blocks with incremental redundancy."""

PEAKS: Final = ("raw", "linear", "qam4", "qam16", "qam64", "qam256")
AGREEMENTS: Final = tuple(product(("awgn", "rayleigh", "tdl-c"), HARQS))
ESTIMATED: Final = ("tdl-a", "tdl-b", "tdl-c", "cdl-c")
LEAST_TOUCHED: Final = 30
"""Items with errors below which a standard error means nothing."""

PACKETS: Final = ("uses_over_normal_approximation", "packet_bler", "expected_uses", "packets_lost")
"""Metrics of short packets, by length and SNR."""

LOSSES: Final = {
    "": ("linear", "lmmse"), "_ls": ("linear", "ls"), "_plain": ("plain", "lmmse"), "_raw": ("raw", "lmmse"),
}  # fmt: skip
"""Code and estimator by the ending of a loss: the bare name is the linear code spread by a DFT, with LMMSE."""

LOOPS: Final = dict(zip(REPORTS, ("exact", "late_1", "late_4", "wrong_3db"), strict=True))
"""Names of what is wrong with the reports."""


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[:3]
    ('bler.qpsk_half.1p0db', 'bler.qpsk_half.1p5db', 'bler.qpsk_half.2p0db')
    """
    loops = LOOPS.values()
    return (
        *(f"bler.{name}.{_point(x)}" for name in ("qpsk_half", "qpsk_half_sionna", "qpsk_half_z") for x in EBN0_DB),
        *(f"goodput_of_shannon{ending}.{snr}db" for ending in LINKS.values() for snr in SNRS_DB),
        "fast_over_bit_level",
        *(f"fast_over_slow_uses.{fading}.{harq}" for fading, harq in AGREEMENTS),
        *(f"ks_pvalue.{fading}" for fading in FADINGS[1:]),
        "autocorrelation_z.jakes",
        *(f"ber_z.{fading}" for fading in FADINGS),
        *(f"delivery_s{ending}.p{p}" for ending in ("", "_arq") for p in (50, 95, 99)),
        *(f"outage.{harq}.{name}" for harq in HARQS for name in loops),
        *(
            f"outer_loop_{x}.{step}.{name}"
            for x, step, name in product(("bler", "goodput"), ("without", "with"), loops)
        ),
        *(f"estimation_loss_db{ending}.{x}.{snr}db" for ending in LOSSES for x in ESTIMATED for snr in SNRS_DB),
        *(f"estimated_psnr_db.{x}.{snr}db" for x in ESTIMATED for snr in SNRS_DB),
        *(f"gap_to_normal_approximation_db.{which}" for which in ("mean", "largest", "least")),
        *(f"power_peak_db.{kind}.{name}" for kind in ("symbols", "ofdm") for name in PEAKS),
        *(f"{name}.{PACKET_BYTES}b.{snr}db" for name in PACKETS for snr in PACKET_SNRS_DB),
        *(f"pf_gain{ending}.{num}" for ending in ("", "_closed_form", "_throughput") for num in (1, 2, 4, 8)),
    )


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric that the table holds."""
    found: dict[str, float] = {}
    for method, rows in table.groupby("method"):
        found |= _BY_METHOD[str(method)](rows)
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def _sionna(rows: pd.DataFrame) -> dict[str, float]:
    """Block error rates of both chains, and their difference in standard errors of two equal proportions."""
    total = rows.groupby("ebn0_db")[["num_trials", "num_errors", "num_errors_reference"]].sum()
    ours, theirs = (total[name] / total["num_trials"] for name in ("num_errors", "num_errors_reference"))
    pooled = (ours + theirs) / 2
    error = (2 * pooled * (1 - pooled) / total["num_trials"]).clip(1e-12) ** 0.5
    columns = {"": ours, "_sionna": theirs, "_z": (ours - theirs) / error}
    return {f"bler.qpsk_half{e}.{_point(x)}": y for e, rates in columns.items() for x, y in keyed(rates)}


def _goodput(rows: pd.DataFrame) -> dict[str, float]:
    mean = rows.groupby(["fading", "harq", "snr_db"])["share_of_shannon"].mean()
    links = LINKS | {(f, h): f".{f}.{h}" for f, h, _ in mean.index if f not in FADINGS}
    return {f"goodput_of_shannon{links[f, h]}.{snr:g}db": x for (f, h, snr), x in keyed(mean) if (f, h) in links}


def _agreement(rows: pd.DataFrame) -> dict[str, float]:
    total = rows.groupby(["fading", "harq"])[["uses_tabulated", "uses_bit_level"]].sum()
    return named(total["uses_tabulated"] / total["uses_bit_level"], "fast_over_slow_uses.{}.{}")


def _fading(rows: pd.DataFrame) -> dict[str, float]:
    # Fisher's method: every random seed is a test of its own of the same law.
    pvalues = rows.groupby("fading")["ks_pvalue"].agg(lambda x: combine_pvalues(list(x)).pvalue)
    found = named(pvalues, "ks_pvalue.{}")
    if len(jakes := at(rows, fading="jakes")):
        z = jakes["autocorrelation_error"] / jakes["autocorrelation_standard_error"]
        found["autocorrelation_z.jakes"] = float(z.max())
    return found


def _bit_errors(rows: pd.DataFrame) -> dict[str, float]:
    """Largest distance to the closed form over modulations and SNRs, in standard errors over all random seeds."""
    points = rows.assign(variance=rows["ber_standard_error"] ** 2).groupby(["fading", "bits_per_symbol", "snr_db"])
    mean, total = points[["ber", "ber_closed_form"]].mean(), points[["variance", "num_touched"]].sum()
    # Random seeds are independent, so variances of their means add up.
    error = (total["variance"] ** 0.5 / points.size()).clip(1e-9)
    z = ((mean["ber"] - mean["ber_closed_form"]).abs() / error)[total["num_touched"] >= LEAST_TOUCHED]
    return named(z.groupby("fading").max(), "ber_z.{}")


def _delivery(rows: pd.DataFrame) -> dict[str, float]:
    mean = _by_loop(at(rows, fading="rayleigh"), "harq")
    found, exact = named(mean["outage"], "outage.{}.{}"), mean.xs("exact", level="loop")
    for p in (50, 95, 99):
        quantile = exact[f"delivery_s_p{p}"]
        found |= {f"delivery_s.p{p}": float(quantile["ir"]), f"delivery_s_arq.p{p}": float(quantile["none"])}
    return found


def _outer_loop(rows: pd.DataFrame) -> dict[str, float]:
    mean = _by_loop(rows.replace({"step_db": {0.0: "without", 0.5: "with"}}), "step_db")
    return named(mean["bler"], "outer_loop_bler.{}.{}") | named(mean["goodput"], "outer_loop_goodput.{}.{}")


def _by_loop(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Means by a column and by the name of what is wrong with the reports."""
    reports = zip(rows["report_delay"], rows["report_error_db"], strict=True)
    return rows.assign(loop=[LOOPS[pair] for pair in reports]).groupby([by, "loop"]).mean(numeric_only=True)


def _estimation(rows: pd.DataFrame) -> dict[str, float]:
    mse = rows.groupby(["fading", "snr_db"]).mean(numeric_only=True)
    found = named(-10 * mse["mse_linear_lmmse"].map(math.log10), "estimated_psnr_db.{}.{:g}db")
    for ending, (code, name) in LOSSES.items():
        loss_db = 10 * (mse[f"mse_{code}_{name}"] / mse[f"mse_{code}_known"]).map(math.log10)
        found |= named(loss_db, f"estimation_loss_db{ending}.{{}}.{{:g}}db")
    return found


def _codes(rows: pd.DataFrame) -> dict[str, float]:
    gaps = rows.iloc[0]
    return {f"gap_to_normal_approximation_db.{w}": gaps[f"gap_db_{w}"] for w in ("mean", "largest", "least")}


def _packets(rows: pd.DataFrame) -> dict[str, float]:
    ratio = rows.groupby("snr_db")["uses_over_normal_approximation"].mean()
    of_snr = {
        snr: {"uses_over_normal_approximation": x, "packet_bler": rate} for snr, x, rate in _with_rate(rows, ratio)
    }
    return _by_snr(of_snr)


def _acknowledged_packets(rows: pd.DataFrame) -> dict[str, float]:
    uses = rows.groupby("snr_db")["mean_uses"].mean()
    return _by_snr({snr: {"expected_uses": x, "packets_lost": rate} for snr, x, rate in _with_rate(rows, uses)})


def _with_rate(rows: pd.DataFrame, values: pd.Series[float]) -> list[tuple[Any, float, float]]:
    """SNR, value and share of the packets that failed, over all random seeds."""
    total = rows.groupby("snr_db")[["num_errors", "num_trials"]].sum()
    return [
        (snr, float(values[snr]), float(total["num_errors"][snr] / total["num_trials"][snr])) for snr in values.index
    ]


def _by_snr(found: Mapping[Any, Mapping[str, float]]) -> dict[str, float]:
    return {f"{name}.{PACKET_BYTES}b.{snr:g}db": x for snr, own in found.items() for name, x in own.items()}


def _power_peaks(rows: pd.DataFrame) -> dict[str, float]:
    return {f"power_peak_db.{k}.{n}": float(rows[f"{k}_db_{n}"].mean()) for k in ("symbols", "ofdm") for n in PEAKS}


def _sharing(rows: pd.DataFrame) -> dict[str, float]:
    names = {"": "pf_gain", "_closed_form": "pf_gain_closed_form", "_throughput": "pf_throughput_gain"}
    mean = rows.groupby("num_devices")[list(names.values())].mean()
    return {f"pf_gain{e}.{num:g}": mean.loc[num, column] for e, column in names.items() for num in mean.index}


def _speed(rows: pd.DataFrame) -> dict[str, float]:
    return {"fast_over_bit_level": float(rows["fast_over_bit_level"].iloc[0])}


_BY_METHOD = {
    "sionna": _sionna, "bit_errors": _bit_errors, "codes": _codes, "goodput": _goodput, "agreement": _agreement,
    "fading": _fading, "delivery": _delivery, "outer_loop": _outer_loop, "estimation": _estimation,
    "packets": _packets, "acknowledged_packets": _acknowledged_packets, "power_peaks": _power_peaks,
    "sharing": _sharing, "speed": _speed,
}  # fmt: skip


def _point(ebn0_db: float) -> str:
    return f"{ebn0_db:.1f}".replace(".", "p") + "db"
