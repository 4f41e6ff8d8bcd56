"""Cases, metrics and figure of the study language-families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final, final

import pandas as pd
from matplotlib.figure import Figure

from gainnet.catalog.learning import cut_of
from gainnet.core.randomness import Random
from gainnet.studies.figures import legend_below, panels
from gainnet.studies.language_families.models import ARCHITECTURES, BLOCKS, Kind, build_model
from gainnet.studies.language_families.pair import compare
from gainnet.studies.palette import BLUE, GREY, SKY
from gainnet.studies.settings import NonEmpty, Seeds
from gainnet.studies.statistics import round_metrics
from gainnet.studies.study import Case, Method, Row, Study

METHODS: Final = tuple(ARCHITECTURES)
CUTS: Final = tuple(f"{side}+{k}" if k else side for side in ("embedding_only", "u_shape") for k in range(BLOCKS))
"""Every cut of a model of three blocks."""
METRIC_NAMES: Final = (*(f"equal.{method}" for method in METHODS), "num_compared")
TOLERANCE: Final = 1e-6


@final
@dataclass(frozen=True)
class LanguageFamiliesConfig:
    """Settings of the study language-families.

    Args:
        random_seeds: each draws weights, rows and masks of its own.
        kinds: `plain` models have usual settings, `odd` ones others.
        cuts: as the command line takes them.
        methods: architectures.
    """

    random_seeds: Seeds
    kinds: NonEmpty[Kind]
    cuts: NonEmpty[str] = CUTS
    methods: NonEmpty[str] = METHODS


def cases(config: LanguageFamiliesConfig) -> Iterator[Case]:
    """Every architecture, kind and cut once per random seed."""
    for random_seed, method, kind, cut in product(config.random_seeds, config.methods, config.kinds, config.cuts):
        yield Case(method, {"kind": kind, "cut": cut}, random_seed)


def open_methods(config: LanguageFamiliesConfig) -> Mapping[str, Method]:
    """One method per architecture: a model is built, cut, and compared with itself."""

    def differences(case: Case, random: Random) -> Row:
        kind: Kind = "odd" if case.text("kind") == "odd" else "plain"
        found = compare(build_model(case.method, kind, case.random_seed), cut_of(case.text("cut")), random)
        return found._asdict()

    return dict.fromkeys(METHODS, differences)


def identity(config: LanguageFamiliesConfig) -> Mapping[str, str]:
    """None: all weights are drawn."""
    return {}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """The largest difference of logits or gradients per architecture, over kinds, cuts and random seeds."""
    largest = table.groupby("method")[["logits", "gradients"]].max().max(axis=1)
    known = {f"equal.{method}": float(value) for method, value in largest.items()}
    return round_metrics(known, 10) | {"num_compared": len(table)}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Largest differences per architecture, beside the one that counts as equal."""
    largest = table.groupby("method", sort=False)[["logits", "gradients"]].max()
    note = (
        "Random weights of the architecture, three blocks, float32, dropout 0.1 with the same keyed masks, eager "
        "attention;\nthe line is where a difference would count."
    )
    figure, (ax,) = panels(1, 1, "Is a model that is cut anywhere the model that is not cut?", note)
    places = range(len(largest))
    for column, colour, offset in zip(("logits", "gradients"), (BLUE, SKY), (-0.2, 0.2), strict=True):
        # A difference of nothing has no place on an axis of powers.
        widths, heights = largest[column].clip(lower=1e-9), [place + offset for place in places]
        ax.barh(heights, widths, 0.38, color=colour, label=column)
    ax.axvline(TOLERANCE, color=GREY, linewidth=0.8)
    ax.set_yticks(places, list(largest.index))
    ax.set(xscale="log", xlabel="largest difference")
    ax.invert_yaxis()
    legend_below([ax], 2)
    yield "language_families", figure


LANGUAGE_FAMILIES_STUDY = Study(
    "language-families", LanguageFamiliesConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
