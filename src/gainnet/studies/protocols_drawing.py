"""Figures of the study protocols: what each costs and gives, and which one when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gainnet.studies.figures import BLUE, GREEN, ORANGE, panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENOUGH = 0.05
"""Prompt fidelity below the best that is given up for less energy of the device, as `gainnet advise` does."""
SITUATION = ["task", "hardware", "snr_db"]


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Prompt fidelity against device energy, per task and device; and a table of which protocol when."""
    rows = table[table["snr_db"].notna()]
    if "device_energy_j" not in rows or rows["device_energy_j"].isna().all():
        return
    means = rows.groupby([*SITUATION, "method"])[["device_energy_j", "prompt_fidelity", "duration_p95_s"]].mean()
    means = means.dropna(subset=["device_energy_j"]).reset_index()
    yield "energy_and_fidelity", _clouds(means)
    yield "which_when", _recommended(which_when(means))


def which_when(means: pd.DataFrame) -> pd.DataFrame:
    """Per situation the protocol that takes least energy of the device among those about as true to the prompt as the
    best; a row per situation.

    Args:
        means: columns task, hardware, snr_db, method, device_energy_j, prompt_fidelity, duration_p95_s.
    """
    best = means.groupby(SITUATION)["prompt_fidelity"].transform("max")
    good = means[means["prompt_fidelity"] >= best - ENOUGH]
    return good.loc[good.groupby(SITUATION)["device_energy_j"].idxmin()]


def _clouds(means: pd.DataFrame) -> Figure:
    pairs = list(means[["task", "hardware"]].drop_duplicates().itertuples(index=False))
    note = "energy of the device as priced; two edges where a protocol takes several; means over random seeds"
    figure, axes = panels(1, len(pairs), "What does a protocol cost the device, and what does it give?", note)
    for ax, (task, hardware) in zip(axes, pairs, strict=True):
        _cloud(ax, means[(means["task"] == task) & (means["hardware"] == hardware)])
        ax.set(xscale="log", xlabel="energy of the device [J]", title=f"{task.replace('_', '-')}, {hardware}")
    axes[0].set_ylabel("prompt fidelity")
    axes[-1].legend(fontsize=7)
    return figure


def _cloud(ax: Axes, means: pd.DataFrame) -> None:
    colours = dict(zip(sorted(means["snr_db"].unique()), (ORANGE, BLUE, GREEN), strict=False))
    for snr_db, group in means.groupby("snr_db"):
        x, y = group["device_energy_j"].clip(lower=1e-6), group["prompt_fidelity"]
        ax.plot(x, y, "o", color=colours.get(snr_db, BLUE), label=f"{snr_db:g} dB")
        for name, a, b in zip(group["method"], x, y, strict=True):
            ax.annotate(str(name), (a, b), textcoords="offset points", xytext=(4, 3), fontsize=6)


def _recommended(chosen: pd.DataFrame) -> Figure:
    """A cell per situation: protocol, energy of the device, time that 95 % of pictures stay below."""
    from matplotlib.transforms import Bbox

    snrs = sorted(chosen["snr_db"].unique())
    pairs = list(chosen[["task", "hardware"]].drop_duplicates().itertuples(index=False))
    note = (
        f"least energy of the device among those within {ENOUGH:g} of the best prompt fidelity; energy, 95 % of times"
    )
    figure, (ax,) = panels(1, 1, "Which protocol when?", note)
    ax.axis("off")
    said = {tuple(row[key] for key in SITUATION): _cell(row) for _, row in chosen.iterrows()}
    cells = [[said.get((task, hardware, snr_db), "–") for snr_db in snrs] for task, hardware in pairs]
    drawn = ax.table(
        cellText=cells,
        rowLabels=[f"{task.replace('_', '-')}\n{hardware}" for task, hardware in pairs],
        colLabels=[f"{snr_db:g} dB" for snr_db in snrs],
        cellLoc="center",
        bbox=Bbox.from_bounds(0.25, 0.0, 0.75, 1.0),
    )
    drawn.set_fontsize(9)
    return figure


def _cell(row: pd.Series) -> str:
    return f"{row['method']}\n{row['device_energy_j']:.2g} J, {row['duration_p95_s']:.2g} s"
