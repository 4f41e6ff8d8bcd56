"""Study gairom-regimes: who wins by how much, over drawn scenarios, and whether the default may be the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.orchestration.drawing import label_of
from gainnet.orchestration.drawn import drawn_scenario
from gainnet.orchestration.learned import trained_config
from gainnet.studies.figures import Panel, draw_panels, short, with_own
from gainnet.studies.gairom_regimes.methods import methods
from gainnet.studies.gairom_regimes.question import (
    DEFAULT,
    METHODS,
    OBJECTIVES,
    WEIGHTS,
    RegimesConfig,
    cases,
)
from gainnet.studies.gairom_regimes.summary import learned_over_untrained, metric_names, pivot, shares, summarise
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, INDIGO, MARKER_OF, ORANGE, PURPLE, RED, SKY
from gainnet.studies.results import config_hash
from gainnet.studies.statistics import at, present
from gainnet.studies.study import Study

COLOURS = {
    "lookahead": BLUE, "crowd_greedy": SKY, "sequential_greedy": PURPLE, "lagrangian": BROWN, "greedy": ORANGE,
    "matching": GREEN, "mp_tsc": GREY, "sac": RED, "mappo": INDIGO, "sac_paper": BLACK,
}  # fmt: skip
SHARING = {"independent clients": 0, "clients share spectrum": 1}
TITLES = {"published": "published gain", "trained": "trained gain"}
_MARGIN = 1.001

LOWEST: Final = 0.6
"""Left end of the shares that are drawn."""


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Who wins where and by how much, what learning adds, and the spread of every policy over held-out scenarios."""
    found = shares(table)
    held_out = found[found["held_out"]]
    objectives = present(held_out, "objective", OBJECTIVES)
    note = (
        f"{held_out['scenario'].nunique()} drawn scenarios that no policy was trained in, means over the same worlds. "
        "Across: size of a model over the spectrum of a client\nand round; upwards: way of the fastest vehicle in a "
        "round. Colour: the policy with the largest gain (look-ahead where nobody has 0.1 % more);\nsize of the dot: "
        "how much more than look-ahead. Learned policies: mean over their training seeds."
    )
    parts = [
        Panel(
            own, f"{TITLES[objective]}, {title}{_learned(own)}", "model bits per Hz s of a client",
            "metres moved in a round",
        )
        for objective in objectives
        for title, odd in SHARING.items()
        for rows in [at(held_out, objective=objective)]
        for own in [rows[rows["scenario"] % 2 == odd]]
    ]  # fmt: skip
    yield "map", draw_panels("Who wins, and by how much", note, parts, _map, 2, legend=5)
    panels = [
        Panel(at(held_out, objective=o), TITLES[o], "gain over that of the best causal policy") for o in objectives
    ]
    yield (
        "shares",
        draw_panels("Every policy over held-out scenarios", note.split(". ")[0] + ".", panels, _spread, 2, 0),
    )


def _colours(rows: pd.DataFrame) -> dict[str, str]:
    """By policy, those of the user's included."""
    return COLOURS | {name: style.colour for name, style in with_own({}, rows, METHODS).items()}


def _learned(rows: pd.DataFrame) -> str:
    """A line with what learning adds; empty where nothing was learned."""
    ratio = learned_over_untrained(rows) if len(rows) else pd.Series(dtype=float)
    return f"\nbest learned over best untrained: {ratio.mean():.4f}" if len(ratio) else ""


def _map(ax: Axes, rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    gains, places = pivot(rows, "gain"), rows.groupby("scenario")[["coupling_bits_per_hz_s", "moved_m"]].first()
    over = gains.max(axis=1) / gains.get(DEFAULT, gains.max(axis=1))
    winner = pd.Series(np.where(over > _MARGIN, gains.idxmax(axis=1), DEFAULT), index=gains.index)
    for method, colour in _colours(rows).items():
        own = winner[winner == method].index
        if len(own):
            size = 14 + 2500 * (over[own] - 1).clip(0, 0.08)
            x, y = places.loc[own, "coupling_bits_per_hz_s"], places.loc[own, "moved_m"]
            ax.scatter(
                x,
                y,
                s=size,
                color=colour,
                marker=MARKER_OF[colour],
                alpha=0.7,
                label=label_of(short(method)),
            )
    ax.set_xscale("log")
    ax.set_yscale("log")


def _spread(ax: Axes, rows: pd.DataFrame) -> None:
    values = pivot(rows, "share")
    colours = _colours(rows)
    names = [str(name) for name in values.mean().sort_values().index]
    for y, name in enumerate(names):
        ax.plot(values[name], np.full(len(values), y), ".", color=colours[name], alpha=0.35)
        ax.plot(values[name].mean(), y, "o", color=colours[name])
        # A row without a dot would look like one without a measurement.
        if values[name].max() < LOWEST:
            ax.plot(LOWEST + 0.012, y, "<", color=colours[name])
            ax.text(LOWEST + 0.03, y, f"all below, mean {values[name].mean():.2f}", va="center", fontsize="small")
    ax.set_yticks(range(len(names)), [label_of(short(name)) for name in names])
    ax.set_xlim(LOWEST, 1.01)


def identity(config: RegimesConfig) -> Mapping[str, str]:
    """sha256 of the scenarios and of the learned policies."""
    drawn = [drawn_scenario(number).model_dump(mode="json") for number in config.numbers]
    found = {"scenarios": config_hash({"drawn": drawn})}
    names = [f"{WEIGHTS[name]}-{seed}" for name in config.learned for seed in config.training_seeds]
    return found | {f"policy.{name}": config_hash(dict(trained_config(name))) for name in names}


GAIROM_REGIMES = Study(
    "gairom-regimes", RegimesConfig, METHODS, metric_names(), cases, methods, identity, summarise, draw
)
