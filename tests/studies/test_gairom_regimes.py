"""The default is compared with the best causal policy of every held-out scenario; intervals are those of rliable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gainnet.studies import gairom_regimes as regimes
from gainnet.studies.gairom_regimes.question import DEFAULT
from gainnet.studies.gairom_regimes.summary import learned_over_untrained, metric_names, summarise
from gainnet.studies.reliable import interquartile_mean, stratified_interval


def rows(scenario: int, gains: dict[str, list[float]], objective: str = "published") -> list[dict[str, Any]]:
    numbers = {"num_rounds": 3, "coupling_bits_per_hz_s": 0.5, "scarcity_cycles": 1.0, "moved_m": 30.0, "crowding": 0.0}
    return [
        {"method": method, "scenario": scenario, "objective": objective, "random_seed": 0, "gain": gain,
         "training_seed": float(seed) if len(values) > 1 else None, **numbers}
        for method, values in gains.items()
        for seed, gain in enumerate(values)
    ]  # fmt: skip


def table() -> pd.DataFrame:
    found = rows(3, {DEFAULT: [10.0], "greedy": [8.0]})
    found += rows(100, {DEFAULT: [10.0], "greedy": [10.0], "sac": [9.0, 12.5, 10.0], "reference": [20.0]})
    found += rows(101, {DEFAULT: [10.0], "greedy": [5.0], "sac": [10.0, 9.0, 8.0]})
    return pd.DataFrame(found)


def test_every_training_of_a_learned_policy_is_a_rival_and_the_optimum_is_none() -> None:
    metrics = summarise(table())
    assert metrics["num_held_out"] == 2
    assert metrics["default_of_best.min"] == pytest.approx(0.8)
    assert metrics["default_of_best.p05"] == pytest.approx(0.8 + 0.05 * 0.2)
    assert metrics["training.default_of_best.mean"] == 1.0
    assert metrics["training.rank_of_default"] == 1.0
    assert metrics["learning_pays"] == 0.5
    assert set(metrics) <= set(metric_names())


def test_what_learning_adds_is_of_the_mean_over_its_trainings() -> None:
    held_out = table()[table()["scenario"] >= 100]
    assert learned_over_untrained(held_out).tolist() == pytest.approx([1.05, 0.9])


def test_the_interval_of_equal_scores_is_a_point_and_outliers_do_not_move_the_middle() -> None:
    assert stratified_interval(np.full((3, 7), 0.5)) == (0.5, 0.5)
    scores = np.concatenate([np.full((1, 20), 1.0), np.full((1, 4), 100.0)], axis=1)
    assert interquartile_mean(scores) == 1.0
    dice = np.random.default_rng(0)
    wide, narrow = (stratified_interval(dice.normal(size=(3, tasks))) for tasks in (10, 400))
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_pictures_are_drawn_from_the_table() -> None:
    assert [name for name, _ in regimes.draw(table())] == ["map", "shares"]
