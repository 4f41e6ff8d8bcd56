"""The figure: ROUGE of the arms with their intervals, and what each costs in tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gainnet.studies.figures import BLUE, GREEN, GREY, ORANGE, panels
from gainnet.studies.medical_summaries.question import METHODS, NOT_PUBMED, ROUGES
from gainnet.studies.medical_summaries.summary import summarise

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOUR = {"cloud": GREY, "part": ORANGE, "full": BLUE, "edge_alone": GREEN}
_LABEL = {"cloud": "cloud alone", "part": "Part", "full": "Full", "edge_alone": "edge-end alone"}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """One panel per ROUGE, and one of quality over cost."""
    found = summarise(table)
    arms = [arm for arm in METHODS if arm in set(table["method"])]
    num_seeds, num_fields = table["random_seed"].nunique(), table["field"].nunique()
    num_documents = int(table[table["method"] == arms[0]]["num_documents"].sum())
    note = (
        f"{num_documents} documents of {num_fields} fields that the cloud never saw, {num_seeds} random seeds; "
        "95 % bootstrap intervals over documents"
    )
    if table["warning"].notna().any():
        note += f"\nWarning: {NOT_PUBMED}"
    figure, axes = panels(1, 4, "Conclusions of trials: cloud alone, with Part and Full prompts, edge-end alone", note)
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
    yield "medical_summaries", figure


def _bars(ax: Axes, score: str, arms: list[str], found: Mapping[str, float | None]) -> None:
    means = [found[f"{score}.{arm}"] or 0.0 for arm in arms]
    lows = [mean - (found[f"{score}.{arm}.low"] or 0.0) for mean, arm in zip(means, arms, strict=True)]
    highs = [(found[f"{score}.{arm}.high"] or 0.0) - mean for mean, arm in zip(means, arms, strict=True)]
    ax.bar([_LABEL[arm] for arm in arms], means, yerr=[lows, highs], color=[_COLOUR[a] for a in arms], capsize=4)
    ax.tick_params(axis="x", labelsize=8, rotation=20)
    ax.set(title=score.upper().replace("ROUGE", "ROUGE-"), ylabel="F-measure", ylim=(0, 1))
