"""Figures of air, from its table alone."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.figures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, legend_below, panels

_COLOURS = {"awgn": BLACK, "rayleigh": BLUE, "rician": ORANGE, "jakes": GREEN, "tdl-c": RED}
_NOTE = (
    "SNR = mean received Es/N0 with E|s|² = 1, E|h|² = 1; \nblocks of 256 channel uses, 1 MHz; TDL: slots of 936 uses."
)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Goodput against Shannon, bit errors against closed forms, and delivery over the lateness of reports."""
    for method, figure in (("goodput", _goodput), ("bit_errors", _bit_errors), ("delivery", _delivery)):
        if len(rows := table[table["method"] == method]):
            yield method, figure(rows)


def _goodput(rows: pd.DataFrame) -> Figure:
    figure, (ax,) = panels(1, 1, "Goodput of the digital link over the ergodic capacity", _NOTE)
    mean = rows.groupby(["fading", "harq", "snr_db"])["share_of_shannon"].mean().reset_index()
    for (fading, harq), own in mean.groupby(["fading", "harq"]):
        label = f"{fading}, {'incremental redundancy' if harq == 'ir' else 'codewords sent anew'}"
        line = "-o" if harq == "ir" else "--s"
        ax.plot(own["snr_db"], own["share_of_shannon"], line, color=_COLOURS[str(fading)], label=label)
    ax.set(xlabel="SNR in dB", ylabel="share of capacity", ylim=(0, 1))
    legend_below([ax], 2)
    return figure


def _bit_errors(rows: pd.DataFrame) -> Figure:
    figure, axes = panels(1, 2, "Uncoded bit errors over their closed form: 1 is the theory", _NOTE)
    mean = rows.groupby(["fading", "bits_per_symbol", "snr_db"])[["ber", "ber_closed_form"]].mean().reset_index()
    for ax, snr_db in zip(axes, sorted(mean["snr_db"].unique()), strict=False):
        own = mean[(mean["snr_db"] == snr_db) & (mean["ber"] > 0)]
        for order, colour in ((2, BLUE), (4, GREEN), (6, ORANGE), (8, PURPLE)):
            points = own[own["bits_per_symbol"] == order]
            ratio = points["ber"] / points["ber_closed_form"]
            ax.plot(points["fading"], ratio, "o", color=colour, label=f"{2**order}-QAM")
        ax.axhline(1.0, color=GREY, linewidth=0.8)
        ax.tick_params(axis="x", rotation=60)
        ax.set(title=f"{snr_db:g} dB", ylabel="measured / closed form")
    legend_below(axes, 4)
    return figure


def _delivery(rows: pd.DataFrame) -> Figure:
    title = "Time until a payload is there, feedback included, at 10 dB over Rayleigh blocks"
    figure, axes = panels(1, 2, title, _NOTE)
    rows = rows[rows["fading"] == "rayleigh"]
    reports = zip(rows["report_delay"], rows["report_error_db"], strict=True)
    rows = rows.assign(reports=[f"{late:g} late, {error_db:g} dB" for late, error_db in reports])
    titles = {"none": "codewords sent anew", "ir": "incremental redundancy"}
    for ax, (harq, title) in zip(axes, titles.items(), strict=True):
        mean = (
            rows[rows["harq"] == harq].groupby("reports", sort=False)[[f"delivery_s_p{p}" for p in (50, 95, 99)]].mean()
        )
        for p, colour in ((50, SKY), (95, BLUE), (99, BLACK)):
            ax.plot(mean.index, 1e3 * mean[f"delivery_s_p{p}"], "o-", color=colour, label=f"{p} %")
        ax.set(title=title, ylabel="ms", xlabel="reports: blocks late, error", ylim=(0, None))
    legend_below(axes, 3)
    return figure
