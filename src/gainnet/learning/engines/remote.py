"""Averaging whose clients train in other processes, all at once: the same rounds, another place.

edge ==values==> clients: `train_alone` ==values==> edge: rule of aggregation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.fedavg import FedAvg, Trained
from gainnet.learning.algorithms.flora import Flora, as_averaging
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client

Ask = Callable[[Sequence[NodeId], State, Random], Mapping[NodeId, Trained]]
"""A connection to the clients: it is given the names of those that train, what they begin with in the type of the air,
and the streams of the round. It gives the answers that came back in time, by name; a missing client has fallen away."""


def elsewhere(algorithm: Any, ask: Ask) -> FedAvg | Fpl:
    """An algorithm whose clients are reached by messages; only their names are read, their text is not here.

    Who takes part, what the air costs and loses, and how the edge merges is decided here, as in one process: with
    clients that all answer, state and report are the same.

    Args:
        algorithm: FedAvg or prompt learning.
        ask: reaches the clients.

    Raises:
        ConfigError: another algorithm.
    """
    trains_alone = as_averaging(algorithm)
    if isinstance(trains_alone, Flora):
        raise ConfigError("merging: a stack grows by the round, and messages have one shape; choose frozen or svd")

    def by_messages(_: Any, given: Mapping[Client, State], values: State, random: Random) -> Mapping[NodeId, Trained]:
        return ask([client.name for client in given], values, random)

    return replace(trains_alone, place=by_messages)
