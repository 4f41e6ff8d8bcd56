"""Panels, curves, bars and bands that all figures are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, Final, final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullFormatter

from gainnet.studies.palette import BLACK, GREY, INDIGO, MARKER_OF, OLIVE
from gainnet.studies.statistics import spread

MOST_COLUMNS: Final = 3
"""Panels beside each other in a page's column."""
OWN: Final = (
    (BLACK, "-", "X"), (INDIGO, "-", "H"), (OLIVE, "-", "p"), (BLACK, "--", "8"), (INDIGO, "--", "<"),
)  # fmt: skip
"""Colour, line and marker of curves of the user's, which no curve of ours has together."""


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
        own = {"linestyle": self.line, "color": self.colour, "marker": self.marker, "label": self.label}
        ax.plot(x, y, **{**own, **options})

    def band(self, ax: Axes, x: Any, low: Any, high: Any, alpha: float = 0.15) -> None:
        """The area between two curves, pale behind the curve it belongs to."""
        ax.fill_between(x, low, high, color=self.colour, alpha=alpha, linewidth=0)


def with_own(styles: Mapping[str, Style], rows: pd.DataFrame, known: Collection[str]) -> dict[str, Style]:
    """Styles of a study, and one for every method of the user's that the rows hold.

    Args:
        styles: by method, of those of the study that are drawn.
        rows: with a column `method`.
        known: all methods of the study, also those that are not drawn.

    >>> list(with_own({}, pd.DataFrame({"method": ["my_codec:Halves(depth=2)", "linear"]}), ["linear"]).values())
    [Style(label='Halves(depth=2)', colour='C8', line='-', marker='X')]
    >>> with_own({"bound": Style("a bound", "k", ":", "")}, pd.DataFrame({"method": ["bound"]}), [])["bound"].label
    'a bound'
    """
    own = [str(name) for name in dict.fromkeys(rows["method"]) if name not in known and name not in styles]
    return {**styles, **{name: Style(short(name), *OWN[k % len(OWN)]) for k, name in enumerate(own)}}


def short(name: str) -> str:
    """A method's name in a figure: without the module of one of the user's.

    >>> short("my_codec:Halves(depth=2)"), short("linear")
    ('Halves(depth=2)', 'linear')
    """
    return name.rpartition(":")[2]


def plain_log(axis: Axis) -> None:
    """Numbers as people write them, at 1, 2 and 5 times a power of ten, along an axis of logarithms."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


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
    height: float = 1.0,
) -> Figure:
    """A figure with one panel per part of a table, row by row, and one legend below all of them.

    Args:
        title: as `panels`.
        note: as `panels`.
        parts: of the table, in order; places of an unfinished last row stay empty.
        plot: draws the rows of one part on its axes.
        num_columns: panels per row, at most; no more than three, whose numbers can be read.
        legend: entries per row of the legend; 0 draws none.
        height: of a row, as a multiple of that of the style.
    """
    # Four panels fill two rows of two, and would leave two places of three empty.
    num_columns = min(num_columns, len(parts), 2 if len(parts) == 4 else MOST_COLUMNS)
    figure, axes = panels(-(-len(parts) // num_columns), num_columns, title, note, height)
    width_in, row_in = figure.get_figwidth() / num_columns, height * mpl.rcParams["figure.figsize"][1]
    for place, (ax, part) in enumerate(zip(axes, parts, strict=False)):
        plot(ax, part.rows)
        ax.set_title(_fitted(part.title, 0.95 * width_in, "axes.titlesize"))
        # What all panels of a row or of a column would repeat is said once, at the edge.
        if place + num_columns >= len(parts) or parts[place + num_columns].xlabel != part.xlabel:
            ax.set_xlabel(_fitted(part.xlabel, 0.72 * width_in, "axes.labelsize"))
        if place % num_columns == 0 or parts[place - 1].ylabel != part.ylabel:
            ax.set_ylabel(_fitted(part.ylabel, 0.95 * row_in, "axes.labelsize"))
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


def panels(num_rows: int, num_columns: int, title: str, note: str, height: float = 1.0) -> tuple[Figure, list[Axes]]:
    """A figure with a title above, a note below, and axes row by row.

    Its width and the height of a row are those of `figure.figsize` in the style, whatever the number of panels: a
    figure fits a page's column, and its text is not shrunk with it.

    Args:
        num_rows: rows of axes.
        num_columns: axes per row.
        title: what is seen.
        note: conventions under which the numbers hold.
        height: of a row, as a multiple of that of the style.
    """
    width_in, row_in = mpl.rcParams["figure.figsize"]
    # The letters of a title may be bold; a note has sentences alone, and no line that must begin where it does.
    title = _fitted(title, 0.88 * width_in, "figure.titlesize")
    note = _fitted(" ".join(note.split()), width_in, "xtick.labelsize")
    title_in, note_in = _height_in(title, "figure.titlesize"), _height_in(note, "xtick.labelsize")
    # One panel alone is as wide as the page, and would be flat.
    height_in = title_in + height * num_rows * row_in * (1.25 if num_columns == 1 and num_rows == 1 else 1.0) + note_in
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    size = mpl.rcParams["xtick.labelsize"]
    figure.text(0.01, 0.04 / height_in, note, fontsize=size, color="#444444", va="bottom", linespacing=1.35)
    _keep_free(figure, note_in)
    return figure, list(figure.subplots(num_rows, num_columns, squeeze=False).flat)


def legend_below(axes: list[Axes], num_columns: int) -> None:
    """One legend for all axes, each label once, between the axes and the note.

    Args:
        axes: of a figure of `panels`.
        num_columns: entries per row at most; fewer where their words would not fit.
    """
    figure, found = axes[0].figure, [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    # Curves of one method in several panels are one entry.
    handles = {label: handle for handle, label in found}
    if not handles or not isinstance(figure, Figure):
        return
    width_in, height_in = figure.get_size_inches()
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    free_in = float(engine.get()["rect"][1]) * height_in
    # Beside its words an entry has a line as wide as about six letters.
    widest_in = (max(map(len, handles)) + 6) * _letter_in("legend.fontsize")
    num_columns = max(1, min(num_columns, len(handles), int(width_in / widest_in)))
    num_rows = -(-len(handles) // num_columns)
    legend_in = 0.08 + num_rows * _line_in("legend.fontsize")
    height_in += legend_in
    figure.set_figheight(height_in)
    figure.texts[-1].set_y(0.04 / height_in)  # the note, which keeps its distance in inches
    # The margin that is kept free counts from the bottom, so that axes keep their height.
    _keep_free(figure, free_in + legend_in)
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, free_in / height_in)}
    figure.legend(list(handles.values()), list(handles), ncols=num_columns, borderaxespad=0.0, **place)


def _keep_free(figure: Figure, below_in: float) -> None:
    """Keeps a strip at the bottom of a figure free of axes."""
    share = below_in / float(figure.get_size_inches()[1])
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0.0, share, 1.0, 1.0 - share))


def _letter_in(size: str) -> float:
    """Width in inches of a letter in the size of an entry of the style; of DejaVu Sans, whose letters are wide."""
    return 0.56 * _points(size) / 72


def _line_in(size: str) -> float:
    return 1.45 * _points(size) / 72


def _points(size: str) -> float:
    # The names of entries are literals to matplotlib's types.
    return float(FontProperties(size=mpl.rcParams[size]).get_size_in_points())  # type: ignore[index]


def _height_in(text: str, size: str) -> float:
    return 0.08 + (1 + text.count("\n")) * _line_in(size)


def _fitted(text: str, width_in: float, size: str) -> str:
    """Text broken into lines of a width; breaks that it has stay, as what stands above each other belongs so."""
    letters = max(12, int(width_in / _letter_in(size)))
    return "\n".join(fill(line, letters) for line in text.split("\n"))


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
    look: dict[str, Any] = {"fmt": f"{MARKER_OF.get(colour, 'o')}-", "color": colour, "label": label}
    ax.errorbar(x, [s.mean for s in spreads], [s.error_bar for s in spreads], **look)
