"""Figures of the study protocols: what each costs and gives, and which one when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.figures import Panel, draw_panels, legend_below, panels, short
from gainnet.studies.palette import BLUE, GREEN, ORANGE, RED
from gainnet.studies.statistics import at, beside

METHODS = (
    "centralized", "device_only", "uieg", "eiug", "ciag", "esuc", "uidg", "diug", "dsuc", "uidcg", "dcsuc",
)  # fmt: skip
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
    yield "energy_and_fidelity", _costs(means)
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


def _parts(means: pd.DataFrame) -> list[Panel]:
    """One panel per task and device, in the order of the table."""
    places = means.groupby(["task", "hardware"], sort=False)
    return [Panel(own, f"{_title(task)}, {hardware}", "SNR in dB") for (task, hardware), own in places]


def _title(task: Any) -> str:
    return str(task).replace("_", "-")


def _costs(means: pd.DataFrame) -> Figure:
    """A row of dots per protocol, with the least energy at the top: energy by device, and prompt fidelity by SNR."""
    note = (
        "Energy of the device as priced, from the least to the most of all SNRs; two edges where a protocol takes "
        "several; means over random seeds. The device changes no picture, and the SNR hardly any energy but that of "
        "receiving: a dot without a bar is the same at every SNR."
    )
    title = "What does a protocol cost the device, and what does it give?"
    tasks, devices = list(dict.fromkeys(means["task"])), list(dict.fromkeys(means["hardware"]))
    figure, axes = panels(len(tasks), 2, title, note)
    for task, left, right in zip(tasks, axes[::2], axes[1::2], strict=True):
        rows = at(means, task=task)
        names = [str(name) for name in rows.groupby("method")["device_energy_j"].mean().sort_values().index]
        for device, (marker, colour, fill) in zip(devices, _MARKS, strict=False):
            # An axis of logarithms has no place for a device that spends nothing.
            spent = at(rows, hardware=device).assign(x=rows["device_energy_j"].clip(lower=1e-6)).groupby("method")["x"]
            y = [names.index(str(name)) for name in spent.groups]
            low, mean, high = spent.min(), spent.median(), spent.max()
            look: dict[str, Any] = {"color": colour, "label": device, "fillstyle": fill, "linestyle": ""}
            left.errorbar(mean, y, xerr=[mean - low, high - mean], marker=marker, **look)
        snrs_db = sorted(set(rows["snr_db"]))
        for snr_db, (marker, colour, fill) in zip(snrs_db, _MARKS[::-1], strict=False):
            found = at(rows, snr_db=snr_db).groupby("method")["prompt_fidelity"].mean()
            y = [names.index(str(name)) for name in found.index]
            right.plot(found, y, marker, color=colour, fillstyle=fill, label=f"{snr_db:g} dB")
        for ax in (left, right):
            ax.set_yticks(range(len(names)), [short(name) for name in names])
            ax.invert_yaxis()
        left.set(xscale="log", title=_title(task), xlabel="energy of the device in J")
        right.set(title=_title(task), xlabel="prompt fidelity", yticklabels=[])
    legend_below(axes, 6)
    return figure


_MARKS = (("o", BLUE, "full"), ("s", ORANGE, "none"), ("^", GREEN, "full"), ("v", RED, "none"))
"""Marker, colour and filling of devices in one order, of SNRs in the other."""


def _recommended(means: pd.DataFrame) -> Figure:
    """A map per task and device: what is scarce upwards, SNR across, and in each cell the protocol to take."""
    note = (
        f"Among protocols within {ENOUGH:g} of the best prompt fidelity; energy of the device, channel uses up and "
        f"down, time that 95 % of pictures take. Channel uses: among those that take at most {RELIEF:g} of the energy "
        "of device_only. One colour is one protocol."
    )
    named = [name for name in METHODS if name in set(means["method"])]
    named += [name for name in dict.fromkeys(means["method"]) if name not in METHODS]

    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        snrs_db = sorted(rows["snr_db"].unique())
        for y, (goal, unit) in enumerate(_UNITS.items()):
            for _, row in which_when(rows, goal).iterrows():
                x, colour = snrs_db.index(row["snr_db"]), f"C{named.index(row['method'])}"
                ax.bar(x, 1.0, 1.0, y - 0.5, color=colour, alpha=0.3, edgecolor="white", linewidth=2)
                text = f"{str(row['method']).rpartition(':')[2]}\n{row[goal]:,.2g} {unit}"
                if goal == "num_channel_uses":
                    text = f"{str(row['method']).rpartition(':')[2]}\n{row[goal]:,.0f} {unit}"
                ax.text(x, y, text, ha="center", va="center", fontsize="small")
        ax.set_xticks(range(len(snrs_db)), [f"{snr_db:g}" for snr_db in snrs_db])
        ax.set_yticks(range(len(_UNITS)), [GOALS[goal].replace(" of the ", "\nof the ") for goal in _UNITS])
        ax.invert_yaxis()
        ax.grid(False)

    return draw_panels("Which protocol spends least of what is scarce?", note, _parts(means), plot, 2, legend=0)


_UNITS = {"device_energy_j": "J", "num_channel_uses": "uses", "duration_p95_s": "s"}
