"""Curves of a figure differ by line or marker, pieces of a board by hatching: they are told apart in grey."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from gainnet import studies
from gainnet.orchestration.board import COLOURS, look_of
from gainnet.studies.figures import Style
from gainnet.studies.gairom_scale import GAIROM_SCALE
from gainnet.studies.results import RunFolder
from gainnet.studies.seed_coding import SEED_CODING
from gainnet.studies.study import Study

RESULTS = Path(__file__).parents[2] / "results"
MODULES = sorted(module.name for module in pkgutil.walk_packages(studies.__path__, "gainnet.studies."))


def first_figure(study: Study[Any]) -> Figure:
    """The first figure of the published run, drawn from its table."""
    run = next((RESULTS / study.name).iterdir())
    return next(iter(study.draw(RunFolder(run).read_table())))[1]


def looks(figure: Figure) -> list[tuple[object, object]]:
    """Line and marker of every curve with a name, those with error bars too."""
    handles, _ = figure.axes[0].get_legend_handles_labels()
    lines = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
    return [(line.get_linestyle(), line.get_marker()) for line in lines]


def test_no_two_styles_of_a_study_differ_by_colour_alone() -> None:
    tables = [
        table for name in MODULES for table in vars(importlib.import_module(name)).values() if isinstance(table, dict)
    ]
    styled = [table for table in tables if table and all(isinstance(style, Style) for style in table.values())]
    assert len(styled) >= 8
    for table in styled:
        assert len({(style.line, style.marker) for style in table.values()}) == len(table), list(table)


def test_curves_over_the_number_of_clients_have_markers_of_their_own() -> None:
    found = looks(first_figure(GAIROM_SCALE))
    assert len(found) >= 4
    assert len({marker for _, marker in found}) == len(found)


@pytest.mark.slow
def test_seeds_over_snr_have_at_most_seven_curves_a_panel() -> None:
    panels = [len(ax.get_lines()) for ax in first_figure(SEED_CODING).axes if ax.has_data()]
    assert len(panels) == 6
    assert max(panels) <= 7


def test_activities_on_a_board_have_hatching_of_their_own() -> None:
    assert len({look_of(activity)["hatch"] for activity in COLOURS}) == len(COLOURS)
