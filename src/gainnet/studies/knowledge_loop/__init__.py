"""Study knowledge-loop: does knowledge go round between cloud, edges and devices, cycle after cycle?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.figures import legend_below, panels
from gainnet.studies.knowledge_loop.methods import open_methods
from gainnet.studies.knowledge_loop.question import (
    ARMS,
    DOMAINS,
    LATE_METRICS,
    METHODS,
    METRIC_NAMES,
    REGIMES,
    KnowledgeLoopConfig,
    cases,
)
from gainnet.studies.palette import BLUE, GREEN, GREY, ORANGE, PURPLE
from gainnet.studies.statistics import at, round_metrics
from gainnet.studies.study import Study
from gainnet.studies.weights import language_digest

_LABELS = {"joint": "joint training on all text", "cross_domain_fedavg": "FedAvg over all fields"}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Shares and gaps, averaged over random seeds; a gap is excess loss over the untuned model's excess."""
    means, found = table.groupby("method").mean(numeric_only=True), dict[str, float | None]()
    if "loop" not in means.index:
        return found
    loop: Any = means.loc["loop"]
    last = _num_cycles(table)
    # Two standard errors: such a fall comes by chance about once in 40 texts.
    found["cloud_loss_fell_share"] = (at(table, method="loop").filter(like="fell_by_errors") > 2.0).to_numpy().mean()
    for rounds, name in LATE_METRICS.items():
        found[name] = loop[f"late.from_cloud.{rounds}.loss"] - loop[f"late.from_foundation.{rounds}.loss"]
    if "joint" in means.index:
        gap_of = partial(_gap, means.loc["joint"])
        found |= {f"{place}_gap_to_joint": gap_of(loop, f"{place}_{last}") for place in ("cloud", "edge")}
        if "cross_domain_fedavg" in means.index:
            found["fedavg_gap_to_joint"] = gap_of(means.loc["cross_domain_fedavg"], "cloud_1")
    return round_metrics(found | regime_losses(table), 6)


def regime_losses(table: pd.DataFrame) -> dict[str, float]:
    """Mean loss of the edges per regime and arm, and what going by way of the cloud changes, over the same seeds."""
    found = dict[str, float]()
    # Regimes have fewer random seeds than the loop: means over other seeds would compare other texts.
    seeds = set(table.loc[table["method"] == "alike.skip_cloud", "random_seed"])
    rows = table[table["random_seed"].isin(seeds)]
    for regime in REGIMES:
        column = "loss_everywhere" if regime == "differ_everywhere" else "loss"
        for arm in ARMS:
            some = at(rows, method=_method_of(regime, arm))
            if len(some) and column in some and some[column].notna().all():
                found[f"loss.{regime}.{arm}"] = float(some[column].mean())
        both = [_method_of(regime, arm) for arm in ("loop", "skip_cloud")]
        losses = [found.get(f"loss.{regime}.{arm}") for arm in ("loop", "skip_cloud")]
        # An arm that trained on fewer samples is no better or worse for it.
        is_fair = not any(at(rows, method=method).get("is_shorter", pd.Series(dtype=bool)).any() for method in both)
        if losses[0] is not None and losses[1] is not None and is_fair:
            found[f"loss.{regime}.loop_minus_skip_cloud"] = losses[0] - losses[1]
    return found


def _method_of(regime: str, arm: str) -> str:
    """The method whose rows hold an arm of a regime."""
    if regime == "alike" and arm in ("loop", "joint"):
        return arm
    return f"{regime.removesuffix('_everywhere')}.{arm}"


def _gap(joint: Any, of: Any, label: str) -> float:
    """Excess loss over joint training, as a share of the untuned model's excess; both summed over the domains."""
    excess = sum(of[f"{label}.{d}.loss"] - joint[f"cloud_1.{d}.loss"] for d in DOMAINS)
    untuned = sum(joint[f"cloud_0.{d}.loss"] - joint[f"cloud_1.{d}.loss"] for d in DOMAINS)
    return float(excess / untuned)


def _num_cycles(table: pd.DataFrame) -> int:
    return max(int(c.split(".")[0].removeprefix("edge_")) for c in table.columns if c.startswith("edge_"))


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Loss of cloud and edges per cycle in every domain, beside joint training and FedAvg."""
    if "loop" not in set(table["method"]):
        return
    means: Any = table.groupby("method").mean(numeric_only=True)
    last = _num_cycles(table)
    note = (
        f"means of {table['random_seed'].nunique()} random seeds; every method trains on as many rows; unseen abstracts"
    )
    figure, axes = panels(1, len(DOMAINS), "Knowledge goes round: loss per cycle", note)
    for ax, domain in zip(axes, DOMAINS, strict=True):
        loop = means.loc["loop"]
        cloud = [loop[f"cloud_{c}.{domain}.loss"] for c in range(last + 1)]
        ax.plot(range(last + 1), cloud, "o-", color=BLUE, label="cloud")
        edges = [loop[f"edge_{c}.{domain}.loss"] for c in range(1, last + 1)]
        ax.plot(range(1, last + 1), edges, "s--", color=GREEN, label="edge of this domain")
        for method, colour, line in (("joint", ORANGE, "-"), ("cross_domain_fedavg", PURPLE, "-.")):
            if method in means.index:
                limit = means[f"cloud_1.{domain}.loss"][method]
                ax.axhline(limit, color=colour, linestyle=line, label=_LABELS[method])
        ax.axhline(cloud[0], color=GREY, linewidth=0.8, linestyle=":", label="untuned cloud")
        # Between two cycles there is nothing.
        ax.set(title=domain, xlabel="cycle", xticks=range(last + 1))
    axes[0].set_ylabel("loss in nats per token")
    legend_below(axes, 5)
    yield "knowledge_loop", figure


def current(table: dict[str, Any]) -> dict[str, Any]:
    """Settings of runs from before the regimes, whose cases do not read these."""
    return {"foundation_steps": 500, "foundation_rate": 3e-3, "late_texts": 40, "late_rounds": 2} | table


def identity(config: KnowledgeLoopConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return language_digest(config.model)


KNOWLEDGE_LOOP: Study[Any] = Study(
    "knowledge-loop",
    KnowledgeLoopConfig,
    METHODS,
    METRIC_NAMES,
    cases,
    open_methods,
    identity,
    summarise,
    draw,
    current=current,
)
