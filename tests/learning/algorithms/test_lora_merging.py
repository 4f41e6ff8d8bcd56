"""What of LoRA is averaged: exact and linear, exact and growing, nearest of a rank, or neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from gainnet.catalog.learning import method_of
from gainnet.catalog.records import LearnConfig
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import attach, values_of_adapter
from gainnet.learning.algorithms.algorithm import Open, average
from gainnet.learning.algorithms.flora import Flora
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.merging import FIRST, SECOND, StackedMean, distance_from_mean, updates_of
from gainnet.learning.algorithms.methods import Lora, Setting
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.engines.remote import elsewhere
from gainnet.learning.safeguards.robust import Median
from gainnet.learning.safeguards.secure_aggregation import MaskedMean
from gainnet.learning.safeguards.settings import Safeguards
from gainnet.network import Network

TRAINING = LocalTraining("sgd", 0.5, 3, 4)
SLOW = pytest.mark.slow


def bound(text: str, model: Any, network: Network) -> Any:
    method = method_of(LearnConfig(text))
    algorithm, _ = method.bound(Setting(model, network, TRAINING, Participation(), 24))
    return replace(algorithm, dtype=torch.float32)  # type: ignore[type-var]


def trained(algorithm: Any, clients: tuple[Client, ...], random: Random) -> list[Any]:
    given = algorithm.init(random)
    return [algorithm.train_client(client, given, random) for client in clients]


def with_first(algorithm: Fpl, states: list[Any]) -> list[Any]:
    """States with the first factors that everybody has."""
    fixed = values_of_adapter(attach(algorithm.model, "lora", algorithm.size))
    return [fixed | state for state in states]


@pytest.mark.slow
@pytest.mark.parametrize("merging", ["frozen", *(pytest.param(x, marks=SLOW) for x in ("stacked", "svd", "factors"))])
def test_each_way_has_the_error_that_is_said(
    merging: str, model: Any, clients: tuple[Client, ...], network: Callable[..., Network], random: Random
) -> None:
    algorithm = bound(f"lora(rank=2, merging={merging})", model, network())
    states, weights = trained(algorithm, clients, random), [client.weight for client in clients]
    after, _ = algorithm.round(algorithm.init(random), clients, random)
    if merging == "frozen":
        assert all(name.endswith(SECOND) for name in after), "the first factors are nobody's to send"
        torch.testing.assert_close(after, average(states, weights))
        states, after = with_first(algorithm, states), with_first(algorithm, [after])[0]
    gap = distance_from_mean(after, states, weights)
    assert gap < {"frozen": 1e-5, "stacked": 1e-5, "svd": 1.0, "factors": 2.0}[merging]
    assert gap > {"frozen": -1, "stacked": -1, "svd": 1e-5, "factors": 1e-5}[merging]
    loaded = algorithm.model_of(after)
    assert sum(p.requires_grad for p in loaded.parameters()) > 0


@SLOW
def test_stacks_grow_by_the_round_until_they_are_full(
    model: Any, clients: tuple[Client, ...], network: Callable[..., Network], random: Random
) -> None:
    algorithm = bound("lora(rank=2, merging=stacked)", model, network())
    assert isinstance(algorithm, Flora)
    state, ranks, bits = algorithm.init(random), [], []
    for _ in range(4):
        before = updates_of(state)
        made = [algorithm.train_client(client, state, random) for client in clients]
        state, report = algorithm.round(state, clients, random)
        wanted = average([updates_of(x) for x in made], [c.weight for c in clients])
        for name, update in updates_of(state).items():
            torch.testing.assert_close(update, before[name] + wanted[name], rtol=0, atol=1e-5)
        ranks.append(next(len(x) for name, x in state.items() if name.endswith(FIRST)))
        bits.append(report.num_bits_of("down"))
    assert ranks[:2] == [6, 12]
    assert ranks[-1] == ranks[-2] <= 16, "no longer than the maps are wide"
    assert bits[0] < bits[1] < bits[2]
    with pytest.raises(ConfigError, match="merging"):
        elsewhere(algorithm, lambda *_: {})


def test_an_empty_round_and_equal_starts_change_nothing() -> None:
    start = {"x" + FIRST: torch.ones(1, 3), "x" + SECOND: torch.zeros(4, 1)}
    client = Client("a", torch.zeros(2, 2))  # type: ignore[arg-type]
    assert StackedMean()(start, [], Random.of(0)).state is start
    assert StackedMean()(start, [(client, start)], Random.of(0)).state is start


def test_what_is_noised_or_masked_is_linear_unless_one_says_otherwise(
    model: Any, network: Callable[..., Network]
) -> None:
    assert Safeguards(MaskedMean()).fitted(Lora()) == Lora(merging="frozen")
    assert Safeguards(MaskedMean()).fitted(Lora(merging="factors")) == Lora(merging="factors")
    assert Safeguards(Open(Median())).fitted(Lora()) == Lora()
    svd = bound("lora(merging=svd)", model, network())
    assert Safeguards().around(svd, (), None).aggregation == svd.aggregation
    with pytest.raises(ConfigError, match="merging"):
        Safeguards(MaskedMean()).around(svd, (), None)
