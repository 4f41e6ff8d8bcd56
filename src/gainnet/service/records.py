"""Options of the service on the command line; light, since its help reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, final

from gainnet.core.errors import check_range

LEASE_S: Final = 30.0
"""How long a replica may be silent before others take its requests."""


@final
@dataclass(frozen=True)
class Replicas:
    """In which processes an edge runs.

    Args:
        engine: process for this one; ray for replicas on Ray Serve, on this machine or the cluster of RAY_ADDRESS.
        num_replicas: with ray, replicas at first and at least.
        most_replicas: with ray, replicas up to which they grow with the queue.
        most_per_node: with ray, replicas on one machine at most.
        lease_s: with ray, s that a replica may be silent before others take its requests.

    Raises:
        ConfigError: a value is out of range.

    >>> Replicas("ray", num_replicas=4).most_replicas
    8
    """

    engine: Literal["process", "ray"] = "process"
    num_replicas: int = 2
    most_replicas: int = 8
    most_per_node: int = 100
    lease_s: float = LEASE_S

    def __post_init__(self) -> None:
        check_range(self.num_replicas >= 1, "num_replicas", self.num_replicas, "1 or more")
        at_least = f"{self.num_replicas} or more"
        check_range(self.most_replicas >= self.num_replicas, "most_replicas", self.most_replicas, at_least)
        check_range(self.most_per_node >= 1, "most_per_node", self.most_per_node, "1 or more")
        check_range(0.0 < self.lease_s <= 3600.0, "lease_s", self.lease_s, "above 0 to 3600 s")
