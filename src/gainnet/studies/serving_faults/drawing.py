"""Figures of the study serving-faults."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.figures import legend_below, panels
from gainnet.studies.palette import BLUE, GREEN, ORANGE
from gainnet.studies.serving_faults.question import PHASES, VICTIMS


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Kills by phase and process, with what was lost."""
    killed = table[table["method"].isin(VICTIMS)]
    lost, different = (int(killed[name].sum()) if name in killed else 0 for name in ("lost", "different"))
    note = f"One request per kill; {lost} lost, {different} with other pixels than a simulation with the same deaths."
    figure, (axes,) = panels(1, 1, "Processes that were killed", note)
    counts = killed.groupby(["method", "phase"])["kills"].sum() if len(killed) else pd.Series(dtype=float)
    for offset, (victim, colour) in enumerate(zip(VICTIMS, (BLUE, ORANGE, GREEN), strict=True)):
        heights = [float(counts.get((victim, phase), 0.0)) for phase in PHASES]
        axes.bar([k + 0.27 * offset for k in range(len(PHASES))], heights, 0.25, color=colour, label=victim)
    axes.set_xticks([k + 0.27 for k in range(len(PHASES))], [phase.replace("_", "\n") for phase in PHASES])
    axes.set(ylabel="kills")
    legend_below([axes], 3)
    yield "serving-faults", figure
