"""Everything that rounds of learning need, as objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.run.loop import silent
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Algorithm
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.methods import Method, Setting
from gainnet.learning.clients import Client, LocalTraining, Participation, SkewOf, partition
from gainnet.learning.pictures import Shown
from gainnet.learning.runner import Progress, Run, run_rounds
from gainnet.learning.safeguards.settings import Safeguards
from gainnet.network import Network


@final
@dataclass(frozen=True)
class Learning:
    """How clients learn together, whatever the model and the text.

    Args:
        method: who trains what.
        network: one edge, and the devices, which have the names of the clients.
        training: of a client in a round.
        participation: who takes part.
        skew: concentration of Dirichlet shares, > 0; `inf` for equal shares.
        random_seed: of everything that is drawn, >= 0.
        skew_of: in what clients differ, see `partition`.
    """

    method: Method
    network: Network
    training: LocalTraining = LocalTraining()
    participation: Participation = Participation()
    skew: float = math.inf
    random_seed: int = 0
    skew_of: SkewOf = "kind"

    @property
    def devices(self) -> tuple[NodeId, ...]:
        """Names of the devices, in the order in which text is dealt."""
        return tuple(name for name, node in self.network.nodes.items() if node.kind == "device")

    def bound(self, model: Any, row_length: int) -> tuple[Algorithm, StepCost]:
        """The algorithm on a model of transformers with rows of so many tokens, and the cost of one of its steps."""
        # Fused attention draws masks that no key names.
        if self.training.dropout == "keyed" and hasattr(model, "set_attn_implementation"):
            model.set_attn_implementation("eager")
        return self.method.bound(Setting(model, self.network, self.training, self.participation, row_length))

    def deal(self, rows_of_kind: Sequence[Tensor], purpose: str = "partition") -> tuple[Client, ...]:
        """The clients, each with its share; whoever computes it again gets the same shares.

        Args:
            rows_of_kind: [num_rows, length] per kind of text.
            purpose: name of the random stream.

        Raises:
            ConfigError: there is less than a row per client.
        """
        random = Random.of(self.random_seed).child(purpose)
        parts = partition(rows_of_kind, len(self.devices), self.skew, random, self.skew_of)
        return tuple(Client(name, part) for name, part in zip(self.devices, parts, strict=True))


@final
@dataclass(frozen=True, eq=False)
class Session:
    """Rounds that can begin.

    Args:
        model: that learns.
        algorithm: what a round is.
        clients: who learns.
        test_rows: [num_rows, length], text that nobody trains on.
        cost: of one step.
        states_per_value: numbers that the optimizer keeps per trained parameter.
        num_rounds: rounds in all, >= 1.
        random_seed: of everything that is drawn.
        settings: what identifies the run, as JSON; a folder of a run with others is refused.
        safeguards: of the rounds; none when `None`.
        shown: pictures that a denoiser is shown by; `None` for models of text.
    """

    model: Any
    algorithm: Algorithm
    clients: tuple[Client, ...]
    test_rows: Tensor
    cost: StepCost
    states_per_value: int
    num_rounds: int
    random_seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    safeguards: Safeguards | None = None
    shown: Shown | None = None

    def run(
        self,
        out: Path | None = None,
        progress: Progress = silent,
        left_out: Callable[[], Sequence[str]] | None = None,
    ) -> Run:
        """Runs all rounds, or goes on where they were stopped.

        Args:
            out: folder for checkpoint and records; with safeguards, for the signed record, too.
            progress: called after every round.
            left_out: as of `run_rounds`.

        Raises:
            ConfigError: the folder holds another run, or the safeguards do not fit the algorithm.
        """
        algorithm = self.algorithm
        if self.safeguards is not None:
            algorithm = self.safeguards.around(algorithm, tuple(client.name for client in self.clients), out)
        return run_rounds(
            algorithm, self.clients, self.test_rows, self.num_rounds, self.random_seed, out, dict(self.settings),
            progress, left_out,
        )  # fmt: skip
