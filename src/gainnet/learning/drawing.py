"""Figures of a run: test loss with its spread, and what crossed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOSS, _UP, _DOWN = "#D55E00", "#0072B2", "#009E73"
MEGABYTE: Final = 8e6
"""Bits."""


def draw_curves(summary: Mapping[str, Any]) -> Figure:
    """Test loss of every round, round 0 included, with the middle 80 % of its rows; and bits up to each round.

    Args:
        summary: of a run, as `summary_of` makes it.
    """
    figure, (left, right) = _panels(2)
    _draw_loss(left, summary["curve"], summary.get("task", "text"))
    _draw_bits(right, summary["rounds"])
    return figure


def draw_loss(summary: Mapping[str, Any]) -> Figure:
    """The first half of `draw_curves`, whose letters a phone can show."""
    figure, (ax,) = _panels(1)
    _draw_loss(ax, summary["curve"], summary.get("task", "text"))
    return figure


def draw_bits(summary: Mapping[str, Any]) -> Figure:
    """The second half of `draw_curves`."""
    figure, (ax,) = _panels(1)
    _draw_bits(ax, summary["rounds"])
    return figure


def _panels(number: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * number, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(1, number, squeeze=False).flat)
    for ax in axes:
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlabel("round")
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure, axes


LOSS_OF: Final = {
    "text": ("nats per token", "loss on text that nobody trained on"),
    "draw": ("weighted mean square error", "loss on pictures that nobody trained on"),
}
"""Unit and title of the test loss by task."""


def _draw_loss(ax: Axes, curve: Sequence[Mapping[str, float]], task: str) -> None:
    rounds = [point["round"] for point in curve]
    low, high = ([point[f"test_loss_{edge}"] for point in curve] for edge in ("p10", "p90"))
    ax.fill_between(rounds, low, high, color=_LOSS, alpha=0.15, linewidth=0, label="middle 80 % of test rows")
    ax.plot(rounds, [point["test_loss"] for point in curve], color=_LOSS, marker="o", markersize=4, label="mean")
    unit, title = LOSS_OF[task]
    ax.set(ylabel=unit, title=title)
    # Below the axes: inside, the band is everywhere.
    ax.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _draw_bits(ax: Axes, rounds: Sequence[Mapping[str, float]]) -> None:
    places = [0, *(record["round"] for record in rounds)]
    for way, colour, marker in (("up", _UP, "o"), ("down", _DOWN, "s")):
        sums = [0.0]
        for record in rounds:
            sums.append(sums[-1] + record[f"num_bits_{way}"] / MEGABYTE)
        ax.plot(places, sums, color=colour, marker=marker, markersize=4, label=way)
    ax.set(ylabel="megabytes so far", title="what crossed the air", ylim=(0, None))
    ax.legend(frameon=False, fontsize=9)
