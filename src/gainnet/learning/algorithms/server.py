"""Optimizers of the edge: the mean of what clients have changed is a gradient, and moments of it guide the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import torch

from gainnet.core.errors import check_name, check_range
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Arrived, Merged, State, WeightedMean, weights_in

FIRST, SECOND = "server/first/", "server/second/"
"""Where a state keeps the moments of a weight."""


@final
@dataclass(frozen=True)
class ServerOptimizer:
    r"""FedAdam and FedYogi (Reddi et al. 2021, algorithm 2).

    $\Delta = \sum_i w_i (x_i - x), \; m \leftarrow \beta_1 m + (1 - \beta_1) \Delta, \;
    x \leftarrow x + \eta \, m / (\sqrt v + \tau)$

    adam: $v \leftarrow \beta_2 v + (1 - \beta_2) \Delta^2$;
    yogi: $v \leftarrow v - (1 - \beta_2) \Delta^2 \, \mathrm{sign}(v - \Delta^2)$; both start at $\tau^2$.

    Args:
        moment: adam or yogi, how the second moment is kept.
        rate: $\eta > 0$.
        beta1: $\beta_1$ in [0, 1).
        beta2: $\beta_2$ in [0, 1).
        tau: $\tau > 0$, how far a step adapts.

    Raises:
        ConfigError: a number is out of range.
    """

    moment: Literal["adam", "yogi"] = "adam"
    rate: float = 1e-2
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    def __post_init__(self) -> None:
        check_name("moment", self.moment, ("adam", "yogi"))
        check_range(0.0 < self.rate < math.inf, "rate", self.rate, "positive, for example 0.01")
        for name in ("beta1", "beta2"):
            check_range(0.0 <= getattr(self, name) < 1.0, name, getattr(self, name), "in [0, 1)")
        check_range(0.0 < self.tau < math.inf, "tau", self.tau, "positive, for example 0.001")

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`; a round in which nothing arrives moves nothing, moments included."""
        weights = weights_in(start)
        merged = WeightedMean()(weights, arrived, random)
        if not merged.included:
            return Merged(start)
        state = dict(start)
        for name, x in weights.items():
            change = merged.state[name].double() - x.double()
            first = start.get(FIRST + name, torch.zeros_like(x)).double()
            second = start.get(SECOND + name, torch.full_like(x, self.tau**2)).double()
            first = self.beta1 * first + (1 - self.beta1) * change
            square = change.square()
            if self.moment == "adam":
                second = self.beta2 * second + (1 - self.beta2) * square
            else:
                # The moment grows as fast as Adam's, and falls by no more than a square: rare changes keep their size.
                second = second - (1 - self.beta2) * square * (second - square).sign()
            moved = x.double() + self.rate * first / (second.sqrt() + self.tau)
            state |= {name: moved.to(x.dtype), FIRST + name: first.to(x.dtype), SECOND + name: second.to(x.dtype)}
        return Merged(state, merged.included)
