"""Metrics of the study gairom-robustness: shares of the optimum under every limit, and what the optimum keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from gainnet.studies.gairom.question import LEARNED, REFERENCE
from gainnet.studies.gairom_robustness.question import BOARD, NAMED, NOMINAL, UNTRAINED
from gainnet.studies.statistics import round_metrics

POLICIES = (LEARNED, *UNTRAINED)
KEYS = ["scenario", "resource", "amount", "random_seed"]
PREFIX = {"street": "", "figure": "figure."}


def metric_names() -> tuple[str, ...]:
    """All metrics; those of the scenario where targets are the limit begin with `figure.`.

    >>> metric_names()[:2]
    ('sac_of_optimum.time_5', 'sac_of_optimum.bandwidth_half')
    """
    kinds = [*(f"{policy}_of_optimum" for policy in POLICIES), "optimum_kept", "sac_kept"]
    return tuple(f"{prefix}{kind}.{condition}" for prefix in PREFIX.values() for kind in kinds for condition in NAMED)


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of policies and of the optimum with two more columns, one row per world (mean over training seeds).

    `share`: gain over that of the optimum in the same world under the same limit; `kept`: gain over the gain of the
    same method in the same world without limit.
    """
    rows = table[table["method"] != BOARD].groupby(["method", *KEYS], as_index=False)["gain"].mean()
    best = rows[rows["method"] == REFERENCE].set_index(KEYS)["gain"].rename("best")
    rows = rows.join(best, on=KEYS)
    is_nominal = rows["amount"] == rows["resource"].map(NOMINAL)
    keys = ["method", "scenario", "resource", "random_seed"]
    whole = rows[is_nominal].set_index(keys)["gain"].rename("whole")
    rows = rows.join(whole, on=keys)
    curved: pd.DataFrame = rows.assign(share=rows["gain"] / rows["best"], kept=rows["gain"] / rows["whole"])
    return curved


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study: means over worlds."""
    return round_metrics(dict(_metrics(curves(table))), 5)


def _metrics(found: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    for scenario, prefix in PREFIX.items():
        for condition, (resource, amount) in NAMED.items():
            at = (found["scenario"] == scenario) & (found["resource"] == resource) & (found["amount"] == amount)
            share, kept = (found[at].groupby("method")[name].mean().to_dict() for name in ("share", "kept"))
            for policy in (name for name in POLICIES if name in share):
                yield f"{prefix}{policy}_of_optimum.{condition}", share[policy]
            for method, name in ((REFERENCE, "optimum"), (LEARNED, "sac")):
                if method in kept:
                    yield f"{prefix}{name}_kept.{condition}", kept[method]
