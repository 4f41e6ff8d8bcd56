"""Study families: does a folder of the user's draw, whole and cut anywhere, as diffusers' own pipeline draws?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, Literal, final

import pandas as pd
from matplotlib.figure import Figure

from gainnet.core.randomness import Random
from gainnet.models.families import valid_pairs
from gainnet.studies.families.folders import build_folder
from gainnet.studies.families.pair import compare
from gainnet.studies.figures import legend_below, panels
from gainnet.studies.palette import BLUE, GREY, SKY
from gainnet.studies.settings import NonEmpty, Seeds
from gainnet.studies.statistics import round_metrics
from gainnet.studies.study import Case, Method, Row, Study

METHODS: Final = tuple(f"{family}.{sampler}" for family, sampler in valid_pairs())
COLUMNS: Final = ("equal_to_pipeline", "equal_at_cuts")
LABELS: Final = {"equal_to_pipeline": "whole, to the pipeline", "equal_at_cuts": "cut, to the pipeline"}
METRIC_NAMES: Final = tuple(f"{column}.{method}" for column, method in product(COLUMNS, METHODS))
TOLERANCE: Final = 1e-4
"""Largest difference of two pictures in [0, 1] that counts as equal."""


@final
@dataclass(frozen=True)
class FamiliesConfig:
    """Settings of the study families.

    Args:
        random_seeds: each draws its own weights, noise and folders.
        kinds: `plain` folders have usual settings, `odd` ones others: velocities, thresholds, third order, no squares.
        methods: family and sampler, as in `sdxl.euler`; all valid pairs.
    """

    random_seeds: Seeds
    kinds: NonEmpty[Literal["plain", "odd"]]
    methods: NonEmpty[str] = METHODS


def cases(config: FamiliesConfig) -> Iterator[Case]:
    """Every folder once per random seed."""
    for random_seed, method, kind in product(config.random_seeds, config.methods, config.kinds):
        yield Case(method, {"kind": kind}, random_seed)


def open_methods(config: FamiliesConfig) -> Mapping[str, Method]:
    """One method per pair; a folder is written, compared and removed."""

    def differences(case: Case, random: Random) -> Row:
        family, _, sampler = case.method.partition(".")
        with tempfile.TemporaryDirectory() as place:
            folder = build_folder(Path(place), family, sampler, case.text("kind"), case.random_seed)
            found = compare(folder, random_seed=1 + 2 * case.random_seed)
        return dict(zip(COLUMNS, found, strict=True))

    return dict.fromkeys(METHODS, differences)


def identity(config: FamiliesConfig) -> Mapping[str, str]:
    """None: all weights are drawn."""
    return {}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """The largest difference of every pair, over folders, random seeds and cuts."""
    largest = table.groupby("method")[list(COLUMNS)].max()
    known = {f"{column}.{method}": value for column in COLUMNS for method, value in largest[column].items()}
    return round_metrics(known, 9)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Largest difference of every pair, beside the one that counts as equal."""
    largest = table.groupby("method", sort=False)[list(COLUMNS)].max()
    note = "Folders with random weights, float32, pictures in [0, 1]; the line is where a difference would count."
    figure, (ax,) = panels(1, 1, "Does a folder draw as diffusers' own pipeline does, at every cut?", note, 1.5)
    places = range(len(largest))
    for column, colour, offset in zip(COLUMNS, (BLUE, SKY), (-0.2, 0.2), strict=True):
        # A difference of nothing has no place on an axis of powers.
        widths, heights = largest[column].clip(lower=1e-9), [place + offset for place in places]
        ax.barh(heights, widths, 0.38, color=colour, label=LABELS[column])
    ax.axvline(TOLERANCE, color=GREY, linewidth=0.8)
    ax.set_yticks(places, list(largest.index))
    ax.set(xscale="log", xlabel="largest difference")
    ax.invert_yaxis()
    legend_below([ax], 2)
    yield "families", figure


FAMILIES_STUDY = Study(
    "families", FamiliesConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
