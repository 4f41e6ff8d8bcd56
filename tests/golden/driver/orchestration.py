"""Every policy of orchestration in a small world."""

from __future__ import annotations

from typing import Any

from gainnet.catalog.orchestration import policy_of
from gainnet.core.randomness import Random
from gainnet.orchestration import REGIMES, draw_world, load_scenario, play
from gainnet.orchestration.episode import resize
from gainnet.orchestration.reference import reference_of
from golden.driver.values import of_tensor, plain


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Who served which model in every round, what was sensed and trained, and the gain.

    Args:
        case: `policy`, `scenario`, `regime`, `num_clients`, `num_rounds`; `reference` where the optimum is wanted, too.
    """
    scenario = resize(load_scenario(case["scenario"]), case["regime"], case["num_clients"], case["num_rounds"])
    regime = REGIMES[case["regime"]].of(scenario)
    world = draw_world(scenario, Random.of(case.get("random_seed", 0)))
    policy = policy_of(case["policy"], scenario, case["regime"])
    found = play(world, regime, policy, Random.of(case.get("random_seed", 0)).child(case["policy"]))
    reference = reference_of(world, regime) if case.get("reference") else None
    return {
        "model": found.model.tolist(),
        "sensed": of_tensor(found.sensed),
        "trained": of_tensor(found.trained),
        "gain": plain(found.gain.tolist()),
        "reference": None if reference is None else plain(reference.total),
    }
