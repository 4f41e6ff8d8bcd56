"""The study learning-faults: every phase is met by every role and signal, and a run loses nothing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gainnet.studies import run_study
from gainnet.studies.learning_faults import LEARNING_FAULTS
from gainnet.studies.learning_faults.question import DEATHS, METRIC_NAMES, cases
from gainnet.studies.learning_faults.summary import summarise
from gainnet.studies.presets import load_config


def test_the_full_run_kills_enough_in_every_phase() -> None:
    listed = list(cases(load_config(LEARNING_FAULTS, "full")))
    assert len({case.key for case in listed}) == len(listed)
    for method in ("open", "private"):
        kills = [case for case in listed if case.method == method]
        assert len(kills) >= 200
        for phase in ("sending", "merging", "writing"):
            assert sum(case.text("phase") == phase for case in kills) >= 0.2 * len(kills)
        met = {(case.text("process").split("_")[0], case.text("phase"), case.text("signal")) for case in kills}
        assert len(met) == 2 * len(DEATHS)


def test_metrics_are_sums() -> None:
    same = {"kills": 1, "lost": 0, "different": 0, "inconsistent": 0, "rounds": 2}
    rows = [
        {"method": "open", "process": "device_3", "phase": "sending", **same},
        {"method": "private", "process": "cloud", "phase": "writing", **same, "lost": 3},
    ]
    metrics = summarise(pd.DataFrame(rows))
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["kills"] == 2.0
    assert metrics["kills.device"] == 1.0
    assert metrics["lost"] == 3.0


@pytest.mark.slow
def test_a_quick_run_loses_nothing(tmp_path: Path) -> None:
    metrics = run_study("learning-faults", "quick", tmp_path).metrics
    assert set(metrics) == set(METRIC_NAMES)
    assert (metrics["kills"], metrics["lost"], metrics["different"], metrics["inconsistent"]) == (18, 0, 0, 0)
