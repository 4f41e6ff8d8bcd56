"""Study decision: how much sooner is a picture there when every request is decided by itself?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.codecs.correction.weights import CORRECTIONS
from gainnet.codecs.transform_seed.weights import TRANSFORMS
from gainnet.generation.decision import load_table
from gainnet.models.loading import weights_sha256
from gainnet.studies.decision.methods import open_methods
from gainnet.studies.decision.question import CVPO, DECISION, FIXED, GREEDY, METHODS, POLICIES, DecisionConfig, cases
from gainnet.studies.decision.summary import metric_names, summarise
from gainnet.studies.figures import Panel, draw_panels
from gainnet.studies.palette import BLACK, BLUE, GREEN, ORANGE
from gainnet.studies.study import Study
from gainnet.studies.weights import picture_digests

COLOURS: Final = {DECISION: ORANGE, FIXED: BLACK, GREEDY: BLUE, CVPO: GREEN}
_LABELS: Final = {
    DECISION: "decided per request",
    FIXED: "best fixed configuration",
    GREEDY: "greedy",
    CVPO: "MEG-CVPO",
}


def identity(config: DecisionConfig) -> Mapping[str, str]:
    """sha256 of everything with weights that configurations read, and of the table."""
    return {
        **picture_digests(config.model, "seed_basis"),
        "transform_seed": weights_sha256(TRANSFORMS.find(config.model)),
        "correction": weights_sha256(CORRECTIONS.find(config.model)),
        "table": load_table().sha256,
    }


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Distribution of the latency of requests that a policy keeps."""
    rows = table[table["method"].isin(POLICIES) & table["keeps"].astype(bool)]
    note = "Share of all requests that are kept within a time; runs on held-out pictures and noise."
    total = table[table["method"] == DECISION]
    panels = [Panel(rows.assign(total=len(total)), "all requests", "latency in s", "share of requests kept")]
    yield "decision", draw_panels("Requests kept in time", note, panels, _curves, 1)


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    # A dash each: in print four steps of like grey lie upon each other.
    for (method, colour), dash in zip(COLOURS.items(), ("-", "--", ":", "-."), strict=True):
        times = sorted(rows.loc[rows["method"] == method, "latency_s"])
        if times:
            shares = [(k + 1) / float(rows["total"].iloc[0]) for k in range(len(times))]
            ax.step(times, shares, where="post", color=colour, linestyle=dash, label=_LABELS[method])
    ax.set_xscale("log")


DECISION_STUDY = Study(
    "decision", DecisionConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw
)
