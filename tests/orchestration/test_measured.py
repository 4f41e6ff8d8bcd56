"""The measured gain: a polynomial that a fit recovers, losses that fall in turn, files that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_street import small

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Greedy, RandomChoice
from gainnet.orchestration.measured import (
    Lesson,
    fit_measured,
    from_plain,
    inputs_of,
    lesson_of,
    load_measured,
    monomials,
    to_plain,
)
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.rollout import play
from gainnet.orchestration.world import draw_world

OWN = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]], dtype=torch.float64)
LABELS = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]], dtype=torch.float64)


def lessons(num: int) -> Lesson:
    dice = torch.Generator().manual_seed(0)
    samples = 200 * torch.rand(num, 2, 4, generator=dice, dtype=torch.float64)
    return Lesson(samples, torch.randint(1, 9, (num, 2), generator=dice).double(), OWN)


def test_a_lesson_counts_what_the_clients_of_a_model_train_with() -> None:
    shares = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1.0]], dtype=torch.float64)
    found = lesson_of(torch.tensor([0, 0, 1]), torch.tensor([10.0, 8.0, 0.0], dtype=torch.float64), shares, OWN)
    assert found.samples.tolist() == [[12.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]]
    assert found.num_clients.tolist() == [2.0, 0.0]


def test_a_fit_recovers_falls_that_are_a_polynomial_and_survives_its_file(tmp_path: Path) -> None:
    lesson = lessons(400)
    loss = 1.0 + torch.rand(400, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = inputs_of(loss, lesson)
    share = 0.1 * inputs[..., 0] * inputs[..., 1] - 0.02 * inputs[..., 3]
    found = fit_measured(loss, loss * torch.exp(-share), lesson, ridge=1e-9)
    fall = loss * (1 - torch.exp(-share))
    usual = (OWN.expand_as(loss) > 0) & ((inputs > found.low) & (inputs < found.high)).all(-1)
    torch.testing.assert_close(found.falls(loss, lesson)[usual], fall[usual], atol=2e-3, rtol=1e-2)
    (tmp_path / "gain.json").write_text(json.dumps(to_plain(found)))
    again = load_measured(tmp_path / "gain.json")
    torch.testing.assert_close(again.falls(loss, lesson), found.falls(loss, lesson))
    for broken in ({"kind": "other"}, {"weight": [1.0]}, {"mean": [float("nan")] * 6}):
        with pytest.raises(ModelError, match="measured gain"):
            from_plain({**to_plain(found), **broken})
    with pytest.raises(ModelError, match="missing or damaged"):
        load_measured(tmp_path / "none.json")


def test_the_shipped_gain_knows_that_own_samples_teach_and_nothing_teaches_nothing() -> None:
    gain = load_measured()
    labels = torch.zeros(2, 10, dtype=torch.float64)
    labels[0, [0, 4, 8]], labels[1, [1, 5, 9]] = 1 / 3, 1 / 3
    pure, foreign = (300 * labels[row].expand(1, 2, 10) for row in ([0, 1], [1, 0]))
    loss = torch.full((1, 2, 10), gain.first_loss, dtype=torch.float64)
    clients = torch.full((1, 2), 6.0, dtype=torch.float64)
    weight = torch.ones(2, dtype=torch.float64)
    taught, misled = (gain.gain(loss, Lesson(x, clients, labels), weight) for x in (pure, foreign))
    assert float(taught) > 0.6 > 0.3 > float(misled)
    assert float(gain.gain(loss, Lesson(0 * pure, clients, labels), weight)) == 0.0


def test_a_policy_that_looks_teaches_more_than_chance_and_monomials_are_all_products() -> None:
    world = draw_world(small(12, 4, 3), Random.of([0, 1]))
    regime, gain = Independent.of(world.scenario), load_measured()
    labels = torch.zeros(4, 10, dtype=torch.float64)
    for digit in range(10):
        labels[digit % 4, digit] = 1.0
    labels = labels / labels.sum(-1, keepdim=True)
    rollouts = (play(world, regime, policy, Random.of([0, 1])) for policy in (Greedy(), RandomChoice()))
    looking, chance = (gain.of_rollout(world, rollout, labels) for rollout in rollouts)
    assert looking.shape == (2, 3)
    assert bool((looking.sum(-1) > chance.sum(-1)).all())
    assert monomials(torch.tensor([2.0, 3.0])).tolist() == [1, 2, 3, 4, 6, 9]
