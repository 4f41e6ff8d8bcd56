"""Ways to learn as a user states them; `bound` adds the model, the cell and the training to make an `Algorithm`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal, Protocol, final

import torch

from gainnet.codecs import AnyCodec, Int8
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import Form
from gainnet.learning.algorithms.algorithm import Algorithm, Open
from gainnet.learning.algorithms.costs import StepCost, split_step_cost, whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.flora import Flora
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.fsl import AveragedEdge, EdgePart, SharedEdge, SplitLearning
from gainnet.learning.algorithms.merging import ProductMean
from gainnet.learning.clients import LocalTraining, Participation
from gainnet.learning.split.model import Cut
from gainnet.network import Network

Merging = Literal["factors", "frozen", "svd", "stacked"]
"""The part of LoRA that the edge averages, see `Lora`."""


@final
@dataclass(frozen=True, eq=False)
class Setting:
    """Everything that a round depends on beside the method.

    Args:
        model: of transformers; its parameters are the start.
        network: edge and devices.
        training: of a client in a round.
        participation: who takes part.
        row_length: tokens per row of text, which the cost of a step depends on.
    """

    model: Any
    network: Network
    training: LocalTraining
    participation: Participation
    row_length: int

    @property
    def rows(self) -> torch.Tensor:
        """[batch, length], blank tokens of one mini-batch, to count what a step takes."""
        return torch.zeros(self.training.batch_size, self.row_length, dtype=torch.long)


class Method(Protocol):
    """A way to learn together."""

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """The algorithm, and the cost of one of its steps."""


@final
@dataclass(frozen=True)
class WholeModel:
    """Every device trains all weights, and the edge averages them: FedAvg (McMahan et al. 2017)."""

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        cost = whole_step_cost(to.model, to.rows)
        return FedAvg(to.model, to.network, to.training, cost, to.participation), cost


@final
@dataclass(frozen=True)
class SoftPrompt:
    """Virtual tokens in front of the text (Lester et al. 2021), averaged by the edge.

    Args:
        num_tokens: how many, at least 1.
    """

    num_tokens: int = 2

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        return _on_locked_backbone("soft_prompt", self.num_tokens, to)


@final
@dataclass(frozen=True)
class Lora:
    """Low-rank updates of all linear maps in the blocks (Hu et al. 2022), averaged by the edge.

    Args:
        rank: at least 1.
        merging: what is averaged. `factors`: both factors by themselves, whose product is not the mean of the products;
            `frozen`: the second one alone, and the first stays at public values, which is exact and linear; `svd`: the
            products, cut to the rank; `stacked`: the products exactly, with more to send down each round. `None` is
            `factors` in the open, and `frozen` where privacy or secure sums need what is linear.
    """

    rank: int = 2
    merging: Merging | None = None

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        fpl, cost = _on_locked_backbone("lora_b" if self.merging == "frozen" else "lora", self.rank, to)
        if self.merging == "svd":
            return replace(fpl, aggregation=Open(ProductMean(self.rank))), cost
        if self.merging == "stacked":
            return Flora(to.model, to.network, to.training, cost, self.rank, participation=to.participation), cost
        return fpl, cost


@final
@dataclass(frozen=True)
class Adapter:
    """Rescaled keys, values and hidden units (IA3, Liu et al. 2022), averaged by the edge."""

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        return _on_locked_backbone("adapter", 1, to)


@final
@dataclass(frozen=True)
class Split:
    """A model cut between each device and the edge.

    Args:
        cut: where.
        codec: of activations and gradients.
        edge: what becomes of the edge's part from client to client.
    """

    cut: Cut = Cut(0, head_on_device=True)
    codec: AnyCodec = field(default_factory=Int8)
    edge: EdgePart = field(default_factory=SharedEdge)

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        cost = split_step_cost(to.model, self.cut, to.rows)
        costs = {self.cut.name: cost}
        algorithm = SplitLearning(
            to.model, to.network, to.training, costs, self.cut, self.codec, self.edge, to.participation
        )
        return algorithm, cost


METHODS: Final[Mapping[str, Callable[..., Method]]] = {
    "fedavg": WholeModel,
    "fsl": Split,
    "fsl_averaged": partial(Split, edge=AveragedEdge()),
    "soft_prompt": SoftPrompt,
    "lora": Lora,
    "adapter": Adapter,
}
"""Methods by name; each can be made without arguments."""


def _on_locked_backbone(form: Form, size: int, to: Setting) -> tuple[Fpl, StepCost]:
    nothing = StepCost(0, 0, 0, 0, 0)
    fpl = Fpl(to.model, to.network, to.training, nothing, form, size, participation=to.participation)
    # The cost is that of the model with what is trained on it, which `Fpl` attaches.
    cost = whole_step_cost(fpl.model_of(fpl.init(Random.of(0))), to.rows)
    return replace(fpl, cost=cost), cost
