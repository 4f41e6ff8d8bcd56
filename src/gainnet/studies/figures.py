"""Panels, curves, bars and bands that all figures are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gainnet.studies.palette import GREY
from gainnet.studies.statistics import spread


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

    def band(self, ax: Axes, x: Any, low: Any, high: Any, alpha: float = 0.15) -> None:
        """The area between two curves, pale behind the curve it belongs to."""
        ax.fill_between(x, low, high, color=self.colour, alpha=alpha, linewidth=0)


@final
@dataclass(frozen=True)
class Panel:
    """Part of a table that has axes of its own.

    Args:
        rows: what is drawn on them.
        title: above the axes.
        xlabel: below them, with the unit.
        ylabel: beside them, with the unit.
    """

    rows: pd.DataFrame
    title: str = ""
    xlabel: str = ""
    ylabel: str = ""


def draw_panels(
    title: str,
    note: str,
    parts: Sequence[Panel],
    plot: Callable[[Axes, pd.DataFrame], None],
    num_columns: int,
    legend: int = 4,
) -> Figure:
    """A figure with one panel per part of a table, row by row, and one legend below all of them.

    Args:
        title: as `panels`.
        note: as `panels`.
        parts: of the table, in order; places of an unfinished last row stay empty.
        plot: draws the rows of one part on its axes.
        num_columns: panels per row, at most.
        legend: entries per row of the legend; 0 draws none.
    """
    num_columns = min(num_columns, len(parts))
    figure, axes = panels(-(-len(parts) // num_columns), num_columns, title, note)
    for ax, part in zip(axes, parts, strict=False):
        plot(ax, part.rows)
        ax.set(title=part.title, xlabel=part.xlabel, ylabel=part.ylabel)
    for ax in axes[len(parts) :]:
        ax.set_visible(False)
    if legend:
        legend_below(axes, legend)
    return figure


def plot_curves(
    ax: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    styles: Mapping[str, Style],
    band: tuple[str, str] | None = None,
    **look: Any,
) -> None:
    """A curve of every method that the rows hold, in the order of the styles.

    Args:
        ax: where.
        rows: one row per method and value of `x`, in any order.
        x: column across.
        y: column upwards; empty values are passed over.
        styles: by method.
        band: columns of the lower and upper end of a band behind each curve, which is left out where one is empty.
        look: options of `Axes.plot`.
    """
    for method, style in styles.items():
        own = rows[rows["method"] == method].dropna(subset=[y]).sort_values(x)
        if own.empty:
            continue
        # One marker in seven points, or else a fine grid is a row of touching markers.
        style.plot(ax, own[x], own[y], markevery=max(1, len(own) // 7), **look)
        if band and own[[*band]].notna().all(axis=None):
            style.band(ax, own[x], own[band[0]], own[band[1]])


def log2_uses(ax: Axes, target_db: float) -> None:
    """Channel uses in powers of two across, and a line at the PSNR that is to be reached."""
    ax.axhline(target_db, color=GREY, linewidth=0.8)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, position: f"{x / 1024:g}k" if x >= 1024 else f"{x:g}")


def same_height(figure: Figure, margin: float, highest: float) -> None:
    """One height for all panels, from below the lowest to above the highest curve, so that no band sets the scale.

    Args:
        figure: with its curves drawn.
        margin: below and above.
        highest: end of the axes at most, such as what an eye can tell apart.
    """
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for ax in figure.axes for line in ax.get_lines()])
    for ax in figure.axes:
        ax.set_ylim(float(np.nanmin(drawn)) - margin, min(float(np.nanmax(drawn)) + margin, highest))


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
    # Subfigures of their own, or else the layout would shrink the axes for a long note.
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
    # Curves of one method in several panels are one entry.
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
