"""The offer of a round to every client, whatever was decided before: models, and targets to sense for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.gain import CORRELATIONS, Correlation
from gainnet.orchestration.resources import Pool
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.task import Sensing, Task
from gainnet.orchestration.workload import CEILINGS, Workload


@final
@dataclass(frozen=True)
class Offer:
    """One CR before anybody decides; whatever is read of it is computed once, however many policies play there.

    Args:
        scenario: numbers of the square.
        pool: [*batch, num_clients, 1], resources of clients that share no edge.
        cn0_down_hz: [*batch, num_clients, num_edges], received power over noise density.
        cn0_up_hz: [*batch, num_clients, num_edges].
        num_wireless: [*batch, num_clients, num_domains], targets in range of wireless sensing.
        num_visual: [*batch, num_clients, num_domains], targets in sight.
    """

    scenario: Scenario
    pool: Pool
    cn0_down_hz: Tensor
    cn0_up_hz: Tensor
    num_wireless: Tensor
    num_visual: Tensor

    @cached_property
    def tasks(self) -> Task:
        """Every model as every client meets it, [*batch, num_clients, num_models]."""
        models = self.scenario.models
        edges = torch.tensor([model.edge for model in models])
        down, up = (x[..., edges] for x in (self.cn0_down_hz, self.cn0_up_hz))
        bits = torch.tensor([model.num_bits for model in models], dtype=torch.float64)
        cycles = torch.tensor([model.cycles_per_sample for model in models], dtype=torch.float64)
        return Task(bits.expand_as(down), cycles.expand_as(down), down, up)

    @cached_property
    def sensing(self) -> Sensing:
        """Costs of samples for every model to every client, [*batch, num_clients, num_models]."""
        numbers = self.scenario.sensing
        most = math.inf if numbers.most_samples_per_target is None else numbers.most_samples_per_target
        # A target has only so many samples that differ in a CR, however fast it is sensed.
        most_per_s = most / self.scenario.rounds.duration_s
        wireless = min(numbers.wireless_samples_per_target_s, most_per_s) * self._targets(self.num_wireless)
        visual = min(numbers.visual_samples_per_target_s, most_per_s) * self._targets(self.num_visual)
        spectrum, cycles = (
            torch.full_like(wireless, x) for x in (numbers.wireless_spectrum_hz_s, numbers.visual_cycles)
        )
        return Sensing(spectrum, cycles, wireless, visual)

    @cached_property
    def num_targets(self) -> Tensor:
        """[*batch, num_clients, num_models], targets of the model's domains; one in range of both sensors is one."""
        return torch.maximum(self._targets(self.num_wireless), self._targets(self.num_visual))

    @cached_property
    def correlation(self) -> Tensor:
        """[*batch, num_clients, num_models], how related what a client senses is to each model; 0 without targets."""
        numbers = self.scenario.gain
        sensed = torch.maximum(self.num_wireless, self.num_visual).unsqueeze(-2)
        related = Correlation(CORRELATIONS[numbers.correlation], numbers.smoothing)(sensed, self._domains)
        return torch.where(sensed.sum(-1) > 0, related, 0.0)

    @cached_property
    def exchange_s(self) -> Tensor:
        """[*batch, num_clients, num_models], least time of download and upload on the client's own band."""
        return self.tasks.least_exchange_s(self.pool)

    @cached_property
    def most_samples(self) -> Tensor:
        """[*batch, num_clients, num_models], samples that this CR can consume on the client's own band."""
        return self.tasks.most_samples(self.pool)

    @cached_property
    def ceiling(self) -> Workload:
        """[*batch, num_clients, num_models], bound on the samples of a round on the client's own band."""
        return CEILINGS[self.scenario.rounds.ceiling](self.pool, self.sensing, self.tasks)

    @cached_property
    def _domains(self) -> Tensor:
        return torch.tensor([model.domains for model in self.scenario.models], dtype=torch.float64)

    def _targets(self, counts: Tensor) -> Tensor:
        """[*batch, num_clients, num_models], targets of any domain that the model has."""
        return counts @ (self._domains > 0).double().T
