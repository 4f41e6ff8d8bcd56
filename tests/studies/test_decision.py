"""The study decision: metrics from a table, a population that only grows, and a smoke run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gainnet.catalog.deciding import decided
from gainnet.catalog.opening import open_request
from gainnet.catalog.records import GenerationConfig
from gainnet.codecs import CorrectionWeights
from gainnet.codecs.correction.weights import CORRECTIONS
from gainnet.generation.decision import Wanted, load_table, usable_table
from gainnet.generation.decision.table import install_table
from gainnet.studies import run_study
from gainnet.studies.decision import DECISION_STUDY
from gainnet.studies.decision.configurations import of_table
from gainnet.studies.decision.measuring import Measuring, measure
from gainnet.studies.decision.policies import best_fixed, policies
from gainnet.studies.decision.question import CVPO, DECISION, EVERY, FIXED, GREEDY, POLICIES, DecisionConfig, population
from gainnet.studies.decision.summary import metric_names, summarise
from gainnet.studies.presets import load_config


@pytest.fixture
def config() -> DecisionConfig:
    return load_config(DECISION_STUDY, "default")


def row(method: str, request: int, latency_s: float, keeps: bool, configuration: str | None = None) -> dict[str, Any]:
    return {
        "method": method, "random_seed": 0, "request": request, "configuration": configuration, "device": "phone",
        "latency_s": latency_s, "keeps": keeps,
    }  # fmt: skip


def test_ratios_are_over_requests_that_all_keep() -> None:
    rows = [
        *(row(DECISION, k, 1.0, True) for k in range(3)),
        *(row(FIXED, k, 4.0, k < 2) for k in range(3)),
        *(row(name, k, 2.0, True) for name in (GREEDY, CVPO) for k in range(3)),
        *(row(EVERY, k, 0.8, k != 1, "a") for k in range(3)),
        *(row(EVERY, k, 2.0, False, "b") for k in range(3)),
    ]
    metrics = summarise(pd.DataFrame(rows))
    assert set(metrics) <= set(metric_names())
    assert metrics["latency_of_best_fixed"] == 0.25
    assert metrics["num_all_keep"] == 2
    assert metrics["regret_to_best_run"] == 0.25
    assert metrics["regret_to_best_run.num_requests"] == 2
    assert metrics["infeasible_share"] == pytest.approx(1 / 3, abs=1e-4)
    assert metrics["latency_of_best_fixed_in_hindsight"] == 1.25


def test_more_requests_only_add_to_the_first(config: DecisionConfig) -> None:
    few, many = (population(config, 3, n) for n in (2, 4))
    assert few == many[:2]
    assert {asked.device for asked in population(config, 3, 30)} == set(config.devices)


def test_every_policy_chooses_from_the_table(config: DecisionConfig) -> None:
    asked = population(config, 3, 60)
    fixed = best_fixed(load_table(), asked)
    assert set(fixed) == set(config.devices)
    names = {each.name for each in of_table(load_table())}
    assert names == {each.name for each in load_table().configurations}
    chosen = {name: choose(asked[0]) for name, choose in policies(load_table(), asked).items()}
    assert set(chosen) == set(POLICIES)
    assert chosen[CVPO].configuration.settings["protocol"] == "eiug"
    assert chosen[FIXED].configuration.name == fixed[asked[0].device]


@pytest.mark.slow
def test_quick_decision_runs_every_configuration(tmp_path: Path) -> None:
    metrics = run_study("decision", "quick", tmp_path).metrics
    assert set(metrics) == set(metric_names())
    assert metrics["num_requests"] == 2


@pytest.mark.slow
def test_a_table_is_measured_with_the_fast_model_that_is_installed(installed_student: Path, tmp_path: Path) -> None:
    shipped = CorrectionWeights.load("scenes")
    drafts = ("fast-1", *shipped.drafts[1:])
    replace(shipped, drafts=drafts).save(CORRECTIONS.place(shipped.model_sha256), {})
    names = ("device_only 1 fast pass", "device_only 2 fast passes", "draft 1 fast pass, level 9")
    how = Measuring(2, (0.0, 10.0), ("eiug transform 60", *names))
    measure(tmp_path, how=how)
    table = load_table(tmp_path / "table.json")
    rows = {each.name: each for each in table.configurations}
    assert set(rows) == {"eiug transform 60", *names}
    assert rows[names[1]].passes["before"]["denoiser"] == 2
    assert rows[names[2]].passes["edge"]["denoiser"] == 21
    assert rows[names[2]].measured["awgn"]["psnr_db"][1] > rows[names[0]].measured["awgn"]["psnr_db"][1]
    assert usable_table() is load_table()
    install_table(tmp_path / "table.json")
    assert {each.name for each in usable_table().configurations} == set(rows)
    asked = GenerationConfig(("a red star",))
    config, _ = decided(asked, Wanted("uses"))
    assert config.protocol.startswith("device_only(fast=")
    # Its settings are those of a request that runs.
    assert open_request(replace(config, priced_as="shipped")).generate().values.isfinite().all()
    shutil.rmtree(installed_student)
    assert [each.name for each in usable_table().configurations] == ["eiug transform 60"]
