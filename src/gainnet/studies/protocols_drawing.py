"""Figures of the study protocols: what each costs and gives, and which one when."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from gainnet.studies.figures import Panel, draw_panels
from gainnet.studies.palette import BLUE, GREEN, ORANGE
from gainnet.studies.statistics import at, beside

ENOUGH = 0.05
"""Prompt fidelity below the best that is given up for less energy of the device, as `gainnet advise` does."""
SITUATION = ["task", "hardware", "snr_db"]
GOALS = {"device_energy_j": "energy of the device", "num_channel_uses": "channel uses", "duration_p95_s": "time"}
RELIEF = 0.5
"""Of the energy that drawing alone takes: who saves channel uses has to save the device at least the rest, or else
sending nothing would always win."""


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Prompt fidelity against device energy, per task and device; and a table of which protocol when."""
    rows = table[table["snr_db"].notna()]
    if "device_energy_j" not in rows or rows["device_energy_j"].isna().all():
        return
    rows = rows.assign(num_channel_uses=rows["num_channel_uses_up"] + rows["num_channel_uses_down"])
    means = rows.groupby([*SITUATION, "method"])[[*GOALS, "prompt_fidelity"]].mean()
    means = means.dropna(subset=["device_energy_j"]).reset_index()
    yield "energy_and_fidelity", _clouds(means)
    yield "which_when", _recommended(means)


def which_when(means: pd.DataFrame, goal: str) -> pd.DataFrame:
    """Per situation the protocol that spends least of something among those about as true to the prompt as the best.

    Args:
        means: columns task, hardware, snr_db, method, prompt_fidelity, device_energy_j, num_channel_uses,
            duration_p95_s.
        goal: column of what is to be spent least; of equals, the one with least energy of the device. Of those that
            save channel uses only the ones count that take at most half of the energy of `device_only`, where that was
            tried.
    """
    best = means.groupby(SITUATION)["prompt_fidelity"].transform("max")
    good = means[means["prompt_fidelity"] >= best - ENOUGH]
    if goal == "num_channel_uses":
        alone_j = beside(good, at(means, method="device_only"), SITUATION, "device_energy_j")
        good = good[~(good["device_energy_j"] > RELIEF * alone_j)]  # true, too, where drawing alone was not tried
    return good.sort_values([goal, "device_energy_j"]).groupby(SITUATION, as_index=False).first()


def _parts(means: pd.DataFrame, xlabel: str = "") -> list[Panel]:
    """One panel per task and device, in the order of the table."""
    places = means.groupby(["task", "hardware"], sort=False)
    return [Panel(own, f"{str(task).replace('_', '-')}, {hardware}", xlabel) for (task, hardware), own in places]


def _clouds(means: pd.DataFrame) -> Figure:
    parts = _parts(means, "energy of the device [J]")
    note = "energy of the device as priced; two edges where a protocol takes several; means over random seeds"
    title = "What does a protocol cost the device, and what does it give?"
    figure = draw_panels(title, note, parts, _cloud, len(parts), legend=0)
    figure.axes[0].set_ylabel("prompt fidelity")
    figure.axes[-1].legend(fontsize=7)
    return figure


def _cloud(ax: Axes, means: pd.DataFrame) -> None:
    colours = (ORANGE, BLUE, GREEN)
    for place, (snr_db, group) in enumerate(means.groupby("snr_db")):
        # An axis of logarithms has no place for a device that spends nothing.
        x, y = group["device_energy_j"].clip(lower=1e-6), group["prompt_fidelity"]
        ax.plot(x, y, "o", color=colours[min(place, 2)], label=f"{snr_db:g} dB")
        for name, a, b in zip(group["method"], x, y, strict=True):
            ax.annotate(str(name), (a, b), textcoords="offset points", xytext=(4, 3), fontsize=6)
    ax.set_xscale("log")


def _recommended(means: pd.DataFrame) -> Figure:
    """Axes per task and device; a row per thing that is scarce, a cell per SNR: protocol, energy, uses, time."""
    note = (
        f"among protocols within {ENOUGH:g} of the best prompt fidelity; energy of the device, uses up and down, "
        f"95 % of times\nchannel uses: among those that take at most {RELIEF:g} of the energy of device_only"
    )
    figure = draw_panels("Which protocol spends least of what is scarce?", note, _parts(means), _tabled, 1, legend=0)
    figure.set_figwidth(9.0)
    for ax in figure.axes:
        ax.title.set_fontsize(10)
    return figure


def _tabled(ax: Axes, means: pd.DataFrame) -> None:
    snrs = sorted(means["snr_db"].unique())
    cells = []
    for goal in GOALS:
        said = {row["snr_db"]: _cell(row) for _, row in which_when(means, goal).iterrows()}
        cells.append([said.get(snr_db, "–") for snr_db in snrs])
    ax.axis("off")
    columns = [f"{snr_db:g} dB" for snr_db in snrs]
    where = Bbox.from_bounds(0.22, 0.0, 0.78, 1.0)
    drawn = ax.table(cells, rowLabels=list(GOALS.values()), colLabels=columns, cellLoc="center", bbox=where)
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)


def _cell(row: pd.Series) -> str:
    costs = f"{row['device_energy_j']:.2g} J, {row['num_channel_uses']:,.0f} uses, {row['duration_p95_s']:.2g} s"
    return f"{row['method']}\n{costs}"
