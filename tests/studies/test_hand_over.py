"""The study hand-over: its receivers in closed form, its metrics, and a smoke run on the shipped model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.studies import run_study
from gainnet.studies.hand_over import METRIC_NAMES, Covariance, summarise


def test_linear_mmse_has_the_error_of_the_closed_form() -> None:
    variances, noise = torch.tensor([4.0, 1.0, 0.25]), 0.5
    basis = torch.linalg.qr(Random.of(0).normal((3, 3), "basis"))[0]
    latents = Random.of(1).normal((40_000, 3), "latents") * variances.sqrt() @ basis.T + 1.0
    covariance = Covariance.measured(latents, basis)
    received = latents + noise**0.5 * Random.of(2).normal((40_000, 3), "noise")
    estimate = covariance.estimate(received, torch.full((40_000, 1), noise))
    error = float((estimate - latents).square().sum(1).mean())
    assert error == pytest.approx(float((variances * noise / (variances + noise)).sum()), rel=0.02)


def test_metrics_are_the_gain_where_it_is_least() -> None:
    rows = []
    for cut, gain in ((5, 1.0), (8, 3.0)):
        for snr_db in (-10.0, -5.0, 0.0):
            for method, psnr_db in (("matched", 20.0 + gain), ("ignored", 20.0), ("lmmse", 20.5), ("scalar_mmse", 20)):
                rows.append({"cut": cut, "snr_db": snr_db, "method": method, "psnr_db": psnr_db, "random_seed": 0})
    metrics = summarise(pd.DataFrame(rows))
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["matched_minus_ignored_db.m10db"] == pytest.approx(1.0)
    assert metrics["matched_minus_lmmse_db.0db"] == pytest.approx(0.5)


@pytest.mark.slow
def test_quick_hand_over_has_every_metric(tmp_path: Path) -> None:
    metrics = run_study("hand-over", "quick", tmp_path).metrics
    assert set(metrics) == set(METRIC_NAMES)
    assert (metrics["matched_minus_ignored_db.m5db"] or 0) > 0
