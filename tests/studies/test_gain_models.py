"""Rank correlations of gains are per world, and the measured one is compared in pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.orchestration import Greedy, RandomChoice
from gainnet.studies import gain_models
from gainnet.studies.gain_models.fitting import Played, published_fit
from gainnet.studies.gain_models.rounds import path_of, refitted_gain
from gainnet.studies.gairom.arena import arena, scenario_of_regime
from gainnet.studies.gairom_learning.digits import load_digits
from gainnet.studies.presets import load_config


def test_a_gain_that_ranks_as_the_truth_is_1_in_every_world() -> None:
    dice, rows = np.random.default_rng(0), []
    for seed in range(6):
        for policy in range(5):
            fall = policy + 10.0 * seed
            shuffled = float(dice.normal())
            rows.append(
                {"method": f"p{policy}", "regime": "independent", "random_seed": seed, "fall": fall, "accuracy": -fall,
                 "published": shuffled, "published_fitted": shuffled, "trained": -fall, "measured": np.exp(policy)}
            )  # fmt: skip
    metrics = gain_models.summarise(pd.DataFrame(rows))
    assert metrics["rank_correlation.measured"] == 1.0
    assert metrics["rank_correlation.trained"] == -1.0
    assert metrics["rank_correlation.measured.accuracy"] == -1.0
    assert metrics["measured_minus_trained.low"] == 2.0
    mean, low = metrics["measured_minus_published.mean"], metrics["measured_minus_published.low"]
    assert mean is not None
    assert low is not None
    assert low < mean
    assert set(metrics) <= set(gain_models.METRIC_NAMES)
    assert [name for name, _ in gain_models.draw(pd.DataFrame(rows))] == ["rank_correlations"]


@pytest.mark.slow
def test_a_training_is_followed_round_by_round_on_images_that_no_client_has() -> None:
    train, test = load_digits(4)
    here = arena(scenario_of_regime("independent", 8), "independent", 2)
    rollout, _ = here.play(Greedy())
    config = load_config(gain_models.GAIN_MODELS, "quick")
    path = path_of(here.world, rollout, train, test.every_second(1), config, Random.of(2))
    assert path.loss.shape == (6, 4, 10)
    assert path.fall > 0
    torch.testing.assert_close(path.lesson.samples.sum(), rollout.trained.round().sum())
    own = refitted_gain(here.world, here.regime, rollout, 50.0, 1.0)
    assert own == pytest.approx(float(rollout.gain.sum()))
    other, _ = here.play(RandomChoice())
    played = [Played(here.world, here.regime, one, fall) for one, fall in ((rollout, 2.0), (other, 1.0))]
    assert set(published_fit(played)["independent"]) == {"correlation", "scale", "exponent"}


def test_halves_of_the_images_share_none_and_have_all_domains() -> None:
    _, test = load_digits(4)
    one, other = (test.every_second(start) for start in (0, 1))
    assert len(one.images) + len(other.images) == len(test.images)
    for half in (one, other):
        for domain in range(4):
            assert set((half.of_domain(domain)[1] % 4).tolist()) == {domain}
    shares = test.label_shares()
    torch.testing.assert_close(shares.sum(-1), torch.ones(4, dtype=torch.float64))
