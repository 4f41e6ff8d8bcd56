"""A moment of a city that is too large for a table of all clients and all edges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.gain import CORRELATIONS, Correlation
from gainnet.orchestration.graph import Graph, State
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.resources import Pool, each, unsqueeze
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.task import Sensing, Task
from gainnet.orchestration.workload import (
    CEILINGS,
    Consumption,
    Workload,
    achievable_workload,
    consumption,
    workload_up_to,
)


@final
@dataclass(frozen=True)
class City:
    """Independent clients, each with the few models that it can hear; model m is on edge m.

        places --Reach--> candidates --bound--> gain at most --solve the best--> association

    Memory grows with clients times candidates, not with clients times edges.

    Args:
        scenario: numbers of edges, models, sensing, rounds and gain.
        regime: the gain function.
        pool: [num_clients], resources of the clients.
        candidate: [num_clients, num_slots], int64, models within reach in ascending order, -1 for none.
        cn0_down_hz: [num_clients, num_slots], received power over noise density; 0 where there is no candidate.
        cn0_up_hz: [num_clients, num_slots].
        num_wireless: [num_clients, num_domains], targets in range of wireless sensing.
        num_visual: [num_clients, num_domains], targets in sight.
        state: [num_clients], what this CR consumes; its model is among the candidates.
    """

    scenario: Scenario
    regime: Independent
    pool: Pool
    candidate: Tensor
    cn0_down_hz: Tensor
    cn0_up_hz: Tensor
    num_wireless: Tensor
    num_visual: Tensor
    state: State

    def greedy(self) -> Tensor:
        """[num_clients], int64, the model with the largest gain now, as a table of all pairs would have it.

        The gain of every candidate is bounded by what can be sensed now and consumed at all. What the ceiling, a root
        of its own, leaves of it is solved for the best bound of each client, then for every bound above that.
        """
        bound, gain = self._bounds.clone(), torch.full_like(self._bounds, -1.0)
        best, client = bound.argmax(-1), torch.arange(len(bound))
        row = client[bound[client, best] > 0]
        column = best[row]
        for _ in range(2):
            gain[row, column] = self._gain_at(row, column)
            bound[row, column] = -1.0
            # Equal ones, too: a table of all pairs has the first of the largest.
            row, column = ((bound >= gain.amax(-1, keepdim=True)) & (bound > 0)).nonzero(as_tuple=True)
        largest, slot = gain.max(-1, keepdim=True)
        # Where nothing can be gained, a table of all pairs has its first model as the largest.
        return torch.where(largest > 0, self.candidate.gather(-1, slot), 0).squeeze(-1)

    def graph(self, num_slots: int) -> tuple[Graph, Tensor]:
        """The graph that a policy looks at, with the candidates of largest bound for models, and those models.

        Args:
            num_slots: candidates that are kept per client, >= 1.

        Returns:
            The graph, with `num_slots` models, and [num_clients, num_slots], int64, the model of each, -1 for none.
        """
        kept = self._bounds.topk(min(num_slots, self._bounds.shape[-1]), sorted=False).indices.sort(-1).values

        def at(x: Tensor) -> Tensor:
            return x.gather(-1, kept)

        tasks, sensing = each(self._tasks, at), each(self._sensing, at)
        pool, correlation = unsqueeze(self.pool), at(self._correlation)
        most = CEILINGS[self.scenario.rounds.ceiling](pool, sensing, tasks)
        workload = workload_up_to(pool, unsqueeze(self._spent), sensing, most)
        graph = Graph(
            regime=self.regime, ceiling=self.scenario.rounds.ceiling,
            next_s=pool.duration_s.expand(kept.shape), moves=torch.zeros_like(kept, dtype=torch.bool),
            rounds_left=self.scenario.rounds.num_rounds,
            own_hz=self.pool.bandwidth_hz, pool=self.pool, exchange_s=tasks.least_exchange_s(pool), spent=self._spent,
            tasks=tasks, sensing=sensing, num_targets=at(self._targets_of_pairs), correlation=correlation,
            edge_of_model=torch.arange(kept.shape[-1]), num_sharing=torch.ones_like(kept), workload=workload, most=most,
            gain=correlation * self.regime.function(workload.samples),
        )  # fmt: skip
        return graph, at(self.candidate)

    @cached_property
    def _model(self) -> Tensor:
        """Any model where there is no candidate: without a link it gains nothing."""
        return self.candidate.clamp_min(0)

    @cached_property
    def _classes(self) -> tuple[Tensor, Tensor]:
        """[num_classes, num_domains], different domains of models, and [num_models], the class of each."""
        domains = torch.tensor([model.domains for model in self.scenario.models], dtype=torch.float64)
        distinct, number = domains.unique(dim=0, return_inverse=True)
        return distinct, number

    @cached_property
    def _tasks(self) -> Task:
        return self._task_of(self._model, self.cn0_down_hz, self.cn0_up_hz)

    @cached_property
    def _sensing(self) -> Sensing:
        numbers = self.scenario.sensing
        wireless, visual = (self._of_pairs(self._targets(x)) for x in (self.num_wireless, self.num_visual))
        most = math.inf if numbers.most_samples_per_target is None else numbers.most_samples_per_target
        most_per_s = most / self.scenario.rounds.duration_s
        wireless_per_s = min(numbers.wireless_samples_per_target_s, most_per_s)
        visual_per_s = min(numbers.visual_samples_per_target_s, most_per_s)
        spectrum, cycles = (
            torch.full_like(wireless, x) for x in (numbers.wireless_spectrum_hz_s, numbers.visual_cycles)
        )
        return Sensing(spectrum, cycles, wireless_per_s * wireless, visual_per_s * visual)

    @cached_property
    def _correlation(self) -> Tensor:
        numbers = self.scenario.gain
        sensed = torch.maximum(self.num_wireless, self.num_visual).unsqueeze(-2)
        # Models with the same domains are equally related to what a client senses: a few classes instead of all pairs.
        related = Correlation(CORRELATIONS[numbers.correlation], numbers.smoothing)(sensed, self._classes[0])
        return self._of_pairs(torch.where(sensed.sum(-1) > 0, related, 0.0))

    @cached_property
    def _targets_of_pairs(self) -> Tensor:
        return self._of_pairs(torch.maximum(self._targets(self.num_wireless), self._targets(self.num_visual)))

    @cached_property
    def _spent(self) -> Consumption:
        slot = (self.candidate == self.state.model.unsqueeze(-1)).long().argmax(-1, keepdim=True)
        down, up = (x.gather(-1, slot).squeeze(-1) for x in (self.cn0_down_hz, self.cn0_up_hz))
        return consumption(self.pool, self._task_of(self.state.model, down, up), self.state.samples)

    @cached_property
    def _most(self) -> Workload:
        """[num_clients, num_slots], what can be sensed now and consumed at all: the workload without a ceiling."""
        return achievable_workload(unsqueeze(self.pool), unsqueeze(self._spent), self._sensing, self._tasks)

    @cached_property
    def _bounds(self) -> Tensor:
        """[num_clients, num_slots], the gain without a ceiling, which none exceeds; -1 where there is no candidate."""
        gain = self._correlation * self.regime.function(self._most.samples)
        return gain.masked_fill(self.candidate < 0, -1.0)

    def _gain_at(self, row: Tensor, column: Tensor) -> Tensor:
        """[num_pairs], gain of pairs of a client and one of its slots."""

        def of_pair(x: Tensor) -> Tensor:
            return x[row, column]

        pool = each(self.pool, lambda x: x[row])
        sensing, tasks, most = each(self._sensing, of_pair), each(self._tasks, of_pair), each(self._most, of_pair)
        # No root is looked for above what can be sensed now: most have none below it.
        ceiling = CEILINGS[self.scenario.rounds.ceiling](pool, sensing, tasks, most.samples).samples
        return of_pair(self._correlation) * self.regime.function(torch.minimum(most.samples, ceiling))

    def _task_of(self, model: Tensor, cn0_down_hz: Tensor, cn0_up_hz: Tensor) -> Task:
        models = self.scenario.models
        bits = torch.tensor([one.num_bits for one in models], dtype=torch.float64)
        cycles = torch.tensor([one.cycles_per_sample for one in models], dtype=torch.float64)
        return Task(bits[model], cycles[model], cn0_down_hz, cn0_up_hz)

    def _targets(self, counts: Tensor) -> Tensor:
        """[num_clients, num_classes], targets of any domain of a class."""
        return counts @ (self._classes[0] > 0).double().T

    def _of_pairs(self, of_class: Tensor) -> Tensor:
        """[num_clients, num_slots] of [num_clients, num_classes]."""
        return of_class.gather(-1, self._classes[1][self._model])
