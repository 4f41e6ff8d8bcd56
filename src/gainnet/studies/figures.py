"""Panels, styles, bars and bands that all figures are made of, in colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gainnet.studies.statistics import spread

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, BROWN, GREY, BLACK = "#56B4E9", "#8C564B", "#777777", "#000000"
"""Okabe and Ito's palette (2008), with a brown and a grey."""


@final
@dataclass(frozen=True)
class Style:
    """Label, colour, line and marker of a method, the same in every figure.

    Args:
        label: in the legend.
        colour: of line, marker and band.
        line: of matplotlib, such as `--`.
        marker: of matplotlib; none if empty.
    """

    label: str
    colour: str
    line: str = "-"
    marker: str = ""

    def plot(self, ax: Axes, x: Any, y: Any, **options: Any) -> None:
        """A curve; `options` are those of `Axes.plot`."""
        ax.plot(x, y, self.line, **{"color": self.colour, "marker": self.marker, "label": self.label, **options})

    def band(self, ax: Axes, x: Any, low: Any, high: Any, alpha: float) -> None:
        """The area between two curves, pale behind the curve it belongs to."""
        ax.fill_between(x, low, high, color=self.colour, alpha=alpha, linewidth=0)


def panels(num_rows: int, num_columns: int, title: str, note: str) -> tuple[Figure, list[Axes]]:
    """A figure with a title above, a note below, and axes row by row.

    Args:
        num_rows: rows of axes.
        num_columns: axes per row.
        title: what is seen, one or two lines.
        note: conventions under which the numbers hold.
    """
    height_in, note_in = 1.6 + 3.7 * num_rows, 0.25 + 0.17 * (1 + note.count("\n"))
    figure = Figure(figsize=(1.2 + 4.6 * num_columns, height_in + note_in), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 1, height_ratios=[height_in, note_in])
    top, bottom = (figure.add_subfigure(grid[row, 0]) for row in range(2))
    top.suptitle(title, fontsize=13)
    bottom.text(0.01, 0.5, note, fontsize=8.5, color="#444444", ha="left", va="center", linespacing=1.3)
    axes = top.subplots(num_rows, num_columns, squeeze=False)
    for ax in axes.flat:
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def legend_below(axes: list[Axes], num_columns: int) -> None:
    """One legend for all axes, each label once, between the axes and the note."""
    found = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in found}
    options: dict[str, Any] = {"loc": "outside lower center", "ncols": num_columns, "frameon": False, "fontsize": 10}
    axes[0].figure.legend(list(handles.values()), list(handles), **options)


def error_bars(ax: Axes, x: Sequence[Any], groups: Iterable[Iterable[float]], colour: str, label: str) -> None:
    """A curve through the means of groups of values, with Student's 95 % intervals.

    Args:
        ax: where.
        x: [num_groups], numbers or names.
        groups: values of every group, one per random seed.
        colour: of curve and bars.
        label: in the legend.
    """
    spreads = [spread(group) for group in groups]
    errors = [s.error_bar for s in spreads]
    ax.errorbar(x, [s.mean for s in spreads], errors, fmt="o-", color=colour, label=label, capsize=3)
