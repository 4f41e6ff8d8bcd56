"""Poisoned updates that look like honest ones: what they move, by rule."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import WeightedMean
from gainnet.learning.algorithms.fedavg import weighing
from gainnet.learning.safeguards.poisoning import hidden_update
from gainnet.learning.safeguards.robust import Krum, Median, TrimmedMean, krum_scores

HONEST, POISONED = 8, 2


@pytest.fixture
def updates() -> torch.Tensor:
    return 1.0 + 0.5 * Random.of(3).normal((HONEST, 200), "updates").double()


def test_it_is_no_further_from_any_honest_update_than_these_are_from_each_other(updates: torch.Tensor) -> None:
    crafted = hidden_update(updates)
    most = float(torch.cdist(updates, updates).max())
    furthest = float((crafted - updates).norm(dim=1).max())
    assert furthest == pytest.approx(most, rel=1e-6)
    # Krum takes it for the best of all: two equal updates are the closest of neighbours.
    scores = krum_scores(torch.cat([updates, crafted.expand(POISONED, -1)]), POISONED)
    assert int(scores.argmin()) < HONEST or float(scores.min()) <= float(scores[:HONEST].min())


@pytest.mark.parametrize(
    ("rule", "least", "most"),
    [(WeightedMean(), 0.1, 0.4), (Median(), 0.05, 0.4), (TrimmedMean(POISONED), 0.05, 0.4), (Krum(POISONED), 0.3, 1.5)],
)
def test_every_rule_is_moved_and_by_less_than_the_attack_asks(
    updates: torch.Tensor, rule: WeightedMean | Median | TrimmedMean | Krum, least: float, most: float
) -> None:
    """Distance of the merged update from the honest mean, over the norm of the honest mean."""
    start = {"a": torch.zeros(200).double()}
    sent = [*updates, *hidden_update(updates).expand(POISONED, -1)]
    arrived = [(weighing(NodeId(f"device_{i}"), 1), {"a": x}) for i, x in enumerate(sent)]
    moved = rule(start, arrived, Random.of(0)).state["a"] - updates.mean(0)
    share = float(moved.norm() / updates.mean(0).norm())
    assert least < share < most
