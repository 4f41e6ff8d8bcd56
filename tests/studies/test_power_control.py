"""The study of power control: its cases, and what a tiny run says."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainnet.power_control import pretrained_names
from gainnet.radio import write_generated_trace
from gainnet.studies import run_study
from gainnet.studies.power_control import POWER_CONTROL, cases
from gainnet.studies.power_control.question import INFORMED
from gainnet.studies.presets import load_config


@pytest.mark.parametrize("preset", ["default", "quick", "full"])
def test_presets_ask_for_policies_that_are_there(preset: str) -> None:
    config = load_config(POWER_CONTROL, preset)
    assert set(config.learned) <= set(pretrained_names())
    keys = [case.key for case in cases(config)]
    assert len(set(keys)) == len(keys)
    assert INFORMED not in {case.method for case in cases(config)}


@pytest.mark.slow
def test_a_trace_is_judged_by_rules_that_do_not_know_it(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    write_generated_trace(trace, 400, 12.0, 0.05, random_seed=3)
    settings = tmp_path / "tiny.toml"
    settings.write_text(
        'conditions = []\nrules = ["static", "replanned"]\nlearned = ["ppo-varied-0"]\nnum_episodes = 20\n'
    )
    result = run_study("power-control", settings, tmp_path / "out", changes={"trace": str(trace)})
    assert set(result.metrics) == set(POWER_CONTROL.metric_names)
    assert result.metrics["learned_minus_best_causal_db.traces"] is not None
    assert result.metrics["share_of_causal_gain.15db"] is None
    assert result.metrics["energy_over_budget.max"] == pytest.approx(0.0, abs=1e-6)
