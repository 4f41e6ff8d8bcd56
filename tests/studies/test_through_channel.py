"""The study through-channel: gains from a table, and a smoke run without trained decoders."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gainnet.studies import run_study
from gainnet.studies.through_channel import METHODS, metric_names, summarise


def test_the_gain_is_over_the_better_of_frozen_and_control() -> None:
    errors = {"frozen": (0.02, 0.04), "control": (0.02, 0.02), "air": (0.01, 0.01)}
    rows = [
        {"method": arm, "num_channel_uses": 256, "fading": fading, "snr_db": 5.0, "picture": k, "random_seed": 0,
         "mse": mse, "overlap": 0}
        for arm in METHODS for fading in ("rayleigh", "awgn") for k, mse in enumerate(errors[arm])
    ]  # fmt: skip
    metrics = summarise(pd.DataFrame(rows))
    assert set(metrics) <= set(metric_names())
    assert metrics["gain_db.5db"] == pytest.approx(3.01, abs=0.01)
    assert metrics["gain_db.5db.low"] == metrics["gain_db.5db.high"] == metrics["gain_db.5db.median"]
    assert metrics["psnr_db_awgn.air.5db"] == 20.0


@pytest.mark.slow
def test_quick_through_channel_runs(tmp_path: Path) -> None:
    metrics = run_study("through-channel", "quick", tmp_path).metrics
    assert metrics["num_pictures"] == 2
    assert metrics["psnr_db.frozen.0db"] is not None
