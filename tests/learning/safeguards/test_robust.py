"""Rules that few poisoned clients cannot turn: against closed forms, brute force and the plain mean as control."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Open, WeightedMean, update_of, with_update
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining
from gainnet.learning.safeguards.poisoning import GaussianUpdate, Poisoned, SignFlip, swapped_words
from gainnet.learning.safeguards.robust import Krum, Median, TrimmedMean, krum_scores, median_of, trimmed_mean_of
from gainnet.network import Network

RULES = (Median(), TrimmedMean(2), Krum(2), Krum(2, 5))


def arrived(values: Tensor) -> list[tuple[Client, dict[str, Tensor]]]:
    return [(Client(NodeId(f"c{i}"), torch.zeros(1 + i, 2)), {"a": row}) for i, row in enumerate(values)]


def test_the_median_and_the_trimmed_mean_are_those_of_numpy_and_scipy() -> None:
    from scipy.stats import trim_mean

    for count in (4, 7, 10):
        x = Random.of(count).normal((count, 50), "x").double()
        np.testing.assert_allclose(median_of(x), np.median(x.numpy(), axis=0))
        for cut in range((count - 1) // 2 + 1):
            np.testing.assert_allclose(trimmed_mean_of(x, cut), trim_mean(x.numpy(), (cut + 0.1) / count, axis=0))


def test_krum_is_its_definition() -> None:
    x, bad = Random.of(1).normal((9, 5), "x").double(), 2
    for i, score in enumerate(krum_scores(x, bad).tolist()):
        others = [float((x[i] - x[j]).square().sum()) for j in range(9) if j != i]
        nearest = min(sum(some) for some in itertools.combinations(others, 9 - bad - 2))
        assert score == pytest.approx(nearest)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_two_of_ten_cannot_turn_a_rule_however_far_they_go(rule: Any) -> None:
    """The bound of the median: the result stays among the honest values; Krum keeps honest updates alone."""
    honest = Random.of(2).normal((8, 30), "x").double()
    start = {"a": torch.zeros(30, dtype=torch.float64)}
    for far in (3.0, 1e3, 1e12):
        for bad in (torch.full((2, 30), far), torch.stack([torch.full((30,), far), torch.full((30,), -far)])):
            state = rule(start, arrived(torch.cat([honest, bad.double()])), Random.of(0)).state["a"]
            assert bool((state >= honest.amin(0)).all())
            assert bool((state <= honest.amax(0)).all())
    mean = WeightedMean()(start, arrived(torch.cat([honest, torch.full((2, 30), 1e3).double()])), Random.of(0))
    assert float(mean.state["a"].min()) > 100, "the control: the mean goes wherever one of them pulls"


def test_krum_says_whose_updates_it_took() -> None:
    values = torch.cat([torch.zeros(6, 4), torch.full((2, 4), 9.0)])
    merged = Krum(2, 6)({"a": torch.zeros(4)}, arrived(values), Random.of(0))
    assert merged.included == tuple(NodeId(f"c{i}") for i in range(6))


@pytest.mark.parametrize(("rule", "count"), [(Krum(2), 6), (Krum(1, 5), 5), (TrimmedMean(2), 4)])
def test_too_few_updates_are_refused(rule: Any, count: int) -> None:
    with pytest.raises(ConfigError, match="needed"):
        rule({"a": torch.zeros(3)}, arrived(torch.zeros(count, 3)), Random.of(0))
    for make in (lambda: Krum(-1), lambda: Krum(0, 0), lambda: TrimmedMean(-1)):
        with pytest.raises(ConfigError):
            make()


def test_an_update_and_back() -> None:
    start = {"b": torch.randn(2, 3), "a": torch.randn(4)}
    after = {n: x + 1 for n, x in start.items()}
    for name, x in with_update(start, update_of(start, after)).items():
        torch.testing.assert_close(x, after[name])


def test_swapped_words_are_another_text_of_the_same_shape() -> None:
    rows = torch.arange(40).reshape(4, 10)
    other = swapped_words(rows, (0, 1, 5), 40, Random.of(0))
    assert torch.equal(other.flatten().sort().values, rows.flatten()), "one word for one word"
    kept = torch.isin(rows, torch.tensor([0, 1, 5]))
    assert torch.equal(other == rows, kept)
    assert torch.equal(other, swapped_words(rows, (0, 1, 5), 40, Random.of(0)))


def test_tampering_is_what_it_says() -> None:
    update = Random.of(0).normal((200,), "x").double()
    torch.testing.assert_close(SignFlip(4.0)(update, Random.of(0)), -4 * update)
    noise = GaussianUpdate(10.0)(update, Random.of(0))
    assert float(noise.norm() / update.norm()) == pytest.approx(10.0)
    assert abs(float(noise @ update) / float(noise.norm() * update.norm())) < 0.25


@pytest.mark.parametrize("name", ["fedavg", pytest.param("lora", marks=pytest.mark.slow)])
def test_a_round_takes_a_rule(
    name: str, model: Any, clients: Any, network: Callable[..., Network], random: Random
) -> None:
    """One of three flips signs: the median stays near the honest round, the mean does not."""
    training, cost = LocalTraining("sgd", 0.1, 2, 4), StepCost(0, 0, 0, 0, 0)
    found = {}
    for rule, bad in (("mean", ()), ("mean", (clients[1].name,)), ("median", (clients[1].name,))):
        inner = Open(Median()) if rule == "median" else Open()
        aggregation = Poisoned(inner, SignFlip(30.0), bad)
        subject: Any = (
            FedAvg(model, network(), training, cost, aggregation=aggregation)
            if name == "fedavg"
            else Fpl(model, network(), training, cost, "lora", 2, torch.float32, aggregation=aggregation)
        )
        start = {n: x.clone() for n, x in subject.init(random).items()}
        state, report = subject.round(start, clients, random)
        found[rule, bool(bad)] = update_of(start, state)
        assert report.num_bits > 0
    honest = found["mean", False]
    assert float((found["median", True] - honest).norm()) < float(honest.norm())
    assert float((found["mean", True] - honest).norm()) > 5 * float(honest.norm())


def test_ranks_that_differ_leave_no_choice_of_rule(
    model: Any, clients: Any, network: Callable[..., Network], random: Random
) -> None:
    training, cost = LocalTraining("sgd", 0.1, 1, 2), StepCost(0, 0, 0, 0, 0)
    subject = Fpl(model, network(), training, cost, "lora", 2, aggregation=Open(Median()))
    mixed = (clients[0], Client(clients[1].name, clients[1].rows, rank=1))
    with pytest.raises(ConfigError, match="rank"):
        subject.round(subject.init(random), mixed, random)


def test_the_start_is_the_same_after_rounds(
    model: Any, clients: Any, network: Callable[..., Network], random: Random
) -> None:
    subject = Fpl(
        model, network(), LocalTraining("sgd", 0.1, 1, 2), StepCost(0, 0, 0, 0, 0), "adapter", 1, torch.float32
    )
    first = subject.init(random)
    state, _ = subject.round(first, clients, random)
    assert float(update_of(first, state).norm()) > 0
    assert not update_of(first, subject.init(random)).any()
