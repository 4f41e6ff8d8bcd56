"""The study of the air: its references, its metrics, and a smoke run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

from gainnet.studies import find_study, run_study
from gainnet.studies.air import AIR
from gainnet.studies.air.question import METHODS, cases
from gainnet.studies.air.references import (
    bit_error_rate,
    ergodic_capacity,
    mean_q_of,
    normal_approximation_db,
)
from gainnet.studies.air.summary import summarise
from gainnet.studies.image_quality.air import BudgetedAir
from gainnet.studies.image_quality.conditions import AIRS, IMAGE_QUALITY_AIR
from gainnet.studies.presets import load_config


def q(x: float) -> float:
    return float(special.ndtr(-x))


@pytest.mark.parametrize("snr", [1.0, 10.0, 100.0])
def test_16qam_closed_form_is_the_textbook_one(snr: float) -> None:
    a = math.sqrt(snr / 5)
    expected = (3 * q(a) + 2 * q(3 * a) - q(5 * a)) / 4
    assert bit_error_rate(4, snr, mean_q_of(math.inf)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("k_factor", [0.0, 4.0])
def test_fading_means_are_those_of_drawn_gains(k_factor: float) -> None:
    rng = np.random.default_rng(0)
    scatter = math.sqrt(0.5 / (k_factor + 1)) * (rng.standard_normal(200_000) + 1j * rng.standard_normal(200_000))
    power = np.abs(math.sqrt(k_factor / (k_factor + 1)) + scatter) ** 2
    assert mean_q_of(k_factor)(2.0) == pytest.approx(float(special.ndtr(-np.sqrt(2.0 * power)).mean()), rel=0.02)
    assert ergodic_capacity(5.0, k_factor) == pytest.approx(float(np.log2(1 + 5 * power).mean()), rel=0.01)


def test_no_code_is_shorter_than_the_normal_approximation_allows() -> None:
    """It rises with the rate and approaches the Shannon limit with the length."""
    gaps = [normal_approximation_db(n, n, 1e-2) for n in (64, 256, 1024, 65536)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(0.0, abs=0.12)


def test_promised_metrics_are_named() -> None:
    promised = [f"bler.qpsk_half.{x}" for x in ("1p0db", "1p5db", "2p0db")]
    promised += [f"goodput_of_shannon.{snr}db" for snr in (0, 10, 20)]
    promised += ["fast_over_bit_level", "ks_pvalue.rayleigh", "ks_pvalue.jakes"]
    promised += [f"delivery_s.p{p}" for p in (50, 95, 99)]
    assert set(promised) <= set(AIR.metric_names)
    assert len(set(AIR.metric_names)) == len(AIR.metric_names)


def test_equal_chains_are_no_distance_apart() -> None:
    rows = {"method": "sionna", "ebn0_db": 1.0, "num_trials": 500, "num_errors": 60, "num_errors_reference": 60}
    metrics = summarise(pd.DataFrame([rows | {"random_seed": seed} for seed in range(2)]))
    assert metrics["bler.qpsk_half.1p0db"] == pytest.approx(0.12)
    assert metrics["bler.qpsk_half_z.1p0db"] == 0.0


def test_every_case_is_unique_and_names_a_method() -> None:
    listed = list(cases(load_config(AIR, "full")))
    assert len({case.key for case in listed}) == len(listed)
    assert {case.method for case in listed} == set(METHODS)


def test_conditions_reach_the_links() -> None:
    airs = {
        str(case.values["air"]): BudgetedAir.of(case)
        for case in IMAGE_QUALITY_AIR.cases(load_config(IMAGE_QUALITY_AIR, "default"))
    }
    assert set(airs) == set(AIRS)
    assert airs["late_reports"].air.reports.delay_blocks == 4
    assert airs["wrong_reports"].air.reports.error_db == 3.0
    assert airs["rayleigh"].harq == "none"
    assert airs["tdl_c"].block_length == 936
    assert airs["deadline"].slack < math.inf == airs["tdl_c"].slack


@pytest.mark.slow
@pytest.mark.parametrize("name", ["air", "image-quality-air"])
def test_quick_run_has_every_metric(name: str, tmp_path: Path) -> None:
    metrics = run_study(name, "quick", tmp_path).metrics
    assert set(metrics) == set(find_study(name).metric_names)
    assert any(value is not None for value in metrics.values())
