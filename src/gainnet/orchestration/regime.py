"""Whether clients are independent or share the spectrum of an edge, and the total gain of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.gain import GAIN_FUNCTIONS, GainFunction
from gainnet.orchestration.scenario import Scenario


class Regime(Protocol):
    """How clients meet each other."""

    name: ClassVar[str]

    @property
    def function(self) -> GainFunction:
        """How worth saturates."""

    def bandwidth_hz(self, own_hz: Tensor, num_sharing: Tensor) -> Tensor:
        """Bandwidth of a client towards a model.

        Args:
            own_hz: [..., num_clients, 1], what the client's radio has.
            num_sharing: [..., num_clients, num_models], clients on the model's edge.

        Returns:
            [..., num_clients, num_models].
        """

    def total(self, worth: Tensor, samples: Tensor, model: Tensor) -> Tensor:
        """[...], joint gain of all clients: the reward.

        Args:
            worth: [..., num_clients], data correlation $\\omega$ with the model that is served.
            samples: [..., num_clients], samples that are achievable.
            model: [..., num_clients], int64, model that is served.
        """


@final
@dataclass(frozen=True)
class Independent:
    r"""Clients have their own spectrum: $\sum_n \omega_{nm} f(x_{nm})$ (GainNet, section III-B).

    Args:
        function: $f$.

    >>> from gainnet.orchestration.scenario import load_scenario
    >>> alone = Independent.of(load_scenario("street"))
    >>> worth, samples = torch.ones(2), torch.tensor([100.0, 100.0])
    >>> same = torch.tensor([0, 0])
    >>> bool(torch.isclose(alone.total(worth, samples, same), 2 * alone.function(samples[0])))
    True
    """

    function: GainFunction
    name: ClassVar[str] = "independent"

    @staticmethod
    def of(scenario: Scenario) -> Independent:
        """The regime with the scenario's gain function."""
        return Independent(_function_of(scenario))

    def bandwidth_hz(self, own_hz: Tensor, num_sharing: Tensor) -> Tensor:
        """The client's own, whoever else is there."""
        return own_hz.expand_as(num_sharing)

    def total(self, worth: Tensor, samples: Tensor, model: Tensor) -> Tensor:
        """The sum of every client's own gain."""
        return (worth * self.function(samples)).sum(-1)


@final
@dataclass(frozen=True)
class Contention:
    r"""Clients share an edge: $\min(B_n, B_e / n_e)$, $\sum_m w_m f(\sum_n \omega_{nm} x_{nm}(n_e))$.

    Args:
        function: $f$.
        edge_bandwidth_hz: [num_models], spectrum $B_e$ of the edge that hosts each model.
        weight: [num_models], weight $w_m$ of each model.

    >>> from gainnet.orchestration.scenario import load_scenario
    >>> shared = Contention.of(load_scenario("contention"))
    >>> own_hz = torch.full((2, 1), 1e9, dtype=torch.float64)
    >>> narrow = shared.bandwidth_hz(own_hz, torch.tensor([[1], [4]]))
    >>> narrow[1, 0] == narrow[0, 0] / 4  # equal shares of an edge
    tensor(True)
    """

    function: GainFunction
    edge_bandwidth_hz: Tensor
    weight: Tensor
    name: ClassVar[str] = "contention"

    @staticmethod
    def of(scenario: Scenario) -> Contention:
        """The regime with the scenario's gain function, edges and weights.

        Raises:
            ConfigError: links are not with the edge of a model, so that its spectrum is not what clients share.
        """
        if scenario.radio.association != "own":
            raise ConfigError(
                f"radio.association: {scenario.radio.association!r} shares no edge of a model; use regime independent"
            )
        bands = [scenario.edges[model.edge].bandwidth_hz for model in scenario.models]
        return Contention(
            function=_function_of(scenario),
            edge_bandwidth_hz=torch.tensor(bands, dtype=torch.float64),
            weight=torch.tensor([model.weight for model in scenario.models], dtype=torch.float64),
        )

    def bandwidth_hz(self, own_hz: Tensor, num_sharing: Tensor) -> Tensor:
        """An equal share of the edge, at most what the client's radio has."""
        return torch.minimum(own_hz, self.edge_bandwidth_hz / num_sharing.clamp_min(1))

    def total(self, worth: Tensor, samples: Tensor, model: Tensor) -> Tensor:
        """The weighted sum of the models' gains, each of all samples it gets."""
        # Samples of all clients of a model add up before the gain saturates.
        got = torch.zeros(*model.shape[:-1], len(self.weight), dtype=samples.dtype)
        got.scatter_add_(-1, model, worth * samples)
        return (self.weight * self.function(got)).sum(-1)


REGIMES: Mapping[str, type[Independent] | type[Contention]] = {"independent": Independent, "contention": Contention}
"""Regimes by name."""


def _function_of(scenario: Scenario) -> GainFunction:
    return GainFunction(GAIN_FUNCTIONS[scenario.gain.function], scenario.gain.scale_samples)
