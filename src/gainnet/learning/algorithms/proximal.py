"""FedProx: steps that are pulled back to where the round began (Li et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

from gainnet.core.errors import check_range
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.fedavg import train_locally
from gainnet.learning.clients import Client, LocalTraining


@final
@dataclass(frozen=True)
class ProximalSteps:
    r"""Steps of a client on $f_i(x) + \frac{\mu}{2} \lVert x - x_0 \rVert^2$, where $x_0$ is the model of the edge.

    Args:
        mu: $\mu \ge 0$; 0 is FedAvg.

    Raises:
        ConfigError: mu is out of range.
    """

    mu: float = 0.01

    def __post_init__(self) -> None:
        check_range(0.0 <= self.mu < math.inf, "mu", self.mu, "0 or more, for example 0.01")

    def __call__(self, model: Any, training: LocalTraining, client: Client, num_steps: int, random: Random) -> None:
        """As `Steps`."""
        trained = [p for p in model.parameters() if p.requires_grad]
        start = [p.detach().clone() for p in trained]

        def pull() -> None:
            for p, origin in zip(trained, start, strict=True):
                # A weight that a loss does not depend on is where it began.
                if p.grad is not None:
                    p.grad.add_(p.detach() - origin, alpha=self.mu)

        train_locally(model, training, client, num_steps, random, pull)
