"""The study sketch: its arithmetic, and a smoke run on the shipped model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gainnet.studies import find_study, run_study
from gainnet.studies.presets import load_config
from gainnet.studies.sketch import METHODS, METRIC_NAMES, SKETCH, cases, summarise


def row(method: str, max_bits: float | None, random_seed: int, agreement: float) -> dict[str, object]:
    measures = {"agreement": agreement, "psnr_db": 20.0, "fidelity": 1.0}
    return {"method": method, "max_bits": max_bits, "random_seed": random_seed, **measures}


def test_metrics_are_means_over_random_seeds_at_the_largest_budget() -> None:
    rows = [row("device_only", None, seed, 0.5) for seed in (0, 1)]
    for method in ("esuc", "bicubic"):
        rows += [row(method, 768, seed, 0.1) for seed in (0, 1)]
        rows += [row(method, 2304, seed, 0.8 + 0.1 * seed) for seed in (0, 1)]
    metrics = summarise(pd.DataFrame(rows))
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["agreement.esuc"] == pytest.approx(0.85)
    assert metrics["agreement.device_only"] == pytest.approx(0.5)


def test_every_method_sees_every_random_seed() -> None:
    config = load_config(SKETCH, "full")
    listed = list(cases(config))
    assert {case.method for case in listed} == set(METHODS)
    assert config.num_captions * len(config.random_seeds) >= 300
    assert len({case.key for case in listed}) == len(listed)


@pytest.mark.slow
def test_quick_sketch_has_every_metric_and_completing_wins(tmp_path: Path) -> None:
    metrics = run_study("sketch", "quick", tmp_path).metrics
    assert set(metrics) == set(find_study("sketch").metric_names)
    assert (metrics["psnr_db.esuc"] or 0) > (metrics["psnr_db.bicubic"] or 0) > (metrics["psnr_db.device_only"] or 0)
