"""A policy played through the rounds of a world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Association, Policy
from gainnet.orchestration.graph import Graph, State, consumed, graph_of, hand_over_of, interrupted_in
from gainnet.orchestration.regime import Regime
from gainnet.orchestration.resources import of_model, squeeze
from gainnet.orchestration.rounds import Schedule, zeros_schedule
from gainnet.orchestration.workload import Workload
from gainnet.orchestration.world import World


@final
@dataclass(frozen=True)
class Rollout:
    """Decisions of a policy, and their outcome.

    Args:
        model: [*batch, num_rounds, num_clients], int64, associations.
        sensed: [*batch, num_rounds, num_clients], samples generated in CR r.
        trained: [*batch, num_rounds, num_clients], samples of those that CR r + 1 consumed.
        gain: [*batch, num_rounds], total gain of each round, on what is sensed.
    """

    model: Tensor
    sensed: Tensor
    trained: Tensor
    gain: Tensor

    @property
    def consumed_share(self) -> Tensor:
        """[*batch], samples trained per sample sensed; less than 1 where reception decreased after the decision."""
        sensed = self.sensed.sum((-1, -2))
        return torch.where(sensed > 0, self.trained.sum((-1, -2)) / sensed, 1.0)


def advance(world: World, regime: Regime, cr: int, graph: Graph, model: Tensor) -> tuple[State, State, Tensor]:
    """One round: what is sensed in this CR, what the next can consume of it, and the gain, [*batch].

    The gain is that of the achievable workload when deciding (the edge feature of GainNet, section III-B). Reception
    may decrease until the next CR; what can then not be consumed is dropped from the state, not from the gain.

    Args:
        world: drawn scenarios.
        regime: whether clients share spectrum.
        cr: the CR that `graph` is of.
        graph: its graph.
        model: [*batch, num_clients], int64, the association.
    """
    worth = graph.correlation.gather(-1, model.unsqueeze(-1)).squeeze(-1)
    moved = graph.moves.gather(-1, model.unsqueeze(-1)).squeeze(-1)
    interrupted = interrupted_in(world, cr + 1, moved)
    sensed = State(model, graph.workload_of(model).samples, worth, interrupted)
    left = consumed(world, regime, cr + 1, sensed)
    gain = regime.total(sensed.worth, sensed.samples, sensed.model)
    if interrupted is not None:
        gain = gain - hand_over_of(world).cost * interrupted.sum(-1)
    return sensed, left, gain


def play(world: World, regime: Regime, policy: Policy, random: Random) -> Rollout:
    """Every round of a world, decided by a policy that knows the present alone.

    >>> from gainnet.orchestration.association import Greedy
    >>> from gainnet.orchestration.regime import Independent
    >>> from gainnet.orchestration.scenario import load_scenario
    >>> from gainnet.orchestration.world import draw_world
    >>> street, random = load_scenario("street"), Random.of([1])
    >>> play(draw_world(street, random), Independent.of(street), Greedy(), random).gain.shape
    torch.Size([1, 5])
    """
    return rollout_of(world, regime, lambda cr, graph: _decided(policy, graph, random.child("round", cr)))


def _decided(policy: Policy, graph: Graph, random: Random) -> Tensor:
    """The decision, checked: a model that does not exist would be an error about an index, far from the policy."""
    found = policy(graph, random)
    clients, num_models = graph.exchange_s.shape[:-1], graph.exchange_s.shape[-1]
    if not isinstance(found, Association) or not _fits(found.model, clients, num_models):
        wanted = f"an Association of {clients[-1]} models, each 0 to {num_models - 1}"
        raise ConfigError(f"policy: it must return {wanted}; see 'Plugging in' in the docs")
    return found.model


def _fits(model: Tensor, clients: torch.Size, num_models: int) -> bool:
    if model.shape != clients or model.is_floating_point():
        return False
    return bool(((model >= 0) & (model < num_models)).all())


def rollout_of(world: World, regime: Regime, decide: Callable[[int, Graph], Tensor]) -> Rollout:
    """Every round of a world.

    Args:
        world: drawn scenarios.
        regime: whether clients share spectrum.
        decide: (number of the CR, its graph) -> [*batch, num_clients], int64, model that each client serves.
    """
    state, rows = State.empty(world), []
    for cr in range(world.scenario.rounds.num_rounds):
        graph = graph_of(world, regime, cr, state)
        model = decide(cr, graph)
        sensed, state, gain = advance(world, regime, cr, graph, model)
        rows.append((model, sensed.samples, state.samples, gain.unsqueeze(-1)))
    model, sensed_samples, trained, gains = (torch.stack(column, -2) for column in zip(*rows, strict=True))
    return Rollout(model, sensed_samples, trained, gains.squeeze(-1))


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


def hand_overs(world: World, rollout: Rollout) -> Tensor:
    """[*batch], int64, how often a client began a CR on another edge than before, with samples to consume there.

    Args:
        world: where it was played.
        rollout: what was decided.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import Greedy, Independent, draw_world, load_scenario
    >>> street, random = load_scenario("street"), Random.of(1)
    >>> world = draw_world(street, random)
    >>> int(hand_overs(world, play(world, Independent.of(street), Greedy(), random)))
    83
    """
    if world.scenario.radio.association == "cell_free":
        return torch.zeros(world.batch, dtype=torch.long)
    if world.scenario.radio.association == "nearest":
        before, now = world.serving[..., :-1, :], world.serving[..., 1:, :]
        return ((before != now) & (before >= 0) & (now >= 0)).sum((-1, -2))
    edge = world.edge_of_model[rollout.model]
    changes = edge[..., 1:, :] != edge[..., :-1, :]
    return (changes & (rollout.trained[..., :-1, :] > 0)).sum((-1, -2))


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
        sensed, sensing = graph.workload_of(model), squeeze(of_model(graph.sensing, index))
        found.append(zeros_schedule(graph.pool, graph.spent, sensed, sensing))
        # The state is rebuilt from what was trained, not played again, so that no rounding can change a decision.
        worth = graph.correlation.gather(-1, index).squeeze(-1)
        moved = graph.moves.gather(-1, index).squeeze(-1)
        state = State(model, rollout.trained[..., cr, :], worth, interrupted_in(world, cr + 1, moved))
    return (*found, _consuming(graph_of(world, regime, len(found), state), state))


def _consuming(graph: Graph, state: State) -> Schedule:
    """The CR in which nothing is sensed any more."""
    zero = torch.zeros_like(state.samples)
    sensing = squeeze(of_model(graph.sensing, state.model.unsqueeze(-1)))
    return zeros_schedule(graph.pool, graph.spent, Workload(zero, zero, graph.spent.reason), sensing)
