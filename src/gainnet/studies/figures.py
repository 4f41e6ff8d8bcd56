"""One look for all figures: fonts one can read, colours that colour-blind readers can tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BROWN, GREY, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#8C564B",
    "#777777",
    "#000000",
)
"""Okabe and Ito's palette (2008), with a brown and a grey."""


def panels(num_rows: int, num_columns: int, title: str, note: str) -> tuple[Figure, list[Axes]]:
    """A figure with a title above, a note below, and axes row by row.

    Args:
        num_rows: rows of axes.
        num_columns: axes per row.
        title: what is seen, one or two lines.
        note: conventions under which the numbers hold.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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
    handle_of_label = {label: handle for handle, label in found}
    axes[0].figure.legend(
        list(handle_of_label.values()),
        list(handle_of_label),
        loc="outside lower center",
        ncols=num_columns,
        frameon=False,
        fontsize=10,
    )
