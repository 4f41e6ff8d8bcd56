"""The study trust: how its table is read, and that every preset lists cases that its methods know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gainnet.studies.presets import PRESETS, load_config
from gainnet.studies.runner import run_study
from gainnet.studies.trust import METRIC_NAMES, TRUST, summarise

COLUMNS = (
    "method", "attack", "rule", "level", "num_clients", "cut", "codec", "noise", "random_seed", "loss_before", "loss",
    "epsilon", "delta", "recovered", "fall_of_all", "sampled_error", "auction_value", "auction_budget", "shapley.0",
    "shapley.1",
)  # fmt: skip


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{name: row.get(name) for name in COLUMNS} | {"loss_before": 1.0} | row for row in rows])


def poisoned(attack: str, rule: str, loss: float, seed: int = 0) -> dict[str, Any]:
    return {"method": "poisoned", "attack": attack, "rule": rule, "loss": loss, "random_seed": seed}


def test_a_rule_is_judged_by_its_worst_attack_over_the_mean_of_seeds() -> None:
    found = summarise(
        table(
            poisoned("none", "mean", 0.0),
            poisoned("none", "mean", 0.5, seed=1),
            poisoned("sign_flip", "mean", 1.5),
            poisoned("sign_flip", "mean", 1.0, seed=1),
            poisoned("text", "mean", 0.2),
            poisoned("sign_flip", "median", 0.1),
            poisoned("sign_flip", "median", 0.55, seed=1),
            poisoned("text", "median", 0.3),
            poisoned("sign_flip", "multi_krum", 0.05),
            poisoned("text", "multi_krum", 0.5),
            poisoned("hidden", "median", 0.9),
        )
    )
    assert found["hidden_of_clean.median"] == pytest.approx(0.1), "and no part of the worst"
    assert found["plain_of_clean"] == pytest.approx(-0.25), "(-0.5 + 0) / 2 under sign_flip"
    assert found["plain_of_clean.text"] == pytest.approx(0.8)
    assert found["robust_of_clean.median"] == pytest.approx(0.7)
    assert found["robust_of_clean.multi_krum"] == pytest.approx(0.5)
    assert found["robust_of_clean"] == pytest.approx(0.7)
    assert found["robust_of_clean.sign_flip"] == pytest.approx(0.9)
    assert set(found) <= set(METRIC_NAMES)


def test_privacy_is_measured_by_the_same_rounds_without_noise() -> None:
    def private(level: str, count: int, loss: float, seed: int = 0) -> dict[str, Any]:
        told = {"epsilon": None, "delta": None} if level.endswith("clean") else {"epsilon": 7.9, "delta": 1e-5}
        return {"method": "private", "level": level, "num_clients": count, "loss": loss, "random_seed": seed} | told

    found = summarise(
        table(
            private("client_clean", 10, 0.5),
            private("client", 10, 1.5),
            private("client_clean", 200, 0.2),
            private("client", 200, 0.4),
            private("example_clean", 10, 0.0),
            private("example", 10, 0.25),
        )
    )
    assert found["dp8_of_clean.client.10"] == pytest.approx(-1.0)
    assert found["dp8_of_clean.client.200"] == found["dp8_of_clean"] == pytest.approx(0.75)
    assert found["dp8_of_clean.example.10"] == pytest.approx(0.75)
    assert (found["dp8.num_clients"], found["dp8.epsilon"], found["dp8.delta"]) == (200, 7.9, 1e-5)
    assert set(found) <= set(METRIC_NAMES)


def test_what_is_recovered_and_contributed() -> None:
    def read(cut: str, codec: str, noise: float, share: float, loss: float = 1.0) -> dict[str, Any]:
        where = {"cut": cut, "codec": codec, "noise": noise}
        return {"method": "reconstruction", **where, "recovered": share, "loss": loss, "random_seed": 0}

    crowd = {
        "method": "contributions", "random_seed": 0, "fall_of_all": 2.0, "sampled_error": 0.1, "auction_value": 4.0,
        "auction_budget": 3.0, "shapley.0": 2.5, "shapley.1": -0.5,
    }  # fmt: skip
    found = summarise(
        table(
            read("embedding_only", "float32", 0.0, 1.0),
            read("u_shape", "float32", 0.0, 0.9),
            read("u_shape", "int8", 0.0, 0.8),
            read("u_shape+3", "float32", 0.0, 0.7),
            read("embedding_only", "float32", 1.0, 0.6, loss=3.0),
            crowd,
        )
    )
    names = ("embedding_only", "u_shape", "int8", "u_shape_3", "noise")
    assert [found[f"attack_recovered.{name}"] for name in names] == [1.0, 0.9, 0.8, 0.7, 0.6]
    assert found["noise_loss_ratio"] == 3.0
    assert found["contribution.poisoned_share"] == -0.25
    assert found["auction.budget_of_value"] == 0.75
    assert set(found) <= set(METRIC_NAMES)


def test_attacks_are_read_beside_a_guess_and_counted() -> None:
    def tried(attack: str, rule: str, share: float, tries: int) -> dict[str, Any]:
        row = {"method": "attacks", "attack": attack, "rule": rule, "random_seed": 0}
        return row | {"recovered": share, "tried": tries}

    found = summarise(
        table(
            tried("noise_subtraction", "none", 1.0, 50),
            tried("noise_subtraction", "system", 0.0, 50),
            tried("replay", "record", 0.0, 10),
            tried("omission", "record", 0.1, 20),
            {"method": "accounting", "epsilon_ratio.0": 1.0, "epsilon_ratio.1": 0.98, "random_seed": 0},
        )
    )
    assert found["recovered.noise_subtraction.none"] == 1.0
    assert (found["noise_recoverable"], found["noise_tried"]) == (0, 50)
    assert (found["forgeries_accepted"], found["forgeries_tried"]) == (2, 30)
    assert found["epsilon_over_opacus"] == 0.98
    assert set(found) <= set(METRIC_NAMES)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_cases_that_differ(preset: str) -> None:
    config = load_config(TRUST, preset)
    keys = [case.key for case in TRUST.cases(config)]
    assert len(set(keys)) == len(keys) > 8
    assert config.clients.num_clients >= 2 * config.clients.num_poisoned + 3, "what Krum needs"
    assert config.clients.num_poisoned * 2 < config.clients.num_groups, "poisoned groups are fewer than half"


@pytest.mark.slow
def test_the_smoke_run_has_every_metric(tmp_path: Path) -> None:
    result = run_study(TRUST, "quick", tmp_path)
    assert set(result.metrics) == set(METRIC_NAMES)
    assert result.metrics["attack_recovered.embedding_only"] == 1.0
    assert result.metrics["robust_of_clean"] > result.metrics["plain_of_clean"]  # type: ignore[operator]
    assert len(result.figure_paths) == 4
