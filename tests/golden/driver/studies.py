"""Single rows of quick studies, computed anew."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gainnet.core.randomness import Random
from gainnet.studies import find_study
from gainnet.studies.presets import load_config
from golden.driver.values import plain


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Columns and metrics of some cases, without measured times.

    Args:
        case: `study`, and `rows`, the places of the cases in the quick table.
    """
    cases, methods = _opened(case["study"])
    found = []
    for index in case["rows"]:
        one = cases[index]
        row = methods[one.method](one, Random.of(one.random_seed))
        metrics = {key: plain(value) for key, value in row.items() if not key.startswith("measured_")}
        found.append({**plain(one.columns), **metrics})
    return {"num_cases": len(cases), "rows": found}


LATER = (
    "attacks", "accounting", "private_step.toy", "private_step.gpt2", "fedavg_round",
    "alike.skip_cloud", "alike.fedavg", "differ.loop", "differ.skip_cloud", "differ.fedavg", "differ.joint",
    "few_shot", "reader", "late.loop", "late.skip_cloud", "late.fedavg", "late.joint", "memory.toy",
    "transform", "transform_prompt_denoised", "power", "overlap",
)  # fmt: skip
"""Methods that the first code did not have."""

LATER_OF = {"seed-coding": ("device_only",)}
"""Likewise, of a study whose method another one has had from the beginning."""

LATER_CONTENT = "unseen"
"""Pictures that it did not send."""


@lru_cache(maxsize=1)
def _opened(name: str) -> tuple[list[Any], Any]:
    study = find_study(name)
    config = load_config(study, "quick")
    later = (*LATER, *LATER_OF.get(name, ()))
    known = (case for case in study.cases(config) if case.method not in later)
    return [case for case in known if case.values.get("content") != LATER_CONTENT], study.open(config)
