"""Edges with what they train and what they are asked for: all that does not change from CR to CR."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from gainnet.core.errors import ConfigError
from gainnet.orchestration.joint.demand import Demand, Reals, check_reserve, sums
from gainnet.orchestration.scenario import Scenario


@final
@dataclass(frozen=True)
class Site:
    r"""Edges whose pools of spectrum and computing serve training and requests.

    The weight of a model is its share of the offered requests: samples are worth more where users ask more
    ("optimization guided by the application"). The mean weight is 1.

    Args:
        demand: classes of requests.
        edge_of_model: [num_models], int64.
        edge_hz: [num_edges], bandwidth $B_e$.
        edge_cycles_per_s: [num_edges], compute rate $F_e$.
        edge_cycles_per_sample: [num_models], cycles of the edge on a sample.
        scale_samples: $x_0$ of $f = \ln(1 + x / x_0)$.
        duration_s: $T$ of a CR.
    """

    demand: Demand
    edge_of_model: NDArray[np.int64]
    edge_hz: Reals
    edge_cycles_per_s: Reals
    edge_cycles_per_sample: Reals
    scale_samples: float
    duration_s: float

    @staticmethod
    def of(scenario: Scenario, demand: Demand) -> Site:
        """The edges of a scenario.

        Raises:
            ConfigError: the scenario has no requests or another gain than the logarithm, or an edge does not suffice.
        """
        if not scenario.requests:
            raise ConfigError("requests: the scenario has none; give --requests-per-s or [[requests]] in its file")
        if scenario.gain.function != "log":
            raise ConfigError(f"gain.function: {scenario.gain.function!r} is no convex program here; use log")

        edge_of_model = np.array([model.edge for model in scenario.models], dtype=np.int64)
        # An edge without requests may train without a compute rate: there is nothing it could lack.
        cycles = np.array([edge.cycles_per_s or np.inf for edge in scenario.edges])
        check_reserve(demand, edge_of_model, cycles)
        return Site(
            demand,
            edge_of_model,
            np.array([edge.bandwidth_hz for edge in scenario.edges]),
            np.minimum(cycles, 1e18),
            np.array([model.edge_cycles_per_sample for model in scenario.models]),
            scenario.gain.scale_samples,
            scenario.rounds.duration_s,
        )

    @property
    def num_edges(self) -> int:
        """Number of edges."""
        return len(self.edge_hz)

    @property
    def num_models(self) -> int:
        """Number of models."""
        return len(self.edge_of_model)

    @cached_property
    def edge_of_class(self) -> NDArray[np.int64]:
        """[num_classes], int64."""
        return self.edge_of_model[self.demand.model]

    @cached_property
    def offered_per_s(self) -> float:
        """Requests per second of all classes."""
        return float(self.demand.per_s.sum())

    @cached_property
    def weight(self) -> Reals:
        """[num_models], $w_m$."""
        asked = sums(self.demand.model, self.demand.per_s, self.num_models)
        weight: Reals = asked / asked.mean()
        return weight

    @cached_property
    def pools(self) -> Reals:
        """[2, num_edges], spectrum in Hz and computing in cycles per second."""
        return np.stack([self.edge_hz, self.edge_cycles_per_s])

    def load_of(self, share: Reals) -> Reals:
        """[2, num_edges], spectrum in Hz and cycles per second that requests take when [num_classes] are served."""
        taken = self.demand.per_s * share * self.demand.spectrum_hz_s, self.demand.cycles_per_s(share)
        return np.stack([sums(self.edge_of_class, x, self.num_edges) for x in taken])

    def gain(self, worth: Reals) -> float:
        """Weighted sum of the models' gains of the samples [num_models] that they get, each by its correlation."""
        return float(self.weight @ np.log1p(worth / self.scale_samples))
