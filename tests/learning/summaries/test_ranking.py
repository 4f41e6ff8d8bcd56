"""Ranking by split learning: a step is that of the whole ranker, and devices together learn what one place would."""

from __future__ import annotations

import copy

import pytest
import torch

from gainnet.codecs import Float32
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.clients import LocalTraining, cell_of
from gainnet.learning.exchange import PRIVATE, Exchange
from gainnet.learning.summaries.ranking import (
    Ranked,
    Ranker,
    Scaling,
    learn_split,
    learn_whole,
    ranking_loss,
    split_step,
)
from gainnet.network import profile
from gainnet.radio import Ideal

WIDTH = 6
DEVICES = (NodeId("one"), NodeId("two"))
NETWORK = cell_of(DEVICES, profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))


def documents(count: int, seed: int) -> list[Ranked]:
    """Documents whose best sentence is the one with the largest first feature."""
    source = torch.Generator().manual_seed(seed)
    features = [torch.randn(5, WIDTH, generator=source) for _ in range(count)]
    return [Ranked(x, x[:, 0].softmax(0)) for x in features]


def right(ranker: Ranker, known: list[Ranked]) -> float:
    return sum(ranker.best(x.features) == int(x.gains.argmax()) for x in known) / len(known)


def test_a_split_step_is_a_step_of_the_whole() -> None:
    ranker, some = Ranker(WIDTH, 4, 0), documents(3, 1)
    whole = copy.deepcopy(ranker)
    ranking_loss(whole(torch.cat([x.features for x in some])), some).backward()
    split_step(ranker, some, Exchange(NETWORK, Random.of(0), PRIVATE), DEVICES[0], Float32())
    for p, q in zip(ranker.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-7)


@pytest.mark.slow
def test_devices_learn_together_and_their_bits_are_counted() -> None:
    known = {name: documents(24, seed) for seed, name in enumerate(DEVICES)}
    ranker, training = Ranker(WIDTH, 8, 0), LocalTraining("adamw", 2e-2, 8, 8)
    cost = learn_split(ranker, known, NETWORK, training, 4, Random.of(3))
    assert right(ranker, documents(60, 9)) > 0.8
    # Up and down in every step: 40 sentences of 8 values and a scale; once a round the parts of the device.
    payload = 2 * 4 * 8 * 2 * 40 * (8 + 4) * 8
    assert payload < cost["num_bits_up"] < 1.1 * payload
    whole = Ranker(WIDTH, 8, 0)
    learn_whole(whole, [x for some in known.values() for x in some], training, 64, Random.of(3))
    assert right(whole, documents(60, 9)) > 0.8


def test_a_device_without_abstracts_is_named() -> None:
    known: dict[NodeId, list[Ranked]] = {DEVICES[0]: documents(2, 0), DEVICES[1]: []}
    with pytest.raises(ConfigError, match=r"^clients: two has no abstracts"):
        learn_split(Ranker(WIDTH, 4, 0), known, NETWORK, LocalTraining(), 1, Random.of(0))


def test_vectors_are_scaled_down() -> None:
    every = [x.features for x in documents(200, 5)]
    scaled = torch.cat([Scaling.over(every, 2).of(x) for x in every])
    assert scaled.mean(0) == pytest.approx(torch.zeros(WIDTH).tolist(), abs=1e-4)
    assert scaled.std(0) == pytest.approx([1.0] * 2 + [0.1] * 4, abs=2e-3)
