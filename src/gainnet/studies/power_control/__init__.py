"""Study power-control: transmit power over fading blocks, learned and otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.core.errors import ConfigError
from gainnet.models.loading import find_folder, weights_sha256
from gainnet.power_control import trained_config
from gainnet.power_control.quality import load_importance
from gainnet.studies.figures import Panel, Style, draw_panels, plot_curves, with_own
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, MARKER_OF, ORANGE, PURPLE, RED, SKY
from gainnet.studies.power_control.methods import methods
from gainnet.studies.power_control.question import MAP_ENERGIES, METHODS, PowerControlConfig, cases
from gainnet.studies.power_control.summary import CONDITIONS, METRIC_NAMES, gains, summarise
from gainnet.studies.results import config_hash
from gainnet.studies.statistics import at, present
from gainnet.studies.study import Study

STYLES = {
    "non_causal": Style("knows the future (limit)", BLACK, ":", MARKER_OF[BLACK]),
    "dp_independent": Style("DP, independent blocks", BLUE, "-", MARKER_OF[BLUE]),
    "dp_markov": Style("DP, first-order chain", SKY, "--", MARKER_OF[SKY]),
    "ppo": Style("PPO", RED, "-", MARKER_OF[RED]),
    "sac": Style("SAC", PURPLE, "-", MARKER_OF[PURPLE]),
    "pathwise": Style("pathwise gradients", ORANGE, "-", MARKER_OF[ORANGE]),
    "replanned": Style("replanned (closed form)", GREEN, "-.", MARKER_OF[GREEN]),
    "mean_gain": Style("mean gain (start of learning)", BROWN, "-.", MARKER_OF[BROWN]),
    "fixed_multiplier": Style("fixed multiplier", GREY, "--", MARKER_OF[GREY]),
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
    names = present(found, "condition", CONDITIONS)
    if names:
        yield "gain_over_budget", _lines(found, names, "gain_over_static_db", "gain over constant power in dB")
        yield "quality_over_budget", _lines(found, names, "quality_db", "quality in dB (-MSE, or PSNR)")
    if len(shown := at(table, condition="map")):
        yield "what_the_agent_does", _map(shown)
    if "num_episodes" in table and len(curve := table[table["num_episodes"].notna()]):
        yield "learning_curves", _curves(curve)


def _lines(found: pd.DataFrame, names: list[str], column: str, ylabel: str) -> Figure:
    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        seen = rows.groupby(["method", "snr_db"])[column].agg(["mean", "min", "max"]).reset_index()
        plot_curves(ax, seen, "snr_db", "mean", with_own(STYLES, seen, METHODS), ("min", "max"))
        if column == "gain_over_static_db":
            ax.axhline(0, color=GREY, linewidth=0.8)

    parts = [
        Panel(at(found, condition=name), TITLES[name], "energy per block over noise in dB", ylabel) for name in names
    ]
    return draw_panels("Causal power control over the energy budget", _CONVENTION, parts, plot, 3)


def _map(shown: pd.DataFrame) -> Figure:
    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        for energy, colour in zip(MAP_ENERGIES, (SKY, BLUE, GREEN, RED), strict=True):
            line = at(rows, energy_left=energy).sort_values("gain_db")
            ax.plot(
                line["gain_db"],
                line["power"],
                f"{MARKER_OF[colour]}-",
                color=colour,
                markersize=4,
                label=f"{energy:g} per block left",
            )

    names = present(shown, "method", STYLES)
    snr_db = shown["snr_db"].iloc[0]
    note = f"Mean SNR {snr_db:g} dB, 8 of 16 blocks left; one line per energy that is left for a block."
    labels = "gain of the block in dB", "power over the mean"
    parts = [Panel(at(shown, method=name), STYLES[name].label, *labels) for name in names]
    return draw_panels("What is sent, over gain and energy left", note, parts, plot, len(parts))


def _curves(points: pd.DataFrame) -> Figure:
    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        for (method, _), own in rows.sort_values("num_episodes").groupby(["method", "training_seed"]):
            style = STYLES[str(method)]
            thousands, gain_db = own["num_episodes"] / 1000, own["gain_over_static_db"]
            # The curves of all lie upon each other in the end, so that colour alone says nothing in grey.
            marker = MARKER_OF[style.colour]
            ax.plot(
                thousands, gain_db, f"{marker}-", color=style.colour, label=style.label, alpha=0.7, markevery=0.2,
                markersize=5,
            )  # fmt: skip

    labels = "thousands of episodes", "gain over constant power in dB"
    parts = [Panel(own, f"{snr_db:g} dB", *labels) for snr_db, own in points.groupby("snr_db")]
    note = "Validation episodes that nobody trains on; one line per training seed."
    return draw_panels("How the policies learned", note, parts, plot, len(parts), legend=2)


def identity(config: PowerControlConfig) -> Mapping[str, str]:
    """Digests of the policies, of the importance of blocks, of the decoder and of the trace."""
    importance = load_importance()
    found = {f"policy.{name}": str(trained_config(name)["sha256"]) for name in config.learned}
    weights = {"latent": importance.latent, "picture": importance.picture, "floor": importance.picture_floor}
    found["importance"] = config_hash(weights)
    if "decoder" in config.conditions:
        found["model"] = weights_sha256(find_folder("scenes"))
    if config.trace:
        try:
            found["trace"] = hashlib.sha256(Path(config.trace).read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigError(f"trace: {config.trace} cannot be read ({error.strerror}); give a CSV file") from None
    return found


POWER_CONTROL = Study(
    "power-control", PowerControlConfig, METHODS, METRIC_NAMES, cases, methods, identity, summarise, draw
)
