"""Associations that are already decided: what comes of them, and what every client did with its pool in every CR."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.orchestration.graph import Graph, State, graph_of
from gainnet.orchestration.regime import Regime
from gainnet.orchestration.resources import of_model, squeezed
from gainnet.orchestration.rollout import Rollout, rollout_of
from gainnet.orchestration.rounds import Schedule, zeros_schedule
from gainnet.orchestration.workload import Workload
from gainnet.orchestration.world import World


def follow(world: World, regime: Regime, model: Tensor) -> Rollout:
    """The rollout of given associations, such as those of an optimum.

    Args:
        world: where they are followed.
        regime: whether clients share spectrum.
        model: [*batch, num_rounds, num_clients], int64.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import Independent, draw_world, independent_optimum, load_scenario
    >>> street = load_scenario("street")
    >>> world, regime = draw_world(street, Random.of(1)), Independent.of(street)
    >>> optimum = independent_optimum(world, regime)
    >>> bool(torch.isclose(follow(world, regime, optimum.model).gain.sum(), optimum.gain))
    True
    """
    return rollout_of(world, regime, lambda cr, graph: model[..., cr, :])


def schedules_of(world: World, regime: Regime, rollout: Rollout) -> tuple[Schedule, ...]:
    """The overlapped schedule of every CR, [*batch, num_clients] each; the last CR only consumes.

    Args:
        world: where it was played.
        regime: whether clients shared spectrum.
        rollout: what was decided and consumed there.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import Greedy, Independent, draw_world, load_scenario, play, violations
    >>> street, random = load_scenario("street"), Random.of(1)
    >>> world, regime = draw_world(street, random), Independent.of(street)
    >>> schedules = schedules_of(world, regime, play(world, regime, Greedy(), random))
    >>> len(schedules), [violations(schedule) for schedule in schedules]
    (6, [[], [], [], [], [], []])
    """
    state, found = State.empty(world), []
    for cr in range(world.scenario.rounds.num_rounds):
        graph, model = graph_of(world, regime, cr, state), rollout.model[..., cr, :]
        index = model.unsqueeze(-1)
        sensed, sensing = graph.workload_of(model), squeezed(of_model(graph.sensing, index))
        found.append(zeros_schedule(graph.pool, graph.spent, sensed, sensing))
        # The state is rebuilt from what was trained, not played again, so that no rounding can change a decision.
        worth = graph.correlation.gather(-1, index).squeeze(-1)
        state = State(model, rollout.trained[..., cr, :], worth)
    return (*found, _consuming(graph_of(world, regime, len(found), state), state))


def _consuming(graph: Graph, state: State) -> Schedule:
    """The CR in which nothing is sensed any more."""
    zero = torch.zeros_like(state.samples)
    sensing = squeezed(of_model(graph.sensing, state.model.unsqueeze(-1)))
    return zeros_schedule(graph.pool, graph.spent, Workload(zero, zero, graph.spent.reason), sensing)
