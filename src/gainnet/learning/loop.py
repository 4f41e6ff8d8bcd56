"""The loop of knowledge: cloud to edges to devices and back, cycle after cycle."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from gainnet.core.errors import ConfigError, check_name
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import attach, fold, load_adapter
from gainnet.learning.algorithms.algorithm import State, average
from gainnet.learning.algorithms.fedavg import plain_step
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.merging import merge_by_sign, merge_products
from gainnet.learning.clients import Client
from gainnet.learning.exchange import PRIVATE, Exchange
from gainnet.models.language import inputs_of, task_of
from gainnet.network import Hardware, Network, Node
from gainnet.radio import AnyLink

CLOUD = NodeId("cloud")

Merge = Literal["weighted", "ties", "svd"]
MERGES: tuple[Merge, ...] = ("weighted", "ties", "svd")
"""How adapters become one: mean of the factors, TIES on the products, mean of the products cut by singular values."""


@final
@dataclass(frozen=True, eq=False)
class Edge:
    """A domain: an edge server and the devices that it serves.

    Args:
        name: also that of its node.
        devices: with text of the domain; the edge never sees it.
        cell: edge and devices.
    """

    name: NodeId
    devices: tuple[Client, ...]
    cell: Network

    @property
    def weight(self) -> float:
        """Weight in a merge: the number of rows of its devices."""
        return sum(client.weight for client in self.devices)


@final
@dataclass(frozen=True)
class Distillation:
    """How the cloud learns from the experts on public text.

    Args:
        num_steps: mini-batches >= 0; with 0 the merged adapters are all that the cloud gets.
        batch_size: rows per mini-batch.
        rate: learning rate.

    Raises:
        ConfigError: a field is out of range.

    >>> Distillation(num_steps=0).batch_size  # merged adapters alone
    16
    >>> Distillation(rate=0.0)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: distillation: give num_steps >= 0, batch_size >= 1 and a rate > 0
    """

    num_steps: int = 60
    batch_size: int = 16
    rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.num_steps < 0 or self.batch_size < 1 or not self.rate > 0:
            raise ConfigError("distillation: give num_steps >= 0, batch_size >= 1 and a rate > 0")


@final
@dataclass(frozen=True, eq=False)
class Loop:
    """One cycle after the other, and what crosses is adapters alone.

    cloud ==foundation==> edges: rounds of prompt learning with their devices ==adapters==> cloud: merge, distil
      ^                                                                                                     |
      +---------------------------------------- next cycle -----------------------------------------------+

    The cloud keeps public text only. It folds the merged adapters into its model, then distils: for every row of
    public text the experts are weighted by how likely each finds what was read so far.

    Args:
        edges: domains with their devices.
        rounds: of one edge per cycle.
        growth: prompt learning with LoRA on an edge; its model and network are replaced by those of the edge.
        backhaul: cloud and edges.
        public_rows: [num_rows, length], text that everybody may read.
        merge: how adapters become one.
        distillation: how the cloud learns from them.
    """

    edges: tuple[Edge, ...]
    rounds: int
    growth: Fpl
    backhaul: Network
    public_rows: Tensor
    merge: Merge
    distillation: Distillation

    def __post_init__(self) -> None:
        check_name("merge", self.merge, MERGES)
        if self.growth.form != "lora":
            raise ConfigError(f"form: {self.growth.form} cannot be merged into a foundation model; choose lora")

    def cycle(self, cloud: Any, random: Random) -> tuple[Any, dict[NodeId, Any], Report]:
        """The next foundation model, the domain models of this cycle, and what crossed between cloud and edges.

        Args:
            cloud: the foundation model; is not changed.
            random: streams of this cycle, of one item.
        """
        exchange = Exchange(self.backhaul, random, PRIVATE)
        names = tuple(edge.name for edge in self.edges)
        received = exchange.send_file("weights", CLOUD, names, dict(cloud.named_parameters()))
        experts: dict[NodeId, Any] = {}
        adapters: list[State] = []
        for edge, foundation in zip(self.edges, received, strict=True):
            if foundation is None:
                continue
            grown = grow(edge, cloud, self.growth, self.rounds, random.child(edge.name))
            returned, _ = exchange.send_until("adapters", edge.name, CLOUD, grown)
            if returned is not None:
                adapters.append(returned)
                experts[edge.name] = merged_into(cloud, returned)
        # An edge whose adapters were lost teaches nobody this cycle, so its weight is left out as well.
        weights = [edge.weight for edge in self.edges if edge.name in experts]
        merged = merged_into(cloud, self._merge(adapters, weights))
        distil(merged, tuple(experts.values()), self.public_rows, self.distillation, random.child("distil"))
        return merged, experts, exchange.report()

    def _merge(self, adapters: Sequence[State], weights: Sequence[float]) -> State:
        # A sum of products has at most the sum of their ranks, so that nothing is cut off.
        rank = self.growth.size * len(adapters)
        if self.merge == "svd":
            return merge_products(adapters, weights, rank)
        if self.merge == "ties":
            return merge_by_sign(adapters, weights, rank)
        return average(adapters, weights)


def grow(edge: Edge, cloud: Any, growth: Fpl, rounds: int, random: Random) -> State:
    """The adapters that an edge and its devices learn on a copy of the foundation model.

    Args:
        edge: a domain.
        cloud: the foundation model; is not changed.
        growth: how they learn.
        rounds: how many.
        random: of one item.
    """
    # Optimizers and adapters of one edge must not touch the model of the next.
    algorithm = replace(growth, model=copy.deepcopy(cloud), network=edge.cell)
    state = algorithm.init(random)
    for index in range(rounds):
        state, _ = algorithm.round(state, edge.devices, random.child("round", index))
    return state


def backhaul_of(edges: Sequence[NodeId], cloud: Hardware, edge: Hardware, wire: AnyLink) -> Network:
    """One cloud and its edges, with a wire each way."""
    nodes = {CLOUD: Node("cloud", cloud)} | {name: Node("edge", edge) for name in edges}
    return Network(nodes, {(CLOUD, n): (wire,) for n in edges} | {(n, CLOUD): (wire,) for n in edges})


def merged_into(cloud: Any, adapters: State) -> Any:
    """A model of its own: the foundation with LoRA of any rank multiplied in."""
    # The rank of merged adapters depends on how many edges arrived, so it is read off the tensors.
    rank = next(len(x) for name, x in adapters.items() if name.endswith("lora_A.weight"))
    model = attach(copy.deepcopy(cloud), "lora", rank)
    load_adapter(model, adapters)
    return fold(model)


def distil(student: Any, experts: Sequence[Any], rows: Tensor, settings: Distillation, random: Random) -> None:
    r"""Teaches a model, in place, what experts say about public text.

    The target after a prefix is the mixture $\sum_k p(k \mid x_{<t})\, p_k(\cdot \mid x_{<t})$ with
    $p(k \mid x_{<t}) \propto \prod_{s<t} p_k(x_s \mid x_{<s})$: Bayes' rule with equal priors, so that the expert
    of the field that a text is about teaches it. The loss is the cross-entropy to that mixture (Hinton et al. 2015).

    Args:
        student: is trained.
        experts: causal models with the student's vocabulary.
        rows: [num_rows, length], tokens of public text.
        settings: steps, rate and rows per step.
        random: of one item.

    >>> from gainnet.models.language import small_decoder
    >>> rows = torch.randint(2, 40, (8, 6), generator=torch.Generator().manual_seed(1))
    >>> student, expert = (small_decoder(16, 1, 2, 40, random_seed) for random_seed in (1, 2))
    >>> before = student.lm_head.weight.clone()
    >>> distil(student, [expert], rows, Distillation(num_steps=1, batch_size=4), Random.of(1))
    >>> torch.equal(before, student.lm_head.weight)
    False
    """
    for batch in _falling(student, rows, settings.num_steps, settings.batch_size, settings.rate, random):
        targets = mixture_of(experts, batch)
        logits = student(**inputs_of(student, *task_of(student, batch)), use_cache=False).logits
        loss = -(targets * logits.log_softmax(-1)).sum(-1).mean()
        loss.backward()


@torch.no_grad()
def mixture_of(experts: Sequence[Any], rows: Tensor) -> Tensor:
    """[batch, length, num_tokens], next-token probabilities of experts weighted by their evidence so far.

    Args:
        experts: causal models.
        rows: [batch, length].
    """
    logs = torch.stack([expert(input_ids=rows).logits.log_softmax(-1) for expert in experts])
    # Evidence of an expert: its probability of the token that came, summed over the prefix.
    of_token = logs[:, :, :-1].gather(-1, rows[None, :, 1:, None].expand(len(experts), -1, -1, 1)).squeeze(-1)
    # Nothing is read before the first token: all experts begin with the same weight.
    evidence = nn.functional.pad(of_token.cumsum(-1), (1, 0))
    return torch.einsum("kbt,kbtv->btv", evidence.softmax(0), logs.exp())


def train_centrally(model: Any, rows: Tensor, num_steps: int, batch_size: int, rate: float, random: Random) -> None:
    """Plain training of a whole model on rows that are all in one place, in place: what federated learning misses."""
    for batch in _falling(model, rows, num_steps, batch_size, rate, random):
        plain_step(model, batch)


def _falling(
    model: Any, rows: Tensor, num_steps: int, batch_size: int, rate: float, random: Random
) -> Iterator[Tensor]:
    """Mini-batches of rows, each followed by a step on the gradients made meanwhile, at a rate that falls to zero."""
    for p in model.parameters():
        p.requires_grad_(True)
    # Decay would pull rows of the embedding that public text never uses towards zero.
    optimizer = AdamW(model.parameters(), rate, weight_decay=0.0)
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / num_steps)
        yield rows[torch.from_numpy(random.generators("batch", step)[0].integers(len(rows), size=batch_size))]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
