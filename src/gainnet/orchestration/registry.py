"""Policies that need no training, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from gainnet.orchestration.association import (
    BestResponse,
    CrowdGreedy,
    Greedy,
    LargestCorrelation,
    LeastLatency,
    Matching,
    MostTargets,
    Policy,
    RandomChoice,
    SequentialGreedy,
    communication_s,
    computing_s,
    sensing_s,
)
from gainnet.orchestration.lagrangian import Lagrangian
from gainnet.orchestration.lookahead import LookAhead

BASELINES: Mapping[str, Callable[..., Policy]] = {
    "ml_c": partial(LeastLatency, stages=(communication_s,)),
    "ml_cc": partial(LeastLatency, stages=(communication_s, computing_s)),
    "ml_scc": partial(LeastLatency, stages=(communication_s, computing_s, sensing_s)),
    "mp_tsc": MostTargets,
}
"""The baselines of GainNet's section IV-B by name; those that compare latencies need `num_samples`."""

POLICIES: Mapping[str, Callable[..., Policy]] = {
    **BASELINES,
    "random": RandomChoice,
    "largest_correlation": LargestCorrelation,
    "greedy": Greedy,
    "crowd_greedy": CrowdGreedy,
    "sequential_greedy": SequentialGreedy,
    "best_response": BestResponse,
    "matching": Matching,
    "lagrangian": Lagrangian,
    "lookahead": LookAhead,
}
"""Every policy that needs no training, by name."""


def policies(num_samples: float) -> Mapping[str, Policy]:
    """Every policy that needs no training, by name.

    Args:
        num_samples: samples that latencies are compared for.
    """
    return {
        name: make(num_samples=num_samples) if isinstance(make, partial) else make() for name, make in POLICIES.items()
    }
