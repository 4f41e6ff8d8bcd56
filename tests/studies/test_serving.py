"""The study of serving: its metrics from a table, and a whole quick run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gainnet.studies.presets import load_config
from gainnet.studies.runner import run_study
from gainnet.studies.serving import SERVING

BURST = {"measured_ideal_mean_s": 2.0, "measured_ideal_p99_s": 4.0, "measured_ideal_in_time_share": 1.0}
ROWS = [
    {"method": "locked", "load": "steady", "num_pictures": 10, "measured_cpu_s": 5.0},
    {"method": "single", "load": "steady", "num_pictures": 10, "measured_cpu_s": 2.5},
    {"method": "batched", "load": "steady", "num_pictures": 10, "measured_cpu_s": 2.0, "measured_unet_s": 1.6,
     "measured_unet_gflops_per_s": 70.0, "measured_matmul_gflops_per_s": 110.0},
    {"method": "few_steps", "load": "steady", "num_pictures": 10, "measured_cpu_s": 0.5},
    {"method": "locked", "load": "burst", "measured_mean_s": 20.0, "measured_p99_s": 40.0,
     "measured_in_time_share": 0.1, **BURST},
    {"method": "batched", "load": "burst", "measured_mean_s": 2.5, "measured_p99_s": 5.0,
     "measured_in_time_share": 0.9, **BURST},
    {"method": "batched", "load": "devices", "measured_slowest_over_median": 1.9},
]  # fmt: skip


def test_the_gain_is_the_product_of_its_causes() -> None:
    metrics = SERVING.summarise(pd.DataFrame([{"random_seed": 0, **row} for row in ROWS]))
    assert set(metrics) == set(SERVING.metric_names)
    assert (metrics["ratio.runtime"], metrics["ratio.batching"], metrics["ratio.steps"]) == (2.0, 1.25, 4.0)
    assert (metrics["pictures_per_cpu_s_ratio"], metrics["pictures_per_cpu_s_ratio.few_steps"]) == (2.5, 10.0)
    assert (metrics["pictures_per_cpu_s_ratio.limit"], metrics["share.unet"]) == (pytest.approx(3.125), 0.8)
    assert (metrics["gflops_per_s.unet"], metrics["gflops_per_s.matmul"]) == (70.0, 110.0)
    assert (metrics["mean_latency_ratio.burst"], metrics["mean_latency_ratio.burst.ideal"]) == (8.0, 10.0)
    assert metrics["in_time_share_gain"] == pytest.approx(0.8)
    assert metrics["slowest_over_median"] == 1.9


def test_a_model_for_few_steps_is_asked_for_when_there_is_one() -> None:
    assert {case.method for case in SERVING.cases(load_config(SERVING, "quick"))} == {"locked", "single", "batched"}
    few = load_config(SERVING, "full", {"few_steps": 2})
    assert "few_steps" in {case.method for case in SERVING.cases(few)}


@pytest.mark.slow
def test_a_quick_run_has_every_metric(tmp_path: Path) -> None:
    settings = {"num_pictures": 4, "num_clients": 4, "num_steps": 2, "burst_services": 2, "num_devices": 4}
    metrics = run_study(SERVING, "quick", tmp_path, changes=settings).metrics
    assert set(metrics) == set(SERVING.metric_names)
    assert (metrics["pictures_per_cpu_s_ratio"] or 0.0) > 0.5
    assert metrics["slowest_over_median"] is not None
