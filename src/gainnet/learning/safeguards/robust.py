"""Rules of aggregation that a few poisoned clients cannot turn: coordinate median, trimmed mean, Krum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Arrived, Merged, State, names_of, update_of, with_update


@final
@dataclass(frozen=True)
class Median:
    """The median of every value over the clients, which fewer than half of them cannot move out of the others' range.

    (Yin et al. 2018, algorithm 1, option I) Every client counts once, however much text it says it has.

    >>> honest = torch.tensor([[1.0, 1.0, 1.0], [1.2, 0.8, 1.0], [0.9, 1.1, 1.0]])
    >>> poisoned = torch.full((1, 3), -100.0)
    >>> median_of(torch.cat([honest, poisoned]))
    tensor([0.9500, 0.9000, 1.0000])
    >>> torch.cat([honest, poisoned]).mean(0).round(decimals=1)  # plain averaging follows the attacker
    tensor([-24.2000, -24.3000, -24.2000])
    """

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        if not arrived:
            return Merged(start)
        return Merged(with_update(start, median_of(_updates(start, arrived))), names_of(arrived))


@final
@dataclass(frozen=True)
class TrimmedMean:
    """The mean of every value over the clients without its smallest and its largest ones.

    (Yin et al. 2018, algorithm 1, option II) Every client counts once.

    Args:
        num_trimmed: values left out at each end, >= 0; at least as many as there are poisoned clients.

    Raises:
        ConfigError: the number is negative, or (when called) nothing would be left.

    >>> updates = torch.tensor([[1.0], [1.2], [0.9], [-100.0]])
    >>> trimmed_mean_of(updates, 1).round(decimals=2)
    tensor([0.9500])
    >>> TrimmedMean(-1)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: trimmed_mean: -1 is out of range; must be 0 poisoned clients or more
    """

    num_trimmed: int

    def __post_init__(self) -> None:
        check_range(self.num_trimmed >= 0, "trimmed_mean", self.num_trimmed, "0 poisoned clients or more")

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        _check_enough("trimmed_mean", len(arrived), 2 * self.num_trimmed + 1)
        mean = trimmed_mean_of(_updates(start, arrived), self.num_trimmed)
        return Merged(with_update(start, mean), names_of(arrived))


@final
@dataclass(frozen=True)
class Krum:
    r"""The mean of the updates that have the closest company.

    $s_i = \sum_{j \in N_i} \lVert u_i - u_j \rVert^2$, with $N_i$ the $n - f - 2$ nearest others; the $m$ of smallest
    $s_i$ are kept   (Blanchard et al. 2017: Krum with $m = 1$, multi-Krum with more). Every client counts once.

    Args:
        num_poisoned: $f \ge 0$, how many clients may be poisoned; $n \ge 2 f + 3$ have to arrive.
        num_kept: $m \ge 1$, at most $n - f$.

    Raises:
        ConfigError: a number is out of range, or (when called) too few clients have arrived.

    >>> near = torch.tensor([[1.0, 1.0], [1.1, 0.9], [0.9, 1.0], [1.0, 1.1]])
    >>> updates = torch.cat([near, torch.tensor([[-9.0, 9.0]])])
    >>> int(krum_scores(updates, num_poisoned=1).argmax())  # who has no company
    4
    >>> Krum(num_poisoned=1, num_kept=3).num_kept
    3
    """

    num_poisoned: int
    num_kept: int = 1

    def __post_init__(self) -> None:
        check_range(self.num_poisoned >= 0, "krum", self.num_poisoned, "0 poisoned clients or more")
        check_range(self.num_kept >= 1, "krum", self.num_kept, "1 update or more that is kept")

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        _check_enough("krum", len(arrived), max(2 * self.num_poisoned + 3, self.num_kept + self.num_poisoned))
        updates = _updates(start, arrived)
        # Stable, and back in the order of names: the sum does not depend on who was scored first.
        kept = krum_scores(updates, self.num_poisoned).argsort(stable=True)[: self.num_kept].sort().values
        chosen = [arrived[int(i)] for i in kept]
        return Merged(with_update(start, updates[kept].mean(0)), names_of(chosen))


def median_of(updates: Tensor) -> Tensor:
    """[num_values], median over [num_clients, num_values]; the mean of the middle two of an even number.

    >>> median_of(torch.tensor([[1.0], [9.0], [2.0], [-50.0]]))
    tensor([1.5000])
    """
    count = len(updates)
    # `Tensor.median` gives the lower middle value; the mean of the middle two is unbiased for an even number.
    ordered = updates.sort(0).values
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def trimmed_mean_of(updates: Tensor, num_trimmed: int) -> Tensor:
    """[num_values], mean over [num_clients, num_values] without the extremes of every value.

    >>> trimmed_mean_of(torch.tensor([[1.0], [9.0], [2.0], [-50.0]]), 1)
    tensor([1.5000])
    """
    return updates.sort(0).values[num_trimmed : len(updates) - num_trimmed].mean(0)


def krum_scores(updates: Tensor, num_poisoned: int) -> Tensor:
    """[num_clients], sum of squared distances to the nearest others; see `Krum`.

    >>> krum_scores(torch.tensor([[0.0], [1.0], [2.0], [9.0], [1.5]]), 1).tolist()
    [3.25, 1.25, 1.25, 105.25, 0.5]
    """
    # Sorted distances begin with that to itself, which is zero and left out below.
    squared = (updates[:, None] - updates[None]).square().sum(-1).sort(1).values
    return squared[:, 1 : len(updates) - num_poisoned - 1].sum(1)


def _updates(start: State, arrived: Arrived) -> Tensor:
    return torch.stack([update_of(start, values) for _, values in arrived])


def _check_enough(rule: str, count: int, needed: int) -> None:
    if count < needed:
        raise ConfigError(
            f"{rule}: {count} updates have arrived and {needed} are needed; "
            "ask more clients or lower the number of poisoned ones"
        )
