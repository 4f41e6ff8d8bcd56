"""Figures of the study learning-faults."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.figures import legend_below, panels
from gainnet.studies.learning_faults.question import PHASES, ROLES
from gainnet.studies.palette import BLUE, GREEN, ORANGE


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Kills by phase and process, with what was lost."""
    lost, different = int(table["lost"].sum()), int(table["different"].sum())
    note = f"{int(table['rounds'].sum())} rounds; {lost} updates lost, {different} states or updates that differ."
    figure, (axes,) = panels(1, 1, "Processes that were killed while they learned", note)
    for offset, (role, colour) in enumerate(zip(ROLES, (GREEN, ORANGE, BLUE), strict=True)):
        of_role = table[table["process"].str.startswith(role)]
        heights = [float(of_role[of_role["phase"] == phase]["kills"].sum()) for phase in PHASES]
        axes.bar([k + 0.27 * offset for k in range(len(PHASES))], heights, 0.25, color=colour, label=role)
    axes.set_xticks([k + 0.27 for k in range(len(PHASES))], PHASES)
    axes.set(ylabel="kills")
    legend_below([axes], 3)
    yield "learning-faults", figure
