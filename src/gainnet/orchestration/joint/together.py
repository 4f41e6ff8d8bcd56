"""An episode's world, asked by users: every joint policy beside the bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Final, final

import numpy as np

from gainnet.core.randomness import Random
from gainnet.orchestration.joint.bound import Best, Frontier
from gainnet.orchestration.joint.demand import Measured, as_measured, demand_of, with_requests
from gainnet.orchestration.joint.policies import JOINT_POLICIES
from gainnet.orchestration.joint.served import Served, serve
from gainnet.orchestration.joint.site import Site
from gainnet.orchestration.world import World

SHARE: Final = 0.9
"""Of the offered requests that is to be served, where no share is given."""
_MOST_BOUNDED: Final = 60
LABELS: Final[Mapping[str, str]] = {
    "online": "online (drift plus penalty)", "priority": "requests first", "static_split": "static split",
}  # fmt: skip


@final
@dataclass(frozen=True)
class Together:
    """Training and answering in one world.

    Args:
        site: edges and their demand.
        share: of the offered requests that was to be served.
        measured: of a running edge server; `None` where numbers are assumed or the scenario's.
        outcomes: by policy.
        bound: the best there is at that share; `None` without cvxpy, or with more than 60 clients.
    """

    site: Site
    share: float
    measured: Measured | None
    outcomes: Mapping[str, Served]
    bound: Best | None

    def to_json(self) -> dict[str, Any]:
        """One object of plain values; `null` where nothing fits."""
        site, demand = self.site, self.site.demand
        columns = {
            "model": (demand.model + 1).tolist(), "per_s": demand.per_s.tolist(), "cycles": demand.cycles.tolist(),
            "spectrum_hz_s": demand.spectrum_hz_s.tolist(), "slack_s": demand.slack_s.tolist(),
        }  # fmt: skip
        classes = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return {
            "offered_per_s": site.offered_per_s,
            "share": self.share,
            "is_measured": self.measured is not None,
            "classes": classes,
            "weights": site.weight.tolist(),
            "bound": None if self.bound is None else {"gain": self.bound.gain, "served_share": self.bound.served_share},
            "policies": [self._policy(name) for name in self.outcomes],
        }

    def _policy(self, name: str) -> dict[str, Any]:
        found = self.outcomes[name]
        return {
            "policy": name,
            "label": LABELS[name],
            "gain": found.gain,
            "gain_of_bound": None if self.bound is None else found.gain / self.bound.gain,
            "served_share": found.served_share,
            "decision_s": found.decision_s,
        }

    def boards(self) -> list[dict[str, Any]]:
        """Per CR, of the online policy: models that clients train, and the cells of every edge in per cent of it."""
        return [
            {
                "model": one.model.tolist(),
                "served": np.round(one.served, 3).tolist(),
                "training": _percent(one.trained, self.site),
                "requests": _percent(np.broadcast_to(one.answered[..., None], one.trained.shape), self.site),
            }
            for one in self.outcomes["online"].allocations
        ]


def _percent(cells: Any, site: Site) -> Any:
    """[2, num_edges, num_slots], nested lists of whole per cent."""
    return np.round(100 * cells * cells.shape[-1] / (site.pools * site.duration_s)[..., None]).astype(int).tolist()


def together(
    world: World,
    per_s: float,
    random: Random,
    measured: Measured | None = None,
    share: float = SHARE,
    progress: Callable[[str], None] = lambda step: None,
) -> Together:
    """Every joint policy in a world whose models are asked for, too.

    Args:
        world: one drawn scenario, without batch.
        per_s: requests per second of all models together, > 0.
        random: one stream, for users.
        measured: of a running edge server.
        share: of the offered requests that is to be served.
        progress: called with the name of every policy before it plays.

    Raises:
        ConfigError: the rate is not positive, or edges cannot hold the deadlines.
    """
    asked = replace(world, scenario=with_requests(world.scenario, per_s, measured))
    demand = demand_of(asked.scenario, random)
    site = Site.of(asked.scenario, demand if measured is None else as_measured(demand, measured))
    outcomes = {}
    for name, make in JOINT_POLICIES.items():
        progress(LABELS[name])
        outcomes[name] = serve(asked, site, make(), share)
    bound = None
    trained = max(found.gain for found in outcomes.values()) > 0
    if trained and find_spec("cvxpy") is not None and world.scenario.clients.num_clients <= _MOST_BOUNDED:
        progress("the bound")
        frontier = Frontier.of(asked.offers[: world.scenario.rounds.num_rounds], site)
        # What nobody can serve is not asked of the bound either.
        reached = max(found.served_share for found in outcomes.values())
        bound = frontier.at(min(share, reached)) or frontier.at(0.99 * min(share, reached))
    return Together(site, share, measured, outcomes, bound)
