"""Figures of the study trust."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.figures import legend_below, panels
from gainnet.studies.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

COLOUR_OF_RULE = {
    "mean": GREY, "median": BLUE, "trimmed_mean": GREEN, "krum": SKY, "multi_krum": ORANGE, "masked_mean": RED,
    "masked_median": PURPLE,
}  # fmt: skip
MARK_OF_CODEC = {"float32": ("o", BLUE), "float16": ("v", SKY), "int8": ("s", GREEN), "top_k": ("D", PURPLE)}
FLOOR = -0.5
"""Below this a share is drawn here: it says no more than that the model became worse."""


def draw_shares(
    table: pd.DataFrame, attacked: pd.DataFrame | None, private: pd.DataFrame | None
) -> Iterator[tuple[str, Figure]]:
    """Figures by name.

    Args:
        table: of the study.
        attacked: shares kept under attack, by attack, rule and random seed.
        private: shares kept with privacy, by level, number of clients and random seed.
    """
    if attacked is not None and private is not None:
        yield "trust_learning", _learning(attacked, private)
    rows = table[table["method"] == "reconstruction"]
    if len(rows):
        yield "trust_reconstruction", _reconstruction(rows)


def _learning(attacked: pd.DataFrame, private: pd.DataFrame) -> Figure:
    note = (
        "share of the fall in loss that the same rounds reach with the plain mean, without attack and without noise; "
        f"means of {attacked['random_seed'].nunique()} random seeds\nwith their range; shares below {FLOOR} are drawn "
        f"there; privacy: epsilon = {private['epsilon'].max():.3g}, delta = {private['delta'].max():.0e}"
    )
    figure, axes = panels(1, 2, "What learning keeps", note)
    attacks = list(dict.fromkeys(attacked["attack"]))
    rules = [rule for rule in COLOUR_OF_RULE if rule in set(attacked["rule"])]
    for place, rule in enumerate(rules):
        kept = _range(attacked[attacked["rule"] == rule], "attack")
        x = [attacks.index(attack) + (place - (len(rules) - 1) / 2) * 0.12 for attack in kept.index]
        bars = [kept["mean"] - kept["min"], kept["max"] - kept["mean"]]
        axes[0].errorbar(x, kept["mean"], bars, fmt="o", color=COLOUR_OF_RULE[rule], label=rule.replace("_", " "))
    axes[0].axhline(0.9, color=GREY, linewidth=0.8, linestyle=":")
    axes[0].set(ylabel="share kept", ylim=(FLOOR - 0.05, 1.3))
    axes[0].set_xticks(range(len(attacks)), [attack.replace("_", " ") for attack in attacks])
    for level, colour in (("client", BLUE), ("example", ORANGE)):
        if len(rows := private[private["level"] == level]):
            kept = _range(rows, "num_clients")
            bars = [kept["mean"] - kept["min"], kept["max"] - kept["mean"]]
            axes[1].errorbar(kept.index, kept["mean"], bars, fmt="o-", color=colour, label=f"{level}s hidden")
    axes[1].set(xscale="log", xlabel="clients", ylim=(FLOOR - 0.05, 1.3))
    legend_below(axes, 4)
    return figure


def _range(rows: pd.DataFrame, over: str) -> pd.DataFrame:
    """Mean, least and largest share that is kept, none drawn below the floor."""
    return rows.groupby(over)["kept"].agg(["mean", "min", "max"]).clip(lower=FLOOR)


def _reconstruction(rows: pd.DataFrame) -> Figure:
    note = (
        "the edge knows the device's part and has public text; of look-up and a trained inverter the better one; "
        "untuned model;\ndotted: the most frequent word; noise has the variance (ratio x signal) squared"
    )
    figure, axes = panels(1, 2, "What a curious edge reads off activations", note)
    quiet = rows[rows["noise"] == 0.0].groupby(["cut", "codec"])["recovered"].mean().unstack("codec")
    for codec, (marker, colour) in MARK_OF_CODEC.items():
        if codec in quiet.columns:
            axes[0].plot(quiet.index, quiet[codec], marker, color=colour, label=codec, fillstyle="none", markersize=9)
    axes[0].set(ylabel="share of tokens recovered", ylim=(0, 1.05))
    axes[0].tick_params(axis="x", rotation=20)
    noisy = rows[rows["codec"] == "float32"]
    for cut, colour in (("embedding_only", BLUE), ("u_shape+3", ORANGE)):
        means: Any = noisy[noisy["cut"] == cut].groupby("noise")[["recovered", "loss", "loss_before"]].mean()
        axes[1].plot(means["loss"], means["recovered"], "o-", color=colour, label=f"{cut}, noise")
    axes[1].set(xlabel="nats per token of the model that sees the noise", ylabel="share recovered", ylim=(0, 1.05))
    for ax in axes:
        ax.axhline(rows["recovered_blindly"].mean(), color=GREY, linewidth=0.8, linestyle=":")
    legend_below(axes, 3)
    return figure
