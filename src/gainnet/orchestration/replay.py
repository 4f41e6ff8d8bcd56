"""Associations that are already decided: what comes of them, and what every client did with its pool in every CR."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.orchestration.graph import Graph, State, graph_of
from gainnet.orchestration.regime import Regime
from gainnet.orchestration.rollout import Rollout, advance
from gainnet.orchestration.rounds import Schedule, zeros_schedule
from gainnet.orchestration.workload import Sensing, Workload
from gainnet.orchestration.world import World


def follow(world: World, regime: Regime, model: Tensor) -> Rollout:
    """What comes of associations that are given, such as those of an optimum.

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
    state = State.empty(world)
    columns: list[tuple[Tensor, Tensor, Tensor]] = []
    for cr in range(world.scenario.rounds.num_rounds):
        graph = graph_of(world, regime, cr, state)
        made, state, gain = advance(world, regime, cr, graph, model[..., cr, :])
        columns.append((made.samples, state.samples, gain))
    sensed, trained, gains = zip(*columns, strict=True)
    return Rollout(model, torch.stack(sensed, -2), torch.stack(trained, -2), torch.stack(gains, -1))


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
        sensed, sensing = graph.workload_of(model), _squeezed(graph.sensing.of_model(index))
        found.append(zeros_schedule(graph.pool, graph.spent, sensed, sensing))
        worth = graph.correlation.gather(-1, index).squeeze(-1)
        state = State(model, rollout.trained[..., cr, :], worth)
    return (*found, _consuming(graph_of(world, regime, len(found), state), state))


def _consuming(graph: Graph, state: State) -> Schedule:
    """The CR in which nothing is sensed any more."""
    zero = torch.zeros_like(state.samples)
    sensing = _squeezed(graph.sensing.of_model(state.model.unsqueeze(-1)))
    return zeros_schedule(graph.pool, graph.spent, Workload(zero, zero, graph.spent.reason), sensing)


def _squeezed(sensing: Sensing) -> Sensing:
    return Sensing(
        sensing.spectrum_hz_s_per_sample.squeeze(-1), sensing.cycles_per_sample.squeeze(-1),
        sensing.most_wireless_per_s.squeeze(-1), sensing.most_visual_per_s.squeeze(-1),
    )  # fmt: skip
