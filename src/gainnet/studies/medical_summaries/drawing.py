"""The figure: ROUGE of the arms with their intervals, what each costs in tokens, and how it grows with the edge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.figures import panels
from gainnet.studies.medical_summaries.question import METHODS, NOT_PUBMED, ROUGES
from gainnet.studies.medical_summaries.summary import summarise
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, ORANGE

_COLOUR = {"cloud": GREY, "part": ORANGE, "full": BLUE, "edge_alone": GREEN}
_LABEL = {"cloud": "cloud alone", "part": "Part", "full": "Full", "edge_alone": "edge-end alone"}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """One panel per ROUGE, one of quality over cost, and one of quality and right labels over rounds of learning."""
    found = summarise(table)
    arms = [arm for arm in METHODS if arm in set(table["method"])]
    num_seeds, num_fields = table["random_seed"].nunique(), table["field"].nunique()
    last = table[table["rounds"] == table["rounds"].max()]
    num_documents = int(last[last["method"] == arms[0]]["num_documents"].sum())
    note = (
        f"{num_documents} documents, {num_seeds} random seeds with {num_fields} fields that the cloud never saw; "
        "95 % bootstrap intervals over documents"
    )
    if table["warning"].notna().any():
        note += f"\nWarning: {NOT_PUBMED}"
    figure, axes = panels(1, 5, "Conclusions of trials: cloud alone, with Part and Full prompts, edge-end alone", note)
    for ax, score in zip(axes, ROUGES, strict=False):
        _bars(ax, score, arms, found)
    for arm in arms:
        if (tokens := found.get(f"tokens.{arm}")) is not None:
            axes[3].plot(
                tokens, found[f"rougel.{arm}"] or 0.0, "o", color=_COLOUR[arm], markersize=9, label=_LABEL[arm]
            )
    axes[3].set(xlabel="tokens per document, prompt and completion", ylabel="ROUGE-L", title="quality over cost")
    if axes[3].lines:
        axes[3].legend(fontsize=8, frameon=False)
    _growth(axes[4], arms, table)
    yield "medical_summaries", figure


def _growth(ax: Axes, arms: list[str], table: pd.DataFrame) -> None:
    """ROUGE-L of every arm and the share of right templates, by rounds of learning."""
    for arm in arms:
        rows = table[table["method"] == arm].groupby("rounds")["rougel"].mean()
        if arm == "cloud":
            ax.axhline(float(rows.iloc[-1]), color=_COLOUR[arm], label=_LABEL[arm])
        else:
            ax.plot(rows.index, rows, "o-", color=_COLOUR[arm], label=_LABEL[arm])
    right = table[table["method"] != "cloud"].groupby("rounds")["template_right"].mean()
    ax.plot(right.index, right, "s--", color=BLACK, label="share of right templates")
    ax.set(xlabel="rounds of the edge-end model", ylabel="ROUGE-L", title="what the edge learns", ylim=(0, 1))
    ax.legend(fontsize=8, frameon=False)


def _bars(ax: Axes, score: str, arms: list[str], found: Mapping[str, float | None]) -> None:
    means = [found[f"{score}.{arm}"] or 0.0 for arm in arms]
    lows = [mean - (found[f"{score}.{arm}.low"] or 0.0) for mean, arm in zip(means, arms, strict=True)]
    highs = [(found[f"{score}.{arm}.high"] or 0.0) - mean for mean, arm in zip(means, arms, strict=True)]
    ax.bar([_LABEL[arm] for arm in arms], means, yerr=[lows, highs], color=[_COLOUR[a] for a in arms], capsize=4)
    ax.tick_params(axis="x", labelsize=8, rotation=20)
    ax.set(title=score.upper().replace("ROUGE", "ROUGE-"), ylabel="F-measure", ylim=(0, 1))
