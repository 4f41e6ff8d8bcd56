"""Study medical-summaries: does a cloud conclude better with what an edge-end model of the field tells it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.figures import Style, legend_below, panels
from gainnet.studies.medical_summaries.material import identity
from gainnet.studies.medical_summaries.methods import open_methods
from gainnet.studies.medical_summaries.question import (
    ALL_METHODS,
    ENDS,
    METHODS,
    METRIC_NAMES,
    NOT_PUBMED,
    REAL,
    REAL_ARMS,
    REAL_DIFFERENCES,
    ROUGES,
    SummariesConfig,
    cases,
    current,
    warnings,
)
from gainnet.studies.medical_summaries.summary import summarise
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, ORANGE
from gainnet.studies.statistics import at, present
from gainnet.studies.study import Study

STYLES = {
    "cloud": Style("cloud alone", GREY, ":", "s"), "part": Style("Part", ORANGE, "-", "^"),
    "full": Style("Full", BLUE, "-", "o"), "edge_alone": Style("edge-end alone", GREEN, "--", "D"),
}  # fmt: skip


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """ROUGE of every arm, quality over cost, and quality and right labels over rounds of learning."""
    found = summarise(table)
    real = table[table["method"].str.startswith(REAL)]
    if len(real):
        yield "real_abstracts", _real(found, int(found["num_documents"] or 0))
    table = table[table["method"].isin(METHODS)]
    if table.empty:
        return
    arms = present(table, "method", METHODS)
    num_seeds, num_fields = table["random_seed"].nunique(), table["field"].nunique()
    last = table[table["rounds"] == table["rounds"].max()]
    num_documents = int(at(last, method=arms[0])["num_documents"].sum())
    note = (
        f"{num_documents} documents, {num_seeds} random seeds with {num_fields} fields that the cloud never saw; "
        "95 % bootstrap intervals over documents"
    )
    title = "Conclusions of invented trials: cloud, Part, Full, edge-end"
    figure, axes = panels(1, 3, title, note)
    _scores(axes[0], arms, found)
    for arm in arms:
        if (tokens := found.get(f"tokens.{arm}")) is not None:
            STYLES[arm].plot(axes[1], tokens, found[f"rougel.{arm}"] or 0.0, linestyle="", markersize=7)
    axes[1].set(xlabel="tokens per document,\nprompt and completion", ylabel="ROUGE-L", title="quality over cost")
    _growth(axes[2], arms, table)
    legend_below(axes, 4)
    yield "medical_summaries", figure


def _real(found: Mapping[str, float | None], num_documents: int) -> Figure:
    """ROUGE-1 of every arm on real abstracts, and what Part and Full gain over the others."""
    note = f"{num_documents} documents, 95 % bootstrap intervals over documents. Warning: {NOT_PUBMED}"
    figure, axes = panels(1, 2, "Conclusions of real abstracts", note)
    arms = [arm for arm in REAL_ARMS if found.get(f"rouge1.real.{arm}") is not None]
    pairs = [f"{a}_minus_{b}" for a, b in REAL_DIFFERENCES if found.get(f"{a}_minus_{b}.rouge1") is not None]
    for ax, names, place in ((axes[0], arms, "rouge1.real.{}"), (axes[1], pairs, "{}.rouge1")):
        mean, low, high = (np.array([found[place.format(n) + end] or 0.0 for n in names]) for end in ENDS)
        ax.errorbar(mean, range(len(names)), xerr=[mean - low, high - mean], fmt="o", color=BLUE, capsize=3)
        ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        ax.invert_yaxis()
    axes[1].axvline(0.0, color=GREY, linewidth=0.8)
    axes[0].set(title="each arm", xlabel="ROUGE-1, F-measure")
    axes[1].set(title="document by document", xlabel="difference of ROUGE-1")
    return figure


def _growth(ax: Axes, arms: list[str], table: pd.DataFrame) -> None:
    """ROUGE-L of every arm and the share of right templates, by rounds of learning."""
    for arm in arms:
        rows, style = at(table, method=arm).groupby("rounds")["rougel"].mean(), STYLES[arm]
        if arm == "cloud":  # it learns nothing in these rounds
            ax.axhline(float(rows.iloc[-1]), color=style.colour, linestyle=style.line)
        else:
            style.plot(ax, rows.index, rows)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    right = table[table["method"] != "cloud"].groupby("rounds")["template_right"].mean()
    ax.plot(right.index, right, "x-.", color=BLACK, label="share of right templates")
    ax.set(xlabel="rounds of the edge", ylabel="ROUGE-L, or share", title="what the edge learns", ylim=(0, 1))


def _scores(ax: Axes, arms: list[str], found: Mapping[str, float | None]) -> None:
    """A row per ROUGE, and in each a dot per arm with its interval."""
    for place, arm in enumerate(arms):
        style = STYLES[arm]
        mean, low, high = (np.array([found[f"{score}.{arm}{end}"] or 0.0 for score in ROUGES]) for end in ENDS)
        y = np.arange(len(ROUGES)) + 0.16 * (place - (len(arms) - 1) / 2)
        ax.errorbar(mean, y, xerr=[mean - low, high - mean], fmt=style.marker, color=style.colour, label=style.label)
    ax.set_yticks(range(len(ROUGES)), [score.upper().replace("ROUGE", "ROUGE-") for score in ROUGES])
    ax.invert_yaxis()
    ax.set(title="quality", xlabel="F-measure", xlim=(0, 1))


MEDICAL_SUMMARIES = Study(
    "medical-summaries",
    SummariesConfig,
    ALL_METHODS,
    METRIC_NAMES,
    cases,
    open_methods,
    identity,
    summarise,
    draw,
    warnings,
    current,
)
