"""Figures of power-control, from its table alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.figures import Style, legend_below, panels
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.power_control.summary import CONDITIONS, gains

STYLES = {
    "non_causal": Style("knows the future (limit)", BLACK, ":", "."),
    "dp_independent": Style("DP, independent blocks", BLUE, "-", "."),
    "dp_markov": Style("DP, first-order chain", SKY, "--", "."),
    "ppo": Style("PPO", RED, "-", "."),
    "sac": Style("SAC", PURPLE, "-", "."),
    "pathwise": Style("pathwise gradients", ORANGE, "-", "."),
    "replanned": Style("replanned (closed form)", GREEN, "-.", "."),
    "mean_gain": Style("mean gain (start of learning)", BROWN, "-.", "."),
    "fixed_multiplier": Style("fixed multiplier", GREY, "--", "."),
}
"""Truncated inversion and greedy lose decibels and would hide the rest; they are in the table."""
TITLES = {
    "equal": "alike, Rayleigh",
    "unequal": "nested seed, Jakes",
    "unequal_independent": "nested seed, Rayleigh",
    "jakes": "alike, Jakes",
    "varied": "alike, unknown statistics",
    "decoder": "PSNR of the picture, Jakes",
    "traces": "the given trace",
}
_CONVENTION = (
    "16 fading blocks, linear MMSE receiver, hard energy budget, peak 4 x mean power; a larger budget at equal noise\n"
    "is a larger mean SNR. The same fading for all; learned: mean over training seeds, bands from least to most."
)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Gain over the budget, quality over the budget, what the agent does, how it learned."""
    found = gains(table)
    names = [name for name in CONDITIONS if name in set(found["condition"])]
    if names:
        yield "gain_over_budget", _lines(found, names, "gain_over_static_db", "gain over constant power in dB")
        yield "quality_over_budget", _lines(found, names, "quality_db", "quality in dB (-MSE, or PSNR)")
    if len(shown := table[table["condition"] == "map"]):
        yield "what_the_agent_does", _map(shown)
    if "num_episodes" in table and len(curve := table[table["num_episodes"].notna()]):
        yield "learning_curves", _curves(curve)


def _lines(found: pd.DataFrame, names: list[str], column: str, ylabel: str) -> Figure:
    columns, title = min(3, len(names)), "Causal power control over the energy budget"
    figure, axes = panels(-(-len(names) // columns), columns, title, _CONVENTION)
    for ax, name in zip(axes, names, strict=False):
        for method, style in STYLES.items():
            if len(own := found[(found["condition"] == name) & (found["method"] == method)]):
                seen = own.groupby("snr_db")[column].agg(["mean", "min", "max"])
                style.plot(ax, seen.index, seen["mean"])
                style.band(ax, seen.index, seen["min"], seen["max"], 0.15)
        ax.axhline(0, color=GREY, linewidth=0.8) if column == "gain_over_static_db" else None
        ax.set(title=TITLES[name], xlabel="energy per block over noise in dB", ylabel=ylabel)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    legend_below(axes[: len(names)], 4)
    return figure


def _map(shown: pd.DataFrame) -> Figure:
    methods = [name for name in STYLES if name in set(shown["method"])]
    snr_db = shown["snr_db"].iloc[0]
    note = f"Mean SNR {snr_db:g} dB, 8 of 16 blocks left; one line per energy that is left for a block."
    figure, axes = panels(1, len(methods), "What is sent, over gain and energy left", note)
    for ax, method in zip(axes, methods, strict=True):
        own = shown[shown["method"] == method]
        for energy, colour in zip(sorted(own["energy_left"].unique()), (SKY, BLUE, GREEN, RED), strict=False):
            line = own[own["energy_left"] == energy].sort_values("gain_db")
            ax.plot(line["gain_db"], line["power"], ".-", color=colour, label=f"{energy:g} per block left")
        ax.set(title=STYLES[method].label, xlabel="gain of the block in dB", ylabel="power over the mean")
    legend_below(axes, 4)
    return figure


def _curves(curve: pd.DataFrame) -> Figure:
    snrs_db = sorted(curve["snr_db"].unique())
    note = "Validation episodes that nobody trains on; one line per training seed."
    figure, axes = panels(1, len(snrs_db), "How the policies learned", note)
    for ax, snr_db in zip(axes, snrs_db, strict=True):
        _curve(ax, curve[curve["snr_db"] == snr_db])
        ax.set(title=f"{snr_db:g} dB", xlabel="thousands of episodes", ylabel="gain over constant power in dB")
    legend_below(axes, 2)
    return figure


def _curve(ax: Axes, rows: pd.DataFrame) -> None:
    for (method, _), own in rows.groupby(["method", "training_seed"]):
        style, ordered = STYLES[str(method)], own.sort_values("num_episodes")
        look: dict[str, Any] = {"color": style.colour, "label": style.label, "alpha": 0.7}
        ax.plot(ordered["num_episodes"] / 1000, ordered["gain_over_static_db"], **look)
