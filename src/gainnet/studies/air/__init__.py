"""Study air: what channels and links do, against closed forms, Sionna and Shannon."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.core.units import db_to_linear
from gainnet.radio.coding.bler import TABLE_PATH
from gainnet.radio.coding.free_tables import FREE_TABLE_PATH
from gainnet.studies.air import gains, links
from gainnet.studies.air.gains import K_OF_FADING
from gainnet.studies.air.question import FADINGS, METHODS, ORDERS, AirConfig, cases
from gainnet.studies.air.references import bit_error_rate, mean_q_of
from gainnet.studies.air.summary import metric_names, summarise
from gainnet.studies.figures import Panel, draw_panels, short, with_own
from gainnet.studies.palette import BLACK, BLUE, GREEN, MARKER_OF, ORANGE, PURPLE, RED, SKY
from gainnet.studies.results import config_hash
from gainnet.studies.statistics import at
from gainnet.studies.study import Method, Study
from gainnet.studies.weights import picture_digests

_COLOURS = {"awgn": BLACK, "rayleigh": BLUE, "rician": ORANGE, "jakes": GREEN, "tdl-c": RED}
_OF_ORDERS = ((BLUE, "-"), (GREEN, "--"), (ORANGE, "-."), (PURPLE, ":"))
_LAWS = {math.inf: "AWGN", 4.0: "Rician, K = 4", 0.0: "Rayleigh, Jakes, TDL, CDL"}
_NOTE = (
    "SNR = mean received Es/N0 with E|s|² = 1, E|h|² = 1; blocks of 256 channel uses, 1 MHz; TDL: slots of 936 uses."
)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Goodput against Shannon, bit errors against closed forms, and delivery over the lateness of reports."""
    for method, figure in (("goodput", _goodput), ("bit_errors", _bit_errors), ("delivery", _delivery)):
        if len(rows := at(table, method=method)):
            yield method, figure(rows)


def _goodput(rows: pd.DataFrame) -> Figure:
    def plot(ax: Axes, mean: pd.DataFrame) -> None:
        users = with_own({}, mean.assign(method=mean["fading"]), FADINGS)
        colours = _COLOURS | {name: style.colour for name, style in users.items()}
        for (fading, harq), own in mean.groupby(["fading", "harq"]):
            label = f"{short(str(fading))}, {'incremental redundancy' if harq == 'ir' else 'codewords sent anew'}"
            colour, line = colours.get(str(fading), ORANGE), "-" if harq == "ir" else "--"
            ax.plot(own["snr_db"], own["share_of_shannon"], line, color=colour, marker=MARKER_OF[colour], label=label)
        ax.set_ylim(0, 1)

    mean = rows.groupby(["fading", "harq", "snr_db"])["share_of_shannon"].mean().reset_index()
    part = Panel(mean, "", "SNR in dB", "share of capacity")
    return draw_panels("Goodput of the digital link over the ergodic capacity", _NOTE, [part], plot, 1, legend=2)


def _bit_errors(rows: pd.DataFrame) -> Figure:
    """Waterfalls of the closed forms with what was measured; channels whose gains have one law share a panel."""

    def plot(ax: Axes, own: pd.DataFrame) -> None:
        mean_q, snrs_db = mean_q_of(float(own["k_factor"].iloc[0])), np.linspace(-2.0, 22.0, 49)
        for order, (colour, line) in zip(ORDERS, _OF_ORDERS, strict=True):
            expected = [bit_error_rate(order, db_to_linear(float(snr_db)), mean_q) for snr_db in snrs_db]
            ax.plot(snrs_db, expected, line, color=colour, label=f"{2**order}-QAM, closed form")
            points, label = at(own, bits_per_symbol=order), f"{2**order}-QAM, measured"
            ax.plot(points["snr_db"], points["ber"], "o", color=colour, fillstyle="none", label=label)
        ax.set(yscale="log", ylim=(1e-5, 0.6))

    mean = rows.groupby(["fading", "bits_per_symbol", "snr_db"])[["ber", "ber_closed_form"]].mean().reset_index()
    # A rate of nothing, of too few symbols, has no place on an axis of logarithms.
    seen = mean[mean["ber"] > 0]
    seen = seen.assign(k_factor=[K_OF_FADING.get(str(name), 0.0) for name in seen["fading"]])
    parts = [
        Panel(at(seen, k_factor=k_factor), law, "SNR in dB", "uncoded bit error rate")
        for k_factor, law in _LAWS.items()
        if (seen["k_factor"] == k_factor).any()
    ]
    title = "Uncoded bit errors on their closed forms"
    return draw_panels(title, _NOTE, parts, plot, len(parts))


def _delivery(rows: pd.DataFrame) -> Figure:
    def plot(ax: Axes, own: pd.DataFrame) -> None:
        mean = own.groupby("reports", sort=False).mean(numeric_only=True)
        for p, colour in ((50, SKY), (95, BLUE), (99, BLACK)):
            ax.plot(mean.index, 1e3 * mean[f"delivery_s_p{p}"], f"{MARKER_OF[colour]}-", color=colour, label=f"{p} %")
        ax.set_ylim(0, None)

    rows = at(rows, fading="rayleigh")
    reports = zip(rows["report_delay"], rows["report_error_db"], strict=True)
    rows = rows.assign(reports=[f"{late:g} late, {error_db:g} dB" for late, error_db in reports])
    titles = {"none": "codewords sent anew", "ir": "incremental redundancy"}
    parts = [Panel(at(rows, harq=harq), titles[harq], "reports: blocks late, error", "ms") for harq in titles]
    title = "Time until a payload is there, feedback included, at 10 dB over Rayleigh blocks"
    return draw_panels(title, _NOTE, parts, plot, 2, legend=3)


def identity(config: AirConfig) -> Mapping[str, str]:
    """sha256 of the model and its seed basis, digests of the block error rate tables."""
    found = {**picture_digests(config.model, "seed_basis"), "bler_tables": _digest(TABLE_PATH)}
    # Runs of before there were packets of free rate read one table.
    return found | ({"free_tables": _digest(FREE_TABLE_PATH)} if "packets" in config.methods else {})


def _digest(tables: Path) -> str:
    return config_hash({"tables": tables.read_text()})


def open_methods(config: AirConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return {**links.methods(config), **gains.methods(config)}


AIR = Study("air", AirConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw)
