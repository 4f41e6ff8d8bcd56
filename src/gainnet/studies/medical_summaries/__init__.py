"""Study medical-summaries: does a cloud conclude better with what an edge-end model of the field tells it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.figures import Style, panels
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
    "cloud": Style("cloud alone", GREY, "-", "o"), "part": Style("Part", ORANGE, "-", "o"),
    "full": Style("Full", BLUE, "-", "o"), "edge_alone": Style("edge-end alone", GREEN, "-", "o"),
}  # fmt: skip


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """One panel per ROUGE, one of quality over cost, and one of quality and right labels over rounds of learning."""
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
    title = "Conclusions of invented trials: cloud alone, with Part and Full prompts, edge-end alone"
    figure, axes = panels(1, 5, title, note)
    for ax, score in zip(axes, ROUGES, strict=False):
        _bars(ax, score, arms, found)
    for arm in arms:
        if (tokens := found.get(f"tokens.{arm}")) is not None:
            look: dict[str, Any] = {"color": STYLES[arm].colour, "markersize": 9, "label": STYLES[arm].label}
            axes[3].plot(tokens, found[f"rougel.{arm}"] or 0.0, "o", **look)
    axes[3].set(xlabel="tokens per document, prompt and completion", ylabel="ROUGE-L", title="quality over cost")
    if axes[3].lines:
        axes[3].legend(fontsize=8, frameon=False)
    _growth(axes[4], arms, table)
    yield "medical_summaries", figure


def _real(found: Mapping[str, float | None], num_documents: int) -> Figure:
    """ROUGE-1 of every arm on real abstracts, and what Part and Full gain over the others."""
    note = f"{num_documents} documents, 95 % bootstrap intervals over documents\nWarning: {NOT_PUBMED}"
    figure, axes = panels(1, 2, "Conclusions of real abstracts", note)
    arms = [arm for arm in REAL_ARMS if found.get(f"rouge1.real.{arm}") is not None]
    pairs = [f"{a}_minus_{b}" for a, b in REAL_DIFFERENCES if found.get(f"{a}_minus_{b}.rouge1") is not None]
    for ax, names, place in ((axes[0], arms, "rouge1.real.{}"), (axes[1], pairs, "{}.rouge1")):
        mean, low, high = (np.array([found[place.format(n) + end] or 0.0 for n in names]) for end in ENDS)
        ax.errorbar(mean, range(len(names)), xerr=[mean - low, high - mean], fmt="o", color=BLUE, capsize=3)
        ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=8)
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
            ax.axhline(float(rows.iloc[-1]), color=style.colour, label=style.label)
        else:
            style.plot(ax, rows.index, rows)
    right = table[table["method"] != "cloud"].groupby("rounds")["template_right"].mean()
    ax.plot(right.index, right, "s--", color=BLACK, label="share of right templates")
    ax.set(xlabel="rounds of the edge-end model", ylabel="ROUGE-L", title="what the edge learns", ylim=(0, 1))
    ax.legend(fontsize=8, frameon=False)


def _bars(ax: Axes, score: str, arms: list[str], found: Mapping[str, float | None]) -> None:
    mean, low, high = (np.array([found[f"{score}.{arm}{end}"] or 0.0 for arm in arms]) for end in ("", ".low", ".high"))
    labels, colours = [STYLES[arm].label for arm in arms], [STYLES[arm].colour for arm in arms]
    ax.bar(labels, mean, yerr=[mean - low, high - mean], color=colours, capsize=4)
    ax.tick_params(axis="x", labelsize=8, rotation=20)
    ax.set(title=score.upper().replace("ROUGE", "ROUGE-"), ylabel="F-measure", ylim=(0, 1))


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
