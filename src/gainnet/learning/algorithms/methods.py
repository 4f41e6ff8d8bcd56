"""Ways to learn as a user states them; `bound` adds the model, the cell and the training to make an `Algorithm`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal, Protocol, final

import torch

from gainnet.codecs import AnyCodec, Int8
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import Form, attach
from gainnet.learning.algorithms.algorithm import Algorithm, Open
from gainnet.learning.algorithms.controlled import ControlledAveraging
from gainnet.learning.algorithms.costs import StepCost, split_step_cost, whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.flora import Flora
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.fsl import AveragedEdge, EdgePart, SharedEdge, SplitLearning
from gainnet.learning.algorithms.merging import ProductMean
from gainnet.learning.algorithms.proximal import ProximalSteps
from gainnet.learning.algorithms.server import ServerOptimizer
from gainnet.learning.clients import LocalTraining, Participation
from gainnet.learning.split.model import Cut
from gainnet.models.language import task_of
from gainnet.models.language_families.family import num_positions
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
        """[part_size, length], blank tokens of a part of a mini-batch, to count what its computation takes."""
        return torch.zeros(self.training.part_size, self.row_length, dtype=torch.long)


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
class FedProx:
    """FedAvg whose clients are pulled back to where the round began (Li et al. 2020).

    Args:
        mu: strength of the pull, >= 0.
    """

    mu: float = 0.01

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        cost = whole_step_cost(to.model, to.rows)
        averaging = FedAvg(to.model, to.network, to.training, cost, to.participation)
        return replace(averaging, steps=ProximalSteps(self.mu)), cost


@final
@dataclass(frozen=True)
class FedOpt:
    """FedAvg whose edge takes steps of Adam or Yogi along the mean change; fields as of `ServerOptimizer`.

    Args:
        moment: adam or yogi (Reddi et al. 2021).
        rate: of the edge's step, > 0.
        beta1: decay of the first moment, in [0, 1).
        beta2: decay of the second moment, in [0, 1).
        tau: how far a step adapts, > 0.
    """

    moment: Literal["adam", "yogi"] = "adam"
    rate: float = 1e-2
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        cost = whole_step_cost(to.model, to.rows)
        rule = ServerOptimizer(self.moment, self.rate, self.beta1, self.beta2, self.tau)
        return FedAvg(to.model, to.network, to.training, cost, to.participation, Open(rule)), cost


@final
@dataclass(frozen=True)
class Scaffold:
    """FedAvg with control variates against the drift of clients (Karimireddy et al. 2020); clients train by sgd.

    Args:
        rate: of the edge's step, > 0.
    """

    rate: float = 1.0

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`."""
        cost = whole_step_cost(to.model, to.rows)
        return ControlledAveraging(to.model, to.network, to.training, cost, self.rate, to.participation), cost


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

    Experts of a mixture are adapted, too, where PEFT knows the architecture, as Mixtral and Qwen's: their factors
    stand side by side, so that they are merged as `factors` or `frozen`.

    Args:
        rank: at least 1.
        merging: what is averaged. `factors`: both factors by themselves, whose product is not the mean of the products;
            `frozen`: the second one alone, and the first stays at public values, which is exact and linear; `svd`: the
            products, cut to the rank; `stacked`: the products exactly, with more to send down each round. `None` is
            `factors` in the open, and `frozen` where privacy or secure sums need what is linear.

    >>> Lora(rank=4)
    Lora(rank=4, merging=None)
    >>> Lora(rank=4, merging="svd") == Lora(4, "svd")
    True
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


@final
@dataclass(frozen=True)
class SplitLora:
    """A locked model cut between each device and the edge, with LoRA on both sides (SplitLoRA, Lin et al. 2024).

    Per round the factors of the device's blocks cross, and not their weights.

    Args:
        rank: of LoRA, at least 1.
        cut: where; at least one block is on the device, since embeddings and head are locked.
        codec: of activations and gradients.
        edge: what becomes of the edge's factors from client to client.
    """

    rank: int = 2
    cut: Cut = Cut(1, head_on_device=True)
    codec: AnyCodec = field(default_factory=Int8)
    edge: EdgePart = field(default_factory=SharedEdge)

    def bound(self, to: Setting) -> tuple[Algorithm, StepCost]:
        """As `Method.bound`.

        Raises:
            ConfigError: the device has no block.
        """
        if self.cut.num_blocks == 0:
            raise ConfigError(f"cut: {self.cut.name} leaves the device no block to adapt; give {self.cut.name}+1")
        adapted = replace(to, model=attach(to.model, "lora", self.rank))
        return Split(self.cut, self.codec, self.edge).bound(adapted)


METHODS: Final[Mapping[str, Callable[..., Method]]] = {
    "fedavg": WholeModel,
    "fedprox": FedProx,
    "fedadam": partial(FedOpt, moment="adam"),
    "fedyogi": partial(FedOpt, moment="yogi"),
    "scaffold": Scaffold,
    "fsl": Split,
    "fsl_averaged": partial(Split, edge=AveragedEdge()),
    "soft_prompt": SoftPrompt,
    "lora": Lora,
    "adapter": Adapter,
    "split_lora": SplitLora,
}
"""Methods by name; each can be made without arguments."""


def _on_locked_backbone(form: Form, size: int, to: Setting) -> tuple[Fpl, StepCost]:
    _check_prompt_fits(form, size, to)
    nothing = StepCost(0, 0, 0, 0, 0)
    fpl = Fpl(to.model, to.network, to.training, nothing, form, size, participation=to.participation)
    # The cost is that of the model with what is trained on it, which `Fpl` attaches.
    cost = whole_step_cost(fpl.model_of(fpl.init(Random.of(0))), to.rows)
    return replace(fpl, cost=cost), cost


def _check_prompt_fits(form: Form, size: int, to: Setting) -> None:
    """Virtual tokens take positions, too."""
    positions = num_positions(to.model)
    length = task_of(to.model, to.rows)[0].shape[1]
    if form == "soft_prompt" and positions is not None and size + length > positions:
        beyond = f"{size} virtual tokens before {length} are beyond the {positions} positions of the model"
        raise ConfigError(f"rank: {beyond}; give {max(0, positions - length)} or fewer, or shorter rows")
