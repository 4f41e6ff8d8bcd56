"""Safeguards of rounds: how the edge merges, private steps, and a signed record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Algorithm, Open, WeightedMean
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.fpl import Fpl, as_averaging
from gainnet.learning.safeguards.privacy import Guarantee, PrivateSteps
from gainnet.learning.safeguards.record import RECORD, Keyring, Recorded


@final
@dataclass(frozen=True)
class Safeguards:
    """Safeguards of rounds in which an edge averages what clients send.

    Args:
        aggregation: how the edge merges: by a robust rule, of masked sums, or with noise.
        steps: of a client, where rows of its text are hidden; those of its optimizer when `None`.
        guarantee: what privacy promises after all rounds; `None` without privacy.
    """

    aggregation: Aggregation = Open(WeightedMean())
    steps: PrivateSteps | None = None
    guarantee: Guarantee | None = None

    def around(self, algorithm: Algorithm, names: Sequence[NodeId], out: Path | None) -> FedAvg | Fpl:
        """The algorithm with these safeguards.

        Args:
            algorithm: that averages.
            names: of the clients.
            out: folder of the signed record; there is none when `None`.

        Raises:
            ConfigError: the algorithm does not average, or has no steps of single rows.
        """
        guarded = as_averaging(algorithm)
        if self.steps is not None:
            if not isinstance(guarded, Fpl):
                raise ConfigError(
                    "privacy: rows are hidden where few values train; choose lora, adapter or soft_prompt"
                )
            guarded = replace(guarded, steps=self.steps)
        if out is None:
            return replace(guarded, aggregation=self.aggregation)
        # Outermost: it signs what the edge merges, whatever the rule.
        recorded = Recorded(self.aggregation, out / RECORD, Keyring.of(out), tuple(names))
        return replace(guarded, aggregation=recorded)
