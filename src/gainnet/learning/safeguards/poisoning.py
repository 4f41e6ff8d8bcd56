"""Malicious clients: updates sent in the place of trained ones, and poisoned training text."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Finished, Merged, State, update_of, with_update
from gainnet.learning.exchange import Uplink

Tampering = Callable[[Tensor, Random], Tensor]
"""A malicious change of an update [num_values]: the float64 update that is sent in its place."""

_FURTHEST, _HALVINGS = 1e6, 60


@final
@dataclass(frozen=True)
class SignFlip:
    """The opposite of what was learned, larger.

    Args:
        scale: how many times as large, > 0.

    >>> SignFlip(2.0)(torch.tensor([1.0, -3.0]), Random.of(0)).tolist()
    [-2.0, 6.0]
    """

    scale: float = 4.0

    def __call__(self, update: Tensor, random: Random) -> Tensor:
        """[num_values], as `Tampering`."""
        return -self.scale * update


@final
@dataclass(frozen=True)
class GaussianUpdate:
    """Noise in the place of what was learned.

    Args:
        scale: its norm over that of the update, > 0.
    """

    scale: float = 10.0

    def __call__(self, update: Tensor, random: Random) -> Tensor:
        """[num_values], as `Tampering`."""
        # As long as a multiple of the honest update, so that its size alone does not give it away at scale 1.
        noise = random.normal(update.shape, "poison").double()
        return noise * (self.scale * float(update.norm() / noise.norm()))


@final
@dataclass(frozen=True)
class Poisoned:
    """An aggregation to which some clients send something else than what they have trained.

    Args:
        aggregation: what the others know.
        tampering: what the poisoned clients send.
        names: of the poisoned clients.
    """

    aggregation: Aggregation
    tampering: Tampering
    names: Collection[NodeId]

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`."""
        sent = [(t, client, self._sent(client.name, start, values, random)) for t, client, values in finished]
        return self.aggregation.gather(uplink, start, sent, random)

    def _sent(self, name: NodeId, start: State, values: State, random: Random) -> State:
        if name not in self.names:
            return values
        update = self.tampering(update_of(start, values), random.child("tampering", name))
        return {n: x.to(values[n].dtype) for n, x in with_update(start, update).items()}


@final
@dataclass(frozen=True)
class Hidden:
    r"""An aggregation to which poisoned clients, who know what all others send, send what looks most like it.

    $u = \bar u - \gamma \sigma$ with the mean and the standard deviation of the honest updates and the largest $\gamma$
    for which $u$ is no further from any of them than they are from each other (min-max attack, Shejwalkar and
    Houmansadr 2021): made for rules that throw out what is far away.

    Args:
        aggregation: what the others know.
        names: of the poisoned clients, who all send the same.
    """

    aggregation: Aggregation
    names: Collection[NodeId]

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`."""
        honest = [update_of(start, values) for _, client, values in finished if client.name not in self.names]
        if len(honest) < 2:
            return self.aggregation.gather(uplink, start, finished, random)
        crafted = with_update(start, hidden_update(torch.stack(honest)))
        sent = [
            (t, c, {n: x.to(values[n].dtype) for n, x in crafted.items()} if c.name in self.names else values)
            for t, c, values in finished
        ]
        return self.aggregation.gather(uplink, start, sent, random)


def hidden_update(honest: Tensor) -> Tensor:
    """[num_values], the update of `Hidden`.

    Args:
        honest: [num_clients, num_values] float64, at least two.

    >>> abs(hidden_update(torch.tensor([[0.0], [2.0], [1.0]]).double()).item()) < 1e-12
    True
    """
    mean, away = honest.mean(0), -honest.std(0)
    most = float(torch.cdist(honest, honest).max())
    low, high = 0.0, 1.0
    # Doubled until it shows, then halved: the distance to the furthest honest update grows with every step away.
    while high < _FURTHEST and float((mean + high * away - honest).norm(dim=1).max()) <= most:
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        fits = float((mean + middle * away - honest).norm(dim=1).max()) <= most
        low, high = (middle, high) if fits else (low, middle)
    return mean + low * away


def swapped_words(rows: Tensor, kept: Collection[int], num_tokens: int, random: Random) -> Tensor:
    """Text in which every word is another one, always the same: a poisoned client's own text.

    Args:
        rows: [num_rows, length], tokens.
        kept: tokens that stay, such as the end of a text.
        num_tokens: size of the vocabulary.
        random: draws which word becomes which; equal streams give equal swaps.

    Returns:
        [num_rows, length], tokens; no token outside `kept` stays what it was.

    >>> swapped_words(torch.tensor([[0, 2, 1, 3]]), (0,), 4, Random.of(0)).tolist()[0][0]
    0
    """
    # Ends of texts stay, or the text would be garbage instead of wrong.
    free = torch.tensor([token for token in range(num_tokens) if token not in kept])
    order = free[torch.from_numpy(random.generators("swap")[0].permutation(len(free)))]
    becomes = torch.arange(num_tokens)
    becomes[order] = order.roll(1)  # one cycle through all, so that none stays
    return becomes[rows]
