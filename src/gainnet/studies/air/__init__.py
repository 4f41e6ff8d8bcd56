"""Study air: what channels and links do, against closed forms, Sionna and Shannon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.radio.coding.bler import TABLE_PATH
from gainnet.radio.coding.free_tables import FREE_TABLE_PATH
from gainnet.studies.air import gains, links
from gainnet.studies.air.question import METHODS, ORDERS, AirConfig, cases
from gainnet.studies.air.summary import metric_names, summarise
from gainnet.studies.figures import Panel, draw_panels
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.results import config_hash
from gainnet.studies.statistics import at
from gainnet.studies.study import Method, Study
from gainnet.studies.weights import picture_digests

_COLOURS = {"awgn": BLACK, "rayleigh": BLUE, "rician": ORANGE, "jakes": GREEN, "tdl-c": RED}
_NOTE = (
    "SNR = mean received Es/N0 with E|s|² = 1, E|h|² = 1; \nblocks of 256 channel uses, 1 MHz; TDL: slots of 936 uses."
)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Goodput against Shannon, bit errors against closed forms, and delivery over the lateness of reports."""
    for method, figure in (("goodput", _goodput), ("bit_errors", _bit_errors), ("delivery", _delivery)):
        if len(rows := at(table, method=method)):
            yield method, figure(rows)


def _goodput(rows: pd.DataFrame) -> Figure:
    def plot(ax: Axes, mean: pd.DataFrame) -> None:
        for (fading, harq), own in mean.groupby(["fading", "harq"]):
            label = f"{fading}, {'incremental redundancy' if harq == 'ir' else 'codewords sent anew'}"
            line = "-o" if harq == "ir" else "--s"
            ax.plot(own["snr_db"], own["share_of_shannon"], line, color=_COLOURS[str(fading)], label=label)
        ax.set_ylim(0, 1)

    mean = rows.groupby(["fading", "harq", "snr_db"])["share_of_shannon"].mean().reset_index()
    part = Panel(mean, "", "SNR in dB", "share of capacity")
    return draw_panels("Goodput of the digital link over the ergodic capacity", _NOTE, [part], plot, 1, legend=2)


def _bit_errors(rows: pd.DataFrame) -> Figure:
    def plot(ax: Axes, own: pd.DataFrame) -> None:
        for order, colour in zip(ORDERS, (BLUE, GREEN, ORANGE, PURPLE), strict=True):
            points = at(own, bits_per_symbol=order)
            ratio = points["ber"] / points["ber_closed_form"]
            ax.plot(points["fading"], ratio, "o", color=colour, label=f"{2**order}-QAM")
        ax.axhline(1.0, color=GREY, linewidth=0.8)
        ax.tick_params(axis="x", rotation=60)

    mean = rows.groupby(["fading", "bits_per_symbol", "snr_db"])[["ber", "ber_closed_form"]].mean().reset_index()
    seen = mean[mean["ber"] > 0].groupby("snr_db")
    parts = [Panel(own, f"{snr_db:g} dB", "", "measured / closed form") for snr_db, own in seen]
    return draw_panels("Uncoded bit errors over their closed form: 1 is the theory", _NOTE, parts, plot, 2)


def _delivery(rows: pd.DataFrame) -> Figure:
    def plot(ax: Axes, own: pd.DataFrame) -> None:
        mean = own.groupby("reports", sort=False).mean(numeric_only=True)
        for p, colour in ((50, SKY), (95, BLUE), (99, BLACK)):
            ax.plot(mean.index, 1e3 * mean[f"delivery_s_p{p}"], "o-", color=colour, label=f"{p} %")
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
