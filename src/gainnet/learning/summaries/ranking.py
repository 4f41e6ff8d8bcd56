"""Ranking of sentences, learned on devices that keep their abstracts, by split learning with an edge.

device: features --[ front ]==activations==> edge: [ body ] ==activations==> device: [ tail ]--> scores, loss
        <==gradients== the same way back; per round the device parts are averaged, the edge keeps one body
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from gainnet.codecs import AnyCodec, Int8
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random, seeded
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import average
from gainnet.learning.clients import LocalTraining
from gainnet.learning.exchange import PRIVATE, Exchange
from gainnet.network import EDGE, Network

VECTOR_SIZE = 0.1
"""Standard deviation of the numbers of a sentence's vector beside 1 of its other features."""
INT8: Final = Int8()
TEMPERATURE = 0.1
"""Of gains in the loss: sentences whose gains differ by this much are wanted e times as often as each other."""


@final
@dataclass(frozen=True, eq=False)
class Ranked:
    """Sentences to learn from.

    Args:
        features: [num_sentences, width].
        gains: [num_sentences], score in [0, 1] of the conclusion that each sentence would give.
    """

    features: Tensor
    gains: Tensor


@final
@dataclass(frozen=True, eq=False)
class Scaling:
    """Features with mean 0 and standard deviation 1 over public documents, vectors smaller.

    Args:
        mean: [width].
        factor: [width].
    """

    mean: Tensor
    factor: Tensor

    @staticmethod
    def over(features: Sequence[Tensor], num_plain: int) -> Scaling:
        """The scaling of features [num_sentences, width] of documents, of which the first so many are no vector."""
        every = torch.cat([*features])
        factor = 1 / (every.std(0) + 1e-3)
        # The numbers of a vector are many: at full size they drown the features before them.
        factor[num_plain:] *= VECTOR_SIZE
        return Scaling(every.mean(0), factor)

    def of(self, features: Tensor) -> Tensor:
        """[num_sentences, width], scaled."""
        return (features - self.mean) * self.factor


class Ranker(nn.Module):
    """A score per sentence, in three parts that can stand in two places.

    Args:
        width: features of a sentence.
        hidden: values that cross per sentence.
        random_seed: of the weights.
    """

    def __init__(self, width: int, hidden: int, random_seed: int) -> None:
        super().__init__()
        with seeded(random_seed):
            self.front = nn.Sequential(nn.Linear(width, hidden), nn.Tanh())
            self.body = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh())
            self.tail = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[num_sentences] of features [num_sentences, width]."""
        scores: Tensor = self.tail(self.body(self.front(features))).squeeze(-1)
        return scores

    @torch.no_grad()
    def best(self, features: Tensor) -> int:
        """Place of the sentence with the highest score, of features [num_sentences, width]."""
        return int(self(features).argmax())


def ranking_loss(scores: Tensor, some: Sequence[Ranked]) -> Tensor:
    r"""Cross-entropy between what is wanted and what is scored, mean over documents (ListNet, Cao et al. 2007).

    $-\sum_i \mathrm{softmax}(g / \tau)_i \log \mathrm{softmax}(s)_i$

    Args:
        scores: [sentences of all documents], one document after the other.
        some: their gains.
    """
    parts = scores.split([len(ranked.gains) for ranked in some])
    losses = [
        -((ranked.gains / TEMPERATURE).softmax(0) * part.log_softmax(0)).sum()
        for ranked, part in zip(some, parts, strict=True)
    ]
    return torch.stack(losses).mean()


def learn_whole(
    ranker: Ranker, known: Sequence[Ranked], training: LocalTraining, num_steps: int, random: Random
) -> None:
    """Trains a ranker in place on documents that are all in one place, at a rate that falls to zero.

    Args:
        ranker: is trained.
        known: documents.
        training: rate and documents per mini-batch; its number of steps is not read.
        num_steps: mini-batches.
        random: of mini-batches.
    """
    optimizer = training.start(ranker.parameters())
    for step in range(num_steps):
        _set_rate(optimizer, training.rate * (1 - step / num_steps))
        some = _batch(known, training.batch_size, random, step)
        ranking_loss(ranker(torch.cat([ranked.features for ranked in some])), some).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def learn_split(
    ranker: Ranker,
    known: Mapping[NodeId, Sequence[Ranked]],
    network: Network,
    training: LocalTraining,
    num_rounds: int,
    random: Random,
    codec: AnyCodec = INT8,
) -> dict[str, float]:
    """Trains a ranker in place with devices that keep their documents and labels; the cost of all rounds.

    Args:
        ranker: is trained.
        known: documents of each device.
        network: edge and devices.
        training: of a device in a round.
        num_rounds: how many.
        random: of mini-batches and links.
        codec: of activations and gradients.

    Returns:
        num_bits_up, num_bits_down, duration_s, energy_j.

    Raises:
        ConfigError: a device has no documents.
    """
    if empty := [name for name, some in known.items() if not some]:
        raise ConfigError(f"clients: {empty[0]} has no abstracts; give fewer clients or more abstracts")
    cost = dict.fromkeys(("num_bits_up", "num_bits_down", "duration_s", "energy_j"), 0.0)
    # The edge's optimizer goes on over clients and rounds, as its part does.
    at_edge, parts = training.start(ranker.body.parameters()), _device_parts(ranker)
    for index in range(num_rounds):
        stream = random.child("round", index)
        exchange, held = Exchange(network, stream, PRIVATE), []
        rate, start = training.rate * (1 - index / num_rounds), copy.deepcopy(parts.state_dict())
        _set_rate(at_edge, rate)
        for name, documents in known.items():
            received, _ = exchange.send_until("weights", EDGE, name, start)
            if received is None:
                continue
            parts.load_state_dict(received)
            on_device = training.start(parts.parameters())
            _set_rate(on_device, rate)
            for step in range(training.num_steps):
                some = _batch(documents, training.batch_size, stream.child(name), step)
                split_step(ranker, some, exchange, name, codec)
                for optimizer in (on_device, at_edge):
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
            back, _ = exchange.send_until("weights", name, EDGE, parts.state_dict())
            held += [(back, float(len(documents)))] if back is not None else []
        merged = average([values for values, _ in held], [weight for _, weight in held]) if held else start
        parts.load_state_dict(merged)
        report = exchange.report()
        cost["num_bits_up"] += report.num_bits_of("up")
        cost["num_bits_down"] += report.num_bits_of("down")
        cost["duration_s"] += report.duration_s
        cost["energy_j"] += report.energy_j
    return cost


def split_step(ranker: Ranker, some: Sequence[Ranked], exchange: Exchange, device: NodeId, codec: AnyCodec) -> None:
    """Gradients of one mini-batch on both sides.

    Args:
        ranker: gets them.
        some: documents of the mini-batch.
        exchange: what crosses, it carries.
        device: whose documents they are.
        codec: of activations and gradients.
    """

    def carry(kind: str, source: NodeId, target: NodeId, x: Tensor) -> Tensor:
        ((values, _),) = exchange.send(kind, source, (target,), x.detach()[None], codec)
        received: Tensor = values[0]
        return received

    ahead = ranker.front(torch.cat([ranked.features for ranked in some]))
    at_edge = carry("activations", device, EDGE, ahead).requires_grad_()
    behind = ranker.body(at_edge)
    at_device = carry("activations", EDGE, device, behind).requires_grad_()
    # Labels stay at home: the loss is on the device, and only gradients leave it.
    ranking_loss(ranker.tail(at_device).squeeze(-1), some).backward()
    behind.backward(carry("gradients", device, EDGE, _gradient(at_device)))
    ahead.backward(carry("gradients", EDGE, device, _gradient(at_edge)))


def _gradient(x: Tensor) -> Tensor:
    assert x.grad is not None, "backward has just been called"
    return x.grad


def _device_parts(ranker: Ranker) -> nn.ModuleList:
    return nn.ModuleList([ranker.front, ranker.tail])


def _batch(known: Sequence[Ranked], size: int, random: Random, step: int) -> list[Ranked]:
    rows = random.generators("batch", step)[0].integers(len(known), size=size)
    return [known[int(row)] for row in rows]


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
