"""Figures of the study serving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.figures import panels
from gainnet.studies.palette import BLUE, GREEN, GREY, ORANGE, PURPLE
from gainnet.studies.serving.question import BATCHED, BURST, FEW_STEPS, LOCKED, REQUEST_BATCHING, SINGLE, STEADY

_LABELS = {
    LOCKED: ("pipeline\nwith a lock", GREY), REQUEST_BATCHING: ("batches of\nrequests", ORANGE),
    SINGLE: ("onnx-\nruntime", BLUE), BATCHED: ("and batches\nof steps", GREEN), FEW_STEPS: ("and few\nsteps", PURPLE),
}  # fmt: skip


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Pictures per second of the processor, and latencies in a burst."""
    steady, burst = (table[table["load"] == load] for load in (STEADY, BURST))
    note = (
        "Each server alone on one core; processor time of its processes, clients apart; median over "
        f"{table['random_seed'].nunique()} repetitions.\nBurst: arrivals at twice the capacity of the locked server."
    )
    figure, (left, right) = panels(1, 2, "Pictures from one core", note)
    rates: Any = (steady["num_pictures"] / steady["measured_cpu_s"]).groupby(steady["method"]).median()
    shown = [name for name in _LABELS if name in rates.index]
    left.bar([_LABELS[n][0] for n in shown], [rates[n] for n in shown], color=[_LABELS[n][1] for n in shown])
    left.set(ylabel="pictures per second\nof processor time", title="steady load")
    means: Any = burst.groupby("method").median(numeric_only=True)
    shown = [name for name in _LABELS if name in means.index]
    for offset, (column, label) in enumerate((("measured_mean_s", "mean"), ("measured_p99_s", "99 %"))):
        places = [k + 0.4 * offset for k in range(len(shown))]
        bars = right.bar(places, [means.at[n, column] for n in shown], 0.38, color=[_LABELS[n][1] for n in shown])
        right.bar_label(bars, [label] * len(shown), fontsize="x-small")
    right.set(ylabel="latency in s", title="burst")
    right.set_xticks([k + 0.2 for k in range(len(shown))], [_LABELS[n][0] for n in shown])
    yield "serving", figure
