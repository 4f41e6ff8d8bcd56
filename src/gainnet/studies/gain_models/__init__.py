"""Study gain-models: does a gain rank policies as real training does?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.core.randomness import Random
from gainnet.orchestration import Rollout, follow, independent_optimum, pooled, trained_gain, trained_optimum
from gainnet.orchestration.lookahead import LookAhead
from gainnet.orchestration.measured import MEASURED, load_measured
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.rollout import play
from gainnet.studies.figures import Panel, draw_panels
from gainnet.studies.gain_models.fitting import published_values
from gainnet.studies.gain_models.question import (
    GAINS,
    METHODS,
    OPTIMUM,
    POLICIES,
    POOLED,
    TRAINED_OPTIMUM,
    GainModelsConfig,
    cases,
)
from gainnet.studies.gain_models.rounds import path_of, refitted_gain
from gainnet.studies.gairom.arena import Arena, arena, by_name, scenario_of_regime
from gainnet.studies.gairom_learning.digits import load_digits
from gainnet.studies.own import Guarded, own
from gainnet.studies.palette import BLUE, GREEN, GREY, RED
from gainnet.studies.results import config_hash
from gainnet.studies.statistics import round_metrics, spread
from gainnet.studies.study import Case, Method, Row, Study

TRUTHS = {"fall": "", "accuracy": ".accuracy"}
"""Columns of the true improvement: fall of the held-out loss, and accuracy."""

RIVALS = {"published": "published_fitted", "published_unfitted": "published", "trained": "trained"}
"""Gains that the measured one is compared with; the published one has scale and exponent fitted on the same data."""

COLOURS = dict(zip(GAINS, (GREY, BLUE, GREEN, RED), strict=True))
METRIC_NAMES = (
    *(f"rank_correlation.{gain}{kind}{end}" for kind in TRUTHS.values() for gain in GAINS
      for end in ("", ".half_width")),
    *(f"{regime}.rank_correlation.{gain}" for regime in ("independent", "contention") for gain in GAINS),
    *(f"measured_minus_{rival}{kind}.{end}" for kind in TRUTHS.values() for rival in RIVALS
      for end in ("mean", "low", "high")),
)  # fmt: skip


def open_methods(config: GainModelsConfig) -> Mapping[str, Method]:
    """The methods, with digits and both fits loaded."""
    train, test = load_digits(4)
    held_out, measured, fitted = test.every_second(1), load_measured(), published_values()
    labels = train.label_shares()

    def run(case: Case, random: Random) -> Row:
        regime = case.text("regime")
        here = arena(scenario_of_regime(regime), regime, case.random_seed)
        world, rollout = here.world, _rollout(here, case.method)
        path = path_of(world, rollout, train, held_out, config, random.child("learning"))
        own = fitted[regime]
        return {
            "fall": path.fall,
            "accuracy": float(path.accuracy.mean()),
            "published": float(rollout.gain.sum()),
            "published_fitted": refitted_gain(world, here.regime, rollout, own["scale"], own["exponent"]),
            "trained": float(trained_gain(world, here.regime, rollout).sum()),
            "measured": float(measured.of_rollout(world, rollout, labels).sum()),
        }

    users: dict[str, Method] = {name: Guarded(name, run) for name in own(config.methods, METHODS)}
    return {**dict.fromkeys(METHODS, run), **users}


def _rollout(here: Arena, method: str) -> Rollout:
    world, regime = here.world, here.regime
    if method in POLICIES or method not in METHODS:
        return here.play(by_name(method, world.scenario, regime.name))[0]
    assert isinstance(regime, Independent)
    if method == POOLED:
        return play(world, pooled(world.scenario, regime), LookAhead(), here.random)
    if method == TRAINED_OPTIMUM:
        return follow(world, regime, trained_optimum(world, regime).model)
    assert method == OPTIMUM
    return follow(world, regime, independent_optimum(world, regime).model)


def rank_correlations(table: pd.DataFrame, truth: str) -> pd.DataFrame:
    """Spearman's rank correlation over policies of every gain with the truth, one row per regime and world."""
    # Ranks within a world, because worlds differ in what can be gained at all.
    rows = [
        {"regime": regime, "random_seed": seed, **{g: own[g].corr(own[truth], method="spearman") for g in GAINS}}
        for (regime, seed), own in table.groupby(["regime", "random_seed"])
        if len(own) >= 3
    ]
    return pd.DataFrame(rows, columns=["regime", "random_seed", *GAINS]).dropna()


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study: means over worlds with 95 % Student intervals, differences paired by world."""
    metrics: dict[str, float | None] = {}
    for truth, kind in TRUTHS.items():
        rhos = rank_correlations(table, truth)
        if rhos.empty:
            continue
        for gain in GAINS:
            own = spread(rhos[gain])
            metrics |= {f"rank_correlation.{gain}{kind}": own.mean}
            metrics |= {f"rank_correlation.{gain}{kind}.half_width": own.half_width}
        for name, rival in RIVALS.items():
            metrics |= _difference(rhos["measured"] - rhos[rival], f"measured_minus_{name}{kind}")
        if truth == "fall":
            for regime, own_rows in rhos.groupby("regime"):
                metrics |= {f"{regime}.rank_correlation.{gain}": float(own_rows[gain].mean()) for gain in GAINS}
    return round_metrics({name: value for name, value in metrics.items() if name in METRIC_NAMES}, 5)


def _difference(values: pd.Series[float], name: str) -> dict[str, float | None]:
    found = spread(values)
    low, high = found.interval or (None, None)
    return {f"{name}.mean": found.mean, f"{name}.low": low, f"{name}.high": high}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Rank correlations of every gain, a dot per world."""
    titles = {"fall": "with the fall of the held-out loss", "accuracy": "with the accuracy"}
    note = (
        "Small classifiers of digits are trained by federated averaging on what each policy's clients consume. "
        f"{table['random_seed'].nunique()} worlds that no gain was fitted in;\nSpearman's rank correlation over "
        f"{table['method'].nunique()} policies within a world; bars: 95 % Student interval over worlds and regimes."
    )
    parts = [Panel(rank_correlations(table, truth), title, "", "rank correlation") for truth, title in titles.items()]
    yield "rank_correlations", draw_panels("Which gain says who trains well?", note, parts, _dots, 2, 0)


def _dots(ax: Axes, rhos: pd.DataFrame) -> None:
    for x, gain in enumerate(GAINS):
        own = spread(rhos[gain])
        ax.plot([x - 0.12] * len(rhos), rhos[gain], ".", color=COLOURS[gain], alpha=0.35)
        ax.errorbar(x + 0.1, own.mean, yerr=own.error_bar, fmt="o", color=COLOURS[gain], capsize=3)
        ax.annotate(f"{own.mean:.2f}", (x + 0.18, own.mean), fontsize="small")
    ax.set_xticks(range(len(GAINS)), [gain.replace("_", "\n") for gain in GAINS])


def identity(config: GainModelsConfig) -> Mapping[str, str]:
    """sha256 of the fits and of the scenarios."""
    found = {"measured": config_hash(json.loads(MEASURED.read_text(encoding="utf-8")))}
    played = {name: scenario_of_regime(name).model_dump(mode="json") for name in config.regimes}
    return found | {f"scenario.{name}": config_hash(fields) for name, fields in played.items()}


GAIN_MODELS = Study(
    "gain-models", GainModelsConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
