"""Figures in a style of the user's: one file decides, formats are those that were asked for, mistakes are one line."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from toy_study import TOY

from gainnet.core.errors import ConfigError
from gainnet.studies import Look
from gainnet.studies.drawing import STYLE_PATH, draw_and_save
from gainnet.studies.figures import MOST_COLUMNS, Panel, Style, draw_panels, plot_curves, with_own

ROWS = pd.DataFrame({"method": ["mine:Halves(k=2)", "linear"], "x": [1.0, 1.0], "y": [2.0, 3.0], "scale": 1.0})
OURS = {"linear": Style("linear seed", "C0")}


def drawn(look: Look, num_panels: int = 1) -> tuple[Figure, Any]:
    def plot(ax: Any, rows: pd.DataFrame) -> None:
        plot_curves(ax, rows, "x", "y", with_own(OURS, rows, ["linear"]))

    with look.applied():
        figure = draw_panels("title", "note " * 60, [Panel(ROWS, "", "x", "y")] * num_panels, plot, 9)
        figure.canvas.draw()
        line = figure.axes[0].lines[0]
        return figure, to_hex(line.get_color())


@pytest.mark.slow
def test_a_style_file_decides_size_and_colours(tmp_path: Path) -> None:
    figure, colour = drawn(Look())
    assert figure.get_figwidth() == 7.0
    assert colour == "#0072b2"
    own = tmp_path / "paper.mplstyle"
    own.write_text("figure.figsize: 3.5, 2.0\naxes.prop_cycle: cycler('color', ['ff0000', '00ff00'])\n")
    figure, colour = drawn(Look(str(own)))
    assert (figure.get_figwidth(), colour) == (3.5, "#ff0000")


@pytest.mark.parametrize(
    "num_panels", [5, pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_m8_any_number_of_panels_fits_a_column_of_a_page(num_panels: int) -> None:
    figure, _ = drawn(Look(), num_panels)
    places = [ax.get_position() for ax in figure.axes if ax.get_visible()]
    assert len({round(place.x0, 3) for place in places}) <= MOST_COLUMNS
    (legend,) = figure.legends
    lowest = min(ax.get_tightbbox().y0 for ax in figure.axes if ax.get_visible())
    note = figure.texts[-1].get_window_extent()
    # Axes above the legend, the legend above the note.
    assert lowest >= legend.get_window_extent().y1 - 1
    assert legend.get_window_extent().y0 >= note.y1 - 1
    assert note.x1 <= figure.bbox.x1


def test_a_method_of_the_users_has_a_curve_of_its_own_look() -> None:
    figure, _ = drawn(Look())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["linear seed", "Halves(k=2)"]


@pytest.mark.slow
def test_formats_are_those_that_are_asked_for_and_repeat_to_the_byte(tmp_path: Path) -> None:
    look, table = Look(formats=("pdf", "svg")), pd.DataFrame({"scale": [1.0, 2.0], "location": [0.5, 1.5]})
    first, again = (draw_and_save(TOY, table, tmp_path / name, look) for name in ("a", "b"))
    assert [path.name for path in first] == ["location.pdf", "location.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert first[0].read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("style", "says"),
    [
        ("nowhere.mplstyle", "is no file"),
        ("lines.widht: 2\n", "style: 'lines.widht' is unknown.*did you mean lines.linewidth"),
        ("lines.linewidth: broad\n", "style: .* cannot be read"),
    ],
)
def test_a_style_that_is_none_is_one_line(style: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.mplstyle"
    if not style.startswith("nowhere"):
        path.write_text(style)
    with pytest.raises(ConfigError, match=says) as error, Look(str(path)).applied():
        pass
    assert "\n" not in str(error.value)


def test_our_own_style_and_an_unknown_format() -> None:
    with Look(str(STYLE_PATH)).applied():
        pass
    with pytest.raises(ConfigError, match="format: 'gif' is unknown"):
        Look(formats=("gif",))
