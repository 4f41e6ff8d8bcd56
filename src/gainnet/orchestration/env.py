"""Orchestration as a cooperative Markov decision process: many scenarios at once, in torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.graph import Graph, State, graph_of
from gainnet.orchestration.regime import Regime
from gainnet.orchestration.rollout import advance
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.workload import Reason
from gainnet.orchestration.world import World, draw_world

NUM_VERTEX_FEATURES = 6
"""Bandwidth, compute rate, free spectrum, free cycles, samples to consume, rounds left."""

NUM_EDGE_FEATURES = 8
"""Samples, correlation, gain, targets, exchange, training, feasible, sharing."""


@final
@dataclass(frozen=True)
class EnvState:
    """Scenarios between two decisions; it is immutable, a step makes the next one.

    Args:
        world: drawn scenarios.
        cr: number of the CR that is decided next.
        state: what that CR consumes.
        graph: its graph; `None` when there is nothing left to decide.
    """

    world: World
    cr: int
    state: State
    graph: Graph | None

    @property
    def over(self) -> bool:
        """Whether every round was decided."""
        return self.graph is None


@final
@dataclass(frozen=True)
class Environment:
    """The decision process of GainNet's section III-B: state, action and reward of every CR.

        reset --> EnvState --observe--> [*batch, num_clients, num_features]
                    |  <-- model of every client
                  step --> EnvState, reward [*batch]

    The reward of a decision is the gain of all clients on the workload that is achievable when deciding.

    Args:
        scenario: numbers of the square.
        regime: whether clients share spectrum.
    """

    scenario: Scenario
    regime: Regime

    @property
    def num_clients(self) -> int:
        return self.scenario.clients.num_clients

    @property
    def num_models(self) -> int:
        return len(self.scenario.models)

    @property
    def num_features(self) -> int:
        """Values per client: vertex features, the model it serves (one-hot), and all edge features of every model."""
        return NUM_VERTEX_FEATURES + self.num_models * (1 + NUM_EDGE_FEATURES)

    def reset(self, random: Random) -> EnvState:
        """Freshly drawn scenarios, one per random stream, before the first decision.

        >>> from gainnet.orchestration.regime import Independent
        >>> from gainnet.orchestration.scenario import load_scenario
        >>> street = load_scenario("street")
        >>> env = Environment(street, Independent.of(street))
        >>> moment = env.reset(Random.of([1, 2]))
        >>> env.observe(moment).shape
        torch.Size([2, 50, 42])
        >>> moment, reward = env.step(moment, torch.zeros(2, 50, dtype=torch.long))
        >>> reward.shape
        torch.Size([2])
        """
        world = draw_world(self.scenario, random)
        state = State.empty(world)
        return EnvState(world, 0, state, graph_of(world, self.regime, 0, state))

    def step(self, moment: EnvState, model: Tensor) -> tuple[EnvState, Tensor]:
        """The state after a decision, and its reward [*batch].

        Args:
            moment: before the decision.
            model: [*batch, num_clients], int64, model that each client serves.

        Raises:
            ConfigError: everything was decided, or the decision has a wrong shape or a model that is not there.
        """
        if moment.graph is None:
            raise ConfigError("environment: every round was decided; reset it")
        if model.shape != moment.state.model.shape or not self._are_models(model):
            raise ConfigError(
                f"environment: give a model of 0 to {self.num_models - 1} for each of {tuple(moment.state.model.shape)}"
            )
        _, state, gain = advance(moment.world, self.regime, moment.cr, moment.graph, model)
        cr = moment.cr + 1
        more = cr < self.scenario.rounds.num_rounds
        graph = graph_of(moment.world, self.regime, cr, state) if more else None
        return EnvState(moment.world, cr, state, graph), gain

    def _are_models(self, model: Tensor) -> bool:
        least, most = model.aminmax()
        return 0 <= int(least) <= int(most) < self.num_models

    def observe(self, moment: EnvState) -> Tensor:
        """[*batch, num_clients, num_features], float32 in [0, 1]; all 0 when everything was decided."""
        shape = (*moment.state.model.shape, self.num_features)
        if moment.graph is None:
            return torch.zeros(shape)
        served = torch.zeros(*moment.state.model.shape, self.num_models)
        served.scatter_(-1, moment.state.model.unsqueeze(-1), (moment.state.samples > 0).float().unsqueeze(-1))
        features = self._vertices(moment, moment.graph).float(), served, self._edges(moment.graph).float().flatten(-2)
        return torch.cat(features, -1).clamp_(0.0, 1.0)

    def _vertices(self, moment: EnvState, graph: Graph) -> Tensor:
        numbers, pool, spent = self.scenario.clients, graph.pool, graph.spent
        left = 1 - moment.cr / self.scenario.rounds.num_rounds
        return torch.stack(
            [
                pool.bandwidth_hz / numbers.bandwidth_hz[1],
                pool.cycles_per_s / numbers.cycles_per_s[1],
                1 - spent.exchange.area_hz_s / pool.spectrum_hz_s,
                1 - spent.cycles / pool.cycles,
                self._share(moment.state.samples),
                torch.full_like(pool.bandwidth_hz, left),
            ],
            -1,
        )

    def _edges(self, graph: Graph) -> Tensor:
        """[*batch, num_clients, num_models, NUM_EDGE_FEATURES]."""
        pool = graph.wide_pool
        # Times without a natural limit are mapped to x / (x + T), so that features stay in [0, 1].
        training_s = self.scenario.gain.scale_samples * graph.tasks.cycles_per_sample / pool.cycles_per_s
        return torch.stack(
            [
                self._share(graph.workload.samples),
                graph.correlation,
                graph.gain / (1 + graph.gain),
                graph.num_targets / self.scenario.targets.num_targets,
                graph.exchange_s / pool.duration_s,
                training_s / (training_s + pool.duration_s),
                (graph.workload.reason == int(Reason.FEASIBLE)).double(),
                graph.num_sharing / self.num_clients,
            ],
            -1,
        )

    def _share(self, samples: Tensor) -> Tensor:
        """Samples against the scale of the gain, in [0, 1)."""
        return samples / (samples + self.scenario.gain.scale_samples)
