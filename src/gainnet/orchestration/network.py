"""The network that scores pairs of client and model, for any number of either."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn


@final
class PairNetwork(nn.Module):
    r"""A score of every pair from its own features and from means over the pairs it shares a client or a model with.

        features --> h ----------------------------+--> h' --> score = e^s immediate + correction
                     |-- mean, max over models ----|
                     '-- mean over clients --------'

    Permuting clients or models permutes the scores. The correction is 0 before training: a fresh actor takes what adds
    most at once, a fresh critic takes the immediate gain for the value, and both learn what comes later.

    Args:
        num_features: per pair; the first one is what the decision adds at once.
        width: of the hidden layers.
        scale: $e^s$ before training; the inverse temperature of an actor, 1 for a critic.

    >>> PairNetwork(3, 8, 1.0)(torch.ones(5, 4, 3)).shape
    torch.Size([5, 4])
    """

    def __init__(self, num_features: int, width: int, scale: float) -> None:
        super().__init__()
        self.first = nn.Linear(num_features, width)
        self.own = nn.Linear(width, width)
        self.client_mean = nn.Linear(width, width, bias=False)
        self.client_max = nn.Linear(width, width, bias=False)
        self.model_mean = nn.Linear(width, width, bias=False)
        self.last = nn.Linear(width, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[*batch, num_clients, num_models] of features [*batch, num_clients, num_models, num_features]."""
        h = torch.relu(self.first(features))
        # Mean and maximum over models: what the alternatives of the same client are worth.
        client = self.client_mean(h.mean(-2, keepdim=True)) + self.client_max(h.amax(-2, keepdim=True))
        h = torch.relu(self.own(h) + client + self.model_mean(h.mean(-3, keepdim=True)))
        correction: Tensor = self.last(h).squeeze(-1)
        # The immediate gain is passed through: learning only adds what comes later.
        return self.log_scale.exp() * features[..., 0] + correction
